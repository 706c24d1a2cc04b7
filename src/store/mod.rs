//! The database: one concrete store over SQLite and PostgreSQL, one file per table.
//!
//! Rows become domain types here. Keeps sealed key text it cannot open. The only place that names sqlx.
//! May import: domain.
