"""Writes what a wheel is made of as CycloneDX 1.6 JSON: the crates compiled in, and the Python packages it asks for.

setup.py puts it into `.dist-info/sboms` of every wheel (PEP 770). Cargo says which crates a build for this platform
uses, Cargo.lock gives their checksums, pyproject.toml the Python requirements. The same tree gives the same bytes: no
time, no chance, no path of this machine. It needs Python and cargo alone, because it also runs where a user builds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tomllib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

WORKSPACE = Path("rust_ext")
SHIPPED = ("fastgate-py", "fastgate-engine", "fastgate-loadgen")
"""The workspace's crates that a wheel holds: the extension module and the programs of `fastgate bench`."""
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
_LINE = re.compile(r"(?P<depth>\d+)\|(?P<name>\S+) v(?P<version>\S+)(?P<more>[^|]*)\|(?P<licence>[^|]*)\|(?P<home>\S*)")


class SbomError(Exception):
    """The list could not be made."""


@dataclass(slots=True)
class Crate:
    """One crate as a build uses it."""

    name: str
    version: str
    licence: str
    home: str
    own: bool
    uses: set[str] = field(default_factory=set)

    @property
    def ref(self) -> str:
        """Its package URL; a crate of ours is told apart by its name alone."""
        return f"pkg:cargo/{self.name}@{self.version}"


def crates(root: Path) -> dict[str, Crate]:
    """Every crate that the shipped ones link or expand, by package URL; build scripts and tests are left out.

    Raises:
        SbomError: cargo could not say.
    """
    command = [os.environ.get("CARGO", "cargo"), "tree", "--locked", "--edges", "normal", "--prefix", "depth"]
    command += ["--format", "|{p}|{l}|{r}", "--color", "never", "--manifest-path", str(root / WORKSPACE / "Cargo.toml")]
    command += [word for name in SHIPPED for word in ("--package", name)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    if said.returncode != 0:
        raise SbomError(f"cargo tree: {said.stderr.strip()}")
    found = tree(said.stdout)
    if missing := [name for name in SHIPPED if not any(crate.name == name for crate in found.values())]:
        raise SbomError(f"cargo tree does not name {', '.join(missing)}")
    return found


def tree(text: str) -> dict[str, Crate]:
    """Reads `cargo tree --prefix depth --format '|{p}|{l}|{r}'`.

    Raises:
        SbomError: a line is of another shape.
    """
    found: dict[str, Crate] = {}
    above: list[Crate] = []
    for line in filter(None, text.splitlines()):
        match = _LINE.match(line)
        if match is None:
            raise SbomError(f"cargo tree says {line!r}")
        # Cargo marks a crate of the workspace by its path.
        fresh = Crate(match["name"], match["version"], match["licence"], match["home"], own="(/" in match["more"])
        crate = found.setdefault(fresh.ref, fresh)
        del above[int(match["depth"]) :]
        if above:
            above[-1].uses.add(crate.ref)
        above.append(crate)
    return found


def checksums(lock: Path) -> dict[str, str]:
    """The SHA-256 of each locked crate's archive, by package URL."""
    packages = tomllib.loads(lock.read_text(encoding="utf-8"))["package"]
    return {f"pkg:cargo/{p['name']}@{p['version']}": p["checksum"] for p in packages if p.get("source") == REGISTRY}


def document(root: Path) -> str:
    """The whole list as JSON text.

    Raises:
        SbomError: cargo could not say, or a crate from elsewhere has no checksum in Cargo.lock.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    own = f"pkg:pypi/{project['name']}@{project['version']}"
    found, known = crates(root), checksums(root / WORKSPACE / "Cargo.lock")
    python = [_requirement(text) for text in project["dependencies"]]
    for extra, texts in sorted(project.get("optional-dependencies", {}).items()):
        python += [_requirement(text, extra) for text in texts]
    shipped = sorted(ref for ref, crate in found.items() if crate.name in SHIPPED)
    asked = sorted(component["bom-ref"] for component in python if component["scope"] == "required")
    graph = {own: [*shipped, *asked]} | {ref: sorted(crate.uses) for ref, crate in found.items()}
    body = {
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": project["name"],
                "version": project["version"],
                "purl": own,
                "licenses": [{"expression": project["license"]}],
            }
        },
        "components": [*(_crate(crate, known) for _, crate in sorted(found.items())), *python],
        "dependencies": [{"ref": ref, "dependsOn": uses} for ref, uses in sorted(graph.items())],
    }
    serial = uuid.UUID(bytes=hashlib.sha256(json.dumps(body).encode()).digest()[:16], version=4)
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": f"urn:uuid:{serial}", "version": 1}
    return json.dumps({**head, **body}, indent=1, ensure_ascii=False) + "\n"


def _crate(crate: Crate, known: Mapping[str, str]) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": crate.ref,
        "name": crate.name,
        "version": crate.version,
        "scope": "required",
        "licenses": [{"expression": crate.licence.replace("/", " OR ")}],
    }
    if crate.own:
        return component
    if crate.ref not in known:
        raise SbomError(f"{crate.name} {crate.version} has no checksum in Cargo.lock")
    component |= {"hashes": [{"alg": "SHA-256", "content": known[crate.ref]}], "purl": crate.ref}
    if crate.home:
        component["externalReferences"] = [{"type": "vcs", "url": crate.home}]
    return component


def _requirement(text: str, extra: str | None = None) -> dict[str, Any]:
    """A Python package that is asked for, not shipped: which version runs is decided where it is installed."""
    name = re.match(r"[\w.-]+", text)
    if name is None:
        raise SbomError(f"{text!r} is no requirement")
    purl = f"pkg:pypi/{re.sub(r'[-_.]+', '-', name[0]).lower()}"
    properties = [{"name": "fastgate:requirement", "value": text}]
    if extra is not None:
        properties.append({"name": "fastgate:extra", "value": extra})
    return {
        "type": "library",
        "bom-ref": purl if extra is None else f"{purl}#{extra}",
        "name": name[0],
        "scope": "required" if extra is None else "optional",
        "purl": purl,
        "properties": properties,
    }


def main() -> int:
    """Prints the list for this checkout and platform."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).resolve().parents[1])
    try:
        sys.stdout.write(document(parser.parse_args().root))
    except SbomError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
