//! The network between the nodes: one path per caller, and somebody who may meddle with what passes.

use super::link::{Link, Way};
use super::queue::Queue;
use super::random::{Random, mix};
use super::trace::Path;
use super::wire::Kind;
use srt_impair::{Fates, Model};
use srt_protocol::packet::{self, Control, ControlPacket, DataPacket, Packet, UDP_IP_OVERHEAD};
use srt_protocol::time::Micros;
use srt_protocol::types::{SocketId, Timestamp};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// A datagram on its way into a link.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// World time, µs.
    pub at_us: u64,
    /// Whose path.
    pub caller: usize,
    /// Which direction.
    pub way: Way,
    /// How many passed this way before.
    pub number: u64,
    /// Where it comes from.
    pub from: SocketAddr,
    /// Where it goes.
    pub to: SocketAddr,
    /// The socket ID of who sent it, where it was seen in an earlier datagram that went the other way.
    pub sender_id: Option<SocketId>,
    /// What it is.
    pub kind: Kind,
    /// Its bytes.
    pub datagram: &'a [u8],
}

/// What a meddler does about a datagram; by default nothing.
#[derive(Debug)]
pub struct Meddle<'a> {
    /// Chance, from the run's seed.
    pub random: &'a mut Random,
    dropped: bool,
    injected: Vec<Injected>,
}

#[derive(Debug)]
struct Injected {
    after: Micros,
    from: SocketAddr,
    to: SocketAddr,
    datagram: Vec<u8>,
}

impl Meddle<'_> {
    /// The datagram does not go on.
    pub const fn drop(&mut self) {
        self.dropped = true;
    }

    /// `datagram` arrives at `to` so much later, and seems to come from `from`.
    pub fn inject(&mut self, after: Micros, from: SocketAddr, to: SocketAddr, datagram: Vec<u8>) {
        self.injected.push(Injected { after, from, to, datagram });
    }
}

/// A control packet as a meddler injects it, for the socket `to`.
pub fn control(to: SocketId, control: Control<'_>) -> Vec<u8> {
    let mut datagram = Vec::new();
    ControlPacket { timestamp: Timestamp::new(1_000_000), destination: to, control }.write(&mut datagram);
    datagram
}

/// Somebody who sees all datagrams on their way.
pub(crate) type Meddler = Box<dyn FnMut(&Passing<'_>, &mut Meddle<'_>)>;

#[derive(Debug)]
pub(crate) enum Event {
    Arrive { node: usize, from: SocketAddr, datagram: Vec<u8> },
    Wake { node: usize, round: u64 },
}

pub(crate) struct Net {
    pub(crate) queue: Queue<Event>,
    pub(crate) in_flight: usize,
    pub(crate) paths: Vec<Path>,
    pub(crate) astray: u64,
    models: Vec<[Model; 2]>,
    ids: Vec<[Option<SocketId>; 2]>, // destinations last seen, by path and way
    limit: usize,
    meddler: Option<Meddler>,
    random: Random,
    /// Handshakes are not lost: they take these times, in µs.
    pub(crate) spared: Option<[u64; 2]>,
    shows: bool,
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Net").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

/// The listener is node 0, caller n is node n + 1.
pub(crate) const LISTENER: usize = 0;

/// Where a node is.
pub(crate) fn address(node: usize) -> SocketAddr {
    if node == LISTENER {
        return SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 9_000);
    }
    let [.., high, low] = u32::try_from(node).unwrap_or(u32::MAX).to_be_bytes();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, high, low)), 40_000)
}

/// Who is there.
pub(crate) fn node_at(address: SocketAddr, nodes: usize) -> Option<usize> {
    if address == self::address(LISTENER) {
        return Some(LISTENER);
    }
    let IpAddr::V4(ip) = address.ip() else { return None };
    let [192, 0, high, low] = ip.octets() else { return None };
    let node = usize::from(high) << 8 | usize::from(low);
    (address.port() == 40_000 && node != LISTENER && node < nodes).then_some(node)
}

impl Net {
    pub(crate) fn new(
        seed: u64,
        callers: usize,
        link: &Link,
        limit: usize,
        meddler: Option<Meddler>,
    ) -> Self {
        let mut random = Random::new(seed, "links");
        let mut models =
            || [Model::new(link.there.clone(), random.bits()), Model::new(link.back.clone(), random.bits())];
        Self {
            queue: Queue::new(),
            in_flight: 0,
            paths: vec![Path::default(); callers],
            astray: 0,
            ids: vec![[None; 2]; callers],
            models: (0..callers).map(|_| models()).collect(),
            limit,
            meddler,
            random: Random::new(seed, "meddler"),
            spared: None,
            shows: std::env::var_os("SRT_SHOW").is_some(),
        }
    }

