//! What ends a command early. Every message is one line that names the thing at fault and the mend.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::units::UnitError;

/// Why a command failed.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// A medium's address is wrong.
    #[error(transparent)]
    Uri(#[from] UriFault),
    /// An `srt://` address is wrong.
    #[error("{uri}: {}", words_of(fault))]
    SrtUri {
        /// As it was given.
        uri: String,
        /// What is wrong with it.
        fault: srt::UriError,
    },
    /// A flag of srt-live-transmit is wrong.
    #[error("{flag}: {fault}")]
    Flag {
        /// As it was given.
        flag: String,
        /// What is wrong, and the mend.
        fault: FlagFault,
    },
    /// Two things that exclude each other.
    #[error("{0}")]
    Conflict(&'static str),
    /// A file cannot be opened or made.
    #[error("{}: cannot {doing}: {}; {mend}", path.display(), plain(source))]
    Open {
        /// Which.
        path: PathBuf,
        /// "be read", "be written".
        doing: &'static str,
        /// The system's word.
        source: io::Error,
        /// What to do about it.
        mend: &'static str,
    },
    /// Reading or writing failed half way.
    #[error("{what}: {doing} failed: {}; {mend}", plain(source))]
    Transfer {
        /// The medium.
        what: String,
        /// "reading", "writing".
        doing: &'static str,
        /// The system's word.
        source: io::Error,
        /// What to do about it.
        mend: &'static str,
    },
    /// A name has no address.
    #[error(
        "{uri}: no address found for this host: {}; check the name, or give the address itself",
        plain(source)
    )]
    Resolve {
        /// As it was given, the name in it.
        uri: String,
        /// The system's word.
        source: io::Error,
    },
    /// A UDP socket cannot be had.
    #[error("{uri}: {doing}: {}; {mend}", plain(source))]
    Socket {
        /// As it was given.
        uri: String,
        /// What was tried.
        doing: &'static str,
        /// The system's word.
        source: io::Error,
        /// What to do about it.
        mend: &'static str,
    },
    /// A message that the next medium cannot carry.
    #[error("{from}: a message of {len} bytes does not fit: {to} carries at most {max}; {mend}")]
    TooLarge {
        /// Where it came from.
        from: String,
        /// Its size.
        len: usize,
        /// Where it goes.
        to: String,
        /// What fits there.
        max: usize,
        /// What to do about it.
        mend: &'static str,
    },
    /// The SRT connection could not be made or broke.
    #[error("{uri}: {source}{}{mend}", if mend.is_empty() { "" } else { "; " })]
    Srt {
        /// As it was given, secrets hidden.
        uri: String,
        /// The library's word, often with the mend.
        source: srt::Error,
        /// What else to do about it; may be empty.
        mend: &'static str,
    },
    /// No link of a group came to be.
    #[error("no link of the group came to be: {}", listed(reasons))]
    NoLink {
        /// The address of each as it was given, secrets hidden, and why not.
        reasons: Vec<(String, String)>,
    },
    /// The connection ended before everything had arrived.
    #[error(
        "{uri}: the receiver did not confirm the last {packets} packets before the end; check that it still runs"
    )]
    Undelivered {
        /// As it was given, secrets hidden.
        uri: String,
        /// How many.
        packets: u64,
    },
    /// A bench that could not go on.
    #[error("{0}")]
    Bench(#[source] srt::Error),
    /// An option for a bench is wrong.
    #[error("--option {option}: {fault}")]
    BenchOption {
        /// As it was given.
        option: String,
        /// What is wrong, and the mend.
        fault: String,
    },
    /// A bench lost messages.
    #[error("{missing} messages never arrived; give more latency, or less load")]
    BenchMissing {
        /// How many.
        missing: u64,
    },
    /// A stored input was to be sent, and nobody was there.
    #[error("{uri}: ended before a connection was made; nothing was sent")]
    NeverConnected {
        /// As it was given, secrets hidden.
        uri: String,
    },
    /// Connections broke, and were made again, with parts of a stored input on their way.
    #[error("{uri}: {messages} messages were lost when the connection broke; send the input again")]
    LostInBreaks {
        /// As it was given, secrets hidden.
        uri: String,
        /// How many.
        messages: u64,
    },
    /// One file is to be read and written, or written twice.
    #[error("the {one} and the {other} are the same file; give the {other} another name")]
    SameFile {
        /// What it is first.
        one: &'static str,
        /// What it is as well.
        other: &'static str,
    },
    /// Messages larger than SRT can carry are asked for.
    #[error("--chunk {chunk}: an SRT message carries at most {most} bytes{}; use 1316 (7 TS packets)", if *most < 1456 { " with AES-GCM" } else { "" })]
    Chunk {
        /// Bytes asked for.
        chunk: usize,
        /// Bytes that fit.
        most: usize,
    },
    /// A passphrase, from a file or the environment, that SRT cannot take.
    #[error("{place}: {fault}")]
    Passphrase {
        /// The file, or the variable.
        place: String,
        /// What is wrong with it, and the mend.
        fault: PassphraseFault,
    },
    /// The link emulator could not start.
    #[error("{0}")]
    Emulator(String),
    /// A thread of ours ended without a result.
    #[error("the {0} thread ended unexpectedly; this is a fault of the program, please report it")]
    Thread(&'static str),
    /// The test stream did not arrive as it was sent.
    #[error("the test stream arrived broken: {0}")]
    BrokenStream(String),
    /// The demo's stream did not come through whole.
    #[error(
        "{harmed} of {sent} packets did not arrive as they were sent; give SRT more time with --latency, or the links less --rate or --loss"
    )]
    PictureBroke {
        /// Packets missing or damaged.
        harmed: u64,
        /// Packets in all.
        sent: u64,
    },
    /// The output expected a test stream and none came.
    #[error("no test stream arrived; send one with: srt send test:// SRT_URI")]
    NoTestStream,
}

