//! Options from text, a `name=value` a line: refused ones change nothing, and whatever a Config says of itself it takes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use srt_protocol::config::{Config, SocketOption};

fuzz_target!(|text: &str| {
    let pairs: Vec<_> = text.lines().take(64).filter_map(|line| line.split_once('=')).collect();
    let mut config = Config::live();
    for (name, value) in &pairs {
        let before = config.clone();
        if let Err(error) = config.set_text(name, value) {
            assert!(!error.to_string().is_empty());
            assert_eq!(config, before, "{name}={value} was refused, and changed something");
        }
    }
    sound(&config);
    let mut all = Config::live();
    if all.set_all_text(pairs).is_err() {
        assert_eq!(all, Config::live(), "refused as a whole, and changed something");
    }
    sound(&all);
});

/// What holds for every Config there is.
fn sound(config: &Config) {
    assert!((76..=65_536).contains(&config.mss()));
    assert!(config.payload_size() <= config.payload_limit(false));
    assert!(config.payload_limit(true) <= config.payload_limit(false));
    assert!(config.send_buffer_packets() >= 1);
    assert!((1..=config.flow_window()).contains(&config.receive_buffer_packets()));
    assert!((5..=100).contains(&config.overhead_percent()));
    assert!(config.max_bw() >= -1 && config.input_bw() >= 0 && config.min_input_bw() >= 0);
    assert!(config.max_rexmit_bw() >= -1);
    assert!(config.stream_id().len() <= 512);
    let _ = (config.linger(), config.send_timeout(), config.receive_timeout(), config.send_drop_delay());
    for info in SocketOption::all() {
        let Ok(value) = config.get(info.option) else { continue };
        assert_eq!(value.kind(), info.kind, "{}", info.name);
        let mut copy = config.clone();
        if copy.set(info.option, value.clone()).is_ok() {
            assert_eq!(copy.get(info.option), Ok(value), "{} does not stay what it is", info.name);
        }
    }
}
