//! The PROXY protocol at the beginning of a connection: exactly its bytes are taken, before TLS or a request.

use std::io;
use std::os::fd::BorrowedFd;

use fastgate_core::network::proxy::{self, MAX_HEADER, Malformed, Source};
use rustix::net::RecvFlags;

use crate::connection::Conn;
use crate::deadlines::ticks;
use crate::rt::Socket;
use crate::transport::Readiness;

/// What is looked at in one call; the usual header is far shorter.
const LOOK: usize = 536;

/// Why a connection ends here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refused {
    /// The peer is not among those that may say where clients come from.
    Peer,
    /// What came is no header.
    Malformed(Malformed),
    /// It did not come in time, or the connection ended.
    Gone,
}

impl Refused {
    fn word(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Malformed(malformed) => malformed.word(),
            Self::Gone => "gone",
        }
    }
}

/// Reads the header where the listener wants one, and takes the client's address from it; `false`: the connection ends.
pub(crate) async fn read(conn: &mut Conn) -> bool {
    match header(conn).await {
        Ok(Source::Own) => true,
        Ok(Source::Address(address)) => {
            conn.peer = Some(address);
            true
        }
        Ok(Source::Unix) => {
            conn.peer = None;
            true
        }
        Err(refused) => {
            conn.worker.metrics().proxy_refused.add(1);
            conn.worker.log_proxy(refused.word(), conn.peer);
            // Nothing is said to whoever is not trusted.
            false
        }
    }
}

async fn header(conn: &Conn) -> Result<Source, Refused> {
    let live = conn.listener.live();
    let from = &live.live.listeners[conn.listener.index.get()].proxy_protocol;
    // Who may open a Unix socket is its folder's affair: such a peer has no address.
    if conn.peer.is_some_and(|peer| !from.iter().any(|net| net.contains(&peer))) {
        return Err(Refused::Peer);
    }
    let Some(socket) = conn.stream.socket() else { return Err(Refused::Gone) };
    conn.deadline.set_after(ticks(live.live.limits.header_timeout_ms));
    drop(live);
    let mut taken: Vec<u8> = Vec::new();
    loop {
        conn.ready(Readiness::Read).await.map_err(|_| Refused::Gone)?;
        let before = taken.len();
        match look(socket, &mut taken) {
            Ok(0) => return Err(Refused::Gone),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => return Err(Refused::Gone),
        }
        let header = proxy::parse(&taken).map_err(Refused::Malformed)?;
        // What was looked at and belongs to the header is read now, and nothing behind it.
        let mine = header.map_or(taken.len(), |header| header.len).saturating_sub(before);
        consume(socket, mine).map_err(|_| Refused::Gone)?;
        if let Some(header) = header {
            return Ok(header.source);
        }
        if taken.len() >= MAX_HEADER {
            return Err(Refused::Malformed(Malformed::Length));
        }
    }
}

/// Adds what has come, and leaves it where it is.
fn look(socket: &Socket, taken: &mut Vec<u8>) -> io::Result<usize> {
    let from = taken.len();
    let seen = socket.try_call(Readiness::Read, |fd: BorrowedFd<'_>| {
        taken.resize(from + LOOK, 0);
        Ok(rustix::net::recv(fd, &mut taken[from..], RecvFlags::PEEK)?.0)
    });
    taken.truncate(from + seen.as_ref().copied().unwrap_or(0));
    seen
}

/// Takes so many bytes, which are there.
fn consume(socket: &Socket, mut count: usize) -> io::Result<()> {
    let mut away = [0; LOOK];
    while count > 0 {
        let room = count.min(LOOK);
        let got = socket.call_now(|fd| Ok(rustix::net::recv(fd, &mut away[..room], RecvFlags::empty())?.0))?;
        if got == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        count -= got;
    }
    Ok(())
}
