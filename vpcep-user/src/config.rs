//! How vpcepd is told what to do: flags, then `VPCEP_*` variables, then the
//! configuration file, then defaults.
//!
//! [`Flags`] is what was typed; [`Settings`] is what it means. A file has the
//! names of the flags as keys (`state-dir = "/srv/vpcep"`), and a key there is not
//! is an error that names it.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use serde::Deserialize;

use crate::api::tls::TlsFiles;
use crate::api::{PublicUrl, PublicUrlError};
use crate::audit::Retention;
use crate::datapath::{DatapathKind, DatapathSettings, EventSettings, Timeouts};
use crate::model::{Cidr, DnsDomain, ModelError, Region};

/// The vpcep controller: serves the API and keeps the data plane as the API says.
#[derive(Debug, Default, Parser)]
#[command(name = "vpcepd", version)]
pub struct Flags {
    /// Configuration file (TOML) with the names of these flags as keys
    #[arg(long, env = "VPCEP_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Remove everything vpcep has in the kernel, and exit
    #[arg(long)]
    pub detach: bool,
    /// Delete all access keys, because the key file is lost, and exit
    #[arg(long)]
    pub forget_access_keys: bool,
    #[command(flatten)]
    options: Options,
}

/// What both flags and file may set.
#[derive(Debug, Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct Options {
    /// Address of the API [default: 127.0.0.1:8774]
    #[arg(long, env = "VPCEP_LISTEN", value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Certificate (PEM) for HTTPS on that address, with its chain; SIGHUP reads it again
    #[arg(long, env = "VPCEP_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Private key (PEM) of the certificate
    #[arg(long, env = "VPCEP_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// Where callers reach the API, for the service catalog [default: where each of them did]
    #[arg(long, env = "VPCEP_PUBLIC_URL", value_name = "URL")]
    public_url: Option<String>,
    /// Listen on an address others can reach, without TLS [values: true, false]
    #[arg(long, env = "VPCEP_INSECURE", num_args = 0..=1, default_missing_value = "true", hide_possible_values = true)]
    insecure: Option<bool>,
    /// Most connections of one address to the API; loopback has no limit of its own [default: 128]
    #[arg(long, env = "VPCEP_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    max_connections_per_address: Option<u32>,
    /// Where the state is kept [default: /var/lib/vpcep]
    #[arg(long, env = "VPCEP_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Key that seals secrets in the store, made when there is none [default: secrets.key in the state directory]
    #[arg(long, env = "VPCEP_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// How long a token is worth something [default: 86400]
    #[arg(long, env = "VPCEP_TOKEN_TTL_SECS", value_name = "SECS")]
    token_ttl_secs: Option<u32>,
    /// Where the operator's socket vpcepd.sock is [default: /run/vpcep]
    #[arg(long, env = "VPCEP_RUN_DIR", value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Where programs and maps are pinned [default: /sys/fs/bpf/vpcep]
    #[arg(long, env = "VPCEP_BPFFS", value_name = "DIR")]
    bpffs: Option<PathBuf>,
    /// Region this controller serves, the first part of full service names [default: local]
    #[arg(long, env = "VPCEP_REGION", value_name = "NAME")]
    region: Option<String>,
    /// What names of endpoints end in [default: vpcep.internal]
    #[arg(long, env = "VPCEP_DNS_DOMAIN", value_name = "DOMAIN")]
    dns_domain: Option<String>,
    /// Data plane: bpf, or none for the control plane alone [default: bpf]
    #[arg(long, env = "VPCEP_DATAPATH", value_name = "KIND")]
    datapath: Option<DatapathKind>,
    /// Sources backends see, /26 to /32 inside 198.19.128.0/17 [default: 198.19.128.0/26]
    #[arg(long, env = "VPCEP_SNAT_RANGE", value_name = "CIDR")]
    snat_range: Option<String>,
    /// Most endpoints on this host [default: 16384]
    #[arg(long, env = "VPCEP_MAX_ENDPOINTS", value_name = "N")]
    max_endpoints: Option<u32>,
    /// Most sessions the index holds [default: 2097152]
    #[arg(long, env = "VPCEP_MAX_SESSIONS", value_name = "N")]
    max_sessions: Option<u32>,
    /// How long an idle established connection is kept [default: 7440]
    #[arg(long, env = "VPCEP_TCP_ESTABLISHED_SECS", value_name = "SECS")]
    tcp_established_secs: Option<u32>,
    /// How long an unfinished handshake is kept [default: 240]
    #[arg(long, env = "VPCEP_TCP_TRANSITORY_SECS", value_name = "SECS")]
    tcp_transitory_secs: Option<u32>,
    /// How long an unfinished handshake is kept at an endpoint that is at three quarters of its
    /// connections [default: 10]
    #[arg(long, env = "VPCEP_TCP_CROWDED_SECS", value_name = "SECS")]
    tcp_crowded_secs: Option<u32>,
    /// How long a connection closed by one side is kept [default: 240]
    #[arg(long, env = "VPCEP_TCP_CLOSING_SECS", value_name = "SECS")]
    tcp_closing_secs: Option<u32>,
    /// How long a connection closed by both sides is kept [default: 10]
    #[arg(long, env = "VPCEP_TCP_TIME_WAIT_SECS", value_name = "SECS")]
    tcp_time_wait_secs: Option<u32>,
    /// How long a reset connection is kept [default: 10]
    #[arg(long, env = "VPCEP_TCP_RESET_SECS", value_name = "SECS")]
    tcp_reset_secs: Option<u32>,
    /// How long idle UDP is kept when both sides have sent [default: 300]
    #[arg(long, env = "VPCEP_UDP_SECS", value_name = "SECS")]
    udp_secs: Option<u32>,
    /// How long idle UDP is kept when only the client has sent [default: 120]
    #[arg(long, env = "VPCEP_UDP_UNANSWERED_SECS", value_name = "SECS")]
    udp_unanswered_secs: Option<u32>,
    /// How long a DNS query is kept without an answer [default: 30]
    #[arg(long, env = "VPCEP_DNS_QUERY_SECS", value_name = "SECS")]
    dns_query_secs: Option<u32>,
    /// Leave ping to endpoint addresses unanswered [values: true, false]
    #[arg(long, env = "VPCEP_NO_ECHO", num_args = 0..=1, default_missing_value = "true", hide_possible_values = true)]
    no_echo: Option<bool>,
    /// ICMP errors (refused, out of hops, too big) that an endpoint's senders get in a second at most; 0 makes none [default: 1000]
    #[arg(long, env = "VPCEP_ICMP_ERRORS", value_name = "N")]
    icmp_errors: Option<u32>,
    /// How long a source port rests before it is used again [default: 120]
    #[arg(long, env = "VPCEP_PORT_REST_SECS", value_name = "SECS")]
    port_rest_secs: Option<u32>,
    /// Most events of one kind (sessions opened, closed, packets refused) that one processor reports in a second; 0 reports none [default: 10000]
    #[arg(long, env = "VPCEP_EVENT_RATE", value_name = "N")]
    event_rate: Option<u32>,
    /// Memory for events that are reported and not read yet, KiB, a power of two [default: 1024]
    #[arg(long, env = "VPCEP_EVENT_RING_KIB", value_name = "KIB")]
    event_ring_kib: Option<u32>,
    /// File for what happens to sessions, a JSON object a line [default: none]
    #[arg(long, env = "VPCEP_FLOW_LOG", value_name = "FILE")]
    flow_log: Option<PathBuf>,
    /// Size at which the flow log is put aside, MiB [default: 64]
    #[arg(long, env = "VPCEP_FLOW_LOG_MAX_MIB", value_name = "MIB")]
    flow_log_max_mib: Option<u32>,
    /// Flow logs put aside that are kept [default: 10]
    #[arg(long, env = "VPCEP_FLOW_LOG_FILES", value_name = "N")]
    flow_log_files: Option<u32>,
    /// Size at which the audit log is put aside, MiB [default: 64]
    #[arg(long, env = "VPCEP_AUDIT_MAX_MIB", value_name = "MIB")]
    audit_max_mib: Option<u32>,
    /// Audit logs put aside that are kept [default: 10]
    #[arg(long, env = "VPCEP_AUDIT_FILES", value_name = "N")]
    audit_files: Option<u32>,
    /// What is logged, such as info, debug or vpcep=debug,info [default: info]
    #[arg(long, env = "VPCEP_LOG", value_name = "FILTER")]
    log: Option<String>,
}

