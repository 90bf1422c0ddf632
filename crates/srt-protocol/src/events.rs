//! Events that wait for their owner, within a bound.

use std::collections::VecDeque;

/// Events, oldest first. When nobody takes them, the oldest of those that only inform are forgotten.
#[derive(Debug)]
pub struct Events<E> {
    waiting: VecDeque<E>,
    most: usize,
    informs: fn(&E) -> bool,
}

impl<E> Events<E> {
    /// Keeps about `most`; `informs` tells what may be forgotten.
    #[must_use]
    pub const fn new(most: usize, informs: fn(&E) -> bool) -> Self {
        Self { waiting: VecDeque::new(), most, informs }
    }

    /// Adds one.
    pub fn push(&mut self, event: E) {
        if self.waiting.len() >= self.most {
            match self.waiting.iter().position(self.informs) {
                Some(oldest) => drop(self.waiting.remove(oldest)),
                None if (self.informs)(&event) => return,
                None => {}
            }
        }
        self.waiting.push_back(event);
    }

    /// Takes the oldest.
    pub fn pop(&mut self) -> Option<E> {
        self.waiting.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_informs_is_forgotten_first_and_the_rest_is_kept() {
        let mut events: Events<u32> = Events::new(3, |event| event % 2 == 0);
        (1..=5).for_each(|event| events.push(event));
        assert_eq!(std::iter::from_fn(|| events.pop()).collect::<Vec<_>>(), [1, 3, 5]);
        [1, 3, 5, 6, 7].into_iter().for_each(|event| events.push(event));
        assert_eq!(std::iter::from_fn(|| events.pop()).collect::<Vec<_>>(), [1, 3, 5, 7]);
    }
}
