//! The page of all routes of the API, from the API's own description: what each takes, gives and may answer with, and the types that
//! go over the wire.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::markdown::{GENERATED, cell, code};
use crate::http::description;

/// What every answer of the kind may be, told once.
const SAID_ONCE: [&str; 9] = ["304", "400", "401", "403", "408", "413", "429", "500", "503"];

pub(super) fn page() -> String {
    let document = description();
    let mut page = format!(
        "{GENERATED}# Routes and types of the HTTP API\n\nWhat `GET /api/v1/openapi.json` says, for reading. [The HTTP API](../api.md) tells \
         how requests are made and what holds for all of them; the answers that any route may give (304, 400, 401, 403, 408, 413, 429, 500, \
         503) stand [there](../api.md#errors).\n"
    );
    let mut topic = "";
    for (path, methods) in members(&document["paths"]) {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let own = operation["tags"][0].as_str().unwrap_or_default();
            if own != topic {
                topic = own;
                // Writing to a string cannot fail.
                let _ = write!(page, "\n## {}\n", heading(topic));
            }
            route(path, method, operation, &mut page);
        }
    }
    page.push_str("\n## Types\n");
    for (name, schema) in members(&document["components"]["schemas"]) {
        named(name, schema, &mut page);
    }
    page
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

/// The routes that are not under `/api/v1` are named by their path.
fn heading(topic: &str) -> String {
    match topic {
        "" => "The dashboard".to_owned(),
        topic => topic.replace('-', " "),
    }
}

fn route(path: &str, method: &str, operation: &Value, page: &mut String) {
    let summary = cell(operation["summary"].as_str().unwrap_or_default());
    let role = match operation["x-windlass-role"].as_str() {
        Some(role) => format!("Role: {role}."),
        None => "No token is needed.".to_owned(),
    };
    let _ = write!(page, "\n### {} {}\n\n{summary} {role}\n", method.to_uppercase(), code(path));
    let parameters = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !parameters.is_empty() {
        page.push_str("\n| parameter | in | takes | |\n| --- | --- | --- | --- |\n");
    }
    for parameter in parameters {
        let name = parameter["name"].as_str().unwrap_or_default();
        let place = parameter["in"].as_str().unwrap_or_default();
        let about = about(parameter, &parameter["schema"]);
        let _ = writeln!(page, "| {} | {place} | {} | {about} |", code(name), kind(&parameter["schema"]));
    }
    let bodies = members(&operation["requestBody"]["content"]);
    for (media, content) in bodies {
        let _ = write!(page, "\nBody ({}): {}.\n", code(media), kind(&content["schema"]));
    }
    let answers = members(&operation["responses"]).filter(|(status, _)| !SAID_ONCE.contains(&status.as_str()));
    page.push_str("\n| answer | holds | |\n| --- | --- | --- |\n");
    for (status, answer) in answers {
        let holds: Vec<_> = members(&answer["content"]).map(|(_, content)| kind(&content["schema"])).collect();
        let description = cell(answer["description"].as_str().unwrap_or_default());
        let _ = writeln!(page, "| {status} | {} | {description} |", holds.join(" or "));
    }
}

/// A type that has a name: its fields, its words, or what it is written as.
fn named(name: &str, schema: &Value, page: &mut String) {
    let _ = write!(page, "\n### {name}\n");
    let about = cell(schema["description"].as_str().unwrap_or_default());
    if !about.is_empty() {
        let _ = write!(page, "\n{about}\n");
    }
    let fields: Vec<_> = members(&schema["properties"]).collect();
    if fields.is_empty() {
        let _ = write!(page, "\nIt is {}.\n", kind(schema));
        return;
    }
    page.push_str("\n| field | is | |\n| --- | --- | --- |\n");
    let required = schema["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (field, value) in fields {
        let absent = if required.iter().any(|name| name == field) { "" } else { ", may be absent" };
        let _ = writeln!(page, "| {} | {}{absent} | {} |", code(field), kind(value), about_of(value));
    }
}

fn about(outer: &Value, schema: &Value) -> String {
    match outer["description"].as_str() {
        Some(text) => cell(text),
        None => about_of(schema),
    }
}

fn about_of(schema: &Value) -> String {
    cell(schema["description"].as_str().unwrap_or_default())
}

/// What a value is, in a word or two; types that have a name are linked.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    for either in ["oneOf", "anyOf", "allOf"] {
        if let Some(choices) = schema[either].as_array() {
            let kinds: Vec<_> = choices.iter().map(kind).collect();
            return kinds.join(" or ");
        }
    }
    if let Some(words) = schema["enum"].as_array() {
        let words: Vec<_> = words.iter().map(|word| code(word.as_str().unwrap_or("null"))).collect();
        return words.join(" or ");
    }
    if let Some(constant) = schema.get("const") {
        return code(constant.as_str().map_or_else(|| constant.to_string(), str::to_owned).as_str());
    }
    match &schema["type"] {
        Value::Array(kinds) => {
            let kinds: Vec<_> = kinds.iter().filter_map(Value::as_str).map(|kind| one(kind, schema)).collect();
            kinds.join(" or ")
        }
        Value::String(kind) => one(kind, schema),
        _ => "any JSON".to_owned(),
    }
}

fn one(kind: &str, schema: &Value) -> String {
    match kind {
        "array" => format!("a list of {}", self::kind(&schema["items"])),
        "string" => match schema["format"].as_str() {
            Some("date-time") => "an instant".to_owned(),
            Some("binary") => "bytes".to_owned(),
            Some("uuid") => "a UUID".to_owned(),
            _ => "text".to_owned(),
        },
        "integer" => range(schema, "a whole number"),
        "number" => range(schema, "a number"),
        "boolean" => "`true` or `false`".to_owned(),
        "null" => "`null`".to_owned(),
        "object" => {
            let fields: Vec<_> =
                members(&schema["properties"]).map(|(name, value)| (name, self::kind(value))).collect();
            if fields.is_empty() {
                return match schema.get("additionalProperties") {
                    Some(values) if values.is_object() => format!("an object whose values are {}", self::kind(values)),
                    _ => "an object".to_owned(),
                };
            }
            let fields: Vec<_> = fields.iter().map(|(name, kind)| format!("{}: {kind}", code(name))).collect();
            format!("an object of {}", fields.join(", "))
        }
        other => other.to_owned(),
    }
}

/// The bounds that are not just those of the type.
fn range(schema: &Value, what: &str) -> String {
    let bound = |name: &str| schema.get(name).filter(|bound| bound.as_f64().is_some_and(|bound| bound.abs() < 1e15));
    match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!("{what}, {least} to {most}"),
        (Some(least), None) if least.as_f64() != Some(0.0) => format!("{what}, at least {least}"),
        (None, Some(most)) => format!("{what}, at most {most}"),
        _ => what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_and_every_type_has_a_place_and_every_link_leads_to_one() {
        let (page, document) = (page(), description());
        for (path, methods) in members(&document["paths"]) {
            for (method, _) in members(methods) {
                let heading = format!("### {} `{path}`\n", method.to_uppercase());
                assert!(page.contains(&heading), "{heading}");
            }
        }
        let links = page.split("](#").skip(1).filter_map(|rest| rest.split(')').next());
        let headings: Vec<_> =
            page.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_lowercase).collect();
        let mut followed = 0;
        for link in links {
            assert!(headings.iter().any(|heading| heading == link), "{link}");
            followed += 1;
        }
        assert!(followed > 50, "{followed}");
    }
}
