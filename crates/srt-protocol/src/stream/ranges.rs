//! Runs of sequence numbers: sorted, disjoint, never touching.

use std::collections::VecDeque;

use super::SeqRange;
use crate::types::SeqNumber;

/// A set of sequence numbers that lie within 2^30 of each other, kept as runs.
#[derive(Clone, Debug, Default)]
pub struct SeqRanges {
    runs: VecDeque<SeqRange>,
    len: usize,
}

impl SeqRanges {
    /// An empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many numbers it holds.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// True where it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The lowest number.
    #[must_use]
    pub fn first(&self) -> Option<SeqNumber> {
        self.runs.front().map(|run| run.0)
    }

    /// The runs, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = SeqRange> + '_ {
        self.runs.iter().copied()
    }

    /// The run that holds `seq`.
    #[must_use]
    pub fn run_of(&self, seq: SeqNumber) -> Option<SeqRange> {
        self.runs.get(self.index_of(seq)).copied().filter(|run| !seq.is_before(run.0))
    }

    /// True where `seq` is in the set.
    #[must_use]
    pub fn contains(&self, seq: SeqNumber) -> bool {
        self.run_of(seq).is_some()
    }

    /// Adds `first..=last`; tells how many of them are new.
    pub fn insert(&mut self, first: SeqNumber, last: SeqNumber) -> usize {
        if last.is_before(first) {
            return 0;
        }
        let before = self.len;
        // runs from `start` on end at or after the number before `first`: they may touch
        let start = self.index_of(first.prev());
        let (mut low, mut high, mut end) = (first, last, start);
        while let Some(&(run_first, run_last)) = self.runs.get(end) {
            if run_first.is_after(last.next()) {
                break;
            }
            if run_first.is_before(low) {
                low = run_first;
            }
            if run_last.is_after(high) {
                high = run_last;
            }
            self.len -= count(run_first, run_last);
            end += 1;
        }
        self.len += count(low, high);
        if end == start {
            self.runs.insert(start, (low, high));
        } else {
            self.runs[start] = (low, high);
            self.runs.drain(start + 1..end);
        }
        self.len - before
    }

    /// Takes `first..=last` out; tells how many of them were in.
    pub fn remove(&mut self, first: SeqNumber, last: SeqNumber) -> usize {
        if last.is_before(first) {
            return 0;
        }
        let before = self.len;
        let mut index = self.index_of(first);
        while let Some(&(run_first, run_last)) = self.runs.get(index) {
            if run_first.is_after(last) {
                break;
            }
            let keeps_low = run_first.is_before(first);
            let keeps_high = run_last.is_after(last);
            self.len -= count(run_first, run_last);
            if keeps_low {
                self.len += count(run_first, first.prev());
            }
            if keeps_high {
                self.len += count(last.next(), run_last);
            }
            match (keeps_low, keeps_high) {
                (true, true) => {
                    self.runs[index].1 = first.prev();
                    self.runs.insert(index + 1, (last.next(), run_last));
                    index += 2;
                }
                (true, false) => {
                    self.runs[index].1 = first.prev();
                    index += 1;
                }
                (false, true) => {
                    self.runs[index].0 = last.next();
                    index += 1;
                }
                (false, false) => {
                    self.runs.remove(index);
                }
            }
        }
        before - self.len
    }

    /// Takes all numbers before `next` out.
    pub fn remove_before(&mut self, next: SeqNumber) {
        while let Some(&mut (first, last)) = self.runs.front_mut() {
            if !first.is_before(next) {
                return;
            }
            if last.is_before(next) {
                self.len -= count(first, last);
                self.runs.pop_front();
            } else {
                self.len -= count(first, next.prev());
                self.runs[0].0 = next;
            }
        }
    }

    /// Takes the lowest number out.
    pub fn pop_first(&mut self) -> Option<SeqNumber> {
        let (first, last) = *self.runs.front()?;
        if first == last {
            self.runs.pop_front();
        } else {
            self.runs[0].0 = first.next();
        }
        self.len -= 1;
        Some(first)
    }

    /// Index of the first run that ends at or after `seq`.
    fn index_of(&self, seq: SeqNumber) -> usize {
        self.runs.partition_point(|run| run.1.is_before(seq))
    }
}

/// How many numbers `first..=last` are.
pub(crate) fn count(first: SeqNumber, last: SeqNumber) -> usize {
    usize::try_from(last.distance_from(first) + 1).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn behaves_like_a_set_of_numbers(
            base in any::<u32>(),
            ops in prop::collection::vec((0u8..5, 0u32..60, 0u32..12), 1..40),
        ) {
            let seq = |offset: u32| SeqNumber::new(base) + offset;
            let mut ranges = SeqRanges::new();
            let mut model = BTreeSet::new();
            for (op, offset, len) in ops {
                let span = offset..=offset + len;
                match op {
                    0 | 1 => {
                        let new = span.clone().filter(|&n| model.insert(n)).count();
                        prop_assert_eq!(ranges.insert(seq(offset), seq(offset + len)), new);
                    }
                    2 => {
                        let gone = span.clone().filter(|n| model.remove(n)).count();
                        prop_assert_eq!(ranges.remove(seq(offset), seq(offset + len)), gone);
                    }
                    3 => {
                        model.retain(|&n| n >= offset / 2);
                        ranges.remove_before(seq(offset / 2));
                    }
                    _ => prop_assert_eq!(ranges.pop_first(), model.pop_first().map(seq)),
                }
                prop_assert_eq!(ranges.len(), model.len());
                let numbers: Vec<_> = ranges.iter()
                    .flat_map(|(first, last)| (0..u32::try_from(count(first, last)).unwrap()).map(move |n| first + n)).collect();
                prop_assert_eq!(numbers, model.iter().map(|&n| seq(n)).collect::<Vec<_>>());
                prop_assert_eq!(ranges.contains(seq(offset)), model.contains(&offset));
                let runs: Vec<_> = ranges.iter().collect();
                for pair in runs.windows(2) {
                    prop_assert!(pair[1].0.distance_from(pair[0].1) > 1, "runs touch: {:?}", runs);
                }
            }
        }
    }
}
