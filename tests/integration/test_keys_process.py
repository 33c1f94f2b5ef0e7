"""API keys and Basic credentials of a running gateway: challenges, what targets get, files that reload, canaries."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Origin
from harness.client import Client, wait_for
from harness.origin import echo
from harness.product import Product, fetch, put, shell
from harness.requests import get

from fastgate.primitives import hash_password, make_api_key

PEPPER = "canary-pepper-of-some-length"
PASSWORD = "canary-password"

CONFIG = """
listeners:
  public: {{bind: "127.0.0.1:0"}}
admin: {{bind: "127.0.0.1:0"}}
metrics: {{bind: "127.0.0.1:0"}}
logs:
  access: {{to: stdout}}
  level: debug
key_pepper: {{p1: "env:PEPPER"}}
policies:
  auth:
    any_of:
      - api_key: {{header: X-API-Key, query: api_key, keys_file: {folder}/keys.jsonl}}
      - api_key: {{header: Authorization}}
      - basic: {{users_file: {folder}/users, realm: projects}}
    failures: {failures}
consumers:
  acme:
    groups: [partners]
    api_keys:
      acme-1: {{hash: "{hash}"}}
      gone: {{hash: "{gone}", expires: "2020-01-01T00:00:00Z"}}
  guest: {{}}
routes:
  app:
    match: {{prefix: /}}
    to: {url}
  open:
    match: {{prefix: /open}}
    to: {url}
    policies:
      auth: {{any_of: [{{api_key: {{header: X-API-Key}}}}], anonymous: guest}}
  free:
    match: {{prefix: /free}}
    to: {url}
    policies: {{auth: false}}
  kept:
    match: {{prefix: /kept}}
    to: {url}
    policies: {{forward_credentials: true}}
