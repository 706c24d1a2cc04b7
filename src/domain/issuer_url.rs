//! The issuer URL: the `iss` of every token and the base of every public route.

use std::fmt;

use super::id::TeamUid;

/// What stands between an installation's issuer URL and a team's uid in the URL of that team's private issuer.
const OF_TEAM: &str = "/t/";

/// Longest issuer URL: IAM takes at most 255 characters for a provider URL (CreateOpenIDConnectProvider).
pub const ISSUER_URL_MAX: usize = 255;

/// An issuer URL as AWS IAM takes it: https, lower case, no port, query, fragment or trailing slash; a path
/// is allowed. `http://127.0.0.1:PORT` and `http://localhost:PORT` only in development.
///
/// It is compared byte for byte everywhere (IAM is case-sensitive and a trailing slash makes another
/// provider), so it is kept exactly as configured.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IssuerUrl(Box<str>);

/// Which rule a text breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssuerUrlError {
    /// Longer than [`ISSUER_URL_MAX`].
    #[error("must have at most 255 characters")]
    Length,
    /// Neither https nor, in development, loopback http.
    #[error("must begin with https:// (http://127.0.0.1:PORT and http://localhost:PORT only with --development)")]
    Scheme,
    /// The host is missing or holds a character outside `[a-z0-9.-]`.
    #[error("must have a lower-case host name of a-z, 0-9, '.' and '-'")]
    Host,
    /// A port on an https URL, or a bad one on a loopback URL.
    #[error("must not have a port (AWS IAM takes none)")]
    Port,
    /// The loopback form without its port.
    #[error("on loopback must name its port, 1 to 65535")]
    LoopbackPort,
    /// A path with an empty segment, `.`/`..`, a trailing slash or a character outside `[a-z0-9._~/-]`.
    #[error("path must be lower case, of a-z, 0-9, '.', '_', '~' and '-', without empty segments or a trailing slash")]
    Path,
}

/// Whether loopback http is taken for an issuer URL (`--development`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Development {
    /// Production: https only.
    Off,
    /// `--development`: loopback http as well.
    On,
}

impl IssuerUrl {
    /// Checks `text` and keeps it unchanged.
    pub fn parse(text: &str, development: Development) -> Result<Self, IssuerUrlError> {
        if text.len() > ISSUER_URL_MAX {
            return Err(IssuerUrlError::Length);
        }
        let (rest, loopback) = if let Some(rest) = text.strip_prefix("https://") {
            (rest, false)
        } else if let (Some(rest), Development::On) = (text.strip_prefix("http://"), development) {
            (rest, true)
        } else {
            return Err(IssuerUrlError::Scheme);
        };
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let checked = if loopback { check_loopback(authority) } else { check_host(authority) };
        checked?;
        check_path(path)?;
        Ok(Self(text.into()))
    }

    /// The URL of `team`'s private issuer: `<issuer>/t/<team-uid>`, the uid byte for byte. Only the length can fail.
    ///
    /// A uid may have upper case, which [`IssuerUrl::parse`] takes in no configured URL. IAM compares paths with
    /// case, and no two teams have uids that differ in case alone.
    pub fn of_team(&self, team: &TeamUid) -> Result<Self, IssuerUrlError> {
        let url = format!("{}{OF_TEAM}{team}", self.0);
        if url.len() > ISSUER_URL_MAX { Err(IssuerUrlError::Length) } else { Ok(Self(url.into())) }
    }

    /// The team whose private issuer under this one `url` is: the exact inverse of [`IssuerUrl::of_team`].
    pub fn team_of(&self, url: &str) -> Option<TeamUid> {
        let uid = url.strip_prefix(self.as_str())?.strip_prefix(OF_TEAM)?;
        TeamUid::parse(uid).ok()
    }

    /// Takes the URL of `team`'s private issuer back from where [`IssuerUrl::of_team`] put it.
    pub fn parse_of_team(text: &str, team: &TeamUid) -> Option<Self> {
        Self::parse(shared_of(text, team)?, Development::On).ok()?.of_team(team).ok()
    }

