//! Static files: a route's own answers from a folder, read without making the worker wait for a disk.
//!
//! `core::files` decides everything that needs no I/O. Here a file is opened below its root (`open.rs`), chosen among
//! index names and compressed variants (`find.rs`), answered (`serve.rs`) and sent (`send.rs`).

mod find;
mod open;
mod send;
mod serve;

use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use fastgate_core::files::is_media_type;
use fastgate_core::snapshot::{self, Coding, Invalid, Reads};

use crate::deadlines::{Tick, ticks};

pub(crate) use serve::serve;

/// A route's folder, checked.
#[derive(Debug)]
pub(crate) struct Files {
    /// Opened anew for every request, so that a folder that was put in its place counts.
    root: CString,
    index: Vec<Vec<u8>>,
    precompressed: Vec<Coding>,
    cache_control: Option<String>,
    types: BTreeMap<String, String>,
    reads: Reads,
    /// For hooks and for finding a file.
    response: Tick,
    /// For reading a piece of one.
    idle: Tick,
}

impl Files {
    /// Checks and compiles; the folder must be there.
    pub(crate) fn compile(of: &snapshot::Static, route: &snapshot::Route) -> Result<Arc<Self>, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let mut refuse = |key: &str, message: String| invalid.push(Invalid::new(key, message));
        if let Err(message) = check_root(&of.root) {
            refuse("action.static.root", message);
        }
        for (i, name) in of.index.iter().enumerate() {
            if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) || name.len() > 250 {
                let message = format!("{name:?} is not the name of a file: no slash, no dot at the start");
                refuse(&format!("action.static.index.{i}"), message);
            }
        }
        let sound = |value: &String| {
            !value.is_empty() && value.trim() == value && value.bytes().all(|b| (0x20..0x7f).contains(&b))
        };
        if let Some(value) = of.cache_control.as_ref().filter(|value| !sound(value)) {
            let message = format!("{value:?} is not a header value: printable ASCII, no space at an end");
            refuse("action.static.cache_control", message);
        }
        for (extension, media_type) in &of.types {
            let plain = !extension.is_empty()
                && extension.bytes().all(|b| b.is_ascii_alphanumeric() && !b.is_ascii_uppercase() || b == b'-');
            if !plain || !is_media_type(media_type) {
                let message = format!(
                    "{extension}: {media_type:?} is not an extension (lower case, no dot) with a media type such as text/html"
                );
                refuse(&format!("action.static.types.{extension}"), message);
            }
        }
        if route.rewrite.is_some() {
            refuse(
                "rewrite",
                "a route that serves files looks up what is behind its prefix: it has no rewrite".to_owned(),
            );
        }
        match CString::new(of.root.as_str()) {
            Ok(root) if invalid.is_empty() => Ok(Arc::new(Self {
                root,
                index: of.index.iter().map(|name| name.clone().into_bytes()).collect(),
                precompressed: of.precompressed.clone(),
                cache_control: of.cache_control.clone(),
                types: of.types.clone(),
                reads: of.reads,
                response: ticks(route.timeouts.response_ms),
                idle: ticks(route.timeouts.idle_ms),
            })),
            _ => Err(invalid),
        }
    }
}

fn check_root(root: &str) -> Result<(), String> {
    if !root.starts_with('/') || root.contains('\0') {
        return Err(format!("{root:?} is not an absolute path"));
    }
    // The last part asks for the right to look into it, too.
    match std::fs::metadata(Path::new(root).join(".")) {
        Ok(_) => Ok(()),
        Err(error) => Err(match error.kind() {
            std::io::ErrorKind::NotFound => format!("there is no folder {root}"),
            std::io::ErrorKind::NotADirectory => format!("{root} is not a folder"),
            std::io::ErrorKind::PermissionDenied => format!("the folder {root} may not be entered"),
            _ => format!("the folder {root} cannot be used: {error}"),
        }),
    }
}

/// Files open at once, all workers together.
#[derive(Debug)]
pub(crate) struct Budget {
    open: AtomicU32,
    most: u32,
}

impl Budget {
    /// At most that many.
    pub(crate) fn new(most: u32) -> Arc<Self> {
        Arc::new(Self { open: AtomicU32::new(0), most })
    }

    /// One more, unless that would be too many.
    fn take(self: &Arc<Self>) -> Option<Permit> {
        self.open.fetch_update(Relaxed, Relaxed, |open| (open < self.most).then_some(open + 1)).ok()?;
        Some(Permit(self.clone()))
    }
}

/// One file in the count, given back when dropped.
#[derive(Debug)]
struct Permit(Arc<Budget>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}
