//! The Internet checksum: RFC 1071, and RFC 1624 for its incremental update.
//!
//! Sums are 32-bit accumulators of 16-bit words in memory order, so they work
//! on bytes as they stand in the packet, whatever the host's byte order
//! (RFC 1071 section 2, "byte order independence").

/// Folds an accumulator to 16 bits, without complementing it.
#[inline(always)]
pub const fn fold(sum: u32) -> u16 {
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// Folds a sum of 32-bit words, fewer than 2^32 of them: 2^16 and 2^32 count as one alike.
#[inline(always)]
pub const fn fold64(sum: u64) -> u16 {
    fold(add(sum as u32, (sum >> 32) as u32))
}

/// Adds two accumulators, with the carry brought round.
#[inline(always)]
pub const fn add(a: u32, b: u32) -> u32 {
    let sum = a as u64 + b as u64;
    (sum as u32).wrapping_add((sum >> 32) as u32)
}

/// The accumulator of a 32-bit word.
#[inline(always)]
pub const fn word(word: u32) -> u32 {
    (word & 0xffff) + (word >> 16)
}

/// What changing `old` to `new` does to a sum: add it with [`apply`].
#[inline(always)]
pub const fn diff32(old: u32, new: u32) -> u32 {
    add(word(!old), word(new))
}

/// Like [`diff32`] for a 16-bit word.
#[inline(always)]
pub const fn diff16(old: u16, new: u16) -> u32 {
    (!old) as u32 + new as u32
}

/// Updates a checksum field by a difference (RFC 1624, equation 3).
#[inline(always)]
pub const fn apply(check: u16, diff: u32) -> u16 {
    !fold(add((!check) as u32, diff))
}

/// The checksum that is right by itself over bytes which sum up to `rest` without it: a device that
/// completes it, or a receiver that does not, finds the same.
///
/// Completion makes it `!(rest + field)`, so the field is half of `-rest`; and to halve is to rotate,
/// since the modulus, 2^16 - 1, is odd.
#[inline(always)]
pub const fn settled(rest: u32) -> u16 {
    (!fold(rest)).rotate_right(1)
}

/// Accumulator of the TCP or UDP pseudo-header (RFC 9293 section 3.1).
/// Addresses in memory order, length in host order.
#[inline(always)]
pub const fn pseudo_header(source: u32, destination: u32, protocol: u8, length: u16) -> u32 {
    add(add(word(source), word(destination)), (protocol as u16).to_be() as u32 + length.to_be() as u32)
}

/// Accumulator over bytes; an odd last byte is padded with zero.
pub fn bytes(data: &[u8]) -> u32 {
    let mut sum = 0u32;
    let (words, rest) = data.as_chunks::<2>();
    for pair in words {
        sum = add(sum, u16::from_ne_bytes(*pair) as u32);
    }
    if let [last] = rest {
        sum = add(sum, u16::from_ne_bytes([*last, 0]) as u32);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 1071 section 3 works this example.
    #[test]
    fn rfc_1071_example() {
        let data = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(fold(bytes(&data)).to_ne_bytes(), [0xdd, 0xf2]);
    }

    #[test]
    fn completion_leaves_a_settled_checksum_as_it_is() {
        for rest in (0..=u16::MAX).map(u32::from).chain([u32::MAX, 0x1_2345, 0xffff_0000]) {
            let field = settled(rest);
            let completed = !fold(add(rest, field.into()));
            assert!(
                completed == field || completed ^ field == 0xffff && [0, 0xffff].contains(&field),
                "{rest:x}"
            );
        }
    }

    #[test]
    fn incremental_update_equals_full_sum() {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..20_000 {
            let mut packet = [0u8; 20];
            for byte in &mut packet {
                seed ^= seed << 13;
                seed ^= seed >> 7;
                seed ^= seed << 17;
                *byte = seed as u8;
            }
            let before = !fold(bytes(&packet));
            let old = u32::from_ne_bytes([packet[4], packet[5], packet[6], packet[7]]);
            let new = seed as u32;
            packet[4..8].copy_from_slice(&new.to_ne_bytes());
            let after = !fold(bytes(&packet));
            let got = apply(before, diff32(old, new));
            // Zero has two representations in ones' complement.
            assert!(got == after || (got == 0 && after == 0xffff) || (got == 0xffff && after == 0));
        }
    }
}
