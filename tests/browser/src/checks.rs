//! What a program can check of a page's accessibility.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::Browser;

/// Runs axe-core on the page and fails with all that it finds against WCAG 2.2 AA.
///
/// # Errors
/// Where it finds something, or is not there: the tests' set-up brings it.
pub async fn accessibility(browser: &Browser, page: &str) -> Result<()> {
    let file = windlass_tests::axe()?;
    let axe = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    browser.run(&axe).await?;
    let script = "const done = arguments[arguments.length - 1]; \
                  axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }) \
                  .then((found) => done(found.violations), (error) => done(String(error)))";
    let found = browser.run_until_called(script).await?;
    let found = found.as_array().with_context(|| format!("axe-core failed: {found}"))?;
    let told: Vec<_> = found.iter().map(tell).collect();
    ensure!(told.is_empty(), "on the page {page}, axe-core finds:\n{}", told.join("\n"));
    Ok(())
}

fn tell(found: &Value) -> String {
    let nodes = found["nodes"].as_array().into_iter().flatten().take(4);
    let nodes: Vec<_> = nodes.map(|node| format!("  {} {}", node["html"], node["failureSummary"])).collect();
    format!("{}: {}\n{}", found["id"], found["help"], nodes.join("\n"))
}
