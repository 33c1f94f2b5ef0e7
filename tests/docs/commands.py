"""Commands that a test cannot run (they need a registry, a cluster, root): what they name is checked instead."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Callable

from pages import ROOT

IMAGE = re.compile(r"[a-z0-9./-]+:[\w.-]+")
PACKAGES = {"fastgate", "uvicorn", "pytest"}


def is_static(text: str) -> bool:
    """Whether the command is judged by what it names and not run."""
    return _checker(text) is not None


def fault(text: str) -> str | None:
    """What is wrong with a command that is not run; None if nothing is."""
    checker = _checker(text)
    return f"{text!r} is to be run" if checker is None else checker(_words(text))


def _words(text: str) -> list[str]:
    words = shlex.split(text, comments=True)
    while words and (words[0] == "sudo" or re.fullmatch(r"[A-Z_]+=\S*", words[0])):
        words.pop(0)
    return words


def _checker(text: str) -> Callable[[list[str]], str | None] | None:
    words = _words(text)
    if not words:
        return None
    name = words[0].rsplit("/", 1)[-1]
    if name in ("python", "python3") and words[1:2] == ["-m"]:
        name = _MODULES.get(words[2], name)
    return _CHECKERS.get(name)


def _make(words: list[str]) -> str | None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in [word for word in words[1:] if "=" not in word]:
        if not re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE):
            return f"the Makefile has no target {target}"
    return None


def _pip(words: list[str]) -> str | None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    names = words[words.index("install") + 1 :]
    for name in [name for name in names if not name.startswith("-") and name not in (".", "dist/*.whl")]:
        found = re.fullmatch(r"([\w-]+)(?:\[([\w,]+)\])?(?:[=<>~!]=?[\w.]+)?", name)
        if found is None or found[1] not in PACKAGES:
            return f"{name} is none of {', '.join(sorted(PACKAGES))}"
        unknown = set(filter(None, (found[2] or "").split(","))) - set(extras)
        if unknown:
            return f"there is no extra {', '.join(sorted(unknown))}"
    return None


def _cargo(words: list[str]) -> str | None:
    if "--manifest-path" in words and not (ROOT / words[words.index("--manifest-path") + 1]).is_file():
        return "there is no such manifest"
    packages = [tomllib.loads(file.read_text(encoding="utf-8")) for file in (ROOT / "rust_ext").glob("*/Cargo.toml")]
    names = {package["package"]["name"] for package in packages}
    asked = [words[at + 1] for at, word in enumerate(words) if word in ("-p", "--package")]
    unknown = set(asked) - names
    return f"there is no package {', '.join(unknown)}" if unknown else None


def _pytest(words: list[str]) -> str | None:
    """Paths of the repository must be there; the reader's own tests are run by their page."""
    paths = [word for word in words if word.startswith(("tests/", "bench/"))]
    gone = [path for path in paths if not (ROOT / path).exists()]
    return f"there is no {', '.join(gone)}" if gone else None


def _docker(words: list[str]) -> str | None:
    verb = words[1]
    if verb not in ("build", "run", "exec", "kill", "logs", "stop"):
        return f"docker {verb}?"
    if verb == "build":
        named = words[words.index("-f") + 1] if "-f" in words else "Dockerfile"
        if not (ROOT / named).is_file():
            return f"there is no {named}"
    if verb in ("build", "run") and not any(IMAGE.fullmatch(word) for word in words):
        return "no image with a tag is named"
    return None


def _kubectl(words: list[str]) -> str | None:
    verb = words[1]
    if verb not in ("apply", "rollout", "get", "logs", "port-forward", "create", "exec", "delete"):
        return f"kubectl {verb}?"
    for at, word in enumerate(words):
        if word in ("-f", "--filename") and not (ROOT / words[at + 1]).is_file():
            return f"there is no {words[at + 1]}"
    return None


def _systemd(words: list[str]) -> str | None:
    units = {file.name for file in (ROOT / "deploy").glob("*.s*")} | {
        file.stem for file in (ROOT / "deploy").glob("*.service")
    }
    verbs = ("daemon-reload", "enable", "start", "stop", "reload", "restart", "status", "verify", "security", "show")
    given = [word for word in words[1:] if not word.startswith("-")]
    if words[0] == "journalctl":
        given = ["show", words[words.index("-u") + 1]]
    if given[0] not in verbs:
        return f"{words[0]} {given[0]}?"
    unknown = [unit for unit in given[1:] if unit.rsplit("/", 1)[-1] not in units]
    return f"there is no unit {', '.join(unknown)}" if unknown else None


def _install(words: list[str]) -> str | None:
    """`install` and `cp`: files of the repository must be there."""
    gone = [word for word in words[1:] if word.startswith(("deploy/", "docs/")) and not (ROOT / word).is_file()]
    return f"there is no {', '.join(gone)}" if gone else None


def _module(words: list[str]) -> str | None:
    name = words[words.index("-m") + 1]
    place = ROOT / name.replace(".", "/")
    return None if (place / "__main__.py").is_file() else f"there is no program {name}"


def _anything(_: list[str]) -> str | None:
    return None


_MODULES = {"pip": "pip", "pytest": "pytest of the repository", "bench.load": "module", "venv": "git"}
_CHECKERS: dict[str, Callable[[list[str]], str | None]] = {
    "make": _make,
    "pip": _pip,
    "cargo": _cargo,
    "docker": _docker,
    "kubectl": _kubectl,
    "systemctl": _systemd,
    "systemd-analyze": _systemd,
    "journalctl": _systemd,
    "install": _install,
    "cp": _install,
    "module": _module,
    "pytest of the repository": _pytest,
    "useradd": _anything,
    "git": _anything,
}
