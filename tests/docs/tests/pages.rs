//! Nothing in the documentation rots: its commands do what they say, its settings are settings, its links lead somewhere,
//! and the pages that the program writes are as it writes them now.

use std::{collections::BTreeSet, fs};

use anyhow::{Context as _, Result, ensure};
use windlass_docs_tests::{Page, Way, blocks, broken, follow, is_followed, listed, pages, root, texts, windlass};

/// Where there are faults, all of them are told at once.
fn none(faults: &[String]) -> Result<()> {
    ensure!(faults.is_empty(), "{}", faults.join("\n\n"));
    Ok(())
}

#[test]
fn every_command_of_the_pages_does_what_the_page_says() -> Result<()> {
    let mut faults = Vec::new();
    let pages: Vec<Page> = pages()?.into_iter().filter(is_followed).collect();
    ensure!(!pages.is_empty(), "no page has commands");
    for page in &pages {
        println!("following {}", page.name);
        faults.extend(follow(page, Way::Prepared).err().map(|error| format!("{error:#}")));
    }
    none(&faults)
}

#[test]
fn every_link_within_the_documentation_leads_somewhere() -> Result<()> {
    none(&texts()?.iter().flat_map(broken).collect::<Vec<_>>())
}

#[test]
fn the_table_of_contents_lists_every_page_once() -> Result<()> {
    let listed = listed()?;
    let distinct: BTreeSet<_> = listed.iter().cloned().collect();
    ensure!(distinct.len() == listed.len(), "a page is listed twice");
    let there: BTreeSet<_> =
        pages()?.into_iter().map(|page| page.path).filter(|path| !path.ends_with("SUMMARY.md")).collect();
    ensure!(there == distinct, "not listed: {:?}; not there: {:?}", &there - &distinct, &distinct - &there);
    Ok(())
}

#[test]
fn what_is_shown_as_settings_are_settings() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut faults = Vec::new();
    let mut count = 0;
    for text in texts()? {
        for block in blocks(&text.text).into_iter().filter(|block| block.language == "toml") {
            let place = format!("{}:{}", text.name, block.line);
            if let Some(reason) = block.noted("not settings") {
                ensure!(!reason.is_empty(), "{place}: it is not said what this is");
                continue;
            }
            // Other files, such as Cargo.toml, are not read by the host.
            if block.noted("file").is_some_and(|name| !name.ends_with("windlass.toml")) {
                continue;
            }
            let file = folder.path().join("windlass.toml");
            fs::write(&file, &block.text)?;
            let output = windlass()?.args(["documentation", "settings"]).arg(&file).output()?;
            count += 1;
            if !output.status.success() {
                faults.push(format!("{place}: {}", String::from_utf8_lossy(&output.stderr).trim()));
            }
        }
    }
    println!("{count} blocks of settings");
    ensure!(count > 0, "no settings are shown");
    none(&faults)
}

#[test]
fn the_generated_pages_are_as_the_program_writes_them() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let output = windlass()?.args(["documentation", "pages"]).arg(folder.path()).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut count = 0;
    for entry in fs::read_dir(folder.path())? {
        let entry = entry?;
        let there = root().join("docs/src/reference").join(entry.file_name());
        ensure!(
            fs::read_to_string(&there).ok() == Some(fs::read_to_string(entry.path())?),
            "{} is not as the program writes it: run `cargo xtask docs`, and commit what it changes",
            there.display()
        );
        count += 1;
    }
    ensure!(count == 4, "there are {count} generated pages");
    Ok(())
}

#[test]
fn the_code_of_every_page_is_compiled() -> Result<()> {
    let compiled = fs::read_to_string(root().join("tests/docs/src/pages.rs"))?;
    let mut faults = Vec::new();
    for page in pages()? {
        let has_code = blocks(&page.text).iter().any(|block| block.language == "rust" && block.noted("file").is_none());
        let name = page.name.trim_start_matches("docs/src/");
        if has_code && !compiled.contains(&format!("\"{name}\"")) {
            faults.push(format!("{} has code and is not named in tests/docs/src/pages.rs", page.name));
        }
        if page.text.contains("```rust,ignore") {
            faults.push(format!("{} has code that is never compiled", page.name));
        }
    }
    none(&faults)
}

#[test]
fn the_code_of_the_readme_is_that_of_a_page() -> Result<()> {
    let compiled: Vec<_> = pages()?.iter().flat_map(|page| blocks(&page.text)).map(|block| block.shown()).collect();
    let readme = texts()?.into_iter().find(|text| text.name == "README.md").context("no README.md")?;
    let code: Vec<_> = blocks(&readme.text).into_iter().filter(|block| block.language == "rust").collect();
    ensure!(!code.is_empty(), "there is no code in README.md");
    for block in code {
        ensure!(compiled.contains(&block.text), "README.md:{}: no page has this code", block.line);
    }
    Ok(())
}

#[test]
fn the_handler_of_the_quick_start_is_that_of_a_new_project() -> Result<()> {
    let project = fs::read_to_string(root().join("host/server/templates/rust/src/lib.rs"))?;
    let page = pages()?.into_iter().find(|page| page.name == "docs/src/quick-start.md").context("no quick start")?;
    let code: Vec<_> = blocks(&page.text).into_iter().filter(|block| block.language == "rust").collect();
    ensure!(code.len() == 1, "there are {} blocks of code in the quick start", code.len());
    let shown = code[0].shown();
    ensure!(project.contains(shown.trim_end()), "the quick start shows\n{shown}and a project has\n{project}");
    Ok(())
}
