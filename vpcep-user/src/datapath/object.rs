//! The eBPF object that `build.rs` compiled, embedded.

/// ELF image of the data plane.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/vpcep-bpf"));

/// Program names in the object.
pub mod programs {
    /// The XDP hook.
    pub const XDP: &str = "vpcep_xdp";
    /// The TC hook.
    pub const TC: &str = "vpcep_tc";
    /// Frees idle sessions; run, never attached.
    pub const REAP: &str = "vpcep_reap";
}
