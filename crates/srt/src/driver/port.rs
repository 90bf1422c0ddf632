//! A UDP port: who may use it, and how several sockets of the program share it.
//!
//! A busy listener's port can be spread over several workers. Each has a UDP socket of its own for it, and the system deals the
//! datagrams by the socket ID they are for; so a connection's ID says which worker it belongs to. A caller, who has no ID of
//! ours yet, is dealt by his own. The sockets are opened together and closed together.

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use srt_io::{Steering, UdpOptions, UdpSocket};
use srt_protocol::{endpoint::EndpointStats, types::SocketId};

use super::{
    inbox::{Command, Inbox},
    slab::NOWHERE,
};
use crate::Error;

/// The ports of one runtime. A port stays open as long as a connection or listener holds a [`Lease`] of it.
#[derive(Debug, Default)]
pub(super) struct Registry {
    ports: Mutex<Vec<Entry>>,
    /// Called when a port that was being closed is free.
    freed: Condvar,
}

#[derive(Debug)]
struct Entry {
    /// One for each worker it is spread over, at least one.
    ports: Vec<Arc<PortShared>>,
    /// Leases; 0 when its workers are closing it.
    users: usize,
    listening: bool,
    /// Leases of listeners that are closed, and that their worker is about to end.
    leaving: usize,
}

/// What all who use a port know of it.
#[derive(Debug)]
pub(crate) struct PortShared {
    local: SocketAddr,
    options: UdpOptions,
    shareable: bool,
    inbox: Arc<Inbox>,
    /// Its place among those that the port is spread over, and how many these are.
    place: (u32, u32),
    registry: Weak<Registry>,
    /// Where the worker keeps the port; the worker alone reads and writes it.
    slot: AtomicU32,
    /// IDs in use on the port.
    ids: Mutex<HashSet<u32>>,
    /// What the port received for nobody, as the worker told last.
    stats: Mutex<EndpointStats>,
}

/// The right to use a port, which keeps it open.
#[derive(Debug)]
pub(crate) struct Lease {
    port: Option<Arc<PortShared>>,
    /// It is a listener's.
    listener: bool,
}

/// What somebody wants of a port.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) local: SocketAddr,
    pub(super) options: UdpOptions,
    /// Others may use it too.
    pub(super) shareable: bool,
    /// To take callers on it, which one at a time may do.
    pub(super) listening: bool,
    /// Workers to spread it over, where the system can deal.
    pub(super) workers: usize,
}

impl Registry {
    /// Leases of the port: of one that is open already, if it may be shared, else of a new one on the workers that `choose`
    /// names. One lease, but one for each worker if it is for a listener.
    pub(super) fn open(
        self: &Arc<Self>,
        wanted: &Wanted,
        choose: impl FnOnce(usize) -> Result<Vec<Arc<Inbox>>, Error>,
    ) -> Result<Vec<Lease>, Error> {
        let mut ports = self.lock();
        while wanted.local.port() != 0
            && let Some(entry) = ports.iter_mut().find(|entry| entry.first().local == wanted.local)
        {
            if entry.users > 0 {
                let lease = entry.share(wanted);
                if lease.is_ok() || entry.users > entry.leaving {
                    return lease;
                }
            }
            // Nobody uses it any more, and its worker is about to close it.
            ports = self.freed.wait(ports).unwrap_or_else(PoisonError::into_inner);
        }
        let inboxes = choose(wanted.workers)?;
        let sockets = bind(wanted, inboxes.len())?;
        let mut cookie_secret = [0; 16];
        getrandom::fill(&mut cookie_secret).map_err(no_entropy)?;
        let count = u32::try_from(sockets.len()).unwrap_or(1);
        let mut entry = Entry { ports: Vec::new(), users: 0, listening: wanted.listening, leaving: 0 };
        for ((socket, inbox), index) in sockets.into_iter().zip(&inboxes).zip(0..) {
            let port = Arc::new(PortShared {
                local: socket.local_addr(),
                options: wanted.options.clone(),
                shareable: wanted.shareable,
                inbox: Arc::clone(inbox),
                place: (index, count),
                registry: Arc::downgrade(self),
                slot: AtomicU32::new(NOWHERE),
                ids: Mutex::new(HashSet::new()),
                stats: Mutex::default(),
            });
            let command = Command::Open { port: Arc::clone(&port), socket: Box::new(socket), cookie_secret };
            if inbox.send(command).is_err() {
                // Those before it are closed as if their last user had left.
                drop(ports);
                entry.ports.iter().for_each(close);
                return Err(Error::RuntimeDown);
            }
            entry.ports.push(port);
        }
        let leases = entry.leases(wanted.listening);
        ports.push(entry);
        Ok(leases)
    }

