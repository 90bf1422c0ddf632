//! Options: a [`Config`] that exists is valid.
//!
//! Names, ranges and defaults are those of libsrt's `SRTO_*` options, from one table ([`SocketOption::info`]). An option is
//! checked when it is set, and an error says what would have been allowed. Options of features that are not there yet
//! (encryption, bonding, packet filters, rendezvous, file mode) take their default alone.
//!
//! Where options depend on each other, what is kept is the wish, and the getters give what follows from all of them: the
//! receive buffer never has more packets than the flow window, in whichever order the two were set.

mod error;
mod options;
mod text;
mod value;

pub use error::ConfigError;
pub use options::{Kind, Limits, OptionInfo, SocketOption, Stage, Support, Unit, When};
pub use value::{Linger, OptionValue};

use crate::time::Micros;

/// Version of SRT that we speak and announce: 1.5.5, as `0xMMmmpp`.
pub const SRT_VERSION: u32 = 0x0001_0505;

/// IP and UDP headers of a datagram over IPv4.
const UDP_IP_HEADERS: i32 = 28;

/// The header of an SRT packet.
const SRT_HEADER: i32 = 16;

/// What an IPv6 header has more than one of IPv4.
const IPV6_EXTRA: i32 = 20;

/// Longest payload that a UDP datagram over IPv4 can hold behind the SRT header.
const LARGEST_PAYLOAD: i32 = 65_507 - SRT_HEADER;

/// Fewest packets of a receive buffer and of a flow window.
const LEAST_WINDOW: i32 = 32;

/// Longest latency that a handshake can carry: 16 bits of milliseconds.
const LONGEST_LATENCY_MS: i32 = 65_535;

/// Options of a socket. One that exists is valid.
///
/// Set by option and value, or by name and text:
/// ```
/// use srt_protocol::config::{Config, SocketOption};
/// use srt_protocol::time::Micros;
///
/// let mut config = Config::live();
/// config.set(SocketOption::Latency, 200)?;
/// config.set_text("maxbw", "8Mbps")?;
/// assert_eq!(config.receiver_latency(), Micros::from_millis(200));
/// assert_eq!(config.max_bw(), 1_000_000);
/// # Ok::<(), srt_protocol::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    mss: i32,
    snd_syn: bool,
    rcv_syn: bool,
    flow_window: i32,
    send_packets: i32,
    /// As wished for; the flow window caps it.
    receive_packets: i32,
    linger: Linger,
    udp_send_buffer: i32,
    udp_receive_buffer: i32,
    snd_timeo_ms: i32,
    rcv_timeo_ms: i32,
    reuse_addr: bool,
    max_bw: i64,
    sender: bool,
    tsbpd: bool,
    input_bw: i64,
    overhead_percent: i32,
    ip_ttl: i32,
    ip_tos: i32,
    tlpktdrop: bool,
    snd_drop_delay_ms: i32,
    nak_report: bool,
    connect_timeout_ms: i32,
    drift_tracer: bool,
    min_input_bw: i64,
    loss_max_ttl: i32,
    receiver_latency_ms: i32,
    peer_latency_ms: i32,
    min_version: i32,
    stream_id: Vec<u8>,
    /// As wished for; the MSS caps it. 0 is as much as the MSS allows.
    payload_size: i32,
    ipv6_only: i32,
    peer_idle_timeout_ms: i32,
    device: String,
    retransmit_algo: i32,
    max_rexmit_bw: i64,
}

/// The options that are stored as they are set, and where: `read` and `write` come from this one list.
macro_rules! stored {
    ($($option:ident: $kind:ident in $field:ident;)+) => {
        /// The stored value of an option that is kept as it was set.
        fn read(&self, option: SocketOption) -> Option<OptionValue> {
            match option {
                $(SocketOption::$option => Some(OptionValue::$kind(self.$field.clone())),)+
                _ => None,
            }
        }

        /// Stores a checked value of an option that is kept as it was set.
        fn write(&mut self, option: SocketOption, value: OptionValue) {
            match (option, value) {
                $((SocketOption::$option, OptionValue::$kind(value)) => self.$field = value,)+
                // The others are kept in another form, or cannot be changed yet.
                _ => {}
            }
        }
    };
}

