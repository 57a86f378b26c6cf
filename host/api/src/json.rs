//! JSON that is passed on as it was written.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// JSON text that has been checked but not changed, so that big integers and the order of keys survive.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

/// Text that is not JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidJson(String);

impl fmt::Display for InvalidJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not JSON: {}", self.0)
    }
}

impl std::error::Error for InvalidJson {}

impl Json {
    /// Takes text as JSON.
    ///
    /// # Errors
    /// Where the text is not one JSON value, or nests deeper than 128 levels.
    pub fn from_text(text: String) -> Result<Self, InvalidJson> {
        // A raw value is only skimmed: its depth shows when it is read, and whoever reads it later must not fail.
        serde_json::from_str::<serde_json::Value>(&text).map_err(|error| InvalidJson(error.to_string()))?;
        RawValue::from_string(text).map(Self).map_err(|error| InvalidJson(error.to_string()))
    }

    /// The value `null`.
    #[must_use]
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Reads it as a type.
    ///
    /// # Errors
    /// Where it does not have the type's shape.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> serde_json::Result<T> {
        serde_json::from_str(self.as_str())
    }

    /// Writes a value as JSON.
    ///
    /// # Errors
    /// Where the value cannot be written as JSON, such as a map whose keys are not text.
    pub fn write<T: Serialize + ?Sized>(value: &T) -> serde_json::Result<Self> {
        serde_json::value::to_raw_value(value).map(Self)
    }
}

impl FromStr for Json {
    type Err = InvalidJson;

    fn from_str(text: &str) -> Result<Self, InvalidJson> {
        Self::from_text(text.to_owned())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn big_integers_and_key_order_survive() {
        let text = r#"{"b":123456789012345678901234567890,"a":1.0}"#;
        let json: Json = text.parse().unwrap();
        assert_eq!(serde_json::to_string(&json).unwrap(), text);
    }

    #[test]
    fn what_is_not_json_is_refused() {
        assert!("{".parse::<Json>().is_err());
        assert!("".parse::<Json>().is_err());
        assert!("[".repeat(10_000).parse::<Json>().is_err());
        assert!(format!("{}{}", "[".repeat(200), "]".repeat(200)).parse::<Json>().is_err());
    }
}
