//! Who the viewer is for the host, and what is offered to them. The host decides what is allowed; what it would refuse is
//! not offered in the first place.

use windlass_api::{ProblemCode, Role, SessionView, Timestamp};

use crate::trouble::Trouble;

/// How long to wait where the host does not say, in seconds.
const WAIT_S: u32 = 60;

/// No longer, whatever the host says.
const MOST_S: u32 = 3_600;

/// Who the viewer is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// The host has not said yet.
    #[default]
    Unknown,
    /// The host asks nobody for a token.
    Open {
        /// Whether it changes nothing, whoever asks.
        read_only: bool,
    },
    /// Signed in.
    In(Viewer),
    /// Not signed in.
    Out(Reason),
}

/// Who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The name of the token.
    pub name: String,
    /// What it allows.
    pub role: Role,
    /// When the session ends.
    pub expires_at: Option<Timestamp>,
    /// Whether it was a token that they signed in with; else the application says who they are that the dashboard is a part of.
    pub by_token: bool,
    /// Whether the host changes nothing, whoever asks.
    pub read_only: bool,
}

/// Why nobody is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Nobody was.
    NotYet,
    /// The viewer signed out.
    SignedOut,
    /// The session of this viewer came to its time.
    Expired(Viewer),
    /// The session of this viewer was ended: elsewhere, or since the host was started anew.
    Ended(Viewer),
}

/// What is heard of it.
#[derive(Clone, Debug)]
pub enum Event {
    /// The host says who the viewer is.
    Told(SessionView),
    /// The host does not have sessions: it is of an earlier version, and asks nobody.
    NotOffered,
    /// The host refused a request, since it does not know who sends it.
    Refused {
        /// The time.
        now: Timestamp,
    },
    /// The viewer signed out.
    SignedOut,
}

impl Access {
    /// Whether the host answers questions, as far as is known.
    #[must_use]
    pub const fn may_ask(&self) -> bool {
        !matches!(self, Self::Out(_))
    }

    /// Whether what changes something and takes this role is offered. Before the host has said so nothing is, which is a moment.
    #[must_use]
    pub fn may(&self, role: Role) -> bool {
        self.may_read(role) && !self.is_read_only()
    }

    /// Whether what only shows something and takes this role is offered.
    #[must_use]
    pub fn may_read(&self, role: Role) -> bool {
        match self {
            Self::Open { .. } => true,
            Self::In(viewer) => viewer.role >= role,
            Self::Unknown | Self::Out(_) => false,
        }
    }

    /// Whether the host changes nothing, whoever asks.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        matches!(self, Self::Open { read_only: true } | Self::In(Viewer { read_only: true, .. }))
    }

    /// Who is signed in, or was until the session ended.
    #[must_use]
    pub const fn viewer(&self) -> Option<&Viewer> {
        match self {
            Self::In(viewer) | Self::Out(Reason::Expired(viewer) | Reason::Ended(viewer)) => Some(viewer),
            _ => None,
        }
    }
}

/// Takes in what is heard. Gives whether what is on the page belongs to somebody else now, so that it must go.
pub fn update(event: Event, access: &mut Access) -> bool {
    match event {
        Event::NotOffered => *access = Access::Open { read_only: false },
        Event::Told(SessionView { required: false, name: None, read_only, .. }) => *access = Access::Open { read_only },
        Event::Told(SessionView { required, role: Some(role), name, expires_at, read_only }) => {
            let viewer = Viewer { name: name.unwrap_or_default(), role, expires_at, by_token: required, read_only };
            let is_other = access.viewer().is_some_and(|before| before.name != viewer.name);
            *access = Access::In(viewer);
            return is_other;
        }
        Event::Told(SessionView { role: None, .. }) => match access {
            Access::In(viewer) => *access = Access::Out(Reason::Ended(viewer.clone())),
            Access::Unknown | Access::Open { .. } => *access = Access::Out(Reason::NotYet),
            Access::Out(_) => {}
        },
        Event::Refused { now } => match access {
            Access::In(viewer) => {
                let viewer = viewer.clone();
                let is_over = viewer.expires_at.is_some_and(|expires_at| expires_at <= now);
                *access = Access::Out(if is_over { Reason::Expired(viewer) } else { Reason::Ended(viewer) });
            }
            Access::Unknown | Access::Open { .. } => *access = Access::Out(Reason::NotYet),
            Access::Out(_) => {}
        },
        Event::SignedOut => {
            *access = Access::Out(Reason::SignedOut);
            return true;
        }
    }
    false
}

