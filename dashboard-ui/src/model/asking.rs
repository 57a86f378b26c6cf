//! What is typed beside a payload when a job is asked for, and the request that it makes.

use windlass_api::{HandlerPath, JobRequest, Json, Timestamp};

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
        Ok(request)
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
}
