//! Sockets and listeners for programs that call and wait, over loopback.

mod common;

use common::{HANG, listener, message, options, own_threads, pair, wait_until};
use srt::{
    CipherMode, ConnectionError, Decision, Error, KeyLength, KmState, MessageBatch, Micros, Options,
    RejectReason, Runtime, SocketOption, SrtListener, SrtSocket, State,
};
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, mpsc},
    thread,
    time::Duration,
};

#[test]
fn messages_arrive_in_order_and_whole_in_both_directions() {
    let (caller, accepted) = pair(&options());
    let echo = thread::spawn(move || {
        let mut buffer = [0; 1_456];
        for number in 0..500 {
            let len = accepted.recv(&mut buffer).expect("a message");
            assert_eq!(buffer[..len], message(number));
            accepted.send(&buffer[..len]).expect("room");
        }
        accepted
    });
    let mut buffer = [0; 1_456];
    for number in 0..500 {
        let sent = caller.send(&message(number)).expect("room");
        assert_eq!(sent.msgno.value(), number + 1);
    }
    for number in 0..500 {
        let received = caller.recv_message(&mut buffer).expect("a message");
        assert_eq!(buffer[..received.len], message(number));
        assert_eq!(received.msgno.value(), number + 1);
        assert_eq!(received.play_time, received.source_time + Micros::from_millis(20));
    }
    let accepted = echo.join().expect("all was as it should be");
    let (sent, received) = (caller.stats(false), accepted.stats(false));
    assert_eq!((sent.pkt_sent_unique_total, received.pkt_recv_unique_total), (500, 500));
}

#[test]
fn numbers_given_at_the_call_are_those_the_receiver_sees() {
    let (caller, accepted) = pair(&options());
    let isn = caller.negotiated().expect("connected").send_isn;
    let batch: Vec<_> = (0..100).map(message).collect();
    let sent: Vec<_> = batch.iter().map(|data| caller.send(data).expect("room")).collect();
    assert_eq!(sent[0].seq, isn);
    let mut buffer = [0; 1_456];
    for (sent, data) in sent.iter().zip(&batch) {
        let received = accepted.recv_message(&mut buffer).expect("a message");
        assert_eq!((received.seq, received.msgno), (sent.seq, sent.msgno));
        assert_eq!(&buffer[..received.len], data);
    }
    assert_eq!(caller.option(SocketOption::Isn).expect("known").as_int(), Some(i64::from(isn.value())));
}

#[test]
fn batches_carry_what_single_calls_carry() {
    let (caller, accepted) = pair(&options());
    let messages: Vec<_> = (0..1_000).map(message).collect();
    let views: Vec<_> = messages.iter().map(Vec::as_slice).collect();
    let sender = thread::spawn({
        let caller = caller.clone();
        move || {
            let messages: Vec<_> = (0..1_000).map(message).collect();
            let views: Vec<_> = messages.iter().map(Vec::as_slice).collect();
            let mut sent = 0;
            while sent < views.len() {
                sent += caller.send_batch(&views[sent..]).expect("room");
            }
        }
    });
    let (mut batch, mut next) = (MessageBatch::new(), 0);
    while next < views.len() {
        let count = accepted.recv_batch(&mut batch).expect("messages");
        assert_eq!(count, batch.len());
        for (received, data) in &batch {
            assert_eq!((received.len, data), (data.len(), views[next]));
            next += 1;
        }
    }
    sender.join().expect("all was sent");
}

#[test]
fn a_message_is_handed_out_at_its_play_time_and_not_before() {
    let (caller, accepted) = pair(&options().latency(Duration::from_millis(150)));
    let mut buffer = [0; 1_456];
    for _ in 0..5 {
        caller.send(b"now").expect("room");
        let received = accepted.recv_message(&mut buffer).expect("a message");
        assert!(srt::time_now() >= received.play_time);
        assert_eq!(received.play_time, received.source_time + Micros::from_millis(150));
    }
}

