"""S9 and the framing that passes: a body has its exact length and is never a second request (RFC 9110 §9.3)."""

from conformance.cases import SMUGGLED, Forwarded, Passed, post


def _with_body(method: bytes) -> list[Passed]:
    name = method.decode().lower()
    length = b"%d" % len(SMUGGLED)
    head = method + b" /body HTTP/1.1\r\nHost: example.test\r\n"
    seen = (Forwarded(b"/body", method, SMUGGLED),)
    return [
        Passed(f"S9-{name}-cl", head + b"Content-Length: " + length + b"\r\n\r\n" + SMUGGLED, seen, (400,)),
        Passed(
            f"S9-{name}-chunked",
            head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED),
            seen,
            (400,),
        ),
        Passed(f"S9-{name}-cl-0", head + b"Content-Length: 0\r\n\r\n", (Forwarded(b"/body", method, b""),)),
    ]


CASES = [
    *(case for method in (b"GET", b"HEAD", b"OPTIONS", b"DELETE") for case in _with_body(method)),
    *(
        Passed(
            f"S9-{method.decode().lower()}-body",
            method + b" /body HTTP/1.1\r\nHost: example.test\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED,
            (Forwarded(b"/body", method, SMUGGLED),),
        )
        for method in (b"POST", b"PUT", b"PATCH")
    ),
    Passed(  # CL.0: no framing at all is no body, and what follows is a request of its own
        "S9-post-no-framing",
        post(target=b"/one") + b"GET /two HTTP/1.1\r\nHost: example.test\r\n\r\n",
        (Forwarded(b"/one", b"POST"), Forwarded(b"/two")),
        (411,),
    ),
    Passed(
        "S9-crlf-after-body",
        post(b"Content-Length: 5", body=b"hello\r\n"),  # old clients add one: not part of the body
        (Forwarded(b"/", b"POST", b"hello"),),
    ),
]
