//! Runs. What a run was opened with is written once; only its end and its count of tokens change.

use time::OffsetDateTime;

use super::Store;
use super::credentials::{self, NewCredential, Owner};
use super::db::Row;
use super::error::{ChangeError, StoreError};
use super::idempotency::{self, Remember};
use super::page::{Page, Paged};
use super::signed_in_json::authentication;
use super::{run_json, settings_json};
use crate::domain::access::RunsOf;
use crate::domain::audit::Event;
use crate::domain::credential::CredentialKind;
use crate::domain::id::{Handle, RunId, ServiceAccountUid, TeamUid, UserUid};
use crate::domain::lifetime::Lifetime;
use crate::domain::principal::Principal;
use crate::domain::role_arn::RoleArn;
use crate::domain::run::{Opener, Run, RunTerms};

/// Which runs are asked for.
#[derive(Debug, Clone)]
pub struct RunFilter {
    /// Those that the caller may know of.
    pub whose: RunsOf,
    /// Of one team.
    pub team: Option<TeamUid>,
    /// Of one principal.
    pub principal: Option<Principal>,
    /// Only those that had not ended by then.
    pub open_at: Option<OffsetDateTime>,
}

macro_rules! runs {
    () => {
        "SELECT g.id, g.team_uid, g.principal, g.opener_kind, g.opener_id, g.opener_session_id, g.audiences, g.labels,
            g.layer, g.role_arn, g.lifetime_cap, g.tokens_max, g.tokens_issued, g.created_at, g.ends_at, g.ended_at,
            s.origin AS session_origin, s.amr AS session_amr
         FROM runs g LEFT JOIN sessions s ON s.id = g.opener_session_id "
    };
}

/// That a run `g` is one of those that a caller may know of: `$of` is a principal, `$by` a platform key, `$within` a team, NULL
/// where that does not matter. A key's list of teams is asked as it is now, so that a team taken off it takes its runs
/// along (threat 20).
macro_rules! known {
    ($of:literal, $by:literal, $within:literal) => {
        concat!(
            "(",
            $of,
            " IS NULL OR g.principal = ",
            $of,
            ") AND (",
            $by,
            " IS NULL OR (g.opener_id = ",
            $by,
            " AND EXISTS (SELECT 1 FROM platform_key_teams l
                WHERE l.credential_id = g.opener_id AND l.team_uid = g.team_uid))) AND (",
            $within,
            " IS NULL OR g.team_uid = ",
            $within,
            ")"
        )
    };
}

