//! The pool of workers: how it starts, who gets which port, and how it ends.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    num::NonZero,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use srt_bonding::{GroupSetup, Mode};
use srt_io::Poller;
use srt_protocol::{
    connection::CallerSetup,
    packet::GroupInfo,
    time::{Instant, Micros},
    types::SeqNumber,
};

use super::{
    bond::{GroupFace, LinkPlan},
    callbacks::Callbacks,
    entropy::System,
    handover::Handover,
    inbox::{Command, Inbox},
    listening::{Hook, Listening},
    port::{Lease, Registry, Wanted, random_u32},
    worker::Worker,
};
use crate::{Error, Options, address::Target, time_now};

/// The worker threads that serve sockets.
///
/// There is no need to deal with it: the first socket starts a default runtime of two workers, or one on a machine with one
/// processor. Make your own for more workers, or to keep groups of sockets apart, and hand it to
/// [`Options::runtime`](crate::Options::runtime). However many sockets there are, no thread is added.
///
/// Copies are cheap and mean the same runtime. Sockets keep theirs running; when the last copy and the last socket are gone
/// the threads finish what is still to be delivered, and end. That is not so when the program ends: whatever is under way
/// is cut off then, so [`close`](crate::SrtSocket::close) sockets, or call [`shutdown`](Self::shutdown), before `main`
/// returns.
///
/// ```no_run
/// use srt::{Options, Runtime, SrtListener};
/// use std::time::Duration;
///
/// let runtime = Runtime::new(4)?;
/// let listener = SrtListener::bind("0.0.0.0:9000", &Options::new().runtime(&runtime))?;
/// // …
/// runtime.shutdown(Duration::from_secs(2));
/// # Ok::<(), srt::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Runtime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    inboxes: Vec<Arc<Inbox>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    running: Arc<Running>,
    /// Each worker holds it as well: it must outlive the last port.
    registry: Arc<Registry>,
    callbacks: Arc<Callbacks>,
    /// Looks names up and opens ports for the links of groups.
    openers: Arc<Callbacks>,
    down: AtomicBool,
}

/// How many workers have not ended.
#[derive(Debug)]
struct Running {
    count: Mutex<usize>,
    fewer: Condvar,
}

/// The default runtime, and the process it belongs to.
static DEFAULT: Mutex<Option<(u32, Runtime)>> = Mutex::new(None);

impl Runtime {
    /// Starts a runtime with so many worker threads, at least one.
    ///
    /// One worker serves some gigabits per second, or some thousand streams. A socket stays with one worker, so more of
    /// them help when there are more UDP ports, or where [`Options::workers`] spreads a listener's port over them.
    ///
    /// # Errors
    /// [`Error::Start`] if the system gives no more threads or file descriptors.
    pub fn new(workers: usize) -> Result<Self, Error> {
        let running = Arc::new(Running { count: Mutex::new(0), fewer: Condvar::new() });
        let (callbacks, registry) = (Arc::new(Callbacks::default()), Arc::new(Registry::default()));
        let openers = Arc::new(Callbacks::default());
        let (mut inboxes, mut threads) = (Vec::new(), Vec::new());
        for number in 0..workers.max(1) {
            let started = start_worker(number, (&callbacks, &openers), &registry, &running);
            let (inbox, thread) = match started {
                Ok(started) => started,
                Err(error) => {
                    finish(&inboxes, true);
                    return Err(Error::Start(error));
                }
            };
            inboxes.push(inbox);
            threads.push(thread);
        }
        let inner = Inner {
            inboxes,
            threads: Mutex::new(threads),
            running,
            registry,
            callbacks,
            openers,
            down: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The runtime of all sockets that were not given another; started on first use, and started anew after it was shut
    /// down, and in a child process after a fork.
    ///
    /// # Errors
    /// [`Error::Start`] if the system gives no more threads or file descriptors.
    pub fn default_handle() -> Result<Self, Error> {
        let process = std::process::id();
        let mut default = lock(&DEFAULT);
        if let Some((owner, runtime)) = &*default
            && *owner == process
            && !runtime.inner.down.load(Ordering::Acquire)
        {
            return Ok(runtime.clone());
        }
        let workers = thread::available_parallelism().map_or(1, NonZero::get).min(DEFAULT_WORKERS);
        let runtime = Self::new(workers)?;
        match default.replace((process, runtime.clone())) {
            // Its threads stayed with the parent process, and its file descriptors are the parent's as well.
            Some((owner, foreign)) if owner != process => std::mem::forget(foreign),
            _ => {}
        }
        Ok(runtime)
    }

    /// Number of worker threads.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.inner.inboxes.len()
    }

    /// Closes all sockets and listeners in order and ends the threads. Calls on them end with an error.
    ///
    /// Waits for `patience` at most; then what is left is aborted. True if nothing had to be. The default runtime can be
    /// used again at once, and is started anew; another one is of no use any more.
    pub fn shutdown(&self, patience: Duration) -> bool {
        self.inner.down.store(true, Ordering::Release);
        if self.inner.inboxes.iter().any(|inbox| inbox.is_foreign()) {
            return true; // the threads stayed with the parent process
        }
        finish(&self.inner.inboxes, false);
        let in_order = self.inner.running.wait_for_none(Some(time_now() + Micros::from(patience)));
        if !in_order {
            finish(&self.inner.inboxes, true);
            self.inner.running.wait_for_none(None);
        }
        for thread in lock(&self.inner.threads).drain(..) {
            // A worker that panicked has ended as well; the log has the panic.
            thread.join().ok();
        }
        self.inner.callbacks.finish();
        self.inner.openers.finish();
        in_order
    }

    /// Starts to call `to` from `local`, or from any address.
    pub(crate) fn connect(
        &self,
        local: Option<SocketAddr>,
        to: SocketAddr,
        options: &Options,
    ) -> Result<Arc<Handover>, Error> {
        options.check()?;
        let peer = callable(to)?;
        let local = local.unwrap_or_else(|| any_like(peer));
        if local.is_ipv4() != peer.is_ipv4() && local.ip() != IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
            return Err(Error::Address {
                addr: to,
                why: "the local address is of the other IP version; give one of the same",
            });
        }
        let config = options.config().clone();
        let Some(lease) = self.open(local, options, false)?.pop() else { return Err(Error::RuntimeDown) };
        let (port, inbox) = (Arc::clone(lease.port()), Arc::clone(lease.port().inbox()));
        let id = port.allot_id()?;
        let isn = SeqNumber::new(random_u32()?);
        let handover = Arc::new(Handover::new(id, peer, port.local(), config.clone(), Arc::clone(&inbox)));
        let setup =
            Box::new(CallerSetup { config, peer, local_ip: None, id, isn, entropy: Arc::new(System) });
        inbox
            .send(Command::Connect { handover: Arc::clone(&handover), lease, setup })
            .map_err(|_| Error::RuntimeDown)?;
        Ok(handover)
    }