#[test]
fn a_receive_that_waits_gives_up_after_its_timeout_and_changes_nothing() {
    let (caller, accepted) = pair(&options().receive_timeout(Some(Duration::from_millis(30))));
    let mut buffer = [0; 1_456];
    let before = srt::time_now();
    let error = accepted.recv(&mut buffer).expect_err("nothing was sent");
    assert!(error.is_timeout(), "{error}");
    assert!(srt::time_now() >= before + Micros::from_millis(30));
    assert!(accepted.try_recv(&mut buffer).expect_err("nothing was sent").is_would_block());
    accepted.set_option(SocketOption::RcvTimeo, -1).expect("at any time");
    caller.send(b"late").expect("room");
    assert_eq!(accepted.recv(&mut buffer).expect("a message"), 4);
}

#[test]
fn without_rcvsyn_a_receive_does_not_wait() {
    let (caller, accepted) = pair(&options());
    accepted.set_option(SocketOption::RcvSyn, false).expect("at any time");
    let mut buffer = [0; 1_456];
    assert!(accepted.recv(&mut buffer).expect_err("nothing was sent").is_would_block());
    caller.send(b"x").expect("room");
    wait_until("the message", || accepted.readiness().readable);
    assert_eq!(accepted.recv(&mut buffer).expect("a message"), 1);
}

/// A receiver that does not read, and a sender whose buffer is full therefore.
fn stuffed() -> (SrtSocket, SrtSocket) {
    let small = options()
        .send_buffer(1_472 * 64)
        .receive_buffer(1_472 * 64)
        .flow_window(64)
        .too_late_drop(false)
        .send_timeout(Some(Duration::from_millis(100)));
    let (caller, accepted) = pair(&small);
    let error = loop {
        if let Err(error) = caller.send(&[7; 1_316]) {
            break error;
        }
    };
    assert!(error.is_timeout(), "{error}");
    assert!(caller.try_send(&[7; 1_316]).expect_err("no room").is_would_block());
    (caller, accepted)
}

#[test]
fn a_receiver_that_does_not_read_stops_the_sender_and_one_that_reads_lets_it_go_on() {
    let (caller, accepted) = stuffed();
    let mut sent = u64::from(caller.try_send(&[7; 1_316]).is_ok());
    caller
        .set_option(SocketOption::SndTimeo, i32::try_from(HANG.as_millis()).expect("small"))
        .expect("at any time");
    let held = caller.stats(false).pkt_snd_buf + accepted.stats(false).pkt_recv_unique_total;
    assert!(held < 64 * 3, "both buffers and the hand-over hold {held} packets");
    let writer = thread::spawn(move || {
        for _ in 0..500 {
            caller.send(&[7; 1_316]).expect("room comes");
        }
        caller
    });
    let mut buffer = [0; 1_456];
    sent += held + 500;
    for _ in 0..500 {
        assert_eq!(accepted.recv(&mut buffer).expect("a message"), 1_316);
    }
    assert!(sent >= 500);
    let caller = writer.join().expect("all was sent");
    assert!(caller.is_connected());
}

#[test]
fn without_sndsyn_a_send_does_not_wait_and_the_socket_is_writable_again_once_there_is_room() {
    let (caller, accepted) = stuffed();
    caller.set_option(SocketOption::SndSyn, false).expect("at any time");
    assert!(caller.send(&[7; 1_316]).expect_err("no room").is_would_block());
    assert!(!caller.readiness().writable);
    let mut buffer = [0; 1_456];
    wait_until("room", || {
        while accepted.try_recv(&mut buffer).is_ok() {}
        caller.readiness().writable
    });
    caller.send(&[7; 1_316]).expect("room");
}

#[test]
fn close_by_another_thread_interrupts_a_receive() {
    let (_caller, accepted) = pair(&options());
    let reader = thread::spawn({
        let accepted = accepted.clone();
        move || accepted.recv(&mut [0; 1_456])
    });
    thread::sleep(Duration::from_millis(30));
    accepted.close().expect("it ends");
    let error = reader.join().expect("no panic").expect_err("interrupted");
    assert!(matches!(error, Error::Closed(ConnectionError::Closed)), "{error}");
    assert!(!error.is_end_of_stream());
}

