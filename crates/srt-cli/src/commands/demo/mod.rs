//! `srt demo`: one stream over several bad links, bonded, while one of them dies; and beside it the same stream over each link
//! alone. All in one process; what became of it is told in plain words.
//!
//! - [`links`]: the emulated links
//! - [`streams`]: senders and receivers, bonded and plain
//! - [`picture`]: what is shown meanwhile
//! - [`verdict`]: what became of it

mod links;
mod picture;
mod streams;
mod verdict;

use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use srt::{LinkState, SrtGroup};

use self::links::{Links, Wire, usual_rate, words_of};
use self::picture::{Picture, Tally};
use self::streams::{Lane, MOST_WAITING, Offered, PATIENCE, Viewer, film, send};
use self::verdict::{Story, Way};
use crate::args::{Bonding, DemoArgs};
use crate::error::Failure;
use crate::media::{MediaUri, Sink, TestSource, TestSpec};
use crate::stop::{self, Stop};
use crate::talk::{Talk, Volume};
use crate::units::{show_rate, show_span};

const TICK: Duration = Duration::from_millis(50);
/// The links of the group that come up within so long after the first have the stream from its beginning.
const LATECOMERS: Duration = Duration::from_secs(2);
/// After the sender has ended, and the latency is over, its farewell may be among the lost.
const FAREWELL: Duration = Duration::from_millis(500);

/// # Errors
/// A stream that did not come through whole, or no sockets to be had.
pub(crate) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let talk = Talk::stderr(Volume::Normal, true);
    let stop = Stop::default();
    if let Err(error) = stop::on_signal(&stop) {
        talk.warn(format!("Ctrl-C will end the demo without a report: {error}"));
    }
    let links = Links::of(args)?;
    introduce(args, &links, &talk);
    let story = Scene::set(args, &links, &stop)?.play(args, &links, &stop, &talk)?;
    talk.end_live();
    talk.say("");
    for line in story.words(&links) {
        talk.say(line);
    }
    if args.json {
        let figures = story.figures(&links, name_of(args.group), args.seed);
        let text = serde_json::to_string(&figures).expect("numbers are always JSON");
        // A reader that has gone wants no figures.
        let _ = writeln!(io::stdout(), "{text}");
    }
    story.verdict()
}

const fn name_of(group: Bonding) -> &'static str {
    match group {
        Bonding::Broadcast => "broadcast",
        Bonding::Backup => "backup",
        Bonding::Balancing => "balancing",
    }
}

fn rate_of(args: &DemoArgs) -> u64 {
    args.rate.unwrap_or_else(|| usual_rate(args.group))
}

fn introduce(args: &DemoArgs, links: &Links, talk: &Talk) {
    talk.say(format!(
        "SRT demo: a stream of {} for {}, bonded ({}) over {} bad links, latency {} (seed {})",
        show_rate(rate_of(args)),
        show_span(args.duration),
        name_of(args.group),
        links.len(),
        show_span(args.latency),
        args.seed
    ));
    for (link, profile) in links.profiles.iter().enumerate() {
        let dies = links.cut.filter(|cut| cut.link == link).map_or_else(String::new, |cut| {
            format!("  dead from {} to {}", show_span(cut.at), show_span(cut.at + cut.length))
        });
        talk.say(format!("  link {}  each way: {}{dies}", link + 1, words_of(profile)));
    }
    talk.say("Beside it the same stream goes over a copy of each link alone.");
    talk.say("");
}

/// All that is needed, ready to go.
struct Scene {
    source: TestSource,
    group: SrtGroup,
    /// The bonded one first, then each link alone.
    lanes: Vec<Lane>,
}

impl Scene {
    fn set(args: &DemoArgs, links: &Links, stop: &Stop) -> Result<Self, Failure> {
        let (bonded, group) = Lane::bonded(links, args, stop)?;
        let mut lanes = vec![bonded];
        for link in 0..links.len() {
            lanes.push(Lane::alone(links, link, args, stop)?);
        }
        let spec = TestSpec::of(&MediaUri::parse("test://")?)?;
        let seed = u32::try_from(args.seed & u64::from(u32::MAX)).unwrap_or_default();
        let spec = TestSpec { rate: Some(rate_of(args)), duration: Some(args.duration), seed, ..spec };
        Ok(Self { source: TestSource::new(spec), group, lanes })
    }

