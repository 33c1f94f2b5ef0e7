"""Static files over real sockets: what is found, what is refused, conditions, ranges and variants."""

from __future__ import annotations

import gzip
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Client, Gateway, snapshot
from harness.client import Response
from harness.gateway import Json, match, refused, respond, route, static
from harness.requests import get, post, request

pytestmark = pytest.mark.usefixtures("engine")

OLD = 1_000_000_000  # Sun, 09 Sep 2001 01:46:40 GMT
OLD_DATE = b"Sun, 09 Sep 2001 01:46:40 GMT"
TEXT = b"0123456789" * 10
SECRET = b"SECRET: outside of the root"


def put(path: Path, content: bytes, when: int = OLD) -> Path:
    """A file with a time of its own."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (when, when))
    return path


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("static")
    put(base / "secret.txt", SECRET)
    root = base / "root"
    put(root / "index.html", b"<h1>top</h1>")
    put(root / "text.txt", TEXT)
    put(root / "empty.css", b"")
    put(root / "no-extension", b"?")
    put(root / "name with ü.txt", b"unicode")
    put(root / "own.x-own", b"own")
    put(root / "docs" / "index.html", b"<h1>docs</h1>")
    put(root / "docs" / "page.html", b"<h1>page</h1>")
    (root / "bare").mkdir()
    put(root / ".env", SECRET)
    put(root / ".git" / "config", SECRET)
    put(root / ".well-known" / "security.txt", b"contact")
    put(root / "app.js", b"plain();" * 20)
    put(root / "app.js.br", b"brotli bytes")
    put(root / "app.js.gz", gzip.compress(b"plain();" * 20, mtime=0))
    put(root / "stale.js", b"new();", OLD + 10)
    put(root / "stale.js.br", b"old bytes")
    put(root / "only.js.br", b"no plain file beside")
    (root / "link-in").symlink_to("docs/page.html")
    (root / "link-folder").symlink_to("docs")
    (root / "link-out").symlink_to("../secret.txt")
    (root / "link-absolute").symlink_to(base / "secret.txt")
    (root / "link-up").symlink_to("..")
    (root / "link-loop").symlink_to("link-loop")
    (root / "docs" / "round").symlink_to("../docs/page.html")
    put(root / "unreadable.txt", b"locked").chmod(0)
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(root / "socket"))
    return root


def files(root: Path, **changes: Json) -> Json:
    """A snapshot with the folder at /f and, with variants and a policy, at /v."""
    variants = static(
        root, precompressed=["br", "gzip"], cache_control="max-age=60", types={"x-own": "text/x-own"}, **changes
    )
    return snapshot(
        routes=[
            route("files", static(root, **changes), match(prefix="/f")),
            route("variants", variants, match(prefix="/v"), response_headers={"set": [["X-Set", "yes"]]}),
            route("one", static(root, **changes), match(path="/docs/page.html")),
            route("rest", static(root, **changes), match(path="/t/{rest:path}")),
            route("ping", respond(200, "pong"), match(path="/ping")),
        ]
    )


@pytest.fixture(scope="module", params=["auto", "threads"])
def gateway(root: Path, request: pytest.FixtureRequest) -> Iterator[Gateway]:
    with Gateway(files(root, reads=request.param)) as running:
        yield running


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Client]:
    with gateway.client() as client:
        yield client
        # Whatever the answer was, the connection carries the next request.
        assert client.exchange(get(b"/ping")).body == b"pong"


@pytest.mark.parametrize(
    ("target", "content", "media_type"),
    [
        (b"/f/text.txt", TEXT, b"text/plain; charset=utf-8"),
        (b"/f/empty.css", b"", b"text/css; charset=utf-8"),
        (b"/f/no-extension", b"?", b"application/octet-stream"),
        (b"/f/name%20with%20%C3%BC.txt", b"unicode", b"text/plain; charset=utf-8"),
        (b"/f/", b"<h1>top</h1>", b"text/html; charset=utf-8"),
        (b"/f/docs/", b"<h1>docs</h1>", b"text/html; charset=utf-8"),
        (b"/f//docs//page.html", b"<h1>page</h1>", b"text/html; charset=utf-8"),
        (b"/f/docs/page.html;v=1?a=b", b"<h1>page</h1>", b"text/html; charset=utf-8"),
        (b"/f/.well-known/security.txt", b"contact", b"text/plain; charset=utf-8"),
        (b"/f/link-in", b"<h1>page</h1>", b"application/octet-stream"),
        (b"/f/link-folder/page.html", b"<h1>page</h1>", b"text/html; charset=utf-8"),
        (b"/f/docs/round", b"<h1>page</h1>", b"application/octet-stream"),
        (b"/v/own.x-own", b"own", b"text/x-own"),
        (b"/docs/page.html", b"<h1>page</h1>", b"text/html; charset=utf-8"),
        (b"/t/docs/page.html", b"<h1>page</h1>", b"text/html; charset=utf-8"),
    ],
)
def test_a_file_is_served_with_its_type_and_validators(
    client: Client, target: bytes, content: bytes, media_type: bytes
) -> None:
    answer = client.exchange(get(target))
    assert (answer.status, answer.body) == (200, content)
    assert answer.get("content-type") == media_type
    assert answer.get("content-length") == b"%d" % len(content)
    assert answer.get("x-content-type-options") == b"nosniff"
    assert answer.get("accept-ranges") == b"bytes"
    assert answer.get("last-modified") == OLD_DATE
    assert (answer.get("etag") or b"").startswith(b'"')
    assert answer.get("date")
    assert answer.get("x-request-id")
    head = client.exchange(request(b"HEAD", target), "HEAD")
    assert same(head) == same(answer)
    assert not head.body


def same(answer: Response) -> list[tuple[bytes, bytes]]:
    """Status and fields, without those that differ from request to request."""
    fields = [(name.lower(), value) for name, value in answer.fields if name.lower() not in (b"date", b"x-request-id")]
    return [(b"", b"%d" % answer.status), *fields]


TRAVERSAL = [
    b"/f/../secret.txt", b"/f/docs/../../secret.txt", b"/f/%2e%2e/secret.txt", b"/f/.%2e/secret.txt",
    b"/f/%2E%2E%2fsecret.txt", b"/f/..%2fsecret.txt", b"/f/..%5csecret.txt", b"/f/..\\secret.txt",
    b"/f/%252e%252e/secret.txt", b"/f/%252e%252e%252fsecret.txt", b"/f/..;/secret.txt", b"/f/..;x=y/secret.txt",
    b"/f/%c0%ae%c0%ae/secret.txt", b"/f/%uff0e%uff0e/secret.txt", b"/f/\xef\xbc\x8e\xef\xbc\x8e/secret.txt",
    b"/f/secret.txt", b"/f//etc/passwd", b"/f/%2fetc/passwd", b"/f/text.txt%00.html", b"/f/text.txt%00",
    b"/f/.../secret.txt", b"/f/. ./secret.txt", b"/f/link-out", b"/f/link-absolute", b"/f/link-up/secret.txt",
    b"/f/link-up/root/text.txt", b"/f/link-loop", b"/f/.env", b"/f/.git/config", b"/f/.git/", b"/f/docs/.hidden",
    b"/f/%2eenv", b"/f/.%65nv", b"/f/fifo", b"/f/socket", b"/f/bare/", b"/f/missing", b"/f/missing/",
    b"/f/text.txt/", b"/f/text.txt/x", b"/f/only.js", b"/f/" + b"x" * 300, b"/f/" + b"x/" * 2100 + b"y",
    b"/f/TEXT.TXT", b"/f/text.txt.", b"/f/text.txt%20", b"/f/CON", b"/f/text.txt::$DATA", b"/f/~root/",
    b"/fsecret.txt", b"/t/../../secret.txt", b"/t/%2e%2e/secret.txt", b"/t/.env",
]  # fmt: skip


@pytest.mark.parametrize("target", TRAVERSAL)
def test_nothing_else_is_reached(gateway: Gateway, target: bytes) -> None:
    with gateway.client() as client:
        answer = client.exchange(get(target))
        assert answer.status in (400, 404), answer
        assert SECRET not in answer.body
        assert b"root:" not in answer.body
        assert answer.from_gateway


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_not_found(client: Client) -> None:
    assert client.exchange(get(b"/f/unreadable.txt")).status == 404


@pytest.mark.parametrize(
    ("target", "location"),
    [
        (b"/f", b"/f/"),
        (b"/f/docs", b"/f/docs/"),
        (b"/f/docs?a=b", b"/f/docs/?a=b"),
        (b"//f/docs", b"/f/docs/"),
        (b"/f/link-folder", b"/f/link-folder/"),
    ],
)
def test_a_folder_leads_to_its_slash(client: Client, target: bytes, location: bytes) -> None:
    answer = client.exchange(get(target))
    assert (answer.status, answer.get("location")) == (308, location)
    assert answer.body == b""


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"])
def test_other_methods_are_405(client: Client, method: bytes) -> None:
    answer = client.exchange(request(method, b"/f/text.txt", b"Content-Length: 2", body=b"hi"))
    assert (answer.status, answer.get("allow")) == (405, b"GET, HEAD")


def test_a_get_with_a_body_is_served_and_the_body_is_no_request(client: Client) -> None:
    body = get(b"/f/secret")
    answer = client.exchange(request(b"GET", b"/f/text.txt", b"Content-Length: %d" % len(body), body=body))
    assert (answer.status, answer.body) == (200, TEXT)


def test_requests_in_one_piece_are_answered_in_order(client: Client) -> None:
    targets = [b"/f/text.txt", b"/f/missing", b"/f/docs", b"/f/docs/", b"/v/app.js", b"/f/text.txt"]
    answers = client.exchanges(b"".join(get(target) for target in targets), ["GET"] * len(targets))
    assert [a.status for a in answers] == [200, 404, 308, 200, 200, 200]
    assert answers[0].body == answers[5].body == TEXT
    mixed = request(b"HEAD", b"/f/text.txt") + get(b"/f/text.txt", b"Range: bytes=1-2") + post(b"x", b"/f/text.txt")
    assert [a.body for a in client.exchanges(mixed, ["HEAD", "GET", "POST"])][:2] == [b"", b"12"]


def test_http_1_0_and_close(gateway: Gateway) -> None:
    for line in (get(b"/f/text.txt", minor=0), get(b"/f/text.txt", b"Connection: close")):
        with gateway.client() as client:
            answer = client.exchange(line)
            assert answer.body == TEXT
            assert answer.get("connection") == b"close"
            assert client.closed()


@pytest.mark.parametrize(
    ("value", "status", "body", "content_range"),
    [
        (b"bytes=0-3", 206, TEXT[:4], b"bytes 0-3/100"),
        (b"bytes=95-", 206, TEXT[95:], b"bytes 95-99/100"),
        (b"bytes=-7", 206, TEXT[-7:], b"bytes 93-99/100"),
        (b"bytes=-700", 206, TEXT, b"bytes 0-99/100"),
        (b"bytes=98-4000000000000000000000", 206, TEXT[98:], b"bytes 98-99/100"),
        (b"bytes=100-", 416, None, b"bytes */100"),
        (b"bytes=-0", 416, None, b"bytes */100"),
        (b"bytes=0-1,5-6", 200, TEXT, None),
        (b"bytes=100-,5-6", 206, TEXT[5:7], b"bytes 5-6/100"),
        (b"bytes=3-1", 200, TEXT, None),
        (b"chars=3-4", 200, TEXT, None),
    ],
)
def test_ranges(client: Client, value: bytes, status: int, body: bytes | None, content_range: bytes | None) -> None:
    answer = client.exchange(get(b"/f/text.txt", b"Range: " + value))
    assert (answer.status, answer.get("content-range")) == (status, content_range)
    if body is None:
        assert answer.from_gateway
    else:
        assert answer.body == body
        assert answer.get("content-length") == b"%d" % len(body)
    # HEAD has no ranges (RFC 9110 §14.2), and two Range fields are none.
    assert client.exchange(request(b"HEAD", b"/f/text.txt", b"Range: " + value), "HEAD").status == 200
    assert client.exchange(get(b"/f/text.txt", b"Range: " + value, b"Range: bytes=0-0")).status == 200


def test_conditions(client: Client) -> None:
    first = client.exchange(get(b"/v/text.txt"))
    tag = first.get("etag")
    assert tag is not None
    for lines, status in [
        ([b"If-None-Match: " + tag], 304),
        ([b"If-None-Match: W/" + tag], 304),
        ([b'If-None-Match: "a,b", ' + tag], 304),
        ([b"If-None-Match: *"], 304),
        ([b'If-None-Match: "other"'], 200),
        ([b"If-Modified-Since: " + OLD_DATE], 304),
        ([b"If-Modified-Since: Sun, 09 Sep 2001 01:46:39 GMT"], 200),
        ([b'If-None-Match: "other"', b"If-Modified-Since: " + OLD_DATE], 200),
        ([b"If-Match: " + tag], 200),
        ([b"If-Match: W/" + tag], 412),
        ([b'If-Match: "other"'], 412),
        ([b"If-Unmodified-Since: " + OLD_DATE], 200),
        ([b"If-Unmodified-Since: Sun, 09 Sep 2001 01:46:39 GMT"], 412),
        ([b"If-Match: " + tag, b"If-None-Match: " + tag], 304),
        ([b'If-Match: "other"', b"If-None-Match: " + tag], 412),
        ([b"Range: bytes=0-1", b"If-Range: " + tag], 206),
        ([b"Range: bytes=0-1", b'If-Range: "other"'], 200),
        ([b"Range: bytes=0-1", b"If-Range: W/" + tag], 200),
        ([b"Range: bytes=0-1", b"If-Range: " + OLD_DATE], 206),
        ([b"Range: bytes=0-1", b"If-Range: Sun, 09 Sep 2001 01:46:41 GMT"], 200),
        ([b"Range: bytes=900-", b"If-None-Match: " + tag], 304),
        ([b"Range: bytes=900-", b'If-Range: "other"'], 200),
    ]:
        answer = client.exchange(get(b"/v/text.txt", *lines))
        assert answer.status == status, lines
        if status == 304:
            names = sorted(name.lower() for name, _ in answer.fields)
            assert names == [b"cache-control", b"date", b"etag", b"vary", b"x-request-id", b"x-set"]
            assert answer.get("etag") == tag
        assert client.exchange(request(b"HEAD", b"/v/text.txt", *lines), "HEAD").status in (status, 200)


def test_variants(client: Client) -> None:
    def ask(target: bytes, accepts: bytes) -> Response:
        answer = client.exchange(get(target, b"Accept-Encoding: " + accepts))
        assert answer.status == 200
        assert answer.get("vary") == b"Accept-Encoding"
        assert answer.get("cache-control") == b"max-age=60"
        assert answer.get("x-set") == b"yes"
        return answer

    plain = ask(b"/v/app.js", b"identity")
    assert plain.get("content-encoding") is None
    brotli = ask(b"/v/app.js", b"gzip, deflate, br")
    assert (brotli.get("content-encoding"), brotli.body) == (b"br", b"brotli bytes")
    assert brotli.get("content-type") == plain.get("content-type") == b"text/javascript; charset=utf-8"
    zipped = ask(b"/v/app.js", b"gzip;q=1, br;q=0.5")
    assert zipped.get("content-encoding") == b"gzip"
    assert gzip.decompress(zipped.body) == plain.body
    assert len({plain.get("etag"), brotli.get("etag"), zipped.get("etag")}) == 3
    # A variant that is older than its file is not the same any more; one without its file is none.
    assert ask(b"/v/stale.js", b"br").body == b"new();"
    assert client.exchange(get(b"/v/only.js", b"Accept-Encoding: br")).status == 404
    # Ranges and conditions are those of what is sent.
    part = client.exchange(get(b"/v/app.js", b"Accept-Encoding: br", b"Range: bytes=7-11"))
    assert (part.status, part.body, part.get("content-range")) == (206, b"bytes", b"bytes 7-11/12")
    tag = brotli.get("etag") or b""
    assert client.exchange(get(b"/v/app.js", b"Accept-Encoding: br", b"If-None-Match: " + tag)).status == 304
    assert client.exchange(get(b"/v/app.js", b"Accept-Encoding: gzip", b"If-None-Match: " + tag)).status == 200


def test_a_young_file_has_a_weak_tag(root: Path, client: Client) -> None:
    (root / "young.txt").write_bytes(b"young")
    answer = client.exchange(get(b"/f/young.txt"))
    assert (answer.get("etag") or b"").startswith(b'W/"')
    os.utime(root / "young.txt", (4_000_000_000, 4_000_000_000))
    ahead = client.exchange(get(b"/f/young.txt"))
    assert ahead.get("last-modified") == ahead.get("date")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"root": "{root}/none"}, "there is no folder"),
        ({"root": "{root}/text.txt"}, "is not a folder"),
        ({"root": "relative"}, "is not an absolute path"),
        ({"index": ["a/b"]}, "is not the name of a file"),
        ({"index": [".htaccess"]}, "is not the name of a file"),
        ({"cache_control": "a\r\nX: y"}, "is not a header value"),
        ({"types": {"JS": "text/x"}}, "is not an extension"),
        ({"types": {"js": "text"}}, "is not an extension"),
    ],
)
def test_a_folder_that_cannot_be_served_is_refused_at_start(root: Path, change: Json, words: str) -> None:
    change = {key: value.format(root=root) if isinstance(value, str) else value for key, value in change.items()}
    code, said = refused(snapshot(routes=[route("files", static(**{"root": root} | change), match(prefix="/"))]))
    assert code == 1
    assert words in said
    assert f"routes.0.action.static.{next(iter(change))}" in said


def test_a_root_that_vanishes_is_404_and_a_line_and_one_that_comes_back_is_served(tmp_path: Path) -> None:
    put(tmp_path / "root" / "a.txt", b"a")
    with Gateway(files(tmp_path / "root")) as gateway, gateway.client() as client:
        assert client.exchange(get(b"/f/a.txt")).body == b"a"
        (tmp_path / "root").rename(tmp_path / "elsewhere")
        assert client.exchange(get(b"/f/a.txt")).status == 404
        gateway.wait_output("cannot be entered")
        put(tmp_path / "release-2" / "a.txt", b"second")
        (tmp_path / "root").symlink_to("release-2")
        assert client.exchange(get(b"/f/a.txt")).body == b"second"


def test_names_that_change_under_a_client(tmp_path: Path) -> None:
    """Folders that become links out of the root and back: the secret is never seen, and no answer is lost."""
    put(tmp_path / "outside" / "a.txt", SECRET)
    put(tmp_path / "root" / "swap" / "a.txt", b"inside")
    swap, aside = tmp_path / "root" / "swap", tmp_path / "root" / "aside"
    (tmp_path / "root" / "evil").symlink_to("../outside")
    with Gateway(files(tmp_path / "root")) as gateway, gateway.client() as client:
        seen = set()
        for turn in range(300):
            client.send(get(b"/f/swap/a.txt") * 4)
            swap.rename(aside)
            (tmp_path / "root" / "evil").rename(swap)
            for _ in range(4):
                answer = client.final()
                assert SECRET not in answer.body
                seen.add(answer.status)
            swap.rename(tmp_path / "root" / "evil")
            aside.rename(swap)
            if turn % 50 == 0:
                assert client.exchange(get(b"/f/swap/a.txt")).body == b"inside"
        assert seen <= {200, 404}
