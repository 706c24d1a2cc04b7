//! Teams' private issuers: keys that speak for one team alone, a change-over that breaks nothing, an end that lasts.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use brevet::crypto::signer::KeySet;
use brevet::domain::audit::{Action, Decision};
use brevet::domain::id::TeamUid;
use brevet::issuer::publications::TeamPublications;
use http::StatusCode;
use serde_json::{Value, json};
use time::Duration;

use crate::support::app::{ISSUER, fixed_key};
use crate::support::house::{Answer, House, Listener, request};
use crate::support::postgres::{self, TestDatabase};

const WORKER: &str = "https://worker.example.com";

fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn of_team(team: &str) -> String {
    format!("{ISSUER}/t/{team}")
}

/// An installation with the teams red and blue, an agent in each, and a worker for both.
struct Installation {
    house: House,
    red: String,
    blue: String,
    worker: String,
}

impl Installation {
    async fn over(database: Option<TestDatabase>) -> Self {
        let house = House::over(database).await;
        let mut keys = Vec::new();
        for team in ["red", "blue"] {
            let uid = house.app.team(team).await;
            let agent = house.app.agent(&uid, &format!("{team}-bot")).await;
            keys.push(house.app.agent_key(&agent).await.0);
        }
        let teams = ["red", "blue"].map(|team| TeamUid::parse(team).unwrap());
        let (worker, _) = house.app.worker(WORKER, &[&teams[0], &teams[1]]).await;
        let [red, blue] = <[String; 2]>::try_from(keys).unwrap();
        Self { house, red, blue, worker }
    }

    async fn make(&self, team: &str) -> Value {
        self.house.catch_up().await;
        let made = self.house.must("PUT", &format!("/v1/teams/{team}/issuer"), None).await;
        self.house.catch_up().await;
        made
    }

    async fn mints(&self, team: &str, which: &str) {
        self.house.must("PATCH", &format!("/v1/teams/{team}/policy"), Some(json!({ "issuer": which }))).await;
    }

    async fn token(&self, key: &str, audience: &str) -> String {
        let answer = self.house.mint(key, json!({ "audience": audience })).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.short());
        assert_eq!(answer.json()["issuer"], claims(answer.json()["token"].as_str().unwrap())["iss"]);
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    async fn public(&self, method: &str, path: &str) -> Answer {
        self.house.send(Listener::Public, request("", method, path, None, &[])).await
    }

    async fn jwks(&self, team: &str) -> Answer {
        self.public("GET", &format!("/t/{team}/.well-known/jwks.json")).await
    }

    async fn exchange(&self, worker: &str, token: &str) -> Answer {
        let body = Some(json!({ "token": token }));
        self.house.send(Listener::Public, request(worker, "POST", "/v1/worker/exchange", body, &[])).await
    }

    async fn round(&self) {
        self.house.app.issuer.round().await;
    }
}

/// Each test over SQLite and, where there is one, over PostgreSQL.
async fn both<F: Future<Output = ()>>(test: impl Fn(Installation) -> F) {
    test(Installation::over(None).await).await;
    if let Some(database) = postgres::database() {
        test(Installation::over(Some(database)).await).await;
    }
}