    /// The worker has closed the port.
    fn forget(&self, port: &Arc<PortShared>) {
        let mut ports = self.lock();
        for entry in ports.iter_mut() {
            entry.ports.retain(|known| !Arc::ptr_eq(known, port));
        }
        ports.retain(|entry| !entry.ports.is_empty());
        drop(ports);
        self.freed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn first(&self) -> &Arc<PortShared> {
        self.ports.first().expect("a port is forgotten with its last socket")
    }

    fn has(&self, port: &Arc<PortShared>) -> bool {
        self.ports.iter().any(|known| Arc::ptr_eq(known, port))
    }

    /// More leases, if this and `wanted` go together.
    fn share(&mut self, wanted: &Wanted) -> Result<Vec<Lease>, Error> {
        let local = self.first().local;
        let refuse = |why| Err(Error::PortShared { local, why });
        if wanted.listening && self.listening {
            return refuse("a listener has it; close that one first, or bind another port");
        }
        if !(self.first().shareable && wanted.shareable) {
            return refuse("reuseaddr is off; switch it on for both sockets, or bind another port");
        }
        if self.first().options != wanted.options {
            return refuse(
                "with other UDP options; use the same iptos, ipttl, ipv6only and buffers for both",
            );
        }
        self.listening |= wanted.listening;
        Ok(self.leases(wanted.listening))
    }

    /// One for each worker of a listener, one for anybody else.
    fn leases(&mut self, listening: bool) -> Vec<Lease> {
        let count = if listening { self.ports.len() } else { 1 };
        self.users += count;
        self.ports.iter().take(count).map(|port| Lease::of(port, listening)).collect()
    }
}

impl PortShared {
    pub(crate) const fn local(&self) -> SocketAddr {
        self.local
    }

    pub(super) const fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    pub(super) fn slot(&self) -> u32 {
        self.slot.load(Ordering::Relaxed)
    }

    pub(super) fn set_slot(&self, slot: u32) {
        self.slot.store(slot, Ordering::Relaxed);
    }

    /// An ID that no connection of this port has: random, so that nobody can guess it, never 0, with the bit clear that
    /// libsrt keeps for groups, and such that what is sent to it is dealt to this worker.
    pub(super) fn allot_id(&self) -> Result<SocketId, Error> {
        let (index, count) = self.place;
        loop {
            let id = random_u32()? & ID_MASK;
            let id = id - id % count + index;
            if id != 0 && id <= ID_MASK && self.ids().insert(id) {
                return Ok(SocketId::new(id));
            }
        }
    }

    /// The connection of this ID is gone.
    pub(super) fn free_id(&self, id: SocketId) {
        self.ids().remove(&id.value());
    }

    /// One more lease, for a connection that was accepted here.
    pub(super) fn lease(self: &Arc<Self>) -> Result<Lease, Error> {
        let registry = self.registry.upgrade().ok_or(Error::RuntimeDown)?;
        let mut ports = registry.lock();
        let entry = ports.iter_mut().find(|entry| entry.has(self)).ok_or(Error::RuntimeDown)?;
        entry.users += 1;
        Ok(Lease::of(self, false))
    }

    /// The listener takes no more callers; another may.
    pub(super) fn end_listening(self: &Arc<Self>) {
        let Some(registry) = self.registry.upgrade() else { return };
        if let Some(entry) = registry.lock().iter_mut().find(|entry| entry.has(self)) {
            entry.listening = false;
            entry.leaving += entry.ports.len();
        }
    }

