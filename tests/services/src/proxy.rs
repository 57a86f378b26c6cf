//! A network that fails: a TCP proxy whose traffic can be passed, stalled, swallowed or cut.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::net::sockopt::set_socket_linger;

/// How soon a connection on which nothing happens notices that the proxy's mode has changed.
const NOTICE: Duration = Duration::from_millis(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Pass,
    Stall,
    Swallow,
    Cut,
    Closed,
}

/// A proxy in threads of its own, before one address. Dropping it cuts its connections.
///
/// It is in one of four modes, for the connections that are there and for new ones; a new one is always accepted.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    mode: Mutex<Mode>,
    changed: Condvar,
}

impl Proxy {
    /// Starts one that passes everything on to this address.
    ///
    /// # Errors
    /// Where no port is free.
    pub fn start(target: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { mode: Mutex::new(Mode::Pass), changed: Condvar::new() });
        let acceptor = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, target, &shared)
        });
        Ok(Self { address, shared, acceptor: Some(acceptor) })
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Passes everything on again. What was stalled arrives late; a connection of which something was swallowed is
    /// reset, since both sides would misread what follows.
    pub fn resume(&self) {
        self.shared.set(Mode::Pass);
    }

    /// Holds everything back and loses nothing, like a network that sends again and again until it gets through.
    pub fn stall(&self) {
        self.shared.set(Mode::Stall);
    }

    /// Accepts everything and loses it, like a network behind which nobody is there any more and nobody says so.
    pub fn black_hole(&self) {
        self.shared.set(Mode::Swallow);
    }

    /// Resets all connections, and each new one, until [`Self::resume`].
    pub fn cut(&self) {
        self.shared.set(Mode::Cut);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.set(Mode::Closed);
        // Wakes the thread that accepts, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
        let _ = self.acceptor.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn mode(&self) -> MutexGuard<'_, Mode> {
        // The lock is held for the comparison of a mode, which cannot panic.
        self.mode.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, mode: Mode) {
        *self.mode() = mode;
        self.changed.notify_all();
    }

    /// The mode, as soon as it is none of these.
    fn unless(&self, these: impl Fn(Mode) -> bool) -> Mode {
        let other = self.changed.wait_while(self.mode(), |mode| these(*mode));
        *other.unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &TcpListener, target: SocketAddr, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let mode = *shared.mode();
        match (mode, client) {
            (Mode::Closed, _) => return,
            (Mode::Cut, Ok(client)) => reset(&client),
            (_, Ok(client)) => {
                let shared = Arc::clone(shared);
                thread::spawn(move || serve(&client, target, &shared));
            }
            // A client that was gone before it was accepted.
            (_, Err(_)) => {}
        }
    }
}

/// One connection, until either side closes it or the proxy resets it.
fn serve(client: &TcpStream, target: SocketAddr, shared: &Shared) {
    // Nobody behind the proxy hears of a connection that is made while it does not pass.
    let mode = shared.unless(|mode| matches!(mode, Mode::Stall | Mode::Swallow));
    let (Mode::Pass, Ok(server)) = (mode, TcpStream::connect(target)) else { return reset(client) };
    for stream in [client, &server] {
        // An answer goes out at once, as it would without the proxy. None of the three fails for an open socket.
        let _ = stream.set_nodelay(true);
        let _ = stream.set_read_timeout(Some(NOTICE));
        let _ = stream.set_write_timeout(Some(NOTICE));
    }
    let over = AtomicBool::new(false);
    let clean = thread::scope(|scope| {
        let there = scope.spawn(|| pump(client, &server, shared, &over));
        let back = pump(&server, client, shared, &over);
        there.join().is_ok_and(|there| there) && back
    });
    if !clean {
        reset(client);
        reset(&server);
    }
}

/// Carries one direction's bytes, and tells whether the connection ended as one side wished. Both directions end
/// together: a client that has sent all it will and still listens is nothing that the services' protocols know.
fn pump(from: &TcpStream, to: &TcpStream, shared: &Shared, over: &AtomicBool) -> bool {
    let mut buffer = vec![0; 64 * 1024];
    let clean = carry(from, to, &mut buffer, shared, over).is_ok();
    over.store(true, Ordering::Relaxed);
    clean
}

/// Ends well where a side has closed the connection, with an error where it must be reset.
fn carry(
    mut from: &TcpStream,
    to: &TcpStream,
    buffer: &mut [u8],
    shared: &Shared,
    over: &AtomicBool,
) -> io::Result<()> {
    let broken = || Err(io::ErrorKind::ConnectionReset.into());
    let mut lost = false;
    while !over.load(Ordering::Relaxed) {
        let read = from.read(buffer);
        match (shared.unless(|mode| mode == Mode::Stall), read) {
            (Mode::Cut | Mode::Closed, _) => return broken(),
            (Mode::Pass, _) if lost => return broken(),
            (_, Err(error)) if is_timeout(&error) => {}
            (Mode::Swallow, Ok(1..)) => lost = true,
            // In a black hole nobody hears that the other side has closed.
            (Mode::Swallow, _) => {
                shared.unless(|mode| mode == Mode::Swallow);
                return broken();
            }
            (_, Ok(0)) => return Ok(()),
            (_, Ok(length)) => forward(to, &buffer[..length], shared, over)?,
            (_, Err(error)) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of it, however slowly the other side reads, unless the connection ends meanwhile.
fn forward(mut to: &TcpStream, mut bytes: &[u8], shared: &Shared, over: &AtomicBool) -> io::Result<()> {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if is_timeout(&error) => {
                if over.load(Ordering::Relaxed) || matches!(*shared.mode(), Mode::Cut | Mode::Closed) {
                    return Err(error);
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// Sees to it that the other side is told of a reset, not of an end, when the connection is closed.
fn reset(stream: &TcpStream) {
    // It cannot fail for an open socket.
    let _ = set_socket_linger(stream, Some(Duration::ZERO));
}
