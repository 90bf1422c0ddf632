//! Waits for one caller and writes what it sends to standard output: `receiver srt://:9000 | ffplay -`.

use srt::{MessageBatch, SrtUri};
use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let uri: SrtUri = std::env::args().nth(1).ok_or("usage: receiver srt://:port?latency=200")?.parse()?;
    let listener = uri.listen()?;
    eprintln!("waiting for a caller at {}", listener.local_addr());
    let (socket, peer) = listener.accept()?;
    eprintln!("{peer} is there, stream ID {:?}", String::from_utf8_lossy(&socket.stream_id()));

    let mut output = std::io::stdout().lock();
    let mut batch = MessageBatch::new();
    loop {
        match socket.recv_batch(&mut batch) {
            Ok(_) => {
                for (_, data) in &batch {
                    output.write_all(data)?;
                }
                output.flush()?;
            }
            Err(error) if error.is_end_of_stream() => break,
            Err(error) => return Err(error.into()),
        }
    }
    let stats = socket.stats(false);
    eprintln!("{} packets received, {} lost for good", stats.pkt_recv_total, stats.pkt_rcv_drop_total);
    Ok(())
}
