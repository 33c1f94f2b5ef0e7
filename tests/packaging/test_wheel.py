"""What is in the sdist and the wheel: whole, small, and the same from a clone and from the sdist."""

from __future__ import annotations

import email
import json
import os
import re
import sys
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from shipped import PROFILE, ROOT, Built, absent, run

sys.path.insert(0, str(ROOT / "tools"))

import sbom

pytestmark = pytest.mark.timeout(1800)
PROGRAMS = ("fastgate-engine", "fastgate-floor", "fastgate-load", "fastgate-origin")
BUILT = re.compile(r"fastgate/_(core|engine)\.[\w.-]+\.so")
LINUX = sys.platform == "linux"
SYSTEM = re.compile(r"(libc|libm|libgcc_s|libpthread|libdl|librt|ld-linux[\w-]*)\.so[.\d]*")


def needed(name: str) -> bool:
    """Whether the build of a wheel needs a file of the repository."""
    if name.startswith("rust_ext/fuzz/corpus/") or name.endswith(".gitignore"):
        return False
    roots = ("src/", "rust_ext/", "setup.py", "pyproject.toml", "MANIFEST.in", "LICENSE", "README.md", "CHANGELOG.md")
    return name.startswith((*roots, ".cargo/", "tools/sbom.py"))


def test_the_sdist_holds_what_a_build_needs_byte_by_byte(built: Built) -> None:
    names = [name for name in built.tracked if needed(name)]
    assert len(names) > 150
    missing = [name for name in names if not (built.unpacked / name).exists()]
    assert not missing
    differing = [name for name in names if (built.unpacked / name).read_bytes() != (built.clone / name).read_bytes()]
    assert not differing


def test_the_sdist_holds_nothing_built_and_no_tests(built: Built) -> None:
    inside = {path.relative_to(built.unpacked).as_posix() for path in built.unpacked.rglob("*") if path.is_file()}
    known = {name for name in built.tracked if needed(name)}
    own = {"PKG-INFO", "setup.cfg"}
    # `build/` and the .c file come from building the wheel here, after the sdist was unpacked.
    extra = {n for n in inside - known - own if not n.startswith(("build/", "src/fastgate.egg-info/"))}
    assert not extra


