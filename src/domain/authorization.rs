//! What a terminal asks for at `GET /oauth2/authorize` (RFC 6749, section 4.1.1; RFC 7636; RFC 8252), as a parsed type.
//!
//! Where an answer may go is decided first. A request whose client or redirect is wrong is answered to nobody; every
//! other fault goes back to the redirect that has been checked by then (RFC 6749, section 4.1.2.1).

use std::fmt;

use super::id::TeamUid;
use super::issuer_url::IssuerUrl;
use super::label::NAME_MAX;
use super::pkce::CodeChallenge;
use super::session::CLI_CLIENT_ID;

/// Longest redirect, in characters.
pub const REDIRECT_MAX: usize = 200;
/// Longest `state`, in characters.
pub const STATE_MAX: usize = 512;

/// A redirect to the machine that the browser runs on: `http://127.0.0.1:PORT/…` or `http://[::1]:PORT/…`
/// (RFC 8252, section 7.3). Not `localhost`, which may resolve elsewhere (section 8.3); no query or fragment, so that
/// what is appended to it cannot be mistaken for something else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopbackRedirect(Box<str>);

/// Why an answer can go nowhere. The person in front of the browser is shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswerable {
    /// Another client than [`CLI_CLIENT_ID`], or none, or several.
    #[error("client_id must be brevet-cli, once")]
    Client,
    /// Missing or repeated.
    #[error("redirect_uri must stand there once")]
    RedirectCount,
    /// Longer than [`REDIRECT_MAX`].
    #[error("redirect_uri must have at most 200 characters")]
    RedirectLength,
    /// It leads to another machine, or might.
    #[error("redirect_uri must begin with http://127.0.0.1:PORT/ or http://[::1]:PORT/")]
    RedirectHost,
    /// A path with something else in it.
    #[error("redirect_uri must have a path of letters, digits, '.', '_', '~', '-' and '/', and no query or fragment")]
    RedirectPath,
}

impl LoopbackRedirect {
    /// Checks `text` and keeps it unchanged.
    pub fn parse(text: &str) -> Result<Self, Unanswerable> {
        if text.len() > REDIRECT_MAX {
            return Err(Unanswerable::RedirectLength);
        }
        let hosts = ["http://127.0.0.1:", "http://[::1]:"];
        let rest = hosts.iter().find_map(|host| text.strip_prefix(host)).ok_or(Unanswerable::RedirectHost)?;
        let (port, path) = rest.split_at(rest.find('/').ok_or(Unanswerable::RedirectHost)?);
        let plain = !port.starts_with('0') && port.bytes().all(|b| b.is_ascii_digit());
        if !plain || port.parse::<u16>().is_err() {
            return Err(Unanswerable::RedirectHost);
        }
        let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'~' | b'-' | b'/'));
        // A browser would resolve dots and so open something else than what was checked.
        if !plain || path.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(Unanswerable::RedirectPath);
        }
        Ok(Self(text.into()))
    }

    /// The text, byte for byte what the token request must repeat (RFC 6749, section 4.1.3).
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn with(&self, members: &[(&str, &str)], state: Option<&str>, issuer: &IssuerUrl) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(members);
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        // RFC 9207: who answers, so that no other server's answer is taken for ours.
        query.append_pair("iss", issuer.as_str());
        format!("{}?{}", self.0, query.finish())
    }
}

/// What the terminal is told instead of a code: the closed list of RFC 6749, section 4.1.2.1, and what RFC 8707 and
/// OpenID Connect Core 1.0, section 3.1.2.6, add.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorizationCode {
    /// A parameter is missing, twice there, or breaks its rule.
    InvalidRequest,
    /// Something else than a code is asked for.
    UnsupportedResponseType,
    /// A scope is asked for; there are none.
    InvalidScope,
    /// A resource is named; access tokens are for this issuer alone.
    InvalidTarget,
    /// A request object (RFC 9101).
    RequestNotSupported,
    /// A request object by reference.
    RequestUriNotSupported,
    /// The person said no.
    AccessDenied,
    /// Too often, or nobody can tell now.
    TemporarilyUnavailable,
    /// A fault of ours.
    ServerError,
}

