//! Which addresses an outbound connection may reach.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What may be reached, decided by address, not by name: a name is resolved once, every address it has is
/// judged, and the connection is made to one of those judged (no second look-up that could answer otherwise).
///
/// The default is [`Reach::public`].
#[derive(Debug, Clone, Default)]
pub struct Reach {
    loopback: bool,
    hosts: BTreeSet<String>,
}

impl Reach {
    /// Globally routed addresses only, over https only.
    pub fn public() -> Self {
        Self::default()
    }

    /// Loopback addresses too, over https or plain http: development, the demo and the stand-in.
    #[must_use]
    pub fn and_loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// The private addresses of `host` too: a name or an address that the operator listed, such as a VPC
    /// endpoint's. Link-local addresses (metadata services) stay out of reach whatever is listed.
    #[must_use]
    pub fn and_host(mut self, host: &str) -> Self {
        // As URLs write it or without the brackets.
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        self.hosts.insert(bare.to_ascii_lowercase());
        self
    }

    /// Whether `host` (as it stands in the URL) may be reached at `address`.
    pub fn admits(&self, host: &str, address: IpAddr) -> bool {
        match Kind::of(address) {
            Kind::Public => true,
            Kind::Loopback => self.loopback,
            Kind::Private => self.hosts.contains(&host.to_ascii_lowercase()),
            Kind::Never => false,
        }
    }

    /// Whether `host` is a loopback name or address within this reach, so that plain http may be spoken to it.
    pub(super) fn is_loopback(&self, host: &url::Host<&str>) -> bool {
        self.loopback
            && match host {
                url::Host::Domain(name) => *name == "localhost",
                url::Host::Ipv4(ip) => ip.is_loopback(),
                url::Host::Ipv6(ip) => ip.is_loopback(),
            }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Public,
    Loopback,
    /// Of a private network: RFC 1918, RFC 6598 (carrier-grade NAT), RFC 4193.
    Private,
    /// Of no use to any legitimate caller, or a known way around the checks.
    Never,
}

impl Kind {
    fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => Self::of_v6(v6),
        }
    }

    /// The IANA special-purpose registry of RFC 6890, as it stood in 2026.
    fn of_v4(ip: Ipv4Addr) -> Self {
        match ip.octets() {
            [127, ..] => Self::Loopback,
            [10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] => Self::Private,
            // This network, link-local, IETF protocols, documentation, 6to4 relays, benchmarking, multicast, reserved.
            [0 | 224..=255, ..]
            | [169, 254, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18 | 19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _] => Self::Never,
            _ => Self::Public,
        }
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        match ip.segments() {
            [0, 0, 0, 0, 0, 0, 0, 1] => Self::Loopback,
            // NAT64 (RFC 6052): what stands at the other end is the embedded IPv4 address.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                match Self::of_v4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low))) {
                    Self::Public => Self::Public,
                    Self::Loopback | Self::Private | Self::Never => Self::Never,
                }
            }
            // AWS's instance services, which lie in unique-local space; then IETF protocols with Teredo,
            // documentation and 6to4, which lie within global unicast and lead elsewhere or nowhere.
            [0xfd00, 0x0ec2, ..] | [0x2001, 0..=0x01ff | 0x0db8, ..] | [0x2002, ..] | [0x3fff, 0..=0x0fff, ..] => {
                Self::Never
            }
            [0xfc00..=0xfdff, ..] => Self::Private,
            [0x2000..=0x3fff, ..] => Self::Public,
            // Mapped and compatible IPv4, link-local, multicast, everything unassigned.
            _ => Self::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(reach: &Reach, address: &str) -> bool {
        reach.admits("host.example", address.parse().unwrap())
    }

    #[test]
    fn threat_22_special_addresses_are_out_of_reach() {
        let public = Reach::public();
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.254",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.169.254",
            "169.254.170.2",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:8.8.8.8",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "fc00::1",
            "fd00:ec2::254",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "100::1",
            "5f00::1",
        ] {
            assert!(!admits(&public, address), "{address}");
        }
    }

    #[test]
    fn public_addresses_are_within_reach() {
        for address in [
            "8.8.8.8",
            "172.15.0.1",
            "172.32.0.1",
            "100.63.0.1",
            "100.128.0.1",
            "192.0.1.1",
            "198.20.0.1",
            "2600:1f18::1",
            "2a05:d018::1",
            "64:ff9b::808:808",
        ] {
            assert!(admits(&Reach::public(), address), "{address}");
        }
    }

    #[test]
    fn loopback_reach_adds_loopback_and_nothing_else() {
        let reach = Reach::public().and_loopback();
        for (address, admitted) in [
            ("127.0.0.1", true),
            ("127.8.8.8", true),
            ("::1", true),
            ("10.0.0.1", false),
            ("169.254.169.254", false),
            ("::ffff:127.0.0.1", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(admits(&reach, address), admitted, "{address}");
        }
    }

    #[test]
    fn threat_35_a_listed_host_adds_its_private_addresses_and_never_metadata() {
        let reach = Reach::public().and_host("Sts.VPCE.example");
        let admits = |host: &str, address: &str| reach.admits(host, address.parse().unwrap());
        assert!(admits("sts.vpce.example", "10.1.2.3"));
        assert!(admits("STS.vpce.example", "fd12::1"));
        assert!(!admits("other.example", "10.1.2.3"));
        assert!(!admits("sts.vpce.example", "127.0.0.1"));
        assert!(!admits("sts.vpce.example", "169.254.169.254"));
        assert!(!admits("sts.vpce.example", "fd00:ec2::254"));
        let reach = Reach::public().and_host("[fd12::1]").and_host("10.0.0.7");
        assert!(reach.admits("fd12::1", "fd12::1".parse().unwrap()));
        assert!(reach.admits("10.0.0.7", "10.0.0.7".parse().unwrap()));
    }
}
