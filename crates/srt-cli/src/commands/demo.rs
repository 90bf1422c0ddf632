//! `srt demo`: a sender, a bad network and a receiver in one process, and what became of the stream, in plain words.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use srt::{Options, SrtListener};
use srt_impair::{Emulator, Loss, Profile, Report};

use super::impair::words_of_way;
use crate::args::DemoArgs;
use crate::batch::Batch;
use crate::error::Failure;
use crate::media::srt::{Link, Monitor, Role, SrtSink, SrtSource, Totals};
use crate::media::{
    MediaUri, Nature, NullSink, Read, Setup, Sink, Source, TestSource, TestSpec, WAIT, Wrote,
};
use crate::pump::{Counters, Pump, Tap};
use crate::report::{SHORTEST, words_of_rtt, words_of_spread};
use crate::stop::{self, Stop};
use crate::talk::{Talk, Volume};
use crate::test_stream::Findings;
use crate::units::{rate_of, show_bytes, show_count, show_counted, show_rate, show_share, show_span};

const TICK: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_millis(10);
const LIVE_EVERY: Duration = Duration::from_millis(500);
/// For the handshake, which may be lost as well.
const PATIENCE: Duration = Duration::from_secs(10);
/// After the sender has ended, and the latency is over, its farewell may be among the lost.
const FAREWELL: Duration = Duration::from_millis(500);

/// # Errors
/// A broken picture, or no sockets to be had.
pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let talk = Talk::stderr(Volume::Normal, true);
    let stop = Stop::default();
    if let Err(error) = stop::on_signal(&stop) {
        talk.warn(format!("Ctrl-C will end the demo without a report: {error}"));
    }
    let profile = profile(args)?;
    introduce(args, &profile, &talk);
    let scene = Scene::set(args, profile, &stop)?;
    let story = scene.play(args, &stop, &talk)?;
    talk.end_live();
    for line in story.words(args) {
        talk.say(line);
    }
    if story.interrupted && story.messages == 0 {
        return Ok(());
    }
    story.verdict()
}

fn profile(args: &DemoArgs) -> Result<Profile, Failure> {
    let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
    let profile = Profile {
        delay_us: micros(args.delay),
        jitter_us: micros(args.jitter),
        loss: if args.loss > 0.0 { Loss::Independent(args.loss) } else { Loss::None },
        ..Profile::default()
    };
    profile.check().map_err(|fault| Failure::Emulator(fault.to_string()))?;
    Ok(profile)
}

fn introduce(args: &DemoArgs, profile: &Profile, talk: &Talk) {
    talk.say(format!(
        "SRT demo: a stream of {} for {}, over a network made bad on purpose (seed {})",
        show_rate(args.rate),
        show_span(args.duration),
        args.seed
    ));
    talk.say(format!("  caller ═══ each way: {profile} ═══ listener, latency {}", show_span(args.latency)));
    talk.say("");
}

/// The receiver, which plays out nothing more once it is to stop.
struct UntilStopped {
    source: SrtSource,
    stopped: bool,
}

impl Source for UntilStopped {
    fn read(&mut self, batch: &mut Batch, room: usize) -> Result<Read, Failure> {
        if self.stopped { Ok(Read::End) } else { self.source.read(batch, room) }
    }

    fn stop(&mut self) {
        self.stopped = true;
    }

    fn nature(&self) -> Nature {
        self.source.nature()
    }
}

/// The sender, which waits for the receiver to have everything unless it is interrupted.
struct UntilInterrupted {
    sink: SrtSink,
    stop: Stop,
}

impl Sink for UntilInterrupted {
    fn ready(&mut self) -> Result<bool, Failure> {
        self.sink.ready()
    }

    fn write(&mut self, batch: &Batch) -> Result<Wrote, Failure> {
        self.sink.write(batch)
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.stop.asked() {
            self.sink.abort();
            return Ok(());
        }
        match self.sink.finish() {
            // What did not arrive is what the report is about.
            Err(Failure::Undelivered { .. }) => Ok(()),
            result => result,
        }
    }
}

/// All that is needed, ready to go.
struct Scene {
    emulator: Emulator,
    source: TestSource,
    packets_per_message: u64,
    sender: Link,
    receiver: Link,
    receiver_stop: Stop,
}

