//! What a link does to the packets that enter it, as plain values.

mod quantity;
mod text;

use quantity::{Percent, Time};

/// What one direction of a link does. The default is a perfect link: nothing is delayed, lost or changed.
///
/// Any value can be stored; [`check`](Self::check) tells which ones make no sense, and parsing from text refuses them.
/// The text form is a list of `key=value`, separated by commas, in any order, every key optional; `none` or
/// nothing at all is the perfect link:
///
/// | key | example | field |
/// |---|---|---|
/// | `delay` | `20ms` | [`delay_us`](Self::delay_us) |
/// | `jitter` | `5ms` | [`jitter_us`](Self::jitter_us) |
/// | `jitter-shape` | `uniform`, `half-normal` | [`jitter_shape`](Self::jitter_shape) |
/// | `jitter-order` | `kept`, `free` | [`jitter_reorders`](Self::jitter_reorders) |
/// | `loss` | `5%` or `0.05` | [`loss`](Self::loss) |
/// | `burst` | `4` | [`Loss::Burst::mean_length`], together with `loss` |
/// | `dup` | `0.1%` | [`duplicate`](Self::duplicate) |
/// | `reorder` | `1%` | [`reorder`](Self::reorder) |
/// | `reorder-by` | `10ms` | [`reorder_by_us`](Self::reorder_by_us) |
/// | `rate` | `20Mbps` | [`rate_bps`](Self::rate_bps) |
/// | `queue` | `200` | [`queue_packets`](Self::queue_packets) |
/// | `outage` | `10s+500ms/30s`: from 10 s for 500 ms, every 30 s | [`outages`](Self::outages); may be repeated |
///
/// Times are in `us`, `ms` or `s`; rates in `bps`, `kbps`, `Mbps` or `Gbps`; decimals are exact or refused.
///
/// ```
/// let profile: srt_impair::Profile = "loss=5%,delay=20ms,rate=20Mbps,outage=10s+0.5s/30s".parse()?;
/// assert_eq!(profile.delay_us, 20_000);
/// assert_eq!(profile.to_string(), "delay=20ms,loss=5%,rate=20Mbps,outage=10s+500ms/30s");
/// # Ok::<(), srt_impair::ProfileError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Propagation delay, in µs: 0 (default) to 1 h. Comes after the queue of [`rate_bps`](Self::rate_bps).
    pub delay_us: u64,
    /// Size of the random part of the delay, in µs: 0 (default, none) to 1 h. What it means is told by the shape.
    pub jitter_us: u64,
    /// How the random part of the delay is spread. Default: uniform.
    pub jitter_shape: JitterShape,
    /// Whether jitter may change the order of packets. Default: no, a packet waits for the one before it, which
    /// at high rates lifts the mean delay towards the upper end of the jitter.
    pub jitter_reorders: bool,
    /// Random loss. Default: none.
    pub loss: Loss,
    /// Probability that a packet which arrives does so twice: 0 (default) to 1.
    pub duplicate: f64,
    /// Probability that a packet is held back by [`reorder_by_us`](Self::reorder_by_us) while others pass:
    /// 0 (default) to 1.
    pub reorder: f64,
    /// How long a packet picked for reordering is held back, in µs: 0 to 1 h. Default: 10 ms.
    pub reorder_by_us: u64,
    /// Rate of the link, in bit/s of IP packets (payload + [`UDP_IP_OVERHEAD`](crate::UDP_IP_OVERHEAD)), at least 1.
    /// Default: none, unlimited.
    pub rate_bps: Option<u64>,
    /// How many packets the queue in front of the rate limit holds, the one being sent included: at least 1.
    /// What comes when it is full is lost (drop-tail). Too low loses bursts, too high adds delay under
    /// overload. Without a rate nothing queues. Default: 1,000.
    pub queue_packets: usize,
    /// When the link is dead. Default: never.
    pub outages: Vec<Outage>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            delay_us: 0,
            jitter_us: 0,
            jitter_shape: JitterShape::Uniform,
            jitter_reorders: false,
            loss: Loss::None,
            duplicate: 0.0,
            reorder: 0.0,
            reorder_by_us: 10_000,
            rate_bps: None,
            queue_packets: 1_000,
            outages: Vec::new(),
        }
    }
}