#[test]
fn close_by_another_thread_interrupts_a_send() {
    let (caller, _accepted) = stuffed();
    caller.set_option(SocketOption::SndTimeo, -1).expect("at any time");
    let writer = thread::spawn({
        let caller = caller.clone();
        move || loop {
            if let Err(error) = caller.send(&[7; 1_316]) {
                return error;
            }
        }
    });
    thread::sleep(Duration::from_millis(30));
    caller.start_close();
    let error = writer.join().expect("no panic");
    assert!(matches!(error, Error::Closed(ConnectionError::Closed)), "{error}");
    caller.abort();
    caller.close().expect("it ends");
}

#[test]
fn close_by_another_thread_interrupts_an_accept() {
    let listener = listener(&options());
    let accepter = thread::spawn({
        let listener = listener.clone();
        move || listener.accept_timeout(HANG)
    });
    thread::sleep(Duration::from_millis(30));
    listener.close();
    assert!(matches!(accepter.join().expect("no panic"), Err(Error::ListenerClosed)));
    assert!(matches!(listener.try_accept(), Err(Error::ListenerClosed)));
}

#[test]
fn close_by_another_thread_interrupts_a_connect() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let to = silent.local_addr().expect("bound");
    let socket = SrtSocket::start_connect(None, to, &options().connect_timeout(HANG)).expect("started");
    assert_eq!(socket.state(), State::Connecting);
    assert!(matches!(socket.send(b"x"), Err(Error::NotConnected)));
    assert!(matches!(socket.recv(&mut [0; 9]), Err(Error::NotConnected)));
    let waiter = thread::spawn({
        let socket = socket.clone();
        move || socket.wait_connected(None)
    });
    thread::sleep(Duration::from_millis(30));
    socket.close().expect("it ends");
    assert!(matches!(waiter.join().expect("no panic"), Err(Error::Closed(ConnectionError::Closed))));
}

#[test]
fn a_call_that_nobody_answers_times_out() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let to = silent.local_addr().expect("bound");
    let options = options().connect_timeout(Duration::from_millis(100));
    let before = srt::time_now();
    let error = SrtSocket::connect(to, &options).expect_err("nobody answers");
    assert!(srt::time_now() >= before + Micros::from_millis(100));
    assert_eq!(error.connection_error(), Some(ConnectionError::Timeout));
    assert!(error.to_string().contains(&to.to_string()), "{error}");
}

#[test]
fn all_addresses_of_a_host_are_tried() {
    let listener = listener(&options());
    let to = ("localhost", listener.local_addr().port()); // ::1 as well, where nobody listens
    let socket =
        SrtSocket::connect(to, &options().connect_timeout(Duration::from_millis(500))).expect("one answers");
    assert_eq!(socket.peer_addr(), listener.local_addr());
}

#[test]
fn what_was_sent_before_an_orderly_end_arrives_and_then_the_end() {
    let (caller, accepted) = pair(&options());
    for number in 0..200 {
        caller.send(&message(number)).expect("room");
    }
    caller.close().expect("it ends");
    assert_eq!(caller.state(), State::Closed);
    let mut buffer = [0; 1_456];
    for number in 0..200 {
        let len = accepted.recv(&mut buffer).expect("sent before the end");
        assert_eq!(buffer[..len], message(number));
    }
    let error = accepted.recv(&mut buffer).expect_err("the end");
    assert!(error.is_end_of_stream(), "{error}");
    assert!(matches!(accepted.send(b"x"), Err(Error::Closed(ConnectionError::PeerShutdown))));
    assert_eq!(accepted.close_reason(), Some(ConnectionError::PeerShutdown));
}

