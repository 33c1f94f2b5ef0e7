# Who is asking, as a hook sees it. Part of _core.pyx.

@cython.final
@cython.freelist(64)
cdef class Identity:
    """Who a request comes from, as the policy `auth` of its route found out.

    A view like `Request`: nothing is read before it is asked for, and after the hooks of its request it raises
    `RuntimeError`. What it gave stays: texts, tuples and claims are copies.
    """

    def __init__(self):
        raise TypeError("identities come from the gateway")

    cdef object _text(self, unsigned int part):
        cdef Text text
        return decode_utf8(text) if api.text(check_live(self._job), part, &text) else None

    cdef tuple _names(self, unsigned int kind):
        cdef Text few[FEW]
        cdef Text *found = few
        cdef Job *job = check_live(self._job)
        cdef size_t i, count = api.names(job, kind, few, FEW)
        if count > FEW:
            found = <Text *> malloc(count * sizeof(Text))
            if found is NULL:
                raise MemoryError
        try:
            if count > FEW:
                api.names(job, kind, found, count)
            return tuple([decode_utf8(found[i]) for i in range(count)])
        finally:
            if found is not few:
                free(found)

    @property
    def method(self):
        """How it was proved: `jwt`, `api_key`, `basic`, `signature`, `mtls`, `introspection`, `ext_auth`, `anonymous`."""
        return self._text(PROOF)

    @property
    def is_anonymous(self):
        """Whether no credential was shown, on a route whose `auth` has `anonymous`."""
        return self._text(PROOF) == "anonymous"

    @property
    def subject(self):
        """Who it is, in the words of whoever vouches for it; `None` where nobody does."""
        return self._text(SUBJECT)

    @property
    def consumer(self):
        """The name of the consumer of the config that it is; `None` where it is none."""
        return self._text(CONSUMER)

    @property
    def key(self):
        """The name of its API key; `None` where it came without one."""
        return self._text(API_KEY)

    @property
    def tenant(self):
        """The request's tenant; `None` where nobody says."""
        return self._text(TENANT)

    @property
    def roles(self):
        """Its roles."""
        return self._names(ROLES)

    @property
    def groups(self):
        """Its groups: the claims' and the consumer's."""
        return self._names(GROUPS)

    @property
    def scopes(self):
        """Its scopes."""
        return self._names(SCOPES)

    @property
    def claims(self):
        """What its token claims, by name: a mapping that cannot be changed; empty where nothing was claimed."""
        cdef Text text
        cdef Job *job = check_live(self._job)
        if self._claims is None:
            if api.text(job, CLAIMS, &text):
                import json
                self._claims = types.MappingProxyType(json.loads(decode_utf8(text)))
            else:
                self._claims = NO_CLAIMS
        return self._claims

    def __repr__(self):
        if self._job is NULL:
            return "<Identity (over)>"
        return f"<Identity {self.method}, subject {self.subject!r}, consumer {self.consumer!r}>"
