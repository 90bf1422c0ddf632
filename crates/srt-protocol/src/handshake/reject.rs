//! Why a handshake was refused.

use core::fmt;

/// Why there is no connection: the code of a rejection, as libsrt's `SRT_REJECT_REASON` and access_control.h
/// number it.
///
/// As text it is a sentence that names what is wrong and, where there is one, the mend. It speaks to whoever
/// tried to connect.
///
/// On the wire a rejection is a handshake whose kind is 1000 + [`code`](Self::code).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectReason {
    /// No reason given (`SRT_REJ_UNKNOWN`, 0).
    Unknown,
    /// A system call failed (`SRT_REJ_SYSTEM`, 1).
    System,
    /// The peer does not want (`SRT_REJ_PEER`, 2).
    Peer,
    /// Memory or another resource is missing (`SRT_REJ_RESOURCE`, 3).
    Resource,
    /// The handshake is wrong or contradicts itself (`SRT_REJ_ROGUE`, 4).
    Rogue,
    /// Too many callers wait to be accepted (`SRT_REJ_BACKLOG`, 5).
    Backlog,
    /// A fault in the program (`SRT_REJ_IPE`, 6).
    Ipe,
    /// The socket is being closed (`SRT_REJ_CLOSE`, 7).
    Close,
    /// The peer's version is below the minimum (`SRT_REJ_VERSION`, 8).
    Version,
    /// Both sides of a rendezvous have the same cookie (`SRT_REJ_RDVCOOKIE`, 9).
    RdvCookie,
    /// The passphrases differ (`SRT_REJ_BADSECRET`, 10).
    BadSecret,
    /// One side has a passphrase and the other has none (`SRT_REJ_UNSECURE`, 11).
    Unsecure,
    /// One side sends messages and the other a stream of bytes (`SRT_REJ_MESSAGEAPI`, 12).
    MessageApi,
    /// The congestion controls differ (`SRT_REJ_CONGESTION`, 13).
    Congestion,
    /// The packet filters do not fit (`SRT_REJ_FILTER`, 14).
    Filter,
    /// The groups do not fit, or groups are not allowed (`SRT_REJ_GROUP`, 15).
    Group,
    /// No answer in time (`SRT_REJ_TIMEOUT`, 16).
    Timeout,
    /// The encryption modes differ (`SRT_REJ_CRYPTO`, 17).
    Crypto,
    /// A code of the protocol that nobody has defined yet, 18 to 999. libsrt reports it as unknown.
    Unlisted(u16),
    /// A code of access control, 1000 to 1999, given whole: [`NOT_FOUND`](Self::NOT_FOUND) is
    /// `Predefined(1404)`. The constants of this type name those of access_control.h; from 1400 they are
    /// HTTP's status + 1000.
    Predefined(u16),
    /// A code of the application's own, 2000 and more, given whole.
    User(u32),
}

