//! The counters of all rooms, put together as libsrt's statistics (libsrt: `core.cpp: CUDT::bstats`).

use super::Established;
use crate::{
    config::Config,
    packet::{HEADER_SIZE, UDP_IP_OVERHEAD},
    stats::Stats,
    time::{Instant, Micros},
};

/// Header bytes counted with every packet, over IPv6 too.
const HEADERS: u64 = (HEADER_SIZE + UDP_IP_OVERHEAD) as u64;

/// Everything that is counted, at one moment.
#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    sent: (u64, u64),
    sent_unique: (u64, u64),
    received: (u64, u64),
    received_unique: (u64, u64),
    resent: (u64, u64),
    received_resent: u64,
    send_lost: u64,
    receive_lost: u64,
    acks: (u64, u64),
    naks: (u64, u64),
    send_dropped: (u64, u64),
    receive_dropped: u64,
    undecryptable: u64,
    belated: (u64, u64),
    busy_us: u64,
}

/// Where the interval began, and the averages of the buffers.
#[derive(Clone, Debug)]
pub(super) struct Mark {
    started: Instant,
    at: Instant,
    totals: Totals,
    send_average: BufferAverage,
    receive_average: BufferAverage,
}

/// Packets, bytes and time span of a buffer: now, or averaged over about a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct BufferSize {
    packets: f64,
    bytes: f64,
    millis: f64,
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

impl Mark {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            started: now,
            at: now,
            totals: Totals::default(),
            send_average: BufferAverage::default(),
            receive_average: BufferAverage::default(),
        }
    }
}

impl Established {
    /// Takes the sizes of the buffers into the averages; cheap where it was just done.
    pub(super) fn sample_buffers(&mut self, now: Instant) {
        let (send, receive) = (&self.send, &self.receive);
        self.mark.send_average.sample(now, || buffer_size(send.len(), send.bytes(), send.time_span()));
        self.mark
            .receive_average
            .sample(now, || buffer_size(receive.len(), receive.bytes(), receive.time_span()));
    }

    fn totals(&self, now: Instant) -> Totals {
        let (link, send, receive) = (self.link.counters(), self.send.counters(), self.receive.counters());
        let busy = self.busy_since.map_or(0, |since| now.saturating_since(since).as_micros());
        let with_headers = |packets: u64, bytes: u64| (packets, bytes + packets * HEADERS);
        Totals {
            sent: with_headers(link.sent_packets, link.sent_bytes),
            sent_unique: with_headers(
                link.sent_packets - link.retransmitted_packets,
                link.sent_bytes - link.retransmitted_bytes,
            ),
            received: with_headers(link.received_packets, link.received_bytes),
            received_unique: with_headers(receive.unique_packets, receive.unique_bytes),
            resent: with_headers(link.retransmitted_packets, link.retransmitted_bytes),
            received_resent: link.received_retransmitted_packets,
            send_lost: link.reported_lost_packets,
            receive_lost: link.missing_packets,
            acks: (link.acks_sent, link.acks_received),
            naks: (link.naks_sent, link.naks_received),
            send_dropped: with_headers(send.dropped_packets, send.dropped_bytes),
            receive_dropped: receive.dropped_packets,
            undecryptable: self.undecryptable,
            belated: (receive.belated_packets, receive.belated_us),
            busy_us: self.busy_us + busy,
        }
    }
}

