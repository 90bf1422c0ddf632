//! Files by what they are rather than what they are called: the same one under two names, and the process's own stdout.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use crate::error::Failure;

/// Makes a file for figures or logs, empty.
///
/// # Errors
/// With the mend.
pub(crate) fn create(path: &Path) -> Result<File, Failure> {
    File::create(path).map_err(|source| {
        let mend = "choose a place that exists and where you may write";
        Failure::Open { path: path.to_owned(), doing: "be written", source, mend }
    })
}

/// Which file a path or a stream is; equal for two names of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// There it is: device and inode.
    #[cfg_attr(not(unix), expect(dead_code, reason = "elsewhere files are known by their place"))]
    Inode(u64, u64),
    /// Not there yet, or on a system without inodes: where it is or will be, symlinks followed.
    Place(PathBuf),
}

/// The regular file at `path`, there already or not; `None` for pipes, devices and directories, which hold nothing to lose.
pub(crate) fn of_path(path: &Path) -> Option<Identity> {
    match path.metadata() {
        Ok(found) => of_metadata(&found, || fs::canonicalize(path).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            place(path, LONGEST_CHAIN).map(Identity::Place)
        }
        Err(_) => None,
    }
}

/// The regular file that stdin is redirected from.
pub(crate) fn of_stdin() -> Option<Identity> {
    of_metadata(&stream_metadata(&io::stdin())?, || None)
}

/// The regular file that stdout is redirected to.
pub(crate) fn of_stdout() -> Option<Identity> {
    of_metadata(&stream_metadata(&io::stdout())?, || None)
}

/// Whether stdin is a regular file: it can be sent again, unlike what a program pipes in.
pub(crate) fn stdin_is_stored() -> bool {
    stream_metadata(&io::stdin()).is_some_and(|found| found.is_file())
}

/// Whether the path is a name of the process's own stdout, which must not be opened, and emptied, a second time.
pub(crate) fn is_stdout(path: &Path) -> bool {
    ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"].iter().any(|name| path == Path::new(name))
}

/// So many symlinks are followed to a file that is not there.
const LONGEST_CHAIN: usize = 8;

#[cfg(unix)]
fn of_metadata(found: &Metadata, _: impl FnOnce() -> Option<PathBuf>) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    found.is_file().then(|| Identity::Inode(found.dev(), found.ino()))
}

#[cfg(not(unix))]
fn of_metadata(found: &Metadata, place: impl FnOnce() -> Option<PathBuf>) -> Option<Identity> {
    if found.is_file() { place().map(Identity::Place) } else { None }
}

#[cfg(unix)]
fn stream_metadata(stream: &impl std::os::fd::AsFd) -> Option<Metadata> {
    File::from(stream.as_fd().try_clone_to_owned().ok()?).metadata().ok()
}

#[cfg(windows)]
fn stream_metadata(stream: &impl std::os::windows::io::AsHandle) -> Option<Metadata> {
    File::from(stream.as_handle().try_clone_to_owned().ok()?).metadata().ok()
}

#[cfg(not(any(unix, windows)))]
fn stream_metadata<T>(_: &T) -> Option<Metadata> {
    None
}

/// Where a file that is not there would be made.
fn place(path: &Path, links_left: usize) -> Option<PathBuf> {
    let directory = match path.parent() {
        Some(parent) if parent != OsStr::new("") => parent,
        _ => Path::new("."),
    };
    if let Ok(target) = fs::read_link(path) {
        return place(&directory.join(target), links_left.checked_sub(1)?);
    }
    Some(fs::canonicalize(directory).ok()?.join(path.file_name()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of the test's own.
    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("srt-cli-files-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_file_is_the_same_under_every_name_it_has() {
        let directory = directory("names");
        let (one, other) = (directory.join("one"), directory.join("other"));
        fs::write(&one, b"x").unwrap();
        fs::write(&other, b"x").unwrap();
        let roundabout = directory.join(".").join("one");
        assert!(of_path(&one).is_some());
        assert_eq!(of_path(&one), of_path(&roundabout));
        assert_ne!(of_path(&one), of_path(&other));
        #[cfg(unix)]
        {
            let (hard, soft) = (directory.join("hard"), directory.join("soft"));
            fs::hard_link(&one, &hard).unwrap();
            std::os::unix::fs::symlink("one", &soft).unwrap();
            assert_eq!(of_path(&one), of_path(&hard));
            assert_eq!(of_path(&one), of_path(&soft));
        }
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_file_that_is_not_there_yet_is_known_by_its_place() {
        let directory = directory("place");
        let new = directory.join("new");
        assert_eq!(of_path(&new), of_path(&directory.join(".").join("new")));
        assert_ne!(of_path(&new), of_path(&directory.join("newer")));
        #[cfg(unix)]
        {
            let soft = directory.join("soft");
            std::os::unix::fs::symlink("new", &soft).unwrap();
            assert_eq!(of_path(&new), of_path(&soft), "also through a symlink that leads nowhere yet");
            std::os::unix::fs::symlink("round", directory.join("round")).unwrap();
            assert_eq!(of_path(&directory.join("round")), None, "a circle of symlinks ends");
        }
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn devices_and_directories_are_no_files_to_lose() {
        assert_eq!(of_path(Path::new("/dev/null")), None);
        assert_eq!(of_path(Path::new("/")), None);
        assert!(is_stdout(Path::new("/dev/stdout")) && !is_stdout(Path::new("stdout")));
    }
}
