//! The keys of one link: how they are agreed on, renewed and used (draft §6).
//!
//! The two directions are independent. [`SendKeys`] makes the keys of ours, announces them, and changes to one only when the
//! peer has confirmed it; [`ReceiveKeys`] holds what the peer announced. A key that was refused, or not understood, never takes the
//! place of one that works: once both ends have agreed, nothing that comes from the network makes the link weaker.
//!
//! In the handshake libsrt's responder takes over the caller's key *and* its salt, and sends under the same numbers: one
//! keystream for both directions. So neither end stays with that key: as soon as the link is up, each announces one of its own, a
//! responder before its first packet.

mod receiving;
mod sending;

use std::{collections::VecDeque, sync::Arc};

use srt_crypto::{CipherMode, Kek, KeyLength, PayloadKey, Salt, Sek};

use self::{receiving::ReceiveKeys, sending::SendKeys};
use super::Rtt;
use crate::{
    config::Config,
    entropy::Entropy,
    handshake::RejectReason,
    packet::{
        DataHeader, HEADER_SIZE, KMREQ, KMRSP, KeyFlag, KeyMaterial, KeyMaterialAnswer, KeyMaterialError,
        KmState,
    },
    time::Instant,
    types::SeqNumber,
};

/// What a link knows of its keys.
#[derive(Debug)]
pub struct Keys {
    send: Option<SendKeys>,
    receive: ReceiveKeys,
    send_state: KmState,
    receive_state: KmState,
    /// KMRSPs that wait to be sent.
    answers: VecDeque<Vec<u8>>,
    enforced: bool,
    counters: KeyCounters,
}

/// How the keys of a connection stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyReport {
    /// The exchange for what we send (SNDKMSTATE).
    pub send_state: KmState,
    /// The exchange for what we receive (RCVKMSTATE).
    pub receive_state: KmState,
    /// What was counted.
    pub counters: KeyCounters,
}

/// What is counted of the exchange of keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyCounters {
    /// KMREQs sent after the handshake, each repetition counted.
    pub requests_sent: u64,
    /// KMREQs that came after the handshake.
    pub requests_received: u64,
    /// Of these, the ones that were malformed, under another secret, or too many.
    pub requests_refused: u64,
    /// Keys of ours that the peer has confirmed after the handshake.
    pub confirmed: u64,
    /// KMRSPs that are no answer to what we sent.
    pub stray_answers: u64,
    /// Keys that were to be replaced and were not, because the peer had not confirmed the next one.
    pub overdue: u64,
}

/// The first key of a link, with what it was made of and the KMREQ that told of it.
struct FirstKey<'k> {
    salt: Salt,
    length: KeyLength,
    kek: &'k Kek,
    sek: &'k Sek,
    key: &'k PayloadKey,
    message: &'k [u8],
}

/// A KMREQ or KMRSP to be sent.
#[derive(Debug)]
pub(crate) struct KeyMessage {
    pub(crate) subtype: u16,
    pub(crate) content: Vec<u8>,
}

/// Packets that wait for their KMRSP are not to be held up by many of ours.
const ANSWERS_MAX: usize = 4;

impl Keys {
    /// No encryption, so far.
    #[must_use]
    pub fn none() -> Self {
        Self {
            send: None,
            receive: ReceiveKeys::new(None, None),
            send_state: KmState::Unsecured,
            receive_state: KmState::Unsecured,
            answers: VecDeque::new(),
            enforced: true,
            counters: KeyCounters::default(),
        }
    }

    // ---- the handshake -----------------------------------------------------------------------------------------

