# Publishing to the hub from Python. Part of _core.pyx.

# The Channels that a forked child has to cut from its parent's engine.
_attached = weakref.WeakSet()


def _cut_off():
    for channels in list(_attached):
        (<Channels> channels)._forked()


os.register_at_fork(after_in_child=_cut_off)


cdef object refuse_publication(int64_t code, object published=0):
    from fastgate import errors
    if code == BUSY:
        raise errors.PublishBusyError("too many publications wait for delivery; try again later", published)
    if code == BAD_CHANNEL:
        raise errors.InvalidPublicationError("a channel's name has 1 to 255 bytes and no control characters")
    if code == TOO_LARGE:
        raise errors.InvalidPublicationError("a publication has at most 1048576 bytes")
    raise errors.PublishError("a fault of the gateway itself; its log says more", published)


cdef object lend_channel(object channel, Text *out):
    """Points `out` at the name; the str keeps it alive."""
    cdef Py_ssize_t size = 0
    if not isinstance(channel, str):
        raise TypeError(f"a channel is a str, not {type(channel).__name__}")
    try:
        out.data = PyUnicode_AsUTF8AndSize(channel, &size)
    except UnicodeEncodeError:  # half of a surrogate pair
        refuse_publication(BAD_CHANNEL)
    out.len = size
    return channel


cdef object lend_content(object content, Text *out):
    """Points `out` at the content and returns what keeps it alive."""
    cdef Py_ssize_t size = 0
    if isinstance(content, str):
        try:
            out.data = PyUnicode_AsUTF8AndSize(content, &size)
        except UnicodeEncodeError:
            from fastgate import errors
            raise errors.InvalidPublicationError("half of a surrogate pair cannot be sent as UTF-8") from None
        out.len = size
        return content
    if not isinstance(content, bytes):
        if not isinstance(content, (bytearray, memoryview)):
            raise TypeError(f"a publication is bytes or str, not {type(content).__name__}")
        content = bytes(content)
    out.data = PyBytes_AS_STRING(content)
    out.len = PyBytes_GET_SIZE(content)
    return content


@cython.final
cdef class Channels:
    """The channels of a gateway; usable from any thread, from hooks too, while the gateway runs.

    Publications of one thread reach the subscribers of a channel in order. Nothing here waits for a subscriber, and the
    interpreter's lock is never held while anything waits.
    """

    def _attach(self, engine):
        """Publishes to this engine from now on."""
        self._address = <const Running *> <size_t> engine._address()
        self._engine = engine
        self._problem = None
        _attached.add(self)

    def _detach(self, engine):
        """The engine ends; another one that took its place is left alone."""
        if self._engine is engine:
            self._address = NULL
            self._engine = None

    cdef _forked(self):
        # What belongs to the parent is never dropped here: its end would wait for the parent's threads.
        if self._address is not NULL:
            self._address = NULL
            self._problem = "this process was forked from the one whose gateway this is: start one of its own"

    cdef const Running *_live(self) except NULL:
        if self._address is NULL:
            from fastgate import errors
            raise errors.FastgateError(self._problem or "the gateway does not run: publish once it has started")
        return self._address

    def publish(self, channel, content, /):
        """Publishes to the subscribers of a channel.

        Args:
            channel: 1 to 255 bytes of UTF-8 without control characters.
            content: At most 1 MiB; a str is sent as UTF-8.

        Returns:
            How many subscribers of this process get it; 0 where there is none, or where Redis carries it.

        Raises:
            InvalidPublicationError: a name or content that cannot be published.
            PublishBusyError: too many publications wait.
            FastgateError: the gateway does not run.
        """
        cdef Text name, text
        cdef int64_t members
        cdef const Running *engine = self._live()
        keep_engine = self._engine
        lend_channel(channel, &name)
        keep = lend_content(content, &text)
        members = api.publish(engine, name, text, 0)
        if members == MAY_WAIT:
            with nogil:
                members = api.publish(engine, name, text, 1)
        if members < 0:
            refuse_publication(members)
        return members

    def publish_many(self, publications, /):
        """Publishes (channel, content) pairs in turn, cheaper than one by one.

        Returns:
            For each what `publish` returns.

        Raises:
            InvalidPublicationError: one of them cannot be published; nobody got anything.
            PublishBusyError: too many wait; `published` says how many went out before.
            FastgateError: the gateway does not run.
        """
        cdef list items = list(publications), keep = []
        cdef Py_ssize_t i, count = len(items)
        cdef size_t done
        cdef Pair *pairs
        cdef int64_t *results
        cdef const Running *engine = self._live()
        keep_engine = self._engine
        pairs = <Pair *> malloc((count + 1) * sizeof(Pair))
        results = <int64_t *> malloc((count + 1) * sizeof(int64_t))
        try:
            if pairs is NULL or results is NULL:
                raise MemoryError
            for i in range(count):
                item = items[i]
                if not isinstance(item, tuple) or len(<tuple> item) != 2:
                    raise TypeError(f"publications[{i}] must be a tuple of a channel and its content")
                lend_channel((<tuple> item)[0], &pairs[i].name)
                content = lend_content((<tuple> item)[1], &pairs[i].value)
                if content is not (<tuple> item)[1]:
                    keep.append(content)
            with nogil:
                done = api.publish_many(engine, pairs, count, results)
            if done < <size_t> count:
                refuse_publication(results[done], done)
            return [results[i] for i in range(count)]
        finally:
            free(pairs)
            free(results)

    def __repr__(self):
        return "<Channels of a gateway that runs>" if self._address is not NULL else "<Channels>"
