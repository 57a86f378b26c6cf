//! Reading the settings: from the file, from the environment and from flags, each over the one before.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize as _;
use toml::{Table, Value};

use super::{
    Settings,
    keys::{self, nearest},
    meant,
    sources::{self, Source, lay_over},
};

/// The file that is read where no other is named.
const DEFAULT_FILE: &str = "windlass.toml";

/// Variables that are no settings of the host.
const OTHER_VARIABLES: [&str; 6] = [
    "WINDLASS_CONFIG",
    "WINDLASS_LOG",
    "WINDLASS_REGISTRY_PASSWORD",
    "WINDLASS_REGISTRY_USERNAME",
    "WINDLASS_TOKEN",
    "WINDLASS_URL",
];

/// Settings that cannot be used as they are; the text says which, where it stands and what is expected.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

/// Settings from flags, by the names of their keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides(Table);

impl Overrides {
    /// Adds a top-level setting where it is given.
    #[must_use]
    pub fn with(mut self, key: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(key.to_owned(), value.into());
        }
        self
    }

    /// Adds a setting of a table where it is given.
    #[must_use]
    pub fn with_in(mut self, table: &str, key: &str, value: Option<impl Into<Value>>) -> Self {
        let Some(value) = value else { return self };
        if let Value::Table(table) = self.0.entry(table).or_insert_with(|| Value::Table(Table::new())) {
            table.insert(key.to_owned(), value.into());
        }
        self
    }
}

/// Reads the settings. Without a file, `windlass.toml` is read if it is there.
///
/// # Errors
/// Where the file cannot be read or is no TOML, a key is unknown, a value is not as it must be, or the settings do not
/// go together.
pub fn load(file: Option<&Path>, overrides: Overrides) -> Result<Settings, ConfigError> {
    let file = match file {
        Some(file) => Some(read(file)?),
        None if Path::new(DEFAULT_FILE).exists() => Some(read(Path::new(DEFAULT_FILE))?),
        None => None,
    };
    combine(file, &variables(), overrides)
}

/// What to tell about variables that look like settings and are none. They are no errors, since container platforms add
/// variables of their own, such as `WINDLASS_SERVICE_HOST`.
#[must_use]
pub fn unknown_variables() -> Vec<String> {
    let known: Vec<String> = keys::values().iter().map(|(path, _)| sources::variable(path)).collect();
    let is_known = |name: &String| known.contains(name) || OTHER_VARIABLES.contains(&name.as_str());
    let told = variables().into_keys().filter(|name| !is_known(name)).filter_map(|name| {
        let nearest =
            nearest(&name, known.iter().map(String::as_str)).filter(|near| strsim::levenshtein(near, &name) < 4);
        nearest.map(|nearest| format!("the environment variable {name} is no setting: did you mean {nearest}?"))
    });
    told.collect()
}

fn read(path: &Path) -> Result<(PathBuf, String), ConfigError> {
    let text = fs::read_to_string(path).map_err(|error| {
        let path = path.display();
        let why = match error.kind() {
            io::ErrorKind::NotFound => {
                "there is no such file: make it, or correct --config or WINDLASS_CONFIG".to_owned()
            }
            _ => error.to_string(),
        };
        ConfigError(format!("failed to read the settings in {path}: {why}"))
    })?;
    Ok((path.to_owned(), text))
}

fn variables() -> BTreeMap<String, String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        // What is not UTF-8 is kept as near to it as can be, so that the error shows it.
        (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned())
    };
    env::vars_os().map(text).filter(|(name, _)| name.starts_with("WINDLASS_")).collect()
}

fn combine(
    file: Option<(PathBuf, String)>,
    variables: &BTreeMap<String, String>,
    overrides: Overrides,
) -> Result<Settings, ConfigError> {
    let mut from = vec![Source::flags(overrides.0), Source::environment(variables)];
    if let Some((path, text)) = file {
        let shown = path.display().to_string();
        let file = Source::file(path, text);
        from.push(
            file.map_err(|error| ConfigError(format!("failed to read {shown}: {}", error.to_string().trim_end())))?,
        );
    }
    let mut table = Table::new();
    for source in from.iter().rev() {
        lay_over(&mut table, source.table.clone());
    }
    let place = |path: &[String]| from.iter().find(|source| source.says(path)).map(|source| source.place(path));

    let mut unknown = Vec::new();
    let mut track = serde_path_to_error::Track::new();
    let deserializer = serde_path_to_error::Deserializer::new(Value::Table(table), &mut track);
    let mut note = |path: serde_ignored::Path<'_>| unknown.push(ignored(&path));
    let deserializer = serde_ignored::Deserializer::new(deserializer, &mut note);
    let settings = Settings::deserialize(deserializer);
    let settings = settings.map_err(|error| wrong(&walked(&track.path()), error.message(), place))?;
    if let Some(path) = unknown.first() {
        return Err(unknown_key(path, place));
    }
    settings.settle().map_err(|problem| ConfigError(format!("failed to use the settings: {problem}")))
}

fn unknown_key(path: &[String], place: impl Fn(&[String]) -> Option<String>) -> ConfigError {
    let (key, table) = path.split_last().map_or(("", path), |(key, table)| (key.as_str(), table));
    let table = if table.is_empty() { "at the top level".to_owned() } else { format!("in [{}]", table.join(".")) };
    let place = place(path).unwrap_or_default();
    ConfigError(format!("failed to read the settings: unknown key `{key}` {table} ({place}): {}", keys::hint(path)))
}

fn wrong(path: &[String], problem: &str, place: impl Fn(&[String]) -> Option<String>) -> ConfigError {
    let place = place(path).map(|place| format!(" ({place})")).unwrap_or_default();
    let problem = meant::explained(problem);
    ConfigError(format!("failed to read the setting `{}`{place}: {problem}", path.join(".")))
}

fn walked(path: &serde_path_to_error::Path) -> Vec<String> {
    use serde_path_to_error::Segment;
    let key = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(index.to_string()),
        Segment::Map { key } => Some(key.clone()),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().filter_map(key).collect()
}

fn ignored(path: &serde_ignored::Path<'_>) -> Vec<String> {
    use serde_ignored::Path;
    let (mut keys, key) = match path {
        Path::Root => return Vec::new(),
        Path::Seq { parent, index } => (ignored(parent), index.to_string()),
        Path::Map { parent, key } => (ignored(parent), key.clone()),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            return ignored(parent);
        }
    };
    keys.push(key);
    keys
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