impl Config {
    stored! {
        Mss: I32 in mss;
        SndSyn: Bool in snd_syn;
        RcvSyn: Bool in rcv_syn;
        Fc: I32 in flow_window;
        Linger: Linger in linger;
        UdpSndBuf: I32 in udp_send_buffer;
        UdpRcvBuf: I32 in udp_receive_buffer;
        SndTimeo: I32 in snd_timeo_ms;
        RcvTimeo: I32 in rcv_timeo_ms;
        ReuseAddr: Bool in reuse_addr;
        MaxBw: I64 in max_bw;
        Sender: Bool in sender;
        TsbpdMode: Bool in tsbpd;
        InputBw: I64 in input_bw;
        OheadBw: I32 in overhead_percent;
        IpTtl: I32 in ip_ttl;
        IpTos: I32 in ip_tos;
        TlPktDrop: Bool in tlpktdrop;
        SndDropDelay: I32 in snd_drop_delay_ms;
        NakReport: Bool in nak_report;
        ConnTimeo: I32 in connect_timeout_ms;
        DriftTracer: Bool in drift_tracer;
        MinInputBw: I64 in min_input_bw;
        LossMaxTtl: I32 in loss_max_ttl;
        RcvLatency: I32 in receiver_latency_ms;
        PeerLatency: I32 in peer_latency_ms;
        MinVersion: I32 in min_version;
        StreamId: Text in stream_id;
        PayloadSize: I32 in payload_size;
        Ipv6Only: I32 in ipv6_only;
        PeerIdleTimeo: I32 in peer_idle_timeout_ms;
        RetransmitAlgo: I32 in retransmit_algo;
        MaxRexmitBw: I64 in max_rexmit_bw;
    }

    /// libsrt's defaults of live mode (`SRTT_LIVE`), latency 120 ms.
    pub fn live() -> Self {
        Self {
            mss: 1500,
            snd_syn: true,
            rcv_syn: true,
            flow_window: 25_600,
            send_packets: 8_192,
            receive_packets: 8_192,
            linger: Linger::OFF,
            udp_send_buffer: 65_536,
            udp_receive_buffer: 8_192 * 1500,
            snd_timeo_ms: -1,
            rcv_timeo_ms: -1,
            reuse_addr: true,
            max_bw: -1,
            sender: false,
            tsbpd: true,
            input_bw: 0,
            overhead_percent: 25,
            ip_ttl: -1,
            ip_tos: -1,
            tlpktdrop: true,
            snd_drop_delay_ms: 0,
            nak_report: true,
            connect_timeout_ms: 3_000,
            drift_tracer: true,
            min_input_bw: 0,
            loss_max_ttl: 0,
            receiver_latency_ms: 120,
            peer_latency_ms: 0,
            min_version: 0x0001_0000,
            stream_id: Vec::new(),
            payload_size: 1_316,
            ipv6_only: -1,
            peer_idle_timeout_ms: 5_000,
            device: String::new(),
            retransmit_algo: 1,
            max_rexmit_bw: -1,
        }
    }

    /// Sets an option, in libsrt's unit of it.
    ///
    /// # Errors
    /// [`ConfigError`] if the value is of another type, out of range, or of a feature that is not there yet, or if the
    /// option can only be read. Nothing is changed then.
    pub fn set(&mut self, option: SocketOption, value: impl Into<OptionValue>) -> Result<(), ConfigError> {
        let info = option.info();
        let value = check(info, value.into())?;
        if info.when == When::ReadOnly {
            return Err(ConfigError::ReadOnly { option });
        }
        if let Support::Later(feature) = info.support
            && value != info.default_value()
        {
            return Err(ConfigError::Unsupported {
                option,
                value: shown(info, &value),
                feature,
                default: shown_default(info),
            });
        }
        self.apply(info, value)
    }

    /// Sets an option as [`set`](Self::set) does, if a socket in `stage` may still change it.
    ///
    /// # Errors
    /// [`ConfigError::WrongTime`] if it may not, else as [`set`](Self::set).
    pub fn set_in(
        &mut self,
        stage: Stage,
        option: SocketOption,
        value: impl Into<OptionValue>,
    ) -> Result<(), ConfigError> {
        let when = option.info().when;
        if when != When::ReadOnly && !when.allows(stage) {
            return Err(ConfigError::WrongTime { option, when, stage });
        }
        self.set(option, value)
    }

