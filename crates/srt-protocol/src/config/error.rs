//! Why a configuration was refused.

use super::options::{Kind, SocketOption, Stage, When};

/// Why an option was not set or read: always names the option, the value, and what is allowed.
///
/// A passphrase never appears in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No option has this name.
    #[error("unknown option `{name}`{}", hint.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    UnknownOption {
        /// The name given, cut to 40 characters.
        name: String,
        /// The known name nearest to it, if one is near.
        hint: Option<&'static str>,
    },
    /// The value is of the right type, and not allowed.
    #[error("{option}: {value} is not allowed; allowed: {allowed}")]
    OutOfRange {
        /// The option.
        option: SocketOption,
        /// The value given, with a passphrase hidden.
        value: String,
        /// The values that are allowed now.
        allowed: String,
    },
    /// A secret has a length that none may have; neither it nor its length is told.
    #[error("{option}: too {fault}: 10 to 80 bytes")]
    SecretLength {
        /// The option.
        option: SocketOption,
        /// `short` or `long`.
        fault: &'static str,
    },
    /// The text cannot be read as a value of this option.
    #[error("{option}: cannot read `{text}`: {reason}")]
    Unreadable {
        /// The option.
        option: SocketOption,
        /// The text given, cut to 80 characters.
        text: String,
        /// What is wrong with it, and what is understood.
        reason: String,
    },
    /// The value has another type than the option.
    #[error("{option}: takes {expected}, got {given}")]
    WrongType {
        /// The option.
        option: SocketOption,
        /// Type of the value given.
        given: Kind,
        /// Type of the option.
        expected: Kind,
    },
    /// The option belongs to a feature that is not there yet; it can have its default alone.
    #[error("{option}: {value} is not supported yet ({feature}); only the default is: {default}")]
    Unsupported {
        /// The option.
        option: SocketOption,
        /// The value given, with a passphrase hidden.
        value: String,
        /// The feature it needs.
        feature: &'static str,
        /// The default.
        default: &'static str,
    },
    /// The option tells a fact and cannot be set.
    #[error("{option}: can be read only, not set")]
    ReadOnly {
        /// The option.
        option: SocketOption,
    },
    /// The option can be set and not read (as in libsrt: PASSPHRASE and TRANSTYPE).
    #[error("{option}: can be set only, not read")]
    WriteOnly {
        /// The option.
        option: SocketOption,
    },
    /// The option is a fact of a socket in use; a configuration does not know it.
    #[error("{option}: is known of a socket in use, not of its configuration")]
    SocketFact {
        /// The option.
        option: SocketOption,
    },
    /// The socket is past the time at which the option may be set.
    #[error("{option}: can be set only {when}; the socket is {stage}")]
    WrongTime {
        /// The option.
        option: SocketOption,
        /// When it may be set.
        when: When,
        /// How far the socket has come.
        stage: Stage,
    },
}
