//! The pages that people sign in on, through every layer of the real router.

use std::net::IpAddr;

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brevet::domain::audit::{Action, Decision};
use brevet::domain::clock::Clock;
use brevet::issuer::limits::LimitNumbers;
use brevet::limit::rate::Rate;
use http::{Method, Request, StatusCode};
use serde_json::Value;
use time::Duration;

use crate::support::app::{Answer, App, Options};
use crate::support::browser::{Browser, COOKIE};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

/// A device that asks.
struct Device {
    device_code: String,
    user_code: String,
}

impl Device {
    async fn ask(app: &App, more: &[(&str, &str)]) -> Self {
        let fields = [&[("client_id", "brevet-cli")], more].concat();
        let answer = app.form("/oauth2/device_authorization", &fields).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer}");
        let text = |member: &str| answer.json()[member].as_str().unwrap().to_owned();
        Self { device_code: text("device_code"), user_code: text("user_code") }
    }

    async fn poll(&self, app: &App) -> Value {
        app.clock.advance(Duration::seconds(30));
        let grant = ("grant_type", "urn:ietf:params:oauth:grant-type:device_code");
        let fields = [grant, ("client_id", "brevet-cli"), ("device_code", self.device_code.as_str())];
        app.form("/oauth2/token", &fields).await.json()
    }
}

fn page(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

/// From the device's code to the question; the browser is signed in with an enrolment code.
async fn led_to_the_question(browser: &mut Browser<'_>, device: &Device, code: &str) -> Answer {
    browser.get("/device").await;
    let taken = browser.post("/device", &[("user_code", &device.user_code)]).await;
    browser.follow(&taken).await;
    let signed_in = browser.post("/sign-in", &[("code", code)]).await;
    browser.follow(&signed_in).await
}

fn authorize(changed: &[(&str, &str)]) -> String {
    let challenge = URL_SAFE_NO_PAD.encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, VERIFIER.as_bytes()));
    let usual = [
        ("response_type", "code"),
        ("client_id", "brevet-cli"),
        ("redirect_uri", "http://127.0.0.1:8400/done"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("state", "s-1"),
        ("device_name", "Ann's laptop"),
    ];
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(usual.into_iter().filter(|(name, _)| !changed.iter().any(|(other, _)| other == name)));
    query.extend_pairs(changed.iter().filter(|(_, value)| !value.is_empty()));
    format!("/oauth2/authorize?{}", query.finish())
}

#[tokio::test]
async fn a_device_is_approved_by_whoever_typed_its_code_and_signed_in() {
    let app = App::start().await;
    let team = app.team("red").await;
    let person = app.person("ann", &[&team]).await;
    let device = Device::ask(&app, &[("device_name", "build box"), ("team", "red")]).await;
    assert_eq!(device.poll(&app).await["error"], "authorization_pending");
    let mut browser = Browser::new(&app);
    let typed = device.user_code.to_lowercase().replace('-', " ");
    browser.get("/device").await;
    let taken = browser.post("/device", &[("user_code", &typed)]).await;
    let sign_in = browser.follow(&taken).await;
    let shown = page(&sign_in);
    assert!(shown.contains("“build box”") && shown.contains("<bdi>red</bdi>"), "{shown}");
    // Whoever has not signed in is not told what the team is called.
    assert!(!shown.contains("Team red"), "{shown}");
    let signed_in = browser.post("/sign-in", &[("code", &app.code(&person).await)]).await;
    let question = page(&browser.follow(&signed_in).await);
    for told in ["build box", "192.0.2.7", "The same address", "Team red (red)", "Person ann", "minute"] {
        assert!(question.contains(told), "{told}: {question}");
    }
    assert_eq!(device.poll(&app).await["error"], "authorization_pending");
    let decided = browser.post("/sign-in/confirm", &[("decision", "approve")]).await;
    assert_eq!(decided.header("location"), Some("/brevet/sign-in/done"), "{decided}");
    assert_eq!(browser.cookie, None, "the browser keeps nothing");
    let tokens = device.poll(&app).await;
    assert_eq!(tokens["user_uid"], "ann", "{tokens}");
    app.token(tokens["access_token"].as_str().unwrap(), "sts.amazonaws.com").await;
}

