"""Writes the hand-written seeds of the corpus, by attack class of the security design; each file is named by its SHA-1, as libFuzzer does."""

# Each seed is one value on its line, however long.
# ruff: noqa: E501

import base64
import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
RULES = (0x00, 0x01, 0x02, 0x03, 0x04, 0x08, 0x10, 0x20)

TARGETS = [
    # P1: what a path may hide
    "/", "//", "///a//b/", "/%61dmin", "//admin", "/./admin", "/x/../admin", "/x%2f..%2fadmin", "/admin%2f", "/admin;x", "/ADMIN",
    "\\admin", "/\\admin", "/%5Cadmin", "/%2e%2e", "/%2E/", "/%252e", "/%25", "/%25;41", "/%00", "/%0d%0a", "/%7f", "/%c0%ae", "/%ff",
    "/%C3%AF", "/%C3/%AF", "/%C3%2F%AF", "/api../admin", "/admin#", "/admin?", "//host/admin", "/a/..;x/b", "/..%3Bx", "/;x", "/;/..",
    "/a%2F..", "/a%2F.%2Fb", "/%2F", "/a%2fb%2Fc;d%2f", "/%25%2F41", "/%2%2F", "/a/b/../../../c", "/a/.", "/a/..", "/..", "/.", "/...",
    "/%", "/%4", "/%zz", "/%4z", "/[a]|b", "/{a}", "/a^b", "/a`b", '/a"b', "/a<b>", "/a b", "/a?{}^\\`?", "/?", "/?a#b", "/a?%zz", "/~!$&'()*+,;=:@",
    "/a-long-and-quite-usual/path/with.dots/and-dashes_1", "/exactly-sixteen", "/exactly-sixteen/../and/more", "/aaaaaaaaaaaaaaa/./b",
    "", "*", "x", "http://h/", "/\x00", "/\t", "/é", "/a\r\nX: y", "/a\n",
]  # fmt: skip

