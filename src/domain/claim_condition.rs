//! What a claim of a foreign token must say.

use std::fmt;

use serde_json::{Map, Value};

/// Most characters of a claim's path, of a value and of a pattern.
pub const CONDITION_TEXT_MAX: usize = 500;
/// Longest value, in bytes, that a pattern is compared with. A token may be far longer than anything that an issuer
/// writes into one claim, and its sender chooses how much of it is one value.
pub const PATTERN_VALUE_MAX: usize = 1000;
/// Most levels of objects that a path goes down.
const DEPTH_MAX: usize = 6;
/// Most stars of one pattern.
const STARS_MAX: usize = 8;
/// What every rule checks by itself, or what changes with every token.
const REGISTERED: [&str; 6] = ["iss", "aud", "exp", "nbf", "iat", "jti"];

/// Where in a token's claims a value stands: the name of a claim, or a JSON pointer (RFC 6901, it begins with `/`)
/// to a member of nested objects, such as `/kubernetes.io/serviceaccount/name`. Elements of arrays have no path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath {
    text: Box<str>,
    names: Box<[String]>,
}

/// Why a condition is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// Empty, too long or with control characters.
    #[error("must have 1 to 500 characters, none of them a control character")]
    Text,
    /// A pointer with an empty name, a bad escape or too many levels.
    #[error("must be a claim's name, or a JSON pointer such as /kubernetes.io/namespace of at most 6 names")]
    Pointer,
    /// A registered claim that conditions cannot be about.
    #[error("must not be iss, aud, exp, nbf, iat or jti, which every rule checks by itself")]
    Registered,
    /// A pattern that begins with a star or has too many.
    #[error("must begin with another character than '*' and have at most 8 of them, no two side by side")]
    Stars,
}

impl ClaimPath {
    /// Takes `text` for a path.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        check_text(text)?;
        let names = match text.strip_prefix('/') {
            None => vec![text.to_owned()],
            Some(rest) => rest.split('/').map(unescape).collect::<Option<_>>().ok_or(ConditionError::Pointer)?,
        };
        if names.len() > DEPTH_MAX || names.iter().any(String::is_empty) {
            return Err(ConditionError::Pointer);
        }
        if names.len() == 1 && REGISTERED.contains(&names[0].as_str()) {
            return Err(ConditionError::Registered);
        }
        Ok(Self { text: text.into(), names: names.into() })
    }

    /// The text, as given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is the top-level claim `name`.
    pub fn is(&self, name: &str) -> bool {
        matches!(&*self.names, [only] if only == name)
    }

    fn find<'a>(&self, claims: &'a Map<String, Value>) -> Option<&'a Value> {
        let (first, deeper) = self.names.split_first()?;
        deeper.iter().try_fold(claims.get(first)?, |value, name| value.as_object()?.get(name))
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// One name of a pointer (RFC 6901, section 4); `None` where `~` is followed by anything but `0` or `1`.
fn unescape(name: &str) -> Option<String> {
    let mut parts = name.split('~');
    let mut plain = parts.next()?.to_owned();
    for part in parts {
        let (escaped, rest) = (part.chars().next()?, part.get(1..)?);
        plain.push(match escaped {
            '0' => '~',
            '1' => '/',
            _ => return None,
        });
        plain.push_str(rest);
    }
    Some(plain)
}

/// What a value must be. Nothing is converted: the text `"1"` is not the number 1, and a list that holds the value is
/// not the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Exactly this text.
    Text(String),
    /// Exactly this integer.
    Integer(i64),
    /// Exactly this.
    Flag(bool),
    /// A text of this form.
    Pattern(Pattern),
}

impl Expected {
    /// Checks a text that a claim must be equal to.
    pub fn text(text: &str) -> Result<Self, ConditionError> {
        check_text(text).map(|()| Self::Text(text.to_owned()))
    }

    fn admits(&self, value: &Value) -> bool {
        match self {
            Self::Text(text) => value.as_str() == Some(text),
            Self::Integer(number) => value.as_i64() == Some(*number),
            Self::Flag(flag) => value.as_bool() == Some(*flag),
            Self::Pattern(pattern) => value.as_str().is_some_and(|text| pattern.matches(text)),
        }
    }
}

/// A text with stars, compared with the whole of a value. A star stands for one or more characters of one segment: it
/// never matches `/` or `:`, between which every known issuer writes what its users choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(Box<str>);

