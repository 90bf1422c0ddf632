//! What became of the stream, in words and for machines.

use std::time::Duration;

use serde::Serialize;
use srt::LinkReport;
use srt_impair::{Report, UDP_IP_OVERHEAD};

use super::links::Links;
use crate::error::Failure;
use crate::report::SHORTEST;
use crate::test_stream::{Findings, Spread};
use crate::units::{rate_of, show_bytes, show_count, show_counted, show_millis, show_rate, show_share};

/// 99 of 100 packets within so much of the fastest: the delay is steady.
const STEADY_US: u64 = 10_000;
/// Datagrams held up for longer than this in the emulator: the machine is busy with something else.
const LATE_US: u64 = 50_000;

/// What happened.
#[derive(Clone, Debug)]
pub(super) struct Story {
    /// Ended by Ctrl-C, with packets on their way.
    pub(super) interrupted: bool,
    pub(super) elapsed: Duration,
    /// Packets of the stream, and their bytes.
    pub(super) offered: u64,
    pub(super) bytes: u64,
    pub(super) bonded: Way,
    /// The same stream over each link alone.
    pub(super) alone: Vec<Way>,
    /// The links of the group, as the sender saw them.
    pub(super) links: Vec<LinkReport>,
}

/// What one way made of the stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    pub(super) found: Findings,
    /// What the emulated links did.
    pub(super) wires: Vec<Report>,
}

impl Way {
    /// Packets of `offered` that the viewer never got.
    fn lost(&self, offered: u64, interrupted: bool) -> u64 {
        let found = &self.found;
        if interrupted {
            // What comes after the last that was played was still on its way.
            return found.in_messages(found.lost).min(offered);
        }
        self.unseen(offered)
    }

    /// Packets of `offered` that the viewer has not got.
    fn unseen(&self, offered: u64) -> u64 {
        let parts = self.found.packets_per_message.max(1);
        (offered * parts).saturating_sub(self.found.received).div_ceil(parts).min(offered)
    }
}

impl Story {
    fn lost(&self) -> u64 {
        self.bonded.lost(self.offered, self.interrupted)
    }

    fn delivered(&self) -> u64 {
        self.offered - self.bonded.unseen(self.offered)
    }

    /// Packets that were on their way when the demo was interrupted.
    fn on_their_way(&self) -> u64 {
        self.offered - self.delivered() - self.lost()
    }

    fn harmed(&self) -> u64 {
        let found = &self.bonded.found;
        self.lost() + found.in_messages(found.damaged + found.duplicates + found.reordered)
    }

    fn whole(&self) -> bool {
        self.offered > 0 && self.harmed() == 0
    }

    /// # Errors
    /// When the viewer of the bonded stream missed something.
    pub(super) fn verdict(&self) -> Result<(), Failure> {
        if self.whole() || self.interrupted && self.offered == 0 {
            return Ok(());
        }
        Err(Failure::PictureBroke { harmed: self.harmed(), sent: self.offered })
    }

    /// What was sent over the stream's own bytes: again, or on more than one link.
    fn extra(&self) -> u64 {
        self.links.iter().map(|link| link.counters.sent_bytes).sum::<u64>().saturating_sub(self.bytes)
    }

    /// Bytes of all datagrams both ways, headers of UDP and IP included.
    fn on_the_wire(&self) -> u64 {
        let ways = self.bonded.wires.iter().flat_map(|wire| [&wire.to_target.link, &wire.to_client.link]);
        ways.map(|link| link.offered_bytes + link.offered_packets * UDP_IP_OVERHEAD as u64).sum()
    }

    /// The place of the link that lost least alone, and what that was.
    fn best_alone(&self) -> Option<(usize, u64)> {
        let lost = self.alone.iter().map(|way| way.lost(self.offered, self.interrupted));
        lost.enumerate().min_by_key(|(_, lost)| *lost)
    }

    /// Why the figures may be worse than the links.
    fn doubt(&self) -> Option<String> {
        let wires = || self.alone.iter().chain([&self.bonded]).flat_map(|way| &way.wires);
        let ways = || wires().flat_map(|wire| [&wire.to_target, &wire.to_client]);
        let missed: u64 = ways().filter_map(|way| way.kernel_drops).sum();
        let late = ways().map(|way| way.late_us_max).max().unwrap_or(0);
        (missed > 0 || late > LATE_US).then(|| {
            format!(
                "This machine was busy: it held datagrams up for as long as {} and lost {} before the emulator saw them.",
                show_millis(late),
                show_count(missed)
            )
        })
    }

