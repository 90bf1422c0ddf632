//! The applications at the two ends: what is sent and when, and how eagerly it is read.

use super::random::{Random, scramble};
use srt_protocol::time::Micros;

/// Payload of one MPEG-TS datagram: seven packets of 188 bytes.
pub const TS_MESSAGE: usize = 1316;

/// Bits per second.
pub const fn mbps(rate: u64) -> u64 {
    rate * 1_000_000
}

/// Bits per second.
pub const fn kbps(rate: u64) -> u64 {
    rate * 1_000
}

/// A span of seconds.
pub const fn secs(span: u64) -> Micros {
    Micros::from_secs(span)
}

/// A span of milliseconds.
pub const fn ms(span: u64) -> Micros {
    Micros::from_millis(span)
}

/// What an application sends once it is connected, told by its own clock.
#[derive(Clone, Debug)]
pub struct Source {
    pattern: Pattern,
    start: Micros,
    span: Micros,
    message: usize,
    waits: bool,
    ttl: Option<Micros>,
}

#[derive(Clone, Debug)]
enum Pattern {
    Constant { bps: u64 },
    Frames { bps: u64, every: Micros },
    AtOnce { count: u64 },
    Sizes { every: Micros, smallest: usize },
}

impl Source {
    /// An encoder of constant rate: one message after another, evenly spaced.
    pub const fn live(bps: u64, span: Micros) -> Self {
        Self::new(Pattern::Constant { bps }, span)
    }

    /// An encoder that hands over whole pictures, `per_second` of them, each between half and one and a half times the
    /// average size.
    pub const fn frames(bps: u64, per_second: u64, span: Micros) -> Self {
        Self::new(Pattern::Frames { bps, every: Micros::from_micros(1_000_000 / per_second) }, span)
    }

    /// `count` messages as fast as `send` takes them.
    pub const fn at_once(count: u64) -> Self {
        Self::new(Pattern::AtOnce { count }, Micros::MAX)
    }

    /// Messages of every size from 1 byte to `largest`, one each `every`.
    pub const fn sizes(every: Micros, largest: usize, span: Micros) -> Self {
        Self::new(Pattern::Sizes { every, smallest: 1 }, span).in_messages_of(largest)
    }

    const fn new(pattern: Pattern, span: Micros) -> Self {
        Self { pattern, start: Micros::ZERO, span, message: TS_MESSAGE, waits: true, ttl: None }
    }

    /// The same, beginning so much after the connection.
    #[must_use]
    pub const fn after(mut self, start: Micros) -> Self {
        self.start = start;
        self
    }

    /// The same, in messages of `bytes`.
    #[must_use]
    pub const fn in_messages_of(mut self, bytes: usize) -> Self {
        self.message = bytes;
        self
    }

    /// The same, but a message for which there is no room is skipped instead of waited for.
    #[must_use]
    pub const fn skipping_when_full(mut self) -> Self {
        self.waits = false;
        self
    }

    /// The same, but what was not sent for the first time within so long is not sent at all.
    #[must_use]
    pub const fn worth_for(mut self, ttl: Micros) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Whether a full send buffer makes this source wait (or skip).
    pub(crate) const fn waits(&self) -> bool {
        self.waits
    }

    /// How long after the connection the last message is offered, if nothing makes the source wait.
    pub(crate) fn ends(&self) -> Micros {
        match self.pattern {
            Pattern::AtOnce { .. } => self.start,
            _ => self.start + self.span,
        }
    }

    pub(crate) fn play(self, random: Random) -> Playing {
        Playing { source: self, random, count: 0, frame: 0, left_in_frame: 0 }
    }
}

/// A source at work.
#[derive(Debug)]
pub(crate) struct Playing {
    source: Source,
    random: Random,
    count: u64,
    frame: u64,
    left_in_frame: u64,
}

impl Playing {
    pub(crate) const fn waits(&self) -> bool {
        self.source.waits()
    }

    pub(crate) const fn ttl(&self) -> Option<Micros> {
        self.source.ttl
    }

