//! From a JSON Schema to fields. What a form cannot show well becomes a field of raw JSON, so that every payload can be
//! written.

use serde_json::Value;

use crate::order::sorted;

/// No field nests deeper: a schema may refer to itself.
const MAX_DEPTH: u32 = 8;

/// A field of a form.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name within the object that it belongs to; empty for the whole payload, items and variants.
    pub name: String,
    /// What the schema calls it, where that is another than its name.
    pub title: Option<String>,
    /// What the schema says of it.
    pub help: Option<String>,
    /// Whether it must be there.
    pub required: bool,
    /// What stands in it at first, as JSON text.
    pub default: Option<String>,
    /// What it holds.
    pub shape: Shape,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Text.
    Text {
        /// `date-time`, `uri` and the like.
        format: Option<String>,
        /// No text is longer, in characters.
        max_length: Option<u64>,
    },
    /// A number, with its bounds as the schema writes them.
    Number {
        /// Whether it is a whole one.
        integer: bool,
        /// It is no smaller.
        minimum: Option<String>,
        /// It is no larger.
        maximum: Option<String>,
    },
    /// Yes or no.
    Switch,
    /// One of these values, as JSON text.
    Choice(Vec<String>),
    /// An object.
    Object(Vec<Field>),
    /// A list of such.
    List(Box<Field>),
    /// One of several.
    OneOf(Vec<Variant>),
    /// Anything, written as JSON.
    Raw,
}

/// One of several shapes that a field may have.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// What to call it.
    pub label: String,
    /// What it holds.
    pub field: Field,
}

/// The field that a schema describes; one of raw JSON where there is no schema or it cannot be read.
#[must_use]
pub fn read(schema: Option<&str>) -> Field {
    let root = schema.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Bool(true));
    field("", &root, true, &root, 0)
}

fn field(name: &str, schema: &Value, required: bool, root: &Value, depth: u32) -> Field {
    let target = resolve(schema, root);
    // What stands beside a reference is about this use of it, and comes first.
    let text = |key: &str| [schema, target].into_iter().find_map(|schema| schema[key].as_str()).map(str::to_owned);
    let default = [schema, target].into_iter().find_map(|schema| schema.get("default"));
    Field {
        name: name.to_owned(),
        title: text("title").filter(|title| title != name),
        help: text("description"),
        required,
        default: default.map(ToString::to_string),
        shape: if depth >= MAX_DEPTH { Shape::Raw } else { shape(target, root, depth) },
    }
}

/// Follows a reference within the schema; a schema that cannot be followed stands for itself.
fn resolve<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let mut target = schema;
    for _ in 0..MAX_DEPTH {
        let pointer = target["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        match pointer.and_then(|pointer| root.pointer(pointer)) {
            Some(found) => target = found,
            None => break,
        }
    }
    // `allOf` with a single part is how some writers put a description beside a reference.
    match target["allOf"].as_array().map(Vec::as_slice) {
        Some([only]) if target.get("properties").is_none() => root_of(only, root),
        _ => target,
    }
}

fn root_of<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
    let pointer = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

fn shape(schema: &Value, root: &Value, depth: u32) -> Shape {
    if let Some(values) = schema["enum"].as_array() {
        return Shape::Choice(values.iter().map(ToString::to_string).collect());
    }
    if let Some(value) = schema.get("const") {
        return Shape::Choice(vec![value.to_string()]);
    }
    if let Some(parts) = schema["oneOf"].as_array().or_else(|| schema["anyOf"].as_array()) {
        return one_of(parts, root, depth);
    }
    match &schema["type"] {
        Value::String(kind) => of_type(kind, schema, root, depth),
        Value::Array(kinds) => {
            let kinds = kinds.iter().filter_map(Value::as_str);
            let variants = kinds.map(|kind| {
                let shape = of_type(kind, schema, root, depth);
                let plain = Field { shape, ..bare() };
                Variant { label: label_of_type(kind), field: plain }
            });
            Shape::OneOf(variants.collect())
        }
        _ if schema["properties"].is_object() => object(schema, root, depth),
        _ => Shape::Raw,
    }
}

fn bare() -> Field {
    Field { name: String::new(), title: None, help: None, required: true, default: None, shape: Shape::Raw }
}

fn label_of_type(kind: &str) -> String {
    match kind {
        "null" => "none",
        "boolean" => "yes or no",
        "integer" => "whole number",
        "string" => "text",
        "array" => "list",
        other => other,
    }
    .to_owned()
}

fn of_type(kind: &str, schema: &Value, root: &Value, depth: u32) -> Shape {
    let number = |key: &str| Some(&schema[key]).filter(|value| value.is_number()).map(ToString::to_string);
    match kind {
        "string" => {
            let format = schema["format"].as_str().map(str::to_owned);
            Shape::Text { format, max_length: schema["maxLength"].as_u64() }
        }
        "integer" | "number" => Shape::Number {
            integer: kind == "integer",
            minimum: number("minimum").or_else(|| number("exclusiveMinimum")),
            maximum: number("maximum").or_else(|| number("exclusiveMaximum")),
        },
        "boolean" => Shape::Switch,
        "null" => Shape::Choice(vec!["null".to_owned()]),
        "array" if schema["items"].is_object() => {
            Shape::List(Box::new(field("", &schema["items"], true, root, depth + 1)))
        }
        "object" => object(schema, root, depth),
        _ => Shape::Raw,
    }
}