    /// Whether `text` is this URL or lies where private issuers do. Nothing so called is anybody's audience: a
    /// token for an issuer would look like a credential there.
    pub fn reserves(&self, text: &str) -> bool {
        text.strip_prefix(self.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(OF_TEAM))
    }

    /// The text, as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The URL without its scheme, as it stands in provider ARNs and condition keys.
    pub fn without_scheme(&self) -> &str {
        self.0.split_once("://").map_or(&self.0, |(_, rest)| rest)
    }

    /// Host, and port on loopback: what a browser sends as `Host`.
    pub fn authority(&self) -> &str {
        let rest = self.without_scheme();
        rest.find('/').map_or(rest, |at| &rest[..at])
    }

    /// The path under which all routes live: empty, or `/` and segments without a trailing slash.
    pub fn path(&self) -> &str {
        let rest = self.without_scheme();
        rest.find('/').map_or("", |at| &rest[at..])
    }

    /// Whether this is the loopback form of `--development`, which AWS cannot reach.
    pub fn is_loopback(&self) -> bool {
        self.0.starts_with("http://")
    }

    /// The URL of `path` (which begins with `/`) under this issuer.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }
}

/// Under which shared issuer `url` would be the private issuer of `team`.
pub fn shared_of<'a>(url: &'a str, team: &TeamUid) -> Option<&'a str> {
    url.strip_suffix(team.as_str())?.strip_suffix(OF_TEAM)
}

impl fmt::Display for IssuerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_loopback(authority: &str) -> Result<(), IssuerUrlError> {
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    if host != "127.0.0.1" && host != "localhost" {
        return Err(IssuerUrlError::Scheme);
    }
    let digits = !port.is_empty() && !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit());
    if digits && port.parse::<u16>().is_ok() { Ok(()) } else { Err(IssuerUrlError::LoopbackPort) }
}

