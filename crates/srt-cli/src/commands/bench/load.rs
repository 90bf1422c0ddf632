//! Connections that send stamped messages, paced or as fast as it goes.

use std::fmt;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use srt::{Interest, Options, Poll, PollEvent, SrtSocket};

use super::figures::Usage;
use crate::error::Failure;
use crate::stop::Stop;
use crate::units::show_rate;

/// How fast each connection sends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// As fast as it goes.
    Max,
    /// So many bits of payload a second.
    Rate {
        /// At least one.
        bits_per_second: u64,
    },
}

impl fmt::Display for Pace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => out.write_str("as fast as it goes"),
            Self::Rate { bits_per_second } => out.write_str(&show_rate(*bits_per_second)),
        }
    }
}

/// The sending end.
#[derive(Debug)]
pub(super) struct Load {
    sockets: Vec<SrtSocket>,
    /// The number of the next message of each.
    next: Vec<u64>,
    pace: Pace,
    /// As many messages as leave in one call.
    messages: Vec<u8>,
    size: usize,
    pub(super) connect_time: Duration,
    /// What the process had used before the first connection.
    pub(super) connected: Usage,
    /// From the first message to the last.
    pub(super) took: Duration,
    /// What the process had used when the first message left and when the last one had.
    pub(super) usage: (Usage, Usage),
    /// Messages that found no room.
    pub(super) skipped: u64,
    /// Packets never confirmed by the receiver.
    pub(super) unconfirmed: u64,
    /// Packets sent again, and packets given up as too late.
    pub(super) resent: u64,
    pub(super) given_up: u64,
}

/// What a receiver finds at the beginning of each message: when it was made, in µs since 1970, and its number.
pub(super) const STAMP: usize = 16;
/// Messages that leave in one call at most.
const BATCH: usize = 128;
/// Paced messages that are due leave together, this far apart.
const TICK: Duration = Duration::from_millis(1);

impl Load {
    pub(super) fn connect(
        to: SocketAddr,
        connections: u32,
        size: usize,
        pace: Pace,
        options: &Options,
    ) -> Result<Self, Failure> {
        let started: Result<Vec<_>, _> =
            (0..connections).map(|_| SrtSocket::start_connect(None, to, options)).collect();
        let sockets = started.map_err(Failure::Bench)?;
        for socket in &sockets {
            socket.wait_connected(None).map_err(Failure::Bench)?;
        }
        let now = Usage::now();
        Ok(Self {
            next: vec![0; sockets.len()],
            sockets,
            pace,
            messages: vec![0x47; size * BATCH],
            size,
            connect_time: Duration::ZERO,
            connected: now,
            took: Duration::ZERO,
            usage: (now, now),
            skipped: 0,
            unconfirmed: 0,
            resent: 0,
            given_up: 0,
        })
    }

    pub(super) fn sent(&self) -> u64 {
        self.next.iter().sum()
    }

    pub(super) const fn connections(&self) -> usize {
        self.sockets.len()
    }

    /// Sends for `duration`, or until it is stopped.
    pub(super) fn run(&mut self, duration: Duration, stop: &Stop) -> Result<(), Failure> {
        let began = Instant::now();
        self.usage.0 = Usage::now();
        match self.pace {
            Pace::Rate { bits_per_second } => self.paced(began, duration, bits_per_second, stop)?,
            Pace::Max if self.sockets.len() == 1 => self.one(began, duration, stop)?,
            Pace::Max => self.many(began, duration, stop)?,
        }
        self.took = began.elapsed();
        self.usage.1 = Usage::now();
        Ok(())
    }

    /// Ends all connections in order.
    pub(super) fn close(&mut self) {
        for socket in &self.sockets {
            socket.start_close();
        }
        for socket in &self.sockets {
            if let Err(srt::Error::Unconfirmed { packets }) = socket.close() {
                self.unconfirmed += packets;
            }
            let stats = socket.stats(false);
            self.resent += stats.pkt_retrans_total;
            self.given_up += stats.pkt_snd_drop_total;
        }
    }

    fn paced(
        &mut self,
        began: Instant,
        duration: Duration,
        bits_per_second: u64,
        stop: &Stop,
    ) -> Result<(), Failure> {
        let all = self.sockets.len() as u64;
        let interval_ns = self.size as u64 * 8 * 1_000_000_000 / bits_per_second;
        let mut done = 0_u64;
        while began.elapsed() < duration && !stop.asked() {
            // The connections take turns, evenly over the time between two messages of one.
            let elapsed = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let due = u128::from(elapsed) * u128::from(all) / u128::from(interval_ns.max(1));
            let due = u64::try_from(due).unwrap_or(u64::MAX);
            if self.sockets.len() == 1 {
                while done < due {
                    let count = usize::try_from(due - done).unwrap_or(BATCH).min(BATCH);
                    let taken = self.send(0, count)?;
                    self.skipped += (count - taken) as u64;
                    done += count as u64;
                }
            }
            while done < due {
                let index = usize::try_from(done % all).unwrap_or_default();
                if self.send(index, 1)? == 0 {
                    self.skipped += 1;
                }
                done += 1;
            }
            thread::sleep(TICK);
        }
        Ok(())
    }

    fn one(&mut self, began: Instant, duration: Duration, stop: &Stop) -> Result<(), Failure> {
        while began.elapsed() < duration && !stop.asked() {
            if self.send(0, BATCH)? == 0 {
                self.wait_for_room(0)?;
            }
        }
        Ok(())
    }

    fn many(&mut self, began: Instant, duration: Duration, stop: &Stop) -> Result<(), Failure> {
        let poll = Poll::new();
        for (index, socket) in self.sockets.iter().enumerate() {
            poll.register(socket, index as u64, Interest::WRITABLE);
        }
        let mut events: Vec<PollEvent> = Vec::new();
        while began.elapsed() < duration && !stop.asked() {
            poll.wait(&mut events, Some(duration.saturating_sub(began.elapsed())));
            for event in &events {
                self.send(usize::try_from(event.token).unwrap_or_default(), BATCH)?;
            }
        }
        Ok(())
    }

    /// Sends up to `count` messages; tells how many were taken.
    fn send(&mut self, index: usize, count: usize) -> Result<usize, Failure> {
        let now = micros_since_1970();
        let first = self.next[index];
        let (size, mut number) = (self.size, first);
        for message in self.messages.chunks_exact_mut(size).take(count) {
            message[..8].copy_from_slice(&now.to_be_bytes());
            message[8..STAMP].copy_from_slice(&number.to_be_bytes());
            number += 1;
        }
        let mut slices = [&[][..]; BATCH];
        for (slice, message) in slices.iter_mut().zip(self.messages.chunks_exact(size)) {
            *slice = message;
        }
        match self.sockets[index].try_send_batch(&slices[..count]) {
            Ok(taken) => {
                self.next[index] = first + taken as u64;
                Ok(taken)
            }
            Err(error) if error.is_would_block() => Ok(0),
            Err(error) => Err(Failure::Bench(error)),
        }
    }

    /// Sends the next message when there is room for it.
    fn wait_for_room(&mut self, index: usize) -> Result<(), Failure> {
        let message = &mut self.messages[..self.size];
        message[..8].copy_from_slice(&micros_since_1970().to_be_bytes());
        message[8..STAMP].copy_from_slice(&self.next[index].to_be_bytes());
        self.sockets[index].send(message).map_err(Failure::Bench)?;
        self.next[index] += 1;
        Ok(())
    }
}

pub(super) fn micros_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
