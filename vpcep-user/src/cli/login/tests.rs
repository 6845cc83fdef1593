use clap::Parser;
use serde_json::{Value, json};

use super::*;
use crate::cli::output::Format;
use crate::cli::{Cli, Command, Here};
use crate::client::fake::{FakeServer, Reply};

const TOKEN: &str = r#"{"token":{"expires_at":"2999-01-01T00:00:00.000000Z","project":{"id":"p"},
    "user":{"name":"ann"},"roles":[{"name":"operator"}]}}"#;

fn accepted() -> Reply {
    Reply { status: 201, headers: "X-Subject-Token: geheim\r\n", body: TOKEN.to_owned() }
}

fn refused() -> Reply {
    let body = r#"{"error":{"code":401,"title":"Unauthorized","message":"wrong user or password"}}"#;
    Reply { status: 401, headers: "", body: body.to_owned() }
}

fn login(line: &str) -> (LoginArgs, TargetArgs) {
    let cli = Cli::try_parse_from(std::iter::once("vpcep").chain(line.split(' '))).unwrap();
    let Command::Here(Here::Login(args)) = cli.command else { panic!("{line}") };
    (args, cli.target)
}

/// Logs in with a password that nobody has to type.
async fn log_in(line: &str, file: &ProfileFile) -> Result<String> {
    let (args, target) = login(line);
    let answer = args.run_with(&target, file, |_| Ok("hunter2".to_owned())).await?;
    Ok(answer.render(Format::Table, None))
}

#[tokio::test]
async fn a_login_sends_the_password_once_and_keeps_the_token_in_a_profile() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, file) = (dir.path().join("ca.pem"), ProfileFile::in_directory(dir.path()));
    let server = FakeServer::on_tls(vec![accepted(), accepted()], "localhost", &ca).await;
    let line =
        format!("login --server {} --ca-file {} --account acme --user ann", server.url(), ca.display());
    let shown = log_in(&line, &file).await.unwrap();
    assert!(shown.contains("2999") && !shown.contains("geheim") && !shown.contains("hunter2"), "{shown}");
    let asked = &server.asked()[0];
    assert_eq!(asked.line, "POST /v3/auth/tokens");
    assert_eq!(
        serde_json::from_str::<Value>(&asked.body).unwrap(),
        json!({"auth": {"identity": {"methods": ["password"], "password": {"user":
            {"name": "ann", "domain": {"name": "acme"}, "password": "hunter2"}}}}})
    );
    let profiles = file.read().unwrap();
    assert_eq!(profiles.current.as_deref(), Some(DEFAULT));
    let profile = profiles.get(DEFAULT).unwrap();
    let session = profile.session.as_ref().unwrap();
    assert_eq!((session.token.reveal(), session.is_operator), ("geheim", true));
    assert_eq!((profile.ca_file.as_deref(), profile.user.as_str()), (Some(ca.as_path()), "ann"));
    // The next login needs to be told nothing.
    log_in("login", &file).await.unwrap();
    assert_eq!(server.asked()[1].body, server.asked()[0].body);
}

#[tokio::test]
async fn a_refused_login_says_why_and_leaves_the_profile_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = ProfileFile::in_directory(dir.path());
    let server = FakeServer::on_tcp(vec![accepted(), refused()]).await;
    let line = format!("login --server {} --account acme", server.url());
    log_in(&line, &file).await.unwrap();
    let before = file.read().unwrap();
    assert_eq!(before.get(DEFAULT).unwrap().user, "acme", "the first user has the account's name");
    let error = format!("{:#}", log_in(&line, &file).await.unwrap_err());
    assert_eq!(error, "cannot log in as acme of acme: Unauthorized: wrong user or password");
    assert_eq!(file.read().unwrap(), before);
}

#[tokio::test]
async fn what_is_known_of_one_server_is_not_taken_for_another() {
    let dir = tempfile::tempdir().unwrap();
    let file = ProfileFile::in_directory(dir.path());
    let (first, second) = (FakeServer::on_tcp(vec![accepted()]).await, FakeServer::on_tcp(vec![]).await);
    let error = log_in("login", &file).await.unwrap_err().to_string();
    assert!(error.contains("--server"), "{error}");
    log_in(&format!("login --server {} --account acme", first.url()), &file).await.unwrap();
    let error = log_in(&format!("login --server {}", second.url()), &file).await.unwrap_err().to_string();
    assert!(error.contains("--account"), "{error}");
    assert!(second.lines().is_empty());
}

#[tokio::test]
async fn a_logout_ends_the_token_and_keeps_it_when_the_controller_cannot_be_told() {
    let dir = tempfile::tempdir().unwrap();
    let file = ProfileFile::in_directory(dir.path());
    let failure = Reply { status: 503, headers: "", body: "busy".to_owned() };
    let done = Reply { status: 204, headers: "", body: String::new() };
    let server = FakeServer::on_tcp(vec![accepted(), failure, done]).await;
    log_in(&format!("login --server {} --account acme --profile p", server.url()), &file).await.unwrap();
    let (_, target) = login("login");
    let error = format!("{:#}", log_out(&target, &file).await.unwrap_err());
    assert!(error.contains("it is kept") && error.contains("503"), "{error}");
    log_out(&target, &file).await.unwrap();
    let asked = server.asked().pop().unwrap();
    assert_eq!(asked.line, "DELETE /v3/auth/tokens");
    for header in ["x-auth-token: geheim", "x-subject-token: geheim"] {
        assert!(asked.headers.contains(&header.to_owned()), "{header}: {asked:?}");
    }
    let profiles = file.read().unwrap();
    assert_eq!(profiles.get("p").unwrap().session, None);
    let error = log_out(&target, &file).await.unwrap_err().to_string();
    assert_eq!(error, "profile p is not logged in");
}