    /// Sets an option by its name from text, as in `srt://host:port?latency=200&maxbw=8Mbps`.
    ///
    /// The name is one that [`SocketOption::from_name`] takes. A plain number is in libsrt's unit (ms, bytes, bytes/s);
    /// times, sizes and rates may also carry a unit (`2s`, `64KiB`, `8Mbps`, `1MB/s`). Yes and no are `1 yes on true` and
    /// `0 no off false`; `linger` is a number of seconds; `transtype` is `live` or `file`.
    ///
    /// # Errors
    /// [`ConfigError::UnknownOption`], [`ConfigError::Unreadable`], or as [`set`](Self::set).
    pub fn set_text(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        let option = SocketOption::from_name(name)?;
        self.set(option, text::parse(option.info(), text)?)
    }

    /// Sets many options, those first on which others depend (`transtype`, then `mss`, `fc`, then the rest in libsrt's
    /// order), so that the order of a URI's parameters does not matter. Of two values for one option the later stands.
    ///
    /// # Errors
    /// As [`set_text`](Self::set_text), for the first that fails. Nothing is changed then.
    pub fn set_all_text<'a>(
        &mut self,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<(), ConfigError> {
        let mut values = Vec::new();
        for (name, text) in pairs {
            let option = SocketOption::from_name(name)?;
            values.push((option, text::parse(option.info(), text)?));
        }
        values.sort_by_key(|(option, _)| rank(*option));
        let mut changed = self.clone();
        for (option, value) in values {
            changed.set(option, value)?;
        }
        *self = changed;
        Ok(())
    }

    /// Reads an option, in libsrt's unit of it.
    ///
    /// # Errors
    /// [`ConfigError::WriteOnly`] for PASSPHRASE and TRANSTYPE, [`ConfigError::SocketFact`] for what only a socket in use
    /// knows (STATE, EVENT, ISN, …).
    pub fn get(&self, option: SocketOption) -> Result<OptionValue, ConfigError> {
        let info = option.info();
        let value = match option {
            SocketOption::SndBuf => {
                OptionValue::I32(self.send_packets.saturating_mul(self.bytes_per_packet()))
            }
            SocketOption::RcvBuf => {
                OptionValue::I32(self.receive_window().saturating_mul(self.bytes_per_packet()))
            }
            SocketOption::PayloadSize => OptionValue::I32(self.payload_size.min(self.payload_max())),
            SocketOption::Latency => OptionValue::I32(self.receiver_latency_ms),
            SocketOption::BindToDevice => OptionValue::from(self.device.as_str()),
            SocketOption::Passphrase | SocketOption::TransType => {
                return Err(ConfigError::WriteOnly { option });
            }
            _ if !info.readable() => return Err(ConfigError::SocketFact { option }),
            _ => self.read(option).unwrap_or_else(|| info.default_value()),
        };
        Ok(value)
    }

    /// Largest UDP packet with its IP and UDP headers, in bytes (MSS).
    #[doc(alias = "SRTO_MSS")]
    pub fn mss(&self) -> u32 {
        self.mss.unsigned_abs()
    }

    /// Most packets in flight, as offered to the peer (FC); 32 or more.
    #[doc(alias = "SRTO_FC")]
    pub fn flow_window(&self) -> u32 {
        self.flow_window.unsigned_abs()
    }

    /// Capacity of the send buffer in packets; 1 or more.
    #[doc(alias = "SRTO_SNDBUF")]
    pub fn send_buffer_packets(&self) -> u32 {
        self.send_packets.unsigned_abs()
    }

    /// Capacity of the receive buffer in packets: 32 or more, at most the flow window.
    #[doc(alias = "SRTO_RCVBUF")]
    pub fn receive_buffer_packets(&self) -> u32 {
        self.receive_window().unsigned_abs()
    }

    /// How long closing waits for data that is not acknowledged; zero when off.
    #[doc(alias = "SRTO_LINGER")]
    pub fn linger(&self) -> Micros {
        if self.linger.on { millis(self.linger.seconds) * 1_000 } else { Micros::ZERO }
    }

    /// Ceiling of the sending rate in bytes per second: -1 is 1 Gb/s, 0 follows the input.
    #[doc(alias = "SRTO_MAXBW")]
    pub fn max_bw(&self) -> i64 {
        self.max_bw
    }

    /// Rate of the input in bytes per second; 0 is to be measured.
    #[doc(alias = "SRTO_INPUTBW")]
    pub fn input_bw(&self) -> i64 {
        self.input_bw
    }

    /// Least input rate assumed while it is measured, in bytes per second.
    #[doc(alias = "SRTO_MININPUTBW")]
    pub fn min_input_bw(&self) -> i64 {
        self.min_input_bw
    }

