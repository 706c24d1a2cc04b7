//! The API before Schemathesis: what it makes of the OpenAPI document, right and wrong, by nobody, a team's admin and an
//! operator. No answer is a 5xx, and each is one that the document tells of: status, content type, headers, schema.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::caller::{Caller, text};
use crate::support::clients;
use crate::support::process::Home;
use crate::support::served::{Served, free_port};
use crate::support::variable;

#[test]
fn threat_21_every_answer_is_one_that_the_document_tells_of() {
    let Some(client) = clients::python("api_schemathesis.py") else { return };
    let examples = variable("BREVET_DRILL_EXAMPLES").map_or("1".to_owned(), |text| text.into_string().unwrap());
    let seed = variable("BREVET_DRILL_SEED").map_or("1".to_owned(), |text| text.into_string().unwrap());
    // Whoever tries everything comes more often than honest callers.
    let rate = || "6000000/100000".to_owned();
    let variables = vec![("BREVET_LIMIT_CREDENTIAL", rate()), ("BREVET_LIMIT_FAILURES", rate())];
    let served = Served::start_with(Home::new(), &format!("http://127.0.0.1:{}", free_port()), variables);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (operator, own, admin, key) = runtime.block_on(async {
        let first = Caller::new(&served.url, &served.admin_key);
        let made = first.must("POST", "/v1/administrators", Some(json!({"name": "ops"}))).await;
        let operator = first.with(&text(&made, "key"));
        operator.must("POST", "/v1/teams", Some(json!({"uid": "acme", "name": "Acme"}))).await;
        let member = json!({"uid": "adam", "name": "Adam", "role": "admin"});
        operator.must("POST", "/v1/teams/acme/members", Some(member)).await;
        let agents = "/v1/teams/acme/service-accounts";
        operator.must("POST", agents, Some(json!({"uid": "robot", "name": "Robot"}))).await;
        let key = operator.must("POST", &format!("{agents}/robot/keys"), Some(json!({}))).await;
        let admin = operator.sign_in("adam").await.0;
        (text(&made, "key"), text(&made, "id"), admin, text(&key, "key"))
    });
    let (known, admin_of) = (format!("robot:{key}"), format!("admin={admin}"));
    let operators = format!("operator={operator}");
    let answer = client
        .args(["--base", &served.url, "--operator", &operator, "--client", &known])
        .args(["--caller", "nobody=", "--caller", &admin_of, "--caller", &operators])
        .args(["--keep", "acme", "--keep", "adam", "--keep", "robot", "--keep", &own])
        .args(["--examples", &examples, "--seed", &seed])
        .run_within(Duration::from_hours(2))
        .json();
    println!("{answer:#}");
    assert_eq!(answer["ok"], true, "{:#}", answer["failures"]);
    // It proves something only where requests get as far as the handlers, and by each of the callers.
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    assert!(count(&answer["operations"]) > 90 && count(&answer["requests"]) > 500, "{answer:#}");
    assert!(answer["succeeded"].as_array().unwrap().len() > 45, "{:#}", answer["succeeded"]);
    let statuses = |caller: &str, status: &str| count(&answer["statuses"][caller][status]);
    assert!(statuses("nobody", "401") > 100 && statuses("admin", "403") > 20 && statuses("operator", "201") > 3);
    assert_eq!(statuses("operator", "401"), 0, "the operator was locked out");
}
