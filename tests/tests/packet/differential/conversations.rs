//! What both sides say, recorded: the packets that the two translators are compared by.

use std::net::{Ipv4Addr, SocketAddrV4};

use vpcep_common::tcp::Side;
use vpcep_common::tcp::flags::{ACK, FIN, RST, SYN};
use vpcep_tests::packet::{Datagram, PSH, Segment};

use super::{NTP, link};
use crate::icmp::{ICMP, message};
use crate::stage::{BACKEND, BACKEND_MAC, CLIENT_MAC, ENDPOINT_ADDRESS, SOURCE};
use crate::udp::{Sum, udp};

use Side::{Backend, Client};

/// Who talks: the client, and the port that a translator chose for it.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    /// Address and port of the client.
    pub client: SocketAddrV4,
    /// What the backend sees of it.
    pub source_port: u16,
}

#[derive(Clone)]
enum Content {
    /// Its addresses are filled in.
    Segment(Segment),
    /// Payload and sum of a UDP datagram.
    Datagram(&'static [u8], Sum),
    /// An ICMP error about a packet of the conversation, with so many bytes behind the header inside.
    Error { kind: u8, code: u8, about: usize, bytes: usize },
}

/// One packet of a conversation.
#[derive(Clone)]
pub struct Packet {
    /// Who sends it.
    pub side: Side,
    content: Content,
    ttl: u8,
    /// Another source than its side's.
    source: Option<Ipv4Addr>,
    /// Bytes of the frame behind the packet.
    trailer: Vec<u8>,
    /// Bits turned over in the frame at last: offset, and which.
    turned: Vec<(usize, u8)>,
}

/// A named sequence of packets.
pub struct Conversation {
    /// What it is about.
    pub name: &'static str,
    /// In the order they are sent.
    pub packets: Vec<Packet>,
    next: [u32; 2],
}

impl Conversation {
    fn new(name: &'static str) -> Self {
        Self { name, packets: Vec::new(), next: [0x1000_0000, 0x2000_0000] }
    }

    /// A segment at its place in the sequence.
    fn says(mut self, side: Side, flags: u8, payload: &[u8]) -> Self {
        let nowhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        let [own, other] = match side {
            Client => [0, 1],
            Backend => [1, 0],
        };
        let acknowledgement = if flags & ACK == 0 { 0 } else { self.next[other] };
        let segment = Segment {
            sequence: self.next[own],
            acknowledgement,
            payload: payload.to_vec(),
            ..Segment::new(nowhere, nowhere, flags)
        };
        let control = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
        self.next[own] += payload.len() as u32 + control;
        self.push(side, Content::Segment(segment))
    }

    fn push(mut self, side: Side, content: Content) -> Self {
        self.packets.push(Packet {
            side,
            content,
            ttl: 64,
            source: None,
            trailer: Vec::new(),
            turned: Vec::new(),
        });
        self
    }

    /// The last packet once more.
    fn again(mut self) -> Self {
        self.packets.push(self.packets.last().expect("a packet").clone());
        self
    }

    /// Changes the last packet, a segment.
    fn with(mut self, change: impl FnOnce(&mut Segment)) -> Self {
        let Some(Packet { content: Content::Segment(segment), .. }) = self.packets.last_mut() else {
            panic!("the last packet of {:?} is no segment", self.name)
        };
        change(segment);
        self
    }

    /// Gives the last packet another time to live.
    fn ttl(mut self, ttl: u8) -> Self {
        self.packets.last_mut().expect("a packet").ttl = ttl;
        self
    }

    /// Gives the last packet, an error, another source.
    fn from(mut self, source: Ipv4Addr) -> Self {
        self.packets.last_mut().expect("a packet").source = Some(source);
        self
    }

    /// Has bytes behind the last packet, in its frame.
    fn trailed(mut self, bytes: usize) -> Self {
        self.packets.last_mut().expect("a packet").trailer = vec![0xee; bytes];
        self
    }

    /// Turns bits of the last packet's frame over.
    fn turned(mut self, at: usize, bits: u8) -> Self {
        self.packets.last_mut().expect("a packet").turned.push((at, bits));
        self
    }

