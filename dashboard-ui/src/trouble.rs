//! What went wrong with a request, in the words that a page shows.

use std::fmt;

use windlass_api::{Problem, ProblemCode};

/// Why there is no answer, or not the one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The host did not answer: it is gone, or the way to it.
    Unreachable,
    /// The host answered with a problem.
    Problem(Problem),
    /// The host, of another version, does not have this.
    NotOffered,
    /// The answer is not of the shape that this page knows: the host is of another version.
    Unreadable(String),
}

impl Trouble {
    /// What an answer with an error status says.
    #[must_use]
    pub fn from_answer(status: u16, body: &str) -> Self {
        match serde_json::from_str::<Problem>(body) {
            Ok(problem)
                if problem.code == ProblemCode::NotFound && problem.detail.starts_with("there is nothing at") =>
            {
                Self::NotOffered
            }
            Ok(problem) => Self::Problem(problem),
            // A gateway in between, which speaks for itself and not for the host.
            Err(_) if matches!(status, 502..=504) => Self::Unreachable,
            Err(_) if matches!(status, 404 | 405) => Self::NotOffered,
            Err(_) => Self::Unreadable(format!("status {status}")),
        }
    }

    /// Whether it is that the thing does not exist, or no longer.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.code == ProblemCode::NotFound)
    }

    /// Whether it was refused for what would break, which a person may accept.
    #[must_use]
    pub fn would_break(&self) -> bool {
        matches!(self, Self::Problem(problem) if problem.code == ProblemCode::WouldBreak)
    }

    /// Whether the same request may succeed later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable => true,
            // Whoever is not signed in now may be so in a moment, and finds the page as it was.
            Self::Problem(problem) => problem.status == 503 || problem.code == ProblemCode::Unauthenticated,
            Self::NotOffered | Self::Unreadable(_) => false,
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("the host does not answer"),
            Self::Problem(problem) => problem.fmt(f),
            Self::NotOffered => f.write_str("this host does not offer that; it is of another version than this page"),
            Self::Unreadable(what) => {
                write!(f, "the host's answer cannot be read ({what}); if it was upgraded, reload this page")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_told_in_the_hosts_own_words() {
        let body = serde_json::to_string(&Problem::new(ProblemCode::Conflict, "job 1 is deleted")).unwrap();
        assert_eq!(Trouble::from_answer(409, &body).to_string(), "job 1 is deleted");
    }

    #[test]
    fn what_the_host_does_not_have_is_told_from_what_is_gone() {
        let problem = |detail: &str| serde_json::to_string(&Problem::new(ProblemCode::NotFound, detail)).unwrap();
        assert_eq!(Trouble::from_answer(404, &problem("there is nothing at /api/v1/events")), Trouble::NotOffered);
        assert!(Trouble::from_answer(404, &problem("there is no job 1")).is_not_found());
    }

    #[test]
    fn a_gateway_without_a_host_is_a_lost_connection() {
        assert_eq!(Trouble::from_answer(502, "<html>Bad Gateway</html>"), Trouble::Unreachable);
        assert!(matches!(Trouble::from_answer(500, "oops"), Trouble::Unreadable(_)));
        assert!(Trouble::Unreachable.may_pass());
    }
}
