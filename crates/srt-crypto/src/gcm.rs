//! AES-GCM over one payload and its header; libsrt's, not in the draft.
//!
//! ```text
//!        0   1   2   3   4   5   6   7   8   9  10  11
//!      +---+---+---+---+---+---+---+---+---+---+---+---+
//!      |     first 96 bits (12 bytes) of the salt      |
//!      +---+---+---+---+---+---+---+---+---+---+---+---+
//! xor  | 0   0   0   0   0   0   0   0 |  packet index |
//!      +---+---+---+---+---+---+---+---+---+---+---+---+
//! ```
//! The packet index is in network order. A sealed payload is the encrypted payload and 16 bytes of tag. The associated
//! data are the 16 bytes of the header in network order with the R flag zero. libsrt, since 1.5.4: `hcrypt_SetGcmIV`
//! (hcrypt.h), `crysprFallback_MsEncrypt` and `crysprFallback_MsDecrypt` (cryspr.c; it keeps the header's four words in
//! host order, and `htonl` over each gives network order).

use crate::Salt;
use crate::cipher::PayloadCipher;
use crate::error::CipherError;

/// Length of the tag, in bytes. libsrt: `HAICRYPT_AUTHTAG_MAX` (haicrypt.h).
pub(crate) const TAG_LEN: usize = 16;

/// AES-GCM of a backend: one expanded key, any nonce of 12 bytes, any associated data.
pub(crate) trait GcmKey: Send + Sync {
    /// Encrypts `plain` into `out`, which is as long.
    fn seal(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        plain: &[u8],
        out: &mut [u8],
        tag: &mut [u8; TAG_LEN],
    ) -> Result<(), CipherError>;
    /// Decrypts `data` where it lies; after an error its content is of no meaning, and may be the plain payload.
    fn open(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), CipherError>;
    /// Decrypts `sealed` into `out`, which is as long; after an error its content is of no meaning.
    fn open_into(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        sealed: &[u8],
        tag: &[u8; TAG_LEN],
        out: &mut [u8],
    ) -> Result<(), CipherError>;
}

/// A key, and the salt's part of every nonce.
pub(crate) struct Gcm<K> {
    key: K,
    salt_part: u128,
}

impl<K> Gcm<K> {
    pub(crate) fn new(key: K, salt: &Salt) -> Self {
        Self { key, salt_part: u128::from_be_bytes(*salt) >> 32 }
    }

    fn nonce(&self, packet_index: u32) -> [u8; 12] {
        let [_, _, _, _, nonce @ ..] = (self.salt_part ^ u128::from(packet_index)).to_be_bytes();
        nonce
    }
}

impl<K: GcmKey> PayloadCipher for Gcm<K> {
    fn seal(
        &self,
        index: u32,
        associated: &[u8; 16],
        plain: &[u8],
        out: &mut [u8],
    ) -> Result<(), CipherError> {
        let need = plain.len() + TAG_LEN;
        let got = out.len();
        let (out, tag) = out.split_last_chunk_mut().ok_or(CipherError::OutputLength { need, got })?;
        self.key.seal(self.nonce(index), associated, plain, out, tag)
    }

    fn open(&self, index: u32, associated: &[u8; 16], in_place: &mut [u8]) -> Result<usize, CipherError> {
        let (data, tag) = in_place.split_last_chunk_mut().ok_or(CipherError::TooShort)?;
        self.key.open(self.nonce(index), associated, data, tag)?;
        Ok(data.len())
    }

    fn open_into(
        &self,
        index: u32,
        associated: &[u8; 16],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<usize, CipherError> {
        let (data, tag) = sealed.split_last_chunk().ok_or(CipherError::TooShort)?;
        self.key.open_into(self.nonce(index), associated, data, tag, out)?;
        Ok(out.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nonce_is_the_salt_with_the_packet_index_mixed_into_its_last_four_bytes() {
        let salt =
            [0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F];
        let expected = [
            0x10,
            0x11,
            0x12,
            0x13,
            0x14,
            0x15,
            0x16,
            0x17,
            0x18 ^ 0x7E,
            0x19 ^ 0xDC,
            0x1A ^ 0xBA,
            0x1B ^ 0x98,
        ];
        assert_eq!(Gcm::new((), &salt).nonce(0x7EDC_BA98), expected);
    }
}
