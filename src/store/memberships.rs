//! Who may act in which team.

use super::Store;
use super::db::Row;
use super::error::{ChangeError, StoreError};
use super::idempotency::{self, Remember};
use super::page::{Page, Paged};
use super::team_row;
use crate::domain::audit::Event;
use crate::domain::id::{TeamUid, UserUid};
use crate::domain::team::{Membership, Team};

impl Store {
    /// Lets a person act in a team; both must be alive.
    pub async fn add_member(
        &self,
        membership: &Membership,
        event: &Event,
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.begin().await?;
        let (team, user) = (&membership.team, &membership.user);
        let alive = "SELECT 1 AS one FROM teams t, users u
            WHERE t.uid = $1 AND t.deleted_at IS NULL AND u.uid = $2 AND u.deleted_at IS NULL";
        if tx.fetch_optional(alive, [team.into(), user.into()]).await?.is_none() {
            return Err(ChangeError::NotFound);
        }
        let inserted = tx
            .execute(
                "INSERT INTO memberships (team_uid, user_uid, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                [team.into(), user.into(), membership.created_at.into()],
            )
            .await?;
        if inserted == 0 {
            return Err(ChangeError::Conflict("already_member"));
        }
        idempotency::remember(&mut tx, remember).await?;
        Ok(tx.commit_with(event).await?)
    }

    /// Ends a membership. When it has returned, the person gets no token in the team.
    pub async fn remove_member(&self, team: &TeamUid, user: &UserUid, event: &Event) -> Result<(), ChangeError> {
        let mut tx = self.db.begin_alone().await?;
        let removed = tx
            .execute(
                "UPDATE memberships SET removed_at = $3
                 WHERE team_uid = $1 AND user_uid = $2 AND removed_at IS NULL",
                [team.into(), user.into(), event.at.into()],
            )
            .await?;
        if removed == 0 {
            return Err(ChangeError::NotFound);
        }
        Ok(tx.commit_with(event).await?)
    }

    /// One membership, where it is alive.
    pub async fn membership(&self, team: &TeamUid, user: &UserUid) -> Result<Option<Membership>, StoreError> {
        let sql = "SELECT team_uid, user_uid, created_at
            FROM memberships WHERE team_uid = $1 AND user_uid = $2 AND removed_at IS NULL";
        self.db.fetch_optional(sql, [team.into(), user.into()]).await?.as_ref().map(membership).transpose()
    }

    /// Whether a person may act in a team.
    pub async fn is_member(&self, team: &TeamUid, user: &UserUid) -> Result<bool, StoreError> {
        Ok(self.membership(team, user).await?.is_some())
    }

    /// A page of a team's members, in the order of their uids.
    pub async fn members(&self, team: &TeamUid, page: &Page) -> Result<Paged<Membership>, StoreError> {
        let sql = "SELECT team_uid, user_uid, created_at
            FROM memberships WHERE team_uid = $1 AND user_uid > $2 AND removed_at IS NULL
            ORDER BY user_uid LIMIT $3";
        let rows = self.db.fetch_all(sql, [team.into(), page.after()?.into(), page.fetch().into()]).await?;
        let members = rows.iter().map(membership).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(members, |membership| membership.user.to_string()))
    }

    /// The teams a person may act in, in the order of their uids; disabled ones among them, tombstones not.
    pub async fn memberships_of(&self, user: &UserUid) -> Result<Vec<Team>, StoreError> {
        let sql = "SELECT t.uid, t.name, t.policy, t.external_id, t.created_at, t.disabled_at,
                    t.deleted_at, t.version FROM memberships m JOIN teams t ON t.uid = m.team_uid
            WHERE m.user_uid = $1 AND m.removed_at IS NULL AND t.deleted_at IS NULL ORDER BY t.uid";
        self.db.fetch_all(sql, [user.into()]).await?.iter().map(team_row::team).collect()
    }
}

fn membership(row: &Row) -> Result<Membership, StoreError> {
    Ok(Membership { team: row.uid("team_uid")?, user: row.uid("user_uid")?, created_at: row.time("created_at")? })
}