#[tokio::test]
async fn a_terminal_gets_its_code_back_on_loopback() {
    let app = App::start().await;
    let team = app.team("red").await;
    let person = app.person("ann", &[&team]).await;
    let mut browser = Browser::new(&app);
    let begun = browser.get(&authorize(&[])).await;
    let sign_in = browser.follow(&begun).await;
    assert!(page(&sign_in).contains("“Ann&#39;s laptop”"), "{sign_in}");
    let signed_in = browser.post("/sign-in", &[("code", &app.code(&person).await)]).await;
    browser.follow(&signed_in).await;
    let decided = browser.post("/sign-in/confirm", &[("decision", "approve")]).await;
    assert_eq!(decided.status, StatusCode::OK, "{decided}");
    let refresh = decided.header("refresh").unwrap();
    let url = url::Url::parse(refresh.strip_prefix("0;url=").unwrap()).unwrap();
    assert!(url.as_str().starts_with("http://127.0.0.1:8400/done?code="), "{url}");
    let member = |name: &str| url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned());
    assert_eq!(member("state").as_deref(), Some("s-1"));
    assert_eq!(member("iss").as_deref(), Some("https://id.example.com/brevet"));
    let code = member("code").unwrap();
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", "brevet-cli"),
        ("redirect_uri", "http://127.0.0.1:8400/done"),
        ("code_verifier", VERIFIER),
        ("code", code.as_str()),
    ];
    let tokens = app.form("/oauth2/token", &fields).await;
    assert_eq!((tokens.status, tokens.json()["user_uid"].as_str()), (StatusCode::OK, Some("ann")), "{tokens}");
}

#[tokio::test]
async fn whoever_denies_gives_nothing_signed_in_or_not() {
    let app = App::start().await;
    let person = app.person("ann", &[]).await;
    for with_code in [true, false] {
        let device = Device::ask(&app, &[]).await;
        let mut browser = Browser::new(&app);
        if with_code {
            led_to_the_question(&mut browser, &device, &app.code(&person).await).await;
        } else {
            browser.get(&format!("/device?user_code={}", device.user_code)).await;
            let taken = browser.post("/device", &[("user_code", &device.user_code)]).await;
            browser.follow(&taken).await;
        }
        let decided = browser.post("/sign-in/confirm", &[("decision", "deny")]).await;
        assert_eq!(decided.header("location"), Some("/brevet/sign-in/denied"), "{decided}");
        assert_eq!(device.poll(&app).await["error"], "access_denied");
    }
    let mut browser = Browser::new(&app);
    let begun = browser.get(&authorize(&[])).await;
    browser.follow(&begun).await;
    let decided = browser.post("/sign-in/confirm", &[("decision", "deny")]).await;
    let refresh = decided.header("refresh").unwrap();
    assert!(refresh.starts_with("0;url=http://127.0.0.1:8400/done?error=access_denied&"), "{refresh}");
    assert!(refresh.ends_with("&state=s-1&iss=https%3A%2F%2Fid.example.com%2Fbrevet"), "{refresh}");
    // Two devices, and a terminal that nobody known turned away: that one is counted.
    app.issuer.audit().drain().await;
    assert_eq!(app.rows(Action::DeviceDeny).await.len(), 3);
}

