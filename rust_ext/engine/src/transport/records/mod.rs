//! TLS records without a socket: what a connection keeps between two calls, and nothing when it has nothing to keep.
//!
//! Bytes come and go through a [`Wire`]; plaintext goes straight into the caller's buffer. The rules are those of
//! `docs/decisions/0010`.

mod step;
#[cfg(test)]
mod tests;
mod wire;

use std::cell::RefCell;
use std::io::{self, IoSlice};

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncryptError, InsufficientSizeError};

use step::{Keep, Pieces, Writing};
pub(crate) use wire::Wire;

/// Plaintext of one record (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;

/// A whole record on the wire (RFC 5246 §6.2.3, the larger of both versions).
const SEALED: usize = RECORD + 5 + 2048;

/// Bytes a peer may send before its handshake is through.
const HANDSHAKE_BYTES: usize = 64 * 1024;

/// Bytes of the cipher buffer: as large as the read buffer, with room for what was kept.
const CIPHER: usize = crate::buffers::READ_BYTES + HANDSHAKE_BYTES + SEALED;

thread_local! {
    /// A thread's cipher buffers: what comes, what goes, and what is gathered for one record. Allocated with the first
    /// TLS connection, touched only within one call.
    static CIPHER_BUFFERS: RefCell<Buffers> = const { RefCell::new(Buffers { read: Vec::new(), out: Vec::new(), plain: Vec::new() }) };
}

struct Buffers {
    read: Vec<u8>,
    out: Vec<u8>,
    plain: Vec<u8>,
}

/// Which end of the connection this is.
pub(crate) enum Side {
    /// Ours is the server.
    Server(UnbufferedServerConnection),
    /// Ours is the client.
    Client(UnbufferedClientConnection),
}

/// One connection's records.
pub(crate) struct Records {
    side: Side,
    /// Ciphertext that is not a whole record, or not a whole message of the handshake.
    incoming: Vec<u8>,
    /// Plaintext that did not fit where it was asked for.
    spill: Vec<u8>,
    /// Sealed and not sent: at most one record and what the handshake adds.
    tail: Vec<u8>,
    /// Bytes received before the handshake was through.
    greeted: usize,
    begun: bool,
    established: bool,
    /// close_notify came: nothing follows.
    peer_closed: bool,
    /// Our close_notify is sealed.
    closing: bool,
    /// The last read of the wire took all that fitted.
    full: bool,
    /// Our direction ends once the tail is out.
    ends: bool,
    failed: bool,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").field("established", &self.established).finish_non_exhaustive()
    }
}

/// What [`Records::drive`] did.
#[derive(Debug, Default, Clone, Copy)]
struct Drove {
    /// Bytes of the input that are done with.
    used: usize,
    /// Plaintext put into the caller's buffer.
    plain: usize,
}

impl Records {
    /// Those of a connection that begins; `received`: bytes of it that were read already.
    pub(crate) fn new(side: Side, received: Vec<u8>) -> Self {
        Self {
            side,
            incoming: received,
            spill: Vec::new(),
            tail: Vec::new(),
            greeted: 0,
            begun: false,
            established: false,
            peer_closed: false,
            closing: false,
            full: false,
            ends: false,
            failed: false,
        }
    }

    /// What the library knows of the connection.
    pub(crate) fn state(&self) -> &rustls::CommonState {
        match &self.side {
            Side::Server(server) => server,
            Side::Client(client) => client,
        }
    }

    /// Whether the handshake is through.
    pub(crate) fn established(&self) -> bool {
        self.established
    }

    /// Whether a read would yield something without the wire.
    pub(crate) fn has_plaintext(&self) -> bool {
        !self.spill.is_empty() || self.peer_closed || self.failed
    }

    /// Whether another read may yield something before the wire has more to tell.
    pub(crate) fn has_more(&self) -> bool {
        self.full || self.has_plaintext()
    }

    /// Whether sealed bytes wait for the wire.
    pub(crate) fn has_tail(&self) -> bool {
        !self.tail.is_empty()
    }

    /// Bytes it keeps in buffers of its own.
    #[cfg(test)]
    pub(crate) fn kept(&self) -> usize {
        self.incoming.capacity() + self.spill.capacity() + self.tail.capacity()
    }