#[test]
fn a_socket_that_is_dropped_ends_in_order_in_the_background() {
    let (caller, accepted) = pair(&options());
    for number in 0..100 {
        caller.send(&message(number)).expect("room");
    }
    drop(caller);
    let mut buffer = [0; 1_456];
    for number in 0..100 {
        let len = accepted.recv(&mut buffer).expect("sent before the end");
        assert_eq!(buffer[..len], message(number));
    }
    assert!(accepted.recv(&mut buffer).expect_err("the end").is_end_of_stream());
}

#[test]
fn what_came_before_the_peer_went_is_played_out_at_its_time_and_then_comes_the_end() {
    let (caller, accepted) = pair(&options().latency(Duration::from_millis(200)));
    for number in 0..10 {
        caller.send(&message(number)).expect("room");
    }
    wait_until("all to arrive", || accepted.stats(false).pkt_recv_unique_total == 10);
    caller.abort();
    wait_until("the news", || accepted.state() == State::Broken);
    let mut buffer = [0; 1_456];
    for number in 0..10 {
        let received = accepted.recv_message(&mut buffer).expect("it came before");
        assert_eq!(buffer[..received.len], message(number));
        assert!(srt::time_now() >= received.play_time);
    }
    assert!(accepted.recv(&mut buffer).expect_err("the end").is_end_of_stream());
}

#[test]
fn an_abort_ends_both_sides() {
    let (caller, accepted) = pair(&options());
    caller.abort();
    caller.close().expect("it is at its end");
    assert!(accepted.recv(&mut [0; 9]).is_err());
    wait_until("the other side", || accepted.state() == State::Closed);
}

#[test]
fn figures_stay_after_the_end_and_intervals_are_cleared_in_one_step() {
    let (caller, accepted) = pair(&options());
    let mut buffer = [0; 1_456];
    let mut seen = 0;
    for number in 0..300 {
        caller.send(&message(number)).expect("room");
        if number % 7 == 0 {
            seen += caller.stats(true).pkt_sent_unique;
        }
    }
    for _ in 0..300 {
        accepted.recv(&mut buffer).expect("a message");
    }
    caller.close().expect("it ends");
    let last = caller.stats(true);
    assert_eq!(last.pkt_sent_unique_total, 300);
    assert_eq!(seen + last.pkt_sent_unique, 300);
    let again = caller.stats(false);
    assert_eq!((again.pkt_sent_unique, again.pkt_sent_unique_total), (0, 300));
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_lost() {
    let (caller, accepted) = pair(&options());
    assert!(matches!(caller.send(&[0; 1_317]), Err(Error::TooLarge { len: 1_317, max: 1_316 })));
    assert!(matches!(caller.send(&[]), Err(Error::Empty)));
    caller.send(b"ten bytes!").expect("room");
    wait_until("the message", || accepted.readiness().readable);
    assert!(matches!(accepted.recv(&mut [0; 9]), Err(Error::BufferTooSmall { need: 10, have: 9 })));
    let mut buffer = [0; 10];
    assert_eq!(accepted.recv(&mut buffer).expect("still there"), 10);
    assert_eq!(&buffer, b"ten bytes!");
    assert_eq!(caller.send_batch(&[b"a", &[0; 2_000], b"b"]).expect("the first"), 1);
    assert_eq!(accepted.recv(&mut buffer).expect("the first"), 1);
}

#[test]
fn the_hook_accepts_and_rejects_by_stream_id() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&heard);
    let listener = SrtListener::bind_with_hook("127.0.0.1:0", &options(), move |caller| {
        log.lock().expect("no panic").push((caller.stream_id_text().into_owned(), caller.peer, caller.local));
        match &*caller.stream_id {
            b"slow" => Decision::AcceptWith(Box::new(options().latency(Duration::from_millis(333)))),
            b"good" => Decision::Accept,
            b"faulty" => panic!("a fault in the hook (as wanted by the test)"),
            _ => Decision::Reject(RejectReason::FORBIDDEN),
        }
    })
    .expect("a port");
    let to = listener.local_addr();

    let good = SrtSocket::connect(to, &options().stream_id("good")).expect("accepted");
    let (accepted, _) = listener.accept_timeout(HANG).expect("the caller");
    assert_eq!((accepted.stream_id(), good.stream_id()), (b"good".to_vec(), b"good".to_vec()));
    assert_eq!(heard.lock().expect("no panic")[0], ("good".to_owned(), good.local_addr(), to));

    let error = SrtSocket::connect(to, &options().stream_id("bad")).expect_err("rejected");
    assert_eq!(error.reject_reason(), Some(RejectReason::FORBIDDEN));
    let error = SrtSocket::connect(to, &options().stream_id("faulty")).expect_err("rejected");
    assert_eq!(error.reject_reason(), Some(RejectReason::ISE));

    let slow = SrtSocket::connect(to, &options().stream_id("slow")).expect("accepted");
    let latency = Some(Micros::from_millis(333));
    assert_eq!(slow.negotiated().expect("connected").receiver_latency, latency);
    assert_eq!(slow.option(SocketOption::RcvLatency).expect("known").as_int(), Some(333));

    listener.clear_hook();
    SrtSocket::connect(to, &options().stream_id("bad")).expect("nobody asks any more");
    assert_eq!(heard.lock().expect("no panic").len(), 4);
    let stats = listener.stats();
    assert_eq!((stats.accepted, stats.rejected), (3, 2));
}