    /// Percent above the input rate that may be sent, 5 to 100.
    #[doc(alias = "SRTO_OHEADBW")]
    pub fn overhead_percent(&self) -> u32 {
        self.overhead_percent.unsigned_abs()
    }

    /// Ceiling of the rate of retransmissions in bytes per second; -1 is none.
    #[doc(alias = "SRTO_MAXREXMITBW")]
    pub fn max_rexmit_bw(&self) -> i64 {
        self.max_rexmit_bw
    }

    /// Whether packets are delivered by their timestamps.
    #[doc(alias = "SRTO_TSBPDMODE")]
    pub fn tsbpd(&self) -> bool {
        self.tsbpd
    }

    /// Delay from origin to play that we want as receiver, at most 65,535 ms (the handshake's field has 16 bits).
    #[doc(alias = "SRTO_RCVLATENCY")]
    pub fn receiver_latency(&self) -> Micros {
        millis(self.receiver_latency_ms.min(LONGEST_LATENCY_MS))
    }

    /// Least delay that we want the peer to have as receiver, at most 65,535 ms.
    #[doc(alias = "SRTO_PEERLATENCY")]
    pub fn peer_latency(&self) -> Micros {
        millis(self.peer_latency_ms.min(LONGEST_LATENCY_MS))
    }

    /// Whether what is too late to be played is dropped.
    #[doc(alias = "SRTO_TLPKTDROP")]
    pub fn tlpktdrop(&self) -> bool {
        self.tlpktdrop
    }

    /// Added to the latency before the sender drops; `None` (-1) is never to drop at the sender.
    #[doc(alias = "SRTO_SNDDROPDELAY")]
    pub fn send_drop_delay(&self) -> Option<Micros> {
        millis_or_none(self.snd_drop_delay_ms)
    }

    /// Whether the receiver repeats its loss reports.
    #[doc(alias = "SRTO_NAKREPORT")]
    pub fn nak_report(&self) -> bool {
        self.nak_report
    }

    /// How long connecting may take.
    #[doc(alias = "SRTO_CONNTIMEO")]
    pub fn connect_timeout(&self) -> Micros {
        millis(self.connect_timeout_ms)
    }

    /// Whether the receiver follows the drift of the sender's clock.
    #[doc(alias = "SRTO_DRIFTTRACER")]
    pub fn drift_tracer(&self) -> bool {
        self.drift_tracer
    }

    /// Ceiling of the reorder tolerance in packets; 0 is none.
    #[doc(alias = "SRTO_LOSSMAXTTL")]
    pub fn loss_max_ttl(&self) -> u32 {
        self.loss_max_ttl.unsigned_abs()
    }

    /// Oldest version accepted of a peer, as `0xMMmmpp`.
    #[doc(alias = "SRTO_MINVERSION")]
    pub fn min_version(&self) -> u32 {
        self.min_version.unsigned_abs()
    }

    /// What a caller tells the listener, at most 512 bytes.
    #[doc(alias = "SRTO_STREAMID")]
    pub fn stream_id(&self) -> &[u8] {
        &self.stream_id
    }

    /// Name of the congestion control: `live`.
    #[doc(alias = "SRTO_CONGESTION")]
    pub fn congestion(&self) -> &str {
        SocketOption::Congestion.info().default
    }

    /// Whether messages keep their boundaries: always, until stream mode is there.
    #[doc(alias = "SRTO_MESSAGEAPI")]
    pub fn message_api(&self) -> bool {
        true
    }

    /// Longest message in bytes: PAYLOADSIZE, or all that the MSS leaves if that is 0; never above
    /// [`payload_limit`](Self::payload_limit) for IPv4.
    #[doc(alias = "SRTO_PAYLOADSIZE")]
    pub fn payload_size(&self) -> usize {
        let limit = self.payload_limit(false);
        match self.payload_size {
            0 => limit,
            wish => limit.min(bytes(wish)),
        }
    }

    /// Longest payload that the MSS leaves room for: MSS − 44 over IPv4, MSS − 64 over IPv6.
    pub fn payload_limit(&self, ipv6: bool) -> usize {
        bytes(self.payload_max() - if ipv6 { IPV6_EXTRA } else { 0 })
    }

    /// Silence of the peer after which the connection is broken.
    #[doc(alias = "SRTO_PEERIDLETIMEO")]
    pub fn peer_idle_timeout(&self) -> Micros {
        millis(self.peer_idle_timeout_ms)
    }

