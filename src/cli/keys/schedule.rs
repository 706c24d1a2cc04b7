//! `brevet keys schedule`.

use clap::Args;

use crate::cli::Run;
use crate::cli::arguments::seconds;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, fields};
use crate::wire::admin::signing_key::{ChangeKeySchedule, KeySchedule};

use super::KeyFlags;

/// Show the numbers by which keys follow each other, or change those that are given
///
/// Numbers that would leave a verifier without a key are refused with the arithmetic.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  brevet keys schedule\n  brevet keys schedule --rotation-period 336h")]
pub(in crate::cli) struct Schedule {
    #[command(flatten)]
    flags: KeyFlags,
    /// How long the public documents may be cached
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    max_age: Option<u32>,
    /// How far an exported copy of them may lag behind
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    export_lag: Option<u32>,
    /// How far a replica's clock may be off the database's; beyond 5 s it does not sign
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    clock_error: Option<u32>,
    /// The oldest reading of the keys that a replica may sign with
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    oldest_snapshot: Option<u32>,
    /// From publication to the first signature
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    publish_before_sign: Option<u32>,
    /// From the last signature to the end of publication
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    keep_after_sign: Option<u32>,
    /// From one first signature to the next
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    rotation_period: Option<u32>,
}

impl Schedule {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let output = self.flags.output(run);
        let admin = self.flags.admin(run).await?;
        let keys = admin.keys_of(self.flags.team());
        let change = ChangeKeySchedule {
            max_age_seconds: self.max_age,
            export_lag_seconds: self.export_lag,
            clock_error_seconds: self.clock_error,
            oldest_snapshot_seconds: self.oldest_snapshot,
            publish_before_sign_seconds: self.publish_before_sign,
            keep_after_sign_seconds: self.keep_after_sign,
            rotation_period_seconds: self.rotation_period,
        };
        let (now, version) = keys.schedule().await?;
        let schedule = if change == ChangeKeySchedule::default() {
            now
        } else {
            // The numbers hang together: those that are given are meant beside those that were there.
            keys.change_schedule(version, &change).await?
        };
        output.data(&schedule, |schedule| shown(output.out(), schedule))
    }
}

fn shown(paint: Paint, schedule: &KeySchedule) -> String {
    let KeySchedule {
        max_age_seconds,
        export_lag_seconds,
        clock_error_seconds,
        oldest_snapshot_seconds,
        publish_before_sign_seconds,
        keep_after_sign_seconds,
        rotation_period_seconds,
    } = schedule;
    fields(
        paint,
        &[
            ("max age", format!("{max_age_seconds} s")),
            ("export lag", format!("{export_lag_seconds} s")),
            ("clock error", format!("{clock_error_seconds} s")),
            ("oldest snapshot", format!("{oldest_snapshot_seconds} s")),
            ("published before signing", format!("{publish_before_sign_seconds} s")),
            ("kept after signing", format!("{keep_after_sign_seconds} s")),
            ("rotation period", format!("{rotation_period_seconds} s")),
        ],
    )
}
