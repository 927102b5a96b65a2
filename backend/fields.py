"""What configurations and plans share: checks of their fields, and the way to JSON types and back.

Every check raises a ``ConfigError`` that names the field, what was found in it and what was expected.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import types
import typing
from typing import Any, TypeVar

from backend.errors import ConfigError, unknown_name

T = TypeVar("T")

LARGEST_WHOLE = 2**32 - 1
"""No count and no seed of a plan is larger."""


def require(right: bool, value: object, where: str, expected: str) -> None:
    """Raise unless ``right``; ``value`` is what was found in the field ``where``."""
    if not right:
        found = repr(list(value)) if isinstance(value, tuple) else repr(value)
        raise ConfigError(found, where=where, expected=expected)


def above_zero(where: str, **values: float) -> None:
    """Raise for the first value that is not above 0."""
    for name, value in values.items():
        require(value > 0, value, f"{where}.{name}", "a number above 0")


def at_least(lowest: float, where: str, **values: float) -> None:
    """Raise for the first value below ``lowest``."""
    for name, value in values.items():
        require(value >= lowest, value, f"{where}.{name}", f"{lowest:g} or more")


def each_once(where: str, **values: tuple[object, ...]) -> None:
    """Raise for the first list that is empty or holds something twice."""
    for name, value in values.items():
        right = 0 < len(value) == len(set(value))
        require(right, value, f"{where}.{name}", "at least one entry, each once")


def seeds_of(where: str, seeds: tuple[int, ...]) -> None:
    """Raise unless ``seeds`` holds at least one seed, each once and none below 0, as ``--seed`` asks."""
    each_once(where, seeds=seeds)
    at_least(0, where, seeds=min(seeds))


def one_of(where: str, valid: tuple[str, ...], **values: str) -> None:
    """Raise for the first word that is not among the valid ones."""
    for name, value in values.items():
        if value not in valid:
            raise unknown_name(name, value, valid, f"{where}.{name}")


def shares(where: str, **values: float | tuple[float, ...]) -> None:
    """Raise for the first number, or list of numbers, that does not lie above 0 and up to 1."""
    for name, value in values.items():
        numbers = value if isinstance(value, tuple) else (value,)
        right = bool(numbers) and all(0 < number <= 1 for number in numbers)
        require(right, value, f"{where}.{name}", "above 0 to 1")


def to_dict(config: Any) -> dict[str, Any]:
    """A dataclass as plain JSON types."""
    return typing.cast("dict[str, Any]", json.loads(json.dumps(dataclasses.asdict(config))))


def from_dict(cls: type[T], values: dict[str, Any], where: str = "") -> T:
    """Build a dataclass from JSON types; fields that are left out keep their defaults.

    Args:
        cls: a dataclass of plain values, tuples and dataclasses.
        values: field name to value; lists become tuples, tables become nested configurations.
        where: what the values came from, for messages.

    Raises:
        ConfigError: unknown field, wrong type or value out of range.
    """
    where = where or cls.__name__
    hints = typing.get_type_hints(cls)
    known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise unknown_name("field", name, sorted(known), where)
    return cls(**{name: _convert(hints[name], value, f"{where}.{name}") for name, value in values.items()})


def _convert(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise ConfigError(repr(value), where=where, expected="a table")
        return from_dict(typing.cast("type[Any]", hint), value, where)
    origin = typing.get_origin(hint)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(repr(value), where=where, expected="a list")
        return tuple(_element(hint, item, f"{where}[{number}]") for number, item in enumerate(value))
    if origin in (types.UnionType, typing.Union):
        return value
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) < sys.float_info.max:
            raise ConfigError(repr(value), where=where, expected="a finite number")
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(repr(value), where=where, expected=f"a value of type {hint.__name__}")
    if hint is int:
        require(abs(value) <= LARGEST_WHOLE, value, where, f"a number up to {LARGEST_WHOLE:,}")
    return value


def _element(hint: Any, value: Any, where: str) -> Any:
    """One item of a list of type ``hint``; pairs of a name and a value become tuples as they are."""
    kind, *more = typing.get_args(hint)
    if more == [Ellipsis] and isinstance(kind, type):
        return _convert(kind, value, where)
    return tuple(value) if isinstance(value, list) else value
