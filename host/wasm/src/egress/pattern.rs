//! Names of hosts that an operator grants.

use std::{fmt, net::Ipv6Addr, str::FromStr};

/// A host, or a family of hosts, that a module may send HTTP requests to.
///
/// `example.com` is that host alone, `*.example.com` every host below it but not itself, `*` every host; each may end
/// in `:port`, and without one means every port. An address is written as in a URL: `192.0.2.7`, `[2001:db8::7]:8080`.
/// Upper and lower case are the same.
///
/// ```
/// let pattern: windlass_wasm::HostPattern = "*.example.com:443".parse()?;
/// assert!(pattern.matches("api.example.com", 443));
/// assert!(!pattern.matches("example.com", 443));
/// assert!(!pattern.matches("api.example.com", 80));
/// # Ok::<(), windlass_wasm::InvalidHostPattern>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPattern {
    name: Name,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Name {
    Any,
    Below(Box<str>),
    Exactly(Box<str>),
}

/// A host pattern that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{given}` is not a host pattern: expected `example.com`, `*.example.com` or `*`, each with an optional `:port`, and no scheme or path"
)]
pub struct InvalidHostPattern {
    given: String,
}

impl HostPattern {
    /// Whether requests to this host and port are granted. An IPv6 address may be in brackets.
    #[must_use]
    pub fn matches(&self, host: &str, port: u16) -> bool {
        let host = normal(host);
        let name = match &self.name {
            Name::Any => true,
            Name::Exactly(name) => **name == *host,
            Name::Below(suffix) => {
                host.strip_suffix(&**suffix).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
        };
        name && self.port.is_none_or(|own| own == port)
    }
}

/// Lower case, without the dot of the root and without the brackets of an IPv6 address, which is in its shortest form.
fn normal(host: &str) -> String {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&host);
    bare.parse::<Ipv6Addr>().map_or_else(|_| bare.to_owned(), |address| address.to_string())
}

fn is_host(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.len() <= 253 && (name.parse::<Ipv6Addr>().is_ok() || name.split('.').all(label))
}

impl FromStr for HostPattern {
    type Err = InvalidHostPattern;

    fn from_str(text: &str) -> Result<Self, InvalidHostPattern> {
        let invalid = || InvalidHostPattern { given: text.chars().take(300).collect() };
        let (host, port) = match text.rsplit_once(':') {
            // The colons of an IPv6 address lie within its brackets, or are not followed by a port.
            Some((host, port)) if !port.ends_with(']') && (!host.contains(':') || host.ends_with(']')) => {
                (host, Some(port.parse::<u16>().map_err(|_| invalid())?))
            }
            _ => (text, None),
        };
        let name = match host.strip_prefix("*.") {
            _ if host == "*" => Name::Any,
            Some(suffix) => Name::Below(normal(suffix).into()),
            None => Name::Exactly(normal(host).into()),
        };
        match &name {
            Name::Below(name) | Name::Exactly(name) if !is_host(name) => Err(invalid()),
            _ if port == Some(0) => Err(invalid()),
            _ => Ok(Self { name, port }),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Name::Any => f.write_str("*")?,
            Name::Below(suffix) => write!(f, "*.{suffix}")?,
            Name::Exactly(name) if name.contains(':') => write!(f, "[{name}]")?,
            Name::Exactly(name) => f.write_str(name)?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, host: &str, port: u16) -> bool {
        pattern.parse::<HostPattern>().unwrap().matches(host, port)
    }

    #[test]
    fn a_name_grants_that_host_alone() {
        assert!(matches("example.com", "example.com", 80));
        assert!(matches("Example.com", "EXAMPLE.COM.", 443));
        for other in ["www.example.com", "example.com.evil.net", "evilexample.com", "example.co", ""] {
            assert!(!matches("example.com", other, 80), "{other}");
        }
    }

    #[test]
    fn a_star_grants_what_lies_below_a_name() {
        assert!(matches("*.example.com", "a.example.com", 80));
        assert!(matches("*.example.com", "a.b.example.com", 80));
        for other in ["example.com", ".example.com", "evilexample.com", "example.com.evil.net"] {
            assert!(!matches("*.example.com", other, 80), "{other}");
        }
        assert!(matches("*", "anything.net", 1));
    }

    #[test]
    fn a_port_narrows_a_grant() {
        assert!(matches("example.com:8080", "example.com", 8080));
        assert!(!matches("example.com:8080", "example.com", 80));
        assert!(matches("*:443", "a.b", 443));
        assert!(!matches("*:443", "a.b", 80));
    }

    #[test]
    fn addresses_are_compared_in_their_shortest_form() {
        assert!(matches("127.0.0.1:3000", "127.0.0.1", 3000));
        assert!(matches("[2001:DB8:0::1]:80", "[2001:db8::1]", 80));
        assert!(matches("[::1]", "[0:0:0:0:0:0:0:1]", 9));
        assert!(matches("::1", "[::1]", 9));
        assert!(!matches("[::1]", "[::2]", 9));
    }

    #[test]
    fn nonsense_is_refused_with_what_was_expected() {
        let bad =
            ["", "http://a.b", "a.b/c", "a b", "*.", "a.*.b", "a.b:", "a.b:0", "a.b:x", "a.b:70000", "**", "a..b"];
        for bad in bad {
            let error = bad.parse::<HostPattern>().unwrap_err().to_string();
            assert!(error.contains("expected `example.com`"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_pattern_reads_back_as_it_is_written() {
        for text in ["*", "*:80", "example.com", "*.example.com:443", "[::1]:8080", "10.0.0.1"] {
            assert_eq!(text.parse::<HostPattern>().unwrap().to_string(), text);
        }
    }
}
