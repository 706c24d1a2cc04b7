//! Ready-made rules for the issuers that most workloads have.

use std::fmt;

use super::claim_condition::{ClaimPath, Condition, ConditionError, Expected, Pattern};
use super::trust::Reuse;

/// A kind of issuer whose tokens' claims are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// Projected service account tokens (Kubernetes, "Service account token volume projection").
    Kubernetes,
    /// ID tokens of GitHub Actions jobs (GitHub, "OpenID Connect reference").
    GitHubActions,
    /// `id_tokens` of GitLab CI/CD jobs (GitLab, "OpenID Connect (OIDC) authentication using ID tokens").
    GitLab,
    /// Identity tokens of another Brevet installation.
    Brevet,
}

/// A value that a template asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// Where it ends up: the claim it is compared with.
    pub claim: &'static str,
    /// What it is, with an example.
    pub help: &'static str,
}

const fn parameter(name: &'static str, claim: &'static str, help: &'static str) -> Parameter {
    Parameter { name, claim, help }
}

const KUBERNETES: [Parameter; 4] = [
    parameter("namespace", "sub", "namespace of the pod, such as prod"),
    parameter("service_account", "sub", "Kubernetes service account of the pod, such as agent"),
    parameter(
        "service_account_uid",
        "/kubernetes.io/serviceaccount/uid",
        "its UID, so that one made anew under the same name is refused",
    ),
    parameter("node", "/kubernetes.io/node/name", "the node, where the cluster names it in tokens"),
];
const GITHUB: [Parameter; 7] = [
    parameter("owner_id", "repository_owner_id", "numeric id of the organization or user, such as 9919"),
    parameter("repository_id", "repository_id", "numeric id of the repository"),
    parameter("repository", "repository", "its name beside the id, such as acme/agents"),
    parameter("ref", "ref", "such as refs/heads/main"),
    parameter("environment", "environment", "deployment environment of the job, such as production"),
    parameter("workflow", "job_workflow_ref", "such as acme/ci/.github/workflows/agent.yml@refs/heads/main"),
    parameter("event", "event_name", "such as push"),
];
const GITLAB: [Parameter; 7] = [
    parameter("project_id", "project_id", "numeric id of the project"),
    parameter("namespace_id", "namespace_id", "numeric id of the group or user that the project is directly in"),
    parameter("ref", "ref", "branch or tag, such as main"),
    parameter("ref_type", "ref_type", "branch or tag; needed beside ref, which is a bare name"),
    parameter("ref_protected", "ref_protected", "true: only protected branches and tags"),
    parameter("environment", "environment", "deployment environment of the job, such as production"),
    parameter("source", "pipeline_source", "such as push"),
];
const BREVET: [Parameter; 3] = [
    parameter("subject", "sub", "whole subject, scoped_principal and so on, of the one principal"),
    parameter("team", "team_uid", "uid of the team over there"),
    parameter("run", "run_id", "the one run over there"),
];

/// Why parameters make no rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A parameter that the template does not have.
    #[error("template {template} has no parameter {name}; it has {}", known(*template))]
    Unknown {
        /// Which template.
        template: Template,
        /// What was given.
        name: String,
    },
    /// One that is needed.
    #[error("template {template} needs {needs}")]
    Missing {
        /// Which template.
        template: Template,
        /// What is missing.
        needs: &'static str,
    },
    /// A value that no claim can have.
    #[error("{name} {error}")]
    Value {
        /// Whose value.
        name: &'static str,
        /// The rule it breaks.
        error: ConditionError,
    },
}

impl Template {
    /// Every template there is.
    pub const ALL: [Self; 4] = [Self::Kubernetes, Self::GitHubActions, Self::GitLab, Self::Brevet];

