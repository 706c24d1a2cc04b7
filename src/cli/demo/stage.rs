//! The parts of the demo, started on free loopback ports, and who takes part.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;

use super::board::Board;
use crate::aws::sts::Sts;
use crate::cli::Run;
use crate::cli::issuer_server::{IssuerServer, Listeners, Start, listen, local};
use crate::cli::limits;
use crate::cli::outcome::Failure;
use crate::cli::remote;
use crate::cli::worker_server::WorkerServer;
use crate::client::admin::Admin;
use crate::client::saved_session::{Keeping, SessionFolder};
use crate::client::{Client, fresh_session};
use crate::config::database::{Database, KekSource, StoreSettings};
use crate::config::env::Environment;
use crate::config::issuer::{AUDIT_RETENTION, IssuerSettings};
use crate::config::listener::Transport;
use crate::config::outbound::Outbound;
use crate::config::setting::Given;
use crate::config::worker::WorkerSettings;
use crate::domain::audience::Audience;
use crate::domain::id::TeamUid;
use crate::domain::issuer_url::{Development, IssuerUrl};
use crate::domain::region::Region;
use crate::domain::role_arn::RoleArn;
use crate::domain::secret::Secret;
use crate::domain::settings::ModelId;
use crate::domain::subject::Subject;
use crate::fetch;
use crate::http::layer::Naming;
use crate::iam::generate::{Policies, Setup};
use crate::issuer::bootstrap::Host;
use crate::sandbox::{self, ProviderConfig, RoleConfig};
use crate::wire::admin::enrolment_code::CreateEnrolmentCode;
use crate::wire::admin::provider_settings::ChangeProviderSettings;
use crate::wire::admin::service_account::{CreateServiceAccount, CreateServiceAccountKey, ServiceAccount};
use crate::wire::admin::team::CreateTeam;
use crate::wire::admin::user::CreateUser;
use crate::wire::admin::worker_key::CreateWorkerKey;
use crate::wire::patch::Patch;
use crate::wire::secret_text::SecretText;

pub(super) const TEAM: &str = "acme";
pub(super) const OTHER_TEAM: &str = "umbrella";
pub(super) const MODEL: &str = "anthropic.claude-3-haiku-20240307-v1:0";
pub(super) const REGION: &str = "eu-central-1";
pub(super) const ROLE: &str = "arn:aws:iam::111122223333:role/brevet-acme";
/// Trusts the same team, but no token of this story is bound to it.
pub(super) const OTHER_ROLE: &str = "arn:aws:iam::111122223333:role/billing";
pub(super) const WORKER_AUDIENCE: &str = "https://inference.acme.example";

/// What a stage is made of.
pub(super) struct Props {
    pub(super) host: Host,
    pub(super) folder: PathBuf,
    pub(super) metrics: PrometheusHandle,
    /// Whom the customer's role trusts: the story's team, and another one where a test wants the loop to fail.
    pub(super) trusted_team: String,
}

impl Props {
    pub(super) fn new(run: &Run, folder: PathBuf, metrics: PrometheusHandle) -> Self {
        let host = Host { clock: run.clock.clone(), entropy: run.entropy.clone() };
        Self { host, folder, metrics, trusted_team: TEAM.to_owned() }
    }
}

/// One who takes part.
pub(super) struct Player {
    pub(super) name: &'static str,
    pub(super) credential: Secret,
    /// Where the calls to copy find it, in a private folder: the file of a service account's key; for a person, whose
    /// credential of the story lives 15 minutes, the state folder with a saved session, which is refreshed by whoever
    /// uses it.
    pub(super) kept: PathBuf,
}

/// Everything that runs.
pub(super) struct Stage {
    pub(super) url: String,
    pub(super) worker_url: String,
    pub(super) aws: sandbox::Running,
    pub(super) client: Client,
    pub(super) admin: Admin,
    pub(super) http: fetch::Client,
    pub(super) sts: Sts,
    pub(super) person: Player,
    pub(super) agent: Player,
    pub(super) stranger: Player,
    issuer: IssuerServer,
    worker: WorkerServer,
}