/// What is wrong with the address of a medium other than SRT.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{uri}: {problem}")]
pub(crate) struct UriFault {
    /// As it was given.
    pub(crate) uri: String,
    /// What is wrong with it.
    pub(crate) problem: UriProblem,
}

/// The fault and its mend.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum UriProblem {
    /// No such medium.
    #[error("unknown medium \"{0}\"; use srt, udp, rtp, file, test, null, or - for stdin/stdout")]
    Scheme(String),
    /// Where `srt://` is needed.
    #[error("an SRT address is needed here: srt://HOST:PORT to call, srt://:PORT to listen")]
    NotSrt,
    /// Nothing given.
    #[error("is empty; give a file name, - or an address as srt://HOST:PORT")]
    Empty,
    /// Without a port.
    #[error("has no port; write {0}://HOST:PORT")]
    NoPort(String),
    /// Not a port.
    #[error("\"{0}\" is no port; use 1 to 65535")]
    Port(String),
    /// `[` without `]` and the like.
    #[error("\"{0}\" is no host; write a name, an IPv4 address or [IPv6]")]
    Host(String),
    /// A zone that is no interface.
    #[error("there is no network interface \"{0}\"; give the name or the number of one")]
    Interface(String),
    /// What this medium does not know.
    #[error("unknown parameter \"{key}\"; this medium knows {known}")]
    UnknownKey {
        /// The key.
        key: String,
        /// Those that are known.
        known: &'static str,
    },
    /// A value that cannot be.
    #[error("{key}={value} is not possible; allowed: {allowed}")]
    Value {
        /// The key.
        key: String,
        /// As given.
        value: String,
        /// What would be.
        allowed: &'static str,
    },
    /// A value that is no quantity.
    #[error("{key}: {fault}")]
    Quantity {
        /// The key.
        key: String,
        /// Why not.
        fault: UnitError,
    },
    /// An option of the stream that is not the same for all links.
    #[error("{key}={value} contradicts the first address, which has {first}; say it there, for all links")]
    Contradiction {
        /// The option.
        key: String,
        /// As given here.
        value: String,
        /// As the first address has it.
        first: String,
    },
    /// A listener among the links of a group that calls.
    #[error("it listens, and cannot be a link beside addresses that call; give srt://HOST:PORT")]
    ListenerInGroup,
    /// A group without links.
    #[error("names no links; write nodes=HOST:PORT,HOST:PORT")]
    NoNodes,
    /// A medium that can only be written.
    #[error("cannot be an input; {0}")]
    NotAnInput(&'static str),
}

