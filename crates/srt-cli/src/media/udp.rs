//! `udp://` (and the datagrams of `rtp://`): unicast and multicast, a datagram is a message.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};

use super::interface;
use super::rtp::{FIXED_HEADER, Header, Strip};
use super::uri::masked;
use super::{MediaUri, Nature, Read, Scheme, Setup, Sink, Source, WAIT, Wrote};
use crate::batch::Batch;
use crate::error::{Failure, UriFault, UriProblem};
use crate::pump::Counters;
use crate::talk::Talk;

/// No UDP datagram is larger.
const LARGEST_DATAGRAM: usize = 65_535;
/// Receive buffer asked for when the address does not say; the kernel grants what it allows.
const RECEIVE_BUFFER: usize = 4 << 20;
/// After a stop, what the kernel holds is still read, but an endless flood is not.
const LAST_DATAGRAMS: usize = 16_384;
const ZONE_MEND: &str = "name the interface, as in [ff02::7%eth0] or adapter=eth0";

/// What an address of UDP may say.
pub(super) const UDP_KEYS: [&str; 8] =
    ["iptos", "ttl", "mcloop", "rcvbuf", "sndbuf", "adapter", "source", "multicast"];
const UDP_KNOWN: &str = "iptos, ttl, mcloop, rcvbuf, sndbuf, adapter, source, multicast";
/// What an address of RTP may say as an input.
pub(super) const RTP_IN_KEYS: [&str; 9] =
    ["iptos", "ttl", "mcloop", "rcvbuf", "sndbuf", "adapter", "source", "multicast", "rtpheadersize"];
const RTP_IN_KNOWN: &str = "iptos, ttl, mcloop, rcvbuf, sndbuf, adapter, source, multicast, rtpheadersize";
/// What an address of RTP may say as an output.
pub(super) const RTP_OUT_KEYS: [&str; 10] =
    ["iptos", "ttl", "mcloop", "rcvbuf", "sndbuf", "adapter", "source", "multicast", "pt", "ssrc"];
const RTP_OUT_KNOWN: &str = "iptos, ttl, mcloop, rcvbuf, sndbuf, adapter, source, multicast, pt, ssrc";

/// What the address says about the socket.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wishes {
    port: u16,
    tos: Option<u32>,
    ttl: Option<u32>,
    multicast_loop: Option<bool>,
    receive_buffer: Option<usize>,
    send_buffer: Option<usize>,
    adapter: Option<Adapter>,
    source: Option<Ipv4Addr>,
}

/// The network interface that the address names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Adapter {
    /// By an address it has.
    Ip(IpAddr),
    /// By its number, which is what becomes of its name.
    Number(u32),
}

