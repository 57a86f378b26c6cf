//! Building the dashboard: cargo makes a WebAssembly module of it, wasm-bindgen what loads it in a browser; both, the
//! style and the page go into one folder under names that tell their content, compressed. The host takes the folder in
//! when it is built.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};
use wasm_bindgen_cli_support::Bindgen;

use crate::{
    shell::{cargo, say, step},
    workspace::Workspace,
};

const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "dashboard";
const PACKAGE: &str = "windlass-dashboard";

/// The first load should take no more, compressed: a page that is slow to come is not kept open.
const GOAL_BYTES: usize = 300 << 10;

/// Builds it into `dashboard-ui/dist`.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(["build", "--package", PACKAGE, "--bin", PACKAGE, "--target", TARGET, "--profile", PROFILE]);
    step("building the dashboard", &mut command)?;
    let module = workspace.target.join(TARGET).join(PROFILE).join(format!("{PACKAGE}.wasm"));
    let files = Files::assemble(&workspace.root.join("dashboard-ui/page"), &module)?;
    let first_load = files.put(&folder(workspace))?;
    let (load, goal) = (first_load.div_ceil(1 << 10), GOAL_BYTES >> 10);
    let verdict = if first_load > GOAL_BYTES { format!(", over the goal of {goal} KiB") } else { String::new() };
    say(&format!("the dashboard's first load is {load} KiB compressed{verdict}"));
    Ok(())
}

/// Where it is built to.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("dashboard-ui/dist")
}

/// What is served, by name.
#[derive(Default)]
struct Files {
    files: BTreeMap<String, Vec<u8>>,
    /// Under which name the pages know each, and the name that tells its content.
    names: BTreeMap<&'static str, String>,
}

impl Files {
    /// Each before what names it, the page last.
    fn assemble(page: &Path, module: &Path) -> Result<Self> {
        let read = |name: &str| {
            let file = page.join(name);
            fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))
        };
        let Bound { module, mut script, snippets } = bind(module)?;
        let mut files = Self::default();
        files.add("style.css", style(page)?.into_bytes());
        files.add("icon.svg", read("icon.svg")?.into_bytes());
        files.add("theme.js", read("theme.js")?.into_bytes());
        for (path, text) in snippets {
            let named = files.add("snippet.js", text.into_bytes());
            script = script.replace(&path, &format!("./{named}"));
        }
        ensure!(!script.contains("./snippets/"), "the script asks for a snippet that is not there");
        files.add("dashboard.js", script.into_bytes());
        files.add("dashboard.wasm", module);
        let boot = files.named(&read("boot.js")?, "");
        files.add("boot.js", boot.into_bytes());
        let index = files.named(&read("index.html")?, "assets/");
        files.files.insert("index.html".to_owned(), index.into_bytes());
        Ok(files)
    }

    /// Takes a file in under a name that tells its content, so that browsers may keep it for ever. Gives that name.
    fn add(&mut self, name: &'static str, content: Vec<u8>) -> String {
        let digest: String = Sha256::digest(&content).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
        let named = format!("{stem}-{digest}.{extension}");
        self.files.insert(format!("assets/{named}"), content);
        self.names.insert(name, named.clone());
        named
    }

    /// Puts the names in the places that are kept for them.
    fn named(&self, text: &str, folder: &str) -> String {
        let names = self.names.iter();
        names.fold(text.to_owned(), |text, (name, named)| {
            text.replace(&format!("{{{{{name}}}}}"), &format!("{folder}{named}"))
        })
    }

    /// Writes them, plain and compressed, in place of what was there. Gives the size of the first load.
    fn put(&self, folder: &Path) -> Result<usize> {
        // The folder itself stays: the host's build watches it.
        let assets = folder.join("assets");
        if assets.exists() {
            fs::remove_dir_all(&assets).with_context(|| format!("failed to empty {}", folder.display()))?;
        }
        fs::create_dir_all(assets).with_context(|| format!("failed to make {}", folder.display()))?;
        let mut first_load = 0;
        for (name, content) in &self.files {
            let brotli = brotli(content)?;
            first_load += brotli.len();
            let write = |suffix: &str, content: &[u8]| {
                let file = folder.join(format!("{name}{suffix}"));
                fs::write(&file, content).with_context(|| format!("failed to write {}", file.display()))
            };
            write("", content)?;
            write(".gz", &gzip(content)?)?;
            write(".br", &brotli)?;
        }
        Ok(first_load)
    }
}

/// The module as browsers need it, and what loads it there.
struct Bound {
    module: Vec<u8>,
    script: String,
    /// What the script brings in from crates, by the path under which it asks for it.
    snippets: Vec<(String, String)>,
}

fn bind(module: &Path) -> Result<Bound> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).out_name("dashboard").typescript(false).omit_default_module_path(true);
    bindgen.remove_name_section(true).remove_producers_section(true);
    let mut output = bindgen.web(true)?.generate_output().context("wasm-bindgen")?;
    ensure!(output.npm_dependencies().is_empty(), "a dependency of the dashboard asks for packages of npm");
    let mut snippets = Vec::new();
    for (crate_name, inline) in output.snippets() {
        let named =
            (0..).zip(inline).map(|(at, text)| (format!("./snippets/{crate_name}/inline{at}.js"), text.clone()));
        snippets.extend(named);
    }
    let modules = output.local_modules().iter();
    snippets.extend(modules.map(|(path, text)| (format!("./snippets/{path}"), text.clone())));
    snippets.sort();
    let module = output.wasm_mut().emit_wasm();
    Ok(Bound { module, script: output.js().to_owned(), snippets })
}

/// The style, of its parts in the order of their numbers.
fn style(page: &Path) -> Result<String> {
    let entries = fs::read_dir(page).with_context(|| format!("failed to read {}", page.display()))?;
    let mut parts = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    parts.retain(|path| path.extension().is_some_and(|extension| extension == "css"));
    parts.sort();
    ensure!(!parts.is_empty(), "there is no style in {}", page.display());
    let read = |path: &PathBuf| fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()));
    parts.iter().map(read).collect()
}

fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

fn brotli(content: &[u8]) -> Result<Vec<u8>> {
    let mut compressed = Vec::new();
    // The most there is: it is done once, and loaded often.
    let parameters = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, ..Default::default() };
    brotli::BrotliCompress(&mut &*content, &mut compressed, &parameters)?;
    Ok(compressed)
}
