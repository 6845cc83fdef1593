//! The file of profiles, `$XDG_CONFIG_HOME/vpcep/config.toml`.
//!
//! It holds tokens, so it is its owner's alone: one that others can read is refused
//! rather than repaired, since what was in it is known by then. It is replaced
//! whole; two commands that write at once leave the file of one of them.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::client::{ServerUrl, Token};
use crate::model::Timestamp;

/// Name of the profile that a first login makes.
pub const DEFAULT: &str = "default";

/// How one controller is reached, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The controller.
    pub server: ServerUrl,
    /// Authorities that vouch for it; those of the system when there is no file.
    pub ca_file: Option<PathBuf>,
    /// Account of the user.
    pub account: String,
    /// Who logs in.
    pub user: String,
    /// What the last login gave, until a logout.
    pub session: Option<Session>,
}

/// What a login gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The token.
    pub token: Token,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// Whether the user is the operator.
    pub is_operator: bool,
}

/// Every profile, and which of them is meant when none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profiles {
    /// The one that is meant.
    pub current: Option<String>,
    /// By name.
    pub all: BTreeMap<String, Profile>,
}

/// Why there are no profiles to be had.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// There is no place for them.
    #[error("there is no place for profiles: neither XDG_CONFIG_HOME nor HOME is an absolute path")]
    NoPlace,
    /// The file is there and cannot be used.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Others can read the tokens in it.
    #[error(
        "{path} holds tokens and can be read by others (mode {mode:o}): run `chmod 600 {path}`, and `vpcep login` \
         if they may have", path = path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is not what vpcep writes.
    #[error("cannot understand {}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser said, without the line it is about.
        #[source]
        source: SyntaxError,
    },
    /// There is no such profile.
    #[error("there is no profile {name:?}: `vpcep profile list` shows those there are")]
    Unknown {
        /// The name.
        name: String,
    },
}

/// What is wrong with the file; never the text itself, which may be a token.
#[derive(Debug, thiserror::Error)]
pub enum SyntaxError {
    /// No TOML, or not of the right fields.
    #[error("{0}")]
    Form(String),
    /// A value that cannot be.
    #[error("profile {profile:?}: bad {field}")]
    Value {
        /// In which profile.
        profile: String,
        /// Which field.
        field: &'static str,
    },
}

/// The file as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(default)]
    profiles: BTreeMap<String, ProfileForm>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ProfileForm {
    server: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca_file: Option<PathBuf>,
    account: String,
    user: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    operator: bool,
}

/// Where profiles are kept.
#[derive(Clone, Debug)]
pub struct ProfileFile(PathBuf);

impl ProfileFile {
    /// The file of whoever runs this program.
    ///
    /// # Errors
    /// When the environment names no place.
    pub fn of_user() -> Result<Self, ProfileError> {
        let place = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let config = place("XDG_CONFIG_HOME").or_else(|| Some(place("HOME")?.join(".config")));
        Ok(Self::in_directory(&config.ok_or(ProfileError::NoPlace)?))
    }

    /// The file below a directory of configurations.
    pub fn in_directory(config: &Path) -> Self {
        Self(config.join("vpcep/config.toml"))
    }

    /// What is in it; nothing when it is not there.
    ///
    /// # Errors
    /// When it cannot be read or understood, or others can read it.
    pub fn read(&self) -> Result<Profiles, ProfileError> {
        let path = &self.0;
        let failed = |source| ProfileError::File { action: "read", path: path.clone(), source };
        let mut file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Profiles::default()),
            opened => opened.map_err(failed)?,
        };
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(ProfileError::Open { path: path.clone(), mode });
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(failed)?;
        parse(&text).map_err(|source| ProfileError::Syntax { path: path.clone(), source })
    }

    /// Puts these in its place.
    ///
    /// # Errors
    /// When it cannot be written; then it is as it was.
    pub fn write(&self, profiles: &Profiles) -> Result<(), ProfileError> {
        let path = &self.0;
        let written = || {
            let directory = path.parent().expect("the file is in a directory");
            DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
            let fresh = directory.join(format!(".config.toml.{}", std::process::id()));
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            file.write_all(to_text(profiles).as_bytes())?;
            file.sync_all()?;
            std::fs::rename(&fresh, path)
        };
        written().map_err(|source| ProfileError::File { action: "write", path: path.clone(), source })
    }
}

impl Profiles {
    /// The profile of this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn get(&self, name: &str) -> Result<&Profile, ProfileError> {
        self.all.get(name).ok_or_else(|| ProfileError::Unknown { name: name.to_owned() })
    }
}

