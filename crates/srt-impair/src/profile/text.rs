//! The text form of a profile: `delay=20ms,loss=5%,burst=4`.

use core::fmt;
use core::str::FromStr;

use super::quantity::{Percent, Rate, Time};
use super::{
    ALLOWED_BURST, ALLOWED_DELAY, ALLOWED_OUTAGE, ALLOWED_PROBABILITY, ALLOWED_QUEUE, ALLOWED_RATE,
    JitterShape, Loss, Outage, Profile, ProfileError,
};

/// Every key, for the message about an unknown one.
pub(super) const KEYS: &str =
    "delay, jitter, jitter-shape, jitter-order, loss, burst, dup, reorder, reorder-by, rate, queue, outage";

const PERFECT: &str = "none";
const ALLOWED_SHAPE: &str = "uniform or half-normal";
const ALLOWED_ORDER: &str = "kept or free";

impl FromStr for Profile {
    type Err = ProfileError;

    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let mut profile = Self::default();
        let mut burst = None;
        let mut seen = Vec::new();
        if matches!(text.trim(), "" | PERFECT) {
            return Ok(profile);
        }
        for item in text.split(',').map(str::trim) {
            let Some((key, value)) = item.split_once('=') else {
                return Err(ProfileError::NotKeyValue { item: item.to_owned() });
            };
            let (key, value) = (key.trim(), value.trim());
            let Some(key) = KEYS.split(", ").find(|known| *known == key) else {
                return Err(ProfileError::UnknownKey { key: key.to_owned() });
            };
            if key != "outage" && seen.contains(&key) {
                return Err(ProfileError::Repeated { key });
            }
            seen.push(key);
            match key {
                "delay" => profile.delay_us = time(key, value)?,
                "jitter" => profile.jitter_us = time(key, value)?,
                "jitter-shape" => {
                    profile.jitter_shape = match value {
                        "uniform" => JitterShape::Uniform,
                        "half-normal" => JitterShape::HalfNormal,
                        _ => return Err(ProfileError::value(key, value, ALLOWED_SHAPE)),
                    }
                }
                "jitter-order" => {
                    profile.jitter_reorders = match value {
                        "kept" => false,
                        "free" => true,
                        _ => return Err(ProfileError::value(key, value, ALLOWED_ORDER)),
                    }
                }
                "loss" => profile.loss = Loss::Independent(probability(key, value)?),
                "burst" => {
                    let length = value.parse::<f64>();
                    burst = Some(length.map_err(|_| ProfileError::value(key, value, ALLOWED_BURST))?);
                }
                "dup" => profile.duplicate = probability(key, value)?,
                "reorder" => profile.reorder = probability(key, value)?,
                "reorder-by" => profile.reorder_by_us = time(key, value)?,
                "rate" => {
                    let rate = Rate::parse(value);
                    profile.rate_bps =
                        Some(rate.ok_or_else(|| ProfileError::value(key, value, ALLOWED_RATE))?.0);
                }
                "queue" => {
                    let packets = value.parse();
                    profile.queue_packets =
                        packets.map_err(|_| ProfileError::value(key, value, ALLOWED_QUEUE))?;
                }
                _ => {
                    let outage = Outage::parse(value);
                    profile
                        .outages
                        .push(outage.ok_or_else(|| ProfileError::value(key, value, ALLOWED_OUTAGE))?);
                }
            }
        }
        if let Some(mean_length) = burst {
            let Loss::Independent(rate) = profile.loss else {
                return Err(ProfileError::value("burst", mean_length, ALLOWED_BURST));
            };
            profile.loss = Loss::Burst { rate, mean_length };
        }
        profile.check()?;
        Ok(profile)
    }
}

impl Outage {
    fn parse(text: &str) -> Option<Self> {
        let (start, rest) = text.split_once('+')?;
        let (length, every) = match rest.split_once('/') {
            Some((length, every)) => (length, Some(Time::parse(every)?.0)),
            None => (rest, None),
        };
        Some(Self { start_us: Time::parse(start)?.0, length_us: Time::parse(length)?.0, every_us: every })
    }
}