impl Scene {
    fn set(args: &DemoArgs, profile: Profile, stop: &Stop) -> Result<Self, Failure> {
        let place = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let refused = |source| Failure::Srt { uri: "the demo's listener".to_owned(), source, mend: "" };
        let options = Options::new().latency(args.latency).receive_timeout(Some(WAIT));
        let listener = SrtListener::bind(place, &options).map_err(refused)?;
        let mut path = srt_impair::Setup::new(place, listener.local_addr());
        (path.to_target, path.to_client, path.seed) = (profile.clone(), profile, args.seed);
        let emulator = Emulator::start(path).map_err(|error| Failure::Emulator(error.to_string()))?;
        let setup = |stop: &Stop| Setup {
            chunk: 1316,
            rate: None,
            reconnect: false,
            passphrase: None,
            source_time: false,
            counters: Arc::default(),
            stop: stop.clone(),
            talk: Talk::stderr(Volume::Quiet, false),
        };
        let receiver_stop = Stop::default();
        let receiver = Link::listener(listener, Role::Source, &setup(&receiver_stop));
        let address = format!(
            "srt://{}?latency={}&conntimeo={}",
            emulator.local_addr(),
            args.latency.as_millis(),
            PATIENCE.as_millis()
        );
        let sender = Link::open(&address, Role::Target, &setup(stop))?;
        let spec = TestSpec::of(&MediaUri::parse("test://")?)?;
        let seed = u32::try_from(args.seed & u64::from(u32::MAX)).unwrap_or_default();
        let spec = TestSpec { rate: Some(args.rate), duration: Some(args.duration), seed, ..spec };
        let packets_per_message = u64::from(spec.packets_per_message);
        Ok(Self {
            emulator,
            source: TestSource::new(spec),
            packets_per_message,
            sender,
            receiver,
            receiver_stop,
        })
    }

    fn play(self, args: &DemoArgs, stop: &Stop, talk: &Talk) -> Result<Story, Failure> {
        let Self { emulator, source: test_stream, packets_per_message, sender, receiver, receiver_stop } =
            self;
        let (sending, receiving) = (sender.monitor(), receiver.monitor());
        let counters = Arc::new(Counters::default());
        let tap = Arc::new(Mutex::new(Tap::new()));
        let send = Pump { stop: stop.clone(), counters: Arc::clone(&counters), tap: None, room: 64 };
        let receive = Pump {
            stop: receiver_stop.clone(),
            counters: Arc::default(),
            tap: Some(Arc::clone(&tap)),
            room: 64,
        };
        let began = Instant::now();
        let (sent, received) = thread::scope(|scope| {
            let source = UntilStopped { source: SrtSource::new(receiver), stopped: false };
            let receiver = scope.spawn(|| receive.run(Box::new(source), Box::new(NullSink), TICK, || {}));
            let mut line = LiveLine { at: began, bytes: 0 };
            let sink = UntilInterrupted { sink: SrtSink::new(sender, false), stop: stop.clone() };
            let sent = send.run(Box::new(test_stream), Box::new(sink), TICK, || {
                line.show(talk, began, &counters, &receiving, &emulator);
            });
            let farewell = Instant::now() + args.latency + FAREWELL;
            while !receiver.is_finished() && Instant::now() < farewell && !stop.wait(LOOK) {}
            receiver_stop.ask();
            (sent, receiver.join().unwrap_or(Err(Failure::Thread("receiver"))))
        });
        let elapsed = counters.span();
        let path = emulator.stop().map_err(|error| Failure::Emulator(error.to_string()))?;
        sent?;
        let found = tap.lock().unwrap_or_else(PoisonError::into_inner).findings();
        if found.is_none() {
            received?;
        }
        Ok(Story {
            interrupted: stop.asked(),
            elapsed,
            messages: counters.messages_out.load(Ordering::Relaxed),
            bytes: counters.bytes_out.load(Ordering::Relaxed),
            packets_per_message,
            path,
            sender: sending.totals(),
            receiver: receiving.totals(),
            found: found.unwrap_or_default(),
        })
    }
}

struct LiveLine {
    at: Instant,
    bytes: u64,
}

