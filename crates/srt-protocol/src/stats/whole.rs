//! The counters of all rooms of a stream and its links, put together as a [`Snapshot`].

use super::{BufferSize, Counts, Snapshot, float};
use crate::{
    config::Config,
    connection::Negotiated,
    link::{Link, LinkCounters},
    stream::{ReceiveBuffer, SendBuffer},
    time::{Instant, Micros},
};

/// The sizes of the buffers, averaged, and since when.
#[derive(Clone, Debug)]
pub struct Averages {
    started: Instant,
    send: BufferAverage,
    receive: BufferAverage,
}

/// The average libsrt keeps (`buffer_tools.cpp: AvgBufSize`): each sample weighs as long as the time since the last.
#[derive(Clone, Copy, Debug, Default)]
struct BufferAverage {
    size: BufferSize,
    at: Option<Instant>,
}

const SAMPLE_PERIOD: Micros = Micros::from_millis(25);
const AVERAGE_OVER: Micros = Micros::from_secs(1);

impl BufferAverage {
    fn sample(&mut self, now: Instant, size: impl FnOnce() -> BufferSize) {
        let elapsed = self.at.map_or(AVERAGE_OVER, |at| now.saturating_since(at));
        if elapsed < SAMPLE_PERIOD {
            return;
        }
        self.at = Some(now);
        let size = size();
        let weight =
            float(elapsed.as_micros().min(AVERAGE_OVER.as_micros())) / float(AVERAGE_OVER.as_micros());
        let mix = |old: f64, new: f64| old + (new - old) * weight;
        self.size = BufferSize {
            packets: mix(self.size.packets, size.packets),
            bytes: mix(self.size.bytes, size.bytes),
            millis: mix(self.size.millis, size.millis),
        };
    }
}

impl Averages {
    /// Begins at `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { started: now, send: BufferAverage::default(), receive: BufferAverage::default() }
    }

    /// Takes the sizes of the buffers in; cheap where it was just done.
    pub fn sample(&mut self, now: Instant, send: &SendBuffer, receive: &ReceiveBuffer) {
        self.send.sample(now, || BufferSize::new(send.len(), send.bytes(), send.time_span()));
        self.receive.sample(now, || BufferSize::new(receive.len(), receive.bytes(), receive.time_span()));
    }
}

/// A stream and the links that carry it, to be looked at.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "the owner of a stream builds it, and has to give all of it")]
pub struct Whole<'a> {
    /// The options.
    pub config: &'a Config,
    /// What was agreed.
    pub negotiated: &'a Negotiated,
    /// What is sent.
    pub send: &'a SendBuffer,
    /// What is received.
    pub receive: &'a ReceiveBuffer,
    /// The links that are up, the best one first.
    pub links: &'a [&'a Link],
    /// What links have counted that are no more.
    pub past: LinkCounters,
    /// The averages.
    pub averages: &'a Averages,
    /// How long there was something to send or to be acknowledged, in µs.
    pub busy_us: u64,
}

impl Whole<'_> {
    /// Everything that is counted or measured.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let Self { config, negotiated, send, receive, links, averages, .. } = self;
        let send_size = BufferSize::new(send.len(), send.bytes(), send.time_span());
        let receive_size = BufferSize::new(receive.len(), receive.bytes(), receive.time_span());
        let best = links.first();
        let most = |of: fn(&Link) -> u32| links.iter().map(|link| of(link)).max().unwrap_or_default();
        let furthest = links.iter().map(|link| link.first_missing());
        let furthest =
            furthest.fold(receive.next(), |one, other| if other.is_after(one) { other } else { one });
        let rates: Option<Vec<u64>> = links.iter().map(|link| link.rate()).collect();
        Snapshot {
            at: now,
            started: averages.started,
            counts: self.counts(),
            rate: rates.filter(|rates| !rates.is_empty()).map(|rates| rates.iter().sum()),
            max_bw: u64::try_from(config.max_bw()).ok().filter(|&rate| rate > 0),
            belated_time: Micros::from_micros(receive.counters().belated_us),
            reorder_distance: most(|link| link.counters().reorder_distance).max(self.past.reorder_distance),
            reorder_tolerance: most(Link::reorder_tolerance),
            window: most(Link::window),
            flow_window: negotiated.flow_window,
            in_flight: links.iter().map(|link| link.in_flight()).max().unwrap_or_default(),
            rtt: best.map_or(Micros::ZERO, |link| link.rtt().smoothed()),
            capacity_pps: links.iter().map(|link| link.capacity_pps()).fold(0, u32::saturating_add),
            mss: negotiated.mss,
            payload_size: negotiated.payload_size,
            send_room: send.free(),
            receive_room: receive.available(furthest),
            send_latency: negotiated.peer_latency.unwrap_or_default(),
            receive_latency: negotiated.receiver_latency.unwrap_or_default(),
            send_buffer: (send_size, averages.send.size),
            receive_buffer: (receive_size, averages.receive.size),
            keys: best.map(|link| link.keys().report()).unwrap_or_default(),
        }
    }

    fn counts(&self) -> Counts {
        let (send, receive) = (self.send.counters(), self.receive.counters());
        let mut link = self.past;
        self.links.iter().for_each(|one| link.add(one.counters()));
        Counts {
            sent: (link.sent_packets, link.sent_bytes),
            received: (link.received_packets, link.received_bytes),
            received_unique: (receive.unique_packets, receive.unique_bytes),
            resent: (link.retransmitted_packets, link.retransmitted_bytes),
            received_resent: link.received_retransmitted_packets,
            send_lost: link.reported_lost_packets,
            receive_lost: link.missing_packets,
            acks: (link.acks_sent, link.acks_received),
            naks: (link.naks_sent, link.naks_received),
            send_dropped: (send.dropped_packets, send.dropped_bytes),
            receive_dropped: receive.dropped_packets,
            undecryptable: (link.undecryptable_packets, link.undecryptable_bytes),
            belated: receive.belated_packets,
            busy_us: self.busy_us,
        }
    }
}
