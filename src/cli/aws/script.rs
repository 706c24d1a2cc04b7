//! The set-up as a shell script of AWS CLI calls: run again it changes nothing, with `delete` it undoes itself.

use crate::domain::settings::SessionDuration;
use crate::iam::generate::{Policies, Setup};

/// Under which name the permissions stand in the role.
const POLICY_NAME: &str = "brevet-bedrock";

/// The maximum session duration of a role that says none, in seconds; no role may have less.
const ROLE_SESSION_DEFAULT: u32 = 3600;

/// Writes the script, for sessions as long as `session`. Everything that goes into it is of a grammar without quotes, and is quoted all the same.
pub(super) fn of(setup: &Setup, policies: &Policies, session: SessionDuration) -> String {
    let (role, partition) = (&setup.role, setup.role.partition());
    let path = role_path(role.as_str(), role.name());
    TEMPLATE
        .replace("@VERSION@", env!("CARGO_PKG_VERSION"))
        .replace("@TEAM@", setup.team.as_str())
        .replace("@ACCOUNT@", role.account())
        .replace("@PARTITION@", partition.as_str())
        .replace("@URL@", &quote(setup.issuer.as_str()))
        .replace("@PROVIDER@", &quote(&setup.provider_arn()))
        .replace("@AUDIENCE@", &quote(setup.audience.as_str()))
        .replace("@ROLE@", &quote(role.name()))
        .replace("@PATH@", &quote(&path))
        .replace("@NAME@", POLICY_NAME)
        .replace("@SESSION@", &session.seconds().max(ROLE_SESSION_DEFAULT).to_string())
        .replace("@TRUST@", &quote(&policies.trust.to_json()))
        .replace("@PERMISSIONS@", &quote(&policies.permissions.to_json()))
}

/// `/`, or the path between `role` and the name, both slashes included.
fn role_path(arn: &str, name: &str) -> String {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    resource.trim_start_matches("role").trim_end_matches(name).to_owned()
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

const TEMPLATE: &str = r#"#!/bin/sh
# Lets team @TEAM@ open Bedrock in account @ACCOUNT@. Made by `brevet aws setup` @VERSION@.
#
#   sh setup.sh                  make or update provider, role and permissions; safe to run again
#   sh setup.sh delete           remove the role, if it is there
#   sh setup.sh delete-provider  remove the identity provider too: it cuts off every team of this issuer
set -eu

account=@ACCOUNT@
url=@URL@
provider=@PROVIDER@
audience=@AUDIENCE@
role=@ROLE@
path=@PATH@
session=@SESSION@
trust=@TRUST@
permissions=@PERMISSIONS@

found=$(aws sts get-caller-identity --query Account --output text)
if [ "$found" != "$account" ]; then
  echo "these credentials are of account $found, the role is to be in $account" >&2
  exit 1
fi

# Runs a call that deletes: what is gone already is fine, every other refusal is not.
gone() {
  if said=$("$@" 2>&1); then return; fi
  case $said in
  *NoSuchEntity*) ;;
  *)
    printf '%s\n' "$said" >&2
    exit 1
    ;;
  esac
}

case "${1:-apply}" in
apply)
  if aws iam get-open-id-connect-provider --open-id-connect-provider-arn "$provider" >/dev/null 2>&1; then
    aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn "$provider" --client-id "$audience"
  else
    aws iam create-open-id-connect-provider --url "$url" --client-id-list "$audience" >/dev/null
  fi
  if longest=$(aws iam get-role --role-name "$role" --query Role.MaxSessionDuration --output text 2>/dev/null); then
    aws iam update-assume-role-policy --role-name "$role" --policy-document "$trust"
    if [ "$longest" -lt "$session" ]; then
      aws iam update-role --role-name "$role" --max-session-duration "$session" >/dev/null
    fi
  else
    aws iam create-role --role-name "$role" --path "$path" --assume-role-policy-document "$trust" \
      --max-session-duration "$session" >/dev/null
  fi
  aws iam put-role-policy --role-name "$role" --policy-name @NAME@ --policy-document "$permissions"
  echo "role $role is ready" >&2
  ;;
delete)
  gone aws iam delete-role-policy --role-name "$role" --policy-name @NAME@
  gone aws iam delete-role --role-name "$role"
  echo "role $role is removed" >&2
  ;;
delete-provider)
  gone aws iam delete-open-id-connect-provider --open-id-connect-provider-arn "$provider"
  echo "provider $provider is removed" >&2
  ;;
*)
  echo "usage: $0 [apply|delete|delete-provider]" >&2
  exit 2
  ;;
esac
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_keeps_both_its_slashes_and_quotes_hold() {
        assert_eq!(role_path("arn:aws:iam::111122223333:role/bedrock", "bedrock"), "/");
        assert_eq!(role_path("arn:aws:iam::111122223333:role/a/b/c", "c"), "/a/b/");
        assert_eq!(quote("it's"), r"'it'\''s'");
    }
}
