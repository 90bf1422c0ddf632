//! Randomness, handed in by whoever owns the core: keys and salts are made of it.

use core::fmt::Debug;

/// A source of random bytes that nobody can guess.
pub trait Entropy: Debug + Send + Sync {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// [`NoEntropy`] if there are no random bytes now. What `bytes` holds then must not be used.
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy>;
}

/// There are no random bytes now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
#[expect(clippy::exhaustive_structs, reason = "there is nothing more to say")]
pub struct NoEntropy;

/// A source that has nothing: enough where nothing is encrypted.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "it has nothing")]
pub struct Nothing;

impl Entropy for Nothing {
    fn fill(&self, _bytes: &mut [u8]) -> Result<(), NoEntropy> {
        Err(NoEntropy)
    }
}
