//! AWS partitions and regions.

use std::fmt;

/// An AWS partition, as it stands in ARNs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Partition {
    /// Commercial regions.
    Aws,
    /// China.
    AwsCn,
    /// GovCloud (US).
    AwsUsGov,
    /// European Sovereign Cloud.
    AwsEusc,
    /// Isolated partition `aws-iso`.
    AwsIso,
    /// Isolated partition `aws-iso-b`.
    AwsIsoB,
    /// Isolated partition `aws-iso-e`.
    AwsIsoE,
    /// Isolated partition `aws-iso-f`.
    AwsIsoF,
}

impl Partition {
    /// Every partition there is (botocore's partitions data).
    pub const ALL: [Self; 8] = [
        Self::Aws,
        Self::AwsCn,
        Self::AwsUsGov,
        Self::AwsEusc,
        Self::AwsIso,
        Self::AwsIsoB,
        Self::AwsIsoE,
        Self::AwsIsoF,
    ];

    /// The second part of an ARN.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::AwsCn => "aws-cn",
            Self::AwsUsGov => "aws-us-gov",
            Self::AwsEusc => "aws-eusc",
            Self::AwsIso => "aws-iso",
            Self::AwsIsoB => "aws-iso-b",
            Self::AwsIsoE => "aws-iso-e",
            Self::AwsIsoF => "aws-iso-f",
        }
    }

    /// The domain of the regional endpoints: `sts.<region>.<suffix>`.
    pub const fn dns_suffix(self) -> &'static str {
        match self {
            Self::Aws | Self::AwsUsGov => "amazonaws.com",
            Self::AwsCn => "amazonaws.com.cn",
            Self::AwsEusc => "amazonaws.eu",
            Self::AwsIso => "c2s.ic.gov",
            Self::AwsIsoB => "sc2s.sgov.gov",
            Self::AwsIsoE => "cloud.adc-e.uk",
            Self::AwsIsoF => "csp.hci.ic.gov",
        }
    }

    const fn region_prefixes(self) -> &'static [&'static str] {
        match self {
            Self::Aws => &["us", "eu", "ap", "sa", "ca", "me", "af", "il", "mx"],
            Self::AwsCn => &["cn"],
            Self::AwsUsGov => &["us-gov"],
            Self::AwsEusc => &["eusc-de"],
            Self::AwsIso => &["us-iso"],
            Self::AwsIsoB => &["us-isob"],
            Self::AwsIsoE => &["eu-isoe"],
            Self::AwsIsoF => &["us-isof"],
        }
    }

    /// The partition of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|partition| partition.as_str() == text)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An AWS region of a known partition, such as `eu-central-1`. It becomes part of a host name, so the
/// pattern is strict: prefix of the partition, one word of letters, a number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Region(Box<str>, Partition);

/// A text that is no region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be an AWS region of a known partition, such as eu-central-1")]
pub struct RegionError;

impl Region {
    /// Takes `text` for a region and tells its partition.
    pub fn parse(text: &str) -> Result<Self, RegionError> {
        let (head, number) = text.rsplit_once('-').ok_or(RegionError)?;
        let (prefix, word) = head.rsplit_once('-').ok_or(RegionError)?;
        let number_ok = (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
        let word_ok = (1..=16).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase());
        let partition = Partition::ALL
            .into_iter()
            .find(|partition| partition.region_prefixes().contains(&prefix))
            .filter(|_| number_ok && word_ok)
            .ok_or(RegionError)?;
        Ok(Self(text.into(), partition))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The partition it lies in.
    pub const fn partition(&self) -> Partition {
        self.1
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_tell_their_partition() {
        for (text, partition) in [
            ("us-east-1", Partition::Aws),
            ("ap-southeast-4", Partition::Aws),
            ("cn-northwest-1", Partition::AwsCn),
            ("us-gov-west-1", Partition::AwsUsGov),
            ("eusc-de-east-1", Partition::AwsEusc),
            ("us-iso-east-1", Partition::AwsIso),
            ("us-isob-east-1", Partition::AwsIsoB),
            ("eu-isoe-west-1", Partition::AwsIsoE),
            ("us-isof-south-1", Partition::AwsIsoF),
        ] {
            assert_eq!(Region::parse(text).map(|r| r.partition()), Ok(partition), "{text}");
        }
    }

    #[test]
    fn threat_35_nothing_else_becomes_part_of_a_host_name() {
        for text in [
            "",
            "us",
            "us-east",
            "us-east-",
            "us-east-x",
            "us-east-123",
            "US-EAST-1",
            "us-east-1.evil.example",
            "us-east-1/",
            "us-east-1@evil",
            "evil.example/us-east-1",
            "us-east-1 ",
            "xx-east-1",
            "us-ea.st-1",
            "us--1",
        ] {
            assert_eq!(Region::parse(text), Err(RegionError), "{text:?}");
        }
    }
}
