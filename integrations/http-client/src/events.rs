//! Following what changes on a host.

use std::time::Duration;

use reqwest::{Method, Response};
use windlass_api::{Event, JobId, State, StatesChanged, WatchedJob};

use crate::{
    client::{Answer, Client},
    stream::{Incoming, Sent},
};

/// A host says something every 15 s at least; a connection that is silent for longer than this is lost.
const SILENCE: Duration = Duration::from_secs(45);

/// Longer than a host lets one follow before it wants to be asked anew, which is an hour.
const LONGEST: Duration = Duration::from_secs(2 * 3_600);

/// What changed. It is never said what it is now: read that.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// How many jobs there are in these states.
    Counts(Vec<State>),
    /// A job that is watched.
    Job(JobId),
    /// A server came, went, or uses other slots.
    Servers,
    /// A queue.
    Queues,
    /// A version was deployed or activated.
    Modules,
    /// Something may have changed that was not told: read everything again.
    Missed,
}

/// The events of a host. A connection that is lost is made anew, and the host tells what happened meanwhile.
#[derive(Debug)]
pub struct Events {
    client: Client,
    jobs: Vec<JobId>,
    last_id: Option<String>,
    incoming: Incoming,
    response: Option<Response>,
}

impl Client {
    /// Follows what changes on the host, and each change of these jobs, at most 8. What changes after this has returned is told.
    ///
    /// # Errors
    /// Where the host does not let one follow: it is away, asks for a token, or too many follow it already.
    pub async fn events(&self, jobs: &[JobId]) -> Answer<Events> {
        let (incoming, last_id) = (Incoming::default(), None);
        let mut events = Events { client: self.clone(), jobs: jobs.to_vec(), last_id, incoming, response: None };
        events.connect().await?;
        Ok(events)
    }
}

impl Events {
    /// The next change; waits for it.
    ///
    /// # Errors
    /// Where the host is away for longer than the client is patient, or does not let one follow any more.
    pub async fn next(&mut self) -> Answer<Change> {
        loop {
            while let Some(sent) = self.incoming.next() {
                if let Some(id) = &sent.id {
                    self.last_id = Some(id.clone());
                }
                if let Some(change) = self.change(&sent)? {
                    return Ok(change);
                }
            }
            let piece = match &mut self.response {
                // Whatever ends it, be it the host that stops, the host asks for no more than to come back.
                Some(response) => {
                    tokio::time::timeout(SILENCE, response.chunk()).await.ok().and_then(Result::ok).flatten()
                }
                None => None,
            };
            match piece {
                Some(piece) if self.incoming.push(&piece) => {}
                Some(_) => return Err(self.client.not_understood("it sent what is no event".to_owned())),
                None => self.connect().await?,
            }
        }
    }

    /// Follows from the last event on.
    async fn connect(&mut self) -> Answer<()> {
        self.response = None;
        self.incoming = Incoming::default();
        let query: Vec<_> = self.jobs.iter().map(|job| ("job", job.to_string())).collect();
        let request = || {
            let request = self.client.request(Method::GET, &["events"])?.timeout(LONGEST).query(&query);
            Ok(match &self.last_id {
                Some(id) => request.header("last-event-id", id),
                None => request,
            })
        };
        let response = self.client.open_stream(request, &mut self.client.tries()).await?;
        self.response = Some(response);
        Ok(())
    }

    /// What an event says; nothing where only later versions know its kind.
    fn change(&self, sent: &Sent) -> Answer<Option<Change>> {
        let unread = |error: serde_json::Error| self.client.not_understood(format!("an event of it: {error}"));
        let Ok(kind) = sent.kind.parse::<Event>() else { return Ok(None) };
        Ok(Some(match kind {
            Event::Counts => Change::Counts(serde_json::from_str::<StatesChanged>(&sent.data).map_err(unread)?.states),
            Event::Job => Change::Job(serde_json::from_str::<WatchedJob>(&sent.data).map_err(unread)?.id),
            Event::Servers => Change::Servers,
            Event::Queues => Change::Queues,
            Event::Modules => Change::Modules,
            Event::Missed => Change::Missed,
        }))
    }
}