/// Why signing in failed, and for how many seconds it need not be tried again. `retry_after` is what the host said of that.
#[must_use]
pub fn refusal(trouble: &Trouble, retry_after: Option<u32>) -> (String, u32) {
    match trouble {
        Trouble::Problem(problem) if problem.code == ProblemCode::TooManyAttempts => {
            let text = "the host does not know this token, and there were too many wrong ones from your address";
            (text.to_owned(), retry_after.unwrap_or(WAIT_S).clamp(1, MOST_S))
        }
        Trouble::Problem(problem) if problem.code == ProblemCode::Unauthenticated => {
            ("the host does not know this token, or it has expired".to_owned(), 0)
        }
        other => (other.to_string(), 0),
    }
}

#[cfg(test)]
mod tests {
    use windlass_api::Problem;

    use super::*;

    fn told(role: Option<Role>, name: &str) -> Event {
        let name = Some(name.to_owned()).filter(|_| role.is_some());
        Event::Told(SessionView { required: true, read_only: false, role, name, expires_at: Some(Timestamp(1_000)) })
    }

    #[test]
    fn a_host_that_asks_nobody_offers_everything_and_one_that_has_not_said_so_nothing() {
        let mut access = Access::default();
        assert!(access.may_ask() && !access.may(Role::Viewer));
        update(
            Event::Told(SessionView {
                required: false,
                read_only: false,
                role: Some(Role::Admin),
                name: None,
                expires_at: None,
            }),
            &mut access,
        );
        assert!(access.may(Role::Admin));
    }

    #[test]
    fn whom_an_application_lets_in_is_offered_what_it_gives_them_and_no_way_out() {
        let mut access = Access::default();
        let name = Some("anna".to_owned());
        let told = SessionView { required: false, read_only: false, role: Some(Role::Viewer), name, expires_at: None };
        update(Event::Told(told), &mut access);
        assert!(access.may(Role::Viewer) && !access.may(Role::Operator));
        assert!(access.viewer().is_some_and(|viewer| viewer.name == "anna" && !viewer.by_token));
    }

    #[test]
    fn a_host_that_changes_nothing_offers_nobody_to_change_anything_and_shows_what_it_would_show() {
        let told = |name: Option<&str>| {
            let (required, name) = (name.is_some(), name.map(str::to_owned));
            let role = Some(Role::Admin);
            Event::Told(SessionView { required, read_only: true, role, name, expires_at: None })
        };
        for name in [None, Some("anna")] {
            let mut access = Access::default();
            assert!(!access.is_read_only());
            update(told(name), &mut access);
            assert!(access.is_read_only());
            assert!(Role::ALL.iter().all(|role| !access.may(*role) && access.may_read(*role)), "{access:?}");
        }
    }

    #[test]
    fn a_role_is_offered_what_it_may_do_and_what_those_before_it_may() {
        let mut access = Access::default();
        update(told(Some(Role::Operator), "anna"), &mut access);
        let may: Vec<_> = Role::ALL.iter().filter(|role| access.may(**role)).collect();
        assert_eq!(may, [&Role::Viewer, &Role::Operator]);
    }

    #[test]
    fn a_session_that_is_over_is_told_from_one_that_was_ended_and_from_none() {
        let out = |now| {
            let mut access = Access::default();
            update(told(Some(Role::Viewer), "anna"), &mut access);
            update(Event::Refused { now: Timestamp(now) }, &mut access);
            access
        };
        assert!(matches!(out(2_000), Access::Out(Reason::Expired(_))));
        assert!(matches!(out(500), Access::Out(Reason::Ended(_))));
        let mut access = Access::default();
        update(Event::Refused { now: Timestamp(0) }, &mut access);
        assert_eq!(access, Access::Out(Reason::NotYet));
        assert!(!access.may_ask());
    }

    #[test]
    fn what_is_on_the_page_stays_for_whoever_comes_back_and_goes_for_anybody_else() {
        let mut access = Access::default();
        assert!(!update(told(Some(Role::Viewer), "anna"), &mut access));
        assert!(!update(told(None, ""), &mut access));
        assert!(!update(told(Some(Role::Viewer), "anna"), &mut access));
        update(Event::Refused { now: Timestamp(5_000) }, &mut access);
        assert!(update(told(Some(Role::Admin), "ben"), &mut access));
        assert!(update(Event::SignedOut, &mut access));
        assert_eq!(access.viewer(), None);
    }

    #[test]
    fn who_tried_too_often_is_told_when_to_try_again() {
        let problem = |code| Trouble::Problem(Problem::new(code, "detail"));
        assert_eq!(refusal(&problem(ProblemCode::TooManyAttempts), None).1, 60);
        assert_eq!(refusal(&problem(ProblemCode::TooManyAttempts), Some(17)).1, 17);
        assert_eq!(refusal(&problem(ProblemCode::Unauthenticated), None).1, 0);
        assert_eq!(refusal(&Trouble::Unreachable, None), ("the host does not answer".to_owned(), 0));
    }
}
