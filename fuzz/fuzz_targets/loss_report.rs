//! A NAK's content: the ranges it names are in order, and written again they are the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use srt_fuzz::wire;
use srt_protocol::{
    packet::{Control, ControlPacket, HEADER_SIZE, LossReport, Packet},
    types::SocketId,
};

fuzz_target!(|content: &[u8]| {
    let mut datagram = wire::control_header(3);
    datagram.extend_from_slice(content);
    let Ok(Packet::Control(ControlPacket { control: Control::Nak(report), .. })) = Packet::parse(&datagram)
    else {
        // A report nobody has checked is read up to where it breaks.
        assert!(LossReport::Wire(content).iter().count() <= content.len() / 4);
        return;
    };
    let ranges: Vec<_> = report.iter().collect();
    let mut words = 0;
    for &(first, last) in &ranges {
        assert!(last.distance_from(first) >= 0, "{first} to {last}");
        words += LossReport::wire_words((first, last));
    }
    let again = wire::control(0, SocketId::HANDSHAKE, Control::Nak(LossReport::Ranges(&ranges)));
    assert_eq!(again.len(), HEADER_SIZE + 4 * words);
    assert!(again.len() <= datagram.len(), "our own form is the shortest");
    let Ok(Packet::Control(ControlPacket { control: Control::Nak(same), .. })) = Packet::parse(&again) else {
        panic!("not read again: {ranges:?}");
    };
    assert_eq!(same, report);
});
