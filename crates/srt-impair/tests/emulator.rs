//! The emulator between real sockets on the loopback interface. Every load is bounded and waits for its answers.

#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use srt_impair::{Direction, Emulator, Model, Profile, Report, Setup, StartError, derive_seed};

const PATIENCE: Duration = Duration::from_secs(20);
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn socket(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn client_of(emulator: &Emulator) -> UdpSocket {
    let client = socket(LOCAL);
    client.connect(emulator.local_addr()).unwrap();
    client
}

/// A target, and an emulator in front of it.
fn start(change: impl FnOnce(&mut Setup)) -> (UdpSocket, Emulator) {
    let target = socket(LOCAL);
    let mut setup = Setup::new(LOCAL, target.local_addr().unwrap());
    change(&mut setup);
    (target, Emulator::start(setup).unwrap())
}

fn profile(text: &str) -> Profile {
    text.parse().unwrap()
}

fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    buffer.truncate(length);
    (buffer, from)
}

fn receive_number(socket: &UdpSocket) -> u32 {
    u32::from_be_bytes(receive(socket).0[..4].try_into().unwrap())
}

/// Waits until the emulator's figures say so.
fn wait_until(emulator: &Emulator, holds: impl Fn(&Report) -> bool) {
    let begun = Instant::now();
    while !holds(&emulator.report()) {
        assert!(begun.elapsed() < PATIENCE, "{}", emulator.report());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn assert_adds_up(report: &Report) {
    for way in [&report.to_target, &report.to_client] {
        let link = &way.link;
        assert_eq!(link.offered_packets - link.lost() + link.duplicated, link.delivered_packets, "{report}");
        let done = way.sent_packets + way.unsent + way.overrun + way.in_flight;
        assert_eq!(link.delivered_packets, done, "{report}");
    }
}

#[test]
fn datagrams_of_every_size_go_both_ways_unchanged_and_are_counted() {
    let (target, emulator) = start(|_| {});
    let client = client_of(&emulator);
    let sizes = [0, 1, 16, 1_316, 1_472, 9_000, 60_000];
    for (size, fill) in sizes.into_iter().zip(1_u8..) {
        let there = vec![fill; size];
        client.send(&there).unwrap();
        let (arrived, upstream) = receive(&target);
        assert_eq!(arrived, there);
        let back = vec![!fill; size];
        target.send_to(&back, upstream).unwrap();
        assert_eq!(receive(&client).0, back);
    }
    let report = emulator.stop().unwrap();
    let bytes: usize = sizes.iter().sum();
    for way in [report.to_target, report.to_client] {
        assert_eq!((way.link.offered_packets, way.sent_packets, way.in_flight, way.unsent), (7, 7, 0, 0));
        assert_eq!((way.link.offered_bytes, way.sent_bytes), (bytes as u64, bytes as u64));
    }
    assert_eq!((report.clients, report.refused), (1, 0));
    assert_adds_up(&report);
}

#[test]
fn a_steady_load_both_ways_passes_without_loss_of_the_emulators_own() {
    let (target, emulator) = start(|setup| {
        setup.to_target = profile("delay=1ms,jitter=500us");
        setup.to_client = profile("delay=500us");
    });
    let client = client_of(&emulator);
    let (windows, window) = (200_u32, 32_u32);
    for first in (0..windows * window).step_by(32) {
        for number in first..first + window {
            let mut datagram = [0; 1_316];
            datagram[..4].copy_from_slice(&number.to_be_bytes());
            client.send(&datagram).unwrap();
        }
        for number in first..first + window {
            let (datagram, from) = receive(&target);
            assert_eq!(datagram[..4], number.to_be_bytes());
            target.send_to(&datagram, from).unwrap();
        }
        for number in first..first + window {
            assert_eq!(receive_number(&client), number);
        }
    }
    let report = emulator.stop().unwrap();
    let all = u64::from(windows * window);
    assert_eq!((report.to_target.sent_packets, report.to_client.sent_packets), (all, all));
    if cfg!(target_os = "linux") {
        assert_eq!((report.to_target.kernel_drops, report.to_client.kernel_drops), (Some(0), Some(0)));
    }
    assert_adds_up(&report);
}

#[test]
fn exactly_those_are_lost_that_the_model_with_the_derived_seed_loses() {
    let text = "loss=30%,burst=3";
    let (target, emulator) = start(|setup| {
        setup.to_target = profile(text);
        setup.to_client = profile(text);
        setup.seed = 77;
    });
    let client = client_of(&emulator);
    let mut models = [0, 1].map(|index| Model::new(profile(text), derive_seed(77, index)));
    let mut upstream = None;
    for first in (0..1_000_u32).step_by(50) {
        let numbers = first..first + 50;
        let mut expected = |direction: usize| -> Vec<u32> {
            numbers.clone().filter(|_| models[direction].offer(0, 4).cause().is_none()).collect()
        };
        for number in numbers.clone() {
            client.send(&number.to_be_bytes()).unwrap();
        }
        for number in expected(0) {
            let (datagram, from) = receive(&target);
            assert_eq!(datagram, number.to_be_bytes());
            upstream = Some(from);
        }
        let upstream = upstream.unwrap();
        for number in numbers.clone() {
            target.send_to(&number.to_be_bytes(), upstream).unwrap();
        }
        for number in expected(1) {
            assert_eq!(receive_number(&client), number);
        }
    }
    // The last ones may be lost ones, and still unread.
    wait_until(&emulator, |report| report.to_client.link.offered_packets == 1_000);
    let report = emulator.stop().unwrap();
    assert_eq!(report.to_target.link.lost_luck, models[0].counters().lost_luck);
    assert_eq!(report.to_client.link.lost_luck, models[1].counters().lost_luck);
    assert_ne!(report.to_target.link.lost_luck, report.to_client.link.lost_luck);
    assert_adds_up(&report);
}

#[test]
fn nothing_arrives_before_its_delay_is_over() {
    let (target, emulator) = start(|setup| setup.to_target = profile("delay=30ms"));
    let client = client_of(&emulator);
    for _ in 0..20 {
        let sent = Instant::now();
        client.send(b"now").unwrap();
        receive(&target);
        // One microsecond is what the model's clock rounds away.
        assert!(sent.elapsed() >= Duration::from_micros(29_999));
    }
    assert_adds_up(&emulator.stop().unwrap());
}

#[test]
fn the_rate_limit_spreads_a_burst_and_drops_the_tail() {
    // 1,000 bits each with headers: 10 ms at 100 kb/s, and at most 5 inside.
    let (target, emulator) = start(|setup| setup.to_target = profile("rate=100kbps,queue=5"));
    let client = client_of(&emulator);
    let sent = Instant::now();
    for _ in 0..20 {
        client.send(&[0; 97]).unwrap();
    }
    for number in 1..=5 {
        receive(&target);
        assert!(sent.elapsed() >= Duration::from_millis(10 * number));
    }
    wait_until(&emulator, |report| report.to_target.link.offered_packets == 20);
    let report = emulator.stop().unwrap();
    // A slow reader may see a place become free before the end of the burst.
    assert!(report.to_target.link.lost_queue >= 1, "{report}");
    assert_adds_up(&report);
}

#[test]
fn duplicates_arrive_twice() {
    let (target, emulator) = start(|setup| setup.to_target = profile("dup=100%"));
    let client = client_of(&emulator);
    for number in 0..50_u32 {
        client.send(&number.to_be_bytes()).unwrap();
        assert_eq!((receive_number(&target), receive_number(&target)), (number, number));
    }
    let report = emulator.stop().unwrap();
    assert_eq!((report.to_target.link.duplicated, report.to_target.sent_packets), (50, 100));
    assert_adds_up(&report);
}

#[test]
fn every_client_has_a_socket_of_its_own_and_gets_its_own_answers() {
    let (target, emulator) =
        start(|setup| setup.to_client = profile("delay=2ms,jitter=2ms,jitter-order=free"));
    let clients: Vec<UdpSocket> = (0..100).map(|_| client_of(&emulator)).collect();
    let mut upstreams = HashSet::new();
    for (client, number) in clients.iter().zip(0_u32..) {
        client.send(&number.to_be_bytes()).unwrap();
        let (datagram, from) = receive(&target);
        assert!(upstreams.insert(from));
        target.send_to(&datagram, from).unwrap();
    }
    for (client, number) in clients.iter().zip(0_u32..) {
        assert_eq!(receive_number(client), number);
    }
    let report = emulator.stop().unwrap();
    assert_eq!((report.clients, report.refused), (100, 0));
    assert_adds_up(&report);
}

#[test]
fn clients_beyond_the_bound_are_refused_and_counted() {
    let (target, emulator) = start(|setup| setup.max_clients = 2);
    let clients: Vec<UdpSocket> = (0..3).map(|_| client_of(&emulator)).collect();
    for client in &clients[..2] {
        client.send(b"in").unwrap();
        receive(&target);
    }
    for _ in 0..5 {
        clients[2].send(b"out").unwrap();
    }
    wait_until(&emulator, |report| report.refused == 5);
    clients[0].send(b"still in").unwrap();
    assert_eq!(receive(&target).0, b"still in");
    let report = emulator.stop().unwrap();
    assert_eq!((report.clients, report.refused, report.to_target.link.offered_packets), (2, 5, 3));
}

#[test]
fn an_idle_client_is_forgotten_and_makes_room() {
    let (target, emulator) = start(|setup| {
        setup.max_clients = 1;
        setup.idle_timeout = Duration::from_millis(20);
    });
    let (first, second) = (client_of(&emulator), client_of(&emulator));
    first.send(b"first").unwrap();
    receive(&target);
    // Refused until the first has expired.
    target.set_read_timeout(Some(Duration::from_millis(10))).unwrap();
    let begun = Instant::now();
    loop {
        second.send(b"second").unwrap();
        match target.recv_from(&mut [0; 16]) {
            Ok((length, _)) => {
                assert_eq!(length, b"second".len());
                break;
            }
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}")
            }
        }
        assert!(begun.elapsed() < PATIENCE);
    }
    assert!(emulator.stop().unwrap().clients >= 2);
}

