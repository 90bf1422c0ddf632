//! The face of srt-live-transmit: its flags (`-flag:value` or `-flag value`), its defaults, its formats.
//!
//! It departs from the tool where the tool is silent about mistakes: unknown flags and impossible values end it with
//! exit code 2, the end of stdin ends it with 0.

use std::path::PathBuf;
use std::time::Duration;

use crate::commands::transfer::{TimeLimit, ToolPlan, Transfer};
use crate::error::{Failure, FlagFault};
use crate::log::LogPlan;
use crate::stats_format::ToolFormat;
use crate::talk::Volume;

/// The tool's names for its flags, and whether a value follows.
const FLAGS: [(Flag, &[&str], bool); 20] = [
    (Flag::Timeout, &["t", "to", "timeout"], true),
    (Flag::TimeoutMode, &["tm", "timeout-mode"], true),
    (Flag::Auto, &["a", "auto", "autoreconnect"], true),
    (Flag::Chunk, &["c", "chunk"], true),
    (Flag::Bandwidth, &["r", "bwreport", "report", "bandwidth-report", "bitrate-report"], true),
    (Flag::SourceTime, &["st", "srctime", "sourcetime"], true),
    (Flag::Buffering, &["buffering"], true),
    (Flag::PassphraseFile, &["passphrase-file"], true),
    (Flag::Stats, &["s", "stats", "stats-report-frequency"], true),
    (Flag::StatsOut, &["statsout"], true),
    (Flag::StatsFormat, &["pf", "statspf"], true),
    (Flag::FullStats, &["f", "fullstats"], false),
    (Flag::LogLevel, &["ll", "loglevel"], true),
    (Flag::LogAreas, &["lfa", "logfa"], true),
    (Flag::LogInternal, &["loginternal"], false),
    (Flag::LogFile, &["logfile"], true),
    (Flag::Quiet, &["q", "quiet"], false),
    (Flag::Verbose, &["v", "verbose"], false),
    (Flag::Help, &["h", "help"], false),
    (Flag::Version, &["version"], false),
];

/// Flags that `srt transmit` has as well, with the same meaning.
const SHARED: [&str; 5] = ["t", "c", "q", "v", "h"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flag {
    Timeout,
    TimeoutMode,
    Auto,
    Chunk,
    Bandwidth,
    SourceTime,
    Buffering,
    PassphraseFile,
    Stats,
    StatsOut,
    StatsFormat,
    FullStats,
    LogLevel,
    LogAreas,
    LogInternal,
    LogFile,
    Quiet,
    Verbose,
    Help,
    Version,
}

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Move a stream.
    Transfer(Box<Transfer>),
    /// Say how to use it.
    Help,
    /// Say what can be logged.
    LoggingHelp,
    /// Say which version this is.
    Version,
}

/// Whether the arguments of `srt transmit` are written the way of srt-live-transmit: with one of its flags that `srt`
/// does not have, or with a value after a colon.
pub(crate) fn is_tool_line<'a>(args: impl IntoIterator<Item = &'a str>) -> bool {
    args.into_iter().take_while(|arg| *arg != "--").any(|arg| {
        let Some((name, value)) = split(arg) else { return false };
        flag(name).is_some() && (value.is_some() || !SHARED.contains(&name))
    })
}

/// Reads the command line, without the program's name.
///
/// # Errors
/// Unknown flags, missing or impossible values, not exactly two addresses.
pub(crate) fn parse(args: &[String]) -> Result<Order, Failure> {
    let mut found = Found::default();
    let mut args = args.iter().map(String::as_str).peekable();
    let mut flags_end = false;
    while let Some(arg) = args.next() {
        if arg == "--" && !flags_end {
            flags_end = true;
            continue;
        }
        let Some((name, value)) = split_leniently(arg).filter(|_| !flags_end) else {
            found.places.push(arg.to_owned());
            continue;
        };
        let fault = |fault| Failure::Flag { flag: format!("-{name}"), fault };
        let (which, wants_value) = flag(name).ok_or_else(|| fault(FlagFault::Unknown))?;
        if which == Flag::Help {
            let logging = value == Some("logging") || args.peek() == Some(&"logging");
            return Ok(if logging { Order::LoggingHelp } else { Order::Help });
        }
        if which == Flag::Version {
            return Ok(Order::Version);
        }
        let value = match (wants_value, value) {
            (true, Some(value)) => value,
            (true, None) => args.next().ok_or_else(|| fault(FlagFault::NoValue(format!("-{name}:VALUE"))))?,
            // As in "-v:1", which the tool takes for "-v".
            (false, Some("" | "1" | "yes" | "on" | "true") | None) => "",
            (false, Some(_)) => return Err(fault(FlagFault::UnwantedValue)),
        };
        found.take(which, value).map_err(fault)?;
    }
    found.order()
}

