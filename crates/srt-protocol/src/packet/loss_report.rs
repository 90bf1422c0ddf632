//! Loss reports (draft §3.2.5 and Appendix A).
//!
//! A list of 32-bit words. A number with bit 31 clear is one lost packet; one with bit 31 set begins a range,
//! and the next word, with bit 31 clear, ends it.

use core::slice;

use super::{PacketError, PacketKind, SEQUENCE_FLAG};
use crate::types::SeqNumber;

/// What a receiver misses: ranges of packets, both ends included, as [`iter`](Self::iter) tells them.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum LossReport<'a> {
    /// As read: the words on the wire. [`Packet::parse`](super::Packet::parse) has checked them.
    Wire(&'a [u8]),
    /// To be written: first and last packet of each range.
    Ranges(&'a [(SeqNumber, SeqNumber)]),
}

impl<'a> LossReport<'a> {
    /// The ranges, first and last packet of each, in the order of the report.
    ///
    /// The numbers are those of the peer: nothing here says that such packets were ever sent.
    pub fn iter(&self) -> LossRanges<'a> {
        match self {
            Self::Wire(bytes) => LossRanges(Source::Wire(bytes.as_chunks().0.iter())),
            Self::Ranges(ranges) => LossRanges(Source::Ranges(ranges.iter())),
        }
    }

    /// The words that a range takes on the wire: one for a single packet, two for several.
    pub const fn wire_words((first, last): (SeqNumber, SeqNumber)) -> usize {
        if first.value() == last.value() { 1 } else { 2 }
    }

    /// Reads what follows the header.
    pub(super) fn parse(content: &'a [u8]) -> Result<Self, PacketError> {
        const KIND: PacketKind = PacketKind::Nak;
        let (words, rest) = content.as_chunks();
        if !rest.is_empty() {
            return Err(PacketError::Ragged { kind: KIND, got: content.len() });
        }
        let mut words = words.iter().map(|word| u32::from_be_bytes(*word));
        while let Some(word) = words.next() {
            if word & SEQUENCE_FLAG == 0 {
                continue;
            }
            let first = SeqNumber::new(word);
            let Some(word) = words.next() else {
                return Err(PacketError::UnpairedRange { first });
            };
            if word & SEQUENCE_FLAG != 0 {
                return Err(PacketError::SequenceNumber { kind: KIND, word });
            }
            let last = SeqNumber::new(word);
            if last.is_before(first) {
                return Err(PacketError::Range { kind: KIND, first, last });
            }
        }
        Ok(Self::Wire(content))
    }

    /// Appends what follows the header.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Wire(bytes) => out.extend_from_slice(bytes),
            Self::Ranges(ranges) => {
                for &(first, last) in *ranges {
                    debug_assert!(!last.is_before(first), "the report names {first} to {last}");
                    if first != last {
                        out.extend_from_slice(&(first.value() | SEQUENCE_FLAG).to_be_bytes());
                    }
                    out.extend_from_slice(&last.value().to_be_bytes());
                }
            }
        }
    }
}

/// Reports are the same when they name the same ranges, read or to be written.
impl PartialEq for LossReport<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for LossReport<'_> {}

impl<'a> IntoIterator for &LossReport<'a> {
    type Item = (SeqNumber, SeqNumber);
    type IntoIter = LossRanges<'a>;

    fn into_iter(self) -> LossRanges<'a> {
        self.iter()
    }
}

/// The ranges of a [`LossReport`], first and last packet of each.
#[derive(Clone, Debug)]
pub struct LossRanges<'a>(Source<'a>);

