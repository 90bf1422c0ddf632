//! Whole streams over SRT, with the built program at both ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::net::UdpSocket;
use std::process::{Child, Stdio};
use std::time::Duration;

use common::{Place, fails, free_port, interrupt, said_until, spawn, srt, stderr};
use srt::{Decision, Options, RejectReason, SrtListener};

/// Waits for a child that must succeed, and gives what it said.
fn succeeds(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    said
}

fn content() -> Vec<u8> {
    (0..700_001_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).take(2_500_001).collect()
}

/// Asserts that two streams are the same, without printing them.
fn same(arrived: &[u8], sent: &[u8]) {
    let differ = arrived.iter().zip(sent).position(|(got, should)| got != should);
    assert!(
        arrived == sent,
        "{} of {} bytes arrived, first difference at {differ:?}",
        arrived.len(),
        sent.len()
    );
}

#[test]
fn a_file_arrives_as_it_was_when_the_receiver_listens() {
    let place = Place::new("listen");
    let (input, output) = (place.with("in", &content()), place.file("out"));
    let port = free_port();
    let receiver = spawn(&["receive", &format!("srt://127.0.0.1:{port}?mode=listener"), &output]);
    let sender = spawn(&["send", &input, &format!("srt://127.0.0.1:{port}?conntimeo=10000")]);
    let said = succeeds(sender);
    assert!(
        said.contains("connected with 127.0.0.1:") && said.contains("sent 1,900 messages (2.5 MB)"),
        "{said}"
    );
    let said = succeeds(receiver);
    assert!(said.contains("waiting for a caller on UDP 127.0.0.1:"), "{said}");
    assert!(said.contains("received 1,900 messages (2.5 MB)"), "{said}");
    same(&fs::read(&output).unwrap(), &content());
}

#[test]
fn a_file_arrives_as_it_was_when_the_sender_listens() {
    let place = Place::new("call");
    let input = place.with("in", &content());
    let port = free_port();
    let sender = spawn(&["send", &input, &format!("srt://:{port}"), "-q"]);
    let receiver = spawn(&["receive", &format!("srt://127.0.0.1:{port}?conntimeo=10000"), "-"]);
    let received = receiver.wait_with_output().unwrap();
    assert!(received.status.success(), "{}", stderr(&received));
    // Stdout carries the stream and nothing else.
    same(&received.stdout, &content());
    assert_eq!(succeeds(sender), "");
}

#[test]
fn a_test_stream_is_found_whole_and_statistics_are_written() {
    let place = Place::new("whole");
    let (json, csv) = (place.file("receive.json"), place.file("send.csv"));
    let port = free_port();
    let receiver = spawn(&[
        "receive",
        &format!("srt://:{port}"),
        "test://",
        "--stats",
        &json,
        "--stats-interval",
        "200ms",
    ]);
    let sender = spawn(&[
        "send",
        "test://?rate=10M&duration=2s",
        &format!("srt://127.0.0.1:{port}?conntimeo=10000"),
        "--stats",
        &csv,
        "--stats-format",
        "csv",
    ]);
    succeeds(sender);
    let said = succeeds(receiver);
    assert!(said.contains("13,293 of 13,293 TS packets arrived, 0 lost (0 %)"), "{said}");
    assert!(!said.contains("the end of the stream was not seen"), "{said}");
    let records = fs::read_to_string(&json).unwrap();
    assert!(records.lines().count() >= 2, "{records}");
    for record in records.lines() {
        let value: serde_json::Value = serde_json::from_str(record).unwrap();
        assert_eq!(value["side"], "input");
        assert!(value["pktRecvTotal"].is_u64() && value["msRTT"].is_number(), "{record}");
    }
    let rows = fs::read_to_string(&csv).unwrap();
    let columns: Vec<usize> = rows.lines().map(|row| row.split(',').count()).collect();
    assert!(columns.len() >= 2 && columns.iter().all(|count| *count == columns[0]), "{rows}");
    assert!(rows.starts_with("time,side,peer,socket,msTimeStamp,"), "{rows}");
}

