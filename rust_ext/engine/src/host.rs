//! The only way out to Python: the engine calls a [`Host`] and knows nothing of who stands behind it.

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::sync::Arc;

use fastgate_core::auth::Identity;
use fastgate_core::filter::Edit;
use fastgate_core::http1::Request;
use fastgate_core::route::Captures;
use fastgate_core::snapshot;

use crate::worker::{HookReply, Message, Shared};

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for a fault.
    Debug,
    /// Normal life.
    Info,
    /// Something to look at; service goes on.
    Warning,
    /// Something failed.
    Error,
}

impl From<snapshot::Level> for Level {
    fn from(level: snapshot::Level) -> Self {
        match level {
            snapshot::Level::Debug => Self::Debug,
            snapshot::Level::Info => Self::Info,
            snapshot::Level::Warning => Self::Warning,
            snapshot::Level::Error => Self::Error,
        }
    }
}

impl Level {
    /// Its word in configs and lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A diagnostic line: a sentence, and what it is about by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How important it is.
    pub level: Level,
    /// What happened.
    pub message: String,
    /// What it is about: field names are plain words, values any text.
    pub fields: Vec<(&'static str, String)>,
}

impl Line {
    /// A line without fields.
    pub fn new(level: Level, message: impl Into<String>) -> Self {
        Self { level, message: message.into(), fields: Vec::new() }
    }

    /// The line with one field more.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// The line with one field more, if there is something to say.
    #[must_use]
    pub fn with_some(self, name: &'static str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

impl fmt::Display for Line {
    /// `message name=value …`: one line of text, whatever the values are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.message.chars().try_for_each(|c| visible(f, c))?;
        for (name, value) in &self.fields {
            write!(f, " {name}=")?;
            value.chars().try_for_each(|c| visible(f, c))?;
        }
        Ok(())
    }
}

fn visible(f: &mut fmt::Formatter<'_>, c: char) -> fmt::Result {
    if c.is_control() { write!(f, "{}", c.escape_unicode()) } else { f.write_char(c) }
}

/// What the engine asks of the process it lives in.
pub trait Host: Send + Sync + 'static {
    /// Takes a request that waits for its hooks. Called on a worker thread: it must not block.
    fn on_request(&self, job: HookJob);

    /// Takes a diagnostic line, on the log thread.
    fn log(&self, level: Level, message: &str);

    /// Takes a diagnostic line with fields, on the log thread.
    fn log_line(&self, line: &Line) {
        self.log(line.level, &line.to_string());
    }
}

/// A host without hooks, for the bare engine: lines go to standard error.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHost;

impl Host for NoHost {
    fn on_request(&self, job: HookJob) {
        drop(job);
    }

    fn log(&self, level: Level, message: &str) {
        // A standard error that is closed is no reason to end.
        let _ = writeln!(io::stderr(), "{level:?}: {message}");
    }
}

/// Where a job's decision goes.
#[derive(Debug)]
pub(crate) struct ReplyTo {
    pub(crate) shared: Arc<Shared>,
    pub(crate) worker: usize,
    pub(crate) ticket: u64,
}

/// What a hook may look at, on loan from the request until the job is finished.
#[derive(Debug)]
pub(crate) struct HookWork {
    pub(crate) route: Arc<str>,
    pub(crate) request: Box<Request>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) captures: Captures,
    pub(crate) client: Option<IpAddr>,
    pub(crate) request_id: Vec<u8>,
    pub(crate) identity: Option<Arc<Identity>>,
    pub(crate) tenant: Option<Arc<str>>,
}

/// One request waiting for its hooks. Dropped unfinished, the request fails with 500: a job is never lost.
#[derive(Debug)]
pub struct HookJob {
    work: Option<Box<HookWork>>,
    reply: ReplyTo,
}

impl HookJob {
    pub(crate) fn new(work: Box<HookWork>, reply: ReplyTo) -> Self {
        Self { work: Some(work), reply }
    }

    fn work(&self) -> &HookWork {
        self.work.as_ref().expect("a job holds its work until it is finished, which consumes it")
    }

    /// The route's name.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.work().route
    }

    /// The request; its accessors take [`HookJob::bytes`].
    #[must_use]
    pub fn request(&self) -> &Request {
        &self.work().request
    }

    /// The bytes behind the request.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.work().bytes
    }

    /// The path parameters: name and canonical value.
    pub fn captures(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let work = self.work();
        work.captures.iter(work.request.path(&work.bytes))
    }

    /// The client's address; `None` on a Unix listener.
    #[must_use]
    pub fn client(&self) -> Option<IpAddr> {
        self.work().client
    }

    /// The request id that goes upstream and into the answer.
    #[must_use]
    pub fn request_id(&self) -> &[u8] {
        &self.work().request_id
    }

    /// Who is asking; `None` on a route without authentication.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.work().identity.as_deref()
    }

    /// Whose tenant's request it is.
    #[must_use]
    pub fn tenant(&self) -> Option<&str> {
        self.work().tenant.as_deref()
    }
}

impl Drop for HookJob {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            let reply = HookReply { ticket: self.reply.ticket, work, outcome: Err(HookFailed) };
            self.reply.shared.workers[self.reply.worker].inbox.send([Message::Hook(reply)]);
        }
    }
}

/// What the hooks of a request decided.
#[derive(Debug, Default)]
pub struct Decision {
    /// Changes to the request's headers, in order.
    pub edits: Vec<Edit>,
    /// An early answer; the request does not go upstream.
    pub answer: Option<HookAnswer>,
}

/// An early answer.
#[derive(Debug)]
pub struct HookAnswer {
    /// 200-599; anything else answers 500.
    pub status: u16,
    /// Field lines; names and values that may not be written are left out.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// The content.
    pub body: Vec<u8>,
}

/// The hooks could not decide: the request fails with 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HookFailed;

/// Gives a batch of decisions back: one wake-up a worker for all of them.
pub fn finish(batch: Vec<(HookJob, Result<Decision, HookFailed>)>) {
    let mut by_worker: HashMap<usize, (Arc<Shared>, Vec<Message>)> = HashMap::new();
    for (mut job, outcome) in batch {
        let Some(work) = job.work.take() else { continue };
        let reply = HookReply { ticket: job.reply.ticket, work, outcome };
        let entry = by_worker.entry(job.reply.worker).or_insert_with(|| (job.reply.shared.clone(), Vec::new()));
        entry.1.push(Message::Hook(reply));
    }
    for (worker, (shared, messages)) in by_worker {
        shared.workers[worker].inbox.send(messages);
    }
}
