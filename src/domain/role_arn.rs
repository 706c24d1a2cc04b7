//! IAM role ARNs, checked part by part with one message per fault.

use std::fmt;

use super::region::{Partition, Region};

/// Most characters of a role ARN (STS `RoleArn`).
pub const ROLE_ARN_MAX: usize = 2048;
/// Most characters of a role's path, both slashes included (IAM).
pub const ROLE_PATH_MAX: usize = 512;
/// Most characters of a role's name (IAM).
pub const ROLE_NAME_MAX: usize = 64;

/// The ARN of an IAM role: `arn:<partition>:iam::<account>:role/[<path>/]<name>`, kept as given and
/// compared byte for byte, as STS does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleArn {
    text: Box<str>,
    partition: Partition,
    name_at: usize,
}

/// What is wrong with a text that should be a role ARN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoleArnError {
    /// Longer than [`ROLE_ARN_MAX`].
    #[error("must have at most 2048 characters")]
    Length,
    /// Not six parts with `arn` before them.
    #[error("must have six parts divided by ':', as in arn:aws:iam::111122223333:role/name")]
    Parts,
    /// The partition is not one of AWS's.
    #[error("partition must be aws, aws-cn, aws-us-gov, aws-eusc, aws-iso, aws-iso-b, aws-iso-e or aws-iso-f")]
    Partition,
    /// The service is not `iam`.
    #[error("service must be iam (an assumed-role session of sts is not a role)")]
    Service,
    /// The region part is filled.
    #[error("region must be empty: IAM is global")]
    Region,
    /// The account is not 12 digits.
    #[error("account must be 12 digits")]
    Account,
    /// The resource is not a role.
    #[error("resource must begin with role/")]
    Resource,
    /// The path is too long or holds a character outside IAM's set, or `*`, `?`, `:`, `;` or an empty segment.
    #[error("path must be at most 512 printable ASCII characters without ':', ';', '*', '?', spaces or empty segments")]
    Path,
    /// The name is empty, too long or holds a character outside `[A-Za-z0-9_+=,.@-]`.
    #[error("name must be 1 to 64 characters of A-Z, a-z, 0-9 and _+=,.@-")]
    Name,
}

impl RoleArn {
    /// Checks `text` part by part and keeps it unchanged.
    pub fn parse(text: &str) -> Result<Self, RoleArnError> {
        if text.len() > ROLE_ARN_MAX {
            return Err(RoleArnError::Length);
        }
        let mut parts = text.splitn(6, ':');
        let mut part = || parts.next().ok_or(RoleArnError::Parts);
        let (scheme, partition, service, region, account, resource) =
            (part()?, part()?, part()?, part()?, part()?, part()?);
        if scheme != "arn" {
            return Err(RoleArnError::Parts);
        }
        let partition = Partition::parse(partition).ok_or(RoleArnError::Partition)?;
        if service != "iam" {
            return Err(RoleArnError::Service);
        }
        if !region.is_empty() {
            return Err(RoleArnError::Region);
        }
        if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
            return Err(RoleArnError::Account);
        }
        let path_and_name = resource.strip_prefix("role/").ok_or(RoleArnError::Resource)?;
        let name_in = path_and_name.rfind('/').map_or(0, |slash| slash + 1);
        let (path, name) = path_and_name.split_at(name_in);
        check_path(path)?;
        check_name(name)?;
        Ok(Self { text: text.into(), partition, name_at: text.len() - name.len() })
    }

    /// The text, as given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The partition.
    pub const fn partition(&self) -> Partition {
        self.partition
    }

    /// The 12-digit account.
    pub fn account(&self) -> &str {
        self.text.split(':').nth(4).unwrap_or_default()
    }

    /// The role's name, without its path.
    pub fn name(&self) -> &str {
        &self.text[self.name_at..]
    }

    /// Whether STS and Bedrock of `region` lie in this role's partition.
    pub fn is_reachable_from(&self, region: &Region) -> bool {
        self.partition == region.partition()
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// `path` is empty or `segment/…/segment/`; with the slash before it IAM counts one character more.
fn check_path(path: &str) -> Result<(), RoleArnError> {
    let segment = |segment: &str| {
        !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b':' | b';' | b'*' | b'?'))
    };
    match path.strip_suffix('/') {
        None if path.is_empty() => Ok(()),
        Some(segments) if path.len() < ROLE_PATH_MAX && segments.split('/').all(segment) => Ok(()),
        _ => Err(RoleArnError::Path),
    }
}

fn check_name(name: &str) -> Result<(), RoleArnError> {
    let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'=' | b',' | b'.' | b'@' | b'-');
    if (1..=ROLE_NAME_MAX).contains(&name.len()) && name.bytes().all(ok) { Ok(()) } else { Err(RoleArnError::Name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_per_fault() {
        let long_path = format!("arn:aws:iam::111122223333:role/{}/n", "p".repeat(511));
        let long_name = format!("arn:aws:iam::111122223333:role/{}", "n".repeat(65));
        let long = format!("arn:aws:iam::111122223333:role/{}", "a/".repeat(1100));
        for (text, error) in [
            ("", RoleArnError::Parts),
            ("role/x", RoleArnError::Parts),
            ("ARN:aws:iam::111122223333:role/x", RoleArnError::Parts),
            (" arn:aws:iam::111122223333:role/x", RoleArnError::Parts),
            ("arn:amazon:iam::111122223333:role/x", RoleArnError::Partition),
            ("arn:aws:sts::111122223333:assumed-role/x/y", RoleArnError::Service),
            ("arn:aws:iam:us-east-1:111122223333:role/x", RoleArnError::Region),
            ("arn:aws:iam::11112222333:role/x", RoleArnError::Account),
            ("arn:aws:iam::*:role/x", RoleArnError::Account),
            ("arn:aws:iam::111122223333:user/x", RoleArnError::Resource),
            ("arn:aws:iam::111122223333:role", RoleArnError::Resource),
            ("arn:aws:iam::111122223333:role//x", RoleArnError::Path),
            ("arn:aws:iam::111122223333:role/a:b/x", RoleArnError::Path),
            ("arn:aws:iam::111122223333:role/a;b/x", RoleArnError::Path),
            ("arn:aws:iam::111122223333:role/*/x", RoleArnError::Path),
            (long_path.as_str(), RoleArnError::Path),
            ("arn:aws:iam::111122223333:role/", RoleArnError::Name),
            ("arn:aws:iam::111122223333:role/a/", RoleArnError::Name),
            ("arn:aws:iam::111122223333:role/x;arn:aws:iam::1:role/y", RoleArnError::Path),
            ("arn:aws:iam::111122223333:role/*", RoleArnError::Name),
            ("arn:aws:iam::111122223333:role/x y", RoleArnError::Name),
            ("arn:aws:iam::111122223333:role/x\n", RoleArnError::Name),
            (long_name.as_str(), RoleArnError::Name),
            (long.as_str(), RoleArnError::Length),
        ] {
            assert_eq!(RoleArn::parse(text).map(|a| a.to_string()), Err(error), "{text:?}");
        }
    }

    #[test]
    fn its_parts() {
        let arn = RoleArn::parse("arn:aws-us-gov:iam::111122223333:role/team/a/Bedrock_User+1").unwrap();
        assert_eq!(
            (arn.account(), arn.name(), arn.partition()),
            ("111122223333", "Bedrock_User+1", Partition::AwsUsGov)
        );
        assert!(arn.is_reachable_from(&Region::parse("us-gov-west-1").unwrap()));
        assert!(!arn.is_reachable_from(&Region::parse("us-east-1").unwrap()));
    }
}
