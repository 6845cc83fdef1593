//! Secrets that are kept: sealed by a key in a file of its own.
//!
//! Owns the key file and the cipher, ChaCha20-Poly1305 (RFC 8439) with a random
//! nonce for each secret. What a secret belongs to is associated data, so that a
//! sealed secret put under another name does not open. Whoever has the database
//! without the key file, as in a backup of one of them, has no secret.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::record::{self, RecordError, Stored as _};
use super::{Store, StoreError, Write};
use crate::model::{AccessKey, AccessKeyId, Sealed, Secret};

const KEY_LEN: usize = 32;

/// Deletes every access key of a store whose key file is lost, and answers how
/// many there were. Their users need new ones.
///
/// # Errors
/// When the store cannot be read or written.
pub fn forget_access_keys(store: &dyn Store) -> Result<usize, StoreError> {
    let (sealed, _) = store.list(AccessKey::PREFIX)?;
    let removals: Vec<Write> = sealed
        .into_iter()
        .map(|record| Write { key: record.key, expected: Some(record.version), value: None })
        .collect();
    if !removals.is_empty() {
        store.commit(&removals)?;
    }
    Ok(removals.len())
}

/// Seals and opens secrets.
#[derive(Debug)]
pub struct Vault {
    key: LessSafeKey,
}

