//! Runs over the real router: what a bearer gets, what it never gets, and when it ends.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brevet::domain::access::RunsOf;
use brevet::domain::address_range::AddressRange;
use brevet::domain::audience::Audience;
use brevet::domain::audit::Action;
use brevet::domain::clock::Clock;
use brevet::domain::role_arn::RoleArn;
use brevet::domain::session_tag::{TagKey, TagValue};
use brevet::domain::settings::{ModelId, ProviderLayer};
use brevet::domain::team::{AudienceRule, PeopleMint, RoleRule, WhoMay};
use brevet::store::ServiceAccountChange;
use http::{Method, StatusCode};
use proptest::prelude::*;
use serde_json::{Value, json};
use time::Duration;

use crate::support::app::{Answer, App, layer, request};

const WORKER: &str = "https://worker.example.com";

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn minted(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{answer}");
    claims(answer.json()["token"].as_str().unwrap())
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{answer}");
}

fn listed(text: &str) -> AudienceRule {
    AudienceRule { audience: Audience::parse(text).unwrap(), lifetime_cap: None }
}

async fn exchange(app: &App, worker: &str, token: &str) -> Answer {
    app.post("/v1/worker/exchange", Some(worker), &json!({ "token": token })).await
}

#[tokio::test]
async fn threat_33_run_a_cannot_mint_as_run_b_nor_after_its_end_nor_for_an_unlisted_audience() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    app.policy(&team, |policy| policy.audiences.push(listed("vault"))).await;
    let (key, key_id) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let (a, a_id) = app.run(&key, &json!({"audiences": ["vault"], "tokens_max": 2, "lifetime_cap_seconds": 90})).await;
    let (b, b_id) = app.run(&key, &json!({})).await;

    let claims = minted(&app.mint(&a, &json!({})).await);
    assert_eq!((&claims["aud"], &claims["run_id"]), (&json!("vault"), &json!(a_id)));
    assert_eq!(claims["sub"], "scoped_principal:team-1/service_account:agent-1");
    assert_eq!(claims["act"], json!({"sub": format!("service_account_key:{key_id}")}));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 90);
    assert_eq!(minted(&app.mint(&b, &json!({})).await)["run_id"], json!(b_id));
    assert!(minted(&app.mint(&key, &json!({})).await).get("run_id").is_none());

    refused(&app.mint(&a, &json!({"audience": "sts.amazonaws.com"})).await, 403, "audience_not_in_run");
    refused(&app.mint(&b, &json!({"audience": "vault"})).await, 403, "audience_not_in_run");
    refused(&app.mint(&a, &json!({"on_behalf_of": "service_account:agent-1"})).await, 403, "not_permitted");
    refused(&app.mint(&a, &json!({"team_uid": "team-2"})).await, 404, "team_not_found");
    refused(&app.post("/v1/runs", Some(&a), &json!({})).await, 403, "not_permitted");
    refused(&app.get(&format!("/v1/runs/{a_id}"), Some(&a)).await, 403, "not_permitted");

    minted(&app.mint(&a, &json!({})).await);
    refused(&app.mint(&a, &json!({})).await, 403, "run_exhausted");
    let shown = app.get(&format!("/v1/runs/{a_id}"), Some(&key)).await.json();
    assert_eq!((&shown["tokens_issued"], &shown["state"]), (&json!(2), &json!("open")));
    assert!(shown.get("bearer").is_none());

    app.end_run(&key, &b_id).await;
    refused(&app.mint(&b, &json!({})).await, 401, "invalid_credential");
    app.end_run(&key, &b_id).await;
    let rows = app.rows(Action::RunEnd).await;
    assert_eq!((rows.len(), rows[0].target.as_deref()), (1, Some(format!("run:{b_id}").as_str())));
    let refusals = app.refusals(Action::TokenMint).await;
    assert_eq!(refusals.iter().filter(|reason| *reason == "run_exhausted").count(), 1, "{refusals:?}");
    assert_eq!(app.rows(Action::RunOpen).await.len(), 2);
}

