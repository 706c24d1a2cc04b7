//! Runs: every link behind a bearer cut one at a time, and counts that are exact whoever takes from them.

use std::collections::BTreeMap;

use brevet::domain::access::RunsOf;
use brevet::domain::audience::Audience;
use brevet::domain::audit::{Action, Event};
use brevet::domain::credential::CredentialKind;
use brevet::domain::id::{CredentialId, RunId, SessionId, TeamUid};
use brevet::domain::platform::{PlatformRight, PlatformRights};
use brevet::domain::principal::Principal;
use brevet::domain::run::{Opener, Run, RunTerms};
use brevet::domain::session::{Authentication, SessionOrigin};
use brevet::domain::settings::ProviderLayer;
use brevet::store::{
    AuditWriter, ChangeError, DeadReason, Page, PlatformKeyChange, Release, RunFilter, Store, Ticket, Verdict,
};
use futures_util::future::join_all;
use time::Duration;

use super::world::{NOW, Scene, World, credential, fresh};

/// Three access tokens of the agent, each derived from something else.
const DERIVED: &str = "
    INSERT INTO credentials (id, kind, secret_hash, name, service_account_uid, parent_id, created_at, expires_at)
        SELECT '00000000-0000-4000-8000-0000000000a1', 'access_token', 'h1', '', service_account_uid, id, 0, 9999999999999
        FROM credentials WHERE kind = 'service_account_key';
    INSERT INTO public_keys (id, service_account_uid, name, jwk, created_at) VALUES ('pk', 'agent-1', 'k', '{}', 0);
    INSERT INTO credentials (id, kind, secret_hash, name, service_account_uid, public_key_id, created_at, expires_at)
        VALUES ('00000000-0000-4000-8000-0000000000a2', 'access_token', 'h2', '', 'agent-1', 'pk', 0, 9999999999999);
    INSERT INTO trust_rules (id, service_account_uid, name, issuer, rule, version, created_at, updated_at)
        VALUES ('tr', 'agent-1', 'r', 'https://other.example.com', '{}', 1, 0, 0);
    INSERT INTO credentials (id, kind, secret_hash, name, service_account_uid, trust_rule_id, created_at, expires_at)
        VALUES ('00000000-0000-4000-8000-0000000000a3', 'access_token', 'h3', '', 'agent-1', 'tr', 0, 9999999999999);";

/// What stands behind a token: the credential itself, or who opened the run it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Behind {
    Key,
    OfKey,
    OfPublicKey,
    OfTrustRule,
    Session,
    Platform,
    PlatformForPerson,
}

const AGENTS: &[Behind] = &[Behind::Key, Behind::OfKey, Behind::OfPublicKey, Behind::OfTrustRule, Behind::Platform];
const PEOPLE: &[Behind] = &[Behind::Session, Behind::PlatformForPerson];
const PLATFORMS: &[Behind] = &[Behind::Platform, Behind::PlatformForPerson];

