//! TLS on a connection of the client: the library's buffered API, which is as fast as a client needs to be.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

/// Whom to trust and whom to ask for.
#[derive(Debug, Clone)]
pub struct Trust {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Trust {
    /// The authorities of a PEM file, and the name that the server's certificate must have.
    ///
    /// # Errors
    /// One sentence that names what cannot be used.
    pub fn new(file: &str, name: &str) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        let certificates = CertificateDer::pem_file_iter(file).map_err(|error| format!("{file}: {error}"))?;
        for certificate in certificates {
            let certificate = certificate.map_err(|error| format!("{file}: {error}"))?;
            roots.add(certificate).map_err(|error| format!("{file}: {error}"))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS13]);
        let builder = builder.map_err(|error| error.to_string())?;
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        // Each handshake is a whole one.
        config.resumption = rustls::client::Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(name.to_owned()).map_err(|_| format!("{name:?} is no name of a server"))?;
        Ok(Self { config: Arc::new(config), name })
    }
}

/// TLS on one connection.
#[derive(Debug)]
pub(super) struct Tls(Box<ClientConnection>);

/// A socket as the library wants it.
struct Socket<'a>(&'a OwnedFd);

impl Read for Socket<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self.0, buf)?)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(self.0, buf)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Tls {
    /// That of a connection that begins.
    pub(super) fn new(trust: &Trust) -> Option<Self> {
        ClientConnection::new(trust.config.clone(), trust.name.clone()).ok().map(|tls| Self(Box::new(tls)))
    }

    /// Reads content: 0 is the end, `AGAIN` nothing yet. What the handshake has to say goes out on the way.
    pub(super) fn read(&mut self, fd: &OwnedFd, buf: &mut [u8]) -> Result<usize, Errno> {
        loop {
            match self.0.reader().read(buf) {
                Ok(n) => return Ok(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return Ok(0),
            }
            match self.0.read_tls(&mut Socket(fd)) {
                Ok(0) => return Ok(0),
                Ok(_) if self.0.process_new_packets().is_err() => return Err(Errno::PROTO),
                Ok(_) => self.flush(fd)?,
                Err(error) => return Err(errno(&error)),
            }
        }
    }

    /// Takes content and sends what fits; how much was taken. The rest goes with the next call, or a read.
    pub(super) fn write(&mut self, fd: &OwnedFd, bytes: &[u8]) -> Result<usize, Errno> {
        let n = self.0.writer().write(bytes).map_err(|error| errno(&error))?;
        self.flush(fd)?;
        Ok(n)
    }

    /// Sends what waits, as far as it fits.
    pub(super) fn flush(&mut self, fd: &OwnedFd) -> Result<(), Errno> {
        while self.0.wants_write() {
            match self.0.write_tls(&mut Socket(fd)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(errno(&error)),
            }
        }
        Ok(())
    }
}

fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::PROTO, Errno::from_raw_os_error)
}
