//! The links of a group under the live line: one row each.

use std::time::Duration;

use srt::{LinkId, LinkReport};

use crate::stats_format::reason_of;
use crate::units::{rate_of, show_count, show_rate};

/// Remembers what the links had carried when they were shown last.
#[derive(Debug, Default)]
pub(crate) struct LinkTable {
    seen: Vec<(LinkId, u64)>,
}

impl LinkTable {
    /// A line for each link, each with its line break before it. `received`: what came counts, not what was sent.
    pub(crate) fn rows(
        &mut self,
        links: &[(Option<String>, LinkReport)],
        received: bool,
        elapsed: Duration,
    ) -> String {
        let widest = links.iter().map(|(name, report)| named(name.as_deref(), report).chars().count()).max();
        let width = widest.unwrap_or_default().min(WIDEST_NAME);
        let mut out = String::new();
        let mut seen = Vec::new();
        for (name, report) in links {
            let bytes = if received { report.counters.received_bytes } else { report.counters.sent_bytes };
            let before = self.seen.iter().find(|(link, _)| *link == report.id).map_or(0, |(_, bytes)| *bytes);
            seen.push((report.id, bytes));
            let rate = show_rate(rate_of(bytes.saturating_sub(before), elapsed));
            let name: String = named(name.as_deref(), report).chars().take(WIDEST_NAME).collect();
            let state = report.state.name();
            let rtt = match report.rtt.as_micros() {
                0 => "RTT -".to_owned(),
                micros => format!("RTT {:.0} ms", micros as f64 / 1e3),
            };
            out.push_str(&format!(
                "\n {:>2}  {name:<width$}  {state:<10}  {rate:>10}  {rtt:<11}  loss {} %",
                report.id, report.loss_percent
            ));
            if report.counters.retransmitted_packets > 0 {
                out.push_str(&format!("  resent {}", show_count(report.counters.retransmitted_packets)));
            }
            if let Some(why) = reason_of(report) {
                out.push_str(&format!("  {why}"));
            }
        }
        self.seen = seen;
        out
    }
}

/// Longer names are cut.
const WIDEST_NAME: usize = 40;

fn named(name: Option<&str>, report: &LinkReport) -> String {
    name.map_or_else(|| report.peer.to_string(), str::to_owned)
}
