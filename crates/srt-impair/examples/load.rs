//! What the emulator itself can carry, and how exact it is: a paced load both ways over the loopback interface.
//!
//! `cargo run --release -p srt-impair --example load -- [MBPS] [SECONDS] [PROFILE]` (default: 100, 5, `delay=20ms`).
//! Give a profile without jitter or loss: every deviation that is printed is then the emulator's, the kernel's or
//! the receiving thread's.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures for a human: small counts and times"
)]

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use srt_impair::{Emulator, Profile, Setup};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const SIZE: usize = 1_316;

fn main() -> Outcome<()> {
    let mut arguments = std::env::args().skip(1);
    let mbps: u64 = arguments.next().map_or(Ok(100), |text| text.parse())?;
    let seconds: u64 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let profile: Profile = arguments.next().unwrap_or_else(|| "delay=20ms".to_owned()).parse()?;

    let (target, client) = (socket()?, socket()?);
    let mut setup = Setup::new((Ipv4Addr::LOCALHOST, 0).into(), target.local_addr()?);
    (setup.to_target, setup.to_client) = (profile.clone(), profile.clone());
    let emulator = Emulator::start(setup)?;
    client.connect(emulator.local_addr())?;
    // One datagram ahead, so that the target knows whom to answer.
    client.send(&[])?;
    let (_, upstream) = target.recv_from(&mut [0; SIZE])?;
    target.connect(upstream)?;

    let epoch = Instant::now();
    let packets = mbps * 1_000_000 * seconds / (8 * SIZE as u64);
    let gap = Duration::from_secs(seconds).div_f64(packets as f64);
    println!("{mbps} Mb/s each way for {seconds} s: {packets} datagrams of {SIZE} bytes, {profile}");
    let cpu = std::thread::scope(|scope| -> Outcome<Option<Duration>> {
        let senders = [&client, &target].map(|socket| scope.spawn(move || send(socket, epoch, packets, gap)));
        let receivers = [("to client", &client), ("to target", &target)]
            .map(|(name, socket)| (name, scope.spawn(move || receive(socket, epoch))));
        for sender in senders {
            sender.join().map_err(|_| "a sender panicked")??;
        }
        let cpu = cpu_time();
        for (name, receiver) in receivers {
            let mut delays = receiver.join().map_err(|_| "a receiver panicked")?;
            delays.sort_unstable();
            let expected = i64::try_from(profile.delay_us)?;
            let off =
                |share: f64| delays.get((delays.len() as f64 * share) as usize).map(|&us| us - expected);
            println!(
                "{name}: {} of {packets} received; delay beyond the profile's: median {:?}, 99 % {:?}, 99.9 % {:?}, most {:?} us",
                delays.len(),
                off(0.5),
                off(0.99),
                off(0.999),
                delays.last().map(|&us| us - expected)
            );
        }
        Ok(cpu)
    })?;
    println!("{}", emulator.stop()?);
    if let Some(cpu) = cpu {
        println!(
            "CPU of the emulator's thread: {:.1} % of a core",
            cpu.as_secs_f64() / seconds as f64 * 100.0
        );
    }
    Ok(())
}

fn socket() -> Outcome<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    socket.set_recv_buffer_size(8 << 20)?;
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    Ok(socket.into())
}

/// Evenly spaced, each datagram with the time it left.
fn send(socket: &UdpSocket, epoch: Instant, packets: u64, gap: Duration) -> Outcome<()> {
    let begin = Instant::now();
    let mut datagram = [0; SIZE];
    for number in 0..packets {
        let due = begin + Duration::from_nanos(gap.as_nanos() as u64 * number);
        let early = due.saturating_duration_since(Instant::now());
        if !early.is_zero() {
            std::thread::sleep(early);
        }
        datagram[..8].copy_from_slice(&(epoch.elapsed().as_micros() as u64).to_be_bytes());
        socket.send(&datagram)?;
    }
    Ok(())
}

/// The delays of all datagrams, in µs, until none has come for a while.
fn receive(socket: &UdpSocket, epoch: Instant) -> Vec<i64> {
    let mut delays = Vec::new();
    let mut datagram = [0; SIZE];
    while let Ok(SIZE) = socket.recv(&mut datagram) {
        let now = epoch.elapsed().as_micros() as u64;
        let sent = datagram.first_chunk().map_or(0, |stamp| u64::from_be_bytes(*stamp));
        delays.push(now.wrapping_sub(sent) as i64);
    }
    delays
}

/// CPU time of the thread named like the emulator's, on Linux.
fn cpu_time() -> Option<Duration> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?.flatten();
    let task = tasks.map(|task| task.path()).find(|task| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "srt-impair")
    })?;
    let text = std::fs::read_to_string(task.join("schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
