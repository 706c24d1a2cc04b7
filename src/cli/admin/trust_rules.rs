//! `brevet admin trust-rules`: whose tokens stand for an agent.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::Value;

use super::remaining_sessions::hint;
use super::{set, state, switch};
use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, fields, table};
use crate::cli::remote::{admin, stamp, stamp_or_none};
use crate::domain::claim_condition::{Condition, Expected};
use crate::domain::trust;
use crate::domain::trust_template::Template;
use crate::wire::admin::trust_rule::{ChangeTrustRule, ClaimCondition, ClaimValue, CreateTrustRule, Reuse, TrustRule};
use crate::wire::patch::Patch;

/// Trust rules: whose tokens, of which foreign issuer, stand for an agent
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  brevet admin trust-rules create --team red builder --template github-actions --set owner_id=9919 --set ref=refs/heads/main"
)]
pub(in crate::cli) enum TrustRules {
    /// List an agent's rules
    #[command(after_help = "Example:\n  brevet admin trust-rules list --team red builder")]
    List(OfAgent),
    /// Make a rule, from a template or from conditions
    #[command(
        after_help = "Templates and what --set takes:\n  kubernetes      namespace service_account [service_account_uid node]; needs --from\n  github-actions  owner_id or repository_id [repository ref environment workflow event]\n  gitlab          project_id or namespace_id [ref ref_type ref_protected environment source]\n  brevet          subject [team run]; needs --from\n\nExample:\n  brevet admin trust-rules create --team red builder --template kubernetes --from https://oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE --set namespace=prod --set service_account=agent"
    )]
    Create(Box<Create>),
    /// Show one rule
    #[command(after_help = "Example:\n  brevet admin trust-rules show --team red builder RULE-ID")]
    Show(One),
    /// Change, disable or enable a rule: what was got under it mints nothing from then on
    #[command(after_help = "Example:\n  brevet admin trust-rules update --team red builder RULE-ID --disable")]
    Update {
        #[command(flatten)]
        one: One,
        /// Another name
        #[arg(long)]
        name: Option<String>,
        /// Another audience
        #[arg(long)]
        audience: Option<String>,
        #[command(flatten)]
        said: Said,
        /// Ask the issuer for its keys again instead of using those of --jwks
        #[arg(long, conflicts_with = "jwks")]
        no_jwks: bool,
        /// Take a token once only
        #[arg(long, conflicts_with = "uses")]
        once: bool,
        /// From the moment this returns, nothing that was got under it mints
        #[arg(long, conflicts_with = "enable")]
        disable: bool,
        /// Undo --disable
        #[arg(long)]
        enable: bool,
    },
    /// Delete a rule: from the moment this returns, nothing that was got under it mints
    #[command(after_help = "Example:\n  brevet admin trust-rules delete --team red builder RULE-ID")]
    Delete(One),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct OfAgent {
    #[command(flatten)]
    flags: AdminFlags,
    /// The team's uid
    #[arg(long)]
    team: String,
    /// The agent's uid
    uid: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct One {
    #[command(flatten)]
    of: OfAgent,
    /// The rule's id
    rule: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Create {
    #[command(flatten)]
    of: OfAgent,
    /// What people call it; the template's name by default
    #[arg(long)]
    name: Option<String>,
    /// A ready-made rule: kubernetes, github-actions, gitlab or brevet
    #[arg(long, value_parser = template)]
    template: Option<Template>,
    /// A value of the template; once for each
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = pair, requires = "template")]
    values: Vec<(String, String)>,
    /// Whose tokens, byte for byte their iss; the template's by default
    #[arg(long, value_name = "URL", required_unless_present = "template")]
    from: Option<String>,
    /// For whom they must be; the issuer URL and /teams/TEAM by default
    #[arg(long)]
    audience: Option<String>,
    #[command(flatten)]
    said: Said,
}

