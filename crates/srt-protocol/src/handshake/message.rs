//! The extensions of a conclusion, gathered and written.

use super::{RejectReason, negotiate::Agreement};
use crate::{
    config::Config,
    packet::{
        EXT_CONFIG, EXT_HSREQ, EXT_KMREQ, Extension, Extensions, GroupInfo, Handshake, SrtParameters,
        WireString,
    },
};

/// The version of the handshake (HSv5).
pub(crate) const HANDSHAKE_VERSION: u32 = 5;

/// What a conclusion, or its answer, says in its extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Offer {
    /// HSREQ or HSRSP.
    pub(crate) parameters: Option<SrtParameters>,
    pub(crate) stream_id: Vec<u8>,
    pub(crate) congestion: Option<Vec<u8>>,
    pub(crate) filter: Option<Vec<u8>>,
    pub(crate) group: Option<GroupInfo>,
    /// The KMREQ, and the KMRSP.
    pub(crate) key_request: Option<Vec<u8>>,
    pub(crate) key_answer: Option<Vec<u8>>,
}

impl Offer {
    /// Reads the extensions; `request` tells whether HSREQ or HSRSP is expected.
    pub(crate) fn read(extensions: &Extensions<'_>, request: bool) -> Result<Self, RejectReason> {
        let mut offer = Self::default();
        for extension in extensions {
            match extension.map_err(|_| RejectReason::Rogue)? {
                Extension::HandshakeRequest(parameters) if request => offer.parameters = Some(parameters),
                Extension::HandshakeResponse(parameters) if !request => offer.parameters = Some(parameters),
                // libsrt looks at the first of them.
                Extension::KeyMaterialRequest(content) if request => {
                    offer.key_request.get_or_insert_with(|| content.to_vec());
                }
                Extension::KeyMaterialResponse(content) if !request => {
                    offer.key_answer.get_or_insert_with(|| content.to_vec());
                }
                Extension::StreamId(text) => offer.stream_id = text.decode(),
                Extension::Congestion(text) => offer.congestion = Some(text.decode()),
                Extension::Filter(text) => offer.filter = Some(text.decode()),
                Extension::Group(group) => offer.group = Some(group),
                _ => {}
            }
        }
        Ok(offer)
    }
}

/// Calls `write` with the extension field and the blocks of a caller's conclusion.
pub(crate) fn with_request<R>(
    config: &Config,
    parameters: SrtParameters,
    group: Option<GroupInfo>,
    key_request: Option<&[u8]>,
    write: impl FnOnce(u16, Extensions<'_>) -> R,
) -> R {
    let mut blocks = vec![Extension::HandshakeRequest(parameters)];
    let mut field = EXT_HSREQ;
    if !config.stream_id().is_empty() {
        blocks.push(Extension::StreamId(WireString::new(config.stream_id())));
        field |= EXT_CONFIG;
    }
    if config.congestion() != "live" {
        blocks.push(Extension::Congestion(WireString::new(config.congestion().as_bytes())));
        field |= EXT_CONFIG;
    }
    if let Some(group) = group {
        blocks.push(Extension::Group(group));
        field |= EXT_CONFIG;
    }
    if let Some(request) = key_request {
        blocks.push(Extension::KeyMaterialRequest(request));
        field |= EXT_KMREQ;
    }
    write(field, Extensions::List(&blocks))
}

/// The handshake that refuses, as answer to `request`.
pub(crate) fn rejection<'a>(request: &Handshake<'_>, reason: RejectReason) -> Handshake<'a> {
    Handshake {
        version: HANDSHAKE_VERSION,
        encryption: 0,
        extension_field: 0,
        isn: request.isn,
        mtu: request.mtu,
        flow_window: request.flow_window,
        kind: crate::packet::HandshakeKind::Rejection(reason),
        socket_id: request.socket_id,
        cookie: request.cookie,
        peer_ip: request.peer_ip,
        extensions: Extensions::List(&[]),
    }
}

/// What the two facts of an agreement that rejects nothing are for the other side: none.
pub(crate) fn refuses(offer: &Offer) -> Option<RejectReason> {
    offer.filter.is_some().then_some(RejectReason::Filter)
}

/// The longest payload that may be sent, in bytes.
pub(crate) fn payload_size(config: &Config, agreed: &Agreement, ipv6: bool, tag: usize) -> usize {
    let headers = crate::packet::HEADER_SIZE + crate::packet::UDP_IP_OVERHEAD + if ipv6 { 20 } else { 0 };
    let fits = (agreed.mss as usize).saturating_sub(headers + tag);
    match config.payload_size() {
        0 => fits,
        wanted => wanted.min(fits),
    }
}
