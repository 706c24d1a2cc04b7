//! The real router over a real database of its own, with a clock that stands and randomness that repeats, so that
//! answers can be compared to the byte.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use brevet::crypto::keypair::KeyPair;
use brevet::crypto::new_key::new_signing_key;
use brevet::crypto::seal::Kek;
use brevet::domain::audience::Audience;
use brevet::domain::audit::{Action, Decision, Event, Origin, RecordedEvent};
use brevet::domain::clock::{Clock, ManualClock};
use brevet::domain::credential::{CredentialKind, OpaqueCredential};
use brevet::domain::entropy::Entropy;
use brevet::domain::id::{
    CredentialId, EventId, IssuerId, ReplicaId, ServiceAccountUid, TeamUid, UpstreamUid, UserUid,
};
use brevet::domain::issuer_url::{Development, IssuerUrl};
use brevet::domain::key_schedule::KeySchedule;
use brevet::domain::platform::{PlatformRight, PlatformRights};
use brevet::domain::region::Region;
use brevet::domain::role_arn::RoleArn;
use brevet::domain::rotation::sighting_within;
use brevet::domain::secret::{Secret, SecretBytes};
use brevet::domain::session::{SESSION_LENGTH, SessionOrigin, SignedIn};
use brevet::domain::settings::ProviderLayer;
use brevet::domain::signing_key::{KeyKind, SigningKey, published};
use brevet::domain::team::{Membership, ServiceAccount, Team, TeamPolicy, User};
use brevet::fetch::{self, Reach};
use brevet::http::layer::Naming;
use brevet::http::layer::client_address::ClientAddress;
use brevet::http::state::IssuerState;
use brevet::issuer::keys::KeyRing;
use brevet::issuer::limits::LimitNumbers;
use brevet::issuer::publications::TeamPublications;
use brevet::issuer::publish::Publication;
use brevet::issuer::upkeep::Serving;
use brevet::issuer::{Issuer, Parts, bootstrap};
use brevet::oidc::{KeyCache, RelyingParty};
use brevet::store::{
    AuditWriter, EventFilter, MemberReach, NewCredential, NewEnrolmentCode, Page, QUEUE_MAX, Store, Target, TeamChange,
};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use tower::ServiceExt as _;
use uuid::Uuid;

use super::clock;
use super::entropy::SeededEntropy;

/// The issuer URL of tests: with a path, under which every route must live.
pub(crate) const ISSUER: &str = "https://id.example.com/brevet";
/// Where every request of a test comes from.
pub(crate) const ADDRESS: &str = "192.0.2.7";

/// An installation with nothing in it but its keys.
pub(crate) struct App {
    pub(crate) issuer: Issuer,
    pub(crate) store: Store,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) entropy: Arc<SeededEntropy>,
    pub(crate) publication: Arc<Publication>,
    pub(crate) state: IssuerState,
    pub(crate) router: Router,
    pub(crate) dir: TempDir,
    /// The key-encryption key, for more replicas.
    pub(crate) kek: Secret,
}

/// What an app is made with, where a test cares.
pub(crate) struct Options {
    /// SQLite in the app's own folder where absent.
    pub(crate) target: Option<Target>,
    pub(crate) limits: LimitNumbers,
    /// Keys of its own instead of the two fixed ones.
    pub(crate) own_keys: bool,
    /// Most audit rows that wait.
    pub(crate) audit_queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { target: None, limits: LimitNumbers::for_cores(2).unwrap(), own_keys: false, audit_queue: QUEUE_MAX }
    }
}

/// One of the two fixed key pairs, so that tokens of snapshots never change. They sign nothing but tests.
pub(crate) fn fixed_key(name: &str) -> KeyPair {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/cases/signing-keys/{name}.pkcs8.base64"));
    let text: String = std::fs::read_to_string(path).unwrap().split_whitespace().collect();
    KeyPair::from_pkcs8(KeyKind::Rsa2048, &SecretBytes::new(STANDARD.decode(text).unwrap())).unwrap()
}

/// The active and the standby key of an issuer, as a first start would make them.
pub(crate) fn fixed_keys(issuer: IssuerId, kek: &Kek, clock: &dyn Clock, entropy: &dyn Entropy) -> [SigningKey; 2] {
    first_keys(["active", "standby"].map(fixed_key), issuer, kek, clock, entropy)
}

