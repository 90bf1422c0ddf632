//! What went over the wire, counted by kind and checked for what a sender may never do.

use super::random::{digest, mix};
use srt_protocol::packet::{AckDetail, Control, Packet, UDP_IP_OVERHEAD};
use srt_protocol::types::SeqNumber;
use std::collections::BTreeMap;

/// The kinds of datagram a run tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A data packet sent for the first time.
    Data,
    /// A data packet with the R flag.
    Retransmission,
    /// A handshake.
    Handshake,
    /// KEEPALIVE.
    Keepalive,
    /// A full ACK.
    AckFull,
    /// A small ACK.
    AckSmall,
    /// A light ACK.
    AckLight,
    /// ACKACK.
    AckAck,
    /// A loss report.
    Nak,
    /// SHUTDOWN.
    Shutdown,
    /// DROPREQ.
    DropRequest,
    /// Some other control packet.
    Other,
    /// Something that does not parse.
    Unreadable,
}

impl Kind {
    /// The kind of `datagram`.
    pub fn of(datagram: &[u8]) -> Self {
        let control = match Packet::parse(datagram) {
            Ok(Packet::Data(data)) if data.header.retransmitted => return Self::Retransmission,
            Ok(Packet::Data(_)) => return Self::Data,
            Ok(Packet::Control(control)) => control.control,
            Err(_) => return Self::Unreadable,
        };
        match control {
            Control::Handshake(_) => Self::Handshake,
            Control::Keepalive => Self::Keepalive,
            Control::Ack(ack) => match ack.detail {
                AckDetail::Light => Self::AckLight,
                AckDetail::Small { .. } => Self::AckSmall,
                _ => Self::AckFull,
            },
            Control::AckAck { .. } => Self::AckAck,
            Control::Nak(_) => Self::Nak,
            Control::Shutdown => Self::Shutdown,
            Control::DropRequest(_) => Self::DropRequest,
            _ => Self::Other,
        }
    }

    const COUNT: usize = Self::Unreadable as usize + 1;
}

/// One direction of one path: all that was put on the wire, before the link lost any of it.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    counts: [u64; Kind::COUNT],
    lost_counts: [u64; Kind::COUNT],
    /// Datagrams put on the wire.
    pub datagrams: u64,
    /// Their bytes, with IPv4 and UDP headers.
    pub bytes: u64,
    /// Datagrams of them the link lost.
    pub lost: u64,
    /// Datagrams the link delivered twice.
    pub duplicated: u64,
    /// The largest datagram, without headers.
    pub largest: usize,
    /// The most bytes of data packets put on the wire in one millisecond of the world.
    pub largest_bunch: u64,
    /// What no sender may do: told apart by the first words.
    pub faults: Vec<String>,
    /// One number for all that was sent, and when.
    pub(crate) digest: u64,
    bunch: (u64, u64),
    streams: BTreeMap<u32, Carried>, // by destination socket ID
}

/// The data packets of one stream.
#[derive(Clone, Debug)]
struct Carried {
    first: SeqNumber,
    /// Their digests, by distance from the first; 0 for what was given up before it was ever sent.
    digests: Vec<u64>,
}

impl Carried {
    /// Notes a packet; tells what is wrong with it.
    fn note(&mut self, seq: SeqNumber, resent: bool, this: u64) -> Option<String> {
        let place = usize::try_from(seq.distance_from(self.first)).unwrap_or(usize::MAX);
        match (self.digests.get(place), resent) {
            (None, _) if place >= self.digests.len() + A_LOT => {
                Some(format!("%{seq} is far from all that was sent before"))
            }
            (None, _) => {
                self.digests.resize(place, 0);
                self.digests.push(this);
                resent.then(|| format!("the first sending of %{seq} has the R flag"))
            }
            (Some(0), true) => Some(format!("%{seq} was never sent before, and has the R flag")),
            (Some(_), false) => Some(format!("%{seq} was sent again without the R flag")),
            (Some(before), true) => {
                (*before != this).then(|| format!("the resend of %{seq} differs from its first sending"))
            }
        }
    }
}

impl Wire {
    /// Datagrams of this `kind`.
    pub const fn count(&self, kind: Kind) -> u64 {
        self.counts[kind as usize]
    }

    /// Datagrams of this `kind` that the link did not lose.
    pub const fn arrived(&self, kind: Kind) -> u64 {
        self.counts[kind as usize] - self.lost_counts[kind as usize]
    }

    /// Retransmitted packets as a share of the stream.
    #[expect(clippy::cast_precision_loss, reason = "a figure to print")]
    pub fn retransmitted_share(&self) -> f64 {
        self.count(Kind::Retransmission) as f64 / self.count(Kind::Data).max(1) as f64
    }

    pub(crate) const fn on_lost(&mut self, kind: Kind) {
        self.lost += 1;
        self.lost_counts[kind as usize] += 1;
    }