impl AuthorizationCode {
    /// The value of `error`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::InvalidTarget => "invalid_target",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::AccessDenied => "access_denied",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::ServerError => "server_error",
        }
    }
}

/// Where an answer goes: the checked redirect, and the `state` that goes with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return {
    /// Where to.
    pub redirect: LoopbackRedirect,
    /// The client's own, returned unchanged.
    pub state: Option<String>,
}

impl Return {
    /// The URL that hands `code` over. It is as secret as the code.
    pub fn with_code(&self, code: &str, issuer: &IssuerUrl) -> String {
        self.redirect.with(&[("code", code)], self.state.as_deref(), issuer)
    }

    /// The URL that says why there is none; `words` are printable ASCII.
    pub fn with_error(&self, code: AuthorizationCode, words: &str, issuer: &IssuerUrl) -> String {
        let members = [("error", code.as_str()), ("error_description", words)];
        self.redirect.with(&members, self.state.as_deref(), issuer)
    }
}

/// A request as it may be granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// Where the answer goes.
    pub back: Return,
    /// What the code is bound to (RFC 7636).
    pub code_challenge: CodeChallenge,
    /// What the machine calls itself.
    pub device: Option<String>,
    /// The team that the person wants tokens for.
    pub team: Option<TeamUid>,
}

/// Why a request is not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthorizationRefused {
    /// The answer can go nowhere: it is shown.
    Shown(Unanswerable),
    /// It goes back.
    Returned {
        /// Where to.
        back: Return,
        /// The code.
        code: AuthorizationCode,
        /// The rule that is broken, in printable ASCII.
        words: &'static str,
    },
}

impl Authorization {
    /// Reads the parameters of the request, decoded, in any order. One without a value counts as absent (RFC 6749,
    /// section 3.1); an unknown one is ignored.
    pub fn parse(parameters: &[(String, String)]) -> Result<Self, AuthorizationRefused> {
        use AuthorizationCode as C;
        let given = Given(parameters);
        if given.once("client_id") != Some(CLI_CLIENT_ID) {
            return Err(AuthorizationRefused::Shown(Unanswerable::Client));
        }
        let redirect = given.once("redirect_uri").ok_or(AuthorizationRefused::Shown(Unanswerable::RedirectCount))?;
        let redirect = LoopbackRedirect::parse(redirect).map_err(AuthorizationRefused::Shown)?;
        let state = given.once("state").filter(|text| is_visible(text, STATE_MAX)).map(str::to_owned);
        let back = Return { redirect, state };
        let refused = |code, words| Err(AuthorizationRefused::Returned { back: back.clone(), code, words });
        if given.any_twice() {
            return refused(C::InvalidRequest, "every parameter must stand there only once");
        }
        if back.state.is_none() && given.once("state").is_some() {
            return refused(C::InvalidRequest, "state must have at most 512 characters of printable ASCII");
        }
        for (name, code, words) in REFUSED {
            if given.once(name).is_some() {
                return refused(code, words);
            }
        }
        match given.once("response_type") {
            None => return refused(C::InvalidRequest, "response_type is required"),
            Some("code") => {}
            Some(_) => return refused(C::UnsupportedResponseType, "response_type must be code"),
        }
        if given.once("response_mode").is_some_and(|mode| mode != "query") {
            return refused(C::InvalidRequest, "response_mode must be query, or be left out");
        }
        let Some(challenge) = given.once("code_challenge") else {
            return refused(C::InvalidRequest, "code_challenge is required (RFC 7636)");
        };
        if given.once("code_challenge_method") != Some("S256") {
            return refused(C::InvalidRequest, "code_challenge_method must be S256");
        }
        let Ok(code_challenge) = CodeChallenge::parse(challenge) else {
            return refused(C::InvalidRequest, "code_challenge must be a SHA-256 in base64url: 43 characters");
        };
        let device = given.once("device_name");
        if device.is_some_and(|name| name.chars().count() > NAME_MAX || name.chars().any(char::is_control)) {
            let words = "device_name must have at most 200 characters, none of them a control character";
            return refused(C::InvalidRequest, words);
        }
        let Ok(team) = given.once("team").map(TeamUid::parse).transpose() else {
            return refused(C::InvalidRequest, "team must be a team's uid");
        };
        Ok(Self { back, code_challenge, device: device.map(str::to_owned), team })
    }
}

