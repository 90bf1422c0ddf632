//! Whether a link answers as it should: silence, round trip and loss, with hysteresis.
//!
//! libsrt: silence alone (`group_backup.cpp`), so that a link that loses half of everything is as good as any.

use srt_protocol::{
    link::Rtt,
    time::{Instant, Micros},
};

use crate::event::Unstable;

/// What a peer takes to answer beside the round trip: an ACK of ours waits for more packets at most this long; libsrt's 10 ms.
const ANSWER: Micros = Micros::from_millis(60);
/// A link that was in doubt has to be good for this long, and twice the latency at most.
const GOOD_FOR: Micros = Micros::from_millis(400);
/// Loss is judged over this many packets at least.
const JUDGED: u32 = 32;
const WINDOW: Micros = Micros::from_millis(250);
/// What was seen longer ago says nothing of now.
const STALE: Micros = Micros::from_secs(2);
/// In percent: a link that loses more is in doubt, and one that loses less is not.
const LOSS_BAD: u32 = 40;
const LOSS_GOOD: u32 = 20;

/// How one link has answered.
#[derive(Clone, Debug)]
pub(crate) struct Health {
    lag: bool,
    steered: bool,
    sent_at: Option<Instant>,
    min_timeout: Micros,
    latency: Micros,
    /// When the first packet left that nothing came after.
    unanswered: Option<Instant>,
    /// Until then nothing need be heard, though all is well.
    stalled_until: Instant,
    /// Packets sent, and reported lost, in this window.
    sent: u32,
    lost: u32,
    window_began: Instant,
    loss_percent: u32,
    base_rtt: Option<Micros>,
    unstable: Option<Unstable>,
    good_since: Option<Instant>,
    /// When what has not come will be too late.
    late_at: Option<Instant>,
}

impl Health {
    /// `lag` where the peer answers only once it has played what came; `steered` where congestion control sees to loss and delay.
    pub(crate) const fn new(
        now: Instant,
        min_timeout: Micros,
        latency: Micros,
        (lag, steered): (bool, bool),
    ) -> Self {
        Self {
            lag,
            steered,
            sent_at: None,
            min_timeout,
            latency,
            unanswered: None,
            stalled_until: now,
            sent: 0,
            lost: 0,
            window_began: now,
            loss_percent: 0,
            base_rtt: None,
            unstable: None,
            good_since: None,
            late_at: None,
        }
    }

    pub(crate) fn on_sent(&mut self, now: Instant) {
        let rested = self.sent_at.is_none_or(|at| now.saturating_since(at) > self.latency / 2);
        self.sent_at = Some(now);
        if self.lag && rested {
            self.on_stall(now + self.latency);
        }
        if self.unanswered.is_none() {
            self.unanswered = Some(now);
        }
        self.sent = self.sent.saturating_add(1);
    }

    /// The peer has a hole that is not filled on this link: it may acknowledge nothing more before it gives that up.
    pub(crate) fn on_stall(&mut self, until: Instant) {
        self.stalled_until = self.stalled_until.max(until);
    }

    pub(crate) const fn on_lost(&mut self) {
        self.lost = self.lost.saturating_add(1);
    }

    pub(crate) const fn on_heard(&mut self) {
        self.unanswered = None;
    }

    pub(crate) const fn unstable(&self) -> Option<Unstable> {
        self.unstable
    }

    /// Loss in percent, smoothed.
    pub(crate) const fn loss_percent(&self) -> u32 {
        self.loss_percent
    }

    /// What was sent is not answered, now: a link that is in doubt may have been heard again.
    pub(crate) fn is_silent(&self, now: Instant, rtt: &Rtt) -> bool {
        self.silent_at(rtt).is_some_and(|at| at <= now)
    }

    /// When silence will be too long.
    pub(crate) fn silent_at(&self, rtt: &Rtt) -> Option<Instant> {
        let patience = self.patience(rtt);
        Some((self.unanswered? + patience).max(self.stalled_until + patience))
    }

    /// When it is worth another look.
    pub(crate) fn next_look(&self, rtt: &Rtt) -> Option<Instant> {
        match self.unstable {
            None => [self.silent_at(rtt), self.late_at].into_iter().flatten().min(),
            Some(_) => self.good_since.map(|since| since + self.good_for()),
        }
    }

    fn good_for(&self) -> Micros {
        GOOD_FOR.max((self.latency * 2).min(Micros::from_secs(2)))
    }

    fn patience(&self, rtt: &Rtt) -> Micros {
        // Before it was measured the round trip is a guess with a wide variance.
        self.min_timeout.max(rtt.overdue() + ANSWER)
    }

    /// Its round trip has become too long, for what it was and for the latency.
    fn is_slow(&self, rtt: &Rtt) -> bool {
        let smoothed = rtt.smoothed();
        let grown = |base| smoothed > base * 3 && smoothed > base + Micros::from_millis(100);
        self.base_rtt.is_some_and(grown) && smoothed > self.latency / 2
    }