"""


def digest(key: str) -> str:
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def basic(name: str, password: str) -> bytes:
    return b"Authorization: Basic " + base64.b64encode(f"{name}:{password}".encode())


class Running:
    """A gateway with keys and users."""

    def __init__(self, folder: Path, origin: Origin, failures: str = "1000/m") -> None:
        self.key, self.gone, self.filed = make_api_key(), make_api_key(), make_api_key()
        self.folder = folder
        origin.script = echo
        put(folder / "users", f"anna:{hash_password(PASSWORD)}\nacme:{hash_password(PASSWORD)}\n")
        put(
            folder / "keys.jsonl", json.dumps({"name": "filed-1", "hash": digest(self.filed), "consumer": "new"}) + "\n"
        )
        text = CONFIG.format(
            folder=folder, url=origin.url, hash=digest(self.key), gone=digest(self.gone), failures=failures
        )
        put(folder / "fastgate.yaml", text)
        self.product = Product("fastgate.yaml", folder=folder, env={"PEPPER": PEPPER})

    def __enter__(self) -> Running:
        self.product.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self.product.__exit__(*raised)  # type: ignore[arg-type]

    def status(self, *lines: bytes, path: str = "/") -> int:
        with Client(self.product.address()) as client:
            return client.exchange(get(path.encode(), *lines)).status


@pytest.fixture
def running(tmp_path: Path, origin: Origin) -> Iterator[Running]:
    with Running(tmp_path, origin) as gateway:
        yield gateway


def key(text: str) -> bytes:
    return b"X-API-Key: " + text.encode()


def test_who_passes_and_who_does_not(running: Running) -> None:
    good = running.key
    for line in (key(good), key(running.filed), b"authorization: apikey " + good.encode(), basic("anna", PASSWORD)):
        assert running.status(line) == 200, line
    assert running.status(b"Authorization: Bearer " + good.encode()) == 200
    assert running.status(path=f"/?a=1&api_key={good}&b=2") == 200
    for lines in (
        [],
        [key(make_api_key())],
        [key(running.gone)],
        [key(good + "x")],
        [key(good), key(good)],
        [key(f"{good}, {good}")],
        [b"X-API-Key:"],
        [b"Authorization: Basic YTpi", b"Authorization: Basic YTpi"],
        [basic("anna", "wrong")],
        [basic("nobody", PASSWORD)],
        [b"Authorization: Basic !"],
        [b"Authorization: Digest a=b"],
    ):
        assert running.status(*lines) == 401, lines
    assert running.status(key(good), path=f"/?api_key={good}") == 401, "in two places"
    assert running.status(path="/free") == 200
    assert running.status(path="/open") == 200, "nobody in particular"
    assert running.status(key(make_api_key()), path="/open") == 401, "a bad key is not no key"


def test_a_refusal_says_what_is_wanted_and_nothing_of_why(running: Running) -> None:
    with Client(running.product.address()) as client:
        answer = client.exchange(get(b"/", key(make_api_key())))
        gone = client.exchange(get(b"/", key(running.gone)))
    assert answer.status == gone.status == 401
    assert answer.get_all("www-authenticate") == [
        b'ApiKey realm="api"',
        b'ApiKey realm="api"',
        b'Basic realm="projects", charset="UTF-8"',
    ]
    told, other = json.loads(answer.body), json.loads(gone.body)
    assert {**told, "request_id": 0} == {**other, "request_id": 0}
    running.product.wait_for("has expired")


def test_the_target_gets_no_credential_unless_it_shall(running: Running, origin: Origin) -> None:
    good = running.key.encode()
    assert running.status(key(running.key)) == 200
    assert running.status(b"Authorization: ApiKey " + good) == 200
    assert running.status(basic("anna", PASSWORD)) == 200
    assert running.status(path=f"/p?a=%7e&api_key={running.key}&b=;c") == 200
    assert running.status(path=f"/p?api_key={running.key}") == 200
    plain = b"".join(bytes(one.raw) for one in origin.connections)
    assert good not in plain
    assert b"uthorization" not in plain
    assert b"GET /p?a=%7e&b=;c HTTP/1.1" in plain
    assert running.status(key(running.key), path="/kept") == 200
    assert origin.requests[-1].get("x-api-key") == good


def test_files_reload(running: Running) -> None:
    second = make_api_key()
    file = running.folder / "keys.jsonl"
    before = file.read_text()
    put(file, before + json.dumps({"name": "filed-2", "hash": digest(second)}) + "\n")
    wait_for(lambda: running.status(key(second)) == 200, "the second key")
    assert running.status(key(running.filed)) == 200, "two live versions"
    put(file, json.dumps({"name": "filed-2", "hash": digest(second)}) + "\n")
    wait_for(lambda: running.status(key(running.filed)) == 401, "the first key's end")
    put(file, "{canary")
    running.product.wait_for("is refused; what it held before stays in use")
    assert running.status(key(second)) == 200
    assert running.status(basic("anna", PASSWORD)) == 200
    put(running.folder / "users", f"anna:{hash_password('another')}\n")
    wait_for(lambda: running.status(basic("anna", PASSWORD)) == 401, "the old password's end")
    assert running.status(basic("anna", "another")) == 200


def test_k2_guessing_is_slow_and_good_ones_still_pass(tmp_path: Path, origin: Origin) -> None:
    with Running(tmp_path, origin, failures="5/h") as running:
        assert running.status(basic("anna", PASSWORD)) == 200
        told = [running.status(key(make_api_key())) for _ in range(20)]
        assert told[:5] == [401] * 5
        assert set(told[5:]) == {429}
        assert running.status(basic("acme", PASSWORD)) == 429, "nothing costly is done"
        assert running.status(basic("anna", PASSWORD)) == 200, "known to be good"
        assert running.status(key(running.key)) == 200
        assert running.status() == 401
        with Client(running.product.address()) as client:
            answer = client.exchange(get(b"/", key("x")))
        assert 0 < int(answer.get("retry-after") or 0) <= 720


def test_canaries_are_in_no_log_metric_status_or_explanation(tmp_path: Path, origin: Origin) -> None:
    with Running(tmp_path, origin) as running:
        wrong = make_api_key()
        for lines, path in (
            ([key(running.key)], "/"),
            ([key(wrong)], "/"),
            ([], f"/?api_key={running.key}"),
            ([], f"/?api_key={wrong}&x=1"),
            ([basic("anna", PASSWORD)], "/"),
            ([basic("anna", PASSWORD + "2")], "/"),
            ([b"Authorization: Bearer " + wrong.encode()], "/"),
        ):
            running.status(*lines, path=path)
        words = [running.key, running.gone, running.filed, wrong, PEPPER, PASSWORD]
        words += [base64.b64encode(f"anna:{PASSWORD}".encode()).decode().rstrip("=")]
        metrics = running.product.address("metrics")
        seen = [fetch(f"http://{metrics}/metrics")[1]]
        env = {"PEPPER": PEPPER}
        for command in (
            ["status"],
            ["status", "--format", "json"],
            ["check", "--print-merged", "fastgate.yaml"],
            ["check", "--full", "fastgate.yaml"],
            ["explain", "fastgate.yaml", "GET", "/"],
            ["keys", "list", "--config", "fastgate.yaml"],
            ["keys", "list", "--file", "keys.jsonl", "--format", "json"],
        ):
            done: subprocess.CompletedProcess[str] = shell(*command, folder=tmp_path, env=env)
            assert done.returncode == 0, done.stderr
            seen.append(done.stdout + done.stderr)
    seen.append("\n".join(running.product.said))
    assert "/?api_key=[redacted]" in seen[-1] or "api_key=[redacted]" in seen[-1]
    for text in seen:
        for word in words:
            assert word not in text
    assert "no such key" in seen[-1], "the reason is for the log"


def test_what_cannot_be_read_is_refused_at_load(tmp_path: Path, origin: Origin) -> None:
    running = Running(tmp_path, origin)
    running.product.__enter__()
    running.product.__exit__(None, None, None)
    put(
        tmp_path / "users",
        "anna:$argon2id$v=19$m=999999,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc\n",
    )
    put(tmp_path / "keys.jsonl", '{"name": "a", "hash": "canary"}\n')
    done = shell("check", "fastgate.yaml", folder=tmp_path, env={"PEPPER": PEPPER})
    assert done.returncode == 1
    told = done.stdout + done.stderr
    assert "users: line 1: m=999999; allowed: 1024 to 65536" in told
    assert "keys.jsonl: line 1: hash: allowed: sha256:" in told
    assert "canary" not in told
    assert "users_file" in told
    assert "keys_file" in told
