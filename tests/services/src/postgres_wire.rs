//! Just enough of PostgreSQL's protocol to ask a server something: one connection for each question, no password, no
//! TLS.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::failure;

/// How long an answer may take; a suspended server gives none.
const ANSWER: Duration = Duration::from_secs(10);

/// The columns of one row as text, none where the database has NULL.
pub type Row = Vec<Option<String>>;

/// Runs statements and gives the rows of all of them.
pub(crate) fn ask(port: u16, user: &str, database: &str, statements: &str) -> io::Result<Vec<Row>> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    // Protocol 3.0, then names and values, each ended by a zero.
    let mut hello = 196_608_u32.to_be_bytes().to_vec();
    hello.extend_from_slice(format!("user\0{user}\0database\0{database}\0\0").as_bytes());
    write(&mut stream, &[], &hello)?;
    until_ready(&mut stream)?;
    write(&mut stream, b"Q", format!("{statements}\0").as_bytes())?;
    until_ready(&mut stream)
}

/// A message: its kind, its length with the length's own four bytes, its body.
fn write(stream: &mut TcpStream, kind: &[u8], body: &[u8]) -> io::Result<()> {
    let length = u32::try_from(body.len() + 4).map_err(|_| failure("a message too long"))?;
    stream.write_all(&[kind, &length.to_be_bytes(), body].concat())
}

/// Reads until the server waits for the next statement.
fn until_ready(stream: &mut TcpStream) -> io::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let mut complaint = None;
    loop {
        let mut head = [0; 5];
        match stream.read_exact(&mut head) {
            Ok(()) => {}
            // A connection that was refused is closed after the reason.
            Err(error) => return Err(complaint.unwrap_or(error)),
        }
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let mut body = vec![0; usize::try_from(length).unwrap_or_default().saturating_sub(4)];
        stream.read_exact(&mut body)?;
        match head[0] {
            b'D' => rows.push(row(&body).ok_or_else(|| failure("not PostgreSQL's protocol"))?),
            b'E' => complaint = Some(failure(reason(&body))),
            b'R' if body != [0; 4] => return Err(failure("PostgreSQL asks for a password")),
            b'Z' => return complaint.map_or(Ok(rows), Err),
            _ => {}
        }
    }
}

fn row(body: &[u8]) -> Option<Row> {
    let (count, mut rest) = body.split_first_chunk::<2>()?;
    let mut row = Row::new();
    for _ in 0..u16::from_be_bytes(*count) {
        let (length, after) = rest.split_first_chunk::<4>()?;
        rest = after;
        row.push(match usize::try_from(i32::from_be_bytes(*length)) {
            Ok(length) => {
                let (value, after) = rest.split_at_checked(length)?;
                rest = after;
                Some(String::from_utf8_lossy(value).into_owned())
            }
            Err(_) => None,
        });
    }
    Some(row)
}

/// The message among an error's fields, each of which begins with a letter and ends with a zero.
fn reason(body: &[u8]) -> String {
    let fields = body.split(|byte| *byte == 0);
    let message = fields.filter_map(<[u8]>::split_first).find(|(kind, _)| **kind == b'M');
    message.map_or_else(|| "an error without a reason".into(), |(_, text)| String::from_utf8_lossy(text).into_owned())
}
