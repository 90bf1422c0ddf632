//! The buffer datagrams are written into, and what to do with it.

use std::net::{IpAddr, SocketAddr};

/// Bytes one `sendmsg` with UDP_SEGMENT takes: less than the 65,507 of a UDP payload.
const BYTES_MAX: usize = 65_000;
/// Segments one `sendmsg` with UDP_SEGMENT takes on every kernel that knows it.
const SEGMENTS_MAX: usize = 64;

/// A buffer for datagrams to one peer: all of the same length but the last, which may be shorter.
///
/// `poll_transmit` clears it and fills it with as much as one system call can carry.
#[derive(Clone, Debug)]
pub struct TransmitBatch {
    bytes: Vec<u8>,
    segments: usize,
    segment_size: usize,
    most: usize,
}

impl Default for TransmitBatch {
    fn default() -> Self {
        Self::new(SEGMENTS_MAX)
    }
}

impl TransmitBatch {
    /// A batch of at most `segments` datagrams (1 to 64); 1 where every datagram is sent on its own.
    #[must_use]
    pub fn new(segments: usize) -> Self {
        Self { bytes: Vec::new(), segments: 0, segment_size: 0, most: segments.clamp(1, SEGMENTS_MAX) }
    }

    /// The datagrams, one after the other.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many datagrams it holds.
    #[must_use]
    pub const fn segments(&self) -> usize {
        self.segments
    }

    /// Empties it; the memory stays.
    pub fn clear(&mut self) {
        self.bytes.clear();
        (self.segments, self.segment_size) = (0, 0);
    }

    /// The buffer to append one datagram to; [`end_datagram`](Self::end_datagram) follows.
    pub const fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Counts what was appended since the last call as one datagram.
    pub fn end_datagram(&mut self) {
        if self.segments == 0 {
            self.segment_size = self.bytes.len();
        }
        self.segments += 1;
    }

    /// True where a datagram of `len` bytes may follow.
    #[must_use]
    pub fn takes(&self, len: usize) -> bool {
        self.segments == 0
            || self.segments < self.most
                && len <= self.segment_size
                && self.bytes.len() == self.segments * self.segment_size
                && self.bytes.len() + len <= BYTES_MAX
    }

    /// What to do with what it holds; `None` where it is empty.
    #[must_use]
    pub fn transmit(&self, to: SocketAddr, from: Option<IpAddr>) -> Option<Transmit> {
        (self.segments > 0).then_some(Transmit {
            to,
            from,
            len: self.bytes.len(),
            segment_size: self.segment_size,
        })
    }
}

/// Datagrams that stand in a batch, to be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// The local address to send from, where it matters.
    pub from: Option<IpAddr>,
    /// Bytes of all datagrams.
    pub len: usize,
    /// Length of each datagram but the last, which is what remains.
    pub segment_size: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(batch: &mut TransmitBatch, len: usize) -> bool {
        let takes = batch.takes(len);
        if takes {
            batch.buffer().extend(std::iter::repeat_n(0, len));
            batch.end_datagram();
        }
        takes
    }

    #[test]
    fn only_the_last_datagram_may_be_shorter_and_none_longer() {
        let mut batch = TransmitBatch::default();
        assert!(push(&mut batch, 100) && push(&mut batch, 100));
        assert!(!push(&mut batch, 101));
        assert!(push(&mut batch, 40));
        assert!(!push(&mut batch, 40), "after a short one nothing fits");
        assert_eq!((batch.segments(), batch.bytes().len()), (3, 240));
    }

    #[test]
    fn a_batch_stays_below_what_one_call_carries() {
        let mut batch = TransmitBatch::default();
        assert_eq!(std::iter::repeat_with(|| push(&mut batch, 1_360)).take_while(|&took| took).count(), 47);
        batch.clear();
        assert_eq!(std::iter::repeat_with(|| push(&mut batch, 100)).take_while(|&took| took).count(), 64);
    }
}
