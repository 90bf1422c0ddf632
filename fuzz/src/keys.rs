//! The keys of a caller: what it says of them, well or badly, what it encrypts, and what it can read.
//!
//! Salts and keys are few and made of numbers, so that one input does the same each time, and that what takes time (the KEK) is
//! made once a process.

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use srt_crypto::{CipherMode, Kek, KeyLength, Passphrase, PayloadKey, Salt, Sek};
use srt_protocol::packet::{
    CarriedKeys, DataHeader, HEADER_SIZE, KEY_MATERIAL_MAX, KeyFlag, KeyMaterial, KmState, Parity,
};

/// What both sides know.
pub const PASSPHRASE: &str = "known to both of them";

/// A KMREQ of the caller.
#[derive(Arbitrary, Debug)]
pub enum Request {
    /// A good one.
    Good(Carried),
    /// Of another passphrase.
    Foreign(Carried),
    /// With a bit flipped.
    Flipped(Carried, u16),
    /// Cut off, or with zeros after it.
    Resized(Carried, u8),
    /// One of those before once more.
    Again(u8),
    Any(Vec<u8>),
}

/// The keys of a KMREQ.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Carried {
    which: u8,
    /// Odd and even differ under one number.
    number: u8,
    salt: u8,
    other_mode: u8,
}

/// A KMRSP of the caller.
#[derive(Arbitrary, Debug)]
pub enum Answer {
    /// To the last KMREQ, as it has to be.
    Echo,
    /// With a bit flipped.
    Flipped(u16),
    /// A state, mostly one there is.
    State(u8),
    Any(Vec<u8>),
}

/// A caller with a passphrase.
#[derive(Debug)]
pub struct Caller {
    mode: CipherMode,
    length: KeyLength,
    /// What it sends under, by parity.
    own: [Option<PayloadKey>; 2],
    active: Parity,
    /// What the listener sends under, by parity.
    theirs: [Option<PayloadKey>; 2],
    /// Every KMREQ it sent, but for those under another passphrase, which nobody may confirm.
    requests: Vec<Vec<u8>>,
    /// The last KMREQ of the listener.
    told: Vec<u8>,
}

impl Caller {
    pub fn new(mode: u8, length: u8) -> Self {
        Self {
            mode: [CipherMode::Ctr, CipherMode::Gcm][usize::from(mode % 2)],
            length: LENGTHS[usize::from(length % 3)],
            own: [None, None],
            active: Parity::Even,
            theirs: [None, None],
            requests: Vec::new(),
            told: Vec::new(),
        }
    }

    pub fn mode(&self) -> CipherMode {
        self.mode
    }

    /// The KMREQ of the conclusion. True where a listener with the passphrase has to take it.
    pub fn first_request(&mut self, request: &Request, listener_mode: Option<CipherMode>) -> (Vec<u8>, bool) {
        let mut content = self.request(request).0;
        content.resize(content.len().next_multiple_of(4), 0); // blocks are whole words
        self.requests.push(content.clone());
        let fits = match request {
            Request::Good(carried) => {
                carried.mode(self.mode) == self.mode
                    && carried.keys() != CarriedKeys::One(Parity::Odd)
                    && listener_mode.is_none_or(|mode| mode == self.mode)
            }
            _ => false,
        };
        (content, fits)
    }

    /// The listener took that one: both may send under its keys, the listener under the even one.
    ///
    /// # Panics
    /// Where it can make more of it than the caller.
    pub fn on_accepted(&mut self, content: &[u8]) {
        self.mode = KeyMaterial::parse(content).expect("key material").mode;
        let [even, odd] = self.unwrap(content);
        assert!(even.is_some(), "the listener cannot send without an even key");
        self.theirs[Parity::Even as usize].clone_from(&even);
        self.own = [even, odd];
        self.active = Parity::Even;
    }

