//! What libsrt groups said, replayed into ours.
//!
//! `traces/group-*` holds what two libsrt 1.5.5 put on the wire of all links of a group; each file says how it came about. Our group
//! takes the place of one of the two, with its socket IDs and its group ID, and hears the other; the cookie alone is written anew.
//! Whatever ours answers meanwhile is held against what libsrt can bear.
#![expect(clippy::panic, reason = "the helpers of these tests fail as the tests do")]

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use srt_bonding::{Down, Event, Group, GroupSetup, LinkId, LinkSetup, Mode};
use srt_protocol::{
    config::Config,
    connection::{ConnectionError, RecvError, State, TransmitBatch},
    endpoint::{AcceptError, Endpoint, Route},
    entropy::{Entropy, NoEntropy},
    handshake::RejectReason,
    link::LinkCounters,
    packet::{
        Control, ControlPacket, DataPacket, EXT_CONFIG, EXT_HSREQ, EXT_KMREQ, Extension, GroupInfo,
        Handshake, HandshakeKind, KMREQ, KeyFlag, Packet, destination,
    },
    time::{Instant, Micros},
    types::{MsgNumber, SeqNumber, SocketId},
};

/// A trace, and what is known of it.
struct Case {
    name: &'static str,
    text: &'static str,
    mode: Mode,
    /// Who sends the stream.
    sender: Way,
    messages: u64,
    /// Weights of the links, in the order in which they were called.
    weights: &'static [u16],
    passphrase: Option<&'static str>,
    stream_id: &'static str,
}

const BROADCAST: Case = Case {
    name: "group-broadcast",
    text: include_str!("traces/group-broadcast.trace"),
    mode: Mode::Broadcast,
    sender: Way::ToListener,
    messages: 144,
    weights: &[0, 0],
    passphrase: None,
    stream_id: "",
};
const BACKUP: Case = Case {
    name: "group-backup",
    text: include_str!("traces/group-backup.trace"),
    mode: Mode::Backup,
    messages: 288,
    weights: &[10, 5, 10],
    ..BROADCAST
};
const LOSS: Case =
    Case { name: "group-loss", text: include_str!("traces/group-loss.trace"), messages: 192, ..BROADCAST };
const ENCRYPTED: Case = Case {
    name: "group-encrypted",
    text: include_str!("traces/group-encrypted.trace"),
    passphrase: Some("bonding-trace-key"),
    stream_id: "#!::r=cam,m=publish",
    ..BROADCAST
};
const LISTENER_SENDS: Case = Case {
    name: "group-listener-sends",
    text: include_str!("traces/group-listener-sends.trace"),
    sender: Way::ToCaller,
    messages: 192,
    ..BROADCAST
};
const ALL: [Case; 5] = [BROADCAST, BACKUP, LOSS, ENCRYPTED, LISTENER_SENDS];

// ---- what is on the wire ---------------------------------------------------------------------------------------------

#[test]
fn every_datagram_is_read_and_written_again_as_it_was() {
    for case in ALL {
        for datagram in case.trace() {
            let mut written = Vec::new();
            match Packet::parse(&datagram.bytes).expect("libsrt's") {
                Packet::Data(data) => data.write(&mut written),
                Packet::Control(control) => control.write(&mut written),
            }
            assert_eq!(written, datagram.bytes, "{} at {:?}", case.name, datagram.at);
        }
    }
}

#[test]
fn conclusions_name_the_two_groups_and_the_weight_of_the_link() {
    for case in ALL {
        let trace = case.trace();
        let group = |id, weight| GroupInfo { id, group_type: case.mode.group_type(), flags: 0, weight };
        let [theirs, mirror] = [Way::ToListener, Way::ToCaller].map(|way| trace.group_id(way));
        assert!(theirs & mirror & GroupInfo::ID_BIT != 0 && theirs != mirror, "{}", case.name);
        let numbers: BTreeSet<u8> = trace.0.iter().map(|datagram| datagram.link).collect();
        assert_eq!(numbers.len(), case.weights.len(), "{}", case.name);
        for (link, &weight) in (1..).zip(case.weights) {
            for (way, id) in [(Way::ToListener, theirs), (Way::ToCaller, mirror)] {
                let said = trace.handshakes(link, way);
                let (first, conclusion) = (said[0].1, said[1].1);
                assert_eq!(first.kind, HandshakeKind::Induction);
                assert_eq!(first.extensions.iter().count(), 0, "{}", case.name);
                assert_eq!(conclusion.kind, HandshakeKind::Conclusion);
                let keys = if case.passphrase.is_some() { EXT_KMREQ } else { 0 };
                assert_eq!(conclusion.extension_field, EXT_HSREQ | keys | EXT_CONFIG, "{}", case.name);
                assert_eq!(group_of(&conclusion), Some(group(id, weight)), "{}, link {link}", case.name);
                assert_eq!(conclusion.isn, said[0].1.isn, "an answer repeats the caller's number");
            }
            assert_eq!(
                trace.handshakes(link, Way::ToListener)[1].1.isn,
                trace.handshakes(link, Way::ToCaller)[1].1.isn,
                "{}",
                case.name
            );
        }
    }
}

