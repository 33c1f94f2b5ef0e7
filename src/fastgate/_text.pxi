# Text across the C table: borrowed bytes into str, and str lent to the engine. Part of _core.pyx.

cdef inline Buffer lend_buffer(char *data, size_t capacity) noexcept:
    cdef Buffer buffer
    buffer.data = data
    buffer.capacity = capacity
    return buffer


cdef inline Text no_text() noexcept:
    cdef Text text
    text.data = NULL
    text.len = 0
    return text


cdef object decode(Text text):
    """Each byte one character, so that nothing is lost."""
    return PyUnicode_DecodeLatin1(text.data, text.len, NULL)


cdef object decode_utf8(Text text):
    return PyUnicode_DecodeUTF8(text.data, text.len, "replace")


cdef object lend(object text, str what, Text *out):
    """Points `out` at the bytes of a str and returns what keeps them alive."""
    cdef Py_ssize_t size = 0
    cdef bytes encoded
    if not isinstance(text, str):
        raise TypeError(f"a header {what} is a str, not {type(text).__name__}")
    if PyUnicode_IS_ASCII(text):
        out.data = PyUnicode_AsUTF8AndSize(text, &size)
        out.len = size
        return text
    try:
        encoded = text.encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"a header {what} has ISO-8859-1 characters only: {text!r}") from None
    out.data = PyBytes_AS_STRING(encoded)
    out.len = PyBytes_GET_SIZE(encoded)
    return encoded


cdef int refuse(object name, const char *problem, size_t size) except -1:
    sentence = PyUnicode_DecodeUTF8(problem, size, "replace")
    raise ValueError(f"header {name!r}: {sentence}")


cdef list read_values(const Job *job, Text name):
    """Every value a request header has now."""
    cdef Text few[FEW]
    cdef Text *found = few
    cdef size_t i, count = api.values(job, name, few, FEW)
    if count > FEW:
        found = <Text *> malloc(count * sizeof(Text))
        if found is NULL:
            raise MemoryError
    try:
        if count > FEW:
            api.values(job, name, found, count)
        return [decode(found[i]) for i in range(count)]
    finally:
        if found is not few:
            free(found)


ctypedef size_t (*PairReader)(const Job *job, Pair *out, size_t max) noexcept nogil


cdef list read_pairs(const Job *job, PairReader read, bint utf8):
    """Every name and value that `read` finds."""
    cdef Pair few[FEW]
    cdef Pair *found = few
    cdef size_t i, count = read(job, few, FEW)
    cdef list pairs = []
    if count > FEW:
        found = <Pair *> malloc(count * sizeof(Pair))
        if found is NULL:
            raise MemoryError
    try:
        if count > FEW:
            read(job, found, count)
        for i in range(count):
            if utf8:
                value = PyUnicode_DecodeUTF8(found[i].value.data, found[i].value.len, "replace")
                pairs.append((PyUnicode_DecodeUTF8(found[i].name.data, found[i].name.len, "replace"), value))
            else:
                pairs.append((decode(found[i].name).lower(), decode(found[i].value)))
        return pairs
    finally:
        if found is not few:
            free(found)


cdef str join(str name, list values):
    if len(values) == 1:
        return values[0]
    return ("; " if name.lower() == "cookie" else ", ").join(values)
