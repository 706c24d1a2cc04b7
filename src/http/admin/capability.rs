//! Capabilities of the admin API: a handler names in its arguments what its caller must hold.

use axum::extract::{FromRequestParts, RawPathParams};
use http::request::Parts;

use crate::domain::access::Caller;
use crate::domain::audit::Origin;
use crate::domain::authority::{
    Authority, Enroller, InstallationCapability, InstallationReader, PeopleRegistrar, Registrar, RegistryReader,
    TeamAdmin, TeamCapability, TeamFounder, TeamReader,
};
use crate::domain::id::TeamUid;
use crate::http::error::{Code, ProblemAnswer};
use crate::http::extract::{Bearer, ClientOrigin};
use crate::http::state::IssuerState;
use crate::issuer::Issuer;
use crate::issuer::admin::{Administration, Reading};

/// What a capability puts into a handler's hands: who may only look gets no way to change anything.
pub(super) trait Handed {
    /// [`Reading`] or [`Administration`].
    type Hands: Send;
    /// Hands it over.
    fn hand(issuer: &Issuer, authority: Authority, origin: Origin) -> Self::Hands;
}

macro_rules! handed {
    ($hands:ident by $method:ident: $($capability:ident),+) => {
        $(impl Handed for $capability {
            type Hands = $hands;
            fn hand(issuer: &Issuer, authority: Authority, origin: Origin) -> $hands {
                issuer.$method(authority, origin)
            }
        })+
    };
}

handed!(Reading by reading: InstallationReader, TeamReader, RegistryReader);
handed!(Administration by administration: TeamFounder, PeopleRegistrar, Enroller, TeamAdmin, Registrar);

/// What the capability `C` gives, in the installation.
pub(super) struct Of<C: Handed>(pub(super) C::Hands);

/// What the capability `C` gives in the team of the path, and that team: the only one it is good for.
pub(super) struct OfTeam<C: Handed>(pub(super) C::Hands, pub(super) TeamUid);

impl<C: Handed + InstallationCapability> FromRequestParts<IssuerState> for Of<C> {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, state: &IssuerState) -> Result<Self, ProblemAnswer> {
        let (caller, origin) = caller(parts, state).await?;
        let issuer = state.issuer()?;
        let right = issuer.capability::<C>(&caller, &origin).await?;
        Ok(Self(C::hand(issuer, right.into_authority(), origin)))
    }
}

impl<C: Handed + TeamCapability> FromRequestParts<IssuerState> for OfTeam<C> {
    type Rejection = ProblemAnswer;

    async fn from_request_parts(parts: &mut Parts, state: &IssuerState) -> Result<Self, ProblemAnswer> {
        let (caller, origin) = caller(parts, state).await?;
        let segments = RawPathParams::from_request_parts(parts, state).await.map_err(|_| no_team())?;
        let team = segments.iter().find(|(name, _)| *name == "team").map(|(_, text)| text.to_owned());
        of_team(state, &caller, team.as_deref(), origin).await
    }
}

/// Who calls, asked of the store.
pub(super) async fn caller(parts: &mut Parts, state: &IssuerState) -> Result<(Caller, Origin), ProblemAnswer> {
    let Bearer(caller) = Bearer::<Caller>::from_request_parts(parts, state).await?;
    let ClientOrigin(origin) = match ClientOrigin::from_request_parts(parts, state).await {
        Ok(origin) => origin,
        Err(never) => match never {},
    };
    Ok((caller, origin))
}

/// What `C` gives in a team that the request names otherwise than in its path.
pub(super) async fn of_team<C: Handed + TeamCapability>(
    state: &IssuerState,
    caller: &Caller,
    team: Option<&str>,
    origin: Origin,
) -> Result<OfTeam<C>, ProblemAnswer> {
    let issuer = state.issuer()?;
    let team = team.and_then(|text| TeamUid::parse(text).ok());
    // First who asks, then whether what it names could be a team's uid.
    let right = issuer.capability_in::<C>(caller, team.as_ref(), &origin).await?;
    Ok(OfTeam(C::hand(issuer, right.into_authority(), origin), team.ok_or_else(no_team)?))
}

fn no_team() -> ProblemAnswer {
    ProblemAnswer::new(Code::NotFound, "no such team")
}
