//! Which file answers: the one named, a folder's index, or a compressed variant beside it.

use std::os::fd::{AsFd, OwnedFd};

use fastgate_core::files::Wanted;
use fastgate_core::snapshot::Coding;
use rustix::fs::FileType;
use rustix::io::Errno;

use super::Files;
use super::open::{self, How};

/// What a look-up needs to know, its own so that another thread can do it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) wanted: Wanted,
    /// Below the root.
    pub(super) path: Vec<u8>,
    /// Codings the client takes, best first.
    pub(super) codings: Vec<Coding>,
}

/// A regular file, open.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: OwnedFd,
    pub(super) size: u64,
    /// Of the last change: seconds and nanoseconds since 1970.
    pub(super) modified: (i64, u32),
    pub(super) coding: Option<Coding>,
    /// The name that says the media type, without a coding's extension.
    pub(super) name: Vec<u8>,
}

/// What is there.
#[derive(Debug)]
pub(super) enum Lookup {
    /// A file.
    File(Found),
    /// A folder, asked for without its slash.
    Folder,
    /// Nothing that may be shown.
    Nothing,
}

/// Why a look-up did not come to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It would have to wait: another thread must do it.
    Wait,
    /// The root is gone, or may not be entered any more.
    Root(Errno),
    /// No descriptor or memory is left.
    Busy(Errno),
    /// It is there but cannot be read.
    Unreadable(Errno),
}

/// Looks for the file.
pub(super) fn find(files: &Files, asked: &Asked, how: How) -> Result<Lookup, Trouble> {
    let root = open::root(&files.root, how).map_err(|error| match error {
        Errno::AGAIN => Trouble::Wait,
        Errno::MFILE | Errno::NFILE | Errno::NOMEM => Trouble::Busy(error),
        error => Trouble::Root(error),
    })?;
    match asked.wanted {
        Wanted::File => match open_one(root.as_fd(), &asked.path, how)? {
            Some((_, Kind::Folder)) => Ok(Lookup::Folder),
            Some((file, Kind::File(stat))) => best(root.as_fd(), &asked.path, file, stat, asked, how),
            _ => Ok(Lookup::Nothing),
        },
        Wanted::Folder => {
            for index in &files.index {
                let mut path = asked.path.clone();
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(index);
                if let Some((file, Kind::File(stat))) = open_one(root.as_fd(), &path, how)? {
                    return best(root.as_fd(), &path, file, stat, asked, how);
                }
            }
            Ok(Lookup::Nothing)
        }
    }
}

/// The plain file, or the first variant that the client takes and that is not older than it.
fn best(
    root: std::os::fd::BorrowedFd<'_>,
    path: &[u8],
    file: OwnedFd,
    stat: Facts,
    asked: &Asked,
    how: How,
) -> Result<Lookup, Trouble> {
    let mut found = Found { file, size: stat.size, modified: stat.modified, coding: None, name: path.to_vec() };
    for coding in &asked.codings {
        let mut beside = path.to_vec();
        beside.extend_from_slice(coding.extension().as_bytes());
        if let Some((variant, Kind::File(facts))) = open_one(root, &beside, how)?
            && facts.modified.0 >= stat.modified.0
        {
            found = Found { file: variant, size: facts.size, modified: facts.modified, coding: Some(*coding), ..found };
            break;
        }
    }
    Ok(Lookup::File(found))
}

/// What is known of a regular file.
#[derive(Debug, Clone, Copy)]
struct Facts {
    size: u64,
    modified: (i64, u32),
}

enum Kind {
    Folder,
    File(Facts),
    Other,
}

/// Opens one name and looks at what it is; `None` where there is nothing to be had under it.
fn open_one(root: std::os::fd::BorrowedFd<'_>, path: &[u8], how: How) -> Result<Option<(OwnedFd, Kind)>, Trouble> {
    let file = match open::beneath(root, path, how) {
        Ok(file) => file,
        Err(Errno::AGAIN) if how == How::Cached => return Err(Trouble::Wait),
        Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => return Err(Trouble::Busy(error)),
        Err(error @ (Errno::IO | Errno::STALE | Errno::AGAIN)) => return Err(Trouble::Unreadable(error)),
        // Not there, not reachable below the root, or not for us: it makes no difference to a client.
        Err(_) => return Ok(None),
    };
    let stat = rustix::fs::fstat(&file).map_err(Trouble::Unreadable)?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File(Facts {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            #[allow(
                clippy::useless_conversion,
                clippy::unnecessary_fallible_conversions,
                reason = "the types differ by platform"
            )]
            modified: (i64::try_from(stat.st_mtime).unwrap_or(0), u32::try_from(stat.st_mtime_nsec).unwrap_or(0)),
        }),
        FileType::Directory => Kind::Folder,
        _ => Kind::Other,
    };
    Ok(Some((file, kind)))
}
