//! The admin API over the real router and a real database: whole lives, hostile and clumsy inputs, races, repeats.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use brevet::domain::audit::Action;
use brevet::domain::clock::Clock as _;
use brevet::domain::credential::CredentialKind;
use brevet::domain::id::UserUid;
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use time::Duration;
use time::format_description::well_known::Rfc3339;

use crate::support::house::{House, Listener, request};
use crate::support::logs::Logs;
use crate::support::postgres;

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("{member} in {value}")).to_owned()
}

#[tokio::test]
async fn a_team_lives_and_dies_over_sqlite() {
    whole_life(House::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_team_lives_and_dies_over_postgresql() {
    let Some(database) = postgres::database() else { return };
    whole_life(House::over(Some(database)).await).await;
}

/// Everything once, in the order an operator does it; then everything taken away again.
async fn whole_life(house: House) {
    let start = house.clock.now();
    let after = |seconds| (start + Duration::seconds(seconds)).format(&Rfc3339).unwrap();
    let team = house.must("POST", "/v1/teams", Some(json!({"uid": "acme", "name": "Acme"}))).await;
    assert_eq!((text(&team, "uid"), text(&team, "created_at")), ("acme".into(), after(0)));
    house.must("POST", "/v1/users", Some(json!({"uid": "ada", "name": "Ada", "email": "ada@example.com"}))).await;
    let added = house.admin("PUT", "/v1/teams/acme/members/ada", None).await;
    assert_eq!(added.status, StatusCode::CREATED);
    assert_eq!(house.admin("PUT", "/v1/teams/acme/members/ada", None).await.status, StatusCode::OK);
    let members = house.must("GET", "/v1/teams/acme/members", None).await;
    assert_eq!(members["items"][0]["user_uid"], "ada");
    let robot = json!({"uid": "robot", "name": "Robot"});
    let robot = house.must("POST", "/v1/teams/acme/service-accounts", Some(robot)).await;
    assert_eq!(robot["subject"], "scoped_principal:acme/service_account:robot");
    let keys = "/v1/teams/acme/service-accounts/robot/keys";
    let key = house.must("POST", keys, Some(json!({"name": "ci", "expires_in_seconds": 3600}))).await;
    assert_eq!(key["expires_at"], after(3600));
    let worker = json!({"name": "w", "audience": "https://worker.example.com", "teams": ["acme"]});
    let worker = house.must("POST", "/v1/worker-keys", Some(worker)).await;

    // Nothing names a role yet, so that a token for STS cannot be bound to one.
    let bearer = text(&key, "key");
    assert!(house.mint(&bearer, json!({})).await.short().starts_with("400 role_required"));
    let role = "arn:aws:iam::111122223333:role/bedrock";
    let settings = json!({"region": "eu-central-1", "role_arn": role, "models": {"sonnet": "eu.anthropic.sonnet"}});
    house.must("PATCH", "/v1/teams/acme/provider-settings", Some(settings)).await;
    let minted = house.mint(&bearer, json!({})).await;
    assert_eq!(minted.status, StatusCode::OK, "{}", minted.text);
    let own = json!({"session_tags": true, "region": "eu-west-1"});
    house.must("PATCH", "/v1/teams/acme/service-accounts/robot/provider-settings", Some(own)).await;
    let effective = house.must("GET", "/v1/effective-settings?team=acme&service_account=robot", None).await;
    assert_eq!(effective["region"], json!({"value": "eu-west-1", "layer": "service_account"}));
    assert_eq!(effective["role_arn"], json!({"value": role, "layer": "team"}));
    assert_eq!(effective["session_duration_seconds"], json!({"value": 3600, "layer": "default"}));
    assert_eq!(effective["fault"], Value::Null);

    let elsewhere = json!({"items": [{"audience": "https://vault.example.com", "lifetime_cap_seconds": 60}]});
    house.must("PUT", "/v1/teams/acme/audiences", Some(elsewhere)).await;
    let minted = house.mint(&bearer, json!({"lifetime_seconds": 3600})).await.json();
    assert_eq!(
        (text(&minted, "audience"), text(&minted, "expires_at")),
        ("https://vault.example.com".into(), after(60))
    );
    let other = "arn:aws:iam::111122223333:role/other";
    house.must("PUT", "/v1/teams/acme/audiences", Some(json!({"items": [{"audience": "sts.amazonaws.com"}]}))).await;
    assert!(house.mint(&bearer, json!({"role_arn": other})).await.short().starts_with("403 role_not_allowed"));
    let roles = json!({"items": [{"role_arn": other, "principals": ["service_account:robot"]}]});
    assert_eq!(house.must("PUT", "/v1/teams/acme/roles", Some(roles.clone())).await["items"], roles["items"]);
    assert_eq!(house.mint(&bearer, json!({"role_arn": other})).await.status, StatusCode::OK);

    // A person gets in by a code, and out by every way there is.
    let code = house.must("POST", "/v1/enrolment-codes", Some(json!({"user_uid": "ada"}))).await;
    assert_eq!(code["expires_at"], after(600));
    let open = |code: &Value| request("", "POST", "/v1/sessions", Some(json!({"code": text(code, "code")})), &[]);
    let session = house.send(Listener::Public, open(&code)).await.json();
    let person = text(&session, "access_token");
    assert_eq!(house.mint(&person, json!({})).await.status, StatusCode::OK);
    house.must("PATCH", "/v1/teams/acme/policy", Some(json!({"enrolment_codes": false}))).await;
    assert!(house.mint(&person, json!({})).await.short().starts_with("403 sign_in_not_accepted"));
    house.must("PATCH", "/v1/teams/acme/policy", Some(json!({"enrolment_codes": null}))).await;
    assert_eq!(house.mint(&person, json!({})).await.status, StatusCode::OK);
    house.must("DELETE", "/v1/teams/acme/members/ada", None).await;
    assert_ne!(house.mint(&person, json!({})).await.status, StatusCode::OK);
    house.must("DELETE", "/v1/users/ada", None).await;
    assert_eq!(house.mint(&person, json!({})).await.status, StatusCode::UNAUTHORIZED);

    // Off means off, at each place it can be said.
    for (path, off, on, code) in [
        ("/v1/teams/acme/service-accounts/robot", true, false, "403 principal_disabled"),
        ("/v1/teams/acme", true, false, "403 team_disabled"),
        ("/v1/teams/acme/provider-settings", true, false, "403 provider_disabled"),
    ] {
        house.must("PATCH", path, Some(json!({"disabled": off}))).await;
        assert!(house.mint(&bearer, json!({})).await.short().starts_with(code), "{path}");
        house.must("PATCH", path, Some(json!({"disabled": on}))).await;
        assert_eq!(house.mint(&bearer, json!({})).await.status, StatusCode::OK, "{path}");
    }
    house.must("DELETE", &format!("{keys}/{}", text(&key, "id")), None).await;
    assert_eq!(house.mint(&bearer, json!({})).await.status, StatusCode::UNAUTHORIZED);
    let worker = format!("/v1/worker-keys/{}", text(&worker, "id"));
    assert_eq!(house.must("PATCH", &worker, Some(json!({"teams": []}))).await["teams"], json!([]));
    house.must("DELETE", &worker, None).await;
    assert!(house.must("GET", &worker, None).await["revoked_at"].is_string());
    house.must("DELETE", "/v1/teams/acme/service-accounts/robot", None).await;
    house.must("DELETE", "/v1/teams/acme", None).await;
    for path in ["/v1/teams/acme", "/v1/teams/acme/members", "/v1/teams/acme/service-accounts/robot", "/v1/users/ada"] {
        assert!(house.admin("GET", path, None).await.short().starts_with("404 not_found"), "{path}");
    }
}

/// Threat 11: what once named somebody never names anybody else.
#[tokio::test]
async fn threat_11_a_uid_is_never_used_again_in_whatever_case() {
    let house = House::new().await;
    let team = house.must("POST", "/v1/teams", Some(json!({"uid": "Acme", "name": "Acme"}))).await;
    house.must("POST", "/v1/teams", Some(json!({"uid": "other", "name": "Other"}))).await;
    let account = |team: &str| format!("/v1/teams/{team}/service-accounts");
    house.must("POST", &account("Acme"), Some(json!({"uid": "robot", "name": "r"}))).await;
    house.must("POST", "/v1/users", Some(json!({"uid": "ada", "name": "Ada"}))).await;
    for deleted in [false, true] {
        for uid in ["Acme", "acme", "ACME"] {
            let answer = house.admin("POST", "/v1/teams", Some(json!({"uid": uid, "name": "x"}))).await;
            assert!(answer.short().starts_with("409 uid_taken"), "{uid} {deleted}: {}", answer.short());
        }
        for uid in ["ada", "Ada"] {
            let answer = house.admin("POST", "/v1/users", Some(json!({"uid": uid, "name": "x"}))).await;
            assert!(answer.short().starts_with("409 uid_taken"), "{uid} {deleted}: {}", answer.short());
        }
        // An agent's uid is unique in the installation: another team cannot take it either.
        for uid in ["robot", "ROBOT"] {
            let answer = house.admin("POST", &account("other"), Some(json!({"uid": uid, "name": "x"}))).await;
            assert!(answer.short().starts_with("409 uid_taken"), "{uid} {deleted}: {}", answer.short());
        }
        if !deleted {
            house.must("DELETE", "/v1/teams/Acme/service-accounts/robot", None).await;
            house.must("DELETE", "/v1/teams/Acme", None).await;
            house.must("DELETE", "/v1/users/ada", None).await;
        }
    }
    // Renaming changes no claim, and the external id is one of ours each time.
    let renamed = house.must("PATCH", "/v1/teams/other", Some(json!({"name": "Acme"}))).await;
    assert_eq!(renamed["uid"], "other");
    assert_ne!(renamed["external_id"], team["external_id"]);
    // A path names a team by its own spelling only.
    assert_eq!(house.admin("GET", "/v1/teams/OTHER", None).await.status, StatusCode::NOT_FOUND);
}

/// Each row is one request; the snapshot has the exact answer. A clumsy request changes nothing.
#[tokio::test]
async fn hostile_and_clumsy_inputs_are_answered_by_field_and_rule() {
    let house = House::new().await;
    house.must("POST", "/v1/teams", Some(json!({"uid": "acme", "name": "Acme"}))).await;
    house.must("POST", "/v1/users", Some(json!({"uid": "ada", "name": "Ada"}))).await;
    house.must("POST", "/v1/teams/acme/service-accounts", Some(json!({"uid": "robot", "name": "Robot"}))).await;
    let worker = json!({"name": "w", "audience": "https://worker.example.com", "teams": ["acme"]});
    let worker = house.must("POST", "/v1/worker-keys", Some(worker)).await;
    let worker = format!("/v1/worker-keys/{}", text(&worker, "id"));
    let provider = |member: &str, value: Value| {
        let mut body = json!({"name": "Acme", "issuer": "https://acme.example", "client_id": "b"});
        body[member] = value;
        body
    };
    let mut okta = provider("uid", json!("okta"));
    okta["client_id"] = json!("c");
    house.must("POST", "/v1/upstream-providers", Some(okta)).await;
    let before = state(&house).await;
    let long = "x".repeat(201);
    let robot = "/v1/teams/acme/service-accounts/robot";
    let keys = format!("{robot}/keys");
    let settings = "/v1/teams/acme/provider-settings";
    let many: Vec<_> = (0..21).map(|n| json!({"audience": format!("https://{n}.example.com")})).collect();
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    let rows: Vec<(&str, String, Value)> = vec![
        ("POST", "/v1/teams".into(), json!({})),
        ("POST", "/v1/teams".into(), json!({"name": ""})),
        ("POST", "/v1/teams".into(), json!({"name": "  "})),
        ("POST", "/v1/teams".into(), json!({"name": long})),
        ("POST", "/v1/teams".into(), json!({"name": "a\nb"})),
        ("POST", "/v1/teams".into(), json!({"name": 7})),
        ("POST", "/v1/teams".into(), json!({"name": "x", "uid": ""})),
        ("POST", "/v1/teams".into(), json!({"name": "x", "uid": "a:b"})),
        ("POST", "/v1/teams".into(), json!({"name": "x", "uid": "acme/*"})),
        ("POST", "/v1/teams".into(), json!({"name": "", "uid": "-x"})),
        ("POST", "/v1/teams".into(), json!({"name": "x", "external_id": "mine"})),
        ("POST", "/v1/teams".into(), json!([])),
        ("GET", "/v1/teams?limit=0".into(), Value::Null),
        ("GET", "/v1/teams?limit=201".into(), Value::Null),
        ("GET", "/v1/teams?limit=ten".into(), Value::Null),
        ("GET", "/v1/teams?limit=1&limit=2".into(), Value::Null),
        ("GET", "/v1/teams?after=!".into(), Value::Null),
        ("GET", "/v1/teams?offset=1".into(), Value::Null),
        ("GET", "/v1/teams/nobody".into(), Value::Null),
        ("GET", "/v1/teams/a%2Fb".into(), Value::Null),
        ("GET", "/v1/teams/%FF".into(), Value::Null),
        ("PATCH", "/v1/teams/nobody".into(), json!({"name": "x"})),
        ("PATCH", "/v1/teams/acme".into(), json!({"name": null})),
        ("PATCH", "/v1/teams/acme".into(), json!({"disabled": null, "name": ""})),
        ("PATCH", "/v1/teams/acme".into(), json!({"disabled": "yes"})),
        ("PATCH", "/v1/teams/acme".into(), json!({"uid": "other"})),
        ("PUT", "/v1/teams/acme/audiences".into(), json!({"items": []})),
        ("PUT", "/v1/teams/acme/audiences".into(), json!({"items": many})),
        ("PUT", "/v1/teams/acme/audiences".into(), json!({"items": [{"audience": "a b"}]})),
        ("PUT", "/v1/teams/acme/audiences".into(), json!({"items": [{"audience": "x", "lifetime_cap_seconds": 59}]})),
        ("PUT", "/v1/teams/acme/audiences".into(), json!({"items": [{"audience": "x"}, {"audience": "x"}]})),
        (
            "PUT",
            "/v1/teams/acme/audiences".into(),
            json!({"items": [{"audience": "x"}, {"audience": crate::support::app::ISSUER}]}),
        ),
        ("PUT", "/v1/teams/acme/audiences".into(), json!({"items": [{"audience": "https://worker.example.com"}]})),
        ("PUT", "/v1/teams/acme/audiences".into(), json!({"audiences": []})),
        (
            "PUT",
            "/v1/teams/acme/roles".into(),
            json!({"items": [{"role_arn": "arn:aws:iam::1:role/x", "principals": ["everyone"]}]}),
        ),
        (
            "PUT",
            "/v1/teams/acme/roles".into(),
            json!({"items": [{"role_arn": "arn:aws:iam::111122223333:role/x", "principals": []}]}),
        ),
        (
            "PUT",
            "/v1/teams/acme/roles".into(),
            json!({"items": [{"role_arn": "arn:aws:iam::111122223333:role/x", "principals": ["user", "everyone"]}]}),
        ),
        (
            "PUT",
            "/v1/teams/acme/roles".into(),
            json!({"items": [{"role_arn": "arn:aws:iam::111122223333:role/x", "principals": ["user:a:b"]}]}),
        ),
        ("PATCH", "/v1/teams/acme/policy".into(), json!({"lifetime_cap_seconds": 3601, "roles_claim": "maybe"})),
        ("PATCH", "/v1/teams/acme/policy".into(), json!({"roles_claim": true})),
        ("PATCH", settings.into(), json!({"region": "moon-1", "role_arn": "x", "session_duration_seconds": 899})),
        ("PATCH", settings.into(), json!({"region": "cn-north-1", "role_arn": "arn:aws:iam::111122223333:role/x"})),
        ("PATCH", settings.into(), json!({"role_arn": "arn:aws:sts::111122223333:assumed-role/x/y"})),
        ("PATCH", settings.into(), json!({"models": {"": "x"}})),
        ("PATCH", settings.into(), json!({"models": {"sonnet": "a b"}})),
        ("PATCH", settings.into(), json!({"allowed_models": ["ok", "../x"]})),
        ("PATCH", settings.into(), json!({"external_id": "mine"})),
        ("PATCH", settings.into(), json!({"enabled": true})),
        ("PATCH", format!("{robot}/provider-settings"), json!({"region": "eu-central-9x"})),
        ("GET", "/v1/teams/acme/service-accounts/nobody/provider-settings".into(), Value::Null),
        ("GET", "/v1/effective-settings".into(), Value::Null),
        ("GET", "/v1/effective-settings?team=a".into(), Value::Null),
        ("GET", "/v1/effective-settings?team=nobody".into(), Value::Null),
        ("GET", "/v1/effective-settings?team=acme&service_account=nobody".into(), Value::Null),
        ("POST", "/v1/users".into(), json!({"name": "x", "email": "nobody"})),
        ("POST", "/v1/users".into(), json!({"name": "x", "uid": "é!"})),
        ("PATCH", "/v1/users/ada".into(), json!({"email": "a@b@c"})),
        ("PATCH", "/v1/users/nobody".into(), json!({})),
        ("DELETE", "/v1/users/nobody".into(), Value::Null),
        ("PUT", "/v1/teams/acme/members/nobody".into(), Value::Null),
        ("PUT", "/v1/teams/nobody/members/ada".into(), Value::Null),
        ("DELETE", "/v1/teams/acme/members/ada".into(), Value::Null),
        ("POST", "/v1/teams/nobody/service-accounts".into(), json!({"name": "x"})),
        ("POST", "/v1/teams/acme/service-accounts".into(), json!({"name": "x", "uid": "x"})),
        ("POST", "/v1/teams/acme/service-accounts".into(), json!({"name": "x", "team_uid": "other"})),
        ("GET", "/v1/teams/acme/service-accounts/nobody".into(), Value::Null),
        ("POST", keys.clone(), json!({"expires_in_seconds": 59})),
        ("POST", keys.clone(), json!({"expires_in_seconds": 400_000_000})),
        ("POST", keys.clone(), json!({"expires_in_seconds": -1})),
        ("POST", keys.clone(), json!({"expires_in_seconds": 1.5})),
        ("POST", keys.clone(), json!({"name": ""})),
        ("POST", keys.clone(), json!({"key": "bvt_sa_mine"})),
        ("DELETE", format!("{keys}/{unknown}"), Value::Null),
        ("DELETE", format!("{keys}/nobody"), Value::Null),
        ("POST", "/v1/worker-keys".into(), json!({"name": "w", "audience": "sts.amazonaws.com", "teams": ["acme"]})),
        (
            "POST",
            "/v1/worker-keys".into(),
            json!({"name": "w", "audience": crate::support::app::ISSUER, "teams": ["acme"]}),
        ),
        (
            "POST",
            "/v1/worker-keys".into(),
            json!({"name": "w", "audience": "https://x.example.com", "teams": ["nobody"]}),
        ),
        ("POST", "/v1/worker-keys".into(), json!({"name": "w", "audience": "", "teams": ["a"]})),
        ("POST", "/v1/worker-keys".into(), json!({"name": "w", "audience": "https://x.example.com"})),
        ("PATCH", worker.clone(), json!({"teams": null})),
        ("PATCH", worker.clone(), json!({"teams": ["nobody"]})),
        ("PATCH", worker.clone(), json!({"audience": "https://x.example.com"})),
        ("GET", format!("/v1/worker-keys/{unknown}"), Value::Null),
        ("POST", "/v1/enrolment-codes".into(), json!({"user_uid": "nobody"})),
        ("POST", "/v1/enrolment-codes".into(), json!({"user_uid": "a b"})),
        ("POST", "/v1/enrolment-codes".into(), json!({"email": "ada@example.com"})),
        ("POST", "/v1/upstream-providers".into(), json!({})),
        ("POST", "/v1/upstream-providers".into(), provider("uid", json!("a/b"))),
        ("POST", "/v1/upstream-providers".into(), provider("uid", json!("OKTA"))),
        ("POST", "/v1/upstream-providers".into(), provider("name", json!(""))),
        ("POST", "/v1/upstream-providers".into(), provider("issuer", json!("http://acme.example"))),
        ("POST", "/v1/upstream-providers".into(), provider("issuer", json!("https://Acme.example"))),
        ("POST", "/v1/upstream-providers".into(), provider("issuer", json!("https://acme.example?x"))),
        ("POST", "/v1/upstream-providers".into(), provider("issuer", json!("http://127.0.0.1:9/"))),
        ("POST", "/v1/upstream-providers".into(), provider("issuer", json!(crate::support::app::ISSUER))),
        ("POST", "/v1/upstream-providers".into(), provider("client_id", json!("a b"))),
        ("POST", "/v1/upstream-providers".into(), provider("client_id", json!("c"))),
        ("POST", "/v1/upstream-providers".into(), provider("client_secret", json!(""))),
        ("POST", "/v1/upstream-providers".into(), provider("client_secret", json!("a\nb"))),
        ("POST", "/v1/upstream-providers".into(), provider("client_secret", json!("x".repeat(1025)))),
        ("POST", "/v1/upstream-providers".into(), provider("scopes", json!(["openid"]))),
        ("POST", "/v1/upstream-providers".into(), provider("scopes", json!(["profile", "a b"]))),
        ("POST", "/v1/upstream-providers".into(), provider("scopes", json!(vec!["x"; 21]))),
        ("POST", "/v1/upstream-providers".into(), provider("groups_claim", json!("a b"))),
        ("POST", "/v1/upstream-providers".into(), provider("email_domains", json!(["Acme.example"]))),
        ("POST", "/v1/upstream-providers".into(), provider("email_domains", json!(["localhost"]))),
        ("POST", "/v1/upstream-providers".into(), provider("email_domains", json!(vec!["a.example"; 101]))),
        ("POST", "/v1/upstream-providers".into(), provider("session_seconds", json!(899))),
        ("POST", "/v1/upstream-providers".into(), provider("session_seconds", json!(2_592_001))),
        ("POST", "/v1/upstream-providers".into(), provider("require_verified_email", json!("yes"))),
        ("POST", "/v1/upstream-providers".into(), provider("has_client_secret", json!(true))),
        ("PATCH", "/v1/upstream-providers/okta".into(), json!({"name": null, "client_id": null, "disabled": null})),
        ("PATCH", "/v1/upstream-providers/okta".into(), json!({"name": " ", "client_id": "", "client_secret": ""})),
        ("PATCH", "/v1/upstream-providers/okta".into(), json!({"scopes": ["openid"], "email_domains": ["a"]})),
        ("PATCH", "/v1/upstream-providers/okta".into(), json!({"groups_claim": "", "session_seconds": 0})),
        ("PATCH", "/v1/upstream-providers/okta".into(), json!({"issuer": "https://other.example"})),
        ("PATCH", "/v1/upstream-providers/okta".into(), json!({"uid": "other"})),
        ("PATCH", "/v1/upstream-providers/nobody".into(), json!({})),
        ("GET", "/v1/upstream-providers/nobody".into(), Value::Null),
        ("DELETE", "/v1/upstream-providers/nobody".into(), Value::Null),
        ("POST", "/v1/administrators".into(), json!({"name": "\u{202e}ops"})),
        ("GET", "/v1/administrators/ops".into(), Value::Null),
        ("DELETE", format!("/v1/administrators/{unknown}"), Value::Null),
        (
            "GET",
            "/v1/audit?since=yesterday&action=token.steal&token_id=x&principal=ada&decision=maybe".into(),
            Value::Null,
        ),
        ("GET", "/v1/audit?key=bvt_ad_x".into(), Value::Null),
        ("GET", "/v1/signing-keys/x".into(), Value::Null),
    ];
    let mut said = String::new();
    for (method, path, body) in rows {
        let body = (!body.is_null()).then_some(body);
        let shown = body.as_ref().map_or_else(String::new, |body| format!(" {body}"));
        let shown =
            if shown.len() > 160 { format!("{}…", shown.chars().take(120).collect::<String>()) } else { shown };
        let answer = house.admin(method, &path, body).await;
        assert!(answer.status.is_client_error(), "{method} {path}{shown}: {}", answer.short());
        let path = path.replace(&worker, "/v1/worker-keys/{worker}");
        writeln!(said, "{method} {path}{shown}\n  {}", answer.short()).unwrap();
    }
    insta::assert_snapshot!(said);
    assert_eq!(state(&house).await, before, "a refused request changed something");
}

/// Everything the API shows, in one text; without the audit log, which only grows.
async fn state(house: &House) -> String {
    let mut all = String::new();
    for path in [
        "/v1/administrators",
        "/v1/upstream-providers",
        "/v1/teams",
        "/v1/teams/acme/audiences",
        "/v1/teams/acme/roles",
        "/v1/teams/acme/policy",
        "/v1/teams/acme/provider-settings",
        "/v1/teams/acme/members",
        "/v1/teams/acme/service-accounts",
        "/v1/teams/acme/service-accounts/robot/keys",
        "/v1/users",
        "/v1/worker-keys",
    ] {
        all += &house.must("GET", path, None).await.to_string();
    }
    all
}

/// Threat 35: a host, region or endpoint that is not AWS's, nor on the operator's list, is refused; the sandbox
/// address that the operator listed is taken for exactly that text.
#[tokio::test]
async fn threat_35_no_setting_leads_to_a_foreign_host() {
    let house = House::new().await;
    house.must("POST", "/v1/teams", Some(json!({"uid": "acme", "name": "Acme"}))).await;
    let settings = "/v1/teams/acme/provider-settings";
    for host in [
        "https://evil.example.com",
        "http://sts.eu-central-1.amazonaws.com",
        "https://sts.eu-central-1.amazonaws.com.evil.com",
        "https://sts.eu-central-1.amazonaws.com@evil.com",
        "https://sts.eu-central-1.amazonaws.com:8443",
        "https://evil.s3.amazonaws.com",
        "https://abc.execute-api.us-east-1.amazonaws.com",
        "https://169.254.169.254",
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:4567",
        "http://127.0.0.1:4566/",
        "http://127.0.0.1:4566/x",
        "http://localhost:4566",
        "file:///etc/passwd",
        "//sts.amazonaws.com",
        "https://sts.amazonaws.com?x=y",
        "https://sts.amazonaws.com#x",
        "",
    ] {
        for member in ["base_url", "sts_endpoint"] {
            let answer = house.admin("PATCH", settings, Some(json!({member: host}))).await;
            assert!(answer.short().starts_with("400 invalid_request"), "{member} {host:?}: {}", answer.short());
        }
    }
    for region in
        ["eu-central-1.evil.com", "eu-central-1/", "eu central-1", "EU-CENTRAL-1", "us-east-1@evil.com", "x", "-", ""]
    {
        let answer = house.admin("PATCH", settings, Some(json!({"region": region}))).await;
        assert!(answer.short().starts_with("400 invalid_request"), "{region:?}: {}", answer.short());
    }
    let untouched = house.must("GET", settings, None).await;
    assert_eq!(untouched["version"], 0);
    let listed = json!({"sts_endpoint": "http://127.0.0.1:4566", "base_url": "https://bedrock-runtime.eu-central-1.amazonaws.com"});
    house.must("PATCH", settings, Some(listed)).await;
}

/// Threat 20: who asks decides who is spoken for. Every key, every team, every principal: only the diagonal.
#[tokio::test]
async fn threat_20_a_key_of_one_team_never_touches_another() {
    let house = House::new().await;
    let teams = ["alpha", "beta", "gamma"];
    let mut keys = Vec::new();
    for team in teams {
        house.must("POST", "/v1/teams", Some(json!({"uid": team, "name": team}))).await;
        let audiences = json!({"items": [{"audience": format!("https://{team}.example.com")}]});
        house.must("PUT", &format!("/v1/teams/{team}/audiences"), Some(audiences)).await;
        let accounts = format!("/v1/teams/{team}/service-accounts");
        house.must("POST", &accounts, Some(json!({"uid": format!("agent-{team}"), "name": "a"}))).await;
        let key = house.must("POST", &format!("{accounts}/agent-{team}/keys"), Some(json!({}))).await;
        keys.push((team, text(&key, "id"), text(&key, "key")));
    }
    for (mine, id, key) in &keys {
        for theirs in teams {
            let own = *mine == theirs;
            let audience = json!({"audience": format!("https://{theirs}.example.com"), "team_uid": theirs});
            let minted = house.mint(key, audience).await;
            assert_eq!(minted.status.is_success(), own, "{mine} in {theirs}: {}", minted.short());
            if own {
                assert_eq!(minted.json()["subject"], format!("scoped_principal:{mine}/service_account:agent-{mine}"));
            }
            let foreign = house.mint(key, json!({"audience": format!("https://{theirs}.example.com")})).await;
            assert_eq!(foreign.status.is_success(), own, "{mine} for {theirs}'s audience: {}", foreign.short());
            for (member, status) in [("on_behalf_of", 403), ("subject", 400), ("sub", 400), ("principal_uid", 400)] {
                let body = json!({member: format!("service_account:agent-{theirs}")});
                assert_eq!(house.mint(key, body).await.status, status, "{member}");
            }
            // Through another team's path an agent and its keys do not exist, for the operator neither.
            let account = format!("/v1/teams/{theirs}/service-accounts/agent-{mine}");
            assert_eq!(house.admin("GET", &account, None).await.status.is_success(), own);
            assert_eq!(house.admin("GET", &format!("{account}/keys"), None).await.status.is_success(), own);
            if !own {
                for (method, path, body) in [
                    ("PATCH", account.clone(), Some(json!({"disabled": true}))),
                    ("DELETE", account.clone(), None),
                    ("POST", format!("{account}/keys"), Some(json!({}))),
                    ("DELETE", format!("{account}/keys/{id}"), None),
                    ("DELETE", format!("/v1/teams/{theirs}/service-accounts/agent-{theirs}/keys/{id}"), None),
                    ("PATCH", format!("{account}/provider-settings"), Some(json!({"disabled": true}))),
                ] {
                    let answer = house.admin(method, &path, body).await;
                    assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}: {}", answer.short());
                }
            }
            assert_eq!(
                house.call(key, "GET", &format!("/v1/teams/{theirs}"), None).await.status,
                StatusCode::FORBIDDEN
            );
        }
    }
}

#[tokio::test]
async fn pages_go_on_where_they_ended_whatever_comes_between() {
    let house = House::new().await;
    for uid in ["b1", "b2", "b3", "b4", "b5"] {
        house.must("POST", "/v1/teams", Some(json!({"uid": uid, "name": uid}))).await;
    }
    let mut seen = Vec::new();
    let mut path = "/v1/teams?limit=2".to_owned();
    loop {
        let page = house.must("GET", &path, None).await;
        seen.extend(page["items"].as_array().unwrap().iter().map(|team| text(team, "uid")));
        if seen.len() == 2 {
            // One before the cursor, one behind it, one of those already shown deleted.
            house.must("POST", "/v1/teams", Some(json!({"uid": "a1", "name": "x"}))).await;
            house.must("POST", "/v1/teams", Some(json!({"uid": "b3x", "name": "x"}))).await;
            house.must("DELETE", "/v1/teams/b2", None).await;
        }
        let Some(next) = page["next"].as_str() else { break };
        assert!(!next.contains("b2"), "a cursor can be read: {next}");
        path = format!("/v1/teams?limit=2&after={next}");
    }
    assert_eq!(seen, ["b1", "b2", "b3", "b3x", "b4", "b5"]);
    // Audit rows: the newest first, each once, also where many have the same millisecond.
    let mut rows = Vec::new();
    let mut path = "/v1/audit?limit=3&action=admin.create".to_owned();
    loop {
        let page = house.must("GET", &path, None).await;
        rows.extend(page["items"].as_array().unwrap().iter().map(|row| text(row, "target")));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/audit?limit=3&action=admin.create&after={next}");
    }
    let once: BTreeSet<_> = rows.iter().collect();
    assert_eq!((rows.len(), once.len()), (7, 7), "{rows:?}");
}

#[tokio::test]
async fn of_two_changes_to_one_version_exactly_one_is_made() {
    let house = House::new().await;
    let team = house.admin("POST", "/v1/teams", Some(json!({"uid": "acme", "name": "Acme"}))).await;
    assert_eq!(team.header("etag"), "\"1\"");
    assert_eq!(team.header("location"), "/brevet/v1/teams/acme");
    let changes = (0..8).map(|n| {
        let body = Some(json!({"name": format!("name {n}")}));
        house.call_with(&house.first, "PATCH", "/v1/teams/acme", body, &[("if-match", "\"1\"")])
    });
    let statuses: Vec<_> = join_all(changes).await.iter().map(|answer| answer.status.as_u16()).collect();
    let count = |status| statuses.iter().filter(|one| **one == status).count();
    assert_eq!((count(200), count(412)), (1, 7), "{statuses:?}");
    // Lists and policy share the team's version; without If-Match parallel edits all hold.
    let edits = [
        (
            "PUT",
            "/v1/teams/acme/roles",
            json!({"items": [{"role_arn": "arn:aws:iam::111122223333:role/x", "principals": ["user"]}]}),
        ),
        ("PUT", "/v1/teams/acme/audiences", json!({"items": [{"audience": "https://x.example.com"}]})),
        ("PATCH", "/v1/teams/acme/policy", json!({"lifetime_cap_seconds": 120})),
        ("PATCH", "/v1/teams/acme/policy", json!({"roles_claim": "off"})),
    ];
    for answer in join_all(edits.map(|(method, path, body)| house.admin(method, path, Some(body)))).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.short());
    }
    let policy = house.admin("GET", "/v1/teams/acme/policy", None).await;
    assert_eq!(
        policy.json(),
        json!({
            "lifetime_cap_seconds": 120, "roles_claim": "off", "enrolment_codes": true, "session_tag_keys": [],
            "issuer": "shared", "cost_tags": {}, "address_ranges": [], "people_mint": "anywhere", "version": 6,
            "amr_claim": false, "joins": [], "upstream_providers": [],
        })
    );
    assert_eq!(policy.header("etag"), "\"6\"");
    for (tag, status) in
        [("\"1\"", 412), ("W/\"6\"", 412), ("\"six\"", 412), ("6", 400), ("", 400), ("\"6\"", 200), ("*", 200)]
    {
        let answer = house
            .call_with(&house.first, "PATCH", "/v1/teams/acme/policy", Some(json!({})), &[("if-match", tag)])
            .await;
        assert_eq!(answer.status.as_u16(), status, "{tag}: {}", answer.short());
    }
    let stale = house.call_with(&house.first, "DELETE", "/v1/teams/acme", None, &[("if-match", "\"1\"")]).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
}