    fn play(self, args: &DemoArgs, links: &Links, stop: &Stop, talk: &Talk) -> Result<Story, Failure> {
        let Self { source: film_source, group, lanes } = self;
        let (mut sinks, mut sources, mut viewers, mut wires) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for lane in lanes {
            sinks.push(lane.sink);
            sources.push(lane.source);
            viewers.push(lane.viewer);
            wires.push(lane.wires);
        }
        let (offered, over) = (Offered::default(), Stop::default());
        let (elapsed, last) = thread::scope(|scope| {
            let over_at_last = AskAtLast(&over);
            let watchers: Vec<_> = sources
                .into_iter()
                .zip(&viewers)
                .map(|(mut source, viewer)| {
                    let over = &over;
                    scope.spawn(move || viewer.watch(source.as_mut(), over))
                })
                .collect();
            connect(&mut sinks, &group, stop)?;
            let mut picture = Picture::begin(talk, links, &group, args.duration);
            let mut parcels = Vec::new();
            let mut senders = Vec::new();
            for mut sink in sinks {
                let (give, take) = mpsc::sync_channel(MOST_WAITING);
                parcels.push(give);
                senders.push(scope.spawn(move || send(sink.as_mut(), &take)));
            }
            let camera = {
                let (offered, stop) = (&offered, &stop);
                scope.spawn(move || film(film_source, &parcels, offered, stop))
            };
            let mut cut = links.cut;
            let mut elapsed = None;
            while !senders.iter().all(ScopedJoinHandle::is_finished) {
                thread::sleep(TICK);
                if let Some(due) = cut.filter(|cut| picture.elapsed() >= cut.at) {
                    cut = None;
                    cut_all(&wires, due.link, due.length);
                }
                if camera.is_finished() {
                    elapsed.get_or_insert_with(|| picture.elapsed());
                }
                picture.look(|| tally(&offered, &viewers), elapsed.is_none());
            }
            let elapsed = elapsed.unwrap_or_else(|| picture.elapsed());
            let farewell = Instant::now() + args.latency + FAREWELL;
            let ended = || viewers.iter().all(|viewer| viewer.findings().ended);
            while !ended() && Instant::now() < farewell && !stop.asked() {
                thread::sleep(TICK);
            }
            drop(over_at_last);
            join(camera, "camera")?;
            for (number, sender) in senders.into_iter().enumerate() {
                // What a plain connection fails of is its loss.
                join(sender, "sender").or_else(|failure| if number == 0 { Err(failure) } else { Ok(()) })?;
            }
            for watcher in watchers {
                join(watcher, "receiver")?;
            }
            Ok::<_, Failure>((elapsed, picture.last))
        })?;
        let mut ways = Vec::new();
        for (viewer, wires) in viewers.iter().zip(wires) {
            let wires = wires.into_iter().map(Wire::take_down).collect::<Result<Vec<_>, _>>()?;
            ways.push(Way { found: viewer.findings(), wires });
        }
        let bonded = ways.remove(0);
        Ok(Story {
            interrupted: stop.asked(),
            elapsed: elapsed.min(args.duration),
            offered: offered.messages.load(Ordering::Relaxed),
            bytes: offered.bytes.load(Ordering::Relaxed),
            bonded,
            alone: ways,
            links: last,
        })
    }
}

/// Ends the watching, whatever happens.
struct AskAtLast<'a>(&'a Stop);

impl Drop for AskAtLast<'_> {
    fn drop(&mut self) {
        self.0.ask();
    }
}

/// Waits until all are connected. The bonded stream must be; what a single link does not bring up in time is its loss.
fn connect(sinks: &mut [Box<dyn Sink>], group: &SrtGroup, stop: &Stop) -> Result<(), Failure> {
    let until = Instant::now() + PATIENCE;
    let mut waiting: Vec<&mut Box<dyn Sink>> = sinks.iter_mut().collect();
    while !waiting.is_empty() && Instant::now() < until && !stop.asked() {
        let mut still = Vec::new();
        for sink in waiting {
            if !sink.ready()? {
                still.push(sink);
            }
        }
        waiting = still;
    }
    let until = Instant::now() + LATECOMERS;
    let down = |state| matches!(state, LinkState::Down | LinkState::Connecting);
    while group.links().iter().any(|link| down(link.state)) && Instant::now() < until && !stop.asked() {
        thread::sleep(TICK);
    }
    Ok(())
}

/// The link, and its copy.
fn cut_all(wires: &[Vec<Wire>], link: usize, length: Duration) {
    if let Some((bonded, alone)) = wires.split_first() {
        let copy = alone.get(link).and_then(|wires| wires.first());
        bonded.get(link).into_iter().chain(copy).for_each(|wire| wire.cut(length));
    }
}

fn tally(offered: &Offered, viewers: &[Arc<Viewer>]) -> Tally {
    let mut lost = viewers.iter().map(|viewer| viewer.lost_so_far().div_ceil(TS_IN_MESSAGE));
    Tally {
        offered: offered.messages.load(Ordering::Relaxed),
        bonded: lost.next().unwrap_or(0),
        alone: lost.collect(),
    }
}

/// TS packets in a packet of SRT, as `test://` makes them.
const TS_IN_MESSAGE: u64 = 7;

fn join(thread: ScopedJoinHandle<'_, Result<(), Failure>>, name: &'static str) -> Result<(), Failure> {
    thread.join().map_err(|_| Failure::Thread(name))?
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn args() -> DemoArgs {
        DemoArgs {
            group: Bonding::Balancing,
            duration: Duration::from_secs(20),
            rate: None,
            links: Vec::new(),
            loss: None,
            latency: Duration::from_millis(700),
            seed: 1,
            json: false,
        }
    }

    #[test]
    fn the_usual_stream_is_too_much_for_any_link_alone_where_it_is_balanced_and_for_none_elsewhere() {
        let links = Links::of(&args()).unwrap();
        let rates = links.profiles.iter().filter_map(|profile| profile.rate_bps);
        let (least, most) = (rates.clone().min().unwrap(), rates.max().unwrap());
        assert!(rate_of(&args()) > most);
        for group in [Bonding::Broadcast, Bonding::Backup] {
            assert!(rate_of(&DemoArgs { group, ..args() }) < least);
        }
        assert_eq!(rate_of(&DemoArgs { rate: Some(5), ..args() }), 5);
    }
}