    /// For people.
    pub(super) fn words(&self, links: &Links) -> Vec<String> {
        let mut lines = vec!["What happened".to_owned()];
        lines.extend(self.words_of_stream());
        lines.extend(self.words_of_links());
        lines.extend(self.words_of_alone());
        lines.push(String::new());
        lines.extend(self.doubt());
        lines.extend(self.last_words(links));
        lines
    }

    fn words_of_stream(&self) -> Vec<String> {
        // Over less time a rate says nothing.
        let rate = if self.elapsed < SHORTEST {
            String::new()
        } else {
            format!(", {}", show_rate(rate_of(self.bytes, self.elapsed)))
        };
        let found = &self.bonded.found;
        let order = match (found.reordered, found.duplicates, found.damaged) {
            (0, 0, 0) => "each once, in order and undamaged".to_owned(),
            (late, twice, damaged) => format!(
                "{} out of order, {} doubled, {} damaged",
                show_counted(late, "TS packet"),
                show_count(twice),
                show_count(damaged)
            ),
        };
        vec![
            format!(
                "  offered    {} ({}{rate})",
                show_counted(self.offered, "packet"),
                show_bytes(self.bytes)
            ),
            format!("  delivered  {}, {order}", show_count(self.delivered())),
            format!("  lost       {} to the viewer", show_count(self.lost())),
            format!(
                "  delay      {}",
                found.latency.as_ref().map_or_else(|| "no packet arrived".to_owned(), words_of_delay)
            ),
            format!(
                "  overhead   {} sent again or twice; {} with all headers and reports",
                show_share(self.extra(), self.bytes),
                show_share(self.on_the_wire().saturating_sub(self.bytes), self.bytes)
            ),
        ]
    }

    fn words_of_links(&self) -> Vec<String> {
        if self.links.is_empty() {
            return vec!["  carried    nothing: no link came to be".to_owned()];
        }
        let rows = self.links.iter().zip(&self.bonded.wires).enumerate().map(|(place, (link, wire))| {
            let (sent, way) = (link.counters, wire.to_target.link);
            let head = if place == 0 { "  carried    " } else { "             " };
            let dead = match way.lost_outage {
                0 => String::new(),
                lost => format!(", {} while it was dead", show_count(lost)),
            };
            format!(
                "{head}link {}  {:>6} of the stream: {}; lost {}{dead}",
                link.id,
                show_share(sent.sent_packets, self.offered),
                show_counted(sent.sent_packets, "packet"),
                show_count(way.lost()),
            )
        });
        rows.collect()
    }

    fn words_of_alone(&self) -> Vec<String> {
        let mut rows = vec![
            "  alone      the same stream over a copy of each link, as a plain SRT connection (measured)"
                .to_owned(),
        ];
        rows.extend(self.alone.iter().enumerate().map(|(link, way)| {
            let lost = way.lost(self.offered, self.interrupted);
            format!(
                "             link {}  {:>6} of the stream lost: {}",
                link + 1,
                show_share(lost, self.offered),
                show_counted(lost, "packet")
            )
        }));
        rows
    }

    fn last_words(&self, links: &Links) -> Vec<String> {
        if self.interrupted && self.offered == 0 {
            return vec!["Interrupted before anything was sent.".to_owned()];
        }
        let mut lines = Vec::new();
        lines.push(if !self.whole() {
            format!("The picture broke: {} missing or damaged.", show_counted(self.harmed(), "packet"))
        } else if self.interrupted {
            let left = show_counted(self.on_their_way(), "packet");
            format!("The picture had not broken when the demo was interrupted, with {left} on the way.")
        } else {
            "The picture never broke.".to_owned()
        });
        let lost = |link: usize| match self.alone[link].lost(self.offered, self.interrupted) {
            0 => "nothing".to_owned(),
            lost => format!("{} ({})", show_counted(lost, "packet"), show_share(lost, self.offered)),
        };
        if let Some((least, _)) = self.best_alone() {
            let first = links.best();
            lines.push(format!(
                "Link {}, the best one when it began, lost {} alone.",
                first + 1,
                lost(first)
            ));
            if least != first {
                lines.push(format!(
                    "Link {}, the one that lost least, lost {} alone.",
                    least + 1,
                    lost(least)
                ));
            }
        }
        lines
    }

