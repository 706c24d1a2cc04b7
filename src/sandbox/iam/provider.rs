//! OIDC providers as IAM keeps them.

use std::collections::BTreeMap;

use super::date;
use crate::sandbox::account::{Provider, State};
use crate::sandbox::error::AwsError;
use crate::sandbox::parts::Sandbox;
use crate::sandbox::query::Query;
use crate::sandbox::xml::Element;

const CLIENT_IDS_MAX: usize = 100;
const TAGS_MAX: usize = 50;

/// What a registration brings, by call or from the configuration.
pub(in crate::sandbox) struct Registration<'a> {
    pub(in crate::sandbox) url: &'a str,
    pub(in crate::sandbox) client_ids: Vec<&'a str>,
    pub(in crate::sandbox) thumbprints: Vec<&'a str>,
    pub(in crate::sandbox) tags: Vec<(String, String)>,
}

impl Registration<'_> {
    /// Checks the rules and registers the provider; its ARN.
    pub(in crate::sandbox) fn register(self, sandbox: &Sandbox, state: &mut State) -> Result<String, AwsError> {
        if self.url.is_empty() || self.url.chars().count() > 255 {
            let (edge, bound) = if self.url.is_empty() { ("greater", 1) } else { ("less", 255) };
            let rule = format!("Member must have length {edge} than or equal to {bound}");
            return Err(AwsError::constraint(self.url, "url", &rule));
        }
        let (scheme, url) = registered_url(self.url, sandbox.loopback_issuers)?;
        let client_ids = client_ids(&self.client_ids)?;
        let thumbprints = if self.thumbprints.is_empty() {
            // IAM then fetches the certificate itself; the stand-in has no chain to look at.
            vec!["0".repeat(40)]
        } else {
            thumbprints(&self.thumbprints)?
        };
        let tags = tags(BTreeMap::new(), self.tags)?;
        let arn = format!("arn:aws:iam::{}:oidc-provider/{url}", sandbox.account_id);
        if state.providers.contains_key(&arn) {
            let message = format!("Provider with url {scheme}{url} already exists.");
            return Err(AwsError::new(409, "EntityAlreadyExists", message));
        }
        let created_at = sandbox.clock.now();
        state.providers.insert(arn.clone(), Provider { url, scheme, client_ids, thumbprints, tags, created_at });
        Ok(arn)
    }
}

/// What IAM keeps of a URL: everything after the scheme as it is, case and trailing slash included, less a default port.
fn registered_url(url: &str, loopback_issuers: bool) -> Result<(&'static str, String), AwsError> {
    let invalid = || AwsError::validation("Invalid Open ID Connect Provider URL");
    let unknown = || AwsError::new(400, "InvalidInput", "Unknown");
    let loopback = |authority: &str| {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        matches!(host, "127.0.0.1" | "localhost" | "[::1]")
    };
    let (scheme, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => ("https://", rest),
        (None, Some(rest)) if loopback_issuers && loopback(rest.split('/').next().unwrap_or_default()) => {
            ("http://", rest)
        }
        _ => return Err(invalid()),
    };
    if rest.contains(['?', '#']) {
        return Err(unknown());
    }
    if rest.is_empty()
        || rest.starts_with(['/', ':'])
        || rest.contains(|c: char| c.is_whitespace() || c.is_control() || c == '@' || c == '\\')
    {
        return Err(invalid());
    }
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    let authority = authority.strip_suffix(":443").filter(|_| scheme == "https://").unwrap_or(authority);
    Ok((scheme, format!("{authority}{path}")))
}

