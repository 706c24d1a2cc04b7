//! The lock of the one process that serves.

use std::fs::File;

/// A locked file. Given back when dropped, also where a child that another thread is just starting has a copy of it still.
#[derive(Debug)]
pub(super) struct Sole(File);

impl Sole {
    /// Holds `locked`, which is.
    pub(super) const fn holding(locked: File) -> Self {
        Self(locked)
    }
}

impl Drop for Sole {
    fn drop(&mut self) {
        // Closing the last copy gives it back too.
        let _ = self.0.unlock();
    }
}
