//! What does a viewer lose? Counts it: a stamped stream of 1316-byte messages, through a seeded bad network, between
//! each pairing of ours and libsrt (`srt-live-transmit`, fed and drained through pipes).
//!
//! Two scenes: `recovery` asks how many packets never reach the viewer when time is short, `resends` how much is sent
//! again when packets come out of order. Everything is counted and nothing is timed; a slow machine can only make it
//! worse, and what it spoils it says: datagrams dropped by the system, and datagrams that the emulator sent late.
//!
//! The stream is made here rather than by `srt send test://`, so that all pairings are fed by one hand: each message
//! begins with its number, and all of it is compared when it arrives. Counting begins with the first message and ends with
//! the last one of the asked length; more follow until that one has been played or passed over, so that what is at stake
//! is the middle of a stream and not how a program ends.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use srt::{Options, SrtListener, SrtSocket};
use srt_impair::{Emulator, Profile, Report, Setup};
use srt_tests::peers::{PATIENCE, Peer, Program, feed, free_port, udp_drops};

type Fault = Box<dyn Error + Send + Sync>;

/// Counts what a viewer loses, and what is sent again, between ours and libsrt over a seeded bad network
#[derive(Clone, Debug, Parser)]
#[command(after_help = "\
Examples:
  viewer_loss --quick                                       a look, in half a minute
  viewer_loss --libsrt /opt/srt/bin/srt-live-transmit       the whole experiment: 10 seeds of 60 s per pairing
  viewer_loss --scene recovery --pairing ours-ours --seeds 1 --first-seed 7
  viewer_loss --scene recovery --profile delay=20ms,loss=20% --pairing ours-ours --pairing libsrt-libsrt")]
