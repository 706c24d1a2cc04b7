//! Lists of addresses and URLs that the operator names.

use std::net::IpAddr;

use super::env;
use super::setting::{Given, SettingError};

/// Checks one entry of the trusted proxies: an IP address, or a network as `address/bits`.
pub(super) fn parse(text: &str) -> Result<String, &'static str> {
    const RULE: &str = "must list IP addresses or networks, such as 10.0.0.0/8";
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().map_err(|_| RULE)?;
    let most: u8 = if address.is_ipv4() { 32 } else { 128 };
    match bits.map(str::parse::<u8>) {
        None => Ok(text.to_owned()),
        Some(Ok(bits)) if bits <= most => Ok(text.to_owned()),
        Some(_) => Err(RULE),
    }
}

/// The operator's list of endpoints: exact URLs, without trailing slash.
pub(super) fn allowed_endpoints(given: &Given) -> Result<Vec<String>, SettingError> {
    given.list(&env::ALLOWED_ENDPOINTS, |text| {
        let scheme = text.starts_with("https://") || text.starts_with("http://");
        let plain = text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'@' | b'?' | b'#'));
        if scheme && plain && !text.ends_with('/') {
            Ok(text.to_owned())
        } else {
            Err("must list http or https URLs without user, query, fragment or trailing slash")
        }
    })
}
