//! Rate limits and fair admission.
//!
//! Owns how often something may be done and how much of it at once; both bounded in memory whatever callers
//! send. Does not own what is limited nor what a refusal looks like.
//! May import: domain.

pub mod admission;
pub mod lines;
pub mod network;
pub mod rate;
pub mod share;
pub mod turns;
