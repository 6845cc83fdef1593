//! A packet of no session: whether it may open one, and the opening itself. To which
//! backend is `ring.rs`.

use vpcep_common::client_address::pending;
use vpcep_common::counter::DropReason;
use vpcep_common::endpoint::{Backend, NO_ENDPOINT};
use vpcep_common::limits::FIRST_PROBE_PORT;
use vpcep_common::route::Route;
use vpcep_common::session::{FlowKey, Word, left_to_tc};
use vpcep_common::snat::in_range;
use vpcep_common::tcp::Side;

use crate::client_address::Task;
use crate::endpoint::{self, Address, Policy};
use crate::packet::Packet;
use crate::parse::Headers;
use crate::pipeline::{Decision, Scene, fits, towards_backend};
use crate::session::{self, Opening, Session};
use crate::verdict::{Refusal, Verdict};
use crate::{client_address, index, meter, neighbour, ring, route, snat};

/// No slot: no session has port 0.
pub const NO_SLOT: u32 = 0;

/// A packet of no session, to something that may be an endpoint.
#[inline(always)]
pub fn forward_new<P: Packet>(
    packet: &P,
    scene: &Scene,
    headers: &Headers,
    task: &mut Task,
    flow: &FlowKey,
    is_opening: bool,
    over: u32,
) -> Result<Decision, Refusal> {
    let mut route = Route::default();
    let mapping = endpoint::mapping(flow.vpc, headers).unwrap_or_default();
    if mapping.endpoint == NO_ENDPOINT {
        if answers_probe(scene, headers) {
            return Ok(Decision::Done(Verdict::Tapped));
        }
        match endpoint::destination(flow.vpc, headers) {
            Address::Host => return Ok(Decision::Done(Verdict::Pass)),
            Address::Other => return Err(Refusal::silent(DropReason::NotForwarded)),
            Address::Routed(found) => route = found,
            Address::Endpoint(number) => {
                return Err(match Policy::of(number) {
                    Some(policy) => policy.refuse(DropReason::PortNotMapped),
                    None => Refusal::of(number, DropReason::PortNotMapped),
                });
            }
        }
    }
    // One of the two is no endpoint, which is 0.
    let endpoint = mapping.endpoint | route.endpoint;
    let policy = Policy::of(endpoint).ok_or(Refusal::of(endpoint, DropReason::NotAccepted))?;
    if !is_opening {
        return Err(policy.refuse(DropReason::NoSession));
    }
    if in_range(headers.source.get()) {
        return Err(Refusal::of(endpoint, DropReason::ReservedSource));
    }
    policy.admits(headers.source).map_err(|reason| policy.refuse(reason))?;
    if headers.ttl <= 1 {
        return Err(Refusal::of(endpoint, DropReason::TtlExceeded));
    }
    if !packet.can_keep_checksum(headers) {
        return Ok(Decision::Done(Verdict::Pass));
    }
    let backend = if mapping.endpoint == NO_ENDPOINT {
        let next_hop =
            route::next_hop(&route, headers.destination).map_err(|reason| Refusal::of(endpoint, reason))?;
        Backend {
            address: headers.destination,
            port: headers.destination_port,
            vpc: route.vpc,
            next_hop,
            pad: 0,
        }
    } else {
        *ring::choose(scene.settings, policy.servers, headers.source)
            .ok_or(policy.refuse(DropReason::NoBackend))?
    };
    let (mac, out) = neighbour::resolve(backend.next_hop).map_err(|reason| Refusal::of(endpoint, reason))?;
    // What was found of a neighbour may have become another's since.
    if out.vpc != backend.vpc {
        return Err(Refusal::of(endpoint, DropReason::NoAttachment));
    }
    if !packet.can_leave(scene.attachment, out, u32::from(headers.ip_len)) {
        ring::give_back(policy.servers);
        return Ok(Decision::Done(Verdict::Pass));
    }
    if let Err(refusal) = fits(packet, headers, endpoint, out, 0) {
        ring::give_back(policy.servers);
        return Err(refusal);
    }
    if !meter::admits_packet(endpoint, Side::Client, headers.ip_len) {
        return Err(Refusal::of(endpoint, DropReason::Bandwidth));
    }
    let is_half_open = policy.half_open != 0 && !headers.is_udp();
    let pending = client_address::pending(policy.word, headers);
    *task = client_address::by_syn(pending, headers);
    if *task == Task::Refused {
        return Err(Refusal::of(endpoint, DropReason::Malformed));
    }
    let opening = Opening {
        generation: policy.generation(),
        backend: backend.address,
        backend_port: if backend.port.0 == 0 { mapping.server_port } else { backend.port },
        provider_vpc: backend.vpc,
        next_hop: backend.next_hop,
        attachment: scene.attachment_number as u16,
        client_mac: headers.source_mac,
        left_to_tc: if packet.was_left(scene.attachment) { left_to_tc::CLIENT } else { 0 },
        pending,
        created: if pending & pending::PROXY != 0 { headers.sequence.get() } else { scene.now },
        counts: if is_half_open { Word::COUNTS } else { Word::COUNTED },
    };
    let session = open(scene, flow, &policy, &opening, over)?;
    session.count(scene.settings, Side::Client, headers.ip_len);
    Ok(towards_backend(scene, &session, mac, out))
}

/// Whether a packet is for vpcepd, which checks the health of backends from the
/// gateway's own address and reads what comes to these ports from the interface.
#[inline(always)]
fn answers_probe(scene: &Scene, headers: &Headers) -> bool {
    headers.destination == scene.attachment.address
        && headers.is_tcp()
        && headers.destination_port.get() >= FIRST_PROBE_PORT
}

/// Opens a session, in the slot of one that is `over` if there is any.
#[inline(always)]
fn open(
    scene: &Scene,
    flow: &FlowKey,
    policy: &Policy,
    opening: &Opening,
    over: u32,
) -> Result<Session, Refusal> {
    // Another CPU was faster: its packet, or the retransmission, settles it. And who opens too
    // many is to come again later, and if its address is forged not answered at all.
    let refuse = |reason| match reason {
        DropReason::Contended | DropReason::HalfOpenLimit | DropReason::ConnectionRate => {
            Refusal::of(policy.endpoint, reason)
        }
        _ => policy.refuse(reason),
    };
    let recycled = match over {
        NO_SLOT => None,
        number => {
            let session = session::of_flow_in(number, flow).filter(|session| session.word.tcp().is_over());
            let claim = session.and_then(|session| session.recycle(scene.settings, policy.endpoint));
            Some(claim.ok_or_else(|| refuse(DropReason::Contended))?)
        }
    };
    if let Err(reason) = session::raise(policy, opening.counts & Word::HALF_OPEN != 0) {
        if let Some(claim) = recycled {
            index::leave(scene.settings, flow, claim.number);
            session::abandon(&claim, scene.now);
        }
        return Err(refuse(reason));
    }
    let claim = match recycled {
        Some(claim) => claim,
        None => match snat::claim(scene.settings, flow, policy.endpoint, scene.now) {
            Some(claim) => claim,
            None => {
                session::lower(policy.endpoint, opening.counts);
                return Err(refuse(DropReason::NoSourcePort));
            }
        },
    };
    session::publish(scene.settings, &claim, flow, opening, recycled.is_some(), scene.now).map_err(refuse)
}
