//! What encryption costs a packet: sealed, and opened into a slot.
//!
//! `cargo bench -p srt-crypto --bench ciphers`, with both backends. The payload of 1316 bytes is seven packets of MPEG-TS.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use srt_crypto::{Backend, CipherMode, Kek, KeyLength, Passphrase, PayloadKey, Sek};

const PLAIN: [u8; 1316] = [0x47; 1316];
const HEADER: [u8; 16] = [0x11; 16];

fn payload(c: &mut Criterion) {
    for &backend in Backend::ALL {
        for (mode, bits) in
            [(CipherMode::Ctr, 128), (CipherMode::Ctr, 256), (CipherMode::Gcm, 128), (CipherMode::Gcm, 256)]
        {
            let sek = Sek::new(&[0x5A; 32][..bits / 8]).expect("a key of AES");
            let key = PayloadKey::with_backend(backend, mode, &sek, &[0xC3; 16])
                .expect("a cipher of every backend");
            let mut group = c.benchmark_group(format!("{backend:?}/{mode:?}-{bits}"));
            group.throughput(Throughput::Bytes(PLAIN.len() as u64));

            let mut sealed = vec![0; PLAIN.len() + key.tag_len()];
            let mut index = 0;
            group.bench_function("seal", |b| {
                b.iter(|| {
                    index += 1;
                    key.seal(index, &HEADER, black_box(&PLAIN), &mut sealed)
                });
            });
            key.seal(7, &HEADER, &PLAIN, &mut sealed).expect("room for payload and tag");
            let mut slot = [0; PLAIN.len()];
            group.bench_function("open", |b| {
                b.iter(|| key.open_into(7, &HEADER, black_box(&sealed), &mut slot))
            });
            group.finish();
        }
    }
}

fn keys(c: &mut Criterion) {
    let passphrase = Passphrase::new(b"correct horse battery").expect("21 bytes");
    for &backend in Backend::ALL {
        let derive = || Kek::derive_with(backend, black_box(&passphrase), &[0xC3; 16], KeyLength::Aes256);
        c.bench_function(&format!("{backend:?}/derive"), |b| b.iter(derive));
    }
}

criterion_group!(benches, payload, keys);
criterion_main!(benches);
