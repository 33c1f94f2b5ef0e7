"""Top-level keys that few configs use, loaded when one does: logs, admin, metrics, control, store, …."""

from typing import Annotated, Any, Literal

from fastgate.config.models.base import (
    Bind,
    Flag,
    HeaderName,
    LogTarget,
    Model,
    Name,
    OrOff,
    PathText,
    Rare,
    SecretText,
    Text,
    field,
)
from fastgate.config.models.policies import Policies
from fastgate.config.scalars import choice, fraction, size, whole


class AccessLog(Model):
    """The access log."""

    to: LogTarget = field("stdout, stderr, syslog, syslog://HOST:PORT, or the path of a file.", "stdout")
    format: Text = field("json, combined, or a template with {name} in it.", "json", example="json")
    sample: Annotated[float, fraction(0, 1)] = field(
        "The share of requests that is logged; errors (5xx) always are, unless it is 0.", 1.0
    )


class AuditLog(Model):
    """The audit log."""

    to: Text = field("stdout, syslog, or the path of a file.", "stdout", example="stdout")


# What no log shows unless the config says otherwise.
REDACTED_QUERY = [
    "access_token", "api_key", "apikey", "auth", "client_secret", "code", "id_token", "jwt", "key", "passwd",
    "password", "pwd", "refresh_token", "secret", "session", "sessionid", "sig", "signature", "token",
    "x-amz-credential", "x-amz-security-token", "x-amz-signature",
]  # fmt: skip
REDACTED_HEADERS = ["authorization", "cookie", "proxy-authorization", "x-api-key", "x-auth-token", "x-csrf-token"]


class Redact(Model):
    """What no log may show: the values of these, whatever the case of the name."""

    query: list[Text] = field("Query parameters; a list replaces the default.", REDACTED_QUERY, example=["token"])
    headers: list[HeaderName] = field("Headers; a list replaces the default.", REDACTED_HEADERS, example=["cookie"])


class Logs(Model):
    """Logs."""

    access: OrOff[AccessLog] | None = field("The access log; false switches it off.", unset="off")
    level: (
        Annotated[Literal["debug", "info", "warning", "error"], choice("debug", "info", "warning", "error")] | None
    ) = field("The least important messages of the diagnostic log.", unset="info")
    format: Annotated[Literal["text", "json"], choice("text", "json")] = field(
        "How the diagnostic log is written to stderr; an application that has set logging up decides itself.", "text"
    )
    audit: AuditLog | None = field("The audit log.", later="plain")
    redact: Redact = field("What no log may show.", Redact.model_construct())


class Admin(Model):
    """The admin listener."""

    bind: Bind = field("Its address.", "127.0.0.1:8002")
    auth: Any = field("Who may use it.", later="plain")


class Metrics(Model):
    """The metrics listener."""

    bind: Bind = field("Its address.", "127.0.0.1:8003")


class Reload(Model):
    """How a running gateway takes a changed config."""

    watch: Flag = field("Reload when a file of the config changes, besides SIGHUP and `fastgate reload`.", False)


class Control(Model):
    """The control socket."""

    socket: Text = field(
        "Its path; a Unix socket for this user alone.", required=True, example="/run/fastgate/control.sock"
    )


class Store(Model):
    """State shared between processes."""

    url: Text = field("redis://HOST:PORT/DB.", required=True, example="redis://127.0.0.1:6379/0")
    password: SecretText | None = field("Its password, as a reference.")


class ConsumerKey(Model):
    """One API key of a consumer."""

    hash: Text = field("sha256:HEX of the key.", required=True, example="sha256:…")
    expires: Text | None = field("When it ends, RFC 3339.", example="2027-01-01T00:00:00Z")


class Consumer(Model):
    """Someone who uses the gateway."""

    groups: list[Name] = field("Groups.", [])
    api_keys: dict[Name, ConsumerKey] = field("API keys by name.", {})
    limits: dict[Name, Annotated[Any, Rare("guards", "Limit")]] = field("Rates, each replacing the same-named one.", {})
    policies: Policies | None = field("Policies of this consumer.")


class Queue(Model):
    """What a subscriber that does not read may have waiting."""

    bytes: Annotated[int, size(1024, 1 << 30)] = field("Bytes.", 1 << 20)
    when_full: Text = field("What happens then.", "disconnect", example="disconnect")


class Endpoint(Model):
    """One place subscribers connect to."""

    path: PathText = field("The path, exact or a template.", required=True, example="/r/{room}")
    channels: list[Text] = field("Channels, as templates over the captures.", [], example=["room:{room}"])
    source: Annotated[Literal["redis", "local"], choice("redis", "local")] = field(
        "Where publications come from.", "local"
    )
    format: Annotated[Literal["json", "text", "binary"], choice("json", "text", "binary")] = field(
        "What is sent.", "json"
    )
    transport: list[Annotated[Literal["websocket", "sse"], choice("websocket", "sse")]] = field(
        "How subscribers connect.", ["websocket", "sse"]
    )
    wrap: Any = field("An envelope around each publication.")
    publish: Any = field("Who may publish from here.")
    max_members: Annotated[int, whole(1, 10_000_000)] | None = field("Subscribers of one channel.")
    queue: Queue | None = field("What a subscriber that does not read may have waiting.")
    origins: list[Text] | None = field("Origins allowed.", example=["https://app.example.com"])
    policies: Policies | None = field("Policies of this endpoint.")
    listeners: list[Name] | None = field("The listeners that serve it.")


class Realtime(Model):
    """The hub."""

    endpoints: dict[Name, Endpoint] = field("Endpoints by name.", {})
    namespaces: dict[str, Any] = field("Kinds of channels.", {})
    tokens: Any = field("Tokens for subscribers.")
    api_keys: Any = field("Keys of publishers.")
