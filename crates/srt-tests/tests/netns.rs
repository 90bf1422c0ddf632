//! The lab of [`srt_tests::netns`]: that its links are links, that a cut cuts and a restored link carries at once, that
//! nothing of it stays; and the `srt` command over it, at both ends.
#![forbid(unsafe_code)]
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "the helpers of these tests fail as the tests do")]

use std::fs;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use srt_impair::{Direction, Profile};
use srt_tests::netns::{End, Lab, LinkSpec};
use srt_tests::peers::{PATIENCE, Peer, Program};

const PORT: u16 = 9000;

// ---------------------------------------------------------------------------- the srt command

#[test]
fn a_stream_over_one_of_two_links_arrives_whole_and_leaves_the_other_alone() {
    let Some(lab) = two_links() else { return };
    let mut receiver = receiver(&lab, LONG);
    let mut sender = sender(&lab, lab.at(End::B, 1, PORT));
    arrives_whole(&mut sender, &mut receiver);
    let (unused, used) = (lab.traffic(End::B, 0).unwrap(), lab.traffic(End::B, 1).unwrap());
    assert!(used.received_bytes > STREAM_BYTES, "{used:?}");
    // A little of IPv6's own.
    assert!(unused.received_bytes < 20_000, "{unused:?}");
}

#[test]
fn a_short_cut_at_the_senders_end_costs_the_viewer_nothing() {
    short_break(|lab| lab.cut(1, End::A));
}

#[test]
fn a_short_cut_at_the_receivers_end_costs_the_viewer_nothing() {
    short_break(|lab| lab.cut(1, End::B));
}

/// The link is cut for 100 ms, or for as long as this machine takes over it: longer than a second is another test.
fn short_break(cut: impl Fn(&Lab) -> io::Result<()>) {
    for _ in 0..5 {
        let Some(lab) = two_links() else { return };
        let mut receiver = receiver(&lab, LONG);
        let mut sender = sender(&lab, lab.at(End::B, 1, PORT));
        wait_for_traffic(&lab, 1, STREAM_BYTES / 6);
        let began = Instant::now();
        cut(&lab).unwrap();
        thread::sleep(Duration::from_millis(100));
        lab.restore(1).unwrap();
        let lasted = began.elapsed();
        if lasted > LONG / 2 {
            eprintln!("once more: the cut has lasted {lasted:?}, this machine is busy");
            continue;
        }
        let output = arrives_whole(&mut sender, &mut receiver);
        let last = output.lines().last().unwrap();
        let figures: serde_json::Value = serde_json::from_str(last).unwrap();
        assert!(figures["pktRcvLossTotal"].as_u64().unwrap() > 0, "the cut was not felt: {last}");
        assert_eq!(figures["pktRcvDropTotal"], 0, "{last}");
        return;
    }
    eprintln!("skipped: this machine is too busy for a short cut");
}

#[test]
fn a_short_silence_costs_the_viewer_nothing() {
    short_break(|lab| lab.silence(1));
}

#[test]
fn a_bad_link_loses_packets_and_the_viewer_none() {
    let Some(lab) = two_links() else { return };
    let door = lab.impair(lab.at(End::B, 1, PORT), &"delay=20ms,loss=5%".parse().unwrap(), 7).unwrap();
    let mut receiver = receiver(&lab, LONG);
    let mut sender = sender(&lab, door.local_addr());
    arrives_whole(&mut sender, &mut receiver);
    let report = door.stop().unwrap();
    assert!(report.to_target.link.lost_luck > 0 && report.to_client.link.lost_luck > 0, "{report}");
    assert_eq!((report.clients, report.refused), (1, 0), "{report}");
    let came = lab.traffic(End::B, 1).unwrap();
    assert!(came.received_bytes > STREAM_BYTES, "it came over the link: {came:?}");
}

#[test]
fn an_outage_of_100_ms_costs_the_viewer_nothing() {
    let Some(lab) = two_links() else { return };
    let door = lab.impair(lab.at(End::B, 1, PORT), &Profile::default(), 0).unwrap();
    let mut receiver = receiver(&lab, Duration::from_millis(500));
    let mut sender = sender(&lab, door.local_addr());
    wait_for_traffic(&lab, 1, STREAM_BYTES / 6);
    for direction in [Direction::ToTarget, Direction::ToClient] {
        door.outage(direction, Duration::from_millis(100));
    }
    arrives_whole(&mut sender, &mut receiver);
    let report = door.stop().unwrap();
    assert!(report.to_target.link.lost_outage > 0, "{report}");
}