struct Args {
    /// The srt-live-transmit to use; default: SRT_LIVE_TRANSMIT, or the one in PATH
    #[arg(long, value_name = "FILE")]
    libsrt: Option<PathBuf>,
    /// What to look at; default: both
    #[arg(long, value_enum)]
    scene: Vec<Scene>,
    /// Who sends to whom; default: all four, and for the scene `resends` each with itself
    #[arg(long, value_enum)]
    pairing: Vec<Pairing>,
    /// Seconds of stream per run
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Runs per pairing, each with a seed of its own; default: 10, and 3 for the scene `resends`
    #[arg(long)]
    seeds: Option<u64>,
    /// The first of these seeds
    #[arg(long, default_value_t = 1)]
    first_seed: u64,
    /// Megabits of payload per second
    #[arg(long, value_name = "MBPS", default_value_t = 20)]
    rate: u64,
    /// The network, both ways, instead of the scene's own (as for `srt impair`)
    #[arg(long)]
    profile: Option<Profile>,
    /// The way back from receiver to sender, if it differs
    #[arg(long)]
    back_profile: Option<Profile>,
    /// Latency in milliseconds, instead of the scene's own
    #[arg(long, value_name = "MS")]
    latency: Option<u64>,
    /// Two seeds of 3 s each: to see that it works
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scene {
    /// RTT 40 ms, 5 % independent loss each way, latency 120 ms
    Recovery,
    /// RTT 100 ms, 10 % loss in bursts of 4 and 5 ms of reordering jitter each way, latency 400 ms
    Resends,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum Pairing {
    OursOurs,
    OursLibsrt,
    LibsrtOurs,
    LibsrtLibsrt,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Make {
    Ours,
    Libsrt,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("viewer_loss: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Fault> {
    let scenes = if args.scene.is_empty() { Scene::value_variants() } else { args.scene.as_slice() };
    for scene in scenes {
        Experiment::new(args, *scene)?.run()?;
    }
    Ok(())
}

// ---------------------------------------------------------------------------- one scene

struct Experiment {
    scene: Scene,
    pairings: Vec<Pairing>,
    seeds: std::ops::Range<u64>,
    libsrt: Option<Program>,
    seconds: u64,
    rate_mbps: u64,
    there: Profile,
    back: Profile,
    latency: Duration,
}

impl Experiment {
    fn new(args: &Args, scene: Scene) -> Result<Self, Fault> {
        let pairings = match (args.pairing.as_slice(), scene) {
            ([], Scene::Recovery) => Pairing::value_variants().to_vec(),
            ([], Scene::Resends) => vec![Pairing::OursOurs, Pairing::LibsrtLibsrt],
            (asked, _) => asked.to_vec(),
        };
        let needed = pairings.iter().any(|pairing| pairing.ends().contains(&Make::Libsrt));
        let libsrt = match &args.libsrt {
            Some(path) => Some(Program::at(path)),
            None if needed => {
                Some(Program::srt_live_transmit().ok_or("without libsrt there is only --pairing ours-ours")?)
            }
            None => None,
        };
        let (profile, latency, seeds) = scene.defaults();
        let there = args.profile.clone().map_or_else(|| profile.parse(), Ok)?;
        let back = args.back_profile.clone().unwrap_or_else(|| there.clone());
        let (seconds, seeds) = if args.quick { (3, 2) } else { (args.seconds, args.seeds.unwrap_or(seeds)) };
        Ok(Self {
            scene,
            pairings,
            seeds: args.first_seed..args.first_seed + seeds,
            libsrt,
            seconds,
            rate_mbps: args.rate,
            there,
            back,
            latency: args.latency.map_or(latency, Duration::from_millis),
        })
    }

    fn run(&self) -> Result<(), Fault> {
        self.introduce();
        let mut all: BTreeMap<Pairing, Vec<Figures>> = BTreeMap::new();
        println!("{HEADING}");
        // Pairing by pairing within a seed: what else the machine does meets all of them alike.
        for seed in self.seeds.clone() {
            for pairing in &self.pairings {
                let figures =
                    self.once(*pairing, seed).map_err(|fault| format!("{pairing}, seed {seed}: {fault}"))?;
                println!("{:<14} {seed:>5} {figures}", pairing.to_string());
                all.entry(*pairing).or_default().push(figures);
            }
        }
        println!();
        for (pairing, runs) in &all {
            self.sum_up(*pairing, runs);
        }
        println!();
        Ok(())
    }

    fn introduce(&self) {
        println!(
            "{}: {} Mb/s of {MESSAGE}-byte messages, {} s, seeds {} to {}, latency {} ms; there: {}; back: {}",
            self.scene,
            self.rate_mbps,
            self.seconds,
            self.seeds.start,
            self.seeds.end - 1,
            self.latency.as_millis(),
            self.there,
            self.back
        );
        if let Some(libsrt) = &self.libsrt {
            println!(
                "libsrt: {} ({})",
                libsrt.path().display(),
                version_of(libsrt).unwrap_or_else(|| "?".to_owned())
            );
        }
    }

    fn messages(&self) -> u64 {
        self.seconds * self.rate_mbps * 1_000_000 / 8 / MESSAGE as u64
    }

    /// One connection, from beginning to end.
    fn once(&self, pairing: Pairing, seed: u64) -> Result<Figures, Fault> {
        let folder = Folder::new()?;
        let Connected { mut sender, mut receiver, port, emulator } =
            self.connect_patiently(pairing, seed, &folder.0)?;
        let (over, seen) = (AtomicBool::new(false), AtomicU64::new(0));
        let messages = self.messages();
        let mut viewer = thread::scope(|scope| {
            let feeder = scope.spawn(|| {
                let fed = self.feed(&mut sender, &over);
                over.store(fed.is_err() || over.load(Ordering::Relaxed), Ordering::Relaxed);
                fed
            });
            let viewed = receiver.view(messages, self.message_filling(), &over, &seen);
            over.store(true, Ordering::Relaxed);
            feeder.join().map_err(|_| "the sender's thread panicked")??;
            viewed
        })?;
        let sent = sender.counts()?;
        // Sockets lose their counters with their ends.
        let own = [Some(port), sender.port()].into_iter().flatten().filter_map(udp_drops).sum();
        sender.end()?;
        receiver.end()?;
        let wire = emulator.stop()?;
        viewer.end(messages);
        Ok(Figures { messages, viewer, sent, own, wire })
    }

    /// Connects; again, over a network with another seed, where the handshake was lost: libsrt's callers give up then.
    fn connect_patiently(&self, pairing: Pairing, seed: u64, folder: &Path) -> Result<Connected, Fault> {
        let mut attempt = 0;
        loop {
            match self.connect(pairing, seed + attempt * OTHER_SEED, folder) {
                Err(fault) if attempt < 5 => {
                    let why = fault.to_string();
                    println!(
                        "{pairing}, seed {seed}: not connected, once more: {}",
                        why.lines().next().unwrap_or_default()
                    );
                    attempt += 1;
                }
                result => return result,
            }
        }
    }

    fn connect(&self, pairing: Pairing, seed: u64, folder: &Path) -> Result<Connected, Fault> {
        let [sender, receiver] = pairing.ends();
        let (port, waiting) = self.listen(receiver)?;
        let mut setup = Setup::new(localhost(0), localhost(port));
        (setup.to_target, setup.to_client, setup.seed) = (self.there.clone(), self.back.clone(), seed);
        let emulator = Emulator::start(setup)?;
        let sender = self.call(sender, emulator.local_addr(), folder)?;
        let receiver = waiting.accept()?;
        Ok(Connected { sender, receiver, port, emulator })
    }

    fn listen(&self, receiver: Make) -> Result<(u16, Waiting), Fault> {
        match receiver {
            Make::Ours => {
                let listener = SrtListener::bind(localhost(0), &self.options())?;
                Ok((listener.local_addr().port(), Waiting::Ours(listener)))
            }
            Make::Libsrt => {
                let port = free_port()?;
                let uri =
                    format!("srt://127.0.0.1:{port}?mode=listener&latency={}", self.latency.as_millis());
                let mut peer = self.libsrt()?.transmit(&uri, "file://con", &[])?;
                peer.bound(port)?;
                Ok((port, Waiting::Libsrt(peer)))
            }
        }
    }

    fn call(&self, sender: Make, to: SocketAddr, folder: &Path) -> Result<Sender, Fault> {
        match sender {
            Make::Ours => Ok(Sender::Ours(SrtSocket::connect(to, &self.options())?)),
            Make::Libsrt => {
                let port = free_port()?;
                let stats = folder.join("sender.json");
                let uri = format!("srt://{to}?mode=caller&port={port}&latency={}", self.latency.as_millis());
                let flag = format!("-statsout:{}", stats.display());
                let mut peer =
                    self.libsrt()?.transmit("file://con", &uri, &["-s:100", "-f", "-pf:json", &flag])?;
                peer.connected()?;
                let stdin = Some(peer.take_stdin());
                Ok(Sender::Libsrt { peer, stdin, stats, port })
            }
        }
    }

    fn libsrt(&self) -> Result<&Program, Fault> {
        self.libsrt.as_ref().ok_or_else(|| "no libsrt was given".into())
    }

    /// Both libraries get the latency, and are at their defaults in everything else.
    fn options(&self) -> Options {
        Options::new().latency(self.latency).receive_timeout(Some(STEP)).send_timeout(Some(PATIENCE))
    }

    /// Sends at the asked rate, until the receiver has what it needs.
    fn feed(&self, sender: &mut Sender, over: &AtomicBool) -> Result<(), Fault> {
        let began = Instant::now();
        let filling = self.message_filling();
        let between = MESSAGE as f64 * 8.0 / (self.rate_mbps as f64 * 1e6);
        for number in 0_u64.. {
            let due = began + Duration::from_secs_f64(number as f64 * between);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if over.load(Ordering::Relaxed) {
                break;
            }
            sender.send(&message(number, filling))?;
        }
        Ok(())
    }

    fn message_filling(&self) -> u64 {
        self.seeds.start
    }

    fn sum_up(&self, pairing: Pairing, runs: &[Figures]) {
        let sum = |of: fn(&Figures) -> u64| runs.iter().map(of).sum::<u64>();
        let (sent, missing) = (sum(|run| run.messages), sum(Figures::missing));
        let (low, high) = wilson(missing, sent);
        let per_run: Vec<(u64, u64)> = runs.iter().map(|run| (run.missing(), run.messages)).collect();
        println!(
            "{pairing}: {missing} of {sent} packets never reached the viewer: {}",
            percent(missing, sent)
        );
        let holes = sum(|run| run.viewer.holes);
        print!(
            "  95 %: {low:.4} to {high:.4} % if each packet had a fate of its own; they were lost in {holes} holes"
        );
        match clustered(&per_run) {
            Some((low, high)) => println!(", and by what seeds differ it is {low:.4} to {high:.4} %"),
            None => println!(),
        }
        let (again, unique) = (sum(|run| run.sent.again), sum(|run| run.sent.unique));
        println!(
            "  sent again: {again} of {unique}: {}; out of order {}, doubled {}, damaged {}",
            percent(again, unique),
            sum(|run| run.viewer.out_of_order),
            sum(|run| run.viewer.doubled),
            sum(|run| run.viewer.damaged)
        );
        let spoiled = sum(|run| run.spoiled());
        if spoiled > 0 {
            println!(
                "  NOT CLEAN: the system itself dropped {spoiled} datagrams, as the machine was too slow"
            );
        }
        println!("  again: {}", self.command(pairing));
    }

    /// What repeats the runs of this pairing.
    fn command(&self, pairing: Pairing) -> String {
        let libsrt = match &self.libsrt {
            Some(program) if pairing.ends().contains(&Make::Libsrt) => {
                format!(" --libsrt {}", program.path().display())
            }
            _ => String::new(),
        };
        format!(
            "cargo run --release -p srt-tests --bin viewer_loss -- --scene {} --pairing {pairing}{libsrt} --seconds {} \
             --first-seed {} --seeds {} --rate {} --profile {} --back-profile {} --latency {}",
            self.scene,
            self.seconds,
            self.seeds.start,
            self.seeds.end - self.seeds.start,
            self.rate_mbps,
            self.there,
            self.back,
            self.latency.as_millis()
        )
    }
}

impl Scene {
    const fn defaults(self) -> (&'static str, Duration, u64) {
        match self {
            Self::Recovery => ("delay=20ms,loss=5%", Duration::from_millis(120), 10),
            Self::Resends => {
                ("delay=50ms,jitter=5ms,jitter-order=free,loss=10%,burst=4", Duration::from_millis(400), 3)
            }
        }
    }
}

impl Pairing {
    /// Sender and receiver.
    const fn ends(self) -> [Make; 2] {
        match self {
            Self::OursOurs => [Make::Ours, Make::Ours],
            Self::OursLibsrt => [Make::Ours, Make::Libsrt],
            Self::LibsrtOurs => [Make::Libsrt, Make::Ours],
            Self::LibsrtLibsrt => [Make::Libsrt, Make::Libsrt],
        }
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

impl fmt::Display for Pairing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.to_possible_value().as_ref().map_or("", |value| value.get_name()))
    }
}

// ---------------------------------------------------------------------------- the two ends

struct Connected {
    sender: Sender,
    receiver: Receiver,
    /// The receiver's.
    port: u16,
    emulator: Emulator,
}

enum Waiting {
    Ours(SrtListener),
    Libsrt(Peer),
}

enum Sender {
    Ours(SrtSocket),
    Libsrt { peer: Peer, stdin: Option<ChildStdin>, stats: PathBuf, port: u16 },
}

enum Receiver {
    Ours(SrtSocket),
    Libsrt(Peer),
}

impl Waiting {
    fn accept(self) -> Result<Receiver, Fault> {
        Ok(match self {
            Self::Ours(listener) => Receiver::Ours(listener.accept_timeout(PATIENCE)?.0),
            Self::Libsrt(peer) => Receiver::Libsrt(peer),
        })
    }
}

impl Sender {
    fn send(&mut self, message: &[u8; MESSAGE]) -> Result<(), Fault> {
        match self {
            Self::Ours(socket) => {
                socket.send(message)?;
            }
            Self::Libsrt { peer, stdin: Some(stdin), .. } => {
                feed(stdin, [&message[..]]).map_err(|error| format!("{error}: {peer}"))?;
            }
            Self::Libsrt { .. } => return Err("the sender has ended".into()),
        }
        Ok(())
    }

    /// By its own books. libsrt's program writes them every 100 packets, so its last few are missing on both sides.
    fn counts(&self) -> Result<Sent, Fault> {
        match self {
            Self::Ours(socket) => {
                let stats = socket.stats(false);
                Ok(Sent { unique: stats.pkt_sent_unique_total, again: stats.pkt_retrans_total })
            }
            Self::Libsrt { stats, .. } => {
                let text = fs::read_to_string(stats)?;
                let last =
                    text.lines().rfind(|line| line.ends_with('}')).ok_or("libsrt wrote no statistics")?;
                let record: serde_json::Value = serde_json::from_str(last)?;
                let count = |key: &str| {
                    record["send"][key]
                        .as_u64()
                        .ok_or_else(|| format!("no {key} in libsrt's statistics: {last}"))
                };
                Ok(Sent { unique: count("packetsUnique")?, again: count("packetsRetransmitted")? })
            }
        }
    }

    fn port(&self) -> Option<u16> {
        Some(match self {
            Self::Ours(socket) => socket.local_addr().port(),
            Self::Libsrt { port, .. } => *port,
        })
    }

    fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Ours(socket) => socket.abort(),
            Self::Libsrt { peer, stdin, .. } => {
                *stdin = None;
                peer.end()?;
            }
        }
        Ok(())
    }
}

impl Receiver {
    /// Takes what is played until the last message that counts is behind us.
    fn view(
        &mut self,
        messages: u64,
        filling: u64,
        over: &AtomicBool,
        seen: &AtomicU64,
    ) -> Result<Viewer, Fault> {
        let mut viewer = Viewer::new(filling);
        let mut news = Instant::now();
        match self {
            Self::Ours(socket) => {
                let mut buffer = [0; 1500];
                while viewer.next <= messages && !over.load(Ordering::Relaxed) {
                    match socket.recv(&mut buffer) {
                        Ok(len) => viewer.take(&buffer[..len]),
                        Err(error) if error.is_timeout() => {}
                        Err(error) => return Err(error.into()),
                    }
                    watch(&viewer, seen, &mut news)?;
                }
            }
            Self::Libsrt(peer) => {
                let mut left = Vec::new();
                while viewer.next <= messages && !over.load(Ordering::Relaxed) {
                    // It is counted, not timed: looking now and then is enough.
                    thread::sleep(STEP);
                    left.append(&mut peer.take_output());
                    let whole = left.len() / MESSAGE * MESSAGE;
                    left.drain(..whole).as_slice().chunks(MESSAGE).for_each(|message| viewer.take(message));
                    watch(&viewer, seen, &mut news).map_err(|fault| format!("{fault}: {peer}"))?;
                }
            }
        }
        Ok(viewer)
    }

