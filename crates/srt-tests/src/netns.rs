//! Two machines on one: network namespaces joined by several cables, for tests of streams that take more than one way.
//!
//! A [`Lab`] has two ends, each a network namespace of its own, and any number of links between them, each a veth pair with
//! its own subnets, IPv4 and IPv6. A program at one end ([`Lab::command`], [`Lab::start`]) or a closure ([`Lab::run_in`])
//! sees nothing but its ends of these links. A link can be cut, silenced and restored, an end of it can get another
//! address, and an [`Emulator`] before a listener makes it a bad one.
//!
//! It takes Linux, `ip` (Debian: iproute2), CAP_NET_ADMIN and CAP_SYS_ADMIN: in short, root. [`Lab::or_skip`] says what is
//! skipped elsewhere.
//!
//! ```no_run
//! use std::time::Duration;
//! use srt_tests::netns::{End, Lab, LinkSpec};
//!
//! let Some(lab) = Lab::or_skip(&[LinkSpec::default(); 2]) else { return };
//! let door = lab.impair(lab.at(End::B, 1, 9000), &"delay=20ms,loss=2%".parse().unwrap(), 42).unwrap();
//! // … a listener at B, on any address and port 9000; a caller at A calls lab.at(End::B, 0, 9000) and door.local_addr()
//! lab.cut(0, End::A).unwrap();
//! std::thread::sleep(Duration::from_millis(100));
//! lab.restore(0).unwrap();
//! assert_eq!(door.report().refused, 0);
//! ```

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::panic;
use std::path::Path;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use srt_impair::{Emulator, Profile, Setup};

use crate::peers::{PATIENCE, Peer, Program};

/// One of the two machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a cable has two ends")]
pub enum End {
    /// By custom the one that calls.
    A,
    /// By custom the one that listens.
    B,
}

/// What a link is like when it is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkSpec {
    /// The largest IP packet, in bytes: at least 1280, which is IPv6's own minimum. Default: 1500.
    pub mtu: u16,
}

/// What went through one end of a link since it is there; cutting it does not reset this.
///
/// In bytes of frames, and not in packets: a train of datagrams that was sent in one go (UDP_SEGMENT) counts as one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// What came.
    pub received_bytes: u64,
    /// What left.
    pub sent_bytes: u64,
}

/// Why there can be no [`Lab`] here.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unavailable {
    /// This process may not do what is needed.
    NotAllowed {
        /// The capability it lacks.
        capability: &'static str,
    },
    /// There is no `ip`.
    NoIp,
    /// `ip` or the system could not do what was asked.
    Refused(io::Error),
}

/// Two network namespaces and the links between them; dropping it removes everything, also what still runs in them.
///
/// Links are counted from 0, in the order of their [`LinkSpec`]s.
#[derive(Debug)]
pub struct Lab {
    ends: [Namespace; 2],
    cables: Mutex<Vec<Cable>>,
    has_ipv6: bool,
}

#[derive(Debug)]
struct Namespace {
    name: String,
    /// Threads enter by this.
    handle: File,
}

/// What changes of a link.
#[derive(Clone, Copy, Debug)]
struct Cable {
    /// The last part of each end's addresses.
    hosts: [u8; 2],
    is_down: [bool; 2],
    is_silent: bool,
}

