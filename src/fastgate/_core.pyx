"""Hot Python: the objects a hook sees, and the executor that runs hooks for the engine in batches.

Views borrow the engine's memory and die when their hook's chain ends. Everything that happens once (registration, config,
logging) is plain Python elsewhere. The lock of the interpreter guards a view against the end of its request.
"""

import logging
import os
import threading
import types
import weakref

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.pycapsule cimport PyCapsule_GetPointer
from cpython.unicode cimport PyUnicode_DecodeLatin1, PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport free, malloc

from fastgate._engine_api cimport (
    ABI, ADD, API_KEY, BAD_CHANNEL, BUSY, CLAIMS, CONSUMER, GROUPS, HOST, MAY_WAIT, METHOD, PATH, PROOF, QUERY, RAW_PATH,
    REMOVE, REQUEST_ID, ROLES, ROUTE, SCOPES, SET, SUBJECT, TENANT, TOO_LARGE, Buffer, EngineApi, Job, Pair, Queue, Running, Text,
)

from fastgate import _engine

cdef extern from "Python.h":
    const char *PyUnicode_AsUTF8AndSize(object text, Py_ssize_t *size) except NULL
    bint PyUnicode_IS_ASCII(object text)

cdef enum:
    BATCH = 64          # requests taken at once
    FEW = 16            # items read without asking for memory
    PROBLEM = 256       # bytes of a sentence from the engine
    LINE = 4096         # bytes of a log line; the rest is cut off

cdef const EngineApi *api = <const EngineApi *> PyCapsule_GetPointer(_engine._C_API, "fastgate._engine._C_API")
if api.abi != ABI or api.size != sizeof(EngineApi):
    raise ImportError(
        f"fastgate._core was built for version {ABI} of the engine's table ({sizeof(EngineApi)} bytes) and found version "
        f"{api.abi} ({api.size} bytes): install fastgate anew, so that both come from one build"
    )

cdef object NO_CLAIMS = types.MappingProxyType({})
cdef object HOOK_LOG = logging.getLogger("fastgate.hooks")
cdef object ENGINE_LOG = logging.getLogger("fastgate.engine")


include "_text.pxi"
include "_channels.pxi"


cdef class Headers:
    """Header fields by name, whatever the case; a name may have several values.

    `headers[name]` is all of them joined by ", " (RFC 9110 §5.3; cookies by "; "), so that a second line never hides;
    `get_all` has them one by one. Each byte of a value is one character (ISO-8859-1). Names come out in lower case.

    Raises:
        ValueError: a name or value that may not be written: control characters, hop-by-hop and framing fields.
    """

    def __init__(self, headers=None):
        self._lines = []
        if headers is None:
            return
        if isinstance(headers, Headers):
            headers = (<Headers> headers)._all()
        elif hasattr(headers, "items"):
            headers = headers.items()
        for name, value in headers:
            self._change(ADD, name, value)

    cdef list _read(self, object name):
        if not isinstance(name, str):
            raise TypeError(f"a header name is a str, not {type(name).__name__}")
        wanted = name.lower()
        return [value for known, value in self._lines if known == wanted]

    cdef list _all(self):
        return list(self._lines)

    cdef int _change(self, unsigned int kind, object name, object value) except -1:
        cdef Text name_text, value_text
        cdef char problem[PROBLEM]
        cdef size_t size
        keep_name = lend(name, "name", &name_text)
        keep_value = lend(value, "value", &value_text)
        size = api.check(name_text, value_text, lend_buffer(problem, PROBLEM))
        if size:
            refuse(name, problem, size)
        wanted = name.lower()
        if kind != ADD:
            self._lines = [line for line in self._lines if line[0] != wanted]
        if kind != REMOVE:
            self._lines.append((wanted, value))
        return 0

    def __getitem__(self, name):
        cdef list values = self._read(name)
        if not values:
            raise KeyError(name)
        return join(name, values)

    def __setitem__(self, name, value):
        self._change(SET, name, value)

    def __delitem__(self, name):
        if not self._read(name):
            raise KeyError(name)
        self._change(REMOVE, name, "")

    def __contains__(self, name):
        return isinstance(name, str) and bool(self._read(name))

    def __iter__(self):
        return iter(self.keys())

    def __len__(self):
        return len(self.keys())

    def __eq__(self, other):
        if not isinstance(other, Headers):
            return NotImplemented
        return self._all() == (<Headers> other)._all()

    __hash__ = None

    def __repr__(self):
        return f"{type(self).__name__}({self._all()!r})"

    def get(self, name, default=None):
        """All values of a header joined, or `default`."""
        cdef list values = self._read(name)
        return join(name, values) if values else default

    def get_all(self, name):
        """Every value of a header, in order."""
        return self._read(name)

    def add(self, name, value):
        """Adds a field line beside those that are there."""
        self._change(ADD, name, value)

    def remove(self, name):
        """Removes every field line of that name; none is no error."""
        self._change(REMOVE, name, "")

    def keys(self):
        """Every name once, in lower case, in order."""
        return list(dict.fromkeys([name for name, _ in self._all()]))

    def values(self):
        """For every name its values, joined."""
        return [value for _, value in self.items()]

    def items(self):
        """Every name with its values, joined."""
        cdef dict found = {}
        for name, value in self._all():
            found.setdefault(name, []).append(value)
        return [(name, join(name, values)) for name, values in found.items()]

    def lines(self):
        """Every field line as (name, value), in order."""
        return self._all()