/// What vpcepd works with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Address of the API; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Certificate and key; `None` for plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Where callers reach the API; `None`: where each of them did.
    pub public_url: Option<PublicUrl>,
    /// Most connections of one address to the API.
    pub max_connections_per_address: u32,
    /// Where the state is kept.
    pub state_dir: PathBuf,
    /// The key that seals secrets in the store.
    pub key_file: PathBuf,
    /// How long a new token is worth something.
    pub token_lifetime: Duration,
    /// Where the operator's socket is.
    pub run_dir: PathBuf,
    /// Region this controller serves.
    pub region: Region,
    /// What names of endpoints end in.
    pub dns_domain: DnsDomain,
    /// What is logged.
    pub log: String,
    /// How much of the audit log is kept.
    pub audit: Retention,
    /// The flow log, and how much of it is kept.
    pub flow_log: Option<(PathBuf, Retention)>,
    /// The data plane's part.
    pub datapath: DatapathSettings,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The file cannot be understood.
    #[error("cannot understand configuration file {}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// A value that cannot exist.
    #[error("bad setting {setting}")]
    Value {
        /// The setting.
        setting: &'static str,
        /// What is wrong with it.
        #[source]
        source: ModelError,
    },
    /// The source range lies outside of the reserved range or has the wrong size.
    #[error(
        "bad setting snat-range {0}: expected a prefix of /26 to /32 inside {reserved}",
        reserved = Cidr::RESERVED
    )]
    SnatRange(Cidr),
    /// A ring buffer of a size the kernel does not make.
    #[error("bad setting event-ring-kib {0}: expected a power of two of 64 to 1048576")]
    EventRing(u32),
    /// A flow log that would stay empty.
    #[error("bad setting flow-log {}: event-rate is 0, which reports no events", .0.display())]
    SilentFlowLog(PathBuf),
    /// A number that cannot be zero.
    #[error("bad setting {0} 0: expected 1 or more")]
    Zero(&'static str),
    /// The API would be readable by others on the way.
    #[error(
        "refusing to listen on {0} without TLS: tokens would cross the network in clear; give tls-cert and tls-key, listen on a loopback address behind a TLS proxy, or give --insecure"
    )]
    Insecure(SocketAddr),
    /// A certificate without a key, or the other way round.
    #[error("bad setting {given}: {missing} must be given as well")]
    TlsHalf {
        /// The setting that is there.
        given: &'static str,
        /// The setting that is not.
        missing: &'static str,
    },
    /// Not a URL of the API.
    #[error("bad setting public-url")]
    PublicUrl(#[from] PublicUrlError),
}

