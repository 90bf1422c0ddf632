//! Values of options as text, for URIs and command lines.
//!
//! A plain number has libsrt's unit of the option. Beyond that a unit may follow where it can mean one thing only:
//!
//! | option in | also understood |
//! |---|---|
//! | milliseconds, seconds | `us`, `ms`, `s`, `min`: `120ms`, `1.5s` |
//! | bytes per second | bits: `bps`, `kbps`, `Mbps`, `Gbps`, `Mbit/s`; bytes: `B/s`, `kB/s`, `MBps`, `kB`, `MiB/s` |
//! | bytes | `B`, `kB`, `MB`, `GB` (1000), `KiB`, `MiB`, `GiB` (1024) |
//! | percent | `25%` |
//! | version | `1.3.0` |
//!
//! `b` is a bit and `B` a byte. A bare `8M` could be bits or bytes and is refused. Where C's `strtol` reads octal (a
//! leading 0, as libsrt's tools do), we refuse rather than guess.

use super::error::ConfigError;
use super::options::{Kind, Limits, OptionInfo, Unit};
use super::value::{Linger, OptionValue};

/// Reads `text` as a value of the option `info`; whether it is in range is another question.
pub(super) fn parse(info: &OptionInfo, text: &str) -> Result<OptionValue, ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable {
        option: info.option,
        text: text.chars().take(LONGEST_QUOTE).collect(),
        reason,
    };
    match info.kind {
        Kind::Text => Ok(OptionValue::Text(text.as_bytes().to_vec())),
        Kind::Bool => parse_bool(text.trim())
            .map(OptionValue::Bool)
            .ok_or_else(|| unreadable("say 1, yes, on, true or 0, no, off, false".to_owned())),
        Kind::I32 | Kind::I64 | Kind::Linger => {
            let number = match named(&info.limits, text.trim()) {
                Some(number) => number,
                None => parse_number(info, text.trim()).map_err(unreadable)?,
            };
            let out_of_range = || ConfigError::OutOfRange {
                option: info.option,
                value: text.trim().chars().take(LONGEST_QUOTE).collect(),
                allowed: info.allowed(),
            };
            match info.kind {
                Kind::I64 => i64::try_from(number).map(OptionValue::I64).map_err(|_| out_of_range()),
                Kind::I32 => i32::try_from(number).map(OptionValue::I32).map_err(|_| out_of_range()),
                _ => i32::try_from(number)
                    .map(|seconds| OptionValue::Linger(Linger::seconds(seconds)))
                    .map_err(|_| out_of_range()),
            }
        }
    }
}

/// The words of libsrt's tools for yes and no, in any case.
fn parse_bool(text: &str) -> Option<bool> {
    let is = |word: &&str| text.eq_ignore_ascii_case(word);
    if ["1", "yes", "on", "true"].iter().any(is) {
        Some(true)
    } else if ["0", "no", "off", "false"].iter().any(is) {
        Some(false)
    } else {
        None
    }
}

/// The number behind a word such as `live`.
fn named(limits: &Limits, text: &str) -> Option<i128> {
    let Limits::Named(names) = limits else { return None };
    names.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|&(_, number)| i128::from(number))
}

/// A number with or without a unit, in the unit of the option.
fn parse_number(info: &OptionInfo, text: &str) -> Result<i128, String> {
    if info.unit == Unit::Version && text.contains('.') {
        return parse_version(text)
            .ok_or_else(|| "a version is three numbers up to 255, such as 1.3.0".to_owned());
    }
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        let plain = !hex.is_empty() && hex.bytes().all(|digit| digit.is_ascii_hexdigit());
        let number = i128::from_str_radix(hex, 16).ok().filter(|_| plain && hex.len() <= LONGEST_NUMBER);
        return number.map(|number| if negative { -number } else { number }).ok_or_else(|| expected(info));
    }
    let end = digits.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(digits.len());
    let (number, unit) = digits.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let unit = unit.trim_start();
    if whole.is_empty() || number.len() > LONGEST_NUMBER || fraction.contains('.') || number.ends_with('.') {
        return Err(expected(info));
    }
    if info.kind == Kind::I32
        && whole.len() > 1
        && whole.starts_with('0')
        && whole.bytes().any(|digit| digit != b'0')
    {
        return Err(format!(
            "with a leading 0 libsrt's tools read an octal number; say {}",
            whole.trim_start_matches('0')
        ));
    }
    let (multiply, divide) = match unit {
        "" => (1, 1),
        _ => scale(info.unit, unit).ok_or_else(|| unknown_unit(info, unit))?,
    };
    // At most 20 digits and a scale below 2^40: 20 digits are below 2^67, so nothing overflows 127 bits.
    let tenths = i128::from(10_u8).pow(u32::try_from(fraction.len()).unwrap_or(0));
    let scaled = format!("{whole}{fraction}").parse::<i128>().map_err(|_| expected(info))? * multiply;
    let parts = tenths * divide;
    if scaled % parts != 0 {
        return Err(format!("not a whole number; expected {}", expected(info)));
    }
    Ok(if negative { -(scaled / parts) } else { scaled / parts })
}