#[tokio::test]
async fn nobody_approves_before_signing_in_and_nobody_decides_twice() {
    let app = App::start().await;
    let person = app.person("ann", &[]).await;
    let device = Device::ask(&app, &[]).await;
    let mut browser = Browser::new(&app);
    browser.get("/device").await;
    let taken = browser.post("/device", &[("user_code", &device.user_code)]).await;
    browser.follow(&taken).await;
    let early = browser.post("/sign-in/confirm", &[("decision", "approve")]).await;
    assert_eq!(early.header("location"), Some("/brevet/sign-in"), "{early}");
    let asked = browser.get("/sign-in/confirm").await;
    assert_eq!(asked.header("location"), Some("/brevet/sign-in"), "{asked}");
    assert_eq!(device.poll(&app).await["error"], "authorization_pending");
    let signed_in = browser.post("/sign-in", &[("code", &app.code(&person).await)]).await;
    browser.follow(&signed_in).await;
    let (cookie, token) = (browser.cookie.clone(), browser.token.clone());
    for strange in [&[("decision", "maybe")][..], &[]] {
        assert_eq!(browser.post("/sign-in/confirm", strange).await.status, StatusCode::BAD_REQUEST);
    }
    assert_eq!(browser.post("/sign-in/confirm", &[("decision", "deny")]).await.status, StatusCode::SEE_OTHER);
    (browser.cookie, browser.token) = (cookie, token);
    let again = browser.post("/sign-in/confirm", &[("decision", "approve")]).await;
    assert_eq!(again.status, StatusCode::BAD_REQUEST, "{again}");
    assert!(page(&again).contains("This sign-in is over"));
    assert_eq!(device.poll(&app).await["error"], "access_denied");
}

