//! When a stream ends in order, and when a packet is too late to be sent: the same whether one link carries the stream or several.

use crate::{
    config::Config,
    connection::Negotiated,
    link::Rtt,
    time::{Instant, Micros},
};

/// SHUTDOWNs sent on each link, so that a lossy path brings one; a peer that knows of it ignores the rest.
pub const GOODBYES: u8 = 3;

/// The sender gives up what is older than this, whatever the latency (libsrt: `SRT_TLPKTDROP_MINTHRESHOLD_MS`).
const TOO_LATE_MIN: Micros = Micros::from_secs(1);
/// Added to the threshold above: two ACK periods.
const TOO_LATE_MARGIN: Micros = Micros::from_millis(20);
/// Added to the time at which an orderly end says goodbye: a libsrt forgets what its application has not taken by then, and on a busy
/// machine that takes its time.
const MARGIN: Micros = Micros::from_millis(50);
/// How long an orderly end waits for acknowledgements at most where no latency bounds it and LINGER is not set.
const WAIT: Micros = Micros::from_secs(3);
/// A peer that is gone is waited for no longer than the latency and this, whatever stamps its packets carry.
const BROKEN_WAIT: Micros = Micros::from_secs(5);

/// How old a packet may get before the sender gives it up (TLPKTDROP); `None` where it never does.
#[must_use]
pub fn too_late_after(config: &Config, negotiated: &Negotiated) -> Option<Micros> {
    let delay = config.send_drop_delay()?;
    let latency = negotiated.peer_latency.filter(|_| negotiated.peer_tlpktdrop)?;
    Some((latency + delay).max(TOO_LATE_MIN) + TOO_LATE_MARGIN)
}

/// Until when what a peer that is gone has brought is handed out at most.
#[must_use]
pub fn broken_until(now: Instant, negotiated: Option<&Negotiated>) -> Instant {
    now + negotiated.and_then(|agreed| agreed.receiver_latency).unwrap_or_default() + BROKEN_WAIT
}

/// How long the last packet may take on a link until the peer has it.
#[must_use]
pub fn last_way(rtt: &Rtt) -> Micros {
    rtt.longest_half() + rtt.variance() * 4 + MARGIN
}

/// A stream that is being closed in order.
#[derive(Clone, Copy, Debug)]
#[expect(
    clippy::exhaustive_structs,
    reason = "its owner builds it, and whatever comes to it has to be given"
)]
pub struct OrderlyEnd {
    /// When the end was asked for.
    pub asked: Instant,
    /// When a packet left for the first time last; the default where none did.
    pub last_new_at: Instant,
    /// When the peer acknowledged something last.
    pub last_progress_at: Instant,
    /// Nothing waits to be sent for the first time.
    pub all_sent: bool,
    /// Nothing waits to be acknowledged.
    pub confirmed: bool,
    /// How long the [last packet](last_way) may take.
    pub way: Micros,
}

impl OrderlyEnd {
    /// When to say goodbye; `None` while that cannot be told yet.
    ///
    /// A peer that takes nothing any more is not waited for, nor is one that claims a fantastic round trip.
    #[must_use]
    pub fn says_goodbye_at(&self, config: &Config, negotiated: &Negotiated) -> Option<Instant> {
        let linger = config.linger();
        let bound = (!linger.is_zero()).then(|| self.asked + linger);
        let progress = self.asked.max(self.last_new_at).max(self.last_progress_at);
        let given_up =
            Some(progress + negotiated.peer_latency.unwrap_or_default() + WAIT).filter(|_| bound.is_none());
        let natural = match negotiated.peer_latency {
            _ if self.last_new_at == Instant::default() && self.all_sent => Some(self.asked), // nothing was ever sent
            _ if !self.confirmed => None,
            Some(latency) => self.all_sent.then(|| self.last_new_at + latency + self.way),
            None => Some(self.asked),
        };
        [natural, bound, given_up].into_iter().flatten().min()
    }
}