#[test]
fn a_hook_may_use_the_crate_and_take_its_time() {
    let (told, tell) = mpsc::channel();
    let upstream = listener(&options());
    let upstream_addr = upstream.local_addr();
    let front = SrtListener::bind_with_hook("127.0.0.1:0", &options(), move |_| {
        let onward = SrtSocket::connect(upstream_addr, &options()).expect("upstream answers");
        thread::sleep(Duration::from_millis(400)); // the caller repeats its conclusion meanwhile
        told.send(onward).expect("the test listens");
        Decision::Accept
    })
    .expect("a port");
    let caller = SrtSocket::connect(front.local_addr(), &options()).expect("accepted");
    let onward = tell.recv_timeout(HANG).expect("the hook ran");
    let (_, peer) = upstream.accept_timeout(HANG).expect("the hook's call");
    assert_eq!(peer, onward.local_addr());
    let (accepted, _) = front.accept_timeout(HANG).expect("the caller");
    assert!(front.try_accept().expect_err("one caller, one connection").is_would_block());
    caller.send(b"through").expect("room");
    assert_eq!(accepted.recv(&mut [0; 99]).expect("a message"), 7);
}

#[test]
fn more_callers_than_the_backlog_holds_are_told_so() {
    let listener = listener(&options().backlog(2));
    let to = listener.local_addr();
    let first = SrtSocket::connect(to, &options()).expect("room for one");
    let _second = SrtSocket::connect(to, &options()).expect("room for two");
    let error = SrtSocket::connect(to, &options()).expect_err("no room for three");
    assert_eq!(error.reject_reason(), Some(RejectReason::Backlog));
    assert_eq!(listener.stats().backlog_full, 1);
    let (accepted, peer) = listener.accept_timeout(HANG).expect("the first");
    assert_eq!(peer, first.local_addr());
    SrtSocket::connect(to, &options()).expect("room again");
    drop(accepted);
}

#[test]
fn a_port_in_use_is_an_error_that_names_it() {
    let holder = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let local = holder.local_addr().expect("bound");
    let error = SrtListener::bind(local, &options()).expect_err("in use");
    assert!(matches!(error, Error::Bind(_)) && error.to_string().contains(&local.to_string()), "{error}");

    let listener = listener(&options());
    let error = SrtListener::bind(listener.local_addr(), &options()).expect_err("in use by this program");
    assert!(matches!(error, Error::PortShared { .. }), "{error}");
    let error =
        SrtListener::bind(listener.local_addr(), &options().ip_ttl(9)).expect_err("with other options");
    assert!(matches!(error, Error::PortShared { .. }), "{error}");
}