#[test]
fn a_group_comes_before_the_keys_and_the_stream_id_with_every_link() {
    let trace = ENCRYPTED.trace();
    for link in [1, 2] {
        let order = |way| -> Vec<&str> {
            let conclusion = trace.handshakes(link, way)[1].1;
            conclusion.extensions.iter().map(|block| name_of(&block.expect("a block"))).collect()
        };
        assert_eq!(order(Way::ToListener), ["HSREQ", "SID", "GROUP", "KMREQ"]);
        assert_eq!(order(Way::ToCaller), ["HSRSP", "GROUP", "KMRSP"]);
    }
}

/// One clock stamps what a group sends, whichever link it takes; the caller's only from the answers on.
#[test]
fn all_links_of_a_group_are_stamped_by_one_clock() {
    for case in ALL {
        let trace = case.trace();
        let mut zeros = [Vec::new(), Vec::new()];
        for datagram in &trace.0 {
            let Ok(Packet::Control(ControlPacket { control, timestamp, .. })) =
                Packet::parse(&datagram.bytes)
            else {
                continue; // data are stamped with when they were given, and may leave later
            };
            let of_another = match control {
                // The listener's own, and those of a member that does not know yet that it has others.
                Control::Handshake(handshake) => {
                    datagram.way == Way::ToListener || handshake.kind == HandshakeKind::Induction
                }
                _ => false,
            };
            if !of_another {
                let at = i64::try_from(datagram.at.as_micros()).expect("a few seconds");
                zeros[datagram.way as usize].push(at - i64::from(timestamp.value()));
            }
        }
        for zeros in zeros {
            let (first, last) = (zeros.iter().min().unwrap(), zeros.iter().max().unwrap());
            // A relay that delays one link stands before what was captured.
            let apart = if case.name == LOSS.name { 60_000 } else { 10_000 };
            assert!(last - first < apart, "{}: {first} to {last}", case.name);
        }
    }
}

#[test]
fn a_packet_is_the_same_on_every_link_but_for_what_encrypts_it() {
    for case in ALL {
        let trace = case.trace();
        let mut seen = BTreeMap::new();
        let mut twice = 0;
        for (link, data) in trace.data(case.sender) {
            let header = data.header;
            let what = (header.msgno, header.timestamp, header.boundary, header.in_order);
            let (first_link, known, payload) =
                *seen.entry(header.seq.value()).or_insert((link, what, data.payload));
            assert_eq!(what, known, "{}: {}", case.name, header.seq);
            let same_key = case.passphrase.is_none() || first_link == link;
            assert_eq!(payload == data.payload, same_key, "{}: {}", case.name, header.seq);
            assert_eq!(header.key == KeyFlag::None, case.passphrase.is_none(), "{}", case.name);
            twice += u32::from(first_link != link);
        }
        assert_eq!(seen.len() as u64, case.messages, "{}", case.name);
        assert!(twice > 30, "{}: {twice} on more than one link", case.name);
    }
}

/// So that the traces keep showing what they are there for.
#[test]
fn there_are_losses_reports_and_drop_requests_in_them() {
    let count = |case: &Case, wanted: fn(&Control<'_>) -> bool| {
        let trace = case.trace();
        trace.0.iter().filter(|datagram| control(&datagram.bytes).as_ref().is_some_and(wanted)).count()
    };
    for case in [BACKUP, LOSS] {
        assert!(count(&case, |control| matches!(control, Control::Nak(_))) >= 2, "{}", case.name);
        let requests = |control: &Control<'_>| match control {
            Control::DropRequest(request) => {
                assert_eq!(request.msgno, MsgNumber::CONTROL, "libsrt names no message");
                true
            }
            _ => false,
        };
        assert!(count(&case, requests) >= 1, "{}", case.name);
        let resent = case.trace().data(case.sender).filter(|data| data.1.header.retransmitted).count();
        assert!(resent > 20, "{}: {resent}", case.name);
    }
    for case in ALL {
        assert!(count(&case, |control| matches!(control, Control::Shutdown)) >= 2, "{}", case.name);
    }
}

