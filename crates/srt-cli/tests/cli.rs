//! The built program: exit codes, one-line messages, clean stdout.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{Place, fails, free_port, interrupt, said_until, spawn, srt, stderr};

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
    fails(&["demo", "-t", "0"], 2, "a stream needs some time; write 10s");
    fails(&["demo", "--latency", "-3"], 2, "for '--latency <TIME>': \"-3\" is no duration");
    fails(&["send", "-", "srt://h:1", "--chunk", "0"], 2, "a message has 1 to 65000 bytes");
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
        "udp://no-such-host.invalid:1234: no address found for this host",
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
    // Nobody reads the pipe beyond its first byte, so nothing can end in order.
    let mut child = spawn(&["transmit", "test://?rate=max", &pipe]);
    let mut reader = fs::File::open(&pipe).unwrap();
    reader.read_exact(&mut [0]).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    interrupt(&child);
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "the first waits for an end in order");
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
#[cfg(unix)]
fn a_pipe_that_nobody_reads_holds_up_no_interrupt() {
    let place = Place::new("unread");
    let pipe = place.file("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut child = spawn(&["transmit", "test://", &pipe, "-v"]);
    said_until(&mut child, " to ");
    interrupt(&child);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0), "{}", stderr(&ended));
}

#[test]
fn an_output_keeps_what_it_holds_until_the_first_message_comes() {
    let place = Place::new("keep");
    let (keep, input) = (place.with("keep.ts", b"precious"), place.with("in.ts", b"something"));
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let nobody = format!("srt://{}?conntimeo=300", silent.local_addr().unwrap());
    fails(&["receive", &nobody, &keep], 1, "did not answer");
    fails(&["transmit", &input, &keep, "--stats", &place.file("no/dir")], 1, "cannot be written");
    fails(&["transmit", &keep, &keep], 2, "the input and the output are the same file");
    fails(
        &["transmit", &input, &keep, "--stats", &keep],
        2,
        "the output and the file of statistics are the same",
    );
    fails(
        &["transmit", &keep, "null://", "--stats", &keep],
        2,
        "the input and the file of statistics are the same",
    );
    fails(&["transmit", &keep, "null://", "-logfile", &keep], 2, "the input and the log file are the same");
    #[cfg(unix)]
    {
        let link = place.file("link.ts");
        std::os::unix::fs::symlink(&keep, &link).unwrap();
        fails(&["transmit", &keep, &link], 2, "the input and the output are the same file");
        let mut from_stdin = Command::new(env!("CARGO_BIN_EXE_srt"));
        let from_stdin = from_stdin.args(["transmit", "-", &keep]).stdin(fs::File::open(&keep).unwrap());
        assert_eq!(from_stdin.output().unwrap().status.code(), Some(2));
    }
    assert_eq!(fs::read(&keep).unwrap(), b"precious");
    assert!(srt(&["transmit", &input, &keep]).status.success());
    assert_eq!(fs::read(&keep).unwrap(), b"something");
}

#[test]
fn an_output_is_looked_at_before_callers_are_waited_for() {
    let place = Place::new("first");
    let nowhere = place.file("no/such/dir/out.ts");
    // One line alone: nothing was said about waiting.
    fails(&["receive", "srt://127.0.0.1:0?mode=listener", &nowhere], 1, "make the directory first");
}