    /// The keys of a caller: its first one is made here. `peer_key_length` is what the listener wants, where it says so.
    pub(crate) fn initiator(
        config: &Config,
        peer_key_length: Option<KeyLength>,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Self, RejectReason> {
        let mut keys = Self { enforced: config.enforced_encryption(), ..Self::none() };
        let Some(passphrase) = config.passphrase() else { return Ok(keys) };
        let length = match (config.key_length(), peer_key_length) {
            (Some(ours), Some(_)) if config.sender() => ours,
            (_, Some(theirs)) => theirs,
            (ours, None) => ours.unwrap_or_default(),
        };
        let mode = config.cipher_mode().unwrap_or(CipherMode::Ctr);
        let send = SendKeys::new(config, mode, length, entropy).map_err(|_| RejectReason::Resource)?;
        keys.receive = ReceiveKeys::new(Some(passphrase.clone()), Some(mode));
        keys.receive.share(&send);
        keys.send = Some(send);
        keys.send_state = KmState::Securing;
        Ok(keys)
    }

    /// The KMREQ of a caller's conclusion.
    pub(crate) fn request(&self) -> Option<&[u8]> {
        self.send.as_ref().map(SendKeys::first_message)
    }

    /// The listener's KMRSP, or that there is none. An error refuses the connection.
    pub(crate) fn on_handshake_answer(
        &mut self,
        answer: Option<&[u8]>,
        peer_version: u32,
    ) -> Result<(), RejectReason> {
        let (send, receive, refusal) = match (&self.send, answer.map(KeyMaterialAnswer::parse)) {
            (None, None) => return Ok(()),
            (None, Some(_)) => (KmState::Unsecured, KmState::NoSecret, Some(RejectReason::Unsecure)),
            (Some(_), None) => (KmState::NoSecret, KmState::Unsecured, Some(RejectReason::Unsecure)),
            (Some(keys), Some(KeyMaterialAnswer::Echo(echo))) if echo == keys.first_message() => {
                if keys.mode() == CipherMode::Gcm && peer_version < GCM_VERSION {
                    return Err(RejectReason::Crypto);
                }
                (KmState::Secured, KmState::Secured, None)
            }
            (Some(_), Some(KeyMaterialAnswer::Status(Some(KmState::NoSecret)))) => {
                (KmState::NoSecret, KmState::Unsecured, Some(RejectReason::Unsecure))
            }
            (Some(_), Some(KeyMaterialAnswer::Status(Some(KmState::Unsecured)))) => {
                (KmState::Unsecured, KmState::NoSecret, Some(RejectReason::Unsecure))
            }
            (Some(_), Some(KeyMaterialAnswer::Status(Some(KmState::BadCryptoMode)))) => {
                (KmState::BadCryptoMode, KmState::BadCryptoMode, Some(RejectReason::Crypto))
            }
            (Some(_), Some(_)) => (KmState::BadSecret, KmState::BadSecret, Some(RejectReason::BadSecret)),
        };
        (self.send_state, self.receive_state) = (send, receive);
        if receive != KmState::Secured {
            self.receive.forget();
        } else if let Some(keys) = &mut self.send {
            // libsrt as responder keeps the key of the handshake for what it sends.
            keys.move_on();
        }
        refusal.filter(|_| self.enforced).map_or(Ok(()), Err)
    }

    /// The keys of a responder, and its KMRSP, for the KMREQ of a conclusion or for none.
    pub(crate) fn responder(
        config: &Config,
        request: Option<&[u8]>,
        peer_version: u32,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<(Self, Option<Vec<u8>>), RejectReason> {
        let enforced = config.enforced_encryption();
        let mut keys = Self { enforced, ..Self::none() };
        let refuse = |reason| if enforced { Err(reason) } else { Ok(()) };
        let status = |state: KmState| Some(state.to_bytes().to_vec());
        let (passphrase, request) = match (config.passphrase(), request) {
            (None, None) => return Ok((keys, None)),
            (None, Some(_)) => {
                refuse(RejectReason::Unsecure)?;
                keys.receive_state = KmState::NoSecret;
                return Ok((keys, status(KmState::NoSecret)));
            }
            (Some(_), None) => {
                refuse(RejectReason::Unsecure)?;
                // Nobody can read what we send; it is encrypted all the same.
                keys.send = Some(Self::mute(config, entropy)?);
                keys.send_state = KmState::NoSecret;
                return Ok((keys, status(KmState::Unsecured)));
            }
            (Some(passphrase), Some(request)) => (passphrase, request),
        };
        let mode = if config.tsbpd() { config.cipher_mode() } else { Some(CipherMode::Ctr) };
        let mut receive = ReceiveKeys::new(Some(passphrase.clone()), mode);
        match receive.accept(Instant::default(), request) {
            Ok(()) => {}
            Err(KmState::BadCryptoMode) => return Err(RejectReason::Crypto),
            Err(state) => {
                refuse(match state {
                    KmState::BadSecret => RejectReason::BadSecret,
                    _ => RejectReason::Unsecure,
                })?;
                keys.send = Some(Self::mute(config, entropy)?);
                (keys.send_state, keys.receive_state) = (state, state);
                return Ok((keys, status(state)));
            }
        }
        if receive.mode() == Some(CipherMode::Gcm) && peer_version < GCM_VERSION {
            return Err(RejectReason::Crypto);
        }
        let send = SendKeys::taken_over(config, &receive, entropy).ok_or(RejectReason::BadSecret)?;
        keys.send = Some(send.map_err(|_| RejectReason::Resource)?);
        keys.receive = receive;
        (keys.send_state, keys.receive_state) = (KmState::Secured, KmState::Secured);
        Ok((keys, Some(request.to_vec())))
    }

    /// Keys that nobody else will ever know.
    fn mute(config: &Config, entropy: &Arc<dyn Entropy>) -> Result<SendKeys, RejectReason> {
        let mode = config.cipher_mode().unwrap_or(CipherMode::Ctr);
        SendKeys::new(config, mode, config.key_length().unwrap_or_default(), entropy)
            .map_err(|_| RejectReason::Resource)
    }

    // ---- after the handshake -----------------------------------------------------------------------------------

    /// A KMREQ came.
    pub(crate) fn on_request(&mut self, now: Instant, content: &[u8]) {
        self.counters.requests_received += 1;
        // What the handshake did not agree on nothing later can.
        let accepted = match self.receive_state {
            KmState::Secured => self.receive.accept(now, content),
            state => Err(state),
        };
        match accepted {
            // Repeated answers for one and the same are of no use to anybody.
            Ok(()) => {
                if self.answers.len() < ANSWERS_MAX && !self.answers.iter().any(|answer| answer == content) {
                    self.answers.push_back(content.to_vec());
                }
            }
            // An answer that tells why would take the keys away from a peer that somebody else wrote this for.
            Err(state) => {
                self.counters.requests_refused += 1;
                tracing::debug!(?state, len = content.len(), "KMREQ refused");
            }
        }
    }

    /// A KMRSP came.
    pub(crate) fn on_answer(&mut self, content: &[u8]) {
        let Some(send) = &mut self.send else {
            self.counters.stray_answers += 1;
            return;
        };
        if send.on_confirmed(content) {
            self.counters.confirmed += 1;
            self.send_state = KmState::Secured;
        } else if !send.was_said(content) {
            self.counters.stray_answers += 1;
        }
    }

    /// The next message that is due.
    pub(crate) fn poll(&mut self, now: Instant, rtt: &Rtt) -> Option<KeyMessage> {
        if let Some(content) = self.answers.pop_front() {
            return Some(KeyMessage { subtype: KMRSP, content });
        }
        let content = self.send.as_mut().filter(|_| self.send_state == KmState::Secured)?.poll(now, rtt)?;
        self.receive.shun(&content);
        self.counters.requests_sent += 1;
        Some(KeyMessage { subtype: KMREQ, content })
    }

    /// When there will be one, unless something comes before.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        if !self.answers.is_empty() {
            return Some(Instant::default());
        }
        self.send.as_ref().filter(|_| self.send_state == KmState::Secured)?.next_timeout()
    }