// ---- what ours makes of it -------------------------------------------------------------------------------------------

#[test]
fn a_stream_is_handed_out_whole_in_order_and_after_one_and_the_same_delay() {
    for case in ALL {
        let replay = Replay::run(&case, case.passphrase, |_| true).expect("accepted");
        assert_eq!(replay.numbers(), (0..case.messages).collect::<Vec<u64>>(), "{}", case.name);
        assert!(!replay.events.iter().any(|event| matches!(event, Event::Skipped(_))), "{}", case.name);
        replay.assert_constant_delay(case.name);
    }
}

#[test]
fn every_link_joins_brings_what_it_brought_and_is_acknowledged() {
    for case in ALL {
        let replay = Replay::run(&case, case.passphrase, |_| true).expect("accepted");
        let trace = case.trace();
        for (link, state) in &replay.links {
            let brought = trace.data(case.sender).filter(|data| data.0 == *link).count() as u64;
            let counted = replay.counters[link];
            assert_eq!(counted.received_packets, brought, "{}, link {link}", case.name);
            assert_eq!((counted.ignored, counted.undecryptable_packets), (0, 0), "{}", case.name);
            assert_eq!(state.acknowledged, state.highest.map(SeqNumber::next), "{}, link {link}", case.name);
        }
        let ups = replay.events.iter().filter(|event| matches!(event, Event::LinkUp(_))).count();
        assert_eq!(ups, case.weights.len(), "{}", case.name);
    }
}

#[test]
fn shutdowns_take_link_by_link_and_the_last_one_the_stream() {
    for case in ALL {
        let replay = Replay::run(&case, case.passphrase, |_| true).expect("accepted");
        let downs: Vec<Down> = replay
            .events
            .iter()
            .filter_map(|event| match event {
                Event::LinkDown(_, down) => Some(*down),
                _ => None,
            })
            .collect();
        assert_eq!(downs, vec![Down::PeerShutdown; case.weights.len()], "{}", case.name);
        let ends: Vec<&Event> = replay
            .events
            .iter()
            .filter(|event| matches!(event, Event::AllDown | Event::PeerGone(_) | Event::Closed(_)))
            .collect();
        let reason = ConnectionError::PeerShutdown;
        let expected = [&Event::AllDown, &Event::PeerGone(reason), &Event::Closed(reason)];
        assert_eq!(ends, expected, "{}", case.name);
        assert_eq!(replay.state, State::Closed, "{}", case.name);
    }
}

/// A libsrt that sends gives a link up which acknowledges or asks for what it did not carry; one that receives closes a link whose
/// packets leap. The replay itself watches what leaves; here it is seen that something did.
#[test]
fn what_is_answered_on_a_link_stays_within_what_it_brought() {
    for case in ALL {
        let replay = Replay::run(&case, case.passphrase, |_| true).expect("accepted");
        assert!(replay.links.values().all(|link| link.acks > 10), "{}", case.name);
        assert_eq!(replay.complaints, Vec::<String>::new(), "{}", case.name);
    }
}

#[test]
fn less_is_asked_for_than_libsrt_asked_for() {
    for case in [BACKUP, LOSS] {
        let replay = Replay::run(&case, case.passphrase, |_| true).expect("accepted");
        let trace = case.trace();
        for (link, state) in &replay.links {
            let theirs: BTreeSet<u32> = trace
                .0
                .iter()
                .filter(|datagram| datagram.link == *link && datagram.way == case.sender.back())
                .flat_map(|datagram| reported(&datagram.bytes))
                .collect();
            assert!(state.reported.is_subset(&theirs), "{}, link {link}: {:x?}", case.name, state.reported);
        }
    }
}

#[test]
fn the_answer_to_a_member_is_that_of_libsrt() {
    for case in ALL.into_iter().filter(|case| case.sender == Way::ToListener) {
        let replay = Replay::run(&case, case.passphrase, |_| true).expect("accepted");
        let trace = case.trace();
        for link in replay.links.keys() {
            let theirs = trace.handshakes(*link, Way::ToCaller)[1].1;
            let ours = &replay.answers[link];
            let ours = handshake(ours).expect("a handshake");
            assert_eq!((ours.isn, ours.socket_id), (theirs.isn, theirs.socket_id), "{}", case.name);
            assert_eq!(ours.extension_field, theirs.extension_field, "{}", case.name);
            let blocks = |handshake: &Handshake<'_>| -> Vec<String> {
                let blocks = handshake.extensions.iter().map(|block| block.expect("a block"));
                // Our version and flags are our own.
                blocks.skip(1).map(|block| format!("{block:?}")).collect()
            };
            assert_eq!(blocks(&ours), blocks(&theirs), "{}, link {link}", case.name);
        }
    }
}