/// Whose tokens a cut stops, with the reason that is named in a run and outside one; none where only the team's
/// standing tells.
type Stops = (&'static [Behind], Option<DeadReason>, Option<DeadReason>);

const fn both(behind: &'static [Behind], reason: DeadReason) -> Stops {
    (behind, Some(reason), Some(reason))
}

const fn each(behind: &'static [Behind], in_run: DeadReason, outside: DeadReason) -> Stops {
    (behind, Some(in_run), Some(outside))
}

use Behind as B;
use DeadReason as D;

const CUTS: [(&str, &[Stops]); 20] = [
    ("UPDATE users SET disabled_at = 1", &[both(PEOPLE, D::UserDisabled)]),
    ("UPDATE users SET deleted_at = 1", &[both(PEOPLE, D::UserDeleted)]),
    ("UPDATE memberships SET removed_at = 1", &[(PEOPLE, Some(D::MembershipEnded), None)]),
    ("UPDATE service_accounts SET disabled_at = 1", &[both(AGENTS, D::ServiceAccountDisabled)]),
    ("UPDATE service_accounts SET deleted_at = 1", &[both(AGENTS, D::ServiceAccountDeleted)]),
    ("UPDATE sessions SET ended_at = 1", &[both(&[B::Session], D::SessionEnded)]),
    ("UPDATE sessions SET expires_at = 1", &[both(&[B::Session], D::SessionExpired)]),
    ("UPDATE sessions SET idle_at = 1", &[both(&[B::Session], D::SessionIdle)]),
    (
        "INSERT INTO upstream_providers (uid, uid_fold, name, issuer, client_id, settings, version, created_at, updated_at,
            disabled_at) VALUES ('okta', 'okta', '', '', '', '{}', 1, 0, 0, 1);
         UPDATE sessions SET provider_uid = 'okta'",
        &[both(&[B::Session], D::ProviderDisabled)],
    ),
    (
        "INSERT INTO upstream_providers (uid, uid_fold, name, issuer, client_id, settings, version, created_at, updated_at,
            deleted_at) VALUES ('okta', 'okta', '', '', '', '{}', 1, 0, 0, 1);
         UPDATE sessions SET provider_uid = 'okta'",
        &[both(&[B::Session], D::ProviderDeleted)],
    ),
    (
        "UPDATE credentials SET revoked_at = 1 WHERE kind = 'service_account_key'",
        &[each(&[B::Key], D::RunOpenerRevoked, D::CredentialRevoked), both(&[B::OfKey], D::ParentKeyRevoked)],
    ),
    (
        "UPDATE credentials SET expires_at = 1 WHERE kind = 'service_account_key'",
        &[each(&[B::Key], D::RunOpenerExpired, D::CredentialExpired), both(&[B::OfKey], D::ParentKeyExpired)],
    ),
    (
        "UPDATE credentials SET revoked_at = 1 WHERE kind = 'access_token' AND session_id IS NULL",
        &[each(&[B::OfKey, B::OfPublicKey, B::OfTrustRule], D::RunOpenerRevoked, D::CredentialRevoked)],
    ),
    ("UPDATE public_keys SET revoked_at = 1", &[both(&[B::OfPublicKey], D::PublicKeyRevoked)]),
    ("UPDATE public_keys SET expires_at = 1", &[both(&[B::OfPublicKey], D::PublicKeyExpired)]),
    ("UPDATE trust_rules SET disabled_at = 1", &[both(&[B::OfTrustRule], D::TrustRuleDisabled)]),
    ("UPDATE trust_rules SET deleted_at = 1", &[both(&[B::OfTrustRule], D::TrustRuleDeleted)]),
    (
        "UPDATE credentials SET revoked_at = 1 WHERE kind = 'platform_key'",
        &[each(PLATFORMS, D::RunOpenerRevoked, D::CredentialRevoked)],
    ),
    ("DELETE FROM platform_key_teams", &[both(PLATFORMS, D::PlatformTeamRemoved)]),
    ("UPDATE platform_keys SET rights = 'register_teams'", &[both(PLATFORMS, D::PlatformRightRemoved)]),
];

/// How the scene's session was opened.
fn by_code() -> Authentication {
    Authentication { origin: SessionOrigin::EnrolmentCode, amr: Vec::new() }
}

/// Everything that can stand behind a token, in one house.
struct Cast {
    scene: Scene,
    platform: CredentialId,
}

impl Cast {
    async fn set(world: &World) -> Self {
        let scene = Scene::set(&world.store).await;
        world.sabotage(DERIVED).await;
        let platform = credential();
        let rights: PlatformRights = PlatformRight::ALL.into_iter().collect();
        let teams = [scene.team.clone()];
        world.store.create_platform_key(&platform, &teams, &rights, &scene.event(), None).await.unwrap();
        Self { scene, platform: platform.id }
    }

    fn credential(&self, behind: Behind) -> (CredentialKind, CredentialId, Option<SessionId>, Principal) {
        let derived = |end: &str| CredentialId::parse(&format!("00000000-0000-4000-8000-0000000000{end}")).unwrap();
        let (agent, person) = (self.scene.agent(), self.scene.person());
        match behind {
            Behind::Key => (CredentialKind::ServiceAccount, self.scene.account_key, None, agent),
            Behind::OfKey => (CredentialKind::Access, derived("a1"), None, agent),
            Behind::OfPublicKey => (CredentialKind::Access, derived("a2"), None, agent),
            Behind::OfTrustRule => (CredentialKind::Access, derived("a3"), None, agent),
            Behind::Session => (CredentialKind::Access, self.scene.access, Some(self.scene.session), person),
            Behind::Platform => (CredentialKind::Platform, self.platform, None, agent),
            Behind::PlatformForPerson => (CredentialKind::Platform, self.platform, None, person),
        }
    }

