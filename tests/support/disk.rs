//! A small disk that can be filled: a tmpfs of its own.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::skipped;

/// The disk; unmounted when dropped.
pub(crate) struct Disk(TempDir);

impl Disk {
    /// One of so many megabytes; `None` after saying that the test is skipped.
    pub(crate) fn mount(megabytes: u32) -> Option<Self> {
        let folder = TempDir::with_prefix("brevet-disk-").expect("a temporary directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=0777"), "brevet-disk"])
            .arg(folder.path())
            .output();
        if mounted.is_ok_and(|ended| ended.status.success()) {
            return Some(Self(folder));
        }
        skipped("root, and the right to mount a disk that it can fill");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Leaves no byte of it free.
    pub(crate) fn fill(&self) {
        let mut filler = File::options().create(true).append(true).open(self.filler()).expect("a file");
        for piece in [64 * 1024, 1024, 1] {
            while filler.write_all(&vec![0x2a; piece]).is_ok() {}
        }
    }

    /// Gives back what was filled.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.filler()).expect("it was filled");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: what ran on it may take a moment to end.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