#[test]
fn a_profile_can_be_changed_while_it_runs() {
    let (target, emulator) = start(|_| {});
    let client = client_of(&emulator);
    client.send(b"one").unwrap();
    assert_eq!(receive(&target).0, b"one");
    emulator.set_profile(Direction::ToTarget, profile("loss=100%")).unwrap();
    for _ in 0..10 {
        client.send(b"two").unwrap();
    }
    wait_until(&emulator, |report| report.to_target.link.offered_packets == 11);
    let wrong = Profile { duplicate: 2.0, ..Profile::default() };
    assert!(emulator.set_profile(Direction::ToTarget, wrong).is_err());
    emulator.set_profile(Direction::ToTarget, Profile::default()).unwrap();
    client.send(b"three").unwrap();
    assert_eq!(receive(&target).0, b"three");
    let report = emulator.stop().unwrap();
    assert_eq!((report.to_target.link.lost_luck, report.to_target.sent_packets), (10, 2));
}

#[test]
fn an_outage_cuts_one_direction_and_leaves_the_other_alone() {
    let (target, emulator) = start(|_| {});
    let client = client_of(&emulator);
    client.send(b"hello").unwrap();
    let (_, upstream) = receive(&target);
    emulator.outage(Direction::ToTarget, Duration::from_secs(3_600));
    for _ in 0..10 {
        client.send(b"lost").unwrap();
    }
    target.send_to(b"answer", upstream).unwrap();
    assert_eq!(receive(&client).0, b"answer");
    wait_until(&emulator, |report| report.to_target.link.offered_packets == 11);
    let report = emulator.stop().unwrap();
    assert_eq!((report.to_target.link.lost_outage, report.to_target.sent_packets), (10, 1));
    assert_eq!((report.to_client.link.lost_outage, report.to_client.sent_packets), (0, 1));
}

