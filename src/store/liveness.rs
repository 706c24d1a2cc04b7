//! What a credential's liveness hangs on, said twice: [`ALIVE`] proves it in the statement that writes an audit row,
//! [`dead`] tells which link is cut. Whoever adds a link adds it to both; `tests/it/store_contract/liveness.rs` cuts
//! each and compares.
//!
//! ```text
//! access token   -> session (and the provider behind it) and person, or (key | public key | trust rule) and service account
//! run bearer     -> run -> principal in its team, and its opener: session | key | what the token came from | platform key
//! platform key   -> the team on its list, the right for that kind of principal, the principal in that team
//! ```

use std::fmt;

use time::OffsetDateTime;

use super::db::Row;
use super::error::StoreError;
use crate::domain::platform::{PlatformRight, PlatformRights};
use crate::domain::principal::ActorType;

/// Why a known credential means nothing any more; a closed list, in audit rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeadReason {
    /// It has passed its end.
    CredentialExpired,
    /// It was revoked.
    CredentialRevoked,
    /// Its administrator was removed.
    AdministratorRevoked,
    /// Its administrator's time is over.
    AdministratorExpired,
    /// Its run was ended.
    RunEnded,
    /// Its run's time is over.
    RunExpired,
    /// The credential that opened its run was revoked.
    RunOpenerRevoked,
    /// The credential that opened its run has passed its end.
    RunOpenerExpired,
    /// The key that an access token came from was revoked.
    ParentKeyRevoked,
    /// The key that an access token came from has passed its end.
    ParentKeyExpired,
    /// The public key that an access token came from was revoked.
    PublicKeyRevoked,
    /// The public key that an access token came from has passed its end.
    PublicKeyExpired,
    /// The trust rule that an access token came from is switched off.
    TrustRuleDisabled,
    /// The trust rule that an access token came from is deleted.
    TrustRuleDeleted,
    /// The platform key behind it lists the team no more.
    PlatformTeamRemoved,
    /// The platform key behind it has the right no more.
    PlatformRightRemoved,
    /// Its person is switched off.
    UserDisabled,
    /// Its person is deleted.
    UserDeleted,
    /// Its run's person is in the team no more.
    MembershipEnded,
    /// Its session was ended.
    SessionEnded,
    /// Its session's time is over.
    SessionExpired,
    /// Nobody has refreshed its session for too long.
    SessionIdle,
    /// The provider at which its person signed in is switched off.
    ProviderDisabled,
    /// The provider at which its person signed in is deleted.
    ProviderDeleted,
    /// Its service account is switched off.
    ServiceAccountDisabled,
    /// Its service account is deleted.
    ServiceAccountDeleted,
    /// Its team is switched off.
    TeamDisabled,
    /// Its team is deleted.
    TeamDeleted,
}

impl DeadReason {
    /// Every reason there is.
    pub const ALL: [Self; 28] = [
        Self::CredentialExpired,
        Self::CredentialRevoked,
        Self::AdministratorRevoked,
        Self::AdministratorExpired,
        Self::RunEnded,
        Self::RunExpired,
        Self::RunOpenerRevoked,
        Self::RunOpenerExpired,
        Self::ParentKeyRevoked,
        Self::ParentKeyExpired,
        Self::PublicKeyRevoked,
        Self::PublicKeyExpired,
        Self::TrustRuleDisabled,
        Self::TrustRuleDeleted,
        Self::PlatformTeamRemoved,
        Self::PlatformRightRemoved,
        Self::UserDisabled,
        Self::UserDeleted,
        Self::MembershipEnded,
        Self::SessionEnded,
        Self::SessionExpired,
        Self::SessionIdle,
        Self::ProviderDisabled,
        Self::ProviderDeleted,
        Self::ServiceAccountDisabled,
        Self::ServiceAccountDeleted,
        Self::TeamDisabled,
        Self::TeamDeleted,
    ];

