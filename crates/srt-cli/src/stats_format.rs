//! Statistics as text: the three formats of srt-live-transmit (`default`, `json`, `csv`), and records with every field
//! for `--stats FILE`.

use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use srt::{LinkReport, StatValue, Stats};

use crate::media::news::Occurrence;

/// One figure of srt-live-transmit's reports.
struct Column {
    /// Group in JSON.
    group: &'static str,
    /// Name in JSON.
    short: &'static str,
    /// Name in CSV and in libsrt's `SRT_TRACEBSTATS`.
    long: &'static str,
}

const fn column(group: &'static str, short: &'static str, long: &'static str) -> Column {
    Column { group, short, long }
}

/// In the order in which the tool prints them.
const COLUMNS: [Column; 36] = [
    column("window", "flow", "pktFlowWindow"),
    column("window", "congestion", "pktCongestionWindow"),
    column("window", "flight", "pktFlightSize"),
    column("link", "rtt", "msRTT"),
    column("link", "bandwidth", "mbpsBandwidth"),
    column("link", "maxBandwidth", "mbpsMaxBW"),
    column("send", "packets", "pktSent"),
    column("send", "packetsUnique", "pktSentUnique"),
    column("send", "packetsLost", "pktSndLoss"),
    column("send", "packetsDropped", "pktSndDrop"),
    column("send", "packetsRetransmitted", "pktRetrans"),
    column("send", "packetsFilterExtra", "pktSndFilterExtra"),
    column("send", "bytes", "byteSent"),
    column("send", "bytesUnique", "byteSentUnique"),
    column("send", "bytesDropped", "byteSndDrop"),
    column("send", "byteAvailBuf", "byteAvailSndBuf"),
    column("send", "msBuf", "msSndBuf"),
    column("send", "mbitRate", "mbpsSendRate"),
    column("send", "sendPeriod", "usPktSndPeriod"),
    column("recv", "packets", "pktRecv"),
    column("recv", "packetsUnique", "pktRecvUnique"),
    column("recv", "packetsLost", "pktRcvLoss"),
    column("recv", "packetsDropped", "pktRcvDrop"),
    column("recv", "packetsRetransmitted", "pktRcvRetrans"),
    column("recv", "packetsBelated", "pktRcvBelated"),
    column("recv", "packetsFilterExtra", "pktRcvFilterExtra"),
    column("recv", "packetsFilterSupply", "pktRcvFilterSupply"),
    column("recv", "packetsFilterLoss", "pktRcvFilterLoss"),
    column("recv", "bytes", "byteRecv"),
    column("recv", "bytesUnique", "byteRecvUnique"),
    column("recv", "bytesLost", "byteRcvLoss"),
    column("recv", "bytesDropped", "byteRcvDrop"),
    column("recv", "byteAvailBuf", "byteAvailRcvBuf"),
    column("recv", "msBuf", "msRcvBuf"),
    column("recv", "mbitRate", "mbpsRecvRate"),
    column("recv", "msTsbPdDelay", "msRcvTsbPdDelay"),
];

/// The formats of srt-live-transmit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ToolFormat {
    /// Two columns for people.
    Columns,
    /// One object a record, in groups; on one line unless `pretty`.
    Json {
        /// Indented.
        pretty: bool,
    },
    /// With a line of names first.
    Csv,
}

/// Writes the records of srt-live-transmit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToolWriter {
    format: ToolFormat,
    begun: bool,
}

impl ToolWriter {
    /// Nothing written yet.
    pub(crate) fn new(format: ToolFormat) -> Self {
        Self { format, begun: false }
    }

    /// A record of the statistics of socket `sid`, taken at `time`, with its line end.
    pub(crate) fn record(&mut self, sid: u32, stats: &Stats, time: SystemTime) -> String {
        let first = !std::mem::replace(&mut self.begun, true);
        match self.format {
            ToolFormat::Columns => columns(sid, stats),
            ToolFormat::Json { pretty } => json(sid, stats, time, pretty),
            ToolFormat::Csv => csv(sid, stats, time, first),
        }
    }

