//! What is told while a transfer runs, and at its end: the live line, the file of statistics, the report in words.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::error::Failure;
use crate::files::{create, is_stdout};
use crate::link_table::LinkTable;
use crate::media::links::mode_name;
use crate::media::news::News;
use crate::media::srt::{Monitor, Totals, peer_of};
use crate::pump::{Counters, Tap};
use crate::stats_format::{LinkFigures, RecordFormat, Subject, event_record, record};
use crate::talk::Talk;
use crate::test_stream::{Findings, Spread};
use crate::units::{
    rate_of, show_bytes, show_count, show_counted, show_millis, show_rate, show_share, show_span,
};

/// How often the live line changes.
const LIVE_EVERY: Duration = Duration::from_millis(500);

/// A rate over less time than this says nothing.
pub(crate) const SHORTEST: Duration = Duration::from_millis(10);

/// Where statistics are written, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StatsPlan {
    /// The file, made anew; `-` is stdout.
    pub(crate) path: PathBuf,
    /// How a record looks.
    pub(crate) format: RecordFormat,
    /// How often one is written.
    pub(crate) interval: Duration,
}

/// Watches one transfer.
pub(crate) struct Reporter {
    talk: Talk,
    counters: Arc<Counters>,
    input: Option<Monitor>,
    output: Option<Monitor>,
    tap: Option<Arc<Mutex<Tap>>>,
    began: Instant,
    seen: Seen,
    /// The links of the input and of the output, and when they were shown last.
    tables: [LinkTable; 2],
    links_at: Instant,
    stats: Option<StatsFile>,
}

/// What the live line showed last.
struct Seen {
    at: Instant,
    bytes: u64,
}

/// The file of statistics.
pub(crate) struct StatsFile {
    out: Box<dyn Write>,
    name: String,
    format: RecordFormat,
    interval: Duration,
    next: Instant,
    begun: bool,
}

impl Reporter {
    /// Begins to watch.
    pub(crate) fn new(
        talk: &Talk,
        counters: &Arc<Counters>,
        (input, output): (Option<Monitor>, Option<Monitor>),
        tap: Option<Arc<Mutex<Tap>>>,
        stats: Option<StatsFile>,
    ) -> Self {
        let began = Instant::now();
        Self {
            talk: talk.clone(),
            counters: Arc::clone(counters),
            input,
            output,
            tap,
            began,
            seen: Seen { at: began, bytes: 0 },
            tables: [LinkTable::default(), LinkTable::default()],
            links_at: began,
            stats,
        }
    }

    /// Whether any SRT link was ever connected.
    pub(crate) fn ever_connected(&self) -> bool {
        self.links().any(|(_, monitor)| monitor.connections() > 0)
    }

    /// How long the transfer runs.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Called every so often.
    pub(crate) fn tick(&mut self) {
        let now = Instant::now();
        self.tell_news();
        if self.talk.is_live() && now.duration_since(self.seen.at) >= LIVE_EVERY {
            let line = self.live_line(now);
            self.talk.live(line);
        }
        let due = self.stats.as_ref().is_some_and(|stats| now >= stats.next);
        if due {
            self.write_stats(now);
        }
    }

    fn links(&self) -> impl Iterator<Item = (&'static str, &Monitor)> {
        [("input", &self.input), ("output", &self.output)]
            .into_iter()
            .filter_map(|(side, monitor)| monitor.as_ref().map(|monitor| (side, monitor)))
    }

    fn live_line(&mut self, now: Instant) -> String {
        let bytes = self.bytes();
        let rate = rate_of(bytes.saturating_sub(self.seen.bytes), now.duration_since(self.seen.at));
        self.seen = Seen { at: now, bytes };
        let seconds = self.began.elapsed().as_secs();
        let mut line = format!("{:02}:{:02}  {:>10}", seconds / 60, seconds % 60, show_rate(rate));
        if let Some(input) = &self.input {
            line.push_str(&live_receiver(&input.totals(), input.socket().is_some()));
        }
        if let Some(output) = &self.output {
            line.push_str(&live_sender(&output.totals(), output.socket().is_some()));
        }
        if let Some(lost) = self.tap.as_ref().and_then(|tap| lock(tap).lost_so_far()) {
            line.push_str(&format!("  test packets lost {}", show_count(lost)));
        }
        let elapsed = now.duration_since(self.links_at);
        self.links_at = now;
        let links: Vec<_> = self.links().map(|(side, monitor)| (side, monitor.links())).collect();
        for (side, links) in links {
            line.push_str(&self.tables[usize::from(side == "output")].rows(&links, side == "input", elapsed));
        }
        line
    }

