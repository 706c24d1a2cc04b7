//! IAM policy documents: their model, their evaluation, and those we generate, to open and to close. Pure.
//!
//! May import: domain.

pub mod deny;
pub mod document;
pub mod evaluate;
pub mod generate;
pub mod operator;
mod parse;
mod pattern;

pub use parse::{DocumentError, Reason};
