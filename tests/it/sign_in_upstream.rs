//! Signing in at a provider: who comes in, whose answers and tokens are refused, and how a session ends there.

use base64::Engine as _;
use brevet::domain::audit::Origin;
use brevet::domain::browser::{BrowserSecret, Derived};
use brevet::domain::clock::Clock;
use brevet::domain::foreign_issuer::ForeignIssuer;
use brevet::domain::id::{TeamUid, UpstreamUid, UserUid};
use brevet::domain::issuer_url::Development;
use brevet::domain::secret::Secret;
use brevet::domain::session::{SessionOrigin, SignedIn};
use brevet::domain::upstream::{EmailDomain, Group, JoinBy, Joining, UpstreamProvider, UpstreamSettings, Word};
use brevet::issuer::sign_in::upstream::{UpstreamAnswer, UpstreamRefused};
use brevet::store::{MembershipChange, UpstreamProviderChange, UserChange};
use http::StatusCode;
use serde_json::{Value, json};
use time::Duration;

use crate::support::app::App;
use crate::support::documents::Documents;
use crate::support::token_keys::{jwk, sign};

const CLIENT: &str = "brevet-at-acme";
const DISCOVERY: &str = "/.well-known/openid-configuration";

fn origin() -> Origin {
    Origin { address: "192.0.2.7".parse().ok(), user_agent: Some("browser/1".to_owned()) }
}

/// A provider whose every word a test chooses.
struct Provider {
    documents: Documents,
    uid: UpstreamUid,
}

impl Provider {
    fn start(uid: &str) -> Self {
        let provider = Self { documents: Documents::start(), uid: UpstreamUid::parse(uid).unwrap() };
        provider.publish(&provider.document());
        let keys: Vec<_> = ["RS256", "ES256", "PS256"].into_iter().map(jwk).collect();
        provider.documents.put("/keys", json!({ "keys": keys }).to_string());
        provider
    }

    fn url(&self) -> &str {
        self.documents.origin()
    }

    fn document(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.url());
        json!({
            "issuer": self.url(),
            "authorization_endpoint": at("/authorize"),
            "token_endpoint": at("/token"),
            "jwks_uri": at("/keys"),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256", "PS256", "HS256", "none"],
        })
    }

    fn publish(&self, document: &Value) {
        self.documents.put(DISCOVERY, document.to_string());
    }

    /// Answers whoever redeems a code with `id_token`.
    fn answers(&self, id_token: &str) {
        let body = json!({ "access_token": "at-1", "token_type": "Bearer", "expires_in": 60, "id_token": id_token });
        self.documents.put("/token", body.to_string());
    }

    fn claims(&self, app: &App, subject: &str, nonce: &str) -> Value {
        let now = app.clock.now().unix_timestamp();
        json!({
            "iss": self.url(), "aud": CLIENT, "sub": subject, "nonce": nonce, "iat": now, "exp": now + 300,
            "sid": format!("sid-of-{subject}"), "amr": ["pwd", "mfa"],
            "name": "Ada", "email": "ada@acme.example", "email_verified": true, "groups": ["eng"],
        })
    }
}

fn id_token(alg: &str, claims: &Value) -> String {
    sign(alg, &json!({ "alg": alg, "kid": alg, "typ": "JWT" }).to_string(), &claims.to_string())
}

/// An app with a team that takes in a provider's people.
struct Scene {
    app: App,
    team: TeamUid,
    acme: Provider,
}

impl Scene {
    async fn set() -> Self {
        let app = App::start().await;
        let team = app.team("red").await;
        let acme = Provider::start("acme");
        let scene = Self { app, team, acme };
        scene.know(&scene.acme).await;
        scene.joins(&scene.team, JoinBy::EmailDomain(EmailDomain::parse("acme.example").unwrap())).await;
        scene
    }

