"""Compiling a config in a child process: bounded in time and memory, at low priority, away from our GIL and heap."""

from __future__ import annotations

import contextlib
import json
import os
import select
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastgate.errors import Finding, StartError
from fastgate.runtime.recipe import Compiled, Recipe, Unusable, Watched

if TYPE_CHECKING:
    import subprocess

TIMEOUT = 30.0
PATIENCE = 2.0
"""Seconds that a child has before it is judged whether idle time suffices for it."""
START_TIMEOUT = 600.0
"""At start nothing else serves yet: a slow machine may take its time."""
MAX_RESULT = 512 * 1024 * 1024
MAGIC = b"fastgate-compiled-1\n"
HEADER = struct.Struct("!QQ")
# Isolated (no PYTHON* variables, no folder of the user's), with our own search path: the same package, nothing else.
_BOOT = (
    "import json, sys; asked = json.load(sys.stdin); sys.path[:] = asked['path']; "
    "from fastgate.runtime.compile_child import main; main(asked)"
)


# The allocators of compiled modules reserve a gigabyte at a time, which would count against the child's bound.
MODEST = {"MIMALLOC_ARENA_RESERVE": str(64 * 1024)}


def possible(recipe: Recipe) -> bool:
    """Whether a child can follow the recipe: there is an interpreter to start, and the recipe is plain data."""
    if not sys.executable:
        return False
    try:
        json.dumps(recipe.overrides)
    except (TypeError, ValueError):
        return False
    return True


def follow_apart(
    recipe: Recipe, *, nice: int = 10, timeout: float = TIMEOUT, cancelled: Callable[[], bool] = lambda: False
) -> Compiled:
    """Has a child load, compile and validate.

    Args:
        recipe: What to load.
        nice: By how much the child's priority is lower than ours. Above 0 it first gets only time that nobody else
            wants, which no request notices; where there is too little of that, another one takes over.
        timeout: Seconds after which it is killed.
        cancelled: Asked ten times a second; true kills it.

    Raises Unusable with every fault of the config, StartError where the child fails.
    """
    if nice > 0 and sys.platform == "linux":
        with contextlib.suppress(_Starved):
            return _follow(recipe, nice, timeout, cancelled, idle=True)
    return _follow(recipe, nice, timeout, cancelled, idle=False)


class _Starved(Exception):
    """A child that may only have idle time gets next to none."""


def _follow(recipe: Recipe, nice: int, timeout: float, cancelled: Callable[[], bool], *, idle: bool) -> Compiled:
    import subprocess  # a start that needs no child does without

    read, write = os.pipe()
    # Relative to the process, not to the thread that asks: that one may be gentle already.
    priority = min(19, os.getpriority(os.PRIO_PROCESS, os.getpid()) + nice)
    asked = {"path": sys.path, "out": write, "priority": priority, "idle": idle, "recipe": asdict(recipe)}
    begun = time.monotonic()
    try:
        child = subprocess.Popen(
            [sys.executable, "-I", "-c", _BOOT],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=(write,),
            env={**os.environ, **MODEST},
        )
    except OSError as error:
        os.close(read)
        raise _failed(f"it cannot be started: {error.strerror or error}") from None
    finally:
        os.close(write)

    def over() -> bool:
        if idle and _starves(child.pid, time.monotonic() - begun):
            raise _Starved
        return cancelled()

    try:
        _ask(child, json.dumps(asked).encode())
        told = answer(read, begun + timeout, timeout, over)
        try:
            code = child.wait(5)
        except subprocess.TimeoutExpired:
            raise _failed("it did not end") from None
        return read_answer(told, code)
    finally:
        os.close(read)
        if child.poll() is None:
            child.kill()
        child.wait()


def _starves(child: int, seconds: float) -> bool:
    """Whether a process that has lived for so many seconds had less than a fifth of a processor."""
    if seconds < PATIENCE:
        return False
    try:
        used = Path(f"/proc/{child}/schedstat").read_text(encoding="ascii").split()[0]
    except (OSError, IndexError):
        return False
    return int(used) / 1e9 < seconds / 5


def _ask(child: subprocess.Popen[bytes], asked: bytes) -> None:
    assert child.stdin is not None
    try:
        with child.stdin as stdin:
            stdin.write(asked)
    except BrokenPipeError:
        pass  # it is dead: its missing answer tells


def answer(read: int, until: float, timeout: float, cancelled: Callable[[], bool]) -> bytearray:
    """Everything that a child writes to the descriptor `read`.

    Raises StartError once `until`, of the monotonic clock, is reached, or `cancelled` is true.
    """
    os.set_blocking(read, False)
    ready = select.poll()
    ready.register(read, select.POLLIN)
    told = bytearray()
    while True:
        if cancelled():
            raise _failed("the gateway is ending")
        left = until - time.monotonic()
        if left <= 0:
            raise _failed(f"it took longer than {timeout:g} s")
        if not ready.poll(min(100.0, left * 1000 + 1)):
            continue
        try:
            piece = os.read(read, 1 << 16)
        except BlockingIOError:
            continue
        if not piece:
            return told
        told += piece
        if len(told) > MAX_RESULT:
            raise _failed(f"its result is larger than {MAX_RESULT >> 20} MiB")


def read_answer(answer: bytearray, code: int) -> Compiled:
    """What a child that ended with `code` has made. Raises as follow_apart."""
    if code < 0:
        raise _failed(f"it was ended by signal {-code} (9: often for want of memory)")
    view = memoryview(answer)
    begin = len(MAGIC) + HEADER.size
    if code != 0 or len(view) < begin or bytes(view[: len(MAGIC)]) != MAGIC:
        raise _failed(f"it ended with code {code} and {len(view)} bytes that are no answer")
    about, size = HEADER.unpack(view[len(MAGIC) : begin])
    if len(view) != begin + about + size:
        raise _failed("its answer was cut short")
    try:
        told: dict[str, Any] = json.loads(bytes(view[begin : begin + about]))
        if "fault" in told:
            raise _failed(str(told["fault"]))
        watched = Watched(tuple(told["watched"]["files"]), tuple(told["watched"]["patterns"]))
        if told["errors"]:
            raise Unusable([Finding(**one) for one in told["errors"]], watched)
        return Compiled(
            data=bytes(view[begin + about :]),
            routes=told["routes"],
            listeners=told["listeners"],
            secure=told["secure"],
            workers=told["workers"],
            control=told["control"],
            watch=told["watch"],
            warnings=tuple(Finding(**one) for one in told["warnings"]),
            files=tuple(told["files"]),
            watched=watched,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _failed(f"its answer cannot be read ({type(error).__name__}: {error})") from None


def _failed(why: str) -> StartError:
    return StartError(f"the process that compiles the config failed: {why}")
