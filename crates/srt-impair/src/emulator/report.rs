//! What the emulator did, in figures that add up.

use core::fmt;
use std::time::Duration;

use crate::model::Counters;

/// Everything that happened, both ways.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How long the emulator ran.
    pub elapsed: Duration,
    /// From the clients to the target.
    pub to_target: DirectionReport,
    /// From the target to the clients.
    pub to_client: DirectionReport,
    /// Clients seen; one that came back after it had expired counts again.
    pub clients: u64,
    /// Datagrams refused as there were as many clients as allowed, or as no socket could be had for a new one.
    /// They never reached the link.
    pub refused: u64,
}

/// One direction.
///
/// Always: `link.delivered_packets == sent_packets + unsent + overrun + in_flight`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DirectionReport {
    /// What the impairment did with each datagram.
    pub link: Counters,
    /// Datagrams sent on.
    pub sent_packets: u64,
    /// Their payload bytes.
    pub sent_bytes: u64,
    /// Datagrams that the system refused to send (no route, too large, nobody listens there).
    pub unsent: u64,
    /// Datagrams dropped as [`Setup::max_pending_bytes`](super::Setup::max_pending_bytes) were on their way.
    pub overrun: u64,
    /// Datagrams still on their way; after the end these are the ones that were thrown away with the link.
    pub in_flight: u64,
    /// Datagrams that the system dropped before the emulator could read them: if it is not 0, the machine was too
    /// slow and the figures above do not tell all. Known after the end, on Linux; `None` elsewhere and before.
    pub kernel_drops: Option<u64>,
    /// How much later than the model said datagrams were sent: the sum, in µs.
    pub late_us_sum: u64,
    /// The same: the worst, in µs.
    pub late_us_max: u64,
    /// Datagrams sent more than 500 µs later than the model said.
    pub late_packets: u64,
}

impl DirectionReport {
    pub(super) fn on_sent(&mut self, bytes: usize, late_us: u64) {
        self.sent_packets += 1;
        self.sent_bytes += bytes as u64;
        self.late_us_sum += late_us;
        self.late_us_max = self.late_us_max.max(late_us);
        self.late_packets += u64::from(late_us > LATE_US);
    }

    /// How much later than the model said datagrams were sent, on average, in µs.
    pub fn late_us_mean(&self) -> u64 {
        self.late_us_sum.checked_div(self.sent_packets).unwrap_or(0)
    }
}

const LATE_US: u64 = 500;

impl fmt::Display for Report {
    /// A small table, one row for each direction.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<9} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10} {:>7} {:>7} {:>9} {:>7} {:>12}",
            "",
            "offered",
            "outage",
            "queue",
            "luck",
            "reordered",
            "doubled",
            "sent",
            "unsent",
            "overrun",
            "in-flight",
            "kernel",
            "late avg/max"
        )?;
        for (name, way) in [("to target", &self.to_target), ("to client", &self.to_client)] {
            let kernel = way.kernel_drops.map_or_else(|| "?".to_owned(), |drops| drops.to_string());
            let late = format!("{}/{}us", way.late_us_mean(), way.late_us_max);
            let link = &way.link;
            writeln!(
                f,
                "{name:<9} {:>10} {:>9} {:>9} {:>9} {:>9} {:>9} {:>10} {:>7} {:>7} {:>9} {kernel:>7} {late:>12}",
                link.offered_packets,
                link.lost_outage,
                link.lost_queue,
                link.lost_luck,
                link.reordered,
                link.duplicated,
                way.sent_packets,
                way.unsent,
                way.overrun,
                way.in_flight,
            )?;
        }
        write!(
            f,
            "{} clients, {} datagrams refused, {:.1} s",
            self.clients,
            self.refused,
            self.elapsed.as_secs_f64()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_one_row_for_each_direction_with_equal_columns() {
        let mut report =
            Report { clients: 2, refused: 7, elapsed: Duration::from_millis(1_500), ..Report::default() };
        report.to_target.link.offered_packets = 123_456;
        report.to_target.on_sent(1_316, 40);
        report.to_target.on_sent(1_316, 600);
        report.to_client.kernel_drops = Some(3);
        let table = report.to_string();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0].len(), lines[1].len());
        assert_eq!(lines[1].len(), lines[2].len());
        assert!(lines[1].starts_with("to target     123456 "), "{}", lines[1]);
        assert!(lines[1].ends_with(" ?    320/600us"), "{}", lines[1]);
        assert!(lines[2].ends_with(" 3        0/0us"), "{}", lines[2]);
        assert_eq!(lines[3], "2 clients, 7 datagrams refused, 1.5 s");
        assert_eq!(report.to_target.late_packets, 1);
    }
}
