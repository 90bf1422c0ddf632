//! What the tests of the built program have in common.

#![allow(dead_code, reason = "not every test file uses everything")]

use std::fs;
use std::io::Read;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

/// A directory of its own for each test, removed when the test is over.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("srt-cli-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn with(&self, name: &str, content: &[u8]) -> String {
        fs::write(self.0.join(name), content).unwrap();
        self.file(name)
    }

    /// The program under another name.
    pub(crate) fn named(&self, name: &str) -> Command {
        let link = self.0.join(name);
        #[cfg(unix)]
        let _ = std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_srt"), &link);
        #[cfg(not(unix))]
        fs::copy(env!("CARGO_BIN_EXE_srt"), &link).unwrap();
        Command::new(link)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn srt(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_srt")).args(args).stdin(Stdio::null()).output().unwrap()
}

pub(crate) fn spawn(args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_srt"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Asserts exit code and the one line that names the fault; stdout stays clean.
pub(crate) fn fails(args: &[&str], code: i32, says: &str) {
    let output = srt(args);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
    assert!(said.contains(says), "{args:?}: {said:?} does not say {says:?}");
    assert!(output.stdout.is_empty(), "{args:?}: stdout is for data");
    assert!(said.starts_with("srt: ") && said.lines().count() == 1, "one line of ours: {said}");
}

/// Reads what a running child says until it says `part`; all that was read.
pub(crate) fn said_until(child: &mut Child, part: &str) -> String {
    let mut said = String::new();
    let stderr = child.stderr.as_mut().unwrap();
    let mut byte = [0];
    while !said.contains(part) {
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "ended without saying {part:?}: {said}");
        said.push(char::from(byte[0]));
    }
    said
}

pub(crate) fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[cfg(unix)]
pub(crate) fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[cfg(not(unix))]
pub(crate) fn interrupt(_: &Child) {
    // The time limit ends it.
}