#[tokio::test]
async fn a_way_that_takes_too_long_is_over_and_an_old_code_leads_nowhere() {
    let app = App::start().await;
    let person = app.person("ann", &[]).await;
    let device = Device::ask(&app, &[]).await;
    let mut browser = Browser::new(&app);
    led_to_the_question(&mut browser, &device, &app.code(&person).await).await;
    app.clock.advance(Duration::minutes(10));
    for late in [
        browser.get("/sign-in").await,
        browser.get("/sign-in/confirm").await,
        browser.post("/sign-in/confirm", &[("decision", "approve")]).await,
    ] {
        assert_eq!(late.status, StatusCode::BAD_REQUEST, "{late}");
        assert!(page(&late).contains("This sign-in is over"), "{late}");
    }
    browser.get("/device").await;
    for typed in [device.user_code.as_str(), "BCDF-GHJK", "", "AEIO-UAEI", "<b>"] {
        let answer = browser.post("/device", &[("user_code", typed)]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{typed}");
        let shown = page(&answer);
        assert!(shown.contains("role=\"alert\"") && shown.contains("aria-invalid=\"true\""), "{shown}");
        assert!(!shown.contains("<b>"), "{shown}");
    }
}

#[tokio::test]
async fn an_enrolment_code_that_opens_nothing_is_told_beside_its_field() {
    let app = App::start().await;
    let person = app.person("ann", &[]).await;
    let code = app.code(&person).await;
    let device = Device::ask(&app, &[]).await;
    let mut browser = Browser::new(&app);
    browser.get("/device").await;
    let taken = browser.post("/device", &[("user_code", &device.user_code)]).await;
    browser.follow(&taken).await;
    for (typed, words) in [("", "no enrolment code"), ("123", "no enrolment code"), (&code[..50], "no enrolment code")]
    {
        let answer = browser.post("/sign-in", &[("code", typed)]).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{typed}");
        assert!(page(&answer).contains(words) && page(&answer).contains("id=\"code-wrong\""), "{answer}");
    }
    // With the line's end that pasting leaves: the code was not used up by any of these.
    let taken = browser.post("/sign-in", &[("code", &format!(" {code}\n"))]).await;
    assert_eq!(taken.header("location"), Some("/brevet/sign-in/confirm"), "{taken}");
    let device = Device::ask(&app, &[]).await;
    let mut other = Browser::new(&app);
    other.get("/device").await;
    let taken = other.post("/device", &[("user_code", &device.user_code)]).await;
    other.follow(&taken).await;
    let used = other.post("/sign-in", &[("code", &code)]).await;
    assert!(page(&used).contains("used before"), "{used}");
    assert!(!page(&used).contains(&code[8..40]), "the code is not shown again");
}

#[tokio::test]
async fn threat_38_signing_in_gives_the_browser_another_secret() {
    let app = App::start().await;
    let person = app.person("ann", &[]).await;
    let device = Device::ask(&app, &[]).await;
    // Somebody plants the cookie of a way that they began themselves.
    let mut planter = Browser::new(&app);
    planter.get("/device").await;
    let before = planter.cookie.clone();
    let taken = planter.post("/device", &[("user_code", &device.user_code)]).await;
    assert_ne!(planter.cookie, before);
    planter.follow(&taken).await;
    let mut victim = Browser::new(&app);
    victim.cookie = planter.cookie.clone();
    victim.get("/sign-in").await;
    let signed_in = victim.post("/sign-in", &[("code", &app.code(&person).await)]).await;
    assert_ne!(victim.cookie, planter.cookie);
    victim.follow(&signed_in).await;
    let planted = planter.get("/sign-in/confirm").await;
    assert!(page(&planted).contains("This sign-in is over"), "{planted}");
    let decided = planter.post("/sign-in/confirm", &[("decision", "approve")]).await;
    assert_eq!(decided.status, StatusCode::BAD_REQUEST, "{decided}");
    assert_eq!(device.poll(&app).await["error"], "authorization_pending");
}

#[tokio::test]
async fn threat_32_no_foreign_page_posts_for_a_person_and_no_foreign_name_leads_here() {
    let app = App::start().await;
    let person = app.person("ann", &[]).await;
    let device = Device::ask(&app, &[]).await;
    let mut browser = Browser::new(&app);
    led_to_the_question(&mut browser, &device, &app.code(&person).await).await;
    let (cookie, token) = (browser.cookie.clone(), browser.token.clone());
    let approve = [("decision", "approve"), ("form", token.as_str())];
    let origin = ("origin", "https://id.example.com");
    for (fields, headers, status) in [
        (&approve[..], &[("origin", "https://evil.example")][..], 421),
        (&approve, &[("origin", "null")], 421),
        (&approve, &[("origin", "http://id.example.com")], 421),
        (&approve, &[], 421),
        (&approve, &[origin, ("sec-fetch-site", "cross-site")], 421),
        (&approve, &[origin, ("host", "evil.example")], 421),
        (&approve, &[origin, ("host", "")], 421),
        (&approve, &[origin, ("content-type", "text/plain")], 400),
        (&approve[..1], &[origin], 400),
        (&[("decision", "approve"), ("form", "x")], &[origin], 400),
        (&[("decision", "approve"), ("form", &token), ("form", &token)], &[origin], 400),
    ] {
        let answer = browser.send(Method::POST, "/sign-in/confirm", fields, headers).await;
        assert_eq!(answer.status.as_u16(), status, "{headers:?}: {answer}");
        assert!(answer.headers.get("set-cookie").is_none(), "{answer}");
    }
    // Another browser's token with this one's cookie, and no cookie at all.
    let mut other = Browser::new(&app);
    other.get("/device").await;
    let theirs = other.token.clone();
    let answer =
        browser.send(Method::POST, "/sign-in/confirm", &[("decision", "approve"), ("form", &theirs)], &[origin]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    browser.cookie = None;
    assert_eq!(
        browser.send(Method::POST, "/sign-in/confirm", &approve, &[origin]).await.status,
        StatusCode::BAD_REQUEST
    );
    browser.cookie = cookie;
    for path in ["/device", "/sign-in", "/sign-in/confirm", "/sign-in/done", "/sign-in/denied", &authorize(&[])] {
        for host in ["evil.example", "id.example.com:8443", "id.example.com.", "a.id.example.com", ""] {
            let answer = browser.send(Method::GET, path, &[], &[("host", host)]).await;
            assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{path} {host}");
            assert!(answer.headers.get("set-cookie").is_none() && answer.headers.get("location").is_none(), "{answer}");
        }
        let answer = browser.send(Method::GET, path, &[], &[("host", "ID.example.com:443")]).await;
        assert_ne!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{path}");
    }
    assert_eq!(device.poll(&app).await["error"], "authorization_pending");
}

#[tokio::test]
async fn threat_32_every_page_is_plain_and_goes_nowhere_else() {
    let app = App::start().await;
    let person = app.person("ann", &[]).await;
    let device = Device::ask(&app, &[("device_name", "<img src=x onerror=\"a\"> ' & \u{202e}x")]).await;
    let mut browser = Browser::new(&app);
    let mut seen = vec![
        browser.get("/device").await,
        browser.get(&format!("/device?user_code={}", device.user_code)).await,
        browser.get("/device?user_code=%3Cscript%3E").await,
        browser.get("/sign-in/done").await,
        browser.get("/sign-in/denied").await,
        browser.get(&authorize(&[("client_id", "other")])).await,
        browser.send(Method::GET, "/device", &[], &[("host", "evil.example")]).await,
        browser.post("/device", &[("user_code", "x")]).await,
    ];
    let taken = browser.post("/device", &[("user_code", &device.user_code)]).await;
    seen.push(browser.follow(&taken).await);
    seen.push(browser.post("/sign-in", &[("code", "x")]).await);
    let signed_in = browser.post("/sign-in", &[("code", &app.code(&person).await)]).await;
    seen.push(browser.follow(&signed_in).await);
    browser.address = "203.0.113.9".parse::<IpAddr>().unwrap();
    seen.push(browser.post("/sign-in/confirm", &[("decision", "approve")]).await);
    browser.cookie = None;
    seen.push(browser.get("/sign-in").await);
    for answer in &seen {
        let shown = page(answer);
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{answer}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer}");
        assert_eq!(answer.header("referrer-policy"), Some("same-origin"), "{answer}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{answer}");
        assert_eq!(answer.header("cross-origin-opener-policy"), Some("same-origin"), "{answer}");
        assert_eq!(
            answer.header("content-security-policy"),
            Some(
                "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                 frame-ancestors 'none'"
            )
        );
        for never in ["<script", "<img", "onerror=\"", "style=", "javascript:", "http://", "<iframe", "{{", "{%"] {
            assert!(!shown.contains(never), "{never}: {shown}");
        }
        for once in ["<h1>", "<main ", "<title>", "<html lang=\"en\">", "name=\"viewport\""] {
            assert_eq!(shown.matches(once).count(), 1, "{once}: {shown}");
        }
    }
    assert!(page(&seen[8]).contains("&#60;img src=x onerror="), "{}", page(&seen[8]));
    for (path, media_type) in [("/pages/brevet.css", "text/css; charset=utf-8"), ("/pages/brevet.svg", "image/svg+xml")]
    {
        let asset = browser.get(path).await;
        assert_eq!(asset.header("content-type"), Some(media_type));
        assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"));
        for never in ["url(", "@import", "<script"] {
            assert!(!page(&asset).contains(never), "{path} has {never}");
        }
    }
}

#[tokio::test]
async fn threat_32_no_page_is_a_part_of_another() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    for path in ["/oauth2/authorize", "/device", "/sign-in"] {
        for destination in ["image", "iframe", "script", "empty", "documents", ""] {
            let embedded = browser.send(Method::GET, path, &[], &[("sec-fetch-dest", destination)]).await;
            let refused = page(&embedded).contains("This page stands by itself");
            assert_eq!((embedded.status == 403, refused), (!destination.is_empty(), !destination.is_empty()), "{path}");
        }
        let looked_at = browser.send(Method::GET, path, &[], &[("sec-fetch-dest", "document")]).await;
        assert_ne!(looked_at.status.as_u16(), 403, "{path}");
    }
}

