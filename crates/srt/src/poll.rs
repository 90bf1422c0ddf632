//! One waiter for any number of sockets and listeners.
//!
//! Readiness is a level: a socket that is readable is told at every wait until it has been read empty. A wait looks only at
//! the sockets that something happened to since it last found them not ready, so thousands that are quiet cost nothing.

use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use srt_protocol::time::Micros;

use crate::time_now;

/// What to be told of a socket. That it failed or was closed is always told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Interest {
    readable: bool,
    writable: bool,
}

impl Interest {
    /// That there is something to receive or to accept.
    pub const READABLE: Self = Self { readable: true, writable: false };
    /// That there is room to send, and that the connection stands.
    pub const WRITABLE: Self = Self { readable: false, writable: true };
    /// Both.
    pub const BOTH: Self = Self { readable: true, writable: true };
    /// Only that it failed or was closed.
    pub const NONE: Self = Self { readable: false, writable: false };
}

/// What a socket or listener is ready for now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Readiness {
    /// A receive, or an accept, would not wait: there is a message or a caller, or there will be none.
    pub readable: bool,
    /// A send would not wait: there is room, or the socket is closed.
    pub writable: bool,
    /// The connection could not be made, or broke.
    pub error: bool,
    /// It is closed. What was received before can still be read, unless we closed it.
    pub closed: bool,
}

impl Readiness {
    /// Ready for nothing.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        !(self.readable || self.writable || self.error || self.closed)
    }

    const fn within(self, interest: Interest) -> Self {
        Self {
            readable: self.readable && interest.readable,
            writable: self.writable && interest.writable,
            ..self
        }
    }
}

/// One socket or listener that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PollEvent {
    /// The token it was registered with.
    pub token: u64,
    /// What it is ready for, of what was asked.
    pub readiness: Readiness,
}

/// What can be registered with a [`Poll`]: sockets and listeners, blocking or async.
pub trait Source: sealed::Watchable {}

/// What makes something a [`Source`]; only this crate can.
pub(crate) mod sealed {
    use super::{Arc, Watched};

    #[expect(unnameable_types, reason = "the sealed half of a public trait: nobody else is to name it")]
    pub trait Watchable {
        #[doc(hidden)]
        fn watched(&self) -> Arc<dyn Watched>;
    }
}

/// The inner side of a [`Source`].
#[expect(unnameable_types, reason = "the sealed half of a public trait: nobody else is to name it")]
pub trait Watched: Send + Sync + fmt::Debug {
    #[doc(hidden)]
    fn readiness(&self) -> Readiness;
    #[doc(hidden)]
    fn watch(&self, registration: Arc<Registration>);
    #[doc(hidden)]
    fn unwatch(&self, registered: &dyn Fn(&Registration) -> bool);
}

/// Waits for any number of sockets and listeners at once, on a thread of yours.
///
/// It has no thread and no file descriptor. It can be shared between threads; each wait is told what holds at that moment.
/// A socket that is dropped leaves by itself.
///
/// ```no_run
/// use srt::{Interest, Options, Poll, SrtListener};
/// use std::collections::HashMap;
///
/// let listener = SrtListener::bind("0.0.0.0:9000", &Options::new())?;
/// let poll = Poll::new();
/// poll.register(&listener, 0, Interest::READABLE);
///
/// let (mut sockets, mut next, mut events) = (HashMap::new(), 1, Vec::new());
/// let mut buffer = [0; 1456];
/// loop {
///     poll.wait(&mut events, None);
///     for event in &events {
///         if event.token == 0 {
///             while let Ok((socket, _)) = listener.try_accept() {
///                 poll.register(&socket, next, Interest::READABLE);
///                 sockets.insert(next, socket);
///                 next += 1;
///             }
///         } else if let Some(socket) = sockets.get(&event.token) {
///             loop {
///                 match socket.try_recv(&mut buffer) {
///                     Ok(len) => println!("{} bytes on {}", len, event.token),
///                     Err(error) if error.is_would_block() => break,
///                     Err(_) => {
///                         sockets.remove(&event.token);
///                         break;
///                     }
///                 }
///             }
///         }
///     }
/// }
/// # Ok::<(), srt::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Poll {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
    called: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    /// Worth looking at; each is in here once at most.
    raised: Vec<Arc<Registration>>,
    waiting: usize,
    woken: bool,
}

/// One socket's place in a [`Poll`].
#[derive(Debug)]
#[expect(unnameable_types, reason = "seen in the sealed half of a public trait alone")]
pub struct Registration {
    poll: Weak<Shared>,
    source: Weak<dyn Watched>,
    token: u64,
    interest: Interest,
    /// In the list of what is worth looking at.
    raised: AtomicBool,
    /// Taken out, or registered anew.
    gone: AtomicBool,
}

impl Poll {
    /// A poll that watches nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Watches `source`, whose events will carry `token`. Registering it again changes token and interest.
    ///
    /// What it is ready for already is told by the next wait.
    pub fn register(&self, source: &impl Source, token: u64, interest: Interest) {
        let watched = source.watched();
        self.unwatch(&watched);
        watched.watch(Arc::new(Registration {
            poll: Arc::downgrade(&self.shared),
            source: Arc::downgrade(&watched),
            token,
            interest,
            raised: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        }));
    }

