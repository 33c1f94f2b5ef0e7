//! Publishing from outside the hub: what the HTTP API answers, on a worker or on the admin listener.

mod serve;

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use fastgate_core::filter::Content;
use fastgate_core::publish::{self, Publication, credential};
use fastgate_core::route::is_channel;
use fastgate_core::snapshot::PublishCall;
use serde_json::json;

use crate::hub::{Delivered, PublishError};
use crate::live::Live;
use crate::worker::Shared;

pub(crate) use serve::serve;

/// Bodies that are being read at once, all workers and the admin listener together; beyond it 503. One that came with
/// its head needs no place.
const MAX_READING: u32 = 64;

/// Statuses that are counted one by one.
const STATUSES: [u16; 8] = [200, 400, 401, 404, 405, 413, 429, 503];

/// What the API counts and bounds, all threads together.
#[derive(Debug, Default)]
pub(crate) struct Api {
    reading: AtomicU32,
    answers: [[AtomicU64; STATUSES.len()]; 2],
}

impl Api {
    /// A place to read a body in; `None`: too many are being read.
    pub(crate) fn reading(&self) -> Option<Reading<'_>> {
        let taken = self.reading.fetch_update(Relaxed, Relaxed, |taken| (taken < MAX_READING).then_some(taken + 1));
        // Lazily: a place that was not taken must not be given back.
        taken.is_ok().then(|| Reading(self))
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, call: PublishCall, status: u16) {
        if let Some(place) = STATUSES.iter().position(|known| *known == status) {
            self.answers[call as usize][place].fetch_add(1, Relaxed);
        }
    }

    /// Every call and status that was answered, and how often.
    pub(crate) fn answers(&self) -> impl Iterator<Item = (&'static str, u16, u64)> {
        let calls = ["publish", "broadcast"].into_iter().zip(&self.answers);
        calls
            .flat_map(|(call, counts)| {
                STATUSES.iter().zip(counts).map(move |(status, n)| (call, *status, n.load(Relaxed)))
            })
            .filter(|(_, _, n)| *n > 0)
    }
}

/// A body that is being read; its place is free again when this is dropped.
pub(crate) struct Reading<'a>(&'a Api);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.reading.fetch_sub(1, Relaxed);
    }
}

/// What a request to the API is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The status.
    pub(crate) status: u16,
    /// The content of a 200; else what is wrong, for the problem document.
    text: String,
}

impl Verdict {
    fn problem(status: u16, detail: impl Into<String>) -> Self {
        Self { status, text: detail.into() }
    }

    /// No key, or a wrong one.
    pub(crate) fn unauthorized() -> Self {
        Self::problem(401, "a publisher's key is needed: X-API-Key: KEY, or Authorization: apikey KEY")
    }

    /// Another method than POST.
    pub(crate) fn method() -> Self {
        Self::problem(405, "publications are sent with POST")
    }

    /// The body is larger than any publication can be.
    pub(crate) fn too_large() -> Self {
        Self::problem(413, format!("a body has at most {} bytes", publish::MAX_BODY))
    }

    /// Too many bodies are being read.
    pub(crate) fn busy() -> Self {
        Self::problem(503, "too many publications are being read; try again later")
    }

    /// The body did not come in time.
    pub(crate) fn slow() -> Self {
        Self::problem(408, "the request body took too long")
    }

    /// The body's framing is broken.
    pub(crate) fn broken(status: u16) -> Self {
        Self::problem(status, "the request body is not valid")
    }

    /// What the problem document says.
    pub(crate) fn detail(&self) -> &str {
        if self.status == 200 { "" } else { &self.text }
    }

    /// The fields that go with the status.
    pub(crate) fn fields(&self) -> &'static [(&'static str, &'static [u8])] {
        match self.status {
            401 => &[("WWW-Authenticate", b"apikey realm=\"publish\"")],
            405 => &[("Allow", b"POST")],
            429 | 503 => &[("Retry-After", b"1")],
            _ => &[],
        }
    }

    /// What the answer carries.
    pub(crate) fn content(&self) -> Content<'_> {
        match self.status {
            200 => Content::Bytes { content_type: Some("application/json"), body: self.text.as_bytes() },
            _ => Content::Problem,
        }
    }
}

/// Whether these fields present a key that may publish.
pub(crate) fn may_publish<'a>(
    live: &Live,
    api_key: impl Iterator<Item = &'a [u8]>,
    authorization: impl Iterator<Item = &'a [u8]>,
) -> bool {
    credential(api_key, authorization).is_some_and(|key| live.keys.find(key).is_some())
}