    fn end(&mut self) -> io::Result<()> {
        match self {
            Self::Ours(socket) => socket.abort(),
            Self::Libsrt(peer) => {
                peer.end()?;
            }
        }
        Ok(())
    }
}

/// Nothing waits for ever.
fn watch(viewer: &Viewer, seen: &AtomicU64, news: &mut Instant) -> Result<(), &'static str> {
    if seen.swap(viewer.next, Ordering::Relaxed) != viewer.next {
        *news = Instant::now();
    }
    if news.elapsed() > PATIENCE { Err("nothing arrives any more") } else { Ok(()) }
}

// ---------------------------------------------------------------------------- figures

/// What the sender counted.
#[derive(Clone, Copy, Debug, Default)]
struct Sent {
    unique: u64,
    again: u64,
}

/// The books of the viewer: messages in the order they are played.
#[derive(Debug)]
struct Viewer {
    filling: u64,
    /// One more than the highest number seen.
    next: u64,
    /// Passed over and not seen since.
    missing: std::collections::BTreeSet<u64>,
    /// Runs of missing messages.
    holes: u64,
    out_of_order: u64,
    doubled: u64,
    damaged: u64,
}

impl Viewer {
    const fn new(filling: u64) -> Self {
        let missing = std::collections::BTreeSet::new();
        Self { filling, next: 0, missing, holes: 0, out_of_order: 0, doubled: 0, damaged: 0 }
    }

