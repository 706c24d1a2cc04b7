//! Every parser of outside input, each held to what it promises: what it takes it gives back unchanged, what it refuses
//! it refuses without a panic, and nothing unsigned is believed.
//!
//! `scripts/fuzz` runs them under libFuzzer; `tests/it/fuzz_corpus.rs` replays `fuzz/corpus` with them.

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::str::from_utf8;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use brevet::aws::bedrock::{error_answer, response_headers};
use brevet::aws::sts::{Sts, WebIdentity};
use brevet::client::discovery::jwks_path;
use brevet::client::saved_session::SavedSession;
use brevet::crypto::client_assertion::UnverifiedAssertion;
use brevet::crypto::client_key;
use brevet::crypto::foreign_keys::ForeignKeys;
use brevet::crypto::foreign_token::UnverifiedToken;
use brevet::crypto::jwk::{Jwks, thumbprint};
use brevet::crypto::keypair::KeyPair;
use brevet::crypto::verify::Verifier;
use brevet::crypto::verifying_key::VerifyingKey;
use brevet::domain::address_range::AddressRange;
use brevet::domain::audience::Audience;
use brevet::domain::authorization::{Authorization, AuthorizationRefused};
use brevet::domain::claim_condition::{ClaimPath, Pattern};
use brevet::domain::clock::ManualClock;
use brevet::domain::credential::{CredentialKind, OpaqueCredential};
use brevet::domain::endpoint::Endpoint;
use brevet::domain::foreign_issuer::ForeignIssuer;
use brevet::domain::id::{RunId, TeamUid, TokenId};
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::label;
use brevet::domain::pkce::CodeChallenge;
use brevet::domain::principal::Principal;
use brevet::domain::region::Region;
use brevet::domain::role_arn::RoleArn;
use brevet::domain::secret::{Secret, SecretBytes};
use brevet::domain::session_tag::{TagKey, TagValue};
use brevet::domain::settings::{ModelId, SessionDuration};
use brevet::domain::signing_key::{KeyKind, Kid, PublicKey};
use brevet::domain::subject::Subject;
use brevet::domain::trust::TrustRule;
use brevet::domain::upstream::{self, EmailDomain, Group, Word};
use brevet::domain::user_code::UserCode;
use brevet::fetch::{self, Reach};
use brevet::http::admin::trust_rules;
use brevet::http::issuer::oauth::form::Form;
use brevet::http::issuer::oauth::{client, token_exchange};
use brevet::http::layer::client_address::TrustedProxies;
use brevet::http::resource::create::idempotency_key;
use brevet::http::resource::page::PageOf;
use brevet::http::resource::version::IfMatch;
use brevet::iam::document::{Document, Kind};
use brevet::issuer::oauth::Presented as PresentedClient;
use brevet::issuer::publish::Publication;
use brevet::limit::rate::Rate;

use brevet::oidc::discovery::jwks_uri;
use brevet::oidc::logout_token::UnverifiedLogout;
use brevet::store::Tombstones;
use brevet::wire::admin::policy::ChangePolicy;
use brevet::wire::admin::provider_settings::ChangeProviderSettings;
use brevet::wire::admin::public_key::CreatePublicKey;
use brevet::wire::admin::trust_rule::{ChangeTrustRule, CreateTrustRule};
use brevet::wire::exchange::{ExchangeRequest, LivenessRequest};
use brevet::wire::mint::MintRequest;
use brevet::wire::problem::Problem;
use brevet::wire::run::OpenRun;
use brevet::wire::session::SessionTokens;
use brevet::worker::token_source::presented::{Presented, presented};
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use serde_json::json;
use time::OffsetDateTime;

