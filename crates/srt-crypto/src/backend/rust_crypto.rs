//! The RustCrypto crates: Rust alone, with the processor's AES instructions where there are some.

use core::num::NonZeroU32;
use std::sync::Arc;

use aes::cipher::array::Array;
use aes::cipher::consts::{U12, U16};
use aes::cipher::inout::InOutBuf;
use aes::cipher::{
    BlockCipherDecrypt, BlockCipherEncrypt, BlockSizeUser, InnerIvInit, KeyInit, StreamCipherCore,
};
use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AeadInOut;
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;
use hmac::Hmac;
use sha1::Sha1;

use crate::Salt;
use crate::cipher::{CipherMode, PayloadCipher};
use crate::ctr::{Ctr, CtrKey};
use crate::error::{CipherError, KeyError};
use crate::gcm::{Gcm, GcmKey, TAG_LEN};
use crate::key_length::KeyLength;
use crate::sek::Sek;
use crate::wrap::{AesBlock, rfc3394_unwrap, rfc3394_wrap};

pub(super) fn pbkdf2_hmac_sha1(secret: &[u8], salt: &[u8], iterations: NonZeroU32, out: &mut [u8]) {
    pbkdf2::pbkdf2::<Hmac<Sha1>>(secret, salt, iterations.get(), out).expect("HMAC takes keys of any length");
}

pub(super) fn wrap(kek: &[u8], plain: &[u8], wrapped: &mut [u8]) {
    match length(kek) {
        KeyLength::Aes128 => rfc3394_wrap(&Block(aes::<Aes128>(kek)), plain, wrapped),
        KeyLength::Aes192 => rfc3394_wrap(&Block(aes::<Aes192>(kek)), plain, wrapped),
        KeyLength::Aes256 => rfc3394_wrap(&Block(aes::<Aes256>(kek)), plain, wrapped),
    }
}

pub(super) fn unwrap(kek: &[u8], wrapped: &[u8], plain: &mut [u8]) -> bool {
    match length(kek) {
        KeyLength::Aes128 => rfc3394_unwrap(&Block(aes::<Aes128>(kek)), wrapped, plain),
        KeyLength::Aes192 => rfc3394_unwrap(&Block(aes::<Aes192>(kek)), wrapped, plain),
        KeyLength::Aes256 => rfc3394_unwrap(&Block(aes::<Aes256>(kek)), wrapped, plain),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "another backend may refuse a key")]
pub(super) fn payload_cipher(
    mode: CipherMode,
    sek: &Sek,
    salt: &Salt,
) -> Result<Arc<dyn PayloadCipher>, KeyError> {
    let key = sek.bytes();
    Ok(match (mode, sek.key_length()) {
        (CipherMode::Ctr, KeyLength::Aes128) => Arc::new(Ctr::new(AesCtr::<Aes128>::new(key), salt)),
        (CipherMode::Ctr, KeyLength::Aes192) => Arc::new(Ctr::new(AesCtr::<Aes192>::new(key), salt)),
        (CipherMode::Ctr, KeyLength::Aes256) => Arc::new(Ctr::new(AesCtr::<Aes256>::new(key), salt)),
        (CipherMode::Gcm, KeyLength::Aes128) => Arc::new(Gcm::new(AesGcm::<Aes128>::new(key), salt)),
        (CipherMode::Gcm, KeyLength::Aes192) => Arc::new(Gcm::new(AesGcm::<Aes192>::new(key), salt)),
        (CipherMode::Gcm, KeyLength::Aes256) => Arc::new(Gcm::new(AesGcm::<Aes256>::new(key), salt)),
    })
}

fn length(key: &[u8]) -> KeyLength {
    KeyLength::try_from(key.len()).expect("a KEK has the length of an AES key")
}

fn aes<C: KeyInit>(key: &[u8]) -> C {
    C::new_from_slice(key).expect("the cipher was chosen by the length of the key")
}

/// AES on single blocks.
struct Block<C>(C);

impl<C: BlockCipherEncrypt + BlockCipherDecrypt + BlockSizeUser<BlockSize = U16>> AesBlock for Block<C> {
    fn encrypt(&self, block: &mut [u8; 16]) {
        self.0.encrypt_block(block.into());
    }

    fn decrypt(&self, block: &mut [u8; 16]) {
        self.0.decrypt_block(block.into());
    }
}

/// AES-CTR, from one buffer into another or in place.
pub(super) struct AesCtr<C>(C);

impl<C: KeyInit> AesCtr<C> {
    pub(super) fn new(key: &[u8]) -> Self {
        Self(aes(key))
    }
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16>> AesCtr<C> {
    fn stream(&self, iv: [u8; 16], data: InOutBuf<'_, '_, u8>) -> Result<(), CipherError> {
        let core = CtrCore::<&C, Ctr128BE>::inner_iv_init(&self.0, &Array(iv));
        core.try_apply_keystream_partial(data).map_err(|_| CipherError::Backend)
    }
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync> CtrKey for AesCtr<C> {
    fn apply(&self, iv: [u8; 16], input: &[u8], out: &mut [u8]) -> Result<(), CipherError> {
        self.stream(iv, in_out(input, out)?)
    }

    fn apply_in_place(&self, iv: [u8; 16], data: &mut [u8]) -> Result<(), CipherError> {
        self.stream(iv, data.into())
    }
}

/// AES-GCM, from one buffer into another or in place.
pub(super) struct AesGcm<C>(aes_gcm::AesGcm<C, U12>);

impl<C> AesGcm<C>
where
    aes_gcm::AesGcm<C, U12>: KeyInit,
{
    pub(super) fn new(key: &[u8]) -> Self {
        Self(aes(key))
    }
}

impl<C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + Send + Sync> GcmKey for AesGcm<C> {
    fn seal(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        plain: &[u8],
        out: &mut [u8],
        tag: &mut [u8; TAG_LEN],
    ) -> Result<(), CipherError> {
        let sealed = self.0.encrypt_inout_detached(&Array(nonce), associated, in_out(plain, out)?);
        *tag = sealed.map_err(|_| CipherError::Backend)?.0;
        Ok(())
    }

    fn open(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> Result<(), CipherError> {
        let opened = self.0.decrypt_inout_detached(&Array(nonce), associated, data.into(), &Array(*tag));
        opened.map_err(|_| CipherError::Authentication)
    }

    fn open_into(
        &self,
        nonce: [u8; 12],
        associated: &[u8],
        sealed: &[u8],
        tag: &[u8; TAG_LEN],
        out: &mut [u8],
    ) -> Result<(), CipherError> {
        let data = in_out(sealed, out)?;
        let opened = self.0.decrypt_inout_detached(&Array(nonce), associated, data, &Array(*tag));
        opened.map_err(|_| CipherError::Authentication)
    }
}

fn in_out<'a, 'b>(input: &'a [u8], out: &'b mut [u8]) -> Result<InOutBuf<'a, 'b, u8>, CipherError> {
    let (need, got) = (input.len(), out.len());
    InOutBuf::new(input, out).map_err(|_| CipherError::OutputLength { need, got })
}
