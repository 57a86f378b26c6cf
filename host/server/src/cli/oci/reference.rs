//! What names a component in a registry.

use std::{fmt, str::FromStr};

use super::{super::exit::Usage, SCHEME};

/// No tag is longer, by the specification.
const MAX_TAG_BYTES: usize = 128;

/// No name of a repository is longer, in bytes.
const MAX_NAME_BYTES: usize = 255;

/// `REGISTRY/NAME:TAG` or `REGISTRY/NAME@sha256:DIGEST`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// Its host, with a port where that is not the usual one.
    pub(super) registry: String,
    /// What it is called there.
    pub(super) name: String,
    /// Which version of it.
    pub(super) version: Version,
}

/// Which version is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// What is under this tag now.
    Tag(String),
    /// What has this digest, `sha256:` and 64 hexadecimal digits.
    Digest(String),
}

impl Version {
    pub(super) fn as_str(&self) -> &str {
        match self {
            Self::Tag(text) | Self::Digest(text) => text,
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if matches!(self.version, Version::Tag(_)) { ':' } else { '@' };
        write!(f, "{}/{}{separator}{}", self.registry, self.name, self.version.as_str())
    }
}

impl FromStr for Reference {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let expected = "expected the registry, the name in small letters, and a tag or digest, such as oci://ghcr.io/acme/images:1.2";
        read(text).ok_or_else(|| Usage(format!("`{SCHEME}{text}` is not a reference: {expected}")).into())
    }
}

fn read(text: &str) -> Option<Reference> {
    let (registry, rest) = text.split_once('/')?;
    let (name, version) = match rest.split_once('@') {
        Some((name, digest)) => (name, Version::Digest(digest.to_owned())),
        None => {
            let (name, tag) = rest.split_once(':')?;
            (name, Version::Tag(tag.to_owned()))
        }
    };
    let good = match &version {
        Version::Tag(tag) => is_tag(tag),
        Version::Digest(digest) => is_digest(digest),
    };
    let is_good = is_registry(registry) && is_name(name) && good;
    is_good.then(|| Reference { registry: registry.to_owned(), name: name.to_owned(), version })
}

/// A name without a dot or port would be taken for Docker's registry elsewhere, which nobody should have to know.
fn is_registry(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b':' | b'[' | b']');
    let is_host = text.contains(['.', ':']) || text == "localhost";
    is_host && text.bytes().all(allowed) && format!("http://{text}/").parse::<reqwest::Url>().is_ok()
}

fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
        let outer = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let bytes = part.as_bytes();
        outer(bytes.first()) && outer(bytes.last()) && bytes.iter().copied().all(inner)
    };
    text.len() <= MAX_NAME_BYTES && text.split('/').all(is_part)
}

fn is_tag(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=MAX_TAG_BYTES).contains(&text.len()) && !text.starts_with(['.', '-']) && text.bytes().all(allowed)
}

/// Whether it is a digest of the one kind that is checked here.
pub(super) fn is_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:");
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    digits.is_some_and(|digits| digits.len() == 64 && digits.bytes().all(is_digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_names_its_registry_and_a_version() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let pinned = format!("ghcr.io/acme/images@{digest}");
        for good in [
            "ghcr.io/acme/images:1.2",
            "localhost:5000/images:a",
            "127.0.0.1:5000/a/b/c-d:x_1",
            "[::1]:5000/a:b",
            &pinned,
        ] {
            assert_eq!(good.parse::<Reference>().unwrap().to_string(), *good);
        }
        let reference: Reference = pinned.parse().unwrap();
        assert_eq!((reference.name.as_str(), reference.version), ("acme/images", Version::Digest(digest)));
        for bad in [
            "",
            "images:1",
            "acme/images:1",
            "ghcr.io/images",
            "ghcr.io/:1",
            "ghcr.io/UPPER:1",
            "ghcr.io/a:b:c",
            "ghcr.io/a/../b:1",
            "ghcr.io/a//b:1",
            "ghcr.io/a:",
            "ghcr.io/a:.x",
            "ghcr.io/a@sha256:0a",
            "ghcr.io/a@sha512:0a",
            "user@ghcr.io/a:1",
            "ghcr.io:port/a:1",
            "ghcr.io?x/a:1",
        ] {
            let error = bad.parse::<Reference>().unwrap_err();
            assert!(error.is::<Usage>() && error.to_string().contains("such as oci://"), "{bad}: {error}");
        }
    }
}
