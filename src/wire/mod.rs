//! The request and answer types of `/v1`, with their OpenAPI schema, shared by `http` and `client`.
//!
//! Plain texts and numbers: what is well-formed JSON here is parsed into domain types by the handler, which
//! names the field and the rule it breaks. Unknown members of a request are refused.
//! Shapes of OAuth, AWS, Anthropic and OpenAI live with their endpoint, not here.
//! May import: domain.

pub mod admin;
pub mod exchange;
pub mod mint;
pub mod patch;
pub mod problem;
pub mod run;
pub mod secret_text;
pub mod session;
pub mod whoami;
