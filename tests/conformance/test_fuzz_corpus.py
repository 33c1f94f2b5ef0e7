"""The stored corpus of the fuzz targets: named by content, small, and with every hand-written seed in it."""

import hashlib
import runpy
from pathlib import Path

FUZZ = Path(__file__).parents[2] / "rust_ext" / "fuzz"
FILES = sorted(path for path in (FUZZ / "corpus").glob("*/*") if path.is_file())


def test_files_are_named_by_their_sha1() -> None:
    assert FILES
    wrong = [path for path in FILES if hashlib.sha1(path.read_bytes(), usedforsecurity=False).hexdigest() != path.name]
    assert not wrong, "run rust_ext/fuzz/seeds.py, or merge with rust_ext/fuzz/fuzz.sh"


def test_every_hand_written_seed_is_stored() -> None:
    module = runpy.run_path(str(FUZZ / "seeds.py"))
    missing = {module["store"](target, data) for target, data in module["seeds"]()} - set(FILES)
    assert not missing, "run rust_ext/fuzz/seeds.py"


def test_corpus_stays_under_two_mebibytes() -> None:
    assert sum(path.stat().st_size for path in FILES) < 2 * 1024 * 1024
