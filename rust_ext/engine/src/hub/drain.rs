//! The end of a worker's sessions: in slices, each with a hint when to come back, so that they do not come back at
//! once.

use std::rc::Rc;
use std::time::Duration;

use fastgate_core::websocket::write_close;

use super::shard::Inner;
use super::slab::Key;
use crate::rt;
use crate::worker::Worker;

/// Milliseconds between two slices.
const PAUSE_MS: u64 = 100;

/// The least that ends in a slice, so that few sessions do not take long.
const LEAST: usize = 64;

/// The most a client is asked to wait before it comes back.
const MAX_DELAY_MS: u64 = 5_000;

/// Ends all sessions within half of `limit_ms`: the rest is for their last frames and for requests.
pub(crate) async fn run(worker: Rc<Worker>, limit_ms: u64) {
    let slices = usize::try_from(limit_ms / 2 / PAUSE_MS).unwrap_or(1).max(1);
    let slice = worker.hub.len().div_ceil(slices).max(LEAST);
    loop {
        let Some(keys) = worker.hub.get().map(|inner| inner.open(slice)) else { return };
        if keys.is_empty() {
            return;
        }
        for some in keys.chunks(LEAST) {
            if let Some(mut inner) = worker.hub.get() {
                some.iter().for_each(|key| inner.send_away(&worker, *key));
            }
            rt::yield_now().await;
        }
        rt::sleep(Duration::from_millis(PAUSE_MS)).await;
    }
}

impl Inner {
    /// Some sessions that are open.
    fn open(&self, n: usize) -> Vec<Key> {
        let open = |session: &super::session::Session| session.phase == super::session::Phase::Open;
        self.sessions.iter().filter(|(_, session)| open(session)).map(|(key, _)| key).take(n).collect()
    }

    /// Ends one with 3001 and a hint.
    fn send_away(&mut self, worker: &Worker, key: Key) {
        let delay = worker.random() % MAX_DELAY_MS;
        let Some(session) = self.sessions.get_mut(key) else { return };
        let mut frame = Vec::new();
        if session.encoding.sse {
            frame.extend_from_slice(format!("retry: {delay}\n\n").as_bytes());
        } else {
            let reason = format!("{{\"reason\":\"shutdown\",\"reconnect\":true,\"delay_ms\":{delay}}}");
            write_close(&mut frame, 3001, &reason);
        }
        self.end_with(worker, key, 3001, &frame);
    }
}
