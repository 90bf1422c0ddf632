//! A listener as the application sees it: connections that wait to be accepted, and the hook that is asked first.

use std::{
    borrow::Cow,
    collections::VecDeque,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    task::Waker,
    time::Duration,
};

use srt_protocol::{config::Config, endpoint::EndpointStats, handshake::RejectReason, packet::GroupInfo};

use super::{
    handover::Handover,
    inbox::{Command, Inbox},
    port::PortShared,
    waiters::{Calls, Waiters, deadline, wait},
};
use crate::{
    Error, Options, Readiness,
    options::duration,
    poll::{Registration, Watched},
};

/// What an accept hook is told of a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectRequest {
    /// Where the caller calls from.
    pub peer: SocketAddr,
    /// The address it called; the listener's own where the system does not tell.
    pub local: SocketAddr,
    /// What the caller wants, at most 512 bytes; empty if it says nothing.
    pub stream_id: Vec<u8>,
    /// Version of the caller's SRT, as `0xMMmmpp`.
    pub peer_version: u32,
    /// Whether the caller announces encryption.
    pub encrypted: bool,
    /// The group that the caller wants this link to belong to. The hook is asked about each link.
    pub group: Option<GroupInfo>,
}

impl ConnectRequest {
    /// The stream ID as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn stream_id_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.stream_id)
    }
}

/// What an accept hook answers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Decision {
    /// Take the caller, with the listener's options.
    Accept,
    /// Take the caller, with these options. Backlog, runtime and what belongs to the UDP port stay the listener's.
    AcceptWith(Box<Options>),
    /// Refuse the caller, who is told why.
    Reject(RejectReason),
}

/// Figures of a listener since it was bound.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ListenerStats {
    /// Callers that became connections.
    pub accepted: u64,
    /// Callers that the hook refused.
    pub rejected: u64,
    /// Callers refused because as many connections as `backlog` allows waited to be accepted.
    pub backlog_full: u64,
    /// What the UDP port received for nobody, and why it was dropped.
    pub port: EndpointStats,
}

/// The hook: runs on the runtime's one callback thread, never on a worker.
pub(crate) type Hook = Box<dyn FnMut(&ConnectRequest) -> Decision + Send>;

/// The meeting place of an application and the worker that takes callers for it.
pub(crate) struct Listening {
    /// One for each worker that the port is spread over.
    ports: Vec<Arc<PortShared>>,
    pub(super) config: Config,
    pub(super) backlog: usize,
    inner: Mutex<Inner>,
    accepters: Condvar,
    hook: Mutex<Option<Arc<Mutex<Hook>>>>,
    pub(super) accepted: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) backlog_full: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    ready: VecDeque<Arc<Handover>>,
    /// Callers the worker has taken in whose connection does not stand yet, or whom the hook looks at.
    closed: bool,
    waiting: Waiters,
    watchers: Vec<Arc<Registration>>,
}

impl fmt::Debug for Listening {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Listening").field("local", &self.local()).finish_non_exhaustive()
    }
}

/// The application's side.
impl Listening {
    pub(super) fn new(
        ports: Vec<Arc<PortShared>>,
        config: Config,
        backlog: usize,
        hook: Option<Hook>,
    ) -> Self {
        Self {
            ports,
            config,
            backlog,
            inner: Mutex::new(Inner::default()),
            accepters: Condvar::new(),
            hook: Mutex::new(hook.map(|hook| Arc::new(Mutex::new(hook)))),
            accepted: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            backlog_full: AtomicU64::new(0),
        }
    }

    pub(crate) fn local(&self) -> SocketAddr {
        self.first().local()
    }

    fn first(&self) -> &Arc<PortShared> {
        self.ports.first().expect("a listener has a port")
    }

    /// The next connection: waits as RCVSYN and RCVTIMEO say, or for `timeout` if that is given.
    pub(crate) fn accept(&self, timeout: Option<Duration>) -> Result<Arc<Handover>, Error> {
        let patience = timeout.or_else(|| duration(self.config.receive_timeout()));
        let may_wait = timeout.is_some() || self.config.receive_blocking();
        let (mut inner, until) = (self.lock(), deadline(patience));
        loop {
            match inner.take() {
                Err(Error::WouldBlock) if may_wait => {}
                other => return other,
            }
            let in_time;
            (inner, in_time) = wait(inner, &self.accepters, until, |inner| &mut inner.waiting);
            if !in_time {
                return Err(Error::Timeout { what: "accept" });
            }
        }
    }

    pub(crate) fn try_accept(&self) -> Result<Arc<Handover>, Error> {
        self.lock().take()
    }

