//! Times, rates and percentages as text: what is printed parses back to the same value, and nothing is rounded.

use core::fmt;

/// A time in µs.
pub(super) struct Time(pub(super) u64);

/// A rate in bit/s.
pub(super) struct Rate(pub(super) u64);

/// A probability, 0 to 1, printed in percent where that is exact.
pub(super) struct Percent(pub(super) f64);

/// Name of a unit, and the power of ten by which it is more than the smallest.
type Unit = (&'static str, usize);

// Largest first; the first name of a size is the one printed.
const TIMES: [Unit; 4] = [("s", 6), ("ms", 3), ("us", 0), ("µs", 0)];
const RATES: [Unit; 7] = [("Gbps", 9), ("Mbps", 6), ("kbps", 3), ("bps", 0), ("G", 9), ("M", 6), ("k", 3)];

impl Time {
    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "0" {
            return Some(Self(0));
        }
        parse(text, &TIMES).map(Self)
    }
}

impl Rate {
    pub(super) fn parse(text: &str) -> Option<Self> {
        parse(text, &RATES).map(Self)
    }
}

impl Percent {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let value = match text.strip_suffix('%') {
            Some(percent) => percent.trim_end().parse::<f64>().ok()? / 100.0,
            None => text.parse().ok()?,
        };
        super::is_probability(value).then_some(Self(value))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.0, &TIMES, f)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self.0, &RATES, f)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The shortest percentage that is read back as the same number; 5 % times 100 need not be 5.
        let percent = (0..=12).map(|digits| format!("{:.digits$}", self.0 * 100.0)).find(|percent| {
            // Compared by bits: exactly what `parse` makes of it.
            percent.parse().is_ok_and(|read: f64| (read / 100.0).to_bits() == self.0.to_bits())
        });
        match percent {
            Some(percent) => write!(f, "{percent}%"),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// A decimal number and a unit (any case), exactly; `None` if it is finer than the smallest unit, or too large.
fn parse(text: &str, units: &[Unit]) -> Option<u64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim_start();
    let &(_, power) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let decimals = decimals.trim_end_matches('0');
    if number.is_empty() || whole.is_empty() || decimals.len() > power {
        return None;
    }
    format!("{whole}{decimals:0<power$}").parse().ok()
}

/// In the largest unit that divides the value, so as an integer.
fn print(value: u64, units: &[Unit], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let exact = units.iter().find_map(|&(name, power)| {
        let size = 10_u64.pow(u32::try_from(power).ok()?);
        value.is_multiple_of(size).then_some((value / size, name))
    });
    let (number, name) = exact.unwrap_or((value, ""));
    write!(f, "{number}{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Option<u64> {
        Time::parse(text).map(|time| time.0)
    }

    fn rate(text: &str) -> Option<u64> {
        Rate::parse(text).map(|rate| rate.0)
    }

    fn percent(text: &str) -> Option<f64> {
        Percent::parse(text).map(|percent| percent.0)
    }

    #[test]
    fn times_are_read_exactly() {
        assert_eq!(time("20ms"), Some(20_000));
        assert_eq!(time("1.5ms"), Some(1_500));
        assert_eq!(time("0.500 s"), Some(500_000));
        assert_eq!(time("7us"), Some(7));
        assert_eq!(time("7µs"), Some(7));
        assert_eq!(time("0"), Some(0));
        assert_eq!(time("1.0us"), Some(1));
    }

    #[test]
    fn times_without_a_unit_or_finer_than_a_microsecond_are_refused() {
        for wrong in
            ["", "20", "ms", ".5ms", "1.2.3ms", "-1ms", "+1ms", "0.0001ms", "1h", "99999999999999999s"]
        {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn rates_are_read_in_any_case() {
        assert_eq!(rate("20Mbps"), Some(20_000_000));
        assert_eq!(rate("2.5 mbps"), Some(2_500_000));
        assert_eq!(rate("1G"), Some(1_000_000_000));
        assert_eq!(rate("64kbps"), Some(64_000));
        assert_eq!(rate("20"), None);
    }

    #[test]
    fn values_are_printed_in_the_largest_unit_that_is_exact() {
        assert_eq!(Time(20_000).to_string(), "20ms");
        assert_eq!(Time(1_500).to_string(), "1500us");
        assert_eq!(Time(0).to_string(), "0s");
        assert_eq!(Rate(20_000_000).to_string(), "20Mbps");
        assert_eq!(Rate(1_001).to_string(), "1001bps");
    }

    #[test]
    fn probabilities_are_read_as_percent_or_fraction_and_printed_short() {
        assert_eq!(percent("5%"), Some(0.05));
        assert_eq!(percent("0.05"), Some(0.05));
        assert_eq!(percent("100%"), Some(1.0));
        for wrong in ["5", "101%", "-1%", "NaN", "inf%", "%", ""] {
            assert_eq!(percent(wrong), None, "{wrong}");
        }
        assert_eq!(Percent(0.05).to_string(), "5%");
        assert_eq!(Percent(0.001).to_string(), "0.1%");
        assert_eq!(Percent(0.07).to_string(), "7%");
        assert_eq!(Percent(1e-300).to_string(), "1e-300");
    }
}
