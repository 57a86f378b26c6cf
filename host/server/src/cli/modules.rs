//! `windlass modules`: what is deployed.

use anyhow::{Context as _, bail};
use clap::Subcommand;
use windlass_api::{
    CanaryDropped, Digest, GrantedDirectory, HandlerSpec, LimitRange, ModuleGrants, ModuleName, ModuleView, RunLimits,
    VersionView,
};

use super::{Exit, Global, exit::Usage, format, retry, table};
use crate::remote::Remote;

/// Shorter beginnings of a digest would soon fit several versions.
const SHORTEST_DIGEST: usize = 4;

#[derive(Debug, Default, Subcommand)]
pub(super) enum Command {
    /// List all modules with their active versions.
    #[default]
    List,
    /// Show a module's versions, and the handlers of the active one.
    Show {
        /// The module.
        name: ModuleName,
    },
    /// Show what the host grants to a module, by its own settings, and what a run of it may take.
    Grants {
        /// The module.
        name: ModuleName,
    },
    /// Send new jobs to another version of a module, such as an older one.
    Activate {
        /// The module.
        name: ModuleName,
        /// The version: its digest, or the beginning of it.
        digest: String,
        /// Do it whatever breaks: handlers that are gone while jobs wait for them, payloads that are not taken any more.
        #[arg(long)]
        force: bool,
    },
    /// Send a share of the new jobs to a version beside the active one. Which jobs those are follows from their ids.
    Canary {
        /// The module.
        name: ModuleName,
        /// The version: its digest, or the beginning of it.
        digest: String,
        /// How many of a hundred new jobs, 1 to 100.
        #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u8).range(1..=100))]
        percent: u8,
        /// Do it whatever breaks: payloads that are not taken any more.
        #[arg(long)]
        force: bool,
    },
    /// Send all new jobs to the canary.
    Promote {
        /// The module.
        name: ModuleName,
        /// Do it whatever breaks: handlers that are gone while jobs wait for them, payloads that are not taken any more.
        #[arg(long)]
        force: bool,
    },
    /// Send all new jobs to the active version again, and those too that began on the canary and wait to go on.
    Drop {
        /// The module.
        name: ModuleName,
        /// Leave the jobs that began on the canary with it.
        #[arg(long)]
        keep_pins: bool,
    },
    /// Remove a version that no new jobs go to; jobs that began on it and wait to go on do so on the active version.
    Retire {
        /// The module.
        name: ModuleName,
        /// The version: its digest, or the beginning of it.
        digest: String,
        /// Leave the jobs that began on it with it, and refuse while there are any.
        #[arg(long)]
        keep_pins: bool,
    },
}

pub(super) async fn run(command: Command, global: &Global) -> anyhow::Result<Exit> {
    let remote = global.remote()?;
    match command {
        Command::List => global.output().show(&remote.modules().await?, |modules| list(modules))?,
        Command::Show { name } => global.output().show(&remote.module(&name).await?, show)?,
        Command::Grants { name } => {
            let grants = remote.module_grants(&name).await;
            let grants = grants.with_context(|| format!("failed to read what {name} is granted"))?;
            global.output().show(&grants, grants_text)?;
        }
        Command::Activate { name, digest, force } => {
            let digest = named(&remote, &name, &digest).await?;
            let module = remote.activate(&name, digest, force).await;
            let module = module.with_context(|| format!("failed to activate version {} of {name}", digest.short()))?;
            global.output().show(&module, show)?;
        }
        Command::Canary { name, digest, percent, force } => {
            let digest = named(&remote, &name, &digest).await?;
            let module = remote.begin_canary(&name, digest, percent, force).await;
            let module =
                module.with_context(|| format!("failed to make version {} of {name} its canary", digest.short()))?;
            global.output().show(&module, show)?;
        }
        Command::Promote { name, force } => {
            let module = remote.promote_canary(&name, force).await;
            let module = module.with_context(|| format!("failed to promote the canary of {name}"))?;
            global.output().show(&module, show)?;
        }
        Command::Drop { name, keep_pins } => {
            let dropped = remote.drop_canary(&name, keep_pins).await;
            let dropped = dropped.with_context(|| format!("failed to drop the canary of {name}"))?;
            let CanaryDropped { digest, unpinned } = dropped;
            global.output().show(&dropped, |_| unpinned_text(&name, digest, "no canary any more", unpinned))?;
        }
        Command::Retire { name, digest, keep_pins } => {
            let digest = named(&remote, &name, &digest).await?;
            let retired = remote.retire(&name, digest, keep_pins).await;
            let retired = retired.with_context(|| format!("failed to retire version {} of {name}", digest.short()))?;
            global.output().show(&retired, |_| unpinned_text(&name, digest, "retired", retired.unpinned))?;
        }
    }
    Ok(Exit::Fine)
}