/// `-name:value`, `-name value` (in one argument) or `-name`; `-` alone and negative numbers are no flags.
fn split(arg: &str) -> Option<(&str, Option<&str>)> {
    let bare = arg.strip_prefix('-')?;
    if bare.is_empty() || bare.starts_with(|first: char| first.is_ascii_digit()) {
        return None;
    }
    Some(match bare.split_once([':', ' ']) {
        Some((name, value)) => (name, Some(value)),
        None => (bare, None),
    })
}

/// As [`split`], with `--name` for `-name` as well.
fn split_leniently(arg: &str) -> Option<(&str, Option<&str>)> {
    split(arg.strip_prefix('-').filter(|rest| rest.starts_with('-')).unwrap_or(arg))
}

fn flag(name: &str) -> Option<(Flag, bool)> {
    FLAGS.iter().find(|(_, names, _)| names.contains(&name)).map(|(flag, _, value)| (*flag, *value))
}

/// What was read so far, beginning with the tool's defaults.
struct Found {
    places: Vec<String>,
    timeout: u64,
    until_connected: bool,
    reconnect: bool,
    chunk: usize,
    source_time: bool,
    buffering: usize,
    passphrase_file: Option<PathBuf>,
    tool: ToolPlan,
    level: &'static str,
    log_file: Option<PathBuf>,
    quiet: bool,
    verbose: bool,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            timeout: 0,
            until_connected: false,
            reconnect: true,
            chunk: 1456,
            source_time: false,
            buffering: 10,
            passphrase_file: None,
            tool: ToolPlan {
                stats_every: 0,
                bandwidth_every: 0,
                stats_file: None,
                format: ToolFormat::Columns,
                full: false,
            },
            level: "warn",
            log_file: None,
            quiet: false,
            verbose: false,
        }
    }
}

impl Found {
    fn take(&mut self, flag: Flag, value: &str) -> Result<(), FlagFault> {
        match flag {
            Flag::Timeout => self.timeout = number(value, 0, "seconds, 0 for none")?,
            Flag::TimeoutMode => {
                self.until_connected = number(value, 0, "0 or 1").and_then(|mode| match mode {
                    0 => Ok(false),
                    1 => Ok(true),
                    _ => Err(wrong(value, "0 or 1")),
                })?
            }
            Flag::Auto => self.reconnect = yes(value)?,
            Flag::Chunk => {
                let allowed = "1 to 65000 bytes, 1456 at most over SRT";
                let bytes = number(value, 1, allowed)?;
                let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= 65_000);
                self.chunk = bytes.ok_or_else(|| wrong(value, allowed))?;
            }
            Flag::Bandwidth => {
                self.tool.bandwidth_every = number(value, 0, "a number of packets, 0 for none")?
            }
            Flag::SourceTime => self.source_time = yes(value)?,
            Flag::Buffering => {
                let allowed = "a number of packets, 1 or more";
                let packets = number(value, 1, allowed)?;
                self.buffering = usize::try_from(packets).map_err(|_| wrong(value, allowed))?;
            }
            Flag::PassphraseFile if value.is_empty() => {
                return Err(wrong(value, "a file that holds the passphrase"));
            }
            Flag::PassphraseFile => self.passphrase_file = Some(value.into()),
            Flag::Stats => self.tool.stats_every = number(value, 0, "a number of packets, 0 for none")?,
            Flag::StatsOut => self.tool.stats_file = (!value.is_empty()).then(|| value.into()),
            Flag::StatsFormat => self.tool.format = format(value)?,
            Flag::FullStats => self.tool.full = true,
            Flag::LogLevel => self.level = level(value)?,
            // One log, told apart by level alone.
            Flag::LogAreas => areas(value)?,
            Flag::LogFile => self.log_file = (!value.is_empty()).then(|| value.into()),
            Flag::Quiet => self.quiet = true,
            Flag::Verbose => self.verbose = true,
            Flag::LogInternal | Flag::Help | Flag::Version => {}
        }
        Ok(())
    }

    fn order(self) -> Result<Order, Failure> {
        let [input, output] = <[String; 2]>::try_from(self.places).map_err(|places| {
            let flag = "URIs".to_owned();
            Failure::Flag { flag, fault: FlagFault::Uris(places.len()) }
        })?;
        let limit = (self.timeout > 0).then(|| TimeLimit {
            after: Duration::from_secs(self.timeout),
            until_connected: self.until_connected,
        });
        Ok(Order::Transfer(Box::new(Transfer {
            input,
            output,
            bonding: None,
            chunk: self.chunk,
            room: self.buffering,
            rate: None,
            reconnect: self.reconnect,
            passphrase_file: self.passphrase_file,
            source_time: self.source_time,
            limit,
            stats: None,
            tool: Some(self.tool),
            volume: match (self.quiet, self.verbose) {
                (true, _) => Volume::Quiet,
                (false, true) => Volume::Verbose,
                (false, false) => Volume::Normal,
            },
            log: LogPlan { level: self.level.to_owned(), file: self.log_file },
        })))
    }
}

