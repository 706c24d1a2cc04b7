//! `brevet admin worker-keys`.

use clap::Subcommand;

use super::remaining_sessions::hint_of_team;
use super::show_key;
use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, table};
use crate::cli::remote::{admin, stamp, stamp_or_none};
use crate::client::admin::Admin;
use crate::wire::admin::worker_key::{ChangeWorkerKey, CreateWorkerKey, WorkerKey};
use crate::wire::patch::Patch;

/// Keys of inference workers
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  brevet admin worker-keys create --name eu-1 --audience https://inference.example.com --team red"
)]
pub(in crate::cli) enum WorkerKeys {
    /// List the keys
    #[command(after_help = "Example:\n  brevet admin worker-keys list --json")]
    List(AdminFlags),
    /// Make a key and print it, once: alone on stdout
    #[command(
        after_help = "Example:\n  brevet admin worker-keys create --name eu-1 --audience https://inference.example.com --team red > worker.key"
    )]
    Create {
        #[command(flatten)]
        flags: AdminFlags,
        /// What people call it
        #[arg(long)]
        name: String,
        /// What callers' tokens must be for: the worker's own audience, on no team's list
        #[arg(long)]
        audience: String,
        /// A team that it serves; once for each
        #[arg(long = "team", value_name = "UID", required = true)]
        teams: Vec<String>,
    },
    /// Give a key another list of teams
    #[command(after_help = "Example:\n  brevet admin worker-keys update KEY-ID --team red --team blue")]
    Update {
        #[command(flatten)]
        flags: AdminFlags,
        /// The key's id
        key: String,
        /// A team that it serves from now on; once for each
        #[arg(long = "team", value_name = "UID", required = true)]
        teams: Vec<String>,
    },
    /// Revoke a key: from the moment this returns, it exchanges nothing
    #[command(after_help = "Example:\n  brevet admin worker-keys delete KEY-ID")]
    Delete {
        #[command(flatten)]
        flags: AdminFlags,
        /// The key's id
        key: String,
    },
}

impl WorkerKeys {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::List(flags) => {
                let output = run.output.as_json(flags.json);
                output.data(&admin(run, &flags).await?.worker_keys().await?, |keys| list(output.out(), keys))
            }
            Self::Create { flags, name, audience, teams } => {
                let output = run.output.as_json(flags.json);
                let made =
                    admin(run, &flags).await?.create_worker_key(&CreateWorkerKey { name, audience, teams }).await?;
                if output.is_json() {
                    return output.data(&made, |_| String::new());
                }
                show_key(output, made.key.as_ref(), &format!("worker key {}, shown this once:", made.resource.id))
            }
            Self::Update { flags, key, teams } => {
                let output = run.output.as_json(flags.json);
                let change = ChangeWorkerKey { teams: Patch::Set(teams) };
                let admin = admin(run, &flags).await?;
                let before = teams_of(&admin, &key).await?;
                let key = admin.change_worker_key(&key, &change).await?;
                output.data(&key, |key| list(output.out(), std::slice::from_ref(key)))?;
                for team in before.iter().filter(|team| !key.teams.contains(team)) {
                    hint_of_team(output, team);
                }
                Ok(())
            }
            Self::Delete { flags, key } => {
                let admin = admin(run, &flags).await?;
                let teams = teams_of(&admin, &key).await?;
                admin.delete_worker_key(&key).await?;
                run.output.say(format_args!("worker key {key} is revoked"));
                for team in teams {
                    hint_of_team(run.output, &team);
                }
                Ok(())
            }
        }
    }
}

/// The teams on a key's list now; none where there is no such key, which the change itself will say.
async fn teams_of(admin: &Admin, id: &str) -> Result<Vec<String>, Failure> {
    let keys = admin.worker_keys().await?;
    Ok(keys.into_iter().find(|key| key.id == id).map(|key| key.teams).unwrap_or_default())
}

fn list(paint: Paint, keys: &[WorkerKey]) -> String {
    let row = |key: &WorkerKey| {
        let times = (stamp(key.created_at), stamp_or_none(key.last_used_at));
        [key.id.clone(), key.name.clone(), key.audience.clone(), key.teams.join(" "), times.0, times.1]
    };
    table(paint, ["ID", "NAME", "AUDIENCE", "TEAMS", "CREATED", "LAST USED"], keys.iter().map(row))
}
