//! Rates, spans, shares and counts: how they are written on the command line and how they are shown.

use std::time::Duration;

use thiserror::Error;

/// Why a quantity could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum UnitError {
    /// Not a bit rate.
    #[error("\"{0}\" is no bit rate; write bits per second as 8M, 2.5M, 500k or 8000000")]
    Rate(String),
    /// Not a span of time.
    #[error("\"{0}\" is no duration; write 10s, 500ms, 2m or 1h")]
    Span(String),
    /// Not a share between 0 and 1.
    #[error("\"{0}\" is no share; write 5% or 0.05, from 0 to 100%")]
    Share(String),
}

/// Bits per second from `8M`, `2.5Mbps`, `500k`, `8000000`; suffixes are decimal; zero is refused.
///
/// # Errors
/// [`UnitError::Rate`] when the text is none of these.
pub(crate) fn parse_rate(text: &str) -> Result<u64, UnitError> {
    let wrong = || UnitError::Rate(text.to_owned());
    let (number, suffix) = split_number(text.trim());
    let suffix = suffix.trim_end_matches("bps").trim_end_matches("bit/s").trim_end_matches("b/s").trim();
    let scale = match suffix {
        "" => 1,
        "k" | "K" => 1_000,
        "M" | "m" => 1_000_000,
        "G" | "g" => 1_000_000_000,
        _ => return Err(wrong()),
    };
    decimal(number, scale).filter(|rate| *rate > 0).ok_or_else(wrong)
}

/// A span from `10s`, `500ms`, `20us`, `2m`, `1h`; a bare number is seconds.
///
/// # Errors
/// [`UnitError::Span`] when the text is none of these.
pub(crate) fn parse_span(text: &str) -> Result<Duration, UnitError> {
    let wrong = || UnitError::Span(text.to_owned());
    let (number, suffix) = split_number(text.trim());
    let scale = match suffix.trim() {
        "us" | "µs" => 1,
        "ms" => 1_000,
        "" | "s" => 1_000_000,
        "m" | "min" => 60_000_000,
        "h" => 3_600_000_000,
        _ => return Err(wrong()),
    };
    decimal(number, scale).map(Duration::from_micros).ok_or_else(wrong)
}

/// A share in 0..=1 from `5%` or `0.05`.
///
/// # Errors
/// [`UnitError::Share`] when the text is neither, or beyond 100 %.
pub(crate) fn parse_share(text: &str) -> Result<f64, UnitError> {
    let wrong = || UnitError::Share(text.to_owned());
    let (number, suffix) = split_number(text.trim());
    let unit = match suffix.trim() {
        "" => 1.0,
        "%" => 100.0,
        _ => return Err(wrong()),
    };
    let share = number.parse::<f64>().map_err(|_| wrong())? / unit;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(wrong()) }
}

/// `8.0 Mb/s`.
pub(crate) fn show_rate(bits_per_second: u64) -> String {
    match bits_per_second {
        0..1_000 => format!("{bits_per_second} b/s"),
        1_000..1_000_000 => format!("{:.1} kb/s", bits_per_second as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} Mb/s", bits_per_second as f64 / 1e6),
        _ => format!("{:.2} Gb/s", bits_per_second as f64 / 1e9),
    }
}

/// `10.0 MB`.
pub(crate) fn show_bytes(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.2} GB", bytes as f64 / 1e9),
    }
}

