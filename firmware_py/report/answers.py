"""What every load was told in a flight, as spans: shed and for what, refused, throttled, not obeying, heaters on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from fdir.codes import Code
from firmware_py.report.scope import NS, FlightData, Row

__all__ = ["HEATING", "SHED", "AnswerSpan", "answer_spans"]

SHED = "shed: "
"""Start of the word of a load that yields; what follows is one of the fixed reasons."""
HEATING = "heater on"
ALLOWED = "load_allowed"
WORDS = {
    "load_allowed_limited": "limited", "load_rejected": "rejected", "load_degraded": "degraded",
    "PDU_safe_mode": "SAFE",
}
OWN_REASON = "pdu_overcurrent"
"""A load that is shed, but not by the table of shedding, was opened for the bus's current."""
UNNAMED = "reason not recorded"
GAP_PERIODS = 6
"""A pause in the record of this many usual periods ends a span."""


@dataclass(frozen=True, slots=True)
class AnswerSpan:
    """``load`` had the answer ``word`` from ``start_s`` to ``end_s`` of flight time."""

    load: str
    word: str
    start_s: float
    end_s: float


def answer_spans(data: FlightData) -> list[AnswerSpan]:
    """Spans of every answer other than a plain "allowed", by load in the order of the record, then by time.

    A span ends where the next row says otherwise or the record pauses. Nothing for a flight without such telemetry.
    """
    rows = data.snapshots
    told = _Told(data.events)
    longest_ns = GAP_PERIODS * _period_ns(rows)
    done: list[AnswerSpan] = []
    running: dict[str, tuple[str, int]] = {}
    last_ns = 0
    for t_ns, row in rows:
        now = told.words(t_ns, row)
        paused = last_ns if t_ns - last_ns > longest_ns else t_ns
        for load, (word, start_ns) in list(running.items()):
            if now.get(load) != word or paused != t_ns:
                done.append(AnswerSpan(load, word, start_ns / NS, paused / NS))
                del running[load]
        for load, word in now.items():
            running.setdefault(load, (word, t_ns))
        last_ns = t_ns
    done += [AnswerSpan(load, word, start_ns / NS, last_ns / NS) for load, (word, start_ns) in running.items()]
    order = {name: place for place, name in enumerate(_names(rows))}
    return sorted(done, key=lambda span: (order[span.load], span.start_s))


class _Told:
    """Words of one row after the other. Of several reasons at once, the events say which is a load's own."""

    def __init__(self, events: Sequence[Row]) -> None:
        self._events = [(t_ns, row) for t_ns, row in events if row.get("code") == Code.LOAD_SHED_ACTIVE.value]
        self._next = 0
        self._reasons: dict[str, str] = {}

    def words(self, t_ns: int, row: Mapping[str, Any]) -> dict[str, str]:
        """Answer by load, without those that are plainly allowed."""
        self._read_events(t_ns)
        heating = row.get("heaters") or ()
        found: dict[str, str] = {}
        for load, answer in (row.get("loads") or {}).items():
            if answer == "load_shed":
                found[load] = SHED + self._reason(load, row)
            elif answer != ALLOWED:
                found[load] = WORDS.get(answer, str(answer))
        return found | {load: HEATING for load in heating if load not in found}

    def _read_events(self, t_ns: int) -> None:
        while self._next < len(self._events) and self._events[self._next][0] <= t_ns:
            match = re.fullmatch(r"(\w+) shed: (\w+)", str(self._events[self._next][1].get("text")))
            if match:
                self._reasons[match[1]] = match[2]
            self._next += 1

    def _reason(self, load: str, row: Mapping[str, Any]) -> str:
        reasons: Sequence[str] = row.get("shed_reasons") or []
        if load not in (row.get("shed") or ()):
            return OWN_REASON
        if len(reasons) == 1:
            return reasons[0]
        own = self._reasons.get(load)
        return UNNAMED if own is None or own not in reasons else own


def _period_ns(rows: Sequence[Row]) -> float:
    return median([b[0] - a[0] for a, b in pairwise(rows)]) if len(rows) > 1 else 0.0


def _names(rows: Sequence[Row]) -> dict[str, None]:
    return dict.fromkeys(load for _, row in rows for key in ("loads", "heaters") for load in row.get(key) or ())
