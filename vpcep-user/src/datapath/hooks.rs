//! Attachments of a pass: looks at the interfaces, chooses hooks, has programs
//! put on, and says what became of each.

use std::collections::{BTreeMap, BTreeSet};

use vpcep_common::attachment::attachment_flags;

use super::DatapathError;
use super::attach::{self, Hook, TcKind};
use super::bpf::{Shared, State};
use crate::model::AttachmentId;
use crate::net::link::{Link, LinkError, Snapshot};
use crate::reconcile::compile::Attached;
use crate::reconcile::desired::{AttachMode, AttachmentState, Desired, DesiredAttachment, Report};

impl Shared {
    /// Puts programs on the interfaces of all attachments; what fails is in the
    /// report, and the others go on. In a full pass also where they should be
    /// already: someone may have taken them off.
    pub(super) fn attach(
        &self,
        state: &mut State,
        desired: &Desired,
        is_full: bool,
        report: &mut Report,
    ) -> Result<BTreeMap<AttachmentId, Attached>, DatapathError> {
        let snapshot = Snapshot::take()
            .map_err(|source| DatapathError::System { action: "look at the interfaces".into(), source })?;
        let mut attached = BTreeMap::new();
        let mut taken = BTreeSet::new();
        for (id, wanted) in &desired.attachments {
            let link = match Link::find(&wanted.interface, &snapshot) {
                Ok(link) => Ok(link),
                // Half a look is no reason to take a working VPC down.
                Err(LinkError::NoEthernet(_)) if state.attached.contains_key(id) => {
                    attached.insert(*id, state.attached[id].clone());
                    continue;
                }
                Err(error) => Err(error.to_string()),
            };
            let result = link.and_then(|link| {
                if !taken.insert((link.ifindex, wanted.vlan)) {
                    return Err(format!("{} already belongs to another attachment", wanted.interface));
                }
                self.attach_one(state, desired, wanted, link, is_full)
            });
            let outcome = match result {
                Ok((done, hook)) => {
                    attached.insert(*id, done);
                    AttachmentState::Active { hook: hook.into() }
                }
                Err(reason) => AttachmentState::Failed { reason },
            };
            report.attachments.insert(*id, outcome);
        }
        Ok(attached)
    }

    fn attach_one(
        &self,
        state: &mut State,
        desired: &Desired,
        wanted: &DesiredAttachment,
        link: Link,
        is_full: bool,
    ) -> Result<(Attached, &'static str), String> {
        let hook = self.choose(desired, wanted, &link)?;
        let known = state.hooks.get(&link.ifindex).copied();
        let (hook, tc) = match known {
            Some((known, tc)) if known == hook && !is_full => (known, tc),
            // Where auto fell back to TC, XDP is not tried again.
            Some((Hook::Tc, _)) if wanted.mode == AttachMode::Auto => {
                self.put_programs(state, wanted.mode, &link, Hook::Tc)?
            }
            _ => self.put_programs(state, wanted.mode, &link, hook)?,
        };
        if known != Some((hook, tc)) {
            tracing::info!(interface = link.name, driver = link.driver, hook = hook.name(tc), "attached");
        }
        // A NIC that does not tell sends redirected frames while it runs XDP.
        let takes_xdp_frames = link.takes_xdp_frames.unwrap_or(hook == Hook::Xdp && !link.is_virtual);
        let mut flags = 0;
        for (bit, is_set) in [
            (attachment_flags::TAKES_XDP_FRAMES, takes_xdp_frames),
            (attachment_flags::XDP_GENERIC, hook == Hook::XdpGeneric),
            (attachment_flags::HAS_XDP, hook != Hook::Tc),
            (attachment_flags::HOST_IPV6, link.has_configured_ipv6),
            (attachment_flags::HOST_IPV4, !link.addresses.is_empty()),
        ] {
            flags |= if is_set { bit } else { 0 };
        }
        let attached = Attached {
            ifindex: link.ifindex,
            mac: link.mac,
            flags,
            mtu: link.mtu,
            host_addresses: link.addresses,
        };
        Ok((attached, hook.name(tc)))
    }

    /// The hook for an attachment, given the others of its interface: tagged
    /// frames are handled at TC, and XDP in front would not see their tags.
    fn choose(&self, desired: &Desired, wanted: &DesiredAttachment, link: &Link) -> Result<Hook, String> {
        let hook = attach::choose(wanted.mode, wanted.vlan, link)?;
        let mut others = desired.attachments.values().filter(|other| other.interface == wanted.interface);
        if wanted.vlan.is_some() {
            let insists =
                |other: &DesiredAttachment| matches!(other.mode, AttachMode::Xdp | AttachMode::XdpGeneric);
            if others.any(|other| other.vlan.is_none() && insists(other)) {
                return Err(format!(
                    "{} has an attachment with XDP, which does not see VLAN tags: attach that one with --mode tc or \
                     auto first",
                    wanted.interface
                ));
            }
        } else if wanted.mode == AttachMode::Auto && others.any(|other| other.vlan.is_some()) {
            return Ok(Hook::Tc);
        }
        Ok(hook)
    }

    fn put_programs(
        &self,
        state: &mut State,
        mode: AttachMode,
        link: &Link,
        hook: Hook,
    ) -> Result<(Hook, TcKind), String> {
        let links = &self.links;
        let (hook, tc) = match links.attach(&mut state.ebpf, link, hook) {
            Ok(tc) => (hook, tc),
            Err(reason) if mode == AttachMode::Auto && hook == Hook::Xdp => {
                tracing::warn!(interface = link.name, reason, "XDP cannot be had here, using TC");
                (Hook::Tc, links.attach(&mut state.ebpf, link, Hook::Tc)?)
            }
            Err(reason) => return Err(reason),
        };
        state.hooks.insert(link.ifindex, (hook, tc));
        Ok((hook, tc))
    }
}
