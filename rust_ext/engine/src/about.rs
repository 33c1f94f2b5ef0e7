//! What outlives a request's head: the few facts that later phases and answers need.

use std::cell::OnceCell;
use std::net::IpAddr;

use fastgate_core::filter::{self, Client};
use fastgate_core::http1::{Method, Version};

use crate::answer::{To, Unread};
use crate::connection::Conn;
use crate::guard::Findings;
use crate::head::Head;
use crate::live::Listener;
use crate::metrics::Tally;

/// What every later phase needs to know of a request; small and free of borrows, so that it lives across waits.
#[derive(Debug)]
pub(crate) struct About<'a> {
    /// What the request comes to.
    pub(crate) tally: Tally<'a>,
    pub(crate) version: Version,
    pub(crate) method: Method,
    pub(crate) keep_alive: bool,
    pub(crate) request_id: RequestId,
    pub(crate) client: Client,
    pub(crate) peer: Option<IpAddr>,
    /// What policies and hooks have found; nothing for most requests.
    found: OnceCell<Box<Findings>>,
    /// It came over TLS.
    pub(crate) secure: bool,
}

impl<'a> About<'a> {
    /// Of a head that was just read: the client's address and the request's id are settled here, once.
    pub(crate) fn new(conn: &Conn, head: &Head, listener: &Listener, tally: Tally<'a>) -> Self {
        let worker = &conn.worker;
        let scratch = worker.scratch.borrow();
        let (request, bytes) = (head.request(), head.bytes(&scratch.read));
        let mut buffer = [0; 32];
        Self {
            tally,
            version: request.version(),
            method: request.method(),
            keep_alive: request.keep_alive(),
            request_id: RequestId::new(filter::request_id(request, bytes, worker.random_wide(), &mut buffer)),
            client: filter::client_address(request, bytes, conn.peer, &listener.rules),
            peer: conn.peer,
            found: OnceCell::new(),
            secure: conn.stream.tls().is_some(),
        }
    }

    /// What policies and hooks have found.
    #[inline]
    pub(crate) fn found(&self) -> Option<&Findings> {
        self.found.get().map(|found| &**found)
    }

    /// Where policies and hooks put what they find.
    pub(crate) fn find(&self) -> &Findings {
        self.found.get_or_init(Box::default)
    }

    /// What an answer of the gateway's own needs.
    pub(crate) fn to(&self, unread: Unread) -> To<'_> {
        To {
            version: self.version,
            head_only: self.method == Method::Head,
            keep_alive: self.keep_alive,
            request_id: self.request_id.as_bytes(),
            edits: &filter::NO_EDITS,
            found: self.found(),
            tally: Some(&self.tally),
            record: None,
            unread,
        }
    }
}

/// A request's id: the usual 32 digits in place, a client's longer one in a box.
#[derive(Debug)]
pub(crate) enum RequestId {
    /// Up to 32 bytes.
    Short([u8; 32], u8),
    /// More.
    Long(Box<[u8]>),
}

impl RequestId {
    fn new(id: &[u8]) -> Self {
        let mut short = [0; 32];
        match (short.get_mut(..id.len()), u8::try_from(id.len())) {
            (Some(place), Ok(len)) => {
                place.copy_from_slice(id);
                Self::Short(short, len)
            }
            _ => Self::Long(id.into()),
        }
    }

    /// Its bytes.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Short(bytes, len) => &bytes[..usize::from(*len)],
            Self::Long(bytes) => bytes,
        }
    }
}
