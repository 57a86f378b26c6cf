//! Signing in by a proxy, which knows who somebody is.

use std::{fmt, net::IpAddr, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use windlass_api::Role;

/// `[access.proxy]`: a proxy that signs people in, by OpenID Connect or otherwise, and says in a header who they are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(
    expecting = "a table such as { header = \"x-auth-request-email\", role = \"viewer\", trusted = [\"10.0.0.7\"] }"
)]
pub struct ProxySettings {
    /// The header that names who somebody is. The proxy must remove it from what comes from outside.
    pub header: String,
    /// The header that names what they may do: roles, apart by commas, of which the highest counts; other words in it do not
    /// matter. Default: none.
    #[serde(default)]
    pub role_header: Option<String>,
    /// What whoever the proxy names may do where `role_header` says no role. Default: nothing.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub role: Option<Role>,
    /// Where the proxy's requests come from: addresses, or networks such as `10.0.0.0/24`. From elsewhere the headers mean
    /// nothing.
    #[schemars(with = "Vec<String>")]
    pub trusted: Vec<Network>,
}

/// An address, or all that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    const EXPECTED: &str = "an address or a network, such as \"10.0.0.7\", \"10.0.0.0/24\" or \"fd00::/8\"";

    /// Whether an address lies in it. One of IPv4 that comes by way of IPv6 is taken for what it is.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let apart = u32::from(network) ^ u32::from(address);
                apart.checked_shr(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let apart = u128::from(network) ^ u128::from(address);
                apart.checked_shr(128 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not {}", Self::EXPECTED);
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address = address.parse::<IpAddr>().map_err(|_| wrong())?.to_canonical();
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(all), |bits| bits.parse().map_err(|_| wrong()))?;
        if bits > all { Err(wrong()) } else { Ok(Self { address, bits }) }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Network;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Network::EXPECTED)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Network, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

impl ProxySettings {
    /// Checks what no single key shows.
    pub(super) fn check(&self) -> Result<(), String> {
        for (key, header) in [("header", Some(&self.header)), ("role_header", self.role_header.as_ref())] {
            let is_name = |header: &String| axum::http::HeaderName::from_str(header).is_ok();
            if header.is_some_and(|header| !is_name(header)) {
                return Err(format!(
                    "in [access.proxy], `{key}`: expected the name of a header, such as \"x-auth-request-email\""
                ));
            }
        }
        if self.trusted.is_empty() {
            return Err(
                "in [access.proxy], `trusted` is empty: name the addresses that the proxy's requests come from"
                    .to_owned(),
            );
        }
        if self.role.is_none() && self.role_header.is_none() {
            return Err(
                "in [access.proxy], neither `role` nor `role_header` says what anybody may do: set one of them"
                    .to_owned(),
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_the_addresses_that_begin_alike() {
        let holds = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse::<IpAddr>().unwrap())
        };
        for (network, address) in [
            ("10.0.0.7", "10.0.0.7"),
            ("10.0.0.0/24", "10.0.0.255"),
            ("0.0.0.0/0", "203.0.113.9"),
            ("::/0", "2001:db8::1"),
            ("10.0.0.7", "::ffff:10.0.0.7"),
            ("fd00::/8", "fdab::1"),
        ] {
            assert!(holds(network, address), "{network} {address}");
        }
        for (network, address) in
            [("10.0.0.7", "10.0.0.8"), ("10.0.0.0/24", "10.0.1.0"), ("::1", "127.0.0.1"), ("fd00::/8", "fe80::1")]
        {
            assert!(!holds(network, address), "{network} {address}");
        }
        for wrong in ["", "10.0.0", "10.0.0.0/33", "::/129", "proxy.example", "10.0.0.0/x"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_proxy_that_would_let_in_anybody_or_nobody_is_refused() {
        let good = ProxySettings {
            header: "x-auth-request-email".to_owned(),
            role_header: None,
            role: Some(Role::Viewer),
            trusted: vec!["127.0.0.1".parse().unwrap()],
        };
        assert_eq!(good.check(), Ok(()));
        assert!(ProxySettings { trusted: vec![], ..good.clone() }.check().unwrap_err().contains("trusted"));
        assert!(ProxySettings { role: None, ..good.clone() }.check().unwrap_err().contains("role_header"));
        assert!(ProxySettings { header: "a b".to_owned(), ..good }.check().unwrap_err().contains("header"));
    }
}