fn wrong(value: &str, allowed: &'static str) -> FlagFault {
    FlagFault::Value { value: value.to_owned(), allowed }
}

fn number(value: &str, min: u64, allowed: &'static str) -> Result<u64, FlagFault> {
    value.parse().ok().filter(|number| *number >= min).ok_or_else(|| wrong(value, allowed))
}

fn yes(value: &str) -> Result<bool, FlagFault> {
    match value {
        "1" | "yes" | "on" | "true" => Ok(true),
        "0" | "no" | "off" | "false" => Ok(false),
        _ => Err(wrong(value, "yes or no")),
    }
}

fn format(value: &str) -> Result<ToolFormat, FlagFault> {
    let (format, extra) = value.split_once(',').unwrap_or((value, ""));
    match (format, extra) {
        ("default", _) => Ok(ToolFormat::Columns),
        ("json", _) => Ok(ToolFormat::Json { pretty: extra.split(',').any(|word| word == "pretty") }),
        ("csv", _) => Ok(ToolFormat::Csv),
        _ => Err(wrong(value, "json, csv or default; json,pretty")),
    }
}

/// The names of the tool and those of syslog, as our four levels.
fn level(value: &str) -> Result<&'static str, FlagFault> {
    Ok(match value.to_ascii_lowercase().as_str() {
        "fatal" | "alert" | "crit" | "emerg" | "panic" | "error" | "err" | "0" | "1" | "2" | "3" => "error",
        "warn" | "warning" | "4" => "warn",
        "note" | "notice" | "info" | "5" | "6" => "info",
        "debug" | "7" => "debug",
        _ => return Err(wrong(value, "fatal, error, warn, note, info or debug")),
    })
}

const AREAS: &str = "\
general sockmgmt conn xtimer tsbpd rsrc
congest pfilter
api-ctrl
que-ctrl
epoll-upd
api-recv buf-recv que-recv chn-recv grp-recv
api-send buf-send que-send chn-send grp-send
internal
que-mgmt chn-mgmt grp-mgmt epoll-api
haicrypt applog";

fn areas(value: &str) -> Result<(), FlagFault> {
    let known = |area: &str| area == "all" || AREAS.split_whitespace().any(|name| name == area);
    let all_known =
        value.split(',').filter(|area| !area.is_empty()).all(|area| known(&area.to_ascii_lowercase()));
    if all_known { Ok(()) } else { Err(wrong(value, "areas separated by commas, see -h logging")) }
}

/// The text of `-h`.
pub(crate) const HELP: &str = "\
Usage: srt-live-transmit [options] <input-uri> <output-uri>