impl Pattern {
    /// Takes `text` for a pattern. It begins with what it knows: a leading star would take any owner's name.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        check_text(text)?;
        let stars = text.bytes().filter(|b| *b == b'*').count();
        if text.starts_with('*') || text.contains("**") || stars > STARS_MAX {
            return Err(ConditionError::Stars);
        }
        Ok(Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the whole of `text` fits. A text of more than [`PATTERN_VALUE_MAX`] bytes fits no pattern.
    pub fn matches(&self, text: &str) -> bool {
        if text.len() > PATTERN_VALUE_MAX {
            return false;
        }
        let text: Vec<char> = text.chars().collect();
        // Which beginnings of `text` fit the part of the pattern that is read. Work is the product of the two lengths,
        // at most CONDITION_TEXT_MAX times PATTERN_VALUE_MAX steps, whatever the pattern; room is the longer text.
        let mut fits = vec![false; text.len() + 1];
        fits[0] = true;
        for wanted in self.0.chars() {
            let before = std::mem::replace(&mut fits, vec![false; text.len() + 1]);
            for (at, found) in text.iter().enumerate() {
                fits[at + 1] = match wanted {
                    '*' => !matches!(found, '/' | ':') && !found.is_control() && (before[at] || fits[at]),
                    literal => *found == literal && before[at],
                };
            }
        }
        fits[text.len()]
    }
}

/// One thing that a token must say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Where.
    pub claim: ClaimPath,
    /// What.
    pub expected: Expected,
}

impl Condition {
    /// Whether `claims` say it. An absent claim says nothing.
    pub fn holds(&self, claims: &Map<String, Value>) -> bool {
        self.claim.find(claims).is_some_and(|value| self.expected.admits(value))
    }
}