#[tokio::test]
async fn what_goes_wrong_before_a_page_is_a_page_too() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    for (method, path, status, title) in [
        (Method::GET, "/sign-in/nowhere", 404, "There is no such page"),
        (Method::GET, "/device/", 404, "There is no such page"),
        (Method::GET, "/oauth2/callback", 404, "There is no such page"),
        (Method::GET, "/oauth2/callback/%ff", 400, "There is no such page"),
        (Method::DELETE, "/sign-in", 405, "This page does not open like that"),
        (Method::POST, "/sign-in/done", 405, "This page does not open like that"),
        (Method::PUT, "/oauth2/authorize", 405, "This page does not open like that"),
    ] {
        let answer = browser.send(method.clone(), path, &[], &[]).await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {answer}");
        let shown = page(&answer);
        assert!(shown.contains(&format!("<h1>{title}</h1>")) && shown.contains("Enter a code"), "{shown}");
        assert!(shown.contains(answer.header("x-request-id").unwrap()), "its reference is the log's: {shown}");
        assert_eq!(answer.header("allow").is_some(), status == 405, "{answer}");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'self'"), "{policy}");
        for (name, value) in [
            ("content-type", "text/html; charset=utf-8"),
            ("cache-control", "no-store"),
            ("referrer-policy", "same-origin"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{path}");
        }
    }
    let head = browser.send(Method::HEAD, "/sign-in/nowhere", &[], &[]).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (404, 0));
    // A form too long to be one of ours.
    browser.get("/device").await;
    let long = browser.post("/device", &[("user_code", &"B".repeat(100_000))]).await;
    assert!(long.status.is_client_error() && page(&long).contains("This form cannot be read"), "{long}");
    // Programs are answered as ever.
    for (method, path) in [(Method::GET, "/nowhere"), (Method::GET, "/oauth2/token"), (Method::GET, "/pages/x.css")] {
        let answer = browser.send(method, path, &[], &[]).await;
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}: {answer}");
    }
}

