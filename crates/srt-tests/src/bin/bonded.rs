//! A load over a group, for tries against other people's groups: `bonded --help`.
//!
//! Each message starts with its number and the time it was sent at (8 bytes each, big-endian; the time in µs of the system's
//! monotonic clock); the other bytes follow from the number. The receiver tells what it lost, what came twice or out of order, and
//! how long messages took.

use std::{
    net::SocketAddr,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};
use srt::{Error, GroupEvent, GroupLink, GroupMode, Options, SrtGroup, SrtListener, SrtSocket, time_now};
use srt_impair::{Direction, Emulator, Profile, Setup};

/// Sends or receives a numbered stream over a group.
#[derive(Debug, Parser)]
struct Args {
    /// What to do.
    #[arg(value_enum)]
    role: Role,
    /// Where: `HOST:PORT,weight=N,from=IP:PORT,then=SECONDS/PROFILE,PROFILE`, all but the first optional. A caller puts an emulator
    /// that does what PROFILE says before it. A listener listens on each.
    #[arg(required = true)]
    places: Vec<String>,
    /// Which link carries what.
    #[arg(long, value_enum, default_value = "broadcast")]
    mode: Mode,
    /// In milliseconds.
    #[arg(long, default_value_t = 300)]
    latency: u64,
    /// Bits of payload per second.
    #[arg(long, default_value_t = 8_000_000)]
    rate: u64,
    /// Bytes of a message.
    #[arg(long, default_value_t = 1_316)]
    size: usize,
    /// How long a sender sends.
    #[arg(long, default_value_t = 10.0)]
    seconds: f64,
    /// Options by name: NAME=VALUE.
    #[arg(long = "option")]
    options: Vec<String>,
    /// Show what happens as it happens.
    #[arg(long)]
    events: bool,
    /// Show how the links stand every so many seconds.
    #[arg(long)]
    every: Option<f64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Call and send.
    Send,
    /// Listen and receive.
    Receive,
    /// Listen and send.
    ServeSend,
    /// Call and receive.
    CallReceive,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Broadcast,
    Backup,
    Balancing,
}

/// A link of a caller, and what stands before it.
struct Way {
    to: SocketAddr,
    weight: u16,
    from: Option<SocketAddr>,
    emulator: Option<Emulator>,
    later: Vec<(f64, Profile)>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bonded: {error}");
            ExitCode::FAILURE
        }
    }
}

type Fault = Box<dyn std::error::Error>;

fn run(args: &Args) -> Result<(), Fault> {
    let mut options = Options::new()
        .latency(Duration::from_millis(args.latency))
        .receive_timeout(Some(Duration::from_secs(20)))
        .group_connect(true);
    for option in &args.options {
        let (name, value) = option.split_once('=').ok_or("an option is NAME=VALUE")?;
        options.set_text(name, value)?;
    }
    match args.role {
        Role::Send | Role::CallReceive => {
            let ways = args.places.iter().map(|place| way(place)).collect::<Result<Vec<_>, _>>()?;
            let links = ways.iter().map(|way| {
                let to = way.emulator.as_ref().map_or(way.to, Emulator::local_addr);
                let link = GroupLink::to(to).weight(way.weight);
                way.from.map_or_else(|| link.clone(), |from| link.clone().from(from))
            });
            let mode = match args.mode {
                Mode::Broadcast => GroupMode::Broadcast,
                Mode::Backup => GroupMode::Backup,
                Mode::Balancing => GroupMode::Balancing,
            };
            let group = SrtGroup::connect(mode, links, &options)?;
            let begun = Instant::now();
            let over = AtomicBool::new(false);
            let over = &over;
            thread::scope(|scope| {
                for way in &ways {
                    scope.spawn(move || change(way, begun, over));
                }
                let watched = group.clone();
                scope.spawn(move || watch(args, &watched, begun, over));
                let done = if matches!(args.role, Role::Send) { send(args, &group) } else { receive(&group) };
                show_links(&group);
                let closed = group.close();
                over.store(true, Ordering::Relaxed);
                if let Err(error) = closed {
                    println!("close: {error}");
                }
                // The last words are still in the emulators.
                thread::sleep(Duration::from_millis(500));
                done
            })
        }
        Role::Receive | Role::ServeSend => {
            let listeners = args
                .places
                .iter()
                .map(|place| SrtListener::bind(place.as_str(), &options))
                .collect::<Result<Vec<_>, _>>()?;
            let socket = loop {
                let found = listeners.iter().find_map(|listener| listener.try_accept().ok());
                match found {
                    Some((socket, _)) => break socket,
                    None => thread::sleep(Duration::from_millis(5)),
                }
            };
            if matches!(args.role, Role::Receive) {
                receive(&socket)?;
            } else {
                send(args, &socket)?;
            }
            if let Some(group) = socket.group() {
                show_links(&group);
                if args.events {
                    while let Some((at, event)) = group.try_event() {
                        println!("{:.3} {event:?}", at.as_micros() as f64 / 1e6);
                    }
                }
            }
            if let Err(error) = socket.close() {
                println!("close: {error}");
            }
            Ok(())
        }
    }
}

