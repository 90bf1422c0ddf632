//! Which seeds a test runs with, and how to run one of them again.

use super::random::{Random, scramble};
use std::env;

/// The `count` seeds of the test called `name`; the one in `SRT_SEED`, when that is set.
///
/// `SRT_SEED=0x…` (or decimal) replays one run. `SRT_SEEDS=20` multiplies `count` by 20, for a long night.
///
/// # Panics
/// When `SRT_SEED` or `SRT_SEEDS` is set to something that is no number.
pub fn seeds(name: &str, count: u32) -> Vec<u64> {
    if let Ok(text) = env::var("SRT_SEED") {
        return vec![parse(&text).expect("SRT_SEED is a number, like 0x1f or 31")];
    }
    let factor = env::var("SRT_SEEDS").ok().map_or(1, |text| parse(&text).expect("SRT_SEEDS is a number"));
    let mut random = Random::new(0, name);
    (0..u64::from(count).saturating_mul(factor)).map(|_| scramble(random.bits())).collect()
}

/// The command that runs the present test again with `seed`.
pub fn replay(seed: u64) -> String {
    let thread = std::thread::current();
    let test = thread.name().filter(|name| *name != "main").unwrap_or("NAME_OF_THE_TEST");
    format!("SRT_SEED={seed:#018x} cargo test -p srt-tests {test} -- --exact --nocapture")
}

/// Prints how to replay its seed where the thread fails while this lives: for what is asserted when no
/// [`Run`](super::Run) is at hand, which does the same.
#[derive(Debug)]
#[must_use]
pub struct Replayable(pub u64);

impl Drop for Replayable {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tell_replay(self.0);
        }
    }
}

/// Prints how to replay `seed`, on a thread that is about to fail.
pub(crate) fn tell_replay(seed: u64) {
    eprintln!("replay: {}", replay(seed));
}

fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_keeps_its_seeds_when_it_asks_for_more() {
        if env::var_os("SRT_SEED").is_some() || env::var_os("SRT_SEEDS").is_some() {
            return; // someone is replaying a run: the list is not ours
        }
        let few = seeds("some test", 3);
        assert_eq!(few, seeds("some test", 5)[..3]);
        assert_ne!(few, seeds("other test", 3));
    }

    #[test]
    fn a_seed_reads_back_as_it_is_printed() {
        let seed = 0x00C0_FFEE_1234_5678;
        let command = replay(seed);
        let text = command.strip_prefix("SRT_SEED=").and_then(|rest| rest.split(' ').next()).unwrap();
        assert_eq!(parse(text), Some(seed));
        assert_eq!(parse("12"), Some(12));
        assert_eq!(parse("twelve"), None);
    }
}
