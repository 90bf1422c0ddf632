//! Letting things gather: a busy worker wakes at fixed, small intervals instead of for every packet.

use srt_protocol::time::{Instant, Micros};

/// Tells a busy worker to nap.
///
/// A turn of the worker costs some microseconds however little there is to do. Where hundreds of streams bring a packet each
/// at moments of their own, most of the time would go into waking up. So once there is something to see to more often than
/// every [`RARE`], a turn begins [`GATHER`] after the one before at the earliest, and sees to all that has come in between. A
/// worker with little to do is woken at once, with microsecond precision. Where a stream waits for its pacing, it is
/// [`GATHER_PACED`], so that no stream leaves in bunches of a millisecond. A turn that moved [`PLENTY`] is followed by the next
/// at once: there is nothing to gain by gathering more.
///
/// Half-way there, where things come by themselves more often than every [`OFTEN`], a worker dozes: it does the same, but a
/// deadline still wakes it, [`SNOOZE`] later, so that what is due with it is seen to at once. What has arrived has its latency
/// before it, and most of it is found when a message is due anyway.
///
/// The system's receive buffers have to hold what comes during a nap. So naps get shorter where one was seen to fill too much
/// of a buffer, and slowly longer again.
#[derive(Debug)]
pub(super) struct Pace {
    begun: Instant,
    gather: Micros,
    /// When a stream had to wait for its pacing last.
    paced_at: Option<Instant>,
    /// The last turn moved much.
    plenty: bool,
    /// Things seen to lately, each worth [`RARE`], less the time that has passed.
    bustle: Micros,
    /// Those that came by themselves, each worth [`OFTEN`].
    stir: Micros,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            begun: Instant::default(),
            gather: GATHER,
            paced_at: None,
            plenty: false,
            bustle: Micros::ZERO,
            stir: Micros::ZERO,
        }
    }
}

impl Pace {
    /// A turn begins, and there are so many things to see to, `own` of them from the application.
    pub(super) fn begin(&mut self, now: Instant, things: usize, own: usize) {
        let past = now.saturating_since(self.begun);
        self.begun = now;
        self.bustle = (self.bustle - past + RARE * things as u64).min(MOST);
        self.stir = (self.stir - past + OFTEN * things.saturating_sub(own) as u64).min(MOST);
        let paced = self.paced_at.is_some_and(|at| now.saturating_since(at) < PACED_FOR);
        self.gather = (self.gather + LONGER).min(if paced { GATHER_PACED } else { GATHER });
    }

    /// A turn moved so many bytes; `paced` if a stream has packets to send that its pacing keeps back.
    pub(super) const fn end(&mut self, now: Instant, bytes: usize, paced: bool) {
        self.plenty = bytes >= PLENTY;
        if paced {
            self.paced_at = Some(now);
        }
    }

    /// So much had come to a socket that its buffer could not have held much more.
    pub(super) fn too_long(&mut self) {
        self.gather = self.gather / 2;
    }

    /// Until when to sleep whatever arrives, where something is due at `next`; `None` if a turn may begin as soon as there is a
    /// reason.
    pub(super) fn sleeps_until(&self, next: Option<Instant>) -> Option<Instant> {
        let at = self.begun + self.gather;
        if self.plenty {
            None
        } else if self.bustle > BUSY {
            Some(at)
        } else {
            (self.stir > BUSY).then(|| next.map_or(at, |next| at.min(next + SNOOZE)))
        }
    }
}

/// A thing to see to every so often is no reason to nap.
const RARE: Micros = Micros::from_micros(200);
/// The same for dozing: a stream of 20 Mb/s that is received is worth it.
const OFTEN: Micros = Micros::from_micros(400);
/// What is due so soon after something else is done with it.
const SNOOZE: Micros = Micros::from_micros(100);
/// The time from turn to turn of a busy worker: short against every latency.
const GATHER: Micros = Micros::from_millis(1);
/// The same where streams are paced: less than the millisecond's worth that a stream may send at once.
const GATHER_PACED: Micros = Micros::from_micros(500);
/// A stream that waited for its pacing will do so again.
const PACED_FOR: Micros = Micros::from_millis(20);
/// What a nap gets longer by, each time.
const LONGER: Micros = Micros::from_micros(2);
/// Bytes beside which what a turn costs by itself is nothing.
const PLENTY: usize = 256 << 10;
/// Ten things at once are no reason to nap either.
const BUSY: Micros = Micros::from_micros(2_000);
/// What has been remembered of a burst is forgotten after so long.
const MOST: Micros = Micros::from_micros(4_000);

