//! Free ports of the loopback interface.

use std::{
    hash::{BuildHasher as _, RandomState},
    io,
    net::TcpListener,
};

use crate::failure;

/// Below the range from which Linux takes the ports of outgoing connections: a server that is restarted must find its
/// port free, though thousands of connections have been opened meanwhile.
const RANGE: std::ops::Range<u16> = 11_000..31_000;

/// A port that nobody listens on now. Another program might take it before the server does, which then says so; the
/// search begins at random, so that tests that run side by side hardly ever meet.
pub(crate) fn free() -> io::Result<u16> {
    let size = u64::from(RANGE.end - RANGE.start);
    for attempt in 0..1_000_u32 {
        let random = RandomState::new().hash_one(attempt) % size;
        let port = RANGE.start + u16::try_from(random).unwrap_or_default();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(failure(format!("found no free port in {RANGE:?}")))
}
