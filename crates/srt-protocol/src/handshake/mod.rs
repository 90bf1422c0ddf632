//! From the first packet to a link.

mod reject;

pub use reject::RejectReason;
