//! Names of modules, handlers and queues. A value of one of these types has passed the rules for it.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// No name is longer, in bytes.
const MAX_NAME_BYTES: usize = 100;

/// A name that breaks the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName {
    what: &'static str,
    given: String,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, given } = self;
        write!(f, "`{given}` is not a {what}: expected ")?;
        if *what == HandlerPath::WHAT {
            f.write_str("`module/handler`, each ")?;
        }
        write!(f, "1 to {MAX_NAME_BYTES} of a-z, A-Z, 0-9, `_`, `-` and `.`, not beginning with `-` or `.`")
    }
}

impl std::error::Error for InvalidName {}

fn check(what: &'static str, name: &str) -> Result<(), InvalidName> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let fine = (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(allowed) && !name.starts_with(['-', '.']);
    if fine { Ok(()) } else { Err(InvalidName { what, given: name.chars().take(MAX_NAME_BYTES + 1).collect() }) }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                check($what, text).map(|()| Self(text.into()))
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        text_like!($name);
    };
}

macro_rules! text_like {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

name! {
    /// Names a module: one deployable component and its versions.
    ModuleName, "module name"
}

name! {
    /// Names a handler within its module.
    HandlerName, "handler name"
}

name! {
    /// Names a queue. A queue exists as soon as a job names it.
    QueueName, "queue name"
}

name! {
    /// Names a recurring job.
    RecurringName, "name of a recurring job"
}

impl Default for QueueName {
    /// The queue of a job that neither its application nor its handler gave one: `default`.
    fn default() -> Self {
        Self("default".into())
    }
}

/// Where a job goes: `module/handler`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandlerPath {
    /// The module.
    pub module: ModuleName,
    /// The handler within it.
    pub handler: HandlerName,
}

impl HandlerPath {
    const WHAT: &str = "handler path";

    fn as_str(&self) -> String {
        format!("{}/{}", self.module.0, self.handler.0)
    }
}

impl FromStr for HandlerPath {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName { what: Self::WHAT, given: text.chars().take(2 * MAX_NAME_BYTES + 2).collect() };
        let (module, handler) = text.split_once('/').ok_or_else(invalid)?;
        Ok(Self { module: module.parse().map_err(|_| invalid())?, handler: handler.parse().map_err(|_| invalid())? })
    }
}

text_like!(HandlerPath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_to_their_alphabet_and_length() {
        for good in ["a", "images", "v1.2_x-y", &"x".repeat(100)] {
            assert!(good.parse::<QueueName>().is_ok(), "{good}");
        }
        for bad in ["", "a b", "ä", "a/b", "-a", ".a", "a:1", &"x".repeat(101)] {
            assert!(bad.parse::<QueueName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_handler_path_has_two_parts() {
        let path: HandlerPath = "images/thumbnail".parse().unwrap();
        assert_eq!((path.module.as_str(), path.handler.as_str()), ("images", "thumbnail"));
        assert_eq!(path.to_string(), "images/thumbnail");
        let error = "thumbnail".parse::<HandlerPath>().unwrap_err().to_string();
        assert!(error.contains("expected `module/handler`"), "{error}");
        assert!("a/b/c".parse::<HandlerPath>().is_err());
    }
}
