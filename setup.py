"""Builds the two compiled modules, `fastgate._engine` (Rust) and `fastgate._core` (Cython), into one wheel.

Everything else about the package stands in pyproject.toml. `FASTGATE_PROFILE=dev` builds in seconds instead of minutes,
with the checks that a release leaves out.
"""

import os
import shutil
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools_rust import Binding, RustExtension, Strip, build_rust

PROFILE = os.environ.get("FASTGATE_PROFILE", "release")
if PROFILE not in ("release", "dev"):
    raise SystemExit(f"FASTGATE_PROFILE is {PROFILE!r}: it must be 'release' or 'dev'")
RELEASE = PROFILE == "release"


def find_cargo() -> None:
    """Puts rustup's usual place on the path when `cargo` is not there yet.

    Raises:
        SystemExit: Rust is not installed; one sentence says what to do.
    """
    cargo = os.environ.get("CARGO", "cargo")
    home = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo")) / "bin"
    if shutil.which(cargo) is None and (home / "cargo").exists():
        os.environ["PATH"] = f"{home}{os.pathsep}{os.environ.get('PATH', '')}"
    if shutil.which(cargo) is None:
        raise SystemExit(
            "fastgate is being built from source and needs Rust 1.95 or newer: install it from https://rustup.rs, "
            "or install a wheel built for your Python."
        )


class BuildRust(build_rust):
    """`build_rust` that asks for Rust in one sentence before anything else."""

    def run(self) -> None:
        """Builds every Rust extension."""
        find_cargo()
        super().run()


core = Extension(
    "fastgate._core",
    ["src/fastgate/_core.pyx"],
    extra_compile_args=["-O3", "-g0"] if RELEASE else ["-O1", "-g"],
    extra_link_args=["-Wl,-s"] if RELEASE and sys.platform == "linux" else [],
)

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
    ext_modules=cythonize(
        [core],
        build_dir="build/cython",
        force=True,  # the directives below are not part of Cython's own up-to-date check
        compiler_directives={
            "language_level": "3",
            "boundscheck": not RELEASE,
            "wraparound": False,
            "initializedcheck": not RELEASE,
            "cdivision": True,
            "embedsignature": True,
            "warn.unreachable": True,
        },
    ),
    rust_extensions=[engine],
    cmdclass={"build_rust": BuildRust},
    zip_safe=False,
)
