//! Our translation next to the kernel's: the same packets through both, and every difference has a
//! rule that says why.
//!
//! First the [`conversations`] as they were recorded; then again and again with one packet in front
//! of which a broken copy of it is sent, half of them with sums that are right again. What either
//! forwards is compared field by field, but for the port that each chose; what it says to the sender
//! of something that it does not forward is not compared. A conversation ends at its first
//! difference, since the two are in different states from then on.
//!
//! Ours runs at TC, which handles everything; that XDP does the same is what the tables are for.
//! A failure names its seed, which `VPCEP_FUZZ_SEED` takes.

mod conversations;
mod frames;
mod kernel;
mod rules;

use std::net::SocketAddrV4;

use vpcep_common::endpoint::policy::ACCEPTED;
use vpcep_common::tcp::Side;

use conversations::{Conversation, Ends, recorded};
use frames::{Canonical, break_copy, source_port};
use kernel::Kernel;
use rules::{Difference, RULES};

use crate::random::{Random, seed};
use crate::runner::{Capacity, Gateway, Hook, Verdict};
use crate::stage::{self, CLIENT, CONSUMER, Link, PROVIDER};
use crate::table::is_skipped;
use crate::udp::map_udp;

/// A port of the endpoint that leads to the backend over UDP.
const NTP: u16 = 123;
/// Conversations with a broken packet.
const BROKEN: usize = 6_000;
/// Offset of the time to live.
const HOPS: usize = 14 + 8;
/// Port of the client in the first conversation.
const FIRST_CLIENT_PORT: u16 = 20_000;

/// Where packets of a side come in.
const fn link(side: Side) -> Link {
    match side {
        Side::Client => CONSUMER,
        Side::Backend => PROVIDER,
    }
}

#[test]
fn every_difference_to_the_kernels_translation_has_a_reason() {
    if is_skipped() {
        return;
    }
    let seed = seed();
    let mut both = Both::start(seed);
    let recorded = recorded();
    for conversation in &recorded {
        both.play(conversation, None);
    }
    let applied_to_recorded = both.applied;
    let mut random = Random::new(seed);
    for _ in 0..BROKEN {
        let conversation = &recorded[random.below(recorded.len())];
        let number = random.below(conversation.packets.len());
        both.play(conversation, Some((number, Random::new(random.next()))));
    }
    eprintln!("{} packets, {} forwarded by both, seed {seed}", both.packets, both.forwarded);
    for (rule, (first, all)) in RULES.iter().zip(applied_to_recorded.iter().zip(both.applied)) {
        eprintln!("{all:6} {}: {}", rule.name, rule.reason);
        assert!(*first > 0, "rule {:?} explains nothing that is recorded", rule.name);
    }
    assert!(both.forwarded > both.packets / 2, "too few packets get anywhere to tell anything");
}

/// The two, and what came of it.
struct Both {
    seed: u64,
    /// The broken copy of the conversation, once it has been sent.
    copy: Option<Vec<u8>>,
    /// Whether a packet of the conversation has run out of hops.
    has_lost_one: bool,
    gateway: Gateway,
    kernel: Kernel,
    next_client: u16,
    packets: u64,
    forwarded: u64,
    applied: [u64; RULES.len()],
}

impl Both {
    fn start(seed: u64) -> Self {
        let capacity = Capacity { flows: 32_768, ..Capacity::default() };
        let mut gateway = stage::gateway(&[Hook::Tc], capacity).unwrap();
        gateway.set_policy(ACCEPTED, 1, 60_000);
        map_udp(&mut gateway, NTP);
        let kernel = Kernel::start().unwrap();
        let applied = [0; RULES.len()];
        Self {
            seed,
            copy: None,
            has_lost_one: false,
            gateway,
            kernel,
            next_client: FIRST_CLIENT_PORT,
            packets: 0,
            forwarded: 0,
            applied,
        }
    }

    /// Has a client of its own say a conversation, with a broken copy in front of one packet.
    fn play(&mut self, conversation: &Conversation, broken: Option<(usize, Random)>) {
        let client = SocketAddrV4::new(*CLIENT.ip(), self.next_client);
        self.next_client += 1;
        (self.copy, self.has_lost_one) = (None, false);
        let mut ends = [Ends { client, source_port: 1 }; 2];
        for (number, packet) in conversation.packets.iter().enumerate() {
            let frames = ends.map(|ends| conversation.frame(number, ends));
            if let Some((_, random)) = broken.as_ref().filter(|(which, _)| *which == number) {
                let copies = frames.clone().map(|frame| break_copy(packet.side, &frame, &mut random.clone()));
                self.copy = Some(copies[0].clone());
                if self.compare(conversation.name, client, packet.side, copies).is_none() {
                    return;
                }
            }
            let Some(ports) = self.compare(conversation.name, client, packet.side, frames) else { return };
            for (ends, port) in ends.iter_mut().zip(ports) {
                ends.source_port = port.unwrap_or(ends.source_port);
            }
        }
    }

    /// Sends a frame through ours and its equal through the kernel's; the source ports they chose, if
    /// they chose any; `None` once they differ.
    fn compare(
        &mut self,
        name: &str,
        client: SocketAddrV4,
        side: Side,
        frames: [Vec<u8>; 2],
    ) -> Option<[Option<u16>; 2]> {
        self.packets += 1;
        let state = self.gateway.tcp_state(client);
        let ours = self.forward(side, &frames[0]);
        let kernels = self.kernel.forward(side, &frames[1]).unwrap();
        let [seen, known] =
            [&ours, &kernels].map(|frame| frame.as_ref().map(|frame| Canonical::of(side, frame)));
        if seen == known {
            self.has_lost_one |= frames[0][HOPS] <= 1;
            self.forwarded += u64::from(ours.is_some());
            return Some(
                [ours, kernels].map(|frame| {
                    frame.filter(|_| side == Side::Client).and_then(|frame| source_port(&frame))
                }),
            );
        }
        let has_lost_one = self.has_lost_one;
        let difference =
            Difference { side, frame: &frames[0], state, has_lost_one, ours: seen, kernels: known };
        let Some(rule) = RULES.iter().position(|rule| (rule.explains)(&difference)) else {
            panic!(
                "{name:?}, packet of the {side:?}, state {state:?}, seed {}\ncopy    {:02x?}\nin      {:02x?}\nours    {ours:02x?}\nkernel's {kernels:02x?}\n{:?}",
                self.seed,
                self.copy,
                frames[0],
                (difference.ours, difference.kernels)
            );
        };
        self.applied[rule] += 1;
        None
    }

    /// What ours sends to the other side.
    fn forward(&self, side: Side, frame: &[u8]) -> Option<Vec<u8>> {
        let outcome = self.gateway.run(Hook::Tc, link(side).ifindex, frame);
        let out = match side {
            Side::Client => PROVIDER,
            Side::Backend => CONSUMER,
        };
        (outcome.verdict == Verdict::Redirect && outcome.frame[6..12] == out.mac).then_some(outcome.frame)
    }
}
