//! `windlass dev`: a project on a host, built and deployed again with each change, its jobs' logs told as they come.

mod host;
mod sources;
mod tail;

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use tokio::task::JoinHandle;
use windlass_api::ModuleName;
use windlass_http_client::DeployOptions;

use self::{host::DevHost, sources::Sources};
use super::{
    Exit, Global, deploy, files,
    output::say,
    project::{Language, Project, ToolFailed},
};
use crate::{
    remote::{Remote, RemoteError},
    signals::StopSignals,
};

/// Build and deploy a project, again with each change, and tell what its jobs log.
///
/// It uses the host at --url. Where that is not given and none runs at the usual address, one is started there, for as long as this
/// command runs: in the project's folder, whose windlass.toml it reads, with its jobs in .windlass. A build that fails is told of, and
/// the version before stays. What the jobs of the module log goes to standard output, all else to standard error. Ctrl-C ends it, with
/// the host that it started.
#[derive(Args, Debug)]
pub(super) struct Dev {
    /// The project's folder.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The language, where the files tell of several.
    #[arg(long)]
    lang: Option<Language>,
    /// Start a host of its own at this address, such as 127.0.0.1:7879, whatever runs elsewhere.
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    listen: Option<SocketAddr>,
}

/// An address that others can be told of.
fn address(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(address),
        _ => Err("expected an address with a port, such as 127.0.0.1:7879".to_owned()),
    }
}

pub(super) async fn run(command: Dev, global: &Global) -> anyhow::Result<Exit> {
    let mut signals = StopSignals::listen().context("failed to listen for signals")?;
    let project = Project::find(&command.folder, command.lang)?;
    // Before the first build, so that no change is missed.
    let sources = Sources::watch(&project.folder)?;
    let mut host = DevHost::find_or_start(&project.folder, command.listen, global).await?;
    let work = Work { project, remote: host.remote().clone(), is_own_host: host.is_own(), global };
    let outcome = tokio::select! {
        outcome = work.go_on(sources) => outcome,
        error = host.gone() => Err(error),
        name = signals.next() => {
            say(&format!("{name} received: that is all"));
            Ok(Exit::Fine)
        }
    };
    host.stop(&mut signals).await?;
    outcome
}

struct Work<'a> {
    project: Project,
    remote: Remote,
    is_own_host: bool,
    global: &'a Global,
}

impl Work<'_> {
    /// Builds and deploys for ever; ends where the host or the sources cannot be reached.
    async fn go_on(&self, mut sources: Sources) -> anyhow::Result<Exit> {
        host::until_ready(&self.remote).await?;
        let mut deployed = None;
        let mut told: Option<Told> = None;
        loop {
            match self.build_and_deploy(&mut deployed).await {
                Ok(Some(module)) if told.as_ref().is_none_or(|told| told.module != module) => {
                    told = Some(Told::start(&self.remote, module, self.global));
                }
                Ok(_) => {}
                Err(error) if may_be_mended(&error) => say(&format!("error: {error:#}")),
                Err(error) => return Err(error),
            }
            say("waiting for a change; Ctrl-C ends it");
            tokio::select! {
                changed = sources.changed() => changed?,
                error = tailed(&mut told) => return Err(error),
            }
            say("something changed: building again");
        }
    }

    /// Gives the module where something new was deployed; `deployed` is what was deployed last.
    async fn build_and_deploy(&self, deployed: &mut Option<Vec<u8>>) -> anyhow::Result<Option<ModuleName>> {
        let component = self.project.component();
        self.project.build(&component).await?;
        let bytes = files::read(&component, "the component", "build it again")?;
        if deployed.as_ref() == Some(&bytes) {
            say("the component is as it was");
            return Ok(None);
        }
        // Where nobody else works, nothing breaks that is not about to be mended.
        let options = DeployOptions { name: None, signature: None, keep_inactive: false, force: self.is_own_host };
        let answer = self.remote.deploy(bytes.clone(), options).await.context("failed to deploy the component")?;
        *deployed = Some(bytes);
        say(&deploy::describe(&answer));
        if let Some(warning) = deploy::warning(&answer) {
            say(&warning);
        }
        Ok(Some(answer.module))
    }
}

/// Whether a change of the sources may mend it: the compiler or the host did not like them.
fn may_be_mended(error: &anyhow::Error) -> bool {
    let refused = matches!(error.downcast_ref(), Some(RemoteError::Refused(_)));
    refused || error.is::<ToolFailed>() || error.is::<super::exit::Usage>()
}

/// The logs of a module's jobs, being told.
struct Told {
    module: ModuleName,
    task: JoinHandle<anyhow::Error>,
}

impl Told {
    fn start(remote: &Remote, module: ModuleName, global: &Global) -> Self {
        let (remote, output, of) = (remote.clone(), global.output(), module.clone());
        Self { module, task: tokio::spawn(async move { tail::tell(remote, of, output).await }) }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why the logs are not told any more.
async fn tailed(told: &mut Option<Told>) -> anyhow::Error {
    match told {
        Some(told) => {
            (&mut told.task).await.unwrap_or_else(|error| anyhow::anyhow!("failed to tell the logs: {error}"))
        }
        None => std::future::pending().await,
    }
}
