//! What stands in the fields of a form, read from JSON text and written as such.

use std::{cmp::Ordering, collections::BTreeMap};

use serde_json::value::RawValue;
use windlass_api::Json;

use super::{
    decimal::compare,
    read::{Field, Shape},
};

/// What stands in a field. Its shape is the field's.
#[derive(Clone, Debug, PartialEq)]
pub enum Filled {
    /// An optional field that is left out.
    Absent,
    /// Text, a number as it is typed, or raw JSON.
    Typed(String),
    /// A switch.
    Switch(bool),
    /// The place of the chosen value.
    Choice(usize),
    /// The fields of an object, in the order of the fields.
    Object(Vec<Filled>),
    /// Items.
    List(Vec<Filled>),
    /// The place of the variant, and what stands in it.
    OneOf(usize, Box<Filled>),
}

/// Something that cannot be sent as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, as a JSON Pointer.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

/// Fills a field from JSON text, or, where there is none or it does not fit, with what a person would begin from.
#[must_use]
pub fn fill(field: &Field, json: Option<&str>) -> Filled {
    match json.or(field.default.as_deref()).and_then(|json| fitting(field, json)) {
        Some(filled) => filled,
        None if !field.required => Filled::Absent,
        None => empty(field),
    }
}

fn empty(field: &Field) -> Filled {
    match &field.shape {
        Shape::Text { .. } | Shape::Number { .. } => Filled::Typed(String::new()),
        Shape::Raw => Filled::Typed("null".to_owned()),
        Shape::Switch => Filled::Switch(false),
        Shape::Choice(_) => Filled::Choice(0),
        Shape::Object(fields) => Filled::Object(fields.iter().map(|field| fill(field, None)).collect()),
        Shape::List(_) => Filled::List(Vec::new()),
        Shape::OneOf(variants) => {
            let first = variants.first().map_or(Filled::Absent, |variant| empty(&variant.field));
            Filled::OneOf(0, Box::new(first))
        }
    }
}

/// Reads JSON text into a field; nothing where it is of another shape, or has what no field stands for.
fn fitting(field: &Field, json: &str) -> Option<Filled> {
    let json = json.trim();
    match &field.shape {
        Shape::Text { .. } => serde_json::from_str::<String>(json).ok().map(Filled::Typed),
        Shape::Number { integer, .. } => is_number(json, *integer).then(|| Filled::Typed(json.to_owned())),
        Shape::Switch => serde_json::from_str::<bool>(json).ok().map(Filled::Switch),
        Shape::Choice(values) => {
            let wanted: serde_json::Value = serde_json::from_str(json).ok()?;
            let is_it =
                |value: &String| serde_json::from_str::<serde_json::Value>(value).is_ok_and(|value| value == wanted);
            values.iter().position(is_it).map(Filled::Choice)
        }
        Shape::Object(fields) => {
            let mut parts: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json).ok()?;
            let filled = fields.iter().map(|field| match parts.remove(&field.name) {
                Some(part) => fitting(field, part.get()),
                None if field.required => None,
                None => Some(Filled::Absent),
            });
            let filled = filled.collect::<Option<Vec<_>>>()?;
            parts.is_empty().then_some(Filled::Object(filled))
        }
        Shape::List(item) => {
            let items: Vec<Box<RawValue>> = serde_json::from_str(json).ok()?;
            items.iter().map(|json| fitting(item, json.get())).collect::<Option<Vec<_>>>().map(Filled::List)
        }
        Shape::OneOf(variants) => variants
            .iter()
            .enumerate()
            .find_map(|(at, variant)| fitting(&variant.field, json).map(|filled| Filled::OneOf(at, Box::new(filled)))),
        Shape::Raw => Json::from_text(json.to_owned()).ok().map(|_| Filled::Typed(json.to_owned())),
    }
}

/// The JSON text of what stands in a form.
///
/// # Errors
/// All that cannot be sent as it stands.
pub fn write(field: &Field, filled: &Filled) -> Result<String, Vec<Fault>> {
    let mut faults = Vec::new();
    let json = text(field, filled, "", &mut faults);
    if faults.is_empty() { Ok(json) } else { Err(faults) }
}

