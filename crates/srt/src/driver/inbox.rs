//! What the rest of the program asks of a worker, and how the worker is woken for it.

use std::net::SocketAddr;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU8, AtomicUsize, Ordering},
    mpsc,
};

use srt_bonding::{GroupSetup, LinkId};
use srt_io::{UdpSocket, Waker};
use srt_protocol::{
    config::{OptionValue, SocketOption},
    connection::CallerSetup,
    endpoint::Incoming,
};

use super::{
    bond::LinkPlan,
    handover::Handover,
    listening::{Decision, Listening},
    port::{Lease, PortShared},
};

/// The one queue into a worker. Any thread may put something in; the worker alone takes out.
#[derive(Debug)]
pub(crate) struct Inbox {
    queue: Mutex<Queue>,
    /// [`AWAKE`], [`ASLEEP`] or [`CALLED`]: a sleeping worker is called once, a working one not at all.
    state: AtomicU8,
    waker: Waker,
    /// Connections and listeners of the worker: new ports go where there are fewest.
    load: AtomicUsize,
    /// The process whose thread the worker is.
    process: u32,
}

#[derive(Debug, Default)]
struct Queue {
    commands: Vec<Command>,
    /// Connections whose hand-over the application has touched; each is in here once at most.
    touched: Vec<Arc<Handover>>,
    /// The worker is gone.
    down: bool,
}

/// A question or order for a worker. Orders about one port are carried out in the order they are given.
#[derive(Debug)]
pub(crate) enum Command {
    /// Serve this UDP port.
    Open { port: Arc<PortShared>, socket: Box<UdpSocket>, cookie_secret: [u8; 16] },
    /// Nobody uses the port any more.
    Shut { port: Arc<PortShared> },
    /// Call a listener.
    Connect { handover: Arc<Handover>, lease: Lease, setup: Box<CallerSetup> },
    /// Take callers on a port.
    Listen { listening: Arc<Listening>, lease: Lease },
    /// Take no more callers.
    Unlisten { listening: Arc<Listening>, done: Option<mpsc::Sender<()>> },
    /// What the accept hook said.
    Decide { listening: Arc<Listening>, incoming: Box<Incoming>, decision: Decision },
    /// End a connection, in order or at once.
    Close { handover: Arc<Handover>, abort: bool },
    /// Change an option of a live connection; the value is an allowed one.
    Set { handover: Arc<Handover>, option: SocketOption, value: OptionValue },
    /// Start a group that calls, with these links.
    Group { handover: Arc<Handover>, setup: Box<GroupSetup>, links: Vec<LinkPlan> },
    /// Call a link whose port is open, on the way to this address; or try again later.
    CallLink { handover: Arc<Handover>, link: LinkId, opened: Option<Box<(Lease, SocketAddr)>> },
    /// Add a link to a group, and tell its number.
    AddLink { handover: Arc<Handover>, plan: Box<LinkPlan>, told: mpsc::Sender<Option<LinkId>> },
    /// Take a link out of a group.
    RemoveLink { handover: Arc<Handover>, link: LinkId },
    /// End all connections, in order or at once, and then the thread.
    Finish { abort: bool },
}

/// What a worker takes out of its [`Inbox`] at once.
#[derive(Debug, Default)]
pub(super) struct Mail {
    pub(super) commands: Vec<Command>,
    pub(super) touched: Vec<Arc<Handover>>,
}

impl Inbox {
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            queue: Mutex::new(Queue::default()),
            state: AtomicU8::new(AWAKE),
            waker,
            load: AtomicUsize::new(0),
            process: std::process::id(),
        }
    }

    /// Gives the worker an order; gives it back if the worker is gone.
    pub(crate) fn send(&self, command: Command) -> Result<(), Box<Command>> {
        let mut queue = self.lock();
        if queue.down || self.is_foreign() {
            return Err(Box::new(command));
        }
        queue.commands.push(command);
        drop(queue);
        self.call();
        Ok(())
    }

    /// Tells the worker that the application has touched the hand-over.
    pub(super) fn touch(&self, handover: &Arc<Handover>) {
        let mut queue = self.lock();
        if queue.down {
            return;
        }
        queue.touched.push(Arc::clone(handover));
        drop(queue);
        self.call();
    }

    /// Takes everything out.
    pub(super) fn take(&self, mail: &mut Mail) {
        debug_assert!(mail.commands.is_empty() && mail.touched.is_empty(), "what was taken was dealt with");
        let mut queue = self.lock();
        std::mem::swap(&mut queue.commands, &mut mail.commands);
        std::mem::swap(&mut queue.touched, &mut mail.touched);
    }

    /// The worker is about to sleep; false if something has come in, and it must not.
    pub(super) fn may_sleep(&self) -> bool {
        self.state.store(ASLEEP, Ordering::SeqCst);
        let queue = self.lock();
        let empty = queue.commands.is_empty() && queue.touched.is_empty();
        drop(queue);
        if !empty {
            self.awake();
        }
        empty
    }

    /// The worker is awake, and will look into the inbox before it sleeps.
    pub(super) fn awake(&self) {
        self.state.store(AWAKE, Ordering::SeqCst);
    }

    /// The worker ends: from now on nothing is taken in. What had come in goes to `mail`.
    pub(super) fn shut(&self, mail: &mut Mail) {
        let mut queue = self.lock();
        queue.down = true;
        mail.commands.append(&mut queue.commands);
        mail.touched.append(&mut queue.touched);
    }

    /// The worker is gone, or never was in this process.
    pub(super) fn is_down(&self) -> bool {
        self.lock().down || self.is_foreign()
    }

    /// We are a child made by a fork, and the worker stayed with the parent.
    pub(super) fn is_foreign(&self) -> bool {
        self.process != std::process::id()
    }

    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    pub(super) fn add_load(&self) {
        self.load.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn drop_load(&self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
    }

    /// Wakes the worker if it sleeps and nobody has called it yet.
    fn call(&self) {
        if self.state.swap(CALLED, Ordering::SeqCst) == ASLEEP {
            self.waker.wake();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const CALLED: u8 = 2;
