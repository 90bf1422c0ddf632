//! Options that tell a fact of a socket in use, in the C API's numbers.

use srt_protocol::{
    config::{CipherMode, OptionValue, SocketOption},
    connection::{Negotiated, State},
    packet::KmState,
    time::Micros,
};

use crate::Readiness;

/// A count as the 32-bit number of an option.
pub(crate) fn count(number: u64) -> OptionValue {
    OptionValue::I32(i32::try_from(number).unwrap_or(i32::MAX))
}

/// SRTO_STATE: a number of `SRT_SOCKSTATUS`.
pub(crate) fn state(state: State, broken: bool) -> OptionValue {
    OptionValue::I32(match state {
        State::Connecting => 4,
        State::Connected => 5,
        State::Broken => 6,
        _ if broken => 6,
        State::Closing => 7,
        _ => 8,
    })
}

/// SRTO_EVENT: bits of `SRT_EPOLL_OPT`.
pub(crate) fn event(readiness: Readiness) -> OptionValue {
    let bit = |yes: bool, bit: i32| if yes { bit } else { 0 };
    OptionValue::I32(bit(readiness.readable, 1) | bit(readiness.writable, 4) | bit(readiness.error, 8))
}

/// The options whose value is known once both sides have agreed.
pub(crate) fn agreed(option: SocketOption, agreed: &Negotiated) -> Option<OptionValue> {
    let millis = |span: Option<Micros>| count(span.unwrap_or(Micros::ZERO).as_millis());
    Some(match option {
        SocketOption::Isn => count(agreed.send_isn.value().into()),
        SocketOption::PeerVersion => count(agreed.peer_version.into()),
        SocketOption::Latency | SocketOption::RcvLatency => millis(agreed.receiver_latency),
        SocketOption::PeerLatency => millis(agreed.peer_latency),
        SocketOption::StreamId => OptionValue::Text(agreed.stream_id.clone()),
        SocketOption::PbKeyLen => count(agreed.encryption?.1.bytes() as u64),
        SocketOption::CryptoMode => OptionValue::I32(match agreed.encryption?.0 {
            CipherMode::Ctr => 1,
            CipherMode::Gcm => 2,
        }),
        _ => return None,
    })
}

/// SRTO_KMSTATE, SRTO_SNDKMSTATE, SRTO_RCVKMSTATE: numbers of `SRT_KM_STATE`. KMSTATE is that of the direction which SENDER says.
pub(crate) fn km_state(option: SocketOption, sender: bool, keys: (KmState, KmState)) -> Option<OptionValue> {
    let state = match option {
        SocketOption::SndKmState => keys.0,
        SocketOption::RcvKmState => keys.1,
        SocketOption::KmState if sender => keys.0,
        SocketOption::KmState => keys.1,
        _ => return None,
    };
    Some(OptionValue::I32(state as i32))
}

/// The facts of a socket that is not connected.
pub(crate) fn before(option: SocketOption) -> Option<OptionValue> {
    Some(OptionValue::I32(match option {
        SocketOption::Isn => -1,
        SocketOption::PeerVersion
        | SocketOption::KmState
        | SocketOption::SndKmState
        | SocketOption::RcvKmState => 0,
        _ => return None,
    }))
}

/// The options that steer calls of the application and mean nothing to the protocol.
pub(crate) const fn is_of_the_call(option: SocketOption) -> bool {
    matches!(
        option,
        SocketOption::SndSyn | SocketOption::RcvSyn | SocketOption::SndTimeo | SocketOption::RcvTimeo
    )
}
