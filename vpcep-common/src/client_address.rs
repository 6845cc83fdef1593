//! The client's address for a server that sees the gateway's: as a TCP option (TOA) of what
//! completes the handshake, or as a PROXY protocol header in front of what the client sends.
//!
//! # Where the header is in the sequence
//! The server is told a SYN that is [`HEADER_LEN`] bytes before the client's. The header has the
//! place between the two, and everything behind it keeps its number for the life of the
//! connection, in both directions:
//!
//! ```text
//!   client:                     SYN n      n+1 data ...
//!   server:  SYN n-68  n-67 header ... n   n+1 data ...
//! ```
//!
//! It rides on bare acknowledgements of the client, which have no data that would have to move:
//! the handshake's last one first, and each further one until the server has acknowledged the
//! header. When data comes without one in front (the acknowledgement was lost, or the client
//! sent none), the server acknowledges what it has, a place in front of the header. That bare
//! acknowledgement becomes a probe (RFC 9293 section 3.8.4) of the client, who answers one with
//! a bare acknowledgement.
//!
//! No packet of the client may write where the header is: until it has arrived, data in front of
//! the client's first byte is refused.

use crate::be::Be32;
use crate::tcp::flags;

/// Bytes of a header: 28 of the protocol, and the rest for [`Tlvs`]. One length for all, so that
/// a connection can be renumbered before anything is known of its header.
pub const HEADER_LEN: u32 = 28 + TLVS_LEN as u32;
/// Bytes of the type-length-value fields of a header.
pub const TLVS_LEN: usize = 40;

/// What begins every header (PROXY protocol, section 2.2): the signature, version 2 and the
/// command PROXY, TCP over IPv4, and the length of what follows, as four words in memory order.
pub const PREFIX: [u32; 4] = {
    const LEN: u8 = HEADER_LEN as u8 - 16;
    [
        u32::from_ne_bytes([0x0d, 0x0a, 0x0d, 0x0a]),
        u32::from_ne_bytes([0x00, 0x0d, 0x0a, 0x51]),
        u32::from_ne_bytes([0x55, 0x49, 0x54, 0x0a]),
        u32::from_ne_bytes([0x21, 0x11, 0, LEN]),
    ]
};

/// The type-length-value fields of an endpoint's headers, in memory order.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tlvs(pub [u32; TLVS_LEN / 4]);
const _: () = assert!(size_of::<Tlvs>() == TLVS_LEN);

/// What a packet has to do for the client's address, beside being translated. In a map from where
/// that is decided to where it is done: the verifier does not follow what is in there, and sees what
/// comes in between once and not for each case.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    /// Its sequence number.
    pub sequence: Be32,
    /// Its acknowledgement number.
    pub acknowledgement: Be32,
    /// Bits of [`what`].
    pub what: u32,
}

/// Bits of [`Carried::what`].
pub mod what {
    /// It has other numbers where it goes.
    pub const RENUMBER: u32 = 1 << 0;
    /// It carries the PROXY header.
    pub const HEADER: u32 = 1 << 1;
    /// It carries the TCP option.
    pub const OPTION: u32 = 1 << 2;
    /// Nothing that carried the option has gone before.
    pub const FIRST: u32 = 1 << 3;
    /// It tells the client how much a segment may hold, which is less by the option.
    pub const LOWER_MSS: u32 = 1 << 4;
}

/// Bytes of the TCP option: kind, length, port, address.
pub const TOA_LEN: u8 = 8;
/// Its kind, of the experimental ones (RFC 4727), as TOA receivers expect it.
pub const TOA_KIND: u8 = 254;

/// What the server has still to be told: bits of [`crate::session::Slot::pending`].
pub mod pending {
    /// The option: nothing but a SYN-ACK has come from the server yet.
    pub const TOA: u8 = 1 << 0;
    /// The header: the server has not acknowledged it.
    pub const PROXY: u8 = 1 << 1;
}

/// What becomes of a packet of the client while the header is on its way. Host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outward {
    /// Its sequence number for the server.
    pub sequence: u32,
    /// Whether the header goes with it.
    pub has_header: bool,
    /// Whether it must not go at all: it would write where the header is.
    pub is_refused: bool,
}

/// Judges a packet with `payload` bytes from a client whose SYN has the number `initial`.
#[inline(always)]
pub const fn outward(initial: u32, flags: u8, sequence: u32, payload: u16) -> Outward {
    let first = initial.wrapping_add(1);
    let header = first.wrapping_sub(HEADER_LEN);
    let as_it_is = Outward { sequence, has_header: false, is_refused: false };
    if flags & flags::SYN != 0 {
        return Outward { sequence: sequence.wrapping_sub(HEADER_LEN), is_refused: payload != 0, ..as_it_is };
    }
    if flags & flags::RST != 0 {
        // Taken at its word only at the very place where the server stands (RFC 5961 section 3.2).
        return Outward { sequence: if sequence == first { header } else { sequence }, ..as_it_is };
    }
    if payload == 0 && flags & flags::FIN == 0 {
        return Outward { sequence: header, has_header: true, is_refused: false };
    }
    Outward { is_refused: (sequence.wrapping_sub(first) as i32) < 0, ..as_it_is }
}

