//! Moves messages from a source to a sink: a reading thread, a writing thread, and between them two batches that change
//! hands, so that whatever gathers while one side is busy moves on in one go and without allocation.
//!
//! The end is in order: when the source ends or a stop is asked for, what was read is written before the sink is told to
//! finish. A stop while the output is not there gives up what cannot be delivered.

use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::error::Failure;
use crate::media::{Nature, Read, Sink, Source, WAIT, Wrote};
use crate::stop::Stop;
use crate::test_stream::{Checker, Findings, wall_micros};

/// Bytes that may wait between reader and writer.
const MOST_WAITING: usize = 1 << 20;

/// How far the transfer is; read by the report while the pump runs.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Messages read.
    pub(crate) messages_in: AtomicU64,
    /// Bytes read.
    pub(crate) bytes_in: AtomicU64,
    /// Messages the output took.
    pub(crate) messages_out: AtomicU64,
    /// Bytes the output took.
    pub(crate) bytes_out: AtomicU64,
    /// Messages thrown away because the output was not there.
    pub(crate) discarded: AtomicU64,
    /// Messages of the input thrown away because the output carries none so large.
    pub(crate) too_large: AtomicU64,
    /// When the first and the last message were read.
    read_at: Mutex<Option<(Instant, Instant)>>,
}

impl Counters {
    /// Time from the first message read to the last; waiting before and after does not count.
    pub(crate) fn span(&self) -> Duration {
        let read_at = *self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        read_at.map_or(Duration::ZERO, |(first, last)| last.duration_since(first))
    }

    fn count_read(&self, batch: &Batch) {
        add(&self.messages_in, batch.len());
        add(&self.bytes_in, batch.bytes().len());
        let now = Instant::now();
        let mut read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        *read_at = Some((read_at.map_or(now, |(first, _)| first), now));
    }
}

/// Looks at a stream as it passes: the books of a test stream, if it is one.
#[derive(Debug)]
pub(crate) struct Tap {
    checker: Checker,
    unstamped: u32,
}

/// So many messages without a stamp, and the stream is taken for something else.
const UNSTAMPED_MESSAGES: u32 = 64;

impl Tap {
    /// A tap that has seen nothing.
    pub(crate) fn new() -> Self {
        Self { checker: Checker::new(), unstamped: 0 }
    }

    fn watch(&mut self, batch: &Batch) {
        if self.unstamped >= UNSTAMPED_MESSAGES {
            return;
        }
        let now = wall_micros();
        for (message, _) in batch.iter() {
            self.checker.check(message, now);
        }
        if !self.checker.recognised() {
            self.unstamped = self.unstamped.saturating_add(u32::try_from(batch.len()).unwrap_or(u32::MAX));
        }
    }

    /// What was found, if a test stream passed.
    pub(crate) fn findings(&self) -> Option<Findings> {
        self.checker.recognised().then(|| self.checker.findings())
    }

    /// TS packets of the test stream lost so far, if one passes.
    pub(crate) fn lost_so_far(&self) -> Option<u64> {
        self.checker.recognised().then(|| self.checker.lost_so_far())
    }
}

/// How to pump.
#[derive(Clone, Debug)]
pub(crate) struct Pump {
    /// The wish to stop.
    pub(crate) stop: Stop,
    /// Where progress is counted.
    pub(crate) counters: Arc<Counters>,
    /// Looks at what is read.
    pub(crate) tap: Option<Arc<Mutex<Tap>>>,
    /// Messages per read at most.
    pub(crate) room: usize,
}

