"""`realtime` and `store`: where subscribers connect, who publishes, and the Redis that connects processes."""

from typing import Annotated, Any, Literal

from fastgate.config import realtime_values
from fastgate.config.models.base import (
    Flag,
    HostPattern,
    Model,
    Name,
    OneOrMany,
    PathText,
    SecretText,
    Text,
    TextOrMap,
    field,
)
from fastgate.config.models.policies import Policies
from fastgate.config.scalars import choice, duration, size, text, whole

Channel = Annotated[str, realtime_values.CHANNEL]
Origin = Annotated[str, realtime_values.ORIGIN]
RedisUrl = Annotated[str, realtime_values.REDIS_URL]
Digest = Annotated[str, realtime_values.DIGEST]
Messages = Annotated[int, realtime_values.MESSAGES]
May = Annotated[bool, realtime_values.PUBLISH]
Prefix = Annotated[str, text("text of at most 64 letters, digits and signs, without blanks", r"^[!-~]{0,64}\Z")]
Transport = Annotated[Literal["websocket", "sse"], choice("websocket", "sse")]
WhenFull = Literal["disconnect", "drop_oldest", "latest_only"]


class Store(Model):
    """Redis (or Valkey): it connects the hubs of several processes into one."""

    url: RedisUrl = field("redis://HOST[:PORT][/DB], rediss://… for TLS, or unix:/path.", required=True)
    username: Text | None = field("The ACL user.", unset="the default user", example="fastgate")
    password: SecretText | None = field("Its password, as a reference.", unset="none")
    cluster: Flag = field("The server is a cluster: what fastgate publishes goes by sharded pub/sub.", False)
    ca: Text | None = field(
        "A PEM file of the authorities to trust, with rediss.",
        unset="the system's",
        example="/etc/fastgate/redis-ca.pem",
    )
    prefix: Prefix = field("Stands before the name of every channel in Redis.", "", example="gate:")


class Queue(Model):
    """What a subscriber that does not read may have waiting."""

    bytes: Annotated[int, size(1024, 1 << 30)] = field("Bytes.", 1 << 20)
    when_full: Annotated[WhenFull, choice("disconnect", "drop_oldest", "latest_only")] = field(
        "What happens with one publication more: the connection closes (3008), the oldest that waits is dropped, or of "
        "each channel only the newest waits.",
        "disconnect",
    )


class ClientPublish(Model):
    """What the clients of an endpoint may publish to its channels."""

    rate: Messages = field("Messages of one connection; one beyond it closes the connection (1008).", 10)
    burst: Annotated[int, whole(1, 1_000_000)] = field("Messages at once before the rate holds.", 20)
    echo: Flag = field("The sender gets its own message too.", True)


class Endpoint(Model):
    """One place where subscribers connect, by WebSocket or as an event stream (SSE)."""

    path: PathText = field("The path, exact or a template.", required=True, example="/r/{room}")
    channels: list[Channel] = field(
        "The channels of a connection, as templates over the path's captures.", required=True, example=["room:{room}"]
    )
    hosts: list[HostPattern] = field(
        "Host names, exact or with a leading `*.`.", [], unset="every host", example=["live.example.com"]
    )
    source: Annotated[Literal["redis", "local"], choice("redis", "local")] | None = field(
        "Where publications come from: every process that shares the Redis of `store`, or this one alone.",
        unset="redis where there is a store, else local",
        example="local",
    )
    format: Annotated[Literal["json", "text", "binary"], choice("json", "text", "binary")] = field(
        "What a publication is: JSON or text in text frames, or bytes in binary ones.", "json"
    )
    transport: list[Transport] | None = field(
        "How subscribers connect.", unset="websocket and sse; with format: binary websocket", example=["websocket"]
    )
    wrap: Flag = field('Each publication comes as {"channel": …, "data": …}; not with format: binary.', False)
    publish: TextOrMap[May, ClientPublish] = field(
        "Clients may publish to the channels of their connection; true: 10/s, bursts of 20.", False, example=True
    )
    max_members: Annotated[int, whole(1, 10_000_000)] | None = field(
        "Connections of one channel in this process; one more gets 503.", unset="no limit", example=100
    )
    max_message: Annotated[int, size(1, 16 << 20)] = field(
        "Bytes of a message from a client; a larger one closes the connection (1009).", 64 << 10
    )
    queue: Queue = field("What a subscriber that does not read may have waiting.", Queue.model_construct())
    origins: OneOrMany[Origin] | None = field(
        'Pages that may connect, by the Origin header of browsers; "*" is every page.',
        unset="pages of the host that is asked",
        example=["https://app.example.com"],
    )
    deflate: Flag = field("Offer compression (permessage-deflate, RFC 7692), without context takeover.", False)
    priority: Annotated[int, whole(-1_000_000, 1_000_000)] = field(
        "Higher wins before anything else is compared, among routes and endpoints.", 0
    )
    policies: Policies | None = field("Policies of this endpoint.")
    listeners: list[Name] | None = field(
        "The listeners that serve it.", unset="every listener that serves realtime", example=["public"]
    )


class PublishKey(Model):
    """A key for the publish API: its digest, or a reference to it (one of hash, key)."""

    hash: Digest | None = field("The key's SHA-256; the key itself is not needed.")
    key: SecretText | None = field("A reference to the key; only its digest is kept.", example="env:PUBLISH_KEY")


class Realtime(Model):
    """The hub: subscribers by channel."""

    endpoints: dict[Name, Endpoint] = field("Where subscribers connect, by name.", {})
    ping: Annotated[int, duration(1_000, 3_600_000)] = field("Time between two pings to a silent client.", 25_000)
    pong: Annotated[int, duration(1_000, 3_600_000)] = field(
        "Time a client has, from a ping, to send anything; else it is closed (3012).", 10_000
    )
    api_keys: dict[Name, PublishKey] = field("Who may publish over HTTP, by name; without any nobody may.", {})
    namespaces: dict[str, Any] | None = field("Kinds of channels.", later="plain")
    tokens: Any = field("Tokens for subscribers.", later="security")