/// `1.3.0` as 0x010300.
fn parse_version(text: &str) -> Option<i128> {
    let mut parts = text.split('.');
    let mut part = || parts.next()?.parse::<u8>().ok();
    let (major, minor, patch) = (part()?, part()?, part()?);
    parts.next().is_none().then(|| i128::from(u32::from_be_bytes([0, major, minor, patch])))
}

/// By what a number in `given` is multiplied and divided to be in `unit`; `None` if `given` does not fit `unit`.
fn scale(unit: Unit, given: &str) -> Option<(i128, i128)> {
    match unit {
        Unit::Milliseconds | Unit::Seconds => {
            let micros = match given {
                "us" | "µs" => 1,
                "ms" => 1_000,
                "s" | "sec" => 1_000_000,
                "min" => 60_000_000,
                _ => return None,
            };
            Some((micros, if unit == Unit::Seconds { 1_000_000 } else { 1_000 }))
        }
        Unit::Bytes => {
            let (prefix, rest) = split_prefix(given);
            matches!(rest, "B" | "bytes").then_some((prefix, 1))
        }
        Unit::BytesPerSecond => {
            let (prefix, rest) = split_prefix(given);
            match rest {
                "b/s" | "bps" | "bit/s" | "bits/s" => Some((prefix, 8)),
                "B" | "B/s" | "Bps" | "bytes/s" => Some((prefix, 1)),
                _ => None,
            }
        }
        Unit::Percent => (given == "%").then_some((1, 1)),
        Unit::Packets => matches!(given, "packets" | "pkts" | "pkt").then_some((1, 1)),
        Unit::None | Unit::Hops | Unit::Version => None,
    }
}

/// Splits `k`, `M`, `G` (powers of 1000; also `K`, `m`, `g`) or `Ki`, `Mi`, `Gi` (of 1024) off the front of a unit.
fn split_prefix(given: &str) -> (i128, &str) {
    let exponent = match given.as_bytes().first() {
        Some(b'k' | b'K') => 1,
        Some(b'm' | b'M') => 2,
        Some(b'g' | b'G') => 3,
        _ => return (1, given),
    };
    match given[1..].strip_prefix('i') {
        Some(rest) if !rest.starts_with('t') => (1024_i128.pow(exponent), rest),
        _ => (1000_i128.pow(exponent), &given[1..]),
    }
}

/// What would have been understood.
fn expected(info: &OptionInfo) -> String {
    let also = match info.unit {
        Unit::Bytes => " of bytes, or such as 64KiB, 8MB",
        Unit::Packets => " of packets",
        Unit::Milliseconds => " of milliseconds, or such as 120ms, 2s",
        Unit::Seconds => " of seconds, or such as 3min",
        Unit::BytesPerSecond => " of bytes per second, or such as 8Mbps (bits), 1MB/s (bytes)",
        Unit::Percent => " of percent",
        Unit::Version => ", or a version such as 1.3.0",
        Unit::None | Unit::Hops => "",
    };
    match info.limits {
        Limits::Named(_) => format!("say {}", info.limits),
        _ => format!("a whole number{also}"),
    }
}

/// Why this unit will not do.
fn unknown_unit(info: &OptionInfo, unit: &str) -> String {
    let ambiguous = matches!(unit, "k" | "K" | "m" | "M" | "g" | "G");
    match info.unit {
        Unit::BytesPerSecond if ambiguous => {
            format!("`{unit}` of bits or of bytes? say {unit}bps or {unit}B/s")
        }
        Unit::Bytes if ambiguous => {
            format!("`{unit}` of 1000 or of 1024? say {unit}B or {}iB", unit.to_ascii_uppercase())
        }
        _ => format!("expected {}", expected(info)),
    }
}

/// Most characters of a value that an error repeats.
const LONGEST_QUOTE: usize = 80;

/// Most digits of a number: those of the largest 64-bit one.
const LONGEST_NUMBER: usize = 20;