impl Flags {
    /// What the flags mean, with the file they name.
    ///
    /// # Errors
    /// When the file cannot be read or a value cannot be used.
    pub fn settings(self) -> Result<Settings, ConfigError> {
        let file = self.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        self.options.or(file).resolve()
    }
}

fn read_file(path: &Path) -> Result<Options, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
    toml::from_str(&text).map_err(|source| ConfigError::Parse { path: path.into(), source: Box::new(source) })
}

impl Options {
    /// These, and what they leave out from `file`.
    fn or(self, file: Self) -> Self {
        Self {
            listen: self.listen.or(file.listen),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            public_url: self.public_url.or(file.public_url),
            insecure: self.insecure.or(file.insecure),
            max_connections_per_address: self
                .max_connections_per_address
                .or(file.max_connections_per_address),
            state_dir: self.state_dir.or(file.state_dir),
            key_file: self.key_file.or(file.key_file),
            token_ttl_secs: self.token_ttl_secs.or(file.token_ttl_secs),
            run_dir: self.run_dir.or(file.run_dir),
            bpffs: self.bpffs.or(file.bpffs),
            region: self.region.or(file.region),
            dns_domain: self.dns_domain.or(file.dns_domain),
            datapath: self.datapath.or(file.datapath),
            snat_range: self.snat_range.or(file.snat_range),
            max_endpoints: self.max_endpoints.or(file.max_endpoints),
            max_sessions: self.max_sessions.or(file.max_sessions),
            tcp_established_secs: self.tcp_established_secs.or(file.tcp_established_secs),
            tcp_transitory_secs: self.tcp_transitory_secs.or(file.tcp_transitory_secs),
            tcp_crowded_secs: self.tcp_crowded_secs.or(file.tcp_crowded_secs),
            tcp_closing_secs: self.tcp_closing_secs.or(file.tcp_closing_secs),
            tcp_time_wait_secs: self.tcp_time_wait_secs.or(file.tcp_time_wait_secs),
            tcp_reset_secs: self.tcp_reset_secs.or(file.tcp_reset_secs),
            udp_secs: self.udp_secs.or(file.udp_secs),
            udp_unanswered_secs: self.udp_unanswered_secs.or(file.udp_unanswered_secs),
            dns_query_secs: self.dns_query_secs.or(file.dns_query_secs),
            no_echo: self.no_echo.or(file.no_echo),
            icmp_errors: self.icmp_errors.or(file.icmp_errors),
            port_rest_secs: self.port_rest_secs.or(file.port_rest_secs),
            event_rate: self.event_rate.or(file.event_rate),
            event_ring_kib: self.event_ring_kib.or(file.event_ring_kib),
            flow_log: self.flow_log.or(file.flow_log),
            flow_log_max_mib: self.flow_log_max_mib.or(file.flow_log_max_mib),
            flow_log_files: self.flow_log_files.or(file.flow_log_files),
            audit_max_mib: self.audit_max_mib.or(file.audit_max_mib),
            audit_files: self.audit_files.or(file.audit_files),
            log: self.log.or(file.log),
        }
    }

