//! The one table of socket options: every `SRTO_*` of libsrt 1.5.5, its name, type, range, default and time.
//!
//! [`Config`](super::Config), URI parameters, command-line help and the C API are all fed from here, so that a fact about
//! an option is written once. libsrt: `srt.h` (ids), `socketconfig.cpp` (ranges), `core.cpp` (when), and the option list
//! of its tools in `apps/socketoptions.hpp`.

use core::fmt;

use super::error::ConfigError;
use super::text;
use super::value::OptionValue;

/// Builds [`SocketOption`] and the table behind [`SocketOption::info`] from one list of rows. The first doc line of a row
/// is also the line that `--help` shows.
macro_rules! options {
    ($(
        #[doc = $summary:literal]
        $(#[doc = $more:literal])*
        $option:ident = $id:literal, $name:literal, $sro:literal, $kind:ident, $when:ident, $default:literal,
        $limits:expr, $unit:ident, $support:expr;
    )+) => {
        /// A socket option of libsrt, by its `SRTO_*` name.
        ///
        /// The facts of each (type, range, default, when it may be set) are in its [`OptionInfo`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum SocketOption {
            $(
                #[doc = $summary]
                $(#[doc = $more])*
                #[doc = ""]
                #[doc = concat!(
                    "`", $name, "`, id ", $id, ", ", stringify!($kind), ", settable: ", stringify!($when),
                    ", default: `", $default, "`."
                )]
                #[doc(alias = $sro)]
                $option,
            )+
        }

        /// Every option, in the order of libsrt's ids.
        static TABLE: &[OptionInfo] = &[$(
            OptionInfo {
                option: SocketOption::$option,
                id: $id,
                name: $name,
                sro: $sro,
                kind: Kind::$kind,
                when: When::$when,
                default: $default,
                limits: $limits,
                unit: Unit::$unit,
                doc: $summary.trim_ascii(),
                support: $support,
            },
        )+];
    };
}

