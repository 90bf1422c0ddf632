//! The secret that two people agree upon.

use core::fmt;

use zeroize::Zeroizing;

use crate::error::PassphraseError;
use crate::sek::same_bytes;

/// The shared secret a KEK is derived from: 10 to 80 bytes, of any value.
///
/// Wiped from memory when dropped; never shown. Two are compared in a time that tells at most their lengths. libsrt: option `SRTO_PASSPHRASE`, whose limit is
/// `HAICRYPT_SECRET_MAX_SZ` = 80 (socketconfig.cpp), although `srt.h` says 79.
#[derive(Clone)]
pub struct Passphrase(Zeroizing<Box<[u8]>>); // on the heap, so that moving it leaves no copies behind

impl Passphrase {
    /// The least number of bytes.
    pub const MIN: usize = 10;
    /// The greatest number of bytes.
    pub const MAX: usize = 80;

    /// Copies `bytes`; the caller wipes its own.
    ///
    /// # Errors
    /// [`PassphraseError`] when there are fewer than 10 or more than 80 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, PassphraseError> {
        match bytes.len() {
            ..Self::MIN => Err(PassphraseError::TooShort),
            Self::MIN..=Self::MAX => Ok(Self(Zeroizing::new(bytes.into()))),
            _ => Err(PassphraseError::TooLong),
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Passphrase {
    fn eq(&self, other: &Self) -> bool {
        same_bytes(&self.0, &other.0)
    }
}

impl Eq for Passphrase {}

impl fmt::Debug for Passphrase {
    /// Tells that there is one, nothing more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_to_eighty_bytes_are_taken_and_no_others() {
        for len in 0..=200 {
            let expected = match len {
                ..10 => Err(PassphraseError::TooShort),
                10..=80 => Ok(len),
                _ => Err(PassphraseError::TooLong),
            };
            let made = Passphrase::new(&vec![b'x'; len]);
            assert_eq!(made.map(|passphrase| passphrase.bytes().len()), expected);
        }
    }

    #[test]
    fn passphrases_are_equal_when_all_their_bytes_are() {
        let make = |text: &str| Passphrase::new(text.as_bytes()).unwrap();
        assert_eq!(make("open sesame"), make("open sesame"));
        assert_ne!(make("open sesame"), make("open sesamE"));
        assert_ne!(make("open sesame"), make("open sesame!"));
    }

    #[test]
    fn debug_and_errors_tell_no_secret() {
        let text = "open sesame";
        let passphrase = Passphrase::new(text.as_bytes()).unwrap();
        assert_eq!(
            format!("{passphrase:?} {:#?}", passphrase.clone()),
            "Passphrase(hidden) Passphrase(hidden)"
        );
        let error = Passphrase::new(b"sesame").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("sesame"));
    }
}
