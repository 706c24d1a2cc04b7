//! What a sign-in provider publishes of itself, checked before anything of it is used.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use openidconnect::core::{
    CoreAuthDisplay, CoreClaimName, CoreClaimType, CoreClientAuthMethod, CoreGrantType, CoreJsonWebKey,
    CoreJsonWebKeySet, CoreJweContentEncryptionAlgorithm, CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm,
    CoreResponseMode, CoreResponseType, CoreSubjectIdentifierType,
};
use openidconnect::{
    AdditionalProviderMetadata, AsyncHttpClient, DiscoveryError, HttpRequest, HttpResponse, IssuerUrl, ProviderMetadata,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::discovery;
use super::upstream_error::ProviderFault;
use crate::domain::foreign_issuer::ForeignIssuer;
use crate::fetch::{self, FetchError, Refusal};

/// Most keys of a provider.
const KEYS_MAX: usize = 100;

/// Everything that an ID token may be signed with here: never `none`, never a secret that both sides hold (RFC 8725,
/// sections 3.1 and 3.2).
const ALGORITHMS: [CoreJwsSigningAlgorithm; 8] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
];

/// What the crate does not read of itself.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(super) struct More {
    /// RFC 9207: answers of the authorization endpoint name their issuer.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl AdditionalProviderMetadata for More {}

pub(super) type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

/// A provider's documents: issuer, endpoints, algorithms and keys are checked.
pub(super) struct Provider {
    pub(super) metadata: Metadata,
}

impl Provider {
    /// Reads them.
    pub(super) async fn discover(client: &fetch::Client, issuer: &ForeignIssuer) -> Result<Self, ProviderFault> {
        let url = IssuerUrl::new(issuer.as_str().to_owned()).map_err(|_| ProviderFault::Document)?;
        let http = Http { client, loopback: issuer.is_loopback() };
        let metadata = Metadata::discover_async(url, &http).await.map_err(|error| fault(&error))?;
        // The crate compares too, but our rule is that of every other issuer: byte for byte.
        if metadata.issuer().as_str() != issuer.as_str() {
            return Err(ProviderFault::OtherIssuer);
        }
        let token = metadata.token_endpoint().ok_or(ProviderFault::Document)?;
        for endpoint in [metadata.authorization_endpoint().as_str(), token.as_str()] {
            discovery::check_uri(endpoint, issuer.is_loopback()).map_err(|_| ProviderFault::Endpoint)?;
        }
        let offered = metadata.id_token_signing_alg_values_supported();
        let algorithms: Vec<_> = ALGORITHMS.into_iter().filter(|known| offered.contains(known)).collect();
        if algorithms.is_empty() {
            return Err(ProviderFault::Algorithms);
        }
        let keys = sound(metadata.jwks())?;
        let metadata = metadata.set_jwks(keys).set_id_token_signing_alg_values_supported(algorithms);
        Ok(Self { metadata })
    }

    /// Whether its answers must name their issuer (RFC 9207, section 2.4).
    pub(super) fn names_itself(&self) -> bool {
        self.metadata.additional_metadata().authorization_response_iss_parameter_supported
    }

    /// Whether a secret is presented in the body, because the provider takes it nowhere else. Where it says nothing it
    /// takes Basic (OpenID Connect Discovery, section 3).
    pub(super) fn takes_secret_in_body(&self) -> bool {
        self.metadata.token_endpoint_auth_methods_supported().is_some_and(|methods| {
            !methods.contains(&CoreClientAuthMethod::ClientSecretBasic)
                && methods.contains(&CoreClientAuthMethod::ClientSecretPost)
        })
    }
}

/// The keys that verify here: RSA of 2048 to 4096 bits, P-256 and P-384. Others are passed over, as a provider may
/// have more clients than us; a private one refuses the whole document, because whoever reads it can sign.
fn sound(keys: &CoreJsonWebKeySet) -> Result<CoreJsonWebKeySet, ProviderFault> {
    if keys.keys().len() > KEYS_MAX {
        return Err(ProviderFault::Keys);
    }
    let mut sound = Vec::new();
    for key in keys.keys() {
        let json = serde_json::to_value(key).map_err(|_| ProviderFault::Keys)?;
        let text = |name: &str| json.get(name).and_then(Value::as_str);
        if text("d").is_some() || text("k").is_some() {
            return Err(ProviderFault::PrivateKey);
        }
        let fits = match text("kty") {
            // Base64url of 256 to 512 bytes.
            Some("RSA") => text("n").is_some_and(|n| (342..=683).contains(&n.len())),
            Some("EC") => matches!(text("crv"), Some("P-256" | "P-384")),
            _ => false,
        };
        if fits {
            sound.push(key.clone());
        }
    }
    if sound.is_empty() { Err(ProviderFault::Keys) } else { Ok(CoreJsonWebKeySet::new(sound)) }
}

/// What became of discovery, in our words: the crate's repeat addresses and parts of answers (threat 22).
fn fault(error: &DiscoveryError<FetchError>) -> ProviderFault {
    match error {
        DiscoveryError::Request(error) => ProviderFault::Fetch(*error),
        DiscoveryError::Response(status, ..) if status.as_u16() != 200 => {
            ProviderFault::Fetch(FetchError::Status(status.as_u16()))
        }
        DiscoveryError::Validation(_) => ProviderFault::OtherIssuer,
        _ => ProviderFault::Document,
    }
}

/// The guarded client as the crate wants one. What an https provider names is asked over https too.
pub(super) struct Http<'a> {
    pub(super) client: &'a fetch::Client,
    pub(super) loopback: bool,
}

impl<'c> AsyncHttpClient<'c> for Http<'_> {
    type Error = FetchError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, FetchError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            discovery::check_uri(&request.uri().to_string(), self.loopback).map_err(|_| Refusal::Scheme)?;
            let answer = self.client.send(request.map(Bytes::from)).await?;
            Ok(answer.map(|body| body.to_vec()))
        })
    }
}
