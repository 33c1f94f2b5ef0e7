//! Opening below a root: whatever a path or a symbolic link says, nothing outside of it is reached.
//!
//! The kernel does it in one call (`openat2`, RESOLVE_BENEATH). Where that call is missing or forbidden, the path is
//! walked name by name; both follow symbolic links that stay below the root and refuse those that leave it or are
//! absolute.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// Symbolic links followed on one path, as the kernel bounds it.
const MAX_LINKS: usize = 40;

/// Turns after a rename that crossed a look-up, before the path is walked instead.
const TURNS: usize = 4;

/// Reading, without waiting for a FIFO's writer and without becoming anybody's terminal.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// How a look-up may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// From what the kernel holds in memory; `EAGAIN` where that does not suffice.
    Cached,
    /// As long as it takes.
    Waiting,
}

/// Opens the root itself.
pub(super) fn root(path: &std::ffi::CStr, how: How) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match how {
        How::Cached => cached(rustix::fs::openat2(rustix::fs::CWD, path, flags, Mode::empty(), ResolveFlags::CACHED)),
        How::Waiting => rustix::fs::open(path, flags, Mode::empty()),
    }
}

/// Opens what `path` names below the root; the root itself for an empty one.
pub(super) fn beneath(root: BorrowedFd<'_>, path: &[u8], how: How) -> Result<OwnedFd, Errno> {
    let name: &[u8] = if path.is_empty() { b"." } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    if how == How::Cached {
        return cached(rustix::fs::openat2(root, name, FILE, Mode::empty(), resolve | ResolveFlags::CACHED));
    }
    for _ in 0..TURNS {
        match rustix::fs::openat2(root, name, FILE, Mode::empty(), resolve) {
            // A rename somewhere in the system crossed the look-up: it could not be sure.
            Err(Errno::AGAIN) => {}
            Err(error) if is_missing(error) => break,
            done => return done,
        }
    }
    walk(root, path)
}

/// A kernel that cannot look up so, or a sandbox that forbids it, is as good as one that would have to wait.
fn cached(opened: Result<OwnedFd, Errno>) -> Result<OwnedFd, Errno> {
    opened.map_err(|error| if is_missing(error) { Errno::AGAIN } else { error })
}

/// ENOSYS before Linux 5.6, EINVAL for a flag it does not know yet, EPERM from system call filters.
fn is_missing(error: Errno) -> bool {
    matches!(error, Errno::NOSYS | Errno::INVAL | Errno::PERM)
}

/// The same, name by name: a name is never looked up but in a folder that is already open, and `..` goes back to the
/// folder it was entered from, whatever has been renamed meanwhile.
pub(super) fn walk(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let folder = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut entered: Vec<OwnedFd> = Vec::new();
    // Names to come, the next one last.
    let mut names: Vec<Vec<u8>> = split(path);
    let mut links = 0;
    while let Some(name) = names.pop() {
        let here = entered.last().map_or(root, AsFd::as_fd);
        if name == b"." {
            continue;
        }
        if name == b".." {
            // Above the root there is nothing.
            entered.pop().ok_or(Errno::XDEV)?;
            continue;
        }
        let stat = rustix::fs::statat(here, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Errno::LOOP);
                }
                let target = rustix::fs::readlinkat(here, &*name, Vec::new())?;
                let target = target.as_bytes();
                if target.first() == Some(&b'/') {
                    return Err(Errno::XDEV);
                }
                names.extend(split(target));
            }
            FileType::Directory => {
                let entering = rustix::fs::openat(here, &*name, folder | OFlags::DIRECTORY, Mode::empty())?;
                entered.push(entering);
            }
            _ if names.is_empty() => {
                // If it became a link since it was looked at, this fails.
                return rustix::fs::openat(here, &*name, FILE | OFlags::NOFOLLOW, Mode::empty());
            }
            _ => return Err(Errno::NOTDIR),
        }
    }
    let here = entered.last().map_or(root, AsFd::as_fd);
    rustix::fs::openat(here, c".", FILE | OFlags::DIRECTORY, Mode::empty())
}

/// The names of a path, the first one last; empty ones and `.` left out, but for a last `.` where the path says that it
/// leads to a folder.
fn split(path: &[u8]) -> Vec<Vec<u8>> {
    let folder = path.ends_with(b"/") || path.ends_with(b"/.");
    let names = path.split(|&b| b == b'/').filter(|name| !name.is_empty() && *name != b".");
    folder.then_some(&b"."[..]).into_iter().chain(names.rev()).map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    fn read(opened: Result<OwnedFd, Errno>) -> Result<String, Errno> {
        let mut text = String::new();
        match std::fs::File::from(opened?).read_to_string(&mut text) {
            Ok(_) => Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => Ok("folder".to_owned()),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn kernel_and_walk_agree_on_what_is_below_the_root() {
        let base = std::env::temp_dir().join(format!("fastgate-open-{}", std::process::id()));
        let top = base.join("root");
        std::fs::create_dir_all(top.join("a/b")).unwrap();
        std::fs::write(base.join("secret"), "secret").unwrap();
        std::fs::write(top.join("a/b/file"), "file").unwrap();
        for (target, name) in [
            ("a/b/file", "inside"),
            ("../b/../b/file", "a/b/round"),
            ("../../a", "a/b/up"),
            ("../secret", "out"),
            ("../../../secret", "a/b/out"),
            ("../root/a/b/file", "out-and-in"),
            ("/etc/passwd", "absolute"),
            ("loop", "loop"),
            ("nothing", "dangling"),
            ("a/b/", "slash"),
            ("a/b/file/", "file-slash"),
            (".", "self"),
        ] {
            symlink(target, top.join(name)).unwrap();
        }
        symlink(top.join("a/b/file"), top.join("absolute-inside")).unwrap();
        let c_path = std::ffi::CString::new(top.to_str().unwrap()).unwrap();
        let root = root(&c_path, How::Waiting).unwrap();
        let mut found = 0;
        for path in [
            "",
            "a",
            "a/b",
            "a/b/file",
            "inside",
            "a/b/round",
            "a/b/up/b/file",
            "self/self/inside",
            "slash/file",
            "..",
            "a/..",
            "a/../..",
            "a/../../root/inside",
            "out",
            "a/b/out",
            "out-and-in",
            "absolute",
            "absolute-inside",
            "loop",
            "dangling",
            "inside/x",
            "a/b/file/..",
            "a/none/..",
            "a/b/file/.",
            "a/b/file/",
            "file-slash",
            "a/b/",
        ] {
            let kernel = read(beneath(root.as_fd(), path.as_bytes(), How::Waiting));
            let walked = read(walk(root.as_fd(), path.as_bytes()));
            found += usize::from(kernel.is_ok());
            assert_ne!(walked.as_deref(), Ok("secret"), "{path}");
            match (&kernel, &walked) {
                // What is behind a file's name is refused by both, with words of their own.
                (Err(_), Err(_)) => {}
                _ => assert_eq!(kernel, walked, "{path}"),
            }
            // What was looked up a moment ago is in memory.
            if let Ok(text) = kernel {
                let cached = read(beneath(root.as_fd(), path.as_bytes(), How::Cached));
                assert!(cached == Ok(text) || cached == Err(Errno::AGAIN), "{path}: {cached:?}");
            }
        }
        assert_eq!(found, 11);
        std::fs::remove_dir_all(base).unwrap();
    }
}
