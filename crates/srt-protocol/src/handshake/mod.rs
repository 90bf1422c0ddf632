//! From the first packet to a link (draft §4.3).
//!
//! A caller asks (Induction), is given a cookie, asks again with the cookie and its parameters (Conclusion), and is answered
//! with the agreement. The listener's side, which keeps nothing before the cookie comes back, is the
//! [`Endpoint`](crate::endpoint::Endpoint).

pub(crate) mod caller;
pub(crate) mod message;
pub(crate) mod negotiate;
mod reject;

pub use caller::{Agreed, Call, Caller, Outcome};
pub use reject::RejectReason;
