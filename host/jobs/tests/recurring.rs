//! Recurring jobs from end to end of this crate: the client puts them, schedulers fire them, on a clock of the tests' own.
#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::{Arc, Mutex},
};

use fastrand::Rng;
use windlass_jobs::{
    Client, ClientError, Clock as _, TestClock,
    admission::AdmissionError,
    api::{
        Digest, HandlerSpec, JobDetail, JobFilter, JobRequest, Json, Misfire, Mode, ProblemCode, RecurringJob,
        RecurringName, RecurringRequest, ScheduleSpec, State, Timestamp,
    },
    recurring::{self, Scheduler},
    storage::{
        JobStore as _, ModuleStore as _, NewVersion, RecurringEntry, RecurringStore as _, sqlite::SqliteStorage,
    },
};

/// A storage whose clock the test moves, with a module `shop` that has the handler `bill`.
struct World {
    clock: Arc<TestClock>,
    storage: Arc<SqliteStorage>,
    client: Client,
    scheduler: Scheduler,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(TestClock::at("2026-11-23T00:00:00Z".parse().unwrap()));
        let storage = SqliteStorage::in_memory(clock.clone()).unwrap();
        let client = Client::new(storage.clone());
        let scheduler = Scheduler::new(storage.clone(), client.admission().clone());
        let world = Self { clock, storage, client, scheduler };
        world.activate(1, &["bill"], &[]).await;
        world
    }

    /// Makes another version of `shop` the active one: its first handler declares these schedules.
    async fn activate(&self, number: u8, handlers: &[&str], schedules: &[(&str, &str)]) {
        let schedule = |(name, expression): &(&str, &str)| ScheduleSpec {
            name: (*name).to_owned(),
            expression: (*expression).to_owned(),
            time_zone: None,
            payload: Json::null(),
            misfire: Misfire::Skip,
        };
        let handler = |(at, name): (usize, &&str)| HandlerSpec {
            schedules: if at == 0 { schedules.iter().map(schedule).collect() } else { Vec::new() },
            ..handler(name)
        };
        let version = NewVersion {
            module: "shop".parse().unwrap(),
            digest: Digest([number; 32]),
            bytes: vec![number],
            version: "1".to_owned(),
            sdk: "test".to_owned(),
            handlers: handlers.iter().enumerate().map(handler).collect(),
        };
        self.storage.add_version(version).await.unwrap();
        assert!(self.storage.activate(&"shop".parse().unwrap(), Digest([number; 32])).await.unwrap());
        self.client.admission().invalidate();
        recurring::declare(&*self.storage, &"shop".parse().unwrap()).await.unwrap();
    }

    async fn put(&self, of: &str, request: RecurringRequest) -> RecurringJob {
        self.client.put_recurring(&name(of), request).await.unwrap()
    }

    async fn show(&self, of: &str) -> RecurringJob {
        self.client.recurring(&name(of)).await.unwrap().unwrap()
    }

    /// Moves the clock on and fires what is due.
    async fn pass(&mut self, seconds: i64) {
        self.clock.advance_ms(seconds * 1_000);
        while self.scheduler.step().await.unwrap() == Some(0) {}
    }

    async fn jobs(&self) -> Vec<JobDetail> {
        let mut jobs = Vec::new();
        let mut cursor = None::<String>;
        loop {
            let page = self.client.list(&JobFilter::default(), cursor.as_deref(), 100).await.unwrap();
            for job in page.items {
                jobs.push(self.client.get(job.id).await.unwrap().unwrap());
            }
            cursor = page.next;
            if cursor.is_none() {
                return jobs;
            }
        }
    }

    /// The instants that jobs were enqueued for, in order.
    async fn fired(&self) -> Vec<String> {
        let instants = self.jobs().await.into_iter().filter_map(|job| job.headers.get("windlass-instant").cloned());
        let mut instants = instants.map(|at| at.replace(".000Z", "").replace("2026-11-", "")).collect::<Vec<_>>();
        instants.sort();
        instants
    }
}

