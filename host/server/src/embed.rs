//! A host within another program: the dashboard with the API, and a worker where it is to have one. What applications put around it
//! are the crates for their web frameworks.
//!
//! There is no listener and no token here: requests come from the application, which says with each who calls. Nor does anything
//! here listen for signals.

use std::{
    env,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::bail;
use axum::{body::Body, http::Request, response::Response};
use tokio::{runtime::Handle, task::JoinSet};
use tower::ServiceExt as _;
use windlass_api::{Role, Timestamp};
use windlass_jobs::{Clock as _, SystemClock, storage::Storage};

use crate::{
    config::{Sandboxes, Settings},
    host::{self, Host},
    http::Guard,
    storage,
};

/// No name of a visitor is longer, in bytes.
const MAX_NAME_BYTES: usize = 100;

/// How long before its host an application opens its storage, for what that finds of the host before.
const OPENED_WITHIN_MS: i64 = 60_000;

/// The programs that compile components in a process of their own.
const COMPILERS: [&str; 2] = ["windlass", "windlass-compile"];

/// Who uses the dashboard of an application, as the application says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    name: String,
    role: Role,
}

impl Visitor {
    /// Somebody of this name, which stands in the history of the jobs that they command, with what this role allows. What is over
    /// 100 bytes of the name is left out, and so are control characters.
    #[must_use]
    pub fn new(name: &str, role: Role) -> Self {
        let mut name: String = name.chars().filter(|letter| !letter.is_control()).collect();
        name.truncate(name.floor_char_boundary(MAX_NAME_BYTES));
        Self { name, role }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }
}

/// A host within another program.
pub struct Embedded {
    host: Host,
    hurry: Box<dyn Fn() + Send + Sync>,
    runtime: Handle,
}

impl std::fmt::Debug for Embedded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedded").finish_non_exhaustive()
    }
}

/// Opens the storage that the settings name as a host does: one that is away is waited for.
///
/// # Errors
/// Where waiting would not help: another host has the file, the storage is of a newer version, a password is wrong.
pub async fn open(settings: &Settings) -> anyhow::Result<Arc<dyn Storage>> {
    storage::open(settings).await
}

impl Embedded {
    /// Starts on the present runtime, by the settings of the hosts on this storage. Of these, what is about listening and access is
    /// not looked at, but for `read_only`, and the storage is the one that is given. Without any, components are not taken: it is
    /// not known whose signatures the hosts ask for.
    ///
    /// # Errors
    /// Where the settings do not go together, a folder or a secret is missing, or the storage does not take the registration.
    pub async fn start(
        storage: Arc<dyn Storage>,
        settings: Option<Settings>,
        takes_jobs: bool,
    ) -> anyhow::Result<Self> {
        if takes_jobs && !storage.is_for_host() {
            bail!(
                "the storage was opened to enqueue into it, and another host may take it: open it with `open(&settings)`, or with \
                 `OpenOptions::host()`, to have jobs run here"
            );
        }
        let takes_components = settings.is_some();
        let mut settings = settings.unwrap_or_default().settle().map_err(anyhow::Error::msg)?;
        if takes_jobs || takes_components {
            settings.compile.program.get_or_insert_with(compiler);
        }
        host::check_folder(&settings)?;
        let sandboxes = if takes_jobs { Some(Arc::new(Sandboxes::read(&settings).await?)) } else { None };
        // The application has opened its storage some time before.
        let since = Timestamp(SystemClock.now().0 - OPENED_WITHIN_MS);
        let host = Host::start(storage, &settings, Guard::Application { takes_components }, sandboxes, since).await?;
        Ok(Self { hurry: Box::new(host.hurry()), host, runtime: Handle::current() })
    }

    /// Answers a request for the dashboard or the API, whose path is the one below where the application has put the dashboard. Of
    /// what the application knows of the request nothing is passed on but the visitor.
    pub async fn answer(&self, mut request: Request<Body>, visitor: Visitor) -> Response {
        // What an outer router has left there would be taken for this one's.
        request.extensions_mut().clear();
        request.extensions_mut().insert(visitor);
        let routes = self.host.routes();
        // What requests begin, such as bulk actions, must not end with the runtime that they come in on. Whoever goes away before
        // the answer takes the request along.
        let mut answering = JoinSet::new();
        answering.spawn_on(routes.oneshot(request), &self.runtime);
        match answering.join_next().await {
            Some(Ok(Ok(response))) => response,
            // It broke off; what was said of it stands in the log.
            _ => {
                let mut response =
                    Response::new(Body::from("the dashboard failed; the log of the application tells why"));
                *response.status_mut() = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }

    /// Begins the end, when the application's server is told to stop: streams of events are ended, since the server would wait
    /// for them, and no more jobs are taken.
    pub fn wind_down(&self) {
        self.host.wind_down();
        self.host.end_streams();
    }

    /// Cuts the grace period of running jobs short, before [`Self::stop`] or while it waits.
    pub fn hurry(&self) {
        (self.hurry)();
    }

    /// Stops, when the application's server has ended: jobs that run go on for the grace period and are then given back. The
    /// storage is closed.
    ///
    /// # Errors
    /// Where the worker had failed; the storage is closed all the same.
    pub async fn stop(&self) -> anyhow::Result<()> {
        self.wind_down();
        let ended = self.host.stop_worker().await;
        self.host.close().await;
        ended
    }
}

/// The program that compiles components: beside this one, or in `PATH`. Where there is none, it is said what fails now.
fn compiler() -> PathBuf {
    let beside = env::current_exe().ok().and_then(|this| this.parent().map(Path::to_owned));
    let path = env::var_os("PATH").unwrap_or_default();
    let found = find_compiler(beside.into_iter().chain(env::split_paths(&path)));
    found.unwrap_or_else(|| {
        tracing::warn!(
            "there is no program `windlass` beside this one or in PATH, so no component can be compiled here: deploying fails, and \
             so do jobs whose module was not compiled on this machine before; install it, or name it as `program` under [compile]"
        );
        PathBuf::from(COMPILERS[0])
    })
}

fn find_compiler(folders: impl Iterator<Item = PathBuf>) -> Option<PathBuf> {
    folders
        .flat_map(|folder| COMPILERS.map(|name| folder.join(format!("{name}{}", env::consts::EXE_SUFFIX))))
        .find(|program| program.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitors_name_fits_into_a_line_of_history() {
        assert_eq!(Visitor::new("ann\n", Role::Viewer).name(), "ann");
        let long = Visitor::new(&"ä".repeat(100), Role::Viewer);
        assert_eq!(long.name(), "ä".repeat(50));
    }

    #[test]
    fn the_compiler_is_looked_for_folder_by_folder() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        let folders = || [first.clone(), second.clone()].into_iter();
        assert_eq!(find_compiler(folders()), None);
        for (place, name) in [(&second, "windlass"), (&first, "windlass-compile")] {
            std::fs::create_dir(place).unwrap();
            let program = place.join(format!("{name}{}", env::consts::EXE_SUFFIX));
            std::fs::write(&program, "").unwrap();
            assert_eq!(find_compiler(folders()), Some(program));
        }
    }
}
