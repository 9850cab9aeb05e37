"""Faults of the rig's flight computer that a scenario can start: each is checked before anything flies.

Late, hung, hot, short of memory or room, slow, off in its calendar, without a medium, killed, or without supply. What
they do is in ``firmware_py.cli.rig_computer`` and ``firmware_py.cli.rig_restart``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from firmware_py.mission import FaultConfig

__all__ = ["COMPUTER_FAULTS", "LEAVING", "LOADING", "check_computer_fault"]

LONGEST_MS = 10_000.0
LONGEST_AWAY_S = 600.0
LARGEST_STEP_S = 1e8
"""Three years: a board that lost its battery clock and learns the date."""
MOST_MB = 1e6
MOST_K = 100.0


def _number(kind: str, parameters: Mapping[str, Any], name: str, low: float, high: float) -> None:
    value = parameters[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise ValueError(f"{kind}: {name} is {value!r}; {low:g} to {high:g} is allowed")


def _late(parameters: Mapping[str, Any]) -> None:
    _duration("cpu_late", parameters)
    ticks = parameters["ticks"]
    if isinstance(ticks, bool) or not isinstance(ticks, int) or not 1 <= ticks <= 1_000_000:
        raise ValueError(f"cpu_late: ticks is {ticks!r}; a whole number from 1 to 1000000 is allowed")


def _hang(parameters: Mapping[str, Any]) -> None:
    _duration("cpu_hang", parameters)


def _duration(kind: str, parameters: Mapping[str, Any]) -> None:
    ms = parameters["ms"]
    if isinstance(ms, bool) or not isinstance(ms, int | float) or not 0.0 < ms <= LONGEST_MS:
        raise ValueError(f"{kind}: ms is {ms!r}; above 0, up to 10000 is allowed")


def _hot(parameters: Mapping[str, Any]) -> None:
    _number("cpu_hot", parameters, "k", 0.0, MOST_K)


def _memory(parameters: Mapping[str, Any]) -> None:
    _number("memory_low", parameters, "mb", 0.0, MOST_MB)


def _disk(parameters: Mapping[str, Any]) -> None:
    _number("disk_low", parameters, "mb", 0.0, MOST_MB)


def _jump(parameters: Mapping[str, Any]) -> None:
    _number("clock_jump", parameters, "s", -LARGEST_STEP_S, LARGEST_STEP_S)


def _nothing(_parameters: Mapping[str, Any]) -> None:
    """A fault without parameters."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """Parameters, all needed; their check; why ``for_s`` has no meaning; how long ``for_s`` may be."""

    parameters: tuple[str, ...]
    check: Callable[[Mapping[str, Any]], None]
    no_end: str = ""
    longest_s: float | None = None


_KINDS: dict[str, _Kind] = {
    "cpu_late": _Kind(("ms", "ticks"), _late, "lasts for its ticks"),
    "cpu_hang": _Kind(("ms",), _hang, "lasts for its ms"),
    "cpu_hot": _Kind(("k",), _hot),
    "memory_low": _Kind(("mb",), _memory),
    "disk_low": _Kind(("mb",), _disk),
    "disk_full": _Kind((), _nothing),
    "card_dead": _Kind((), _nothing),
    "throttled": _Kind((), _nothing),
    "clock_jump": _Kind(("s",), _jump, "happens once"),
    "process_kill": _Kind((), _nothing, longest_s=LONGEST_AWAY_S),
    "power_cut": _Kind((), _nothing, longest_s=LONGEST_AWAY_S),
}
COMPUTER_FAULTS: dict[str, tuple[str, ...]] = {name: kind.parameters for name, kind in _KINDS.items()}
"""Faults of the flight computer itself with their parameters, all needed; all others are ``hil.rig_faults``'."""
LOADING = frozenset({"cpu_late", "cpu_hang"})
"""Faults that take computing time inside a tick."""
LEAVING = frozenset({"process_kill", "power_cut"})
"""Faults that end the program; ``for_s`` says when it is started again."""


def check_computer_fault(fault: FaultConfig) -> None:
    """Refuse what cannot be started. Raises ValueError that says what is allowed."""
    kind = _KINDS[fault.kind]
    if set(fault.parameters) != set(kind.parameters):
        raise ValueError(f"{fault.kind} takes {', '.join(kind.parameters) or 'no parameters'}")
    for name, value in fault.parameters.items():
        if isinstance(value, float) and not isfinite(value):
            raise ValueError(f"{fault.kind}: {name} is {value!r}; it must be finite")
    kind.check(fault.parameters)
    if fault.for_s is not None and kind.no_end:
        raise ValueError(f"{fault.kind} {kind.no_end}; for_s has no meaning")
    if fault.for_s is not None and kind.longest_s is not None and fault.for_s > kind.longest_s:
        raise ValueError(f"{fault.kind}: for_s is {fault.for_s:g}; up to {kind.longest_s:g} is allowed, or none at all")
