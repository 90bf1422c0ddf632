//! Options: a [`Config`] that exists is valid.
//!
//! Names, ranges and defaults are those of libsrt's `SRTO_*` options, from one table ([`SocketOption::info`]). An option is
//! checked when it is set, and an error says what would have been allowed. Options of features that are not there yet
//! (bonding, packet filters, rendezvous, file mode) take their default alone.
//!
//! Where options depend on each other, what is kept is the wish, and the getters give what follows from all of them: the
//! receive buffer never has more packets than the flow window, in whichever order the two were set.

mod error;
mod options;
mod stream_id;
mod text;
mod value;

pub use error::ConfigError;
pub use options::{Kind, Limits, OptionInfo, SocketOption, Stage, Support, Unit, When};
pub use srt_crypto::{CipherMode, KeyLength, Passphrase};
pub use stream_id::{
    STREAM_ID_MAX, StreamId, StreamIdBuilder, StreamIdError, StreamIdValue, StreamMode, StreamType,
};
pub use value::{Linger, OptionValue};

use zeroize::Zeroizing;

use crate::time::Micros;

/// Version of SRT that we speak and announce: 1.5.5, as `0xMMmmpp`.
pub const SRT_VERSION: u32 = 0x0001_0505;

/// IP and UDP headers of a datagram over IPv4.
const UDP_IP_HEADERS: i32 = 28;

/// The header of an SRT packet.
const SRT_HEADER: i32 = 16;

/// What AES-GCM adds to a payload.
const GCM_TAG: i32 = 16;

/// Packets under one key by default. libsrt: `HAICRYPT_DEF_KM_REFRESH_RATE`.
const KM_REFRESH_RATE: u32 = 1 << 24;

/// Packets from a key's announcement to its use by default. libsrt: `SRT_CRYPT_KM_PRE_ANNOUNCE`.
const KM_PRE_ANNOUNCE: u32 = 1 << 16;

/// CRYPTOMODE of AES-CTR and AES-GCM.
const CTR: i32 = 1;
const GCM: i32 = 2;

/// What an IPv6 header has more than one of IPv4.
const IPV6_EXTRA: i32 = 20;

/// Longest payload that a UDP datagram over IPv4 can hold behind the SRT header.
const LARGEST_PAYLOAD: i32 = 65_507 - SRT_HEADER;