#[tokio::test]
async fn a_repeated_create_makes_nothing_twice_and_shows_no_secret_again() {
    let house = House::new().await;
    house.must("POST", "/v1/teams", Some(json!({"uid": "acme", "name": "Acme"}))).await;
    house.must("POST", "/v1/users", Some(json!({"uid": "ada", "name": "Ada"}))).await;
    house.must("POST", "/v1/teams/acme/service-accounts", Some(json!({"uid": "robot", "name": "Robot"}))).await;
    let creates = [
        ("/v1/teams", json!({"name": "T"}), json!({"name": "U"})),
        ("/v1/users", json!({"name": "P"}), json!({"name": "Q"})),
        ("/v1/teams/acme/service-accounts", json!({"name": "A"}), json!({"name": "B"})),
        ("/v1/teams/acme/service-accounts/robot/keys", json!({"name": "k"}), json!({"name": "l"})),
        (
            "/v1/worker-keys",
            json!({"name": "w", "audience": "https://w.example.com", "teams": ["acme"]}),
            json!({"name": "w", "audience": "https://w.example.com", "teams": []}),
        ),
        (
            "/v1/upstream-providers",
            json!({"name": "Acme", "issuer": "https://acme.example", "client_id": "c", "client_secret": "s"}),
            json!({"name": "Acme", "issuer": "https://acme.example", "client_id": "c", "client_secret": "other"}),
        ),
        ("/v1/enrolment-codes", json!({"user_uid": "ada"}), json!({"user_uid": "robot"})),
    ];
    for (n, (path, body, other)) in creates.into_iter().enumerate() {
        let key = format!("try-{n}");
        let send = |body: &Value| {
            let request = request(&house.first, "POST", path, Some(body.clone()), &[("idempotency-key", &key)]);
            house.send(Listener::Admin, request)
        };
        // In parallel, so that the store decides which is first.
        let answers = join_all((0..4).map(|_| send(&body))).await;
        let secret = |answer: &Value| answer.get("key").or(answer.get("code")).is_some();
        let with_secret = answers.iter().filter(|answer| secret(&answer.json())).count();
        assert!(with_secret <= 1, "{path}: a secret was shown {with_secret} times");
        let mut shown = BTreeSet::new();
        for answer in &answers {
            assert_eq!(answer.status, StatusCode::CREATED, "{path}: {}", answer.short());
            let mut resource = answer.json();
            resource.as_object_mut().unwrap().retain(|name, _| name != "key" && name != "code");
            shown.insert((resource.to_string(), answer.header("location").to_owned()));
        }
        assert_eq!(shown.len(), 1, "{path}: {shown:?}");
        assert!(
            send(&other).await.short().starts_with("409 idempotency_key_reused") || path == "/v1/enrolment-codes",
            "{path}"
        );
    }
    // The same key on another route is another request.
    let request =
        request(&house.first, "POST", "/v1/users", Some(json!({"name": "T"})), &[("idempotency-key", "try-0")]);
    assert!(house.send(Listener::Admin, request).await.short().starts_with("409 idempotency_key_reused"));
    for bad in ["", "a b", &"x".repeat(201)] {
        let answer = house
            .call_with(&house.first, "POST", "/v1/users", Some(json!({"name": "T"})), &[("idempotency-key", bad)])
            .await;
        assert!(answer.short().starts_with("400 invalid_request: Idempotency-Key"), "{bad:?}: {}", answer.short());
    }
}

