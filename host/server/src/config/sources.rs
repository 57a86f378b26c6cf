//! Where settings come from, one over the other, and where a given one was said.

use std::{collections::BTreeMap, path::PathBuf};

use toml::{
    Table, Value,
    de::{DeTable, DeValue},
};

use super::keys::{Kind, values};

/// One source of settings.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// What it says.
    pub(super) table: Table,
    origin: Origin,
}

#[derive(Clone, Debug)]
enum Origin {
    File { path: PathBuf, text: String },
    Environment,
    Flags,
}

impl Source {
    /// A file's text.
    pub(super) fn file(path: PathBuf, text: String) -> Result<Self, toml::de::Error> {
        Ok(Self { table: toml::from_str(&text)?, origin: Origin::File { path, text } })
    }

    /// Environment variables.
    pub(super) fn environment(variables: &BTreeMap<String, String>) -> Self {
        let mut table = Table::new();
        for (path, kind) in values() {
            // An empty variable is how a container says that one is not set.
            if let Some(text) = variables.get(&variable(&path)).filter(|text| !text.is_empty()) {
                put(&mut table, &path, read(text, kind));
            }
        }
        Self { table, origin: Origin::Environment }
    }

    /// Flags of the command line.
    pub(super) fn flags(table: Table) -> Self {
        Self { table, origin: Origin::Flags }
    }

    /// Whether the source says anything about the path.
    pub(super) fn says(&self, path: &[String]) -> bool {
        let Some((first, rest)) = path.split_first() else { return false };
        let found = rest.iter().try_fold(self.table.get(first), |at, key| {
            at.map(|at| match at {
                Value::Table(table) => table.get(key),
                Value::Array(list) => list.get(key.parse::<usize>().ok()?),
                _ => None,
            })
        });
        found.flatten().is_some()
    }

    /// Where the source says it, in words.
    pub(super) fn place(&self, path: &[String]) -> String {
        match &self.origin {
            Origin::File { path: file, text } => match line(text, path) {
                Some(line) => format!("{}, line {line}", file.display()),
                None => file.display().to_string(),
            },
            Origin::Environment => format!("the environment variable {}", variable(path)),
            Origin::Flags => format!("--{}", path.join("-").replace('_', "-")),
        }
    }
}

/// Lays one table over another; tables are merged, anything else is replaced.
pub(super) fn lay_over(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay_over(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// The environment variable for a setting.
pub(crate) fn variable(path: &[String]) -> String {
    format!("WINDLASS_{}", path.join("_").to_uppercase())
}

/// What does not read as its kind stays text, so that the error says what was expected there.
fn read(text: &str, kind: Kind) -> Value {
    let read = match kind {
        Kind::Text => None,
        Kind::Number => text.parse().ok().map(Value::Integer),
        Kind::Boolean => match text {
            "1" => Some(Value::Boolean(true)),
            "0" => Some(Value::Boolean(false)),
            _ => text.parse().ok().map(Value::Boolean),
        },
    };
    read.unwrap_or_else(|| Value::String(text.to_owned()))
}

fn put(table: &mut Table, path: &[String], value: Value) {
    match path {
        [] => {}
        [key] => {
            table.insert(key.clone(), value);
        }
        [key, rest @ ..] => {
            let inner = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}

/// The line on which a key stands, from 1.
fn line(text: &str, path: &[String]) -> Option<usize> {
    let root = DeTable::parse(text).ok()?;
    let mut table = root.get_ref();
    let mut found = None;
    let mut keys = path.iter();
    while let Some(key) = keys.next() {
        let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref() == key.as_str()) else { break };
        found = Some(name.span().start);
        let mut value = value;
        while let DeValue::Array(list) = value.get_ref() {
            let Some(inner) = keys.next().and_then(|key| key.parse::<usize>().ok()).and_then(|at| list.get(at)) else {
                break;
            };
            found = Some(inner.span().start);
            value = inner;
        }
        let DeValue::Table(inner) = value.get_ref() else { break };
        table = inner;
    }
    found.map(|start| 1 + text.bytes().take(start).filter(|&byte| byte == b'\n').count())
}
