//! How fast to send (draft §5): policies fed with facts; the [`TokenBucket`](crate::link::TokenBucket) is the mechanism.

mod live;

pub use live::LiveRate;
