//! The key that payloads are encrypted with.

use core::fmt;
use core::hint::black_box;

use zeroize::Zeroizing;

use crate::error::KeyError;
use crate::key_length::KeyLength;

/// A Stream Encrypting Key: 16, 24 or 32 secret bytes that the sender chose at random (draft §6.1.3).
///
/// Which of the two, even or odd, it is, is told by the packet that uses it (KK), not by the key. Wiped from
/// memory when dropped; never shown. Two keys are compared in a time that does not depend on their bytes.
#[derive(Clone)]
pub struct Sek(Zeroizing<Box<[u8]>>, KeyLength); // on the heap, so that moving it leaves no copies behind

impl Sek {
    /// Copies `bytes`, which the caller got from a source of randomness and now wipes.
    ///
    /// # Errors
    /// [`KeyError::Length`] when there are not 16, 24 or 32 bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, KeyError> {
        let length = KeyLength::try_from(bytes.len())?;
        Ok(Self(Zeroizing::new(bytes.into()), length))
    }

    /// How long the key is.
    pub fn key_length(&self) -> KeyLength {
        self.1
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl PartialEq for Sek {
    fn eq(&self, other: &Self) -> bool {
        same_bytes(&self.0, &other.0)
    }
}

impl Eq for Sek {}

impl fmt::Debug for Sek {
    /// Tells the length, nothing more.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sek({})", self.1)
    }
}

/// Whether two slices are equal, found out without stopping at the first difference.
pub(crate) fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    let differing = a.iter().zip(b).fold(0, |differing, (a, b)| black_box(differing | (a ^ b)));
    a.len() == b.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_equal_when_all_their_bytes_are() {
        let key = [0x5A; 32];
        let sek = Sek::new(&key).unwrap();
        assert_eq!(sek, Sek::new(&key).unwrap());
        for at in 0..32 {
            let mut other = key;
            other[at] ^= 0x80;
            assert_ne!(sek, Sek::new(&other).unwrap());
        }
        assert_ne!(sek, Sek::new(&key[..16]).unwrap());
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        assert_eq!(Sek::new(&[1; 17]).unwrap_err(), KeyError::Length(17));
        assert_eq!(Sek::new(&[]).unwrap_err(), KeyError::Length(0));
        assert_eq!(Sek::new(&[1; 24]).unwrap().key_length(), KeyLength::Aes192);
    }

    #[test]
    fn debug_tells_the_length_alone() {
        assert_eq!(format!("{:?}", Sek::new(&[0xAB; 16]).unwrap()), "Sek(AES-128)");
    }
}