#[test]
fn a_relay_passes_a_stream_from_srt_to_srt_with_its_times() {
    let (first, second) = (free_port(), free_port());
    let receiver = spawn(&["receive", &format!("srt://:{second}"), "test://"]);
    let relay = spawn(&[
        "transmit",
        &format!("srt://:{first}"),
        &format!("srt://127.0.0.1:{second}?conntimeo=10000"),
        "--source-time",
    ]);
    let sender =
        spawn(&["send", "test://?rate=4M&duration=3s", &format!("srt://127.0.0.1:{first}?conntimeo=10000")]);
    succeeds(sender);
    succeeds(relay);
    let said = succeeds(receiver);
    assert!(said.contains(" 0 lost (0 %)"), "{said}");
}

#[test]
fn addresses_are_wrong_usage_before_anything_is_sent() {
    fails(&["send", "-", "srt://h:9000?latancy=200"], 2, "did you mean");
    fails(&["send", "-", "srt://h:9000?latency=-5"], 2, "latency");
    fails(&["send", "-", "srt://h:9000?mode=sideways"], 2, "mode");
    fails(&["send", "-", "srt://h"], 2, "port");
    fails(
        &["send", "-", "srt://h:9000", "--chunk", "1457"],
        2,
        "an SRT message carries at most 1456 bytes; use 1316",
    );
}

#[test]
fn a_name_that_does_not_resolve_is_named_and_tried_again_where_that_is_asked_for() {
    let output = srt(&["send", "test://", "srt://no-such-host.invalid:9000", "--reconnect", "-t", "300ms"]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.starts_with("srt://no-such-host.invalid:9000: no address found for this host"), "{said}");
    assert!(said.contains("; trying again\n"), "{said}");
    fails(&["send", "test://", "srt://no-such-host.invalid:9000"], 1, "no-such-host.invalid");
}

#[test]
fn a_port_in_use_is_an_error() {
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = format!("srt://{}?mode=listener", held.local_addr().unwrap());
    fails(&["receive", &address, "null://"], 1, "in use");
}

#[test]
fn a_peer_that_never_answers_is_an_error() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = format!("srt://{}?conntimeo=300", silent.local_addr().unwrap());
    fails(&["send", "test://", &address], 1, "the peer did not answer; check address, port");
}

#[test]
fn a_caller_that_tries_for_ever_says_why_once_per_cause() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = format!("srt://{}?conntimeo=50", silent.local_addr().unwrap());
    let output = srt(&["send", "test://", &address, "--reconnect", "-t", "2s"]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert_eq!(said.matches("the peer did not answer").count(), 1, "{said}");
}

#[test]
fn a_file_that_nobody_came_for_is_not_sent() {
    let place = Place::new("nobody");
    let input = place.with("in", &content());
    let output = srt(&["send", &input, "srt://127.0.0.1:0?mode=listener", "-t", "300ms"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("ended before a connection was made; nothing was sent"), "{said}");
}

#[test]
#[cfg(unix)]
fn what_a_broken_connection_loses_of_a_file_is_said_and_a_failure() {
    let place = Place::new("lost");
    // More than both buffers hold, for a receiver that plays out nothing as long as this lasts.
    let input = place.with("in", &vec![0x47; 40_000_000]);
    let port = free_port();
    let mut receiver = spawn(&["receive", &format!("srt://:{port}"), "null://"]);
    let address = format!("srt://127.0.0.1:{port}?latency=60000&conntimeo=10000&peeridletimeo=1000");
    let mut sender = spawn(&["send", &input, &address, "--reconnect"]);
    said_until(&mut receiver, "connected with");
    // The receiver knows of the connection first: its answer is still on its way.
    let mut said = said_until(&mut sender, "connected with");
    receiver.kill().unwrap();
    receiver.wait().unwrap();
    said.push_str(&said_until(&mut sender, "connecting again"));
    interrupt(&sender);
    let output = sender.wait_with_output().unwrap();
    said.push_str(&stderr(&output));
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.matches("messages lost with it; connecting again").count(), 1, "{said}");
    assert!(said.contains(" lost when the connection broke, "), "{said}");
    assert!(said.contains("were lost when the connection broke; send the input again"), "{said}");
}

