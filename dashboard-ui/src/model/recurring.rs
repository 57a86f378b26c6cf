//! Recurring jobs: whether one was missed, and what is typed when one is put in place or changed.

use windlass_api::{
    HandlerPath, JobRequest, Json, Misfire, ProblemCode, RecurringJob, RecurringName, RecurringRequest, Timestamp,
};

use super::asking::Asking;
use crate::trouble::Trouble;

/// From when on an instant that has passed is missed, in milliseconds: the hosts say the same.
const MISSED_MS: u64 = 60_000;

/// How long ago the instant was that a recurring job should have been fired at, where it was not.
#[must_use]
pub fn missed_ms(job: &RecurringJob, now: Timestamp) -> Option<u64> {
    let late = now.ms_since(*job.next_runs.first()?);
    (!job.paused && late > MISSED_MS).then_some(late)
}

/// What happens to missed instants, for people.
#[must_use]
pub const fn misfire_words(misfire: Misfire) -> &'static str {
    match misfire {
        Misfire::Skip => "leave them out",
        Misfire::RunOnce => "run once for all of them",
        Misfire::CatchUp => "run once for each",
    }
}

/// What is typed. Empty text leaves a setting to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Editing {
    /// Its name.
    pub name: String,
    /// When.
    pub schedule: String,
    /// The zone of that.
    pub time_zone: String,
    /// What happens to missed instants.
    pub misfire: Misfire,
    /// How many of them are caught up with.
    pub catch_up_limit: String,
    /// Whether jobs are made for a handler that no module has.
    pub wait_for_handler: bool,
}

/// Where something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The name.
    Name,
    /// The schedule.
    Schedule,
    /// The time zone.
    TimeZone,
    /// How many instants are caught up with.
    CatchUp,
    /// Something else, which the message names.
    Other,
}

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub field: Field,
    /// What, and what was expected.
    pub message: String,
}

impl Fault {
    fn new(field: Field, message: impl Into<String>) -> Self {
        Self { field, message: message.into() }
    }

    /// What the host says is wrong. It names the field first: `` `schedule` has 4 fields … ``.
    #[must_use]
    pub fn of(trouble: &Trouble) -> Self {
        let detail = match trouble {
            Trouble::Problem(problem) if problem.code == ProblemCode::InvalidField => &problem.detail,
            other => return Self::new(Field::Other, other.to_string()),
        };
        let named = [
            ("`schedule` ", Field::Schedule),
            ("`time_zone` ", Field::TimeZone),
            ("`catch_up_limit` ", Field::CatchUp),
        ];
        let found = named.into_iter().find_map(|(name, field)| Some((detail.strip_prefix(name)?, field)));
        found.map_or_else(|| Self::new(Field::Other, detail), |(message, field)| Self::new(field, message))
    }
}

impl Editing {
    /// What one that is there says.
    #[must_use]
    pub fn of(job: &RecurringJob) -> Self {
        let request = &job.request;
        Self {
            name: job.name.to_string(),
            schedule: request.schedule.clone(),
            time_zone: request.time_zone.clone().unwrap_or_default(),
            misfire: request.misfire,
            catch_up_limit: request.catch_up_limit.map(|limit| limit.to_string()).unwrap_or_default(),
            wait_for_handler: request.job.wait_for_handler,
        }
    }