    /// A record of the bandwidth alone.
    pub(crate) fn bandwidth(&self, stats: &Stats) -> String {
        let bandwidth = general(stats.mbps_bandwidth);
        match self.format {
            ToolFormat::Json { .. } => format!("{{\"bandwidth\":{bandwidth}}}\n"),
            _ => format!("+++/+++SRT BANDWIDTH: {bandwidth}\n"),
        }
    }
}

fn columns(sid: u32, stats: &Stats) -> String {
    let figure = |name: &str| figure(stats, name);
    let mut out = format!("======= SRT STATS: sid={sid}\n");
    let rows = [
        ("PACKETS     SENT: ", "pktSent", "  RECEIVED:   ", "pktRecv"),
        ("LOST PKT    SENT: ", "pktSndLoss", "  RECEIVED:   ", "pktRcvLoss"),
        ("REXMIT      SENT: ", "pktRetrans", "  RECEIVED:   ", "pktRcvRetrans"),
        ("DROP PKT    SENT: ", "pktSndDrop", "  RECEIVED:   ", "pktRcvDrop"),
        ("FILTER EXTRA  TX: ", "pktSndFilterExtra", "        RX:   ", "pktRcvFilterExtra"),
        ("FILTER RX  SUPPL: ", "pktRcvFilterSupply", "  RX  LOSS:   ", "pktRcvFilterLoss"),
        ("RATE     SENDING: ", "mbpsSendRate", "  RECEIVING:  ", "mbpsRecvRate"),
        ("BELATED RECEIVED: ", "pktRcvBelated", "  AVG TIME:   ", "pktRcvAvgBelatedTime"),
    ];
    for (left, sent, right, received) in rows {
        push(&mut out, format_args!("{left}{:>11}{right}{:>11}\n", figure(sent), figure(received)));
    }
    push(&mut out, format_args!("REORDER DISTANCE: {:>11}\n", figure("pktReorderDistance")));
    push(
        &mut out,
        format_args!(
            "WINDOW      FLOW: {:>11}  CONGESTION: {:>11}  FLIGHT: {:>11}\n",
            figure("pktFlowWindow"),
            figure("pktCongestionWindow"),
            figure("pktFlightSize")
        ),
    );
    push(
        &mut out,
        format_args!(
            "LINK         RTT: {:>9}ms  BANDWIDTH:  {:>7}Mb/s \n",
            figure("msRTT"),
            figure("mbpsBandwidth")
        ),
    );
    push(
        &mut out,
        format_args!(
            "BUFFERLEFT:  SND: {:>11}  RCV:        {:>11}\n",
            figure("byteAvailSndBuf"),
            figure("byteAvailRcvBuf")
        ),
    );
    out
}

fn json(sid: u32, stats: &Stats, time: SystemTime, pretty: bool) -> String {
    let (line, indent) = if pretty { ("\n", "\t") } else { ("", "") };
    let mut out =
        format!("{{{line}{indent}\"sid\":{sid},{line}{indent}\"timepoint\":\"{}\"", timepoint(time));
    push(&mut out, format_args!(",{line}{indent}\"time\":{}", stats.ms_time_stamp));
    let mut group = "";
    for Column { group: own, short, long } in &COLUMNS {
        if *own == group {
            push(&mut out, format_args!(",{line}{indent}{indent}\"{short}\":{}", figure(stats, long)));
            continue;
        }
        if !group.is_empty() {
            push(&mut out, format_args!("{line}{indent}}}"));
        }
        group = own;
        push(
            &mut out,
            format_args!(
                ",{line}{indent}\"{group}\":{{{line}{indent}{indent}\"{short}\":{}",
                figure(stats, long)
            ),
        );
    }
    push(&mut out, format_args!("{line}{indent}}}{line}}}{line}\n"));
    out
}

