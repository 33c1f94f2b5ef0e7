//! The access log on a worker: a line begins when a request meets its route and ends with the request; whole lines
//! gather in one buffer, which goes to the log thread when it is full or when the sweep comes.

use std::cell::{Cell, RefCell};
use std::mem;
use std::sync::{Arc, OnceLock};

use fastgate_core::log::{Begin, End, Format, Redact, Stamp};
use fastgate_core::snapshot::{Invalid, LogFormat, LogTarget, Logs};

use super::sink::Sink;
use super::writer::{Batch, Writer};
use crate::clock;
use crate::fault::Fault;
use crate::worker::Worker;

/// Bytes of lines that go to the log thread together.
const FULL: usize = 64 * 1024;

/// Spare records kept for each worker, and the largest block that is kept with one.
const SPARE_RECORDS: usize = 256;
const SPARE_CAPACITY: usize = 4 * 1024;

/// The access log of one snapshot.
#[derive(Debug)]
pub(crate) struct Access {
    format: Format,
    redact: Redact,
    sample: Sample,
    to: LogTarget,
    sink: OnceLock<Arc<Sink>>,
}

impl Access {
    /// Judges and compiles it; it writes nothing before [`Access::open`].
    pub(crate) fn compile(logs: &Logs, invalid: &mut Vec<Invalid>) -> Option<Arc<Self>> {
        let access = logs.access.as_ref()?;
        let format = match &access.format {
            LogFormat::Json => Ok(Format::json()),
            LogFormat::Combined => Ok(Format::combined()),
            LogFormat::Template(template) => Format::template(template),
        };
        let format = format.map_err(|message| invalid.push(Invalid::new("logs.access.format", message))).ok();
        let sample = Sample::new(access.sample);
        if sample.is_none() {
            let message = format!("{} is no share; allowed: 0 to 1", access.sample);
            invalid.push(Invalid::new("logs.access.sample", message));
        }
        if let LogTarget::File(path) | LogTarget::Syslog(path) = &access.to
            && (path.is_empty() || path.contains('\0'))
        {
            invalid.push(Invalid::new("logs.access.to", "a path or an address is needed"));
        }
        Some(Arc::new(Self {
            format: format?,
            redact: Redact::new(&logs.redact_query, &logs.redact_headers),
            sample: sample?,
            to: access.to.clone(),
            sink: OnceLock::new(),
        }))
    }

    /// Opens where its lines go. The error is a whole sentence.
    pub(crate) fn open(&self, writer: &Arc<Writer>) -> Result<(), String> {
        if self.sink.get().is_none() {
            let _ = self.sink.set(writer.sink(&self.to)?);
        }
        Ok(())
    }

    /// What its requests without a route are sampled by, and those of routes without a share of their own.
    pub(crate) fn sample(&self) -> Sample {
        self.sample
    }
}

/// A share of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sample {
    /// None at all, not even errors.
    Never,
    /// Those whose random number is below this, and errors of the gateway and the upstream.
    Some(u64),
    /// Every one.
    Always,
}

impl Sample {
    /// From a share of 0 to 1; `None` for anything else.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the share is between 0 and 1")]
    pub(crate) fn new(share: f64) -> Option<Self> {
        match share {
            0.0 => Some(Self::Never),
            1.0 => Some(Self::Always),
            share if (0.0..1.0).contains(&share) => Some(Self::Some((share * 18_446_744_073_709_551_616.0) as u64)),
            _ => None,
        }
    }
}

/// The line of one request on its way.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// What the request's head said.
    block: Vec<u8>,
    /// The sample has it.
    sampled: bool,
    pub(crate) received: Cell<u64>,
    pub(crate) sent: Cell<u64>,
    /// Bytes of heads among those sent.
    pub(crate) heads: Cell<u64>,
    pub(crate) retries: Cell<u32>,
    /// The target's place in its service.
    pub(crate) target: Cell<Option<u32>>,
    pub(crate) fault: Cell<Option<Fault>>,
    /// Microseconds in all, and with the upstream.
    pub(crate) times: Cell<Option<(u64, u64)>>,
    /// Its answer is through.
    pub(crate) ended: Cell<bool>,
}

/// A place for a record: one pointer, so that a request without a log hardly carries it.
#[derive(Default)]
pub(crate) struct Place(Cell<Option<Box<Record>>>);

impl Place {
    /// Puts a record there, or nothing.
    pub(crate) fn set(&self, record: Option<Box<Record>>) {
        self.0.set(record);
    }

    /// Takes the record away.
    pub(crate) fn take(&self) -> Option<Box<Record>> {
        self.0.take()
    }

    /// Looks at the record, if there is one.
    pub(crate) fn with(&self, note: impl FnOnce(&Record)) {
        if let Some(record) = self.0.take() {
            note(&record);
            self.0.set(Some(record));
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Place")
    }
}

impl Record {
    /// Notes the head of a whole answer among what is sent.
    pub(crate) fn head_of(&self, answer: &[u8]) {
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        add(&self.heads, end.map_or(answer.len(), |at| at + 4));
    }
}

/// Adds to a count of a [`Record`].
pub(crate) fn add(count: &Cell<u64>, n: usize) {
    count.set(count.get() + n as u64);
}

/// A worker's lines.
#[derive(Debug)]
pub(crate) struct Lines {
    buffer: RefCell<Batched>,
    stamp: RefCell<Stamp>,
    #[expect(clippy::vec_box, reason = "a record moves in and out as one pointer")]
    spare: RefCell<Vec<Box<Record>>>,
    /// What the monotonic clock lacks to the time of day, in nanoseconds.
    ahead: Cell<u64>,
}

/// Whole lines for one sink.
#[derive(Debug, Default)]
struct Batched {
    bytes: Vec<u8>,
    lines: u32,
    sink: Option<Arc<Sink>>,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            buffer: RefCell::default(),
            stamp: RefCell::default(),
            spare: RefCell::default(),
            ahead: Cell::new(clock::ahead_ns()),
        }
    }
}