/// A latency that leaves time for everything, as what is tested is not how fast this machine is.
const LONG: Duration = Duration::from_secs(2);
/// Three seconds of 8 Mb/s: the TS packets of it, as `srt receive` tells that all came.
const STREAM: (&str, &str) =
    ("test://?rate=8M&duration=3s", "15,953 of 15,953 TS packets arrived, 0 lost (0 %)");
const STREAM_BYTES: u64 = 15_953 * 188;

/// `srt receive` at end B, on all addresses, with the books of the test stream and libsrt's statistics.
fn receiver(lab: &Lab, latency: Duration) -> Peer {
    let from = format!("srt://:{PORT}?latency={}", latency.as_millis());
    let words = ["receive", &from, "test://", "--stats", "-", "--stats-interval", "100ms"];
    let receiver = lab.start(End::B, &srt(), words).unwrap();
    receiver.says("waiting for a caller").unwrap();
    receiver
}

/// `srt send` at end A.
fn sender(lab: &Lab, to: SocketAddr) -> Peer {
    lab.start(End::A, &srt(), ["send", STREAM.0, &format!("srt://{to}?conntimeo=30000")]).unwrap()
}

fn srt() -> Program {
    Program::at(env!("CARGO_BIN_EXE_srt_command"))
}

/// Both end well, and the whole stream came; gives the receiver's statistics, a record a line.
fn arrives_whole(sender: &mut Peer, receiver: &mut Peer) -> String {
    let (status, _) = sender.wait().unwrap();
    assert!(status.success(), "{sender}");
    let (status, output) = receiver.wait().unwrap();
    assert!(status.success() && receiver.stderr().contains(STREAM.1), "{receiver}\n{sender}");
    String::from_utf8(output).unwrap()
}

/// Until so much came to end B.
fn wait_for_traffic(lab: &Lab, link: usize, bytes: u64) {
    let give_up = Instant::now() + PATIENCE;
    while lab.traffic(End::B, link).unwrap().received_bytes < bytes {
        assert!(Instant::now() < give_up, "fewer than {bytes} bytes came over link {link}");
        thread::sleep(Duration::from_millis(5));
    }
}

// ---------------------------------------------------------------------------- the links

#[test]
fn a_cut_link_carries_nothing_and_a_restored_one_the_first_datagram() {
    let Some(lab) = two_links() else { return };
    for (near, far) in pairs(&lab, 1) {
        for cut in [vec![End::A], vec![End::B], vec![End::A, End::B], vec![]] {
            for round in 0..3 {
                echo(&near, &far, &format!("before cut {round} at {cut:?}"));
                if cut.is_empty() {
                    lab.silence(1).unwrap();
                }
                for end in &cut {
                    lab.cut(1, *end).unwrap();
                }
                // Whether the system refuses it or not.
                for (socket, to) in [(&near, &far), (&far, &near)] {
                    let _ = socket.send_to(b"into the void", to.local_addr().unwrap());
                }
                lab.restore(1).unwrap();
                echo(&near, &far, &format!("after cut {round} at {cut:?}"));
            }
        }
    }
    for (near, far) in pairs(&lab, 0) {
        lab.cut(1, End::A).unwrap();
        echo(&near, &far, "over the other link");
        lab.restore(1).unwrap();
    }
}

#[test]
fn an_end_gets_a_new_address_and_the_old_one_is_gone() {
    let Some(lab) = two_links() else { return };
    for end in [End::A, End::B] {
        let old = [Some(lab.at(end, 0, 0)), lab.at6(end, 0, 0)];
        lab.change_address(0, end).unwrap();
        let new = [Some(lab.at(end, 0, 0)), lab.at6(end, 0, 0)];
        for (old, new) in old.into_iter().flatten().zip(new.into_iter().flatten()) {
            assert_ne!(old, new);
            assert!(lab.run_in(end, || UdpSocket::bind(old)).is_err(), "{old} is still there");
        }
        for (near, far) in pairs(&lab, 0) {
            echo(&near, &far, "from the new address");
            // And not only where it is new.
            lab.cut(0, end).unwrap();
            lab.restore(0).unwrap();
            echo(&near, &far, "after a cut");
        }
    }
}

