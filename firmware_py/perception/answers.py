"""What the perception says of itself and when it is asked: values of its telemetry channels, and answers to questions.

Answers are plain data within what one telemetry channel holds; what is left out of them is counted in them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from comms.dictionary.commands_perception import PERCEPTION_QUESTIONS
from firmware_py.perception.observation import Status
from firmware_py.perception.query import LEVELS, MOST_ROWS, TrackQuery, select, short_row
from firmware_py.perception.risk import RiskReport
from firmware_py.perception.science import Science
from firmware_py.perception.sensing import Sensing
from firmware_py.perception.tracks import TrackSet
from hal.frames import Vec3

if TYPE_CHECKING:
    from firmware_py.perception.service import Perception

__all__ = ["Answers"]

SHOWN = 8
"""Tracks of the telemetry."""
MOST_CELLS = 64
REGION_M = 32.0
"""Half of the box about the craft that is meant where none is named."""


class Answers:
    """Keeps the answer to the last question.

    Args:
        sensing, science: what may be asked for beside tracks.
    """

    def __init__(self, sensing: Sensing, science: Science) -> None:
        self._sensing = sensing
        self._science = science
        self._last: dict[str, Any] | None = None

    def ask(
        self, number: int, arguments: Mapping[str, Any], tracks: TrackSet | None, report: RiskReport | None, own_m: Vec3
    ) -> str:
        """Answer one question; returns it in a few words. Raises ValueError for one that makes no sense."""
        what = arguments["what"]
        asked = TrackQuery.of(arguments)
        if what == "tracks":
            body = self._tracks(asked, tracks, report, own_m)
        elif what not in PERCEPTION_QUESTIONS:
            raise ValueError(f"what is {what!r}; allowed are {', '.join(PERCEPTION_QUESTIONS)}")
        else:
            low = np.array(own_m) - REGION_M if asked.low_m is None else np.array(asked.low_m)
            high = np.array(own_m) + REGION_M if asked.high_m is None else np.array(asked.high_m)
            body = self._region(str(what), low, high)
        self._last = {"number": number, "what": what, **body}
        return f"{body['found']} found, {len(body['rows'])} told"

    def _tracks(
        self, asked: TrackQuery, tracks: TrackSet | None, report: RiskReport | None, own_m: Vec3
    ) -> dict[str, Any]:
        if tracks is None or report is None:
            return {"found": 0, "rows": {}}
        rows = select(tracks, report.level, asked, own_m)
        return {"found": len(rows), "rows": {
            str(int(tracks.track_id[row])): short_row(tracks, int(row), int(report.level[row]), own_m)
            for row in rows[:MOST_ROWS]
        }}

    def _region(self, what: str, low: np.ndarray, high: np.ndarray) -> dict[str, Any]:
        """Cells of a map within a box: middle, and what the map knows of it."""
        if what == "grid":
            region = self._sensing.grid.region(low, high)
            told: list[list[Any]] = [
                [*_place(c), round(float(p), 2)] for c, p in zip(region.centre_m, region.probability, strict=True)
            ]
        elif what == "composition":
            seen = self._science.composition.region(low, high)
            told = [
                [*_place(c), seen.names[int(np.argmax(n))] if n.any() else "none", int(s)]
                for c, n, s in zip(seen.centre_m, seen.counts, seen.samples, strict=True)
            ]
        else:
            field = self._science.field.region(low, high)
            told = [
                [*_place(c), round(float(peak) * 1e9, 1), int(n)]
                for c, peak, n in zip(field.centre_m, field.peak_t, field.count, strict=True)
            ]
        return {"found": len(told), "rows": told[:MOST_CELLS]}

    def telemetry(self, now_ns: int, seen: Perception) -> dict[str, Any]:
        """Values of the channels; ``None`` is missing."""
        tracks, report = seen.tracks, seen.report
        values: dict[str, Any] = {
            "perception_mode": seen.switch.mode.value, "tracks": None, "nearest_tracks": None, "risk_level": None,
            "closest_approach_s": None, "closest_approach_m": None, "perception_refused": seen.refusals,
            "perception_sensors": _sensors(seen), "grid": self._grid_counts(seen), "science": self._science.counts(),
            "perception_answer": self._last, "perception_frames": dict(seen.sensing.used),
        }
        if tracks is not None and report is not None:
            own = seen.own_m
            order = select(tracks, report.level, TrackQuery(), own)
            firm: list[int] = order[tracks.firm[order]][:SHOWN].tolist()
            values["tracks"] = {
                **{status.name.lower(): int(np.count_nonzero(tracks.status == status)) for status in
                   (Status.NEW, Status.TRACKED, Status.COASTING)},
                "culled": seen.sensing.refusals.get("culled", 0), "age_ms": (now_ns - tracks.t_ns) // 1_000_000,
            }
            values["nearest_tracks"] = {
                str(int(tracks.track_id[row])): short_row(tracks, row, int(report.level[row]), own) for row in firm
            }
            values["risk_level"] = LEVELS[int(report.level.max()) if len(report) else 0]
            values |= _closest(report)
        return values

    def _grid_counts(self, seen: Perception) -> dict[str, Any]:
        nearest = self._sensing.grid.nearest_occupied(np.array(seen.own_m))
        return {
            "occupied": self._sensing.grid.occupied, "rays": self._sensing.grid.rays,
            "nearest_m": None if nearest is None else round(nearest[0], 2),
        }


def _closest(report: RiskReport) -> dict[str, Any]:
    """Closest approach of the worst track that is still to come."""
    coming = report.judged & (report.tcpa_s > 0.0)
    if not coming.any():
        return {}
    rows = np.flatnonzero(coming)
    worst = rows[np.lexsort((report.least_miss_m[rows], -report.level[rows].astype(int)))[0]]
    return {
        "closest_approach_s": round(float(report.tcpa_s[worst]), 2),
        "closest_approach_m": round(float(report.least_miss_m[worst]), 2),
    }


def _sensors(seen: Perception) -> dict[str, Any]:
    return {
        health.sensor_id: ["contradicts" if health.contradicts else "agrees",
                           round(health.nis, 2) if np.isfinite(health.nis) else None, round(health.inflation, 2)]
        for health in seen.sensing.health
    }


def _place(centre: np.ndarray) -> list[float]:
    return [round(float(value), 1) for value in centre]
