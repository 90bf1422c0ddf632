//! Why a handshake was refused.

/// Reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// Unknown.
    Unknown,
}
