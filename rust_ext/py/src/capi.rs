//! The table of C functions that `fastgate._core` calls: the hot half of the seam to Python.
//!
//! Its one other declaration is `src/fastgate/_engine_api.pxd`; [`ABI`] goes up with every change. Only pointers, lengths
//! and plain numbers pass. Every function catches panics and has a default. Who owns what: [`next`] gives jobs to the
//! caller, [`finish`] takes each back exactly once; text read from a job is borrowed until then; text passed in is copied.
#![allow(unsafe_code)] // the one such file of this crate; each use has its SAFETY note

use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::slice;

use fastgate_core::filter::Edit;
use fastgate_engine::host::Level;
use fastgate_engine::{Delivered, Engine, PublishError};
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

use crate::engine::Running;
use crate::job::Job;
use crate::queue::{Next, Queue};

/// The version of the table.
const ABI: u32 = 3;

/// Borrowed bytes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Text {
    data: *const u8,
    len: usize,
}

/// A borrowed name and value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Pair {
    name: Text,
    value: Text,
}

/// Bytes the caller lends to be written to.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Buffer {
    data: *mut u8,
    capacity: usize,
}

/// The table. `abi` and `size` are read before anything else.
#[repr(C)]
pub struct EngineApi {
    abi: u32,
    size: u32,
    next: unsafe extern "C" fn(*const Queue, *mut *mut Job, usize) -> isize,
    finish: unsafe extern "C" fn(*const *mut Job, usize),
    line: unsafe extern "C" fn(*const Queue, Buffer, *mut u32) -> isize,
    text: unsafe extern "C" fn(*const Job, u32, *mut Text) -> u32,
    client: unsafe extern "C" fn(*const Job, Buffer) -> usize,
    values: unsafe extern "C" fn(*const Job, Text, *mut Text, usize) -> usize,
    fields: unsafe extern "C" fn(*const Job, *mut Pair, usize) -> usize,
    names: unsafe extern "C" fn(*const Job, u32, *mut Text, usize) -> usize,
    params: unsafe extern "C" fn(*const Job, *mut Pair, usize) -> usize,
    edit: unsafe extern "C" fn(*mut Job, u32, Text, Text, Buffer) -> usize,
    check: unsafe extern "C" fn(Text, Text, Buffer) -> usize,
    answer: unsafe extern "C" fn(*mut Job, u32, Text),
    answer_field: unsafe extern "C" fn(*mut Job, Text, Text),
    fail: unsafe extern "C" fn(*mut Job),
    publish: unsafe extern "C" fn(*const Running, Text, Text, u32) -> i64,
    publish_many: unsafe extern "C" fn(*const Running, *const Pair, usize, *mut i64) -> usize,
}

static API: EngineApi = EngineApi {
    abi: ABI,
    size: size_of::<EngineApi>() as u32,
    next,
    finish,
    line,
    text,
    client,
    values,
    fields,
    names,
    params,
    edit,
    check,
    answer,
    answer_field,
    fail,
    publish,
    publish_many,
};

/// The table as Python passes it on.
///
/// # Errors
/// Python has no memory left.
pub fn capsule(py: Python<'_>) -> PyResult<Bound<'_, PyCapsule>> {
    // SAFETY: the table is a static that nobody writes to; the capsule has no destructor.
    unsafe { PyCapsule::new_with_pointer(py, NonNull::from(&API).cast(), c"fastgate._engine._C_API") }
}

/// Runs `body`; a panic is reported by the panic hook and becomes `default`.
fn guard<T>(default: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(default)
}

impl Text {
    fn of(bytes: &[u8]) -> Self {
        Self { data: bytes.as_ptr(), len: bytes.len() }
    }

    /// # Safety
    /// `data` is readable for `len` bytes as long as the result is used; where `len` is 0 it may be null.
    unsafe fn bytes<'a>(self) -> &'a [u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: the caller's duty.
        unsafe { slice::from_raw_parts(self.data, self.len) }
    }
}

impl Buffer {
    /// Copies as much as fits and returns how much that was.
    ///
    /// # Safety
    /// `data` is writable for `capacity` bytes, and nobody else uses them meanwhile.
    unsafe fn write(self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.capacity);
        // SAFETY: the caller's duty; `count` is within both, and memory of Python cannot overlap memory of Rust.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.data, count) };
        count
    }
}

/// Writes items to an array of `max` and counts all, whether or not they fit.
struct Filler<T> {
    out: *mut T,
    max: usize,
    count: usize,
}

