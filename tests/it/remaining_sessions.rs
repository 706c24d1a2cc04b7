//! What a disable cannot end: every answer that switches something off points to it, and the command line tells it.

use http::{Method, Request};
use serde_json::{Value, json};

use crate::support::caller::{Caller, text};
use crate::support::foreign_issuer::jwks;
use crate::support::house::{Answer, House, Listener, request};
use crate::support::process::Ended;
use crate::support::served::{ROLE, Served};
use crate::support::token_keys::jwk;

const RELATION: &str = "urn:brevet:rel:remaining-sessions";

/// Where an answer points, if it does: a link's target, or a template.
fn pointed(answer: &Answer) -> Option<String> {
    let link = answer.header("link").strip_prefix('<').and_then(|rest| rest.split_once(">; "));
    let template = answer.header("link-template").strip_prefix('"').and_then(|rest| rest.split_once("\"; "));
    let (target, relation) = link.or(template)?;
    assert_eq!(relation, format!("rel=\"{RELATION}\""));
    Some(target.to_owned())
}

/// A team with a person and two agents, of which `robot` has a token for STS: its key.
async fn furnished(house: &House) -> String {
    for team in ["acme", "blue"] {
        house.must("POST", "/v1/teams", Some(json!({"uid": team, "name": team}))).await;
    }
    house.must("POST", "/v1/teams/acme/members", Some(json!({"uid": "ada", "name": "Ada"}))).await;
    for agent in ["robot", "idle"] {
        let body = json!({"uid": agent, "name": agent});
        house.must("POST", "/v1/teams/acme/service-accounts", Some(body)).await;
    }
    let settings = json!({"region": "us-east-1", "role_arn": ROLE});
    house.must("PATCH", "/v1/teams/acme/provider-settings", Some(settings)).await;
    let key = text(&house.must("POST", "/v1/teams/acme/service-accounts/robot/keys", Some(json!({}))).await, "key");
    assert_eq!(house.mint(&key, json!({})).await.status, 200);
    key
}

#[tokio::test]
async fn threat_23_every_answer_that_switches_off_points_to_what_remains() {
    let house = House::new().await;
    let key = furnished(&house).await;
    let id = async |path: &str, body: Value| text(&house.must("POST", path, Some(body)).await, "id");
    let robot = "/v1/teams/acme/service-accounts/robot";
    let spare = id(&format!("{robot}/keys"), json!({})).await;
    let public = id(&format!("{robot}/public-keys"), json!({"jwk": jwk("ES256")})).await;
    let keys: Value = serde_json::from_str(&jwks(&["ES256"])).unwrap();
    let conditions = json!([{"claim": "sub", "equals": "job"}]);
    let rule = json!({"name": "ci", "issuer": "https://ci.example.com", "jwks": keys, "conditions": conditions});
    let rule = id(&format!("{robot}/trust-rules"), rule).await;
    let rights = ["mint_for_service_accounts"];
    let platform = id("/v1/platform-keys", json!({"name": "p", "teams": ["acme"], "rights": rights})).await;
    let worker = json!({"name": "w", "audience": "https://w.example.com", "teams": ["acme"]});
    let worker = id("/v1/worker-keys", worker).await;
    let run = house.send(Listener::Public, request(&key, "POST", "/v1/runs", Some(json!({})), &[])).await;
    let run = text(&run.json(), "id");
    house.must("PUT", "/v1/teams/acme/issuer", None).await;

    let off = || Some(json!({"disabled": true}));
    let on = || Some(json!({"disabled": false}));
    let (of_robot, of_ada) = ("acme?principal=service_account:robot", "acme?principal=user:ada");
    let (of_ada_anywhere, of_anyone) = ("{team}?principal=user:ada", "{team}");
    let rows = [
        ("PATCH", robot.to_owned(), off(), of_robot),
        ("PATCH", robot.to_owned(), on(), of_robot),
        ("POST", format!("{robot}/keys/{spare}/rotate"), Some(json!({})), of_robot),
        ("DELETE", format!("{robot}/keys/{spare}"), None, of_robot),
        ("DELETE", format!("{robot}/public-keys/{public}"), None, of_robot),
        ("PATCH", format!("{robot}/trust-rules/{rule}"), off(), of_robot),
        ("DELETE", format!("{robot}/trust-rules/{rule}"), None, of_robot),
        ("PATCH", format!("{robot}/provider-settings"), off(), of_robot),
        ("PATCH", "/v1/teams/acme/provider-settings".to_owned(), off(), "acme"),
        ("PATCH", "/v1/teams/acme/policy".to_owned(), Some(json!({"people_mint": "in_runs_only"})), "acme"),
        ("DELETE", format!("/v1/teams/acme/runs/{run}"), None, "acme"),
        ("DELETE", "/v1/teams/acme/issuer".to_owned(), None, "acme"),
        ("PATCH", "/v1/teams/acme/members/ada".to_owned(), off(), of_ada),
        ("DELETE", "/v1/teams/acme/members/ada".to_owned(), None, of_ada),
        ("PATCH", "/v1/users/ada".to_owned(), off(), of_ada_anywhere),
        ("DELETE", "/v1/users/ada/sessions".to_owned(), None, of_ada_anywhere),
        ("DELETE", "/v1/users/ada".to_owned(), None, of_ada_anywhere),
        ("PATCH", format!("/v1/platform-keys/{platform}"), Some(json!({"teams": ["blue"]})), of_anyone),
        ("DELETE", format!("/v1/platform-keys/{platform}"), None, of_anyone),
        ("PATCH", format!("/v1/worker-keys/{worker}"), Some(json!({"teams": ["blue"]})), of_anyone),
        ("DELETE", format!("/v1/worker-keys/{worker}"), None, of_anyone),
        ("DELETE", robot.to_owned(), None, of_robot),
        ("PATCH", "/v1/teams/acme".to_owned(), off(), "acme"),
        ("DELETE", "/v1/teams/acme".to_owned(), None, "acme"),
    ];
    for (method, path, body, whose) in rows {
        let answer = house.admin(method, &path, body.clone()).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.short());
        if method == "PATCH" {
            // The same again where one listener serves everything.
            let again = house.send(Listener::Same, request(&house.first, method, &path, body, &[])).await;
            assert_eq!(pointed(&again), pointed(&answer), "{method} {path}: {}", again.short());
        }
        let target = pointed(&answer).unwrap_or_else(|| panic!("{method} {path} points nowhere"));
        let (team, query) =
            whose.split_once('?').map_or((whose, String::new()), |(team, rest)| (team, format!("?{rest}")));
        assert_eq!(target, format!("/brevet/v1/teams/{team}/remaining-sessions{query}"), "{method} {path}");
        // It leads somewhere: to the robot's session, which outlives everything here, or to none of the person's.
        let path = target.replace("{team}", "acme");
        let told = Request::builder().method(Method::GET).uri(path);
        let told = told.header("authorization", format!("Bearer {}", house.first));
        let told = house.send(Listener::Admin, told.body(axum::body::Body::empty()).unwrap()).await;
        let expected = usize::from(!whose.contains("user:"));
        // Of a team that is gone nothing is told where nothing of it remains.
        if expected == 1 || told.status == 200 {
            assert_eq!(told.json()["items"].as_array().map(Vec::len), Some(expected), "{target}: {}", told.short());
        }
    }
    // What was refused has ended nothing, and whoever only reads is pointed nowhere.
    for (method, path) in [("DELETE", "/v1/teams/acme"), ("PATCH", "/v1/users/nobody"), ("GET", "/v1/teams/blue")] {
        assert_eq!(pointed(&house.admin(method, path, Some(json!({}))).await), None, "{method} {path}");
    }
}

