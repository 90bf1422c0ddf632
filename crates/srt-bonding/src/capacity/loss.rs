//! Which losses are ours: those that go away when the rate is cut.

use srt_protocol::time::{Instant, Micros};

use super::history::History;

/// Loss is judged over at least this time, and at most over [`LONGEST`] where packets are few.
const SHORTEST: Micros = Micros::from_millis(100);
const LONGEST: Micros = Micros::from_secs(2);
/// Packets a judgement wants.
const PACKETS: f64 = 40.0;
const PACKETS_TRIAL: f64 = 100.0;
/// With so many nothing more is to be learned.
const PACKETS_ENOUGH: f64 = 400.0;
/// More than this is never usual.
const USUAL_MOST: f64 = 0.5;
/// A loss is reported as soon as the next packet arrives, so about as late as a reading that left with it.
const LATE: Micros = Micros::from_millis(15);
/// The loss told is smoothed over a few of these.
const TOLD_OVER: Micros = Micros::from_millis(500);

/// What came out of looking at an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Nothing beyond what is usual here.
    Usual,
    /// More than usual: the link was given `sent` bytes per second and carried `carried`. A trial is on.
    Excess { sent: f64, carried: f64 },
    /// The cut took the excess away: the link carries no more than that.
    Ours,
    /// The cut changed nothing: the link just loses. It was given `before` bytes per second.
    NotOurs { before: f64 },
}

/// The usual loss of the link, and the trial of what is more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    /// The share lost whatever is sent.
    usual: f64,
    trial: Option<Trial>,
    /// What left from here on counts.
    from: Instant,
    lost: f64,
    /// Told since the last reading.
    pending: f64,
    /// Excess of the last epoch.
    excess: f64,
    /// What of all that left before is known: whether it arrived.
    horizon: Instant,
    told: f64,
    told_lost: f64,
    told_from: Instant,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    before: f64,
    loss: f64,
}

impl Loss {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            usual: 0.0,
            trial: None,
            from: now,
            lost: 0.0,
            pending: 0.0,
            excess: 0.0,
            horizon: now,
            told: 0.0,
            told_lost: 0.0,
            told_from: now,
        }
    }

    /// Takes bytes that were lost, a round trip after they left.
    pub(super) fn on_lost(&mut self, bytes: f64) {
        self.told_lost += bytes;
        if self.horizon >= self.from {
            self.pending += bytes;
        }
    }

    /// A reading that left at `left` was answered, so the losses of what left before were told.
    pub(super) fn on_reading(&mut self, left: Instant) {
        self.horizon = self.horizon.max(left - LATE);
        self.lost += std::mem::take(&mut self.pending);
    }

    /// What left before `now` no longer counts: the rate is another since.
    pub(super) fn restart(&mut self, now: Instant) {
        (self.from, self.lost, self.pending, self.excess) = (now, 0.0, 0.0, 0.0);
    }

    /// Ends a trial without a judgement.
    pub(super) fn abandon(&mut self, now: Instant) {
        self.trial = None;
        self.restart(now);
    }

    pub(super) const fn on_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// The smoothed share of all that is lost.
    pub(super) const fn fraction(&self) -> f64 {
        self.told
    }

    /// The share lost beyond the usual, as far as is known of the running epoch or the last.
    pub(super) fn excess(&self, history: &History, packet: f64) -> f64 {
        let sent = history.between(self.from, self.horizon);
        let running = if sent > PACKETS / 2.0 * packet { self.lost / sent - self.usual } else { 0.0 };
        running.max(self.excess).clamp(0.0, 0.9)
    }

    /// Looks at what left long enough ago for its losses to be known.
    ///
    /// An excess above `noticed` begins a trial, where it is more than chance.
    pub(super) fn judge(
        &mut self,
        now: Instant,
        rtt: Micros,
        history: &History,
        packet: f64,
        noticed: f64,
    ) -> Verdict {
        self.tell(history);
        let horizon = self.horizon;
        let span = horizon.saturating_since(self.from);
        let sent = history.between(self.from, horizon);
        let packets = sent / packet;
        let wanted = if self.trial.is_some() { PACKETS_TRIAL } else { PACKETS };
        if span < SHORTEST.max(rtt / 2) || packets < 1.0 || packets < wanted && span < LONGEST {
            return Verdict::Usual;
        }
        let loss = (self.lost / sent).min(1.0);
        let seconds = micros_f64(span) / 1e6;
        let more = loss - self.usual;
        let noticed = more > noticed && packets * more > 4.0 * (packets * self.usual).sqrt() + 3.0;
        let enough = packets > PACKETS_ENOUGH || span > LONGEST;
        if !noticed && !enough && self.trial.is_none() {
            return Verdict::Usual;
        }
        self.restart(horizon);
        match self.trial.take() {
            Some(trial) if loss < self.usual + (trial.loss - self.usual) / 2.0 => Verdict::Ours,
            Some(trial) => {
                self.usual = loss.min(trial.loss).min(USUAL_MOST);
                Verdict::NotOurs { before: trial.before }
            }
            None => {
                if noticed {
                    let given = sent / seconds;
                    self.trial = Some(Trial { before: given, loss });
                    self.restart(now);
                    self.excess = more;
                    return Verdict::Excess { sent: given, carried: given * (1.0 - more) };
                }
                // Down within a second; up slowly, or a link that loses the more the more it is given would boil us.
                let pace = if more < 0.0 { 1.0 } else { 10.0 };
                self.usual = (self.usual + more * (seconds / pace).min(0.5)).max(0.0);
                Verdict::Usual
            }
        }
    }

    fn tell(&mut self, history: &History) {
        let horizon = self.horizon;
        if horizon.saturating_since(self.told_from) >= TOLD_OVER {
            let sent = history.between(self.told_from, horizon);
            if sent > 0.0 {
                self.told += ((self.told_lost / sent).min(1.0) - self.told) / 4.0;
            }
            (self.told_from, self.told_lost) = (horizon, 0.0);
        }
    }
}