    /// The keys of a KMREQ, by parity.
    fn unwrap(&self, content: &[u8]) -> [Option<PayloadKey>; 2] {
        let material = KeyMaterial::parse(content).expect("key material");
        assert_eq!((material.mode, material.key_length), (self.mode, self.length));
        // The KEK is made of the last 8 bytes of the salt.
        let number = (0..SALTS).find(|number| salt(*number)[8..] == material.salt[8..]);
        let kek = &KEKS[number.expect("a salt of the caller's") * LENGTHS.len() + self.length as usize];
        let key = |sek: &Sek| PayloadKey::new(material.mode, sek, &material.salt).ok();
        let one = || kek.unwrap(material.wrapped).expect("under the passphrase of both");
        match material.keys {
            CarriedKeys::One(Parity::Even) => [key(&one()), None],
            CarriedKeys::One(Parity::Odd) => [None, key(&one())],
            CarriedKeys::Both => {
                let (even, odd) = kek.unwrap_both(material.wrapped).expect("under the passphrase of both");
                [key(&even), key(&odd)]
            }
        }
    }

    /// A KMREQ. True where it is certain that the listener takes it, or that it changes nothing.
    pub fn next_request(&mut self, request: &Request) -> (Vec<u8>, bool) {
        let (content, certain) = self.request(request);
        if !matches!(request, Request::Foreign(_)) {
            self.requests.push(content.clone());
        }
        (content, certain)
    }

    fn request(&mut self, request: &Request) -> (Vec<u8>, bool) {
        match *request {
            Request::Good(carried) => {
                let fresh = match carried.keys() {
                    CarriedKeys::One(parity) => self.own[parity as usize].is_none(),
                    CarriedKeys::Both => false,
                };
                let usual = carried.salt_number() == 0 && carried.mode(self.mode) == self.mode;
                self.learn(carried);
                (self.content(carried, &KEKS), fresh && usual)
            }
            Request::Foreign(carried) => (self.content(carried, &FOREIGN_KEKS), true),
            Request::Flipped(carried, bit) => {
                let mut content = self.content(carried, &KEKS);
                flip(&mut content, bit);
                (content, false)
            }
            Request::Resized(carried, len) => {
                let mut content = self.content(carried, &KEKS);
                content.resize(usize::from(len), 0);
                (content, false)
            }
            Request::Again(back) => {
                let index = self.requests.len().checked_sub(1 + usize::from(back % 8));
                (index.and_then(|index| self.requests.get(index)).cloned().unwrap_or_default(), false)
            }
            Request::Any(ref content) => (content.clone(), false),
        }
    }

    fn content(&self, carried: Carried, keks: &[Kek]) -> Vec<u8> {
        let kek = &keks[carried.salt_number() * LENGTHS.len() + self.length as usize];
        let sek = |parity| carried.sek(parity, self.length);
        let keys = carried.keys();
        let wrapped = match keys {
            CarriedKeys::One(parity) => kek.wrap(&sek(parity)),
            CarriedKeys::Both => kek.wrap_both(&sek(Parity::Even), &sek(Parity::Odd)),
        };
        let wrapped = wrapped.expect("all of one length");
        let material = KeyMaterial {
            keys,
            mode: carried.mode(self.mode),
            key_length: self.length,
            salt: salt(carried.salt_number()),
            wrapped: wrapped.as_bytes(),
        };
        let content = material.to_bytes();
        assert!(content.len() <= KEY_MATERIAL_MAX);
        assert_eq!(KeyMaterial::parse(&content), Ok(material));
        content
    }

    fn learn(&mut self, carried: Carried) {
        let salt = salt(carried.salt_number());
        for parity in [Parity::Even, Parity::Odd] {
            if matches!(carried.keys(), CarriedKeys::One(other) if other != parity) {
                continue;
            }
            let sek = carried.sek(parity, self.length);
            self.own[parity as usize] = PayloadKey::new(self.mode, &sek, &salt).ok();
        }
    }

    /// A KMRSP to what the listener said last.
    pub fn answer(&self, answer: &Answer) -> Vec<u8> {
        match *answer {
            Answer::Echo => self.told.clone(),
            Answer::Flipped(bit) => {
                let mut content = self.told.clone();
                flip(&mut content, bit);
                content
            }
            Answer::State(state) => u32::from(state % 8).to_le_bytes().to_vec(),
            Answer::Any(ref content) => content.clone(),
        }
    }

    /// The caller's next packets go under the other key, where it has one.
    pub fn change(&mut self) {
        if self.own[self.active.other() as usize].is_some() {
            self.active = self.active.other();
        }
    }

