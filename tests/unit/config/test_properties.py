"""Properties that hold for any config: what is read and written is the same, and one wrong value is named exactly."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from fastgate import config
from fastgate.config import describe, units
from fastgate.config.describe import Anything, Keys, ListOf, MapOf, Off, OneOf, Scalar, Shape
from fastgate.config.findings import dotted
from fastgate.config.models import Config, Model
from fastgate.config.scalars import Kind
from fastgate.config.source import parse_yaml
from fastgate.errors import ConfigError

GOOD = sorted((Path(__file__).parent / "good").glob("*.yaml"))
TREES: dict[str, dict[str, Any]] = {path.stem: yaml.safe_load(path.read_text()) for path in GOOD}
ENVIRON = {"MAX_CONNS": "10", "PUBLISH_KEY": "a key of the tests", "REDIS_PASSWORD": "hunter2"}
KeyPath = tuple[str | int, ...]

DURATIONS = st.builds(lambda n, unit: f"{n}{unit}", st.integers(1, 500), st.sampled_from(["ms", "s", "m", "h"]))
SIZES = st.builds(lambda n, unit: f"{n}{unit}", st.integers(1, 5000), st.sampled_from(["B", "kB", "KiB", "MiB"]))
RATES = st.builds(lambda n, unit: f"{n}/{unit}", st.integers(1, 5000), st.sampled_from("smhd"))


def scalars(kind: Any, example: Any) -> st.SearchStrategy[Any]:
    """Values of a kind, as they are written."""
    schema = kind.schema
    if not isinstance(kind, Kind):
        return st.sampled_from(["env:NAME", "file:/path"])
    pools: list[st.SearchStrategy[Any]] = [st.just(one) for one in (example, kind.example) if one is not None]
    if "enum" in schema:
        pools.append(st.sampled_from(schema["enum"]))
    elif schema.get("type") == "integer":
        pools.append(st.integers(schema["minimum"], schema["maximum"]))
    elif schema.get("type") == "number":
        pools.append(st.floats(schema["minimum"], schema["maximum"]))
    elif schema.get("type") == "boolean":
        pools.append(st.booleans())
    # Only where one of them is read: what a filter throws away costs time.
    pools += [pool for pool, one in ((DURATIONS, "5s"), (SIZES, "64KiB"), (RATES, "9/s")) if reads(kind, one)]
    return st.one_of(pools).filter(lambda value: reads(kind, value)) if pools else st.nothing()


def reads(kind: Kind, value: Any) -> bool:
    try:
        kind.read(value)
    except PydanticCustomError:
        return False
    return True


def written(shape: Shape, example: Any, depth: int) -> st.SearchStrategy[Any]:
    match shape:
        case Scalar(kind):
            return scalars(kind, example if not isinstance(example, (list, dict)) else None)
        case ListOf(item):
            return st.lists(written(item, None, depth), min_size=1, max_size=2)
        case MapOf(key, value):
            return st.dictionaries(scalars(key.kind, None), written(value, None, depth), min_size=1, max_size=2)
        case Keys(model):
            return mappings(model, depth - 1)
        case OneOf(options):
            return st.one_of([written(one, example, depth) for one in options])
        case Off():
            return st.just(False)
        case Anything():
            return st.just("anything")


def mappings(model: type[Model], depth: int = 2) -> st.SearchStrategy[dict[str, Any]]:
    """What may be written for a model; deep parts stay out unless they must be there."""
    keys = describe.keys(model)
    needed = {key.name: written(key.shape, key.example, depth) for key in keys if key.required}
    more = {} if depth < 0 else {key.name: written(key.shape, key.example, depth) for key in keys if not key.required}
    return st.fixed_dictionaries(needed, optional=more)


CALM = settings(deadline=None, max_examples=8, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("model", describe.models(), ids=lambda model: model.__name__)
def test_a_model_written_and_read_again_is_the_same(model: type[Model]) -> None:
    @CALM
    @given(mappings(model))
    def same(mapping: dict[str, Any]) -> None:
        value = model.model_validate(mapping)
        again = describe.written(Keys(model), value)
        assert model.model_validate(again) == value
        assert model.model_validate(json.loads(json.dumps(again))) == value

    same()


def leaves(value: Any, shape: Shape, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Shape]]:
    """Every scalar of a written config with what it is read as."""
    found = describe.choose(shape, value)
    match found:
        case Keys(model) if isinstance(value, dict):
            for key in describe.keys(model):
                if key.name in value:
                    yield from leaves(value[key.name], key.shape, (*path, key.name))
        case MapOf(_, inner) if isinstance(value, dict):
            for name, item in value.items():
                yield from leaves(item, inner, (*path, name))
        case ListOf(item) if isinstance(value, list):
            for number, one in enumerate(value):
                yield from leaves(one, item, (*path, number))
        case Scalar():
            yield path, shape


def mutated(tree: Any, path: KeyPath, change: Any) -> Any:
    """The tree with the value at a path changed, everything else as it is."""
    if not path:
        return change(tree)
    part, *rest = path
    if isinstance(tree, list):
        return [mutated(one, tuple(rest), change) if n == part else one for n, one in enumerate(tree)]
    return {name: mutated(one, tuple(rest), change) if name == part else one for name, one in tree.items()}


def findings(tree: dict[str, Any], folder: Path) -> tuple[list[Any], str]:
    text = json.dumps(tree, indent=1)
    file = folder / "fastgate.json"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(file, environ=ENVIRON)
    return list(caught.value.findings), text


@pytest.mark.parametrize("name", TREES)
def test_one_wrong_value_is_one_error_that_names_it(name: str, tmp_path: Path) -> None:
    tree = TREES[name]
    spots = [path for path, shape in leaves(tree, Keys(Config)) if isinstance(shape, Scalar)]
    assert len(spots) >= 3

    @settings(CALM, max_examples=30)
    @given(st.sampled_from(spots))
    def named(path: KeyPath) -> None:
        # No scalar of the config is a list.
        found, text = findings(mutated(tree, path, lambda _: []), tmp_path)
        assert [one.path for one in found] == [dotted(path)]
        (place,) = parse_yaml(text.encode(), "x").places([path]).values()
        assert (found[0].line, found[0].column) == place.value
        assert text.splitlines()[found[0].line - 1][found[0].column - 1 :].startswith("[]")
        assert found[0].message.startswith("found a list")
        assert found[0].allowed

    named()


def models_in(value: Any, shape: Shape, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Every key of a model that is written, by its path."""
    found = describe.choose(shape, value)
    items: Any = ()
    if isinstance(found, Keys) and isinstance(value, dict):
        for key in describe.keys(found.model):
            if key.name in value:
                yield path, key.name
                yield from models_in(value[key.name], key.shape, (*path, key.name))
    elif isinstance(found, MapOf) and isinstance(value, dict):
        items, inner = value.items(), found.value
    elif isinstance(found, ListOf) and isinstance(value, list):
        items, inner = enumerate(value), found.item
    for part, item in items:
        yield from models_in(item, inner, (*path, part))


