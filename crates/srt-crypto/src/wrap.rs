//! SEKs on their way: one or two of them, wrapped under a [`Kek`] (RFC 3394, draft §6.1.5).
//!
//! Two SEKs travel as one text, the even one first (libsrt: `hcryptCtx_Tx_AsmKM`, hcrypt_ctx_tx.c), and are always as
//! long as the KEK. How many there are and how long is told by the KMREQ's KK and KLen, which the caller has read.

use core::fmt;

use zeroize::Zeroizing;

use crate::backend::Backend;
use crate::error::{KeyError, UnwrapError};
use crate::kek::Kek;
use crate::sek::{Sek, same_bytes};

/// How many bytes wrapping adds: the check value. libsrt: `HAICRYPT_WRAPKEY_SIGN_SZ` (haicrypt.h).
pub const CHECK_LEN: usize = 8;

/// The most bytes that wrapped SEKs take: two of 32 bytes and the check value.
pub const MAX_WRAPPED_LEN: usize = 2 * 32 + CHECK_LEN;

/// One or two SEKs as they go into a KMREQ: 24 to 72 bytes, no secret any more.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct WrappedSeks {
    bytes: [u8; MAX_WRAPPED_LEN],
    len: usize,
}

impl WrappedSeks {
    /// The wrapped bytes: `8 + KLen` of them for one key, `8 + 2 · KLen` for two.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Debug for WrappedSeks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WrappedSeks({} bytes)", self.len)
    }
}

impl Kek {
    /// Wraps one SEK, even or odd.
    ///
    /// # Errors
    /// [`KeyError::LengthsDiffer`] when the SEK is not as long as the KEK.
    pub fn wrap(&self, sek: &Sek) -> Result<WrappedSeks, KeyError> {
        self.wrap_with(Backend::DEFAULT, &[sek])
    }

    /// Wraps two SEKs, as announced before a key is changed.
    ///
    /// # Errors
    /// [`KeyError::LengthsDiffer`] when one of the SEKs is not as long as the KEK.
    pub fn wrap_both(&self, even: &Sek, odd: &Sek) -> Result<WrappedSeks, KeyError> {
        self.wrap_with(Backend::DEFAULT, &[even, odd])
    }

    /// Unwraps one SEK.
    ///
    /// # Errors
    /// [`UnwrapError::Length`] when `wrapped` cannot be one key of the KEK's length, [`UnwrapError::Integrity`]
    /// when it was not wrapped under this KEK.
    pub fn unwrap(&self, wrapped: &[u8]) -> Result<Sek, UnwrapError> {
        let plain = self.unwrap_with(Backend::DEFAULT, 1, wrapped)?;
        Ok(sek(&plain))
    }

    /// Unwraps two SEKs: the even one, and the odd one.
    ///
    /// # Errors
    /// [`UnwrapError::Length`] when `wrapped` cannot be two keys of the KEK's length, [`UnwrapError::Integrity`]
    /// when they were not wrapped under this KEK.
    pub fn unwrap_both(&self, wrapped: &[u8]) -> Result<(Sek, Sek), UnwrapError> {
        let plain = self.unwrap_with(Backend::DEFAULT, 2, wrapped)?;
        let (even, odd) = plain.split_at(self.key_length().bytes());
        Ok((sek(even), sek(odd)))
    }

    /// `seks` are one or two.
    fn wrap_with(&self, backend: Backend, seks: &[&Sek]) -> Result<WrappedSeks, KeyError> {
        let each = self.key_length().bytes();
        let mut plain = Zeroizing::new([0; MAX_WRAPPED_LEN - CHECK_LEN]);
        for (room, sek) in plain.chunks_exact_mut(each).zip(seks) {
            if sek.key_length() != self.key_length() {
                return Err(KeyError::LengthsDiffer { sek: sek.key_length(), kek: self.key_length() });
            }
            room.copy_from_slice(sek.bytes());
        }
        let len = seks.len() * each;
        let mut wrapped = WrappedSeks { bytes: [0; MAX_WRAPPED_LEN], len: len + CHECK_LEN };
        backend.wrap(self.bytes(), &plain[..len], &mut wrapped.bytes[..len + CHECK_LEN]);
        Ok(wrapped)
    }

