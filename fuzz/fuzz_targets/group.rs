//! Two groups and links that bring anything in any order: nothing panics, memory stays within its bound, nothing is due for ever,
//! what leaves is valid, and the end comes.

#![no_main]

use libfuzzer_sys::{Corpus, fuzz_target};
use srt_fuzz::group::Scenario;

fuzz_target!(|scenario: Scenario| -> Corpus { if scenario.play() { Corpus::Keep } else { Corpus::Reject } });