    fn handshake(self) -> Self {
        let options = |segment: &mut Segment| segment.options = vec![2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7, 1, 1];
        self.says(Client, SYN, b"")
            .with(options)
            .says(Backend, SYN | ACK, b"")
            .with(options)
            .says(Client, ACK, b"")
    }

    fn data(self) -> Self {
        self.says(Client, ACK | PSH, b"GET / HTTP/1.1\r\n\r\n")
            .says(Backend, ACK, b"")
            .says(Backend, ACK | PSH, b"HTTP/1.1 200 OK\r\n\r\nodd")
            .says(Client, ACK, b"")
    }

    fn closed_by(self, first: Side, second: Side) -> Self {
        self.says(first, FIN | ACK, b"")
            .says(second, ACK, b"")
            .says(second, FIN | ACK, b"")
            .says(first, ACK, b"")
    }

    /// An error of this side's network about the packet with this number.
    fn complains(self, side: Side, kind: u8, code: u8, about: usize, bytes: usize) -> Self {
        self.push(side, Content::Error { kind, code, about, bytes })
    }

    /// The frame of a packet as its sender sends it.
    pub fn frame(&self, number: usize, ends: Ends) -> Vec<u8> {
        let packet = &self.packets[number];
        let (from, datagram) = match &packet.content {
            Content::Error { kind, code, about, bytes } => {
                let inner = self.arrived(*about, ends).build()[14..].to_vec();
                let header_len = usize::from(inner[0] & 0xf) * 4;
                let inner = &inner[..(header_len + bytes).min(inner.len())];
                let message = message(*kind, *code, [0, 0, 5, 0x78], inner);
                match packet.side {
                    Client => {
                        (CLIENT_MAC, Datagram::new(*ends.client.ip(), *ENDPOINT_ADDRESS.ip(), ICMP, &message))
                    }
                    Backend => (BACKEND_MAC, Datagram::new(ROUTER_BEHIND, SOURCE, ICMP, &message)),
                }
            }
            content => match packet.side {
                Client => (CLIENT_MAC, between(content, ends.client, endpoint(content))),
                Backend => {
                    (BACKEND_MAC, between(content, BACKEND, SocketAddrV4::new(SOURCE, ends.source_port)))
                }
            },
        };
        let source = packet.source.unwrap_or(datagram.source);
        let mut frame =
            Datagram { to: link(packet.side).mac, from, source, ttl: packet.ttl, ..datagram }.build();
        frame.extend(&packet.trailer);
        for (at, bits) in &packet.turned {
            frame[*at] ^= bits;
        }
        frame
    }

