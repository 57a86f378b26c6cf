//! A few web pages on loopback, for the `links` example to check. Not a web server: it knows a page from what is not
//! there, and nothing else.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context, Result};

/// How many pages there are, each with links to others.
pub(crate) const PAGES: usize = 50;

/// How many links are on a page; the last one leads nowhere.
const LINKS: usize = 10;

/// Who says nothing for this long is not listened to any longer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves them for as long as this program runs, and gives where.
pub(crate) fn serve() -> Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("failed to serve pages on loopback")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // Whoever breaks off has had enough of the page.
            thread::spawn(move || drop(answer(stream)));
        }
    });
    Ok(address)
}

/// The path of a page.
pub(crate) fn path(page: usize) -> String {
    format!("/pages/{page}")
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut request = String::new();
    reader.read_line(&mut request)?;
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let page = request.split(' ').nth(1).and_then(|path| path.strip_prefix("/pages/")?.parse().ok());
    let (status, body) = match page {
        Some(page) if page < PAGES => ("200 OK", html(page)),
        _ => ("404 Not Found", "<p>There is no such page.</p>".to_owned()),
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn html(page: usize) -> String {
    let mut html = format!("<!doctype html><title>Page {page}</title><h1>Page {page}</h1><ul>");
    for link in 1..LINKS {
        let other = (page + link * link) % PAGES;
        // Writing to a string cannot fail.
        let _ = write!(html, "<li><a href=\"{}\">Page {other}</a>", path(other));
    }
    let _ = write!(html, "<li><a href=\"/lost/{page}\">A page that was lost</a></ul>");
    html
}
