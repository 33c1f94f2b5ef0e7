//! The gateway's own answers: one place where they are written, and where what follows them is decided.

use std::io;

use fastgate_core::filter::{self, Answer, CompiledEdits, Content};
use fastgate_core::http1::Version;

use crate::connection::{After, Conn, LINGER_BYTES, LINGER_MS};
use crate::deadlines::ticks;
use crate::exchange::body::Reader;
use crate::fault::FaultKind;
use crate::guard::Findings;
use crate::log::access::{Record, add};
use crate::metrics::Tally;
use crate::transport::{Readiness, Transport};

/// What an answer needs to know of its request.
#[derive(Debug)]
pub(crate) struct To<'a> {
    pub(crate) version: Version,
    pub(crate) head_only: bool,
    pub(crate) keep_alive: bool,
    pub(crate) request_id: &'a [u8],
    /// The route's changes to it.
    pub(crate) edits: &'a CompiledEdits,
    /// What policies have found.
    pub(crate) found: Option<&'a Findings>,
    /// Where it is counted; none for a message that is no request.
    pub(crate) tally: Option<&'a Tally<'a>>,
    /// The line of a message that is no request.
    pub(crate) record: Option<&'a Record>,
    /// What of the request's body has not been read.
    pub(crate) unread: Unread,
}

/// The part of a request's body that was not read when its answer was given.
#[derive(Debug)]
pub(crate) enum Unread {
    /// None: everything was read.
    Nothing,
    /// This much, and what of it has come already lies in `Conn::pending`.
    Body(Reader),
    /// Nobody knows where the message ends.
    Unknown,
}

impl Unread {
    /// Whether it can be read and thrown away within the bound (class S10).
    fn is_little(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Body(Reader::Length(left)) => *left <= LINGER_BYTES,
            Self::Body(Reader::Done) => true,
            // How much of a chunked body is to come, nobody knows.
            Self::Body(Reader::Chunked(_) | Reader::UntilClose) | Self::Unknown => false,
        }
    }
}

/// Status, fields and content of an answer.
pub(crate) struct What<'a> {
    pub(crate) status: u16,
    pub(crate) detail: &'a str,
    pub(crate) fields: &'a [(&'a str, &'a [u8])],
    pub(crate) content: Content<'a>,
}

/// Answers and says what follows.
pub(crate) async fn give(conn: &mut Conn, to: To<'_>, what: What<'_>) -> After {
    let worker = conn.worker.clone();
    let keep_alive = keeps_alive(conn, &to, what.status);
    let block = {
        let mut scratch = worker.scratch.borrow_mut();
        let date = worker.date.borrow();
        let extra = to.found.map(Findings::extra);
        let answer = Answer {
            status: what.status,
            detail: what.detail,
            request_id: to.request_id,
            keep_alive,
            version: to.version,
            head_only: to.head_only,
            fields: what.fields,
            edits: to.edits,
            extra: extra.as_deref(),
            content: what.content,
            date: &*date,
        };
        filter::write_answer(&mut scratch.out, &answer);
        let block = worker.blocks.filled(&scratch.out);
        scratch.out.clear();
        block
    };
    match to.tally {
        Some(tally) => tally.answered(what.status),
        None => worker.metrics().unrouted.answered(what.status),
    }
    let mut bytes = 0;
    let sent = conn.send_all(&block, &mut bytes).await;
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    match to.tally {
        Some(tally) => {
            tally.sent(bytes);
            tally.head_of(&block);
            tally.ended();
        }
        None => worker.metrics().unrouted.sent.add(bytes as u64),
    }
    if let Some(record) = to.record {
        add(&record.sent, bytes);
        record.head_of(&block);
    }
    worker.blocks.give(block);
    if let Err(kind) = sent {
        worker.metrics().fault(kind);
        if let Some(tally) = to.tally {
            tally.failed(kind.into());
        }
        return After::Close;
    }
    follow(conn, to.unread, keep_alive, to.tally).await
}

/// Whether the connection goes on behind an answer. A client that was too slow is not waited for once more
/// (RFC 9110 §15.5.9).
pub(crate) fn keeps_alive(conn: &Conn, to: &To<'_>, status: u16) -> bool {
    to.keep_alive && status != 408 && to.unread.is_little() && !conn.should_close()
}

/// What follows an answer that is out.
pub(crate) async fn follow(conn: &mut Conn, unread: Unread, keep_alive: bool, tally: Option<&Tally<'_>>) -> After {
    match unread {
        Unread::Nothing if keep_alive => After::Next,
        Unread::Body(body) if keep_alive => drain(conn, body, tally).await,
        _ => After::Linger,
    }
}

/// Reads the rest of a body and throws it away: at most 64 KiB in 2 s, else the connection ends.
pub(crate) async fn drain(conn: &mut Conn, mut body: Reader, tally: Option<&Tally<'_>>) -> After {
    let worker = conn.worker.clone();
    conn.deadline.set_after(ticks(LINGER_MS));
    let mut left = LINGER_BYTES;
    let mut input = std::mem::take(&mut conn.pending);
    loop {
        {
            let mut scratch = worker.scratch.borrow_mut();
            let Ok(taken) = body.take(&input, &mut scratch.ranges) else { return After::Linger };
            let used = taken.used as u64;
            if let Some(tally) = tally {
                tally.received(taken.used);
            }
            if used > left {
                return After::Linger;
            }
            left -= used;
            if taken.ended {
                input.drain(..taken.used);
                conn.pending = input;
                return After::Next;
            }
            input.clear();
            match conn.stream.try_read(&mut scratch.read) {
                Ok(0) => return After::Close,
                Ok(n) => {
                    input.extend_from_slice(&scratch.read[..n]);
                    continue;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return After::Close,
            }
        }
        if conn.ready(Readiness::Read).await.is_err() {
            return After::Linger;
        }
    }
}

/// Fields that go with a fault's status.
pub(crate) fn fault_fields(kind: FaultKind) -> &'static [(&'static str, &'static [u8])] {
    match kind.status() {
        503 => &[("Retry-After", b"1")],
        _ => &[],
    }
}
