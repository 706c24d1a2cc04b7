//! Which models there are, under which names, and what calling one touches.

use std::collections::{BTreeMap, BTreeSet};

/// Base models known without configuration.
const BUILT_IN: &[&str] = &[
    "anthropic.claude-3-haiku-20240307-v1:0",
    "anthropic.claude-3-5-sonnet-20241022-v2:0",
    "anthropic.claude-3-7-sonnet-20250219-v1:0",
    "anthropic.claude-sonnet-4-20250514-v1:0",
    "anthropic.claude-sonnet-4-5-20250929-v1:0",
    "anthropic.claude-haiku-4-5-20251001-v1:0",
    "anthropic.claude-opus-4-1-20250805-v1:0",
    "amazon.nova-micro-v1:0",
    "amazon.nova-lite-v1:0",
    "amazon.nova-pro-v1:0",
    "meta.llama3-1-8b-instruct-v1:0",
];

/// Where each geography's profiles may route to.
const GEOGRAPHIES: &[(&str, &[&str])] = &[
    ("us", &["us-east-1", "us-east-2", "us-west-2"]),
    ("eu", &["eu-central-1", "eu-north-1", "eu-west-1", "eu-west-3"]),
    ("apac", &["ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2"]),
    ("us-gov", &["us-gov-east-1", "us-gov-west-1"]),
];

/// The models and profiles there are.
#[derive(Debug)]
pub(super) struct Catalogue {
    models: BTreeSet<String>,
    application_profiles: BTreeMap<String, String>,
}

/// A model called by some name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Model {
    /// The base id.
    pub(super) id: String,
    /// Everything the caller needs permission for.
    pub(super) resources: Vec<Resource>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Resource {
    pub(super) arn: String,
    /// The profile that leads to it.
    pub(super) through: Option<String>,
}

impl Resource {
    /// A foundation model without a region, as global profiles reach it.
    pub(super) fn is_unbound(&self) -> bool {
        self.arn.starts_with("arn:aws:bedrock:::")
    }
}

impl Catalogue {
    pub(super) fn new(models: &[String], application_profiles: BTreeMap<String, String>) -> Self {
        let models = BUILT_IN.iter().map(|id| (*id).to_owned()).chain(models.iter().cloned()).collect();
        Self { models, application_profiles }
    }

    /// The model of a base id, a profile id or an ARN, as called in `region` by `account`.
    pub(super) fn find(&self, name: &str, region: &str, account: &str) -> Option<Model> {
        let parts: Vec<&str> = name.splitn(6, ':').collect();
        match parts[..] {
            ["arn", partition, "bedrock", at, owner, resource] => {
                if at != region || !partition.starts_with("aws") {
                    return None;
                }
                match (resource.split_once('/')?, owner) {
                    (("foundation-model", id), "") => self.base(id, region),
                    (("inference-profile", id), owner) if owner == account => self.profile(id, region, account),
                    (("application-inference-profile", id), owner) if owner == account => {
                        let model = self.base(self.application_profiles.get(id)?, region)?;
                        Some(through(name.to_owned(), model.id, &[region]))
                    }
                    _ => None,
                }
            }
            _ => self.base(name, region).or_else(|| self.profile(name, region, account)),
        }
    }

    fn base(&self, id: &str, region: &str) -> Option<Model> {
        let id = self.models.get(id)?.clone();
        let arn = foundation_model(region, &id);
        Some(Model { id, resources: vec![Resource { arn, through: None }] })
    }

    /// A cross-region profile: the profile itself, and the model in every region it may route to.
    fn profile(&self, name: &str, region: &str, account: &str) -> Option<Model> {
        let (geography, id) = name.split_once('.')?;
        let id = self.models.get(id)?.clone();
        let profile = format!("arn:aws:bedrock:{region}:{account}:inference-profile/{name}");
        if geography == "global" {
            return Some(through(profile, id, &[region, ""]));
        }
        let (_, regions) =
            GEOGRAPHIES.iter().find(|(known, regions)| *known == geography && regions.contains(&region))?;
        Some(through(profile, id, regions))
    }
}

fn through(profile: String, id: String, regions: &[&str]) -> Model {
    let models =
        regions.iter().map(|region| Resource { arn: foundation_model(region, &id), through: Some(profile.clone()) });
    let resources = std::iter::once(Resource { arn: profile.clone(), through: None }).chain(models).collect();
    Model { id, resources }
}

fn foundation_model(region: &str, id: &str) -> String {
    format!("arn:aws:bedrock:{region}::foundation-model/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_what_they_touch() {
        let catalogue = Catalogue::new(&[], BTreeMap::from([("p1".to_owned(), "amazon.nova-lite-v1:0".to_owned())]));
        let haiku = "anthropic.claude-3-haiku-20240307-v1:0";
        let arns = |name: &str| {
            let model = catalogue.find(name, "us-east-1", "111122223333")?;
            Some(model.resources.into_iter().map(|resource| resource.arn).collect::<Vec<_>>())
        };
        let base = format!("arn:aws:bedrock:us-east-1::foundation-model/{haiku}");
        assert_eq!(arns(haiku), Some(vec![base.clone()]));
        assert_eq!(arns(&base), Some(vec![base.clone()]));
        let profile = format!("arn:aws:bedrock:us-east-1:111122223333:inference-profile/us.{haiku}");
        assert_eq!(arns(&format!("us.{haiku}")), arns(&profile));
        assert_eq!(arns(&profile).unwrap().len(), 4);
        assert_eq!(
            arns(&format!("global.{haiku}")).unwrap()[1..],
            [base, format!("arn:aws:bedrock:::foundation-model/{haiku}")]
        );
        assert_eq!(arns("arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/p1").unwrap().len(), 2);
        for unknown in [
            "",
            "nothing",
            "eu.anthropic.claude-3-haiku-20240307-v1:0",
            "arn:aws:bedrock:eu-west-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0",
            "arn:aws:bedrock:us-east-1:444455556666:inference-profile/us.anthropic.claude-3-haiku-20240307-v1:0",
            "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/p2",
        ] {
            assert_eq!(arns(unknown), None, "{unknown}");
        }
    }
}
