//! Randomness that is none, so that an input does the same each time.

use std::sync::atomic::{AtomicU8, Ordering};

use srt_protocol::entropy::{Entropy, NoEntropy};

/// Counts.
#[derive(Debug, Default)]
pub struct Counting(AtomicU8);

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        bytes.fill_with(|| self.0.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}
