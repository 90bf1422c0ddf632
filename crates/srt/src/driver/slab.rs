//! A table whose rows keep their number for as long as they live.

/// Values under small numbers; the number of a value that is taken out is used again.
#[derive(Debug)]
pub(super) struct Slab<T> {
    rows: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    /// Puts `value` in; its number is not [`NOWHERE`].
    pub(super) fn insert(&mut self, value: T) -> u32 {
        if let Some(key) = self.free.pop() {
            self.rows[key as usize] = Some(value);
            return key;
        }
        let key = u32::try_from(self.rows.len()).ok().filter(|&key| key != NOWHERE);
        self.rows.push(Some(value));
        key.expect("fewer than four thousand million connections")
    }

    pub(super) fn get(&self, key: u32) -> Option<&T> {
        self.rows.get(key as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, key: u32) -> Option<&mut T> {
        self.rows.get_mut(key as usize)?.as_mut()
    }

    /// Takes the value out; its number may be given again.
    pub(super) fn remove(&mut self, key: u32) -> Option<T> {
        let value = self.rows.get_mut(key as usize)?.take()?;
        self.free.push(key);
        Some(value)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len() - self.free.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The numbers in use now, in order.
    pub(super) fn keys(&self) -> Vec<u32> {
        (0_u32..).zip(&self.rows).filter(|(_, row)| row.is_some()).map(|(key, _)| key).collect()
    }
}

/// The number of no row.
pub(super) const NOWHERE: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_used_again_only_after_its_value_left() {
        let mut slab = Slab::default();
        let (first, second) = (slab.insert("a"), slab.insert("b"));
        assert_ne!(first, second);
        assert_eq!(slab.remove(first), Some("a"));
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.insert("c"), first);
        assert_eq!(slab.get(second), Some(&"b"));
        assert_eq!(slab.keys(), [first, second]);
        assert_eq!(slab.len(), 2);
    }
}
