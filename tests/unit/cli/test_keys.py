"""`fastgate keys`: made, listed, imported and revoked, one writer at a time; passwords hashed."""

from __future__ import annotations

import hashlib
import hmac
import json
import stat
import threading
from pathlib import Path

import pytest
from harness.product import COMMAND, environment, shell

from fastgate.config import keys_file
from fastgate.config.keys_file import Key
from fastgate.errors import StartError
from fastgate.primitives import api_key_kind, hash_password, make_api_key


def piped(text: str, *words: str, folder: Path, env: dict[str, str] | None = None) -> tuple[int, str]:
    """Exit code and output of a command that reads from its standard input."""
    import subprocess

    done = subprocess.run(
        [*COMMAND, *words],
        input=text,
        cwd=folder,
        env=environment(folder, env),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_keys_have_their_form() -> None:
    keys = {make_api_key() for _ in range(50)}
    assert len(keys) == 50
    assert {(len(key), key[:6], api_key_kind(key)) for key in keys} == {(55, "fg_ak_", "api")}
    assert api_key_kind(make_api_key("publish")) == "publish"
    (one, *_) = keys
    assert [api_key_kind(text) for text in (one[:-1], one + "0", "", "x" * 55)] == [None] * 4


def test_a_password_is_hashed() -> None:
    first, second = hash_password("a"), hash_password("a")
    assert first != second
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


def test_create_list_revoke(tmp_path: Path) -> None:
    words = ["--file", "keys.jsonl", "--consumer", "acme", "--expires", "90d", "--scopes", "read, write"]
    done = shell("keys", "create", "acme-1", *words, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    key = done.stdout.splitlines()[0]
    assert api_key_kind(key) == "api"
    file = tmp_path / "keys.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    line = json.loads(file.read_text())
    assert line["hash"] == f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"
    assert (line["name"], line["consumer"], line["scopes"]) == ("acme-1", "acme", ["read", "write"])
    assert key not in file.read_text()
    again = shell("keys", "create", "acme-1", "--file", "keys.jsonl", folder=tmp_path)
    assert again.returncode == 1
    assert "there is a key acme-1 already" in again.stderr
    listed = shell("keys", "list", "--file", "keys.jsonl", folder=tmp_path).stdout
    assert "acme-1" in listed
    assert "live" in listed
    assert line["hash"] not in listed
    assert shell("keys", "revoke", "acme-1", "--file", "keys.jsonl", folder=tmp_path).returncode == 0
    assert file.read_text() == ""
    gone = shell("keys", "revoke", "acme-1", "--file", "keys.jsonl", folder=tmp_path)
    assert (gone.returncode, "there is no key acme-1" in gone.stderr) == (1, True)


def test_create_without_a_file_says_what_to_write(tmp_path: Path) -> None:
    said = shell("keys", "create", "acme-1", "--consumer", "acme", folder=tmp_path).stdout
    key, digest = said.splitlines()[0], hashlib.sha256(said.splitlines()[0].encode()).hexdigest()
    assert api_key_kind(key) == "api"
    assert f'consumers:\n  acme:\n    api_keys:\n      acme-1: {{hash: "sha256:{digest}"}}' in said
    said = shell("keys", "create", "press", "--kind", "publish", folder=tmp_path).stdout
    assert "realtime:\n  api_keys:\n    press: {hash:" in said
    assert api_key_kind(said.splitlines()[0]) == "publish"


def test_a_key_of_others_needs_a_pepper(tmp_path: Path) -> None:
    (tmp_path / "fastgate.yaml").write_text(
        "key_pepper:\n  p1: env:PEPPER\nroutes:\n  a:\n    match: {path: /}\n    respond: {status: 204}\n"
    )
    code, said = piped("old-1 hunter2\n", "keys", "import", "--file", "keys.jsonl", folder=tmp_path)
    assert code == 1
    assert "line 1: old-1 is no key that fastgate made" in said
    assert "hunter2" not in said
    env = {"PEPPER": "a-pepper-of-some-length"}
    words = ["keys", "import", "--file", "keys.jsonl", "--pepper", "p1"]
    code, said = piped("old-1 hunter2\nold-2 hunter3\n", *words, folder=tmp_path, env=env)
    assert code == 0, said
    wanted = hmac.new(env["PEPPER"].encode(), b"hunter2", hashlib.sha256).hexdigest()
    first, second = keys_file.read(tmp_path / "keys.jsonl")
    assert (first.name, first.hash, second.name) == ("old-1", f"hmac-sha256:p1:{wanted}", "old-2")
    own = make_api_key()
    code, said = piped(f"{own}\n", "keys", "import", "mine", "--file", "keys.jsonl", folder=tmp_path)
    assert code == 0, said
    assert keys_file.read(tmp_path / "keys.jsonl")[2].hash == keys_file.stored(own)


def test_password_writes_a_line(tmp_path: Path) -> None:
    code, said = piped("secret\n", "keys", "password", "anna", folder=tmp_path)
    assert code == 0
    assert said.startswith("anna:$argon2id$")
    for expected in ("added", "changed"):
        code, said = piped("secret\n", "keys", "password", "anna", "--file", "users", folder=tmp_path)
        assert (code, expected in said, "secret" in said) == (0, True, False)
    assert len((tmp_path / "users").read_text().splitlines()) == 1


def test_writers_wait_for_each_other(tmp_path: Path) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text("# ours\n")

    def add(number: int) -> None:
        for n in range(5):
            keys_file.add(file, [Key(f"k{number}-{n}", f"sha256:{number * 10 + n:064x}")])

    threads = [threading.Thread(target=add, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(keys_file.read(file)) == 20
    assert file.read_text().startswith("# ours\n")
    keys_file.remove(file, ["k0-0", "k3-4"])
    assert len(keys_file.read(file)) == 18
    with pytest.raises(StartError, match="there is no key nobody"):
        keys_file.remove(file, ["k1-1", "nobody"])
    assert len(keys_file.read(file)) == 18


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"name":"a"}', '{"name":1,"hash":"b"}', '{"name":"a","hash":"b","canary":"c"}']
)
def test_a_wrong_line_is_named_and_not_shown(tmp_path: Path, line: str) -> None:
    file = tmp_path / "keys.jsonl"
    file.write_text(f"# one\n{line}\n")
    with pytest.raises(StartError, match="line 2: no key") as told:
        keys_file.read(file)
    assert "canary" not in str(told.value)


def test_without_a_gateway_the_work_is_done_and_no_record_is_said(tmp_path: Path) -> None:
    done = shell("keys", "create", "acme-1", "--file", "keys.jsonl", folder=tmp_path)
    assert (done.returncode, api_key_kind(done.stdout.splitlines()[0])) == (0, "api")
    assert done.stderr.startswith(f"no audit record: no gateway answers at {tmp_path}/control.sock")
    done = shell("keys", "revoke", "acme-1", "--file", "keys.jsonl", "--socket", "x.sock", folder=tmp_path)
    assert (done.returncode, done.stdout.partition(";")[0]) == (0, "revoked: acme-1")
    assert "no audit record: no gateway answers at x.sock" in done.stderr
    done = shell("keys", "create", "acme-2", "--file", "keys.jsonl", "--format", "json", folder=tmp_path)
    assert json.loads(done.stdout)["recorded"] is False
    assert "no audit record" in done.stderr
