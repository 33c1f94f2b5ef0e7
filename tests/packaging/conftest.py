"""Builds the sdist and two wheels once a run, with the Rust that the checkout has compiled already."""

from __future__ import annotations

import shutil
import sys
import tarfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import pytest
from shipped import PROFILE, ROOT, TARGET, Built, absent, run, tracked

# Cargo knows a crate by its path: in a copy of the tree it would build everything again. Each copy is compared with the
# checkout byte by byte, so what this hands over is what the copy's own build would have made.
CARGO = """#!{python}
import os, sys
words = ["{root}/" + word if word.startswith("rust_ext/") else word for word in sys.argv[1:]]
os.execv("{cargo}", ["{cargo}", *words])
"""


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    cargo = shutil.which("cargo")
    if cargo is None or shutil.which("git") is None or not (ROOT / ".git").exists():
        absent("a wheel is built with cargo from a git checkout")
    if find_spec("build") is None:
        absent("build is not installed")
    if PROFILE == "release" and not (TARGET / "release" / "lib_engine.so").is_file():
        absent("there is no release build to pack: `make test` makes it, or set FASTGATE_PROFILE=dev")
    folder = tmp_path_factory.mktemp("packaging")
    clone = folder / "clone"
    known = tracked()
    for name in known:
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, clone / name, follow_symlinks=False)
    shim = folder / "cargo"
    shim.write_text(CARGO.format(python=sys.executable, root=ROOT, cargo=cargo), encoding="utf-8")
    shim.chmod(0o755)
    build = [sys.executable, "-m", "build", "--no-isolation"]
    run(*build, "--sdist", "--outdir", folder / "sdist", cwd=clone)
    (sdist,) = (folder / "sdist").iterdir()
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    env = {"CARGO": str(shim), "CARGO_TARGET_DIR": str(TARGET), "FASTGATE_PROFILE": PROFILE}

    def wheel(tree: Path, place: str) -> Path:
        run(*build, "--wheel", "--outdir", folder / place, cwd=tree, env=env)
        (found,) = (folder / place).iterdir()
        return found

    with ThreadPoolExecutor() as both:
        first, second = both.map(wheel, (clone, unpacked), ("wheel", "from-sdist"))
    with zipfile.ZipFile(first) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    return Built(folder, clone, sdist, unpacked, first, second, known, names)


@pytest.fixture(scope="session", params=["newest", "oldest"])
def installed(built: Built, request: pytest.FixtureRequest) -> Path:
    """The folder of programs of a fresh environment, in which the wheel, what it asks for and pytest are installed."""
    constraints: list[str | Path] = []
    if request.param == "oldest":
        if sys.version_info >= (3, 13):
            pytest.skip("the oldest pydantic has no wheel for this Python: 3.11 and 3.12 test the floors")
        constraints = ["--constraint", ROOT / "tests" / "oldest.txt"]
    place = built.folder / request.param
    run(sys.executable, "-m", "venv", place, cwd=built.folder)
    clean = {"PYTHONPATH": "", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    pip = [place / "bin" / "python", "-m", "pip", "install", "--quiet", "--retries", "1", *constraints]
    said = run(*pip, built.wheel, "pytest", cwd=built.folder, env=clean, check=False)
    if not (place / "bin" / "fastgate").exists():
        if "No matching distribution" in said or "onnection" in said:
            absent("what the wheel asks for cannot be downloaded here")
        pytest.fail(f"pip install of the wheel: {said[-4000:]}", pytrace=False)
    return place / "bin"