/// How the random part of the delay is spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum JitterShape {
    /// Anywhere within ±[`jitter_us`](Profile::jitter_us), all values alike; the delay never falls below zero.
    #[default]
    Uniform,
    /// Only later: the absolute value of a normal deviate with standard deviation
    /// [`jitter_us`](Profile::jitter_us). Its mean is 0.8 times that, and never more than 6 times is drawn.
    HalfNormal,
}

/// Random loss, counted per packet and not per time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Loss {
    /// Nothing is lost by chance.
    #[default]
    None,
    /// Every packet is lost with this probability, 0 to 1, whatever happened to the others.
    Independent(f64),
    /// Losses come in bursts: the Gilbert-Elliott model in its simple form (the good state loses nothing, the bad
    /// state everything).
    Burst {
        /// Share of packets lost in the long run: 0 to `mean_length / (mean_length + 1)`, as between two bursts
        /// at least one packet passes.
        rate: f64,
        /// Mean number of consecutive packets lost: 1 to 10⁹. With 1 no two neighbours are ever lost.
        mean_length: f64,
    },
}

/// A time in which everything offered to the link is lost.
///
/// Time 0 is the model's: the start of the emulator or of the simulation. Packets that entered before the
/// outage still arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// First µs of the (first) outage.
    pub start_us: u64,
    /// How long it lasts, in µs.
    pub length_us: u64,
    /// From one start to the next, in µs, more than the length; `None`: happens once.
    pub every_us: Option<u64>,
}

/// A profile, or its text form, that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// A part of the list is not `key=value`.
    #[error("`{item}` is not of the form key=value, as in delay=20ms,loss=5%")]
    NotKeyValue {
        /// The part at fault.
        item: String,
    },
    /// The key means nothing here.
    #[error("unknown key `{key}`; allowed: {allowed}", allowed = text::KEYS)]
    UnknownKey {
        /// The key at fault.
        key: String,
    },
    /// A key other than `outage` stands there twice.
    #[error("`{key}` is given twice; allowed: once (only outage may be repeated)")]
    Repeated {
        /// The key at fault.
        key: &'static str,
    },
    /// The value is not one, or is out of its range.
    #[error("{key}={value} is not possible; allowed: {allowed}")]
    Value {
        /// The key.
        key: &'static str,
        /// The value at fault, in text form.
        value: String,
        /// What is allowed instead.
        allowed: String,
    },
}

impl ProfileError {
    fn value(key: &'static str, value: impl ToString, allowed: impl ToString) -> Self {
        Self::Value { key, value: value.to_string(), allowed: allowed.to_string() }
    }
}

impl Profile {
    /// Whether every value is in its range. What parses from text always is.
    ///
    /// # Errors
    /// [`ProfileError::Value`] for the first that is not.
    pub fn check(&self) -> Result<(), ProfileError> {
        let times =
            [("delay", self.delay_us), ("jitter", self.jitter_us), ("reorder-by", self.reorder_by_us)];
        for (key, time) in times {
            if time > LONGEST_DELAY_US {
                return Err(ProfileError::value(key, Time(time), ALLOWED_DELAY));
            }
        }
        self.loss.check()?;
        for (key, probability) in [("dup", self.duplicate), ("reorder", self.reorder)] {
            if !is_probability(probability) {
                return Err(ProfileError::value(key, Percent(probability), ALLOWED_PROBABILITY));
            }
        }
        if self.rate_bps == Some(0) {
            return Err(ProfileError::value("rate", "0bps", ALLOWED_RATE));
        }
        if self.queue_packets == 0 {
            return Err(ProfileError::value("queue", 0, ALLOWED_QUEUE));
        }
        self.outages.iter().try_for_each(Outage::check)
    }
}

impl Loss {
    fn check(&self) -> Result<(), ProfileError> {
        match *self {
            Self::None => Ok(()),
            Self::Independent(rate) if is_probability(rate) => Ok(()),
            Self::Burst { mean_length, .. } if !(1.0..=LONGEST_BURST).contains(&mean_length) => {
                Err(ProfileError::value("burst", mean_length, ALLOWED_BURST))
            }
            Self::Burst { rate, mean_length } if is_probability(rate) => {
                let most = mean_length / (mean_length + 1.0);
                if rate <= most {
                    return Ok(());
                }
                let allowed = format!("0% to {}% with burst={mean_length}", most * 100.0);
                Err(ProfileError::value("loss", Percent(rate), allowed))
            }
            Self::Independent(rate) | Self::Burst { rate, .. } => {
                Err(ProfileError::value("loss", Percent(rate), ALLOWED_PROBABILITY))
            }
        }
    }
}

