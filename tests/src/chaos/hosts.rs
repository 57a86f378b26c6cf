//! Several hosts on one storage, which come and go.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};

use super::Records;
use crate::{Host, Launch, Site, guest};

/// Settings of all hosts: as quick to notice a lost host as they may be. Windlass wants more than 5 s between the last
/// heartbeat and a host's loss, for the host to stop its runs in.
const SETTINGS: &str = "heartbeat = \"1s\"\nlost_after = \"7s\"\nsync_slots = 4\nasync_slots = 40\n";

/// How long a host may live without a heartbeat before its jobs are taken away, as in the settings.
pub const LOST_AFTER: Duration = Duration::from_secs(7);

/// The module that the jobs go to.
pub(crate) const MODULE: &str = "witness";

/// Where the hosts that live listen, by their places.
pub type Addresses = Arc<Mutex<Vec<Option<String>>>>;

/// Hosts, each in a place that keeps its number while hosts come and go in it.
#[derive(Debug)]
pub struct Hosts<'a> {
    site: &'a Site,
    launches: Vec<Launch>,
    hosts: Vec<Option<Host<'a>>>,
    /// Where those that live listen. Shared with the load's thread; held only to read or write an entry.
    addresses: Addresses,
}

impl<'a> Hosts<'a> {
    /// Starts one host for each way to start one, and deploys the jobs' module.
    ///
    /// # Errors
    /// Where one does not start.
    pub fn start(site: &'a Site, records: &Records, launches: Vec<Launch>) -> Result<Self> {
        site.write("windlass.toml", format!("{SETTINGS}{}", records.grant(MODULE)))?;
        let places = launches.len();
        let addresses = Arc::new(Mutex::new(vec![None; places]));
        let mut hosts = Self { site, launches, hosts: (0..places).map(|_| None).collect(), addresses };
        for place in 0..places {
            hosts.start_in(place)?;
        }
        hosts.at(0)?.deploy(MODULE, &guest("witness")?)?;
        Ok(hosts)
    }

    /// The host in a place.
    ///
    /// # Errors
    /// Where none lives there.
    pub fn at(&self, place: usize) -> Result<&Host<'a>> {
        self.hosts[place].as_ref().with_context(|| format!("no host in place {place}"))
    }

    /// How many places there are.
    #[must_use]
    pub fn places(&self) -> usize {
        self.hosts.len()
    }

    /// Kills the host in a place the hard way.
    ///
    /// # Errors
    /// Where none lives there.
    pub fn kill(&mut self, place: usize) -> Result<()> {
        self.set_address(place, None);
        self.hosts[place].take().with_context(|| format!("no host in place {place}"))?.kill()
    }

    /// Starts a host in an empty place.
    ///
    /// # Errors
    /// Where it does not become ready.
    pub fn start_in(&mut self, place: usize) -> Result<()> {
        let host = self.site.start_as(&self.launches[place], &[])?;
        self.set_address(place, Some(host.address()));
        self.hosts[place] = Some(host);
        Ok(())
    }

    /// Checks that every host is still the process that was started, and ready for work.
    ///
    /// # Errors
    /// Where one ended by itself or is not ready; the error holds what it wrote.
    pub fn all_well(&mut self) -> Result<()> {
        for host in self.hosts.iter_mut().flatten() {
            host.still_runs()?;
            host.until("a host that is ready", || Ok(host.get("/readyz")?.0.eq(&200).then_some(())))?;
        }
        Ok(())
    }

    /// The addresses of those that live, in the order of their places.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        Arc::clone(&self.addresses)
    }

    fn set_address(&self, place: usize, address: Option<String>) {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)[place] = address;
    }
}
