//! What has come of a stream, whichever link brought it: a message between two ends of ours that said in the handshake that they
//! know it ([`GroupInfo::FLAG_MERGES`](super::GroupInfo::FLAG_MERGES)). It travels as a user-defined control packet of a subtype
//! that libsrt does not know.
//!
//! ```text
//! |          first number not there         |   everything before it is there, or given up
//! |        number after the last told of    |   what lies between is there, but for these:
//! |    first missing    |   last missing    |   …
//! ```

use crate::{stream::SeqRange, types::SeqNumber};

/// Subtype of the message: none of libsrt's (`SRT_CMD_*`).
pub const STREAM_REPORT: u16 = 0x5247;
/// Runs of missing packets told at most.
pub const STREAM_REPORT_RUNS: usize = 64;

/// What has come of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamReport<'a> {
    /// The first number that is not there and may still come.
    pub next: SeqNumber,
    /// The number after the last that is told of.
    pub end: SeqNumber,
    /// What is missing between, lowest first: pairs of numbers, as read or to be written.
    runs: Runs<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Runs<'a> {
    Wire(&'a [[u8; 4]]),
    List(&'a [SeqRange]),
}

impl<'a> StreamReport<'a> {
    /// A report to be written.
    #[must_use]
    pub const fn new(next: SeqNumber, end: SeqNumber, missing: &'a [SeqRange]) -> Self {
        Self { next, end, runs: Runs::List(missing) }
    }

    /// Reads the content; `None` where it makes no sense.
    #[must_use]
    pub fn parse(content: &'a [u8]) -> Option<Self> {
        let ([next, end, runs @ ..], []) = content.as_chunks::<4>() else { return None };
        let number = |word: &[u8; 4]| SeqNumber::new(u32::from_be_bytes(*word));
        let (next, end) = (number(next), number(end));
        let sound =
            !end.is_before(next) && runs.len().is_multiple_of(2) && runs.len() / 2 <= STREAM_REPORT_RUNS;
        sound.then_some(Self { next, end, runs: Runs::Wire(runs) })
    }

    /// The content.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |seq: SeqNumber| out.extend_from_slice(&seq.value().to_be_bytes());
        put(self.next);
        put(self.end);
        for (first, last) in self.missing().take(STREAM_REPORT_RUNS) {
            put(first);
            put(last);
        }
        out
    }

    /// The runs of missing packets, as far as they make sense: lowest first, between `next` and `end`.
    pub fn missing(&self) -> impl Iterator<Item = SeqRange> + '_ {
        let number = |word: &[u8; 4]| SeqNumber::new(u32::from_be_bytes(*word));
        let count = match self.runs {
            Runs::Wire(words) => words.len() / 2,
            Runs::List(list) => list.len(),
        };
        let mut least = self.next;
        (0..count).map_while(move |index| {
            let (first, last) = match self.runs {
                Runs::Wire(words) => (number(words.get(index * 2)?), number(words.get(index * 2 + 1)?)),
                Runs::List(list) => *list.get(index)?,
            };
            let sound = !first.is_before(least) && !last.is_before(first) && last.is_before(self.end);
            least = last.next();
            sound.then_some((first, last))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seq(number: u32) -> SeqNumber {
        SeqNumber::new(number)
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let missing = [(seq(0x7FFF_FFFE), seq(1)), (seq(5), seq(5))];
        let report = StreamReport::new(seq(0x7FFF_FFFE), seq(9), &missing);
        let bytes = report.to_bytes();
        let read = StreamReport::parse(&bytes).unwrap();
        assert_eq!((read.next, read.end), (report.next, report.end));
        assert_eq!(read.missing().collect::<Vec<_>>(), missing);
    }

    #[test]
    fn what_makes_no_sense_is_not_told() {
        let report = |words: &[u32]| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            StreamReport::parse(&bytes).map(|report| report.missing().count())
        };
        assert_eq!(report(&[10]), None);
        assert_eq!(report(&[10, 9]), None, "the end before the beginning");
        assert_eq!(report(&[10, 20, 12]), None);
        assert_eq!(report(&[10, 20, 12, 13, 12, 14]), Some(1), "runs that overlap");
        assert_eq!(report(&[10, 20, 5, 6]), Some(0), "a run before the beginning");
        assert_eq!(report(&[10, 20, 15, 30]), Some(0), "a run past the end");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            if let Some(report) = StreamReport::parse(&bytes) {
                prop_assert!(report.missing().count() <= STREAM_REPORT_RUNS);
            }
        }
    }
}
