//! `test://`: a stream made here, stamped so that the receiver can tell what became of it.

use std::thread;
use std::time::{Duration, Instant};

use super::{MediaUri, Nature, Read, Source, WAIT};
use crate::batch::Batch;
use crate::error::{Failure, UriFault, UriProblem};
use crate::pacer::{Due, Pacer};
use crate::test_stream::{Stamper, TS_PACKET, wall_micros};
use crate::units::{parse_rate, parse_span};

const DEFAULT_RATE: u64 = 8_000_000;
const DEFAULT_SIZE: usize = 7 * TS_PACKET;

/// What the address asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TestSpec {
    /// Bits per second; `None` = as fast as it goes.
    pub(crate) rate: Option<u64>,
    /// `None` = until stopped.
    pub(crate) duration: Option<Duration>,
    /// Bytes per message: TS packets.
    pub(crate) packets_per_message: u8,
    /// Of the filling.
    pub(crate) seed: u32,
}

impl TestSpec {
    /// Reads `rate` (8M; `max`), `duration` (endless), `size` (1316), `seed` (1).
    ///
    /// # Errors
    /// A value that cannot be.
    pub(crate) fn of(uri: &MediaUri) -> Result<Self, UriFault> {
        uri.allow(&["rate", "duration", "size", "seed"], "rate, duration, size, seed")?;
        let quantity = |key: &str, fault| uri.fault(UriProblem::Quantity { key: key.to_owned(), fault });
        let rate = match uri.value("rate") {
            None => Some(DEFAULT_RATE),
            Some("max") => None,
            Some(text) => Some(parse_rate(text).map_err(|fault| quantity("rate", fault))?),
        };
        let duration = match uri.value("duration") {
            None => None,
            Some(text) => Some(parse_span(text).map_err(|fault| quantity("duration", fault))?),
        };
        let allowed = "a multiple of 188 from 188 to 1316 (7 TS packets)";
        let size = match uri.value("size") {
            None => DEFAULT_SIZE,
            Some(text) => {
                let size = text.parse::<usize>().ok();
                size.filter(|size| {
                    size.is_multiple_of(TS_PACKET) && (TS_PACKET..=DEFAULT_SIZE).contains(size)
                })
                .ok_or_else(|| uri.wrong("size", text, allowed))?
            }
        };
        let seed = uri.number("seed", (0, u32::MAX), "0 to 4294967295")?.unwrap_or(1);
        let packets_per_message = u8::try_from(size / TS_PACKET).unwrap_or(1);
        Ok(Self { rate, duration, packets_per_message, seed })
    }

    /// Messages in all, where rate and duration say it.
    pub(crate) fn messages(&self) -> Option<u64> {
        let bits = u128::from(self.rate?) * self.duration?.as_micros() / 1_000_000;
        let message = u128::from(self.packets_per_message) * TS_PACKET as u128 * 8;
        u64::try_from(bits / message).ok().map(|count| count.max(1))
    }
}

/// Makes the stream.
#[derive(Debug)]
pub(crate) struct TestSource {
    spec: TestSpec,
    stamper: Stamper,
    pacer: Option<Pacer>,
    began: Option<Instant>,
    left: Option<u64>,
    stopping: bool,
    ended: bool,
}

impl TestSource {
    /// # Errors
    /// A wrong parameter, or messages larger than the output takes.
    pub(crate) fn open(uri: &MediaUri, limit: Option<usize>) -> Result<Self, Failure> {
        let source = Self::new(TestSpec::of(uri)?);
        let len = source.stamper.message_size();
        match limit.filter(|max| len > *max) {
            None => Ok(source),
            Some(max) => {
                let mend = "give test:// a smaller size=, or raise payloadsize";
                Err(Failure::TooLarge {
                    from: uri.text.clone(),
                    len,
                    to: "the SRT output".to_owned(),
                    max,
                    mend,
                })
            }
        }
    }

    /// A stream that begins with the first read.
    pub(crate) fn new(spec: TestSpec) -> Self {
        Self {
            spec,
            stamper: Stamper::new(spec.seed, spec.packets_per_message, wall_micros()),
            pacer: spec.rate.map(Pacer::new),
            began: None,
            left: spec.messages(),
            stopping: false,
            ended: false,
        }
    }

