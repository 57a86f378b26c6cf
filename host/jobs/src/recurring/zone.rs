//! Time zones by their IANA names: the system's own, where it has them, else those that were built in.

use jiff::tz::{self, TimeZone};

/// No zone is proposed whose name differs in more characters.
const MAX_DISTANCE: usize = 4;

/// Finds a zone.
pub(super) fn find(name: &str) -> Result<TimeZone, String> {
    if let Ok(zone) = tz::db().get(name) {
        return Ok(zone);
    }
    let given = name.chars().take(60).collect::<String>();
    let nearest = nearest(&given).map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"));
    Err(format!(
        "knows no time zone `{given}`: expected the IANA name of one, such as `Europe/Berlin` or `UTC`{nearest}"
    ))
}

/// The zone whose name, or whose city's, is the most like it.
fn nearest(given: &str) -> Option<String> {
    let given = given.to_lowercase().replace(' ', "_");
    let distance = |name: &str| {
        let name = name.to_lowercase();
        let city = name.rsplit('/').next().unwrap_or(&name);
        let whole = strsim::damerau_levenshtein(&given, &name);
        // A city alone says enough, but one with its continent says more.
        let city = strsim::damerau_levenshtein(given.rsplit('/').next().unwrap_or(&given), city) + 1;
        whole.min(city)
    };
    let names = tz::db().available().map(|name| name.as_str().to_owned());
    let rated = names.map(|name| (distance(&name), name)).filter(|(distance, _)| *distance <= MAX_DISTANCE);
    rated.min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_zone_is_refused_with_the_nearest_one() {
        for (given, nearest) in
            [("Europe/Berln", "Europe/Berlin"), ("berlin", "Europe/Berlin"), ("New York", "America/New_York")]
        {
            let refusal = find(given).unwrap_err();
            assert!(refusal.contains(&format!("did you mean `{nearest}`?")), "{refusal}");
        }
        assert!(!find("nowhere at all, really").unwrap_err().contains("did you mean"));
        assert!(find("").is_err() && find("../../etc/hostname").is_err());
    }

    #[test]
    fn zones_with_odd_rules_are_known() {
        for name in ["UTC", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Apia"] {
            assert!(find(name).is_ok(), "{name}");
        }
    }
}
