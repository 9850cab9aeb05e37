"""The perception of a rig flight: in lockstep with the flight loop, started anew with the program, with its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from comms.flight_port import LocalPort, Port
from firmware_py.perception.config import PerceptionConfig, load_perception
from firmware_py.perception.playback import FILE
from firmware_py.perception.record import PerceptionRecord
from firmware_py.perception.replay import header_of
from firmware_py.perception.service import Perception
from hal.profile import Profile

__all__ = ["RigPerception"]

MOST_WAITING = 256


class RigPerception:
    """Owner of the perception of a flight.

    Args:
        profile: of the flight, for the mounts of its sensors.
        folder: of the flight; each start of the program has a record of its own there.
        header: what flew.
        epoch_ns: UTC at rig time 0.
        config: of the perception; the one that ships if none is given.

    Attributes:
        perception: of the program's present start.
    """

    def __init__(
        self, profile: Profile, folder: Path, header: dict[str, Any], epoch_ns: int,
        config: PerceptionConfig | None = None,
    ) -> None:
        self._profile = profile
        self._folder = folder
        self._header = header
        self._epoch_ns = epoch_ns
        self._config = load_perception() if config is None else config
        self._starts = 0
        self.perception: Perception | None = None

    def start(self, rig_ns: int) -> Port:
        """The program starts at this rig time; returns the flight loop's end of a new port. Raises RecordError."""
        self.close()
        self._starts += 1
        name = FILE if self._starts == 1 else FILE.replace(".", f"-{self._starts}.")
        port = LocalPort(MOST_WAITING)
        record = PerceptionRecord(
            self._folder / name, {**self._header, **header_of(self._config, self._profile)}, self._epoch_ns + rig_ns
        )
        self.perception = Perception(self._config, self._profile, port.link, record)
        return port.flight

    def step(self, now_ns: int) -> None:
        """Member of the program's table."""
        if self.perception is not None:
            self.perception.step(now_ns)

    def close(self) -> None:
        """The program has ended: its record is whole."""
        if self.perception is not None:
            self.perception.close()
            self.perception = None