#[test]
fn a_scheduled_outage_begins_and_ends() {
    let (target, emulator) = start(|setup| setup.to_target = profile("outage=0s+100ms"));
    let client = client_of(&emulator);
    client.send(b"early").unwrap();
    wait_until(&emulator, |report| report.to_target.link.offered_packets == 1);
    std::thread::sleep(Duration::from_millis(110));
    client.send(b"late").unwrap();
    // The first one too, if the machine slept through the outage; the order tells.
    let first = receive(&target).0;
    let report = emulator.stop().unwrap();
    assert_eq!(report.to_target.link.lost_outage, u64::from(first == b"late"));
}

#[test]
fn a_target_that_is_not_there_yet_does_no_harm() {
    let place = socket(LOCAL);
    let address = place.local_addr().unwrap();
    drop(place);
    let emulator = Emulator::start(Setup::new(LOCAL, address)).unwrap();
    let client = client_of(&emulator);
    for sent in 1..=20 {
        client.send(b"anyone?").unwrap();
        wait_until(&emulator, |report| report.to_target.sent_packets == sent);
    }
    let target = socket(address);
    client.send(b"hello").unwrap();
    assert_eq!(receive(&target).0, b"hello");
    let report = emulator.stop().unwrap();
    assert_eq!((report.to_target.sent_packets, report.to_target.unsent), (21, 0));
    assert_adds_up(&report);
}

#[test]
fn a_client_that_gets_no_socket_is_counted_and_told_at_the_end() {
    // An address of TEST-NET-3, which no machine has.
    let (_target, emulator) = start(|setup| setup.upstream_ip = Some(Ipv4Addr::new(203, 0, 113, 77).into()));
    client_of(&emulator).send(b"nowhere").unwrap();
    wait_until(&emulator, |report| report.refused == 1);
    assert!(emulator.is_running());
    let error = emulator.stop().unwrap_err();
    assert!(error.to_string().starts_with("socket for a new client: "), "{error}");
    assert_eq!((error.report.refused, error.report.clients), (1, 0));
}