    /// How many messages may leave now; 0 after waiting a little.
    fn due(&mut self, elapsed: Duration, room: usize) -> usize {
        if self.stopping {
            return 1;
        }
        let left = usize::try_from(self.left.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
        let room = room.clamp(1, left.max(1));
        let Some(pacer) = &mut self.pacer else { return room };
        match pacer.due(elapsed, self.stamper.message_size(), room) {
            Due::Now(count) => count,
            Due::Wait(span) => {
                thread::sleep(span.min(WAIT));
                0
            }
        }
    }
}

impl Source for TestSource {
    fn read(&mut self, batch: &mut Batch, room: usize) -> Result<Read, Failure> {
        if self.ended {
            return Ok(Read::End);
        }
        let elapsed = self.began.get_or_insert_with(Instant::now).elapsed();
        // Without a rate only the clock tells when the last message is due.
        let over = self.left.is_none() && self.spec.duration.is_some_and(|duration| elapsed >= duration);
        let count = self.due(elapsed, if over { 1 } else { room });
        if count == 0 {
            return Ok(Read::Nothing);
        }
        let size = self.stamper.message_size();
        let now = wall_micros();
        for _ in 0..count {
            let last = self.stopping || over || self.left == Some(1);
            batch.push_with(size, None, |space| self.stamper.write(space, now, last));
            self.left = self.left.map(|left| left - 1);
            self.ended |= last;
        }
        if let Some(pacer) = &mut self.pacer {
            pacer.sent(size * count);
        }
        Ok(Read::Messages)
    }

    fn stop(&mut self) {
        // One more message says that it was the last.
        self.stopping = true;
    }

    fn nature(&self) -> Nature {
        Nature::Generated
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_stream::Checker;

    fn spec(text: &str) -> Result<TestSpec, String> {
        TestSpec::of(&MediaUri::parse(text).unwrap()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn the_address_says_rate_duration_size_and_seed() {
        let plain = TestSpec { rate: Some(8_000_000), duration: None, packets_per_message: 7, seed: 1 };
        assert_eq!(spec("test://"), Ok(plain));
        let all = spec("test://?rate=2M&duration=10s&size=376&seed=9").unwrap();
        assert_eq!((all.rate, all.packets_per_message, all.seed), (Some(2_000_000), 2, 9));
        assert_eq!(all.messages(), Some(20_000_000 / 8 / 376));
        assert_eq!(spec("test://?rate=max").unwrap().rate, None);
        for wrong in [
            "rate=fast",
            "duration=long",
            "size=1000",
            "size=1504",
            "size=0",
            "seed=-1",
            "speed=8M",
            "rate=0",
        ] {
            assert!(spec(&format!("test://?{wrong}")).is_err(), "{wrong}");
        }
        assert_eq!(
            spec("test://?rate=fast").unwrap_err(),
            "test://?rate=fast: rate: \"fast\" is no bit rate; write bits per second as 8M, 2.5M, 500k or 8000000"
        );
    }

    #[test]
    fn the_stream_has_exactly_the_messages_of_rate_times_duration_and_a_marked_end() {
        let spec = spec("test://?rate=100M&duration=100ms").unwrap();
        let mut source = TestSource::new(spec);
        let mut checker = Checker::new();
        let mut batch = Batch::default();
        while source.read(&mut batch, 64).unwrap() != Read::End {
            batch.iter().for_each(|(message, _)| checker.check(message, wall_micros()));
            batch.clear();
        }
        let found = checker.findings();
        assert_eq!(found.messages, spec.messages().unwrap());
        assert!(found.ended && !found.broken());
    }

    #[test]
    fn a_stop_ends_the_stream_with_a_marked_message() {
        let mut source = TestSource::new(spec("test://?rate=max").unwrap());
        let mut batch = Batch::default();
        assert_eq!(source.read(&mut batch, 5).unwrap(), Read::Messages);
        source.stop();
        assert_eq!(source.read(&mut batch, 5).unwrap(), Read::Messages);
        assert_eq!(source.read(&mut batch, 5).unwrap(), Read::End);
        let mut checker = Checker::new();
        batch.iter().for_each(|(message, _)| checker.check(message, wall_micros()));
        assert_eq!((checker.findings().messages, checker.findings().ended), (6, true));
    }

    #[test]
    fn messages_too_large_for_the_output_are_refused_before_the_start() {
        let uri = MediaUri::parse("test://").unwrap();
        let said = TestSource::open(&uri, Some(1000)).unwrap_err().to_string();
        assert!(said.contains("1316 bytes does not fit"), "{said}");
    }
}
