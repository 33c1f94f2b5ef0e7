//! Listening addresses: parsing, trying and opening them.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::net::sockopt::{set_socket_reuseaddr, set_socket_reuseport, set_tcp_nodelay};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// Connections that may wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bind {
    /// An address and port; port 0 lets the kernel choose.
    Tcp(SocketAddr),
    /// A Unix stream socket.
    Unix(PathBuf),
    /// The socket of that name that was handed over at start.
    Named(String),
}

impl Bind {
    /// Reads `ADDR:PORT` (IPv6 in brackets), `unix:/path` or `systemd:NAME`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if let Some(name) = text.strip_prefix("systemd:") {
            return if name.is_empty() {
                Err(format!("{text} is not an address: a socket that is handed over is written systemd:NAME"))
            } else {
                Ok(Self::Named(name.to_owned()))
            };
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') {
                Ok(Self::Unix(path.into()))
            } else {
                Err(format!("{text} is not an address: a Unix socket is written unix:/absolute/path"))
            };
        }
        let parsed = text.parse().map(Self::Tcp);
        parsed.map_err(|_| format!("{text} is not an address: it is written ADDR:PORT, [IPv6]:PORT or unix:/path"))
    }

    /// How it is shown.
    pub(crate) fn show(&self) -> String {
        match self {
            Self::Tcp(address) => address.to_string(),
            Self::Unix(path) => format!("unix:{}", path.display()),
            Self::Named(name) => format!("systemd:{name}"),
        }
    }
}

/// Makes sure the address is free and settles port 0. What it returns holds the port until the workers have theirs.
///
/// SO_REUSEPORT alone would silently share the port with a stale process of the same user, so it is bound once without.
pub(crate) fn settle(bind: &Bind) -> io::Result<(Bind, Option<OwnedFd>)> {
    let address = match bind {
        Bind::Tcp(address) => address,
        Bind::Unix(path) => return check_path(path).map(|()| (bind.clone(), None)),
        Bind::Named(_) => return Err(not_handed()),
    };
    if address.port() != 0 {
        drop(tcp(*address, false)?);
        return Ok((bind.clone(), None));
    }
    let holder = tcp(*address, true)?;
    let settled = SocketAddr::try_from(rustix::net::getsockname(&holder)?)?;
    Ok((Bind::Tcp(settled), Some(holder)))
}

/// Opens one worker's own listening socket.
pub(crate) fn open(bind: &Bind) -> io::Result<OwnedFd> {
    let fd = match bind {
        Bind::Tcp(address) => tcp(*address, true)?,
        Bind::Unix(path) => unix(path)?,
        Bind::Named(_) => return Err(not_handed()),
    };
    rustix::net::listen(&fd, BACKLOG)?;
    Ok(fd)
}

fn not_handed() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "no socket of that name was handed over at start")
}

/// Opens the only listening socket there will be on that address; says where it listens.
pub(crate) fn open_alone(bind: &Bind) -> io::Result<(Bind, OwnedFd)> {
    let fd = match bind {
        Bind::Tcp(address) => tcp(*address, false)?,
        Bind::Unix(path) => unix(path)?,
        Bind::Named(_) => return Err(not_handed()),
    };
    rustix::net::listen(&fd, 128)?;
    let settled = match bind {
        Bind::Tcp(_) => Bind::Tcp(SocketAddr::try_from(rustix::net::getsockname(&fd)?)?),
        Bind::Unix(_) | Bind::Named(_) => bind.clone(),
    };
    Ok((settled, fd))
}

fn tcp(address: SocketAddr, share: bool) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC, None)?;
    set_socket_reuseaddr(&fd, true)?;
    set_socket_reuseport(&fd, share)?;
    // Accepted connections inherit it: one call fewer for each.
    set_tcp_nodelay(&fd, true)?;
    rustix::net::bind(&fd, &address)?;
    Ok(fd)
}

fn unix(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let new = || rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let address = SocketAddrUnix::new(path)?;
    check_path(path)?;
    // A socket that nobody listens on is left over from an earlier run.
    if path.try_exists()? && rustix::net::connect(new()?, &address) == Err(rustix::io::Errno::CONNREFUSED) {
        std::fs::remove_file(path)?;
    }
    let fd = new()?;
    rustix::net::bind(&fd, &address)?;
    Ok(fd)
}

/// Anything but a socket is somebody's file and stays.
fn check_path(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "the path is taken by something that is not a socket"))
        }
        _ => Ok(()),
    }
}

/// Removes the file of a Unix listener that has closed.
pub(crate) fn clean(bind: &Bind) {
    if let Bind::Unix(path) = bind {
        let _ = std::fs::remove_file(path);
    }
}

/// One clear reason for an address that cannot be had.
pub(crate) fn explain(error: &io::Error) -> String {
    match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::ADDRINUSE) => "the address is in use by another process".to_owned(),
        Some(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => {
            "permission denied: ports below 1024 and sockets in that folder need more rights".to_owned()
        }
        Some(rustix::io::Errno::ADDRNOTAVAIL) => "this machine has no such address".to_owned(),
        Some(rustix::io::Errno::NOENT) => "the folder does not exist".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_or_refused_with_the_forms_that_are_allowed() {
        assert_eq!(Bind::parse("[::]:80"), Ok(Bind::Tcp("[::]:80".parse().unwrap())));
        assert_eq!(Bind::parse("unix:/run/x.sock"), Ok(Bind::Unix("/run/x.sock".into())));
        for bad in ["", "8000", "localhost:80", "1.2.3.4", "1.2.3.4:70000", "unix:x"] {
            assert!(Bind::parse(bad).is_err_and(|reason| reason.contains("unix:/")), "{bad}");
        }
    }

    #[test]
    fn a_taken_port_is_noticed_although_it_is_shared() {
        let (bind, holder) = settle(&Bind::parse("127.0.0.1:0").unwrap()).unwrap();
        let one = open(&bind).unwrap();
        drop(holder);
        assert!(open(&bind).is_ok(), "workers share it");
        let error = settle(&bind).unwrap_err();
        assert!(explain(&error).contains("in use"));
        drop(one);
    }
}
