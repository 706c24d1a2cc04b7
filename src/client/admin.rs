//! The admin part of `/v1`, one method an operation.

use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::{Client, ClientError, Lines};
use super::runs::RunsOf;
use crate::domain::credential::CredentialKind;
use crate::domain::secret::Secret;
use crate::wire::admin::administrator::{Administrator, ChangeAdministrator, CreateAdministrator};
use crate::wire::admin::audience::{Audiences, SetAudiences};
use crate::wire::admin::audit::AuditEvent;
use crate::wire::admin::effective_settings::EffectiveSettings;
use crate::wire::admin::enrolment_code::{CreateEnrolmentCode, EnrolmentCode};
use crate::wire::admin::identity::{CreateIdentity, Identities, Identity};
use crate::wire::admin::member::{ChangeMember, CreateMember, Member};
use crate::wire::admin::page::{Page, WithKey};
use crate::wire::admin::platform_key::{ChangePlatformKey, CreatePlatformKey, PlatformKey};
use crate::wire::admin::policy::{ChangePolicy, Policy};
use crate::wire::admin::provider_settings::{ChangeProviderSettings, ProviderSettings};
use crate::wire::admin::public_key::{CreatePublicKey, PublicKey};
use crate::wire::admin::remaining_sessions::RemainingSessions;
use crate::wire::admin::role::{Roles, SetRoles};
use crate::wire::admin::service_account::{
    ChangeServiceAccount, CreateServiceAccount, CreateServiceAccountKey, RotateServiceAccountKey, ServiceAccount,
    ServiceAccountKey,
};
use crate::wire::admin::session::UserSessions;
use crate::wire::admin::signing_key::PublicDocuments;
use crate::wire::admin::team::{ChangeTeam, CreateTeam, Team};
use crate::wire::admin::team_issuer::TeamIssuers;
use crate::wire::admin::trust_rule::{ChangeTrustRule, CreateTrustRule, TrustRule};
use crate::wire::admin::upstream_provider::{ChangeUpstreamProvider, CreateUpstreamProvider, UpstreamProvider};
use crate::wire::admin::user::{ChangeUser, CreateUser, User};
use crate::wire::admin::worker_key::{ChangeWorkerKey, CreateWorkerKey, WorkerKey};
use crate::wire::run::Run;

/// Administers an installation. Uids and ids that go into a path are percent-encoded, never trusted.
#[derive(Debug, Clone)]
pub struct Admin {
    client: Client,
    key: Secret,
}

pub(super) type Answer<T> = Result<T, ClientError>;

impl Admin {
    /// Speaks to the admin API that `client` points at, with an administrator's key.
    pub const fn new(client: Client, key: Secret) -> Self {
        Self { client, key }
    }

    pub(super) async fn get<A: DeserializeOwned>(&self, path: &str) -> Answer<A> {
        self.client.get(&self.key, path).await
    }

    /// The same with its version.
    pub(super) async fn get_versioned<A: DeserializeOwned>(&self, path: &str) -> Answer<(A, i64)> {
        self.client.get_versioned(&self.key, path).await
    }