/// What is refused wherever it stands: an answer that said nothing of it would say that it was granted.
const REFUSED: [(&str, AuthorizationCode, &str); 5] = [
    ("request", AuthorizationCode::RequestNotSupported, "request objects are not taken"),
    ("request_uri", AuthorizationCode::RequestUriNotSupported, "request objects are not taken"),
    ("scope", AuthorizationCode::InvalidScope, "there are no scopes here: leave scope out"),
    ("resource", AuthorizationCode::InvalidTarget, "access tokens are for this issuer only: leave resource out"),
    ("audience", AuthorizationCode::InvalidTarget, "access tokens are for this issuer only: leave audience out"),
];

struct Given<'a>(&'a [(String, String)]);

impl<'a> Given<'a> {
    /// The value of what stands there exactly once, and is not empty.
    fn once(&self, name: &str) -> Option<&'a str> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = values.next().filter(|value| !value.is_empty());
        if values.next().is_some() { None } else { value }
    }

    fn any_twice(&self) -> bool {
        self.0.iter().enumerate().any(|(at, (name, _))| self.0[..at].iter().any(|(before, _)| before == name))
    }
}

/// RFC 6749, appendix A.5.
fn is_visible(text: &str, longest: usize) -> bool {
    text.len() <= longest && text.bytes().all(|b| (0x20..=0x7e).contains(&b))
}

