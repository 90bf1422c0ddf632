//! What the tests have in common.
#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(clippy::missing_panics_doc, reason = "tests panic when they fail")]

use srt::{Options, SrtListener, SrtSocket};
use std::time::Duration;

/// How long a test waits for what must come; only a hang takes as long.
pub(crate) const HANG: Duration = Duration::from_secs(30);

/// Options for loopback: little latency, and no call waits for ever.
pub(crate) fn options() -> Options {
    Options::new().latency(Duration::from_millis(20)).receive_timeout(Some(HANG)).send_timeout(Some(HANG))
}

/// A listener on any port of this machine.
pub(crate) fn listener(options: &Options) -> SrtListener {
    SrtListener::bind("127.0.0.1:0", options).expect("a port on loopback")
}

/// Both ends of a connection.
pub(crate) fn pair(options: &Options) -> (SrtSocket, SrtSocket) {
    let listener = listener(options);
    let caller = SrtSocket::connect(listener.local_addr(), options).expect("a connection");
    let (accepted, peer) = listener.accept_timeout(HANG).expect("the caller");
    assert_eq!(peer, caller.local_addr());
    (caller, accepted)
}

/// A message that tells its number, of a length that varies with it.
pub(crate) fn message(number: u32) -> Vec<u8> {
    let mut data = number.to_be_bytes().to_vec();
    data.resize(4 + number as usize % 1_300, u8::try_from(number % 251).expect("small"));
    data
}

/// Tries until it is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = srt::time_now() + srt::Micros::from(HANG);
    while !is_so() {
        assert!(srt::time_now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Names of the threads of this process that belong to a runtime; none where the system does not tell.
pub(crate) fn own_threads() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.map(|name| name.trim().to_owned()).filter(|name| name.starts_with("srt-")).collect()
}
