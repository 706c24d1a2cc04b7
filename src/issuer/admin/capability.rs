//! From a caller to what it may administer, asked of the store on each request.

use crate::domain::access::Caller;
use crate::domain::audit::{Action, Decision, Origin};
use crate::domain::authority::{InstallationCapability, TeamCapability, Withheld, person};
use crate::domain::id::TeamUid;
use crate::issuer::Issuer;
use crate::issuer::callers::about;
use crate::issuer::refusals::Unavailable;

/// Why a caller may not administer what it asked for.
#[derive(Debug, thiserror::Error)]
pub enum CapabilityError {
    /// It does not hold the capability.
    #[error(transparent)]
    Withheld(#[from] Withheld),
    /// Nobody can tell now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

impl Issuer {
    /// A right in the installation.
    pub async fn capability<C: InstallationCapability>(
        &self,
        caller: &Caller,
        origin: &Origin,
    ) -> Result<C, CapabilityError> {
        match C::of(caller) {
            Ok(right) => Ok(right),
            Err(denied) => {
                self.record_denied(caller, denied, origin).await;
                Err(Withheld::from(denied).into())
            }
        }
    }

    /// A right in `team`, which need not exist; `None` names none that could. For people one question is asked, whatever the answer: that of a
    /// team they are not in is that of none.
    pub async fn capability_in<C: TeamCapability>(
        &self,
        caller: &Caller,
        team: Option<&TeamUid>,
        origin: &Origin,
    ) -> Result<C, CapabilityError> {
        let seat = match (person(caller), team) {
            (Some((user, session)), Some(team)) => {
                self.store().seat(team, user, session).await.map_err(Unavailable::from)?
            }
            _ => None,
        };
        match C::of(caller, team, seat) {
            Ok(right) => Ok(right),
            Err(withheld) => {
                let mut event = self.event(Action::Authenticate, Decision::Refused, origin);
                event.reason = Some(match withheld {
                    Withheld::Denied(_) | Withheld::Hidden => "not_permitted",
                    Withheld::TeamDisabled => "team_disabled",
                    Withheld::SignInNotAccepted => "sign_in_not_accepted",
                });
                about(&mut event, caller.kind, caller.credential, &caller.identity);
                self.record_refusal(event).await;
                Err(withheld.into())
            }
        }
    }
}
