//! The streams: one over all links, bonded, and beside it the very same one over each link alone.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use srt::{Error, GroupLink, GroupMode, MessageBatch, Options, SrtGroup, SrtListener, SrtSocket};

use super::links::{Links, Wire};
use crate::args::{Bonding, DemoArgs};
use crate::batch::Batch;
use crate::error::Failure;
use crate::media::srt::{Link, Role, SrtSink, SrtSource};
use crate::media::{Nature, Read, Setup, Sink, Source, TestSource, WAIT, Wrote};
use crate::stop::Stop;
use crate::talk::{Talk, Volume};
use crate::test_stream::{Checker, Findings, wall_micros};

/// For the handshake, which may be lost as well.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// Parcels that wait for a sender at most; what comes then is lost to its viewer.
pub(super) const MOST_WAITING: usize = 1_024;
/// Bytes a sender takes in hand at once.
const HANDFUL: usize = 1 << 20;

/// One way of the stream: a sender, the emulated links, a receiver.
pub(super) struct Lane {
    pub(super) sink: Box<dyn Sink>,
    pub(super) source: Box<dyn Source>,
    /// What the viewer got.
    pub(super) viewer: Arc<Viewer>,
    pub(super) wires: Vec<Wire>,
}

impl Lane {
    /// All links at once.
    ///
    /// # Errors
    /// No sockets to be had.
    pub(super) fn bonded(links: &Links, args: &DemoArgs, stop: &Stop) -> Result<(Self, SrtGroup), Failure> {
        let listener = listen(&options(args).group_connect(true))?;
        let lay = |link| Wire::lay(links, link, listener.local_addr(), args.seed);
        let wires = (0..links.len()).map(lay).collect::<Result<Vec<_>, _>>()?;
        let ways = wires
            .iter()
            .enumerate()
            .map(|(link, wire)| GroupLink::to(wire.entry()).weight(links.weight(link)));
        let mode = match args.group {
            Bonding::Broadcast => GroupMode::Broadcast,
            Bonding::Backup => GroupMode::Backup,
            Bonding::Balancing => GroupMode::Balancing,
        };
        let group = SrtGroup::start_connect(mode, ways, &options(args)).map_err(refused)?;
        let lane = Self {
            sink: Box::new(GroupSink { group: group.clone(), stop: stop.clone() }),
            source: Box::new(GroupSource { listener, socket: None, messages: MessageBatch::new() }),
            viewer: Arc::default(),
            wires,
        };
        Ok((lane, group))
    }

    /// One of the links, with a copy of it: a plain SRT connection, as `srt send --reconnect` has it.
    ///
    /// # Errors
    /// No sockets to be had.
    pub(super) fn alone(links: &Links, link: usize, args: &DemoArgs, stop: &Stop) -> Result<Self, Failure> {
        let listener = listen(&options(args))?;
        let wire = Wire::lay(links, link, listener.local_addr(), args.seed)?;
        let setup = Setup {
            chunk: 1316,
            rate: None,
            reconnect: true,
            passphrase: None,
            source_time: false,
            counters: Arc::default(),
            stop: stop.clone(),
            talk: Talk::stderr(Volume::Quiet, false),
        };
        let address = format!(
            "srt://{}?latency={}&conntimeo={}",
            wire.entry(),
            args.latency.as_millis(),
            PATIENCE.as_millis()
        );
        let sender = Link::open(&address, Role::Target, &setup)?;
        let receiver = Link::listener(listener, Role::Source, &setup);
        Ok(Self {
            sink: Box::new(PlainSink { sink: SrtSink::new(sender, false), stop: stop.clone() }),
            source: Box::new(SrtSource::new(receiver)),
            viewer: Arc::default(),
            wires: vec![wire],
        })
    }
}

fn options(args: &DemoArgs) -> Options {
    let options = Options::new().latency(args.latency).connect_timeout(PATIENCE);
    options.receive_timeout(Some(WAIT)).send_timeout(Some(WAIT))
}

fn listen(options: &Options) -> Result<SrtListener, Failure> {
    SrtListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), options).map_err(refused)
}

fn refused(source: Error) -> Failure {
    Failure::Srt { uri: "the demo".to_owned(), source, mend: "" }
}

/// Who sees what arrives, and checks it.
pub(super) struct Viewer {
    checker: Mutex<Checker>,
}

impl Default for Viewer {
    fn default() -> Self {
        Self { checker: Mutex::new(Checker::new()) }
    }
}

impl Viewer {
    /// Watches until the stream is at its end, or `over` is asked for.
    ///
    /// # Errors
    /// What ends a connection before its time.
    pub(super) fn watch(&self, source: &mut dyn Source, over: &Stop) -> Result<(), Failure> {
        let mut batch = Batch::default();
        while !over.asked() {
            batch.clear();
            match source.read(&mut batch, 64)? {
                Read::Messages => {
                    let (now, mut checker) = (wall_micros(), self.lock());
                    batch.iter().for_each(|(message, _)| checker.check(message, now));
                }
                Read::Nothing => {}
                Read::End => break,
            }
        }
        Ok(())
    }

