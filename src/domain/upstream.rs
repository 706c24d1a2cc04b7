//! OIDC providers at which people sign in: what the operator says of one, what one says of a person, and who may join
//! a team on the strength of it.

use std::fmt;

use time::{Duration, OffsetDateTime};

use super::foreign_issuer::ForeignIssuer;
use super::id::UpstreamUid;
use super::label::EMAIL_MAX;
use super::sealed::Sealed;
use super::session::{SESSION_LENGTH, SESSION_LENGTH_MAX};

/// The shortest that a provider's sessions may be set to last.
pub const SESSION_LENGTH_MIN: Duration = Duration::minutes(15);
/// Most scopes asked for beside `openid`.
pub const SCOPES_MAX: usize = 20;
/// Most e-mail domains tied to one provider.
pub const DOMAINS_MAX: usize = 100;
/// Most rules of joining in one team.
pub const JOINS_MAX: usize = 50;
/// Most characters of a client id, as of a scope, a claim's name and a group.
pub const WORD_MAX: usize = 255;
/// Most bytes of a client secret.
pub const CLIENT_SECRET_MAX: usize = 1024;
/// Most characters of a subject (OpenID Connect Core 1.0, section 2, allows 255 of ASCII).
pub const SUBJECT_MAX: usize = 255;

/// A provider, as the operator set it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamProvider {
    /// Its uid, never reused: it stands in sessions and in teams' policies.
    pub uid: UpstreamUid,
    /// What the sign-in page calls it.
    pub name: String,
    /// Its issuer, byte for byte the `iss` of its ID tokens.
    pub issuer: ForeignIssuer,
    /// What it knows us by.
    pub client_id: Word,
    /// Our secret there; none for a public client.
    pub client_secret: Option<Sealed>,
    /// How people sign in there.
    pub settings: UpstreamSettings,
    /// Counts changes, for `If-Match`.
    pub version: i64,
    /// Since when it is known.
    pub created_at: OffsetDateTime,
    /// When it was last changed.
    pub updated_at: OffsetDateTime,
    /// Since when nobody signs in there, if so; sessions that began there are dead as long.
    pub disabled_at: Option<OffsetDateTime>,
}

/// How people sign in at a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// What is asked for beside `openid`.
    pub scopes: Vec<Word>,
    /// The claim of the ID token that lists a person's groups.
    pub groups_claim: Option<Word>,
    /// The domains whose e-mail addresses the provider vouches for: the operator's word, not the provider's.
    pub email_domains: Vec<EmailDomain>,
    /// How long a session lasts after the sign-in behind it.
    pub session_length: SessionLength,
    /// Whether only people with an e-mail address that the provider verified may sign in.
    pub require_verified_email: bool,
}

impl UpstreamSettings {
    /// Those of a new provider: names and addresses are asked for, nothing is tied, sessions last 12 hours.
    pub fn new_provider() -> Self {
        Self {
            scopes: ["profile", "email"].map(|word| Word(word.into())).into(),
            groups_claim: None,
            email_domains: Vec::new(),
            session_length: SessionLength(SESSION_LENGTH),
            require_verified_email: false,
        }
    }
}

/// How long sessions last: whole seconds from 15 minutes to 30 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLength(Duration);

/// A session length out of bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 900 to 2592000 seconds: 15 minutes to 30 days")]
pub struct SessionLengthError;

impl SessionLength {
    /// Checks a number of seconds.
    pub fn new(seconds: u32) -> Result<Self, SessionLengthError> {
        let length = Duration::seconds(seconds.into());
        let fits = (SESSION_LENGTH_MIN..=SESSION_LENGTH_MAX).contains(&length);
        fits.then_some(Self(length)).ok_or(SessionLengthError)
    }

    /// As a duration.
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// In seconds.
    pub fn seconds(self) -> u32 {
        u32::try_from(self.0.whole_seconds()).unwrap_or(u32::MAX)
    }
}

/// A client id, a scope, a claim's name: printable ASCII without spaces, quotes and backslashes (RFC 6749, section 3.3),
/// compared byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(Box<str>);

/// A text that is no [`Word`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to 255 characters of printable ASCII without spaces, '\"' and '\\'")]
pub struct WordError;

