//! Replay where it is hardest: a replica that is killed between writing a token down and answering, and a trust rule
//! that changes while an exchange under it waits.

use brevet::config::host::SystemClock;
use brevet::domain::clock::Clock as _;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

use crate::support::caller::{Caller, text};
use crate::support::foreign_issuer::jwks;
use crate::support::pair::Pair;
use crate::support::token_keys::{jwk, sign};

const TRUSTED: &str = "https://ci.example.com";
const RULES: &str = "/v1/teams/red/service-accounts/bot/trust-rules";

/// A team with an agent that trusts somebody and has a public key; the operator, and the rule.
async fn furnish(pair: &Pair) -> (Caller, Value) {
    let operator = pair.admin(0);
    operator.must("POST", "/v1/teams", Some(json!({"uid": "red", "name": "Red"}))).await;
    let agents = "/v1/teams/red/service-accounts";
    operator.must("POST", agents, Some(json!({"uid": "bot", "name": "Bot"}))).await;
    operator.must("POST", &format!("{agents}/bot/public-keys"), Some(json!({"jwk": jwk("ES256")}))).await;
    let keys: Value = serde_json::from_str(&jwks(&["ES256"])).unwrap();
    let conditions = json!([{"claim": "sub", "equals": "job"}]);
    let rule = json!({"name": "ci", "issuer": TRUSTED, "jwks": keys, "conditions": conditions});
    let rule = operator.must("POST", RULES, Some(rule)).await;
    (operator, rule)
}

fn jwt(issuer: &str, subject: &str, audience: &str, id: &str) -> String {
    let now = SystemClock.now().unix_timestamp();
    let claims = json!({"iss": issuer, "sub": subject, "aud": audience, "iat": now, "exp": now + 240, "jti": id});
    sign("ES256", &json!({"alg": "ES256", "kid": "ES256", "typ": "JWT"}).to_string(), &claims.to_string())
}

/// What shows somebody else's token, or an assertion of the agent's own: each may be shown once.
fn forms(issuer: &str, id: &str) -> [Vec<(&'static str, String)>; 2] {
    let exchange = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()),
        ("client_id", "bot".to_owned()),
        ("subject_token", jwt(TRUSTED, "job", &format!("{issuer}/teams/red"), id)),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt".to_owned()),
    ];
    let assertion = [
        ("grant_type", "client_credentials".to_owned()),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned()),
        ("client_assertion", jwt("bot", "bot", issuer, id)),
    ];
    [exchange.to_vec(), assertion.to_vec()]
}

async fn count(database: &mut PgConnection, sql: &'static str) -> i64 {
    let (count,): (i64,) = sqlx::query_as(sql).fetch_one(database).await.unwrap();
    count
}

/// Somebody waits for a lock that another holds.
const WAITING: &str = "SELECT count(*) FROM pg_locks WHERE NOT granted
    AND pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database())";
const REMEMBERED: &str = "SELECT count(*) FROM presented_tokens";
const ISSUED: &str = "SELECT count(*) FROM credentials WHERE kind = 'access_token'";
/// The store gives up a lock after eight seconds, which a busy machine may take to see that somebody waits for it: then
/// all is done again with another token.
const TRIES: usize = 10;