#[test]
fn a_port_is_free_at_once_when_its_listener_is_closed_or_dropped() {
    let first = listener(&options());
    let local = first.local_addr();
    for round in 0..20 {
        let next = if round == 0 {
            first.clone()
        } else {
            SrtListener::bind(local, &options()).expect("free again")
        };
        next.close();
        std::net::UdpSocket::bind(local).expect("free for others as well");
    }
    for _ in 0..20 {
        drop(SrtListener::bind(local, &options()).expect("free again"));
    }
    SrtListener::bind(local, &options().ip_ttl(9)).expect("free for other options too");
}

#[test]
fn connections_outlive_their_listener_and_a_new_one_can_take_the_port() {
    let first = listener(&options());
    let local = first.local_addr();
    let caller = SrtSocket::connect(local, &options()).expect("a connection");
    let (accepted, _) = first.accept_timeout(HANG).expect("the caller");
    first.close();
    assert!(SrtSocket::connect(local, &options().connect_timeout(Duration::from_millis(100))).is_err());
    let second = SrtListener::bind(local, &options()).expect("the port is shared with the old connection");
    let another = SrtSocket::connect(local, &options()).expect("a connection");
    let _accepted = second.accept_timeout(HANG).expect("the caller");
    caller.send(b"still there").expect("room");
    assert_eq!(accepted.recv(&mut [0; 99]).expect("a message"), 11);
    assert_eq!(accepted.local_addr(), local);
    assert!(another.is_connected());
}

#[test]
fn connections_nobody_accepted_end_with_their_listener() {
    let listener = listener(&options());
    let caller = SrtSocket::connect(listener.local_addr(), &options()).expect("a connection");
    listener.close();
    assert!(caller.recv(&mut [0; 9]).expect_err("the end").is_end_of_stream());
}

#[test]
fn several_callers_share_a_port_of_ours() {
    let listeners: Vec<_> = (0..3).map(|_| listener(&options())).collect();
    let first = SrtSocket::connect_from(any(), listeners[0].local_addr(), &options()).expect("a connection");
    let local = first.local_addr();
    let calls = listeners[1..]
        .iter()
        .map(|listener| SrtSocket::connect_from(local, listener.local_addr(), &options()));
    let others: Vec<_> = calls.map(|call| call.expect("a connection from the same port")).collect();
    assert!(others.iter().all(|other| other.local_addr() == local));
    for (number, socket) in (0..).zip([&first].into_iter().chain(&others)) {
        socket.send(&message(number)).expect("room");
    }
    let mut accepted = Vec::new(); // kept: the port is free again once the last connection on it has ended
    for (number, listener) in (0..).zip(&listeners) {
        let (socket, peer) = listener.accept_timeout(HANG).expect("the caller");
        let mut buffer = [0; 1_456];
        let len = socket.recv(&mut buffer).expect("a message");
        assert_eq!((peer, &buffer[..len]), (local, &*message(number)));
        accepted.push(socket);
    }
    let alone = options().reuse_addr(false);
    let error =
        SrtSocket::connect_from(local, listeners[0].local_addr(), &alone).expect_err("not to be shared");
    assert!(matches!(error, Error::PortShared { .. }), "{error}");
}

fn any() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

#[test]
fn addresses_are_shown_as_users_know_them() {
    let wildcard = SrtListener::bind("0.0.0.0:0", &options()).expect("a port");
    let to = SocketAddr::from(([127, 0, 0, 1], wildcard.local_addr().port()));
    let caller = SrtSocket::connect(to, &options()).expect("a connection");
    let (accepted, peer) = wildcard.accept_timeout(HANG).expect("the caller");
    assert_eq!((caller.peer_addr(), accepted.local_addr()), (to, to));
    assert_eq!((caller.local_addr(), accepted.peer_addr()), (peer, peer));
    assert!(peer.ip().is_loopback());

    // Not every machine has IPv6.
    let Ok(both) = SrtListener::bind("[::]:0", &options().ipv6_only(false)) else { return };
    for ip in ["127.0.0.1", "::1"] {
        let to = SocketAddr::new(ip.parse().expect("an address"), both.local_addr().port());
        let caller = SrtSocket::connect(to, &options()).expect("a connection");
        let (accepted, peer) = both.accept_timeout(HANG).expect("the caller");
        assert_eq!((accepted.local_addr(), caller.local_addr()), (to, peer));
        assert_eq!(peer.ip().to_string(), ip);
        caller.send(b"x").expect("room");
        assert_eq!(accepted.recv(&mut [0; 9]).expect("a message"), 1);
    }
}

