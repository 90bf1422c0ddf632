//! A connection and a peer that says anything at any time: nothing panics, memory stays within its bound, what leaves is
//! valid, and the end comes.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use srt_fuzz::connection::Scenario;

fuzz_target!(|scenario: Scenario| -> Corpus { if scenario.play() { Corpus::Keep } else { Corpus::Reject } });
