//! Makes a component of a core module in WebAssembly's text format: `component-of-text MODULE.wat WIT WORLD COMPONENT.wasm`.
//! It does what `wasm-tools component embed` and `component new` do, so that nobody has to install them.

use std::{env, ffi::OsString, fs, path::Path};

use anyhow::{Context, Result};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1);
    let mut next = |what: &str| -> Result<OsString> {
        arguments.next().with_context(|| format!("{what} is missing: expected MODULE.wat WIT WORLD COMPONENT.wasm"))
    };
    let (text, contract, world, place) =
        (next("the text")?, next("the contract")?, next("the world")?, next("where to")?);
    let component = component(Path::new(&text), Path::new(&contract), &world.to_string_lossy())?;
    fs::write(&place, component).with_context(|| format!("failed to write {}", Path::new(&place).display()))
}

fn component(text: &Path, contract: &Path, world: &str) -> Result<Vec<u8>> {
    let mut module = wat::parse_file(text).with_context(|| format!("failed to read {}", text.display()))?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_path(contract)
        .with_context(|| format!("failed to read the contract in {}", contract.display()))?;
    let world = resolve.select_world(&[package], Some(world)).context("failed to find the world")?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default()
        .module(&module)?
        .validate(true)
        .encode()
        .with_context(|| format!("{} is no module of this world", text.display()))
}