impl fmt::Display for LoopbackRedirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::issuer_url::Development;
    use proptest::prelude::*;

    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    fn request(changed: &[(&str, Option<&str>)]) -> Vec<(String, String)> {
        let usual = [
            ("client_id", "brevet-cli"),
            ("redirect_uri", "http://127.0.0.1:8400/done"),
            ("response_type", "code"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("state", "a b&c"),
        ];
        let kept = usual.into_iter().filter(|(name, _)| !changed.iter().any(|(other, _)| other == name));
        let new = changed.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        kept.chain(new).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn issuer() -> IssuerUrl {
        IssuerUrl::parse("https://id.example.com/brevet", Development::Off).unwrap()
    }

    #[test]
    fn a_sound_request_is_read_whole() {
        let read = Authorization::parse(&request(&[
            ("device_name", Some("Anns Laptop")),
            ("team", Some("red")),
            ("unknown", Some("ignored")),
            ("scope", Some("")),
        ]))
        .unwrap();
        assert_eq!(read.code_challenge.as_str(), CHALLENGE);
        assert_eq!(
            (read.device.as_deref(), read.team.as_ref().map(TeamUid::as_str)),
            (Some("Anns Laptop"), Some("red"))
        );
        assert_eq!(
            read.back.with_code("c-1", &issuer()),
            "http://127.0.0.1:8400/done?code=c-1&state=a+b%26c&iss=https%3A%2F%2Fid.example.com%2Fbrevet"
        );
    }

    #[test]
    fn threat_38_only_the_machine_of_the_browser_is_answered() {
        for good in ["http://127.0.0.1:1/", "http://[::1]:65535/a/b-c_d.e~f", "http://127.0.0.1:8400/callback"] {
            assert_eq!(LoopbackRedirect::parse(good).as_ref().map(LoopbackRedirect::as_str), Ok(good));
        }
        for bad in [
            "",
            "http://localhost:8400/",
            "http://127.0.0.1/",
            "http://127.0.0.1:8400",
            "http://127.0.0.1:/",
            "http://127.0.0.1:0/",
            "http://127.0.0.1:08400/",
            "http://127.0.0.1:65536/",
            "http://127.0.0.1:+80/",
            "http://127.0.0.1:8400@evil.example/",
            "http://127.0.0.1:8400.evil.example/",
            "http://127.0.0.2:8400/",
            "http://2130706433:8400/",
            "http://[::ffff:127.0.0.1]:8400/",
            "http://user@127.0.0.1:8400/",
            "https://127.0.0.1:8400/",
            "HTTP://127.0.0.1:8400/",
            "http://evil.example:8400/",
            "javascript:alert(1)//http://127.0.0.1:1/",
            " http://127.0.0.1:8400/",
            "http://127.0.0.1:8400/?a=b",
            "http://127.0.0.1:8400/#a",
            "http://127.0.0.1:8400/a/../b",
            "http://127.0.0.1:8400/\r\nSet-Cookie:a",
            "http://127.0.0.1:8400/a%0d",
            "http://127.0.0.1:8400/\\evil.example",
            &format!("http://127.0.0.1:8400/{}", "a".repeat(200)),
        ] {
            assert!(LoopbackRedirect::parse(bad).is_err(), "{bad}");
            let shown = Authorization::parse(&request(&[("redirect_uri", Some(bad))]));
            assert!(matches!(shown, Err(AuthorizationRefused::Shown(_))), "{bad}: {shown:?}");
        }
        for client in [None, Some(""), Some("BREVET-CLI"), Some("bot")] {
            let shown = Authorization::parse(&request(&[("client_id", client)]));
            assert_eq!(shown, Err(AuthorizationRefused::Shown(Unanswerable::Client)));
        }
        // Twice: nobody can say which of both was meant.
        for name in ["client_id", "redirect_uri"] {
            let mut twice = request(&[]);
            let again = twice.iter().find(|(known, _)| known == name).unwrap().clone();
            twice.push(again);
            assert!(matches!(Authorization::parse(&twice), Err(AuthorizationRefused::Shown(_))), "{name}");
        }
    }

    #[test]
    fn every_other_fault_goes_back_with_state_and_issuer() {
        let long = "s".repeat(513);
        for (changed, code) in [
            (("response_type", None), "invalid_request"),
            (("response_type", Some("token")), "unsupported_response_type"),
            (("response_type", Some("code id_token")), "unsupported_response_type"),
            (("response_mode", Some("fragment")), "invalid_request"),
            (("code_challenge", None), "invalid_request"),
            (("code_challenge", Some("short")), "invalid_request"),
            (("code_challenge_method", None), "invalid_request"),
            (("code_challenge_method", Some("plain")), "invalid_request"),
            (("scope", Some("openid")), "invalid_scope"),
            (("resource", Some("https://a.example")), "invalid_target"),
            (("audience", Some("a")), "invalid_target"),
            (("request", Some("e30")), "request_not_supported"),
            (("request_uri", Some("https://a.example")), "request_uri_not_supported"),
            (("device_name", Some("a\u{1b}[2J")), "invalid_request"),
            (("team", Some("a b")), "invalid_request"),
            (("state", Some(long.as_str())), "invalid_request"),
            (("state", Some("\u{e9}")), "invalid_request"),
        ] {
            let Err(AuthorizationRefused::Returned { back, code: found, words }) =
                Authorization::parse(&request(&[changed]))
            else {
                panic!("{changed:?}")
            };
            assert_eq!(found.as_str(), code, "{changed:?}");
            let url = back.with_error(found, words, &issuer());
            assert!(url.starts_with(&format!("http://127.0.0.1:8400/done?error={code}&error_description=")), "{url}");
            assert!(url.ends_with("&iss=https%3A%2F%2Fid.example.com%2Fbrevet"), "{url}");
            assert_eq!(url.contains("&state=a+b%26c&"), changed.0 != "state", "{url}");
            assert!(words.bytes().all(|b| matches!(b, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e)), "{words}");
        }
        let mut twice = request(&[]);
        twice.push(("x".to_owned(), "1".to_owned()));
        twice.push(("x".to_owned(), String::new()));
        assert!(matches!(
            Authorization::parse(&twice),
            Err(AuthorizationRefused::Returned { code: AuthorizationCode::InvalidRequest, .. })
        ));
    }

    proptest! {
        #[test]
        fn threat_38_whatever_is_answered_goes_to_loopback(
            text in prop_oneof!["\\PC{0,40}", "http://(127\\.0\\.0\\.1|\\[::1\\]|localhost|a)[:@./0-9a-z?#%]{0,20}"],
        ) {
            if let Ok(redirect) = LoopbackRedirect::parse(&text) {
                let url = url::Url::parse(redirect.as_str()).unwrap();
                prop_assert!(matches!(url.host_str(), Some("127.0.0.1" | "[::1]")), "{}", url);
                prop_assert_eq!(url.scheme(), "http");
                // Written as any browser would write it: what is checked here is what it opens.
                prop_assert_eq!(url.path(), text.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap());
            }
        }
    }
}
