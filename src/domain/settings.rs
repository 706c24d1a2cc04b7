//! Provider settings: with which role, region and models a team's inference runs, in layers.

use std::collections::BTreeMap;
use std::fmt;

use super::endpoint::Endpoint;
use super::region::Region;
use super::role_arn::RoleArn;

/// How long an STS session lasts: 900 to 43200 seconds (STS `DurationSeconds`); the role's own maximum
/// may be lower, which STS says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionDuration(u32);

/// A number that is no session duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 900 to 43200 seconds")]
pub struct SessionDurationError;

impl SessionDuration {
    /// Where the settings name none.
    pub const DEFAULT: Self = Self(3600);
    /// The longest that AWS lets any role allow.
    pub const MAX: Self = Self(43_200);

    /// Checks the bounds.
    pub fn new(seconds: u32) -> Result<Self, SessionDurationError> {
        if (900..=43_200).contains(&seconds) { Ok(Self(seconds)) } else { Err(SessionDurationError) }
    }

    /// Whole seconds.
    pub const fn seconds(self) -> u32 {
        self.0
    }
}

/// A Bedrock model id, inference profile id or ARN: 1 to 2048 characters of `[A-Za-z0-9.:/_-]`
/// (Bedrock `modelId`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId(Box<str>);

/// A text that is no model id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a model id, inference profile id or ARN: 1 to 2048 characters of A-Z, a-z, 0-9 and .:/_-")]
pub struct ModelIdError;

impl ModelId {
    /// Takes `text` for a model id, unchanged.
    pub fn parse(text: &str) -> Result<Self, ModelIdError> {
        let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'/' | b'_' | b'-');
        let dots = text.split('/').any(|segment| matches!(segment, "." | ".." | ""));
        if (1..=2048).contains(&text.len()) && text.bytes().all(ok) && !dots {
            Ok(Self(text.into()))
        } else {
            Err(ModelIdError)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What one layer says; absent inherits from the layer above.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderLayer {
    /// `true` switches inference off at this layer, and nothing falls through to another layer, whatever
    /// else the layers say. `false` is the same as saying nothing.
    pub disabled: bool,
    /// Region of STS and Bedrock.
    pub region: Option<Region>,
    /// The role of the first hop.
    pub role_arn: Option<RoleArn>,
    /// How long its sessions last.
    pub session_duration: Option<SessionDuration>,
    /// Names that callers may use for model ids.
    pub models: Option<BTreeMap<String, ModelId>>,
    /// Which models may be called; absent allows all that the role allows.
    pub allowed_models: Option<Vec<ModelId>>,
    /// Whether tokens for STS carry session tags.
    pub session_tags: Option<bool>,
    /// Whether tokens for STS carry a source identity.
    pub source_identity: Option<bool>,
    /// Bedrock, where it is not the regional default; set by the operator.
    pub base_url: Option<Endpoint>,
    /// STS, where it is not the regional default; set by the operator.
    pub sts_endpoint: Option<Endpoint>,
}

/// Where a layer stands; later layers win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// The team's own settings.
    Team,
    /// Those of one service account.
    ServiceAccount,
    /// Those of one run.
    Run,
}

/// A value and the layer that said it; `None` where it is our default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Who said it.
    pub layer: Option<Layer>,
}

/// What the layers come to for one principal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveSettings {
    /// The layer that switched inference off, if one did.
    pub disabled_by: Option<Layer>,
    /// Region of STS and Bedrock.
    pub region: Option<Sourced<Region>>,
    /// The role of the first hop.
    pub role_arn: Option<Sourced<RoleArn>>,
    /// How long its sessions last.
    pub session_duration: Sourced<SessionDuration>,
    /// Names that callers may use for model ids.
    pub models: Sourced<BTreeMap<String, ModelId>>,
    /// Which models may be called; `None` allows all that the role allows.
    pub allowed_models: Option<Sourced<Vec<ModelId>>>,
    /// Whether tokens for STS carry session tags.
    pub session_tags: Sourced<bool>,
    /// Whether tokens for STS carry a source identity.
    pub source_identity: Sourced<bool>,
    /// Bedrock, where it is not the regional default.
    pub base_url: Option<Sourced<Endpoint>>,
    /// STS, where it is not the regional default.
    pub sts_endpoint: Option<Sourced<Endpoint>>,
}

/// Why inference cannot run under some effective settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SettingsFault {
    /// A layer says `disabled`.
    #[error("inference is switched off for this principal by the {0} settings")]
    Disabled(Layer),
    /// No layer names a role.
    #[error("the provider settings name no role_arn")]
    NoRole,
    /// No layer names a region.
    #[error("the provider settings name no region")]
    NoRegion,
    /// Role and region lie in different partitions.
    #[error("the provider settings' region does not lie in the partition of their role_arn")]
    Partition,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Team => "team",
            Self::ServiceAccount => "service_account",
            Self::Run => "run",
        })
    }
}

