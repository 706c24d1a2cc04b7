//! From a provider's word to a person here: known, taken in by a team, or refused.

use time::OffsetDateTime;

use super::Store;
use super::asker::Change;
use super::db::Tx;
use super::error::{ChangeError, StoreError};
use super::sign_ins::{self, Arrival};
use super::upstream_identities::{self, UpstreamIdentity};
use super::{enrolment_codes, memberships, team_row, upstream_logout, upstream_providers, users};
use crate::domain::audit::Event;
use crate::domain::id::{TeamUid, UserUid};
use crate::domain::principal::Principal;
use crate::domain::session::{SessionOrigin, SignedIn};
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
pub struct Admitted {
    /// Who, and what they have proved.
    pub signed_in: SignedIn,
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
    /// The browser that they came back in is on no way any more, or the provider has said since it began that they have
    /// logged out there.
    #[error("the browser's sign-in is over")]
    Over,
    /// The store did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Finds who `person` of `provider` is; makes `newcomer` of a subject that nobody knows and some team takes in, and
    /// no one of any other. Somebody known may join further teams, but none that once removed or disabled them. Name
    /// and address follow the provider. When it has returned, all of it is committed with its rows, and the browser noted
    /// with it, or nothing.
    pub async fn admit(
        &self,
        provider: &UpstreamProvider,
        person: &UpstreamPerson,
        newcomer: &User,
        arrival: Option<Arrival<'_>>,
        events: SignInEvents<'_>,
    ) -> Result<Admitted, AdmitError> {
        let at = events.sign_in.at;
        let (mut tx, found) = self.found(provider, person, events.sign_in).await?;
        if let Some(arrival) = arrival
            && let Some(began) = sign_ins::began(&mut tx, arrival.browser).await?
            && upstream_logout::logged_out_since(&mut tx, &found.provider.uid, person, began).await?
        {
            return Err(AdmitError::Over);
        }
        let user = if let Some(user) = found.user {
            follow(&mut tx, &user, person, at).await?;
            upstream_identities::touch(&mut tx, &found.provider.uid, &person.subject, at).await?;
            user
        } else {
            users::insert(&mut tx, newcomer).await.map_err(unexpected)?;
            let identity = UpstreamIdentity {
                provider: found.provider.uid.clone(),
                subject: person.subject.clone(),
                user: newcomer.uid.clone(),
                created_by: None,
                created_at: at,
                signed_in_at: Some(at),
            };
            upstream_identities::insert(&mut tx, &identity).await?;
            newcomer.uid.clone()
        };
        for team in &found.joins {
            let membership = Membership::new(team.clone(), user.clone(), at);
            memberships::insert(&mut tx, &membership).await.map_err(unexpected)?;
            let mut event = (events.join)();
            event.team = Some(team.clone());
            event.principal = Some(Principal::User(user.clone()));
            tx.note(&event).await?;
        }
        if !found.joins.is_empty() {
            // As with every other team that a person comes into (threat 38).
            enrolment_codes::end_those_of_teams(&mut tx, &user, at).await?;
        }
        let signed_in = SignedIn {
            user: user.clone(),
            origin: SessionOrigin::Upstream(found.provider.uid.clone()),
            code: None,
            subject: Some(person.subject.clone()),
            sid: person.sid.clone(),
            amr: person.amr.clone(),
            at,
            ends_at: at + found.provider.settings.session_length.duration(),
        };
        if let Some(arrival) = arrival
            && !sign_ins::note(&mut tx, arrival, &signed_in, at).await?
        {
            return Err(AdmitError::Over);
        }
        let mut event = events.sign_in.clone();
        event.principal = Some(Principal::User(user));
        tx.commit_with(&event).await?;
        Ok(Admitted { signed_in, joined: found.joins })
    }

    /// Who `person` is, in the transaction that is to say so. Most sign-ins join no team, and hold off no mint; one that
    /// joins ends what the admins of other teams enrolled, so it must be alone, and is judged again when it is.
    async fn found(
        &self,
        provider: &UpstreamProvider,
        person: &UpstreamPerson,
        event: &Event,
    ) -> Result<(Change, Found), AdmitError> {
        let mut tx = self.db.change(event).await?;
        let found = find(&mut tx, provider, person).await?;
        if found.joins.is_empty() {
            return Ok((tx, found));
        }
        tx.undo().await?;
        let mut tx = self.db.change_alone(event).await?;
        let found = find(&mut tx, provider, person).await?;
        Ok((tx, found))
    }
}

/// Who a provider's person turned out to be.
struct Found {
    /// Under which settings.
    provider: UpstreamProvider,
    /// Who, where somebody knows them.
    user: Option<UserUid>,
    /// The teams that take them in now; never empty for somebody whom nobody knows.
    joins: Vec<TeamUid>,
}

async fn find(tx: &mut Tx, provider: &UpstreamProvider, person: &UpstreamPerson) -> Result<Found, AdmitError> {
    let asked = upstream_providers::in_transaction(tx, &provider.uid).await?;
    let provider = asked.filter(|asked| {
        asked.disabled_at.is_none() && asked.issuer == provider.issuer && asked.client_id == provider.client_id
    });
    let provider = provider.ok_or(AdmitError::ProviderOff)?;
    if provider.settings.require_verified_email && !(person.email_verified && person.email.is_some()) {
        return Err(AdmitError::EmailNotVerified);
    }
    let user = match upstream_identities::known(tx, &provider.uid, &person.subject).await? {
        Some((user, false)) => return Err(AdmitError::PersonOff(user)),
        Some((user, true)) => Some(user),
        None => None,
    };
    let mut joins = admitting(tx, &provider, person).await?;
    match &user {
        Some(user) => {
            let known = teams_ever(tx, user).await?;
            joins.retain(|team| !known.contains(team));
        }
        None if joins.is_empty() => return Err(AdmitError::NotAdmitted),
        None => {}
    }
    Ok(Found { provider, user, joins })
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

/// The teams that the person is in or ever was: whom an admin removed or disabled does not come back by signing in.
async fn teams_ever(tx: &mut Tx, user: &UserUid) -> Result<Vec<TeamUid>, StoreError> {
    let sql = "SELECT DISTINCT team_uid FROM memberships WHERE user_uid = $1";
    tx.fetch_all(sql, [user.into()]).await?.iter().map(|row| row.uid("team_uid")).collect()
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
