//! Building the dashboard: cargo makes a WebAssembly module of it, which is split into what every page needs and what only
//! some do (`split`); wasm-bindgen makes what loads it in a browser. All of it, the style and the page go into one folder
//! under names that tell their content, compressed. The host takes the folder in when it is built.

mod compress;
mod split;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use sha2::{Digest, Sha256};

use self::{
    compress::{brotli, gzip},
    split::Split,
};
use crate::{
    shell::{cargo, say, step},
    workspace::Workspace,
};

const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "dashboard";
const PACKAGE: &str = "windlass-dashboard";

/// The first load of any page takes no more, compressed: what is slow to come is not kept open. What the page asks of the API
/// comes on top, some thousand bytes, so that this is not all of the 300,000 that the browser's test counts.
const MOST_BYTES: usize = 295_000;

/// Builds it into `dashboard-ui/dist`.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let mut command = cargo(workspace);
    command.args(["rustc", "--package", PACKAGE, "--bin", PACKAGE, "--target", TARGET, "--profile", PROFILE]);
    // Of the last step only: what needs what is told by what the linker would leave out otherwise.
    command.args(["--", "-Clink-arg=--emit-relocs"]);
    step("building the dashboard", &mut command)?;
    let module = workspace.target.join(TARGET).join(PROFILE).join(format!("{PACKAGE}.wasm"));
    let split = Split::new(&module, &workspace.target.join("dashboard-parts"))?;
    let files = Files::assemble(&workspace.root.join("dashboard-ui/page"), split)?;
    let sizes = files.put(&folder(workspace))?;
    let loads = files.loads(&sizes);
    let told: Vec<_> = loads.iter().map(|(pages, bytes)| format!("{pages} {}", kilobytes(*bytes))).collect();
    say(&format!("the dashboard's first load, compressed: {}", told.join(", ")));
    check(&loads)
}

/// Where it is built to.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.root.join("dashboard-ui/dist")
}

/// What a first load of pages takes, in bytes, by the pages.
type Loads = BTreeMap<String, usize>;

fn check(loads: &Loads) -> Result<()> {
    for (pages, bytes) in loads {
        ensure!(
            *bytes <= MOST_BYTES,
            "the first load of the dashboard's pages `{pages}` is {bytes} bytes compressed, and may be {MOST_BYTES}: make \
             its code smaller, or move pages into other bundles in dashboard-ui/src/ui/later.rs"
        );
    }
    Ok(())
}

fn kilobytes(bytes: usize) -> String {
    format!("{} kB", bytes.div_ceil(1_000))
}

/// What is served, by name.
#[derive(Default)]
struct Files {
    files: BTreeMap<String, Vec<u8>>,
    /// Under which name the pages know each, and the name that tells its content.
    names: BTreeMap<String, String>,
    /// What is fetched for some pages only, by the pages.
    bundles: BTreeMap<String, String>,
}

