//! Connections that receive: what came, in which order, and how long after it was made.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use srt::{Interest, MessageBatch, Poll, PollEvent, SrtListener, SrtSocket};

use super::figures::Usage;
use super::load::{STAMP, micros_since_1970};
use crate::error::Failure;
use crate::stop::Stop;

/// The receiving end.
#[derive(Debug)]
pub(super) struct Sink {
    streams: Vec<Stream>,
}

#[derive(Debug)]
struct Stream {
    socket: SrtSocket,
    /// The number expected next.
    next: u64,
    over: bool,
}

/// What has come.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) connections: usize,
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) missing: u64,
    /// From the first message to the last.
    pub(super) took: Duration,
    /// Microseconds from making to reading.
    pub(super) latency: Histogram<u64>,
    /// Packets that were missing for a while, and for ever.
    pub(super) lost: u64,
    pub(super) dropped: u64,
    /// What the process had used when the first message came, and when the last one had.
    pub(super) usage: (Usage, Usage),
}

/// The longest latency that is told apart: a minute.
const LONGEST_US: u64 = 60_000_000;
/// How often the end is looked for while nothing comes.
const LOOK: Duration = Duration::from_millis(200);
/// Who sends nothing for so long after the load has ended will send nothing any more.
const SILENCE: Duration = Duration::from_secs(10);

impl Sink {
    /// Accepts so many connections.
    pub(super) fn accept(listener: &SrtListener, connections: usize, stop: &Stop) -> Result<Self, Failure> {
        let mut streams = Vec::with_capacity(connections);
        while streams.len() < connections && !stop.asked() {
            match listener.accept_timeout(LOOK) {
                Ok((socket, _)) => streams.push(Stream { socket, next: 0, over: false }),
                Err(error) if error.is_timeout() => {}
                Err(error) => return Err(Failure::Bench(error)),
            }
        }
        Ok(Self { streams })
    }

    /// Receives until all have ended, or `all_sent` and nothing comes any more.
    pub(super) fn run(mut self, stop: &Stop, all_sent: Option<&AtomicBool>) -> Result<Received, Failure> {
        let poll = Poll::new();
        for (token, stream) in self.streams.iter().enumerate() {
            poll.register(&stream.socket, token as u64, Interest::READABLE);
        }
        let mut received = Received {
            connections: self.streams.len(),
            messages: 0,
            bytes: 0,
            missing: 0,
            took: Duration::ZERO,
            latency: Histogram::new_with_max(LONGEST_US, 3)
                .map_err(|_| Failure::Conflict("no memory for a histogram"))?,
            lost: 0,
            dropped: 0,
            usage: (Usage::now(), Usage::now()),
        };
        let (mut events, mut batch): (Vec<PollEvent>, _) = (Vec::new(), MessageBatch::new());
        let (mut first, mut last): (Option<Instant>, Instant) = (None, Instant::now());
        let mut open = self.streams.len();
        while open > 0 && !(stop.asked() && all_sent.is_none()) {
            poll.wait(&mut events, Some(LOOK));
            for event in &events {
                let token = usize::try_from(event.token).unwrap_or_default();
                let Some(stream) = self.streams.get_mut(token).filter(|stream| !stream.over) else {
                    continue;
                };
                match stream.socket.try_recv_batch(&mut batch) {
                    Ok(_) => {
                        last = Instant::now();
                        if first.is_none() {
                            first = Some(last);
                            received.usage.0 = Usage::now();
                        }
                        stream.take(&batch, &mut received);
                    }
                    Err(error) if error.is_would_block() => {}
                    Err(_) => {
                        stream.over = true;
                        open -= 1;
                        poll.deregister(&stream.socket);
                    }
                }
            }
            let over = all_sent.is_some_and(|all_sent| all_sent.load(Ordering::Acquire));
            if over && last.elapsed() > SILENCE {
                break;
            }
        }
        received.usage.1 = Usage::now();
        received.took = first.map_or(Duration::ZERO, |first| last.saturating_duration_since(first));
        for stream in &self.streams {
            let stats = stream.socket.stats(false);
            received.lost += stats.pkt_rcv_loss_total;
            received.dropped += stats.pkt_rcv_drop_total;
        }
        Ok(received)
    }
}

impl Stream {
    fn take(&mut self, batch: &MessageBatch, received: &mut Received) {
        let now = micros_since_1970();
        for (_, data) in batch {
            received.messages += 1;
            received.bytes += data.len() as u64;
            let Some((stamp, _)) = data.split_at_checked(STAMP) else { continue };
            let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_be_bytes);
            let (made, number) = (number(&stamp[..8]), number(&stamp[8..]));
            received.missing += number.saturating_sub(self.next);
            self.next = self.next.max(number + 1);
            // More than the histogram holds is as bad as what it does.
            received.latency.saturating_record(now.saturating_sub(made));
        }
    }
}
