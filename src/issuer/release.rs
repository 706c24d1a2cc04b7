//! How a granted token leaves: never without its committed audit row.

use time::OffsetDateTime;

use super::Issuer;
use super::limits::Party;
use super::refusals::Unavailable;
use crate::crypto::signer::SigningInput;
use crate::domain::audit::{Action, Decision, Event, Origin, TokenFacts};
use crate::domain::claims::Claims;
use crate::domain::credential::CredentialKind;
use crate::domain::id::{CredentialId, TokenId};
use crate::domain::issuer_url::IssuerUrl;
use crate::domain::policy::Grant;
use crate::domain::secret::Secret;
use crate::domain::signing_key::KeyKind;
use crate::limit::admission::Place;
use crate::store::{Proof, Release, Verdict};

/// A token that has left.
#[derive(Debug, Clone)]
pub struct Minted {
    /// The signed JWT.
    pub token: Secret,
    /// Its `iss`.
    pub issuer: IssuerUrl,
    /// When it really ends.
    pub expires_at: OffsetDateTime,
    /// What was granted.
    pub grant: Grant,
    /// Its `jti`.
    pub token_id: TokenId,
}

/// On whose authority a token leaves; all of it is proven by the audit statement.
#[derive(Debug, Clone)]
pub(super) struct Authority {
    pub(super) action: Action,
    /// The principal's own credential.
    pub(super) credential: (CredentialKind, CredentialId),
    /// The version of the team that was decided under.
    pub(super) team_version: i64,
    /// The worker key of an exchange, and the `jti` of the token that it presented, if it was one.
    pub(super) worker: Option<(CredentialId, Option<TokenId>)>,
}

/// What became of a grant.
#[derive(Debug)]
pub(super) enum Released {
    /// The token left.
    Token(Box<Minted>),
    /// Something it depends on has ended or changed since it was decided; there is no row.
    NotAlive,
    /// Its run has had all its tokens; there is no row.
    RunExhausted,
}

impl Issuer {
    /// Signs what was granted and lets it out once its audit row is committed.
    ///
    /// The row is queued as the signature is begun, so that both take their time together. Dropped half-way, it leaves at
    /// most a row without a token, which is allowed; a token without a row cannot be.
    pub(super) async fn release(
        &self,
        grant: Grant,
        authority: Authority,
        origin: &Origin,
        place: &Place<Party>,
    ) -> Result<Released, Unavailable> {
        let now = self.now();
        let ring = self.ring_for(grant.subject().team(), grant.issuer()).await?;
        let Some(ring) = ring else { return Ok(Released::NotAlive) };
        let keys = ring.signing(now).await?;
        let token_id = TokenId::new(self.entropy().uuid_v7(now));
        let claims = Claims::build(&grant, ring.url(), token_id, now);
        let input = keys.set.prepare(&claims)?;
        let mut event = self.release_event(&grant, &authority, token_id, &input, now, origin);
        event.issuer = ring.id();
        let proof = Proof {
            credential: authority.credential.1,
            team_version: authority.team_version,
            issuer: ring.id(),
            kid: input.kid().clone(),
            also: authority.worker.map(|(worker, _)| worker),
            original_token: authority.worker.and_then(|(_, original)| original),
        };

        // All is decided, and who signs takes turns with others: the next one may compute.
        place.make_way();
        let party = Party::Team(grant.subject().team().clone());
        let crowd = place.is_of_a_crowd();
        // Others wait for no row of a crowd, and for none that is long in coming.
        let soon = keys.kind == KeyKind::Rsa2048 && !crowd;
        let announced = soon.then(|| self.audit().announce());
        let turn = self.0.signing.turn(keys.kind, &party, crowd).await?;
        // Not before: what is switched off while it waits to be signed has no row.
        let ticket = self.audit().release(Release { event: event.clone(), proof })?;
        drop(announced);
        let signed = turn.sign(keys, input).await;
        // From here on only the disk works for it.
        place.rest();
        match self.committed(ticket).await? {
            Verdict::Released => {}
            Verdict::NotAlive => {
                self.look_again_at(&ring, grant.subject().team()).await;
                return Ok(Released::NotAlive);
            }
            Verdict::RunExhausted => return Ok(Released::RunExhausted),
        }
        match signed {
            Ok(token) => {
                metrics::counter!("brevet_tokens_total", "action" => authority.action.as_str()).increment(1);
                let expires_at = OffsetDateTime::from_unix_timestamp(claims.expires_at()).unwrap_or(now);
                let issuer = ring.url().clone();
                Ok(Released::Token(Box::new(Minted { token, issuer, expires_at, grant, token_id })))
            }
            Err(error) => {
                self.record_failed_signature(event).await;
                Err(error.into())
            }
        }
    }

    fn release_event(
        &self,
        grant: &Grant,
        authority: &Authority,
        token_id: TokenId,
        input: &SigningInput,
        now: OffsetDateTime,
        origin: &Origin,
    ) -> Event {
        let subject = grant.subject();
        Event {
            at: now,
            credential: Some(authority.credential),
            worker: authority.worker.map(|(worker, _)| worker),
            team: Some(subject.team().clone()),
            principal: Some(subject.principal().clone()),
            token: Some(TokenFacts {
                audience: grant.audience().to_string(),
                lifetime_seconds: grant.lifetime().seconds(),
                token_id: token_id.to_string(),
                kid: input.kid().to_string(),
                role_arn: grant.role().map(ToString::to_string),
                run_id: grant.run().map(ToString::to_string),
                signing_input_sha256: input.sha256_hex(),
            }),
            ..self.event(authority.action, Decision::Allowed, origin)
        }
    }

    /// The committed row says that release was authorised; this one, that nothing left.
    async fn record_failed_signature(&self, released: Event) {
        let mut event = Event {
            reason: Some("signature_failed"),
            ..self.event(Action::TokenSignature, Decision::Refused, &released.origin)
        };
        (event.credential, event.worker, event.team, event.principal) =
            (released.credential, released.worker, released.team, released.principal);
        event.token = released.token;
        self.record_refusal(event).await;
    }
}
