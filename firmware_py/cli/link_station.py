"""A ground station at a terminal: opens line and keys, connects, and keeps the station going while somebody waits."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from comms.cfdp import FolderStore, MemoryStore, StoreLimits
from comms.keys.faults import KeyringError
from comms.keys.keyring import KeyStore
from comms.keys.ring import RingKind
from comms.link.ground import GroundStation, StationState
from comms.transports.opening import ON_GROUND
from firmware_py.cli.link_lines import LineError, open_line

__all__ = ["STEP_S", "Station", "StationError"]

STEP_S = 0.01
ANY_FOLDER = StoreLimits(total_bytes=1 << 50, files=1 << 24, file_bytes=1 << 40)
"""A folder of the user's, whatever else lies there."""


class StationError(Exception):
    """The station can't do that: what is wrong, and what to do."""

    def __init__(self, message: str, next_step: str) -> None:
        super().__init__(message)
        self.next_step = next_step


class Station:
    """One station, on the clock of this machine.

    Args:
        keys: of the operator.
        to: line to the craft.
        craft: its name; may be left out if one alone is pinned.
        modem: profile of the line.
        folder: of files that come in; nothing is kept if none is given.

    Raises:
        StationError: no such craft, no operator's keys, no such line.
    """

    def __init__(
        self, keys: KeyStore, to: str, craft: str | None = None, modem: str | None = None, folder: Path | None = None,
        clock: Callable[[], int] = time.monotonic_ns, sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if keys.ring.kind is not RingKind.OPERATOR:
            raise StationError("these are the keys of a craft", "give the folder of an operator's keys")
        names = [peer.name for peer in keys.ring.peers]
        if craft is None and len(names) != 1:
            what = "no craft is pinned" if not names else f"several crafts are pinned: {', '.join(names)}"
            raise StationError(what, "pair with one: qiki keys pair" if not names else "name one with --craft")
        self.clock = clock
        self._sleep = sleep
        try:
            opened = open_line(to, ON_GROUND, modem, clock)
            store = MemoryStore() if folder is None else FolderStore(folder, ANY_FOLDER)
            self.station = GroundStation(
                keys, craft or names[0], opened.line, os.urandom, store, opened.peer, clock(),
            )
        except LineError as error:
            raise StationError(str(error), error.next_step) from None
        except KeyringError as error:
            raise StationError(str(error), error.next_step) from None

    def step(self) -> None:
        """Keep it going, without waiting."""
        self.station.step(self.clock())

    def wait(self, until: Callable[[], bool], seconds: float) -> bool:
        """Keep it going until something is true, or for a time; whether it became true."""
        end = self.clock() + round(seconds * 1e9)
        while not until():
            if self.clock() >= end:
                return False
            self.step()
            self._sleep(STEP_S)
        return True

    def connect(self, seconds: float) -> None:
        """Shake hands, and learn the craft's time. Raises StationError after so many seconds without."""
        station = self.station
        station.connect(self.clock())
        self.wait(lambda: station.connected or station.state is StationState.GAVE_UP, seconds)
        if not station.connected:
            refused = ", ".join(f"{why} {count}" for why, count in station.counts.refused.items())
            heard = f"; refused here: {refused}" if refused else ""
            raise StationError(
                f"{station.craft} does not answer{heard}",
                "see that the craft's link runs, that this address is its own, and that both are paired; a craft never "
                "answers a key that it does not know",
            )

    def close(self) -> None:
        """End the session."""
        self.station.close()
