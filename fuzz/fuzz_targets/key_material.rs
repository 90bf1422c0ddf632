//! Key material: what was read can be said again, and fits where there is room for the longest; an answer is one or the other.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use srt_crypto::{Kek, KeyLength, Passphrase, UnwrapError};
use srt_protocol::packet::{CarriedKeys, KEY_MATERIAL_MAX, KeyMaterial, KeyMaterialAnswer};

fuzz_target!(|content: &[u8]| {
    answer(content);
    let material = match KeyMaterial::parse(content) {
        Ok(material) => material,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert!(content.len() <= KEY_MATERIAL_MAX);
    let again = material.to_bytes();
    assert_eq!(again.len(), content.len());
    assert_eq!(KeyMaterial::parse(&again), Ok(material));
    // From then on nothing changes any more.
    assert_eq!(KeyMaterial::parse(&again).map(|material| material.to_bytes()), Ok(again.clone()));
    unwrap(&material);
});

fn answer(content: &[u8]) {
    match KeyMaterialAnswer::parse(content) {
        KeyMaterialAnswer::Echo(echo) => {
            assert_eq!(echo, content);
            assert_ne!(content.len(), 4);
        }
        KeyMaterialAnswer::Status(state) => {
            assert_eq!(content.len(), 4);
            if let Some(state) = state {
                let said = state.to_bytes();
                assert_eq!(KeyMaterialAnswer::parse(&said), KeyMaterialAnswer::Status(Some(state)));
            }
        }
    }
}

/// What is read has the length that unwrapping it needs; the rest is for the passphrase to say.
fn unwrap(material: &KeyMaterial<'_>) {
    static KEKS: LazyLock<[Kek; 3]> = LazyLock::new(|| {
        let passphrase = Passphrase::new(b"anybody's guess").expect("of a good length");
        [KeyLength::Aes128, KeyLength::Aes192, KeyLength::Aes256]
            .map(|length| Kek::derive(&passphrase, &[0; 16], length))
    });
    let kek = &KEKS[material.key_length as usize];
    let error = match material.keys {
        CarriedKeys::One(_) => kek.unwrap(material.wrapped).err(),
        CarriedKeys::Both => kek.unwrap_both(material.wrapped).err(),
    };
    assert!(error.is_none_or(|error| error == UnwrapError::Integrity), "{error:?}");
}
