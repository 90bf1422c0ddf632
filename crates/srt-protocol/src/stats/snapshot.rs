//! The raw figures of a connection at one moment, and what libsrt's statistics make of them
//! (libsrt: `core.cpp: CUDT::bstats`).

use super::Stats;
use crate::{
    link::KeyReport,
    packet::{HEADER_SIZE, UDP_IP_OVERHEAD},
    time::{Instant, Micros},
};

/// Header bytes counted with every packet, over IPv6 too.
const HEADERS: u64 = (HEADER_SIZE + UDP_IP_OVERHEAD) as u64;
/// A snapshot no older than this speaks for the moment at which it was taken; an older one, of a connection that was idle
/// since, for the present.
const FRESH: Micros = Micros::from_millis(50);

/// What a connection has counted and how it stands at one moment: numbers, cheap to take and to pass on.
///
/// An [`Interval`] makes [`Stats`] of it, on any thread, without asking the connection.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When it was taken.
    pub(crate) at: Instant,
    /// When the connection began.
    pub(crate) started: Instant,
    pub(crate) counts: Counts,
    /// The rate pacing holds the sender to, and that set by MAXBW, in bytes per second.
    pub(crate) rate: Option<u64>,
    pub(crate) max_bw: Option<u64>,
    /// How late packets are that come for nothing, averaged.
    pub(crate) belated_time: Micros,
    pub(crate) reorder_distance: u32,
    pub(crate) reorder_tolerance: u32,
    pub(crate) window: u32,
    pub(crate) flow_window: u32,
    pub(crate) in_flight: usize,
    pub(crate) rtt: Micros,
    pub(crate) capacity_pps: u32,
    pub(crate) mss: u32,
    pub(crate) payload_size: usize,
    pub(crate) send_room: usize,
    pub(crate) receive_room: usize,
    pub(crate) send_latency: Micros,
    pub(crate) receive_latency: Micros,
    /// The buffers, now and averaged over about a second.
    pub(crate) send_buffer: (BufferSize, BufferSize),
    pub(crate) receive_buffer: (BufferSize, BufferSize),
    pub(crate) keys: KeyReport,
}

/// Everything that is counted. Pairs are packets and bytes of payload, or sent and received.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: (u64, u64),
    pub(crate) received: (u64, u64),
    pub(crate) received_unique: (u64, u64),
    pub(crate) resent: (u64, u64),
    pub(crate) received_resent: u64,
    pub(crate) send_lost: u64,
    pub(crate) receive_lost: u64,
    pub(crate) acks: (u64, u64),
    pub(crate) naks: (u64, u64),
    pub(crate) send_dropped: (u64, u64),
    pub(crate) receive_dropped: u64,
    pub(crate) undecryptable: (u64, u64),
    pub(crate) belated: u64,
    pub(crate) busy_us: u64,
}

/// Packets, bytes and time span of a buffer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct BufferSize {
    /// Packets.
    pub packets: f64,
    /// Bytes of payload.
    pub bytes: f64,
    /// Milliseconds from the oldest packet to the newest.
    pub millis: f64,
}

impl BufferSize {
    pub(crate) fn new(packets: usize, bytes: usize, span: Micros) -> Self {
        let millis = if packets == 0 { 0.0 } else { float(span.as_millis() + 1) };
        Self { packets: float(packets as u64), bytes: float(bytes as u64), millis }
    }
}

impl Snapshot {
    /// When it was taken.
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// How its keys stand.
    #[must_use]
    pub const fn keys(&self) -> KeyReport {
        self.keys
    }

    /// Packets in the receive buffer.
    #[must_use]
    pub fn receive_buffer_packets(&self) -> u64 {
        rounded(self.receive_buffer.0.packets)
    }
}

/// Remembers where the interval of the statistics began.
#[derive(Clone, Debug, Default)]
pub struct Interval {
    /// `None` where it began with the connection.
    at: Option<Instant>,
    counts: Counts,
}