/// A target's name, which is its folder in the corpus, and what it does with an input.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// Every target.
pub(crate) const TARGETS: [Target; 26] = [
    ("credential", credential),
    ("subject", subject),
    ("role_arn", role_arn),
    ("identity_token", identity_token),
    ("jwks", jwks),
    ("client_assertion", client_assertion),
    ("foreign_token", foreign_token),
    ("token_form", token_form),
    ("worker_caller", worker_caller),
    ("settings", settings),
    ("url", url),
    ("policy_document", policy_document),
    ("key_file", key_file),
    ("words", words),
    ("discovery", discovery),
    ("request_headers", request_headers),
    ("page_query", page_query),
    ("trust_rule", trust_rule),
    ("published", published),
    ("oauth_client", oauth_client),
    ("sts_answer", sts_answer),
    ("bedrock_answer", bedrock_answer),
    ("sign_in_words", sign_in_words),
    ("authorization", authorization),
    ("logout_token", logout_token),
    ("kept_files", kept_files),
];

const ISSUER: &str = "https://id.example.com/brevet";

/// The key of RFC 7515, appendix A.3: the fuzzer has no private half.
static KEY: LazyLock<PublicKey> = LazyLock::new(|| {
    let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
    PublicKey::new(KeyKind::P256, x, y).expect("a sound key")
});
static VERIFYING: LazyLock<VerifyingKey> = LazyLock::new(|| VerifyingKey::new(&KEY).expect("a sound key"));
static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let mut jwk = client_key::shown(Some(thumbprint(&KEY).as_str()), &KEY);
    jwk["alg"] = json!("ES256");
    let jwks = Jwks::parse(json!({ "keys": [jwk] }).to_string().as_bytes()).expect("a sound JWKS");
    Verifier::new(issuer_url(), &jwks).expect("a sound key")
});
static FOREIGN: LazyLock<ForeignKeys> = LazyLock::new(|| {
    let jwks = json!({ "keys": [client_key::shown(Some("k"), &KEY)] });
    ForeignKeys::parse(jwks.to_string().as_bytes()).expect("a sound JWKS")
});

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_767_323_045).expect("2026")
}

fn text(data: &[u8], each: impl FnOnce(&str)) {
    if let Ok(text) = from_utf8(data) {
        each(text);
    }
}

/// What stands before the first line feed, and behind it.
fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    (&data[..end], data.get(end + 1..).unwrap_or_default())
}

/// Lines of `name: value`; what is none is left out, as a server would.
fn header_lines(data: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(16) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        if let (Some(name), Some(value)) = (parts.next(), parts.next())
            && let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    headers
}

fn issuer_url() -> IssuerUrl {
    IssuerUrl::parse(ISSUER, Development::Off).expect("a sound URL")
}

fn credential(data: &[u8]) {
    text(data, |text| {
        if let Ok(credential) = OpaqueCredential::parse(text) {
            assert_eq!(credential.secret().expose(), text);
            assert!(text.starts_with(credential.kind().prefix()));
        }
    });
}

fn subject(data: &[u8]) {
    text(data, |text| {
        if let Ok(subject) = Subject::parse(text) {
            assert_eq!(subject.to_string(), text);
        }
        if let Ok(principal) = Principal::parse(text) {
            assert_eq!(principal.to_string(), text);
        }
        if let Ok(uid) = TeamUid::parse(text) {
            assert_eq!(uid.as_str(), text);
            assert!(!text.contains([':', '/', '*', '?', '%']));
        }
        if let Some(id) = TokenId::parse(text) {
            assert_eq!(id.to_string(), text);
        }
        black_box(RunId::parse(text).is_ok());
    });
}

fn role_arn(data: &[u8]) {
    text(data, |text| {
        if let Ok(role) = RoleArn::parse(text) {
            assert_eq!(role.to_string(), text);
        }
        if let Ok(region) = Region::parse(text) {
            assert_eq!(region.to_string(), text);
        }
        if let Ok(model) = ModelId::parse(text) {
            assert_eq!(model.to_string(), text);
        }
    });
}

