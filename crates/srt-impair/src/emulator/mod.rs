//! The model on a real UDP port: what arrives there goes on to a target, and the answers go back.
//!
//! One thread runs one event loop over all sockets: mio says which are readable, a heap holds the datagrams on
//! their way, sorted by time of arrival, and a timer wakes the loop for the first of them. Simpler has been
//! weighed: blocking reads with time-outs are too coarse and need a thread for each client; a second thread that
//! only sleeps and sends needs a lock and a wake-up for each datagram of a link without delay. `polling` would do
//! as well as mio, but its `add` is unsafe; mio's time-outs are whole milliseconds, so on Linux the waking is done by
//! a timerfd (elsewhere the emulator is exact to 1 ms). A datagram costs one receive, one allocation and one send,
//! and mostly two waits: 100 Mb/s each way take a quarter to a third of a core of a small virtual machine
//! (`examples/load.rs` measures it).
//!
//! Only payloads travel: TTL, TOS and ECN of what arrives are not passed on.

mod alarm;
mod clients;
mod event_loop;
mod kernel;
mod report;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use event_loop::EventLoop;
pub use report::{DirectionReport, Report};

use crate::model::{Model, derive_seed};
use crate::profile::{Profile, ProfileError};

/// What to emulate, and between whom.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Setup {
    /// Where clients send to; port 0 takes a free one (see [`Emulator::local_addr`]). On a host with several
    /// addresses name one: answers from a wildcard address leave from wherever the route says.
    pub listen: SocketAddr,
    /// Where it goes. Only answers from exactly this address go back.
    pub target: SocketAddr,
    /// Own address towards the target. Default: none, the route decides.
    pub upstream_ip: Option<IpAddr>,
    /// What the link from the clients to the target does, for all clients together. Default: a perfect link.
    pub to_target: Profile,
    /// What the link from the target to the clients does, for all clients together. Default: a perfect link.
    pub to_client: Profile,
    /// The seed of all chance; each direction derives its own. Default: 0.
    pub seed: u64,
    /// Clients at the same time, each with a socket of its own towards the target: at least 1, default 256. What
    /// further ones send is refused and counted.
    pub max_clients: usize,
    /// A client that has neither sent nor been sent anything for so long is forgotten. Default: 60 s.
    pub idle_timeout: Duration,
    /// Bound of the payload bytes on their way, both directions together; what exceeds it is dropped and counted.
    /// Too low cuts fast links with long delays. Default: 256 MiB, enough for 2 Gb/s over one second.
    pub max_pending_bytes: usize,
}

impl Setup {
    /// A perfect link from `listen` to `target`; change the fields as needed.
    pub fn new(listen: SocketAddr, target: SocketAddr) -> Self {
        Self {
            listen,
            target,
            upstream_ip: None,
            to_target: Profile::default(),
            to_client: Profile::default(),
            seed: 0,
            max_clients: 256,
            idle_timeout: Duration::from_secs(60),
            max_pending_bytes: 256 << 20,
        }
    }
}

/// One of the two ways through the emulator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Direction {
    /// From the clients to the target.
    ToTarget,
    /// From the target to the clients.
    ToClient,
}

/// A running UDP link emulator; dropping it stops it.
///
/// Time 0 of both models, and so of the outages, is the call of [`start`](Self::start). The sockets belong to the
/// network namespace of the thread that calls it.
#[derive(Debug)]
pub struct Emulator {
    local_addr: SocketAddr,
    shared: Arc<Shared>,
    waker: mio::Waker,
    thread: Option<JoinHandle<()>>,
}

/// The emulator could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A profile has a value out of its range.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The listening address could not be had.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The target is the emulator itself: every datagram would run in circles.
    #[error("target {0} is the address the emulator listens on")]
    Circle(SocketAddr),
    /// The system has no event queue, timer or thread left.
    #[error("cannot set up the event loop: {0}")]
    System(#[source] io::Error),
}

/// Something failed while the emulator ran.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {source}")]
#[non_exhaustive]
pub struct RunError {
    /// What failed.
    pub what: &'static str,
    /// How.
    pub source: io::Error,
    /// The figures all the same.
    pub report: Box<Report>,
}

