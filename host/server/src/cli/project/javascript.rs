//! Components of handlers in JavaScript, which componentize-qjs makes of `app.js`.

use std::{fs, path::Path};

use anyhow::Context as _;
use tokio::process::Command;

use super::{sdk, tool};

/// Of the version that is tested with.
const TOOL: &str = "componentize-qjs@0.4.5";

const GET_NODE: &str = "install Node 20 or newer with npm, from https://nodejs.org";

/// Makes the component of the project in a folder. `spare` is room for what is needed meanwhile.
pub(super) async fn build(folder: &Path, component: &Path, spare: &Path) -> anyhow::Result<()> {
    check_tool(folder)?;
    let sdk = sdk::of(folder, sdk::JAVASCRIPT, spare)?;
    // It is a script, whose first line asks for node: so that a missing one is told by its name.
    let mut node = Command::new("node");
    node.current_dir(folder).arg("node_modules/.bin/componentize-qjs");
    node.args(["--sync", "--world", "sync-module", "--js", "app.js", "--wit"]).arg(sdk.join("wit"));
    tool::run(node.arg("--output").arg(component), GET_NODE).await
}

/// What npm installs into the project.
fn check_tool(folder: &Path) -> anyhow::Result<()> {
    if folder.join("node_modules/.bin/componentize-qjs").exists() {
        return Ok(());
    }
    let file = folder.join("package.json");
    let package = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
    let install = if package.contains("\"componentize-qjs\"") {
        "npm install".to_owned()
    } else {
        format!("npm install --save-dev {TOOL}")
    };
    anyhow::bail!(
        "failed to find componentize-qjs, which makes components of JavaScript: type `{install}` in {}, with Node 20 or newer",
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_there_is_no_componentize_qjs_it_is_said_how_to_get_it() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::write(folder.join("package.json"), "{}").unwrap();
        let missing = check_tool(folder).unwrap_err().to_string();
        assert!(missing.contains(&format!("`npm install --save-dev {TOOL}`")), "{missing}");
        fs::write(folder.join("package.json"), include_str!("../../../templates/js/package.json")).unwrap();
        let missing = check_tool(folder).unwrap_err().to_string();
        assert!(missing.contains("type `npm install` in"), "{missing}");
        fs::create_dir_all(folder.join("node_modules/.bin")).unwrap();
        fs::write(folder.join("node_modules/.bin/componentize-qjs"), "").unwrap();
        assert!(check_tool(folder).is_ok());
    }
}