impl Pump {
    /// Runs until the source ends, a stop is asked for, or something fails; `watch` is called about every `tick` on the
    /// calling thread.
    ///
    /// # Errors
    /// What ended the transfer before its time; the source's fault first.
    pub(crate) fn run(
        &self,
        mut source: Box<dyn Source>,
        mut sink: Box<dyn Sink>,
        tick: Duration,
        mut watch: impl FnMut(),
    ) -> Result<(), Failure> {
        let nature = source.nature();
        let exchange = Exchange::default();
        let (done, both_done) = mpsc::channel::<()>();
        thread::scope(|scope| {
            let exchange = &exchange;
            let (end, abandon) = (Guard(exchange, Exchange::end), Guard(exchange, Exchange::abandon));
            let reader_done = done.clone();
            let reader = thread::Builder::new().name("reader".to_owned()).spawn_scoped(scope, move || {
                let result = self.read_all(source.as_mut(), nature, exchange);
                drop((end, source, reader_done));
                result
            });
            let writer = thread::Builder::new().name("writer".to_owned()).spawn_scoped(scope, move || {
                let result = self.write_all(sink.as_mut(), nature, exchange);
                drop(abandon);
                let result = result.and_then(|()| sink.finish());
                drop((sink, done));
                result
            });
            // Both senders gone: both threads are through.
            while both_done.recv_timeout(tick) == Err(RecvTimeoutError::Timeout) {
                watch();
            }
            let (read, written) = (join(reader, "reader"), join(writer, "writer"));
            read.and(written)
        })
    }

    fn read_all(&self, source: &mut dyn Source, nature: Nature, exchange: &Exchange) -> Result<(), Failure> {
        let mut batch = Batch::default();
        let mut stopping = false;
        loop {
            if exchange.is_abandoned() {
                return Ok(());
            }
            if !stopping && self.stop.asked() {
                stopping = true;
                source.stop();
            }
            if nature != Nature::Live && !exchange.wait_for_sink(nature) {
                if stopping {
                    return Ok(());
                }
                continue;
            }
            batch.clear();
            match source.read(&mut batch, self.room)? {
                Read::Messages => {}
                Read::Nothing => continue,
                Read::End => return Ok(()),
            }
            if let Some(tap) = &self.tap {
                tap.lock().unwrap_or_else(PoisonError::into_inner).watch(&batch);
            }
            self.counters.count_read(&batch);
            if nature != Nature::Stored && !exchange.sink_is_there() {
                add(&self.counters.discarded, batch.len());
                continue;
            }
            while !exchange.give(&mut batch) {
                if exchange.is_abandoned() {
                    return Ok(());
                }
            }
        }
    }

    fn write_all(&self, sink: &mut dyn Sink, nature: Nature, exchange: &Exchange) -> Result<(), Failure> {
        let mut batch = Batch::default();
        loop {
            let there = sink.ready()?;
            exchange.set_sink(there);
            if !there {
                if nature != Nature::Stored {
                    add(&self.counters.discarded, batch.len());
                    batch.clear();
                    add(&self.counters.discarded, exchange.discard());
                }
                if self.stop.asked() || (exchange.has_ended() && batch.is_empty() && exchange.is_empty()) {
                    return Ok(());
                }
                continue;
            }
            if batch.is_empty() {
                match exchange.take(&mut batch) {
                    Taken::Messages => {}
                    Taken::Nothing => continue,
                    Taken::End => return Ok(()),
                }
            }
            match sink.write(&batch)? {
                Wrote::Messages(count) => {
                    let before = batch.bytes().len();
                    if count >= batch.len() {
                        add(&self.counters.messages_out, batch.len());
                        batch.clear();
                    } else {
                        add(&self.counters.messages_out, count);
                        batch.drop_front(count);
                    }
                    add(&self.counters.bytes_out, before - batch.bytes().len());
                }
                Wrote::Enough => return Ok(()),
            }
        }
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

fn join(
    thread: Result<thread::ScopedJoinHandle<'_, Result<(), Failure>>, std::io::Error>,
    name: &'static str,
) -> Result<(), Failure> {
    thread.map_err(|_| Failure::Thread(name))?.join().map_err(|_| Failure::Thread(name))?
}

/// Tells the other side that this one is through, also if its thread never started or panicked.
struct Guard<'a>(&'a Exchange, fn(&Exchange));

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        (self.1)(self.0);
    }
}