#[tokio::test]
async fn threat_23_a_run_ends_with_what_it_hangs_on_also_where_its_bearer_is_remembered() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let agent = app.agent(&team, "agent-1").await;
    let (key, key_id) = app.agent_key(&agent).await;
    let person = app.person("person-1", &[&team]).await;
    let session = app.sign_in(&person).await;
    let (by_key, _) = app.run(&key, &json!({})).await;
    let (by_session, _) = app.run(&session, &json!({})).await;
    let (short, _) = app.run(&key, &json!({"ends_in_seconds": 60})).await;
    for bearer in [&by_key, &by_session, &short] {
        minted(&app.mint(bearer, &json!({})).await);
    }
    app.clock.advance(Duration::seconds(60));
    refused(&app.mint(&short, &json!({})).await, 401, "invalid_credential");

    // Straight in the store, so that nothing on this replica is told to forget.
    app.store.revoke_service_account_key(&agent, key_id, &app.event()).await.unwrap();
    refused(&app.mint(&by_key, &json!({})).await, 401, "invalid_credential");
    app.store.remove_member(&team, &person, &app.event()).await.unwrap();
    refused(&app.mint(&by_session, &json!({})).await, 401, "invalid_credential");
    app.join(&person, &team).await;
    minted(&app.mint(&by_session, &json!({})).await);
    let own = app.get("/v1/sessions", Some(&session)).await.json()["items"][0]["session_id"].clone();
    let end = app.delete(&format!("/v1/sessions/{}", own.as_str().unwrap()), &session).await;
    assert_eq!(end.status, StatusCode::NO_CONTENT);
    refused(&app.mint(&by_session, &json!({})).await, 401, "invalid_credential");
    // In one instant, rows have no order.
    let reasons: BTreeSet<_> = app.refusals(Action::TokenMint).await.into_iter().collect();
    assert_eq!(reasons, ["run_opener_revoked", "membership_ended"].map(str::to_owned).into());
    // The session was ended through the issuer, which forgot at once: the bearer is turned away at the door.
    let turned_away: BTreeSet<_> = app.refusals(Action::Authenticate).await.into_iter().collect();
    assert_eq!(turned_away, ["run_expired", "session_ended"].map(str::to_owned).into());
}

#[tokio::test]
async fn threat_20_of_many_who_may_mint_each_mints_as_itself_alone() {
    let app = App::start().await;
    let teams = [app.team("team-1").await, app.team("team-2").await];
    let mut who = Vec::new();
    for (n, team) in teams.iter().enumerate() {
        let agent = app.agent(team, &format!("agent-{n}")).await;
        let subject = format!("scoped_principal:{team}/service_account:{agent}");
        let key = app.agent_key(&agent).await.0;
        let run = app.run(&key, &json!({})).await;
        who.extend([(key, subject.clone(), None), (run.0, subject, Some(run.1))]);
        let person = app.person(&format!("person-{n}"), &[team]).await;
        let subject = format!("scoped_principal:{team}/user:{person}");
        let session = app.sign_in(&person).await;
        let run = app.run(&session, &json!({})).await;
        who.extend([(session, subject.clone(), None), (run.0, subject, Some(run.1))]);
    }
    let everyone: Vec<_> = who.iter().map(|(_, subject, _)| subject.clone()).collect();
    for (bearer, subject, run) in &who {
        let own = minted(&app.mint(bearer, &json!({})).await);
        assert_eq!((&own["sub"], own.get("run_id").and_then(Value::as_str)), (&json!(subject), run.as_deref()));
        for other in everyone.iter().filter(|other| *other != subject) {
            // Whoever names somebody else, in whatever member there is, gets nothing in that name.
            let (team, principal) = other.trim_start_matches("scoped_principal:").split_once('/').unwrap();
            for body in [json!({"on_behalf_of": principal}), json!({"team_uid": team, "on_behalf_of": principal})] {
                refused(&app.mint(bearer, &body).await, 403, "not_permitted");
                let opened = app.post("/v1/runs", Some(bearer), &body).await;
                assert_eq!(opened.status, StatusCode::FORBIDDEN, "{opened}");
            }
            for body in [json!({"subject": other}), json!({"run_id": "0123456789abcdefABCD"})] {
                refused(&app.mint(bearer, &body).await, 400, "invalid_request");
            }
            if !subject.contains(team) {
                let answer = app.mint(bearer, &json!({"team_uid": team})).await;
                refused(&answer, 404, "team_not_found");
            }
        }
    }
    // A platform of one team mints for that team's principals and for nobody else's.
    let (platform, _) = app.platform(&[&teams[0]]).await;
    for subject in &everyone {
        let (team, principal) = subject.trim_start_matches("scoped_principal:").split_once('/').unwrap();
        for path in ["/v1/identity-tokens", "/v1/runs"] {
            let answer = app.post(path, Some(&platform), &json!({"on_behalf_of": principal})).await;
            if team == "team-1" {
                assert!(answer.status.is_success(), "{answer}");
            } else {
                refused(&answer, 404, "principal_not_found");
            }
        }
    }
}