impl Outage {
    /// Whether the link is dead at this time.
    pub fn covers(&self, at_us: u64) -> bool {
        at_us.checked_sub(self.start_us).is_some_and(|since| {
            let within = self.every_us.and_then(|every| since.checked_rem(every)).unwrap_or(since);
            within < self.length_us
        })
    }

    fn check(&self) -> Result<(), ProfileError> {
        match self.every_us {
            Some(every) if every <= self.length_us => {
                Err(ProfileError::value("outage", self, ALLOWED_OUTAGE))
            }
            _ => Ok(()),
        }
    }
}

fn is_probability(value: f64) -> bool {
    (0.0..=1.0).contains(&value)
}

const LONGEST_DELAY_US: u64 = 3_600_000_000;
const LONGEST_BURST: f64 = 1e9;
const ALLOWED_DELAY: &str = "0 to 3600s in us, ms or s, to the microsecond, as 20ms";
const ALLOWED_PROBABILITY: &str = "0% to 100%, as 5% or 0.05";
const ALLOWED_BURST: &str = "1 to 1000000000 packets on average, together with loss";
const ALLOWED_RATE: &str = "1bps or more in bps, kbps, Mbps or Gbps, as 20Mbps";
const ALLOWED_QUEUE: &str = "1 packet or more";
const ALLOWED_OUTAGE: &str =
    "START+LENGTH or START+LENGTH/EVERY with EVERY longer than LENGTH, as 10s+500ms/30s";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_profile_is_in_order() {
        assert_eq!(Profile::default().check(), Ok(()));
    }

    #[test]
    fn an_outage_covers_its_first_microsecond_and_not_the_one_after_its_last() {
        let once = Outage { start_us: 10, length_us: 5, every_us: None };
        let dead: Vec<u64> = (0..200).filter(|&at| once.covers(at)).collect();
        assert_eq!(dead, [10, 11, 12, 13, 14]);
        let again = Outage { every_us: Some(50), ..once };
        let dead: Vec<u64> = (0..70).filter(|&at| again.covers(at)).collect();
        assert_eq!(dead, [10, 11, 12, 13, 14, 60, 61, 62, 63, 64]);
    }

    #[test]
    fn values_out_of_range_are_named_with_key_value_and_what_is_allowed() {
        let wrong = [
            (Profile { delay_us: u64::MAX, ..Profile::default() }, "delay="),
            (Profile { duplicate: 1.5, ..Profile::default() }, "dup=150%"),
            (Profile { reorder: f64::NAN, ..Profile::default() }, "reorder=NaN"),
            (Profile { rate_bps: Some(0), ..Profile::default() }, "rate=0bps"),
            (Profile { queue_packets: 0, ..Profile::default() }, "queue=0"),
            (Profile { loss: Loss::Independent(-0.1), ..Profile::default() }, "loss=-10%"),
            (Profile { loss: Loss::Burst { rate: 0.9, mean_length: 4.0 }, ..Profile::default() }, "loss=90%"),
            (
                Profile { loss: Loss::Burst { rate: 0.1, mean_length: 0.5 }, ..Profile::default() },
                "burst=0.5",
            ),
            (
                Profile {
                    outages: vec![Outage { start_us: 0, length_us: 2_000, every_us: Some(2_000) }],
                    ..Profile::default()
                },
                "outage=0s+2ms/2ms",
            ),
        ];
        for (profile, start) in wrong {
            let said = profile.check().unwrap_err().to_string();
            assert!(said.starts_with(start), "{said}");
            assert!(said.contains("; allowed: "), "{said}");
        }
    }

    #[test]
    fn burst_loss_may_reach_what_its_length_allows() {
        let just = Loss::Burst { rate: 0.8, mean_length: 4.0 };
        assert_eq!(just.check(), Ok(()));
        let over = Loss::Burst { rate: 0.81, mean_length: 4.0 };
        assert!(over.check().unwrap_err().to_string().contains("0% to 80% with burst=4"));
    }
}