    /// 1: resend what was reported lost. 0: also what is merely unacknowledged.
    #[doc(alias = "SRTO_RETRANSMITALGO")]
    pub fn retransmit_algo(&self) -> u8 {
        u8::from(self.retransmit_algo == 1)
    }

    /// IPv4 time to live or IPv6 hop limit; `None` leaves the system's.
    #[doc(alias = "SRTO_IPTTL")]
    pub fn ip_ttl(&self) -> Option<u8> {
        u8::try_from(self.ip_ttl).ok()
    }

    /// IPv4 type of service or IPv6 traffic class; `None` leaves the system's.
    #[doc(alias = "SRTO_IPTOS")]
    pub fn ip_tos(&self) -> Option<u8> {
        u8::try_from(self.ip_tos).ok()
    }

    /// Whether an IPv6 socket takes IPv6 alone; `None` leaves the system's way.
    #[doc(alias = "SRTO_IPV6ONLY")]
    pub fn ipv6_only(&self) -> Option<bool> {
        (self.ipv6_only >= 0).then_some(self.ipv6_only > 0)
    }

    /// Whether sockets of one process may share the UDP port.
    #[doc(alias = "SRTO_REUSEADDR")]
    pub fn reuse_addr(&self) -> bool {
        self.reuse_addr
    }

    /// Network interface to bind to; `None` is any.
    #[doc(alias = "SRTO_BINDTODEVICE")]
    pub fn bind_to_device(&self) -> Option<&str> {
        (!self.device.is_empty()).then_some(self.device.as_str())
    }

    /// Send buffer of the UDP socket in bytes.
    #[doc(alias = "SRTO_UDP_SNDBUF")]
    pub fn udp_send_buffer(&self) -> u32 {
        self.udp_send_buffer.unsigned_abs()
    }

    /// Receive buffer of the UDP socket in bytes.
    #[doc(alias = "SRTO_UDP_RCVBUF")]
    pub fn udp_receive_buffer(&self) -> u32 {
        self.udp_receive_buffer.unsigned_abs()
    }

    /// Whether a send waits for room.
    #[doc(alias = "SRTO_SNDSYN")]
    pub fn send_blocking(&self) -> bool {
        self.snd_syn
    }

    /// Whether connect, accept and receive wait.
    #[doc(alias = "SRTO_RCVSYN")]
    pub fn receive_blocking(&self) -> bool {
        self.rcv_syn
    }

    /// How long a blocking send waits; `None` for ever.
    #[doc(alias = "SRTO_SNDTIMEO")]
    pub fn send_timeout(&self) -> Option<Micros> {
        millis_or_none(self.snd_timeo_ms)
    }

    /// How long a blocking receive or accept waits; `None` for ever.
    #[doc(alias = "SRTO_RCVTIMEO")]
    pub fn receive_timeout(&self) -> Option<Micros> {
        millis_or_none(self.rcv_timeo_ms)
    }

    /// Stores a value that passed the table's checks; the checks against other options are here.
    fn apply(&mut self, info: &'static OptionInfo, value: OptionValue) -> Result<(), ConfigError> {
        match (info.option, value) {
            // libsrt: a packet cannot be larger than the buffers of the UDP socket.
            (SocketOption::Mss, OptionValue::I32(mss)) => {
                self.mss = mss.min(self.udp_send_buffer).min(self.udp_receive_buffer);
            }
            (SocketOption::UdpSndBuf, OptionValue::I32(size)) => self.udp_send_buffer = size.max(self.mss),
            (SocketOption::UdpRcvBuf, OptionValue::I32(size)) => self.udp_receive_buffer = size.max(self.mss),
            (SocketOption::SndBuf, OptionValue::I32(size)) => {
                self.send_packets = (size / self.bytes_per_packet()).max(1);
            }
            (SocketOption::RcvBuf, OptionValue::I32(size)) => {
                self.receive_packets = (size / self.bytes_per_packet()).max(LEAST_WINDOW);
            }
            (SocketOption::Latency, OptionValue::I32(latency)) => {
                self.receiver_latency_ms = latency;
                self.peer_latency_ms = latency;
            }
            (SocketOption::PayloadSize, OptionValue::I32(size)) if size > self.payload_max() => {
                let allowed = format!("0 to {} bytes (MSS {} less 44)", self.payload_max(), self.mss);
                return Err(ConfigError::OutOfRange {
                    option: info.option,
                    value: size.to_string(),
                    allowed,
                });
            }
            (SocketOption::BindToDevice, OptionValue::Text(name)) => match String::from_utf8(name) {
                Ok(name) if !name.contains('\0') => self.device = name,
                Ok(name) => return Err(not_a_device(info.option, &name)),
                Err(name) => {
                    return Err(not_a_device(info.option, &String::from_utf8_lossy(name.as_bytes())));
                }
            },
            // Only `live` comes here: back to the defaults of the options that libsrt sets along with it.
            (SocketOption::TransType, _) => {
                let live = Self::live();
                self.tsbpd = live.tsbpd;
                self.receiver_latency_ms = live.receiver_latency_ms;
                self.peer_latency_ms = live.peer_latency_ms;
                self.tlpktdrop = live.tlpktdrop;
                self.snd_drop_delay_ms = live.snd_drop_delay_ms;
                self.nak_report = live.nak_report;
                self.retransmit_algo = live.retransmit_algo;
                self.payload_size = live.payload_size;
                self.linger = live.linger;
            }
            (option, value) => self.write(option, value),
        }
        Ok(())
    }

