//! Several hosts on one storage, which come and go.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use windlass_api::{JobId, ServerId, ServerView, State};

use super::{Records, http::request, look};
use crate::{Host, Launch, Site, guest};

/// How long a host may live without a heartbeat before its jobs are taken away, where a test waits for that: short.
/// Windlass stops a host's runs 5 s before, so that a host which says nothing for 2 s lets go of its runs.
pub const LOST_AFTER: Duration = Duration::from_secs(7);

/// Settings of all hosts of a test.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long a host may live without a heartbeat, of which it sends one each second.
    pub lost_after: Duration,
    /// How many jobs a host runs on threads at once.
    pub sync_slots: u32,
    /// How many jobs a host runs as tasks at once.
    pub async_slots: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { lost_after: LOST_AFTER, sync_slots: 4, async_slots: 40 }
    }
}

impl Settings {
    /// Few slots, for long runs: each writes 50 lines a second.
    #[must_use]
    pub fn few_slots() -> Self {
        Self { sync_slots: 2, async_slots: 6, ..Self::default() }
    }

    fn text(&self) -> String {
        let Self { lost_after, sync_slots, async_slots } = self;
        format!(
            "heartbeat = \"1s\"\nlost_after = \"{}s\"\nsync_slots = {sync_slots}\nasync_slots = {async_slots}\n",
            lost_after.as_secs()
        )
    }
}

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
    pub fn start(site: &'a Site, records: &Records, settings: Settings, launches: Vec<Launch>) -> Result<Self> {
        site.write("windlass.toml", format!("{}{}", settings.text(), records.grant(MODULE)))?;
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

    /// Starts one more host in a place of its own, which it gives.
    ///
    /// # Errors
    /// Where it does not become ready.
    pub fn add(&mut self, launch: Launch) -> Result<usize> {
        let place = self.places();
        self.launches.push(launch);
        self.hosts.push(None);
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).push(None);
        self.start_in(place)?;
        Ok(place)
    }

    /// What the host in a place is called in histories, as another host sees it now.
    ///
    /// # Errors
    /// Where the other does not answer, or knows none of that process.
    pub fn name_of(&self, place: usize, seen_from: usize) -> Result<String> {
        let server = self.server(place, seen_from)?.with_context(|| format!("the host in place {place} is unknown"))?;
        Ok(format!("server {server}"))
    }

    /// The runs that the host in a place has now, as another host sees it: job and run.
    ///
    /// # Errors
    /// Where the other does not answer.
    pub fn runs_of(&self, place: usize, seen_from: usize) -> Result<Vec<(JobId, u32)>> {
        let server = self.server(place, seen_from)?;
        let running = look::jobs(&self.at(seen_from)?.address(), Some(State::Processing))?;
        let own = running.iter().filter(|job| server.is_some() && job.server == server);
        Ok(own.map(|job| (job.id, job.run)).collect())
    }

    /// The server that a host is to the storage. It has another id after it was given up.
    fn server(&self, place: usize, seen_from: usize) -> Result<Option<ServerId>> {
        let servers: Vec<ServerView> = request(&self.at(seen_from)?.address(), "GET", "/api/v1/servers", "")?.json()?;
        let process = self.at(place)?.process_id();
        // Of several, the one that was heard of last.
        let own = servers.iter().filter(|server| server.pid == process);
        Ok(own.max_by_key(|server| server.heartbeat_at).map(|server| server.id))
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
