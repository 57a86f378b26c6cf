//! Which addresses a guest's request may go to.
//!
//! A granted name is no promise about where it leads: whoever owns the name decides that. So every address that it
//! resolves to is looked at, and forms of IPv6 that carry an IPv4 address are judged by that.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::PrivateNetworks;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Anywhere on the internet.
    Public,
    /// The host itself or a network of its operator: needs a grant of its own.
    Private,
    /// No place for a request whatever is granted: not unicast, reserved, or a cloud's metadata service, which hands
    /// out the host's own credentials.
    Never,
}

/// Whether a request may go to this address.
pub(super) fn is_allowed(address: IpAddr, private: PrivateNetworks) -> bool {
    match reach(address) {
        Reach::Public => true,
        Reach::Private => private == PrivateNetworks::Granted,
        Reach::Never => false,
    }
}

fn reach(address: IpAddr) -> Reach {
    match address {
        IpAddr::V4(address) => reach_v4(address),
        IpAddr::V6(address) => reach_v6(address),
    }
}

/// Metadata services of the large clouds. 168.63.129.16 is Azure's, though it looks public.
const METADATA_V4: [Ipv4Addr; 5] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
];

const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

fn reach_v4(address: Ipv4Addr) -> Reach {
    if METADATA_V4.contains(&address) {
        return Reach::Never;
    }
    match address.octets() {
        // This network; protocol assignments; documentation; the former 6to4 relays; multicast, reserved, broadcast.
        [0, ..] | [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] | [224..=255, ..] => {
            Reach::Never
        }
        // Private, shared by carriers, loopback, link-local, benchmarks.
        [10 | 127, ..]
        | [172, 16..=31, ..]
        | [192, 168, ..]
        | [100, 64..=127, ..]
        | [169, 254, ..]
        | [198, 18 | 19, ..] => Reach::Private,
        _ => Reach::Public,
    }
}

fn reach_v6(address: Ipv6Addr) -> Reach {
    if METADATA_V6.contains(&address) {
        return Reach::Never;
    }
    if address == Ipv6Addr::LOCALHOST {
        return Reach::Private;
    }
    let parts = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        reach_v4(Ipv4Addr::new(a, b, c, d))
    };
    match parts {
        // IPv4-mapped; NAT64; 6to4: they lead to the IPv4 address within.
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            embedded(high, low)
        }
        // Unspecified and IPv4-compatible, IPv4-translated, local NAT64, discard, segment routing.
        [0, ..] | [0x64, ..] | [0x100, ..] | [0x5f00, ..] => Reach::Never,
        // Protocol assignments (Teredo among them); documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Reach::Never,
        // Unique local, link-local, the former site-local.
        [0xfc00..=0xfdff, ..] | [0xfe80..=0xfeff, ..] => Reach::Private,
        // All that is handed out to the internet.
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_reach(expected: Reach, addresses: &[&str]) {
        for address in addresses {
            assert_eq!(reach(address.parse().unwrap()), expected, "{address}");
        }
    }

    #[test]
    fn addresses_of_the_internet_are_public() {
        let public = [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2a00:1450:4001::1",
            "2001:200::1",
            "2001:4860:4860::8888",
            "3ffe::1",
        ];
        assert_reach(Reach::Public, &public);
    }

    #[test]
    fn the_host_and_its_networks_are_private() {
        let private = [
            "127.0.0.1",
            "127.255.255.255",
            "10.0.0.0",
            "10.255.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.0.0",
            "192.168.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "169.254.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "::1",
            "fc00::1",
            "fdff::1",
            "fe80::1",
            "febf::1",
            "fec0::1",
        ];
        assert_reach(Reach::Private, &private);
    }

    #[test]
    fn what_is_no_place_for_a_request_is_never_reached() {
        let never = [
            "0.0.0.0",
            "0.1.2.3",
            "192.0.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "192.88.99.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "100::1",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "3fff::1",
            "5f00::1",
            "64:ff9b:1::1",
            "ff02::1",
            "4000::1",
            "fe00::1",
            "::ffff:0:8.8.8.8",
        ];
        assert_reach(Reach::Never, &never);
    }

    #[test]
    fn metadata_services_are_never_reached() {
        let metadata = [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.170.23",
            "100.100.100.200",
            "168.63.129.16",
            "fd00:ec2::254",
            "fd00:ec2::23",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "64:ff9b::169.254.169.254",
            "2002:a9fe:a9fe::1",
        ];
        assert_reach(Reach::Never, &metadata);
    }

    #[test]
    fn an_address_within_an_address_decides() {
        assert_reach(Reach::Public, &["::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"]);
        let private = ["::ffff:127.0.0.1", "::ffff:10.1.2.3", "64:ff9b::192.168.1.1", "2002:7f00:1::", "2002:a00:1::1"];
        assert_reach(Reach::Private, &private);
        assert_reach(Reach::Never, &["::127.0.0.1", "::8.8.8.8", "::ffff:0.0.0.0", "2002::1", "2002:e000:1::"]);
    }

    #[test]
    fn a_grant_opens_private_networks_and_nothing_more() {
        let allowed = |address: &str, private| is_allowed(address.parse().unwrap(), private);
        assert!(allowed("8.8.8.8", PrivateNetworks::Refused));
        assert!(!allowed("127.0.0.1", PrivateNetworks::Refused));
        assert!(allowed("127.0.0.1", PrivateNetworks::Granted));
        assert!(!allowed("169.254.169.254", PrivateNetworks::Granted));
        assert!(!allowed("224.0.0.1", PrivateNetworks::Granted));
    }
}
