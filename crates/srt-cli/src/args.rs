//! The command line of `srt`, and its help.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use srt::GroupMode;

use crate::commands::bench::BenchArgs;
use crate::commands::options::option_table;
use crate::stats_format::RecordFormat;
use crate::units::{UnitError, parse_rate, parse_share, parse_span};

/// Live streams over networks that lose, jitter and fail.
///
/// SRT (Secure Reliable Transport) carries live video over the open Internet: what is lost on the way is sent again before
/// it is due, and the picture comes out as it went in, a fixed latency later.
#[derive(Debug, Parser)]
#[command(name = "srt", version, arg_required_else_help = true, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  srt demo                                            see bonding at work on this machine
  srt receive srt://:9000 video.ts                    wait for a caller, save what it sends
  srt send video.ts srt://example.org:9000            call, and send a file
  ffmpeg … -f mpegts - | srt send - srt://:9000       wait for a viewer, send what ffmpeg makes
  srt send - 'srt://host:9000?adapter=eth0' 'srt://host:9000?adapter=wwan0'   one stream, two networks
  srt transmit udp://239.0.0.1:5000 srt://host:9000   relay a multicast
  srt impair --listen :9001 --target host:9000 --profile delay=40ms,loss=5%

`srt COMMAND --help` says more about each. `srt help options` lists what an srt:// address may say.
Called by the name srt-live-transmit (a symlink), it takes that tool's command line.";

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send one input over SRT, by one link or several
    #[command(after_help = SEND_EXAMPLES, after_long_help = long(SEND_EXAMPLES))]
    Send(SendArgs),
    /// Receive SRT, by one link or several, into one output
    #[command(after_help = RECEIVE_EXAMPLES, after_long_help = long(RECEIVE_EXAMPLES))]
    Receive(ReceiveArgs),
    /// Move any medium to any medium, as srt-live-transmit does
    ///
    /// Also understands the flags of srt-live-transmit in their own spelling: a command line with such flags
    /// (`-s:100 -pf json`) is read as that tool reads it.
    #[command(after_help = TRANSMIT_EXAMPLES, after_long_help = long(TRANSMIT_EXAMPLES))]
    Transmit(TransmitArgs),
    /// Emulate a bad network between UDP programs
    ///
    /// Clients send to --listen, everything is passed on to --target, answers go back. Each way is delayed, lost,
    /// doubled and reordered as its profile says. Knows nothing of SRT: any UDP will do.
    #[command(after_help = IMPAIR_EXAMPLES)]
    Impair(Box<ImpairArgs>),
    /// Show bonding at work on this machine: one stream over three bad links, one of which dies
    ///
    /// A test stream goes over three emulated links at once, bonded, to a listener; the best of them dies for a third of the
    /// time. The very same stream also goes over a copy of each link alone, as a plain SRT connection. The report at the end
    /// says what arrived, how steadily, at what cost, and what was lost where only one link carried it. Exits with 1 if the
    /// bonded stream lost anything.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(Box<DemoArgs>),
    /// Measure throughput and cost: many connections or one, paced or as fast as it goes
    ///
    /// Sends and receives in one process over loopback, or with --send and --receive from one to another. Prints throughput,
    /// processor time, memory, threads, connecting time and latency. Exits with 1 if messages are missing.
    #[command(after_help = BENCH_EXAMPLES)]
    Bench(Box<BenchArgs>),
    /// List what an srt:// address may say
    #[command(long_about = option_table())]
    Options,
}

const MEDIA: &str = "\
Media:
  srt://HOST:PORT?…      call; srt://:PORT?… listens; parameters: srt help options
  udp://HOST:PORT?…      a datagram is a message; multicast groups are joined
                         iptos= ttl= mcloop= rcvbuf= sndbuf= adapter= source= multicast
                         adapter=: an address of the interface; for IPv6 groups also its name, as in [ff02::7%eth0]
  rtp://HOST:PORT?…      as udp://, the RTP header is taken off (input: rtpheadersize=) or put on (output: pt= ssrc=)
  PATH, file://PATH      a file, a FIFO, a device; as an output, a file is overwritten when the first message comes
  -, file://con          stdin or stdout
  test://?…              input: a stamped test stream (rate=8M|max duration=10s size=1316 seed=1);
                         output: throws the stream away, fails if a test stream came in broken;
                         latencies are as true as the clocks of both machines agree
  null://                output: throws the stream away";

