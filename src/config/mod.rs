//! Settings: the one list of environment variables, and typed values made of flags and variables.
//!
//! Does not own the flags themselves (`cli`). Floor 2 never sees this module: it receives typed values.
//! May import: domain.

pub mod host;
