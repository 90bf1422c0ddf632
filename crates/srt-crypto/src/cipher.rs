//! Payload ciphers: what a mode does, and the key that a sender or receiver of packets holds.

use core::fmt;
use std::sync::Arc;

use crate::Salt;
use crate::backend::Backend;
use crate::error::{CipherError, KeyError};
use crate::key_length::KeyLength;
use crate::sek::Sek;

/// How payloads are encrypted. libsrt: option `SRTO_CRYPTOMODE`; the KMREQ's cipher field is 2 for CTR, 4 for GCM
/// (`HCRYPT_CIPHER_AES_CTR`, `HCRYPT_CIPHER_AES_GCM`, hcrypt_msg.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(
    clippy::exhaustive_enums,
    reason = "libsrt speaks two modes; who maps them to the wire must see a third"
)]
pub enum CipherMode {
    /// AES-CTR (draft §6.2): hides the payload, does not notice a change to it.
    Ctr,
    /// AES-GCM, libsrt's since 1.5.2: hides the payload, and notices a change to it or to the header.
    ///
    /// Bytes and nonce are those of libsrt 1.5.4 and later. libsrt 1.5.2 and 1.5.3 put only the upper half of the
    /// packet index into the nonce, so that 65,536 packets share one, which breaks GCM; 1.5.5 does as they did when
    /// its peer's version is at most 1.5.3 (crypto.cpp `m_bUseGcm153`). We do not: with such a peer use CTR.
    Gcm,
}

impl CipherMode {
    /// How many bytes sealing adds to a payload: 0 for CTR, 16 for GCM. libsrt: `HAICRYPT_AUTHTAG_MAX` (haicrypt.h).
    #[inline]
    pub const fn tag_len(self) -> usize {
        match self {
            Self::Ctr => 0,
            Self::Gcm => crate::gcm::TAG_LEN,
        }
    }
}

/// What a mode makes of a backend's key: the calls of [`PayloadKey`], where they are described.
pub(crate) trait PayloadCipher: Send + Sync {
    fn seal(
        &self,
        index: u32,
        associated: &[u8; 16],
        plain: &[u8],
        out: &mut [u8],
    ) -> Result<(), CipherError>;
    fn open(&self, index: u32, associated: &[u8; 16], in_place: &mut [u8]) -> Result<usize, CipherError>;
    fn open_into(
        &self,
        index: u32,
        associated: &[u8; 16],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<usize, CipherError>;
}

/// A SEK made ready for packets: its schedule is expanded once, and no call on it allocates.
///
/// The same key seals and opens, as libsrt uses one SEK for both directions of a connection. Clones share the
/// expanded key. It is wiped from memory when the last of them is dropped, as far as the backend does so.
///
/// `packet_index` is the packet's sequence number as a plain integer, 31 bits wide; it goes into the IV in
/// network order. `associated` is the packet's header as 16 bytes in network order, as it is on the wire **at its
/// first sending**: with the key flags set, the destination's socket ID and the timestamp in place, and the R flag
/// zero, also when a resent packet is opened (libsrt: core.cpp `packUniqueData`, `handleSocketPacketReception`). It
/// is the caller who builds both. CTR does not look at `associated`.
///
/// One key must not seal two different payloads under one packet index: in CTR that tells their difference, in
/// GCM it gives away the authentication key. A resent packet is therefore the same bytes again. libsrt keeps the rule
/// only where one side sends: a handshake of version 5 gives both directions the same SEK and salt (hcrypt.c
/// `HaiCrypt_Clone`), and both begin at the same sequence number.
///
/// ```
/// use srt_crypto::{CipherMode, Kek, KeyLength, Passphrase, PayloadKey, Sek};
///
/// // The caller: a salt and a SEK from a source of randomness, the KEK from the passphrase.
/// let (salt, sek) = ([0x5A; 16], Sek::new(&[0xC3; 32])?); // in earnest: random
/// let kek = Kek::derive(&Passphrase::new(b"correct horse battery")?, &salt, KeyLength::Aes256);
/// let wrapped = kek.wrap(&sek)?; // travels in the KMREQ, beside the salt
///
/// // The peer, who has the same passphrase and got `salt` and `wrapped`.
/// let kek = Kek::derive(&Passphrase::new(b"correct horse battery")?, &salt, KeyLength::Aes256);
/// let theirs = PayloadKey::new(CipherMode::Gcm, &kek.unwrap(wrapped.as_bytes())?, &salt)?;
///
/// let ours = PayloadKey::new(CipherMode::Gcm, &sek, &salt)?;
/// let header = [0; 16]; // in earnest: the packet's own
/// let mut datagram = [0; 7 + 16];
/// ours.seal(42, &header, b"payload", &mut datagram)?;
/// let len = theirs.open(42, &header, &mut datagram)?;
/// assert_eq!(&datagram[..len], b"payload");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct PayloadKey {
    cipher: Arc<dyn PayloadCipher>,
    mode: CipherMode,
    length: KeyLength,
    backend: Backend,
}