impl Stage {
    /// Starts issuer, stand-in and worker, and makes the people and agents over the admin API.
    pub(super) async fn start(props: Props, board: &mut Board) -> Result<Self, Failure> {
        board.section("Start")?;
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let listeners = Listeners { public: listen(free).await?, admin: None, ops: listen(free).await? };
        let url = format!("http://{}", local(&listeners.public)?);
        let issuer_url = IssuerUrl::parse(&url, Development::On).map_err(Failure::refused)?;
        let policies = customer(&issuer_url, &props.trusted_team)?;
        let aws = stand_in(&props, &issuer_url, &policies).await?;
        let issuer = IssuerServer::on(listeners, issuer(&props, &issuer_url, aws.url())?).await?;
        board.holds("issuer", format_args!("{url}  SQLite in {}", props.folder.display()))?;
        board.holds("stand-in AWS", format_args!("{}  judges as STS, IAM and Bedrock do", aws.url()))?;
        let outbound = Outbound { loopback: true, ..Outbound::default() };
        let http = remote::http(&url, &outbound)?;
        let client = Client::new(&url, http.clone());
        let Some(first) = &issuer.first_administrator else {
            return Err(board.broken("first administrator key", "none was made on an empty store"));
        };
        let admin = Admin::new(client.clone(), first.key.clone());
        // The worker serves both teams, so that what keeps them apart in the story is AWS's check and not its own.
        for (team, tagged) in [(TEAM, true), (OTHER_TEAM, false)] {
            admin.create_team(&CreateTeam { uid: Some(team.to_owned()), name: team.to_owned() }).await?;
            admin.change_provider_settings(team, None, &settings(&aws.url(), tagged)).await?;
        }
        let key = CreateWorkerKey {
            name: "demo".to_owned(),
            audience: WORKER_AUDIENCE.to_owned(),
            teams: vec![TEAM.to_owned(), OTHER_TEAM.to_owned()],
        };
        let key = shown(admin.create_worker_key(&key).await?.key)?;
        let worker = worker(&props, &issuer_url, key, aws.url()).await?;
        let worker_url = format!("http://{}", worker.listen);
        board.holds("worker", format_args!("{worker_url}  takes tokens for {WORKER_AUDIENCE}"))?;

        board.section("A team, a person, an agent")?;
        board.holds("team", TEAM)?;
        let (person, subject) = person(&client, &admin, &props).await?;
        board.holds("person", format_args!("{:<8} {subject}", person.name))?;
        let (agent, account) = agent(&admin, &props, TEAM, "builder").await?;
        board.holds("service account", format_args!("{:<8} {}", agent.name, account.subject))?;
        let (stranger, _) = agent_of_others(&admin, &props).await?;
        board.holds("AWS role", ROLE)?;
        let trusted = TeamUid::parse(&props.trusted_team).map_err(Failure::refused)?;
        let patterns = Subject::team_patterns(&trusted).join(" and ");
        board.more(format_args!("trusts {patterns}, as `brevet aws setup` wrote it"))?;
        let sts = Sts::new(http.clone(), props.host.clock.clone()).map_err(Failure::refused)?;
        Ok(Self { url, worker_url, aws, client, admin, http, sts, person, agent, stranger, issuer, worker })
    }

    pub(super) async fn stop(self) {
        self.worker.stop().await;
        self.issuer.stop().await;
        self.aws.stop().await;
    }
}

fn issuer(props: &Props, url: &IssuerUrl, aws_url: String) -> Result<Start, Failure> {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = IssuerSettings {
        url: url.clone(),
        development: Development::On,
        store: StoreSettings {
            data_dir: props.folder.clone(),
            database: Database::Sqlite(props.folder.join("brevet.db")),
            kek: KekSource::Folder(props.folder.join("keys")),
            previous_kek: None,
        },
        public: free,
        admin: None,
        ops: free,
        transport: Transport::Loopback,
        trusted_proxies: Vec::new(),
        allowed_endpoints: vec![aws_url],
        stop_delay: Duration::ZERO,
        migrate: true,
        audit_retention: AUDIT_RETENTION,
        x5c: None,
        max_age: None,
        outbound: Outbound { loopback: true, ..Outbound::default() },
    };
    let limits = limits::read(&Given::new(Environment::default()))?;
    Ok(Start {
        settings,
        host: props.host.clone(),
        metrics: props.metrics.clone(),
        limits,
        new_issuer: false,
        first_key_file: false,
    })
}

/// What the customer's admin would put into the account: written by the code behind `brevet aws setup`.
fn customer(issuer: &IssuerUrl, team: &str) -> Result<Policies, Failure> {
    let setup = Setup {
        also: None,
        issuer: issuer.clone(),
        role: RoleArn::parse(ROLE).map_err(Failure::refused)?,
        region: Region::parse(REGION).map_err(Failure::refused)?,
        audience: Audience::sts(),
        team: TeamUid::parse(team).map_err(Failure::refused)?,
        actors: Vec::new(),
        role_bound: true,
        session_tags: true,
        source_identity: true,
        models: vec![ModelId::parse(MODEL).map_err(Failure::refused)?],
    };
    setup.policies().map_err(Failure::refused)
}

