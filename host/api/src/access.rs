//! Who may do what.

use serde::{Deserialize, Serialize};

use crate::{Timestamp, words::words};

words! {
    /// What a token allows. Each role may do all that those before it may.
    Role {
        /// Reads: jobs, modules, queues, servers, events, metrics.
        Viewer = "viewer",
        /// Enqueues, cancels, requeues and deletes jobs, pauses queues.
        Operator = "operator",
        /// Deploys components and activates versions; so it can read all that is granted to modules.
        Deployer = "deployer",
        /// Everything.
        Admin = "admin",
    }
}

/// Signs a browser in.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    /// The token.
    pub token: String,
}

impl std::fmt::Debug for SessionRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionRequest").finish_non_exhaustive()
    }
}

/// Who the host takes the caller for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionView {
    /// Whether this host asks for tokens at all. Where it does not, everybody has the role `admin`, or, in an application, the one
    /// that the application gives them.
    pub required: bool,
    /// Whether this host changes nothing, whoever asks.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub read_only: bool,
    /// What the caller may do; absent where nobody is signed in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<Role>,
    /// The name of the token, or theirs as the application says it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// When the session or the token ends, whichever comes first.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expires_at: Option<Timestamp>,
}