fn check_host(authority: &str) -> Result<(), IssuerUrlError> {
    if authority.contains(':') {
        return Err(IssuerUrlError::Port);
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if authority.len() <= 253 && authority.split('.').all(label) { Ok(()) } else { Err(IssuerUrlError::Host) }
}

fn check_path(path: &str) -> Result<(), IssuerUrlError> {
    let segment = |segment: &str| {
        !segment.is_empty()
            && segment != "."
            && segment != ".."
            && segment
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'~' | b'-'))
    };
    match path.strip_prefix('/') {
        None => Ok(()),
        Some(rest) if rest.split('/').all(segment) => Ok(()),
        Some(_) => Err(IssuerUrlError::Path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_14_a_private_issuer_names_one_team_and_only_its_own_installation() {
        let shared = IssuerUrl::parse("https://id.example.com/brevet", Development::Off).unwrap();
        let team = TeamUid::parse("Red_1-x").unwrap();
        let private = shared.of_team(&team).unwrap();
        assert_eq!(private.as_str(), "https://id.example.com/brevet/t/Red_1-x");
        assert_eq!(private.without_scheme(), "id.example.com/brevet/t/Red_1-x");
        assert_eq!(IssuerUrl::parse_of_team(private.as_str(), &team), Some(private.clone()));
        assert_eq!(IssuerUrl::parse_of_team(private.as_str(), &TeamUid::parse("x1").unwrap()), None);
        assert_eq!(shared.team_of(private.as_str()), Some(team));
        for other in [
            "https://id.example.com/brevet",
            "https://id.example.com/brevet/t/",
            "https://id.example.com/brevet/t/red/",
            "https://id.example.com/brevet/t/red/x",
            "https://id.example.com/brevet/t/re%64",
            "https://id.example.com/brevet/t/../t/red",
            "https://id.example.com/brevet/T/red",
            "https://id.example.com/t/red",
            "https://id.example.com/brevet2/t/red",
            "https://id.example.com.evil.example/brevet/t/red",
            "http://id.example.com/brevet/t/red",
        ] {
            assert_eq!(shared.team_of(other), None, "{other}");
        }
        assert!(shared.reserves(shared.as_str()) && shared.reserves(private.as_str()));
        assert!(!shared.reserves("https://id.example.com/brevet/worker") && !shared.reserves("sts.amazonaws.com"));
    }

    #[test]
    fn a_private_issuer_that_iam_would_not_register_is_refused() {
        let long = |n: usize| IssuerUrl::parse(&format!("https://id.example.com/{}", "a".repeat(n)), Development::Off);
        let team = TeamUid::parse(&"t".repeat(48)).unwrap();
        let fits = ISSUER_URL_MAX - 48 - OF_TEAM.len() - "https://id.example.com/".len();
        assert_eq!(long(fits).unwrap().of_team(&team).unwrap().as_str().len(), ISSUER_URL_MAX);
        assert_eq!(long(fits + 1).unwrap().of_team(&team), Err(IssuerUrlError::Length));
    }

    #[test]
    fn threat_6_only_the_form_that_iam_keeps_unchanged_is_taken() {
        use Development::{Off, On};
        for (text, development, error) in [
            ("", Off, IssuerUrlError::Scheme),
            ("issuer.example.com", Off, IssuerUrlError::Scheme),
            ("HTTPS://issuer.example.com", Off, IssuerUrlError::Scheme),
            ("http://127.0.0.1:8080", Off, IssuerUrlError::Scheme),
            ("http://issuer.example.com", On, IssuerUrlError::Scheme),
            ("http://127.0.0.1.evil.example:80", On, IssuerUrlError::Scheme),
            ("http://127.0.0.1", On, IssuerUrlError::LoopbackPort),
            ("http://127.0.0.1:0", On, IssuerUrlError::LoopbackPort),
            ("http://127.0.0.1:65536", On, IssuerUrlError::LoopbackPort),
            ("http://127.0.0.1:08080", On, IssuerUrlError::LoopbackPort),
            ("https://", Off, IssuerUrlError::Host),
            ("https://Issuer.example.com", Off, IssuerUrlError::Host),
            ("https://user@issuer.example.com", Off, IssuerUrlError::Host),
            ("https://issuer..example.com", Off, IssuerUrlError::Host),
            ("https://-issuer.example.com", Off, IssuerUrlError::Host),
            ("https://issuer.example.com?x=1", Off, IssuerUrlError::Host),
            ("https://issuer.example.com#x", Off, IssuerUrlError::Host),
            ("https://bücher.example", Off, IssuerUrlError::Host),
            ("https://issuer.example.com:443", Off, IssuerUrlError::Port),
            ("https://[::1]", Off, IssuerUrlError::Port),
            ("https://issuer.example.com/", Off, IssuerUrlError::Path),
            ("https://issuer.example.com/a/", Off, IssuerUrlError::Path),
            ("https://issuer.example.com//a", Off, IssuerUrlError::Path),
            ("https://issuer.example.com/a/../b", Off, IssuerUrlError::Path),
            ("https://issuer.example.com/A", Off, IssuerUrlError::Path),
            ("https://issuer.example.com/a?b", Off, IssuerUrlError::Path),
            ("https://issuer.example.com/a%2f", Off, IssuerUrlError::Path),
            (&format!("https://issuer.example.com/{}", "a".repeat(240)), Off, IssuerUrlError::Length),
        ] {
            assert_eq!(IssuerUrl::parse(text, development), Err(error), "{text:?}");
        }
    }

    #[test]
    fn its_parts_are_slices_of_it() {
        let url = IssuerUrl::parse("https://id.example.com/brevet/eu", Development::Off).unwrap();
        assert_eq!((url.authority(), url.path()), ("id.example.com", "/brevet/eu"));
        assert_eq!(url.without_scheme(), "id.example.com/brevet/eu");
        assert_eq!(url.join("/x"), "https://id.example.com/brevet/eu/x");
        let url = IssuerUrl::parse("http://localhost:8080", Development::On).unwrap();
        assert_eq!((url.authority(), url.path(), url.is_loopback()), ("localhost:8080", "", true));
    }
}
