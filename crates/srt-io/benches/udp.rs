//! What a datagram of 1316 bytes costs over the loopback interface, singly, in batches and in trains.
#![expect(clippy::unwrap_used, reason = "a bench that cannot bind must stop")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use srt_io::{Clock, RecvBatch, SendItem, UdpOptions, UdpSocket};
use std::hint::black_box;

const SIZE: usize = 1316;
const COUNT: usize = 64;

/// Sends 64 datagrams and receives them, as the given number of items.
fn transfer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("transfer 64 datagrams of 1316 bytes");
    group.throughput(Throughput::Elements(COUNT as u64));
    for (name, items, gso, gro) in [
        ("one call each", 64, false, false),
        ("one batch", 64, false, false),
        ("4 trains", 4, true, false),
        ("4 trains, joined on arrival", 4, true, true),
        ("1 train, joined on arrival", 1, true, true),
    ] {
        let options = UdpOptions { gso, gro, receive_buffer: Some(4 << 20), ..UdpOptions::default() };
        let sender = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let receiver = UdpSocket::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let data = vec![7; SIZE * COUNT];
        let items: Vec<_> = data
            .chunks(SIZE * COUNT / items)
            .map(|data| SendItem { to: receiver.local_addr(), from: None, data, segment_size: SIZE })
            .collect();
        let mut batch = RecvBatch::new();
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            bencher.iter(|| {
                if name == "one call each" {
                    items.iter().for_each(|item| assert!(sender.send(item).is_ok()));
                } else {
                    assert!(!sender.send_batch(&items).blocked);
                }
                let mut received = 0;
                while received < COUNT {
                    receiver.recv_batch(&mut batch).unwrap();
                    received += batch.iter().map(|item| black_box(item.datagrams()).len()).sum::<usize>();
                }
            });
        });
        let (sent, received) = (sender.counters().send, receiver.counters().receive);
        #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
        let per_datagram = |calls: u64, datagrams: u64| calls as f64 / datagrams as f64;
        println!(
            "{name}: {:.3} calls per datagram to send, {:.3} to receive",
            per_datagram(sent.calls, sent.datagrams),
            per_datagram(received.calls, received.datagrams)
        );
    }
    group.finish();
}

fn clock(criterion: &mut Criterion) {
    let clock = Clock::new();
    criterion.bench_function("read the clock", |bencher| bencher.iter(|| clock.now_micros()));
}

criterion_group!(benches, transfer, clock);
criterion_main!(benches);
