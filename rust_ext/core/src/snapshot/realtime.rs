//! The hub's part of a snapshot: endpoints that subscribers connect to, publishers' keys, and the broker.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What holds for the whole hub.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Realtime {
    /// Time between two pings to a client that is silent; each is moved by up to a tenth.
    pub ping_ms: u64,
    /// Time a client has, from a ping written, to send anything at all.
    pub pong_ms: u64,
    /// Who may publish over HTTP; none: nobody.
    pub keys: Vec<PublishKey>,
    /// What connects this process with others; `None`: it is alone.
    pub redis: Option<Redis>,
}

impl Default for Realtime {
    fn default() -> Self {
        Self { ping_ms: 25_000, pong_ms: 10_000, keys: Vec::new(), redis: None }
    }
}

/// A key that may publish, known by its digest alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishKey {
    /// The name in the config.
    pub name: String,
    /// SHA-256 of the key, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

/// What a publisher asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublishCall {
    /// A publication for one channel.
    Publish,
    /// A publication for many channels.
    Broadcast,
}

/// A Redis server or cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// `redis://HOST[:PORT][/DB]`, `rediss://…` for TLS, or `unix:/path`; without user and password.
    pub url: String,
    /// The ACL user; `None`: the default one.
    pub username: Option<String>,
    /// The password.
    pub password: Option<SecretString>,
    /// The server is a cluster: channels that fastgate publishes use sharded pub/sub.
    pub cluster: bool,
    /// A PEM file of the CAs to trust instead of the system's.
    pub ca: Option<String>,
    /// Stands before the name of every channel in Redis.
    pub prefix: String,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretString(pub String);

impl fmt::Debug for SecretString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"…\"")
    }
}

/// Where subscribers connect: what a route with this action does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endpoint {
    /// The channels of one connection, as templates over the captures: `room:{room}`.
    pub channels: Vec<String>,
    /// Where publications come from.
    pub source: Source,
    /// What a publication is.
    pub format: PublicationFormat,
    /// A JSON envelope `{"channel":…,"data":…}` around each publication; not with `binary`.
    pub wrap: bool,
    /// WebSocket connections are taken.
    pub websocket: bool,
    /// Event streams (SSE) are served.
    pub sse: bool,
    /// What clients may publish to the connection's channels; `None`: nothing.
    pub publish: Option<ClientPublish>,
    /// Connections of one channel, all workers of this process together; 0: no limit.
    pub max_members: u32,
    /// Bytes of a message from a client.
    pub max_message: u32,
    /// What a connection that does not read may have waiting.
    pub queue: Queue,
    /// Which pages may connect (the `Origin` of browsers).
    pub origins: Origins,
    /// Offer permessage-deflate (RFC 7692), without context takeover.
    pub deflate: bool,
}

/// Where publications come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// This process alone.
    Local,
    /// Redis, and so every instance that shares it.
    Redis,
}

/// What a publication is, and so what its frames are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PublicationFormat {
    /// JSON in text frames.
    Json,
    /// Text frames.
    Text,
    /// Binary frames.
    Binary,
}

/// What a client may publish.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientPublish {
    /// Messages a second and connection; beyond it the connection closes with 1008.
    pub rate: u32,
    /// Messages at once before the rate holds; at least 1.
    pub burst: u32,
    /// Whether the sender gets its own message too.
    pub echo: bool,
}

/// What a connection that does not read may have waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Bytes.
    pub bytes: u32,
    /// What happens with one more.
    pub when_full: WhenFull,
}

/// What happens to a publication that finds a full queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhenFull {
    /// The connection closes (3008); its client connects again.
    Disconnect,
    /// The oldest that waits is dropped, counted, and the client is told.
    DropOldest,
    /// Of each channel only the newest waits.
    LatestOnly,
}

/// Which pages may connect. A request without `Origin` comes from no browser and passes, except where a list is strict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origins {
    /// Pages of the host that is asked.
    Same,
    /// Every page.
    Any,
    /// These: `https://app.example.com`, or `https://*.example.com` for one or more labels.
    List(Vec<String>),
}
