//! AWS-LC through `aws-lc-rs`: C and assembly.

use core::num::NonZeroU32;
use std::sync::Arc;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    self, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;

use crate::Salt;
use crate::cipher::{CipherMode, PayloadCipher};
use crate::ctr::{Ctr, CtrKey};
use crate::error::{CipherError, KeyError};
use crate::gcm::{Gcm, GcmKey, TAG_LEN};
use crate::key_length::KeyLength;
use crate::sek::Sek;
use crate::wrap::{AesBlock, rfc3394_unwrap, rfc3394_wrap};

pub(super) fn pbkdf2_hmac_sha1(secret: &[u8], salt: &[u8], iterations: NonZeroU32, out: &mut [u8]) {
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA1, iterations, salt, secret, out);
}

pub(super) fn wrap(kek: &[u8], plain: &[u8], wrapped: &mut [u8]) {
    rfc3394_wrap(&Block::new(kek), plain, wrapped);
}

pub(super) fn unwrap(kek: &[u8], wrapped: &[u8], plain: &mut [u8]) -> bool {
    rfc3394_unwrap(&Block::new(kek), wrapped, plain)
}

pub(super) fn payload_cipher(
    mode: CipherMode,
    sek: &Sek,
    salt: &Salt,
) -> Result<Arc<dyn PayloadCipher>, KeyError> {
    Ok(match mode {
        CipherMode::Ctr => Arc::new(Ctr::new(AesCtr::new(sek.bytes())?, salt)),
        CipherMode::Gcm => Arc::new(Gcm::new(AesGcm::new(sek.bytes())?, salt)),
    })
}

/// AES on single blocks.
struct Block {
    encrypting: EncryptingKey,
    decrypting: DecryptingKey,
}

impl Block {
    fn new(kek: &[u8]) -> Self {
        let key = || unbound(kek).expect("a KEK has the length of an AES key");
        let (encrypting, decrypting) = (EncryptingKey::ecb(key()), DecryptingKey::ecb(key()));
        Self {
            encrypting: encrypting.expect("AES knows single blocks"),
            decrypting: decrypting.expect("AES knows single blocks"),
        }
    }
}

impl AesBlock for Block {
    fn encrypt(&self, block: &mut [u8; 16]) {
        self.encrypting
            .less_safe_encrypt(block, EncryptionContext::None)
            .expect("16 bytes are one whole block");
    }

    fn decrypt(&self, block: &mut [u8; 16]) {
        self.decrypting.decrypt(block, DecryptionContext::None).expect("16 bytes are one whole block");
    }
}

fn unbound(key: &[u8]) -> Result<UnboundCipherKey, KeyError> {
    let algorithm = match KeyLength::try_from(key.len())? {
        KeyLength::Aes128 => &cipher::AES_128,
        KeyLength::Aes192 => &cipher::AES_192,
        KeyLength::Aes256 => &cipher::AES_256,
    };
    UnboundCipherKey::new(algorithm, key).map_err(|_| KeyError::Backend)
}

/// AES-CTR; it works in place only, so that sealing is a copy into the cache and a pass over it.
pub(super) struct AesCtr(EncryptingKey);

impl AesCtr {
    pub(super) fn new(key: &[u8]) -> Result<Self, KeyError> {
        Ok(Self(EncryptingKey::ctr(unbound(key)?).map_err(|_| KeyError::Backend)?))
    }
}

impl CtrKey for AesCtr {
    fn apply(&self, iv: [u8; 16], input: &[u8], out: &mut [u8]) -> Result<(), CipherError> {
        out.copy_from_slice(input);
        self.apply_in_place(iv, out)
    }

    fn apply_in_place(&self, iv: [u8; 16], data: &mut [u8]) -> Result<(), CipherError> {
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        self.0.less_safe_encrypt(data, context).map_err(|_| CipherError::Backend)?;
        Ok(())
    }
}

/// AES-GCM, from one buffer into another or in place.
pub(super) struct AesGcm(LessSafeKey);

impl AesGcm {
    pub(super) fn new(key: &[u8]) -> Result<Self, KeyError> {
        let algorithm = match KeyLength::try_from(key.len())? {
            KeyLength::Aes128 => &aead::AES_128_GCM,
            KeyLength::Aes192 => &aead::AES_192_GCM,
            KeyLength::Aes256 => &aead::AES_256_GCM,
        };
        Ok(Self(LessSafeKey::new(UnboundKey::new(algorithm, key).map_err(|_| KeyError::Backend)?)))
    }
}

impl GcmKey for AesGcm {
    fn seal(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        plain: &[u8],
        out: &mut [u8],
        tag: &mut [u8; TAG_LEN],
    ) -> Result<(), CipherError> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let sealed = self.0.seal_out_of_place_scatter(nonce, Aad::from(associated), plain, out, &[], tag);
        sealed.map_err(|_| CipherError::Backend)
    }

    fn open(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), CipherError> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.0.open_in_place_separate_tag(nonce, Aad::from(associated), tag, data);
        opened.map_err(|_| CipherError::Authentication)?;
        Ok(())
    }

    fn open_into(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        sealed: &[u8],
        tag: &[u8; TAG_LEN],
        out: &mut [u8],
    ) -> Result<(), CipherError> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let opened = self.0.open_separate_gather(nonce, Aad::from(associated), sealed, tag, out);
        opened.map_err(|_| CipherError::Authentication)
    }
}