/// What a rule says beside issuer and audience.
#[derive(Debug, Args)]
pub(in crate::cli) struct Said {
    /// A claim and the text it must be; a JSON pointer such as /kubernetes.io/namespace goes into nested claims
    #[arg(long = "claim", value_name = "CLAIM=VALUE", value_parser = pair)]
    claims: Vec<(String, String)>,
    /// A claim and the form its text must have; * stands for one or more characters other than / and :
    #[arg(long = "claim-like", value_name = "CLAIM=PATTERN", value_parser = pair)]
    patterns: Vec<(String, String)>,
    /// A file with the issuer's public keys (a JWKS), for an issuer that cannot be reached
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// How often one token may be presented
    #[arg(long, requires = "per_minute")]
    uses: Option<u32>,
    /// How often a minute any token may be presented under the rule
    #[arg(long, requires = "uses")]
    per_minute: Option<u32>,
}

impl Said {
    fn conditions(&self) -> impl Iterator<Item = ClaimCondition> + '_ {
        let equal = self.claims.iter().map(|(claim, value)| ClaimCondition {
            claim: claim.clone(),
            equals: Some(ClaimValue::Text(value.clone())),
            pattern: None,
        });
        let like = self.patterns.iter().map(|(claim, pattern)| ClaimCondition {
            claim: claim.clone(),
            equals: None,
            pattern: Some(pattern.clone()),
        });
        equal.chain(like)
    }

    fn jwks(&self) -> Result<Option<Value>, Failure> {
        self.jwks.as_deref().map(read_jwks).transpose()
    }

    fn reuse(&self) -> Option<Reuse> {
        self.uses.zip(self.per_minute).map(|(uses, per_minute)| Reuse { uses, per_minute })
    }
}

impl Create {
    fn body(&self) -> Result<CreateTrustRule, Failure> {
        let usage = |words: String| Failure::Usage(words);
        let issuer = self.from.clone().or_else(|| self.template?.issuer().map(str::to_owned));
        let issuer = issuer.ok_or_else(|| usage("--from is required by this template".to_owned()))?;
        let mut conditions = match self.template {
            Some(template) => template.conditions(&self.values).map_err(|error| usage(format!("--set: {error}")))?,
            None => Vec::new(),
        };
        let ready = self.template.map(Template::reuse);
        Ok(CreateTrustRule {
            name: self
                .name
                .clone()
                .or_else(|| self.template.map(|template| template.to_string()))
                .unwrap_or_else(|| issuer.clone()),
            issuer,
            audience: self.audience.clone(),
            jwks: self.said.jwks()?,
            conditions: conditions.drain(..).map(spoken).chain(self.said.conditions()).collect(),
            reuse: self.said.reuse().or(match ready {
                Some(trust::Reuse::Bounded { uses, per_minute }) => Some(Reuse { uses, per_minute }),
                Some(trust::Reuse::Once) | None => None,
            }),
        })
    }
}

impl TrustRules {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let OfAgent { flags, team, uid } = self.of();
        let (output, admin) = (run.output.as_json(flags.json), admin(run, flags).await?);
        let show = |rule: &TrustRule| show(output.out(), rule);
        match &self {
            Self::List(_) => output.data(&admin.trust_rules(team, uid).await?, |rules| list(output.out(), rules)),
            Self::Create(create) => output.data(&admin.create_trust_rule(team, uid, &create.body()?).await?, show),
            Self::Show(one) => output.data(&admin.trust_rule(team, uid, &one.rule).await?, show),
            Self::Update { one, name, audience, said, no_jwks, once, disable, enable } => {
                let conditions: Vec<_> = said.conditions().collect();
                let change = ChangeTrustRule {
                    name: set(name.clone()),
                    audience: set(audience.clone()),
                    jwks: if *no_jwks { Patch::Clear } else { set(said.jwks()?) },
                    conditions: set((!conditions.is_empty()).then_some(conditions)),
                    reuse: if *once { Patch::Clear } else { set(said.reuse()) },
                    disabled: switch(*disable, *enable),
                };
                output.data(&admin.change_trust_rule(team, uid, &one.rule, &change).await?, show)?;
                if *disable {
                    hint(output, team, &format!("service_account:{uid}"));
                }
                Ok(())
            }
            Self::Delete(one) => {
                admin.delete_trust_rule(team, uid, &one.rule).await?;
                output.say(format_args!("trust rule {} is deleted", one.rule));
                hint(output, team, &format!("service_account:{uid}"));
                Ok(())
            }
        }
    }

    const fn of(&self) -> &OfAgent {
        match self {
            Self::List(of) => of,
            Self::Create(create) => &create.of,
            Self::Show(one) | Self::Update { one, .. } | Self::Delete(one) => &one.of,
        }
    }
}

