//! Where lines go: a standard stream, a file, or a syslog daemon. Only the log thread writes, and it never waits for a
//! reader longer than it is told to.

use std::fs::File;
use std::io;
use std::mem;
use std::net::{ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fastgate_core::log::Stamp;
use fastgate_core::snapshot::LogTarget;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;

use crate::clock::{self, Clock};

/// What a pipe takes in one call without making its writer wait, once it is ready (PIPE_BUF).
const PIECE: usize = 4096;

/// How long one look at a reader lasts that is not ready.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Time between two tries to reach a syslog daemon that is gone.
const RECONNECT: Duration = Duration::from_secs(1);

/// Facility local0, severity informational (RFC 5424 §6.2.1).
const PRIORITY: &[u8] = b"<134>";

/// One place that lines go to.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) target: LogTarget,
    out: Out,
}

#[derive(Debug)]
enum Out {
    /// Standard output or error: inherited, so its flags are not ours to change.
    Stream(Stream),
    /// A file: replaced as a whole, so that a buffer under way ends where it began.
    File(Mutex<Arc<File>>),
    Syslog(Box<Mutex<Syslog>>),
}

#[derive(Debug, Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

/// What became of some lines.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// What kept some lines from going out: the first error, and how many lines went out all the same.
    pub(crate) failed: Option<(io::Error, u64)>,
}

impl Sink {
    /// Opens it; the error is a whole sentence.
    pub(crate) fn open(target: &LogTarget) -> Result<Self, String> {
        let out = match target {
            LogTarget::Stdout => Out::Stream(Stream::Stdout),
            LogTarget::Stderr => Out::Stream(Stream::Stderr),
            LogTarget::File(path) => Out::File(Mutex::new(Arc::new(open_file(path)?))),
            LogTarget::Syslog(address) => Out::Syslog(Box::new(Mutex::new(Syslog::open(address)?))),
        };
        Ok(Self { target: target.clone(), out })
    }

    /// Opens a file anew, for who moved it away; anything else stays as it is.
    pub(crate) fn reopen(&self) -> Result<(), String> {
        if let (Out::File(file), LogTarget::File(path)) = (&self.out, &self.target) {
            let fresh = Arc::new(open_file(path)?);
            *file.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        Ok(())
    }

    /// How it is named in messages.
    pub(crate) fn name(&self) -> &str {
        match &self.target {
            LogTarget::Stdout => "stdout",
            LogTarget::Stderr => "stderr",
            LogTarget::File(path) => path,
            LogTarget::Syslog(address) => address,
        }
    }

    /// Writes whole lines. `wait` is asked again and again while a reader is not ready: `false` gives up.
    pub(crate) fn write(&self, lines: &[u8], wait: &mut dyn FnMut() -> bool) -> Written {
        match &self.out {
            Out::Stream(stream) => {
                let (stdout, stderr) = (io::stdout(), io::stderr());
                let fd = match stream {
                    Stream::Stdout => stdout.as_fd(),
                    Stream::Stderr => stderr.as_fd(),
                };
                // A pipe that is ready takes one piece without making us wait; a file takes everything.
                let whole = rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_file());
                write_all(fd, lines, if whole { usize::MAX } else { PIECE }, wait)
            }
            Out::File(file) => {
                let file = file.lock().unwrap_or_else(PoisonError::into_inner).clone();
                write_all(file.as_fd(), lines, usize::MAX, wait)
            }
            Out::Syslog(syslog) => syslog.lock().unwrap_or_else(PoisonError::into_inner).write(lines, wait),
        }
    }
}

fn open_file(path: &str) -> Result<File, String> {
    // A FIFO without a reader would block the opener; and writes to one must not block either.
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let opened = rustix::fs::open(path, flags, Mode::from_raw_mode(0o640));
    opened.map(File::from).map_err(|errno| {
        let why = match errno {
            Errno::NXIO => "nobody reads this pipe".to_owned(),
            Errno::ISDIR => "it is a directory".to_owned(),
            Errno::NOENT => "its directory does not exist".to_owned(),
            _ => io::Error::from(errno).to_string(),
        };
        format!("the access log {path} cannot be written: {why}")
    })
}

