//! The keys of what we send: made here, announced, confirmed, used, and replaced (draft §6.1.6).

use std::sync::Arc;

use srt_crypto::{CipherMode, Kek, KeyError, KeyLength, PayloadKey, Salt, Sek};
use zeroize::Zeroizing;

use super::{super::Rtt, FirstKey, receiving::ReceiveKeys};
use crate::{
    config::Config,
    entropy::{Entropy, NoEntropy},
    packet::{CarriedKeys, DataHeader, HEADER_SIZE, KeyMaterial, Parity},
    time::{Instant, Micros},
    types::SeqNumber,
};

/// A key, and the packets that went under it for the first time.
#[derive(Debug)]
struct Carrier {
    sek: Sek,
    key: PayloadKey,
    /// First and last number.
    carried: Option<(SeqNumber, SeqNumber)>,
}

/// A key that the peer is told of.
#[derive(Debug)]
struct Announcement {
    parity: Parity,
    message: Vec<u8>,
    confirmed: bool,
    /// It is used as soon as it is confirmed, however much the one before was.
    at_once: bool,
    send_at: Instant,
    /// Time to the next repetition, and how often it was sent.
    wait: Micros,
    tries: u32,
    first_sent_at: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct SendKeys {
    entropy: Arc<dyn Entropy>,
    mode: CipherMode,
    length: KeyLength,
    salt: Salt,
    kek: Kek,
    /// By [`Parity`].
    keys: [Option<Carrier>; 2],
    active: Parity,
    /// Packets that went under the active key for the first time.
    count: u32,
    /// The newest packet.
    last: Option<SeqNumber>,
    /// The active key may be used.
    ready: bool,
    /// It is the one of the handshake, which the peer may send under.
    shared: bool,
    /// The handshake's key is used because no other was confirmed.
    fell_back: bool,
    /// An own one is still to be announced.
    owes: bool,
    /// The KMREQ that was confirmed last.
    said: Vec<u8>,
    /// The KMREQ of the handshake.
    first_message: Vec<u8>,
    announcement: Option<Announcement>,
    refresh_rate: u32,
    pre_announce: u32,
    told_overdue: bool,
}

/// The shortest time between two repetitions of a KMREQ.
const REPEAT_MIN: Micros = Micros::from_millis(20);
/// The same where nothing can be sent before the answer.
const REPEAT_URGENT: Micros = Micros::from_millis(30);
/// Tries after which repetitions become rarer. libsrt: gives up after 11.
const TRIES: u32 = 8;
/// The longest.
const REPEAT_MAX: Micros = Micros::from_secs(1);
/// A peer that has not confirmed our first own key for this long may never do so.
const FALL_BACK_AFTER: Micros = Micros::from_secs(3);
/// Packets that one key may carry, whatever happens: sequence numbers have 31 bits, and a number that comes again would come
/// under the same keystream; comparing numbers is good for half of that.
const COUNT_MAX: u32 = (1 << 30) - (1 << 16);

impl SendKeys {
    /// A new salt and a new even key.
    pub(super) fn new(
        config: &Config,
        mode: CipherMode,
        length: KeyLength,
        entropy: &Arc<dyn Entropy>,
    ) -> Result<Self, NoEntropy> {
        let mut salt = Salt::default();
        entropy.fill(&mut salt)?;
        let sek = random_sek(&**entropy, length)?;
        let kek =
            config.passphrase().map(|passphrase| Kek::derive(passphrase, &salt, length)).ok_or(NoEntropy)?;
        let key = PayloadKey::new(mode, &sek, &salt).map_err(|_| NoEntropy)?;
        let first_message = message(&kek, mode, &salt, Parity::Even, &sek).map_err(|_| NoEntropy)?;
        Ok(Self::with(config, entropy, (mode, length), (salt, kek), (sek, key), first_message))
    }

    /// What a responder takes over from the caller, with an own key to be announced before anything is sent. `None` where the
    /// caller's even key is not known.
    pub(super) fn taken_over(
        config: &Config,
        receive: &ReceiveKeys,
        entropy: &Arc<dyn Entropy>,
    ) -> Option<Result<Self, NoEntropy>> {
        let FirstKey { salt, length, kek, sek, key, message } = receive.first()?;
        let kinds = (receive.mode()?, length);
        let mut keys = Self::with(
            config,
            entropy,
            kinds,
            (salt, kek.clone()),
            (sek.clone(), key.clone()),
            message.to_vec(),
        );
        keys.ready = false;
        Some(keys.announce(true).map(|()| keys))
    }

