//! What happened in a run: the material of the checkers.

use super::clock::Clock;
use super::link::Way;
use super::wire::Wire;
use srt_impair::Counters;
use srt_protocol::config::Config;
use srt_protocol::connection::{ConnectionError, Negotiated, State};
use srt_protocol::endpoint::EndpointStats;
use srt_protocol::link::KeyReport;
use srt_protocol::stats::Stats;
use srt_protocol::time::Instant;
use srt_protocol::types::{MsgNumber, SeqNumber};
use std::net::SocketAddr;

/// A message the application handed to `send`, which took it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentMessage {
    /// Its number.
    pub seq: SeqNumber,
    /// Its message number.
    pub msgno: MsgNumber,
    /// Bytes.
    pub len: usize,
    /// Of its payload.
    pub digest: u64,
    /// When `send` was called: world time, µs.
    pub at_us: u64,
    /// When `send` was called: the sender's clock.
    pub at: Instant,
    /// Its origin, as `send` reported it: the sender's clock.
    pub source_time: Instant,
}

/// A message that `recv` handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// Its number.
    pub seq: SeqNumber,
    /// Its message number.
    pub msgno: MsgNumber,
    /// Bytes.
    pub len: usize,
    /// Of its payload.
    pub digest: u64,
    /// When `recv` gave it: world time, µs.
    pub at_us: u64,
    /// When `recv` gave it: the receiver's clock.
    pub at: Instant,
    /// When it was to be played: the receiver's clock.
    pub play_time: Instant,
    /// When it was to be played: world time, µs.
    pub play_us: u64,
    /// Its origin on the receiver's clock.
    pub source_time: Instant,
}

/// Numbers the receiver gave up (TLPKTDROP).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DroppedRange {
    /// First number.
    pub first: SeqNumber,
    /// Last number, inclusive.
    pub last: SeqNumber,
    /// World time, µs.
    pub at_us: u64,
}

/// The most that was seen at once, as far as [`Stats`] tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peaks {
    /// Packets in the send buffer.
    pub send_packets: u64,
    /// Packets in the receive buffer.
    pub receive_packets: u64,
    /// Packets sent and not acknowledged.
    pub flight_packets: u64,
    /// Memory held for payloads, in bytes.
    pub payload_memory: usize,
}

/// One end of one connection.
#[derive(Debug)]
pub struct Record {
    /// "caller 0", "accepted 0" …
    pub name: String,
    /// The other end's address.
    pub peer: SocketAddr,
    /// What it was made with.
    pub config: Config,
    /// Its node's clock.
    pub clock: Clock,
    /// What was handed over, in order.
    pub sent: Vec<SentMessage>,
    /// What came out, in order.
    pub received: Vec<ReceivedMessage>,
    /// What was given up, in order.
    pub dropped: Vec<DroppedRange>,
    /// When it said it was connected: world time, µs.
    pub connected_us: Option<u64>,
    /// When the application closed it in order: world time, µs.
    pub close_called_us: Option<u64>,
    /// When the application aborted it: world time, µs.
    pub aborted_us: Option<u64>,
    /// When it said why it ended: world time, µs.
    pub closed: Option<(u64, ConnectionError)>,
    /// What was agreed on.
    pub negotiated: Option<Negotiated>,
    /// All events as text, with the world time.
    pub events: Vec<(u64, String)>,
    /// How often `send` found the buffer full.
    pub full: u64,
    /// Messages skipped for that.
    pub skipped: u64,
    /// Packets of the dropped ranges that never came, as reported.
    pub missing: u64,
    /// Packets the sender gave up (TLPKTDROP).
    pub send_dropped: u64,
    /// The most seen at once.
    pub peaks: Peaks,
    /// Where it was at the end of the run.
    pub state: Option<State>,
    /// The last word of its statistics.
    pub stats: Stats,
    /// How its keys stood.
    pub keys: KeyReport,
    /// Broken promises of the core towards its driver, noticed while running.
    pub faults: Vec<String>,
}

impl Record {
    /// Whether `seq` was given up.
    pub fn gave_up(&self, seq: SeqNumber) -> bool {
        // The ranges come in order: the last one that begins at or before `seq` is the only candidate.
        let later = self.dropped.partition_point(|range| !range.first.is_after(seq));
        later > 0 && !seq.is_after(self.dropped[later - 1].last)
    }

