"""What figures are made of: the recorded rows of a flight, a part of it, and errors against the truth of its moment."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import degrees, inf, isnan, nan
from typing import Any, NamedTuple

from hal.frames import Quaternion, Vec3, add, norm, rotation_angle, subtract

__all__ = ["NS", "PAIR_FIGURES", "Figure", "FlightData", "Pair", "Row", "Scope", "Value", "greatest", "vector"]

Row = tuple[int, Mapping[str, Any]]
Value = float | str | None
NS = 1e9
NEW_TARGET_M = 0.05
"""A target position that moves by more than this at once was set anew."""


class Pair(NamedTuple):
    """One truth row with the snapshot of its time.

    ``position_m`` is the true one, counted from the flight's origin. ``unknown_m`` is how far dead reckoning was off
    when the present target position was set: true minus estimated position then.
    """

    t_ns: int
    snapshot: Mapping[str, Any]
    truth: Mapping[str, Any]
    position_m: Vec3 | None
    unknown_m: Vec3 | None


@dataclass(frozen=True, slots=True)
class FlightData:
    """Recorded rows of one flight, each ``(t_ns, row)`` in time order. ``truth`` is empty for a real craft.

    What is derived from the rows is computed once and kept.
    """

    metadata: Mapping[str, str]
    snapshots: Sequence[Row]
    truth: Sequence[Row]
    events: Sequence[Row]
    commands: Sequence[Row]
    _kept: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, key: str, compute: Callable[[], Any]) -> Any:
        """The result of ``compute``, which is called the first time only."""
        if key not in self._kept:
            self._kept[key] = compute()
        return self._kept[key]

    @property
    def identity(self) -> list[str]:
        """Body, board and seed in words, as far as the record names them."""
        named = [(key, self.metadata.get(key)) for key in ("body", "board", "seed")]
        return [f"{key} {value}" for key, value in named if value not in (None, "", "null", "None")]

    @property
    def end_ns(self) -> int | None:
        """Time of the last snapshot or truth row; ``None`` for a flight without either."""
        return max((rows[-1][0] for rows in (self.snapshots, self.truth) if rows), default=None)

    @property
    def start_ns(self) -> int | None:
        """Time of the first snapshot or truth row; ``None`` for a flight without either."""
        return min((rows[0][0] for rows in (self.snapshots, self.truth) if rows), default=None)

    @property
    def pairs(self) -> list[Pair]:
        """Truth rows joined with the snapshot of the same time or the one just before."""
        found: list[Pair] = self.once("pairs", self._join)
        return found

    def series(self, name: str) -> list[tuple[int, float | None]]:
        """Time (ns) and value of an error of ``PAIR_FIGURES`` for every pair; ``None`` where it is unknown."""
        compute = PAIR_FIGURES[name]
        found: list[tuple[int, float | None]] = self.once(
            f"series {name}", lambda: [(pair.t_ns, compute(pair)) for pair in self.pairs]
        )
        return found

    @property
    def origin(self) -> Vec3:
        """True position in m, inertial, where navigation began: that of the first truth row that has one."""
        found: Vec3 = self.once("origin", self._origin)
        return found

    def _origin(self) -> Vec3:
        for _, row in self.truth:
            position = vector(row, "position_m")
            if position is not None:
                return position
        return (0.0, 0.0, 0.0)

    def _join(self) -> list[Pair]:
        result: list[Pair] = []
        index = 0
        asked: Vec3 | None = None
        unknown: Vec3 | None = None
        for t_ns, truth in self.truth:
            while index + 1 < len(self.snapshots) and self.snapshots[index + 1][0] <= t_ns:
                index += 1
            if self.snapshots and self.snapshots[index][0] <= t_ns:
                position = vector(truth, "position_m")
                counted = None if position is None else subtract(position, self.origin)
                snapshot = self.snapshots[index][1]
                target, estimate = vector(snapshot, "target_position_m"), vector(snapshot, "position_m")
                if target is None or estimate is None or counted is None:
                    asked = unknown = None
                elif asked is None or norm(subtract(target, asked)) > NEW_TARGET_M:
                    asked, unknown = target, subtract(counted, estimate)
                result.append(Pair(t_ns, snapshot, truth, counted, unknown))
        return result


@dataclass(frozen=True, slots=True)
class Scope:
    """What one figure looks at: a flight, a time span in ns with its ends included, and for events a code."""

    data: FlightData
    start_ns: float = -inf
    end_ns: float = inf
    code: str | None = None

    @property
    def snapshots(self) -> Sequence[Row]:
        """Snapshots inside the span."""
        return self._inside(self.data.snapshots)

    @property
    def truth(self) -> Sequence[Row]:
        """Truth rows inside the span."""
        return self._inside(self.data.truth)

    @property
    def events(self) -> Sequence[Row]:
        """Events inside the span."""
        return self._inside(self.data.events)

    @property
    def pairs(self) -> Sequence[Pair]:
        """Truth rows with their snapshots inside the span."""
        return self._inside(self.data.pairs)

    def known(self, name: str) -> list[float]:
        """Values of a pair figure inside the span, without the unknown ones."""
        rows = self.data.series(name)
        return [value for _, value in self._inside(rows) if value is not None]

    def _inside(self, rows: Sequence[Any]) -> Sequence[Any]:
        first = bisect_left(rows, self.start_ns, key=_time)
        last = bisect_right(rows, self.end_ns, key=_time)
        return rows[first:last]


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure: how it is computed, its unit, and what it says.

    ``windowed`` is False where ``step`` and ``last_s`` have no meaning. ``text_value`` is True for a word, which only
    ``equals`` can judge.
    """

    name: str
    unit: str
    text: str
    compute: Callable[[Scope], Value]
    windowed: bool = True
    text_value: bool = False


