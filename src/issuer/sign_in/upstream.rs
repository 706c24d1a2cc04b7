//! Shim until the upstream branch is merged.
use url::Url;

use crate::domain::audit::Origin;
use crate::domain::browser::BrowserSecret;
use crate::domain::id::{TeamUid, UpstreamUid};
use crate::domain::secret::Secret;
use crate::domain::session::SignedIn;
use crate::issuer::Issuer;
use crate::issuer::refusals::Unavailable;

/// The path below which providers send people back.
pub const CALLBACK: &str = "/oauth2/callback";

/// A choice.
#[derive(Debug, Clone)]
pub struct UpstreamChoice {
    /// Uid.
    pub uid: UpstreamUid,
    /// Name.
    pub name: String,
}
/// An answer.
#[derive(Debug, Clone)]
pub struct UpstreamAnswer {
    /// Where it came to.
    pub provider: Option<String>,
    /// Code.
    pub code: Option<Secret>,
    /// State.
    pub state: Option<String>,
    /// Issuer.
    pub iss: Option<String>,
    /// Error.
    pub error: Option<String>,
    /// Words.
    pub error_description: Option<String>,
}
/// Refused.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamRefused {
    /// No.
    #[error("no")]
    No,
    /// Nobody can tell now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}
impl Issuer {
    /// Choices.
    pub async fn upstream_choices(&self, _: Option<&TeamUid>) -> Result<Vec<UpstreamChoice>, Unavailable> {
        Ok(Vec::new())
    }
    /// Begin.
    pub async fn upstream_begin(&self, _: &UpstreamUid, _: &BrowserSecret) -> Result<Url, UpstreamRefused> {
        Err(UpstreamRefused::No)
    }
    /// Finish.
    pub async fn upstream_finish(
        &self,
        _: &UpstreamUid,
        _: &BrowserSecret,
        _: &UpstreamAnswer,
        _: &Origin,
    ) -> Result<SignedIn, UpstreamRefused> {
        Err(UpstreamRefused::No)
    }
}
