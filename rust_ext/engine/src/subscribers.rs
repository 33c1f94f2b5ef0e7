//! What an engine does with its subscribers from outside: publishes to them, lists them, ends them.

use std::sync::Arc;
use std::sync::mpsc::channel;

use fastgate_core::websocket::{MAX_REASON, is_close_code};

use crate::Engine;
use crate::hub::{self, Command, Delivered, PublishError, Whom};
use crate::worker::Message;

/// Whose sessions are ended.
#[derive(Debug, Clone, Copy)]
pub enum Disconnect<'a> {
    /// The one of that id.
    Session(&'a str),
    /// All members of that channel.
    Channel(&'a str),
}

impl Engine {
    /// Publishes to the subscribers of a channel, in this process and wherever the broker reaches.
    ///
    /// # Errors
    /// [`PublishError`]; nobody got it then.
    pub fn publish(&self, channel: &str, payload: &Arc<[u8]>) -> Result<Delivered, PublishError> {
        self.shared.publish(channel, payload)
    }

    /// The same of borrowed bytes, which are copied only where somebody may want them.
    ///
    /// # Errors
    /// [`PublishError`]; nobody got it then.
    pub fn publish_bytes(&self, channel: &str, payload: &[u8]) -> Result<Delivered, PublishError> {
        self.shared.publish_bytes(channel, payload)
    }

    /// The same where that neither waits nor wakes anybody; `None`: it might.
    #[must_use]
    pub fn try_publish(&self, channel: &str, payload: &[u8]) -> Option<Result<Delivered, PublishError>> {
        self.shared.publish_to_nobody(channel, payload)
    }

    /// Whether it can be published at all: the channel's name, and the size.
    ///
    /// # Errors
    /// [`PublishError::Channel`] and [`PublishError::TooLarge`].
    pub fn check_publication(channel: &str, payload: &[u8]) -> Result<(), PublishError> {
        crate::publish::check(channel, payload, crate::hub::MAX_PUBLICATION)
    }

    /// Who is subscribed, to a channel or at all, as JSON: `total`, and at most `limit` of them as `sessions`.
    #[must_use]
    pub fn sessions_json(&self, name: Option<&str>, limit: usize) -> String {
        let (sender, answers) = channel();
        let name: Option<Arc<str>> = name.map(Into::into);
        self.tell(|| Message::Hub(Command::List(name.clone(), limit, sender.clone())));
        drop(sender);
        let all = self.answers(&answers);
        let total: u64 = all.iter().map(|one| one.total).sum();
        let shown: Vec<_> = all.into_iter().flat_map(|one| one.shown).take(limit).collect();
        serde_json::json!({"total": total, "sessions": shown}).to_string()
    }

    /// Ends a session, or every session of a channel, with that close code and reason; how many there were.
    ///
    /// # Errors
    /// A sentence: no session has such an id, or no close frame such a code or reason.
    pub fn disconnect(&self, whom: Disconnect<'_>, code: u16, reason: &str) -> Result<u64, String> {
        if !is_close_code(code) {
            return Err(format!("{code} is no code to close with; allowed: 1000-1003, 1007-1014, 3000-4999"));
        }
        if reason.len() > MAX_REASON || reason.chars().any(char::is_control) {
            return Err(format!("a reason has at most {MAX_REASON} bytes and no control characters"));
        }
        let reason: Arc<str> = reason.into();
        let (sender, answers) = channel();
        let command = |whom| Message::Hub(Command::Disconnect(whom, code, reason.clone(), sender.clone()));
        let asked = match whom {
            Disconnect::Session(id) => {
                let unknown = || format!("no session is called {id}; `list` names them");
                let (worker, key) = hub::session_of(id).ok_or_else(unknown)?;
                let Some(worker) = self.shared.workers.get(worker) else { return Ok(0) };
                worker.inbox.send([command(Whom::Session(key))]);
                1
            }
            Disconnect::Channel(name) => {
                let name: Arc<str> = name.into();
                self.tell(|| command(Whom::Channel(name.clone())));
                self.shared.workers.len()
            }
        };
        drop(sender);
        Ok(self.some_answers(&answers, asked).into_iter().sum())
    }
}
