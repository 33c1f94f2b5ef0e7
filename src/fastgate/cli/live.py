"""`fastgate top`: a running gateway, looked at again and again."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Iterator

from fastgate.cli.client import Client, Plain
from fastgate.cli.shown import status_lines


def top(socket: str | None, *, interval: float, count: int) -> None:
    """Shows a gateway until q, Ctrl-C or `count` looks; plain blocks where stdout is no terminal."""
    with Client(socket) as client:
        if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            _screen(client, interval, count)
        else:
            _plain(client, interval, count)


def _looks(client: Client, interval: float, count: int) -> Iterator[tuple[Plain, Plain | None]]:
    """Each look with the one before it; the caller waits between two."""
    before: Plain | None = None
    number = 0
    while count == 0 or number < count:
        status = client.ask("status")
        yield status, before
        before, number = status, number + 1


def _plain(client: Client, interval: float, count: int) -> None:
    for number, (status, before) in enumerate(_looks(client, interval, count), 1):
        print(time.strftime("-- %Y-%m-%d %H:%M:%S"))
        print("\n".join(status_lines(status, False, before)), end="\n\n", flush=True)
        if number != count:
            time.sleep(interval)


def _screen(client: Client, interval: float, count: int) -> None:
    """The terminal as a whole, put back as it was at every end."""
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(highlight=False)
    on = not os.environ.get("NO_COLOR")
    with _keys() as keys, Live(console=console, screen=True, auto_refresh=False) as live:
        for number, (status, before) in enumerate(_looks(client, interval, count), 1):
            height = console.size.height
            lines = list(status_lines(status, on, before))
            foot = f"every {interval:g} s   q quits"
            if len(lines) > height - 1:
                hidden = len(lines) - (height - 2)
                lines = [*lines[: height - 2], f"… {hidden} more lines: fastgate status shows all"]
            lines += [""] * (height - 1 - len(lines)) + [f"\x1b[2m{foot}\x1b[0m" if on else foot]
            text = Text.from_ansi("\n".join(lines), no_wrap=True, overflow="ellipsis")
            live.update(text, refresh=True)
            if number != count and _quits(keys, interval):
                return


@contextlib.contextmanager
def _keys() -> Iterator[int | None]:
    """The keyboard, key by key and without echo; None where there is none."""
    if not sys.stdin.isatty():
        yield None
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    kept = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield descriptor
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, kept)


def _quits(keys: int | None, seconds: float) -> bool:
    """Waits so long; returns whether q was pressed, or the keyboard is gone."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        ready = select.select([keys] if keys is not None else [], [], [], left)[0]
        if ready and keys is not None:
            pressed = os.read(keys, 64)
            if not pressed or b"q" in pressed or b"Q" in pressed:
                return True
    return False