fn first_keys(
    [active, standby]: [KeyPair; 2],
    issuer: IssuerId,
    kek: &Kek,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> [SigningKey; 2] {
    let now = clock.now();
    let (signs, waits) = KeySchedule::first_pair(now);
    [(active, signs), (standby, waits)]
        .map(|(pair, times)| new_signing_key(&pair, issuer, times, kek, entropy, now).unwrap())
        .map(|key| SigningKey { first: true, ..key })
}

/// Connections that reach other servers of the test.
fn loopback() -> fetch::Client {
    let reach = Reach::public().and_loopback();
    fetch::Client::new(fetch::Settings { reach, ..fetch::Settings::default() }).unwrap()
}

impl App {
    /// On SQLite, with generous limits.
    pub(crate) async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub(crate) async fn with(options: Options) -> Self {
        Self::stand(IssuerUrl::parse(ISSUER, Development::Off).unwrap(), clock::START, options).await
    }

    /// Under another URL, for clients that really connect to it.
    pub(crate) async fn at(url: IssuerUrl, options: Options) -> Self {
        Self::stand(url, clock::START, options).await
    }

    /// The same with the clock standing at `now`.
    pub(crate) async fn at_when(url: IssuerUrl, now: OffsetDateTime, options: Options) -> Self {
        Self::stand(url, now, options).await
    }

    /// With the clock standing at `now`: to mint over PostgreSQL, whose clock is compared with ours, it must be the
    /// host's.
    pub(crate) async fn when(now: OffsetDateTime, options: Options) -> Self {
        Self::stand(IssuerUrl::parse(ISSUER, Development::Off).unwrap(), now, options).await
    }

    async fn stand(url: IssuerUrl, now: OffsetDateTime, options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (clock, entropy) = (Arc::new(ManualClock::new(now)), Arc::new(SeededEntropy::new(1)));
        let host = bootstrap::Host { clock: clock.clone(), entropy: entropy.clone() };
        let target = options.target.unwrap_or_else(|| Target::Sqlite { path: dir.path().join("brevet.db") });
        let store = Store::connect(&target).await.unwrap();
        store.migrate(clock.now()).await.unwrap();
        let id = bootstrap::issuer(&store, &url, &host).await.unwrap().id;
        let kek = Kek::generate(entropy.as_ref()).unwrap();
        let kek_text = kek.to_text();
        let keys = if options.own_keys {
            let pairs = [(); 2].map(|()| KeyPair::generate(KeyKind::P256).unwrap());
            first_keys(pairs, id, &kek, clock.as_ref(), entropy.as_ref())
        } else {
            fixed_keys(id, &kek, clock.as_ref(), entropy.as_ref())
        };
        let event = Event { action: Action::SigningKeyCreate, ..event(id, clock.as_ref(), entropy.as_ref()) };
        assert!(store.insert_first_keys(id, &keys, &event).await.unwrap());
        if let Some(theirs) = store.database_time().await.unwrap() {
            // PostgreSQL's clock goes on while all that is made; ours stands still. One that is off on purpose stays so.
            let behind = theirs - clock.now();
            if behind.is_positive() && behind < time::Duration::MINUTE {
                clock.advance(behind);
            }
        }
        let ring = KeyRing::open(url.clone(), id, store.clone(), kek, clock.clone(), entropy.clone()).await.unwrap();
        let publication = Arc::new(Publication::new(url.clone(), Some(dir.path().join("published.json"))));
        let teams = Arc::new(TeamPublications::new(url.clone(), Some(dir.path().join("published"))));
        let issuer = Issuer::new(Parts {
            publication: publication.clone(),
            teams: teams.clone(),
            foreign_keys: KeyCache::new(&loopback(), clock.clone()),
            upstream: RelyingParty::new(&loopback(), clock.clone()),
            url: url.clone(),
            id,
            store: store.clone(),
            audit: AuditWriter::with_capacity(store.clone(), options.audit_queue),
            keys: Arc::new(ring),
            clock: clock.clone(),
            entropy: entropy.clone(),
            limits: options.limits,
            serving: Serving { id: ReplicaId::new(Uuid::from_u128(1)), started_at: clock.now() },
        });
        issuer.round().await;
        let naming = Naming { clock: clock.clone(), entropy: entropy.clone() };
        let state = IssuerState::starting(url, publication.clone(), naming).publishing_for_teams(teams);
        state.started(issuer.clone());
        let router = brevet::http::issuer::router(state.clone());
        Self { issuer, store, clock, entropy, publication, state, router, dir, kek: kek_text }
    }

    /// A look at the public address that sees every published key there.
    pub(crate) async fn look(&self) {
        let (keys, now) = (self.issuer.keys().reload().await.unwrap().keys.clone(), self.clock.now());
        let listed: Vec<_> = published(&keys, now).into_iter().map(|key| key.kid.clone()).collect();
        let seen = sighting_within(&keys, &listed, now, Duration::MAX);
        assert!(self.store.note_look(self.issuer.id(), now, &seen.times).await.unwrap());
    }

    /// Lets the lead time pass with both keys in sight, so that the hand-over to the standby is planned.
    pub(crate) async fn plan_hand_over(&self) {
        self.look().await;
        self.clock.advance(Duration::hours(26));
        self.look().await;
        self.issuer.round().await;
    }

    /// An audit row for what a test does to the store by itself.
    pub(crate) fn event(&self) -> Event {
        event(self.issuer.id(), self.clock.as_ref(), self.entropy.as_ref())
    }

    /// Sends a request through every layer.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.router, request).await
    }

    pub(crate) async fn get(&self, path: &str, bearer: Option<&str>) -> Answer {
        self.send(request(Method::GET, path, bearer, Body::empty())).await
    }

    pub(crate) async fn post(&self, path: &str, bearer: Option<&str>, body: &Value) -> Answer {
        self.send(request(Method::POST, path, bearer, Body::from(body.to_string()))).await
    }

    /// Mints with the members given.
    pub(crate) async fn mint(&self, bearer: &str, body: &Value) -> Answer {
        self.post("/v1/identity-tokens", Some(bearer), body).await
    }

    /// A token for `audience`, which must be granted.
    pub(crate) async fn token(&self, bearer: &str, audience: &str) -> String {
        let answer = self.mint(bearer, &json!({ "audience": audience })).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer}");
        answer.json()["token"].as_str().unwrap().to_owned()
    }

    /// A team that has a role in us-east-1.
    pub(crate) async fn team(&self, uid: &str) -> TeamUid {
        let team = Team {
            uid: TeamUid::parse(uid).unwrap(),
            name: format!("Team {uid}"),
            policy: TeamPolicy::new_team(),
            external_id: format!("external-{uid}"),
            created_at: self.clock.now(),
            disabled_at: None,
            deleted_at: None,
            version: 1,
        };
        self.store.create_team(&team, &self.event(), None).await.unwrap();
        self.settings(&team.uid, None, layer("bedrock")).await;
        team.uid
    }

    pub(crate) async fn settings(&self, team: &TeamUid, account: Option<&ServiceAccountUid>, layer: ProviderLayer) {
        self.store.put_provider_layer(team, account, None, &layer, &self.event()).await.unwrap();
    }

    pub(crate) async fn policy(&self, team: &TeamUid, change: impl FnOnce(&mut TeamPolicy)) {
        let mut policy = self.store.team(team).await.unwrap().unwrap().policy;
        change(&mut policy);
        let change = TeamChange { policy: Some(policy), ..TeamChange::default() };
        self.store.update_team(team, None, &change, &self.event()).await.unwrap();
    }

    pub(crate) async fn agent(&self, team: &TeamUid, uid: &str) -> ServiceAccountUid {
        let account = ServiceAccount {
            uid: ServiceAccountUid::parse(uid).unwrap(),
            team: team.clone(),
            name: format!("Agent {uid}"),
            created_at: self.clock.now(),
            disabled_at: None,
            deleted_at: None,
            version: 1,
        };
        self.store.create_service_account(&account, &self.event(), None).await.unwrap();
        account.uid
    }

    /// A key of an agent: its text and its id.
    pub(crate) async fn agent_key(&self, agent: &ServiceAccountUid) -> (String, CredentialId) {
        let (text, new) = self.new_credential(CredentialKind::ServiceAccount);
        self.store.create_service_account_key(agent, &new, &self.event(), None).await.unwrap();
        (text, new.id)
    }

    pub(crate) async fn person(&self, uid: &str, teams: &[&TeamUid]) -> UserUid {
        let user = User {
            uid: UserUid::parse(uid).unwrap(),
            name: format!("Person {uid}"),
            email: Some(format!("{uid}@example.com")),
            created_at: self.clock.now(),
            disabled_at: None,
            deleted_at: None,
            version: 1,
        };
        self.store.create_user(&user, &self.event(), None).await.unwrap();
        for team in teams {
            self.join(&user.uid, team).await;
        }
        user.uid
    }

    pub(crate) async fn join(&self, user: &UserUid, team: &TeamUid) {
        let membership = Membership::new(team.clone(), user.clone(), self.clock.now());
        self.store.add_member(&membership, MemberReach::Everyone, &self.event()).await.unwrap();
    }

    /// An enrolment code of a person, good for ten minutes.
    pub(crate) async fn code(&self, user: &UserUid) -> String {
        let code = OpaqueCredential::generate(CredentialKind::Enrolment, self.entropy.as_ref());
        let new = NewEnrolmentCode {
            id: CredentialId::new(self.entropy.uuid_v7(self.clock.now())),
            hash: code.hash(),
            user: user.clone(),
            created_by: None,
            team: None,
            created_at: self.clock.now(),
            expires_at: self.clock.now() + Duration::minutes(10),
        };
        self.store.create_enrolment_code(&new, &self.event(), None).await.unwrap();
        code.secret().expose().to_owned()
    }

    /// An access token of a person, by way of a code.
    pub(crate) async fn sign_in(&self, user: &UserUid) -> String {
        let code = self.code(user).await;
        let answer = self.post("/v1/sessions", None, &json!({ "code": code })).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer}");
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    /// What `uid` proves by signing in at `provider` as `subject` now; the link between both is made here.
    pub(crate) async fn at_provider(&self, provider: &str, user: &UserUid, subject: &str) -> SignedIn {
        let now = self.clock.now();
        let millis = now.unix_timestamp() * 1000;
        self.sabotage(&format!(
            "INSERT INTO upstream_providers (uid, uid_fold, name, issuer, client_id, settings, version, created_at,
                updated_at) VALUES ('{provider}', '{provider}', '{provider}', 'https://{provider}.example.com', 'c', '{{}}',
                1, {millis}, {millis}) ON CONFLICT DO NOTHING;
             INSERT INTO upstream_identities (provider_uid, subject, user_uid, created_at)
                VALUES ('{provider}', '{subject}', '{user}', {millis}) ON CONFLICT DO NOTHING"
        ))
        .await;
        SignedIn {
            user: user.clone(),
            origin: SessionOrigin::Upstream(UpstreamUid::parse(provider).unwrap()),
            code: None,
            subject: Some(subject.to_owned()),
            sid: None,
            amr: vec!["mfa".to_owned(), "pwd".to_owned()],
            at: now,
            ends_at: now + SESSION_LENGTH,
        }
    }

    /// The tokens of a device that whoever signed in lets in.
    pub(crate) async fn let_in(&self, signed_in: &SignedIn) -> Value {
        let begun = self.form("/oauth2/device_authorization", &[("client_id", "brevet-cli")]).await.json();
        let origin = Origin::default();
        let asked = self.issuer.device_asked(begun["user_code"].as_str().unwrap(), &origin).await.unwrap();
        self.issuer.approve_device(asked.id, signed_in, None, &origin).await.unwrap();
        let grant = "urn:ietf:params:oauth:grant-type:device_code";
        let code = begun["device_code"].as_str().unwrap();
        let parameters = [("grant_type", grant), ("client_id", "brevet-cli"), ("device_code", code)];
        let answer = self.form("/oauth2/token", &parameters).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer}");
        answer.json()
    }

    /// Sends a form.
    pub(crate) async fn form(&self, path: &str, parameters: &[(&str, &str)]) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let request = Request::post(format!("/brevet{path}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("user-agent", "test/1");
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// Runs statements that the store would never make, on the app's own SQLite.
    pub(crate) async fn sabotage(&self, sql: &str) {
        use sqlx::Connection as _;
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.dir.path().join("brevet.db"));
        let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }

    /// A worker key: its text and its id.
    pub(crate) async fn worker(&self, audience: &str, teams: &[&TeamUid]) -> (String, CredentialId) {
        let (text, new) = self.new_credential(CredentialKind::Worker);
        let audience = Audience::parse(audience).unwrap();
        let teams: Vec<_> = teams.iter().map(|team| (*team).clone()).collect();
        self.store.create_worker_key(&new, &audience, &teams, &self.event(), None).await.unwrap();
        (text, new.id)
    }

    /// A platform key with every right: its text and its id.
    pub(crate) async fn platform(&self, teams: &[&TeamUid]) -> (String, CredentialId) {
        self.platform_with(teams, PlatformRight::ALL.into_iter().collect()).await
    }

    pub(crate) async fn platform_with(&self, teams: &[&TeamUid], rights: PlatformRights) -> (String, CredentialId) {
        let (text, new) = self.new_credential(CredentialKind::Platform);
        let teams: Vec<_> = teams.iter().map(|team| (*team).clone()).collect();
        self.store.create_platform_key(&new, &teams, &rights, &self.event(), None).await.unwrap();
        (text, new.id)
    }

    /// A run, which must be opened: its bearer and its id.
    pub(crate) async fn run(&self, opener: &str, body: &Value) -> (String, String) {
        let answer = self.post("/v1/runs", Some(opener), body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer}");
        let opened = answer.json();
        let text = |member: &str| opened[member].as_str().unwrap().to_owned();
        (text("bearer"), text("id"))
    }

    /// Ends a run, which must be known to the bearer.
    pub(crate) async fn end_run(&self, bearer: &str, id: &str) {
        let answer = self.delete(&format!("/v1/runs/{id}"), bearer).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{answer}");
    }

    pub(crate) async fn delete(&self, path: &str, bearer: &str) -> Answer {
        self.send(request(Method::DELETE, path, Some(bearer), Body::empty())).await
    }

    /// The first administrator's key.
    pub(crate) async fn administrator(&self) -> String {
        let host = bootstrap::Host { clock: self.clock.clone(), entropy: self.entropy.clone() };
        let made = bootstrap::administrator(&self.store, self.issuer.id(), &host).await.unwrap();
        made.unwrap().key.expose().to_owned()
    }

    fn new_credential(&self, kind: CredentialKind) -> (String, NewCredential) {
        let credential = OpaqueCredential::generate(kind, self.entropy.as_ref());
        let new = NewCredential {
            id: CredentialId::new(self.entropy.uuid_v7(self.clock.now())),
            hash: credential.hash(),
            name: "test".to_owned(),
            expires_at: None,
            created_at: self.clock.now(),
            created_by: None,
        };
        (credential.secret().expose().to_owned(), new)
    }

    /// Every audit row of `action`, the oldest first.
    pub(crate) async fn rows(&self, action: Action) -> Vec<RecordedEvent> {
        let filter = EventFilter { action: Some(action), ..EventFilter::default() };
        let mut rows = Vec::new();
        let mut after = None;
        loop {
            let page = self.store.events(&filter, &Page { after, limit: 200 }).await.unwrap();
            rows.extend(page.items);
            after = page.next;
            if after.is_none() {
                rows.reverse();
                return rows;
            }
        }
    }

    /// The reasons of every refusal of `action`, the oldest first.
    pub(crate) async fn refusals(&self, action: Action) -> Vec<String> {
        let rows = self.rows(action).await;
        rows.into_iter().filter(|row| row.decision == Decision::Refused).filter_map(|row| row.reason).collect()
    }
}