    pub(super) async fn send<B: Serialize, A: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &B,
    ) -> Answer<A> {
        self.client.send(method, Some(&self.key), path, body).await
    }

    /// The same, of exactly the version that was read.
    pub(super) async fn change<B: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        version: i64,
        body: &B,
    ) -> Answer<A> {
        self.client.replace(Method::PATCH, &self.key, path, version, body).await
    }

    /// Every entry of a list, page by page.
    async fn all<T: DeserializeOwned>(&self, path: &str) -> Answer<Vec<T>> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut page: Page<T> = match &after {
                None => self.get(&format!("{path}?limit=100")).await?,
                Some(after) => self.get(&format!("{path}?limit=100&after={}", encode(after))).await?,
            };
            items.append(&mut page.items);
            match page.next {
                // A server that repeats its cursor would keep us for ever.
                Some(next) if Some(&next) != after.as_ref() => after = Some(next),
                _ => return Ok(items),
            }
        }
    }

    /// `GET /v1/administrators`
    pub async fn administrators(&self) -> Answer<Vec<Administrator>> {
        self.all("/v1/administrators").await
    }
    /// `POST /v1/administrators`
    pub async fn create_administrator(&self, body: &CreateAdministrator) -> Answer<WithKey<Administrator>> {
        self.send(Method::POST, "/v1/administrators", body).await
    }
    /// `PATCH /v1/administrators/{id}`
    pub async fn change_administrator(&self, id: &str, body: &ChangeAdministrator) -> Answer<Administrator> {
        self.send(Method::PATCH, &path(["administrators", id]), body).await
    }
    /// `DELETE /v1/administrators/{id}`
    pub async fn delete_administrator(&self, id: &str) -> Answer<()> {
        self.client.delete(&self.key, &path(["administrators", id])).await
    }

    /// `GET /v1/teams`
    pub async fn teams(&self) -> Answer<Vec<Team>> {
        self.all("/v1/teams").await
    }
    /// `POST /v1/teams`
    pub async fn create_team(&self, body: &CreateTeam) -> Answer<Team> {
        self.send(Method::POST, "/v1/teams", body).await
    }
    /// `GET /v1/teams/{team}`
    pub async fn team(&self, team: &str) -> Answer<Team> {
        self.get(&path(["teams", team])).await
    }
    /// `PATCH /v1/teams/{team}`
    pub async fn change_team(&self, team: &str, body: &ChangeTeam) -> Answer<Team> {
        self.send(Method::PATCH, &path(["teams", team]), body).await
    }
    /// `DELETE /v1/teams/{team}`
    pub async fn delete_team(&self, team: &str) -> Answer<()> {
        self.client.delete(&self.key, &path(["teams", team])).await
    }

    /// `GET /v1/users`
    pub async fn users(&self) -> Answer<Vec<User>> {
        self.all("/v1/users").await
    }
    /// `POST /v1/users`
    pub async fn create_user(&self, body: &CreateUser) -> Answer<User> {
        self.send(Method::POST, "/v1/users", body).await
    }
    /// `GET /v1/users/{user}`
    pub async fn user(&self, user: &str) -> Answer<User> {
        self.get(&path(["users", user])).await
    }
    /// `PATCH /v1/users/{user}`
    pub async fn change_user(&self, user: &str, body: &ChangeUser) -> Answer<User> {
        self.send(Method::PATCH, &path(["users", user]), body).await
    }
    /// `DELETE /v1/users/{user}`
    pub async fn delete_user(&self, user: &str) -> Answer<()> {
        self.client.delete(&self.key, &path(["users", user])).await
    }
    /// `GET /v1/users/{user}/sessions`
    pub async fn user_sessions(&self, user: &str) -> Answer<UserSessions> {
        self.get(&path(["users", user, "sessions"])).await
    }
    /// `DELETE /v1/users/{user}/sessions`, or of one of them
    pub async fn end_user_sessions(&self, user: &str, session: Option<&str>) -> Answer<()> {
        let at = match session {
            None => path(["users", user, "sessions"]),
            Some(id) => path(["users", user, "sessions", id]),
        };
        self.client.delete(&self.key, &at).await
    }
    /// `GET /v1/teams/{team}/remaining-sessions`
    pub async fn remaining_sessions(&self, team: &str, principal: Option<&str>) -> Answer<RemainingSessions> {
        let query = principal.map(|principal| format!("?principal={}", encode(principal))).unwrap_or_default();
        self.get(&format!("{}{query}", path(["teams", team, "remaining-sessions"]))).await
    }
    /// `POST /v1/enrolment-codes`
    pub async fn create_enrolment_code(&self, body: &CreateEnrolmentCode) -> Answer<EnrolmentCode> {
        self.send(Method::POST, "/v1/enrolment-codes", body).await
    }

    /// `GET /v1/teams/{team}/members`
    pub async fn members(&self, team: &str) -> Answer<Vec<Member>> {
        self.all(&path(["teams", team, "members"])).await
    }
    /// `PUT /v1/teams/{team}/members/{user}`
    pub async fn add_member(&self, team: &str, user: &str) -> Answer<Member> {
        self.client.put_empty(&self.key, &path(["teams", team, "members", user])).await
    }
    /// `POST /v1/teams/{team}/members`
    pub async fn create_member(&self, team: &str, body: &CreateMember) -> Answer<Member> {
        self.send(Method::POST, &path(["teams", team, "members"]), body).await
    }
    /// `PATCH /v1/teams/{team}/members/{user}`
    pub async fn change_member(&self, team: &str, user: &str, body: &ChangeMember) -> Answer<Member> {
        self.send(Method::PATCH, &path(["teams", team, "members", user]), body).await
    }
    /// `DELETE /v1/teams/{team}/members/{user}`
    pub async fn remove_member(&self, team: &str, user: &str) -> Answer<()> {
        self.client.delete(&self.key, &path(["teams", team, "members", user])).await
    }

    /// `GET /v1/teams/{team}/service-accounts`
    pub async fn service_accounts(&self, team: &str) -> Answer<Vec<ServiceAccount>> {
        self.all(&path(["teams", team, "service-accounts"])).await
    }
    /// `POST /v1/teams/{team}/service-accounts`
    pub async fn create_service_account(&self, team: &str, body: &CreateServiceAccount) -> Answer<ServiceAccount> {
        self.send(Method::POST, &path(["teams", team, "service-accounts"]), body).await
    }
    /// `GET /v1/teams/{team}/service-accounts/{uid}`
    pub async fn service_account(&self, team: &str, uid: &str) -> Answer<ServiceAccount> {
        self.get(&path(["teams", team, "service-accounts", uid])).await
    }
    /// `PATCH /v1/teams/{team}/service-accounts/{uid}`
    pub async fn change_service_account(
        &self,
        team: &str,
        uid: &str,
        body: &ChangeServiceAccount,
    ) -> Answer<ServiceAccount> {
        self.send(Method::PATCH, &path(["teams", team, "service-accounts", uid]), body).await
    }
    /// `DELETE /v1/teams/{team}/service-accounts/{uid}`
    pub async fn delete_service_account(&self, team: &str, uid: &str) -> Answer<()> {
        self.client.delete(&self.key, &path(["teams", team, "service-accounts", uid])).await
    }
    /// `GET …/service-accounts/{uid}/keys`
    pub async fn service_account_keys(&self, team: &str, uid: &str) -> Answer<Vec<ServiceAccountKey>> {
        self.all(&path(["teams", team, "service-accounts", uid, "keys"])).await
    }
    /// `POST …/service-accounts/{uid}/keys`
    pub async fn create_service_account_key(
        &self,
        team: &str,
        uid: &str,
        body: &CreateServiceAccountKey,
    ) -> Answer<WithKey<ServiceAccountKey>> {
        self.send(Method::POST, &path(["teams", team, "service-accounts", uid, "keys"]), body).await
    }
    /// `DELETE …/service-accounts/{uid}/keys/{id}`
    pub async fn delete_service_account_key(&self, team: &str, uid: &str, id: &str) -> Answer<()> {
        self.client.delete(&self.key, &path(["teams", team, "service-accounts", uid, "keys", id])).await
    }

    /// `POST …/service-accounts/{uid}/keys/{id}/rotate`
    pub async fn rotate_service_account_key(
        &self,
        team: &str,
        uid: &str,
        id: &str,
        body: &RotateServiceAccountKey,
    ) -> Answer<WithKey<ServiceAccountKey>> {
        let path = path(["teams", team, "service-accounts", uid, "keys", id, "rotate"]);
        self.send(Method::POST, &path, body).await
    }

    /// `GET …/service-accounts/{uid}/public-keys`
    pub async fn public_keys(&self, team: &str, uid: &str) -> Answer<Vec<PublicKey>> {
        self.all(&path(["teams", team, "service-accounts", uid, "public-keys"])).await
    }
    /// `POST …/service-accounts/{uid}/public-keys`
    pub async fn create_public_key(&self, team: &str, uid: &str, body: &CreatePublicKey) -> Answer<PublicKey> {
        self.send(Method::POST, &path(["teams", team, "service-accounts", uid, "public-keys"]), body).await
    }
    /// `DELETE …/service-accounts/{uid}/public-keys/{id}`
    pub async fn delete_public_key(&self, team: &str, uid: &str, id: &str) -> Answer<()> {
        self.client.delete(&self.key, &path(["teams", team, "service-accounts", uid, "public-keys", id])).await
    }

    /// `GET …/service-accounts/{uid}/trust-rules`
    pub async fn trust_rules(&self, team: &str, uid: &str) -> Answer<Vec<TrustRule>> {
        self.all(&path(["teams", team, "service-accounts", uid, "trust-rules"])).await
    }
    /// `POST …/service-accounts/{uid}/trust-rules`
    pub async fn create_trust_rule(&self, team: &str, uid: &str, body: &CreateTrustRule) -> Answer<TrustRule> {
        self.send(Method::POST, &path(["teams", team, "service-accounts", uid, "trust-rules"]), body).await
    }
    /// `GET …/service-accounts/{uid}/trust-rules/{id}`
    pub async fn trust_rule(&self, team: &str, uid: &str, id: &str) -> Answer<TrustRule> {
        self.get(&path(["teams", team, "service-accounts", uid, "trust-rules", id])).await
    }
    /// `PATCH …/service-accounts/{uid}/trust-rules/{id}`
    pub async fn change_trust_rule(
        &self,
        team: &str,
        uid: &str,
        id: &str,
        body: &ChangeTrustRule,
    ) -> Answer<TrustRule> {
        self.send(Method::PATCH, &path(["teams", team, "service-accounts", uid, "trust-rules", id]), body).await
    }
    /// `DELETE …/service-accounts/{uid}/trust-rules/{id}`
    pub async fn delete_trust_rule(&self, team: &str, uid: &str, id: &str) -> Answer<()> {
        self.client.delete(&self.key, &path(["teams", team, "service-accounts", uid, "trust-rules", id])).await
    }

    /// `GET /v1/upstream-providers`
    pub async fn upstream_providers(&self) -> Answer<Vec<UpstreamProvider>> {
        self.all("/v1/upstream-providers").await
    }
    /// `POST /v1/upstream-providers`
    pub async fn create_upstream_provider(&self, body: &CreateUpstreamProvider) -> Answer<UpstreamProvider> {
        self.send(Method::POST, "/v1/upstream-providers", body).await
    }
    /// `GET /v1/upstream-providers/{uid}`
    pub async fn upstream_provider(&self, uid: &str) -> Answer<UpstreamProvider> {
        self.get(&path(["upstream-providers", uid])).await
    }
    /// `PATCH /v1/upstream-providers/{uid}`
    pub async fn change_upstream_provider(&self, uid: &str, body: &ChangeUpstreamProvider) -> Answer<UpstreamProvider> {
        self.send(Method::PATCH, &path(["upstream-providers", uid]), body).await
    }
    /// `DELETE /v1/upstream-providers/{uid}`
    pub async fn delete_upstream_provider(&self, uid: &str) -> Answer<()> {
        self.client.delete(&self.key, &path(["upstream-providers", uid])).await
    }

    /// `GET /v1/users/{user}/identities`
    pub async fn identities(&self, user: &str) -> Answer<Identities> {
        self.get(&path(["users", user, "identities"])).await
    }
    /// `POST /v1/users/{user}/identities`
    pub async fn link_identity(&self, user: &str, body: &CreateIdentity) -> Answer<Identity> {
        self.send(Method::POST, &path(["users", user, "identities"]), body).await
    }
    /// `DELETE /v1/users/{user}/identities/{provider}/{subject}`
    pub async fn unlink_identity(&self, user: &str, provider: &str, subject: &str) -> Answer<()> {
        self.client.delete(&self.key, &path(["users", user, "identities", provider, subject])).await
    }

    /// `GET /v1/worker-keys`
    pub async fn worker_keys(&self) -> Answer<Vec<WorkerKey>> {
        self.all("/v1/worker-keys").await
    }
    /// `POST /v1/worker-keys`
    pub async fn create_worker_key(&self, body: &CreateWorkerKey) -> Answer<WithKey<WorkerKey>> {
        self.send(Method::POST, "/v1/worker-keys", body).await
    }
    /// `PATCH /v1/worker-keys/{id}`
    pub async fn change_worker_key(&self, id: &str, body: &ChangeWorkerKey) -> Answer<WorkerKey> {
        self.send(Method::PATCH, &path(["worker-keys", id]), body).await
    }
    /// `DELETE /v1/worker-keys/{id}`
    pub async fn delete_worker_key(&self, id: &str) -> Answer<()> {
        self.client.delete(&self.key, &path(["worker-keys", id])).await
    }

    /// `GET /v1/platform-keys`
    pub async fn platform_keys(&self) -> Answer<Vec<PlatformKey>> {
        self.all("/v1/platform-keys").await
    }
    /// `POST /v1/platform-keys`
    pub async fn create_platform_key(&self, body: &CreatePlatformKey) -> Answer<WithKey<PlatformKey>> {
        self.send(Method::POST, "/v1/platform-keys", body).await
    }
    /// `PATCH /v1/platform-keys/{id}`
    pub async fn change_platform_key(&self, id: &str, body: &ChangePlatformKey) -> Answer<PlatformKey> {
        self.send(Method::PATCH, &path(["platform-keys", id]), body).await
    }
    /// `DELETE /v1/platform-keys/{id}`
    pub async fn delete_platform_key(&self, id: &str) -> Answer<()> {
        self.client.delete(&self.key, &path(["platform-keys", id])).await
    }

    /// `GET /v1/teams/{team}/audiences`
    pub async fn audiences(&self, team: &str) -> Answer<Audiences> {
        self.get(&path(["teams", team, "audiences"])).await
    }
    /// `PUT /v1/teams/{team}/audiences`, if the team still has `version`
    pub async fn set_audiences(&self, team: &str, version: i64, body: &SetAudiences) -> Answer<Audiences> {
        self.client.replace(Method::PUT, &self.key, &path(["teams", team, "audiences"]), version, body).await
    }
    /// `GET /v1/teams/{team}/roles`
    pub async fn roles(&self, team: &str) -> Answer<Roles> {
        self.get(&path(["teams", team, "roles"])).await
    }
    /// `PUT /v1/teams/{team}/roles`, if the team still has `version`
    pub async fn set_roles(&self, team: &str, version: i64, body: &SetRoles) -> Answer<Roles> {
        self.client.replace(Method::PUT, &self.key, &path(["teams", team, "roles"]), version, body).await
    }
    /// `GET /v1/teams/{team}/policy`
    pub async fn policy(&self, team: &str) -> Answer<Policy> {
        self.get(&path(["teams", team, "policy"])).await
    }
    /// `PATCH /v1/teams/{team}/policy`
    pub async fn change_policy(&self, team: &str, body: &ChangePolicy) -> Answer<Policy> {
        self.send(Method::PATCH, &path(["teams", team, "policy"]), body).await
    }
    /// `GET /v1/teams/{team}/issuer`
    pub async fn team_issuers(&self, team: &str) -> Answer<TeamIssuers> {
        self.get(&path(["teams", team, "issuer"])).await
    }
    /// `PUT /v1/teams/{team}/issuer`
    pub async fn make_team_issuer(&self, team: &str) -> Answer<TeamIssuers> {
        self.client.put_empty(&self.key, &path(["teams", team, "issuer"])).await
    }
    /// `DELETE /v1/teams/{team}/issuer`
    pub async fn delete_team_issuer(&self, team: &str) -> Answer<()> {
        self.client.delete(&self.key, &path(["teams", team, "issuer"])).await
    }
    /// `GET …/provider-settings`, of the team or of one service account
    pub async fn provider_settings(&self, team: &str, account: Option<&str>) -> Answer<ProviderSettings> {
        self.get(&settings_path(team, account)).await
    }
    /// `PATCH …/provider-settings`
    pub async fn change_provider_settings(
        &self,
        team: &str,
        account: Option<&str>,
        body: &ChangeProviderSettings,
    ) -> Answer<ProviderSettings> {
        self.send(Method::PATCH, &settings_path(team, account), body).await
    }
    /// `GET /v1/effective-settings`
    pub async fn effective_settings(&self, team: &str, account: Option<&str>) -> Answer<EffectiveSettings> {
        let account = account.map(|uid| format!("&service_account={}", encode(uid))).unwrap_or_default();
        self.get(&format!("/v1/effective-settings?team={}{account}", encode(team))).await
    }

    /// `GET /v1/teams/{team}/runs`, every page of it, the newest first.
    pub async fn team_runs(&self, team: &str, of: &RunsOf) -> Answer<Vec<Run>> {
        self.client.runs_at(&self.key, &path(["teams", team, "runs"]), of).await
    }
    /// `GET /v1/teams/{team}/runs/{run_id}`
    pub async fn team_run(&self, team: &str, run: &str) -> Answer<Run> {
        self.get(&path(["teams", team, "runs", run])).await
    }
    /// `DELETE /v1/teams/{team}/runs/{run_id}`
    pub async fn end_team_run(&self, team: &str, run: &str) -> Answer<()> {
        self.client.delete(&self.key, &path(["teams", team, "runs", run])).await
    }

    /// `GET /v1/audit` or `GET /v1/teams/{team}/audit`: one page, newest first; `filter` are members of its query.
    pub async fn audit(&self, team: Option<&str>, filter: &[(&str, String)]) -> Answer<Page<AuditEvent>> {
        self.get(&self.audit_path(team, "", filter)).await
    }
    /// `GET /v1/audit/export` or `GET /v1/teams/{team}/audit/export`: JSON lines, oldest first, as they arrive.
    pub async fn audit_export(&self, team: Option<&str>, filter: &[(&str, String)]) -> Answer<Lines> {
        self.client.stream(&self.key, &self.audit_path(team, "/export", filter)).await
    }
    /// Operators and auditors see rows of teams that are gone too, which no path leads to: they name them in the query.
    fn audit_path(&self, team: Option<&str>, end: &str, filter: &[(&str, String)]) -> String {
        let mut query: Vec<String> = filter.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let administrator = self.key.expose().starts_with(CredentialKind::Administrator.prefix());
        let base = match team {
            Some(team) if !administrator => path(["teams", team, "audit"]),
            Some(team) => {
                query.push(format!("team={}", encode(team)));
                "/v1/audit".to_owned()
            }
            None => "/v1/audit".to_owned(),
        };
        format!("{base}{end}?{}", query.join("&"))
    }
    /// `GET /v1/signing-keys/documents`
    pub async fn public_documents(&self) -> Answer<PublicDocuments> {
        self.get("/v1/signing-keys/documents").await
    }
}

fn settings_path(team: &str, account: Option<&str>) -> String {
    match account {
        None => path(["teams", team, "provider-settings"]),
        Some(uid) => path(["teams", team, "service-accounts", uid, "provider-settings"]),
    }
}

pub(super) fn path<const N: usize>(segments: [&str; N]) -> String {
    segments.iter().fold("/v1".to_owned(), |path, segment| format!("{path}/{}", encode(segment)))
}

/// One path segment or query value. `.` and `..` would be taken for steps, so their dots are encoded too.
pub(super) fn encode(text: &str) -> String {
    if matches!(text, "." | "..") {
        return text.replace('.', "%2E");
    }
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_types_stays_one_segment() {
        assert_eq!(path(["teams", "a/../b?x#y z"]), "/v1/teams/a%2F..%2Fb%3Fx%23y%20z");
        assert_eq!(path(["teams", ".."]), "/v1/teams/%2E%2E");
        assert_eq!(settings_path("red", Some("bot")), "/v1/teams/red/service-accounts/bot/provider-settings");
    }
}