/// `7,599`.
pub(crate) fn show_count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 packet`, `7,599 packets`.
pub(crate) fn show_counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{} {one}s", show_count(count)) }
}

/// `142.1 ms`.
pub(crate) fn show_millis(micros: u64) -> String {
    format!("{:.1} ms", micros as f64 / 1e3)
}

/// `4.9 %`; small shares keep a digit that tells them from nothing.
pub(crate) fn show_share(part: u64, whole: u64) -> String {
    if whole == 0 || part == 0 {
        return "0 %".to_owned();
    }
    let percent = part as f64 * 100.0 / whole as f64;
    if percent < 0.1 { format!("{percent:.3} %") } else { format!("{percent:.1} %") }
}

/// `10 s`, `1 min 30 s`, `500 ms`.
pub(crate) fn show_span(span: Duration) -> String {
    let millis = span.as_millis();
    if millis < 1_000 {
        return format!("{millis} ms");
    }
    let (minutes, rest) = (millis / 60_000, millis % 60_000);
    let seconds =
        if rest % 1_000 == 0 { format!("{} s", rest / 1_000) } else { format!("{:.1} s", rest as f64 / 1e3) };
    match (minutes, rest) {
        (0, _) => seconds,
        (_, 0) => format!("{minutes} min"),
        _ => format!("{minutes} min {seconds}"),
    }
}

/// Bits per second of `bytes` carried in `span`.
pub(crate) fn rate_of(bytes: u64, span: Duration) -> u64 {
    let micros = span.as_micros().max(1);
    u64::try_from(u128::from(bytes) * 8_000_000 / micros).unwrap_or(u64::MAX)
}

fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text.split_at(end)
}

/// `number` × `scale`, exact; digits finer than one unit are cut.
fn decimal(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut value = whole.checked_mul(scale)?;
    let mut unit = scale;
    for digit in fraction.chars() {
        unit /= 10;
        value = value.checked_add(u64::from(digit.to_digit(10)?) * unit)?;
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_with_and_without_suffix() {
        assert_eq!(parse_rate("8M"), Ok(8_000_000));
        assert_eq!(parse_rate("2.5Mbps"), Ok(2_500_000));
        assert_eq!(parse_rate("500kb/s"), Ok(500_000));
        assert_eq!(parse_rate("1.25G"), Ok(1_250_000_000));
        assert_eq!(parse_rate("800"), Ok(800));
        for wrong in ["", "M", "8X", "-8M", "8 000", "0", "99999999999999999999G", "1.2.3M"] {
            assert_eq!(parse_rate(wrong), Err(UnitError::Rate(wrong.to_owned())), "{wrong}");
        }
    }

    #[test]
    fn spans_are_read_in_every_unit_and_a_bare_number_is_seconds() {
        assert_eq!(parse_span("10s"), Ok(Duration::from_secs(10)));
        assert_eq!(parse_span("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_span("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(parse_span("7us"), Ok(Duration::from_micros(7)));
        assert_eq!(parse_span("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_span("3"), Ok(Duration::from_secs(3)));
        assert!(parse_span("soon").is_err());
        assert!(parse_span("1d").is_err());
    }

    #[test]
    fn shares_are_percent_or_plain_and_never_beyond_all() {
        assert_eq!(parse_share("5%"), Ok(0.05));
        assert_eq!(parse_share("0.05"), Ok(0.05));
        assert_eq!(parse_share("100%"), Ok(1.0));
        for wrong in ["101%", "5", "five", "-1%", ""] {
            assert!(parse_share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn figures_are_shown_short_and_with_their_unit() {
        assert_eq!(show_rate(8_000_000), "8.0 Mb/s");
        assert_eq!(show_rate(1_250_000_000), "1.25 Gb/s");
        assert_eq!(show_rate(640), "640 b/s");
        assert_eq!(show_bytes(10_000_000), "10.0 MB");
        assert_eq!(show_count(0), "0");
        assert_eq!(show_count(999), "999");
        assert_eq!(show_count(1_234_567), "1,234,567");
        assert_eq!(show_counted(1, "packet"), "1 packet");
        assert_eq!(show_counted(0, "packet"), "0 packets");
        assert_eq!(show_millis(142_130), "142.1 ms");
        assert_eq!(show_share(0, 0), "0 %");
        assert_eq!(show_share(1, 20), "5.0 %");
        assert_eq!(show_share(1, 100_000), "0.001 %");
        assert_eq!(show_span(Duration::from_secs(90)), "1 min 30 s");
        assert_eq!(show_span(Duration::from_millis(500)), "500 ms");
        assert_eq!(show_span(Duration::from_secs(120)), "2 min");
    }

    #[test]
    fn a_rate_is_bytes_over_time() {
        assert_eq!(rate_of(1_000_000, Duration::from_secs(1)), 8_000_000);
        assert_eq!(rate_of(1, Duration::ZERO), 8_000_000);
    }
}
