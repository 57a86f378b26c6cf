//! The versions of modules that new jobs go to, remembered for a short while so that not every enqueue reads them anew.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use windlass_api::{Digest, HandlerName, HandlerPath, HandlerSpec, Json, ModuleName, VersionView};

use super::{
    AdmissionError,
    payload::{self, Compiled},
};
use crate::storage::{Storage, StorageError};

/// No name is proposed that differs in more characters.
const MAX_DISTANCE: usize = 4;

/// How many names are proposed.
const MAX_PROPOSALS: usize = 3;

/// A module's active version, and its canary.
#[derive(Debug)]
pub struct ActiveModule {
    active: Live,
    canary: Option<Live>,
}

/// A version that new jobs go to, with the schemas of its handlers made ready as they are needed.
#[derive(Debug)]
struct Live {
    version: VersionView,
    validators: Vec<OnceLock<Result<Compiled, String>>>,
}

/// A handler of a module's active version.
#[derive(Clone, Debug)]
pub struct ActiveHandler {
    module: Arc<ActiveModule>,
    at: usize,
    /// Where the canary has it.
    at_in_canary: Option<usize>,
}

impl Live {
    fn new(version: VersionView) -> Self {
        Self { validators: version.handlers.iter().map(|_| OnceLock::new()).collect(), version }
    }

    fn position(&self, handler: &HandlerName) -> Option<usize> {
        self.version.handlers.iter().position(|spec| spec.name == *handler)
    }

    /// Checks a payload against the schema of one of its handlers, where that has one.
    fn check_payload(&self, at: usize, payload: &Json) -> Result<(), String> {
        let Some(schema) = &self.version.handlers[at].payload_schema else { return Ok(()) };
        match self.validators[at].get_or_init(|| payload::compile(schema)) {
            Ok(validator) => payload::check(validator, payload),
            Err(reason) => Err(format!("the schema itself cannot be used: {reason}")),
        }
    }

    fn is_fast_for(&self, at: usize, payload: &Json) -> bool {
        self.version.handlers[at].payload_schema.is_none()
            || match self.validators[at].get() {
                Some(Ok(schema)) => schema.is_fast_for(payload),
                Some(Err(_)) => true,
                None => false,
            }
    }
}

impl ActiveHandler {
    /// What the version says of it.
    #[must_use]
    pub fn spec(&self) -> &HandlerSpec {
        &self.module.active.version.handlers[self.at]
    }

    /// The version.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.module.active.version.digest
    }

    /// Checks a payload against the handler's schema, where it has one, and against that of the canary: which of the two
    /// the job runs on is only known when it starts.
    ///
    /// # Errors
    /// Where it does not match, with the first violation.
    pub fn check_payload(&self, path: &HandlerPath, payload: &Json) -> Result<(), AdmissionError> {
        let mismatch = |violations| AdmissionError::PayloadMismatch { handler: path.clone(), violations };
        self.module.active.check_payload(self.at, payload).map_err(mismatch)?;
        let Some((canary, at)) = self.canary() else { return Ok(()) };
        canary.check_payload(at, payload).map_err(|violations| {
            mismatch(format!("in version {}, the canary: {violations}", canary.version.digest.short()))
        })
    }

    /// Whether a payload is checked so fast that it may be done on an async thread. The first check also makes the
    /// schema ready, which may take long.
    pub(super) fn is_fast_for(&self, payload: &Json) -> bool {
        self.module.active.is_fast_for(self.at, payload)
            && self.canary().is_none_or(|(canary, at)| canary.is_fast_for(at, payload))
    }

    fn canary(&self) -> Option<(&Live, usize)> {
        self.module.canary.as_ref().zip(self.at_in_canary)
    }
}

struct Entry {
    /// Absent where it is to be read again.
    read_at: Option<Instant>,
    module: Arc<ActiveModule>,
}

/// Reads versions, and remembers them. Modules that do not exist are not remembered: their names are anybody's.
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
            // The versions are kept beside, so that their validators survive where they are still the same.
            entry.read_at = None;
        }
    }

    pub(super) async fn handler(&self, path: &HandlerPath) -> Result<Option<ActiveHandler>, StorageError> {
        let Some(module) = self.module(&path.module).await? else { return Ok(None) };
        let Some(at) = module.active.position(&path.handler) else { return Ok(None) };
        let at_in_canary = module.canary.as_ref().and_then(|canary| canary.position(&path.handler));
        Ok(Some(ActiveHandler { module, at, at_in_canary }))
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
        let (active, others) =
            self.storage.live_versions(name).await?.into_iter().partition::<Vec<_>, _>(|it| it.active);
        let Some(active) = active.into_iter().next() else {
            self.lock().remove(name);
            return Ok(None);
        };
        let canary = others.into_iter().next();
        let mut entries = self.lock();
        let known = entries.get(name).map(|entry| &entry.module).filter(|known| {
            let known_canary = known.canary.as_ref().map(|known| known.version.digest);
            known.active.version.digest == active.digest && known_canary == canary.as_ref().map(|canary| canary.digest)
        });
        let module = match known {
            Some(module) => Arc::clone(module),
            None => Arc::new(ActiveModule { active: Live::new(active), canary: canary.map(Live::new) }),
        };
        entries.insert(name.clone(), Entry { read_at: Some(read_at), module: Arc::clone(&module) });
        Ok(Some(module))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<ModuleName, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
