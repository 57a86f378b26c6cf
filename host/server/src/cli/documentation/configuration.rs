//! The page of all settings, from their types: the keys, what they take, what they are without a word of the operator's.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::markdown::{GENERATED, cell, code};
use crate::config::{schema, variable};

/// A table of settings: how it is written, the path of its keys, and its schema.
struct Section<'a> {
    heading: String,
    path: Vec<String>,
    about: &'a str,
    schema: &'a Value,
    /// Whether its place is fixed, so that environment variables can name its keys.
    fixed: bool,
}

pub(super) fn page() -> String {
    let mut page = format!(
        "{GENERATED}# Settings\n\nEvery key of `windlass.toml`. [Configuration](../configuration.md) tells how the file, the environment and \
         the command line go together.\n\n- A **span** is text such as `\"30s\"`, `\"5min\"` or `\"1h 30min\"`.\n- A **size** is text such as \
         `\"128MiB\"` or `\"64kB\"`, or a number of bytes.\n- Relative paths start from the folder that the host is started in.\n"
    );
    let mut sections = vec![Section {
        heading: "At the top level".to_owned(),
        path: Vec::new(),
        about: "",
        schema: schema(),
        fixed: true,
    }];
    let mut at = 0;
    while at < sections.len() {
        let inner = tell(&sections[at], &mut page);
        // What belongs to a section stands right after it.
        sections.splice(at + 1..at + 1, inner);
        at += 1;
    }
    page
}

/// Tells of one table, and gives those in it.
fn tell<'a>(section: &Section<'a>, page: &mut String) -> Vec<Section<'a>> {
    let mut rows = String::new();
    let mut inner = Vec::new();
    for (key, value) in properties(section.schema).into_iter().flatten() {
        let path: Vec<String> = section.path.iter().chain([key]).cloned().collect();
        let about = value.get("description").and_then(Value::as_str).unwrap_or_default();
        match table(&path, about, value, section.fixed) {
            Some(table) => inner.push(table),
            None => row(key, &path, about, value, section.fixed, &mut rows),
        }
    }
    // Writing to a string cannot fail.
    let _ = write!(page, "\n## {}\n", section.heading);
    if !section.about.is_empty() {
        let _ = write!(page, "\n{}\n", section.about);
    }
    if !rows.is_empty() {
        let _ = write!(page, "\n| key | takes | default | |\n| --- | --- | --- | --- |\n{rows}");
    }
    inner
}

/// The table that a key holds, where it holds one whose keys are known.
fn table<'a>(path: &[String], about: &'a str, value: &'a Value, fixed: bool) -> Option<Section<'a>> {
    let value = present(value);
    let named = |suffix: &str, schema, brackets: (&str, &str)| {
        let mut path = path.to_vec();
        if !suffix.is_empty() {
            path.push(suffix.to_owned());
        }
        let heading = format!("{}{}{}", brackets.0, path.join("."), brackets.1);
        Some(Section { heading, about, schema, fixed: fixed && suffix.is_empty() && brackets.0 == "[", path })
    };
    if properties(value).is_some() {
        return named("", value, ("[", "]"));
    }
    if let Some(items) = value.get("items").filter(|items| properties(items).is_some()) {
        return named("", items, ("[[", "]]"));
    }
    let values = value.get("additionalProperties").filter(|values| properties(values).is_some())?;
    named("NAME", values, ("[", "]"))
}

fn row(key: &str, path: &[String], about: &str, value: &Value, fixed: bool, rows: &mut String) {
    // A description breaks its lines anywhere.
    let about = cell(about);
    let (about, default) = about.split_once("Default: ").unwrap_or((&about, ""));
    let default = default.trim_end_matches('.');
    let mut about = about.trim_end().to_owned();
    for (word, means) in words(value) {
        let _ = write!(about, "<br>{}: {}", code(word), cell(means));
    }
    let is_variable = fixed && !matches!(kind(value).as_str(), "list" | "table of texts");
    if is_variable {
        let _ = write!(about, "<br>{}", code(&variable(path)));
    }
    let _ = writeln!(rows, "| {} | {} | {default} | {about} |", code(key), kind(value));
}

/// What a value is, in a word or two.
fn kind(value: &Value) -> String {
    let value = present(value);
    if !words(value).is_empty() {
        return "one of these words".to_owned();
    }
    if let Some(choices) = value.get("oneOf").and_then(Value::as_array) {
        let keys = choices.iter().filter_map(properties).flatten();
        let shown = keys.map(|(key, value)| {
            let value = if kind(value) == "list" { "[\"…\"]" } else { "\"…\"" };
            code(&format!("{{ {key} = {value} }}"))
        });
        return shown.collect::<Vec<_>>().join(" or ");
    }
    if let Some(values) = value.get("additionalProperties").filter(|values| values.is_object()) {
        return match kind(values).as_str() {
            "text" => "table of texts".to_owned(),
            other => format!("table of {other}"),
        };
    }
    let is = |word: &str| match value.get("type") {
        Some(Value::String(kind)) => kind == word,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == word),
        _ => false,
    };
    let format = value.get("format").and_then(Value::as_str);
    match format {
        Some(format @ ("span" | "size")) => format,
        _ if is("string") => "text",
        _ if is("integer") => "number",
        _ if is("boolean") => "`true` or `false`",
        _ => "list",
    }
    .to_owned()
}

/// The words that a value may be, with what each means.
fn words(value: &Value) -> Vec<(&str, &str)> {
    let choices = present(value).get("oneOf").and_then(Value::as_array);
    let choices = choices.into_iter().flatten();
    choices.filter_map(|choice| Some((choice.get("const")?.as_str()?, choice.get("description")?.as_str()?))).collect()
}

fn properties(value: &Value) -> Option<&Map<String, Value>> {
    value.get("properties")?.as_object()
}

/// The schema of what is there, where it may also be absent.
fn present(value: &Value) -> &Value {
    let choices = value.get("anyOf").and_then(Value::as_array);
    let there = |choice: &&Value| choice.get("type").and_then(Value::as_str) != Some("null");
    choices.and_then(|choices| choices.iter().find(there)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stand_with_what_they_take_their_default_and_their_variable() {
        let page = page();
        for line in [
            "| `listen` | text | `127.0.0.1:7878` | The address that the API is served on.<br>`WINDLASS_LISTEN` |",
            "| `sync_slots` | number | one per core | How many sync handlers run at once.<br>`WINDLASS_SYNC_SLOTS` |",
            "| `memory` | size | 128 MiB | Memory, summed over all of the run's memories.<br>`WINDLASS_LIMITS_MEMORY` |",
            "| `wasi_p3` | `true` or `false` | yes | Whether async handlers are offered WASI 0.3, which lies outside the engine's \
             promise of security fixes.<br>`WINDLASS_WASI_P3` |",
            "| `failed` | span | 30 days | From the end of a job that failed.<br>`WINDLASS_RETENTION_FAILED` |",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
        for heading in [
            "## [limits.max]\n",
            "## [[access.tokens]]\n",
            "## [module.NAME]\n",
            "## [[module.NAME.directories]]\n",
            "## [module.NAME.limits.max]\n",
        ] {
            assert!(page.contains(heading), "{heading}\n{page}");
        }
        assert!(!page.contains("WINDLASS_MODULE_"), "variables name what has a fixed place");
    }
}
