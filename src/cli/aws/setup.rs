//! `brevet aws setup`: identity provider, trust policy and permissions for one team.

use std::collections::BTreeSet;

use serde::Serialize;

use super::script;
use crate::cli::Run;
use crate::cli::arguments::AdminFlags;
use crate::cli::outcome::Failure;
use crate::cli::remote::{admin, named_issuer};
use crate::config::client::ClientSettings;
use crate::domain::audience::{Audience, STS, STS_CHINA};
use crate::domain::id::TeamUid;
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::principal::{ActorType, Principal};
use crate::domain::region::{Partition, Region};
use crate::domain::role_arn::RoleArn;
use crate::domain::settings::{ModelId, SessionDuration};
use crate::iam::document::Document;
use crate::iam::generate::{self, Actor, Policies, TRUST_DEFAULT_MAX};
use crate::wire::admin::team_issuer::TeamIssuers;

/// Print what a customer's AWS account needs: identity provider, trust policy, permissions
///
/// Role, region and models come from the team's provider settings, read with an administrator key; name all
/// three here and no key is needed. The trust policy always asks for audience and subject.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  brevet aws setup --team red --format cli > setup.sh\n  \
    brevet aws setup --issuer https://id.example.com --team red --actor service_account \\\n    \
    --role-arn arn:aws:iam::111122223333:role/brevet-red --region eu-central-1 \\\n    \
    --model eu.anthropic.claude-sonnet-4-5-20250929-v1:0")]
pub(in crate::cli) struct Setup {
    #[command(flatten)]
    flags: AdminFlags,
    /// The team's uid
    #[arg(long, value_name = "UID")]
    team: String,
    /// Who of the team: user, service_account, user:UID or service_account:UID; all users and service accounts by
    /// default
    #[arg(long = "actor", value_name = "WHO", value_parser = actor)]
    actors: Vec<Actor>,
    /// policies prints all documents as JSON, cli a shell script of AWS CLI calls, the others one document alone
    #[arg(long, value_name = "FORMAT", default_value = "policies", value_parser = FORMATS)]
    format: String,
    /// The role to make, instead of the one in the provider settings
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// The region, instead of the one in the provider settings
    #[arg(long)]
    region: Option<String>,
    /// A model id, inference profile or ARN, instead of those in the provider settings; once for each
    #[arg(long = "model", value_name = "ID")]
    models: Vec<String>,
    /// Trust the tokens of the shared issuer, of the team's private one, or of both through a change-over, instead of
    /// those of the one that mints now
    #[arg(long, value_name = "WHICH", value_parser = ["shared", "private", "both"])]
    minted_by: Option<String>,
    /// Allow sts:TagSession, also where the provider settings do not say so
    #[arg(long)]
    session_tags: bool,
    /// Allow sts:SetSourceIdentity, also where the provider settings do not say so
    #[arg(long)]
    source_identity: bool,
}

const FORMATS: [&str; 4] = ["policies", "cli", "trust-policy", "permission-policy"];

fn actor(text: &str) -> Result<Actor, String> {
    match ActorType::parse(text) {
        Some(kind) => Ok(Actor::Every(kind)),
        None => Principal::parse(text).map(Actor::One).map_err(|rule| format!("{rule}, or user or service_account")),
    }
}

/// What the provider settings say, where they are asked.
#[derive(Default)]
struct Known {
    role_arn: Option<String>,
    region: Option<String>,
    models: BTreeSet<String>,
    session_tags: bool,
    source_identity: bool,
    roles_claim_off: bool,
    session_seconds: Option<u32>,
    issuers: Option<TeamIssuers>,
}