    /// The plain bytes of `count` SEKs, one or two.
    fn unwrap_with(
        &self,
        backend: Backend,
        count: usize,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Box<[u8]>>, UnwrapError> {
        let len = count * self.key_length().bytes();
        if wrapped.len() != len + CHECK_LEN {
            return Err(UnwrapError::Length { need: len + CHECK_LEN, got: wrapped.len() });
        }
        let mut plain = Zeroizing::new(vec![0; len].into_boxed_slice());
        if backend.unwrap(self.bytes(), wrapped, &mut plain) {
            Ok(plain)
        } else {
            Err(UnwrapError::Integrity)
        }
    }
}

fn sek(bytes: &[u8]) -> Sek {
    Sek::new(bytes).expect("a key as long as the KEK has the length of an AES key")
}

/// AES on one block, both ways; what RFC 3394 is built from.
///
/// Neither backend's own key wrap has all three key lengths behind one interface, and this one works on a few
/// dozen blocks once per key: the same twenty lines serve both.
pub(crate) trait AesBlock {
    fn encrypt(&self, block: &mut [u8; 16]);
    fn decrypt(&self, block: &mut [u8; 16]);
}

/// RFC 3394 §2.2.1: wraps `plain`, some words of 8 bytes, into `wrapped`, which is [`CHECK_LEN`] bytes longer.
pub(crate) fn rfc3394_wrap(aes: &impl AesBlock, plain: &[u8], wrapped: &mut [u8]) {
    debug_assert!(plain.len().is_multiple_of(8) && wrapped.len() == plain.len() + CHECK_LEN);
    let mut block = Zeroizing::new([0; 16]);
    block[..8].copy_from_slice(&CHECK);
    let words = &mut wrapped[CHECK_LEN..];
    words.copy_from_slice(plain);
    let mut step = 0_u64;
    for _ in 0..ROUNDS {
        for word in words.chunks_exact_mut(8) {
            step += 1;
            block[8..].copy_from_slice(word);
            aes.encrypt(&mut block);
            count_in(&mut block, step);
            word.copy_from_slice(&block[8..]);
        }
    }
    wrapped[..CHECK_LEN].copy_from_slice(&block[..8]);
}

/// RFC 3394 §2.2.2: unwraps into `plain`, which is [`CHECK_LEN`] bytes shorter; says whether the check value
/// is right. If it is not, `plain` is left all zeros.
pub(crate) fn rfc3394_unwrap(aes: &impl AesBlock, wrapped: &[u8], plain: &mut [u8]) -> bool {
    debug_assert!(plain.len().is_multiple_of(8) && wrapped.len() == plain.len() + CHECK_LEN);
    let (check, words) = wrapped.split_at(CHECK_LEN);
    let mut block = Zeroizing::new([0; 16]);
    block[..8].copy_from_slice(check);
    plain.copy_from_slice(words);
    let mut step = (ROUNDS * plain.len() / 8) as u64;
    for _ in 0..ROUNDS {
        for word in plain.chunks_exact_mut(8).rev() {
            count_in(&mut block, step);
            block[8..].copy_from_slice(word);
            aes.decrypt(&mut block);
            word.copy_from_slice(&block[8..]);
            step -= 1;
        }
    }
    let right = same_bytes(&block[..8], &CHECK);
    if !right {
        plain.fill(0);
    }
    right
}

/// Mixes the number of the step into the upper half of the block.
fn count_in(block: &mut [u8; 16], step: u64) {
    for (byte, count) in block.iter_mut().zip(step.to_be_bytes()) {
        *byte ^= count;
    }
}

/// The check value of RFC 3394 §2.2.3.1.
const CHECK: [u8; CHECK_LEN] = [0xA6; CHECK_LEN];

/// How often RFC 3394 goes over all words.
const ROUNDS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_length::KeyLength;
    use crate::passphrase::Passphrase;
    use crate::testing::hex;
    use proptest::prelude::*;

    /// RFC 3394 §4.1 to §4.6: length of the KEK, key data, ciphertext. All KEKs are 00 01 02 ….
    const RFC3394: [(usize, &str, &str); 6] = [
        (16, "00112233445566778899AABBCCDDEEFF", "1FA68B0A8112B447 AEF34BD8FB5A7B82 9D3E862371D2CFE5"),
        (24, "00112233445566778899AABBCCDDEEFF", "96778B25AE6CA435 F92B5B97C050AED2 468AB8A17AD84E5D"),
        (32, "00112233445566778899AABBCCDDEEFF", "64E8C3F9CE0F5BA2 63E9777905818A2A 93C8191E7D6E8AE7"),
        (
            24,
            "00112233445566778899AABBCCDDEEFF0001020304050607",
            "031D33264E15D332 68F24EC260743EDC E1C6C7DDEE725A93 6BA814915C6762D2",
        ),
        (
            32,
            "00112233445566778899AABBCCDDEEFF0001020304050607",
            "A8F9BC1612C68B3F F6E6F4FBE30E71E4 769C8B80A32CB895 8CD5D17D6B254DA1",
        ),
        (
            32,
            "00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F",
            "28C9F404C4B810F4 CBCCB35CFB87F826 3F5786E2D80ED326 CBC7F0E71A99F43B FB988B9B7A02DD21",
        ),
    ];