impl PayloadKey {
    /// The longest payload: 65,536 blocks of 16 bytes, as far as the 16 bits of the block counter reach.
    pub const MAX_LEN: usize = 1 << 20;

    /// Expands `sek`; `salt` is the one of the KMREQ it came with.
    ///
    /// All three key lengths go with both modes. libsrt: so does 1.5.5, AES-192-GCM included
    /// (cryspr-openssl-evp.c, table of ciphers).
    ///
    /// # Errors
    /// [`KeyError::Backend`] when the backend has no such cipher, as one built to a policy of its own may not.
    pub fn new(mode: CipherMode, sek: &Sek, salt: &Salt) -> Result<Self, KeyError> {
        Self::with_backend(Backend::DEFAULT, mode, sek, salt)
    }

    /// [`new`](Self::new), by a backend of the caller's choice.
    ///
    /// # Errors
    /// As for [`new`](Self::new).
    pub fn with_backend(
        backend: Backend,
        mode: CipherMode,
        sek: &Sek,
        salt: &Salt,
    ) -> Result<Self, KeyError> {
        let cipher = backend.payload_cipher(mode, sek, salt)?;
        Ok(Self { cipher, mode, length: sek.key_length(), backend })
    }

    /// The mode of the key.
    pub fn mode(&self) -> CipherMode {
        self.mode
    }

    /// How many bytes sealing adds to a payload: 0 for CTR, 16 for GCM.
    #[inline]
    pub fn tag_len(&self) -> usize {
        self.mode.tag_len()
    }

    /// Encrypts `plain` into `out`, which has exactly `plain.len() + tag_len()` bytes; the tag comes last.
    ///
    /// # Errors
    /// [`CipherError::OutputLength`] when `out` has another length, [`CipherError::TooLong`] when `plain` has more than
    /// [`MAX_LEN`](Self::MAX_LEN) bytes. After either `out` is as it was.
    #[inline]
    pub fn seal(
        &self,
        packet_index: u32,
        associated: &[u8; 16],
        plain: &[u8],
        out: &mut [u8],
    ) -> Result<(), CipherError> {
        check_len(plain.len())?;
        let need = plain.len() + self.tag_len();
        if out.len() != need {
            return Err(CipherError::OutputLength { need, got: out.len() });
        }
        self.cipher.seal(packet_index, associated, plain, out).inspect_err(|_| out.fill(0))
    }

    /// Decrypts a sealed payload where it lies, and tells how many bytes of it are plain; the tag is left behind them.
    ///
    /// libsrt drops a packet whose plain length is 0 as if it had not been authentic (crypto.cpp `decrypt`); here
    /// that is for the caller to say.
    ///
    /// # Errors
    /// [`CipherError::TooShort`] when there is not even a tag, [`CipherError::TooLong`] beyond
    /// [`MAX_LEN`](Self::MAX_LEN); then the bytes are as they were. [`CipherError::Authentication`] when the tag
    /// is wrong; then they are all zero.
    #[inline]
    pub fn open(
        &self,
        packet_index: u32,
        associated: &[u8; 16],
        in_place: &mut [u8],
    ) -> Result<usize, CipherError> {
        self.plain_len(in_place.len())?;
        self.cipher.open(packet_index, associated, in_place).inspect_err(|_| in_place.fill(0))
    }

