//! What the server answered, read as what a script promises to give.

use redis::Value;

use crate::storage::StorageError;

/// An answer that is not what its script promises: a server or a proxy that is no Redis.
fn unexpected(what: &str) -> StorageError {
    StorageError::Unavailable(format!("the server's answer is not {what}: is it a Redis?"))
}

pub(super) fn bytes(value: Value) -> Result<Vec<u8>, StorageError> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        Value::SimpleString(text) => Ok(text.into_bytes()),
        Value::Int(number) => Ok(number.to_string().into_bytes()),
        Value::Nil => Ok(Vec::new()),
        _ => Err(unexpected("a text")),
    }
}

pub(super) fn text(value: Value) -> Result<String, StorageError> {
    String::from_utf8(bytes(value)?).map_err(|error| StorageError::Damaged(format!("a stored text: {error}")))
}

/// A text, or nothing where it is empty or missing.
pub(super) fn optional(value: Value) -> Result<Option<Vec<u8>>, StorageError> {
    Ok(Some(value).filter(|value| *value != Value::Nil).map(bytes).transpose()?.filter(|bytes| !bytes.is_empty()))
}

pub(super) fn number<T: std::str::FromStr + TryFrom<i64>>(value: Value) -> Result<T, StorageError> {
    let parsed = match value {
        Value::Int(number) => number.try_into().ok(),
        value => text(value)?.parse().ok(),
    };
    parsed.ok_or_else(|| unexpected("a number"))
}

/// A number, or nothing where the text is empty or missing.
pub(super) fn optional_number<T: std::str::FromStr>(value: Value) -> Result<Option<T>, StorageError> {
    let Some(bytes) = optional(value)? else { return Ok(None) };
    let parsed = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| unexpected("a number"))
}

/// The values of a list, one after the other.
pub(super) struct List(std::vec::IntoIter<Value>);

impl List {
    pub(super) fn of(value: Value) -> Result<Self, StorageError> {
        match value {
            Value::Array(values) | Value::Set(values) => Ok(Self(values.into_iter())),
            Value::Nil => Ok(Self(Vec::new().into_iter())),
            _ => Err(unexpected("a list")),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.len() == 0
    }

    pub(super) fn next(&mut self) -> Result<Value, StorageError> {
        self.0.next().ok_or_else(|| unexpected("as long as it should be"))
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, StorageError> {
        bytes(self.next()?)
    }

    pub(super) fn text(&mut self) -> Result<String, StorageError> {
        text(self.next()?)
    }

    pub(super) fn number<T: std::str::FromStr + TryFrom<i64>>(&mut self) -> Result<T, StorageError> {
        number(self.next()?)
    }
}

/// The ids that stand one after the other in a text.
pub(super) fn ids(bytes: &[u8]) -> Result<Vec<windlass_api::JobId>, StorageError> {
    bytes.chunks(16).map(super::record::id).collect()
}
