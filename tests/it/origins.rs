//! Threat 38: sign-in for one team, used in another. How a session was opened against what each team accepts, at every
//! door that a session leads to.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brevet::domain::id::{TeamUid, UpstreamUid};
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::app::App;

const WORKER: &str = "https://worker.example.com";

/// Each team, whether it takes enrolment codes, and which providers it takes.
const TEAMS: [(&str, bool, &[&str]); 8] = [
    ("takes-none", false, &[]),
    ("takes-code", true, &[]),
    ("takes-okta", false, &["okta"]),
    ("takes-other", false, &["other"]),
    ("takes-code-okta", true, &["okta"]),
    ("takes-code-other", true, &["other"]),
    ("takes-both", false, &["okta", "other"]),
    ("takes-all", true, &["okta", "other"]),
];

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn accepts(origin: &str, codes: bool, providers: &[&str]) -> bool {
    if origin == "code" { codes } else { providers.contains(&origin) }
}

async fn set(app: &App, team: &TeamUid, codes: bool, providers: &[&str]) {
    let providers = providers.iter().map(|uid| UpstreamUid::parse(uid).unwrap()).collect();
    app.policy(team, |policy| (policy.enrolment_codes, policy.upstream_providers) = (codes, providers)).await;
}

struct House {
    app: App,
    teams: Vec<TeamUid>,
    worker: String,
}

impl House {
    /// A person in every team, and a worker that serves them all.
    async fn build() -> (Self, brevet::domain::id::UserUid) {
        let app = App::start().await;
        let mut teams = Vec::new();
        for (uid, codes, providers) in TEAMS {
            let team = app.team(uid).await;
            set(&app, &team, codes, providers).await;
            teams.push(team);
        }
        let all: Vec<_> = teams.iter().collect();
        let person = app.person("person-1", &all).await;
        let (worker, _) = app.worker(WORKER, &all).await;
        (Self { app, teams, worker }, person)
    }

    async fn exchange(&self, token: &str) -> (u16, String) {
        let answer = self.app.post("/v1/worker/exchange", Some(&self.worker), &json!({ "token": token })).await;
        let code = if answer.status == StatusCode::OK { String::new() } else { answer.code() };
        (answer.status.as_u16(), code)
    }

    async fn alive(&self, token: &str) -> Value {
        let body = json!({ "tokens": [token] });
        let answer = self.app.post("/v1/worker/liveness", Some(&self.worker), &body).await.json();
        answer["items"][0].clone()
    }
}

#[tokio::test]
async fn threat_38_a_session_mints_only_for_teams_that_accept_how_it_was_opened() {
    let (house, person) = House::build().await;
    let app = &house.app;
    let mut sessions = vec![("code", app.sign_in(&person).await)];
    for provider in ["okta", "other"] {
        let signed_in = app.at_provider(provider, &person, "subject-1").await;
        sessions.push((provider, app.let_in(&signed_in).await["access_token"].as_str().unwrap().to_owned()));
    }
    for (origin, bearer) in &sessions {
        let whoami = app.get("/v1/whoami", Some(bearer)).await.json();
        let seen: Vec<_> = whoami["teams"].as_array().unwrap().iter().map(|team| team["team_uid"].clone()).collect();
        let mut open: Vec<_> = TEAMS
            .iter()
            .filter(|(_, codes, providers)| accepts(origin, *codes, providers))
            .map(|team| team.0)
            .collect();
        open.sort_unstable();
        assert_eq!(json!(seen), json!(open), "{origin}: what whoami tells");

        for ((uid, codes, providers), team) in TEAMS.iter().zip(&house.teams) {
            let what = format!("a session of {origin} in {uid}");
            let body = json!({ "team_uid": uid, "audience": WORKER });
            let minted = app.mint(bearer, &body).await;
            let run = app.post("/v1/runs", Some(bearer), &json!({ "team_uid": uid, "audiences": [WORKER] })).await;
            if !accepts(origin, *codes, providers) {
                for answer in [&minted, &run] {
                    assert_eq!(
                        (answer.status, answer.code().as_str()),
                        (StatusCode::FORBIDDEN, "sign_in_not_accepted"),
                        "{what}"
                    );
                }
                continue;
            }
            assert_eq!(minted.status, StatusCode::OK, "{what}: {minted}");
            assert_eq!(run.status, StatusCode::CREATED, "{what}: {run}");
            let token = minted.json()["token"].as_str().unwrap().to_owned();
            let run = run.json()["bearer"].as_str().unwrap().to_owned();
            let in_run = app.mint(&run, &json!({})).await;
            assert_eq!(in_run.status, StatusCode::OK, "{what}: {in_run}");
            let in_run = in_run.json()["token"].as_str().unwrap().to_owned();
            for shown in [&token, &run, &in_run] {
                assert_eq!(house.exchange(shown).await, (200, String::new()), "{what}");
                assert_eq!(house.alive(shown).await["alive"], true, "{what}");
            }
            // The team takes its word back: nothing of it is left, not even in a run or with a token minted before.
            let other_way: (bool, &[&str]) = if *origin == "code" { (false, &["okta", "other"]) } else { (true, &[]) };
            set(app, team, other_way.0, other_way.1).await;
            app.issuer.forget();
            for bearer in [bearer, &run] {
                let answer = app.mint(bearer, &if bearer == &run { json!({}) } else { body.clone() }).await;
                assert_eq!(
                    (answer.status, answer.code().as_str()),
                    (StatusCode::FORBIDDEN, "sign_in_not_accepted"),
                    "{what}"
                );
            }
            for shown in [&token, &run, &in_run] {
                assert_eq!(house.exchange(shown).await, (403, "sign_in_not_accepted".to_owned()), "{what}");
                let answer = house.alive(shown).await;
                assert_eq!(
                    (&answer["alive"], &answer["reason"]),
                    (&json!(false), &json!("sign_in_not_accepted")),
                    "{what}"
                );
            }
            set(app, team, *codes, providers).await;
            app.issuer.forget();
        }
    }
}