    /// Decrypts a sealed payload from where it lies into `out`, and tells how many bytes were written there.
    ///
    /// `out` may be longer than the plain payload; what is behind it is not touched.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and [`CipherError::OutputLength`] when `out` is too short. When the tag is wrong, so
    /// many bytes of `out` as the plain payload would take are zero.
    #[inline]
    pub fn open_into(
        &self,
        packet_index: u32,
        associated: &[u8; 16],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<usize, CipherError> {
        let need = self.plain_len(sealed.len())?;
        let got = out.len();
        let out = out.get_mut(..need).ok_or(CipherError::OutputLength { need, got })?;
        self.cipher.open_into(packet_index, associated, sealed, out).inspect_err(|_| out.fill(0))
    }

    /// How many of `sealed` bytes are plain, if so many can be a sealed payload.
    fn plain_len(&self, sealed: usize) -> Result<usize, CipherError> {
        let plain = sealed.checked_sub(self.tag_len()).ok_or(CipherError::TooShort)?;
        check_len(plain)?;
        Ok(plain)
    }
}

impl fmt::Debug for PayloadKey {
    /// Tells mode, length and backend, nothing of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PayloadKey({} {:?}, {:?})", self.length, self.mode, self.backend)
    }
}

fn check_len(plain: usize) -> Result<(), CipherError> {
    if plain <= PayloadKey::MAX_LEN { Ok(()) } else { Err(CipherError::TooLong) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const MODES: [CipherMode; 2] = [CipherMode::Ctr, CipherMode::Gcm];
    const HEADER: [u8; 16] = [0x11; 16];

    /// The key of one SEK in every backend, which must agree.
    fn keys(mode: CipherMode, sek: &[u8], salt: Salt) -> Vec<PayloadKey> {
        let sek = Sek::new(sek).unwrap();
        let key = |&backend| PayloadKey::with_backend(backend, mode, &sek, &salt).unwrap();
        Backend::ALL.iter().map(key).collect()
    }

    #[test]
    fn what_is_shorter_than_a_tag_does_not_open() {
        for key in keys(CipherMode::Gcm, &[1; 16], [2; 16]) {
            for len in 0..16 {
                assert_eq!(key.open(1, &HEADER, &mut vec![0; len]), Err(CipherError::TooShort));
                assert_eq!(
                    key.open_into(1, &HEADER, &vec![0; len], &mut [0; 64]),
                    Err(CipherError::TooShort)
                );
            }
        }
    }

    #[test]
    fn what_the_block_counter_does_not_reach_is_refused() {
        let longest = vec![3; PayloadKey::MAX_LEN];
        let longer = vec![3; PayloadKey::MAX_LEN + 1];
        for mode in MODES {
            let mut sealed = Vec::new();
            for key in keys(mode, &[1; 16], [0xFF; 16]) {
                let mut out = vec![0; longest.len() + key.tag_len()];
                key.seal(u32::MAX, &HEADER, &longest, &mut out).unwrap();
                sealed.push(out.clone());
                assert_eq!(key.open(u32::MAX, &HEADER, &mut out), Ok(longest.len()));
                assert_eq!(&out[..longest.len()], longest);

                let mut out = vec![0; longer.len() + key.tag_len()];
                assert_eq!(key.seal(1, &HEADER, &longer, &mut out), Err(CipherError::TooLong));
                assert_eq!(key.open(1, &HEADER, &mut out), Err(CipherError::TooLong));
                assert_eq!(key.open_into(1, &HEADER, &out.clone(), &mut out), Err(CipherError::TooLong));
            }
            assert!(sealed.windows(2).all(|pair| pair[0] == pair[1]), "the backends agree to the last block");
        }
    }

    #[test]
    fn room_of_the_wrong_length_is_an_error_and_stays_as_it_was() {
        for mode in MODES {
            for key in keys(mode, &[1; 16], [2; 16]) {
                let need = 100 + key.tag_len();
                for got in [0, 99, need - 1, need + 1] {
                    let mut out = vec![0xEE; got];
                    let expected = Err(CipherError::OutputLength { need, got });
                    assert_eq!(key.seal(1, &HEADER, &[0; 100], &mut out), expected);
                    assert!(out.iter().all(|&byte| byte == 0xEE));
                }
                let mut short = [0xEE; 99];
                let expected = Err(CipherError::OutputLength { need: 100, got: 99 });
                assert_eq!(key.open_into(1, &HEADER, &vec![0; need], &mut short), expected);
                assert_eq!(short, [0xEE; 99]);
            }
        }
    }

    #[test]
    fn the_same_payload_differs_under_another_packet_index() {
        for mode in MODES {
            let key = PayloadKey::new(mode, &Sek::new(&[1; 16]).unwrap(), &[2; 16]).unwrap();
            let mut sealed = Vec::new();
            for bit in 0..32 {
                let mut out = vec![0; 16 + key.tag_len()];
                key.seal(1 << bit, &HEADER, &[0; 16], &mut out).unwrap();
                assert!(!sealed.contains(&out));
                sealed.push(out);
            }
        }
    }

    #[test]
    fn debug_tells_nothing_of_the_key() {
        let key = PayloadKey::new(CipherMode::Gcm, &Sek::new(&[0xAB; 32]).unwrap(), &[0xCD; 16]).unwrap();
        assert_eq!(format!("{key:?}"), format!("PayloadKey(AES-256 Gcm, {:?})", Backend::DEFAULT));
    }

    #[test]
    fn keys_are_shared_between_threads() {
        fn shared<T: Clone + Send + Sync>() {}
        shared::<PayloadKey>();
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_and_the_backends_agree(
            gcm: bool, length in 0..3_usize, sek: [u8; 32], salt: Salt,
            index: u32, header: [u8; 16], plain in vec(any::<u8>(), 0..2000),
        ) {
            let sek = &sek[..[16, 24, 32][length]];
            let keys = keys(MODES[usize::from(gcm)], sek, salt);
            let mut first = None;
            for key in keys {
                let mut sealed = vec![0xEE; plain.len() + key.tag_len()];
                key.seal(index, &header, &plain, &mut sealed).unwrap();
                prop_assert_eq!(first.get_or_insert_with(|| sealed.clone()), &sealed);

                let mut out = vec![0xEE; plain.len() + 3];
                prop_assert_eq!(key.open_into(index, &header, &sealed, &mut out), Ok(plain.len()));
                prop_assert_eq!(&out[..plain.len()], &plain);
                prop_assert_eq!(&out[plain.len()..], [0xEE; 3]);
                prop_assert_eq!(key.open(index, &header, &mut sealed), Ok(plain.len()));
                prop_assert_eq!(&sealed[..plain.len()], &plain);
            }
        }

        #[test]
        fn a_flipped_bit_anywhere_fails_and_leaves_nothing_plain(
            sek: [u8; 16], salt: Salt, index: u32, header: [u8; 16], plain in vec(1_u8.., 0..200), flip: usize,
        ) {
            for key in keys(CipherMode::Gcm, &sek, salt) {
                let mut sealed = vec![0; plain.len() + 16];
                key.seal(index, &header, &plain, &mut sealed).unwrap();
                // A bit of the payload, the tag, the header or the packet index.
                let (mut header, mut index) = (header, index);
                let flip = flip % ((sealed.len() + 16 + 4) * 8);
                let (byte, mask) = (flip / 8, 1 << (flip % 8));
                if let Some(at) = sealed.get_mut(byte) {
                    *at ^= mask;
                } else if let Some(at) = header.get_mut(byte - sealed.len()) {
                    *at ^= mask;
                } else {
                    index ^= 1 << (flip - (sealed.len() + 16) * 8);
                }
                let mut out = vec![0xEE; plain.len() + 3];
                let failed = Err(CipherError::Authentication);
                prop_assert_eq!(key.open_into(index, &header, &sealed, &mut out), failed);
                prop_assert!(out[..plain.len()].iter().all(|&byte| byte == 0));
                prop_assert_eq!(&out[plain.len()..], [0xEE; 3]);
                prop_assert_eq!(key.open(index, &header, &mut sealed), failed);
                prop_assert!(sealed.iter().all(|&byte| byte == 0));
            }
        }

        #[test]
        fn no_bytes_from_a_peer_cause_a_panic(gcm: bool, index: u32, sealed in vec(any::<u8>(), 0..100)) {
            for key in keys(MODES[usize::from(gcm)], &[1; 16], [2; 16]) {
                let mut in_place = sealed.clone();
                let opened = key.open(index, &HEADER, &mut in_place);
                prop_assert_eq!(opened.is_ok(), !gcm);
                prop_assert_eq!(key.open_into(index, &HEADER, &sealed, &mut [0; 100]), opened);
            }
        }
    }
}
