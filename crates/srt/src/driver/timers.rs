//! Deadlines of many connections: which is next, without looking at the others.
//!
//! A binary heap that knows where each key stands, so a deadline that moves (nearly every packet moves one) is mended in
//! place in `O(log n)` and leaves no stale entry behind.

use srt_protocol::time::Instant;

/// At most one deadline per key. Keys are small numbers, as a [`Slab`](super::slab::Slab) gives them.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// The heap: every entry is not later than its two children at `2i + 1` and `2i + 2`.
    heap: Vec<(Instant, u32)>,
    /// Where in the heap a key stands; [`ABSENT`] when it has no deadline.
    places: Vec<u32>,
}

impl Timers {
    /// Gives `key` the deadline `at`, or none.
    pub(super) fn set(&mut self, key: u32, at: Option<Instant>) {
        let index = key as usize;
        if index >= self.places.len() {
            if at.is_none() {
                return;
            }
            self.places.resize(index + 1, ABSENT);
        }
        match (self.places[index], at) {
            (ABSENT, None) => {}
            (ABSENT, Some(at)) => {
                self.heap.push((at, key));
                let last = self.heap.len() - 1;
                self.note(last);
                self.rise(last);
            }
            (place, None) => self.take(place as usize),
            (place, Some(at)) => {
                let place = place as usize;
                let before = core::mem::replace(&mut self.heap[place].0, at);
                if at < before {
                    self.rise(place);
                } else if at > before {
                    self.sink(place);
                }
            }
        }
    }

    /// The earliest deadline of all.
    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.first().map(|&(at, _)| at)
    }

    /// Takes out the earliest key whose deadline is `now` or before.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<u32> {
        let &(at, key) = self.heap.first()?;
        if at > now {
            return None;
        }
        self.take(0);
        Some(key)
    }

    /// Takes the entry at `place` out of the heap.
    fn take(&mut self, place: usize) {
        let (_, key) = self.heap.swap_remove(place);
        self.places[key as usize] = ABSENT;
        if place < self.heap.len() {
            self.note(place);
            self.rise(place);
            self.sink(place);
        }
    }

    /// Moves the entry at `place` towards the root until its parent is not later.
    fn rise(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if self.heap[parent].0 <= self.heap[place].0 {
                break;
            }
            self.heap.swap(parent, place);
            self.note(place);
            self.note(parent);
            place = parent;
        }
    }

    /// Moves the entry at `place` away from the root until no child is earlier.
    fn sink(&mut self, mut place: usize) {
        loop {
            let left = 2 * place + 1;
            let Some(&(left_at, _)) = self.heap.get(left) else { break };
            let child = match self.heap.get(left + 1) {
                Some(&(right_at, _)) if right_at < left_at => left + 1,
                _ => left,
            };
            if self.heap[place].0 <= self.heap[child].0 {
                break;
            }
            self.heap.swap(place, child);
            self.note(place);
            self.note(child);
            place = child;
        }
    }

    /// Writes down where the entry at `place` stands.
    fn note(&mut self, place: usize) {
        let key = self.heap[place].1;
        self.places[key as usize] = u32::try_from(place).expect("as many entries as keys, and keys are u32");
    }
}

const ABSENT: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn the_earliest_deadline_comes_out_first() {
        let mut timers = Timers::default();
        timers.set(3, Some(at(30)));
        timers.set(1, Some(at(10)));
        timers.set(2, Some(at(20)));
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop_due(at(20)), Some(1));
        assert_eq!(timers.pop_due(at(20)), Some(2));
        assert_eq!(timers.pop_due(at(20)), None);
        assert_eq!(timers.next(), Some(at(30)));
    }

    #[test]
    fn a_deadline_that_moves_leaves_nothing_behind() {
        let mut timers = Timers::default();
        for micros in [50, 10, 90, 40] {
            timers.set(7, Some(at(micros)));
        }
        assert_eq!(timers.pop_due(at(1_000)), Some(7));
        assert_eq!(timers.pop_due(at(1_000)), None);
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_sorted_map_does(steps in prop::collection::vec((0_u32..40, prop::option::of(0_u64..200)), 0..400)) {
            let mut timers = Timers::default();
            let mut model = BTreeMap::new();
            for (key, micros) in steps {
                timers.set(key, micros.map(at));
                match micros {
                    Some(micros) => { model.insert(key, at(micros)); }
                    None => { model.remove(&key); }
                }
                prop_assert_eq!(timers.next(), model.values().min().copied());
            }
            while let Some(key) = timers.pop_due(at(1_000)) {
                let due = model.remove(&key).expect("a key comes out once");
                prop_assert!(model.values().all(|&other| due <= other));
            }
            prop_assert!(model.is_empty());
        }
    }
}