impl Lab {
    /// So many links between two new ends, each link up, with an IPv4 and an IPv6 address at either end.
    ///
    /// # Errors
    /// [`Unavailable`] says why not; then nothing is left behind.
    ///
    /// # Panics
    /// With more than 250 links.
    pub fn new(links: &[LinkSpec]) -> Result<Self, Unavailable> {
        assert!(links.len() <= 250, "the link is one byte of its addresses");
        check_capabilities()?;
        sweep();
        let ends = [Namespace::new("a")?, Namespace::new("b")?];
        let cables =
            Mutex::new(vec![Cable { hosts: [1, 2], is_down: [false; 2], is_silent: false }; links.len()]);
        let mut lab = Self { ends, cables, has_ipv6: true };
        lab.has_ipv6 = lab.run_in(End::A, has_ipv6);
        for end in END {
            lab.ip(end, "link set dev lo up\n")?;
        }
        for (link, spec) in links.iter().enumerate() {
            let (name, far, mtu) = (device(link), &lab.end(End::B).name, spec.mtu);
            let (a, b) = (mac(End::A, link), mac(End::B, link));
            lab.ip(
                End::A,
                &format!(
                    "link add {name} address {a} mtu {mtu} type veth peer name {name} address {b} mtu {mtu} netns {far}\n"
                ),
            )?;
            for end in END {
                lab.settle(&lab.cables(), link, end)?;
            }
            lab.wait_until_ready(&lab.cables(), link)?;
        }
        Ok(lab)
    }

    /// The same; where it is unavailable, `None`, and what is skipped has been printed.
    ///
    /// # Panics
    /// When it is unavailable although `CI=true` and we are root: there it has to work.
    pub fn or_skip(links: &[LinkSpec]) -> Option<Self> {
        match Self::new(links) {
            Ok(lab) => Some(lab),
            Err(why) => {
                let test = thread::current().name().unwrap_or("this test").to_owned();
                let why = format!("{test} needs network namespaces: {why}");
                let required = env::var("CI").is_ok_and(|value| value == "true") && is_root();
                assert!(!required, "{why}; CI=true makes that a failure for root");
                eprintln!("skipped: {why}");
                None
            }
        }
    }

    /// The IPv4 address of this end of the link, as it is now, with this port.
    ///
    /// # Panics
    /// When there is no such link, as in all that follows.
    pub fn at(&self, end: End, link: usize, port: u16) -> SocketAddr {
        (ipv4(link, self.cables()[link].hosts[end.index()]), port).into()
    }

    /// The IPv6 address likewise; `None` where the system has none.
    ///
    /// # Panics
    /// When there is no such link.
    pub fn at6(&self, end: End, link: usize, port: u16) -> Option<SocketAddr> {
        let host = self.cables()[link].hosts[end.index()];
        self.has_ipv6.then(|| (ipv6(link, host), port).into())
    }