#[tokio::test]
async fn threat_37_labels_are_tags_under_the_keys_that_the_team_lists_and_nowhere_else() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    app.settings(&team, None, ProviderLayer { session_tags: Some(true), ..layer("bedrock") }).await;
    let tag = |text: &str| TagKey::parse(text).unwrap();
    app.policy(&team, |policy| {
        policy.session_tag_keys = vec![tag("Project")];
        policy.cost_tags.insert(tag("CostCenter"), TagValue::parse("42").unwrap());
    })
    .await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let labels = json!({"project": "apollo", "COSTCENTER": "0", "stage": "beta"});
    let (bearer, id) = app.run(&key, &json!({"labels": labels})).await;
    let tags = minted(&app.mint(&bearer, &json!({})).await)["https://aws.amazon.com/tags"].clone();
    let fixed = ["brevet:actor", "brevet:principal", "brevet:run", "brevet:sub", "brevet:team"];
    assert_eq!(tags["transitive_tag_keys"], json!(fixed));
    let own = &tags["principal_tags"];
    assert_eq!(
        (&own["Project"], &own["CostCenter"], &own["brevet:run"]),
        (&json!(["apollo"]), &json!(["42"]), &json!([id]))
    );
    assert_eq!(own.as_object().unwrap().len(), 7, "{tags}");
    for (labels, field) in [
        (json!({"brevet:team": "x"}), "labels"),
        (json!({"Brevet:Run": "x"}), "labels"),
        (json!({"AWS:x": "x"}), "labels"),
        (json!({"a": "1", "A": "2"}), "labels"),
        (json!({"a": "x*"}), "labels.a"),
    ] {
        let answer = app.post("/v1/runs", Some(&key), &json!({"labels": labels})).await;
        refused(&answer, 400, "invalid_request");
        assert_eq!(answer.json()["errors"][0]["field"], field, "{answer}");
    }
}

