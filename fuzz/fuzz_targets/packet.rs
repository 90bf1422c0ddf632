//! Any datagram: parsing never panics, and what was understood can be said again and means the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use srt_fuzz::wire;
use srt_protocol::packet::{Control, ControlPacket, HEADER_SIZE, Packet, destination};

fuzz_target!(|datagram: &[u8]| {
    assert_eq!(destination(datagram).is_some(), datagram.len() >= HEADER_SIZE);
    let packet = match Packet::parse(datagram) {
        Ok(packet) => packet,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let again = wire::written(&packet);
    assert_eq!(destination(&again), destination(datagram));
    assert_eq!(Packet::parse(&again), Ok(padded(packet)));
    // From then on nothing changes any more.
    assert_eq!(Packet::parse(&again).map(|packet| wire::written(&packet)), Ok(again));
});

/// What a packet reads as once it was written: an empty user-defined content gains the pad libsrt sends.
fn padded(packet: Packet<'_>) -> Packet<'_> {
    match packet {
        Packet::Control(ControlPacket {
            timestamp,
            destination,
            control: Control::UserDefined { subtype, info, content: [] },
        }) => {
            let control = Control::UserDefined { subtype, info, content: &[0; 4] };
            Packet::Control(ControlPacket { timestamp, destination, control })
        }
        other => other,
    }
}
