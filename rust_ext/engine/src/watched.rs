//! Files that the engine itself reads: parsed when a snapshot is compiled, looked at every second, swapped when they
//! have changed. What becomes bad keeps the last good value in use.

use std::collections::hash_map::DefaultHasher;
use std::fs::{File, Metadata, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};

use crate::host::{Level, Line};
use crate::log::Log;
use crate::rt;
use crate::worker::Shared;

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// How long a file that has changed must stay as it is before it is read, so that nobody's half is.
const SETTLED: Duration = Duration::from_millis(100);

/// Times a file is read at once that changes while it is being read.
const TRIES: usize = 3;

/// What a parser makes of the contents, in the order of the paths; the error never quotes a secret.
type Parse<T> = Box<dyn Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync>;

/// A value that is read from files which belong together, such as a certificate and its key.
pub(crate) struct Watched<T> {
    value: ArcSwap<T>,
    generation: AtomicU64,
    paths: Box<[String]>,
    max_bytes: u64,
    parse: Parse<T>,
    seen: Mutex<Seen>,
}

/// What is known of the files.
#[derive(Debug)]
struct Seen {
    /// The state that was read, refused or not.
    read: Vec<Option<Stamp>>,
    /// The state at the last look, if that was another one.
    changing: Option<Vec<Option<Stamp>>>,
    content: u64,
    /// Why what is there is not used, if so.
    refused: Option<String>,
}

/// By what a changed file is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            place: (metadata.dev(), metadata.ino()),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    fn now(path: &str) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::of(&metadata))
    }
}

impl<T: Send + Sync + 'static> Watched<T> {
    /// Reads one file of at most `max_bytes`.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(crate) fn file(
        path: &str,
        max_bytes: u64,
        parse: impl Fn(&[u8]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, String> {
        let name = path.to_owned();
        let parse = move |contents: &[Vec<u8>]| {
            let content = contents.first().map_or(&[][..], Vec::as_slice);
            parse(content).map_err(|reason| format!("{name}: {reason}"))
        };
        Self::files(vec![path.to_owned()], max_bytes, parse)
    }

    /// Reads files that make one value, each of at most `max_bytes`; the parser's message says which one it means.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(crate) fn files(
        paths: Vec<String>,
        max_bytes: u64,
        parse: impl Fn(&[Vec<u8>]) -> Result<T, String> + Send + Sync + 'static,
    ) -> Result<Arc<Self>, String> {
        let (read, contents) = read_all(&paths, max_bytes)?;
        let value = ArcSwap::from_pointee(parse(&contents)?);
        let seen = Seen { read, changing: None, content: digest(&contents), refused: None };
        Ok(Arc::new(Self {
            value,
            generation: AtomicU64::new(1),
            paths: paths.into(),
            max_bytes,
            parse: Box::new(parse),
            seen: Mutex::new(seen),
        }))
    }

    /// The value now, for the length of a look: no count is touched.
    pub(crate) fn load(&self) -> Guard<Arc<T>> {
        self.value.load()
    }

    /// The value now, to keep.
    pub(crate) fn get(&self) -> Arc<T> {
        self.value.load_full()
    }

    /// 1, and one more with each change.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        self.paths.iter().map(|path| Stamp::now(path)).collect()
    }

    /// Reads and swaps; `Ok(false)`: the contents are what they were.
    fn read_again(&self, seen: &mut Seen) -> Result<bool, String> {
        let (stamps, contents) = read_all(&self.paths, self.max_bytes)?;
        seen.read = stamps;
        let content = digest(&contents);
        if content == seen.content {
            return Ok(false);
        }
        self.value.store(Arc::new((self.parse)(&contents)?));
        seen.content = content;
        self.generation.fetch_add(1, Relaxed);
        Ok(true)
    }
}

impl<T> std::fmt::Debug for Watched<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").field("paths", &self.paths).finish_non_exhaustive()
    }
}

/// What came of a look.
#[derive(Debug, PartialEq, Eq)]
enum Looked {
    /// Nothing new.
    Same,
    /// It changes: look again soon.
    Changing,
    /// Another value is in use.
    Swapped,
    /// What is there now is not used, and why.
    Refused(String),
}

/// A file as the list sees it.
trait Look: Send + Sync {
    fn look(&self) -> Looked;
    fn paths(&self) -> String;
    fn refused(&self) -> Option<String>;
}

impl<T: Send + Sync + 'static> Look for Watched<T> {
    fn look(&self) -> Looked {
        let mut seen = lock(&self.seen);
        let now = self.stamps();
        if now == seen.read {
            seen.changing = None;
            return Looked::Same;
        }
        if seen.changing.as_ref() != Some(&now) {
            seen.changing = Some(now);
            return Looked::Changing;
        }
        seen.changing = None;
        // Whatever comes of it, this state is not tried again.
        seen.read = now;
        match self.read_again(&mut seen) {
            Ok(swapped) => {
                seen.refused = None;
                if swapped { Looked::Swapped } else { Looked::Same }
            }
            Err(reason) => {
                seen.refused = Some(reason.clone());
                Looked::Refused(reason)
            }
        }
    }

    fn paths(&self) -> String {
        self.paths.join(", ")
    }

    fn refused(&self) -> Option<String> {
        lock(&self.seen).refused.clone()
    }
}