    /// A run opened by what stands behind it: its bearer's id and its own.
    async fn open(&self, store: &Store, behind: Behind, tokens_max: Option<u32>) -> (CredentialId, RunId) {
        let (kind, opener, session, principal) = self.credential(behind);
        let id = fresh::<brevet::domain::id::Credential>().to_string();
        let run = Run {
            id: RunId::parse(&format!("{:0>20}", &id[id.len() - 12..])).unwrap(),
            team: self.scene.team.clone(),
            principal,
            opener: Opener { kind, credential: opener, session, by: session.map(|_| by_code()) },
            terms: RunTerms {
                audiences: vec![Audience::sts()],
                role: None,
                lifetime_cap: None,
                tokens_max,
                labels: BTreeMap::new(),
                layer: ProviderLayer::default(),
            },
            tokens_issued: 0,
            created_at: NOW,
            ends_at: NOW + Duration::HOUR,
            ended_at: None,
        };
        let bearer = credential();
        store.create_run(&run, &bearer, &self.scene.event(), None).await.unwrap();
        assert_eq!(store.run(&run.id).await.unwrap().as_ref(), Some(&run));
        (bearer.id, run.id)
    }

    /// A token under `credential`, in `run` where there is one.
    async fn release(
        &self,
        store: &Store,
        (kind, id): (CredentialKind, CredentialId),
        principal: Principal,
        run: Option<&RunId>,
    ) -> Release {
        let mut release = self.scene.release(store, principal).await;
        release.event.credential = Some((kind, id));
        release.event.token.as_mut().unwrap().run_id = run.map(ToString::to_string);
        release.proof.credential = id;
        release
    }
}

async fn verdict(writer: &AuditWriter, release: Release) -> Verdict {
    writer.release(release).unwrap().committed().await.unwrap()
}

const EVERYONE: [Behind; 7] = [
    Behind::Key,
    Behind::OfKey,
    Behind::OfPublicKey,
    Behind::OfTrustRule,
    Behind::Session,
    Behind::Platform,
    Behind::PlatformForPerson,
];