impl Store {
    /// Saves a run with its bearer, which ends with it. The principal must be there and in the team; whether it and
    /// the opener are alive is proven by each token.
    pub async fn create_run(
        &self,
        run: &Run,
        bearer: &NewCredential,
        event: &Event,
        remember: Option<&Remember>,
    ) -> Result<(), ChangeError> {
        let mut tx = self.db.change(event).await?;
        let terms = &run.terms;
        let inserted = tx
            .execute(
                "INSERT INTO runs (id, team_uid, principal, user_uid, service_account_uid, opener_kind, opener_id,
                    opener_session_id, audiences, labels, layer, role_arn, lifetime_cap, tokens_max, tokens_issued,
                    version, created_at, ends_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, 1, $15, $16)
                 ON CONFLICT DO NOTHING",
                [
                    run.id.as_str().into(),
                    (&run.team).into(),
                    run.principal.to_string().into(),
                    run.principal.user().map(UserUid::as_str).into(),
                    run.principal.service_account().map(ServiceAccountUid::as_str).into(),
                    run.opener.kind.as_str().into(),
                    run.opener.credential.into(),
                    run.opener.session.into(),
                    run_json::write_audiences(&terms.audiences)?.into(),
                    run_json::write_labels(&terms.labels)?.into(),
                    settings_json::write(&terms.layer)?.into(),
                    terms.role.as_ref().map(RoleArn::as_str).into(),
                    super::db::Value::Int(terms.lifetime_cap.map(|cap| cap.seconds().into())),
                    super::db::Value::Int(terms.tokens_max.map(i64::from)),
                    run.created_at.into(),
                    run.ends_at.into(),
                ],
            )
            .await?;
        if inserted == 0 {
            return Err(ChangeError::Conflict("run_known"));
        }
        credentials::insert(&mut tx, bearer, Owner::Run(&run.id)).await?;
        idempotency::remember(&mut tx, remember).await?;
        Ok(tx.commit_with(event).await?)
    }

    /// One run, alive or over.
    pub async fn run(&self, id: &RunId) -> Result<Option<Run>, StoreError> {
        let sql = concat!(runs!(), "WHERE g.id = $1");
        self.db.fetch_optional(sql, [id.as_str().into()]).await?.as_ref().map(run).transpose()
    }

    /// The same, where it is one of `whose`.
    pub async fn known_run(&self, id: &RunId, whose: &RunsOf) -> Result<Option<Run>, StoreError> {
        let [of, opened_by, within] = parts(whose);
        let sql = concat!(runs!(), "WHERE g.id = $1 AND ", known!("$2", "$3", "$4"));
        let args = [id.as_str().into(), of.into(), opened_by.into(), within.into()];
        self.db.fetch_optional(sql, args).await?.as_ref().map(run).transpose()
    }

    /// A page of runs, the newest first.
    pub async fn runs(&self, filter: &RunFilter, page: &Page) -> Result<Paged<Run>, StoreError> {
        let (created, id) = cursor(page)?;
        let [of, opened_by, within] = parts(&filter.whose);
        let rows = self
            .db
            .fetch_page(
                concat!(
                    runs!(),
                    "WHERE g.created_at <= $1 AND (g.created_at < $1 OR g.id < $2) AND ",
                    known!("$3", "$4", "$9"),
                    " AND ($5 IS NULL OR g.team_uid = $5) AND ($6 IS NULL OR g.principal = $6)
                        AND ($7 IS NULL OR (g.ended_at IS NULL AND g.ends_at > $7))
                     ORDER BY g.created_at DESC, g.id DESC LIMIT $8"
                ),
                [
                    created.into(),
                    id.into(),
                    of.into(),
                    opened_by.into(),
                    filter.team.as_ref().map(TeamUid::as_str).into(),
                    filter.principal.as_ref().map(ToString::to_string).into(),
                    filter.open_at.into(),
                    page.fetch().into(),
                    within.into(),
                ],
            )
            .await?;
        let runs = rows.iter().map(run).collect::<Result<Vec<_>, _>>()?;
        Ok(page.cut(runs, |run| format!("{}.{}", super::db::millis(run.created_at), run.id)))
    }

    /// Ends a run that goes on and is one of `whose`. When it has returned, its bearer gets no token. Who ends a team's run
    /// must still hold that office.
    pub async fn end_run(&self, id: &RunId, whose: &RunsOf, event: &Event) -> Result<(), ChangeError> {
        let mut tx = match whose {
            RunsOf::InTeam(_) => self.db.change_alone_in_office(event).await?,
            RunsOf::Everyone | RunsOf::Principal(_) | RunsOf::OpenedBy(_) => self.db.change_alone(event).await?,
        };
        let [of, opened_by, within] = parts(whose);
        let sql = concat!(
            "UPDATE runs AS g SET ended_at = $2, version = version + 1
             WHERE g.id = $1 AND g.ended_at IS NULL AND g.ends_at > $2 AND ",
            known!("$3", "$4", "$5")
        );
        let args = [id.as_str().into(), event.at.into(), of.into(), opened_by.into(), within.into()];
        if tx.execute(sql, args).await? == 0 {
            return Err(ChangeError::NotFound);
        }
        Ok(tx.commit_with(event).await?)
    }
}

/// What `known!` asks for: whose runs, opened by which platform key, in which team.
fn parts(whose: &RunsOf) -> [Option<String>; 3] {
    match whose {
        RunsOf::Everyone => [None, None, None],
        RunsOf::Principal(principal) => [Some(principal.to_string()), None, None],
        RunsOf::OpenedBy(credential) => [None, Some(credential.to_string()), None],
        RunsOf::InTeam(team) => [None, None, Some(team.to_string())],
    }
}

/// Where the page before ended; the start is an instant after every run.
fn cursor(page: &Page) -> Result<(i64, String), StoreError> {
    let after = page.after()?;
    if after.is_empty() {
        return Ok((i64::MAX, String::new()));
    }
    let (created, id) = after.split_once('.').ok_or(StoreError::Cursor)?;
    Ok((created.parse().map_err(|_| StoreError::Cursor)?, id.to_owned()))
}

fn run(row: &Row) -> Result<Run, StoreError> {
    let number = |column| {
        let read = |number| u32::try_from(number).map_err(|_| StoreError::Corrupt(column));
        row.optional_int(column)?.map(read).transpose()
    };
    let cap =
        number("lifetime_cap")?.map(Lifetime::new).transpose().map_err(|_| StoreError::Corrupt("lifetime_cap"))?;
    Ok(Run {
        id: row.parsed("id", |text| RunId::parse(text).ok())?,
        team: row.uid("team_uid")?,
        principal: row.parsed("principal", |text| Principal::parse(text).ok())?,
        opener: Opener {
            kind: row.parsed("opener_kind", CredentialKind::parse)?,
            credential: row.handle("opener_id")?,
            session: row.optional_parsed("opener_session_id", Handle::parse)?,
            by: authentication(row)?,
        },
        terms: RunTerms {
            audiences: run_json::read_audiences(&row.text("audiences")?)?,
            role: row.optional_parsed("role_arn", |text| RoleArn::parse(text).ok())?,
            lifetime_cap: cap,
            tokens_max: number("tokens_max")?,
            labels: run_json::read_labels(&row.text("labels")?)?,
            layer: settings_json::read(&row.text("layer")?)?,
        },
        tokens_issued: row.int("tokens_issued")?,
        created_at: row.time("created_at")?,
        ends_at: row.time("ends_at")?,
        ended_at: row.optional_time("ended_at")?,
    })
}