#[tokio::test]
async fn threat_38_a_device_elsewhere_takes_a_word_more() {
    let app = App::start().await;
    let person = app.person("ann", &[]).await;
    let device = Device::ask(&app, &[("device_name", "laptop")]).await;
    let mut browser = Browser::new(&app);
    browser.address = "203.0.113.9".parse::<IpAddr>().unwrap();
    let question = page(&led_to_the_question(&mut browser, &device, &app.code(&person).await).await);
    for told in ["another address than yours", "192.0.2.7", "203.0.113.9", "name=\"mine\""] {
        assert!(question.contains(told), "{told}: {question}");
    }
    let thoughtless = browser.post("/sign-in/confirm", &[("decision", "approve")]).await;
    assert_eq!(thoughtless.status, StatusCode::BAD_REQUEST, "{thoughtless}");
    assert_eq!(device.poll(&app).await["error"], "authorization_pending");
    let decided = browser.post("/sign-in/confirm", &[("decision", "approve"), ("mine", "yes")]).await;
    assert_eq!(decided.header("location"), Some("/brevet/sign-in/done"), "{decided}");
    assert_eq!(device.poll(&app).await["user_uid"], "ann");
    let rows = app.rows(Action::DeviceApprove).await;
    assert_eq!((rows.len(), rows[0].decision), (1, Decision::Allowed));
    assert_eq!(rows[0].origin.address, Some(browser.address));
}

