//! Groups through the public API, on loopback.
#![expect(clippy::unwrap_used, reason = "a test")]

use std::{thread, time::Duration};

use srt::{GroupEvent, GroupLink, GroupMode, LinkState, Options, SrtGroup, SrtListener};

fn options() -> Options {
    Options::new().latency(Duration::from_millis(200)).receive_timeout(Some(Duration::from_secs(10)))
}

fn stream(mode: GroupMode) {
    let one = SrtListener::bind("127.0.0.1:0", &options().group_connect(true)).unwrap();
    let two = SrtListener::bind("127.0.0.1:0", &options().group_connect(true)).unwrap();
    let links = [GroupLink::to(one.local_addr()).weight(2), GroupLink::to(two.local_addr()).weight(1)];
    let group = SrtGroup::connect(mode, links, &options()).unwrap();
    let (socket, _) = one.accept_timeout(Duration::from_secs(5)).unwrap();
    let mirror = socket.group().expect("a group has called");
    let sender = thread::spawn(move || {
        for number in 0..2_000_u32 {
            group.send(&[&number.to_be_bytes()[..], &[7; 1_000]].concat()).unwrap();
            thread::sleep(Duration::from_micros(500));
        }
        let links = group.links();
        group.close().unwrap();
        links
    });
    let mut buffer = [0; 1_456];
    for number in 0..2_000_u32 {
        let len = socket.recv(&mut buffer).unwrap();
        assert_eq!((len, u32::from_be_bytes(buffer[..4].try_into().unwrap())), (1_004, number));
    }
    assert!(socket.recv(&mut buffer).unwrap_err().is_end_of_stream());
    let links = sender.join().unwrap();
    assert!(links.iter().all(|link| link.ups == 1), "{links:?}");
    match mode {
        GroupMode::Broadcast => {
            assert!(links.iter().all(|link| link.state == LinkState::Active), "{links:?}")
        }
        GroupMode::Backup => {
            assert_eq!(links[0].state, LinkState::Active, "{links:?}");
            assert_eq!(links[1].state, LinkState::Idle, "{links:?}");
        }
        _ => {}
    }
    assert!(
        std::iter::from_fn(|| mirror.try_event()).any(|(_, event)| matches!(event, GroupEvent::LinkUp(_)))
    );
}

#[test]
fn a_broadcast_group_comes_by_two_ports() {
    stream(GroupMode::Broadcast);
}

#[test]
fn a_backup_group_comes_by_two_ports() {
    stream(GroupMode::Backup);
}

#[test]
fn a_balancing_group_comes_by_two_ports() {
    stream(GroupMode::Balancing);
}
