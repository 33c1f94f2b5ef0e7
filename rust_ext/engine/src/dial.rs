//! Opening connections to targets.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use fastgate_core::snapshot::Address;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustls::client::UnbufferedClientConnection;

use crate::fault::FaultKind;
use crate::rt::{self, Readiness, Socket};
use crate::target::Target;
use crate::transport::Stream;
use crate::transport::records::Side;
use crate::transport::tls::TlsStream;

/// How connections are opened: by the kernel, or by the simulation.
#[derive(Debug, Default)]
pub(crate) enum Dialer {
    /// Sockets.
    #[default]
    Kernel,
    /// In-memory pairs, made by the test.
    #[cfg(feature = "simulation")]
    Memory(crate::simulation::Dial),
}

impl Dialer {
    /// A new connection to one of the target's addresses, tried in turn within `limit`.
    pub(crate) async fn open(&self, target: &Arc<Target>, limit: Duration) -> Result<Stream, FaultKind> {
        match self {
            Self::Kernel => open_socket(target, limit).await,
            #[cfg(feature = "simulation")]
            Self::Memory(dial) => dial.open(target).await,
        }
    }
}

async fn open_socket(target: &Arc<Target>, limit: Duration) -> Result<Stream, FaultKind> {
    if let Address::Unix(path) = target.address() {
        return connect_unix(path).await.map_err(|_| FaultKind::Connect);
    }
    let addresses = poll_fn(|cx| target.poll_addresses(cx)).await.map_err(|_| FaultKind::Resolve)?;
    let mut last = FaultKind::Connect;
    for (i, address) in addresses.iter().enumerate() {
        let share = limit / u32::try_from(addresses.len() - i).unwrap_or(1);
        match rt::timeout(share, connect_tcp(*address)).await {
            Some(Ok(stream)) => return secure(stream, target).await,
            Some(Err(_)) => last = FaultKind::Connect,
            None => last = FaultKind::ConnectTimeout,
        }
    }
    Err(last)
}

/// TLS on a new connection, where it is to be: the target's certificate is verified before a byte is said to it (class
/// T4). The caller's time-out counts.
async fn secure(stream: Stream, target: &Target) -> Result<Stream, FaultKind> {
    let Some(tls) = target.tls() else { return Ok(stream) };
    let Stream::Socket(socket) = stream else { return Err(FaultKind::UpstreamTls) };
    let failed = |why: String| {
        target.shook_hands(Some(why));
        FaultKind::UpstreamTls
    };
    let client = UnbufferedClientConnection::new(tls.trust.config.clone(), tls.name.clone());
    let client = client.map_err(|error| failed(error.to_string()))?;
    let stream = Box::new(TlsStream::new(socket, Side::Client(client), Vec::new(), None));
    match poll_fn(|cx| stream.poll_handshake(cx)).await {
        Ok(()) => {
            target.shook_hands(None);
            Ok(Stream::Tls(stream))
        }
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(failed("the target hung up".to_owned())),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// A new TCP connection.
pub(crate) async fn connect_tcp(address: SocketAddr) -> io::Result<Stream> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let fd = stream_socket(family)?;
    rustix::net::sockopt::set_tcp_nodelay(&fd, true)?;
    let started = rustix::net::connect(&fd, &address);
    connected(fd, started).await
}

/// A new connection to a Unix socket.
pub(crate) async fn connect_unix(path: &str) -> io::Result<Stream> {
    let fd = stream_socket(AddressFamily::UNIX)?;
    let started = rustix::net::connect(&fd, &SocketAddrUnix::new(path)?);
    connected(fd, started).await
}

fn stream_socket(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(family, SocketType::STREAM, flags, None)?)
}

async fn connected(fd: OwnedFd, started: rustix::io::Result<()>) -> io::Result<Stream> {
    match started {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let socket = Socket::new(fd)?;
    poll_fn(|cx| socket.poll_ready(cx, Readiness::Write)).await?;
    match rustix::net::sockopt::socket_error(&socket)? {
        Ok(()) => Ok(Stream::Socket(socket)),
        Err(error) => Err(error.into()),
    }
}
