//! An endpoint as the hub uses it: what its sessions keep of a snapshot.

use std::sync::Arc;

use fastgate_core::filter::OriginPolicy;
use fastgate_core::route::{Captures, ChannelTemplate, NoChannel};
use fastgate_core::snapshot::{self, ClientPublish, Invalid, Queue, Snapshot, Source};
use fastgate_core::websocket::{Role, Rules};

use super::frames::Encoding;
use crate::deadlines::{Tick, ticks};

/// Channels of one connection.
const MAX_CHANNELS: usize = 64;

/// The least a queue may hold.
const MIN_QUEUE: u32 = 1024;

/// What all sessions of an endpoint share.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The route's name.
    pub(crate) name: Arc<str>,
    templates: Vec<ChannelTemplate>,
    /// Publications come by the broker.
    pub(crate) brokered: bool,
    encoding: Encoding,
    pub(crate) websocket: bool,
    pub(crate) sse: bool,
    pub(crate) deflate: bool,
    pub(crate) publish: Option<Rate>,
    pub(crate) max_members: u32,
    pub(crate) max_message: usize,
    pub(crate) queue: Queue,
    pub(crate) origins: OriginPolicy,
    pub(crate) ping: Tick,
    pub(crate) pong: Tick,
    /// How long a session may make no progress with what waits for it.
    pub(crate) stall: Tick,
}

/// What a client may publish.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) echo: bool,
    /// Nanoseconds of one message, and of the burst.
    cost: u64,
    burst: u64,
}

impl Rate {
    fn new(publish: &ClientPublish) -> Self {
        let cost = 1_000_000_000 / u64::from(publish.rate.max(1));
        Self { echo: publish.echo, cost, burst: cost * u64::from(publish.burst.max(1)) }
    }

    /// Takes one message at `now`, both in nanoseconds; `false` when it is too much (GCRA). `tat` is the session's own.
    pub(crate) fn take(self, tat: &mut u64, now: u64) -> bool {
        let next = (*tat).max(now) + self.cost;
        let conforms = next - now <= self.burst;
        if conforms {
            *tat = next;
        }
        conforms
    }
}

impl Endpoint {
    /// Judges and compiles the endpoint of a route.
    pub(crate) fn compile(
        endpoint: &snapshot::Endpoint,
        route: &snapshot::Route,
        snapshot: &Snapshot,
        invalid: &mut Vec<Invalid>,
    ) -> Option<Arc<Self>> {
        let before = invalid.len();
        let mut add =
            |key: &str, message: String| invalid.push(Invalid::new(format!("action.realtime.{key}"), message));
        let count = endpoint.channels.len();
        if !(1..=MAX_CHANNELS).contains(&count) {
            add("channels", format!("there are {count} channels; allowed: 1 to {MAX_CHANNELS}"));
        }
        let mut templates = Vec::with_capacity(count);
        for (i, text) in endpoint.channels.iter().enumerate() {
            match ChannelTemplate::compile(text, &route.matches) {
                Ok(template) => templates.push(template),
                Err(message) => add(&format!("channels.{i}"), message),
            }
        }
        let binary = endpoint.format == snapshot::PublicationFormat::Binary;
        if binary && endpoint.wrap {
            add("wrap", "binary publications cannot stand in a JSON envelope".to_owned());
        }
        if binary && endpoint.sse {
            add("sse", "an event stream carries text; binary publications need a WebSocket".to_owned());
        }
        if !endpoint.websocket && !endpoint.sse {
            add("websocket", "neither WebSockets nor event streams are served".to_owned());
        }
        if endpoint.queue.bytes < MIN_QUEUE {
            add("queue.bytes", format!("{} bytes are too few; at least {MIN_QUEUE}", endpoint.queue.bytes));
        }
        if let Some(publish) = &endpoint.publish
            && (publish.rate == 0 || publish.burst == 0)
        {
            add("publish", "rate and burst are at least 1".to_owned());
        }
        let origins = OriginPolicy::compile(&endpoint.origins).map_err(|message| add("origins", message)).ok();
        if invalid.len() > before {
            return None;
        }
        Some(Arc::new(Self {
            name: route.name.as_str().into(),
            templates,
            brokered: endpoint.source == Source::Redis,
            encoding: Encoding { format: endpoint.format, wrap: endpoint.wrap, sse: false, deflate: false },
            websocket: endpoint.websocket,
            sse: endpoint.sse,
            deflate: endpoint.deflate,
            publish: endpoint.publish.as_ref().map(Rate::new),
            max_members: endpoint.max_members,
            max_message: endpoint.max_message as usize,
            queue: endpoint.queue,
            origins: origins?,
            ping: ticks(snapshot.realtime.ping_ms).max(1),
            pong: ticks(snapshot.realtime.pong_ms).max(1),
            stall: ticks(snapshot.limits.write_stall_ms),
        }))
    }

    /// How publications look to its sessions.
    pub(crate) fn encoding(&self, sse: bool, deflate: bool) -> Encoding {
        Encoding { sse, deflate, ..self.encoding }
    }

    /// What holds for frames of its clients.
    pub(crate) fn rules(&self, deflate: bool) -> Rules {
        Rules { role: Role::Server, max_message: self.max_message, deflate }
    }

    /// The channels of one connection of whoever `subject` is, each once.
    pub(crate) fn channels(
        &self,
        captures: &Captures,
        path: &[u8],
        subject: Option<&str>,
    ) -> Result<Vec<String>, NoChannel> {
        let mut channels: Vec<String> = Vec::with_capacity(self.templates.len());
        for template in &self.templates {
            let channel = template.render(captures, path, subject)?;
            if !channels.contains(&channel) {
                channels.push(channel);
            }
        }
        Ok(channels)
    }

    /// Whether its clients could be members of this channel.
    pub(crate) fn may_serve(&self, channel: &str) -> bool {
        self.templates.iter().any(|template| template.may_make(channel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_its_burst_and_then_its_rate() {
        let rate = Rate::new(&ClientPublish { rate: 10, burst: 3, echo: true });
        let mut tat = 0;
        let second = 1_000_000_000;
        let mut taken = |now| (0..20).filter(|_| rate.take(&mut tat, now)).count();
        assert_eq!(taken(5 * second), 3);
        assert_eq!(taken(5 * second + second / 10), 1);
        assert_eq!(taken(6 * second), 3);
    }
}
