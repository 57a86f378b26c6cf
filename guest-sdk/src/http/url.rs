//! The parts of a URL that a request is made of. Whether they are well-formed in every letter is the host's to say.

use super::Error;

/// An absolute URL without its fragment, which is never sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    pub(super) https: bool,
    pub(super) authority: &'a str,
    pub(super) path_and_query: String,
}

impl<'a> Url<'a> {
    pub(super) fn parse(url: &'a str) -> Result<Self, Error> {
        let invalid = |why: &str| Error::InvalidRequest(format!("`{url}` is not a URL that can be fetched: {why}"));
        if let Some(odd) = url.chars().find(|c| c.is_whitespace() || c.is_control()) {
            return Err(invalid(&format!("it contains {odd:?}")));
        }
        let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid("expected `http://…` or `https://…`"))?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(invalid("expected the scheme `http` or `https`")),
        };
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.is_empty() {
            return Err(invalid("it names no host"));
        }
        if authority.contains('@') {
            return Err(invalid("credentials belong into an `authorization` header"));
        }
        let slash = if path.starts_with('/') { "" } else { "/" };
        Ok(Self { https, authority, path_and_query: format!("{slash}{path}") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_falls_into_what_a_request_needs() {
        let url = Url::parse("HTTP://127.0.0.1:8080?q=1#part").unwrap();
        assert_eq!(url, Url { https: false, authority: "127.0.0.1:8080", path_and_query: "/?q=1".into() });
        assert_eq!(Url::parse("https://a.example/b/c?d#e").unwrap().path_and_query, "/b/c?d");
    }

    #[test]
    fn a_url_that_cannot_be_fetched_is_refused_with_the_reason() {
        for (url, why) in [
            ("/relative", "expected `http://"),
            ("ftp://a.example/", "expected the scheme"),
            ("http:///path", "names no host"),
            ("http://me:secret@a.example/", "credentials"),
            ("http://a.example/b c", "contains ' '"),
            ("http://a.example/\r\nx", "contains '\\r'"),
        ] {
            let error = Url::parse(url).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