impl<T> Filler<T> {
    /// # Safety
    /// `out` is writable for `max` items.
    unsafe fn push(&mut self, item: T) {
        if self.count < self.max {
            // SAFETY: the caller's duty, and the index was just checked.
            unsafe { self.out.add(self.count).write(item) };
        }
        self.count += 1;
    }
}

/// Waits for work and fills `jobs` with at most `max` requests, which the caller owns from now on.
///
/// Returns how many; 0: only log lines wait; -1: nothing more will come. Blocks: call it without the GIL.
///
/// # Safety
/// `queue` is alive; `jobs` is writable for `max` pointers.
unsafe extern "C" fn next(queue: *const Queue, jobs: *mut *mut Job, max: usize) -> isize {
    guard(0, || {
        // SAFETY: the caller's duty.
        let queue = unsafe { &*queue };
        let mut filler = Filler { out: jobs, max, count: 0 };
        // SAFETY: the caller's duty; the queue hands out at most `max`.
        match queue.next(max, |job| unsafe { filler.push(Box::into_raw(job)) }) {
            Next::Work => filler.count.cast_signed(),
            Next::Closed => -1,
        }
    })
}

/// Hands the decisions of `count` jobs back; the pointers are dead afterwards. May make a call to the system.
///
/// # Safety
/// Every pointer came from [`next`] and is passed here once.
unsafe extern "C" fn finish(jobs: *const *mut Job, count: usize) {
    guard((), || {
        if count == 0 {
            return;
        }
        // SAFETY: the caller's duty; `Box::into_raw` in `next` made these.
        let jobs = unsafe { slice::from_raw_parts(jobs, count) };
        // SAFETY: as above: each is owned by the caller and given up here.
        Job::finish(jobs.iter().map(|job| *unsafe { Box::from_raw(*job) }));
    });
}

/// Copies the oldest log line into `buffer` (what does not fit is cut off) and its `logging` level into `level`.
///
/// Returns its length; -1: no line waits.
///
/// # Safety
/// `queue` is alive; `buffer` and `level` are writable.
unsafe extern "C" fn line(queue: *const Queue, buffer: Buffer, level: *mut u32) -> isize {
    guard(-1, || {
        // SAFETY: the caller's duty.
        let Some(line) = unsafe { &*queue }.line() else { return -1 };
        let number = match line.level {
            Level::Error => 40,
            Level::Warning => 30,
            Level::Info => 20,
            Level::Debug => 10,
        };
        // SAFETY: the caller's duty.
        unsafe { level.write(number) };
        // SAFETY: the caller's duty.
        unsafe { buffer.write(line.message.as_bytes()) }.cast_signed()
    })
}

/// Points `out` at a part of the request and returns 1; 0: the request has no such part.
///
/// 0 method, 1 canonical path, 2 raw path, 3 query, 4 canonical host, 5 route, 6 request id, 7 tenant; of who is asking:
/// 8 how it was proved, 9 subject, 10 consumer, 11 name of the API key, 12 claims as JSON.
///
/// # Safety
/// `job` came from [`next`] and was not finished; `out` is writable.
unsafe extern "C" fn text(job: *const Job, part: u32, out: *mut Text) -> u32 {
    guard(0, || {
        // SAFETY: the caller's duty.
        let job = unsafe { &*job };
        let (request, bytes) = (job.request(), job.bytes());
        let identity = job.identity();
        let found = match part {
            0 => Some(request.method_bytes(bytes)),
            1 => Some(request.path(bytes)),
            2 => Some(request.raw_path(bytes)),
            3 => request.query(bytes),
            4 => Some(request.host(bytes)),
            5 => Some(job.route().as_bytes()),
            6 => Some(job.request_id()),
            7 => job.tenant().map(str::as_bytes),
            8 => identity.map(|identity| identity.method.as_bytes()),
            9 => identity.and_then(|identity| identity.subject.as_deref()).map(str::as_bytes),
            10 => identity.and_then(|identity| identity.consumer.as_deref()).map(str::as_bytes),
            11 => identity.and_then(|identity| identity.key.as_deref()).map(str::as_bytes),
            12 => job.claims(),
            _ => None,
        };
        let Some(found) = found else { return 0 };
        // SAFETY: the caller's duty.
        unsafe { out.write(Text::of(found)) };
        1
    })
}

/// Writes the client's address as text and returns its length; 0: it has none (a Unix socket).
///
/// # Safety
/// As [`text`]; `buffer` is writable.
unsafe extern "C" fn client(job: *const Job, buffer: Buffer) -> usize {
    guard(0, || {
        // SAFETY: the caller's duty.
        let Some(address) = unsafe { &*job }.client() else { return 0 };
        let mut text = String::with_capacity(45);
        // Writing to a string cannot fail.
        let _ = write!(text, "{address}");
        // SAFETY: the caller's duty.
        unsafe { buffer.write(text.as_bytes()) }
    })
}

