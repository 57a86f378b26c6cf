//! A Redis master with a replica, watched by three Sentinels.

use std::io;

use crate::{Redis, failure, ports, until};

const SENTINELS: usize = 3;

/// What the Sentinels call the master.
const MASTER: &str = "mymaster";

/// A master, a replica, and three Sentinels of which two must agree that the master is dead, after half a second.
#[derive(Debug)]
pub struct RedisSentinel {
    servers: Vec<Redis>,
    sentinels: Vec<Redis>,
}

impl RedisSentinel {
    /// Starts it all and waits until each Sentinel knows the others and the replica.
    ///
    /// # Errors
    /// Where there is no `redis-server`, or it does not start.
    pub fn start() -> io::Result<Self> {
        let master = Redis::start()?;
        let replica = Redis::options().set("replicaof", &format!("127.0.0.1 {}", master.plain_port())).start()?;
        until("the replica to follow", || {
            let info = replica.ask(&["INFO", "replication"])?;
            if info.contains("master_link_status:up") { Ok(()) } else { Err(failure(info)) }
        })?;
        let sentinels = (0..SENTINELS).map(|_| start_sentinel(&master)).collect::<io::Result<Vec<_>>>()?;
        for sentinel in &sentinels {
            // They tell each other of themselves every two seconds otherwise.
            sentinel.ask(&["SENTINEL", "DEBUG", "PUBLISH-PERIOD", "100"])?;
        }
        let whole = Self { servers: vec![master, replica], sentinels };
        until("the Sentinels to know each other", || {
            for sentinel in &whole.sentinels {
                let known = |name| field(sentinel, name);
                if known("num-other-sentinels")? != "2" || known("num-slaves")? != "1" || known("flags")? != "master" {
                    return Err(failure(sentinel.ask(&["SENTINEL", "MASTER", MASTER])?));
                }
            }
            Ok(())
        })?;
        Ok(whole)
    }

    /// `redis+sentinel://127.0.0.1:PORT,127.0.0.1:PORT,127.0.0.1:PORT/mymaster`
    #[must_use]
    pub fn url(&self) -> String {
        let addresses: Vec<String> = self.sentinels.iter().map(|sentinel| sentinel.address().to_string()).collect();
        format!("redis+sentinel://{}/{MASTER}", addresses.join(","))
    }

    /// The server that the Sentinels call the master now.
    ///
    /// # Errors
    /// Where they do not answer.
    pub fn master(&self) -> io::Result<&Redis> {
        let port = self.master_port()?;
        let found = self.servers.iter().find(|server| server.plain_port() == port);
        found.ok_or_else(|| failure(format!("the Sentinels name a master that nobody started, on port {port}")))
    }

    /// Kills the master the hard way. The Sentinels make the replica the master within some seconds;
    /// [`Self::until_failed_over`] waits for it.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn kill_master(&mut self) -> io::Result<()> {
        let port = self.master_port()?;
        match self.servers.iter_mut().find(|server| server.plain_port() == port) {
            Some(master) => master.kill(),
            None => Err(failure(format!("nobody started a master on port {port}"))),
        }
    }

    /// Waits until the master is one that runs and says itself that it is the master.
    ///
    /// # Errors
    /// Where that takes more than a minute.
    pub fn until_failed_over(&self) -> io::Result<()> {
        until("the replica to become the master", || {
            let master = self.master()?;
            let role = master.ask(&["ROLE"])?;
            if role.starts_with("master") { Ok(()) } else { Err(failure(role)) }
        })
    }

    /// Starts the killed server again; the Sentinels make it a replica.
    ///
    /// # Errors
    /// Where none was killed, or it does not start.
    pub fn restart_killed(&mut self) -> io::Result<()> {
        let killed = self.servers.iter_mut().find(|server| server.process_id().is_none());
        killed.ok_or_else(|| failure("no server was killed"))?.restart()
    }

    fn master_port(&self) -> io::Result<u16> {
        let address = self.sentinels[0].ask(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER])?;
        let port = address.lines().last().and_then(|port| port.parse().ok());
        port.ok_or_else(|| failure(format!("not an address: {address}")))
    }
}

fn start_sentinel(master: &Redis) -> io::Result<Redis> {
    Redis::sentinel(
        ports::free()?,
        &[
            format!("sentinel monitor {MASTER} 127.0.0.1 {} 2", master.plain_port()),
            format!("sentinel down-after-milliseconds {MASTER} 500"),
            format!("sentinel failover-timeout {MASTER} 3000"),
        ],
    )
}

/// A field of what a Sentinel knows of the master.
fn field(sentinel: &Redis, name: &str) -> io::Result<String> {
    let all = sentinel.ask(&["SENTINEL", "MASTER", MASTER])?;
    let lines: Vec<&str> = all.lines().collect();
    let value = lines.chunks(2).find(|pair| pair[0] == name).and_then(|pair| pair.get(1));
    value.map(|value| (*value).to_owned()).ok_or_else(|| failure(format!("no {name}: {all}")))
}
