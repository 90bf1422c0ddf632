//! Against real libsrt, both ways: `srt-live-transmit` and `ffmpeg` of the system call us and are called by us, send
//! and receive, on a clean path and on one that loses 5 % of all packets; not a bit may change.
//!
//! What a peer needs to know, and what is skipped where it is missing, is told in [`srt_tests::peers`].
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of these tests fail as the tests do")]

use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use srt::{ConnectionError, Decision, Options, RejectReason, SrtListener, SrtSocket};
use srt_impair::{Emulator, Profile, Setup};
use srt_tests::peers::{PATIENCE, Peer, Program, free_port, wait_bound};

/// Seven TS packets, as live video has them.
const MESSAGE: usize = 1316;
/// Two seconds of 8 Mb/s.
const MESSAGES: u32 = 1_500;
const BETWEEN: Duration = Duration::from_micros(1_316);

// ---------------------------------------------------------------------------- live, both ways, both roles

#[test]
fn our_caller_sends_to_libsrt() {
    send_to_libsrt(Ours::Caller, &Way::Clean);
}

#[test]
fn our_caller_sends_to_libsrt_through_loss() {
    send_to_libsrt(Ours::Caller, &Way::Lossy { seed: 1 });
}

#[test]
fn our_listener_sends_to_libsrt() {
    send_to_libsrt(Ours::Listener, &Way::Clean);
}

#[test]
fn our_listener_sends_to_libsrt_through_loss() {
    send_to_libsrt(Ours::Listener, &Way::Lossy { seed: 2 });
}

#[test]
fn our_caller_receives_from_libsrt() {
    receive_from_libsrt(Ours::Caller, &Way::Clean);
}

#[test]
fn our_caller_receives_from_libsrt_through_loss() {
    receive_from_libsrt(Ours::Caller, &Way::Lossy { seed: 3 });
}

#[test]
fn our_listener_receives_from_libsrt() {
    receive_from_libsrt(Ours::Listener, &Way::Clean);
}

#[test]
fn our_listener_receives_from_libsrt_through_loss() {
    receive_from_libsrt(Ours::Listener, &Way::Lossy { seed: 4 });
}

/// Which end we are; the peer is the other.
#[derive(Clone, Copy)]
enum Ours {
    Caller,
    Listener,
}

enum Way {
    Clean,
    /// 5 % each way, RTT 40 ms, and a latency that leaves time for nine attempts.
    Lossy {
        seed: u64,
    },
}

impl Way {
    const fn latency(&self) -> Duration {
        match self {
            Self::Clean => Duration::from_millis(120),
            Self::Lossy { .. } => Duration::from_millis(400),
        }
    }

    /// Leads to `target`: where to call, and what stands in between.
    fn to(&self, target: SocketAddr) -> (SocketAddr, Option<Emulator>) {
        let Self::Lossy { seed } = self else { return (target, None) };
        let profile: Profile = "delay=20ms,loss=5%".parse().unwrap();
        let mut setup = Setup::new(localhost(0), target);
        (setup.to_target, setup.to_client, setup.seed) = (profile.clone(), profile, *seed);
        let emulator = Emulator::start(setup).unwrap();
        (emulator.local_addr(), Some(emulator))
    }
}

/// A connection of ours with srt-live-transmit, which reads from and writes to pipes.
struct Pair {
    socket: SrtSocket,
    peer: Peer,
    path: Option<Emulator>,
}

impl Pair {
    /// `None`: there is no such peer here.
    fn connect(ours: Ours, way: &Way, sender: Sender) -> Option<Self> {
        let program = Program::srt_live_transmit()?;
        let options = options(way.latency());
        let latency = way.latency().as_millis();
        let start = |uri: String| match sender {
            Sender::Us => program.transmit(&uri, "file://con", &[]).unwrap(),
            Sender::Libsrt => program.transmit("file://con", &uri, &[]).unwrap(),
        };
        let (socket, peer, path) = match ours {
            Ours::Caller => {
                let port = free_port().unwrap();
                let mut peer = start(format!("srt://127.0.0.1:{port}?mode=listener&latency={latency}"));
                peer.bound(port).unwrap();
                let (address, path) = way.to(localhost(port));
                (SrtSocket::connect(address, &options).unwrap(), peer, path)
            }
            Ours::Listener => {
                let listener = SrtListener::bind(localhost(0), &options).unwrap();
                let (address, path) = way.to(listener.local_addr());
                let peer = start(format!("srt://{address}?mode=caller&latency={latency}"));
                (listener.accept_timeout(PATIENCE).unwrap().0, peer, path)
            }
        };
        if let Sender::Libsrt = sender {
            peer.connected().unwrap();
        }
        Some(Self { socket, peer, path })
    }
}

