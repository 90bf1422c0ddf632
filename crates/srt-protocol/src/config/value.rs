//! Values of options, as callers hand them in and read them back.

use core::fmt;

use super::options::Kind;

/// Value of an option, in libsrt's type and unit.
///
/// Made with `into()` from `bool`, whole numbers, text and [`Linger`]. Its Display is text that
/// [`Config::set_text`](super::Config::set_text) takes (but for text that is not UTF-8).
#[derive(Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OptionValue {
    /// Yes or no.
    Bool(bool),
    /// A number of 32 bits.
    I32(i32),
    /// A number of 64 bits.
    I64(i64),
    /// Bytes of text.
    Text(Vec<u8>),
    /// Linger time.
    Linger(Linger),
}

impl OptionValue {
    /// Type of the value.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Bool(_) => Kind::Bool,
            Self::I32(_) => Kind::I32,
            Self::I64(_) => Kind::I64,
            Self::Text(_) => Kind::Text,
            Self::Linger(_) => Kind::Linger,
        }
    }

    /// The number, if it is one (a linger time counts as its seconds, 0 when off).
    pub const fn as_int(&self) -> Option<i64> {
        match self {
            Self::I32(number) => Some(*number as i64),
            Self::I64(number) => Some(*number),
            Self::Linger(linger) => Some(linger.seconds as i64),
            Self::Bool(_) | Self::Text(_) => None,
        }
    }

    /// False, 0, empty or off.
    pub(super) const fn zero(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bool(false),
            Kind::I32 => Self::I32(0),
            Kind::I64 => Self::I64(0),
            Kind::Text => Self::Text(Vec::new()),
            Kind::Linger => Self::Linger(Linger::OFF),
        }
    }

    /// This value as `kind`, or itself back if that changes what it says.
    ///
    /// Numbers become wider or narrower when they fit; a number becomes a yes when it is not 0 (as in libsrt, so that C
    /// programs may pass an `int`) and a linger time in seconds.
    pub(super) fn into_kind(self, kind: Kind) -> Result<Self, Self> {
        match (kind, self) {
            (kind, value) if value.kind() == kind => Ok(value),
            (Kind::I64, Self::I32(number)) => Ok(Self::I64(i64::from(number))),
            (Kind::I32, Self::I64(number)) => {
                i32::try_from(number).map(Self::I32).map_err(|_| Self::I64(number))
            }
            (Kind::Bool, Self::I32(number)) => Ok(Self::Bool(number != 0)),
            (Kind::Bool, Self::I64(number)) => Ok(Self::Bool(number != 0)),
            (Kind::Linger, Self::I32(seconds)) => Ok(Self::Linger(Linger::seconds(seconds))),
            (Kind::Linger, Self::I64(seconds)) => i32::try_from(seconds)
                .map(|fits| Self::Linger(Linger::seconds(fits)))
                .map_err(|_| Self::I64(seconds)),
            (_, value) => Err(value),
        }
    }
}

impl fmt::Display for OptionValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(yes) => yes.fmt(out),
            Self::I32(number) => number.fmt(out),
            Self::I64(number) => number.fmt(out),
            Self::Text(bytes) => out.pad(&String::from_utf8_lossy(bytes)),
            Self::Linger(linger) => linger.fmt(out),
        }
    }
}

/// Text shows as its length alone: it may be a passphrase.
impl fmt::Debug for OptionValue {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(yes) => write!(out, "Bool({yes})"),
            Self::I32(number) => write!(out, "I32({number})"),
            Self::I64(number) => write!(out, "I64({number})"),
            Self::Text(bytes) => write!(out, "Text({} bytes)", bytes.len()),
            Self::Linger(linger) => write!(out, "Linger({linger})"),
        }
    }
}

/// What SRTO_LINGER holds: C's `struct linger`.
///
/// Both fields are kept as they were set, as libsrt does, so that a C program reads back what it wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Linger {
    /// Whether closing waits (`l_onoff`).
    pub on: bool,
    /// For how long at most, in seconds (`l_linger`), 0 or more.
    pub seconds: i32,
}

impl Linger {
    /// Closing does not wait: the default in live mode.
    pub const OFF: Self = Self { on: false, seconds: 0 };

    /// As libsrt's tools read a number of seconds: 0 is off.
    pub const fn seconds(seconds: i32) -> Self {
        Self { on: seconds > 0, seconds }
    }
}

impl fmt::Display for Linger {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.on { self.seconds.fmt(out) } else { out.pad("0") }
    }
}

/// `From` for each type that stands for a value as it is.
macro_rules! values_from {
    ($($type:ty => |$value:ident| $made:expr;)+) => {$(
        impl From<$type> for OptionValue {
            fn from($value: $type) -> Self {
                $made
            }
        }
    )+};
}

values_from! {
    bool => |value| Self::Bool(value);
    i32 => |value| Self::I32(value);
    i64 => |value| Self::I64(value);
    u32 => |value| Self::I64(i64::from(value));
    Linger => |value| Self::Linger(value);
    &str => |value| Self::Text(value.as_bytes().to_vec());
    String => |value| Self::Text(value.into_bytes());
    &[u8] => |value| Self::Text(value.to_vec());
    Vec<u8> => |value| Self::Text(value);
}
