//! `vpcep profile`: controllers that were logged in to, and as whom.
//!
//! Works on the file of profiles alone; nothing is sent.

pub mod file;

use anyhow::Result;
use clap::Subcommand;
use serde_json::{Value, json};

use super::output::{Answer, Column};
use crate::model::Timestamp;
use file::{Profile, ProfileFile, Profiles};

/// What can be done with profiles.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show all profiles; the current one is marked
    List,
    /// Show one profile, without its token
    Show {
        /// Name of the profile; the current one when none is given
        name: Option<String>,
    },
    /// Make a profile the current one, which is used when nothing else is said
    Use {
        /// Name of the profile
        name: String,
    },
    /// Delete a profile; `vpcep logout` before that ends its token
    Delete {
        /// Name of the profile
        name: String,
    },
}

/// A profile as it is shown.
struct Row {
    name: String,
    is_current: bool,
    profile: Profile,
}

const COLUMNS: &[Column<Row>] = &[
    Column::whole("CURRENT", |row| if row.is_current { "*" } else { "" }.to_owned()),
    Column::text("NAME", |row| row.name.clone()),
    Column::text("SERVER", |row| row.profile.server.to_string()),
    Column::text("ACCOUNT", |row| row.profile.account.clone()),
    Column::text("USER", |row| row.profile.user.clone()),
    Column::whole("LOGIN", |row| login_text(&row.profile)),
];

fn login_text(profile: &Profile) -> String {
    match &profile.session {
        None => "no".to_owned(),
        Some(session) if session.expires_at <= Timestamp::now() => "expired".to_owned(),
        Some(session) => format!("until {}", session.expires_at),
    }
}

impl Row {
    fn json(&self) -> Value {
        let Profile { server, ca_file, account, user, session } = &self.profile;
        json!({
            "name": self.name,
            "current": self.is_current,
            "server": server.to_string(),
            "ca_file": ca_file,
            "account": account,
            "user": user,
            "expires_at": session.as_ref().map(|session| session.expires_at.to_string()),
            "operator": session.as_ref().is_some_and(|session| session.is_operator),
        })
    }
}

impl Command {
    /// Does it.
    pub fn run(self, file: &ProfileFile) -> Result<Answer> {
        let mut profiles = file.read()?;
        match self {
            Self::List => Ok(list(profiles)),
            Self::Show { name } => {
                let name = name.or_else(|| profiles.current.clone()).unwrap_or_else(|| file::DEFAULT.into());
                shown(&profiles, &name)
            }
            Self::Use { name } => {
                profiles.get(&name)?;
                profiles.current = Some(name.clone());
                file.write(&profiles)?;
                shown(&profiles, &name)
            }
            Self::Delete { name } => {
                profiles.get(&name)?;
                profiles.all.remove(&name);
                profiles.current = profiles.current.filter(|current| *current != name);
                file.write(&profiles)?;
                Ok(Answer::deleted("profile", &name))
            }
        }
    }
}

/// One profile, without its token.
///
/// # Errors
/// When there is none of this name.
pub fn shown(profiles: &Profiles, name: &str) -> Result<Answer> {
    let is_current = profiles.current.as_deref() == Some(name);
    let row = Row { name: name.to_owned(), is_current, profile: profiles.get(name)?.clone() };
    Ok(Answer::record(row.json()))
}

fn list(profiles: Profiles) -> Answer {
    let Profiles { current, all } = profiles;
    let rows: Vec<Row> = all
        .into_iter()
        .map(|(name, profile)| Row { is_current: current.as_ref() == Some(&name), name, profile })
        .collect();
    let json: Vec<Value> = rows.iter().map(Row::json).collect();
    Answer::table(json!({ "profiles": json }), None, &rows, COLUMNS)
}

#[cfg(test)]
mod tests {
    use super::file::Session;
    use super::*;
    use crate::cli::output::Format;

    fn run(file: &ProfileFile, command: Command) -> String {
        command.run(file).unwrap().render(Format::Table, None)
    }

    #[test]
    fn profiles_are_listed_chosen_and_deleted_and_never_show_their_token() {
        let dir = tempfile::tempdir().unwrap();
        let file = ProfileFile::in_directory(dir.path());
        let session = |micros| Session {
            token: "geheim".parse().unwrap(),
            expires_at: Timestamp::from_micros(micros),
            is_operator: false,
        };
        let profile = |user: &str, session| Profile {
            server: "http://gw".parse().unwrap(),
            ca_file: None,
            account: "acme".into(),
            user: user.into(),
            session,
        };
        let all = [
            ("a".into(), profile("ann", Some(session(u64::MAX)))),
            ("b".into(), profile("bob", Some(session(1)))),
            ("c".into(), profile("cy", None)),
        ];
        file.write(&Profiles { current: None, all: all.into() }).unwrap();
        assert!(run(&file, Command::Use { name: "b".into() }).contains("bob"));
        assert_eq!(
            run(&file, Command::List),
            "\
CURRENT  NAME  SERVER     ACCOUNT  USER  LOGIN
         a     http://gw  acme     ann   until 9999-12-31T23:59:59Z
*        b     http://gw  acme     bob   expired
         c     http://gw  acme     cy    no
"
        );
        for name in [None, Some("a".to_owned())] {
            let shown = run(&file, Command::Show { name });
            assert!(shown.contains("expires_at") && !shown.contains("geheim"), "{shown}");
        }
        assert_eq!(run(&file, Command::Delete { name: "b".into() }), "deleted profile b\n");
        assert_eq!(file.read().unwrap().current, None);
        for command in [
            Command::Use { name: "b".into() },
            Command::Delete { name: "b".into() },
            Command::Show { name: None },
        ] {
            let error = command.run(&file).unwrap_err().to_string();
            assert!(error.contains("vpcep profile list"), "{error}");
        }
    }
}
