//! What is sent again, when, and on which link.
//!
//! A packet that is lost on one link may have come on another: then nothing is to be done, if one waits for the news. Where there is
//! no time for that, or nobody else carried it, it goes on the link that delivers it first, whichever that is. What was tried once in
//! vain goes another way the next time.

use std::collections::BTreeSet;

use srt_protocol::{
    time::{Instant, Micros},
    types::SeqNumber,
};

/// Losses that wait for news at most.
const WAITING_MAX: usize = 65_536;

/// Packets that are sent again unless they turn out to have come.
#[derive(Debug, Default)]
pub(crate) struct Recovery {
    /// By when, and by order on the circle of numbers as far as that goes.
    waiting: BTreeSet<(Instant, u32)>,
}

impl Recovery {
    /// `seq` is to be looked at again at `at`.
    pub(crate) fn wait(&mut self, at: Instant, seq: SeqNumber) {
        if self.waiting.len() < WAITING_MAX {
            self.waiting.insert((at, seq.value()));
        }
    }

    /// When the next one is to be looked at.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.waiting.first().map(|waiting| waiting.0)
    }

    /// The next one whose time has come.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<SeqNumber> {
        let first = self.waiting.first().filter(|waiting| waiting.0 <= now).copied()?;
        self.waiting.remove(&first);
        Some(SeqNumber::new(first.1))
    }
}

/// What is known when a packet was reported lost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loss {
    /// When the peer plays it; `None` where it waits for it.
    pub(crate) deadline: Option<Instant>,
    /// How long until the others that carried it would have told of it; `None` where all of them lost it.
    pub(crate) news_in: Option<Micros>,
    /// How long the quickest link needs to deliver it.
    pub(crate) quickest: Micros,
}

impl Loss {
    /// When it is sent again unless it turns out to have come.
    pub(crate) fn resend_at(&self, now: Instant) -> Instant {
        let Some(news_in) = self.news_in else { return now };
        let patient = now + news_in;
        // Two tries have to fit.
        self.deadline
            .map_or(patient, |deadline| patient.min((deadline - self.quickest * 2 - MARGIN).max(now)))
    }
}

/// Between the last moment at which a packet may leave and the moment it is played.
const MARGIN: Micros = Micros::from_millis(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_is_waited_for_only_while_there_is_time() {
        let now = Instant::from_micros(10_000_000);
        let ms = Micros::from_millis;
        let loss =
            |deadline: u64, news_in| Loss { deadline: Some(now + ms(deadline)), news_in, quickest: ms(20) };
        assert_eq!(loss(500, None).resend_at(now), now, "all links lost it");
        assert_eq!(loss(500, Some(ms(60))).resend_at(now), now + ms(60));
        assert_eq!(loss(80, Some(ms(60))).resend_at(now), now + ms(35));
        assert_eq!(loss(30, Some(ms(60))).resend_at(now), now);
    }
}