    fn resolve(self) -> Result<Settings, ConfigError> {
        let listen = self.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8774)));
        let tls = tls_files(self.tls_cert.clone(), self.tls_key.clone())?;
        if tls.is_none() && !listen.ip().is_loopback() && !self.insecure.unwrap_or(false) {
            return Err(ConfigError::Insecure(listen));
        }
        let timeouts = self.timeouts()?;
        let events = self.events()?;
        let flow_log = self.flow_log(events)?;
        let region = self.region.as_deref().unwrap_or("local");
        let state_dir = self.state_dir.unwrap_or_else(|| "/var/lib/vpcep".into());
        let token_ttl_secs = positive("token-ttl-secs", self.token_ttl_secs, 86_400)?;
        Ok(Settings {
            listen,
            tls,
            public_url: self.public_url.as_deref().map(str::parse).transpose()?,
            max_connections_per_address: positive(
                "max-connections-per-address",
                self.max_connections_per_address,
                128,
            )?,
            dns_domain: dns_domain(self.dns_domain.as_deref())?,
            region: region.parse().map_err(|source| ConfigError::Value { setting: "region", source })?,
            log: self.log.unwrap_or_else(|| "info".into()),
            audit: Retention {
                max_bytes: u64::from(positive("audit-max-mib", self.audit_max_mib, 64)?) << 20,
                files: positive("audit-files", self.audit_files, 10)?,
            },
            flow_log,
            datapath: DatapathSettings {
                owner: 0,
                kind: self.datapath.unwrap_or_default(),
                snat_range: snat_range(self.snat_range.as_deref().unwrap_or("198.19.128.0/26"))?,
                max_endpoints: positive("max-endpoints", self.max_endpoints, 16_384)?,
                no_echo: self.no_echo.unwrap_or(false),
                icmp_errors: self.icmp_errors.unwrap_or(1_000),
                events,
                max_sessions: positive("max-sessions", self.max_sessions, 2_097_152)?,
                bpffs: self.bpffs.unwrap_or_else(|| "/sys/fs/bpf/vpcep".into()),
                timeouts,
            },
            key_file: self.key_file.unwrap_or_else(|| state_dir.join("secrets.key")),
            token_lifetime: Duration::from_secs(token_ttl_secs.into()),
            state_dir,
            run_dir: self.run_dir.unwrap_or_else(|| "/run/vpcep".into()),
        })
    }

    fn events(&self) -> Result<EventSettings, ConfigError> {
        let default = EventSettings::default();
        let kib = self.event_ring_kib.unwrap_or(default.ring_bytes >> 10);
        // What the kernel takes: whole pages, of up to 64 KiB, a power of two of them.
        if !(64..=1 << 20).contains(&kib) || !kib.is_power_of_two() {
            return Err(ConfigError::EventRing(kib));
        }
        Ok(EventSettings { rate: self.event_rate.unwrap_or(default.rate), ring_bytes: kib << 10 })
    }

    fn flow_log(&self, events: EventSettings) -> Result<Option<(PathBuf, Retention)>, ConfigError> {
        let retention = Retention {
            max_bytes: u64::from(positive("flow-log-max-mib", self.flow_log_max_mib, 64)?) << 20,
            files: positive("flow-log-files", self.flow_log_files, 10)?,
        };
        match &self.flow_log {
            Some(path) if events.rate == 0 => Err(ConfigError::SilentFlowLog(path.clone())),
            path => Ok(path.clone().map(|path| (path, retention))),
        }
    }

    fn timeouts(&self) -> Result<Timeouts, ConfigError> {
        let default = Timeouts::default();
        let secs = |setting, given: Option<u32>, default: Duration| match given {
            None => Ok(default),
            Some(secs) => positive(setting, Some(secs), secs).map(|secs| Duration::from_secs(secs.into())),
        };
        Ok(Timeouts {
            tcp_established: secs(
                "tcp-established-secs",
                self.tcp_established_secs,
                default.tcp_established,
            )?,
            tcp_transitory: secs("tcp-transitory-secs", self.tcp_transitory_secs, default.tcp_transitory)?,
            tcp_crowded: secs("tcp-crowded-secs", self.tcp_crowded_secs, default.tcp_crowded)?,
            tcp_closing: secs("tcp-closing-secs", self.tcp_closing_secs, default.tcp_closing)?,
            tcp_time_wait: secs("tcp-time-wait-secs", self.tcp_time_wait_secs, default.tcp_time_wait)?,
            tcp_reset: secs("tcp-reset-secs", self.tcp_reset_secs, default.tcp_reset)?,
            udp: secs("udp-secs", self.udp_secs, default.udp)?,
            udp_unanswered: secs("udp-unanswered-secs", self.udp_unanswered_secs, default.udp_unanswered)?,
            dns_query: secs("dns-query-secs", self.dns_query_secs, default.dns_query)?,
            port_rest: secs("port-rest-secs", self.port_rest_secs, default.port_rest)?,
        })
    }
}

