//! A batch of messages: one run of bytes and the places where each message ends.
//!
//! Batches go round between reader and writer and keep their memory, so that a message costs no allocation.

/// Messages in order, each with the time of its origin where it is known.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    marks: Vec<Mark>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    end: usize,
    source_time: Option<u64>,
}

impl Batch {
    /// Appends a message; `source_time` in µs of the SRT connection clock, when the medium knows it.
    pub(crate) fn push(&mut self, message: &[u8], source_time: Option<u64>) {
        self.bytes.extend_from_slice(message);
        self.marks.push(Mark { end: self.bytes.len(), source_time });
    }

    /// Appends a message of `size` bytes that `fill` writes in place.
    pub(crate) fn push_with(&mut self, size: usize, source_time: Option<u64>, fill: impl FnOnce(&mut [u8])) {
        let start = self.bytes.len();
        self.bytes.resize(start + size, 0);
        fill(&mut self.bytes[start..]);
        self.marks.push(Mark { end: self.bytes.len(), source_time });
    }

    /// Appends all messages of `other`.
    pub(crate) fn append(&mut self, other: &Self) {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.marks.extend(other.marks.iter().map(|mark| Mark { end: base + mark.end, ..*mark }));
    }

    /// Forgets the messages, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.marks.clear();
    }

    /// Number of messages.
    pub(crate) fn len(&self) -> usize {
        self.marks.len()
    }

    /// Whether there is no message.
    pub(crate) fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// All bytes of all messages, one after another.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The messages with their times.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[u8], Option<u64>)> {
        let mut start = 0;
        self.marks.iter().map(move |mark| {
            let message = &self.bytes[start..mark.end];
            start = mark.end;
            (message, mark.source_time)
        })
    }

    /// Drops the first `count` messages (all, when there are fewer).
    pub(crate) fn drop_front(&mut self, count: usize) {
        let Some(last) = count.min(self.marks.len()).checked_sub(1) else { return };
        let cut = self.marks[last].end;
        self.bytes.drain(..cut);
        self.marks.drain(..=last);
        for mark in &mut self.marks {
            mark.end -= cut;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(batch: &Batch) -> Vec<(Vec<u8>, Option<u64>)> {
        batch.iter().map(|(message, time)| (message.to_vec(), time)).collect()
    }

    #[test]
    fn messages_keep_their_borders_and_times() {
        let mut batch = Batch::default();
        batch.push(b"one", Some(1));
        batch.push(b"", None);
        batch.push_with(3, Some(3), |space| space.copy_from_slice(b"two"));
        assert_eq!(
            messages(&batch),
            [(b"one".to_vec(), Some(1)), (b"".to_vec(), None), (b"two".to_vec(), Some(3))]
        );
        assert_eq!(batch.bytes(), b"onetwo");
        assert_eq!(batch.len(), 3);
    }

    #[test]
    fn appended_messages_follow_in_order() {
        let (mut first, mut second) = (Batch::default(), Batch::default());
        first.push(b"a", None);
        second.push(b"bc", Some(7));
        first.append(&second);
        assert_eq!(messages(&first), [(b"a".to_vec(), None), (b"bc".to_vec(), Some(7))]);
    }

    #[test]
    fn dropping_from_the_front_leaves_the_rest_whole() {
        let mut batch = Batch::default();
        for message in [&b"a"[..], b"bb", b"ccc"] {
            batch.push(message, None);
        }
        batch.drop_front(0);
        assert_eq!(batch.len(), 3);
        batch.drop_front(2);
        assert_eq!(messages(&batch), [(b"ccc".to_vec(), None)]);
        batch.drop_front(9);
        assert!(batch.is_empty() && batch.bytes().is_empty());
    }
}