#[tokio::test]
async fn what_a_team_takes_off_its_lists_is_off_its_runs_at_the_next_request() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let role = |name: &str| RoleArn::parse(&format!("arn:aws:iam::111122223333:role/{name}")).unwrap();
    app.policy(&team, |policy| {
        policy.audiences.push(listed("vault"));
        policy.roles = vec![RoleRule { role: role("build"), principals: WhoMay::Everyone }];
    })
    .await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let (worker, _) = app.worker(WORKER, &[&team]).await;
    let build = role("build").to_string();
    let body = json!({"role_arn": build, "audiences": ["sts.amazonaws.com", "vault", WORKER]});
    let (bearer, id) = app.run(&key, &body).await;
    let roles = "https://aws.amazon.com/roles";
    assert_eq!(minted(&app.mint(&bearer, &json!({})).await)[roles], json!([build]));
    let own = role("bedrock").to_string();
    refused(&app.mint(&bearer, &json!({"role_arn": own})).await, 403, "role_not_allowed");
    let caller = app.token(&bearer, WORKER).await;
    let exchanged = exchange(&app, &worker, &caller).await;
    assert_eq!(exchanged.json()["settings"]["role_arn"], json!(build), "{exchanged}");
    assert_eq!(exchanged.json()["run_id"], json!(id));
    let act = &claims(exchanged.json()["identity_token"].as_str().unwrap())["act"];
    assert!(act["sub"].as_str().unwrap().starts_with("worker_key:"), "{act}");
    assert!(act["act"]["sub"].as_str().unwrap().starts_with("service_account_key:"), "{act}");

    app.policy(&team, |policy| policy.roles.clear()).await;
    refused(&app.mint(&bearer, &json!({})).await, 403, "role_not_allowed");
    refused(&exchange(&app, &worker, &caller).await, 403, "role_not_allowed");
    let asked = json!({"tokens": [caller]});
    let alive = app.post("/v1/worker/liveness", Some(&worker), &asked).await.json();
    assert_eq!(alive["items"][0]["reason"], "role_not_allowed");
    minted(&app.mint(&bearer, &json!({"audience": "vault"})).await);
    app.policy(&team, |policy| policy.audiences.truncate(1)).await;
    refused(&app.mint(&bearer, &json!({"audience": "vault"})).await, 403, "audience_not_allowed");
    app.policy(&team, |policy| policy.roles = vec![RoleRule { role: role("build"), principals: WhoMay::Everyone }])
        .await;
    minted(&app.mint(&bearer, &json!({})).await);
    app.settings(&team, None, ProviderLayer { disabled: true, ..layer("bedrock") }).await;
    refused(&app.mint(&bearer, &json!({})).await, 403, "provider_disabled");
}

#[tokio::test]
async fn a_run_is_opened_within_what_its_principal_may() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let allowed = ModelId::parse("a").unwrap();
    app.settings(&team, None, ProviderLayer { allowed_models: Some(vec![allowed]), ..layer("bedrock") }).await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    for (body, status, code) in [
        (json!({"audiences": ["vault"]}), 403, "audience_not_allowed"),
        (json!({"audiences": ["https://id.example.com/brevet"]}), 403, "audience_reserved"),
        (json!({"audiences": []}), 400, "invalid_request"),
        (json!({"audiences": ["a", "a"]}), 400, "invalid_request"),
        (json!({"role_arn": "arn:aws:iam::111122223333:role/admin"}), 403, "role_not_allowed"),
        (json!({"role_arn": "admin"}), 400, "invalid_request"),
        (json!({"tokens_max": 0}), 400, "invalid_request"),
        (json!({"lifetime_cap_seconds": 59}), 400, "invalid_request"),
        (json!({"ends_in_seconds": 59}), 400, "invalid_request"),
        (json!({"ends_in_seconds": 604_801}), 400, "invalid_request"),
        (json!({"ends_in_seconds": 60, "ends_at": "2026-11-21T13:00:00Z"}), 400, "invalid_request"),
        (json!({"ends_at": "2020-01-01T00:00:00Z"}), 400, "invalid_request"),
        (json!({"provider_settings": {"allowed_models": ["b"]}}), 403, "model_not_allowed"),
        (json!({"provider_settings": {"session_duration_seconds": 7200}}), 403, "setting_not_allowed"),
        (json!({"provider_settings": {"base_url": "https://x"}}), 400, "invalid_request"),
        (json!({"team_uid": "team-2"}), 404, "team_not_found"),
        (json!({"surprise": 1}), 400, "invalid_request"),
    ] {
        refused(&app.post("/v1/runs", Some(&key), &body).await, status, code);
    }
    assert_eq!(app.refusals(Action::RunOpen).await.len(), 6, "refusals for a reason are rows, faults of form are not");

    let body =
        json!({"ends_in_seconds": 3600, "provider_settings": {"session_duration_seconds": 900, "session_tags": true}});
    let first = request(Method::POST, "/v1/runs", Some(&key), body.to_string().into());
    let repeat = |mut request: http::Request<axum::body::Body>| {
        request.headers_mut().insert("idempotency-key", "once".parse().unwrap());
        request
    };
    let opened = app.send(repeat(first)).await;
    assert_eq!(opened.status, StatusCode::CREATED, "{opened}");
    let again = app.send(repeat(request(Method::POST, "/v1/runs", Some(&key), body.to_string().into()))).await;
    let (opened, again) = (opened.json(), again.json());
    assert_eq!((&opened["id"], again.get("bearer")), (&again["id"], None));
    assert_eq!(opened["provider_settings"], json!({"session_duration_seconds": 900, "session_tags": true}));
    let runs = app.get("/v1/runs?state=open", Some(&key)).await.json();
    assert_eq!(runs["items"].as_array().unwrap().len(), 1, "{runs}");
}