fn positive(setting: &'static str, given: Option<u32>, default: u32) -> Result<u32, ConfigError> {
    match given.unwrap_or(default) {
        0 => Err(ConfigError::Zero(setting)),
        value => Ok(value),
    }
}

fn tls_files(cert: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, ConfigError> {
    match (cert, key) {
        (None, None) => Ok(None),
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert, key })),
        (Some(_), None) => Err(ConfigError::TlsHalf { given: "tls-cert", missing: "tls-key" }),
        (None, Some(_)) => Err(ConfigError::TlsHalf { given: "tls-key", missing: "tls-cert" }),
    }
}

/// What names of endpoints end in.
fn dns_domain(text: Option<&str>) -> Result<DnsDomain, ConfigError> {
    let parsed = text.map(str::parse).transpose();
    let parsed = parsed.map_err(|source| ConfigError::Value { setting: "dns-domain", source })?;
    Ok(parsed.unwrap_or_default())
}

fn snat_range(text: &str) -> Result<Cidr, ConfigError> {
    let range: Cidr = text.parse().map_err(|source| ConfigError::Value { setting: "snat-range", source })?;
    if !Cidr::RESERVED.covers(range) || range.prefix_len() < 26 {
        return Err(ConfigError::SnatRange(range));
    }
    Ok(range)
}

#[cfg(test)]
mod tests;