fn time(key: &'static str, value: &str) -> Result<u64, ProfileError> {
    Time::parse(value).map(|time| time.0).ok_or_else(|| ProfileError::value(key, value, ALLOWED_DELAY))
}

fn probability(key: &'static str, value: &str) -> Result<f64, ProfileError> {
    let probability = Percent::parse(value).map(|percent| percent.0);
    probability.ok_or_else(|| ProfileError::value(key, value, ALLOWED_PROBABILITY))
}

impl fmt::Display for Profile {
    /// The text form, without what is at its default.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let perfect = Self::default();
        let mut parts: Vec<String> = Vec::new();
        if self.delay_us != perfect.delay_us {
            parts.push(format!("delay={}", Time(self.delay_us)));
        }
        if self.jitter_us != perfect.jitter_us {
            parts.push(format!("jitter={}", Time(self.jitter_us)));
        }
        if self.jitter_shape == JitterShape::HalfNormal {
            parts.push("jitter-shape=half-normal".to_owned());
        }
        if self.jitter_reorders {
            parts.push("jitter-order=free".to_owned());
        }
        match self.loss {
            Loss::None => {}
            Loss::Independent(rate) => parts.push(format!("loss={}", Percent(rate))),
            Loss::Burst { rate, mean_length } => {
                parts.push(format!("loss={},burst={mean_length}", Percent(rate)));
            }
        }
        if self.duplicate != perfect.duplicate {
            parts.push(format!("dup={}", Percent(self.duplicate)));
        }
        if self.reorder != perfect.reorder {
            parts.push(format!("reorder={}", Percent(self.reorder)));
        }
        if self.reorder_by_us != perfect.reorder_by_us {
            parts.push(format!("reorder-by={}", Time(self.reorder_by_us)));
        }
        if let Some(rate_bps) = self.rate_bps {
            parts.push(format!("rate={}", Rate(rate_bps)));
        }
        if self.queue_packets != perfect.queue_packets {
            parts.push(format!("queue={}", self.queue_packets));
        }
        parts.extend(self.outages.iter().map(|outage| format!("outage={outage}")));
        f.write_str(if parts.is_empty() { PERFECT } else { "" })?;
        f.write_str(&parts.join(","))
    }
}

