//! Why nobody was signed in at a provider, as far as the provider and its tokens go.

use crate::fetch::FetchError;

/// What is wrong with a provider: words for the operator's log. They name no address and repeat no part of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProviderFault {
    /// A document or an answer was not brought.
    #[error("a document of the provider could not be fetched: {0}")]
    Fetch(FetchError),
    /// The discovery document lacks what every provider must say.
    #[error("its discovery document must be that of an OpenID provider with an authorization and a token endpoint")]
    Document,
    /// It speaks for another issuer.
    #[error("its discovery document names another issuer")]
    OtherIssuer,
    /// An endpoint where nobody is sent and nothing is asked.
    #[error("its endpoints must be https URLs without user and fragment")]
    Endpoint,
    /// It signs with nothing that is taken.
    #[error("it must sign ID tokens with RS256, RS384, RS512, PS256, PS384, PS512, ES256 or ES384")]
    Algorithms,
    /// No usable key, or too many.
    #[error("its JWKS must hold 1 to 100 keys, one of RSA with 2048 to 4096 bits, P-256 or P-384 among them")]
    Keys,
    /// A private or symmetric member in its JWKS.
    #[error("its JWKS must not hold private members")]
    PrivateKey,
}

/// Why an ID token or a logout token is refused: a closed list, none of which repeats the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenFault {
    /// It is no signed JWT, or too long.
    #[error("must be a signed JWT of at most 65536 characters")]
    Form,
    /// Its `alg` is none that is taken of this provider.
    #[error("must be signed with an algorithm that the provider lists and that is no shared secret")]
    Algorithm,
    /// The provider publishes no such key, or its signature does not hold.
    #[error("signature does not hold under any key of the provider")]
    Signature,
    /// Another `iss`.
    #[error("iss must be the provider's issuer")]
    Issuer,
    /// Another `aud`, or others beside ours.
    #[error("aud must be our client id alone")]
    Audience,
    /// Another `azp`.
    #[error("azp must be our client id")]
    AuthorizedParty,
    /// Another `nonce`, none, or one where none may be.
    #[error("nonce is not the one of this sign-in")]
    Nonce,
    /// Over, or from the future.
    #[error("exp or iat is out of bounds: check the clocks")]
    Time,
    /// It belongs to another access token.
    #[error("at_hash does not fit the access token")]
    AccessToken,
    /// A claim is absent or malformed.
    #[error("claim {0} is missing or malformed")]
    Claim(&'static str),
}

/// Why a code became no verified ID token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedeemFault {
    /// The provider cannot be used now.
    #[error(transparent)]
    Provider(#[from] ProviderFault),
    /// The answer names another issuer, or none where the provider names itself (RFC 9207, section 2.4).
    #[error("the answer is another provider's")]
    AnswerIssuer,
    /// The provider does not take the code: it is over, used or made up.
    #[error("the provider does not take the code")]
    Code,
    /// The provider does not take our client id or secret.
    #[error("the provider does not take the client's credentials")]
    Client,
    /// It answers with something else.
    #[error("the provider's token endpoint answered with an error or with no ID token")]
    Answer,
    /// The ID token is refused.
    #[error("the ID token is refused: {0}")]
    IdToken(#[from] TokenFault),
}
