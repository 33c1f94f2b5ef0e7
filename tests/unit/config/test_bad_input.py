"""Input that is no config at all: refused with one clear sentence, in bounded memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastgate import config
from fastgate.errors import ConfigError

GOOD = b"routes:\n  app:\n    match:\n      prefix: /\n    to: http://127.0.0.1:9000\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def errors(name: str, data: bytes | None = None) -> list[str]:
    if data is not None:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(data)
    with pytest.raises(ConfigError) as caught:
        config.load(name, environ={})
    return [str(finding) for finding in caught.value.findings]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("nul.yaml", b"routes:\n  a\x00b: 1\n", "nul.yaml:2:4: not YAML: found unprintable character"),
        ("nul.toml", b'workers = "\x00"\n', "nul.toml:1:12: not TOML: Illegal character '\\x00'"),
        ("tab.yaml", b"routes:\n\ta: 1\n", "tab.yaml:2:2: not YAML: tabs disallowed"),
        ("utf16.yaml", "workers: 2\n".encode("utf-16"), "utf16.yaml:1:1: this byte is not UTF-8"),
        ("latin.yaml", b"workers: 2\n# caf\xe9\n", "latin.yaml:2:6: this byte is not UTF-8"),
        ("latin.toml", b"workers = 2\n# caf\xe9\n", "latin.toml:2:6: this byte is not UTF-8"),
        ("list.yaml", b"- a\n- b\n", "list.yaml:1:1: found a list; allowed: a mapping of keys"),
        ("text.yaml", b"hello\n", 'text.yaml:1:1: found "hello"; allowed: a mapping of keys'),
        ("two.yaml", b"workers: 1\n---\nworkers: 2\n", "two.yaml:2:1: a second document"),
        ("quote.yaml", b'workers: "1\nroutes:\n', "quote.yaml:1:10: not YAML: invalid indentation in quoted scalar"),
        ("anchor.yaml", b"a: &x 1\nb: *x\n", "anchor.yaml:1:4: a: an anchor"),
        ("tag.yaml", b"a: !!python/object:os.system x\n", "tag.yaml:1:4: a: a tag"),
        ("merge.yaml", b"a:\n  <<: {b: 1}\n", "merge.yaml:2:3: a: a merge key"),
        ("deep.yaml", b"".join(b" " * n + b"a:\n" for n in range(100)), "deep.yaml:64:64: a.a.a.a"),
        ("flow.yaml", b"a: " + b"[" * 100_000, "flow.yaml:1:"),
        ("deep.toml", b"a = " + b"[" * 80 + b"]" * 80, "deep.toml:1: nested deeper than 64 levels"),
        ("deeper.toml", b"a = " + b"[" * 100_000, "deeper.toml: nested deeper than 64 levels"),
        ("open.toml", b'a = """\n\n', "open.toml:3: not TOML: Unterminated string"),
        ("twice.yaml", b"workers: 1\nlimits: {}\nworkers: 2\n", "written on line 1 and again on line 3"),
        ("twice.json", b'{"workers": 1,\n"workers": 2}', "written on line 1 and again on line 2"),
        ("twice.toml", b"workers = 1\n[limits]\nuri='1KiB'\nuri='2KiB'\n", "written on line 3 and again on line 4"),
        ("table.toml", b"[limits]\n[shutdown]\n[limits]\n", "written on line 1 and again on line 3"),
    ],
)
def test_refused_in_one_sentence(name: str, data: bytes, said: str) -> None:
    (error,) = errors(name, data)
    assert said in error


@pytest.mark.parametrize("name", ["a.yaml", "a.json"])
def test_byte_order_marks_and_line_ends_are_read(name: str) -> None:
    text = b'{"routes": {"app": {"match": {"prefix": "/"},\n"to": "x"}}}' if name == "a.json" else GOOD
    for data in (b"\xef\xbb\xbf" + text, text.replace(b"\n", b"\r\n"), text.replace(b"\n", b"\r")):
        if name == "a.json":
            (error,) = errors(name, data)
            assert error.startswith("a.json:2:7: routes.app.to:")
        else:
            Path(name).write_bytes(data)
            assert list(config.load(name).config.routes) == ["app"]
            (error,) = errors(name, data.replace(b"http://", b""))
            assert error.startswith("a.yaml:5:9: routes.app.to:")


def test_byte_order_mark_in_toml() -> None:
    (error,) = errors("a.toml", b"\xef\xbb\xbfworkers = 2\r\n[limits]\r\nuri = 'x'\r\n")
    assert error.startswith('a.toml:3: limits.uri: found "x"')


