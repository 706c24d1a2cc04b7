//! Who is asking: the address for audit rows and limits.
//!
//! A header can say anything. `X-Forwarded-For` is read only when the peer itself is a trusted proxy, and only
//! from the right: each trusted proxy appended what it saw, so the rightmost entry that is not one of them is the
//! last thing somebody trustworthy said. `Forwarded`, `X-Real-IP` and the like are never read.

use std::net::IpAddr;

use http::HeaderMap;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The client's address, a request extension that the listener sets. IPv4 in its own form, never mapped into IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// The proxies whose `X-Forwarded-For` is believed: addresses and networks; empty believes nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

/// An entry that is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("trusted proxies must be IP addresses or networks such as 10.0.0.0/8, without host bits: {0:?}")]
pub struct TrustedProxiesError(String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

impl TrustedProxies {
    /// Parses the entries: an IP address, or a network as `address/bits`. A network with host bits set is refused:
    /// it was meant to be another one.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, TrustedProxiesError> {
        let network = |entry: &str| Network::parse(entry).ok_or_else(|| TrustedProxiesError(entry.to_owned()));
        entries.into_iter().map(network).collect::<Result<_, _>>().map(Self)
    }

    /// The client behind `peer`, given the request's headers.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        // Several header lines are one list (RFC 9110, section 5.3): the last line is the rightmost part.
        let lines = headers.get_all(FORWARDED_FOR).iter().collect::<Vec<_>>();
        let entries = lines.into_iter().rev().flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        for entry in entries {
            if !self.trusts(client) {
                break;
            }
            // What is no address was not written by a proxy of ours: stop at the last thing known.
            let Some(before) = forwarded(entry.trim()) else { break };
            client = before;
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

/// One entry of the header: an address, which some proxies write with its port.
fn forwarded(entry: &str) -> Option<IpAddr> {
    let bracketed = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let address: Option<IpAddr> = entry.parse().ok();
    let with_port = || entry.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    address.or_else(bracketed).or_else(with_port).map(|address| address.to_canonical())
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().ok()?;
        let width: u32 = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => width,
            Some(bits) if bits.bytes().all(|b| b.is_ascii_digit()) => {
                bits.parse().ok().filter(|bits| *bits <= width)?
            }
            Some(_) => return None,
        };
        // `::ffff:10.0.0.0/104` is 10.0.0.0/8: addresses are compared in their canonical form.
        let network = match (address, address.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(mapped)) => Self { address: mapped.into(), bits: bits.checked_sub(96)? },
            (address, _) => Self { address, bits },
        };
        (number(network.address) == network.prefix(network.address)).then_some(network)
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.address.is_ipv4() == address.is_ipv4() && self.prefix(address) == number(self.address)
    }

    /// An address with the host's bits cleared.
    fn prefix(&self, address: IpAddr) -> u128 {
        number(address) & u128::MAX.checked_shl(128 - self.bits).unwrap_or(0)
    }
}

/// An address as a number, its first bit the highest of 128.
fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn client(proxies: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        for ignored in ["forwarded", "x-real-ip", "x-client-ip", "cf-connecting-ip", "true-client-ip"] {
            headers.insert(ignored, "203.0.113.99".parse().unwrap());
        }
        TrustedProxies::parse(proxies.iter().copied()).unwrap().client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn threat_26_the_client_is_what_the_last_trusted_hop_saw() {
        for (proxies, peer, forwarded, expected) in [
            // Nobody is trusted: the header is not read.
            (&[][..], "203.0.113.1", &["198.51.100.7"][..], "203.0.113.1"),
            (&["10.0.0.0/8"], "203.0.113.1", &["198.51.100.7"], "203.0.113.1"),
            // One proxy.
            (&["10.0.0.0/8"], "10.1.2.3", &["198.51.100.7"], "198.51.100.7"),
            (&["10.0.0.0/8"], "10.1.2.3", &[], "10.1.2.3"),
            // What the client wrote itself stands further left.
            (&["10.0.0.0/8"], "10.1.2.3", &["127.0.0.1, 198.51.100.7"], "198.51.100.7"),
            (&["10.0.0.0/8"], "10.1.2.3", &["10.9.9.9, 198.51.100.7"], "198.51.100.7"),
            // A chain of proxies, in one line and in several.
            (&["10.0.0.0/8", "192.0.2.1"], "10.1.2.3", &["198.51.100.7, 192.0.2.1, 10.4.4.4"], "198.51.100.7"),
            (&["10.0.0.0/8", "192.0.2.1"], "10.1.2.3", &["198.51.100.7", "192.0.2.1,10.4.4.4"], "198.51.100.7"),
            (&["10.0.0.0/8"], "10.1.2.3", &["203.0.113.9", "198.51.100.7"], "198.51.100.7"),
            // All are trusted: the leftmost is the client.
            (&["10.0.0.0/8"], "10.1.2.3", &["10.5.5.5, 10.4.4.4"], "10.5.5.5"),
            // What is no address ends the chain.
            (&["10.0.0.0/8"], "10.1.2.3", &["198.51.100.7, unknown"], "10.1.2.3"),
            (&["10.0.0.0/8"], "10.1.2.3", &["198.51.100.7, unknown, 10.4.4.4"], "10.4.4.4"),
            (&["10.0.0.0/8"], "10.1.2.3", &["198.51.100.7,"], "10.1.2.3"),
            (&["10.0.0.0/8"], "10.1.2.3", &["\u{e9}"], "10.1.2.3"),
            // Spellings of addresses.
            (&["10.0.0.0/8"], "::ffff:10.1.2.3", &["::ffff:198.51.100.7"], "198.51.100.7"),
            (&["::ffff:10.0.0.0/104"], "10.1.2.3", &["198.51.100.7:4711"], "198.51.100.7"),
            (&["fd00::/8"], "fd00::1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            (&["fd00::/8"], "fd00::1", &["[2001:db8::7]"], "2001:db8::7"),
            (&["2001:db8::1"], "2001:db8::1", &["2001:db8::7"], "2001:db8::7"),
            (&["0.0.0.0/0"], "203.0.113.1", &["2001:db8::7"], "2001:db8::7"),
            (&["0.0.0.0/0"], "2001:db8::1", &["198.51.100.7"], "2001:db8::1"),
        ] {
            assert_eq!(client(proxies, peer, forwarded), expected, "{proxies:?} {peer} {forwarded:?}");
        }
    }

    #[test]
    fn an_entry_that_is_no_network_is_refused() {
        for bad in [
            "",
            "proxy",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "10.0.0.1/8",
            "10.0.0/8",
            "::1/129",
            "::ffff:10.0.0.0/8",
            "10.0.0.0/8 ",
        ] {
            assert_eq!(TrustedProxies::parse([bad]), Err(TrustedProxiesError(bad.to_owned())), "{bad:?}");
        }
        assert!(TrustedProxies::parse(["::1", "::/0", "10.0.0.0/8", "127.0.0.1/32"]).is_ok());
    }

    proptest! {
        #[test]
        fn threat_26_whatever_stands_left_of_an_untrusted_entry_changes_nothing(left in "[ -~]{0,60}", client_address: std::net::Ipv4Addr) {
            prop_assume!(client_address.octets()[0] != 10);
            let plain = client(&["10.0.0.0/8"], "10.1.2.3", &[&client_address.to_string()]);
            let forged = client(&["10.0.0.0/8"], "10.1.2.3", &[&format!("{left},{client_address}")]);
            prop_assert_eq!(&plain, &forged);
            prop_assert_eq!(plain, client_address.to_string());
        }
    }
}
