//! `windlass build`: a project becomes a component.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use windlass_api::HandlerSpec;

use super::{
    Exit, Global,
    arguments::Config,
    component, files, format, modules,
    project::{Language, Project},
};
use crate::config::{self, Overrides};

/// Build the component of a project, and tell its handlers.
///
/// The language is told by the files: Cargo.toml for Rust, app.py for Python, package.json with app.js for JavaScript. The work is
/// done by `cargo build --release --target wasm32-wasip2`, by componentize-py (that of the project's .venv, where it has one) or
/// by componentize-qjs; where one is missing, it is said how to get it. The component is then compiled and asked for its handlers, as
/// a host does it, under the limits that windlass.toml has under [compile].
#[derive(Args, Debug)]
pub(super) struct Build {
    /// The project's folder.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// The language, where the files tell of several.
    #[arg(long)]
    lang: Option<Language>,
    /// Where the component goes [default: DIR/NAME.wasm, with the folder's name].
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    config: Config,
}

/// What was made.
#[derive(Serialize)]
struct Built {
    file: PathBuf,
    size_bytes: u64,
    module: String,
    version: String,
    sdk: String,
    handlers: Vec<HandlerSpec>,
}

pub(super) async fn run(command: Build, global: &Global) -> anyhow::Result<Exit> {
    let settings = config::load(command.config.config.as_deref(), Overrides::default())?;
    let project = Project::find(&command.folder, command.lang)?;
    let file = command.output.unwrap_or_else(|| shown(&command.folder, &project.component()));
    project.build(&file).await?;
    let bytes = files::read(&file, "the component", "build it again")?;
    let size_bytes = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    let unfit = || format!("{} was built, and no host would take it", file.display());
    let component = component::load(&settings, bytes).await.with_context(unfit)?;
    let described = component::describe(&component).await.with_context(unfit)?;
    let built = Built {
        size_bytes,
        module: described.name,
        version: described.version,
        sdk: described.sdk,
        handlers: described.handlers,
        file,
    };
    global.output().show(&built, told)?;
    Ok(Exit::Fine)
}

/// The component in the words of whoever named the folder.
fn shown(folder: &Path, component: &Path) -> PathBuf {
    match component.file_name() {
        Some(name) if folder == Path::new(".") => name.into(),
        Some(name) => folder.join(name),
        None => component.to_owned(),
    }
}

fn told(built: &Built) -> String {
    let Built { file, size_bytes, module, version, sdk, handlers } = built;
    let [module, version, sdk] = [module, version, sdk].map(|text| format::one_line(text, 100));
    format!(
        "{} is the component of {module} {version} ({}, {sdk})\n\n{}",
        file.display(),
        format::size(*size_bytes),
        modules::handlers(handlers)
    )
}
