//! Sends everything back to whoever sent it, any number of callers at once, as tasks of tokio: `async_echo 0.0.0.0:9000`.
//!
//! Callers say what they want with their stream ID; those who do not want an echo are refused.

use srt::{
    Decision, Options, RejectReason,
    aio::{SrtListener, SrtSocket},
};

#[tokio::main]
async fn main() -> Result<(), srt::Error> {
    let local = std::env::args().nth(1).unwrap_or_else(|| "0.0.0.0:9000".to_owned());
    let listener =
        SrtListener::bind_with_hook(local, &Options::new(), |caller| match &*caller.stream_id_text() {
            "" | "echo" => Decision::Accept,
            _ => Decision::Reject(RejectReason::NOT_FOUND),
        })?;
    println!("waiting for callers at {}", listener.local_addr());
    loop {
        let (socket, peer) = listener.accept().await?;
        tokio::spawn(async move {
            println!("{peer} is there");
            match echo(socket).await {
                Err(error) if !error.is_end_of_stream() => println!("{peer}: {error}"),
                _ => println!("{peer} is gone"),
            }
        });
    }
}

async fn echo(socket: SrtSocket) -> Result<(), srt::Error> {
    let mut buffer = [0; 1456];
    loop {
        let len = socket.recv(&mut buffer).await?;
        socket.send(&buffer[..len]).await?;
    }
}