impl Interval {
    /// The statistics at `now`, as far as `snapshot` tells; the interval begins anew where `clear` is set.
    ///
    /// With `instantaneous` the sizes of the buffers are not averaged.
    pub fn stats(&mut self, snapshot: &Snapshot, now: Instant, clear: bool, instantaneous: bool) -> Stats {
        let aged = now.saturating_since(snapshot.at) > FRESH;
        let at = if aged { now } else { snapshot.at };
        let stats = self.fill(snapshot, at, instantaneous);
        if clear {
            (self.at, self.counts) = (Some(at), snapshot.counts);
        }
        stats
    }

    fn fill(&self, snapshot: &Snapshot, at: Instant, instantaneous: bool) -> Stats {
        let (all, since) = (&snapshot.counts, &self.counts);
        let received = with_headers(all.received);
        let mean_size = received.1.checked_div(received.0).unwrap_or(HEADERS + 1316);
        let lost_bytes = |packets: u64| packets * mean_size;
        let mss = u64::from(snapshot.mss);
        let elapsed_us = float(at.saturating_since(self.at.unwrap_or(snapshot.started)).as_micros().max(1));
        let mbps = |bytes: u64| float(bytes) * 8.0 / elapsed_us;
        let rate_mbps = |rate: Option<u64>| rate.map_or(0.0, |rate| float(rate) * 8.0 / 1e6);
        let size = |(now, average)| if instantaneous { now } else { average };
        let (send_size, receive_size): (BufferSize, BufferSize) =
            (size(snapshot.send_buffer), size(snapshot.receive_buffer));
        let wire_packet = float(mss.min(snapshot.payload_size as u64 + HEADERS));
        let unique = |counts: &Counts| with_headers(less(counts.sent, counts.resent));

        let mut stats =
            Stats { ms_time_stamp: at.saturating_since(snapshot.started).as_millis(), ..Stats::default() };
        (stats.pkt_sent_total, stats.byte_sent_total) = with_headers(all.sent);
        (stats.pkt_recv_total, stats.byte_recv_total) = received;
        (stats.pkt_sent_unique_total, stats.byte_sent_unique_total) = unique(all);
        (stats.pkt_recv_unique_total, stats.byte_recv_unique_total) = with_headers(all.received_unique);
        (stats.pkt_retrans_total, stats.byte_retrans_total) = with_headers(all.resent);
        (stats.pkt_snd_drop_total, stats.byte_snd_drop_total) = with_headers(all.send_dropped);
        (stats.pkt_sent_ack_total, stats.pkt_recv_ack_total) = all.acks;
        (stats.pkt_sent_nak_total, stats.pkt_recv_nak_total) = all.naks;
        stats.pkt_snd_loss_total = all.send_lost;
        (stats.pkt_rcv_loss_total, stats.byte_rcv_loss_total) =
            (all.receive_lost, lost_bytes(all.receive_lost));
        (stats.pkt_rcv_drop_total, stats.byte_rcv_drop_total) =
            (all.receive_dropped, lost_bytes(all.receive_dropped));
        (stats.pkt_rcv_undecrypt_total, stats.byte_rcv_undecrypt_total) = all.undecryptable;
        stats.us_snd_duration_total = all.busy_us;

        (stats.pkt_sent, stats.byte_sent) = with_headers(less(all.sent, since.sent));
        (stats.pkt_recv, stats.byte_recv) = with_headers(less(all.received, since.received));
        (stats.pkt_sent_unique, stats.byte_sent_unique) = less(unique(all), unique(since));
        (stats.pkt_recv_unique, stats.byte_recv_unique) =
            with_headers(less(all.received_unique, since.received_unique));
        (stats.pkt_retrans, stats.byte_retrans) = with_headers(less(all.resent, since.resent));
        (stats.pkt_snd_drop, stats.byte_snd_drop) = with_headers(less(all.send_dropped, since.send_dropped));
        (stats.pkt_sent_ack, stats.pkt_recv_ack) = less(all.acks, since.acks);
        (stats.pkt_sent_nak, stats.pkt_recv_nak) = less(all.naks, since.naks);
        stats.pkt_snd_loss = all.send_lost - since.send_lost;
        stats.pkt_rcv_loss = all.receive_lost - since.receive_lost;
        stats.byte_rcv_loss = lost_bytes(stats.pkt_rcv_loss);
        stats.pkt_rcv_drop = all.receive_dropped - since.receive_dropped;
        stats.byte_rcv_drop = lost_bytes(stats.pkt_rcv_drop);
        (stats.pkt_rcv_undecrypt, stats.byte_rcv_undecrypt) = less(all.undecryptable, since.undecryptable);
        stats.pkt_rcv_retrans = all.received_resent - since.received_resent;
        stats.us_snd_duration = all.busy_us - since.busy_us;
        stats.mbps_send_rate = mbps(stats.byte_sent);
        stats.mbps_recv_rate = mbps(stats.byte_recv);
        stats.pkt_reorder_distance = u64::from(snapshot.reorder_distance);
        stats.pkt_rcv_belated = all.belated.saturating_sub(since.belated);
        stats.pkt_rcv_avg_belated_time = float(snapshot.belated_time.as_micros()) / 1e3;

        stats.us_pkt_snd_period = snapshot.rate.map_or(0.0, |rate| wire_packet * 1e6 / float(rate.max(1)));
        stats.pkt_flow_window = u64::from(snapshot.window);
        stats.pkt_congestion_window = u64::from(snapshot.flow_window);
        stats.pkt_flight_size = snapshot.in_flight as u64;
        stats.ms_rtt = float(snapshot.rtt.as_micros()) / 1e3;
        stats.mbps_bandwidth = f64::from(snapshot.capacity_pps) * float(mss) * 8.0 / 1e6;
        stats.mbps_max_bw = rate_mbps(snapshot.max_bw.or(snapshot.rate));
        stats.byte_mss = mss;
        stats.pkt_snd_buf = rounded(send_size.packets);
        stats.byte_snd_buf = rounded(send_size.packets.mul_add(float(HEADERS), send_size.bytes));
        stats.ms_snd_buf = rounded(send_size.millis);
        stats.byte_avail_snd_buf = snapshot.send_room as u64 * mss;
        stats.ms_snd_tsbpd_delay = snapshot.send_latency.as_millis();
        stats.pkt_rcv_buf = rounded(receive_size.packets);
        stats.byte_rcv_buf = rounded(receive_size.bytes);
        stats.ms_rcv_buf = rounded(receive_size.millis);
        stats.byte_avail_rcv_buf = snapshot.receive_room as u64 * mss;
        stats.ms_rcv_tsbpd_delay = snapshot.receive_latency.as_millis();
        stats.pkt_reorder_tolerance = u64::from(snapshot.reorder_tolerance);
        stats
    }
}

