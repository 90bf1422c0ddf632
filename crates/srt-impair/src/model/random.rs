//! Chance that replays: integers from a generator whose values never change, and no floating-point function that
//! differs between platforms.

use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A new seed from a seed: the same for the same pair, unrelated for any other index.
///
/// For worlds with several links: give each direction of each link its own index.
pub const fn derive_seed(seed: u64, index: u64) -> u64 {
    // SplitMix64 (Steele, Lea, Flood 2014): a step of the golden ratio per index, then its mixer.
    let mut mixed = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// A source of chance for one purpose, so that drawing for one does not shift another.
#[derive(Clone, Debug)]
pub(super) struct Luck(Xoshiro256PlusPlus);

/// A probability in units of 2⁻⁵³; 2⁵³ is certainty. What is below 0, or no number, is 0; what is above 1 is 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance(u64);

impl Luck {
    pub(super) fn new(seed: u64, purpose: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(derive_seed(seed, purpose)))
    }

    /// True with this probability.
    pub(super) fn hits(&mut self, chance: Chance) -> bool {
        self.0.next_u64() >> 11 < chance.0
    }

    /// 0 to `most`, all alike (to within 2⁻⁶⁴ × `most`).
    pub(super) fn up_to(&mut self, most: u64) -> u64 {
        high_half(u128::from(self.0.next_u64()) * (u128::from(most) + 1))
    }

    /// The absolute value of a normal deviate with this standard deviation, at most 6 times that.
    pub(super) fn half_normal(&mut self, deviation: u64) -> u64 {
        // Twelve uniform deviates have variance 1 together and are close to normal (Irwin-Hall); unlike Box-Muller
        // this needs no logarithm, which may differ in its last bit from one libm to the next.
        let sum: u64 = (0..6).map(|_| self.0.next_u64()).map(|draw| (draw >> 32) + (draw & HALF)).sum();
        let from_middle = sum.abs_diff(6 * HALF);
        u64::try_from((u128::from(from_middle) * u128::from(deviation)) >> 32).unwrap_or(u64::MAX)
    }
}

impl Chance {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=2^53; a cast takes NaN for 0"
    )]
    pub(super) fn new(probability: f64) -> Self {
        Self((probability.clamp(0.0, 1.0) * CERTAIN) as u64)
    }
}

const CERTAIN: f64 = 9_007_199_254_740_992.0;
const HALF: u64 = 0xFFFF_FFFF;

fn high_half(product: u128) -> u64 {
    u64::try_from(product >> 64).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certainty_always_hits_and_impossibility_never() {
        let mut luck = Luck::new(1, 1);
        for _ in 0..10_000 {
            assert!(luck.hits(Chance::new(1.0)));
            assert!(luck.hits(Chance::new(7.0)));
            for never in [0.0, -1.0, f64::NAN] {
                assert!(!luck.hits(Chance::new(never)));
            }
        }
    }

    #[test]
    fn uniform_draws_stay_in_range_and_reach_both_ends() {
        let mut luck = Luck::new(2, 0);
        let draws: Vec<u64> = (0..1_000).map(|_| luck.up_to(9)).collect();
        for value in 0..=9 {
            let count = draws.iter().filter(|&&draw| draw == value).count();
            assert!((60..=140).contains(&count), "{value}: {count}");
        }
        assert!(draws.iter().all(|&draw| draw <= 9));
        assert_eq!(luck.up_to(0), 0);
        luck.up_to(u64::MAX);
    }

    #[test]
    fn half_normal_draws_have_the_mean_and_spread_of_the_law() {
        let mut luck = Luck::new(3, 0);
        let draws: Vec<u64> = (0..100_000).map(|_| luck.half_normal(1_000)).collect();
        let mean = draws.iter().sum::<u64>() / 100_000;
        assert!((790..=806).contains(&mean), "mean {mean}, the law says 798");
        let within_one = draws.iter().filter(|&&draw| draw <= 1_000).count();
        assert!((67_500..=69_000).contains(&within_one), "{within_one}, the law says 68,270");
        assert!(draws.iter().all(|&draw| draw <= 6_000));
    }

    #[test]
    fn derived_seeds_differ_by_seed_and_by_index() {
        let mut all: Vec<u64> =
            (0..100).flat_map(|seed| (0..100).map(move |index| derive_seed(seed, index))).collect();
        // Seeds are used as given, so neighbours in seed and index must not meet on the golden-ratio walk.
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 10_000);
    }
}