#[tokio::test]
async fn threat_34_a_worker_takes_the_bearer_of_a_run_opened_for_it_alone() {
    let app = App::start().await;
    let (team, other) = (app.team("team-1").await, app.team("team-2").await);
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let (worker, _) = app.worker(WORKER, &[&team]).await;
    let (second, _) = app.worker("https://second.example.com", &[&team]).await;
    let (elsewhere, _) = app.worker(WORKER, &[&other]).await;
    let (bearer, id) = app.run(&key, &json!({"audiences": [WORKER]})).await;
    let (wide, _) = app.run(&key, &json!({"audiences": [WORKER, "sts.amazonaws.com"]})).await;
    let (sts, _) = app.run(&key, &json!({})).await;

    let answer = exchange(&app, &worker, &bearer).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer}");
    let body = answer.json();
    assert_eq!((&body["run_id"], &body["session_name"]), (&json!(id), &json!(format!("s.agent-1.{id}"))));
    assert!(body["run_ends_at"].is_string() && !answer.to_string().contains(&bearer));
    let identity = claims(body["identity_token"].as_str().unwrap());
    assert_eq!((&identity["run_id"], &identity["aud"]), (&json!(id), &json!("sts.amazonaws.com")));
    let row = app.rows(Action::TokenExchange).await.pop().unwrap();
    assert_eq!(row.token.unwrap().run_id, Some(id.clone()));
    // An exchange takes nothing from the run's count.
    assert_eq!(app.get(&format!("/v1/runs/{id}"), Some(&key)).await.json()["tokens_issued"], 0);

    for (worker, bearer, status, code) in [
        (&second, &bearer, 422, "invalid_token"),
        (&elsewhere, &bearer, 403, "team_not_served"),
        (&worker, &wide, 422, "invalid_token"),
        (&worker, &sts, 422, "invalid_token"),
        (&worker, &key, 422, "invalid_token"),
    ] {
        refused(&exchange(&app, worker, bearer).await, status, code);
    }
    let unknown = brevet::domain::credential::OpaqueCredential::generate(
        brevet::domain::credential::CredentialKind::Run,
        &crate::support::entropy::SeededEntropy::new(77),
    );
    let unknown = unknown.secret().expose().to_owned();
    refused(&exchange(&app, &worker, &unknown).await, 422, "invalid_token");
    let ask = json!({"tokens": [bearer, wide, unknown, key]});
    let alive = app.post("/v1/worker/liveness", Some(&worker), &ask).await.json();
    let words: Vec<_> = alive["items"].as_array().unwrap().iter().map(|item| item["reason"].clone()).collect();
    assert_eq!(
        words,
        [Value::Null, json!("token_run_audience"), json!("token_unknown_bearer"), json!("token_is_credential")]
    );

    app.policy(&team, |policy| policy.address_ranges = vec![AddressRange::parse("10.0.0.0/8").unwrap()]).await;
    refused(&exchange(&app, &worker, &bearer).await, 403, "address_not_allowed");
    app.policy(&team, |policy| policy.address_ranges.clear()).await;
    app.end_run(&key, &id).await;
    refused(&exchange(&app, &worker, &bearer).await, 403, "caller_not_alive");
    let alive = app.post("/v1/worker/liveness", Some(&worker), &json!({"tokens": [bearer]})).await.json();
    assert_eq!(alive["items"][0]["reason"], "run_ended");
}

