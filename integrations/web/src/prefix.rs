//! The path that the dashboard is under.

/// What a query ends with where [`Prefix::place`] has led there. It means nothing to anybody else.
const LED: char = '&';

/// A path such as `/jobs`, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

/// It is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to put the dashboard under `{0}`: expected a path such as /jobs, which is not the root")]
pub struct InvalidPrefix(String);

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is for this path and query of the host.
    Host(String),
    /// It is led there: relative, since what stands before the prefix is not known here.
    Lead(String),
}

impl Prefix {
    /// Takes a path, with or without a slash at its end.
    ///
    /// # Errors
    /// Where it is none, or the root, where the application itself is.
    pub fn new(path: &str) -> Result<Self, InvalidPrefix> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let is_segment = |segment: &str| {
            // What a router or a URL gives a meaning of its own is left out.
            !segment.is_empty()
                && !matches!(segment, "." | "..")
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte))
        };
        match path.strip_prefix('/') {
            Some(rest) if rest.split('/').all(is_segment) => Ok(Self(path.to_owned())),
            _ => Err(InvalidPrefix(path.to_owned())),
        }
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What follows it in a path and query: nothing of a path where it is the prefix itself, else a path from the slash on.
    #[must_use]
    pub fn rest<'a>(&self, path_and_query: &'a str) -> Option<&'a str> {
        let rest = path_and_query.strip_prefix(&self.0)?;
        matches!(rest.bytes().next(), None | Some(b'/' | b'?')).then_some(rest)
    }

    /// What becomes of a request, by what follows the prefix in its path and query.
    ///
    /// The dashboard is at the prefix with a slash, and a request without it is led there. Where the application takes the slash
    /// from every path (`NormalizePath`), both look alike here, and leading would never end; so who was led is known by the end of
    /// their query. Who had asked with a slash is led one folder too deep by that, and is led back.
    #[must_use]
    pub fn place(&self, rest: &str) -> Place {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let last = self.0.rsplit('/').next().unwrap_or_default();
        let was_led = query.ends_with(LED);
        match path {
            "" if was_led => Place::Host(format!("/?{query}")),
            "" => Place::Lead(format!("{last}/?{query}{LED}")),
            _ if was_led && path.strip_prefix('/') == Some(last) => Place::Lead(format!("../?{query}")),
            // What is no page is without a slash, whatever the application adds.
            _ if path.starts_with("/api/") && path.ends_with('/') => {
                Place::Host(path.trim_end_matches('/').to_owned() + rest.get(path.len()..).unwrap_or_default())
            }
            _ => Place::Host(rest.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_path_that_is_not_the_root() {
        for path in ["/jobs", "/jobs/", "/tools/windlass-1.0"] {
            assert_eq!(Prefix::new(path).unwrap().as_str(), path.trim_end_matches('/'));
        }
        for path in ["", "/", "jobs", "/jobs//x", "//", "/{jobs}", "/*", "/a b", "/../x", "/j?x"] {
            let error = Prefix::new(path).unwrap_err().to_string();
            assert!(error.contains("expected a path such as /jobs"), "{path}: {error}");
        }
    }

    #[test]
    fn what_is_below_it_keeps_its_query() {
        let prefix = Prefix::new("/tools/jobs").unwrap();
        let jobs = "/api/v1/jobs?limit=1";
        assert_eq!(prefix.rest(&format!("/tools/jobs{jobs}")), Some(jobs));
        assert_eq!(prefix.rest("/tools/jobs/"), Some("/"));
        assert_eq!(prefix.rest("/tools/jobs?a=b"), Some("?a=b"));
        assert_eq!(prefix.rest("/tools/jobs"), Some(""));
        assert_eq!(prefix.rest("/tools/jobsmith/"), None);
        assert_eq!(prefix.place(jobs), Place::Host(jobs.to_owned()));
        assert_eq!(prefix.place("/api/v1/jobs/?limit=1"), Place::Host(jobs.to_owned()));
        assert_eq!(prefix.place("/jobs"), Place::Host("/jobs".to_owned()));
        assert_eq!(prefix.place(""), Place::Lead("jobs/?&".to_owned()));
        assert_eq!(prefix.place("?a=b"), Place::Lead("jobs/?a=b&".to_owned()));
    }

    /// Where a browser is led from a place, both with their queries.
    fn led(from: &str, location: &str) -> String {
        let from = from.split('?').next().unwrap_or_default();
        let folder = &from[..=from.rfind('/').unwrap()];
        match location.strip_prefix("../") {
            Some(location) => format!("{}{location}", &folder[..=folder.trim_end_matches('/').rfind('/').unwrap()]),
            None => format!("{folder}{location}"),
        }
    }

    #[test]
    fn the_dashboard_is_found_with_and_without_a_slash_whatever_the_application_does_with_slashes() {
        let prefix = Prefix::new("/tools/jobs").unwrap();
        for takes_slashes in [false, true] {
            for path in ["/tools/jobs", "/tools/jobs/", "/tools/jobs?a=b", "/tools/jobs/?a=b"] {
                // What a proxy puts before it is not known to the application.
                let mut at = format!("/proxy{path}");
                let mut ends = false;
                for _ in 0..4 {
                    let (path, query) = at.strip_prefix("/proxy").unwrap().split_once('?').unwrap_or((&at[6..], ""));
                    let path = if takes_slashes { path.trim_end_matches('/') } else { path };
                    match prefix.place(prefix.rest(&format!("{path}?{query}")).unwrap()) {
                        Place::Lead(location) => at = led(&at, &location),
                        Place::Host(asked) => {
                            assert!(asked.starts_with("/?"), "{asked}");
                            ends = true;
                            break;
                        }
                    }
                }
                // The page's base is `./`.
                let is_there = at.split('?').next() == Some("/proxy/tools/jobs/");
                assert!(ends && is_there, "{path}, slashes taken: {takes_slashes}: {at}");
            }
        }
    }
}
