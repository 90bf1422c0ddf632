//! One stream by several links, with the built program at both ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::fs;
use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::Duration;

use common::{Place, fails, free_port, said_until, spawn, srt, stderr};
use serde_json::Value;
use srt_impair::{Direction, Emulator, Profile, Setup};

/// Waits for a child that must succeed, and gives what it said beside what was read already.
fn succeeds(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    said
}

/// Two ports to listen at, and a receiver there that checks a test stream.
fn receiver(stats: &str) -> (u16, u16, Child) {
    let (one, two) = (free_port(), free_port());
    let [first, second] = [one, two].map(|port| format!("srt://127.0.0.1:{port}?mode=listener"));
    let mut child =
        spawn(&["receive", &first, &second, "test://", "--stats", stats, "--stats-interval", "200ms"]);
    let said = said_until(&mut child, "\n");
    let places = format!("waiting for a caller on UDP 127.0.0.1:{one} and UDP 127.0.0.1:{two}\n");
    assert_eq!(said, places);
    (one, two, child)
}

/// The records of a connection, and the events of one.
fn records(path: &str) -> (Vec<Value>, Vec<Value>) {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.partition(|value| value["event"].is_null())
}

fn is_whole(said: &str) {
    assert!(said.contains(" 0 lost (0 %)") && !said.contains("the end of the stream was not seen"), "{said}");
}

fn by_two_links(mode: &str) -> Vec<Value> {
    let place = Place::new(mode);
    let (sent, received) = (place.file("sent.json"), place.file("received.json"));
    let (one, two, receiver) = receiver(&received);
    let first = format!("srt://127.0.0.1:{one}?weight=2&latency=500&conntimeo=10000");
    let second = format!("srt://127.0.0.1:{two}?bind=127.0.0.1&weight=1&latency=500");
    let stats = ["--stats", &sent, "--stats-interval", "200ms"];
    let sender = spawn(
        &[&["send", "test://?rate=8M&duration=3s", &first, &second, "--group", mode], &stats[..]].concat(),
    );
    let said = succeeds(sender);
    let terms = format!("latency 500 ms, {mode} group of 2 links)");
    assert!(said.contains(&terms), "{said}");
    assert!(said.contains(&format!("link 1 (127.0.0.1:{one}) is up\n")), "{said}");
    assert!(said.contains(&format!("link 2 (127.0.0.1:{two} from 127.0.0.1) is up\n")), "{said}");
    assert!(!said.contains("down"), "an end in order is no news: {said}");
    let said = succeeds(receiver);
    is_whole(&said);
    assert!(said.contains("link 2 (127.0.0.1:") && !said.contains("down"), "{said}");

    let (records, events) = records(&received);
    assert!(records.iter().all(|record| record["side"] == "input" && record["pktRecvTotal"].is_u64()));
    assert!(records.iter().any(|record| record["links"].as_array().unwrap().len() == 2), "{records:?}");
    let happened = |name: &str| events.iter().filter(|event| event["event"] == name).count();
    assert_eq!((happened("connected"), happened("link_up"), happened("peer_gone")), (1, 2, 1), "{events:?}");

    let (records, events) = self::records(&sent);
    assert!(events.iter().any(|event| event["event"] == "link_up" && event["link"] == 2), "{events:?}");
    let last = records.last().unwrap();
    assert_eq!((&last["side"], &last["group"]), (&Value::from("output"), &Value::from(mode)));
    let links = last["links"].as_array().unwrap().clone();
    assert_eq!(links.len(), 2);
    for (link, (id, weight, port)) in links.iter().zip([(1, 2, one), (2, 1, two)]) {
        assert_eq!((&link["id"], &link["weight"]), (&Value::from(id), &Value::from(weight)));
        assert_eq!(link["peer"], format!("127.0.0.1:{port}"));
        assert_eq!((&link["ups"], &link["reason"]), (&Value::from(1), &Value::Null), "{link}");
        for figure in ["rtt_ms", "queueing_ms", "loss_percent", "delivered_bps", "in_flight", "packets_sent"]
        {
            assert!(link[figure].is_number(), "{figure}: {link}");
        }
        for figure in ["packets_retransmitted", "packets_received", "first_copies"] {
            assert!(link[figure].is_u64(), "{figure}: {link}");
        }
    }
    links
}

fn packets(link: &Value) -> u64 {
    link["packets_sent"].as_u64().unwrap()
}

