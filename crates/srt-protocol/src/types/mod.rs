//! The small numbers of the protocol, each a type of its own so that none is taken for another.

mod msg_number;
mod seq_number;
mod socket_id;
mod timestamp;

pub use msg_number::MsgNumber;
pub use seq_number::SeqNumber;
pub use socket_id::SocketId;
pub use timestamp::Timestamp;
