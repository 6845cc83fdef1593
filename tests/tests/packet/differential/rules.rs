//! Why ours and the kernel's may differ.

use std::net::Ipv4Addr;

use vpcep_common::tcp::flags::{ACK, SYN};
use vpcep_common::tcp::{Side, State};
use vpcep_tests::packet::{Datagram, TCP, checksum};

use super::frames::{Canonical, ICMP_LEN};
use crate::fuzz::is_sound;
use crate::icmp::ICMP;
use crate::stage::{CONSUMER, PROVIDER};

/// One packet that became of it what it did not become at the other.
pub struct Difference<'a> {
    /// Who sent it.
    pub side: Side,
    /// As it came.
    pub frame: &'a [u8],
    /// Of our session before it came.
    pub state: Option<State>,
    /// Whether a packet of the conversation has run out of hops.
    pub has_lost_one: bool,
    /// What ours forwarded.
    pub ours: Option<Canonical>,
    /// What the kernel forwarded.
    pub kernels: Option<Canonical>,
}

impl Difference<'_> {
    fn packet(&self) -> Option<Datagram> {
        Datagram::parse(self.frame)
    }

    fn only_ours(&self) -> bool {
        self.ours.is_some() && self.kernels.is_none()
    }

    fn only_kernels(&self) -> bool {
        self.ours.is_none() && self.kernels.is_some()
    }

    /// Whether both forwarded it, and the packets are the same once this is done to them.
    fn is_same_after(&self, leave_out: impl Fn(&mut Datagram)) -> bool {
        let [Some(mut ours), Some(mut kernels)] =
            [&self.ours, &self.kernels].map(|out| out.as_ref().map(|out| out.packet.clone()))
        else {
            return false;
        };
        leave_out(&mut ours);
        leave_out(&mut kernels);
        ours == kernels
    }

    fn flags(&self) -> Option<u8> {
        self.packet()
            .filter(|packet| packet.protocol == TCP)
            .and_then(|packet| packet.payload.get(13).copied())
    }
}

/// A kind of difference that is meant to be.
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// Why it is so.
    pub reason: &'static str,
    /// Whether a difference is one of this kind.
    pub explains: fn(&Difference<'_>) -> bool,
}

/// All of them; the first that explains a difference is taken.
pub const RULES: [Rule; 10] = [
    Rule {
        name: "sum",
        reason: "nf_conntrack judges TCP and UDP sums; that is the receiver's (RFC 9293 section 3.1, RFC 768), and a sum that is wrong stays as wrong as it was",
        explains: |difference| {
            difference.only_ours() && difference.packet().is_some_and(|packet| !is_sound(&packet))
        },
    },
    Rule {
        name: "options",
        reason: "the kernel writes its address into IP options that ask for it, as a router; we are none (RFC 1812 section 4.2.2.1), and they pass as they are",
        explains: |difference| {
            let has_options =
                difference.packet().is_some_and(|packet| packet.options.iter().any(|byte| *byte != NOTHING));
            has_options
                && (difference.only_ours() || difference.is_same_after(|packet| packet.options.clear()))
        },
    },
    Rule {
        name: "flags",
        reason: "nf_conntrack drops flags that nobody sends together; what they mean is the receiver's (RFC 9293 section 3.10)",
        explains: |difference| {
            difference.only_ours() && difference.flags().is_some_and(|flags| !is_usual(flags))
        },
    },
    Rule {
        name: "opened by the backend",
        reason: "only the consumer opens: a SYN of the backend passes as the answer to one, and as nothing else (RFC 5382 REQ-2a is not kept)",
        explains: |difference| {
            let is_syn = difference.flags().is_some_and(|flags| flags & SYN != 0);
            difference.only_kernels() && difference.side == Side::Backend && is_syn
        },
    },
    Rule {
        name: "answer of a client",
        reason: "nf_conntrack knows no SYN-ACK of who opened; it changes nothing here (RFC 7857 section 2), and the backend answers it by a challenge (RFC 9293 section 3.10.7.4)",
        explains: |difference| {
            let is_answer = difference.flags().is_some_and(|flags| flags & (SYN | ACK) == SYN | ACK);
            difference.only_ours() && difference.side == Side::Client && is_answer
        },
    },
    Rule {
        name: "hops",
        reason: "nf_conntrack follows what then runs out of hops, such as a reset; ours follows what it forwards",
        explains: |difference| difference.only_ours() && difference.has_lost_one,
    },
    Rule {
        name: "refused before",
        reason: "nf_conntrack forgets a refused connection at once; ours keeps it for what is late (RFC 7857 section 2)",
        explains: |difference| difference.only_ours() && difference.state == Some(State::TimeWait),
    },
    Rule {
        name: "sum inside",
        reason: "an ICMP error about a packet with a broken IP header is dropped (RFC 5508 REQ-3b); nf_conntrack does not look",
        explains: |difference| {
            difference.only_kernels() && difference.packet().is_some_and(|packet| is_broken_inside(&packet))
        },
    },
    Rule {
        name: "source",
        reason: "the kernel forwards nothing from an address that no host has (RFC 1812 section 5.3.7); here the receiver never sees it, and whitelists say who may be a client",
        explains: |difference| {
            difference.only_ours() && difference.packet().is_some_and(|packet| is_nobodys(packet.source))
        },
    },
    Rule {
        name: "source quench",
        reason: "deprecated (RFC 6633): not to be acted upon by anyone, and RFC 5508 REQ-11 lets it be dropped",
        explains: |difference| {
            let is_quench = difference
                .packet()
                .is_some_and(|packet| packet.protocol == ICMP && packet.payload.first() == Some(&4));
            difference.only_kernels() && is_quench
        },
    },
];

/// The IP option that says nothing and is followed by another.
const NOTHING: u8 = 1;

/// Addresses that no packet of another host comes from: those of RFC 6890 that are no source, and the
/// gateway's own.
fn is_nobodys(source: Ipv4Addr) -> bool {
    source.octets()[0] == 0
        || source.octets()[0] >= 224
        || source.is_loopback()
        || [CONSUMER.gateway, PROVIDER.gateway].contains(&source)
}

/// The combinations of flags that nf_conntrack takes for valid, but for PSH, ECE, CWR and the ninth bit.
fn is_usual(flags: u8) -> bool {
    const URG: u8 = 0x20;
    use vpcep_common::tcp::flags::{FIN, RST};
    matches!(
        flags & (FIN | SYN | RST | ACK | URG),
        0x02 | 0x12 | 0x04 | 0x14 | 0x11 | 0x10 | 0x30 | 0x31 | 0x22
    )
}

/// Whether this is an ICMP error about a packet whose IP header does not add up.
fn is_broken_inside(packet: &Datagram) -> bool {
    let inner = packet.payload.get(ICMP_LEN..).unwrap_or_default();
    let header_len = inner.first().map_or(0, |first| usize::from(first & 0xf) * 4);
    packet.protocol == ICMP && inner.get(..header_len).is_none_or(|header| checksum(header) != 0)
}
