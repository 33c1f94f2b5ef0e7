//! What carries the bytes of the gateway's own connections, to Redis and to those it asks: a socket as it is, or TLS over it.

use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::transport::{Readiness, Stream, Transport};

/// One connection's carrier.
#[derive(Debug)]
pub(crate) enum Carrier {
    Plain(Stream),
    Tls(Box<Tls>),
}

/// TLS over a stream.
#[derive(Debug)]
pub(crate) struct Tls {
    stream: Stream,
    session: ClientConnection,
}

/// A stream as the library reads and writes it.
struct Pipe<'a>(&'a Stream);

impl Read for Pipe<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buf)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_writev(&[IoSlice::new(bytes)])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Carrier {
    /// A carrier over a stream that has just been opened; with TLS the certificate must be one for `host`.
    pub(crate) fn new(stream: Stream, tls: Option<(&Arc<ClientConfig>, &str)>) -> Result<Self, String> {
        let Some((config, host)) = tls else { return Ok(Self::Plain(stream)) };
        let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("{host} is no name a certificate has"))?;
        let mut session = ClientConnection::new(config.clone(), name).map_err(|error| error.to_string())?;
        // What waits is bounded by whoever writes; a bound here would have them ask again and again.
        session.set_buffer_limit(None);
        Ok(Self::Tls(Box::new(Tls { stream, session })))
    }

    fn stream(&self) -> &Stream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(tls) => &tls.stream,
        }
    }

    /// Waits until the way is open.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>, way: Readiness) -> Poll<io::Result<()>> {
        self.stream().poll_ready(cx, way)
    }

    /// Reads what is there: 0 is the end, `WouldBlock` nothing yet.
    pub(crate) fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.try_read(buf),
            Self::Tls(tls) => tls.try_read(buf),
        }
    }

    /// Takes as much as it can: `WouldBlock` is nothing.
    pub(crate) fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.try_writev(&[IoSlice::new(bytes)]),
            Self::Tls(tls) => tls.try_write(bytes),
        }
    }

    /// Whether something it took has not left.
    pub(crate) fn has_unsent(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.session.wants_write())
    }

    /// Sends what it took; `false` when something is left.
    pub(crate) fn flush(&mut self) -> io::Result<bool> {
        match self {
            Self::Plain(_) => Ok(true),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

impl Tls {
    fn flush(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Pipe(&self.stream)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.flush()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.session.writer().write(bytes)?;
        self.flush()?;
        // During the handshake the library's own buffer takes some and then no more.
        if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
    }

    fn try_read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buf) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            if self.session.read_tls(&mut Pipe(&self.stream))? == 0 {
                return Ok(0);
            }
            let read = self.session.process_new_packets();
            // An alert or the next flight of the handshake.
            let sent = self.flush();
            read.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            sent?;
        }
    }
}
