"""The YAML reader: the core schema, what it refuses, and that every position points at its text."""

from __future__ import annotations

import json
import math
from array import array
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastgate.config.source import parse_yaml
from fastgate.primitives import YamlError, load_yaml


def read(text: str) -> Any:
    return load_yaml(text.encode())[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("~", None),
        ("null", None),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-17", -17),
        ("1:30", "1:30"),
        ("2027-01-01", "2027-01-01"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("+.inf", math.inf),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("'true'", "true"),
        ('"7"', "7"),
        (".", "."),
        ("-", [None]),
        ("1.2.3", "1.2.3"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_core_schema(text: str, value: object) -> None:
    assert read(f"a: {text}" if not text.startswith("-") or text != "-" else "a:\n  -") == {"a": value}


@pytest.mark.parametrize(
    ("text", "line", "word"),
    [
        ("a: &x 1", 1, "anchor"),
        ("a: 1\nb: *x", 2, "put the value in quotes"),
        ("a: !!str 1", 1, "tag"),
        ("a:\n  <<: 1", 2, "merge key"),
        ("a: 1\n---\nb: 1", 2, "second document"),
        ("? [a]\n: 1", 1, "list or a mapping"),
        ("a: 1\nb: 2\na: 3", 3, "written on line 1 and again on line 3"),
        ("a: 99999999999999999999999999999999999999999999", 1, "too large"),
        (": 1", 1, "key is missing"),
        ("a: " + "[" * 100 + "]" * 100, 1, "nested deeper than 64"),
    ],
)
def test_refused(text: str, line: int, word: str) -> None:
    with pytest.raises(YamlError) as caught:
        read(text)
    ((found, _, _, sentence), *_) = caught.value.args[0]
    assert found == line
    assert word in sentence


def test_the_number_of_nodes_is_bounded() -> None:
    with pytest.raises(YamlError, match="more than 10 keys and values"):
        load_yaml(b"[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]", 64, 10)


def test_several_doubled_keys_are_all_named() -> None:
    with pytest.raises(YamlError) as caught:
        read("a:\n  x: 1\n  x: {y: 2, z: 3}\nb: 1\nb: 2")
    problems, value, positions = caught.value.args
    assert [(line, path) for line, _, path, _ in problems] == [(3, "a.x"), (5, "b")]
    assert value == {"a": {"x": 1}, "b": 1}
    assert len(array("I", positions)) == 2 * 7


# Characters beyond U+FFFF are two escapes in JSON: read_source() takes care of them (test_load.py).
TEXT = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"])
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(TEXT, max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(TEXT, min_size=1, max_size=6).filter(lambda k: k != "<<"), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(TEXT, min_size=1, max_size=6), PLAIN, max_size=5), st.sampled_from([None, 1, 2]))
def test_json_is_read_as_json(value: dict[str, Any], indent: int | None) -> None:
    assert read(json.dumps(value, indent=indent)) == value


NAMES = st.text("abcdefgh", min_size=1, max_size=5)
TREES = st.recursive(
    st.integers(0, 999) | NAMES,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
    max_leaves=12,
)


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for name, item in items for found in paths(item, (*path, name)))]


@given(st.dictionaries(NAMES, TREES, min_size=1, max_size=4))
def test_every_position_points_at_its_text(tree: dict[str, Any]) -> None:
    text = json.dumps(tree, indent=1)
    lines = text.splitlines()
    source = parse_yaml(text.encode(), "x")
    assert source.value == tree
    for path, place in source.places(paths(tree)).items():
        node: Any = tree
        for part in path:
            node = node[part]
        (key_line, key_column), (line, column) = place
        assert None not in (key_line, key_column, line, column)
        written = lines[(line or 0) - 1][(column or 0) - 1 :]
        assert written.startswith(("{", "[") if isinstance(node, (dict, list)) else json.dumps(node))
        if path and isinstance(path[-1], str):
            assert lines[(key_line or 0) - 1][(key_column or 0) - 1 :].startswith(json.dumps(path[-1]))
