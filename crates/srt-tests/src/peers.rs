//! Real peers: finds other people's SRT programs, starts them, waits until they are ready, and ends what it started.
//!
//! The programs are `srt-live-transmit` (Debian's package `srt-tools`) and `ffmpeg`. The environment may name others:
//! `SRT_LIVE_TRANSMIT=/path` and `FFMPEG=/path`, so that a libsrt built by hand can be held against ours. A program that
//! is not there makes a test skip and say so; with `CI=true` it makes the test fail.
//!
//! What tests of `srt-live-transmit` should know of it (1.5.1 and 1.5.5 alike):
//! - its standard input must be a pipe; a read that got less than the chunk size is padded with zeros to that size, so
//!   write whole chunks, each in one call of at most 4096 bytes, which a pipe neither tears nor joins;
//! - at the end of its input it does not end, but spins; waiting for input, 1.5.1 does not hear signals: keep the pipe
//!   open as long as it works, then close it and end the program with [`Peer::end`];
//! - as long as the output is not connected, input is thrown away: wait for [`Peer::connected`];
//! - as a caller that receives it says that it is connected only when the first data comes;
//! - it writes its output through a buffer, which it empties when it ends in order;
//! - with `-a:no` it ends when the connection does, and without having read what was not due yet.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How long anything may take that takes milliseconds on a machine at rest. A guard against waiting for ever, and no
/// measure of anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A peer that forgot to end does so by itself after this many seconds, whatever became of us.
const LONGEST_LIFE: &str = "-t:900";

/// A program that is there.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
}

impl Program {
    /// `srt-live-transmit`: the one named by `SRT_LIVE_TRANSMIT`, or else the one in `PATH`.
    ///
    /// `None`: there is none; what is skipped has been printed.
    ///
    /// # Panics
    /// With `CI=true` when it is missing.
    pub fn srt_live_transmit() -> Option<Self> {
        Self::find("srt-live-transmit", "SRT_LIVE_TRANSMIT", "srt-tools")
    }

    /// `ffmpeg` with libsrt inside: the one named by `FFMPEG`, or else the one in `PATH`.
    ///
    /// `None`: there is none; what is skipped has been printed.
    ///
    /// # Panics
    /// With `CI=true` when it is missing.
    pub fn ffmpeg() -> Option<Self> {
        Self::find("ffmpeg", "FFMPEG", "ffmpeg")
    }

    /// This file, whatever it is.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn find(name: &str, variable: &str, package: &str) -> Option<Self> {
        let named = env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
        let found = match named {
            Some(path) => path.is_file().then_some(path),
            None => env::split_paths(&env::var_os("PATH").unwrap_or_default())
                .map(|folder| folder.join(name))
                .find(|path| path.is_file()),
        };
        if found.is_none() {
            let test = thread::current().name().unwrap_or("this test").to_owned();
            let why = format!(
                "{test} needs {name}, which is not installed (Debian: package {package}; or set {variable}=/path)"
            );
            let required = env::var("CI").is_ok_and(|value| value == "true");
            assert!(!required, "{why}; CI=true makes that a failure");
            eprintln!("skipped: {why}");
        }
        found.map(|path| Self { path })
    }

    /// The version of libsrt in `srt-live-transmit`, such as 0x010501, from its own words.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn libsrt_version(&self) -> io::Result<u32> {
        let mut peer = self.start(["-version"])?;
        peer.wait()?;
        let words = peer.stderr();
        let (_, version) = words
            .rsplit_once("SRT Library version: ")
            .ok_or_else(|| peer.fault("it does not tell its version"))?;
        let numbers = version.split(|character: char| !character.is_ascii_digit()).take(3);
        numbers
            .map(|number| number.parse::<u32>().map_err(io::Error::other))
            .try_fold(0, |version, number| Ok(version << 8 | number?))
    }

    /// Starts it with all three standard streams connected to us.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn start<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> io::Result<Peer> {
        Peer::start(&self.path, arguments)
    }

    /// Starts `srt-live-transmit INPUT OUTPUT` with chunks of 1316 bytes; it ends when its connection ends.
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn transmit(&self, input: &str, output: &str, more: &[&str]) -> io::Result<Peer> {
        let flags = ["-a:no", "-c:1316", LONGEST_LIFE].into_iter();
        self.start(flags.chain(more.iter().copied()).chain([input, output]))
    }
}

