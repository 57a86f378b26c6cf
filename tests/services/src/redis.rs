//! One Redis server.

use std::{
    ffi::OsStr,
    fmt::Write as _,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use rustix::process::Signal;

use crate::{Certificates, Proxy, ports, programs, redis_wire, server::Server};

/// A Redis server that keeps everything: an append-only file, written to disk before each answer.
///
/// ```no_run
/// let mut redis = windlass_test_services::Redis::start()?;
/// redis.ask(&["SET", "greeting", "hello"])?;
/// redis.kill()?;
/// redis.restart()?;
/// assert_eq!(redis.ask(&["GET", "greeting"])?, "hello");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Redis {
    server: Server,
    port: u16,
    tls: Option<(u16, Certificates)>,
    password: Option<String>,
}

impl Redis {
    /// Starts one with the settings of [`RedisOptions::default`].
    ///
    /// # Errors
    /// Where there is no `redis-server`, or it does not start.
    pub fn start() -> io::Result<Self> {
        Self::options().start()
    }

    /// Settings for one that differs.
    #[must_use]
    pub fn options() -> RedisOptions {
        RedisOptions::default()
    }

    /// `redis://[:password@]127.0.0.1:PORT`, or `rediss://…` where it speaks TLS.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_at(self.address())
    }

    /// The same by way of a proxy.
    #[must_use]
    pub fn url_through(&self, proxy: &Proxy) -> String {
        self.url_at(proxy.address())
    }

    /// Where clients connect; with TLS its port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.tls.as_ref().map_or(self.port, |(port, _)| *port)))
    }

    /// The port without TLS, which is always open.
    #[must_use]
    pub fn plain_port(&self) -> u16 {
        self.port
    }

    /// Its certificates, where it speaks TLS.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.tls.as_ref().map(|(_, certificates)| certificates)
    }

    /// Sends it a command on a connection of its own. The answer as text: what is listed comes line by line, what is not
    /// there is empty.
    ///
    /// # Errors
    /// Where it does not answer, or answers with an error.
    pub fn ask(&self, command: &[&str]) -> io::Result<String> {
        redis_wire::ask(self.port, self.password.as_deref(), command)
    }

    /// Kills it the hard way (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn kill(&mut self) -> io::Result<()> {
        self.server.kill()
    }

    /// Starts it again after a kill, on the same port and folder, and waits until it has read its data.
    ///
    /// # Errors
    /// Where it runs, or does not start.
    pub fn restart(&mut self) -> io::Result<()> {
        let (port, password) = (self.port, self.password.clone());
        self.server.start(|| redis_wire::ask(port, password.as_deref(), &["PING"]).map(drop))
    }

    /// Stops it in its tracks (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn suspend(&self) -> io::Result<()> {
        self.server.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT).
    ///
    /// # Errors
    /// Where it does not run.
    pub fn resume(&self) -> io::Result<()> {
        self.server.signal(Signal::CONT)
    }

    /// Its process.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.server.process_id()
    }

    /// Its folder, with the append-only file in `appendonlydir`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.server.room().folder()
    }

    /// What it has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log()
    }

    /// A Sentinel with these lines in its configuration.
    pub(crate) fn sentinel(port: u16, lines: &[String]) -> io::Result<Self> {
        let server = Server::new(programs::REDIS, None, Signal::KILL)?;
        let settings = format!("bind 127.0.0.1\nport {port}\n{}\n", lines.join("\n"));
        Self { server, port, tls: None, password: None }.configured(&settings, &["--sentinel"])
    }

    /// Starts it with these settings. In a file, because a Sentinel writes into it what it learns.
    fn configured(mut self, settings: &str, arguments: &[&str]) -> io::Result<Self> {
        let file = self.server.room().file("redis.conf");
        fs::write(&file, settings)?;
        self.server.set_arguments(
            [&[file.as_os_str()], arguments.iter().map(OsStr::new).collect::<Vec<_>>().as_slice()].concat(),
        );
        self.restart()?;
        Ok(self)
    }

    fn url_at(&self, address: SocketAddr) -> String {
        let mut url = String::from(if self.tls.is_some() { "rediss://" } else { "redis://" });
        if let Some(password) = &self.password {
            // Writing to a string cannot fail.
            let _ = write!(url, ":{password}@");
        }
        let _ = write!(url, "{address}");
        url
    }
}

/// Settings of a [`Redis`] server.
#[derive(Clone, Debug)]
pub struct RedisOptions {
    settings: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    password: Option<String>,
    tls: bool,
}

impl Default for RedisOptions {
    /// `appendonly yes`, `appendfsync always`, no snapshots, no password, no TLS.
    fn default() -> Self {
        let settings = [("bind", "127.0.0.1"), ("appendonly", "yes"), ("appendfsync", "always"), ("save", "\"\"")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self { settings: settings.into(), environment: Vec::new(), password: None, tls: false }
    }
}

impl RedisOptions {
    /// A setting as in `redis.conf` (a value with spaces in quotes), in place of the default where there is one.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.retain(|(other, _)| other != name);
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Clients must give this password. It goes into the URL as it is, so it is letters and digits.
    #[must_use]
    pub fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self.set("requirepass", password)
    }

    /// Variables that its process is started with.
    #[must_use]
    pub fn environment(mut self, environment: Vec<(String, String)>) -> Self {
        self.environment = environment;
        self
    }

    /// It speaks TLS on the port of [`Redis::url`], with [`Redis::certificates`].
    #[must_use]
    pub fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// Where there is no `redis-server`, or it does not start.
    pub fn start(self) -> io::Result<Redis> {
        self.start_on(ports::free()?)
    }

    fn start_on(mut self, port: u16) -> io::Result<Redis> {
        let mut server = Server::new(programs::REDIS, None, Signal::KILL)?;
        server.set_environment(std::mem::take(&mut self.environment));
        self = self.set("port", &port.to_string());
        let mut tls = None;
        if self.tls {
            let certificates = Certificates::make(server.room().folder())?;
            let tls_port = ports::free()?;
            let quoted = |path: PathBuf| format!("\"{}\"", path.display());
            self = self
                .set("tls-port", &tls_port.to_string())
                .set("tls-cert-file", &quoted(certificates.certificate()))
                .set("tls-key-file", &quoted(certificates.key()))
                .set("tls-ca-cert-file", &quoted(certificates.authority()))
                .set("tls-auth-clients", "no");
            tls = Some((tls_port, certificates));
        }
        let settings: String = self.settings.iter().map(|(name, value)| format!("{name} {value}\n")).collect();
        Redis { server, port, tls, password: self.password }.configured(&settings, &[])
    }
}