impl EffectiveSettings {
    /// Folds the layers, given in any order, each at most once.
    pub fn of(layers: &[(Layer, &ProviderLayer)]) -> Self {
        let mut layers = layers.to_vec();
        layers.sort_by_key(|(layer, _)| std::cmp::Reverse(*layer));
        Self {
            disabled_by: layers.iter().rev().find(|(_, said)| said.disabled).map(|(layer, _)| *layer),
            region: first(&layers, |said| said.region.clone()),
            role_arn: first(&layers, |said| said.role_arn.clone()),
            session_duration: or(first(&layers, |said| said.session_duration), SessionDuration::DEFAULT),
            models: or(first(&layers, |said| said.models.clone()), BTreeMap::new()),
            allowed_models: first(&layers, |said| said.allowed_models.clone()),
            session_tags: or(first(&layers, |said| said.session_tags), false),
            source_identity: or(first(&layers, |said| said.source_identity), false),
            base_url: first(&layers, |said| said.base_url.clone()),
            sts_endpoint: first(&layers, |said| said.sts_endpoint.clone()),
        }
    }

    /// The same in a run whose opener said `run`: what it said is fixed for the run, what it left open is not.
    ///
    /// Values come from the run, permission does not: of its models only those count that are allowed outside now,
    /// its sessions last no longer than outside, and tags and source identity that are on outside stay on. Whether
    /// the principal may name the run's role, the policy decides.
    #[must_use]
    pub fn in_run(&self, run: &ProviderLayer) -> Self {
        let here = |on: bool| Sourced { value: on, layer: Some(Layer::Run) };
        let own = |model: &ModelId| self.allows(model);
        let narrowed =
            run.allowed_models.as_ref().map(|list| list.iter().filter(|model| own(model)).cloned().collect());
        let shorter = run.session_duration.filter(|duration| *duration < self.session_duration.value);
        Self {
            disabled_by: self.disabled_by.or_else(|| run.disabled.then_some(Layer::Run)),
            region: said(run.region.clone()).or_else(|| self.region.clone()),
            role_arn: said(run.role_arn.clone()).or_else(|| self.role_arn.clone()),
            session_duration: said(shorter).unwrap_or(self.session_duration),
            models: said(run.models.clone()).unwrap_or_else(|| self.models.clone()),
            allowed_models: said(narrowed).or_else(|| self.allowed_models.clone()),
            session_tags: if run.session_tags == Some(true) { here(true) } else { self.session_tags },
            source_identity: if run.source_identity == Some(true) { here(true) } else { self.source_identity },
            base_url: self.base_url.clone(),
            sts_endpoint: self.sts_endpoint.clone(),
        }
    }

    /// Whether `model` may be called, by its id or ARN.
    pub fn allows(&self, model: &ModelId) -> bool {
        self.allowed_models.as_ref().is_none_or(|list| list.value.contains(model))
    }

    /// Role and region of the first hop, or why there is none.
    pub fn first_hop(&self) -> Result<(&RoleArn, &Region), SettingsFault> {
        if let Some(layer) = self.disabled_by {
            return Err(SettingsFault::Disabled(layer));
        }
        let role = &self.role_arn.as_ref().ok_or(SettingsFault::NoRole)?.value;
        let region = &self.region.as_ref().ok_or(SettingsFault::NoRegion)?.value;
        if role.is_reachable_from(region) { Ok((role, region)) } else { Err(SettingsFault::Partition) }
    }
}

fn first<T>(layers: &[(Layer, &ProviderLayer)], value: impl Fn(&ProviderLayer) -> Option<T>) -> Option<Sourced<T>> {
    layers.iter().find_map(|(layer, said)| Some(Sourced { value: value(said)?, layer: Some(*layer) }))
}

fn said<T>(value: Option<T>) -> Option<Sourced<T>> {
    value.map(|value| Sourced { value, layer: Some(Layer::Run) })
}