    fn take(&mut self, bytes: &[u8]) {
        let number = bytes.first_chunk().map(|number| u64::from_be_bytes(*number));
        let Some(number) = number.filter(|number| bytes == message(*number, self.filling)) else {
            self.damaged += 1;
            return;
        };
        if number >= self.next {
            self.missing.extend(self.next..number);
            self.next = number + 1;
        } else if self.missing.remove(&number) {
            self.out_of_order += 1;
        } else {
            self.doubled += 1;
        }
    }

    /// Only the first `messages` count.
    fn end(&mut self, messages: u64) {
        drop(self.missing.split_off(&messages));
        self.missing.extend(self.next.min(messages)..messages);
        let before = |number: u64| number.checked_sub(1).is_some_and(|before| self.missing.contains(&before));
        self.holes = self.missing.iter().filter(|number| !before(**number)).count() as u64;
    }
}

/// One run.
#[derive(Debug)]
struct Figures {
    messages: u64,
    viewer: Viewer,
    sent: Sent,
    /// Datagrams that the system dropped at the two ends.
    own: u64,
    wire: Report,
}

impl Figures {
    fn missing(&self) -> u64 {
        self.viewer.missing.len() as u64
    }

    fn spoiled(&self) -> u64 {
        let ways = [&self.wire.to_target, &self.wire.to_client];
        self.own + ways.iter().map(|way| way.kernel_drops.unwrap_or(0) + way.overrun).sum::<u64>()
    }
}

