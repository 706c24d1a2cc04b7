//! `brevet admin enrolment-codes`.

use clap::Subcommand;

use super::show_key;
use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::remote::{admin, stamp};
use crate::wire::admin::enrolment_code::CreateEnrolmentCode;

/// One-time codes that people sign in with
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet admin enrolment-codes create --user ann")]
pub(in crate::cli) enum EnrolmentCodes {
    /// Make a code for one person and print it: it works once, for 10 minutes
    #[command(after_help = "Example:\n  brevet admin enrolment-codes create --user ann")]
    Create {
        #[command(flatten)]
        flags: AdminFlags,
        /// The person's uid
        #[arg(long)]
        user: String,
    },
}

impl EnrolmentCodes {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let Self::Create { flags, user } = self;
        let output = run.output.as_json(flags.json);
        let code = admin(run, &flags).await?.create_enrolment_code(&CreateEnrolmentCode { user_uid: user }).await?;
        if output.is_json() {
            return output.data(&code, |_| String::new());
        }
        let until = stamp(code.expires_at);
        show_key(output, code.code.as_ref(), &format!("signs {} in once, until {until}:", code.user_uid))
    }
}
