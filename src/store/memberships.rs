//! Who may act in which team, and as what.
//!
//! A disabled membership is a removed one that is remembered: both instants are set, so that whoever asks who may
//! act in a team asks for rows without `removed_at` and nothing else.

use time::OffsetDateTime;

use super::Store;
use super::db::{Row, Tx};
use super::error::{ChangeError, StoreError, check_version};
use super::idempotency::{self, Remember};
use super::page::{Page, Paged};
use super::{enrolment_codes, policy_json, team_row, users};
use crate::domain::audit::Event;
use crate::domain::authority::Seat;
use crate::domain::id::{SessionId, TeamUid, UserUid};
use crate::domain::role::TeamRole;
use crate::domain::session::SessionOrigin;
use crate::domain::team::{Membership, Team, User};

/// A member with what people know them by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The membership.
    pub membership: Membership,
    /// Their name.
    pub name: String,
    /// Their e-mail address.
    pub email: Option<String>,
}

/// What to change of a membership; `None` keeps.
#[derive(Debug, Clone, Default)]
pub struct MembershipChange {
    /// Another role.
    pub role: Option<TeamRole>,
    #[expect(clippy::option_option, reason = "keep, switch on and switch off are three things")]
    /// `Some(Some(_))` switches it off, `Some(None)` on again.
    pub disabled_at: Option<Option<OffsetDateTime>>,
}

/// Whom a caller may make a member: whose other teams are within these.
#[derive(Debug, Clone, Copy)]
pub enum MemberReach<'a> {
    /// Anyone.
    Everyone,
    /// People who are in no other team than these: about others the caller may not know.
    Within(&'a [TeamUid]),
}

macro_rules! member {
    ($where:literal) => {
        concat!(
            "SELECT m.team_uid, m.user_uid, m.role, m.created_at, m.disabled_at, m.version, u.name, u.email
             FROM memberships m JOIN users u ON u.uid = m.user_uid
             WHERE (m.removed_at IS NULL OR m.disabled_at IS NOT NULL) AND ",
            $where
        )
    };
}

impl Store {
    /// Lets a person act in a team; both must be alive, and the person within reach. Whoever was
    /// enrolled by the admins of a team, even of one they have left, loses those sessions and codes with the next team,
    /// so that nobody who rules one team acts as its people in another (threat 38).
    pub async fn add_member(
        &self,
        membership: &Membership,
        reach: MemberReach<'_>,
        event: &Event,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let (team, user) = (&membership.team, &membership.user);
        let alive = "SELECT 1 AS one FROM teams t, users u
            WHERE t.uid = $1 AND t.deleted_at IS NULL AND u.uid = $2 AND u.deleted_at IS NULL";
        if tx.fetch_optional(alive, [team.into(), user.into()]).await?.is_none() {
            return Err(ChangeError::NotFound);
        }
        let others: Vec<_> = users::teams_in(&mut tx, user).await?.into_iter().filter(|other| other != team).collect();
        if let MemberReach::Within(teams) = reach
            && !others.iter().all(|other| teams.contains(other))
        {
            return Err(ChangeError::NotFound);
        }
        insert(&mut tx, membership).await?;
        enrolment_codes::end_those_of_teams(&mut tx, user, event.at).await?;
        Ok(tx.commit_with(event).await?)
    }

    /// Makes a person known as a member of a team, both or neither.
    pub async fn create_member(
        &self,
        user: &User,
        membership: &Membership,
        event: &Event,
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change(event).await?;
        let alive = "SELECT 1 AS one FROM teams WHERE uid = $1 AND deleted_at IS NULL";
        if tx.fetch_optional(alive, [(&membership.team).into()]).await?.is_none() {
            return Err(ChangeError::NotFound);
        }
        users::insert(&mut tx, user).await?;
        insert(&mut tx, membership).await?;
        idempotency::remember(&mut tx, remember).await?;
        Ok(tx.commit_with(event).await?)
    }

