//! The system's randomness, for keys.

use srt_protocol::entropy::{Entropy, NoEntropy};

/// The system.
#[derive(Clone, Copy, Debug)]
pub(super) struct System;

impl Entropy for System {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        getrandom::fill(bytes).map_err(|_| NoEntropy)
    }
}