/// From the seed of one attempt to connect to that of the next.
const OTHER_SEED: u64 = 1_000_003;

const HEADING: &str = "pairing         seed      sent delivered missing   holes disorder doubled damaged    again  again/sent \
                       spoiled  wire lost there/back  emulator late avg/max us";

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, viewer, sent, wire, .. } = self;
        let share = |way: &srt_impair::DirectionReport| percent(way.link.lost(), way.link.offered_packets);
        let ratio = percent(sent.again, sent.unique);
        write!(
            f,
            "{messages:>9} {:>9} {:>7} {:>7} {:>8} {:>7} {:>7} {:>8} {ratio:>11} {:>7}  {:>10} {:>10} {:>12}/{}",
            messages - self.missing(),
            self.missing(),
            viewer.holes,
            viewer.out_of_order,
            viewer.doubled,
            viewer.damaged,
            sent.again,
            self.spoiled(),
            share(&wire.to_target),
            share(&wire.to_client),
            wire.to_target.late_us_mean(),
            wire.to_target.late_us_max,
        )
    }
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.4} %", part as f64 / whole as f64 * 100.0) }
}

/// Wilson's interval, in percent.
fn wilson(hits: u64, tries: u64) -> (f64, f64) {
    let (hits, tries, z) = (hits as f64, tries.max(1) as f64, Z95);
    let share = hits / tries;
    let middle = share + z * z / (2.0 * tries);
    let half = z * (share * (1.0 - share) / tries + z * z / (4.0 * tries * tries)).sqrt();
    let scale = 100.0 / (1.0 + z * z / tries);
    ((middle - half).max(0.0) * scale, (middle + half) * scale)
}