#[derive(Clone, Copy)]
enum Sender {
    Us,
    Libsrt,
}

fn send_to_libsrt(ours: Ours, way: &Way) {
    let Some(Pair { socket, mut peer, path }) = Pair::connect(ours, way, Sender::Us) else { return };
    let sent = messages(0..MESSAGES);
    send_paced(&socket, &sent);
    // An orderly end: everything is acknowledged, and libsrt, which stops reading at once, has played it out.
    socket.close().unwrap();
    let (_, output) = peer.wait().unwrap();
    assert_same(&output, &sent.concat());
    if let Some(path) = path {
        let wire = path.stop().unwrap();
        assert!(
            wire.to_target.link.lost_luck + wire.to_client.link.lost_luck > 0,
            "nothing was lost: {wire}"
        );
        assert!(socket.stats(false).pkt_retrans_total > 0);
    }
}

fn receive_from_libsrt(ours: Ours, way: &Way) {
    let Some(Pair { socket, mut peer, path }) = Pair::connect(ours, way, Sender::Libsrt) else { return };
    let mut stdin = peer.take_stdin();
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        // libsrt does not send again what nothing follows, so more follows until we have what we want.
        let feeder = scope.spawn(|| {
            let mut pace = Pace::new();
            for number in (0..).take_while(|_| !enough.load(Ordering::Relaxed)) {
                pace.next();
                srt_tests::peers::feed(&mut stdin, [&message(number)[..]]).unwrap();
            }
        });
        let received = receive(&socket, MESSAGES);
        enough.store(true, Ordering::Relaxed);
        feeder.join().unwrap();
        let received = received.unwrap();
        for (number, got) in (0..MESSAGES).zip(&received) {
            assert!(*got == message(number), "message {number} of {MESSAGES} is not what was sent");
        }
    });
    drop(stdin);
    peer.end().unwrap();
    match path {
        None => assert_eq!(end_of(&socket), ConnectionError::PeerShutdown),
        // The one SHUTDOWN may be lost like any other packet.
        Some(path) => {
            let wire = path.stop().unwrap();
            assert!(
                wire.to_target.link.lost_luck + wire.to_client.link.lost_luck > 0,
                "nothing was lost: {wire}"
            );
            assert!(socket.stats(false).pkt_rcv_retrans > 0);
        }
    }
}

// ---------------------------------------------------------------------------- who may come in, and who may not

#[test]
fn our_listener_sees_the_stream_id_and_version_of_libsrts_caller() {
    let Some(program) = Program::srt_live_transmit() else { return };
    let version = version_of(&program);
    for stream_id in ["x", "live/camera-1", "#!::r=camera1,m=publish,u=someone"] {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&asked);
        let listener = SrtListener::bind_with_hook(localhost(0), &options(LATENCY), move |request| {
            requests.lock().unwrap().push((
                request.stream_id.clone(),
                request.peer_version,
                request.encrypted,
            ));
            Decision::Accept
        })
        .unwrap();
        let uri = format!("srt://{}?streamid={stream_id}", listener.local_addr());
        let peer = program.transmit("file://con", &uri, &[]).unwrap();
        let (socket, _) = listener.accept_timeout(PATIENCE).unwrap();
        peer.connected().unwrap();
        assert_eq!(String::from_utf8_lossy(&socket.stream_id()), stream_id, "{peer}");
        assert_eq!(*asked.lock().unwrap(), [(stream_id.as_bytes().to_vec(), version, false)]);
    }
}

