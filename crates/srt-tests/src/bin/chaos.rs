//! Both ends of a group in chaos, through real sockets and the emulator: `chaos --help`.
//!
//! The plan is the one of its seed that the simulation runs, too ([`srt_tests::chaos`]), and so is the judge; only what became of each
//! packet on each link is not known here.

use std::{
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use clap::{Parser, ValueEnum};
use srt::{
    Error, GroupEvent, GroupLink, GroupMode, LinkId, Options, SrtGroup, SrtListener, SrtSocket, time_now,
};
use srt_impair::{Direction, Emulator, Setup};
use srt_tests::{
    bonded::{Change, PAYLOAD, Plan},
    chaos::{Evidence, judge, plan},
};

/// Runs a group through a plan of chaos, and judges what it lost.
#[derive(Debug, Parser)]
struct Args {
    /// Which link carries what.
    #[arg(value_enum)]
    mode: Mode,
    /// Of the plan; as `0x1f` or `31`.
    #[arg(long, default_value = "1")]
    seed: String,
    /// How long it goes on.
    #[arg(long, default_value_t = 60.0)]
    seconds: f64,
    /// Show what happens, and the plan.
    #[arg(long)]
    events: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    Broadcast,
    Backup,
    Balancing,
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("chaos: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What is written down on the way.
#[derive(Debug, Default)]
struct Notes {
    /// The links of the caller that came up, and when, by the way they go; and until when.
    ups: Vec<Vec<(f64, f64)>>,
    /// Which way a link goes.
    ways: Vec<(LinkId, usize)>,
}

/// One link's way: the emulator before it.
struct Way {
    emulator: Emulator,
    weight: u16,
}

impl Way {
    fn link(&self) -> GroupLink {
        GroupLink::to(self.emulator.local_addr()).weight(self.weight)
    }
}

#[derive(Clone, Copy)]
struct Clock(u64);

impl Clock {
    fn seconds(self) -> f64 {
        self.of(time_now().as_micros())
    }

    fn of(self, micros: u64) -> f64 {
        micros.saturating_sub(self.0) as f64 / 1e6
    }

    fn wait_until(self, at: f64, over: &AtomicBool) -> bool {
        while self.seconds() < at {
            if over.load(Ordering::Relaxed) {
                return false;
            }
            thread::sleep(Duration::from_secs_f64((at - self.seconds()).clamp(0.0, 0.02)));
        }
        true
    }
}

fn run(args: &Args) -> Result<bool, Fault> {
    let seed = match args.seed.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16)?,
        None => args.seed.parse()?,
    };
    let (mode, group_mode) = match args.mode {
        Mode::Broadcast => (srt_bonding::Mode::Broadcast, GroupMode::Broadcast),
        Mode::Backup => (srt_bonding::Mode::Backup, GroupMode::Backup),
        Mode::Balancing => (srt_bonding::Mode::Balancing, GroupMode::Balancing),
    };
    let plan = plan(seed, mode, args.seconds);
    let latency = plan.config.receiver_latency();
    let options = Options::new()
        .latency(Duration::from_micros(latency.as_micros()))
        .receive_timeout(Some(Duration::from_secs(20)))
        .group_connect(true);
    let mut options = options;
    options.set_text("sndbuf", "30000000")?;
    let listener = SrtListener::bind("127.0.0.1:0", &options)?;
    let to = listener.local_addr();
    let mut ways = Vec::new();
    for (number, path) in (1..).zip(&plan.paths) {
        let mut setup = Setup::new("127.0.0.1:0".parse()?, to);
        (setup.to_target, setup.to_client) = (path.forth.clone(), path.back.clone());
        setup.seed = seed.wrapping_add(number);
        ways.push(Way { emulator: Emulator::start(setup)?, weight: path.weight });
    }
    println!(
        "seed {seed:#x}: {} links, {:.1} Mb/s, latency {} ms, {} s",
        plan.paths.len(),
        plan.rate_bps as f64 / 1e6,
        latency.as_millis(),
        args.seconds
    );
    if args.events {
        for (number, path) in (1..).zip(&plan.paths) {
            println!("link {number}, weight {}: {}", path.weight, path.forth);
            for (at, change) in &path.later {
                println!("  {at:8.3} {change:?}");
            }
        }
    }
    let clock = Clock(time_now().as_micros());
    let group = SrtGroup::connect(group_mode, ways.iter().map(Way::link), &options)?;
    let notes = Mutex::new(Notes { ups: vec![Vec::new(); ways.len()], ways: Vec::new() });
    lock(&notes).ways = group.links().iter().map(|link| link.id).zip(0..).collect();
    let socket = listener.accept()?.0;
    let over = AtomicBool::new(false);
    let (played, sent) = thread::scope(|scope| {
        let (plan, over, notes, ways, options) = (&plan, &over, &notes, &ways, &options);
        for (number, way) in ways.iter().enumerate() {
            let group = group.clone();
            scope.spawn(move || change(plan, number, way, &group, options, clock, notes, over));
        }
        let watched = group.clone();
        scope.spawn(move || watch(args, &watched, clock, notes, over));
        let receiver = scope.spawn(move || receive(&socket, clock));
        let sent = send(plan, &group, clock);
        let closed = group.close();
        let played = receiver.join().map_err(|_| "the receiver panicked");
        over.store(true, Ordering::Relaxed);
        if let Err(error) = closed {
            println!("close: {error}");
        }
        (played, sent)
    });
    let played = played?;
    let end = clock.seconds();
    let mut ups = std::mem::take(&mut lock(&notes).ups);
    for up in ups.iter_mut().flatten().filter(|up| up.1 == f64::MAX) {
        up.1 = end;
    }
    let mut came = vec![false; sent.len()];
    let (mut least, mut most, mut backwards) = (f64::MAX, 0.0_f64, 0);
    let mut before = None;
    for &(place, at) in &played {
        let Some(sent_at) = sent.get(place as usize) else { continue };
        came[place as usize] = true;
        (least, most) = (least.min(at - sent_at), most.max(at - sent_at));
        backwards += u32::from(before.is_some_and(|before| before >= place));
        before = Some(place);
    }
    let missing: Vec<u32> = (0..).zip(&came).filter(|(_, came)| !**came).map(|(place, _)| place).collect();
    let evidence = Evidence { plan: &plan, sent, missing, delay: least, ups, copies: &[] };
    let verdict = judge(&evidence);
    for line in &verdict.why {
        println!("  {line}");
    }
    println!(
        "{{\"sent\": {}, \"lost\": {}, \"excused\": {}, \"owed\": {}, \"beyond\": {}, \"backwards\": {backwards}, \"delay_ms\": {{\"least\": {:.1}, \"most\": {:.1}}}}}",
        evidence.sent.len(),
        evidence.missing.len(),
        verdict.excused.len(),
        verdict.owed.len(),
        verdict.beyond,
        least * 1e3,
        most * 1e3,
    );
    Ok(verdict.owed.is_empty() && backwards == 0)
}

fn lock(notes: &Mutex<Notes>) -> std::sync::MutexGuard<'_, Notes> {
    notes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets happen to one link what is planned.
#[expect(clippy::too_many_arguments, reason = "a thread's")]
fn change(
    plan: &Plan,
    number: usize,
    way: &Way,
    group: &SrtGroup,
    options: &Options,
    clock: Clock,
    notes: &Mutex<Notes>,
    over: &AtomicBool,
) {
    for (at, change) in &plan.paths[number].later {
        if !clock.wait_until(*at, over) {
            return;
        }
        let set = |direction, profile: &srt_impair::Profile| {
            way.emulator.set_profile(direction, profile.clone()).expect("the plan's profiles are in order");
        };
        match change {
            Change::Both(profile) => {
                set(Direction::ToTarget, profile);
                set(Direction::ToClient, profile);
            }
            Change::Forth(profile) => set(Direction::ToTarget, profile),
            Change::Back(profile) => set(Direction::ToClient, profile),
            Change::Cut(forth, back) => {
                way.emulator.outage(Direction::ToTarget, Duration::from_secs_f64(*forth));
                way.emulator.outage(Direction::ToClient, Duration::from_secs_f64(*back));
            }
            Change::Address => way.emulator.rebind(),
            Change::Remove => {
                let link = lock(notes).ways.iter().rev().find(|link| link.1 == number).map(|link| link.0);
                if let Some(link) = link
                    && let Err(error) = group.remove_link(link)
                {
                    eprintln!("chaos: {error}");
                }
            }
            Change::Add => match group.add_link(way.link(), options) {
                Ok(link) => lock(notes).ways.push((link, number)),
                Err(error) => eprintln!("chaos: {error}"),
            },
        }
    }
}

/// Writes down when which link was up.
fn watch(args: &Args, group: &SrtGroup, clock: Clock, notes: &Mutex<Notes>, over: &AtomicBool) {
    while !over.load(Ordering::Relaxed) {
        let Some((at, event)) = group.wait_event(Duration::from_millis(20)) else {
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        let at = clock.of(at.as_micros());
        if args.events && !matches!(event, GroupEvent::SendDropped(_) | GroupEvent::SafeRate(_)) {
            println!("{at:8.3} {event:?}");
        }
        let (link, up) = match event {
            GroupEvent::LinkUp(link) => (link, true),
            GroupEvent::LinkDown(link, _) => (link, false),
            _ => continue,
        };
        let mut notes = lock(notes);
        // A link that was just added may be up before its number is known here.
        let way = notes.ways.iter().find(|way| way.0 == link).map(|way| way.1);
        let Some(ups) = way.and_then(|way| notes.ups.get_mut(way)) else { continue };
        if up {
            ups.push((at, f64::MAX));
        } else if let Some(last) = ups.last_mut().filter(|last| last.1 == f64::MAX) {
            last.1 = at;
        }
    }
}

/// Sends the stream; when each message was sent.
fn send(plan: &Plan, group: &SrtGroup, clock: Clock) -> Vec<f64> {
    let begun = clock.seconds();
    let period = PAYLOAD as f64 * 8.0 / plan.rate_bps as f64;
    let mut sent = Vec::new();
    let mut message = vec![0; PAYLOAD];
    let mut due = begun;
    while clock.seconds() < plan.seconds {
        let now = clock.seconds();
        if due > now {
            thread::sleep(Duration::from_secs_f64((due - now).clamp(0.000_5, 0.02)));
            continue;
        }
        due += period;
        let place = u32::try_from(sent.len()).unwrap_or(u32::MAX);
        message[..4].copy_from_slice(&place.to_be_bytes());
        match group.try_send(&message) {
            Ok(_) => sent.push(now),
            Err(Error::WouldBlock) => eprintln!("chaos: no room to send at {now:.3}"),
            Err(error) => {
                println!("send ended after {place}: {error}");
                break;
            }
        }
    }
    sent
}

/// What was played, and when.
fn receive(socket: &SrtSocket, clock: Clock) -> Vec<(u32, f64)> {
    let mut buffer = [0; 2_048];
    let mut played = Vec::new();
    loop {
        match socket.recv(&mut buffer) {
            Ok(len) => {
                let word = buffer[..len].first_chunk().map_or(u32::MAX, |word| u32::from_be_bytes(*word));
                played.push((word, clock.seconds()));
            }
            Err(error) => {
                println!("end: {error}");
                return played;
            }
        }
    }
}
