//! Where a run's chance comes from: one seed, split into as many independent streams as there are users.

use std::num::NonZeroU64;
use std::sync::{Mutex, PoisonError};

use srt_protocol::entropy::{Entropy, NoEntropy};

/// What the keys of a node are made of: the same in every run of a seed, and no secret at all.
#[derive(Debug)]
pub(crate) struct Seeded(Mutex<Random>);

impl Seeded {
    pub(crate) fn new(seed: u64, index: usize) -> Self {
        Self(Mutex::new(Random::new(seed, &format!("keys of node {index}"))))
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(bytes);
        Ok(())
    }
}

/// A seeded generator (SplitMix64): small, fast, and the same on every machine.
///
/// Good enough to make up worlds; nothing here is meant to keep a secret.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The generator of `seed`, for the user called `name`: two names never share a stream.
    pub fn new(seed: u64, name: &str) -> Self {
        let salt =
            name.bytes().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        Self(scramble(seed ^ scramble(salt)))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        scramble(self.0)
    }

    /// The next 32 bits.
    pub fn word(&mut self) -> u32 {
        u32::try_from(self.bits() >> 32).unwrap_or(u32::MAX)
    }

    /// A number below `bound`, even enough for tests.
    pub fn below(&mut self, bound: NonZeroU64) -> u64 {
        self.bits() % bound
    }

    /// An index below `len`.
    ///
    /// # Panics
    /// When `len` is 0.
    pub fn index(&mut self, len: usize) -> usize {
        let bound = NonZeroU64::new(len as u64).expect("there is something to choose from");
        usize::try_from(self.below(bound)).expect("an index is below a usize")
    }

    /// True `numerator` times in `denominator`.
    pub fn one_in(&mut self, denominator: NonZeroU64) -> bool {
        self.below(denominator) == 0
    }

    /// Fills `out` with noise.
    pub fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let bits = self.bits().to_le_bytes();
            chunk.copy_from_slice(&bits[..chunk.len()]);
        }
    }
}

/// One step of a cheap hash over what happened: equal runs give equal digests.
pub(crate) const fn mix(digest: u64, value: u64) -> u64 {
    (digest.rotate_left(5) ^ value).wrapping_mul(GOLDEN)
}

/// A digest of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut tail = [0; 8];
    tail[..rest.len()].copy_from_slice(rest);
    let whole = words.iter().fold(bytes.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    scramble(mix(whole, u64::from_le_bytes(tail)))
}

/// The finalizer of SplitMix64.
pub(crate) const fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
const FNV_OFFSET: u64 = 0xCBF2_9CE4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01B3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_and_name_always_give_the_same_stream() {
        let mut first = Random::new(7, "link");
        let mut again = Random::new(7, "link");
        let mut other = Random::new(7, "ids");
        let taken: Vec<_> = (0..4).map(|_| first.bits()).collect();
        assert_eq!(taken, (0..4).map(|_| again.bits()).collect::<Vec<_>>());
        assert_ne!(taken, (0..4).map(|_| other.bits()).collect::<Vec<_>>());
    }

    #[test]
    fn filling_leaves_no_byte_out() {
        let mut random = Random::new(1, "fill");
        let mut seen = [0_u8; 13];
        for _ in 0..8 {
            let mut out = [0; 13];
            random.fill(&mut out);
            seen.iter_mut().zip(out).for_each(|(seen, byte)| *seen |= byte);
        }
        assert!(seen.iter().all(|byte| *byte != 0));
    }

    #[test]
    fn a_digest_sees_every_byte_and_the_length() {
        let bytes = [7_u8; 21];
        for at in 0..bytes.len() {
            let mut other = bytes;
            other[at] ^= 1;
            assert_ne!(digest(&bytes), digest(&other), "byte {at}");
        }
        assert_ne!(digest(&[0; 8]), digest(&[0; 9]));
    }
}