// ---- with less than was captured -------------------------------------------------------------------------------------

#[test]
fn a_broadcast_is_whole_with_each_packet_from_another_link() {
    for case in [BROADCAST, ENCRYPTED] {
        for every in [2, 3, 7] {
            let replay =
                Replay::run(&case, case.passphrase, |datagram| match Packet::parse(&datagram.bytes) {
                    Ok(Packet::Data(data)) => {
                        data.header.seq.value() / every % 2 == u32::from(datagram.link % 2)
                    }
                    _ => true,
                })
                .expect("accepted");
            assert_eq!(replay.numbers(), (0..case.messages).collect::<Vec<u64>>(), "{}", case.name);
            replay.assert_constant_delay(case.name);
            assert_eq!(replay.complaints, Vec::<String>::new(), "{}", case.name);
        }
    }
}

#[test]
fn a_broadcast_outlives_either_of_its_links() {
    for case in [BROADCAST, ENCRYPTED, LISTENER_SENDS] {
        for dead in [1, 2] {
            let from = Micros::from_millis(2_000);
            let replay =
                Replay::run(&case, case.passphrase, |datagram| datagram.link != dead || datagram.at < from)
                    .expect("accepted");
            assert_eq!(replay.numbers(), (0..case.messages).collect::<Vec<u64>>(), "{}", case.name);
            replay.assert_constant_delay(case.name);
            assert_eq!(replay.complaints, Vec::<String>::new(), "{}", case.name);
        }
    }
}

/// The receiver hears the link that takes over repeat what the peer has not acknowledged.
#[test]
fn the_switch_to_the_backup_link_loses_nothing_and_neither_does_the_way_back() {
    let replay = Replay::run(&BACKUP, None, |_| true).expect("accepted");
    let trace = BACKUP.trace();
    let mut first = BTreeMap::new();
    for (link, data) in trace.data(Way::ToListener) {
        first.entry(data.header.seq.value()).or_insert(link);
    }
    let bearers: Vec<u8> = first.values().copied().collect();
    let mut runs = bearers.clone();
    runs.dedup();
    assert!(runs.starts_with(&[1, 2]) && runs.ends_with(&[3]), "{runs:?}");
    assert_eq!(replay.received.len() as u64, BACKUP.messages);
    // Without the copies that the main link sent after its outage it is the same.
    let replay = Replay::run(&BACKUP, None, |datagram| {
        datagram.link != 1 || !is_data(&datagram.bytes) || datagram.at < Micros::from_millis(2_300)
    });
    assert_eq!(replay.expect("accepted").numbers(), (0..BACKUP.messages).collect::<Vec<u64>>());
}

#[test]
fn what_no_link_brings_is_missing_and_nothing_else() {
    for case in [BROADCAST, ENCRYPTED, LISTENER_SENDS] {
        let gone = case.trace().isn() + 100;
        let replay = Replay::run(&case, case.passphrase, |datagram| match Packet::parse(&datagram.bytes) {
            Ok(Packet::Data(data)) => data.header.seq != gone,
            _ => true,
        })
        .expect("accepted");
        let expected: Vec<u64> = (0..case.messages).filter(|number| *number != 100).collect();
        assert_eq!(replay.numbers(), expected, "{}", case.name);
        replay.assert_constant_delay(case.name);
        assert_eq!(replay.complaints, Vec::<String>::new(), "{}", case.name);
        // Each link that lost it asks for it: a libsrt answers only to the link that asked.
        let asked: Vec<u8> = replay
            .links
            .iter()
            .filter(|(_, state)| state.reported.contains(&gone.value()))
            .map(|(link, _)| *link)
            .collect();
        assert!(!asked.is_empty(), "{}: nobody asked for it", case.name);
    }
}

#[test]
fn with_another_passphrase_or_none_no_link_is_accepted() {
    for (passphrase, reason) in
        [(Some("another passphrase"), RejectReason::BadSecret), (None, RejectReason::Unsecure)]
    {
        let refused = Replay::run(&ENCRYPTED, passphrase, |_| true).err();
        assert_eq!(refused, Some(reason));
    }
}

// ---- traces ----------------------------------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToListener,
    ToCaller,
}