/// A program that runs; dropping it ends it, and shows what it said if the test is failing.
#[derive(Debug)]
pub struct Peer {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    output: Arc<Heard>,
    said: Arc<Heard>,
    listeners: Vec<JoinHandle<()>>,
    shown: bool,
}

/// What a peer wrote so far.
#[derive(Debug, Default)]
struct Heard {
    state: Mutex<Hearing>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Hearing {
    bytes: Vec<u8>,
    ended: bool,
}

impl Peer {
    fn start<S: AsRef<OsStr>>(path: &Path, arguments: impl IntoIterator<Item = S>) -> io::Result<Self> {
        let mut command = Command::new(path);
        command.args(arguments);
        let name = format!("{command:?}");
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| io::Error::new(error.kind(), format!("{name}: {error}")))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (output, said) = (Arc::<Heard>::default(), Arc::<Heard>::default());
        let mut listeners = Vec::new();
        if let Some(stdout) = stdout {
            let heard = Arc::clone(&output);
            listeners.push(thread::spawn(move || heard.listen(stdout)));
        }
        if let Some(stderr) = stderr {
            let heard = Arc::clone(&said);
            listeners.push(thread::spawn(move || heard.listen(BufReader::new(stderr))));
        }
        Ok(Self { name, child, stdin, output, said, listeners, shown: false })
    }

    /// Its standard input, once.
    ///
    /// # Panics
    /// The second time.
    pub fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("standard input is taken once")
    }

    /// Waits until `srt-live-transmit` says that it is connected.
    ///
    /// # Errors
    /// When it ends, or takes longer than [`PATIENCE`].
    pub fn connected(&self) -> io::Result<()> {
        self.says_any(&["SRT source connected", "SRT target connected", "Accepted SRT"]) // a caller, or a listener
    }

    /// Waits until it has written this on standard error.
    ///
    /// # Errors
    /// When it ends without, or takes longer than [`PATIENCE`].
    pub fn says(&self, text: &str) -> io::Result<()> {
        self.says_any(&[text])
    }

    fn says_any(&self, texts: &[&str]) -> io::Result<()> {
        let found =
            self.said.wait(|hearing| texts.iter().any(|text| contains(&hearing.bytes, text.as_bytes())));
        found.map_err(|why| self.fault(&format!("{why} before it said \"{}\"", texts.join("\" or \""))))
    }

    /// Waits until it has bound this UDP port, as far as the system tells (on Linux; elsewhere callers' retries do).
    ///
    /// # Errors
    /// When it ends, or takes longer than [`PATIENCE`].
    pub fn bound(&mut self, port: u16) -> io::Result<()> {
        let ended = wait_until(|| is_bound(port), || matches!(self.child.try_wait(), Ok(Some(_))));
        ended.map_err(|why| self.fault(&format!("{why} before it bound port {port}")))
    }

    /// Waits until standard output holds this many bytes, and gives what is there.
    ///
    /// # Errors
    /// When it ends before, or nothing comes for [`PATIENCE`].
    pub fn output_of(&self, bytes: usize) -> io::Result<Vec<u8>> {
        let found = self.output.wait(|hearing| hearing.bytes.len() >= bytes);
        found.map_err(|why| {
            let got = self.output.lock().bytes.len();
            self.fault(&format!("{why} after {got} of {bytes} bytes"))
        })?;
        Ok(self.output.lock().bytes.clone())
    }

    /// Takes away what came on standard output since the last time; the rest of the output no longer contains it.
    pub fn take_output(&self) -> Vec<u8> {
        std::mem::take(&mut self.output.lock().bytes)
    }

    /// Everything it wrote on standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().bytes).into_owned()
    }

    /// Waits for its end, and gives how it ended and all that it wrote on standard output.
    ///
    /// # Errors
    /// When it takes longer than [`PATIENCE`].
    pub fn wait(&mut self) -> io::Result<(ExitStatus, Vec<u8>)> {
        let give_up = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            if Instant::now() > give_up {
                return Err(self.fault("it did not end"));
            }
            thread::sleep(STEP);
        };
        for listener in self.listeners.drain(..) {
            // The thread ends with the pipe; a panic in it would show as missing output.
            let _ = listener.join();
        }
        Ok((status, self.output.lock().bytes.clone()))
    }

    /// Closes its input, asks it to end in order (SIGTERM) as one does with `srt-live-transmit`, and waits for that.
    ///
    /// Who took the input closes it before.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn end(&mut self) -> io::Result<(ExitStatus, Vec<u8>)> {
        self.stdin = None;
        if self.child.try_wait()?.is_none() {
            self.ask_to_end();
        }
        self.wait()
    }

    #[cfg(unix)]
    fn ask_to_end(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        // Fails only when it has ended just now, which is what is wanted.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }

    #[cfg(not(unix))]
    fn ask_to_end(&mut self) {
        let _ = self.child.kill();
    }

    fn fault(&self, what: &str) -> io::Error {
        io::Error::other(format!("{what}\n{self}"))
    }
}

