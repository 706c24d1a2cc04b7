//! `brevet admin sessions`.

use clap::Subcommand;

use super::remaining_sessions::hint_of_user;
use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, table};
use crate::cli::remote::{admin, stamp, stamp_or_none};
use crate::wire::admin::session::UserSession;

/// People's sessions
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet admin sessions list ann")]
pub(in crate::cli) enum Sessions {
    /// List a person's living sessions, newest first
    #[command(after_help = "Example:\n  brevet admin sessions list ann --json")]
    List {
        #[command(flatten)]
        flags: AdminFlags,
        /// The person's uid
        user: String,
    },
    /// End every session of a person, or one: from the moment this returns, nothing is minted in it
    #[command(after_help = "Example:\n  brevet admin sessions end ann")]
    End {
        #[command(flatten)]
        flags: AdminFlags,
        /// The person's uid
        user: String,
        /// Only this one
        #[arg(long, value_name = "ID")]
        session: Option<String>,
    },
}

impl Sessions {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::List { flags, user } => {
                let output = run.output.as_json(flags.json);
                let sessions = admin(run, &flags).await?.user_sessions(&user).await?;
                output.data(&sessions, |sessions| list(output.out(), &sessions.items))
            }
            Self::End { flags, user, session } => {
                admin(run, &flags).await?.end_user_sessions(&user, session.as_deref()).await?;
                match session {
                    Some(session) => run.output.say(format_args!("session {session} of user {user} is ended")),
                    None => run.output.say(format_args!("every session of user {user} is ended")),
                }
                hint_of_user(run.output, &user);
                Ok(())
            }
        }
    }
}

fn list(paint: Paint, sessions: &[UserSession]) -> String {
    let row = |session: &UserSession| {
        [
            session.session_id.clone(),
            session.device.clone().unwrap_or_default(),
            session.address.clone().unwrap_or_default(),
            session.origin.replace('_', " "),
            stamp(session.created_at),
            stamp_or_none(session.last_used_at),
            stamp(session.expires_at),
        ]
    };
    let headings = ["SESSION", "DEVICE", "ADDRESS", "OPENED WITH", "OPENED", "LAST USED", "ENDS"];
    table(paint, headings, sessions.iter().map(row))
}
