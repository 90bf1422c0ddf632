//! `srt bench`: how fast, and at what cost. Load and sink in one process, or one of them here and the other elsewhere.
//!
//! - [`load`]: connections that send, paced or as fast as it goes
//! - [`sink`]: connections that receive; counts and times what comes
//! - [`figures`]: what the process has used, and the report

mod figures;
mod load;
mod sink;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use srt::{Options, Runtime, SocketOption, SrtListener};

use self::figures::{Figures, Usage};
use self::load::{Load, Pace};
use self::sink::Sink;
use crate::commands::impair::resolve;
use crate::error::Failure;
use crate::media::uri::masked_pair;
use crate::secret::Secret;
use crate::stop::{self, Stop};
use crate::talk::{Talk, Volume};
use crate::units::{parse_rate, parse_span, show_counted};

/// `srt bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// Connections at once
    #[arg(long, short = 'n', value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    connections: u32,
    /// Bit rate of each connection: 20M, 1.5Mbps; or max: as fast as it goes
    #[arg(long, value_name = "RATE", default_value = "max", value_parser = parse_pace)]
    rate: Pace,
    /// How long to send
    #[arg(long, short = 't', value_name = "SPAN", default_value = "10s", value_parser = parse_span)]
    duration: Duration,
    /// Bytes of a message, 16 to 1456
    #[arg(long, value_name = "BYTES", default_value_t = 1316, value_parser = clap::value_parser!(u16).range(16..=1456))]
    size: u16,
    /// An option of all sockets, as in an srt:// address; may be repeated: -o latency=20 -o fc=128000
    #[arg(long = "option", short = 'o', value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// Encrypt with the passphrase in this file; without it, with the one in the variable SRT_PASSPHRASE, if it is set
    ///
    /// The file holds the passphrase, 10 to 80 bytes; one end of line does not count. -o passphrase= goes before, and encrypts
    /// nothing when it is empty; but what stands there is seen by all who may list the processes.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Large buffers and windows for throughput: latency=20 fc=128000 sndbuf=rcvbuf=150000000 maxbw=2500000000
    #[arg(long)]
    tuned: bool,
    /// Worker threads; default: one for each processor, at most 2
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,
    /// Only send, to `srt bench --receive` there
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "receive")]
    send: Option<String>,
    /// Only receive, at this address and port
    #[arg(long, value_name = "ADDRESS:PORT")]
    receive: Option<SocketAddr>,
    /// Write the figures as one line of JSON to standard output
    #[arg(long)]
    json: bool,
}

fn parse_pace(text: &str) -> Result<Pace, String> {
    match text {
        "max" => Ok(Pace::Max),
        rate => match parse_rate(rate) {
            Ok(0) => Err("0 sends nothing; give a rate, or max".into()),
            Ok(bits_per_second) => Ok(Pace::Rate { bits_per_second }),
            Err(error) => Err(format!("{error}, or max")),
        },
    }
}

/// # Errors
/// Wrong options, a port that cannot be had, connections that are not made or break.
pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    let talk = Talk::stderr(Volume::Normal, true);
    let stop = Stop::default();
    if let Err(error) = stop::on_signal(&stop) {
        talk.warn(format!("Ctrl-C will end the program without figures: {error}"));
    }
    let runtime = match args.workers {
        Some(workers) => Runtime::new(usize::from(workers)),
        None => Runtime::default_handle(),
    }
    .map_err(Failure::Bench)?;
    let (options, told) = args.socket_options(&runtime, &talk)?;
    talk.say(format!(
        "{}, {} each, messages of {} bytes, {} workers; {told}",
        show_counted(u64::from(args.connections), "connection"),
        args.rate,
        args.size,
        runtime.workers(),
    ));
    let before = Usage::now();
    let figures = match (&args.send, args.receive) {
        (Some(to), _) => {
            let mut load = args.load(resolve("--send", to)?, &options)?;
            load.connected = before;
            load.run(args.duration, &stop)?;
            load.close();
            Figures::new(args, Some(&load), None)
        }
        (None, Some(at)) => {
            let listener = SrtListener::bind(at, &options).map_err(Failure::Bench)?;
            talk.say(format!("waiting for callers on {}; Ctrl-C ends it", listener.local_addr()));
            let sink = Sink::accept(&listener, args.connections as usize, &stop)?;
            Figures::new(args, None, Some(&sink.run(&stop, None)?))
        }
        (None, None) => both(args, &options, before, &stop)?,
    };
    for line in figures.words() {
        talk.say(line);
    }
    if args.json {
        println!("{}", figures.json());
    }
    figures.verdict()
}

