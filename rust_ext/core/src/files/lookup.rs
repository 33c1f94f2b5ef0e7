//! From the remainder of a canonical path to a path below a root.

/// Bytes of a file's name and of a whole path that the system takes.
const MAX_NAME: usize = 255;
const MAX_PATH: usize = 4095;

/// What a path asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// It ends without a slash.
    File,
    /// It ends with a slash: the folder's index.
    Folder,
}

/// Puts the path below the root into `out`, without a leading or trailing slash; empty for the root itself.
///
/// `None` where no file may be looked up: a name that begins with a dot (but for `.well-known`, RFC 8615), one with a
/// kept encoded slash or a control character, or one that is too long. Dot segments do not occur in a canonical path
/// and are refused here all the same.
pub fn relative(remainder: &[u8], out: &mut Vec<u8>) -> Option<Wanted> {
    out.clear();
    for name in remainder.split(|&b| b == b'/').filter(|name| !name.is_empty()) {
        let hidden = name.first() == Some(&b'.') && name != b".well-known";
        // A kept slash stands as `%2F`: no file's name can hold it.
        let slash = name.windows(3).any(|w| w.eq_ignore_ascii_case(b"%2f"));
        if hidden || slash || name.len() > MAX_NAME || name.iter().any(|&b| b < 0x20 || b == 0x7f || b == b'\\') {
            return None;
        }
        if !out.is_empty() {
            out.push(b'/');
        }
        out.extend_from_slice(name);
    }
    if out.len() > MAX_PATH {
        return None;
    }
    Some(if remainder.last() == Some(&b'/') { Wanted::Folder } else { Wanted::File })
}
