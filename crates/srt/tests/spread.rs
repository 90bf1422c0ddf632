//! A listener whose port is spread over several workers.

mod common;

use common::{HANG, listener, message, options};
use srt::{Error, Runtime, SrtListener, SrtSocket};
use std::{collections::HashSet, net::UdpSocket};

#[test]
fn callers_are_dealt_to_all_workers_and_every_stream_stays_whole() {
    let runtime = Runtime::new(3).expect("threads");
    let options = options().runtime(&runtime).workers(3).backlog(60);
    let listener = listener(&options);
    let calls = (0..60).map(|_| SrtSocket::start_connect(None, listener.local_addr(), &options));
    let callers: Vec<_> = calls.map(|call| call.expect("a port for each")).collect();
    for caller in &callers {
        caller.wait_connected(Some(HANG)).expect("a connection");
    }
    let accepted: Vec<_> = (0..60).map(|_| listener.accept_timeout(HANG).expect("a caller").0).collect();
    if cfg!(target_os = "linux") {
        // The ID says which worker a connection belongs to.
        let places: HashSet<u32> = accepted.iter().map(|socket| socket.id().value() % 3).collect();
        assert_eq!(places.len(), 3, "60 callers, and one worker with none of them");
    }
    let mut buffer = [0; 1_456];
    for number in 0..20 {
        for caller in &callers {
            caller.send(&message(number)).expect("room");
        }
        for socket in &accepted {
            let len = socket.recv(&mut buffer).expect("a message");
            assert_eq!(buffer[..len], message(number));
            socket.send(&buffer[..len]).expect("room");
        }
        for caller in &callers {
            let len = caller.recv(&mut buffer).expect("the echo");
            assert_eq!(buffer[..len], message(number));
        }
    }
    assert_eq!(listener.stats().accepted, 60);
    assert!(listener.stats().port.inductions >= 60, "those of all workers together");
    assert_eq!(listener.stats().port.unknown_destination, 0, "nothing was dealt to the wrong one");
    assert!(runtime.shutdown(HANG), "in order");
}

#[test]
fn a_spread_port_is_in_use_for_others_and_free_when_it_is_closed() {
    let runtime = Runtime::new(2).expect("threads");
    let options = options().runtime(&runtime).workers(2);
    for _ in 0..5 {
        let listener = listener(&options);
        let local = listener.local_addr();
        assert!(UdpSocket::bind(local).is_err(), "of another program's it would be the same");
        assert!(matches!(SrtListener::bind(local, &options), Err(Error::PortShared { .. })));
        listener.close();
        drop(UdpSocket::bind(local).expect("free at once"));
        let again = SrtListener::bind(local, &options).expect("free at once");
        again.close();
    }
}

#[test]
fn connections_live_on_when_their_spread_listener_is_closed() {
    let runtime = Runtime::new(2).expect("threads");
    let options = options().runtime(&runtime).workers(2);
    let listener = listener(&options);
    let local = listener.local_addr();
    let pairs: Vec<_> = (0..8)
        .map(|_| {
            let caller = SrtSocket::connect(local, &options).expect("a connection");
            (caller, listener.accept_timeout(HANG).expect("the caller").0)
        })
        .collect();
    listener.close();
    let mut buffer = [0; 1_456];
    for (caller, accepted) in &pairs {
        caller.send(&message(7)).expect("room");
        let len = accepted.recv(&mut buffer).expect("a message");
        assert_eq!(buffer[..len], message(7));
    }
    // Another listener may take the port over while they run.
    let next = SrtListener::bind(local, &options).expect("the port is shared with connections");
    let late = SrtSocket::connect(local, &options).expect("a connection");
    next.accept_timeout(HANG).expect("the caller");
    drop((late, next, pairs));
    assert!(runtime.shutdown(HANG), "in order");
}

#[test]
fn more_workers_than_the_runtime_has_are_as_many_as_it_has() {
    let runtime = Runtime::new(1).expect("a thread");
    let options = options().runtime(&runtime).workers(8);
    let listener = listener(&options);
    SrtSocket::connect(listener.local_addr(), &options).expect("a connection");
    listener.accept_timeout(HANG).expect("the caller");
}