options! {
    /// Largest UDP packet with its IP and UDP headers; a payload has 44 bytes less (64 over IPv6).
    ///
    /// Cut to the sizes of the UDP socket's buffers. Too high for the path: IP fragments, or nothing arrives. Too low: more
    /// packets for the same data.
    Mss = 0, "mss", "SRTO_MSS", I32, PreBind, "1500", Limits::Int { min: 76, max: 65_536 }, Bytes, Support::Now;
    /// Whether a send waits for room in the send buffer.
    SndSyn = 1, "sndsyn", "SRTO_SNDSYN", Bool, Any, "true", Limits::Bool, None, Support::Now;
    /// Whether connect, accept and receive wait.
    RcvSyn = 2, "rcvsyn", "SRTO_RCVSYN", Bool, Any, "true", Limits::Bool, None, Support::Now;
    /// Initial sequence number of the connection.
    Isn = 3, "isn", "SRTO_ISN", I32, ReadOnly, "-1", Limits::Int { min: -1, max: 0x7FFF_FFFF }, None, Support::Now;
    /// Flow window: packets in flight at most, offered to the peer in the handshake.
    ///
    /// The receive buffer holds no more packets than this, so it bounds the product of rate and latency: raise it together
    /// with [`RcvBuf`](Self::RcvBuf).
    Fc = 4, "fc", "SRTO_FC", I32, Pre, "25600", Limits::Int { min: 32, max: I32_MAX }, Packets, Support::Now;
    /// Send buffer: data waiting to be sent or acknowledged.
    ///
    /// Kept as whole packets of MSS − 28 bytes, at least 1, and read back as packets × (MSS − 28).
    SndBuf = 5, "sndbuf", "SRTO_SNDBUF", I32, PreBind, "12058624", Limits::Int { min: 1, max: I32_MAX }, Bytes, Support::Now;
    /// Receive buffer: data waiting for its play time or for the application; at least 32 packets.
    ///
    /// Kept as whole packets of MSS − 28 bytes, at most [`Fc`](Self::Fc), and read back as packets × (MSS − 28). It must hold the rate times the latency; too low and the window closes before the latency is used.
    RcvBuf = 6, "rcvbuf", "SRTO_RCVBUF", I32, PreBind, "12058624", Limits::Int { min: 1, max: I32_MAX }, Bytes, Support::Now;
    /// How long closing waits at most for the peer to have everything; 0: the latency and 3 s without progress.
    Linger = 7, "linger", "SRTO_LINGER", Linger, Any, "0", Limits::Int { min: 0, max: I32_MAX }, Seconds, Support::Now;
    /// Send buffer of the UDP socket; at least the MSS.
    UdpSndBuf = 8, "udp_sndbuf", "SRTO_UDP_SNDBUF", I32, PreBind, "65536", Limits::Int { min: 0, max: I32_MAX }, Bytes, Support::Now;
    /// Receive buffer of the UDP socket; at least the MSS. The system may grant less. The default grows where it is too small.
    UdpRcvBuf = 9, "udp_rcvbuf", "SRTO_UDP_RCVBUF", I32, PreBind, "12288000", Limits::Int { min: 0, max: I32_MAX }, Bytes, Support::Now;
    /// Rendezvous mode: both sides call each other.
    Rendezvous = 12, "rendezvous", "SRTO_RENDEZVOUS", Bool, Pre, "false", Limits::Bool, None, Support::Later("rendezvous mode");
    /// How long a blocking send waits; -1 for ever.
    SndTimeo = 13, "sndtimeo", "SRTO_SNDTIMEO", I32, Any, "-1", Limits::Int { min: -1, max: I32_MAX }, Milliseconds, Support::Now;
    /// How long a blocking receive or accept waits; -1 for ever.
    RcvTimeo = 14, "rcvtimeo", "SRTO_RCVTIMEO", I32, Any, "-1", Limits::Int { min: -1, max: I32_MAX }, Milliseconds, Support::Now;
    /// Whether sockets of one process may share one UDP port.
    ReuseAddr = 15, "reuseaddr", "SRTO_REUSEADDR", Bool, PreBind, "true", Limits::Bool, None, Support::Now;
    /// Ceiling of the sending rate: -1 is none (libsrt: 1 Gb/s), 0 follows the input rate plus OHEADBW.
    MaxBw = 16, "maxbw", "SRTO_MAXBW", I64, Any, "-1", Limits::Int { min: -1, max: i64::MAX }, BytesPerSecond, Support::Now;
    /// State of the socket (`SRT_SOCKSTATUS`).
    State = 17, "state", "SRTO_STATE", I32, ReadOnly, "1", Limits::Int { min: 1, max: 9 }, None, Support::Now;
    /// Readiness of the socket (`SRT_EPOLL_*` bits).
    Event = 18, "event", "SRTO_EVENT", I32, ReadOnly, "0", Limits::Int { min: 0, max: I32_MAX }, None, Support::Now;
    /// Packets in the send buffer.
    SndData = 19, "snddata", "SRTO_SNDDATA", I32, ReadOnly, "0", Limits::Int { min: 0, max: I32_MAX }, Packets, Support::Now;
    /// Packets in the receive buffer.
    RcvData = 20, "rcvdata", "SRTO_RCVDATA", I32, ReadOnly, "0", Limits::Int { min: 0, max: I32_MAX }, Packets, Support::Now;
    /// Sender role of HSv4 handshakes. In HSv5 a caller that has it keeps its PBKEYLEN, whatever the listener's is.
    Sender = 21, "sender", "SRTO_SENDER", Bool, Pre, "false", Limits::Bool, None, Support::Now;
    /// Timestamp-based delivery: a packet is handed out at its origin time plus the latency (draft §4.5).
    TsbpdMode = 22, "tsbpdmode", "SRTO_TSBPDMODE", Bool, Pre, "true", Limits::Bool, None, Support::Now;
    /// Delay from origin to play: sets both RCVLATENCY and PEERLATENCY, and reads RCVLATENCY.
    Latency = 23, "latency", "SRTO_LATENCY", I32, Pre, "120", Limits::Int { min: 0, max: 65_535 }, Milliseconds, Support::Now;
    /// Rate of the input, for MAXBW=0; 0 measures it.
    InputBw = 24, "inputbw", "SRTO_INPUTBW", I64, Any, "0", Limits::Int { min: 0, max: i64::MAX }, BytesPerSecond, Support::Now;
    /// Share above the input rate that retransmissions may use, for MAXBW=0.
    OheadBw = 25, "oheadbw", "SRTO_OHEADBW", I32, Any, "25", Limits::Int { min: 5, max: 100 }, Percent, Support::Now;
    /// Secret of both sides, from which the keys are derived; empty is no encryption.
    Passphrase = 26, "passphrase", "SRTO_PASSPHRASE", Text, Pre, "", Limits::Secret, None, Support::Now;
    /// Key length; 0 takes the other side's, or 16.
    PbKeyLen = 27, "pbkeylen", "SRTO_PBKEYLEN", I32, Pre, "0", Limits::OneOf(&[0, 16, 24, 32]), Bytes, Support::Now;
    /// State of the key exchange (`SRT_KM_STATE`).
    KmState = 28, "kmstate", "SRTO_KMSTATE", I32, ReadOnly, "0", Limits::Int { min: 0, max: 5 }, None, Support::Now;
    /// IPv4 time to live, or IPv6 hop limit; -1 leaves the system's.
    IpTtl = 29, "ipttl", "SRTO_IPTTL", I32, PreBind, "-1", Limits::OrNone { min: 1, max: 255 }, Hops, Support::Now;
    /// IPv4 type of service, or IPv6 traffic class; -1 leaves the system's.
    IpTos = 30, "iptos", "SRTO_IPTOS", I32, PreBind, "-1", Limits::Int { min: -1, max: 255 }, None, Support::Now;
    /// Too-late packet drop: give up what can no longer be played in time (draft §4.6).
    TlPktDrop = 31, "tlpktdrop", "SRTO_TLPKTDROP", Bool, Pre, "true", Limits::Bool, None, Support::Now;
    /// Added to the latency before the sender drops a packet as too late; -1 never drops at the sender.
    SndDropDelay = 32, "snddropdelay", "SRTO_SNDDROPDELAY", I32, Any, "0", Limits::Int { min: -1, max: I32_MAX }, Milliseconds, Support::Now;
    /// Whether the receiver repeats its loss reports.
    NakReport = 33, "nakreport", "SRTO_NAKREPORT", Bool, Pre, "true", Limits::Bool, None, Support::Now;
    /// SRT version spoken by this side.
    Version = 34, "version", "SRTO_VERSION", I32, ReadOnly, "0x010505", Limits::Int { min: 0, max: I32_MAX }, Version, Support::Now;
    /// SRT version of the peer; 0 before the connection.
    PeerVersion = 35, "peerversion", "SRTO_PEERVERSION", I32, ReadOnly, "0", Limits::Int { min: 0, max: I32_MAX }, Version, Support::Now;
    /// How long connecting may take; ten times that in rendezvous mode.
    ConnTimeo = 36, "conntimeo", "SRTO_CONNTIMEO", I32, Pre, "3000", Limits::Int { min: 0, max: I32_MAX }, Milliseconds, Support::Now;
    /// Whether the receiver follows the drift of the sender's clock (draft §4.7).
    DriftTracer = 37, "drifttracer", "SRTO_DRIFTTRACER", Bool, Any, "true", Limits::Bool, None, Support::Now;
    /// Least input rate assumed while the input is measured, for MAXBW=0 and INPUTBW=0.
    MinInputBw = 38, "mininputbw", "SRTO_MININPUTBW", I64, Any, "0", Limits::Int { min: 0, max: i64::MAX }, BytesPerSecond, Support::Now;
    /// State of the key exchange of the sending direction (`SRT_KM_STATE`).
    SndKmState = 40, "sndkmstate", "SRTO_SNDKMSTATE", I32, ReadOnly, "0", Limits::Int { min: 0, max: 5 }, None, Support::Now;
    /// State of the key exchange of the receiving direction (`SRT_KM_STATE`).
    RcvKmState = 41, "rcvkmstate", "SRTO_RCVKMSTATE", I32, ReadOnly, "0", Limits::Int { min: 0, max: 5 }, None, Support::Now;
    /// Ceiling of the reorder tolerance: packets that may overtake before a gap is reported as loss; 0 is none.
    LossMaxTtl = 42, "lossmaxttl", "SRTO_LOSSMAXTTL", I32, Any, "0", Limits::Int { min: 0, max: I32_MAX }, Packets, Support::Now;
    /// Delay from origin to play at this receiver; the larger of ours and the peer's wish is used.
    ///
    /// Too low: lost packets come back too late. Too high: delay, and memory for it. A handshake carries at most 65,535 ms.
    RcvLatency = 43, "rcvlatency", "SRTO_RCVLATENCY", I32, Pre, "120", Limits::Int { min: 0, max: 65_535 }, Milliseconds, Support::Now;
    /// Least delay that we ask of the peer as receiver. A handshake carries at most 65,535 ms.
    PeerLatency = 44, "peerlatency", "SRTO_PEERLATENCY", I32, Pre, "0", Limits::Int { min: 0, max: 65_535 }, Milliseconds, Support::Now;
    /// Oldest SRT version accepted of a peer, such as 0x010300 or 1.3.0.
    MinVersion = 45, "minversion", "SRTO_MINVERSION", I32, Pre, "0x010000", Limits::Int { min: 0, max: I32_MAX }, Version, Support::Now;
    /// What the caller wants, told to the listener before it accepts; see [`StreamId`](super::StreamId).
    StreamId = 46, "streamid", "SRTO_STREAMID", Text, Pre, "", Limits::Length { max: 512 }, None, Support::Now;
    /// Congestion control: `live` or `file`.
    Congestion = 47, "congestion", "SRTO_CONGESTION", Text, Pre, "live", Limits::Words(&["live", "file", "vod"]), None, Support::Later("file congestion control");
    /// Whether what is sent keeps its message boundaries.
    MessageApi = 48, "messageapi", "SRTO_MESSAGEAPI", Bool, Pre, "true", Limits::Bool, None, Support::Later("stream mode");
    /// Longest message in live mode; 0 is as long as the MSS allows.
    ///
    /// 1316 bytes are seven MPEG-TS packets. At most MSS − 44: 1456 at an MSS of 1500 (1436 over IPv6, which the socket
    /// sees to).
    PayloadSize = 49, "payloadsize", "SRTO_PAYLOADSIZE", I32, Pre, "1316", Limits::Int { min: 0, max: 1_456 }, Bytes, Support::Now;
    /// Kind of transmission, which sets a dozen options at once: `live` or `file`.
    TransType = 50, "transtype", "SRTO_TRANSTYPE", I32, PreBind, "live", Limits::Named(&[("live", 0), ("file", 1)]), None, Support::Later("file mode");
    /// Packets sent under one key; 0 is 2^24. Lowers KMPREANNOUNCE to (rate − 1) / 2 where it is more.
    KmRefreshRate = 51, "kmrefreshrate", "SRTO_KMREFRESHRATE", I32, Pre, "0", Limits::Int { min: 0, max: I32_MAX }, Packets, Support::Now;
    /// Packets between the announcement of a key and its use; 0 is 2^16, or half of KMREFRESHRATE if that is less.
    KmPreAnnounce = 52, "kmpreannounce", "SRTO_KMPREANNOUNCE", I32, Pre, "0", Limits::Int { min: 0, max: I32_MAX }, Packets, Support::Now;
    /// Whether a connection whose sides disagree about the passphrase is refused.
    EnforcedEncryption = 53, "enforcedencryption", "SRTO_ENFORCEDENCRYPTION", Bool, Pre, "true", Limits::Bool, None, Support::Now;
    /// Whether an IPv6 socket takes IPv6 alone; -1 leaves the system's way.
    Ipv6Only = 54, "ipv6only", "SRTO_IPV6ONLY", I32, PreBind, "-1", Limits::Int { min: -1, max: 1 }, None, Support::Now;
    /// Silence of the peer after which the connection is broken.
    PeerIdleTimeo = 55, "peeridletimeo", "SRTO_PEERIDLETIMEO", I32, Pre, "5000", Limits::Int { min: 0, max: I32_MAX }, Milliseconds, Support::Now;
    /// Network interface to bind to (Linux); empty is any.
    BindToDevice = 56, "bindtodevice", "SRTO_BINDTODEVICE", Text, PreBind, "", Limits::Length { max: 15 }, None, Support::Now;
    /// Whether a listener takes bonded groups.
    GroupConnect = 57, "groupconnect", "SRTO_GROUPCONNECT", I32, Pre, "0", Limits::Int { min: 0, max: 1 }, None, Support::Now;
    /// Least silence after which a link of a backup group is unstable; at most PEERIDLETIMEO.
    GroupMinStableTimeo = 58, "groupminstabletimeo", "SRTO_GROUPMINSTABLETIMEO", I32, Pre, "60", Limits::Int { min: 60, max: I32_MAX }, Milliseconds, Support::Now;
    /// Type of the group that an accepted socket joins (`SRT_GROUP_TYPE`).
    GroupType = 59, "grouptype", "SRTO_GROUPTYPE", I32, ReadOnly, "0", Limits::Int { min: 0, max: 2 }, None, Support::Now;
    /// Packet filter and its parameters, such as `fec,cols:10,rows:5`; empty is none.
    PacketFilter = 60, "packetfilter", "SRTO_PACKETFILTER", Text, Pre, "", Limits::Length { max: 64 }, None, Support::Later("packet filters");
    /// What is sent again on loss: 1 what was reported, 0 also what is merely unacknowledged.
    RetransmitAlgo = 61, "retransmitalgo", "SRTO_RETRANSMITALGO", I32, Pre, "1", Limits::Int { min: 0, max: 1 }, None, Support::Now;
    /// Cipher: 0 as the peer has it, 1 AES-CTR, 2 AES-GCM.
    CryptoMode = 62, "cryptomode", "SRTO_CRYPTOMODE", I32, Pre, "0", Limits::Int { min: 0, max: 2 }, None, Support::Now;
    /// Ceiling of the rate of retransmissions; -1 is none.
    MaxRexmitBw = 63, "maxrexmitbw", "SRTO_MAXREXMITBW", I64, Any, "-1", Limits::Int { min: -1, max: i64::MAX }, BytesPerSecond, Support::Now;
}