fn csv(sid: u32, stats: &Stats, time: SystemTime, first: bool) -> String {
    let mut out = String::new();
    if first {
        // The tool prints the time twice, at both ends of the socket's id.
        out.push_str("Timepoint,Time,SocketID,Time");
        for Column { long, .. } in &COLUMNS {
            push(&mut out, format_args!(",{long}"));
        }
        out.push('\n');
    }
    let elapsed = stats.ms_time_stamp;
    push(&mut out, format_args!("{},{elapsed},{sid},{elapsed}", timepoint(time)));
    for Column { long, .. } in &COLUMNS {
        push(&mut out, format_args!(",{}", figure(stats, long)));
    }
    out.push('\n');
    out
}

/// A field by libsrt's name, as C++ prints it.
fn figure(stats: &Stats, name: &str) -> String {
    match stats.fields().find(|(known, _)| *known == name) {
        Some((_, StatValue::Float(value))) => general(value),
        Some((_, value)) => value.to_string(),
        None => "0".to_owned(),
    }
}

/// The formats of `--stats FILE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "lower")]
pub(crate) enum RecordFormat {
    /// One object a line.
    Json,
    /// Comma-separated, with a line of names first; of a group the figures of the whole
    Csv,
}

/// Whose figures a record has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Subject<'a> {
    /// `input` or `output`.
    pub(crate) side: &'a str,
    /// The peer's address.
    pub(crate) peer: std::net::SocketAddr,
    /// Number of our socket.
    pub(crate) id: u32,
    /// What a group does, and how its links stand.
    pub(crate) group: Option<(&'a str, &'a [LinkFigures])>,
}

/// The figures of a link of a group. Rates are bits per second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct LinkFigures {
    id: u32,
    /// Where we call, and by which way; of those who call us, none.
    name: Option<String>,
    peer: String,
    state: &'static str,
    weight: u16,
    rtt_ms: f64,
    queueing_ms: f64,
    loss_percent: u32,
    rate_bps: Option<u64>,
    safe_rate_bps: Option<u64>,
    delivered_bps: u64,
    in_flight: usize,
    ups: u32,
    packets_sent: u64,
    packets_retransmitted: u64,
    packets_received: u64,
    first_copies: u64,
    /// Why it is down or in doubt.
    reason: Option<String>,
}

impl LinkFigures {
    /// The figures of a link that is called `name`.
    pub(crate) fn of(name: Option<String>, report: &LinkReport) -> Self {
        let millis = |span: srt::Micros| span.as_micros() as f64 / 1e3;
        let bits = |bytes: u64| bytes.saturating_mul(8);
        Self {
            id: report.id.value(),
            name,
            peer: report.peer.to_string(),
            state: report.state.name(),
            weight: report.weight,
            rtt_ms: millis(report.rtt),
            queueing_ms: millis(report.queueing),
            loss_percent: report.loss_percent,
            rate_bps: report.rate.map(bits),
            safe_rate_bps: report.safe_rate.map(bits),
            delivered_bps: bits(report.delivered_bps),
            in_flight: report.in_flight,
            ups: report.ups,
            packets_sent: report.counters.sent_packets,
            packets_retransmitted: report.counters.retransmitted_packets,
            packets_received: report.counters.received_packets,
            first_copies: report.first_copies,
            reason: reason_of(report),
        }
    }
}

/// Why a link is down or in doubt.
pub(crate) fn reason_of(report: &LinkReport) -> Option<String> {
    report.down.map(|why| why.to_string()).or_else(|| report.unstable.map(|why| why.to_string()))
}

