"""Checks of what a scenario gives a fault: the value in the right type, or a ValueError that says what is allowed."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Any, TypeVar

from hal.frames import Vec3

__all__ = ["member", "number", "ranged", "share", "vector"]

T = TypeVar("T")


def number(name: str, value: Any) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(f"{name} is {value!r}; a finite number is needed")
    return float(value)


def ranged(name: str, value: Any, low: float, high: float) -> float:
    """A number within ``low..high``, both allowed."""
    given = number(name, value)
    if not low <= given <= high:
        raise ValueError(f"{name} is {value!r}; {low:g}..{high:g} is allowed")
    return given


def share(name: str, value: Any) -> float:
    """A number within 0..1."""
    return ranged(name, value, 0.0, 1.0)


def vector(name: str, value: Any) -> Vec3:
    """Three finite numbers."""
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise ValueError(f"{name} must be three numbers, got {value!r}")
    return (number(name, value[0]), number(name, value[1]), number(name, value[2]))


def member(what: str, name: Any, known: Iterable[T]) -> T:
    """The one of ``known`` that equals ``name``."""
    listed = list(known)
    if name not in listed:
        raise ValueError(f"no {what} {name!r}; there are: {', '.join(str(k) for k in listed) or 'none'}")
    return listed[listed.index(name)]
