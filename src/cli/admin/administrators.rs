//! `brevet admin administrators`.

use clap::Subcommand;

use super::{set, show_key};
use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, table};
use crate::cli::remote::{admin, stamp, stamp_or_none};
use crate::wire::admin::administrator::{Administrator, ChangeAdministrator, CreateAdministrator};

/// Administrators of the installation
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet admin administrators create --name ops")]
pub(in crate::cli) enum Administrators {
    /// List them
    #[command(after_help = "Example:\n  brevet admin administrators list --json")]
    List(AdminFlags),
    /// Make one and print its key, once: alone on stdout
    #[command(after_help = "Example:\n  brevet admin administrators create --name ops > ops.key")]
    Create {
        #[command(flatten)]
        flags: AdminFlags,
        /// What people call it
        #[arg(long)]
        name: String,
        /// operator may do everything, auditor sees everything and changes nothing
        #[arg(long, default_value = "operator", value_parser = ["operator", "auditor"])]
        role: String,
    },
    /// Rename one, or give it another role
    #[command(after_help = "Example:\n  brevet admin administrators update ID --role auditor")]
    Update {
        #[command(flatten)]
        flags: AdminFlags,
        /// The administrator's id
        id: String,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        /// Another role
        #[arg(long, value_parser = ["operator", "auditor"])]
        role: Option<String>,
    },
    /// Remove one: from the moment this returns, its key does nothing
    #[command(after_help = "Example:\n  brevet admin administrators delete ID")]
    Delete {
        #[command(flatten)]
        flags: AdminFlags,
        /// The administrator's id
        id: String,
    },
}

impl Administrators {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::List(flags) => {
                let output = run.output.as_json(flags.json);
                output.data(&admin(run, &flags).await?.administrators().await?, |all| list(output.out(), all))
            }
            Self::Create { flags, name, role } => {
                let output = run.output.as_json(flags.json);
                let made = admin(run, &flags)
                    .await?
                    .create_administrator(&CreateAdministrator { name, role: Some(role) })
                    .await?;
                if output.is_json() {
                    return output.data(&made, |_| String::new());
                }
                show_key(
                    output,
                    made.key.as_ref(),
                    &format!("administrator {}, key shown this once:", made.resource.id),
                )
            }
            Self::Update { flags, id, name, role } => {
                let output = run.output.as_json(flags.json);
                let change = ChangeAdministrator { name: set(name), role: set(role) };
                let one = admin(run, &flags).await?.change_administrator(&id, &change).await?;
                output.data(&one, |one| list(output.out(), std::slice::from_ref(one)))
            }
            Self::Delete { flags, id } => {
                admin(run, &flags).await?.delete_administrator(&id).await?;
                run.output.say(format_args!("administrator {id} is removed"));
                Ok(())
            }
        }
    }
}

fn list(paint: Paint, all: &[Administrator]) -> String {
    let row = |one: &Administrator| {
        [one.id.clone(), one.name.clone(), one.role.clone(), stamp(one.created_at), stamp_or_none(one.expires_at)]
    };
    table(paint, ["ID", "NAME", "ROLE", "CREATED", "EXPIRES"], all.iter().map(row))
}