@pytest.mark.parametrize("name", TREES)
def test_one_misspelt_key_is_one_error_that_names_it_and_the_right_one(name: str, tmp_path: Path) -> None:
    tree = TREES[name]
    # Without these, references lead nowhere: more faults than one.
    spots = [(path, key) for path, key in models_in(tree, Keys(Config)) if path or key not in ("services", "listeners")]

    @settings(CALM, max_examples=30)
    @given(st.sampled_from(spots))
    def named(spot: tuple[KeyPath, str]) -> None:
        path, key = spot
        wrong = f"{key}q"
        change = mutated(tree, path, lambda at: {wrong if name == key else name: item for name, item in at.items()})
        found, text = findings(change, tmp_path)
        assert [one.path for one in found] == [dotted((*path, wrong))]
        assert found[0].nearest == key or len(key) < 3
        assert text.splitlines()[found[0].line - 1][found[0].column - 1 :].startswith(f'"{wrong}"')

    named()


PARTS = st.lists(
    st.tuples(st.integers(0, 10**6), st.integers(0, 999), st.sampled_from(list(units.DURATION_UNITS))), max_size=3
)


@settings(CALM, max_examples=100)
@given(PARTS)
def test_durations_against_exact_arithmetic(parts: list[tuple[int, int, str]]) -> None:
    text = "".join(f"{whole}.{fraction:03}{unit}" for whole, fraction, unit in parts)
    exact = sum(Fraction(f"{whole}.{fraction:03}") * units.DURATION_UNITS[unit] for whole, fraction, unit in parts)
    sizes = [units.DURATION_UNITS[unit] for _, _, unit in parts]
    falling = all(a > b for a, b in itertools.pairwise(sizes))
    each = all((Fraction(f"{w}.{f:03}") * units.DURATION_UNITS[u]).denominator == 1 for w, f, u in parts)
    assert units.parse_duration(text) == (int(exact) if parts and falling and each else None)


@settings(CALM, max_examples=100)
@given(st.integers(0, 10**9), st.integers(0, 999), st.sampled_from(list(units.SIZE_UNITS)))
def test_sizes_against_exact_arithmetic(whole: int, fraction: int, unit: str) -> None:
    exact = Fraction(f"{whole}.{fraction:03}") * units.SIZE_UNITS[unit]
    assert units.parse_size(f"{whole}.{fraction:03}{unit}") == (int(exact) if exact.denominator == 1 else None)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=6), inner, max_size=2),
    max_leaves=4,
)


@settings(CALM, max_examples=100)
@given(st.sampled_from([(model, key) for model in describe.models() for key in describe.keys(model)]), ANYTHING)
def test_any_value_is_read_or_refused(spot: tuple[type[Model], describe.Key], value: Any) -> None:
    shape = describe.choose(spot[1].shape, value)
    assume(isinstance(shape, Scalar) and isinstance(shape.kind, Kind))
    assert isinstance(shape, Scalar)
    reads(shape.kind, value)
    reads(shape.kind, "9" * 5000)
    reads(shape.kind, "\u0665\u0665")


@settings(CALM, max_examples=60)
@given(st.dictionaries(st.sampled_from([*describe.names(Keys(Config)), "other"]), ANYTHING, max_size=4))
def test_any_mapping_loads_or_is_a_config_error(value: dict[str, Any]) -> None:
    try:
        config.compile(config.from_mapping(value, environ={}))
    except ConfigError as error:
        said = [str(finding) for finding in error.findings]
    else:
        return
    assert all(said)
    assert said