#[cfg(test)]
mod tests {
    use super::*;

    /// How long a worker sleeps at most, and while something is due at once, that sees to so many things every so often.
    fn sleeps(interval_us: u64, things: usize, own: usize) -> Option<(Micros, Micros)> {
        let (mut pace, mut now) = (Pace::default(), Instant::from_micros(1_000_000));
        for _ in 0..1_000 {
            now += Micros::from_micros(interval_us);
            pace.begin(now, things, own);
        }
        let until = |next| Some(pace.sleeps_until(next)?.saturating_since(now));
        until(None).zip(until(Some(now)))
    }

    #[test]
    fn a_worker_naps_when_things_come_often_and_only_then() {
        let naps = |interval_us, things| sleeps(interval_us, things, 0) == Some((GATHER, GATHER));
        assert!(!naps(1_000, 1), "a stream of 10 Mb/s");
        assert!(!naps(250, 1), "of 40 Mb/s");
        assert!(naps(100, 1), "of 100 Mb/s");
        assert!(naps(500, 5), "many streams, while it naps");
        assert!(!naps(500, 2), "and it wakes up again when they have gone");
    }

    #[test]
    fn a_worker_dozes_when_things_come_by_themselves_rather_often() {
        assert_eq!(sleeps(1_000, 2, 0), None, "a stream of 10 Mb/s: a datagram and a delivery each");
        assert_eq!(sleeps(500, 2, 0), Some((GATHER, SNOOZE)), "of 20 Mb/s");
        assert_eq!(sleeps(500, 2, 2), None, "one that is sent");
    }

    #[test]
    fn a_paced_stream_shortens_naps_for_a_while() {
        let (mut pace, mut now) = (Pace::default(), Instant::from_micros(1_000_000));
        let mut nap = |paced: bool, after: u64| {
            now += Micros::from_micros(after);
            pace.begin(now, 100, 0);
            pace.end(now, 1_000, paced);
            pace.sleeps_until(None).expect("busy").saturating_since(now)
        };
        assert_eq!(nap(true, 1_000), GATHER);
        assert_eq!(nap(false, 1_000), GATHER_PACED);
        assert!((0..1_000).map(|_| nap(false, 1_000)).any(|length| length == GATHER));
    }

    #[test]
    fn naps_get_shorter_where_buffers_fill_and_longer_again() {
        let (mut pace, mut now) = (Pace::default(), Instant::from_micros(1_000_000));
        let mut nap = |too_long: bool| {
            now += Micros::from_micros(1);
            pace.begin(now, 100, 0);
            if too_long {
                pace.too_long();
            }
            pace.sleeps_until(None).expect("busy").saturating_since(now)
        };
        assert_eq!(nap(false), GATHER);
        assert_eq!(nap(true), GATHER / 2);
        assert!(nap(true) < GATHER / 3);
        assert!((0..1_000).map(|_| nap(false)).any(|length| length == GATHER));
    }

    #[test]
    fn after_a_turn_that_moved_much_comes_the_next() {
        let mut pace = Pace::default();
        pace.begin(Instant::from_micros(1_000_000), 5_000, 0);
        pace.end(Instant::from_micros(1_000_000), PLENTY, false);
        assert_eq!(pace.sleeps_until(None), None);
        pace.end(Instant::from_micros(1_000_000), PLENTY - 1, false);
        assert!(pace.sleeps_until(None).is_some());
    }

    #[test]
    fn a_burst_alone_is_soon_forgotten() {
        let mut pace = Pace::default();
        pace.begin(Instant::from_micros(1_000_000), 5_000, 0);
        assert_eq!(pace.sleeps_until(None), Some(Instant::from_micros(1_000_000) + GATHER));
        pace.begin(Instant::from_micros(1_013_000), 0, 0);
        assert_eq!(pace.sleeps_until(None), None);
    }
}