    /// Says and writes what has happened to the links of groups.
    fn tell_news(&mut self) {
        let mut records = String::new();
        for (side, monitor) in self.links() {
            for News { line, detail, record } in monitor.news() {
                match line {
                    Some(line) if detail => self.talk.detail(line),
                    Some(line) => self.talk.say(line),
                    None => {}
                }
                records.extend(record.map(|what| event_record(side, &what)));
            }
        }
        if self.stats.as_ref().is_some_and(|stats| stats.format == RecordFormat::Json) && !records.is_empty()
        {
            self.write(&records);
        }
    }

    /// Bytes that went through so far.
    fn bytes(&self) -> u64 {
        let counter = if self.output.is_some() { &self.counters.bytes_out } else { &self.counters.bytes_in };
        counter.load(Ordering::Relaxed)
    }

    fn write_stats(&mut self, now: Instant) {
        let mut records = String::new();
        let Some(stats) = &self.stats else { return };
        let (format, mut begun) = (stats.format, stats.begun);
        for (side, monitor) in self.links() {
            let Some(socket) = monitor.socket() else { continue };
            let figures = |(name, report): (_, _)| LinkFigures::of(name, &report);
            let links: Vec<LinkFigures> = monitor.links().into_iter().map(figures).collect();
            let group = socket.group().map(|group| (mode_name(group.mode()), links.as_slice()));
            let subject = Subject { side, peer: peer_of(&socket), id: socket.id().value(), group };
            records.push_str(&record(format, subject, &socket.stats(true), SystemTime::now(), !begun));
            begun = true;
        }
        let Some(stats) = &mut self.stats else { return };
        stats.begun = begun;
        while stats.next <= now {
            stats.next += stats.interval;
        }
        self.write(&records);
    }

    fn write(&mut self, records: &str) {
        let Some(stats) = &mut self.stats else { return };
        if let Err(error) = stats.out.write_all(records.as_bytes()).and_then(|()| stats.out.flush()) {
            let name = &stats.name;
            self.talk.warn(format!("{name}: statistics cannot be written ({error}); going on without them"));
            self.stats = None;
        }
    }

    /// Whether there is an SRT link, and it never had a connection.
    pub(crate) fn never_connected(&self) -> bool {
        self.links().next().is_some() && !self.ever_connected()
    }

    /// The last record and the words at the end. `quiet_end` leaves out the words.
    pub(crate) fn finish(&mut self, quiet_end: bool) {
        self.talk.end_live();
        self.tell_news();
        if self.stats.is_some() {
            self.write_stats(Instant::now());
        }
        if quiet_end {
            return;
        }
        for line in self.last_words() {
            self.talk.say(line);
        }
    }

    fn last_words(&self) -> Vec<String> {
        if self.never_connected() {
            return vec!["ended before a connection was made".to_owned()];
        }
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        let elapsed = self.counters.span();
        let moved = |what: &str, messages: u64, bytes: u64| {
            let (messages, size) = (show_counted(messages, "message"), show_bytes(bytes));
            if elapsed < SHORTEST {
                return format!("{what} {messages} ({size})");
            }
            let rate = show_rate(rate_of(bytes, elapsed));
            format!("{what} {messages} ({size}) in {}, {rate}", show_span(whole(elapsed)))
        };
        let mut lines = Vec::new();
        if let Some(input) = &self.input {
            let figures = words_of_receiver(&input.totals());
            lines.push(format!(
                "{}; {figures}",
                moved("received", load(&counters.messages_in), load(&counters.bytes_in))
            ));
        }
        if let Some(output) = &self.output {
            let figures = words_of_sender(&output.totals());
            lines.push(format!(
                "{}; {figures}",
                moved("sent", load(&counters.messages_out), load(&counters.bytes_out))
            ));
        }
        if lines.is_empty() {
            lines.push(moved("moved", load(&counters.messages_out), load(&counters.bytes_out)));
        }
        let discarded = load(&counters.discarded);
        if discarded > 0 {
            let messages = show_counted(discarded, "message");
            lines.push(format!("thrown away while the output was not connected: {messages}"));
        }
        let too_large = load(&counters.too_large);
        if too_large > 0 {
            let messages = show_counted(too_large, "message");
            lines.push(format!("thrown away because the output carries none so large: {messages}"));
        }
        if let Some(findings) = self.tap.as_ref().and_then(|tap| lock(tap).findings()) {
            lines.extend(words_of_test(&findings));
        }
        lines
    }
}

