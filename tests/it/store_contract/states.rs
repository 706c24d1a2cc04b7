//! Keys of an agent and the runs opened with them, through every order of what can happen to them, beside a model that
//! fits on a page: the store says of each what the model says, and releases a token for those alone.

use std::collections::BTreeMap;

use brevet::domain::access::RunsOf;
use brevet::domain::audience::Audience;
use brevet::domain::audit::{Action, Event};
use brevet::domain::credential::CredentialKind;
use brevet::domain::id::{CredentialId, RunId};
use brevet::domain::run::{Opener, Run, RunTerms};
use brevet::domain::settings::ProviderLayer;
use brevet::store::{AuditWriter, NewCredential, ServiceAccountChange, Verdict};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use time::{Duration, OffsetDateTime};

use super::world::{NOW, Scene, World, credential, fresh};

/// What can happen. A number chooses among what is there.
#[derive(Debug, Clone)]
enum Step {
    /// A key is made; it ends after so many minutes.
    Make(Option<u8>),
    Revoke(usize),
    /// A key is followed by another one, and ends after so many minutes if it would have later.
    Rotate(usize, u8),
    SwitchAgent(bool),
    /// A run is opened with a key: how many tokens it has, and minutes.
    Open(usize, Option<u8>, u8),
    End(usize),
    Mint(usize),
    Wait(u8),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => proptest::option::of(1u8..60).prop_map(Step::Make),
        2 => any::<usize>().prop_map(Step::Revoke),
        3 => (any::<usize>(), 0u8..40).prop_map(|(key, overlap)| Step::Rotate(key, overlap)),
        2 => any::<bool>().prop_map(Step::SwitchAgent),
        3 => (any::<usize>(), proptest::option::of(1u8..3), 1u8..60)
            .prop_map(|(key, tokens, minutes)| Step::Open(key, tokens, minutes)),
        1 => any::<usize>().prop_map(Step::End),
        4 => any::<usize>().prop_map(Step::Mint),
        3 => (1u8..30).prop_map(Step::Wait),
    ]
}

/// What a key is: whatever else the store knows of it follows.
#[derive(Debug, Clone)]
struct Key {
    id: CredentialId,
    ends: Option<OffsetDateTime>,
    revoked: bool,
}

/// What a run is.
#[derive(Debug, Clone)]
struct Opened {
    id: RunId,
    bearer: CredentialId,
    /// Among the keys.
    by: usize,
    ends: OffsetDateTime,
    ended: bool,
    left: Option<u8>,
}

struct Model {
    now: OffsetDateTime,
    agent_on: bool,
    keys: Vec<Key>,
    runs: Vec<Opened>,
}

impl Model {
    fn key_is_whole(&self, key: usize) -> bool {
        let key = &self.keys[key];
        !key.revoked && key.ends.is_none_or(|ends| self.now < ends)
    }

    fn key_lives(&self, key: usize) -> bool {
        self.agent_on && self.key_is_whole(key)
    }

    fn run_lives(&self, run: usize) -> bool {
        let run = &self.runs[run];
        self.key_lives(run.by) && !run.ended && self.now < run.ends
    }
}

/// The store, and what is done to it.
struct Stage<'a> {
    world: &'a World,
    scene: Scene,
    writer: AuditWriter,
    version: i64,
}