impl fmt::Display for Outage {
    /// `START+LENGTH` or `START+LENGTH/EVERY`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}", Time(self.start_us), Time(self.length_us))?;
        self.every_us.map_or(Ok(()), |every| write!(f, "/{}", Time(every)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        text.parse::<Profile>().unwrap_err().to_string()
    }

    #[test]
    fn every_key_reaches_its_field() {
        let text = "delay=20ms,jitter=5ms,jitter-shape=half-normal,jitter-order=free,loss=5%,burst=4,dup=0.1%,\
                    reorder=1%,reorder-by=15ms,rate=20Mbps,queue=200,outage=10s+500ms/30s,outage=5s+1s";
        let profile: Profile = text.parse().unwrap();
        let by_hand = Profile {
            delay_us: 20_000,
            jitter_us: 5_000,
            jitter_shape: JitterShape::HalfNormal,
            jitter_reorders: true,
            loss: Loss::Burst { rate: 0.05, mean_length: 4.0 },
            duplicate: 0.001,
            reorder: 0.01,
            reorder_by_us: 15_000,
            rate_bps: Some(20_000_000),
            queue_packets: 200,
            outages: vec![
                Outage { start_us: 10_000_000, length_us: 500_000, every_us: Some(30_000_000) },
                Outage { start_us: 5_000_000, length_us: 1_000_000, every_us: None },
            ],
        };
        assert_eq!(profile, by_hand);
        assert_eq!(profile.to_string(), text);
    }

    #[test]
    fn order_and_blanks_do_not_matter() {
        let one: Profile = " burst = 4 , loss = 5 % ".parse().unwrap();
        assert_eq!(one.to_string(), "loss=5%,burst=4");
    }

    #[test]
    fn the_perfect_link_is_none_or_nothing() {
        assert_eq!("".parse(), Ok(Profile::default()));
        assert_eq!("none".parse(), Ok(Profile::default()));
        assert_eq!(Profile::default().to_string(), "none");
    }

    #[test]
    fn errors_name_key_value_and_what_is_allowed() {
        assert_eq!(
            error("delay=20"),
            "delay=20 is not possible; allowed: 0 to 3600s in us, ms or s, to the microsecond, as 20ms"
        );
        assert_eq!(error("loss=5"), "loss=5 is not possible; allowed: 0% to 100%, as 5% or 0.05");
        assert_eq!(error("loss"), "`loss` is not of the form key=value, as in delay=20ms,loss=5%");
        assert_eq!(error("delay=1ms,"), "`` is not of the form key=value, as in delay=20ms,loss=5%");
        assert_eq!(
            error("delay=1ms,delay=2ms"),
            "`delay` is given twice; allowed: once (only outage may be repeated)"
        );
        assert_eq!(error("lag=5ms"), format!("unknown key `lag`; allowed: {KEYS}"));
        assert_eq!(error("jitter-order=yes"), "jitter-order=yes is not possible; allowed: kept or free");
        assert_eq!(
            error("jitter-shape=bell"),
            "jitter-shape=bell is not possible; allowed: uniform or half-normal"
        );
        for wrong in [
            "burst=4",
            "loss=5%,burst=0",
            "loss=5%,burst=NaN",
            "rate=0bps",
            "queue=0",
            "queue=-1",
            "outage=10s",
        ] {
            let said = error(wrong);
            assert!(said.starts_with(wrong.trim_start_matches("loss=5%,")), "{said}");
            assert!(said.contains("; allowed: "), "{said}");
        }
        assert!(
            error("outage=0s+2s/1s").starts_with("outage=0s+2s/1s is not possible; allowed: START+LENGTH")
        );
    }

    fn losses() -> impl Strategy<Value = Loss> {
        prop_oneof![
            Just(Loss::None),
            (0.0..=1.0).prop_map(Loss::Independent),
            (0_u32..=1_000).prop_map(|tenths| Loss::Independent(f64::from(tenths) / 1_000.0)),
            ((0.0..=1.0), (1.0..100.0)).prop_map(|(share, mean_length): (f64, f64)| Loss::Burst {
                rate: share * mean_length / (mean_length + 1.0),
                mean_length
            }),
        ]
    }

    fn times() -> impl Strategy<Value = u64> {
        prop_oneof![Just(0), 0..=3_600_000_000_u64, (0..=3_600_000_u64).prop_map(|ms| ms * 1_000)]
    }

    fn outages() -> impl Strategy<Value = Outage> {
        (any::<u64>(), times(), proptest::option::of(1..u64::MAX / 2)).prop_map(
            |(start_us, length_us, gap)| Outage {
                start_us,
                length_us,
                every_us: gap.map(|gap| length_us + gap),
            },
        )
    }

    prop_compose! {
        fn profiles()(
            times in (times(), times(), times()),
            normal in any::<bool>(),
            jitter_reorders in any::<bool>(),
            loss in losses(),
            duplicate in 0.0..=1.0,
            reorder in 0.0..=1.0,
            rate_bps in proptest::option::of(1..=u64::MAX),
            queue_packets in 1..=usize::MAX,
            outages in proptest::collection::vec(outages(), 0..4),
        ) -> Profile {
            Profile {
                delay_us: times.0,
                jitter_us: times.1,
                jitter_shape: if normal { JitterShape::HalfNormal } else { JitterShape::Uniform },
                jitter_reorders,
                loss,
                duplicate,
                reorder,
                reorder_by_us: times.2,
                rate_bps,
                queue_packets,
                outages,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn what_is_printed_parses_back_to_the_same_profile(profile in profiles()) {
            prop_assert_eq!(profile.check(), Ok(()));
            let text = profile.to_string();
            let read: Profile = text.parse().map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
            prop_assert_eq!(read, profile, "{}", text);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-z=,.+/%0-9 µ-]{0,60}") {
            if let Ok(profile) = text.parse::<Profile>() {
                prop_assert_eq!(profile.check(), Ok(()));
            }
        }
    }
}