/// Each 1..255 characters; repetitions go, order stays; at most 100 remain.
fn client_ids(given: &[&str]) -> Result<Vec<String>, AwsError> {
    let mut kept: Vec<String> = Vec::new();
    for id in given {
        if !(1..=255).contains(&id.chars().count()) {
            let rule = "Member must satisfy constraint: [Member must have length less than or equal to 255, Member must have length greater than or equal to 1]";
            return Err(AwsError::constraint(&format!("[{}]", given.join(", ")), "clientIDList", rule));
        }
        if !kept.iter().any(|known| known == id) {
            kept.push((*id).to_owned());
        }
    }
    if kept.len() > CLIENT_IDS_MAX { Err(too_many_client_ids()) } else { Ok(kept) }
}

fn too_many_client_ids() -> AwsError {
    AwsError::new(409, "LimitExceeded", "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100")
}

/// 40 characters each, small letters; at most five (AWS's sentence says otherwise).
fn thumbprints(given: &[&str]) -> Result<Vec<String>, AwsError> {
    if given.is_empty() {
        return Err(AwsError::new(400, "InvalidInput", "Thumbprint list must contain at least one entry."));
    }
    if given.iter().any(|thumbprint| thumbprint.chars().count() != 40) {
        let rule = "Member must satisfy constraint: [Member must have length less than or equal to 40, Member must have length greater than or equal to 40]";
        return Err(AwsError::constraint(&format!("[{}]", given.join(", ")), "thumbprintList", rule));
    }
    if given.len() > 5 {
        return Err(AwsError::new(400, "InvalidInput", "Thumbprint list must contain fewer than 5 entries."));
    }
    Ok(given.iter().map(|thumbprint| thumbprint.to_lowercase()).collect())
}

/// Keys are case-sensitive on providers; a key given again takes the new value.
fn tags(
    mut known: BTreeMap<String, String>,
    given: Vec<(String, String)>,
) -> Result<BTreeMap<String, String>, AwsError> {
    for (key, value) in given {
        if !(1..=128).contains(&key.chars().count()) || value.chars().count() > 256 {
            return Err(AwsError::constraint(&key, "tags", "Member must have length less than or equal to 128"));
        }
        known.insert(key, value);
    }
    if known.len() > TAGS_MAX {
        return Err(AwsError::new(409, "LimitExceeded", "The number of tags has reached the maximum limit."));
    }
    Ok(known)
}

pub(super) fn create(sandbox: &Sandbox, state: &mut State, query: &Query) -> Result<Element, AwsError> {
    let registration = Registration {
        url: query.required("Url", 1, 255)?,
        client_ids: query.list("ClientIDList"),
        thumbprints: query.list("ThumbprintList"),
        tags: query.tags("Tags"),
    };
    let echoed = query.tags("Tags");
    let arn = registration.register(sandbox, state)?;
    let result = Element::new("CreateOpenIDConnectProviderResult").text("OpenIDConnectProviderArn", arn);
    Ok(if echoed.is_empty() { result } else { result.child(tag_list("Tags", &echoed)) })
}

pub(super) fn get(state: &mut State, query: &Query) -> Result<Element, AwsError> {
    let provider = find(state, query)?;
    let members =
        |name, values: &[String]| values.iter().fold(Element::new(name), |list, value| list.text("member", value));
    let tags: Vec<_> = provider.tags.clone().into_iter().collect();
    Ok(Element::new("GetOpenIDConnectProviderResult")
        .text("Url", &provider.url)
        .text("CreateDate", date(provider.created_at))
        .child(members("ClientIDList", &provider.client_ids))
        .child(members("ThumbprintList", &provider.thumbprints))
        .child(tag_list("Tags", &tags)))
}

pub(super) fn list(state: &State) -> Element {
    let members = state.providers.keys().map(|arn| Element::new("member").text("Arn", arn));
    Element::new("ListOpenIDConnectProvidersResult").child(Element::new("OpenIDConnectProviderList").children(members))
}

pub(super) fn delete(state: &mut State, query: &Query) -> Result<(), AwsError> {
    let arn = query.required("OpenIDConnectProviderArn", 20, 2048)?;
    match state.providers.remove(arn) {
        Some(_) => Ok(()),
        None => Err(AwsError::new(404, "NoSuchEntity", format!("OpenId connect Provider {arn} cannot be found."))),
    }
}

