//! What `send`, `receive`, `transmit` and srt-live-transmit have in common: open both media, pump, report.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use srt::SrtSocket;

use crate::args::StreamArgs;
use crate::error::Failure;
use crate::log::{self, LogPlan};
use crate::media::srt::{Link, Observer, Role};
use crate::media::uri::masked;
use crate::media::{MediaUri, Scheme, Setup, open_sink, open_source};
use crate::pump::{Counters, Pump, Tap};
use crate::report::{Reporter, StatsPlan, verdict};
use crate::stats_format::{ToolFormat, ToolWriter};
use crate::stop::{self, Stop};
use crate::talk::{Talk, Volume};
use crate::units::show_counted;

/// Messages a source gives in one read.
const ROOM: usize = 64;
/// How often the report looks.
const TICK: Duration = Duration::from_millis(50);

/// A transfer as it was ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    /// Address of the input.
    pub(crate) input: String,
    /// Address of the output.
    pub(crate) output: String,
    /// Bytes per message of files and pipes.
    pub(crate) chunk: usize,
    /// Messages per read at most.
    pub(crate) room: usize,
    /// Bits per second of files and pipes.
    pub(crate) rate: Option<u64>,
    /// Whether links are made anew.
    pub(crate) reconnect: bool,
    /// Whether the time of origin is passed on.
    pub(crate) source_time: bool,
    /// When to end.
    pub(crate) limit: Option<TimeLimit>,
    /// Statistics in a file.
    pub(crate) stats: Option<StatsPlan>,
    /// Set when this is srt-live-transmit.
    pub(crate) tool: Option<ToolPlan>,
    /// How much is said.
    pub(crate) volume: Volume,
    /// What is logged.
    pub(crate) log: LogPlan,
}

/// An end by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimeLimit {
    /// After the start.
    pub(crate) after: Duration,
    /// Whether a connection lifts the limit.
    pub(crate) until_connected: bool,
}

/// What srt-live-transmit does otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ToolPlan {
    /// A record of statistics every so many packets; 0 = none.
    pub(crate) stats_every: u64,
    /// A line about the bandwidth every so many packets; 0 = none.
    pub(crate) bandwidth_every: u64,
    /// Instead of stdout.
    pub(crate) stats_file: Option<PathBuf>,
    /// Of the records.
    pub(crate) format: ToolFormat,
    /// Figures since the start instead of since the last record.
    pub(crate) full: bool,
}

impl Transfer {
    /// As the flags of `srt` say.
    pub(crate) fn new(input: String, output: String, args: StreamArgs) -> Self {
        let volume = match (args.quiet, args.verbose) {
            (true, _) => Volume::Quiet,
            (false, 0) => Volume::Normal,
            (false, _) => Volume::Verbose,
        };
        let level = match args.verbose {
            0 | 1 => "warn",
            2 => "info",
            3 => "debug",
            _ => "trace",
        };
        let (format, interval) = (args.stats_format, args.stats_interval);
        Self {
            input,
            output,
            chunk: args.chunk,
            room: ROOM,
            rate: args.rate,
            reconnect: args.reconnect,
            source_time: false,
            limit: args.duration.map(|after| TimeLimit { after, until_connected: false }),
            stats: args.stats.map(|path| StatsPlan { path, format, interval }),
            tool: None,
            volume,
            log: LogPlan { level: if args.quiet { "error" } else { level }.to_owned(), file: None },
        }
    }

    /// Runs until the input ends, Ctrl-C or the time limit ends it in order, or something fails.
    ///
    /// # Errors
    /// What ended it before its time.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let (input, output) = (MediaUri::parse(&self.input)?, MediaUri::parse(&self.output)?);
        let talk = Talk::stderr(self.volume, self.tool.is_none());
        log::start(&self.log, &talk)?;
        let stop = Stop::default();
        if let Err(error) = stop::on_signal(&stop) {
            talk.detail(format!("Ctrl-C will end the program at once: {error}"));
        }
        let (from, to) = (masked(&self.input), masked(&self.output));
        if self.tool.is_some() {
            talk.say(format!("Media path: '{from}' --> '{to}'"));
        } else {
            talk.detail(format!("{from} to {to}"));
        }
        let setup = Setup {
            chunk: self.chunk,
            rate: self.rate,
            reconnect: self.reconnect,
            source_time: self.source_time,
            stop: stop.clone(),
            talk: talk.clone(),
        };
        let mut stats_out = self.stats_out(output.scheme)?;
        let mut link = |uri: &MediaUri, role| -> Result<Option<Link>, Failure> {
            if uri.scheme != Scheme::Srt {
                return Ok(None);
            }
            let mut link = Link::open(&uri.text, role, &setup)?;
            if let Some((plan, out)) = &mut stats_out {
                link.speak_as_the_tool();
                link.observe(observer(plan, Arc::clone(out)));
            } else {
                link.announce();
            }
            Ok(Some(link))
        };
        let output_link = link(&output, Role::Target)?;
        let input_link = link(&input, Role::Source)?;
        let monitors = (input_link.as_ref().map(Link::monitor), output_link.as_ref().map(Link::monitor));
        // What the output takes bounds what the input may give; an output file is made anew only when the input is there.
        let limit = output_link.as_ref().map(Link::max_message);
        let source = open_source(&input, &setup, limit, input_link)?;
        let sink = open_sink(&output, &setup, output_link)?;
        let sending = monitors.1.clone();