impl Wishes {
    fn of(uri: &MediaUri) -> Result<Self, UriFault> {
        let bytes = |key| {
            let number = uri.number(key, (1, i32::MAX as u32), "1 to 2147483647 bytes")?;
            Ok::<_, UriFault>(number.and_then(|number| usize::try_from(number).ok()))
        };
        let multicast_loop = match uri.value("mcloop") {
            None => None,
            Some("1" | "yes" | "on" | "true") => Some(true),
            Some("0" | "no" | "off" | "false") => Some(false),
            Some(value) => return Err(uri.wrong("mcloop", value, "1 or 0, yes or no")),
        };
        let adapter = match uri.value("adapter").filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => {
                let allowed = "the IP address of a local network interface; for IPv6 multicast also its name";
                let number = || interface::by_name(text).map(Adapter::Number);
                let adapter = text.parse().map(Adapter::Ip).ok().or_else(number);
                Some(adapter.ok_or_else(|| uri.wrong("adapter", text, allowed))?)
            }
        };
        let source = match uri.value("source") {
            None => None,
            Some(text) => {
                Some(text.parse().map_err(|_| uri.wrong("source", text, "the sender's IPv4 address"))?)
            }
        };
        Ok(Self {
            port: uri.port()?,
            tos: uri.number("iptos", (0, 255), "0 to 255")?,
            ttl: uri.number("ttl", (1, 255), "1 to 255")?,
            multicast_loop,
            receive_buffer: bytes("rcvbuf")?,
            send_buffer: bytes("sndbuf")?,
            adapter,
            source,
        })
    }

    /// The host of the address, or `empty` when there is none. A group of IPv6 has the number of its interface with it.
    fn resolve(&self, uri: &MediaUri, empty: IpAddr) -> Result<SocketAddr, Failure> {
        let mut address = self.look_up(uri, empty)?;
        if uri.value("multicast").is_some() && !address.ip().is_multicast() {
            let allowed = "together with the address of a group: 224.0.0.0 to 239.255.255.255, or ff00::/8";
            return Err(uri.wrong("multicast", uri.value("multicast").unwrap_or_default(), allowed).into());
        }
        match (&mut address, self.adapter) {
            (SocketAddr::V6(group), Some(adapter)) if group.ip().is_multicast() => {
                let number = match adapter {
                    Adapter::Number(number) => Some(number),
                    Adapter::Ip(IpAddr::V6(address)) => interface::by_address(address),
                    Adapter::Ip(IpAddr::V4(_)) => None,
                };
                let allowed = "for IPv6 multicast the name of a network interface, or an IPv6 address it has";
                let text = uri.value("adapter").unwrap_or_default();
                group.set_scope_id(number.ok_or_else(|| uri.wrong("adapter", text, allowed))?);
            }
            (_, Some(Adapter::Number(_))) => {
                let allowed =
                    "the IP address of a local network interface; its name for IPv6 multicast alone";
                return Err(uri.wrong("adapter", uri.value("adapter").unwrap_or_default(), allowed).into());
            }
            _ => {}
        }
        Ok(address)
    }

    fn look_up(&self, uri: &MediaUri, empty: IpAddr) -> Result<SocketAddr, Failure> {
        if uri.host.is_empty() {
            return Ok(SocketAddr::new(empty, self.port));
        }
        if let Some((ip, zone)) = interface::split_zone(&uri.host) {
            let none = || uri.fault(UriProblem::Interface(zone.to_owned()));
            let number = interface::by_name(zone).ok_or_else(none)?;
            return Ok(SocketAddrV6::new(ip, self.port, 0, number).into());
        }
        let none = || ErrorKind::NotFound.into();
        let found = (uri.host.as_str(), self.port).to_socket_addrs();
        found
            .and_then(|mut addresses| addresses.next().ok_or_else(none))
            .map_err(|source| Failure::Resolve { uri: masked(&uri.text), source })
    }

    fn apply(&self, socket: &Socket, address: SocketAddr) -> Result<(), (&'static str, io::Error)> {
        let multicast = address.ip().is_multicast();
        if let Some(tos) = self.tos {
            let done = if address.is_ipv4() { socket.set_tos_v4(tos) } else { set_tos_v6(socket, tos) };
            done.map_err(|error| ("iptos", error))?;
        }
        if let Some(ttl) = self.ttl {
            let done = match (address.is_ipv4(), multicast) {
                (true, true) => socket.set_multicast_ttl_v4(ttl),
                (true, false) => socket.set_ttl_v4(ttl),
                (false, true) => socket.set_multicast_hops_v6(ttl),
                (false, false) => socket.set_unicast_hops_v6(ttl),
            };
            done.map_err(|error| ("ttl", error))?;
        }
        if let Some(on) = self.multicast_loop {
            let done = if address.is_ipv4() {
                socket.set_multicast_loop_v4(on)
            } else {
                socket.set_multicast_loop_v6(on)
            };
            done.map_err(|error| ("mcloop", error))?;
        }
        if let Some(bytes) = self.send_buffer {
            socket.set_send_buffer_size(bytes).map_err(|error| ("sndbuf", error))?;
        }
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes).map_err(|error| ("rcvbuf", error))?;
        }
        Ok(())
    }

    fn adapter_v4(&self) -> Option<Ipv4Addr> {
        match self.adapter {
            Some(Adapter::Ip(IpAddr::V4(adapter))) => Some(adapter),
            _ => None,
        }
    }

    fn join(&self, socket: &Socket, group: SocketAddr) -> io::Result<()> {
        match group {
            SocketAddr::V4(group) => {
                let group = *group.ip();
                let interface = self.adapter_v4().unwrap_or(Ipv4Addr::UNSPECIFIED);
                match self.source {
                    Some(source) => join_from(socket, source, group, interface),
                    None => socket.join_multicast_v4(&group, &interface),
                }
            }
            SocketAddr::V6(group) => socket.join_multicast_v6(group.ip(), group.scope_id()),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_os = "macos", target_os = "freebsd", windows))]
