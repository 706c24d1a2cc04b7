//! A small foreign issuer on loopback: discovery, keys, and tokens in the shapes of known issuers.

use serde_json::{Value, json};
use time::{Duration, OffsetDateTime};

use super::documents::Documents;
use super::token_keys::{jwk, sign};

/// The audience of every token, unless a test says otherwise.
pub(crate) const AUDIENCE: &str = "https://id.example.com/brevet/teams/team-1";
const DISCOVERY: &str = "/.well-known/openid-configuration";
const JWKS: &str = "/keys";

/// An issuer whose documents can be changed under its relying parties.
pub(crate) struct ForeignIssuer {
    documents: Documents,
}

impl ForeignIssuer {
    /// Publishes the key of each of `algorithms`.
    pub(crate) fn start(algorithms: &[&str]) -> Self {
        let issuer = Self { documents: Documents::start() };
        let document = json!({ "issuer": issuer.url(), "jwks_uri": format!("{}{JWKS}", issuer.url()) });
        issuer.documents.put(DISCOVERY, document.to_string());
        issuer.publish(algorithms);
        issuer
    }

    /// Its `iss`.
    pub(crate) fn url(&self) -> &str {
        self.documents.origin()
    }

    /// Publishes these keys from now on, and no others.
    pub(crate) fn publish(&self, algorithms: &[&str]) {
        self.documents.put(JWKS, jwks(algorithms));
    }

    /// Publishes any text as its JWKS.
    pub(crate) fn publish_text(&self, text: &str) {
        self.documents.put(JWKS, text.to_owned());
    }

    /// How often it was asked for its keys, and for anything else.
    pub(crate) fn asked(&self) -> (usize, usize) {
        let asked = self.documents.asked();
        let keys = asked.iter().filter(|path| *path == JWKS).count();
        (keys, asked.len() - keys)
    }
}

/// The JWKS of these algorithms' keys; a kid is the name of its algorithm.
pub(crate) fn jwks(algorithms: &[&str]) -> String {
    json!({ "keys": algorithms.iter().map(|alg| jwk(alg)).collect::<Vec<_>>() }).to_string()
}

/// A token of these claims, signed by the key of `alg`.
pub(crate) fn token(alg: &str, claims: &Value) -> String {
    sign(alg, &json!({ "alg": alg, "kid": alg, "typ": "JWT" }).to_string(), &claims.to_string())
}

/// What every kind of token has.
fn timed(mut claims: Value, issuer: &str, now: OffsetDateTime, life: Duration) -> Value {
    claims["iss"] = json!(issuer);
    claims["iat"] = json!(now.unix_timestamp());
    claims["nbf"] = json!(now.unix_timestamp());
    claims["exp"] = json!((now + life).unix_timestamp());
    claims
}

/// A projected service account token of a pod.
pub(crate) fn kubernetes(issuer: &str, now: OffsetDateTime) -> Value {
    let claims = json!({
        "aud": [AUDIENCE],
        "jti": "d47f3cf5-8c04-4d42-a0d6-3c46bd0ef5d7",
        "kubernetes.io": {
            "namespace": "prod",
            "node": { "name": "node-1", "uid": "4a5d0e9c-8f0f-4b53-9a0f-1f3d1c1f2a11" },
            "pod": { "name": "agent-7d4b9", "uid": "6c1b6e0e-6d0b-4f0e-8c0a-2f6d7f8f9a22" },
            "serviceaccount": { "name": "agent", "uid": "14ee3fa4-a7e2-420f-9f9a-dbc4507c3798" },
        },
        "sub": "system:serviceaccount:prod:agent",
    });
    timed(claims, issuer, now, Duration::hours(1))
}

/// An ID token of a GitHub Actions job.
pub(crate) fn github(issuer: &str, now: OffsetDateTime) -> Value {
    let claims = json!({
        "jti": "4a576b35-ff09-41c5-af2c-ca62dd89b76a",
        "sub": "repo:acme/agents:ref:refs/heads/main",
        "aud": AUDIENCE,
        "ref": "refs/heads/main",
        "sha": "7f93a73b8273af5d35fcd70661704c1cadc57054",
        "repository": "acme/agents",
        "repository_owner": "acme",
        "repository_id": "5678",
        "repository_owner_id": "1234",
        "repository_visibility": "private",
        "run_id": "16051243",
        "run_attempt": "1",
        "actor": "ada",
        "actor_id": "99",
        "workflow": "agent",
        "event_name": "push",
        "ref_protected": "true",
        "ref_type": "branch",
        "job_workflow_ref": "acme/agents/.github/workflows/agent.yml@refs/heads/main",
        "runner_environment": "github-hosted",
    });
    timed(claims, issuer, now, Duration::hours(6))
}

/// An ID token of a GitLab CI/CD job.
pub(crate) fn gitlab(issuer: &str, now: OffsetDateTime) -> Value {
    let claims = json!({
        "namespace_id": "72",
        "namespace_path": "acme",
        "project_id": "20",
        "project_path": "acme/agents",
        "user_id": "1",
        "user_login": "ada",
        "pipeline_id": "574",
        "pipeline_source": "push",
        "job_id": "302",
        "ref": "main",
        "ref_type": "branch",
        "ref_protected": "true",
        "runner_id": 1,
        "runner_environment": "self-hosted",
        "sha": "714a629c0b401fdce83e847fc9589983fc6f46bc",
        "jti": "63ab75f4-2606-4f0e-a500-86f90ab13a85",
        "sub": "project_path:acme/agents:ref_type:branch:ref:main",
        "aud": AUDIENCE,
    });
    timed(claims, issuer, now, Duration::hours(1))
}
