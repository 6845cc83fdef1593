use clap::{CommandFactory, FromArgMatches};

use super::*;
use crate::cli::Cli;
use crate::client::fake::{FakeServer, Reply};
use crate::client::{ClientError, Vpc};

const VPC: &str = r#"{"vpc":{"id":"1","name":"n","cidr":"c","status":"OK","project_id":"p"}}"#;

fn ok() -> Reply {
    Reply { status: 200, headers: "", body: VPC.to_owned() }
}

fn target(line: &str) -> Result<Target, UsageError> {
    let words =
        std::iter::once("vpcep").chain(line.split(' ').filter(|word| !word.is_empty())).chain(["status"]);
    let matches = Cli::command().try_get_matches_from(words).unwrap();
    Target::new(&Cli::from_arg_matches(&matches).unwrap().target, &matches)
}

fn profile(server: ServerUrl, token: &str, expires_at: u64) -> Profile {
    let session = Session {
        token: token.parse().unwrap(),
        expires_at: Timestamp::from_micros(expires_at),
        is_operator: token == "root",
    };
    Profile { server, ca_file: None, account: "a".into(), user: "u".into(), session: Some(session) }
}

struct Home {
    _dir: tempfile::TempDir,
    file: ProfileFile,
}

impl Home {
    fn with(current: Option<&str>, all: Vec<(&str, Profile)>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = ProfileFile::in_directory(dir.path());
        let all = all.into_iter().map(|(name, profile)| (name.to_owned(), profile)).collect();
        file.write(&Profiles { current: current.map(Into::into), all }).unwrap();
        Self { _dir: dir, file }
    }

    async fn open(&self, line: &str) -> Result<Client> {
        target(line)?.open(Ok(self.file.clone())).await
    }
}

#[tokio::test]
async fn the_token_sent_is_that_of_the_nearest_place_and_only_to_its_server() {
    let server = FakeServer::on_tcp(vec![ok(), ok(), ok(), ok(), ok()]).await;
    let other: ServerUrl = "http://192.0.2.1:1".parse().unwrap();
    let url = server.url();
    let home = Home::with(
        Some("here"),
        vec![
            ("here", profile(url.clone(), "mine", u64::MAX)),
            ("root", profile(url.clone(), "root", u64::MAX)),
            ("there", profile(other.clone(), "theirs", u64::MAX)),
        ],
    );
    for (line, token, is_operator) in [
        (String::new(), "mine", false),
        ("--profile root".into(), "root", true),
        ("--token typed".into(), "typed", false),
        (format!("--server {url}"), "mine", false),
        (format!("--server {url} --token typed"), "typed", false),
    ] {
        let client = home.open(&line).await.unwrap();
        client.get::<Vpc>("1").await.unwrap();
        let header = format!("x-auth-token: {token}");
        assert!(server.asked().pop().unwrap().headers.contains(&header), "{line}: not {header}");
        assert_eq!(client.is_operator(), is_operator, "{line}");
    }
    for line in [format!("--server {other}"), format!("--server {url} --profile there")] {
        let error = home.open(&line).await.unwrap_err();
        let usage = error.downcast_ref::<UsageError>().unwrap_or_else(|| panic!("{line}: {error:#}"));
        assert_eq!(usage.argument, "--token", "{line}");
    }
}

#[tokio::test]
async fn without_a_current_profile_the_caller_is_the_operator_on_the_socket() {
    let home = Home::with(None, vec![]);
    let client = home.open("").await.unwrap();
    assert!(client.is_operator());
    assert!(!home.open("--token t").await.unwrap().is_operator());
    let nowhere = target("").unwrap().open(Err(anyhow::anyhow!("no place"))).await.unwrap();
    assert!(nowhere.is_operator());
    // A typed socket wins over the current profile.
    let url = "http://192.0.2.1:1".parse().unwrap();
    let home = Home::with(Some("p"), vec![("p", profile(url, "mine", u64::MAX))]);
    assert!(home.open("--socket /s").await.unwrap().is_operator());
}

#[tokio::test]
async fn a_profile_that_cannot_be_used_says_what_to_do() {
    let url: ServerUrl = "http://192.0.2.1:1".parse().unwrap();
    let logged_out = Profile { session: None, ..profile(url.clone(), "x", 0) };
    let home = Home::with(Some("gone"), vec![("old", profile(url, "x", 1)), ("out", logged_out)]);
    for (line, part) in [
        ("", "there is no profile \"gone\""),
        (
            "--profile old",
            "has expired at 1970-01-01T00:00:00Z: log in again with `vpcep login --profile old`",
        ),
        ("--profile out", "is not logged in: `vpcep login --profile out`"),
    ] {
        let error = home.open(line).await.unwrap_err().to_string();
        assert!(error.contains(part), "{line}: {error}");
    }
}

#[tokio::test]
async fn a_server_is_believed_by_its_authority_and_for_its_name_only() {
    let dir = tempfile::tempdir().unwrap();
    let [ca, other, not_pem] = ["ca.pem", "other.pem", "not.pem"].map(|name| dir.path().join(name));
    let server = FakeServer::on_tls(vec![ok()], "localhost", &ca).await;
    let _other = FakeServer::on_tls(vec![], "localhost", &other).await;
    let misnamed = FakeServer::on_tls(vec![ok()], "gateway", &dir.path().join("misnamed.pem")).await;
    std::fs::write(&not_pem, "x").unwrap();
    let home = Home::with(None, vec![]);
    let call = async |line: String| {
        let client = home.open(&format!("{line} --token t")).await?;
        Ok::<_, anyhow::Error>(client.get::<Vpc>("1").await?)
    };
    let is_tls_error = |error: &anyhow::Error| matches!(error.downcast_ref(), Some(ClientError::Tls { .. }));
    for (url, file) in [(server.url(), &other), (misnamed.url(), &dir.path().join("misnamed.pem"))] {
        let error = call(format!("--server {url} --ca-file {}", file.display())).await.unwrap_err();
        assert!(is_tls_error(&error), "{url}: {error:#}");
    }
    for file in [&not_pem, &dir.path().join("absent.pem")] {
        let error =
            call(format!("--server {} --ca-file {}", server.url(), file.display())).await.unwrap_err();
        assert!(error.to_string().contains(&file.display().to_string()), "{error:#}");
    }
    assert!(server.lines().is_empty() && misnamed.lines().is_empty());
    call(format!("--server {} --ca-file {}", server.url(), ca.display())).await.unwrap();
}
