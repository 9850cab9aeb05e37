"""Perception beside the flight program, as processes over sockets: contacts come, its death is told, it comes back.

A served rig plays drones that fly by. The flight writes its black box itself; what it knew of its surroundings is read
there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench._install_craft import ProcessCraft
from bench._install_supervisor import Supervisor, resident_mb
from fdir.codes import Code
from firmware_py.recorder.reader import read_flight
from firmware_py.recorder.shelf import Shelf

pytestmark = [pytest.mark.slow, pytest.mark.alone]

NS = 1_000_000_000
AWAY_S = 6.0
"""Longer than the three seconds after which a perception that says nothing counts as gone."""
SEEN_S = 75.0
"""The drone is near 18 s after both can fly; the rest is for a machine that tests on every core."""
START_S = 20.0
"""For a Python with numpy on a machine that tests on every core."""
MOST_MB = 160.0
PRIORITY = 50


@pytest.fixture
def folder() -> Iterator[Path]:
    # A path short enough for sockets.
    with tempfile.TemporaryDirectory(prefix="qk", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    with Supervisor() as looked_after:
        yield looked_after


def test_contacts_arrive_and_a_perception_that_dies_is_told_and_comes_back(
    supervisor: Supervisor, folder: Path
) -> None:
    # Its steps too: a craft that holds looks around more often than one that idles.
    craft = ProcessCraft(supervisor, folder, mission="fly-by", steps="fly-by")
    perception = craft.perceive(restart_s=AWAY_S)
    # Before others, where that is allowed: a flight whose ticks are late has no time for perception at all.
    flight = craft.fly("--no-realtime", record=False, link=False, priority=PRIORITY)
    # What ends in SAFE has gone all the way: chips, flight, perception, flight, guard.
    supervisor.until(lambda: any(Code.RADAR_ALERT_UNKNOWN_CLOSE in text for _, text in flight.now.status), SEEN_S)
    flew = flight.now
    assert perception.now.signs >= 1
    megabytes = resident_mb(perception.now.pid)
    perception.kill()
    supervisor.until(lambda: len(perception.starts) == 2 and perception.ready, AWAY_S + START_S)
    supervisor.run(5.0)
    assert flight.running
    assert flight.now is flew
    assert flight.stop() == 0
    assert perception.stop() == 0
    assert megabytes < MOST_MB
    kept = list(Shelf(craft.state / "flights", None).folders())[-1]
    recording = read_flight(kept.path / "flight.mcap")
    away = [row.t_ns for row in recording.rows("/event") if row.value["code"] == Code.PERCEPTION_UNAVAILABLE
            and "silent" in row.value["text"]]
    assert len(away) == 1
    rows = [(row.t_ns, row.value) for row in recording.rows("/snapshot")]
    known = [t_ns for t_ns, row in rows if looked(row)]
    assert min(known) < away[0], "contacts came before it was killed"
    modes = {t_ns: row["perception_mode"] for t_ns, row in rows}
    # Nothing old is shown for something new; and with the next start it is all there again.
    assert all(modes[t_ns] is None for t_ns in modes if away[0] < t_ns < away[0] + NS // 2)
    assert modes[max(modes)] is not None


def looked(row: dict[str, Any]) -> bool:
    """Whether frames of the radar were used and tracks came to the guard."""
    frames = row["perception_frames"] or {}
    return frames.get("radar", 0) > 0 and bool(row["tracks"]) and bool(row["guard_tracks"])
