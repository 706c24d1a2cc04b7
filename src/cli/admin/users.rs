//! `brevet admin users`.

use clap::Subcommand;

use super::remaining_sessions::hint_of_user;
use super::{set, state, switch};
use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, fields, table};
use crate::cli::remote::{admin, stamp};
use crate::wire::admin::user::{ChangeUser, CreateUser, User};
use crate::wire::patch::Patch;

/// People
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet admin users create --uid ann --name 'Ann Other' --email ann@example.com")]
pub(in crate::cli) enum Users {
    /// List the people
    #[command(after_help = "Example:\n  brevet admin users list --json")]
    List(AdminFlags),
    /// Make a person known; give them a way in with `admin enrolment-codes create`
    #[command(after_help = "Example:\n  brevet admin users create --uid ann --name 'Ann Other'")]
    Create {
        #[command(flatten)]
        flags: AdminFlags,
        /// 2 to 48 characters of A-Z, a-z, 0-9, _ and -; stands in every subject and is never reused
        #[arg(long)]
        uid: Option<String>,
        /// What people call them; in no token
        #[arg(long)]
        name: String,
        /// For people to recognise them by; in no token
        #[arg(long)]
        email: Option<String>,
    },
    /// Show one person
    #[command(after_help = "Example:\n  brevet admin users show ann")]
    Show {
        #[command(flatten)]
        flags: AdminFlags,
        /// The person's uid
        uid: String,
    },
    /// Rename, disable or enable a person
    #[command(after_help = "Example:\n  brevet admin users update ann --disable")]
    Update {
        #[command(flatten)]
        flags: AdminFlags,
        /// The person's uid
        uid: String,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        /// Another e-mail address; an empty one clears it
        #[arg(long)]
        email: Option<String>,
        /// From the moment this returns, nothing of this person mints, in any team
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        /// Undo --disable
        #[arg(long)]
        enable: bool,
    },
    /// Delete a person for good: name and e-mail are erased, the uid is never reused
    #[command(after_help = "Example:\n  brevet admin users delete ann")]
    Delete {
        #[command(flatten)]
        flags: AdminFlags,
        /// The person's uid
        uid: String,
    },
}

impl Users {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::List(flags) => {
                let output = run.output.as_json(flags.json);
                output.data(&admin(run, &flags).await?.users().await?, |users| list(output.out(), users))
            }
            Self::Create { flags, uid, name, email } => {
                let output = run.output.as_json(flags.json);
                let user = admin(run, &flags).await?.create_user(&CreateUser { uid, name, email }).await?;
                output.data(&user, |user| show(output.out(), user))
            }
            Self::Show { flags, uid } => {
                let output = run.output.as_json(flags.json);
                output.data(&admin(run, &flags).await?.user(&uid).await?, |user| show(output.out(), user))
            }
            Self::Update { flags, uid, name, email, disable, enable } => {
                let output = run.output.as_json(flags.json);
                let email = match email.as_deref() {
                    Some("") => Patch::Clear,
                    _ => set(email),
                };
                let change = ChangeUser { name: set(name), email, disabled: switch(disable, enable) };
                let user = admin(run, &flags).await?.change_user(&uid, &change).await?;
                output.data(&user, |user| show(output.out(), user))?;
                if disable {
                    hint_of_user(output, &uid);
                }
                Ok(())
            }
            Self::Delete { flags, uid } => {
                admin(run, &flags).await?.delete_user(&uid).await?;
                run.output.say(format_args!("user {uid} is deleted"));
                hint_of_user(run.output, &uid);
                Ok(())
            }
        }
    }
}

fn list(paint: Paint, users: &[User]) -> String {
    let row = |user: &User| {
        let email = user.email.clone().unwrap_or_default();
        [user.uid.clone(), user.name.clone(), email, state(user.disabled_at), stamp(user.created_at)]
    };
    table(paint, ["UID", "NAME", "EMAIL", "STATE", "CREATED"], users.iter().map(row))
}

fn show(paint: Paint, user: &User) -> String {
    fields(
        paint,
        &[
            ("uid", user.uid.clone()),
            ("name", user.name.clone()),
            ("email", user.email.clone().unwrap_or_default()),
            ("state", state(user.disabled_at)),
            ("created", stamp(user.created_at)),
            ("version", user.version.to_string()),
        ],
    )
}