/// Fewest packets of a receive buffer and of a flow window.
const LEAST_WINDOW: i32 = 32;

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
    passphrase: Option<Passphrase>,
    key_length: i32,
    crypto_mode: i32,
    km_refresh_rate: i32,
    km_pre_announce: i32,
    enforced_encryption: bool,
    group_connect: i32,
    group_min_stable_timeo: i32,
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
        PbKeyLen: I32 in key_length;
        CryptoMode: I32 in crypto_mode;
        KmRefreshRate: I32 in km_refresh_rate;
        KmPreAnnounce: I32 in km_pre_announce;
        EnforcedEncryption: Bool in enforced_encryption;
        GroupConnect: I32 in group_connect;
        GroupMinStableTimeo: I32 in group_min_stable_timeo;
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
            passphrase: None,
            key_length: 0,
            crypto_mode: 0,
            km_refresh_rate: 0,
            km_pre_announce: 0,
            enforced_encryption: true,
            group_connect: 0,
            group_min_stable_timeo: 60,
        }
    }

    /// Sets an option, in libsrt's unit of it.
    ///
    /// # Errors
    /// [`ConfigError`] if the value is of another type, out of range, or of a feature that is not there yet, or if the
    /// option can only be read. Nothing is changed then.
    pub fn set(&mut self, option: SocketOption, value: impl Into<OptionValue>) -> Result<(), ConfigError> {
        let info = settable(option)?;
        let value = self.check(info, value.into())?;
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
        self.set(option, text::parse(settable(option)?, text)?)
    }

    /// Sets many options, those first on which others depend (`transtype`, the UDP buffers, `mss`, `kmrefreshrate` and `cryptomode`, then the rest in
    /// libsrt's order), so that the order of a URI's parameters does not matter. Of two values for one option the later stands.
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
            values.push((option, text::parse(settable(option)?, text)?));
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
            SocketOption::SndBuf => OptionValue::I32(self.in_bytes(self.send_packets)),
            SocketOption::RcvBuf => OptionValue::I32(self.in_bytes(self.receive_window())),
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

    /// How long closing waits at most for the peer to have everything; zero: the latency and 3 s without progress.
    #[doc(alias = "SRTO_LINGER")]
    pub fn linger(&self) -> Micros {
        if self.linger.on { millis(self.linger.seconds) * 1_000 } else { Micros::ZERO }
    }

    /// Ceiling of the sending rate in bytes per second: -1 is none, 0 follows the input.
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

    /// Whether we are the side that sends, and whose key length counts.
    #[doc(alias = "SRTO_SENDER")]
    pub fn sender(&self) -> bool {
        self.sender
    }

    /// Whether packets are delivered by their timestamps.
    #[doc(alias = "SRTO_TSBPDMODE")]
    pub fn tsbpd(&self) -> bool {
        self.tsbpd
    }

    /// Delay from origin to play that we want as receiver, at most 65,535 ms (the handshake's field has 16 bits).
    #[doc(alias = "SRTO_RCVLATENCY")]
    pub fn receiver_latency(&self) -> Micros {
        millis(self.receiver_latency_ms)
    }

    /// Least delay that we want the peer to have as receiver, at most 65,535 ms.
    #[doc(alias = "SRTO_PEERLATENCY")]
    pub fn peer_latency(&self) -> Micros {
        millis(self.peer_latency_ms)
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

    /// A listener takes bonded groups.
    #[doc(alias = "SRTO_GROUPCONNECT")]
    pub fn group_connect(&self) -> bool {
        self.group_connect != 0
    }

    /// Least silence after which a link of a backup group counts as unstable: at least 60 ms, the default.
    #[doc(alias = "SRTO_GROUPMINSTABLETIMEO")]
    pub fn group_min_stable_timeout(&self) -> Micros {
        millis(self.group_min_stable_timeo)
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

    /// The secret of both sides; `None` is no encryption.
    #[doc(alias = "SRTO_PASSPHRASE")]
    pub fn passphrase(&self) -> Option<&Passphrase> {
        self.passphrase.as_ref()
    }

    /// Length of the keys; `None` (0) takes the other side's, or 16 bytes.
    #[doc(alias = "SRTO_PBKEYLEN")]
    pub fn key_length(&self) -> Option<KeyLength> {
        KeyLength::try_from(bytes(self.key_length)).ok()
    }

    /// Cipher; `None` (0) is AES-CTR as caller, and as listener what the caller has.
    #[doc(alias = "SRTO_CRYPTOMODE")]
    pub fn cipher_mode(&self) -> Option<CipherMode> {
        match self.crypto_mode {
            CTR => Some(CipherMode::Ctr),
            GCM => Some(CipherMode::Gcm),
            _ => None,
        }
    }

    /// Packets sent under one key, 3 to 2^29 (0, the default, is 2^24).
    ///
    /// libsrt: takes 1 and 2 as well, which leave no packet between two announcements, and 2^31 − 1, at which numbers return.
    #[doc(alias = "SRTO_KMREFRESHRATE")]
    pub fn km_refresh_rate(&self) -> u32 {
        match self.km_refresh_rate {
            0 => KM_REFRESH_RATE,
            rate => rate.unsigned_abs().clamp(3, 1 << 29),
        }
    }

    /// Packets between the announcement of a key and its use: 1 to (KMREFRESHRATE − 1) / 2 (0, the default, is 2^16 as far as that
    /// allows).
    ///
    /// libsrt: counts below zero where the default is more than KMREFRESHRATE, and never announces a key then.
    #[doc(alias = "SRTO_KMPREANNOUNCE")]
    pub fn km_pre_announce(&self) -> u32 {
        let wish =
            if self.km_pre_announce == 0 { KM_PRE_ANNOUNCE } else { self.km_pre_announce.unsigned_abs() };
        wish.min((self.km_refresh_rate() - 1) / 2).max(1)
    }

    /// Whether a connection whose sides disagree about the passphrase is refused.
    #[doc(alias = "SRTO_ENFORCEDENCRYPTION")]
    pub fn enforced_encryption(&self) -> bool {
        self.enforced_encryption
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

    /// The value in the type of the option, if it is in range.
    fn check(&self, info: &'static OptionInfo, value: OptionValue) -> Result<OptionValue, ConfigError> {
        let option = info.option;
        let (limits, allowed) = match option {
            SocketOption::PayloadSize => {
                // The authentication tag takes room of the payload.
                let (tag, less) = if self.crypto_mode == GCM {
                    (GCM_TAG, "headers and the tag of AES-GCM")
                } else {
                    (0, "headers")
                };
                let max = self.payload_max() - tag;
                let allowed = format!("0 to {max} bytes (MSS {} less {less})", self.mss);
                (Limits::Int { min: 0, max: i64::from(max) }, allowed)
            }
            SocketOption::KmPreAnnounce => {
                let max = announced_at_most(self.km_refresh_rate);
                let allowed = format!("0 to {max} packets (half of kmrefreshrate)");
                (Limits::Int { min: 0, max: i64::from(max) }, allowed)
            }
            _ => (info.limits, info.allowed()),
        };
        let value = value.into_kind(info.kind).map_err(|value| match (info.kind, &value) {
            (Kind::I32 | Kind::Linger, OptionValue::I64(_)) => {
                ConfigError::OutOfRange { option, value: shown(info, &value), allowed: allowed.clone() }
            }
            _ => ConfigError::WrongType { option, given: value.kind(), expected: info.kind },
        })?;
        let fits = match &value {
            OptionValue::Bool(_) => true,
            OptionValue::Text(text) => limits.allows_text(text),
            OptionValue::I32(_) | OptionValue::I64(_) | OptionValue::Linger(_) => {
                value.as_int().is_some_and(|number| limits.allows_int(number))
            }
        };
        if fits {
            Ok(value)
        } else {
            Err(match &value {
                OptionValue::Text(secret) if info.limits == Limits::Secret => ConfigError::SecretLength {
                    option,
                    fault: if secret.len() < 10 { "short" } else { "long" },
                },
                _ => ConfigError::OutOfRange { option, value: shown(info, &value), allowed },
            })
        }
    }

    /// Stores a value that is in range.
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
            (SocketOption::Passphrase, OptionValue::Text(secret)) => {
                let secret = Zeroizing::new(secret);
                // Its length was checked; none is no encryption.
                self.passphrase = Passphrase::new(&secret).ok();
            }
            // As in libsrt, the announcement follows the rate.
            (SocketOption::KmRefreshRate, OptionValue::I32(rate)) => {
                self.km_refresh_rate = rate;
                let most = announced_at_most(rate);
                if rate != 0 && self.km_pre_announce == 0 || self.km_pre_announce > most {
                    self.km_pre_announce = most;
                }
            }
            (SocketOption::CryptoMode, OptionValue::I32(GCM)) if !self.tsbpd => {
                return Err(needs_tsbpd(info.option));
            }
            (SocketOption::TsbpdMode, OptionValue::Bool(false)) if self.crypto_mode == GCM => {
                return Err(needs_tsbpd(info.option));
            }
            (option, value) => self.write(option, value),
        }
        Ok(())
    }

    /// Bytes that a packet takes of SNDBUF and RCVBUF.
    fn bytes_per_packet(&self) -> i32 {
        self.mss - UDP_IP_HEADERS
    }

    /// Bytes that so many packets take of SNDBUF or RCVBUF, as far as the option's type can tell.
    fn in_bytes(&self, packets: i32) -> i32 {
        let each = self.bytes_per_packet();
        packets.min(i32::MAX / each) * each
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

/// The row of an option that can be set at all.
fn settable(option: SocketOption) -> Result<&'static OptionInfo, ConfigError> {
    match option.info() {
        info if info.when == When::ReadOnly => Err(ConfigError::ReadOnly { option }),
        info => Ok(info),
    }
}

/// A value for an error message: cut to 80 characters, and of a passphrase only its length.
fn shown(info: &OptionInfo, value: &OptionValue) -> String {
    match value {
        OptionValue::Text(text) if info.limits == Limits::Secret => format!("one of {} bytes", text.len()),
        OptionValue::Text(text) if text.len() > 80 => format!("text of {} bytes", text.len()),
        OptionValue::Text(_) => format!("`{value}`"),
        OptionValue::Linger(linger) => linger.seconds.to_string(),
        _ => value.to_string(),
    }
}

/// The default for an error message.
fn shown_default(info: &OptionInfo) -> &'static str {
    if info.default.is_empty() { "empty" } else { info.default }
}

