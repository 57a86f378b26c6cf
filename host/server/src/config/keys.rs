//! Which keys there are, taken from the types of the settings, and which one somebody meant.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::Settings;

/// Below this likeness (Jaro-Winkler, 0 to 1) a guess would be no help.
const ALIKE: f64 = 0.75;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<Settings>().into()
});

/// The types of the settings with what is written about each key, as a JSON Schema without references.
pub(crate) fn schema() -> &'static Value {
    &SCHEMA
}

/// What a value is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// All single values that have a fixed place, with their paths.
pub(super) fn values() -> Vec<(Vec<String>, Kind)> {
    let mut found = Vec::new();
    collect(&SCHEMA, &mut Vec::new(), &mut found);
    found
}

/// What was meant by the key at the end of this path, in words.
pub(super) fn hint(path: &[String]) -> String {
    let Some((key, table)) = path.split_last() else { return String::new() };
    let known = keys_at(table);
    let elsewhere = values().into_iter().find(|(path, _)| path.last() == Some(key));
    if let Some((path, _)) = elsewhere {
        return format!("did you mean `{}`?", path.join("."));
    }
    if let Some(nearest) = nearest(key, known.iter().map(String::as_str)) {
        return format!("did you mean `{nearest}`?");
    }
    let known: Vec<_> = known.iter().map(|key| format!("`{key}`")).collect();
    format!("the keys there are {}", known.join(", "))
}

/// The candidate that is most like the key, if any is at all.
pub(super) fn nearest<'a>(key: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let rated = candidates.map(|candidate| (strsim::jaro_winkler(key, candidate), candidate));
    let best = rated.max_by(|(left, _), (right, _)| left.total_cmp(right))?;
    (best.0 >= ALIKE).then_some(best.1)
}

fn keys_at(table: &[String]) -> Vec<String> {
    let mut at = &*SCHEMA;
    for key in table {
        let here = present(at);
        let named = here.get("properties").and_then(|properties| properties.get(key));
        let Some(next) = named.or(here.get("additionalProperties")).or(here.get("items")) else { return Vec::new() };
        at = next;
    }
    properties(at).map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}

fn collect(at: &Value, path: &mut Vec<String>, found: &mut Vec<(Vec<String>, Kind)>) {
    if let Some(properties) = properties(at) {
        for (key, value) in properties {
            path.push(key.clone());
            collect(value, path, found);
            path.pop();
        }
    } else if let Some(kind) = kind(at) {
        found.push((path.clone(), kind));
    }
}

fn properties(at: &Value) -> Option<&Map<String, Value>> {
    present(at).get("properties")?.as_object()
}

fn kind(at: &Value) -> Option<Kind> {
    let at = present(at);
    let is = |word: &str| match at.get("type") {
        Some(Value::String(kind)) => kind == word,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == word),
        _ => false,
    };
    let choice = at.get("oneOf").is_some() || at.get("enum").is_some();
    match () {
        () if is("string") || choice => Some(Kind::Text),
        () if is("integer") => Some(Kind::Number),
        () if is("boolean") => Some(Kind::Boolean),
        () => None,
    }
}

/// The schema of what is there, where it may also be absent.
fn present(at: &Value) -> &Value {
    let choices = at.get("anyOf").and_then(Value::as_array);
    let there = |choice: &&Value| choice.get("type").and_then(Value::as_str) != Some("null");
    choices.and_then(|choices| choices.iter().find(there)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint_for(path: &[&str]) -> String {
        hint(&path.iter().map(|&key| key.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_key_that_was_meant_is_found() {
        assert_eq!(hint_for(&["sync_slot"]), "did you mean `sync_slots`?");
        assert_eq!(hint_for(&["limits", "max", "memry"]), "did you mean `memory`?");
        assert_eq!(hint_for(&["module", "images", "htp"]), "did you mean `http`?");
        assert_eq!(hint_for(&["module", "images", "limits", "fule"]), "did you mean `fuel`?");
        assert_eq!(hint_for(&["module", "images", "directories", "0", "guets"]), "did you mean `guest`?");
    }

    #[test]
    fn a_key_that_belongs_elsewhere_is_found_there() {
        assert_eq!(hint_for(&["synchronous"]), "did you mean `sqlite.synchronous`?");
    }

    #[test]
    fn where_nothing_is_alike_the_keys_are_listed() {
        assert_eq!(hint_for(&["sqlite", "zzz"]), "the keys there are `synchronous`");
    }

    #[test]
    fn every_single_value_is_known_with_its_kind() {
        let kinds: std::collections::BTreeMap<_, _> =
            values().into_iter().map(|(path, kind)| (path.join("."), kind)).collect();
        for (path, kind) in [
            ("storage", Kind::Text),
            ("listen", Kind::Text),
            ("queues", Kind::Text),
            ("modules", Kind::Text),
            ("concurrency_mode", Kind::Text),
            ("heartbeat", Kind::Text),
            ("sync_slots", Kind::Number),
            ("wasi_p3", Kind::Boolean),
            ("sqlite.synchronous", Kind::Text),
            ("limits.fuel", Kind::Number),
            ("limits.max.memory", Kind::Text),
            ("compile.timeout", Kind::Text),
        ] {
            assert_eq!(kinds.get(path), Some(&kind), "{path}");
        }
        assert!(!kinds.contains_key("module"));
    }
}