/// The names libsrt's tools know an option by, beside its own.
static ALIASES: &[(&str, SocketOption)] = &[("tsbpd", SocketOption::TsbpdMode)];

/// Largest value of an option that libsrt keeps in an `int`.
const I32_MAX: i64 = 0x7FFF_FFFF;

/// Longest name that is compared with the known ones for a hint; a longer one is no slip of the finger.
const LONGEST_NAME: usize = 40;

impl SocketOption {
    /// The row of this option.
    pub fn info(self) -> &'static OptionInfo {
        // The enum and the table are made from the same rows, in the same order.
        &TABLE[self as usize]
    }

    /// Every option, in the order of libsrt's ids.
    pub fn all() -> impl ExactSizeIterator<Item = &'static OptionInfo> + Clone {
        TABLE.iter()
    }

    /// The option with this `SRT_SOCKOPT` id, if libsrt 1.5.5 has one.
    pub fn from_id(id: i32) -> Option<Self> {
        TABLE.binary_search_by_key(&id, |row| row.id).ok().map(|index| TABLE[index].option)
    }

    /// The option of this name: `latency`, `SRTO_LATENCY`, or an alias of libsrt's tools (`tsbpd`), in any case.
    ///
    /// # Errors
    /// [`ConfigError::UnknownOption`] with the nearest name that is known.
    pub fn from_name(name: &str) -> Result<Self, ConfigError> {
        let wanted = name.trim();
        let bare = match wanted.get(..5) {
            Some(prefix) if prefix.eq_ignore_ascii_case("srto_") => &wanted[5..],
            _ => wanted,
        };
        let known = names().find(|(known, _)| known.eq_ignore_ascii_case(bare));
        known.map(|(_, option)| option).ok_or_else(|| ConfigError::UnknownOption {
            name: wanted.chars().take(LONGEST_NAME).collect(),
            hint: nearest_name(bare),
        })
    }

    /// The id of libsrt's `SRT_SOCKOPT`.
    pub fn id(self) -> i32 {
        self.info().id
    }

    /// The name in lower case, as in URIs and on command lines: `latency`.
    pub fn name(self) -> &'static str {
        self.info().name
    }
}