impl Lines {
    /// Looks at the time of day again.
    pub(crate) fn set_clock(&self) {
        self.ahead.set(clock::ahead_ns());
    }
}

impl Worker {
    /// Begins a line, if this request may get one. `begun_ns` is of the monotonic clock.
    pub(crate) fn begin_line(
        &self,
        access: &Access,
        sample: Sample,
        begun_ns: u64,
        mut begin: Begin<'_>,
    ) -> Option<Box<Record>> {
        let sampled = match sample {
            Sample::Never => return None,
            Sample::Some(below) => self.random() < below,
            Sample::Always => true,
        };
        let mut record = self.lines.spare.borrow_mut().pop().unwrap_or_default();
        record.sampled = sampled;
        begin.unix_ms = begun_ns.wrapping_add(self.lines.ahead.get()) / 1_000_000;
        access.format.begin(&mut record.block, &begin, &access.redact, &mut self.lines.stamp.borrow_mut());
        Some(record)
    }

    /// Ends a line: it is among those that go to the log thread, unless it is neither sampled nor an error.
    pub(crate) fn end_line(&self, access: &Access, mut record: Box<Record>, mut end: End<'_>) {
        let fault = record.fault.get();
        let failed =
            end.status >= 500 || fault.is_some_and(|fault| fault.kind.source() != crate::fault::Source::Client);
        if record.sampled || failed {
            end.bytes_in = record.received.get();
            end.bytes_out = record.sent.get();
            end.body_bytes_out = end.bytes_out.saturating_sub(record.heads.get());
            end.retries = record.retries.get();
            if let Some(fault) = fault {
                end.error = Some(fault.kind.name());
                end.reason = fault.reason.map(fastgate_core::http1::Reason::name);
            }
            self.add_line(access, &record.block, &end);
        }
        let mut spare = self.lines.spare.borrow_mut();
        if spare.len() < SPARE_RECORDS && record.block.capacity() <= SPARE_CAPACITY {
            let mut block = mem::take(&mut record.block);
            block.clear();
            *record = Record { block, ..Record::default() };
            spare.push(record);
        }
    }

    fn add_line(&self, access: &Access, block: &[u8], end: &End<'_>) {
        let Some(sink) = access.sink.get() else { return };
        let mut buffer = self.lines.buffer.borrow_mut();
        if buffer.sink.as_ref().is_none_or(|current| !Arc::ptr_eq(current, sink)) {
            self.hand_over(&mut buffer);
            buffer.sink = Some(sink.clone());
        }
        if buffer.bytes.capacity() == 0 {
            buffer.bytes = self.shared.writer.buffer();
            buffer.bytes.reserve(FULL + SPARE_CAPACITY);
        }
        access.format.finish(&mut buffer.bytes, block, end);
        buffer.lines += 1;
        if buffer.bytes.len() >= FULL {
            self.hand_over(&mut buffer);
        }
    }

    /// Gives what has gathered to the log thread; what finds no room is dropped and counted.
    fn hand_over(&self, buffer: &mut Batched) {
        let Some(batch) = self.batch(buffer) else { return };
        if let Err(batch) = self.shared.writer.send(batch) {
            self.metrics().access_log_dropped.add(u64::from(batch.lines));
            buffer.bytes = batch.bytes;
            buffer.bytes.clear();
        }
    }

    fn batch(&self, buffer: &mut Batched) -> Option<Batch> {
        let sink = buffer.sink.clone().filter(|_| buffer.lines > 0)?;
        Some(Batch { sink, bytes: mem::take(&mut buffer.bytes), lines: mem::take(&mut buffer.lines), audit: false })
    }

    /// Hands over what has gathered since the last sweep.
    pub(crate) fn sweep_lines(&self) {
        self.lines.set_clock();
        if self.index == 0 {
            self.shared.trail.flush(&self.shared.writer);
        }
        let mut buffer = self.lines.buffer.borrow_mut();
        self.hand_over(&mut buffer);
        // A sink that no snapshot uses any more closes.
        buffer.sink = None;
    }

    /// Hands over the last lines; nothing may be logged afterwards.
    pub(crate) fn leave_lines(&self) {
        self.shared.trail.flush(&self.shared.writer);
        let last = self.batch(&mut self.lines.buffer.borrow_mut());
        let lost = self.shared.writer.leave(last);
        self.metrics().access_log_dropped.add(u64::from(lost));
    }
}

#[cfg(test)]
mod tests {
    use super::Sample;

    #[test]
    fn shares() {
        assert_eq!(Sample::new(0.0), Some(Sample::Never));
        assert_eq!(Sample::new(1.0), Some(Sample::Always));
        assert_eq!(Sample::new(0.5), Some(Sample::Some(1 << 63)));
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Sample::new(share), None);
        }
    }
}