cdef Job *check_live(Job *job) except NULL:
    if job is NULL:
        raise RuntimeError("this request was used after its hook had returned: copy what you need inside the hook")
    return job


@cython.final
cdef class RequestHeaders(Headers):
    """The headers of a request as the next hook and the upstream will see them."""

    def __init__(self):
        raise TypeError("request headers come from the gateway; make a Headers instead")

    cdef list _read(self, object name):
        cdef Text text
        cdef Job *job = check_live(self._job)
        keep = lend(name, "name", &text)
        return read_values(job, text)

    cdef list _all(self):
        return read_pairs(check_live(self._job), api.fields, False)

    cdef int _change(self, unsigned int kind, object name, object value) except -1:
        cdef Text name_text, value_text
        cdef char problem[PROBLEM]
        cdef size_t size
        cdef Job *job = check_live(self._job)
        keep_name = lend(name, "name", &name_text)
        keep_value = lend(value, "value", &value_text)
        size = api.edit(job, kind, name_text, value_text, lend_buffer(problem, PROBLEM))
        if size:
            refuse(name, problem, size)
        return 0


include "_identity.pxi"


@cython.final
@cython.freelist(64)
cdef class Request:
    """A request on its way to the upstream, as the gateway understood it.

    It is a view of the engine's memory: DANGER, it ends when the hooks of its request have returned; used later, or
    from a task or thread that outlives them, it raises `RuntimeError`. Only the headers can be changed.
    """

    def __init__(self):
        raise TypeError("requests come from the gateway")

    cdef Job *_live(self) except NULL:
        return check_live(self._job)

    cdef object _text(self, unsigned int part):
        cdef Text text
        if not api.text(self._live(), part, &text):
            return None
        return decode(text)

    cdef void _end(self) noexcept:
        self._job = NULL
        if self._headers is not None:
            self._headers._job = NULL
        if self._identity is not None:
            self._identity._job = NULL

    @property
    def method(self):
        """As received: methods are case-sensitive (RFC 9110 §9.1)."""
        return self._text(METHOD)

    @property
    def path(self):
        """The canonical path that routes and policies decide on: decoded once, runs of `/` merged, `;…` cut."""
        cdef Text text
        api.text(self._live(), PATH, &text)
        return PyUnicode_DecodeUTF8(text.data, text.len, "replace")

    @property
    def raw_path(self):
        """The path as received."""
        return self._text(RAW_PATH)

    @property
    def query(self):
        """As received, without the `?`; `None` where there is none."""
        return self._text(QUERY)

    @property
    def host(self):
        """Canonical: lower case, no port, no trailing dot; empty where an HTTP/1.0 client sent none."""
        return self._text(HOST)

    @property
    def route(self):
        """The name of the route."""
        cdef Text text
        api.text(self._live(), ROUTE, &text)
        return PyUnicode_DecodeUTF8(text.data, text.len, "replace")

    @property
    def request_id(self):
        """The id that goes upstream and into the answer."""
        return self._text(REQUEST_ID)

    @property
    def client(self):
        """The client's address, behind trusted proxies too; `None` on a Unix socket."""
        cdef char text[64]
        cdef size_t size = api.client(self._live(), lend_buffer(text, 64))
        return PyUnicode_DecodeLatin1(text, size, NULL) if size else None

    @property
    def params(self):
        """What the route's pattern captured, by name; canonical values."""
        if self._params is None:
            self._params = dict(read_pairs(self._live(), api.params, True))
        return self._params

    @property
    def identity(self):
        """Who is asking; `None` on a route without authentication."""
        cdef Identity identity
        cdef Text text
        cdef Job *job = self._live()
        if self._identity is None:
            if not api.text(job, PROOF, &text):
                return None
            identity = Identity.__new__(Identity)
            identity._job = job
            self._identity = identity
        return self._identity

    @property
    def claims(self):
        """The claims of the identity; empty where nothing was claimed, as on a route without authentication."""
        identity = self.identity
        return NO_CLAIMS if identity is None else identity.claims

    @property
    def tenant(self):
        """Whose tenant's request it is, as the policy `tenant` or the identity says; `None` where nobody does."""
        cdef Text text
        return decode_utf8(text) if api.text(self._live(), TENANT, &text) else None

    @property
    def headers(self):
        """The headers; changes go upstream."""
        cdef RequestHeaders headers
        self._live()
        if self._headers is None:
            headers = RequestHeaders.__new__(RequestHeaders)
            headers._job = self._job
            self._headers = headers
        return self._headers

    def __repr__(self):
        if self._job is NULL:
            return "<Request (over)>"
        return f"<Request {self.method} {self.path} on route {self.route!r}>"


