//! The fields of a cron expression: taken apart, checked one by one so that a wrong one is named, and put together again
//! for the `cron` crate.

use std::str::FromStr;

use cron::Schedule as Crate;

use super::days_of_week;

/// A field in the order of an expression with seconds, and what may stand in it.
struct Kind {
    name: &'static str,
    allowed: &'static str,
}

const KINDS: [Kind; 6] = [
    Kind { name: "seconds", allowed: "0-59" },
    Kind { name: "minutes", allowed: "0-59" },
    Kind { name: "hours", allowed: "0-23" },
    Kind { name: "days of the month", allowed: "1-31" },
    Kind { name: "months", allowed: "1-12 or jan-dec" },
    Kind { name: "days of the week", allowed: "0-7 or sun-sat, Sunday being 0 and 7" },
];

const HOURS: usize = 2;
const DAYS_OF_MONTH: usize = 3;
const DAYS_OF_WEEK: usize = 5;

/// What an expression says.
#[derive(Debug)]
pub(super) struct Fields {
    /// The schedules whose instants, taken together, are the expression's: one, or two where an instant need only match
    /// the day of the month or that of the week.
    pub(super) schedules: Vec<Crate>,
    /// Whether the hours are `*` or `*/N`.
    pub(super) any_hour: bool,
}

/// Reads five fields, or six with seconds first.
pub(super) fn read(expression: &str) -> Result<Fields, String> {
    let mut fields = expression.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    match fields.len() {
        5 => fields.insert(0, "0".to_owned()),
        6 => {}
        count => {
            return Err(format!(
                "has {count} fields: expected five (minutes, hours, days of the month, months, days of the week), six with \
                 seconds first, @daily and its kin, or an interval such as `every 90s`"
            ));
        }
    }
    for at in [DAYS_OF_MONTH, DAYS_OF_WEEK] {
        if fields[at] == "?" {
            fields[at] = "*".to_owned();
        }
    }
    // As in Unix: a field that begins with a star restricts nothing by itself.
    let either = !fields[DAYS_OF_MONTH].starts_with('*') && !fields[DAYS_OF_WEEK].starts_with('*');
    let any_hour = fields[HOURS].starts_with('*');
    for (at, kind) in KINDS.iter().enumerate() {
        fields[at] = checked(at, &fields[at]).ok_or_else(|| wrong(kind, &fields[at]))?;
    }
    let every_day = |at: usize| with(&fields, at, "*");
    let expressions =
        if either { vec![every_day(DAYS_OF_WEEK), every_day(DAYS_OF_MONTH)] } else { vec![fields.join(" ")] };
    let schedules =
        expressions.iter().map(|text| Crate::from_str(text).map_err(|error| format!("is refused: {error}")));
    Ok(Fields { schedules: schedules.collect::<Result<_, _>>()?, any_hour })
}

/// A field as the crate takes it, or nothing where it is wrong.
fn checked(at: usize, field: &str) -> Option<String> {
    if at == DAYS_OF_WEEK {
        return days_of_week::translate(field);
    }
    // The crate does not ask for space between fields: what looks like two must not come as one.
    let is_item = |item: &str| {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, "1"));
        (range == "*" || is_value(first) && is_value(last)) && is_number(step)
    };
    let alone = || vec!["*".to_owned(); KINDS.len()];
    let fits = field.split(',').all(is_item) && Crate::from_str(&with(&alone(), at, field)).is_ok();
    fits.then(|| field.to_owned())
}

fn is_number(text: &str) -> bool {
    (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_value(text: &str) -> bool {
    is_number(text) || !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn with(fields: &[String], at: usize, field: &str) -> String {
    let mut fields = fields.iter().map(String::as_str).collect::<Vec<_>>();
    fields[at] = field;
    fields.join(" ")
}

fn wrong(kind: &Kind, field: &str) -> String {
    let field = field.chars().take(40).collect::<String>();
    format!(
        "has `{field}` for the {}: expected {}, alone, as a range `A-B` from the lower to the higher, with a step `A-B/N` or `*/N` \
         of 1 or more, a list of these with commas, or `*`",
        kind.name, kind.allowed
    )
}
