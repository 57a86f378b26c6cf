//! What is typed beside a payload when a job is asked for, and the request that it makes.

use windlass_api::{After, ContinueOn, HandlerPath, JobId, JobRequest, Json, OnConflict, Timestamp, Unique};

/// When the job is to run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// As soon as there is a slot.
    #[default]
    Now,
    /// After a delay.
    After,
    /// At an instant.
    At,
}

/// What the job must be the only one of, among those of its handler that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnlyOne {
    /// It may stand beside others; as a request that is repeated says.
    #[default]
    No,
    /// Of its payload.
    Payload,
    /// Of a key.
    Key,
}

impl OnlyOne {
    /// All of them, each with a word and with what it means.
    pub const ALL: [(Self, &'static str, &'static str); 3] = [
        (Self::No, "no", "may stand beside others"),
        (Self::Payload, "payload", "only one with this payload"),
        (Self::Key, "key", "only one of a key"),
    ];
}

/// What becomes of a job beside which another one stands already, for people.
#[must_use]
pub const fn conflict_words(on_conflict: OnConflict) -> &'static str {
    match on_conflict {
        OnConflict::Reject => "refuse this one",
        OnConflict::Existing => "keep that one",
        OnConflict::Replace => "give that one this payload and time",
    }
}

/// How its parents must have ended, for people.
#[must_use]
pub const fn on_words(on: ContinueOn) -> &'static str {
    match on {
        ContinueOn::Success => "have succeeded",
        ContinueOn::Failure => "have failed",
        ContinueOn::Finished => "have ended, however",
    }
}

/// What is typed. Empty text leaves a setting to the handler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asking {
    /// The queue.
    pub queue: String,
    /// The priority.
    pub priority: String,
    /// How many attempts.
    pub max_attempts: String,
    /// How long a run may take, in seconds.
    pub timeout: String,
    /// Tags, with commas between them.
    pub tags: String,
    /// When to run it.
    pub when: When,
    /// The delay, in seconds.
    pub delay: String,
    /// The instant, as read from its field.
    pub at: Option<Timestamp>,
    /// What it counts under where keys are limited.
    pub limit_key: String,
    /// The jobs that it continues, by their ids, with commas or blanks between them.
    pub after: String,
    /// How those must have ended.
    pub on: ContinueOn,
    /// If it has not been started by then, it is deleted.
    pub expires_at: Option<Timestamp>,
    /// What it must be the only one of.
    pub only_one: OnlyOne,
    /// The key of which it must be the only one.
    pub unique_key: String,
    /// What becomes of it where another one is there.
    pub on_conflict: OnConflict,
}

impl Asking {
    /// What a request that is to be repeated says.
    #[must_use]
    pub fn of(request: &JobRequest) -> Self {
        let text = |value: Option<String>| value.unwrap_or_default();
        Self {
            queue: text(request.queue.as_ref().map(ToString::to_string)),
            priority: text(request.priority.map(|value| value.to_string())),
            max_attempts: text(request.max_attempts.map(|value| value.to_string())),
            timeout: text(request.timeout_ms.map(seconds)),
            tags: request.tags.join(", "),
            limit_key: text(request.limit_key.as_ref().map(ToString::to_string)),
            ..Self::default()
        }
    }

    /// The request. `like` gives what no field stands for.
    ///
    /// # Errors
    /// The first field that cannot be sent as it stands, with what was expected.
    pub fn request(
        &self,
        handler: HandlerPath,
        payload: Json,
        like: Option<&JobRequest>,
    ) -> Result<JobRequest, String> {
        let mut request = JobRequest::new(handler, payload);
        if let Some(like) = like {
            request.retry.clone_from(&like.retry);
            request.headers.clone_from(&like.headers);
            request.wait_for_handler = like.wait_for_handler;
            request.unique.clone_from(&like.unique);
        }
        request.queue = filled(&self.queue).map(str::parse).transpose().map_err(|error| format!("queue: {error}"))?;
        request.priority = whole(&self.priority, 0, 9, "priority")?;
        request.max_attempts = whole(&self.max_attempts, 1, 1_000, "attempts")?;
        request.timeout_ms = milliseconds(&self.timeout, "timeout")?;
        request.tags = self.tags.split(',').filter_map(filled).map(str::to_owned).collect();
        match self.when {
            When::Now => {}
            When::After => {
                let delay = milliseconds(&self.delay, "delay")?;
                request.delay_ms = Some(delay.ok_or("delay: expected a number of seconds")?);
            }
            When::At => request.run_at = Some(self.at.ok_or("run at: expected a date and a time")?),
        }
        let key = filled(&self.limit_key).map(str::parse).transpose();
        request.limit_key = key.map_err(|error: windlass_api::InvalidLimit| format!("limit key: {error}"))?;
        request.after = self.after()?;
        request.expires_at = self.expires_at;
        request.unique = self.unique()?.or(request.unique);
        Ok(request)
    }

    fn after(&self) -> Result<Option<After>, String> {
        let ids = self.after.split([',', ' ', '\n', '\t']).filter_map(filled).map(str::parse::<JobId>);
        let jobs = ids.collect::<Result<Vec<_>, _>>().map_err(|error| format!("after: {error}"))?;
        Ok((!jobs.is_empty()).then_some(After { jobs, on: self.on }))
    }

