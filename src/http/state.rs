//! What handlers share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crate::domain::issuer_url::IssuerUrl;
use crate::http::layer::Naming;
use crate::issuer::Issuer;
use crate::issuer::oauth::metadata;
use crate::issuer::publications::TeamPublications;
use crate::issuer::publish::{Document, Publication};
use crate::issuer::refusals::Unavailable;

/// The state of the issuer's listeners. The public documents are there from the first moment; the issuer itself
/// only when its database has answered, and until then everything else is 503.
#[derive(Clone)]
pub struct IssuerState {
    url: IssuerUrl,
    oauth_metadata: Arc<Document>,
    publication: Arc<Publication>,
    teams: Arc<TeamPublications>,
    naming: Naming,
    issuer: Arc<OnceLock<Issuer>>,
    allowed_endpoints: Arc<[String]>,
    stopping: Arc<AtomicBool>,
}

impl IssuerState {
    /// A listener whose issuer is still starting.
    pub fn starting(url: IssuerUrl, publication: Arc<Publication>, naming: Naming) -> Self {
        Self {
            oauth_metadata: Arc::new(metadata::document(&url)),
            teams: Arc::new(TeamPublications::new(url.clone(), None)),
            url,
            publication,
            naming,
            issuer: Arc::default(),
            allowed_endpoints: Arc::default(),
            stopping: Arc::default(),
        }
    }

    /// Lets provider settings name these endpoints beside AWS's own (`BREVET_ALLOWED_ENDPOINTS`), exact texts without
    /// a trailing slash.
    #[must_use]
    pub fn allowing_endpoints(mut self, listed: Vec<String>) -> Self {
        self.allowed_endpoints = listed.into();
        self
    }

    /// Serves these documents of teams' private issuers, from the first moment on.
    #[must_use]
    pub fn publishing_for_teams(mut self, teams: Arc<TeamPublications>) -> Self {
        self.teams = teams;
        self
    }

    /// What teams' private issuers publish.
    pub fn teams(&self) -> &TeamPublications {
        &self.teams
    }

    /// The endpoints that the operator listed.
    pub fn allowed_endpoints(&self) -> &[String] {
        &self.allowed_endpoints
    }

    /// Hands the issuer in, once; a second one is ignored.
    pub fn started(&self, issuer: Issuer) {
        let _ = self.issuer.set(issuer);
    }

    /// From now on `/readyz` says that this replica is leaving; requests are still answered.
    pub fn stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Whether this replica is leaving.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// The issuer's URL, under whose path every route lives.
    pub const fn url(&self) -> &IssuerUrl {
        &self.url
    }

    /// The metadata of the authorization server, which the issuer URL alone makes.
    pub fn oauth_metadata(&self) -> &Document {
        &self.oauth_metadata
    }

    /// What is published.
    pub fn publication(&self) -> &Publication {
        &self.publication
    }

    /// What names requests.
    pub const fn naming(&self) -> &Naming {
        &self.naming
    }

    /// The issuer, once it has started.
    pub fn issuer(&self) -> Result<&Issuer, Unavailable> {
        self.issuer.get().ok_or(Unavailable::Starting)
    }
}