impl fmt::Display for Peer {
    /// The command line, and what it said on standard error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name)?;
        for line in self.stderr().lines() {
            writeln!(f, "    {line}")?;
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            // Ours by handle: `Child` never kills a process it has not started.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        for listener in self.listeners.drain(..) {
            let _ = listener.join();
        }
        if thread::panicking() && !self.shown {
            self.shown = true;
            eprintln!("peer at the time of failure: {self}");
        }
    }
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, Hearing> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, mut from: impl Read) {
        let mut piece = vec![0; 1 << 16];
        loop {
            match from.read(&mut piece) {
                Ok(0) => break,
                Ok(len) => self.lock().bytes.extend_from_slice(&piece[..len]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            }
            self.changed.notify_all();
        }
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits until `enough`, as long as something comes every now and then.
    fn wait(&self, enough: impl Fn(&Hearing) -> bool) -> Result<(), &'static str> {
        let mut hearing = self.lock();
        loop {
            if enough(&hearing) {
                return Ok(());
            }
            if hearing.ended {
                return Err("it ended");
            }
            let (next, timed_out) =
                self.changed.wait_timeout(hearing, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            hearing = next;
            if timed_out.timed_out() && !enough(&hearing) {
                return Err("it fell silent");
            }
        }
    }
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Writes whole chunks into a peer's standard input: each in one call, so that the pipe keeps them whole.
///
/// # Errors
/// When the peer has ended.
pub fn feed<'a>(stdin: &mut ChildStdin, chunks: impl IntoIterator<Item = &'a [u8]>) -> io::Result<()> {
    chunks.into_iter().try_for_each(|chunk| stdin.write_all(chunk))
}

/// A UDP port that nobody uses, for programs which cannot be told to choose one.
///
/// Outside the range from which systems choose ports by themselves, so that it stays free, and never the same twice in
/// one process.
///
/// # Errors
/// When there is none, or no network at all.
pub fn free_port() -> io::Result<u16> {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    // Test programs that run at the same time begin at different places.
    let begin = std::process::id().wrapping_mul(97) % COUNT;
    for step in 0..COUNT {
        let port = u16::try_from(FIRST + (begin + step) % COUNT).map_err(io::Error::other)?;
        if !given.contains(&port) && UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok() {
            given.insert(port);
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free UDP port between 20000 and 31999"))
}

/// Datagrams that the system dropped at the sockets bound to this UDP port, as their buffers were full. `None` where it
/// does not tell, or when there is no such socket.
pub fn udp_drops(port: u16) -> Option<u64> {
    let drops = udp_sockets()?.into_iter().filter(|socket| socket.port == port).map(|socket| socket.drops);
    drops.reduce(|sum, more| sum + more)
}

/// Waits until a socket of whatever program is bound to this UDP port, as [`Peer::bound`] does for a peer.
///
/// # Errors
/// When it takes longer than [`PATIENCE`].
pub fn wait_bound(port: u16) -> io::Result<()> {
    let waited = wait_until(|| is_bound(port), || false);
    waited.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, format!("nobody bound UDP port {port}")))
}

fn wait_until(done: impl Fn() -> bool, mut hopeless: impl FnMut() -> bool) -> Result<(), &'static str> {
    let give_up = Instant::now() + PATIENCE;
    while !done() {
        if hopeless() {
            return Err("it ended");
        }
        if Instant::now() > give_up {
            return Err("it took too long");
        }
        thread::sleep(STEP);
    }
    Ok(())
}

