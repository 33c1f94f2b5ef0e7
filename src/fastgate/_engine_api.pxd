# The engine's table of C functions as Cython sees it: the one declaration beside rust_ext/py/src/capi.rs, which says what
# each function does, who owns what and what is borrowed. `ABI` goes up with every change, on both sides.
from libc.stdint cimport int64_t, uint32_t

cdef enum:
    ABI = 3

cdef enum Part:
    METHOD = 0
    PATH = 1
    RAW_PATH = 2
    QUERY = 3
    HOST = 4
    ROUTE = 5
    REQUEST_ID = 6
    TENANT = 7
    PROOF = 8
    SUBJECT = 9
    CONSUMER = 10
    API_KEY = 11
    CLAIMS = 12

cdef enum Names:
    ROLES = 0
    GROUPS = 1
    SCOPES = 2

cdef enum Kind:
    SET = 0
    ADD = 1
    REMOVE = 2

cdef enum Refusal:
    BAD_CHANNEL = -1
    TOO_LARGE = -2
    BUSY = -3
    MAY_WAIT = -4

# Never looked into from here.
ctypedef struct Running:
    char unused

ctypedef struct Job:
    char unused

ctypedef struct Queue:
    char unused

ctypedef struct Text:
    const char *data
    size_t len

ctypedef struct Pair:
    Text name
    Text value

ctypedef struct Buffer:
    char *data
    size_t capacity

ctypedef struct EngineApi:
    uint32_t abi
    uint32_t size
    # The executor's side; `next` blocks.
    Py_ssize_t (*next)(const Queue *queue, Job **jobs, size_t max) noexcept nogil
    void (*finish)(Job **jobs, size_t count) noexcept nogil
    Py_ssize_t (*line)(const Queue *queue, Buffer buffer, uint32_t *level) noexcept nogil
    # Reading a request; what they point to lives until `finish`.
    uint32_t (*text)(const Job *job, uint32_t part, Text *out) noexcept nogil
    size_t (*client)(const Job *job, Buffer buffer) noexcept nogil
    size_t (*values)(const Job *job, Text name, Text *out, size_t max) noexcept nogil
    size_t (*fields)(const Job *job, Pair *out, size_t max) noexcept nogil
    size_t (*names)(const Job *job, uint32_t kind, Text *out, size_t max) noexcept nogil
    size_t (*params)(const Job *job, Pair *out, size_t max) noexcept nogil
    # Deciding about it; what is passed in is copied.
    size_t (*edit)(Job *job, uint32_t kind, Text name, Text value, Buffer problem) noexcept nogil
    size_t (*check)(Text name, Text value, Buffer problem) noexcept nogil
    void (*answer)(Job *job, uint32_t status, Text body) noexcept nogil
    void (*answer_field)(Job *job, Text name, Text value) noexcept nogil
    void (*fail)(Job *job) noexcept nogil
    # Publishing; with `may_wait`, and for many, without the GIL.
    int64_t (*publish)(const Running *engine, Text channel, Text content, uint32_t may_wait) noexcept nogil
    size_t (*publish_many)(const Running *engine, const Pair *publications, size_t count, int64_t *results) noexcept nogil