#[cfg(test)]
mod tests {
    use super::super::options::SocketOption;
    use super::*;

    /// What `text` means as a number for `option`.
    fn number(option: SocketOption, text: &str) -> Option<i64> {
        parse(option.info(), text).ok().map(|value| value.as_int().unwrap())
    }

    /// The message about `text`.
    fn message(option: SocketOption, text: &str) -> String {
        parse(option.info(), text).unwrap_err().to_string()
    }

    #[test]
    fn plain_numbers_have_libsrts_unit() {
        assert_eq!(number(SocketOption::Latency, "120"), Some(120));
        assert_eq!(number(SocketOption::MaxBw, "1000000"), Some(1_000_000));
        assert_eq!(number(SocketOption::MaxBw, "-1"), Some(-1));
        assert_eq!(number(SocketOption::MaxBw, "9223372036854775807"), Some(i64::MAX));
        assert_eq!(number(SocketOption::RcvBuf, "12058624"), Some(12_058_624));
        assert_eq!(number(SocketOption::Linger, "180"), Some(180));
        assert_eq!(number(SocketOption::SndTimeo, " +50 "), Some(50));
        assert_eq!(number(SocketOption::IpTos, "0xb8"), Some(0xB8));
        assert_eq!(number(SocketOption::MinVersion, "0X010300"), Some(0x0001_0300));
        assert_eq!(number(SocketOption::OheadBw, "025"), None);
        assert_eq!(number(SocketOption::SndTimeo, "-0x10"), Some(-16));
        assert_eq!(number(SocketOption::SndTimeo, "000"), Some(0));
        assert_eq!(
            number(SocketOption::MaxBw, "0100"),
            Some(100),
            "64-bit options are decimal in libsrt's tools"
        );
    }

    #[test]
    fn times_take_units() {
        let latency = |text| number(SocketOption::Latency, text);
        assert_eq!(
            (latency("120ms"), latency("2s"), latency("2 s"), latency("1min")),
            (Some(120), Some(2000), Some(2000), Some(60_000))
        );
        assert_eq!(
            (latency("1.5s"), latency("0.120s"), latency("250.0"), latency("3000us")),
            (Some(1500), Some(120), Some(250), Some(3))
        );
        assert_eq!(
            (latency("1500us"), latency("0.5"), latency("2m"), latency("2h"), latency("2S")),
            (None, None, None, None, None)
        );
        let linger = |text| number(SocketOption::Linger, text);
        assert_eq!(
            (linger("3min"), linger("2000ms"), linger("5s"), linger("1500ms")),
            (Some(180), Some(2), Some(5), None)
        );
        assert_eq!(parse(SocketOption::Linger.info(), "0"), Ok(OptionValue::Linger(Linger::OFF)));
    }

    #[test]
    fn rates_take_bits_and_bytes() {
        let rate = |text| number(SocketOption::MaxBw, text);
        for eight_megabits in [
            "8Mbps",
            "8mbps",
            "8 Mbit/s",
            "8Mb/s",
            "8000kbps",
            "8000000bps",
            "0.008Gbps",
            "1MB/s",
            "1MBps",
            "1000kB",
            "1000000B",
        ] {
            assert_eq!(rate(eight_megabits), Some(1_000_000), "{eight_megabits}");
        }
        assert_eq!(
            (rate("2500kB"), rate("1MiB/s"), rate("8Mibps")),
            (Some(2_500_000), Some(1 << 20), Some(1 << 20))
        );
        assert_eq!(rate("2Mbits/s"), Some(250_000));
        for unclear in
            ["8M", "8k", "8MBPS", "8Mb", "8mb", "8x", "8Mbps/s", "4bps", "8Tbps", "8ms", "8i", "8MiBi"]
        {
            assert_eq!(rate(unclear), None, "{unclear}");
        }
        assert_eq!(
            message(SocketOption::MaxBw, "8M"),
            "maxbw: cannot read `8M`: `M` of bits or of bytes? say Mbps or MB/s"
        );
    }

