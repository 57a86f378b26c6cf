//! What the demo's jobs work on: pictures, a big table, and the host's configuration.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::{shell::step, workspace::Workspace};

/// How many pictures there are.
pub(crate) const PICTURES: usize = 20;

/// How many rows the table has.
const ROWS: u32 = 100_000;

/// Whose presence shows that a folder was made by the demo.
const CONFIGURATION: &str = "windlass.toml";

/// The demo's folder.
pub(crate) struct Data {
    folder: PathBuf,
    /// The names of the pictures' files.
    pub(crate) pictures: Vec<String>,
}

impl Data {
    /// Makes the folder afresh.
    pub(crate) fn prepare(workspace: &Workspace) -> Result<Self> {
        let folder = workspace.root.join("demo-data");
        remove(&folder)?;
        let data = Self { folder, pictures: Vec::new() };
        // First, so that whatever fails next, the folder is known as the demo's.
        fs::create_dir(&data.folder).with_context(|| format!("failed to create {}", data.folder.display()))?;
        fs::write(data.configuration(), "# Being written.\n")?;
        fs::create_dir(data.path("data"))?;
        let pictures = data.path("pictures");
        let mut maker = Command::new(workspace.example("make_pictures"));
        step("making pictures", maker.arg(&pictures).arg(PICTURES.to_string()))?;
        let mut maker = Command::new(workspace.example("make_sales"));
        step("making a table", maker.arg(data.path("data/sales.csv")).arg(ROWS.to_string()))?;
        let mut names: Vec<_> = fs::read_dir(&pictures)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_>>()?;
        names.sort();
        ensure!(names.len() == PICTURES, "there are {} pictures in {}", names.len(), pictures.display());
        Ok(Self { pictures: names, ..data })
    }

    /// A file in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The host's configuration.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.path(CONFIGURATION)
    }

    /// Writes the host's configuration: what each example is granted, and nothing else.
    pub(crate) fn configure(&self, listen: SocketAddr, pages: SocketAddr) -> Result<()> {
        // A JSON string is a TOML string too.
        let path = |name: &str| json!(self.path(name)).to_string();
        let storage = json!(format!("sqlite:{}", self.path("windlass.db").display()));
        let text = format!(
            r#"storage = {storage}
listen = "{listen}"

[module.images]
directories = [{{ host = {pictures}, guest = "/pictures", write = true }}]

[module.links]
http = ["{pages}"]
private_networks = true

[module.reports]
directories = [{{ host = {data}, guest = "/data", write = true }}]
"#,
            pictures = path("pictures"),
            data = path("data"),
        );
        let file = self.configuration();
        fs::write(&file, text).with_context(|| format!("failed to write {}", file.display()))
    }
}

/// Removes what an earlier demo left, unless it is still in use or something else.
fn remove(folder: &Path) -> Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    if !folder.join(CONFIGURATION).is_file() {
        bail!("{} was not made by the demo; move it out of the way", folder.display());
    }
    if let Ok(lock) = File::open(folder.join("windlass.db.lock")) {
        ensure!(lock.try_lock().is_ok(), "another demo's host still runs on {}; stop it first", folder.display());
    }
    fs::remove_dir_all(folder).with_context(|| format!("failed to remove {}", folder.display()))
}
