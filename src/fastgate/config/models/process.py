"""Top-level keys that few configs use, loaded when one does: logs, admin, metrics, control, consumers, …."""

from typing import Annotated, Any, Literal

from fastgate.config.models.base import (
    Bind,
    Flag,
    HeaderName,
    LogTarget,
    Model,
    OrOff,
    Text,
    field,
)
from fastgate.config.scalars import choice, fraction


class AccessLog(Model):
    """The access log."""

    to: LogTarget = field("stdout, stderr, syslog, syslog://HOST:PORT, or the path of a file.", "stdout")
    format: Text = field("json, combined, or a template with {name} in it.", "json", example="json")
    sample: Annotated[float, fraction(0, 1)] = field(
        "The share of requests that is logged; errors (5xx) always are, unless it is 0.", 1.0
    )


class AuditLog(Model):
    """The audit trail: one line of JSON a security decision."""

    to: LogTarget = field("stdout, stderr, syslog, syslog://HOST:PORT, or the path of a file.", "stdout")


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
    audit: AuditLog | None = field("The audit trail of security decisions.", unset="off")
    redact: Redact = field("What no log may show.", Redact.model_construct())


class Admin(Model):
    """The admin listener."""

    bind: Bind = field("Its address.", "127.0.0.1:8002")
    auth: Any = field("Who may use it.", later="plain")


class Metrics(Model):
    """The metrics listener."""

    bind: Bind = field("Its address.", "127.0.0.1:8003")
    tenants: Flag = field("Count requests by tenant: those that consumers name, and others up to 1,000.", False)


class Reload(Model):
    """How a running gateway takes a changed config."""

    watch: Flag = field("Reload when a file of the config changes, besides SIGHUP and `fastgate reload`.", False)


class Control(Model):
    """The control socket."""

    socket: Text = field(
        "Its path; a Unix socket for this user alone.", required=True, example="/run/fastgate/control.sock"
    )
