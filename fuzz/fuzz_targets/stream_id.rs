//! A Stream ID of a caller: read, and written again it is the same; so it is when put together from its pairs.

#![no_main]

use libfuzzer_sys::fuzz_target;
use srt_protocol::config::{STREAM_ID_MAX, StreamId};

fuzz_target!(|bytes: &[u8]| {
    let id = match StreamId::parse(bytes) {
        Ok(id) => id,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let _ = (id.user(), id.resource(), id.host(), id.session(), id.stream_type(), id.mode());
    let text = id.to_string();
    assert!(text.len() <= STREAM_ID_MAX, "longer than what was read");
    assert_eq!(StreamId::parse(text.as_bytes()).as_ref(), Ok(&id), "{text:?}");
    if id.name().is_some() {
        assert_eq!(text.as_bytes(), bytes, "a plain name is taken as it stands");
        return;
    }
    let mut builder = StreamId::with_keys();
    for (key, value) in id.pairs() {
        builder = builder.key(key, value.clone());
    }
    // A value may hold what only the form it came in allows; what can be built says the same.
    if let Ok(built) = builder.build() {
        let again = StreamId::parse(built.to_string().as_bytes()).expect("what was built can be read");
        assert!(again.pairs().eq(id.pairs()));
    }
});
