//! What a connection counts and measures: one documented snapshot, field by field libsrt's `SRT_TRACEBSTATS`.
//!
//! Three kinds of field, told apart by where they stand in the struct and by the last line of each description:
//! - **total**: since the connection began; never falls, is never cleared;
//! - **interval**: since the snapshot that last cleared it, or since the connection began;
//! - **now**: the state at the moment of the snapshot.
//!
//! Bytes include 44 bytes of headers a packet (16 SRT, 8 UDP, 20 IPv4, also over IPv6, as in libsrt), but for
//! packets that could not be decrypted, where they are payload alone. All counters are unsigned and wide; the C ABI
//! narrows them to its types.

mod snapshot;
mod whole;

pub use self::snapshot::{BufferSize, Interval, Snapshot};
pub(crate) use self::snapshot::{Counts, float};
pub use self::whole::{Averages, Whole};

/// Builds [`Stats`] and [`Stats::fields`] from one list of fields.
macro_rules! stats {
    ($($(#[doc = $doc:literal])+ $name:literal $field:ident: $kind:ident;)+) => {
        /// A snapshot of a connection's statistics, in the order of libsrt's `SRT_TRACEBSTATS`.
        ///
        /// Sender's and receiver's figures stand side by side: each end fills those of both directions that it sees.
        #[derive(Clone, Debug, Default, PartialEq)]
        #[non_exhaustive]
        pub struct Stats {
            $(
                $(#[doc = $doc])+
                #[doc(alias = $name)]
                pub $field: stats!(@type $kind),
            )+
        }

        impl Stats {
            /// Every field with libsrt's name for it, in order, for reports.
            pub fn fields(&self) -> impl ExactSizeIterator<Item = (&'static str, StatValue)> + use<> {
                [$(($name, StatValue::$kind(self.$field)),)+].into_iter()
            }
        }
    };
    (@type UInt) => { u64 };
    (@type Float) => { f64 };
}

stats! {
    /// Milliseconds since the connection began. Total.
    "msTimeStamp" ms_time_stamp: UInt;
    /// Data packets sent, first sendings and retransmissions (and packets of a filter). Total, sender.
    "pktSentTotal" pkt_sent_total: UInt;
    /// Data packets that arrived, whatever became of them: also duplicates, late ones and packets of a filter. Total, receiver.
    "pktRecvTotal" pkt_recv_total: UInt;
    /// Packets found lost at the sender: reported in a NAK and put up for retransmission. One that is lost again counts
    /// again; one reported once more while it waits, or before the answer can have arrived, does not. Total, sender.
    "pktSndLossTotal" pkt_snd_loss_total: UInt;
    /// Packets found missing at the receiver: moves by the width of the gap when a packet arrives above the next
    /// expected number; what fills the gap later does not take it back. Total, receiver.
    "pktRcvLossTotal" pkt_rcv_loss_total: UInt;
    /// Packets sent again (R flag set). Total, sender.
    "pktRetransTotal" pkt_retrans_total: UInt;
    /// Full ACK control packets sent. Total, receiver.
    "pktSentACKTotal" pkt_sent_ack_total: UInt;
    /// Full ACK control packets that arrived and acknowledged something new. Total, sender.
    "pktRecvACKTotal" pkt_recv_ack_total: UInt;
    /// NAK control packets (loss reports) sent, immediate and repeated. Total, receiver.
    "pktSentNAKTotal" pkt_sent_nak_total: UInt;
    /// NAK control packets that arrived. Total, sender.
    "pktRecvNAKTotal" pkt_recv_nak_total: UInt;
    /// Microseconds in which the send buffer held something not yet acknowledged. Total, sender.
    "usSndDurationTotal" us_snd_duration_total: UInt;
    /// Packets that the sender gave up as too late to be played (draft §4.6). Total, sender.
    "pktSndDropTotal" pkt_snd_drop_total: UInt;
    /// Packets never handed to the application: not there when the play time of a later one came, given up by the
    /// sender, or not decryptable (draft §4.6). Total, receiver.
    "pktRcvDropTotal" pkt_rcv_drop_total: UInt;
    /// Packets that could not be decrypted. Total, receiver.
    "pktRcvUndecryptTotal" pkt_rcv_undecrypt_total: UInt;
    /// Bytes of [`pkt_sent_total`](Self::pkt_sent_total), with headers. Total, sender.
    "byteSentTotal" byte_sent_total: UInt;
    /// Bytes of [`pkt_recv_total`](Self::pkt_recv_total), with headers. Total, receiver.
    "byteRecvTotal" byte_recv_total: UInt;
    /// Bytes of [`pkt_rcv_loss_total`](Self::pkt_rcv_loss_total), with headers, at the mean size of a packet. Total, receiver.
    "byteRcvLossTotal" byte_rcv_loss_total: UInt;
    /// Bytes of [`pkt_retrans_total`](Self::pkt_retrans_total), with headers. Total, sender.
    "byteRetransTotal" byte_retrans_total: UInt;
    /// Bytes of [`pkt_snd_drop_total`](Self::pkt_snd_drop_total), with headers. Total, sender.
    "byteSndDropTotal" byte_snd_drop_total: UInt;
    /// Bytes of [`pkt_rcv_drop_total`](Self::pkt_rcv_drop_total), with headers, at the mean size of a packet. Total, receiver.
    "byteRcvDropTotal" byte_rcv_drop_total: UInt;
    /// Payload bytes of [`pkt_rcv_undecrypt_total`](Self::pkt_rcv_undecrypt_total), without headers. Total, receiver.
    "byteRcvUndecryptTotal" byte_rcv_undecrypt_total: UInt;

    /// As [`pkt_sent_total`](Self::pkt_sent_total). Interval, sender.
    "pktSent" pkt_sent: UInt;
    /// As [`pkt_recv_total`](Self::pkt_recv_total). Interval, receiver.
    "pktRecv" pkt_recv: UInt;
    /// As [`pkt_snd_loss_total`](Self::pkt_snd_loss_total). Interval, sender.
    "pktSndLoss" pkt_snd_loss: UInt;
    /// As [`pkt_rcv_loss_total`](Self::pkt_rcv_loss_total). Interval, receiver.
    "pktRcvLoss" pkt_rcv_loss: UInt;
    /// As [`pkt_retrans_total`](Self::pkt_retrans_total). Interval, sender.
    "pktRetrans" pkt_retrans: UInt;
    /// Packets that arrived with the R flag, whether or not they were needed. Interval, receiver (there is no total).
    "pktRcvRetrans" pkt_rcv_retrans: UInt;
    /// As [`pkt_sent_ack_total`](Self::pkt_sent_ack_total). Interval, receiver.
    "pktSentACK" pkt_sent_ack: UInt;
    /// As [`pkt_recv_ack_total`](Self::pkt_recv_ack_total). Interval, sender.
    "pktRecvACK" pkt_recv_ack: UInt;
    /// As [`pkt_sent_nak_total`](Self::pkt_sent_nak_total). Interval, receiver.
    "pktSentNAK" pkt_sent_nak: UInt;
    /// As [`pkt_recv_nak_total`](Self::pkt_recv_nak_total). Interval, sender.
    "pktRecvNAK" pkt_recv_nak: UInt;
    /// Rate of sending in Mb/s: [`byte_sent`](Self::byte_sent) over the interval. Interval, sender.
    "mbpsSendRate" mbps_send_rate: Float;
    /// Rate of arrival in Mb/s: [`byte_recv`](Self::byte_recv) over the interval. Interval, receiver.
    "mbpsRecvRate" mbps_recv_rate: Float;
    /// As [`us_snd_duration_total`](Self::us_snd_duration_total). Interval, sender.
    "usSndDuration" us_snd_duration: UInt;
    /// Largest distance, in packets, by which an original packet came behind a later one; not cleared with the interval, as in
    /// libsrt. Receiver.
    "pktReorderDistance" pkt_reorder_distance: UInt;
    /// How late, in milliseconds, packets were that came for nothing: a moving average, each new one weighs a fifth. Receiver.
    "pktRcvAvgBelatedTime" pkt_rcv_avg_belated_time: Float;
    /// Packets that arrived for nothing: below the delivered or dropped position, or below what is acknowledged, where they are
    /// duplicates. Interval, receiver.
    "pktRcvBelated" pkt_rcv_belated: UInt;
    /// As [`pkt_snd_drop_total`](Self::pkt_snd_drop_total). Interval, sender.
    "pktSndDrop" pkt_snd_drop: UInt;
    /// As [`pkt_rcv_drop_total`](Self::pkt_rcv_drop_total). Interval, receiver.
    "pktRcvDrop" pkt_rcv_drop: UInt;
    /// As [`pkt_rcv_undecrypt_total`](Self::pkt_rcv_undecrypt_total). Interval, receiver.
    "pktRcvUndecrypt" pkt_rcv_undecrypt: UInt;
    /// As [`byte_sent_total`](Self::byte_sent_total). Interval, sender.
    "byteSent" byte_sent: UInt;
    /// As [`byte_recv_total`](Self::byte_recv_total). Interval, receiver.
    "byteRecv" byte_recv: UInt;
    /// As [`byte_rcv_loss_total`](Self::byte_rcv_loss_total). Interval, receiver.
    "byteRcvLoss" byte_rcv_loss: UInt;
    /// As [`byte_retrans_total`](Self::byte_retrans_total). Interval, sender.
    "byteRetrans" byte_retrans: UInt;
    /// As [`byte_snd_drop_total`](Self::byte_snd_drop_total). Interval, sender.
    "byteSndDrop" byte_snd_drop: UInt;
    /// As [`byte_rcv_drop_total`](Self::byte_rcv_drop_total). Interval, receiver.
    "byteRcvDrop" byte_rcv_drop: UInt;
    /// As [`byte_rcv_undecrypt_total`](Self::byte_rcv_undecrypt_total), without headers. Interval, receiver.
    "byteRcvUndecrypt" byte_rcv_undecrypt: UInt;

    /// Least mean time between two packets sent, in microseconds: what pacing holds the sender to. Now, sender.
    "usPktSndPeriod" us_pkt_snd_period: Float;
    /// Packets that may be in flight as the peer last told us: the free space of its buffer. Now, sender.
    "pktFlowWindow" pkt_flow_window: UInt;
    /// Packets that congestion control lets be in flight; the flow window's maximum in live mode. Now, sender.
    "pktCongestionWindow" pkt_congestion_window: UInt;
    /// Packets sent above the last acknowledged one. Now, sender.
    "pktFlightSize" pkt_flight_size: UInt;
    /// Smoothed round-trip time in milliseconds (draft §4.10). Now, both.
    "msRTT" ms_rtt: Float;
    /// Capacity of the path in Mb/s, estimated by the receiver from packet pairs and told in its ACKs. Now, sender.
    "mbpsBandwidth" mbps_bandwidth: Float;
    /// Free packets of the send buffer times the MSS, in bytes. Now, sender.
    "byteAvailSndBuf" byte_avail_snd_buf: UInt;
    /// Free packets of the receive buffer times the MSS, in bytes. Now, receiver.
    "byteAvailRcvBuf" byte_avail_rcv_buf: UInt;
    /// Ceiling of the sending rate in Mb/s, as MAXBW says or as it follows from the input rate. Now, sender.
    "mbpsMaxBW" mbps_max_bw: Float;
    /// Largest UDP packet with IP and UDP headers, in bytes. Now, both.
    "byteMSS" byte_mss: UInt;
    /// Packets in the send buffer, sent or not, that are not acknowledged: a moving average, or the present number
    /// in an instantaneous snapshot. Now, sender.
    "pktSndBuf" pkt_snd_buf: UInt;
    /// Bytes of [`pkt_snd_buf`](Self::pkt_snd_buf), with headers. Now, sender.
    "byteSndBuf" byte_snd_buf: UInt;
    /// Milliseconds from the oldest to the newest packet of the send buffer (average or present). Now, sender.
    "msSndBuf" ms_snd_buf: UInt;
    /// Latency of the peer as receiver, in milliseconds; 0 if it does not deliver by time. Now, sender.
    "msSndTsbPdDelay" ms_snd_tsbpd_delay: UInt;
    /// Packets in the receive buffer that are complete up to the first gap and not delivered: a moving average, or
    /// the present number in an instantaneous snapshot. Now, receiver.
    "pktRcvBuf" pkt_rcv_buf: UInt;
    /// Bytes of [`pkt_rcv_buf`](Self::pkt_rcv_buf): payload alone, as libsrt counts it (its manual says with headers). Now, receiver.
    "byteRcvBuf" byte_rcv_buf: UInt;
    /// Milliseconds from the oldest to the newest packet of the receive buffer (average or present). Now, receiver.
    "msRcvBuf" ms_rcv_buf: UInt;
    /// Our latency as receiver, in milliseconds; 0 if we do not deliver by time. Now, receiver.
    "msRcvTsbPdDelay" ms_rcv_tsbpd_delay: UInt;

    /// Control packets that the packet filter sent. Total, sender.
    "pktSndFilterExtraTotal" pkt_snd_filter_extra_total: UInt;
    /// Control packets of the packet filter that arrived and were not handed on. Total, receiver.
    "pktRcvFilterExtraTotal" pkt_rcv_filter_extra_total: UInt;
    /// Lost packets that the packet filter rebuilt. Total, receiver.
    "pktRcvFilterSupplyTotal" pkt_rcv_filter_supply_total: UInt;
    /// Lost packets that the packet filter could not rebuild. Total, receiver.
    "pktRcvFilterLossTotal" pkt_rcv_filter_loss_total: UInt;
    /// As [`pkt_snd_filter_extra_total`](Self::pkt_snd_filter_extra_total). Interval, sender.
    "pktSndFilterExtra" pkt_snd_filter_extra: UInt;
    /// As [`pkt_rcv_filter_extra_total`](Self::pkt_rcv_filter_extra_total). Interval, receiver.
    "pktRcvFilterExtra" pkt_rcv_filter_extra: UInt;
    /// As [`pkt_rcv_filter_supply_total`](Self::pkt_rcv_filter_supply_total). Interval, receiver.
    "pktRcvFilterSupply" pkt_rcv_filter_supply: UInt;
    /// As [`pkt_rcv_filter_loss_total`](Self::pkt_rcv_filter_loss_total). Interval, receiver.
    "pktRcvFilterLoss" pkt_rcv_filter_loss: UInt;
    /// Packets that may overtake before a gap is reported as loss. Now, receiver.
    "pktReorderTolerance" pkt_reorder_tolerance: UInt;

    /// Data packets sent for the first time. Total, sender.
    "pktSentUniqueTotal" pkt_sent_unique_total: UInt;
    /// Data packets that came in time, each once, whether original, sent again or rebuilt. Total, receiver.
    "pktRecvUniqueTotal" pkt_recv_unique_total: UInt;
    /// Bytes of [`pkt_sent_unique_total`](Self::pkt_sent_unique_total), with headers. Total, sender.
    "byteSentUniqueTotal" byte_sent_unique_total: UInt;
    /// Bytes of [`pkt_recv_unique_total`](Self::pkt_recv_unique_total), with headers. Total, receiver.
    "byteRecvUniqueTotal" byte_recv_unique_total: UInt;
    /// As [`pkt_sent_unique_total`](Self::pkt_sent_unique_total). Interval, sender.
    "pktSentUnique" pkt_sent_unique: UInt;
    /// As [`pkt_recv_unique_total`](Self::pkt_recv_unique_total). Interval, receiver.
    "pktRecvUnique" pkt_recv_unique: UInt;
    /// As [`byte_sent_unique_total`](Self::byte_sent_unique_total). Interval, sender.
    "byteSentUnique" byte_sent_unique: UInt;
    /// As [`byte_recv_unique_total`](Self::byte_recv_unique_total). Interval, receiver.
    "byteRecvUnique" byte_recv_unique: UInt;
}

/// Value of one field of [`Stats`]. Its Display is the number as JSON and CSV want it.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum StatValue {
    /// A count, a size or whole milliseconds or microseconds.
    UInt(u64),
    /// A rate or a time with fractions; always finite in what a connection reports.
    Float(f64),
}

impl core::fmt::Display for StatValue {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::UInt(count) => count.fmt(out),
            Self::Float(figure) => figure.fmt(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order of `CBytePerfMon` in libsrt 1.5.5, from its measured layout.
    const LIBSRT: &str = "msTimeStamp pktSentTotal pktRecvTotal pktSndLossTotal pktRcvLossTotal pktRetransTotal \
        pktSentACKTotal pktRecvACKTotal pktSentNAKTotal pktRecvNAKTotal usSndDurationTotal pktSndDropTotal pktRcvDropTotal \
        pktRcvUndecryptTotal byteSentTotal byteRecvTotal byteRcvLossTotal byteRetransTotal byteSndDropTotal byteRcvDropTotal \
        byteRcvUndecryptTotal pktSent pktRecv pktSndLoss pktRcvLoss pktRetrans pktRcvRetrans pktSentACK pktRecvACK \
        pktSentNAK pktRecvNAK mbpsSendRate mbpsRecvRate usSndDuration pktReorderDistance pktRcvAvgBelatedTime pktRcvBelated \
        pktSndDrop pktRcvDrop pktRcvUndecrypt byteSent byteRecv byteRcvLoss byteRetrans byteSndDrop byteRcvDrop \
        byteRcvUndecrypt usPktSndPeriod pktFlowWindow pktCongestionWindow pktFlightSize msRTT mbpsBandwidth byteAvailSndBuf \
        byteAvailRcvBuf mbpsMaxBW byteMSS pktSndBuf byteSndBuf msSndBuf msSndTsbPdDelay pktRcvBuf byteRcvBuf msRcvBuf \
        msRcvTsbPdDelay pktSndFilterExtraTotal pktRcvFilterExtraTotal pktRcvFilterSupplyTotal pktRcvFilterLossTotal \
        pktSndFilterExtra pktRcvFilterExtra pktRcvFilterSupply pktRcvFilterLoss pktReorderTolerance pktSentUniqueTotal \
        pktRecvUniqueTotal byteSentUniqueTotal byteRecvUniqueTotal pktSentUnique pktRecvUnique byteSentUnique byteRecvUnique";

    /// The fields that are `double` in libsrt.
    const DOUBLES: [&str; 7] = [
        "mbpsSendRate",
        "mbpsRecvRate",
        "pktRcvAvgBelatedTime",
        "usPktSndPeriod",
        "msRTT",
        "mbpsBandwidth",
        "mbpsMaxBW",
    ];

    #[test]
    fn every_field_of_libsrt_is_there_in_its_order() {
        let ours: Vec<_> = Stats::default().fields().map(|(name, _)| name).collect();
        assert_eq!(ours, LIBSRT.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn a_field_is_a_float_exactly_where_libsrt_has_a_double() {
        for (name, value) in Stats::default().fields() {
            assert_eq!(matches!(value, StatValue::Float(_)), DOUBLES.contains(&name), "{name}");
        }
    }

    #[test]
    fn debug_shows_the_fields_in_the_same_order_under_the_same_names_in_snake_case() {
        let debug = format!("{:?}", Stats::default());
        let inner = debug.strip_prefix("Stats { ").unwrap().strip_suffix(" }").unwrap();
        let fields: Vec<_> =
            inner.split(", ").map(|field| field.split_once(':').unwrap().0.replace('_', "")).collect();
        let names: Vec<_> = Stats::default().fields().map(|(name, _)| name.to_lowercase()).collect();
        assert_eq!(fields, names);
    }

    #[test]
    fn a_value_reads_as_a_plain_number() {
        let stats = Stats { pkt_sent_total: u64::MAX, ms_rtt: 12.5, ..Stats::default() };
        let shown = |wanted| stats.fields().find(|(name, _)| *name == wanted).unwrap().1.to_string();
        assert_eq!(shown("pktSentTotal"), "18446744073709551615");
        assert_eq!(shown("msRTT"), "12.5");
        assert_eq!(shown("mbpsMaxBW"), "0");
    }
}