fn handler(name: &str) -> HandlerSpec {
    HandlerSpec {
        name: name.parse().unwrap(),
        mode: Mode::Async,
        summary: None,
        queue: Some("bills".parse().unwrap()),
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

fn name(text: &str) -> RecurringName {
    text.parse().unwrap()
}

fn bill(schedule: &str) -> RecurringRequest {
    RecurringRequest::new(schedule, JobRequest::new("shop/bill".parse().unwrap(), Json::null()))
}

#[tokio::test]
async fn a_recurring_job_is_shown_with_its_next_runs_and_what_came_of_the_last() {
    let mut world = World::new().await;
    let put =
        world.put("nightly", RecurringRequest { time_zone: Some("Europe/Berlin".into()), ..bill("0 3 * * *") }).await;
    let next = put.next_runs.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(next.len(), 5);
    assert_eq!(next[..2], ["2026-11-23T02:00:00.000Z", "2026-11-24T02:00:00.000Z"]);
    assert_eq!((put.last, put.paused, put.module), (None, false, None));

    world.pass(2 * 3_600 - 1).await;
    assert_eq!(world.fired().await, Vec::<String>::new());
    world.pass(1).await;
    assert_eq!(world.fired().await, ["23T02:00:00"]);
    let job = &world.jobs().await[0];
    assert_eq!((job.job.queue.as_str(), job.job.mode), ("bills", Mode::Async), "what the handler says is filled in");
    assert_eq!(job.headers["windlass-recurring"], "nightly");
    assert_eq!(job.history[0].by, "recurring nightly");
    let shown = world.show("nightly").await;
    let last = shown.last.unwrap();
    assert_eq!((last.job, last.state, last.refused), (Some(job.job.id), Some(State::Enqueued), None));
    assert_eq!((last.at.to_string().as_str(), shown.next_runs[0].to_string().as_str()), (&*next[0], &*next[1]));
}

#[tokio::test]
async fn every_instant_is_fired_once_by_hosts_that_are_killed_at_random() {
    let world = World::new().await;
    world.put("tick", bill("every 1s")).await;
    world.put("half-minutes", bill("*/30 * * * * *")).await;
    let mut dice = Rng::with_seed(7);
    let new = || Scheduler::new(world.storage.clone(), world.client.admission().clone());
    let (mut one, mut other) = (new(), new());
    let mut kills = 0;
    for _ in 0..5 * 60 * 4 {
        world.clock.advance_ms(250);
        let patience = if dice.u8(..3) == 0 { dice.u32(..12) } else { u32::MAX };
        let ended = {
            let mut both = pin!(async { tokio::join!(one.step(), other.step()) });
            // A host that is killed is gone in the middle of whatever it did.
            let killed = async {
                for _ in 0..patience {
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                both = &mut both => Some(both),
                () = killed => None,
            }
        };
        match ended {
            Some((first, second)) => assert!(first.is_ok() && second.is_ok()),
            None => {
                kills += 1;
                (one, other) = (new(), new());
            }
        }
    }
    while one.step().await.unwrap() == Some(0) {}
    assert!(kills > 10, "{kills} kills mean nothing");
    let fired = world.fired().await;
    assert_eq!(fired.len(), 300 + 10);
    let jobs = world.jobs().await;
    let of = |job: &JobDetail| (job.headers["windlass-recurring"].clone(), job.headers["windlass-instant"].clone());
    assert_eq!(jobs.iter().map(of).collect::<BTreeSet<_>>().len(), 300 + 10, "each once");
}

#[tokio::test]
async fn missed_instants_go_by_the_policy() {
    let mut world = World::new().await;
    for (of, misfire, catch_up_limit) in
        [("skip", Misfire::Skip, None), ("once", Misfire::RunOnce, None), ("all", Misfire::CatchUp, Some(3))]
    {
        world.put(of, RecurringRequest { misfire, catch_up_limit, ..bill("0 * * * *") }).await;
    }
    world.pass(6 * 3_600 - 1_800).await;
    let jobs = world.jobs().await;
    let of = |name: &str| {
        let made = jobs.iter().filter(|job| job.headers["windlass-recurring"] == name);
        let mut at = made.map(|job| job.headers["windlass-instant"][11..13].to_owned()).collect::<Vec<_>>();
        at.sort();
        at.join(" ")
    };
    assert_eq!((of("skip"), of("once"), of("all")), (String::new(), "05".into(), "03 04 05".into()));
    for of in ["skip", "once", "all"] {
        assert_eq!(world.show(of).await.next_runs[0].to_string(), "2026-11-23T06:00:00.000Z");
    }
}

#[tokio::test]
async fn what_was_missed_is_told_once_by_whoever_moved_it_on() {
    let world = World::new().await;
    for (of, misfire, catch_up_limit) in [
        ("skip", Misfire::Skip, None),
        ("once", Misfire::RunOnce, None),
        ("all", Misfire::CatchUp, None),
        ("some", Misfire::CatchUp, Some(3)),
    ] {
        world.put(of, RecurringRequest { misfire, catch_up_limit, ..bill("0 * * * *") }).await;
    }
    let told = Arc::new(Mutex::new(Vec::new()));
    let new = || {
        let told = told.clone();
        let scheduler = Scheduler::new(world.storage.clone(), world.client.admission().clone());
        scheduler.telling(move |missed| told.lock().unwrap().push(missed.clone()))
    };
    let (mut one, mut other) = (new(), new());
    world.clock.advance_ms((6 * 3_600 - 1_800) * 1_000);
    for _ in 0..20 {
        let (first, second) = tokio::join!(one.step(), other.step());
        first.unwrap();
        second.unwrap();
    }
    let mut told = told.lock().unwrap().clone();
    told.sort_by(|left, right| left.name.cmp(&right.name));
    let shown: Vec<_> = told.iter().map(|missed| (missed.name.as_str(), missed.enqueued)).collect();
    assert_eq!(shown, [("once", 1), ("skip", 0), ("some", 3)], "nothing of what catches up with all is missed");
    for missed in &told {
        assert_eq!(missed.due_at.to_string(), "2026-11-23T01:00:00.000Z");
        assert_eq!(missed.next_at.unwrap().to_string(), "2026-11-23T06:00:00.000Z");
        assert_eq!(missed.handler.to_string(), "shop/bill");
    }
}

#[tokio::test]
async fn many_large_jobs_come_in_several_steps() {
    let mut world = World::new().await;
    let mut request = RecurringRequest { misfire: Misfire::CatchUp, ..bill("0 * * * *") };
    request.job.payload = Json::write(&"x".repeat(250_000)).unwrap();
    world.put("large", request).await;
    world.clock.advance_ms(100 * 3_600_000);
    let first = world.scheduler.step().await.unwrap();
    assert_eq!((first, world.fired().await.len()), (Some(0), 4), "1 MiB at most");
    world.pass(0).await;
    assert_eq!(world.fired().await.into_iter().collect::<BTreeSet<_>>().len(), 100);
}

#[tokio::test]
async fn an_entry_whose_handler_is_gone_says_so_and_goes_on_to_its_next_instant() {
    let mut world = World::new().await;
    world.put("hourly", bill("@hourly")).await;
    world.activate(2, &["other"], &[]).await;
    world.pass(3_600).await;
    let shown = world.show("hourly").await;
    let last = shown.last.unwrap();
    assert_eq!((last.job, last.at.to_string().as_str()), (None, "2026-11-23T01:00:00.000Z"));
    assert!(last.refused.unwrap().starts_with("no module has the handler `shop/bill`"));
    assert_eq!(shown.next_runs[0].to_string(), "2026-11-23T02:00:00.000Z");
    assert_eq!(world.scheduler.step().await.unwrap(), Some(3_600_000), "nothing is tried again at once");

    world.activate(1, &["bill"], &[]).await;
    world.pass(3_600).await;
    let last = world.show("hourly").await.last.unwrap();
    assert_eq!((last.refused, world.fired().await), (None, vec!["23T02:00:00".to_owned()]));
}

#[tokio::test]
async fn a_trigger_that_meets_a_job_which_is_unique_answers_with_that_one() {
    let mut world = World::new().await;
    let unique = |on_conflict| {
        let mut request = bill("@hourly");
        let rule = serde_json::json!({ "key": "bill", "on_conflict": on_conflict });
        request.job.unique = Some(serde_json::from_value(rule).unwrap());
        request
    };
    world.put("tr", unique("reject")).await;
    let first = world.client.trigger_recurring(&name("tr")).await.unwrap().unwrap();
    assert!(!first.existing);
    assert_eq!(world.show("tr").await.last.map(|last| (last.job, last.left_out)), Some((Some(first.id), false)));

    let error = world.client.trigger_recurring(&name("tr")).await.unwrap_err();
    assert!(
        matches!(error, ClientError::Admission(AdmissionError::NotUnique { holder }) if holder == first.id),
        "{error}"
    );
    for (on_conflict, replaced) in [("existing", false), ("replace", true)] {
        world.put("tr", unique(on_conflict)).await;
        let there = world.client.trigger_recurring(&name("tr")).await.unwrap().unwrap();
        assert_eq!((there.id, there.existing, there.replaced), (first.id, true, replaced), "{on_conflict}");
    }

    world.put("tr", unique("reject")).await;
    world.pass(3_600).await;
    let last = world.show("tr").await.last.unwrap();
    assert_eq!((last.job, last.state, last.left_out), (Some(first.id), Some(State::Enqueued), true));
    world.storage.delete(first.id, "ann").await.unwrap();
    world.pass(3_600).await;
    let last = world.show("tr").await.last.unwrap();
    assert_eq!((last.job == Some(first.id), last.state, last.left_out), (false, Some(State::Enqueued), false));
}

#[tokio::test]
async fn an_entry_that_cannot_be_read_does_not_hold_up_the_others() {
    let mut world = World::new().await;
    world.put("hourly", bill("@hourly")).await;
    let damaged = RecurringEntry {
        name: name("damaged"),
        definition: r#"{"of": "another version"}"#.parse().unwrap(),
        paused: false,
        next_at: Some(Timestamp(0)),
        last_at: None,
        last_job: None,
        left_out: false,
        revision: 0,
    };
    world.storage.put_recurring(damaged, None, Vec::new()).await.unwrap();
    assert_eq!(world.scheduler.step().await.unwrap(), Some(3_600_000));
    world.pass(3_600).await;
    assert_eq!(world.fired().await, ["23T01:00:00"]);
    assert!(world.client.recurring(&name("damaged")).await.unwrap_err().to_string().contains("damaged"));
    assert_eq!(world.client.recurring_jobs(None, 10).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn putting_the_same_times_again_shifts_nothing_and_other_times_begin_anew() {
    let mut world = World::new().await;
    let first = world.put("tick", bill("every 10m")).await;
    world.clock.advance_ms(9 * 60_000);
    assert_eq!(world.put("tick", bill("every 10m")).await, first);
    let mut other_job = bill("every 10m");
    other_job.job.priority = Some(1);
    let changed = world.put("tick", other_job.clone()).await;
    assert_eq!((changed.since, &changed.next_runs), (first.since, &first.next_runs));
    // The instant has passed and nobody has fired it yet: an application that starts now must not lose it.
    world.clock.advance_ms(61_000);
    world.put("tick", RecurringRequest { misfire: Misfire::CatchUp, ..other_job }).await;
    world.pass(0).await;
    assert_eq!(world.fired().await, ["23T00:10:00"]);

    world.client.pause_recurring(&name("tick")).await.unwrap();
    let anew = world.put("tick", bill("every 1h")).await;
    assert_eq!((anew.since, anew.paused), (world.clock.now(), true), "an operator's pause stays");
}

#[tokio::test]
async fn what_passes_while_an_entry_is_paused_is_left_out() {
    let mut world = World::new().await;
    world.put("hourly", RecurringRequest { misfire: Misfire::CatchUp, ..bill("@hourly") }).await;
    let paused = world.client.pause_recurring(&name("hourly")).await.unwrap().unwrap();
    assert_eq!((paused.paused, paused.next_runs), (true, vec![]));
    world.pass(5 * 3_600 + 60).await;
    assert_eq!(world.fired().await.len(), 0);
    let resumed = world.client.resume_recurring(&name("hourly")).await.unwrap().unwrap();
    assert_eq!(resumed.next_runs[0].to_string(), "2026-11-23T06:00:00.000Z");
    world.pass(3_600).await;
    assert_eq!(world.fired().await, ["23T06:00:00"]);
    assert_eq!(world.client.pause_recurring(&name("nobody")).await.unwrap(), None);
}

#[tokio::test]
async fn a_trigger_enqueues_now_and_moves_nothing() {
    let world = World::new().await;
    let put = world.put("hourly", bill("@hourly")).await;
    world.client.pause_recurring(&name("hourly")).await.unwrap();
    let job = world.client.trigger_recurring(&name("hourly")).await.unwrap().unwrap();
    assert_eq!(world.client.get(job.id).await.unwrap().unwrap().job.state, State::Enqueued);
    let resumed = world.client.resume_recurring(&name("hourly")).await.unwrap().unwrap();
    assert_eq!(resumed.next_runs, put.next_runs);
    assert_eq!(resumed.last.unwrap().job, Some(job.id));
    assert_eq!(world.client.trigger_recurring(&name("nobody")).await.unwrap(), None);
    assert!(world.client.remove_recurring(&name("hourly")).await.unwrap());
    assert!(!world.client.remove_recurring(&name("hourly")).await.unwrap());
    assert_eq!(world.jobs().await.len(), 1, "the jobs that it made stay");
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused_with_its_field() {
    let world = World::new().await;
    let job = |change: fn(&mut JobRequest)| {
        let mut request = bill("@daily");
        change(&mut request.job);
        request
    };
    for (request, words, code) in [
        (bill("30 2 30 2 *"), "`schedule` never comes", ProblemCode::InvalidField),
        (bill("every 0s"), "`schedule` has an interval of 0 ms", ProblemCode::InvalidField),
        (
            RecurringRequest { time_zone: Some("Asia/Katmandoo".into()), ..bill("@daily") },
            "`time_zone` knows no time zone",
            ProblemCode::InvalidField,
        ),
        (
            RecurringRequest { catch_up_limit: Some(5), ..bill("@daily") },
            "`catch_up_limit` is only for",
            ProblemCode::InvalidField,
        ),
        (
            RecurringRequest { catch_up_limit: Some(0), misfire: Misfire::CatchUp, ..bill("@daily") },
            "`catch_up_limit` must be 1 to 1000",
            ProblemCode::InvalidField,
        ),
        (job(|job| job.delay_ms = Some(1)), "`job.delay_ms` must be left out", ProblemCode::InvalidField),
        (job(|job| job.priority = Some(10)), "`priority` must be", ProblemCode::InvalidField),
        (job(|job| job.handler = "shop/bil".parse().unwrap()), "did you mean `shop/bill`", ProblemCode::UnknownHandler),
    ] {
        let refused = world.client.put_recurring(&name("n"), request).await.unwrap_err();
        let ClientError::Admission(refused) = refused else { panic!("it is refused by nobody") };
        assert!(refused.to_string().contains(words), "{refused}");
        assert_eq!(refused.code(), code);
    }
    assert!(world.client.recurring_jobs(None, 10).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn what_a_module_declares_comes_and_goes_with_its_active_version() {
    let mut world = World::new().await;
    world.put("shop.mine", bill("@yearly")).await;
    world.activate(2, &["bill"], &[("tick", "@hourly"), ("nightly", "0 3 * * *"), ("mine", "@daily")]).await;
    let tick = world.show("shop.tick").await;
    assert_eq!(tick.module.unwrap().as_str(), "shop");
    assert_eq!((tick.request.job.handler.to_string().as_str(), tick.request.misfire), ("shop/bill", Misfire::Skip));
    assert_eq!(world.show("shop.mine").await.request.schedule, "@yearly", "what an operator put is left alone");

    world.client.pause_recurring(&name("shop.tick")).await.unwrap();
    world.activate(3, &["bill"], &[("tick", "every 5m")]).await;
    let tick = world.show("shop.tick").await;
    assert_eq!((tick.request.schedule.as_str(), tick.paused), ("every 5m", true), "an operator's pause stays");
    let names = world.client.recurring_jobs(None, 10).await.unwrap().items.into_iter().map(|job| job.name.to_string());
    assert_eq!(names.collect::<Vec<_>>(), ["shop.mine", "shop.tick"]);
    world.pass(24 * 3_600).await;
    assert_eq!(world.jobs().await.len(), 0);
    let before = world.storage.recurring(&name("shop.tick")).await.unwrap();
    recurring::declare_all(&*world.storage, &mut BTreeMap::new()).await.unwrap();
    assert_eq!(world.storage.recurring(&name("shop.tick")).await.unwrap(), before, "doing it again changes nothing");
}

#[test]
fn declared_schedules_are_checked_before_a_version_is_taken() {
    let spec = |name: &str, expression: &str, payload: &str| ScheduleSpec {
        name: name.to_owned(),
        expression: expression.to_owned(),
        time_zone: None,
        payload: payload.parse().unwrap(),
        misfire: Misfire::default(),
    };
    let refusal = |schedules: Vec<ScheduleSpec>| {
        let payload_schema = Some(r#"{"type": "object"}"#.parse().unwrap());
        let handlers = [HandlerSpec { schedules, payload_schema, ..handler("bill") }];
        recurring::check_declared(&"shop".parse().unwrap(), &handlers, Timestamp(0)).err().unwrap_or_default()
    };
    assert_eq!(refusal(vec![spec("a", "@daily", "{}"), spec("b", "@daily", "{}")]), "");
    for (schedules, words) in [
        (vec![spec("a", "@noon", "{}")], "handler `bill`: schedule `a`: is none of the names"),
        (vec![spec("a", "@daily", "{}"), spec("a", "@daily", "{}")], "given twice"),
        (vec![spec("a b", "@daily", "{}")], "`shop.a b` is not a name of a recurring job"),
        (vec![spec(&"x".repeat(99), "@daily", "{}")], "1 to 100"),
        (vec![spec("a", "@daily", "7")], "is not of type \"object\""),
    ] {
        let refusal = refusal(schedules);
        assert!(refusal.contains(words), "{refusal}");
    }
}
