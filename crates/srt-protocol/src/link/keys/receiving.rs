//! The keys of the peer: what it announced, and what its packets are opened with.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
};

use srt_crypto::{CipherMode, Kek, KeyLength, Passphrase, PayloadKey, Salt, Sek};

use super::{FirstKey, sending::SendKeys, understood};
use crate::{
    packet::{CarriedKeys, DataHeader, HEADER_SIZE, KmState, Parity},
    time::{Instant, Micros},
    types::SeqNumber,
};

/// A key of the peer, and what announced it.
#[derive(Debug)]
struct Known {
    key: PayloadKey,
    sek: Sek,
    message: Vec<u8>,
    /// Digest of the wrapped key in it: all of a message that nobody else can make.
    wrapped: u64,
    /// A number that went under the other key after it: from there on the peer does not use it, and whatever names it is under one
    /// that we do not know.
    ended: Option<SeqNumber>,
    /// It is the one of the handshake.
    first: bool,
}

#[derive(Debug)]
pub(super) struct ReceiveKeys {
    passphrase: Option<Passphrase>,
    /// The cipher; whatever comes first where it is not set.
    mode: Option<CipherMode>,
    /// By [`Parity`].
    keys: [Option<Known>; 2],
    /// A packet of the peer came under our own first key.
    shared: bool,
    /// Digests of wrapped keys that are not to be taken, oldest first: whoever overheard one could bring it again.
    shunned: VecDeque<u64>,
    /// What the last salt made of the passphrase: it takes half a millisecond.
    kek: Option<(Salt, KeyLength, Kek)>,
    /// The key in use, and the newest packet that came under it.
    newest: Option<(Parity, SeqNumber)>,
    /// Newer packets that came under the other key: the first of them, and how many.
    change: Option<(SeqNumber, u32)>,
    /// Other salts that may still be looked at, and since when.
    derivations: u32,
    derived_at: Instant,
}

/// Packets under the other key that make a change of keys.
const CHANGE: u32 = 16;
/// Digests remembered.
const SHUNNED_MAX: usize = 4_096;
/// Salts looked at in one go. A peer has one, which it keeps.
const DERIVATIONS: u32 = 4;
/// Time after which one more may be.
const DERIVATION_PERIOD: Micros = Micros::from_secs(1);

impl ReceiveKeys {
    pub(super) const fn new(passphrase: Option<Passphrase>, mode: Option<CipherMode>) -> Self {
        Self {
            passphrase,
            mode,
            keys: [None, None],
            shared: false,
            shunned: VecDeque::new(),
            kek: None,
            newest: None,
            change: None,
            derivations: DERIVATIONS,
            derived_at: Instant::from_micros(0),
        }
    }

    /// The responder sends under the caller's first key, unless it announces one of its own.
    pub(super) fn share(&mut self, send: &SendKeys) {
        let FirstKey { salt, length, kek, sek, key, message } = send.first();
        self.kek = Some((salt, length, kek.clone()));
        let message = message.to_vec();
        let wrapped = understood(&message).map_or(0, |material| digest_of(material.wrapped));
        self.keys[Parity::Even as usize] =
            Some(Known { key: key.clone(), sek: sek.clone(), message, wrapped, ended: None, first: true });
    }

    /// The peer did not understand that key.
    pub(super) fn forget(&mut self) {
        self.keys = [None, None];
        self.passphrase = None;
    }

    pub(super) const fn mode(&self) -> Option<CipherMode> {
        self.mode
    }

