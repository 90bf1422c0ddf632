//! Key material: what KMREQ and KMRSP carry, in the handshake and after (draft §3.2.2).
//!
//! ```text
//! |0|Vers |  PT   |         signature "HAI"         |  resv |KK |
//! |                            KEKI                             |
//! |     cipher    |      auth     |      SE       |    resv     |
//! |            resv               |    salt/4     |    key/4    |
//! |                    salt (16 bytes)                          |
//! |            the keys, wrapped: even before odd               |
//! ```
//!
//! The answer to a KMREQ repeats it to the byte, or says in one word why it was of no use.

use srt_crypto::{CipherMode, KeyLength, Salt, wrap::CHECK_LEN};

use super::KeyFlag;

/// Which of the two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there are two keys")]
pub enum Parity {
    /// The even key.
    Even = 0,
    /// The odd key.
    Odd = 1,
}

impl Parity {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Even => Self::Odd,
            Self::Odd => Self::Even,
        }
    }

    /// What a packet under this key says in its KK bits.
    #[must_use]
    pub const fn flag(self) -> KeyFlag {
        match self {
            Self::Even => KeyFlag::Even,
            Self::Odd => KeyFlag::Odd,
        }
    }

    /// The key that the KK bits of a packet name. libsrt: takes both bits for the odd key.
    #[must_use]
    pub const fn of(flag: KeyFlag) -> Option<Self> {
        match flag {
            KeyFlag::None => None,
            KeyFlag::Even => Some(Self::Even),
            KeyFlag::Odd | KeyFlag::Reserved => Some(Self::Odd),
        }
    }
}

/// The keys that a message carries: the KK field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "two bits, of which one at least is set")]
pub enum CarriedKeys {
    /// One of them.
    One(Parity),
    /// Both, the even one first.
    Both,
}

impl CarriedKeys {
    const fn count(self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Both => 2,
        }
    }
}

/// What a KMREQ says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "these are the fields of the message")]
pub struct KeyMaterial<'a> {
    /// The keys it carries.
    pub keys: CarriedKeys,
    /// The cipher they are for.
    pub mode: CipherMode,
    /// The length of each key, and of the one they are wrapped with.
    pub key_length: KeyLength,
    /// The salt.
    pub salt: Salt,
    /// The keys, wrapped.
    pub wrapped: &'a [u8],
}

/// Why key material was thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyMaterialError {
    /// It is shorter than its fixed part.
    #[error("key material needs 32 bytes and the keys, got {0}")]
    Truncated(usize),
    /// Version, type or signature are not those of key material.
    #[error("not key material")]
    NotKeyMaterial,
    /// It carries no key.
    #[error("key material without a key")]
    NoKey,
    /// A cipher, a way to authenticate, or a transport that SRT does not have.
    #[error("key material for cipher {cipher}, authentication {auth}, encapsulation {encapsulation}")]
    Unsupported {
        /// 2 is AES-CTR, 4 AES-GCM.
        cipher: u8,
        /// 0 with AES-CTR, 1 with AES-GCM.
        auth: u8,
        /// 2 is SRT.
        encapsulation: u8,
    },
    /// No key is this long.
    #[error("key material with keys of {0} bytes")]
    KeyLength(usize),
    /// No salt is this long. libsrt: takes shorter ones, and sends none but of 16.
    #[error("key material with a salt of {0} bytes")]
    SaltLength(usize),
    /// The wrapped keys are not as long as they have to be.
    #[error("key material of {got} bytes, {need} are needed")]
    Length {
        /// Bytes of the whole message.
        need: usize,
        /// Bytes there are.
        got: usize,
    },
}