const SEND_EXAMPLES: &str = "\
Examples:
  srt send video.ts srt://example.org:9000
  srt send video.ts 'srt://example.org:9000?latency=200' --rate 8M
  srt send video.ts 'srt://example.org:9000?pbkeylen=32' --passphrase-file secret
  ffmpeg -re -i in.mp4 -c copy -f mpegts - | srt send - srt://:9000
  srt send - 'srt://host:9000?adapter=eth0&latency=500' 'srt://host:9000?adapter=wwan0'
  srt send - 'srt://host:9000?bind=10.0.0.2&weight=2' 'srt://host:9001?weight=1' --group backup
  srt send 'test://?rate=20M&duration=1m' srt://example.org:9000 --stats send.json";

const RECEIVE_EXAMPLES: &str = "\
Examples:
  srt receive srt://:9000 video.ts
  srt receive 'srt://:9000?latency=200' - | ffplay -
  srt receive srt://example.org:9000 udp://127.0.0.1:1234 --reconnect
  srt receive srt://:9000 video.ts --passphrase-file secret
  srt receive srt://192.0.2.7:9000?mode=listener srt://198.51.100.7:9000?mode=listener video.ts
  srt receive srt://:9000 test://                     check a test stream";

const TRANSMIT_EXAMPLES: &str = "\
Examples:
  srt transmit udp://:1234 srt://:9000 --reconnect
  srt transmit srt://a.example.org:9000 srt://b.example.org:9000 --source-time
  srt transmit rtp://@239.0.0.1:5004 'srt://example.org:9000?streamid=channel1'
  srt transmit udp://:1234 'srt:////group?type=backup&nodes=h:9000?weight=2,h:9001?weight=1&latency=500'
  srt transmit udp://:1234 srt://:9000 -s:1000 -pf json -statsout:stats.json";

const IMPAIR_EXAMPLES: &str = "\
Examples:
  srt impair --listen :9001 --target 127.0.0.1:9000 --profile delay=20ms,loss=5%
  srt impair --listen :9001 --target 127.0.0.1:9000 --forward-profile rate=20Mbps,queue=200 --back-profile loss=1%
  srt impair --listen :9001 --target 127.0.0.1:9000 --profile loss=10%,burst=4 --seed 7 --duration 30s --json

Profile: key=value,… of
  delay=20ms  jitter=5ms  jitter-shape=uniform|half-normal  jitter-order=kept|free
  loss=5%     burst=4 (mean length of a burst of loss)      dup=0.1%
  reorder=1%  reorder-by=15ms  rate=20Mbps  queue=200 (packets)
  outage=10s+500ms (dead after 10 s for 500 ms)  outage=10s+500ms/30s (again every 30 s)";

const BENCH_EXAMPLES: &str = "\
Examples:
  srt bench --tuned                                   one stream, as fast as it goes
  srt bench --rate 1G --tuned --json
  srt bench -n 500 --rate 1M -o latency=120
  srt bench --receive 0.0.0.0:9000 -n 10              there
  srt bench --send example.org:9000 -n 10 --rate 20M  here";

const DEMO_EXAMPLES: &str = "\
Examples:
  srt demo
  srt demo --group broadcast --duration 1m
  srt demo --group backup --loss 5% --latency 1s --seed 7
  srt demo --rate 20M --link rate=15Mbps,delay=20ms --link rate=12Mbps,delay=40ms,loss=1%,outage=5s+2s --json";

fn long(examples: &str) -> String {
    format!("{MEDIA}\n\n{examples}")
}

