//! What one packet costs: written, read, numbered.
//!
//! `cargo bench -p srt-protocol --bench wire`. The payload of 1316 bytes is seven packets of MPEG-TS.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use srt_protocol::handshake::RejectReason;
use srt_protocol::packet::{
    Ack, AckDetail, Boundary, Control, ControlPacket, DataHeader, DataPacket, EXT_CONFIG, EXT_HSREQ,
    Extension, Extensions, Handshake, HandshakeKind, KeyFlag, LossReport, Packet, SrtFlags, SrtParameters,
    WireString, destination,
};
use srt_protocol::types::{MsgNumber, SeqNumber, SocketId, Timestamp};

const PAYLOAD: [u8; 1316] = [0x47; 1316];

fn header() -> DataHeader {
    DataHeader {
        seq: SeqNumber::new(0x1234_5678),
        boundary: Boundary::Solo,
        in_order: false,
        key: KeyFlag::Even,
        retransmitted: false,
        msgno: MsgNumber::new(77),
        timestamp: Timestamp::new(1_000_000),
        destination: SocketId::new(0x2B00_0001),
    }
}

fn full_ack() -> Control<'static> {
    Control::Ack(Ack {
        number: 7,
        next: SeqNumber::new(0x1234_5678),
        detail: AckDetail::Full {
            rtt_us: 40_000,
            rtt_var_us: 10_000,
            available_packets: 8_191,
            receive_rate_pps: 1_000,
            link_capacity_pps: 20_000,
            receive_rate_bps: 1_316_000,
        },
    })
}

fn conclusion<'a>(extensions: &'a [Extension<'a>]) -> Control<'a> {
    Control::Handshake(Handshake {
        version: 5,
        encryption: 0,
        extension_field: EXT_HSREQ | EXT_CONFIG,
        isn: SeqNumber::new(0x1234_5678),
        mtu: 1500,
        flow_window: 25_600,
        kind: HandshakeKind::Conclusion,
        socket_id: SocketId::new(0x2B00_0001),
        cookie: 0xDEAD_BEEF,
        peer_ip: [127, 0, 0, 1].into(),
        extensions: Extensions::List(extensions),
    })
}

fn packet(control: Control<'_>) -> ControlPacket<'_> {
    ControlPacket { timestamp: Timestamp::new(1_000_000), destination: SocketId::new(0x2B00_0001), control }
}

fn written(control: Control<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    packet(control).write(&mut out);
    out
}

/// Reads a datagram to its last range or block, as its receiver does. Gives how many of these there were.
fn read(datagram: &[u8]) -> usize {
    match Packet::parse(datagram) {
        Ok(Packet::Control(ControlPacket { control: Control::Nak(report), .. })) => {
            report.iter().map(black_box).count()
        }
        Ok(Packet::Control(ControlPacket { control: Control::Handshake(handshake), .. })) => {
            handshake.extensions.iter().map(black_box).count()
        }
        other => usize::from(black_box(other).is_ok()),
    }
}

fn data_packet(c: &mut Criterion) {
    let mut group = c.benchmark_group("data packet");
    group.throughput(Throughput::Elements(1));
    let mut datagram = Vec::new();
    DataPacket { header: header(), payload: &PAYLOAD }.write(&mut datagram);

    group.bench_function("header to bytes", |b| b.iter(|| black_box(header()).to_bytes()));
    group.bench_function("write header", |b| {
        let mut out = Vec::with_capacity(2048);
        b.iter(|| {
            out.clear();
            black_box(header()).write(&mut out);
            black_box(&out);
        });
    });
    group.bench_function("write header and 1316 bytes", |b| {
        let mut out = Vec::with_capacity(2048);
        b.iter(|| {
            out.clear();
            DataPacket { header: black_box(header()), payload: black_box(&PAYLOAD) }.write(&mut out);
            black_box(&out);
        });
    });
    group.bench_function("read header", |b| b.iter(|| DataHeader::parse(black_box(&datagram))));
    group.bench_function("read whole", |b| b.iter(|| Packet::parse(black_box(&datagram))));
    group.bench_function("read destination only", |b| b.iter(|| destination(black_box(&datagram))));
    group.finish();
}

fn control_packet(c: &mut Criterion) {
    let ranges: Vec<_> =
        (0..20).map(|gap| SeqNumber::new(0x1234_5678) + 100 * gap).map(|first| (first, first + 3)).collect();
    let extensions = [
        Extension::HandshakeRequest(SrtParameters {
            version: 0x01_0505,
            flags: SrtFlags::new(0xBF),
            receiver_latency_ms: 120,
            sender_latency_ms: 0,
        }),
        Extension::StreamId(WireString::new(b"#!::r=live1,m=publish")),
    ];
    let cases = [
        ("full ACK", full_ack()),
        ("NAK of 20 ranges", Control::Nak(LossReport::Ranges(&ranges))),
        ("ACKACK", Control::AckAck { number: 7 }),
        ("conclusion with stream ID", conclusion(&extensions)),
    ];
    let mut group = c.benchmark_group("control packet write");
    group.throughput(Throughput::Elements(1));
    for (name, control) in cases {
        group.bench_function(name, |b| {
            let mut out = Vec::with_capacity(2048);
            b.iter(|| {
                out.clear();
                packet(black_box(control)).write(&mut out);
                black_box(&out);
            });
        });
    }
    group.finish();

    let mut group = c.benchmark_group("control packet read");
    group.throughput(Throughput::Elements(1));
    for (name, control) in cases {
        let datagram = written(control);
        group.bench_function(name, |b| b.iter(|| read(black_box(&datagram))));
    }
    group.finish();

    c.bench_function("reject reason/from wire and back", |b| {
        b.iter(|| RejectReason::from_wire(black_box(2404)).map(RejectReason::to_wire));
    });
}

fn numbers(c: &mut Criterion) {
    let mut group = c.benchmark_group("numbers");
    let (seq, other) = (SeqNumber::new(0x7FFF_FFF0), SeqNumber::new(5));
    group.bench_function("sequence: next", |b| b.iter(|| black_box(seq).next()));
    group.bench_function("sequence: distance", |b| b.iter(|| black_box(other).distance_from(black_box(seq))));
    group.bench_function("sequence: is after", |b| b.iter(|| black_box(other).is_after(black_box(seq))));
    let (msgno, earlier) = (MsgNumber::new(5), MsgNumber::new(MsgNumber::MASK - 5));
    group.bench_function("message: next", |b| b.iter(|| black_box(msgno).next()));
    group.bench_function("message: distance", |b| {
        b.iter(|| black_box(msgno).distance_from(black_box(earlier)));
    });
    let (time, before) = (Timestamp::new(5), Timestamp::new(u32::MAX - 5));
    group.bench_function("timestamp: distance", |b| {
        b.iter(|| black_box(time).distance_from(black_box(before)));
    });
    group.finish();
}

criterion_group!(benches, data_packet, control_packet, numbers);
criterion_main!(benches);