/// Where a batch changes hands.
#[derive(Debug, Default)]
struct Exchange {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: Batch,
    /// The reader gives no more.
    ended: bool,
    /// The writer takes no more.
    abandoned: bool,
    sink_there: bool,
    sink_was_there: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Messages,
    Nothing,
    End,
}

impl Exchange {
    /// Hands over the messages of `batch`, waiting for room no longer than [`WAIT`]. `false`: no room, `batch` is as before.
    fn give(&self, batch: &mut Batch) -> bool {
        let full = |state: &mut State| {
            !state.abandoned
                && !state.waiting.is_empty()
                && state.waiting.bytes().len() + batch.bytes().len() > MOST_WAITING
        };
        let mut state = self.wait_while(full);
        if state.abandoned || full(&mut state) {
            return false;
        }
        if state.waiting.is_empty() {
            mem::swap(&mut state.waiting, batch);
        } else {
            state.waiting.append(batch);
        }
        drop(state);
        self.changed.notify_all();
        true
    }

    /// Takes all that waits into the empty `batch`, waiting for it no longer than [`WAIT`].
    fn take(&self, batch: &mut Batch) -> Taken {
        let mut state = self.wait_while(|state| state.waiting.is_empty() && !state.ended);
        if state.waiting.is_empty() {
            return if state.ended { Taken::End } else { Taken::Nothing };
        }
        mem::swap(&mut state.waiting, batch);
        drop(state);
        self.changed.notify_all();
        Taken::Messages
    }

    /// Throws away what waits; says how many messages.
    fn discard(&self) -> usize {
        let mut state = self.lock();
        let count = state.waiting.len();
        state.waiting.clear();
        drop(state);
        self.changed.notify_all();
        count
    }

    /// Waits for the sink no longer than [`WAIT`]; what is generated needs it only to begin.
    fn wait_for_sink(&self, nature: Nature) -> bool {
        let absent = |state: &mut State| {
            let there = if nature == Nature::Generated { state.sink_was_there } else { state.sink_there };
            !there && !state.abandoned
        };
        let mut state = self.wait_while(absent);
        !absent(&mut state)
    }

    fn set_sink(&self, there: bool) {
        let mut state = self.lock();
        let changed = state.sink_there != there;
        state.sink_there = there;
        state.sink_was_there |= there;
        drop(state);
        if changed {
            self.changed.notify_all();
        }
    }

    fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    fn abandon(&self) {
        self.lock().abandoned = true;
        self.changed.notify_all();
    }

    fn sink_is_there(&self) -> bool {
        self.lock().sink_there
    }

    fn is_abandoned(&self) -> bool {
        self.lock().abandoned
    }

    fn has_ended(&self) -> bool {
        self.lock().ended
    }

    fn is_empty(&self) -> bool {
        self.lock().waiting.is_empty()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl FnMut(&mut State) -> bool) -> std::sync::MutexGuard<'_, State> {
        let wait = self.changed.wait_timeout_while(self.lock(), WAIT, condition);
        wait.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_stream::Stamper;

    /// Gives numbered messages, `burst` a read.
    struct Numbers {
        next: u32,
        end: u32,
        burst: u32,
        nature: Nature,
        stopped: bool,
    }

    impl Numbers {
        fn new(end: u32, burst: u32, nature: Nature) -> Box<Self> {
            Box::new(Self { next: 0, end, burst, nature, stopped: false })
        }
    }

    impl Source for Numbers {
        fn read(&mut self, batch: &mut Batch, room: usize) -> Result<Read, Failure> {
            if self.next == self.end || self.stopped {
                return Ok(Read::End);
            }
            for _ in 0..self.burst.min(u32::try_from(room).unwrap()).min(self.end - self.next) {
                batch.push(&self.next.to_be_bytes(), None);
                self.next += 1;
            }
            Ok(Read::Messages)
        }

        fn stop(&mut self) {
            self.stopped = true;
        }

