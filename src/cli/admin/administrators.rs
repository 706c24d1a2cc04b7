//! `brevet admin administrators`.

use clap::Subcommand;

use super::show_key;
use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, table};
use crate::cli::remote::{admin, stamp, stamp_or_none};
use crate::wire::admin::administrator::{Administrator, CreateAdministrator};

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
                output.data(&admin(run, &flags)?.administrators().await?, |all| list(output.out(), all))
            }
            Self::Create { flags, name } => {
                let output = run.output.as_json(flags.json);
                let made = admin(run, &flags)?.create_administrator(&CreateAdministrator { name }).await?;
                if output.is_json() {
                    return output.data(&made, |_| String::new());
                }
                show_key(
                    output,
                    made.key.as_ref(),
                    &format!("administrator {}, key shown this once:", made.resource.id),
                )
            }
            Self::Delete { flags, id } => {
                admin(run, &flags)?.delete_administrator(&id).await?;
                run.output.say(format_args!("administrator {id} is removed"));
                Ok(())
            }
        }
    }
}

fn list(paint: Paint, all: &[Administrator]) -> String {
    let row =
        |one: &Administrator| [one.id.clone(), one.name.clone(), stamp(one.created_at), stamp_or_none(one.expires_at)];
    table(paint, ["ID", "NAME", "CREATED", "EXPIRES"], all.iter().map(row))
}