    /// TS packets known to be lost by now.
    pub(super) fn lost_so_far(&self) -> u64 {
        self.lock().lost_so_far()
    }

    /// All that was found.
    pub(super) fn findings(&self) -> Findings {
        self.lock().findings()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Checker> {
        self.checker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the camera has made by now.
#[derive(Debug, Default)]
pub(super) struct Offered {
    pub(super) messages: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// Makes the stream, and gives the same messages at the same moment to every sender. The first of them is the bonded one: when
/// that has failed it is over.
///
/// # Errors
/// None of the test stream; those of a source in general.
pub(super) fn film(
    mut source: TestSource,
    senders: &[SyncSender<Arc<Batch>>],
    offered: &Offered,
    stop: &Stop,
) -> Result<(), Failure> {
    let mut stopping = false;
    loop {
        if stop.asked() && !stopping {
            stopping = true;
            source.stop();
        }
        let mut batch = Batch::default();
        match source.read(&mut batch, 64)? {
            Read::Messages => {}
            Read::Nothing => continue,
            Read::End => return Ok(()),
        }
        offered.messages.fetch_add(batch.len() as u64, Ordering::Relaxed);
        offered.bytes.fetch_add(batch.bytes().len() as u64, Ordering::Relaxed);
        let parcel = Arc::new(batch);
        for (lane, sender) in senders.iter().enumerate() {
            match sender.try_send(Arc::clone(&parcel)) {
                Err(TrySendError::Disconnected(_)) if lane == 0 => return Ok(()),
                // Where a sender is so far behind, the viewer misses it.
                Ok(()) | Err(_) => {}
            }
        }
    }
}

/// Sends what comes, and ends in order. What comes while there is no connection is lost: it is live.
///
/// # Errors
/// What ends the stream before its time.
pub(super) fn send(sink: &mut dyn Sink, parcels: &Receiver<Arc<Batch>>) -> Result<(), Failure> {
    let mut batch = Batch::default();
    loop {
        if batch.is_empty() {
            match parcels.recv_timeout(WAIT) {
                Ok(parcel) => batch.append(&parcel),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return sink.finish(),
            }
        }
        while batch.bytes().len() < HANDFUL
            && let Ok(parcel) = parcels.try_recv()
        {
            batch.append(&parcel);
        }
        if !sink.ready()? {
            batch.clear();
        } else if !batch.is_empty()
            && let Wrote::Messages(count) = sink.write(&batch)?
        {
            batch.drop_front(count);
        }
    }
}

/// The sender of the bonded stream.
struct GroupSink {
    group: SrtGroup,
    stop: Stop,
}

impl Sink for GroupSink {
    fn ready(&mut self) -> Result<bool, Failure> {
        match self.group.wait_connected(Some(WAIT)) {
            Ok(()) => Ok(true),
            Err(error) if error.is_timeout() => Ok(false),
            Err(error) => Err(refused(error)),
        }
    }

    fn write(&mut self, batch: &Batch) -> Result<Wrote, Failure> {
        let messages: Vec<&[u8]> = batch.iter().map(|(message, _)| message).collect();
        match self.group.send_batch(&messages) {
            Ok(count) => Ok(Wrote::Messages(count)),
            Err(error) if error.is_timeout() || error.is_would_block() => Ok(Wrote::Messages(0)),
            Err(error) => Err(refused(error)),
        }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.stop.asked() {
            self.group.abort();
            return Ok(());
        }
        match self.group.close() {
            // What did not arrive is what the report is about.
            Ok(()) | Err(Error::Unconfirmed { .. }) => Ok(()),
            Err(error) => Err(refused(error)),
        }
    }
}

/// The receiver of the bonded stream.
struct GroupSource {
    listener: SrtListener,
    socket: Option<SrtSocket>,
    messages: MessageBatch,
}

impl Source for GroupSource {
    fn read(&mut self, batch: &mut Batch, _: usize) -> Result<Read, Failure> {
        let Some(socket) = &self.socket else {
            match self.listener.accept_timeout(WAIT) {
                Ok((socket, _)) => self.socket = Some(socket),
                Err(error) if error.is_timeout() || error.is_would_block() => {}
                Err(error) => return Err(refused(error)),
            }
            return Ok(Read::Nothing);
        };
        match socket.recv_batch(&mut self.messages) {
            Ok(_) => {}
            Err(error) if error.is_timeout() || error.is_would_block() => return Ok(Read::Nothing),
            // In order or not: what is missing is what the report is about.
            Err(_) => return Ok(Read::End),
        }
        self.messages.iter().for_each(|(_, data)| batch.push(data, None));
        Ok(if batch.is_empty() { Read::Nothing } else { Read::Messages })
    }

    fn stop(&mut self) {}

    fn nature(&self) -> Nature {
        Nature::Live
    }
}

/// The sender of a stream over one link.
struct PlainSink {
    sink: SrtSink,
    stop: Stop,
}

impl Sink for PlainSink {
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
            Err(Failure::Undelivered { .. }) => Ok(()),
            result => result,
        }
    }
}
