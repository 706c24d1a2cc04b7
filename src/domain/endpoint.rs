//! AWS endpoints that a team's settings may name.

use std::fmt;

use super::region::{Partition, Region};

/// Most characters of an endpoint URL.
pub const ENDPOINT_MAX: usize = 255;

/// Where STS or Bedrock is called instead of the regional default: `https://host[/path]` at a name of AWS's
/// own (`*.amazonaws.com` and its siblings in other partitions, `*.api.aws`, VPC endpoints among them), or a URL that the operator listed for
/// exactly this use. It receives members' tokens and prompts, so nothing else is taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint(Box<str>);

/// Which rule a text breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Longer than [`ENDPOINT_MAX`].
    #[error("must have at most 255 characters")]
    Length,
    /// Not plain https, and not listed.
    #[error("must be an https URL of host and path only (no user, port, query or fragment)")]
    Form,
    /// Not a name of AWS's own, and not listed.
    #[error("must be an AWS endpoint name, or one that the operator listed in BREVET_ALLOWED_ENDPOINTS")]
    Host,
}

impl Endpoint {
    /// Checks `text` against AWS's names and the operator's list (exact texts, without trailing slash).
    pub fn parse(text: &str, listed: &[String]) -> Result<Self, EndpointError> {
        if text.len() > ENDPOINT_MAX {
            return Err(EndpointError::Length);
        }
        if listed.iter().any(|entry| entry == text) {
            return Ok(Self(text.into()));
        }
        let rest = text.strip_prefix("https://").ok_or(EndpointError::Form)?;
        let (host, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let in_host = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
        let in_path = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'/' | b'.' | b'_' | b'-');
        if !host.bytes().all(in_host) || !path.bytes().all(in_path) || path.ends_with('/') || path.contains("..") {
            return Err(EndpointError::Form);
        }
        let aws = Partition::ALL.iter().any(|partition| is_below(host, partition.dns_suffix()));
        if aws || is_below(host, "api.aws") { Ok(Self(text.into())) } else { Err(EndpointError::Host) }
    }

    /// The text, without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether `host` is a proper subdomain of `suffix`, with a service name that AWS alone hands out.
/// Customer-controlled names live below the same suffixes (buckets, functions, load balancers), so only
/// the service labels that these settings can mean are taken.
fn is_below(host: &str, suffix: &str) -> bool {
    let Some(labels) = host.strip_suffix(suffix).and_then(|head| head.strip_suffix('.')) else { return false };
    let labels: Vec<&str> = labels.split('.').collect();
    // A bucket may be called `bedrock-runtime`, and `s3` is no region.
    let region = |label: &str| Region::parse(label).is_ok();
    let service = |label: &str| matches!(label, "sts" | "sts-fips" | "bedrock-runtime" | "bedrock-runtime-fips");
    match labels.as_slice() {
        [name] => *name == "sts",
        [name, at] => service(name) && region(at),
        // vpce-0123abcd-xyz.bedrock-runtime.us-east-1.vpce.amazonaws.com
        [id, name, at, "vpce"] => id.starts_with("vpce-") && service(name) && region(at),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_35_only_names_of_aws_or_of_the_operator_are_taken() {
        for good in [
            "https://sts.amazonaws.com",
            "https://sts.eu-central-1.amazonaws.com",
            "https://sts-fips.us-east-1.amazonaws.com",
            "https://bedrock-runtime.us-east-1.amazonaws.com",
            "https://bedrock-runtime.us-east-1.api.aws",
            "https://sts.cn-north-1.amazonaws.com.cn",
            "https://vpce-0abc-xyz.bedrock-runtime.us-east-1.vpce.amazonaws.com",
        ] {
            assert_eq!(Endpoint::parse(good, &[]).map(|e| e.to_string()).as_deref(), Ok(good));
        }
        for (bad, error) in [
            ("", EndpointError::Form),
            ("http://sts.amazonaws.com", EndpointError::Form),
            ("https://sts.amazonaws.com:8443", EndpointError::Form),
            ("https://sts.amazonaws.com@evil.example", EndpointError::Form),
            ("https://evil.example#.amazonaws.com", EndpointError::Form),
            ("https://sts.amazonaws.com/", EndpointError::Form),
            ("https://STS.amazonaws.com", EndpointError::Form),
            ("https://169.254.169.254", EndpointError::Host),
            ("https://localhost", EndpointError::Host),
            ("https://evil.example", EndpointError::Host),
            ("https://amazonaws.com", EndpointError::Host),
            ("https://sts.amazonaws.com.evil.example", EndpointError::Host),
            ("https://evilamazonaws.com", EndpointError::Host),
            ("https://bucket.s3.us-east-1.amazonaws.com", EndpointError::Host),
            ("https://bedrock-runtime.s3.amazonaws.com", EndpointError::Host),
            ("https://sts.s3-us-west-2.amazonaws.com", EndpointError::Host),
            ("https://vpce-0abc.sts.s3.vpce.amazonaws.com", EndpointError::Host),
            ("https://abc.execute-api.us-east-1.amazonaws.com", EndpointError::Host),
            ("https://my-lb.us-east-1.elb.amazonaws.com", EndpointError::Host),
            ("https://vpce-svc-0a.evil.us-east-1.vpce.amazonaws.com", EndpointError::Host),
            ("http://127.0.0.1:4566", EndpointError::Form),
        ] {
            assert_eq!(Endpoint::parse(bad, &[]), Err(error), "{bad:?}");
        }
        let listed = ["http://127.0.0.1:4566".to_owned()];
        assert!(Endpoint::parse("http://127.0.0.1:4566", &listed).is_ok());
        assert_eq!(Endpoint::parse("http://127.0.0.1:4566/x", &listed), Err(EndpointError::Form));
    }
}