    /// The next message: when, after the connection, and how long.
    pub(crate) fn next(&mut self) -> Option<(Micros, usize)> {
        let Source { start, span, message, .. } = self.source;
        let bits = message as u64 * 8;
        let (after, len) = match self.source.pattern {
            Pattern::Constant { bps } => {
                let micros = u128::from(self.count) * u128::from(bits) * 1_000_000 / u128::from(bps.max(1));
                (Micros::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)), message)
            }
            Pattern::Frames { bps, every } => {
                if self.left_in_frame == 0 {
                    self.frame += u64::from(self.count > 0);
                    let average = bps * every.as_micros() / 1_000_000 / bits;
                    let spread = average.max(1).try_into().expect("at least one");
                    self.left_in_frame = 1 + average / 2 + self.random.below(spread);
                }
                self.left_in_frame -= 1;
                (every * self.frame, message)
            }
            Pattern::AtOnce { count } => {
                (if self.count < count { Micros::ZERO } else { Micros::MAX }, message)
            }
            Pattern::Sizes { every, smallest } => {
                let sizes = (message - smallest + 1) as u64;
                let step = usize::try_from(self.count % sizes).expect("below a usize");
                (every * self.count, smallest + step)
            }
        };
        if after >= span {
            return None;
        }
        self.count += 1;
        Some((start + after, len))
    }
}

/// The payload of message `number` of the flow with this `key`: noise that nothing else contains.
pub(crate) fn fill_payload(key: u64, number: u64, len: usize, out: &mut Vec<u8>) {
    out.clear();
    let mut word = scramble(key ^ scramble(number));
    while out.len() < len {
        word = word.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        let bytes = (word ^ (word >> 29)).to_le_bytes();
        out.extend_from_slice(&bytes[..bytes.len().min(len - out.len())]);
    }
}

/// How an application reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reader {
    /// Takes each message when it is due.
    Prompt,
    /// Looks only once in a while, and takes no more than so many messages then.
    Slow {
        /// The time from one look to the next.
        every: Micros,
        /// Messages taken in one look.
        at_most: usize,
    },
    /// Never reads at all.
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(source: Source) -> Vec<(Micros, usize)> {
        let mut playing = source.play(Random::new(1, "source"));
        std::iter::from_fn(|| playing.next()).collect()
    }

    #[test]
    fn a_live_source_keeps_its_rate() {
        let messages = all(Source::live(mbps(8), secs(10)));
        let bits: usize = messages.iter().map(|(_, len)| len * 8).sum();
        assert!((79_900_000..80_100_000).contains(&bits), "{bits}");
        assert!(
            messages.windows(2).all(|pair| (1_315..=1_317).contains(&(pair[1].0 - pair[0].0).as_micros()))
        );
        assert!(messages.iter().all(|(at, _)| *at < secs(10)));
    }

    #[test]
    fn frames_come_in_bursts_of_the_average_rate() {
        let messages = all(Source::frames(mbps(8), 25, secs(20)));
        let bits: usize = messages.iter().map(|(_, len)| len * 8).sum();
        assert!((150_000_000..170_000_000).contains(&bits), "{bits}");
        assert!(messages.iter().all(|(at, _)| at.as_micros() % 40_000 == 0));
    }

    #[test]
    fn sizes_go_through_all_and_begin_again() {
        let lens: Vec<_> = all(Source::sizes(ms(1), 5, ms(7))).into_iter().map(|(_, len)| len).collect();
        assert_eq!(lens, [1, 2, 3, 4, 5, 1, 2]);
    }

    #[test]
    fn at_once_is_a_number_of_messages_at_the_start() {
        assert_eq!(all(Source::at_once(3).after(ms(5)).in_messages_of(9)), [(ms(5), 9); 3]);
    }

    #[test]
    fn no_two_messages_share_a_payload() {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        fill_payload(1, 1, 1316, &mut one);
        fill_payload(1, 2, 1316, &mut other);
        assert_eq!(one.len(), 1316);
        assert!(one.chunks(8).zip(other.chunks(8)).all(|(a, b)| a != b));
        fill_payload(1, 1, 11, &mut other);
        assert_eq!(one[..11], other);
    }
}
