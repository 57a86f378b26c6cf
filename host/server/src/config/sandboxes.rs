//! The settings as a sandbox needs them: grants with their secrets read, limits ready to be asked.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::Context as _;
use windlass_api::{HandlerSpec, ModuleName};
use windlass_wasm::{Grants, Limits};

use super::{ModuleSettings, RunBounds, Settings, Size, Span};

/// No cancelled run goes on for longer, whatever its handler asks for.
const LONGEST_CANCEL_GRACE: Duration = Duration::from_secs(60);

/// What each module gets.
#[derive(Clone, Debug)]
pub struct Sandboxes {
    named: BTreeMap<ModuleName, Sandbox>,
    others: Sandbox,
}

/// What a module's runs get.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// What they may reach.
    pub grants: Arc<Grants>,
    /// What they may take.
    pub bounds: RunBounds,
}

impl Sandboxes {
    /// Reads every module's secrets, once.
    ///
    /// # Errors
    /// Where grants or limits are not as they must be; the text names the module and what is wrong.
    pub fn new(settings: &Settings) -> anyhow::Result<Self> {
        let named = settings.module.keys().map(|name| Ok((name.clone(), Sandbox::new(settings, name)?)));
        let bounds = settings.bounds_of_others().map_err(anyhow::Error::msg)?;
        let others = Sandbox { grants: Arc::new(Grants::default()), bounds };
        Ok(Self { named: named.collect::<anyhow::Result<_>>()?, others })
    }

    /// As [`Self::new`], on a thread of its own: a command that gives a secret may take its time.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub async fn read(settings: &Settings) -> anyhow::Result<Self> {
        let settings = settings.clone();
        let read = tokio::task::spawn_blocking(move || Self::new(&settings)).await;
        read.context("failed to read what modules are granted")?
    }

    /// What a module gets: nothing but the limits for all, where the operator does not name it.
    #[must_use]
    pub fn of(&self, module: &ModuleName) -> &Sandbox {
        self.named.get(module).unwrap_or(&self.others)
    }
}

impl Sandbox {
    /// Reads one module's secrets.
    ///
    /// # Errors
    /// Where its grants or limits are not as they must be.
    pub fn new(settings: &Settings, module: &ModuleName) -> anyhow::Result<Self> {
        let bounds = settings.bounds(module).map_err(anyhow::Error::msg)?;
        let grants = settings.module.get(module).map_or_else(|| Ok(Grants::default()), ModuleSettings::grants);
        let grants = grants.with_context(|| format!("failed to use the settings of [module.{module}]"))?;
        Ok(Self { grants: Arc::new(grants), bounds })
    }

    /// The limits of one run. The job's own timeout goes before the handler's, and both are clamped by the operator's.
    #[must_use]
    pub fn limits_for(&self, handler: &HandlerSpec, job_timeout_ms: Option<u64>) -> Limits {
        let bounds = &self.bounds;
        let timeout = job_timeout_ms.or(handler.timeout_ms).map(|ms| Span(Duration::from_millis(ms)));
        Limits {
            fuel: bounds.fuel.grant(handler.fuel),
            timeout: Some(bounds.timeout.grant(timeout).0),
            memory_bytes: bounds.memory.grant(handler.memory_bytes.map(Size)).0,
            log_bytes: bounds.logs.0,
            follow_ups: bounds.follow_ups,
            result_bytes: bounds.result.0,
            ..Limits::default()
        }
    }

    /// How long a cancelled run may go on: none unless its handler asks for it, at most a minute.
    #[must_use]
    pub fn cancel_grace(&self, handler: &HandlerSpec) -> Duration {
        handler.cancel_grace_ms.map_or(Duration::ZERO, Duration::from_millis).min(LONGEST_CANCEL_GRACE)
    }
}

#[cfg(test)]
mod tests {
    use windlass_api::Mode;

    use super::*;

    fn handler() -> HandlerSpec {
        HandlerSpec {
            name: "thumbnail".parse().unwrap(),
            mode: Mode::Sync,
            summary: None,
            queue: None,
            priority: None,
            max_attempts: None,
            retry: None,
            timeout_ms: None,
            cancel_grace_ms: None,
            fuel: None,
            memory_bytes: None,
            payload_schema: None,
            result_schema: None,
            redact: Vec::new(),
            schedules: Vec::new(),
        }
    }

    #[test]
    fn without_settings_a_run_gets_the_defaults_and_no_grants() {
        let sandboxes = Sandboxes::new(&Settings::default()).unwrap();
        let sandbox = sandboxes.of(&"images".parse().unwrap());
        assert_eq!(sandbox.limits_for(&handler(), None), Limits::default());
        assert!(sandbox.grants.secrets.is_empty());
        assert_eq!(sandbox.cancel_grace(&handler()), Duration::ZERO);
    }

    #[test]
    fn a_jobs_timeout_goes_before_its_handlers_and_both_are_clamped() {
        let sandboxes = Sandboxes::new(&Settings::default()).unwrap();
        let sandbox = sandboxes.of(&"images".parse().unwrap());
        let greedy = HandlerSpec {
            timeout_ms: Some(1_000),
            fuel: Some(u64::MAX),
            memory_bytes: Some(u64::MAX),
            cancel_grace_ms: Some(u64::MAX),
            ..handler()
        };
        let timeout = |job_timeout_ms| sandbox.limits_for(&greedy, job_timeout_ms).timeout;
        assert_eq!(timeout(None), Some(Duration::from_secs(1)));
        assert_eq!(timeout(Some(2_000)), Some(Duration::from_secs(2)));
        assert_eq!(timeout(Some(u64::MAX)), Some(Duration::from_secs(3_600)));
        let limits = sandbox.limits_for(&greedy, None);
        assert_eq!((limits.fuel, limits.memory_bytes), (10_000_000_000_000, 1 << 30));
        assert_eq!(sandbox.cancel_grace(&greedy), LONGEST_CANCEL_GRACE);
    }
}