#[tokio::test]
async fn of_two_changes_to_one_version_of_a_provider_one_is_made_and_its_secret_is_never_shown() {
    let house = House::new().await;
    let path = "/v1/upstream-providers/okta";
    let body = json!({"uid": "okta", "name": "Acme", "issuer": "https://acme.example", "client_id": "c"});
    let made = house.admin("POST", "/v1/upstream-providers", Some(body)).await;
    assert_eq!((made.status, made.header("etag")), (StatusCode::CREATED, "\"1\""), "{}", made.short());
    assert_eq!(made.json()["has_client_secret"], false);
    let change = |body: Value, tag: &str| {
        let headers = [("if-match", tag)];
        let request = request(&house.first, "PATCH", path, Some(body), &headers);
        house.send(Listener::Admin, request)
    };
    let tries =
        (0..4).map(|n| change(json!({"client_secret": format!("canary-{n}"), "session_seconds": 900 + n}), "\"1\""));
    let answers = join_all(tries).await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == StatusCode::OK).collect();
    assert_eq!(made.len(), 1, "{answers:?}");
    assert_eq!(made[0].header("etag"), "\"2\"");
    assert!(answers.iter().all(|answer| !answer.text.contains("canary-")), "{answers:?}");
    let stale = answers.iter().filter(|answer| answer.short().starts_with("412 version_mismatch")).count();
    assert_eq!(stale, 3, "{answers:?}");
    let shown = house.must("GET", path, None).await;
    assert_eq!(shown["has_client_secret"], true);
    assert_eq!(shown["session_seconds"], made[0].json()["session_seconds"]);
    for (tag, refused) in [
        ("2", "400 invalid_request: If-Match"),
        ("\"2", "400 invalid_request: If-Match"),
        ("W/\"2\"", "412 version_mismatch"),
        ("\"x\"", "412 version_mismatch"),
    ] {
        let answer = change(json!({}), tag).await;
        assert!(answer.short().starts_with(refused), "{tag}: {}", answer.short());
    }
    // `null` goes back to a new provider's value, and what is not named stays.
    let back = change(json!({"client_secret": null, "session_seconds": null, "disabled": true}), "\"2\"").await.json();
    assert_eq!((&back["has_client_secret"], &back["session_seconds"]), (&json!(false), &json!(43200)));
    assert!(back["disabled_at"].is_string(), "{back}");
    let delete = |tag: &'static str| {
        house.send(Listener::Admin, request(&house.first, "DELETE", path, None, &[("if-match", tag)]))
    };
    assert!(delete("\"2\"").await.short().starts_with("412 version_mismatch"));
    assert_eq!(delete("\"3\"").await.status, StatusCode::NO_CONTENT);
    assert!(delete("\"4\"").await.short().starts_with("404 not_found"));
}