    /// A packet as it arrives at the other side.
    fn arrived(&self, number: usize, ends: Ends) -> Datagram {
        let packet = &self.packets[number];
        let datagram = match packet.side {
            Client => between(&packet.content, SocketAddrV4::new(SOURCE, ends.source_port), BACKEND),
            Backend => between(&packet.content, endpoint(&packet.content), ends.client),
        };
        Datagram { ttl: packet.ttl - 1, ..datagram }
    }
}

/// A router of the provider's network, other than the gateway.
const ROUTER_BEHIND: Ipv4Addr = Ipv4Addr::new(192, 168, 24, 2);

/// Where a client sends such a packet.
fn endpoint(content: &Content) -> SocketAddrV4 {
    match content {
        Content::Datagram(..) => SocketAddrV4::new(*ENDPOINT_ADDRESS.ip(), NTP),
        Content::Segment(_) | Content::Error { .. } => ENDPOINT_ADDRESS,
    }
}

fn between(content: &Content, source: SocketAddrV4, destination: SocketAddrV4) -> Datagram {
    match content {
        Content::Segment(segment) => Segment { source, destination, ..segment.clone() }.datagram(),
        Content::Datagram(payload, sum) => udp(source, destination, payload, *sum),
        Content::Error { .. } => unreachable!("errors are about segments and datagrams"),
    }
}

/// All of them.
pub fn recorded() -> Vec<Conversation> {
    [tcp(), odd_segments(), refused(), udp_and_errors()].into_iter().flatten().collect()
}

fn tcp() -> Vec<Conversation> {
    let new = Conversation::new;
    vec![
        new("closed by the client").handshake().data().closed_by(Client, Backend).again(),
        new("closed by the backend").handshake().data().closed_by(Backend, Client).again(),
        new("closed by both at once")
            .handshake()
            .says(Client, FIN | ACK, b"")
            .says(Backend, FIN | ACK, b"")
            .says(Client, ACK, b"")
            .says(Backend, ACK, b""),
        new("half-closed")
            .handshake()
            .says(Client, FIN | ACK, b"")
            .says(Backend, ACK, b"")
            .says(Backend, ACK, b"more")
            .says(Client, ACK, b"")
            .says(Backend, FIN | ACK, b"")
            .again()
            .says(Client, ACK, b""),
        new("everything sent twice")
            .says(Client, SYN, b"")
            .again()
            .says(Backend, SYN | ACK, b"")
            .again()
            .says(Client, ACK, b"")
            .again()
            .says(Client, ACK | PSH, b"data")
            .again()
            .says(Backend, ACK | PSH, b"data")
            .again()
            .says(Client, FIN | ACK, b"")
            .again()
            .says(Backend, FIN | ACK, b"")
            .again(),
        new("reset by the client").handshake().data().says(Client, RST | ACK, b"").again(),
        new("reset by the backend").handshake().data().says(Backend, RST, b"").again(),
        new("refused by the backend").says(Client, SYN, b"").says(Backend, RST | ACK, b""),
        new("refused twice").says(Client, SYN, b"").says(Backend, RST | ACK, b"").again(),
        new("given up by the client")
            .says(Client, SYN, b"")
            .says(Backend, SYN | ACK, b"")
            .says(Client, RST, b""),
        new("reset, and what was under way").handshake().says(Client, RST, b"").says(Backend, ACK, b"late"),
        new("the five-tuple once more").handshake().closed_by(Client, Backend).handshake().data(),
        new("once more after a reset").handshake().says(Client, RST, b"").handshake().data(),
        new("opened with data")
            .says(Client, SYN, b"cookie42")
            .says(Backend, SYN | ACK, b"")
            .says(Client, ACK, b""),
    ]
}

fn odd_segments() -> Vec<Conversation> {
    let new = Conversation::new;
    vec![
        new("all kinds of options")
            .handshake()
            .says(Client, ACK, b"x")
            .with(|segment| segment.options = [vec![8, 10], vec![7; 8], vec![1; 2]].concat())
            .says(Client, ACK, b"xy")
            .with(|segment| segment.options = [vec![5, 34], vec![3; 32], vec![1; 6]].concat())
            .says(Backend, ACK, b"xyz")
            .with(|segment| segment.options = [vec![253, 4, 1, 2], vec![0; 4]].concat()),
        new("congestion marks")
            .says(Client, SYN | 0xc0, b"")
            .says(Backend, SYN | ACK | 0x40, b"")
            .says(Client, ACK, b"")
            .with(|segment| segment.tos = 0xb9)
            .says(Client, ACK | 0x80, b"x"),
        new("a trailer").handshake().says(Client, ACK, b"x").trailed(7).says(Backend, ACK, b"x").trailed(7),
        new("urgent").handshake().says(Client, ACK | 0x20, b"!").says(Backend, ACK | 0x20, b"!"),
        new("times to live")
            .handshake()
            .says(Client, ACK, b"x")
            .ttl(255)
            .says(Backend, ACK, b"x")
            .ttl(2)
            .says(Client, ACK, b"x")
            .ttl(1)
            .says(Backend, ACK, b"x")
            .ttl(1)
            .says(Client, ACK, b"x")
            .ttl(0),
        new("refused out of sight")
            .says(Client, SYN, b"")
            .says(Backend, RST | ACK, b"")
            .ttl(1)
            .again()
            .ttl(64),
        new("padding in the IP header")
            .handshake()
            .says(Client, ACK, b"x")
            .with(|segment| segment.ip_options = vec![1; 8])
            .says(Backend, ACK, b"x")
            .with(|segment| segment.ip_options = vec![1, 1, 1, 0]),
        new("the route recorded")
            .handshake()
            .says(Client, ACK, b"x")
            .with(|segment| segment.ip_options = vec![7, 7, 4, 0, 0, 0, 0, 0]),
        new("a SYN in the middle").handshake().says(Client, SYN, b"").says(Client, ACK, b"x"),
        new("nothing in the sequence is right")
            .handshake()
            .says(Client, ACK, b"x")
            .with(|segment| segment.sequence ^= 0x4000_0000)
            .says(Backend, ACK, b"x")
            .with(|segment| segment.acknowledgement ^= 0x4000_0000),
    ]
}

fn refused() -> Vec<Conversation> {
    let new = Conversation::new;
    vec![
        new("begun in the middle").says(Client, ACK, b"x"),
        new("begun by a FIN").says(Client, FIN | ACK, b""),
        new("begun by a SYN-ACK").says(Client, SYN | ACK, b""),
        new("begun by the backend").says(Backend, SYN, b""),
        new("answered before it began").says(Backend, SYN | ACK, b""),
        new("opened from both sides").says(Client, SYN, b"").says(Backend, SYN, b""),
        new("a SYN-ACK of the client").handshake().says(Client, SYN | ACK, b""),
        new("a sum that is wrong").handshake().says(Client, ACK, b"x").turned(14 + 20 + 16, 1),
        new("an IP sum that is wrong").handshake().says(Client, ACK, b"x").turned(14 + 10, 1),
        new("no flags").handshake().says(Client, 0, b"x"),
        new("all flags").handshake().says(Client, 0x3f, b"x"),
        new("SYN and FIN").says(Client, SYN | FIN, b""),
    ]
}

fn udp_and_errors() -> Vec<Conversation> {
    let new = Conversation::new;
    let asks = |conversation: Conversation, sum| {
        conversation
            .push(Client, Content::Datagram(b"time?", sum))
            .push(Backend, Content::Datagram(b"", sum))
            .push(Backend, Content::Datagram(b"noon", sum))
            .push(Client, Content::Datagram(&[0xff; 600], sum))
    };
    let errors = |conversation: Conversation, from: Side, about: usize| {
        [(3, 0), (3, 1), (3, 3), (3, 4), (3, 13), (11, 0), (11, 1), (12, 0)].into_iter().fold(
            conversation,
            |conversation, (kind, code)| {
                conversation.complains(from, kind, code, about, 8).complains(from, kind, code, about, 600)
            },
        )
    };
    vec![
        asks(new("datagrams"), Sum::Right).ttl(2),
        asks(new("datagrams without a sum"), Sum::None),
        new("a datagram whose sum is wrong")
            .push(Client, Content::Datagram(b"x", Sum::Right))
            .turned(14 + 20 + 6, 1),
        new("begun by the backend, UDP").push(Backend, Content::Datagram(b"x", Sum::Right)),
        errors(new("errors about the client's segment").handshake().data(), Backend, 3).data(),
        errors(new("errors about the backend's segment").handshake().data(), Client, 5).data(),
        errors(asks(new("errors about the client's datagram"), Sum::Right), Backend, 0),
        errors(asks(new("errors about the backend's datagram"), Sum::Right), Client, 2),
        new("an error about a SYN").says(Client, SYN, b"").complains(Backend, 3, 1, 0, 8).says(
            Backend,
            SYN | ACK,
            b"",
        ),
        // Two bits that make up for each other in the sum of the message: one of the MTU, and one of the
        // header inside.
        new("an error about a broken header")
            .handshake()
            .complains(Backend, 3, 4, 2, 8)
            .turned(14 + 20 + 7, 8)
            .turned(14 + 20 + 8 + 1, 8),
        new("an error of a group")
            .handshake()
            .complains(Backend, 3, 1, 2, 8)
            .from(Ipv4Addr::new(224, 0, 0, 5)),
        new("an error with a trailer").handshake().complains(Backend, 3, 4, 2, 8).trailed(12),
        new("source quench").handshake().complains(Backend, 4, 0, 0, 8),
        new("a redirect").handshake().complains(Backend, 5, 1, 0, 8),
    ]
}