        fn nature(&self) -> Nature {
            self.nature
        }
    }

    /// Keeps what it gets. Is there or not as its script says, one line a question; there when the script is over.
    #[derive(Default)]
    struct Shelf {
        got: Arc<Mutex<Vec<u32>>>,
        finished: Arc<Mutex<bool>>,
        script: Vec<bool>,
        takes: Option<usize>,
        fails_after: Option<usize>,
        enough_after: Option<usize>,
    }

    impl Sink for Shelf {
        fn ready(&mut self) -> Result<bool, Failure> {
            Ok(self.script.pop().unwrap_or(true))
        }

        fn write(&mut self, batch: &Batch) -> Result<Wrote, Failure> {
            let mut got = self.got.lock().unwrap();
            if self.enough_after.is_some_and(|count| got.len() >= count) {
                return Ok(Wrote::Enough);
            }
            if self.fails_after.is_some_and(|count| got.len() >= count) {
                return Err(Failure::NoTestStream);
            }
            let takes = self.takes.unwrap_or(usize::MAX).min(batch.len());
            let numbers = batch.iter().take(takes);
            got.extend(numbers.map(|(message, _)| u32::from_be_bytes(message.try_into().unwrap())));
            Ok(Wrote::Messages(takes))
        }

        fn finish(&mut self) -> Result<(), Failure> {
            *self.finished.lock().unwrap() = true;
            Ok(())
        }
    }

    struct Ran {
        result: Result<(), Failure>,
        got: Vec<u32>,
        finished: bool,
        pump: Pump,
    }

    fn run(source: Box<dyn Source>, sink: Shelf, stop: &Stop) -> Ran {
        let (got, finished) = (Arc::clone(&sink.got), Arc::clone(&sink.finished));
        let pump = Pump { stop: stop.clone(), counters: Arc::default(), tap: None, room: 64 };
        let result = pump.run(source, Box::new(sink), Duration::from_millis(5), || {});
        let got = mem::take(&mut *got.lock().unwrap());
        let finished = *finished.lock().unwrap();
        Ran { result, got, finished, pump }
    }

    #[test]
    fn every_message_arrives_once_and_in_order_and_the_sink_is_finished() {
        for (burst, takes) in [(1, None), (7, None), (64, Some(1)), (3, Some(2))] {
            let sink = Shelf { takes, ..Shelf::default() };
            let ran = run(Numbers::new(5_000, burst, Nature::Stored), sink, &Stop::default());
            assert!(ran.result.is_ok() && ran.finished);
            assert_eq!(ran.got, (0..5_000).collect::<Vec<_>>());
            assert_eq!(ran.pump.counters.messages_out.load(Ordering::Relaxed), 5_000);
            assert_eq!(ran.pump.counters.bytes_out.load(Ordering::Relaxed), 20_000);
        }
    }