/// What a command said about sessions that go on: the commands it names.
fn named(ended: &Ended) -> Vec<String> {
    let lines = ended.stderr.lines().filter_map(|line| {
        line.split_once("sessions that AWS has opened go on until they end: brevet ")
            .map(|(_, command)| command.to_owned())
    });
    lines.collect()
}

#[test]
fn threat_23_every_command_that_switches_off_names_the_one_that_tells_what_remains() {
    let served = Served::start();
    let key = served.furnish();
    served.admin(&["admin", "teams", "create", "--uid", "blue", "--name", "Blue"]);
    served.succeeds(Some(&key), &["token"]);
    let run = served.succeeds(Some(&key), &["runs", "open", "--json"]);
    let run = text(&serde_json::from_str(&run).unwrap(), "id");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let operator = Caller::new(&served.url, &served.admin_key);
    let id = |path: &str, body: Value| text(&runtime.block_on(operator.must("POST", path, Some(body))), "id");
    let bot = "/v1/teams/red/service-accounts/bot";
    let spare = id(&format!("{bot}/keys"), json!({}));
    let public = id(&format!("{bot}/public-keys"), json!({"jwk": jwk("ES256")}));
    let keys: Value = serde_json::from_str(&jwks(&["ES256"])).unwrap();
    let conditions = json!([{"claim": "sub", "equals": "job"}]);
    let rule = json!({"name": "ci", "issuer": "https://ci.example.com", "jwks": keys, "conditions": conditions});
    let rule = id(&format!("{bot}/trust-rules"), rule);
    let platform = json!({"name": "p", "teams": ["red"], "rights": ["open_runs"]});
    let platform = id("/v1/platform-keys", platform);
    let worker =
        |name: &str| json!({"name": name, "audience": format!("https://{name}.example.com"), "teams": ["red"]});
    let (worker, other) = (id("/v1/worker-keys", worker("w")), id("/v1/worker-keys", worker("o")));
    served.admin(&["admin", "issuer", "make", "--team", "red"]);

    let of_bot = "admin remaining-sessions --team red --principal service_account:bot";
    let of_ann = "admin remaining-sessions --team red --principal user:ann";
    let of_ann_anywhere = "admin remaining-sessions --team TEAM --principal user:ann, for each team they are in";
    let of_red = "admin remaining-sessions --team red";
    let rows: [(&[&str], &str); 20] = [
        (&["service-accounts", "delete-key", "--team", "red", "bot", &spare], of_bot),
        (&["public-keys", "delete", "--team", "red", "bot", &public], of_bot),
        (&["trust-rules", "update", "--team", "red", "bot", &rule, "--disable"], of_bot),
        (&["trust-rules", "delete", "--team", "red", "bot", &rule], of_bot),
        (&["runs", "end", "--team", "red", &run], of_bot),
        (&["provider-settings", "set", "--team", "red", "--service-account", "bot", "--disable"], of_bot),
        (&["provider-settings", "set", "--team", "red", "--disable"], of_red),
        (&["platform-keys", "delete", &platform], of_red),
        (&["worker-keys", "update", &other, "--team", "blue"], of_red),
        (&["worker-keys", "delete", &worker], of_red),
        (&["issuer", "delete", "--team", "red"], of_red),
        (&["sessions", "end", "ann"], of_ann_anywhere),
        (&["members", "update", "--team", "red", "ann", "--disable"], of_ann),
        (&["members", "remove", "--team", "red", "ann"], of_ann),
        (&["users", "update", "ann", "--disable"], of_ann_anywhere),
        (&["users", "delete", "ann"], of_ann_anywhere),
        (&["service-accounts", "update", "--team", "red", "bot", "--disable"], of_bot),
        (&["service-accounts", "delete", "--team", "red", "bot"], of_bot),
        (&["teams", "update", "red", "--disable"], of_red),
        (&["teams", "delete", "red"], of_red),
    ];
    for (arguments, told) in rows {
        let ended = served.brevet(Some(&served.admin_key), &[&["admin"], arguments].concat());
        assert_eq!(ended.code(), Some(0), "{arguments:?}: {ended:#?}");
        assert_eq!(named(&ended), [told], "{arguments:?}");
    }
    // Switching on ends nothing.
    let on = served.brevet(Some(&served.admin_key), &["admin", "teams", "update", "blue", "--enable"]);
    assert_eq!((on.code(), named(&on)), (Some(0), Vec::new()), "{on:#?}");
    // The command that was named works, also now that all of it is gone.
    assert!(served.admin(&of_bot.split(' ').collect::<Vec<_>>()).starts_with(ROLE));
}

