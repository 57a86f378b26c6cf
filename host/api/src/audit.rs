//! Who did what.

use serde::{Deserialize, Serialize};

use crate::{Role, Timestamp};

/// Something that somebody did, or was kept from doing, through the API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Who, as in the history of jobs: `token NAME`, or `api` where nobody is asked who they are.
    pub by: String,
    /// The role that they had.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<Role>,
    /// What, by method and route: `POST /api/v1/queues/{name}/pause`.
    pub action: String,
    /// On what: the path's own values, such as a job's id or a queue's name; at most 300 bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
    /// The status that it was answered with.
    pub status: u16,
    /// The address that it came from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub from: Option<String>,
}