    /// Waits until the UDP sockets are closed, if nobody uses the port any more.
    pub(super) fn wait_closed(self: &Arc<Self>) {
        let Some(registry) = self.registry.upgrade() else { return };
        let mut ports = registry.lock();
        let local = self.local;
        while !self.inbox.is_down()
            && ports.iter().any(|entry| entry.first().local == local && entry.users == 0)
        {
            ports = registry.freed.wait(ports).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The worker has closed the UDP socket.
    pub(super) fn closed(self: &Arc<Self>) {
        if let Some(registry) = self.registry.upgrade() {
            registry.forget(self);
        }
    }

    /// What the port received for nobody.
    pub(super) fn stats(&self) -> EndpointStats {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_stats(&self, stats: EndpointStats) {
        *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = stats;
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<u32>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One lease less; what is to be closed if it was the last.
    fn leave(self: &Arc<Self>, listener: bool) -> Vec<Arc<Self>> {
        let Some(registry) = self.registry.upgrade() else { return Vec::new() };
        let mut ports = registry.lock();
        let Some(entry) = ports.iter_mut().find(|entry| entry.has(self)) else { return Vec::new() };
        entry.users = entry.users.saturating_sub(1);
        entry.leaving = entry.leaving.saturating_sub(usize::from(listener));
        self.inbox.drop_load();
        let closed = if entry.users == 0 { entry.ports.clone() } else { Vec::new() };
        drop(ports);
        registry.freed.notify_all(); // who waits for the port may find now that it will not be closed
        closed
    }
}

/// Has the worker of a port close its UDP socket.
pub(super) fn close(port: &Arc<PortShared>) {
    if port.inbox.send(Command::Shut { port: Arc::clone(port) }).is_err() {
        // The worker is gone, and its sockets with it.
        port.closed();
    }
}

/// The UDP sockets of a port: as many as there are workers for it, or one where the system cannot deal.
fn bind(wanted: &Wanted, workers: usize) -> Result<Vec<UdpSocket>, Error> {
    if workers > 1 {
        match UdpSocket::bind_dealt(wanted.local, &wanted.options, workers, STEERING) {
            Ok(sockets) => return Ok(sockets),
            Err(error) if error.io_kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(local = %wanted.local, "one worker serves the port: this system cannot deal datagrams to several");
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(vec![UdpSocket::bind(wanted.local, &wanted.options)?])
}

/// By the socket ID a packet is for (draft §3), and a handshake, which is for none, by the socket ID of who sends it
/// (draft §3.2.1), which stays the same through all its tries.
const STEERING: Steering = Steering { number_at: 12, or_else_at: 16 + 24 };

impl Lease {
    fn of(port: &Arc<PortShared>, listener: bool) -> Self {
        port.inbox.add_load();
        Self { port: Some(Arc::clone(port)), listener }
    }

    pub(super) const fn port(&self) -> &Arc<PortShared> {
        self.port.as_ref().expect("a lease has its port until it ends")
    }

    /// Ends the lease on its worker; what is to be closed if it was the last one. That of a listener was
    /// [ended](PortShared::end_listening) before.
    pub(super) fn end(mut self) -> Vec<Arc<PortShared>> {
        let listener = self.listener;
        self.port.take().map_or_else(Vec::new, |port| port.leave(listener))
    }
}

impl Drop for Lease {
    /// A lease that never came to its worker.
    fn drop(&mut self) {
        if let Some(port) = self.port.take() {
            port.leave(self.listener).iter().for_each(close);
        }
    }
}

/// Four bytes of the system's entropy.
pub(super) fn random_u32() -> Result<u32, Error> {
    getrandom::u32().map_err(no_entropy)
}

fn no_entropy(error: getrandom::Error) -> Error {
    Error::Start(io::Error::other(error))
}

/// 30 bits: bit 31 is the sign of C's socket type, bit 30 the mark of a group.
const ID_MASK: u32 = 0x3FFF_FFFF;
