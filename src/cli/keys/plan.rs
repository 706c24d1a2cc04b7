//! `brevet keys plan`.

use crate::cli::Run;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, table};
use crate::cli::remote::stamp;
use crate::wire::admin::signing_key::{KeyPlan, PlanProof};

use super::{KeyFlags, timeline};

/// Show what becomes of the keys, dated and drawn, and whether any verifier is left behind
///
/// The plan is what the clock asks for if every replica runs and the public jwks_uri shows what is published. It is then
/// tried: tokens of the whole plan on every copy of the JWKS that a verifier may hold while they live.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  brevet keys plan --days 365")]
pub(in crate::cli) struct Plan {
    #[command(flatten)]
    flags: KeyFlags,
    /// How many days ahead
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
}

impl Plan {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let output = self.flags.output(run);
        let plan = self.flags.admin(run).await?.keys_of(self.flags.team()).plan(self.days).await?;
        output.data(&plan, |plan| shown(output.out(), plan))?;
        if plan.proof.holds { Ok(()) } else { Err(Failure::Refused("the plan leaves verifiers behind".to_owned())) }
    }
}

fn shown(paint: Paint, plan: &KeyPlan) -> String {
    let row = |change: &crate::wire::admin::signing_key::PlannedChange| {
        [stamp(change.at), change.change.clone(), change.key.clone()]
    };
    let changes = table(paint, ["WHEN", "CHANGE", "KEY"], plan.changes.iter().map(row));
    format!("{}\n\n{changes}\n\n{}", timeline::drawn(paint, plan), proven(paint, &plan.proof))
}

/// The line of the proof; where it does not hold, what fails.
fn proven(paint: Paint, proof: &PlanProof) -> String {
    let PlanProof { holds, turns, oldest_copy_seconds, longest_life_seconds, tried, gaps } = proof;
    let looked = format!(
        "{turns} turns; tokens verified for {longest_life_seconds} s with every copy of the JWKS from 0 to \
         {oldest_copy_seconds} s old: {tried} pairs at which anything changes"
    );
    if *holds {
        return format!("{} {looked}, none fails", paint.good("proof:"));
    }
    let gaps = gaps.iter().map(|gap| {
        let (signed, copy) = (stamp(gap.signed_at), stamp(gap.copy_of));
        format!("\n  a token that {} signs at {signed} fails with a copy of {copy}", gap.key)
    });
    format!("{} {looked}, some fail{}", paint.bad("proof:"), gaps.collect::<String>())
}
