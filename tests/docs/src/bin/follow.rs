//! Follows the pages that are named, from the clone on, as somebody who has nothing but Rust: `cargo xtask test first-hour`.

use std::process::ExitCode;

use anyhow::{Context, Result};
use windlass_docs_tests::{Way, follow, pages};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let pages = pages()?;
    for name in std::env::args().skip(1) {
        let page = pages.iter().find(|page| page.path.ends_with(&name)).with_context(|| format!("no page {name}"))?;
        follow(page, Way::FromNothing)?;
        eprintln!("{}: all of it works", page.name);
    }
    Ok(())
}
