//! The stand-in AWS: STS, IAM and the Bedrock runtime on loopback, with the verdicts of the real service.
//!
//! Verifies tokens and signatures by itself over aws-lc-rs, so that it never shares a fault with what it
//! checks. Never in production's request path.
//! May import: domain, iam, fetch.
//!
//! ```no_run
//! # use std::{error::Error, sync::Arc};
//! # use brevet::domain::{clock::Clock, entropy::Entropy};
//! use brevet::sandbox::{self, Config, Fault};
//! # async fn example(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Result<(), Box<dyn Error>> {
//! let running = sandbox::start(Config::from_toml("loopback_issuers = true")?, clock, entropy).await?;
//! let base = running.url();                                        // http://127.0.0.1:4566
//! running.handle().inject(Fault::BreakStream { after: 3 });        // and calls(), trail(), expire_sessions(), …
//! running.stop().await;                                            // dropping it stops it too
//! # Ok(()) }
//! ```

mod account;
mod authorize;
mod bedrock;
mod catalogue;
mod config;
mod control;
mod error;
mod fault;
mod handle;
mod iam;
mod identifier;
mod parts;
mod query;
mod server;
mod setup;
mod signature;
mod start;
mod sts;
mod token;
mod trail;
mod xml;

pub use config::{AdministratorConfig, Config, ConfigError, ProviderConfig, RoleConfig};
pub use fault::Fault;
pub use handle::Handle;
pub use signature::KeyPair;
pub use start::{Running, StartError, start};
pub use trail::Event;
