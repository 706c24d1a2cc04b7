//! The one outbound HTTP client: no redirects, checked and pinned addresses, caps on body and time, proxy.
//!
//! Does not own what is fetched or what it means.
//! May import: domain.