#[tokio::test(flavor = "multi_thread")]
async fn threat_23_every_link_behind_a_run_or_a_derived_token_stops_it_and_is_named() {
    for world in World::each().await {
        for (sql, cuts) in CUTS {
            let store = &world.store;
            let cast = Cast::set(&world).await;
            let writer = AuditWriter::start(store.clone());
            let mut minted = Vec::new();
            for behind in EVERYONE {
                let (kind, id, _, principal) = cast.credential(behind);
                let (bearer, run) = cast.open(store, behind, None).await;
                for (credential, run) in [((kind, id), None), ((CredentialKind::Run, bearer), Some(run))] {
                    let release = cast.release(store, credential, principal.clone(), run.as_ref()).await;
                    let token = release.event.token.as_ref().unwrap().token_id.clone();
                    let token = brevet::domain::id::TokenId::parse(&token).unwrap();
                    assert_eq!(verdict(&writer, release).await, Verdict::Released, "{behind:?} on {}", world.name);
                    minted.push((behind, credential, principal.clone(), run, token));
                }
            }
            world.sabotage(sql).await;
            for (behind, credential, principal, run, token) in minted {
                let what = format!("{sql}: {behind:?}, in a run: {}, on {}", run.is_some(), world.name);
                let release = cast.release(store, credential, principal, run.as_ref()).await;
                let stops = cuts.iter().find(|(whose, ..)| whose.contains(&behind));
                let found = verdict(&writer, release).await;
                assert_eq!(found == Verdict::NotAlive, stops.is_some(), "{what}: {found:?}");
                let expected = stops.and_then(|(_, in_run, outside)| if run.is_some() { *in_run } else { *outside });
                let looked_at = store.minted_tokens(&[token], NOW).await.unwrap();
                let session = (behind == Behind::Session).then(by_code);
                let found = brevet::store::Behind { kind: credential.0, session };
                assert_eq!(looked_at[&token], (found, expected), "{what}: the token's liveness");
                // Of a platform key by itself nobody can tell for whom it would act.
                if run.is_some() || credential.0 != CredentialKind::Platform {
                    let record = store.credential_of_id(credential.1, NOW).await.unwrap().unwrap();
                    assert_eq!(record.dead, expected, "{what}: the credential");
                }
            }
            world.empty().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_33_a_run_ends_by_itself_and_when_it_is_ended_and_its_bearer_is_no_others() {
    for world in World::each().await {
        let store = &world.store;
        let cast = Cast::set(&world).await;
        let writer = AuditWriter::start(store.clone());
        let agent = cast.scene.agent();
        let (bearer, run) = cast.open(store, Behind::Key, None).await;
        let (other_bearer, other_run) = cast.open(store, Behind::Platform, None).await;
        let key = (CredentialKind::ServiceAccount, cast.scene.account_key);
        let of = |credential, run| cast.release(store, credential, agent.clone(), run);
        let of_run = (CredentialKind::Run, bearer);
        // Own credentials release nothing in a run, a bearer nothing outside its own.
        for (credential, named) in [
            (key, Some(&run)),
            (of_run, None),
            (of_run, Some(&other_run)),
            ((CredentialKind::Run, other_bearer), Some(&run)),
        ] {
            let release = of(credential, named).await;
            assert_eq!(verdict(&writer, release).await, Verdict::NotAlive, "{credential:?} in {named:?}");
        }
        let mut for_person = of(of_run, Some(&run)).await;
        for_person.event.principal = Some(cast.scene.person());
        assert_eq!(verdict(&writer, for_person).await, Verdict::NotAlive);
        assert_eq!(verdict(&writer, of(of_run, Some(&run)).await).await, Verdict::Released);

        let mut late = of(of_run, Some(&run)).await;
        late.event.at = NOW + Duration::HOUR;
        assert_eq!(verdict(&writer, late).await, Verdict::NotAlive, "at its end on {}", world.name);
        let record = store.credential_of_id(bearer, NOW + Duration::HOUR).await.unwrap().unwrap();
        assert_eq!(record.dead, Some(DeadReason::RunExpired));

        store.end_run(&run, &RunsOf::Everyone, &Event { action: Action::RunEnd, ..cast.scene.event() }).await.unwrap();
        assert_eq!(verdict(&writer, of(of_run, Some(&run)).await).await, Verdict::NotAlive);
        let record = store.credential_of_id(bearer, NOW).await.unwrap().unwrap();
        assert_eq!(record.dead, Some(DeadReason::RunEnded));
        let open = |whose| RunFilter { whose, team: None, principal: None, open_at: Some(NOW) };
        for (whose, count) in [
            (RunsOf::Everyone, 1),
            (RunsOf::Principal(agent.clone()), 1),
            (RunsOf::Principal(cast.scene.person()), 0),
            (RunsOf::OpenedBy(cast.platform), 1),
            (RunsOf::InTeam(cast.scene.team.clone()), 1),
            (RunsOf::InTeam(TeamUid::parse("another").unwrap()), 0),
            (RunsOf::OpenedBy(cast.scene.account_key), 0),
        ] {
            let runs = store.runs(&open(whose.clone()), &Page::default()).await.unwrap().items;
            assert_eq!(runs.len(), count, "{whose:?} on {}", world.name);
        }
    }
}

/// A key's list of teams is what it may know of now, not what it was when the run was opened.
#[tokio::test(flavor = "multi_thread")]
async fn threat_20_a_platform_key_that_lost_a_team_knows_of_no_run_in_it() {
    for world in World::each().await {
        let store = &world.store;
        let cast = Cast::set(&world).await;
        let (_, run) = cast.open(store, Behind::Platform, None).await;
        let own = RunsOf::OpenedBy(cast.platform);
        let filter = RunFilter { whose: own.clone(), team: None, principal: None, open_at: None };
        let known = async || {
            let listed = store.runs(&filter, &Page::default()).await.unwrap().items.len();
            (listed, store.known_run(&run, &own).await.unwrap().is_some())
        };
        let relist = async |teams| {
            let change = PlatformKeyChange { teams: Some(teams), ..PlatformKeyChange::default() };
            store.update_platform_key(cast.platform, None, &change, &cast.scene.event()).await.unwrap();
        };
        let end = async || store.end_run(&run, &own, &Event { action: Action::RunEnd, ..cast.scene.event() }).await;
        assert_eq!(known().await, (1, true), "{}", world.name);
        relist(vec![]).await;
        assert_eq!(known().await, (0, false), "off its list on {}", world.name);
        assert_eq!(end().await, Err(ChangeError::NotFound), "{}", world.name);
        assert_eq!(store.run(&run).await.unwrap().unwrap().ended_at, None, "it goes on on {}", world.name);
        // The principal of the run, and the installation, know of it all the same.
        for whose in [RunsOf::Everyone, RunsOf::Principal(cast.scene.agent())] {
            assert!(store.known_run(&run, &whose).await.unwrap().is_some(), "{whose:?} on {}", world.name);
        }
        relist(vec![cast.scene.team.clone()]).await;
        assert_eq!(known().await, (1, true), "back on its list on {}", world.name);
        assert_eq!(end().await, Ok(()), "{}", world.name);
        assert!(store.run(&run).await.unwrap().unwrap().ended_at.is_some(), "{}", world.name);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threat_33_of_many_who_ask_on_two_replicas_exactly_as_many_get_a_token_as_the_run_has() {
    const TOKENS: u32 = 37;
    for world in World::each().await {
        let cast = std::sync::Arc::new(Cast::set(&world).await);
        let (bearer, run) = cast.open(&world.store, Behind::Key, Some(TOKENS)).await;
        let (open_bearer, open_run) = cast.open(&world.store, Behind::Key, None).await;
        let writers = [AuditWriter::start(world.store.clone()), AuditWriter::start(world.replica.clone())];
        let version = world.store.team(&cast.scene.team).await.unwrap().unwrap().version;
        let ask = |n: usize| {
            let (cast, writer, run, open_run) = (cast.clone(), writers[n % 2].clone(), run.clone(), open_run.clone());
            let of = move |bearer, run: &RunId, version| {
                let mut release = cast.scene.release_under(version, cast.scene.agent());
                release.event.credential = Some((CredentialKind::Run, bearer));
                release.event.token.as_mut().unwrap().run_id = Some(run.to_string());
                release.proof.credential = bearer;
                release
            };
            tokio::spawn(async move {
                let ticket = |release| -> Ticket { writer.release(release).unwrap() };
                // One in four was decided under an older version of the team: what was taken for it is given back.
                let stale = if n.is_multiple_of(4) { version - 1 } else { version };
                let counted = ticket(of(bearer, &run, stale));
                let beside = ticket(of(open_bearer, &open_run, version));
                (counted.committed().await.unwrap(), beside.committed().await.unwrap())
            })
        };
        let verdicts = join_all((0..128).map(ask)).await.into_iter().map(Result::unwrap);
        let (counted, beside): (Vec<_>, Vec<_>) = verdicts.unzip();
        let of = |verdict| counted.iter().filter(|found| **found == verdict).count();
        assert_eq!(of(Verdict::Released), TOKENS as usize, "{}", world.name);
        assert_eq!(of(Verdict::NotAlive) + of(Verdict::RunExhausted), 128 - TOKENS as usize);
        assert!(beside.iter().all(|verdict| *verdict == Verdict::Released), "the run without a limit");
        let issued = |run: Option<Run>| run.unwrap().tokens_issued;
        assert_eq!(issued(world.store.run(&run).await.unwrap()), i64::from(TOKENS));
        assert_eq!(issued(world.store.run(&open_run).await.unwrap()), 128);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_platform_key_comes_back_as_it_was_changed() {
    for world in World::each().await {
        let store = &world.store;
        let cast = Cast::set(&world).await;
        let key = store.platform_key(cast.platform).await.unwrap().unwrap();
        assert_eq!((key.teams.len(), key.rights.iter().count(), key.version), (1, 6, 1));
        let rights: PlatformRights = [PlatformRight::OpenRuns].into_iter().collect();
        let change = PlatformKeyChange { name: Some("other".to_owned()), teams: Some(vec![]), rights: Some(rights) };
        let changed = store.update_platform_key(key.id, Some(1), &change, &cast.scene.event()).await.unwrap();
        assert_eq!(store.platform_key(key.id).await.unwrap(), Some(changed.clone()), "{}", world.name);
        assert_eq!((changed.name.as_str(), changed.teams.len(), changed.version), ("other", 0, 2));
        let stale = store.update_platform_key(key.id, Some(1), &change, &cast.scene.event()).await;
        assert_eq!(stale, Err(brevet::store::ChangeError::VersionMismatch { current: 2 }));
        store.revoke_platform_key(key.id, Some(2), &cast.scene.event()).await.unwrap();
        assert!(store.platform_key(key.id).await.unwrap().unwrap().revoked_at.is_some());
        assert_eq!(store.platform_keys(&Page::default()).await.unwrap().items.len(), 1);
    }
}