impl Word {
    /// Takes `text`, unchanged.
    pub fn parse(text: &str) -> Result<Self, WordError> {
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\');
        let fits = (1..=WORD_MAX).contains(&text.len()) && text.bytes().all(plain);
        fits.then(|| Self(text.into())).ok_or(WordError)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What stands behind the `@` of an address: a host name in lower case with at least one dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EmailDomain(Box<str>);

/// A text that is no [`EmailDomain`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a domain in lower case, such as example.com, of a-z, 0-9, '-' and '.'")]
pub struct EmailDomainError;

impl EmailDomain {
    /// Takes `text`, unchanged: what is not lower case is refused, not folded.
    pub fn parse(text: &str) -> Result<Self, EmailDomainError> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let fits = text.len() <= EMAIL_MAX && text.contains('.') && text.split('.').all(label);
        fits.then(|| Self(text.into())).ok_or(EmailDomainError)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `email` is of exactly this domain, in whatever case (RFC 1035, section 2.3.3); no subdomain is.
    fn is_of(&self, email: &str) -> bool {
        email.rsplit_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !local.contains('@') && domain.eq_ignore_ascii_case(&self.0)
        })
    }
}

impl fmt::Display for EmailDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to 255 characters, none of them a control character")]
pub struct SubjectError;

/// Takes `text` for a provider's name of a person or of a session, unchanged: it is compared, stored and shown to
/// operators, never interpreted.
pub fn subject(text: &str) -> Result<String, SubjectError> {
    let fits = (1..=SUBJECT_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err(SubjectError) }
}

/// What one ID token says of a person. It is verified, and still only what the provider says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpstreamPerson {
    /// The provider's name for them, which alone identifies them.
    pub subject: String,
    /// The provider's name for its session.
    pub sid: Option<String>,
    /// What to call them.
    pub name: Option<String>,
    /// Their address. Never an identity.
    pub email: Option<String>,
    /// Whether the provider verified that it is theirs.
    pub email_verified: bool,
    /// Of which organisation's domain the account is, where the provider has accounts of anybody (`hd` of Google).
    pub hosted_domain: Option<String>,
    /// Their groups, where the provider's settings name a claim for them.
    pub groups: Vec<String>,
    /// How they were authenticated (RFC 8176).
    pub amr: Vec<String>,
}

/// Whom of a provider's people a team takes in when they first sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joining {
    /// Of which provider.
    pub provider: UpstreamUid,
    /// Which of them.
    pub by: JoinBy,
}

/// By what a person may join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinBy {
    /// A verified address of this domain, which the operator tied to the provider.
    EmailDomain(EmailDomain),
    /// This value in the claim that lists groups.
    Group(Group),
}

/// A value of a groups claim: whatever the provider calls it, compared byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group(Box<str>);

/// A text that is no [`Group`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to 255 characters, none of them a control character")]
pub struct GroupError;