fn text(field: &Field, filled: &Filled, pointer: &str, faults: &mut Vec<Fault>) -> String {
    let mut fault = |message: &str| faults.push(Fault { pointer: pointer.to_owned(), message: message.to_owned() });
    match (&field.shape, filled) {
        (Shape::Text { max_length, .. }, Filled::Typed(typed)) => {
            if max_length.is_some_and(|most| typed.chars().count() as u64 > most) {
                fault("too long");
            }
            quoted(typed)
        }
        (Shape::Number { integer, minimum, maximum }, Filled::Typed(typed)) => {
            let typed = typed.trim();
            let is = |order, bound: &Option<String>| bound.as_ref().is_some_and(|bound| compare(typed, bound) == order);
            match is_number(typed, *integer) {
                true if is(Ordering::Less, minimum) => fault("too small"),
                true if is(Ordering::Greater, maximum) => fault("too large"),
                true => {}
                false if *integer => fault("expected a whole number"),
                false => fault("expected a number"),
            }
            typed.to_owned()
        }
        (Shape::Raw, Filled::Typed(typed)) => {
            if let Err(error) = Json::from_text(typed.trim().to_owned()) {
                fault(&error.to_string());
            }
            typed.trim().to_owned()
        }
        (Shape::Switch, Filled::Switch(on)) => on.to_string(),
        (Shape::Choice(values), Filled::Choice(at)) => values.get(*at).cloned().unwrap_or_else(|| "null".to_owned()),
        (Shape::Object(fields), Filled::Object(parts)) => {
            let mut written = Vec::new();
            for (field, part) in fields.iter().zip(parts).filter(|(_, part)| **part != Filled::Absent) {
                let name = field.name.replace('~', "~0").replace('/', "~1");
                let json = text(field, part, &format!("{pointer}/{name}"), faults);
                written.push(format!("{}:{json}", quoted(&field.name)));
            }
            format!("{{{}}}", written.join(","))
        }
        (Shape::List(item), Filled::List(items)) => {
            let items = items.iter().enumerate().map(|(at, part)| text(item, part, &format!("{pointer}/{at}"), faults));
            format!("[{}]", items.collect::<Vec<_>>().join(","))
        }
        (Shape::OneOf(variants), Filled::OneOf(at, part)) => match variants.get(*at) {
            Some(variant) => text(&variant.field, part, pointer, faults),
            None => "null".to_owned(),
        },
        _ => {
            fault("must be filled in");
            "null".to_owned()
        }
    }
}

fn quoted(text: &str) -> String {
    // Text is always written.
    serde_json::to_string(text).unwrap_or_default()
}

fn is_number(text: &str, integer: bool) -> bool {
    let is_json = matches!(text.as_bytes().first(), Some(b'-' | b'0'..=b'9')) && text.parse::<Json>().is_ok();
    // 1e400 is JSON, and beyond what the parser takes for a number; whole ones of any length are taken.
    let is_whole = text.strip_prefix('-').unwrap_or(text).bytes().all(|byte| byte.is_ascii_digit());
    is_json && (!integer || is_whole)
}

#[cfg(test)]
mod tests {
    use super::super::read::read;
    use super::*;

    const SCHEMA: &str = r#"{"type":"object","required":["source","width"],"properties":{
        "source":{"type":"string","maxLength":5},
        "width":{"type":"integer","minimum":1,"maximum":4000},
        "fit":{"enum":["cover","contain"],"default":"contain"},
        "sizes":{"type":"array","items":{"type":"integer"}},
        "note":{"type":["string","null"]}}}"#;

    fn again(json: &str) -> String {
        let field = read(Some(SCHEMA));
        write(&field, &fill(&field, Some(json))).unwrap()
    }

    #[test]
    fn what_is_read_is_written_again() {
        let json = r#"{"source":"é\n\"","width":200,"fit":"cover","note":null,"sizes":[1,2]}"#;
        assert_eq!(again(json), json);
        assert_eq!(again(r#"{"width": 7, "source":"a"}"#), r#"{"source":"a","width":7}"#);
    }

    #[test]
    fn big_numbers_stay_exact() {
        let field = read(Some(r#"{"type":"integer"}"#));
        let big = "123456789012345678901234567890";
        assert_eq!(write(&field, &fill(&field, Some(big))).unwrap(), big);
        assert_eq!(write(&field, &Filled::Typed("1.5".to_owned())).unwrap_err()[0].message, "expected a whole number");
        for wrong in ["", "01", "+1", "1_000", "0x10", "NaN", "--1", "1e3"] {
            assert!(write(&field, &Filled::Typed(wrong.to_owned())).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_fresh_form_has_its_defaults_and_its_optional_fields_left_out() {
        let field = read(Some(SCHEMA));
        let Filled::Object(parts) = fill(&field, None) else { panic!("not an object") };
        assert_eq!(parts[..2], [Filled::Typed(String::new()), Filled::Typed(String::new())]);
        assert_eq!(parts[2..], [Filled::Choice(1), Filled::Absent, Filled::Absent]);
    }

    #[test]
    fn what_does_not_fit_the_form_is_said_to_not_fit() {
        let field = read(Some(SCHEMA));
        for json in [r#"{"source":1,"width":1}"#, r#"{"source":"a","width":1,"more":2}"#, "[]", r#"{"source":"a"}"#] {
            assert_eq!(fitting(&field, json), None, "{json}");
        }
    }

    #[test]
    fn faults_say_where_and_what() {
        let field = read(Some(SCHEMA));
        let parts = vec![
            Filled::Typed("too long".to_owned()),
            Filled::Typed("0".to_owned()),
            Filled::Absent,
            Filled::Absent,
            Filled::List(vec![Filled::Typed("x".to_owned())]),
        ];
        let faults = write(&field, &Filled::Object(parts)).unwrap_err();
        let told: Vec<_> = faults.iter().map(|fault| format!("{} {}", fault.pointer, fault.message)).collect();
        // The properties come in the order of the alphabet, after those that are required.
        assert_eq!(told, ["/source too long", "/width too small", "/sizes/0 expected a whole number"]);
    }
}