/// Why secrets cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key file cannot be read or made.
    #[error("cannot {action} key file {}", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Others than its owner may read it.
    #[error(
        "refusing key file {}: its mode is {mode:03o} and lets others than its owner read or write it, set 600",
        path.display()
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// It does not hold a key.
    #[error("refusing key file {}: it must have exactly {KEY_LEN} bytes", path.display())]
    Length {
        /// The file.
        path: PathBuf,
    },
    /// It is not there, although secrets are sealed with it.
    #[error(
        "key file {} is not there, and the store holds secrets sealed with it: put it back, or if it is lost \
         delete all access keys with vpcepd --forget-access-keys",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is another key.
    #[error("key file {} does not open the secret of access key {access}: it is not the key of this store", path.display())]
    WrongKey {
        /// The file.
        path: PathBuf,
        /// The access key.
        access: AccessKeyId,
    },
    /// What is sealed cannot be read.
    #[error("cannot read the sealed secrets")]
    Store(#[from] StoreError),
    /// A sealed secret is not what was written.
    #[error("cannot read the sealed secrets")]
    Record(#[from] RecordError),
}

/// A sealed secret that this key does not open, or not under this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot open a sealed secret: it was sealed with another key or for another purpose")]
pub struct CannotOpen;

impl Vault {
    /// The vault of the secrets in `store`, with its key in the file `path`. The
    /// file is made when nothing has been sealed yet.
    ///
    /// # Errors
    /// When the file cannot be used, is open to others, is missing although
    /// something is sealed, or does not open what is.
    pub fn open(path: &Path, store: &dyn Store) -> Result<Self, VaultError> {
        let (sealed, _) = store.list(AccessKey::PREFIX)?;
        let vault = match read_key(path)? {
            Some(key) => Self::with_key(&key),
            None if sealed.is_empty() => Self::with_key(&make_key(path)?),
            None => return Err(VaultError::Missing { path: path.into() }),
        };
        for record in &sealed {
            let key: AccessKey = record::decode(record)?;
            vault
                .unseal(key.access, &key.secret)
                .map_err(|CannotOpen| VaultError::WrongKey { path: path.into(), access: key.access })?;
        }
        Ok(vault)
    }

    /// A vault with this key.
    #[must_use]
    pub fn with_key(key: &[u8; KEY_LEN]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, key).expect("the key has the length of the cipher's");
        Self { key: LessSafeKey::new(key) }
    }

    /// Seals the secret of an access key.
    #[must_use]
    pub fn seal(&self, access: AccessKeyId, secret: &Secret) -> Sealed {
        let nonce: [u8; NONCE_LEN] = random();
        let mut sealed = secret.reveal().as_bytes().to_vec();
        let aad = Aad::from(access.as_str().as_bytes());
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
            .expect("a secret is far shorter than the cipher's limit of 256 GiB");
        Sealed::from_bytes([nonce.as_slice(), &sealed].concat())
    }

    /// Opens the secret of an access key.
    ///
    /// # Errors
    /// When it was sealed with another key or for another access key.
    pub fn unseal(&self, access: AccessKeyId, sealed: &Sealed) -> Result<Secret, CannotOpen> {
        let (nonce, sealed) = sealed.as_bytes().split_first_chunk::<NONCE_LEN>().ok_or(CannotOpen)?;
        let mut text = sealed.to_vec();
        let aad = Aad::from(access.as_str().as_bytes());
        let opened = self.key.open_in_place(Nonce::assume_unique_for_key(*nonce), aad, &mut text);
        let opened = opened.map_err(|_| CannotOpen)?;
        String::from_utf8(opened.to_vec()).map(Secret::new).map_err(|_| CannotOpen)
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("getrandom(2) does not fail once the kernel has booted");
    bytes
}

/// The key in a file; `None` when there is no file.
fn read_key(path: &Path) -> Result<Option<[u8; KEY_LEN]>, VaultError> {
    let failed = |source| VaultError::File { action: "read", path: path.into(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(VaultError::Mode { path: path.into(), mode });
    }
    let mut bytes = Vec::new();
    // One more than wanted: a longer file is noticed and not read whole.
    (&file).take(KEY_LEN as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    bytes.try_into().map(Some).map_err(|_| VaultError::Length { path: path.into() })
}

/// Makes a key file, durable before anything is sealed with it.
fn make_key(path: &Path) -> Result<[u8; KEY_LEN], VaultError> {
    let failed = |source| VaultError::File { action: "make", path: path.into(), source };
    let key = random();
    // Complete under another name first: half a key would look like damage for ever.
    let fresh = path.with_added_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .map_err(failed)?;
    file.write_all(&key).and_then(|()| file.sync_all()).map_err(failed)?;
    std::fs::rename(&fresh, path).map_err(failed)?;
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;
    use crate::model::{Description, Timestamp, UserId};
    use crate::store::EmbeddedStore;

    fn access(text: &str) -> AccessKeyId {
        text.parse().unwrap()
    }

    #[test]
    fn a_secret_opens_with_its_key_under_its_name_and_unchanged() {
        let vault = Vault::with_key(&[7; 32]);
        let (mine, other) = (access("AAAAAAAAAAAAAAAAAAAA"), access("BBBBBBBBBBBBBBBBBBBB"));
        let secret = Secret::new("hunter2".into());
        let sealed = vault.seal(mine, &secret);
        assert_eq!(vault.unseal(mine, &sealed), Ok(secret.clone()));
        assert_ne!(vault.seal(mine, &secret), sealed, "each has a nonce of its own");
        assert_eq!(vault.unseal(other, &sealed), Err(CannotOpen));
        assert_eq!(Vault::with_key(&[8; 32]).unseal(mine, &sealed), Err(CannotOpen));
        for bit in 0..sealed.as_bytes().len() * 8 {
            let mut changed = sealed.as_bytes().to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(vault.unseal(mine, &Sealed::from_bytes(changed)), Err(CannotOpen), "bit {bit}");
        }
        assert_eq!(vault.unseal(mine, &Sealed::from_bytes(vec![1; 5])), Err(CannotOpen));
    }

    #[test]
    fn the_key_is_made_once_for_its_owner_alone_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path()).unwrap();
        let path = dir.path().join("secrets.key");
        let id = access("AAAAAAAAAAAAAAAAAAAA");
        let sealed = Vault::open(&path, &store).unwrap().seal(id, &Secret::new("s".into()));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Vault::open(&path, &store).unwrap().unseal(id, &sealed).is_ok());
    }

    #[test]
    fn a_key_file_that_cannot_be_right_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(dir.path()).unwrap();
        let path = dir.path().join("secrets.key");
        let refused = |part: &str| {
            let error = Vault::open(&path, &store).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("secrets.key"), "{error}");
        };
        let vault = Vault::open(&path, &store).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        refused("its mode is 640");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();

        let key = AccessKey {
            access: access("AAAAAAAAAAAAAAAAAAAA"),
            user: UserId::random(),
            secret: vault.seal(access("AAAAAAAAAAAAAAAAAAAA"), &Secret::new("s".into())),
            description: Description::default(),
            created_at: Timestamp::ZERO,
        };
        let write =
            Write { key: AccessKey::key(key.access), expected: None, value: Some(record::encode(&key)) };
        store.commit(&[write]).unwrap();
        assert!(Vault::open(&path, &store).is_ok());
        for (bytes, part) in [
            (&[0; 31][..], "exactly 32 bytes"),
            (&[0; 33][..], "exactly 32 bytes"),
            (&[0; 32][..], "does not open the secret of access key AAAAAAAAAAAAAAAAAAAA"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            refused(part);
        }
        std::fs::remove_file(&path).unwrap();
        refused("is not there, and the store holds secrets");
        assert!(!path.exists(), "a lost key is not replaced by a new one");
        assert_eq!((forget_access_keys(&store).unwrap(), forget_access_keys(&store).unwrap()), (1, 0));
        assert!(Vault::open(&path, &store).is_ok(), "with nothing sealed there is a new beginning");
    }
}
