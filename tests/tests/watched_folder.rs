//! Components that are dropped into a folder.

use std::fs;

use anyhow::{Context, Result, ensure};
use windlass_api::{Digest, ModuleName, ModuleView};
use windlass_tests::{Host, Site, guest};

fn modules(host: &Host<'_>) -> Result<Vec<ModuleView>> {
    host.json(&["modules", "list"])
}

fn active(host: &Host<'_>) -> Result<Option<(ModuleName, Digest)>> {
    let found = modules(host)?.into_iter().find_map(|module| {
        let version = module.versions.iter().find(|version| version.active)?.digest;
        Some((module.name, version))
    });
    Ok(found)
}

/// Puts a guest's component into the folder in one step, as a build that is finished would.
fn drop_in(site: &Site, name: &str) -> Result<()> {
    let draft = site.path("draft");
    fs::copy(guest(name)?, &draft)?;
    fs::rename(&draft, site.path("components/handlers.wasm"))?;
    Ok(())
}

#[test]
fn a_component_is_deployed_when_it_appears_and_when_it_changes() -> Result<()> {
    let site = Site::new()?;
    fs::create_dir(site.path("components"))?;
    drop_in(&site, "mixed")?;
    let host = site.start(&["--modules", "components"])?;
    let (_, first) = host.until("the component that was there", || active(&host))?;
    drop_in(&site, "panics")?;
    host.until("the component that replaced it", || Ok(active(&host)?.filter(|(_, digest)| *digest != first)))?;
    site.write("components/notes.wasm", "this is no component")?;
    host.until("the refusal of a file that is no component", || Ok(host.said().contains("notes.wasm").then_some(())))?;
    ensure!(modules(&host)?.len() == 1, "there are {:?}", modules(&host)?);
    Ok(())
}

#[test]
fn a_restart_does_not_undo_a_rollback() -> Result<()> {
    let site = Site::new()?;
    fs::create_dir(site.path("components"))?;
    drop_in(&site, "mixed")?;
    let host = site.start(&["--modules", "components"])?;
    let (module, first) = host.until("the first version", || active(&host))?;
    drop_in(&site, "panics")?;
    host.until("the second version", || Ok(active(&host)?.filter(|(_, digest)| *digest != first)))?;
    let _: ModuleView = host.json(&["modules", "activate", module.as_str(), &first.to_string()])?;
    host.stop()?;

    let host = site.start(&["--modules", "components"])?;
    host.until("the folder was looked through", || Ok(host.said().contains("\"deployed\"").then_some(())))?;
    let (_, now) = active(&host)?.context("no version is active")?;
    ensure!(now == first, "the restart activated {now}, and {first} had been activated by hand");
    Ok(())
}
