//! Who is connected, asked from outside: sessions listed and ended, on their worker's thread.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use serde_json::{Value, json};

use super::session::{Phase, Session};
use super::shard::Inner;
use super::slab::Key;
use crate::deadlines::TICK_MS;
use crate::rt;
use crate::worker::Worker;

/// Sessions that end in one go.
const SLICE: usize = 64;

/// What others ask of a worker's sessions.
#[derive(Debug)]
pub(crate) enum Command {
    /// At most so many, of a channel or at all.
    List(Option<Arc<str>>, usize, Sender<Listed>),
    /// Ends them with that close code and reason; how many there were.
    Disconnect(Whom, u16, Arc<str>, Sender<u64>),
}

/// Whose end is wanted.
#[derive(Debug, Clone)]
pub(crate) enum Whom {
    /// One session.
    Session(Key),
    /// All members of a channel.
    Channel(Arc<str>),
}

/// A worker's sessions.
#[derive(Debug, Default)]
pub(crate) struct Listed {
    /// How many there are.
    pub(crate) total: u64,
    /// Those that were asked for, as they are shown.
    pub(crate) shown: Vec<Value>,
}

/// A session's name in the process: its worker, its place there, and which one of that place it is.
pub(crate) fn show(worker: usize, key: Key) -> String {
    format!("{worker}-{:x}-{:x}", key.slot, key.generation)
}

/// The way back.
pub(crate) fn read(id: &str) -> Option<(usize, Key)> {
    let mut parts = id.split('-');
    let worker = parts.next()?.parse().ok()?;
    let mut hex = || u32::from_str_radix(parts.next()?, 16).ok();
    let key = Key { slot: hex()?, generation: hex()? };
    (parts.next().is_none() && show(worker, key) == id).then_some((worker, key))
}

/// Does what was asked.
pub(crate) fn command(worker: &Rc<Worker>, command: Command) {
    // Whoever has stopped waiting for the answer needs none.
    match command {
        Command::List(channel, limit, answer) => {
            let listed = worker.hub.get().map(|inner| inner.list(worker, channel.as_deref(), limit));
            let _ = answer.send(listed.unwrap_or_default());
        }
        Command::Disconnect(whom, code, reason, answer) => {
            let keys = worker.hub.get().map(|inner| inner.those(&whom)).unwrap_or_default();
            let _ = answer.send(keys.len() as u64);
            if !keys.is_empty() {
                rt::spawn(disconnect(worker.clone(), keys, code, reason));
            }
        }
    }
}

/// In slices, so that the others are served meanwhile.
async fn disconnect(worker: Rc<Worker>, keys: Vec<Key>, code: u16, reason: Arc<str>) {
    for some in keys.chunks(SLICE) {
        if let Some(mut inner) = worker.hub.get() {
            some.iter().for_each(|key| inner.close(&worker, *key, code, &reason));
        }
        rt::yield_now().await;
    }
}

impl Inner {
    fn list(&self, worker: &Worker, channel: Option<&str>, limit: usize) -> Listed {
        let row = |key: Key, session: &Session| self.row(worker, key, session);
        let Some(channel) = channel else {
            let shown = self.sessions.iter().filter(|(_, session)| session.phase == Phase::Open).take(limit);
            let shown = shown.map(|(key, session)| row(key, session)).collect();
            return Listed { total: self.sessions.len() as u64, shown };
        };
        let members =
            self.table.find(channel).and_then(|at| self.table.get(at)).map_or(&[][..], |found| &found.members);
        let shown = members.iter().take(limit).filter_map(|key| Some(row(*key, self.sessions.get(*key)?))).collect();
        Listed { total: members.len() as u64, shown }
    }

    fn row(&self, worker: &Worker, key: Key, session: &Session) -> Value {
        let names = session.memberships.all().iter().filter_map(|one| Some(&*self.table.get(one.channel)?.name));
        let age = u64::from(worker.deadlines.now().saturating_sub(session.since)) * TICK_MS / 1_000;
        json!({
            "id": show(worker.index, key),
            "worker": worker.index,
            "endpoint": session.endpoint.name.trim_start_matches("realtime.endpoints."),
            "transport": if session.encoding.sse { "sse" } else { "websocket" },
            "channels": names.collect::<Vec<_>>(),
            "client": session.peer.map(|peer| peer.to_string()),
            "connected_seconds": age,
            "queued_bytes": session.queued(),
            "drops": session.drops,
        })
    }

    fn those(&self, whom: &Whom) -> Vec<Key> {
        let open = |key: &Key| self.sessions.get(*key).is_some_and(|session| session.phase == Phase::Open);
        match whom {
            Whom::Session(key) => [*key].into_iter().filter(open).collect(),
            Whom::Channel(name) => {
                let found = self.table.find(name).and_then(|at| self.table.get(at));
                found.map_or_else(Vec::new, |channel| channel.members.iter().copied().filter(open).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sessions_name_is_read_back() {
        let key = Key { slot: 0x1f, generation: 3 };
        assert_eq!(show(2, key), "2-1f-3");
        assert_eq!(read("2-1f-3"), Some((2, key)));
        for wrong in ["", "2", "2-1f", "2-1f-3-4", "2-1F-3", "02-1f-3", "2-01f-3", "x-1-1", "2-1-", "-1-1", "2-+1-3"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