impl fmt::Display for SocketOption {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(self.name())
    }
}

/// What there is to know about one option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OptionInfo {
    /// The option itself.
    pub option: SocketOption,
    /// Its number in libsrt's `SRT_SOCKOPT`.
    pub id: i32,
    /// Its name in lower case, as in URIs: `latency`.
    pub name: &'static str,
    /// Its name in libsrt: `SRTO_LATENCY`.
    pub sro: &'static str,
    /// Type of its value.
    pub kind: Kind,
    /// Until when it may be set.
    pub when: When,
    /// Its default as text, in [`unit`](Self::unit).
    pub default: &'static str,
    /// Values it may have, as far as they do not depend on other options.
    pub limits: Limits,
    /// Unit of its value.
    pub unit: Unit,
    /// One line about it.
    pub doc: &'static str,
    /// Whether it can be changed yet.
    pub support: Support,
}

impl OptionInfo {
    /// The default as a value.
    pub fn default_value(&self) -> OptionValue {
        text::parse(self, self.default).unwrap_or_else(|_| OptionValue::zero(self.kind))
    }

    /// Whether its value can be read from a [`Config`](super::Config).
    ///
    /// Not so PASSPHRASE and TRANSTYPE, as in libsrt, and not the facts of a socket (STATE, ISN, …) but for VERSION.
    pub fn readable(&self) -> bool {
        match self.option {
            SocketOption::Passphrase | SocketOption::TransType => false,
            SocketOption::Version => true,
            _ => self.when != When::ReadOnly,
        }
    }

