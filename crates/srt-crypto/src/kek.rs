//! From a passphrase to the key that keys travel under.

use core::fmt;
use core::num::NonZeroU32;

use zeroize::Zeroizing;

use crate::Salt;
use crate::backend::Backend;
use crate::key_length::KeyLength;
use crate::passphrase::Passphrase;

/// A Key Encrypting Key: what SEKs are wrapped under on their way to the peer (draft §6.1.4).
///
/// Wiped from memory when dropped; never shown. Wrapping and unwrapping are in [`wrap`](crate::wrap).
#[derive(Clone)]
pub struct Kek(Zeroizing<Box<[u8]>>, KeyLength); // on the heap, so that moving it leaves no copies behind

impl Kek {
    /// Derives the key: PBKDF2 with HMAC-SHA1, 2048 iterations, over the passphrase and the **last 8** bytes of
    /// `salt`. It is as long as the SEKs it will wrap.
    ///
    /// Costs half a millisecond, on purpose: keep the result for as long as passphrase, salt and length stay.
    /// A refresh of the SEK keeps the salt, and so the KEK; a new salt from a peer costs us a derivation.
    ///
    /// libsrt: `hcryptCtx_GenSecret` (hcrypt_sa.c), `HAICRYPT_PBKDF2_SALT_LEN` and `HAICRYPT_PBKDF2_ITER_CNT`
    /// (haicrypt.h).
    pub fn derive(passphrase: &Passphrase, salt: &Salt, length: KeyLength) -> Self {
        Self::derive_with(Backend::DEFAULT, passphrase, salt, length)
    }

    /// [`derive`](Self::derive), by a backend of the caller's choice.
    pub fn derive_with(backend: Backend, passphrase: &Passphrase, salt: &Salt, length: KeyLength) -> Self {
        let mut key = Zeroizing::new(vec![0; length.bytes()].into_boxed_slice());
        let [.., a, b, c, d, e, f, g, h] = *salt;
        backend.pbkdf2_hmac_sha1(passphrase.bytes(), &[a, b, c, d, e, f, g, h], ITERATIONS, &mut key);
        Self(key, length)
    }

    /// How long the key is, and so each SEK that travels under it.
    pub fn key_length(&self) -> KeyLength {
        self.1
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The KEK of these very bytes, for tests that need many of them quickly.
    #[cfg(test)]
    pub(crate) fn of_bytes(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.into()), KeyLength::try_from(bytes.len()).unwrap())
    }
}

impl fmt::Debug for Kek {
    /// Tells the length, nothing more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kek({})", self.1)
    }
}

/// How often the hash is repeated. libsrt: `HAICRYPT_PBKDF2_ITER_CNT` (haicrypt.h).
const ITERATIONS: NonZeroU32 = NonZeroU32::new(2048).expect("2048 is not zero");

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase() -> Passphrase {
        Passphrase::new(b"correct horse battery").unwrap()
    }

    #[test]
    fn only_the_last_eight_bytes_of_the_salt_count() {
        let salt = [7; 16];
        let key = Kek::derive(&passphrase(), &salt, KeyLength::Aes128);
        for at in 0..16 {
            let mut other = salt;
            other[at] ^= 1;
            let derived = Kek::derive(&passphrase(), &other, KeyLength::Aes128);
            assert_eq!(derived.bytes() == key.bytes(), at < 8, "byte {at}");
        }
    }

    #[test]
    fn the_key_has_the_length_asked_for_and_no_backend_differs() {
        for length in [KeyLength::Aes128, KeyLength::Aes192, KeyLength::Aes256] {
            let key = Kek::derive(&passphrase(), &[9; 16], length);
            assert_eq!((key.bytes().len(), key.key_length()), (length.bytes(), length));
            for &backend in Backend::ALL {
                let other = Kek::derive_with(backend, &passphrase(), &[9; 16], length);
                assert_eq!(other.bytes(), key.bytes(), "{backend:?}");
            }
        }
    }

    #[test]
    fn debug_tells_the_length_alone() {
        let key = Kek::derive(&passphrase(), &[9; 16], KeyLength::Aes256);
        assert_eq!(format!("{key:?}"), "Kek(AES-256)");
    }
}