#[test]
fn a_broadcast_group_sends_everything_by_both_links() {
    let links = by_two_links("broadcast");
    assert!(links.iter().all(|link| link["state"] == "active" && packets(link) > 500), "{links:?}");
    assert!(links.iter().all(|link| link["rate_bps"].is_null()), "nothing limits it: {links:?}");
}

#[test]
fn a_backup_group_sends_by_the_weightier_link() {
    let links = by_two_links("backup");
    assert_eq!((&links[0]["state"], &links[1]["state"]), (&Value::from("active"), &Value::from("idle")));
    assert!(packets(&links[0]) > packets(&links[1]), "{links:?}");
}

#[test]
fn a_balancing_group_sends_each_packet_by_one_link() {
    let links = by_two_links("balancing");
    assert!(links.iter().all(|link| packets(link) > 0 && link["safe_rate_bps"].is_u64()), "{links:?}");
}

/// An emulated path to a port.
fn path(port: u16) -> Emulator {
    let target = SocketAddr::from(([127, 0, 0, 1], port));
    let profile: Profile = "delay=10ms".parse().unwrap();
    let mut setup = Setup::new("127.0.0.1:0".parse().unwrap(), target);
    (setup.to_target, setup.to_client) = (profile.clone(), profile);
    Emulator::start(setup).unwrap()
}

fn survives(mode: &str) {
    let place = Place::new(&format!("death-{mode}"));
    let (sent, received) = (place.file("sent.json"), place.file("received.json"));
    let (one, two, receiver) = receiver(&received);
    let (dies, lives) = (path(one), path(two));
    let first =
        format!("srt://{}?weight=2&latency=500&conntimeo=10000&peeridletimeo=1000", dies.local_addr());
    let second = format!("srt://{}?weight=1", lives.local_addr());
    let mut sender =
        spawn(&["send", "test://?rate=4M&duration=8s", &first, &second, "--group", mode, "--stats", &sent]);
    let mut said = said_until(&mut sender, &format!("link 2 ({}) is up\n", lives.local_addr()));
    std::thread::sleep(Duration::from_secs(1));
    dies.stop().unwrap();
    let dead = format!(
        "link 1 ({}) is down: the peer fell silent; trying again\n",
        first.split(['/', '?']).nth(2).unwrap()
    );
    said += &said_until(&mut sender, &dead);
    said += &succeeds(sender);
    assert!(!said.contains("all links are down") && said.matches("is down").count() == 1, "once: {said}");
    is_whole(&succeeds(receiver));
    let (records, events) = records(&sent);
    let down = events.iter().find(|event| event["event"] == "link_down").unwrap();
    assert_eq!((&down["link"], &down["reason"]), (&Value::from(1), &Value::from("the peer fell silent")));
    assert!(down["time"].is_string(), "{down}");
    let links = &records.last().unwrap()["links"];
    assert!(["down", "connecting"].contains(&links[0]["state"].as_str().unwrap()), "{links}");
    assert!(links[0]["reason"].is_string() && links[1]["reason"].is_null(), "{links}");
    if mode == "backup" {
        assert!(said.contains("switched from link 1 to link 2"), "{said}");
        assert!(
            events
                .iter()
                .any(|event| event["event"] == "switched" && event["from"] == 1 && event["link"] == 2)
        );
    }
}

#[test]
fn nothing_is_lost_when_a_link_of_a_broadcast_group_dies() {
    survives("broadcast");
}

#[test]
fn nothing_is_lost_when_the_main_link_of_a_backup_group_dies() {
    survives("backup");
}

#[test]
fn nothing_is_lost_when_a_link_of_a_balancing_group_dies() {
    survives("balancing");
}

#[test]
fn a_link_that_was_away_comes_back_and_a_stream_without_links_goes_on() {
    let place = Place::new("outage");
    let (one, _, receiver) = receiver(&place.file("received.json"));
    let way = path(one);
    let address = format!("srt://{}?latency=500&conntimeo=10000&peeridletimeo=1000", way.local_addr());
    let mut sender = spawn(&["send", "test://?rate=1M&duration=25s", &address, "--group", "broadcast"]);
    said_until(&mut sender, "group of 1 link)\n");
    said_until(&mut sender, "is up\n");
    for direction in [Direction::ToTarget, Direction::ToClient] {
        way.outage(direction, Duration::from_secs(7));
    }
    said_until(&mut sender, "all links are down; what is sent waits, and is given up when it is too late\n");
    said_until(&mut sender, "is up\n");
    said_until(&mut sender, "resumed: there is a link again\n");
    succeeds(sender);
    let output = receiver.wait_with_output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "seconds are missing: {said}");
    assert!(said.contains("resumed: there is a link again\n"), "{said}");
    assert!(said.contains("the test stream arrived broken") && !said.contains("was not seen"), "{said}");
}

