//! Issuers of others: the `iss` of tokens that a trust rule may take.

use std::fmt;

use super::issuer_url::{Development, IssuerUrl};

/// Longest URL of a foreign issuer.
pub const FOREIGN_ISSUER_MAX: usize = 255;

/// The issuer URL of somebody else, as its tokens spell it: https with a host, perhaps a port and a path, without user,
/// query or fragment; `http://127.0.0.1:PORT` and `http://localhost:PORT` only in development.
///
/// It is compared byte for byte with `iss` (RFC 8414, section 6; OpenID Connect Discovery, section 4.3), so it keeps
/// upper case and a trailing slash where the issuer has them. It names whom to trust, so nothing is cut or added.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ForeignIssuer(Box<str>);

/// Which rule a text breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ForeignIssuerError {
    /// Longer than [`FOREIGN_ISSUER_MAX`].
    #[error("must have at most 255 characters")]
    Length,
    /// Neither https nor, in development, loopback http.
    #[error("must begin with https:// (http://127.0.0.1:PORT and http://localhost:PORT only with --development)")]
    Scheme,
    /// No host name, or one that is not written in lower case, or a user name.
    #[error("must name its host in lower case, of a-z, 0-9, '.' and '-', without a user")]
    Host,
    /// Not a decimal number from 1 to 65535, or https's own.
    #[error("port must be 1 to 65535, and 443 is left out")]
    Port,
    /// A query, a fragment, `.`/`..`, or a character that URLs escape.
    #[error("path must be of letters, digits and -._~/:@!$&'()*+,;=, without '..', a query or a fragment")]
    Path,
}

impl ForeignIssuer {
    /// Checks `text` and keeps it unchanged.
    pub fn parse(text: &str, development: Development) -> Result<Self, ForeignIssuerError> {
        if text.len() > FOREIGN_ISSUER_MAX {
            return Err(ForeignIssuerError::Length);
        }
        let (rest, loopback) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(rest), _) => (rest, false),
            (None, Some(rest)) if development == Development::On => (rest, true),
            (None, _) => return Err(ForeignIssuerError::Scheme),
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        };
        if loopback && !matches!(host, "127.0.0.1" | "localhost") {
            return Err(ForeignIssuerError::Scheme);
        }
        check_host(host)?;
        port.map_or(Ok(()), check_port)?;
        check_path(path)?;
        Ok(Self(text.into()))
    }

    /// The text, as `iss` has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its host, without the port.
    pub fn host(&self) -> &str {
        let rest = self.0.split_once("://").map_or(&*self.0, |(_, rest)| rest);
        &rest[..rest.find([':', '/']).unwrap_or(rest.len())]
    }

    /// Whether it is the loopback form of development.
    pub fn is_loopback(&self) -> bool {
        self.0.starts_with("http://")
    }

    /// Where its discovery document is: below the issuer, whose one trailing slash does not count
    /// (OpenID Connect Discovery, section 4).
    pub fn discovery_url(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.0.strip_suffix('/').unwrap_or(&self.0))
    }

    /// Whether it is `own`, or lies below it, as the private issuers of teams do. Hosts and paths of ours are lower
    /// case, and a neighbour whose name merely begins like ours is a neighbour.
    pub fn is_of(&self, own: &IssuerUrl) -> bool {
        let folded = self.0.to_ascii_lowercase();
        folded.strip_prefix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// By which claims its tokens name their owner for ever, where many owners share it; `None` for an issuer that is
    /// one owner's.
    pub fn owner_claims(&self) -> Option<&'static [&'static str]> {
        let host = self.host();
        SHARED.iter().find(|(shared, _)| host == *shared).map(|(_, claims)| *claims)
    }
}

impl fmt::Display for ForeignIssuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Issuers whose tokens anybody may get, by host, and the claims that say whose a token is by an id that is never
/// given to another. A name can be: whoever registers a deleted one gets tokens that look like its former owner's.
const SHARED: [(&str, &[&str]); 8] = [
    ("token.actions.githubusercontent.com", &["repository_owner_id", "repository_id", "enterprise_id"]),
    ("gitlab.com", &["namespace_id", "project_id"]),
    ("agent.buildkite.com", &["organization_id", "pipeline_id"]),
    ("app.terraform.io", &["terraform_organization_id", "terraform_project_id", "terraform_workspace_id"]),
    ("oidc.vercel.com", &["owner_id", "project_id"]),
    ("oidc.fly.io", &["org_id", "app_id"]),
    ("api.bitbucket.org", &["workspaceUuid", "repositoryUuid"]),
    ("accounts.google.com", &["sub"]),
];

fn check_host(host: &str) -> Result<(), ForeignIssuerError> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() <= 253 && host.split('.').all(label) { Ok(()) } else { Err(ForeignIssuerError::Host) }
}

fn check_port(port: &str) -> Result<(), ForeignIssuerError> {
    let canonical = port.parse::<u16>().is_ok_and(|number| number.to_string() == port && !matches!(number, 0 | 443));
    if canonical { Ok(()) } else { Err(ForeignIssuerError::Port) }
}

