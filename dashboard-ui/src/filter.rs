//! Which jobs the list shows. All of it lives in the URL, so that a list can be sent to somebody else, and is read back
//! leniently: what makes no sense is named and left out.

use std::str::FromStr;

use windlass_api::{JobFilter, State, Timestamp};

use crate::query;

/// How many jobs a page of the list has where the URL does not say.
const DEFAULT_SIZE: usize = 50;

/// The lengths that can be chosen.
pub const SIZES: [usize; 3] = [50, 100, 200];

/// What the jobs page shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Which jobs.
    pub filter: JobFilter,
    /// From where on; absent on the first page, which alone is live.
    pub cursor: Option<String>,
    /// How many at once.
    pub size: usize,
}

impl Default for Shown {
    fn default() -> Self {
        Self { filter: JobFilter::default(), cursor: None, size: DEFAULT_SIZE }
    }
}

impl Shown {
    /// Reads a query string; also gives what of it made no sense.
    #[must_use]
    pub fn read(text: &str) -> (Self, Vec<String>) {
        let (mut shown, mut nonsense) = (Self::default(), Vec::new());
        for (key, value) in query::read(text) {
            if value.is_empty() {
                continue;
            }
            if let Err(reason) = shown.set(&key, &value) {
                nonsense.push(reason);
            }
        }
        (shown, nonsense)
    }

    /// Sets one part of the filter from text, as it is typed or stands in the URL; empty text clears it.
    ///
    /// # Errors
    /// Where there is no such part, or the text is not one of its values; says what was expected.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let filter = &mut self.filter;
        let text = Some(value.trim()).filter(|value| !value.is_empty());
        match key {
            "state" => filter.state = parse(text)?,
            "reason" => filter.reason = text.map(str::to_owned),
            "queue" => filter.queue = parse(text)?,
            "module" => filter.module = parse(text)?,
            "handler" => filter.handler = parse(text)?,
            "tag" => filter.tag = text.map(str::to_owned),
            "text" => filter.text = Some(value.to_owned()).filter(|value| !value.is_empty()),
            "created_from" => filter.created_from = parse(text)?,
            "created_before" => filter.created_before = parse(text)?,
            "cursor" => self.cursor = text.map(str::to_owned),
            "limit" => {
                let size = text.map_or(Some(DEFAULT_SIZE), |text| text.parse().ok());
                self.size = size
                    .filter(|size| SIZES.contains(size))
                    .ok_or_else(|| format!("`{value}` is not a length of the list: expected 50, 100 or 200"))?;
            }
            _ => return Err(format!("there is no filter `{key}`")),
        }
        Ok(())
    }

    /// The query string, as the URL of the page has it and the API takes it.
    #[must_use]
    pub fn write(&self) -> String {
        let filter = &self.filter;
        let text = |value: Option<&dyn std::fmt::Display>| value.map(ToString::to_string);
        let instant = |value: Option<Timestamp>| value.map(|value| value.to_string());
        let parts = [
            ("state", filter.state.map(|state| state.as_str().to_owned())),
            ("reason", filter.reason.clone()),
            ("queue", text(filter.queue.as_ref().map(|name| name as _))),
            ("module", text(filter.module.as_ref().map(|name| name as _))),
            ("handler", text(filter.handler.as_ref().map(|name| name as _))),
            ("tag", filter.tag.clone()),
            ("text", filter.text.clone()),
            ("created_from", instant(filter.created_from)),
            ("created_before", instant(filter.created_before)),
            ("cursor", self.cursor.clone()),
            ("limit", Some(self.size).filter(|size| *size != DEFAULT_SIZE).map(|size| size.to_string())),
        ];
        query::write(parts.iter().filter_map(|(key, value)| Some((*key, value.as_deref()?))))
    }

    /// The same with another part; a change of the filter leads back to the first page.
    #[must_use]
    pub fn with(&self, key: &str, value: &str) -> Self {
        let mut changed = self.clone();
        // What cannot be set leaves it as it was: values come from lists and checked fields.
        let _ = changed.set(key, value);
        if key != "cursor" {
            changed.cursor = None;
        }
        changed
    }

    /// Jobs of a state.
    #[must_use]
    pub fn of_state(state: State) -> Self {
        Self { filter: JobFilter { state: Some(state), ..JobFilter::default() }, ..Self::default() }
    }

    /// Whether anything but the state narrows the list.
    #[must_use]
    pub fn is_narrow(&self) -> bool {
        JobFilter { state: None, ..self.filter.clone() } != JobFilter::default()
    }
}

/// The state that a query string names. The navigation wants no more of it, and is on every page.
#[must_use]
pub fn state_in(query: &str) -> Option<State> {
    let named = query::read(query).into_iter().filter(|(key, _)| key == "state");
    named.filter_map(|(_, state)| state.parse().ok()).last()
}

fn parse<T: FromStr<Err: ToString>>(text: Option<&str>) -> Result<Option<T>, String> {
    text.map(str::parse::<T>).transpose().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_reads_back_what_it_writes() {
        let url = "state=failed&queue=images&module=m&handler=h&tag=a%20b&text=x%26y%3D&created_from=2026-11-23T15%3A49%3A53.120Z\
                   &created_before=2026-11-24T00%3A00%3A00.000Z&cursor=c%2B1&limit=100";
        let (shown, nonsense) = Shown::read(url);
        assert_eq!(nonsense, Vec::<String>::new());
        assert_eq!(shown.filter.text.as_deref(), Some("x&y="));
        assert_eq!(shown.write(), url);
        assert_eq!(Shown::default().write(), "");
    }

    #[test]
    fn the_navigation_sees_which_state_is_listed() {
        for (url, state) in [
            ("?state=failed&tag=t", Some(State::Failed)),
            ("tag=state", None),
            ("state=burning", None),
            ("state=failed&state=deleted", Some(State::Deleted)),
        ] {
            assert_eq!(state_in(url), state, "{url}");
            assert_eq!(state_in(url), Shown::read(url).0.filter.state, "{url}");
        }
    }

    #[test]
    fn nonsense_in_a_url_is_named_and_left_out() {
        let (shown, nonsense) =
            Shown::read("?state=burning&queue=a%2Fb&limit=7&color=red&tag=t&created_from=yesterday");
        assert_eq!(
            shown,
            Shown { filter: JobFilter { tag: Some("t".to_owned()), ..JobFilter::default() }, ..Shown::default() }
        );
        assert_eq!(nonsense.len(), 5, "{nonsense:?}");
        assert!(nonsense[0].starts_with("`burning` is not one of scheduled, awaiting"), "{nonsense:?}");
    }

    #[test]
    fn another_filter_leads_back_to_the_first_page() {
        let (shown, _) = Shown::read("state=failed&cursor=abc");
        assert_eq!(shown.with("queue", "images").write(), "state=failed&queue=images");
        assert_eq!(shown.with("cursor", "def").write(), "state=failed&cursor=def");
        assert_eq!(shown.with("state", "").write(), "");
        assert!(!shown.is_narrow() && shown.with("tag", "x").is_narrow());
    }
}
