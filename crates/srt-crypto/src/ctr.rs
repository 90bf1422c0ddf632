//! AES-CTR over one payload (draft §6.2.1, §6.2.2).
//!
//! ```text
//!        0   1   2   3   4   5   6   7   8   9  10  11  12  13  14  15
//!      +---+---+---+---+---+---+---+---+---+---+---+---+---+---+---+---+
//!      |            first 112 bits (14 bytes) of the salt      | 0   0 |
//!      +---+---+---+---+---+---+---+---+---+---+---+---+---+---+---+---+
//! xor  | 0   0   0   0   0   0   0   0   0   0 |  packet index | block |
//!      +---+---+---+---+---+---+---+---+---+---+---+---+---+---+---+---+
//! ```
//! The packet index is in network order, the block counter starts at 0 with every packet. libsrt: `hcrypt_SetCtrIV`
//! (hcrypt.h), fed by `hcryptMsg_SRT_GetPki` (hcrypt_xpt_srt.c), which turns the sequence number from host into
//! network order.

use crate::Salt;
use crate::cipher::PayloadCipher;
use crate::error::CipherError;

/// AES-CTR of a backend: one expanded key, any IV.
pub(crate) trait CtrKey: Send + Sync {
    /// Adds the key stream to `input`, giving `out`, which is as long.
    fn apply(&self, iv: [u8; 16], input: &[u8], out: &mut [u8]) -> Result<(), CipherError>;
    /// Adds the key stream to the data where it lies.
    fn apply_in_place(&self, iv: [u8; 16], data: &mut [u8]) -> Result<(), CipherError>;
}

/// A key, and the salt's part of every IV.
pub(crate) struct Ctr<K> {
    key: K,
    salt_part: u128,
}

impl<K> Ctr<K> {
    pub(crate) fn new(key: K, salt: &Salt) -> Self {
        Self { key, salt_part: u128::from_be_bytes(*salt) & !0xFFFF }
    }

    fn iv(&self, packet_index: u32) -> [u8; 16] {
        (self.salt_part ^ (u128::from(packet_index) << 16)).to_be_bytes()
    }
}

impl<K: CtrKey> PayloadCipher for Ctr<K> {
    fn seal(&self, index: u32, _: &[u8; 16], plain: &[u8], out: &mut [u8]) -> Result<(), CipherError> {
        self.key.apply(self.iv(index), plain, out)
    }

    fn open(&self, index: u32, _: &[u8; 16], in_place: &mut [u8]) -> Result<usize, CipherError> {
        self.key.apply_in_place(self.iv(index), in_place)?;
        Ok(in_place.len())
    }

    fn open_into(
        &self,
        index: u32,
        _: &[u8; 16],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<usize, CipherError> {
        self.key.apply(self.iv(index), sealed, out)?;
        Ok(out.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_iv_is_the_salt_with_the_packet_index_mixed_in_and_a_block_counter_of_zero() {
        let salt =
            [0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F];
        let mut expected = salt;
        expected[10] ^= 0x7E;
        expected[11] ^= 0xDC;
        expected[12] ^= 0xBA;
        expected[13] ^= 0x98;
        (expected[14], expected[15]) = (0, 0);
        assert_eq!(Ctr::new((), &salt).iv(0x7EDC_BA98), expected);
    }
}
