//! A listening endpoint and the whole internet: nothing panics, what waits is bounded, and no answer amplifies.

#![no_main]

use libfuzzer_sys::fuzz_target;
use srt_fuzz::endpoint::Scenario;

fuzz_target!(|scenario: Scenario| scenario.play());
