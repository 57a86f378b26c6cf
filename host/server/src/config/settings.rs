//! The settings of a host as a whole.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZero,
    path::PathBuf,
    thread,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use windlass_api::ModuleName;
use windlass_jobs::storage::StorageUrl;

use super::{
    AccessSettings, CompileSettings, LimitSettings, ModuleSettings, RetentionSettings, RunBounds, SignatureSettings,
    Span, SqliteSettings, TelemetrySettings, TlsSettings, WebhookSettings, paths, queues,
};
use crate::worker::WeightedQueue;

/// How long before it would be lost a server stops its own sandboxes; fixed by the design.
const STOPS_BEFORE_LOST: Duration = Duration::from_secs(5);

/// Everything that an operator sets. Keys of `windlass.toml` have the names of these fields; relative paths are relative
/// to the folder that the host is started in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, expecting = "a table of settings")]
pub struct Settings {
    /// Where jobs are kept. Default: `sqlite:windlass.db`.
    #[schemars(with = "String")]
    pub storage: StorageUrl,
    /// The address that the API is served on. Default: `127.0.0.1:7878`.
    #[serde(deserialize_with = "address")]
    #[schemars(with = "String")]
    pub listen: SocketAddr,
    /// Whether to serve on an address that others can reach although nobody is asked who they are. Default: no.
    pub insecure_listen: bool,
    /// The queues to take from, each with its weight: `a,b:3`. Default: all queues.
    #[serde(deserialize_with = "queues::deserialize")]
    #[schemars(with = "String")]
    pub queues: Vec<WeightedQueue>,
    /// How many sync handlers run at once. Default: one per core.
    pub sync_slots: u32,
    /// How many async handlers run at once. Default: 100.
    pub async_slots: u32,
    /// Which kinds of handlers run here. Default: both.
    pub concurrency_mode: ConcurrencyMode,
    /// A folder whose components are deployed as they appear there. Default: none.
    pub modules: Option<PathBuf>,
    /// Where compiled components are kept. Default: `$XDG_CACHE_HOME/windlass`, else `~/.cache/windlass`, else
    /// `windlass-cache` beside the storage.
    pub cache_dir: Option<PathBuf>,
    /// How long running jobs may go on when the host is asked to stop. Default: 30 s.
    #[serde(deserialize_with = "span")]
    #[schemars(with = "Span")]
    pub shutdown_grace: Duration,
    /// How often a server says that it lives. Default: 5 s.
    #[serde(deserialize_with = "span")]
    #[schemars(with = "Span")]
    pub heartbeat: Duration,
    /// How long a server may be silent before its jobs are taken away. Default: 20 s.
    #[serde(deserialize_with = "span")]
    #[schemars(with = "Span")]
    pub lost_after: Duration,
    /// Whether async handlers are offered WASI 0.3, which lies outside the engine's promise of security fixes. Default:
    /// yes.
    pub wasi_p3: bool,
    /// Who may use the API.
    pub access: AccessSettings,
    /// The certificate that the API is served with. Default: none, so without TLS.
    pub tls: Option<TlsSettings>,
    /// Who must have signed what is deployed.
    pub signatures: SignatureSettings,
    /// How long ended jobs and logs are kept.
    pub retention: RetentionSettings,
    /// Settings of the SQLite storage.
    pub sqlite: SqliteSettings,
    /// What compiling a component may take.
    pub compile: CompileSettings,
    /// What runs may take.
    pub limits: LimitSettings,
    /// Where traces and metrics are sent.
    pub telemetry: TelemetrySettings,
    /// Who is told when something happens that somebody should look at. Default: nobody.
    pub webhooks: Vec<WebhookSettings>,
    /// What is granted to each module, by its name.
    #[schemars(with = "BTreeMap<String, ModuleSettings>")]
    pub module: BTreeMap<ModuleName, ModuleSettings>,
}

/// Which kinds of handlers a host runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ConcurrencyMode {
    /// Sync handlers alone, on threads.
    Threaded,
    /// Async handlers alone, as tasks.
    Async,
    /// Both, side by side.
    #[default]
    Both,
}

impl Default for Settings {
    fn default() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self {
            storage: StorageUrl::sqlite("windlass.db"),
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7878),
            insecure_listen: false,
            queues: Vec::new(),
            sync_slots: u32::try_from(cores).unwrap_or(u32::MAX),
            async_slots: 100,
            concurrency_mode: ConcurrencyMode::Both,
            modules: None,
            cache_dir: None,
            shutdown_grace: Duration::from_secs(30),
            heartbeat: Duration::from_secs(5),
            lost_after: Duration::from_secs(20),
            wasi_p3: true,
            access: AccessSettings::default(),
            tls: None,
            signatures: SignatureSettings::default(),
            retention: RetentionSettings::default(),
            sqlite: SqliteSettings::default(),
            compile: CompileSettings::default(),
            limits: LimitSettings::default(),
            telemetry: TelemetrySettings::default(),
            webhooks: Vec::new(),
            module: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// Where compiled components are kept.
    #[must_use]
    pub fn cache_dir(&self) -> PathBuf {
        self.cache_dir.clone().unwrap_or_else(|| paths::cache_dir(&self.storage))
    }