fn identity_token(data: &[u8]) {
    text(data, |text| {
        let audience = Audience::parse("sts.amazonaws.com").expect("an audience");
        let refused = VERIFIER.verify(&Secret::new(text.to_owned()), &audience, now());
        assert!(refused.is_err(), "nobody here can sign");
        if let Ok(kid) = Kid::parse(text) {
            assert_eq!(kid.as_str(), text);
        }
    });
}

fn jwks(data: &[u8]) {
    if let Ok(jwks) = Jwks::parse(data) {
        for (kid, public) in jwks.keys() {
            assert_eq!(thumbprint(public), *kid, "a kid is its key's thumbprint");
        }
    }
    black_box(ForeignKeys::parse(data).is_ok());
    if let Ok(value) = serde_json::from_slice(data)
        && let Ok((kid, public)) = client_key::parse(&value)
    {
        let shown = client_key::shown(kid.as_deref(), &public);
        assert_eq!(client_key::parse(&shown), Ok((kid, public)), "what is shown is what was registered");
    }
}

fn client_assertion(data: &[u8]) {
    text(data, |text| {
        if let Ok(assertion) = UnverifiedAssertion::parse(text) {
            assert!(assertion.verify(&VERIFYING, ISSUER, now()).is_err(), "nobody here can sign");
        }
    });
}

fn foreign_token(data: &[u8]) {
    text(data, |text| {
        if let Ok(token) = UnverifiedToken::parse(text) {
            assert!(token.verify(&FOREIGN, now()).is_err(), "nobody here can sign");
        }
    });
}

/// The form of the token and revocation endpoints, whichever grant it is for.
fn token_form(data: &[u8]) {
    if let Ok(form) = Form::parse(data) {
        for name in ["grant_type", "client_id", "client_secret", "client_assertion", "subject_token", "scope"] {
            assert!(form.get(name).is_none_or(|value| !value.expose().is_empty()), "an empty parameter is absent");
        }
    }
}

/// Where a worker's caller stands: lines of `name: value`, the first of which is the query.
fn worker_caller(data: &[u8]) {
    let (query, rest) = first_line(data);
    let headers = header_lines(rest);
    let query = from_utf8(query).ok();
    match presented(&headers, query) {
        Ok(Presented::Token(token)) => {
            let is_credential = |kind: CredentialKind| token.expose().starts_with(kind.prefix());
            assert!(!CredentialKind::ALL.into_iter().any(is_credential), "a credential is no identity token");
        }
        Ok(Presented::Bearer(bearer)) => assert_eq!(bearer.kind(), CredentialKind::Run),
        Err(_) => {}
    }
}

/// Bodies of `/v1` that hold the most.
fn settings(data: &[u8]) {
    black_box(serde_json::from_slice::<ChangeProviderSettings>(data).is_ok());
    black_box(serde_json::from_slice::<ChangePolicy>(data).is_ok());
    black_box(serde_json::from_slice::<MintRequest>(data).is_ok());
    black_box(serde_json::from_slice::<OpenRun>(data).is_ok());
    black_box(serde_json::from_slice::<ExchangeRequest>(data).is_ok());
    black_box(serde_json::from_slice::<LivenessRequest>(data).is_ok());
    black_box(serde_json::from_slice::<CreatePublicKey>(data).is_ok());
}

fn url(data: &[u8]) {
    text(data, |text| {
        for development in [Development::Off, Development::On] {
            if let Ok(url) = IssuerUrl::parse(text, development) {
                assert_eq!(url.as_str(), text);
                assert!(text.ends_with(&format!("{}{}", url.authority(), url.path())));
                assert!(!text.contains(['@', '#', '?', '%', '\\']));
            }
            if let Ok(issuer) = ForeignIssuer::parse(text, development) {
                assert_eq!(issuer.as_str(), text);
            }
        }
        if let Ok(endpoint) = Endpoint::parse(text, &[]) {
            assert!(endpoint.to_string().starts_with("https://"), "only AWS's own names, and those over TLS");
        }
        if let Ok(audience) = Audience::parse(text) {
            assert_eq!(audience.as_str(), text);
        }
    });
}

