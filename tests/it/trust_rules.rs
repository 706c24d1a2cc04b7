//! Trust rules through the admin API.

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::foreign_issuer::jwks;
use crate::support::house::House;

const RULES: &str = "/v1/teams/acme/service-accounts/robot/trust-rules";

async fn house() -> House {
    let house = House::new().await;
    for team in ["acme", "other"] {
        house.must("POST", "/v1/teams", Some(json!({ "uid": team, "name": team }))).await;
    }
    house.must("POST", "/v1/teams/acme/service-accounts", Some(json!({ "uid": "robot", "name": "Robot" }))).await;
    house
}

fn sound() -> Value {
    json!({
        "name": "deploys",
        "issuer": "https://token.actions.githubusercontent.com",
        "conditions": [
            { "claim": "repository_owner_id", "equals": "9919" },
            { "claim": "ref", "pattern": "refs/heads/*" },
        ],
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut body = sound();
    body[name] = value;
    body
}

#[tokio::test]
async fn a_rule_is_made_seen_changed_and_deleted() {
    let house = house().await;
    let made = house.admin("POST", RULES, Some(sound())).await;
    assert_eq!((made.status, made.header("etag")), (StatusCode::CREATED, "\"1\""), "{}", made.short());
    let rule = made.json();
    assert_eq!(rule["audience"], "https://id.example.com/brevet/teams/acme");
    assert_eq!(rule["conditions"], sound()["conditions"]);
    let path = format!("{RULES}/{}", rule["id"].as_str().unwrap());
    assert!(made.header("location").ends_with(&path));
    assert_eq!(house.must("GET", &path, None).await, rule);
    assert_eq!(house.must("GET", RULES, None).await["items"], json!([rule]));
    let through_another = path.replace("/acme/", "/other/");
    assert_eq!(house.admin("GET", &through_another, None).await.status, StatusCode::NOT_FOUND);

    // Omitted keeps, null clears, a value sets; the version counts.
    let keys: Value = serde_json::from_str(&jwks(&["ES256"])).unwrap();
    let change =
        json!({ "name": "n", "jwks": keys, "reuse": { "uses": 5, "per_minute": 2 }, "audience": "brevet-acme" });
    let changed = house.must("PATCH", &path, Some(change)).await;
    assert_eq!((&changed["name"], &changed["jwks"], &changed["version"]), (&json!("n"), &keys, &json!(2)));
    assert_eq!((&changed["reuse"]["uses"], &changed["audience"]), (&json!(5), &json!("brevet-acme")));
    assert_eq!(changed["conditions"], rule["conditions"]);
    let change = json!({ "jwks": null, "reuse": null, "audience": null, "disabled": true });
    let cleared = house.must("PATCH", &path, Some(change)).await;
    assert!(cleared.get("jwks").is_none() && cleared.get("reuse").is_none());
    assert_eq!(cleared["audience"], rule["audience"]);
    assert!(cleared["disabled_at"].is_string());
    assert!(house.must("PATCH", &path, Some(json!({ "disabled": false }))).await.get("disabled_at").is_none());

    let stale =
        house.call_with(&house.first, "PATCH", &path, Some(json!({ "name": "x" })), &[("if-match", "\"1\"")]).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED, "{}", stale.short());
    let stale = house.call_with(&house.first, "DELETE", &path, None, &[("if-match", "\"1\"")]).await;
    assert_eq!(stale.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(house.admin("DELETE", &path, None).await.status, StatusCode::NO_CONTENT);
    for method in ["GET", "DELETE"] {
        assert_eq!(house.admin(method, &path, None).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_repeated_create_makes_nothing_twice_and_rules_have_a_bound() {
    let house = house().await;
    let key = [("idempotency-key", "k-1")];
    let first = house.call_with(&house.first, "POST", RULES, Some(sound()), &key).await;
    let again = house.call_with(&house.first, "POST", RULES, Some(sound()), &key).await;
    assert_eq!(first.json(), again.json(), "{}", again.short());
    let other = house.call_with(&house.first, "POST", RULES, Some(with("name", json!("b"))), &key).await;
    assert_eq!(other.status, StatusCode::CONFLICT);
    for _ in 1..20 {
        house.must("POST", RULES, Some(sound())).await;
    }
    let full = house.admin("POST", RULES, Some(sound())).await;
    assert_eq!(full.status, StatusCode::CONFLICT, "{}", full.short());
    let page = house.must("GET", &format!("{RULES}?limit=15"), None).await;
    let rest = house.must("GET", &format!("{RULES}?limit=15&after={}", page["next"].as_str().unwrap()), None).await;
    assert_eq!((page["items"].as_array().unwrap().len(), rest["items"].as_array().unwrap().len()), (15, 5));
}

#[tokio::test]
async fn threat_12_a_rule_that_admits_too_many_is_refused_by_field_and_rule() {
    let house = house().await;
    let own = "https://id.example.com/brevet";
    let one = |claim: &str, value: Value| json!([{ "claim": claim, "equals": value }]);
    for (body, field) in [
        (with("name", json!("")), "name"),
        (with("issuer", json!("token.actions.githubusercontent.com")), "issuer"),
        (with("issuer", json!("http://token.actions.githubusercontent.com")), "issuer"),
        (with("issuer", json!("http://127.0.0.1:8080")), "issuer"),
        (with("issuer", json!("https://user@gitlab.com")), "issuer"),
        (with("issuer", json!(own)), "issuer"),
        (with("issuer", json!(format!("{own}/t/acme"))), "issuer"),
        (with("audience", json!("")), "audience"),
        (with("audience", json!("sts.amazonaws.com")), "audience"),
        (with("audience", json!("https://github.com/acme")), "audience"),
        (with("audience", json!(own)), "audience"),
        (with("audience", json!(format!("{own}/"))), "audience"),
        (with("audience", json!(format!("{own}/t/acme"))), "audience"),
        (with("conditions", json!([])), "conditions"),
        (with("conditions", one("repository", json!("acme/agents"))), "conditions"),
        (with("conditions", one("repository_owner", json!("acme"))), "conditions"),
        (with("conditions", json!([{ "claim": "repository_owner_id", "pattern": "99*" }])), "conditions"),
        (with("conditions", json!(vec![sound()["conditions"][0].clone(); 21])), "conditions"),
        (with("conditions", one("aud", json!("x"))), "conditions.0.claim"),
        (with("conditions", one("/a//b", json!("x"))), "conditions.0.claim"),
        (with("conditions", one("sub", json!(""))), "conditions.0.equals"),
        (with("conditions", json!([{ "claim": "sub" }])), "conditions.0"),
        (with("conditions", json!([{ "claim": "sub", "equals": "x", "pattern": "x" }])), "conditions.0"),
        (with("conditions", json!([{ "claim": "sub", "pattern": "*" }])), "conditions.0.pattern"),
        (with("jwks", json!([])), "jwks"),
        (with("jwks", json!({ "keys": [] })), "jwks"),
        (with("jwks", json!({ "keys": [{ "kty": "oct", "k": "x" }] })), "jwks"),
        (with("reuse", json!({ "uses": 1, "per_minute": 1 })), "reuse"),
        (with("reuse", json!({ "uses": 2, "per_minute": 601 })), "reuse"),
    ] {
        let answer = house.admin("POST", RULES, Some(body.clone())).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body} {}", answer.short());
        let fields: Vec<_> = answer.json()["errors"].as_array().into_iter().flatten().cloned().collect();
        assert_eq!(fields.iter().map(|fault| fault["field"].clone()).collect::<Vec<_>>(), [field], "{body}");
    }
    let nested = with("conditions", one("sub", json!(["x"])));
    assert_eq!(house.admin("POST", RULES, Some(nested)).await.status, StatusCode::BAD_REQUEST);
    let made = house.must("POST", RULES, Some(sound())).await;
    let path = format!("{RULES}/{}", made["id"].as_str().unwrap());
    for change in [
        json!({ "issuer": "https://gitlab.com" }),
        json!({ "name": null }),
        json!({ "conditions": null }),
        json!({ "conditions": [] }),
        json!({ "conditions": one("repository", json!("acme/agents")) }),
        json!({ "audience": "sts.amazonaws.com" }),
    ] {
        let answer = house.admin("PATCH", &path, Some(change.clone())).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{change} {}", answer.short());
    }
    assert_eq!(house.must("GET", &path, None).await, made, "nothing half-done");
}

#[tokio::test]
async fn threat_5_a_rule_takes_no_token_that_was_got_for_another_team() {
    let house = house().await;
    let teams = "https://id.example.com/brevet/teams/";
    let made = house.must("POST", RULES, Some(sound())).await;
    let path = format!("{RULES}/{}", made["id"].as_str().unwrap());
    // Another team, one that may come to be, near misses of this team's own, and no team.
    for team in ["other", "later", "acme/", "acme/x", "acme2", "Acme", ""] {
        let audience = json!(format!("{teams}{team}"));
        for (method, at, body) in
            [("POST", RULES, with("audience", audience.clone())), ("PATCH", &*path, json!({ "audience": audience }))]
        {
            let answer = house.admin(method, at, Some(body.clone())).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{method} {body} {}", answer.short());
            assert_eq!(answer.json()["errors"][0]["field"], "audience", "{method} {body}");
        }
    }
    assert_eq!(house.must("GET", &path, None).await, made, "nothing half-done");
    let whole = format!("{teams}acme");
    for sound_one in [&*whole, "brevet-acme", "https://id.example.com/brevet2/teams/other"] {
        let changed = house.must("PATCH", &path, Some(json!({ "audience": sound_one }))).await;
        assert_eq!(changed["audience"], sound_one);
        house.must("POST", RULES, Some(with("audience", json!(sound_one)))).await;
    }
}
