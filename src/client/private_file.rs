//! A file of secrets for its owner alone, always whole.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Most commands that write at once, and leftovers of crashes.
const WRITERS_MAX: u32 = 64;

/// Puts a new file of mode 0600 that holds `text` in the place of `file`, at once: no reader, and no crash, ever meets
/// half of one. A symbolic link there is replaced, not followed.
pub fn replace(file: &Path, text: &[u8]) -> io::Result<()> {
    let fresh = write_beside(file, text)?;
    fs::rename(&fresh, file).inspect_err(|_| drop(fs::remove_file(&fresh)))
}

/// Under a name that nobody else is writing to.
fn write_beside(file: &Path, text: &[u8]) -> io::Result<PathBuf> {
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).clone();
    for attempt in 0..WRITERS_MAX {
        let fresh = file.with_extension(format!("new-{attempt}"));
        match options.open(&fresh) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
            Ok(mut open) => {
                let written = open.write_all(text).and_then(|()| open.sync_all());
                return written.inspect_err(|_| drop(fs::remove_file(&fresh))).map(|()| fresh);
            }
        }
    }
    Err(io::Error::other("too many unfinished writes stand beside it: remove the files named *.new-*"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn threat_31_a_file_is_private_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, elsewhere) = (folder.path().join("token.jwt"), folder.path().join("elsewhere"));
        fs::write(&elsewhere, "kept").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
        replace(&file, b"one").unwrap();
        replace(&file, b"two").unwrap();
        assert_eq!((fs::read(&file).unwrap(), fs::read(&elsewhere).unwrap()), (b"two".to_vec(), b"kept".to_vec()));
        assert_eq!(fs::symlink_metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside them");
        assert!(replace(&folder.path().join("no/such/folder"), b"x").is_err());
    }
}