/// What has happened, as a line of JSON.
pub(crate) fn event_record(side: &str, what: &Occurrence) -> String {
    let text = |text: &str| serde_json::to_string(text).expect("text is always JSON");
    let mut out =
        format!("{{\"time\":\"{}\",\"side\":\"{side}\",\"event\":\"{}\"", timepoint(what.time), what.event);
    if let Some(link) = what.link {
        push(&mut out, format_args!(",\"link\":{link}"));
    }
    if let Some(peer) = what.peer {
        push(&mut out, format_args!(",\"peer\":\"{peer}\""));
    }
    if let Some(reason) = &what.reason {
        push(&mut out, format_args!(",\"reason\":{}", text(reason)));
    }
    if let Some((name, value)) = what.figure {
        push(&mut out, format_args!(",\"{name}\":{value}"));
    }
    out.push_str("}\n");
    out
}

/// A record with every field under libsrt's name; CSV begins with the names when it is the `first`.
pub(crate) fn record(
    format: RecordFormat,
    subject: Subject<'_>,
    stats: &Stats,
    time: SystemTime,
    first: bool,
) -> String {
    let Subject { side, peer, id, group } = subject;
    let time = timepoint(time);
    match format {
        RecordFormat::Json => {
            let mut out =
                format!("{{\"time\":\"{time}\",\"side\":\"{side}\",\"peer\":\"{peer}\",\"socket\":{id}");
            for (name, value) in stats.fields() {
                push(&mut out, format_args!(",\"{name}\":{value}"));
            }
            if let Some((mode, links)) = group {
                let links = serde_json::to_string(links).expect("figures are always JSON");
                push(&mut out, format_args!(",\"group\":\"{mode}\",\"links\":{links}"));
            }
            out.push_str("}\n");
            out
        }
        RecordFormat::Csv => {
            let mut out = String::new();
            if first {
                out.push_str("time,side,peer,socket");
                for (name, _) in stats.fields() {
                    push(&mut out, format_args!(",{name}"));
                }
                out.push('\n');
            }
            push(&mut out, format_args!("{time},{side},{peer},{id}"));
            for (_, value) in stats.fields() {
                push(&mut out, format_args!(",{value}"));
            }
            out.push('\n');
            out
        }
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}

/// Six significant digits, as C's `%g` and C++ streams print: `8.00001`, `1e+09`, `0.5`.
fn general(value: f64) -> String {
    const DIGITS: i32 = 6;
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    let scientific = format!("{value:.*e}", 5);
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let power: i32 = exponent.parse().unwrap_or_default();
    if (-4..DIGITS).contains(&power) {
        let places = usize::try_from(DIGITS - 1 - power).unwrap_or_default();
        return trim_zeros(&format!("{value:.places$}")).to_owned();
    }
    let sign = if power < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", trim_zeros(mantissa), power.unsigned_abs())
}

fn trim_zeros(number: &str) -> &str {
    if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number }
}

/// ISO 8601 with microseconds, in UTC.
fn timepoint(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let micros = since.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}+0000")
}

