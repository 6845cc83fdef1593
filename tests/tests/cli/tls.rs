//! HTTPS with certificates of one's own authority, and a change of both.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use vpcep_tests::wait::wait_until;

use crate::daemon::Daemon;
use crate::{REFUSED, Ran, Scratch, ran, vpcep, vpcep_at};

/// A certificate for 127.0.0.1, PEM.
pub struct Certificate {
    pub pem: String,
    pub key: String,
}

/// A certificate of a new authority, and the authority's own.
fn certificate() -> Result<(Certificate, String)> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let signed = CertificateParams::new(["127.0.0.1".to_owned()])?.signed_by(&key, &authority)?;
    Ok((Certificate { pem: signed.pem(), key: key.serialize_pem() }, authority.pem()))
}

#[test]
fn a_certificate_is_changed_while_vpcepd_runs() -> Result<()> {
    let ((first, old_ca), (second, new_ca)) = (certificate()?, certificate()?);
    let daemon = Daemon::with_tls(&first)?;
    let home = Scratch::new("remote")?;
    let (old, new, password) = (home.0.join("old.pem"), home.0.join("new.pem"), home.0.join("password"));
    std::fs::write(&old, old_ca)?;
    std::fs::write(&new, new_ca)?;
    std::fs::write(&password, "correct horse battery\n")?;
    let remote = |line: &str| -> Result<Ran> {
        ran(vpcep_at(&home.0, line)?.stdin(Stdio::from(std::fs::File::open(&password)?)))
    };
    for line in ["account create acme", "user set-password acme@acme --password-stdin"] {
        let mut operator = vpcep_at(&home.0, line)?;
        operator.env("VPCEP_SOCKET", daemon.socket()).stdin(Stdio::from(std::fs::File::open(&password)?));
        let made = ran(&mut operator)?;
        ensure!(made.code == Some(0), "vpcep {line}: {made:?}");
    }

    let server = format!("https://127.0.0.1:{}", daemon.port);
    let login =
        format!("login --server {server} --account acme --ca-file {} --password-stdin", old.display());
    let logged_in = remote(&login)?;
    ensure!(logged_in.code == Some(0) && logged_in.stderr.is_empty(), "{logged_in:?}");
    let listed = remote("vpc list")?;
    ensure!(listed.code == Some(0), "{listed:?}");
    let by_new = format!("--ca-file {} vpc list", new.display());
    let early = remote(&by_new)?;
    ensure!(early.code == Some(REFUSED) && early.stderr.contains("certificate"), "{early:?}");

    daemon.change_certificate(&second)?;
    wait_until("who trusts the new authority gets through", Duration::from_secs(10), || {
        Ok(remote(&by_new)?.code == Some(0))
    })
    .with_context(|| daemon.log())?;
    let late = remote("vpc list")?;
    ensure!(late.code == Some(REFUSED) && late.stderr.contains("certificate"), "{late:?}");
    Ok(())
}

#[test]
fn a_token_in_clear_is_warned_of_but_on_this_machine() -> Result<()> {
    let daemon = Daemon::start()?;
    // To Linux 0.0.0.0 is this machine as well; nobody else would know.
    for (host, is_warned) in [("127.0.0.1", false), ("0.0.0.0", true)] {
        let line = format!("--server http://{host}:{} --token t vpc list", daemon.port);
        let ran = vpcep(&daemon.socket(), &line)?;
        ensure!(ran.code == Some(REFUSED) && ran.stderr.contains("EndPoint.0003"), "{ran:?}");
        let warning = format!("warning: the token crosses the network in clear, http://{host}");
        ensure!(ran.stderr.contains(&warning) == is_warned, "{ran:?}");
    }
    Ok(())
}
