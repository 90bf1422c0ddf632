//! Who is lost by chance: each packet on its own, or in bursts.

use super::random::{Chance, Luck};
use crate::profile::Loss;

/// A loss law at work. Draws once per packet, whatever else happens to that packet.
#[derive(Clone, Debug)]
pub(super) struct LossProcess {
    law: Law,
    luck: Luck,
}

#[derive(Clone, Debug)]
enum Law {
    Never,
    Independent(Chance),
    /// Gilbert-Elliott: `bad` is the state the next packet meets.
    Burst {
        begin: Chance,
        end: Chance,
        bad: bool,
    },
}

impl LossProcess {
    pub(super) fn new(loss: Loss, mut luck: Luck) -> Self {
        Self { law: Law::new(loss, &mut luck), luck }
    }

    /// Goes on by another law, with the same source of chance.
    pub(super) fn set(&mut self, loss: Loss) {
        self.law = Law::new(loss, &mut self.luck);
    }

    /// Whether the next packet is lost.
    pub(super) fn next(&mut self) -> bool {
        match &mut self.law {
            Law::Never => false,
            Law::Independent(chance) => self.luck.hits(*chance),
            Law::Burst { begin, end, bad } => {
                let lost = *bad;
                if self.luck.hits(if lost { *end } else { *begin }) {
                    *bad = !lost;
                }
                lost
            }
        }
    }
}

impl Law {
    fn new(loss: Loss, luck: &mut Luck) -> Self {
        match loss {
            Loss::None => Self::Never,
            Loss::Independent(rate) => Self::Independent(Chance::new(rate)),
            Loss::Burst { rate, mean_length } => {
                // In balance as many bursts begin as end: (1 - rate) * begin = rate * end, with end = 1 / mean_length.
                let end = 1.0 / mean_length.max(1.0);
                let begin = rate * end / (1.0 - rate).max(0.0);
                // The first state is drawn in proportion, so that the law holds from the first packet on.
                Self::Burst {
                    begin: Chance::new(begin),
                    end: Chance::new(end),
                    bad: luck.hits(Chance::new(rate)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(loss: Loss, seed: u64, packets: usize) -> Vec<bool> {
        let mut process = LossProcess::new(loss, Luck::new(seed, 0));
        (0..packets).map(|_| process.next()).collect()
    }

    fn lost(fates: &[bool]) -> usize {
        fates.iter().filter(|&&lost| lost).count()
    }

    /// Runs of losses: how many, and the longest.
    fn bursts(fates: &[bool]) -> (usize, usize) {
        let runs: Vec<usize> =
            fates.split(|&lost| !lost).map(<[bool]>::len).filter(|&length| length > 0).collect();
        (runs.len(), runs.iter().copied().max().unwrap_or(0))
    }

    #[test]
    fn independent_loss_is_binomial() {
        for seed in 0..8 {
            let count = lost(&fates(Loss::Independent(0.05), seed, 200_000));
            // 10,000 expected, standard deviation 97.5; within four of them.
            assert!((9_610..=10_390).contains(&count), "seed {seed}: {count}");
        }
    }

    #[test]
    fn independent_losses_do_not_cluster() {
        let fates = fates(Loss::Independent(0.1), 5, 200_000);
        let (runs, _) = bursts(&fates);
        // A run begins at 0.1 * 0.9 of the packets: 18,000.
        assert!((17_600..=18_400).contains(&runs), "{runs}");
    }

    #[test]
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    fn bursts_have_the_rate_and_the_mean_length_asked_for() {
        for (rate, mean_length) in [(0.1, 4.0), (0.05, 10.0), (0.5, 2.0), (0.01, 1.5)] {
            let fates = fates(Loss::Burst { rate, mean_length }, 7, 1_000_000);
            let measured_rate = lost(&fates) as f64 / 1e6;
            assert!((measured_rate / rate - 1.0).abs() < 0.04, "{rate}: {measured_rate}");
            let measured_length = lost(&fates) as f64 / bursts(&fates).0 as f64;
            assert!((measured_length / mean_length - 1.0).abs() < 0.03, "{mean_length}: {measured_length}");
        }
    }

    #[test]
    fn bursts_of_mean_length_one_never_touch() {
        let fates = fates(Loss::Burst { rate: 0.3, mean_length: 1.0 }, 11, 100_000);
        assert_eq!(bursts(&fates).1, 1);
        assert!((29_500..=30_500).contains(&lost(&fates)));
    }

    #[test]
    fn burst_loss_holds_from_the_first_packet_on() {
        let loss = Loss::Burst { rate: 0.4, mean_length: 50.0 };
        let first = (0..10_000).filter(|&seed| fates(loss, seed, 1)[0]).count();
        assert!((3_800..=4_200).contains(&first), "{first} of 10,000 first packets lost");
    }

    #[test]
    fn extremes_do_what_they_say() {
        assert_eq!(lost(&fates(Loss::None, 1, 1_000)), 0);
        assert_eq!(lost(&fates(Loss::Independent(0.0), 1, 1_000)), 0);
        assert_eq!(lost(&fates(Loss::Independent(1.0), 1, 1_000)), 1_000);
        assert_eq!(lost(&fates(Loss::Burst { rate: 0.0, mean_length: 4.0 }, 1, 1_000)), 0);
    }
}
