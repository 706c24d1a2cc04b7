//! Platform keys over the real router: within their teams and rights, in somebody's name, and both audited.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brevet::domain::audit::{Action, Decision};
use brevet::domain::credential::CredentialKind;
use brevet::domain::platform::PlatformRight;
use brevet::domain::principal::Principal;
use brevet::store::{PlatformKeyChange, ServiceAccountChange, UserChange};
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::app::{Answer, App};

fn claims(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::OK, "{answer}");
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{answer}");
}

#[tokio::test]
async fn a_platform_mints_in_the_name_of_those_in_its_teams_and_both_are_audited() {
    let app = App::start().await;
    let (team, second, foreign) = (app.team("team-1").await, app.team("team-2").await, app.team("team-3").await);
    app.agent(&team, "agent-1").await;
    app.agent(&foreign, "agent-3").await;
    app.person("person-1", &[&team, &foreign]).await;
    app.person("person-2", &[&team, &second]).await;
    app.person("person-3", &[&foreign]).await;
    let (key, id) = app.platform(&[&team, &second]).await;
    let named = |who: &str| json!({"on_behalf_of": who});

    let agent = claims(&app.mint(&key, &named("service_account:agent-1")).await);
    assert_eq!(agent["sub"], "scoped_principal:team-1/service_account:agent-1");
    assert_eq!(agent["act"], json!({"sub": format!("platform_key:{id}")}));
    // A person is meant in the one team that the key shares with them.
    let person = claims(&app.mint(&key, &named("user:person-1")).await);
    assert_eq!(person["sub"], "scoped_principal:team-1/user:person-1");
    refused(&app.mint(&key, &named("user:person-2")).await, 400, "team_required");
    let chosen = json!({"on_behalf_of": "user:person-2", "team_uid": "team-2"});
    assert_eq!(claims(&app.mint(&key, &chosen).await)["sub"], "scoped_principal:team-2/user:person-2");

    for who in ["service_account:agent-3", "user:person-3", "user:nobody", "service_account:nobody"] {
        refused(&app.mint(&key, &named(who)).await, 404, "principal_not_found");
        refused(&app.post("/v1/runs", Some(&key), &named(who)).await, 404, "principal_not_found");
    }
    let elsewhere = json!({"on_behalf_of": "user:person-1", "team_uid": "team-3"});
    refused(&app.mint(&key, &elsewhere).await, 404, "team_not_found");
    refused(&app.mint(&key, &json!({})).await, 400, "on_behalf_of_required");
    refused(&app.mint(&key, &named("agent-1")).await, 400, "invalid_request");

    let rows = app.rows(Action::TokenMint).await;
    let mut allowed = rows.iter().filter(|row| row.decision == Decision::Allowed);
    let row = allowed.find(|row| matches!(row.principal, Some(Principal::ServiceAccount(_)))).unwrap();
    assert_eq!(row.credential, Some((CredentialKind::Platform, id)));
    assert_eq!(row.principal.as_ref().map(ToString::to_string).as_deref(), Some("service_account:agent-1"));
    assert_eq!(row.team.as_ref(), Some(&team));
    assert_eq!(app.get("/v1/whoami", Some(&key)).await.json()["teams"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn no_right_implies_another_and_a_run_is_known_to_the_key_that_opened_it() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let (own, _) = app.agent_key(&app.agent(&team, "agent-1").await).await;
    let session = app.sign_in(&app.person("person-1", &[&team]).await).await;
    let acts = [
        (PlatformRight::MintForServiceAccounts, "/v1/identity-tokens", "service_account:agent-1"),
        (PlatformRight::MintForUsers, "/v1/identity-tokens", "user:person-1"),
        (PlatformRight::OpenRuns, "/v1/runs", "service_account:agent-1"),
        (PlatformRight::OpenRunsForUsers, "/v1/runs", "user:person-1"),
    ];
    for right in PlatformRight::ALL {
        let (key, _) = app.platform_with(&[&team], [right].into_iter().collect()).await;
        for (needs, path, who) in acts {
            let answer = app.post(path, Some(&key), &json!({"on_behalf_of": who})).await;
            if right == needs {
                assert!(answer.status.is_success(), "{right} at {path}: {answer}");
            } else {
                refused(&answer, 403, "not_permitted");
            }
        }
    }
    let (key, _) = app.platform(&[&team]).await;
    let (bearer, run) = app.run(&key, &json!({"on_behalf_of": "user:person-1"})).await;
    assert_eq!(claims(&app.mint(&bearer, &json!({})).await)["sub"], "scoped_principal:team-1/user:person-1");
    let path = format!("/v1/runs/{run}");
    let (other, _) = app.platform(&[&team]).await;
    for stranger in [&other, &own] {
        refused(&app.get(&path, Some(stranger)).await, 404, "run_not_found");
        refused(&app.delete(&path, stranger).await, 404, "run_not_found");
    }
    // The person whose name it is in knows of it and may end it.
    assert_eq!(app.get(&path, Some(&session)).await.json()["principal"], "user:person-1");
    app.end_run(&session, &run).await;
    refused(&app.mint(&bearer, &json!({})).await, 401, "invalid_credential");
}

#[tokio::test]
async fn threat_20_a_team_taken_off_a_platform_takes_the_runs_in_it_out_of_its_sight() {
    let app = App::start().await;
    let (team, kept) = (app.team("team-1").await, app.team("team-2").await);
    app.agent(&team, "agent-1").await;
    app.agent(&kept, "agent-2").await;
    app.person("person-1", &[&team, &kept]).await;
    let (key, id) = app.platform(&[&team]).await;
    let (bearer, lost) = app.run(&key, &json!({"on_behalf_of": "service_account:agent-1"})).await;
    let both = PlatformKeyChange { teams: Some(vec![team.clone(), kept.clone()]), ..PlatformKeyChange::default() };
    app.store.update_platform_key(id, None, &both, &app.event()).await.unwrap();
    let (_, own) = app.run(&key, &json!({"on_behalf_of": "service_account:agent-2"})).await;
    let list = async || -> Vec<String> {
        let page = app.get("/v1/runs", Some(&key)).await.json();
        page["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(list().await.len(), 2);

    // Straight in the store: nothing on this replica is told of it.
    let change = PlatformKeyChange { teams: Some(vec![kept]), ..PlatformKeyChange::default() };
    app.store.update_platform_key(id, None, &change, &app.event()).await.unwrap();
    assert_eq!(list().await, std::slice::from_ref(&own));
    let path = format!("/v1/runs/{lost}");
    refused(&app.get(&path, Some(&key)).await, 404, "run_not_found");
    refused(&app.delete(&path, &key).await, 404, "run_not_found");
    assert!(app.get("/v1/runs?team=team-1", Some(&key)).await.json()["items"].as_array().unwrap().is_empty());
    app.end_run(&key, &own).await;

    // It went on all the while: with the team back on the list its bearer mints again.
    app.store.update_platform_key(id, None, &both, &app.event()).await.unwrap();
    claims(&app.mint(&bearer, &json!({})).await);
    app.end_run(&key, &lost).await;
}

#[tokio::test]
async fn threat_23_what_is_taken_off_a_platform_or_its_principals_is_off_at_once() {
    let app = App::start().await;
    let team = app.team("team-1").await;
    let agent = app.agent(&team, "agent-1").await;
    let person = app.person("person-1", &[&team]).await;
    let (key, id) = app.platform(&[&team]).await;
    let (for_agent, for_person) =
        (json!({"on_behalf_of": "service_account:agent-1"}), json!({"on_behalf_of": "user:person-1"}));
    let (bearer, _) = app.run(&key, &for_agent).await;
    for (credential, body) in [(&key, &for_agent), (&key, &for_person), (&bearer, &json!({}))] {
        claims(&app.mint(credential, body).await);
    }
    // Straight in the store: nothing here is told to forget, the audit statement has to notice.
    let off = ServiceAccountChange { disabled_at: Some(Some(app.event().at)), ..ServiceAccountChange::default() };
    app.store.update_service_account(&agent, None, &off, &app.event()).await.unwrap();
    refused(&app.mint(&key, &for_agent).await, 403, "principal_disabled");
    refused(&app.mint(&bearer, &json!({})).await, 403, "principal_disabled");
    let on = ServiceAccountChange { disabled_at: Some(None), ..ServiceAccountChange::default() };
    app.store.update_service_account(&agent, None, &on, &app.event()).await.unwrap();
    let off = UserChange { disabled_at: Some(Some(app.event().at)), ..UserChange::default() };
    app.store.update_user(&person, None, &off, &app.event()).await.unwrap();
    refused(&app.mint(&key, &for_person).await, 403, "principal_disabled");

    let rights = [PlatformRight::MintForUsers].into_iter().collect();
    let change = PlatformKeyChange { rights: Some(rights), ..PlatformKeyChange::default() };
    app.store.update_platform_key(id, None, &change, &app.event()).await.unwrap();
    refused(&app.mint(&key, &for_agent).await, 403, "not_permitted");
    refused(&app.mint(&bearer, &json!({})).await, 401, "invalid_credential");
    let rights = PlatformRight::ALL.into_iter().collect();
    let change = PlatformKeyChange { rights: Some(rights), ..PlatformKeyChange::default() };
    app.store.update_platform_key(id, None, &change, &app.event()).await.unwrap();
    claims(&app.mint(&bearer, &json!({})).await);
    claims(&app.mint(&key, &for_agent).await);
    let change = PlatformKeyChange { teams: Some(Vec::new()), ..PlatformKeyChange::default() };
    app.store.update_platform_key(id, None, &change, &app.event()).await.unwrap();
    refused(&app.mint(&key, &for_agent).await, 404, "principal_not_found");
    refused(&app.mint(&bearer, &json!({})).await, 401, "invalid_credential");
    app.store.revoke_platform_key(id, None, &app.event()).await.unwrap();
    refused(&app.mint(&key, &for_agent).await, 401, "invalid_credential");
}
