//! What somebody should look at: found from what the host says, worst first, and nothing where all is well.

use windlass_api::{Counts, ModuleView, QueueView, RecurringJob, ServerView, State, Timestamp};

use super::{recurring, traffic::Handled};
use crate::{
    format::{clip, count, plural, span},
    order::sorted,
};

/// From when on a server that was not heard of is told, in milliseconds: a host sends every 5 s and is lost after 20 s.
const SILENT_MS: u64 = 15_000;

/// From when on a job that waits to be taken is told, in milliseconds.
const LONG_WAIT_MS: u64 = 60_000;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Jobs are not run, or lost time.
    Bad,
    /// Somebody should know.
    Notable,
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matter {
    /// How bad it is.
    pub weight: Weight,
    /// What it is, in a sentence.
    pub text: String,
    /// Where to look, relative to the dashboard.
    pub link: String,
}

impl Matter {
    fn new(weight: Weight, text: String, link: impl Into<String>) -> Self {
        Self { weight, text, link: link.into() }
    }
}

/// What is known at the moment.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Jobs by state.
    pub counts: &'a Counts,
    /// The queues.
    pub queues: &'a [QueueView],
    /// The servers.
    pub servers: &'a [ServerView],
    /// The modules.
    pub modules: &'a [ModuleView],
    /// What handlers did lately; absent where the host keeps no counters.
    pub handlers: Option<&'a [Handled]>,
    /// The recurring jobs.
    pub recurring: &'a [RecurringJob],
    /// The time.
    pub now: Timestamp,
}

/// Finds what needs attention.
#[must_use]
pub fn find(known: &Known<'_>) -> Vec<Matter> {
    let mut matters = servers(known);
    matters.extend(queues(known));
    matters.extend(handlers(known));
    matters.extend(recurring_jobs(known));
    let awaiting = known.counts.of(State::Awaiting);
    if awaiting > 0 && known.modules.is_empty() {
        let text = format!("{} for a handler, and no module is deployed", plural(awaiting, "job waits", "jobs wait"));
        matters.push(Matter::new(Weight::Bad, text, "modules"));
    }
    sorted(matters, |one, other| one.weight.cmp(&other.weight))
}

fn servers(known: &Known<'_>) -> Vec<Matter> {
    let mut matters = Vec::new();
    let waiting: u64 = known.queues.iter().map(|queue| queue.enqueued).sum();
    if known.servers.is_empty() && waiting > 0 {
        let text = format!("No server takes jobs; {}", plural(waiting, "job waits", "jobs wait"));
        matters.push(Matter::new(Weight::Bad, text, "servers"));
    }
    for server in known.servers {
        let silence = known.now.ms_since(server.heartbeat_at);
        if silence > SILENT_MS {
            let text =
                format!("Server {} (process {}) was last heard of {} ago", server.host, server.pid, span(silence));
            matters.push(Matter::new(Weight::Bad, text, "servers"));
        }
    }
    let versions = known.servers.iter().map(|server| server.version.as_str()).collect();
    let mut versions = sorted(versions, |one: &&str, other| one.cmp(other));
    versions.dedup();
    if versions.len() > 1 {
        let text = format!("Servers run different versions of Windlass: {}", versions.join(", "));
        matters.push(Matter::new(Weight::Notable, text, "servers"));
    }
    matters
}

fn queues(known: &Known<'_>) -> Vec<Matter> {
    let mut matters = Vec::new();
    for queue in known.queues {
        let waits = queue.oldest_at.map_or(0, |oldest| known.now.ms_since(oldest));
        if queue.paused {
            let waiting = plural(queue.enqueued, "job waits", "jobs wait");
            matters.push(Matter::new(Weight::Notable, format!("Queue {} is paused; {waiting}", queue.name), "queues"));
        } else if queue.enqueued > 0 && waits > LONG_WAIT_MS && !known.servers.is_empty() {
            let text = format!("The oldest job of queue {} has waited for {}", queue.name, span(waits));
            let link = format!("jobs?state=enqueued&queue={}", queue.name);
            matters.push(Matter::new(Weight::Notable, text, link));
        }
    }
    matters
}

fn handlers(known: &Known<'_>) -> Vec<Matter> {
    let Some(handlers) = known.handlers else {
        let failed = known.counts.of(State::Failed);
        let text = format!("{} failed", plural(failed, "job has", "jobs have"));
        return (failed > 0).then(|| Matter::new(Weight::Notable, text, "jobs?state=failed")).into_iter().collect();
    };
    let failing = handlers.iter().filter(|handled| handled.failed > 0).take(5);
    let matter = |handled: &Handled| {
        let total = handled.failed + handled.succeeded;
        let text = format!(
            "{}: {} of {} failed in the last hour",
            handled.path,
            count(handled.failed),
            plural(total, "job", "jobs")
        );
        let link = format!("jobs?state=failed&module={}&handler={}", handled.path.module, handled.path.handler);
        let weight = if handled.failed * 10 >= total { Weight::Bad } else { Weight::Notable };
        Matter::new(weight, text, link)
    };
    failing.map(matter).collect()
}