#[tokio::test]
async fn threat_38_an_answer_goes_to_loopback_or_nowhere() {
    let app = App::start().await;
    let mut browser = Browser::new(&app);
    for changed in [
        ("redirect_uri", "https://evil.example/"),
        ("redirect_uri", "http://localhost:8400/done"),
        ("redirect_uri", "http://127.0.0.1:8400@evil.example/"),
        ("redirect_uri", ""),
        ("client_id", "someone"),
        ("client_id", ""),
    ] {
        let answer = browser.get(&authorize(&[changed])).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{changed:?}: {answer}");
        assert!(answer.headers.get("location").is_none() && answer.headers.get("refresh").is_none(), "{answer}");
        assert!(!page(&answer).contains("evil.example"), "{answer}");
    }
    for (changed, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge_method", "plain"), "invalid_request"),
        (("code_challenge", ""), "invalid_request"),
        (("scope", "openid"), "invalid_scope"),
    ] {
        let answer = browser.get(&authorize(&[changed])).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{changed:?}");
        let location = answer.header("location").unwrap();
        assert!(location.starts_with(&format!("http://127.0.0.1:8400/done?error={error}&")), "{location}");
        assert!(location.ends_with("&state=s-1&iss=https%3A%2F%2Fid.example.com%2Fbrevet"), "{location}");
    }
    assert_eq!(browser.cookie, None, "nothing was begun");
}

#[tokio::test]
async fn threat_32_the_api_takes_no_cookie() {
    let app = App::start().await;
    let person = app.person("ann", &[]).await;
    let device = Device::ask(&app, &[]).await;
    let mut browser = Browser::new(&app);
    led_to_the_question(&mut browser, &device, &app.code(&person).await).await;
    let cookie = browser.cookie.clone().unwrap();
    for path in ["/v1/whoami", "/v1/sessions", "/v1/runs"] {
        for bearer in [None, Some(cookie.as_str())] {
            let mut request =
                Request::builder().uri(format!("/brevet{path}")).header("cookie", format!("{COOKIE}={cookie}"));
            if let Some(bearer) = bearer {
                request = request.header("authorization", format!("Bearer {bearer}"));
            }
            let answer = app.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer}");
        }
    }
}

#[tokio::test]
async fn threat_23_whoever_was_switched_off_meanwhile_approves_nothing() {
    let app = App::start().await;
    let person = app.person("ann", &[]).await;
    let device = Device::ask(&app, &[]).await;
    let mut browser = Browser::new(&app);
    led_to_the_question(&mut browser, &device, &app.code(&person).await).await;
    let change = brevet::store::UserChange { disabled_at: Some(Some(app.clock.now())), ..Default::default() };
    app.store.update_user(&person, None, &change, &app.event()).await.unwrap();
    let decided = browser.post("/sign-in/confirm", &[("decision", "approve")]).await;
    assert_eq!(decided.status, StatusCode::FORBIDDEN, "{decided}");
    assert_eq!(device.poll(&app).await["error"], "authorization_pending");
}

#[tokio::test]
async fn threat_41_strangers_that_begin_and_never_end_leave_little() {
    // So few come back in a minute that the requests below are more, however slow.
    let limits = LimitNumbers { failures: Rate::new(1, 200).unwrap(), ..LimitNumbers::for_cores(2).unwrap() };
    let app = App::with(Options { limits, ..Options::default() }).await;
    for _ in 0..30 {
        let begun = Browser::new(&app).get(&authorize(&[])).await;
        assert_eq!(begun.header("location"), Some("/brevet/sign-in"), "{begun}");
    }
    app.clock.advance(Duration::minutes(11));
    for _ in 0..2 {
        Browser::new(&app).get(&authorize(&[])).await;
    }
    // Two new ones took all thirty old ones with them.
    assert_eq!(app.store.forget_pending_before(app.clock.now()).await.unwrap(), 0);
    let mut limited = None;
    for _ in 0..200 {
        let answer = Browser::new(&app).get(&authorize(&[])).await;
        if answer.header("location") != Some("/brevet/sign-in") {
            limited = answer.header("location").map(str::to_owned);
            break;
        }
    }
    let limited = limited.expect("an address begins so many and no more");
    assert!(limited.starts_with("http://127.0.0.1:8400/done?error=temporarily_unavailable&"), "{limited}");
}