/// Year, month and day of a number of days since 1970, in the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the leap day is the last of its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats() -> Stats {
        let mut stats = Stats::default();
        stats.ms_time_stamp = 1234;
        stats.pkt_sent = 50;
        stats.pkt_recv = 7;
        stats.ms_rtt = 40.125;
        stats.mbps_bandwidth = 1_234_567.0;
        stats.mbps_send_rate = 8.000_001;
        stats.pkt_rcv_belated = 3;
        stats.ms_rcv_tsbpd_delay = 120;
        stats
    }

    fn time() -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(1_709_210_096_007_008)
    }

    #[test]
    fn numbers_have_six_digits_as_in_c() {
        for (value, text) in [
            (0.0, "0"),
            (40.125, "40.125"),
            (8.000_001, "8"),
            (1_234_567.0, "1.23457e+06"),
            (999_999.6, "1e+06"),
            (123_456.0, "123456"),
            (0.000_123_4, "0.0001234"),
            (0.000_012_34, "1.234e-05"),
            (10.0, "10"),
            (f64::NAN, "0"),
        ] {
            assert_eq!(general(value), text);
        }
    }

    #[test]
    fn times_are_iso_8601_also_on_leap_days() {
        assert_eq!(timepoint(time()), "2024-02-29T12:34:56.007008+0000");
        assert_eq!(timepoint(UNIX_EPOCH), "1970-01-01T00:00:00.000000+0000");
        assert_eq!(civil(19_782 + 1), (2024, 3, 1));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(10_956), (1999, 12, 31));
    }

    #[test]
    fn every_column_is_a_field_of_the_statistics() {
        let known: Vec<&str> = Stats::default().fields().map(|(name, _)| name).collect();
        for Column { long, .. } in &COLUMNS {
            assert!(known.contains(long), "{long}");
        }
    }

    #[test]
    fn json_is_that_of_the_tool_and_valid() {
        let mut writer = ToolWriter::new(ToolFormat::Json { pretty: false });
        let record = writer.record(9, &stats(), time());
        assert!(record.starts_with(
            "{\"sid\":9,\"timepoint\":\"2024-02-29T12:34:56.007008+0000\",\"time\":1234,\"window\":{\"flow\":0,"
        ));
        assert!(
            record.contains(
                "\"link\":{\"rtt\":40.125,\"bandwidth\":1.23457e+06,\"maxBandwidth\":0},\"send\":{"
            )
        );
        assert!(record.ends_with("\"msTsbPdDelay\":120}}\n"));
        let value: serde_json::Value = serde_json::from_str(&record).unwrap();
        assert_eq!(value["recv"]["packetsBelated"], 3);
        let pretty = ToolWriter::new(ToolFormat::Json { pretty: true }).record(9, &stats(), time());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&pretty).unwrap(), value);
        assert!(pretty.starts_with("{\n\t\"sid\":9,\n\t\"timepoint\""));
        assert_eq!(writer.bandwidth(&stats()), "{\"bandwidth\":1.23457e+06}\n");
    }

    #[test]
    fn csv_has_its_names_once_and_as_many_values() {
        let mut writer = ToolWriter::new(ToolFormat::Csv);
        let (first, second) = (writer.record(9, &stats(), time()), writer.record(9, &stats(), time()));
        let mut lines = first.lines();
        let names = lines.next().unwrap();
        assert!(names.starts_with("Timepoint,Time,SocketID,Time,pktFlowWindow,"));
        let values = lines.next().unwrap();
        assert!(values.starts_with("2024-02-29T12:34:56.007008+0000,1234,9,1234,0,0,0,40.125,"));
        assert_eq!(names.split(',').count(), values.split(',').count());
        assert_eq!(second.trim_end(), values);
    }

    #[test]
    fn columns_are_aligned_as_the_tool_aligns_them() {
        let text = ToolWriter::new(ToolFormat::Columns).record(9, &stats(), time());
        assert!(text.starts_with("======= SRT STATS: sid=9\n"));
        assert!(text.contains("PACKETS     SENT:          50  RECEIVED:             7\n"));
        assert!(text.contains("LINK         RTT:    40.125ms  BANDWIDTH:  1.23457e+06Mb/s \n"));
        assert_eq!(text.lines().count(), 13);
    }

    #[test]
    fn records_have_every_field() {
        let subject = Subject { side: "output", peer: ([127, 0, 0, 1], 9000).into(), id: 9, group: None };
        let line = record(RecordFormat::Json, subject, &stats(), time(), true);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["msRTT"], 40.125);
        assert_eq!(value["peer"], "127.0.0.1:9000");
        assert_eq!(value.as_object().unwrap().len(), 4 + Stats::default().fields().len());
        let csv = record(RecordFormat::Csv, subject, &stats(), time(), true);
        let counts: Vec<usize> = csv.lines().map(|line| line.split(',').count()).collect();
        assert_eq!(counts, [4 + Stats::default().fields().len(); 2]);
        assert_eq!(record(RecordFormat::Csv, subject, &stats(), time(), false).lines().count(), 1);
    }
}