    /// Starts a group that calls.
    pub(crate) fn group(
        &self,
        mode: Mode,
        links: Vec<LinkPlan>,
        options: &Options,
    ) -> Result<Arc<Handover>, Error> {
        options.check()?;
        let config = options.config().clone();
        let inbox = self.alive()?.into_iter().next().ok_or(Error::RuntimeDown)?;
        let id = (random_u32()? | GroupInfo::ID_BIT) & !(1 << 31);
        let isn = SeqNumber::new(random_u32()?);
        let setup = GroupSetup { config: config.clone(), mode, id, isn, entropy: Arc::new(System) };
        let peer = links.iter().find_map(|link| match link.target {
            Target::Known(addr) => Some(addr),
            Target::Named(_) => None,
        });
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let face = Arc::new(GroupFace::new(mode, id));
        // The number of a socket is that of one link; a group has its own.
        let handover = Handover::of_group(peer.unwrap_or(nowhere), nowhere, config, Arc::clone(&inbox), face);
        let handover = Arc::new(handover);
        let command = Command::Group { handover: Arc::clone(&handover), setup: Box::new(setup), links };
        inbox.send(command).map_err(|_| Error::RuntimeDown)?;
        Ok(handover)
    }

    /// Starts to take callers at `local`. The hook is taken if that succeeds.
    pub(crate) fn listen(
        &self,
        local: SocketAddr,
        options: &Options,
        hook: &mut Option<Hook>,
    ) -> Result<Arc<Listening>, Error> {
        options.check()?;
        let leases = self.open(local, options, true)?;
        let ports = leases.iter().map(|lease| Arc::clone(lease.port())).collect();
        let listening =
            Arc::new(Listening::new(ports, options.config().clone(), options.backlog_size(), hook.take()));
        for lease in leases {
            let inbox = Arc::clone(lease.port().inbox());
            let command = Command::Listen { listening: Arc::clone(&listening), lease };
            if inbox.send(command).is_err() {
                listening.close(false);
                return Err(Error::RuntimeDown);
            }
        }
        Ok(listening)
    }