/// Fills `out` with the values that the header `name` has now, and returns how many there are, fitting or not.
///
/// # Safety
/// As [`text`]; `name` is readable, `out` writable for `max` items.
unsafe extern "C" fn values(job: *const Job, name: Text, out: *mut Text, max: usize) -> usize {
    guard(0, || {
        // SAFETY: the caller's duty.
        let (job, name) = unsafe { (&*job, name.bytes()) };
        let mut filler = Filler { out, max, count: 0 };
        let mut lower = [0; 64];
        // SAFETY (both calls below): the caller's duty.
        match lower.get_mut(..name.len()) {
            Some(lower) => {
                lower.copy_from_slice(name);
                lower.make_ascii_lowercase();
                // SAFETY: the caller's duty.
                job.values(lower, |value| unsafe { filler.push(Text::of(value)) });
            }
            // SAFETY: the caller's duty.
            None => job.values(&name.to_ascii_lowercase(), |value| unsafe { filler.push(Text::of(value)) }),
        }
        filler.count
    })
}

/// Fills `out` with the field lines as they stand now, and returns how many there are, fitting or not.
///
/// # Safety
/// As [`text`]; `out` is writable for `max` items.
unsafe extern "C" fn fields(job: *const Job, out: *mut Pair, max: usize) -> usize {
    guard(0, || {
        let mut filler = Filler { out, max, count: 0 };
        // SAFETY: the caller's duty.
        let job = unsafe { &*job };
        // SAFETY: the caller's duty.
        job.fields(|name, value| unsafe { filler.push(Pair { name: Text::of(name), value: Text::of(value) }) });
        filler.count
    })
}

/// Fills `out` with names that who is asking has (0 roles, 1 groups, 2 scopes), and returns how many there are, fitting or
/// not.
///
/// # Safety
/// As [`fields`].
unsafe extern "C" fn names(job: *const Job, kind: u32, out: *mut Text, max: usize) -> usize {
    guard(0, || {
        let mut filler = Filler { out, max, count: 0 };
        // SAFETY: the caller's duty.
        let Some(identity) = unsafe { &*job }.identity() else { return 0 };
        let names = match kind {
            0 => &identity.roles,
            1 => &identity.groups,
            2 => &identity.scopes,
            _ => return 0,
        };
        // SAFETY: the caller's duty.
        names.iter().for_each(|name| unsafe { filler.push(Text::of(name.as_bytes())) });
        filler.count
    })
}

/// Fills `out` with what the route's pattern captured, and returns how many there are, fitting or not.
///
/// # Safety
/// As [`fields`].
unsafe extern "C" fn params(job: *const Job, out: *mut Pair, max: usize) -> usize {
    guard(0, || {
        let mut filler = Filler { out, max, count: 0 };
        // SAFETY: the caller's duty.
        let job = unsafe { &*job };
        job.captures(|name, value| {
            let pair = Pair { name: Text::of(name.as_bytes()), value: Text::of(value) };
            // SAFETY: the caller's duty.
            unsafe { filler.push(pair) };
        });
        filler.count
    })
}

/// Writes why something is refused, at least one byte.
///
/// # Safety
/// `problem` is writable and not empty.
unsafe fn refuse(problem: Buffer, reason: &str) -> usize {
    let reason = if reason.is_empty() { "refused" } else { reason };
    // SAFETY: the caller's duty.
    unsafe { problem.write(reason.as_bytes()) }
}

/// Changes a request header: 0 set, 1 add, 2 remove (`value` is not read). Returns 0, or the length of the `problem`.
///
/// # Safety
/// As [`text`]; no other call on this job runs; the texts are readable, `problem` is writable and not empty.
unsafe extern "C" fn edit(job: *mut Job, kind: u32, name: Text, value: Text, problem: Buffer) -> usize {
    guard(0, || {
        // SAFETY: the caller's duty.
        let (name, value) = unsafe { (name.bytes(), value.bytes()) };
        let edit = match kind {
            0 => Edit::set(name, value),
            1 => Edit::add(name, value),
            _ => Edit::remove(name),
        };
        match edit {
            Ok(edit) => {
                // SAFETY: the caller's duty.
                unsafe { &mut *job }.edit(edit);
                0
            }
            // SAFETY: the caller's duty.
            Err(error) => unsafe { refuse(problem, &error.to_string()) },
        }
    })
}