impl Setup {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        let settings = ClientSettings::read(&self.flags.add(run.given.clone()))?;
        let issuer = named_issuer(&settings)?;
        let complete = self.role_arn.is_some() && self.region.is_some() && !self.models.is_empty();
        let known = if complete && settings.token.is_none() { Known::default() } else { self.ask(run).await? };
        if issuer.is_loopback() {
            run.output.say(run.output.err().warn(format!(
                "warning: {issuer} is a development issuer: AWS cannot reach it, only `brevet sandbox` takes it"
            )));
        }
        let seconds = known.session_seconds.unwrap_or(SessionDuration::DEFAULT.seconds());
        let session = SessionDuration::new(seconds).map_err(Failure::refused)?;
        if let Some(note) = self.change_over(known.issuers.as_ref()) {
            run.output.say(note);
        }
        let setup = self.assemble(known, issuer)?;
        let policies = setup.policies().map_err(|error| Failure::Usage(error.to_string()))?;
        let length = policies.trust.to_json().len();
        if length > TRUST_DEFAULT_MAX {
            run.output.say(run.output.err().warn(format!(
                "warning: the trust policy has {length} characters; above 2048 the account needs a higher quota"
            )));
        }
        match self.format.as_str() {
            "trust-policy" => run.output.line(policies.trust.to_json()),
            "permission-policy" => run.output.line(policies.permissions.to_json()),
            "cli" => run.output.piece(script::of(&setup, &policies, session)),
            _ => run.output.line(documents(&setup, &policies)?),
        }
    }

    async fn ask(&self, run: &Run) -> Result<Known, Failure> {
        let admin = admin(run, &self.flags).await?;
        let layer = admin.provider_settings(&self.team, None).await?;
        let policy = admin.policy(&self.team).await?;
        let mut models: BTreeSet<String> = layer.allowed_models.unwrap_or_default().into_iter().collect();
        if models.is_empty() {
            models.extend(layer.models.unwrap_or_default().into_values());
        }
        Ok(Known {
            role_arn: layer.role_arn,
            region: layer.region,
            models,
            session_tags: layer.session_tags.unwrap_or_default(),
            source_identity: layer.source_identity.unwrap_or_default(),
            roles_claim_off: policy.roles_claim == "off",
            session_seconds: layer.session_duration_seconds,
            issuers: Some(admin.team_issuers(&self.team).await?),
        })
    }

    /// A role that trusts one of two issuers refuses the other's tokens at once.
    fn change_over(&self, issuers: Option<&TeamIssuers>) -> Option<String> {
        let issuers =
            issuers.filter(|issuers| issuers.private.is_some() && self.minted_by.as_deref() != Some("both"))?;
        Some(format!(
            "note: team {} has a private issuer too, and {} mints now. Before the other one does, register both and let \
             the role trust both: --minted-by both. Sessions that are open go on either way.",
            self.team, issuers.mints
        ))
    }

    /// The issuer to trust first, and the second one of a change-over.
    fn issuers(
        &self,
        team: &TeamUid,
        shared: IssuerUrl,
        known: Option<&TeamIssuers>,
    ) -> Result<(IssuerUrl, Option<IssuerUrl>), Failure> {
        let mints = known.map_or("shared", |known| known.mints.as_str());
        let wanted = self.minted_by.as_deref().unwrap_or(mints);
        if wanted == "shared" {
            return Ok((shared, None));
        }
        if known.is_some_and(|known| known.private.is_none()) {
            return Err(Failure::Refused(format!(
                "team {team} has no private issuer: make it with `brevet admin issuer make --team {team}`"
            )));
        }
        let private =
            shared.of_team(team).map_err(|rule| Failure::Usage(format!("the private issuer's URL {rule}")))?;
        Ok(match (wanted, mints) {
            ("private", _) => (private, None),
            (_, "private") => (private, Some(shared)),
            _ => (shared, Some(private)),
        })
    }

    fn assemble(&self, known: Known, issuer: IssuerUrl) -> Result<generate::Setup, Failure> {
        let usage = |name: &str, rule: &dyn std::fmt::Display| Failure::Usage(format!("{name} {rule}"));
        let missing = |flag: &str| usage(flag, &"is required: the team's provider settings do not say it");
        let role = self.role_arn.clone().or(known.role_arn).ok_or_else(|| missing("--role-arn"))?;
        let role = RoleArn::parse(&role).map_err(|rule| usage("--role-arn", &rule))?;
        let region = self.region.clone().or(known.region).ok_or_else(|| missing("--region"))?;
        let region = Region::parse(&region).map_err(|rule| usage("--region", &rule))?;
        let models = if self.models.is_empty() { known.models.into_iter().collect() } else { self.models.clone() };
        if models.is_empty() {
            return Err(missing("--model"));
        }
        let parse = |id: &String| ModelId::parse(id).map_err(|rule| usage("--model", &rule));
        let audience = if role.partition() == Partition::AwsCn { STS_CHINA } else { STS };
        let team = TeamUid::parse(&self.team).map_err(|rule| usage("--team", &rule))?;
        let (issuer, also) = self.issuers(&team, issuer, known.issuers.as_ref())?;
        Ok(generate::Setup {
            team,
            also,
            audience: Audience::parse(audience).map_err(Failure::refused)?,
            models: models.iter().map(parse).collect::<Result<_, _>>()?,
            actors: self.actors.clone(),
            role_bound: !known.roles_claim_off,
            session_tags: self.session_tags || known.session_tags,
            source_identity: self.source_identity || known.source_identity,
            issuer,
            role,
            region,
        })
    }
}

/// Everything in one JSON object, the documents as they go into the account.
#[derive(Serialize)]
struct Documents<'a> {
    provider_url: String,
    provider_arn: String,
    client_id: String,
    role_arn: String,
    /// The provider of the second issuer of a change-over.
    #[serde(skip_serializing_if = "Option::is_none")]
    second_provider: Option<Provider>,
    trust_policy: &'a Document,
    permission_policy: &'a Document,
}

#[derive(Serialize)]
struct Provider {
    provider_url: String,
    provider_arn: String,
}

fn documents(setup: &generate::Setup, policies: &Policies) -> Result<String, Failure> {
    let documents = Documents {
        provider_url: setup.issuer.to_string(),
        provider_arn: setup.provider_arn(),
        client_id: setup.audience.to_string(),
        role_arn: setup.role.to_string(),
        second_provider: setup
            .also
            .as_ref()
            .map(|issuer| Provider { provider_url: issuer.to_string(), provider_arn: setup.provider_of(issuer) }),
        trust_policy: &policies.trust,
        permission_policy: &policies.permissions,
    };
    serde_json::to_string_pretty(&documents).map_err(Failure::refused)
}