#[test]
#[cfg(unix)]
fn a_stray_datagram_too_large_for_srt_does_not_end_a_relay() {
    let listener = SrtListener::bind("127.0.0.1:0", &Options::new()).unwrap();
    let input = format!("127.0.0.1:{}", free_port());
    let address = format!("srt://{}?conntimeo=10000", listener.local_addr());
    let relay = spawn(&["transmit", &format!("udp://{input}"), &address]);
    let (socket, _) = listener.accept().unwrap();
    let camera = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut buffer = [0; 1500];
    let arrived = loop {
        // Refused as long as the relay does not listen.
        let _ = camera.send_to(&[1; 1400], &input).and_then(|_| camera.send_to(b"after", &input));
        if let Ok(len) = socket.try_recv(&mut buffer) {
            break buffer[..len].to_vec();
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(arrived, b"after");
    interrupt(&relay);
    let said = succeeds(relay);
    assert_eq!(said.matches("a datagram of 1400 bytes was thrown away").count(), 1, "once: {said}");
    assert!(said.contains("thrown away because the output carries none so large: "), "{said}");
}

#[test]
fn a_peer_that_rejects_is_an_error_with_its_reason() {
    let listener = SrtListener::bind("127.0.0.1:0", &Options::new()).unwrap();
    listener.set_hook(|_| Decision::Reject(RejectReason::FORBIDDEN));
    let address = format!("srt://{}", listener.local_addr());
    fails(&["send", "test://", &address], 1, "reject");
}

#[test]
fn disagreement_about_encryption_is_told_in_words() {
    for (reason, says) in [
        (RejectReason::BadSecret, "the passphrases differ; set the same PASSPHRASE at both ends"),
        (
            RejectReason::Unsecure,
            "one end has a passphrase and the other has none; set PASSPHRASE at both ends or",
        ),
        (RejectReason::Crypto, "the encryption modes differ; set CRYPTOMODE alike at both ends"),
    ] {
        let listener = SrtListener::bind("127.0.0.1:0", &Options::new()).unwrap();
        listener.set_hook(move |_| Decision::Reject(reason));
        let address = format!("srt://{}", listener.local_addr());
        let says = format!("no connection to {}: connection rejected: {says}", listener.local_addr());
        fails(&["send", "test://", &address], 1, &says);
        fails(&["receive", &address, "-"], 1, &says);
    }
}

#[test]
fn a_listener_serves_one_caller_and_tells_the_next() {
    let port = free_port();
    let address = format!("srt://127.0.0.1:{port}?conntimeo=10000");
    let receiver = spawn(&["receive", &format!("srt://:{port}"), "test://"]);
    let first = spawn(&["send", "test://?rate=2M&duration=3s", &address]);
    // The first is served when its stream flows; then the second is told so.
    std::thread::sleep(Duration::from_millis(1_500));
    fails(&["send", "test://", &address], 1, "reject");
    succeeds(first);
    succeeds(receiver);
}

#[test]
fn a_receiver_that_goes_away_ends_the_sender_with_an_error() {
    let port = free_port();
    let receiver = spawn(&["receive", &format!("srt://:{port}"), "null://", "-t", "1s"]);
    let address = format!("srt://127.0.0.1:{port}?conntimeo=10000");
    fails(&["send", "test://?rate=2M", &address, "-q"], 1, "--reconnect goes on when it is there again");
    succeeds(receiver);
}

#[test]
#[cfg(unix)]
fn a_sender_told_to_reconnect_goes_on_with_the_next_receiver() {
    let port = free_port();
    let listen = format!("srt://:{port}");
    let sender = spawn(&["send", "test://?rate=2M", &format!("srt://127.0.0.1:{port}"), "--reconnect"]);
    for _ in 0..2 {
        let said = succeeds(spawn(&["receive", &listen, "test://", "-t", "3s"]));
        assert!(said.contains(" 0 lost (0 %)"), "{said}");
    }
    interrupt(&sender);
    let said = succeeds(sender);
    assert_eq!(said.matches("connected with").count(), 2, "{said}");
    assert!(said.contains("thrown away while the output was not connected"), "{said}");
}

#[test]
#[cfg(unix)]
fn an_interrupt_before_any_connection_ends_in_order() {
    let waiting = spawn(&["send", "test://", &format!("srt://:{}", free_port())]);
    std::thread::sleep(Duration::from_millis(500));
    interrupt(&waiting);
    assert!(succeeds(waiting).ends_with("ended before a connection was made\n"));
}

#[test]
#[cfg(unix)]
fn a_receiver_killed_before_the_end_is_a_failure_of_the_sender() {
    let port = free_port();
    let mut receiver = spawn(&["receive", &format!("srt://:{port}"), "null://"]);
    let sender = spawn(&[
        "send",
        "test://?duration=3s",
        &format!("srt://127.0.0.1:{port}?latency=1000&conntimeo=10000"),
    ]);
    std::thread::sleep(Duration::from_millis(2_500));
    receiver.kill().unwrap();
    receiver.wait().unwrap();
    let output = sender.wait_with_output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the receiver did not confirm the last "), "{said}");
}

#[test]
#[cfg(unix)]
fn an_interrupted_sender_ends_in_order_and_nothing_is_missing() {
    let port = free_port();
    let receiver = spawn(&["receive", &format!("srt://:{port}"), "test://"]);
    let sender = spawn(&["send", "test://?rate=8M", &format!("srt://127.0.0.1:{port}?conntimeo=10000")]);
    std::thread::sleep(Duration::from_secs(2));
    interrupt(&sender);
    succeeds(sender);
    let said = succeeds(receiver);
    assert!(said.contains(" 0 lost (0 %)") && !said.contains("the end of the stream was not seen"), "{said}");
}

#[test]
fn the_compatible_face_relays_and_reports() {
    let place = Place::new("tool");
    let (stats, output) = (place.file("stats.json"), place.file("out"));
    let port = free_port();
    let tool = |args: &[&str]| {
        let mut command = place.named("srt-live-transmit");
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let input = place.with("in", &content());
    let listen = format!("srt://:{port}");
    let receiver = tool(&[&listen, &output, "-a:no", "-s:500", "-pf:json", &format!("-statsout:{stats}")]);
    let sender = tool(&[&input, &format!("srt://127.0.0.1:{port}"), "-s", "500", "-pf", "csv"]);
    let sent = sender.wait_with_output().unwrap();
    assert!(sent.status.success(), "{}", stderr(&sent));
    let table = String::from_utf8(sent.stdout).unwrap();
    assert!(table.starts_with("Timepoint,Time,SocketID,Time,pktFlowWindow,"), "{table}");
    assert!(stderr_of(&sent.stderr).contains("SRT target connected"));
    let said = succeeds(receiver);
    assert!(
        said.contains("Accepted SRT source connection") && said.contains("SRT source disconnected"),
        "{said}"
    );
    same(&fs::read(&output).unwrap(), &content());
    let records = fs::read_to_string(&stats).unwrap();
    assert_eq!(records.lines().count(), 3, "1,718 packets: {records}");
    for record in records.lines() {
        let value: serde_json::Value = serde_json::from_str(record).unwrap();
        assert!(value["recv"]["packets"].is_u64() && value["sid"].is_u64(), "{record}");
    }
}

fn stderr_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs the demo with `--json`: what it said, its figures, and whether it was content.
fn demo(args: &[&str]) -> (String, serde_json::Value, bool) {
    let output = srt(&[&["demo", "--json"], args].concat());
    let said = stderr(&output);
    assert!(!said.contains('\u{1b}') && !said.contains('\r'), "{said}");
    let figures = serde_json::from_slice(&output.stdout).unwrap();
    (said, figures, output.status.code() == Some(0))
}

fn figure(figures: &serde_json::Value, name: &str) -> u64 {
    figures[name].as_u64().unwrap()
}

#[test]
fn the_demo_tells_what_happened_and_its_figures_add_up() {
    for group in ["broadcast", "backup", "balancing"] {
        let (said, figures, content) = demo(&["--group", group, "--duration", "3s", "--rate", "2M"]);
        for part in [
            "link 3 is up",
            "the demo cuts link 1",
            "the demo mends link 1",
            "What happened",
            "  offered    569 packets",
            "  carried    link 1",
            "  alone      the same stream over a copy of each link, as a plain SRT connection (measured)",
            "Link 1, the best one when it began, lost ",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let of = |name| figure(&figures, name);
        assert_eq!((figures["group"].as_str(), of("offered")), (Some(group), 569), "{figures}");
        assert_eq!(of("offered"), of("delivered") + of("lost"), "{figures}");
        assert_eq!(content, of("harmed") == 0, "{said}");
        assert_eq!(content, said.contains("The picture never broke."), "{said}");
        let links = figures["links"].as_array().unwrap();
        assert_eq!(links.len(), 3);
        let sum = |name: &str| links.iter().map(|link| figure(link, name)).sum::<u64>();
        assert!(sum("sent_packets") >= of("delivered"), "all that arrived was sent: {figures}");
        let new = of("offered_bytes") as f64 * (1.0 + figures["overhead_percent"].as_f64().unwrap() / 100.0);
        assert!(
            new >= sum("sent_bytes") as f64 - 1.0,
            "what was sent is the stream and the overhead: {figures}"
        );
        for link in links {
            assert!(figure(link, "wire_lost") <= figure(link, "wire_packets"), "{figures}");
            assert!(figure(link, "wire_lost_dead") <= figure(link, "wire_lost"), "{figures}");
            assert!(figure(link, "alone_lost") <= of("offered"), "{figures}");
        }
        assert!(
            figure(&links[0], "wire_lost_dead") > 0 && figure(&links[1], "wire_lost_dead") == 0,
            "{figures}"
        );
        assert!(
            figure(&links[0], "alone_lost") > 0,
            "a link that dies loses what it carries alone: {figures}"
        );
    }
}

#[test]
fn the_picture_holds_though_a_link_dies() {
    let (said, figures, content) =
        demo(&["--group", "broadcast", "--duration", "3s", "--rate", "2M", "--latency", "1s"]);
    assert!(content && figure(&figures, "lost") == 0, "{said}");
}

#[test]
#[cfg(unix)]
fn an_interrupted_demo_does_not_wait_for_what_is_on_the_way() {
    let mut demo = spawn(&["demo", "--duration", "1m", "--latency", "8s"]);
    said_until(&mut demo, "latency 8 s");
    std::thread::sleep(Duration::from_secs(2));
    interrupt(&demo);
    let said = succeeds(demo);
    assert!(
        said.contains("when the demo was interrupted, with ") || said.contains("before anything was sent"),
        "{said}"
    );
}

#[test]
fn the_demo_fails_when_the_picture_breaks() {
    let (said, figures, content) = demo(&["--duration", "2s", "--loss", "40%", "--latency", "80ms"]);
    assert!(!content && figure(&figures, "harmed") > 0, "{said}");
    assert!(
        said.contains("; give SRT more time with --latency, or the links less --rate or --loss"),
        "{said}"
    );
}

#[test]
fn the_demo_takes_links_of_ones_own() {
    let outage = "rate=3Mbps,outage=500ms+500ms";
    let (said, figures, _) = demo(&[
        "--duration",
        "2s",
        "--rate",
        "1M",
        "--link",
        outage,
        "--link",
        "delay=5ms,loss=3%",
        "--seed",
        "7",
    ]);
    assert!(!said.contains("the demo cuts") && figure(&figures, "seed") == 7, "{said}");
    let profiles: Vec<_> = figures["links"].as_array().unwrap().iter().map(|link| &link["profile"]).collect();
    assert_eq!(profiles, [outage, "delay=5ms,loss=3%"]);
    fails(&["demo", "--link", "lag=5ms"], 2, "unknown key `lag`");
}

#[test]
fn an_encrypted_file_arrives_as_it_was_after_one_with_another_secret_was_refused() {
    let place = Place::new("encrypted");
    let (input, output) = (place.with("in", &content()), place.file("out"));
    let (secret, other) = (place.with("secret", b"correct horse\n"), place.with("other", b"another horse\n"));
    #[cfg(unix)]
    for file in [&secret, &other] {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let port = free_port();
    let listener = format!("srt://127.0.0.1:{port}?mode=listener");
    let receiver = spawn(&["receive", &listener, &output, "--passphrase-file", &secret]);
    let to = format!("srt://127.0.0.1:{port}?conntimeo=10000");
    let refused = "connection rejected: the passphrases differ";
    // The listener's one place is free again half a second after a caller was refused.
    let pause = || std::thread::sleep(Duration::from_millis(1_500));
    fails(&["send", &input, &to, "--passphrase-file", &other], 1, refused);
    pause();
    fails(&["send", &input, &to], 1, "connection rejected: one end has a passphrase and the other has none");
    pause();
    let to = format!("{to}&pbkeylen=32&cryptomode=2&kmrefreshrate=400");
    let said = succeeds(spawn(&["send", &input, &to, "--passphrase-file", &secret]));
    assert!(said.contains("sent 1,900 messages (2.5 MB)") && !said.contains("correct horse"), "{said}");
    succeeds(receiver);
    same(&fs::read(&output).unwrap(), &content());
}