impl RejectReason {
    /// The application refuses, and cannot say more precisely why (`SRT_REJX_FALLBACK`).
    pub const FALLBACK: Self = Self::Predefined(1000);
    /// A key of the stream ID is not supported (`SRT_REJX_KEY_NOTSUP`).
    pub const KEY_NOTSUP: Self = Self::Predefined(1001);
    /// The path in the stream ID is malformed or not there (`SRT_REJX_FILEPATH`).
    pub const FILEPATH: Self = Self::Predefined(1002);
    /// The host in the stream ID is not known (`SRT_REJX_HOSTNOTFOUND`).
    pub const HOST_NOT_FOUND: Self = Self::Predefined(1003);
    /// The stream ID is malformed (`SRT_REJX_BAD_REQUEST`).
    pub const BAD_REQUEST: Self = Self::Predefined(1400);
    /// The user could not be authenticated (`SRT_REJX_UNAUTHORIZED`).
    pub const UNAUTHORIZED: Self = Self::Predefined(1401);
    /// The server has too much to do, or the user's credit is used up (`SRT_REJX_OVERLOAD`).
    pub const OVERLOAD: Self = Self::Predefined(1402);
    /// No access to the resource (`SRT_REJX_FORBIDDEN`).
    pub const FORBIDDEN: Self = Self::Predefined(1403);
    /// No such resource at this time (`SRT_REJX_NOTFOUND`).
    pub const NOT_FOUND: Self = Self::Predefined(1404);
    /// The mode in the stream ID is not supported for this resource (`SRT_REJX_BAD_MODE`).
    pub const BAD_MODE: Self = Self::Predefined(1405);
    /// The parameters in the stream ID cannot be met (`SRT_REJX_UNACCEPTABLE`).
    pub const UNACCEPTABLE: Self = Self::Predefined(1406);
    /// Somebody else publishes to the resource (`SRT_REJX_CONFLICT`).
    pub const CONFLICT: Self = Self::Predefined(1409);
    /// The application does not support this type of media (`SRT_REJX_NOTSUP_MEDIA`).
    pub const NOTSUP_MEDIA: Self = Self::Predefined(1415);
    /// The resource is locked for any access (`SRT_REJX_LOCKED`).
    pub const LOCKED: Self = Self::Predefined(1423);
    /// The session this one depends on has ended (`SRT_REJX_FAILED_DEPEND`).
    pub const FAILED_DEPEND: Self = Self::Predefined(1424);
    /// A fault in the server (`SRT_REJX_ISE`).
    pub const ISE: Self = Self::Predefined(1500);
    /// The server knows the request, and does not implement it (`SRT_REJX_UNIMPLEMENTED`).
    pub const UNIMPLEMENTED: Self = Self::Predefined(1501);
    /// The server is a gateway, and who stands behind it refused (`SRT_REJX_GW`).
    pub const GW: Self = Self::Predefined(1502);
    /// The service is down (`SRT_REJX_DOWN`).
    pub const DOWN: Self = Self::Predefined(1503);
    /// The server does not support this version of SRT (`SRT_REJX_VERSION`). Not [`Version`](Self::Version),
    /// which the protocol itself gives.
    pub const VERSION: Self = Self::Predefined(1505);
    /// The server has no room to store the stream (`SRT_REJX_NOROOM`).
    pub const NO_ROOM: Self = Self::Predefined(1507);

    /// The reason of a code: libsrt's `SRT_REJ_*` (0 to 17) and `SRT_REJX_*` (1000 to 1999), or the
    /// application's own.
    pub const fn from_code(code: u32) -> Self {
        match code {
            0 => Self::Unknown,
            1 => Self::System,
            2 => Self::Peer,
            3 => Self::Resource,
            4 => Self::Rogue,
            5 => Self::Backlog,
            6 => Self::Ipe,
            7 => Self::Close,
            8 => Self::Version,
            9 => Self::RdvCookie,
            10 => Self::BadSecret,
            11 => Self::Unsecure,
            12 => Self::MessageApi,
            13 => Self::Congestion,
            14 => Self::Filter,
            15 => Self::Group,
            16 => Self::Timeout,
            17 => Self::Crypto,
            18..2000 => {
                #[expect(clippy::cast_possible_truncation, reason = "the arm holds it below 2000")]
                let code = code as u16;
                if code < 1000 { Self::Unlisted(code) } else { Self::Predefined(code) }
            }
            _ => Self::User(code),
        }
    }

    /// The code of the reason: libsrt's `SRT_REJ_*` and `SRT_REJX_*`, or the application's own.
    pub const fn code(self) -> u32 {
        match self {
            Self::Unknown => 0,
            Self::System => 1,
            Self::Peer => 2,
            Self::Resource => 3,
            Self::Rogue => 4,
            Self::Backlog => 5,
            Self::Ipe => 6,
            Self::Close => 7,
            Self::Version => 8,
            Self::RdvCookie => 9,
            Self::BadSecret => 10,
            Self::Unsecure => 11,
            Self::MessageApi => 12,
            Self::Congestion => 13,
            Self::Filter => 14,
            Self::Group => 15,
            Self::Timeout => 16,
            Self::Crypto => 17,
            // Widening; `u32::from` is not const.
            Self::Unlisted(code) | Self::Predefined(code) => code as u32,
            Self::User(code) => code,
        }
    }