    fn with(
        config: &Config,
        entropy: &Arc<dyn Entropy>,
        (mode, length): (CipherMode, KeyLength),
        (salt, kek): (Salt, Kek),
        (sek, key): (Sek, PayloadKey),
        first_message: Vec<u8>,
    ) -> Self {
        Self {
            entropy: Arc::clone(entropy),
            mode,
            length,
            salt,
            kek,
            keys: [Some(Carrier { sek, key, carried: None }), None],
            active: Parity::Even,
            count: 0,
            last: None,
            ready: true,
            shared: true,
            fell_back: false,
            owes: false,
            said: Vec::new(),
            first_message,
            announcement: None,
            refresh_rate: config.km_refresh_rate(),
            pre_announce: config.km_pre_announce(),
            told_overdue: false,
        }
    }

    /// Announces an own key, to be used from its confirmation on, so that nobody else sends under the same.
    pub(super) fn move_on(&mut self) {
        // A nonce that both ends use would give away the key that AES-GCM authenticates with.
        self.ready = self.mode != CipherMode::Gcm;
        self.owes = self.announce(true).is_err();
    }

    /// Whether we have said this: the peer may confirm it more than once.
    pub(super) fn was_said(&self, content: &[u8]) -> bool {
        let announced =
            self.announcement.as_ref().is_some_and(|announcement| announcement.message == content);
        announced || self.said == content || self.first_message == content
    }

    pub(super) const fn mode(&self) -> CipherMode {
        self.mode
    }

    pub(super) const fn length(&self) -> KeyLength {
        self.length
    }

    pub(super) fn first_message(&self) -> &[u8] {
        &self.first_message
    }

    /// The first key, with what it was made of.
    pub(super) fn first(&self) -> FirstKey<'_> {
        let first =
            self.keys[Parity::Even as usize].as_ref().expect("the first key is even, and made with the rest");
        FirstKey {
            salt: self.salt,
            length: self.length,
            kek: &self.kek,
            sek: &first.sek,
            key: &first.key,
            message: &self.first_message,
        }
    }

    /// Makes the next key, and has the peer told of it alone.
    ///
    /// libsrt: announces both keys. Its callers below 1.5.4 do not understand that before they have decrypted a packet.
    fn announce(&mut self, at_once: bool) -> Result<(), NoEntropy> {
        let parity = self.active.other();
        let sek = random_sek(&*self.entropy, self.length)?;
        let key = PayloadKey::new(self.mode, &sek, &self.salt).map_err(|_| NoEntropy)?;
        let message = message(&self.kek, self.mode, &self.salt, parity, &sek).map_err(|_| NoEntropy)?;
        self.keys[parity as usize] = Some(Carrier { sek, key, carried: None });
        self.announcement = Some(Announcement {
            parity,
            message,
            confirmed: false,
            at_once,
            send_at: Instant::default(),
            wait: Micros::ZERO,
            tries: 0,
            first_sent_at: None,
        });
        Ok(())
    }

