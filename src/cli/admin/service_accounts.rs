//! `brevet admin service-accounts`, and their keys.

use clap::{Args, Subcommand};

use super::remaining_sessions::hint;
use super::{set, show_key, state, switch};
use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Output, Paint, fields, table};
use crate::cli::remote::{admin, stamp, stamp_or_none};
use crate::wire::admin::service_account::{
    ChangeServiceAccount, CreateServiceAccount, CreateServiceAccountKey, RotateServiceAccountKey, ServiceAccount,
    ServiceAccountKey,
};

/// Agents, and the keys they prove themselves with
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet admin service-accounts create --team red --uid builder --name Builder")]
pub(in crate::cli) enum ServiceAccounts {
    /// List a team's agents
    #[command(after_help = "Example:\n  brevet admin service-accounts list --team red")]
    List(InTeam),
    /// Make an agent; it belongs to its team for ever
    #[command(after_help = "Example:\n  brevet admin service-accounts create --team red --uid builder --name Builder")]
    Create {
        #[command(flatten)]
        within: InTeam,
        /// 2 to 48 characters of A-Z, a-z, 0-9, _ and -; stands in every subject and is never reused
        #[arg(long)]
        uid: Option<String>,
        /// What people call it; in no token
        #[arg(long)]
        name: String,
    },
    /// Show one agent
    #[command(after_help = "Example:\n  brevet admin service-accounts show --team red builder")]
    Show(One),
    /// Rename, disable or enable an agent
    #[command(after_help = "Example:\n  brevet admin service-accounts update --team red builder --disable")]
    Update {
        #[command(flatten)]
        one: One,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        /// From the moment this returns, nothing of it mints
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        /// Undo --disable
        #[arg(long)]
        enable: bool,
    },
    /// Delete an agent for good; its uid is never reused
    #[command(after_help = "Example:\n  brevet admin service-accounts delete --team red builder")]
    Delete(One),
    /// List an agent's keys
    #[command(after_help = "Example:\n  brevet admin service-accounts list-keys --team red builder")]
    ListKeys(One),
    /// Make a key and print it, once: alone on stdout
    #[command(after_help = "Example:\n  brevet admin service-accounts create-key --team red builder > builder.key")]
    CreateKey {
        #[command(flatten)]
        one: One,
        /// What to call it
        #[arg(long)]
        name: Option<String>,
        /// When it ends, such as 3600s or 720h; it does not end by itself by default
        #[arg(long, value_name = "TIME", value_parser = crate::cli::arguments::seconds)]
        expires_in: Option<u32>,
    },
    /// Make a new key for an old one, which ends after an overlap; print the new one, once
    #[command(
        after_help = "Example:\n  brevet admin service-accounts rotate-key --team red builder KEY-ID > builder.key"
    )]
    RotateKey {
        #[command(flatten)]
        one: One,
        /// The old key's id
        key: String,
        /// How long the old key goes on, such as 0s or 720h; a day by default
        #[arg(long, value_name = "TIME", value_parser = crate::cli::arguments::seconds)]
        overlap: Option<u32>,
        /// What to call the new key; the old one's name by default
        #[arg(long)]
        name: Option<String>,
        /// When the new key ends, such as 3600s or 720h; it does not end by itself by default
        #[arg(long, value_name = "TIME", value_parser = crate::cli::arguments::seconds)]
        expires_in: Option<u32>,
    },
    /// Revoke a key: from the moment this returns, it mints nothing
    #[command(after_help = "Example:\n  brevet admin service-accounts delete-key --team red builder KEY-ID")]
    DeleteKey {
        #[command(flatten)]
        one: One,
        /// The key's id
        key: String,
    },
}