    // ---- packets -----------------------------------------------------------------------------------------------

    /// Bytes that encryption adds to each payload.
    #[must_use]
    pub(crate) fn tag_len(&self) -> usize {
        self.send.as_ref().map_or(0, |send| send.mode().tag_len())
    }

    /// Whether a packet may be sent for the first time.
    ///
    /// `lonely` where the peer has sent no data: then the key of the handshake serves where an own one is not confirmed for long.
    pub(crate) fn may_carry(&mut self, now: Instant, lonely: bool) -> bool {
        let shared = self.receive.shared();
        self.send.as_mut().is_none_or(|send| send.may_carry(now, lonely, shared))
    }

    /// Whether a packet may be sent for the first time, so far.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.send.as_ref().is_none_or(SendKeys::ready)
    }

    /// The key for a new packet, `seq`. `unacknowledged` is the first number that may be sent again.
    pub(crate) fn on_new(&mut self, seq: SeqNumber, unacknowledged: SeqNumber) -> KeyFlag {
        let Some(send) = &mut self.send else { return KeyFlag::None };
        let (parity, overdue) = send.on_new(seq, unacknowledged);
        if overdue {
            self.counters.overdue += 1;
            tracing::warn!(
                "the peer has not confirmed the next key: the one in use goes on beyond KMREFRESHRATE, which the path or the peer must mend"
            );
        }
        parity.flag()
    }

    /// The key that `seq` went under when this link carried it.
    pub(crate) fn key_of(&self, seq: SeqNumber) -> KeyFlag {
        self.send.as_ref().map_or(KeyFlag::None, |send| send.key_of(seq).flag())
    }

    /// Appends header and payload, encrypted as the header says; nothing where the key is gone.
    pub(crate) fn seal(&self, header: &DataHeader, payload: &[u8], out: &mut Vec<u8>) -> bool {
        let bytes = header.to_bytes();
        out.extend_from_slice(&bytes);
        let Some(send) = self.send.as_ref().filter(|_| header.key != KeyFlag::None) else {
            out.extend_from_slice(payload);
            return true;
        };
        let begin = out.len();
        out.resize(begin + payload.len() + send.mode().tag_len(), 0);
        let sealed = send.seal(header, &associated(header), payload, &mut out[begin..]);
        if !sealed {
            out.truncate(begin - HEADER_SIZE);
        }
        sealed
    }

    /// Whether a packet is not encrypted, and may be so: once encryption was agreed on, nothing else is believed.
    pub(crate) fn takes_plain(&self, header: &DataHeader) -> bool {
        header.key == KeyFlag::None && self.receive_state != KmState::Secured
    }

    /// Whether there is a key that the packet could be under.
    pub(crate) fn has_key_for(&self, header: &DataHeader) -> bool {
        self.receive.has_key_for(header)
    }

    /// Decrypts the payload of a packet into `plain`, which is as long, and gives its length. `None` where it is of no use: a key
    /// that is not known, a tag that is wrong, no encryption where it was agreed, or nothing in it.
    pub(crate) fn open(&mut self, header: &DataHeader, payload: &[u8], plain: &mut [u8]) -> Option<usize> {
        self.receive.open(header, &associated(header), payload, plain).filter(|&len| len > 0)
    }

    // ---- what it knows -----------------------------------------------------------------------------------------

    /// How the exchange stands, and what was counted.
    #[must_use]
    pub const fn report(&self) -> KeyReport {
        KeyReport { send_state: self.send_state, receive_state: self.receive_state, counters: self.counters }
    }

    /// The cipher and the length of the keys of what we send.
    #[must_use]
    pub fn cipher(&self) -> Option<(CipherMode, KeyLength)> {
        self.send.as_ref().map(|send| (send.mode(), send.length()))
    }
}

/// What AES-GCM authenticates beside the payload: the header as it was when the packet left first.
fn associated(header: &DataHeader) -> [u8; HEADER_SIZE] {
    DataHeader { retransmitted: false, ..*header }.to_bytes()
}

/// The first version of libsrt whose AES-GCM has a nonce of its own for each packet.
const GCM_VERSION: u32 = 0x01_05_04;

/// What `message` says, or the state that libsrt tells for what is wrong with it.
fn understood(message: &[u8]) -> Result<KeyMaterial<'_>, KmState> {
    KeyMaterial::parse(message).map_err(|error| {
        tracing::debug!(%error, "key material ignored");
        match error {
            KeyMaterialError::Truncated(_) | KeyMaterialError::KeyLength(0) => KmState::BadSecret,
            _ => KmState::NoSecret,
        }
    })
}