fn policy_document(data: &[u8]) {
    text(data, |text| {
        for kind in [Kind::Trust, Kind::Permission] {
            black_box(Document::parse(text, kind).is_ok());
        }
    });
}

/// A key file that an operator imports.
fn key_file(data: &[u8]) {
    black_box(KeyPair::import(&SecretBytes::new(data.to_vec())).is_ok());
}

/// Small words with rules of their own.
fn words(data: &[u8]) {
    text(data, |text| {
        if let Ok(name) = label::name(text) {
            assert_eq!(name, text);
        }
        black_box(label::email(text).is_ok());
        if let Ok(key) = TagKey::parse(text) {
            assert_eq!(key.to_string(), text);
        }
        if let Ok(value) = TagValue::parse(text) {
            assert_eq!(value.to_string(), text);
        }
        if let Ok(path) = ClaimPath::parse(text) {
            assert_eq!(path.as_str(), text);
        }
        black_box(Pattern::parse(text).is_ok());
        black_box(Rate::parse(text).is_ok());
        if let Ok(range) = AddressRange::parse(text) {
            assert_eq!(AddressRange::parse(&range.to_string()), Ok(range));
        }
    });
}

/// Somebody's discovery document, as a relying party reads it and as our own worker does.
fn discovery(data: &[u8]) {
    let foreign = ForeignIssuer::parse("https://ci.example.com/a", Development::Off).expect("an issuer");
    if let Ok(uri) = jwks_uri(&foreign, data) {
        assert!(
            uri.starts_with("https://") && !uri.contains(['#', '\\', ' ']),
            "keys come over https from a plain URL"
        );
    }
    if let Ok(path) = jwks_path(data, ISSUER) {
        assert!(path.starts_with('/') && !path.contains(".."), "keys lie under the issuer's URL");
    }
}

/// What a request says of its client, of the version it means and of itself.
fn request_headers(data: &[u8]) {
    let headers = header_lines(data);
    let peer = IpAddr::from(Ipv4Addr::new(10, 1, 2, 3));
    let nobody = TrustedProxies::default();
    assert_eq!(nobody.client(peer, &headers), peer, "a header can say anything");
    let proxies = TrustedProxies::parse(["10.0.0.0/8"]).expect("a network");
    let client = proxies.client(peer, &headers);
    let mut more = headers.clone();
    more.append("x-forwarded-for", HeaderValue::from_static("198.51.100.7"));
    assert_eq!(proxies.client(peer, &more).to_string(), "198.51.100.7", "what a proxy of ours saw last");
    assert!(!matches!(client, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()), "IPv4 in its own form");
    if let Ok(IfMatch(Some(version))) = IfMatch::read(&headers) {
        assert!(version >= -1, "a version, or none that there is");
    }
    if let Ok(Some(key)) = idempotency_key(&headers) {
        assert!((1..=200).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
    }
}

/// The query of a list, with its cursor.
fn page_query(data: &[u8]) {
    text(data, |text| {
        let Ok(request) = Request::builder().uri(format!("/v1/teams?{text}")).body(()) else { return };
        if let Ok(PageOf(page)) = PageOf::read(&request.into_parts().0) {
            assert!((1..=200).contains(&page.limit));
        }
    });
}

/// What an administrator says of whose tokens are taken.
fn trust_rule(data: &[u8]) {
    black_box(serde_json::from_slice::<ChangeTrustRule>(data).is_ok());
    let Ok(body) = serde_json::from_slice::<CreateTrustRule>(data) else { return };
    let Ok(new) = trust_rules::new(body) else { return };
    let Ok(issuer) = ForeignIssuer::parse(&new.issuer, Development::Off) else { return };
    let audience = new.audience.unwrap_or_else(|| Audience::parse(ISSUER).expect("an audience"));
    if let Ok(rule) = TrustRule::new(issuer, audience, new.keys, new.conditions, new.reuse) {
        assert!(rule.judge("https://nobody.example", ISSUER, &serde_json::Map::new()).is_err(), "nobody is let in");
        assert!(!rule.conditions().is_empty());
    }
}

/// The public documents as a file keeps them.
fn published(data: &[u8]) {
    let publication = Publication::new(issuer_url(), None);
    if let Some(read) = publication.read_saved(data) {
        assert!(Jwks::parse(&read.jwks.body).is_ok(), "only keys are served as keys");
    }
}

/// How a client of the token endpoint shows itself and what it wants: `Authorization`, a line feed, the form.
fn oauth_client(data: &[u8]) {
    let (authorization, form) = first_line(data);
    let Ok(form) = Form::parse(form) else { return };
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(authorization)
        && !value.is_empty()
    {
        headers.insert("authorization", value);
    }
    if let Ok(PresentedClient::Secret { .. }) = client::presented(&headers, &form) {
        assert!(headers.is_empty() || form.get("client_secret").is_none(), "one way at once");
    }
    black_box(token_exchange::wanted(&form).is_ok());
}

/// What an answer of AWS is sent as, on one connection after the other.
static ANSWER: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static STS: LazyLock<(tokio::runtime::Runtime, Sts, String)> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            std::thread::spawn(move || answer_on(&connection));
        }
    });
    let connections =
        fetch::Client::new(fetch::Settings { reach: Reach::public().and_loopback(), ..Default::default() });
    let sts = Sts::new(connections.expect("a client"), Arc::new(ManualClock::new(now()))).expect("a client");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    (runtime, sts, endpoint)
});

