//! `srt impair`: a bad network between UDP programs.

use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde::Serialize;
use srt_impair::{DirectionReport, Emulator, Profile, Report, Setup};

use crate::args::ImpairArgs;
use crate::error::Failure;
use crate::stop::{self, Stop};
use crate::talk::{Talk, Volume};
use crate::units::{rate_of, show_count, show_counted, show_rate, show_share, show_span};

const LOOK: Duration = Duration::from_millis(500);

/// # Errors
/// A name without address, a port in use, an emulator that failed on the way.
pub(crate) fn run(args: &ImpairArgs) -> Result<(), Failure> {
    let talk = Talk::stderr(if args.quiet { Volume::Quiet } else { Volume::Normal }, true);
    let stop = Stop::default();
    if let Err(error) = stop::on_signal(&stop) {
        talk.warn(format!("Ctrl-C will end the program without figures: {error}"));
    }
    let emulator = start(args)?;
    let (forward, back) = profiles(args);
    talk.say(format!(
        "listening on UDP {}, passing on to {}; Ctrl-C ends it",
        emulator.local_addr(),
        args.target
    ));
    talk.say(format!("there: {forward}; back: {back}; seed {}", args.seed));
    watch(&emulator, args.duration, &stop, &talk);
    talk.end_live();
    let (report, failure) = match emulator.stop() {
        Ok(report) => (report, None),
        Err(error) => (error.report.as_ref().clone(), Some(error.to_string())),
    };
    for line in words(&report) {
        talk.say(line);
    }
    if args.json {
        let text = serde_json::to_string(&Figures::of(&report)).expect("numbers are always JSON");
        // A reader that has gone wants no figures.
        let _ = writeln!(io::stdout(), "{text}");
    }
    failure.map_or(Ok(()), |text| Err(Failure::Emulator(text)))
}

fn profiles(args: &ImpairArgs) -> (&Profile, &Profile) {
    let both = &args.profile;
    (args.forward_profile.as_ref().unwrap_or(both), args.back_profile.as_ref().unwrap_or(both))
}

fn start(args: &ImpairArgs) -> Result<Emulator, Failure> {
    let (forward, back) = profiles(args);
    let mut setup = Setup::new(args.listen, resolve("--target", &args.target)?);
    setup.to_target = forward.clone();
    setup.to_client = back.clone();
    setup.seed = args.seed;
    Emulator::start(setup)
        .map_err(|error| Failure::Emulator(format!("{error}; choose another --listen or --target")))
}

/// The first address of what a flag names.
pub(super) fn resolve(flag: &str, target: &str) -> Result<SocketAddr, Failure> {
    let none = || io::ErrorKind::NotFound.into();
    let found = target.to_socket_addrs().and_then(|mut all| all.next().ok_or_else(none));
    found.map_err(|source| Failure::Resolve { uri: format!("{flag} {target}"), source })
}

fn watch(emulator: &Emulator, duration: Option<Duration>, stop: &Stop, talk: &Talk) {
    let began = Instant::now();
    let mut last = emulator.report();
    while emulator.is_running() {
        let left = duration.map_or(LOOK, |duration| duration.saturating_sub(began.elapsed()));
        if left.is_zero() || stop.wait(left.min(LOOK)) {
            return;
        }
        let report = emulator.report();
        let span = report.elapsed.saturating_sub(last.elapsed);
        let rate = |now: &DirectionReport, before: &DirectionReport| {
            show_rate(rate_of(now.link.offered_bytes.saturating_sub(before.link.offered_bytes), span))
        };
        talk.live(format!(
            "{}  {}  there {} lost {}  back {} lost {}",
            show_span(Duration::from_secs(report.elapsed.as_secs())),
            show_counted(report.clients, "client"),
            rate(&report.to_target, &last.to_target),
            show_count(report.to_target.link.lost()),
            rate(&report.to_client, &last.to_client),
            show_count(report.to_client.link.lost()),
        ));
        last = report;
    }
}

