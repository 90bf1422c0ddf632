//! Bytes to packets and back, as the targets need them.

use srt_protocol::{
    packet::{Control, ControlPacket, Extensions, Handshake, HandshakeKind, Packet, SrtParameters},
    types::{SeqNumber, SocketId, Timestamp},
};

/// Bytes before the content of a control packet of `kind`, all other words zero.
pub fn control_header(kind: u16) -> Vec<u8> {
    let mut header = (0x8000 | kind).to_be_bytes().to_vec();
    header.resize(16, 0);
    header
}

/// The bytes of a control packet.
pub fn control(timestamp: u32, destination: SocketId, control: Control<'_>) -> Vec<u8> {
    let mut datagram = Vec::new();
    ControlPacket { timestamp: Timestamp::new(timestamp), destination, control }.write(&mut datagram);
    datagram
}

/// The bytes of a packet, written from what was read of it.
pub fn written(packet: &Packet<'_>) -> Vec<u8> {
    let mut datagram = Vec::new();
    match packet {
        Packet::Data(data) => data.write(&mut datagram),
        Packet::Control(control) => control.write(&mut datagram),
    }
    datagram
}

/// A caller's first handshake.
pub fn induction(socket_id: SocketId, isn: SeqNumber) -> Handshake<'static> {
    Handshake {
        version: 4,
        encryption: 0,
        extension_field: 2,
        isn,
        mtu: 1500,
        flow_window: 8192,
        kind: HandshakeKind::Induction,
        socket_id,
        cookie: 0,
        peer_ip: [192, 0, 2, 1].into(),
        extensions: Extensions::List(&[]),
    }
}

/// What a libsrt of 1.5 offers: TSBPD both ways, TLPKTDROP, periodic NAK, R flag.
pub fn usual_parameters(latency_ms: u16) -> SrtParameters {
    SrtParameters {
        version: 0x01_0505,
        flags: srt_protocol::packet::SrtFlags::new(0xBF),
        receiver_latency_ms: latency_ms,
        sender_latency_ms: 0,
    }
}

/// The handshake in a datagram of the other side's.
///
/// # Panics
/// Where the datagram is none: then the other side sent rubbish.
pub fn handshake_of(datagram: &[u8]) -> Handshake<'_> {
    match Packet::parse(datagram) {
        Ok(Packet::Control(ControlPacket { control: Control::Handshake(handshake), .. })) => handshake,
        other => panic!("an answer that is no handshake: {other:?}"),
    }
}
