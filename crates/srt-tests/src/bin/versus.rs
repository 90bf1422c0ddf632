//! Ours against libsrt: the same load, the same options, in turn, in one run on one machine.
//!
//! The load on our side is `srt bench`; on libsrt's a small program in C ([`LOAD`]) that does the same with its public API. It
//! is compiled here, when it is needed, with `cc` against the libsrt that pkg-config knows or that `--libsrt` names; nothing
//! of the workspace needs libsrt to be built or tested.
//!
//! Figures of a busy machine are worth little; the ratio of two runs that follow one another is worth more. So each pair gives
//! one ratio, and what is told is the median and the spread of those.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use clap::{Parser, ValueEnum};

type Fault = Box<dyn Error + Send + Sync>;

/// The load in C.
const LOAD: &str = include_str!("../versus/load.c");

/// Compares our throughput, processor time, memory and threads with libsrt's under the same load
#[derive(Clone, Debug, Parser)]
#[command(after_help = "\
Examples:
  versus --quick                                     a look at every row, in a minute
  versus --pairs 5                                   the whole table
  versus --row many100 --libsrt /opt/srt --seconds 6
  versus --connections 10 --rate 20000000 latency=200 a row of one's own: any option that both know")]
struct Args {
    /// What to compare; default: all
    #[arg(long, value_enum)]
    row: Vec<Row>,
    /// Runs of each, in turn
    #[arg(long, default_value_t = 3)]
    pairs: usize,
    /// Seconds of each run
    #[arg(long, default_value_t = 6)]
    seconds: u32,
    /// A libsrt built elsewhere: the folder with include/ and lib/; default: the one pkg-config knows
    #[arg(long, value_name = "DIR")]
    libsrt: Option<PathBuf>,
    /// Worker threads of ours
    #[arg(long)]
    workers: Option<u32>,
    /// A row of one's own: so many connections
    #[arg(long, conflicts_with = "row")]
    connections: Option<u32>,
    /// Bits per second of each connection of that row; 0: as fast as it goes
    #[arg(long, default_value_t = 0, requires = "connections")]
    rate: u64,
    /// Options of that row: latency, fc, sndbuf, rcvbuf, udp_sndbuf, udp_rcvbuf, maxbw, passphrase, pbkeylen, cryptomode, kmrefreshrate
    #[arg(value_name = "KEY=VALUE", requires = "connections")]
    options: Vec<String>,
    /// One pair of one second a row
    #[arg(long)]
    quick: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Row {
    /// One live stream, as fast as it goes, with large buffers
    Single,
    /// The same with every option at its default
    Defaults,
    /// One live stream of 1 Gb/s, with large buffers
    Gigabit,
    /// One live stream as fast as it goes, AES-128-CTR
    Ctr128,
    /// The same with AES-256-CTR
    Ctr256,
    /// The same with AES-256-GCM, which libsrt has to be built with
    Gcm256,
    /// One live stream of 20 Mb/s: how evenly it is delivered
    Live,
    /// 100 live streams of 1 Mb/s
    Many100,
    /// 500 live streams of 1 Mb/s
    Many500,
}

/// One load.
struct Load {
    name: String,
    connections: u32,
    rate: u64,
    options: Vec<String>,
}

/// What a run measured, by name.
type Figures = BTreeMap<String, f64>;

/// Ours, and libsrt's where it came to an end.
type Pair = (Figures, Option<Figures>);

fn main() -> ExitCode {
    let mut words: Vec<OsString> = env::args_os().collect();
    if words.get(1).is_some_and(|word| word == OURS) {
        // The load on our side is a process of its own, like libsrt's.
        words[1] = "bench".into();
        return srt_cli::run(words);
    }
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("versus: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// What makes this program our side of the comparison.
const OURS: &str = "ours-alone";

fn run(args: &Args) -> Result<(), Fault> {
    let folder = Folder::new()?;
    let theirs = compile(args.libsrt.as_deref(), &folder.0)?;
    let ours = env::current_exe()?;
    let (pairs, seconds) = if args.quick { (1, 1) } else { (args.pairs.max(1), args.seconds.max(1)) };
    println!("libsrt {}; {pairs} pairs of {seconds} s", theirs.version);
    for load in loads(args) {
        let mut runs = Vec::new();
        for _ in 0..pairs {
            let ours = load.ours(&ours, args.workers, seconds)?;
            let theirs = load.theirs(&theirs.program, seconds);
            if let Err(fault) = &theirs {
                println!("libsrt gave no figures for {}: {fault}", load.name);
            }
            runs.push((ours, theirs.ok()));
        }
        println!("\n{}; {}", load.name, load.told());
        print!("{}", table(&runs));
    }
    Ok(())
}

fn loads(args: &Args) -> Vec<Load> {
    if let Some(connections) = args.connections {
        let name = "a row of one's own".to_owned();
        return vec![Load { name, connections, rate: args.rate, options: args.options.clone() }];
    }
    let rows = if args.row.is_empty() { Row::value_variants() } else { args.row.as_slice() };
    rows.iter().map(|row| row.load()).collect()
}

impl Row {
    fn load(self) -> Load {
        let large = ["latency=20", "fc=128000", "sndbuf=150000000", "rcvbuf=150000000", "maxbw=2500000000"];
        let (name, connections, rate, options): (_, _, _, &[&str]) = match self {
            Self::Single => ("one live stream as fast as it goes", 1, 0, &large),
            Self::Defaults => ("one live stream as fast as it goes, at the defaults", 1, 0, &[]),
            Self::Gigabit => ("one live stream of 1 Gb/s", 1, 1_000_000_000, &large),
            Self::Ctr128 => ("one live stream as fast as it goes, AES-128-CTR", 1, 0, &large),
            Self::Ctr256 => ("one live stream as fast as it goes, AES-256-CTR", 1, 0, &large),
            Self::Gcm256 => ("one live stream as fast as it goes, AES-256-GCM", 1, 0, &large),
            Self::Live => ("one live stream of 20 Mb/s", 1, 20_000_000, &[]),
            Self::Many100 => ("100 live streams of 1 Mb/s", 100, 1_000_000, &[]),
            Self::Many500 => ("500 live streams of 1 Mb/s", 500, 1_000_000, &["conntimeo=30000"]),
        };
        let cipher: &[&str] = match self {
            Self::Ctr128 => &["passphrase=0123456789", "pbkeylen=16"],
            Self::Ctr256 => &["passphrase=0123456789", "pbkeylen=32"],
            Self::Gcm256 => &["passphrase=0123456789", "pbkeylen=32", "cryptomode=2"],
            _ => &[],
        };
        let options = options.iter().chain(cipher).map(|&option| option.to_owned()).collect();
        Load { name: name.to_owned(), connections, rate, options }
    }
}

impl Load {
    fn told(&self) -> String {
        let options =
            if self.options.is_empty() { "options at their defaults".into() } else { self.options.join(" ") };
        format!(
            "{} connections, messages of 1316 bytes, both ends in one process; {options}",
            self.connections
        )
    }

    fn ours(&self, program: &Path, workers: Option<u32>, seconds: u32) -> Result<Figures, Fault> {
        let mut command = Command::new(program);
        command.args([OURS, "--json", "-n", &self.connections.to_string(), "-t", &format!("{seconds}s")]);
        command.arg("--rate").arg(if self.rate == 0 { "max".to_owned() } else { self.rate.to_string() });
        for option in &self.options {
            command.arg("-o").arg(option);
        }
        if let Some(workers) = workers {
            command.arg("--workers").arg(workers.to_string());
        }
        measure(&mut command)
    }

    fn theirs(&self, program: &Path, seconds: u32) -> Result<Figures, Fault> {
        let mut command = Command::new(program);
        command.arg(self.connections.to_string()).arg(self.rate.to_string());
        command.arg((seconds * 1_000).to_string()).arg("1316").args(&self.options);
        measure(&mut command)
    }
}

fn measure(command: &mut Command) -> Result<Figures, Fault> {
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    // Whoever lost messages says so with its exit code; the figures are there all the same.
    let line = text.lines().last().ok_or_else(|| {
        format!("ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())
    })?;
    let value: serde_json::Value = serde_json::from_str(line)?;
    let mut figures = Figures::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        match value {
            serde_json::Value::Object(inner) => figures.extend(
                inner.iter().filter_map(|(key, value)| Some((format!("{name}.{key}"), value.as_f64()?))),
            ),
            value => figures.extend(value.as_f64().map(|value| (name.clone(), value))),
        }
    }
    // Messages are stamped when they are made, so all but a constant part of the time to their reading is jitter.
    if let (Some(most), Some(middle)) = (figures.get("latency_us.p99"), figures.get("latency_us.p50")) {
        figures.insert("jitter_us".to_owned(), most - middle);
    }
    Ok(figures)
}

/// What is compared: its name, what it is divided by to be shown, and its unit.
const SHOWN: [(&str, f64, &str); 10] = [
    ("throughput_bps", 1e9, "Gb/s"),
    ("cpu_seconds_per_gigabit", 1.0, "CPU s a gigabit"),
    ("cpu_seconds", 1.0, "CPU s"),
    ("memory_bytes_per_connection", 1e3, "kB a connection"),
    ("threads", 1.0, "threads"),
    ("connect_seconds", 1e-3, "ms to connect all"),
    ("messages_missing", 1.0, "messages missing"),
    ("latency_us.p50", 1e3, "ms latency, median"),
    ("latency_us.p99", 1e3, "ms latency, 99 %"),
    ("jitter_us", 1.0, "us from median to 99 %"),
];

fn table(runs: &[Pair]) -> String {
    let mut text =
        format!("{:>22} {:>10} {:>10}   ours / libsrt: median (least to most)\n", "", "ours", "libsrt");
    for (name, unit_size, unit) in SHOWN {
        let all: Vec<f64> = runs.iter().filter_map(|(ours, _)| ours.get(name).copied()).collect();
        let pairs: Vec<(f64, f64)> = runs
            .iter()
            .filter_map(|(ours, theirs)| Some((*ours.get(name)?, *theirs.as_ref()?.get(name)?)))
            .collect();
        if all.is_empty() {
            continue;
        }
        let middle = |figures: &mut Vec<f64>| {
            figures.sort_by(f64::total_cmp);
            figures[figures.len() / 2]
        };
        let ours = middle(&mut all.iter().map(|figure| figure / unit_size).collect());
        if pairs.is_empty() {
            writeln!(text, "{unit:>22} {ours:>10.3} {:>10}", "-").ok();
            continue;
        }
        let theirs = middle(&mut pairs.iter().map(|pair| pair.1 / unit_size).collect());
        let mut ratios: Vec<f64> =
            pairs.iter().filter(|pair| pair.1 > 0.0).map(|pair| pair.0 / pair.1).collect();
        write!(text, "{unit:>22} {ours:>10.3} {theirs:>10.3}").ok();
        if !ratios.is_empty() {
            let ratio = middle(&mut ratios);
            let (least, most) = (ratios[0], ratios[ratios.len() - 1]);
            write!(text, "   {ratio:.3} ({least:.3} to {most:.3})").ok();
        }
        text.push('\n');
    }
    text
}

/// libsrt's side.
struct Theirs {
    program: PathBuf,
    version: String,
}

/// Compiles the load against libsrt.
fn compile(libsrt: Option<&Path>, folder: &Path) -> Result<Theirs, Fault> {
    let source = folder.join("load.c");
    fs::write(&source, LOAD)?;
    let program = folder.join("load");
    let (flags, version) = match libsrt {
        Some(place) => {
            let (include, lib) = (place.join("include"), place.join("lib"));
            let flags = vec![
                format!("-I{}", include.display()),
                format!("-L{}", lib.display()),
                format!("-Wl,-rpath,{}", lib.display()),
                "-lsrt".to_owned(),
            ];
            (flags, place.display().to_string())
        }
        None => {
            let ask = |what: &[&str]| -> Result<String, Fault> {
                let missing = "there is no libsrt to compare with: install libsrt-openssl-dev and pkg-config, or name one with --libsrt";
                let output =
                    Command::new("pkg-config").args(what).arg("srt").output().map_err(|_| missing)?;
                if !output.status.success() {
                    return Err(missing.into());
                }
                Ok(String::from_utf8(output.stdout)?.trim().to_owned())
            };
            let flags = ask(&["--cflags", "--libs"])?;
            (flags.split_whitespace().map(str::to_owned).collect(), ask(&["--modversion"])?)
        }
    };
    let output = Command::new("cc")
        .args(["-O2", "-pthread", "-o"])
        .arg(&program)
        .arg(&source)
        .args(&flags)
        .output()
        .map_err(|error| format!("the C compiler cc cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(
            format!("the load in C was not compiled: {}", String::from_utf8_lossy(&output.stderr)).into()
        );
    }
    Ok(Theirs { program, version })
}

/// A folder for the time of a comparison.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self, Fault> {
        let path = env::temp_dir().join(format!("srt-versus-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