#[test]
fn libsrts_listener_takes_our_stream_id_of_any_length() {
    let Some(program) = Program::srt_live_transmit() else { return };
    for len in [1, 2, 3, 4, 511, 512] {
        let port = free_port().unwrap();
        let uri = format!("srt://127.0.0.1:{port}?mode=listener");
        let mut peer = program.transmit(&uri, "file://con", &[]).unwrap();
        peer.bound(port).unwrap();
        let stream_id: Vec<u8> = (b'a'..=b'z').cycle().take(len).collect();
        let socket = SrtSocket::connect(localhost(port), &options(LATENCY).stream_id(&stream_id)).unwrap();
        let sent = messages(0..20);
        send_paced(&socket, &sent);
        socket.close().unwrap();
        assert_same(&peer.wait().unwrap().1, &sent.concat());
    }
}

#[test]
fn one_listener_of_ours_serves_two_callers_of_libsrt_at_once() {
    let Some(program) = Program::srt_live_transmit() else { return };
    let listener = SrtListener::bind(localhost(0), &options(LATENCY)).unwrap();
    let mut callers = Vec::new();
    for name in ["one", "two"] {
        let uri = format!("srt://{}?streamid={name}", listener.local_addr());
        let peer = program.transmit("file://con", &uri, &[]).unwrap();
        let (socket, _) = listener.accept_timeout(PATIENCE).unwrap();
        assert_eq!(socket.stream_id(), name.as_bytes());
        peer.connected().unwrap();
        callers.push((socket, peer));
    }
    // Turn by turn, so that the streams interleave on the one port.
    let mut inputs: Vec<_> = callers.iter_mut().map(|(_, peer)| peer.take_stdin()).collect();
    let mut pace = Pace::new();
    for number in 0..300 {
        pace.next();
        for (stdin, caller) in inputs.iter_mut().zip(0..) {
            srt_tests::peers::feed(stdin, [&message(2 * number + caller)[..]]).unwrap();
        }
    }
    for ((socket, _), caller) in callers.iter().zip(0..) {
        let received = receive(socket, 300).unwrap();
        let expected: Vec<_> = (0..300).map(|number| message(2 * number + caller).to_vec()).collect();
        assert!(received == expected, "the streams of two callers were mixed up or changed");
    }
}

#[test]
fn libsrts_caller_sees_that_our_listener_rejects_it() {
    let Some(program) = Program::srt_live_transmit() else { return };
    let mut too_new = options(LATENCY);
    too_new.set_text("minversion", "0x010600").unwrap();
    let refuse = |reason| move |_: &srt::ConnectRequest| Decision::Reject(reason);
    let by_hook =
        |reason| SrtListener::bind_with_hook(localhost(0), &options(LATENCY), refuse(reason)).unwrap();
    let listeners = [
        ("by the application", by_hook(RejectReason::FORBIDDEN)),
        ("by the application, with a code of its own", by_hook(RejectReason::User(2_345))),
        ("for its version", SrtListener::bind(localhost(0), &too_new).unwrap()),
    ];
    for (why, listener) in listeners {
        // Not every build of the tool ends then; each of them logs that it was told.
        let uri = format!("srt://{}?conntimeo=600000", listener.local_addr());
        let peer = program.transmit("file://con", &uri, &[]).unwrap();
        peer.says("REJECT").unwrap_or_else(|error| panic!("rejected {why}: {error}"));
        assert!(!peer.stderr().contains("connected"), "rejected {why}: {peer}");
        assert!(listener.try_accept().is_err_and(|error| error.is_would_block()), "rejected {why}");
    }
}