#[test]
fn options_of_a_live_connection_change_by_their_rules() {
    let (caller, _accepted) = pair(&options());
    caller.set_option(SocketOption::MaxBw, 1_000_000_i64).expect("at any time");
    assert_eq!(caller.option(SocketOption::MaxBw).expect("known").as_int(), Some(1_000_000));
    let text = caller.set_option(SocketOption::Mss, 1_400).expect_err("too late").to_string();
    assert!(text.starts_with("mss:") && text.contains("before"), "{text}");
    assert!(matches!(caller.set_option(SocketOption::OheadBw, 1), Err(Error::Config(_))));
    let number = |option| caller.option(option).expect("known").as_int();
    assert_eq!(number(SocketOption::State), Some(5));
    assert_eq!(number(SocketOption::Event), Some(4));
    assert_eq!(number(SocketOption::PeerVersion), Some(0x0001_0505));
    assert_eq!(number(SocketOption::SndData), Some(0));
    assert_eq!(number(SocketOption::RcvData), Some(0));
    caller.close().expect("it ends");
    assert_eq!(number(SocketOption::State), Some(8));
    assert!(matches!(caller.set_option(SocketOption::MaxBw, 5_i64), Err(Error::Closed(_))));
}

#[test]
fn values_that_are_not_allowed_are_reported_when_the_options_are_used() {
    let wrong = Options::new().overhead_percent(4_000);
    assert!(matches!(SrtListener::bind(any(), &wrong), Err(Error::Config(_))));
    assert!(matches!(SrtSocket::connect("127.0.0.1:9", &wrong), Err(Error::Config(_))));
    assert!(matches!(SrtSocket::connect("127.0.0.1:0", &Options::new()), Err(Error::Address { .. })));
}

#[test]
fn a_runtime_that_is_shut_down_ends_everything_in_order() {
    let runtime = Runtime::new(2).expect("threads");
    let options = options().runtime(&runtime);
    let outside = listener(&common::options());
    let inside = listener(&options);
    let caller = SrtSocket::connect(outside.local_addr(), &options).expect("a connection");
    let (accepted, _) = outside.accept_timeout(HANG).expect("the caller");
    for number in 0..50 {
        caller.send(&message(number)).expect("room");
    }
    assert!(runtime.shutdown(HANG), "in order");
    let mut buffer = [0; 1_456];
    for number in 0..50 {
        let len = accepted.recv(&mut buffer).expect("sent before the end");
        assert_eq!(buffer[..len], message(number));
    }
    assert!(accepted.recv(&mut buffer).expect_err("the end").is_end_of_stream());
    assert_eq!((caller.state(), caller.stats(false).pkt_sent_unique_total), (State::Closed, 50));
    assert!(matches!(caller.send(b"x"), Err(Error::Closed(_))));
    assert!(matches!(inside.accept(), Err(Error::ListenerClosed)));
    assert!(matches!(SrtListener::bind(any(), &options), Err(Error::RuntimeDown)));
    assert!(matches!(SrtSocket::connect(outside.local_addr(), &options), Err(Error::RuntimeDown)));
    std::net::UdpSocket::bind(inside.local_addr()).expect("the ports are free");
}

#[test]
fn a_runtime_without_patience_cuts_off_what_is_left() {
    let runtime = Runtime::new(1).expect("a thread");
    let outside = listener(&options().latency(Duration::from_secs(20)));
    let caller =
        SrtSocket::connect(outside.local_addr(), &options().runtime(&runtime)).expect("a connection");
    let (_accepted, _) = outside.accept_timeout(HANG).expect("the caller");
    caller.send(b"will be played in 20 s").expect("room");
    assert!(!runtime.shutdown(Duration::from_millis(50)), "it could not wait so long");
    assert_eq!(caller.state(), State::Closed);
}

