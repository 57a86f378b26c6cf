//! The active versions of modules, remembered for a short while so that not every enqueue reads them anew.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use windlass_api::{Digest, HandlerPath, HandlerSpec, Json, ModuleName, VersionView};

use super::{
    AdmissionError,
    payload::{self, Compiled},
};
use crate::storage::{Storage, StorageError};

/// No name is proposed that differs in more characters.
const MAX_DISTANCE: usize = 4;

/// How many names are proposed.
const MAX_PROPOSALS: usize = 3;

/// A module's active version, with the schemas of its handlers made ready as they are needed.
#[derive(Debug)]
pub struct ActiveModule {
    version: VersionView,
    validators: Vec<OnceLock<Result<Compiled, String>>>,
}

/// A handler of a module's active version.
#[derive(Clone, Debug)]
pub struct ActiveHandler {
    module: Arc<ActiveModule>,
    at: usize,
}

impl ActiveHandler {
    /// What the version says of it.
    #[must_use]
    pub fn spec(&self) -> &HandlerSpec {
        &self.module.version.handlers[self.at]
    }

    /// The version.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.module.version.digest
    }

    /// Checks a payload against the handler's schema, where it has one.
    ///
    /// # Errors
    /// Where it does not match, with the first violation.
    pub fn check_payload(&self, path: &HandlerPath, payload: &Json) -> Result<(), AdmissionError> {
        let Some(schema) = &self.spec().payload_schema else { return Ok(()) };
        let mismatch = |violations| AdmissionError::PayloadMismatch { handler: path.clone(), violations };
        match self.module.validators[self.at].get_or_init(|| payload::compile(schema)) {
            Ok(validator) => payload::check(validator, payload).map_err(mismatch),
            Err(reason) => Err(mismatch(format!("the schema itself cannot be used: {reason}"))),
        }
    }

    /// Whether a payload is checked so fast that it may be done on an async thread. The first check also makes the
    /// schema ready, which may take long.
    pub(super) fn is_fast_for(&self, payload: &Json) -> bool {
        self.spec().payload_schema.is_none()
            || match self.module.validators[self.at].get() {
                Some(Ok(schema)) => schema.is_fast_for(payload),
                Some(Err(_)) => true,
                None => false,
            }
    }
}

struct Entry {
    /// Absent where it is to be read again.
    read_at: Option<Instant>,
    module: Arc<ActiveModule>,
}

/// Reads active versions, and remembers them. Modules that do not exist are not remembered: their names are anybody's.
pub(super) struct Catalog {
    storage: Arc<dyn Storage>,
    ttl: Duration,
    /// Held only to look up or replace an entry, never across an await.
    entries: Mutex<HashMap<ModuleName, Entry>>,
}

impl Catalog {
    pub(super) fn new(storage: Arc<dyn Storage>, ttl: Duration) -> Self {
        Self { storage, ttl, entries: Mutex::default() }
    }

    pub(super) fn invalidate(&self) {
        for entry in self.lock().values_mut() {
            // The version is kept beside, so that its validators survive where it is still the active one.
            entry.read_at = None;
        }
    }

    pub(super) async fn handler(&self, path: &HandlerPath) -> Result<Option<ActiveHandler>, StorageError> {
        let Some(module) = self.module(&path.module).await? else { return Ok(None) };
        let at = module.version.handlers.iter().position(|spec| spec.name == path.handler);
        Ok(at.map(|at| ActiveHandler { module, at }))
    }

    /// The nearest handlers' names as the end of an error message; empty where nothing is near.
    pub(super) async fn nearest(&self, path: &HandlerPath) -> Result<String, StorageError> {
        let wanted = path.to_string();
        let mut near = Vec::new();
        for module in self.storage.modules().await? {
            for version in module.versions.iter().filter(|version| version.active) {
                for spec in &version.handlers {
                    let name = format!("{}/{}", module.name, spec.name);
                    let same_handler = spec.name == path.handler;
                    let distance = strsim::damerau_levenshtein(&wanted, &name);
                    if same_handler || distance <= MAX_DISTANCE {
                        near.push((distance, name));
                    }
                }
            }
        }
        near.sort();
        near.truncate(MAX_PROPOSALS);
        let names = near.into_iter().map(|(_, name)| format!("`{name}`")).collect::<Vec<_>>();
        Ok(if names.is_empty() { String::new() } else { format!("; did you mean {}?", names.join(" or ")) })
    }

    async fn module(&self, name: &ModuleName) -> Result<Option<Arc<ActiveModule>>, StorageError> {
        if let Some(entry) = self.lock().get(name)
            && entry.read_at.is_some_and(|read_at| read_at.elapsed() < self.ttl)
        {
            return Ok(Some(Arc::clone(&entry.module)));
        }
        let read_at = Instant::now();
        let Some(version) = self.storage.active_version(name).await? else {
            self.lock().remove(name);
            return Ok(None);
        };
        let mut entries = self.lock();
        let known = entries.get(name).filter(|entry| entry.module.version.digest == version.digest);
        let module = match known {
            Some(entry) => Arc::clone(&entry.module),
            None => Arc::new(ActiveModule {
                validators: version.handlers.iter().map(|_| OnceLock::new()).collect(),
                version,
            }),
        };
        entries.insert(name.clone(), Entry { read_at: Some(read_at), module: Arc::clone(&module) });
        Ok(Some(module))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ModuleName, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
