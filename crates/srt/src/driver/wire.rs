//! A UDP port as its worker serves it: the socket, the endpoint behind it, and what waits to leave.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use srt_io::{SendItem, UdpSocket};
use srt_protocol::{
    connection::{Transmit, TransmitBatch},
    endpoint::{Endpoint, EndpointStats},
    types::SocketId,
};

use super::{
    entropy::System,
    listening::Listening,
    port::{Lease, PortShared},
};

/// A UDP port of a worker.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) shared: Arc<PortShared>,
    pub(super) socket: UdpSocket,
    pub(super) endpoint: Endpoint,
    /// The listener, and its right to the port.
    pub(super) listening: Option<(Arc<Listening>, Lease)>,
    /// Where the worker keeps the connections of this port, by their IDs.
    routes: HashMap<u32, u32, BuildHasherDefault<IdHasher>>,
    /// It is looked at before the worker sleeps.
    pub(super) busy: bool,
    /// What waits to leave.
    outbox: VecDeque<Unsent>,
    /// The system's send buffer is full; its end is waited for.
    blocked: bool,
    /// The poller was asked to tell when it is not any more.
    pub(super) awaited: bool,
    /// Memory that the messages took which were received without a pause.
    pub(super) backlog: usize,
    /// Connections that have something to send once it is not.
    patient: Vec<u32>,
    /// What the application knows of the endpoint's figures.
    published: EndpointStats,
}

/// Datagrams that were not sent yet.
#[derive(Debug)]
struct Unsent {
    transmit: Transmit,
    batch: TransmitBatch,
    /// Bytes of the batch that have left.
    offset: usize,
}

/// Empty batches, to be used again.
#[derive(Debug, Default)]
pub(super) struct Spares(Vec<TransmitBatch>);

impl Spares {
    pub(super) fn take(&mut self) -> TransmitBatch {
        self.0.pop().unwrap_or_default()
    }

    pub(super) fn give(&mut self, batch: TransmitBatch) {
        if self.0.len() < SPARES_MOST {
            self.0.push(batch);
        }
    }
}

impl Wire {
    pub(super) fn new(shared: Arc<PortShared>, socket: UdpSocket, cookie_secret: [u8; 16]) -> Self {
        Self {
            shared,
            socket,
            endpoint: Endpoint::new(cookie_secret, Arc::new(System)),
            listening: None,
            routes: HashMap::default(),
            outbox: VecDeque::new(),
            blocked: false,
            awaited: false,
            busy: false,
            backlog: 0,
            patient: Vec::new(),
            published: EndpointStats::default(),
        }
    }

    /// The connection of this ID is kept under `key`.
    pub(super) fn add(&mut self, id: SocketId, key: u32) {
        self.routes.insert(id.value(), key);
    }

    /// The connection of this ID is gone.
    pub(super) fn remove(&mut self, id: SocketId) {
        self.endpoint.remove(id);
        self.routes.remove(&id.value());
        self.shared.free_id(id);
    }

    /// Where the connection of this ID is kept.
    pub(super) fn route(&self, id: SocketId) -> Option<u32> {
        self.routes.get(&id.value()).copied()
    }

    /// The address to show of a connection that the peer reaches at `ip`.
    pub(super) fn local_addr(&self, ip: Option<IpAddr>) -> SocketAddr {
        let local = self.shared.local();
        match ip {
            Some(ip) if local.ip().is_unspecified() && !ip.is_unspecified() => {
                SocketAddr::new(ip, local.port())
            }
            _ => local,
        }
    }

    /// Fills batches with what `poll` gives, at most `most`, and sends when many have come together. True if `poll` ended
    /// with nothing more to give.
    pub(super) fn transmit(
        &mut self,
        most: usize,
        spares: &mut Spares,
        mut poll: impl FnMut(&mut Endpoint, &mut TransmitBatch) -> Option<Transmit>,
    ) -> bool {
        for _ in 0..most {
            if self.blocked {
                return false;
            }
            let mut batch = spares.take();
            let Some(transmit) = poll(&mut self.endpoint, &mut batch) else {
                spares.give(batch);
                return true;
            };
            self.outbox.push_back(Unsent { transmit, batch, offset: 0 });
            if self.outbox.len() >= BURST {
                self.flush(spares);
            }
        }
        false
    }

    /// Puts a batch that is full into the outbox; where the system takes nothing and much waits already, it is lost, as it would be
    /// on the way.
    pub(super) fn push(&mut self, transmit: Transmit, batch: TransmitBatch, spares: &mut Spares) {
        if self.blocked && self.outbox.len() >= BURST {
            spares.give(batch);
            return;
        }
        self.outbox.push_back(Unsent { transmit, batch, offset: 0 });
        if self.outbox.len() >= BURST && !self.blocked {
            self.flush(spares);
        }
    }

    /// Hands what waits to the system, as far as it takes it.
    pub(super) fn flush(&mut self, spares: &mut Spares) {
        self.blocked = false;
        while !self.outbox.is_empty() && !self.blocked {
            let mut items = [NOTHING; BURST];
            let mut count = 0;
            for (item, unsent) in items.iter_mut().zip(&self.outbox) {
                *item = SendItem {
                    to: unsent.transmit.to,
                    from: unsent.transmit.from,
                    data: &unsent.batch.bytes()[unsent.offset..unsent.transmit.len],
                    segment_size: unsent.transmit.segment_size,
                };
                count += 1;
            }
            let report = self.socket.send_batch(&items[..count]);
            for failure in &report.failures {
                tracing::trace!(item = failure.item, error = %failure.error, "datagrams not sent");
            }
            for unsent in self.outbox.drain(..report.items.min(count)) {
                spares.give(unsent.batch);
            }
            if let Some(unsent) = self.outbox.front_mut() {
                unsent.offset += report.offset;
            }
            self.blocked = report.blocked;
        }
    }

    /// Tells the application what came for nobody, where that has changed.
    pub(super) fn publish(&mut self) {
        let stats = self.endpoint.stats();
        if *stats != self.published {
            self.published = *stats;
            self.shared.set_stats(*stats);
        }
    }

    /// Something waits to be flushed.
    pub(super) fn has_unsent(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// The system's send buffer is full.
    pub(super) const fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// A connection is to have its turn when the system takes datagrams again.
    pub(super) fn wait_for_room(&mut self, key: u32) {
        if !self.patient.contains(&key) {
            self.patient.push(key);
        }
    }

    /// The connections that waited for that.
    pub(super) fn take_patient(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.patient)
    }
}

/// Socket IDs are random numbers of our own choice: they need no hashing.
#[derive(Debug, Default)]
struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    /// The table looks at the upper seven bits and at the lower ones, so both must vary.
    fn write_u32(&mut self, id: u32) {
        self.0 = u64::from(id) << 34 | u64::from(id);
    }
}

const NOTHING: SendItem<'static> = SendItem {
    to: SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0),
    from: None,
    data: &[],
    segment_size: 0,
};

/// Batches handed to the system at once: at most 2 MB.
const BURST: usize = 32;
/// Batches kept for use. They are as large as their fullest use, which is 64 KB.
const SPARES_MOST: usize = 2 * BURST;