@cython.final
cdef class Response:
    """An answer that the gateway gives itself, in place of the upstream.

    Args:
        status: 200-599.
        headers: A mapping, pairs or `Headers`; the gateway frames its answers itself.
        body: Content; a str is written as UTF-8. 204 and 304 have none (RFC 9110 §6.4.1).

    Raises:
        ValueError: a status, header or body that cannot be sent.
    """

    def __init__(self, status=200, headers=None, body=b""):
        if not isinstance(status, int) or not 200 <= status <= 599:
            raise ValueError(f"status is {status!r}: it must be a number from 200 to 599")
        if isinstance(body, str):
            body = body.encode()
        elif not isinstance(body, (bytes, bytearray, memoryview)):
            raise TypeError(f"body is {type(body).__name__}: it must be bytes or str")
        if body and status in (204, 304):
            raise ValueError(f"an answer with status {status} has no body")
        self.status = status
        self.headers = Headers(headers)
        self.body = bytes(body)

    @staticmethod
    def text(content, status=200, headers=None):
        """An answer of plain text."""
        return with_type("text/plain; charset=utf-8", str(content).encode(), status, headers)

    @staticmethod
    def json(content, status=200, headers=None):
        """An answer of JSON. Raises `TypeError` or `ValueError` for what JSON cannot say (NaN, for one)."""
        import json
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return with_type("application/json", text.encode(), status, headers)

    def __repr__(self):
        return f"<Response {self.status}, {len(self.body)} bytes>"

    cdef int _send(self, Job *job) except -1:
        cdef Text name_text, value_text
        name_text.data = PyBytes_AS_STRING(self.body)
        name_text.len = PyBytes_GET_SIZE(self.body)
        api.answer(job, self.status, name_text)
        for name, value in self.headers._lines:
            keep_name = lend(name, "name", &name_text)
            keep_value = lend(value, "value", &value_text)
            api.answer_field(job, name_text, value_text)
        return 0


cdef Response with_type(str content_type, bytes body, object status, object headers):
    cdef Response response = Response(status, headers, body)
    if not response.headers._read("content-type"):
        response.headers._change(SET, "content-type", content_type)
    return response


# Executors that the end of the process has to stop.
_running = weakref.WeakSet()


def _stop_all():
    for executor in list(_running):
        executor.stop()


# Before the interpreter goes: a daemon thread that comes back to a finalised interpreter is never seen again.
threading._register_atexit(_stop_all)