fn check_text(text: &str) -> Result<(), ConditionError> {
    let length = (1..=CONDITION_TEXT_MAX).contains(&text.chars().count());
    if length && !text.chars().any(char::is_control) { Ok(()) } else { Err(ConditionError::Text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn condition(claim: &str, expected: Expected) -> Condition {
        Condition { claim: ClaimPath::parse(claim).unwrap(), expected }
    }

    fn claims() -> Map<String, Value> {
        let claims = json!({
            "sub": "system:serviceaccount:prod:agent",
            "repository_owner_id": "1234",
            "runner_id": 7,
            "fork": false,
            "none": null,
            "list": ["1234"],
            "kubernetes.io": { "namespace": "prod", "serviceaccount": { "uid": "u-1" } },
            "https://example.com/claim": "x",
            "a/b": { "~": "y" },
        });
        claims.as_object().unwrap().clone()
    }

    #[test]
    fn a_condition_takes_its_one_value_and_no_near_miss() {
        let text = |text| Expected::text(text).unwrap();
        for (claim, expected, holds) in [
            ("sub", text("system:serviceaccount:prod:agent"), true),
            ("/sub", text("system:serviceaccount:prod:agent"), true),
            ("sub", text("system:serviceaccount:prod:agen"), false),
            ("sub", text("system:serviceaccount:prod:agent2"), false),
            ("sub", text("system:serviceaccount:PROD:agent"), false),
            ("Sub", text("system:serviceaccount:prod:agent"), false),
            ("repository_owner_id", text("1234"), true),
            ("repository_owner_id", Expected::Integer(1234), false),
            ("runner_id", Expected::Integer(7), true),
            ("runner_id", text("7"), false),
            ("fork", Expected::Flag(false), true),
            ("fork", text("false"), false),
            ("fork", Expected::Integer(0), false),
            ("none", text("null"), false),
            ("absent", Expected::Flag(false), false),
            ("list", text("1234"), false),
            ("/list/0", text("1234"), false),
            ("/kubernetes.io/namespace", text("prod"), true),
            ("kubernetes.io.namespace", text("prod"), false),
            ("kubernetes.io/namespace", text("prod"), false),
            ("/kubernetes.io/serviceaccount/uid", text("u-1"), true),
            ("/kubernetes.io/serviceaccount", text("u-1"), false),
            ("/kubernetes.io/namespace/uid", text("prod"), false),
            ("https://example.com/claim", text("x"), true),
            ("/a~1b/~0", text("y"), true),
        ] {
            assert_eq!(condition(claim, expected.clone()).holds(&claims()), holds, "{claim} {expected:?}");
        }
    }

    #[test]
    fn a_path_that_cannot_be_meant_is_refused() {
        for (bad, error) in [
            ("", ConditionError::Text),
            ("a\0", ConditionError::Text),
            (&"a".repeat(501), ConditionError::Text),
            ("/", ConditionError::Pointer),
            ("/a/", ConditionError::Pointer),
            ("//a", ConditionError::Pointer),
            ("/a~", ConditionError::Pointer),
            ("/a~2", ConditionError::Pointer),
            ("/a~é", ConditionError::Pointer),
            ("/a/b/c/d/e/f/g", ConditionError::Pointer),
            ("aud", ConditionError::Registered),
            ("/iss", ConditionError::Registered),
        ] {
            assert_eq!(ClaimPath::parse(bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn threat_10_a_star_stays_within_its_segment() {
        for (pattern, text, fits) in [
            ("refs/heads/*", "refs/heads/main", true),
            ("refs/heads/*", "refs/heads/", false),
            ("refs/heads/*", "refs/heads/a/b", false),
            ("refs/heads/*", "xrefs/heads/main", false),
            ("refs/heads/*", "refs/heads/main\n", false),
            ("refs/heads/release-*", "refs/heads/release-1.2", true),
            ("refs/heads/release-*", "refs/heads/release", false),
            ("refs/heads/release-*-rc", "refs/heads/release-a-rc-rc", true),
            ("refs/heads/release-*-rc", "refs/heads/release-a-rc-rcx", false),
            ("repo:acme/*:ref:refs/heads/main", "repo:acme/web:ref:refs/heads/main", true),
            ("repo:acme/*:ref:refs/heads/main", "repo:acme/web:ref:refs/heads/main:ref:refs/heads/main", false),
            ("repo:acme/*:ref:refs/heads/main", "repo:acme/a/b:ref:refs/heads/main", false),
            ("repo:acme/*", "repo:acme-evil/web", false),
            ("system:serviceaccount:prod:*", "system:serviceaccount:prod:agent", true),
            ("system:serviceaccount:prod:*", "system:serviceaccount:prod:a:b", false),
            ("system:serviceaccount:prod:*", "system:serviceaccount:prod-evil:agent", false),
            ("a.c", "abc", false),
            ("a?", "ab", false),
            ("[ab]", "a", false),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(text), fits, "{pattern} {text:?}");
        }
        for bad in ["*", "*-prod", "a**", "a*b*c*d*e*f*g*h*i*"] {
            assert_eq!(Pattern::parse(bad), Err(ConditionError::Stars), "{bad}");
        }
    }

    #[test]
    fn threat_24_a_pattern_takes_no_value_of_more_than_1000_bytes() {
        let pattern = Pattern::parse("refs/heads/*").unwrap();
        let value = |bytes: usize| format!("refs/heads/{}", "a".repeat(bytes - "refs/heads/".len()));
        assert!(pattern.matches(&value(PATTERN_VALUE_MAX)));
        assert!(!pattern.matches(&value(PATTERN_VALUE_MAX + 1)));
        // Bytes are counted, not characters: 11 of the beginning and 495 times two.
        assert!(!pattern.matches(&format!("refs/heads/{}", "é".repeat(495))));
        assert!(pattern.matches(&format!("refs/heads/{}", "é".repeat(494))));
    }

    proptest! {
        #[test]
        fn a_pattern_without_stars_is_equality(text in "[^*\\p{Cc}]{1,20}", other in "\\PC{0,20}") {
            let pattern = Pattern::parse(&text).unwrap();
            prop_assert!(pattern.matches(&text));
            prop_assert_eq!(pattern.matches(&other), text == other);
        }

        #[test]
        fn what_a_pattern_takes_has_its_separators_and_no_other(
            pattern in "[ab:/][ab:/]{0,3}(\\*[ab:/]{1,3}){0,3}", text in "[ab:/]{0,14}"
        ) {
            let separators = |text: &str| text.chars().filter(|c| matches!(c, ':' | '/')).collect::<String>();
            if Pattern::parse(&pattern).unwrap().matches(&text) {
                prop_assert_eq!(separators(&pattern), separators(&text));
                prop_assert!(text.starts_with(pattern.split('*').next().unwrap()));
                prop_assert!(text.ends_with(pattern.rsplit('*').next().unwrap()));
            }
        }

        #[test]
        fn a_star_takes_any_segment(before in "[a-z:/]{1,6}", segment in "[^/:\\p{Cc}]{1,12}", after in "[a-z:/]{0,6}") {
            let pattern = Pattern::parse(&format!("{before}*{after}")).unwrap();
            let text = format!("{before}{segment}{after}");
            prop_assert!(pattern.matches(&text));
        }

        #[test]
        fn a_pointer_finds_what_its_names_spell(names in prop::collection::vec("[a-z~/.]{1,4}", 1..6)) {
            prop_assume!(!(names.len() == 1 && REGISTERED.contains(&names[0].as_str())));
            let escaped: Vec<_> = names.iter().map(|name| name.replace('~', "~0").replace('/', "~1")).collect();
            let pointer = format!("/{}", escaped.join("/"));
            let value = names.iter().rev().fold(json!("here"), |inner, name| json!({ name.as_str(): inner }));
            let condition = condition(&pointer, Expected::text("here").unwrap());
            prop_assert!(condition.holds(value.as_object().unwrap()));
        }
    }
}
