//! An `srt://` address: read, and shown again it is the same; a secret in it never shows.

#![no_main]

use libfuzzer_sys::fuzz_target;
use srt::{Mode, SrtUri};

/// Keys that a program like srt-live-transmit has beside SRT's own.
const EXTRA: [&str; 2] = ["chunk", "stats"];
const SECRET: &str = "n0b0dy-5hall-see-th1s";

fuzz_target!(|text: &str| {
    if let Err(error) = text.parse::<SrtUri>() {
        assert!(!error.to_string().is_empty());
    }
    match SrtUri::parse_with(text, &EXTRA) {
        Ok(uri) => sound(&uri),
        Err(error) => assert!(error.to_string().len() < 1_000 + 10 * text.len(), "an endless complaint"),
    }
    let joint = if text.contains('?') { '&' } else { '?' };
    let shown = match SrtUri::parse_with(&format!("{text}{joint}passphrase={SECRET}"), &EXTRA) {
        Ok(uri) => format!("{uri} {uri:?}"),
        Err(error) => format!("{error} {error:?}"),
    };
    if !text.contains(SECRET) {
        assert!(!shown.contains(SECRET), "{shown}");
    }
});

/// What holds for every address that was read.
fn sound(uri: &SrtUri) {
    assert!(uri.mode() != Mode::Caller || uri.host().is_some_and(|host| !host.is_empty()), "calls nobody");
    assert!(uri.mode() == Mode::Caller || uri.local_port().is_none());
    let _ = EXTRA.map(|key| uri.extra(key));
    let shown = uri.to_string();
    if shown.contains("***") {
        return;
    }
    let again = SrtUri::parse_with(&shown, &EXTRA).expect("what is shown can be read");
    assert_eq!(
        (again.mode(), again.host(), again.port(), again.adapter(), again.local_port()),
        (uri.mode(), uri.host(), uri.port(), uri.adapter(), uri.local_port())
    );
    assert_eq!(again.options().config(), uri.options().config());
    assert_eq!(EXTRA.map(|key| again.extra(key)), EXTRA.map(|key| uri.extra(key)));
}