impl Emulator {
    /// Opens the port and starts forwarding, on one thread.
    ///
    /// # Errors
    /// [`StartError`]: a profile out of range, the address taken, the target our own address, or no resources left.
    pub fn start(setup: Setup) -> Result<Self, StartError> {
        setup.to_target.check()?;
        setup.to_client.check()?;
        let shared = Arc::new(Shared {
            epoch: Instant::now(),
            stop: AtomicBool::new(false),
            rebind: AtomicBool::new(false),
            state: Mutex::new(State {
                to_target: Way::new(setup.to_target.clone(), derive_seed(setup.seed, 0)),
                to_client: Way::new(setup.to_client.clone(), derive_seed(setup.seed, 1)),
                clients: 0,
                refused: 0,
                ended: None,
                failure: None,
            }),
        });
        let (event_loop, local_addr, waker) = EventLoop::new(setup, Arc::clone(&shared))?;
        let thread = std::thread::Builder::new()
            .name("srt-impair".to_owned())
            .spawn(move || event_loop.run())
            .map_err(StartError::System)?;
        Ok(Self { local_addr, shared, waker, thread: Some(thread) })
    }

    /// Where clients send to.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Whether it still forwards; if not, [`stop`](Self::stop) tells why.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Changes one direction: holds for the first datagram read after this call. What is on its way stays so.
    /// Outages in the profile count from the start of the emulator.
    ///
    /// # Errors
    /// [`ProfileError`] if a value is out of its range; then nothing has changed.
    pub fn set_profile(&self, direction: Direction, profile: Profile) -> Result<(), ProfileError> {
        profile.check()?;
        self.shared.lock().way(direction).model.set_profile(profile);
        Ok(())
    }

    /// Cuts one direction from now on for `length`; never shortens a cut that is in force.
    pub fn outage(&self, direction: Direction, length: Duration) {
        let length_us = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
        let until_us = self.shared.now_us().saturating_add(length_us);
        self.shared.lock().way(direction).model.cut_until(until_us);
    }

    /// Goes on towards the target from other ports, for all clients, as a NAT does that has forgotten them: what comes for the
    /// ports before is lost.
    pub fn rebind(&self) {
        self.shared.rebind.store(true, Ordering::Release);
        // A loop that cannot be woken looks at it with the next datagram.
        let _ = self.waker.wake();
    }

    /// The figures so far.
    pub fn report(&self) -> Report {
        self.shared.report()
    }

    /// Stops forwarding, closes all sockets and gives the final figures. Datagrams on their way are lost.
    ///
    /// # Errors
    /// [`RunError`] with the first failure, if a socket or the thread had died while running, or if a client got no
    /// socket.
    pub fn stop(mut self) -> Result<Report, RunError> {
        let panicked = self.join();
        let report = self.shared.report();
        let failure = self.shared.lock().failure.take();
        if panicked {
            let source = io::Error::other("it panicked, which is a bug of the emulator");
            return Err(RunError { what: "emulator thread", source, report: Box::new(report) });
        }
        match failure {
            Some((what, source)) => Err(RunError { what, source, report: Box::new(report) }),
            None => Ok(report),
        }
    }

    /// Ends the thread; true if it had panicked.
    fn join(&mut self) -> bool {
        self.shared.stop.store(true, Ordering::Release);
        // A loop that cannot be woken still looks at `stop` every second.
        let _ = self.waker.wake();
        self.thread.take().is_some_and(|thread| thread.join().is_err())
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.join();
    }
}

/// What the handle and the event loop have in common.
#[derive(Debug)]
struct Shared {
    epoch: Instant,
    stop: AtomicBool,
    rebind: AtomicBool,
    state: Mutex<State>,
}

/// The loop holds the lock for one batch at a time, never while it waits.
#[derive(Debug)]
struct State {
    to_target: Way,
    to_client: Way,
    clients: u64,
    refused: u64,
    /// When the loop ended.
    ended: Option<Duration>,
    /// The first thing that failed.
    failure: Option<(&'static str, io::Error)>,
}

/// One direction: what befalls the datagrams, and what was done with them.
#[derive(Debug)]
struct Way {
    model: Model,
    report: DirectionReport,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn report(&self) -> Report {
        let state = self.lock();
        Report {
            elapsed: state.ended.unwrap_or_else(|| self.epoch.elapsed()),
            to_target: state.to_target.report(),
            to_client: state.to_client.report(),
            clients: state.clients,
            refused: state.refused,
        }
    }
}

impl State {
    fn way(&mut self, direction: Direction) -> &mut Way {
        match direction {
            Direction::ToTarget => &mut self.to_target,
            Direction::ToClient => &mut self.to_client,
        }
    }

    fn fail(&mut self, what: &'static str, source: io::Error) {
        self.failure.get_or_insert((what, source));
    }
}

impl Way {
    fn new(profile: Profile, seed: u64) -> Self {
        Self { model: Model::new(profile, seed), report: DirectionReport::default() }
    }

    fn report(&self) -> DirectionReport {
        let link = self.model.counters();
        let done = self.report.sent_packets + self.report.unsent + self.report.overrun;
        DirectionReport { link, in_flight: link.delivered_packets - done, ..self.report }
    }
}
