"""D2 and the limits table: what is too long or too many has its own status, and what just fits passes."""

# ruff: noqa: E501 - a table reads best with one case a line, and some cases are about foreign digits

from conformance.cases import Forwarded, Passed, Refused, get

_REST = len(get(b"/", b"X-Pad: "))


def _lines(count: int) -> list[bytes]:
    return [b"X-%d: %d" % (i, i) for i in range(count)]


def _head_of(size: int) -> bytes:
    """A request head of exactly `size` bytes in many fields."""
    lines = [b"X-%d: %s" % (i, b"v" * 4000) for i in range((size - 300) // 4010)]
    rest = size - len(get(b"/", *lines, b"X-Pad: "))
    return get(b"/", *lines, b"X-Pad: " + b"p" * rest)


def _target_of(size: int) -> bytes:
    return b"/" + b"t" * (size - 1)


_TOO_LONG = (431,)
CASES = [
    Refused("D2-10000-fields", get(b"/", *_lines(10_000)), _TOO_LONG),
    Refused("D2-101-fields", get(b"/", *_lines(100)), _TOO_LONG),
    Refused("D2-64-kib-value", get(b"/", b"X-A: " + b"a" * 65536), _TOO_LONG),
    Refused("D2-64-kib-name", get(b"/", b"a" * 65536 + b": b"), _TOO_LONG),
    Refused("D2-64-kib-no-line-end", b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 65536, _TOO_LONG),
    Refused("D2-1000-cookie-lines", get(b"/", *[b"Cookie: a=b"] * 1000), _TOO_LONG),
    Refused("D2-1000-cookies-long", get(b"/", b"Cookie: " + b"; ".join(b"cookie%04d=%s" % (i, b"v" * 32) for i in range(1000))), _TOO_LONG),
    Refused("D2-empty-names", get(b"/", *[b"A:"] * 5000), _TOO_LONG),
    Refused("D2-32-kib-plus-one", _head_of(32 * 1024 + 1), _TOO_LONG),
    Refused("D2-uri-8-kib-plus-one", get(_target_of(8 * 1024 + 1)), (414,)),
    Refused("D2-uri-64-kib", get(_target_of(64 * 1024)), (414,)),
    Refused("D2-uri-no-end", b"GET " + _target_of(16 * 1024), (414,)),
    Refused("D2-uri-query", get(b"/?" + b"q" * 8 * 1024), (414,)),
    Refused("D2-method-no-end", b"A" * 70000, (400, 405, 414, 431, 501)),
    Passed("D2-100-fields", get(b"/", *_lines(99)), (Forwarded(fields=((b"X-98", b"98"),)),)),
    Passed("D2-32-kib", _head_of(32 * 1024), (Forwarded(),)),
    Passed("D2-uri-8-kib", get(_target_of(8 * 1024)), (Forwarded(_target_of(8 * 1024)),)),
    Passed("D2-1000-pairs-in-a-line", get(b"/", b"Cookie: " + b"; ".join(b"c%d=v" % i for i in range(1000))), (Forwarded(),)),
]  # fmt: skip