    #[test]
    fn a_stored_source_waits_for_its_sink_and_loses_nothing_when_it_goes_away() {
        let sink = Shelf {
            script: vec![false, true, false, false, true, false],
            takes: Some(2),
            ..Shelf::default()
        };
        let ran = run(Numbers::new(100, 5, Nature::Stored), sink, &Stop::default());
        assert_eq!(ran.got, (0..100).collect::<Vec<_>>());
        assert_eq!(ran.pump.counters.discarded.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_live_source_goes_on_without_its_sink_and_what_is_lost_is_counted() {
        let sink = Shelf { script: vec![false; 50], ..Shelf::default() };
        let ran = run(Numbers::new(1_000, 5, Nature::Live), sink, &Stop::default());
        let discarded = ran.pump.counters.discarded.load(Ordering::Relaxed);
        assert_eq!(ran.got.len() as u64 + discarded, 1_000);
        assert!(ran.got.is_sorted());
    }

    #[test]
    fn a_stop_ends_in_order_with_everything_read_written() {
        /// Endless, and asks for the stop itself.
        struct Endless(Numbers, Stop);
        impl Source for Endless {
            fn read(&mut self, batch: &mut Batch, room: usize) -> Result<Read, Failure> {
                if self.0.next > 500 {
                    self.1.ask();
                }
                self.0.read(batch, room)
            }
            fn stop(&mut self) {
                self.0.stop();
            }
            fn nature(&self) -> Nature {
                Nature::Stored
            }
        }
        let stop = Stop::default();
        let numbers = Numbers { next: 0, end: u32::MAX, burst: 9, nature: Nature::Stored, stopped: false };
        let ran = run(Box::new(Endless(numbers, stop.clone())), Shelf::default(), &stop);
        assert!(ran.result.is_ok() && ran.finished);
        let read = ran.pump.counters.messages_in.load(Ordering::Relaxed);
        assert!(read > 500);
        assert_eq!(ran.got.len() as u64, read, "nothing read is left behind");
    }

    #[test]
    fn a_stop_before_the_sink_is_there_ends_too() {
        let stop = Stop::default();
        stop.ask();
        let sink = Shelf { script: vec![false; 1_000_000], ..Shelf::default() };
        let ran = run(Numbers::new(10, 1, Nature::Stored), sink, &stop);
        assert!(ran.result.is_ok() && ran.got.is_empty());
    }

    #[test]
    fn a_failing_sink_ends_the_source_and_is_named() {
        let sink = Shelf { fails_after: Some(10), ..Shelf::default() };
        let ran = run(Numbers::new(u32::MAX, 8, Nature::Stored), sink, &Stop::default());
        assert!(matches!(ran.result, Err(Failure::NoTestStream)));
    }

    #[test]
    fn a_reader_that_has_had_enough_is_no_failure() {
        let sink = Shelf { enough_after: Some(10), ..Shelf::default() };
        let ran = run(Numbers::new(u32::MAX, 8, Nature::Stored), sink, &Stop::default());
        assert!(ran.result.is_ok() && ran.finished);
    }

    #[test]
    fn what_was_read_before_a_fault_of_the_source_is_still_written() {
        struct Faulty(u32);
        impl Source for Faulty {
            fn read(&mut self, batch: &mut Batch, _: usize) -> Result<Read, Failure> {
                self.0 += 1;
                if self.0 > 20 {
                    return Err(Failure::NoTestStream);
                }
                batch.push(&self.0.to_be_bytes(), None);
                Ok(Read::Messages)
            }
            fn stop(&mut self) {}
            fn nature(&self) -> Nature {
                Nature::Stored
            }
        }
        let ran = run(Box::new(Faulty(0)), Shelf::default(), &Stop::default());
        assert!(matches!(ran.result, Err(Failure::NoTestStream)) && ran.finished);
        assert_eq!(ran.got, (1..=20).collect::<Vec<_>>());
    }

    #[test]
    fn the_waiting_room_is_bounded() {
        let exchange = Exchange::default();
        let mut batch = Batch::default();
        let mut given = 0;
        loop {
            batch.clear();
            batch.push(&[0; 10_000], None);
            if !exchange.give(&mut batch) {
                break;
            }
            given += 10_000;
        }
        assert!(given <= MOST_WAITING, "{given}");
        assert_eq!(batch.len(), 1, "what found no room is still in hand");
    }

    #[test]
    fn the_tap_looks_away_when_no_test_stream_passes() {
        let mut tap = Tap::new();
        let mut batch = Batch::default();
        for _ in 0..UNSTAMPED_MESSAGES {
            batch.push(&[0; 188], None);
        }
        tap.watch(&batch);
        let mut stamped = Batch::default();
        let mut stamper = Stamper::new(1, 1, 1);
        stamped.push_with(188, None, |space| stamper.write(space, 1, false));
        tap.watch(&stamped);
        assert_eq!(tap.findings(), None);
        let mut tap = Tap::new();
        tap.watch(&stamped);
        assert_eq!(tap.findings().unwrap().received, 1);
        assert_eq!(tap.lost_so_far(), Some(0));
    }
}
