//! Splitting the dashboard's module into what every page needs and what only some do, and making what loads it in a browser.
//!
//! ```text
//!   cargo ─▶ one module ─▶ split ─▶ main ─▶ wasm-bindgen ─▶ dashboard.wasm, dashboard.js
//!                            └────▶ some hundred parts, of what one page needs or several share
//!                                     └─▶ a bundle for each page, of all the parts that it needs
//!   split.js fetches a page's bundle when the page is first shown
//! ```
//!
//! A part that several pages need is in the bundle of each. Parts on their own would be fetched only once, but half of them
//! are of a few hundred bytes and no compressor finds anything in those: pages took a quarter to a third more that way.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result, anyhow, ensure};
use wasm_bindgen_cli_support::Bindgen;
use wasm_split_cli_support::Options;

/// What fetches parts.
pub(super) const LOADER: &str = "split.js";

/// Under which name the loader finds the script.
const SCRIPT: &str = "./dashboard.js";

/// Under which name the module finds the script.
const GLUE: &str = "./dashboard_bg.js";

/// What is made of a module.
pub(super) struct Split {
    /// What every page needs.
    pub(super) module: Vec<u8>,
    pub(super) script: String,
    /// What fetches the bundles, below what the page's folder says about it.
    pub(super) loads: String,
    /// What only some pages need, by the name that the pages have together.
    pub(super) bundles: BTreeMap<String, Vec<u8>>,
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
        let mut parts = BTreeMap::new();
        for (number, file) in (0..).zip(&made.split_modules) {
            let stem = file.file_stem().context("a part without a name")?.to_string_lossy().into_owned();
            let part = fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
            parts.insert(stem, (number, without_names(&part)?));
        }
        let (mut bundles, mut loads) = (BTreeMap::new(), String::new());
        for (pages, needs) in made.prefetch_map {
            let needs = needs.iter().map(|stem| parts.get(stem).with_context(|| format!("there is no part `{stem}`")));
            bundles.insert(pages, bundle(&needs.collect::<Result<Vec<_>>>()?)?);
        }
        for pages in bundles.keys() {
            // Writing to a string cannot fail.
            let _ = writeln!(loads, "export const __wasm_split_load_{pages} = load(\"./{}\");", bundle_name(pages));
        }
        let Bound { module, script, snippets } = bind(&main)?;
        Ok(Self { module, script, loads, bundles, snippets })
    }
}

/// Under which name the loader asks for a bundle.
pub(super) fn bundle_name(pages: &str) -> String {
    format!("page-{pages}.bin")
}

/// Parts one after the other, before each its number and its length, as `split.js` reads them: 32 bits each, the lowest
/// byte first.
fn bundle(parts: &[&(u32, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut bundle = Vec::new();
    for (number, part) in parts {
        let length = u32::try_from(part.len()).context("a part is too long")?;
        bundle.extend([number.to_le_bytes(), length.to_le_bytes()].concat());
        bundle.extend(part);
    }
    Ok(bundle)
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
    let mut script = output.js().to_owned();
    for (number, import) in output.wasm_mut().imports.iter_mut().filter(|import| import.module == GLUE).enumerate() {
        let short = format!("i{number}");
        script = with_import(&script, &import.name, &short)?;
        import.name = short;
    }
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
    Ok(Bound { module, script: without_indents(&script), snippets })
}

/// Calls a function that the module imports by another name. Those that wasm-bindgen gives end in 16 digits by chance, which
/// are fetched twice and cannot be compressed.
fn with_import(script: &str, name: &str, short: &str) -> Result<String> {
    let parts: Vec<_> = script.split(&format!("\n{name}: ")).collect();
    // The first of them follows an indent.
    let parts = if parts.len() == 1 { script.split(&format!(" {name}: ")).collect() } else { parts };
    ensure!(parts.len() == 2, "the script does not give the module `{name}` once");
    Ok(parts.join(&format!("\n{short}: ")))
}

/// The same without what only makes it readable. No line of it begins within a text.
fn without_indents(script: &str) -> String {
    let mut lines: Vec<_> = script.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.push("");
    lines.join("\n")
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
    fn a_bundle_says_before_each_part_which_one_it_is_and_how_long() {
        let (one, other) = ((7, vec![1, 2, 3]), (258, vec![]));
        let expected = [&[7, 0, 0, 0, 3, 0, 0, 0][..], &[1, 2, 3], &[2, 1, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!(bundle(&[&one, &other]).unwrap(), expected);
    }

    #[test]
    fn imports_are_called_by_short_names_where_the_script_gives_them_once() {
        let script = "const import0 = {\n    __wbg_a_01: function(x) {\n},\n__wbg_a_012: function() {\n},\n";
        let named = with_import(&with_import(script, "__wbg_a_01", "i0").unwrap(), "__wbg_a_012", "i1").unwrap();
        assert_eq!(without_indents(&named), "const import0 = {\ni0: function(x) {\n},\ni1: function() {\n},\n");
        assert!(with_import(script, "__wbg_b_01", "i2").is_err());
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