/// Answers each request of a connection with [`ANSWER`]: its first line is the status.
fn answer_on(mut connection: &TcpStream) -> Option<()> {
    let mut requests = BufReader::new(connection);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            if requests.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(text) = line.strip_prefix("content-length:") {
                length = text.trim().parse().ok()?;
            }
        }
        requests.read_exact(&mut vec![0; length]).ok()?;
        let answer = ANSWER.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (status, body) = first_line(&answer);
        let status = from_utf8(status).ok().and_then(|text| text.parse().ok()).filter(|s| (200..600).contains(s));
        // Of those that have no body there is nothing to read.
        let status: u16 = status.filter(|status| ![204, 304].contains(status)).unwrap_or(200);
        let head = format!("HTTP/1.1 {status} X\r\ncontent-type: text/xml\r\ncontent-length: {}\r\n\r\n", body.len());
        connection.write_all(&[head.as_bytes(), body].concat()).ok()?;
    }
}

/// What STS answers, read by the SDK and by us: a status, a line feed, the body.
fn sts_answer(data: &[u8]) {
    data.clone_into(&mut ANSWER.lock().unwrap_or_else(PoisonError::into_inner));
    let (runtime, sts, endpoint) = &*STS;
    let token = "fuzz-token-that-is-nobody-s";
    let region = Region::parse("eu-central-1").expect("a region");
    let role = RoleArn::parse("arn:aws:iam::111122223333:role/bedrock").expect("a role");
    let subject = Subject::parse("scoped_principal:team/service_account:agent").expect("a subject");
    let request = WebIdentity {
        endpoint,
        region: &region,
        role: &role,
        session_name: "s.agent",
        duration: SessionDuration::DEFAULT,
        token: &Secret::new(token.to_owned()),
        subject: &subject,
        tagged: data.len().is_multiple_of(2),
    };
    match runtime.block_on(sts.attempt(&request)) {
        Ok(credentials) => {
            assert!(credentials.expires_at > now(), "credentials that have ended are none");
            let session = credentials.session_token.expose();
            assert!(!session.is_empty() && session.bytes().all(|byte| byte.is_ascii_graphic()));
        }
        Err((fault, message)) => {
            let told = brevet::aws::error::AwsError::sts(fault, &message, token).to_string();
            assert!(!told.contains(token), "what was sent is not repeated");
        }
    }
}

