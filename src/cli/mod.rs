//! The command line and composition root: arguments, settings, parts; one file per command.
//!
//! May import: every lower floor. The only place that names clap.