/// Load and sink in this process, over loopback.
fn both(args: &BenchArgs, options: &Options, before: Usage, stop: &Stop) -> Result<Figures, Failure> {
    let listener = SrtListener::bind("127.0.0.1:0", options).map_err(Failure::Bench)?;
    let to = listener.local_addr();
    let all_sent = &AtomicBool::new(false);
    let (ready, may_send) = mpsc::channel();
    thread::scope(|scope| {
        let sink = scope.spawn(move || {
            let sink = Sink::accept(&listener, args.connections as usize, stop);
            // The load waits until all are accepted; it learns of a failure by the end of the channel.
            if sink.is_ok() {
                ready.send(()).ok();
            }
            drop(ready);
            sink?.run(stop, Some(all_sent))
        });
        let load = args.load(to, options).and_then(|mut load| {
            if may_send.recv().is_ok() {
                load.connected = before;
                load.run(args.duration, stop)?;
                load.close();
            }
            Ok(load)
        });
        all_sent.store(true, Ordering::Release);
        let sink = sink.join().map_err(|_| Failure::Conflict("the receiving thread panicked"))?;
        Ok(Figures::new(args, Some(&load?), Some(&sink?)))
    })
}

impl BenchArgs {
    /// The options of all sockets, and the ones to be told.
    fn socket_options(&self, runtime: &Runtime, talk: &Talk) -> Result<(Options, String), Failure> {
        // The sink's port is spread over as many as were asked for.
        let workers = usize::from(self.workers.unwrap_or(1));
        let mut options = Options::new().backlog(60_000).runtime(runtime).workers(workers);
        let tuned = if self.tuned { TUNED } else { &[] };
        let mut told: Vec<String> = Vec::new();
        let mut own_passphrase = false;
        for text in tuned.iter().copied().chain(self.options.iter().map(String::as_str)) {
            let (key, value) = text.split_once('=').ok_or_else(|| Failure::BenchOption {
                option: masked_pair(text),
                fault: "an option is KEY=VALUE; `srt help options` lists them".to_owned(),
            })?;
            options.set_text(key, value).map_err(|error| Failure::BenchOption {
                option: masked_pair(text),
                fault: error.to_string(),
            })?;
            told.push(masked_pair(text));
            own_passphrase |= SocketOption::from_name(key) == Ok(SocketOption::Passphrase);
        }
        let secret = Secret::find(self.passphrase_file.as_deref(), talk)?;
        if let Some(secret) = secret.filter(|_| !own_passphrase) {
            options.set(SocketOption::Passphrase, secret.checked()?).map_err(Failure::Bench)?;
            told.push(format!("passphrase of {}", secret.place()));
        }
        let told = if told.is_empty() { "options at their defaults".to_owned() } else { told.join(" ") };
        Ok((options, told))
    }

    fn load(&self, to: SocketAddr, options: &Options) -> Result<Load, Failure> {
        let began = Instant::now();
        let mut load = Load::connect(to, self.connections, usize::from(self.size), self.rate, options)?;
        load.connect_time = began.elapsed();
        Ok(load)
    }
}

/// What lets one live stream go as fast as it can: at the defaults buffers and latency end it near 0.7 Gb/s.
const TUNED: &[&str] =
    &["latency=20", "fc=128000", "sndbuf=150000000", "rcvbuf=150000000", "maxbw=2500000000"];
