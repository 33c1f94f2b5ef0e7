"""The C table between the two compiled modules: its version, and how the extension was built."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fastgate import _core, _engine

# Loads _engine, puts another table in the place of its own, and imports _core.
SWAP = """
import ctypes, sys
from fastgate import _engine
get = ctypes.pythonapi.PyCapsule_GetPointer
get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
new = ctypes.pythonapi.PyCapsule_New
new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
NAME = b"fastgate._engine._C_API"
size = (ctypes.c_uint32 * 2).from_address(get(_engine._C_API, NAME))[1]
table = ctypes.create_string_buffer(ctypes.string_at(get(_engine._C_API, NAME), size))
(ctypes.c_uint32 * 2).from_buffer(table)[{field}] += {change}
_engine._C_API = new(ctypes.addressof(table), NAME, None)
try:
    from fastgate import _core
except ImportError as error:
    sys.exit(str(error))
"""


@pytest.mark.parametrize(("field", "change"), [(0, 1), (0, -1), (1, 8), (1, -8)])
def test_another_table_is_refused(field, change):
    code = SWAP.format(field=field, change=change)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "install fastgate anew, so that both come from one build" in done.stderr


def test_the_same_table_is_taken():
    code = SWAP.format(field=0, change=0)
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)


def test_no_reference_pool():
    assert _engine.REFERENCE_POOL is False


def test_the_modules_are_compiled():
    for module in (_core, _engine):
        assert module.__file__ is not None
        assert module.__file__.endswith(".so")
