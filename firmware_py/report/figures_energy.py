"""Figures of power and heat: how well the panel was used, how far the estimates were off, and whether the books close.

What was measured on board is judged against the truth of the rig; a figure whose rows were not recorded is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from firmware_py.report.scope import Figure, Pair, Row, Scope, Value, greatest

__all__ = ["ENERGY_FIGURES"]

NS = 1e9
LEAST_ERROR_S = 5.0
"""The first seconds of a flight are not judged: no chip has spoken yet."""


def _last(rows: Sequence[Row], key: str) -> Any:
    return rows[-1][1].get(key) if rows else None


def _integral_j(rows: Sequence[Row], key: str) -> float | None:
    """Trapezoidal integral of a column in W; ``None`` if a row lacks it or there are fewer than two."""
    values = [row.get(key) for _, row in rows]
    if len(values) < 2 or any(value is None for value in values):
        return None
    joules: float = sum(0.5 * (a[key] + b[key]) * (t1 - t0) / NS for (t0, a), (t1, b) in pairwise(rows))
    return joules


def _panel_share(scope: Scope) -> Value:
    """Energy delivered by the panel over what was there, while all of it was wanted."""
    got = most = 0.0
    for (t0, a), (t1, b) in pairwise(scope.truth):
        known = all(row.get(key) is not None for row in (a, b) for key in ("array_w", "array_max_w"))
        if known and a.get("panel_wanted", True) and b.get("panel_wanted", True):
            dt = (t1 - t0) / NS
            got += 0.5 * (a["array_w"] + b["array_w"]) * dt
            most += 0.5 * (a["array_max_w"] + b["array_max_w"]) * dt
    return got / most if most > 0.0 else None


def _soc_error(store: str) -> Callable[[Scope], Value]:
    key = f"soc_{store}"

    def compute(scope: Scope) -> Value:
        begin = (scope.data.start_ns or 0) + LEAST_ERROR_S * NS
        pairs: list[Pair] = [p for p in scope.pairs if p.t_ns >= begin]
        known = [(p.snapshot.get(key), p.truth.get(key)) for p in pairs]
        return greatest(abs(said - true) for said, true in known if said is not None and true is not None)

    return compute


def _unexplained(scope: Scope) -> Value:
    """What the on-board books cannot explain, as a share of what flowed."""
    table = _last(scope.snapshots, "energy_j")
    if not isinstance(table, dict):
        return None
    share: Value = table.get("unexplained_share")
    return share


def _world_error(scope: Scope) -> Value:
    error, flowed = _last(scope.truth, "balance_error_j"), _last(scope.truth, "flowed_j")
    if not isinstance(error, int | float) or not isinstance(flowed, int | float) or flowed <= 0.0:
        return None
    return abs(error) / flowed


def _bus_under(scope: Scope) -> Value:
    longest = _last(scope.truth, "longest_under_s")
    return longest * 1e3 if isinstance(longest, int | float) else None


def _truth_at_end(key: str) -> Callable[[Scope], Value]:
    return lambda scope: _last(scope.truth, key)


def _truth_wh(key: str) -> Callable[[Scope], Value]:
    def compute(scope: Scope) -> Value:
        joules = _integral_j(scope.truth, key)
        return None if joules is None else joules / 3600.0

    return compute


def _overload(scope: Scope) -> Value:
    """Longest time without a pause above the bus's current limit; needs the limit in the truth rows."""
    longest, since, seen = 0.0, None, False
    for t_ns, row in scope.truth:
        amperes, limit = row.get("bus_current_a"), row.get("bus_limit_a")
        if amperes is None or limit is None:
            continue
        seen = True
        if amperes <= limit:
            since = None
            continue
        since = t_ns if since is None else since
        longest = max(longest, (t_ns - since) / NS)
    return longest if seen else None


def _node_at_end(node: str) -> Callable[[Scope], Value]:
    def compute(scope: Scope) -> Value:
        table = _last(scope.truth, "temperatures_c")
        found: Value = table.get(node) if isinstance(table, dict) else None
        return found

    return compute


def _coldest_battery(scope: Scope) -> Value:
    values = [(row.get("temperatures_c") or {}).get("battery") for _, row in scope.truth]
    return min((value for value in values if value is not None), default=None)


def _shed(scope: Scope) -> Value:
    rows = scope.snapshots
    shed = rows[-1][1].get("shed") if rows else None
    return None if shed is None else len(shed)


def _word(key: str) -> Callable[[Scope], Value]:
    return lambda scope: _last(scope.snapshots, key)


ENERGY_FIGURES = (
    Figure("panel_share", "1", "energy from the panel over what was there to take, while all of it was wanted",
           _panel_share),
    Figure("dock_energy_wh", "Wh", "energy from a dock", _truth_wh("dock_w")),
    Figure("soc_error_battery", "1", "largest error of the battery's state of charge, first 5 s apart",
           _soc_error("battery")),
    Figure("soc_error_supercap", "1", "largest error of the supercapacitor's state of charge, first 5 s apart",
           _soc_error("supercap")),
    Figure("energy_unexplained", "1", "energy that the world's books do not explain, as a share of what flowed",
           _world_error),
    Figure("energy_unexplained_on_board", "1", "energy that the books on board do not explain, as a share",
           _unexplained),
    Figure("bus_under_ms", "ms", "longest time of the main bus below its lowest voltage", _bus_under),
    Figure("bus_current_a", "A", "main bus at the end", _truth_at_end("bus_current_a")),
    Figure("overload_s", "s", "longest time of the main bus above its current limit", _overload),
    Figure("cold_charge_j", "J", "charged into the battery while it was too cold for that",
           _truth_at_end("cold_charge_j")),
    Figure("battery_c", "deg C", "battery at the end", _node_at_end("battery")),
    Figure("coldest_battery_c", "deg C", "battery at its coldest", _coldest_battery),
    Figure("shed_loads", "1", "loads that are shed at the end", _shed),
    Figure("dock_feed", "-", "state of the feed from a dock at the end", _word("dock_feed"), text_value=True),
    Figure("duty_level", "-", "rates of sensors and computing at the end", _word("duty_level"), text_value=True),
)
"""Figures of power and heat, for the table of all figures."""