    /// Looks at it; true where the judgement changed. `oldest` is when the first packet left that should have come and has not, where
    /// the peer tells: of a queue that grows, round trips tell only when it has been passed.
    pub(crate) fn look(&mut self, now: Instant, rtt: &Rtt, oldest: Option<Instant>) -> bool {
        if now.saturating_since(self.window_began) >= WINDOW && self.sent >= JUDGED {
            let percent = (u64::from(self.lost) * 100 / u64::from(self.sent)).min(100);
            self.loss_percent = (self.loss_percent + u32::try_from(percent).unwrap_or(100)) / 2;
            (self.sent, self.lost, self.window_began) = (0, 0, now);
        }
        if self.sent_at.is_none_or(|at| now.saturating_since(at) > STALE) {
            // Who carries nothing has lost nothing of late.
            self.loss_percent = 0;
        }
        if rtt.is_known() {
            let smoothed = rtt.smoothed();
            self.base_rtt = Some(self.base_rtt.map_or(smoothed, |base| base.min(smoothed)));
        }
        self.late_at = oldest.map(|left| left + self.patience(rtt).max(self.latency / 2));
        let limit = if self.unstable.is_some() { LOSS_GOOD } else { LOSS_BAD };
        let wrong = if self.is_silent(now, rtt) {
            Some(Unstable::Silence)
        } else if self.steered {
            None
        } else if self.loss_percent > limit {
            Some(Unstable::Loss)
        } else if self.late_at.is_some_and(|at| at <= now) || self.is_slow(rtt) {
            Some(Unstable::Delay)
        } else {
            None
        };
        match (self.unstable, wrong) {
            (None, Some(why)) => {
                (self.unstable, self.good_since) = (Some(why), None);
                true
            }
            (Some(_), Some(_)) => {
                self.good_since = None;
                false
            }
            (Some(_), None) => {
                let since = *self.good_since.get_or_insert(now);
                let over = now.saturating_since(since) >= self.good_for();
                if over {
                    (self.unstable, self.good_since) = (None, None);
                }
                over
            }
            (None, None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Instant {
        Instant::from_micros(ms * 1_000)
    }

    fn rtt(ms: u64) -> Rtt {
        let mut rtt = Rtt::default();
        (0..200).for_each(|_| rtt.sample(Micros::from_millis(ms)));
        rtt
    }

    #[test]
    fn silence_is_noticed_and_one_answer_is_not_enough_to_be_trusted_again() {
        let (mut health, rtt) =
            (Health::new(at(0), Micros::from_millis(60), Micros::from_millis(250), (false, false)), rtt(40));
        health.on_sent(at(0));
        assert!(!health.look(at(99), &rtt, None));
        assert!(health.look(at(101), &rtt, None));
        assert_eq!(health.unstable(), Some(Unstable::Silence));
        health.on_heard();
        assert!(!health.look(at(110), &rtt, None));
        assert!(health.unstable().is_some());
        assert!(health.look(at(110 + 500), &rtt, None));
        assert_eq!(health.unstable(), None);
    }

    #[test]
    fn a_round_trip_that_only_the_peer_measures_counts_too() {
        let mut health =
            Health::new(at(0), Micros::from_millis(60), Micros::from_millis(1_000), (false, false));
        let mut rtt = Rtt::default();
        rtt.told_by_peer(30_000, 1_000);
        assert!(!health.look(at(10), &rtt, None));
        rtt.told_by_peer(600_000, 1_000);
        assert!(health.look(at(20), &rtt, None));
        assert_eq!(health.unstable(), Some(Unstable::Delay));
    }

    #[test]
    fn what_should_have_come_long_ago_is_a_doubt_before_any_round_trip_tells() {
        let (mut health, rtt) = (
            Health::new(at(0), Micros::from_millis(60), Micros::from_millis(1_000), (false, false)),
            rtt(40),
        );
        assert!(!health.look(at(499), &rtt, Some(at(0))));
        assert_eq!(health.next_look(&rtt), Some(at(500)));
        assert!(health.look(at(500), &rtt, Some(at(0))));
        assert_eq!(health.unstable(), Some(Unstable::Delay));
    }

    #[test]
    fn who_sends_nothing_expects_nothing() {
        let (mut health, rtt) =
            (Health::new(at(0), Micros::from_millis(60), Micros::from_millis(250), (false, false)), rtt(40));
        assert!(!health.look(at(100_000), &rtt, None));
        assert_eq!(health.next_look(&rtt), None);
    }

    #[test]
    fn a_link_that_loses_half_is_in_doubt() {
        let (mut health, rtt) =
            (Health::new(at(0), Micros::from_millis(60), Micros::from_millis(250), (false, false)), rtt(40));
        let mut changed = false;
        for ms in 0..2_000 {
            health.on_sent(at(ms));
            health.on_heard();
            if ms % 2 == 0 {
                health.on_lost();
            }
            changed |= health.look(at(ms), &rtt, None);
        }
        assert!(changed);
        assert_eq!(health.unstable(), Some(Unstable::Loss));
    }
}
