//! Payloads against a handler's JSON Schema.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;
use windlass_api::Json;

use super::expansion::{self, Expansion};

/// How much of a violation's text an error tells: it quotes the payload, which may be long.
const MAX_VIOLATION_CHARS: usize = 200;

/// Whether a schema can be used to check payloads: 2020-12 unless it says otherwise, referring to nothing outside
/// itself, its patterns without look-around and back-references, and not too large with its references followed.
///
/// # Errors
/// Where it cannot, with the reason.
pub fn check_schema(schema: &Json) -> Result<(), String> {
    compile(schema).map(drop)
}

/// Checks a payload against a schema, as an enqueue does.
///
/// # Errors
/// Where the schema cannot be used or the payload does not match it; the text says what is wrong and where.
pub fn check_payload(schema: &Json, payload: &Json) -> Result<(), String> {
    check(&compile(schema)?, payload)
}

/// A payload that takes more work than this to be checked belongs on a thread of its own: nodes of the schema times bytes
/// of the payload, which is some milliseconds.
const MAX_SMALL_WORK: usize = 500_000;

/// A schema made ready.
#[derive(Debug)]
pub(super) struct Compiled {
    validator: Validator,
    expansion: Expansion,
}

impl Compiled {
    /// Whether a payload is checked so fast that it may be done on an async thread.
    pub(super) fn is_fast_for(&self, payload: &Json) -> bool {
        // A schema that refers to itself may go through the payload again and again.
        !self.expansion.recursive && self.expansion.nodes.saturating_mul(payload.as_str().len()) <= MAX_SMALL_WORK
    }
}

/// Prepares a schema. Patterns go to an engine that takes linear time, since the schema comes from a guest; nothing is
/// fetched from anywhere.
pub(super) fn compile(schema: &Json) -> Result<Compiled, String> {
    let schema = schema.read::<Value>().map_err(|error| error.to_string())?;
    let expansion = expansion::measure(&schema)?;
    let options = jsonschema::options().with_pattern_options(PatternOptions::regex());
    let validator = options.build(&schema).map_err(|error| shorten(&error.to_string()))?;
    Ok(Compiled { validator, expansion })
}

/// Checks a payload; the error says what is wrong and where. It tells of one violation only: the others would have to be
/// gathered all, however many there are, to tell of some.
pub(super) fn check(schema: &Compiled, payload: &Json) -> Result<(), String> {
    let value = payload.read::<Value>().map_err(|error| error.to_string())?;
    if schema.validator.is_valid(&value) {
        return Ok(());
    }
    schema.validator.validate(&value).map_err(|error| {
        let at = error.instance_path().as_str();
        let at = if at.is_empty() { "(the whole)" } else { at };
        format!("at {}: {}", shorten(at), shorten(&error.to_string()))
    })
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
    fn one_violation_is_told_and_not_at_length() {
        let schema = r#"{"items": {"type": "null"}}"#;
        let told = violations(schema, "[1,2,3,4]");
        assert!(told.starts_with("at /0:") && !told.contains("at /1:"), "{told}");
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
    fn what_is_large_or_refers_to_itself_is_not_checked_on_an_async_thread() {
        let compiled = |schema: &str| compile(&schema.parse().unwrap()).unwrap();
        let long = format!("\"{}\"", "x".repeat(200_000)).parse().unwrap();
        assert!(compiled(THUMBNAIL).is_fast_for(&Json::null()));
        assert!(!compiled(THUMBNAIL).is_fast_for(&long));
        assert!(!compiled(r##"{"items": {"$ref": "#"}}"##).is_fast_for(&Json::null()));
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