#[test]
fn a_listener_sends_to_a_group_that_calls() {
    let place = Place::new("pull");
    let received = place.file("received.json");
    let (one, two) = (free_port(), free_port());
    let [first, second] = [one, two].map(|port| format!("srt://127.0.0.1:{port}?mode=listener"));
    let sender = spawn(&["send", "test://?rate=4M&duration=3s", &first, &second]);
    let [first, second] =
        [one, two].map(|port| format!("srt://127.0.0.1:{port}?conntimeo=10000&latency=300"));
    let receiver = spawn(&["receive", &first, &second, "test://", "--stats", &received, "--group", "backup"]);
    let said = succeeds(receiver);
    is_whole(&said);
    assert!(said.contains("latency 300 ms, backup group of 2 links)"), "{said}");
    let said = succeeds(sender);
    assert!(said.contains("backup group)") && said.contains("link 2 (127.0.0.1:"), "{said}");
    let (records, _) = records(&received);
    let links = &records.last().unwrap()["links"];
    assert!(links[0]["packets_received"].as_u64().unwrap() > 0, "{links}");
}

#[test]
fn a_group_has_the_place_and_a_second_caller_is_told_so() {
    let place = Place::new("place");
    let (one, two, receiver) = receiver(&place.file("received.json"));
    let first = format!("srt://127.0.0.1:{one}?conntimeo=10000");
    let second = format!("srt://127.0.0.1:{two}");
    let mut sender = spawn(&["send", "test://?rate=2M&duration=4s", &first, &second]);
    said_until(&mut sender, "link 2 (");
    for port in [one, two] {
        fails(&["send", "test://", &format!("srt://127.0.0.1:{port}")], 1, "rejected");
    }
    let both = [one, two].map(|port| format!("srt://127.0.0.1:{port}"));
    let says = format!("srt: no link of the group came to be: {}: refused: ", both[0]);
    let output = srt(&["send", "test://", &both[0], &both[1]]);
    assert!(
        stderr(&output).starts_with(&says) && stderr(&output).lines().count() == 1,
        "{}",
        stderr(&output)
    );
    succeeds(sender);
    is_whole(&succeeds(receiver));
}

#[test]
fn each_link_has_its_own_passphrase_or_that_of_the_first() {
    let place = Place::new("secrets");
    let (one, two) = (free_port(), free_port());
    let receiver = spawn(&[
        "receive",
        &format!("srt://127.0.0.1:{one}?mode=listener&passphrase=open%20sesame"),
        &format!("srt://127.0.0.1:{two}?mode=listener&passphrase=open%20barley"),
        "test://",
        "--stats",
        &place.file("received.json"),
    ]);
    let first = format!("srt://127.0.0.1:{one}?conntimeo=10000&passphrase=open%20sesame&pbkeylen=32");
    let second = format!("srt://127.0.0.1:{two}?passphrase=open%20barley");
    let third = format!("srt://127.0.0.1:{one}?bind=127.0.0.1");
    let said = succeeds(spawn(&["send", "test://?rate=2M&duration=2s", &first, &second, &third]));
    for link in 1..=3 {
        assert!(said.contains(&format!("link {link} (")), "{said}");
    }
    assert!(!said.contains("down") && !said.contains("open"), "{said}");
    is_whole(&succeeds(receiver));
}