    /// The limits of a module's runs.
    ///
    /// # Errors
    /// Where a default is over the bound that stands beside it; the text names both.
    pub fn bounds(&self, module: &ModuleName) -> Result<RunBounds, String> {
        let all = self.bounds_of_others()?;
        let Some(own) = self.module.get(module).and_then(|module| module.limits.as_ref()) else { return Ok(all) };
        all.narrowed(own).map_err(|error| format!("in [module.{module}.limits], {error}"))
    }

    /// The limits of the runs of a module that the operator does not name.
    ///
    /// # Errors
    /// As [`Self::bounds`].
    pub fn bounds_of_others(&self) -> Result<RunBounds, String> {
        RunBounds::default().narrowed(&self.limits).map_err(|error| format!("in [limits], {error}"))
    }

    /// The most memory that a run of any module may have, in bytes.
    ///
    /// # Errors
    /// As [`Self::bounds`].
    pub fn largest_memory_bytes(&self) -> Result<u64, String> {
        let all = self.bounds_of_others()?.memory;
        let own = self.module.keys().map(|module| Ok(self.bounds(module)?.memory.max.0));
        own.chain([Ok(all.max.0)]).try_fold(0, |largest, memory: Result<u64, String>| Ok(largest.max(memory?)))
    }

    /// Applies the concurrency mode and checks what no single key shows.
    pub(crate) fn settle(mut self) -> Result<Self, String> {
        match self.concurrency_mode {
            ConcurrencyMode::Threaded => self.async_slots = 0,
            ConcurrencyMode::Async => self.sync_slots = 0,
            ConcurrencyMode::Both => {}
        }
        if self.sync_slots == 0 && self.async_slots == 0 {
            return Err("there is no slot to run a job in: set `sync_slots` or `async_slots` above 0, and \
                 `concurrency_mode` to the kind of handlers that you have"
                .to_owned());
        }
        if self.heartbeat.is_zero() || self.lost_after <= self.heartbeat + STOPS_BEFORE_LOST {
            let (lost_after, heartbeat) = (shown(self.lost_after), shown(self.heartbeat));
            return Err(format!(
                "`lost_after` ({lost_after}) must be more than 5 s over `heartbeat` ({heartbeat}), which must not be 0, \
                 since a server stops its own jobs 5 s before it counts as lost"
            ));
        }
        self.access.check()?;
        if self.insecure_listen && self.access.asks() {
            return Err(
                "`insecure_listen` lets everybody in, and [[access.tokens]] and [access.proxy] only those who are known: \
                 leave one of them out"
                    .to_owned(),
            );
        }
        self.telemetry.check()?;
        self.webhooks.iter().try_for_each(WebhookSettings::check)?;
        self.largest_memory_bytes()?;
        for module in self.module.keys() {
            self.bounds(module)?;
        }
        Ok(self)
    }
}

fn shown(span: Duration) -> Span {
    Span(span)
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    Span::deserialize(deserializer).map(|span| span.0)
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    struct Visitor;

    impl de::Visitor<'_> for Visitor {
        type Value = SocketAddr;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an address with its port, such as \"127.0.0.1:7878\" or \"[::1]:7878\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<SocketAddr, E> {
            text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }

    deserializer.deserialize_str(Visitor)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Bounded, Size},
        *,
    };

    #[test]
    fn the_concurrency_mode_takes_the_other_kinds_slots() {
        let slots = |concurrency_mode| {
            let settings = Settings { concurrency_mode, sync_slots: 2, ..Settings::default() }.settle().unwrap();
            (settings.sync_slots, settings.async_slots)
        };
        assert_eq!(slots(ConcurrencyMode::Both), (2, 100));
        assert_eq!(slots(ConcurrencyMode::Threaded), (2, 0));
        assert_eq!(slots(ConcurrencyMode::Async), (0, 100));
    }

    #[test]
    fn a_host_that_could_run_nothing_is_refused() {
        let settings = Settings { sync_slots: 0, concurrency_mode: ConcurrencyMode::Threaded, ..Settings::default() };
        assert!(settings.settle().unwrap_err().contains("no slot"));
    }

    #[test]
    fn a_server_must_have_time_to_stop_before_it_is_lost() {
        let settings = Settings { lost_after: Duration::from_secs(10), ..Settings::default() };
        assert!(settings.settle().unwrap_err().starts_with("`lost_after` (10s) must be"));
    }

    #[test]
    fn a_modules_limits_go_before_those_for_all() {
        let images: ModuleName = "images".parse().unwrap();
        let own = LimitSettings { memory: Some(Size::from_mib(2_048)), ..LimitSettings::default() };
        let module = ModuleSettings { limits: Some(own), ..ModuleSettings::default() };
        let settings = Settings { module: [(images.clone(), module)].into(), ..Settings::default() };
        let size = Size::from_mib(2_048);
        assert_eq!(settings.bounds(&images).unwrap().memory, Bounded { default: size, max: size });
        assert_eq!(settings.bounds(&"other".parse().unwrap()).unwrap(), RunBounds::default());
        assert_eq!(settings.largest_memory_bytes(), Ok(2_048 << 20));
    }
}
