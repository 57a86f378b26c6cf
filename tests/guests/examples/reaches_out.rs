//! Tries to reach what nobody granted it, and tells what it got.

use std::{env, fs, net::TcpStream};

use windlass_guest::prelude::*;

/// Gives the names of the things that it could reach.
#[handler]
fn reach(_ctx: &Context, _args: ()) -> Result<Vec<String>, JobError> {
    let attempts = [
        ("environment", env::vars().next().is_some()),
        ("arguments", env::args().nth(1).is_some()),
        ("root folder", fs::read_dir("/").is_ok()),
        ("current folder", fs::read_dir(".").is_ok()),
        ("a file", fs::read("/etc/hostname").is_ok()),
        ("writing", fs::write("/tmp/from-a-guest", "here").is_ok()),
        ("the network", TcpStream::connect("127.0.0.1:7878").is_ok()),
    ];
    Ok(attempts.iter().filter(|(_, reached)| *reached).map(|(name, _)| (*name).to_owned()).collect())
}

windlass_guest::export!(reach);
