//! Programs on interfaces: which hook, attached how, pinned where.
//!
//! Links are pinned as `links/<ifindex>-<hook>`, so that forwarding goes on
//! without this process; a restart takes the pinned link and replaces its
//! program in one step. Before 6.6 there is no tcx: the clsact filter stays on
//! the interface by itself.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aya::Ebpf;
use aya::programs::links::{FdLink, LinkError, PinnedLink};
use aya::programs::tc::{NlOptions, SchedClassifierLink, TcAttachOptions};
use aya::programs::xdp::XdpLink;
use aya::programs::{LinkOrder, ProgramError, SchedClassifier, TcAttachType, Xdp, XdpMode, tc};
use aya::sys::SyscallError;

use super::object::programs;
use crate::net::link::Link;
use crate::reconcile::desired::AttachMode;

/// Which programs an interface gets. TC is always there: behind XDP it takes
/// what XDP leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hook {
    /// TC alone.
    Tc,
    /// XDP in the driver, TC behind it.
    Xdp,
    /// XDP in the stack, TC behind it.
    XdpGeneric,
}

impl Hook {
    /// The name shown to users, given what TC turned out to be.
    #[must_use]
    pub fn name(self, tc: TcKind) -> &'static str {
        match (self, tc) {
            (Self::Xdp, _) => "xdp",
            (Self::XdpGeneric, _) => "xdp-generic",
            (Self::Tc, TcKind::Tcx) => "tcx",
            (Self::Tc, TcKind::Clsact) => "clsact",
        }
    }
}

/// How a TC program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TcKind {
    /// By a link (6.6 and later).
    Tcx,
    /// As a filter of the clsact qdisc.
    Clsact,
}

/// Chooses the hook for what the operator asked, or says why it cannot be and
/// what to do.
///
/// # Errors
/// A text for the operator.
pub fn choose(mode: AttachMode, vlan: Option<u16>, link: &Link) -> Result<Hook, String> {
    let wants_xdp = matches!(mode, AttachMode::Xdp | AttachMode::XdpGeneric);
    if let Some(vlan) = vlan {
        if wants_xdp {
            return Err(format!(
                "VLAN {vlan} of {}: tagged frames are handled at TC, use --mode tc or auto",
                link.name
            ));
        }
        return Ok(Hook::Tc);
    }
    match mode {
        AttachMode::Tc => Ok(Hook::Tc),
        AttachMode::XdpGeneric => Ok(Hook::XdpGeneric),
        AttachMode::Xdp if link.strips_vlan_tags && !link.is_virtual => Err(format!(
            "{} removes VLAN tags before XDP sees the frames, which would mix VLANs: run `ethtool -K {} rxvlan off`, \
             or use --mode tc",
            link.name, link.name
        )),
        AttachMode::Xdp => Ok(Hook::Xdp),
        AttachMode::Auto if link.is_virtual || link.strips_vlan_tags || !link.has_xdp => Ok(Hook::Tc),
        AttachMode::Auto => Ok(Hook::Xdp),
    }
}

/// Where links are pinned.
#[derive(Clone, Debug)]
pub struct Links {
    directory: PathBuf,
}