fn or<T>(said: Option<Sourced<T>>, default: T) -> Sourced<T> {
    said.unwrap_or(Sourced { value: default, layer: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(name: &str) -> RoleArn {
        RoleArn::parse(&format!("arn:aws:iam::111122223333:role/{name}")).unwrap()
    }

    #[test]
    fn absent_inherits_and_the_nearer_layer_wins() {
        let team = ProviderLayer {
            role_arn: Some(role("team")),
            region: Some(Region::parse("us-east-1").unwrap()),
            session_tags: Some(true),
            ..Default::default()
        };
        let agent = ProviderLayer { role_arn: Some(role("agent")), ..Default::default() };
        let settings = EffectiveSettings::of(&[(Layer::Team, &team), (Layer::ServiceAccount, &agent)]);
        assert_eq!(settings.role_arn, Some(Sourced { value: role("agent"), layer: Some(Layer::ServiceAccount) }));
        assert_eq!(settings.session_tags, Sourced { value: true, layer: Some(Layer::Team) });
        assert_eq!(settings.source_identity, Sourced { value: false, layer: None });
        assert_eq!(settings.first_hop().map(|(role, _)| role.name()), Ok("agent"));
    }

    #[test]
    fn disabled_at_any_layer_switches_off_whatever_else_is_said() {
        let off = ProviderLayer { disabled: true, role_arn: Some(role("x")), ..Default::default() };
        let on = ProviderLayer {
            role_arn: Some(role("y")),
            region: Some(Region::parse("us-east-1").unwrap()),
            ..Default::default()
        };
        for (layers, by) in [
            ([(Layer::Team, &off), (Layer::ServiceAccount, &on)], Layer::Team),
            ([(Layer::Team, &on), (Layer::ServiceAccount, &off)], Layer::ServiceAccount),
        ] {
            assert_eq!(EffectiveSettings::of(&layers).first_hop(), Err(SettingsFault::Disabled(by)));
        }
    }

    #[test]
    fn a_run_fixes_values_and_widens_nothing() {
        let model = |name: &str| ModelId::parse(name).unwrap();
        let seconds = |seconds| SessionDuration::new(seconds).ok();
        let team = ProviderLayer {
            role_arn: Some(role("team")),
            region: Region::parse("us-east-1").ok(),
            session_duration: seconds(1800),
            allowed_models: Some(vec![model("a"), model("b")]),
            session_tags: Some(true),
            ..Default::default()
        };
        let run = ProviderLayer {
            role_arn: Some(role("run")),
            session_duration: seconds(3600),
            allowed_models: Some(vec![model("b"), model("c")]),
            session_tags: Some(false),
            source_identity: Some(true),
            ..Default::default()
        };
        let outside = EffectiveSettings::of(&[(Layer::Team, &team)]);
        let inside = outside.in_run(&run);
        assert_eq!(inside.role_arn, Some(Sourced { value: role("run"), layer: Some(Layer::Run) }));
        assert_eq!(inside.region, outside.region);
        assert_eq!(inside.session_duration, outside.session_duration);
        assert_eq!(inside.allowed_models.as_ref().map(|list| list.value.clone()), Some(vec![model("b")]));
        assert_eq!((inside.session_tags.value, inside.session_tags.layer), (true, Some(Layer::Team)));
        assert_eq!(inside.source_identity, Sourced { value: true, layer: Some(Layer::Run) });
        let shorter = ProviderLayer { session_duration: seconds(900), ..Default::default() };
        assert_eq!(outside.in_run(&shorter).session_duration.value.seconds(), 900);
        assert_eq!(outside.in_run(&ProviderLayer::default()), outside);
        let off = ProviderLayer { disabled: true, ..Default::default() };
        assert_eq!(outside.in_run(&off).first_hop(), Err(SettingsFault::Disabled(Layer::Run)));
        let outside_off = EffectiveSettings::of(&[(Layer::Team, &ProviderLayer { disabled: true, ..team })]);
        assert_eq!(outside_off.in_run(&run).disabled_by, Some(Layer::Team));
    }

    #[test]
    fn role_and_region_need_each_other() {
        let fault = |layer: ProviderLayer| EffectiveSettings::of(&[(Layer::Team, &layer)]).first_hop().map(|_| ());
        let region = |text| Some(Region::parse(text).unwrap());
        assert_eq!(fault(ProviderLayer::default()), Err(SettingsFault::NoRole));
        let role = Some(role("x"));
        assert_eq!(fault(ProviderLayer { role_arn: role.clone(), ..Default::default() }), Err(SettingsFault::NoRegion));
        assert_eq!(
            fault(ProviderLayer { role_arn: role, region: region("cn-north-1"), ..Default::default() }),
            Err(SettingsFault::Partition)
        );
        assert_eq!(
            fault(ProviderLayer { region: region("cn-north-1"), ..Default::default() }),
            Err(SettingsFault::NoRole)
        );
    }

    #[test]
    fn model_ids_and_durations_have_bounds() {
        for good in [
            "anthropic.claude-3-haiku-20240307-v1:0",
            "us.x-v1:0",
            "arn:aws:bedrock:us-east-1:1:inference-profile/us.x",
        ] {
            assert_eq!(ModelId::parse(good).map(|m| m.to_string()).as_deref(), Ok(good));
        }
        for bad in ["", "a b", "a%2Fb", "../x", "a/../b", "a//b", "a?b", "a#b", "é"] {
            assert_eq!(ModelId::parse(bad), Err(ModelIdError), "{bad:?}");
        }
        assert_eq!(SessionDuration::new(899), Err(SessionDurationError));
        assert_eq!(SessionDuration::new(43_201), Err(SessionDurationError));
        assert_eq!(SessionDuration::new(900).map(SessionDuration::seconds), Ok(900));
    }
}
