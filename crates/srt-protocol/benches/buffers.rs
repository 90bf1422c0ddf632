//! The buffers of a stream and the sets of a link, each operation on its own.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use srt_protocol::{
    packet::{Boundary, DataHeader, KeyFlag},
    stream::{Message, ReceiveBuffer, ReceiveParameters, SendBuffer, SeqRanges, Tsbpd},
    time::{Instant, Micros},
    types::{MsgNumber, SeqNumber, SocketId, Timestamp},
};

const PACKETS: u32 = 1_024;
const PAYLOAD: [u8; 1_316] = [7; 1_316];

fn send_buffer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("send buffer");
    group.throughput(Throughput::Elements(u64::from(PACKETS)));
    let now = Instant::from_micros(1_000);
    let new = || SendBuffer::new(SeqNumber::new(0), Instant::from_micros(0), 8_192, PAYLOAD.len());
    group.bench_function("push, read and release 1024 packets", |bencher| {
        let mut buffer = new();
        bencher.iter(|| {
            for _ in 0..PACKETS {
                let sent = buffer.push(now, Message::new(&PAYLOAD)).expect("there is room");
                black_box(buffer.packet(sent.seq));
            }
            black_box(buffer.release(buffer.next()))
        });
    });
    group.finish();
}

fn header(seq: SeqNumber, us: u32) -> DataHeader {
    DataHeader {
        seq,
        boundary: Boundary::Solo,
        in_order: false,
        key: KeyFlag::None,
        retransmitted: false,
        msgno: MsgNumber::new(seq.value()),
        timestamp: Timestamp::new(us),
        destination: SocketId::new(1),
    }
}

fn receive_buffer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("receive ring");
    group.throughput(Throughput::Elements(u64::from(PACKETS)));
    let now = Instant::from_micros(1_000_000);
    for (name, stride) in [("1024 packets in order", 1), ("1024 packets, every pair swapped", 2)] {
        group.bench_function(name, |bencher| {
            let tsbpd = Tsbpd::new(Instant::from_micros(0), Timestamp::new(0), Micros::from_millis(1));
            let parameters = ReceiveParameters::new(SeqNumber::new(0), 8_192, 1_456, Some(tsbpd), true);
            let mut buffer = ReceiveBuffer::new(parameters);
            let mut next = SeqNumber::new(0);
            let mut out = Vec::new();
            bencher.iter(|| {
                for n in 0..PACKETS {
                    black_box(buffer.insert(now, &header(next + (n ^ (stride - 1)), 10), &PAYLOAD));
                }
                next += PACKETS;
                out.clear();
                while buffer.pop(now, &mut out).is_some() {}
                black_box(out.len())
            });
        });
    }
    group.finish();
}

fn loss_ranges(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("loss ranges");
    let holes = || {
        let mut ranges = SeqRanges::new();
        for n in 0..500 {
            ranges.insert(SeqNumber::new(n * 20), SeqNumber::new(n * 20 + 3));
        }
        ranges
    };
    group.bench_function("insert 500 runs", |bencher| bencher.iter(|| black_box(holes())));
    group.bench_function("remove one of 500 runs", |bencher| {
        bencher.iter_batched_ref(
            holes,
            |ranges| black_box(ranges.remove(SeqNumber::new(5_000), SeqNumber::new(5_003))),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("pop 2000 numbers", |bencher| {
        bencher.iter_batched_ref(
            holes,
            |ranges| while ranges.pop_first().is_some() {},
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, send_buffer, receive_buffer, loss_ranges);
criterion_main!(benches);
