"""Faults of the flight computer: each parameter has its bounds, and each refusal says what is allowed."""

from __future__ import annotations

from typing import Any

import pytest

from firmware_py.cli.computer_faults import COMPUTER_FAULTS, LEAVING, LOADING, check_computer_fault
from firmware_py.mission import FaultConfig
from hil.rig import FAULTS


def check(kind: str, for_s: float | None = None, **parameters: Any) -> None:
    check_computer_fault(FaultConfig(kind, at_s=1.0, for_s=for_s, parameters=parameters))


def test_every_kind_with_its_parameters() -> None:
    assert COMPUTER_FAULTS == {
        "cpu_late": ("ms", "ticks"), "cpu_hang": ("ms",), "cpu_hot": ("k",), "memory_low": ("mb",),
        "disk_low": ("mb",), "disk_full": (), "card_dead": (), "throttled": (), "clock_jump": ("s",),
        "process_kill": (), "power_cut": (),
    }
    assert {"cpu_late", "cpu_hang"} == LOADING
    assert {"process_kill", "power_cut"} == LEAVING
    assert not set(COMPUTER_FAULTS) & set(FAULTS)


@pytest.mark.parametrize(("kind", "for_s", "parameters"), [
    ("cpu_late", None, {"ms": 0.001, "ticks": 1}),
    ("cpu_late", None, {"ms": 10_000, "ticks": 1_000_000}),
    ("cpu_hang", None, {"ms": 10_000.0}),
    ("cpu_hot", 5.0, {"k": 0}),
    ("cpu_hot", None, {"k": 100.0}),
    ("memory_low", 5.0, {"mb": 0}),
    ("memory_low", None, {"mb": 1e6}),
    ("disk_low", 5.0, {"mb": 12.5}),
    ("clock_jump", None, {"s": -1e8}),
    ("clock_jump", None, {"s": 1e8}),
    ("disk_full", None, {}),
    ("disk_full", 5.0, {}),
    ("card_dead", 5.0, {}),
    ("throttled", 1e4, {}),
    ("process_kill", None, {}),
    ("process_kill", 600.0, {}),
    ("power_cut", 600.0, {}),
])
def test_what_is_allowed_up_to_its_bounds(kind: str, for_s: float | None, parameters: dict[str, Any]) -> None:
    check(kind, for_s, **parameters)


@pytest.mark.parametrize(("kind", "for_s", "parameters", "said"), [
    ("cpu_late", None, {"ms": 6}, "cpu_late takes ms, ticks"),
    ("cpu_late", None, {"ms": 6, "ticks": 5, "cores": 1}, "cpu_late takes ms, ticks"),
    ("disk_full", None, {"mb": 1}, "disk_full takes no parameters"),
    ("cpu_late", None, {"ms": 0, "ticks": 5}, "cpu_late: ms is 0; above 0, up to 10000 is allowed"),
    ("cpu_late", None, {"ms": 10_000.5, "ticks": 5}, "cpu_late: ms is 10000.5"),
    ("cpu_late", None, {"ms": True, "ticks": 5}, "cpu_late: ms is True"),
    ("cpu_late", None, {"ms": float("nan"), "ticks": 5}, "cpu_late: ms is nan; it must be finite"),
    ("cpu_late", None, {"ms": 6, "ticks": 0}, "cpu_late: ticks is 0; a whole number from 1 to 1000000 is allowed"),
    ("cpu_late", None, {"ms": 6, "ticks": 1_000_001}, "ticks is 1000001"),
    ("cpu_late", None, {"ms": 6, "ticks": 2.0}, "ticks is 2.0"),
    ("cpu_late", None, {"ms": 6, "ticks": True}, "ticks is True"),
    ("cpu_late", 1.0, {"ms": 6, "ticks": 1}, "cpu_late lasts for its ticks; for_s has no meaning"),
    ("cpu_hang", None, {"ms": -1}, "cpu_hang: ms is -1"),
    ("cpu_hang", 1.0, {"ms": 6}, "cpu_hang lasts for its ms; for_s has no meaning"),
    ("cpu_hot", None, {"k": -1}, "cpu_hot: k is -1; 0 to 100 is allowed"),
    ("cpu_hot", None, {"k": 100.5}, "cpu_hot: k is 100.5"),
    ("memory_low", None, {"mb": -0.1}, "memory_low: mb is -0.1; 0 to 1e.06 is allowed"),
    ("memory_low", None, {"mb": "12"}, "memory_low: mb is '12'"),
    ("memory_low", None, {"mb": float("inf")}, "mb is inf; it must be finite"),
    ("disk_low", None, {"mb": 1_000_001}, "disk_low: mb is 1000001; 0 to 1e.06 is allowed"),
    ("disk_low", None, {"mb": False}, "disk_low: mb is False"),
    ("clock_jump", None, {"s": 1.1e8}, "clock_jump: s is 110000000.0; -1e.08 to 1e.08 is allowed"),
    ("clock_jump", 3.0, {"s": 1}, "clock_jump happens once; for_s has no meaning"),
    ("process_kill", 600.1, {}, "process_kill: for_s is 600.1; up to 600 is allowed, or none at all"),
    ("power_cut", 601.0, {}, "power_cut: for_s is 601"),
])
def test_what_is_refused_says_what_is_allowed(
    kind: str, for_s: float | None, parameters: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        check(kind, for_s, **parameters)
