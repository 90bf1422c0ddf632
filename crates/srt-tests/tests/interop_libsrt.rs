//! Against real libsrt, both ways: `srt-live-transmit` and `ffmpeg` of the system call us and are called by us, send
//! and receive, on a clean path and on one that loses 5 % of all packets; not a bit may change.
//!
//! What a peer needs to know, and what is skipped where it is missing, is told in [`srt_tests::peers`].
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "the helpers of these tests fail as the tests do")]

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use srt::{ConnectionError, Decision, RejectReason, SrtListener, SrtSocket};
use srt_impair::{Emulator, Profile, Setup};
use srt_tests::peers::{PATIENCE, Peer, Program, free_port, wait_bound};
use srt_tests::streams::{
    MESSAGE, Pace, assert_same, end_of, localhost, message, messages, options, receive, receive_bytes,
    send_paced,
};

/// Two seconds of 8 Mb/s.
const MESSAGES: u32 = 1_500;

// ---------------------------------------------------------------------------- live, both ways, both roles, two peers

#[test]
fn our_caller_sends_to_libsrt() {
    send_to(Theirs::LiveTransmit, Ours::Caller, &Way::Clean);
}

#[test]
fn our_caller_sends_to_libsrt_through_loss() {
    send_to(Theirs::LiveTransmit, Ours::Caller, &Way::Lossy { seed: 1 });
}

#[test]
fn our_listener_sends_to_libsrt() {
    send_to(Theirs::LiveTransmit, Ours::Listener, &Way::Clean);
}

#[test]
fn our_listener_sends_to_libsrt_through_loss() {
    send_to(Theirs::LiveTransmit, Ours::Listener, &Way::Lossy { seed: 2 });
}

#[test]
fn our_caller_receives_from_libsrt() {
    receive_from(Theirs::LiveTransmit, Ours::Caller, &Way::Clean);
}

#[test]
fn our_caller_receives_from_libsrt_through_loss() {
    receive_from(Theirs::LiveTransmit, Ours::Caller, &Way::Lossy { seed: 3 });
}

#[test]
fn our_listener_receives_from_libsrt() {
    receive_from(Theirs::LiveTransmit, Ours::Listener, &Way::Clean);
}

#[test]
fn our_listener_receives_from_libsrt_through_loss() {
    receive_from(Theirs::LiveTransmit, Ours::Listener, &Way::Lossy { seed: 4 });
}

#[test]
fn our_caller_sends_to_ffmpeg() {
    send_to(Theirs::Ffmpeg, Ours::Caller, &Way::Clean);
}

#[test]
fn our_caller_sends_to_ffmpeg_through_loss() {
    send_to(Theirs::Ffmpeg, Ours::Caller, &Way::Lossy { seed: 5 });
}

#[test]
fn our_listener_sends_to_ffmpeg() {
    send_to(Theirs::Ffmpeg, Ours::Listener, &Way::Clean);
}

#[test]
fn our_listener_sends_to_ffmpeg_through_loss() {
    send_to(Theirs::Ffmpeg, Ours::Listener, &Way::Lossy { seed: 6 });
}

#[test]
fn our_caller_receives_from_ffmpeg() {
    receive_from(Theirs::Ffmpeg, Ours::Caller, &Way::Clean);
}

#[test]
fn our_caller_receives_from_ffmpeg_through_loss() {
    receive_from(Theirs::Ffmpeg, Ours::Caller, &Way::Lossy { seed: 7 });
}

#[test]
fn our_listener_receives_from_ffmpeg() {
    receive_from(Theirs::Ffmpeg, Ours::Listener, &Way::Clean);
}

