//! What the model knows of a job, and what each step makes of it.

use std::collections::BTreeMap;

use windlass_api::{Digest, HistoryLine, JobId, LogLine, Mode, Progress, RequeueRequest, ServerId, State, Timestamp};

use crate::{Next, storage::Retention};

/// A line of a job's history, without what only the storage knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    from: Option<State>,
    to: State,
    at: Timestamp,
    by: String,
    reason: Option<String>,
    run: Option<u32>,
}

impl From<&HistoryLine> for Line {
    fn from(line: &HistoryLine) -> Self {
        let HistoryLine { from, to, at, by, reason, run, .. } = line.clone();
        Self { from, to, at, by, reason, run }
    }
}

/// What was asked of a running job, and by whom.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) reason: &'static str,
    pub(super) by: String,
}

/// A job as it should be.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) id: JobId,
    pub(super) queue: &'static str,
    pub(super) priority: u8,
    pub(super) mode: Mode,
    pub(super) state: State,
    pub(super) attempt: u32,
    pub(super) max_attempts: u32,
    pub(super) run: u32,
    pub(super) losses: u32,
    pub(super) server: Option<ServerId>,
    pub(super) asked: Option<Asked>,
    /// When it may start, while it is scheduled.
    pub(super) due_at: Timestamp,
    /// Since when it waits in its line.
    pub(super) ready_at: Timestamp,
    /// When it came into its line, as its history tells.
    pub(super) came_at: Timestamp,
    pub(super) history: Vec<Line>,
    /// The version that it is pinned to.
    pub(super) version: Option<Digest>,
    /// What its runs said last of how far they were, and which one.
    pub(super) progress: Option<(u32, Progress)>,
    pub(super) logs: Vec<LogLine>,
    pub(super) checkpoints: BTreeMap<&'static str, u64>,
}

/// A version of the module, as far as it matters: in which mode it runs the handler of all jobs, if it has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Active {
    pub(super) digest: Digest,
    pub(super) mode: Option<Mode>,
}

fn by_server(server: Option<ServerId>) -> String {
    server.map(|id| format!("server {id}")).unwrap_or_default()
}

impl Expected {
    pub(super) fn born(&mut self, state: State, now: Timestamp, by: &str) {
        self.state = state;
        (self.ready_at, self.came_at) = (now, now);
        let reason = (state == State::Awaiting).then(|| "handler-missing".to_owned());
        self.history = vec![Line { from: None, to: state, at: now, by: by.to_owned(), reason, run: None }];
    }

    fn step(&mut self, to: State, now: Timestamp, by: &str, reason: Option<&str>, run: Option<u32>) {
        let (by, reason) = (by.to_owned(), reason.map(str::to_owned));
        self.history.push(Line { from: Some(self.state), to, at: now, by, reason, run });
        self.state = to;
    }

    pub(super) fn promoted(&mut self, now: Timestamp) {
        self.step(State::Enqueued, now, "scheduler", None, None);
        (self.ready_at, self.came_at) = (self.due_at, now);
    }

    pub(super) fn claimed(&mut self, server: ServerId, active: Option<Active>, now: Timestamp) {
        self.version = self.version.or(active.map(|active| active.digest));
        (self.server, self.run, self.attempt) = (Some(server), self.run + 1, self.attempt + 1);
        self.step(State::Processing, now, &by_server(self.server), None, Some(self.run));
    }

    /// Ends its run in a state; gives what was asked of it, where that decides.
    fn end(&mut self, to: State, now: Timestamp, by: Option<&str>, reason: Option<&str>) {
        let own = by_server(self.server.take());
        let run = Some(self.run);
        match self.asked.take() {
            Some(asked) if to != State::Succeeded => {
                self.step(State::Deleted, now, &asked.by, Some(asked.reason), run);
            }
            _ => self.step(to, now, by.unwrap_or(&own), reason, run),
        }
    }

    pub(super) fn settled(&mut self, next: &Next, active: Option<Active>, now: Timestamp) {
        if matches!(next, Next::Snooze { .. } | Next::Released { .. } | Next::HandlerMissing) {
            self.attempt -= 1;
        }
        let is_asked = self.asked.is_some();
        match next {
            Next::Succeeded { .. } => self.end(State::Succeeded, now, None, None),
            Next::Retry { delay_ms, .. } => {
                self.due_at = now.plus_ms(*delay_ms);
                self.end(State::Scheduled, now, None, Some("retry"));
            }
            Next::Snooze { delay_ms } => {
                self.due_at = now.plus_ms(*delay_ms);
                self.end(State::Scheduled, now, None, Some("snooze"));
            }
            Next::Failed { failure } => self.end(State::Failed, now, None, Some(failure.cause.as_str())),
            Next::Released { reason, mode } => {
                if !is_asked {
                    self.mode = *mode;
                }
                self.end(State::Enqueued, now, None, Some(reason));
            }
            Next::HandlerMissing if is_asked => self.end(State::Deleted, now, None, None),
            Next::HandlerMissing => self.lack_handler(active, now),
            Next::Cancelled => self.end(State::Deleted, now, None, Some("cancelled")),
        }
    }