/// A role in us-east-1.
pub(crate) fn layer(role: &str) -> ProviderLayer {
    ProviderLayer {
        role_arn: Some(RoleArn::parse(&format!("arn:aws:iam::111122223333:role/{role}")).unwrap()),
        region: Some(Region::parse("us-east-1").unwrap()),
        ..ProviderLayer::default()
    }
}

fn event(issuer: IssuerId, clock: &dyn Clock, entropy: &dyn Entropy) -> Event {
    let now = clock.now();
    Event::new(EventId::new(entropy.uuid_v7(now)), now, issuer, Action::AdminUpdate, Decision::Allowed)
}

/// Sends a request from [`ADDRESS`] through a router.
pub(crate) async fn send(router: &Router, mut request: Request<Body>) -> Answer {
    request.extensions_mut().insert(ClientAddress(ADDRESS.parse::<IpAddr>().unwrap()));
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// A request under the issuer URL's path, with a JSON body where it has one.
pub(crate) fn request(method: Method, path: &str, bearer: Option<&str>, body: Body) -> Request<Body> {
    let mut request = Request::builder().method(&method).uri(format!("/brevet{path}")).header("user-agent", "test/1");
    if let Some(bearer) = bearer {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    if method == Method::POST || method == Method::PUT || method == Method::PATCH {
        request = request.header("content-type", "application/json");
    }
    request.body(body).unwrap()
}

/// An answer as a client gets it.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self}"))
    }

    /// The stable code of an error answer.
    pub(crate) fn code(&self) -> String {
        let value = self.json();
        value["type"].as_str().unwrap_or_default().trim_start_matches("urn:brevet:problem:").to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// Status, headers in order, and the body: whole, with nothing redacted.
impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.status)?;
        let mut headers: Vec<_> = self.headers.iter().collect();
        headers.sort_by_key(|(name, _)| name.as_str());
        for (name, value) in headers {
            writeln!(f, "{name}: {}", String::from_utf8_lossy(value.as_bytes()))?;
        }
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(json) => write!(f, "\n{}", serde_json::to_string_pretty(&json).unwrap()),
            Err(_) => write!(f, "\n{}", String::from_utf8_lossy(&self.body)),
        }
    }
}