def _time(row: Sequence[Any]) -> int:
    t_ns: int = row[0]
    return t_ns


def vector(row: Mapping[str, Any], key: str) -> Vec3 | None:
    value = row.get(key)
    return None if value is None else (value[0], value[1], value[2])


def _quaternion(row: Mapping[str, Any], key: str) -> Quaternion | None:
    value = row.get(key)
    return None if value is None else (value[0], value[1], value[2], value[3])


def _angle_deg(a: Quaternion | None, b: Quaternion | None) -> float | None:
    return None if a is None or b is None else degrees(rotation_angle(a, b))


def _distance_m(a: Vec3 | None, b: Vec3 | None) -> float | None:
    return None if a is None or b is None else norm(subtract(a, b))


def attitude_error_deg(pair: Pair) -> float | None:
    """Angle between the true attitude and the one asked for, deg; ``None`` without a target."""
    return _angle_deg(_quaternion(pair.truth, "quaternion"), _quaternion(pair.snapshot, "target_quaternion"))


def position_error_m(pair: Pair) -> float | None:
    """Distance between the true position and the one asked for, m; ``None`` without a target.

    There is no absolute position sensor, so "stay here" means where the craft truly is when it is told: both
    positions count from the moment at which the target was set. What was lost before is ``position_knowledge_m``.
    """
    target = vector(pair.snapshot, "target_position_m")
    if target is None or pair.unknown_m is None:
        return None
    return _distance_m(pair.position_m, add(target, pair.unknown_m))


def attitude_knowledge_deg(pair: Pair) -> float | None:
    """Angle between the true and the estimated attitude, deg; ``None`` before the attitude is known."""
    if not pair.snapshot.get("attitude_known"):
        return None
    return _angle_deg(_quaternion(pair.truth, "quaternion"), _quaternion(pair.snapshot, "quaternion"))


def position_knowledge_m(pair: Pair) -> float | None:
    """Distance between the true and the estimated position, m; ``None`` before the attitude is known.

    Until then the estimate's axes are those of the craft at boot.
    """
    if not pair.snapshot.get("attitude_known"):
        return None
    return _distance_m(pair.position_m, vector(pair.snapshot, "position_m"))


PAIR_FIGURES: dict[str, Callable[[Pair], float | None]] = {
    "attitude_error_deg": attitude_error_deg,
    "position_error_m": position_error_m,
    "attitude_knowledge_deg": attitude_knowledge_deg,
    "position_knowledge_m": position_knowledge_m,
}
"""Errors of a snapshot against the truth of the same moment."""


def greatest(values: Iterable[float]) -> float | None:
    """Largest value; not-a-number if any is, because a figure that could not be computed must not hide."""
    listed = list(values)
    return nan if any(isnan(v) for v in listed) else max(listed, default=None)