/// An object with known fields; a map of whatever keys is raw JSON.
fn object(schema: &Value, root: &Value, depth: u32) -> Shape {
    let Some(properties) = schema["properties"].as_object() else {
        return Shape::Raw;
    };
    let required: Vec<_> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fields: Vec<_> = properties
        .iter()
        .map(|(name, schema)| field(name, schema, required.contains(&name.as_str()), root, depth + 1))
        .collect();
    // What must be filled in comes first, in the order that the schema names it in.
    let place = |field: &Field| required.iter().position(|name| *name == field.name).unwrap_or(usize::MAX);
    Shape::Object(sorted(fields, |one, other| place(one).cmp(&place(other))))
}

fn one_of(parts: &[Value], root: &Value, depth: u32) -> Shape {
    let constant = |part: &Value| match shape(resolve(part, root), root, depth + 1) {
        Shape::Choice(values) => Some(values),
        _ => None,
    };
    if depth + 1 < MAX_DEPTH
        && let Some(values) = parts.iter().map(constant).collect::<Option<Vec<_>>>()
    {
        return Shape::Choice(values.concat());
    }
    let variants = parts.iter().enumerate().map(|(at, part)| {
        let field = field("", part, true, root, depth + 1);
        let label =
            field.title.clone().or_else(|| label(&field.shape)).unwrap_or_else(|| format!("variant {}", at + 1));
        Variant { label, field }
    });
    Shape::OneOf(variants.collect())
}

/// What to call a variant without a title: what tells it from the others, or what it is.
fn label(shape: &Shape) -> Option<String> {
    match shape {
        Shape::Object(fields) => fields.iter().find_map(|field| match &field.shape {
            Shape::Choice(values) if values.len() == 1 && field.required => {
                Some(values[0].trim_matches('"').to_owned())
            }
            _ => None,
        }),
        Shape::Choice(values) if values.len() == 1 && values[0] == "null" => Some("none".to_owned()),
        Shape::Text { .. } => Some("text".to_owned()),
        Shape::Number { integer: true, .. } => Some("whole number".to_owned()),
        Shape::Number { .. } => Some("number".to_owned()),
        Shape::Switch => Some("yes or no".to_owned()),
        Shape::List(_) => Some("list".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(schema: &str) -> Vec<Field> {
        match read(Some(schema)).shape {
            Shape::Object(fields) => fields,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_object_becomes_fields_with_the_required_ones_first() {
        let fields = fields(
            r#"{"type":"object","required":["width","source"],"properties":{
                "note":{"type":["string","null"],"default":null},
                "source":{"type":"string","description":"A file"},
                "width":{"type":"integer","minimum":1,"maximum":18446744073709551615}}}"#,
        );
        assert_eq!(fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>(), ["width", "source", "note"]);
        let maximum = Some("18446744073709551615".to_owned());
        assert_eq!(fields[0].shape, Shape::Number { integer: true, minimum: Some("1".to_owned()), maximum });
        assert_eq!(fields[1].help.as_deref(), Some("A file"));
        assert!(matches!(&fields[2].shape, Shape::OneOf(variants) if variants[1].label == "none"));
        assert_eq!(fields[2].default.as_deref(), Some("null"));
    }

    #[test]
    fn references_are_followed_and_those_to_themselves_end() {
        let fields = fields(
            r##"{"type":"object","properties":{"tree":{"$ref":"#/$defs/Tree","description":"Here"}},
                "$defs":{"Tree":{"type":"object","description":"There","properties":{"left":{"$ref":"#/$defs/Tree"}}}}}"##,
        );
        assert_eq!(fields[0].help.as_deref(), Some("Here"));
        let (mut depth, mut field) = (0, &fields[0]);
        while let Shape::Object(fields) = &field.shape {
            (depth, field) = (depth + 1, &fields[0]);
        }
        assert_eq!((depth, &field.shape), (7, &Shape::Raw));
        assert_eq!(read(Some(r##"{"$ref":"#"}"##)).shape, Shape::Raw);
    }

    #[test]
    fn constants_are_a_choice_and_tagged_objects_are_named_by_their_tag() {
        assert_eq!(
            read(Some(r#"{"oneOf":[{"const":"a"},{"enum":["b",3]}]}"#)).shape,
            Shape::Choice(vec!["\"a\"".to_owned(), "\"b\"".to_owned(), "3".to_owned()])
        );
        let tagged = r#"{"oneOf":[{"type":"object","required":["kind"],"properties":{"kind":{"const":"fixed"}}},{"type":"null"}]}"#;
        let Shape::OneOf(variants) = read(Some(tagged)).shape else { panic!("not one of several") };
        assert_eq!(variants.iter().map(|variant| variant.label.as_str()).collect::<Vec<_>>(), ["fixed", "none"]);
    }

    #[test]
    fn what_a_form_cannot_show_is_raw() {
        for schema in [None, Some("{"), Some("true"), Some("{}"), Some(r#"{"type":"object"}"#), Some("[1]")] {
            assert_eq!(read(schema).shape, Shape::Raw, "{schema:?}");
        }
    }
}
