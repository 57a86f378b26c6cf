//! Which role each route takes. A route that is not in the table is refused to everybody, so that none is forgotten.

use windlass_api::Role;

/// What a route asks of its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Need {
    /// Nothing: nothing of jobs is told here.
    Nothing,
    /// This role, or one above it.
    Role(Role),
}

/// What the table says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Rule {
    /// It is a route that asks this.
    Needs(Need),
    /// The path is one, and does not take the method.
    OtherMethod,
    /// There is no such route in the table.
    Unknown,
}

use Need::Nothing;

const VIEWER: Need = Need::Role(Role::Viewer);
const OPERATOR: Need = Need::Role(Role::Operator);
const DEPLOYER: Need = Need::Role(Role::Deployer);
const ADMIN: Need = Need::Role(Role::Admin);

/// Method, path, need; in the order of the router. `HEAD` is as `GET`.
pub(in super::super) const TABLE: &[(&str, &str, Need)] = &[
    ("GET", "/api/v1/jobs", VIEWER),
    ("POST", "/api/v1/jobs", OPERATOR),
    ("GET", "/api/v1/jobs/count", VIEWER),
    ("POST", "/api/v1/jobs/bulk", OPERATOR),
    ("POST", "/api/v1/jobs/bulk-actions", OPERATOR),
    ("GET", "/api/v1/jobs/{id}", VIEWER),
    ("DELETE", "/api/v1/jobs/{id}", OPERATOR),
    ("GET", "/api/v1/jobs/{id}/logs", VIEWER),
    ("GET", "/api/v1/jobs/{id}/relations", VIEWER),
    ("GET", "/api/v1/jobs/{id}/wait", VIEWER),
    ("POST", "/api/v1/jobs/{id}/cancel", OPERATOR),
    ("POST", "/api/v1/jobs/{id}/requeue", OPERATOR),
    ("GET", "/api/v1/bulk-actions", VIEWER),
    ("GET", "/api/v1/bulk-actions/{id}", VIEWER),
    ("DELETE", "/api/v1/bulk-actions/{id}", OPERATOR),
    ("GET", "/api/v1/counts", VIEWER),
    ("GET", "/api/v1/stats/counters", VIEWER),
    ("GET", "/api/v1/limits", VIEWER),
    ("PUT", "/api/v1/limits/{target}", OPERATOR),
    ("DELETE", "/api/v1/limits/{target}", OPERATOR),
    ("GET", "/api/v1/modules", VIEWER),
    ("POST", "/api/v1/modules", DEPLOYER),
    ("GET", "/api/v1/modules/{name}", VIEWER),
    ("GET", "/api/v1/modules/{name}/grants", OPERATOR),
    ("POST", "/api/v1/modules/{name}/activate", DEPLOYER),
    ("PUT", "/api/v1/modules/{name}/canary", DEPLOYER),
    ("DELETE", "/api/v1/modules/{name}/canary", DEPLOYER),
    ("POST", "/api/v1/modules/{name}/promote", DEPLOYER),
    ("POST", "/api/v1/modules/{name}/retire", DEPLOYER),
    ("GET", "/api/v1/queues", VIEWER),
    ("POST", "/api/v1/queues/{name}/pause", OPERATOR),
    ("POST", "/api/v1/queues/{name}/resume", OPERATOR),
    ("GET", "/api/v1/recurring", VIEWER),
    ("GET", "/api/v1/recurring/{name}", VIEWER),
    ("PUT", "/api/v1/recurring/{name}", OPERATOR),
    ("DELETE", "/api/v1/recurring/{name}", OPERATOR),
    ("POST", "/api/v1/recurring/{name}/pause", OPERATOR),
    ("POST", "/api/v1/recurring/{name}/resume", OPERATOR),
    ("POST", "/api/v1/recurring/{name}/trigger", OPERATOR),
    ("GET", "/api/v1/servers", VIEWER),
    ("GET", "/api/v1/events", VIEWER),
    ("GET", "/api/v1/session", Nothing),
    ("POST", "/api/v1/session", Nothing),
    ("DELETE", "/api/v1/session", Nothing),
    ("GET", "/api/v1/audit", ADMIN),
    ("GET", "/api/v1/openapi.json", Nothing),
    ("GET", "/metrics", VIEWER),
    ("GET", "/healthz", Nothing),
    ("GET", "/readyz", Nothing),
    ("GET", "/assets/{name}", Nothing),
];

/// The methods that a path takes, as `Allow` names them.
pub(in super::super) fn methods(path: &str) -> String {
    let of_path = TABLE.iter().filter(|(_, known, _)| *known == path).map(|(method, _, _)| *method);
    of_path
        .flat_map(|method| if method == "GET" { vec!["GET", "HEAD"] } else { vec![method] })
        .collect::<Vec<_>>()
        .join(", ")
}

/// What is asked for a request that the router has matched to a path.
pub(in super::super) fn rule(method: &str, path: &str) -> Rule {
    let method = if method == "HEAD" { "GET" } else { method };
    let mut of_path = TABLE.iter().filter(|(_, known, _)| *known == path).peekable();
    if of_path.peek().is_none() {
        return Rule::Unknown;
    }
    of_path.find(|(known, _, _)| *known == method).map_or(Rule::OtherMethod, |(_, _, need)| Rule::Needs(*need))
}

impl Need {
    /// Whether a caller of this role, or one who is not known, is let in.
    pub(in super::super) fn admits(self, role: Option<Role>) -> bool {
        match self {
            Self::Nothing => true,
            Self::Role(needed) => role.is_some_and(|role| role >= needed),
        }
    }
}
