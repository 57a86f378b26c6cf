//! What schedules mean, by table, and what holds of any.

use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn schedule(text: &str, zone: &str) -> Schedule {
    Schedule::read(text, Some(zone), at("2000-01-01T00:00:00Z")).unwrap()
}

/// The instants after one, by UTC.
fn runs(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = schedule(text, zone);
    schedule.after(at(after)).take(count).map(|run| run.to_string().replace(".000Z", "Z")).collect()
}

fn refusal(text: &str) -> String {
    Schedule::read(text, None, at("2026-01-01T00:00:00Z")).unwrap_err().to_string()
}

#[test]
fn expressions_mean_what_they_mean_in_unix() {
    // 2026-11-23 is a Monday.
    for (text, after, expected) in [
        ("30 2 * * *", "2026-11-23T02:30:00Z", "2026-11-24T02:30:00Z"),
        ("30 2 * * *", "2026-11-23T02:29:59.999Z", "2026-11-23T02:30:00Z"),
        ("*/15 * * * *", "2026-11-23T10:46:00Z", "2026-11-23T11:00:00Z"),
        ("5/20 * * * *", "2026-11-23T10:26:00Z", "2026-11-23T10:45:00Z"),
        ("0 9-17/4 * * *", "2026-11-23T13:30:00Z", "2026-11-23T17:00:00Z"),
        ("0 0 * * 0", "2026-11-23T00:00:00Z", "2026-11-29T00:00:00Z"),
        ("0 0 * * 7", "2026-11-23T00:00:00Z", "2026-11-29T00:00:00Z"),
        ("0 0 * * 1", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
        ("0 0 * * 5-7", "2026-11-23T00:00:00Z", "2026-11-27T00:00:00Z"),
        ("0 0 * * FRI-MON", "2026-11-29T00:00:00Z", "2026-11-30T00:00:00Z"),
        ("0 0 * * wed,sat", "2026-11-23T00:00:00Z", "2026-11-25T00:00:00Z"),
        ("0 0 1 jan,Jul *", "2026-11-23T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("0 0 29 2 *", "2026-11-23T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 31 * *", "2026-11-01T00:00:00Z", "2026-12-31T00:00:00Z"),
        ("0 0 ? * 1", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),
        // Both days restricted: either will do. A star, whatever follows it, restricts nothing by itself.
        ("0 0 13 * 5", "2026-11-23T00:00:00Z", "2026-11-27T00:00:00Z"),
        ("0 0 24 * 5", "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"),
        ("0 0 */2 * 1", "2026-11-23T00:00:00Z", "2026-12-07T00:00:00Z"),
        ("0 0 13 * */5", "2026-11-23T00:00:00Z", "2026-12-13T00:00:00Z"),
        ("*/20 30 2 * * *", "2026-11-23T02:30:20Z", "2026-11-23T02:30:40Z"),
        ("@hourly", "2026-11-23T02:30:00Z", "2026-11-23T03:00:00Z"),
        ("@daily", "2026-11-23T02:30:00Z", "2026-11-24T00:00:00Z"),
        ("@midnight", "2026-11-23T02:30:00Z", "2026-11-24T00:00:00Z"),
        ("@weekly", "2026-11-23T02:30:00Z", "2026-11-29T00:00:00Z"),
        ("@monthly", "2026-11-23T02:30:00Z", "2026-12-01T00:00:00Z"),
        ("@Yearly", "2026-11-23T02:30:00Z", "2027-01-01T00:00:00Z"),
        ("@annually", "2026-11-23T02:30:00Z", "2027-01-01T00:00:00Z"),
        ("every 6h", "2026-11-23T02:30:00Z", "2026-11-23T06:00:00Z"),
        ("  Every  90s ", "2026-11-23T00:00:00Z", "2026-11-23T00:01:30Z"),
    ] {
        assert_eq!(runs(text, "UTC", after, 1), [expected], "{text}");
    }
}

#[test]
fn local_times_are_those_of_the_zone() {
    assert_eq!(runs("45 5 * * *", "Asia/Kathmandu", "2026-11-22T23:59:00Z", 1), ["2026-11-23T00:00:00Z"]);
    assert_eq!(runs("0 9 * * 1", "America/New_York", "2026-11-23T00:00:00Z", 1), ["2026-11-23T14:00:00Z"]);
    assert_eq!(runs("0 9 * * 1", "Australia/Lord_Howe", "2026-11-22T00:00:00Z", 1), ["2026-11-22T22:00:00Z"]);
}

#[test]
fn a_skipped_local_time_runs_once_right_after_the_gap() {
    // Berlin goes from 2:00 to 3:00 at 1:00 UTC.
    let day = "2026-03-29T00:00:00Z";
    assert_eq!(runs("30 2 * * *", "Europe/Berlin", day, 2), ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]);
    assert_eq!(runs("*/20 2 * * *", "Europe/Berlin", day, 2), ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]);
    assert_eq!(runs("30 2,3 * * *", "Europe/Berlin", day, 2), ["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]);
    assert_eq!(runs("0 2,3 * * *", "Europe/Berlin", day, 2), ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]);
    for after in ["2026-03-29T00:59:59Z", "2026-03-29T00:59:59.999Z"] {
        assert_eq!(runs("30 2 * * *", "Europe/Berlin", after, 1), ["2026-03-29T01:00:00Z"], "{after}");
    }
    // Lord Howe goes from 2:00 to 2:30 at 15:30 UTC.
    let lord_howe = runs("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", 2);
    assert_eq!(lord_howe, ["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"]);
    // Apia had no 30 December 2011: the 31st begins at 10:00 UTC.
    let apia = runs("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", 3);
    assert_eq!(apia, ["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"]);
}

#[test]
fn a_repeated_local_time_runs_the_first_time() {
    // Berlin goes from 3:00 back to 2:00 at 1:00 UTC.
    let day = "2026-10-25T00:00:00Z";
    assert_eq!(runs("30 2 * * *", "Europe/Berlin", day, 2), ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    for after in ["2026-10-25T00:30:00Z", "2026-10-25T00:59:59Z", "2026-10-25T01:00:00Z", "2026-10-25T01:29:59.5Z"] {
        assert_eq!(runs("30 2 * * *", "Europe/Berlin", after, 1), ["2026-10-26T01:30:00Z"], "{after}");
    }
    assert_eq!(
        runs("30 1-3 * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", 3),
        ["2026-10-24T23:30:00Z", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z"]
    );
}

#[test]
fn intervals_run_through_where_clocks_are_set() {
    let hourly = |after| runs("30 * * * *", "Europe/Berlin", after, 3);
    let gap = ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"];
    assert_eq!(hourly("2026-03-29T00:00:00Z"), gap);
    let fold = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"];
    assert_eq!(hourly("2026-10-25T00:00:00Z"), fold);
    let every = runs("every 1h", "Europe/Berlin", "2026-10-24T23:59:59Z", 3);
    assert_eq!(every, ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]);
}

#[test]
fn what_is_no_schedule_is_refused_with_the_field_and_what_is_allowed() {
    for (text, words) in [
        ("30 2 30 2 *", ["`schedule` never comes", "date"]),
        ("0 0 31 4,6,9,11 *", ["`schedule` never comes", "2101"]),
        ("60 * * * *", ["`60` for the minutes", "0-59"]),
        ("* 24 * * *", ["`24` for the hours", "0-23"]),
        ("* * 0 * *", ["`0` for the days of the month", "1-31"]),
        ("* * * 13 *", ["`13` for the months", "1-12"]),
        ("* * * feb-nov/0 *", ["`feb-nov/0` for the months", "jan-dec"]),
        ("* * * * 8", ["`8` for the days of the week", "Sunday being 0 and 7"]),
        ("99 * * * * *", ["`99` for the seconds", "0-59"]),
        ("1* * * * *", ["`1*` for the minutes", "*/N"]),
        ("5-1 * * * *", ["`5-1` for the minutes", "A-B"]),
        ("mon * * * *", ["`mon` for the minutes", "0-59"]),
        ("* * * *", ["has 4 fields", "expected five"]),
        ("* * * * * * 2026", ["has 7 fields", "six with seconds first"]),
        ("", ["has 0 fields", "@daily"]),
        ("@noon", ["is none of the names", "@midnight"]),
        ("@reboot", ["is none of the names", "@hourly"]),
        ("every 0s", ["0 ms", "at least 1s"]),
        ("every day", ["`day`", "every 90s"]),
        ("\u{1F600} * * * *", ["for the minutes", "0-59"]),
    ] {
        let refusal = refusal(text);
        assert!(words.iter().all(|word| refusal.contains(word)), "{text}: {refusal}");
    }
    assert!(refusal(&"1,".repeat(300)).contains("at most 400"));
    let zone = Schedule::read("@daily", Some("Europe/Berln"), Timestamp(0)).unwrap_err();
    assert_eq!(zone.field, "time_zone");
    assert!(zone.to_string().contains("did you mean `Europe/Berlin`?"), "{zone}");
}

#[test]
fn the_last_instant_before_one_is_found_whatever_lies_between() {
    let dense = schedule("* * 3 * * *", "Europe/Berlin");
    let from = dense.next_after(at("2026-01-01T00:00:00Z")).unwrap();
    let last = dense.last_until(from, at("2026-06-01T00:30:00Z"));
    assert_eq!(last, at("2026-05-31T01:59:59Z"));
    assert_eq!(dense.last_until(last, last), last);
}

const ZONES: [&str; 7] = [
    "UTC",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Africa/Casablanca",
    "Pacific/Apia",
    "Europe/Berlin",
    "America/New_York",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// What is looked for second by second is what is found.
    #[test]
    fn the_next_instant_lies_ahead_and_none_is_skipped(
        minutes in "(\\*|\\*/[1-9]|[0-5][0-9]|[0-2][0-9]-[3-5][0-9]/7)",
        hours in "(\\*|\\*/[2-5]|[0-9]|[0-3]-[4-9]|1,2,3)",
        days in "(\\*|\\*/2|[1-9]|1[0-9]|2[0-8])",
        zone in 0..ZONES.len(),
        after in 1_262_304_000_i64..2_051_222_400,
        near_a_change in any::<bool>(),
    ) {
        let zone = zone::find(ZONES[zone]).unwrap();
        let after = jiff::Timestamp::from_second(after).unwrap();
        // Half of all begin a little before clocks are set, where there is most to get wrong.
        let change = zone.following(after).next().filter(|_| near_a_change);
        let after = change.map_or(after, |change| change.timestamp() - jiff::SignedDuration::from_mins(95));
        let text = format!("{minutes} {hours} {days} * *");
        let name = zone.iana_name().unwrap().to_owned();
        let schedule = schedule(&text, &name);
        let mut last = Timestamp(after.as_millisecond());
        for _ in 0..3 {
            let next = schedule.next_after(last).unwrap();
            prop_assert!(next > last);
            // From anywhere between, the same instant comes next.
            for part in 1..8 {
                let between = Timestamp(last.0 + (next.0 - last.0 - 1) * part / 8);
                prop_assert_eq!(schedule.next_after(between), Some(next), "{} in {} after {}", text, name, between);
            }
            prop_assert_eq!(schedule.next_after(Timestamp(next.0 - 1)), Some(next));
            last = next;
        }
        let named = named_by_minute(&text, &zone, after, 6 * 60);
        let until = Timestamp(after.as_millisecond() + 6 * 3_600_000);
        let found = schedule.after(Timestamp(after.as_millisecond())).take_while(|next| *next <= until);
        prop_assert_eq!(found.collect::<Vec<_>>(), named, "{} in {} after {}", text, name, after);
    }
}

/// The instants of an expression in the minutes that follow, found by looking at each minute of real time by itself.
fn named_by_minute(text: &str, zone: &TimeZone, after: jiff::Timestamp, minutes: i64) -> Vec<Timestamp> {
    let fields = super::super::fields::read(text).unwrap();
    let names = |civil: jiff::civil::DateTime| {
        let utc = civil.to_zoned(TimeZone::UTC).unwrap().timestamp().as_second();
        let utc = chrono::DateTime::from_timestamp(utc, 0).unwrap();
        fields.schedules.iter().any(|schedule| schedule.includes(utc))
    };
    let first = after.as_second().div_euclid(60) + 1;
    let last = after.as_second() + minutes * 60;
    let mut named = Vec::new();
    for minute in first..=last.div_euclid(60) {
        let instant = jiff::Timestamp::from_second(minute * 60).unwrap();
        let civil = zone.to_datetime(instant);
        let before = zone.to_datetime(instant - jiff::SignedDuration::from_mins(1));
        // The second of two instants that show the same.
        let is_repeat = zone.to_ambiguous_timestamp(civil).earlier().unwrap() != instant;
        let gap = civil.duration_since(before).as_mins();
        let skipped = (1..gap).map(|minute| before + jiff::SignedDuration::from_mins(minute));
        let is_named = names(civil) && (fields.any_hour || !is_repeat);
        if is_named || !fields.any_hour && skipped.into_iter().any(names) {
            named.push(Timestamp(instant.as_millisecond()));
        }
    }
    named
}