    /// What may be set, as part of a sentence: `0 to 2147483647 ms`.
    pub fn allowed(&self) -> String {
        match self.unit.suffix() {
            "" => self.limits.to_string(),
            suffix => format!("{} {suffix}", self.limits),
        }
    }
}

/// Type of an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// `bool`; as text `1 yes on true` or `0 no off false`.
    Bool,
    /// `int32_t`.
    I32,
    /// `int64_t`.
    I64,
    /// Bytes of text.
    Text,
    /// `struct linger`; as text a number of seconds.
    Linger,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Bool => "a yes or no",
            Self::I32 => "a whole number (32 bits)",
            Self::I64 => "a whole number (64 bits)",
            Self::Text => "text",
            Self::Linger => "a linger time in seconds",
        })
    }
}

/// Until when in a socket's life an option may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum When {
    /// Before the socket is bound.
    PreBind,
    /// Before it listens or connects.
    Pre,
    /// At any time.
    Any,
    /// Never.
    ReadOnly,
}

impl When {
    /// Whether an option with this rule may be set in `stage`.
    pub const fn allows(self, stage: Stage) -> bool {
        match self {
            Self::PreBind => matches!(stage, Stage::Created),
            Self::Pre => matches!(stage, Stage::Created | Stage::Bound),
            Self::Any => true,
            Self::ReadOnly => false,
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::PreBind => "before the socket is bound",
            Self::Pre => "before the socket listens or connects",
            Self::Any => "at any time",
            Self::ReadOnly => "never",
        })
    }
}

