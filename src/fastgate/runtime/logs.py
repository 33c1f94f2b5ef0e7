"""fastgate's own messages on stderr, for a process whose application has not set logging up itself."""

from __future__ import annotations

import json
import logging
import time

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_NAMES = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning"}


class TextFormatter(logging.Formatter):
    """One message: time, level, sentence, fields as name=value."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")


class JsonFormatter(logging.Formatter):
    """One JSON object a message: time (RFC 3339, UTC), level, logger, message, the fields, and exception if any."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        sentence, fields = getattr(record, "fastgate", None) or (record.getMessage(), {})
        line = {
            "time": f"{seconds}.{int(record.msecs):03}Z",
            "level": _NAMES.get(record.levelno, "error" if record.levelno >= logging.ERROR else "info"),
            "logger": record.name,
            "message": sentence,
        }
        line |= {name: value for name, value in fields.items() if name not in line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _Handler(logging.StreamHandler):  # type: ignore[type-arg]
    """Ours, so that a reload can change it and nobody else's is touched."""


def set_up(level: str = "info", form: str = "text") -> None:
    """Sends fastgate's messages of `level` and above to stderr as `text` or `json`, one a line.

    Where the application has given the root logger or the logger "fastgate" a handler, nothing is changed.
    """
    logger = logging.getLogger("fastgate")
    if not logger.handlers and not logging.getLogger().handlers:
        logger.addHandler(_Handler())
        follow(level, form)


def follow(level: str, form: str) -> None:
    """Changes level and format of what `set_up` has set up; without that it does nothing."""
    logger = logging.getLogger("fastgate")
    for handler in logger.handlers:
        if isinstance(handler, _Handler):
            handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
            logger.setLevel(_LEVELS[level])
