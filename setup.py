"""Builds the two compiled modules, `fastgate._engine` (Rust) and `fastgate._core` (Cython), into one wheel.

The programs that `fastgate bench` runs go with them, into `fastgate/_bin`, and a list of what was compiled in goes
into the wheel's metadata. Everything else about the package stands in pyproject.toml. `FASTGATE_PROFILE=dev` builds in
seconds instead of minutes, with the checks that a release leaves out.
"""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext
from setuptools_rust import Binding, RustExtension, Strip, build_rust

ROOT = Path(__file__).resolve().parent
WORKSPACE = "rust_ext/Cargo.toml"
PROFILE = os.environ.get("FASTGATE_PROFILE", "release")
# The rest of what `make bins` builds is for the benchmarks of a checkout.
PROGRAMS = ("fastgate-engine", "fastgate-floor", "fastgate-load", "fastgate-origin")
if PROFILE not in ("release", "dev"):
    raise SystemExit(f"FASTGATE_PROFILE is {PROFILE!r}: it must be 'release' or 'dev'")
RELEASE = PROFILE == "release"


def find_rust() -> None:
    """Puts rustup's usual place on the path when `cargo` is not there yet, and asks for its version.

    Raises:
        SystemExit: Rust is not installed, or too old; one sentence says what to do.
    """
    cargo = os.environ.get("CARGO", "cargo")
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "bin"
    if shutil.which(cargo) is None and (home / "cargo").exists():
        os.environ["PATH"] = f"{home}{os.pathsep}{os.environ.get('PATH', '')}"
    needed = re.search(r'^rust-version = "([\d.]+)"', (ROOT / WORKSPACE).read_text(encoding="utf-8"), re.MULTILINE)[1]
    there = "there is none"
    if shutil.which(cargo) is not None:
        said = subprocess.run([cargo, "--version"], capture_output=True, text=True, check=False)
        if found := re.search(r"\d+\.\d+", said.stdout):
            if _number(found[0]) >= _number(needed):
                return
            there = f"this is Rust {found[0]}"
        else:
            there = f"`{cargo} --version` fails: {' '.join(said.stderr.split()) or said.returncode}"
    raise SystemExit(
        f"fastgate is being built from source and needs Rust {needed} or newer, and {there}: install it from "
        "https://rustup.rs, or install a wheel built for your Python."
    )


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


class BuildExt(build_ext):
    """`build_ext` that translates anew each time: the directives below are no part of Cython's up-to-date check."""

    def finalize_options(self) -> None:
        """Settles the options."""
        super().finalize_options()
        self.force = True


class BuildRust(build_rust):
    """`build_rust` that asks for Rust first, and builds the programs beside the extension."""

    def run(self) -> None:
        """Builds every Rust extension, and for a wheel the programs."""
        find_rust()
        super().run()
        # In a checkout they are built by `make bins` and found where cargo leaves them. The floor needs epoll.
        if not self.inplace and sys.platform == "linux":
            self.build_programs(Path(self.get_finalized_command("build_ext").build_lib, "fastgate", "_bin"))

    def build_programs(self, place: Path) -> None:
        """What `fastgate bench` runs: the load client, test origin, floor and bare engine."""
        command = [self.cargo, "build", "--manifest-path", WORKSPACE, "--profile", PROFILE, "--locked"]
        command += [word for name in PROGRAMS for word in ("--bin", name)]
        command += ["--message-format", "json-render-diagnostics"]
        built = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if built.returncode != 0:
            raise SystemExit(f"fastgate's programs could not be built: {' '.join(command)}")
        place.mkdir(parents=True, exist_ok=True)
        for message in map(json.loads, built.stdout.splitlines()):
            if program := message.get("executable"):
                fresh = place / Path(program).name
                shutil.copy(program, fresh)
                if shutil.which("strip") is not None:
                    subprocess.run(["strip", str(fresh)], check=True)


class BdistWheel(bdist_wheel):
    """`bdist_wheel` that asks for Rust before it does anything, and adds the software bill of materials (PEP 770)."""

    def run(self) -> None:
        """Builds the wheel."""
        find_rust()
        super().run()

    def write_wheelfile(self, wheelfile_base: str, *rest: object, **more: object) -> None:
        """Writes WHEEL, and beside it what the wheel is made of."""
        super().write_wheelfile(wheelfile_base, *rest, **more)
        place = Path(wheelfile_base, "sboms")
        place.mkdir(exist_ok=True)
        document = runpy.run_path(str(ROOT / "tools" / "sbom.py"))["document"]
        place.joinpath("fastgate.cdx.json").write_text(document(ROOT), encoding="utf-8")


core = Extension(
    "fastgate._core",
    ["src/fastgate/_core.pyx"],
    extra_compile_args=["-O3", "-g0"] if RELEASE else ["-O1", "-g"],
    extra_link_args=["-Wl,-s"] if RELEASE and sys.platform == "linux" else [],
)

# Read by Cython's part of `build_ext`, so that asking for the metadata translates nothing.
core.cython_c_in_temp = True
core.cython_directives = {
    "language_level": "3",
    "boundscheck": not RELEASE,
    "wraparound": False,
    "initializedcheck": not RELEASE,
    "cdivision": True,
    "embedsignature": True,
    "warn.unreachable": True,
}

engine = RustExtension(
    "fastgate._engine",
    path="rust_ext/py/Cargo.toml",
    binding=Binding.PyO3,
    debug=False,
    args=["--profile", PROFILE],
    cargo_manifest_args=["--locked"],
    strip=Strip.All if RELEASE else Strip.No,
)

setup(
    ext_modules=[core],
    rust_extensions=[engine],
    cmdclass={"build_ext": BuildExt, "build_rust": BuildRust, "bdist_wheel": BdistWheel},
    zip_safe=False,
)