/// Publishes what a body says, and answers.
pub(crate) fn call(shared: &Shared, call: PublishCall, body: &[u8]) -> Verdict {
    let Publication { channels, payload } = match publish::parse(call, body) {
        Ok(publication) => publication,
        Err(refused) => return Verdict::problem(refused.status, refused.detail),
    };
    let payload: Arc<[u8]> = payload.into();
    let mut results = channels.iter().map(|channel| shared.publish(channel, &payload));
    match call {
        PublishCall::Publish => match results.try_for_each(|one| one.map(|_| ())) {
            Ok(()) => Verdict { status: 200, text: "{\"result\":{}}".to_owned() },
            Err(error) => refused(error),
        },
        PublishCall::Broadcast => broadcast(results.collect()),
    }
}

fn refused(error: PublishError) -> Verdict {
    let status = match error {
        PublishError::Channel => 400,
        PublishError::TooLarge => 413,
        PublishError::Busy => 429,
    };
    Verdict::problem(status, error.to_string())
}

/// One result for each channel, in order; refused as a whole only where nobody got anything.
fn broadcast(results: Vec<Result<Delivered, PublishError>>) -> Verdict {
    if let Some(Err(error)) = results.first()
        && results.iter().all(Result::is_err)
    {
        return refused(*error);
    }
    let mut text = String::from("{\"result\":{\"responses\":[");
    for (i, result) in results.iter().enumerate() {
        text.push_str(if i == 0 { "" } else { "," });
        match result {
            Ok(_) => text.push_str("{\"result\":{}}"),
            Err(error) => {
                let refused = refused(*error);
                let error = json!({"error": {"code": refused.status, "message": refused.text}});
                // A String takes everything.
                let _ = write!(text, "{error}");
            }
        }
    }
    text.push_str("]}}");
    Verdict { status: 200, text }
}

impl Shared {
    /// Publishes to the subscribers of a channel, through the broker where the channel's endpoints say so.
    ///
    /// # Errors
    /// [`PublishError`]; nobody got it then.
    pub(crate) fn publish(&self, channel: &str, payload: &Arc<[u8]>) -> Result<Delivered, PublishError> {
        // Without a broker nobody needs to know.
        let brokered = self.hub.broker().is_some() && self.live().brokered(channel);
        self.hub.publish(&self.workers, channel, payload, None, brokered)
    }

    /// Publishes borrowed bytes, which are copied only where somebody may want them.
    ///
    /// # Errors
    /// [`PublishError`]; nobody got it then.
    pub(crate) fn publish_bytes(&self, channel: &str, payload: &[u8]) -> Result<Delivered, PublishError> {
        check(channel, payload, publish::MAX_PUBLICATION)?;
        if self.hub.has_nobody(channel) { Ok(self.hub.to_nobody()) } else { self.publish(channel, &payload.into()) }
    }

    /// The same where nobody wants it, known without a wait; `None`: somebody may.
    pub(crate) fn publish_to_nobody(&self, channel: &str, payload: &[u8]) -> Option<Result<Delivered, PublishError>> {
        match check(channel, payload, publish::MAX_PUBLICATION) {
            Ok(()) => self.hub.has_nobody(channel).then(|| Ok(self.hub.to_nobody())),
            Err(error) => Some(Err(error)),
        }
    }
}

/// Whether it can be published at all: the name, and at most so many bytes.
pub(crate) fn check(channel: &str, payload: &[u8], most: usize) -> Result<(), PublishError> {
    if !is_channel(channel) {
        Err(PublishError::Channel)
    } else if payload.len() > most {
        Err(PublishError::TooLarge)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broadcast_answers_for_each_channel() {
        let ok = Ok(Delivered { members: 3 });
        let all = broadcast(vec![ok, ok]);
        assert_eq!((all.status, all.text.as_str()), (200, r#"{"result":{"responses":[{"result":{}},{"result":{}}]}}"#));
        let some: serde_json::Value = serde_json::from_str(&broadcast(vec![Err(PublishError::Busy), ok]).text).unwrap();
        let responses = &some["result"]["responses"];
        assert_eq!(responses[0]["error"]["code"], 429);
        assert!(responses[0]["error"]["message"].as_str().unwrap().contains("try again later"));
        assert_eq!(responses[1], json!({"result": {}}));
        let none = broadcast(vec![Err(PublishError::Busy), Err(PublishError::Busy)]);
        assert_eq!((none.status, none.fields()[0].0), (429, "Retry-After"));
    }

    #[test]
    fn places_to_read_in_are_bounded_and_given_back() {
        let api = Api::default();
        let mut taken: Vec<_> = (0..MAX_READING).map(|_| api.reading().unwrap()).collect();
        assert!(api.reading().is_none());
        taken.pop();
        assert!(api.reading().is_some());
        drop(taken);
        assert_eq!(api.reading.load(Relaxed), 0);
    }

    #[test]
    fn answers_are_counted_by_call_and_status() {
        let api = Api::default();
        for (call, status) in [(PublishCall::Publish, 200), (PublishCall::Publish, 200), (PublishCall::Broadcast, 401)]
        {
            api.answered(call, status);
        }
        assert_eq!(api.answers().collect::<Vec<_>>(), [("publish", 200, 2), ("broadcast", 401, 1)]);
    }
}