    /// What a responder takes over: the even key, with salt and KEK.
    pub(super) fn first(&self) -> Option<FirstKey<'_>> {
        let known = self.keys[Parity::Even as usize].as_ref()?;
        let (salt, length, kek) = self.kek.as_ref()?;
        let (sek, key, message) = (&known.sek, &known.key, &known.message);
        Some(FirstKey { salt: *salt, length: *length, kek, sek, key, message })
    }

    /// Takes a KMREQ; the error is the state that libsrt tells for what is wrong with it. Nothing is changed then.
    pub(super) fn accept(&mut self, now: Instant, message: &[u8]) -> Result<(), KmState> {
        if self.keys.iter().flatten().any(|known| known.message == message) {
            return Ok(()); // its answer was lost
        }
        let material = understood(message)?;
        let wrapped = digest_of(material.wrapped);
        if self.shunned.contains(&wrapped) || self.keys.iter().flatten().any(|known| known.wrapped == wrapped)
        {
            return Err(KmState::BadSecret); // somebody repeats what is over, or ours, or puts a key in another's place
        }
        let passphrase = self.passphrase.as_ref().ok_or(KmState::NoSecret)?;
        if self.mode.is_some_and(|mode| mode != material.mode) {
            return Err(KmState::BadCryptoMode);
        }
        let (salt, length) = (material.salt, material.key_length);
        let bound = self.keys.iter().flatten().next().is_some();
        let kek = match &self.kek {
            Some((known_salt, known_length, kek)) if (*known_salt, *known_length) == (salt, length) => {
                kek.clone()
            }
            // Nobody changes the salt of a link: this is of another one, under the same secret.
            _ if bound => return Err(KmState::BadSecret),
            _ => {
                let regained =
                    now.saturating_since(self.derived_at).as_micros() / DERIVATION_PERIOD.as_micros();
                let regained = u32::try_from(regained).unwrap_or(DERIVATIONS);
                let left = self.derivations.saturating_add(regained).min(DERIVATIONS);
                if left == 0 {
                    return Err(KmState::BadSecret);
                }
                (self.derivations, self.derived_at) = (left - 1, now);
                Kek::derive(passphrase, &salt, length)
            }
        };
        let seks = match material.keys {
            CarriedKeys::One(parity) => {
                let sek = kek.unwrap(material.wrapped).map_err(|_| KmState::BadSecret)?;
                [Some((parity, sek)), None]
            }
            CarriedKeys::Both => {
                let (even, odd) = kek.unwrap_both(material.wrapped).map_err(|_| KmState::BadSecret)?;
                [Some((Parity::Even, even)), Some((Parity::Odd, odd))]
            }
        };
        for (parity, sek) in seks.into_iter().flatten() {
            // libsrt says again the key that it sends under.
            let same = self.keys[parity as usize].as_ref().filter(|known| known.sek == sek);
            let key = match same {
                Some(known) => known.key.clone(),
                None => PayloadKey::new(material.mode, &sek, &salt).map_err(|_| KmState::BadSecret)?,
            };
            let (ended, first) = same.map_or((None, false), |known| (known.ended, known.first));
            let message = message.to_vec();
            let before =
                self.keys[parity as usize].replace(Known { key, sek, message, wrapped, ended, first });
            let gone = before
                .filter(|before| self.keys.iter().flatten().all(|known| known.message != before.message));
            if let Some(gone) = gone {
                self.shun_digest(gone.wrapped);
            }
        }
        self.kek = Some((salt, length, kek));
        self.mode = Some(material.mode);
        Ok(())
    }

    /// `message` is never to be taken: it is one of ours, which somebody may send back.
    pub(super) fn shun(&mut self, message: &[u8]) {
        if let Ok(material) = understood(message) {
            self.shun_digest(digest_of(material.wrapped));
        }
    }

    fn shun_digest(&mut self, digest: u64) {
        if self.shunned.contains(&digest) {
            return;
        }
        if self.shunned.len() == SHUNNED_MAX {
            self.shunned.pop_front();
        }
        self.shunned.push_back(digest);
    }

    /// Whether the peer was seen to send under the key of the handshake.
    pub(super) const fn shared(&self) -> bool {
        self.shared
    }

    /// A packet could be opened: notices when the peer has changed to the other key, which with AES-CTR anybody can seem to do for a
    /// packet or two.
    fn follow(&mut self, parity: Parity, seq: SeqNumber) {
        match self.newest {
            None => self.newest = Some((parity, seq)),
            Some((_, newest)) if !seq.is_after(newest) => {}
            Some((in_use, _)) if in_use == parity => {
                self.newest = Some((parity, seq));
                // What seemed to be newer came before the change, or was no change.
                self.change = self.change.filter(|(first, _)| first.is_after(seq));
            }
            Some(_) => {
                let (first, count) = self.change.unwrap_or((seq, 0));
                let first = if seq.is_before(first) { seq } else { first };
                self.change = Some((first, count + 1));
                if count + 1 < CHANGE {
                    return;
                }
                if let Some(other) = &mut self.keys[parity.other() as usize] {
                    other.ended = Some(first);
                }
                (self.newest, self.change) = (Some((parity, seq)), None);
            }
        }
    }

    pub(super) fn has_key_for(&self, header: &DataHeader) -> bool {
        // What is not encrypted lacks no key.
        Parity::of(header.key).is_none_or(|parity| self.known(parity, header.seq).is_some())
    }

    /// The key that `seq` could be under.
    fn known(&self, parity: Parity, seq: SeqNumber) -> Option<&Known> {
        self.keys[parity as usize]
            .as_ref()
            .filter(|known| known.ended.is_none_or(|ended| !seq.is_after(ended)))
    }

    /// Decrypts a payload into `plain`.
    pub(super) fn open(
        &mut self,
        header: &DataHeader,
        associated: &[u8; HEADER_SIZE],
        payload: &[u8],
        plain: &mut [u8],
    ) -> Option<usize> {
        let parity = Parity::of(header.key)?;
        let known = self.known(parity, header.seq)?;
        let len = known.key.open_into(header.seq.value(), associated, payload, plain).ok()?;
        self.shared |= known.first;
        self.follow(parity, header.seq);
        Some(len)
    }
}

fn digest_of(wrapped: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    wrapped.hash(&mut hasher);
    hasher.finish()
}