    #[test]
    fn the_examples_of_rfc_3394_come_out() {
        for &backend in Backend::ALL {
            for (kek_len, data, wrapped) in RFC3394 {
                let kek: Vec<u8> = (0..32).take(kek_len).collect();
                let (data, wrapped) = (hex(data), hex(wrapped));
                let mut out = vec![0; wrapped.len()];
                backend.wrap(&kek, &data, &mut out);
                assert_eq!(out, wrapped, "{backend:?}");
                let mut out = vec![0; data.len()];
                assert!(backend.unwrap(&kek, &wrapped, &mut out), "{backend:?}");
                assert_eq!(out, data, "{backend:?}");
            }
        }
    }

    fn kek(length: KeyLength) -> Kek {
        Kek::derive(&Passphrase::new(b"a long passphrase").unwrap(), &[3; 16], length)
    }

    #[test]
    fn keys_of_another_length_than_the_kek_are_not_wrapped() {
        let (kek, short, long) =
            (kek(KeyLength::Aes192), Sek::new(&[1; 16]).unwrap(), Sek::new(&[1; 32]).unwrap());
        let fits = Sek::new(&[1; 24]).unwrap();
        let differ = |sek| KeyError::LengthsDiffer { sek, kek: KeyLength::Aes192 };
        assert_eq!(kek.wrap(&short).unwrap_err(), differ(KeyLength::Aes128));
        assert_eq!(kek.wrap_both(&fits, &long).unwrap_err(), differ(KeyLength::Aes256));
    }

    #[test]
    fn wrapped_keys_of_any_other_length_are_refused() {
        for length in [KeyLength::Aes128, KeyLength::Aes192, KeyLength::Aes256] {
            let (kek, each) = (kek(length), length.bytes());
            for got in 0..200 {
                let wrapped = vec![0xA6; got];
                let one = kek.unwrap(&wrapped).unwrap_err();
                let both = kek.unwrap_both(&wrapped).unwrap_err();
                let expect = |need| {
                    if got == need { UnwrapError::Integrity } else { UnwrapError::Length { need, got } }
                };
                assert_eq!((one, both), (expect(8 + each), expect(8 + 2 * each)));
            }
        }
    }

    #[test]
    fn another_passphrase_does_not_unwrap() {
        let wrapped = kek(KeyLength::Aes128).wrap(&Sek::new(&[1; 16]).unwrap()).unwrap();
        let other =
            Kek::derive(&Passphrase::new(b"a wrong passphrase").unwrap(), &[3; 16], KeyLength::Aes128);
        assert_eq!(other.unwrap(wrapped.as_bytes()), Err(UnwrapError::Integrity));
    }

    proptest! {
        #[test]
        fn what_was_wrapped_unwraps_and_no_flipped_bit_does(
            bytes: [u8; 64], length in 0..3_usize, flip in 0..72_usize * 8,
        ) {
            let length = [KeyLength::Aes128, KeyLength::Aes192, KeyLength::Aes256][length];
            let kek = Kek::of_bytes(&bytes[..length.bytes()]);
            let (even, odd) = bytes.split_at(32);
            let (even, odd) = (Sek::new(&even[..length.bytes()]).unwrap(), Sek::new(&odd[..length.bytes()]).unwrap());
            for &backend in Backend::ALL {
                prop_assert_eq!(kek.wrap_with(backend, &[&even]).unwrap(), kek.wrap(&even).unwrap());
                prop_assert_eq!(kek.wrap_with(backend, &[&even, &odd]).unwrap(), kek.wrap_both(&even, &odd).unwrap());
            }
            let wrapped = kek.wrap(&even).unwrap();
            prop_assert_eq!(kek.unwrap(wrapped.as_bytes()).unwrap(), even.clone());
            let wrapped = kek.wrap_both(&even, &odd).unwrap();
            prop_assert_eq!(kek.unwrap_both(wrapped.as_bytes()).unwrap(), (even, odd));
            let mut broken = wrapped.as_bytes().to_vec();
            let flip = flip % (broken.len() * 8);
            broken[flip / 8] ^= 1 << (flip % 8);
            for &backend in Backend::ALL {
                prop_assert_eq!(kek.unwrap_with(backend, 2, &broken).unwrap_err(), UnwrapError::Integrity);
            }
        }
    }
}
