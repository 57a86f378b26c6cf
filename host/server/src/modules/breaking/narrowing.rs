//! Whether a handler takes less than it did: payloads that fitted its schema until now, and that are refused by the next.
//!
//! Only what can be seen at the top of an object schema is told: members that must be there from now on, members that are
//! not taken any more, and types that are not. Whether one schema allows all that another does cannot be decided in general.

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use windlass_api::Json;

/// No more is told of one handler.
const MOST_TOLD: usize = 5;

/// What was taken and is not any more; empty where nothing of that kind is seen.
pub(super) fn narrowed(before: Option<&Json>, after: Option<&Json>) -> Vec<String> {
    let read = |schema: Option<&Json>| schema.and_then(|schema| schema.read::<Value>().ok());
    let Some(after) = read(after) else { return Vec::new() };
    // Without a schema everything was taken, and nothing is known of what came.
    let Some(before) = read(before) else { return Vec::new() };
    let mut told = types("the payload", &before, &after);
    let (were, are) = (members(&before), members(&after));
    let (had, has) = (required(&before), required(&after));
    told.extend(has.difference(&had).map(|name| format!("`{name}` must be there from now on")));
    for (name, was) in &were {
        match are.get(name) {
            Some(is) => told.extend(types(&format!("`{name}`"), was, is)),
            None if after.get("additionalProperties") == Some(&Value::Bool(false)) => {
                told.push(format!("`{name}` is not taken any more"));
            }
            None => {}
        }
    }
    told.truncate(MOST_TOLD);
    told
}

fn members(schema: &Value) -> Map<String, Value> {
    schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default()
}

fn required(schema: &Value) -> BTreeSet<String> {
    let names = schema.get("required").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    names.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The types that were taken and are not any more, where both schemas name some.
fn types(what: &str, before: &Value, after: &Value) -> Vec<String> {
    let (Some(before), Some(after)) = (named_types(before), named_types(after)) else { return Vec::new() };
    // An integer is a number.
    let takes = |name: &str| after.contains(name) || (name == "integer" && after.contains("number"));
    let gone: Vec<&str> = before.iter().map(String::as_str).filter(|name| !takes(name)).collect();
    if gone.is_empty() {
        return Vec::new();
    }
    let is: Vec<&str> = after.iter().map(String::as_str).collect();
    vec![format!("{what} was taken as {}, and must be {} from now on", gone.join(" or "), is.join(" or "))]
}

fn named_types(schema: &Value) -> Option<BTreeSet<String>> {
    match schema.get("type")? {
        Value::String(name) => Some(BTreeSet::from([name.clone()])),
        Value::Array(names) => Some(names.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn between(before: &Value, after: &Value) -> Vec<String> {
        narrowed(Some(&Json::write(before).unwrap()), Some(&Json::write(after).unwrap()))
    }

    #[test]
    fn what_takes_as_much_as_before_or_more_breaks_nothing() {
        let before = json!({ "type": "object", "properties": { "a": { "type": "integer" } }, "required": ["a"] });
        for after in [
            before.clone(),
            json!({ "type": "object", "properties": { "a": { "type": "number" }, "b": {} }, "required": ["a"] }),
            json!({ "type": "object", "properties": { "a": { "type": ["integer", "null"] } } }),
            json!({ "type": "object" }),
            json!({}),
            json!(true),
        ] {
            assert_eq!(between(&before, &after), Vec::<String>::new(), "{after}");
        }
        assert_eq!(narrowed(None, Some(&Json::write(&before).unwrap())), Vec::<String>::new());
        assert_eq!(narrowed(Some(&Json::write(&before).unwrap()), None), Vec::<String>::new());
    }

    #[test]
    fn what_must_be_there_is_of_another_type_or_is_not_taken_is_told() {
        let before = json!({ "type": "object", "properties": { "a": { "type": ["integer", "null"] }, "b": {} } });
        let told = |after: Value| between(&before, &after).join("; ");
        assert_eq!(told(json!({ "type": "object", "required": ["a"] })), "`a` must be there from now on");
        assert_eq!(
            told(json!({ "properties": { "a": { "type": "integer" } } })),
            "`a` was taken as null, and must be integer from now on"
        );
        assert_eq!(
            told(json!({ "properties": { "a": {} }, "additionalProperties": false })),
            "`b` is not taken any more"
        );
        assert_eq!(
            told(json!({ "type": "string" })),
            "the payload was taken as object, and must be string from now on"
        );
    }
}
