//! A server for tests, which answers as it is told and keeps what it was sent.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// The server. What it answers may be changed while it runs; it answers nothing at all while that is empty.
pub(crate) struct Provider {
    pub(crate) url: String,
    pub(crate) answer: Arc<Mutex<String>>,
    pub(crate) asked: Arc<AtomicUsize>,
    pub(crate) requests: Arc<Mutex<Vec<String>>>,
}

/// An answer with this body.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

impl Provider {
    /// Starts it.
    pub(crate) fn start(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/ask", listener.local_addr().unwrap());
        let (answer, asked) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicUsize::new(0)));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (given, count, kept) = (answer.clone(), asked.clone(), requests.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let mut request = vec![0; 16 * 1024];
                // Requests of these tests come in one piece.
                if let Ok(n) = stream.read(&mut request) {
                    kept.lock().unwrap().push(String::from_utf8_lossy(&request[..n]).into_owned());
                    count.fetch_add(1, SeqCst);
                    // Whoever has gone does not want it.
                    let _ = stream.write_all(given.lock().unwrap().as_bytes());
                }
            }
        });
        Self { url, answer, asked, requests }
    }
}