    /// Its stable name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::GitHubActions => "github-actions",
            Self::GitLab => "gitlab",
            Self::Brevet => "brevet",
        }
    }

    /// The exact inverse of [`Template::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.as_str() == text)
    }

    /// The issuer, where there is one that most have.
    pub const fn issuer(self) -> Option<&'static str> {
        match self {
            Self::GitHubActions => Some("https://token.actions.githubusercontent.com"),
            Self::GitLab => Some("https://gitlab.com"),
            Self::Kubernetes | Self::Brevet => None,
        }
    }

    /// What may be said of the workload.
    pub const fn parameters(self) -> &'static [Parameter] {
        match self {
            Self::Kubernetes => &KUBERNETES,
            Self::GitHubActions => &GITHUB,
            Self::GitLab => &GITLAB,
            Self::Brevet => &BREVET,
        }
    }

    /// How often one token may be presented. A pod has one token for most of an hour, and a GitLab job has the one it
    /// was started with; the others fetch a new one for every use.
    pub const fn reuse(self) -> Reuse {
        match self {
            Self::Kubernetes => Reuse::Bounded { uses: 1000, per_minute: 60 },
            Self::GitLab => Reuse::Bounded { uses: 100, per_minute: 60 },
            Self::GitHubActions | Self::Brevet => Reuse::Once,
        }
    }

    /// The conditions that `given` parameters make. A value with a star is a pattern, except where it names an owner
    /// or a subject.
    pub fn conditions(self, given: &[(String, String)]) -> Result<Vec<Condition>, TemplateError> {
        let known = |name: &str| self.parameters().iter().any(|parameter| parameter.name == name);
        if let Some((name, _)) = given.iter().find(|(name, _)| !known(name)) {
            return Err(TemplateError::Unknown { template: self, name: name.clone() });
        }
        let value = |name: &str| given.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
        let mut conditions = match self {
            Self::Kubernetes => {
                let (Some(namespace), Some(account)) = (value("namespace"), value("service_account")) else {
                    return Err(self.missing("namespace and service_account"));
                };
                vec![made("sub", "service_account", &format!("system:serviceaccount:{namespace}:{account}"), false)?]
            }
            Self::GitHubActions if value("owner_id").or(value("repository_id")).is_none() => {
                return Err(self.missing("owner_id or repository_id"));
            }
            Self::GitLab if value("project_id").or(value("namespace_id")).is_none() => {
                return Err(self.missing("project_id or namespace_id"));
            }
            Self::GitLab if value("ref").is_some() && value("ref_type").is_none() => {
                return Err(self.missing("ref_type beside ref: a branch and a tag may have one name"));
            }
            Self::Brevet if value("subject").is_none() => return Err(self.missing("subject")),
            Self::GitHubActions | Self::GitLab | Self::Brevet => Vec::new(),
        };
        for parameter in self.parameters() {
            let in_subject = self == Self::Kubernetes && parameter.claim == "sub";
            let Some(text) = value(parameter.name).filter(|_| !in_subject) else { continue };
            let exact = parameter.name.ends_with("_id") || parameter.claim == "sub";
            conditions.push(made(parameter.claim, parameter.name, text, !exact)?);
        }
        Ok(conditions)
    }

    fn missing(self, needs: &'static str) -> TemplateError {
        TemplateError::Missing { template: self, needs }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn made(claim: &str, name: &'static str, text: &str, wild: bool) -> Result<Condition, TemplateError> {
    let expected =
        if wild && text.contains('*') { Pattern::parse(text).map(Expected::Pattern) } else { Expected::text(text) };
    let wrong = |error| TemplateError::Value { name, error };
    Ok(Condition { claim: ClaimPath::parse(claim).map_err(wrong)?, expected: expected.map_err(wrong)? })
}

fn known(template: Template) -> String {
    let names: Vec<_> = template.parameters().iter().map(|parameter| parameter.name).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn conditions(template: Template, given: &[(&str, &str)]) -> Result<Vec<Condition>, TemplateError> {
        let given: Vec<_> = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        template.conditions(&given)
    }

    fn admits(conditions: &[Condition], claims: &Value) -> bool {
        conditions.iter().all(|condition| condition.holds(claims.as_object().unwrap()))
    }

    #[test]
    fn kubernetes_pins_the_subject_whole() {
        let given = [("namespace", "prod"), ("service_account", "agent"), ("service_account_uid", "u-1")];
        let made = conditions(Template::Kubernetes, &given).unwrap();
        let token = |sub: &str, uid: &str| json!({ "sub": sub, "kubernetes.io": { "serviceaccount": { "uid": uid } } });
        assert!(admits(&made, &token("system:serviceaccount:prod:agent", "u-1")));
        for (sub, uid) in [
            ("system:serviceaccount:prod:agent", "u-2"),
            ("system:serviceaccount:prod:agent2", "u-1"),
            ("system:serviceaccount:prod-2:agent", "u-1"),
            ("system:node:agent", "u-1"),
        ] {
            assert!(!admits(&made, &token(sub, uid)), "{sub} {uid}");
        }
        let starred = conditions(Template::Kubernetes, &[("namespace", "prod"), ("service_account", "*")]).unwrap();
        assert!(!admits(&starred, &token("system:serviceaccount:prod:agent", "u-1")), "a star is no wildcard there");
    }

    #[test]
    fn templates_of_shared_issuers_need_an_owner() {
        assert!(conditions(Template::GitHubActions, &[("repository", "acme/web")]).is_err());
        assert!(conditions(Template::GitLab, &[("ref", "main"), ("ref_type", "branch")]).is_err());
        assert!(conditions(Template::GitLab, &[("project_id", "7"), ("ref", "main")]).is_err());
        assert!(conditions(Template::Brevet, &[("team", "red")]).is_err());
        assert!(conditions(Template::Kubernetes, &[("namespace", "prod")]).is_err());
        let made = conditions(Template::GitHubActions, &[("owner_id", "9*"), ("ref", "refs/heads/*")]).unwrap();
        assert_eq!(made[0].expected, Expected::Text("9*".to_owned()), "an id is never a pattern");
        assert!(matches!(made[1].expected, Expected::Pattern(_)));
    }

    #[test]
    fn what_a_template_does_not_know_is_named() {
        let error = conditions(Template::GitLab, &[("project", "7")]).unwrap_err().to_string();
        assert!(error.contains("no parameter project;") && error.contains("project_id"), "{error}");
        let error = conditions(Template::GitLab, &[("project_id", "")]).unwrap_err().to_string();
        assert!(error.starts_with("project_id must have"), "{error}");
        for template in Template::ALL {
            assert_eq!(Template::parse(template.as_str()), Some(template));
            for parameter in template.parameters() {
                ClaimPath::parse(parameter.claim).unwrap();
            }
        }
    }
}