/// What becomes of a packet of the server while the header is on its way. Host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inward {
    /// Its sequence number for the client.
    pub sequence: u32,
    /// Its acknowledgement number for the client.
    pub acknowledgement: u32,
    /// Whether it says that the header has arrived.
    pub has_arrived: bool,
}

/// Judges a packet with `payload` bytes to a client whose SYN has the number `initial`.
#[inline(always)]
pub const fn inward(initial: u32, flags: u8, sequence: u32, acknowledgement: u32, payload: u16) -> Inward {
    let first = initial.wrapping_add(1);
    let as_it_is = Inward { sequence, acknowledgement, has_arrived: false };
    if flags & flags::ACK == 0 {
        return as_it_is;
    }
    let beyond = acknowledgement.wrapping_sub(first) as i32;
    if beyond >= 0 {
        return Inward { has_arrived: flags & flags::RST == 0, ..as_it_is };
    }
    if beyond < -(HEADER_LEN as i32) {
        return as_it_is;
    }
    let is_bare = payload == 0 && flags & (flags::SYN | flags::FIN | flags::RST) == 0;
    Inward {
        sequence: if is_bare { sequence.wrapping_sub(1) } else { sequence },
        acknowledgement: first,
        has_arrived: false,
    }
}

#[cfg(test)]
mod tests {
    use super::flags::{ACK, FIN, RST, SYN};
    use super::*;

    const PSH: u8 = 0x08;

    /// At both ends of the number space: nothing may depend on where a connection begins.
    const INITIAL: [u32; 4] = [1_000, 0, 40, u32::MAX];

    #[test]
    fn what_a_client_sends_before_its_header_has_arrived() {
        // Flags, where it is counted from the client's SYN, payload; then the place for the
        // server, whether it has the header, and whether it is refused.
        let table = [
            ("SYN", SYN, 0, 0, -68, false, false),
            ("SYN with data", SYN, 0, 5, -68, false, true),
            ("last of the handshake", ACK, 1, 0, -67, true, false),
            ("bare acknowledgement behind data", ACK, 500, 0, -67, true, false),
            ("answer to a probe", ACK, 0, 0, -67, true, false),
            ("first data", ACK | PSH, 1, 100, 1, false, false),
            ("later data", ACK, 1_461, 1_460, 1_461, false, false),
            ("end at once", ACK | FIN, 1, 0, 1, false, false),
            ("data where the header is", ACK, -67, 68, -67, false, true),
            ("data just in front", ACK, 0, 1, 0, false, true),
            ("reset of the handshake", RST, 1, 0, -67, false, false),
            ("reset later", RST, 101, 0, 101, false, false),
        ];
        for initial in INITIAL {
            let at = |place: i32| initial.wrapping_add_signed(place);
            for (name, flags, place, payload, becomes, has_header, is_refused) in table {
                assert_eq!(
                    outward(initial, flags, at(place), payload),
                    Outward { sequence: at(becomes), has_header, is_refused },
                    "{name}, first number {initial}"
                );
            }
        }
    }

    #[test]
    fn what_a_server_sends_before_the_header_has_arrived() {
        // Flags, what it acknowledges counted from the client's SYN, payload; then what the
        // client sees acknowledged, what is taken off its own number, whether the header is there.
        let table = [
            ("SYN-ACK", SYN | ACK, -67, 0, 1, 0, false),
            ("refused", RST | ACK, -67, 0, 1, 0, false),
            ("data came first", ACK, -67, 0, 1, 1, false),
            ("part of the header", ACK, -10, 0, 1, 1, false),
            ("the server speaks first", ACK, -67, 20, 1, 0, false),
            ("the server ends", ACK | FIN, -67, 0, 1, 0, false),
            ("the header is there", ACK, 1, 0, 1, 0, true),
            ("and data", ACK, 101, 30, 101, 0, true),
            ("reset later", RST | ACK, 1, 0, 1, 0, false),
            ("reset without acknowledgement", RST, -67, 0, -67, 0, false),
            ("of another connection", ACK, -5_000, 0, -5_000, 0, false),
        ];
        for initial in INITIAL {
            let at = |place: i32| initial.wrapping_add_signed(place);
            for (name, flags, acknowledges, payload, becomes, back, has_arrived) in table {
                assert_eq!(
                    inward(initial, flags, 7_000, at(acknowledges), payload),
                    Inward { sequence: 7_000 - back, acknowledgement: at(becomes), has_arrived },
                    "{name}, first number {initial}"
                );
            }
        }
    }
}