/// The same with the bytes of the headers.
const fn with_headers(counts: (u64, u64)) -> (u64, u64) {
    (counts.0, counts.1 + counts.0 * HEADERS)
}

const fn less(all: (u64, u64), since: (u64, u64)) -> (u64, u64) {
    (all.0.saturating_sub(since.0), all.1.saturating_sub(since.1))
}

#[expect(clippy::cast_precision_loss, reason = "figures for people: 52 bits are enough")]
pub(crate) const fn float(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "averages of counts, never negative"
)]
fn rounded(value: f64) -> u64 {
    value.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(ms: u64, packets: u64) -> Snapshot {
        Snapshot {
            at: Instant::from_micros(ms * 1_000),
            counts: Counts { sent: (packets, packets * 956), ..Counts::default() },
            ..Snapshot::default()
        }
    }

    #[test]
    fn an_interval_begins_where_it_was_cleared() {
        let mut interval = Interval::default();
        let at = |ms: u64| Instant::from_micros(ms * 1_000);
        let first = interval.stats(&snapshot(1_000, 500), at(1_010), true, false);
        assert_eq!((first.pkt_sent, first.byte_sent), (500, 500_000));
        assert_eq!(first.mbps_send_rate, 4.0);
        let second = interval.stats(&snapshot(1_500, 600), at(1_510), false, false);
        assert_eq!((second.pkt_sent, second.pkt_sent_total), (100, 600));
        assert_eq!(second.mbps_send_rate, 1.6);
        let third = interval.stats(&snapshot(1_500, 600), at(3_000), true, false);
        assert_eq!((third.pkt_sent, third.ms_time_stamp), (100, 3_000), "nothing has happened since");
        assert_eq!(third.mbps_send_rate, 0.4);
        let last = interval.stats(&snapshot(1_500, 600), at(3_000), false, false);
        assert_eq!((last.pkt_sent, last.pkt_sent_total), (0, 600));
    }
}