    /// A command that will run at this end. Its process is the program itself: what is sent to it reaches the program.
    ///
    /// Should it still run when the lab is dropped, it is killed.
    pub fn command(&self, end: End, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.end(end).name]).arg(program);
        command
    }

    /// Starts a peer at this end; to wait for its port, call [`Peer::bound`] in [`run_in`](Self::run_in).
    ///
    /// # Errors
    /// When the system cannot start it.
    pub fn start<S: AsRef<OsStr>>(
        &self,
        end: End,
        program: &Program,
        arguments: impl IntoIterator<Item = S> + Send,
    ) -> io::Result<Peer> {
        self.run_in(end, || program.start(arguments))
    }

    /// Runs the closure on a thread at this end, waits for it, and gives what it gives, or its panic.
    ///
    /// Sockets, threads and processes that it makes belong to this end for ever, wherever they are used.
    ///
    /// # Panics
    /// When the closure does, or when the thread cannot enter.
    pub fn run_in<T: Send>(&self, end: End, work: impl FnOnce() -> T + Send) -> T {
        let Namespace { name, handle } = self.end(end);
        let enter = || {
            move_into_link_name_space(handle.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("who made a namespace may enter it");
            work()
        };
        let result = thread::scope(|scope| {
            let current = thread::current();
            let thread = thread::Builder::new().name(current.name().unwrap_or(name).to_owned());
            thread.spawn_scoped(scope, enter).expect("there is room for one more thread").join()
        });
        result.unwrap_or_else(|panic| panic::resume_unwind(panic))
    }

    /// Cuts the link at this end: its interface goes down there, and the system says so to those who send (no route).
    /// The other end only loses the carrier: there sending succeeds, and nothing arrives.
    ///
    /// Cutting and restoring take some milliseconds, but seconds where the processors are busy and other labs come and go:
    /// the system does such things one at a time. A test has to measure how long its cut was.
    ///
    /// # Errors
    /// When `ip` fails.
    ///
    /// # Panics
    /// When there is no such link.
    pub fn cut(&self, link: usize, end: End) -> io::Result<()> {
        let mut cables = self.cables();
        self.ip(end, &format!("link set dev {} down\n", device(link)))?;
        cables[link].is_down[end.index()] = true;
        Ok(())
    }

    /// From now on the link swallows everything, in both directions, and neither end is told: a cable torn somewhere in the
    /// middle. What is sent goes to a hardware address that nobody has. This is quick on a busy machine, too; for an
    /// outage of an exact length there is [`Emulator::outage`].
    ///
    /// # Errors
    /// When `ip` fails.
    ///
    /// # Panics
    /// When there is no such link.
    pub fn silence(&self, link: usize) -> io::Result<()> {
        let mut cables = self.cables();
        cables[link].is_silent = true; // to be undone even if only one end is
        END.into_iter().try_for_each(|end| self.ip(end, &self.neighbours(&cables, link, end)))
    }

    /// Undoes every [`cut`](Self::cut) of the link, and [`silence`](Self::silence). When it returns, the link carries packets
    /// again.
    ///
    /// # Errors
    /// When `ip` fails, or the link does not come up.
    ///
    /// # Panics
    /// When there is no such link.
    pub fn restore(&self, link: usize) -> io::Result<()> {
        let mut cables = self.cables();
        if mem::take(&mut cables[link].is_silent) {
            END.into_iter().try_for_each(|end| self.ip(end, &self.neighbours(&cables, link, end)))?;
        }
        let was_down = mem::take(&mut cables[link].is_down);
        for end in END.into_iter().filter(|end| was_down[end.index()]) {
            // Going down takes IPv6 addresses and all neighbours away.
            self.settle(&cables, link, end)?;
        }
        if was_down == [false; 2] { Ok(()) } else { self.wait_until_ready(&cables, link) }
    }

    /// Takes the addresses of this end of the link away and gives it new ones of the same subnets, which
    /// [`at`](Self::at) tells from now on: as when a router, or the lease of an address, is renewed.
    ///
    /// # Errors
    /// When `ip` fails, or after 126 changes of one end.
    ///
    /// # Panics
    /// When there is no such link, or it is cut.
    pub fn change_address(&self, link: usize, end: End) -> io::Result<()> {
        let mut cables = self.cables();
        assert_eq!(cables[link].is_down, [false; 2], "link {link} is cut");
        let (old, name) = (cables[link].hosts[end.index()], device(link));
        let new = old.checked_add(2).filter(|host| *host < 255);
        let new = new.ok_or_else(|| io::Error::other("this end of the link has had all its addresses"))?;
        let mut gone = format!("addr del {}/{IPV4_PREFIX} dev {name}\n", ipv4(link, old));
        if self.has_ipv6 {
            gone += &format!("addr del {}/{IPV6_PREFIX} dev {name}\n", ipv6(link, old));
        }
        self.ip(end, &gone)?;
        cables[link].hosts[end.index()] = new;
        self.settle(&cables, link, end)?;
        self.ip(end.other(), &self.neighbours(&cables, link, end.other()))?;
        self.wait_until_ready(&cables, link)
    }

    /// Puts an emulator before a listener: who calls its [`local_addr`](Emulator::local_addr) instead of `listener`, from
    /// the other end, reaches the listener over the same link with this profile in both directions.
    ///
    /// `listener` is where it would be called directly, such as `lab.at(End::B, 0, 9000)`; it has to be bound to this
    /// address or to all. It sees its own end's address as the caller's, with a port of its own for each caller. Changes,
    /// outages and figures: [`Emulator`]; it works as long as it is kept, but not beyond a
    /// [`change_address`](Self::change_address) at the listener's end.
    ///
    /// # Errors
    /// When `listener` is no address of this lab, or the emulator cannot start.
    pub fn impair(&self, listener: SocketAddr, profile: &Profile, seed: u64) -> io::Result<Emulator> {
        let end = self.whose(listener.ip()).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::AddrNotAvailable,
                format!("{listener} is at neither end of any link"),
            )
        })?;
        let mut setup = Setup::new(SocketAddr::new(listener.ip(), 0), listener);
        (setup.to_target, setup.to_client, setup.seed) = (profile.clone(), profile.clone(), seed);
        self.run_in(end, || Emulator::start(setup)).map_err(io::Error::other)
    }

    /// What went through this end of the link so far.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn traffic(&self, end: End, link: usize) -> io::Result<Traffic> {
        let table = self.run_in(end, || fs::read_to_string("/proc/thread-self/net/dev"))?;
        read_traffic(&table, &device(link))
            .ok_or_else(|| io::Error::other(format!("no {} in: {table}", device(link))))
    }

    fn end(&self, end: End) -> &Namespace {
        &self.ends[end.index()]
    }

    fn cables(&self) -> MutexGuard<'_, Vec<Cable>> {
        self.cables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ip(&self, end: End, lines: &str) -> io::Result<()> {
        ip(&["-n", &self.end(end).name, "-batch", "-"], lines).map(drop)
    }

    /// Everything that one end of a link needs, whatever of it is there already.
    fn settle(&self, cables: &[Cable], link: usize, end: End) -> io::Result<()> {
        let (name, host) = (device(link), cables[link].hosts[end.index()]);
        let mut lines = format!(
            "link set dev {name} up\n\
             addr replace {}/{IPV4_PREFIX} dev {name}\n",
            ipv4(link, host)
        );
        if self.has_ipv6 {
            lines += &format!("addr replace {}/{IPV6_PREFIX} dev {name} nodad\n", ipv6(link, host));
        }
        self.ip(end, &(lines + &self.neighbours(cables, link, end)))
    }

    /// What tells this end where the other one is.
    ///
    /// It is told and need not ask: who asks while the link is cut would ask again only a second later, and what is
    /// tested is not ARP. For the same reason IPv6 does not look for duplicate addresses.
    fn neighbours(&self, cables: &[Cable], link: usize, end: End) -> String {
        let (name, far) = (device(link), end.other());
        let host = cables[link].hosts[far.index()];
        let mac = if cables[link].is_silent { NOBODY.to_owned() } else { mac(far, link) };
        let line =
            |address: IpAddr| format!("neigh replace {address} lladdr {mac} nud permanent dev {name}\n");
        let six = if self.has_ipv6 { line(ipv6(link, host).into()) } else { String::new() };
        line(ipv4(link, host).into()) + &six
    }

    /// Until the system has done what `ip` only sets in motion: noticed at both ends that the cable is whole, before which it
    /// drops what is sent, and taken the IPv6 addresses for its own, before which it drops what comes for them.
    fn wait_until_ready(&self, cables: &[Cable], link: usize) -> io::Result<()> {
        let give_up = Instant::now() + PATIENCE;
        for end in END {
            let (name, host) = (device(link), ipv6(link, cables[link].hosts[end.index()]).to_string());
            let is_up = || self.shows(end, &["link", "show", "dev", &name], " state UP ");
            let local = ["-6", "route", "show", "table", "local", &host];
            let is_ours = || if self.has_ipv6 { self.shows(end, &local, &host) } else { Ok(true) };
            while !(is_up()? && is_ours()?) {
                if Instant::now() > give_up {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("link {link} does not come up"),
                    ));
                }
                thread::sleep(STEP);
            }
        }
        Ok(())
    }

    /// Whether the system's words for something at this end have this part.
    fn shows(&self, end: End, what: &[&str], part: &str) -> io::Result<bool> {
        let words = ip(&[&["-n", &self.end(end).name, "-oneline"], what].concat(), "")?;
        Ok(words.contains(part))
    }

    fn whose(&self, address: IpAddr) -> Option<End> {
        let cables = self.cables();
        let mut ends = cables.iter().enumerate().flat_map(|(link, cable)| END.map(|end| (link, end, cable)));
        let found = ends.find(|(link, end, cable)| {
            let host = cable.hosts[end.index()];
            address == ipv4(*link, host) || address == ipv6(*link, host)
        });
        found.map(|(_, end, _)| end)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // A socket of ours at one end, of an emulator say, keeps the namespace alive, but not the cables.
        let cables: String =
            (0..self.cables().len()).map(|link| format!("link del {}\n", device(link))).collect();
        // Some may not be there, if we were not made to the end; their ends are removed in any case.
        let _ = ip(&["-n", &self.end(End::A).name, "-force", "-batch", "-"], &cables);
    }
}