/// The files that are in use; they leave it with the last snapshot that needs them.
#[derive(Default)]
pub(crate) struct Watchlist {
    entries: Mutex<Vec<Weak<dyn Look>>>,
    swapped: AtomicU64,
    refused: AtomicU64,
}

impl Watchlist {
    /// Has it looked at from now on.
    pub(crate) fn add<T: Send + Sync + 'static>(&self, watched: &Arc<Watched<T>>) {
        let mut entries = lock(&self.entries);
        entries.retain(|entry| entry.strong_count() > 0);
        let entry: Weak<Watched<T>> = Arc::downgrade(watched);
        entries.push(entry);
    }

    fn all(&self) -> Vec<Arc<dyn Look>> {
        lock(&self.entries).iter().filter_map(Weak::upgrade).collect()
    }

    /// Looks at every file; whether one of them changes.
    fn look(&self, log: &Log) -> bool {
        let mut changing = false;
        for entry in self.all() {
            let line = match entry.look() {
                Looked::Same => continue,
                Looked::Changing => {
                    changing = true;
                    continue;
                }
                Looked::Swapped => {
                    self.swapped.fetch_add(1, Relaxed);
                    Line::new(Level::Info, "a file has changed and is in use").with("file", entry.paths())
                }
                Looked::Refused(reason) => {
                    self.refused.fetch_add(1, Relaxed);
                    let message = "a file has changed and is refused; what it held before stays in use";
                    Line::new(Level::Error, message).with("file", entry.paths()).with("reason", reason)
                }
            };
            log.add(line);
        }
        changing
    }

    /// Files that were read again, and those refused then, so far.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.swapped.load(Relaxed), self.refused.load(Relaxed))
    }

    /// Files in use, and why some are not as they are on the disk.
    pub(crate) fn state(&self) -> (usize, Vec<String>) {
        let all = self.all();
        (all.len(), all.iter().filter_map(|entry| entry.refused()).collect())
    }
}

impl std::fmt::Debug for Watchlist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watchlist")
    }
}

/// Looks for ever, beside the background thread: a disk may hang.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut changing = false;
    loop {
        rt::sleep(if changing { SETTLED } else { EVERY }).await;
        // Most configs name no such file: then there is no thread to look, either.
        if shared.registry.guards.watchlist.all().is_empty() {
            changing = false;
            continue;
        }
        let looking = shared.clone();
        let mut job = rt::blocking(move || looking.registry.guards.watchlist.look(&looking.log));
        changing = std::future::poll_fn(|cx| job.poll(cx)).await.unwrap_or(false);
    }
}

type Contents = (Vec<Option<Stamp>>, Vec<Vec<u8>>);

fn read_all(paths: &[String], max_bytes: u64) -> Result<Contents, String> {
    let mut stamps = Vec::with_capacity(paths.len());
    let mut contents = Vec::with_capacity(paths.len());
    for path in paths {
        let (stamp, content) = read(path, max_bytes)?;
        stamps.push(Some(stamp));
        contents.push(content);
    }
    Ok((stamps, contents))
}

/// Reads a whole file, and what it was then.
fn read(path: &str, max_bytes: u64) -> Result<(Stamp, Vec<u8>), String> {
    let failed = |error: std::io::Error| format!("{path} cannot be read: {error}");
    for _ in 0..TRIES {
        // A pipe in its place is refused and not waited for.
        let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(format!("{path} is no file"));
        }
        // One that says how large it is need not be read to be refused.
        let large = || format!("{path} is larger than {max_bytes} bytes, the most that is read");
        let said = Some(metadata.len()).filter(|len| *len <= max_bytes).ok_or_else(large)?;
        let content = read_at_most(&file, said, max_bytes).map_err(failed)?.ok_or_else(large)?;
        let stamp = Stamp::of(&metadata);
        if file.metadata().is_ok_and(|after| Stamp::of(&after) == stamp) {
            return Ok((stamp, content));
        }
    }
    Err(format!("{path} changes while it is read"))
}

fn read_at_most(file: &File, said: u64, max_bytes: u64) -> std::io::Result<Option<Vec<u8>>> {
    // One byte more, so that the end is seen without more room.
    let mut content = Vec::with_capacity(usize::try_from(said).unwrap_or(0).saturating_add(1));
    file.take(max_bytes.saturating_add(1)).read_to_end(&mut content)?;
    Ok((content.len() as u64 <= max_bytes).then_some(content))
}

