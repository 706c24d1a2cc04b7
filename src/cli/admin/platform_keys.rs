//! `brevet admin platform-keys`.

use clap::Subcommand;

use super::remaining_sessions::hint_of_team;
use super::show_key;
use crate::cli::Run;
use crate::cli::arguments::{self, AdminFlags};
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, table};
use crate::cli::remote::{admin, stamp, stamp_or_none};
use crate::client::admin::Admin;
use crate::wire::admin::platform_key::{ChangePlatformKey, CreatePlatformKey, PlatformKey};
use crate::wire::patch::Patch;

/// Keys of platform backends
#[derive(Debug, Subcommand)]
#[command(after_help = "Rights: mint_for_service_accounts, mint_for_users, open_runs, open_runs_for_users,\n\
                  register_principals, register_teams. None implies another.\n\n\
                  Example:\n  brevet admin platform-keys create --name backend --team red --right open_runs")]
pub(in crate::cli) enum PlatformKeys {
    /// List the keys
    #[command(after_help = "Example:\n  brevet admin platform-keys list --json")]
    List(AdminFlags),
    /// Make a key and print it, once: alone on stdout
    #[command(
        after_help = "Example:\n  brevet admin platform-keys create --name backend --team red --right open_runs > platform.key"
    )]
    Create {
        #[command(flatten)]
        flags: AdminFlags,
        /// What people call it
        #[arg(long)]
        name: String,
        /// A team that it acts in; once for each
        #[arg(long = "team", value_name = "UID", required = true)]
        teams: Vec<String>,
        /// What it may do there; once for each
        #[arg(long = "right", value_name = "RIGHT", required = true)]
        rights: Vec<String>,
        /// How long it works, such as 720h; for ever by default
        #[arg(long, value_name = "TIME", value_parser = arguments::seconds)]
        expires_in: Option<u32>,
    },
    /// Give a key another name, other teams or other rights
    #[command(after_help = "Example:\n  brevet admin platform-keys update KEY-ID --team red --team blue")]
    Update {
        #[command(flatten)]
        flags: AdminFlags,
        /// The key's id
        key: String,
        /// What people call it from now on
        #[arg(long)]
        name: Option<String>,
        /// A team that it acts in from now on; once for each
        #[arg(long = "team", value_name = "UID")]
        teams: Vec<String>,
        /// What it may do from now on; once for each
        #[arg(long = "right", value_name = "RIGHT")]
        rights: Vec<String>,
    },
    /// Revoke a key: from the moment this returns, nothing is minted with it, nor in the runs it opened
    #[command(after_help = "Example:\n  brevet admin platform-keys delete KEY-ID")]
    Delete {
        #[command(flatten)]
        flags: AdminFlags,
        /// The key's id
        key: String,
    },
}

impl PlatformKeys {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::List(flags) => {
                let output = run.output.as_json(flags.json);
                output.data(&admin(run, &flags).await?.platform_keys().await?, |keys| list(output.out(), keys))
            }
            Self::Create { flags, name, teams, rights, expires_in } => {
                let output = run.output.as_json(flags.json);
                let body = CreatePlatformKey { name, teams, rights, expires_in_seconds: expires_in };
                let made = admin(run, &flags).await?.create_platform_key(&body).await?;
                if output.is_json() {
                    return output.data(&made, |_| String::new());
                }
                show_key(output, made.key.as_ref(), &format!("platform key {}, shown this once:", made.resource.id))
            }
            Self::Update { flags, key, name, teams, rights } => {
                let output = run.output.as_json(flags.json);
                let given = |list: Vec<String>| if list.is_empty() { Patch::Keep } else { Patch::Set(list) };
                let change = ChangePlatformKey { name: super::set(name), teams: given(teams), rights: given(rights) };
                let admin = admin(run, &flags).await?;
                let before = teams_of(&admin, &key).await?;
                let key = admin.change_platform_key(&key, &change).await?;
                output.data(&key, |key| list(output.out(), std::slice::from_ref(key)))?;
                // A right that was taken ends something in every team, a team that was taken in that one.
                let rights = matches!(change.rights, Patch::Set(_));
                for team in before.iter().filter(|team| rights || !key.teams.contains(team)) {
                    hint_of_team(output, team);
                }
                Ok(())
            }
            Self::Delete { flags, key } => {
                let admin = admin(run, &flags).await?;
                let teams = teams_of(&admin, &key).await?;
                admin.delete_platform_key(&key).await?;
                run.output.say(format_args!("platform key {key} is revoked"));
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
    let keys = admin.platform_keys().await?;
    Ok(keys.into_iter().find(|key| key.id == id).map(|key| key.teams).unwrap_or_default())
}

fn list(paint: Paint, keys: &[PlatformKey]) -> String {
    let row = |key: &PlatformKey| {
        let times = (stamp(key.created_at), stamp_or_none(key.last_used_at));
        [key.id.clone(), key.name.clone(), key.teams.join(" "), key.rights.join(" "), times.0, times.1]
    };
    table(paint, ["ID", "NAME", "TEAMS", "RIGHTS", "CREATED", "LAST USED"], keys.iter().map(row))
}