/// An error answer of Bedrock: a status, lines of headers, an empty line, the body.
fn bedrock_answer(data: &[u8]) {
    let (status, rest) = first_line(data);
    let end = rest.windows(2).position(|two| two == b"\n\n").unwrap_or(rest.len());
    let headers = header_lines(&rest[..end]);
    let status = from_utf8(status).ok().and_then(|text| text.parse().ok()).unwrap_or(400);
    let read = error_answer(status, &headers, rest.get(end + 2..).unwrap_or_default());
    let plain = |name: &String| (1..=64).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    assert!(read.exception.as_ref().is_none_or(plain), "a bare name");
    let passed = response_headers(&headers);
    for name in ["set-cookie", "authorization", "content-length", "transfer-encoding", "connection"] {
        assert!(!passed.contains_key(name), "{name} is not the caller's");
    }
}

/// What people type and clients send while somebody signs in.
fn sign_in_words(data: &[u8]) {
    text(data, |text| {
        if let Ok(code) = UserCode::parse(text) {
            let shown = code.to_text();
            assert_eq!(UserCode::parse(&shown).expect("as it is shown").to_text(), shown);
            assert!(shown.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') && shown.len() == 9);
        }
        if let Ok(challenge) = CodeChallenge::parse(text) {
            assert_eq!(challenge.as_str(), text);
            assert!(!challenge.verifies(text), "a challenge is not its own verifier");
        }
    });
}

/// What a terminal asks a browser for: lines of `name=value`, as they are once decoded.
fn authorization(data: &[u8]) {
    text(data, |text| {
        let pair = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        let parameters: Vec<_> = text.lines().filter_map(pair).collect();
        let back = match Authorization::parse(&parameters) {
            Ok(Authorization { back, .. }) | Err(AuthorizationRefused::Returned { back, .. }) => back,
            Err(AuthorizationRefused::Shown(_)) => return,
        };
        let to = back.with_code("code", &issuer_url());
        assert!(
            to.starts_with("http://127.0.0.1:") || to.starts_with("http://[::1]:"),
            "nowhere but to the same machine"
        );
        assert!(HeaderValue::from_str(&to).is_ok() && !to.contains(['#', ' ']), "it goes whole into a header");
    });
}

/// What a provider says of an end, which nobody vouches for yet; and the small words of providers.
fn logout_token(data: &[u8]) {
    text(data, |text| {
        if let Ok(token) = UnverifiedLogout::parse(&Secret::new(text.to_owned()))
            && let Ok((issuer, audience)) = token.claimed()
        {
            black_box((issuer.len(), audience.len()));
        }
        if let Ok(word) = Word::parse(text) {
            assert_eq!(word.as_str(), text);
        }
        if let Ok(domain) = EmailDomain::parse(text) {
            assert!(!domain.as_str().contains(['@', '*', ' ']), "one domain");
        }
        if let Ok(group) = Group::parse(text) {
            assert_eq!(group.as_str(), text);
        }
        black_box(upstream::subject(text).is_ok());
    });
}

/// Files that are read back, and may be anybody's by then: tombstones beside a backup, a saved session.
fn kept_files(data: &[u8]) {
    text(data, |text| {
        if let Ok(tombstones) = Tombstones::parse(text) {
            let again = tombstones.to_text().expect("what was read can be written");
            assert_eq!(Tombstones::parse(&again), Ok(tombstones));
        }
    });
    if let Ok(session) = serde_json::from_slice::<SavedSession>(data) {
        black_box(session.end());
    }
    black_box(serde_json::from_slice::<SessionTokens>(data).is_ok());
    black_box(serde_json::from_slice::<Problem>(data).is_ok());
}
