//! Makes a component of a core module in WebAssembly's text format: `component-of-text MODULE.wat WIT WORLD COMPONENT.wasm`.
//! It does what `wasm-tools component embed` and `component new` do, so that nobody has to install them.

use std::{env, ffi::OsString, fs, path::Path};

use anyhow::{Context, Result};
use windlass_tests::component_of_text;

fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1);
    let mut next = |what: &str| -> Result<OsString> {
        arguments.next().with_context(|| format!("{what} is missing: expected MODULE.wat WIT WORLD COMPONENT.wasm"))
    };
    let (text, contract, world, place) =
        (next("the text")?, next("the contract")?, next("the world")?, next("where to")?);
    let text = Path::new(&text);
    let module = fs::read_to_string(text).with_context(|| format!("failed to read {}", text.display()))?;
    let component = component_of_text(&module, Path::new(&contract), &world.to_string_lossy());
    let component = component.with_context(|| format!("failed to make a component of {}", text.display()))?;
    fs::write(&place, component).with_context(|| format!("failed to write {}", Path::new(&place).display()))
}
