//! Listening sockets handed over by whoever started the process (socket activation), found by address or by name.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::net::sockopt::{ipv6_v6only, set_tcp_nodelay, socket_acceptconn};
use rustix::net::{SocketAddrAny, SocketAddrUnix};

use crate::listen::Bind;

/// A listening socket that was opened before this process: its name and its descriptor.
#[derive(Debug)]
pub struct Handed {
    /// What the service manager calls it; `systemd:NAME` is the bind that asks for it.
    pub name: String,
    /// The socket.
    pub fd: OwnedFd,
}

/// A handed socket and what it listens on.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) bind: Bind,
    /// `[::]` that takes IPv4 too.
    dual: bool,
    pub(crate) fd: OwnedFd,
}

/// Looks at the sockets and makes them ready to be accepted from; one that is no listening stream socket is an error.
pub(crate) fn known(handed: Vec<Handed>) -> Result<Vec<Known>, String> {
    handed
        .into_iter()
        .map(|Handed { name, fd }| {
            look(&fd)
                .map(|(bind, dual)| (bind, dual, fd))
                .map_err(|e| (name.clone(), e))
                .map(|(bind, dual, fd)| Known { name, bind, dual, fd })
        })
        .collect::<Result<_, _>>()
        .map_err(|(name, error)| format!("the socket {name} that was handed over cannot be used: {error}"))
}

fn look(fd: &OwnedFd) -> io::Result<(Bind, bool)> {
    if !socket_acceptconn(fd)? {
        return Err(io::Error::other("it does not listen; Accept=no and a stream socket are needed"));
    }
    rustix::io::ioctl_fionbio(fd, true)?;
    let address: SocketAddrAny = rustix::net::getsockname(fd)?;
    if let Ok(address) = SocketAddr::try_from(address.clone()) {
        set_tcp_nodelay(fd, true)?;
        let dual = address.is_ipv6() && address.ip().is_unspecified() && !ipv6_v6only(fd)?;
        return Ok((Bind::Tcp(address), dual));
    }
    let unix = SocketAddrUnix::try_from(address).map_err(|_| io::Error::other("its kind of address is unknown"))?;
    let path = unix.path().ok_or_else(|| io::Error::other("a Unix socket without a path"))?;
    Ok((Bind::Unix(PathBuf::from(path.to_string_lossy().into_owned())), false))
}

/// The socket that serves this bind: the one of that name, or the one on that address.
pub(crate) fn find<'a>(known: &'a [Known], wanted: &Bind) -> Option<&'a Known> {
    known.iter().find(|one| match wanted {
        Bind::Named(name) => one.name == *name,
        Bind::Tcp(SocketAddr::V4(address)) if one.dual && address.ip().is_unspecified() => {
            matches!(&one.bind, Bind::Tcp(listening) if listening.port() == address.port())
        }
        _ => one.bind == *wanted,
    })
}

/// Whether two addresses ask for the same port of the same interface, so that only SO_REUSEPORT lets both be open.
pub(crate) fn overlap(one: &Bind, other: &Bind) -> bool {
    let (Bind::Tcp(one), Bind::Tcp(other)) = (one, other) else { return false };
    let any = |ip: IpAddr| ip.is_unspecified();
    one.port() == other.port() && one.port() != 0 && (one.ip() == other.ip() || any(one.ip()) || any(other.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listening(address: &str) -> Handed {
        let socket = std::net::TcpListener::bind(address).unwrap();
        Handed { name: "web".into(), fd: socket.into() }
    }

    #[test]
    fn a_socket_is_found_by_its_name_and_by_its_address() {
        let known = known(vec![listening("127.0.0.1:0")]).unwrap();
        let address = known[0].bind.clone();
        assert!(find(&known, &address).is_some());
        assert!(find(&known, &Bind::Named("web".into())).is_some());
        assert!(find(&known, &Bind::Named("other".into())).is_none());
        assert!(find(&known, &Bind::parse("127.0.0.2:1").unwrap()).is_none());
    }

    #[test]
    fn a_dual_socket_serves_every_ipv4_address() {
        let Ok(socket) = std::net::TcpListener::bind("[::]:0") else { return };
        let port = socket.local_addr().unwrap().port();
        let known = known(vec![Handed { name: "web".into(), fd: socket.into() }]).unwrap();
        let bind = |ip: &str| Bind::parse(&format!("{ip}:{port}")).unwrap();
        assert!(find(&known, &bind("0.0.0.0")).is_some());
        assert!(find(&known, &bind("127.0.0.1")).is_none());
    }

    #[test]
    fn what_does_not_listen_is_refused() {
        let (one, _other) = std::os::unix::net::UnixStream::pair().unwrap();
        let error = known(vec![Handed { name: "x".into(), fd: one.into() }]).unwrap_err();
        assert!(error.contains("socket x") && error.contains("does not listen"), "{error}");
    }

    #[test]
    fn overlapping_addresses() {
        let bind = |text| Bind::parse(text).unwrap();
        assert!(overlap(&bind("0.0.0.0:80"), &bind("127.0.0.1:80")));
        assert!(overlap(&bind("127.0.0.1:80"), &bind("[::]:80")));
        assert!(!overlap(&bind("127.0.0.1:80"), &bind("127.0.0.2:80")));
        assert!(!overlap(&bind("0.0.0.0:80"), &bind("0.0.0.0:81")));
        assert!(!overlap(&bind("0.0.0.0:80"), &bind("unix:/a")));
    }
}