    /// Bytes that a packet takes of SNDBUF and RCVBUF.
    fn bytes_per_packet(&self) -> i32 {
        self.mss - UDP_IP_HEADERS
    }

    /// Longest payload over IPv4.
    fn payload_max(&self) -> i32 {
        (self.mss - UDP_IP_HEADERS - SRT_HEADER).min(LARGEST_PAYLOAD)
    }

    /// Packets of the receive buffer: as wished for, but not above the flow window.
    fn receive_window(&self) -> i32 {
        self.receive_packets.min(self.flow_window)
    }
}

/// [`Config::live`].
impl Default for Config {
    fn default() -> Self {
        Self::live()
    }
}

/// The value in the type of the option, if the table allows it.
fn check(info: &'static OptionInfo, value: OptionValue) -> Result<OptionValue, ConfigError> {
    let option = info.option;
    let out_of_range = |value: &OptionValue| ConfigError::OutOfRange {
        option,
        value: shown(info, value),
        allowed: info.allowed(),
    };
    let value = value.into_kind(info.kind).map_err(|value| match (info.kind, &value) {
        (Kind::I32 | Kind::Linger, OptionValue::I64(_)) => out_of_range(&value),
        _ => ConfigError::WrongType { option, given: value.kind(), expected: info.kind },
    })?;
    let allowed = match &value {
        OptionValue::Bool(_) => true,
        OptionValue::Text(text) => info.limits.allows_text(text),
        OptionValue::I32(_) | OptionValue::I64(_) | OptionValue::Linger(_) => {
            value.as_int().is_some_and(|number| info.limits.allows_int(number))
        }
    };
    if allowed { Ok(value) } else { Err(out_of_range(&value)) }
}

/// A value for an error message: cut to 80 characters, and of a passphrase only its length.
fn shown(info: &OptionInfo, value: &OptionValue) -> String {
    match value {
        OptionValue::Text(text) if info.limits == Limits::Secret => format!("one of {} bytes", text.len()),
        OptionValue::Text(text) if text.len() > 80 => format!("text of {} bytes", text.len()),
        OptionValue::Text(_) => format!("`{value}`"),
        _ => value.to_string(),
    }
}

/// The default for an error message.
fn shown_default(info: &OptionInfo) -> &'static str {
    if info.default.is_empty() { "empty" } else { info.default }
}

/// The error for a device name that no interface can have.
fn not_a_device(option: SocketOption, name: &str) -> ConfigError {
    ConfigError::Unreadable {
        option,
        text: name.to_owned(),
        reason: "an interface's name is text without NUL".to_owned(),
    }
}

/// Place of an option in [`Config::set_all_text`].
fn rank(option: SocketOption) -> (u8, SocketOption) {
    let class = match option {
        SocketOption::TransType => 0,
        SocketOption::UdpSndBuf | SocketOption::UdpRcvBuf => 1,
        SocketOption::Mss => 2,
        _ => 3,
    };
    (class, option)
}

/// A span of a checked, non-negative number of milliseconds.
fn millis(millis: i32) -> Micros {
    Micros::from_millis(u64::from(millis.unsigned_abs()))
}

/// A span of milliseconds, or `None` for -1.
fn millis_or_none(value: i32) -> Option<Micros> {
    (value >= 0).then(|| millis(value))
}

/// A checked, non-negative number of bytes.
fn bytes(number: i32) -> usize {
    usize::try_from(number).unwrap_or(0)
}