/// The interval, in percent, by how much the runs differ: it holds however losses cluster within a run. `None` where
/// there are too few runs, or none differs.
fn clustered(runs: &[(u64, u64)]) -> Option<(f64, f64)> {
    let count = runs.len() as f64;
    let tries: u64 = runs.iter().map(|(_, tries)| tries).sum();
    let share = runs.iter().map(|(hits, _)| hits).sum::<u64>() as f64 / tries as f64;
    let spread: f64 = runs.iter().map(|(hits, tries)| (*hits as f64 - share * *tries as f64).powi(2)).sum();
    if runs.len() < 3 || spread == 0.0 {
        return None;
    }
    let half = student95(count - 1.0) * (spread * count / (count - 1.0)).sqrt() / tries as f64;
    Some(((share - half).max(0.0) * 100.0, (share + half) * 100.0))
}

/// Student's t for 95 %, by the first terms of its expansion; within 1 % from 3 degrees of freedom.
fn student95(freedom: f64) -> f64 {
    let z = Z95;
    let first = (z.powi(3) + z) / 4.0;
    let second = (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0;
    let third = (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0;
    z + first / freedom + second / freedom.powi(2) + third / freedom.powi(3)
}

const Z95: f64 = 1.959_963_984_540_054;

// ---------------------------------------------------------------------------- what it needs

/// Seven TS packets.
const MESSAGE: usize = 1316;
/// How long a look takes.
const STEP: Duration = Duration::from_millis(20);

/// Its number, then bytes that follow from it.
fn message(number: u64, filling: u64) -> [u8; MESSAGE] {
    let mut message = [0; MESSAGE];
    message[..8].copy_from_slice(&number.to_be_bytes());
    let mut state = (number ^ filling.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    for word in message[8..].chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_be_bytes()[..word.len()]);
    }
    message
}

fn localhost(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn version_of(program: &Program) -> Option<String> {
    let mut peer = program.start(["-version"]).ok()?;
    peer.wait().ok()?;
    let words = peer.stderr();
    let (_, version) = words.rsplit_once("SRT Library version: ")?;
    Some(version.split([',', '\n']).next()?.to_owned())
}

/// For libsrt's statistics; gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("viewer-loss-{}-{count}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left over does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn viewer(numbers: &[u64], messages: u64) -> Viewer {
        let mut viewer = Viewer::new(1);
        numbers.iter().for_each(|number| viewer.take(&message(*number, 1)));
        viewer.end(messages);
        viewer
    }

    #[test]
    fn the_command_line_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_is_missing_is_counted_with_its_holes_and_what_follows_does_not_count() {
        let found = viewer(&[0, 1, 4, 6, 7, 12, 20], 12);
        assert_eq!(found.missing.into_iter().collect::<Vec<_>>(), [2, 3, 5, 8, 9, 10, 11]);
        assert_eq!((found.holes, found.out_of_order, found.doubled, found.damaged), (3, 0, 0, 0));
    }

    #[test]
    fn an_end_that_never_came_is_missing() {
        let found = viewer(&[0, 1], 5);
        assert_eq!((found.missing.len(), found.holes), (3, 1));
    }

    #[test]
    fn late_doubled_and_damaged_messages_are_told_apart() {
        let mut found = Viewer::new(1);
        for number in [0, 2, 1, 1, 3] {
            found.take(&message(number, 1));
        }
        let mut wrong = message(4, 1);
        wrong[900] ^= 1;
        found.take(&wrong);
        found.take(&message(4, 2));
        found.end(4);
        assert_eq!((found.out_of_order, found.doubled, found.damaged, found.missing.len()), (1, 1, 2, 0));
    }

    #[test]
    fn the_intervals_are_those_of_the_textbooks() {
        let (low, high) = wilson(10, 100);
        assert!((low - 5.523).abs() < 0.01 && (high - 17.437).abs() < 0.01, "{low} {high}");
        assert!(wilson(0, 1_000_000).0.abs() < 1e-12);
        assert!((student95(9.0) - 2.262).abs() < 0.005 && (student95(3.0) - 3.182).abs() < 0.05);
        // Three runs of 100 with 1, 2 and 3: 2 % ± 4.303 · 1/√3 / 100.
        let (low, high) = clustered(&[(1, 100), (2, 100), (3, 100)]).unwrap();
        assert!(low == 0.0 && (high - 4.48).abs() < 0.15, "{low} {high}");
        assert!(clustered(&[(1, 100), (2, 100)]).is_none() && clustered(&[(0, 9); 5]).is_none());
    }
}