#[test]
fn our_caller_sees_why_libsrts_listener_rejects_it() {
    let Some(program) = Program::srt_live_transmit() else { return };
    for (parameter, reason) in [
        ("minversion=0x010600", RejectReason::Version),
        ("passphrase=not-in-the-clear", RejectReason::Unsecure),
        ("transtype=file&messageapi=1", RejectReason::Congestion),
    ] {
        let port = free_port().unwrap();
        let uri = format!("srt://127.0.0.1:{port}?mode=listener&{parameter}");
        let mut peer = program.transmit(&uri, "file://con", &[]).unwrap();
        peer.bound(port).unwrap();
        let patient = options(LATENCY).connect_timeout(Duration::from_secs(600));
        let error = SrtSocket::connect(localhost(port), &patient).unwrap_err();
        assert_eq!(error.reject_reason(), Some(reason), "{parameter}: {error}");
    }
}

// ---------------------------------------------------------------------------- ends

#[test]
fn libsrt_sees_that_we_end_and_that_we_abort() {
    for abort in [false, true] {
        let Some(Pair { socket, mut peer, .. }) = Pair::connect(Ours::Caller, &Way::Clean, Sender::Us) else {
            return;
        };
        socket.send(&message(0)).unwrap();
        peer.connected().unwrap();
        if abort {
            socket.abort();
        } else {
            socket.close().unwrap();
        }
        peer.wait().unwrap();
        assert!(peer.stderr().contains("source disconnected"), "abort: {abort}; {peer}");
    }
}

#[test]
fn we_notice_that_libsrt_died() {
    let Some(program) = Program::srt_live_transmit() else { return };
    let options = options(LATENCY).peer_idle_timeout(Duration::from_secs(1));
    let listener = SrtListener::bind(localhost(0), &options).unwrap();
    let uri = format!("srt://{}", listener.local_addr());
    let mut peer = program.transmit("file://con", &uri, &[]).unwrap();
    let (socket, _) = listener.accept_timeout(PATIENCE).unwrap();
    peer.connected().unwrap();
    srt_tests::peers::feed(&mut peer.take_stdin(), [&message(0)[..]]).unwrap();
    assert_eq!(receive(&socket, 1).unwrap(), [message(0)]);
    // Killed outright: no SHUTDOWN is sent.
    drop(peer);
    assert_eq!(end_of(&socket), ConnectionError::PeerIdle);
}

// ---------------------------------------------------------------------------- the command line, two hops

#[test]
fn a_file_goes_through_two_hops_unchanged() {
    let Some(program) = Program::srt_live_transmit() else { return };
    let folder = Folder::new("two-hops");
    let (file, copy) = (folder.path("in.bin"), folder.path("out.bin"));
    // The last message is a short one.
    let mut content = messages(0..MESSAGES).concat();
    content.truncate(content.len() - 799);
    fs::write(&file, &content).unwrap();
    let (first, second) = (free_port().unwrap(), free_port().unwrap());
    thread::scope(|scope| {
        let receiver = scope.spawn(|| {
            let uri = format!("srt://127.0.0.1:{second}?mode=listener&latency=120");
            srt(["receive".as_ref(), uri.as_ref(), copy.as_os_str()])
        });
        wait_bound(second).unwrap();
        let mut relay = program
            .transmit(
                &format!("srt://127.0.0.1:{first}?mode=listener&latency=120"),
                &format!("srt://127.0.0.1:{second}?latency=120"),
                &[],
            )
            .unwrap();
        relay.says("SRT target connected").unwrap();
        relay.bound(first).unwrap();
        let target = format!("srt://127.0.0.1:{first}?latency=120");
        let sent =
            srt(["send".as_ref(), file.as_os_str(), target.as_ref(), "--rate".as_ref(), "8M".as_ref()]);
        assert_eq!(sent, ExitCode::SUCCESS);
        relay.wait().unwrap();
        assert_eq!(receiver.join().unwrap(), ExitCode::SUCCESS, "{relay}");
    });
    assert_same(&fs::read(&copy).unwrap(), &content);
}

/// Runs our command in this process.
fn srt<'a>(words: impl IntoIterator<Item = &'a std::ffi::OsStr>) -> ExitCode {
    let words = words.into_iter().map(OsString::from);
    srt_cli::run(["srt".into()].into_iter().chain(words).chain(["--quiet".into()]))
}

// ---------------------------------------------------------------------------- ffmpeg

