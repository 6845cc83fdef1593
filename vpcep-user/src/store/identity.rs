//! Which store this is.
//!
//! What a controller puts into the kernel outlives it, and carries this
//! identity: a controller with another store, or with an empty one because its
//! filesystem is not mounted, must not take it down.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use uuid::Uuid;

/// Name of the file in the state directory.
const FILE: &str = "identity";

/// The identity of the store in a state directory; made at the first call.
///
/// # Errors
/// When the file cannot be read or made, or holds no UUID.
pub fn identity(state_dir: &Path) -> io::Result<u128> {
    let path = state_dir.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse::<Uuid>() {
            Ok(id) => Ok(id.as_u128()),
            Err(error) => {
                Err(io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display())))
            }
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = Uuid::new_v4();
            // Complete under another name first, and on disk before it counts.
            let fresh = state_dir.join("identity.new");
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            writeln!(file, "{id}")?;
            file.sync_all()?;
            std::fs::rename(&fresh, &path)?;
            std::fs::File::open(state_dir)?.sync_all()?;
            Ok(id.as_u128())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_keeps_its_identity_and_shares_it_with_no_other() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = identity(one.path()).unwrap();
        assert_eq!(identity(one.path()).unwrap(), first);
        assert_ne!(identity(two.path()).unwrap(), first);
        std::fs::write(one.path().join(FILE), "nonsense").unwrap();
        assert!(identity(one.path()).unwrap_err().to_string().contains("identity"));
    }
}