impl Files {
    /// Each before what names it, the page last.
    fn assemble(page: &Path, split: Split) -> Result<Self> {
        let read = |name: &str| {
            let file = page.join(name);
            fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))
        };
        let Split { module, mut script, loads, bundles, snippets } = split;
        let mut files = Self::default();
        files.add("style.css", style(page)?.into_bytes());
        files.add("icon.svg", read("icon.svg")?.into_bytes());
        files.add("theme.js", read("theme.js")?.into_bytes());
        for (path, text) in snippets {
            let named = files.add("snippet.js", text.into_bytes());
            script = script.replace(&path, &format!("./{named}"));
        }
        ensure!(!script.contains("./snippets/"), "the script asks for a snippet that is not there");
        let mut loader = read(split::LOADER)? + &loads;
        for (pages, bundle) in bundles {
            let name = split::bundle_name(&pages);
            let named = files.add(&name, bundle);
            loader = loader.replace(&format!("\"./{name}\""), &format!("\"./{named}\""));
            files.bundles.insert(pages, name);
        }
        files.add("dashboard.wasm", module);
        // Each of the two names the other: both are called by what both say.
        let told = digest(&[script.as_bytes(), loader.as_bytes()].concat());
        let (named_script, named_loader) = (named("dashboard.js", &told), named(split::LOADER, &told));
        let script = split::with_loader(&script, &named_loader)?;
        let loader = split::with_script(&loader, &named_script)?;
        files.put_in(split::LOADER, named_loader, loader.into_bytes());
        files.put_in("dashboard.js", named_script, script.into_bytes());
        let boot = files.with_names(&read("boot.js")?, "");
        files.add("boot.js", boot.into_bytes());
        let index = files.with_names(&read("index.html")?, "assets/");
        files.files.insert("index.html".to_owned(), index.into_bytes());
        Ok(files)
    }

    /// Takes a file in under a name that tells its content, so that browsers may keep it for ever. Gives that name.
    fn add(&mut self, name: &str, content: Vec<u8>) -> String {
        let named = named(name, &digest(&content));
        self.put_in(name, named.clone(), content);
        named
    }

    fn put_in(&mut self, name: &str, named: String, content: Vec<u8>) {
        self.files.insert(format!("assets/{named}"), content);
        self.names.insert(name.to_owned(), named);
    }

    /// Puts the names in the places that are kept for them.
    fn with_names(&self, text: &str, folder: &str) -> String {
        let names = self.names.iter();
        names.fold(text.to_owned(), |text, (name, named)| {
            text.replace(&format!("{{{{{name}}}}}"), &format!("{folder}{named}"))
        })
    }

    /// Writes them, plain and compressed, in place of what was there. Gives the size of each as browsers fetch it.
    fn put(&self, folder: &Path) -> Result<BTreeMap<&str, usize>> {
        // The host's build watches the folder: what is as it was stays untouched, so that the host is not built again for it.
        let assets = folder.join("assets");
        fs::create_dir_all(&assets).with_context(|| format!("failed to make {}", folder.display()))?;
        let (mut sizes, mut kept) = (BTreeMap::new(), BTreeSet::new());
        for (name, content) in &self.files {
            let brotli = brotli(content)?;
            sizes.insert(name.as_str(), brotli.len());
            let mut write = |suffix: &str, content: &[u8]| {
                let file = folder.join(format!("{name}{suffix}"));
                let is_there = fs::read(&file).is_ok_and(|before| before == content);
                if !is_there {
                    fs::write(&file, content).with_context(|| format!("failed to write {}", file.display()))?;
                }
                kept.insert(file);
                anyhow::Ok(())
            };
            write("", content)?;
            write(".gz", &gzip(content)?)?;
            write(".br", &brotli)?;
        }
        let entries = fs::read_dir(&assets).with_context(|| format!("failed to read {}", assets.display()))?;
        for entry in entries {
            let file = entry?.path();
            if !kept.contains(&file) {
                fs::remove_file(&file).with_context(|| format!("failed to remove {}", file.display()))?;
            }
        }
        Ok(sizes)
    }

    /// What a first load of each page takes: what all pages need, and its bundle.
    fn loads(&self, sizes: &BTreeMap<&str, usize>) -> Loads {
        let size = |name: &String| {
            self.names
                .get(name)
                .and_then(|named| sizes.get(format!("assets/{named}").as_str()))
                .copied()
                .unwrap_or_default()
        };
        let of_some: usize = self.bundles.values().map(size).sum();
        let of_all = sizes.values().sum::<usize>() - of_some;
        self.bundles.iter().map(|(pages, bundle)| (pages.clone(), of_all + size(bundle))).collect()
    }
}

fn digest(content: &[u8]) -> String {
    Sha256::digest(content).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

fn named(name: &str, digest: &str) -> String {
    let (stem, extension) = name.split_once('.').unwrap_or((name, ""));
    format!("{stem}-{digest}.{extension}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_load_counts_what_all_pages_need_and_the_bundle_of_its_own() {
        let mut files = Files::default();
        for (name, bytes) in [("all.js", 1), ("page-jobs.bin", 10), ("page-hosts.bin", 1_000)] {
            files.add(name, vec![0; bytes]);
        }
        for pages in ["jobs", "hosts"] {
            files.bundles.insert(pages.to_owned(), split::bundle_name(pages));
        }
        let sizes = files.files.iter().map(|(name, content)| (name.as_str(), content.len())).collect();
        let loads = files.loads(&sizes);
        assert_eq!(loads, BTreeMap::from([("jobs".to_owned(), 11), ("hosts".to_owned(), 1_001)]));
        assert!(check(&loads).is_ok());
        assert!(check(&BTreeMap::from([("jobs".to_owned(), MOST_BYTES)])).is_ok());
        let told = check(&BTreeMap::from([("jobs".to_owned(), MOST_BYTES + 1)])).unwrap_err().to_string();
        assert!(told.contains("`jobs` is 295001 bytes"), "{told}");
    }
}