impl StatsPlan {
    /// Whether they go to stdout.
    pub(crate) fn to_stdout(&self) -> bool {
        self.path == Path::new("-") || is_stdout(&self.path)
    }
}

impl StatsFile {
    /// # Errors
    /// When the file cannot be made.
    pub(crate) fn create(plan: &StatsPlan) -> Result<Self, Failure> {
        let out: Box<dyn Write> =
            if plan.to_stdout() { Box::new(io::stdout()) } else { Box::new(create(&plan.path)?) };
        let (name, format, interval) = (plan.path.display().to_string(), plan.format, plan.interval);
        Ok(Self { out, name, format, interval, next: Instant::now() + interval, begun: false })
    }
}

fn lock(tap: &Mutex<Tap>) -> std::sync::MutexGuard<'_, Tap> {
    tap.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whole tenths of a second are enough for people, where there are any: the nearest.
fn whole(span: Duration) -> Duration {
    if span < Duration::from_millis(100) {
        return span;
    }
    Duration::from_millis(u64::try_from((span.as_millis() + 50) / 100 * 100).unwrap_or(u64::MAX))
}

/// The round-trip time in words.
pub(crate) fn words_of_rtt(rtt_ms: Option<f64>) -> String {
    rtt_ms.map_or_else(|| "RTT not measured".to_owned(), |rtt| format!("RTT {rtt:.1} ms"))
}

fn live_receiver(totals: &Totals, connected: bool) -> String {
    if !connected {
        return "  (waiting for a connection)".to_owned();
    }
    format!(
        "  {}  lost {}  recovered {}  dropped {}",
        words_of_rtt(totals.rtt_ms),
        show_count(totals.missing),
        show_count(totals.missing.saturating_sub(totals.dropped_by_receiver)),
        show_count(totals.dropped_by_receiver)
    )
}

fn live_sender(totals: &Totals, connected: bool) -> String {
    if !connected {
        return "  (waiting for a connection)".to_owned();
    }
    format!(
        "  {}  lost {}  resent {}  dropped {}",
        words_of_rtt(totals.rtt_ms),
        show_count(totals.reported_lost),
        show_count(totals.resent),
        show_count(totals.dropped_by_sender)
    )
}

fn words_of_receiver(totals: &Totals) -> String {
    let recovered = totals.missing.saturating_sub(totals.dropped_by_receiver);
    format!(
        "{} lost on the way, {} recovered, {} never came in time, {}",
        show_counted(totals.missing, "packet"),
        show_count(recovered),
        show_count(totals.dropped_by_receiver),
        words_of_rtt(totals.rtt_ms)
    )
}

fn words_of_sender(totals: &Totals) -> String {
    let lost = match totals.lost_in_breaks {
        0 => String::new(),
        count => format!("{} lost when the connection broke, ", show_count(count)),
    };
    format!(
        "{} reported lost, {} sent again, {} given up as too late, {lost}{}",
        show_counted(totals.reported_lost, "packet"),
        show_count(totals.resent),
        show_count(totals.dropped_by_sender),
        words_of_rtt(totals.rtt_ms)
    )
}

/// The books of a test stream in words.
pub(crate) fn words_of_test(found: &Findings) -> Vec<String> {
    let mut lines = vec![format!("test stream: {}", verdict(found))];
    if let Some(latency) = &found.latency {
        lines.push(format!("latency from stamp to here: {}", words_of_spread(latency)));
    }
    if let Some(jitter) = &found.jitter {
        lines.push(format!("change from message to message: {}", words_of_spread(jitter)));
    }
    if found.before_sent > 0 {
        let messages = show_counted(found.before_sent, "message");
        lines
            .push(format!("{messages} arrived before their stamp: the clocks of sender and receiver differ"));
    }
    lines
}

