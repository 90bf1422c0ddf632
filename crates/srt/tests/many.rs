//! Many connections on few threads. A program of its own, for it counts the threads of the process.

mod common;

use common::{HANG, listener, message, options, own_threads};
use srt::{Runtime, SrtSocket};

#[test]
fn two_hundred_connections_run_on_two_threads() {
    let runtime = Runtime::new(2).expect("threads");
    let options = options().runtime(&runtime).backlog(200);
    let listener = listener(&options);
    // 200 UDP ports on one side, one on the other.
    let calls = (0..200).map(|_| SrtSocket::start_connect(None, listener.local_addr(), &options));
    let callers: Vec<_> = calls.map(|call| call.expect("a port for each")).collect();
    for caller in &callers {
        caller.wait_connected(Some(HANG)).expect("a connection");
    }
    let accepted: Vec<_> = (0..200).map(|_| listener.accept_timeout(HANG).expect("a caller")).collect();

    let mut workers = own_threads();
    workers.sort();
    if cfg!(target_os = "linux") {
        assert_eq!(workers, ["srt-worker-0", "srt-worker-1"]);
    }
    let mut buffer = [0; 1_456];
    for number in 0..20 {
        for caller in &callers {
            caller.send(&message(number)).expect("room");
        }
        for (socket, _) in &accepted {
            let len = socket.recv(&mut buffer).expect("a message");
            assert_eq!(buffer[..len], message(number));
            socket.send(&buffer[..len]).expect("room");
        }
        for caller in &callers {
            let len = caller.recv(&mut buffer).expect("the echo");
            assert_eq!(buffer[..len], message(number));
        }
    }
    assert_eq!(own_threads().len(), workers.len(), "no thread was added");
    for (caller, (socket, peer)) in callers.iter().zip(&accepted) {
        assert_eq!(caller.stats(false).pkt_sent_unique_total, 20);
        assert_eq!(socket.peer_addr(), *peer);
    }
    assert!(runtime.shutdown(HANG), "in order");
    assert_eq!(own_threads(), Vec::<String>::new(), "and with it all threads end");
}
