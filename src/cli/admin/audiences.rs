//! `brevet admin audiences`.

use clap::Subcommand;

use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, table};
use crate::cli::remote::admin;
use crate::wire::admin::audience::{AudienceRule, Audiences as List, SetAudiences};

/// For whom a team's principals may mint
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  brevet admin audiences set --team red sts.amazonaws.com https://vault.example.com=600"
)]
pub(in crate::cli) enum Audiences {
    /// List a team's audiences; the first is the default
    #[command(after_help = "Example:\n  brevet admin audiences list --team red")]
    List {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
    },
    /// Replace a team's audiences; the first becomes the default
    #[command(
        after_help = "Example:\n  brevet admin audiences set --team red sts.amazonaws.com https://vault.example.com=600"
    )]
    Set {
        #[command(flatten)]
        flags: AdminFlags,
        /// The team's uid
        #[arg(long)]
        team: String,
        /// AUDIENCE, or AUDIENCE=SECONDS to cap the lifetime of tokens for it
        #[arg(required = true, value_name = "AUDIENCE[=SECONDS]")]
        audiences: Vec<String>,
    },
}

impl Audiences {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::List { flags, team } => {
                let output = run.output.as_json(flags.json);
                output.data(&admin(run, &flags).await?.audiences(&team).await?, |list| show(output.out(), list))
            }
            Self::Set { flags, team, audiences } => {
                let output = run.output.as_json(flags.json);
                let admin = admin(run, &flags).await?;
                let items = audiences.iter().map(|text| rule(text)).collect();
                let version = admin.audiences(&team).await?.version;
                let list = admin.set_audiences(&team, version, &SetAudiences { items }).await?;
                output.data(&list, |list| show(output.out(), list))
            }
        }
    }
}

/// An audience may hold `=` itself, so only a number behind the last one is a cap.
fn rule(text: &str) -> AudienceRule {
    let capped = text.rsplit_once('=').and_then(|(audience, cap)| Some((audience, cap.parse().ok()?)));
    match capped {
        Some((audience, cap)) => AudienceRule { audience: audience.to_owned(), lifetime_cap_seconds: Some(cap) },
        None => AudienceRule { audience: text.to_owned(), lifetime_cap_seconds: None },
    }
}

fn show(paint: Paint, list: &List) -> String {
    let row = |rule: &AudienceRule| {
        [rule.audience.clone(), rule.lifetime_cap_seconds.map(|cap| format!("{cap} s")).unwrap_or_default()]
    };
    table(paint, ["AUDIENCE", "LIFETIME CAP"], list.items.iter().map(row))
}
