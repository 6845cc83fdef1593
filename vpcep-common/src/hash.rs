//! SipHash-1-3 of one or two words: the keyed hash wherever an outsider can
//! choose the input (Aumasson and Bernstein, "SipHash: a fast short-input PRF";
//! 1-3 is the variant of the Linux hash tables, include/linux/siphash.h).

const fn round(mut v: [u64; 4]) -> [u64; 4] {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
    v
}

/// Hash of two words under a key.
#[inline(always)]
pub const fn siphash(key: [u64; 2], a: u64, b: u64) -> u64 {
    let mut v = [
        key[0] ^ 0x736f_6d65_7073_6575,
        key[1] ^ 0x646f_7261_6e64_6f6d,
        key[0] ^ 0x6c79_6765_6e65_7261,
        key[1] ^ 0x7465_6462_7974_6573,
    ];
    let length = 16u64 << 56;
    v[3] ^= a;
    v = round(v);
    v[0] ^= a;
    v[3] ^= b;
    v = round(v);
    v[0] ^= b;
    v[3] ^= length;
    v = round(v);
    v[0] ^= length;
    v[2] ^= 0xff;
    v = round(v);
    v = round(v);
    v = round(v);
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;

    #[test]
    fn every_input_bit_flips_about_half_the_output() {
        let key = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let mut total = 0;
        for bit in 0..128 {
            let (a, b) = if bit < 64 { (1u64 << bit, 0) } else { (0, 1u64 << (bit - 64)) };
            total += (siphash(key, 0, 0) ^ siphash(key, a, b)).count_ones();
        }
        let mean = f64::from(total) / 128.0;
        assert!((30.0..34.0).contains(&mean), "mean of flipped bits is {mean}");
        assert_ne!(siphash(key, 1, 2), siphash([1, 2], 1, 2));
    }
}