    /// Sets a provider up, as it would be after the admin API has checked it.
    async fn know(&self, provider: &Provider) {
        let now = self.app.clock.now();
        let settings = UpstreamSettings {
            groups_claim: Word::parse("groups").ok(),
            email_domains: vec![EmailDomain::parse("acme.example").unwrap()],
            ..UpstreamSettings::new_provider()
        };
        let provider = UpstreamProvider {
            uid: provider.uid.clone(),
            name: "Acme".to_owned(),
            issuer: ForeignIssuer::parse(provider.url(), Development::On).unwrap(),
            client_id: Word::parse(CLIENT).unwrap(),
            client_secret: None,
            settings,
            version: 1,
            created_at: now,
            updated_at: now,
            disabled_at: None,
        };
        self.app.store.create_upstream_provider(&provider, &self.app.event(), None).await.unwrap();
    }

    async fn joins(&self, team: &TeamUid, by: JoinBy) {
        let rule = Joining { provider: self.acme.uid.clone(), by };
        self.app
            .policy(team, |policy| {
                policy.upstream_providers = vec![rule.provider.clone()];
                policy.joins.push(rule);
            })
            .await;
    }

    fn browser(&self) -> BrowserSecret {
        BrowserSecret::generate(self.app.entropy.as_ref())
    }

    #[expect(clippy::unused_self, reason = "reads as a step of the scene")]
    fn answer(&self, provider: &Provider, browser: &BrowserSecret) -> UpstreamAnswer {
        UpstreamAnswer {
            provider: Some(provider.uid.to_string()),
            code: Some(Secret::new("code-1".to_owned())),
            state: Some(browser.at(&provider.uid).derive(Derived::State).expose().to_owned()),
            ..UpstreamAnswer::default()
        }
    }

    async fn finish(
        &self,
        provider: &Provider,
        browser: &BrowserSecret,
        answer: &UpstreamAnswer,
    ) -> Result<SignedIn, UpstreamRefused> {
        self.app.issuer.upstream_finish(&provider.uid, browser, None, answer, &origin()).await
    }

    /// Signs in with the claims that `change` makes of sound ones.
    async fn with(
        &self,
        provider: &Provider,
        subject: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<SignedIn, UpstreamRefused> {
        let browser = self.browser();
        let mut claims = provider.claims(&self.app, subject, browser.at(&provider.uid).derive(Derived::Nonce).expose());
        change(&mut claims);
        provider.answers(&id_token("RS256", &claims));
        self.finish(provider, &browser, &self.answer(provider, &browser)).await
    }

    async fn comes(&self, subject: &str) -> SignedIn {
        self.with(&self.acme, subject, |_| {}).await.unwrap()
    }

    async fn refused(&self, subject: &str) -> &'static str {
        self.with(&self.acme, subject, |_| {}).await.unwrap_err().reason().unwrap()
    }

    async fn people(&self) -> usize {
        self.app.store.users(&brevet::store::Page::default()).await.unwrap().items.len()
    }
}