/// How far a socket has come, for the rule of [`When`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Stage {
    /// It has no address yet.
    Created,
    /// It is bound, and neither listens nor connects.
    Bound,
    /// It listens, connects or is connected.
    Active,
}

impl fmt::Display for Stage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Self::Created => "newly created",
            Self::Bound => "bound",
            Self::Active => "listening, connecting or connected",
        })
    }
}

/// Values an option may have. Its Display names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limits {
    /// Yes or no.
    Bool,
    /// A number within `min..=max`.
    Int {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// -1, or a number within `min..=max`.
    OrNone {
        /// Smallest.
        min: i64,
        /// Largest.
        max: i64,
    },
    /// One of these numbers.
    OneOf(&'static [i64]),
    /// One of these numbers, which have names.
    Named(&'static [(&'static str, i64)]),
    /// Text of at most `max` bytes.
    Length {
        /// Most bytes.
        max: usize,
    },
    /// One of these words.
    Words(&'static [&'static str]),
    /// A passphrase: empty, or 10 to 80 bytes.
    Secret,
}

impl Limits {
    /// Whether the number `value` is allowed.
    pub fn allows_int(&self, value: i64) -> bool {
        match *self {
            Self::Int { min, max } => (min..=max).contains(&value),
            Self::OrNone { min, max } => value == -1 || (min..=max).contains(&value),
            Self::OneOf(values) => values.contains(&value),
            Self::Named(values) => values.iter().any(|&(_, known)| known == value),
            Self::Bool | Self::Length { .. } | Self::Words(_) | Self::Secret => false,
        }
    }

    /// Whether the text `value` is allowed.
    pub fn allows_text(&self, value: &[u8]) -> bool {
        match *self {
            Self::Length { max } => value.len() <= max,
            Self::Words(words) => words.iter().any(|word| word.as_bytes() == value),
            Self::Secret => value.is_empty() || (10..=80).contains(&value.len()),
            Self::Bool | Self::Int { .. } | Self::OrNone { .. } | Self::OneOf(_) | Self::Named(_) => false,
        }
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Bool => out.write_str("yes or no"),
            Self::Int { min, max: i64::MAX } => write!(out, "{min} or more"),
            Self::Int { min, max } => write!(out, "{min} to {max}"),
            Self::OrNone { min, max } => write!(out, "-1, or {min} to {max}"),
            Self::OneOf(values) => write_list(out, values.iter()),
            Self::Named(values) => {
                write_list(out, values.iter().map(|(name, value)| format!("{name} ({value})")))
            }
            Self::Length { max } => write!(out, "at most {max} bytes"),
            Self::Words(words) => write_list(out, words.iter()),
            Self::Secret => out.write_str("empty, or 10 to 80 bytes"),
        }
    }
}