#[tokio::test]
async fn a_repeated_administrator_is_the_same_one_and_its_key_is_shown_once() {
    let house = House::new().await;
    // Ends the first administrator, so that what follows is repeated by one who lives on.
    let ops = text(&house.must("POST", "/v1/administrators", Some(json!({"name": "ops"}))).await, "key");
    let headers = [("idempotency-key", "try-administrator")];
    let send = |name: &str| {
        let request = request(&ops, "POST", "/v1/administrators", Some(json!({ "name": name })), &headers);
        house.send(Listener::Admin, request)
    };
    let (made, again) = (send("other").await, send("other").await);
    assert_eq!((made.status, again.status), (StatusCode::CREATED, StatusCode::CREATED), "{}", again.short());
    assert_eq!(made.header("location"), again.header("location"));
    let mut shown = made.json();
    let key = text(&shown, "key");
    shown.as_object_mut().unwrap().remove("key");
    assert_eq!(again.json(), shown, "the same one, without its key");
    assert!(send("another").await.short().starts_with("409 idempotency_key_reused"));
    let list = house.call(&key, "GET", "/v1/administrators", None).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "{list}");
}

#[tokio::test]
async fn the_first_administrator_ends_with_the_second_and_the_last_one_stays() {
    let house = House::new().await;
    let list = house.must("GET", "/v1/administrators", None).await;
    assert_eq!(list["items"][0]["expires_at"], "2026-01-03T03:04:05Z");
    let first = format!("/v1/administrators/{}", text(&list["items"][0], "id"));
    assert!(house.admin("DELETE", &first, None).await.short().starts_with("409 conflict: the last operator"));
    let ops = house.must("POST", "/v1/administrators", Some(json!({"name": "ops"}))).await;
    let (ops, key) = (format!("/v1/administrators/{}", text(&ops, "id")), text(&ops, "key"));
    assert_eq!(house.admin("GET", "/v1/teams", None).await.status, StatusCode::UNAUTHORIZED);
    let list = house.call(&key, "GET", "/v1/administrators", None).await.json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(house.call(&key, "GET", &first, None).await.status, StatusCode::NOT_FOUND);
    assert!(house.call(&key, "DELETE", &ops, None).await.short().starts_with("409 conflict"));
    let other = house.call(&key, "POST", "/v1/administrators", Some(json!({"name": "other"}))).await.json();
    assert_eq!(house.call(&text(&other, "key"), "DELETE", &ops, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(house.call(&key, "GET", "/v1/teams", None).await.status, StatusCode::UNAUTHORIZED);
    // Time does not end an administrator who was made by another.
    house.clock.advance(Duration::days(400));
    assert_eq!(house.call(&text(&other, "key"), "GET", "/v1/teams", None).await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_change_has_its_audit_row_and_no_refusal_has_one_of_a_change() {
    let house = House::new().await;
    for (method, path, body) in [
        ("POST", "/v1/teams", Some(json!({"uid": "acme", "name": "Acme"}))),
        ("PATCH", "/v1/teams/acme", Some(json!({"name": "B"}))),
        ("PUT", "/v1/teams/acme/roles", Some(json!({"items": []}))),
        ("PATCH", "/v1/teams/acme/provider-settings", Some(json!({"session_tags": true}))),
        ("POST", "/v1/users", Some(json!({"uid": "ada", "name": "Ada"}))),
        ("PUT", "/v1/teams/acme/members/ada", None),
        ("DELETE", "/v1/teams/acme/members/ada", None),
        ("DELETE", "/v1/teams/acme", None),
        ("DELETE", "/v1/teams/acme", None),
        ("POST", "/v1/teams", Some(json!({"uid": "acme", "name": "Acme"}))),
    ] {
        house.admin(method, path, body).await;
        house.clock.advance(Duration::SECOND);
    }
    let rows = house.must("GET", "/v1/audit?limit=200", None).await;
    let rows = rows["items"].as_array().unwrap();
    let said: Vec<_> = rows
        .iter()
        .filter(|row| row["action"].as_str().unwrap().starts_with("admin."))
        .map(|row| {
            assert_eq!(row["credential_kind"], "administrator_key");
            format!("{} {}", text(row, "action"), text(row, "target"))
        })
        .collect();
    assert_eq!(
        said,
        [
            "admin.delete team:acme",
            "admin.delete member:acme/ada",
            "admin.create member:acme/ada",
            "admin.create user:ada",
            "admin.update provider_settings:acme",
            "admin.update policy:acme",
            "admin.update team:acme",
            "admin.create team:acme",
        ]
    );
    let of_team = house.must("GET", "/v1/audit?team=acme&decision=allowed", None).await;
    assert_eq!(of_team["items"].as_array().unwrap().len(), 7);
    let later = house.must("GET", "/v1/audit?since=2026-01-02T03:04:15Z", None).await;
    assert_eq!(later["items"], json!([]));
}

#[tokio::test]
async fn omitted_keeps_and_null_clears() {
    let house = House::new().await;
    house.must("POST", "/v1/teams", Some(json!({"uid": "acme", "name": "Acme"}))).await;
    house.must("POST", "/v1/users", Some(json!({"uid": "ada", "name": "Ada", "email": "ada@example.com"}))).await;
    assert_eq!(house.must("PATCH", "/v1/users/ada", Some(json!({"name": "A"}))).await["email"], "ada@example.com");
    assert_eq!(house.must("PATCH", "/v1/users/ada", Some(json!({"email": null}))).await.get("email"), None);
    let settings = "/v1/teams/acme/provider-settings";
    let whole = json!({"disabled": true, "region": "us-east-1", "role_arn": "arn:aws:iam::111122223333:role/x",
        "session_duration_seconds": 900, "models": {"m": "x"}, "allowed_models": ["x"], "session_tags": true,
        "source_identity": true, "base_url": "https://bedrock-runtime.us-east-1.amazonaws.com", "sts_endpoint": "https://sts.us-east-1.amazonaws.com"});
    let mut set = house.must("PATCH", settings, Some(whole.clone())).await;
    let kept = house.must("PATCH", settings, Some(json!({}))).await;
    assert_eq!((set["version"].clone(), kept["version"].clone()), (json!(1), json!(2)));
    for (name, value) in whole.as_object().unwrap() {
        assert_eq!((&set[name], &kept[name]), (value, value), "{name}");
    }
    set.as_object_mut().unwrap().retain(|name, _| name == "external_id");
    let nulls: Value = whole.as_object().unwrap().keys().map(|name| (name.clone(), Value::Null)).collect();
    let cleared = house.must("PATCH", settings, Some(nulls)).await;
    set["disabled"] = json!(false);
    set["version"] = json!(3);
    assert_eq!(cleared, set);
}

/// Threat 31: every secret is in the answer that made it, and in no other answer, log line or audit row.
#[tokio::test]
async fn threat_31_a_secret_stands_in_one_answer_and_nowhere_else() {
    let logs = Logs::capture();
    let house = House::new().await;
    house.must("POST", "/v1/teams", Some(json!({"uid": "acme", "name": "Acme"}))).await;
    house.must("POST", "/v1/users", Some(json!({"uid": "ada", "name": "Ada"}))).await;
    house.must("PUT", "/v1/teams/acme/members/ada", None).await;
    house.must("POST", "/v1/teams/acme/service-accounts", Some(json!({"uid": "robot", "name": "Robot"}))).await;
    let keys = "/v1/teams/acme/service-accounts/robot/keys";
    let key = text(&house.must("POST", keys, Some(json!({}))).await, "key");
    let worker = json!({"name": "w", "audience": "https://w.example.com", "teams": ["acme"]});
    let worker = text(&house.must("POST", "/v1/worker-keys", Some(worker)).await, "key");
    let code = text(&house.must("POST", "/v1/enrolment-codes", Some(json!({"user_uid": "ada"}))).await, "code");
    let minted = house.mint(&key, json!({"audience": "https://w.example.com"})).await;
    let token = text(&minted.json(), "token");
    let session = request("", "POST", "/v1/sessions", Some(json!({"code": code})), &[]);
    let access = text(&house.send(Listener::Public, session).await.json(), "access_token");
    let mut answers = String::new();
    for body in [json!({"code": key}), json!({"code": code}), json!({"code": access, "x": worker})] {
        answers += &house.send(Listener::Public, request("", "POST", "/v1/sessions", Some(body), &[])).await.text;
    }
    for secret in [&house.first, &key, &worker, &code, &access, &token] {
        for (method, path) in [
            ("GET", format!("/v1/teams?after={secret}")),
            ("GET", format!("/v1/audit?{secret}=1")),
            ("GET", format!("/v1/users/{secret}")),
        ] {
            answers += &house.admin(method, &path, None).await.text;
        }
        let body = json!({"name": secret, "uid": secret, "email": secret});
        answers += &house.admin("POST", "/v1/users", Some(body)).await.text;
        answers += &house.call(secret, "POST", "/v1/identity-tokens", None).await.text;
        answers += &house.call(&format!("{secret}x"), "GET", "/v1/teams", None).await.text;
        answers += &house.call_with(&house.first, "GET", "/v1/teams", None, &[("x-request-id", secret)]).await.text;
    }
    for path in [
        "/v1/administrators",
        "/v1/teams",
        "/v1/users",
        keys,
        "/v1/worker-keys",
        "/v1/signing-keys",
        "/v1/audit?limit=200",
    ] {
        answers += &house.must("GET", path, None).await.to_string();
    }
    house.app.issuer.audit().drain().await;
    let logged = logs.text();
    assert!(!logged.is_empty(), "nothing was captured, so the search proves nothing");
    for secret in [&house.first, &key, &worker, &code, &access, &token] {
        // Past the prefix, so that a part of it is found too.
        let part = &secret[10..34];
        assert!(!logged.contains(part), "a secret is in the log");
        let told: Vec<_> = answers.match_indices(part).collect();
        assert!(told.is_empty(), "a secret is in {} answers", told.len());
    }
}

#[tokio::test]
async fn threat_37_a_policy_takes_no_tag_that_is_reserved_repeated_or_too_much() {
    let house = House::new().await;
    house.must("POST", "/v1/teams", Some(json!({"uid": "acme", "name": "Acme"}))).await;
    let path = "/v1/teams/acme/policy";
    let set = json!({
        "session_tag_keys": ["project"], "cost_tags": {"CostCenter": "4711"},
        "address_ranges": ["10.0.0.0/8", "192.0.2.7"], "people_mint": "in_runs_only",
    });
    let policy = house.must("PATCH", path, Some(set)).await;
    assert_eq!(policy["address_ranges"], json!(["10.0.0.0/8", "192.0.2.7/32"]));
    assert_eq!(policy["people_mint"], "in_runs_only");
    for (body, said) in [
        (json!({"session_tag_keys": ["Brevet:Team"]}), "session_tag_keys.0 must not begin with aws: or brevet:"),
        (json!({"session_tag_keys": ["a", "A"]}), "session_tag_keys.1 must stand only once"),
        (json!({"session_tag_keys": ["costcenter"]}), "session_tag_keys must not hold a key of cost_tags"),
        (json!({"cost_tags": {"PROJECT": "x"}}), "session_tag_keys must not hold a key of cost_tags"),
        (json!({"cost_tags": {"AWS:x": "x"}}), "cost_tags has a key that must not begin with aws:"),
        (
            json!({"cost_tags": (0..9).map(|n| (format!("k{n}"), "v".repeat(250))).collect::<BTreeMap<_, _>>()}),
            "cost_tags must have at most 2048 characters in all keys and values together",
        ),
        (json!({"cost_tags": {"a": "x", "A": "y"}}), "cost_tags.a must stand only once"),
        (json!({"cost_tags": {"a": "aws:x"}}), "cost_tags.a must not begin with aws:"),
        (json!({"cost_tags": {"a": "*"}}), "cost_tags.a must have only A-Z"),
        (json!({"cost_tags": ["a"]}), "cost_tags must be an object"),
        (json!({"address_ranges": ["10.0.0.1/8"]}), "address_ranges.0 must have no bits set behind the prefix"),
        (json!({"address_ranges": ["10.0.0.0/8", "10.0.0.0/8"]}), "address_ranges.1 must stand only once"),
        (json!({"people_mint": "never"}), "people_mint must be anywhere or in_runs_only"),
        (
            json!({"session_tag_keys": (0..45).map(|n| format!("k{n}")).collect::<Vec<_>>()}),
            "session_tag_keys must have at most 45 keys together with cost_tags",
        ),
    ] {
        let answer = house.admin("PATCH", path, Some(body.clone())).await;
        assert!(answer.short().starts_with("400 invalid_request"), "{body}: {}", answer.short());
        assert!(answer.short().contains(said), "{body}: {}", answer.short());
    }
    assert_eq!(house.must("GET", path, None).await, policy, "nothing was half done");
    let clear = json!({"session_tag_keys": null, "cost_tags": null, "address_ranges": null, "people_mint": null});
    let new = house.must("PATCH", path, Some(clear)).await;
    assert_eq!((&new["cost_tags"], &new["address_ranges"]), (&json!({}), &json!([])));
    assert_eq!((&new["session_tag_keys"], &new["people_mint"]), (&json!([]), &json!("anywhere")));
}

#[tokio::test]
async fn the_audit_log_is_searched_and_exported_whole_by_who_may_see_it() {
    let house = House::new().await;
    for team in ["acme", "other"] {
        house.must("POST", "/v1/teams", Some(json!({"uid": team, "name": team}))).await;
        let account = format!("/v1/teams/{team}/service-accounts");
        house.must("POST", &account, Some(json!({"uid": format!("robot-{team}"), "name": "Robot"}))).await;
    }
    let path = "/v1/teams/acme/service-accounts/robot-acme/keys";
    let made = house.must("POST", path, Some(json!({}))).await;
    house
        .must(
            "PATCH",
            "/v1/teams/acme/provider-settings",
            Some(json!({"region": "us-east-1",
        "role_arn": "arn:aws:iam::111122223333:role/x"})),
        )
        .await;
    for _ in 0..450 {
        assert_eq!(house.mint(&text(&made, "key"), json!({})).await.status, 200);
    }
    let auditor = json!({"name": "eyes", "role": "auditor"});
    let auditor = text(&house.must("POST", "/v1/administrators", Some(auditor)).await, "key");
    let export = async |query: &str| {
        let answer = house.call(&auditor, "GET", &format!("/v1/audit/export{query}"), None).await;
        assert_eq!(answer.header("content-type"), "application/x-ndjson");
        assert!(answer.text.is_empty() || answer.text.ends_with('\n'));
        answer.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let minted = export("?action=token.mint").await;
    assert_eq!(minted.len(), 450, "more than two pages of the store");
    assert!(minted.iter().all(|row| row["asked_by"] == "service_account:robot-acme"));
    let ids: Vec<_> = minted.iter().map(|row| text(row, "id")).collect();
    assert!(ids.is_sorted(), "oldest first");
    let all = export("").await;
    let asked: Vec<_> = all.iter().filter_map(|row| row["asked_by"].as_str()).collect();
    assert!(asked.iter().any(|one| one.starts_with("administrator:")));
    let of_key = export(&format!("?credential={}", text(&made, "id"))).await;
    assert_eq!(of_key.len(), 450);
    assert_eq!(export("?run=0123456789abcdefABCD").await, Vec::<Value>::new());
    // The filters of a page and those of an export are the same, but for the page itself.
    for (path, said) in [
        ("/v1/audit/export?limit=1", "400 invalid_request: query may hold only"),
        ("/v1/audit?run=x", "400 invalid_request: run "),
        ("/v1/audit/export?credential=x", "400 invalid_request: credential must be the id of a credential"),
        ("/v1/teams/acme/audit?team=other", "400 invalid_request: query may hold only"),
    ] {
        let answer = house.call(&auditor, "GET", path, None).await;
        assert!(answer.short().starts_with(said), "{path}: {}", answer.short());
    }
    let of_team = house.call(&auditor, "GET", "/v1/teams/other/audit/export", None).await;
    assert_eq!(of_team.text.lines().count(), 2);
    assert!(of_team.text.lines().all(|line| line.contains(r#""team_uid":"other""#)));
    let page = house.call(&auditor, "GET", "/v1/teams/other/audit", None).await.json();
    assert_eq!(page["items"].as_array().unwrap().len(), 2);
}

/// What admins and auditors of a team do and do not, by their own sessions.
#[tokio::test]
async fn threat_21_a_team_admin_rules_the_team_and_nothing_beyond() {
    let house = House::new().await;
    for team in ["acme", "other"] {
        house.must("POST", "/v1/teams", Some(json!({"uid": team, "name": team}))).await;
    }
    for (user, team, role) in [("ada", "acme", "admin"), ("bob", "acme", "member"), ("eve", "other", "member")] {
        let body = json!({"uid": user, "name": user, "role": role});
        house.must("POST", &format!("/v1/teams/{team}/members"), Some(body)).await;
    }
    house.must("POST", "/v1/users", Some(json!({"uid": "teamless", "name": "x"}))).await;
    let sign_in = async |code: String| {
        let session = request("", "POST", "/v1/sessions", Some(json!({"code": code})), &[]);
        text(&house.send(Listener::Public, session).await.json(), "access_token")
    };
    let code = house.must("POST", "/v1/enrolment-codes", Some(json!({"user_uid": "ada"}))).await;
    let ada = sign_in(text(&code, "code")).await;
    let rows = [
        // What an admin of the team is for.
        ("POST", "/v1/teams/acme/service-accounts", json!({"uid": "robot", "name": "Robot"}), "201"),
        ("POST", "/v1/teams/acme/service-accounts/robot/keys", json!({}), "201"),
        ("PATCH", "/v1/teams/acme/policy", json!({"lifetime_cap_seconds": 600}), "200"),
        ("PATCH", "/v1/teams/acme", json!({"name": "Acme Corp"}), "200"),
        ("PATCH", "/v1/teams/acme/provider-settings", json!({"region": "us-east-1"}), "200"),
        ("POST", "/v1/teams/acme/members", json!({"uid": "new", "name": "New"}), "201"),
        ("PATCH", "/v1/teams/acme/members/bob", json!({"role": "auditor"}), "200"),
        ("PUT", "/v1/teams/acme/members/teamless", Value::Null, "201"),
        ("POST", "/v1/enrolment-codes", json!({"user_uid": "bob"}), "201"),
        ("GET", "/v1/teams/acme/audit", Value::Null, "200"),
        // Parts of those operations that are the operator's.
        ("PATCH", "/v1/teams/acme", json!({"disabled": true}), "403 not_permitted"),
        (
            "PATCH",
            "/v1/teams/acme/provider-settings",
            json!({"sts_endpoint": "https://sts.us-east-1.amazonaws.com"}),
            "403 not_permitted",
        ),
        // People of other teams are nobody, whether they exist or not.
        ("PUT", "/v1/teams/acme/members/eve", Value::Null, "404 not_found: no such user"),
        ("PUT", "/v1/teams/acme/members/nobody", Value::Null, "404 not_found: no such user"),
        (
            "POST",
            "/v1/enrolment-codes",
            json!({"user_uid": "eve"}),
            "400 invalid_request: user_uid must be the uid of a person who exists",
        ),
        (
            "POST",
            "/v1/enrolment-codes",
            json!({"user_uid": "nobody"}),
            "400 invalid_request: user_uid must be the uid of a person who exists",
        ),
    ];
    for (method, path, body, said) in rows {
        let body = (!body.is_null()).then_some(body);
        let answer = house.call(&ada, method, path, body).await;
        assert!(answer.short().starts_with(said), "{method} {path}: {}", answer.short());
    }
    // Whose hand it was stands in the log.
    let rows = house.must("GET", "/v1/teams/acme/audit?action=admin.update", None).await;
    assert!(rows["items"].as_array().unwrap().iter().any(|row| row["asked_by"] == "user:ada"), "{rows}");

    // A person in a second team is no more the first one's to enrol, and what its admins enrolled has ended.
    let bob = house.call(&ada, "POST", "/v1/enrolment-codes", Some(json!({"user_uid": "bob"}))).await;
    let bob = sign_in(text(&bob.json(), "code")).await;
    house.must("PUT", "/v1/teams/other/members/bob", None).await;
    let whoami = house.send(Listener::Public, request(&bob, "GET", "/v1/whoami", None, &[])).await;
    assert!(whoami.short().starts_with("401"), "{}", whoami.short());
    let again = house.call(&ada, "POST", "/v1/enrolment-codes", Some(json!({"user_uid": "bob"}))).await;
    assert!(again.short().starts_with("400 invalid_request"), "{}", again.short());

    // A team that refuses codes is not ruled by a session that a code opened (threat 38); one that is off by nobody.
    house.must("PATCH", "/v1/teams/acme/policy", Some(json!({"enrolment_codes": false}))).await;
    let refused = house.call(&ada, "GET", "/v1/teams/acme", None).await;
    assert!(refused.short().starts_with("403 sign_in_not_accepted"), "{}", refused.short());
    house.must("PATCH", "/v1/teams/acme/policy", Some(json!({"enrolment_codes": true}))).await;
    house.must("PATCH", "/v1/teams/acme", Some(json!({"disabled": true}))).await;
    assert_eq!(house.call(&ada, "GET", "/v1/teams/acme/audit", None).await.status, 200);
    let refused = house.call(&ada, "PATCH", "/v1/teams/acme/policy", Some(json!({}))).await;
    assert!(refused.short().starts_with("403 team_disabled"), "{}", refused.short());
    house.must("PATCH", "/v1/teams/acme", Some(json!({"disabled": false}))).await;

    // Who is demoted has lost at once.
    house.must("PATCH", "/v1/teams/acme/members/ada", Some(json!({"role": "member"}))).await;
    assert_eq!(house.call(&ada, "GET", "/v1/teams/acme", None).await.status, 403);
    house.must("DELETE", "/v1/teams/acme/members/ada", None).await;
    assert_eq!(house.call(&ada, "GET", "/v1/teams/acme", None).await.status, 404);
}

#[tokio::test]
async fn an_auditor_replaces_no_operator() {
    let house = House::new().await;
    let auditor = json!({"name": "eyes", "role": "auditor"});
    let auditor = house.must("POST", "/v1/administrators", Some(auditor)).await;
    let first = house.must("GET", "/v1/administrators", None).await;
    let all = first["items"].as_array().unwrap();
    assert_eq!(all.len(), 2, "the first start's operator is still there");
    let id = text(all.iter().find(|one| one["role"] == "operator").unwrap(), "id");
    for (method, path, body) in [
        ("DELETE", format!("/v1/administrators/{id}"), None),
        ("PATCH", format!("/v1/administrators/{id}"), Some(json!({"role": "auditor"}))),
    ] {
        let answer = house.admin(method, &path, body).await;
        assert!(answer.short().starts_with("409 conflict: the last operator"), "{}", answer.short());
    }
    let path = format!("/v1/administrators/{}", text(&auditor, "id"));
    assert_eq!(house.call(&text(&auditor, "key"), "DELETE", &path, None).await.status, 403);
    assert_eq!(house.must("PATCH", &path, Some(json!({"role": "operator"}))).await["role"], "operator");
    assert_eq!(house.call(&text(&auditor, "key"), "GET", "/v1/teams", None).await.status, 200);
    assert_eq!(house.admin("DELETE", &format!("/v1/administrators/{id}"), None).await.status, 204);
}

#[tokio::test]
async fn threat_23_what_a_disable_cannot_end_is_told_with_the_denies_that_do() {
    let house = House::new().await;
    house.must("POST", "/v1/teams", Some(json!({"uid": "acme", "name": "Acme"}))).await;
    let path = "/v1/teams/acme/service-accounts";
    for account in ["robot", "idle"] {
        house.must("POST", path, Some(json!({"uid": account, "name": account}))).await;
    }
    let role = "arn:aws:iam::111122223333:role/x";
    let settings = json!({"region": "us-east-1", "role_arn": role});
    house.must("PATCH", "/v1/teams/acme/provider-settings", Some(settings)).await;
    let audiences = json!({"items": [{"audience": "sts.amazonaws.com"}, {"audience": "https://vault.example.com"}]});
    house.must("PUT", "/v1/teams/acme/audiences", Some(audiences)).await;
    let key = text(&house.must("POST", &format!("{path}/robot/keys"), Some(json!({}))).await, "key");
    assert_eq!(house.mint(&key, json!({"lifetime_seconds": 900})).await.status, 200);
    assert_eq!(house.mint(&key, json!({"audience": "https://vault.example.com"})).await.status, 200);
    house.must("PATCH", &format!("{path}/robot"), Some(json!({"disabled": true}))).await;

    let remaining = "/v1/teams/acme/remaining-sessions";
    let told = house.must("GET", &format!("{remaining}?principal=service_account:robot"), None).await;
    let items = told["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "a token for another audience opens no session: {told}");
    assert_eq!((&items[0]["role_arn"], &items[0]["principals"]), (&json!(role), &json!(["service_account:robot"])));
    // 900 s from the mint and the 5 minutes that STS takes a token longer; then the longest session, 12 hours.
    assert_eq!(items[0]["tokens_until"], "2026-01-02T03:24:05Z");
    assert_eq!(items[0]["sessions_until"], "2026-01-02T15:24:05Z");
    let denies = items[0]["denies"].as_array().unwrap();
    let said = |at: usize| denies[at]["document"].to_string();
    assert!(said(0).contains("scoped_principal:acme/service_account:robot") && said(0).contains("Deny"), "{}", said(0));
    assert!(said(1).contains("s.robot") && said(1).contains("SourceIdentity"), "{}", said(1));
    for deny in denies {
        assert!(text(deny, "put_command").starts_with("aws iam put-role-policy --role-name 'x'"), "{deny}");
        assert!(text(deny, "delete_command").contains(&text(deny, "name")), "{deny}");
    }
    assert_eq!(
        house.must("GET", &format!("{remaining}?principal=service_account:idle"), None).await["items"],
        json!([])
    );
    assert_eq!(house.must("GET", remaining, None).await, told, "of everyone");
    house.must("DELETE", "/v1/teams/acme", None).await;
    assert_eq!(house.must("GET", remaining, None).await, told, "the team is gone, its sessions are not");
    house.clock.advance(Duration::hours(14));
    assert_eq!(house.admin("GET", remaining, None).await.short(), "404 not_found: no such team", "nothing remains");
}

#[tokio::test]
async fn operators_end_peoples_sessions_and_auditors_see_them() {
    let house = House::new().await;
    house.must("POST", "/v1/teams", Some(json!({"uid": "acme", "name": "Acme"}))).await;
    house.must("POST", "/v1/teams/acme/members", Some(json!({"uid": "ada", "name": "Ada"}))).await;
    let mut tokens = Vec::new();
    for device in ["laptop", "phone"] {
        let code = text(&house.must("POST", "/v1/enrolment-codes", Some(json!({"user_uid": "ada"}))).await, "code");
        let body = json!({"code": code, "device": device});
        let opened = house.send(Listener::Public, request("", "POST", "/v1/sessions", Some(body), &[])).await;
        tokens.push(text(&opened.json(), "access_token"));
        house.clock.advance(Duration::SECOND);
    }
    let whoami = async |token: &str| {
        house.send(Listener::Public, request(token, "GET", "/v1/whoami", None, &[])).await.status.as_u16()
    };
    assert_eq!((whoami(&tokens[0]).await, whoami(&tokens[1]).await), (200, 200));
    house.app.issuer.write_last_used().await;
    let sessions = house.must("GET", "/v1/users/ada/sessions", None).await;
    let items = sessions["items"].as_array().unwrap();
    let devices: Vec<_> = items.iter().map(|one| text(one, "device")).collect();
    assert_eq!(devices, ["phone", "laptop"]);
    assert!(items.iter().all(|one| one["last_used_at"].is_string()), "{sessions}");
    let laptop = format!("/v1/users/ada/sessions/{}", text(&items[1], "session_id"));
    house.must("DELETE", &laptop, None).await;
    assert_eq!(house.admin("DELETE", &laptop, None).await.status, 404);
    assert_eq!((whoami(&tokens[0]).await, whoami(&tokens[1]).await), (401, 200));
    house.must("DELETE", "/v1/users/ada/sessions", None).await;
    assert_eq!(whoami(&tokens[1]).await, 401);
    assert_eq!(house.must("GET", "/v1/users/ada/sessions", None).await["items"], json!([]));
}

#[tokio::test]
async fn threat_20_a_teams_admins_see_and_end_its_runs_its_auditors_see_them_and_nobody_else_does() {
    let house = House::new().await;
    for team in ["acme", "blue"] {
        house.must("POST", "/v1/teams", Some(json!({"uid": team, "name": team}))).await;
        let settings = json!({"region": "us-east-1", "role_arn": "arn:aws:iam::111122223333:role/x"});
        house.must("PATCH", &format!("/v1/teams/{team}/provider-settings"), Some(settings)).await;
    }
    for (team, user, role) in
        [("acme", "boss", "admin"), ("acme", "eye", "auditor"), ("acme", "ann", "member"), ("blue", "bob", "admin")]
    {
        let body = json!({"uid": user, "name": user, "role": role});
        house.must("POST", &format!("/v1/teams/{team}/members"), Some(body)).await;
    }
    let sign_in = async |user: &str| house.app.sign_in(&UserUid::parse(user).unwrap()).await;
    let (boss, eye, ann, bob) =
        (sign_in("boss").await, sign_in("eye").await, sign_in("ann").await, sign_in("bob").await);
    let open = async |bearer: &str| {
        let request = request(bearer, "POST", "/v1/runs", Some(json!({"tokens_max": 2})), &[]);
        let opened = house.send(Listener::Public, request).await;
        assert_eq!(opened.status, 201, "{}", opened.short());
        (text(&opened.json(), "bearer"), text(&opened.json(), "id"))
    };
    let (bearer, run) = open(&ann).await;
    let (_, foreign) = open(&bob).await;
    let path = "/v1/teams/acme/runs";
    let one = format!("{path}/{run}");
    for who in [&boss, &eye, &house.first] {
        let listed = house.call(who, "GET", path, None).await.json();
        assert_eq!(listed["items"].as_array().map(Vec::len), Some(1), "{listed}");
        assert_eq!((&listed["items"][0]["id"], &listed["items"][0]["principal"]), (&json!(run), &json!("user:ann")));
        assert_eq!(house.call(who, "GET", &one, None).await.json(), listed["items"][0]);
        assert!(listed["items"][0].get("bearer").is_none());
        let none = house.call(who, "GET", &format!("{path}?principal=user:boss"), None).await;
        assert_eq!(none.json()["items"], json!([]));
        // Not by its path either is a run of another team one of this.
        let other = house.call(who, "GET", &format!("{path}/{foreign}"), None).await;
        assert_eq!(other.short(), "404 not_found: no such run");
    }
    let named = house.call(&boss, "GET", &format!("{path}?team=blue"), None).await;
    assert_eq!(named.status, 400, "the path says which team: {}", named.short());
    // Whoever is in no such office learns nothing, and who may look ends nothing.
    for (who, method, status) in
        [(&ann, "GET", 403), (&ann, "DELETE", 403), (&eye, "DELETE", 403), (&bob, "GET", 404), (&bob, "DELETE", 404)]
    {
        assert_eq!(house.call(who, method, &one, None).await.status, status, "{method}");
    }
    let other = house.call(&boss, "DELETE", &format!("{path}/{foreign}"), None).await;
    assert_eq!(other.short(), "404 not_found: no such run");
    assert_eq!(house.mint(&bearer, json!({})).await.status, 200, "it went on all the while");

    for _ in 0..2 {
        assert_eq!(house.call(&boss, "DELETE", &one, None).await.status, 204, "also where it is over");
    }
    assert_eq!(house.mint(&bearer, json!({})).await.status, 401);
    assert_eq!(house.call(&boss, "GET", &one, None).await.json()["state"], "ended");
    let open = house.call(&eye, "GET", &format!("{path}?state=open"), None).await;
    assert_eq!(open.json()["items"], json!([]));
    let rows = house.app.rows(Action::RunEnd).await;
    assert_eq!(rows.len(), 1);
    let row = &rows[0];
    assert_eq!(row.credential.map(|(kind, _)| kind), Some(CredentialKind::Access));
    assert_eq!(row.principal.as_ref().map(ToString::to_string).as_deref(), Some("user:ann"));
    assert_eq!(
        (row.team.as_ref().map(ToString::to_string), row.target.clone()),
        (Some("acme".to_owned()), Some(format!("run:{run}")))
    );
}
