//! Payloads against a handler's JSON Schema.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use windlass_api::Json;

/// How many violations an error tells of.
const MAX_VIOLATIONS: usize = 3;

/// How much of a violation's text an error tells: it quotes the payload, which may be long.
const MAX_VIOLATION_CHARS: usize = 200;

/// Whether a schema can be used to check payloads: 2020-12 unless it says otherwise, referring to nothing outside
/// itself, its patterns without look-around and back-references.
///
/// # Errors
/// Where it cannot, with the reason.
pub fn check_schema(schema: &Json) -> Result<(), String> {
    compile(schema).map(drop)
}

/// Checks a payload against a schema, as an enqueue does.
///
/// # Errors
/// Where the schema cannot be used or the payload does not match it; the text lists what is wrong and where.
pub fn check_payload(schema: &Json, payload: &Json) -> Result<(), String> {
    check(&compile(schema)?, payload)
}

/// Prepares a schema. Patterns go to an engine that takes linear time, since the schema comes from a guest; nothing is
/// fetched from anywhere.
pub(super) fn compile(schema: &Json) -> Result<Validator, String> {
    let schema = schema.read::<Value>().map_err(|error| error.to_string())?;
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
    options.build(&schema).map_err(|error| shorten(&error.to_string()))
}

/// Checks a payload; the error lists what is wrong and where.
pub(super) fn check(validator: &Validator, payload: &Json) -> Result<(), String> {
    let value = payload.read::<Value>().map_err(|error| error.to_string())?;
    if validator.is_valid(&value) {
        return Ok(());
    }
    let mut errors = validator.iter_errors(&value);
    let mut told = Vec::new();
    for error in errors.by_ref().take(MAX_VIOLATIONS) {
        let at = error.instance_path().as_str();
        let at = if at.is_empty() { "(the whole)" } else { at };
        told.push(format!("at {at}: {}", shorten(&error.to_string())));
    }
    if errors.next().is_some() {
        told.push("and more".to_owned());
    }
    Err(told.join("; "))
}

fn shorten(text: &str) -> String {
    let mut short = text.chars().take(MAX_VIOLATION_CHARS).collect::<String>();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(schema: &str, payload: &str) -> String {
        check(&compile(&schema.parse().unwrap()).unwrap(), &payload.parse().unwrap()).unwrap_err()
    }

    const THUMBNAIL: &str = r#"{
        "type": "object", "required": ["path"],
        "properties": { "path": { "type": "string" }, "width": { "type": "integer" }, "a": { "type": "null" } }
    }"#;

    #[test]
    fn a_violation_is_told_with_its_pointer() {
        let told = violations(THUMBNAIL, r#"{"path": "a.jpg", "width": "wide"}"#);
        assert_eq!(told, r#"at /width: "wide" is not of type "integer""#);
        assert_eq!(violations(THUMBNAIL, "{}"), r#"at (the whole): "path" is a required property"#);
    }

    #[test]
    fn at_most_three_violations_are_told_and_none_at_length() {
        let schema = r#"{"items": {"type": "null"}}"#;
        let told = violations(schema, "[1,2,3,4]");
        assert!(told.starts_with("at /0:") && told.contains("at /2:") && told.ends_with("; and more"), "{told}");
        assert!(violations(schema, &format!("[\"{}\"]", "x".repeat(10_000))).chars().count() < 300);
    }

    #[test]
    fn a_schema_that_cannot_be_used_is_refused_with_the_reason() {
        assert!(check_schema(&r#"{"type": 7}"#.parse().unwrap()).is_err());
        assert!(check_schema(&r#"{"$ref": "http://localhost/schema"}"#.parse().unwrap()).is_err());
        assert!(check_schema(&r#"{"$ref": "file:///etc/hostname"}"#.parse().unwrap()).is_err());
        assert!(check_schema(&r#"{"pattern": "(a)\\1"}"#.parse().unwrap()).is_err());
        assert!(check_schema(&Json::null()).is_err());
    }

    #[test]
    fn a_hostile_pattern_takes_linear_time() {
        let payload = format!("\"{}!\"", "a".repeat(50_000));
        violations(r#"{"pattern": "^(a+)+$"}"#, &payload);
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        for schema in [r##"{"$ref": "#"}"##, r##"{"allOf": [{"$ref": "#"}]}"##] {
            if let Ok(validator) = compile(&schema.parse().unwrap()) {
                let _ = check(&validator, &"1".parse().unwrap());
            }
        }
    }
}