impl Stage<'_> {
    fn event(&self, model: &Model, action: Action) -> Event {
        Event { at: model.now, action, ..self.scene.event() }
    }

    async fn make(&self, model: &mut Model, ends: Option<OffsetDateTime>) -> NewCredential {
        let new = NewCredential { expires_at: ends, created_at: model.now, ..credential() };
        let event = self.event(model, Action::AdminCreate);
        self.world.store.create_service_account_key(&self.scene.account, &new, &event, None).await.unwrap();
        model.keys.push(Key { id: new.id, ends, revoked: false });
        new
    }

    async fn step(&self, model: &mut Model, step: &Step) -> Result<(), TestCaseError> {
        let (store, account, now) = (&self.world.store, &self.scene.account, model.now);
        let minutes = |minutes: u8| now + Duration::minutes(minutes.into());
        match step {
            Step::Wait(by) => model.now = minutes(*by),
            Step::Make(ends) => drop(self.make(model, ends.map(minutes)).await),
            Step::Revoke(which) => {
                let which = which % model.keys.len();
                let event = self.event(model, Action::AdminDelete);
                let key = &mut model.keys[which];
                let done = store.revoke_service_account_key(account, key.id, &event).await;
                prop_assert_eq!(done.is_ok(), !key.revoked, "a key is revoked once");
                key.revoked = true;
            }
            Step::Rotate(which, overlap) => {
                let which = which % model.keys.len();
                let (until, whole) = (minutes(*overlap), model.key_is_whole(which));
                let new = NewCredential { expires_at: None, created_at: now, ..credential() };
                let events = [self.event(model, Action::AdminUpdate), self.event(model, Action::AdminCreate)];
                let old = model.keys[which].id;
                let rotated =
                    store.rotate_service_account_key(account, old, until, &new, [&events[0], &events[1]], None).await;
                prop_assert_eq!(rotated.is_ok(), whole, "what is over has no successor");
                if whole {
                    let old = &mut model.keys[which];
                    old.ends = Some(old.ends.map_or(until, |ends| ends.min(until)));
                    model.keys.push(Key { id: new.id, ends: None, revoked: false });
                }
            }
            Step::SwitchAgent(on) => {
                let off = Some((!on).then_some(now));
                let change = ServiceAccountChange { disabled_at: off, ..ServiceAccountChange::default() };
                let event = self.event(model, Action::AdminUpdate);
                store.update_service_account(account, None, &change, &event).await.unwrap();
                model.agent_on = *on;
            }
            Step::Open(which, tokens, lasts) => self.open(model, which % model.keys.len(), *tokens, *lasts).await,
            Step::End(which) if !model.runs.is_empty() => {
                let which = which % model.runs.len();
                let event = self.event(model, Action::RunEnd);
                let run = &mut model.runs[which];
                let done = store.end_run(&run.id, &RunsOf::Everyone, &event).await;
                prop_assert_eq!(done.is_ok(), !run.ended && now < run.ends, "a run is ended once, while it lasts");
                run.ended |= done.is_ok();
            }
            Step::End(_) => {}
            Step::Mint(which) => self.mint(model, which % (model.keys.len() + model.runs.len())).await?,
        }
        Ok(())
    }

    /// Whether what opens it is alive each token of the run proves; the store saves it in any case.
    async fn open(&self, model: &mut Model, by: usize, tokens: Option<u8>, lasts: u8) {
        let ends = model.now + Duration::minutes(lasts.into());
        let id = fresh::<brevet::domain::id::Credential>().to_string();
        let id = RunId::parse(&format!("{:0>20}", &id[id.len() - 12..])).unwrap();
        let opener =
            Opener { kind: CredentialKind::ServiceAccount, credential: model.keys[by].id, session: None, by: None };
        let run = Run {
            id: id.clone(),
            team: self.scene.team.clone(),
            principal: self.scene.agent(),
            opener,
            terms: RunTerms {
                audiences: vec![Audience::sts()],
                role: None,
                lifetime_cap: None,
                tokens_max: tokens.map(u32::from),
                labels: BTreeMap::new(),
                layer: ProviderLayer::default(),
            },
            tokens_issued: 0,
            created_at: model.now,
            ends_at: ends,
            ended_at: None,
        };
        let bearer = NewCredential { expires_at: Some(ends), created_at: model.now, ..credential() };
        self.world.store.create_run(&run, &bearer, &self.event(model, Action::RunOpen), None).await.unwrap();
        model.runs.push(Opened { id, bearer: bearer.id, by, ends, ended: false, left: tokens });
    }

    /// A token of a key or, behind those, of a run.
    async fn mint(&self, model: &mut Model, which: usize) -> Result<(), TestCaseError> {
        let run = which.checked_sub(model.keys.len());
        let (kind, id, lives) = match run {
            None => (CredentialKind::ServiceAccount, model.keys[which].id, model.key_lives(which)),
            Some(run) => (CredentialKind::Run, model.runs[run].bearer, model.run_lives(run)),
        };
        let mut release = self.scene.release_under(self.version, self.scene.agent());
        release.event.at = model.now;
        release.event.credential = Some((kind, id));
        release.event.token.as_mut().unwrap().run_id = run.map(|run| model.runs[run].id.to_string());
        release.proof.credential = id;
        let verdict = self.writer.release(release).unwrap().committed().await.unwrap();
        let left = run.and_then(|run| model.runs[run].left.as_mut());
        match (left, lives) {
            (_, false) => prop_assert_ne!(verdict, Verdict::Released, "{:?} is over", kind),
            (Some(0), true) => prop_assert_eq!(verdict, Verdict::RunExhausted),
            (left, true) => {
                prop_assert_eq!(verdict, Verdict::Released, "{:?} is alive", kind);
                if let Some(left) = left {
                    *left -= 1;
                }
            }
        }
        Ok(())
    }

    /// Everything there is, as the store sees it now.
    async fn compare(&self, model: &Model) -> Result<(), TestCaseError> {
        let keys = (0..model.keys.len()).map(|key| (model.keys[key].id, model.key_lives(key)));
        let runs = (0..model.runs.len()).map(|run| (model.runs[run].bearer, model.run_lives(run)));
        for (id, lives) in keys.chain(runs) {
            let record = self.world.store.credential_of_id(id, model.now).await.unwrap().expect("nothing is forgotten");
            prop_assert_eq!(record.dead.is_none(), lives, "{:?}: {:?}", id, record.dead);
        }
        Ok(())
    }
}

async fn against_the_model(world: &World, steps: &[Step]) -> Result<(), TestCaseError> {
    world.empty().await;
    let scene = Scene::set(&world.store).await;
    let version = world.store.team(&scene.team).await.unwrap().unwrap().version;
    let first = Key { id: scene.account_key, ends: Some(NOW + Duration::hours(12)), revoked: false };
    let stage = Stage { world, scene, writer: AuditWriter::start(world.replica.clone()), version };
    let mut model = Model { now: NOW, agent_on: true, keys: vec![first], runs: Vec::new() };
    for step in steps {
        stage.step(&mut model, step).await?;
        stage.compare(&model).await?;
    }
    Ok(())
}

#[test]
fn threat_23_keys_and_their_runs_are_alive_when_the_reference_model_says_so() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for world in runtime.block_on(World::each()) {
        let config = Config { cases: 40, failure_persistence: None, ..Config::default() };
        let steps = proptest::collection::vec(any_step(), 1..30);
        let done = TestRunner::new(config).run(&steps, |steps| runtime.block_on(against_the_model(&world, &steps)));
        assert!(done.is_ok(), "on {}: {}", world.name, done.unwrap_err());
        drop(world);
    }
}