#[test]
fn a_datagram_the_system_refuses_to_send_is_counted_and_harms_no_other() {
    let Ok(client) = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)) else {
        println!("skipped: this machine has no IPv6");
        return;
    };
    let (target, emulator) = start(|setup| setup.listen = (Ipv6Addr::LOCALHOST, 0).into());
    client.connect(emulator.local_addr()).unwrap();
    // IPv6 carries 65,527 bytes of payload, IPv4 20 less.
    client.send(&[6; 65_527]).unwrap();
    client.send(b"hello").unwrap();
    assert_eq!(receive(&target).0, b"hello");
    let report = emulator.stop().unwrap();
    assert_eq!((report.to_target.unsent, report.to_target.sent_packets), (1, 1));
    assert_adds_up(&report);
}

#[test]
fn what_is_on_its_way_is_bounded() {
    let (_target, emulator) = start(|setup| {
        setup.to_target = profile("delay=1000s");
        setup.max_pending_bytes = 2_500;
    });
    let client = client_of(&emulator);
    for _ in 0..10 {
        client.send(&[0; 1_000]).unwrap();
    }
    wait_until(&emulator, |report| report.to_target.link.offered_packets == 10);
    let report = emulator.stop().unwrap();
    assert_eq!(
        (report.to_target.in_flight, report.to_target.overrun, report.to_target.sent_packets),
        (2, 8, 0)
    );
    assert_adds_up(&report);
}

#[test]
fn stop_throws_away_what_is_on_its_way_and_frees_the_port() {
    let (_target, emulator) = start(|setup| setup.to_target = profile("delay=1000s"));
    let address = emulator.local_addr();
    let client = client_of(&emulator);
    for _ in 0..5 {
        client.send(b"late").unwrap();
    }
    wait_until(&emulator, |report| report.to_target.link.offered_packets == 5);
    assert!(emulator.is_running());
    let report = emulator.stop().unwrap();
    assert_eq!((report.to_target.in_flight, report.to_target.sent_packets), (5, 0));
    UdpSocket::bind(address).unwrap();
}

#[test]
fn dropping_the_handle_stops_the_emulator() {
    let (_target, emulator) = start(|_| {});
    let address = emulator.local_addr();
    drop(emulator);
    UdpSocket::bind(address).unwrap();
}

#[test]
fn what_cannot_work_is_refused_at_the_start() {
    let taken = socket(LOCAL);
    let address = taken.local_addr().unwrap();
    let error = Emulator::start(Setup::new(address, LOCAL)).unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
    assert!(error.to_string().starts_with(&format!("cannot listen on {address}: ")), "{error}");

    drop(taken);
    let error = Emulator::start(Setup::new(address, address)).unwrap_err();
    assert!(matches!(error, StartError::Circle(_)), "{error}");
    let wildcard = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
    let error = Emulator::start(Setup::new(wildcard, address)).unwrap_err();
    assert!(matches!(error, StartError::Circle(_)), "{error}");

    let mut setup = Setup::new(LOCAL, address);
    setup.to_client.duplicate = -1.0;
    let error = Emulator::start(setup).unwrap_err();
    assert!(matches!(error, StartError::Profile(_)), "{error}");
}

#[test]
fn ipv6_works_and_may_lead_to_ipv4() {
    let local = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0);
    if UdpSocket::bind(local).is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    for address in [local, LOCAL] {
        let target = socket(address);
        let emulator = Emulator::start(Setup::new(local, target.local_addr().unwrap())).unwrap();
        let client = socket(local);
        client.send_to(b"there", emulator.local_addr()).unwrap();
        let (datagram, upstream) = receive(&target);
        assert_eq!(datagram, b"there");
        target.send_to(b"back", upstream).unwrap();
        assert_eq!(receive(&client), (b"back".to_vec(), emulator.local_addr()));
        assert_adds_up(&emulator.stop().unwrap());
    }
}

#[test]
fn a_client_that_moves_is_seen_at_another_port_and_not_reached_at_the_one_before() {
    let (target, emulator) = start(|_| {});
    let client = client_of(&emulator);
    client.send(&7_u32.to_be_bytes()).unwrap();
    let before = receive(&target).1;
    emulator.rebind();
    let begun = Instant::now();
    let after = loop {
        client.send(&8_u32.to_be_bytes()).unwrap();
        let from = receive(&target).1;
        if from != before {
            break from;
        }
        assert!(begun.elapsed() < PATIENCE, "it has not moved");
    };
    target.send_to(&9_u32.to_be_bytes(), before).unwrap();
    target.send_to(&10_u32.to_be_bytes(), after).unwrap();
    assert_eq!(receive_number(&client), 10);
}