/// What every transfer may be told.
#[derive(Args, Clone, Debug)]
pub(crate) struct StreamArgs {
    /// Bytes per message where the input has no messages of its own
    ///
    /// 1316 is seven TS packets; SRT carries 1456 at most.
    #[arg(short, long, value_name = "BYTES", default_value_t = 1316, value_parser = chunk, allow_hyphen_values = true)]
    pub(crate) chunk: usize,
    /// Read files and pipes at this bit rate (8M, 500k) instead of as fast as SRT takes them
    #[arg(long, value_name = "RATE", value_parser = parse_rate, allow_hyphen_values = true)]
    pub(crate) rate: Option<u64>,
    /// Connect again whenever the connection fails or ends, with growing pauses
    #[arg(long)]
    pub(crate) reconnect: bool,
    /// Encrypt with the passphrase in this file; without it, with the one in the variable SRT_PASSPHRASE, if it is set
    ///
    /// The file holds the passphrase, 10 to 80 bytes; one end of line does not count. File and variable are for every srt://
    /// address without passphrase= (which encrypts nothing when it is empty). What stands in an address is seen by all who may
    /// list the processes, and kept in the shell's history; what stands in a file or the environment is not.
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// End in order after this time
    #[arg(short = 't', long, value_name = "TIME", value_parser = parse_span, allow_hyphen_values = true)]
    pub(crate) duration: Option<Duration>,
    /// Write statistics of the SRT connections to this file; - is stdout
    ///
    /// As JSON, a line is a record of a connection; that of a group has its links in `links` (rates in bits per second), and what
    /// happens to them has lines of its own, which have an `event`. As CSV there are the figures of the whole alone.
    #[arg(long, value_name = "FILE")]
    pub(crate) stats: Option<PathBuf>,
    /// How statistics are written
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = RecordFormat::Json, requires = "stats")]
    pub(crate) stats_format: RecordFormat,
    /// How often statistics are written
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = interval, requires = "stats", allow_hyphen_values = true)]
    pub(crate) stats_interval: Duration,
    /// Say nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Say more; -vv, -vvv, -vvvv: with the library's log, in ever more detail
    #[arg(short, long, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub(crate) verbose: u8,
}

/// What the links of a group do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GroupArg {
    /// All carry everything: while one works, nothing is missing
    Broadcast,
    /// The one with the highest weight= carries the stream, the next takes over when it fails
    Backup,
    /// Each carries what it can, so that their rates add up
    Balancing,
}

impl From<GroupArg> for GroupMode {
    fn from(arg: GroupArg) -> Self {
        match arg {
            GroupArg::Broadcast => Self::Broadcast,
            GroupArg::Backup => Self::Backup,
            GroupArg::Balancing => Self::Balancing,
        }
    }
}

/// `srt send`.
#[derive(Args, Debug)]
pub(crate) struct SendArgs {
    /// What to send: PATH, - (stdin), udp://, rtp://, srt://, test://
    pub(crate) input: String,
    /// Where to: srt://HOST:PORT calls, srt://:PORT waits for a caller; several are the links of one group
    ///
    /// Each further address is one more link, by which the same stream goes. It may have of its own: weight=N, bind=ADDRESS or bind=ADDRESS:PORT
    /// (a local address), adapter=INTERFACE or adapter=ADDRESS, passphrase= and what else belongs to a link. Options of the
    /// stream, such as latency= and streamid=, stand in the first address. Several places to listen serve one stream, by
    /// whichever of them the links of a caller come.
    #[arg(value_name = "SRT_URI", required = true)]
    pub(crate) outputs: Vec<String>,
    /// What the links of a group do [default: broadcast, with several addresses]
    #[arg(long, value_name = "MODE", value_enum)]
    pub(crate) group: Option<GroupArg>,
    /// How.
    #[command(flatten)]
    pub(crate) stream: StreamArgs,
}

/// `srt receive`.
#[derive(Args, Debug)]
pub(crate) struct ReceiveArgs {
    /// Where from: srt://HOST:PORT calls, srt://:PORT waits for a caller; several are the links of one group
    ///
    /// A place to listen takes plain callers and groups. Several of them serve one output: whoever calls first has the place, and
    /// the links of the same group may come by any of them.
    #[arg(value_name = "SRT_URI", required = true)]
    pub(crate) inputs: Vec<String>,
    /// Where to put it: PATH (what is there is overwritten), - (stdout), udp://, rtp://, srt://, test:// (check it), null://
    pub(crate) output: String,
    /// What the links of a group that calls do [default: broadcast, with several addresses]
    #[arg(long, value_name = "MODE", value_enum)]
    pub(crate) group: Option<GroupArg>,
    /// How.
    #[command(flatten)]
    pub(crate) stream: StreamArgs,
}

