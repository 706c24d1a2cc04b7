//! Off means off, over HTTP: on two replicas 64 connections mint with what is switched off under their hands, each kind
//! in turn. No row of a mint commits after that has returned, and every token received has a row before it.

#![expect(clippy::print_stdout, reason = "the figures are for whoever runs the drill")]

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use brevet::config::host::SystemClock;
use brevet::domain::clock::Clock as _;
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::postgres::{PgPool, PgPoolOptions};

use crate::support::caller::{Caller, text};
use crate::support::foreign_issuer::jwks;
use crate::support::pair::Pair;
use crate::support::token_keys::{jwk, sign};
use crate::support::variable;

/// Connections that mint at any time, over both replicas.
const CONNECTIONS: usize = 64;
/// Tries that go on side by side, each in teams of its own: one lane's disable and every lane's mints want one lock.
const LANES: usize = 4;
/// Those of one lane.
const EACH: usize = CONNECTIONS / LANES;
/// Tokens that a lane receives before it switches something off: every connection has asked by then, and most wait.
const WARM: usize = EACH / 2;
/// How often somebody asks in vain afterwards, on each replica.
const LATE: usize = 4;

/// What can be switched off under somebody's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Person,
    ServiceAccount,
    Key,
    Run,
    PlatformKey,
    Team,
    Membership,
    TrustRule,
    PublicKey,
    Session,
}

const KINDS: [Kind; 10] = [
    Kind::Person,
    Kind::ServiceAccount,
    Kind::Key,
    Kind::Run,
    Kind::PlatformKey,
    Kind::Team,
    Kind::Membership,
    Kind::TrustRule,
    Kind::PublicKey,
    Kind::Session,
];

