//! IAM policy documents: their model, their evaluation, and those we generate. Pure.
//!
//! May import: domain.