    /// Watches `source` no more; no later wait tells of it.
    pub fn deregister(&self, source: &impl Source) {
        self.unwatch(&source.watched());
    }

    /// Waits until a registered socket is ready, `timeout` is over (`None`: never) or [`wake`](Self::wake) is called.
    ///
    /// `events` is filled anew; the return value is how many there are, 0 if the time was over or somebody called.
    pub fn wait(&self, events: &mut Vec<PollEvent>, timeout: Option<Duration>) -> usize {
        events.clear();
        let until = timeout.map(|span| time_now() + Micros::from(span));
        let mut inner = self.shared.lock();
        loop {
            let raised = std::mem::take(&mut inner.raised);
            if !raised.is_empty() {
                drop(inner);
                for registration in raised {
                    events.extend(registration.look());
                }
                inner = self.shared.lock();
            }
            if std::mem::take(&mut inner.woken) || !events.is_empty() {
                return events.len();
            }
            if !inner.raised.is_empty() {
                continue;
            }
            let span = until.map(|until| until.saturating_since(time_now()));
            if span == Some(Micros::ZERO) {
                return 0;
            }
            inner.waiting += 1;
            inner = match span {
                None => self.shared.called.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(span) => {
                    let waited = self.shared.called.wait_timeout(inner, span.into());
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
            inner.waiting -= 1;
        }
    }

    /// Ends a wait that is under way, or else the next one; from any thread.
    pub fn wake(&self) {
        let mut inner = self.shared.lock();
        inner.woken = true;
        if inner.waiting > 0 {
            self.shared.called.notify_one();
        }
    }

    fn unwatch(&self, watched: &Arc<dyn Watched>) {
        watched.unwatch(&|registration| {
            let ours = std::ptr::eq(registration.poll.as_ptr(), Arc::as_ptr(&self.shared));
            if ours {
                registration.gone.store(true, Ordering::Relaxed);
            }
            ours
        });
    }
}

impl Registration {
    /// Puts a registration among those of a socket, in the place of those whose poll is gone.
    pub(crate) fn enlist(watchers: &mut Vec<Arc<Self>>, registration: Arc<Self>) {
        watchers.retain(|known| known.poll.strong_count() > 0);
        watchers.push(registration);
    }

    /// The socket is gone: no wait tells of it any more.
    pub(crate) fn end_all(watchers: Vec<Arc<Self>>) {
        for registration in watchers {
            registration.gone.store(true, Ordering::Release);
        }
    }

    /// Whether the socket is on the list of what is worth looking at.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Relaxed)
    }

    /// Puts the socket on the list of what is worth looking at, and wakes who waits.
    pub(crate) fn raise(self: &Arc<Self>) {
        Self::raise_all(std::iter::once(Arc::clone(self)));
    }

    /// The same for many sockets, so that who waits for several of them is woken once.
    pub(crate) fn raise_all(registrations: impl Iterator<Item = Arc<Self>>) {
        let mut registrations = registrations.peekable();
        while let Some(first) = registrations.next() {
            let Some(poll) = first.poll.upgrade() else { continue };
            let mut inner = poll.lock();
            let before = inner.raised.len();
            let ours = |other: &Arc<Self>| other.poll.ptr_eq(&first.poll);
            let mut next = Some(Arc::clone(&first));
            while let Some(registration) = next {
                if !registration.raised.swap(true, Ordering::AcqRel) {
                    inner.raised.push(registration);
                }
                next = registrations.next_if(ours);
            }
            if inner.waiting > 0 && inner.raised.len() > before {
                poll.called.notify_one();
            }
        }
    }

    /// What the socket is ready for, if anything; it stays on the list then.
    fn look(self: Arc<Self>) -> Option<PollEvent> {
        // First off the list, then the look: what happens in between puts it back.
        self.raised.store(false, Ordering::Release);
        if self.gone.load(Ordering::Acquire) {
            return None;
        }
        let readiness = self.source.upgrade()?.readiness().within(self.interest);
        if readiness.is_empty() {
            return None;
        }
        self.raise();
        Some(PollEvent { token: self.token, readiness })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Quiet(Mutex<Vec<Arc<Registration>>>);

    impl Watched for Quiet {
        fn readiness(&self) -> Readiness {
            Readiness::default()
        }

        fn watch(&self, registration: Arc<Registration>) {
            Registration::enlist(&mut self.0.lock().expect("one thread"), registration);
        }

        fn unwatch(&self, registered: &dyn Fn(&Registration) -> bool) {
            self.0.lock().expect("one thread").retain(|known| !registered(known));
        }
    }

    struct Handle(Arc<Quiet>);

    impl sealed::Watchable for Handle {
        fn watched(&self) -> Arc<dyn Watched> {
            self.0.clone()
        }
    }

    impl Source for Handle {}

    #[test]
    fn polls_that_are_gone_leave_nothing_behind() {
        let source = Handle(Arc::new(Quiet::default()));
        for token in 0..100 {
            Poll::new().register(&source, token, Interest::READABLE);
        }
        let poll = Poll::new();
        poll.register(&source, 100, Interest::READABLE);
        let tokens: Vec<u64> =
            source.0.0.lock().expect("one thread").iter().map(|known| known.token).collect();
        assert_eq!(tokens, [100]);
    }
}