fn join_from(socket: &Socket, source: Ipv4Addr, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
    socket.join_ssm_v4(&source, &group, &interface)
}

#[cfg(not(any(
    target_os = "linux",
    target_os = "android",
    target_os = "macos",
    target_os = "freebsd",
    windows
)))]
fn join_from(_: &Socket, _: Ipv4Addr, _: Ipv4Addr, _: Ipv4Addr) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn set_tos_v6(socket: &Socket, tos: u32) -> io::Result<()> {
    socket.set_tclass_v6(tos)
}

#[cfg(not(unix))]
fn set_tos_v6(_: &Socket, _: u32) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

fn failed(uri: &MediaUri, doing: &'static str, mend: &'static str) -> impl FnOnce(io::Error) -> Failure {
    let uri = masked(&uri.text);
    move |source| Failure::Socket { uri, doing, source, mend }
}

fn socket(uri: &MediaUri, wishes: &Wishes, address: SocketAddr) -> Result<Socket, Failure> {
    let made = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP));
    let socket = made.map_err(failed(uri, "no UDP socket", "check the limits of the system"))?;
    wishes.apply(&socket, address).map_err(|(option, source)| {
        let mend = "leave the parameter out, or choose another value";
        Failure::Socket { uri: masked(&uri.text), doing: option, source, mend }
    })?;
    Ok(socket)
}

/// Datagrams that arrive at an address, or at a multicast group.
#[derive(Debug)]
pub(crate) struct UdpSource {
    socket: UdpSocket,
    name: String,
    strip: Strip,
    limit: Option<usize>,
    scratch: Vec<u8>,
    malformed: u64,
    last: Option<usize>,
    counters: Arc<Counters>,
    talk: Talk,
}

impl UdpSource {
    /// # Errors
    /// A wrong parameter, a port in use, a group that cannot be joined.
    pub(crate) fn open(
        uri: &MediaUri,
        setup: &Setup,
        limit: Option<usize>,
        strip: Strip,
    ) -> Result<Self, Failure> {
        if uri.scheme == Scheme::Rtp {
            uri.allow(&RTP_IN_KEYS, RTP_IN_KNOWN)?;
        } else {
            uri.allow(&UDP_KEYS, UDP_KNOWN)?;
        }
        let wishes = Wishes::of(uri)?;
        let address = wishes.resolve(uri, Ipv4Addr::UNSPECIFIED.into())?;
        let socket = socket(uri, &wishes, address)?;
        if wishes.receive_buffer.is_none() {
            // More than the default where the system allows it; less is no fault.
            let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
        }
        let group = address.ip().is_multicast();
        let mut bind = address;
        if group {
            // Several programs may listen to one group.
            let shared = socket.set_reuse_address(true);
            shared.map_err(failed(uri, "address reuse", "check the limits of the system"))?;
            // Windows cannot bind to a group.
            if cfg!(windows) {
                bind.set_ip(match address.ip() {
                    IpAddr::V4(_) => wishes.adapter_v4().unwrap_or(Ipv4Addr::UNSPECIFIED).into(),
                    IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
                });
            }
        }
        socket.bind(&bind.into()).map_err(|source| {
            let mend = match source.kind() {
                ErrorKind::AddrInUse => "choose another port, or end the program that has it",
                ErrorKind::AddrNotAvailable => "give an address of this machine, or leave it out",
                ErrorKind::PermissionDenied => "choose a port from 1024 on",
                ErrorKind::InvalidInput if group && address.is_ipv6() => ZONE_MEND,
                _ => "choose another address or port",
            };
            Failure::Socket { uri: masked(&uri.text), doing: "cannot listen there", source, mend }
        })?;
        if group {
            let mend =
                if address.is_ipv6() { ZONE_MEND } else { "name the interface's address with adapter=" };
            wishes.join(&socket, address).map_err(failed(uri, "cannot join the group", mend))?;
        }
        let socket = UdpSocket::from(socket);
        let prepared = socket.set_read_timeout(Some(WAIT)).and_then(|()| socket.set_nonblocking(true));
        prepared.map_err(failed(
            uri,
            "cannot wait on the socket",
            "this should not happen; please report it",
        ))?;
        let scratch = vec![0; LARGEST_DATAGRAM];
        let (counters, talk) = (Arc::clone(&setup.counters), setup.talk.clone());
        let name = masked(&uri.text);
        Ok(Self { socket, name, strip, limit, scratch, malformed: 0, last: None, counters, talk })
    }