impl LiveLine {
    fn show(
        &mut self,
        talk: &Talk,
        began: Instant,
        counters: &Counters,
        receiving: &Monitor,
        path: &Emulator,
    ) {
        let now = Instant::now();
        if !talk.is_live() || now.duration_since(self.at) < LIVE_EVERY {
            return;
        }
        let bytes = counters.bytes_out.load(Ordering::Relaxed);
        let rate = rate_of(bytes - self.bytes, now.duration_since(self.at));
        (self.at, self.bytes) = (now, bytes);
        let totals = receiving.totals();
        let seconds = now.duration_since(began).as_secs();
        talk.live(format!(
            "  {:02}:{:02}  {}  {}  lost on the wire {}  recovered {}  dropped {}",
            seconds / 60,
            seconds % 60,
            show_rate(rate),
            words_of_rtt(totals.rtt_ms),
            show_count(path.report().to_target.link.lost()),
            show_count(totals.missing.saturating_sub(totals.dropped_by_receiver)),
            show_count(totals.dropped_by_receiver),
        ));
    }
}

/// What happened.
#[derive(Clone, Debug)]
struct Story {
    /// Ended by Ctrl-C, with messages on their way.
    interrupted: bool,
    elapsed: Duration,
    messages: u64,
    bytes: u64,
    packets_per_message: u64,
    path: Report,
    sender: Totals,
    receiver: Totals,
    found: Findings,
}

impl Story {
    /// Messages of the sender that the receiver never saw, and will not see.
    fn missing(&self) -> u64 {
        if self.interrupted {
            // What comes after the last that was played was still on its way.
            return self.found.in_messages(self.found.lost);
        }
        self.unseen()
    }

    /// Messages of the sender that the receiver has not seen.
    fn unseen(&self) -> u64 {
        let sent = self.messages * self.packets_per_message;
        sent.saturating_sub(self.found.received).div_ceil(self.packets_per_message.max(1))
    }

    fn delivered(&self) -> u64 {
        self.messages - self.unseen().min(self.messages)
    }

    /// Messages that were on their way when the demo was interrupted.
    fn on_their_way(&self) -> u64 {
        self.unseen().saturating_sub(self.missing())
    }

    fn words(&self, args: &DemoArgs) -> Vec<String> {
        let (sender, receiver) = (&self.sender, &self.receiver);
        let recovered = receiver.missing.saturating_sub(receiver.dropped_by_receiver);
        // Over less time a rate says nothing.
        let rate = if self.elapsed < SHORTEST {
            String::new()
        } else {
            format!(", {}", show_rate(rate_of(self.bytes, self.elapsed.min(args.duration))))
        };
        let order = match (self.found.reordered, self.found.duplicates, self.found.damaged) {
            (0, 0, 0) => "each once, in order and undamaged".to_owned(),
            (late, twice, damaged) => format!(
                "{} out of order, {} doubled, {} damaged",
                show_counted(late, "TS packet"),
                show_count(twice),
                show_count(damaged)
            ),
        };
        let latency =
            self.found.latency.as_ref().map_or_else(|| "no message arrived".to_owned(), words_of_spread);
        vec![
            "What happened".to_owned(),
            format!(
                "  sent       {} ({}{rate})",
                show_counted(self.messages, "message"),
                show_bytes(self.bytes)
            ),
            format!("  the wire   there: {}", words_of_way(&self.path.to_target)),
            format!("             back:  {}", words_of_way(&self.path.to_client)),
            format!(
                "  recovered  {} of {} missing at the receiver; the sender sent {} again ({} on top of the stream)",
                show_count(recovered),
                show_counted(receiver.missing, "packet"),
                show_count(sender.resent),
                show_share(sender.resent, sender.sent)
            ),
            format!(
                "  dropped    {} that never came in time",
                show_counted(receiver.dropped_by_receiver, "packet")
            ),
            format!(
                "  delivered  {} of {}, {order}",
                show_count(self.delivered()),
                show_counted(self.messages, "message")
            ),
            format!("  latency    {latency}"),
            format!("             ({} to recover, and the way itself)", show_span(args.latency)),
            String::new(),
            if self.interrupted && self.whole() {
                let left = show_counted(self.on_their_way(), "message");
                format!("The picture had not broken when the demo was interrupted, with {left} on the way.")
            } else if self.interrupted && self.messages == 0 {
                "Interrupted before anything was sent.".to_owned()
            } else if self.whole() {
                "The picture never broke.".to_owned()
            } else {
                format!("The picture broke: {} missing or damaged.", show_counted(self.harmed(), "message"))
            },
        ]
    }

    fn harmed(&self) -> u64 {
        let found = &self.found;
        self.missing() + found.in_messages(found.damaged + found.duplicates + found.reordered)
    }

    fn whole(&self) -> bool {
        self.messages > 0 && self.harmed() == 0
    }