/// `srt transmit`.
#[derive(Args, Debug)]
pub(crate) struct TransmitArgs {
    /// Where from: srt://, udp://, rtp://, PATH, - (stdin), test://
    pub(crate) input: String,
    /// Where to: srt://, udp://, rtp://, PATH (what is there is overwritten), - (stdout), test://, null://
    pub(crate) output: String,
    /// Pass on the time of origin, so that a relay adds no jitter (SRT to SRT)
    #[arg(long)]
    pub(crate) source_time: bool,
    /// How.
    #[command(flatten)]
    pub(crate) stream: StreamArgs,
}

/// `srt impair`.
#[derive(Args, Debug)]
pub(crate) struct ImpairArgs {
    /// Where clients send to: ADDRESS:PORT or :PORT
    #[arg(long, value_name = "ADDRESS", value_parser = listen_address)]
    pub(crate) listen: SocketAddr,
    /// Where it goes: HOST:PORT
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) target: String,
    /// What both ways do
    #[arg(long, value_name = "PROFILE", default_value = "none")]
    pub(crate) profile: srt_impair::Profile,
    /// What the way to the target does, instead of --profile
    #[arg(long, value_name = "PROFILE")]
    pub(crate) forward_profile: Option<srt_impair::Profile>,
    /// What the way back does, instead of --profile
    #[arg(long, value_name = "PROFILE")]
    pub(crate) back_profile: Option<srt_impair::Profile>,
    /// The same seed gives the same fates
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// End after this time
    #[arg(short = 't', long, value_name = "TIME", value_parser = parse_span, allow_hyphen_values = true)]
    pub(crate) duration: Option<Duration>,
    /// Print the counters at the end as JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
    /// Say nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// `srt demo`.
#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Which link carries what
    #[arg(long, value_name = "MODE", value_enum, default_value_t = Bonding::Balancing)]
    pub(crate) group: Bonding,
    /// How long the stream lasts
    #[arg(short = 't', long, value_name = "TIME", default_value = "20s", value_parser = some_time, allow_hyphen_values = true)]
    pub(crate) duration: Duration,
    /// Bit rate of the stream; balancing: 6.5M, more than any of the links could carry alone, else 3M, which each can
    #[arg(long, value_name = "RATE", value_parser = parse_rate, allow_hyphen_values = true)]
    pub(crate) rate: Option<u64>,
    /// A link of your own instead of the three: a profile as for srt impair; repeat it for more
    ///
    /// Unless one of them has an outage, the one of the highest rate is dead from 35 to 65 % of the time.
    #[arg(long = "link", value_name = "PROFILE")]
    pub(crate) links: Vec<srt_impair::Profile>,
    /// Share of packets that every link loses, each way, instead of its own
    #[arg(long, value_name = "SHARE", value_parser = parse_share, allow_hyphen_values = true)]
    pub(crate) loss: Option<f64>,
    /// Time SRT may take to recover what was lost
    #[arg(long, value_name = "TIME", default_value = "800ms", value_parser = parse_span, allow_hyphen_values = true)]
    pub(crate) latency: Duration,
    /// The same seed gives the links the same luck
    #[arg(long, default_value_t = 1, allow_hyphen_values = true)]
    pub(crate) seed: u64,
    /// Print the figures at the end as JSON on stdout
    #[arg(long)]
    pub(crate) json: bool,
}

/// How the links of a group share the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Bonding {
    /// Every packet on every link
    Broadcast,
    /// Every packet on the best link; another takes over when that one fails
    Backup,
    /// Each packet on the link that brings it first: together they carry what none could alone
    Balancing,
}

/// Largest message of any medium.
const LARGEST_CHUNK: usize = 65_000;

fn chunk(text: &str) -> Result<usize, String> {
    let size = text.parse::<usize>().ok().filter(|size| (1..=LARGEST_CHUNK).contains(size));
    size.ok_or_else(|| {
        format!("a message has 1 to {LARGEST_CHUNK} bytes; SRT carries 1456 at most, 1316 is usual")
    })
}

fn interval(text: &str) -> Result<Duration, String> {
    let span = parse_span(text).map_err(|fault: UnitError| fault.to_string())?;
    if span < Duration::from_millis(10) { Err("at least 10ms".to_owned()) } else { Ok(span) }
}

fn some_time(text: &str) -> Result<Duration, String> {
    let span = parse_span(text).map_err(|fault| fault.to_string())?;
    if span.is_zero() { Err("a stream needs some time; write 10s, 2m or 1h".to_owned()) } else { Ok(span) }
}

fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') { format!("0.0.0.0{text}") } else { text.to_owned() };
    full.parse().map_err(|_| "write ADDRESS:PORT, [IPv6]:PORT or :PORT".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    fn fault(line: &str) -> String {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        error.to_string()
    }

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_transfer_has_the_defaults_of_live_video() {
        let Command::Send(args) = parse("srt send - srt://h:9000").unwrap().command else {
            panic!("not send")
        };
        assert_eq!((args.input.as_str(), args.outputs.as_slice()), ("-", &["srt://h:9000".to_owned()][..]));
        assert_eq!(args.group, None);
        assert_eq!((args.stream.chunk, args.stream.rate, args.stream.reconnect), (1316, None, false));
        assert_eq!(args.stream.stats_interval, Duration::from_secs(1));
    }

    #[test]
    fn several_addresses_are_links_and_the_last_of_receive_is_the_output() {
        let line = "srt send - srt://a:1 srt://b:2 srt://c:3 --group backup -q";
        let Command::Send(args) = parse(line).unwrap().command else { panic!("not send") };
        assert_eq!((args.outputs.len(), args.group), (3, Some(GroupArg::Backup)));
        let Command::Receive(args) = parse("srt receive srt://:1 srt://:2 out.ts").unwrap().command else {
            panic!("not receive")
        };
        assert_eq!((args.inputs.len(), args.output.as_str()), (2, "out.ts"));
        assert!(fault("srt receive srt://:1").contains("OUTPUT"));
        assert!(fault("srt send - srt://a:1 --group bonded").contains("balancing"));
    }

    #[test]
    fn flags_reach_their_fields() {
        let line = "srt transmit udp://:1 srt://h:2 --source-time --reconnect -c 1456 --rate 2.5M -t 1m --stats s.csv \
                    --stats-format csv --stats-interval 500ms -vv";
        let Command::Transmit(args) = parse(line).unwrap().command else { panic!("not transmit") };
        assert!(args.source_time && args.stream.reconnect);
        assert_eq!((args.stream.chunk, args.stream.rate), (1456, Some(2_500_000)));
        assert_eq!(args.stream.duration, Some(Duration::from_secs(60)));
        assert_eq!(args.stream.stats_format, RecordFormat::Csv);
        assert_eq!((args.stream.stats_interval, args.stream.verbose), (Duration::from_millis(500), 2));
    }

    #[test]
    fn wrong_usage_is_named_and_exits_with_2() {
        assert!(fault("srt send - srt://h:1 --chunk 0").contains("a message has 1 to 65000 bytes"));
        assert!(fault("srt send - srt://h:1 --rate quick").contains("is no bit rate; write"));
        assert!(fault("srt send - srt://h:1 --colour").contains("--colour"));
        assert!(fault("srt send - srt://h:1 --stats-format csv").contains("--stats"));
        assert!(fault("srt receive - srt://h:1 -q -v").contains("cannot be used with"));
        assert!(fault("srt send -").contains("SRT_URI"));
        assert!(fault("srt demo --loss 200%").contains("is no share"));
        assert!(fault("srt impair --listen nowhere --target h:1").contains("ADDRESS:PORT"));
        assert!(
            fault("srt impair --listen :1 --target h:1 --profile delay=20")
                .contains("delay=20 is not possible")
        );
        assert!(fault("srt fly").contains("fly"));
    }

    #[test]
    fn listening_everywhere_is_short() {
        let Command::Impair(args) = parse("srt impair --listen :9001 --target h:1").unwrap().command else {
            panic!("not impair")
        };
        assert_eq!(args.listen, "0.0.0.0:9001".parse().unwrap());
    }

    #[test]
    fn every_help_has_examples_and_the_long_one_lists_the_media() {
        for name in ["send", "receive", "transmit", "impair", "demo"] {
            let mut command = Cli::command();
            let command = command.find_subcommand_mut(name).unwrap();
            let help = command.render_long_help().to_string();
            assert!(help.contains("Examples:") && help.contains(&format!("srt {name}")), "{help}");
            assert_eq!(help.contains("Media:"), !matches!(name, "impair" | "demo"), "{name}");
        }
    }
}
