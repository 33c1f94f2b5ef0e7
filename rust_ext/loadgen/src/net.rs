//! Addresses, non-blocking sockets and the epoll set.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::sys;

/// Connections waiting to be accepted; more than any burst of this crate's own client.
const BACKLOG: i32 = 4096;
const EVENTS: usize = 1024;

/// Where to listen or connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `ADDR:PORT`, IPv6 in brackets.
    Ip(SocketAddr),
    /// `unix:/path`.
    Unix(PathBuf),
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("unix:") {
            Some("") => Err("unix: needs a path behind it".to_owned()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Ip).map_err(|_| format!("{text:?} is neither ADDR:PORT nor unix:/path")),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A non-blocking listener and the address it got (port 0 resolved).
///
/// # Errors
/// What the system said, e.g. that the port is taken.
pub fn listen(address: &Address) -> io::Result<(OwnedFd, Address)> {
    let (listener, bound): (OwnedFd, _) = match address {
        Address::Ip(ip) => {
            let listener = TcpListener::bind(ip)?;
            listener.set_nonblocking(true)?;
            let bound = Address::Ip(listener.local_addr()?);
            (listener.into(), bound)
        }
        Address::Unix(path) => {
            let listener = UnixListener::bind(path)?;
            listener.set_nonblocking(true)?;
            rustix::fs::chmod(path, Mode::RUSR | Mode::WUSR)?;
            (listener.into(), address.clone())
        }
    };
    rustix::net::listen(&listener, BACKLOG)?;
    Ok((listener, bound))
}

/// Accepts one connection, non-blocking; `None` once there is none.
///
/// # Errors
/// What the system said; the listener stays usable.
pub fn accept(listener: &OwnedFd) -> io::Result<Option<OwnedFd>> {
    match rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
        Ok(fd) => {
            no_delay(fd.as_fd());
            Ok(Some(fd))
        }
        Err(Errno::AGAIN) => Ok(None),
        Err(Errno::INTR | Errno::CONNABORTED) => accept(listener),
        Err(error) => Err(error.into()),
    }
}

/// Starts a non-blocking connection; whether it stands is told by writability and [`connected`].
///
/// # Errors
/// What the system said at once, e.g. that no descriptor is left.
pub fn connect(address: &Address) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (fd, started) = match address {
        Address::Ip(ip) => {
            let family = if ip.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
            let fd = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
            no_delay(fd.as_fd());
            let started = rustix::net::connect(&fd, ip);
            (fd, started)
        }
        Address::Unix(path) => {
            let fd = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
            let started = rustix::net::connect(&fd, &SocketAddrUnix::new(path)?);
            (fd, started)
        }
    };
    match started {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
        Err(error) => Err(error.into()),
    }
}

/// Starts a non-blocking IPv4 or IPv6 connection, from an address of the caller's choice where there is one.
///
/// # Errors
/// As [`connect`]; also that every port of the address is in use.
pub fn connect_from(source: Option<Ipv4Addr>, to: &SocketAddr) -> io::Result<OwnedFd> {
    let Some(source) = source else { return connect(&Address::Ip(*to)) };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    no_delay(fd.as_fd());
    // The port is chosen when the destination is known: then it need be free for that destination only.
    sys::bind_address_no_port(&fd)?;
    rustix::net::bind(&fd, &SocketAddrV4::new(source, 0))?;
    match rustix::net::connect(&fd, to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(fd),
        Err(error) => Err(error.into()),
    }
}

/// Listeners of one loopback port among which the kernel shares out the connections, and their address.
///
/// # Errors
/// What the system said.
pub fn listen_shared(port: u16, count: usize) -> io::Result<(Vec<OwnedFd>, SocketAddr)> {
    let mut address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut listeners = Vec::new();
    for _ in 0..count {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_reuseport(&fd, true)?;
        rustix::net::bind(&fd, &address)?;
        rustix::net::listen(&fd, BACKLOG)?;
        address = rustix::net::getsockname(&fd)?.try_into().map_err(io::Error::other)?;
        listeners.push(fd);
    }
    Ok((listeners, address))
}

/// Whether a connection that became writable stands.
#[must_use]
pub fn connected(fd: &OwnedFd) -> bool {
    matches!(sockopt::socket_error(fd), Ok(Ok(())))
}

fn no_delay(fd: BorrowedFd<'_>) {
    // Fails on Unix sockets, which have no delay to switch off.
    let _ = sockopt::set_tcp_nodelay(fd, true);
}

/// The address to connect to for a listener bound to every interface.
#[must_use]
pub fn reachable(address: Address) -> Address {
    match address {
        Address::Ip(mut ip) if ip.ip().is_unspecified() => {
            ip.set_ip(if ip.is_ipv4() { IpAddr::from([127, 0, 0, 1]) } else { Ipv6Addr::LOCALHOST.into() });
            Address::Ip(ip)
        }
        other => other,
    }
}

/// Raises the soft descriptor limit to the hard one.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}

/// One event of a [`Poll`].
#[derive(Debug, Clone, Copy)]
pub struct Event {
    /// The token given when the descriptor was added.
    pub token: u64,
    /// Bytes, a connection or an end can be read.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
    /// The peer ended its side, or the connection failed: read until the end.
    pub hangup: bool,
}

/// An edge-triggered epoll set: each descriptor is added once and never changed.
pub struct Poll {
    epoll: OwnedFd,
    list: Vec<epoll::Event>,
}

impl fmt::Debug for Poll {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poll").field("epoll", &self.epoll).finish_non_exhaustive()
    }
}

impl Poll {
    /// An empty set.
    ///
    /// # Errors
    /// What the system said.
    pub fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?, list: Vec::with_capacity(EVENTS) })
    }

    /// Adds a descriptor for both directions; closing it takes it out.
    ///
    /// # Errors
    /// What the system said, e.g. for a descriptor that cannot be polled.
    pub fn add(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let flags = epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        Ok(epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), flags)?)
    }

    /// Waits until something happens or `timeout` has passed, and moves the events to `out`.
    ///
    /// # Errors
    /// What the system said; an interrupted wait is no error.
    pub fn wait(&mut self, timeout: Option<Duration>, out: &mut Vec<Event>) -> io::Result<()> {
        out.clear();
        let timeout = timeout.map(|t| Timespec {
            tv_sec: i64::try_from(t.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: t.subsec_nanos().into(),
        });
        self.list.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.list), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        out.extend(self.list.iter().map(|event| {
            let (flags, data) = (event.flags, event.data);
            let hangup = flags.intersects(epoll::EventFlags::RDHUP | epoll::EventFlags::HUP | epoll::EventFlags::ERR);
            Event {
                token: data.u64(),
                readable: hangup || flags.contains(epoll::EventFlags::IN),
                writable: flags.contains(epoll::EventFlags::OUT),
                hangup,
            }
        }));
        Ok(())
    }
}