#[tokio::test]
async fn threat_41_made_up_bearers_that_a_worker_shows_are_counted_and_write_no_row_each() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let (worker, _) = app.worker(WORKER, &[&team]).await;
    for seed in 0..50 {
        let made_up = brevet::domain::credential::OpaqueCredential::generate(
            brevet::domain::credential::CredentialKind::Run,
            &crate::support::entropy::SeededEntropy::new(1000 + seed),
        );
        refused(&exchange(&app, &worker, made_up.secret().expose()).await, 422, "invalid_token");
    }
    assert!(app.rows(Action::TokenExchange).await.is_empty());
    app.issuer.audit().drain().await;
    let rows = app.rows(Action::TokenExchange).await;
    assert_eq!(
        rows.iter().map(|row| (row.reason.as_deref(), row.count)).collect::<Vec<_>>(),
        [(Some("token_unknown_bearer"), 50)]
    );
}

#[tokio::test]
async fn a_token_of_a_run_is_exchanged_only_while_the_run_goes_on() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let (worker, _) = app.worker(WORKER, &[&team]).await;
    let (bearer, id) = app.run(&key, &json!({"audiences": [WORKER], "tokens_max": 1})).await;
    let token = app.token(&bearer, WORKER).await;
    assert_eq!(exchange(&app, &worker, &token).await.status, StatusCode::OK);
    // A run that has had all its tokens goes on with the one it has.
    refused(&app.mint(&bearer, &json!({})).await, 403, "run_exhausted");
    assert_eq!(exchange(&app, &worker, &token).await.status, StatusCode::OK);
    app.end_run(&key, &id).await;
    refused(&exchange(&app, &worker, &token).await, 403, "caller_not_alive");
    let alive = app.post("/v1/worker/liveness", Some(&worker), &json!({"tokens": [token]})).await.json();
    assert_eq!(alive["items"][0]["reason"], "run_ended");
}

#[tokio::test]
async fn people_in_runs_only_and_addresses_hold_for_every_credential() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let (key, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let session = app.sign_in(&app.person("person-1", &[&team]).await).await;
    let (platform, _) = app.platform(&[&team]).await;
    app.policy(&team, |policy| policy.people_mint = PeopleMint::InRunsOnly).await;
    refused(&app.mint(&session, &json!({})).await, 403, "run_required");
    refused(&app.mint(&platform, &json!({"on_behalf_of": "user:person-1"})).await, 403, "run_required");
    minted(&app.mint(&key, &json!({})).await);
    let (bearer, _) = app.run(&session, &json!({})).await;
    minted(&app.mint(&bearer, &json!({})).await);

    app.policy(&team, |policy| policy.address_ranges = vec![AddressRange::parse("198.51.100.0/24").unwrap()]).await;
    for credential in [&key, &bearer] {
        refused(&app.mint(credential, &json!({})).await, 403, "address_not_allowed");
    }
    let named = json!({"on_behalf_of": "service_account:agent-1"});
    refused(&app.mint(&platform, &named).await, 403, "address_not_allowed");
    refused(&app.post("/v1/runs", Some(&key), &json!({})).await, 403, "address_not_allowed");
    app.policy(&team, |policy| policy.address_ranges.push(AddressRange::parse("192.0.2.7").unwrap())).await;
    minted(&app.mint(&key, &json!({})).await);
}

