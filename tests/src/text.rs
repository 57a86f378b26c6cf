//! Components of core modules in WebAssembly's text format, as `wasm-tools component embed` and `component new` make them.

use std::path::Path;

use anyhow::{Context, Result};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The component of a module that is one of a world; the contract is the folder with its WIT.
///
/// # Errors
/// Where the text cannot be read, or the module is none of this world.
pub fn component_of_text(text: &str, contract: &Path, world: &str) -> Result<Vec<u8>> {
    let mut module = wat::parse_str(text).context("failed to read the text")?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve
        .push_path(contract)
        .with_context(|| format!("failed to read the contract in {}", contract.display()))?;
    let world = resolve.select_world(&[package], Some(world)).context("failed to find the world")?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default().module(&module)?.validate(true).encode().context("the text is no module of this world")
}