/// Unit of an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// A bare number, a word or text.
    None,
    /// Bytes; also `64KiB`, `8MB`.
    Bytes,
    /// Packets.
    Packets,
    /// Milliseconds; also `2s`, `120ms`.
    Milliseconds,
    /// Seconds; also `3min`.
    Seconds,
    /// Bytes per second; also `8Mbps` (bits), `1MB/s` (bytes).
    BytesPerSecond,
    /// Percent; also `25%`.
    Percent,
    /// Hops.
    Hops,
    /// Version as `0xMMmmpp`; also `1.5.5`.
    Version,
}

impl Unit {
    /// The unit as it follows a number: `ms`; empty if there is none to name.
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::None | Self::Version => "",
            Self::Bytes => "bytes",
            Self::Packets => "packets",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::BytesPerSecond => "bytes/s",
            Self::Percent => "%",
            Self::Hops => "hops",
        }
    }
}

/// Whether an option can be changed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Support {
    /// It can.
    Now,
    /// It has its default alone until this feature is there.
    Later(&'static str),
}

/// Every name an option is known by.
fn names() -> impl Iterator<Item = (&'static str, SocketOption)> {
    TABLE.iter().map(|row| (row.name, row.option)).chain(ALIASES.iter().copied())
}

/// The known name with the fewest letters to change, if they are few.
fn nearest_name(name: &str) -> Option<&'static str> {
    if name.len() > LONGEST_NAME {
        return None;
    }
    let name = name.to_ascii_lowercase();
    let (distance, nearest) =
        names().map(|(known, _)| (edit_distance(&name, known), known)).min_by_key(|near| near.0)?;
    (distance <= 1 + nearest.len() / 4).then_some(nearest)
}

/// Letters to insert, remove or replace to make `to` of `from` (Levenshtein).
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, letter) in from.chars().enumerate() {
        let mut diagonal = above;
        row[0] = above + 1;
        for (column, &wanted) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != wanted);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