    /// The stable word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CredentialExpired => "credential_expired",
            Self::CredentialRevoked => "credential_revoked",
            Self::AdministratorRevoked => "administrator_revoked",
            Self::AdministratorExpired => "administrator_expired",
            Self::RunEnded => "run_ended",
            Self::RunExpired => "run_expired",
            Self::RunOpenerRevoked => "run_opener_revoked",
            Self::RunOpenerExpired => "run_opener_expired",
            Self::ParentKeyRevoked => "parent_key_revoked",
            Self::ParentKeyExpired => "parent_key_expired",
            Self::PublicKeyRevoked => "public_key_revoked",
            Self::PublicKeyExpired => "public_key_expired",
            Self::TrustRuleDisabled => "trust_rule_disabled",
            Self::TrustRuleDeleted => "trust_rule_deleted",
            Self::PlatformTeamRemoved => "platform_team_removed",
            Self::PlatformRightRemoved => "platform_right_removed",
            Self::UserDisabled => "user_disabled",
            Self::UserDeleted => "user_deleted",
            Self::MembershipEnded => "membership_ended",
            Self::SessionEnded => "session_ended",
            Self::SessionExpired => "session_expired",
            Self::SessionIdle => "session_idle",
            Self::ProviderDisabled => "sign_in_provider_disabled",
            Self::ProviderDeleted => "sign_in_provider_deleted",
            Self::ServiceAccountDisabled => "service_account_disabled",
            Self::ServiceAccountDeleted => "service_account_deleted",
            Self::TeamDisabled => "team_disabled",
            Self::TeamDeleted => "team_deleted",
        }
    }
}

impl fmt::Display for DeadReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A credential that was neither revoked nor has run out at the row's time.
macro_rules! usable {
    ($c:literal) => {
        concat!($c, ".revoked_at IS NULL AND (", $c, ".expires_at IS NULL OR ", $c, ".expires_at > r.at)")
    };
}

/// A service account's access token comes from exactly one of a key, a public key and a trust rule, which must be alive.
macro_rules! derived {
    ($c:literal) => {
        concat!(
            "(EXISTS (SELECT 1 FROM credentials k WHERE k.id = ",
            $c,
            ".parent_id
                AND k.service_account_uid = ",
            $c,
            ".service_account_uid AND ",
            usable!("k"),
            ")
              OR EXISTS (SELECT 1 FROM public_keys k WHERE k.id = ",
            $c,
            ".public_key_id
                AND k.service_account_uid = ",
            $c,
            ".service_account_uid AND ",
            usable!("k"),
            ")
              OR EXISTS (SELECT 1 FROM trust_rules k WHERE k.id = ",
            $c,
            ".trust_rule_id
                AND k.service_account_uid = ",
            $c,
            ".service_account_uid
                AND k.disabled_at IS NULL AND k.deleted_at IS NULL))"
        )
    };
}

/// A session goes on until it is ended, its time is over or nobody has refreshed it for too long, and only while the
/// provider is on at which its person signed in.
macro_rules! session {
    ($s:literal) => {
        concat!(
            $s,
            ".ended_at IS NULL AND ",
            $s,
            ".expires_at > r.at AND (",
            $s,
            ".idle_at IS NULL OR ",
            $s,
            ".idle_at > r.at)
                AND (",
            $s,
            ".provider_uid IS NULL OR EXISTS (SELECT 1 FROM upstream_providers v WHERE v.uid = ",
            $s,
            ".provider_uid
                    AND v.disabled_at IS NULL AND v.deleted_at IS NULL))"
        )
    };
}

/// A platform key acts in the row's team if it lists it, and has the right for the kind of the row's principal.
macro_rules! entitled {
    ($c:literal, $agents:literal, $people:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM platform_keys f
                JOIN platform_key_teams l ON l.credential_id = f.credential_id AND l.team_uid = r.team_uid
              WHERE f.credential_id = ",
            $c,
            ".id AND ',' || f.rights || ',' LIKE
                CASE WHEN r.user_uid IS NULL THEN '%,",
            $agents,
            ",%' ELSE '%,",
            $people,
            ",%' END)"
        )
    };
}