#[test]
fn threat_8_a_token_written_down_by_a_killed_replica_is_spent_everywhere() {
    let Some(mut pair) = Pair::start() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (operator, _) = runtime.block_on(furnish(&pair));
    let url = pair.database_url();
    for round in 0..2 {
        let mut watch = runtime.block_on(PgConnection::connect(&url)).unwrap();
        let killed = |attempt: usize| {
            let form = forms(&pair.issuer, &format!("killed-{attempt}")).into_iter().nth(round).unwrap();
            let before = runtime.block_on(count(&mut watch, REMEMBERED));
            // Access tokens cannot be written: the replica has the token written down, and no answer.
            let mut lock = runtime.block_on(PgConnection::connect(&url)).unwrap();
            let hold = "BEGIN; LOCK TABLE credentials IN SHARE ROW EXCLUSIVE MODE";
            runtime.block_on(sqlx::raw_sql(hold).execute(&mut lock)).unwrap();
            let asking = runtime.spawn(operator.with("").try_form("/oauth2/token", form.clone()));
            let waits = runtime.block_on(async {
                while count(&mut watch, REMEMBERED).await == before || count(&mut watch, WAITING).await == 0 {
                    if asking.is_finished() {
                        return false;
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                true
            });
            pair.kill(0);
            let answer = runtime.block_on(asking).unwrap();
            runtime.block_on(sqlx::raw_sql("ROLLBACK").execute(&mut lock)).unwrap();
            pair.serve(0);
            if let Some((status, answer)) = answer {
                assert_eq!(status, 503, "it answered without writing an access token: {answer}");
                return None;
            }
            assert!(waits, "it ended without an answer before it was killed");
            Some(form)
        };
        let form = (0..TRIES).find_map(killed).expect("a killed replica has not answered");
        for replica in [0, 1, 0] {
            let asked = pair.admin(replica).with("").try_form("/oauth2/token", form.clone());
            let (status, answer) = runtime.block_on(asked).expect("it runs");
            assert!(status == 400 || status == 401, "{status} {answer}");
            let words = text(&answer, "error_description");
            assert!(words.contains("before"), "{words}");
        }
        assert_eq!(runtime.block_on(count(&mut watch, ISSUED)), i64::try_from(round).unwrap(), "nothing was issued");
        // Another token of the same kind is taken: what is refused above is refused as a replay.
        let fresh = forms(&pair.issuer, "fresh").into_iter().nth(round).unwrap();
        let asked = pair.admin(1).with("").try_form("/oauth2/token", fresh);
        let (status, answer) = runtime.block_on(asked).expect("it runs");
        assert_eq!(status, 200, "{answer}");
    }
}

#[test]
fn threat_23_an_exchange_held_while_its_rule_changes_gives_nothing() {
    let Some(pair) = Pair::start() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (operator, rule) = runtime.block_on(furnish(&pair));
    runtime.block_on(async {
        let mut watch = PgConnection::connect(&pair.database_url()).await.unwrap();
        let mut other = PgConnection::connect(&pair.database_url()).await.unwrap();
        let ask = |id: &str| {
            let [form, _] = forms(&pair.issuer, id);
            tokio::spawn(pair.admin(1).with("").try_form("/oauth2/token", form))
        };
        // With nothing in its way an exchange holds: what is refused below is refused for the rule.
        assert_eq!(ask("first").await.unwrap().unwrap().0, 200);
        let issued = count(&mut watch, ISSUED).await;
        // The change of another connection, as `update_trust_rule` makes it: begun before the exchange, ended after it
        // has judged the token by the rule as it was.
        let id = text(&rule, "id");
        for change in [
            format!(
                "UPDATE trust_rules SET version = version + 1, rule = replace(rule, 'job', 'jib') WHERE id = '{id}'"
            ),
            format!("UPDATE trust_rules SET version = version + 1, disabled_at = 1 WHERE id = '{id}'"),
        ] {
            let restore = format!(
                "UPDATE trust_rules SET version = version + 1, disabled_at = NULL, rule = replace(rule, 'jib', 'job') \
                 WHERE id = '{id}'"
            );
            for attempt in 0..TRIES {
                let begin = "BEGIN; SELECT pg_advisory_xact_lock(x'6272657665740001'::bigint)";
                sqlx::raw_sql(begin).execute(&mut other).await.unwrap();
                sqlx::raw_sql(sqlx::AssertSqlSafe(change.clone())).execute(&mut other).await.unwrap();
                let asking = ask(&format!("{change} {attempt}"));
                while !asking.is_finished() && count(&mut watch, WAITING).await == 0 {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                let waits = !asking.is_finished();
                sqlx::raw_sql("COMMIT").execute(&mut other).await.unwrap();
                let (status, answer) = asking.await.unwrap().unwrap();
                assert_eq!(count(&mut watch, ISSUED).await, issued, "{change}: {answer}");
                sqlx::raw_sql(sqlx::AssertSqlSafe(restore.clone())).execute(&mut other).await.unwrap();
                if status == 503 && attempt + 1 < TRIES {
                    continue;
                }
                assert!(waits, "the exchange did not wait: {change}");
                assert_eq!(
                    (status.as_u16(), text(&answer, "error").as_str()),
                    (400, "invalid_request"),
                    "{change}: {answer}"
                );
                break;
            }
        }
        // The other order: what an exchange has written when the change begins ends with the change.
        let (_, answer) = ask("last").await.unwrap().unwrap();
        let access = text(&answer, "access_token");
        operator.must("PATCH", &format!("{RULES}/{id}"), Some(json!({"disabled": true}))).await;
        let body = json!({"audience": "sts.amazonaws.com"});
        let (status, answer) = pair.admin(1).with(&access).call("POST", "/v1/identity-tokens", Some(&body)).await;
        assert_eq!(status, 401, "{answer}");
    });
}
