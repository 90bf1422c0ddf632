//! What `send`, `receive`, `transmit` and srt-live-transmit have in common: open both media, pump, report.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use srt::{GroupMode, SrtSocket};

use crate::args::StreamArgs;
use crate::error::{Failure, UriProblem};
use crate::files;
use crate::log::{self, LogPlan};
use crate::media::lenient::{Side, lenient};
use crate::media::links::{Bonding, largest_message};
use crate::media::srt::{LARGEST_LIVE_PAYLOAD, Link, Monitor, Observer, Role};
use crate::media::uri::masked;
use crate::media::{MediaUri, Scheme, Setup, open_sink, open_source};
use crate::pump::{Counters, Pump, Tap};
use crate::report::{Reporter, StatsFile, StatsPlan, verdict};
use crate::secret::Secret;
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
    /// How the address of one end is meant, and what further ones there are; of the other, and without this of both, as
    /// srt-live-transmit means it.
    pub(crate) bonding: Option<(Role, Bonding)>,
    /// Bytes per message of files and pipes.
    pub(crate) chunk: usize,
    /// Messages per read at most.
    pub(crate) room: usize,
    /// Bits per second of files and pipes.
    pub(crate) rate: Option<u64>,
    /// Whether links are made anew.
    pub(crate) reconnect: bool,
    /// Where the passphrase of addresses without one is read.
    pub(crate) passphrase_file: Option<PathBuf>,
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
            bonding: None,
            chunk: args.chunk,
            room: ROOM,
            rate: args.rate,
            reconnect: args.reconnect,
            passphrase_file: args.passphrase_file,
            source_time: false,
            limit: args.duration.map(|after| TimeLimit { after, until_connected: false }),
            stats: args.stats.map(|path| StatsPlan { path, format, interval }),
            tool: None,
            volume,
            log: LogPlan { level: if args.quiet { "error" } else { level }.to_owned(), file: None },
        }
    }

    /// Of `srt send` and `srt receive`: SRT at the end that has this role, at one address or several, and `other` at the other.
    ///
    /// # Errors
    /// An address that is not SRT's.
    pub(crate) fn bonded(
        role: Role,
        mut addresses: Vec<String>,
        other: String,
        mode: Option<GroupMode>,
        args: StreamArgs,
    ) -> Result<Self, Failure> {
        for address in &addresses {
            let uri = MediaUri::parse(address)?;
            if uri.scheme != Scheme::Srt {
                return Err(uri.fault(UriProblem::NotSrt).into());
            }
        }
        if addresses.is_empty() {
            return Err(Failure::Conflict("an SRT address is needed: srt://HOST:PORT"));
        }
        let first = addresses.remove(0);
        let (input, output) = match role {
            Role::Source => (first, other),
            Role::Target => (other, first),
        };
        let bonding = Bonding { own: true, mode, further: addresses };
        Ok(Self { bonding: Some((role, bonding)), ..Self::new(input, output, args) })
    }

    /// How the address of this end is meant.
    fn bonding_of(&self, role: Role) -> Bonding {
        let bonding = self.bonding.as_ref().filter(|(which, _)| *which == role);
        bonding.map(|(_, bonding)| bonding.clone()).unwrap_or_default()
    }

    /// Runs until the input ends, Ctrl-C or the time limit ends it in order, or something fails.
    ///
    /// # Errors
    /// What ended it before its time.
    pub(crate) fn run(&self) -> Result<(), Failure> {
        let talk = Talk::stderr(self.volume, self.tool.is_none());
        let (input, output) = self.media(&talk)?;
        self.check(&input, &output)?;
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
        let counters = Arc::new(Counters::default());
        let passphrase = if [&input, &output].iter().any(|uri| uri.scheme == Scheme::Srt) {
            Secret::find(self.passphrase_file.as_deref(), &talk)?
        } else {
            None
        };
        let setup = Setup {
            chunk: self.chunk_over(&output),
            rate: self.rate,
            reconnect: self.reconnect,
            passphrase,
            source_time: self.source_time,
            counters: Arc::clone(&counters),
            stop: stop.clone(),
            talk: talk.clone(),
        };
        let stats = self.stats.as_ref().map(StatsFile::create).transpose()?;
        let mut stats_out = self.stats_out(&output)?;
        let mut link = |uri: &MediaUri, role| -> Result<Option<Link>, Failure> {
            if uri.scheme != Scheme::Srt {
                return Ok(None);
            }
            let mut link = Link::open_bonded(&uri.text, &self.bonding_of(role), role, &setup)?;
            if let Some((plan, out)) = &mut stats_out {
                link.speak_as_the_tool();
                link.observe(observer(plan, Arc::clone(out)));
            }
            Ok(Some(link))
        };
        let output_link = link(&output, Role::Target)?;
        let input_link = link(&input, Role::Source)?;
        let monitors = (input_link.as_ref().map(Link::monitor), output_link.as_ref().map(Link::monitor));
        let places =
            [&output_link, &input_link].map(|link| link.as_ref().map_or_else(Vec::new, Link::waits_at));
        // What the output takes bounds what the input may give.
        let limit = output_link.as_ref().map(Link::max_message);
        let source = open_source(&input, &setup, limit, input_link)?;
        let sink = open_sink(&output, &setup, output_link)?;
        let sending = monitors.1.clone();
        if stats.is_some() && monitors.0.is_none() && monitors.1.is_none() {
            talk.warn("--stats: neither side is SRT, so there are no statistics to write");
        }
        if self.tool.is_none() {
            // Now that nothing stands in the way of serving whoever calls.
            for place in places.iter().filter(|place| !place.is_empty()) {
                let place: Vec<String> = place.iter().map(|place| format!("UDP {place}")).collect();
                talk.say(format!("waiting for a caller on {}", place.join(" and ")));
            }
        }

        let checked = output.scheme == Scheme::Test;
        let tap = (checked || input.scheme == Scheme::Srt).then(|| Arc::new(Mutex::new(Tap::new())));
        let mut reporter = Reporter::new(&talk, &counters, monitors, tap.clone(), stats);
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
        let result = result.and_then(|()| self.arrived(&input, sending.as_ref()));
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

    /// Bytes per message: srt-live-transmit begins with the most there is, of which AES-GCM takes some.
    fn chunk_over(&self, output: &MediaUri) -> usize {
        if self.tool.is_some() && self.chunk == LARGEST_LIVE_PAYLOAD && output.scheme == Scheme::Srt {
            largest_message(&output.text)
        } else {
            self.chunk
        }
    }

    /// Both addresses; srt-live-transmit takes more than we do.
    fn media(&self, talk: &Talk) -> Result<(MediaUri, MediaUri), Failure> {
        if self.tool.is_none() {
            return Ok((MediaUri::parse(&self.input)?, MediaUri::parse(&self.output)?));
        }
        let lenient = |text: &str, side| {
            let (text, ignored) = lenient(text, side);
            if !ignored.is_empty() {
                let name = masked(&text);
                talk.warn(format!("{name}: ignored, for it is not known here: {}", ignored.join(", ")));
            }
            MediaUri::parse(&text)
        };
        Ok((lenient(&self.input, Side::Input)?, lenient(&self.output, Side::Output)?))
    }

    /// Refuses what would be ignored, and what would destroy a file that is read or written as well.
    fn check(&self, input: &MediaUri, output: &MediaUri) -> Result<(), Failure> {
        if self.rate.is_some() && !matches!(input.scheme, Scheme::File | Scheme::Stdio) {
            return Err(Failure::Conflict(
                "--rate: paces files and pipes alone; leave it out (a test stream has its own: test://?rate=8M)",
            ));
        }
        let both_srt = input.scheme == Scheme::Srt && output.scheme == Scheme::Srt;
        if self.source_time && self.tool.is_none() && !both_srt {
            return Err(Failure::Conflict(
                "--source-time: passes on times from SRT to SRT; leave it out, or give two srt:// addresses",
            ));
        }
        if self.passphrase_file.is_some() && input.scheme != Scheme::Srt && output.scheme != Scheme::Srt {
            return Err(Failure::Conflict(
                "--passphrase-file: encrypts SRT alone; leave it out, or give an srt:// address",
            ));
        }
        if self.stats.as_ref().is_some_and(StatsPlan::to_stdout) && writes_stdout(output) {
            return Err(Failure::Conflict(
                "--stats: statistics and data would both go to stdout; send the statistics to a file",
            ));
        }
        self.check_files(input, output)
    }

    fn check_files(&self, input: &MediaUri, output: &MediaUri) -> Result<(), Failure> {
        let place = |path: &PathBuf| files::of_path(path);
        let read = match input.scheme {
            Scheme::Stdio => files::of_stdin(),
            Scheme::File => files::of_path(Path::new(&input.path)),
            _ => None,
        };
        let written = match output.scheme {
            _ if writes_stdout(output) => files::of_stdout(),
            Scheme::File => files::of_path(Path::new(&output.path)),
            _ => None,
        };
        let stats = match (&self.stats, &self.tool) {
            (Some(plan), _) if plan.to_stdout() => files::of_stdout(),
            (Some(plan), _) => place(&plan.path),
            (None, tool) => tool.as_ref().and_then(|tool| tool.stats_file.as_ref()).and_then(place),
        };
        let log = self.log.file.as_ref().and_then(place);
        let passphrase = self.passphrase_file.as_ref().and_then(place);
        let all = [
            ("input", read),
            ("file of the passphrase", passphrase),
            ("output", written),
            ("file of statistics", stats),
            ("log file", log),
        ];
        for (place, (other, identity)) in all.iter().enumerate() {
            let same = |(_, earlier): &&(_, _)| identity.is_some() && earlier == identity;
            if let Some((one, _)) = all[..place].iter().find(same) {
                return Err(Failure::SameFile { one, other });
            }
        }
        Ok(())
    }

    /// Whether everything came through, as far as that can be asked: what is stored can be sent again.
    fn arrived(&self, input: &MediaUri, sending: Option<&Monitor>) -> Result<(), Failure> {
        let Some(sending) = sending.filter(|_| self.tool.is_none() && is_stored(input)) else {
            return Ok(());
        };
        let uri = masked(&self.output);
        if sending.connections() == 0 {
            return Err(Failure::NeverConnected { uri });
        }
        match sending.totals().lost_in_breaks {
            0 => Ok(()),
            messages => Err(Failure::LostInBreaks { uri, messages }),
        }
    }

    /// Where the records of srt-live-transmit go.
    fn stats_out(&self, output: &MediaUri) -> Result<Option<(ToolPlan, Out)>, Failure> {
        let Some(plan) = &self.tool else { return Ok(None) };
        let wanted = plan.stats_every > 0 || plan.bandwidth_every > 0;
        let out: Box<dyn Write + Send> = match &plan.stats_file {
            Some(path) => Box::new(files::create(path)?),
            None if wanted && writes_stdout(output) => {
                return Err(Failure::Conflict(
                    "statistics and data would both go to stdout; send the statistics to a file with -statsout:FILE",
                ));
            }
            None => Box::new(io::stdout()),
        };
        Ok(Some((plan.clone(), Arc::new(Mutex::new(out)))))
    }
}

/// Whether data go to stdout, under whichever name.
fn writes_stdout(output: &MediaUri) -> bool {
    output.scheme == Scheme::Stdio
        || (output.scheme == Scheme::File && files::is_stdout(Path::new(&output.path)))
}

/// Whether the input can be sent again.
fn is_stored(input: &MediaUri) -> bool {
    match input.scheme {
        Scheme::File => Path::new(&input.path).is_file(),
        Scheme::Stdio => files::stdin_is_stored(),
        _ => false,
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
