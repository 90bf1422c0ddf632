//! Sends what comes on standard input, paced by whoever writes it: `ffmpeg … -f mpegts - | sender srt://host:9000`.

use srt::{Error, SrtUri};
use std::io::Read;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let uri: SrtUri = std::env::args().nth(1).ok_or("usage: sender srt://host:port?latency=200")?.parse()?;
    let socket = uri.connect()?;
    eprintln!("connected to {}", socket.peer_addr());

    let mut input = std::io::stdin().lock();
    let mut buffer = [0; 1316]; // seven packets of MPEG-TS
    loop {
        let len = input.read(&mut buffer)?;
        if len == 0 {
            break;
        }
        match socket.send(&buffer[..len]) {
            Ok(_) => {}
            Err(Error::Closed(reason)) => return Err(reason.into()),
            Err(error) => eprintln!("{error}"),
        }
    }
    socket.close()?; // waits until the peer has everything, or tells that it has not
    let stats = socket.stats(false);
    eprintln!("{} packets sent, {} of them again", stats.pkt_sent_total, stats.pkt_retrans_total);
    Ok(())
}