/// Whether contents are the same is asked of files that their owner writes, so an unkeyed hash does.
fn digest(contents: &[Vec<u8>]) -> u64 {
    let mut hasher = DefaultHasher::new();
    contents.hash(&mut hasher);
    hasher.finish()
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::sync::mpsc::Receiver;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("fastgate-watched-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) -> String {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        }

        /// Puts another file in its place, as careful writers do.
        fn replace(&self, name: &str, text: &str) {
            let new = self.write("new", text);
            fs::rename(new, self.0.join(name)).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn number(content: &[u8]) -> Result<u32, String> {
        std::str::from_utf8(content).ok().and_then(|text| text.trim().parse().ok()).ok_or("no number".to_owned())
    }

    fn list(watched: &Arc<Watched<u32>>) -> (Watchlist, Log, Receiver<Line>) {
        let list = Watchlist::default();
        list.add(watched);
        let (log, lines) = Log::new();
        (list, log, lines)
    }

    #[test]
    fn a_changed_file_is_swapped_once_it_has_settled() {
        let folder = Folder::new("swap");
        let path = folder.write("n", "1");
        let watched = Watched::file(&path, 100, number).unwrap();
        let (list, log, lines) = list(&watched);
        assert!(!list.look(&log));
        folder.replace("n", "22");
        // At the first look it may still be written; at the second it has not changed since.
        assert!(list.look(&log));
        assert_eq!((*watched.get(), watched.generation()), (1, 1));
        assert!(!list.look(&log));
        assert_eq!((**watched.load(), watched.generation()), (22, 2));
        assert_eq!(list.counts(), (1, 0));
        let line = lines.try_recv().unwrap();
        assert_eq!((line.level, line.fields[0].1.as_str()), (Level::Info, path.as_str()));
        // The same again, only touched: nothing is swapped.
        folder.replace("n", "22");
        assert!(list.look(&log));
        assert!(!list.look(&log));
        assert_eq!((watched.generation(), list.counts()), (2, (1, 0)));
    }

    #[test]
    fn what_becomes_bad_keeps_the_last_good_value() {
        let folder = Folder::new("bad");
        let path = folder.write("n", "1");
        let watched = Watched::file(&path, 4, number).unwrap();
        let (list, log, lines) = list(&watched);
        let look = || while list.look(&log) {};
        for (text, reason) in [("x", "no number"), ("12345", "larger than 4 bytes")] {
            folder.replace("n", text);
            look();
            let line = lines.try_recv().unwrap();
            assert_eq!(line.level, Level::Error);
            assert!(line.fields[1].1.contains(reason) && line.fields[1].1.contains(&path), "{line}");
            assert_eq!(*watched.get(), 1);
            look();
            assert!(lines.try_recv().is_err(), "said once");
        }
        fs::remove_file(&path).unwrap();
        look();
        assert!(lines.try_recv().unwrap().fields[1].1.contains("cannot be read"));
        assert_eq!((list.counts(), list.state().0, list.state().1.len()), ((0, 3), 1, 1));
        folder.write("n", "5");
        look();
        assert_eq!((*watched.get(), list.counts(), list.state().1.len()), (5, (1, 3), 0));
    }

    #[test]
    fn files_that_belong_together_change_together() {
        let folder = Folder::new("pair");
        let paths = vec![folder.write("a", "1"), folder.write("b", "1")];
        let same = |contents: &[Vec<u8>]| {
            let (a, b) = (number(&contents[0])?, number(&contents[1])?);
            if a == b { Ok(a) } else { Err("they differ".to_owned()) }
        };
        let watched = Watched::files(paths, 100, same).unwrap();
        let (list, log, _lines) = list(&watched);
        folder.replace("a", "2");
        while list.look(&log) {}
        assert_eq!((*watched.get(), list.counts()), (1, (0, 1)));
        folder.replace("b", "2");
        while list.look(&log) {}
        assert_eq!((*watched.get(), list.counts()), (2, (1, 1)));
    }

    #[test]
    fn what_cannot_be_read_is_refused_at_once() {
        let folder = Folder::new("refused");
        let error = |path: &str, max| Watched::file(path, max, number).unwrap_err();
        assert!(error("/nowhere/at/all", 9).starts_with("/nowhere/at/all cannot be read: "));
        let dir = folder.0.to_str().unwrap();
        assert_eq!(error(dir, 9), format!("{dir} is no file"));
        let path = folder.write("n", "123");
        assert_eq!(error(&path, 2), format!("{path} is larger than 2 bytes, the most that is read"));
        let path = folder.write("n", "x");
        assert_eq!(error(&path, 2), format!("{path}: no number"));
    }

    #[test]
    fn what_nobody_uses_leaves_the_list() {
        let folder = Folder::new("gone");
        let path = folder.write("n", "1");
        let (list, log, lines) = list(&Watched::file(&path, 9, number).unwrap());
        folder.replace("n", "2");
        assert!(!list.look(&log));
        let other = Watched::file(&path, 9, number).unwrap();
        list.add(&other);
        let entries = lock(&list.entries).len();
        assert_eq!((entries, list.state().0, lines.try_recv().is_err()), (1, 1, true));
    }
}
