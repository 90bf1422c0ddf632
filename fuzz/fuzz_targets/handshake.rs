//! A handshake's content: its blocks are read and written again; a caller takes it for an answer.

#![no_main]

use std::{net::SocketAddr, sync::Arc};

use libfuzzer_sys::fuzz_target;
use srt_fuzz::{Counting, wire};
use srt_protocol::{
    config::{Config, StreamId},
    connection::{CallerSetup, Connection, State, TransmitBatch},
    packet::{
        Control, ControlPacket, Extension, Extensions, Handshake, HandshakeKind, MAGIC, MAX_CONGESTION_BYTES,
        MAX_FILTER_BYTES, MAX_STREAM_ID_BYTES, Packet,
    },
    time::Instant,
    types::{SeqNumber, SocketId},
};

fuzz_target!(|content: &[u8]| {
    let mut datagram = wire::control_header(0);
    datagram.extend_from_slice(content);
    if let Ok(Packet::Control(ControlPacket { control: Control::Handshake(handshake), .. })) =
        Packet::parse(&datagram)
    {
        blocks(&handshake);
    }
    caller(&datagram);
});

/// Reads every block, and writes them again where all are good.
fn blocks(handshake: &Handshake<'_>) {
    for block in handshake.extensions.iter().flatten() {
        match block {
            Extension::StreamId(text) => {
                let text = text.decode();
                assert!(text.len() <= MAX_STREAM_ID_BYTES);
                let _ = StreamId::parse(&text);
            }
            Extension::Congestion(text) => assert!(text.decode().len() <= MAX_CONGESTION_BYTES),
            Extension::Filter(text) => assert!(text.decode().len() <= MAX_FILTER_BYTES),
            _ => {}
        }
    }
    let Ok(list) = handshake.extensions.iter().collect::<Result<Vec<_>, _>>() else { return };
    let rewritten = Handshake { extensions: Extensions::List(&list), ..*handshake };
    let datagram = wire::control(0, SocketId::HANDSHAKE, Control::Handshake(rewritten));
    assert_eq!(wire::handshake_of(&datagram), *handshake);
}

/// A caller gets the handshake twice: in place of the listener's induction, and after a good one.
fn caller(datagram: &[u8]) {
    let peer: SocketAddr = ([192, 0, 2, 1], 9000).into();
    let (id, isn) = (SocketId::new(77), SeqNumber::new(0x7FFF_FFFE));
    for polite in [false, true] {
        let entropy = Arc::new(Counting::default());
        let setup = CallerSetup { config: Config::live(), peer, local_ip: None, id, isn, entropy };
        let mut now = Instant::from_micros(1_000_000);
        let mut connection = Connection::connect(now, setup);
        let mut batch = TransmitBatch::default();
        drain(&mut connection, now, &mut batch);
        if polite {
            let answer =
                Handshake { version: 5, extension_field: MAGIC, cookie: 0xC00C, ..wire::induction(id, isn) };
            connection.handle_datagram(now, &wire::control(0, id, Control::Handshake(answer)));
            drain(&mut connection, now, &mut batch);
        }
        connection.handle_datagram(now, datagram);
        drain(&mut connection, now, &mut batch);
        if let Some(negotiated) = connection.negotiated() {
            let accepted = wire::handshake_of(datagram);
            assert!(polite, "no cookie was ever seen");
            assert_eq!(accepted.kind, HandshakeKind::Conclusion);
            assert!(negotiated.mss <= 1500 && negotiated.payload_size <= 1456);
        }
        // However it ended up, it comes to an end.
        connection.close(now);
        for _ in 0..16 {
            now = now + srt_protocol::time::Micros::from_secs(60);
            connection.handle_timeout(now);
            drain(&mut connection, now, &mut batch);
        }
        assert_eq!(connection.state(), State::Closed);
    }
}

fn drain(connection: &mut Connection, now: Instant, batch: &mut TransmitBatch) {
    let mut rounds = 0;
    while connection.poll_transmit(now, batch).is_some() {
        rounds += 1;
        assert!(rounds < 100, "a caller that never stops sending");
    }
    while connection.poll_event().is_some() {}
}
