//! What is handed out: the program in its release build with the dashboard inside, man pages, completions, what systemd
//! needs, and the checksums of all of it, in a folder and in an archive.

use std::{
    env::consts::EXE_SUFFIX,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::{
    dashboard, docs,
    shell::{capture, cargo, say, step},
    workspace::Workspace,
};

/// The shells that completions are made for, with the names that they look for.
const COMPLETIONS: [(&str, &str); 3] = [("bash", "windlass.bash"), ("zsh", "_windlass"), ("fish", "windlass.fish")];

/// Files that go along as they are.
const BESIDE: [&str; 5] =
    ["LICENSE", "LICENSE-APACHE", "LICENSE-MIT", "CHANGELOG.md", "packaging/systemd/windlass.service"];

pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    dashboard::build(workspace)?;
    let mut build = cargo(workspace);
    build.args(["build", "--release", "--locked", "--package", "windlass", "--bin", "windlass"]);
    step("building the host in release (from nothing this takes some minutes)", &mut build)?;
    let built = workspace.release("windlass");
    let name = name(&built)?;
    let parent = workspace.target.join("dist");
    let folder = parent.join(&name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("failed to empty {}", folder.display()))?;
    }
    fill(workspace, &built, &folder)?;
    let archive = parent.join(format!("{name}.tar.gz"));
    let mut tar = Command::new("tar");
    step("packing", tar.arg("-czf").arg(&archive).arg("-C").arg(&parent).arg(&name))?;
    let sum = format!("{}  {name}.tar.gz\n", sum(&archive)?);
    fs::write(parent.join(format!("{name}.tar.gz.sha256")), sum)?;
    say(&format!("{} is ready, its checksum beside it", archive.display()));
    Ok(())
}

/// The version as the program tells it, and the machine that it is for.
fn name(windlass: &Path) -> Result<String> {
    let version = capture(Command::new(windlass).arg("--version"))?;
    let version = version.trim().rsplit(' ').next().unwrap_or_default().to_owned();
    let rustc = capture(Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("-vV"))?;
    let machine = rustc.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    Ok(format!("windlass-{version}-{machine}"))
}

fn fill(workspace: &Workspace, built: &Path, folder: &Path) -> Result<()> {
    let completions = folder.join("completions");
    fs::create_dir_all(&completions).with_context(|| format!("failed to make {}", completions.display()))?;
    copy(built, &folder.join(format!("windlass{EXE_SUFFIX}")))?;
    for file in BESIDE {
        let from = workspace.root.join(file);
        copy(&from, &folder.join(from.file_name().unwrap_or_default()))?;
    }
    docs::generate_with(built, "man", &folder.join("man"))?;
    for (shell, file) in COMPLETIONS {
        let script = capture(Command::new(built).args(["completions", shell]))?;
        fs::write(completions.join(file), script)?;
    }
    let mut files = Vec::new();
    gather(folder, &mut files)?;
    files.sort();
    let mut sums = String::new();
    for file in files {
        let shown = file.strip_prefix(folder).unwrap_or(&file).display();
        sums.push_str(&format!("{}  {shown}\n", sum(&file)?));
    }
    fs::write(folder.join("SHA256SUMS"), sums)?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("failed to copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn gather(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { gather(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

/// As `sha256sum` writes it.
fn sum(file: &Path) -> Result<String> {
    let content = fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
    Ok(Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect())
}
