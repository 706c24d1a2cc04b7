//! Rate limits and fair admission.
//!
//! May import: domain.
