//! How a fault is told to who meets it.

/// How a fault is told to the caller. All texts are fixed: nothing of a request is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    /// Stable and documented; never reused for another fault.
    pub code: &'static str,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The exception that AWS SDKs read from `x-amzn-ErrorType`; it decides whether they retry.
    pub exception: &'static str,
    /// The likely cause, in one sentence.
    pub cause: &'static str,
    /// What to do, and by whom.
    pub remedy: &'static str,
}