impl Way {
    const fn back(self) -> Self {
        match self {
            Self::ToListener => Self::ToCaller,
            Self::ToCaller => Self::ToListener,
        }
    }
}

struct Datagram {
    at: Micros,
    link: u8,
    way: Way,
    bytes: Vec<u8>,
}

struct Trace(Vec<Datagram>);

impl IntoIterator for Trace {
    type Item = Datagram;
    type IntoIter = std::vec::IntoIter<Datagram>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Case {
    fn trace(&self) -> Trace {
        let lines = self.text.lines().filter(|line| !line.starts_with('#'));
        let datagrams = lines.map(|line| {
            let mut fields = line.split(' ');
            let mut field = || fields.next().unwrap_or_else(|| panic!("{}: {line}", self.name));
            let at = Micros::from_micros(field().parse().expect("microseconds"));
            let (link, way) = field().split_at(1);
            let way = match way {
                ">" => Way::ToListener,
                "<" => Way::ToCaller,
                other => panic!("{}: {other}", self.name),
            };
            Datagram { at, link: link.parse().expect("a digit"), way, bytes: bytes(field()) }
        });
        Trace(datagrams.collect())
    }

    fn config(&self, passphrase: Option<&str>) -> Config {
        let mut config = Config::live();
        for (option, value) in [("groupconnect", "1"), ("passphrase", passphrase.unwrap_or_default())] {
            config.set_text(option, value).expect("an option");
        }
        if self.mode == Mode::Backup {
            config.set_text("peeridletimeo", "1500").expect("an option"); // as both ends had it
        }
        config
    }
}

impl Trace {
    /// What one side of a link said in handshakes, and when.
    fn handshakes(&self, link: u8, way: Way) -> Vec<(Micros, Handshake<'_>)> {
        let of_link = self.0.iter().filter(|datagram| datagram.link == link && datagram.way == way);
        of_link.filter_map(|datagram| Some((datagram.at, handshake(&datagram.bytes)?))).collect()
    }

    fn group_id(&self, way: Way) -> u32 {
        group_of(&self.handshakes(1, way)[1].1).expect("a group").id
    }

    /// The socket ID of one side of a link.
    fn socket(&self, link: u8, way: Way) -> SocketId {
        self.handshakes(link, way)[1].1.socket_id
    }

    fn isn(&self) -> SeqNumber {
        self.handshakes(1, Way::ToListener)[0].1.isn
    }

    fn data(&self, way: Way) -> impl Iterator<Item = (u8, DataPacket<'_>)> {
        let one_way = self.0.iter().filter(move |datagram| datagram.way == way);
        one_way.filter_map(|datagram| Some((datagram.link, DataPacket::parse(&datagram.bytes).ok()?)))
    }
}

/// The number of a message, and when it was given to libsrt in µs; what is in it is looked at.
fn read(message: &[u8]) -> (u64, u64) {
    let word = |at: usize| u64::from_be_bytes(message[at..at + 8].try_into().expect("eight bytes"));
    let (number, sent) = (word(0), word(8));
    for (at, byte) in message.iter().enumerate().skip(16) {
        let expected = number * 131 + number / 256 * 17 + at as u64 * 7;
        assert_eq!(*byte, expected.to_le_bytes()[0], "message {number} has changed on the way");
    }
    assert_eq!(message.len(), 40);
    (number, sent)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("two digits");
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn is_data(datagram: &[u8]) -> bool {
    DataPacket::parse(datagram).is_ok()
}

fn control(datagram: &[u8]) -> Option<Control<'_>> {
    ControlPacket::parse(datagram).ok().map(|packet| packet.control)
}

fn handshake(datagram: &[u8]) -> Option<Handshake<'_>> {
    match control(datagram)? {
        Control::Handshake(handshake) => Some(handshake),
        _ => None,
    }
}

fn group_of(handshake: &Handshake<'_>) -> Option<GroupInfo> {
    handshake.extensions.iter().find_map(|block| match block {
        Ok(Extension::Group(group)) => Some(group),
        _ => None,
    })
}

