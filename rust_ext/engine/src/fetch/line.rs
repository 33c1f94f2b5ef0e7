//! One connection to somebody who is asked, and the exchange over it.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::task::{Context, Poll};

use fastgate_core::fetch::Verb;
use fastgate_core::http1::{Method, Progress, Response};

use super::{Bounds, FetchError, Got};
use crate::carrier::Carrier;
use crate::exchange::body::Reader;
use crate::transport::Readiness;

/// Room to read into.
const INPUT: usize = 16 * 1024;

/// Interim answers before the final one.
const MAX_INTERIM: u8 = 8;

/// A connection.
pub(super) struct Line {
    carrier: Carrier,
    peer: IpAddr,
}

/// How an exchange failed.
pub(super) struct Failed {
    pub(super) error: FetchError,
    /// Not a byte of an answer was seen.
    pub(super) silent: bool,
}

/// An answer as far as it has come.
struct Reading {
    method: Method,
    most: usize,
    response: Response,
    /// The head's bytes; while it is read, all there are.
    head: Vec<u8>,
    body: Vec<u8>,
    reader: Option<Reader>,
    ranges: Vec<Range<usize>>,
    interim: u8,
    /// Bytes came behind the answer.
    extra: bool,
}

impl Line {
    /// A connection that has just been opened to this address.
    pub(super) fn new(carrier: Carrier, peer: IpAddr) -> Self {
        Self { carrier, peer }
    }

    /// Whether an idle connection is still good: nothing came that nobody asked for. Session tickets are no answer.
    pub(super) fn is_clean(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.carrier.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Sends a request and reads its answer; whether the connection can carry another.
    pub(super) async fn exchange(&mut self, request: &[u8], verb: Verb, bounds: Bounds) -> Result<(Got, bool), Failed> {
        let method = match verb {
            Verb::Get => Method::Get,
            Verb::Post => Method::Post,
        };
        let mut reading = Reading {
            method,
            most: bounds.bytes,
            response: Response::new(),
            head: Vec::new(),
            body: Vec::new(),
            reader: None,
            ranges: Vec::new(),
            interim: 0,
            extra: false,
        };
        let mut sent = 0;
        let mut input = vec![0; INPUT];
        let result = poll_fn(|cx| self.poll(cx, request, &mut sent, &mut reading, &mut input)).await;
        match result {
            Ok(()) => {
                let keep = reading.response.keep_alive() && !reading.extra && sent == request.len();
                let Reading { response, head, body, .. } = reading;
                Ok((Got { peer: self.peer, response, head, body }, keep))
            }
            Err(error) => Err(Failed { error, silent: reading.head.is_empty() && reading.interim == 0 }),
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        request: &[u8],
        sent: &mut usize,
        reading: &mut Reading,
        input: &mut [u8],
    ) -> Poll<Result<(), FetchError>> {
        loop {
            while *sent < request.len() {
                match self.carrier.try_write(&request[*sent..]) {
                    Ok(n) => *sent += n,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An answer may have come before the whole request was taken.
                    Err(_) => break,
                }
            }
            if let Err(error) = self.carrier.flush()
                && error.kind() != io::ErrorKind::WouldBlock
                && reading.head.is_empty()
                && self.carrier.poll_ready(cx, Readiness::Read).is_pending()
            {
                return Poll::Ready(Err(FetchError::Closed));
            }
            match self.carrier.try_read(input) {
                Ok(0) => return Poll::Ready(reading.end()),
                Ok(n) => {
                    if reading.take(&input[..n])? {
                        return Poll::Ready(Ok(()));
                    }
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    return Poll::Ready(Err(FetchError::Tls(error.to_string())));
                }
                Err(_) => return Poll::Ready(Err(FetchError::Closed)),
            }
            let unsent = *sent < request.len() || self.carrier.has_unsent();
            let write = unsent && self.carrier.poll_ready(cx, Readiness::Write).is_ready();
            if self.carrier.poll_ready(cx, Readiness::Read).is_pending() && !write {
                return Poll::Pending;
            }
        }
    }
}

impl Reading {
    /// Takes bytes in; `true` when the answer is whole.
    fn take(&mut self, input: &[u8]) -> Result<bool, FetchError> {
        if self.reader.is_some() {
            return self.take_body(input);
        }
        self.head.extend_from_slice(input);
        loop {
            let Progress::Complete(len) = self.response.parse(&self.head, self.method)? else { return Ok(false) };
            match self.response.status() {
                // Nothing asked for another protocol.
                101 => return Err(FetchError::Protocol("upgrade")),
                100..200 => {
                    self.interim += 1;
                    if self.interim > MAX_INTERIM {
                        return Err(FetchError::Protocol("interim"));
                    }
                    self.head.drain(..len);
                    self.response.clear();
                }
                _ => {
                    let rest = self.head.split_off(len);
                    self.begin_body()?;
                    return self.take_body(&rest);
                }
            }
        }
    }

    fn begin_body(&mut self) -> Result<(), FetchError> {
        let mut codings = self.response.get(&self.head, b"content-encoding");
        if codings.any(|coding| !coding.eq_ignore_ascii_case(b"identity")) {
            return Err(FetchError::Protocol("content_encoding"));
        }
        let reader = Reader::from(self.response.framing());
        if matches!(&reader, Reader::Length(length) if *length > self.most as u64) {
            return Err(FetchError::TooLarge);
        }
        self.reader = Some(reader);
        Ok(())
    }

    fn take_body(&mut self, input: &[u8]) -> Result<bool, FetchError> {
        let Some(reader) = &mut self.reader else { return Ok(false) };
        let taken = reader.take(input, &mut self.ranges)?;
        let bytes: usize = self.ranges.iter().map(Range::len).sum();
        if self.body.len() + bytes > self.most {
            return Err(FetchError::TooLarge);
        }
        for range in &self.ranges {
            self.body.extend_from_slice(&input[range.clone()]);
        }
        self.extra |= taken.ended && taken.used < input.len();
        Ok(taken.ended)
    }

    /// The connection ended.
    fn end(&self) -> Result<(), FetchError> {
        if matches!(self.reader, Some(Reader::UntilClose)) { Ok(()) } else { Err(FetchError::Closed) }
    }
}
