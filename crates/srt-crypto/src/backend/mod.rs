//! Who computes: AWS-LC or RustCrypto. Both give the same bytes.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
#[cfg(feature = "rust-crypto")]
mod rust_crypto;

use core::num::NonZeroU32;
use std::sync::Arc;

use crate::Salt;
use crate::cipher::{CipherMode, PayloadCipher};
use crate::error::KeyError;
use crate::sek::Sek;

/// A library of cryptographic primitives, compiled in by the feature of its name.
///
/// Nobody has to choose: what takes no backend takes [`DEFAULT`](Self::DEFAULT).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// AWS-LC, by way of `aws-lc-rs`: C and assembly, the faster one.
    #[cfg(feature = "aws-lc-rs")]
    AwsLc,
    /// RustCrypto: Rust alone, for where no C compiler is or may be.
    #[cfg(feature = "rust-crypto")]
    RustCrypto,
}

impl Backend {
    /// The backends compiled in; never none.
    pub const ALL: &'static [Self] = &[
        #[cfg(feature = "aws-lc-rs")]
        Self::AwsLc,
        #[cfg(feature = "rust-crypto")]
        Self::RustCrypto,
    ];

    /// The first of [`ALL`](Self::ALL): AWS-LC when it is there.
    pub const DEFAULT: Self = Self::ALL[0];

    /// PBKDF2 with HMAC-SHA1 (RFC 8018 §5.2).
    pub(crate) fn pbkdf2_hmac_sha1(self, secret: &[u8], salt: &[u8], iterations: NonZeroU32, out: &mut [u8]) {
        match self {
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLc => aws_lc::pbkdf2_hmac_sha1(secret, salt, iterations, out),
            #[cfg(feature = "rust-crypto")]
            Self::RustCrypto => rust_crypto::pbkdf2_hmac_sha1(secret, salt, iterations, out),
        }
    }

    /// RFC 3394 key wrap; `kek` has the length of an AES key, `wrapped` is 8 bytes longer than `plain`.
    pub(crate) fn wrap(self, kek: &[u8], plain: &[u8], wrapped: &mut [u8]) {
        match self {
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLc => aws_lc::wrap(kek, plain, wrapped),
            #[cfg(feature = "rust-crypto")]
            Self::RustCrypto => rust_crypto::wrap(kek, plain, wrapped),
        }
    }

    /// RFC 3394 key unwrap: whether the check value is right. Lengths as for [`wrap`](Self::wrap).
    pub(crate) fn unwrap(self, kek: &[u8], wrapped: &[u8], plain: &mut [u8]) -> bool {
        match self {
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLc => aws_lc::unwrap(kek, wrapped, plain),
            #[cfg(feature = "rust-crypto")]
            Self::RustCrypto => rust_crypto::unwrap(kek, wrapped, plain),
        }
    }

    pub(crate) fn payload_cipher(
        self,
        mode: CipherMode,
        sek: &Sek,
        salt: &Salt,
    ) -> Result<Arc<dyn PayloadCipher>, KeyError> {
        match self {
            #[cfg(feature = "aws-lc-rs")]
            Self::AwsLc => aws_lc::payload_cipher(mode, sek, salt),
            #[cfg(feature = "rust-crypto")]
            Self::RustCrypto => rust_crypto::payload_cipher(mode, sek, salt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctr::CtrKey;
    use crate::gcm::GcmKey;
    use crate::testing::hex;

    /// AES-CTR under a raw key, from each backend.
    fn ctr_keys(key: &[u8]) -> Vec<Box<dyn CtrKey>> {
        vec![
            #[cfg(feature = "aws-lc-rs")]
            Box::new(aws_lc::AesCtr::new(key).unwrap()),
            #[cfg(feature = "rust-crypto")]
            match key.len() {
                16 => Box::new(rust_crypto::AesCtr::<aes::Aes128>::new(key)),
                24 => Box::new(rust_crypto::AesCtr::<aes::Aes192>::new(key)),
                _ => Box::new(rust_crypto::AesCtr::<aes::Aes256>::new(key)),
            },
        ]
    }

    /// AES-GCM under a raw key, from each backend.
    fn gcm_keys(key: &[u8]) -> Vec<Box<dyn GcmKey>> {
        vec![
            #[cfg(feature = "aws-lc-rs")]
            Box::new(aws_lc::AesGcm::new(key).unwrap()),
            #[cfg(feature = "rust-crypto")]
            match key.len() {
                16 => Box::new(rust_crypto::AesGcm::<aes::Aes128>::new(key)),
                24 => Box::new(rust_crypto::AesGcm::<aes::Aes192>::new(key)),
                _ => Box::new(rust_crypto::AesGcm::<aes::Aes256>::new(key)),
            },
        ]
    }

    #[test]
    fn the_examples_of_rfc_6070_come_out() {
        // RFC 6070 §2, but for the one of 16,777,216 iterations.
        let examples: [(&[u8], &[u8], u32, &str); 5] = [
            (b"password", b"salt", 1, "0c60c80f961f0e71f3a9b524af6012062fe037a6"),
            (b"password", b"salt", 2, "ea6c014dc72d6f8ccd1ed92ace1d41f0d8de8957"),
            (b"password", b"salt", 4096, "4b007901b765489abead49d926f721d065a429c1"),
            (
                b"passwordPASSWORDpassword",
                b"saltSALTsaltSALTsaltSALTsaltSALTsalt",
                4096,
                "3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038",
            ),
            (b"pass\0word", b"sa\0lt", 4096, "56fa6aa75548099dcc37d7f03425e0c3"),
        ];
        for &backend in Backend::ALL {
            for (secret, salt, iterations, expected) in examples {
                let expected = hex(expected);
                let mut out = vec![0; expected.len()];
                backend.pbkdf2_hmac_sha1(secret, salt, NonZeroU32::new(iterations).unwrap(), &mut out);
                assert_eq!(out, expected, "{backend:?}, {iterations} iterations");
            }
        }
    }

    #[test]
    fn the_ctr_examples_of_nist_come_out() {
        // NIST SP 800-38A F.5.1, F.5.3, F.5.5.
        let iv = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").try_into().unwrap();
        let plain = hex("6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
             30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710");
        let examples = [
            (
                "2b7e151628aed2a6abf7158809cf4f3c",
                "874d6191b620e3261bef6864990db6ce 9806f66b7970fdff8617187bb9fffdff
                 5ae4df3edbd5d35e5b4f09020db03eab 1e031dda2fbe03d1792170a0f3009cee",
            ),
            (
                "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
                "1abc932417521ca24f2b0459fe7e6e0b 090339ec0aa6faefd5ccc2c6f4ce8e94
                 1e36b26bd1ebc670d1bd1d665620abf7 4f78a7f6d29809585a97daec58c6b050",
            ),
            (
                "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
                "601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5
                 2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6",
            ),
        ];
        for (key, sealed) in examples {
            for key in ctr_keys(&hex(key)) {
                let mut out = vec![0; plain.len()];
                key.apply(iv, &plain, &mut out).unwrap();
                assert_eq!(out, hex(sealed));
                key.apply_in_place(iv, &mut out).unwrap();
                assert_eq!(out, plain);
            }
        }
    }

    #[test]
    fn the_gcm_examples_of_its_authors_come_out() {
        // McGrew and Viega, "The Galois/Counter Mode of Operation", appendix B, test cases 1, 2, 4, 8, 10, 14 and 16.
        let plain = "d9313225f88406e5a55909c5aff5269a 86a7a9531534f7da2e4c303d8a318a72
                     1c3c0c95956809532fcf0e2449a6b525 b16aedf5aa0de657ba637b39";
        let associated = "feedfacedeadbeeffeedfacedeadbeefabaddad2";
        let zeros = "00000000000000000000000000000000";
        let zero_nonce = "000000000000000000000000";
        let nonce = "cafebabefacedbaddecaf888";
        let examples = [
            (zeros.to_owned(), zero_nonce, "", "", "", "58e2fccefa7e3061367f1d57a4e7455a"),
            (
                zeros.to_owned(),
                zero_nonce,
                "",
                zeros,
                "0388dace60b6a392f328c2b971b2fe78",
                "ab6e47d42cec13bdf53a67b21257bddf",
            ),
            (
                "feffe9928665731c6d6a8f9467308308".to_owned(),
                nonce,
                associated,
                plain,
                "42831ec2217774244b7221b784d0d49c e3aa212f2c02a4e035c17e2329aca12e
                 21d514b25466931c7d8f6a5aac84aa05 1ba30b396a0aac973d58e091",
                "5bc94fbc3221a5db94fae95ae7121a47",
            ),
            (
                zeros.to_owned() + "0000000000000000",
                zero_nonce,
                "",
                zeros,
                "98e7247c07f0fe411c267e4384b0f600",
                "2ff58d80033927ab8ef4d4587514f0fb",
            ),
            (
                "feffe9928665731c6d6a8f9467308308feffe9928665731c".to_owned(),
                nonce,
                associated,
                plain,
                "3980ca0b3c00e841eb06fac4872a2757 859e1ceaa6efd984628593b40ca1e19c
                 7d773d00c144c525ac619d18c84a3f47 18e2448b2fe324d9ccda2710",
                "2519498e80f1478f37ba55bd6d27618c",
            ),
            (
                zeros.repeat(2),
                zero_nonce,
                "",
                zeros,
                "cea7403d4d606b6e074ec5d3baf39d18",
                "d0d1c8a799996bf0265b98b5d48ab919",
            ),
            (
                "feffe9928665731c6d6a8f9467308308".repeat(2),
                nonce,
                associated,
                plain,
                "522dc1f099567d07f47f37a32a84427d 643a8cdcbfe5c0c97598a2bd2555d1aa
                 8cb08e48590dbb3da7b08b1056828838 c5f61e6393ba7a0abcc9f662",
                "76fc6ece0f4e1768cddf8853bb2d551b",
            ),
        ];
        for (key, nonce, associated, plain, sealed, tag) in examples {
            let (nonce, tag): ([u8; 12], [u8; 16]) =
                (hex(nonce).try_into().unwrap(), hex(tag).try_into().unwrap());
            let (associated, plain, sealed) = (hex(associated), hex(plain), hex(sealed));
            for key in gcm_keys(&hex(&key)) {
                let (mut out, mut out_tag) = (vec![0; plain.len()], [0; 16]);
                key.seal(nonce, &associated, &plain, &mut out, &mut out_tag).unwrap();
                assert_eq!((&out, out_tag), (&sealed, tag));
                key.open(nonce, &associated, &mut out, &tag).unwrap();
                assert_eq!(out, plain);
                out.fill(0);
                key.open_into(nonce, &associated, &sealed, &tag, &mut out).unwrap();
                assert_eq!(out, plain);
            }
        }
    }
}
