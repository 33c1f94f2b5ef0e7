//! A file on its way to a client. The worker never waits for a disk, and a client that does not read costs one
//! descriptor and an offset: what it did not take is read again.
//!
//! What the kernel holds in memory is sent from there, a small file together with its head, the rest by `sendfile`.
//! What it does not hold is read by another thread first. `docs/decisions/0013` has the figures.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use fastgate_core::snapshot::Reads;
use rustix::io::{Errno, ReadWriteFlags};

use super::Files;
use crate::connection::Conn;
use crate::deadlines::ticks;
use crate::fault::FaultKind;
use crate::rt;
use crate::transport::{Readiness, Transport};

/// Sent together with the head by a plain write, and read at once by another thread where it must wait.
const FIRST_BYTES: usize = 32 * 1024;
const COPY_BYTES: usize = 64 * 1024;

/// Most bytes given to the kernel at once; between two of them other connections have their turn.
const WINDOW_BYTES: u64 = 512 * 1024;

/// How far apart the bytes lie that are asked for to learn whether a window is in memory.
const PROBE_BYTES: u64 = 64 * 1024;

/// What is left to send of a file.
pub(super) struct Sending {
    file: Arc<OwnedFd>,
    reads: Reads,
    idle: crate::deadlines::Tick,
    start: u64,
    at: u64,
    end: u64,
    /// Bytes of the head that went out.
    head: u64,
}

/// What one step did.
enum Step {
    /// So many bytes went out.
    Sent(u64),
    /// The client takes no more for now.
    Full,
}

impl Sending {
    /// These bytes of the file.
    pub(super) fn new(file: OwnedFd, files: &Files, part: std::ops::Range<u64>) -> Self {
        let (start, end) = (part.start, part.end);
        Self { file: Arc::new(file), reads: files.reads, idle: files.idle, start, at: start, end, head: 0 }
    }

    /// Bytes that went out, those of the head included.
    pub(super) fn sent(&self) -> u64 {
        self.head + (self.at - self.start)
    }

    /// Sends the head and then the file.
    pub(super) async fn run(&mut self, conn: &mut Conn, head: &[u8]) -> Result<(), FaultKind> {
        let stall = ticks(conn.listener.live().live.limits.write_stall_ms);
        conn.deadline.set_after(stall);
        let mut head = self.first(conn, head).await?;
        if !head.is_empty() {
            conn.send_all(&head, &mut self.head).await?;
            head = Vec::new();
        }
        drop(head);
        while self.at < self.end {
            let step = if self.reads == Reads::Auto && conn.stream.sends_files() {
                self.window(conn).await?
            } else {
                self.copy(conn).await?
            };
            match step {
                Step::Sent(n) => {
                    self.at += n;
                    conn.deadline.set_after(stall);
                    rt::yield_now().await;
                }
                Step::Full => writable(conn).await?,
            }
        }
        Ok(())
    }

    /// The head and what fits behind it, in one call; what is left of the head.
    async fn first(&mut self, conn: &Conn, head: &[u8]) -> Result<Vec<u8>, FaultKind> {
        let want = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(FIRST_BYTES);
        let worker = conn.worker.clone();
        let read = match self.reads {
            Reads::Auto => self.peek(&mut worker.scratch.borrow_mut().read[..want]),
            Reads::Threads => None,
        };
        let sent = match read {
            Some(n) => put(conn, head, &worker.scratch.borrow().read[..n])?,
            None => {
                let block = self.read(conn, want).await?;
                put(conn, head, &block)?
            }
        };
        self.head += sent.min(head.len()) as u64;
        self.at += sent.saturating_sub(head.len()) as u64;
        Ok(head.get(sent..).unwrap_or_default().to_vec())
    }

    /// A window by `sendfile`, of what is in memory or has just been read into it.
    async fn window(&mut self, conn: &Conn) -> Result<Step, FaultKind> {
        let mut window = self.resident();
        if window == 0 {
            window = self.warm(conn).await?;
        }
        sent(conn.stream.try_sendfile(&self.file, self.at, usize::try_from(window).unwrap_or(usize::MAX)))
    }

    /// A buffer's worth by a plain write.
    async fn copy(&mut self, conn: &Conn) -> Result<Step, FaultKind> {
        let want = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(COPY_BYTES);
        let worker = conn.worker.clone();
        if self.reads == Reads::Auto {
            let mut scratch = worker.scratch.borrow_mut();
            if let Some(n) = self.peek(&mut scratch.read[..want]) {
                return sent(conn.stream.try_writev(&[IoSlice::new(&scratch.read[..n])]));
            }
        }
        let block = self.read(conn, want).await?;
        // What goes out counts as it goes, also of a block that is cut.
        conn.send_all(&block, &mut self.at).await?;
        Ok(Step::Sent(0))
    }

