//! What the history of a job that comes from another storage tells of it.

use windlass_api::{HistoryLine, JobDetail, ServerId, State, Timestamp};

/// A job's history, taken apart.
pub(crate) struct Past<'a> {
    /// The state that the job was made in.
    pub(crate) born: State,
    /// Who made it.
    pub(crate) made_by: &'a str,
    /// Since when it is in its state.
    pub(crate) since: Timestamp,
    /// When it came into its line last.
    pub(crate) ready_at: Timestamp,
    /// The lines after the first one.
    lines: &'a [HistoryLine],
}

/// What is kept as one line.
pub(crate) enum Step<'a> {
    /// A step in which no run ended.
    Plain(&'a HistoryLine),
    /// A run: its beginning, where the history still has it, and its end.
    Run { start: Option<&'a HistoryLine>, end: &'a HistoryLine },
}

impl<'a> Past<'a> {
    pub(crate) fn of(detail: &'a JobDetail) -> Self {
        let created_at = detail.job.created_at;
        let (first, lines) = match detail.history.split_first() {
            Some((first, lines)) if first.from.is_none() => (Some(first), lines),
            _ => (None, detail.history.as_slice()),
        };
        // A job that comes back from a server keeps its place, so only a line from elsewhere counts.
        let came = lines.iter().rev().find(|line| line.to == State::Enqueued && line.from != Some(State::Processing));
        Self {
            born: first.map_or(State::Enqueued, |first| first.to),
            made_by: first.map_or("client", |first| first.by.as_str()),
            since: detail.history.last().map_or(created_at, |line| line.at),
            ready_at: came.map_or(created_at, |line| line.at),
            lines,
        }
    }

    /// The lines as they are kept: the beginning of a run is not one by itself.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step<'a>> + use<'a> {
        let mut start = None;
        self.lines.iter().filter_map(move |line| match (line.from, line.run) {
            (_, Some(_)) if line.to == State::Processing => {
                start = Some(line);
                None
            }
            (_, Some(run)) => {
                let start = start.take().filter(|start: &&HistoryLine| start.run == Some(run));
                Some(Step::Run { start, end: line })
            }
            (_, None) => Some(Step::Plain(line)),
        })
    }

    /// The server of the run that goes on.
    pub(crate) fn open_server(&self) -> Option<ServerId> {
        self.lines.last().filter(|line| line.to == State::Processing).and_then(server_of)
    }
}

/// The server that a line was written by.
pub(crate) fn server_of(line: &HistoryLine) -> Option<ServerId> {
    line.by.strip_prefix("server ")?.parse().ok()
}