impl Links {
    /// Below a pin directory that exists.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new(pins: &Path) -> io::Result<Self> {
        let directory = pins.join("links");
        match std::fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(Self { directory }),
        }
    }

    fn path(&self, ifindex: u32, hook: &str) -> PathBuf {
        self.directory.join(format!("{ifindex}-{hook}"))
    }

    /// Puts the programs on an interface, or the new programs into the place of
    /// those that are there.
    ///
    /// # Errors
    /// A text for the operator.
    pub fn attach(&self, ebpf: &mut Ebpf, link: &Link, hook: Hook) -> Result<TcKind, String> {
        let kind = self.attach_tc(ebpf, link).map_err(|error| describe("TC", link, &error))?;
        for (other, name) in [(Hook::Xdp, "xdp"), (Hook::XdpGeneric, "xdpgeneric")] {
            let path = self.path(link.ifindex, name);
            if other == hook {
                self.attach_xdp(ebpf, &path, link, other).map_err(|error| describe("XDP", link, &error))?;
            } else {
                // A hook that is no longer wanted.
                let _ = std::fs::remove_file(path);
            }
        }
        Ok(kind)
    }

    fn attach_tc(&self, ebpf: &mut Ebpf, link: &Link) -> Result<TcKind, ProgramError> {
        let path = self.path(link.ifindex, "tc");
        let program = tc_program(ebpf)?;
        if let Some(pinned) = pinned(&path)? {
            let old = SchedClassifierLink::try_from(pinned).map_err(link_error)?;
            match program.attach_to_link(old) {
                Ok(id) => return keep(program.take_link(id)?, &path).map(|()| TcKind::Tcx),
                // The interface is gone, and with it what the link was on.
                Err(_) => remove(&path)?,
            }
        }
        let tcx = || TcAttachOptions::TcxOrder(LinkOrder::default());
        match patiently(|| program.attach_with_options(&link.name, TcAttachType::Ingress, tcx())) {
            Ok(id) => keep(program.take_link(id)?, &path).map(|()| TcKind::Tcx),
            Err(error) if is_unsupported(&error) => attach_clsact(program, link).map(|()| TcKind::Clsact),
            Err(error) => Err(error),
        }
    }

    fn attach_xdp(&self, ebpf: &mut Ebpf, path: &Path, link: &Link, hook: Hook) -> Result<(), ProgramError> {
        let program = xdp_program(ebpf)?;
        if let Some(pinned) = pinned(path)? {
            let old = XdpLink::try_from(pinned).map_err(link_error)?;
            match program.attach_to_link(old) {
                Ok(id) => return keep(program.take_link(id)?, path),
                Err(_) => remove(path)?,
            }
        }
        let mode = if hook == Hook::Xdp { XdpMode::Driver } else { XdpMode::Skb };
        let id = patiently(|| program.attach_to_if_index(link.ifindex, mode))?;
        keep(program.take_link(id)?, path)
    }

    /// Takes the programs off every interface that is not in `keep`.
    ///
    /// # Errors
    /// When a pin cannot be removed.
    pub fn detach_others(&self, keep: &BTreeSet<u32>) -> io::Result<()> {
        let wanted: Vec<String> = keep.iter().map(|ifindex| format!("{ifindex}-")).collect();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            if !wanted.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// A link whose pin was removed lets go of the interface a little later (the
/// kernel frees the inode after a grace period); until then the place is taken.
fn patiently<T>(mut attach: impl FnMut() -> Result<T, ProgramError>) -> Result<T, ProgramError> {
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 0..100 {
        match attach() {
            Err(ProgramError::SyscallError(SyscallError { io_error, .. }))
                if matches!(io_error.raw_os_error(), Some(libc::EEXIST | libc::EBUSY)) =>
            {
                std::thread::sleep(PAUSE);
            }
            result => return result,
        }
    }
    attach()
}

fn pinned(path: &Path) -> Result<Option<FdLink>, ProgramError> {
    match PinnedLink::from_pin(path) {
        Ok(link) => Ok(Some(FdLink::from(link))),
        Err(LinkError::SyscallError(SyscallError { io_error, .. }))
            if io_error.kind() == io::ErrorKind::NotFound =>
        {
            Ok(None)
        }
        Err(error) => Err(link_error(error)),
    }
}

/// Pins a link unless its pin is there already.
fn keep(link: impl TryInto<FdLink, Error = LinkError>, path: &Path) -> Result<(), ProgramError> {
    if path.exists() {
        return Ok(());
    }
    match link.try_into().map_err(link_error)?.pin(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(ProgramError::IOError(io::Error::other(error))),
    }
}

fn remove(path: &Path) -> Result<(), ProgramError> {
    std::fs::remove_file(path).map_err(ProgramError::IOError)
}

fn link_error(error: LinkError) -> ProgramError {
    ProgramError::IOError(io::Error::other(error))
}

/// Whether the kernel knows no tcx.
fn is_unsupported(error: &ProgramError) -> bool {
    matches!(error, ProgramError::SyscallError(SyscallError { io_error, .. })
        if io_error.raw_os_error() == Some(libc::EINVAL))
}

/// Where our filter of the clsact qdisc is, so that another run finds it: a
/// priority nobody else picks, and the first handle of it.
const CLSACT_PRIORITY: u16 = 0x7663;
const CLSACT_HANDLE: tc::TcHandle = tc::TcHandle::new(0, 1);

/// Puts the program into our filter, in place if it is there.
fn attach_clsact(program: &mut SchedClassifier, link: &Link) -> Result<(), ProgramError> {
    // Fails when the qdisc is there, which is what is wanted.
    let _ = tc::qdisc_add_clsact(&link.name);
    let ingress = TcAttachType::Ingress;
    let there = SchedClassifierLink::attached(&link.name, ingress, CLSACT_PRIORITY, CLSACT_HANDLE, None)
        .map_err(ProgramError::IOError)?;
    let id = match program.attach_to_link(there) {
        Ok(id) => id,
        Err(_) => {
            let place =
                NlOptions { priority: CLSACT_PRIORITY, handle: CLSACT_HANDLE, ..NlOptions::default() };
            program.attach_with_options(&link.name, ingress, TcAttachOptions::Netlink(place))?
        }
    };
    // The filter stays when this process ends; dropping the link would remove it.
    std::mem::forget(program.take_link(id)?);
    Ok(())
}

/// Takes our filter off an interface; one that is gone took it along.
pub fn detach_clsact(ifindex: u32) {
    let name = nix::net::if_::if_indextoname(ifindex).ok().and_then(|name| name.into_string().ok());
    if let Some(name) = name {
        let _ = tc::qdisc_detach_program(&name, TcAttachType::Ingress, programs::TC);
    }
}

fn tc_program(ebpf: &mut Ebpf) -> Result<&mut SchedClassifier, ProgramError> {
    ebpf.program_mut(programs::TC).ok_or(ProgramError::UnexpectedProgramType)?.try_into()
}

fn xdp_program(ebpf: &mut Ebpf) -> Result<&mut Xdp, ProgramError> {
    ebpf.program_mut(programs::XDP).ok_or(ProgramError::UnexpectedProgramType)?.try_into()
}

/// The chain of causes, and what usually helps.
fn describe(hook: &str, link: &Link, error: &ProgramError) -> String {
    let mut text = format!("cannot attach {hook} to {}: {error}", link.name);
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    if hook == "XDP" {
        text.push_str(&format!(
            " (XDP needs a driver that has it and an MTU within a page, here {} bytes; --mode tc works on any device)",
            link.mtu
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(is_virtual: bool, has_xdp: bool, strips_vlan_tags: bool) -> Link {
        Link {
            name: "eth1".into(),
            ifindex: 7,
            is_virtual,
            has_xdp,
            strips_vlan_tags,
            mtu: 1500,
            ..Link::default()
        }
    }

    #[test]
    fn the_hook_follows_mode_and_driver() {
        let veth = link(true, true, true);
        let nic = link(false, true, false);
        let stripping = link(false, true, true);
        let plain = link(false, false, false);
        for (name, mode, vlan, link, want) in [
            ("auto on veth", AttachMode::Auto, None, &veth, Ok(Hook::Tc)),
            ("auto on a NIC", AttachMode::Auto, None, &nic, Ok(Hook::Xdp)),
            ("auto where tags are stripped", AttachMode::Auto, None, &stripping, Ok(Hook::Tc)),
            ("auto without XDP", AttachMode::Auto, None, &plain, Ok(Hook::Tc)),
            ("auto on a VLAN", AttachMode::Auto, Some(7), &nic, Ok(Hook::Tc)),
            ("xdp on veth", AttachMode::Xdp, None, &veth, Ok(Hook::Xdp)),
            ("xdp where tags are stripped", AttachMode::Xdp, None, &stripping, Err("rxvlan off")),
            ("xdp on a VLAN", AttachMode::Xdp, Some(7), &nic, Err("--mode tc")),
            ("generic", AttachMode::XdpGeneric, None, &plain, Ok(Hook::XdpGeneric)),
            ("tc", AttachMode::Tc, Some(7), &nic, Ok(Hook::Tc)),
        ] {
            match (choose(mode, vlan, link), want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want, "{name}"),
                (Err(text), Err(want)) => assert!(text.contains(want), "{name}: {text}"),
                (got, want) => panic!("{name}: {got:?} instead of {want:?}"),
            }
        }
    }
}
