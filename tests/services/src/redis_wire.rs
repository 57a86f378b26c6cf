//! Just enough of Redis' protocol to ask a server something: one connection for each question, no TLS.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::failure;

/// How long an answer may take; a suspended server gives none.
const ANSWER: Duration = Duration::from_secs(5);

/// Sends a command, after the password where there is one. The answer as text: what is listed comes line by line, and
/// what is not there is empty.
pub(crate) fn ask(port: u16, password: Option<&str>, command: &[&str]) -> io::Result<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let mut stream = BufReader::new(stream);
    if let Some(password) = password {
        send(&mut stream, &["AUTH", password])?;
    }
    send(&mut stream, command)
}

fn send(stream: &mut BufReader<TcpStream>, command: &[&str]) -> io::Result<String> {
    let mut request = format!("*{}\r\n", command.len()).into_bytes();
    for word in command {
        request.extend_from_slice(format!("${}\r\n{word}\r\n", word.len()).as_bytes());
    }
    stream.get_mut().write_all(&request)?;
    let mut lines = Vec::new();
    read(stream, &mut lines)?;
    Ok(lines.join("\n"))
}

fn read(stream: &mut BufReader<TcpStream>, lines: &mut Vec<String>) -> io::Result<()> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let (kind, rest) = line.trim_end().split_at_checked(1).ok_or_else(|| failure("an empty answer"))?;
    let length = || rest.parse::<i64>().map_err(|_| failure(format!("not Redis' protocol: {line:?}")));
    match kind {
        "+" | ":" => lines.push(rest.to_owned()),
        "-" => return Err(failure(rest)),
        "$" => {
            // -1 is what is not there.
            let length = usize::try_from(length()?).ok();
            // With the line's end.
            let mut bytes = vec![0; length.map_or(0, |length| length + 2)];
            stream.read_exact(&mut bytes)?;
            lines.push(String::from_utf8_lossy(&bytes[..length.unwrap_or(0)]).into_owned());
        }
        "*" => {
            for _ in 0..length()? {
                read(stream, lines)?;
            }
        }
        _ => return Err(failure(format!("not Redis' protocol: {line:?}"))),
    }
    Ok(())
}