async fn stand_in(props: &Props, issuer: &IssuerUrl, policies: &Policies) -> Result<sandbox::Running, Failure> {
    let role = |name: &str| RoleConfig {
        name: name.to_owned(),
        path: "/".to_owned(),
        account: None,
        trust: policies.trust.to_json(),
        policies: BTreeMap::from([("brevet-bedrock".to_owned(), policies.permissions.to_json())]),
        max_session_seconds: 3600,
        tags: BTreeMap::new(),
    };
    let config = sandbox::Config {
        listen: "127.0.0.1:0".to_owned(),
        region: REGION.to_owned(),
        loopback_issuers: true,
        stream_pause_ms: 40,
        provider: vec![ProviderConfig {
            url: issuer.to_string(),
            client_ids: vec![Audience::sts().to_string()],
            thumbprints: Vec::new(),
            fetch_base: None,
        }],
        role: vec![role("brevet-acme"), role("billing")],
        ..sandbox::Config::default()
    };
    let Host { clock, entropy } = props.host.clone();
    sandbox::start(config, clock, entropy).await.map_err(Failure::refused)
}

async fn worker(props: &Props, issuer: &IssuerUrl, key: Secret, aws_url: String) -> Result<WorkerServer, Failure> {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = WorkerSettings {
        issuer: issuer.clone(),
        audience: Audience::parse(WORKER_AUDIENCE).map_err(Failure::refused)?,
        key,
        listen: free,
        ops: free,
        transport: Transport::Loopback,
        trusted_proxies: Vec::new(),
        allowed_endpoints: vec![aws_url],
        outbound: Outbound { loopback: true, ..Outbound::default() },
        stop_delay: Duration::ZERO,
    };
    let naming = Naming { clock: props.host.clock.clone(), entropy: props.host.entropy.clone() };
    WorkerServer::start(settings, naming, props.metrics.clone()).await
}

fn settings(aws_url: &str, tagged: bool) -> ChangeProviderSettings {
    ChangeProviderSettings {
        region: Patch::Set(REGION.to_owned()),
        role_arn: Patch::Set(ROLE.to_owned()),
        allowed_models: Patch::Set(vec![MODEL.to_owned()]),
        session_tags: Patch::Set(tagged),
        source_identity: Patch::Set(tagged),
        base_url: Patch::Set(aws_url.to_owned()),
        sts_endpoint: Patch::Set(aws_url.to_owned()),
        ..ChangeProviderSettings::default()
    }
}

/// Ann, signed in as a person signs in: with a one-time code, twice, so that the story and the calls to copy each have
/// a session of their own.
async fn person(client: &Client, admin: &Admin, props: &Props) -> Result<(Player, String), Failure> {
    let name = "ann";
    admin.create_user(&CreateUser { uid: Some(name.to_owned()), name: "Ann".to_owned(), email: None }).await?;
    admin.add_member(TEAM, name).await?;
    let sign_in = async |device: &str| {
        let code = admin.create_enrolment_code(&CreateEnrolmentCode { user_uid: name.to_owned() }).await?;
        Ok::<_, Failure>(client.open_session(shown(code.code)?, Some(device.to_owned())).await?)
    };
    let told = sign_in("demo").await?;
    let whoami = client.whoami(&told.access_token.0).await?;
    let subject = whoami.teams.into_iter().find_map(|team| team.subject).unwrap_or_default();
    let kept = props.folder.join(name);
    let issuer = IssuerUrl::parse(client.issuer_url(), Development::On).map_err(Failure::refused)?;
    let saved = fresh_session::session(&issuer, sign_in("demo, to try").await?, props.host.clock.now());
    SessionFolder::new(kept.join("brevet")).save_in(&saved, Keeping::File)?;
    Ok((Player { name, credential: told.access_token.0, kept }, subject))
}

async fn agent_of_others(admin: &Admin, props: &Props) -> Result<(Player, ServiceAccount), Failure> {
    agent(admin, props, OTHER_TEAM, "intruder").await
}

async fn agent(
    admin: &Admin,
    props: &Props,
    team: &str,
    name: &'static str,
) -> Result<(Player, ServiceAccount), Failure> {
    let body = CreateServiceAccount { uid: Some(name.to_owned()), name: name.to_owned() };
    let account = admin.create_service_account(team, &body).await?;
    let key = admin.create_service_account_key(team, name, &CreateServiceAccountKey::default()).await?;
    Ok((with_key(props, name, shown(key.key)?)?, account))
}

fn shown(secret: Option<SecretText>) -> Result<Secret, Failure> {
    secret.map(|text| text.0).ok_or_else(|| Failure::Refused("the issuer answered without the secret".to_owned()))
}

fn with_key(props: &Props, name: &'static str, credential: Secret) -> Result<Player, Failure> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let file = props.folder.join(format!("{name}.key"));
    let written = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file)
        .and_then(|mut open| writeln!(open, "{}", credential.expose()));
    written.map_err(|error| Failure::Refused(format!("{}: {error}", file.display())))?;
    Ok(Player { name, credential, kept: file })
}