    /// For machines.
    pub(super) fn figures(&self, links: &Links, group: &'static str, seed: u64) -> Figures {
        let share = |part: u64| if self.bytes == 0 { 0.0 } else { part as f64 * 100.0 / self.bytes as f64 };
        let rows = links.profiles.iter().enumerate().map(|(place, profile)| {
            let counters = self.links.get(place).map(|link| link.counters).unwrap_or_default();
            let way = self.bonded.wires.get(place).map(|wire| wire.to_target.link).unwrap_or_default();
            let alone =
                self.alone.get(place).map_or(self.offered, |way| way.lost(self.offered, self.interrupted));
            LinkFigures {
                link: place + 1,
                profile: profile.to_string(),
                ups: self.links.get(place).map_or(0, |link| link.ups),
                sent_packets: counters.sent_packets,
                sent_bytes: counters.sent_bytes,
                wire_packets: way.offered_packets,
                wire_lost: way.lost(),
                wire_lost_dead: way.lost_outage,
                alone_lost: alone,
            }
        });
        Figures {
            group,
            seed,
            interrupted: self.interrupted,
            elapsed_ms: u64::try_from(self.elapsed.as_millis()).unwrap_or(u64::MAX),
            offered: self.offered,
            offered_bytes: self.bytes,
            delivered: self.delivered(),
            lost: self.lost(),
            on_the_way: self.on_their_way(),
            harmed: self.harmed(),
            delay: self.bonded.found.latency.map(DelayFigures::of),
            overhead_percent: share(self.extra()),
            wire_overhead_percent: share(self.on_the_wire().saturating_sub(self.bytes)),
            links: rows.collect(),
        }
    }
}

fn is_steady(delay: &Spread) -> bool {
    delay.p99 - delay.min <= STEADY_US
}

fn words_of_delay(delay: &Spread) -> String {
    format!(
        "{} in the middle, 99 % within {} of the fastest, at most {}: {}",
        show_millis(delay.p50),
        show_millis(delay.p99 - delay.min),
        show_millis(delay.max),
        if is_steady(delay) { "steady" } else { "not steady" }
    )
}

/// The figures for machines: packets unless said otherwise.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    group: &'static str,
    seed: u64,
    interrupted: bool,
    elapsed_ms: u64,
    offered: u64,
    offered_bytes: u64,
    delivered: u64,
    lost: u64,
    on_the_way: u64,
    harmed: u64,
    delay: Option<DelayFigures>,
    overhead_percent: f64,
    wire_overhead_percent: f64,
    links: Vec<LinkFigures>,
}

#[derive(Debug, Serialize)]
struct DelayFigures {
    min_us: u64,
    p50_us: u64,
    p99_us: u64,
    max_us: u64,
    steady: bool,
}

impl DelayFigures {
    fn of(delay: Spread) -> Self {
        Self {
            min_us: delay.min,
            p50_us: delay.p50,
            p99_us: delay.p99,
            max_us: delay.max,
            steady: is_steady(&delay),
        }
    }
}

#[derive(Debug, Serialize)]
struct LinkFigures {
    link: usize,
    profile: String,
    ups: u32,
    sent_packets: u64,
    sent_bytes: u64,
    wire_packets: u64,
    wire_lost: u64,
    wire_lost_dead: u64,
    alone_lost: u64,
}

#[cfg(test)]
mod tests {
    use super::super::tests::args;
    use super::*;

    fn links() -> Links {
        Links::of(&args()).unwrap()
    }

    fn way(lost: u64) -> Way {
        let spread = Spread { min: 720_000, p50: 722_000, p95: 723_000, p99: 724_000, max: 725_000 };
        let found = Findings {
            received: (100 - lost) * 7,
            messages: 100 - lost,
            packets_per_message: 7,
            ended: lost == 0,
            latency: Some(spread),
            ..Findings::default()
        };
        Way { found, wires: vec![Report::default(); 3] }
    }

    fn story() -> Story {
        Story {
            interrupted: false,
            elapsed: Duration::from_secs(10),
            offered: 100,
            bytes: 131_600,
            bonded: way(0),
            alone: vec![way(40), way(25), way(60)],
            links: Vec::new(),
        }
    }

