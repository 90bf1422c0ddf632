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
    let scaled =
        i128::from_str_radix(&format!("{whole}{fraction}"), 10).map_err(|_| expected(info))? * multiply;
    let parts = tenths * divide;
    if scaled % parts != 0 {
        return Err(format!("not a whole number of {}", info.unit.suffix()));
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
