//! Requests of the gateway's own: key sets, introspection, services that are asked. One client on the background
//! thread makes them for every worker, so that its connections and its bounds are the process's.

mod client;
mod error;
mod figures;
mod line;
mod task;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use fastgate_core::fetch::{Reach, Url, Verb};
use fastgate_core::http1::Response;

pub(crate) use client::Client;
pub(crate) use error::FetchError;
pub(crate) use figures::{Figures, Purpose};
pub(crate) use task::serve;
#[cfg(test)]
pub(crate) use task::serve_notes;

use crate::rt::{self, Inbox, Reply};
use crate::trust::Trust;

/// Calls under way at once, those that wait for their turn included; beyond it: [`FetchError::Busy`].
const MAX_CALLS: usize = 1_024;

/// What an answer may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Bytes of its content.
    pub(crate) bytes: usize,
    /// From the call to its last byte, the look-up of the name included.
    pub(crate) time: Duration,
}

/// Where and how somebody is asked; the same for every call of a policy.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) url: Url,
    pub(crate) reach: Reach,
    /// Needed for https.
    pub(crate) trust: Option<Arc<Trust>>,
    pub(crate) bounds: Bounds,
    pub(crate) purpose: Purpose,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) place: Arc<Place>,
    pub(crate) verb: Verb,
    pub(crate) fields: Vec<(Box<str>, Vec<u8>)>,
    pub(crate) body: Option<Vec<u8>>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Got {
    /// Who gave it.
    pub(crate) peer: IpAddr,
    pub(crate) response: Response,
    /// The bytes that the response is of.
    pub(crate) head: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

impl Got {
    /// Its status.
    pub(crate) fn status(&self) -> u16 {
        self.response.status()
    }

    /// Every value of a field, by its name in lower case.
    pub(crate) fn get<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.response.get(&self.head, name)
    }
}

/// A task for the background thread.
type Job = Box<dyn FnOnce(std::rc::Rc<Client>) + Send>;

enum Note {
    Call(Call, Reply<Result<Got, FetchError>>, Permit),
    Job(Job),
}

/// The way to the client, from every thread.
#[derive(Default)]
pub(crate) struct Fetcher {
    notes: Arc<Notes>,
    pub(crate) figures: Arc<Figures>,
}

pub(crate) struct Notes {
    inbox: Inbox<Note>,
    calls: AtomicUsize,
}

impl Default for Notes {
    fn default() -> Self {
        Self { inbox: Inbox::new(), calls: AtomicUsize::new(0) }
    }
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetcher").field("calls", &self.notes.calls).finish_non_exhaustive()
    }
}

/// A place among the calls, given back when dropped.
struct Permit(Arc<Notes>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Relaxed);
    }
}

impl Fetcher {
    /// Asks. Dropping the future ends the call.
    pub(crate) fn call(&self, call: Call) -> impl Future<Output = Result<Got, FetchError>> + use<> {
        let purpose = call.place.purpose;
        let time = call.place.bounds.time;
        let waiting = self.begin(call);
        let figures = self.figures.clone();
        async move {
            let result = match waiting {
                // The client keeps the time, too; a busy background thread may not.
                Ok(answer) => match rt::timeout(time, answer).await {
                    Some(result) => result.unwrap_or(Err(FetchError::Closed)),
                    None => Err(FetchError::Timeout),
                },
                Err(error) => Err(error),
            };
            figures.count(purpose, result.as_ref().err());
            result
        }
    }

    fn begin(&self, call: Call) -> Result<rt::Answer<Result<Got, FetchError>>, FetchError> {
        let calls = &self.notes.calls;
        let room = calls.fetch_update(Relaxed, Relaxed, |calls| (calls < MAX_CALLS).then_some(calls + 1));
        room.map_err(|_| FetchError::Busy)?;
        let (reply, answer) = rt::oneshot();
        self.notes.inbox.send([Note::Call(call, reply, Permit(self.notes.clone()))]);
        Ok(answer)
    }

    pub(crate) fn notes(&self) -> Arc<Notes> {
        self.notes.clone()
    }

    /// Runs something on the background thread, with the client.
    pub(crate) fn run(&self, job: impl FnOnce(std::rc::Rc<Client>) + Send + 'static) {
        self.notes.inbox.send([Note::Job(Box::new(job))]);
    }
}