    /// The reason that a handshake's kind states; `None` when that is below 1000 and so no rejection.
    pub const fn from_wire(kind: i32) -> Option<Self> {
        if kind < FAILURE_KINDS {
            None
        } else {
            Some(Self::from_code((kind - FAILURE_KINDS).cast_unsigned()))
        }
    }

    /// The kind of a handshake that states this reason: 1000 + code. A code of the application's own beyond
    /// 2^31 − 1001 becomes that.
    pub const fn to_wire(self) -> i32 {
        const LARGEST: u32 = (i32::MAX - FAILURE_KINDS).cast_unsigned();
        let code = self.code();
        let code = if code > LARGEST { LARGEST } else { code };
        FAILURE_KINDS + code.cast_signed()
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "the connection was refused without a reason",
            Self::System => {
                "a system call failed while connecting; the system's limits and logs may say more"
            }
            Self::Peer => "the peer refused the connection",
            Self::Resource => "memory or another resource is missing; close other connections, or try later",
            Self::Rogue => "the handshake was malformed; check that SRT is spoken at both ends",
            Self::Backlog => {
                "too many callers wait to be accepted; try later, or raise the listener's backlog"
            }
            Self::Ipe => "the peer met a fault of its own program; report it to whoever makes it",
            Self::Close => "the socket is being closed",
            Self::Version => "the SRT version is too old for the peer; update it, or lower MINVERSION there",
            Self::RdvCookie => "both sides of the rendezvous have the same cookie; connect again",
            Self::BadSecret => "the passphrases differ; set the same PASSPHRASE at both ends",
            Self::Unsecure => {
                "one end has a passphrase and the other has none; set PASSPHRASE at both ends or at neither"
            }
            Self::MessageApi => {
                "one end sends messages and the other a stream of bytes; set MESSAGEAPI alike at both ends"
            }
            Self::Congestion => {
                "the congestion controls differ; set CONGESTION (or TRANSTYPE) alike at both ends"
            }
            Self::Filter => "the packet filters do not fit together; set PACKETFILTER alike at both ends",
            Self::Group => {
                "the peer does not accept this group; set GROUPCONNECT there, and the same type of group"
            }
            Self::Timeout => {
                "the peer did not answer in time; check address, port and firewall, or raise CONNTIMEO"
            }
            Self::Crypto => "the encryption modes differ; set CRYPTOMODE alike at both ends",
            &Self::Predefined(code) => match access_control(code) {
                Some(sentence) => sentence,
                None => return write!(f, "the server refused with the predefined code {code}"),
            },
            Self::Unlisted(code) => return write!(f, "the peer refused with the unknown code {code}"),
            Self::User(code) => return write!(f, "the application at the peer refused with its code {code}"),
        })
    }
}

/// What the codes of access_control.h mean.
const fn access_control(code: u16) -> Option<&'static str> {
    Some(match RejectReason::Predefined(code) {
        RejectReason::FALLBACK => "the application at the peer refused without saying why",
        RejectReason::KEY_NOTSUP => "the server does not support a key of the stream ID; leave it out",
        RejectReason::FILEPATH => "the path in the stream ID is malformed or does not exist; correct it",
        RejectReason::HOST_NOT_FOUND => "the server does not know the host in the stream ID; correct key h",
        RejectReason::BAD_REQUEST => "the stream ID is malformed; correct it",
        RejectReason::UNAUTHORIZED => "the user could not be authenticated; check user name and password",
        RejectReason::OVERLOAD => "the server is overloaded, or the user's credit is used up; try later",
        RejectReason::FORBIDDEN => "access to the resource is forbidden; ask its owner for it",
        RejectReason::NOT_FOUND => {
            "the resource does not exist at this time; check key r of the stream ID, or try later"
        }
        RejectReason::BAD_MODE => "the resource does not support the mode; change key m of the stream ID",
        RejectReason::UNACCEPTABLE => "the server cannot meet the parameters in the stream ID; change them",
        RejectReason::CONFLICT => "the resource is already being published to; choose another, or try later",
        RejectReason::NOTSUP_MEDIA => {
            "the server does not support the type of media; change key t of the stream ID"
        }
        RejectReason::LOCKED => "the resource is locked; try later",
        RejectReason::FAILED_DEPEND => "the session this one depends on has ended; open that again first",
        RejectReason::ISE => "the server met a fault of its own; its log may say more",
        RejectReason::UNIMPLEMENTED => "the server does not implement this request in its present version",
        RejectReason::GW => "the server is a gateway, and the host behind it refused the connection",
        RejectReason::DOWN => "the service is down at the moment; try later",
        RejectReason::VERSION => "the server does not support this version of SRT",
        RejectReason::NO_ROOM => "the server has no room to store the stream",
        _ => return None,
    })
}

