//! The page of the API names every route with its role, and no other.

use std::collections::BTreeSet;

use super::table::{Need, TABLE};

const PAGE: &str = include_str!("../../../../../docs/src/api.md");

/// The routes of the page's tables: method, path, role.
fn told() -> BTreeSet<(String, String, String)> {
    let mut told = BTreeSet::new();
    for line in PAGE.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
        let (Some(routes), Some(role)) = (cells.next(), cells.next()) else { continue };
        let spans: Vec<&str> = routes.split('`').skip(1).step_by(2).collect();
        let Some((method, path)) = spans.first().and_then(|first| first.split_once(' ')) else { continue };
        let prefix = if routes.contains("without") { "" } else { "/api/v1" };
        let mut tell = |path: &str| told.insert((method.to_owned(), format!("{prefix}{path}"), role.to_owned()));
        tell(path);
        for other in spans.iter().filter_map(|span| span.strip_prefix('…')) {
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            tell(&format!("{parent}{other}"));
        }
    }
    told
}

#[test]
fn the_page_of_the_api_names_every_route_with_its_role() {
    let role = |need: Need| match need {
        Need::Nothing => "none".to_owned(),
        Need::Role(role) => role.to_string(),
    };
    // The dashboard's files are no part of the API.
    let routes = TABLE.iter().filter(|(_, path, _)| !path.starts_with("/assets"));
    let routes: BTreeSet<_> =
        routes.map(|&(method, path, need)| (method.to_owned(), path.to_owned(), role(need))).collect();
    let told = told();
    let untold: Vec<_> = routes.difference(&told).collect();
    let unknown: Vec<_> = told.difference(&routes).collect();
    assert!(untold.is_empty() && unknown.is_empty(), "not told: {untold:?}; told and not there: {unknown:?}");
}