/// What is wrong with a flag of srt-live-transmit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum FlagFault {
    /// No such flag.
    #[error("unknown option; -h lists them all")]
    Unknown,
    /// A flag that needs one.
    #[error("needs a value, as in {0}")]
    NoValue(String),
    /// A flag that takes none.
    #[error("takes no value")]
    UnwantedValue,
    /// A value that cannot be.
    #[error("\"{value}\" is not possible; allowed: {allowed}")]
    Value {
        /// As given.
        value: String,
        /// What would be.
        allowed: &'static str,
    },
    /// Not exactly two addresses.
    #[error("give exactly one input and one output URI, got {0}; -h shows how")]
    Uris(usize),
}

/// What is wrong with a passphrase that does not stand in an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum PassphraseFault {
    /// Nothing, or an empty line.
    #[error("is empty; a passphrase has 10 to 80 bytes")]
    Empty,
    /// Fewer than 10 bytes.
    #[error("the passphrase in it is too short; give one of 10 to 80 bytes")]
    TooShort,
    /// More than 80 bytes.
    #[error("the passphrase in it is too long; give one of 10 to 80 bytes")]
    TooLong,
}

impl Failure {
    /// 2 for a wrong command line, 1 for everything that went wrong later.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Uri(_)
            | Self::SrtUri { .. }
            | Self::Flag { .. }
            | Self::Conflict(_)
            | Self::SameFile { .. }
            | Self::Chunk { .. }
            | Self::Passphrase { .. }
            | Self::Srt { source: srt::Error::Links { .. }, .. }
            | Self::BenchOption { .. } => 2,
            _ => 1,
        }
    }
}

fn listed(reasons: &[(String, String)]) -> String {
    let each: Vec<String> = reasons.iter().map(|(link, why)| format!("{link}: {why}")).collect();
    each.join("; ")
}

/// What is wrong with an `srt://` address, which stands before it.
fn words_of(fault: &srt::UriError) -> String {
    match fault {
        srt::UriError::Address { why, .. } => (*why).to_owned(),
        srt::UriError::UnknownKey { key, hint } => {
            let hint = hint.as_ref().map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            format!("unknown parameter `{key}`{hint}")
        }
        srt::UriError::Value { key, value, why } => format!("{key}: `{value}` {why}"),
        srt::UriError::Option(fault) => fault.to_string(),
        other => other.to_string(),
    }
}

/// The system's error without Rust's "(os error 2)".
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    let mut chars = text[..end].chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_one_line_and_without_error_numbers() {
        let failure = Failure::Open {
            path: "/no/such/file".into(),
            doing: "be read",
            source: io::Error::from_raw_os_error(2),
            mend: "check the path",
        };
        let said = failure.to_string();
        assert_eq!(said, "/no/such/file: cannot be read: no such file or directory; check the path");
        assert_eq!(failure.exit_code(), 1);
    }

    #[test]
    fn a_wrong_address_is_wrong_usage() {
        let fault = UriFault { uri: "rtmp://x".into(), problem: UriProblem::Scheme("rtmp".into()) };
        assert_eq!(Failure::from(fault).exit_code(), 2);
    }

    #[test]
    fn the_fault_of_an_srt_address_stands_behind_it_once() {
        for (text, says) in [
            ("srt://h", "srt://h: it has no port; write srt://host:port"),
            (
                "srt://h:1?latancy=1",
                "srt://h:1?latancy=1: unknown parameter `latancy`; did you mean `latency`?",
            ),
            ("srt://h:1?latency=-5", "srt://h:1?latency=-5: latency: -5 is not allowed; allowed: "),
            ("srt://h:1?mode=up", "srt://h:1?mode=up: mode: `up` is no mode; say caller or listener"),
        ] {
            let fault = text.parse::<srt::SrtUri>().unwrap_err();
            let said = Failure::SrtUri { uri: text.to_owned(), fault }.to_string();
            assert!(said.starts_with(says), "{said}");
        }
    }
}