/// What may happen to a run, over and over.
#[derive(Debug, Clone, Copy)]
enum Step {
    Mint,
    MintElsewhere,
    End,
    Wait(u16),
    DisableAgent,
    EnableAgent,
    TakeAudience,
    GiveAudience,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Mint),
        1 => Just(Step::MintElsewhere),
        1 => Just(Step::End),
        2 => (1u16..200).prop_map(Step::Wait),
        1 => Just(Step::DisableAgent),
        2 => Just(Step::EnableAgent),
        1 => Just(Step::TakeAudience),
        2 => Just(Step::GiveAudience),
    ]
}

/// The reference: what a run is, said as simply as possible.
#[derive(Debug)]
struct Model {
    left: u32,
    seconds_left: i64,
    ended: bool,
    agent_on: bool,
    audience_on: bool,
}

impl Model {
    fn mint(&mut self) -> (u16, &'static str) {
        match self {
            Self { ended: true, .. } | Self { seconds_left: ..=0, .. } => (401, "invalid_credential"),
            Self { agent_on: false, .. } => (403, "principal_disabled"),
            Self { audience_on: false, .. } => (403, "audience_not_allowed"),
            Self { left: 0, .. } => (403, "run_exhausted"),
            Self { left, .. } => {
                *left -= 1;
                (200, "")
            }
        }
    }
}

async fn against_the_model(steps: &[Step], tokens: u32, lasts: u32) {
    let app = App::start().await;
    let team = app.team("team-1").await;
    app.policy(&team, |policy| policy.audiences.push(listed("vault"))).await;
    let agent = app.agent(&team, "agent-1").await;
    let (key, _) = app.agent_key(&agent).await;
    let body = json!({"audiences": ["vault"], "tokens_max": tokens, "ends_in_seconds": lasts});
    let (bearer, id) = app.run(&key, &body).await;
    let mut model = Model { left: tokens, seconds_left: lasts.into(), ended: false, agent_on: true, audience_on: true };
    let switch =
        |disabled_at| ServiceAccountChange { disabled_at: Some(disabled_at), ..ServiceAccountChange::default() };
    for step in steps {
        match step {
            Step::Mint => {
                let answer = app.mint(&bearer, &json!({})).await;
                let code = if answer.status == StatusCode::OK { String::new() } else { answer.code() };
                let expected = model.mint();
                assert_eq!((answer.status.as_u16(), code.as_str()), expected, "{model:?} after {steps:?}: {answer}");
            }
            Step::MintElsewhere => {
                let answer = app.mint(&bearer, &json!({"audience": "sts.amazonaws.com"})).await;
                assert_ne!(answer.status, StatusCode::OK, "{steps:?}");
            }
            Step::End => {
                app.store
                    .end_run(&brevet::domain::id::RunId::parse(&id).unwrap(), &RunsOf::Everyone, &app.event())
                    .await
                    .ok();
                model.ended |= model.seconds_left > 0;
            }
            Step::Wait(seconds) => {
                app.clock.advance(Duration::seconds((*seconds).into()));
                model.seconds_left -= i64::from(*seconds);
            }
            Step::DisableAgent => {
                let off = switch(Some(app.clock.now()));
                app.store.update_service_account(&agent, None, &off, &app.event()).await.unwrap();
                model.agent_on = false;
            }
            Step::EnableAgent => {
                app.store.update_service_account(&agent, None, &switch(None), &app.event()).await.unwrap();
                model.agent_on = true;
            }
            Step::TakeAudience | Step::GiveAudience => {
                model.audience_on = matches!(step, Step::GiveAudience);
                let on = model.audience_on;
                app.policy(&team, |policy| {
                    policy.audiences.truncate(1);
                    policy.audiences.extend(on.then(|| listed("vault")));
                })
                .await;
            }
        }
    }
    let issued = app.store.run(&brevet::domain::id::RunId::parse(&id).unwrap()).await.unwrap().unwrap().tokens_issued;
    assert_eq!(issued, i64::from(tokens - model.left));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn a_run_does_what_the_reference_model_says(
        steps in proptest::collection::vec(any_step(), 1..24), tokens in 1u32..6, lasts in 60u32..400
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(against_the_model(&steps, tokens, lasts));
    }
}
