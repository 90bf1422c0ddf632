//! What the fuzz targets share: how bytes become packets, and the scenarios that drive whole state machines.
//!
//! A target proves two things of whatever it is fed: nothing panics, and nothing grows beyond its bound. Each also
//! asserts what its subject promises, so that a run finds wrong answers and not only crashes.

pub mod connection;
mod counting;
pub mod endpoint;
pub mod group;
pub mod keys;
pub mod wire;

pub use counting::Counting;

/// Plays the scenarios that these bytes mean; what this reaches in the core may import nothing from its host.
///
/// # Safety
/// `bytes` points to `len` bytes.
#[cfg(target_family = "wasm")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn play(bytes: *const u8, len: usize) -> bool {
    use arbitrary::{Arbitrary, Unstructured};

    // SAFETY: the caller's promise.
    let bytes = unsafe { core::slice::from_raw_parts(bytes, len) };
    let Ok(connection) = connection::Scenario::arbitrary_take_rest(Unstructured::new(bytes)) else {
        return false;
    };
    let Ok(endpoint) = endpoint::Scenario::arbitrary_take_rest(Unstructured::new(bytes)) else {
        return false;
    };
    let Ok(group) = group::Scenario::arbitrary_take_rest(Unstructured::new(bytes)) else {
        return false;
    };
    endpoint.play();
    group.play() | connection.play()
}
