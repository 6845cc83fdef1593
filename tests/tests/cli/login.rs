//! Logins over TCP: what `vpcep` does with nothing but a profile.

use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Result, ensure};

use crate::daemon::Daemon;
use crate::{REFUSED, Ran, ran, vpcep, vpcep_at};

const PASSWORD: &str = "correct horse battery";

/// Somebody at another machine.
struct Remote {
    config: PathBuf,
}

impl Remote {
    /// Types a line; what is asked for is answered with a password.
    fn types(&self, line: &str, password: &str) -> Result<Ran> {
        let file = self.config.with_extension("password");
        writeln!(File::create(&file)?, "{password}")?;
        ran(vpcep_at(&self.config, line)?.stdin(Stdio::from(File::open(&file)?)))
    }

    fn done(&self, line: &str) -> Result<String> {
        let ran = self.types(line, PASSWORD)?;
        ensure!(ran.code == Some(0), "vpcep {line}: {ran:?}");
        Ok(ran.stdout)
    }

    fn refused(&self, line: &str, part: &str) -> Result<()> {
        self.refused_with(line, PASSWORD, part)
    }

    fn refused_with(&self, line: &str, password: &str, part: &str) -> Result<()> {
        let ran = self.types(line, password)?;
        ensure!(ran.code == Some(REFUSED) && ran.stderr.contains(part), "vpcep {line}: not {part}: {ran:?}");
        Ok(())
    }
}

#[test]
fn a_login_is_all_that_a_user_of_another_machine_needs() -> Result<()> {
    let daemon = Daemon::start()?;
    let remote = Remote { config: daemon.socket().with_file_name("remote") };
    let operator = |line: &str| {
        let ran = ran(vpcep_at(&remote.config, line)?
            .env("VPCEP_SOCKET", daemon.socket())
            .stdin(Stdio::from(File::open(remote.config.with_extension("password"))?)))?;
        ensure!(ran.code == Some(0), "vpcep {line}: {ran:?}");
        Ok(ran.stdout)
    };
    // The one that is piped in from here on.
    remote.types("profile list", PASSWORD)?;
    operator("account create acme")?;
    operator("--account acme user create ann --password-stdin")?;
    operator("user create root --role operator --password-stdin")?;

    let server = format!("http://127.0.0.1:{}", daemon.port);
    let login = format!("login --server {server} --account acme --user ann --password-stdin");
    let wrong = remote.types(&login, "wrong")?;
    ensure!(
        wrong.code == Some(REFUSED) && wrong.stderr.contains("cannot log in as ann of acme"),
        "{wrong:?}"
    );
    remote.done(&login)?;
    remote.done("vpc create net1 --cidr 10.0.0.0/24")?;
    ensure!(remote.done("vpc list")?.contains("net1"));
    remote.refused("account list", "EndPoint.0004")?;

    // An operator over TCP is the operator, in everyone's account.
    remote.done(&format!(
        "--profile op login --server {server} --account operator --user root --password-stdin"
    ))?;
    ensure!(remote.done("profile list")?.contains("*        op"), "the last login is the current profile");
    ensure!(remote.done("account list")?.contains("acme"));
    ensure!(remote.done("--account acme vpc list")?.contains("net1"));
    remote.done("--account acme vpc create net2 --cidr 10.0.0.0/24")?;
    let audit = remote.done("audit")?;
    ensure!(audit.contains("root@operator") && audit.contains("ann@acme"), "{audit}");

    // Another password ends the tokens there are, whoever sets it; so does a logout its own.
    let own = "--profile default user change-password --password-stdin";
    remote.refused_with(own, "wrong\nanother password", "vpcep: cannot change the password of ann: ")?;
    let changed = remote.types(own, &format!("{PASSWORD}\nanother password"))?;
    ensure!(changed.code == Some(0), "{changed:?}");
    remote.refused("--profile default vpc list", "`vpcep login` gets another")?;
    let again = format!("--profile default {login}");
    remote.refused_with(&again, PASSWORD, "cannot log in as ann of acme")?;
    let logged_in = remote.types(&again, "another password")?;
    ensure!(logged_in.code == Some(0), "{logged_in:?}");
    remote.done("profile use op")?;
    remote.done("user set-password ann@acme --password-stdin")?;
    remote.refused("--profile default vpc list", "`vpcep login` gets another")?;
    remote.done("logout")?;
    remote.refused("vpc list", "profile op is not logged in: `vpcep login --profile op`")?;
    remote.done("profile use default")?;
    remote.done("login --password-stdin")?;
    ensure!(remote.done("vpc list")?.contains("net1"));

    let file = remote.config.join("vpcep/config.toml");
    let mode = std::fs::metadata(&file)?.permissions().mode() & 0o777;
    ensure!(mode == 0o600, "{mode:o}");
    let log = daemon.log();
    ensure!(!log.contains(PASSWORD), "a password is in the log: {log}");
    let status = vpcep(&daemon.socket(), "status")?;
    ensure!(status.code == Some(0), "{status:?}");
    Ok(())
}
