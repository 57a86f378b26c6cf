//! A PgBouncer before a PostgreSQL server.

use std::{fs, io, net::SocketAddr};

use rustix::process::Signal;

use crate::{Postgres, Row, ports, postgres_wire, programs, programs::User, server::Server};

/// A PgBouncer in transaction pooling mode: each transaction may get another connection, so nothing that belongs to a
/// session (prepared statements, LISTEN, `SET`, advisory locks of sessions) survives one.
#[derive(Debug)]
pub struct PgBouncer {
    server: Server,
    port: u16,
}

impl PgBouncer {
    /// Starts one before a server. It reaches all of the server's databases as the role `windlass`, over at most ten
    /// connections each.
    ///
    /// # Errors
    /// Where there is no `pgbouncer`, or it does not start.
    pub fn start(postgres: &Postgres) -> io::Result<Self> {
        let mut server = Server::new(programs::PGBOUNCER, User::other_than_root()?, Signal::KILL)?;
        let port = ports::free()?;
        let file = server.room().file("pgbouncer.ini");
        let behind = postgres.address();
        let settings = format!(
            "[databases]\n\
             * = host={} port={} user=windlass\n\
             [pgbouncer]\n\
             listen_addr = 127.0.0.1\n\
             listen_port = {port}\n\
             unix_socket_dir =\n\
             auth_type = any\n\
             pool_mode = transaction\n\
             default_pool_size = 10\n\
             max_client_conn = 500\n\
             ignore_startup_parameters = extra_float_digits\n",
            behind.ip(),
            behind.port()
        );
        fs::write(&file, settings)?;
        server.set_arguments([file]);
        server.start(|| postgres_wire::ask(port, "windlass", "windlass", "select 1").map(drop))?;
        Ok(Self { server, port })
    }

    /// `postgres://windlass@127.0.0.1:PORT/windlass`, by way of this PgBouncer.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://windlass@{}/windlass", self.address())
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Runs statements in the database `windlass` by way of it, and gives their rows.
    ///
    /// # Errors
    /// Where it does not answer, or answers with an error.
    pub fn ask(&self, statements: &str) -> io::Result<Vec<Row>> {
        postgres_wire::ask(self.port, "windlass", "windlass", statements)
    }

    /// Its process.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.server.process_id()
    }

    /// What it has written to its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.server.log()
    }
}
