//! Masking values in JSON, leaving all else as it was written.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap as _};
use serde_json::value::RawValue;
use windlass_api::Json;

/// What stands in the place of a value.
pub(super) const MASKED: &str = "[masked]";

/// A JSON Pointer, taken apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Pointer(Vec<String>);

impl Pointer {
    /// One without its leading slash is taken as if it had one: what it was meant to hide stays hidden.
    pub(super) fn read(text: &str) -> Self {
        if text.is_empty() {
            return Self(Vec::new());
        }
        let steps = text.strip_prefix('/').unwrap_or(text).split('/');
        Self(steps.map(|step| step.replace("~1", "/").replace("~0", "~")).collect())
    }
}

/// The JSON with what the pointers name masked.
pub(super) fn masked(json: &Json, pointers: &BTreeSet<Pointer>) -> Json {
    let paths: Vec<&[String]> = pointers.iter().map(|pointer| pointer.0.as_slice()).collect();
    // What cannot be taken apart is not shown at all.
    let whole = || Json::write(MASKED).unwrap_or_else(|_| Json::null());
    json.read::<Box<RawValue>>()
        .and_then(|raw| mask(raw, &paths))
        .and_then(|raw| Json::write(&raw))
        .unwrap_or_else(|_| whole())
}

fn mask(value: Box<RawValue>, paths: &[&[String]]) -> serde_json::Result<Box<RawValue>> {
    if paths.iter().any(|path| path.is_empty()) {
        return serde_json::value::to_raw_value(MASKED);
    }
    match value.get().bytes().next() {
        Some(b'{') => {
            let Object(mut members) = serde_json::from_str(value.get())?;
            for (name, member) in &mut members {
                step(member, name, paths)?;
            }
            serde_json::value::to_raw_value(&Object(members))
        }
        Some(b'[') => {
            let mut items: Vec<Box<RawValue>> = serde_json::from_str(value.get())?;
            for (at, item) in items.iter_mut().enumerate() {
                step(item, &at.to_string(), paths)?;
            }
            serde_json::value::to_raw_value(&items)
        }
        _ => Ok(value),
    }
}

fn step(value: &mut Box<RawValue>, name: &str, paths: &[&[String]]) -> serde_json::Result<()> {
    let further = paths.iter().filter_map(|path| path.split_first().filter(|(first, _)| *first == name));
    let further: Vec<&[String]> = further.map(|(_, rest)| rest).collect();
    if !further.is_empty() {
        *value = mask(value.clone(), &further)?;
    }
    Ok(())
}

/// An object whose members keep their order, and come twice where they were given twice.
struct Object(Vec<(String, Box<RawValue>)>);

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }

        deserializer.deserialize_map(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(json: &str, pointers: &[&str]) -> String {
        let pointers = pointers.iter().map(|pointer| Pointer::read(pointer)).collect();
        masked(&json.parse().unwrap(), &pointers).as_str().to_owned()
    }

    #[test]
    fn what_a_pointer_names_is_masked_and_all_else_stays_as_it_was_written() {
        let payload =
            r#"{"n":12345678901234567890123,"card":{"number":"4111","cvc":[1,2]},"a/b":1,"list":[{"x":1},{"x":2}]}"#;
        assert_eq!(
            with(payload, &["/card/number", "/a~1b", "/list/1/x", "/not/there"]),
            r#"{"n":12345678901234567890123,"card":{"number":"[masked]","cvc":[1,2]},"a/b":"[masked]","list":[{"x":1},{"x":"[masked]"}]}"#
        );
        assert_eq!(with(r#"{"card":null}"#, &["/card", "/card/number"]), r#"{"card":"[masked]"}"#);
        assert_eq!(with("[1,2]", &[""]), r#""[masked]""#);
        assert_eq!(with("7", &["/card"]), "7");
    }

    #[test]
    fn neither_a_name_that_comes_twice_nor_one_that_is_written_otherwise_gets_through() {
        assert_eq!(with(r#"{"card":1,"card":2}"#, &["/card"]), r#"{"card":"[masked]","card":"[masked]"}"#);
        assert_eq!(with(r#"{"\u0063ard":1}"#, &["card"]), r#"{"card":"[masked]"}"#);
    }
}
