//! What the process has used, and the report.

use std::time::Duration;

use serde::Serialize;

use super::BenchArgs;
use super::load::{Load, Pace};
use super::sink::Received;
use crate::error::Failure;
use crate::units::{show_bytes, show_count, show_counted, show_millis, show_rate, show_span};

/// What a process has used up to a moment. What the system does not tell is `None`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    cpu: Option<Duration>,
    /// Memory in use, in bytes.
    memory: Option<u64>,
    threads: Option<u64>,
}

impl Usage {
    pub(super) fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let number = |key: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Self {
            cpu: cpu_time(),
            memory: number("VmRSS:").map(|kilobytes| kilobytes * 1024),
            threads: number("Threads:"),
        }
    }
}

#[cfg(unix)]
fn cpu_time() -> Option<Duration> {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Some(Duration::new(u64::try_from(time.tv_sec).ok()?, u32::try_from(time.tv_nsec).ok()?))
}

#[cfg(not(unix))]
fn cpu_time() -> Option<Duration> {
    None
}

/// The result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    connections: usize,
    /// Bits of payload per second of each connection; nothing where it went as fast as it could.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_bps: Option<u64>,
    message_bytes: u16,
    messages_sent: Option<u64>,
    messages_skipped: Option<u64>,
    messages_unconfirmed: Option<u64>,
    messages_received: Option<u64>,
    messages_missing: Option<u64>,
    packets_lost: Option<u64>,
    packets_resent: Option<u64>,
    packets_dropped_by_sender: Option<u64>,
    packets_dropped_by_receiver: Option<u64>,
    seconds: f64,
    /// Payload per second, all connections together: received, or else sent.
    throughput_bps: f64,
    cpu_seconds: Option<f64>,
    cpu_seconds_per_gigabit: Option<f64>,
    memory_bytes_per_connection: Option<u64>,
    threads: Option<u64>,
    connect_seconds: Option<f64>,
    latency_us: Option<Latency>,
}

/// From the making of a message to its reading.
#[derive(Clone, Copy, Debug, Serialize)]
struct Latency {
    p50: u64,
    p95: u64,
    p99: u64,
    max: u64,
}

impl Figures {
    pub(super) fn new(args: &BenchArgs, load: Option<&Load>, received: Option<&Received>) -> Self {
        let sent_bits = load.map_or(0.0, |load| bits(load.sent() * u64::from(args.size)));
        let (took, moved) = match (load, received) {
            (Some(load), None) => (load.took, sent_bits),
            (_, Some(received)) => (received.took, bits(received.bytes)),
            (None, None) => (Duration::ZERO, 0.0),
        };
        // From the first message sent to the last one received, as far as that is seen here.
        let begin = load.map(|load| load.usage.0).or_else(|| received.map(|received| received.usage.0));
        let end = received.map(|received| received.usage.1).or_else(|| load.map(|load| load.usage.1));
        let cpu = begin.zip(end).and_then(|(begin, end)| Some(end.cpu?.saturating_sub(begin.cpu?)));
        let cpu_seconds = cpu.map(|cpu| cpu.as_secs_f64());
        let seconds = took.as_secs_f64();
        let connections = load
            .map(Load::connections)
            .or_else(|| received.map(|received| received.connections))
            .unwrap_or(0);
        let busiest = load.map(|load| load.usage.1).or(end);
        let memory = load.map(|load| load.connected).and_then(|before| {
            let grown = busiest?.memory?.saturating_sub(before.memory?);
            grown.checked_div(connections as u64)
        });
        Self {
            connections,
            rate_bps: match args.rate {
                Pace::Max => None,
                Pace::Rate { bits_per_second } => Some(bits_per_second),
            },
            message_bytes: args.size,
            messages_sent: load.map(Load::sent),
            messages_skipped: load.map(|load| load.skipped),
            messages_unconfirmed: load.map(|load| load.unconfirmed),
            messages_received: received.map(|received| received.messages),
            messages_missing: match (load, received) {
                (Some(load), Some(received)) => Some(load.sent().saturating_sub(received.messages)),
                (_, received) => received.map(|received| received.missing),
            },
            packets_lost: received.map(|received| received.lost),
            packets_resent: load.map(|load| load.resent),
            packets_dropped_by_sender: load.map(|load| load.given_up),
            packets_dropped_by_receiver: received.map(|received| received.dropped),
            seconds,
            throughput_bps: if seconds > 0.0 { moved / seconds } else { 0.0 },
            cpu_seconds,
            cpu_seconds_per_gigabit: cpu_seconds.filter(|_| moved > 0.0).map(|cpu| cpu / (moved / 1e9)),
            memory_bytes_per_connection: memory,
            threads: busiest.and_then(|usage| usage.threads),
            connect_seconds: load.map(|load| load.connect_time.as_secs_f64()),
            latency_us: received.filter(|received| received.messages > 0).map(|received| Latency {
                p50: received.latency.value_at_quantile(0.5),
                p95: received.latency.value_at_quantile(0.95),
                p99: received.latency.value_at_quantile(0.99),
                max: received.latency.max(),
            }),
        }
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers are always JSON")
    }

