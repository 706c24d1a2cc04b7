//! The set-up as a shell script of AWS CLI calls: run again it changes nothing, with `delete` it undoes itself.

use crate::domain::settings::SessionDuration;
use crate::iam::generate::{Policies, Setup};

/// Under which name the permissions stand in the role.
const POLICY_NAME: &str = "brevet-bedrock";

/// The maximum session duration of a role that says none, in seconds; no role may have less.
const ROLE_SESSION_DEFAULT: u32 = 3600;

/// Writes the script, for sessions as long as `session`. Everything that goes into it is quoted, and the template is
/// filled in one pass: a role may be called `@PATH@`, and what stands for one name must not be read as another.
pub(super) fn of(setup: &Setup, policies: &Policies, session: SessionDuration) -> String {
    let (role, partition) = (&setup.role, setup.role.partition());
    let values = [
        ("VERSION", env!("CARGO_PKG_VERSION").to_owned()),
        ("TEAM", setup.team.to_string()),
        ("ACCOUNT", role.account().to_owned()),
        ("PARTITION", partition.to_string()),
        ("URL", quote(setup.issuer.as_str())),
        ("PROVIDER", quote(&setup.provider_arn())),
        ("REGISTER", over(setup, |url, arn| format!("  register {url} {arn}\n"))),
        ("UNREGISTER", over(setup, |_, arn| format!("  unregister {arn}\n"))),
        ("AUDIENCE", quote(setup.audience.as_str())),
        ("ROLE", quote(role.name())),
        ("PATH", quote(role_path(role.as_str(), role.name()))),
        ("NAME", POLICY_NAME.to_owned()),
        ("SESSION", session.seconds().max(ROLE_SESSION_DEFAULT).to_string()),
        ("TRUST", quote(&policies.trust.to_json())),
        ("PERMISSIONS", quote(&policies.permissions.to_json())),
    ];
    let mut script = String::with_capacity(2 * TEMPLATE.len());
    let mut rest = TEMPLATE;
    while let Some((before, after)) = rest.split_once('@') {
        script.push_str(before);
        let named = values.iter().find_map(|(name, value)| Some((value, after.strip_prefix(name)?.strip_prefix('@')?)));
        rest = if let Some((value, behind)) = named {
            script.push_str(value);
            behind
        } else {
            // The shell's own, as in `"$@"`.
            script.push('@');
            after
        };
    }
    script.push_str(rest);
    script
}

/// `/`, or the path between `role` and the name, both slashes included.
fn role_path<'a>(arn: &'a str, name: &str) -> &'a str {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    let path = resource.strip_prefix("role").unwrap_or(resource);
    path.strip_suffix(name).unwrap_or(path)
}

/// Lines for the second issuer of a change-over, where there is one.
fn over(setup: &Setup, line: impl Fn(String, String) -> String) -> String {
    let also = setup.also.as_ref();
    also.map(|issuer| line(quote(issuer.as_str()), quote(&setup.provider_of(issuer)))).unwrap_or_default()
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

# Makes the identity provider $2 of the issuer $1, or adds the audience to it.
register() {
  if aws iam get-open-id-connect-provider --open-id-connect-provider-arn "$2" >/dev/null 2>&1; then
    aws iam add-client-id-to-open-id-connect-provider --open-id-connect-provider-arn "$2" --client-id "$audience"
  else
    aws iam create-open-id-connect-provider --url "$1" --client-id-list "$audience" >/dev/null
  fi
}

unregister() {
  gone aws iam delete-open-id-connect-provider --open-id-connect-provider-arn "$1"
  echo "provider $1 is removed" >&2
}

case "${1:-apply}" in
apply)
  register "$url" "$provider"
@REGISTER@  if longest=$(aws iam get-role --role-name "$role" --query Role.MaxSessionDuration --output text 2>/dev/null); then
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
  unregister "$provider"
@UNREGISTER@  ;;
*)
  echo "usage: $0 [apply|delete|delete-provider]" >&2
  exit 2
  ;;
esac
"#;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::audience::Audience;
    use crate::domain::id::TeamUid;
    use crate::domain::issuer_url::{Development, IssuerUrl};
    use crate::domain::region::Region;
    use crate::domain::role_arn::RoleArn;
    use crate::domain::settings::ModelId;

    fn script(role: &str) -> String {
        let setup = setup(role);
        of(&setup, &setup.policies().unwrap(), SessionDuration::DEFAULT)
    }

    fn setup(role: &str) -> Setup {
        Setup {
            also: None,
            issuer: IssuerUrl::parse("https://id.example", Development::Off).unwrap(),
            role: RoleArn::parse(role).unwrap(),
            region: Region::parse("eu-central-1").unwrap(),
            audience: Audience::sts(),
            team: TeamUid::parse("red").unwrap(),
            actors: Vec::new(),
            role_bound: true,
            session_tags: false,
            source_identity: false,
            models: vec![ModelId::parse("anthropic.claude-3-haiku-20240307-v1:0").unwrap()],
        }
    }

    #[test]
    fn a_change_over_registers_both_issuers() {
        let alone = setup("arn:aws:iam::111122223333:role/r");
        let also = alone.issuer.of_team(&alone.team).unwrap();
        let both = Setup { also: Some(also), ..alone };
        let text = of(&both, &both.policies().unwrap(), SessionDuration::DEFAULT);
        let arn = "'arn:aws:iam::111122223333:oidc-provider/id.example/t/red'";
        assert!(
            text.contains(&format!("  register \"$url\" \"$provider\"\n  register 'https://id.example/t/red' {arn}\n"))
        );
        assert!(text.contains(&format!("  unregister \"$provider\"\n  unregister {arn}\n  ;;")), "{text}");
    }

    /// The customer's administrator runs the script, and the role's name and path came from somebody else: IAM's
    /// grammar has `@` in names, and nearly everything in paths.
    #[test]
    fn threat_12_no_name_or_path_of_a_role_gets_out_of_its_quotes() {
        let text = script("arn:aws:iam::111122223333:role/$(id)/@PATH@");
        assert!(text.contains("\nrole='@PATH@'\npath='/$(id)/'\n"), "{text}");
        let text = script("arn:aws:iam::111122223333:role/it's/@TRUST@/@TRUST@");
        assert!(text.contains("\nrole='@TRUST@'\npath='/it'\\''s/@TRUST@/'\n"), "{text}");
        let text = script("arn:aws:iam::111122223333:role/rolerole/x/xx/x");
        assert!(text.contains("\nrole='x'\npath='/rolerole/x/xx/'\n"), "{text}");
    }

    #[test]
    fn nothing_in_the_template_stays_unfilled() {
        let text = script("arn:aws:iam::111122223333:role/brevet-red");
        // What is left of the sign is the shell's own.
        assert_eq!(text.matches('@').count(), text.matches("\"$@\"").count(), "{text}");
        assert!(text.contains("\nrole='brevet-red'\npath='/'\n"), "{text}");
    }

    #[test]
    fn a_path_keeps_both_its_slashes_and_quotes_hold() {
        assert_eq!(role_path("arn:aws:iam::111122223333:role/bedrock", "bedrock"), "/");
        assert_eq!(role_path("arn:aws:iam::111122223333:role/a/b/c", "c"), "/a/b/");
        assert_eq!(quote("it's"), r"'it'\''s'");
    }
}