#[tokio::test]
async fn a_private_issuer_publishes_documents_and_keys_of_its_own() {
    both(|i| async move {
        assert_eq!(i.jwks("red").await.status, StatusCode::NOT_FOUND);
        let made = i.make("red").await;
        assert_eq!((&made["mints"], &made["issuer"]), (&json!("shared"), &json!(ISSUER)));
        assert_eq!(made["private"]["issuer"], of_team("red"));
        assert_eq!(i.make("red").await, made, "a repeat changes nothing");

        let discovery = i.public("GET", "/t/red/.well-known/openid-configuration").await;
        let document = discovery.json();
        assert_eq!(document["issuer"], of_team("red"));
        assert_eq!(document["jwks_uri"], made["private"]["jwks_uri"]);
        let shared = i.public("GET", "/.well-known/jwks.json").await;
        let own = i.jwks("red").await;
        for name in ["content-type", "cache-control", "access-control-allow-origin"] {
            assert_eq!(own.header(name), shared.header(name), "{name}");
        }
        let etag = own.header("etag").to_owned();
        let path = "/t/red/.well-known/jwks.json";
        let again = request("", "GET", path, None, &[("if-none-match", &etag)]);
        assert_eq!(i.house.send(Listener::Public, again).await.status, StatusCode::NOT_MODIFIED);
        let head = i.public("HEAD", path).await;
        assert_eq!((head.status, head.text.as_str(), head.header("etag")), (StatusCode::OK, "", etag.as_str()));
        let kids = |answer: &Answer| -> BTreeSet<String> {
            let keys = answer.json()["keys"].as_array().unwrap().clone();
            keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(kids(&own).len(), 2);
        assert!(kids(&own).is_disjoint(&kids(&shared)));
        // Another case, another spelling and a team without one are all alike.
        let none = i.jwks("blue").await;
        for other in ["Red", "red%2F", "%72ed.", "..", "unknown", "a"] {
            let answer = i.jwks(other).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{other}");
            assert_eq!(answer.json()["detail"], none.json()["detail"], "{other}");
        }
    })
    .await;
}

#[tokio::test]
async fn threat_15_what_is_done_to_its_keys_is_published_when_the_answer_comes() {
    both(|i| async move {
        i.make("red").await;
        let shared = i.public("GET", "/.well-known/jwks.json").await.text;
        let body = json!({ "algorithm": "ES256" });
        let done = i.house.must("POST", "/v1/signing-keys/prepare?team=red", Some(body)).await;
        let standby = done["keys"].as_array().unwrap().iter().find(|key| key["state"] == "next").unwrap();
        let keys = i.jwks("red").await.json()["keys"].as_array().unwrap().clone();
        assert_eq!((keys.len(), &keys[1]["kid"]), (2, &standby["kid"]));
        assert_eq!(i.public("GET", "/.well-known/jwks.json").await.text, shared);
    })
    .await;
}

#[tokio::test]
async fn threat_19_each_key_of_a_private_issuer_has_exactly_these_members() {
    both(|i| async move {
        i.make("red").await;
        let jwks = i.jwks("red").await.json();
        assert_eq!(jwks.as_object().unwrap().keys().collect::<Vec<_>>(), ["keys"]);
        for key in jwks["keys"].as_array().unwrap() {
            let members: BTreeSet<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(members, BTreeSet::from(["alg", "e", "kid", "kty", "n", "use"]));
            assert_eq!((&key["use"], &key["alg"], &key["kty"]), (&json!("sig"), &json!("RS256"), &json!("RSA")));
        }
    })
    .await;
}

#[tokio::test]
async fn the_policy_says_which_issuer_mints_and_the_next_token_follows_it() {
    both(|i| async move {
        let refused = i.house.admin("PATCH", "/v1/teams/red/policy", Some(json!({ "issuer": "private" }))).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        assert_eq!(refused.json()["errors"][0]["field"], "issuer", "{}", refused.short());
        i.make("red").await;
        assert_eq!(claims(&i.token(&i.red, "sts.amazonaws.com").await)["iss"], ISSUER);
        i.mints("red", "private").await;
        let token = i.token(&i.red, "sts.amazonaws.com").await;
        assert_eq!(claims(&token)["iss"], of_team("red"));
        assert_eq!(claims(&token)["sub"], "scoped_principal:red/service_account:red-bot");
        assert_eq!(claims(&i.token(&i.blue, "sts.amazonaws.com").await)["iss"], ISSUER, "only that team");
        let whoami = i.house.send(Listener::Public, request(&i.red, "GET", "/v1/whoami", None, &[])).await;
        assert_eq!(whoami.json()["teams"][0]["issuer"], of_team("red"));
        let effective = i.house.must("GET", "/v1/effective-settings?team=red", None).await;
        assert_eq!(effective["issuer"], of_team("red"));
        i.mints("red", "shared").await;
        assert_eq!(claims(&i.token(&i.red, "sts.amazonaws.com").await)["iss"], ISSUER);

        // The rows say whose tokens they were, by issuer and by key.
        let rows = i.house.app.rows(Action::TokenMint).await;
        let shared = rows.iter().filter(|row| row.issuer == i.house.app.issuer.id()).count();
        assert_eq!((rows.len(), shared), (4, 3));
    })
    .await;
}

#[tokio::test]
async fn through_a_change_over_tokens_of_both_issuers_are_exchanged() {
    both(|i| async move {
        let before = i.token(&i.red, WORKER).await;
        i.make("red").await;
        i.mints("red", "private").await;
        let after = i.token(&i.red, WORKER).await;
        for token in [&before, &after] {
            let answer = i.exchange(&i.worker, token).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.short());
            let identity = answer.json()["identity_token"].as_str().unwrap().to_owned();
            assert_eq!(claims(&identity)["iss"], of_team("red"), "whatever was presented");
        }
        i.mints("red", "shared").await;
        let answer = i.exchange(&i.worker, &after).await;
        assert_eq!(claims(answer.json()["identity_token"].as_str().unwrap())["iss"], ISSUER);
        let tokens = json!({ "tokens": [before, after] });
        let alive = request(&i.worker, "POST", "/v1/worker/liveness", Some(tokens), &[]);
        let alive = i.house.send(Listener::Public, alive).await.json();
        assert!(alive["items"].as_array().unwrap().iter().all(|item| item["alive"] == true), "{alive}");
    })
    .await;
}

