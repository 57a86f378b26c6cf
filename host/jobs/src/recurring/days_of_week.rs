//! The days of the week: from Unix numbers, where Sunday is 0 or 7, to those of the `cron` crate, where it is 1.

/// The names that may stand for a day, whatever their case.
const NAMES: [&[&str]; 7] = [
    &["sun", "sunday"],
    &["mon", "monday"],
    &["tue", "tues", "tuesday"],
    &["wed", "wednesday"],
    &["thu", "thurs", "thursday"],
    &["fri", "friday"],
    &["sat", "saturday"],
];

/// Translates a field, or gives nothing where it is not one. Ranges may go over the end of the week: `fri-mon`, `5-7`.
pub(super) fn translate(field: &str) -> Option<String> {
    let mut days = [false; 7];
    for item in field.split(',') {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(digit(step).filter(|step| *step > 0)?)),
            None => (item, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (0, 6),
            Some((first, last)) => {
                let (first, last) = (day(first)?, day(last)?);
                // Friday to Monday goes on into the next week.
                (first, if last < first { last + 7 } else { last })
            }
            // With a step, a single day begins a range to the end of the week.
            None => (day(range)?, if step.is_some() { day(range)?.max(6) } else { day(range)? }),
        };
        (first..=last).step_by(step.unwrap_or(1)).for_each(|day| days[day % 7] = true);
    }
    let numbers = (1..).zip(days).filter(|(_, is_in)| *is_in).map(|(number, _)| number.to_string());
    Some(numbers.collect::<Vec<_>>().join(","))
}

/// 0 to 7, both ends being Sunday.
fn day(text: &str) -> Option<usize> {
    if let Some(day) = NAMES.iter().position(|names| names.iter().any(|name| name.eq_ignore_ascii_case(text))) {
        return Some(day);
    }
    digit(text)
}

/// One digit up to 7.
fn digit(text: &str) -> Option<usize> {
    let is_digit = text.len() == 1 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|digit| is_digit && *digit <= 7)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_week_are_numbered_anew() {
        for (unix, cron) in [
            ("0", "1"),
            ("7", "1"),
            ("6", "7"),
            ("1-5", "2,3,4,5,6"),
            ("mon-fri", "2,3,4,5,6"),
            ("5-7", "1,6,7"),
            ("FRI-MON", "1,2,6,7"),
            ("7-2", "1,2,3"),
            ("0-7", "1,2,3,4,5,6,7"),
            ("sat-sun", "1,7"),
            ("*/2", "1,3,5,7"),
            ("1/3", "2,5"),
            ("7/2", "1"),
            ("fri-tue/2", "1,3,6"),
            ("sun,Wednesday,5", "1,4,6"),
            ("*", "1,2,3,4,5,6,7"),
        ] {
            assert_eq!(translate(unix).as_deref(), Some(cron), "{unix}");
        }
    }

    #[test]
    fn what_is_no_day_of_the_week_is_not_translated() {
        for field in ["8", "-1", "", "1,", "mo", "1-", "*/0", "*/8", "1-8", "+1", "01", "5L", "5#2", "1-2-3", "?"] {
            assert_eq!(translate(field), None, "{field}");
        }
    }
}
