//! One thread that waits for many sockets.

mod common;

use common::{HANG, listener, message, options, pair, wait_until};
use srt::{Error, Interest, Poll, PollEvent, SrtSocket};
use std::{collections::HashMap, thread, time::Duration};

/// The next events; at least one.
fn wait(poll: &Poll) -> Vec<PollEvent> {
    let mut events = Vec::new();
    assert!(poll.wait(&mut events, Some(HANG)) > 0, "waited in vain");
    events
}

const NOW: Option<Duration> = Some(Duration::ZERO);

#[test]
fn a_socket_is_told_readable_until_it_has_been_read_empty() {
    let (caller, accepted) = pair(&options());
    let (poll, mut events) = (Poll::new(), Vec::new());
    poll.register(&accepted, 7, Interest::READABLE);
    assert_eq!(poll.wait(&mut events, Some(Duration::from_millis(10))), 0, "nothing was sent");
    caller.send(b"one").expect("room");
    caller.send(b"two").expect("room");
    for _ in 0..3 {
        let events = wait(&poll);
        assert_eq!((events.len(), events[0].token, events[0].readiness.readable), (1, 7, true));
    }
    let mut buffer = [0; 9];
    for _ in 0..2 {
        accepted.recv(&mut buffer).expect("a message");
    }
    assert_eq!(poll.wait(&mut events, NOW), 0, "all is read");
    caller.send(b"three").expect("room");
    assert!(wait(&poll)[0].readiness.readable);
}

#[test]
fn what_holds_already_is_told_at_once() {
    let (caller, accepted) = pair(&options());
    caller.send(b"early").expect("room");
    wait_until("the message", || accepted.readiness().readable);
    let (poll, mut events) = (Poll::new(), Vec::new());
    poll.register(&accepted, 1, Interest::BOTH);
    assert_eq!(poll.wait(&mut events, NOW), 1);
    assert!(events[0].readiness.readable && events[0].readiness.writable);
}

#[test]
fn only_what_was_asked_is_told_and_it_can_be_changed() {
    let (caller, accepted) = pair(&options());
    let (poll, mut events) = (Poll::new(), Vec::new());
    poll.register(&accepted, 1, Interest::READABLE);
    assert_eq!(poll.wait(&mut events, NOW), 0, "it is writable, but nobody asked");
    poll.register(&accepted, 2, Interest::WRITABLE);
    assert_eq!(poll.wait(&mut events, NOW), 1);
    assert_eq!((events[0].token, events[0].readiness.readable), (2, false));
    poll.deregister(&accepted);
    assert_eq!(poll.wait(&mut events, NOW), 0);
    caller.send(b"x").expect("room");
    wait_until("the message", || accepted.readiness().readable);
    assert_eq!(poll.wait(&mut events, NOW), 0);
}

#[test]
fn connecting_and_failing_to_connect_are_told() {
    let listener = listener(&options());
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let poll = Poll::new();
    poll.register(&listener, 0, Interest::READABLE);
    let good = SrtSocket::start_connect(None, listener.local_addr(), &options()).expect("started");
    poll.register(&good, 1, Interest::WRITABLE);
    let quick = options().connect_timeout(Duration::from_millis(100));
    let bad = SrtSocket::start_connect(None, silent.local_addr().expect("bound"), &quick).expect("started");
    poll.register(&bad, 2, Interest::NONE);
    let mut seen = HashMap::new();
    while seen.len() < 3 {
        for event in wait(&poll) {
            seen.insert(event.token, event.readiness);
            match event.token {
                0 => drop(listener.try_accept().expect("a caller waits")),
                1 => poll.deregister(&good),
                _ => poll.deregister(&bad),
            }
        }
    }
    assert!(seen[&0].readable && seen[&1].writable && !seen[&1].error);
    assert!(seen[&2].error && seen[&2].closed);
}

#[test]
fn the_end_of_a_stream_is_told_as_readable_and_closed() {
    let (caller, accepted) = pair(&options());
    let poll = Poll::new();
    poll.register(&accepted, 1, Interest::READABLE);
    caller.close().expect("it ends");
    let mut events = wait(&poll);
    while !events[0].readiness.closed {
        events = wait(&poll);
    }
    assert!(events[0].readiness.readable && !events[0].readiness.error);
    assert!(accepted.try_recv(&mut [0; 9]).expect_err("the end").is_end_of_stream());
}

#[test]
fn who_waits_to_send_to_a_peer_that_is_gone_is_told() {
    let (caller, accepted) = pair(&options());
    let poll = Poll::new();
    // Something unread keeps the connection from its end.
    caller.send(&message(1)).expect("room");
    wait_until("the message", || accepted.readiness().readable);
    caller.abort();
    wait_until("the end", || accepted.close_reason().is_some());
    poll.register(&accepted, 1, Interest::WRITABLE);
    assert!(wait(&poll)[0].readiness.writable);
    assert!(matches!(accepted.try_send(&message(2)), Err(Error::Closed(_))));
}

#[test]
fn a_socket_that_is_dropped_leaves_by_itself() {
    let (_caller, accepted) = pair(&options());
    let (poll, mut events) = (Poll::new(), Vec::new());
    poll.register(&accepted, 1, Interest::BOTH);
    assert_eq!(poll.wait(&mut events, NOW), 1);
    drop(accepted);
    assert_eq!(poll.wait(&mut events, NOW), 0, "at once, whatever remains to be done for it");
    assert_eq!(poll.wait(&mut events, Some(Duration::from_millis(20))), 0);
}

#[test]
fn a_wait_is_ended_from_another_thread() {
    let poll = Poll::new();
    poll.wake();
    assert_eq!(poll.wait(&mut Vec::new(), Some(HANG)), 0, "woken before the wait");
    thread::scope(|scope| {
        let waiter = scope.spawn(|| poll.wait(&mut Vec::new(), Some(HANG)));
        thread::sleep(Duration::from_millis(20));
        poll.wake();
        assert_eq!(waiter.join().expect("no panic"), 0);
    });
}

#[test]
fn one_thread_serves_many_sockets() {
    let listener = listener(&options().backlog(64));
    let callers: Vec<_> = (0..64)
        .map(|_| SrtSocket::connect(listener.local_addr(), &options()).expect("a connection"))
        .collect();
    let (poll, mut sockets, mut buffer) = (Poll::new(), HashMap::new(), [0; 1_456]);
    for token in 0..64 {
        let (socket, peer) = listener.accept_timeout(HANG).expect("a caller");
        poll.register(&socket, token, Interest::READABLE);
        sockets.insert(token, (socket, peer, 0));
    }
    let sender = thread::spawn(move || {
        for number in 0..50 {
            for caller in &callers {
                caller.send(&message(number)).expect("room");
            }
        }
        callers
    });
    let mut total = 0;
    while total < 64 * 50 {
        for event in wait(&poll) {
            let (socket, _, next) = sockets.get_mut(&event.token).expect("a token of ours");
            while let Ok(len) = socket.try_recv(&mut buffer) {
                assert_eq!(buffer[..len], message(*next));
                *next += 1;
                total += 1;
            }
        }
    }
    sender.join().expect("all was sent");
}
