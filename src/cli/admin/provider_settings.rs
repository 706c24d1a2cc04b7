//! `brevet admin provider-settings`.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};

use super::remaining_sessions::{hint, hint_of_team};
use super::{on_off, set, switch};
use crate::cli::Run;
use crate::cli::arguments::{self, AdminFlags};
use crate::cli::outcome::Failure;
use crate::cli::output::{Paint, fields, table};
use crate::cli::remote::admin;
use crate::wire::admin::effective_settings::{EffectiveSettings, Sourced};
use crate::wire::admin::provider_settings::{ChangeProviderSettings, ProviderSettings as Layer};
use crate::wire::patch::Patch;

/// Role, region and models: how a team, or one of its agents, reaches Bedrock
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  brevet admin provider-settings set --team red --region eu-central-1 \\\n    \
                        --role-arn arn:aws:iam::111122223333:role/brevet-red --allow-model anthropic.claude-3-haiku-20240307-v1:0")]
pub(in crate::cli) enum ProviderSettings {
    /// Show what one layer says
    #[command(after_help = "Example:\n  brevet admin provider-settings show --team red")]
    Show(Whose),
    /// Show what the layers come to, and which layer said what
    #[command(after_help = "Example:\n  brevet admin provider-settings effective --team red --service-account builder")]
    Effective(Whose),
    /// Change what one layer says; what is not named stays
    #[command(
        after_help = "Example:\n  brevet admin provider-settings set --team red --model haiku=anthropic.claude-3-haiku-20240307-v1:0"
    )]
    Set(Box<Change>),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Whose {
    #[command(flatten)]
    flags: AdminFlags,
    /// The team's uid
    #[arg(long)]
    team: String,
    /// One of its agents, whose own layer goes before the team's
    #[arg(long, value_name = "UID")]
    service_account: Option<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Change {
    #[command(flatten)]
    whose: Whose,
    /// Region of STS and Bedrock
    #[arg(long)]
    region: Option<String>,
    /// The role that tokens are bound to and the worker assumes
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// How long its sessions last: 900s to 12h
    #[arg(long, value_name = "TIME", value_parser = arguments::seconds)]
    session_duration: Option<u32>,
    /// A name that callers may use for a model id; replaces all names, once for each
    #[arg(long = "model", value_name = "NAME=ID", value_parser = pair)]
    models: Vec<(String, String)>,
    /// A model id, profile or ARN that may be called; replaces the list, once for each
    #[arg(long = "allow-model", value_name = "ID")]
    allowed_models: Vec<String>,
    /// Whether tokens for STS carry session tags (the role must allow sts:TagSession)
    #[arg(long, value_name = "ON|OFF", value_parser = on_off)]
    session_tags: Option<bool>,
    /// Whether tokens for STS carry a source identity (the role must allow sts:SetSourceIdentity)
    #[arg(long, value_name = "ON|OFF", value_parser = on_off)]
    source_identity: Option<bool>,
    /// Bedrock's endpoint, where it is not the regional default
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// STS's endpoint, where it is not the regional default
    #[arg(long, value_name = "URL")]
    sts_endpoint: Option<String>,
    /// Switch inference off at this layer; nothing falls through to another one
    #[arg(long, conflicts_with = "enable")]
    disable: bool,
    /// Undo --disable
    #[arg(long)]
    enable: bool,
    /// A setting that this layer is to say nothing about any more, once for each
    #[arg(long = "clear", value_name = "SETTING", value_parser = CLEARABLE)]
    clear: Vec<String>,
}

const CLEARABLE: [&str; 9] = [
    "region",
    "role-arn",
    "session-duration",
    "model",
    "allow-model",
    "session-tags",
    "source-identity",
    "base-url",
    "sts-endpoint",
];

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, id) = text.split_once('=').ok_or("must be NAME=ID")?;
    Ok((name.to_owned(), id.to_owned()))
}