/// A socket at either end of the link, IPv4 and where there is one IPv6.
fn pairs(lab: &Lab, link: usize) -> Vec<(UdpSocket, UdpSocket)> {
    let bind = |end, address: SocketAddr| {
        let socket = lab.run_in(end, || UdpSocket::bind(address)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    let four = (lab.at(End::A, link, 0), lab.at(End::B, link, 0));
    let six = lab.at6(End::A, link, 0).zip(lab.at6(End::B, link, 0));
    [Some(four), six].into_iter().flatten().map(|(a, b)| (bind(End::A, a), bind(End::B, b))).collect()
}

/// One datagram there and one back, each sent once.
fn echo(near: &UdpSocket, far: &UdpSocket, text: &str) {
    let mut buffer = [0; 100];
    for (from, to) in [(near, far), (far, near)] {
        from.send_to(text.as_bytes(), to.local_addr().unwrap()).unwrap();
        let received = to.recv_from(&mut buffer);
        let got =
            received.map(|(len, sender)| (String::from_utf8_lossy(&buffer[..len]).into_owned(), sender));
        assert_eq!(got.ok(), Some((text.to_owned(), from.local_addr().unwrap())), "{text}");
    }
}

#[test]
fn an_emulator_stands_before_listeners_of_this_lab_only() {
    let Some(lab) = two_links() else { return };
    let (perfect, elsewhere) = ("none".parse().unwrap(), (Ipv6Addr::LOCALHOST, PORT).into());
    assert!(lab.impair(elsewhere, &perfect, 0).is_err());
    for (near, far) in pairs(&lab, 1) {
        let door = lab.impair(far.local_addr().unwrap(), &perfect, 0).unwrap();
        near.send_to(b"knock", door.local_addr()).unwrap();
        let (_, from) = far.recv_from(&mut [0; 10]).unwrap();
        assert_eq!(from.ip(), far.local_addr().unwrap().ip());
        far.send_to(b"come in", from).unwrap();
        assert_eq!(near.recv_from(&mut [0; 10]).unwrap(), (7, door.local_addr()));
    }
}

// ---------------------------------------------------------------------------- the namespaces

#[test]
fn a_command_sees_its_own_end_and_nothing_else() {
    let Some(lab) = two_links() else { return };
    let output = lab.command(End::A, "ip").args(["-o", "addr"]).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains(&lab.at(End::A, 1, 0).ip().to_string()), "{said}");
    assert!(!said.contains(&lab.at(End::B, 1, 0).ip().to_string()), "{said}");
    assert_eq!(lab.run_in(End::A, interfaces), ["link0", "link1", "lo"]);
}

#[test]
fn two_labs_at_a_time_do_not_meet() {
    let (Some(one), Some(other)) = (two_links(), two_links()) else { return };
    let bind = |lab: &Lab| lab.run_in(End::B, || UdpSocket::bind(lab.at(End::B, 0, PORT))).unwrap();
    let (_one, _other) = (bind(&one), bind(&other)); // the same address and port
    drop(one);
    for (near, far) in pairs(&other, 0) {
        echo(&near, &far, "it is still whole");
    }
}

#[test]
fn nothing_is_left_behind_even_by_a_panic() {
    if two_links().is_none() {
        return;
    }
    let mut names = Vec::new();
    let mut children = Vec::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let lab = two_links().unwrap();
        names = own_namespaces(&lab);
        assert_eq!(names.len(), 2);
        let mut sleeper = lab.command(End::B, "sleep");
        children.push(sleeper.arg("100").stdin(Stdio::null()).spawn().unwrap());
        lab.run_in(End::A, || panic!("as a test does that fails"));
    }));
    let panic = panicked.unwrap_err();
    assert_eq!(panic.downcast_ref(), Some(&"as a test does that fails"));
    for name in names {
        assert!(!fs::exists(format!("/run/netns/{name}")).unwrap(), "{name} is still there");
    }
    let ended = children[0].try_wait().unwrap();
    assert!(ended.is_some_and(|status| !status.success()), "what ran at an end still runs");
    assert!(!interfaces().iter().any(|name| name.starts_with("link")), "a cable has come loose");
}

/// The names of the lab's namespaces, by asking `ip` which one a process in there is in.
fn own_namespaces(lab: &Lab) -> Vec<String> {
    let name_at = |end| {
        let output = lab.command(end, "ip").args(["netns", "identify"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    [name_at(End::A), name_at(End::B)].into_iter().filter(|name| !name.is_empty()).collect()
}

/// The interfaces that this thread sees.
fn interfaces() -> Vec<String> {
    let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let mut names: Vec<String> =
        table.lines().filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect();
    names.sort();
    names
}

fn two_links() -> Option<Lab> {
    Lab::or_skip(&[LinkSpec::default(); 2])
}