/// A seat in a team is no way around it: an admin administers only by a session that the team accepts.
#[tokio::test]
async fn threat_38_a_seat_counts_only_in_sessions_that_the_team_accepts() {
    let (house, person) = House::build().await;
    let app = &house.app;
    app.sabotage("UPDATE memberships SET role = 'admin'").await;
    let admin = brevet::http::whole::router(app.state.clone());
    let by_code = app.sign_in(&person).await;
    let signed_in = app.at_provider("okta", &person, "subject-1").await;
    let by_okta = app.let_in(&signed_in).await["access_token"].as_str().unwrap().to_owned();
    for (origin, bearer) in [("code", &by_code), ("okta", &by_okta)] {
        for (uid, codes, providers) in TEAMS {
            let path = format!("/v1/teams/{uid}/policy");
            let request =
                crate::support::app::request(http::Method::GET, &path, Some(bearer), axum::body::Body::empty());
            let answer = crate::support::app::send(&admin, request).await;
            let expected = if accepts(origin, codes, providers) { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(answer.status, expected, "{origin} in {uid}: {answer}");
        }
    }
}

/// What the provider said of the sign-in is in people's tokens where their team wants it there, and nowhere else.
#[tokio::test]
async fn the_amr_claim_is_in_tokens_of_people_where_their_team_wants_it() {
    let (house, person) = House::build().await;
    let app = &house.app;
    let team = &house.teams[7];
    let amr = |token: &str| claims(token).get("amr").cloned();
    let signed_in = app.at_provider("okta", &person, "subject-1").await;
    let upstream = app.let_in(&signed_in).await["access_token"].as_str().unwrap().to_owned();
    let by_code = app.sign_in(&person).await;
    let (agent, _) = app.agent_key(&app.agent(team, "agent-1").await).await;
    let mint = async |bearer: &str, body: Value| {
        let answer = app.mint(bearer, &body).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer}");
        answer.json()["token"].as_str().unwrap().to_owned()
    };
    let body = json!({ "team_uid": "takes-all" });
    assert_eq!(amr(&mint(&upstream, body.clone()).await), None, "not asked for");
    app.policy(team, |policy| policy.amr_claim = true).await;
    app.issuer.forget();
    let expected = Some(json!(["mfa", "pwd"]));
    assert_eq!(amr(&mint(&upstream, body.clone()).await), expected);
    let (run, _) = app.run(&upstream, &body).await;
    assert_eq!(amr(&mint(&run, json!({})).await), expected, "in a run that the session opened");
    let token = mint(&upstream, json!({ "team_uid": "takes-all", "audience": WORKER })).await;
    let exchanged = app.post("/v1/worker/exchange", Some(&house.worker), &json!({ "token": token })).await.json();
    assert_eq!(amr(exchanged["identity_token"].as_str().unwrap()), expected, "and through a worker: {exchanged}");
    assert_eq!(amr(&mint(&by_code, body).await), None, "an enrolment code says nothing of it");
    assert_eq!(amr(&mint(&agent, json!({})).await), None, "agents do not sign in");
    let (platform, _) = app.platform(&[team]).await;
    let named = json!({ "on_behalf_of": "user:person-1" });
    assert_eq!(amr(&mint(&platform, named).await), None, "nor does a platform in a person's name");
}