    /// Takes one datagram; `false` when there is none.
    fn take(&mut self, batch: &mut Batch) -> Result<bool, Failure> {
        let count = match self.socket.recv(&mut self.scratch) {
            Ok(count) => count,
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => return Ok(false),
                // An ICMP message about something sent before from this port: no matter for who listens.
                ErrorKind::Interrupted | ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => {
                    return Ok(true);
                }
                _ => {
                    let mend = "check the network interface";
                    let what = self.name.clone();
                    return Err(Failure::Transfer { what, doing: "receiving", source: error, mend });
                }
            },
        };
        let Some(payload) = self.strip.payload(&self.scratch[..count]) else {
            self.malformed += 1;
            if self.malformed == 1 {
                let name = &self.name;
                tracing::warn!(
                    "{name}: a datagram without an RTP header was skipped; use udp:// for plain UDP"
                );
            }
            return Ok(true);
        };
        if let Some(max) = self.limit
            && payload.len() > max
        {
            // A stray datagram must not end a stream, and one that is always too large is seen by the warning.
            if self.counters.too_large.fetch_add(1, Ordering::Relaxed) == 0 {
                let (name, len) = (&self.name, payload.len());
                self.talk.warn(format!(
                    "{name}: a datagram of {len} bytes was thrown away: the SRT output carries at most {max}; let the sender use \
                     smaller packets (ffmpeg: pkt_size=1316), or raise --chunk to 1456 at most"
                ));
            }
            return Ok(true);
        }
        if !payload.is_empty() {
            batch.push(payload, Some(srt::time_now().as_micros()));
        }
        Ok(true)
    }
}

impl Source for UdpSource {
    fn read(&mut self, batch: &mut Batch, room: usize) -> Result<Read, Failure> {
        let before = batch.len();
        for _ in 0..room.max(1) {
            if !self.take(batch)? {
                break;
            }
        }
        if let Some(left) = &mut self.last {
            *left = left.saturating_sub(batch.len() - before);
            if batch.len() == before || *left == 0 {
                return Ok(Read::End);
            }
        }
        if batch.len() > before {
            return Ok(Read::Messages);
        }
        // Nothing there: wait for one, as the timeout allows, then look for more without waiting.
        let waited = self.socket.set_nonblocking(false).map(|()| self.take(batch));
        let again = self.socket.set_nonblocking(true);
        match waited.and_then(|took| again.map(|()| took)) {
            Ok(took) => took?,
            Err(source) => {
                let mend = "this should not happen; please report it";
                return Err(Failure::Transfer { what: self.name.clone(), doing: "waiting", source, mend });
            }
        };
        Ok(if batch.len() > before { Read::Messages } else { Read::Nothing })
    }

    fn stop(&mut self) {
        self.last = Some(LAST_DATAGRAMS);
    }

    fn nature(&self) -> Nature {
        Nature::Live
    }
}

