//! Splitting the dashboard's module into what every page needs and what only some do, and making what loads it in a browser.
//!
//! ```text
//!   cargo ─▶ one module ─▶ split ─▶ main ─▶ wasm-bindgen ─▶ dashboard.wasm, dashboard.js
//!                            ├────▶ a part for some pages each, and what several of them share
//!                            └────▶ split.js, which fetches parts when they are asked for
//! ```

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, anyhow, ensure};
use wasm_bindgen_cli_support::Bindgen;
use wasm_split_cli_support::Options;

/// What fetches parts.
pub(super) const LOADER: &str = "split.js";

/// Under which name the loader finds the script.
const SCRIPT: &str = "./dashboard.js";

/// What is made of a module.
pub(super) struct Split {
    /// What every page needs.
    pub(super) module: Vec<u8>,
    pub(super) script: String,
    pub(super) loader: String,
    /// What only some pages need, by name.
    pub(super) parts: BTreeMap<String, Vec<u8>>,
    /// Which parts they need, by the name that the pages have together.
    pub(super) needs: BTreeMap<String, Vec<String>>,
    /// What the script brings in from crates, by the path under which it asks for it.
    pub(super) snippets: Vec<(String, String)>,
}

impl Split {
    /// Splits a module; `folder` is emptied and used meanwhile.
    pub(super) fn new(module: &Path, folder: &Path) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder).with_context(|| format!("failed to empty {}", folder.display()))?;
        }
        let whole = fs::read(module).with_context(|| format!("failed to read {}", module.display()))?;
        let (main, link) = (folder.join("main.wasm"), format!("./{LOADER}"));
        let mut options = Options::new(&whole);
        (options.output_dir, options.main_out_path) = (folder, &main);
        (options.link_name, options.main_module) = (&link, SCRIPT);
        let made = wasm_split_cli_support::transform(options).map_err(|error| anyhow!("splitting it: {error:#}"))?;
        let wasm = |stem: &String| format!("{stem}.wasm");
        let needs = made.prefetch_map.iter().map(|(pages, stems)| (pages.clone(), stems.iter().map(wasm).collect()));
        let mut parts = BTreeMap::new();
        for file in &made.split_modules {
            let name = file.file_name().context("a part without a name")?.to_string_lossy().into_owned();
            let part = fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
            parts.insert(name, without_names(&part)?);
        }
        let loader = fs::read_to_string(folder.join(LOADER)).context("failed to read what loads the parts")?;
        let bound = bind(&main)?;
        Ok(Self {
            module: bound.module,
            script: bound.script,
            loader,
            needs: needs.collect(),
            parts,
            snippets: bound.snippets,
        })
    }
}

/// Has the script find the loader under this name. The name under which the module asks for it stays.
pub(super) fn with_loader(script: &str, named: &str) -> Result<String> {
    replaced(script, &[format!("from \"./{LOADER}\""), format!("from './{LOADER}'")], &format!("from \"./{named}\""))
}

/// Has the loader find the script under this name.
pub(super) fn with_script(loader: &str, named: &str) -> Result<String> {
    replaced(loader, &[format!("from \"{SCRIPT}\"")], &format!("from \"./{named}\""))
}

fn replaced(text: &str, wanted: &[String], with: &str) -> Result<String> {
    let done = wanted.iter().fold(text.to_owned(), |text, wanted| text.replace(wanted, with));
    ensure!(done != text, "there is no `{}` in what loads the dashboard", wanted.join("` and no `"));
    Ok(done)
}

/// What wasm-bindgen makes.
struct Bound {
    module: Vec<u8>,
    script: String,
    snippets: Vec<(String, String)>,
}

fn bind(module: &Path) -> Result<Bound> {
    let mut bindgen = Bindgen::new();
    bindgen.input_path(module).out_name("dashboard").typescript(false).omit_default_module_path(true);
    // Parts find what they share with the main module among its exports.
    bindgen.remove_name_section(true).remove_producers_section(true).keep_lld_exports(true);
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

/// The same without what only tells names: its custom sections.
fn without_names(module: &[u8]) -> Result<Vec<u8>> {
    const HEADER: usize = 8;
    let mut kept = module.get(..HEADER).context("a part is no module")?.to_vec();
    let mut rest = &module[HEADER..];
    while let Some((id, after)) = rest.split_first() {
        let (length, after_length) = length(after).context("a part has a section without a length")?;
        let content_end = rest.len() - after_length.len() + length;
        let section = rest.get(..content_end).context("a part ends within a section")?;
        if *id != 0 {
            kept.extend_from_slice(section);
        }
        rest = &rest[content_end..];
    }
    Ok(kept)
}

/// A length as modules write it, and what comes after it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut length = 0;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((length, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_left_out_and_all_else_is_kept() {
        let header = b"\0asm\x01\0\0\0";
        let (types, custom) = ([1, 4, 1, 0x60, 0, 0], [&[0, 0x85, 0][..], &[4, b'n', b'a', b'm', b'e']].concat());
        let module = [&header[..], &types, &custom, &types].concat();
        assert_eq!(without_names(&module).unwrap(), [&header[..], &types, &types].concat());
        assert!(without_names(&module[..module.len() - 1]).is_err());
        assert!(without_names(b"\0asm").is_err());
    }

    #[test]
    fn the_script_and_what_fetches_parts_find_each_other_by_their_names() {
        let script = "import * as star from \"./split.js\"\nimports[\"./split.js\"] = star";
        let found = with_loader(script, "split-1.js").unwrap();
        assert_eq!(found, "import * as star from \"./split-1.js\"\nimports[\"./split.js\"] = star");
        assert!(with_loader("nothing", "split-1.js").is_err());
        assert!(with_script("import { initSync } from \"./dashboard.js\";", "dashboard-1.js").is_ok());
    }
}