@cython.final
cdef class Executor:
    """The one thread that runs synchronous hooks, in batches, for the engine behind `host`.

    Args:
        host: A `fastgate._engine.Host`, shared with the engine.
        hooks: For every route's name its hooks, in the order they run.
    """

    def __init__(self, host, hooks=None):
        self._host = host
        self._queue = <Queue *> <size_t> host._address()
        self._process = os.getpid()
        self._thread = None
        self.set_hooks(hooks or {})

    def set_hooks(self, hooks):
        """Swaps all hooks at once; a batch under way keeps the old ones."""
        self._hooks = {str(route): tuple(chain) for route, chain in hooks.items()}

    def start(self):
        """Starts the thread. Raises `RuntimeError` when it was started before."""
        if self._thread is not None:
            raise RuntimeError("this executor was started before")
        thread = threading.Thread(target=self._run, name="fastgate-hooks", daemon=True)
        thread.start()
        self._thread = thread
        _running.add(self)

    def stop(self, timeout=5.0):
        """Fails what waits, ends the thread and returns whether it ended within `timeout` seconds.

        A hook that does not return cannot be interrupted: then the answer is False. In a forked process there is no
        thread, and nothing is done.
        """
        if os.getpid() != self._process:
            return True
        self._host.close()
        _running.discard(self)
        if self._thread is None:
            return True
        if self._thread is threading.current_thread():
            return False
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self):
        cdef Job *jobs[BATCH]
        cdef Py_ssize_t i, count = 0
        cdef Text name, last
        cdef str route = ""
        cdef tuple chain = ()
        cdef dict hooks
        while True:
            with nogil:
                api.finish(jobs, count)
                count = api.next(self._queue, jobs, BATCH)
            if count < 0:
                return
            hooks = self._hooks
            last = no_text()
            for i in range(count):
                api.text(jobs[i], ROUTE, &name)
                # Jobs of one batch are alive together, so the same place is the same name.
                if name.data != last.data or name.len != last.len:
                    last = name
                    try:
                        route = PyUnicode_DecodeUTF8(name.data, name.len, "replace")
                        chain = hooks.get(route, ())
                    except BaseException:
                        api.fail(jobs[i])
                        last = no_text()
                        continue
                self._decide(jobs[i], route, chain)
            try:
                self._write_log()
            except BaseException:
                # A handler of the user's logging failed; the requests of this batch must still be answered.
                pass

    cdef void _decide(self, Job *job, str route, tuple hooks) noexcept:
        """Runs the hooks of one request until one answers; any failure is that request's alone."""
        cdef Request request = Request.__new__(Request)
        hook = None
        request._job = job
        try:
            for hook in hooks:
                result = hook(request)
                if result is None:
                    continue
                if not isinstance(result, Response):
                    refuse_result(result)
                (<Response> result)._send(job)
                break
        except BaseException as error:
            api.fail(job)
            report(hook, route, request, error)
        finally:
            request._end()

    cdef int _write_log(self) except -1:
        cdef char text[LINE]
        cdef uint32_t level = 0
        cdef Py_ssize_t size
        while True:
            size = api.line(self._queue, lend_buffer(text, LINE), &level)
            if size < 0:
                return 0
            log_line(<int> level, PyUnicode_DecodeUTF8(text, size, "replace"))


cdef int log_line(int level, str line) except -1:
    """Gives a line to logging: the sentence with its fields as text, and both apart for formatters that want them."""
    sentence, *parts = line.split("\x1f")
    fields = {}
    for part in parts:
        name, _, value = part.partition("=")
        fields[name] = value
    text = " ".join([sentence, *parts])
    ENGINE_LOG.log(level, "%s", text, extra={"fastgate": (sentence, fields)})
    return 0


cdef int refuse_result(object result) except -1:
    if hasattr(result, "close") and hasattr(result, "send"):
        result.close()
        raise TypeError("the hook returned a coroutine: hooks are synchronous in this version")
    raise TypeError(f"the hook returned {type(result).__name__}: it must return None (go on) or a Response")


cdef int report(object hook, str route, Request request, object error) noexcept:
    """Logs a failed hook; never raises, because the batch must go on."""
    try:
        name = f"{getattr(hook, '__module__', '?')}.{getattr(hook, '__qualname__', repr(hook))}"
        HOOK_LOG.error(
            "hook %s failed on route %s, request %s: answered 500", name, route, request.request_id, exc_info=error
        )
    except BaseException:
        pass
    return 0
