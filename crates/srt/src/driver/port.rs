//! A UDP port: who may use it, and how several sockets of the program share it.

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

use srt_io::{UdpOptions, UdpSocket};
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
    port: Arc<PortShared>,
    /// Leases; 0 when its worker is closing it.
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
}

impl Registry {
    /// A lease of the port: of one that is open already, if it may be shared, else of a new one on the worker that
    /// `choose` names.
    pub(super) fn open(
        self: &Arc<Self>,
        wanted: &Wanted,
        choose: impl FnOnce() -> Result<Arc<Inbox>, Error>,
    ) -> Result<Lease, Error> {
        let mut ports = self.lock();
        while wanted.local.port() != 0
            && let Some(entry) = ports.iter_mut().find(|entry| entry.port.local == wanted.local)
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
        let socket = UdpSocket::bind(wanted.local, &wanted.options)?;
        let inbox = choose()?;
        let port = Arc::new(PortShared {
            local: socket.local_addr(),
            options: wanted.options.clone(),
            shareable: wanted.shareable,
            inbox: Arc::clone(&inbox),
            registry: Arc::downgrade(self),
            slot: AtomicU32::new(NOWHERE),
            ids: Mutex::new(HashSet::new()),
            stats: Mutex::default(),
        });
        let mut cookie_secret = [0; 16];
        getrandom::fill(&mut cookie_secret).map_err(no_entropy)?;
        inbox
            .send(Command::Open { port: Arc::clone(&port), socket: Box::new(socket), cookie_secret })
            .map_err(|_| Error::RuntimeDown)?;
        let mut entry = Entry { port, users: 0, listening: wanted.listening, leaving: 0 };
        let lease = entry.lease();
        ports.push(entry);
        Ok(lease)
    }

    /// The worker has closed the port.
    fn forget(&self, port: &Arc<PortShared>) {
        self.lock().retain(|entry| !Arc::ptr_eq(&entry.port, port));
        self.freed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.ports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// One lease more, if this and `wanted` go together.
    fn share(&mut self, wanted: &Wanted) -> Result<Lease, Error> {
        let local = self.port.local;
        let refuse = |why| Err(Error::PortShared { local, why });
        if wanted.listening && self.listening {
            return refuse("a listener has it; close that one first, or bind another port");
        }
        if !(self.port.shareable && wanted.shareable) {
            return refuse("reuseaddr is off; switch it on for both sockets, or bind another port");
        }
        if self.port.options != wanted.options {
            return refuse(
                "with other UDP options; use the same iptos, ipttl, ipv6only and buffers for both",
            );
        }
        self.listening |= wanted.listening;
        Ok(self.lease())
    }

    fn lease(&mut self) -> Lease {
        self.users += 1;
        self.port.inbox.add_load();
        Lease { port: Some(Arc::clone(&self.port)) }
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

    /// An ID that no connection of this port has: random, so that nobody can guess it, never 0, and with the bit clear
    /// that libsrt keeps for groups.
    pub(super) fn allot_id(&self) -> Result<SocketId, Error> {
        loop {
            let id = random_u32()? & ID_MASK;
            if id != 0 && self.ids().insert(id) {
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
        let entry =
            ports.iter_mut().find(|entry| Arc::ptr_eq(&entry.port, self)).ok_or(Error::RuntimeDown)?;
        Ok(entry.lease())
    }

    /// The listener takes no more callers; another may.
    pub(super) fn end_listening(self: &Arc<Self>) {
        let Some(registry) = self.registry.upgrade() else { return };
        if let Some(entry) = registry.lock().iter_mut().find(|entry| Arc::ptr_eq(&entry.port, self)) {
            entry.listening = false;
            entry.leaving += 1;
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

    /// One lease less; true if it was the last.
    fn leave(self: &Arc<Self>, listener: bool) -> bool {
        let Some(registry) = self.registry.upgrade() else { return false };
        let mut ports = registry.lock();
        let Some(entry) = ports.iter_mut().find(|entry| Arc::ptr_eq(&entry.port, self)) else { return false };
        entry.users = entry.users.saturating_sub(1);
        entry.leaving = entry.leaving.saturating_sub(usize::from(listener));
        self.inbox.drop_load();
        let last = entry.users == 0;
        drop(ports);
        registry.freed.notify_all(); // who waits for the port may find now that it will not be closed
        last
    }
}

impl Lease {
    pub(super) const fn port(&self) -> &Arc<PortShared> {
        self.port.as_ref().expect("a lease has its port until it ends")
    }

    /// Ends the lease of a connection on the worker; the port to close if it was the last one.
    pub(super) fn end(mut self) -> Option<Arc<PortShared>> {
        self.port.take().filter(|port| port.leave(false))
    }

    /// The same for a listener, which was [ended](PortShared::end_listening) before.
    pub(super) fn end_of_listener(mut self) -> Option<Arc<PortShared>> {
        self.port.take().filter(|port| port.leave(true))
    }
}

impl Drop for Lease {
    /// A lease that never came to its worker.
    fn drop(&mut self) {
        if let Some(port) = self.port.take().filter(|port| port.leave(false)) {
            let command = Command::Shut { port: Arc::clone(&port) };
            if port.inbox.send(command).is_err() {
                // The worker is gone, and its sockets with it.
                port.closed();
            }
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
