use super::*;
use crate::api::serve::Limits;
use crate::telemetry::Chain;

fn settings(args: &[&str]) -> Result<Settings, String> {
    let args = std::iter::once("vpcepd").chain(args.iter().copied());
    let flags = Flags::try_parse_from(args).map_err(|error| error.to_string())?;
    flags.settings().map_err(|error| Chain(&error).to_string())
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vpcepd.toml");
    std::fs::write(&path, text).unwrap();
    (dir, path.to_str().unwrap().into())
}

#[test]
fn defaults_are_those_of_the_help() {
    let settings = settings(&[]).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8774");
    assert_eq!(settings.state_dir, Path::new("/var/lib/vpcep"));
    assert_eq!(settings.key_file, Path::new("/var/lib/vpcep/secrets.key"));
    assert_eq!(settings.token_lifetime, Duration::from_secs(86_400));
    assert_eq!(settings.max_connections_per_address as usize, Limits::TCP.per_address);
    assert_eq!(settings.region.as_str(), "local");
    assert_eq!(settings.dns_domain, DnsDomain::default());
    assert_eq!(settings.datapath.kind, DatapathKind::Bpf);
    assert_eq!(settings.datapath.snat_range.to_string(), "198.19.128.0/26");
    assert_eq!(settings.datapath.timeouts, Timeouts::default());
    assert_eq!(settings.datapath.events, EventSettings { rate: 10_000, ring_bytes: 1 << 20 });
    assert_eq!(settings.audit, Retention { max_bytes: 64 << 20, files: 10 });
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let (_dir, path) = file("region = \"a\"\nmax-endpoints = 7\ndatapath = \"none\"\ntcp-reset-secs = 3\n");
    let settings = settings(&["--config", &path, "--region", "b"]).unwrap();
    assert_eq!(settings.region.as_str(), "b");
    assert_eq!(settings.datapath.max_endpoints, 7);
    assert_eq!(settings.datapath.kind, DatapathKind::None);
    assert_eq!(settings.datapath.timeouts.tcp_reset, Duration::from_secs(3));
    assert_eq!(settings.datapath.max_sessions, 2_097_152);
}

#[test]
fn what_cannot_be_used_is_named() {
    let (_dir, unknown) = file("colour = \"red\"\n");
    for (args, part) in [
        (&["--config", unknown.as_str()][..], "unknown field `colour`"),
        (&["--config", "/nonexistent"][..], "cannot read configuration file /nonexistent"),
        (&["--listen", "0.0.0.0:80"][..], "refusing to listen on 0.0.0.0:80"),
        (&["--tls-cert", "c"][..], "bad setting tls-cert: tls-key must be given as well"),
        (&["--tls-key", "k"][..], "bad setting tls-key: tls-cert must be given as well"),
        (&["--public-url", "x.example"][..], "bad setting public-url: \"x.example\" is not of the form"),
        (
            &["--snat-range", "198.19.128.0/25"][..],
            "bad setting snat-range 198.19.128.0/25: expected a prefix",
        ),
        (&["--snat-range", "10.0.0.0/26"][..], "inside 198.19.128.0/17"),
        (&["--snat-range", "198.19.128.1/26"][..], "the network is 198.19.128.0/26"),
        (&["--max-endpoints", "0"][..], "bad setting max-endpoints 0"),
        (&["--tcp-reset-secs", "0"][..], "bad setting tcp-reset-secs 0"),
        (&["--event-ring-kib", "100"][..], "bad setting event-ring-kib 100: expected a power of two"),
        (&["--flow-log", "f", "--event-rate", "0"][..], "bad setting flow-log f: event-rate is 0"),
        (&["--flow-log-files", "0"][..], "bad setting flow-log-files 0"),
        (&["--event-ring-kib", "32"][..], "of 64 to 1048576"),
        (&["--audit-max-mib", "0"][..], "bad setting audit-max-mib 0"),
        (&["--audit-files", "0"][..], "bad setting audit-files 0"),
        (&["--token-ttl-secs", "0"][..], "bad setting token-ttl-secs 0"),
        (&["--max-connections-per-address", "0"][..], "bad setting max-connections-per-address 0"),
        (&["--region", "a.b"][..], "bad setting region"),
        (&["--dns-domain", "a..b"], "bad setting dns-domain"),
    ] {
        let error = settings(args).unwrap_err();
        assert!(error.contains(part), "{args:?}: {error}");
    }
}

#[test]
fn another_address_needs_tls_or_an_explicit_word() {
    assert!(settings(&["--listen", "0.0.0.0:80", "--insecure"]).is_ok());
    assert!(settings(&["--listen", "[::1]:80"]).is_ok());
    let tls = settings(&["--listen", "0.0.0.0:80", "--tls-cert", "c", "--tls-key", "k"]).unwrap().tls;
    assert_eq!(tls, Some(TlsFiles { cert: "c".into(), key: "k".into() }));
}
