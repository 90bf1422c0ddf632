//! The bytes that libsrt 1.5.5's haicrypt computes from the same passphrase, salt, SEKs, header and payload.
//!
//! Its random numbers were replaced by fixed ones; everything else went the way of a connection: `HaiCrypt_Create`,
//! `hcryptCtx_Tx_Refresh` for the KMREQ with two keys, `HaiCrypt_Tx_Data` for the payloads, with OpenSSL underneath.

use srt_crypto::{Backend, CipherMode, Kek, KeyLength, Passphrase, PayloadKey, Sek, UnwrapError};

const PASSPHRASE: &[u8] = b"correct horse battery";
const SALT: &str = "a0b2c6dcf40e2a48688aaed4fc265280";
const EVEN: &str = "f103172d455f7b99b9dbff254d77a3d10133679dd50f4b89c90b4f95dd2773c1";
const ODD: &str = "4254687e96b0ccea0a2c50769ec8f4225284b8ee26609cda1a5ca0e62e78c412";

/// Sequence number 0x12345678, a message in one packet (PP 3) of number 77 under the even key, timestamp 1 s.
const HEADER: &str = "12345678 c800004d 000f4240 2b000001";
const INDEX: u32 = 0x1234_5678;

struct Computed {
    length: KeyLength,
    wrapped_even: &'static str,
    wrapped_both: &'static str,
    ctr: &'static str,
    gcm: &'static str,
}

const COMPUTED: [Computed; 3] = [
    Computed {
        length: KeyLength::Aes128,
        wrapped_even: "97f088914d89a8c04c6b71f705eff37582e25441611ad979",
        wrapped_both: "21a01237f7de570d3ca6b6e63f327b7aa60f6ed41e8b1b27903f69351ecb1259f7ffd1f5e2936c95",
        ctr: "3613fef03ee7120552ea2e0279d4ef5f6dae7cb058b359429d4b9736abde1d295012f29690",
        gcm: "e45a55d7311c58c962aa4ce8a5e6cff949e27def804913dc798c608ecd0a85f609d094df78
              0b1f078f4f703bcceb716acb96e26033",
    },
    Computed {
        length: KeyLength::Aes192,
        wrapped_even: "3b1d76e09836d1bb08b562a59d16c9da43ec65fd3e276dadd2e3e24a4437c6f8",
        wrapped_both: "872c1bfa8b2d42665e3b77584a5ea6a01a70c6308b89394a
                       4f2fd3454bb903a545c95d94da945bf69d0c9d823fef2feb9de2ff9c636bb2d9",
        ctr: "1d813a5dbaa55432fb1d830292c19a3b1fa1c94164c9d11cf0e59d13c72405464a08fe05b6",
        gcm: "be9c712e546fcf6d2610f901a2feffc56b86a93e0bbaf5df0614e5ddb95144fc9f08fc7ed6
              d2890319365c2d8ed5236e5acc70c06c",
    },
    Computed {
        length: KeyLength::Aes256,
        wrapped_even: "491a9f9737a0cd86130069ab58021e07120f7773ecc1efc1e2e452fad2c7509a9a32381d15323ae7",
        wrapped_both: "5fb126d3678779c3f3527b7e51069329130e9b191aa0ffadbcbc15fab5d04663
                       e33028896980c5f87e550c43f5c257269d6b962e8f031bb09e64926707cb29153b2974a2f1cbf46b",
        ctr: "6fecc66599851442d4c4bb55840039713f9f32c9724e2e9880eca46c059ed9e97bf6b2c19f",
        gcm: "a61dc3c4506b81526a33a5985c9770e98a3ecf10e2d1e87087c1c1b0d47b2294936272cd2c
              10c023a7ae6f9bf668f8bdd579ef4e1e",
    },
];

#[test]
fn seks_are_wrapped_as_libsrt_wraps_them() {
    for computed in COMPUTED {
        let Computed { length, wrapped_even, wrapped_both, .. } = computed;
        let kek = Kek::derive(&Passphrase::new(PASSPHRASE).unwrap(), &array(SALT), length);
        let (even, odd) = (sek(EVEN, length), sek(ODD, length));
        assert_eq!(kek.wrap(&even).unwrap().as_bytes(), hex(wrapped_even));
        assert_eq!(kek.wrap_both(&even, &odd).unwrap().as_bytes(), hex(wrapped_both));
        assert_eq!(kek.unwrap(&hex(wrapped_even)).unwrap(), even);
        assert_eq!(kek.unwrap_both(&hex(wrapped_both)).unwrap(), (even, odd));

        let other = Passphrase::new(b"correct horse batterY").unwrap();
        let other = Kek::derive(&other, &array(SALT), length);
        assert_eq!(other.unwrap(&hex(wrapped_even)), Err(UnwrapError::Integrity));
    }
}

#[test]
fn payloads_are_sealed_as_libsrt_seals_them() {
    // What the plain payload is: 37 bytes, from 0x47 in steps of 3.
    let plain: Vec<u8> = (0x47..).step_by(3).take(37).collect();
    for computed in COMPUTED {
        for (mode, sealed) in [(CipherMode::Ctr, computed.ctr), (CipherMode::Gcm, computed.gcm)] {
            for &backend in Backend::ALL {
                let sek = sek(EVEN, computed.length);
                let key = PayloadKey::with_backend(backend, mode, &sek, &array(SALT)).unwrap();
                let mut out = vec![0; plain.len() + key.tag_len()];
                key.seal(INDEX, &array(HEADER), &plain, &mut out).unwrap();
                assert_eq!(out, hex(sealed), "{key:?}");
                assert_eq!(key.open(INDEX, &array(HEADER), &mut out), Ok(plain.len()), "{key:?}");
                assert_eq!(&out[..plain.len()], plain, "{key:?}");
            }
        }
    }
}

fn sek(text: &str, length: KeyLength) -> Sek {
    Sek::new(&hex(text)[..length.bytes()]).expect("as long as an AES key")
}

fn array(text: &str) -> [u8; 16] {
    hex(text).try_into().expect("16 bytes")
}

/// The bytes of hexadecimal text; white space is skipped.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits
        .chunks(2)
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).expect("two digits are a byte"))
        .collect()
}
