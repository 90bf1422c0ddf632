//! Encrypted streams through bad networks: nothing lost for it, no keystream used twice, and nobody can take the keys away.

use srt_protocol::config::{CipherMode, Config, KeyLength, Passphrase};
use srt_protocol::connection::ConnectionError;
use srt_protocol::handshake::RejectReason;
use srt_protocol::packet::{
    Boundary, CarriedKeys, Control, DataHeader, Extension, KMREQ, KMRSP, KeyFlag, KeyMaterial, KmState,
    Packet, Parity,
};
use srt_protocol::types::SeqNumber;
use srt_tests::check;
use srt_tests::sim::{
    Link, Meddle, Passing, Run, Sim, Source, Way, caller, control, latency_ms, listener, mbps, ms, secs,
    seeds, with,
};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

const SECRET: &str = "a secret of the tests";

fn encrypted(latency: i32, options: &[(&str, &str)]) -> Config {
    let config = with(latency_ms(latency), "passphrase", SECRET);
    options.iter().fold(config, |config, (name, value)| with(config, name, value))
}

/// Both ends send.
fn world(seed: u64, link: Link, config: &Config) -> Sim {
    Sim::new(
        seed,
        caller(config.clone()).offers(Source::live(mbps(4), secs(4))),
        link,
        listener(config.clone()).offers(Source::live(mbps(3), secs(4))),
    )
    .sparing_handshakes()
}

/// Somebody on the wire who knows the passphrase.
#[derive(Default)]
struct Watcher {
    keys: HashMap<(bool, Parity), usize>,
    seen: Vec<Vec<u8>>,
    keks: HashMap<[u8; 16], srt_crypto::Kek>,
    seks: Vec<(srt_crypto::Sek, [u8; 16])>,
    /// What each was for.
    kinds: Vec<(CipherMode, KeyLength)>,
    /// Payload by key and number.
    payloads: HashMap<(usize, SeqNumber), Vec<u8>>,
    /// Keys that packets of either way went under.
    used: [Vec<usize>; 2],
    plain: u64,
    encrypted: u64,
    faults: Vec<String>,
}

impl Watcher {
    fn new() -> Rc<RefCell<Self>> {
        Rc::default()
    }

    fn look(&mut self, passing: &Passing<'_>) {
        let there = passing.way == Way::ToListener;
        match Packet::parse(passing.datagram) {
            Ok(Packet::Data(data)) => {
                let Some(parity) = Parity::of(data.header.key) else {
                    self.plain += 1;
                    return;
                };
                self.encrypted += 1;
                let Some(&key) = self.keys.get(&(there, parity)) else {
                    self.faults
                        .push(format!("%{} goes under a key that was never announced", data.header.seq));
                    return;
                };
                let used = &mut self.used[usize::from(there)];
                if used.last() != Some(&key) {
                    used.push(key);
                }
                let before = self.payloads.insert((key, data.header.seq), data.payload.to_vec());
                if before.is_some_and(|before| before != data.payload) {
                    self.faults.push(format!("%{} and key {key} encrypt two payloads", data.header.seq));
                }
            }
            Ok(Packet::Control(packet)) => match packet.control {
                Control::UserDefined { subtype: KMREQ, content, .. } => self.learn(content, &[there]),
                Control::Handshake(handshake) => {
                    for extension in handshake.extensions.iter().flatten() {
                        if let Extension::KeyMaterialRequest(content) = extension {
                            // The responder may take it over.
                            self.learn(content, &[true, false]);
                        }
                    }
                }
                _ => {}
            },
            Err(_) => {}
        }
    }

    fn learn(&mut self, content: &[u8], ways: &[bool]) {
        if self.seen.iter().any(|seen| seen == content) {
            return;
        }
        self.seen.push(content.to_vec());
        let material = KeyMaterial::parse(content).expect("we write what can be read");
        self.kinds.push((material.mode, material.key_length));
        let passphrase = Passphrase::new(SECRET.as_bytes()).expect("10 to 80 bytes");
        let kek = self
            .keks
            .entry(material.salt)
            .or_insert_with(|| srt_crypto::Kek::derive(&passphrase, &material.salt, material.key_length));
        let CarriedKeys::One(parity) = material.keys else {
            self.faults.push("two keys were announced at a time".to_owned());
            return;
        };
        let sek = kek.unwrap(material.wrapped).expect("wrapped under the secret");
        if self.seks.iter().any(|(known, _)| *known == sek) {
            self.faults.push("a key was announced twice in different words".to_owned());
        }
        self.seks.push((sek, material.salt));
        for &there in ways {
            self.keys.insert((there, parity), self.seks.len() - 1);
        }
    }

