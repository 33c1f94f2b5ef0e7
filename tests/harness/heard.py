"""What is said through `logging`, as an event that can be waited for."""

from __future__ import annotations

import logging
import threading
from types import TracebackType

DEADLINE = 20.0


class Heard(logging.Handler):
    """`with Heard("fastgate") as heard:` collects what the logger and those below it say; `heard.wait("words")`."""

    def __init__(self, logger: str, level: int = logging.INFO) -> None:
        super().__init__(level)
        self._logger = logging.getLogger(logger)
        self._before = self._logger.level
        self._changed = threading.Condition()
        self.messages: list[str] = []

    def __enter__(self) -> Heard:
        self._logger.addHandler(self)
        self._logger.setLevel(self.level)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._before)

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the message."""
        with self._changed:
            self.messages.append(record.getMessage())
            self._changed.notify_all()

    def wait(self, words: str, times: int = 1) -> str:
        """The latest message with these words, once there are so many."""

        def found() -> list[str]:
            return [message for message in self.messages if words in message]

        with self._changed:
            self._changed.wait_for(lambda: len(found()) >= times, DEADLINE)
            assert len(found()) >= times, f"nobody said {words!r}, but: {self.messages}"
            return found()[-1]