/// Writes pieces while the descriptor takes them. After a line that broke off, a line break: the next one is whole.
fn write_all(fd: BorrowedFd<'_>, lines: &[u8], piece: usize, wait: &mut dyn FnMut() -> bool) -> Written {
    let mut sent = 0;
    let error = loop {
        let Some(rest) = lines.get(sent..).filter(|rest| !rest.is_empty()) else { break None };
        if piece < usize::MAX && !ready(fd) {
            if wait() {
                continue;
            }
            break Some(io::ErrorKind::TimedOut.into());
        }
        match rustix::io::write(fd, &rest[..rest.len().min(piece)]) {
            Ok(n) => sent += n,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                if !ready(fd) && !wait() {
                    break Some(io::ErrorKind::TimedOut.into());
                }
            }
            Err(errno) => break Some(errno.into()),
        }
    };
    let done = &lines[..sent];
    if error.is_some() && done.last().is_some_and(|last| *last != b'\n') {
        let _ = rustix::io::write(fd, b"\n");
    }
    // The lines are counted only where some are missing.
    Written { failed: error.map(|error| (error, count(done))) }
}

/// Whether it takes something, after a short look. An error is for the write to find.
fn ready(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::OUT)];
    !matches!(poll(&mut fds, Some(&LOOK)), Ok(0) | Err(Errno::INTR))
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// A syslog daemon, reached by datagrams: one a line.
#[derive(Debug)]
struct Syslog {
    address: String,
    socket: Option<OwnedFd>,
    clock: Clock,
    tried: Duration,
    stamp: Stamp,
    host: String,
    message: Vec<u8>,
}

impl Syslog {
    fn open(address: &str) -> Result<Self, String> {
        let socket = connect(address).map_err(|error| format!("the syslog at {address} cannot be reached: {error}"))?;
        Ok(Self {
            address: address.to_owned(),
            socket: Some(socket),
            clock: Clock::start(),
            tried: Duration::ZERO,
            stamp: Stamp::default(),
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            message: Vec::new(),
        })
    }

    fn write(&mut self, lines: &[u8], wait: &mut dyn FnMut() -> bool) -> Written {
        let (mut sent, mut error) = (0, None);
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            match self.send(line, wait) {
                Ok(()) => sent += 1,
                Err(failed) => error = error.or(Some(failed)),
            }
        }
        Written { failed: error.map(|error| (error, sent)) }
    }

    fn send(&mut self, line: &[u8], wait: &mut dyn FnMut() -> bool) -> io::Result<()> {
        let mut message = mem::take(&mut self.message);
        self.head(&mut message);
        message.extend_from_slice(line);
        let sent = self.send_message(&message, wait);
        self.message = message;
        sent
    }

    fn send_message(&mut self, message: &[u8], wait: &mut dyn FnMut() -> bool) -> io::Result<()> {
        let mut again = true;
        loop {
            let socket = self.connected()?;
            match rustix::net::send(socket, message, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    if !ready(socket.as_fd()) && !wait() {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                // The line is too long for a datagram: another one would be as well.
                Err(errno @ Errno::MSGSIZE) => return Err(errno.into()),
                // A datagram's error may be an older one's: the daemon may be back already.
                Err(_) if mem::take(&mut again) => self.socket = None,
                Err(errno) => {
                    self.socket = None;
                    return Err(errno.into());
                }
            }
        }
    }

    /// The socket, tried anew at most once a second.
    fn connected(&mut self) -> io::Result<&OwnedFd> {
        if self.socket.is_none() {
            let now = self.clock.elapsed();
            if self.tried > Duration::ZERO && now < self.tried + RECONNECT {
                return Err(io::ErrorKind::NotConnected.into());
            }
            self.tried = now.max(Duration::from_nanos(1));
            self.socket = Some(connect(&self.address)?);
            self.tried = Duration::ZERO;
        }
        self.socket.as_ref().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// What stands before a line: as local daemons read it (RFC 3164 §4.1 without the host), or RFC 5424 §6 over UDP.
    fn head(&mut self, message: &mut Vec<u8>) {
        let now = clock::unix_ms();
        let pid = std::process::id();
        message.clear();
        message.extend_from_slice(PRIORITY);
        if self.address.starts_with('/') {
            self.stamp.syslog(message, now);
            message.extend_from_slice(format!(" fastgate[{pid}]: ").as_bytes());
        } else {
            message.extend_from_slice(b"1 ");
            self.stamp.rfc3339(message, now);
            message.extend_from_slice(format!(" {} fastgate {pid} access - ", self.host).as_bytes());
        }
    }
}

fn connect(address: &str) -> io::Result<OwnedFd> {
    if address.starts_with('/') {
        let socket = UnixDatagram::unbound()?;
        socket.connect(address)?;
        return Ok(socket.into());
    }
    let to = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(to)?;
    Ok(socket.into())
}
