//! A passphrase from where nobody sees it: a file or the environment. What stands on a command line, all who list the processes can
//! read.

use std::env;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use srt::Passphrase;
use zeroize::Zeroizing;

use crate::error::{Failure, PassphraseFault};
use crate::talk::Talk;

/// The variable that is asked where no file is named.
const VARIABLE: &str = "SRT_PASSPHRASE";

/// As much of a file as is read: a passphrase, the end of its line, and one byte that is too many.
const LONGEST: usize = Passphrase::MAX + 3;

/// A passphrase and where it is from; wiped when dropped, never shown.
#[derive(Clone)]
pub(crate) struct Secret {
    place: String,
    bytes: Zeroizing<Vec<u8>>,
}

impl Secret {
    /// The passphrase for addresses that have none of their own: from `file`, else from the environment, if it is there.
    ///
    /// What a file holds is checked at once; what the environment holds, when it is used.
    ///
    /// # Errors
    /// A file that cannot be read, or that holds no passphrase.
    pub(crate) fn find(file: Option<&Path>, talk: &Talk) -> Result<Option<Self>, Failure> {
        let Some(path) = file else {
            return Ok(env::var_os(VARIABLE).map(|value| Self {
                place: VARIABLE.to_owned(),
                bytes: Zeroizing::new(value.into_encoded_bytes()),
            }));
        };
        let secret = Self::read(path, talk)?;
        secret.checked()?;
        Ok(Some(secret))
    }

    /// Where it is from.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// The passphrase.
    ///
    /// # Errors
    /// It is one that SRT cannot take.
    pub(crate) fn checked(&self) -> Result<&[u8], Failure> {
        let fault = match self.bytes.len() {
            0 => PassphraseFault::Empty,
            1..Passphrase::MIN => PassphraseFault::TooShort,
            Passphrase::MIN..=Passphrase::MAX => return Ok(&self.bytes),
            _ => PassphraseFault::TooLong,
        };
        Err(Failure::Passphrase { place: self.place.clone(), fault })
    }

    fn read(path: &Path, talk: &Talk) -> Result<Self, Failure> {
        let unreadable = |source| {
            let mend = "--passphrase-file takes a file that holds the passphrase";
            Failure::Open { path: path.to_owned(), doing: "be read", source, mend }
        };
        let mut file = File::open(path).map_err(unreadable)?;
        let place = path.display().to_string();
        if others_may_read(&file) {
            talk.warn(format!(
                "{place}: other users of this machine may read the passphrase; take that from them with: chmod go-rwx"
            ));
        }
        // Into one place, for a buffer that grows leaves copies behind.
        let mut buffer = Zeroizing::new([0; LONGEST]);
        let mut len = 0;
        while len < buffer.len() {
            match file.read(&mut buffer[len..]) {
                Ok(0) => break,
                Ok(more) => len += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(unreadable(error)),
            }
        }
        Ok(Self { place, bytes: Zeroizing::new(without_line_end(&buffer[..len]).to_vec()) })
    }
}

/// Tells where it is from, nothing more.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}, hidden)", self.place)
    }
}

/// Editors and `echo` end a line; that is no part of the passphrase.
fn without_line_end(content: &[u8]) -> &[u8] {
    match content.strip_suffix(b"\n") {
        Some(line) => line.strip_suffix(b"\r").unwrap_or(line),
        None => content,
    }
}

/// Whether a file is there for more than its owner. A pipe is not, whatever its mode: what is read of it is gone.
#[cfg(unix)]
fn others_may_read(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    file.metadata().is_ok_and(|found| found.is_file() && found.mode() & 0o044 != 0)
}

/// Whether a file is there for more than its owner is not known here.
#[cfg(not(unix))]
fn others_may_read(_: &File) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// Reads a file with this content.
    fn read(name: &str, content: &[u8]) -> Result<Vec<u8>, String> {
        let path = path(name);
        fs::write(&path, content).unwrap();
        let found = Secret::find(Some(&path), &Talk::silent());
        fs::remove_file(&path).unwrap();
        match found {
            Ok(secret) => Ok(secret.unwrap().checked().unwrap().to_vec()),
            Err(failure) => {
                assert_eq!(failure.exit_code(), 2, "{failure}");
                let said = format!("{failure} {failure:?}");
                assert!(!said.contains("sesame"), "{said}");
                Err(failure.to_string().replace(&path.display().to_string(), "FILE"))
            }
        }
    }

    fn path(name: &str) -> PathBuf {
        env::temp_dir().join(format!("srt-cli-secret-{name}-{}", std::process::id()))
    }

    #[test]
    fn one_end_of_line_is_no_part_of_the_passphrase() {
        for (content, passphrase) in [
            (&b"open sesame"[..], &b"open sesame"[..]),
            (b"open sesame\n", b"open sesame"),
            (b"open sesame\r\n", b"open sesame"),
            (b"open sesame\n\n", b"open sesame\n"),
            (b"open sesame\r", b"open sesame\r"),
            (b" open\0sesame\xFF ", b" open\0sesame\xFF "),
        ] {
            assert_eq!(read("line", content).as_deref(), Ok(passphrase));
        }
    }

    #[test]
    fn ten_to_eighty_bytes_are_taken_and_no_others() {
        for len in [10, 80] {
            for end in ["", "\n", "\r\n"] {
                assert_eq!(
                    read("length", format!("{}{end}", "x".repeat(len)).as_bytes()).unwrap().len(),
                    len
                );
            }
        }
        for (content, fault) in [
            ("", "FILE: is empty; a passphrase has 10 to 80 bytes"),
            ("\r\n", "FILE: is empty; a passphrase has 10 to 80 bytes"),
            ("sesame123\n", "FILE: the passphrase in it is too short; give one of 10 to 80 bytes"),
            (&"sesame".repeat(14), "FILE: the passphrase in it is too long; give one of 10 to 80 bytes"),
            (&"sesame".repeat(100_000), "FILE: the passphrase in it is too long; give one of 10 to 80 bytes"),
        ] {
            assert_eq!(read("wrong", content.as_bytes()).unwrap_err(), fault);
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_wrong_usage() {
        for path in [path("missing"), env::temp_dir()] {
            let failure = Secret::find(Some(&path), &Talk::silent()).unwrap_err();
            assert_eq!(failure.exit_code(), 1);
            let said = failure.to_string();
            assert!(said.starts_with(&format!("{}: cannot be read: ", path.display())), "{said}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let secret = Secret { place: "F".to_owned(), bytes: Zeroizing::new(b"open sesame".to_vec()) };
        assert_eq!(format!("{:?} {secret:#?}", secret.clone()), "Secret(F, hidden) Secret(F, hidden)");
    }
}
