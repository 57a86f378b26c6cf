//! What is masked for those who only look: the values that a handler's `redact` names, in payloads and results.
//!
//! - A path counts where any known version of the handler names it, so that neither a rollback nor a new version shows what
//!   the other hides.
//! - The details of a failure are withheld as a whole where the handler names any path: they have a shape of their own.
//! - So is how a job is unique, since its key is a digest of what may be masked.
//! - Messages of failures, logs and progress notes are what the handler chose to say, and are shown.
//! - Text is not searched for them where it could be found in what is masked: who may ask whether a payload holds a text can
//!   find it out letter by letter.

mod mask;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use windlass_api::{
    Failure, HandlerName, JobDetail, JobFilter, JobSummary, Json, ModuleName, ModuleView, ProblemCode, RecurringJob,
    Role,
};
use windlass_jobs::{Client, ClientError};

use self::mask::{MASKED, Pointer, masked};
use super::{
    access::Caller,
    error::{ApiError, ApiResult},
};

/// How long what the modules say is believed. A deploy through this host is seen at once.
const BELIEVED: Duration = Duration::from_secs(1);

/// What each handler wants to be masked.
#[derive(Debug, Default)]
pub(super) struct Rules(BTreeMap<ModuleName, BTreeMap<HandlerName, BTreeSet<Pointer>>>);

/// Knows the rules of all modules.
#[derive(Clone, Debug, Default)]
pub(crate) struct Redaction {
    /// Held to look or to replace it, never across an await.
    known: Arc<Mutex<Option<Read>>>,
}

/// The rules, as they were at an instant.
#[derive(Clone, Debug)]
struct Read {
    at: Instant,
    rules: Arc<Rules>,
}

impl Redaction {
    /// To be called when a version has come.
    pub(super) fn forget(&self) {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What is masked for this caller: nothing where there are no rules, or they do not hold for the caller.
    pub(super) async fn for_caller(&self, client: &Client, caller: &Caller) -> Result<Option<Arc<Rules>>, ClientError> {
        if caller.role() >= Role::Operator {
            return Ok(None);
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let rules = match known.filter(|known| known.at.elapsed() < BELIEVED) {
            Some(Read { rules, .. }) => rules,
            None => {
                let at = Instant::now();
                let rules = Arc::new(Rules::of(&client.modules().await?));
                let read = Read { at, rules: Arc::clone(&rules) };
                *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(read);
                rules
            }
        };
        Ok(Some(rules).filter(|rules| !rules.0.is_empty()))
    }
}

impl Rules {
    fn of(modules: &[ModuleView]) -> Self {
        let mut rules = Self::default();
        for module in modules {
            for handler in module.versions.iter().flat_map(|version| &version.handlers) {
                let pointers: Vec<Pointer> = handler.redact.iter().map(|text| Pointer::read(text)).collect();
                if !pointers.is_empty() {
                    let of_module = rules.0.entry(module.name.clone()).or_default();
                    of_module.entry(handler.name.clone()).or_default().extend(pointers);
                }
            }
        }
        rules
    }

    fn get(&self, module: &ModuleName, handler: &HandlerName) -> Option<&BTreeSet<Pointer>> {
        self.0.get(module)?.get(handler)
    }

    /// Masks a job as lists show it.
    pub(super) fn summary(&self, job: &mut JobSummary) {
        if self.get(&job.module, &job.handler).is_some() {
            job.failure.iter_mut().for_each(withhold);
        }
    }

    /// Masks a job with all that is known of it.
    pub(super) fn detail(&self, detail: &mut JobDetail) {
        let Some(pointers) = self.get(&detail.job.module, &detail.job.handler) else { return };
        detail.payload = masked(&detail.payload, pointers);
        detail.result = detail.result.take().map(|result| masked(&result, pointers));
        // Its key is a digest of values of the payload: short ones are found by trying.
        detail.unique = None;
        let of_history = detail.history.iter_mut().filter_map(|line| line.failure.as_mut());
        detail.job.failure.iter_mut().chain(of_history).for_each(withhold);
    }

    /// Masks what a recurring job enqueues, and why the last one failed.
    pub(super) fn recurring(&self, entry: &mut RecurringJob) {
        let job = &mut entry.request.job;
        let Some(pointers) = self.get(&job.handler.module, &job.handler.handler) else { return };
        job.payload = masked(&job.payload, pointers);
        entry.last.iter_mut().filter_map(|last| last.failure.as_mut()).for_each(withhold);
    }

    /// Masks the payloads of the recurring jobs that modules bring.
    pub(super) fn module(&self, module: &mut ModuleView) {
        for handler in module.versions.iter_mut().flat_map(|version| &mut version.handlers) {
            let Some(pointers) = self.get(&module.name, &handler.name) else { continue };
            for schedule in &mut handler.schedules {
                schedule.payload = masked(&schedule.payload, pointers);
            }
        }
    }

    /// Refuses to look for text where it could lie in what is masked.
    pub(super) fn allow(&self, filter: &JobFilter) -> ApiResult<()> {
        if filter.text.is_none() {
            return Ok(());
        }
        let of_module = self.0.iter().filter(|(name, _)| filter.module.as_ref().is_none_or(|module| module == *name));
        let mut names = of_module.flat_map(|(module, handlers)| handlers.keys().map(move |handler| (module, handler)));
        let hidden = names.find(|(_, name)| filter.handler.as_ref().is_none_or(|handler| handler == *name));
        let Some((module, handler)) = hidden else { return Ok(()) };
        let detail = format!(
            "text: parts of what {module}/{handler} works on are masked for the role viewer, and looking for text would tell what they \
             are: name another `module` or `handler` in the filter, or come as an operator"
        );
        Err(ApiError::new(ProblemCode::RoleTooLow, detail))
    }
}

fn withhold(failure: &mut Failure) {
    if let Some(details) = &mut failure.details {
        *details = Json::write(MASKED).unwrap_or_else(|_| Json::null());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        let pointers = BTreeSet::from([Pointer::read("/card")]);
        let handlers = BTreeMap::from([("charge".parse().unwrap(), pointers)]);
        Rules(BTreeMap::from([("shop".parse().unwrap(), handlers)]))
    }

    #[test]
    fn text_is_looked_for_only_where_nothing_is_masked() {
        let filter = |module: Option<&str>, handler: Option<&str>| JobFilter {
            text: Some("4111".to_owned()),
            module: module.map(|module| module.parse().unwrap()),
            handler: handler.map(|handler| handler.parse().unwrap()),
            ..JobFilter::default()
        };
        let rules = rules();
        for (module, handler) in [(Some("mail"), None), (None, Some("send")), (Some("shop"), Some("report"))] {
            assert!(rules.allow(&filter(module, handler)).is_ok(), "{module:?} {handler:?}");
        }
        for (module, handler) in
            [(None, None), (Some("shop"), None), (None, Some("charge")), (Some("shop"), Some("charge"))]
        {
            let error = rules.allow(&filter(module, handler)).unwrap_err();
            assert_eq!(error.code(), ProblemCode::RoleTooLow, "{module:?} {handler:?}");
        }
        assert!(rules.allow(&JobFilter::default()).is_ok());
    }
}
