//! Durable steps: parts of a handler that are not done again once they are recorded, whatever the number of attempts.
//!
//! A recorded step is a checkpoint of its job under a key that no plain checkpoint may have. So it is as durable as
//! those, fenced as they are, and shares their limits.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    slice,
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{CheckpointError, Context, JobError, time};

/// What the key of each recorded step's checkpoint begins with.
pub(crate) const PREFIX: &str = "windlass:step:";

/// No name is longer: with the prefix it is the key of a checkpoint, which has at most 200 bytes, and with the job's id
/// it is an idempotency key, which few services take longer than 255.
const MAX_NAME_BYTES: usize = 150;

const ALLOWED: &str = "expected 1 to 150 visible ASCII characters, such as `charge`";

/// How long to wait before recording is tried again where the storage cannot be reached: the work is done, and what is
/// not recorded is done again.
const RECORD_AGAIN: [Duration; 3] = [Duration::from_millis(100), Duration::from_secs(1), Duration::from_secs(5)];

/// Durable steps.
impl Context {
    /// Does a part of the handler once: what the work returns is recorded, and once it is, the work is not done again by
    /// any later attempt, which gets the recorded value instead. For sync handlers; see
    /// [`step_async`](Self::step_async).
    ///
    /// ```
    /// use windlass_guest::{http::{self, Request}, prelude::*};
    ///
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Order { card: String, cents: u64, email: String }
    ///
    /// #[handler(max_attempts = 10)]
    /// fn place(ctx: &Context, order: Order) -> Result<(), JobError> {
    ///     let charge: String = ctx.step("charge", |key| {
    ///         let request = Request::post("https://payments.example/charges")
    ///             .header("idempotency-key", key)
    ///             .json(serde_json::json!({ "card": order.card, "cents": order.cents }));
    ///         Ok(http::send(request)?.error_for_status()?.json()?)
    ///     })?;
    ///     ctx.step("mail", |_key| {
    ///         let mail = serde_json::json!({ "to": order.email, "text": format!("Paid: {charge}") });
    ///         http::send(Request::post("https://mail.example/").json(mail))?.error_for_status()?;
    ///         Ok(())
    ///     })
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// The work is given a key, the job's id and the step's name: the same in every attempt. A run that is interrupted
    /// after the work and before it is recorded does the work again; who is asked with the same key twice can tell.
    ///
    /// Jobs are asked for outside of steps: those of an attempt that fails are dropped, and a later one that skips the
    /// step would not ask for them again.
    ///
    /// The value is recorded as JSON, and what is returned was read back from there, in the first attempt too. A name has
    /// 1 to 150 visible ASCII characters and is used once in a run; after a failure it may be used again. How it is
    /// recorded, the limits and how to test it: `docs/src/steps.md`.
    ///
    /// # Errors
    /// What the work says: then nothing is recorded. [`JobError::Fatal`] with the code
    /// - `bad-step` where the name is not as it must be or is used twice, or the value cannot be written as JSON and read
    ///   back,
    /// - `step-too-large` where the value is larger than a checkpoint may be (256 KiB), or the job has too many,
    /// - `step-unreadable` where an earlier version of the handler recorded what is not of this type.
    ///
    /// [`JobError::Retry`] with the code `checkpoint` where the storage cannot be reached, or the run was taken away.
    pub fn step<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        work: impl FnOnce(&str) -> Result<T, JobError>,
    ) -> Result<T, JobError> {
        let step = Step::begin(self, name)?;
        if let Some(recorded) = step.recorded()? {
            return Ok(recorded);
        }
        let (json, value) = step.written(&work(&step.key())?)?;
        let mut again = RECORD_AGAIN.iter();
        while let Some(delay) = step.record(&json, &mut again)? {
            pause(delay);
        }
        Ok(value)
    }

    /// Does a part of an async handler once, as [`step`](Self::step) does for sync ones. While the work waits, it takes
    /// no thread.
    ///
    /// ```
    /// # use windlass_guest::{http::{self, Request}, prelude::*};
    /// #[handler]
    /// async fn charge(ctx: &Context, cents: u64) -> Result<String, JobError> {
    ///     ctx.step_async("charge", async |key| {
    ///         let request = Request::post("https://payments.example/charges").header("idempotency-key", key).json(cents);
    ///         Ok(http::send_async(request).await?.error_for_status()?.json()?)
    ///     })
    ///     .await
    /// }
    /// # fn main() {}
    /// ```
    ///
    /// # Errors
    /// As for [`step`](Self::step).
    pub async fn step_async<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        work: impl AsyncFnOnce(&str) -> Result<T, JobError>,
    ) -> Result<T, JobError> {
        let step = Step::begin(self, name)?;
        if let Some(recorded) = step.recorded()? {
            return Ok(recorded);
        }
        let (json, value) = step.written(&work(&step.key()).await?)?;
        let mut again = RECORD_AGAIN.iter();
        while let Some(delay) = step.record(&json, &mut again)? {
            time::sleep(delay).await;
        }
        Ok(value)
    }
}

