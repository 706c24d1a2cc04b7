//! How people sign in: sessions and the ways that lead to one, from a code, a device or a browser.
//!
//! Owns what a session is opened with, its tokens and their rotation. Does not own pages (`http::pages`), forms
//! (`http::issuer::oauth`) nor who a provider says somebody is.
//! May import: what its parent may.

pub mod upstream;