/// What arrived and how, in one sentence.
pub(crate) fn verdict(found: &Findings) -> String {
    let all = found.received + found.lost;
    let mut parts = vec![format!(
        "{} of {} arrived, {} lost ({})",
        show_count(found.received),
        show_counted(all, "TS packet"),
        show_count(found.lost),
        show_share(found.lost, all)
    )];
    for (count, what) in
        [(found.duplicates, "doubled"), (found.reordered, "out of order"), (found.damaged, "damaged")]
    {
        if count > 0 {
            parts.push(format!("{} {what}", show_count(count)));
        }
    }
    if found.restarts > 0 {
        parts.push(format!("the sender began anew {}", show_counted(found.restarts, "time")));
    }
    if found.first > 0 {
        parts.push(format!("joined at packet {}", show_count(found.first)));
    }
    if !found.ended {
        parts.push("the end of the stream was not seen".to_owned());
    }
    parts.join(", ")
}

/// `median 142.1 ms, 95 % 142.4 ms, …`.
pub(crate) fn words_of_spread(spread: &Spread) -> String {
    format!(
        "median {}, 95 % within {}, 99 % within {}, at most {}",
        show_millis(spread.p50),
        show_millis(spread.p95),
        show_millis(spread.p99),
        show_millis(spread.max)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Findings {
        Findings { received: 693, lost: 7, packets_per_message: 7, ended: true, ..Findings::default() }
    }

    #[test]
    fn the_verdict_names_what_is_wrong_and_nothing_else() {
        assert_eq!(verdict(&findings()), "693 of 700 TS packets arrived, 7 lost (1.0 %)");
        let bad = Findings {
            duplicates: 1,
            reordered: 2,
            damaged: 3,
            restarts: 1,
            first: 1400,
            ended: false,
            ..findings()
        };
        assert_eq!(
            verdict(&bad),
            "693 of 700 TS packets arrived, 7 lost (1.0 %), 1 doubled, 2 out of order, 3 damaged, the sender began anew \
             1 time, joined at packet 1,400, the end of the stream was not seen"
        );
    }

    #[test]
    fn clocks_that_differ_are_told() {
        let found = Findings { before_sent: 3, ..findings() };
        let lines = words_of_test(&found);
        assert!(lines.last().unwrap().contains("3 messages arrived before their stamp"), "{lines:?}");
    }

    #[test]
    fn figures_of_both_ends_are_whole_sentences() {
        let totals = Totals {
            sent: 100,
            resent: 12,
            reported_lost: 11,
            dropped_by_sender: 1,
            received: 99,
            missing: 1,
            dropped_by_receiver: 0,
            lost_in_breaks: 0,
            rtt_ms: Some(40.26),
        };
        assert_eq!(
            words_of_sender(&totals),
            "11 packets reported lost, 12 sent again, 1 given up as too late, RTT 40.3 ms"
        );
        assert_eq!(
            words_of_receiver(&totals),
            "1 packet lost on the way, 1 recovered, 0 never came in time, RTT 40.3 ms"
        );
        assert_eq!(live_sender(&totals, true), "  RTT 40.3 ms  lost 11  resent 12  dropped 1");
        assert_eq!(live_receiver(&totals, false), "  (waiting for a connection)");
        let broken = Totals { lost_in_breaks: 850, rtt_ms: None, ..totals };
        assert_eq!(
            words_of_sender(&broken),
            "11 packets reported lost, 12 sent again, 1 given up as too late, 850 lost when the connection broke, \
             RTT not measured"
        );
    }

    #[test]
    fn spans_are_rounded_to_the_nearest_tenth_of_a_second() {
        let shown = |millis| show_span(whole(Duration::from_millis(millis)));
        assert_eq!([shown(992), shown(1_049), shown(1_050), shown(99)], ["1 s", "1 s", "1.1 s", "99 ms"]);
    }

    #[test]
    fn statistics_go_to_stdout_under_all_its_names() {
        let (format, interval) = (RecordFormat::Json, Duration::from_secs(1));
        let to_stdout = |path: &str| StatsPlan { path: path.into(), format, interval }.to_stdout();
        assert!(to_stdout("-") && to_stdout("/dev/stdout") && !to_stdout("./-"));
    }
}