impl ProviderSettings {
    pub(super) async fn run(self, run: &Run) -> Result<(), Failure> {
        match self {
            Self::Show(Whose { flags, team, service_account }) => {
                let output = run.output.as_json(flags.json);
                let layer = admin(run, &flags).await?.provider_settings(&team, service_account.as_deref()).await?;
                output.data(&layer, |layer| show(output.out(), layer))
            }
            Self::Effective(Whose { flags, team, service_account }) => {
                let output = run.output.as_json(flags.json);
                let settings = admin(run, &flags).await?.effective_settings(&team, service_account.as_deref()).await?;
                output.data(&settings, |settings| effective(output.out(), settings))
            }
            Self::Set(change) => {
                let Whose { flags, team, service_account } = &change.whose;
                let output = run.output.as_json(flags.json);
                let admin = admin(run, flags).await?;
                let body = change.body();
                let layer = admin.change_provider_settings(team, service_account.as_deref(), &body).await?;
                output.data(&layer, |layer| show(output.out(), layer))?;
                match service_account {
                    Some(uid) if change.disable => hint(output, team, &format!("service_account:{uid}")),
                    None if change.disable => hint_of_team(output, team),
                    _ => {}
                }
                Ok(())
            }
        }
    }
}

impl Change {
    fn body(&self) -> ChangeProviderSettings {
        let models: BTreeMap<String, String> = self.models.iter().cloned().collect();
        let allowed = self.allowed_models.clone();
        ChangeProviderSettings {
            disabled: switch(self.disable, self.enable),
            region: self.cleared("region", self.region.clone()),
            role_arn: self.cleared("role-arn", self.role_arn.clone()),
            session_duration_seconds: self.cleared("session-duration", self.session_duration),
            models: self.cleared("model", (!models.is_empty()).then_some(models)),
            allowed_models: self.cleared("allow-model", (!allowed.is_empty()).then_some(allowed)),
            session_tags: self.cleared("session-tags", self.session_tags),
            source_identity: self.cleared("source-identity", self.source_identity),
            base_url: self.cleared("base-url", self.base_url.clone()),
            sts_endpoint: self.cleared("sts-endpoint", self.sts_endpoint.clone()),
        }
    }

    /// A value given goes before `--clear` of the same setting.
    fn cleared<T>(&self, name: &str, value: Option<T>) -> Patch<T> {
        match value {
            None if self.clear.iter().any(|cleared| cleared == name) => Patch::Clear,
            value => set(value),
        }
    }
}

fn show(paint: Paint, layer: &Layer) -> String {
    let mut pairs = vec![("disabled", layer.disabled.to_string())];
    let mut add = |name, value: Option<String>| pairs.extend(value.map(|value| (name, value)));
    add("region", layer.region.clone());
    add("role", layer.role_arn.clone());
    add("session duration", layer.session_duration_seconds.map(|seconds| format!("{seconds} s")));
    add("models", layer.models.as_ref().map(names));
    add("allowed models", layer.allowed_models.as_ref().map(|list| list.join(" ")));
    add("session tags", layer.session_tags.map(|on| on.to_string()));
    add("source identity", layer.source_identity.map(|on| on.to_string()));
    add("base url", layer.base_url.clone());
    add("sts endpoint", layer.sts_endpoint.clone());
    add("external id", Some(layer.external_id.clone()));
    fields(paint, &pairs)
}

fn names(models: &BTreeMap<String, String>) -> String {
    models.iter().map(|(name, id)| format!("{name}={id}")).collect::<Vec<_>>().join(" ")
}

fn effective(paint: Paint, settings: &EffectiveSettings) -> String {
    fn row<T>(name: &str, sourced: Option<&Sourced<T>>, text: impl Fn(&T) -> String) -> [String; 3] {
        let (value, layer) = sourced.map(|said| (text(&said.value), said.layer.clone())).unwrap_or_default();
        [name.to_owned(), value, layer]
    }
    let rows = [
        row("region", settings.region.as_ref(), String::clone),
        row("role", settings.role_arn.as_ref(), String::clone),
        row("session duration", Some(&settings.session_duration_seconds), |seconds| format!("{seconds} s")),
        row("models", Some(&settings.models), names),
        row("allowed models", settings.allowed_models.as_ref(), |list| list.join(" ")),
        row("session tags", Some(&settings.session_tags), bool::to_string),
        row("source identity", Some(&settings.source_identity), bool::to_string),
        row("base url", settings.base_url.as_ref(), String::clone),
        row("sts endpoint", settings.sts_endpoint.as_ref(), String::clone),
    ];
    let mut text = table(paint, ["SETTING", "VALUE", "SAID BY"], rows);
    if let Some(layer) = &settings.disabled_by {
        text = format!("{text}\n\ninference is switched off by the {layer} settings");
    } else if let Some(fault) = &settings.fault {
        text = format!("{text}\n\ninference cannot run: {fault}");
    }
    text
}