    fn open(&self, local: SocketAddr, options: &Options, listening: bool) -> Result<Vec<Lease>, Error> {
        if self.inner.down.load(Ordering::Acquire) {
            return Err(Error::RuntimeDown);
        }
        let shareable = options.config().reuse_addr();
        // The links of a group may come by any of several ports: one worker has them all.
        let groups = listening && options.config().group_connect();
        let workers = if listening && !groups { options.worker_count() } else { 1 };
        let wanted = Wanted { local, options: options.udp(), shareable, listening, workers };
        self.inner.registry.open(&wanted, |count| {
            let mut alive = self.alive()?;
            if groups {
                alive.sort_by_key(|inbox| {
                    self.inner.inboxes.iter().position(|known| Arc::ptr_eq(known, inbox))
                });
            }
            alive.truncate(count.max(1));
            Ok(alive)
        })
    }

    /// The workers that can take something on, the idlest first.
    fn alive(&self) -> Result<Vec<Arc<Inbox>>, Error> {
        if self.inner.down.load(Ordering::Acquire) {
            return Err(Error::RuntimeDown);
        }
        let mut alive: Vec<_> = self.inner.inboxes.iter().filter(|inbox| !inbox.is_down()).cloned().collect();
        if alive.is_empty() {
            // Every worker has failed, and the log says how: whoever wants a default runtime gets a new one.
            self.inner.down.store(true, Ordering::Release);
            return Err(Error::RuntimeDown);
        }
        alive.sort_by_key(|inbox| inbox.load());
        Ok(alive)
    }
}

impl Drop for Inner {
    /// Nobody holds a socket or the runtime any more: the workers bring to an end what is left.
    fn drop(&mut self) {
        finish(&self.inboxes, false);
        self.callbacks.finish();
        self.openers.finish();
    }
}

impl Running {
    fn wait_for_none(&self, until: Option<Instant>) -> bool {
        let mut count = lock(&self.count);
        while *count > 0 {
            let span = until.map(|until| until.saturating_since(time_now()));
            count = match span {
                Some(Micros::ZERO) => return false,
                Some(span) => {
                    self.fewer.wait_timeout(count, span.into()).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.fewer.wait(count).unwrap_or_else(PoisonError::into_inner),
            };
        }
        true
    }
}

/// Counts a worker for as long as it lives.
struct Alive(Arc<Running>);

impl Alive {
    fn new(running: &Arc<Running>) -> Self {
        *lock(&running.count) += 1;
        Self(Arc::clone(running))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        *lock(&self.0.count) -= 1;
        self.0.fewer.notify_all();
    }
}

fn start_worker(
    number: usize,
    (callbacks, openers): (&Arc<Callbacks>, &Arc<Callbacks>),
    registry: &Arc<Registry>,
    running: &Arc<Running>,
) -> std::io::Result<(Arc<Inbox>, JoinHandle<()>)> {
    let poller = Poller::new()?;
    let inbox = Arc::new(Inbox::new(poller.waker()));
    let worker = Worker::new(
        Arc::clone(&inbox),
        (Arc::clone(callbacks), Arc::clone(openers)),
        Arc::clone(registry),
        poller,
    );
    let alive = Alive::new(running);
    let thread = thread::Builder::new().name(format!("srt-worker-{number}")).spawn(move || {
        let _alive = alive; // dropped after the worker, whose end it tells
        worker.run();
    })?;
    Ok((inbox, thread))
}

/// Orders all workers to end.
fn finish(inboxes: &[Arc<Inbox>], abort: bool) {
    for inbox in inboxes {
        // One that is gone has ended already.
        inbox.send(Command::Finish { abort }).ok();
    }
}

/// The address to call for `to`: as everywhere, the unspecified address means this machine.
pub(super) fn callable(to: SocketAddr) -> Result<SocketAddr, Error> {
    if to.port() == 0 {
        return Err(Error::Address {
            addr: to,
            why: "port 0 cannot be called; give the port of the listener",
        });
    }
    let mut to = srt_io::to_canonical(to);
    match to.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => to.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => to.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(to)
}

/// Any address and port of the IP version of `peer`.
pub(super) const fn any_like(peer: SocketAddr) -> SocketAddr {
    let ip = match peer {
        SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, 0)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Enough for most: a worker serves gigabits.
const DEFAULT_WORKERS: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_called_is_refused_at_once() {
        let to = SocketAddr::from(([192, 0, 2, 1], 0));
        let text = callable(to).expect_err("port 0").to_string();
        assert!(text.contains("192.0.2.1:0") && text.contains("port of the listener"), "{text}");
    }

    #[test]
    fn the_unspecified_address_means_this_machine() {
        let call = |text: &str| callable(text.parse().expect("an address")).expect("callable").to_string();
        assert_eq!(call("0.0.0.0:9"), "127.0.0.1:9");
        assert_eq!(call("[::]:9"), "[::1]:9");
        assert_eq!(call("[::ffff:10.0.0.1]:9"), "10.0.0.1:9");
        assert_eq!(call("[2001:db8::1]:9"), "[2001:db8::1]:9");
    }
}