    /// Packets given up, all ranges together.
    pub fn given_up(&self) -> u64 {
        self.dropped
            .iter()
            .map(|range| u64::from(range.last.distance_from(range.first).unsigned_abs()) + 1)
            .sum()
    }

    /// The message with this number among those sent.
    pub fn message(&self, seq: SeqNumber) -> Option<&SentMessage> {
        let first = self.sent.first()?;
        let place = usize::try_from(seq.distance_from(first.seq)).ok()?;
        self.sent.get(place).filter(|message| message.seq == seq)
    }
}

/// Both directions of one caller's path.
#[derive(Clone, Debug, Default)]
pub struct Path {
    /// Towards the listener.
    pub there: Wire,
    /// Towards the caller.
    pub back: Wire,
    /// The link's own count, towards the listener.
    pub link_there: Counters,
    /// The link's own count, towards the caller.
    pub link_back: Counters,
}

/// All that happened.
#[derive(Debug)]
pub struct Run {
    /// What it was made from.
    pub seed: u64,
    /// The callers' ends.
    pub callers: Vec<Record>,
    /// The listener's ends, in order of being accepted.
    pub accepted: Vec<Record>,
    /// The paths, one per caller.
    pub paths: Vec<Path>,
    /// The address of each caller.
    pub addresses: Vec<SocketAddr>,
    /// Incoming connections the listener's application was told of.
    pub incoming: u64,
    /// The most of them waiting at once.
    pub incoming_peak: usize,
    /// Datagrams sent to addresses where nobody is.
    pub astray: u64,
    /// What the listener's endpoint counted.
    pub listener_stats: EndpointStats,
    /// Whether everything had ended before the time limit.
    pub finished: bool,
    /// World time at the end, µs.
    pub ended_us: u64,
    /// Events the world went through.
    pub steps: u64,
    /// Broken promises of endpoints towards their drivers.
    pub faults: Vec<String>,
    /// One number for everything that was sent and received, and when.
    pub digest: u64,
}

/// One direction of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Flow<'a> {
    /// Which way.
    pub way: Way,
    /// The end that sends.
    pub sender: &'a Record,
    /// The end that receives.
    pub receiver: &'a Record,
    /// What the sender put on the wire.
    pub wire: &'a Wire,
}

impl Run {
    /// Every direction of every connection that both ends know of.
    pub fn flows(&self) -> Vec<Flow<'_>> {
        let mut flows = Vec::new();
        for ((caller, path), address) in self.callers.iter().zip(&self.paths).zip(&self.addresses) {
            let Some(accepted) = self.accepted.iter().find(|accepted| accepted.peer == *address) else {
                continue;
            };
            flows.push(Flow { way: Way::ToListener, sender: caller, receiver: accepted, wire: &path.there });
            flows.push(Flow { way: Way::ToCaller, sender: accepted, receiver: caller, wire: &path.back });
        }
        flows
    }

    /// Both ends of every connection.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.callers.iter().chain(&self.accepted)
    }

    /// The first caller's end.
    ///
    /// # Panics
    /// Never: there is always a caller.
    pub fn caller(&self) -> &Record {
        self.callers.first().expect("a world has a caller")
    }

    /// The first accepted end.
    ///
    /// # Panics
    /// When nobody was accepted.
    pub fn listener(&self) -> &Record {
        self.accepted.first().expect("the listener accepted somebody")
    }

    /// The first caller's path.
    ///
    /// # Panics
    /// Never: there is always a path.
    pub fn path(&self) -> &Path {
        self.paths.first().expect("a world has a path")
    }

    /// Share of the messages sent (of all flows) that never came out at the other end.
    #[expect(clippy::cast_precision_loss, reason = "a figure to print")]
    pub fn lost_to_the_viewer(&self) -> f64 {
        let flows = self.flows();
        let sent: usize = flows.iter().map(|flow| flow.sender.sent.len()).sum();
        let received: usize = flows.iter().map(|flow| flow.receiver.received.len()).sum();
        (sent - received.min(sent)) as f64 / sent.max(1) as f64
    }

    /// Goes on if `check` holds.
    ///
    /// # Panics
    /// With the violation, the seed and the command that replays it.
    #[track_caller]
    #[expect(clippy::panic, reason = "an assertion")]
    pub fn assert(&self, check: impl FnOnce(&Self) -> Result<(), crate::check::Violation>) -> &Self {
        if let Err(violation) = check(self) {
            panic!("{violation}");
        }
        self
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            super::seeds::tell_replay(self.seed);
        }
    }
}
