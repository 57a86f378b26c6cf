//! Schedules against `croner`, which reads and evaluates cron expressions in a way of its own.
//!
//! Both go by the same time zones. They differ by rule in three ways, and the comparison allows for no others:
//!
//! - A day field such as `*/2` restricts nothing by itself here, as in Unix; `croner` takes only a plain `*` so. It is told
//!   to look for days that match both.
//! - Where clocks are set, expressions that name their hours run once here, whatever their minutes are: `*/20 2 * * *`
//!   names 2:00, 2:20 and 2:40. `croner` takes them for intervals, which it runs twice, or not at all, as this does where
//!   the hours are `*` or `*/N`. Where `croner` has no interval, as for `30 2 * * *`, and this has none, both agree.
//! - `croner` gives up a time that falls into a gap over the end of a day, as Apia's missing day: the day after is another.
#![expect(clippy::unwrap_used, reason = "these are tests, helpers included")]

use croner::{Cron, JobType, parser::CronParser};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp as Instant, Zoned, tz::TimeZone};
use windlass_jobs::{api::Timestamp, recurring::Schedule};

const ROUNDS: usize = 10_000;

const ZONES: [&str; 6] =
    ["Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Apia", "Europe/Berlin", "America/New_York"];

/// Everything before this instant is settled history, and everything between is in the tables of all zones.
const YEARS: std::ops::Range<i64> = 946_684_800..2_051_222_400;

/// A clock that is set has its effect within this time: the longest gap is Apia's day.
const NEAR: SignedDuration = SignedDuration::from_hours(26);

#[test]
fn ten_thousand_expressions_come_when_an_independent_oracle_says() {
    let mut dice = Rng::with_seed(4);
    let (mut same, mut by_rule, mut never) = (0, 0, 0);
    for round in 0..ROUNDS {
        let zone = TimeZone::get(dice.choice(ZONES).unwrap()).unwrap();
        let after = instant(&mut dice, &zone);
        let Written { ours, theirs, both_days } = expression(&mut dice);
        let cron = CronParser::builder().dom_and_dow(both_days).build().parse(&theirs).unwrap();
        let oracle = cron.find_next_occurrence(&Zoned::new(after, zone.clone()), false).ok();
        let oracle = oracle.map(|next| next.timestamp()).filter(|next| next.to_zoned(zone.clone()).year() <= 2100);
        let from = Timestamp(after.as_millisecond());
        let schedule = Schedule::read(&ours, zone.iana_name(), from);
        let next = schedule.as_ref().ok().and_then(|schedule| schedule.next_after(from));
        let told = format!("round {round}: `{ours}` in {} after {after}", zone.iana_name().unwrap());
        let next = next.map(|next| Instant::from_millisecond(next.0).unwrap());
        match (next, oracle) {
            (None, None) => never += 1,
            (next, oracle) if next == oracle => same += 1,
            (Some(next), Some(oracle)) => {
                assert!(differ_by_rule(&cron, &ours, &zone, next.min(oracle)), "{told}: {next}, but croner {oracle}");
                by_rule += 1;
            }
            (next, oracle) => panic!("{told}: {next:?}, but croner {oracle:?}"),
        }
    }
    println!("{same} the same, {never} never, {by_rule} different by rule where clocks are set");
    assert!(same > ROUNDS * 9 / 10, "only {same} of {ROUNDS} are the same");
    assert!(by_rule > 0, "no instant was near enough to where clocks are set to mean anything");
}

/// Whether the rules themselves differ at an instant: clocks are set near it, and either the two see different intervals
/// or the day changes within the gap.
fn differ_by_rule(cron: &Cron, ours: &str, zone: &TimeZone, at: Instant) -> bool {
    let mut sets = zone.following(at - NEAR).take_while(|set| set.timestamp() <= at + NEAR);
    let set = sets.find(|set| {
        let before = zone.to_offset(set.timestamp() - SignedDuration::from_secs(1));
        before != set.offset()
    });
    let Some(set) = set else { return false };
    let hours = ours.split(' ').nth_back(3).unwrap();
    let here_is_interval = hours.starts_with('*');
    let there_is_interval = cron.determine_job_type() == JobType::IntervalWildcard;
    let last = zone.to_datetime(set.timestamp() - SignedDuration::from_secs(1));
    let changes_day = last.date() != zone.to_datetime(set.timestamp()).date();
    here_is_interval != there_is_interval || changes_day
}

/// An instant, half of the time one near which clocks are set.
fn instant(dice: &mut Rng, zone: &TimeZone) -> Instant {
    let any = Instant::from_second(dice.i64(YEARS)).unwrap();
    let change = zone.following(any).next().filter(|_| dice.bool());
    change.map_or(any, |change| change.timestamp() - SignedDuration::from_secs(dice.i64(-9_000..30_000)))
}

/// An expression as it is written here, and as `croner` understands it.
struct Written {
    ours: String,
    theirs: String,
    both_days: bool,
}

fn expression(dice: &mut Rng) -> Written {
    let minutes = field(dice, 0, 59);
    let hours = field(dice, 0, 23);
    let days = if dice.u8(..3) == 0 { field(dice, 1, 31) } else { "*".to_owned() };
    let months = if dice.u8(..4) == 0 { field(dice, 1, 12) } else { "*".to_owned() };
    let (week_ours, week_theirs) = if dice.u8(..3) == 0 { week(dice) } else { ("*".to_owned(), "*".to_owned()) };
    let both_days = days.starts_with('*') || week_ours.starts_with('*');
    let seconds = if dice.u8(..4) == 0 { format!("{} ", field(dice, 0, 59)) } else { String::new() };
    let written = |week: &str| format!("{seconds}{minutes} {hours} {days} {months} {week}");
    Written { ours: written(&week_ours), theirs: written(&week_theirs), both_days }
}

fn field(dice: &mut Rng, lowest: u32, highest: u32) -> String {
    let first = dice.u32(lowest..=highest);
    let last = dice.u32(first..=highest);
    match dice.u8(..8) {
        0 => "*".to_owned(),
        1 => format!("*/{}", dice.u32(1..=highest.min(20))),
        2 => format!("{first}-{last}"),
        3 => format!("{first}-{last}/{}", dice.u32(1..=5)),
        4 => format!("{first},{}", dice.u32(lowest..=highest)),
        _ => first.to_string(),
    }
}

/// Days of the week: with names and over the end of the week for one, as a plain list for the other.
fn week(dice: &mut Rng) -> (String, String) {
    const NAMES: [&str; 7] = ["sun", "MON", "Tue", "wednesday", "thu", "fri", "sat"];
    let (first, length) = (dice.usize(..7), dice.usize(1..7));
    let list = |step: usize| {
        let days = (first..first + length).step_by(step).map(|day| (day % 7).to_string());
        days.collect::<Vec<_>>().join(",")
    };
    let last = (first + length - 1) % 7;
    match dice.u8(..4) {
        0 => (format!("{}-{}", NAMES[first], NAMES[last]), list(1)),
        1 => (format!("{first}-{last}/2"), list(2)),
        2 => (if first == 0 { "7".to_owned() } else { first.to_string() }, first.to_string()),
        _ => ("*/3".to_owned(), "*/3".to_owned()),
    }
}
