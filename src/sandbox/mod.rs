//! The stand-in AWS: STS, IAM and the Bedrock runtime on loopback, with the verdicts of the real service.
//!
//! Verifies tokens and signatures by itself over aws-lc-rs, so that it never shares a fault with what it
//! checks. Never in production's request path.
//! May import: domain, iam, fetch.