/// Where the rejections begin among the kinds of handshakes. libsrt: `URQ_FAILURE_TYPES`.
const FAILURE_KINDS: i32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_codes_are_those_of_srt_h() {
        let in_order = [
            RejectReason::Unknown,
            RejectReason::System,
            RejectReason::Peer,
            RejectReason::Resource,
            RejectReason::Rogue,
            RejectReason::Backlog,
            RejectReason::Ipe,
            RejectReason::Close,
            RejectReason::Version,
            RejectReason::RdvCookie,
            RejectReason::BadSecret,
            RejectReason::Unsecure,
            RejectReason::MessageApi,
            RejectReason::Congestion,
            RejectReason::Filter,
            RejectReason::Group,
            RejectReason::Timeout,
            RejectReason::Crypto,
        ];
        for (code, reason) in (0..).zip(in_order) {
            assert_eq!(reason.code(), code);
            assert_eq!(RejectReason::from_code(code), reason);
        }
        assert_eq!(RejectReason::from_code(18), RejectReason::Unlisted(18));
        assert_eq!(RejectReason::from_code(999), RejectReason::Unlisted(999));
    }

    #[test]
    fn the_codes_of_access_control_are_http_s_from_1400() {
        assert_eq!(RejectReason::from_code(1000), RejectReason::FALLBACK);
        assert_eq!(RejectReason::from_code(1404), RejectReason::NOT_FOUND);
        assert_eq!(RejectReason::from_code(1999), RejectReason::Predefined(1999));
        assert_eq!(RejectReason::from_code(2000), RejectReason::User(2000));
    }

    #[test]
    fn a_kind_below_a_thousand_is_no_rejection() {
        assert_eq!(RejectReason::from_wire(999), None);
        assert_eq!(RejectReason::from_wire(-1), None);
        assert_eq!(RejectReason::from_wire(1000), Some(RejectReason::Unknown));
        assert_eq!(RejectReason::from_wire(1010), Some(RejectReason::BadSecret));
        assert_eq!(RejectReason::from_wire(2403), Some(RejectReason::FORBIDDEN));
    }

    #[test]
    fn a_code_beyond_the_wire_becomes_the_largest() {
        assert_eq!(RejectReason::User(u32::MAX).to_wire(), i32::MAX);
    }

    #[test]
    fn every_named_reason_has_a_sentence_of_its_own() {
        let access_control = [
            1000, 1001, 1002, 1003, 1400, 1401, 1402, 1403, 1404, 1405, 1406, 1409, 1415, 1423, 1424, 1500,
            1501, 1502, 1503, 1505, 1507,
        ];
        let mut sentences: Vec<_> =
            (0..18).chain(access_control).map(|code| RejectReason::from_code(code).to_string()).collect();
        let count = sentences.len();
        assert!(sentences.iter().all(|sentence| !sentence.contains("code ")), "{sentences:#?}");
        sentences.sort();
        sentences.dedup();
        assert_eq!(sentences.len(), count);
    }

    #[test]
    fn a_reason_without_a_name_is_told_by_its_code() {
        assert_eq!(
            RejectReason::User(2042).to_string(),
            "the application at the peer refused with its code 2042"
        );
        assert_eq!(
            RejectReason::Predefined(1418).to_string(),
            "the server refused with the predefined code 1418"
        );
        assert_eq!(RejectReason::Unlisted(18).to_string(), "the peer refused with the unknown code 18");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn code_and_wire_code_come_back(kind in prop_oneof![1000..5000, 1000..=i32::MAX]) {
            let reason = RejectReason::from_wire(kind).unwrap();
            prop_assert_eq!(reason.to_wire(), kind);
            prop_assert_eq!(RejectReason::from_code(reason.code()), reason);
        }
    }
}
