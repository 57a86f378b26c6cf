//! One PostgreSQL server.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use rustix::process::Signal;

use crate::{
    Proxy, failure, ports,
    postgres_wire::{self, Row},
    programs::{self, User},
    server::Server,
};

/// The role that the tests use, its owner, and its database.
const NAME: &str = "windlass";

/// A PostgreSQL server that keeps everything (its defaults: `fsync=on`, `synchronous_commit=on`). The role `windlass`
/// owns it and needs no password; every other role needs its own.
///
/// ```no_run
/// let mut postgres = windlass_test_services::Postgres::start()?;
/// postgres.ask("create table greeting as select 'hello' as words")?;
/// postgres.kill()?;
/// postgres.restart()?;
/// assert_eq!(postgres.ask("select words from greeting")?, [[Some("hello".to_owned())]]);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    port: u16,
}

impl Postgres {
    /// Starts one with PostgreSQL's own settings.
    ///
    /// # Errors
    /// Where there is no `postgres` or `initdb`, or it does not start.
    pub fn start() -> io::Result<Self> {
        Self::options().start()
    }

    /// Settings for one that differs.
    #[must_use]
    pub fn options() -> PostgresOptions {
        PostgresOptions::default()
    }

    /// `postgres://windlass@127.0.0.1:PORT/windlass`
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of(NAME)
    }

    /// The same of another database, which need not exist.
    #[must_use]
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://{NAME}@{}/{database}", self.address())
    }

    /// [`Self::url`] by way of a proxy.
    #[must_use]
    pub fn url_through(&self, proxy: &Proxy) -> String {
        format!("postgres://{NAME}@{}/{NAME}", proxy.address())
    }

    /// [`Self::url`] for another role with a password. Both go into the URL as they are, so they are letters and digits.
    #[must_use]
    pub fn url_as(&self, role: &str, password: &str) -> String {
        format!("postgres://{role}:{password}@{}/{NAME}", self.address())
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Runs statements in the database `windlass`, on a connection of its own, and gives their rows.
    ///
    /// # Errors
    /// Where it does not answer, or answers with an error.
    pub fn ask(&self, statements: &str) -> io::Result<Vec<Row>> {
        self.ask_in(NAME, statements)
    }

    /// The same in another database.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub fn ask_in(&self, database: &str, statements: &str) -> io::Result<Vec<Row>> {
        postgres_wire::ask(self.port, NAME, database, statements)
    }

    /// Makes a database and gives its URL.
    ///
    /// # Errors
    /// Where there is one of that name.
    pub fn create_database(&self, name: &str) -> io::Result<String> {
        self.ask(&format!("create database \"{name}\""))?;
        Ok(self.url_of(name))
    }

    /// Makes a role that may log in with this password and do nothing else yet, and gives its URL.
    ///
    /// # Errors
    /// Where there is one of that name.
    pub fn create_role(&self, name: &str, password: &str) -> io::Result<String> {
        self.ask(&format!("create role \"{name}\" login password '{password}'"))?;
        Ok(self.url_as(name, password))
    }

    /// Kills the postmaster the hard way (SIGKILL) and waits until it is gone. Its other processes end by themselves as
    /// soon as they notice.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn kill(&mut self) -> io::Result<()> {
        self.server.kill()
    }

    /// Starts it again after a kill, on the same port and folder, and waits until it has recovered.
    ///
    /// # Errors
    /// Where it runs, or does not start.
    pub fn restart(&mut self) -> io::Result<()> {
        // While a process of the killed postmaster lives, a new one refuses to start.
        crate::until("PostgreSQL to start again", || match self.launch() {
            Err(error) if error.to_string().contains("is still in use") => Err(error),
            outcome => Ok(outcome),
        })?
    }

    /// Its process, the postmaster.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.server.process_id()
    }

    /// What it has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log()
    }

    fn launch(&mut self) -> io::Result<()> {
        let port = self.port;
        self.server.start(|| postgres_wire::ask(port, NAME, "template1", "select 1").map(drop))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // A killed postmaster leaves a piece of System V shared memory, by which the next one would know it. Its number
        // is the second on the seventh line of the file that outlives it.
        if self.process_id().is_none() {
            let file = std::fs::read_to_string(self.server.room().file("data/postmaster.pid")).unwrap_or_default();
            if let Some(number) = file.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) {
                let mut command = Command::new("ipcrm");
                let _ = command.args(["-m", number]).stdout(Stdio::null()).stderr(Stdio::null()).status();
            }
        }
    }
}

/// Settings of a [`Postgres`] server.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    settings: Vec<String>,
    environment: Vec<(String, String)>,
}

impl PostgresOptions {
    /// A setting as in `postgresql.conf`.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.push(format!("{name}={value}"));
        self
    }

    /// Variables that its processes are started with.
    #[must_use]
    pub fn environment(mut self, environment: Vec<(String, String)>) -> Self {
        self.environment = environment;
        self
    }

    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// Where there is no `postgres` or `initdb`, or it does not start.
    pub fn start(self) -> io::Result<Postgres> {
        // SIGQUIT: at once, without writing what a restart would want, but with all processes and shared memory gone.
        let mut server = Server::new(programs::POSTGRES, User::other_than_root()?, Signal::QUIT)?;
        let port = ports::free()?;
        let data = server.room().file("data");
        initialise(&server, &data)?;
        let defaults = [
            format!("port={port}"),
            "listen_addresses=127.0.0.1".to_owned(),
            // Its path would be too long where the temporary folder's is.
            "unix_socket_directories=".to_owned(),
            // In its folder rather than in /dev/shm, where a killed server would leave it.
            "dynamic_shared_memory_type=mmap".to_owned(),
        ];
        let settings = defaults.into_iter().chain(self.settings).flat_map(|setting| ["-c".to_owned(), setting]);
        server.set_arguments(["-D".to_owned(), data.display().to_string()].into_iter().chain(settings));
        server.set_environment(self.environment);
        let mut postgres = Postgres { server, port };
        postgres.launch()?;
        postgres.ask_in("template1", &format!("create database {NAME}"))?;
        Ok(postgres)
    }
}

fn initialise(server: &Server, data: &Path) -> io::Result<()> {
    let mut command = server.command(programs::find(programs::INITDB)?);
    command.arg("-D").arg(data).args(["-U", NAME, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]);
    let output = command.output()?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(failure(format!("initdb gave {}: {complaint}", output.status)));
    }
    let access = format!("host all {NAME} 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n");
    std::fs::write(data.join("pg_hba.conf"), access)
}