/// Datagrams to an address or a multicast group, with or without an RTP header.
#[derive(Debug)]
pub(crate) struct UdpSink {
    socket: UdpSocket,
    to: SocketAddr,
    name: String,
    header: Option<Header>,
    began: Instant,
    scratch: Vec<u8>,
    refused: u64,
    talk: Talk,
}

impl UdpSink {
    /// # Errors
    /// A wrong parameter, a name without address, an interface that is not there.
    pub(crate) fn open(uri: &MediaUri, setup: &Setup, header: Option<Header>) -> Result<Self, Failure> {
        if header.is_some() {
            uri.allow(&RTP_OUT_KEYS, RTP_OUT_KNOWN)?;
        } else {
            uri.allow(&UDP_KEYS, UDP_KNOWN)?;
        }
        let wishes = Wishes::of(uri)?;
        if uri.host.is_empty() {
            let name = masked(&uri.text);
            setup.talk.say(format!("{name}: no host given; sending to this machine (127.0.0.1)"));
        }
        let to = wishes.resolve(uri, Ipv4Addr::LOCALHOST.into())?;
        let socket = socket(uri, &wishes, to)?;
        let chosen = match (to, wishes.adapter) {
            (SocketAddr::V6(group), _) if group.ip().is_multicast() => match group.scope_id() {
                0 => Ok(()),
                number => socket.set_multicast_if_v6(number),
            },
            (SocketAddr::V4(group), Some(Adapter::Ip(IpAddr::V4(adapter)))) if group.ip().is_multicast() => {
                socket.set_multicast_if_v4(&adapter)
            }
            (_, Some(Adapter::Ip(adapter))) => socket.bind(&SocketAddr::new(adapter, 0).into()),
            (_, Some(Adapter::Number(_)) | None) => Ok(()),
        };
        chosen.map_err(failed(uri, "adapter", "give the address of a local network interface"))?;
        Ok(Self {
            socket: socket.into(),
            to,
            name: masked(&uri.text),
            header,
            began: Instant::now(),
            scratch: Vec::with_capacity(2048),
            refused: 0,
            talk: setup.talk.clone(),
        })
    }

    fn send(&mut self, message: &[u8]) -> Result<(), Failure> {
        let sent = match &mut self.header {
            None => self.socket.send_to(message, self.to),
            Some(header) => {
                let elapsed = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
                self.scratch.clear();
                self.scratch.extend_from_slice(&header.next(elapsed));
                self.scratch.extend_from_slice(message);
                self.socket.send_to(&self.scratch, self.to)
            }
        };
        let Err(error) = sent else { return Ok(()) };
        let size = message.len() + if self.header.is_some() { FIXED_HEADER } else { 0 };
        if size > LARGEST_DATAGRAM - 28 {
            return Err(Failure::Transfer {
                what: self.name.clone(),
                doing: "sending so large a message",
                source: error,
                mend: "use a smaller --chunk",
            });
        }
        // A receiver that is not there or a full queue is the daily life of UDP; it may be better a moment later.
        self.refused += 1;
        if self.refused == 1 {
            self.talk.warn(format!("{}: a datagram could not be sent ({error}); going on", self.name));
        }
        Ok(())
    }
}

