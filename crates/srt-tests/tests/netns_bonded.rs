//! Bonded streams of the `srt` command over cables of their own, which are pulled while they run.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of these tests fail as the tests do")]

use std::{
    thread,
    time::{Duration, Instant},
};

use srt_tests::{
    netns::{End, Lab, LinkSpec},
    peers::{PATIENCE, Program},
};

const PORT: u16 = 9000;
const PORT_SIX: u16 = 9001;
/// A latency that leaves time for everything, as what is tested is not how fast this machine is.
const LATENCY_MS: u64 = 2_500;
/// Six seconds of 3 Mb/s, and how `srt receive` tells that all of it came.
const STREAM: (&str, &str) = ("test://?rate=3M&duration=6s", "0 lost (0 %)");
const STREAM_BYTES: u64 = 3_000_000 / 8 * 6;

/// What is done to the better link, in the middle of the stream.
#[derive(Clone, Copy)]
enum Break {
    /// Pulled at the sender's end, which is told.
    Near,
    /// Pulled at the receiver's.
    Far,
    /// Nobody is told.
    Silence,
}

fn stream(mode: &str, what: Break, six: bool) {
    for _ in 0..3 {
        let Some(lab) = Lab::or_skip(&[LinkSpec::default(); 2]) else { return };
        let srt = Program::at(env!("CARGO_BIN_EXE_srt_command"));
        let from = format!("srt://:{PORT}?latency={LATENCY_MS}");
        let from_six = format!("srt://[::]:{PORT_SIX}?latency={LATENCY_MS}&ipv6only=1&mode=listener");
        let six = six && lab.at6(End::B, 1, PORT_SIX).is_some();
        let words = if six {
            vec!["receive", &from, &from_six, "test://"]
        } else {
            vec!["receive", &from, "test://"]
        };
        let mut receiver = lab.start(End::B, &srt, words).unwrap();
        receiver.says("waiting for a caller").unwrap();
        let to = |link: usize, weight: u32| {
            let at = if six && link == 1 { lab.at6(End::B, link, PORT_SIX) } else { None };
            let at = at.unwrap_or_else(|| lab.at(End::B, link, PORT));
            format!("srt://{at}?weight={weight}&conntimeo=30000")
        };
        let words = ["send", STREAM.0, &to(0, 2), &to(1, 1), "--group", mode];
        let mut sender = lab.start(End::A, &srt, words).unwrap();
        let give_up = Instant::now() + PATIENCE;
        let came = |link| lab.traffic(End::B, link).unwrap().received_bytes;
        while came(0) + came(1) < STREAM_BYTES / 6 {
            assert!(Instant::now() < give_up, "the stream does not come:\n{sender}\n{receiver}");
            thread::sleep(Duration::from_millis(5));
        }
        // The one that carries the stream, or most of it.
        let (broken, other) = if came(0) >= came(1) { (0, 1) } else { (1, 0) };
        let began = Instant::now();
        match what {
            Break::Near => lab.cut(broken, End::A).unwrap(),
            Break::Far => lab.cut(broken, End::B).unwrap(),
            Break::Silence => lab.silence(broken).unwrap(),
        }
        thread::sleep(Duration::from_millis(1_500));
        lab.restore(broken).unwrap();
        if began.elapsed() > Duration::from_secs(4) {
            eprintln!("once more: the break has lasted {:?}, this machine is busy", began.elapsed());
            continue;
        }
        let (status, _) = sender.wait().unwrap();
        assert!(status.success(), "{sender}");
        let (status, _) = receiver.wait().unwrap();
        assert!(status.success() && receiver.stderr().contains(STREAM.1), "{receiver}\n{sender}");
        assert!(came(other) > STREAM_BYTES / 8, "the other link has carried {} bytes", came(other));
        return;
    }
    eprintln!("skipped: this machine is too busy for a break of 1.5 s");
}

#[test]
fn a_broadcast_group_does_not_notice_a_cable_pulled_at_the_senders_end() {
    stream("broadcast", Break::Near, false);
}

#[test]
fn a_broadcast_group_over_ipv4_and_ipv6_does_not_notice_a_silent_cable() {
    stream("broadcast", Break::Silence, true);
}

#[test]
fn a_backup_group_switches_when_a_cable_is_pulled_at_the_receivers_end() {
    stream("backup", Break::Far, false);
}

#[test]
fn a_backup_group_switches_when_a_cable_falls_silent() {
    stream("backup", Break::Silence, false);
}

#[test]
fn a_balancing_group_goes_on_when_a_cable_is_pulled() {
    stream("balancing", Break::Near, false);
}

#[test]
fn a_balancing_group_goes_on_when_a_cable_falls_silent() {
    stream("balancing", Break::Silence, true);
}