    /// # Errors
    /// When the picture broke.
    fn verdict(&self) -> Result<(), Failure> {
        if self.whole() {
            return Ok(());
        }
        Err(Failure::PictureBroke { harmed: self.harmed(), sent: self.messages })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_stream::Spread;

    fn args() -> DemoArgs {
        DemoArgs {
            duration: Duration::from_secs(10),
            rate: 8_000_000,
            loss: 0.05,
            delay: Duration::from_millis(20),
            jitter: Duration::from_millis(2),
            latency: Duration::from_millis(200),
            seed: 1,
        }
    }

    fn story() -> Story {
        let spread = Spread { min: 220_000, p50: 222_000, p95: 223_000, p99: 224_000, max: 225_000 };
        let found = Findings {
            received: 700,
            messages: 100,
            packets_per_message: 7,
            ended: true,
            latency: Some(spread),
            ..Findings::default()
        };
        let totals = Totals { sent: 100, resent: 6, missing: 5, received: 100, ..Totals::default() };
        Story {
            interrupted: false,
            elapsed: Duration::from_secs(10),
            messages: 100,
            bytes: 131_600,
            packets_per_message: 7,
            path: Report::default(),
            sender: totals,
            receiver: totals,
            found,
        }
    }

    #[test]
    fn a_whole_stream_is_told_as_whole() {
        let words = story().words(&args()).join("\n");
        assert!(
            words.contains("  delivered  100 of 100 messages, each once, in order and undamaged"),
            "{words}"
        );
        assert!(
            words.contains(
                "  recovered  5 of 5 packets missing at the receiver; the sender sent 6 again (6.0 %"
            )
        );
        assert!(words.ends_with("The picture never broke."), "{words}");
        assert!(story().verdict().is_ok());
    }

    #[test]
    fn a_message_lost_at_the_very_end_breaks_the_picture_too() {
        let mut broken = story();
        broken.found.received = 693;
        broken.found.ended = false;
        let words = broken.words(&args()).join("\n");
        assert!(words.contains("  delivered  99 of 100 messages"), "{words}");
        assert!(words.ends_with("The picture broke: 1 message missing or damaged."), "{words}");
        let failure = broken.verdict().unwrap_err();
        assert_eq!(failure.exit_code(), 1);
        assert!(failure.to_string().contains("1 of 100 messages"), "{failure}");
    }

    #[test]
    fn what_was_on_its_way_when_the_demo_was_interrupted_is_not_lost() {
        let mut cut = story();
        (cut.interrupted, cut.found.received, cut.found.ended) = (true, 350, false);
        let words = cut.words(&args()).join("\n");
        assert!(words.contains("  delivered  50 of 100 messages"), "{words}");
        assert!(words.ends_with("when the demo was interrupted, with 50 messages on the way."), "{words}");
        assert!(cut.verdict().is_ok());
        cut.found.lost = 7;
        assert!(cut.verdict().unwrap_err().to_string().starts_with("1 of 100 messages"), "a hole is a hole");
    }

    #[test]
    fn an_instant_has_no_rate() {
        let short = Story { elapsed: Duration::from_micros(1), ..story() };
        let words = short.words(&args()).join("\n");
        assert!(words.contains("(131.6 kB)") && !words.contains("b/s"), "{words}");
    }

    #[test]
    fn damage_breaks_the_picture() {
        let mut broken = story();
        broken.found.damaged = 1;
        assert!(!broken.whole());
        assert!(broken.words(&args()).join("\n").contains("0 TS packets out of order, 0 doubled, 1 damaged"));
    }

    #[test]
    fn nothing_sent_is_no_success() {
        let mut empty = story();
        (empty.messages, empty.found) = (0, Findings::default());
        assert!(!empty.whole());
        assert!(empty.words(&args()).join("\n").contains("no message arrived"));
    }

    #[test]
    fn the_flags_make_the_profile() {
        assert_eq!(profile(&args()).unwrap().to_string(), "delay=20ms,jitter=2ms,loss=5%");
        let perfect = DemoArgs { loss: 0.0, jitter: Duration::ZERO, ..args() };
        assert_eq!(profile(&perfect).unwrap().to_string(), "delay=20ms");
        let endless = DemoArgs { delay: Duration::from_secs(36_000), ..args() };
        assert!(profile(&endless).unwrap_err().to_string().contains("delay"));
    }
}