fn grants_text(grants: &ModuleGrants) -> String {
    let names = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    let folder = |folder: &GrantedDirectory| {
        if folder.write { format!("{} (may write)", folder.guest) } else { folder.guest.clone() }
    };
    let folders: Vec<_> = grants.directories.iter().map(folder).collect();
    let RunLimits { fuel, timeout_ms, memory_bytes, log_bytes, follow_ups, result_bytes } = grants.limits;
    let range =
        |range: LimitRange, text: fn(u64) -> String| format!("{}, at most {}", text(range.default), text(range.max));
    let mut hosts = names(&grants.http);
    if grants.private_networks {
        hosts.push_str(", also at private addresses");
    }
    table::fields(&[
        ("http", Some(hosts)),
        ("directories", Some(names(&folders))),
        ("environment", Some(names(&grants.environment))),
        ("config", Some(names(&grants.config))),
        ("secrets", Some(names(&grants.secrets))),
        ("fuel", Some(range(fuel, format::count))),
        ("timeout", Some(range(timeout_ms, format::span))),
        ("memory", Some(range(memory_bytes, format::size))),
        ("logs", Some(format::size(log_bytes))),
        ("follow-ups", Some(format::count(follow_ups.into()))),
        ("result", Some(format::size(result_bytes))),
    ])
}

/// What a version is now, and what became of the jobs that had begun on it.
fn unpinned_text(name: &ModuleName, digest: Digest, what: &str, unpinned: u64) -> String {
    let jobs = match unpinned {
        0 => "no job that began on it was let go".to_owned(),
        1 => "1 job that began on it goes on with the active version".to_owned(),
        many => format!("{many} jobs that began on it go on with the active version"),
    };
    format!("{name} {} is {what}; {jobs}", digest.short())
}

/// The version that is named by its digest or the beginning of it.
async fn named(remote: &Remote, module: &ModuleName, digest: &str) -> anyhow::Result<Digest> {
    match digest.parse() {
        Ok(digest) => Ok(digest),
        Err(_) => find(&remote.module(module).await?, digest),
    }
}

/// The version whose digest begins so.
fn find(module: &ModuleView, beginning: &str) -> anyhow::Result<Digest> {
    let beginning = beginning.to_lowercase();
    if beginning.len() < SHORTEST_DIGEST || !beginning.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Usage(format!(
            "`{beginning}` is not a version: expected at least the first {SHORTEST_DIGEST} of its 64 hexadecimal digits"
        ))
        .into());
    }
    let mut fitting = module.versions.iter().filter(|version| version.digest.to_string().starts_with(&beginning));
    match (fitting.next(), fitting.next()) {
        (Some(version), None) => Ok(version.digest),
        (None, _) => bail!(
            "module `{}` has no version {beginning}: `windlass modules show {}` lists those there are",
            module.name,
            module.name
        ),
        (Some(_), Some(_)) => bail!("module `{}` has several versions {beginning}…: give more digits", module.name),
    }
}

