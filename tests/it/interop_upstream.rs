//! People sign in at a provider that nobody here wrote: node's oidc-provider, its pages walked over plain HTTP.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use brevet::config::host::SystemClock;
use brevet::domain::audit::Origin;
use brevet::domain::browser::BrowserSecret;
use brevet::domain::clock::Clock;
use brevet::domain::id::{TeamUid, UpstreamUid};
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::secret::Secret;
use brevet::domain::session::SignedIn;
use brevet::domain::upstream::{Group, JoinBy, Joining};
use brevet::fetch::{self, Reach};
use brevet::issuer::sign_in::upstream::{UpstreamAnswer, UpstreamRefused};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use serde_json::json;
use url::Url;

use crate::support::app::{App, Options};
use crate::support::clients::{self, Client};
use crate::support::served::free_port;

/// The company's provider. It ends when the value is dropped.
struct Company {
    child: Child,
    _client: Client,
    issuer: String,
}

impl Company {
    /// Starts it for the client that an installation at `ours` is; `None` after saying that the test is skipped.
    fn start(ours: &str, provider: &str) -> Option<Self> {
        let (port, redirect) = (free_port().to_string(), format!("{ours}/oauth2/callback/{provider}"));
        let logout = format!("{ours}/oauth2/backchannel_logout");
        let mut client = clients::node("upstream_provider.mjs")?;
        let command = client.command();
        command.args(["--port", &port, "--client-id", "brevet", "--secret", "a:secret/with%signs"]);
        command.args(["--redirect", &redirect, "--logout", &logout]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("node runs");
        let mut said = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
        out.read_line(&mut said).expect("it says that it listens");
        // It dies of a pipe that nobody reads.
        std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
        assert!(said.contains("\"ok\":true"), "{said}");
        Some(Self { child, _client: client, issuer: format!("http://127.0.0.1:{port}") })
    }
}

impl Drop for Company {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A browser without pages: cookies, and where it was sent.
struct Walker {
    client: fetch::Client,
    cookies: BTreeMap<String, String>,
}

impl Walker {
    fn new() -> Self {
        let limits = fetch::Limits { total: std::time::Duration::from_mins(1), ..fetch::Limits::default() };
        let settings = fetch::Settings { reach: Reach::public().and_loopback(), limits, ..Default::default() };
        let client = fetch::Client::new(settings).unwrap();
        Self { client, cookies: BTreeMap::new() }
    }

    async fn send(&mut self, method: Method, url: &str, form: &[(&str, &str)]) -> http::Response<Bytes> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = Request::builder()
            .method(method)
            .uri(url)
            .header("cookie", cookies.join("; "))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Bytes::from(body))
            .unwrap();
        let answer = self.client.send(request).await.unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let (name, value) = cookie.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        answer
    }

    /// Where an answer sends the browser.
    async fn sent(&mut self, method: Method, url: &str, form: &[(&str, &str)]) -> Url {
        let answer = self.send(method, url, form).await;
        let to = answer.headers().get("location").unwrap_or_else(|| panic!("{url}: {answer:?}"));
        Url::parse(url).unwrap().join(to.to_str().unwrap()).unwrap()
    }

    /// From the provider's authorization endpoint through login and consent, or a refusal of it, back to us.
    async fn walk(&mut self, begin: &Url, name: &str, consents: bool) -> Url {
        let mut at = self.sent(Method::GET, begin.as_str(), &[]).await;
        for _ in 0..6 {
            if at.path().starts_with("/brevet/oauth2/callback/") {
                return at;
            }
            if at.path().starts_with("/interaction/") {
                let page = self.send(Method::GET, at.as_str(), &[]).await;
                let page = String::from_utf8_lossy(page.body()).into_owned();
                let login = page.contains(r#"value="login""#);
                at = if login {
                    let form = [("prompt", "login"), ("login", name), ("password", "x")];
                    self.sent(Method::POST, at.as_str(), &form).await
                } else if consents {
                    self.sent(Method::POST, at.as_str(), &[("prompt", "consent")]).await
                } else {
                    self.sent(Method::GET, &format!("{at}/abort"), &[]).await
                };
            } else {
                at = self.sent(Method::GET, at.as_str(), &[]).await;
            }
        }
        panic!("the provider never sends anybody back: {at}");
    }
}

/// An installation that really listens, and a company's provider that it knows through the admin API.
struct Scene {
    app: App,
    team: TeamUid,
    company: Company,
    provider: UpstreamUid,
}

impl Scene {
    async fn set() -> Option<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = format!("http://{}/brevet", listener.local_addr().unwrap());
        let company = Company::start(&ours, "company")?;
        let url = IssuerUrl::parse(&ours, Development::On).unwrap();
        let app = App::at_when(url, SystemClock.now(), Options::default()).await;
        let router = app.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        let team = app.team("red").await;
        let provider = UpstreamUid::parse("company").unwrap();
        let operator = app.administrator().await;
        let body = json!({
            "uid": "company", "name": "Company", "issuer": company.issuer, "client_id": "brevet",
            "client_secret": "a:secret/with%signs", "groups_claim": "groups", "email_domains": ["acme.example"],
        });
        let request = Request::post("/brevet/v1/upstream-providers")
            .header("authorization", format!("Bearer {operator}"))
            .header("content-type", "application/json");
        let request = request.body(axum::body::Body::from(body.to_string())).unwrap();
        let made = crate::support::app::send(&brevet::http::admin::router(app.state.clone()), request).await;
        assert_eq!(made.status, StatusCode::CREATED, "{made}");
        assert_eq!(made.json()["redirect_uri"], format!("{ours}/oauth2/callback/company"));
        assert!(!made.to_string().contains("with%signs"));
        let rule = Joining { provider: provider.clone(), by: JoinBy::Group(Group::parse("eng").unwrap()) };
        app.policy(&team, |policy| {
            policy.upstream_providers = vec![provider.clone()];
            policy.joins = vec![rule];
        })
        .await;
        Some(Self { app, team, company, provider })
    }

