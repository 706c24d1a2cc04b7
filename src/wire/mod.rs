//! The request and answer types of `/v1`, with their OpenAPI schema, shared by `http` and `client`.
//!
//! Shapes of OAuth, AWS, Anthropic and OpenAI live with their endpoint, not here.
//! May import: domain.
