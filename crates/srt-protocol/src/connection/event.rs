//! What happens to a connection by itself.

use std::net::IpAddr;

use srt_crypto::{CipherMode, KeyLength};

use super::ConnectionError;
use crate::{
    config::Config,
    packet::{HEADER_SIZE, KmState, UDP_IP_OVERHEAD},
    stream::{ReceiveBuffer, ReceiveParameters, SendBuffer, Skipped, Tsbpd},
    time::{Instant, Micros},
    types::{SeqNumber, Timestamp},
};

/// What both sides agreed in the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Negotiated {
    /// SRT version of the peer: 0x010505 is 1.5.5.
    pub peer_version: u32,
    /// The latency at which we play what the peer sends; `None` without TSBPD.
    pub receiver_latency: Option<Micros>,
    /// The latency at which the peer plays what we send; `None` without TSBPD.
    pub peer_latency: Option<Micros>,
    /// First number we send.
    pub send_isn: SeqNumber,
    /// First number the peer sends.
    pub receive_isn: SeqNumber,
    /// MSS: the smaller of both, in bytes.
    pub mss: u32,
    /// The longest payload we may send, in bytes.
    pub payload_size: usize,
    /// Cipher and key length of what we send; `None` where it is not encrypted.
    pub encryption: Option<(CipherMode, KeyLength)>,
    /// How the exchange of keys ended in the handshake, for what we send and for what we receive.
    pub km_states: (KmState, KmState),
    /// Packets the peer takes before it acknowledges.
    pub flow_window: u32,
    /// StreamID of the caller.
    pub stream_id: Vec<u8>,
    /// Our own address as the peer sees it.
    pub our_ip: IpAddr,
    /// What is missing is given up when a later packet is due.
    pub tlpktdrop: bool,
    /// The peer gives up what is missing when a later packet is due.
    pub peer_tlpktdrop: bool,
}

impl Negotiated {
    /// The buffers of a stream of which this was agreed: what is sent is stamped from `epoch`; what comes is played by the clock that the
    /// conclusion with `timestamp` fixed when it arrived.
    #[must_use]
    pub fn buffers(
        &self,
        config: &Config,
        epoch: Instant,
        (arrival, timestamp): (Instant, Timestamp),
    ) -> (SendBuffer, ReceiveBuffer) {
        let tsbpd = self.receiver_latency.map(|latency| Tsbpd::new(arrival, timestamp, latency));
        let longest = (self.mss as usize).saturating_sub(HEADER_SIZE + UDP_IP_OVERHEAD);
        let capacity = config.receive_buffer_packets() as usize;
        let receive = ReceiveParameters::new(self.receive_isn, capacity, longest, tsbpd, self.tlpktdrop);
        let send =
            SendBuffer::new(self.send_isn, epoch, config.send_buffer_packets() as usize, self.payload_size);
        (send, ReceiveBuffer::new(receive))
    }
}

/// Something the owner of a connection wants to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The handshake is done; [`negotiated`](super::Connection::negotiated) tells what was agreed.
    Connected,
    /// The peer is gone. What was received is still handed out; nothing is sent any more.
    PeerGone(ConnectionError),
    /// The connection has ended.
    Closed(ConnectionError),
    /// The peer reports an error of its own with what it receives (PEERERROR, draft §3.2.10). The connection lives on;
    /// libsrt fails one call to send for it.
    PeerError(u32),
    /// Packets that did not come in time were given up (receiver TLPKTDROP).
    Skipped(Skipped),
    /// Packets that could not be sent in time were given up (sender TLPKTDROP): this many.
    SendDropped(usize),
}

impl Event {
    /// It may be forgotten where nobody asks for long: nothing has to be done for it.
    pub(super) const fn informs(&self) -> bool {
        matches!(self, Self::Skipped(_) | Self::SendDropped(_))
    }
}