fn words(report: &Report) -> Vec<String> {
    let mut lines = vec![format!(
        "{} in {}",
        show_counted(report.clients, "client"),
        show_span(Duration::from_millis(u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX)))
    )];
    for (way, direction) in [("there", &report.to_target), ("back", &report.to_client)] {
        lines.push(format!("{:6} {}", format!("{way}:"), words_of_way(direction)));
    }
    if report.refused > 0 {
        lines.push(format!("refused, too many clients: {}", show_counted(report.refused, "datagram")));
    }
    let missed = report.to_target.kernel_drops.unwrap_or(0) + report.to_client.kernel_drops.unwrap_or(0);
    if missed > 0 {
        let missed = show_counted(missed, "datagram");
        lines.push(format!("{missed} lost before they were read: this machine is too slow for so much"));
    }
    lines
}

/// One way in one line; what did not happen is not mentioned.
pub(crate) fn words_of_way(way: &DirectionReport) -> String {
    let link = &way.link;
    let mut parts = vec![
        format!("{} in", show_counted(link.offered_packets, "datagram")),
        format!("{} lost ({})", show_count(link.lost()), show_share(link.lost(), link.offered_packets)),
    ];
    for (count, what) in [
        (link.lost_queue, "of them in the full queue"),
        (link.lost_outage, "of them in outages"),
        (link.duplicated, "doubled"),
        (link.reordered, "held back"),
        (way.overrun, "beyond the emulator's memory"),
        (way.unsent, "refused by the system"),
        (way.in_flight, "still on their way at the end"),
    ] {
        if count > 0 {
            parts.push(format!("{} {what}", show_count(count)));
        }
    }
    parts.push(format!("{} delivered", show_count(way.sent_packets)));
    parts.join(", ")
}

/// The counters for machines.
#[derive(Debug, Serialize)]
struct Figures {
    elapsed_ms: u64,
    clients: u64,
    refused: u64,
    to_target: WayFigures,
    to_client: WayFigures,
}

#[derive(Debug, Serialize)]
struct WayFigures {
    offered_packets: u64,
    offered_bytes: u64,
    lost_packets: u64,
    lost_luck: u64,
    lost_queue: u64,
    lost_outage: u64,
    duplicated: u64,
    reordered: u64,
    sent_packets: u64,
    sent_bytes: u64,
    unsent: u64,
    overrun: u64,
    in_flight: u64,
    kernel_drops: Option<u64>,
    late_us_mean: u64,
    late_us_max: u64,
}

impl Figures {
    fn of(report: &Report) -> Self {
        Self {
            elapsed_ms: u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX),
            clients: report.clients,
            refused: report.refused,
            to_target: WayFigures::of(&report.to_target),
            to_client: WayFigures::of(&report.to_client),
        }
    }
}

impl WayFigures {
    fn of(way: &DirectionReport) -> Self {
        let link = &way.link;
        Self {
            offered_packets: link.offered_packets,
            offered_bytes: link.offered_bytes,
            lost_packets: link.lost(),
            lost_luck: link.lost_luck,
            lost_queue: link.lost_queue,
            lost_outage: link.lost_outage,
            duplicated: link.duplicated,
            reordered: link.reordered,
            sent_packets: way.sent_packets,
            sent_bytes: way.sent_bytes,
            unsent: way.unsent,
            overrun: way.overrun,
            in_flight: way.in_flight,
            kernel_drops: way.kernel_drops,
            late_us_mean: way.late_us_mean(),
            late_us_max: way.late_us_max,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_way_mention_only_what_happened() {
        let mut way = DirectionReport::default();
        way.link.offered_packets = 1_000;
        way.link.lost_luck = 50;
        way.sent_packets = 950;
        assert_eq!(words_of_way(&way), "1,000 datagrams in, 50 lost (5.0 %), 950 delivered");
        way.link.lost_queue = 1;
        way.in_flight = 2;
        assert_eq!(
            words_of_way(&way),
            "1,000 datagrams in, 51 lost (5.1 %), 1 of them in the full queue, 2 still on their way at the end, 950 delivered"
        );
    }

    #[test]
    fn a_target_without_port_or_address_is_named() {
        let said = resolve("--target", "localhost").unwrap_err().to_string();
        assert!(said.starts_with("--target localhost: no address found for this host"), "{said}");
        assert!(resolve("--target", "127.0.0.1:9").is_ok());
    }

    #[test]
    fn the_json_has_both_ways() {
        let value = serde_json::to_value(Figures::of(&Report::default())).unwrap();
        assert_eq!(value["to_target"]["offered_packets"], 0);
        assert!(value["to_client"]["kernel_drops"].is_null());
    }
}
