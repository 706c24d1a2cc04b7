//! What a stand-in consists of, and one call under way.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header;
use axum::http::request::Parts;

use super::account::{Account, Session};
use super::authorize::{administrator_arn, request_context};
use super::catalogue::Catalogue;
use super::error::AwsError;
use super::fault::Faults;
use super::signature::{self, KeyPair, Service, Signed, Signer};
use super::trail::Event;
use crate::domain::clock::Clock;
use crate::domain::entropy::Entropy;
use crate::fetch::Client;
use crate::iam::evaluate::Context;

/// Everything a request needs.
pub(super) struct Sandbox {
    pub(super) account_id: String,
    pub(super) region: String,
    pub(super) loopback_issuers: bool,
    pub(super) stream_pause: Duration,
    pub(super) catalogue: Catalogue,
    pub(super) administrator: KeyPair,
    pub(super) account: Account,
    pub(super) faults: Faults,
    pub(super) fetch: Client,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
}

/// One call under way.
pub(super) struct Call {
    pub(super) event: Event,
    /// The condition keys that every request has.
    pub(super) context: Context,
}

impl Call {
    /// Notes the session that was made.
    pub(super) fn note(&mut self, session: &Session, seconds: i64) {
        self.event.principal = Some(session.arn());
        self.event.source_identity.clone_from(&session.source_identity);
        self.event.tags.clone_from(&session.tags);
        self.event.duration_seconds = Some(seconds);
    }

    fn note_signer(&mut self, signed: &Signed, account: &str) {
        match &signed.signer {
            Signer::Administrator => self.event.principal = Some(administrator_arn(account)),
            Signer::Session(session) => {
                self.event.principal = Some(session.arn());
                self.event.source_identity.clone_from(&session.source_identity);
                self.event.tags.clone_from(&session.tags);
            }
        }
    }
}

impl Sandbox {
    pub(super) fn begin(&self, action: &str, head: &Parts, peer: IpAddr) -> Call {
        let user_agent = head.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
        let context = request_context(self.clock.now(), &self.region, peer, user_agent);
        Call { event: Event { action: action.to_owned(), ..Event::default() }, context }
    }

    pub(super) fn end(&self, mut call: Call, error: Option<&AwsError>) {
        call.event.outcome = error.map_or_else(|| "ok".to_owned(), |error| error.code.clone());
        self.account.lock().trail.record(call.event);
    }

    /// Who signed; the trail and the conditions learn it.
    pub(super) fn signed(
        &self,
        head: &Parts,
        body: &[u8],
        service: Service,
        call: &mut Call,
    ) -> Result<Signed, AwsError> {
        let state = self.account.lock();
        let signed = signature::verify(head, body, service, &self.administrator, &state, self.clock.now())?;
        call.context.set("aws:RequestedRegion", signed.region.as_str());
        call.note_signer(&signed, &self.account_id);
        Ok(signed)
    }
}