Options, as -flag:value or -flag value, with one dash or two:
  -t, -to, -timeout SECONDS        end after this time (default 0: never)
  -tm, -timeout-mode 0|1           1: not if a connection is made before (default 0)
  -a, -auto, -autoreconnect yes|no connect again when a connection ends (default yes)
  -c, -chunk BYTES                 largest message, 1456 at most over SRT (default 1456)
  -st, -srctime, -sourcetime yes|no
                                   pass on the time of origin to an SRT output (default no)
  -buffering PACKETS               messages read in one go (default 10)
  -passphrase-file FILE            encrypt with the passphrase in FILE; not a flag of the original (default: the variable
                                   SRT_PASSPHRASE, if it is set); for every srt:// URI without passphrase=
  -r, -bwreport, -report, -bandwidth-report, -bitrate-report PACKETS
                                   report the bandwidth every so many packets (default 0: never)
  -s, -stats, -stats-report-frequency PACKETS
                                   report statistics every so many packets (default 0: never)
  -statsout FILE                   write statistics to FILE instead of stdout
  -pf, -statspf FORMAT             json, csv or default; json,pretty
  -f, -fullstats                   figures since the start instead of since the last report
  -ll, -loglevel LEVEL             fatal, error, warn, note, info or debug (default warn)
  -lfa, -logfa AREAS               see -h logging
  -logfile FILE                    write the log to FILE
  -q, -quiet                       say nothing but errors
  -v, -verbose                     say more
  -h, -help                        this text; -h logging: about the log
  -version                         the version

URIs: SCHEME://HOST:PORT?KEY=VALUE&…
  srt://    mode=caller|listener and the socket options: srt help options
            srt:////group?type=broadcast|backup|balancing&nodes=H:P?weight=2,H:P&… calls on several links as one group
  udp://    iptos= ttl= mcloop= rcvbuf= sndbuf= adapter= source= multicast
  rtp://    as udp://, and rtpheadersize=
  file://con for stdin or stdout; also file://PATH, test://, null:// as `srt transmit --help` describes

Parameters that are not known are named once and ignored.

Exit codes: 0 done, 1 failed, 2 wrong usage.";