    /// The request, and under which name. `like` gives what no field stands for.
    ///
    /// # Errors
    /// The first thing that cannot be sent as it stands, and where it stands.
    pub fn request(
        &self,
        asking: &Asking,
        handler: HandlerPath,
        payload: Json,
        like: Option<&JobRequest>,
    ) -> Result<(RecurringName, RecurringRequest), Fault> {
        let name = self.name.trim().parse::<RecurringName>();
        let name = name.map_err(|error| Fault::new(Field::Name, error.to_string()))?;
        let schedule = self.schedule.trim();
        if schedule.is_empty() {
            let message = "expected five fields as `30 2 * * 1-5`, six with seconds first, `@daily` or `every 90s`";
            return Err(Fault::new(Field::Schedule, message));
        }
        let mut job = asking.request(handler, payload, like).map_err(|message| Fault::new(Field::Other, message))?;
        job.wait_for_handler = self.wait_for_handler;
        let limit =
            Some(self.catch_up_limit.trim()).filter(|text| !text.is_empty() && self.misfire == Misfire::CatchUp);
        let limit = limit.map(str::parse).transpose().map_err(|_| {
            Fault::new(Field::CatchUp, format!("expected 1 to 1000, not `{}`", self.catch_up_limit.trim()))
        })?;
        let time_zone = Some(self.time_zone.trim().to_owned()).filter(|zone| !zone.is_empty());
        let request = RecurringRequest {
            time_zone,
            misfire: self.misfire,
            catch_up_limit: limit,
            ..RecurringRequest::new(schedule, job)
        };
        Ok((name, request))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use windlass_api::Problem;

    use super::*;

    pub(crate) fn job(name: &str) -> RecurringJob {
        RecurringJob {
            name: name.parse().unwrap(),
            request: RecurringRequest::new("@daily", JobRequest::new("m/h".parse().unwrap(), Json::null())),
            paused: false,
            module: None,
            since: Timestamp(0),
            next_runs: vec![Timestamp(100_000)],
            last: None,
        }
    }

    fn request(editing: &Editing) -> Result<(RecurringName, RecurringRequest), Fault> {
        editing.request(&Asking::default(), "m/h".parse().unwrap(), Json::null(), None)
    }

    #[test]
    fn an_instant_is_missed_when_it_is_a_minute_old_and_nobody_paused_it() {
        let (due, late) = (job("a"), |ms: i64| Timestamp(100_000 + ms));
        assert_eq!(missed_ms(&due, late(60_000)), None);
        assert_eq!(missed_ms(&due, late(61_000)), Some(61_000));
        assert_eq!(missed_ms(&due, Timestamp(0)), None);
        assert_eq!(missed_ms(&RecurringJob { paused: true, ..job("a") }, late(61_000)), None);
        assert_eq!(missed_ms(&RecurringJob { next_runs: Vec::new(), ..job("a") }, late(61_000)), None);
    }

    #[test]
    fn what_is_changed_reads_back_what_is_there() {
        let mut there = job("nightly");
        there.request.time_zone = Some("Europe/Berlin".to_owned());
        there.request.misfire = Misfire::CatchUp;
        there.request.catch_up_limit = Some(5);
        there.request.job.wait_for_handler = true;
        there.request.job.tags = vec!["a".to_owned()];
        there.request.job.headers = [("k".to_owned(), "v".to_owned())].into();
        let like = &there.request.job;
        let asked =
            Editing::of(&there).request(&Asking::of(like), like.handler.clone(), like.payload.clone(), Some(like));
        assert_eq!(asked, Ok((there.name.clone(), there.request.clone())));
    }

    #[test]
    fn what_is_wrong_is_told_where_it_stands() {
        let fine = Editing { name: "a".to_owned(), schedule: " @daily ".to_owned(), ..Editing::default() };
        assert_eq!(request(&fine).unwrap().1.schedule, "@daily");
        let field = |editing: Editing| request(&editing).unwrap_err().field;
        assert_eq!(field(Editing { name: "a b".to_owned(), ..fine.clone() }), Field::Name);
        assert_eq!(field(Editing { schedule: " ".to_owned(), ..fine.clone() }), Field::Schedule);
        let catch_up = Editing { misfire: Misfire::CatchUp, catch_up_limit: "many".to_owned(), ..fine.clone() };
        assert_eq!(field(catch_up.clone()), Field::CatchUp);
        // What is typed for another policy does not matter.
        assert_eq!(request(&Editing { misfire: Misfire::Skip, ..catch_up }).unwrap().1.catch_up_limit, None);
    }

    #[test]
    fn what_the_host_says_is_told_at_the_field_that_it_names() {
        let told = |code, detail: &str| Fault::of(&Trouble::Problem(Problem::new(code, detail)));
        let invalid = ProblemCode::InvalidField;
        assert_eq!(told(invalid, "`schedule` has 4 fields"), Fault::new(Field::Schedule, "has 4 fields"));
        assert_eq!(told(invalid, "`time_zone` knows no `x`"), Fault::new(Field::TimeZone, "knows no `x`"));
        assert_eq!(told(invalid, "`queue` is long").field, Field::Other);
        assert_eq!(
            told(ProblemCode::UnknownHandler, "no module has m/h"),
            Fault::new(Field::Other, "no module has m/h")
        );
    }
}