    /// The KMREQ that is due.
    pub(super) fn poll(&mut self, now: Instant, rtt: &Rtt) -> Option<Vec<u8>> {
        let announcement = self.announcement.as_mut().filter(|announcement| !announcement.confirmed)?;
        if announcement.send_at > now {
            return None;
        }
        // Packets wait for the first key of a responder, whose round trip was not measured yet.
        let urgent = !self.ready;
        let least =
            if urgent { REPEAT_URGENT } else { (rtt.smoothed() * 3 / 2).clamp(REPEAT_MIN, REPEAT_MAX) };
        let longer = if announcement.tries < TRIES { announcement.wait } else { announcement.wait * 2 };
        announcement.wait = longer.clamp(least, REPEAT_MAX);
        announcement.tries = announcement.tries.saturating_add(1);
        announcement.send_at = now + announcement.wait;
        announcement.first_sent_at.get_or_insert(now);
        Some(announcement.message.clone())
    }

    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.announcement
            .as_ref()
            .filter(|announcement| !announcement.confirmed)
            .map(|announcement| announcement.send_at)
    }

    /// The peer has said `content` again: true where that is what we announce.
    pub(super) fn on_confirmed(&mut self, content: &[u8]) -> bool {
        let Some(announcement) = &mut self.announcement else { return false };
        if announcement.confirmed || announcement.message != content {
            return false;
        }
        announcement.confirmed = true;
        if announcement.at_once || self.count >= self.refresh_rate {
            self.switch();
        }
        true
    }

    /// Whether a new packet may be sent.
    /// `shared` where the peer sends under the key of the handshake.
    pub(super) fn may_carry(&mut self, now: Instant, lonely: bool, shared: bool) -> bool {
        if self.owes {
            self.owes = self.announce(true).is_err();
        }
        // Two that send under one key: whoever notices stops.
        if self.shared && self.announcement.is_some() && (shared || self.fell_back && !lonely) {
            self.ready = false;
        }
        let waited = |announcement: &Announcement| {
            announcement.first_sent_at.is_some_and(|at| now.saturating_since(at) >= FALL_BACK_AFTER)
        };
        if !self.ready && lonely && self.announcement.as_ref().is_some_and(waited) {
            tracing::warn!(
                "the peer does not confirm a key of our own: we send under the one of the handshake"
            );
            (self.ready, self.fell_back) = (true, true);
        }
        self.ready()
    }

    pub(super) const fn ready(&self) -> bool {
        self.ready && self.count < COUNT_MAX
    }

    /// The key for a new packet, and whether the next one is overdue, which is told once a key.
    pub(super) fn on_new(&mut self, seq: SeqNumber, unacknowledged: SeqNumber) -> (Parity, bool) {
        if self.last.is_some_and(|last| !seq.is_after(last)) {
            // Another link has carried it, and it leaves here for the first time only now.
            self.count = self.count.saturating_add(1);
            return (self.key_of(seq), false);
        }
        let due = self.count >= self.refresh_rate;
        if due && self.announcement.as_ref().is_some_and(|announcement| announcement.confirmed) {
            self.switch();
        }
        // Numbers that were given up unsent count as well: what must not come again is the number.
        let step = self.last.map_or(1, |last| seq.distance_from(last).max(1).unsigned_abs());
        self.last = Some(seq);
        self.count = self.count.saturating_add(step);
        if let Some(carrier) = &mut self.keys[self.active as usize] {
            let first = carrier.carried.map_or(seq, |carried| carried.0);
            carrier.carried = Some((first, seq));
        }
        let before = self.keys[self.active.other() as usize].as_ref().and_then(|carrier| carrier.carried);
        let finished = before.is_none_or(|(_, last)| last.is_before(unacknowledged));
        if self.announcement.is_none()
            && finished
            && self.count + self.pre_announce >= self.refresh_rate
            && self.announce(false).is_err()
        {
            tracing::debug!("no random numbers for the next key: the next packet tries again");
        }
        let overdue = self.count > self.refresh_rate
            && !std::mem::replace(&mut self.told_overdue, self.count > self.refresh_rate);
        (self.active, overdue)
    }

    /// From now on the key that was announced.
    fn switch(&mut self) {
        let Some(announcement) = self.announcement.take() else { return };
        self.active = announcement.parity;
        self.said = announcement.message;
        self.shared = false;
        self.count = 0;
        self.ready = true;
        self.told_overdue = false;
    }

    /// The key `seq` went under.
    pub(super) fn key_of(&self, seq: SeqNumber) -> Parity {
        let other = self.active.other();
        let carried = |parity: Parity| {
            let carried = self.keys[parity as usize].as_ref().and_then(|carrier| carrier.carried);
            carried.is_some_and(|(first, last)| !seq.is_before(first) && !seq.is_after(last))
        };
        if carried(other) && !carried(self.active) { other } else { self.active }
    }

    /// Encrypts `payload` into `out`, which is as long as that and the tag.
    pub(super) fn seal(
        &self,
        header: &DataHeader,
        associated: &[u8; HEADER_SIZE],
        payload: &[u8],
        out: &mut [u8],
    ) -> bool {
        let Some(parity) = Parity::of(header.key) else { return false };
        let Some(carrier) = &self.keys[parity as usize] else { return false };
        match carrier.key.seal(header.seq.value(), associated, payload, out) {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%error, "a packet could not be encrypted");
                false
            }
        }
    }
}

fn random_sek(entropy: &dyn Entropy, length: KeyLength) -> Result<Sek, NoEntropy> {
    let mut bytes = Zeroizing::new([0; 32]);
    let bytes = &mut bytes[..length.bytes()];
    entropy.fill(bytes)?;
    Sek::new(bytes).map_err(|_| NoEntropy)
}

/// The KMREQ of one key.
fn message(kek: &Kek, mode: CipherMode, salt: &Salt, parity: Parity, sek: &Sek) -> Result<Vec<u8>, KeyError> {
    let wrapped = kek.wrap(sek)?;
    let keys = CarriedKeys::One(parity);
    Ok(KeyMaterial { keys, mode, key_length: kek.key_length(), salt: *salt, wrapped: wrapped.as_bytes() }
        .to_bytes())
}