impl Sink for UdpSink {
    fn write(&mut self, batch: &Batch) -> Result<Wrote, Failure> {
        for (message, _) in batch.iter() {
            self.send(message)?;
        }
        Ok(Wrote::Messages(batch.len()))
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if self.refused > 1 {
            self.talk.warn(format!("{}: {} datagrams could not be sent", self.name, self.refused));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes::tests::setup;
    use super::*;

    fn uri(text: &str) -> MediaUri {
        MediaUri::parse(text).unwrap()
    }

    /// A source on a port of its own, and the port.
    fn listening(kind: &str, limit: Option<usize>) -> (UdpSource, u16) {
        for _ in 0..20 {
            let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let uri = uri(&format!("{kind}://127.0.0.1:{port}"));
            let strip = if kind == "rtp" { Strip::Rtp } else { Strip::Nothing };
            if let Ok(source) = UdpSource::open(&uri, &setup(1316), limit, strip) {
                return (source, port);
            }
        }
        panic!("no free port in twenty tries");
    }

    fn batch_of(messages: &[&[u8]]) -> Batch {
        let mut batch = Batch::default();
        messages.iter().for_each(|message| batch.push(message, None));
        batch
    }

    fn read_all(source: &mut UdpSource, count: usize) -> Vec<Vec<u8>> {
        let mut batch = Batch::default();
        while batch.len() < count {
            source.read(&mut batch, 8).unwrap();
        }
        assert!(batch.iter().all(|(_, time)| time.is_some()), "arrivals are timed");
        batch.iter().map(|(message, _)| message.to_vec()).collect()
    }

    #[test]
    fn datagrams_keep_their_borders_over_the_loopback() {
        let (mut source, port) = listening("udp", Some(1316));
        let mut sink =
            UdpSink::open(&uri(&format!("udp://127.0.0.1:{port}?ttl=2")), &setup(1316), None).unwrap();
        let sent = batch_of(&[b"one", &[2; 1316], b"three"]);
        assert_eq!(sink.write(&sent).unwrap(), Wrote::Messages(3));
        sink.finish().unwrap();
        assert_eq!(read_all(&mut source, 3), [b"one".to_vec(), vec![2; 1316], b"three".to_vec()]);
        assert_eq!(source.read(&mut Batch::default(), 8).unwrap(), Read::Nothing);
    }

    #[test]
    fn a_stop_still_reads_what_has_arrived_and_then_ends() {
        let (mut source, port) = listening("udp", None);
        let mut sink = UdpSink::open(&uri(&format!("udp://127.0.0.1:{port}")), &setup(1316), None).unwrap();
        sink.write(&batch_of(&[b"last"])).unwrap();
        assert_eq!(read_all(&mut source, 1).len(), 1);
        sink.write(&batch_of(&[b"really last"])).unwrap();
        source.stop();
        let mut batch = Batch::default();
        // The loopback delivers before send returns.
        assert_eq!(source.read(&mut batch, 8).unwrap(), Read::Messages);
        assert_eq!(batch.bytes(), b"really last");
        assert_eq!(source.read(&mut batch, 8).unwrap(), Read::End);
    }

    #[test]
    fn a_datagram_larger_than_the_output_takes_is_thrown_away_and_counted_and_the_stream_goes_on() {
        let (mut source, port) = listening("udp", Some(1316));
        let mut sink = UdpSink::open(&uri(&format!("udp://127.0.0.1:{port}")), &setup(1316), None).unwrap();
        sink.write(&batch_of(&[b"before", &[0; 1317], b"after"])).unwrap();
        assert_eq!(read_all(&mut source, 2), [b"before".to_vec(), b"after".to_vec()]);
        assert_eq!(source.counters.too_large.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn rtp_out_and_in_gives_the_payload_and_skips_what_is_no_rtp() {
        let (mut source, port) = listening("rtp", None);
        let target = format!("127.0.0.1:{port}");
        UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"no rtp", &target).unwrap();
        let address = uri(&format!("rtp://{target}"));
        let header = Header::of(&address).unwrap();
        let mut sink = UdpSink::open(&address, &setup(1316), Some(header)).unwrap();
        sink.write(&batch_of(&[b"payload"])).unwrap();
        assert_eq!(read_all(&mut source, 1), [b"payload".to_vec()]);
        assert_eq!(source.malformed, 1);
    }

    #[test]
    fn a_port_in_use_is_named_with_the_mend() {
        let (_source, port) = listening("udp", None);
        let again =
            UdpSource::open(&uri(&format!("udp://127.0.0.1:{port}")), &setup(1316), None, Strip::Nothing);
        let said = again.unwrap_err().to_string();
        assert!(said.contains("cannot listen there: address already in use; choose another port"), "{said}");
    }

    #[test]
    fn multicast_reaches_every_listener_on_the_machine() {
        let port = UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        let text = format!("udp://@239.255.77.1:{port}?adapter=127.0.0.1&ttl=1&mcloop=1");
        let opened = [(); 2].map(|()| UdpSource::open(&uri(&text), &setup(1316), None, Strip::Nothing));
        let [Ok(mut first), Ok(mut second)] = opened else {
            eprintln!("skipped: this machine allows no multicast on its loopback");
            return;
        };
        let mut sink = UdpSink::open(&uri(&text), &setup(1316), None).unwrap();
        sink.write(&batch_of(&[b"to all"])).unwrap();
        if sink.refused > 0 {
            eprintln!("skipped: this machine routes no multicast on its loopback");
            return;
        }
        assert_eq!(read_all(&mut first, 1), [b"to all".to_vec()]);
        assert_eq!(read_all(&mut second, 1), [b"to all".to_vec()]);
    }

    #[test]
    fn multicast_of_ipv6_goes_over_the_interface_that_is_named() {
        // The number of the loopback; its name differs from system to system.
        let Some(lo) = interface::by_address(Ipv6Addr::LOCALHOST) else {
            eprintln!("skipped: no IPv6 here, or a system that does not tell its interfaces");
            return;
        };
        let port = UdpSocket::bind("[::]:0").unwrap().local_addr().unwrap().port();
        for text in [
            format!("udp://[ff01::77%{lo}]:{port}"),
            format!("udp://[ff02::77]:{port}?adapter=::1"),
            format!("udp://[ff15::77]:{port}?adapter={lo}&multicast=1"),
        ] {
            let mut source = UdpSource::open(&uri(&text), &setup(1316), None, Strip::Nothing).unwrap();
            let mut sink = UdpSink::open(&uri(&text), &setup(1316), None).unwrap();
            assert_eq!(socket2::SockRef::from(&sink.socket).multicast_if_v6().unwrap(), lo, "{text}");
            sink.write(&batch_of(&[b"over the loopback"])).unwrap();
            if sink.refused > 0 {
                eprintln!("skipped: this machine routes no multicast on its loopback");
                return;
            }
            assert_eq!(read_all(&mut source, 1), [b"over the loopback".to_vec()], "{text}");
        }
    }

    #[test]
    fn a_group_that_needs_an_interface_says_so() {
        let opened = UdpSource::open(&uri("udp://[ff01::7]:20973"), &setup(1316), None, Strip::Nothing);
        // A system without IPv6 has another reason.
        if let Err(failure @ Failure::Socket { doing: "cannot listen there", .. }) = opened {
            assert!(failure.to_string().ends_with("as in [ff02::7%eth0] or adapter=eth0"), "{failure}");
        }
    }

    #[test]
    fn parameters_are_checked() {
        for (text, part) in [
            ("udp://:1?ttl=0", "ttl=0 is not possible; allowed: 1 to 255"),
            ("udp://:1?iptos=256", "iptos=256"),
            ("udp://:1?mcloop=maybe", "mcloop=maybe"),
            ("udp://:1?adapter=no-such-thing", "allowed: the IP address of a local network interface"),
            ("udp://:1?adapter=1", "its name for IPv6 multicast alone"),
            ("udp://[ff02::7]:1?adapter=127.0.0.1", "for IPv6 multicast the name of a network interface"),
            ("udp://[ff02::7%no-such-thing]:1", "there is no network interface \"no-such-thing\""),
            (
                "udp://127.0.0.1:1?multicast=1",
                "multicast=1 is not possible; allowed: together with the address of a group",
            ),
            ("udp://:1?source=me", "source=me"),
            ("udp://:1?rcvbuf=0", "rcvbuf=0"),
            ("udp://:1?latency=20", "unknown parameter \"latency\""),
            ("udp://:1?rtpheadersize=12", "unknown parameter \"rtpheadersize\""),
            ("udp://host", "has no port"),
        ] {
            let said = UdpSource::open(&uri(text), &setup(1316), None, Strip::Nothing).unwrap_err();
            assert!(said.to_string().contains(part), "{said}");
            assert_eq!(said.exit_code(), 2, "{said}");
        }
    }
}