/// How much of a reason is told, in characters.
const REASON: usize = 160;

/// How many recurring jobs are told of: the page about them tells of all.
const RECURRING: usize = 5;

fn recurring_jobs(known: &Known<'_>) -> Vec<Matter> {
    let matter = |job: &RecurringJob| {
        let refused = job.last.as_ref().and_then(|last| last.refused.as_deref());
        let text = match (recurring::missed_ms(job, known.now), refused) {
            (Some(late), _) => format!("Recurring job {} was due {} ago and has not run", job.name, span(late)),
            (None, Some(reason)) if !job.paused => {
                format!("Recurring job {} enqueued nothing: {}", job.name, clip(reason, REASON))
            }
            _ => return None,
        };
        Some(Matter::new(Weight::Bad, text, format!("recurring/{}", job.name)))
    };
    known.recurring.iter().filter_map(matter).take(RECURRING).collect()
}

#[cfg(test)]
mod tests {
    use windlass_api::{RecurringOutcome, SlotUse};

    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn queue(name: &str, paused: bool, enqueued: u64, oldest_at: Option<i64>) -> QueueView {
        QueueView { name: name.parse().unwrap(), paused, enqueued, processing: 0, oldest_at: oldest_at.map(Timestamp) }
    }

    fn server(version: &str, heartbeat_at: i64) -> ServerView {
        ServerView {
            id: "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55".parse().unwrap(),
            host: "one".to_owned(),
            pid: 7,
            version: version.to_owned(),
            queues: Vec::new(),
            sync_slots: SlotUse::default(),
            async_slots: SlotUse::default(),
            memory_bytes: None,
            started_at: Timestamp(0),
            heartbeat_at: Timestamp(heartbeat_at),
        }
    }

    fn told(queues: &[QueueView], servers: &[ServerView], handlers: &[Handled]) -> Vec<String> {
        let counts = Counts::default();
        let known = Known {
            counts: &counts,
            queues,
            servers,
            modules: &[],
            handlers: Some(handlers),
            recurring: &[],
            now: NOW,
        };
        find(&known).into_iter().map(|matter| matter.text).collect()
    }

    #[test]
    fn nothing_is_told_where_all_is_well() {
        assert_eq!(told(&[queue("a", false, 5, Some(990_000))], &[server("1", 999_000)], &[]), [""; 0]);
    }

    #[test]
    fn what_stops_jobs_comes_first() {
        let queues = [queue("a", true, 1, None), queue("b", false, 2, Some(0))];
        let servers = [server("1", 999_000), server("2", 900_000)];
        let path = "m/h".parse().unwrap();
        let handlers = [Handled { path, succeeded: 1, failed: 3, retried: 0, mean_us: None }];
        assert_eq!(
            told(&queues, &servers, &handlers),
            [
                "Server one (process 7) was last heard of 1 min 40 s ago",
                "m/h: 3 of 4 jobs failed in the last hour",
                "Servers run different versions of Windlass: 1, 2",
                "Queue a is paused; 1 job waits",
                "The oldest job of queue b has waited for 16 min 40 s",
            ]
        );
        assert_eq!(told(&queues, &[], &[])[0], "No server takes jobs; 3 jobs wait");
    }

    #[test]
    fn recurring_jobs_that_were_missed_or_refused_are_told_unless_they_are_paused() {
        let outcome = RecurringOutcome {
            at: Timestamp(0),
            job: None,
            state: None,
            failure: None,
            refused: Some("no module has m/h".to_owned()),
            left_out: false,
        };
        let job =
            |name: &str, due: i64| RecurringJob { next_runs: vec![Timestamp(due)], ..recurring::tests::job(name) };
        let fine = job("fine", 2_000_000);
        let missed = job("missed", 400_000);
        let refused = RecurringJob { last: Some(outcome.clone()), ..job("refused", 2_000_000) };
        let paused = RecurringJob { paused: true, last: Some(outcome), ..job("paused", 400_000) };
        let jobs = [fine, missed, refused, paused];
        let counts = Counts::default();
        let (queues, servers, modules) = (&[], &[], &[]);
        let known =
            Known { counts: &counts, queues, servers, modules, handlers: Some(&[]), recurring: &jobs, now: NOW };
        let told: Vec<_> = find(&known).into_iter().map(|matter| matter.text).collect();
        assert_eq!(
            told,
            [
                "Recurring job missed was due 10 min ago and has not run",
                "Recurring job refused enqueued nothing: no module has m/h",
            ]
        );
    }
}