#[tokio::test]
async fn threat_14_a_key_counts_under_its_own_issuer_only() {
    both(|i| async move {
        for team in ["red", "blue"] {
            i.make(team).await;
            i.mints(team, "private").await;
        }
        let token = i.token(&i.red, WORKER).await;
        assert_eq!(i.exchange(&i.worker, &token).await.status, StatusCode::OK);
        // The shared issuer's own key, over what only private issuers may say, and the other way round.
        let shared = KeySet::new(fixed_key("active"), i.house.app.entropy.as_ref()).unwrap();
        let forged = |issuer: &str| {
            let mut claims = claims(&token);
            claims["iss"] = json!(issuer);
            shared.sign(shared.prepare(&claims).unwrap()).unwrap().expose().to_owned()
        };
        let renamed = |issuer: &str| {
            let mut claims = claims(&token);
            claims["iss"] = json!(issuer);
            let mut parts: Vec<_> = token.split('.').map(str::to_owned).collect();
            parts[1] = URL_SAFE_NO_PAD.encode(claims.to_string());
            parts.join(".")
        };
        for (what, token) in [
            ("the shared key under red's issuer", forged(&of_team("red"))),
            ("the shared key under blue's issuer", forged(&of_team("blue"))),
            ("red's token under the shared issuer", renamed(ISSUER)),
            ("red's token under blue's issuer", renamed(&of_team("blue"))),
            ("an issuer of nobody", forged(&of_team("green"))),
        ] {
            let answer = i.exchange(&i.worker, &token).await;
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{what}: {}", answer.short());
        }
        let refusals = i.house.app.refusals(Action::TokenExchange).await;
        assert!(refusals.iter().all(|reason| reason.starts_with("token_")), "{refusals:?}");

        // No key of one issuer stands in another's JWKS, and no verifier that holds one takes another's.
        let mut seen = BTreeSet::new();
        let shared = i.public("GET", "/.well-known/jwks.json").await;
        for answer in [shared, i.jwks("red").await, i.jwks("blue").await] {
            for key in answer.json()["keys"].as_array().unwrap() {
                assert!(seen.insert(key["n"].as_str().unwrap().to_owned()));
            }
        }
        assert_eq!(seen.len(), 6);
    })
    .await;
}