#[test]
fn a_runtime_that_nobody_holds_any_more_gives_its_ports_back() {
    let runtime = Runtime::new(1).expect("a thread");
    let options = options().runtime(&runtime);
    let listener = listener(&options);
    let caller = SrtSocket::connect(listener.local_addr(), &options).expect("a connection");
    let (accepted, _) = listener.accept_timeout(HANG).expect("a caller");
    let (here, there) = (listener.local_addr(), caller.local_addr());
    drop((listener, accepted, caller));
    drop((options, runtime));
    let free = |addr: SocketAddr| std::net::UdpSocket::bind((addr.ip(), addr.port())).is_ok();
    wait_until("the ports to be free", || free(here) && free(there));
}

#[test]
fn the_default_runtime_starts_again_after_it_was_shut_down() {
    // In a process of its own, for the other tests use the default runtime too.
    const CHILD: &str = "SRT_TEST_DEFAULT_RUNTIME";
    if std::env::var_os(CHILD).is_none() {
        let test = "the_default_runtime_starts_again_after_it_was_shut_down";
        let child = std::process::Command::new(std::env::current_exe().expect("this program"))
            .args([test, "--exact", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .expect("this program starts");
        assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
        return;
    }
    for _ in 0..3 {
        let (caller, accepted) = pair(&options());
        caller.send(b"x").expect("room");
        assert_eq!(accepted.recv(&mut [0; 9]).expect("a message"), 1);
        let runtime = Runtime::default_handle().expect("running");
        assert!(runtime.shutdown(HANG));
        assert_eq!(accepted.state(), State::Closed);
        assert_eq!(own_threads().len(), 0, "no worker is left");
    }
}

#[test]
fn each_stream_id_has_a_passphrase_of_its_own_and_the_options_tell_what_was_agreed() {
    let listener = SrtListener::bind_with_hook("127.0.0.1:0", &options(), |caller| {
        assert!(caller.encrypted);
        let passphrase: &[u8] = match &*caller.stream_id {
            b"one" => b"the secret of one",
            _ => b"the secret of two",
        };
        Decision::AcceptWith(Box::new(options().passphrase(passphrase)))
    })
    .expect("a port");
    let to = listener.local_addr();
    let ours = |name: &'static str, secret: &'static str| {
        options()
            .stream_id(name)
            .passphrase(secret)
            .key_length(KeyLength::Aes256)
            .cipher_mode(CipherMode::Gcm)
    };
    let error = SrtSocket::connect(to, &ours("one", "the secret of two")).expect_err("another's secret");
    assert_eq!(error.reject_reason(), Some(RejectReason::BadSecret));
    for (name, secret) in [("one", "the secret of one"), ("two", "the secret of two")] {
        let caller = SrtSocket::connect(to, &ours(name, secret)).expect("accepted");
        let (accepted, _) = listener.accept_timeout(HANG).expect("the caller");
        caller.send(&message(1)).expect("room");
        accepted.send(&message(2)).expect("room");
        let mut buffer = [0; 1_456];
        let len = accepted.recv(&mut buffer).expect("a message");
        assert_eq!(buffer[..len], message(1));
        let len = caller.recv(&mut buffer).expect("a message");
        assert_eq!(buffer[..len], message(2));
        for socket in [&caller, &accepted] {
            let option = |option| socket.option(option).expect("known").as_int();
            assert_eq!(
                (option(SocketOption::SndKmState), option(SocketOption::RcvKmState)),
                (Some(2), Some(2))
            );
            assert_eq!(
                (option(SocketOption::PbKeyLen), option(SocketOption::CryptoMode)),
                (Some(32), Some(2))
            );
            assert_eq!(socket.keys().send_state, KmState::Secured);
        }
    }
}
