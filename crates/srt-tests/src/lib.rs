//! Simulator, checkers and interop tests of SRT-Rust.