fn parse(text: &str) -> Result<Profiles, SyntaxError> {
    // The parser's whole report quotes the line.
    let form: FileForm =
        toml::from_str(text).map_err(|error| SyntaxError::Form(error.message().to_owned()))?;
    let profiles = form.profiles.into_iter().map(|(name, form)| {
        let profile = parse_profile(&name, form)?;
        Ok((name, profile))
    });
    Ok(Profiles { current: form.current, all: profiles.collect::<Result<_, _>>()? })
}

fn parse_profile(name: &str, form: ProfileForm) -> Result<Profile, SyntaxError> {
    let bad = |field| SyntaxError::Value { profile: name.to_owned(), field };
    let ProfileForm { server, ca_file, account, user, token, expires_at, operator } = form;
    let session = match (token, expires_at) {
        (None, _) => None,
        (Some(_), None) => return Err(bad("expires-at")),
        (Some(token), Some(expires_at)) => Some(Session {
            token: token.parse().map_err(|_| bad("token"))?,
            expires_at: expires_at.parse().map_err(|_| bad("expires-at"))?,
            is_operator: operator,
        }),
    };
    Ok(Profile { server: server.parse().map_err(|_| bad("server"))?, ca_file, account, user, session })
}

fn to_text(profiles: &Profiles) -> String {
    let form = |profile: &Profile| {
        let Profile { server, ca_file, account, user, session } = profile.clone();
        ProfileForm {
            server: server.to_string(),
            ca_file,
            account,
            user,
            token: session.as_ref().map(|session| session.token.reveal().to_owned()),
            expires_at: session.as_ref().map(|session| session.expires_at.to_string()),
            operator: session.is_some_and(|session| session.is_operator),
        }
    };
    let all = profiles.all.iter().map(|(name, profile)| (name.clone(), form(profile)));
    let file = FileForm { current: profiles.current.clone(), profiles: all.collect() };
    toml::to_string(&file).expect("texts and switches are TOML")
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    fn some() -> Profiles {
        let session = Session {
            token: "geheim".parse().unwrap(),
            expires_at: Timestamp::from_micros(7_000_000),
            is_operator: true,
        };
        let profile = Profile {
            server: "https://gateway:8774".parse().unwrap(),
            ca_file: Some("/etc/ca.pem".into()),
            account: "acme".into(),
            user: "ann".into(),
            session: Some(session),
        };
        let logged_out = Profile { session: None, ca_file: None, ..profile.clone() };
        Profiles {
            current: Some("a".into()),
            all: [("a".into(), profile), ("b c".into(), logged_out)].into(),
        }
    }

    fn file_with(text: &str) -> (tempfile::TempDir, ProfileFile) {
        let dir = tempfile::tempdir().unwrap();
        let file = ProfileFile::in_directory(dir.path());
        file.write(&Profiles::default()).unwrap();
        std::fs::write(&file.0, text).unwrap();
        (dir, file)
    }

    #[test]
    fn what_was_written_is_read_back_and_is_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = ProfileFile::in_directory(dir.path());
        assert_eq!(file.read().unwrap(), Profiles::default());
        file.write(&some()).unwrap();
        assert_eq!(file.read().unwrap(), some());
        assert_eq!(std::fs::metadata(&file.0).unwrap().permissions().mode() & 0o777, 0o600);
        let left: Vec<_> = std::fs::read_dir(dir.path().join("vpcep")).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(!format!("{:?}", some()).contains("geheim"));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let (_dir, file) = file_with("");
        std::fs::set_permissions(&file.0, Permissions::from_mode(0o640)).unwrap();
        let error = file.read().unwrap_err().to_string();
        assert!(error.contains("mode 640") && error.contains("chmod 600"), "{error}");
    }

    #[test]
    fn what_cannot_be_understood_is_named_and_no_token_with_it() {
        const PROFILE: &str = "server = \"https://g\"\naccount = \"a\"\nuser = \"u\"\n";
        for (lines, part) in [
            (
                "server = \"gopher://g\"\naccount = \"a\"\nuser = \"u\"\n".to_owned(),
                "profile \"x\": bad server",
            ),
            (format!("{PROFILE}token = \"geheim\"\n"), "profile \"x\": bad expires-at"),
            (format!("{PROFILE}token = \"ge heim\"\nexpires-at = \"2026-03-01T12:00:00Z\"\n"), "bad token"),
            (format!("{PROFILE}tokn = \"geheim\"\n"), "unknown field `tokn`"),
            (format!("{PROFILE}token = geheim\n"), ""),
        ] {
            let (_dir, file) = file_with(&format!("[profiles.x]\n{lines}"));
            let error = format!("{:#}", anyhow::Error::from(file.read().unwrap_err()));
            assert!(error.contains(part) && error.contains("cannot understand"), "{part}: {error}");
            assert!(!error.contains("geheim") && !error.contains("heim\""), "{error}");
        }
    }
}
