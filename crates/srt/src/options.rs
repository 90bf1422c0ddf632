//! Options of a socket or listener: libsrt's `SRTO_*` and the few things that only this crate has.

use std::time::Duration;

use srt_io::UdpOptions;
use srt_protocol::{
    config::{CipherMode, Config, ConfigError, KeyLength, Linger, OptionValue, SocketOption},
    time::Micros,
};

use crate::{Error, Runtime};

/// Options of a socket or listener, set one by one.
///
/// Start from [`Options::new`], which is libsrt's live mode with its defaults, and change what is wanted. Each call takes
/// and gives back the options, so they chain. A value that is not allowed does not panic and changes nothing: it is kept
/// and reported by the call that uses the options ([`check`](Self::check), [`connect`](crate::SrtSocket::connect),
/// [`bind`](crate::SrtListener::bind)) as [`Error::Config`].
///
/// Every `SRTO_*` option can also be set by its name, as in a URI, with [`set_text`](Self::set_text), or as a value with
/// [`set`](Self::set); these two report at once.
///
/// ```
/// use srt::Options;
/// use std::time::Duration;
///
/// let mut options = Options::new().latency(Duration::from_millis(300)).stream_id("#!::r=camera1,m=publish");
/// options.set_text("maxbw", "8Mbps")?;
/// assert!(options.check().is_ok());
/// assert_eq!(Duration::from(options.config().receiver_latency()), Duration::from_millis(300));
///
/// let wrong = Options::new().payload_size(9_000);
/// assert!(wrong.check().unwrap_err().to_string().starts_with("payloadsize: 9000 is not allowed"));
/// # Ok::<(), srt::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    config: Config,
    backlog: usize,
    workers: usize,
    runtime: Option<Runtime>,
    /// The first value that was refused.
    refused: Option<ConfigError>,
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl From<Config> for Options {
    fn from(config: Config) -> Self {
        Self { config, backlog: DEFAULT_BACKLOG, workers: 1, runtime: None, refused: None }
    }
}

