//! The beginning of a connection with TLS: the handshake, within its bounds, and what is counted of it.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use rustls::server::UnbufferedServerConnection;
use rustls::{AlertDescription, CertificateError, Error, HandshakeKind, InvalidMessage, ProtocolVersion};

use super::certificates;
use super::facts::Facts;
use super::served::Served;
use crate::connection::{Conn, LINGER_BYTES, LINGER_MS};
use crate::deadlines::ticks;
use crate::fault::FaultKind;
use crate::head::Head;
use crate::live::Listener;
use crate::metrics::tls::Ending;
use crate::transport::records::Side;
use crate::transport::tls::TlsStream;
use crate::transport::{Stream, Transport};

/// Puts TLS on a connection whose first bytes have come, those that were read already before the others. `None`: it
/// has TLS on it already, or cannot.
pub(crate) fn begin(mut conn: Conn, served: &Served) -> Option<Conn> {
    let policy = served.current();
    let server = UnbufferedServerConnection::new(policy.config.clone()).ok()?;
    let Stream::Socket(socket) = conn.stream else { return None };
    let received = std::mem::take(&mut conn.pending);
    let tls = TlsStream::new(socket, Side::Server(server), received, Some(policy));
    conn.stream = Stream::Tls(Box::new(tls));
    Some(conn)
}

/// Does the handshake, within `header_timeout`; whether a request may follow.
pub(crate) async fn greet(conn: &Conn) -> bool {
    let Stream::Tls(tls) = &conn.stream else { return false };
    let worker = &conn.worker;
    conn.deadline.set_after(ticks(conn.listener.live().live.limits.header_timeout_ms));
    let mut certificate = None;
    let result = poll_fn(|cx| {
        certificates::forget_served();
        let polled = tls.poll_handshake(cx);
        certificate = certificates::served().or(certificate);
        match polled {
            Poll::Pending if conn.deadline.expired() => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            polled => polled,
        }
    })
    .await;
    let line = &worker.metrics().tls;
    match (result, tls.take_policy(), certificate) {
        (Ok(()), Some(policy), Some(certificate)) => {
            tls.with_state(|state| {
                let resumed = state.handshake_kind() == Some(HandshakeKind::Resumed);
                let ending = if resumed { Ending::Resumed } else { Ending::Full };
                line.ended(ending, state.protocol_version() == Some(ProtocolVersion::TLSv1_3));
                tls.settle(Facts::new(state, &policy, certificate));
            });
            true
        }
        (result, ..) => {
            let error = result.err().unwrap_or_else(|| io::Error::other("no certificate was chosen"));
            line.failed(why(&error));
            worker.log_handshake(&error, conn.peer);
            // An alert is lost where the socket closes with bytes unread: the client may read it first.
            if error.kind() == io::ErrorKind::InvalidData && tls.shutdown().is_ok() {
                conn.deadline.set_after(ticks(LINGER_MS));
                let mut most = LINGER_BYTES;
                poll_fn(|cx| match tls.poll_discard(cx, &mut most) {
                    Poll::Pending if conn.deadline.expired() => Poll::Ready(()),
                    polled => polled,
                })
                .await;
            }
            false
        }
    }
}

/// Whether a request may be served over its connection, by what the listener asks now (RFC 9110 §15.5.20).
///
/// # Errors
/// `Misdirected`: the connection was opened without TLS where there is TLS now, or is not for this host, or its client
/// is not one that would get in now.
pub(crate) fn judge(conn: &Conn, head: &Head, listener: &Listener) -> Result<(), FaultKind> {
    let Stream::Tls(tls) = &conn.stream else { return Err(FaultKind::Misdirected) };
    let facts = tls.facts().ok_or(FaultKind::Misdirected)?;
    let scratch = conn.worker.scratch.borrow();
    let host = head.request().host(head.bytes(&scratch.read));
    facts.judge(host, listener.tls.as_deref(), |look| tls.with_state(look))
}

/// Which failure it is counted as.
fn why(error: &io::Error) -> Ending {
    let of_library = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match (error.kind(), of_library) {
        (io::ErrorKind::TimedOut, _) => Ending::Timeout,
        (_, Some(Error::NoCertificatesPresented)) => Ending::NoClientCertificate,
        (_, Some(Error::InvalidCertificate(CertificateError::Revoked))) => Ending::RevokedClientCertificate,
        (_, Some(Error::InvalidCertificate(_) | Error::InvalidCertRevocationList(_))) => Ending::BadClientCertificate,
        (
            _,
            Some(Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion)),
        ) => Ending::NotTls,
        (_, Some(Error::PeerIncompatible(_) | Error::NoApplicationProtocol)) => Ending::NothingInCommon,
        (_, Some(Error::AlertReceived(alert))) if *alert != AlertDescription::CloseNotify => Ending::RefusedByClient,
        (_, Some(_)) => Ending::BadMessage,
        (_, None) => Ending::ClientGone,
    }
}