    fn unique(&self) -> Result<Option<Unique>, String> {
        let of = |key| Some(Unique { key, on_conflict: self.on_conflict, ..Unique::default() });
        match self.only_one {
            OnlyOne::No => Ok(None),
            OnlyOne::Payload => Ok(of(None)),
            OnlyOne::Key => {
                let key = filled(&self.unique_key).filter(|key| key.len() <= 200);
                Ok(of(Some(key.ok_or("only one of a key: expected a key of 1 to 200 bytes")?.to_owned())))
            }
        }
    }
}

fn filled(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

fn whole<T: TryFrom<u64>>(text: &str, least: u64, most: u64, name: &str) -> Result<Option<T>, String> {
    let read = |text: &str| {
        text.parse().ok().filter(|value| (least..=most).contains(value)).and_then(|value| T::try_from(value).ok())
    };
    filled(text)
        .map(|text| read(text).ok_or_else(|| format!("{name}: expected {least} to {most}, not `{text}`")))
        .transpose()
}

/// Reads seconds, with up to three digits after the point.
fn milliseconds(text: &str, name: &str) -> Result<Option<u64>, String> {
    let read = |text: &str| {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let part: u64 = (part.len() <= 3 && digits(part)).then(|| format!("{part:0<3}").parse().ok()).flatten()?;
        let whole: u64 = digits(whole).then(|| whole.parse().ok()).flatten()?;
        whole.checked_mul(1_000)?.checked_add(part)
    };
    filled(text)
        .map(|text| read(text).ok_or_else(|| format!("{name}: expected a number of seconds, not `{text}`")))
        .transpose()
}

fn seconds(ms: u64) -> String {
    match (ms / 1_000, ms % 1_000) {
        (whole, 0) => whole.to_string(),
        (whole, part) => format!("{whole}.{part:03}").trim_end_matches('0').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(asking: &Asking) -> Result<JobRequest, String> {
        asking.request("m/h".parse().unwrap(), Json::null(), None)
    }

    #[test]
    fn what_is_left_empty_is_left_to_the_handler() {
        assert_eq!(request(&Asking::default()), Ok(JobRequest::new("m/h".parse().unwrap(), Json::null())));
    }

    #[test]
    fn a_request_reads_back_what_it_says() {
        let asking = Asking {
            queue: " images ".to_owned(),
            priority: "0".to_owned(),
            max_attempts: "1000".to_owned(),
            timeout: "1.5".to_owned(),
            tags: "a b, ,c".to_owned(),
            ..Asking::default()
        };
        let made = request(&asking).unwrap();
        assert_eq!((made.timeout_ms, made.tags.len(), made.priority), (Some(1_500), 2, Some(0)));
        let again = Asking { queue: "images".to_owned(), tags: "a b, c".to_owned(), ..asking };
        assert_eq!(Asking::of(&made), again);
    }

    #[test]
    fn what_cannot_be_sent_is_named_with_what_was_expected() {
        let told = |asking: Asking| request(&asking).unwrap_err();
        let text = str::to_owned;
        assert_eq!(told(Asking { priority: text("10"), ..Asking::default() }), "priority: expected 0 to 9, not `10`");
        assert_eq!(
            told(Asking { timeout: text("-1"), ..Asking::default() }),
            "timeout: expected a number of seconds, not `-1`"
        );
        assert!(told(Asking { queue: text("a/b"), ..Asking::default() }).starts_with("queue: "));
        assert!(told(Asking { when: When::At, ..Asking::default() }).starts_with("run at: "));
        for wrong in ["", ".", "1.2345", "1e3", "99999999999999999999"] {
            assert!(
                request(&Asking { when: When::After, delay: text(wrong), ..Asking::default() }).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn conditions_are_sent_as_they_are_typed() {
        let (one, two) = ("0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d55", "0199f3a8-7c00-7a3e-9c1d-2b6f1e0a4d56");
        let asking = Asking {
            after: format!("{one}, {two}"),
            on: ContinueOn::Finished,
            expires_at: Some(Timestamp(5)),
            only_one: OnlyOne::Key,
            unique_key: " order 7 ".to_owned(),
            on_conflict: OnConflict::Existing,
            limit_key: "tenant-7".to_owned(),
            ..Asking::default()
        };
        let made = request(&asking).unwrap();
        let after = made.after.clone().unwrap();
        assert_eq!((after.jobs.len(), after.on), (2, ContinueOn::Finished));
        assert_eq!((made.expires_at, made.limit_key.as_ref().unwrap().as_str()), (Some(Timestamp(5)), "tenant-7"));
        assert_eq!(made.unique.clone().unwrap().key.as_deref(), Some("order 7"));
        let again = asking.request("m/h".parse().unwrap(), Json::null(), Some(&made)).unwrap();
        assert_eq!(again.unique, made.unique);
        let told = |asking: Asking| request(&asking).unwrap_err();
        assert!(told(Asking { after: "nonsense".to_owned(), ..Asking::default() }).starts_with("after: "));
        assert!(told(Asking { only_one: OnlyOne::Key, ..Asking::default() }).contains("1 to 200 bytes"));
        assert!(told(Asking { limit_key: "a*".to_owned(), ..Asking::default() }).starts_with("limit key: "));
    }
}