    pub(super) fn words(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let span = show_span(Duration::from_millis(whole(self.seconds * 1e3)));
        lines.push(format!("throughput  {} for {span}", show_rate(whole(self.throughput_bps))));
        let mut moved = Vec::new();
        moved.extend(self.messages_sent.map(|count| format!("{} sent", show_counted(count, "message"))));
        moved.extend(self.messages_received.map(|count| format!("{} received", show_count(count))));
        moved.extend(self.messages_missing.map(|count| format!("{} missing", show_count(count))));
        let skipped = self.messages_skipped.filter(|&count| count > 0);
        moved.extend(skipped.map(|count| format!("{} not sent for want of room", show_count(count))));
        lines.push(format!("messages    {}", moved.join(", ")));
        let packets = [
            (self.packets_lost, "lost on the way"),
            (self.packets_resent, "sent again"),
            (self.packets_dropped_by_sender, "given up by the sender"),
            (self.packets_dropped_by_receiver, "by the receiver"),
        ];
        let packets =
            packets.into_iter().filter_map(|(count, what)| Some(format!("{} {what}", show_count(count?))));
        lines.push(format!("packets     {}", packets.collect::<Vec<_>>().join(", ")));
        if let Some(cpu) = self.cpu_seconds {
            let per_gigabit = self.cpu_seconds_per_gigabit.unwrap_or_default();
            lines.push(format!("CPU         {cpu:.2} s, {per_gigabit:.3} s a gigabit"));
        }
        let threads = self.threads.map(|threads| show_counted(threads, "thread"));
        let memory = self
            .memory_bytes_per_connection
            .map(|bytes| format!("{} of memory a connection", show_bytes(bytes)));
        let process: Vec<String> = threads.into_iter().chain(memory).collect();
        if !process.is_empty() {
            lines.push(format!("process     {}", process.join(", ")));
        }
        if let Some(seconds) = self.connect_seconds {
            let each = show_counted(self.connections as u64, "connection");
            lines.push(format!("connecting  {} for {each}", show_millis(whole(seconds * 1e6))));
        }
        if let Some(latency) = self.latency_us {
            lines.push(format!(
                "latency     median {}, 95 % within {}, 99 % within {}, at most {}",
                show_millis(latency.p50),
                show_millis(latency.p95),
                show_millis(latency.p99),
                show_millis(latency.max)
            ));
        }
        lines
    }

    /// # Errors
    /// Where messages are missing that were sent.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        match self.messages_missing.filter(|&missing| missing > 0) {
            Some(missing) => Err(Failure::BenchMissing { missing }),
            None => Ok(()),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people: 52 bits are enough")]
fn bits(bytes: u64) -> f64 {
    bytes as f64 * 8.0
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "spans and rates are never negative"
)]
fn whole(figure: f64) -> u64 {
    figure.round() as u64
}
