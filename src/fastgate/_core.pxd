# Layouts of the hot Python classes; the code is in _core.pyx, the types in _core.pyi.
cimport cython

from fastgate._engine_api cimport Job, Queue, Running


cdef class Headers:
    cdef list _lines
    cdef list _read(self, object name)
    cdef list _all(self)
    cdef int _change(self, unsigned int kind, object name, object value) except -1


@cython.final
cdef class RequestHeaders(Headers):
    cdef Job *_job


@cython.final
cdef class Identity:
    cdef Job *_job
    cdef object _claims
    cdef object _text(self, unsigned int part)
    cdef tuple _names(self, unsigned int kind)


@cython.final
cdef class Request:
    cdef Job *_job
    cdef RequestHeaders _headers
    cdef Identity _identity
    cdef dict _params
    cdef Job *_live(self) except NULL
    cdef object _text(self, unsigned int part)
    cdef void _end(self) noexcept


@cython.final
cdef class Response:
    cdef readonly int status
    cdef readonly bytes body
    cdef readonly Headers headers
    cdef int _send(self, Job *job) except -1


@cython.final
cdef class Executor:
    cdef object __weakref__
    cdef object _host
    cdef object _thread
    cdef long _process
    cdef Queue *_queue
    cdef dict _hooks
    cdef void _decide(self, Job *job, str route, tuple hooks) noexcept
    cdef int _write_log(self) except -1


@cython.final
cdef class Channels:
    cdef object __weakref__
    cdef object _engine
    cdef str _problem
    cdef const Running *_address
    cdef _forked(self)
    cdef const Running *_live(self) except NULL
