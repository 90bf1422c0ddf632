//! The `srt` command.
