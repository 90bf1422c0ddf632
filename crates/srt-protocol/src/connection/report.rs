//! The counters of all rooms, put together as a [`Snapshot`].

use super::Established;
use crate::{
    config::Config,
    stats::{BufferSize, Counts, Snapshot, float},
    time::{Instant, Micros},
};

/// The sizes of the buffers, averaged, and when the connection began.
#[derive(Clone, Debug)]
pub(super) struct Averages {
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
    pub(super) fn new(now: Instant) -> Self {
        Self { started: now, send: BufferAverage::default(), receive: BufferAverage::default() }
    }
}

impl Established {
    /// Takes the sizes of the buffers into the averages; cheap where it was just done.
    pub(super) fn sample_buffers(&mut self, now: Instant) {
        let (send, receive) = (&self.send, &self.receive);
        self.averages.send.sample(now, || BufferSize::new(send.len(), send.bytes(), send.time_span()));
        self.averages
            .receive
            .sample(now, || BufferSize::new(receive.len(), receive.bytes(), receive.time_span()));
    }

    /// Everything that is counted or measured.
    pub(super) fn snapshot(&self, now: Instant, config: &Config) -> Snapshot {
        let (link, send, receive, negotiated) = (&self.link, &self.send, &self.receive, &self.negotiated);
        let send_size = BufferSize::new(send.len(), send.bytes(), send.time_span());
        let receive_size = BufferSize::new(receive.len(), receive.bytes(), receive.time_span());
        Snapshot {
            at: now,
            started: self.averages.started,
            counts: self.counts(now),
            rate: link.rate(),
            max_bw: u64::try_from(config.max_bw()).ok().filter(|&rate| rate > 0),
            belated_time: Micros::from_micros(receive.counters().belated_us),
            reorder_distance: link.counters().reorder_distance,
            reorder_tolerance: link.reorder_tolerance(),
            window: link.window(),
            flow_window: negotiated.flow_window,
            in_flight: link.in_flight(),
            rtt: link.rtt().smoothed(),
            capacity_pps: link.capacity_pps(),
            mss: negotiated.mss,
            payload_size: negotiated.payload_size,
            send_room: send.free(),
            receive_room: receive.available(link.first_missing()),
            send_latency: negotiated.peer_latency.unwrap_or_default(),
            receive_latency: negotiated.receiver_latency.unwrap_or_default(),
            send_buffer: (send_size, self.averages.send.size),
            receive_buffer: (receive_size, self.averages.receive.size),
            keys: link.keys().report(),
        }
    }

    fn counts(&self, now: Instant) -> Counts {
        let (link, send, receive) = (self.link.counters(), self.send.counters(), self.receive.counters());
        let busy = self.busy_since.map_or(0, |since| now.saturating_since(since).as_micros());
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
            busy_us: self.busy_us + busy,
        }
    }
}
