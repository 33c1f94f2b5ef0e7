//! The client against a server that answers as it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use fastgate_core::fetch::{Forbidden, Reach, Url, Verb};

use super::{Bounds, Call, Client, FetchError, Place, Purpose};
use crate::log::Log;
use crate::rt::Runtime;

/// A server: each request on a connection gets the next answer; an empty one ends the connection.
struct Server {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Server {
    fn start(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = accepted.clone();
        std::thread::spawn(move || {
            let mut answers = answers.iter();
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                count.fetch_add(1, SeqCst);
                let mut seen = Vec::new();
                let mut buf = [0; 4096];
                while let Ok(n @ 1..) = stream.read(&mut buf) {
                    seen.extend_from_slice(&buf[..n]);
                    if !seen.windows(4).any(|end| end == b"\r\n\r\n") {
                        continue;
                    }
                    seen.clear();
                    let answer = answers.next().copied().unwrap_or_default();
                    let ends = answer.is_empty() || answer.ends_with("END");
                    stream.write_all(answer.trim_end_matches("END").as_bytes()).unwrap();
                    if ends {
                        break;
                    }
                }
            }
        });
        Self { address, accepted }
    }

    fn call(&self) -> Call {
        call(&format!("http://{}/keys", self.address))
    }
}

fn call(url: &str) -> Call {
    let place = Place {
        url: Url::parse(url).unwrap(),
        reach: Reach { private: false, loopback: false },
        trust: None,
        bounds: Bounds { bytes: 64, time: Duration::from_secs(10) },
        purpose: Purpose::Jwks,
    };
    Call { place: Arc::new(place), verb: Verb::Get, fields: Vec::new(), body: None }
}

/// What one client makes of a call, asked so often.
fn ask(call: &Call, times: usize) -> Vec<Result<(u16, Vec<u8>), FetchError>> {
    let runtime = Runtime::new().unwrap();
    let client = Client::new(Vec::new(), Log::new().0);
    let one = || runtime.block_on(client.call(call)).map(|got| (got.status(), got.body));
    (0..times).map(|_| one()).collect()
}

fn answer(text: &'static str) -> Result<(u16, Vec<u8>), FetchError> {
    let answers: &'static [&'static str] = Box::leak(Box::new([text]));
    ask(&Server::start(answers).call(), 1).remove(0)
}

#[test]
fn an_answer_is_read_however_it_is_framed() {
    let hello = Ok((200, b"hello".to_vec()));
    assert_eq!(answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), hello);
    assert_eq!(answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"), hello);
    assert_eq!(answer("HTTP/1.0 200 OK\r\n\r\nhelloEND"), hello);
    assert_eq!(answer("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), hello);
    // A redirect is an answer like any other: nobody follows it.
    assert_eq!(
        answer("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
        Ok((302, vec![]))
    );
}

#[test]
fn what_is_no_answer_is_an_error_of_its_kind() {
    let large = Err(FetchError::TooLarge);
    assert_eq!(answer("HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n"), large);
    let long = "HTTP/1.1 200 OK\r\n\r\n0123456789012345678901234567890123456789012345678901234567890123456789END";
    assert_eq!(answer(long), large);
    assert_eq!(answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshortEND"), Err(FetchError::Closed));
    assert_eq!(answer(""), Err(FetchError::Closed));
    for bad in [
        "SSH-2.0-x\r\n",
        "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
    ] {
        assert!(matches!(answer(bad), Err(FetchError::Protocol(_))), "{bad}");
    }
}

#[test]
fn a_connection_carries_several_and_one_that_went_stale_costs_nothing() {
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    let server = Server::start(Box::leak(Box::new([ok, ok, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxEND", ok])));
    assert!(ask(&server.call(), 4).iter().all(Result::is_ok));
    assert_eq!(server.accepted.load(SeqCst), 2);
    // One that has said more than was asked for is not used again.
    let more = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n";
    let server = Server::start(Box::leak(Box::new([more, ok])));
    let runtime = Runtime::new().unwrap();
    let client = Client::new(Vec::new(), Log::new().0);
    assert!(runtime.block_on(client.call(&server.call())).is_ok());
    drop(client);
}

#[test]
fn no_address_is_asked_that_may_not_be() {
    for (url, why) in [
        ("https://169.254.169.254/", Forbidden::LinkLocal),
        ("https://[::ffff:169.254.169.254]/", Forbidden::LinkLocal),
        ("https://10.0.0.1/", Forbidden::Private),
        ("https://0.0.0.0/", Forbidden::NoHost),
    ] {
        assert_eq!(ask(&call(url), 1), [Err(FetchError::Address(why))], "{url}");
    }
}

#[test]
fn one_that_does_not_answer_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut call = call(&format!("http://{}/", listener.local_addr().unwrap()));
    Arc::get_mut(&mut call.place).unwrap().bounds.time = Duration::from_millis(50);
    assert_eq!(ask(&call, 1), [Err(FetchError::Timeout)]);
}
