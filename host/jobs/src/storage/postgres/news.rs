//! What processes tell each other over a channel of notifications, as text.

use uuid::Uuid;
use windlass_api::{JobId, ServerId};

use crate::Fence;

/// How many ends of jobs one notification tells: PostgreSQL takes at most 8,000 bytes.
pub(super) const ENDS_AT_ONCE: usize = 200;

/// One notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// There is work for those who asked to be told.
    Work,
    /// A version was activated.
    Modules,
    /// A cancel was asked for a run.
    Cancel(Fence),
    /// Jobs have ended.
    Ends(Vec<JobId>),
    /// Somebody waits for the ends of jobs.
    EndsWanted,
    /// What a listener tells itself to see whether notifications come through.
    Ping(Uuid),
}

impl News {
    pub(super) fn write(&self) -> String {
        match self {
            Self::Work => "w".to_owned(),
            Self::Modules => "m".to_owned(),
            Self::Cancel(fence) => format!("c{}:{}:{}", fence.job, fence.run, fence.server),
            Self::Ends(jobs) => {
                jobs.iter().fold("e".to_owned(), |text, job| text + job.0.as_simple().encode_lower(&mut [0; 32]))
            }
            Self::EndsWanted => "x".to_owned(),
            Self::Ping(id) => format!("p{id}"),
        }
    }

    /// Nothing where it is of a newer version, or somebody else's.
    pub(super) fn read(text: &str) -> Option<Self> {
        let kind = text.chars().next()?;
        let rest = &text[kind.len_utf8()..];
        match kind {
            'w' => Some(Self::Work),
            'm' => Some(Self::Modules),
            'x' => Some(Self::EndsWanted),
            'p' => rest.parse().ok().map(Self::Ping),
            'c' => {
                let mut parts = rest.splitn(3, ':');
                let job = parts.next()?.parse::<JobId>().ok()?;
                let run = parts.next()?.parse().ok()?;
                let server = parts.next()?.parse::<ServerId>().ok()?;
                Some(Self::Cancel(Fence { job, run, server }))
            }
            'e' => {
                let ids = rest.as_bytes().chunks(32).map(|id| Uuid::try_parse_ascii(id).map(JobId));
                ids.collect::<Result<_, _>>().ok().map(Self::Ends)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_read_back_as_they_were_written_and_nothing_else_is_one() {
        let job = || JobId(Uuid::now_v7());
        let fence = Fence { job: job(), run: 7, server: ServerId(Uuid::new_v4()) };
        let all = [
            News::Work,
            News::Modules,
            News::Cancel(fence),
            News::Ends(vec![job(), job()]),
            News::EndsWanted,
            News::Ping(Uuid::new_v4()),
        ];
        for news in all {
            assert_eq!(News::read(&news.write()), Some(news));
        }
        for other in ["", "é", "c1:2", "pxyz", "e123", "hello"] {
            assert_eq!(News::read(other), None, "{other}");
        }
        assert!(News::Ends(vec![job(); ENDS_AT_ONCE]).write().len() < 8_000);
    }
}