    /// The next connection; while there is none the task is put down to be woken.
    pub(crate) fn check_accept(&self, key: u64, waker: &Waker) -> Result<Arc<Handover>, Error> {
        let mut inner = self.lock();
        let result = inner.take();
        if matches!(result, Err(Error::WouldBlock)) {
            inner.waiting.enlist(key, waker);
        }
        result
    }

    /// The task under `key` waits no more.
    pub(crate) fn dismiss(&self, key: u64) {
        self.lock().waiting.dismiss(key);
    }

    pub(crate) fn set_hook(&self, hook: Option<Hook>) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) =
            hook.map(|hook| Arc::new(Mutex::new(hook)));
    }

    /// Takes no more callers, and frees the port if no connection uses it; waits for that if asked to.
    pub(crate) fn close(self: &Arc<Self>, waits: bool) {
        if !self.end() {
            return;
        }
        self.end_listening();
        let (done, finished) = mpsc::channel();
        let mut asked = 0;
        for port in &self.ports {
            let done = waits.then(|| done.clone());
            let command = Command::Unlisten { listening: Arc::clone(self), done };
            asked += usize::from(port.inbox().send(command).is_ok());
        }
        drop(done);
        if waits {
            // An error is the end of a worker, and with it of its socket.
            finished.iter().take(asked).for_each(drop);
            self.first().wait_closed();
        }
    }

    /// Nobody holds the listener any more.
    pub(crate) fn abandon(self: &Arc<Self>) {
        Registration::end_all(std::mem::take(&mut self.lock().watchers));
        self.close(false);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    pub(crate) fn stats(&self) -> ListenerStats {
        let mut port = EndpointStats::default();
        self.ports.iter().for_each(|shared| port.add(&shared.stats()));
        ListenerStats {
            accepted: self.accepted.load(Ordering::Relaxed),
            rejected: self.rejected.load(Ordering::Relaxed),
            backlog_full: self.backlog_full.load(Ordering::Relaxed),
            port,
        }
    }

    /// Marks the listener closed and interrupts those who wait; connections nobody accepted are ended. False if it was
    /// closed already.
    pub(super) fn end(&self) -> bool {
        let mut calls = Calls::default();
        let mut inner = self.lock();
        if std::mem::replace(&mut inner.closed, true) {
            return false;
        }
        let ready = std::mem::take(&mut inner.ready);
        inner.waiting.wake(&self.accepters, &mut calls);
        inner.raise(&mut calls);
        drop(inner);
        calls.make();
        for handover in ready {
            handover.close(true);
        }
        true
    }

    /// Takes no more callers; another listener may have the port.
    pub(super) fn end_listening(&self) {
        self.first().end_listening();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The worker's side.
impl Listening {
    /// The port as the worker of this inbox serves it.
    pub(super) fn port_of(&self, inbox: &Arc<Inbox>) -> Option<&Arc<PortShared>> {
        self.ports.iter().find(|port| Arc::ptr_eq(port.inbox(), inbox))
    }

    pub(super) fn hook(&self) -> Option<Arc<Mutex<Hook>>> {
        self.hook.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections that wait to be accepted.
    pub(super) fn ready(&self) -> usize {
        self.lock().ready.len()
    }

    /// A connection stands and waits to be accepted; false if the listener is closed.
    pub(super) fn offer(&self, handover: Arc<Handover>, calls: &mut Calls) -> bool {
        let mut inner = self.lock();
        if inner.closed {
            return false;
        }
        inner.ready.push_back(handover);
        inner.waiting.wake(&self.accepters, calls);
        inner.raise(calls);
        drop(inner);
        self.accepted.fetch_add(1, Ordering::Relaxed);
        true
    }
}

/// The poller's side.
impl Watched for Listening {
    fn readiness(&self) -> Readiness {
        let inner = self.lock();
        Readiness {
            readable: !inner.ready.is_empty() || inner.closed,
            writable: false,
            error: false,
            closed: inner.closed,
        }
    }

    fn watch(&self, registration: Arc<Registration>) {
        let mut inner = self.lock();
        registration.raise();
        Registration::enlist(&mut inner.watchers, registration);
    }

    fn unwatch(&self, registered: &dyn Fn(&Registration) -> bool) {
        self.lock().watchers.retain(|known| !registered(known));
    }
}

impl Inner {
    fn take(&mut self) -> Result<Arc<Handover>, Error> {
        match self.ready.pop_front() {
            Some(handover) => Ok(handover),
            None if self.closed => Err(Error::ListenerClosed),
            None => Err(Error::WouldBlock),
        }
    }

    fn raise(&self, calls: &mut Calls) {
        calls.raise(&self.watchers);
    }
}