/// The statistics at `now`; with `instantaneous` the sizes of the buffers are not averaged.
pub(super) fn stats(
    established: &mut Established,
    config: &Config,
    now: Instant,
    clear: bool,
    instantaneous: bool,
) -> Stats {
    established.sample_buffers(now);
    let (all, mark) = (established.totals(now), &established.mark);
    let since = &mark.totals;
    let (link, negotiated) = (&established.link, &established.negotiated);
    let (send, receive) = (&established.send, &established.receive);
    let mean_size = all.received.1.checked_div(all.received.0).unwrap_or(HEADERS + 1316);
    let mss = u64::from(negotiated.mss);
    let elapsed_us = float(now.saturating_since(mark.at).as_micros().max(1));
    let mbps = |bytes: u64| float(bytes) * 8.0 / elapsed_us;
    let rate_mbps = link.rate().map_or(0.0, |rate| float(rate) * 8.0 / 1e6);
    let size = |now: BufferSize, average: BufferSize| if instantaneous { now } else { average };
    let send_size = size(buffer_size(send.len(), send.bytes(), send.time_span()), mark.send_average.size);
    let receive_size =
        size(buffer_size(receive.len(), receive.bytes(), receive.time_span()), mark.receive_average.size);
    let lost_bytes = |packets: u64| packets * mean_size;
    let belated = (all.belated.0 - since.belated.0, all.belated.1 - since.belated.1);
    let wire_packet = float(mss.min(negotiated.payload_size as u64 + HEADERS));

    let mut stats =
        Stats { ms_time_stamp: now.saturating_since(mark.started).as_millis(), ..Stats::default() };
    (stats.pkt_sent_total, stats.byte_sent_total) = all.sent;
    (stats.pkt_recv_total, stats.byte_recv_total) = all.received;
    (stats.pkt_sent_unique_total, stats.byte_sent_unique_total) = all.sent_unique;
    (stats.pkt_recv_unique_total, stats.byte_recv_unique_total) = all.received_unique;
    (stats.pkt_retrans_total, stats.byte_retrans_total) = all.resent;
    (stats.pkt_snd_drop_total, stats.byte_snd_drop_total) = all.send_dropped;
    (stats.pkt_sent_ack_total, stats.pkt_recv_ack_total) = all.acks;
    (stats.pkt_sent_nak_total, stats.pkt_recv_nak_total) = all.naks;
    stats.pkt_snd_loss_total = all.send_lost;
    (stats.pkt_rcv_loss_total, stats.byte_rcv_loss_total) = (all.receive_lost, lost_bytes(all.receive_lost));
    (stats.pkt_rcv_drop_total, stats.byte_rcv_drop_total) =
        (all.receive_dropped, lost_bytes(all.receive_dropped));
    stats.pkt_rcv_undecrypt_total = all.undecryptable;
    stats.us_snd_duration_total = all.busy_us;

    (stats.pkt_sent, stats.byte_sent) = less(all.sent, since.sent);
    (stats.pkt_recv, stats.byte_recv) = less(all.received, since.received);
    (stats.pkt_sent_unique, stats.byte_sent_unique) = less(all.sent_unique, since.sent_unique);
    (stats.pkt_recv_unique, stats.byte_recv_unique) = less(all.received_unique, since.received_unique);
    (stats.pkt_retrans, stats.byte_retrans) = less(all.resent, since.resent);
    (stats.pkt_snd_drop, stats.byte_snd_drop) = less(all.send_dropped, since.send_dropped);
    (stats.pkt_sent_ack, stats.pkt_recv_ack) = less(all.acks, since.acks);
    (stats.pkt_sent_nak, stats.pkt_recv_nak) = less(all.naks, since.naks);
    stats.pkt_snd_loss = all.send_lost - since.send_lost;
    stats.pkt_rcv_loss = all.receive_lost - since.receive_lost;
    stats.byte_rcv_loss = lost_bytes(stats.pkt_rcv_loss);
    stats.pkt_rcv_drop = all.receive_dropped - since.receive_dropped;
    stats.byte_rcv_drop = lost_bytes(stats.pkt_rcv_drop);
    stats.pkt_rcv_undecrypt = all.undecryptable - since.undecryptable;
    stats.pkt_rcv_retrans = all.received_resent - since.received_resent;
    stats.us_snd_duration = all.busy_us - since.busy_us;
    stats.mbps_send_rate = mbps(stats.byte_sent);
    stats.mbps_recv_rate = mbps(stats.byte_recv);
    stats.pkt_reorder_distance = u64::from(link.counters().reorder_distance);
    stats.pkt_rcv_belated = belated.0;
    stats.pkt_rcv_avg_belated_time = float(belated.1) / float(belated.0.max(1)) / 1e3;

    stats.us_pkt_snd_period = link.rate().map_or(0.0, |rate| wire_packet * 1e6 / float(rate.max(1)));
    stats.pkt_flow_window = u64::from(link.window());
    stats.pkt_congestion_window = u64::from(negotiated.flow_window);
    stats.pkt_flight_size = link.in_flight() as u64;
    stats.ms_rtt = float(link.rtt().smoothed().as_micros()) / 1e3;
    stats.mbps_bandwidth = f64::from(link.capacity_pps()) * float(mss) * 8.0 / 1e6;
    stats.mbps_max_bw = rate_mbps;
    stats.byte_mss = mss;
    stats.pkt_snd_buf = rounded(send_size.packets);
    stats.byte_snd_buf = rounded(send_size.packets.mul_add(float(HEADERS), send_size.bytes));
    stats.ms_snd_buf = rounded(send_size.millis);
    stats.byte_avail_snd_buf = send.free() as u64 * mss;
    stats.ms_snd_tsbpd_delay = negotiated.peer_latency.map_or(0, Micros::as_millis);
    stats.pkt_rcv_buf = rounded(receive_size.packets);
    stats.byte_rcv_buf = rounded(receive_size.bytes);
    stats.ms_rcv_buf = rounded(receive_size.millis);
    stats.byte_avail_rcv_buf = receive.available(link.first_missing()) as u64 * mss;
    stats.ms_rcv_tsbpd_delay = negotiated.receiver_latency.map_or(0, Micros::as_millis);
    stats.pkt_reorder_tolerance = u64::from(link.reorder_tolerance());
    if config.max_bw() > 0 {
        stats.mbps_max_bw = float(config.max_bw().unsigned_abs()) * 8.0 / 1e6;
    }
    if clear {
        established.mark.totals = all;
        established.mark.at = now;
    }
    stats
}

const fn less(all: (u64, u64), since: (u64, u64)) -> (u64, u64) {
    (all.0 - since.0, all.1 - since.1)
}

fn buffer_size(packets: usize, bytes: usize, span: Micros) -> BufferSize {
    let millis = if packets == 0 { 0.0 } else { float(span.as_millis() + 1) };
    BufferSize { packets: float(packets as u64), bytes: float(bytes as u64), millis }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people: 52 bits are enough")]
const fn float(count: u64) -> f64 {
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