    fn assert_sound(&self, run: &Run) {
        assert_eq!(self.faults, Vec::<String>::new(), "{:#x}", run.seed);
        assert_eq!(self.plain, 0, "{:#x}", run.seed);
        assert!(self.encrypted > 0);
        let [back, there] = &self.used;
        assert!(there.iter().all(|key| !back.contains(key)), "{:#x}: both ways went under one key", run.seed);
    }
}

fn watched(sim: Sim, watcher: &Rc<RefCell<Watcher>>) -> Sim {
    let watcher = Rc::clone(watcher);
    sim.meddle(move |passing, _| watcher.borrow_mut().look(passing))
}

fn is_key_message(passing: &Passing<'_>) -> bool {
    matches!(
        Packet::parse(passing.datagram),
        Ok(Packet::Control(packet)) if matches!(packet.control, Control::UserDefined { subtype: KMREQ | KMRSP, .. })
    )
}

/// No message about keys ever arrives.
fn without_key_messages(sim: Sim, watcher: &Rc<RefCell<Watcher>>) -> Sim {
    let watcher = Rc::clone(watcher);
    sim.meddle(move |passing, meddle| {
        watcher.borrow_mut().look(passing);
        if is_key_message(passing) {
            meddle.drop();
        }
    })
}

fn undecryptable(run: &Run) -> u64 {
    run.records().map(|record| record.stats.pkt_rcv_undecrypt_total).sum()
}

#[test]
fn every_cipher_and_key_length_carries_both_ways_through_losses() {
    for seed in seeds("ciphers", 1) {
        for mode in ["1", "2"] {
            for length in ["16", "24", "32"] {
                let config = encrypted(400, &[("cryptomode", mode), ("pbkeylen", length)]);
                let watcher = Watcher::new();
                let run = watched(world(seed, Link::rtt_ms(40).loss(0.05), &config), &watcher).run();
                run.assert(check::all).assert(check::nothing_lost);
                assert_eq!(undecryptable(&run), 0);
                watcher.borrow().assert_sound(&run);
                for record in run.records() {
                    let agreed = record.negotiated.as_ref().and_then(|agreed| agreed.encryption);
                    let (cipher, key_length) = agreed.expect("it was agreed");
                    assert_eq!(
                        (cipher == CipherMode::Gcm, key_length.bytes().to_string()),
                        (mode == "2", length.to_owned())
                    );
                }
                assert!(watcher.borrow().kinds.iter().all(|kind| Some(*kind)
                    == run.callers[0].negotiated.as_ref().and_then(|agreed| agreed.encryption)));
            }
        }
    }
}

#[test]
fn keys_change_without_a_gap_whatever_is_lost() {
    for seed in seeds("rotation", 3) {
        for (mode, isn) in [("1", 0x7FFF_FF00), ("2", 1_000)] {
            let config =
                encrypted(500, &[("cryptomode", mode), ("kmrefreshrate", "300"), ("kmpreannounce", "100")]);
            let watcher = Watcher::new();
            let sim = world(seed, Link::rtt_ms(40).loss(0.10).jitter_ms(5), &config).isn(SeqNumber::new(isn));
            let run = watched(sim, &watcher).run();
            run.assert(check::all).assert(check::nothing_lost);
            assert_eq!(undecryptable(&run), 0, "{seed:#x}");
            let watcher = watcher.borrow();
            watcher.assert_sound(&run);
            for used in &watcher.used {
                assert!(used.len() >= 4, "{seed:#x}: only {} keys", used.len());
            }
        }
    }
}