impl Namespace {
    /// A new one, with a name that nobody has.
    fn new(letter: &str) -> Result<Self, Unavailable> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let name = format!("{PREFIX}{}-{}-{letter}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name], "").map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Unavailable::NoIp,
            _ => Unavailable::Refused(error),
        })?;
        match File::open(Path::new(FOLDER).join(&name)) {
            Ok(handle) => Ok(Self { name, handle }),
            Err(error) => {
                dismantle(&name);
                Err(Unavailable::Refused(error))
            }
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        dismantle(&self.name);
    }
}

impl End {
    /// The one at the other end of the cable.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

impl Default for LinkSpec {
    fn default() -> Self {
        Self { mtu: 1500 }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed { capability } => write!(f, "this process has no {capability}; run it as root"),
            Self::NoIp => write!(f, "there is no ip command (Debian: package iproute2)"),
            Self::Refused(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for Unavailable {}

impl From<io::Error> for Unavailable {
    fn from(error: io::Error) -> Self {
        Self::Refused(error)
    }
}

// ---------------------------------------------------------------------------- names and addresses

/// The name of the link's interface, the same at both ends.
fn device(link: usize) -> String {
    format!("link{link}")
}

/// Subnets of 254 addresses where two would do, so that an end can get others.
const IPV4_PREFIX: u8 = 24;
const IPV6_PREFIX: u8 = 64;

fn ipv4(link: usize, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 200, byte(link), host)
}

fn ipv6(link: usize, host: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0, 0, byte(link).into(), 0, 0, 0, host.into())
}

fn mac(end: End, link: usize) -> String {
    format!("02:00:00:00:{:02x}:{:02x}", byte(link), [0x0a, 0x0b][end.index()])
}

fn byte(link: usize) -> u8 {
    u8::try_from(link).expect("there are at most 250 links")
}

// ---------------------------------------------------------------------------- the system

/// Runs `ip` with these lines as its input, and gives what it says, which must be less than a pipe holds.
fn ip(arguments: &[&str], lines: &str) -> io::Result<String> {
    let mut command = Command::new("ip");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // If it has ended already, its exit code tells.
        let _ = stdin.write_all(lines.as_bytes());
    }
    let give_up = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > give_up {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{command:?} does not end\n{lines}"),
            ));
        }
        thread::sleep(STEP);
    };
    let (mut output, mut said) = (String::new(), String::new());
    if let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) {
        stdout.read_to_string(&mut output)?;
        stderr.read_to_string(&mut said)?;
    }
    if status.success() {
        return Ok(output);
    }
    Err(io::Error::other(format!("{command:?}: {}\n{lines}", said.trim_end())))
}