#[test]
fn statistics_for_stdout_do_not_mix_with_data_nor_make_a_file() {
    let place = Place::new("stats");
    let input = place.with("in", &[9; 10_000]);
    fails(&["transmit", &input, "-", "--stats", "-"], 2, "would both go to stdout");
    let mut command = Command::new(env!("CARGO_BIN_EXE_srt"));
    let output = command
        .args(["transmit", &input, "null://", "--stats", "-"])
        .current_dir(std::path::Path::new(&input).parent().unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success() && !fs::exists(place.file("-")).unwrap());
    assert!(
        stderr(&output).contains("neither side is SRT, so there are no statistics"),
        "{}",
        stderr(&output)
    );
    #[cfg(unix)]
    {
        let log = place.with("log", b"before\n");
        let stdout = fs::OpenOptions::new().append(true).open(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_srt"));
        let command = command.args(["transmit", &input, "null://", "--stats", "/dev/stdout"]);
        assert!(command.stdin(Stdio::null()).stdout(stdout).output().unwrap().status.success());
        assert_eq!(fs::read(&log).unwrap(), b"before\n", "what was there is still there");
    }
}

#[test]
fn flags_that_would_do_nothing_are_refused() {
    fails(&["transmit", "udp://:1234", "null://", "--rate", "8M"], 2, "--rate: paces files and pipes alone");
    fails(
        &["transmit", "udp://:1234", "srt://:0", "--source-time"],
        2,
        "--source-time: passes on times from SRT",
    );
}

#[test]
fn wrong_srt_addresses_are_named_once_and_shown_in_part() {
    fails(&["send", "-", "srt://127.0.0.1:0"], 2, "srt: srt://127.0.0.1:0: \"0\" is no port; use 1 to 65535");
    fails(
        &["send", "-", "srt://127.0.0.1"],
        2,
        "srt: srt://127.0.0.1: it has no port; write srt://host:port",
    );
    let passphrase = "srt: srt://h:1?passphrase=***: passphrase: too short: 10 to 80 bytes";
    fails(&["send", "-", "srt://h:1?passphrase=012"], 2, passphrase);
    let long = srt(&["send", "-", &format!("srt://h:1?streamid={}", "x".repeat(513))]);
    let said = stderr(&long);
    assert!(said.len() < 200 && said.contains("at most 512 bytes"), "{said}");
}

#[test]
fn a_passphrase_file_is_named_with_its_fault_and_its_content_never_shown() {
    let place = Place::new("passphrase");
    let (to, missing) = ("srt://127.0.0.1:1", place.file("missing"));
    fails(
        &["send", "-", to, "--passphrase-file", &missing],
        1,
        &format!("srt: {missing}: cannot be read: no such file"),
    );
    let secret = |content: &str| {
        let path = place.with("secret", content.as_bytes());
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        path
    };
    for (content, fault) in [
        ("\n", "is empty; a passphrase has 10 to 80 bytes"),
        ("sesame\n", "the passphrase in it is too short; give one of 10 to 80 bytes"),
        (&"sesame".repeat(14), "the passphrase in it is too long; give one of 10 to 80 bytes"),
    ] {
        let path = secret(content);
        for args in [
            &["send", "-", to][..],
            &["receive", to, "-"],
            &["transmit", "-", to],
            &["transmit", "-", to, "-s:100"],
            &["bench"],
        ] {
            let args = [args, &["--passphrase-file", &path]].concat();
            let output = srt(&args);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
            let lines = said.lines().filter(|line| *line == format!("srt: {path}: {fault}")).count();
            assert!(lines == 1 && !said.contains("sesame"), "{args:?}: {said}");
        }
    }
    let path = secret("open sesame\n");
    let same = ["receive", to, &path, "--passphrase-file", &path];
    fails(&same, 2, "the file of the passphrase and the output are the same file");
    assert_eq!(fs::read(&path).unwrap(), b"open sesame\n");
    let idle = ["transmit", "udp://:1234", "null://", "--passphrase-file", &path];
    fails(&idle, 2, "--passphrase-file: encrypts SRT alone; leave it out");
}

#[test]
#[cfg(unix)]
fn a_passphrase_that_others_may_read_is_warned_of_once() {
    use std::os::unix::fs::PermissionsExt as _;

    let place = Place::new("readable");
    let path = place.with("secret", b"open sesame\n");
    for (mode, warnings) in [(0o644, 1), (0o640, 1), (0o600, 0), (0o400, 0)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        // It is said even where little is said, and before the address is found to be wrong.
        let output =
            srt(&["transmit", "srt://127.0.0.1:0", "srt://127.0.0.1:0", "-q", "--passphrase-file", &path]);
        let said = stderr(&output);
        let warning = format!("warning: {path}: other users of this machine may read the passphrase; ");
        assert_eq!(said.matches(&warning).count(), warnings, "{mode:o}: {said}");
        assert!(!said.contains("sesame"), "{said}");
    }
}

#[test]
fn the_variable_of_the_passphrase_is_looked_at_where_nothing_goes_before_it() {
    let place = Place::new("variable");
    let path = place.with("secret", b"open sesame\n");
    let with = |value: &str, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_srt"));
        command.args(args).env("SRT_PASSPHRASE", value).stdin(Stdio::null()).output().unwrap()
    };
    // The address is wrong in a way that is found after the passphrase is.
    let to = "srt://127.0.0.1:1?adapter=no.such.host.invalid&mode=listener";
    for (value, fault) in [
        ("", "is empty; a passphrase has 10 to 80 bytes"),
        ("barley", "the passphrase in it is too short; give one of 10 to 80 bytes"),
    ] {
        for args in [&["send", "-", to][..], &["receive", to, "-"], &["transmit", "-", to], &["bench"]] {
            let output = with(value, args);
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
            assert!(said.ends_with(&format!("srt: SRT_PASSPHRASE: {fault}\n")), "{args:?}: {said}");
        }
        let tool =
            place.named("srt-live-transmit").args(["file://con", to]).env("SRT_PASSPHRASE", value).output();
        let said = stderr(&tool.unwrap());
        assert!(said.ends_with(&format!("srt-live-transmit: SRT_PASSPHRASE: {fault}\n")), "{said}");
        let named = format!("{to}&passphrase=open%20barley");
        for args in [&["send", "-", to, "--passphrase-file", &path][..], &["send", "-", &named]] {
            let said = stderr(&with(value, args));
            assert!(!said.contains("SRT_PASSPHRASE"), "something else goes before: {said}");
        }
    }
    let none = with("barley", &["transmit", "test://?duration=100ms", "null://"]);
    assert!(none.status.success(), "no SRT, no passphrase: {}", stderr(&none));
}

#[test]
fn options_of_a_bench_do_not_show_a_passphrase() {
    fails(
        &["bench", "-o", "passphrase=sesame"],
        2,
        "--option passphrase=***: passphrase: too short: 10 to 80 bytes",
    );
    let output = srt(&["bench", "-t", "10ms", "-o", "passphrase=open-sesame", "-o", "pbkeylen=17"]);
    assert!(stderr(&output).contains("pbkeylen=17") && !stderr(&output).contains("sesame"));
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
    assert_eq!(stderr(&tool(&["--help"])), stderr(&help));
    let lenient = tool(&["udp://239.255.77.9:1?pkt_size=1316&multicast&x=1&x=2", "file://con", "-t:1"]);
    let said = stderr(&lenient);
    let known = "warning: udp://239.255.77.9:1?multicast: ignored, for it is not known here: pkt_size, x\n";
    assert!(said.contains(known), "{said}");
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let nobody = format!("srt://{}?mode=default&conntimeo=100", silent.local_addr().unwrap());
    let retrying = tool(&["file://con", &nobody, "-t:1"]);
    let said = stderr(&retrying);
    assert!(retrying.status.success(), "{said}");
    assert_eq!(said.matches("did not answer").count(), 1, "once per cause: {said}");
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
    for part in ["latency ", "mode=caller|listener", "0 or more ms; default 3000", "streamid"] {
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
