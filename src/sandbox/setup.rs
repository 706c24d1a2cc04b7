//! Providers and roles without a call: from the configuration, or through the typed handle.

use super::config::{ConfigError, ProviderConfig, RoleConfig};
use super::error::AwsError;
use super::iam::{NewRole, Registration, attach};
use super::parts::Sandbox;

/// Registers a provider and where its documents are read; its ARN.
pub(super) fn provider(sandbox: &Sandbox, provider: &ProviderConfig) -> Result<String, ConfigError> {
    let registration = Registration {
        url: &provider.url,
        client_ids: provider.client_ids.iter().map(String::as_str).collect(),
        thumbprints: provider.thumbprints.iter().map(String::as_str).collect(),
        tags: Vec::new(),
    };
    let mut state = sandbox.account.lock();
    let arn = registration.register(sandbox, &mut state).map_err(|error| refused("", error))?;
    if let Some(base) = &provider.fetch_base {
        state.origins.insert(provider.url.clone(), base.clone());
    }
    Ok(arn)
}

/// Makes a role with its policies; its ARN. A role whose policy is refused is not made.
pub(super) fn role(sandbox: &Sandbox, role: &RoleConfig) -> Result<String, ConfigError> {
    let new = NewRole {
        account: role.account.as_deref().unwrap_or(&sandbox.account_id),
        name: &role.name,
        path: &role.path,
        trust: &role.trust,
        max_session_seconds: role.max_session_seconds,
        tags: role.tags.clone().into_iter().collect(),
    };
    let mut state = sandbox.account.lock();
    let arn = new.register(sandbox, &mut state).map_err(|error| refused("", error))?;
    for (name, policy) in &role.policies {
        let kept = state.roles.get_mut(&arn).map_or(Ok(()), |role| attach(role, name, policy));
        if let Err(error) = kept {
            state.roles.remove(&arn);
            return Err(refused(&format!("policies.{name}"), error));
        }
    }
    Ok(arn)
}

fn refused(field: &str, error: AwsError) -> ConfigError {
    ConfigError::value(field, error.message)
}