/// Removes a namespace with all that runs in it, and says so when it cannot.
fn dismantle(name: &str) {
    let give_up = Instant::now() + PATIENCE;
    while let left = processes_in(name)
        && !left.is_empty()
    {
        for pid in left {
            // Fails only when it has just ended.
            let _ = kill_process(pid, Signal::KILL);
        }
        if Instant::now() > give_up {
            eprintln!("a process in {name} does not end");
            break;
        }
        thread::sleep(STEP);
    }
    if let Err(error) = ip(&["netns", "delete", name], "") {
        eprintln!("{name} could not be removed: {error}");
    }
}

/// Not our own, nor those that have ended and are not yet waited for.
fn processes_in(name: &str) -> Vec<Pid> {
    let identity = |path: &Path| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    let Some(namespace) = identity(&Path::new(FOLDER).join(name)) else { return Vec::new() };
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let inside = entries.flatten().filter(|entry| identity(&entry.path().join("ns/net")) == Some(namespace));
    let pids = inside.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
    pids.filter(|pid| pid.as_raw_nonzero().get().cast_unsigned() != process::id()).collect()
}

/// Removes what a test left behind that was killed.
fn sweep() {
    let Ok(entries) = fs::read_dir(FOLDER) else { return };
    for name in entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            dismantle(&name);
        }
    }
}