fn way(text: &str) -> Result<Way, Fault> {
    let mut parts = text.split(',');
    let to = parts.next().unwrap_or_default().parse()?;
    let (mut weight, mut from, mut later, mut profile) = (0, None, Vec::new(), Vec::new());
    for part in parts {
        match part.split_once('=') {
            Some(("weight", value)) => weight = value.parse()?,
            Some(("from", value)) => from = Some(value.parse()?),
            Some(("then", value)) => {
                let (at, what) = value.split_once('/').ok_or("then=SECONDS/PROFILE")?;
                later.push((at.parse()?, what.replace(';', ",").parse()?));
            }
            _ => profile.push(part),
        }
    }
    let emulator = if profile.is_empty() && later.is_empty() {
        None
    } else {
        let profile: Profile = profile.join(",").parse()?;
        let mut setup = Setup::new(SocketAddr::from(([127, 0, 0, 1], 0)), to);
        (setup.to_target, setup.to_client) = (profile.clone(), profile);
        Some(Emulator::start(setup)?)
    };
    Ok(Way { to, weight, from, emulator, later })
}

/// Lets a link become another when its time comes.
fn change(way: &Way, begun: Instant, over: &AtomicBool) {
    let Some(emulator) = &way.emulator else { return };
    for (at, profile) in &way.later {
        while begun.elapsed().as_secs_f64() < *at {
            if over.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        for direction in [Direction::ToTarget, Direction::ToClient] {
            if let Err(error) = emulator.set_profile(direction, profile.clone()) {
                eprintln!("bonded: {error}");
            }
        }
    }
}

fn watch(args: &Args, group: &SrtGroup, begun: Instant, over: &AtomicBool) {
    let mut shown = begun;
    while !over.load(Ordering::Relaxed) {
        while let Some((_, event)) = group.wait_event(Duration::from_millis(100)) {
            if args.events && !matches!(event, GroupEvent::SendDropped(_)) {
                println!("{:8.3} {event:?}", begun.elapsed().as_secs_f64());
            }
        }
        if let Some(every) = args.every
            && shown.elapsed().as_secs_f64() >= every
        {
            shown = Instant::now();
            println!("{:8.3}", begun.elapsed().as_secs_f64());
            show_links(group);
        }
    }
}

fn show_links(group: &SrtGroup) {
    for link in group.links() {
        println!(
            "  link {} {:<10} rtt {:>5.1} ms queue {:>5.1} ms loss {:>2}% rate {:>7.2} Mb/s delivered {:>6.2} sent {} again {} lost {} received {} first {} ups {} {:?} {:?}",
            link.id,
            link.state.name(),
            link.rtt.as_micros() as f64 / 1e3,
            link.queueing.as_micros() as f64 / 1e3,
            link.loss_percent,
            link.rate.unwrap_or(0) as f64 * 8.0 / 1e6,
            link.delivered_bps as f64 * 8.0 / 1e6,
            link.counters.sent_packets,
            link.counters.retransmitted_packets,
            link.counters.reported_lost_packets,
            link.counters.received_packets,
            link.first_copies,
            link.ups,
            link.capacity,
            link.down,
        );
    }
}

fn send(args: &Args, socket: &SrtSocket) -> Result<(), Fault> {
    let begun = Instant::now();
    let period = Duration::from_secs_f64(args.size as f64 * 8.0 / args.rate as f64);
    let (mut number, mut refused) = (0_u64, 0_u64);
    let mut message = vec![0; args.size.max(16)];
    while begun.elapsed().as_secs_f64() < args.seconds {
        let due = begun + period.mul_f64(number as f64);
        let now = Instant::now();
        if due > now {
            // A millisecond worth of messages at a time, as an encoder gives them.
            thread::sleep((due - now).clamp(Duration::from_millis(1), Duration::from_millis(20)));
            continue;
        }
        message[..8].copy_from_slice(&number.to_be_bytes());
        message[8..16].copy_from_slice(&time_now().as_micros().to_be_bytes());
        for (at, byte) in message.iter_mut().enumerate().skip(16) {
            *byte = pattern(number, at);
        }
        match socket.try_send(&message) {
            Ok(_) => {}
            Err(Error::WouldBlock) => refused += 1,
            Err(error) => {
                println!("send ended after {number}: {error}");
                break;
            }
        }
        number += 1;
    }
    let stats = socket.stats(false);
    println!(
        "{{\"sent\": {}, \"refused\": {refused}, \"dropped\": {}, \"wire_packets\": {}, \"again\": {}}}",
        number - refused,
        stats.pkt_snd_drop_total,
        stats.pkt_sent_total,
        stats.pkt_retrans_total
    );
    Ok(())
}

/// What stands in byte `at` of a message.
#[expect(clippy::cast_possible_truncation, reason = "a pattern")]
const fn pattern(number: u64, at: usize) -> u8 {
    let at = at as u64;
    (number.wrapping_mul(131).wrapping_add((number >> 8) * 17).wrapping_add(at * 7 + (at >> 8))) as u8
}

fn receive(socket: &SrtSocket) -> Result<(), Fault> {
    let mut buffer = [0; 2_048];
    let (mut next, mut received, mut lost, mut backwards) = (None, 0_u64, 0_u64, 0_u64);
    let mut delays: Vec<u64> = Vec::new();
    let error = loop {
        let len = match socket.recv(&mut buffer) {
            Ok(len) => len,
            Err(error) => break error,
        };
        let word = |at: usize| {
            buffer[..len]
                .get(at..at + 8)
                .map_or(0, |word| u64::from_be_bytes(word.try_into().unwrap_or_default()))
        };
        let (number, sent) = (word(0), word(8));
        delays.push(time_now().as_micros().saturating_sub(sent));
        received += 1;
        match next {
            Some(next) if number < next => backwards += 1,
            Some(next) => lost += number - next,
            None => lost += number,
        }
        next = Some(number + 1);
    };
    delays.sort_unstable();
    let share = |per_mille: usize| {
        let index = (delays.len() * per_mille / 1000).min(delays.len().saturating_sub(1));
        delays.get(index).copied().unwrap_or(0) as f64 / 1e3
    };
    println!(
        "{{\"received\": {received}, \"lost\": {lost}, \"backwards\": {backwards}, \"delay_ms\": {{\"least\": {:.1}, \"median\": {:.1}, \"p99\": {:.1}, \"most\": {:.1}}}, \"end\": \"{error}\"}}",
        share(0),
        share(500),
        share(990),
        share(1000)
    );
    Ok(())
}
