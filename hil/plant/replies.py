"""Which transponders a receiver hears: by their power, the way and what stands between, and what each of them says.

Free-space loss at 1090 MHz. Chosen here, since nothing real stands behind it: heard down to -90 dBm, nineteen of twenty
answers arrive, distances to 2 m and bearings to 1 deg (one sigma), all round, and no height.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log10, pi, radians

import numpy as np

from hil.plant.surroundings import Seat, Surroundings
from hil.plant.targets import Mode, Target

__all__ = ["Heard", "ReplyView", "Spoof", "level_dbm"]

WAVELENGTH_M = 299_792_458.0 / 1090e6
WEAKEST_DBM = -90.0
ARRIVES = 0.95
SIGMA_RANGE_M = 2.0
SIGMA_BEARING_RAD = radians(1.0)


@dataclass(frozen=True, slots=True)
class Heard:
    """One reply. ``range_m`` is ``None`` when it came unasked; ``authentic`` ``None`` when nothing was asked of it."""

    number: int
    range_m: float | None
    bearing_rad: float
    level_dbm: float
    silent: bool
    authentic: bool | None


@dataclass(frozen=True, slots=True)
class Spoof:
    """How a transponder deceives: another's identity, and offsets of what the receiver measures of it."""

    number: int | None = None
    range_m: float = 0.0
    bearing_rad: float = 0.0
    authentic: bool = False


def level_dbm(power_dbm: float, distance_m: float) -> float:
    """Power that arrives over a free way."""
    return power_dbm - 20.0 * log10(4.0 * pi * max(distance_m, 0.1) / WAVELENGTH_M)


class ReplyView:
    """One receiver's view.

    Attributes:
        spoofs: targets that deceive, by name.
        bias_range_m, bias_bearing_rad: added to all that it says.
    """

    def __init__(self, surroundings: Surroundings, seat: Seat, stream: Callable[[], np.random.Generator]) -> None:
        self.spoofs: dict[str, Spoof] = {}
        self.bias_range_m = 0.0
        self.bias_bearing_rad = 0.0
        self._around = surroundings
        self._seat = seat
        self._stream = stream
        self._rng: np.random.Generator | None = None
        self._speak = any(target.transponder.mode is not Mode.OFF for target in surroundings.scene.targets)

    def heard(self, asking: bool) -> list[Heard]:
        """All replies of one round."""
        if not self._speak:
            return []
        if self._rng is None:
            self._rng = self._stream()
        rng, look, bodies = self._rng, self._seat.look(), self._around.bodies()
        ways = bodies.position - look.position
        ranges = np.maximum(np.linalg.norm(ways, axis=1), 1e-6)
        own = np.arange(len(ranges))
        hidden = self._around.hidden(look, ways / ranges[:, None], ranges, own, np.full(len(own), -1))
        local = ways @ look.axes.T
        bearings = np.arctan2(local[:, 1], local[:, 0])
        found = []
        for row in np.flatnonzero(bodies.target >= 0).tolist():
            target = self._around.scene.targets[int(bodies.target[row])]
            said = target.transponder
            if said.mode is Mode.OFF or (said.mode is Mode.SILENT and not asking):
                continue
            # Drawn for everybody who speaks, so that who is hidden changes nobody else's numbers.
            arrives = float(rng.random())
            about_m, about_rad = rng.standard_normal(2).tolist()
            level = level_dbm(said.power_dbm, float(ranges[row]))
            if hidden[row] or level < WEAKEST_DBM or arrives > ARRIVES:
                continue
            found.append(self._reply(
                target, float(ranges[row]) + SIGMA_RANGE_M * about_m,
                float(bearings[row]) + SIGMA_BEARING_RAD * about_rad, level, asking,
            ))
        return found

    def _reply(self, target: Target, range_m: float, bearing_rad: float, level: float, asking: bool) -> Heard:
        said, spoof = target.transponder, self.spoofs.get(target.name)
        number, authentic = said.number, said.mode is not Mode.SPOOF
        range_m, bearing_rad = range_m + self.bias_range_m, bearing_rad + self.bias_bearing_rad
        if spoof is not None:
            number = number if spoof.number is None else spoof.number
            authentic = spoof.authentic
            range_m, bearing_rad = range_m + spoof.range_m, bearing_rad + spoof.bearing_rad
        turned = (bearing_rad + pi) % (2.0 * pi) - pi
        return Heard(
            number, max(0.0, range_m) if asking else None, turned, level, said.mode is Mode.SILENT,
            authentic if asking else None,
        )