#[test]
fn addresses_that_do_not_go_together_are_wrong_usage() {
    let wrong = |addresses: &[&str], says: &str| {
        let output = srt(&[&["send", "test://"], addresses].concat());
        assert_eq!(
            (stderr(&output).as_str(), output.status.code()),
            (format!("srt: {says}\n").as_str(), Some(2))
        );
    };
    let one = "srt://127.0.0.1:9001";
    wrong(
        &[one, "srt://127.0.0.1:9002", one],
        "srt://127.0.0.1:9001: two links go to the same place the same way; give them different local addresses or interfaces",
    );
    wrong(
        &["srt://127.0.0.1:9001?latency=200", "srt://127.0.0.1:9002?latency=300"],
        "srt://127.0.0.1:9002?latency=300: latency=300 contradicts the first address, which has 200; say it there, for all links",
    );
    wrong(
        &[one, "srt://127.0.0.1:9002?streamid=a"],
        "srt://127.0.0.1:9002?streamid=a: streamid=a contradicts the first address, which has none; say it there, for all links",
    );
    for beside in ["srt://:9002", "srt://127.0.0.1:9002?mode=listener"] {
        let says = "it listens, and cannot be a link beside addresses that call; give srt://HOST:PORT";
        wrong(&[one, beside], &format!("{beside}: {says}"));
        wrong(&[beside, one], &format!("{beside}: {says}"));
    }
    wrong(
        &[one, "srt://127.0.0.1:9002?weight=heavy"],
        "srt://127.0.0.1:9002?weight=heavy: weight=heavy is not possible; allowed: 0 to 32767",
    );
    wrong(
        &["srt://:9002", "--group", "backup"],
        "--group: the caller says how links are used; leave it out where you listen",
    );
    wrong(
        &[one, "udp://127.0.0.1:9002"],
        "udp://127.0.0.1:9002: an SRT address is needed here: srt://HOST:PORT to call, srt://:PORT to listen",
    );
    let many: Vec<String> = (1..=17).map(|port| format!("srt://127.0.0.1:{port}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    wrong(&many, "srt://127.0.0.1:17: a group has at most 16 links");
    fails(&["send", "test://", one, "--group", "bonded"], 2, "possible values: broadcast, backup, balancing");
}

#[test]
fn why_no_link_came_to_be_is_said_for_each() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let first = format!("srt://{}?conntimeo=300", silent.local_addr().unwrap());
    let second = format!("{first}&adapter=no-such-if0");
    let third = format!("{first}&bind=192.0.2.7");
    let output = srt(&["send", "test://", &first, &second, &third]);
    let says = format!(
        "srt: no link of the group came to be: {first}: the peer did not answer; {second}: there is no network interface \
         \"no-such-if0\"; {third}: 192.0.2.7 is no address of this machine\n"
    );
    assert_eq!((stderr(&output), output.status.code()), (says, Some(1)));
}

#[test]
fn the_compatible_face_takes_a_group_as_libsrt_writes_it() {
    let place = Place::new("face-group");
    for mode in ["broadcast", "backup", "balancing"] {
        let (one, two, receiver) = receiver(&place.file("received.json"));
        let group = format!(
            "srt:////group?type={mode}&latency=400&nodes=127.0.0.1:{one}?weight=2?srto.conntimeo=10000,127.0.0.1:{two}?source=127.0.0.1:0"
        );
        let mut command = place.named("srt-live-transmit");
        let input = "test://?rate=2M&duration=2s";
        let sender = command.args([input, &group, "-a:no"]).stderr(Stdio::piped()).spawn().unwrap();
        let said = succeeds(sender);
        assert!(
            said.contains("SRT target connected\n")
                && said.contains(&format!("127.0.0.1:{two} from 127.0.0.1")),
            "{said}"
        );
        let said = succeeds(receiver);
        is_whole(&said);
        assert!(said.contains("latency 400 ms"), "{said}");
    }
    let (one, two) = (free_port(), free_port());
    let [first, second] = [one, two].map(|port| format!("srt://127.0.0.1:{port}?mode=listener"));
    let sender = spawn(&["send", "test://?rate=2M&duration=2s", &first, &second]);
    let group = format!("srt:////group?nodes=127.0.0.1:{one},127.0.0.1:{two}&conntimeo=10000");
    is_whole(&succeeds(spawn(&["transmit", &group, "test://"])));
    succeeds(sender);
    for (wrong, says) in [
        (
            "srt:////group?type=bond&nodes=h:1",
            "type=bond is not possible; allowed: broadcast, backup or balancing",
        ),
        ("srt:////group?type=backup", "names no links; write nodes=HOST:PORT,HOST:PORT"),
        (
            "srt:////group?nodes=h:1&mode=listener",
            "mode=listener is not possible; allowed: caller, for a group calls",
        ),
        ("srt:////group?nodes=h:1?wait=2", "srt://h:1?wait=2&mode=caller: unknown parameter `wait`"),
    ] {
        fails(&["transmit", "test://", wrong], 2, says);
    }
}
