//! From a provider's word to a person here: known, taken in by a team, or refused.

use time::OffsetDateTime;

use super::Store;
use super::db::Tx;
use super::error::{ChangeError, StoreError};
use super::upstream_identities::{self, UpstreamIdentity};
use super::{enrolment_codes, memberships, team_row, upstream_providers, users};
use crate::domain::audit::Event;
use crate::domain::id::{TeamUid, UserUid};
use crate::domain::principal::Principal;
use crate::domain::team::{Membership, Team, User};
use crate::domain::upstream::{UpstreamPerson, UpstreamProvider};

/// The rows of a sign-in: made before it is known who it is; the store adds the person and the team.
pub struct SignInEvents<'a> {
    /// That somebody signed in.
    pub sign_in: &'a Event,
    /// Makes the row about one team that was joined.
    pub join: &'a (dyn Fn() -> Event + Send + Sync),
}

/// Who signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedInPerson {
    /// Who.
    pub user: UserUid,
    /// Under which settings of the provider.
    pub provider: UpstreamProvider,
    /// The teams that took them in just now.
    pub joined: Vec<TeamUid>,
}

/// Why nobody is signed in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// The provider is disabled or deleted, or somebody changed it meanwhile.
    #[error("the provider is not offered")]
    ProviderOff,
    /// The provider's people need an address that it verified.
    #[error("the e-mail address is not verified")]
    EmailNotVerified,
    /// The person is disabled or deleted.
    #[error("the person is disabled or deleted")]
    PersonOff(UserUid),
    /// Nobody knows the subject, and no team takes it in.
    #[error("no team takes the person in")]
    NotAdmitted,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Finds who `person` of `provider` is; makes `newcomer` of a subject that nobody knows and some team takes in, and
    /// no one of any other. Somebody known may join further teams, but none that once removed or disabled them. Name
    /// and address follow the provider. When it has returned, all of it is committed with its rows, or nothing.
    pub async fn admit(
        &self,
        provider: &UpstreamProvider,
        person: &UpstreamPerson,
        newcomer: &User,
        events: SignInEvents<'_>,
    ) -> Result<SignedInPerson, AdmitError> {
        let mut tx = self.db.change_alone(events.sign_in).await?;
        let at = events.sign_in.at;
        let asked = upstream_providers::in_transaction(&mut tx, &provider.uid).await?;
        let provider = asked.filter(|asked| {
            asked.disabled_at.is_none() && asked.issuer == provider.issuer && asked.client_id == provider.client_id
        });
        let provider = provider.ok_or(AdmitError::ProviderOff)?;
        if provider.settings.require_verified_email && !(person.email_verified && person.email.is_some()) {
            return Err(AdmitError::EmailNotVerified);
        }
        let known = upstream_identities::known(&mut tx, &provider.uid, &person.subject).await?;
        let teams = admitting(&mut tx, &provider, person).await?;
        let user = match known {
            Some((user, false)) => return Err(AdmitError::PersonOff(user)),
            Some((user, true)) => {
                follow(&mut tx, &user, person, at).await?;
                upstream_identities::touch(&mut tx, &provider.uid, &person.subject, at).await?;
                user
            }
            None if teams.is_empty() => return Err(AdmitError::NotAdmitted),
            None => {
                users::insert(&mut tx, newcomer).await.map_err(unexpected)?;
                let identity = UpstreamIdentity {
                    provider: provider.uid.clone(),
                    subject: person.subject.clone(),
                    user: newcomer.uid.clone(),
                    created_by: None,
                    created_at: at,
                    signed_in_at: Some(at),
                };
                upstream_identities::insert(&mut tx, &identity).await?;
                newcomer.uid.clone()
            }
        };
        let mut joined = Vec::new();
        for team in teams {
            if !was_member(&mut tx, &team, &user).await? {
                let membership = Membership::new(team.clone(), user.clone(), at);
                memberships::insert(&mut tx, &membership).await.map_err(unexpected)?;
                let mut event = (events.join)();
                event.team = Some(team.clone());
                event.principal = Some(Principal::User(user.clone()));
                tx.note(&event).await?;
                joined.push(team);
            }
        }
        if !joined.is_empty() {
            // As with every other team that a person comes into (threat 38).
            enrolment_codes::end_those_of_teams(&mut tx, &user, at).await?;
        }
        let mut event = events.sign_in.clone();
        event.principal = Some(Principal::User(user.clone()));
        tx.commit_with(&event).await?;
        Ok(SignedInPerson { user, provider, joined })
    }
}

/// The teams whose rules take `person` in. A team that names the provider has its uid in the policy's text; what the
/// pattern finds besides is sorted out by the rules themselves.
async fn admitting(
    tx: &mut Tx,
    provider: &UpstreamProvider,
    person: &UpstreamPerson,
) -> Result<Vec<TeamUid>, StoreError> {
    let sql = "SELECT uid, name, policy, external_id, created_at, disabled_at, deleted_at, version FROM teams
        WHERE disabled_at IS NULL AND deleted_at IS NULL AND policy LIKE $1 ORDER BY uid";
    let naming = format!("%\"provider\":\"{}\"%", provider.uid);
    let teams = tx.fetch_all(sql, [naming.into()]).await?;
    let teams = teams.iter().map(team_row::team).collect::<Result<Vec<Team>, _>>()?;
    let admits = |team: &Team| team.policy.joins.iter().any(|rule| rule.admits(provider, person));
    Ok(teams.into_iter().filter(admits).map(|team| team.uid).collect())
}

/// Whether the person is in the team or ever was: whom an admin removed or disabled does not come back by signing in.
async fn was_member(tx: &mut Tx, team: &TeamUid, user: &UserUid) -> Result<bool, StoreError> {
    let sql = "SELECT 1 AS one FROM memberships WHERE team_uid = $1 AND user_uid = $2 LIMIT 1";
    Ok(tx.fetch_optional(sql, [team.into(), user.into()]).await?.is_some())
}

/// Takes over the name and the address that the provider gives, where they have changed.
async fn follow(tx: &mut Tx, user: &UserUid, person: &UpstreamPerson, at: OffsetDateTime) -> Result<(), StoreError> {
    let sql = "UPDATE users SET name = COALESCE($2, name), email = COALESCE($3, email), version = version + 1,
            updated_at = $4
        WHERE uid = $1 AND (name <> COALESCE($2, name) OR COALESCE(email, '') <> COALESCE($3, email, ''))";
    let args = [user.into(), person.name.as_deref().into(), person.email.as_deref().into(), at.into()];
    tx.execute(sql, args).await.map(drop)
}

/// What cannot be, with a new uid and no membership before it.
fn unexpected(error: ChangeError) -> AdmitError {
    match error {
        ChangeError::Store(error) => error.into(),
        other => StoreError::Refused(other.to_string()).into(),
    }
}