def test_a_wheel_from_the_sdist_is_the_same(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as first, zipfile.ZipFile(built.from_sdist) as second:
        assert built.wheel.name == built.from_sdist.name
        assert sorted(first.namelist()) == sorted(second.namelist())
        for name in first.namelist():
            if name.endswith("/RECORD"):
                continue
            mode = [archive.getinfo(name).external_attr >> 16 & 0o777 for archive in (first, second)]
            assert mode[0] == mode[1], name
            if not BUILT.fullmatch(name):  # the linker's and Cython's work names the folder it was done in
                assert first.read(name) == second.read(name), name


def test_the_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    sources = {n.removeprefix("src/") for n in built.tracked if n.startswith("src/fastgate/")}
    wanted = {n for n in sources if not n.endswith((".pyx", ".pxd", ".pxi")) and not n.endswith("README.md")}
    assert {"fastgate/py.typed", "fastgate/_core.pyi", "fastgate/_engine.pyi", "fastgate/testing.py"} <= wanted
    inside = {name for name in built.names if not name.startswith(built.metadata)}
    modules = {BUILT.fullmatch(name)[1] for name in inside if BUILT.fullmatch(name)}  # type: ignore[index]
    assert modules == {"core", "engine"}
    programs = {f"fastgate/_bin/{name}" for name in PROGRAMS} if LINUX else set()
    assert {name for name in inside if not BUILT.fullmatch(name)} == wanted | programs


@pytest.mark.skipif(not LINUX, reason="the programs are shipped on Linux")
def test_the_programs_can_be_run(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        for name in PROGRAMS:
            assert archive.getinfo(f"fastgate/_bin/{name}").external_attr >> 16 & 0o111 == 0o111


def test_the_wheel_is_small(built: Built) -> None:
    if PROFILE != "release":
        pytest.skip("a dev build is not small")
    # Docs: decision 0016 says what it is made of.
    assert built.wheel.stat().st_size < 12 << 20
    with zipfile.ZipFile(built.wheel) as archive:
        assert sum(info.file_size for info in archive.infolist()) < 30 << 20


def test_the_metadata_has_floors_only(built: Built) -> None:
    metadata = email.message_from_bytes(built.read("*/METADATA"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["Name"] == "fastgate"
    assert metadata["Version"] == project["version"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata.get_all("Provides-Extra") == ["admin", "redis", "telemetry"]
    asked = metadata.get_all("Requires-Dist") or []
    assert len(asked) == len(project["dependencies"]) + sum(map(len, project["optional-dependencies"].values()))
    for requirement in (*asked, metadata["Requires-Python"]):
        specifier = requirement.partition(";")[0]
        assert re.fullmatch(r"[\w.-]*>=[\d.]+", specifier), f"{requirement}: a floor, and nothing but a floor"
    exact = re.findall(
        r"^([\w-]+)==([\d.]+)$", (ROOT / "tests" / "oldest.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    floors = {name: floor for name, _, floor in (text.partition(">=") for text in project["dependencies"])}
    assert {name: version.removesuffix(".0") for name, version in exact} == floors, "tests/oldest.txt is not the floors"
    assert built.read("*/entry_points.txt").decode().split() == [
        *("[console_scripts]", "fastgate", "=", "fastgate.cli:main"),
        *("[pytest11]", "fastgate", "=", "fastgate.pytest_plugin"),
    ]
    assert b"Apache License" in built.read("*/licenses/LICENSE")


# what it is made of


def test_the_wheel_says_what_it_is_made_of(built: Built) -> None:
    text = built.read("*/sboms/fastgate.cdx.json").decode()
    assert text == sbom.document(built.clone), "the list of the wheel is not that of this tree"
    listed = json.loads(text)
    by_name = {component["name"]: component for component in listed["components"]}
    assert {"tokio", "pyo3", "mimalloc", "rustix", "fastgate-core", "pydantic", "typer", "redis"} <= set(by_name)
    assert not {"proptest", "cc", "fastgate-fuzz"} & set(by_name), (
        "what only tests and build scripts use is not shipped"
    )
    locked = tomllib.loads((ROOT / "rust_ext" / "Cargo.lock").read_text(encoding="utf-8"))["package"]
    known = {(package["name"], package["version"]): package.get("checksum") for package in locked}
    crates = [c for c in listed["components"] if c["bom-ref"].startswith("pkg:cargo/")]
    assert len(crates) > 50
    for crate in crates:
        assert [known[crate["name"], crate["version"]]] == [
            h["content"] for h in crate.get("hashes", [{"content": None}])
        ]
    refs = {component["bom-ref"] for component in listed["components"]} | {"pkg:pypi/fastgate@0.1.0"}
    for entry in listed["dependencies"]:
        assert {entry["ref"], *entry["dependsOn"]} <= refs
    assert str(Path.home()) not in text
    assert str(ROOT) not in text


def test_the_list_is_valid_cyclonedx(built: Built) -> None:
    if find_spec("cyclonedx") is None:
        absent("cyclonedx-python-lib is not installed")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    validator = JsonStrictValidator(SchemaVersion.V1_6)
    listed = json.loads(built.read("*/sboms/fastgate.cdx.json"))
    assert validator.validate_str(json.dumps(listed)) is None
    broken = listed | {"components": [listed["components"][0] | {"type": "librari"}], "dependencies": []}
    assert validator.validate_str(json.dumps(broken)) is not None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("0|a v1 (/x)|MIT|\n1|b|MIT|\n", "cargo tree says '1|b|MIT|'"), ("nonsense\n", "cargo tree says 'nonsense'")],
)
def test_a_tree_that_cannot_be_read_is_an_error(text: str, complaint: str) -> None:
    with pytest.raises(sbom.SbomError, match=re.escape(complaint)):
        sbom.tree(text)


def test_a_tree_becomes_a_graph() -> None:
    found = sbom.tree(
        "0|own v0.1.0 (/there/own)|Apache-2.0|\n1|a v1.0.0|MIT/Zlib|https://example.org/a\n"
        "2|b v2.0.0 (proc-macro)|MIT|\n1|b v2.0.0 (proc-macro)|MIT| (*)\n"
        "0|other v0.1.0 (/there/other)|MIT|\n1|a v1.0.0|MIT/Zlib|https://example.org/a (*)\n"
    )
    uses = {crate.name: sorted(crate.uses) for crate in found.values()}
    a, b = "pkg:cargo/a@1.0.0", "pkg:cargo/b@2.0.0"
    assert uses == {"own": [a, b], "a": [b], "b": [], "other": [a]}
    assert [crate.name for crate in found.values() if crate.own] == ["own", "other"]


# where it runs


@pytest.mark.skipif(not LINUX, reason="auditwheel is about Linux")
def test_auditwheel_finds_only_the_system_libraries(built: Built) -> None:
    if find_spec("auditwheel") is None:
        absent("auditwheel is not installed")
    said = " ".join(run(sys.executable, "-m", "auditwheel", "show", built.wheel, cwd=built.folder).split())
    tag = re.search(r'consistent with the following platform tag: "(\w+)"', said)
    assert tag is not None, said
    assert tag[1].startswith("manylinux_2_"), said
    libraries = re.findall(r"\b(?:lib[\w+-]+|ld-linux[\w-]*)\.so[.\d]*", said)
    assert not [name for name in libraries if not SYSTEM.fullmatch(name)], said
    print(said)


# from source, without what that needs


def refusal(built: Built, environment: dict[str, str]) -> str:
    pip = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index"]
    env = {"PATH": environment["PATH"], "HOME": str(built.folder / "nobody"), "FASTGATE_PROFILE": PROFILE}
    env |= {"CARGO_HOME": str(built.folder / "nobody"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    hidden = {name: "" for name in os.environ if name.startswith(("CARGO", "RUST"))}
    said = run(*pip, "--wheel-dir", built.folder / "none", built.sdist, cwd=built.folder, env=hidden | env, check=False)
    assert not (built.folder / "none").exists() or not list((built.folder / "none").iterdir())
    assert "Traceback" not in said, said
    sentences = [line.strip() for line in said.splitlines() if "needs Rust" in line]
    assert len(sentences) == 1, said
    return sentences[0]


def test_without_rust_one_sentence_says_so(built: Built, tmp_path: Path) -> None:
    assert refusal(built, {"PATH": str(tmp_path)}).endswith(
        "fastgate is being built from source and needs Rust 1.95 or newer, and there is none: install it from "
        "https://rustup.rs, or install a wheel built for your Python."
    )


def test_with_an_old_rust_too(built: Built, tmp_path: Path) -> None:
    (tmp_path / "cargo").write_text("#!/bin/sh\necho 'cargo 1.80.1 (376290515 2024-07-16)'\n", encoding="utf-8")
    (tmp_path / "cargo").chmod(0o755)
    assert "needs Rust 1.95 or newer, and this is Rust 1.80: install it" in refusal(built, {"PATH": str(tmp_path)})