/// As [`time::sleep`], which returns at once natively, for sync handlers.
fn pause(delay: Duration) {
    #[cfg(target_family = "wasm")]
    std::thread::sleep(delay);
    #[cfg(not(target_family = "wasm"))]
    let _ = delay;
}

/// The names of the steps that a run has done, or is doing.
#[derive(Debug, Default)]
pub(crate) struct Names(RefCell<BTreeSet<String>>);

/// A step that is being done. Until it is recorded, dropping it gives its name free: it failed, or was given up.
struct Step<'a> {
    ctx: &'a Context,
    name: &'a str,
    is_done: Cell<bool>,
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        if !self.is_done.get() {
            self.ctx.step_names().0.borrow_mut().remove(self.name);
        }
    }
}

impl<'a> Step<'a> {
    fn begin(ctx: &'a Context, name: &'a str) -> Result<Self, JobError> {
        check(name)?;
        if !ctx.step_names().0.borrow_mut().insert(name.to_owned()) {
            return Err(bad_step(format!(
                "the step `{name}` is used twice in this run: give each step a name of its own, such as `{name}-2`"
            )));
        }
        Ok(Self { ctx, name, is_done: false.into() })
    }

    /// The same in every attempt, and no other step's: all ids are of the same length.
    fn key(&self) -> String {
        format!("{}-{}", self.ctx.id(), self.name)
    }

    fn at(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// What an earlier run recorded.
    fn recorded<T: DeserializeOwned>(&self) -> Result<Option<T>, JobError> {
        let name = self.name;
        let recorded = self.ctx.host().checkpoint(&self.at()).map_err(|error| {
            JobError::retry("checkpoint", format!("failed to look whether the step `{name}` is recorded: {error}"))
        })?;
        let Some(json) = recorded else { return Ok(None) };
        let value = serde_json::from_str(&json).map_err(|error| {
            let id = self.ctx.id();
            JobError::fatal(
                "step-unreadable",
                format!(
                    "failed to read what the step `{name}` recorded in an earlier run: {error}; the handler has changed \
                     since: let it read what it wrote before, rename the step to do it anew, or do all steps anew with \
                     `windlass jobs requeue --fresh {id}`"
                ),
            )
        })?;
        self.is_done.set(true);
        self.ctx.debug(format!("step `{name}`: recorded by an earlier run, so it is not done again"));
        Ok(Some(value))
    }

    /// A value as it is to be recorded, and as later attempts will read it.
    fn written<T: Serialize + DeserializeOwned>(&self, value: &T) -> Result<(String, T), JobError> {
        let wrong = |what: &str, error: serde_json::Error| {
            bad_step(format!("the step `{}` was done, but its result cannot be {what}: {error}", self.name))
        };
        let json = serde_json::to_string(value).map_err(|error| wrong("written as JSON", error))?;
        let value = serde_json::from_str(&json).map_err(|error| wrong("read back from its JSON", error))?;
        Ok((json, value))
    }

    /// Records a value; gives how long to wait before trying again where the storage cannot be reached.
    fn record(&self, json: &str, again: &mut slice::Iter<'_, Duration>) -> Result<Option<Duration>, JobError> {
        let name = self.name;
        let failed = format!("the step `{name}` was done, but could not be recorded");
        let error = match self.ctx.host().put_checkpoint(&self.at(), json) {
            Ok(()) => {
                self.is_done.set(true);
                self.ctx.debug(format!("step `{name}`: done and recorded"));
                return Ok(None);
            }
            Err(CheckpointError::TooLarge(text)) => JobError::fatal(
                "step-too-large",
                format!(
                    "{failed}: {text}; a recorded step is a checkpoint of its job: return less from the step, such as \
                     where its result is kept, or have fewer steps"
                ),
            ),
            Err(CheckpointError::InvalidJson(text)) => bad_step(format!("{failed}: not JSON: {text}")),
            Err(error @ CheckpointError::Unavailable(_)) => match again.next() {
                Some(delay) => return Ok(Some(*delay)),
                None => JobError::retry(
                    "checkpoint",
                    format!("{failed}: {error}; the next attempt does it again, with the same key"),
                ),
            },
            Err(error) => JobError::retry("checkpoint", format!("{failed}: {error}")),
        };
        Err(error)
    }
}

/// Names go into the headers of requests, as a part of the key.
fn check(name: &str) -> Result<(), JobError> {
    if name.is_empty() {
        return Err(bad_step(format!("the name of a step is empty: {ALLOWED}")));
    }
    if name.len() > MAX_NAME_BYTES {
        let start: String = name.chars().take(20).collect();
        return Err(bad_step(format!(
            "the name of the step `{}…` has {} bytes: {ALLOWED}",
            start.escape_debug(),
            name.len()
        )));
    }
    match name.chars().find(|character| !character.is_ascii_graphic()) {
        None => Ok(()),
        Some(character) => {
            Err(bad_step(format!("the name of the step `{}` has {character:?} in it: {ALLOWED}", name.escape_debug())))
        }
    }
}

fn bad_step(message: String) -> JobError {
    JobError::fatal("bad-step", message)
}

#[cfg(test)]
mod tests;