fn check_path(path: &str) -> Result<(), ForeignIssuerError> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/:@!$&'()*+,;=".contains(&b);
    if path.bytes().all(plain) && !path.split('/').any(|segment| matches!(segment, "." | "..")) {
        Ok(())
    } else {
        Err(ForeignIssuerError::Path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, ForeignIssuerError> {
        ForeignIssuer::parse(text, Development::Off).map(|issuer| issuer.to_string())
    }

    #[test]
    fn an_issuer_is_kept_as_it_is_spelled() {
        for good in [
            "https://token.actions.githubusercontent.com",
            "https://token.actions.githubusercontent.com/octo-enterprise",
            "https://gitlab.com",
            "https://oidc.eks.us-east-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE",
            "https://container.googleapis.com/v1/projects/p/locations/europe-west1/clusters/c",
            "https://kubernetes.default.svc.cluster.local",
            "https://192.0.2.7:6443",
            "https://tenant.eu.auth0.com/",
        ] {
            assert_eq!(parse(good).as_deref(), Ok(good));
        }
    }

    #[test]
    fn threat_22_what_names_no_issuer_is_refused_before_anything_is_fetched() {
        use ForeignIssuerError::{Host, Length, Path, Port, Scheme};
        for (bad, error) in [
            ("", Scheme),
            ("gitlab.com", Scheme),
            ("http://gitlab.com", Scheme),
            ("http://127.0.0.1:80", Scheme),
            ("HTTPS://gitlab.com", Scheme),
            ("file:///etc/passwd", Scheme),
            ("gopher://gitlab.com", Scheme),
            (" https://gitlab.com", Scheme),
            ("https://", Host),
            ("https:///path", Host),
            ("https://GitLab.com", Host),
            ("https://gitlab.com.", Host),
            ("https://gitlab.com@evil.example", Host),
            ("https://user:pass@evil.example", Port),
            ("https://gitlab.com\\@evil.example", Host),
            ("https://gitlab.com%2f.evil.example", Host),
            ("https://gitlab.com#.evil.example", Host),
            ("https://gitlab.com?.evil.example", Host),
            ("https://[::ffff:169.254.169.254]", Host),
            ("https://gitläb.com", Host),
            ("https://gitlab.com:", Port),
            ("https://gitlab.com:0", Port),
            ("https://gitlab.com:443", Port),
            ("https://gitlab.com:0443", Port),
            ("https://gitlab.com:+80", Port),
            ("https://gitlab.com:65536", Port),
            ("https://gitlab.com/a?b", Path),
            ("https://gitlab.com/a#b", Path),
            ("https://gitlab.com/a%2e", Path),
            ("https://gitlab.com/../x", Path),
            ("https://gitlab.com/a/./b", Path),
            ("https://gitlab.com/a b", Path),
            ("https://gitlab.com/a\n", Path),
            (&format!("https://gitlab.com/{}", "a".repeat(240)), Length),
        ] {
            assert_eq!(parse(bad), Err(error), "{bad:?}");
        }
        for (text, good) in [
            ("http://127.0.0.1:8080", true),
            ("http://localhost:8080/x", true),
            ("http://127.0.0.2:8080", false),
            ("http://localhost.evil.example:8080", false),
        ] {
            assert_eq!(ForeignIssuer::parse(text, Development::On).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn threat_6_our_own_issuers_are_known_whole_and_neighbours_are_not_ours() {
        let own = IssuerUrl::parse("https://id.example.com/brevet", Development::Off).unwrap();
        for (text, ours) in [
            ("https://id.example.com/brevet", true),
            ("https://id.example.com/brevet/", true),
            ("https://id.example.com/brevet/t/red", true),
            ("https://id.example.com/BREVET/t/red", true),
            ("https://id.example.com/brevet2", false),
            ("https://id.example.com/brevet-2/t/red", false),
            ("https://id.example.com", false),
            ("https://id.example.com.evil.example/brevet", false),
            ("https://other.example.com/brevet", false),
        ] {
            assert_eq!(ForeignIssuer::parse(text, Development::Off).unwrap().is_of(&own), ours, "{text}");
        }
    }

    #[test]
    fn a_shared_issuer_is_known_by_its_whole_host() {
        for (text, shared) in [
            ("https://token.actions.githubusercontent.com", true),
            ("https://token.actions.githubusercontent.com/octo-enterprise", true),
            ("https://gitlab.com", true),
            ("https://gitlab.com:8443", true),
            ("https://gitlab.com.example", false),
            ("https://gitlab.example.com", false),
            ("https://my-gitlab.com", false),
        ] {
            let issuer = ForeignIssuer::parse(text, Development::Off).unwrap();
            assert_eq!(issuer.owner_claims().is_some(), shared, "{text}");
        }
    }

    #[test]
    fn discovery_is_below_the_issuer() {
        for (issuer, url) in [
            ("https://gitlab.com", "https://gitlab.com/.well-known/openid-configuration"),
            ("https://x.auth0.com/", "https://x.auth0.com/.well-known/openid-configuration"),
            ("https://x.example/id/A", "https://x.example/id/A/.well-known/openid-configuration"),
        ] {
            assert_eq!(ForeignIssuer::parse(issuer, Development::Off).unwrap().discovery_url(), url);
        }
    }
}