pub(super) fn add_client_id(state: &mut State, query: &Query) -> Result<(), AwsError> {
    let client_id = query.required("ClientID", 1, 255)?.to_owned();
    let provider = find(state, query)?;
    if provider.client_ids.contains(&client_id) {
        return Ok(());
    }
    if provider.client_ids.len() >= CLIENT_IDS_MAX {
        return Err(too_many_client_ids());
    }
    provider.client_ids.push(client_id);
    Ok(())
}

pub(super) fn remove_client_id(state: &mut State, query: &Query) -> Result<(), AwsError> {
    let client_id = query.required("ClientID", 1, 255)?.to_owned();
    find(state, query)?.client_ids.retain(|known| *known != client_id);
    Ok(())
}

pub(super) fn update_thumbprints(state: &mut State, query: &Query) -> Result<(), AwsError> {
    let thumbprints = thumbprints(&query.list("ThumbprintList"))?;
    find(state, query)?.thumbprints = thumbprints;
    Ok(())
}

pub(super) fn tag(state: &mut State, query: &Query) -> Result<(), AwsError> {
    let provider = find(state, query)?;
    provider.tags = tags(provider.tags.clone(), query.tags("Tags"))?;
    Ok(())
}

pub(super) fn untag(state: &mut State, query: &Query) -> Result<(), AwsError> {
    let keys = query.list("TagKeys");
    find(state, query)?.tags.retain(|key, _| !keys.contains(&key.as_str()));
    Ok(())
}

pub(super) fn list_tags(state: &mut State, query: &Query) -> Result<Element, AwsError> {
    let tags: Vec<_> = find(state, query)?.tags.clone().into_iter().collect();
    Ok(Element::new("ListOpenIDConnectProviderTagsResult").child(tag_list("Tags", &tags)).text("IsTruncated", "false"))
}

pub(super) fn tag_list(name: &'static str, tags: &[(String, String)]) -> Element {
    let members = tags.iter().map(|(key, value)| Element::new("member").text("Key", key).text("Value", value));
    Element::new(name).children(members)
}

fn find<'s>(state: &'s mut State, query: &Query) -> Result<&'s mut Provider, AwsError> {
    let arn = query.required("OpenIDConnectProviderArn", 20, 2048)?;
    state
        .providers
        .get_mut(arn)
        .ok_or_else(|| AwsError::new(404, "NoSuchEntity", format!("OpenIDConnect Provider not found for arn {arn}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for (url, kept) in [
            ("https://a.example", Ok("a.example")),
            ("https://A.example/Path/", Ok("A.example/Path/")),
            ("https://a.example:443", Ok("a.example")),
            ("https://a.example:443/p", Ok("a.example/p")),
            ("https://a.example:8443/p", Ok("a.example:8443/p")),
            ("https://a.example/?q=1", Err("Unknown")),
            ("https://a.example#x", Err("Unknown")),
            ("http://a.example", Err("Invalid Open ID Connect Provider URL")),
            ("http://127.0.0.1:1", Err("Invalid Open ID Connect Provider URL")),
            ("https://", Err("Invalid Open ID Connect Provider URL")),
            ("https:///p", Err("Invalid Open ID Connect Provider URL")),
            ("https://user@a.example", Err("Invalid Open ID Connect Provider URL")),
            ("a.example", Err("Invalid Open ID Connect Provider URL")),
        ] {
            let read = registered_url(url, false).map(|(_, url)| url).map_err(|error| error.message);
            assert_eq!(read, kept.map(str::to_owned).map_err(str::to_owned), "{url}");
        }
        assert_eq!(registered_url("http://127.0.0.1:1/t/x", true).unwrap(), ("http://", "127.0.0.1:1/t/x".to_owned()));
        assert!(registered_url("http://127.0.0.1.evil.example/", true).is_err());
    }
}
