//! The built program: exit codes, one-line messages, clean stdout.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Place, fails, free_port, interrupt, spawn, srt, stderr};

#[test]
fn wrong_addresses_are_wrong_usage_and_named() {
    fails(
        &["send", "-", "rtmp://host/app"],
        2,
        "srt: rtmp://host/app: unknown medium \"rtmp\"; use srt, udp,",
    );
    fails(
        &["send", "-", "file.ts"],
        2,
        "srt: file.ts: an SRT address is needed here: srt://HOST:PORT to call",
    );
    fails(&["receive", "udp://:1234", "-"], 2, "udp://:1234: an SRT address is needed here");
    fails(&["transmit", "udp://host", "-"], 2, "udp://host: has no port; write udp://HOST:PORT");
    fails(&["transmit", "udp://:99999", "-"], 2, "\"99999\" is no port; use 1 to 65535");
    fails(&["transmit", "udp://:1?speed=1", "-"], 2, "unknown parameter \"speed\"; this medium knows iptos,");
    fails(&["transmit", "test://?rate=quick", "-"], 2, "rate: \"quick\" is no bit rate; write");
    fails(&["transmit", "null://", "-"], 2, "null://: cannot be an input; use test://");
}

#[test]
fn wrong_flags_are_wrong_usage_and_named() {
    fails(&["send", "-", "srt://h:1", "--colour"], 2, "--colour");
    fails(&["send", "-"], 2, "SRT_URI");
    fails(&["fly"], 2, "fly");
    fails(&["demo", "--loss", "200%"], 2, "\"200%\" is no share; write 5% or 0.05, from 0 to 100%");
    fails(&["impair", "--listen", ":1", "--target", "h:1", "--profile", "lag=5ms"], 2, "unknown key `lag`");
}

#[test]
fn files_that_cannot_be_opened_are_named_with_the_mend_and_leave_the_output_alone() {
    let place = Place::new("files");
    let (missing, output) = (place.file("missing.ts"), place.with("output.ts", b"precious"));
    let says = format!("srt: {missing}: cannot be read: no such file or directory; check the path");
    fails(&["transmit", &missing, &output], 1, &says);
    assert_eq!(fs::read(&output).unwrap(), b"precious", "nothing was read, nothing is overwritten");
    let nowhere = place.file("no/such/dir/out.ts");
    let says =
        format!("srt: {nowhere}: cannot be written: no such file or directory; make the directory first");
    fails(&["transmit", &output, &nowhere], 1, &says);
    let statistics = place.file("no/stats.json");
    let says =
        "cannot be written: no such file or directory; choose a place that exists and where you may write";
    fails(&["transmit", &output, "null://", "--stats", &statistics], 1, says);
}

#[test]
fn a_udp_port_in_use_is_named_with_the_mend() {
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = format!("udp://{}", held.local_addr().unwrap());
    let says = format!("srt: {address}: cannot listen there: address already in use; choose another port");
    fails(&["transmit", &address, "null://"], 1, &says);
    let emulator = held.local_addr().unwrap().to_string();
    fails(&["impair", "--listen", &emulator, "--target", "127.0.0.1:9"], 1, "choose another --listen");
}

#[test]
fn a_name_that_does_not_resolve_is_named() {
    fails(
        &["transmit", "-", "udp://no-such-host.invalid:1234"],
        1,
        "no address found for \"no-such-host.invalid\"",
    );
    fails(&["impair", "--listen", "127.0.0.1:0", "--target", "no-such-host.invalid:1"], 1, "check the name");
}

#[test]
fn a_file_moves_through_pipes_unchanged() {
    let content: Vec<u8> = (0..1_000_003_u32).flat_map(|n| n.to_le_bytes()).collect();
    let place = Place::new("pipes");
    let (input, output) = (place.with("in", &content), place.file("out"));
    assert!(srt(&["transmit", &input, &output, "-q"]).status.success());
    assert!(fs::read(&output).unwrap() == content, "file to file");
    let output = srt(&["transmit", &input, "-"]);
    assert!(output.status.success() && output.stdout == content, "file to stdout");
    let mut child = spawn(&["transmit", "-", "file://con", "--chunk", "1000", "-q"]);
    let mut stdin = child.stdin.take().unwrap();
    let whole = content.clone();
    let feeder = std::thread::spawn(move || stdin.write_all(&whole).unwrap());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    assert!(output.status.success() && output.stdout == content, "stdin to stdout");
    assert!(output.stderr.is_empty(), "quiet is quiet");
}

#[test]
fn a_reader_that_stops_reading_is_no_failure() {
    let mut child = spawn(&["transmit", "test://?rate=max", "-"]);
    let mut some = [0; 1316];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
}

#[test]
fn a_test_stream_is_checked_at_the_output() {
    let output = srt(&["transmit", "test://?rate=50M&duration=200ms", "test://"]);
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("6,643 of 6,643 TS packets arrived, 0 lost (0 %)"), "{said}");
    assert!(said.contains("latency from stamp to here: median "), "{said}");
    let place = Place::new("checked");
    let whole = place.file("whole.ts");
    assert!(srt(&["transmit", "test://?rate=50M&duration=200ms", &whole]).status.success());
    let mut stream = fs::read(&whole).unwrap();
    stream.drain(1316 * 10..1316 * 12);
    let holed = place.with("holed.ts", &stream);
    let output = srt(&["transmit", &holed, "test://"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output)
            .contains("srt: the test stream arrived broken: 6,629 of 6,643 TS packets arrived, 14 lost")
    );
    fails(
        &["transmit", &place.with("other", &[7; 5000]), "test://", "-q"],
        1,
        "srt: no test stream arrived; send one",
    );
}

