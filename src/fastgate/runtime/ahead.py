"""The first config, compiled by a copy of this process while this one loads the engine; no model is ever built here."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable

from fastgate.runtime import apart
from fastgate.runtime.recipe import Compiled, Recipe


class Ahead:
    """A recipe that a child follows already.

    Args:
        recipe: What to load.
        child: Its number.
        answer: The descriptor that its answer comes from.
    """

    def __init__(self, recipe: Recipe, child: int, answer: int) -> None:
        self.recipe = recipe
        self._child = child
        self._answer = answer

    def result(self, cancelled: Callable[[], bool] = lambda: False) -> Compiled:
        """Waits for what the child has made; once.

        Raises Unusable with every fault of the config, StartError where the child fails.
        """
        answer, whole = bytearray(), False
        try:
            until = time.monotonic() + apart.START_TIMEOUT
            answer, whole = apart.answer(self._answer, until, apart.START_TIMEOUT, cancelled), True
        finally:
            os.close(self._answer)
            if not whole:
                os.kill(self._child, 9)
            # It has closed its end, or it was killed: either way it ends at once.
            code = os.waitstatus_to_exitcode(os.waitpid(self._child, 0)[1])
        return apart.read_answer(answer, code)


def begin(recipe: Recipe) -> Ahead | None:
    """Has a copy of this process follow the recipe; None where a copy is not possible or of no use.

    Only for a process that is the command line's own and has just begun: a copy has one thread and the same heap.
    """
    if sys.platform != "linux" or threading.active_count() > 1 or "pydantic" in sys.modules:
        return None
    try:
        read, write = os.pipe()
    except OSError:
        return None
    try:
        child = os.fork()
    except OSError:
        os.close(read)
        os.close(write)
        return None
    if child == 0:
        _follow(recipe, write)
    os.close(write)
    return Ahead(recipe, child, read)


def _follow(recipe: Recipe, out: int) -> None:
    """In the child; never returns."""
    try:
        import gc

        # Importing makes much that stays, and looking through it finds nothing.
        gc.disable()
        from fastgate.runtime import compile_child

        compile_child.copied(recipe, out)
    except BrokenPipeError:
        pass  # nobody wants to know any more
    except BaseException as error:
        # The parent tells that no answer came; what is raised here must not run the parent's code.
        sys.stderr.write(f"fastgate: {type(error).__name__}: {error}\n")
    finally:
        os._exit(1)