    /// Reads what is in memory: all of `room`, or `None`.
    fn peek(&self, room: &mut [u8]) -> Option<usize> {
        if room.is_empty() {
            return Some(0);
        }
        let read = rustix::io::preadv2(&self.file, &mut [IoSliceMut::new(room)], self.at, ReadWriteFlags::NOWAIT);
        read.ok().filter(|n| *n == room.len())
    }

    /// How many of the next bytes seem to be in memory.
    fn resident(&self) -> u64 {
        let most = (self.end - self.at).min(WINDOW_BYTES);
        let mut known = 0;
        while known < most {
            let next = (known + PROBE_BYTES).min(most);
            let mut byte = [0];
            // The first byte of the window, and then the last one of each step.
            let at = if known == 0 { self.at } else { self.at + next - 1 };
            let room = &mut [IoSliceMut::new(&mut byte)];
            if rustix::io::preadv2(&self.file, room, at, ReadWriteFlags::NOWAIT) != Ok(1) {
                break;
            }
            known = next;
        }
        known
    }

    /// Has another thread read the next window, so that the kernel holds it in memory; how much of it there is.
    async fn warm(&self, conn: &Conn) -> Result<u64, FaultKind> {
        let (file, at, most) = (self.file.clone(), self.at, (self.end - self.at).min(WINDOW_BYTES));
        let warmed = on_thread(conn, self.idle, move || {
            let mut room = vec![0; COPY_BYTES];
            let mut read = 0;
            while read < most {
                let want = usize::try_from(most - read).unwrap_or(COPY_BYTES).min(COPY_BYTES);
                match rustix::io::pread(&file, &mut room[..want], at + read) {
                    Ok(0) => break,
                    Ok(n) => read += n as u64,
                    Err(Errno::INTR) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(read)
        });
        match warmed.await? {
            Ok(0) => Err(FaultKind::FileTruncated),
            Ok(read) => Ok(read),
            Err(_) => Err(FaultKind::FileUnreadable),
        }
    }

    /// Has another thread read exactly so many bytes.
    async fn read(&self, conn: &Conn, want: usize) -> Result<Vec<u8>, FaultKind> {
        let (file, at) = (self.file.clone(), self.at);
        let read = on_thread(conn, self.idle, move || {
            let mut block = vec![0; want];
            let mut filled = 0;
            while filled < want {
                match rustix::io::pread(&file, &mut block[filled..], at + filled as u64) {
                    Ok(0) => return Err(FaultKind::FileTruncated),
                    Ok(n) => filled += n,
                    Err(Errno::INTR) => {}
                    Err(_) => return Err(FaultKind::FileUnreadable),
                }
            }
            Ok(block)
        });
        read.await?
    }
}

/// Runs what may wait on a thread of the worker's own pool, so that its descriptors mean the same there.
pub(super) async fn on_thread<R: Send + 'static>(
    conn: &Conn,
    limit: crate::deadlines::Tick,
    job: impl FnOnce() -> R + Send + 'static,
) -> Result<R, FaultKind> {
    conn.deadline.set_after(limit);
    let mut job = rt::blocking(job);
    let done = std::future::poll_fn(|cx| match job.poll(cx) {
        std::task::Poll::Ready(done) => std::task::Poll::Ready(done.ok_or(FaultKind::FileUnreadable)),
        std::task::Poll::Pending if conn.deadline.expired() => std::task::Poll::Ready(Err(FaultKind::FileTimeout)),
        std::task::Poll::Pending => std::task::Poll::Pending,
    })
    .await;
    conn.deadline.set_after(ticks(conn.listener.live().live.limits.write_stall_ms));
    done
}

/// Writes both in one call; how many bytes went out.
fn put(conn: &Conn, head: &[u8], body: &[u8]) -> Result<usize, FaultKind> {
    let pieces = [IoSlice::new(head), IoSlice::new(body)];
    match conn.stream.try_writev(if body.is_empty() { &pieces[..1] } else { &pieces }) {
        Ok(n) => Ok(n),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(_) => Err(FaultKind::ClientGone),
    }
}

/// What a write of file content came to: 0 bytes mean that the file has become shorter.
fn sent(result: io::Result<usize>) -> Result<Step, FaultKind> {
    match result {
        Ok(0) => Err(FaultKind::FileTruncated),
        Ok(n) => Ok(Step::Sent(n as u64)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Step::Full),
        Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Err(FaultKind::FileUnreadable),
        Err(_) => Err(FaultKind::ClientGone),
    }
}

/// Waits until the client takes more, within the write stall limit.
async fn writable(conn: &Conn) -> Result<(), FaultKind> {
    conn.ready(Readiness::Write).await.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => FaultKind::WriteStall,
        _ => FaultKind::ClientGone,
    })
}