#[test]
fn ffmpeg_calls_us_and_sends_mpeg_ts() {
    let Some(ffmpeg) = Program::ffmpeg() else { return };
    let folder = Folder::new("ffmpeg-sends");
    let clip = clip(&ffmpeg, &folder);
    let written = folder.path("written.ts");
    let listener = SrtListener::bind(localhost(0), &options(LATENCY)).unwrap();
    // The same packets, muxed alike, into a file and into SRT. (ffmpeg's latency is in microseconds.)
    let uri = format!("srt://{}?mode=caller&pkt_size=1316&latency=120000", listener.local_addr());
    let mut peer = start(
        &ffmpeg,
        &[
            "-re",
            "-i",
            text(&clip),
            "-c",
            "copy",
            "-f",
            "mpegts",
            text(&written),
            "-c",
            "copy",
            "-f",
            "mpegts",
            &uri,
        ],
    );
    let (socket, _) = listener.accept_timeout(PATIENCE).unwrap();
    let (mut received, mut buffer) = (Vec::new(), [0; 1456]);
    let end = loop {
        match socket.recv(&mut buffer) {
            Ok(len) => received.extend_from_slice(&buffer[..len]),
            Err(error) => break error,
        }
    };
    assert!(end.is_end_of_stream(), "{end}");
    assert!(peer.wait().unwrap().0.success(), "{peer}");
    let written = fs::read(&written).unwrap();
    // ffmpeg closes without waiting: what it sent last may never have left it. What came is unchanged, from the start.
    let missing = written.len().checked_sub(received.len()).expect("more came than was sent");
    assert_same(&received, &written[..received.len()]);
    assert!(missing <= 8 * MESSAGE, "{missing} bytes of {} are missing at the end", written.len());
}

#[test]
fn ffmpeg_listens_and_plays_what_our_caller_sends() {
    let Some(ffmpeg) = Program::ffmpeg() else { return };
    let folder = Folder::new("ffmpeg-plays");
    let clip = clip(&ffmpeg, &folder);
    let frames = |input: &str| ["-i", input, "-c", "copy", "-f", "framemd5", "-"].map(str::to_owned);
    let expected = start(&ffmpeg, &frames(text(&clip))).wait().unwrap();
    assert!(expected.0.success());
    let port = free_port().unwrap();
    let mut peer = start(&ffmpeg, &frames(&format!("srt://127.0.0.1:{port}?mode=listener&latency=120000")));
    peer.bound(port).unwrap();
    let socket = SrtSocket::connect(localhost(port), &options(LATENCY)).unwrap();
    let clip = fs::read(&clip).unwrap();
    send_paced(&socket, &clip.chunks(MESSAGE).map(<[u8]>::to_vec).collect::<Vec<_>>());
    socket.close().unwrap();
    let (status, output) = peer.wait().unwrap();
    assert!(status.success(), "{peer}");
    // One line per frame, with its time and its hash.
    let (output, expected) = (String::from_utf8_lossy(&output), String::from_utf8_lossy(&expected.1));
    assert!(expected.lines().filter(|line| !line.starts_with('#')).count() > 50, "{expected}");
    assert_eq!(output, expected);
}

#[test]
fn ffmpeg_calls_our_listener_and_writes_every_byte_we_send() {
    let Some(ffmpeg) = Program::ffmpeg() else { return };
    let listener = SrtListener::bind(localhost(0), &options(LATENCY)).unwrap();
    // Its raw "format": what comes in goes out.
    let uri = format!("srt://{}?mode=caller&latency=120000", listener.local_addr());
    let mut peer = start(&ffmpeg, &["-f", "data", "-i", &uri, "-map", "0", "-c", "copy", "-f", "data", "-"]);
    let (socket, _) = listener.accept_timeout(PATIENCE).unwrap();
    let sent = messages(0..MESSAGES);
    send_paced(&socket, &sent);
    socket.close().unwrap();
    let (status, output) = peer.wait().unwrap();
    assert!(status.success(), "{peer}");
    assert_same(&output, &sent.concat());
}