#[derive(Debug, Args)]
pub(in crate::cli) struct InTeam {
    #[command(flatten)]
    flags: AdminFlags,
    /// The team's uid
    #[arg(long)]
    team: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct One {
    #[command(flatten)]
    within: InTeam,
    /// The agent's uid
    uid: String,
}

impl One {
    fn hint(&self, output: Output) {
        hint(output, &self.within.team, &format!("service_account:{}", self.uid));
    }
}

impl ServiceAccounts {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let flags = &self.within().flags;
        let (output, admin) = (run.output.as_json(flags.json), admin(run, flags).await?);
        let show = |account: &ServiceAccount| show(output.out(), account);
        match &self {
            Self::List(InTeam { team, .. }) => {
                output.data(&admin.service_accounts(team).await?, |accounts| list(output.out(), accounts))
            }
            Self::Create { within, uid, name } => {
                let body = CreateServiceAccount { uid: uid.clone(), name: name.clone() };
                output.data(&admin.create_service_account(&within.team, &body).await?, show)
            }
            Self::Show(one) => output.data(&admin.service_account(&one.within.team, &one.uid).await?, show),
            Self::Update { one, name, disable, enable } => {
                let change = ChangeServiceAccount { name: set(name.clone()), disabled: switch(*disable, *enable) };
                output.data(&admin.change_service_account(&one.within.team, &one.uid, &change).await?, show)?;
                if *disable {
                    one.hint(output);
                }
                Ok(())
            }
            Self::Delete(one) => {
                admin.delete_service_account(&one.within.team, &one.uid).await?;
                output.say(format_args!("service account {} is deleted", one.uid));
                one.hint(output);
                Ok(())
            }
            Self::ListKeys(one) => {
                let keys = admin.service_account_keys(&one.within.team, &one.uid).await?;
                output.data(&keys, |keys| list_keys(output.out(), keys))
            }
            Self::CreateKey { one, name, expires_in } => {
                let body = CreateServiceAccountKey { name: name.clone(), expires_in_seconds: *expires_in };
                let made = admin.create_service_account_key(&one.within.team, &one.uid, &body).await?;
                if output.is_json() {
                    return output.data(&made, |_| String::new());
                }
                let words = format!("key {} of service account {}, shown this once:", made.resource.id, one.uid);
                show_key(output, made.key.as_ref(), &words)
            }
            Self::RotateKey { one, key, overlap, name, expires_in } => {
                let (name, overlap) = (name.clone(), *overlap);
                let body = RotateServiceAccountKey { overlap_seconds: overlap, name, expires_in_seconds: *expires_in };
                let made = admin.rotate_service_account_key(&one.within.team, &one.uid, key, &body).await?;
                if output.is_json() {
                    return output.data(&made, |_| String::new());
                }
                let words = format!("key {} of service account {}, shown this once:", made.resource.id, one.uid);
                show_key(output, made.key.as_ref(), &words)
            }
            Self::DeleteKey { one, key } => {
                admin.delete_service_account_key(&one.within.team, &one.uid, key).await?;
                output.say(format_args!("key {key} is revoked"));
                one.hint(output);
                Ok(())
            }
        }
    }

    const fn within(&self) -> &InTeam {
        match self {
            Self::List(within) | Self::Create { within, .. } => within,
            Self::Show(one)
            | Self::Update { one, .. }
            | Self::Delete(one)
            | Self::ListKeys(one)
            | Self::CreateKey { one, .. }
            | Self::RotateKey { one, .. }
            | Self::DeleteKey { one, .. } => &one.within,
        }
    }
}

fn list(paint: Paint, accounts: &[ServiceAccount]) -> String {
    let row = |account: &ServiceAccount| {
        let state = state(account.disabled_at);
        [account.uid.clone(), account.name.clone(), state, account.subject.clone(), stamp(account.created_at)]
    };
    table(paint, ["UID", "NAME", "STATE", "SUBJECT", "CREATED"], accounts.iter().map(row))
}

fn show(paint: Paint, account: &ServiceAccount) -> String {
    fields(
        paint,
        &[
            ("uid", account.uid.clone()),
            ("team", account.team_uid.clone()),
            ("name", account.name.clone()),
            ("subject", account.subject.clone()),
            ("state", state(account.disabled_at)),
            ("created", stamp(account.created_at)),
            ("version", account.version.to_string()),
        ],
    )
}

fn list_keys(paint: Paint, keys: &[ServiceAccountKey]) -> String {
    let row = |key: &ServiceAccountKey| {
        let times = (stamp(key.created_at), stamp_or_none(key.expires_at), stamp_or_none(key.last_used_at));
        [key.id.clone(), key.name.clone().unwrap_or_default(), times.0, times.1, times.2]
    };
    table(paint, ["ID", "NAME", "CREATED", "EXPIRES", "LAST USED"], keys.iter().map(row))
}