        let counters = Arc::new(Counters::default());
        let checked = output.scheme == Scheme::Test;
        let tap = (checked || input.scheme == Scheme::Srt).then(|| Arc::new(Mutex::new(Tap::new())));
        let mut reporter = Reporter::new(&talk, &counters, monitors, tap.clone(), self.stats.as_ref())?;
        let pump = Pump { stop: stop.clone(), counters, tap: tap.clone(), room: self.room };
        let result = pump.run(source, sink, TICK, || {
            reporter.tick();
            if let Some(limit) = self.limit
                && reporter.elapsed() >= limit.after
                && !(limit.until_connected && reporter.ever_connected())
            {
                stop.ask();
            }
        });
        reporter.finish(self.tool.is_some() || (result.is_err() && reporter.never_connected()));
        let unpaced = matches!(input.scheme, Scheme::File | Scheme::Stdio) && self.rate.is_none();
        let given_up = sending.map_or(0, |sending| sending.totals().dropped_by_sender);
        if unpaced && given_up > 0 {
            talk.warn(format!(
                "{} too late to be played were not sent: the input came faster than the path carries; pace it with --rate",
                show_counted(given_up, "packet")
            ));
        }
        result?;
        if checked { judge(tap.as_deref()) } else { Ok(()) }
    }

    /// Where the records of srt-live-transmit go.
    fn stats_out(&self, output: Scheme) -> Result<Option<(ToolPlan, Out)>, Failure> {
        let Some(plan) = &self.tool else { return Ok(None) };
        let wanted = plan.stats_every > 0 || plan.bandwidth_every > 0;
        let out: Box<dyn Write + Send> = match &plan.stats_file {
            Some(path) => Box::new(crate::report::create(path)?),
            None if wanted && output == Scheme::Stdio => {
                return Err(Failure::Conflict(
                    "statistics and data would both go to stdout; send the statistics to a file with -statsout:FILE",
                ));
            }
            None => Box::new(io::stdout()),
        };
        Ok(Some((plan.clone(), Arc::new(Mutex::new(out)))))
    }
}

type Out = Arc<Mutex<Box<dyn Write + Send>>>;

/// Writes a record each time so many packets have passed.
fn observer(plan: &ToolPlan, out: Out) -> Observer {
    let mut writer = ToolWriter::new(plan.format);
    let (mut stats, mut bandwidth) = (Every::new(plan.stats_every), Every::new(plan.bandwidth_every));
    let clear = !plan.full;
    Box::new(move |messages: usize, socket: &SrtSocket| {
        // Several may be due at once: packets come in batches, records by the packet.
        for _ in 0..bandwidth.due(messages) {
            eprint!("{}", writer.bandwidth(&socket.stats(false)));
        }
        for _ in 0..stats.due(messages) {
            let text = writer.record(socket.id().value(), &socket.stats(clear), SystemTime::now());
            let mut out = out.lock().unwrap_or_else(PoisonError::into_inner);
            // Statistics that cannot be written are no reason to end the stream.
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        }
    })
}

/// Counts to a number again and again.
#[derive(Clone, Copy, Debug)]
struct Every {
    number: u64,
    count: u64,
}

impl Every {
    fn new(number: u64) -> Self {
        // The tool counts from 1 and strikes one early.
        Self { number, count: 1 }
    }

    /// How often the number was reached within these `messages`.
    fn due(&mut self, messages: usize) -> u64 {
        if self.number == 0 {
            return 0;
        }
        let before = self.count / self.number;
        self.count += messages as u64;
        self.count / self.number - before
    }
}

/// `test://` as an output: the stream must have come through whole.
fn judge(tap: Option<&Mutex<Tap>>) -> Result<(), Failure> {
    let findings = tap.and_then(|tap| tap.lock().unwrap_or_else(PoisonError::into_inner).findings());
    match findings {
        None => Err(Failure::NoTestStream),
        Some(found) if found.broken() => Err(Failure::BrokenStream(verdict(&found))),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_due_each_time_the_number_is_reached() {
        let mut every = Every::new(10);
        let due: Vec<usize> = (1..=40).filter(|_| every.due(1) == 1).collect();
        assert_eq!(due, [9, 19, 29, 39], "as the tool counts");
        assert_eq!(every.due(25), 2, "also when many pass at once");
        assert_eq!(Every::new(0).due(1_000), 0);
    }
}
