//! The effective settings of a caller, as this worker takes them from the issuer's answer.

use std::collections::BTreeMap;

use super::error::WorkerError;
use super::refusal::Refusal;
use crate::aws::{bedrock, sts};
use crate::domain::endpoint::{Endpoint, EndpointError};
use crate::domain::region::Region;
use crate::domain::role_arn::RoleArn;
use crate::domain::settings::{ModelId, SessionDuration};
use crate::wire::exchange::WorkerSettings;

/// Settings whose every value was checked here again: they decide whom this host connects to and with what, so the
/// issuer's word alone is not enough (threat 35).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settings {
    /// Region of STS and Bedrock, in the partition of the role.
    pub(super) region: Region,
    /// The role of the first hop.
    pub(super) role: RoleArn,
    /// How long its sessions last.
    pub(super) duration: SessionDuration,
    /// Whether identity tokens carry session tags.
    pub(super) session_tags: bool,
    /// Whether they carry a source identity.
    pub(super) source_identity: bool,
    /// Which STS is called.
    pub(super) sts_endpoint: Box<str>,
    /// Which Bedrock is called.
    pub(super) bedrock_endpoint: Box<str>,
    models: BTreeMap<String, ModelId>,
    allowed: Option<Vec<ModelId>>,
}

impl Settings {
    /// Checks what the issuer sent. `listed` are the endpoints that this worker's operator allows beside AWS's own.
    pub(super) fn read(sent: &WorkerSettings, listed: &[String]) -> Result<Self, WorkerError> {
        let region = Region::parse(&sent.region).map_err(|error| unusable("region", error))?;
        let role = RoleArn::parse(&sent.role_arn).map_err(|error| unusable("role_arn", error))?;
        if !role.is_reachable_from(&region) {
            let detail = format!("region {region} does not lie in the partition of {role}");
            return Err(WorkerError::refused(Refusal::ProviderMisconfigured, detail));
        }
        let endpoint = |field: &str, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| Endpoint::parse(text, listed).map_err(|error| foreign(field, error))).transpose()
        };
        let (base_url, sts_endpoint) =
            (endpoint("base_url", &sent.base_url)?, endpoint("sts_endpoint", &sent.sts_endpoint)?);
        let model = |text: &String| ModelId::parse(text).map_err(|error| unusable("models", error));
        let named = |(name, text): (&String, &String)| Ok((name.clone(), model(text)?));
        Ok(Self {
            sts_endpoint: sts::endpoint(&region, sts_endpoint.as_ref()).into(),
            bedrock_endpoint: bedrock::endpoint(&region, base_url.as_ref()).into(),
            region,
            role,
            duration: SessionDuration::new(sent.session_duration_seconds)
                .map_err(|error| unusable("session_duration_seconds", error))?,
            session_tags: sent.session_tags,
            source_identity: sent.source_identity,
            models: sent.models.iter().map(named).collect::<Result<_, WorkerError>>()?,
            allowed: sent.allowed_models.as_ref().map(|list| list.iter().map(model).collect()).transpose()?,
        })
    }

    /// The model that `asked` means: a name of the settings, or an id or ARN itself. What it comes to must be on
    /// the list, where there is one.
    pub(super) fn model(&self, asked: &str) -> Result<ModelId, WorkerError> {
        let model = match self.models.get(asked) {
            Some(named) => named.clone(),
            None => ModelId::parse(asked).map_err(|error| {
                WorkerError::refused(Refusal::ModelInvalid, format!("the model of the path {error}"))
            })?,
        };
        match &self.allowed {
            Some(list) if !list.contains(&model) => {
                Err(WorkerError::refused(Refusal::ModelNotAllowed, format!("{model} is not in allowed_models")))
            }
            _ => Ok(model),
        }
    }
}

fn unusable(field: &str, error: impl std::fmt::Display) -> WorkerError {
    WorkerError::refused(Refusal::SettingsUnusable, format!("{field} {error}"))
}