    /// `datagram` leaves `node` for `to`.
    pub(crate) fn send(&mut self, at_us: u64, node: usize, to: SocketAddr, datagram: &[u8]) {
        let target = node_at(to, self.paths.len() + 1);
        let (caller, way) = match (node, target) {
            (LISTENER, Some(target)) if target != LISTENER => (target - 1, Way::ToCaller),
            (_, Some(LISTENER)) if node != LISTENER => (node - 1, Way::ToListener),
            _ => {
                self.astray += 1;
                return;
            }
        };
        let wire = match way {
            Way::ToListener => &mut self.paths[caller].there,
            Way::ToCaller => &mut self.paths[caller].back,
        };
        let number = wire.datagrams;
        let kind = wire.on_sent(at_us, datagram, self.limit);
        let from = address(node);

        let mut passes = true;
        if let Some(meddler) = &mut self.meddler {
            let ids = &mut self.ids[caller];
            let sender_id = ids[usize::from(way == Way::ToListener)];
            if let Some(id) = packet::destination(datagram).filter(|id| !id.is_handshake()) {
                ids[usize::from(way == Way::ToCaller)] = Some(id);
            }
            let passing = Passing { sender_id, at_us, caller, way, number, from, to, kind, datagram };
            let mut meddle = Meddle { random: &mut self.random, dropped: false, injected: Vec::new() };
            meddler(&passing, &mut meddle);
            let Meddle { dropped, injected, .. } = meddle;
            passes = !dropped;
            for Injected { after, from, to, datagram } in injected {
                if let Some(node) = node_at(to, self.paths.len() + 1) {
                    self.in_flight += 1;
                    self.queue.plan(at_us + after.as_micros(), Event::Arrive { node, from, datagram });
                }
            }
        }
        let wire = match way {
            Way::ToListener => &mut self.paths[caller].there,
            Way::ToCaller => &mut self.paths[caller].back,
        };
        if !passes {
            wire.on_lost(kind);
            self.show(at_us, caller, way, datagram, &"dropped by the meddler");
            return;
        }
        let model = &mut self.models[caller][usize::from(way == Way::ToCaller)];
        let fate = model.offer(at_us, datagram.len() + UDP_IP_OVERHEAD);
        let fate = match self.spared {
            Some(delays) if kind == Kind::Handshake => {
                let delay = delays[usize::from(way == Way::ToCaller)];
                Fates::Arrives { at_us: at_us + delay, copy_at_us: None }
            }
            _ => fate,
        };
        self.show(at_us, caller, way, datagram, &fate);
        let wire = match way {
            Way::ToListener => &mut self.paths[caller].there,
            Way::ToCaller => &mut self.paths[caller].back,
        };
        let node = target.unwrap_or(LISTENER);
        let mut arrivals = 0;
        for arrival in fate.arrivals() {
            arrivals += 1;
            self.in_flight += 1;
            self.queue.plan(arrival.max(at_us), Event::Arrive { node, from, datagram: datagram.to_vec() });
        }
        if matches!(fate, Fates::Lost(_)) {
            wire.on_lost(kind);
        }
        wire.duplicated += u64::from(arrivals > 1);
    }

    /// One line for a datagram, where `SRT_SHOW` is set.
    fn show(&self, at_us: u64, caller: usize, way: Way, datagram: &[u8], fate: &dyn fmt::Debug) {
        if !self.shows {
            return;
        }
        let what = match Packet::parse(datagram) {
            Ok(Packet::Data(DataPacket { header, payload })) => {
                let again = if header.retransmitted { " again" } else { "" };
                format!("%{}{again}, stamp {}, {} bytes", header.seq, header.timestamp, payload.len())
            }
            Ok(Packet::Control(ControlPacket { control: Control::Nak(report), .. })) => {
                let ranges: Vec<_> = report.iter().map(|(first, last)| format!("{first}-{last}")).collect();
                format!("NAK {}", ranges.join(" "))
            }
            Ok(Packet::Control(packet)) => format!("{:?}", packet.control),
            Err(error) => format!("{error}"),
        };
        let arrow = if way == Way::ToListener { '→' } else { '←' };
        println!("{:>5}.{:06} {caller} {arrow} {what}: {fate:?}", at_us / 1_000_000, at_us % 1_000_000);
    }

    /// What the links counted, and one number for all they carried.
    pub(crate) fn finish(&mut self) -> u64 {
        let mut digest = 0;
        for (path, [there, back]) in self.paths.iter_mut().zip(&self.models) {
            (path.link_there, path.link_back) = (there.counters(), back.counters());
            digest = mix(mix(digest, path.there.digest), path.back.digest);
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_is_found_at_its_address() {
        for node in [0, 1, 2, 255, 256, 999] {
            assert_eq!(node_at(address(node), 1_000), Some(node));
        }
        assert_eq!(node_at(address(1_000), 1_000), None);
        assert_eq!(node_at(SocketAddr::from(([203, 0, 113, 9], 9_000)), 1_000), None);
    }
}