fn check_capabilities() -> Result<(), Unavailable> {
    let status = fs::read_to_string("/proc/self/status")?;
    let effective = field(&status, "CapEff:").and_then(|set| u64::from_str_radix(set, 16).ok()).unwrap_or(0);
    for (capability, bit) in [("CAP_NET_ADMIN", 12), ("CAP_SYS_ADMIN", 21)] {
        if effective >> bit & 1 == 0 {
            return Err(Unavailable::NotAllowed { capability });
        }
    }
    Ok(())
}

fn is_root() -> bool {
    // Real, effective, saved, file system.
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"))
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

/// Of the namespace this thread is in.
fn has_ipv6() -> bool {
    fs::read_to_string("/proc/sys/net/ipv6/conf/default/disable_ipv6").is_ok_and(|off| off.trim() == "0")
}

/// `  link0:  RECEIVED_BYTES PACKETS ERRORS DROPPED FIFO FRAME COMPRESSED MULTICAST  SENT_BYTES PACKETS …`
fn read_traffic(table: &str, device: &str) -> Option<Traffic> {
    let figures = table.lines().find_map(|line| line.trim_start().strip_prefix(device)?.strip_prefix(':'))?;
    let mut figures = figures.split_whitespace().map(|figure| figure.parse::<u64>().ok());
    Some(Traffic { received_bytes: figures.next()??, sent_bytes: figures.nth(7)?? })
}

const END: [End; 2] = [End::A, End::B];
/// Names of our namespaces: this, the process, a number, the end.
const PREFIX: &str = "srt-lab-";
/// Where `ip netns` keeps them.
const FOLDER: &str = "/run/netns";
/// The hardware address of no interface.
const NOBODY: &str = "02:00:00:00:00:ff";
const STEP: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_systems_table_of_interfaces_is_read() {
        let table = "Inter-|   Receive                                                |  Transmit\n \
                     face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n\
                     \x20 link1: 5678 42 0 1 0 0 0 0 999 7 0 0 0 0 0 0\n link11: 1 2 3 4 5 6 7 8 9 10 11\n";
        let traffic =
            |device| read_traffic(table, device).map(|found| (found.received_bytes, found.sent_bytes));
        assert_eq!(traffic("link1"), Some((5678, 999)));
        assert_eq!(traffic("link11"), Some((1, 9)));
        assert_eq!(traffic("link"), None);
    }

    #[test]
    fn addresses_tell_the_link_and_never_meet() {
        assert_eq!(ipv4(3, 1).to_string(), "10.200.3.1");
        assert_eq!(ipv6(3, 2).to_string(), "fd00:0:0:3::2");
        assert_ne!(mac(End::A, 3), mac(End::B, 3));
        assert_ne!(mac(End::A, 3), mac(End::A, 4));
    }
}