/// The text of `-h logging`.
pub(crate) fn logging_help() -> String {
    format!(
        "-ll LEVEL logs what is at least as grave: fatal error warn note info debug (names of syslog will do).\n\
         -lfa AREA,… is taken for the sake of old command lines: this program has one log, told apart by level.\n\
         The variable SRT_LOG chooses by crate: SRT_LOG=srt_protocol=debug,warn\n\nAreas:\n{AREAS}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(line: &str) -> Result<Order, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&args).map_err(|failure| {
            assert_eq!(failure.exit_code(), 2, "{failure}");
            failure.to_string()
        })
    }

    fn transfer(line: &str) -> Transfer {
        match order(line) {
            Ok(Order::Transfer(transfer)) => *transfer,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn the_defaults_are_those_of_the_tool() {
        let plain = transfer("udp://:1234 srt://:4201");
        assert_eq!((plain.input.as_str(), plain.output.as_str()), ("udp://:1234", "srt://:4201"));
        assert_eq!((plain.chunk, plain.room, plain.reconnect, plain.source_time), (1456, 10, true, false));
        assert_eq!((plain.limit, plain.volume), (None, Volume::Normal));
        let tool = plain.tool.unwrap();
        assert_eq!((tool.stats_every, tool.bandwidth_every, tool.full), (0, 0, false));
        assert_eq!((tool.format, tool.stats_file), (ToolFormat::Columns, None));
    }

    #[test]
    fn colon_and_space_are_the_same() {
        let colon = transfer("-t:30 -tm:1 -a:no -c:1316 -s:100 -pf:json a b");
        let space = transfer("a -t 30 -tm 1 b -a no -c 1316 -s 100 -pf json");
        assert_eq!(colon, space);
        let limit = TimeLimit { after: Duration::from_secs(30), until_connected: true };
        assert_eq!((colon.limit, colon.reconnect, colon.chunk), (Some(limit), false, 1316));
        let old = parse(&["-s 100".to_owned(), "a".to_owned(), "b".to_owned()]).unwrap();
        let Order::Transfer(old) = old else { panic!("not a transfer") };
        assert_eq!(old.tool.unwrap().stats_every, 100);
    }

    #[test]
    fn every_name_of_every_flag_is_known() {
        for (_, names, wants_value) in FLAGS {
            for name in names.iter().filter(|name| !["h", "help", "version"].contains(*name)) {
                let value = match *name {
                    "pf" | "statspf" => ":csv",
                    "ll" | "loglevel" => ":note",
                    "lfa" | "logfa" => ":sockmgmt,chn-recv",
                    "a" | "auto" | "autoreconnect" | "st" | "srctime" | "sourcetime" => ":yes",
                    _ if wants_value => ":1",
                    _ => "",
                };
                transfer(&format!("-{name}{value} a b"));
            }
        }
        assert_eq!(order("-h"), Ok(Order::Help));
        assert_eq!(order("-help:logging"), Ok(Order::LoggingHelp));
        assert_eq!(order("-h logging"), Ok(Order::LoggingHelp));
        assert_eq!(order("-version"), Ok(Order::Version));
        assert!(AREAS.split_whitespace().all(|area| areas(area).is_ok()));
    }

    #[test]
    fn the_help_names_every_flag() {
        for name in FLAGS.iter().flat_map(|(_, names, _)| names.iter()).filter(|name| **name != "loginternal")
        {
            let shown = HELP.split([' ', ',', '\n']).any(|word| word.strip_prefix('-') == Some(name));
            assert!(shown, "-{name}");
        }
    }

    #[test]
    fn flags_reach_their_place() {
        let all = transfer(
            "-f -q -st:yes -buffering:50 -passphrase-file:secret -r:200 -statsout:s.json -pf:json,pretty -ll:debug -logfile:l.txt - file://con",
        );
        assert_eq!(
            (all.input.as_str(), all.volume, all.room, all.source_time),
            ("-", Volume::Quiet, 50, true)
        );
        assert_eq!(all.passphrase_file, Some("secret".into()));
        assert_eq!(all.log, LogPlan { level: "debug".into(), file: Some("l.txt".into()) });
        let tool = all.tool.unwrap();
        assert_eq!((tool.bandwidth_every, tool.full), (200, true));
        assert_eq!(
            (tool.format, tool.stats_file),
            (ToolFormat::Json { pretty: true }, Some("s.json".into()))
        );
    }

    #[test]
    fn mistakes_are_named_with_the_mend() {
        assert_eq!(order("-x a b").unwrap_err(), "-x: unknown option; -h lists them all");
        assert_eq!(order("a b -t").unwrap_err(), "-t: needs a value, as in -t:VALUE");
        assert_eq!(order("a b -q:5").unwrap_err(), "-q: takes no value");
        assert_eq!(
            order("-pf:xml a b").unwrap_err(),
            "-pf: \"xml\" is not possible; allowed: json, csv or default; json,pretty"
        );
        for wrong in [
            "-buffering:0",
            "-t:-1",
            "-t:soon",
            "-tm:2",
            "-a:maybe",
            "-c:0",
            "-passphrase-file:",
            "-ll:loud",
            "-lfa:everything",
        ] {
            assert!(order(&format!("{wrong} a b")).unwrap_err().contains("allowed: "), "{wrong}");
        }
        assert_eq!(
            order("a").unwrap_err(),
            "URIs: give exactly one input and one output URI, got 1; -h shows how"
        );
        assert!(order("a b c").unwrap_err().contains("got 3"));
    }

    #[test]
    fn two_dashes_before_a_flag_are_as_good_as_one() {
        assert_eq!(transfer("--t:30 --pf json a b --q"), transfer("-t:30 -pf json a b -q"));
        assert_eq!(order("--help"), Ok(Order::Help));
        assert_eq!(order("--help logging"), Ok(Order::LoggingHelp));
        assert_eq!(order("--version"), Ok(Order::Version));
        assert_eq!(order("--x a b").unwrap_err(), "-x: unknown option; -h lists them all");
    }

    #[test]
    fn every_level_that_is_listed_is_taken() {
        for level in ["fatal", "error", "warn", "note", "info", "debug"] {
            assert!(HELP.contains(level) && logging_help().contains(level), "{level}");
            assert!(order(&format!("-ll:{level} a b")).is_ok(), "{level}");
            assert!(order("-ll:loud a b").unwrap_err().contains(level), "{level}");
        }
    }

    #[test]
    fn after_two_dashes_nothing_is_a_flag() {
        let transfer = transfer("-q -- -x -y");
        assert_eq!((transfer.input.as_str(), transfer.output.as_str()), ("-x", "-y"));
    }

    #[test]
    fn a_line_for_the_tool_is_told_from_one_for_srt() {
        let tool = |line: &str| is_tool_line(line.split_whitespace());
        assert!(tool("a b -s:100"));
        assert!(tool("a b -pf json"));
        assert!(tool("a b -t:5"));
        assert!(tool("-srctime yes a b"));
        assert!(!tool("a b -t 5s -c 1316 -v -q"));
        assert!(!tool("- - --reconnect --chunk=1316 --rate 8M"));
        assert!(!tool("a -- -pf"));
    }
}