#[derive(Clone, Debug)]
enum Source<'a> {
    Wire(slice::Iter<'a, [u8; 4]>),
    Ranges(slice::Iter<'a, (SeqNumber, SeqNumber)>),
}

impl Iterator for LossRanges<'_> {
    type Item = (SeqNumber, SeqNumber);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.0 {
            Source::Ranges(ranges) => ranges.next().copied(),
            Source::Wire(words) => {
                let first = u32::from_be_bytes(*words.next()?);
                let last =
                    if first & SEQUENCE_FLAG == 0 { first } else { u32::from_be_bytes(*words.next()?) };
                Some((SeqNumber::new(first), SeqNumber::new(last)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seqs(ranges: &[(u32, u32)]) -> Vec<(SeqNumber, SeqNumber)> {
        ranges.iter().map(|&(first, last)| (SeqNumber::new(first), SeqNumber::new(last))).collect()
    }

    fn wire(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    /// Draft, Appendix A: a range and a single packet.
    #[test]
    fn a_range_begins_with_bit_31_and_a_single_packet_stands_alone() {
        let bytes = [0x80, 0, 0, 5, 0, 0, 0, 9, 0, 0, 0, 12];
        let report = LossReport::parse(&bytes).unwrap();
        assert_eq!(report.iter().collect::<Vec<_>>(), seqs(&[(5, 9), (12, 12)]));
        let mut out = Vec::new();
        LossReport::Ranges(&seqs(&[(5, 9), (12, 12)])).write(&mut out);
        assert_eq!(out, bytes);
    }

    #[test]
    fn a_range_may_wrap() {
        let bytes = wire(&[0xFFFF_FFFE, 1]);
        let report = LossReport::parse(&bytes).unwrap();
        assert_eq!(report.iter().collect::<Vec<_>>(), seqs(&[(SeqNumber::MASK - 1, 1)]));
    }

    #[test]
    fn a_range_of_one_packet_is_accepted_in_the_long_form() {
        let bytes = wire(&[0x8000_0005, 5]);
        assert_eq!(LossReport::parse(&bytes), Ok(LossReport::Ranges(&seqs(&[(5, 5)]))));
    }

    #[test]
    fn a_reversed_range_is_an_error() {
        let (first, last) = (SeqNumber::new(9), SeqNumber::new(5));
        let error = PacketError::Range { kind: PacketKind::Nak, first, last };
        assert_eq!(LossReport::parse(&wire(&[1, 0x8000_0009, 5])), Err(error));
    }

    #[test]
    fn a_range_that_begins_twice_is_an_error() {
        let error = PacketError::SequenceNumber { kind: PacketKind::Nak, word: 0x8000_0009 };
        assert_eq!(LossReport::parse(&wire(&[0x8000_0005, 0x8000_0009])), Err(error));
    }

    #[test]
    fn half_a_range_is_an_error() {
        let error = PacketError::UnpairedRange { first: SeqNumber::new(5) };
        assert_eq!(LossReport::parse(&wire(&[3, 0x8000_0005])), Err(error));
    }

    #[test]
    fn a_broken_word_is_an_error() {
        assert_eq!(LossReport::parse(&[0; 7]), Err(PacketError::Ragged { kind: PacketKind::Nak, got: 7 }));
    }

    #[test]
    fn a_report_nobody_has_checked_ends_where_it_breaks() {
        let bytes = wire(&[3, 0x8000_0005]);
        assert_eq!(LossReport::Wire(&bytes).iter().collect::<Vec<_>>(), seqs(&[(3, 3)]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn what_was_written_is_read(
            ranges in prop::collection::vec((any::<u32>(), prop_oneof![Just(0), 0..1_u32 << 30]), 0..20)
        ) {
            let ranges: Vec<_> = ranges
                .into_iter()
                .map(|(first, more)| (SeqNumber::new(first), SeqNumber::new(first) + more))
                .collect();
            let mut out = Vec::new();
            LossReport::Ranges(&ranges).write(&mut out);
            let words: usize = ranges.iter().map(|&range| LossReport::wire_words(range)).sum();
            prop_assert_eq!(out.len(), 4 * words);
            let report = LossReport::parse(&out);
            prop_assert_eq!(report, Ok(LossReport::Ranges(&ranges)));
            prop_assert_eq!(report.unwrap().into_iter().collect::<Vec<_>>(), ranges);
        }
    }
}
