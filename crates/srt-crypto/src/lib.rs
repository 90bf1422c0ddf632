//! Keys and ciphers of SRT (Secure Reliable Transport, draft-sharabayko-srt §6), byte for byte those of libsrt 1.5.5.
//!
//! Pure functions over bytes: no packet is known here, no clock is read, nothing is random. Salts and SEKs come from
//! the caller, who has a source of randomness; headers and packet indices too, for it is the caller who has packets.
//!
//! ```text
//! Passphrase + Salt ──PBKDF2──► Kek
//! Sek ──wrap under the Kek──► WrappedSeks, in the KMREQ ──unwrap under the peer's Kek──► Sek
//! Sek + Salt + CipherMode ──► PayloadKey ──seal, open──► payloads, one call a packet
//! ```
//!
//! | step | algorithm | parameters | room |
//! |---|---|---|---|
//! | passphrase → KEK | PBKDF2 with HMAC-SHA1 (RFC 8018) | 2048 iterations, the last 8 bytes of the salt | [`Kek::derive`] |
//! | SEKs → KMREQ and back | AES key wrap (RFC 3394) | KEK as long as the SEK, one or two SEKs, 8 bytes longer | [`wrap`] |
//! | payload, [`CipherMode::Ctr`] | AES-CTR (NIST SP 800-38A) | IV: 14 bytes of salt ⊕ packet index, 16-bit block counter | [`PayloadKey`] |
//! | payload, [`CipherMode::Gcm`] | AES-GCM (NIST SP 800-38D) | nonce: 12 bytes of salt ⊕ packet index, the header as associated data, 16 bytes of tag | [`PayloadKey`] |
//!
//! All of it with AES-128, AES-192 and AES-256. [`PayloadKey`] has an example that goes the whole way.
//!
//! Two libraries can do the computing, each a feature; both can be compiled in, and give the same bytes:
//!
//! | feature | [`Backend`] | is |
//! |---|---|---|
//! | `aws-lc-rs`, on by default | `AwsLc` | C and assembly, needs a C compiler; the faster one: GCM by 2.6, CTR-256 by 1.2. Used when both are there |
//! | `rust-crypto` | `RustCrypto` | Rust alone |
//!
//! Secrets are wiped from memory when dropped, and no `Debug`, `Display` or error shows one.
#![forbid(unsafe_code)]

#[cfg(not(any(feature = "aws-lc-rs", feature = "rust-crypto")))]
compile_error!(
    "srt-crypto needs a backend: enable the feature `aws-lc-rs` (fast, needs a C compiler) or `rust-crypto` (Rust alone)"
);

mod backend;
mod cipher;
mod ctr;
mod error;
mod gcm;
mod kek;
mod key_length;
mod passphrase;
mod sek;
#[cfg(test)]
mod testing;
pub mod wrap;

pub use backend::Backend;
pub use cipher::{CipherMode, PayloadKey};
pub use error::{CipherError, KeyError, PassphraseError, UnwrapError};
pub use kek::Kek;
pub use key_length::KeyLength;
pub use passphrase::Passphrase;
pub use sek::Sek;
pub use wrap::WrappedSeks;

/// The salt of a KMREQ: 16 random bytes, sent in clear (draft §3.2.2).
///
/// Its last 8 bytes go into the KEK, its first 14 (CTR) or 12 (GCM) into every IV. libsrt: `HAICRYPT_SALT_SZ`
/// (haicrypt.h); it keeps the salt when it makes a new SEK (`hcryptCtx_Tx_Refresh`, hcrypt_ctx_tx.c).
pub type Salt = [u8; 16];
