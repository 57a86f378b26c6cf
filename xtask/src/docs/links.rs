//! Links of the site as it was built: that there is a file where each leads. What the pages' own tests cannot know is whether that is
//! so of what is put beside them.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The page for addresses that are not there, whose links start from wherever the site is served.
const NOT_FOUND: &str = "404.html";

/// The links of the site's pages that lead nowhere, each in words. Pages below `beside` are not looked at, only led to.
pub(super) fn broken(site: &Path, beside: &str) -> Result<Vec<String>> {
    let mut pages = Vec::new();
    gather(site, &site.join(beside), &mut pages)?;
    pages.sort();
    let mut broken = Vec::new();
    for page in pages {
        let text = fs::read_to_string(&page).with_context(|| format!("failed to read {}", page.display()))?;
        let folder = page.parent().unwrap_or(site);
        for target in targets(&text) {
            if !leads_to_a_file(folder, target) {
                let page = page.strip_prefix(site).unwrap_or(&page).display();
                broken.push(format!("{page}: {target}"));
            }
        }
    }
    Ok(broken)
}

fn gather(folder: &Path, beside: &Path, pages: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))? {
        let path = entry?.path();
        if path == beside {
            continue;
        }
        if path.is_dir() {
            gather(&path, beside, pages)?;
        } else if path.extension().is_some_and(|extension| extension == "html") && !path.ends_with(NOT_FOUND) {
            pages.push(path);
        }
    }
    Ok(())
}

/// Where a page leads: what its elements name with `href`, `src` and `srcset`.
fn targets(page: &str) -> impl Iterator<Item = &str> {
    let named = |attribute: &'static str| page.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
    [" href=\"", " src=\"", " srcset=\""].into_iter().flat_map(named)
}

fn leads_to_a_file(folder: &Path, target: &str) -> bool {
    let (target, _) = target.split_once('#').unwrap_or((target, ""));
    let (target, _) = target.split_once('?').unwrap_or((target, ""));
    // Elsewhere, or to the page itself.
    if target.is_empty() || target.contains("://") || target.starts_with("mailto:") || target.starts_with("data:") {
        return true;
    }
    let path = folder.join(target);
    if target.ends_with('/') { path.join("index.html").is_file() } else { path.is_file() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_leads_where_its_links_and_pictures_do() {
        let page = r##"<a class="x" href="a.html#b">a</a> <img src="p.png" alt="href=no"> <source srcset="q.png">"##;
        assert_eq!(targets(page).collect::<Vec<_>>(), ["a.html#b", "p.png", "q.png"]);
    }

    #[test]
    fn a_link_within_the_page_or_elsewhere_needs_no_file() {
        let nowhere = Path::new("/nowhere");
        for target in ["#part", "https://example.com/a", "mailto:a@example.com", ""] {
            assert!(leads_to_a_file(nowhere, target), "{target}");
        }
        assert!(!leads_to_a_file(nowhere, "a.html"));
    }
}
