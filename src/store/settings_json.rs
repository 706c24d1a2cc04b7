//! A layer of provider settings as its column holds it: our own JSON, read back strictly.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::error::StoreError;
use crate::domain::endpoint::Endpoint;
use crate::domain::region::Region;
use crate::domain::role_arn::RoleArn;
use crate::domain::settings::{ModelId, ProviderLayer, SessionDuration};

const CORRUPT: StoreError = StoreError::Corrupt("provider settings");

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayerJson {
    disabled: bool,
    region: Option<String>,
    role_arn: Option<String>,
    session_duration_seconds: Option<u32>,
    models: Option<BTreeMap<String, String>>,
    allowed_models: Option<Vec<String>>,
    session_tags: Option<bool>,
    source_identity: Option<bool>,
    base_url: Option<String>,
    sts_endpoint: Option<String>,
}

pub(super) fn write(layer: &ProviderLayer) -> Result<String, StoreError> {
    let models = |models: &BTreeMap<String, ModelId>| {
        models.iter().map(|(name, model)| (name.clone(), model.to_string())).collect()
    };
    let json = LayerJson {
        disabled: layer.disabled,
        region: layer.region.as_ref().map(|region| region.as_str().to_owned()),
        role_arn: layer.role_arn.as_ref().map(|role| role.as_str().to_owned()),
        session_duration_seconds: layer.session_duration.map(SessionDuration::seconds),
        models: layer.models.as_ref().map(models),
        allowed_models: layer.allowed_models.as_ref().map(|list| list.iter().map(ToString::to_string).collect()),
        session_tags: layer.session_tags,
        source_identity: layer.source_identity,
        base_url: layer.base_url.as_ref().map(ToString::to_string),
        sts_endpoint: layer.sts_endpoint.as_ref().map(ToString::to_string),
    };
    serde_json::to_string(&json).map_err(|_| CORRUPT)
}

pub(super) fn read(text: &str) -> Result<ProviderLayer, StoreError> {
    let json: LayerJson = serde_json::from_str(text).map_err(|_| CORRUPT)?;
    layer(json).ok_or(CORRUPT)
}

fn layer(json: LayerJson) -> Option<ProviderLayer> {
    let models = |models: BTreeMap<String, String>| {
        models
            .into_iter()
            .map(|(name, model)| ModelId::parse(&model).map(|model| (name, model)))
            .collect::<Result<_, _>>()
    };
    let list = |list: Vec<String>| list.iter().map(|model| ModelId::parse(model)).collect::<Result<_, _>>();
    Some(ProviderLayer {
        disabled: json.disabled,
        region: json.region.map(|text| Region::parse(&text)).transpose().ok()?,
        role_arn: json.role_arn.map(|text| RoleArn::parse(&text)).transpose().ok()?,
        session_duration: json.session_duration_seconds.map(SessionDuration::new).transpose().ok()?,
        models: json.models.map(models).transpose().ok()?,
        allowed_models: json.allowed_models.map(list).transpose().ok()?,
        session_tags: json.session_tags,
        source_identity: json.source_identity,
        base_url: json.base_url.map(endpoint).transpose().ok()?,
        sts_endpoint: json.sts_endpoint.map(endpoint).transpose().ok()?,
    })
}

/// An endpoint was checked against the operator's list when it was written. The list belongs to each process:
/// whoever calls the endpoint checks it again there.
fn endpoint(text: String) -> Result<Endpoint, crate::domain::endpoint::EndpointError> {
    Endpoint::parse(&text, std::slice::from_ref(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_comes_back_as_it_went() {
        let model = ModelId::parse("anthropic.claude-3-haiku-20240307-v1:0").unwrap();
        let listed = ["http://127.0.0.1:4566".to_owned()];
        let full = ProviderLayer {
            disabled: true,
            region: Region::parse("us-east-1").ok(),
            role_arn: RoleArn::parse("arn:aws:iam::111122223333:role/x").ok(),
            session_duration: SessionDuration::new(900).ok(),
            models: Some(BTreeMap::from([("fast".to_owned(), model.clone())])),
            allowed_models: Some(vec![model]),
            session_tags: Some(true),
            source_identity: Some(false),
            base_url: Endpoint::parse(&listed[0], &listed).ok(),
            sts_endpoint: Endpoint::parse("https://sts.us-east-1.amazonaws.com", &[]).ok(),
        };
        assert!(full.base_url.is_some() && full.sts_endpoint.is_some());
        for layer in [full, ProviderLayer::default()] {
            assert_eq!(read(&write(&layer).unwrap()), Ok(layer));
        }
    }

    #[test]
    fn what_is_no_layer_is_corrupt() {
        let text = write(&ProviderLayer { region: Region::parse("us-east-1").ok(), ..Default::default() }).unwrap();
        for bad in ["", "{}", "[]", &text.replace("us-east-1", "US"), &text.replace("disabled", "enabled")] {
            assert_eq!(read(bad), Err(CORRUPT), "{bad}");
        }
    }
}
