"""The names and labels in a PromQL expression, by a small reader: enough for the queries of our own dashboard."""

from __future__ import annotations

import re

_WORDS = {"by", "without", "sum", "min", "max", "count", "avg", "rate", "increase", "changes", "topk", "or", "and"}
_WORDS |= {"histogram_quantile", "label_values", "le", "on", "ignoring", "bool", "offset", "unless"}
_SELECTOR = re.compile(r"\b([a-zA-Z_:][\w:]*)\s*(?:\{([^}]*)\})?")
_GROUP = re.compile(r"\b(?:by|without)\s*\(([^)]*)\)")
_MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"(?:[^"\\]|\\.)*"')


def read(expression: str) -> tuple[set[tuple[str, frozenset[str]]], set[str]]:
    """Every metric with the labels it is asked by, and the labels that results are grouped by.

    Raises:
        ValueError: brackets do not close, or a matcher cannot be read.
    """
    _balanced(expression)
    grouped = {label.strip() for group in _GROUP.findall(expression) for label in group.split(",") if label.strip()}
    rest = _GROUP.sub("", expression)
    metrics = set()
    for match in _SELECTOR.finditer(re.sub(r"\[[^\]]*\]", "", rest)):
        name, matchers = match[1], match[2]
        if name in _WORDS and matchers is None:
            continue
        left = _MATCHER.sub("", matchers or "").replace(",", "").strip()
        if left:
            raise ValueError(f"{left!r} in {expression!r}")
        metrics.add((name, frozenset(_MATCHER.findall(matchers or ""))))
    return metrics, grouped


def _balanced(expression: str) -> None:
    closing = {")": "(", "]": "[", "}": "{"}
    opened: list[str] = []
    for char in re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression):
        if char in closing.values():
            opened.append(char)
        elif char in closing and (not opened or opened.pop() != closing[char]):
            raise ValueError(f"{char!r} closes nothing in {expression!r}")
    if opened:
        raise ValueError(f"{opened[-1]!r} is not closed in {expression!r}")