    pub(crate) fn on_sent(&mut self, at_us: u64, datagram: &[u8], limit: usize) -> Kind {
        let kind = Kind::of(datagram);
        self.counts[kind as usize] += 1;
        self.datagrams += 1;
        self.bytes += (datagram.len() + UDP_IP_OVERHEAD) as u64;
        self.largest = self.largest.max(datagram.len());
        self.digest = mix(mix(self.digest, at_us), digest(datagram));
        if datagram.len() > limit {
            self.fault(at_us, format!("a datagram of {} bytes, {limit} are allowed", datagram.len()));
        }
        match Packet::parse(datagram) {
            Ok(Packet::Data(_)) => self.on_data(at_us, datagram),
            Ok(Packet::Control(_)) => {}
            Err(error) => self.fault(at_us, format!("an unreadable packet: {error}")),
        }
        kind
    }

    /// First sendings come in order and without the R flag; a resend is the same bytes with it.
    fn on_data(&mut self, at_us: u64, datagram: &[u8]) {
        let millisecond = at_us / 1_000;
        let begun = if self.bunch.0 == millisecond { self.bunch.1 } else { 0 };
        self.bunch = (millisecond, begun + datagram.len() as u64);
        self.largest_bunch = self.largest_bunch.max(self.bunch.1);

        let Ok(Packet::Data(data)) = Packet::parse(datagram) else { return };
        let mut header = data.header;
        let resent = std::mem::take(&mut header.retransmitted);
        let this = mix(digest(&header.to_bytes()), digest(data.payload));
        let fresh = Carried { first: header.seq, digests: Vec::new() };
        let stream = self.streams.entry(header.destination.value()).or_insert(fresh);
        if let Some(what) = stream.note(header.seq, resent, this) {
            self.fault(at_us, what);
        }
    }

    fn fault(&mut self, at_us: u64, what: String) {
        if self.faults.len() < FAULTS_KEPT {
            self.faults.push(format!("at {at_us} µs: {what}"));
        }
    }
}

const FAULTS_KEPT: usize = 20;
const A_LOT: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use srt_protocol::packet::{Boundary, ControlPacket, DataHeader, KeyFlag};
    use srt_protocol::types::{MsgNumber, SocketId, Timestamp};

    fn data(seq: u32, retransmitted: bool, payload: &[u8]) -> Vec<u8> {
        let header = DataHeader {
            seq: SeqNumber::new(seq),
            boundary: Boundary::Solo,
            in_order: false,
            key: KeyFlag::None,
            retransmitted,
            msgno: MsgNumber::new(seq),
            timestamp: Timestamp::new(seq * 10),
            destination: SocketId::new(9),
        };
        let mut datagram = Vec::new();
        header.write(&mut datagram);
        datagram.extend_from_slice(payload);
        datagram
    }

    fn faults(datagrams: &[Vec<u8>]) -> Vec<String> {
        let mut wire = Wire::default();
        for datagram in datagrams {
            wire.on_sent(0, datagram, 1472);
        }
        wire.faults
    }

    #[test]
    fn an_honest_sender_has_no_faults() {
        let sent = [
            data(5, false, b"five"),
            data(6, false, b"six"),
            data(5, true, b"five"),
            data(9, false, b"nine"),
        ];
        assert!(faults(&sent).is_empty());
        let mut wire = Wire::default();
        for datagram in &sent {
            wire.on_sent(1_000, datagram, 1472);
        }
        assert_eq!((wire.count(Kind::Data), wire.count(Kind::Retransmission)), (3, 1));
        assert_eq!(wire.largest_bunch, sent.iter().map(|datagram| datagram.len() as u64).sum::<u64>());
    }

    #[test]
    fn a_resend_that_differs_or_hides_is_a_fault() {
        let twice = |second: Vec<u8>| faults(&[data(5, false, b"five"), second]);
        assert_eq!(twice(data(5, true, b"FIVE")).len(), 1);
        assert_eq!(twice(data(5, false, b"five")).len(), 1);
        assert_eq!(faults(&[data(5, true, b"five")]).len(), 1);
        assert_eq!(twice(vec![0x81; 20]).len(), 1);
        assert_eq!(twice(data(6, false, &[0; 1_500])).len(), 1);
    }

    #[test]
    fn kinds_are_told_apart() {
        let mut datagram = Vec::new();
        let control = Control::Keepalive;
        ControlPacket { timestamp: Timestamp::new(1), destination: SocketId::new(9), control }
            .write(&mut datagram);
        assert_eq!(Kind::of(&datagram), Kind::Keepalive);
        assert_eq!(Kind::of(&data(1, true, b"x")), Kind::Retransmission);
        assert_eq!(Kind::of(b"short"), Kind::Unreadable);
    }
}