/// Also where the system does not tell.
fn is_bound(port: u16) -> bool {
    udp_sockets().is_none_or(|sockets| sockets.iter().any(|socket| socket.port == port))
}

struct BoundSocket {
    port: u16,
    drops: u64,
}

/// The system's table of UDP sockets (Linux), of the network namespace that this thread is in.
fn udp_sockets() -> Option<Vec<BoundSocket>> {
    let mut sockets = Vec::new();
    let mut seen = false;
    for table in ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"] {
        if let Ok(file) = fs::File::open(table) {
            seen = true;
            let lines = BufReader::new(file).lines().map_while(Result::ok);
            sockets.extend(lines.filter_map(|line| read_socket(&line)));
        }
    }
    seen.then_some(sockets)
}

/// ` 1234: 0100007F:270F 00000000:0000 07 … DROPS`
fn read_socket(line: &str) -> Option<BoundSocket> {
    let mut fields = line.split_whitespace();
    let (_, port) = fields.nth(1)?.rsplit_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(BoundSocket { port, drops: fields.last()?.parse().ok()? })
}

/// How often a process is asked whether it lives: the one thing that cannot be waited for.
const STEP: Duration = Duration::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_systems_table_is_read() {
        let line = "  421: 0100007F:270F 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 31377 2 \
                    0000000000000000 12";
        let socket = read_socket(line).unwrap();
        assert_eq!((socket.port, socket.drops), (9999, 12));
        assert!(read_socket("  sl  local_address rem_address   st tx_queue rx_queue drops").is_none());
    }

    #[test]
    fn a_bound_port_is_seen_and_is_not_given_as_free() {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        assert!(is_bound(port));
        assert_eq!(udp_drops(port), udp_sockets().map(|_| 0));
        let (first, second) = (free_port().unwrap(), free_port().unwrap());
        assert!(first != second && first != port && second != port);
    }

    #[test]
    fn text_is_found_anywhere() {
        assert!(contains(b"SRT target connected\n", b"connect"));
        assert!(!contains(b"SRT target", b"connect"));
        assert!(!contains(b"", b"connect"));
    }

    #[cfg(unix)]
    #[test]
    fn what_a_program_reads_writes_and_says_passes_through_us_and_it_ends_when_asked() {
        let script = "echo hello >&2; cat; echo over >&2";
        let mut peer = Program::at("/bin/sh").start(["-c", script]).unwrap();
        peer.says("hello").unwrap();
        let mut stdin = peer.take_stdin();
        feed(&mut stdin, [&b"one"[..], b"two"]).unwrap();
        assert_eq!(peer.output_of(6).unwrap(), b"onetwo");
        assert_eq!(peer.take_output(), b"onetwo");
        feed(&mut stdin, [&b"three"[..]]).unwrap();
        drop(stdin);
        let (status, output) = peer.wait().unwrap();
        assert!(status.success());
        assert_eq!(output, b"three");
        assert_eq!(peer.stderr(), "hello\nover\n");
        assert!(peer.says("never").unwrap_err().to_string().starts_with("it ended before it said \"never\""));

        let mut endless = Program::at("/bin/sh")
            .start(["-c", "trap 'exit 3' TERM; echo ready >&2; read x; read x"])
            .unwrap();
        endless.says("ready").unwrap();
        // A shell notices the signal in a builtin; the closed input ends it in any case.
        drop(endless.take_stdin());
        assert!(endless.end().is_ok());
    }
}