    /// It waits for its handler, unless another version has brought that since its run began.
    fn lack_handler(&mut self, active: Option<Active>, now: Timestamp) {
        let had = self.version.take();
        let brought = active.filter(|active| Some(active.digest) != had).and_then(|active| active.mode);
        if let Some(mode) = brought {
            self.mode = mode;
            self.end(State::Enqueued, now, None, None);
        } else {
            self.end(State::Awaiting, now, None, Some("handler-missing"));
        }
    }

    /// A version becomes active that has its handler.
    pub(super) fn handler_came(&mut self, mode: Mode, by: &str, now: Timestamp) {
        match self.state {
            State::Awaiting => {
                self.mode = mode;
                self.step(State::Enqueued, now, by, None, None);
                (self.ready_at, self.came_at) = (now, now);
            }
            State::Enqueued | State::Scheduled if self.version.is_none() => self.mode = mode,
            _ => {}
        }
    }

    /// A version lets it go where it waits on that; `mode` is how its handler runs in the active version.
    pub(super) fn let_go(&mut self, version: Digest, mode: Option<Mode>) -> Option<()> {
        let waits = matches!(self.state, State::Enqueued | State::Scheduled);
        (waits && self.version == Some(version)).then(|| {
            self.version = None;
            self.mode = mode.unwrap_or(self.mode);
        })
    }

    /// Whether it waits, pinned to no version, in the line of the other mode.
    pub(super) fn is_in_the_wrong_line(&self, mode: Mode) -> bool {
        matches!(self.state, State::Enqueued | State::Scheduled) && self.version.is_none() && self.mode != mode
    }

    pub(super) fn shown_progress(&self) -> Option<&Progress> {
        self.progress.as_ref().filter(|(run, _)| *run == self.run).map(|(_, progress)| progress)
    }

    /// Whether it ended longer ago than it is kept.
    pub(super) fn is_over(&self, retention: &Retention, now: Timestamp) -> bool {
        let ended_at = self.history.last().map_or(now, |line| line.at);
        retention.expires_at(self.state, ended_at).is_some_and(|expires_at| expires_at <= now)
    }

    pub(super) fn lost(&mut self, now: Timestamp) {
        self.losses += 1;
        if self.losses >= 3 {
            self.end(State::Failed, now, Some("sweeper"), Some("poison"));
        } else if self.attempt >= self.max_attempts {
            self.end(State::Failed, now, Some("sweeper"), Some("server-lost"));
        } else {
            self.end(State::Enqueued, now, Some("sweeper"), Some("server-lost"));
        }
    }

    pub(super) fn left(&mut self, now: Timestamp) {
        self.attempt -= 1;
        self.end(State::Enqueued, now, None, Some("shutdown"));
    }

    pub(super) fn imported(&mut self, active: Option<Active>, now: Timestamp) {
        if self.state == State::Processing {
            self.attempt -= 1;
            if self.asked.is_some() {
                self.asked = Some(Asked { reason: "cancelled", by: "import".to_owned() });
            }
            self.end(State::Enqueued, now, Some("import"), Some("imported"));
        }
        self.ready_at = self.came_at;
        // It would wait for ever for a handler that is here already.
        if let (State::Awaiting, Some(mode)) = (self.state, active.and_then(|active| active.mode)) {
            self.handler_came(mode, "import", now);
        }
    }

    pub(super) fn deleted(&mut self, asked: &Asked, now: Timestamp) {
        self.step(State::Deleted, now, &asked.by, Some(asked.reason), None);
    }

    pub(super) fn requeued(&mut self, how: RequeueRequest, active: Option<Active>, now: Timestamp, by: &str) {
        (self.attempt, self.losses, self.asked) = (0, 0, None);
        self.progress = None;
        self.logs.clear();
        if how.fresh {
            self.checkpoints.clear();
        }
        if how.newest {
            self.version = None;
            self.mode = active.and_then(|active| active.mode).unwrap_or(self.mode);
        }
        self.step(State::Enqueued, now, by, Some("requeued"), None);
        (self.ready_at, self.came_at) = (now, now);
    }
}
