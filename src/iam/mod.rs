//! IAM policy documents: their model, their evaluation, and those we generate. Pure.
//!
//! May import: domain.

pub mod document;
pub mod evaluate;
pub mod generate;
pub mod operator;
mod parse;
mod pattern;

pub use parse::{DocumentError, Reason};