fn list(modules: &[ModuleView]) -> String {
    if modules.is_empty() {
        return "no modules yet: deploy one with `windlass deploy FILE`".to_owned();
    }
    let now = format::now();
    let rows = modules.iter().map(|module| {
        let active = module.versions.iter().find(|version| version.active);
        let of_active = |text: fn(&VersionView) -> String| active.map_or_else(|| "-".to_owned(), text);
        let deployed = active.map_or_else(|| "-".to_owned(), |version| format::relative(version.deployed_at, now));
        vec![
            module.name.to_string(),
            of_active(|version| version.digest.short()),
            of_active(|version| format::one_line(&version.version, 20)),
            of_active(|version| version.handlers.len().to_string()),
            module.versions.len().to_string(),
            deployed,
        ]
    });
    table::table(&["MODULE", "ACTIVE", "VERSION", "HANDLERS", "VERSIONS", "DEPLOYED"], &[0, 1], &[3, 4], rows)
}

fn show(module: &ModuleView) -> String {
    let now = format::now();
    let rows = module.versions.iter().map(|version| {
        vec![
            version.digest.short(),
            state(version),
            format::one_line(&version.version, 20),
            format::one_line(&version.sdk, 30),
            format::size(version.size_bytes),
            format::relative(version.deployed_at, now),
        ]
    });
    let versions = table::table(&["DIGEST", "STATE", "VERSION", "SDK", "SIZE", "DEPLOYED"], &[0], &[4], rows);
    let active = module.versions.iter().find(|version| version.active);
    let handlers = active.map(|version| format!("\n\n{}", handlers(&version.handlers))).unwrap_or_default();
    format!("{}\n\n{versions}{handlers}", module.name)
}

fn state(version: &VersionView) -> String {
    match version {
        VersionView { active: true, .. } => "active".to_owned(),
        VersionView { canary_percent: Some(percent), .. } => format!("canary {percent}%"),
        VersionView { retired_at: Some(_), .. } => "retired".to_owned(),
        _ => String::new(),
    }
}

/// What a version can do.
pub(super) fn handlers(handlers: &[HandlerSpec]) -> String {
    let rows = handlers.iter().map(|handler| {
        let HandlerSpec { name, mode, queue, max_attempts, retry, timeout_ms, summary, .. } = handler;
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            name.to_string(),
            mode.to_string(),
            or_dash(queue.as_ref().map(ToString::to_string)),
            or_dash(max_attempts.map(|attempts| attempts.to_string())),
            or_dash(retry.as_ref().map(retry::shown)),
            or_dash(timeout_ms.map(format::span)),
            format::one_line(summary.as_deref().unwrap_or_default(), 60),
        ]
    });
    table::table(&["HANDLER", "MODE", "QUEUE", "ATTEMPTS", "RETRY", "TIMEOUT", "SUMMARY"], &[0], &[3], rows)
}

#[cfg(test)]
mod tests {
    use windlass_api::Timestamp;

    use super::*;

    fn module(digests: &[u8]) -> ModuleView {
        let version = |&first: &u8| VersionView {
            digest: Digest([first; 32]),
            size_bytes: 1,
            version: "1".to_owned(),
            sdk: "sdk".to_owned(),
            handlers: Vec::new(),
            deployed_at: Timestamp(0),
            active: false,
            canary_percent: None,
            retired_at: None,
        };
        ModuleView { name: "images".parse().unwrap(), versions: digests.iter().map(version).collect() }
    }

    #[test]
    fn a_version_is_found_by_the_beginning_of_its_digest() {
        let images = module(&[0xab, 0xcd]);
        assert_eq!(find(&images, "CDCD").unwrap(), Digest([0xcd; 32]));
        assert!(find(&images, "eeee").unwrap_err().to_string().contains("has no version eeee"));
        assert!(find(&module(&[0xab, 0xab]), "abab").unwrap_err().to_string().contains("give more digits"));
        assert!(find(&images, "ab").unwrap_err().is::<Usage>());
        assert!(find(&images, "latest").unwrap_err().is::<Usage>());
    }
}