/// Writes `a, b or c`.
fn write_list<T: fmt::Display>(
    out: &mut fmt::Formatter<'_>,
    items: impl ExactSizeIterator<Item = T>,
) -> fmt::Result {
    let last = items.len().saturating_sub(1);
    for (index, item) in items.enumerate() {
        match index {
            0 => {}
            _ if index == last => out.write_str(" or ")?,
            _ => out.write_str(", ")?,
        }
        write!(out, "{item}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `SRT_SOCKOPT` of libsrt 1.5.5 with its numbers, from the header.
    const LIBSRT: &str = "MSS 0 SNDSYN 1 RCVSYN 2 ISN 3 FC 4 SNDBUF 5 RCVBUF 6 LINGER 7 UDP_SNDBUF 8 UDP_RCVBUF 9 \
        RENDEZVOUS 12 SNDTIMEO 13 RCVTIMEO 14 REUSEADDR 15 MAXBW 16 STATE 17 EVENT 18 SNDDATA 19 RCVDATA 20 SENDER 21 \
        TSBPDMODE 22 LATENCY 23 INPUTBW 24 OHEADBW 25 PASSPHRASE 26 PBKEYLEN 27 KMSTATE 28 IPTTL 29 IPTOS 30 TLPKTDROP 31 \
        SNDDROPDELAY 32 NAKREPORT 33 VERSION 34 PEERVERSION 35 CONNTIMEO 36 DRIFTTRACER 37 MININPUTBW 38 SNDKMSTATE 40 \
        RCVKMSTATE 41 LOSSMAXTTL 42 RCVLATENCY 43 PEERLATENCY 44 MINVERSION 45 STREAMID 46 CONGESTION 47 MESSAGEAPI 48 \
        PAYLOADSIZE 49 TRANSTYPE 50 KMREFRESHRATE 51 KMPREANNOUNCE 52 ENFORCEDENCRYPTION 53 IPV6ONLY 54 PEERIDLETIMEO 55 \
        BINDTODEVICE 56 GROUPCONNECT 57 GROUPMINSTABLETIMEO 58 GROUPTYPE 59 PACKETFILTER 60 RETRANSMITALGO 61 \
        CRYPTOMODE 62 MAXREXMITBW 63";

    #[test]
    fn every_option_of_libsrt_is_there_under_its_number() {
        let ours: Vec<_> =
            SocketOption::all().flat_map(|info| [info.sro[5..].to_owned(), info.id.to_string()]).collect();
        assert_eq!(ours, LIBSRT.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn each_row_agrees_with_itself() {
        for info in SocketOption::all() {
            assert_eq!(info.sro, format!("SRTO_{}", info.name.to_uppercase()));
            assert_eq!(info.option.info(), info);
            assert_eq!(format!("{:?}", info.option).to_lowercase(), info.name.replace('_', ""));
            assert_eq!(
                (info.option.id(), info.option.name(), info.option.to_string().as_str()),
                (info.id, info.name, info.name)
            );
            assert_eq!(SocketOption::from_id(info.id), Some(info.option));
            assert!(
                !info.doc.is_empty() && info.doc.ends_with(|end| ['.', ';', ':'].contains(&end)),
                "{}",
                info.doc
            );
            let default = text::parse(info, info.default).expect("a default can be read");
            assert_eq!((default.kind(), &default), (info.kind, &info.default_value()), "{}", info.name);
            let allowed = match &default {
                OptionValue::Bool(_) => info.limits == Limits::Bool,
                OptionValue::Text(text) => info.limits.allows_text(text),
                number => info.limits.allows_int(number.as_int().unwrap()),
            };
            assert!(allowed, "the default of {} is out of range", info.name);
        }
    }

    #[test]
    fn ids_that_libsrt_left_out_are_none() {
        for id in [-1, 10, 11, 39, 64, i32::MAX, i32::MIN] {
            assert_eq!(SocketOption::from_id(id), None);
        }
    }

    #[test]
    fn a_name_is_known_with_and_without_its_prefix_and_in_any_case() {
        for name in ["latency", "LATENCY", "Latency", "SRTO_LATENCY", "srto_latency", " latency "] {
            assert_eq!(SocketOption::from_name(name), Ok(SocketOption::Latency));
        }
        assert_eq!(SocketOption::from_name("tsbpd"), Ok(SocketOption::TsbpdMode));
        assert_eq!(SocketOption::from_name("UDP_SNDBUF"), Ok(SocketOption::UdpSndBuf));
        for info in SocketOption::all() {
            assert_eq!(SocketOption::from_name(info.name), Ok(info.option));
            assert_eq!(SocketOption::from_name(info.sro), Ok(info.option));
        }
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_one() {
        let hint = |name: &str| match SocketOption::from_name(name) {
            Err(ConfigError::UnknownOption { hint, .. }) => hint,
            other => panic!("{other:?}"),
        };
        for (slip, meant) in [
            ("latenzy", "latency"),
            ("SRTO_LATENCI", "latency"),
            ("pasphrase", "passphrase"),
            ("stream_id", "streamid"),
            ("max_bw", "maxbw"),
            ("rcvlatancy", "rcvlatency"),
            ("peeridletimeout", "peeridletimeo"),
            ("ms", "mss"),
        ] {
            assert_eq!(hint(slip), Some(meant), "{slip}");
        }
        for far in ["", "zzzzzzzz", "frobnicate", "SRTO_", "ä", "äöüßx", &"latency".repeat(50)] {
            assert_eq!(hint(far), None, "{far}");
        }
        assert_eq!(
            SocketOption::from_name("latenzy").unwrap_err().to_string(),
            "unknown option `latenzy`; did you mean `latency`?"
        );
        assert_eq!(SocketOption::from_name("foobar").unwrap_err().to_string(), "unknown option `foobar`");
        let Err(ConfigError::UnknownOption { name, .. }) = SocketOption::from_name(&"ü".repeat(500)) else {
            panic!()
        };
        assert_eq!(name, "ü".repeat(40));
    }

    #[test]
    fn limits_read_as_a_sentence() {
        let allowed = |option: SocketOption| option.info().allowed();
        assert_eq!(allowed(SocketOption::TlPktDrop), "yes or no");
        assert_eq!(allowed(SocketOption::Latency), "0 to 65535 ms");
        assert_eq!(allowed(SocketOption::MaxBw), "-1 or more bytes/s");
        assert_eq!(allowed(SocketOption::IpTtl), "-1, or 1 to 255 hops");
        assert_eq!(allowed(SocketOption::PbKeyLen), "0, 16, 24 or 32 bytes");
        assert_eq!(allowed(SocketOption::TransType), "live (0) or file (1)");
        assert_eq!(allowed(SocketOption::Congestion), "live, file or vod");
        assert_eq!(allowed(SocketOption::StreamId), "at most 512 bytes");
    }

    #[test]
    fn edit_distance_counts_letters() {
        assert_eq!(edit_distance("", "mss"), 3);
        assert_eq!(edit_distance("mss", "mss"), 0);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("latency", ""), 7);
    }
}