    /// Begins a handshake: a client speaks first, and a server may have been given bytes. [`Records::read`] moves it on
    /// until it is [`Records::established`].
    pub(crate) fn begin(&mut self, wire: &impl Wire) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let mut incoming = std::mem::take(&mut self.incoming);
        self.greeted += incoming.len();
        let result = self.drive(&mut incoming, &mut []);
        if let Ok(drove) = &result {
            incoming.drain(..drove.used);
            self.incoming = incoming;
        }
        self.settle(result, wire).map(drop)
    }

    /// Reads plaintext: 0 is the end, `WouldBlock` nothing yet.
    ///
    /// # Errors
    /// `InvalidData` where the peer breaks the protocol or the handshake fails; `UnexpectedEof` where the connection
    /// ends within the handshake, and at a client also where it ends without close_notify (RFC 8446 §6.1), which for
    /// an answer that lasts until the end is the difference between all of it and a part.
    pub(crate) fn read(&mut self, buf: &mut [u8], wire: &impl Wire) -> io::Result<usize> {
        if !self.spill.is_empty() {
            let n = self.spill.len().min(buf.len());
            buf[..n].copy_from_slice(&self.spill[..n]);
            self.spill.drain(..n);
            if self.spill.is_empty() {
                self.spill = Vec::new();
            }
            return Ok(n);
        }
        if self.peer_closed {
            return Ok(0);
        }
        if self.failed {
            return Err(io::ErrorKind::InvalidData.into());
        }
        CIPHER_BUFFERS.with_borrow_mut(|buffers| {
            if buffers.read.is_empty() {
                buffers.read.resize(CIPHER, 0);
            }
            loop {
                let kept = self.incoming.len();
                // About as much as fits the caller's buffer, so that little has to be kept for it.
                let most = (kept + buf.len().max(RECORD) + SEALED - RECORD).min(CIPHER);
                buffers.read[..kept].copy_from_slice(&self.incoming);
                let n = wire.receive(&mut buffers.read[kept..most])?;
                self.full = kept + n == most;
                if n == 0 {
                    return self.ended();
                }
                if !self.established {
                    self.greeted += n;
                }
                let input = &mut buffers.read[..kept + n];
                let result = self.drive(input, buf);
                if let Ok(drove) = &result {
                    let rest = &input[drove.used..];
                    if rest.is_empty() {
                        self.incoming = Vec::new();
                    } else {
                        self.incoming.clear();
                        self.incoming.extend_from_slice(rest);
                    }
                }
                let drove = self.settle(result, wire)?;
                if drove.plain > 0 || self.peer_closed {
                    return Ok(drove.plain);
                }
                if !self.full {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
            }
        })
    }

    /// The wire has ended.
    fn ended(&mut self) -> io::Result<usize> {
        let truncated = !self.established || matches!(self.side, Side::Client(_));
        if truncated {
            self.failed = true;
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(0)
    }

    /// What follows a step of the library: its bytes go out, its errors end the connection.
    fn settle(&mut self, result: Result<Drove, rustls::Error>, wire: &impl Wire) -> io::Result<Drove> {
        let pushed = self.push(wire);
        let drove = result.and_then(|drove| {
            if !self.established && self.greeted > HANDSHAKE_BYTES {
                return Err(rustls::Error::General("the handshake takes more than 64 KiB".to_owned()));
            }
            Ok(drove)
        });
        match drove {
            Ok(drove) => match pushed {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                _ => Ok(drove),
            },
            Err(error) => {
                self.failed = true;
                self.incoming = Vec::new();
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }

    /// Lets the library work on what has come, until it needs more.
    fn drive(&mut self, input: &mut [u8], buf: &mut [u8]) -> Result<Drove, rustls::Error> {
        let Self { side, spill, tail, established, peer_closed, .. } = self;
        let mut keep = Keep { buf, plain: 0, spill, tail, established, peer_closed };
        let mut used = 0;
        loop {
            let step = match side {
                Side::Server(server) => keep.step(server.process_tls_records(&mut input[used..])),
                Side::Client(client) => keep.step(client.process_tls_records(&mut input[used..])),
            };
            let failed = match step {
                Ok((discard, more)) => {
                    used += discard;
                    if more {
                        continue;
                    }
                    return Ok(Drove { used, plain: keep.plain });
                }
                Err(error) => error,
            };
            // An alert says why. It is had without input: what was wrong once would be wrong again.
            loop {
                let step = match side {
                    Side::Server(server) if server.wants_write() => keep.step(server.process_tls_records(&mut [])),
                    Side::Client(client) if client.wants_write() => keep.step(client.process_tls_records(&mut [])),
                    _ => return Err(failed),
                };
                if step.is_err() {
                    return Err(failed);
                }
            }
        }
    }

    /// Writes plaintext: as much as was sealed, which is sent or waits in the tail. At most one record is sealed before
    /// the one before it is out.
    pub(crate) fn write(&mut self, pieces: &[IoSlice<'_>], wire: &impl Wire) -> io::Result<usize> {
        if self.failed || self.closing {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.push(wire)?;
        if !self.established {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        CIPHER_BUFFERS.with_borrow_mut(|Buffers { out, plain, .. }| {
            if out.is_empty() {
                out.resize(SEALED, 0);
            }
            let mut pieces = Pieces { pieces, at: 0 };
            let mut written = 0;
            while let Some(chunk) = pieces.next(plain) {
                let sealed = self.seal(chunk, out)?;
                written += chunk.len();
                let sent = match wire.send(&out[..sealed]) {
                    Ok(n) => n,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                    Err(error) => return Err(error),
                };
                if sent < sealed {
                    self.tail.extend_from_slice(&out[sent..sealed]);
                    break;
                }
            }
            Ok(written)
        })
    }

    /// Seals one record.
    fn seal(&mut self, chunk: &[u8], out: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            let sealed = self.writing(|writing| writing.encrypt(chunk, out))?;
            match sealed {
                Ok(n) => return Ok(n),
                Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    out.resize(required_size, 0);
                }
                Err(EncryptError::EncryptExhausted) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }

    /// Does something with the library when it is ready to write.
    fn writing<T>(&mut self, work: impl FnOnce(&mut dyn Writing) -> T) -> io::Result<T> {
        let Self { side, incoming, spill, tail, established, peer_closed, .. } = self;
        let mut keep = Keep { buf: &mut [], plain: 0, spill, tail, established, peer_closed };
        let mut used = 0;
        let mut work = Some(work);
        // What the library has to say itself goes first.
        for _ in 0..MAX_STEPS {
            macro_rules! step {
                ($connection:ident) => {{
                    let mut status = $connection.process_tls_records(&mut incoming[used..]);
                    let discard = status.discard;
                    if let Ok(ConnectionState::WriteTraffic(writing)) = &mut status.state
                        && let Some(work) = work.take()
                    {
                        let result = work(writing);
                        drop(status);
                        incoming.drain(..used + discard);
                        return Ok(result);
                    }
                    keep.step(status)
                }};
            }
            let step = match side {
                Side::Server(server) => step!(server),
                Side::Client(client) => step!(client),
            };
            match step {
                Ok((discard, true)) => used += discard,
                _ => break,
            }
        }
        Err(io::ErrorKind::BrokenPipe.into())
    }

    /// Reads and throws away, so that a close does not reset what was sent last; how much, 0 at the end.
    pub(crate) fn discard(wire: &impl Wire) -> io::Result<usize> {
        CIPHER_BUFFERS.with_borrow_mut(|buffers| {
            buffers.read.resize(CIPHER, 0);
            wire.receive(&mut buffers.read)
        })
    }

    /// Sends what waits; `WouldBlock` while something is left.
    pub(crate) fn push(&mut self, wire: &impl Wire) -> io::Result<()> {
        if !self.tail.is_empty() {
            let n = wire.send(&self.tail)?;
            if n < self.tail.len() {
                self.tail.drain(..n);
                return Err(io::ErrorKind::WouldBlock.into());
            }
            self.tail = Vec::new();
        }
        if std::mem::take(&mut self.ends) { wire.end() } else { Ok(()) }
    }

    /// Says that nothing follows, and ends our direction once that is out.
    pub(crate) fn shutdown(&mut self, wire: &impl Wire) -> io::Result<()> {
        if !self.closing {
            self.closing = true;
            if self.established && !self.failed {
                let mut alert = [0; 128];
                // Where there is no room for it the connection has more to say than an end could.
                if let Ok(Ok(n)) = self.writing(|writing| writing.close_notify(&mut alert)) {
                    self.tail.extend_from_slice(&alert[..n]);
                }
            }
            self.ends = true;
        }
        match self.push(wire) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }
}

/// Steps of the library before it must be ready to write.
const MAX_STEPS: usize = 16;
