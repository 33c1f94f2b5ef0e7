//! One request that waits for its hooks: what they read, and what they decided so far.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use fastgate_core::auth::Identity;
use fastgate_core::filter::Edit;
use fastgate_core::http1::Request;
use fastgate_engine::host::{Decision, HookAnswer, HookFailed, HookJob, finish};

use crate::host::Tally;

/// Where a job came from.
enum Source {
    /// A client's request, held by the engine.
    Client(HookJob),
    /// A request made of bytes, for tests and benchmarks.
    Simulated(Box<Simulated>),
}

/// A request without a client.
pub struct Simulated {
    pub route: String,
    pub bytes: Arc<[u8]>,
    pub request: Request,
    pub identity: Option<Arc<Identity>>,
    pub tally: Option<Arc<Tally>>,
}

impl Drop for Simulated {
    /// A simulated job that nobody finished fails, as an engine's would.
    fn drop(&mut self) {
        if let Some(tally) = self.tally.take() {
            tally.add(Err(HookFailed));
        }
    }
}

/// A request and the decision about it. Owned by one thread at a time.
pub struct Job {
    source: Source,
    edits: Vec<Edit>,
    answer: Option<HookAnswer>,
    failed: bool,
    /// The claims as JSON, once somebody asked.
    claims: OnceLock<Vec<u8>>,
}

impl From<HookJob> for Job {
    fn from(job: HookJob) -> Self {
        Self::new(Source::Client(job))
    }
}

impl From<Simulated> for Job {
    fn from(job: Simulated) -> Self {
        Self::new(Source::Simulated(Box::new(job)))
    }
}

impl Job {
    fn new(source: Source) -> Self {
        Self { source, edits: Vec::new(), answer: None, failed: false, claims: OnceLock::new() }
    }

    /// The route's name.
    pub fn route(&self) -> &str {
        match &self.source {
            Source::Client(job) => job.route(),
            Source::Simulated(job) => &job.route,
        }
    }

    /// The parsed request; its spans point into [`Job::bytes`].
    pub fn request(&self) -> &Request {
        match &self.source {
            Source::Client(job) => job.request(),
            Source::Simulated(job) => &job.request,
        }
    }

    /// The head's bytes.
    pub fn bytes(&self) -> &[u8] {
        match &self.source {
            Source::Client(job) => job.bytes(),
            Source::Simulated(job) => &job.bytes,
        }
    }

    /// The client's address, if it has one.
    pub fn client(&self) -> Option<IpAddr> {
        match &self.source {
            Source::Client(job) => job.client(),
            Source::Simulated(_) => None,
        }
    }

    /// The id that goes upstream and back to the client.
    pub fn request_id(&self) -> &[u8] {
        match &self.source {
            Source::Client(job) => job.request_id(),
            Source::Simulated(_) => b"simulated",
        }
    }

    /// Who is asking.
    pub fn identity(&self) -> Option<&Identity> {
        match &self.source {
            Source::Client(job) => job.identity(),
            Source::Simulated(job) => job.identity.as_deref(),
        }
    }

    /// Whose tenant's request it is.
    pub fn tenant(&self) -> Option<&str> {
        match &self.source {
            Source::Client(job) => job.tenant(),
            Source::Simulated(job) => job.identity.as_ref()?.tenant.as_deref(),
        }
    }

    /// The claims of who is asking, as JSON, written at the first call; `None`: nothing was claimed.
    pub fn claims(&self) -> Option<&[u8]> {
        let claims = &self.identity()?.claims;
        if claims.is_empty() {
            return None;
        }
        // What was read as JSON can be written as JSON.
        Some(self.claims.get_or_init(|| serde_json::to_vec(&**claims).unwrap_or_default()))
    }

    /// Calls `each` with every captured name and value.
    pub fn captures<'a>(&'a self, mut each: impl FnMut(&'a str, &'a [u8])) {
        if let Source::Client(job) = &self.source {
            job.captures().for_each(|(name, value)| each(name, value));
        }
    }

    /// Calls `each` with every value that a header has now: the client's, as changed by the hooks so far.
    pub fn values<'a>(&'a self, name: &[u8], mut each: impl FnMut(&'a [u8])) {
        let replaced =
            self.edits.iter().rposition(|e| !matches!(e, Edit::Add(..)) && target(e).eq_ignore_ascii_case(name));
        let rest = match replaced {
            None => {
                self.request().get(self.bytes(), name).for_each(&mut each);
                &self.edits[..]
            }
            Some(at) => {
                if let Edit::Set(_, value) = &self.edits[at] {
                    each(value);
                }
                &self.edits[at + 1..]
            }
        };
        for edit in rest {
            if let Edit::Add(added, value) = edit
                && added.eq_ignore_ascii_case(name)
            {
                each(value);
            }
        }
    }

    /// Calls `each` with the name and value of every field line as it stands now.
    pub fn fields<'a>(&'a self, mut each: impl FnMut(&'a [u8], &'a [u8])) {
        let bytes = self.bytes();
        for field in self.request().fields() {
            let name = field.name.of(bytes);
            if !replaced(&self.edits, name) {
                each(name, field.value.of(bytes));
            }
        }
        for (at, edit) in self.edits.iter().enumerate() {
            if let Edit::Set(name, value) | Edit::Add(name, value) = edit
                && !replaced(&self.edits[at + 1..], name)
            {
                each(name, value);
            }
        }
    }

    /// Notes a change of the request's headers.
    pub fn edit(&mut self, edit: Edit) {
        self.edits.push(edit);
    }

    /// Notes that the request is answered here; a second answer replaces the first.
    pub fn answer(&mut self, status: u16, body: Vec<u8>) {
        self.answer = Some(HookAnswer { status, fields: Vec::new(), body });
    }

    /// Adds a field line to the answer noted before; without one nothing happens.
    pub fn answer_field(&mut self, name: &[u8], value: &[u8]) {
        if let Some(answer) = &mut self.answer {
            answer.fields.push((name.to_vec(), value.to_vec()));
        }
    }

    /// Notes that a hook failed: the client gets 500 whatever else was decided.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    /// Hands all decisions back, with one wake-up a worker.
    pub fn finish(jobs: impl Iterator<Item = Job>) {
        let mut batch = Vec::with_capacity(jobs.size_hint().0);
        for Job { source, edits, answer, failed, claims: _ } in jobs {
            let decision = if failed { Err(HookFailed) } else { Ok(Decision { edits, answer }) };
            match source {
                Source::Client(job) => batch.push((job, decision)),
                Source::Simulated(mut job) => {
                    if let Some(tally) = job.tally.take() {
                        tally.add(decision);
                    }
                }
            }
        }
        if !batch.is_empty() {
            finish(batch);
        }
    }
}

/// The header an edit is about.
fn target(edit: &Edit) -> &[u8] {
    match edit {
        Edit::Set(name, _) | Edit::Add(name, _) | Edit::Remove(name) => name,
    }
}

/// Whether one of these edits replaces or removes what was there before under that name.
fn replaced(edits: &[Edit], name: &[u8]) -> bool {
    edits.iter().any(|e| !matches!(e, Edit::Add(..)) && target(e).eq_ignore_ascii_case(name))
}