fn micros_f64(span: Micros) -> f64 {
    span.as_micros() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: u64 = 1_000;

    /// Sends `pps` packets a second for a second, of which `lost_of(n)` are lost; verdicts that were not `Usual`.
    fn second(
        loss: &mut Loss,
        history: &mut History,
        at: u64,
        pps: u64,
        lost_of: impl Fn(u64) -> bool,
    ) -> Vec<Verdict> {
        let mut verdicts = Vec::new();
        for n in 0..pps {
            let now = Instant::from_micros(at * 1_000_000 + n * 1_000_000 / pps);
            history.add(now, PACKET);
            if lost_of(n) {
                loss.on_lost(PACKET as f64);
            }
            loss.on_reading(now);
            if n % 10 == 0 {
                match loss.judge(now, Micros::from_millis(1), history, PACKET as f64, 0.015) {
                    Verdict::Usual => {}
                    verdict => verdicts.push(verdict),
                }
            }
        }
        verdicts
    }

    #[test]
    fn loss_that_stays_after_a_cut_is_the_links_own() {
        let (mut loss, mut history) = (Loss::new(Instant::default()), History::new(Instant::default()));
        let verdicts = second(&mut loss, &mut history, 0, 1_000, |n| n % 10 == 0);
        assert!(matches!(verdicts[..], [Verdict::Excess { .. }, Verdict::NotOurs { .. }]), "{verdicts:?}");
        assert!(second(&mut loss, &mut history, 1, 1_000, |n| n % 10 == 0).is_empty());
    }

    #[test]
    fn loss_that_goes_with_a_cut_was_ours() {
        let (mut loss, mut history) = (Loss::new(Instant::default()), History::new(Instant::default()));
        let verdicts = second(&mut loss, &mut history, 0, 1_000, |n| n < 130 && n % 10 == 0);
        assert!(matches!(verdicts[..], [Verdict::Excess { .. }, Verdict::Ours]), "{verdicts:?}");
    }

    #[test]
    fn the_share_lost_is_told() {
        let (mut loss, mut history) = (Loss::new(Instant::default()), History::new(Instant::default()));
        for at in 0..10 {
            second(&mut loss, &mut history, at, 1_000, |n| n % 20 == 0);
        }
        assert!((loss.fraction() - 0.05).abs() < 0.01, "{}", loss.fraction());
    }
}
