//! The issuer's use cases: who calls, what is granted, how it is minted, audited and published.
//!
//! Does not own HTTP (`http::issuer`, `http::admin`) nor SQL (`store`).
//! May import: domain, crypto, store, iam, oidc, fetch, limit.