/// A request of the operator's.
type Asked = (&'static str, String, Option<Value>);

/// One credential, how it mints, and what ends that.
struct Trial {
    bearer: String,
    mint: Value,
    off: Asked,
    /// What makes it as it was.
    undo: Option<Asked>,
}

/// What one lane has all the time.
struct Stage {
    issuer: String,
    lane: usize,
    /// An administrator of the lane's own, at both replicas, and the id of its key: whose rows are the lane's.
    operators: [Caller; 2],
    operator: String,
    /// Keys of three agents: one that stays, one that is switched off, one whose team is.
    stays: String,
    sleepy: String,
    owl: String,
}

const TRUSTED: &str = "https://ci.example.com";

impl Stage {
    async fn set(pair: &Pair, lane: usize, by: &Caller) -> Self {
        let made = by.must("POST", "/v1/administrators", Some(json!({"name": format!("lane {lane}")}))).await;
        let operators = [0, 1].map(|replica| pair.admin(replica).with(&text(&made, "key")));
        let mut stage = Self {
            issuer: pair.issuer.clone(),
            lane,
            operators,
            operator: String::new(),
            stays: String::new(),
            sleepy: String::new(),
            owl: String::new(),
        };
        stage.operator = text(&stage.operators[0].must("GET", "/v1/whoami", None).await, "credential_id");
        let operator = &stage.operators[0];
        let role = json!({"role_arn": "arn:aws:iam::111122223333:role/drill", "region": "eu-central-1"});
        for team in stage.teams() {
            operator.must("POST", "/v1/teams", Some(json!({"uid": team, "name": team}))).await;
            operator.must("PATCH", &format!("/v1/teams/{team}/provider-settings"), Some(role.clone())).await;
        }
        let [drill, night] = stage.teams();
        for person in ["pat", "mel"].map(|name| stage.own(name)) {
            let member = json!({"uid": person, "name": person});
            operator.must("POST", &format!("/v1/teams/{drill}/members"), Some(member)).await;
        }
        let mut keys = Vec::new();
        for (team, agent) in [(&drill, "base"), (&drill, "sleepy"), (&night, "owl")] {
            let (path, agent) = (format!("/v1/teams/{team}/service-accounts"), stage.own(agent));
            operator.must("POST", &path, Some(json!({"uid": agent, "name": agent}))).await;
            keys.push(text(&operator.must("POST", &format!("{path}/{agent}/keys"), Some(json!({}))).await, "key"));
        }
        [stage.stays, stage.sleepy, stage.owl] = keys.try_into().unwrap();
        stage
    }

    /// The lane's own uid of that name.
    fn own(&self, name: &str) -> String {
        format!("{name}-{}", self.lane)
    }

    fn teams(&self) -> [String; 2] {
        ["drill", "night"].map(|team| self.own(team))
    }

    async fn prepare(&self, kind: Kind) -> Trial {
        let operator = &self.operators[0];
        let sign_in = async |user: &str| {
            let code = patiently(operator, "POST", "/v1/enrolment-codes", Some(json!({ "user_uid": user }))).await;
            let code = Some(json!({ "code": code["code"] }));
            let opened = patiently(&operator.with(""), "POST", "/v1/sessions", code).await;
            (text(&opened, "access_token"), text(&opened, "session_id"))
        };
        let trial = |bearer: &str, off: Asked, undo: Option<Asked>| Trial {
            bearer: bearer.to_owned(),
            mint: json!({}),
            off,
            undo,
        };
        let disabled = |path: &str, disabled: bool| ("PATCH", path.to_owned(), Some(json!({ "disabled": disabled })));
        let switched = |bearer: &str, path: &str| trial(bearer, disabled(path, true), Some(disabled(path, false)));
        let gone = |bearer: &str, path: String| trial(bearer, ("DELETE", path, None), None);
        let [drill, night] = self.teams();
        let [base_uid, pat, mel] = ["base", "pat", "mel"].map(|name| self.own(name));
        let agents = format!("/v1/teams/{drill}/service-accounts");
        let base = format!("{agents}/{base_uid}");
        let at = |answer: &Value, list: &str| format!("{list}/{}", text(answer, "id"));
        match kind {
            Kind::Person => switched(&sign_in(&pat).await.0, &format!("/v1/users/{pat}")),
            Kind::ServiceAccount => switched(&self.sleepy, &format!("{agents}/{}", self.own("sleepy"))),
            Kind::Team => switched(&self.owl, &format!("/v1/teams/{night}")),
            Kind::Key => {
                let list = format!("{base}/keys");
                let key = patiently(operator, "POST", &list, Some(json!({}))).await;
                gone(&text(&key, "key"), at(&key, &list))
            }
            Kind::Run => {
                let run = patiently(&operator.with(&self.stays), "POST", "/v1/runs", Some(json!({}))).await;
                gone(&text(&run, "bearer"), at(&run, "/v1/runs"))
            }
            Kind::PlatformKey => {
                let body = json!({"name": "drill", "teams": [drill], "rights": ["mint_for_service_accounts"]});
                let key = patiently(operator, "POST", "/v1/platform-keys", Some(body)).await;
                let mint = json!({"on_behalf_of": format!("service_account:{base_uid}"), "team_uid": drill});
                Trial { mint, ..gone(&text(&key, "key"), at(&key, "/v1/platform-keys")) }
            }
            Kind::Membership => {
                let path = format!("/v1/teams/{drill}/members/{mel}");
                let undo = Some(("PUT", path.clone(), None));
                Trial { undo, ..gone(&sign_in(&mel).await.0, path) }
            }
            Kind::TrustRule => {
                let list = format!("{base}/trust-rules");
                let keys: Value = serde_json::from_str(&jwks(&["ES256"])).unwrap();
                let conditions = json!([{"claim": "sub", "equals": "job"}]);
                let rule = json!({"name": "drill", "issuer": TRUSTED, "jwks": keys, "conditions": conditions});
                let rule = patiently(operator, "POST", &list, Some(rule)).await;
                let form = || {
                    vec![
                        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange".to_owned()),
                        ("client_id", base_uid.clone()),
                        ("subject_token", assertion(TRUSTED, "job", &format!("{}/teams/{drill}", self.issuer))),
                        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt".to_owned()),
                    ]
                };
                gone(&issued(&operator.with(""), form).await, at(&rule, &list))
            }
            Kind::PublicKey => {
                let list = format!("{base}/public-keys");
                let key = patiently(operator, "POST", &list, Some(json!({"jwk": jwk("ES256")}))).await;
                let form = || {
                    let jwt = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
                    vec![
                        ("grant_type", "client_credentials".to_owned()),
                        ("client_assertion_type", jwt.to_owned()),
                        ("client_assertion", assertion(&base_uid, &base_uid, &self.issuer)),
                    ]
                };
                gone(&issued(&operator.with(""), form).await, at(&key, &list))
            }
            Kind::Session => {
                let (bearer, session) = sign_in(&pat).await;
                gone(&bearer, format!("/v1/users/{pat}/sessions/{session}"))
            }
        }
    }
}

/// What must succeed, asked again as long as a busy machine's database does not answer.
async fn patiently(caller: &Caller, method: &str, path: &str, body: Option<Value>) -> Value {
    let patience = Instant::now() + Duration::from_mins(1);
    loop {
        let (status, answer) = caller.call(method, path, body.as_ref()).await;
        if status.is_success() {
            return answer;
        }
        let busy = status == StatusCode::SERVICE_UNAVAILABLE && Instant::now() < patience;
        assert!(busy, "{method} {path}: {status} {answer}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The access token that a form gets, asked for in the same way; the form is made anew each time, because the JWT in it
/// counts once whatever came of it.
async fn issued(caller: &Caller, form: impl Fn() -> Vec<(&'static str, String)>) -> String {
    let patience = Instant::now() + Duration::from_mins(1);
    loop {
        let answer = caller.try_form("/oauth2/token", form()).await;
        if let Some((StatusCode::OK, issued)) = &answer {
            return text(issued, "access_token");
        }
        let busy = matches!(answer, Some((StatusCode::SERVICE_UNAVAILABLE, _))) && Instant::now() < patience;
        assert!(busy, "/oauth2/token: {answer:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A JWT of one minute that is used once.
fn assertion(issuer: &str, subject: &str, audience: &str) -> String {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let (now, number) = (SystemClock.now().unix_timestamp(), MADE.fetch_add(1, Ordering::Relaxed));
    let claims = json!({"iss": issuer, "sub": subject, "aud": audience, "iat": now, "exp": now + 60,
        "jti": format!("drill-{number}")});
    sign("ES256", &json!({"alg": "ES256", "kid": "ES256", "typ": "JWT"}).to_string(), &claims.to_string())
}

/// What all connections of one trial share.
struct Race {
    returned: AtomicBool,
    received: AtomicUsize,
    /// In vain, on each replica.
    late: [AtomicUsize; 2],
    database: PgPool,
}

/// What one connection saw.
#[derive(Default)]
struct Seen {
    tokens: usize,
    late_refusals: usize,
    violations: Vec<String>,
}

/// Mints until enough have asked in vain after the disable has returned.
async fn mint(caller: Caller, replica: usize, body: Value, race: Arc<Race>) -> Seen {
    let mut seen = Seen::default();
    // One of the late tries is its own until it was refused.
    let mut ticket = false;
    loop {
        let late = race.returned.load(Ordering::SeqCst);
        if late && !ticket {
            if race.late[replica].fetch_add(1, Ordering::SeqCst) >= LATE {
                return seen;
            }
            ticket = true;
        }
        let (status, answer) = caller.call("POST", "/v1/identity-tokens", Some(&body)).await;
        if status == StatusCode::OK {
            let token = text(&answer, "token_id");
            let rows: (i64,) = sqlx::query_as(
                "SELECT count(*) FROM audit_events WHERE token_id = $1 AND action = 'token.mint' AND decision = 'allowed'",
            )
            .bind(&token)
            .fetch_one(&race.database)
            .await
            .unwrap();
            if rows.0 != 1 {
                seen.violations.push(format!("{token} was received and has {} rows", rows.0));
            }
            if late {
                seen.violations.push(format!("{token} was asked for and received after the disable had returned"));
                return seen;
            }
            seen.tokens += 1;
            race.received.fetch_add(1, Ordering::SeqCst);
        } else if late && status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS {
            seen.late_refusals += 1;
            ticket = false;
        } else if status == StatusCode::SERVICE_UNAVAILABLE {
            // A busy machine says nothing about the credential: it is asked again.
        } else if late {
            seen.violations.push(format!("{status} {answer} where a refusal belongs"));
            return seen;
        }
    }
}

/// What the drill came to.
#[derive(Default)]
struct Figures {
    tries: BTreeMap<Kind, usize>,
    tokens: usize,
    late_refusals: usize,
    slowest: Duration,
    violations: Vec<String>,
}

impl Figures {
    fn add(&mut self, lane: Self) {
        for (kind, tries) in lane.tries {
            *self.tries.entry(kind).or_default() += tries;
        }
        self.tokens += lane.tokens;
        self.late_refusals += lane.late_refusals;
        self.slowest = self.slowest.max(lane.slowest);
        self.violations.extend(lane.violations);
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<_> = self.tries.iter().map(|(kind, tries)| format!("{kind:?} {tries}")).collect();
        let tries: usize = self.tries.values().sum();
        write!(
            f,
            "disable: {tries} tries ({}), 2 replicas, {CONNECTIONS} connections, {LANES} tries at a time: \
             {} tokens received, each with its row; \
             {} mints refused after a disable had returned; slowest disable {} ms; violations: {}",
            each.join(", "),
            self.tokens,
            self.late_refusals,
            self.slowest.as_millis(),
            self.violations.len()
        )
    }
}

async fn attempt(stage: &Stage, kind: Kind, number: usize, database: &PgPool, figures: &mut Figures) {
    let trial = stage.prepare(kind).await;
    // Rows carry the replicas' time, which is this host's.
    let began = i64::try_from(SystemClock.now().unix_timestamp_nanos() / 1_000_000).unwrap();
    let race = Arc::new(Race {
        returned: AtomicBool::new(false),
        received: AtomicUsize::new(0),
        late: [AtomicUsize::new(0), AtomicUsize::new(0)],
        database: database.clone(),
    });
    let minting: Vec<_> = (0..EACH)
        .map(|n| (stage.operators[n % 2].with(&trial.bearer), n % 2))
        .map(|(caller, replica)| tokio::spawn(mint(caller, replica, trial.mint.clone(), Arc::clone(&race))))
        .collect();
    let patience = Instant::now() + Duration::from_mins(1);
    while race.received.load(Ordering::SeqCst) < WARM {
        assert!(Instant::now() < patience, "{kind:?}, try {number}: nobody mints");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (method, path, body) = trial.off;
    let asked = Instant::now();
    patiently(&stage.operators[number / KINDS.len() % 2], method, &path, body).await;
    race.returned.store(true, Ordering::SeqCst);
    figures.slowest = figures.slowest.max(asked.elapsed());
    for seen in join_all(minting).await {
        let seen = seen.unwrap();
        figures.tokens += seen.tokens;
        figures.late_refusals += seen.late_refusals;
        figures.violations.extend(seen.violations.into_iter().map(|what| format!("{kind:?}, try {number}: {what}")));
    }
    // A transaction gets its number when it first writes, and both a batch of mints and a disable hold their lock by
    // then: a mint that is numbered after the disable has committed after it. What the lane's administrator did since
    // is the disable alone, and the mints of the lane's teams are those of this try.
    let disable: (Option<i64>,) = sqlx::query_as(
        "SELECT max(xmin::text::bigint) FROM audit_events
         WHERE at >= $1 AND decision = 'allowed' AND credential_id = $2",
    )
    .bind(began)
    .bind(&stage.operator)
    .fetch_one(database)
    .await
    .unwrap();
    let disable = disable.0.expect("the disable has its row");
    let rows: (i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE xmin::text::bigint > $2), count(*) FILTER (WHERE xmin::text::bigint < $2)
         FROM audit_events
         WHERE at >= $1 AND decision = 'allowed' AND action = 'token.mint' AND team_uid = ANY($3)",
    )
    .bind(began)
    .bind(disable)
    .bind(stage.teams())
    .fetch_one(database)
    .await
    .unwrap();
    if rows.0 > 0 {
        figures.violations.push(format!("{kind:?}, try {number}: {} rows committed after the disable", rows.0));
    }
    assert!(usize::try_from(rows.1).unwrap() >= WARM, "{kind:?}, try {number}: the rows of the mints are not found");
    if let Some((method, path, body)) = trial.undo {
        patiently(&stage.operators[0], method, &path, body).await;
    }
    *figures.tries.entry(kind).or_default() += 1;
}

/// Tries, one after the other, for as long as there are any.
async fn lane(stage: Stage, tries: usize, begun: Arc<AtomicUsize>, database: PgPool) -> Figures {
    let mut figures = Figures::default();
    loop {
        let number = begun.fetch_add(1, Ordering::SeqCst);
        if number >= tries {
            return figures;
        }
        if number.is_multiple_of(100) {
            println!("try {number} of {tries}");
        }
        attempt(&stage, KINDS[number % KINDS.len()], number, &database, &mut figures).await;
    }
}

#[test]
fn threat_42_off_is_off_on_two_replicas_whatever_is_switched_off() {
    let tries = variable("BREVET_DRILL_TRIES").map_or(KINDS.len(), |text| text.to_str().unwrap().parse().unwrap());
    let Some(pair) = Pair::start() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut figures = Figures::default();
    runtime.block_on(async {
        let database = PgPoolOptions::new().max_connections(8).connect(&pair.database_url()).await.unwrap();
        let begun = Arc::new(AtomicUsize::new(0));
        let mut lanes = Vec::new();
        let mut by = pair.admin(0);
        for number in 0..LANES {
            let stage = Stage::set(&pair, number, &by).await;
            // The first administrator's key ends as soon as there is another.
            by = stage.operators[0].clone();
            lanes.push(lane(stage, tries, Arc::clone(&begun), database.clone()));
        }
        let lanes: Vec<_> = lanes.into_iter().map(tokio::spawn).collect();
        for lane in lanes {
            figures.add(lane.await.unwrap());
        }
        database.close().await;
    });
    println!("{figures}");
    if let Some(file) = variable("BREVET_DRILL_FIGURES") {
        std::fs::write(file, format!("{figures}\n")).unwrap();
    }
    let some: Vec<_> = figures.violations.iter().take(20).collect();
    assert!(some.is_empty(), "{some:#?}");
    assert_eq!(figures.late_refusals, tries * 2 * LATE);
}