#[test]
fn ten_messages_about_keys_lost_in_a_row_delay_a_key_and_nothing_else() {
    for seed in seeds("ten lost", 3) {
        // From the first on, and from one in the middle on.
        for from in [0, 6, 9] {
            let config = encrypted(300, &[("kmrefreshrate", "400"), ("kmpreannounce", "150")]);
            let watcher = Watcher::new();
            let (spy, mut count) = (Rc::clone(&watcher), 0_u32);
            let run = world(seed, Link::rtt_ms(30).loss(0.02), &config)
                .meddle(move |passing, meddle| {
                    spy.borrow_mut().look(passing);
                    if is_key_message(passing) {
                        if (from..from + 10).contains(&count) {
                            meddle.drop();
                        }
                        count += 1;
                    }
                })
                .run();
            run.assert(check::all);
            assert_eq!(undecryptable(&run), 0, "{seed:#x}");
            // What the caller sends waits for nothing; the responder waits for its first key alone.
            let caller = &run.callers[0];
            let accepted = &run.accepted[0];
            assert_eq!(caller.sent.len(), accepted.received.len(), "{seed:#x}, from {from}");
            if from > 0 {
                assert_eq!(accepted.sent.len(), caller.received.len(), "{seed:#x}, from {from}");
            }
            watcher.borrow().assert_sound(&run);
        }
    }
}

#[test]
fn a_stream_goes_on_under_its_key_where_no_message_about_keys_ever_arrives() {
    for seed in seeds("none arrives", 2) {
        let config = encrypted(300, &[("kmrefreshrate", "300"), ("kmpreannounce", "100")]);
        let watcher = Watcher::new();
        let sim = world(seed, Link::rtt_ms(30).loss(0.02), &config);
        let run = without_key_messages(sim, &watcher).run();
        run.assert(check::in_order).assert(check::payload_intact);
        assert_eq!(run.callers[0].sent.len(), run.accepted[0].received.len());
        assert!(
            run.callers[0].received.is_empty(),
            "the responder has no key of its own, and the caller sends under the other"
        );
        watcher.borrow().assert_sound(&run);
    }
}

#[test]
fn a_responder_alone_sends_under_the_handshake_s_key_where_the_peer_confirms_no_other() {
    for seed in seeds("mute peer", 2) {
        let config = encrypted(300, &[]);
        let watcher = Watcher::new();
        let sim = Sim::new(
            seed,
            caller(config.clone()),
            Link::rtt_ms(30),
            listener(config).offers(Source::live(mbps(3), secs(8))),
        );
        let run = without_key_messages(sim, &watcher).run();
        run.assert(check::in_order).assert(check::payload_intact);
        let (sent, received) = (run.accepted[0].sent.len(), run.callers[0].received.len());
        assert!(received > sent / 2, "{seed:#x}: {received} of {sent}");
        watcher.borrow().assert_sound(&run);
    }
}

#[test]
fn nobody_takes_the_keys_away() {
    for seed in seeds("forged keys", 3) {
        let config = encrypted(300, &[("kmrefreshrate", "500"), ("kmpreannounce", "100")]);
        let watcher = Watcher::new();
        let spy = Rc::clone(&watcher);
        let mut overheard: Vec<(u64, Vec<u8>)> = Vec::new();
        let forge = move |passing: &Passing<'_>, meddle: &mut Meddle<'_>| {
            spy.borrow_mut().look(passing);
            if let Ok(Packet::Control(packet)) = Packet::parse(passing.datagram)
                && let Control::UserDefined { content, .. } = packet.control
            {
                overheard.push((passing.at_us, content.to_vec()));
            }
            let Ok(Packet::Data(data)) = Packet::parse(passing.datagram) else { return };
            if !passing.number.is_multiple_of(5) {
                return;
            }
            let mut contents: Vec<Vec<u8>> = (0..=5_u32)
                .flat_map(|state| [state.to_le_bytes(), state.to_be_bytes()])
                .map(Vec::from)
                .collect();
            contents.push(Vec::new());
            contents.push(vec![0x12; 400]);
            // What was said before, and nearly that. (Whoever changes a message on its way, before it is known, can put its key in
            // the other's place: SRT does not authenticate which of the two a message is about.)
            let known = overheard.partition_point(|(at_us, _)| at_us + 200_000 < passing.at_us);
            if known > 0 {
                let mut content = overheard[meddle.random.index(known)].1.clone();
                contents.push(content.clone());
                let place = meddle.random.index(content.len());
                content[place] ^= 1 << meddle.random.index(8);
                contents.push(content);
            }
            let content = &contents[meddle.random.index(contents.len())];
            for subtype in [KMREQ, KMRSP] {
                let forged =
                    control(data.header.destination, Control::UserDefined { subtype, info: 0, content });
                meddle.inject(ms(1), passing.from, passing.to, forged);
            }
        };
        let run = world(seed, Link::rtt_ms(20), &config).meddle(forge).run();
        run.assert(check::in_order).assert(check::payload_intact).assert(check::nothing_lost);
        assert_eq!(undecryptable(&run), 0, "{seed:#x}");
        watcher.borrow().assert_sound(&run);
        for record in run.records() {
            let states = record.keys;
            assert_eq!(
                (states.send_state, states.receive_state),
                (KmState::Secured, KmState::Secured),
                "{}",
                record.name
            );
        }
    }
}

