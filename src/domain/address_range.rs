//! Ranges of client addresses.

use std::fmt;
use std::net::IpAddr;

/// A text that is no range, with the rule it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressRangeError {
    /// Not an address, or not one and a prefix length.
    #[error("must be an IPv4 or IPv6 address, alone or with /<prefix length>, such as 10.0.0.0/8")]
    Form,
    /// The prefix is longer than the address.
    #[error("must have a prefix length of at most 32 (IPv4) or 128 (IPv6)")]
    Length,
    /// More of the address is given than the prefix keeps: somebody meant another range.
    #[error("must have no bits set behind the prefix")]
    HostBits,
    /// `::ffff:0:0/96`: clients over IPv4 are seen as IPv4.
    #[error("must name IPv4 addresses as IPv4, not mapped into IPv6")]
    Mapped,
}

/// A range of addresses in CIDR form (RFC 4632, RFC 4291 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AddressRange {
    network: IpAddr,
    length: u32,
}

impl AddressRange {
    /// Reads `<address>` or `<address>/<length>`.
    pub fn parse(text: &str) -> Result<Self, AddressRangeError> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let network: IpAddr = address.parse().map_err(|_| AddressRangeError::Form)?;
        if network.to_canonical() != network {
            return Err(AddressRangeError::Mapped);
        }
        let width = width(network);
        let length = match length {
            None => width,
            // Digits only: the parser of numbers would take a sign.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| AddressRangeError::Form)?
            }
            Some(_) => return Err(AddressRangeError::Form),
        };
        if length > width {
            return Err(AddressRangeError::Length);
        }
        let range = Self { network, length };
        if range.kept(network) == bits(network) { Ok(range) } else { Err(AddressRangeError::HostBits) }
    }

    /// Whether `address` lies in the range. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4() && self.kept(address) == bits(self.network)
    }

    /// The bits of `address` that the prefix keeps.
    fn kept(&self, address: IpAddr) -> u128 {
        let cut = width(self.network) - self.length;
        bits(address).checked_shr(cut).and_then(|bits| bits.checked_shl(cut)).unwrap_or(0)
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

const fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_its_addresses_and_no_others() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", vec!["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"], vec!["11.0.0.0", "::10.0.0.1"]),
            ("192.0.2.7", vec!["192.0.2.7"], vec!["192.0.2.8", "::c000:207"]),
            ("0.0.0.0/0", vec!["1.2.3.4"], vec!["::1", "2001:db8::1"]),
            ("2001:db8::/32", vec!["2001:db8:ffff::1"], vec!["2001:db9::", "32.1.13.184"]),
            ("::/0", vec!["::1"], vec!["1.2.3.4", "::ffff:1.2.3.4"]),
        ] {
            let range = AddressRange::parse(range).unwrap();
            assert!(inside.iter().all(|address| range.contains(address.parse().unwrap())), "{range}");
            assert!(!outside.iter().any(|address| range.contains(address.parse().unwrap())), "{range}");
            assert_eq!(AddressRange::parse(&range.to_string()), Ok(range));
        }
        for (bad, error) in [
            ("", AddressRangeError::Form),
            ("10.0.0.0/", AddressRangeError::Form),
            ("10.0.0.0/+8", AddressRangeError::Form),
            ("10.0.0/8", AddressRangeError::Form),
            ("010.0.0.0/8", AddressRangeError::Form),
            ("10.0.0.0/8/8", AddressRangeError::Form),
            ("example.com", AddressRangeError::Form),
            ("10.0.0.0/33", AddressRangeError::Length),
            ("::/129", AddressRangeError::Length),
            ("10.0.0.1/8", AddressRangeError::HostBits),
            ("2001:db8::1/32", AddressRangeError::HostBits),
            ("::ffff:10.0.0.0/104", AddressRangeError::Mapped),
        ] {
            assert_eq!(AddressRange::parse(bad), Err(error), "{bad}");
        }
    }
}