/// Off means off: every link of the chain from the credential to the key is looked at again, here and now.
/// Whatever was switched off counts at once, whatever its instant says; expiry counts at the row's time.
///
/// A row in a run is one of that run's own bearer, and no other credential releases one (threat 33).
pub(super) const ALIVE: &str = concat!(
    " WHERE r.proven = 0 OR (
    EXISTS (SELECT 1 FROM signing_keys k
            JOIN issuers i ON i.id = k.issuer_id AND i.deleted_at IS NULL
                AND (i.team_uid IS NULL OR i.team_uid = r.team_uid)
        WHERE k.kid = r.proof_kid AND k.kid = r.kid AND k.issuer_id = r.proof_issuer AND k.issuer_id = r.issuer_id
            AND k.revoked_at IS NULL AND k.publish_from <= r.at AND k.sign_from <= r.at
            AND (k.sign_until IS NULL OR k.sign_until > r.at)
            AND (k.publish_until IS NULL OR k.publish_until > r.at))
    AND EXISTS (SELECT 1 FROM teams t
        WHERE t.uid = r.team_uid AND t.disabled_at IS NULL AND t.deleted_at IS NULL AND t.version = r.proof_version)
    AND (EXISTS (SELECT 1 FROM users u
            JOIN memberships m ON m.user_uid = u.uid AND m.team_uid = r.team_uid AND m.removed_at IS NULL
        WHERE u.uid = r.user_uid AND u.disabled_at IS NULL AND u.deleted_at IS NULL)
        OR EXISTS (SELECT 1 FROM service_accounts a
        WHERE a.uid = r.account_uid AND a.team_uid = r.team_uid AND a.disabled_at IS NULL AND a.deleted_at IS NULL))
    AND EXISTS (SELECT 1 FROM credentials c WHERE c.id = r.proof_credential AND ",
    usable!("c"),
    " AND CASE c.kind
        WHEN 'service_account_key' THEN r.run_id IS NULL AND c.service_account_uid = r.account_uid
        WHEN 'access_token' THEN r.run_id IS NULL AND CASE WHEN c.session_id IS NOT NULL
            THEN c.user_uid = r.user_uid AND EXISTS (SELECT 1 FROM sessions s WHERE s.id = c.session_id
                AND s.user_uid = c.user_uid AND ",
    session!("s"),
    ")
            ELSE c.service_account_uid = r.account_uid AND ",
    derived!("c"),
    " END
        WHEN 'platform_key' THEN r.run_id IS NULL
            AND ",
    entitled!("c", "mint_for_service_accounts", "mint_for_users"),
    "
        WHEN 'run_bearer' THEN EXISTS (SELECT 1 FROM runs g JOIN credentials o ON o.id = g.opener_id
            WHERE g.id = c.run_id AND g.id = r.run_id AND g.team_uid = r.team_uid AND g.principal = r.principal
                AND g.ended_at IS NULL AND g.ends_at > r.at AND CASE o.kind
                WHEN 'service_account_key' THEN o.service_account_uid = r.account_uid AND ",
    usable!("o"),
    "
                WHEN 'access_token' THEN CASE WHEN g.opener_session_id IS NOT NULL
                    THEN EXISTS (SELECT 1 FROM sessions s WHERE s.id = g.opener_session_id
                        AND s.user_uid = r.user_uid AND ",
    session!("s"),
    ")
                    ELSE o.service_account_uid = r.account_uid AND o.revoked_at IS NULL AND ",
    derived!("o"),
    " END
                WHEN 'platform_key' THEN ",
    usable!("o"),
    "
                    AND ",
    entitled!("o", "open_runs", "open_runs_for_users"),
    "
                ELSE FALSE END)
        ELSE FALSE END)
    AND (r.proof_worker IS NULL OR EXISTS (SELECT 1 FROM credentials w
            JOIN worker_key_teams l ON l.credential_id = w.id AND l.team_uid = r.team_uid
        WHERE w.id = r.proof_worker AND w.kind = 'worker_key' AND ",
    usable!("w"),
    "))
    AND (r.proof_token IS NULL OR EXISTS (SELECT 1 FROM audit_events o
            JOIN issuers j ON j.id = o.issuer_id AND j.deleted_at IS NULL
                AND (j.team_uid IS NULL OR j.team_uid = r.team_uid)
        WHERE o.token_id = r.proof_token AND o.decision = 'allowed'
            AND o.credential_id = r.proof_credential AND o.team_uid = r.team_uid AND o.principal = r.principal
            AND o.at > r.at - 7200000))
)"
);

/// A credential with all that its liveness hangs on: columns and joins, from `$from` on, which names the credential
/// `c`. For whom and in which team a platform key acted, only `$from` can tell.
macro_rules! liveness {
    ($from:literal, $user:literal, $account:literal, $team:literal) => {
        concat!(
            "c.id, c.kind, c.administrator_id, c.user_uid, c.session_id, c.service_account_uid, c.run_id,
            c.created_at, c.expires_at, c.last_used_at, c.revoked_at,
            p.role AS administrator_role, p.revoked_at AS administrator_revoked, p.expires_at AS administrator_expires,
            g.principal AS run_principal, g.ended_at AS run_ended, g.ends_at AS run_ends,
            CASE WHEN g.opener_session_id IS NULL THEN o.revoked_at END AS opener_revoked,
            CASE WHEN o.kind <> 'access_token' THEN o.expires_at END AS opener_expires,
            k.revoked_at AS parent_revoked, k.expires_at AS parent_expires,
            b.revoked_at AS public_key_revoked, b.expires_at AS public_key_expires,
            x.disabled_at AS trust_rule_disabled, x.deleted_at AS trust_rule_deleted,
            s.ended_at AS session_ended, s.expires_at AS session_expires, s.idle_at AS session_idle,
            s.origin AS session_origin, s.amr AS session_amr,
            v.disabled_at AS provider_disabled, v.deleted_at AS provider_deleted,
            u.disabled_at AS user_disabled, u.deleted_at AS user_deleted,
            a.disabled_at AS account_disabled, a.deleted_at AS account_deleted,
            COALESCE(a.team_uid, g.team_uid) AS team_uid, t.disabled_at AS team_disabled, t.deleted_at AS team_deleted,
            CASE WHEN g.user_uid IS NOT NULL THEN (SELECT count(*) FROM memberships m
                WHERE m.user_uid = g.user_uid AND m.team_uid = g.team_uid AND m.removed_at IS NULL) END AS run_members,
            w.audience,
            (SELECT string_agg(l.team_uid, ',' ORDER BY l.team_uid) FROM worker_key_teams l
                WHERE l.credential_id = c.id) AS worker_teams,
            f.rights AS platform_rights,
            (SELECT string_agg(l.team_uid, ',' ORDER BY l.team_uid) FROM platform_key_teams l
                WHERE l.credential_id = c.id) AS platform_teams,
            CASE WHEN COALESCE(g.user_uid, ", $user, ") IS NOT NULL THEN 'user'
                WHEN COALESCE(g.service_account_uid, ", $account, ") IS NOT NULL THEN 'service_account' END
                AS platform_for,
            (SELECT count(*) FROM platform_key_teams l WHERE l.credential_id = f.credential_id
                AND l.team_uid = COALESCE(g.team_uid, ", $team, ")) AS platform_lists
         FROM ", $from, "
            LEFT JOIN administrators p ON p.id = c.administrator_id
            LEFT JOIN runs g ON g.id = c.run_id
            LEFT JOIN credentials o ON o.id = g.opener_id
            LEFT JOIN credentials k ON k.id = COALESCE(c.parent_id, o.parent_id)
            LEFT JOIN public_keys b ON b.id = COALESCE(c.public_key_id, o.public_key_id)
            LEFT JOIN trust_rules x ON x.id = COALESCE(c.trust_rule_id, o.trust_rule_id)
            LEFT JOIN sessions s ON s.id = COALESCE(c.session_id, g.opener_session_id)
            LEFT JOIN upstream_providers v ON v.uid = s.provider_uid
            LEFT JOIN users u ON u.uid = COALESCE(c.user_uid, g.user_uid, ", $user, ")
            LEFT JOIN service_accounts a ON a.uid =
                COALESCE(c.service_account_uid, g.service_account_uid, ", $account, ")
            LEFT JOIN teams t ON t.uid = COALESCE(a.team_uid, g.team_uid)
            LEFT JOIN worker_keys w ON w.credential_id = c.id
            LEFT JOIN platform_keys f ON f.credential_id = COALESCE(o.id, c.id)"
        )
    };
    () => {
        liveness!("credentials c", "NULL", "NULL", "NULL")
    };
}
pub(super) use liveness;

/// The first cause in the order in which a person would look: the thing itself, then what it hangs on.
pub(super) fn dead(row: &Row, now: OffsetDateTime) -> Result<Option<DeadReason>, StoreError> {
    let over = |column| Ok::<_, StoreError>(row.optional_time(column)?.is_some_and(|until| until <= now));
    let off = |column| Ok::<_, StoreError>(row.optional_int(column)?.is_some());
    let (listed, entitled) = platform(row)?;
    let causes = [
        (off("revoked_at")?, DeadReason::CredentialRevoked),
        // A run's bearer has the run's end.
        (off("run_ended")?, DeadReason::RunEnded),
        (over("run_ends")?, DeadReason::RunExpired),
        (over("expires_at")?, DeadReason::CredentialExpired),
        (off("administrator_revoked")?, DeadReason::AdministratorRevoked),
        (over("administrator_expires")?, DeadReason::AdministratorExpired),
        (off("opener_revoked")?, DeadReason::RunOpenerRevoked),
        (over("opener_expires")?, DeadReason::RunOpenerExpired),
        (off("parent_revoked")?, DeadReason::ParentKeyRevoked),
        (over("parent_expires")?, DeadReason::ParentKeyExpired),
        (off("public_key_revoked")?, DeadReason::PublicKeyRevoked),
        (over("public_key_expires")?, DeadReason::PublicKeyExpired),
        (off("trust_rule_deleted")?, DeadReason::TrustRuleDeleted),
        (off("trust_rule_disabled")?, DeadReason::TrustRuleDisabled),
        (!listed, DeadReason::PlatformTeamRemoved),
        (!entitled, DeadReason::PlatformRightRemoved),
        (off("session_ended")?, DeadReason::SessionEnded),
        (over("session_expires")?, DeadReason::SessionExpired),
        (over("session_idle")?, DeadReason::SessionIdle),
        (off("provider_deleted")?, DeadReason::ProviderDeleted),
        (off("provider_disabled")?, DeadReason::ProviderDisabled),
        (off("user_deleted")?, DeadReason::UserDeleted),
        (off("user_disabled")?, DeadReason::UserDisabled),
        (row.optional_int("run_members")? == Some(0), DeadReason::MembershipEnded),
        (off("account_deleted")?, DeadReason::ServiceAccountDeleted),
        (off("account_disabled")?, DeadReason::ServiceAccountDisabled),
        (off("team_deleted")?, DeadReason::TeamDeleted),
        (off("team_disabled")?, DeadReason::TeamDisabled),
    ];
    Ok(causes.into_iter().find_map(|(holds, reason)| holds.then_some(reason)))
}

/// Whether the platform key behind a run or a token still lists the team, and still has the right. Both where there is
/// no such key, or nobody yet for whom it acts.
fn platform(row: &Row) -> Result<(bool, bool), StoreError> {
    let acts_for = row.optional_parsed("platform_for", ActorType::parse)?;
    let rights = row.optional_parsed("platform_rights", PlatformRights::parse)?;
    let (Some(actor), Some(rights)) = (acts_for, rights) else { return Ok((true, true)) };
    let in_run = row.optional_text("run_id")?.is_some();
    let right = match (in_run, actor) {
        (true, ActorType::ServiceAccount) => PlatformRight::OpenRuns,
        (true, ActorType::User) => PlatformRight::OpenRunsForUsers,
        (false, ActorType::ServiceAccount) => PlatformRight::MintForServiceAccounts,
        (false, ActorType::User) => PlatformRight::MintForUsers,
    };
    Ok((row.int("platform_lists")? > 0, rights.includes(right)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_distinct_words_and_the_statement_spells_rights_as_the_domain_does() {
        let words: std::collections::BTreeSet<_> = DeadReason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), DeadReason::ALL.len());
        for right in [
            PlatformRight::MintForServiceAccounts,
            PlatformRight::MintForUsers,
            PlatformRight::OpenRuns,
            PlatformRight::OpenRunsForUsers,
        ] {
            assert!(ALIVE.contains(&format!("'%,{right},%'")), "{right}");
        }
    }
}
