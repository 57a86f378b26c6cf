//! The path that the dashboard is under.

/// A path such as `/jobs`, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prefix(String);

/// It is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to put the dashboard under `{0}`: expected a path such as /jobs, which is not the root")]
pub struct InvalidPrefix(String);

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

    /// What a path and query below it are there, from the slash on.
    #[must_use]
    pub fn below<'a>(&self, path_and_query: &'a str) -> Option<&'a str> {
        path_and_query.strip_prefix(&self.0).filter(|rest| rest.starts_with('/'))
    }

    /// Where a request for the prefix without a slash is led: relative, since what stands before it is not known here.
    #[must_use]
    pub fn to_folder(&self, query: Option<&str>) -> String {
        let last = self.0.rsplit('/').next().unwrap_or_default();
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        format!("{last}/{query}")
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
        assert_eq!(prefix.below("/tools/jobs/api/v1/jobs?limit=1"), Some("/api/v1/jobs?limit=1"));
        assert_eq!(prefix.below("/tools/jobs/"), Some("/"));
        assert_eq!(prefix.below("/tools/jobsmith/"), None);
        assert_eq!(prefix.to_folder(None), "jobs/");
        assert_eq!(prefix.to_folder(Some("a=b")), "jobs/?a=b");
    }
}