/// Builder calls that set one option each.
macro_rules! setters {
    ($($(#[$meta:meta])+ $name:ident($given:ident: $type:ty) => $option:ident = $value:expr;)+) => {$(
        $(#[$meta])+
        #[must_use]
        pub fn $name(self, $given: $type) -> Self {
            self.with(SocketOption::$option, $value)
        }
    )+};
}

impl Options {
    /// The defaults of live mode: latency 120 ms, payloads of up to 1316 bytes, TSBPD, TLPKTDROP.
    #[must_use]
    pub fn new() -> Self {
        Self::from(Config::live())
    }

    setters! {
        /// Delay from the moment of sending to delivery, of both directions; the larger of both sides' wishes holds.
        /// Default 120 ms, in whole milliseconds, at most 65,535.
        ///
        /// It is the time there is to repair losses: three to four round trips are a good value. Too low, and what gets
        /// lost cannot be sent again in time; too high, and viewers wait for nothing.
        #[doc(alias = "SRTO_LATENCY")]
        latency(span: Duration) => Latency = millis(span);
        /// The same for what we receive alone.
        #[doc(alias = "SRTO_RCVLATENCY")]
        receiver_latency(span: Duration) => RcvLatency = millis(span);
        /// The same for what the peer receives from us: the least it shall use. Default 0.
        #[doc(alias = "SRTO_PEERLATENCY")]
        peer_latency(span: Duration) => PeerLatency = millis(span);
        /// What a caller tells the listener: at most 512 bytes, by habit as `#!::r=resource,m=publish,u=user`.
        #[doc(alias = "SRTO_STREAMID")]
        stream_id(id: impl AsRef<[u8]>) => StreamId = id.as_ref();
        /// A listener takes bonded groups too. Default off: they are refused. All listeners of a runtime that take groups are
        /// served by one worker, so that a group may come by any of them.
        #[doc(alias = "SRTO_GROUPCONNECT")]
        group_connect(takes: bool) => GroupConnect = i32::from(takes);
        /// How long to wait for the answer to a call. Default 3 s.
        #[doc(alias = "SRTO_CONNTIMEO")]
        connect_timeout(span: Duration) => ConnTimeo = millis(span);
        /// How long a blocking send waits for room; `None`, the default, for ever.
        #[doc(alias = "SRTO_SNDTIMEO")]
        send_timeout(span: Option<Duration>) => SndTimeo = span.map_or(-1, millis);
        /// How long a blocking receive or accept waits; `None`, the default, for ever.
        #[doc(alias = "SRTO_RCVTIMEO")]
        receive_timeout(span: Option<Duration>) => RcvTimeo = span.map_or(-1, millis);
        /// How long closing waits at most for the peer to have everything, in whole seconds. 0, the default: until its latency
        /// and 3 s have passed without progress.
        #[doc(alias = "SRTO_LINGER")]
        linger(span: Duration) => Linger = Linger::seconds(seconds(span));
        /// Silence of the peer after which the connection counts as broken. Default 5 s.
        #[doc(alias = "SRTO_PEERIDLETIMEO")]
        peer_idle_timeout(span: Duration) => PeerIdleTimeo = millis(span);
        /// Ceiling of the sending rate in bytes per second: -1, the default, is none; 0 is the input's rate and
        /// [`overhead_percent`](Self::overhead_percent) on top.
        #[doc(alias = "SRTO_MAXBW")]
        max_bandwidth(bytes_per_second: i64) => MaxBw = bytes_per_second;
        /// Rate of the input in bytes per second, for [`max_bandwidth`](Self::max_bandwidth) 0; 0, the default, measures it.
        #[doc(alias = "SRTO_INPUTBW")]
        input_bandwidth(bytes_per_second: u64) => InputBw = i64::try_from(bytes_per_second).unwrap_or(i64::MAX);
        /// Least input rate assumed while it is measured, in bytes per second. Default 0.
        #[doc(alias = "SRTO_MININPUTBW")]
        min_input_bandwidth(bytes_per_second: u64) => MinInputBw = i64::try_from(bytes_per_second).unwrap_or(i64::MAX);
        /// Percent above the input rate that retransmissions may use, 5 to 100. Default 25.
        #[doc(alias = "SRTO_OHEADBW")]
        overhead_percent(percent: u32) => OheadBw = percent;
        /// Ceiling of the rate of retransmissions in bytes per second; -1, the default, is none.
        #[doc(alias = "SRTO_MAXREXMITBW")]
        max_rexmit_bandwidth(bytes_per_second: i64) => MaxRexmitBw = bytes_per_second;
        /// Longest message in bytes: 1316, the default, is seven packets of MPEG-TS; at most MSS − 44.
        #[doc(alias = "SRTO_PAYLOADSIZE")]
        payload_size(bytes: usize) => PayloadSize = i64::try_from(bytes).unwrap_or(i64::MAX);
        /// Largest UDP packet with its IP and UDP headers, in bytes. Default 1500.
        #[doc(alias = "SRTO_MSS")]
        mss(bytes: u32) => Mss = bytes;
        /// Most packets in flight. Default 25,600. The receive buffer holds no more than this.
        #[doc(alias = "SRTO_FC")]
        flow_window(packets: u32) => Fc = packets;
        /// Bytes of data that wait to be sent or acknowledged. Default 12 MB.
        #[doc(alias = "SRTO_SNDBUF")]
        send_buffer(bytes: u32) => SndBuf = bytes;
        /// Bytes of data that wait for their play time or for the application. Default 12 MB.
        ///
        /// It must hold the rate times the latency: 100 Mb/s at 1 s of latency are 12.5 MB. Raise
        /// [`flow_window`](Self::flow_window) with it.
        #[doc(alias = "SRTO_RCVBUF")]
        receive_buffer(bytes: u32) => RcvBuf = bytes;
        /// Send buffer of the UDP socket in bytes. Default 65,536.
        #[doc(alias = "SRTO_UDP_SNDBUF")]
        udp_send_buffer(bytes: u32) => UdpSndBuf = bytes;
        /// Receive buffer of the UDP socket in bytes. Default 12,288,000; the system may grant less.
        #[doc(alias = "SRTO_UDP_RCVBUF")]
        udp_receive_buffer(bytes: u32) => UdpRcvBuf = bytes;
        /// Whether what is too late to be played is given up. Default true.
        #[doc(alias = "SRTO_TLPKTDROP")]
        too_late_drop(yes: bool) => TlPktDrop = yes;
        /// Whether the receiver repeats its loss reports. Default true.
        #[doc(alias = "SRTO_NAKREPORT")]
        nak_report(yes: bool) => NakReport = yes;
        /// Whether the receiver follows the drift of the sender's clock. Default true.
        #[doc(alias = "SRTO_DRIFTTRACER")]
        drift_tracer(yes: bool) => DriftTracer = yes;
        /// Ceiling of the reorder tolerance in packets. Default 0.
        #[doc(alias = "SRTO_LOSSMAXTTL")]
        loss_max_ttl(packets: u32) => LossMaxTtl = packets;
        /// Oldest version of SRT accepted of a peer, as `0xMMmmpp`. Default 1.0.0.
        #[doc(alias = "SRTO_MINVERSION")]
        min_version(version: u32) => MinVersion = version;
        /// IPv4 time to live, or IPv6 hop limit: 1 to 255. Default: the system's.
        #[doc(alias = "SRTO_IPTTL")]
        ip_ttl(hops: u8) => IpTtl = i32::from(hops);
        /// IPv4 type of service, or IPv6 traffic class. Default: the system's.
        #[doc(alias = "SRTO_IPTOS")]
        ip_tos(tos: u8) => IpTos = i32::from(tos);
        /// Whether an IPv6 socket serves IPv6 alone, or IPv4 too. Default: the system's way.
        #[doc(alias = "SRTO_IPV6ONLY")]
        ipv6_only(yes: bool) => Ipv6Only = i32::from(yes);
        /// Whether sockets of this program may share one UDP port. Default true.
        ///
        /// Never shared with another program: a port in use is an error.
        #[doc(alias = "SRTO_REUSEADDR")]
        reuse_addr(yes: bool) => ReuseAddr = yes;
        /// The only network interface to use, such as `eth0`. Default: any.
        #[doc(alias = "SRTO_BINDTODEVICE")]
        bind_to_device(name: &str) => BindToDevice = name;
        /// The secret of both sides, from which the keys are derived: 10 to 80 bytes of any value. Empty, the default, is no
        /// encryption.
        ///
        /// The copy that is kept is wiped from memory when the options are dropped, and no `Debug` or error shows it; the
        /// caller wipes its own. A short one can be guessed by whoever recorded the stream: take one made by a generator.
        #[doc(alias = "SRTO_PASSPHRASE")]
        passphrase(secret: impl AsRef<[u8]>) => Passphrase = secret.as_ref();
        /// Length of the keys that encrypt what we send. Default: the other side's, or [`KeyLength::Aes128`] where neither
        /// says one.
        #[doc(alias = "SRTO_PBKEYLEN")]
        key_length(length: KeyLength) => PbKeyLen = i64::try_from(length.bytes()).unwrap_or(i64::MAX);
        /// How payloads are encrypted. Default: [`CipherMode::Ctr`] as caller, and what the caller has as listener.
        ///
        /// [`CipherMode::Gcm`] also notices changes on the way, and takes 16 bytes of each packet:
        /// [`payload_size`](Self::payload_size) is at most MSS − 60 then. It is libsrt's since 1.5.2; talk to 1.5.4 or later.
        #[doc(alias = "SRTO_CRYPTOMODE")]
        cipher_mode(mode: CipherMode) => CryptoMode = match mode { CipherMode::Ctr => 1, CipherMode::Gcm => 2 };
        /// Packets sent under one key before the next one takes over: 3 to 2^30; 0, the default, is 2^24.
        ///
        /// Low values cost a key exchange each time. Set it before [`km_pre_announce`](Self::km_pre_announce), which becomes
        /// half of it where it is larger.
        #[doc(alias = "SRTO_KMREFRESHRATE")]
        km_refresh_rate(packets: u32) => KmRefreshRate = i64::from(packets);
        /// Packets between the announcement of the next key and its use: at most half of
        /// [`km_refresh_rate`](Self::km_refresh_rate); 0, the default, is 2^16 as far as that allows.
        ///
        /// As many packets as leave in some round trips are needed, else the key is used before the peer has it and what comes
        /// meanwhile cannot be decrypted.
        #[doc(alias = "SRTO_KMPREANNOUNCE")]
        km_pre_announce(packets: u32) => KmPreAnnounce = i64::from(packets);
        /// Whether a connection is refused where the sides disagree about the passphrase. Default true.
        ///
        /// Without it the connection is made all the same, and what cannot be decrypted is not delivered; what is sent by a
        /// side without a passphrase goes in the clear.
        #[doc(alias = "SRTO_ENFORCEDENCRYPTION")]
        enforced_encryption(yes: bool) => EnforcedEncryption = yes;
    }

    /// Most connections of a listener that wait for [`accept`](crate::SrtListener::accept); further callers are rejected
    /// with [`RejectReason::Backlog`](crate::RejectReason::Backlog). Default 128, at least 1.
    #[must_use]
    pub fn backlog(mut self, connections: usize) -> Self {
        self.backlog = connections.max(1);
        self
    }

    /// Workers that a listener's port is spread over, at most as many as its runtime has. Default 1, at least 1.
    ///
    /// One worker serves some gigabits per second. A listener that takes more than that opens its port once for each of
    /// several workers, and the system deals the callers to them (Linux: `SO_REUSEPORT`; elsewhere one worker serves it all).
    /// A connection stays with its worker.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers.max(1);
        self
    }

    /// The runtime whose workers shall serve the socket. Default: [`Runtime::default_handle`].
    #[must_use]
    pub fn runtime(mut self, runtime: &Runtime) -> Self {
        self.runtime = Some(runtime.clone());
        self
    }

    /// Sets any option by value, in libsrt's unit.
    ///
    /// # Errors
    /// [`Error::Config`] names the option, the value and what is allowed. Nothing is changed then.
    pub fn set(&mut self, option: SocketOption, value: impl Into<OptionValue>) -> Result<&mut Self, Error> {
        self.config.set(option, value)?;
        Ok(self)
    }

    /// Sets any option by name and text, as in a URI: `set_text("latency", "300ms")`.
    ///
    /// # Errors
    /// [`Error::Config`] names the option, the value and what is allowed; for an unknown name the nearest known one.
    pub fn set_text(&mut self, name: &str, text: &str) -> Result<&mut Self, Error> {
        self.config.set_text(name, text)?;
        Ok(self)
    }

    /// Reads any option, in libsrt's unit.
    ///
    /// # Errors
    /// [`Error::Config`] for what only a socket in use knows.
    pub fn get(&self, option: SocketOption) -> Result<OptionValue, Error> {
        Ok(self.config.get(option)?)
    }

    /// The protocol's part of the options.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Tells whether every value given so far was allowed.
    ///
    /// # Errors
    /// [`Error::Config`] for the first that was not.
    pub fn check(&self) -> Result<(), Error> {
        match &self.refused {
            Some(error) => Err(error.clone().into()),
            None => Ok(()),
        }
    }

    pub(crate) const fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    pub(crate) const fn worker_count(&self) -> usize {
        self.workers
    }

    pub(crate) const fn backlog_size(&self) -> usize {
        self.backlog
    }

    /// The runtime asked for, or the default one.
    pub(crate) fn chosen_runtime(&self) -> Result<Runtime, Error> {
        self.runtime.clone().map_or_else(Runtime::default_handle, Ok)
    }

    /// What the UDP socket is to be made with.
    pub(crate) fn udp(&self) -> UdpOptions {
        let receive_buffer = self.config.udp_receive_buffer();
        // Whoever has chosen a size has it; the default one grows where the system was seen to lose datagrams.
        let chosen = receive_buffer != Config::default().udp_receive_buffer();
        UdpOptions {
            ipv6_only: self.config.ipv6_only(),
            ttl: self.config.ip_ttl(),
            tos: self.config.ip_tos(),
            send_buffer: Some(self.config.udp_send_buffer()),
            receive_buffer: Some(receive_buffer),
            receive_buffer_most: (!chosen).then_some(UDP_RECEIVE_BUFFER_MOST),
            device: self.config.bind_to_device().map(str::to_owned),
            ..UdpOptions::default()
        }
    }

    fn with(mut self, option: SocketOption, value: impl Into<OptionValue>) -> Self {
        if let Err(error) = self.config.set(option, value) {
            self.refused.get_or_insert(error);
        }
        self
    }
}

/// What the default receive buffer of a UDP port may grow to, in bytes.
const UDP_RECEIVE_BUFFER_MOST: u32 = 64 << 20;

/// A span as the whole milliseconds of an option, rounded up so that what is not nothing does not become it.
fn millis(span: Duration) -> i32 {
    i32::try_from(span.as_micros().div_ceil(1_000)).unwrap_or(i32::MAX)
}

/// A span as the whole seconds of an option, rounded up.
fn seconds(span: Duration) -> i32 {
    i32::try_from(span.as_micros().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

/// A timeout of the core as the standard library's.
pub(crate) fn duration(span: Option<Micros>) -> Option<Duration> {
    span.map(Duration::from)
}

/// As many as libsrt's tools and most TCP servers ask for.
const DEFAULT_BACKLOG: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use srt_protocol::config::Passphrase;

    #[test]
    fn the_first_refused_value_is_reported_and_changes_nothing() {
        let options =
            Options::new().overhead_percent(1).payload_size(100_000).latency(Duration::from_millis(50));
        let text = options.check().expect_err("1 % is below what is allowed").to_string();
        assert!(text.starts_with("oheadbw: 1 "), "{text}");
        assert_eq!(options.config().overhead_percent(), 25);
        assert_eq!(options.config().receiver_latency(), Micros::from_millis(50));
    }

    #[test]
    fn every_builder_call_reaches_its_option() {
        let options = Options::new()
            .receiver_latency(Duration::from_millis(201))
            .peer_latency(Duration::from_millis(202))
            .stream_id("abc")
            .connect_timeout(Duration::from_millis(203))
            .send_timeout(Some(Duration::from_millis(204)))
            .receive_timeout(Some(Duration::from_millis(205)))
            .linger(Duration::from_secs(6))
            .peer_idle_timeout(Duration::from_millis(207))
            .max_bandwidth(1_000)
            .input_bandwidth(1_001)
            .min_input_bandwidth(1_002)
            .overhead_percent(33)
            .max_rexmit_bandwidth(1_003)
            .mss(1_400)
            .payload_size(1_200)
            .flow_window(30_000)
            .send_buffer(1_372 * 100)
            .receive_buffer(1_372 * 200)
            .udp_send_buffer(100_000)
            .udp_receive_buffer(200_000)
            .too_late_drop(false)
            .nak_report(false)
            .drift_tracer(false)
            .loss_max_ttl(7)
            .min_version(0x0001_0300)
            .ip_ttl(9)
            .ip_tos(0xB8)
            .ipv6_only(true)
            .reuse_addr(false)
            .passphrase("open sesame")
            .key_length(KeyLength::Aes192)
            .cipher_mode(CipherMode::Gcm)
            .km_refresh_rate(1_000)
            .km_pre_announce(100)
            .enforced_encryption(false)
            .backlog(3);
        options.check().expect("all allowed");
        let config = options.config();
        assert_eq!(config.receiver_latency(), Micros::from_millis(201));
        assert_eq!(config.peer_latency(), Micros::from_millis(202));
        assert_eq!(config.stream_id(), b"abc");
        assert_eq!(config.connect_timeout(), Micros::from_millis(203));
        assert_eq!(config.send_timeout(), Some(Micros::from_millis(204)));
        assert_eq!(config.receive_timeout(), Some(Micros::from_millis(205)));
        assert_eq!(config.linger(), Micros::from_secs(6));
        assert_eq!(config.peer_idle_timeout(), Micros::from_millis(207));
        assert_eq!((config.max_bw(), config.input_bw(), config.min_input_bw()), (1_000, 1_001, 1_002));
        assert_eq!((config.overhead_percent(), config.max_rexmit_bw()), (33, 1_003));
        assert_eq!((config.mss(), config.payload_size(), config.flow_window()), (1_400, 1_200, 30_000));
        assert_eq!((config.send_buffer_packets(), config.receive_buffer_packets()), (100, 200));
        assert_eq!((config.udp_send_buffer(), config.udp_receive_buffer()), (100_000, 200_000));
        assert!(!config.tlpktdrop() && !config.nak_report() && !config.drift_tracer());
        assert_eq!((config.loss_max_ttl(), config.min_version()), (7, 0x0001_0300));
        assert_eq!((config.ip_ttl(), config.ip_tos()), (Some(9), Some(0xB8)));
        assert_eq!((config.ipv6_only(), config.reuse_addr()), (Some(true), false));
        assert_eq!(config.passphrase(), Passphrase::new(b"open sesame").ok().as_ref());
        assert_eq!(
            (config.key_length(), config.cipher_mode()),
            (Some(KeyLength::Aes192), Some(CipherMode::Gcm))
        );
        assert_eq!((config.km_refresh_rate(), config.km_pre_announce()), (1_000, 100));
        assert!(!config.enforced_encryption());
        assert_eq!(options.backlog_size(), 3);
    }

    #[test]
    fn a_passphrase_of_wrong_length_is_reported_and_none_is_ever_shown() {
        for (secret, says) in [("sesame", "too short"), (&"sesame".repeat(14), "too long")] {
            let options = Options::new().passphrase(secret);
            let error = options.check().expect_err("10 to 80 bytes are allowed");
            assert_eq!(error.to_string(), format!("passphrase: {says}: 10 to 80 bytes"));
            assert!(!format!("{error:?} {options:?}").contains("sesame"));
        }
        let options = Options::new().passphrase("open sesame");
        assert!(options.config().passphrase().is_some() && !format!("{options:?}").contains("sesame"));
        assert_eq!(options.passphrase("").config().passphrase(), None, "empty ends encryption");
    }

    #[test]
    fn every_key_length_and_cipher_reaches_its_option() {
        for length in [KeyLength::Aes128, KeyLength::Aes192, KeyLength::Aes256] {
            assert_eq!(Options::new().key_length(length).config().key_length(), Some(length));
        }
        for mode in [CipherMode::Ctr, CipherMode::Gcm] {
            assert_eq!(Options::new().cipher_mode(mode).config().cipher_mode(), Some(mode));
        }
        let new = Options::new();
        assert_eq!((new.config().key_length(), new.config().cipher_mode()), (None, None));
    }

    #[test]
    fn the_tag_of_gcm_takes_room_of_the_payload() {
        let gcm = Options::new().cipher_mode(CipherMode::Gcm);
        assert!(gcm.clone().payload_size(1_440).check().is_ok());
        assert!(gcm.payload_size(1_441).check().is_err());
    }

    #[test]
    fn an_announcement_is_at_most_half_of_the_refresh_rate() {
        let options = Options::new().km_refresh_rate(1_000);
        assert_eq!(options.config().km_pre_announce(), 499, "it follows the rate");
        let text = options.km_pre_announce(500).check().expect_err("more than half").to_string();
        assert!(text.starts_with("kmpreannounce: 500 is not allowed; allowed: 0 to 499 packets"), "{text}");
    }

    #[test]
    fn a_span_is_rounded_up_to_the_options_unit() {
        assert_eq!(millis(Duration::from_micros(1)), 1);
        assert_eq!(millis(Duration::from_millis(5)), 5);
        assert_eq!(millis(Duration::MAX), i32::MAX);
        assert_eq!(seconds(Duration::from_millis(1_001)), 2);
    }
}
