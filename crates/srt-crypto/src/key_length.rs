//! The three lengths of an AES key.

use core::fmt;

use crate::error::KeyError;

/// Length of a KEK or SEK: 16, 24 or 32 bytes (draft §3.2.2 KLen).
///
/// libsrt: option `SRTO_PBKEYLEN` (socketconfig.cpp); a receiver takes the length from the peer's KMREQ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[expect(clippy::exhaustive_enums, reason = "AES has three key lengths")]
pub enum KeyLength {
    /// 16 bytes; what libsrt takes when nothing is set.
    #[default]
    Aes128,
    /// 24 bytes.
    Aes192,
    /// 32 bytes.
    Aes256,
}

impl KeyLength {
    /// The length in bytes: 16, 24 or 32.
    #[inline]
    pub const fn bytes(self) -> usize {
        match self {
            Self::Aes128 => 16,
            Self::Aes192 => 24,
            Self::Aes256 => 32,
        }
    }
}

impl TryFrom<usize> for KeyLength {
    type Error = KeyError;

    /// The length of so many bytes.
    fn try_from(bytes: usize) -> Result<Self, KeyError> {
        match bytes {
            16 => Ok(Self::Aes128),
            24 => Ok(Self::Aes192),
            32 => Ok(Self::Aes256),
            other => Err(KeyError::Length(other)),
        }
    }
}

impl fmt::Display for KeyLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aes128 => "AES-128",
            Self::Aes192 => "AES-192",
            Self::Aes256 => "AES-256",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_16_24_and_32_bytes_are_a_key_length() {
        for bytes in 0..100 {
            match KeyLength::try_from(bytes) {
                Ok(length) => assert_eq!(length.bytes(), bytes),
                Err(error) => {
                    assert!(![16, 24, 32].contains(&bytes));
                    assert_eq!(error, KeyError::Length(bytes));
                }
            }
        }
    }
}