#[tokio::test]
async fn a_person_signs_in_comes_into_the_team_and_mints() {
    let scene = Scene::set().await;
    let browser = scene.browser();
    let url = scene.app.issuer.upstream_begin(&scene.acme.uid, &browser).await.unwrap();
    assert_eq!(
        format!("{}{}", url.origin().ascii_serialization(), url.path()),
        format!("{}/authorize", scene.acme.url())
    );
    let sent: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    let browser = browser.at(&scene.acme.uid);
    let derived = |what| browser.derive(what).expose().to_owned();
    for (name, value) in [
        ("response_type", "code".to_owned()),
        ("client_id", CLIENT.to_owned()),
        ("redirect_uri", "https://id.example.com/brevet/oauth2/callback/acme".to_owned()),
        ("scope", "openid profile email".to_owned()),
        ("state", derived(Derived::State)),
        ("nonce", derived(Derived::Nonce)),
        ("code_challenge", browser.challenge()),
        ("code_challenge_method", "S256".to_owned()),
    ] {
        assert_eq!(sent.get(name), Some(&value), "{name}");
    }
    let verifier = derived(Derived::Verifier);
    assert!(!url.as_str().contains(&verifier), "the verifier stays here until the code is redeemed");

    let first = scene.comes("s-1").await;
    assert_eq!(first.origin, SessionOrigin::Upstream(scene.acme.uid.clone()));
    assert_eq!((first.subject.as_deref(), first.sid.as_deref()), (Some("s-1"), Some("sid-of-s-1")));
    assert_eq!(first.amr, ["pwd", "mfa"]);
    assert_eq!(first.ends_at - first.at, Duration::hours(12));
    let user = scene.app.store.user(&first.user).await.unwrap().unwrap();
    assert_eq!((user.name.as_str(), user.email.as_deref()), ("Ada", Some("ada@acme.example")));
    assert!(scene.app.store.is_member(&scene.team, &first.user).await.unwrap());
    let tokens = scene.app.let_in(&first).await;
    scene.app.token(tokens["access_token"].as_str().unwrap(), "sts.amazonaws.com").await;

    let again = scene.with(&scene.acme, "s-1", |claims| claims["name"] = json!("Ada L.")).await.unwrap();
    assert_eq!(again.user, first.user);
    assert_eq!(scene.app.store.user(&first.user).await.unwrap().unwrap().name, "Ada L.");
    assert_eq!(scene.people().await, 1);
}