impl Group {
    /// Takes `text`, unchanged.
    pub fn parse(text: &str) -> Result<Self, GroupError> {
        let fits = (1..=WORD_MAX).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        fits.then(|| Self(text.into())).ok_or(GroupError)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Joining {
    /// Whether `person`, who has just signed in at `provider`, may join by this rule. Nothing that the provider says is
    /// enough for a domain: the operator must have tied it, and still hold to that.
    pub fn admits(&self, provider: &UpstreamProvider, person: &UpstreamPerson) -> bool {
        if self.provider != provider.uid {
            return false;
        }
        match &self.by {
            JoinBy::EmailDomain(domain) => {
                // A Google account may bear any address that somebody once verified; only `hd` says that the domain's
                // owner holds it (developers.google.com/identity/openid-connect, "hd").
                let hosted = provider.issuer.host() != GOOGLE
                    || person.hosted_domain.as_deref().is_some_and(|hosted| hosted == domain.as_str());
                provider.settings.email_domains.contains(domain)
                    && person.email_verified
                    && hosted
                    && person.email.as_deref().is_some_and(|email| domain.is_of(email))
            }
            JoinBy::Group(group) => {
                provider.settings.groups_claim.is_some() && person.groups.iter().any(|of| of == group.as_str())
            }
        }
    }
}

/// The one provider among those known to have accounts that no organisation holds, under one issuer with those that
/// one does.
const GOOGLE: &str = "accounts.google.com";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::issuer_url::Development;
    use time::macros::datetime;

    fn provider(issuer: &str) -> UpstreamProvider {
        UpstreamProvider {
            uid: UpstreamUid::parse("acme").unwrap(),
            name: "Acme".to_owned(),
            issuer: ForeignIssuer::parse(issuer, Development::Off).unwrap(),
            client_id: Word::parse("brevet").unwrap(),
            client_secret: None,
            settings: UpstreamSettings {
                email_domains: vec![EmailDomain::parse("acme.example").unwrap()],
                groups_claim: Some(Word::parse("groups").unwrap()),
                ..UpstreamSettings::new_provider()
            },
            version: 1,
            created_at: datetime!(2026-01-01 0:00 UTC),
            updated_at: datetime!(2026-01-01 0:00 UTC),
            disabled_at: None,
        }
    }

    fn person(email: &str) -> UpstreamPerson {
        UpstreamPerson {
            subject: "s-1".to_owned(),
            email: Some(email.to_owned()),
            email_verified: true,
            groups: vec!["eng".to_owned()],
            ..UpstreamPerson::default()
        }
    }

    fn by_domain(domain: &str) -> Joining {
        Joining {
            provider: UpstreamUid::parse("acme").unwrap(),
            by: JoinBy::EmailDomain(EmailDomain::parse(domain).unwrap()),
        }
    }

    fn by_group(group: &str) -> Joining {
        Joining { provider: UpstreamUid::parse("acme").unwrap(), by: JoinBy::Group(Group::parse(group).unwrap()) }
    }

    #[test]
    fn threat_38_a_domain_lets_in_verified_addresses_of_exactly_it_and_only_while_it_is_tied() {
        let acme = provider("https://id.acme.example");
        let rule = by_domain("acme.example");
        for good in ["ada@acme.example", "ada@ACME.example", "a.b+c@acme.example"] {
            assert!(rule.admits(&acme, &person(good)), "{good}");
        }
        for bad in [
            "ada@mail.acme.example",
            "ada@notacme.example",
            "ada@acme.example.evil.example",
            "ada@acme.example@evil.example",
            "ada@evil.example@acme.example",
            "acme.example",
            "@acme.example",
            "ada@acme.example.",
            "ada@acme.example ",
        ] {
            assert!(!rule.admits(&acme, &person(bad)), "{bad}");
        }
        let unverified = UpstreamPerson { email_verified: false, ..person("ada@acme.example") };
        assert!(!rule.admits(&acme, &unverified));
        assert!(!by_domain("other.example").admits(&acme, &person("ada@other.example")), "not tied to the provider");
        let mut other = acme.clone();
        other.uid = UpstreamUid::parse("other").unwrap();
        assert!(!rule.admits(&other, &person("ada@acme.example")), "another provider vouches for nobody's domain");
    }

    #[test]
    fn threat_38_a_google_account_joins_by_the_domain_that_holds_it_not_by_its_address() {
        let google = provider("https://accounts.google.com");
        let of = |hosted: Option<&str>| UpstreamPerson {
            hosted_domain: hosted.map(str::to_owned),
            ..person("ada@acme.example")
        };
        assert!(by_domain("acme.example").admits(&google, &of(Some("acme.example"))));
        assert!(!by_domain("acme.example").admits(&google, &of(None)));
        assert!(!by_domain("acme.example").admits(&google, &of(Some("other.example"))));
    }

    #[test]
    fn a_group_lets_in_whoever_has_it_word_for_word() {
        let acme = provider("https://id.acme.example");
        assert!(by_group("eng").admits(&acme, &person("x@y.example")));
        for other in ["Eng", "en", "engineering", "eng "] {
            assert!(!by_group(other).admits(&acme, &person("x@y.example")), "{other}");
        }
        let mut unnamed = acme;
        unnamed.settings.groups_claim = None;
        assert!(!by_group("eng").admits(&unnamed, &person("x@y.example")));
    }

    #[test]
    fn words_domains_and_lengths_are_kept_or_refused() {
        for bad in ["", "a b", "a\"", "a\\", "ü", &"x".repeat(256)] {
            assert_eq!(Word::parse(bad), Err(WordError), "{bad}");
        }
        assert_eq!(Word::parse("https://acme.example/groups").unwrap().as_str(), "https://acme.example/groups");
        for bad in ["", "example", "Example.com", "a..b", ".a.b", "-a.b", "a.b.", "a_b.c", "a@b.c", "*.a.b"] {
            assert_eq!(EmailDomain::parse(bad), Err(EmailDomainError), "{bad}");
        }
        for (seconds, fits) in [(899, false), (900, true), (2_592_000, true), (2_592_001, false)] {
            assert_eq!(SessionLength::new(seconds).map(SessionLength::seconds).is_ok(), fits, "{seconds}");
        }
        assert_eq!(UpstreamSettings::new_provider().session_length.seconds(), 43_200);
    }
}