/// Whether a field line may be written at all. Returns 0, or the length of the `problem`.
///
/// # Safety
/// The texts are readable, `problem` is writable and not empty.
unsafe extern "C" fn check(name: Text, value: Text, problem: Buffer) -> usize {
    guard(0, || {
        // SAFETY: the caller's duty.
        match unsafe { Edit::add(name.bytes(), value.bytes()) } {
            Ok(_) => 0,
            // SAFETY: the caller's duty.
            Err(error) => unsafe { refuse(problem, &error.to_string()) },
        }
    })
}

/// Answers the request here, with this content and no field lines yet.
///
/// # Safety
/// As [`edit`].
unsafe extern "C" fn answer(job: *mut Job, status: u32, body: Text) {
    guard((), || {
        // SAFETY: the caller's duty.
        let (job, body) = unsafe { (&mut *job, body.bytes()) };
        match u16::try_from(status) {
            Ok(status) => job.answer(status, body.to_vec()),
            Err(_) => job.fail(),
        }
    });
}

/// Adds a field line to the answer.
///
/// # Safety
/// As [`edit`].
unsafe extern "C" fn answer_field(job: *mut Job, name: Text, value: Text) {
    guard((), || {
        // SAFETY: the caller's duty.
        let (job, name, value) = unsafe { (&mut *job, name.bytes(), value.bytes()) };
        job.answer_field(name, value);
    });
}

/// Notes that a hook failed: the client gets 500.
///
/// # Safety
/// As [`edit`].
unsafe extern "C" fn fail(job: *mut Job) {
    guard((), || {
        // SAFETY: the caller's duty.
        unsafe { &mut *job }.fail();
    });
}

/// What a publication came to: the members it reached, or why it was refused.
fn outcome(result: Result<Delivered, PublishError>) -> i64 {
    match result {
        Ok(delivered) => i64::from(delivered.members),
        Err(PublishError::Channel) => -1,
        Err(PublishError::TooLarge) => -2,
        Err(PublishError::Busy) => -3,
    }
}

/// The name of a channel; `None`: it is not UTF-8.
fn channel(name: &[u8]) -> Option<&str> {
    std::str::from_utf8(name).ok()
}

/// Publishes and returns the members of this process that it reached (0 too where a broker carries it), or -1: no name
/// of a channel; -2: too large; -3: too many publications wait; -4: it may wait or wake somebody, and `may_wait` is 0:
/// call again without the GIL; -5: a fault of the engine.
///
/// # Safety
/// `engine` is alive; the texts are readable.
unsafe extern "C" fn publish(engine: *const Running, name: Text, content: Text, may_wait: u32) -> i64 {
    guard(-5, || {
        // SAFETY: the caller's duty.
        let (engine, name, content) = unsafe { (&(*engine).engine, name.bytes(), content.bytes()) };
        let Some(name) = channel(name) else { return -1 };
        if may_wait != 0 {
            return outcome(engine.publish_bytes(name, content));
        }
        engine.try_publish(name, content).map_or(-4, outcome)
    })
}

/// Publishes channels (`name`) and contents (`value`) in turn; `results` gets what [`publish`] returns for each.
///
/// Returns how many were published; where that is less than `count`, the result at that place says why the next one was
/// refused. Names and sizes are judged before anything is published: for -1 and -2 nobody got anything. May wait: call
/// it without the GIL.
///
/// # Safety
/// As [`publish`]; `publications` is readable and `results` writable for `count` items.
unsafe extern "C" fn publish_many(
    engine: *const Running,
    publications: *const Pair,
    count: usize,
    results: *mut i64,
) -> usize {
    guard(0, || {
        if count == 0 {
            return 0;
        }
        // SAFETY: the caller's duty; each result is written before anything could read it.
        let (engine, pairs, results) = unsafe {
            results.write_bytes(0x80, count);
            (&(*engine).engine, slice::from_raw_parts(publications, count), slice::from_raw_parts_mut(results, count))
        };
        let texts = |pair: &Pair| {
            // SAFETY: the caller's duty.
            unsafe { (pair.name.bytes(), pair.value.bytes()) }
        };
        let judged = |pair: &Pair| {
            let (name, content) = texts(pair);
            channel(name).ok_or(PublishError::Channel).and_then(|name| Engine::check_publication(name, content))
        };
        for (i, pair) in pairs.iter().enumerate() {
            if let Err(error) = judged(pair) {
                results[i] = outcome(Err(error));
                return i;
            }
        }
        for (i, pair) in pairs.iter().enumerate() {
            let (name, content) = texts(pair);
            let Some(name) = channel(name) else { return i };
            results[i] = outcome(engine.publish_bytes(name, content));
            if results[i] < 0 {
                return i;
            }
        }
        count
    })
}