/// The text is the JSON form, line by line.
#[test]
fn threat_23_what_remains_is_told_in_words_with_each_deny_ready() {
    let served = Served::start();
    let key = served.furnish();
    let tell = ["admin", "remaining-sessions", "--team", "red"];
    let none = served.brevet(Some(&served.admin_key), &tell);
    assert_eq!((none.code(), none.stdout.as_str()), (Some(0), ""), "{none:#?}");
    assert!(none.stderr.contains("no token for AWS STS was minted in the last hours: no session remains"), "{none:#?}");

    served.succeeds(Some(&key), &["token"]);
    served.admin(&["admin", "policy", "set", "--team", "red", "--roles-claim", "off"]);
    served.succeeds(Some(&key), &["token"]);
    let told: Value = serde_json::from_str(&served.admin(&[&tell[..], &["--json"]].concat())).unwrap();
    let items = told["items"].as_array().unwrap();
    assert_eq!(items.len(), 2, "one of the role, one of none: {told}");
    // In whole seconds.
    let stamp = |value: &Value| format!("{}Z", value.as_str().unwrap().split(['.', 'Z']).next().unwrap());
    let mut expected = Vec::new();
    for item in items {
        let role = item["role_arn"].as_str();
        let mut lines = vec![
            role.unwrap_or("any role whose trust policy admits these subjects").to_owned(),
            "  of service_account:bot".to_owned(),
            format!("  tokens open sessions until {}", stamp(&item["tokens_until"])),
            format!("  sessions last until {} at the most", stamp(&item["sessions_until"])),
        ];
        let denies = item["denies"].as_array().unwrap();
        assert_eq!(denies.len(), 2, "by subject and by source identity: {item}");
        for deny in denies {
            lines.push(format!("  to deny {}:", text(deny, "denies")));
            let ready = role.map_or_else(|| deny["document"].to_string(), |_| text(deny, "put_command"));
            assert!(ready.contains("\"Deny\"") && ready.contains("bot"), "{ready}");
            lines.push(format!("    {ready}"));
        }
        expected.push(lines.join("\n"));
    }
    assert_eq!(served.admin(&tell), expected.join("\n\n"));
    let other = served.brevet(Some(&served.admin_key), &[&tell[..], &["--principal", "user:ann"]].concat());
    assert!(other.stdout.is_empty() && other.stderr.contains("no session remains"), "{other:#?}");
}