fn template(text: &str) -> Result<Template, String> {
    let known = Template::ALL.map(Template::as_str).join(", ");
    Template::parse(text).ok_or_else(|| format!("must be one of: {known}"))
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())).ok_or("must be NAME=VALUE")
}

fn read_jwks(path: &Path) -> Result<Value, Failure> {
    let text =
        fs::read(path).map_err(|error| Failure::Usage(format!("--jwks names {}: {}", path.display(), error.kind())))?;
    serde_json::from_slice(&text).map_err(|_| Failure::Usage(format!("--jwks: {} is no JSON", path.display())))
}

fn spoken(condition: Condition) -> ClaimCondition {
    let (equals, pattern) = match condition.expected {
        Expected::Text(text) => (Some(ClaimValue::Text(text)), None),
        Expected::Integer(number) => (Some(ClaimValue::Integer(number)), None),
        Expected::Flag(flag) => (Some(ClaimValue::Flag(flag)), None),
        Expected::Pattern(pattern) => (None, Some(pattern.as_str().to_owned())),
    };
    ClaimCondition { claim: condition.claim.as_str().to_owned(), equals, pattern }
}

fn list(paint: Paint, rules: &[TrustRule]) -> String {
    let row = |rule: &TrustRule| {
        let state = state(rule.disabled_at);
        [rule.id.clone(), rule.name.clone(), rule.issuer.clone(), state, stamp_or_none(rule.last_used_at)]
    };
    table(paint, ["ID", "NAME", "ISSUER", "STATE", "LAST USED"], rules.iter().map(row))
}

fn show(paint: Paint, rule: &TrustRule) -> String {
    let conditions: Vec<_> = rule.conditions.iter().map(words).collect();
    let reuse = rule.reuse.map_or_else(
        || "once".to_owned(),
        |reuse| format!("{} times, {} a minute for all tokens", reuse.uses, reuse.per_minute),
    );
    fields(
        paint,
        &[
            ("id", rule.id.clone()),
            ("name", rule.name.clone()),
            ("issuer", rule.issuer.clone()),
            ("audience", rule.audience.clone()),
            ("keys", if rule.jwks.is_some() { "of the rule" } else { "of the issuer" }.to_owned()),
            ("claims", conditions.join(", ")),
            ("one token", reuse),
            ("state", state(rule.disabled_at)),
            ("created", stamp(rule.created_at)),
            ("last used", stamp_or_none(rule.last_used_at)),
            ("version", rule.version.to_string()),
        ],
    )
}

fn words(condition: &ClaimCondition) -> String {
    let expected = match (&condition.equals, &condition.pattern) {
        (Some(ClaimValue::Text(text)), _) => format!("= {text}"),
        (Some(ClaimValue::Integer(number)), _) => format!("= {number} (number)"),
        (Some(ClaimValue::Flag(flag)), _) => format!("= {flag} (boolean)"),
        (None, pattern) => format!("like {}", pattern.as_deref().unwrap_or_default()),
    };
    format!("{} {expected}", condition.claim)
}
