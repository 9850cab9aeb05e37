"""Writes what is true on a served rig as JSON lines: every change of a valve or of the watchdog at its own step.

Each line stands alone, is written at once, and carries the rig's time and the machine's steady clock, so that whoever
kills a program can tell how long its valves stayed open. The file is bounded: a full one becomes ``NAME.1``, and the
one before that is lost.
"""

from __future__ import annotations

import json
from math import acos, degrees
from pathlib import Path
from typing import Any, TextIO

from hil.plant.world import Truth
from hil.rig import Rig

__all__ = ["LARGEST_BYTES", "TruthLog"]

PERIOD_NS = 50_000_000
LARGEST_BYTES = 64 << 20


class TruthLog:
    """The log of one rig.

    Args:
        path: of the file; it is begun anew.
        rig: whose world it is.
        period_ns: time between two full lines.
        largest_bytes: of the file.

    Attributes:
        lines: written so far.

    Raises:
        OSError: the file can't be made.
    """

    def __init__(
        self, path: Path, rig: Rig, period_ns: int = PERIOD_NS, largest_bytes: int = LARGEST_BYTES
    ) -> None:
        self.lines = 0
        self._path = path
        self._rig = rig
        self._period_ns = period_ns
        self._largest = largest_bytes
        self._written = 0
        self._next_ns = 0
        self._last: tuple[Any, ...] | None = None
        self._file: TextIO = path.open("w", encoding="utf-8")

    def step(self, machine_ns: int) -> None:
        """The world has moved: write a line if a valve or the watchdog changed, a full one when it is time."""
        rig = self._rig
        jets = rig.world.rigid.propulsion
        now = (jets.open_mask, jets.driven_mask, rig.enabled)
        full = rig.now_ns >= self._next_ns
        if not full and now == self._last:
            return
        self._last = now
        row: dict[str, Any] = {
            "t": rig.now_ns / 1e9, "machine_s": machine_ns / 1e9, "open_mask": now[0], "driven_mask": now[1],
            "enabled": now[2],
        }
        if full:
            self._next_ns = rig.now_ns + self._period_ns
            row |= _rest(rig.truth())
        self._write(row)

    def note(self, machine_ns: int, **what: Any) -> None:
        """A line for something that happened: a fault that begins or ends, a program that came."""
        self._write({"t": self._rig.now_ns / 1e9, "machine_s": machine_ns / 1e9, **what})

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def _write(self, row: dict[str, Any]) -> None:
        text = json.dumps(row, separators=(",", ":")) + "\n"
        if self._written + len(text) > self._largest:
            self._file.close()
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            self._file = self._path.open("w", encoding="utf-8")
            self._written = 0
        self._file.write(text)
        self._file.flush()
        self._written += len(text)
        self.lines += 1


def _rest(truth: Truth) -> dict[str, Any]:
    """What a full line has besides. ``turned_deg`` is the angle between body and inertial axes."""
    return {
        "unix_s": truth.unix_ns / 1e9, "quaternion": truth.quaternion, "rate_rad_s": truth.rate,
        "turned_deg": degrees(2.0 * acos(min(1.0, abs(truth.quaternion[0])))), "position_m": truth.position,
        "velocity_m_s": truth.velocity, "propellant_kg": truth.propellant_kg, "bus_voltage_v": truth.bus_voltage_v,
        "bus_on": truth.bus_on, "soc_battery": truth.soc_battery, "soc_supercap": truth.soc_supercap,
    }
