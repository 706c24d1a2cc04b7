//! What the log says of a page that failed; people are shown a reference to it.

use super::Code;

/// Rides on the response of a page that shows a 5xx, for `layer::answer`.
#[derive(Debug, Clone)]
pub struct PageFault {
    /// What `/v1` would have called it.
    pub code: Code,
    /// What the log says of it beside its code.
    pub cause: Option<String>,
}