fn foreign(field: &str, error: EndpointError) -> WorkerError {
    WorkerError::refused(Refusal::EndpointNotAllowed, format!("{field} {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> WorkerSettings {
        WorkerSettings {
            region: "us-east-1".into(),
            role_arn: "arn:aws:iam::111122223333:role/bedrock".into(),
            session_duration_seconds: 3600,
            models: BTreeMap::from([("sonnet".into(), "us.anthropic.sonnet-v1:0".into())]),
            allowed_models: None,
            session_tags: false,
            source_identity: false,
            base_url: None,
            sts_endpoint: None,
        }
    }

    fn refusal<T>(result: Result<T, WorkerError>) -> Option<Refusal> {
        match result {
            Err(WorkerError::Refused { why, .. }) => Some(why),
            _ => None,
        }
    }

    #[test]
    fn endpoints_are_the_regional_ones_of_the_partition() {
        let settings = Settings::read(&sent(), &[]).unwrap();
        assert_eq!(&*settings.sts_endpoint, "https://sts.us-east-1.amazonaws.com");
        assert_eq!(&*settings.bedrock_endpoint, "https://bedrock-runtime.us-east-1.amazonaws.com");
    }

    #[test]
    fn threat_35_the_worker_checks_again_what_the_issuer_sends() {
        type Change = fn(&mut WorkerSettings);
        let changes: [(Change, Refusal); 10] = [
            (|sent| sent.region = "us-east-1.evil.example".into(), Refusal::SettingsUnusable),
            (|sent| sent.region = "us-east-1/@evil.example".into(), Refusal::SettingsUnusable),
            (|sent| sent.region = "cn-north-1".into(), Refusal::ProviderMisconfigured),
            (|sent| sent.role_arn = "arn:aws:iam::1:role/x".into(), Refusal::SettingsUnusable),
            (|sent| sent.session_duration_seconds = 60, Refusal::SettingsUnusable),
            (|sent| sent.base_url = Some("https://evil.example".into()), Refusal::EndpointNotAllowed),
            (|sent| sent.base_url = Some("http://169.254.169.254".into()), Refusal::EndpointNotAllowed),
            (|sent| sent.sts_endpoint = Some("http://127.0.0.1:4567".into()), Refusal::EndpointNotAllowed),
            (
                |sent| sent.sts_endpoint = Some("https://sts.amazonaws.com@evil.example".into()),
                Refusal::EndpointNotAllowed,
            ),
            (|sent| sent.models.extend([("x".into(), "../x".into())]), Refusal::SettingsUnusable),
        ];
        for (change, why) in changes {
            let mut sent = sent();
            change(&mut sent);
            assert_eq!(refusal(Settings::read(&sent, &["http://127.0.0.1:4566".into()])), Some(why), "{sent:?}");
        }
        let mut sent = sent();
        sent.sts_endpoint = Some("http://127.0.0.1:4566".into());
        assert!(Settings::read(&sent, &["http://127.0.0.1:4566".into()]).is_ok());
    }

    #[test]
    fn a_name_means_its_model_and_the_list_is_asked_about_what_it_means() {
        let mut sent = sent();
        sent.allowed_models = Some(vec!["us.anthropic.sonnet-v1:0".into()]);
        let settings = Settings::read(&sent, &[]).unwrap();
        for asked in ["sonnet", "us.anthropic.sonnet-v1:0"] {
            assert_eq!(settings.model(asked).unwrap().as_str(), "us.anthropic.sonnet-v1:0");
        }
        for (asked, why) in [
            ("us.anthropic.opus-v1:0", Refusal::ModelNotAllowed),
            ("US.anthropic.sonnet-v1:0", Refusal::ModelNotAllowed),
            ("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.sonnet-v1:0", Refusal::ModelNotAllowed),
            ("../x", Refusal::ModelInvalid),
            ("", Refusal::ModelInvalid),
            ("a b", Refusal::ModelInvalid),
        ] {
            assert_eq!(refusal(settings.model(asked)), Some(why), "{asked:?}");
        }
    }
}