impl<'a> KeyMaterial<'a> {
    /// Reads a message whole.
    ///
    /// # Errors
    /// [`KeyMaterialError`] where anything about it is not as it has to be.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, KeyMaterialError> {
        let truncated = KeyMaterialError::Truncated(bytes.len());
        let (head, rest) = bytes.split_first_chunk::<FIXED>().ok_or(truncated)?;
        let (salt, wrapped) = rest.split_first_chunk::<SALT>().ok_or(truncated)?;
        let [
            first,
            sign_1,
            sign_2,
            keys,
            _,
            _,
            _,
            _,
            cipher,
            auth,
            encapsulation,
            _,
            _,
            _,
            salt_len,
            key_len,
        ] = *head;
        if [first, sign_1, sign_2] != START {
            return Err(KeyMaterialError::NotKeyMaterial);
        }
        let keys = match keys & 0b11 {
            1 => CarriedKeys::One(Parity::Even),
            2 => CarriedKeys::One(Parity::Odd),
            3 => CarriedKeys::Both,
            _ => return Err(KeyMaterialError::NoKey),
        };
        let mode = match (cipher, auth, encapsulation) {
            (AES_CTR, 0, SRT) => CipherMode::Ctr,
            (AES_GCM, 1, SRT) => CipherMode::Gcm,
            _ => return Err(KeyMaterialError::Unsupported { cipher, auth, encapsulation }),
        };
        let bytes_of = |words: u8| usize::from(words) * 4;
        if bytes_of(salt_len) != SALT {
            return Err(KeyMaterialError::SaltLength(bytes_of(salt_len)));
        }
        let key_bytes = bytes_of(key_len);
        let key_length =
            KeyLength::try_from(key_bytes).map_err(|_| KeyMaterialError::KeyLength(key_bytes))?;
        let need = FIXED + SALT + keys.count() * key_bytes + CHECK_LEN;
        if bytes.len() != need {
            return Err(KeyMaterialError::Length { need, got: bytes.len() });
        }
        Ok(Self { keys, mode, key_length, salt: *salt, wrapped })
    }

    /// The message as it stands on the wire.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let keys = match self.keys {
            CarriedKeys::One(Parity::Even) => 1,
            CarriedKeys::One(Parity::Odd) => 2,
            CarriedKeys::Both => 3,
        };
        let (cipher, auth) = match self.mode {
            CipherMode::Ctr => (AES_CTR, 0),
            CipherMode::Gcm => (AES_GCM, 1),
        };
        let words = |bytes: usize| u8::try_from(bytes / 4).unwrap_or(u8::MAX);
        let mut out = Vec::with_capacity(KEY_MATERIAL_MAX);
        out.extend_from_slice(&START);
        out.extend_from_slice(&[keys, 0, 0, 0, 0, cipher, auth, SRT, 0, 0, 0]);
        out.extend_from_slice(&[words(SALT), words(self.key_length.bytes())]);
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(self.wrapped);
        out
    }
}

/// How the exchange of keys stands, for one direction (`SRT_KM_STATE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "these are libsrt's states")]
pub enum KmState {
    /// Nothing is encrypted.
    #[default]
    Unsecured = 0,
    /// Keys are being exchanged.
    Securing = 1,
    /// Keys are known at both ends.
    Secured = 2,
    /// This direction is encrypted, and one end has no passphrase.
    NoSecret = 3,
    /// The passphrases differ.
    BadSecret = 4,
    /// The ciphers differ.
    BadCryptoMode = 5,
}

impl KmState {
    const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Unsecured,
            1 => Self::Securing,
            2 => Self::Secured,
            3 => Self::NoSecret,
            4 => Self::BadSecret,
            5 => Self::BadCryptoMode,
            _ => return None,
        })
    }

    /// The one word of a KMRSP: little-endian, for libsrt swaps it once too often.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 4] {
        (self as u32).to_le_bytes()
    }
}

/// What a KMRSP says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it is one or the other")]
pub enum KeyMaterialAnswer<'a> {
    /// The KMREQ again: it was understood.
    Echo(&'a [u8]),
    /// Why it was of no use; `None` for a word that says nothing known.
    Status(Option<KmState>),
}

impl<'a> KeyMaterialAnswer<'a> {
    /// Reads a KMRSP. A word in network order is taken as well: the draft has it so.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Self {
        match <[u8; 4]>::try_from(bytes) {
            Ok(word) => Self::Status(
                KmState::from_number(u32::from_le_bytes(word))
                    .or_else(|| KmState::from_number(u32::from_be_bytes(word))),
            ),
            Err(_) => Self::Echo(bytes),
        }
    }
}

/// The longest key material, in bytes: two keys of 32. libsrt: overflows its stack where more comes.
pub const KEY_MATERIAL_MAX: usize = FIXED + SALT + 2 * 32 + CHECK_LEN;