    /// Changes a membership if its version is `expected`. When a disable has returned, the person gets no token in
    /// the team; when a role is taken, the next request of theirs is refused.
    pub async fn update_member(
        &self,
        team: &TeamUid,
        user: &UserUid,
        expected: Option<i64>,
        change: &MembershipChange,
        event: &Event,
    ) -> Result<Membership, ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let row = tx.fetch_optional(member!("m.team_uid = $1 AND m.user_uid = $2"), [team.into(), user.into()]).await?;
        let mut membership = membership(&row.ok_or(ChangeError::NotFound)?)?;
        check_version(expected, membership.version)?;
        if let Some(role) = change.role {
            membership.role = role;
        }
        if let Some(disabled_at) = change.disabled_at {
            membership.disabled_at = disabled_at;
        }
        membership.version += 1;
        tx.execute(
            "UPDATE memberships SET role = $3, disabled_at = $4, removed_at = $4, version = $5
             WHERE team_uid = $1 AND user_uid = $2 AND (removed_at IS NULL OR disabled_at IS NOT NULL)",
            [
                team.into(),
                user.into(),
                membership.role.as_str().into(),
                membership.disabled_at.into(),
                membership.version.into(),
            ],
        )
        .await?;
        tx.commit_with(event).await?;
        Ok(membership)
    }

    /// Ends a membership. When it has returned, the person gets no token in the team.
    pub async fn remove_member(&self, team: &TeamUid, user: &UserUid, event: &Event) -> Result<(), ChangeError> {
        let mut tx = self.db.change_alone(event).await?;
        let removed = tx
            .execute(
                "UPDATE memberships SET removed_at = COALESCE(removed_at, $3), disabled_at = NULL
                 WHERE team_uid = $1 AND user_uid = $2 AND (removed_at IS NULL OR disabled_at IS NOT NULL)",
                [team.into(), user.into(), event.at.into()],
            )
            .await?;
        if removed == 0 {
            return Err(ChangeError::NotFound);
        }
        Ok(tx.commit_with(event).await?)
    }

    /// One member, disabled or not.
    pub async fn member(&self, team: &TeamUid, user: &UserUid) -> Result<Option<Member>, StoreError> {
        let sql = member!("m.team_uid = $1 AND m.user_uid = $2");
        self.db.fetch_optional(sql, [team.into(), user.into()]).await?.as_ref().map(member).transpose()
    }

    /// Whether a person may act in a team.
    pub async fn is_member(&self, team: &TeamUid, user: &UserUid) -> Result<bool, StoreError> {
        Ok(self.member(team, user).await?.is_some_and(|member| member.membership.disabled_at.is_none()))
    }

    /// What a person may administer in a team by one of their sessions, in one question whatever the answer:
    /// `None` where they are not in it, where they are switched off there, or where it does not exist.
    pub async fn seat(&self, team: &TeamUid, user: &UserUid, session: SessionId) -> Result<Option<Seat>, StoreError> {
        let sql = "SELECT m.role, t.disabled_at, t.policy, s.origin
            FROM memberships m JOIN teams t ON t.uid = m.team_uid JOIN sessions s ON s.id = $3
            WHERE m.team_uid = $1 AND m.user_uid = $2 AND m.removed_at IS NULL AND t.deleted_at IS NULL";
        let row = self.db.fetch_optional(sql, [team.into(), user.into(), session.into()]).await?;
        row.map(|row| {
            let policy = policy_json::read(&row.text("policy")?)?;
            Ok(Seat {
                role: row.parsed("role", TeamRole::parse)?,
                team_disabled: row.optional_int("disabled_at")?.is_some(),
                sign_in_accepted: policy.accepts(&row.parsed("origin", SessionOrigin::parse)?),
            })
        })
        .transpose()
    }

    /// A page of a team's members, disabled ones among them, in the order of their uids.
    pub async fn members(&self, team: &TeamUid, page: &Page) -> Result<Paged<Member>, StoreError> {
        let sql = member!("m.team_uid = $1 AND m.user_uid > $2 ORDER BY m.user_uid LIMIT $3");
        let rows = self.db.fetch_page(sql, [team.into(), page.after()?.into(), page.fetch().into()]).await?;
        let members = rows.iter().map(member).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(members, |member| member.membership.user.to_string()))
    }

    /// The teams a person may act in, in the order of their uids; disabled ones among them, tombstones not.
    pub async fn memberships_of(&self, user: &UserUid) -> Result<Vec<Team>, StoreError> {
        let sql = "SELECT t.uid, t.name, t.policy, t.external_id, t.created_at, t.disabled_at,
                    t.deleted_at, t.version FROM memberships m JOIN teams t ON t.uid = m.team_uid
            WHERE m.user_uid = $1 AND m.removed_at IS NULL AND t.deleted_at IS NULL ORDER BY t.uid";
        self.db.fetch_all(sql, [user.into()]).await?.iter().map(team_row::team).collect()
    }

    /// The teams that a person is in, also where they are disabled there.
    pub async fn teams_with(&self, user: &UserUid) -> Result<Vec<TeamUid>, StoreError> {
        users::teams_in(&mut self.db.begin().await?, user).await
    }
}

/// Saves a membership of a person who is not in the team.
pub(super) async fn insert(tx: &mut Tx, membership: &Membership) -> Result<(), ChangeError> {
    let (team, user) = (&membership.team, &membership.user);
    let known = member!("m.team_uid = $1 AND m.user_uid = $2");
    if tx.fetch_optional(known, [team.into(), user.into()]).await?.is_some() {
        return Err(ChangeError::Conflict("already_member"));
    }
    let inserted = tx
        .execute(
            "INSERT INTO memberships (team_uid, user_uid, role, created_at, version) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT DO NOTHING",
            [
                team.into(),
                user.into(),
                membership.role.as_str().into(),
                membership.created_at.into(),
                membership.version.into(),
            ],
        )
        .await?;
    if inserted == 0 { Err(ChangeError::Conflict("already_member")) } else { Ok(()) }
}

fn member(row: &Row) -> Result<Member, StoreError> {
    Ok(Member { membership: membership(row)?, name: row.text("name")?, email: row.optional_text("email")? })
}

fn membership(row: &Row) -> Result<Membership, StoreError> {
    Ok(Membership {
        team: row.uid("team_uid")?,
        user: row.uid("user_uid")?,
        role: row.parsed("role", TeamRole::parse)?,
        created_at: row.time("created_at")?,
        disabled_at: row.optional_time("disabled_at")?,
        version: row.int("version")?,
    })
}