fn name_of(block: &Extension<'_>) -> &'static str {
    match block {
        Extension::HandshakeRequest(_) => "HSREQ",
        Extension::HandshakeResponse(_) => "HSRSP",
        Extension::KeyMaterialRequest(_) => "KMREQ",
        Extension::KeyMaterialResponse(_) => "KMRSP",
        Extension::StreamId(_) => "SID",
        Extension::Group(_) => "GROUP",
        _ => "another",
    }
}

fn reported(datagram: &[u8]) -> Vec<u32> {
    let Some(Control::Nak(report)) = control(datagram) else { return Vec::new() };
    let numbers = |(first, last): (SeqNumber, SeqNumber)| {
        assert!(last.distance_from(first) < 1_000, "a report of {first} to {last}");
        (0..=last.distance_from(first).unsigned_abs()).map(move |offset| (first + offset).value())
    };
    report.iter().flat_map(numbers).collect()
}

// ---- the replay ------------------------------------------------------------------------------------------------------

/// One link of the replay.
#[derive(Debug, Default)]
struct Seen {
    /// What it brought: numbers, the highest, and when the last came.
    brought: BTreeSet<u32>,
    highest: Option<SeqNumber>,
    brought_at: Option<Instant>,
    /// What we said on it.
    acks: u32,
    acknowledged: Option<SeqNumber>,
    reported: BTreeSet<u32>,
}

/// A trace being played into a group of ours, and what came of it.
struct Replay {
    now: Instant,
    config: Config,
    endpoint: Endpoint,
    group: Option<Group>,
    /// The socket IDs of our side, and the first number that each link was called with.
    sockets: BTreeMap<u32, (u8, SeqNumber)>,
    peers: BTreeMap<u8, SocketId>,
    called: BTreeMap<LinkId, u8>,
    cookies: BTreeMap<u8, u32>,
    mirror_id: u32,
    stream_id: &'static str,
    links: BTreeMap<u8, Seen>,
    counters: BTreeMap<u8, LinkCounters>,
    /// What the endpoint said to conclusions.
    answers: BTreeMap<u8, Vec<u8>>,
    /// Messages: their number, when they were given to libsrt, and when they were handed out.
    received: Vec<(u64, u64, Instant)>,
    events: Vec<Event>,
    /// What libsrt would have taken amiss.
    complaints: Vec<String>,
    state: State,
    rejected: Option<RejectReason>,
}

impl Replay {
    /// Plays what the sender of the stream said to a group of ours; `comes` decides what becomes of each datagram after the
    /// handshakes. The error is what a caller was rejected for.
    fn run(
        case: &Case,
        passphrase: Option<&str>,
        mut comes: impl FnMut(&Datagram) -> bool,
    ) -> Result<Self, RejectReason> {
        let trace = case.trace();
        let mut replay = Self::new(case, &trace, passphrase);
        for datagram in &trace.0 {
            let at = START + datagram.at;
            let is_handshake = handshake(&datagram.bytes).is_some();
            replay.pass_time(at);
            if datagram.way == case.sender {
                if is_handshake || comes(datagram) {
                    replay.deliver(case, datagram);
                }
            } else if case.sender == Way::ToCaller && is_handshake {
                replay.add_link(datagram.link);
            }
            if let Some(reason) = replay.rejected {
                return Err(reason);
            }
        }
        replay.pass_time(replay.now + Micros::from_secs(3));
        replay.state = replay.group.as_ref().expect("a group").state();
        Ok(replay)
    }

    fn new(case: &Case, trace: &Trace, passphrase: Option<&str>) -> Self {
        let config = case.config(passphrase);
        let mut endpoint = Endpoint::new([7; 16], Arc::new(Ones));
        endpoint.listen(config.clone(), 4);
        let setup = GroupSetup {
            config: config.clone(),
            mode: case.mode,
            id: trace.group_id(Way::ToListener),
            isn: trace.isn(),
            entropy: Arc::new(Ones),
        };
        let links = 1..=u8::try_from(case.weights.len()).expect("a few");
        let isn = |link| trace.handshakes(link, Way::ToListener)[0].1.isn;
        let ours = |link| (trace.socket(link, case.sender.back()).value(), (link, isn(link)));
        Self {
            now: START,
            config,
            endpoint,
            group: (case.sender == Way::ToCaller).then(|| Group::connect(START, setup)),
            sockets: links.clone().map(ours).collect(),
            peers: links.map(|link| (link, trace.socket(link, case.sender))).collect(),
            called: BTreeMap::new(),
            cookies: BTreeMap::new(),
            mirror_id: trace.group_id(Way::ToCaller),
            stream_id: case.stream_id,
            links: BTreeMap::new(),
            counters: BTreeMap::new(),
            answers: BTreeMap::new(),
            received: Vec::new(),
            events: Vec::new(),
            complaints: Vec::new(),
            state: State::Connecting,
            rejected: None,
        }
    }

    /// The numbers of the messages handed out, in that order.
    fn numbers(&self) -> Vec<u64> {
        self.received.iter().map(|received| received.0).collect()
    }

    /// From the moment a message was given to libsrt to that at which we hand it out.
    fn assert_constant_delay(&self, name: &str) {
        let delay = |&(_, sent, at): &(u64, u64, Instant)| at.as_micros().wrapping_sub(sent).cast_signed();
        let delays = || self.received.iter().map(delay);
        let (shortest, longest) = (delays().min().unwrap_or_default(), delays().max().unwrap_or_default());
        assert!(longest - shortest < 1_000, "{name}: delays differ by {} µs", longest - shortest);
    }

    /// Our caller calls a link when the captured one did.
    fn add_link(&mut self, link: u8) {
        let group = self.group.as_mut().expect("a caller");
        if !self.called.values().any(|known| *known == link) {
            let id = group.add_link(self.now, 0, None).expect("room for a few");
            self.called.insert(id, link);
            group.handle_timeout(self.now);
            self.settle();
        }
    }

    fn deliver(&mut self, case: &Case, datagram: &Datagram) {
        let mut bytes = datagram.bytes.clone();
        let link = datagram.link;
        if let Some(data) = DataPacket::parse(&bytes).ok().map(|data| data.header) {
            let seen = self.links.entry(link).or_default();
            seen.brought.insert(data.seq.value());
            seen.highest = seen.highest.max_by(data.seq);
            seen.brought_at = Some(self.now);
        }
        if case.sender == Way::ToListener {
            if handshake(&bytes).is_some_and(|read| read.kind == HandshakeKind::Conclusion) {
                bytes[COOKIE..COOKIE + 4].copy_from_slice(&self.cookies[&link].to_be_bytes());
            }
            if let Route::Connection(id) =
                self.endpoint.handle_datagram(self.now, address(link), None, &bytes)
            {
                self.group.as_mut().expect("accepted").handle_datagram(self.now, id, &bytes);
            }
            self.listen();
        } else {
            let id = destination(&bytes).expect("a header");
            self.group.as_mut().expect("a caller").handle_datagram(self.now, id, &bytes);
        }
        self.settle();
    }

    /// What the endpoint has to do and to say.
    fn listen(&mut self) {
        while let Some(incoming) = self.endpoint.poll_incoming() {
            let link = link_at(incoming.peer);
            assert_eq!(incoming.stream_id, self.stream_id.as_bytes(), "every member says it");
            let group = self.group.get_or_insert_with(|| {
                let mirror = Group::mirror(self.now, self.config.clone(), self.mirror_id, &incoming);
                mirror.expect("it names a group")
            });
            assert_eq!(group.may_join(&incoming), Ok(()));
            let ours = self.sockets.iter().find(|(_, socket)| socket.0 == link).expect("of the trace");
            let (id, terms) = (SocketId::new(*ours.0), group.terms(&incoming));
            match self.endpoint.accept_link(self.now, &incoming, &self.config, id, terms) {
                Ok(accepted) => drop(group.join(self.now, accepted).expect("room for a few")),
                Err(AcceptError::Rejected(reason)) => self.rejected = Some(reason),
                Err(other) => panic!("{other}"),
            }
        }
        let mut batch = TransmitBatch::default();
        while let Some(transmit) = self.endpoint.poll_transmit(&mut batch) {
            let link = link_at(transmit.to);
            let said = handshake(batch.bytes()).expect("an answer is a handshake");
            match said.kind {
                HandshakeKind::Induction => drop(self.cookies.insert(link, said.cookie)),
                _ => drop(self.answers.insert(link, batch.bytes().to_vec())),
            }
        }
    }

    /// Does what is due up to `until`.
    fn pass_time(&mut self, until: Instant) {
        let mut rounds = 0;
        while let Some(group) = self.group.as_mut().filter(|group| group.state() != State::Closed) {
            let timeout = group.next_timeout().map(|deadline| deadline.at);
            let next = timeout.into_iter().chain(group.next_delivery()).min();
            let Some(next) = next.filter(|next| *next <= until) else { break };
            rounds = if next > self.now { 0 } else { rounds + 1 };
            assert!(rounds < 4, "time stands still at {:?}: {:?}", self.now, group.next_timeout());
            self.now = self.now.max(next);
            group.handle_timeout(self.now);
            self.settle();
        }
        self.now = until;
    }

    /// Takes what the group has to give.
    fn settle(&mut self) {
        let now = self.now;
        let Some(mut group) = self.group.take() else { return };
        while let Some(event) = group.poll_event() {
            if let Event::Wanted(id) = event {
                let link = self.called[&id];
                let socket = self.sockets.iter().find(|(_, socket)| socket.0 == link).expect("of the trace");
                let socket = SocketId::new(*socket.0);
                group.call(now, id, LinkSetup { socket, peer: address(link), local_ip: None });
            }
            self.events.push(event);
        }
        let mut batch = TransmitBatch::default();
        while let Some((socket, transmit)) = group.poll_transmit(now, &mut batch) {
            let (link, isn) = self.sockets[&socket.value()];
            assert_eq!(transmit.to, address(link));
            for datagram in batch.bytes().chunks(transmit.segment_size) {
                self.look_at(link, isn, datagram);
            }
        }
        let mut message = Vec::new();
        loop {
            message.clear();
            match group.recv(now, &mut message) {
                Ok(received) => {
                    assert_eq!(received.play_time, now, "handed out at another time than its own");
                    let (number, sent) = read(&message);
                    self.received.push((number, sent, now));
                }
                Err(RecvError::Empty | RecvError::NotConnected | RecvError::Closed(_)) => break,
                Err(other) => panic!("{other}"),
            }
        }
        for report in group.links() {
            if let Some((link, _)) = self.sockets.get(&report.socket.value()) {
                self.counters.insert(*link, report.counters);
            }
        }
        self.group = Some(group);
    }

    /// Something leaves on a link: would the libsrt at the other end bear it?
    fn look_at(&mut self, link: u8, isn: SeqNumber, datagram: &[u8]) {
        let now = self.now;
        let seen = self.links.entry(link).or_default();
        let Packet::Control(ControlPacket { control, destination, .. }) =
            Packet::parse(datagram).expect("ours")
        else {
            self.complaints.push(format!("{now:?} link {link}: data, though nobody sends"));
            return;
        };
        let is_call = matches!(control, Control::Handshake(_));
        assert!(is_call || destination == self.peers[&link], "link {link}: to {destination:?}");
        let complaint = match control {
            Control::Ack(ack) => {
                seen.acks += 1;
                seen.acknowledged = seen.acknowledged.max_by(ack.next);
                let end = seen.highest.map_or(isn, SeqNumber::next);
                ack.next.is_after(end).then(|| format!("an ACK of {}, where {end} comes next", ack.next))
            }
            Control::Nak(report) => {
                let wrong = report.iter().find(|(first, last)| {
                    last.is_before(*first) || seen.highest.is_none_or(|highest| last.is_after(highest))
                });
                seen.reported.extend(reported(datagram));
                let there: Vec<u32> =
                    reported(datagram).into_iter().filter(|seq| seen.brought.contains(seq)).collect();
                if let Some((first, last)) = wrong {
                    Some(format!("a NAK of {first} to {last}, where {:?} was the highest", seen.highest))
                } else {
                    (!there.is_empty()).then(|| format!("a NAK of {there:x?}, which it brought"))
                }
            }
            // It would take the link for one that is not needed.
            Control::Keepalive => seen
                .brought_at
                .filter(|at| now.saturating_since(*at) < Micros::from_millis(900))
                .map(|at| format!("a KEEPALIVE, where data came at {at:?}")),
            Control::AckAck { .. } | Control::DropRequest(_) => {
                Some(format!("{control:?}, though nobody sends"))
            }
            // We announce a key of ours whether or not we send.
            Control::UserDefined { subtype: KMREQ, .. } => None,
            Control::UserDefined { subtype, .. } => Some(format!("a message of the kind {subtype}")),
            _ => None,
        };
        self.complaints.extend(complaint.map(|what| format!("{now:?} link {link}: {what}")));
    }
}

trait Later {
    /// The later of the two.
    fn max_by(self, other: SeqNumber) -> Self;
}

impl Later for Option<SeqNumber> {
    fn max_by(self, other: SeqNumber) -> Self {
        self.filter(|known| known.is_after(other)).or(Some(other))
    }
}

/// When the first datagram of a trace comes.
const START: Instant = Instant::from_micros(5_000_000);
/// Where the cookie of a handshake stands.
const COOKIE: usize = 16 + 28;

/// Where the other end of a link is.
fn address(link: u8) -> SocketAddr {
    ([192, 0, 2, link], 5_000).into()
}

fn link_at(address: SocketAddr) -> u8 {
    match address {
        SocketAddr::V4(address) => address.ip().octets()[3],
        SocketAddr::V6(address) => panic!("{address}"),
    }
}

/// Random numbers for the keys we announce, which nobody in a trace takes notice of.
#[derive(Debug)]
struct Ones;

impl Entropy for Ones {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        bytes.fill(1);
        Ok(())
    }
}