#[tokio::test]
async fn threat_1_an_id_token_that_is_not_this_sign_ins_signs_nobody_in() {
    let scene = Scene::set().await;
    let (app, acme) = (&scene.app, &scene.acme);
    let browser = scene.browser();
    let nonce = browser.at(&acme.uid).derive(Derived::Nonce).expose().to_owned();
    let sound = acme.claims(app, "s-1", &nonce);
    let changed = |name: &str, value: Value| {
        let mut claims = sound.clone();
        claims[name] = value;
        id_token("RS256", &claims)
    };
    let now = app.clock.now().unix_timestamp();
    let header = |header: Value| sign("RS256", &header.to_string(), &sound.to_string());
    let modulus = jwk("RS256")["n"].as_str().unwrap().to_owned();
    for (what, token) in [
        ("alg none", sign("none", r#"{"alg":"none"}"#, &sound.to_string())),
        ("alg None", sign("none", r#"{"alg":"None"}"#, &sound.to_string())),
        ("no signature", format!("{}.", id_token("RS256", &sound).rsplit_once('.').unwrap().0)),
        ("HS256 with the public key", hs256(&sound, modulus.as_bytes())),
        ("HS256 with the client id", hs256(&sound, CLIENT.as_bytes())),
        ("an algorithm that is not listed", id_token("RS384", &sound)),
        ("another key's algorithm", header(json!({ "alg": "ES256", "kid": "RS256" }))),
        ("an unknown key", header(json!({ "alg": "RS256", "kid": "nobody's" }))),
        ("crit", header(json!({ "alg": "RS256", "kid": "RS256", "crit": ["x"], "x": 1 }))),
        ("another type", header(json!({ "alg": "RS256", "kid": "RS256", "typ": "at+jwt" }))),
        ("other claims under the signature", {
            let (mine, theirs) = (id_token("RS256", &sound), changed("sub", json!("s-2")));
            let [mine, theirs] = [mine, theirs].map(|token| token.split('.').map(str::to_owned).collect::<Vec<_>>());
            format!("{}.{}.{}", mine[0], theirs[1], mine[2])
        }),
        ("iss", changed("iss", json!(format!("{}/", acme.url())))),
        ("aud", changed("aud", json!("another"))),
        ("a second aud", changed("aud", json!([CLIENT, "another"]))),
        ("azp", changed("azp", json!("another"))),
        ("nonce", changed("nonce", json!("another"))),
        ("no nonce", changed("nonce", Value::Null)),
        ("exp", changed("exp", json!(now - 61))),
        ("iat", changed("iat", json!(now + 61))),
        ("at_hash", changed("at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA"))),
        ("sub", changed("sub", json!(""))),
        ("no sub", changed("sub", Value::Null)),
        ("sid", changed("sid", json!(7))),
        ("nonsense", "x.y.z".to_owned()),
    ] {
        acme.answers(&token);
        let refused = scene.finish(acme, &browser, &scene.answer(acme, &browser)).await.unwrap_err();
        let told = refused.to_string();
        assert!(matches!(refused, UpstreamRefused::IdToken(_) | UpstreamRefused::Answer), "{what}: {refused:?}");
        assert!(!told.contains("another") && !told.contains("s-1"), "{what}: {told}");
        assert_eq!(scene.people().await, 0, "{what}");
    }
    for alg in ["RS256", "ES256", "PS256"] {
        acme.answers(&id_token(alg, &sound));
        scene.finish(acme, &browser, &scene.answer(acme, &browser)).await.unwrap();
    }
}

/// An HMAC under `key`, as if it were a secret of both sides.
fn hs256(claims: &Value, key: &[u8]) -> String {
    use aws_lc_rs::hmac;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let input = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"RS256"}"#),
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(tag))
}

#[tokio::test]
async fn threat_38_an_answer_is_taken_only_from_the_provider_and_for_the_browser_that_was_sent_there() {
    let scene = Scene::set().await;
    let other = Provider::start("other");
    scene.know(&other).await;
    let (browser, stranger) = (scene.browser(), scene.browser());
    let acme = &scene.acme;
    acme.answers(&id_token(
        "RS256",
        &acme.claims(&scene.app, "s-1", browser.at(&acme.uid).derive(Derived::Nonce).expose()),
    ));
    let sound = scene.answer(acme, &browser);
    let cases: [(&str, UpstreamAnswer); 9] = [
        ("upstream_state", UpstreamAnswer { state: None, ..sound.clone() }),
        ("upstream_state", UpstreamAnswer { state: scene.answer(acme, &stranger).state, ..sound.clone() }),
        // What the other provider has seen of the same browser.
        ("upstream_state", UpstreamAnswer { state: scene.answer(&other, &browser).state, ..sound.clone() }),
        ("upstream_other_provider", UpstreamAnswer { provider: None, ..sound.clone() }),
        ("upstream_other_provider", UpstreamAnswer { provider: Some("other".to_owned()), ..sound.clone() }),
        ("upstream_other_provider", UpstreamAnswer { iss: Some(other.url().to_owned()), ..sound.clone() }),
        ("upstream_denied", UpstreamAnswer { error: Some("access_denied".to_owned()), ..sound.clone() }),
        ("upstream_answer", UpstreamAnswer { error: Some("server_error".to_owned()), ..sound.clone() }),
        ("upstream_answer", UpstreamAnswer { code: None, ..sound.clone() }),
    ];
    for (reason, answer) in cases {
        let asked = acme.documents.asked().iter().filter(|path| *path == "/token").count();
        let refused = scene.finish(acme, &browser, &answer).await.unwrap_err();
        assert_eq!(refused.reason(), Some(reason), "{refused:?}");
        let after = acme.documents.asked().iter().filter(|path| *path == "/token").count();
        assert_eq!(asked, after, "{reason}: the code went to the provider all the same");
    }
    // A provider that says it names itself must (RFC 9207, section 2.4).
    let mut document = other.document();
    document["authorization_response_iss_parameter_supported"] = json!(true);
    other.publish(&document);
    let answer = scene.answer(&other, &browser);
    other.answers(&id_token(
        "RS256",
        &other.claims(&scene.app, "s-1", browser.at(&other.uid).derive(Derived::Nonce).expose()),
    ));
    let refused = scene.finish(&other, &browser, &answer).await.unwrap_err();
    assert_eq!(refused.reason(), Some("upstream_other_provider"));
    let named = UpstreamAnswer { iss: Some(other.url().to_owned()), ..answer };
    assert_eq!(scene.finish(&other, &browser, &named).await.unwrap_err().reason(), Some("no_team_admits"));
    // The code was over.
    acme.documents.answer("/token", "400 Bad Request", json!({ "error": "invalid_grant" }).to_string());
    assert_eq!(scene.finish(acme, &browser, &sound).await.unwrap_err().reason(), Some("upstream_code"));
    acme.documents.answer("/token", "401 Unauthorized", json!({ "error": "invalid_client" }).to_string());
    assert_eq!(scene.finish(acme, &browser, &sound).await.unwrap_err().reason(), Some("upstream_client"));
    assert_eq!(scene.people().await, 0);
}

#[tokio::test]
async fn threat_38_one_subject_at_two_providers_is_two_people_and_no_address_links_them() {
    let scene = Scene::set().await;
    let other = Provider::start("other");
    scene.know(&other).await;
    let blue = scene.app.team("blue").await;
    let rule = Joining { provider: other.uid.clone(), by: JoinBy::Group(Group::parse("eng").unwrap()) };
    scene.app.policy(&blue, |policy| policy.joins.push(rule)).await;
    let at_acme = scene.comes("s-1").await;
    let at_other = scene.with(&other, "s-1", |_| {}).await.unwrap();
    assert_ne!(at_acme.user, at_other.user);
    assert!(!scene.app.store.is_member(&scene.team, &at_other.user).await.unwrap(), "red takes in acme's people alone");
    assert!(!scene.app.store.is_member(&blue, &at_acme.user).await.unwrap());
}

#[tokio::test]
async fn threat_23_whoever_was_removed_disabled_or_deleted_does_not_come_back_by_signing_in() {
    let scene = Scene::set().await;
    let (store, event) = (&scene.app.store, || scene.app.event());
    let removed = scene.comes("removed").await.user;
    store.remove_member(&scene.team, &removed, &event()).await.unwrap();
    let switched_off = scene.comes("switched-off").await.user;
    let off = MembershipChange { disabled_at: Some(Some(scene.app.clock.now())), ..MembershipChange::default() };
    store.update_member(&scene.team, &switched_off, None, &off, &event()).await.unwrap();
    for (subject, user) in [("removed", &removed), ("switched-off", &switched_off)] {
        assert_eq!(scene.comes(subject).await.user, *user);
        assert!(!store.is_member(&scene.team, user).await.unwrap(), "{subject}");
    }
    let disabled = scene.comes("disabled").await.user;
    let off = UserChange { disabled_at: Some(Some(scene.app.clock.now())), ..UserChange::default() };
    store.update_user(&disabled, None, &off, &event()).await.unwrap();
    assert_eq!(scene.refused("disabled").await, "user_not_alive");
    let deleted = scene.comes("deleted").await.user;
    store.delete_user(&deleted, None, &event()).await.unwrap();
    assert_eq!(scene.refused("deleted").await, "user_not_alive");
    assert_eq!(store.upstream_identities(&deleted).await.unwrap()[0].subject.find("deleted"), None, "it is erased");
    // A team that is switched off takes nobody in.
    let change = brevet::store::TeamChange { disabled_at: Some(Some(scene.app.clock.now())), ..Default::default() };
    store.update_team(&scene.team, None, &change, &event()).await.unwrap();
    assert_eq!(scene.refused("late").await, "no_team_admits");
}

#[tokio::test]
async fn threat_38_nobody_is_made_of_a_subject_that_no_team_takes_in() {
    let scene = Scene::set().await;
    let acme = &scene.acme;
    for (what, change) in [
        ("not verified", json!({ "email_verified": false })),
        ("no flag", json!({ "email_verified": null })),
        ("a subdomain", json!({ "email": "ada@mail.acme.example" })),
        ("another domain", json!({ "email": "ada@acme.example.evil.example" })),
        ("no address", json!({ "email": null })),
    ] {
        let refused = scene
            .with(acme, "s-9", |claims| {
                for (name, value) in change.as_object().unwrap() {
                    claims[name] = value.clone();
                }
            })
            .await
            .unwrap_err();
        assert_eq!(refused.reason(), Some("no_team_admits"), "{what}");
        assert_eq!(scene.people().await, 0, "{what}");
    }
    // Made known before the first sign-in, a person is met by their subject.
    let known = scene.app.person("known", &[]).await;
    let link = brevet::store::UpstreamIdentity {
        provider: acme.uid.clone(),
        subject: "s-9".to_owned(),
        user: known.clone(),
        created_by: None,
        created_at: scene.app.clock.now(),
        signed_in_at: None,
    };
    scene.app.store.link_identity(&link, &scene.app.event(), None).await.unwrap();
    assert_eq!(scene.with(acme, "s-9", |claims| claims["email"] = Value::Null).await.unwrap().user, known);
    // Only verified addresses, where the operator says so.
    let provider = scene.app.store.upstream_provider(&acme.uid).await.unwrap().unwrap();
    let settings = UpstreamSettings { require_verified_email: true, ..provider.settings };
    let change = UpstreamProviderChange { settings: Some(settings), ..UpstreamProviderChange::default() };
    scene.app.store.update_upstream_provider(&acme.uid, None, &change, &scene.app.event()).await.unwrap();
    let refused = scene.with(acme, "s-9", |claims| claims["email_verified"] = json!(false)).await.unwrap_err();
    assert_eq!(refused.reason(), Some("email_not_verified"));
}

#[tokio::test]
async fn threat_22_a_provider_leads_us_nowhere_else() {
    let inner = Documents::start();
    for (what, change) in [
        ("another issuer", json!({ "issuer": "https://id.acme.example" })),
        ("metadata address", json!({ "jwks_uri": "http://169.254.169.254/latest" })),
        ("metadata address over https", json!({ "jwks_uri": "https://169.254.169.254/latest" })),
        ("private address", json!({ "jwks_uri": "https://10.0.0.1/keys" })),
        ("user in a URL", json!({ "token_endpoint": "https://a@b.example/token" })),
        ("plain http elsewhere", json!({ "jwks_uri": "http://keys.example/keys" })),
        ("a script", json!({ "authorization_endpoint": "javascript:alert(1)" })),
        ("no algorithm of ours", json!({ "id_token_signing_alg_values_supported": ["HS256", "none", "EdDSA"] })),
        ("no token endpoint", json!({ "token_endpoint": null })),
    ] {
        let scene = Scene::set().await;
        let mut document = scene.acme.document();
        for (name, value) in change.as_object().unwrap() {
            document[name] = value.clone();
        }
        scene.acme.publish(&document);
        let refused = scene.app.issuer.upstream_begin(&scene.acme.uid, &scene.browser()).await.err();
        let refused = refused.unwrap_or_else(|| panic!("{what}: taken"));
        assert_eq!(refused.reason(), Some("upstream_unusable"), "{what}: {refused:?}");
        assert!(!format!("{refused:?}").contains("169.254"), "{what}: {refused:?}");
    }
    for (status, body) in [
        (format!("302 Found\r\nlocation: {}/x", inner.origin()), String::new()),
        ("200 OK".to_owned(), format!("{{\"x\":\"{}\"}}", "a".repeat(200_000))),
        ("200 OK".to_owned(), "<html>".to_owned()),
        ("500 Internal Server Error".to_owned(), "{}".to_owned()),
    ] {
        let scene = Scene::set().await;
        scene.acme.documents.answer(DISCOVERY, &status, body);
        let refused = scene.app.issuer.upstream_begin(&scene.acme.uid, &scene.browser()).await.unwrap_err();
        assert_eq!(refused.reason(), Some("upstream_unusable"), "{status}");
    }
    // Nor with the code in hand: the token endpoint's redirect is an answer.
    let scene = Scene::set().await;
    let status = format!("307 Temporary Redirect\r\nlocation: {}/token", inner.origin());
    scene.acme.documents.answer("/token", &status, String::new());
    let browser = scene.browser();
    let refused = scene.finish(&scene.acme, &browser, &scene.answer(&scene.acme, &browser)).await.unwrap_err();
    assert_eq!(refused.reason(), Some("upstream_answer"));
    assert_eq!(inner.asked(), Vec::<String>::new());
    // A private key in the JWKS refuses all of it.
    let scene = Scene::set().await;
    let mut key = jwk("RS256");
    key.insert("d".to_owned(), json!("AQAB"));
    scene.acme.documents.put("/keys", json!({ "keys": [key] }).to_string());
    assert!(scene.app.issuer.upstream_begin(&scene.acme.uid, &scene.browser()).await.is_err());
}

/// A logout token, as section 2.4 has it, changed by a test.
fn logout_token(scene: &Scene, change: impl FnOnce(&mut Value)) -> String {
    let now = scene.app.clock.now().unix_timestamp();
    let mut claims = json!({
        "iss": scene.acme.url(), "aud": CLIENT, "iat": now, "exp": now + 120, "jti": "j-1", "sub": "s-1",
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    change(&mut claims);
    let header = json!({ "alg": "RS256", "kid": "RS256", "typ": "logout+jwt" });
    sign("RS256", &header.to_string(), &claims.to_string())
}

#[tokio::test]
async fn threat_23_a_logout_at_the_provider_ends_sessions_here_at_once_and_once() {
    let scene = Scene::set().await;
    let app = &scene.app;
    let logout = async |token: &str| app.form("/oauth2/backchannel_logout", &[("logout_token", token)]).await;
    let alive = async |bearer: &str| app.mint(bearer, &json!({})).await.status == StatusCode::OK;
    let session = async |signed_in: &SignedIn| app.let_in(signed_in).await["access_token"].as_str().unwrap().to_owned();
    let (first, other) = (scene.comes("s-1").await, scene.comes("s-2").await);
    let second_sid = scene.with(&scene.acme, "s-1", |claims| claims["sid"] = json!("sid-2")).await.unwrap();
    let [one, two, theirs] = [session(&first).await, session(&second_sid).await, session(&other).await];

    let by_sid = logout_token(&scene, |claims| {
        claims["sid"] = json!("sid-2");
        claims.as_object_mut().unwrap().remove("sub");
    });
    let answer = logout(&by_sid).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer}");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!((alive(&one).await, alive(&two).await, alive(&theirs).await), (true, false, true));

    let replayed = logout(&by_sid).await;
    assert_eq!(replayed.status, StatusCode::BAD_REQUEST);
    assert_eq!(replayed.headers["cache-control"], "no-store");

    // A device that was approved and has not asked for its tokens yet gets none.
    let begun = app.form("/oauth2/device_authorization", &[("client_id", "brevet-cli")]).await.json();
    let asked = app.issuer.device_asked(begun["user_code"].as_str().unwrap(), &origin()).await.unwrap();
    app.issuer.approve_device(asked.id, &first, None, &origin()).await.unwrap();
    let by_subject = logout_token(&scene, |claims| claims["jti"] = json!("j-2"));
    assert_eq!(logout(&by_subject).await.status, StatusCode::OK);
    assert_eq!((alive(&one).await, alive(&theirs).await), (false, true));
    let grant = "urn:ietf:params:oauth:grant-type:device_code";
    let code = begun["device_code"].as_str().unwrap();
    let polled = [("grant_type", grant), ("client_id", "brevet-cli"), ("device_code", code)];
    assert_eq!(app.form("/oauth2/token", &polled).await.status, StatusCode::BAD_REQUEST);
    // Signing in again is another matter.
    assert!(alive(&session(&scene.comes("s-1").await).await).await);
}

#[tokio::test]
async fn threat_2_a_logout_token_that_is_none_ends_nothing() {
    let scene = Scene::set().await;
    let app = &scene.app;
    let signed_in = scene.comes("s-1").await;
    let bearer = app.let_in(&signed_in).await["access_token"].as_str().unwrap().to_owned();
    let now = app.clock.now().unix_timestamp();
    let without = |name: &'static str| {
        logout_token(&scene, move |claims| {
            claims.as_object_mut().unwrap().remove(name);
        })
    };
    let with = |name: &'static str, value: Value| logout_token(&scene, move |claims| claims[name] = value);
    let typed = |header: Value| {
        let token = logout_token(&scene, |_| {});
        let claims = token.split('.').nth(1).unwrap();
        let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
        sign("RS256", &header.to_string(), std::str::from_utf8(&claims).unwrap())
    };
    for (what, token) in [
        ("nonsense", "x".to_owned()),
        ("an ID token", id_token("RS256", &scene.acme.claims(app, "s-1", "n"))),
        ("a nonce", with("nonce", json!("n"))),
        ("no events", without("events")),
        ("another event", with("events", json!({ "http://example.com/x": {} }))),
        ("events that are none", with("events", json!("http://schemas.openid.net/event/backchannel-logout"))),
        ("another issuer", with("iss", json!("https://other.example"))),
        ("another client", with("aud", json!("another"))),
        ("two clients", with("aud", json!([CLIENT, "another"]))),
        ("no iat", without("iat")),
        ("too old", with("iat", json!(now - 400))),
        ("over", with("exp", json!(now - 61))),
        ("from the future", with("iat", json!(now + 61))),
        ("no jti", without("jti")),
        ("nobody", without("sub")),
        ("a subject that is none", with("sub", json!(7))),
        ("another type", typed(json!({ "alg": "RS256", "kid": "RS256", "typ": "at+jwt" }))),
        ("crit", typed(json!({ "alg": "RS256", "kid": "RS256", "crit": ["x"] }))),
        ("alg none", typed(json!({ "alg": "none" }))),
        ("HS256", typed(json!({ "alg": "HS256", "kid": "RS256" }))),
        ("another algorithm", typed(json!({ "alg": "PS256", "kid": "PS256" }))),
        ("unsigned", format!("{}.", logout_token(&scene, |_| {}).rsplit_once('.').unwrap().0)),
    ] {
        let answer = app.form("/oauth2/backchannel_logout", &[("logout_token", &token)]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}: {answer}");
        assert!(
            !answer.to_string().contains(&token[..token.len().min(20)]) || token.len() < 20,
            "{what}: it is echoed"
        );
    }
    assert_eq!(app.form("/oauth2/backchannel_logout", &[]).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(app.mint(&bearer, &json!({})).await.status, StatusCode::OK);
}

#[tokio::test]
async fn threat_23_what_began_at_a_provider_ends_with_it() {
    let scene = Scene::set().await;
    let app = &scene.app;
    let signed_in = scene.comes("s-1").await;
    let bearer = app.let_in(&signed_in).await["access_token"].as_str().unwrap().to_owned();
    let minted = async || app.mint(&bearer, &json!({})).await.status == StatusCode::OK;
    let switch = async |off: bool| {
        let disabled_at = Some(off.then(|| app.clock.now()));
        let change = UpstreamProviderChange { disabled_at, ..UpstreamProviderChange::default() };
        app.store.update_upstream_provider(&scene.acme.uid, None, &change, &app.event()).await.unwrap();
        app.issuer.forget();
    };
    assert!(minted().await);
    switch(true).await;
    assert!(!minted().await);
    assert_eq!(scene.refused("s-1").await, "provider_not_offered");
    assert!(app.issuer.upstream_choices(None).await.unwrap().is_empty());
    switch(false).await;
    assert!(minted().await);
    app.store.delete_upstream_provider(&scene.acme.uid, None, &app.event()).await.unwrap();
    app.issuer.forget();
    assert!(!minted().await);
    assert_eq!(scene.refused("s-1").await, "provider_not_offered");
    assert_eq!(app.store.upstream_provider(&scene.acme.uid).await.unwrap(), None);
    let _: UserUid = signed_in.user;
}