LINES = [
    # S1-S3: framing
    "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: CHUNKED\r\nContent-Length: 5\r\n",
    *(f"Transfer-Encoding:{v}\r\n" for v in (" chunked", " xchunked", " chunked, identity", " chunked, chunked", "", " \x0bchunked", "\tchunked",
      " gzip, chunked", " gzip", " chunked;p=1", " ,", " chunked \r\nTransfer-Encoding: chunked", " identity\r\n chunked")),
    "Transfer-Encoding : chunked\r\n",
    *(f"Content-Length: {v}\r\n" for v in ("5", "0", "00", "+5", "-0", "0x5", "5 5", "5,10", "5_0", "0o5", "9" * 19, "9" * 20, "", "5\r\nContent-Length: 5")),
    # S6, S7, S13, S14
    "X: a\n", "X: a\rb\r\n", "X: a\r\n b\r\n", " X: a\r\n", "\tX: a\r\n", "X : a\r\n", ": a\r\n", "X\r\n", "X(: a\r\n", "X: \x00\r\n", "X: \x7f\r\n", "X: é\r\n",
    "Upgrade: h2c\r\nHTTP2-Settings: AAA\r\nConnection: Upgrade, HTTP2-Settings\r\n",
    *(f"Connection: {v}\r\n" for v in ("close", "Keep-Alive", "keep-alive", "Transfer-Encoding", "Content-Length", "Host", "close, X-Forwarded-For", "x-user-id",
      "X-Consumer-Name", "te, x\r\nTE: trailers\r\nX: 1", ",, close ,", "a b", "a," * 40, "Authorization", "upgrade, keep-alive", "date\r\nDate: now")),
    # H1-H3
    "Keep-Alive: 5\r\nProxy-Connection: keep-alive\r\nProxy: x\r\nProxy-Authorization: y\r\nProxy-Authenticate: z\r\nTrailer: a\r\n",
    "X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nX-Forwarded-For: [2001:db8::1]:443\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=1\r\n",
    "X-Forwarded-For: 192.0.2.9,1.1.1.1:80 , 192.0.2.8\r\nX-Forwarded-Prefix: /x\r\nX-Forwarded-A-Name-Longer-Than-Any: y\r\nX-Real-IP: 1\r\n",
    "X-Forwarded-For: fe80::1%eth0\r\n", "X-Forwarded-For: \r\nX-Forwarded-For: ::ffff:192.0.2.3\r\n", "X-Forwarded-For: [::1\r\n", "X-Forwarded-For: [::1]x\r\n",
    "X-Client-IP: 1\r\nTrue-Client-IP: 1\r\nX-Original-URL: /a\r\nX-Rewrite-URL: /b\r\nX-Forwarded-: 1\r\n",
    "X_User_Id: 1\r\nX-User-Id: 1\r\nx.user.id: 1\r\nContent_Length: 5\r\nX-Consumer-: 1\r\nx!consumer!a: 1\r\nHost!: b\r\nA_b: 1\r\n",
    "X-Forwarded-Client-Cert: a\r\nx.forwarded.for: 1\r\nSec-WebSocket-Accept: a\r\nA-Name-Much-Longer-Than-24-Bytes: 1\r\n",
    # H6
    *(f"Host: {v}\r\n" for v in ("b", "", "a,b", "u@h", "a/b", "a:0", "a:65536", "a:080", "A.Example.:81", "[::1]:80", "[::1]x", "[::1", "[fe80::1%25e]", "[\xff]", "[::1]:0", "a..b", ".a", "a.", ".", ":80", "A" * 254, "a-name.of-more.than-sixteen.bytes:8080", "a-name.of.more-than.sixteen.bytes..", "é")),
    # S11, S12, ids, tracing
    "Expect: 100-continue\r\nContent-Length: 3\r\n", "Expect: 100-Continue\r\n", "Expect: 200\r\n", "X-Request-Id: a-b_c.1\r\n", "X-Request-Id: a b\r\n",
    "X-Request-Id: a\r\nX-Request-Id: b\r\n", f"X-Request-Id: {'a' * 129}\r\n", "X-Request-Id:\r\n", "Traceparent: 00-1\r\ntracestate: a=1\r\n",
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 12\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==\r\n",
    "Connection: Upgrade\r\nUpgrade: foo/1, bar\r\n", "Connection: Upgrade\r\nUpgrade: foo/1\r\nUpgrade: bar\r\n", "Upgrade: foo/1\r\n",
    *(f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key:{v}\r\n" for v in (" AAAAAAAAAAAAAAAAAAA+/Q==", " dGhlIHNhbXBsZSBub25jZQ=", " dGhl IHNhbXBsZSBub25jZQ==", "")),
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
    # what is unusual and fine
    "A:1\r\nB:  2 \r\nC:\t3\t\r\nD: \r\nE:\r\nContent-Type: text/plain\r\nAuthorization: Basic x\r\nOrigin: http://a\r\nDate: now\r\n",
    f"Cookie: {'; '.join(f'c{i}=v' for i in range(100))}\r\n", "A: 1\r\n" * 6, "A: 1\r\n" * 110, f"X: {'a' * 400}\r\n", "Accept-Language: a value of more than 16 bytes\r\n",
]  # fmt: skip

# J1 to J7; each is signed with the targets' own secret.
TOKEN_HEADERS = [
    '{"alg":"HS256"}', '{"alg":"HS256","typ":"JWT","kid":"a"}', '{"typ":"JWT","alg":"HS256","cty":"x","x5c":[]}', '{"alg":"none"}', '{"alg":"None"}', '{}', '[]', "",
    '{"alg":"HS256","crit":["b64"],"b64":false}', '{"alg":"HS256","crit":["b64"],"b64":true}', '{"alg":"HS256","b64":false}', '{"alg":"HS256","crit":[]}',
    '{"alg":"HS256","crit":["exp"],"exp":1}', '{"alg":"HS256","alg":"HS256"}', '{"alg":"HS256","enc":"A128GCM"}', '{"alg":"HS256","kid":7}', '{"alg":"RS256"}',
    '{"alg":"EdDSA","kid":"ed"}', '{"alg":"ES256","kid":"ec"}', '{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}', '{"alg":"HS256","kid":"\\u0000../../x"}', '{"alg" : "HS256"} ',
]  # fmt: skip
TOKEN_PAYLOADS = [
    '{"exp":1800000000,"sub":"me","aud":["a","b"]}',
    '{"exp":"1"}',
    '{"exp":1e400}',
    '{"exp":-1}',
    "{}",
    "[]",
    "",
    '{"a":{"b":[1,2.5,null,true]}}',
    '{"a":1,"a":2}',
]
KEY_SETS = [
    '{"keys":[]}', '{"keys":{}}', "{}", "[]", "", '{"keys":[{}]}', '{"keys":[7]}', '{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}', '{"kty":"oct","k":""}',
    '{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}', '{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}',
    '{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","use":"sig","key_ops":["verify"]}',
    '{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"}', '{"kty":"OKP","crv":"Ed448","x":"AA"}',
    '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"},{"kty":"X"}]}', '{"kty":"RSA","n":"AQAB","e":"AQAB"}',
    '{"kty":"RSA","e":"AQAB","n":"' + "_" * 342 + '"}', '{"kty":"RSA","e":"Ag","n":"' + "_" * 342 + '"}', '{"keys":[],"keys":[]}', "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
    "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n", "-----BEGIN RSA PUBLIC KEY-----\n\n-----END RSA PUBLIC KEY-----",
    "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "-----BEGIN X-----\nAAAA\n-----END Y-----", "-----BEGIN ",
]  # fmt: skip
BASE64URL = ["", "A", "AA", "AAA", "AAAA", "Zg", "Zh", "Zm8", "Zm9", "Zm9v", "Zg==", "Zm8=", "-_-_", "+/+/", " AAAA", "AAAA\n", "AA.A", "AAé", "A" * 64, "A" * 65, "_" * 63, "\0\0", "AAAAAA", "AAAAAB"]  # fmt: skip


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _signed(header: str, payload: str) -> str:
    text = f"{_b64(header.encode())}.{_b64(payload.encode())}"
    tag = hmac.new(b"a key for the fuzz targets alone", text.encode(), hashlib.sha256).digest()
    return f"{text}.{_b64(tag)}"


def _tokens() -> Iterator[str]:
    for header in TOKEN_HEADERS:
        yield _signed(header, TOKEN_PAYLOADS[0])
    for payload in TOKEN_PAYLOADS:
        token = _signed(TOKEN_HEADERS[0], payload)
        head, content, tag = token.split(".")
        yield from (
            token,
            token + "=",
            token + ".",
            f"{head}.{content}.",
            f"{head}..{tag}",
            f"{head}.{content}.{tag}.a.b",
        )
        yield f'{{"payload":"{content}","protected":"{head}","signature":"{tag}"}}'
        yield f'{{"payload":"{content}","signatures":[{{"protected":"{head}","signature":"{tag}"}},{{"header":{{"alg":"X"}},"signature":""}}]}}'


_SHA256 = "sha256:" + "0" * 64
CREDENTIALS = [
    # The first line is a query, every other one a line of a header.
    *(f"\n{line}" for line in (
        "Bearer a.b.c", "BEARER  a==", "Bearer", "Bearer ", "Bearer a b", "Bearer a, Basic b", "Bearer ==", "Bearer a=b", "Bearer\ta", "Bear(er a", " Bearer a",
        "Basic QTpi", "Basic QTpi\nBearer a", "Bearer a\nBearer a", "ApiKey a{}b", "apikey", "ApiKey a b", "Digest username=\"a\"", "Digest", "Digest  a", "",
        "QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "dGVzdDoxMjPCow==", "YTpiOmM=", "YTo=", "OmE=", "YTph/w==", "YTpiCg==", "YTpi\n", "YTpj/", "Bearer " + "a" * 16385,
        "a=1; t=x; b=2", "t=x; t=x", "t=x\nt=y", "t=", "t", "t =x", "at=x; T=y", "t=a b", "t=x=y;", "\xe9: Basic QTpi")),
    "key=abc", "a=1&key=abc&b", "%6bey=abc", "key=%61b%63", "&&key=abc&", "a;key=z&key=abc", "key", "key=", "key=a&key=a", "key=a&%6Bey=b", "key=%", "%6=abc",
    "key=%00", "key=a%20b", "key[]=abc", "KEY=abc", "keys=1&ke=2", "%%6bey=1",
    f'{{"name":"a","hash":"{_SHA256}","expires":"2027-01-01T00:00:00Z","scopes":["b"]}}\n# c', f'{{"name":"a","hash":"{_SHA256}","x":1}}', '{"name":1}', "[]",
    f'{{"name":"a","hash":"hmac-sha256:p:{"0" * 64}"}}', f'{{"name":"a","hash":"{_SHA256}"}}\n' * 2, '{"name":"a","hash":"sha256:0"}',
    "a:$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc\n" * 2, "a:$argon2id$v=19$m=65537,t=2,p=1$c29tZXNhbHQ$CTFh",
    "a:$argon2i$v=19$m=1,t=1,p=1$a$a", ":a", "a:b",
]  # fmt: skip

STARTS = [
    "GET / HTTP/1.1", "\r\nGET / HTTP/1.1", "\r\n\r\nGET / HTTP/1.1", "\nGET / HTTP/1.1", "\rGET / HTTP/1.1", " GET / HTTP/1.1", "GET  / HTTP/1.1",
    "GET /  HTTP/1.1", "GET\t/ HTTP/1.1", "GET /", "GET", "GET / HTTP/1.0", "GET / HTTP/2.0", "GET / HTTP/1.10", "GET / HTTP/1.1 ", "GET / http/1.1", "GET / HTTP/1.1\rx",
    "GET / HTTP/1.2\n", "get / HTTP/1.1", "PUT /a?b HTTP/1.1", "POST /a HTTP/1.1", "HEAD /a HTTP/1.1", "DELETE /a HTTP/1.1", "PATCH /a HTTP/1.1", "PURGE /a HTTP/1.1",
    "OPTIONS * HTTP/1.1", "GET * HTTP/1.1", "OPTIONS *x HTTP/1.1", "TRACE / HTTP/1.1", "CONNECT a:1 HTTP/1.1", "PRI * HTTP/2.0", f"{'A' * 33} / HTTP/1.1", "M-S_1 / HTTP/1.1",
    "GET http://A.Example:81/a?b HTTP/1.1", "GET https://h HTTP/1.1", "GET http://h?q HTTP/1.1", "OPTIONS http://h HTTP/1.1", "OPTIONS http://h?q HTTP/1.1", "GET http:// HTTP/1.1",
    "GET ftp://h/ HTTP/1.1", "GET http://u@h/ HTTP/1.1", "GET HTTP://[::1]:80/../x HTTP/1.1", "GET htt", "GET http", "GET http://h", "GET /a#b HTTP/1.1", "GET /\\ HTTP/1.1",
    "GET /" + "a" * 60 + " HTTP/1.1", "GET /a/%2e%2e/b HTTP/1.1", "GET /a%2Fb//c;d HTTP/1.1", "\x16\x03\x01", "GET /é HTTP/1.1", "G@T / HTTP/1.1", "GET /a\tb HTTP/1.1",
    "HEAD /a HTTP/1.0\r\nConnection: keep-alive",
]  # fmt: skip

STATUSES = [
    "HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 200", "HTTP/1.1 200 ", "HTTP/1.1 404 Not  Found é\t", "HTTP/1.1 204 No Content", "HTTP/1.1 304 Not Modified",
    "HTTP/1.1 100 Continue", "HTTP/1.1 103 Early Hints", "HTTP/1.1 101 Switching Protocols", "HTTP/1.1 099 x", "HTTP/1.1 1000 x", "HTTP/1.1 20 x", "HTTP/1.1 2x0 x", "HTTP/1.1 999 x",
    "HTTP/2 200 OK", "HTTP/1.2 200 OK", "HTTP/1.1  200 OK", "HTTP/1.1 200 O\x00K", "HTTP/1.1 200 OK\rx", "HTTP/1.1 200\n", "HTTP/1.1 200\rx", "HTTP", "H", "ICY 200 OK", "\r\nHTTP/1.1 200 OK",
    "HTTP/1.1 200OK", "HTTP/1.1 2", "HTTP/1.1 200 \x7f",
]  # fmt: skip

BODIES = [
    # S4-S6, S16
    "0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\nGET", "a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\n\r\n", "0x5\r\n", "5_0\r\n", " 5\r\n", "5 \r\n", "-1\r\n", "", "\r\n", "\n", "g\r\n", ";a\r\n",
    "0000000000000005\r\nhello\r\n", "00000000000000005\r\nhello\r\n", "ffffffffffffffff\r\nx", "5\rhello", "5\nhello", "5\r\nhello!\r\n", "5\r\nhello\n", "5\r\nhello\rx", "5\r\nhell", "5\r\nhello ", "5\r\nhello\r", "5\r\nhello\r\r", "5\r\nhello\r\n ",
    "5;a\r\nhello\r\n0;b=c;d=\"e;\\\"f\"\r\n\r\n", "5;\r\n", "5;\nx", "5;a=\r\n", "5;bad[=x\r\n", "5;a\x00\r\n", "5; a = b;c\t;d= \"x\"\r\n", "5;a \r\n", "5;a=b \r\n", "5;a b\r\n", "5;a=\"b\nc\"\r\n",
    "5;a=\"\\\r\n", "5;a=\"b\"c\r\n", "5;a=b\"\r\n", f"5;{'a' * 254}\r\nhello\r\n", f"5;{'a' * 256}\r\nhello\r\n", "1;" + "a" * 1000, (f"1;{'a' * 240}\r\nx\r\n" * 70) + "0\r\n\r\n", "0\r\n\rx", "0\rx", "0\r\n\n",
    "0\r\nA: 1\r\nB:2\r\n\r\nrest", "0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: x\r\nAuthorization: y\r\nCookie: z\r\nX-Ok: 1\r\n\r\n",
    "0\r\nX-User-Id: 1\r\nX-Consumer-A: 1\r\nX_A: 1\r\nset-cookie: a\r\nCache-Control: b\r\nSha-256: c\r\n\r\n", "0\r\nA : 1\r\n\r\n", "0\r\n A: 1\r\n\r\n", "0\r\nA: 1\n\r\n", "0\r\nA: \r1\r\n\r\n", "0\r\nA\r\n\r\n",
    "0\r\nA: 1\r\n b\r\n\r\n", "0\r\nA: \x00\r\n\r\n", "0\r\n: x\r\n\r\n", "0\r\nX-Forwarded-For: 1\r\nx-forwarded-a-long-name-beyond-24: 1\r\nTE: a\r\n\r\n", "0\r\nA: 1\r\n", "0\r\nA: 1\r", "0\r\nA", "0\r\n\r",
    "0\r\n" + "A: 1\r\n" * 101, "0\r\n" + "A: 1\r\n" * 100 + "\r\n", "0\r\nA: " + "a" * 8200, "0\r\nA:b\r\nC: d \r\n\r\n",
]  # fmt: skip

ROUTES = [
    "P /api\nT /u/{id}\nT /f/{rest:path}\nR /r/(?P<a>x?)(?P<b>.*)\nN\n? GET h /api/x\n? GET h /u/1\n? GET h /f/a/b\n? GET h /r/xy\n? GET h /",
    "P /\nS /\nX /v2\nW /q{rest}\nL /v2{rest}\n? GET h /a\n? GET h //evil\n? GET h /",
    ("P /v1\nS /v1\nS /v\nX /v2\nX /\nW /{rest}\nW {rest}\nL {rest}\nL {path}\nL /{rest}\nL https://{host}{path}\nL /x?{query}&a={path}#f\n"
    "? GET h /v1//evil?a=b\n? GET h /v1/;x/evil\n? GET h /v1\n? GET h /%761/%C3%AF?x\n? GET h /v1/../a"),
    "T /g/{x}/{p:path}\nW /user/{x}.json\nW /g/{p}\nW /{x}41\nL /s?q={x}\nL /{p}\nL https://{x}.example.com/{p}\nL //cdn{path}\n? GET h /g/a%20b/c\n? GET h /g/%25/x\n? GET h /g/a%26b=c/\n? GET h /g//x",
    "R /r(?P<a>\\.)x\nW /{a}\nW /.{a}/x\n? GET h /r.x\nR (?x) /a # c\n? GET h /a\nR (a\nR a{1000}{1000}\nR a)|(?:b",
    "R (?-u)/(?P<a>.)(?P<b>.*)\nW /{a}/{b}\nL /{a}/{b}\n? GET h /%C3%AF\n? GET h /evil\n? GET h //",
    "K\nP /a%2Fb\nT /a%2fb/{c}\nW /x/{c}\n? GET h /a%2fb/c%2Fd\n? GET h /a%2Fb\n? GET h /a%2F../b\nS /a%2Fb",
    "P /a @*.example.org @example.org +GET\nP /a @*.b.example.org +POST ^1\nN @h =x-a\n? GET b.example.org /a\n? POST b.example.org /a\n? HEAD a.b.example.org /a\n? PUT example.org /a\n? GET h /z x-a\n? GET h /z",
    "P /a +GET\nP /a +POST\nT /a +PUT\nT /a/{b} +X-Y_1\n? DELETE h /a\n? HEAD h /a/b\n? OPTIONS h /a\n? OPTIONS h *\n? X-Y_1 h /a/b",
    "P api\nP /a//b\nP /{id}\nT /{\nT /v{id}\nT /{a}{b}\nT /{1a}\nT /{a:int}\nT /{a:path}/b\nT /{a}/{a}\nP /a/../b\nP /%2561\n? GET h /",
    "P /a?x\nP /a#b\nP /a;v\nP /a%3B\nP /a\\b\nP /a%5c\nP /a%zz\nP /a%00\n? GET h /a",
    "P /%ff\nP /.\nP /a%2Fb\nP /a%4\nT /%7Bid%7D\nT /100%25\nT /a b\nT /ï/{x}\n? GET h /%7Bid%7D\n? GET h /100%25\n? GET h /a%20b\n? GET h /%C3%AF/1",
    "T /a @[::1]\nT /a @[::1]:80\nT /a @A\nT /a @*\nT /a @a.*.b\nT /a @a:1\nT /a @a.\nT /a @ü\n? GET [::1]:80 /a\n? GET A. /a",
    "T /a +get\nT /a +TRACE\nT /a +\nT /b/ +GET\nT /b +GET\n? GET h /b/\n? GET h /b\n? GET h /b;x",
    "P /a\nP /a\nT /a\nT /a\nR /a\nN\nN\n? GET h /a\n? GET h /ab\n? GET h /a/b",
    "P /a\nP /a/b\nP /a/b/c\nT /a/b/{x}\nT /a/{y}/c\nT /{z}/b/c\nT /a/b/c\nT /a/{r:path}\n? GET h /a/b/c\n? GET h /a/b/d\n? GET h /a/x/c\n? GET h /x/b/c\n? GET h /a/\n? GET h /a/x/y",
    "P /x\nX /a/../b\nX //x\nX x\nX /a b\nX /%2541\nX /%zz\nX /a?b\nW /{id}\nW x\nW //x\nW\nW /{rest\nL x\nL ftp://h\nL https://\n? GET h /x/y",
    "P /x\nL https:///x\nL https://{path}\nL https://e{rest}\nL https://u@e/\nL /a{query}\nL /a b\nL /%0d\nL /%zz\nL /{x\nL javascript:a\nL https://{host}:8443{path}\nL //\n? GET a@b /x\n? GET h /x?a#b\n? GET h /x?\"",
    "P /x\nL /login?next={path}\nL /v2{rest}?from=v1&{query}\nL https://www.{host}/x{rest}\nL https://new.example{rest}\nL /ï#top\n? GET h.example /x/a+b%2Bc?q=%20\n? GET [::1]:1 /x",
    "T /{a}/{a}\nT /z/{a:path}/b\n? GET h /x/y\n? GET h /z/y/b",
    "T /{a}\nT /{a}/\nT /x/{a:path}\nT /\n? GET h /\n? GET h /a\n? GET h /a/\n? GET h /x/\n? GET h /x",
    ("P /a ~q=1\nP /a ~q\nP /a !q\nP /a ~q=x+y ~r\nP /a ~q= !r\n? GET h /a?q=1\n? GET h /a?q=2&q=1\n? GET h /a?q\n? GET h /a\n? GET h /a?Q=1\n"
    "? GET h /a?%71=%31\n? GET h /a?q=x%2By&r\n? GET h /a?q=x%20y&r=\n? GET h /a?&&q==1&\n? GET h /a?q=%zz%4&r\n? GET h /a?q=1#x"),
    ("N &10.0.0.0/8\nN &::ffff:10.1.0.0/112 ^1\nP /a &2001:db8::/32 &192.0.2.7/32\nP /a &::/0\nP /a &0.0.0.0/0 ^-1\nP /a &10.0.0.0/33\n"
    "? GET h /a x 10.1.2.3\n? GET h /a x ::ffff:10.1.2.3\n? GET h /a x 10.9.9.9\n? GET h /a x 2001:db8::1\n? GET h /a x ::1\n? GET h /a x 192.0.2.7\n? GET h /a x\n? GET h /b x 11.0.0.1"),
    "P /a ~k=v &127.0.0.0/8 =x-a +GET\nP /a ~k +POST\n? GET h /a?k=v x-a 127.0.0.1\n? GET h /a?k=v x-a 128.0.0.1\n? PUT h /a?k=v x-a 127.0.0.1\n? POST h /a?k x-a",
]  # fmt: skip

EDITS = [
    "=X-A:1", "+X-A:1\n+x-a:2", "-cookie", "r=X-A:1\n=x-a:2\n-x-a\n+X-A:3", "=Host:x", "=X:a\r\nb", "= :a", "=X: a", "-x-request-id", "=X-Forwarded-For:9.9.9.9", "r-X-Forwarded-Proto\n=X-Forwarded-Host:z",
    "=connection:close\n=Transfer-Encoding:x\nr+Authorization:B c\n-authorization", "=proxy:x\n+x_user_id:1\nr-date",
]  # fmt: skip


DOCUMENTS = [
    # the whole of what configs are made of, and JSON
    "listeners:\n  public:\n    bind: 127.0.0.1:8000\nroutes:\n  a:\n    match: {prefix: /a, methods: [GET, POST]}\n    respond: {status: 200, body: 'ok'}\n",
    "a: 1\nb: [1, -2, +3, 0x1F, 0o17, 1.5, -.5, 1e9, .inf, -.Inf, .nan, 007, 1_000, 12:30]\nc: {d: ~, e: null, f: true, g: False, h: yes}\n",
    '{"a": [1, 2.5, -0, 1e3, true, null, "x"], "b": {"c": "\\u00e9\\n", "": 1}}', "[]", "{}", '""', "0", "-", "~", "null", "[[[[[[[[[[]]]]]]]]]]",
    "- a\n- b\n-\n- - c\n  - d\n- e: 1\n  f: 2\n", "a: |\n  one\n  two\nb: >-\n  three\n  four\nc: |+2\n    five\n\n", "a: \"x\\ty\"\nb: 'it''s'\n\"c d\": e\n",
    "? a\n: b\n", "? [a]\n: b\n", "? {a: b}\n: c\n", "a: b: c\n", "a:\n- b\n", "# only\n", "", " ", "\n\n", "---\n", "---\na: 1\n...\n", "--- a\n--- b\n", "%YAML 1.2\n---\na\n",
    # what is refused
    "a: &x 1\nb: *x\n", "a: !!str 1\n", "a: !t {b: c}\n", "<<: {a: 1}\n", "'<<': 1\n", "a: 1\na: 2\n", "a: {b: 1, b: [1, {c: 2}]}\nd: 3\n", "a: 1\na: {a: 1, a: 2}\nb: 1\nb: 2\n", ": a\n", "'': a\n",
    "a: [1\n", "a: {b\n", "a: 'x\n", "a\n b: c\n", "\ta: 1\n", "a:\n\tb: 1\n", "a: [::]:8000\n", "a: {*}\n", "a: *.example.org\n", "a: [x, [::1]:80, *b]\n", "a: @b\n", "a: `b`\n", "a: %b\n",
    "a: 99999999999999999999999999999999999999999\n", "a: 0xffffffffffffffffffffffffffffffffff\n", "a: 1e999\n", "a: 1e\n", "a: .\n", "a: +\n", "a: 0x\n", "a: 1.2.3.4\n",
    # line ends, widths, byte order marks
    "a: 1\r\nb: 2\r\n", "a: 1\rb: 2\r", "\ufeffa: 1\n", "\ufeff\ufeffa\n", "é: ü\n", "a: \u2028\n", "a\x85b: c\n", "a: \0\n", "😀: [😀, 😀]\n", "a: " + "x" * 2000 + "\n", "x" * 1030 + ": 1\n",
    "[" * 100 + "]" * 100, "- " * 70 + "a\n", "{a: " * 70 + "1" + "}" * 70, "".join(f"k{i}: {i}\n" for i in range(40)), "".join("k: 1\n" for i in range(110)), "a: [" + "1," * 60 + "1]\n",
]  # fmt: skip


KEY = b"\x37\xfa\x21\x3d"
# Frames of a client as (first byte, payload): the first byte holds FIN, the reserved bits and the opcode.
FRAMES = [
    [(0x81, b"Hello")], [(0x82, bytes(range(256)))], [(0x81, b"")], [(0x89, b"p" * 125), (0x8A, b"")], [(0x88, b"")],
    [(0x01, b"Hel"), (0x89, b"mid"), (0x00, b""), (0x8A, b"x"), (0x80, b"lo"), (0x82, b"next")],
    [(0x88, b"\x03\xe8bye"), (0x89, b"behind")], [(0x88, b"\x03")], [(0x88, b"\x03\xed")], [(0x88, b"\x0b\xb8\xff")], [(0x88, b"\x13\x88")],
    [(0x88, b"\x0f\xa0\xe2\x9c\x93")], [(0x80, b"alone")], [(0x01, b"a"), (0x81, b"b")], [(0x02, b"a"), (0x02, b"b")], [(0x09, b"")], [(0x89, b"p" * 126)],
    [(0xC1, b"x")], [(0xA1, b"x")], [(0x91, b"x")], [(0x83, b"")], [(0x8B, b"")], [(0x8F, b"")], [(0x02, b"a" * 50), (0x80, b"b" * 20)],
    [(0x81, b"\xff")], [(0x01, b"\xe2\x9c"), (0x80, b"\x93")], [(0x01, b"\xe2\x9c"), (0x80, b"")], [(0x01, b"\xf4\x90"), (0x80, b"\x80\x80")],
    [(0x81, b"\xed\xa0\x80")], [(0x81, b"\xc0\x80")], [(0x81, b"\xe0\x9f\xbf")], [(0x81, b"\xf0\x8f\xbf\xbf")], [(0x81, "κόσμε \U0010ffff".encode())],
    [(0xC1, b"\xf2\x48\xcd\xc9\xc9\x07\x00")], [(0x41, b"\xf2\x48\xcd"), (0x89, b""), (0x80, b"\xc9\xc9\x07\x00")], [(0xC1, b"\x00")], [(0xC1, b"")],
    [(0xC1, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00")], [(0xC2, b"\x00\x05\x00\xfa\xffHello\x00")], [(0xC1, b"\xff\xff")], [(0xC9, b"")], [(0x41, b"\xf2"), (0xC0, b"")],
    [(0xC1, b"\xcaH$\x1d\x00\x00")], [(0xC1, b"\x00\x01\x00\xfe\xff\xff\x00")], [(0x82, b"z" * 300)], [(0x81, b"the same words, " * 3)],
]  # fmt: skip
# Lengths that are too long for what they say, or too large.
HEADS = [
    b"\x82\xfe\x00\x7d", b"\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff", b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00",
    b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" + KEY, b"\x82\xfe\x01\x00" + KEY + b"some", b"\x81\x05Hello", b"\x81", b"\x81\x85\x37\xfa",
    b"\x82\x7e\x00\xff" + b"x" * 255, b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00xyz", b"\x02\xff\x00\x00\x00\x00\x00\x0f\x00\x00" + KEY + b"x" * 90,
]  # fmt: skip
OFFERS = [
    "permessage-deflate; client_max_window_bits", "permessage-deflate", 'permessage-deflate;server_max_window_bits="1\\5"', "a, ,permessage-deflate ; server_max_window_bits=15",
    "permessage-deflate; server_max_window_bits=10, permessage-deflate; client_no_context_takeover; server_no_context_takeover", "", ",", " ", "a;", "a; b=", 'a; b="', 'a; b=""',
    'a; b="c d"', "a b", "a=b", "a;b = c", "permessage-deflate; client_max_window_bits=16", "permessage-deflate; x\0permessage-deflate", "permessage-deflate\0", "x; y; z=1, w",
]  # fmt: skip


def masked(first: int, payload: bytes, key: bytes) -> bytes:
    """One frame; without a key, a server's."""
    size, flag = len(payload), 0x80 if key else 0
    form, more = (size, 0) if size < 126 else (126, 2) if size < 1 << 16 else (127, 8)
    length = bytes([flag | form]) + size.to_bytes(8, "big")[8 - more :]
    body = bytes(byte ^ key[i % 4] for i, byte in enumerate(payload)) if key else payload
    return bytes([first]) + length + key + body


# What Redis sends: every type, pub/sub, answers of scripts, then what it never sends
REPLIES = [
    "+OK\r\n", "-ERR no\r\n", "-NOSCRIPT No matching script.\r\n", "-MOVED 3999 127.0.0.1:6381\r\n", "!3\r\nERR\r\n", ":0\r\n", ":-12\r\n",
    ":9223372036854775807\r\n", ":-9223372036854775808\r\n", "#t\r\n#f\r\n", "_\r\n", "$-1\r\n*-1\r\n", "$0\r\n\r\n", "=5\r\ntxt:a\r\n", ",1.5\r\n,inf\r\n",
    "(3492890328409238509324850943850943825024385\r\n", "*3\r\n:1\r\n:0\r\n:-1\r\n", "%1\r\n+a\r\n*1\r\n:1\r\n", "~2\r\n+a\r\n+b\r\n", "*0\r\n%0\r\n>0\r\n",
    ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n\r\n\r\n+next\r\n", ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
    ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$17\r\n01234567890123456\r\n:1\r\n", ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$99\r\n0123", ">2\r\n$17\r\n0\r\n",
    "*2\r\n$17\r\n0\r\n", "*31\r\n" + ":1\r\n" * 31, "*32\r\n" + ":1\r\n" * 32, "*9\r\n" * 4, "*1\r\n" * 40, "*99999999999\r\n", "$536870913\r\n",
    "HTTP/1.1 400\r\n", "?x\r\n", "|1\r\n+a\r\n+b\r\n+c\r\n", "_x\r\n", "#x\r\n", "$?\r\n", "$+1\r\n", "$\r\n", "$-2\r\n", "~-1\r\n", ":-\r\n", ":1e5\r\n", ":01\r\n",
    ":99999999999999999999\r\n", ":1111111111111111111111", ":1\rx", "$1\r\nabc", "+a\nb\r\n", "+" + "a" * 16_384 + "\r\n", "+" + "a" * 16_385 + "\r\n", "\r\n",
]  # fmt: skip

PLACES = [
    "redis://127.0.0.1:6379/0", "redis://h", "rediss://h:6380/", "redis://[::1]:7000", "unix:/run/redis.sock", "unix:////a", "unix:run", "redis://u:p@h",
    "redis://h:0", "redis://[h]:1", "redis://h/x", "redis://h]", "redis://[::1]x",
]  # fmt: skip


# The two lists of a policy, parted by |.
NETWORKS = [
    "", "# nothing\n", "192.0.2.0/24\n", "10.0.0.0/8\n10.1.0.0/16\n|10.1.2.0/24", "0.0.0.0/0|::/0",
    "::/0|0.0.0.0/0\n255.255.255.255", "2001:db8::/32|2001:db8:1::/48\n2001:db8:1::1", "::ffff:10.0.0.0/104",
    "::ffff:10.0.0.0/104|10.0.0.0/8", "10.0.0.0/8|10.0.0.0/8", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/08",
    "10.0.0.0/", "/8", "10.0.0", "010.0.0.1", "fe80::1%eth0", "::ffff:0:0/96|1.2.3.4", "::ffff:0:0/95", "\xff",
    " 10.0.0.0/8 # x\r\n\t::1\r\n", "10.0.0.0/8 10.0.0.0/9", "255.255.255.254/31|255.255.255.255/32",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127|ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
]  # fmt: skip

_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_V4 = bytes([192, 0, 2, 1, 198, 51, 100, 1, 0, 80, 1, 187])
PROXY_HEADERS = [
    *(f"PROXY {line}\r\nGET /".encode() for line in (
        "TCP4 192.0.2.1 198.51.100.2 4711 80", "TCP6 2001:db8::1 ::1 0 65535", "TCP6 ::ffff:192.0.2.1 ::1 1 2",
        "UNKNOWN", "UNKNOWN ffff::1 x 1 2", "TCP4 2001:db8::1 ::1 1 2", "TCP4 192.0.2.1 198.51.100.2 4711",
        "TCP4 192.0.2.1 198.51.100.2 04711 80", "TCP4 192.0.2.1 198.51.100.2 4711 65536", "TCP5 a b 1 2", "",
    )),
    b"PROXY UNKNOWN " + b"a" * 120, b"PROXY TCP4 192.0.2.1", b"PROXY UNKNOWN\n", b"GET / HTTP/1.1\r\n", b"\r\n\r\n", b"",
    _V2, _V2 + b"\x21\x11\0\x0c" + _V4 + b"GET", _V2 + b"\x20\0\0\0GET", _V2 + b"\x20\x11\0\x03abc",
    _V2 + b"\x21\x11\0\x0b" + _V4, _V2 + b"\x21\x11\0\x11" + _V4 + b"\x04\0\x02ab",
    _V2 + b"\x21\x11\0\x10" + _V4 + b"\x04\0\x02a", _V2 + b"\x21\x21\0\x24" + bytes(36),
    _V2 + b"\x21\x31\0\xd8" + bytes(216), _V2 + b"\x21\0\0\0", _V2 + b"\x22\x11\0\0", _V2 + b"\x21\x11\xff\xff",
    _V2 + b"\x21\x41\0\0",
]  # fmt: skip


def seeds() -> Iterator[tuple[str, bytes]]:
    """Every hand-written seed: its target and its bytes."""

    def latin(text: str) -> bytes:
        return text.encode("latin-1")

    yield from (("networks", latin(text.replace("|", "\0"))) for text in NETWORKS)
    yield from (("proxy_header", header) for header in PROXY_HEADERS)
    for i, start in enumerate(STARTS):
        rules = RULES[i % len(RULES)]
        yield "request_head", bytes([0]) + latin(f"{start}\r\nHost: a.example:81\r\n\r\n")
        yield "request_head", bytes([rules]) + latin(f"{start}\r\nhost: A\r\nX: 1\r\n\r\nGET")
        yield "request_head", bytes([0]) + latin(start)
        yield (
            "header_filter",
            bytes([(rules & 0x1F) | (i % 2) << 7]) + latin(f"{start}\r\nHost: a.example:81\r\nX: 1\r\n\r\n"),
        )
    for i, lines in enumerate(LINES):
        for rules in {0, RULES[i % len(RULES)]}:
            host = "" if lines.startswith("Host") and i % 2 else "Host: a\r\n"
            yield "request_head", bytes([rules]) + latin(f"POST /p HTTP/1.1\r\n{host}{lines}\r\nbody")
        yield "request_head", bytes([0x08]) + latin(f"GET /p HTTP/1.0\r\n{lines}\r\n")
        yield "request_head", bytes([RULES[i % len(RULES)]]) + latin(f"GET /p HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
        yield "response_head", bytes([0]) + latin(f"HTTP/1.1 200 OK\r\n{lines}\r\nbody")
        for knobs in (0x00, 0x30, 0x94):
            yield "header_filter", bytes([knobs]) + latin(f"GET /p?q HTTP/1.1\r\nHost: a\r\n{lines}\r\n")
        for knobs in (0x40, 0x43, 0x46):
            yield "header_filter", bytes([knobs]) + latin(f"HTTP/1.1 200 OK\r\n{lines}\r\n")
    for i, status in enumerate(STATUSES):
        for tail in (
            "\r\nContent-Length: 5\r\n\r\nhello",
            "\r\n\r\n",
            "\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
            "",
        ):
            yield "response_head", bytes([i % 2]) + latin(status + tail)
        yield "response_head", bytes([0]) + latin(f"{status}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        yield (
            "header_filter",
            bytes([0x40])
            + latin(f"{status}\r\nConnection: upgrade, x\r\nUpgrade: websocket\r\nX: 1\r\nX-Request-Id: o\r\n\r\n"),
        )
        yield "header_filter", bytes([0x40 | i & 0x27]) + latin(f"{status}\r\nContent-Length: 05\r\n\r\n")
    yield "response_head", b"\0HTTP/1.1 200 OK\r\n" + b"A: 1\r\n" * 201 + b"\r\n"
    # Beyond the limits while a line is still open, and with a line that ends too late.
    for size in (170, 33000):
        for line in (
            "GET /" + "a" * size,
            "GET / HTTP/1.1\r\nHost: a\r\nX: " + "a" * size,
            "GET / HTTP/1.1\r\nHost: a\r\nX: \x00" + "a" * size + "\r\n",
        ):
            yield "request_head", bytes([0x20 if size < 1000 else 0]) + latin(line)
    yield "request_head", b"\x20GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 128 + b"\r\n"
    yield "request_head", b"\x20GET / HTTP/1.1\r\nHost: a\r\nX:" + b"a" * 115 + b"\r\n\r\n"
    for line in (
        "X: " + "a" * 66000,
        "X: \x00" + "a" * 66000 + "\r\n",
        "X: " + "a" * 65509 + "\r\n\r\n",
        "X: " + "a" * 66000 + "\r\n",
    ):
        yield "response_head", b"\0HTTP/1.1 200 OK\r\n" + latin(line)
    yield "response_head", b"\0HTTP/1.1 200 " + b"a" * 66000 + b"\r\n"
    yield "chunked", b"1;" + b"a" * 255 + b"\r\nx\r\n" + (b"1;" + b"a" * 250 + b"\r\nx\r\n") * 64 + b"1;\r\n"
    for body in BODIES:
        # Whole bodies too: what is let through by mistake shows once something ends it.
        for end in ("", "hello\r\n0\r\n\r\n", "0\r\n\r\n", "\n0\r\n\r\n", "\r\n\r\n"):
            yield "chunked", latin(body + end)
    for i, target in enumerate(TARGETS):
        for rules in {0, i & 3, 3}:
            yield "target", bytes([rules]) + target.encode()
    for routes in ROUTES:
        yield "route_patterns", routes.encode()
    for document in DOCUMENTS:
        # Wide bounds, narrow ones, and depth alone.
        for knobs in (0xFF, 0x09, 0xF9):
            yield "yaml", bytes([knobs]) + document.encode()
    yield "yaml", b"\xffa: \xff\n"
    yield "yaml", b"\xffa: 1\nb: \xc3"
    for frames in FRAMES:
        for knobs in (0, 2, 4, 6):
            yield "websocket", bytes([knobs]) + b"".join(masked(first, payload, KEY) for first, payload in frames)
        yield "websocket", bytes([3]) + b"".join(masked(first, payload, b"") for first, payload in frames)
    yield "websocket", b"\0" + masked(0x82, b"z" * 65_536, KEY)
    for head in HEADS:
        for knobs in (0, 1, 4):
            yield "websocket", bytes([knobs]) + head
    for offer in OFFERS:
        yield "websocket", bytes([0x80]) + latin(offer)
    for reply in REPLIES:
        for knobs in (0, 1):
            yield "resp", bytes([knobs]) + latin(reply)
    for place in PLACES:
        yield "resp", bytes([0x80]) + latin(place)
    for i, edits in enumerate(EDITS):
        fields = "Cookie: a\r\nX-A: 0\r\nAuthorization: x\r\nX-Request-Id: id\r\nDate: now\r\nContent-Length: 3\r\n"
        yield "header_filter", bytes([(i & 1) << 4]) + latin(f"{edits}\0POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
        yield "header_filter", bytes([0x40]) + latin(f"{edits}\0HTTP/1.1 200 OK\r\n{fields}\r\n")
    for i, text in enumerate(
        (
            "X-A|1|a detail|body",
            'Content-Type|a/b|"\\\x01é|',
            "X|a\r\nb: c|d\r\ne|f",
            "Content-Length|5||",
            " |x|y|z",
            "Connection|close|a|b",
        )
    ):
        for knobs in (0x40, 0xC0, 0xE7, 0xC4 + i, 0x41 + 8 * i):
            yield "header_filter", bytes([knobs & 0xFF]) + text.encode()
    for target, texts in (("jws", _tokens()), ("jwks", KEY_SETS), ("base64url", BASE64URL)):
        for text in texts:
            yield target, text.encode()
    for text in CREDENTIALS:
        yield "credentials", latin(text)


def store(target: str, data: bytes) -> Path:
    """Where the corpus keeps an input."""
    return CORPUS / target / hashlib.sha1(data, usedforsecurity=False).hexdigest()


def main() -> None:
    """Writes those that are not there."""
    for target, data in seeds():
        path = store(target, data)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


if __name__ == "__main__":
    main()
