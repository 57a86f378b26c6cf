//! `windlass deploy`: a component, handed to a host.

use std::{fs, io::ErrorKind, path::PathBuf};

use anyhow::Context as _;
use clap::Args;
use windlass_api::{Deployed, ModuleName};
use windlass_http_client::DeployOptions;

use super::{Exit, Global, files, format, modules, oci, output::say};
use crate::modules::signature_file;

/// Deploy a component to a running host.
///
/// The host checks and compiles it, asks it for its handlers, keeps it under the digest of its bytes and, unless told
/// otherwise, sends new jobs to it. Whatever the host does not accept it refuses with the reason, and nothing changes; so it
/// does where something would break that goes on with the version before.
#[derive(Args, Debug)]
pub(super) struct Deploy {
    /// The component: a .wasm file, or oci://REGISTRY/NAME:TAG, which is fetched from there by this command.
    #[arg(value_name = "FILE")]
    component: PathBuf,
    /// The module's name [default: what the component calls itself].
    #[arg(long)]
    name: Option<ModuleName>,
    /// The component's signature, as `minisign -S -m FILE` makes it [default: FILE.minisig, where that is there].
    #[arg(long)]
    signature: Option<PathBuf>,
    /// Keep the version without sending new jobs to it.
    #[arg(long)]
    no_activate: bool,
    /// Send new jobs to it whatever breaks: handlers that are gone while jobs wait for them, payloads that are not taken any more.
    #[arg(long, conflicts_with = "no_activate")]
    force: bool,
}

pub(super) async fn run(command: Deploy, global: &Global) -> anyhow::Result<Exit> {
    let component = command.component.display();
    let reference = command.component.to_str().and_then(oci::reference);
    let bytes = match reference {
        Some(reference) => Box::pin(oci::fetch(reference)).await?,
        None => files::read(&command.component, "the component", "build it first")?,
    };
    let signature = signature(&command)?;
    let options = DeployOptions {
        name: command.name.as_ref(),
        signature: signature.as_deref(),
        keep_inactive: command.no_activate,
        force: command.force,
    };
    let deployed = global.remote()?.deploy(bytes, options).await;
    let deployed = deployed.with_context(|| format!("failed to deploy {component}"))?;
    global.output().show(&deployed, describe)?;
    if let Some(warning) = warning(&deployed) {
        say(&warning);
    }
    Ok(Exit::Fine)
}

/// What was signed: the file that is named must be there, the one beside the component need not.
fn signature(command: &Deploy) -> anyhow::Result<Option<String>> {
    let beside = signature_file(&command.component);
    let file = command.signature.as_ref().unwrap_or(&beside);
    match fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound && command.signature.is_none() => Ok(None),
        signature => signature
            .map(Some)
            .map_err(|error| files::unread(file, "the signature", "make it with `minisign -S -m FILE`", &error)),
    }
}

/// What was deployed.
pub(super) fn describe(deployed: &Deployed) -> String {
    let Deployed { module, version, already_known, dropped_handlers: _ } = deployed;
    let what = if *already_known { "already there" } else { "deployed" };
    let state = if version.active { "active" } else { "not active" };
    let size = format::size(version.size_bytes);
    format!(
        "{module} {} ({size}) is {what} and {state}\n\n{}",
        version.digest.short(),
        modules::handlers(&version.handlers)
    )
}

/// What a deploy took away.
pub(super) fn warning(deployed: &Deployed) -> Option<String> {
    let Deployed { module, dropped_handlers, .. } = deployed;
    let paths: Vec<_> = dropped_handlers.iter().map(|handler| format!("{module}/{handler}")).collect();
    (!paths.is_empty()).then(|| {
        format!(
            "warning: the version that was active before had {}, and this one has not; their jobs wait until a version \
             has them again (`windlass modules activate {module} DIGEST` goes back to the one before)",
            paths.join(", ")
        )
    })
}