fn start<S: AsRef<std::ffi::OsStr>>(ffmpeg: &Program, arguments: &[S]) -> Peer {
    let first = ["-hide_banner", "-nostdin", "-loglevel", "warning", "-y"].map(AsRef::as_ref);
    ffmpeg.start(first.into_iter().chain(arguments.iter().map(AsRef::as_ref))).unwrap()
}

/// Three seconds of a moving picture as an MPEG transport stream.
fn clip(ffmpeg: &Program, folder: &Folder) -> PathBuf {
    let clip = folder.path("clip.ts");
    let picture = "testsrc=size=320x240:rate=25:duration=3";
    let encode = ["-c:v", "mpeg2video", "-b:v", "2M", "-f", "mpegts"];
    let arguments: Vec<&str> =
        ["-f", "lavfi", "-i", picture].into_iter().chain(encode).chain([text(&clip)]).collect();
    let mut peer = start(ffmpeg, &arguments);
    assert!(peer.wait().unwrap().0.success(), "{peer}");
    clip
}

// ---------------------------------------------------------------------------- what all of them need

const LATENCY: Duration = Duration::from_millis(120);

fn localhost(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Nothing waits for ever.
fn options(latency: Duration) -> Options {
    Options::new().latency(latency).receive_timeout(Some(PATIENCE)).send_timeout(Some(PATIENCE))
}

/// Its number, and then bytes that follow from it.
fn message(number: u32) -> [u8; MESSAGE] {
    let mut message = [0; MESSAGE];
    let mut state = number.wrapping_mul(0x9E37_79B9) | 1;
    for word in message.chunks_mut(4) {
        state = (state ^ state << 13) ^ (state ^ state << 13) >> 17;
        state ^= state << 5;
        word.copy_from_slice(&state.to_be_bytes());
    }
    message[..4].copy_from_slice(&number.to_be_bytes());
    message
}

fn messages(numbers: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    numbers.map(|number| message(number).to_vec()).collect()
}

/// One message every [`BETWEEN`]; one that is late is not made up for by a gap.
struct Pace {
    due: Instant,
}

impl Pace {
    fn new() -> Self {
        Self { due: Instant::now() }
    }

    fn next(&mut self) {
        thread::sleep(self.due.saturating_duration_since(Instant::now()));
        self.due += BETWEEN;
    }
}

fn send_paced(socket: &SrtSocket, messages: &[Vec<u8>]) {
    let mut pace = Pace::new();
    for message in messages {
        pace.next();
        socket.send(message).unwrap();
    }
}

fn receive(socket: &SrtSocket, count: u32) -> Result<Vec<Vec<u8>>, srt::Error> {
    let mut buffer = [0; 1456];
    (0..count).map(|_| socket.recv(&mut buffer).map(|len| buffer[..len].to_vec())).collect()
}

/// Reads until there is no more, and says why.
fn end_of(socket: &SrtSocket) -> ConnectionError {
    let mut buffer = [0; 1456];
    loop {
        if let Err(error) = socket.recv(&mut buffer) {
            return error
                .connection_error()
                .unwrap_or_else(|| panic!("no end of the connection, but: {error}"));
        }
    }
}

#[track_caller]
fn assert_same(got: &[u8], expected: &[u8]) {
    if got != expected {
        let same = got.iter().zip(expected).take_while(|(got, expected)| got == expected).count();
        let (got, expected) = (got.len(), expected.len());
        panic!("{got} bytes instead of {expected}; the first {same} are right ({} messages)", same / MESSAGE);
    }
}

/// As 0x010501, from the program's own words.
fn version_of(program: &Program) -> u32 {
    let mut peer = program.start(["-version"]).unwrap();
    peer.wait().unwrap();
    let words = peer.stderr();
    let (_, version) = words.rsplit_once("SRT Library version: ").expect("it says its version");
    let numbers = version.split(|character: char| !character.is_ascii_digit()).take(3);
    numbers.fold(0, |version, number| version << 8 | number.parse::<u32>().expect("three numbers"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("the path is made of the test's own words")
}

/// A folder of this test's own, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("srt-{name}-{}-{count}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left over is better than a second failure.
        let _ = fs::remove_dir_all(&self.0);
    }
}