    /// Header and payload as the caller sends them: under its key, where it has one.
    pub fn seal(&self, header: DataHeader, plain: &[u8]) -> (DataHeader, Vec<u8>) {
        let Some(key) = &self.own[self.active as usize] else { return (header, plain.to_vec()) };
        let header = DataHeader { key: self.active.flag(), ..header };
        let mut sealed = vec![0; plain.len() + key.tag_len()];
        key.seal(header.seq.value(), &associated(&header), plain, &mut sealed).expect("short enough");
        (header, sealed)
    }

    // ---- what the listener does --------------------------------------------------------------------------------

    /// It announces a key.
    ///
    /// # Panics
    /// Where the caller can make nothing of it.
    pub fn on_request(&mut self, content: &[u8]) {
        let keys = self.unwrap(content);
        let count = keys.iter().flatten().count();
        assert_eq!(count, 1, "callers below 1.5.4 want one key at a time");
        for (known, news) in self.theirs.iter_mut().zip(keys) {
            if news.is_some() {
                *known = news;
            }
        }
        self.told = content.to_vec();
    }

    /// It answers a KMREQ.
    ///
    /// # Panics
    /// Where nobody asked.
    pub fn on_answer(&self, content: &[u8]) {
        assert!(
            self.requests.iter().any(|request| request == content),
            "an answer to nothing: {content:02x?}"
        );
    }

    /// What is in its packet.
    ///
    /// # Panics
    /// Where the caller cannot tell.
    pub fn open(&self, header: &DataHeader, payload: &[u8]) -> Vec<u8> {
        let parity = match header.key {
            KeyFlag::Even => Parity::Even,
            KeyFlag::Odd => Parity::Odd,
            KeyFlag::None | KeyFlag::Reserved => panic!("{header:?} where encryption was agreed on"),
        };
        let key = self.theirs[parity as usize].as_ref().expect("announced before it is used");
        let mut plain = payload.to_vec();
        let len =
            key.open(header.seq.value(), &associated(header), &mut plain).expect("the caller can read it");
        plain.truncate(len);
        plain
    }
}

impl Carried {
    fn keys(self) -> CarriedKeys {
        match self.which % 4 {
            0 | 1 => CarriedKeys::One(Parity::Odd),
            2 => CarriedKeys::One(Parity::Even),
            _ => CarriedKeys::Both,
        }
    }

    /// Mostly the first.
    fn salt_number(self) -> usize {
        usize::from(self.salt.saturating_sub(0xFF - (SALTS as u8 - 1)))
    }

    fn mode(self, usual: CipherMode) -> CipherMode {
        match (self.other_mode >= 0xF0, usual) {
            (true, CipherMode::Ctr) => CipherMode::Gcm,
            (true, CipherMode::Gcm) => CipherMode::Ctr,
            (false, usual) => usual,
        }
    }

    fn sek(self, parity: Parity, length: KeyLength) -> Sek {
        let mut bytes = [self.number; 32];
        bytes[0] = parity as u8;
        Sek::new(&bytes[..length.bytes()]).expect("as long as a key")
    }
}

/// The state of what was agreed in the handshake, which nothing from the network changes.
pub const SECURED: (KmState, KmState) = (KmState::Secured, KmState::Secured);

const LENGTHS: [KeyLength; 3] = [KeyLength::Aes128, KeyLength::Aes192, KeyLength::Aes256];
const SALTS: usize = 8;

static KEKS: LazyLock<Vec<Kek>> = LazyLock::new(|| keks(PASSPHRASE));
static FOREIGN_KEKS: LazyLock<Vec<Kek>> = LazyLock::new(|| keks("known to somebody else"));

/// By salt and length.
fn keks(passphrase: &str) -> Vec<Kek> {
    let passphrase = Passphrase::new(passphrase.as_bytes()).expect("of a good length");
    let kek = |number: usize| {
        Kek::derive(&passphrase, &salt(number / LENGTHS.len()), LENGTHS[number % LENGTHS.len()])
    };
    (0..SALTS * LENGTHS.len()).map(kek).collect()
}

fn salt(number: usize) -> Salt {
    [number as u8; 16]
}

fn flip(content: &mut [u8], bit: u16) {
    let bits = content.len() * 8;
    if let Some(bit) = usize::from(bit).checked_rem(bits) {
        content[bit / 8] ^= 1 << (bit % 8);
    }
}

fn associated(header: &DataHeader) -> [u8; HEADER_SIZE] {
    DataHeader { retransmitted: false, ..*header }.to_bytes()
}