    /// What the provider sent the browser back with.
    fn answer(back: &Url) -> UpstreamAnswer {
        let mut query: BTreeMap<_, _> = back.query_pairs().into_owned().collect();
        UpstreamAnswer {
            provider: back.path().rsplit('/').next().map(str::to_owned),
            code: query.remove("code").map(Secret::new),
            state: query.remove("state"),
            iss: query.remove("iss"),
            error: query.remove("error"),
            error_description: query.remove("error_description"),
        }
    }

    async fn sign_in(&self, walker: &mut Walker, name: &str, consents: bool) -> Result<SignedIn, UpstreamRefused> {
        let browser = BrowserSecret::generate(self.app.entropy.as_ref());
        let begin = self.app.issuer.upstream_begin(&self.provider, &browser).await?;
        let back = walker.walk(&begin, name, consents).await;
        // The provider's clock is this machine's; time has passed.
        self.app.clock.advance((SystemClock.now() - self.app.clock.now()).max(time::Duration::ZERO));
        let answer = Self::answer(&back);
        self.app.issuer.upstream_finish(&self.provider, &browser, None, &answer, &Origin::default()).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_of_a_company_signs_in_and_out_at_oidc_provider() {
    let Some(scene) = Scene::set().await else { return };
    let mut walker = Walker::new();
    let ada = scene.sign_in(&mut walker, "ada", true).await.unwrap();
    assert_eq!(ada.subject.as_deref(), Some("ada"));
    assert!(ada.sid.is_some(), "the provider names its session");
    let user = scene.app.store.user(&ada.user).await.unwrap().unwrap();
    assert_eq!((user.name.as_str(), user.email.as_deref()), ("Person ada", Some("ada@acme.example")));
    assert!(scene.app.store.is_member(&scene.team, &ada.user).await.unwrap());
    let bearer = scene.app.let_in(&ada).await["access_token"].as_str().unwrap().to_owned();
    scene.app.token(&bearer, "sts.amazonaws.com").await;
    // The provider remembers the browser: the same person, without a page.
    assert_eq!(scene.sign_in(&mut walker, "nobody", true).await.unwrap().user, ada.user);
    // Another browser, another person, who stays signed in below.
    let bob = scene.sign_in(&mut Walker::new(), "bob", true).await.unwrap();
    assert_ne!(bob.user, ada.user);
    let bobs = scene.app.let_in(&bob).await["access_token"].as_str().unwrap().to_owned();

    let page = walker.send(Method::GET, &format!("{}/session/end", scene.company.issuer), &[]).await;
    let page = String::from_utf8_lossy(page.body()).into_owned();
    let xsrf = page.split(r#"name="xsrf" value=""#).nth(1).and_then(|rest| rest.split('"').next()).expect("a form");
    let confirm = format!("{}/session/end/confirm", scene.company.issuer);
    walker.send(Method::POST, &confirm, &[("xsrf", xsrf), ("logout", "yes")]).await;
    // The provider has told us by the time that it answers.
    assert_eq!(scene.app.mint(&bearer, &json!({})).await.status, StatusCode::UNAUTHORIZED);
    scene.app.token(&bobs, "sts.amazonaws.com").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_wrong_at_oidc_provider_signs_nobody_in() {
    let Some(scene) = Scene::set().await else { return };
    let denied = scene.sign_in(&mut Walker::new(), "ada", false).await.unwrap_err();
    assert_eq!(denied.reason(), Some("upstream_denied"));

    let (app, provider, origin) = (&scene.app, &scene.provider, Origin::default());
    let [browser, other] = [(); 2].map(|()| BrowserSecret::generate(app.entropy.as_ref()));
    let begin = app.issuer.upstream_begin(provider, &browser).await.unwrap();
    let back = Walker::new().walk(&begin, "ada", true).await;
    app.clock.advance((SystemClock.now() - app.clock.now()).max(time::Duration::ZERO));
    let answer = Scene::answer(&back);
    let finish = async |browser: &BrowserSecret, answer: &UpstreamAnswer| {
        app.issuer.upstream_finish(provider, browser, None, answer, &origin).await.map_err(|refused| refused.reason())
    };
    // Another browser's state; then that browser's own state over a code that was begun here: the challenge of the
    // code is not its.
    assert_eq!(finish(&other, &answer).await, Err(Some("upstream_state")));
    let state = Some(other.at(provider).derive(brevet::domain::browser::Derived::State).expose().to_owned());
    let injected = UpstreamAnswer { state, ..answer.clone() };
    assert_eq!(finish(&other, &injected).await, Err(Some("upstream_code")));
    let made_up = UpstreamAnswer { code: Some(Secret::new("made-up".to_owned())), ..answer.clone() };
    assert_eq!(finish(&browser, &made_up).await, Err(Some("upstream_code")));
    let unnamed = UpstreamAnswer { iss: None, ..answer };
    assert_eq!(finish(&browser, &unnamed).await, Err(Some("upstream_other_provider")), "it says that it names itself");
}