    fn words(story: &Story) -> String {
        story.words(&links()).join("\n")
    }

    #[test]
    fn a_whole_stream_is_told_as_whole_and_what_the_links_alone_lost_beside_it() {
        let said = words(&story());
        for part in [
            "  offered    100 packets (131.6 kB, 105.3 kb/s)\n",
            "  delivered  100, each once, in order and undamaged\n",
            "  lost       0 to the viewer\n",
            "  delay      722.0 ms in the middle, 99 % within 4.0 ms of the fastest, at most 725.0 ms: steady\n",
            "             link 3  60.0 % of the stream lost: 60 packets\n",
            "The picture never broke.\n\
             Link 1, the best one when it began, lost 40 packets (40.0 %) alone.\n\
             Link 2, the one that lost least, lost 25 packets (25.0 %) alone.",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(story().verdict().is_ok());
    }

    #[test]
    fn a_packet_lost_at_the_very_end_breaks_the_picture_too() {
        let broken = Story { bonded: way(1), ..story() };
        let said = words(&broken);
        assert!(
            said.contains("  delivered  99, ") && said.contains("  lost       1 to the viewer"),
            "{said}"
        );
        assert!(said.contains("The picture broke: 1 packet missing or damaged."), "{said}");
        let failure = broken.verdict().unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        assert!(failure.to_string().contains("1 of 100"), "{failure}");
    }

    #[test]
    fn what_was_on_its_way_when_the_demo_was_interrupted_is_not_lost() {
        let mut cut = Story { interrupted: true, bonded: way(50), ..story() };
        let said = words(&cut);
        assert!(
            said.contains("  delivered  50, ") && said.contains("  lost       0 to the viewer"),
            "{said}"
        );
        assert!(said.contains("when the demo was interrupted, with 50 packets on the way."), "{said}");
        assert!(cut.verdict().is_ok());
        cut.bonded.found.lost = 7;
        assert!(cut.verdict().unwrap_err().to_string().starts_with("1 of 100"), "a hole is a hole");
        assert_eq!((cut.delivered(), cut.lost(), cut.on_their_way()), (50, 1, 49));
    }

    #[test]
    fn an_instant_has_no_rate() {
        let said = words(&Story { elapsed: Duration::from_micros(1), ..story() });
        assert!(said.contains("(131.6 kB)") && !said.contains("b/s"), "{said}");
    }

    #[test]
    fn damage_breaks_the_picture() {
        let mut broken = story();
        broken.bonded.found.damaged = 1;
        assert!(!broken.whole());
        assert!(words(&broken).contains("0 TS packets out of order, 0 doubled, 1 damaged"));
    }

    #[test]
    fn a_delay_that_wanders_is_not_steady() {
        let mut loose = story();
        let spread = Spread { min: 700_000, p50: 722_000, p95: 723_000, p99: 724_000, max: 725_000 };
        loose.bonded.found.latency = Some(spread);
        assert!(words(&loose).contains("99 % within 24.0 ms of the fastest, at most 725.0 ms: not steady"));
    }

    #[test]
    fn nothing_sent_is_no_success() {
        let mut empty = Story { offered: 0, bytes: 0, bonded: Way::default(), ..story() };
        assert!(!empty.whole() && empty.verdict().is_err());
        assert!(words(&empty).contains("no packet arrived"));
        empty.interrupted = true;
        assert!(empty.verdict().is_ok());
    }

    #[test]
    fn a_machine_too_slow_for_the_demo_is_named() {
        let mut slow = story();
        slow.alone[1].wires[0].to_client.late_us_max = 120_000;
        slow.bonded.wires[2].to_target.kernel_drops = Some(3);
        let says = "This machine was busy: it held datagrams up for as long as 120.0 ms and lost 3 before";
        assert!(words(&slow).contains(says), "{}", words(&slow));
        assert!(!words(&story()).contains("busy"));
    }

    #[test]
    fn the_figures_add_up() {
        let figures = story().figures(&links(), "balancing", 1);
        assert_eq!(figures.offered, figures.delivered + figures.lost + figures.on_the_way);
        let alone: Vec<u64> = figures.links.iter().map(|link| link.alone_lost).collect();
        assert_eq!(alone, [40, 25, 60]);
    }
}