/// KMPREANNOUNCE at most, for this KMREFRESHRATE.
fn announced_at_most(rate: i32) -> i32 {
    let rate = if rate == 0 { KM_REFRESH_RATE.cast_signed() } else { rate };
    (rate - 1) / 2
}

/// The error where AES-GCM meets TSBPDMODE off: without it a resent packet has another timestamp, and its header is
/// authenticated.
fn needs_tsbpd(option: SocketOption) -> ConfigError {
    let (value, allowed) = match option {
        SocketOption::CryptoMode => ("2", "0 or 1 (AES-CTR): AES-GCM needs tsbpdmode"),
        _ => ("false", "true: cryptomode is AES-GCM"),
    };
    ConfigError::OutOfRange { option, value: value.to_owned(), allowed: allowed.to_owned() }
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
        SocketOption::KmRefreshRate | SocketOption::CryptoMode => 3,
        _ => 4,
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Sets `option` on a fresh configuration.
    fn set(option: SocketOption, value: impl Into<OptionValue>) -> Result<Config, ConfigError> {
        let mut config = Config::live();
        config.set(option, value).map(|()| config)
    }

    /// Sets an option by text on a fresh configuration and reads it back.
    fn round(name: &str, text: &str) -> Result<OptionValue, ConfigError> {
        let mut config = Config::live();
        config.set_text(name, text)?;
        config.get(SocketOption::from_name(name)?)
    }

    #[test]
    fn a_fresh_configuration_has_the_defaults_of_the_table() {
        let config = Config::live();
        for info in SocketOption::all().filter(|info| info.readable()) {
            assert_eq!(config.get(info.option), Ok(info.default_value()), "{}", info.name);
        }
        assert_eq!(config, Config::default());
        assert_eq!(SocketOption::Version.info().default_value().as_int(), Some(i64::from(SRT_VERSION)));
    }

    #[test]
    fn the_getters_tell_libsrts_defaults() {
        let config = Config::live();
        assert_eq!((config.mss(), config.flow_window(), config.payload_size()), (1500, 25_600, 1316));
        assert_eq!((config.send_buffer_packets(), config.receive_buffer_packets()), (8192, 8192));
        assert_eq!((config.udp_send_buffer(), config.udp_receive_buffer()), (65_536, 12_288_000));
        assert_eq!((config.max_bw(), config.input_bw(), config.min_input_bw()), (-1, 0, 0));
        assert_eq!((config.max_rexmit_bw(), config.overhead_percent()), (-1, 25));
        assert_eq!(
            (config.receiver_latency(), config.peer_latency()),
            (Micros::from_millis(120), Micros::ZERO)
        );
        assert_eq!((config.linger(), config.send_drop_delay()), (Micros::ZERO, Some(Micros::ZERO)));
        assert_eq!(config.connect_timeout(), Micros::from_secs(3));
        assert_eq!(config.peer_idle_timeout(), Micros::from_secs(5));
        assert!(config.tsbpd() && config.tlpktdrop() && config.nak_report() && config.drift_tracer());
        assert!(config.send_blocking() && config.receive_blocking() && config.reuse_addr());
        assert!(config.message_api() && config.congestion() == "live" && config.stream_id().is_empty());
        assert_eq!((config.send_timeout(), config.receive_timeout()), (None, None));
        assert_eq!((config.ip_ttl(), config.ip_tos(), config.ipv6_only()), (None, None, None));
        assert_eq!(
            (config.retransmit_algo(), config.loss_max_ttl(), config.min_version()),
            (1, 0, 0x0001_0000)
        );
        assert_eq!(config.bind_to_device(), None);
    }

    /// Every value at the edge of an option's range is taken and read back, and its neighbour outside is refused.
    #[test]
    fn ranges_end_where_the_table_says() {
        for info in SocketOption::all().filter(|info| info.when != When::ReadOnly) {
            let (inside, outside) = match info.limits {
                Limits::Int { min, max } => (vec![min, max], vec![min - 1, max.saturating_add(1)]),
                Limits::OrNone { min, max } => (vec![-1, min, max], vec![-2, min - 1, max + 1]),
                Limits::OneOf(values) => (values.to_vec(), vec![-1, 1, 17, 33]),
                Limits::Named(values) => (values.iter().map(|&(_, value)| value).collect(), vec![-1, 2]),
                _ => continue,
            };
            for value in inside {
                let result = Config::live().set(info.option, value);
                let later = matches!(info.support, Support::Later(_))
                    && value != info.default_value().as_int().unwrap();
                // The longest payload needs the largest MSS, the earliest announcement the largest refresh rate.
                let beyond = info.option == SocketOption::PayloadSize && value > 1456
                    || info.option == SocketOption::KmPreAnnounce && value > 1 << 23;
                match result {
                    Ok(()) => assert!(!later && !beyond, "{}={value}", info.name),
                    Err(ConfigError::Unsupported { option, .. }) => assert!(later && option == info.option),
                    Err(error) => assert!(beyond, "{error}"),
                }
            }
            for value in outside {
                if info.limits.allows_int(value) {
                    assert_eq!(value, i64::MAX, "only a 64-bit range has no outside");
                    continue;
                }
                let error = Config::live().set(info.option, value).unwrap_err();
                assert!(matches!(error, ConfigError::OutOfRange { .. }), "{error}");
                let message = error.to_string();
                assert!(
                    message.starts_with(&format!("{}: {value} is not allowed; allowed: ", info.name)),
                    "{message}"
                );
            }
        }
    }

    #[test]
    fn every_option_that_can_be_set_reads_back_as_it_was_set() {
        for info in SocketOption::all().filter(|info| info.readable() && info.support == Support::Now) {
            let values: Vec<OptionValue> = match (info.option, info.kind) {
                (SocketOption::Version, _) => continue,
                (SocketOption::SndBuf | SocketOption::RcvBuf, _) => {
                    vec![(1472 * 32).into(), (1472 * 25_600).into()]
                }
                (SocketOption::UdpSndBuf | SocketOption::UdpRcvBuf, _) => vec![1500.into(), i32::MAX.into()],
                (SocketOption::PayloadSize, _) => vec![0.into(), 1.into(), 1456.into()],
                (SocketOption::KmPreAnnounce, _) => vec![0.into(), 1.into(), ((1 << 23) - 1).into()],
                (SocketOption::PbKeyLen, _) => vec![0.into(), 16.into(), 24.into(), 32.into()],
                (_, Kind::Bool) => vec![false.into(), true.into()],
                (_, Kind::Text) => vec!["".into(), "x".repeat(15).into()],
                (_, Kind::Linger) => {
                    vec![Linger { on: false, seconds: 5 }.into(), Linger::seconds(180).into()]
                }
                (_, kind) => {
                    let (Limits::Int { min, max } | Limits::OrNone { min, max }) = info.limits else {
                        panic!("{info:?}")
                    };
                    let typed = |value: i64| OptionValue::from(value).into_kind(kind).unwrap();
                    vec![typed(min), typed(max)]
                }
            };
            for value in values {
                let config = set(info.option, value.clone()).unwrap();
                assert_eq!(config.get(info.option), Ok(value.clone()), "{}", info.name);
                if info.kind != Kind::Linger {
                    let mut again = Config::live();
                    again.set_text(info.name, &value.to_string()).unwrap();
                    assert_eq!(again, config, "{}={value}", info.name);
                }
            }
        }
    }

    #[test]
    fn what_the_getters_tell_follows_what_was_set() {
        let mut config = Config::live();
        let pairs = [
            ("linger", "3"),
            ("snddropdelay", "-1"),
            ("ipttl", "64"),
            ("iptos", "0xB8"),
            ("ipv6only", "1"),
            ("sndtimeo", "250"),
            ("rcvtimeo", "0"),
            ("retransmitalgo", "0"),
            ("bindtodevice", "eth0"),
            ("streamid", "#!::r=cam"),
            ("minversion", "1.3.0"),
            ("lossmaxttl", "50"),
            ("tsbpdmode", "no"),
            ("oheadbw", "100"),
            ("payloadsize", "0"),
            ("peeridletimeo", "2s"),
            ("drifttracer", "off"),
        ];
        config.set_all_text(pairs).unwrap();
        assert_eq!((config.linger(), config.send_drop_delay()), (Micros::from_secs(3), None));
        assert_eq!(
            (config.ip_ttl(), config.ip_tos(), config.ipv6_only()),
            (Some(64), Some(0xB8), Some(true))
        );
        assert_eq!(config.send_timeout(), Some(Micros::from_millis(250)));
        assert_eq!((config.receive_timeout(), config.retransmit_algo()), (Some(Micros::ZERO), 0));
        assert_eq!((config.bind_to_device(), config.stream_id()), (Some("eth0"), b"#!::r=cam".as_slice()));
        assert_eq!((config.min_version(), config.loss_max_ttl()), (0x0001_0300, 50));
        assert_eq!((config.tsbpd(), config.drift_tracer(), config.overhead_percent()), (false, false, 100));
        assert_eq!((config.payload_size(), config.peer_idle_timeout()), (1456, Micros::from_secs(2)));
    }

    #[test]
    fn latency_sets_both_directions_and_reads_the_receivers() {
        let mut config = set(SocketOption::Latency, 300).unwrap();
        assert_eq!(
            (config.receiver_latency(), config.peer_latency()),
            (Micros::from_millis(300), Micros::from_millis(300))
        );
        config.set(SocketOption::RcvLatency, 400).unwrap();
        assert_eq!(config.get(SocketOption::Latency), Ok(OptionValue::I32(400)));
        assert_eq!(config.get(SocketOption::PeerLatency), Ok(OptionValue::I32(300)));
    }

    #[test]
    fn a_latency_beyond_the_handshakes_field_is_refused() {
        for option in [SocketOption::Latency, SocketOption::RcvLatency, SocketOption::PeerLatency] {
            assert!(matches!(set(option, 65_536), Err(ConfigError::OutOfRange { .. })));
            assert!(set(option, 65_535).is_ok());
        }
    }

    #[test]
    fn buffers_are_kept_in_whole_packets() {
        let config = set(SocketOption::SndBuf, 1472 * 100 + 1471).unwrap();
        assert_eq!(config.send_buffer_packets(), 100);
        assert_eq!(config.get(SocketOption::SndBuf), Ok(OptionValue::I32(147_200)));
        assert_eq!(set(SocketOption::SndBuf, 1).unwrap().send_buffer_packets(), 1);
        assert_eq!(set(SocketOption::RcvBuf, 1).unwrap().receive_buffer_packets(), 32);
        assert_eq!(set(SocketOption::RcvBuf, 1472 * 33).unwrap().receive_buffer_packets(), 33);

        let mut config = Config::live();
        config.set(SocketOption::Mss, 1400).unwrap();
        assert_eq!(
            config.get(SocketOption::RcvBuf),
            Ok(OptionValue::I32(8192 * 1372)),
            "packets, read in the new size"
        );
        config.set(SocketOption::Mss, 76).unwrap();
        config.set(SocketOption::SndBuf, i32::MAX).unwrap();
        config.set(SocketOption::Mss, 1500).unwrap();
        assert_eq!(
            config.get(SocketOption::SndBuf),
            Ok(OptionValue::I32(i32::MAX / 1472 * 1472)),
            "no overflow"
        );
    }

    #[test]
    fn the_receive_buffer_never_exceeds_the_flow_window_in_whichever_order_they_are_set() {
        let wish = 1472 * 50_000;
        let mut config = set(SocketOption::RcvBuf, wish).unwrap();
        assert_eq!(config.receive_buffer_packets(), 25_600);
        assert_eq!(config.get(SocketOption::RcvBuf), Ok(OptionValue::I32(25_600 * 1472)));
        config.set(SocketOption::Fc, 60_000).unwrap();
        assert_eq!(config.receive_buffer_packets(), 50_000);
        config.set(SocketOption::Fc, 32).unwrap();
        assert_eq!(config.receive_buffer_packets(), 32);
    }

    #[test]
    fn the_payload_fits_the_mss() {
        let mut config = Config::live();
        assert_eq!((config.payload_limit(false), config.payload_limit(true)), (1456, 1436));
        assert_eq!(
            config.set(SocketOption::PayloadSize, 1457).unwrap_err().to_string(),
            "payloadsize: 1457 is not allowed; allowed: 0 to 1456 bytes (MSS 1500 less headers)"
        );
        config.set(SocketOption::PayloadSize, 1456).unwrap();
        config.set(SocketOption::Mss, 1000).unwrap();
        assert_eq!(config.payload_size(), 956);
        assert_eq!(config.get(SocketOption::PayloadSize), Ok(OptionValue::I32(956)));
        assert!(config.set(SocketOption::PayloadSize, 957).is_err());
        config.set(SocketOption::Mss, 9000).unwrap();
        assert_eq!(config.payload_size(), 1456, "the wish is kept");
        config.set(SocketOption::PayloadSize, 8956).unwrap();
        config.set(SocketOption::PayloadSize, 0).unwrap();
        assert_eq!(
            (config.payload_size(), config.get(SocketOption::PayloadSize)),
            (8956, Ok(OptionValue::I32(0)))
        );
        config.set(SocketOption::Mss, 65_536).unwrap();
        assert_eq!(config.payload_limit(false) + 16 + 8 + 20, 65_535, "the longest IPv4 packet");
        config.set(SocketOption::Mss, 76).unwrap();
        assert_eq!((config.payload_limit(false), config.payload_limit(true)), (32, 12));
    }

    #[test]
    fn the_mss_is_cut_to_the_udp_buffers_and_they_are_raised_to_it() {
        let mut config = set(SocketOption::UdpSndBuf, 100).unwrap();
        assert_eq!(config.udp_send_buffer(), 1500);
        config.set(SocketOption::Mss, 9000).unwrap();
        assert_eq!(config.mss(), 1500);
        config.set(SocketOption::UdpSndBuf, 0).unwrap();
        config.set(SocketOption::UdpRcvBuf, 0).unwrap();
        assert_eq!((config.udp_send_buffer(), config.udp_receive_buffer()), (1500, 1500));
    }

    #[test]
    fn the_order_of_a_uris_parameters_does_not_matter() {
        let jumbo = [("payloadsize", "8000"), ("rcvbuf", "80000000"), ("fc", "60000"), ("mss", "9000")];
        let late_type = [("latency", "250"), ("transtype", "live"), ("linger", "9")];
        for pairs in [jumbo.as_slice(), late_type.as_slice()] {
            let mut forwards = Config::live();
            forwards.set_all_text(pairs.iter().copied()).unwrap();
            let mut backwards = Config::live();
            backwards.set_all_text(pairs.iter().rev().copied()).unwrap();
            assert_eq!(forwards, backwards);
            assert_ne!(forwards, Config::live());
        }
        let mut config = Config::live();
        config.set_all_text([("latency", "1"), ("rcvlatency", "2"), ("LATENCY", "3")]).unwrap();
        assert_eq!(config.get(SocketOption::RcvLatency), Ok(OptionValue::I32(2)), "in libsrt's order of ids");
        assert_eq!(
            config.get(SocketOption::PeerLatency),
            Ok(OptionValue::I32(3)),
            "the later of two for one option"
        );
    }

    #[test]
    fn many_options_are_set_all_or_none() {
        let mut config = Config::live();
        let error = config.set_all_text([("latency", "300"), ("oheadbw", "3")]).unwrap_err();
        assert_eq!(error.to_string(), "oheadbw: 3 is not allowed; allowed: 5 to 100 %");
        assert!(config.set_all_text([("latency", "300"), ("latenzy", "3")]).is_err());
        assert_eq!(config, Config::live());
    }

    #[test]
    fn transtype_live_goes_back_to_the_options_of_live_mode() {
        let mut config = Config::live();
        let changed = [
            ("tsbpdmode", "0"),
            ("latency", "9"),
            ("tlpktdrop", "0"),
            ("snddropdelay", "7"),
            ("nakreport", "0"),
            ("retransmitalgo", "0"),
            ("payloadsize", "188"),
            ("linger", "4"),
        ];
        config.set_all_text(changed).unwrap();
        config.set(SocketOption::Fc, 100).unwrap();
        config.set(SocketOption::TransType, 0).unwrap();
        assert_eq!(config, set(SocketOption::Fc, 100).unwrap(), "the flow window is none of them");
    }

    #[test]
    fn features_of_later_are_refused_by_name_unless_they_stay_at_their_default() {
        let later = [
            ("rendezvous", "yes"),
            ("packetfilter", "fec,cols:10"),
            ("transtype", "file"),
            ("congestion", "file"),
            ("congestion", "vod"),
            ("messageapi", "0"),
        ];
        for (name, text) in later {
            let error = round(name, text).unwrap_err();
            assert!(matches!(error, ConfigError::Unsupported { .. }), "{error}");
            assert!(error.to_string().starts_with(&format!("{name}: ")), "{error}");
            assert!(error.to_string().contains("not supported yet"), "{error}");
        }
        for info in SocketOption::all().filter(|info| matches!(info.support, Support::Later(_))) {
            let config = set(info.option, info.default_value()).unwrap();
            assert_eq!(config, Config::live(), "{}", info.name);
        }
        assert_eq!(
            round("rendezvous", "1").unwrap_err().to_string(),
            "rendezvous: true is not supported yet (rendezvous mode); only the default is: false"
        );
    }

    #[test]
    fn a_passphrase_is_kept_silently_and_an_empty_one_ends_encryption() {
        let mut config = set(SocketOption::Passphrase, "hunter2-hunter2").unwrap();
        assert!(config.passphrase().is_some() && !format!("{config:?}").contains("hunter2"));
        assert_ne!(config, set(SocketOption::Passphrase, "hunter3-hunter3").unwrap());
        config.set(SocketOption::Passphrase, "").unwrap();
        assert_eq!(config, Config::live());
    }

    #[test]
    fn the_announcement_of_keys_follows_their_rate() {
        let mut config = Config::live();
        assert_eq!((config.km_refresh_rate(), config.km_pre_announce()), (1 << 24, 1 << 16));
        let stored = |config: &Config| config.get(SocketOption::KmPreAnnounce).unwrap().as_int();
        config.set(SocketOption::KmRefreshRate, 1_000).unwrap();
        assert_eq!((config.km_pre_announce(), stored(&config)), (499, Some(499)));
        config.set(SocketOption::KmPreAnnounce, 100).unwrap();
        let error = config.set(SocketOption::KmPreAnnounce, 500).unwrap_err().to_string();
        assert_eq!(
            error,
            "kmpreannounce: 500 is not allowed; allowed: 0 to 499 packets (half of kmrefreshrate)"
        );
        config.set(SocketOption::KmRefreshRate, 101).unwrap();
        assert_eq!(config.km_pre_announce(), 50);
        for rate in [1, 2, 3, i32::MAX] {
            let config = set(SocketOption::KmRefreshRate, rate).unwrap();
            let (rate, before) = (config.km_refresh_rate(), config.km_pre_announce());
            assert!((3..=1 << 29).contains(&rate) && (1..rate / 2 + 1).contains(&before));
        }
    }

    #[test]
    fn gcm_needs_a_play_clock_and_room_for_its_tag() {
        let mut config = Config::live();
        config.set(SocketOption::CryptoMode, 2).unwrap();
        assert_eq!(config.cipher_mode(), Some(CipherMode::Gcm));
        assert!(config.set(SocketOption::TsbpdMode, false).is_err());
        assert!(config.set(SocketOption::PayloadSize, 1_441).is_err());
        config.set(SocketOption::PayloadSize, 1_440).unwrap();
        let mut config = set(SocketOption::TsbpdMode, false).unwrap();
        let error = config.set(SocketOption::CryptoMode, 2).unwrap_err().to_string();
        assert!(error.contains("AES-GCM needs tsbpdmode"), "{error}");
    }

    #[test]
    fn no_error_shows_a_passphrase() {
        for secret in ["hunter2", &"hunter2".repeat(20)] {
            let error = round("passphrase", secret).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
        assert!(!format!("{:?}", OptionValue::from("hunter2")).contains("hunter2"));
        assert_eq!(
            round("passphrase", "short").unwrap_err().to_string(),
            "passphrase: too short: 10 to 80 bytes"
        );
        assert_eq!(
            round("passphrase", &"x".repeat(81)).unwrap_err().to_string(),
            "passphrase: too long: 10 to 80 bytes"
        );
    }

    #[test]
    fn facts_of_a_socket_are_neither_set_nor_read() {
        let facts: Vec<_> = SocketOption::all().filter(|info| info.when == When::ReadOnly).collect();
        assert_eq!(facts.len(), 11);
        for info in facts {
            let option = info.option;
            assert_eq!(set(option, 1), Err(ConfigError::ReadOnly { option }));
            assert_eq!(Config::live().set_text(info.name, "nonsense"), Err(ConfigError::ReadOnly { option }));
            if option != SocketOption::Version {
                assert_eq!(Config::live().get(option), Err(ConfigError::SocketFact { option }));
            }
        }
        assert_eq!(Config::live().get(SocketOption::Version), Ok(OptionValue::I32(0x0001_0505)));
        for option in [SocketOption::Passphrase, SocketOption::TransType] {
            assert_eq!(Config::live().get(option), Err(ConfigError::WriteOnly { option }));
        }
    }

    #[test]
    fn an_option_is_set_at_its_time_only() {
        let mut config = Config::live();
        for (stage, mss, latency, max_bw) in [
            (Stage::Created, true, true, true),
            (Stage::Bound, false, true, true),
            (Stage::Active, false, false, true),
        ] {
            assert_eq!(config.set_in(stage, SocketOption::Mss, 1400).is_ok(), mss);
            assert_eq!(config.set_in(stage, SocketOption::Latency, 100).is_ok(), latency);
            assert_eq!(config.set_in(stage, SocketOption::MaxBw, 100).is_ok(), max_bw);
            let read_only = config.set_in(stage, SocketOption::State, 1);
            assert_eq!(read_only, Err(ConfigError::ReadOnly { option: SocketOption::State }));
        }
        assert_eq!(
            config.set_in(Stage::Active, SocketOption::Latency, 1).unwrap_err().to_string(),
            "latency: can be set only before the socket listens or connects; the socket is listening, connecting or connected"
        );
    }

    #[test]
    fn a_value_of_another_type_is_refused_or_means_the_same() {
        assert_eq!(
            set(SocketOption::Latency, "120").unwrap_err().to_string(),
            "latency: takes a whole number (32 bits), got text"
        );
        assert!(set(SocketOption::Latency, true).is_err());
        assert!(set(SocketOption::StreamId, 7).is_err());
        assert!(set(SocketOption::TlPktDrop, "no").is_err(), "text is for `set_text`");
        assert!(set(SocketOption::MaxBw, Linger::OFF).is_err());
        assert!(!set(SocketOption::TlPktDrop, 0).unwrap().tlpktdrop());
        assert!(set(SocketOption::TlPktDrop, 2_i64).unwrap().tlpktdrop(), "as libsrt reads an int");
        assert_eq!(set(SocketOption::MaxBw, 7_i32).unwrap().max_bw(), 7);
        assert_eq!(set(SocketOption::Fc, 100_u32).unwrap().flow_window(), 100);
        assert_eq!(set(SocketOption::Linger, 5).unwrap().linger(), Micros::from_secs(5));
        assert_eq!(
            set(SocketOption::Fc, u32::MAX).unwrap_err().to_string(),
            "fc: 4294967295 is not allowed; allowed: 32 to 2147483647 packets"
        );
        assert!(set(SocketOption::Linger, u32::MAX).is_err());
        assert!(set(SocketOption::Linger, Linger { on: true, seconds: -1 }).is_err());
    }

    #[test]
    fn texts_have_their_lengths() {
        let long = |len| "x".repeat(len);
        assert!(set(SocketOption::StreamId, long(512)).is_ok());
        assert_eq!(
            set(SocketOption::StreamId, long(513)).unwrap_err().to_string(),
            "streamid: text of 513 bytes is not allowed; allowed: at most 512 bytes"
        );
        assert_eq!(set(SocketOption::StreamId, b"\0\xFF".as_slice()).unwrap().stream_id(), b"\0\xFF");
        assert!(set(SocketOption::BindToDevice, long(15)).is_ok());
        assert!(set(SocketOption::BindToDevice, long(16)).is_err());
        assert!(set(SocketOption::BindToDevice, b"eth\xFF".as_slice()).is_err());
        assert!(set(SocketOption::BindToDevice, "eth\0").is_err());
        assert_eq!(
            set(SocketOption::Congestion, "bbr").unwrap_err().to_string(),
            "congestion: `bbr` is not allowed; allowed: live, file or vod"
        );
    }

    #[test]
    fn a_refused_value_changes_nothing() {
        let mut config = set(SocketOption::Latency, 77).unwrap();
        let before = config.clone();
        for (name, text) in
            [("latency", "-1"), ("mss", "75"), ("streamid", &"x".repeat(513)), ("transtype", "file")]
        {
            assert!(config.set_text(name, text).is_err());
        }
        assert_eq!(config, before);
    }

    /// A write to any option with any number, as the table or not.
    fn writes() -> impl Strategy<Value = Vec<(usize, i64)>> {
        let number = prop_oneof![any::<i64>(), -2..70_000_i64, any::<i32>().prop_map(i64::from)];
        proptest::collection::vec((0..SocketOption::all().len(), number), 0..40)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn whatever_was_set_the_configuration_is_valid(writes in writes()) {
            let mut config = Config::live();
            for (index, number) in writes {
                let option = SocketOption::all().nth(index).unwrap().option;
                let before = config.clone();
                if config.set(option, number).is_err() {
                    prop_assert_eq!(&config, &before);
                }
                prop_assert!((76..=65_536).contains(&config.mss()));
                prop_assert!(config.mss() <= config.udp_send_buffer().min(config.udp_receive_buffer()));
                prop_assert!(config.send_buffer_packets() >= 1);
                prop_assert!((32..=config.flow_window()).contains(&config.receive_buffer_packets()));
                prop_assert!((1..=config.payload_limit(false)).contains(&config.payload_size()));
                prop_assert!(config.payload_limit(true) >= 12);
                prop_assert!((5..=100).contains(&config.overhead_percent()));
                prop_assert!(config.max_bw() >= -1 && config.max_rexmit_bw() >= -1);
                prop_assert!(config.input_bw() >= 0 && config.min_input_bw() >= 0);
            }
            // Reading an option and setting what was read changes nothing, whatever depends on what.
            for info in SocketOption::all().filter(|info| info.readable() && info.when != When::ReadOnly) {
                let value = config.get(info.option).unwrap();
                prop_assert_eq!(value.kind(), info.kind);
                let mut again = config.clone();
                prop_assert_eq!(again.set(info.option, value.clone()), Ok(()), "{}", info.name);
                prop_assert_eq!(again.get(info.option), Ok(value), "{}", info.name);
            }
        }

        #[test]
        fn arbitrary_names_and_texts_never_panic(name in "\\PC{0,12}", index in 0..SocketOption::all().len(), text in text_forms()) {
            let mut config = Config::live();
            let _ = config.set_text(&name, &text);
            let _ = config.set_text(SocketOption::all().nth(index).unwrap().name, &text);
        }
    }

    /// Texts in which numbers and units are frequent.
    fn text_forms() -> impl Strategy<Value = String> {
        prop_oneof![
            "\\PC{0,30}",
            "[-+]?[0-9]{0,25}([.][0-9]{0,25})? ?[kKmMgG]?i?(bps|B/s|b|B|bit/s|s|ms|µs|%)?",
            "[-+]?0[xX][0-9a-fA-F]{0,20}"
        ]
    }
}