    #[test]
    fn sizes_take_units() {
        let size = |text| number(SocketOption::RcvBuf, text);
        assert_eq!(
            (size("64KiB"), size("64kB"), size("8MB"), size("1.5MiB")),
            (Some(65_536), Some(64_000), Some(8_000_000), Some(1_572_864))
        );
        assert_eq!((size("1GiB"), size("100B"), size("100 bytes")), (Some(1 << 30), Some(100), Some(100)));
        assert_eq!((size("64k"), size("64Kb"), size("8Mbps"), size("1.5B")), (None, None, None, None));
        assert_eq!(
            message(SocketOption::RcvBuf, "64k"),
            "rcvbuf: cannot read `64k`: `k` of 1000 or of 1024? say kB or KiB"
        );
        assert_eq!(
            (number(SocketOption::OheadBw, "30%"), number(SocketOption::Latency, "30%")),
            (Some(30), None)
        );
        assert_eq!(
            (number(SocketOption::Fc, "100 packets"), number(SocketOption::IpTtl, "6 hops")),
            (Some(100), None)
        );
    }

    #[test]
    fn versions_read_as_three_numbers() {
        let version = |text| number(SocketOption::MinVersion, text);
        assert_eq!(
            (version("1.3.0"), version("1.5.255"), version("66304")),
            (Some(0x0001_0300), Some(0x0001_05FF), Some(0x0001_0300))
        );
        for wrong in ["1.3", "1.3.0.0", "1.256.0", "1..0", "-1.0.0", "1.a.0", "."] {
            assert_eq!(version(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn yes_and_no_have_libsrts_words_in_any_case() {
        let word = |text| parse(SocketOption::TlPktDrop.info(), text).ok();
        for yes in ["1", "yes", "on", "true", "YES", "True", " on "] {
            assert_eq!(word(yes), Some(OptionValue::Bool(true)), "{yes}");
        }
        for no in ["0", "no", "off", "false", "OFF"] {
            assert_eq!(word(no), Some(OptionValue::Bool(false)), "{no}");
        }
        for neither in ["", "2", "y", "ja", "yes no", "-1"] {
            assert_eq!(word(neither), None, "{neither}");
        }
        assert_eq!(
            message(SocketOption::TlPktDrop, "2"),
            "tlpktdrop: cannot read `2`: say 1, yes, on, true or 0, no, off, false"
        );
    }

    #[test]
    fn transtype_has_words() {
        let kind = |text| number(SocketOption::TransType, text);
        assert_eq!((kind("live"), kind("FILE"), kind("0"), kind("1")), (Some(0), Some(1), Some(0), Some(1)));
        assert_eq!(
            message(SocketOption::TransType, "vod"),
            "transtype: cannot read `vod`: say live (0) or file (1)"
        );
    }

    #[test]
    fn what_is_no_number_is_said_to_be_none() {
        for wrong in [
            "", "-", "+", "--1", "+-1", "0x", "0xg", "0x-1", "1e3", "1.", ".5", "1..2", "1.2.3", "١", "ms",
            "1 2", "-+1", "0x1p3", "0x 1",
        ] {
            assert_eq!(number(SocketOption::Latency, wrong), None, "{wrong}");
            assert_eq!(number(SocketOption::MaxBw, wrong), None, "{wrong}");
        }
        assert_eq!(
            message(SocketOption::Latency, "fast"),
            "latency: cannot read `fast`: a whole number of milliseconds, or such as 120ms, 2s"
        );
        assert_eq!(
            message(SocketOption::Latency, "0120"),
            "latency: cannot read `0120`: with a leading 0 libsrt's tools read an octal number; say 120"
        );
    }

    #[test]
    fn numbers_beyond_the_type_are_out_of_range_and_none_overflows() {
        assert_eq!(
            message(SocketOption::Latency, "2147483648"),
            "latency: 2147483648 is not allowed; allowed: 0 to 65535 ms"
        );
        assert!(matches!(
            parse(SocketOption::Latency.info(), "99999999s"),
            Err(ConfigError::OutOfRange { .. })
        ));
        assert!(matches!(
            parse(SocketOption::Linger.info(), "9999999999"),
            Err(ConfigError::OutOfRange { .. })
        ));
        let huge = "99999999999999999999GiB/s";
        assert!(matches!(parse(SocketOption::MaxBw.info(), huge), Err(ConfigError::OutOfRange { .. })));
        assert!(matches!(
            parse(SocketOption::MaxBw.info(), "0xFFFFFFFFFFFFFFFFFFFF"),
            Err(ConfigError::OutOfRange { .. })
        ));
        assert!(matches!(
            parse(SocketOption::MaxBw.info(), &"9".repeat(21)),
            Err(ConfigError::Unreadable { .. })
        ));
        assert!(matches!(
            parse(SocketOption::MaxBw.info(), &format!("0.{}1", "0".repeat(17))),
            Err(ConfigError::Unreadable { .. })
        ));
        assert!(message(SocketOption::MaxBw, &"ü".repeat(500)).len() < 400, "a long text is cut");
    }
}
