//! A client and a server over a pipe that cuts where it likes.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::*;

/// One end of a pipe: at most `room` bytes wait in it, at most `most` are read at once.
struct End {
    incoming: Rc<RefCell<VecDeque<u8>>>,
    outgoing: Rc<RefCell<VecDeque<u8>>>,
    ended: Rc<Cell<bool>>,
    peer_ended: Rc<Cell<bool>>,
    room: usize,
    most: usize,
    /// Calls that sent, and the most bytes that one of them sent.
    sent: Cell<usize>,
}

fn pipe(room: usize, most: usize) -> (End, End) {
    let (a, b) = (Rc::<RefCell<VecDeque<u8>>>::default(), Rc::<RefCell<VecDeque<u8>>>::default());
    let (x, y) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    let end = |incoming: &Rc<_>, outgoing: &Rc<_>, ended: &Rc<_>, peer_ended: &Rc<_>| End {
        incoming: Rc::clone(incoming),
        outgoing: Rc::clone(outgoing),
        ended: Rc::clone(ended),
        peer_ended: Rc::clone(peer_ended),
        room,
        most,
        sent: Cell::new(0),
    };
    (end(&a, &b, &x, &y), end(&b, &a, &y, &x))
}

impl Wire for End {
    fn receive(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut incoming = self.incoming.borrow_mut();
        if incoming.is_empty() {
            return if self.peer_ended.get() { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let n = incoming.len().min(buf.len()).min(self.most);
        for (to, from) in buf.iter_mut().zip(incoming.drain(..n)) {
            *to = from;
        }
        Ok(n)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut outgoing = self.outgoing.borrow_mut();
        let n = bytes.len().min(self.room - outgoing.len());
        if n == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        outgoing.extend(&bytes[..n]);
        self.sent.set(self.sent.get() + 1);
        Ok(n)
    }

    fn end(&self) -> io::Result<()> {
        self.ended.set(true);
        Ok(())
    }
}

fn server(versions: &[&'static rustls::SupportedProtocolVersion]) -> Records {
    let chain = CertificateDer::pem_slice_iter(include_bytes!("../../../tests/data/tls/server.pem"));
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../../tests/data/tls/server.key")).unwrap();
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = builder.with_protocol_versions(versions).unwrap().with_no_client_auth();
    let config = builder.with_single_cert(chain.collect::<Result<_, _>>().unwrap(), key).unwrap();
    Records::new(Side::Server(UnbufferedServerConnection::new(Arc::new(config)).unwrap()), Vec::new())
}

fn client() -> Records {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(include_bytes!("../../../tests/data/tls/ca.pem")) {
        roots.add(root.unwrap()).unwrap();
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let config = builder.with_root_certificates(roots).with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    Records::new(Side::Client(UnbufferedClientConnection::new(Arc::new(config), name).unwrap()), Vec::new())
}

/// One turn of an end: what waits goes out, what came is read.
fn turn(records: &mut Records, wire: &End, buf: &mut [u8], got: &mut Vec<u8>) {
    records.begin(wire).unwrap();
    match records.push(wire) {
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => panic!("{error}"),
        _ => {}
    }
    match records.read(buf, wire) {
        Ok(n) => got.extend_from_slice(&buf[..n]),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
        Err(error) => panic!("{error}"),
    }
}

const VERSIONS: [&[&rustls::SupportedProtocolVersion]; 2] = [&[&rustls::version::TLS13], &[&rustls::version::TLS12]];

#[test]
fn bytes_come_back_unchanged_however_the_pipe_cuts() {
    for versions in VERSIONS {
        for (room, most, buffer) in [(1 << 20, 1 << 20, 1 << 18), (1_000, 7, 1_000), (64, 1, 100), (30_000, 1 << 20, 1)]
        {
            let total = if most == 1 || buffer == 1 { 20_000 } else { 100_000 };
            let bytes: Vec<u8> = (0..total).map(|i: usize| (i * 7 + i / 251) as u8).collect();
            let (one, other) = pipe(room, most);
            let (mut client, mut server) = (client(), server(versions));
            let (mut at, mut echoed, mut back, mut buf) = (0, 0, Vec::new(), vec![0; buffer]);
            let (mut seen, mut largest) = (Vec::new(), 0);
            for _ in 0..4_000_000 {
                turn(&mut client, &one, &mut buf, &mut back);
                if client.established() && at < total {
                    // Two pieces, so that they are gathered.
                    let half = at + (total - at) / 2;
                    let pieces = [IoSlice::new(&bytes[at..half]), IoSlice::new(&bytes[half..])];
                    at += client.write(&pieces, &one).unwrap_or(0);
                }
                turn(&mut server, &other, &mut buf, &mut seen);
                if echoed < seen.len() {
                    echoed += server.write(&[IoSlice::new(&seen[echoed..])], &other).unwrap_or(0);
                }
                largest = largest.max(server.tail.len()).max(client.tail.len());
                if back.len() == total {
                    break;
                }
            }
            assert_eq!(back.len(), total, "{room} {most} {buffer}");
            assert!(back == bytes);
            assert!(largest <= SEALED, "{largest} bytes waited");
            assert_eq!(server.kept() + client.kept(), 0, "an idle connection keeps buffers");
        }
    }
}

#[test]
fn a_small_message_costs_one_receive_and_one_send() {
    let (one, other) = pipe(1 << 20, 1 << 20);
    let (mut client, mut server) = (client(), server(VERSIONS[0]));
    let (mut buf, mut seen) = (vec![0; 1 << 18], Vec::new());
    while !(client.established() && server.established() && one.outgoing.borrow().is_empty()) {
        turn(&mut client, &one, &mut buf, &mut seen);
        turn(&mut server, &other, &mut buf, &mut seen);
    }
    turn(&mut client, &one, &mut buf, &mut seen);
    let before = one.sent.get();
    let pieces: Vec<_> = [&b"GET / HTTP/1.1\r\n"[..], b"Host: x\r\n", b"\r\n"].map(IoSlice::new).into();
    assert_eq!(client.write(&pieces, &one).unwrap(), 27);
    assert_eq!(one.sent.get(), before + 1);
    assert_eq!(server.read(&mut buf, &other).unwrap(), 27);
    assert!(!server.has_more());
    assert!(buf.starts_with(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
}

#[test]
fn an_end_that_is_said_is_an_end_and_one_that_is_not_is_none_for_a_client() {
    for said in [true, false] {
        let (one, other) = pipe(1 << 20, 1 << 20);
        let (mut client, mut server) = (client(), server(VERSIONS[0]));
        let (mut buf, mut seen) = (vec![0; 1 << 18], Vec::new());
        while !(client.established() && server.established()) {
            turn(&mut client, &one, &mut buf, &mut seen);
            turn(&mut server, &other, &mut buf, &mut seen);
        }
        server.write(&[IoSlice::new(b"all of it?")], &other).unwrap();
        if said {
            server.shutdown(&other).unwrap();
        } else {
            other.end().unwrap();
        }
        assert_eq!(client.read(&mut buf, &one).unwrap(), 10);
        let end = client.read(&mut buf, &one);
        assert_eq!(end.map_err(|error| error.kind()), if said { Ok(0) } else { Err(io::ErrorKind::UnexpectedEof) });
        // A client that leaves without a word has only left.
        one.end().unwrap();
        assert_eq!(server.read(&mut buf, &other).unwrap(), 0);
    }
}

#[test]
fn what_is_not_tls_gets_an_alert_and_nothing_else() {
    let (one, other) = pipe(1 << 20, 1 << 20);
    let mut server = server(VERSIONS[0]);
    one.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut buf = [0; 100];
    assert_eq!(server.read(&mut buf, &other).unwrap_err().kind(), io::ErrorKind::InvalidData);
    let answer: Vec<u8> = one.incoming.borrow().iter().copied().collect();
    // An alert record of two bytes, fatal (RFC 8446 §6).
    assert_eq!((answer[0], answer.len(), answer[5]), (21, 7, 2));
    assert!(server.write(&[IoSlice::new(b"x")], &other).is_err());
}

#[test]
fn an_endless_handshake_ends_at_its_bound() {
    let (one, other) = pipe(1 << 20, 1 << 20);
    let mut server = server(VERSIONS[0]);
    // A ClientHello of 60,000 bytes in records of one byte each: six bytes on the wire for one of the message.
    let mut hello = vec![1, 0, 0xea, 0x60];
    hello.resize(60_000, 0);
    let mut buf = [0; 100];
    let mut sent = 0;
    let error = hello.iter().find_map(|byte| {
        one.send(&[22, 3, 1, 0, 1, *byte]).unwrap();
        sent += 6;
        server.read(&mut buf, &other).err().filter(|error| error.kind() != io::ErrorKind::WouldBlock)
    });
    assert_eq!(error.unwrap().kind(), io::ErrorKind::InvalidData);
    assert!(sent <= HANDSHAKE_BYTES + 6, "{sent} bytes were taken");
    assert_eq!(server.kept(), 0);
}
