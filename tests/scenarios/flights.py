"""Every scenario is flown once a session, whichever tests look at it, and in whichever worker they run."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from firmware_py.cli.session import RigFlight, texts_of
from firmware_py.mission import ExpectConfig, MissionConfig
from firmware_py.report.load import open_flight
from firmware_py.report.scope import FlightData
from hal.profile import load_profile

__all__ = ["Flown", "Hangar"]

Flown = tuple[FlightData, tuple[ExpectConfig, ...]]


class Hangar:
    """Flights of one session, kept as black boxes in a folder that all workers share.

    Args:
        base: pytest's folder of this worker.
    """

    def __init__(self, base: Path) -> None:
        # Each worker of xdist has a folder of its own inside the session's.
        shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
        self._folder = shared / "flights"
        self._folder.mkdir(exist_ok=True)
        self._open: tuple[str, Flown] | None = None

    def fly(self, mission: MissionConfig) -> Flown:
        """Rows and expectations of a mission's flight. A worker that wants one that another flies waits for it."""
        name = mission.mission
        if self._open is None or self._open[0] != name:
            self._open = (name, open_flight(self._black_box(mission)))
        return self._open[1]

    def _black_box(self, mission: MissionConfig) -> Path:
        name = mission.mission
        folder, done = self._folder / name, self._folder / f"{name}.done"
        with (self._folder / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                profile = load_profile(mission.body, mission.board)
                texts = texts_of(name, mission.body, mission.board)
                RigFlight(mission, profile, folder, mission.seed, texts=texts).run()
                done.touch()
        return folder / "flight.mcap"