#[test]
fn who_does_not_know_the_secret_is_told_so() {
    let plain = || latency_ms(120);
    let with_secret = |secret: &str| with(latency_ms(120), "passphrase", secret);
    let gcm = with(with_secret(SECRET), "cryptomode", "2");
    let ctr = with(with_secret(SECRET), "cryptomode", "1");
    let cases = [
        (plain(), with_secret(SECRET), RejectReason::Unsecure),
        (with_secret(SECRET), plain(), RejectReason::Unsecure),
        (with_secret("another secret"), with_secret(SECRET), RejectReason::BadSecret),
        (gcm, ctr, RejectReason::Crypto),
    ];
    for seed in seeds("strangers", 1) {
        for (ours, theirs, reason) in &cases {
            let run = Sim::new(seed, caller(ours.clone()), Link::rtt_ms(20), listener(theirs.clone())).run();
            let closed = run.callers[0].closed.map(|(_, why)| why);
            assert_eq!(closed, Some(ConnectionError::Rejected(*reason)));
            assert!(run.accepted.is_empty());
        }
    }
}

#[test]
fn relaxed_ends_connect_and_read_nothing_they_have_no_key_for() {
    let relaxed = |config: Config| with(config, "enforcedencryption", "0");
    let plain = || relaxed(latency_ms(120));
    let secret = |secret: &str| relaxed(with(latency_ms(120), "passphrase", secret));
    use KmState::{BadSecret, NoSecret, Unsecured};
    // The caller's states, the listener's, and whether each reads the other.
    let cases = [
        (secret(SECRET), plain(), [NoSecret, Unsecured, Unsecured, NoSecret], [true, false]),
        (plain(), secret(SECRET), [Unsecured, NoSecret, NoSecret, Unsecured], [false, true]),
        (secret("another secret"), secret(SECRET), [BadSecret; 4], [false, false]),
    ];
    for seed in seeds("relaxed", 1) {
        for (ours, theirs, states, reads) in &cases {
            let run = Sim::new(
                seed,
                caller(ours.clone()).offers(Source::live(mbps(1), secs(1))),
                Link::rtt_ms(20),
                listener(theirs.clone()).offers(Source::live(mbps(1), secs(1))),
            )
            .run();
            let (caller, accepted) = (&run.callers[0], &run.accepted[0]);
            let found = [
                caller.keys.send_state,
                caller.keys.receive_state,
                accepted.keys.send_state,
                accepted.keys.receive_state,
            ];
            assert_eq!(found, *states);
            assert_eq!([!caller.received.is_empty(), !accepted.received.is_empty()], *reads);
        }
    }
}

/// A KMREQ of another connection under the same secret.
fn recorded(mode: CipherMode, parity: Parity, fill: u8) -> Vec<u8> {
    let passphrase = Passphrase::new(SECRET.as_bytes()).expect("10 to 80 bytes");
    let (salt, key_length) = ([fill; 16], KeyLength::Aes128);
    let kek = srt_crypto::Kek::derive(&passphrase, &salt, key_length);
    let sek = srt_crypto::Sek::new(&[fill; 16]).expect("16 bytes");
    let wrapped = kek.wrap(&sek).expect("equally long");
    let keys = CarriedKeys::One(parity);
    KeyMaterial { keys, mode, key_length, salt, wrapped: wrapped.as_bytes() }.to_bytes()
}

#[test]
fn keys_of_another_connection_under_the_same_secret_are_not_taken() {
    for seed in seeds("recorded", 2) {
        for (name, mode) in [("1", CipherMode::Ctr), ("2", CipherMode::Gcm)] {
            let config =
                encrypted(300, &[("cryptomode", name), ("kmrefreshrate", "300"), ("kmpreannounce", "100")]);
            let recordings: Vec<_> = (1..=4)
                .map(|fill| recorded(mode, if fill % 2 == 0 { Parity::Even } else { Parity::Odd }, fill))
                .collect();
            let run = world(seed, Link::rtt_ms(20), &config)
                .meddle(move |passing, meddle| {
                    let Ok(Packet::Data(data)) = Packet::parse(passing.datagram) else { return };
                    if passing.number.is_multiple_of(10) {
                        let content = &recordings[meddle.random.index(recordings.len())];
                        let forged = Control::UserDefined { subtype: KMREQ, info: 0, content };
                        meddle.inject(
                            ms(1),
                            passing.from,
                            passing.to,
                            control(data.header.destination, forged),
                        );
                    }
                })
                .run();
            run.assert(check::all).assert(check::nothing_lost);
            assert_eq!(undecryptable(&run), 0, "{seed:#x}");
            for record in run.records() {
                let counters = record.keys.counters;
                assert!(
                    counters.confirmed >= 3 && counters.requests_refused > 0,
                    "{}: {counters:?}",
                    record.name
                );
            }
        }
    }
}

