"""Joins the parts of a flight whose program was started again: one row of time, counted from the first start.

Beside ``flight.mcap`` lie the later parts in ``part-2``, ``part-3`` and so on, each a whole black box with an epoch of
its own. A part by itself is opened by naming it.
"""

from __future__ import annotations

from pathlib import Path

from firmware_py.recorder import RecordError
from firmware_py.recorder.reader import Flight, read_flight
from firmware_py.report.scope import FlightData, Row

__all__ = ["PART", "joined", "later_parts", "rows_of"]

PART = "part-"
"""Beginning of the folder names of later parts; a number from 2 follows."""
TOPICS = ("/snapshot", "/truth", "/event", "/command")


def later_parts(path: Path) -> list[Path]:
    """Black boxes of the later parts of the flight whose first part is at ``path``, in the order of their beginning."""
    found = []
    number = 2
    while (part := path.parent / f"{PART}{number}" / path.name).exists():
        found.append(part)
        number += 1
    return found


def rows_of(flight: Flight, shift_ns: int = 0) -> dict[str, list[Row]]:
    """Rows of every channel but the bus bytes, their times moved by ``shift_ns``."""
    rows: dict[str, list[Row]] = {topic: [] for topic in TOPICS}
    for record in flight.messages(*TOPICS):
        rows[record.topic].append((record.t_ns + shift_ns, record.value))
    return rows


def joined(flight: Flight) -> FlightData:
    """All rows of a flight, every part's; the metadata are the first's, ``steps`` the sum of all.

    A position in a snapshot counts from where its own start was; truth does not.

    Raises:
        RecordError: a part cannot be read, or began before the first.
    """
    rows = rows_of(flight)
    steps = flight.header.get("steps")
    for path in later_parts(flight.path):
        part = read_flight(path)
        shift_ns = part.epoch_ns - flight.epoch_ns
        if shift_ns < 0:
            raise RecordError(path, "began before the first part", "move it out of the flight's folder")
        for topic, more in rows_of(part, shift_ns).items():
            rows[topic] += more
        added = part.header.get("steps")
        if isinstance(steps, int) and isinstance(added, int):
            steps += added
    metadata = {key: value if isinstance(value, str) else repr(value) for key, value in flight.header.items()}
    if steps is not None:
        metadata["steps"] = repr(steps)
    return FlightData(metadata, rows["/snapshot"], rows["/truth"], rows["/event"], rows["/command"])
