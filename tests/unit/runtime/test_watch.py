"""Watching files: what counts as a change, and when."""

from __future__ import annotations

import os
from pathlib import Path

from fastgate.runtime.watch import MAX_RESTLESS, Watch


def watching(*files: Path, patterns: tuple[str, ...] = ()) -> Watch:
    watch = Watch()
    watch.follow([str(file) for file in files], patterns)
    assert not watch.poll()
    return watch


def settled(watch: Watch) -> bool:
    """A change is told at the second look, once, and then no more."""
    told = [watch.poll() for _ in range(4)]
    assert told.count(True) <= 1
    assert not told[0]
    return any(told)


def test_a_file_written_in_place_and_by_rename(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("one")
    watch = watching(file)
    file.write_text("longer")
    assert settled(watch)
    fresh = tmp_path / ".a.yaml.swp"
    fresh.write_text("longer")
    assert not settled(watch), "an editor's swap file is nobody's config"
    fresh.replace(file)
    assert settled(watch)


def test_an_editor_that_moves_the_old_file_away_first(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("one")
    watch = watching(file)
    file.rename(tmp_path / "a.yaml~")
    assert not watch.poll(), "gone for a moment"
    file.write_text("two")
    assert settled(watch)


def test_a_mounted_config_map(tmp_path: Path) -> None:
    """Kubernetes: a.yaml -> ..data/a.yaml, and ..data is a symlink to a folder that is swapped by a rename."""
    for name in ("..1", "..2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.yaml").write_text("same")
    (tmp_path / "..data").symlink_to("..1")
    file = tmp_path / "a.yaml"
    file.symlink_to("..data/a.yaml")
    watch = watching(file)
    (tmp_path / "..new").symlink_to("..2")
    os.replace(tmp_path / "..new", tmp_path / "..data")
    assert settled(watch)


def test_files_that_a_pattern_finds(tmp_path: Path) -> None:
    main = tmp_path / "a.yaml"
    main.write_text("one")
    watch = watching(main, patterns=(str(tmp_path / "routes" / "*.yaml"),))
    (tmp_path / "routes").mkdir()
    (tmp_path / "routes" / "r.yaml").write_text("r")
    assert settled(watch), "came"
    (tmp_path / "routes" / "r.yaml").unlink()
    assert settled(watch), "went"


def test_a_file_that_never_rests_counts_in_the_end(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("")
    watch = watching(file)
    told = []
    for number in range(MAX_RESTLESS + 1):
        file.write_text("x" * (number + 1))
        told.append(watch.poll())
    assert told.index(True) == MAX_RESTLESS - 1


def test_a_change_between_reading_and_following_is_found(tmp_path: Path) -> None:
    file, other = tmp_path / "a.yaml", tmp_path / "b.yaml"
    for one in (file, other):
        one.write_text("one")
    watch = watching(file)
    file.write_text("changed")
    watch.follow([str(file), str(other)], ())
    assert any(watch.poll() for _ in range(2))