#[test]
fn a_forged_packet_under_the_other_key_ends_no_key() {
    for seed in seeds("forged change", 4) {
        for ahead in [1, 100, 1_000_000] {
            let config = encrypted(300, &[("kmrefreshrate", "300"), ("kmpreannounce", "100")]);
            let run = world(seed, Link::rtt_ms(20), &config)
                .meddle(move |passing, meddle| {
                    let Ok(Packet::Data(data)) = Packet::parse(passing.datagram) else { return };
                    // Just ahead of everything that the receiver has seen so far.
                    if passing.at_us < 1_000_000 || !passing.number.is_multiple_of(50) {
                        return;
                    }
                    let other = match data.header.key {
                        KeyFlag::Even => KeyFlag::Odd,
                        _ => KeyFlag::Even,
                    };
                    let header = DataHeader {
                        seq: data.header.seq + ahead,
                        key: other,
                        boundary: Boundary::Solo,
                        retransmitted: false,
                        ..data.header
                    };
                    let mut forged = header.to_bytes().to_vec();
                    forged.extend_from_slice(&[0; 100]);
                    meddle.inject(ms(1), passing.from, passing.to, forged);
                })
                .run();
            // AES-CTR cannot tell what is forged: a message is lost to each, and nothing else is.
            for (sender, receiver) in
                [(&run.callers[0], &run.accepted[0]), (&run.accepted[0], &run.callers[0])]
            {
                let (sent, received) = (sender.sent.len(), receiver.received.len());
                assert!(received + 100 > sent, "{seed:#x}, {ahead} ahead: {received} of {sent}");
                assert!(sender.keys.counters.confirmed >= 3, "{seed:#x}: {:?}", sender.keys.counters);
            }
        }
    }
}

#[test]
fn a_key_that_was_refused_in_the_handshake_is_not_taken_later() {
    for seed in seeds("refused key", 1) {
        let relaxed = |config: Config| with(config, "enforcedencryption", "0");
        let mut first: Option<Vec<u8>> = None;
        let run = Sim::new(
            seed,
            caller(relaxed(encrypted(120, &[]))),
            Link::rtt_ms(20),
            listener(relaxed(latency_ms(120))).offers(Source::live(mbps(1), secs(2))),
        )
        .meddle(move |passing, meddle| match Packet::parse(passing.datagram) {
            Ok(Packet::Control(packet)) => {
                let Control::Handshake(handshake) = packet.control else { return };
                for extension in handshake.extensions.iter().flatten() {
                    if let Extension::KeyMaterialRequest(content) = extension {
                        first = Some(content.to_vec());
                    }
                }
            }
            Ok(Packet::Data(data)) => {
                let Some(content) = &first else { return };
                let own = Control::UserDefined { subtype: KMREQ, info: 0, content };
                meddle.inject(ms(1), passing.from, passing.to, control(data.header.destination, own));
            }
            Err(_) => {}
        })
        .run();
        assert_eq!(run.callers[0].received.len(), run.accepted[0].sent.len());
        assert!(run.callers[0].keys.counters.requests_refused > 0);
    }
}

#[test]
fn two_ends_that_fell_back_to_one_key_do_not_both_send_under_it() {
    for seed in seeds("late caller", 3) {
        let config = encrypted(300, &[]);
        let watcher = Watcher::new();
        let sim = Sim::new(
            seed,
            caller(config.clone()).offers(Source::live(mbps(3), secs(4)).after(secs(5))),
            Link::rtt_ms(30),
            listener(config).offers(Source::live(mbps(3), secs(8))),
        );
        let run = without_key_messages(sim, &watcher).run();
        assert!(!run.callers[0].received.is_empty(), "the responder has fallen back");
        watcher.borrow().assert_sound(&run);
    }
}
