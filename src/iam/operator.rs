//! Condition operators: `[ForAllValues:|ForAnyValue:]<comparison>[IfExists]`.

use std::fmt;

/// A condition operator of a policy. Source: IAM User Guide, "Policy elements: Condition operators".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Operator {
    /// How a key with several values is read.
    pub quantifier: Option<Quantifier>,
    /// What is compared, and how.
    pub comparison: Comparison,
    /// Whether the condition holds when the key is absent.
    pub if_exists: bool,
}

/// How a key with several values is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantifier {
    /// `ForAllValues`: every value of the request must match; holds without any.
    ForAllValues,
    /// `ForAnyValue`: at least one value of the request must match.
    ForAnyValue,
}

macro_rules! comparisons {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {
        /// What is compared, and how.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Comparison { $($(#[$doc])* $name),+ }

        impl Comparison {
            /// Every comparison there is.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The name in a policy.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }
        }
    };
}

comparisons! {
    /// Equal, with case.
    StringEquals,
    /// Not equal, with case.
    StringNotEquals,
    /// Equal, without case.
    StringEqualsIgnoreCase,
    /// Not equal, without case.
    StringNotEqualsIgnoreCase,
    /// With wildcards.
    StringLike,
    /// Not, with wildcards.
    StringNotLike,
    /// Equal numbers.
    NumericEquals,
    /// Different numbers.
    NumericNotEquals,
    /// A smaller number.
    NumericLessThan,
    /// A smaller number or the same.
    NumericLessThanEquals,
    /// A greater number.
    NumericGreaterThan,
    /// A greater number or the same.
    NumericGreaterThanEquals,
    /// The same instant.
    DateEquals,
    /// Another instant.
    DateNotEquals,
    /// Earlier.
    DateLessThan,
    /// Earlier or the same instant.
    DateLessThanEquals,
    /// Later.
    DateGreaterThan,
    /// Later or the same instant.
    DateGreaterThanEquals,
    /// `true` or `false`.
    Bool,
    /// Equal base64 texts.
    BinaryEquals,
    /// Within an address range.
    IpAddress,
    /// Outside an address range.
    NotIpAddress,
    /// Part by part, with wildcards (the same as `ArnLike`).
    ArnEquals,
    /// Part by part, with wildcards.
    ArnLike,
    /// Not, part by part, with wildcards.
    ArnNotEquals,
    /// Not, part by part, with wildcards.
    ArnNotLike,
    /// `true`: the key is absent; `false`: it is there.
    Null,
}

impl Comparison {
    /// Whether it holds when nothing matches; such a comparison holds for an absent key too.
    pub const fn is_negated(self) -> bool {
        matches!(
            self,
            Self::StringNotEquals
                | Self::StringNotEqualsIgnoreCase
                | Self::StringNotLike
                | Self::NumericNotEquals
                | Self::DateNotEquals
                | Self::NotIpAddress
                | Self::ArnNotEquals
                | Self::ArnNotLike
        )
    }
}

impl Operator {
    /// The plain operator of a comparison.
    pub const fn new(comparison: Comparison) -> Self {
        Self { quantifier: None, comparison, if_exists: false }
    }

    /// Reads an operator's name, with case as IAM writes it.
    pub fn parse(text: &str) -> Option<Self> {
        let (quantifier, rest) = match text.split_once(':') {
            Some(("ForAllValues", rest)) => (Some(Quantifier::ForAllValues), rest),
            Some(("ForAnyValue", rest)) => (Some(Quantifier::ForAnyValue), rest),
            Some(_) => return None,
            None => (None, text),
        };
        let (name, if_exists) = match rest.strip_suffix("IfExists") {
            Some(name) => (name, true),
            None => (rest, false),
        };
        let comparison = *Comparison::ALL.iter().find(|comparison| comparison.as_str() == name)?;
        let sensible = comparison != Comparison::Null || (!if_exists && quantifier.is_none());
        sensible.then_some(Self { quantifier, comparison, if_exists })
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.quantifier {
            Some(Quantifier::ForAllValues) => "ForAllValues:",
            Some(Quantifier::ForAnyValue) => "ForAnyValue:",
            None => "",
        })?;
        f.write_str(self.comparison.as_str())?;
        f.write_str(if self.if_exists { "IfExists" } else { "" })
    }
}

impl serde::Serialize for Operator {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for &comparison in Comparison::ALL {
            for name in [comparison.as_str().to_owned(), format!("ForAnyValue:{}IfExists", comparison.as_str())] {
                let read = Operator::parse(&name).map(|operator| operator.to_string());
                let sensible = name == "Null" || comparison != Comparison::Null;
                assert_eq!(read, sensible.then_some(name));
            }
        }
        for text in ["", "stringequals", "StringEqualsIfExistsIfExists", "ForAll:StringLike", "Equals", "NullIfExists"]
        {
            assert_eq!(Operator::parse(text), None, "{text}");
        }
    }
}
