//! Requests that wait in the middle of their body while whoever sent them is switched off: the change is not made, and
//! the one row that is left says so.

use std::sync::Arc;

use axum::body::Body;
use axum::middleware::{Next, from_fn};
use brevet::store::{EventFilter, Page};
use futures_util::StreamExt as _;
use http::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use crate::support::house::{House, Listener, request};
use crate::support::postgres::{self, TestDatabase};

/// An installation behind a real listener, which tells when a handler has begun to read a body: whoever asks has been
/// let in by then.
struct Door {
    house: House,
    address: std::net::SocketAddr,
    reading: Arc<Notify>,
    operator: String,
}

/// A request whose body is sent by half.
struct Held {
    connection: TcpStream,
    rest: String,
}

impl Door {
    async fn open(database: Option<TestDatabase>) -> Self {
        let house = House::over(database).await;
        let reading = Arc::new(Notify::new());
        let told = Arc::clone(&reading);
        let router = house.router(Listener::Same).layer(from_fn(move |request: Request<Body>, next: Next| {
            let told = Arc::clone(&told);
            let request =
                request.map(|body| Body::from_stream(body.into_data_stream().inspect(move |_| told.notify_one())));
            next.run(request)
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
        let operator = text(&house.must("POST", "/v1/administrators", Some(json!({"name": "ops"}))).await, "key");
        let door = Self { house, address, reading, operator };
        door.must("POST", "/v1/teams", Some(json!({"uid": "acme", "name": "Acme"}))).await;
        door.must("POST", "/v1/teams/acme/service-accounts", Some(json!({"uid": "robot", "name": "Robot"}))).await;
        door
    }

    /// By the operator, over the router itself.
    async fn must(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let answer = self.house.call(&self.operator, method, path, body).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.short());
        answer.json()
    }

    /// Sends a request up to the middle of its body, and waits until the server reads that.
    async fn hold(&self, bearer: &str, method: &str, path: &str, body: &Value) -> Held {
        let body = body.to_string();
        let (first, rest) = body.split_at(body.len() / 2);
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let head = format!(
            "{method} /brevet{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {bearer}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{first}",
            body.len()
        );
        // The second half of the one before was read too, and told of.
        let _ = futures_util::FutureExt::now_or_never(self.reading.notified());
        connection.write_all(head.as_bytes()).await.unwrap();
        self.reading.notified().await;
        Held { connection, rest: rest.to_owned() }
    }

    /// A person's access token.
    async fn sign_in(&self, user: &str) -> String {
        let code = self.must("POST", "/v1/enrolment-codes", Some(json!({"user_uid": user}))).await;
        let session = request("", "POST", "/v1/sessions", Some(json!({"code": code["code"]})), &[]);
        text(&self.house.send(Listener::Public, session).await.json(), "access_token")
    }

    /// An admin of the team: their access token.
    async fn team_admin(&self, user: &str) -> String {
        let member = json!({"uid": user, "name": user, "role": "admin"});
        self.must("POST", "/v1/teams/acme/members", Some(member)).await;
        self.sign_in(user).await
    }

    /// Every audit row in some order: its action, decision, reason and target.
    async fn rows(&self) -> Vec<String> {
        self.house.app.issuer.audit().drain().await;
        let (mut rows, mut page) = (Vec::new(), Page::default());
        loop {
            let found = self.house.app.store.events(&EventFilter::default(), &page).await.unwrap();
            rows.extend(found.items.iter().map(|row| {
                let (reason, target) = (row.reason.as_deref().unwrap_or("-"), row.target.as_deref().unwrap_or("-"));
                format!("{} {} {reason} {target}", row.action, row.decision.as_str())
            }));
            page.after = found.next;
            if page.after.is_none() {
                return rows;
            }
        }
    }
}

impl Held {
    /// Sends the rest: the status and the problem's code.
    async fn finish(mut self) -> (u16, String) {
        self.connection.write_all(self.rest.as_bytes()).await.unwrap();
        let mut answer = String::new();
        self.connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap_or_default();
        let code = body["type"].as_str().unwrap_or_default().trim_start_matches("urn:brevet:problem:");
        (head.split(' ').nth(1).unwrap().parse().unwrap(), code.to_owned())
    }
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_else(|| panic!("{member} in {value}")).to_owned()
}

/// What is switched off while a request is held.
struct Case {
    name: &'static str,
    bearer: String,
    asked: (&'static str, String, Value),
    off: (&'static str, String, Option<Value>),
}

async fn cases(door: &Door) -> Vec<Case> {
    let mut cases = Vec::new();
    let creates =
        |uid: &str| ("POST", "/v1/teams/acme/service-accounts".to_owned(), json!({"uid": uid, "name": "x".repeat(50)}));
    let (mut removed, mut demoted) = (Value::Null, Value::Null);
    for administrator in [&mut removed, &mut demoted] {
        *administrator = door.must("POST", "/v1/administrators", Some(json!({"name": "late"}))).await;
    }
    let path = |one: &Value| format!("/v1/administrators/{}", text(one, "id"));
    cases.push(Case {
        name: "an administrator who is deleted",
        bearer: text(&removed, "key"),
        asked: ("POST", "/v1/teams".to_owned(), json!({"uid": "late-1", "name": "x".repeat(50)})),
        off: ("DELETE", path(&removed), None),
    });
    cases.push(Case {
        name: "an operator who is made an auditor",
        bearer: text(&demoted, "key"),
        asked: ("POST", "/v1/administrators".to_owned(), json!({"name": "late-2", "role": "operator"})),
        off: ("PATCH", path(&demoted), Some(json!({"role": "auditor"}))),
    });
    for (name, uid, off) in [
        ("a team admin who is demoted", "adam", ("PATCH", Some(json!({"role": "member"})))),
        ("a team admin who is disabled there", "dora", ("PATCH", Some(json!({"disabled": true})))),
        ("a team admin who is removed", "rita", ("DELETE", None)),
    ] {
        let bearer = door.team_admin(uid).await;
        let off = (off.0, format!("/v1/teams/acme/members/{uid}"), off.1);
        cases.push(Case { name, bearer, asked: creates(&format!("late-{uid}")), off });
    }
    let bearer = door.team_admin("gone").await;
    let asked = ("PATCH", "/v1/teams/acme/policy".to_owned(), json!({"lifetime_cap_seconds": 77}));
    cases.push(Case {
        name: "a team admin who is deleted",
        bearer,
        asked,
        off: ("DELETE", "/v1/users/gone".to_owned(), None),
    });
    let bearer = door.team_admin("ended").await;
    let sessions = door.must("GET", "/v1/users/ended/sessions", None).await;
    let session = text(&sessions["items"][0], "session_id");
    cases.push(Case {
        name: "a team admin whose session is ended",
        bearer,
        asked: ("POST", "/v1/teams/acme/service-accounts/robot/keys".to_owned(), json!({"name": "x".repeat(50)})),
        off: ("DELETE", format!("/v1/users/ended/sessions/{session}"), None),
    });
    for (name, uid, off) in [
        ("a platform key that is revoked", "late-revoked", ("DELETE", None)),
        ("a platform key that loses the right", "late-right", ("PATCH", Some(json!({"rights": ["open_runs"]})))),
        ("a platform key that loses the team", "late-list", ("PATCH", Some(json!({"teams": ["other"]})))),
    ] {
        let rights = ["register_principals"];
        let platform = json!({"name": name, "teams": ["acme"], "rights": rights});
        let platform = door.must("POST", "/v1/platform-keys", Some(platform)).await;
        let off = (off.0, format!("/v1/platform-keys/{}", text(&platform, "id")), off.1);
        cases.push(Case { name, bearer: text(&platform, "key"), asked: creates(uid), off });
    }
    // The last one: everyone's team is off from then on.
    let bearer = door.team_admin("tess").await;
    let off = ("PATCH", "/v1/teams/acme".to_owned(), Some(json!({"disabled": true})));
    cases.push(Case { name: "an admin of a team that is disabled", bearer, asked: creates("late-team"), off });
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_23_a_change_held_open_is_not_made_once_its_sender_is_switched_off() {
    let databases = [None].into_iter().chain(postgres::database().map(Some));
    for database in databases {
        let on = if database.is_some() { "PostgreSQL" } else { "SQLite" };
        let door = Door::open(database).await;
        door.must("POST", "/v1/teams", Some(json!({"uid": "other", "name": "Other"}))).await;
        // With nobody switched off a held request is carried out: what is refused below is refused for its sender.
        let asked = json!({"name": "held, and carried out"});
        let held = door.hold(&door.operator, "POST", "/v1/teams/acme/service-accounts/robot/keys", &asked).await;
        assert_eq!(held.finish().await.0, 201, "{on}");
        for case in cases(&door).await {
            let place = format!("{} on {on}", case.name);
            let (method, path, body) = &case.asked;
            let held = door.hold(&case.bearer, method, path, body).await;
            let (off, at, change) = case.off;
            door.must(off, &at, change).await;
            let before = door.rows().await;
            assert_eq!(held.finish().await, (401, "invalid_credential".to_owned()), "{place}");
            let mut after = door.rows().await;
            after.retain(|row| !before.contains(row));
            let [left] = &after[..] else { panic!("{place}: {after:?}") };
            assert!(left.starts_with("admin.") && left.contains(" refused not_permitted "), "{place}: {left}");
        }
        // Nothing of what was asked for is there.
        let everything = [
            door.must("GET", "/v1/teams", None).await,
            door.must("GET", "/v1/administrators", None).await,
            door.must("GET", "/v1/teams/acme/service-accounts", None).await,
            door.must("GET", "/v1/teams/acme/service-accounts/robot/keys", None).await,
            door.must("GET", "/v1/teams/acme/policy", None).await,
        ]
        .map(|one| one.to_string())
        .concat();
        assert!(everything.contains("held, and carried out") && !everything.contains(":77"), "{on}: {everything}");
        assert!(!everything.contains("late-") && !everything.contains(&"x".repeat(50)), "{on}: {everything}");
    }
}

/// On PostgreSQL a change reads its sender's state and commits later: it waits for a disable that is under way, so that
/// it cannot have read what the disable ends and commit when that has returned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threat_42_a_change_and_the_end_of_its_sender_are_never_under_way_at_once() {
    use sqlx::{Connection as _, PgConnection};
    let Some(database) = postgres::database() else { return };
    let url = database.url();
    let door = Door::open(Some(database)).await;
    let late = door.must("POST", "/v1/administrators", Some(json!({"name": "late"}))).await;
    let mut disable = PgConnection::connect(&url).await.unwrap();
    // What every disable begins with (store/db.rs), and what this one does.
    sqlx::raw_sql("BEGIN; SELECT pg_advisory_xact_lock(x'6272657665740001'::bigint)")
        .execute(&mut disable)
        .await
        .unwrap();
    let sql = format!("UPDATE administrators SET revoked_at = 1 WHERE id = '{}'", text(&late, "id"));
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut disable).await.unwrap();
    let (key, body) = (text(&late, "key"), json!({"uid": "late-2", "name": "x".repeat(50)}));
    let held = door.hold(&key, "POST", "/v1/teams/acme/service-accounts", &body).await;
    let mut finishing = tokio::spawn(held.finish());
    let mut watch = PgConnection::connect(&url).await.unwrap();
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    loop {
        let (count,): (i64,) = sqlx::query_as(waiting).fetch_one(&mut watch).await.unwrap();
        if count > 0 {
            break;
        }
        let early = tokio::time::timeout(std::time::Duration::from_millis(5), &mut finishing).await;
        assert!(early.is_err(), "the change did not wait for the disable: {early:?}");
    }
    sqlx::raw_sql("COMMIT").execute(&mut disable).await.unwrap();
    assert_eq!(finishing.await.unwrap(), (401, "invalid_credential".to_owned()));
    let accounts = door.must("GET", "/v1/teams/acme/service-accounts", None).await.to_string();
    assert!(!accounts.contains("late-2"), "{accounts}");
}
