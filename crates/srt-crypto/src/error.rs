//! Why a secret, a key or a packet was refused. No value of a secret is ever told.

use crate::key_length::KeyLength;

/// Why a passphrase was refused. Neither it nor its length is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Fewer than [`Passphrase::MIN`](crate::Passphrase::MIN) bytes.
    #[error("the passphrase is too short: 10 to 80 bytes")]
    TooShort,
    /// More than [`Passphrase::MAX`](crate::Passphrase::MAX) bytes.
    #[error("the passphrase is too long: 10 to 80 bytes")]
    TooLong,
}

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// No AES key has this many bytes.
    #[error("an AES key has 16, 24 or 32 bytes, not {0}")]
    Length(usize),
    /// A SEK is wrapped only under a KEK of its own length.
    #[error("a SEK for {sek} cannot be wrapped under a KEK for {kek}")]
    LengthsDiffer {
        /// The length of the key that was to be wrapped.
        sek: KeyLength,
        /// The length of the key it was to be wrapped under.
        kek: KeyLength,
    },
    /// The backend cannot expand a key for this cipher: it was built without it, or is out of memory.
    #[error("the cipher backend refused the key")]
    Backend,
}

/// Why wrapped SEKs were not taken: their bytes are at fault, or the secret is not the same on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnwrapError {
    /// Not as long as so many SEKs of the KEK's length and the check value.
    #[error("the wrapped keys have {got} bytes, {need} are needed")]
    Length {
        /// The number of bytes that so many keys of this length take.
        need: usize,
        /// The number of bytes given.
        got: usize,
    },
    /// The check value is wrong: another passphrase, another salt, or damage on the way.
    ///
    /// libsrt: `HAICRYPT_ERROR_WRONG_SECRET`, which becomes `SRT_KM_S_BADSECRET` (crypto.cpp `processSrtMsg_KMREQ`).
    #[error("the wrapped keys do not fit the passphrase")]
    Integrity,
}

/// Why a payload was not sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CipherError {
    /// The sealed payload is shorter than the tag at its end.
    #[error("the sealed payload is shorter than its tag")]
    TooShort,
    /// The payload is longer than the block counter reaches: [`PayloadKey::MAX_LEN`](crate::PayloadKey::MAX_LEN).
    #[error("the payload is longer than the block counter reaches")]
    TooLong,
    /// The tag is wrong: another key, another header, or a payload that was changed.
    #[error("the payload is not authentic")]
    Authentication,
    /// The room for the output has the wrong length: a mistake of the caller's, not of the peer's.
    #[error("the output has {got} bytes, {need} are needed")]
    OutputLength {
        /// The number of bytes the output takes.
        need: usize,
        /// The number of bytes there are.
        got: usize,
    },
    /// The backend failed for a reason of its own.
    #[error("the cipher backend failed")]
    Backend,
}