def test_files_that_cannot_be_read() -> None:
    assert errors("none.yaml") == ["none.yaml: cannot be read: No such file or directory"]
    Path("folder.yaml").mkdir()
    assert errors("folder.yaml") == ["folder.yaml: a folder; allowed: a file"]
    assert errors("a\0b.yaml") == ['"a\\x00b.yaml": found a NUL byte in the name of a file']
    if os.geteuid() != 0:
        Path("secret.yaml").write_bytes(GOOD)
        Path("secret.yaml").chmod(0)
        assert errors("secret.yaml") == ["secret.yaml: cannot be read: Permission denied"]
    Path("loop.yaml").symlink_to("loop.yaml")
    assert "cannot be read" in errors("loop.yaml")[0]


def test_an_empty_file_is_an_empty_config() -> None:
    for data in (b"", b"# nothing\n", b"---\n", b"{}"):
        Path("a.yaml").write_bytes(data)
        (warning,) = config.load("a.yaml").warnings
        assert "no routes" in warning.message


def test_includes_that_go_round() -> None:
    Path("b.yaml").write_text("include: [a.yaml]\n")
    assert errors("a.yaml", b"include: b.yaml\n") == [
        'b.yaml:1:11: include.0: found "a.yaml": includes itself: a.yaml -> b.yaml -> a.yaml'
    ]
    assert errors("self.yaml", b"include: self.yaml\n")[0].endswith("includes itself: self.yaml -> self.yaml")


def test_includes_of_one_file_twice() -> None:
    Path("more.yaml").write_text("workers: 2\n")
    (error,) = errors("a.yaml", b"include: [more.yaml, ./more.yaml]\n")
    assert error == 'a.yaml:1:22: include.1: found "./more.yaml": more.yaml is included already'


def test_includes_deeper_than_the_bound() -> None:
    for number in range(12):
        Path(f"f{number}.yaml").write_text(f"include: f{number + 1}.yaml\n")
    (error,) = errors("f0.yaml")
    assert error == 'f8.yaml:1:10: include: found "f9.yaml": included deeper than 8 levels'


def test_patterns_that_match_nothing() -> None:
    (error,) = errors("a.yaml", b"include: ['routes/*.yaml']\n")
    assert error == (
        'a.yaml:1:11: include.0: found "routes/*.yaml": no such file; allowed: paths and patterns relative to this file'
    )
    assert "no such file" in errors("a.yaml", b'include: "a\\0b"\n')[0]


def test_more_files_than_the_bound() -> None:
    folder = Path("many")
    folder.mkdir()
    for number in range(1005):
        (folder / f"{number}.yaml").write_bytes(b"")
    assert errors("a.yaml", b"include: many/*.yaml\n") == ["many/998.yaml: more than 1000 files"]


def test_all_files_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastgate.config.source.MAX_BYTES", 1000)
    for name in ("b.yaml", "c.yaml"):
        Path(name).write_text(f"# {'x' * 700}\n")
    (error,) = errors("a.yaml", b"include: ['[bc].yaml']\n")
    assert error.startswith("c.yaml: all files together are larger than")


def test_what_variables_add_is_bounded() -> None:
    Path("a.yaml").write_text("".join(f"k{n}: ${{BIG}}\n" for n in range(2000)))
    with pytest.raises(ConfigError) as caught:
        config.load("a.yaml", environ={"BIG": "x" * 100_000})
    said = [finding.message for finding in caught.value.findings if "32 MiB" in finding.message]
    assert said == ["variables make the config larger than 32 MiB"]


LIMITED = """
import resource, sys
from fastgate import config
with open("/proc/self/statm") as file:
    size = int(file.read().split()[0]) * resource.getpagesize()
limit = size + int(sys.argv[2]) * 1024 * 1024
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    config.load(sys.argv[1])
except config.ConfigError as error:
    print(error)
"""

BOMBS = {
    "laughs.yaml": (
        b"a0: &a0 [x, x]\n" + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 64)),
        "an anchor",
    ),
    "large.yaml": (None, "larger than 32 MiB"),
    "large.toml": (None, "larger than 4 MiB"),
    "keys.yaml": (b"".join(b"k%d:\n" % n for n in range(2_100_000)), "more than 2000000 keys and values"),
    "flow.yaml": (b"a: " + b"[{b: " * 200_000, "flow.yaml:1:"),
    "quotes.yaml": (b'a: "' + b"\\\\" * 1_000_000, "not YAML"),
    "comment.yaml": (b"#" * (8 << 20), "no routes"),
    "long.yaml": (b"a: " + b"x" * (4 << 20), "unknown key"),
    "dots.toml": (b"a" + b".a" * 200_000 + b" = 1", "nested deeper"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS binds on Linux")
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_in_bounded_memory(name: str) -> None:
    data, said = BOMBS[name]
    if data is None:
        with Path(name).open("wb") as file:
            file.truncate(100 * 1024 * 1024)
    else:
        Path(name).write_bytes(data)
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, name, "400"], capture_output=True, text=True, check=False, env=os.environ.copy()
    )
    assert run.returncode == 0, run.stderr[-500:]
    assert said in run.stdout or (not run.stdout and said == "no routes")
    assert len(run.stdout) < 2000