#[test]
fn our_listener_receives_from_ffmpeg_through_loss() {
    receive_from(Theirs::Ffmpeg, Ours::Listener, &Way::Lossy { seed: 8 });
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

/// The program at the other end; both read from and write to pipes.
///
/// With ffmpeg it is the raw "format" `data` that makes every byte count: what comes in goes out as it is, no muxer in between
/// that could repair, drop or invent something, and no encoder whose output differs from one machine to the next. How the bytes
/// are cut into messages is ffmpeg's own affair then. Real transport streams are further down.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Theirs {
    LiveTransmit,
    Ffmpeg,
}

impl Theirs {
    fn program(self) -> Option<Program> {
        match self {
            Self::LiveTransmit => Program::srt_live_transmit(),
            Self::Ffmpeg => Program::ffmpeg(),
        }
    }

    /// Starts it at `address`, to send what it reads or to write what it gets.
    fn start(self, program: &Program, address: SocketAddr, mode: &str, way: &Way, sender: Sender) -> Peer {
        let uri = format!("srt://{address}?mode={mode}&latency=");
        match (self, sender) {
            (Self::LiveTransmit, sender) => {
                let uri = format!("{uri}{}", way.latency().as_millis());
                let (from, to) =
                    if sender == Sender::Us { (&*uri, "file://con") } else { ("file://con", &*uri) };
                program.transmit(from, to, &[]).unwrap()
            }
            // Its latency is in microseconds.
            (Self::Ffmpeg, Sender::Us) => {
                let uri = format!("{uri}{}", way.latency().as_micros());
                start(program, &["-f", "data", "-i", &uri, "-map", "0", "-c", "copy", "-f", "data", "-"])
            }
            (Self::Ffmpeg, Sender::Them) => {
                let uri = format!("{uri}{}&pkt_size=1316", way.latency().as_micros());
                // It is to pass on what it reads, and not to wait for more to find out what that is, nor to fill a buffer.
                let input = ["-probesize", "32", "-f", "data", "-raw_packet_size", "1316", "-i", "pipe:0"];
                let output = ["-map", "0", "-c", "copy", "-flush_packets", "1", "-f", "data", &uri];
                start(program, &[&input[..], &output].concat())
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    Us,
    Them,
}

/// A connection of ours with such a program.
struct Pair {
    socket: SrtSocket,
    peer: Peer,
    path: Option<Emulator>,
    /// Messages that it was given to read already.
    fed: u32,
    stdin: Option<ChildStdin>,
}

impl Pair {
    /// `None`: there is no such peer here.
    fn connect(theirs: Theirs, ours: Ours, way: &Way, sender: Sender) -> Option<Self> {
        let program = theirs.program()?;
        let options = options(way.latency());
        let (mut fed, mut stdin) = (0, None);
        let mut start = |address, mode| {
            let mut peer = theirs.start(&program, address, mode, way, sender);
            if sender == Sender::Them {
                let pipe = stdin.insert(peer.take_stdin());
                if theirs == Theirs::Ffmpeg {
                    // It does not open its output before it has seen some input.
                    srt_tests::peers::feed(pipe, [&message(0)[..]]).unwrap();
                    fed = 1;
                }
            }
            peer
        };
        let (socket, peer, path) = match ours {
            Ours::Caller => {
                let port = free_port().unwrap();
                let mut peer = start(localhost(port), "listener");
                peer.bound(port).unwrap();
                let (address, path) = way.to(localhost(port));
                (SrtSocket::connect(address, &options).unwrap(), peer, path)
            }
            Ours::Listener => {
                let listener = SrtListener::bind(localhost(0), &options).unwrap();
                let (address, path) = way.to(listener.local_addr());
                let peer = start(address, "caller");
                (listener.accept_timeout(PATIENCE).unwrap().0, peer, path)
            }
        };
        if (theirs, sender) == (Theirs::LiveTransmit, Sender::Them) {
            peer.connected().unwrap();
        }
        Some(Self { socket, peer, path, fed, stdin })
    }
}

fn send_to(theirs: Theirs, ours: Ours, way: &Way) {
    let Some(Pair { socket, mut peer, path, .. }) = Pair::connect(theirs, ours, way, Sender::Us) else {
        return;
    };
    let sent = messages(0..MESSAGES);
    send_paced(&socket, &sent);
    // An orderly end: everything is acknowledged, and libsrt, which stops reading at once, has played it out.
    socket.close().unwrap();
    let (status, output) = peer.wait().unwrap();
    assert!(theirs == Theirs::LiveTransmit || status.success(), "{peer}");
    assert_same(&output, &sent.concat());
    if let Some(path) = path {
        assert_lossy(path);
        assert!(socket.stats(false).pkt_retrans_total > 0);
    }
}

fn receive_from(theirs: Theirs, ours: Ours, way: &Way) {
    let Some(pair) = Pair::connect(theirs, ours, way, Sender::Them) else { return };
    let Pair { socket, mut peer, path, fed, stdin } = pair;
    let mut stdin = stdin.expect("it was started to read from us");
    let enough = AtomicBool::new(false);
    let received = thread::scope(|scope| {
        // libsrt does not send again what nothing follows, so more follows until we have what we want.
        let feeder = scope.spawn(|| {
            let mut pace = Pace::new();
            for number in (fed..).take_while(|_| !enough.load(Ordering::Relaxed)) {
                pace.next();
                srt_tests::peers::feed(&mut stdin, [&message(number)[..]]).unwrap();
            }
        });
        let received = receive_bytes(&socket, MESSAGES as usize * MESSAGE);
        enough.store(true, Ordering::Relaxed);
        feeder.join().unwrap();
        received.unwrap()
    });
    let whole = received.iter().all(|message| message.len() == MESSAGE);
    assert!(whole || theirs == Theirs::Ffmpeg, "srt-live-transmit cuts its input into messages as we do");
    assert_same(&received.concat()[..MESSAGES as usize * MESSAGE], &messages(0..MESSAGES).concat());
    drop(stdin);
    peer.end().unwrap();
    match path {
        None => assert_eq!(end_of(&socket), ConnectionError::PeerShutdown),
        // The one SHUTDOWN may be lost like any other packet.
        Some(path) => {
            assert_lossy(path);
            assert!(socket.stats(false).pkt_rcv_retrans > 0);
        }
    }
}

/// The path did what it is there for.
fn assert_lossy(path: Emulator) {
    let wire = path.stop().unwrap();
    assert!(wire.to_target.link.lost_luck + wire.to_client.link.lost_luck > 0, "nothing was lost: {wire}");
}

// ---------------------------------------------------------------------------- who may come in, and who may not

#[test]
fn our_listener_sees_the_stream_id_and_version_of_libsrts_caller() {
    let Some(program) = Program::srt_live_transmit() else { return };
    let version = program.libsrt_version().unwrap();
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
        let Some(Pair { socket, mut peer, .. }) =
            Pair::connect(Theirs::LiveTransmit, Ours::Caller, &Way::Clean, Sender::Us)
        else {
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

// ---------------------------------------------------------------------------- ffmpeg's own transport streams

#[test]
fn ffmpeg_calls_us_and_sends_mpeg_ts() {
    let Some(ffmpeg) = Program::ffmpeg() else { return };
    let folder = Folder::new("ffmpeg-sends");
    let clip = clip(&ffmpeg, &folder);
    let written = folder.path("written.ts");
    let listener = SrtListener::bind(localhost(0), &options(LATENCY)).unwrap();
    // The same packets, muxed alike, into a file and into SRT. (ffmpeg's latency is in microseconds.)
    let uri = format!("srt://{}?mode=caller&pkt_size=1316&latency=120000", listener.local_addr());
    // By default it would read five seconds before it calls.
    let input = ["-probesize", "50000", "-analyzeduration", "500000", "-i", "pipe:0"];
    let copy = ["-map", "0", "-c", "copy", "-f", "mpegts"];
    let mut peer = start(&ffmpeg, &[&input[..], &copy, &[text(&written)], &copy, &[&uri]].concat());
    let clip = fs::read(&clip).unwrap();
    let (mut stdin, enough) = (peer.take_stdin(), clip.len() / 2);
    let feeder = thread::spawn(move || {
        let mut pace = Pace::new();
        for message in clip.chunks(MESSAGE) {
            pace.next();
            srt_tests::peers::feed(&mut stdin, [message]).unwrap();
        }
        stdin
    });
    let (socket, _) = listener.accept_timeout(PATIENCE).unwrap();
    // ffmpeg closes without waiting: what it sent last may never have left it. It is asked to end when half of it is here, so that
    // nothing of that half can be missing.
    let mut received = receive_bytes(&socket, enough).unwrap().concat();
    drop(feeder.join().unwrap());
    let mut buffer = [0; 1456];
    let end = loop {
        match socket.recv(&mut buffer) {
            Ok(len) => received.extend_from_slice(&buffer[..len]),
            Err(error) => break error,
        }
    };
    assert!(end.is_end_of_stream(), "{end}");
    assert!(peer.wait().unwrap().0.success(), "{peer}");
    let written = fs::read(&written).unwrap();
    assert!(received.len() <= written.len(), "more came than was sent");
    assert_same(&received, &written[..received.len()]);
}

#[test]
fn ffmpeg_listens_and_remuxes_what_our_caller_sends_to_the_last_byte() {
    let Some(ffmpeg) = Program::ffmpeg() else { return };
    let folder = Folder::new("ffmpeg-plays");
    let clip = clip(&ffmpeg, &folder);
    // The same command reads the file once, and once the stream. Its muxer makes the same of the same packets, so that a bit that
    // changed on the way, a packet that is missing or one too many shows in what comes out.
    let remux =
        |input: &str| ["-i", input, "-map", "0", "-c", "copy", "-f", "mpegts", "-"].map(str::to_owned);
    let (status, expected) = start(&ffmpeg, &remux(text(&clip))).wait().unwrap();
    assert!(status.success() && expected.len() > 100_000);
    let port = free_port().unwrap();
    let mut peer = start(&ffmpeg, &remux(&format!("srt://127.0.0.1:{port}?mode=listener&latency=120000")));
    peer.bound(port).unwrap();
    let socket = SrtSocket::connect(localhost(port), &options(LATENCY)).unwrap();
    let clip = fs::read(&clip).unwrap();
    send_paced(&socket, &clip.chunks(MESSAGE).map(<[u8]>::to_vec).collect::<Vec<_>>());
    socket.close().unwrap();
    let (status, output) = peer.wait().unwrap();
    assert!(status.success(), "{peer}");
    assert_same(&output, &expected);
}

fn start<S: AsRef<std::ffi::OsStr>>(ffmpeg: &Program, arguments: &[S]) -> Peer {
    let first = ["-hide_banner", "-nostdin", "-loglevel", "warning", "-y"].map(AsRef::as_ref);
    ffmpeg.start(first.into_iter().chain(arguments.iter().map(AsRef::as_ref))).unwrap()
}

/// Four seconds of a moving picture as an MPEG transport stream.
fn clip(ffmpeg: &Program, folder: &Folder) -> PathBuf {
    let clip = folder.path("clip.ts");
    let picture = "testsrc=size=320x240:rate=25:duration=4";
    let encode = ["-c:v", "mpeg2video", "-b:v", "2M", "-f", "mpegts"];
    let arguments: Vec<&str> =
        ["-f", "lavfi", "-i", picture].into_iter().chain(encode).chain([text(&clip)]).collect();
    let mut peer = start(ffmpeg, &arguments);
    assert!(peer.wait().unwrap().0.success(), "{peer}");
    clip
}

// ---------------------------------------------------------------------------- what all of them need

const LATENCY: Duration = Duration::from_millis(120);

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