#[test]
fn udp_carries_a_stream_between_two_programs() {
    let address = format!("udp://127.0.0.1:{}", free_port());
    let receiver = spawn(&["transmit", &address, "test://", "-t", "10s"]);
    // Until the receiver is there, what is sent is refused; a stream joined late is not broken for that.
    let sender = srt(&["transmit", "test://?rate=4M&duration=3s", &address, "-q"]);
    assert!(sender.status.success(), "{}", stderr(&sender));
    interrupt(&receiver);
    let output = receiver.wait_with_output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    assert!(said.contains(" 0 lost (0 %)"), "{said}");
}

#[test]
#[cfg(unix)]
fn an_interrupt_ends_in_order_and_the_end_is_marked() {
    let place = Place::new("interrupt");
    let output = place.file("out.ts");
    let child = spawn(&["transmit", "test://?rate=8M", &output]);
    while fs::metadata(&output).map_or(0, |file| file.len()) < 100_000 {
        std::thread::yield_now();
    }
    interrupt(&child);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
    let check = srt(&["transmit", &output, "test://"]);
    let said = stderr(&check);
    assert!(check.status.success() && !said.contains("the end of the stream was not seen"), "{said}");
}

#[test]
#[cfg(unix)]
fn the_second_interrupt_ends_at_once() {
    let place = Place::new("twice");
    let pipe = place.file("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Nobody reads the pipe, so nothing can end in order.
    let mut child = spawn(&["transmit", "test://", &pipe]);
    std::thread::sleep(Duration::from_millis(700));
    interrupt(&child);
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "the first waits for an end in order");
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn the_emulator_counts_exactly() {
    let target = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = free_port();
    let child = spawn(&[
        "impair",
        "--listen",
        &format!("127.0.0.1:{port}"),
        "--target",
        &target.local_addr().unwrap().to_string(),
        "--forward-profile",
        "loss=50%",
        "--seed",
        "7",
        "--duration",
        "3s",
        "--json",
    ]);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.1", port)).unwrap();
    target.set_nonblocking(true).unwrap();
    let mut arrived = 0_u64;
    let mut buffer = [0; 16];
    // Until the emulator listens, the loopback says so; only what it took counts.
    let mut sent = 0;
    while sent < 200 {
        sent += u64::from(client.send(b"x").is_ok() && client.take_error().unwrap().is_none());
        while target.recv(&mut buffer).is_ok() {
            arrived += 1;
        }
        std::thread::yield_now();
    }
    let output = child.wait_with_output().unwrap();
    while target.recv(&mut buffer).is_ok() {
        arrived += 1;
    }
    assert!(output.status.success(), "{}", stderr(&output));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let there = &figures["to_target"];
    let (offered, lost) =
        (there["offered_packets"].as_u64().unwrap(), there["lost_packets"].as_u64().unwrap());
    assert!(offered > 0 && lost > 0 && lost < offered, "{figures}");
    assert_eq!(there["sent_packets"].as_u64().unwrap(), offered - lost, "{figures}");
    assert_eq!(arrived, offered - lost, "{figures}");
    assert_eq!(figures["clients"], 1);
}

#[test]
fn the_compatible_face_answers_to_its_name() {
    let place = Place::new("face");
    let tool =
        |args: &[&str]| place.named("srt-live-transmit").args(args).stdin(Stdio::null()).output().unwrap();
    let help = tool(&["-h"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(stderr(&help).contains("Usage: srt-live-transmit [options] <input-uri> <output-uri>"));
    assert!(stderr(&tool(&["-version"])).contains("SRT version 1.5.5"));
    let wrong = tool(&["-x:1", "a", "b"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert_eq!(stderr(&wrong), "srt-live-transmit: -x: unknown option; -h lists them all\n");
    assert_eq!(tool(&["only-one"]).status.code(), Some(2));
    let mixed = tool(&["udp://:1234", "file://con", "-s:10"]);
    assert_eq!(mixed.status.code(), Some(2));
    assert!(stderr(&mixed).contains("send the statistics to a file with -statsout:FILE"));
    let (input, output) = (place.with("in", &[9; 10_000]), place.file("out"));
    let moved = tool(&[&input, &output, "-t", "60", "-q"]);
    assert!(moved.status.success(), "{}", stderr(&moved));
    assert_eq!(fs::read(&output).unwrap(), [9; 10_000]);
    // The same line after `srt transmit`.
    let transmit = srt(&["transmit", &input, &output, "-t:60", "-buffering", "5"]);
    assert!(transmit.status.success() && stderr(&transmit).contains("Media path: '"));
}

#[test]
fn help_goes_to_stdout_and_lists_the_options_of_addresses() {
    let help = srt(&["help", "options"]);
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(help.status.success());
    for part in ["latency ", "mode=caller|listener", "0 to 65535 ms; default 120", "streamid"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let listed = srt(&["options"]);
    assert!(String::from_utf8(listed.stdout).unwrap().contains("payloadsize"));
    let help = String::from_utf8(srt(&["transmit", "--help"]).stdout).unwrap();
    assert!(help.contains("srt-live-transmit") && help.contains("rtpheadersize="), "{help}");
}

#[test]
fn without_a_terminal_nothing_is_coloured_or_redrawn() {
    let output = srt(&["transmit", "test://?duration=1s&rate=1M", "test://"]);
    assert!(!output.stderr.contains(&0x1B) && !output.stderr.contains(&b'\r'), "{}", stderr(&output));
}