/// Number of KMREQ among the handshake's extensions, and among the messages of a user-defined control packet.
pub const KMREQ: u16 = 3;
/// Number of KMRSP.
pub const KMRSP: u16 = 4;

const FIXED: usize = 16;
const SALT: usize = 16;
/// Version 1, type 2 (key material), and the signature.
const START: [u8; 3] = [0x12, 0x20, 0x29];
const AES_CTR: u8 = 2;
const AES_GCM: u8 = 4;
const SRT: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(wrapped: &[u8]) -> KeyMaterial<'_> {
        KeyMaterial {
            keys: CarriedKeys::One(Parity::Even),
            mode: CipherMode::Ctr,
            key_length: KeyLength::Aes128,
            salt: [7; 16],
            wrapped,
        }
    }

    #[test]
    fn the_bytes_are_those_of_libsrt() {
        let bytes = sample(&[9; 24]).to_bytes();
        assert_eq!(bytes[..16], [0x12, 0x20, 0x29, 1, 0, 0, 0, 0, 2, 0, 2, 0, 0, 0, 4, 4]);
        assert_eq!((bytes.len(), &bytes[16..32]), (56, &[7; 16][..]));
        let both = KeyMaterial {
            keys: CarriedKeys::Both,
            mode: CipherMode::Gcm,
            key_length: KeyLength::Aes256,
            ..sample(&[9; 72])
        };
        let bytes = both.to_bytes();
        assert_eq!(
            (bytes.len(), bytes[3], &bytes[8..16]),
            (KEY_MATERIAL_MAX, 3, &[4, 1, 2, 0, 0, 0, 4, 8][..])
        );
        assert_eq!(KeyMaterial::parse(&bytes), Ok(both));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = sample(&[9; 24]).to_bytes();
        let with = |at: usize, value: u8| {
            let mut bytes = good.clone();
            bytes[at] = value;
            KeyMaterial::parse(&bytes).unwrap_err()
        };
        assert_eq!(with(0, 0x92), KeyMaterialError::NotKeyMaterial);
        assert_eq!(with(2, 0x28), KeyMaterialError::NotKeyMaterial);
        assert_eq!(with(3, 0xFC), KeyMaterialError::NoKey);
        assert_eq!(with(3, 3), KeyMaterialError::Length { need: 72, got: 56 });
        assert_eq!(with(9, 1), KeyMaterialError::Unsupported { cipher: 2, auth: 1, encapsulation: 2 });
        assert_eq!(with(14, 3), KeyMaterialError::SaltLength(12));
        assert_eq!(with(15, 0), KeyMaterialError::KeyLength(0));
        assert_eq!(with(15, 5), KeyMaterialError::KeyLength(20));
        assert_eq!(with(15, 8), KeyMaterialError::Length { need: 72, got: 56 });
        assert_eq!(KeyMaterial::parse(&good[..31]), Err(KeyMaterialError::Truncated(31)));
        assert_eq!(KeyMaterial::parse(&good[..55]), Err(KeyMaterialError::Length { need: 56, got: 55 }));
    }

    #[test]
    fn a_word_is_a_status_in_either_order() {
        let status = |bytes: [u8; 4]| {
            KeyMaterialAnswer::parse(&bytes) == KeyMaterialAnswer::Status(Some(KmState::BadSecret))
        };
        assert!(status(KmState::BadSecret.to_bytes()) && status([4, 0, 0, 0]) && status([0, 0, 0, 4]));
        assert_eq!(KeyMaterialAnswer::parse(&[9; 4]), KeyMaterialAnswer::Status(None));
        assert_eq!(KeyMaterialAnswer::parse(&[]), KeyMaterialAnswer::Echo(&[]));
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_written_again(bytes in proptest::collection::vec(any::<u8>(), 0..120), plausible: bool) {
            let mut bytes = bytes;
            if plausible {
                let good = sample(&[1; 24]).to_bytes();
                for (byte, good) in bytes.iter_mut().zip(good).take(16) {
                    *byte = good;
                }
            }
            if let Ok(read) = KeyMaterial::parse(&bytes) {
                let again = read.to_bytes();
                prop_assert_eq!(KeyMaterial::parse(&again), Ok(read));
                prop_assert_eq!(again.len(), bytes.len());
            }
        }
    }
}