#[tokio::test]
async fn threat_14_a_deleted_issuer_is_404_for_ever_and_its_keys_are_destroyed() {
    both(|i| async move {
        let app = &i.house.app;
        i.make("red").await;
        i.mints("red", "private").await;
        let token = i.token(&i.red, WORKER).await;
        let found = app.store.team_issuer(&TeamUid::parse("red").unwrap()).await.unwrap().unwrap();
        let sealed: Vec<String> =
            app.store.signing_keys(found.id).await.unwrap().iter().map(|key| key.private.as_str().to_owned()).collect();
        assert_eq!(sealed.len(), 2);

        let refused = i.house.admin("DELETE", "/v1/teams/red/issuer", None).await;
        assert_eq!(refused.status, StatusCode::CONFLICT, "it mints: {}", refused.short());
        i.mints("red", "shared").await;
        let version = i.house.must("GET", "/v1/teams/red/issuer", None).await["version"].as_i64().unwrap();
        let stale = format!("\"{}\"", version - 1);
        let headers = [("if-match", stale.as_str())];
        let answer = i.house.call_with(&i.house.first, "DELETE", "/v1/teams/red/issuer", None, &headers).await;
        assert_eq!(answer.status, StatusCode::PRECONDITION_FAILED);
        assert_eq!(i.jwks("red").await.status, StatusCode::OK);
        i.house.must("DELETE", "/v1/teams/red/issuer", None).await;

        let never = i.jwks("blue").await;
        for document in ["jwks.json", "openid-configuration"] {
            let gone = i.public("GET", &format!("/t/red/.well-known/{document}")).await;
            assert_eq!((gone.status, &gone.json()["detail"]), (StatusCode::NOT_FOUND, &never.json()["detail"]));
        }
        // Its tokens are nobody's any more, though they have time left.
        assert_eq!(i.exchange(&i.worker, &token).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        // Nothing brings it back, and no other case of the uid does.
        for method in ["PUT", "DELETE"] {
            let answer = i.house.admin(method, "/v1/teams/red/issuer", None).await;
            let status = if method == "PUT" { StatusCode::CONFLICT } else { StatusCode::NOT_FOUND };
            assert_eq!(answer.status, status, "{}", answer.short());
        }
        let shown = i.house.must("GET", "/v1/teams/red/issuer", None).await;
        assert!(shown["private"].is_null() && shown["private_deleted_at"].is_string(), "{shown}");
        i.round().await;
        assert_eq!(i.jwks("red").await.status, StatusCode::NOT_FOUND);

        // A start from what was saved, and from the store, does not bring it back either.
        let folder = app.dir.path().join("published");
        let restarted = TeamPublications::new(app.issuer.url().clone(), Some(folder));
        assert_eq!(restarted.restore().unwrap(), 0);
        assert!(restarted.current(&TeamUid::parse("red").unwrap()).is_none());
        assert!(app.store.team_issuers().await.unwrap().is_empty());

        let file = app.dir.path().join("brevet.db");
        if file.exists() {
            app.store.close().await;
            let bytes = std::fs::read(&file).unwrap();
            for text in sealed {
                assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "a sealed key is left");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_deleted_team_takes_its_private_issuer_along() {
    both(|i| async move {
        i.make("red").await;
        i.mints("red", "private").await;
        i.house.must("DELETE", "/v1/teams/red", None).await;
        assert_eq!(i.jwks("red").await.status, StatusCode::NOT_FOUND);
        assert!(i.house.app.store.team_issuer(&TeamUid::parse("red").unwrap()).await.unwrap().is_none());
    })
    .await;
}

#[tokio::test]
async fn threat_17_private_documents_outlive_the_database_and_a_start_without_it() {
    let i = Installation::over(None).await;
    i.make("red").await;
    i.round().await;
    let served = i.jwks("red").await.text;
    i.house.app.store.close().await;
    i.house.clock.advance(Duration::minutes(5));
    i.round().await;
    assert_eq!(i.jwks("red").await.text, served);
    assert_eq!(i.jwks("blue").await.status, StatusCode::NOT_FOUND, "a look that fails is no answer");
    let folder = i.house.app.dir.path().join("published");
    let mode = |path: &std::path::Path| {
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
    };
    assert_eq!((mode(&folder), mode(&folder.join("red.json"))), (0o700, 0o600));

    let restarted = Arc::new(TeamPublications::new(i.house.app.issuer.url().clone(), Some(folder.clone())));
    let red = TeamUid::parse("red").unwrap();
    assert!(restarted.current(&red).is_none());
    std::fs::write(folder.join("blue.json"), "{}").unwrap();
    std::fs::copy(folder.join("red.json"), folder.join("green.json")).unwrap();
    assert_eq!(restarted.restore().unwrap(), 1, "neither a broken file nor another issuer's is served");
    assert_eq!(restarted.current(&red).unwrap().jwks.body, served.as_bytes());
}

#[tokio::test]
async fn changes_of_issuers_are_audited_under_the_operators_credential() {
    both(|i| async move {
        i.make("red").await;
        i.mints("red", "private").await;
        i.mints("red", "shared").await;
        i.house.must("DELETE", "/v1/teams/red/issuer", None).await;
        let app = &i.house.app;
        let targets = |rows: Vec<brevet::domain::audit::RecordedEvent>| -> Vec<String> {
            rows.into_iter()
                .filter(|row| row.credential.is_some() && row.decision == Decision::Allowed)
                .filter_map(|row| row.target)
                .collect()
        };
        let created = targets(app.rows(Action::AdminCreate).await);
        let deleted = targets(app.rows(Action::AdminDelete).await);
        assert!(created.len() == 1 && created[0].starts_with("issuer:"), "{created:?}");
        assert_eq!(deleted, created);
        let updates = targets(app.rows(Action::AdminUpdate).await);
        assert_eq!(updates.iter().filter(|target| *target == "policy:red").count(), 2, "{updates:?}");
    })
    .await;
}
