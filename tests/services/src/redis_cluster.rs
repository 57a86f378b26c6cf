//! A Redis Cluster of three masters on this machine.

use std::io;

use crate::{Redis, failure, ports, until};

const MASTERS: usize = 3;

/// The number of hash slots of every Redis Cluster.
const SLOTS: usize = 16_384;

/// Three masters without replicas, each with a third of the slots. While one of them is dead the others refuse all
/// writes once they have noticed, as Redis Cluster does by default.
#[derive(Debug)]
pub struct RedisCluster {
    masters: Vec<Redis>,
}

impl RedisCluster {
    /// Starts it and waits until all three agree that it is whole.
    ///
    /// # Errors
    /// Where there is no `redis-server`, or it does not start.
    pub fn start() -> io::Result<Self> {
        let masters = (0..MASTERS).map(|_| start_master()).collect::<io::Result<Vec<_>>>()?;
        for (index, master) in masters.iter().enumerate() {
            let (first, last) = (SLOTS * index / MASTERS, SLOTS * (index + 1) / MASTERS - 1);
            // Different ones from the start, so that they need not settle by themselves who is who.
            master.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()])?;
            master.ask(&["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()])?;
        }
        for other in &masters[1..] {
            let bus = other.ask(&["CONFIG", "GET", "cluster-port"])?;
            let bus = bus.lines().last().unwrap_or_default();
            masters[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &other.plain_port().to_string(), bus])?;
        }
        let cluster = Self { masters };
        cluster.until_whole()?;
        Ok(cluster)
    }

    /// `redis+cluster://127.0.0.1:PORT,127.0.0.1:PORT,127.0.0.1:PORT`
    #[must_use]
    pub fn url(&self) -> String {
        let addresses: Vec<String> = self.masters.iter().map(|master| master.address().to_string()).collect();
        format!("redis+cluster://{}", addresses.join(","))
    }

    /// The masters, by index.
    #[must_use]
    pub fn masters(&self) -> &[Redis] {
        &self.masters
    }

    /// The index of the master that holds a key.
    ///
    /// # Errors
    /// Where the cluster does not answer.
    pub fn holder(&self, key: &str) -> io::Result<usize> {
        let running = self.masters.iter().find(|master| master.process_id().is_some());
        let slot = running.ok_or_else(|| failure("no master runs"))?.ask(&["CLUSTER", "KEYSLOT", key])?;
        let slot: usize = slot.parse().map_err(|_| failure(format!("not a slot: {slot}")))?;
        let end = |index: usize| SLOTS * (index + 1) / MASTERS;
        (0..MASTERS).find(|index| slot < end(*index)).ok_or_else(|| failure(format!("not a slot: {slot}")))
    }

    /// Kills a master the hard way.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn kill(&mut self, index: usize) -> io::Result<()> {
        self.masters[index].kill()
    }

    /// Starts a killed master again and waits until the cluster is whole.
    ///
    /// # Errors
    /// Where it runs, or does not start.
    pub fn restart(&mut self, index: usize) -> io::Result<()> {
        self.masters[index].restart()?;
        self.until_whole()
    }

    fn until_whole(&self) -> io::Result<()> {
        until("the Redis Cluster to be whole", || {
            for master in &self.masters {
                let info = master.ask(&["CLUSTER", "INFO"])?;
                let has = |line: &str| info.lines().any(|other| other == line);
                if !(has("cluster_state:ok") && has("cluster_known_nodes:3") && has("cluster_slots_ok:16384")) {
                    return Err(failure(info));
                }
            }
            Ok(())
        })
    }
}

fn start_master() -> io::Result<Redis> {
    Redis::options()
        .set("cluster-enabled", "yes")
        .set("cluster-port", &ports::free()?.to_string())
        // How long a master may be silent before it counts as dead; the default of 15 s makes tests wait.
        .set("cluster-node-timeout", "1000")
        .start()
}
