"""Magnetic field about the craft, less what a model and a slow drift explain: residuals in coarse cells, and events.

The baseline is a constant and a gradient, fitted to what came of late; a sample that disagrees pulls at it by no more
than a bounded amount, so an object that is passed does not become the baseline. Samples taken while currents pulse are
told apart, and left out where that is asked for. Memory is fixed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, sqrt

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.anomaly import AnomalyConfig, AnomalyWatch, ScienceHit
from firmware_py.perception.rolling import RollingBox, within_reach
from hal.frames import Vec3

__all__ = ["FieldConfig", "FieldMap", "FieldRegion"]

Floats = NDArray[np.float64]
FULL = np.iinfo(np.uint16).max
MAXWELL_MEDIAN = 1.5382
"""Median length of a vector whose three components have a sigma of 1."""


@dataclass(frozen=True, slots=True)
class FieldConfig:
    """Shape of the map, and what a baseline is (P where nothing else is said).

    Attributes:
        floor_t: least noise that is believed, one axis (15 nT: RM3100 at 200 cycles, its datasheet).
        limit_t: magnitude of a component above which a sample is refused (800 uT: range of the RM3100).
        memory_s: time in which a sample's weight in the baseline falls to 1/e.
        gradient_t_m: gradient that is expected of surroundings; keeps the fit sane while the craft stands still.
        huber: residual, in sigmas of a vector, from which a sample's weight falls.
        settle_s, settle_samples: before both have passed there is no residual.
        settling_1_s, settled_1_s: how fast, as a share a second, the estimate of noise may move until there are
            residuals, and from then on: slower than an object is passed.
        leave_out_affected: samples that are affected by the craft's own currents count for nothing.
    """

    shape: tuple[int, int, int] = (32, 32, 16)
    cell_m: float = 10.0
    floor_t: float = 15e-9
    limit_t: float = 800e-6
    memory_s: float = 300.0
    gradient_t_m: float = 1e-9
    huber: float = 2.5
    settle_s: float = 20.0
    settle_samples: int = 40
    settling_1_s: float = 0.2
    settled_1_s: float = 0.005
    leave_out_affected: bool = True
    anomaly: AnomalyConfig = field(default_factory=lambda: AnomalyConfig(needed=5, window=8, gap_s=5.0))


@dataclass(frozen=True, slots=True)
class FieldRegion:
    """Cells of a region that were measured.

    ``centre_m`` (n, 3); ``mean_t`` (n, 3) mean residual, inertial; ``peak_t`` (n,) largest length of one; ``count``
    samples, ``affected`` those that were taken while the craft's own currents pulsed.
    """

    centre_m: Floats
    mean_t: Floats
    peak_t: Floats
    count: NDArray[np.uint16]
    affected: NDArray[np.uint16]

    def __len__(self) -> int:
        """Cells."""
        return len(self.count)


class FieldMap:
    """Map of residuals.

    Attributes:
        samples: that have a residual, since start; ``affected``: of all that came, the affected ones.
        refused: samples that were not used, by reason: ``value`` no field, ``position`` no place, ``late`` older than
            the newest one, ``outside`` of the map, ``affected`` left out.
        sigma_t: noise of one axis as it is now.
    """

    def __init__(self, config: FieldConfig | None = None) -> None:
        self._config = config = FieldConfig() if config is None else config
        self.box = RollingBox(config.shape, config.cell_m)
        self._sum = np.zeros((self.box.size, 3), np.float32)
        self._peak = np.zeros(self.box.size, np.float32)
        self._count = np.zeros(self.box.size, np.uint16)
        self._affected = np.zeros(self.box.size, np.uint16)
        self.watch = AnomalyWatch(config.anomaly)
        self._anchor = np.zeros(3)
        self._normal = np.zeros((4, 4))
        self._right = np.zeros((4, 3))
        self._first_ns: int | None = None
        self._newest_ns: int | None = None
        self._fitted = 0
        self.sigma_t = config.floor_t
        self.samples = self.affected = 0
        self.refused = dict.fromkeys(("value", "position", "late", "outside", "affected"), 0)

    @property
    def nbytes(self) -> int:
        """Memory of the map."""
        return self._sum.nbytes + self._peak.nbytes + self._count.nbytes + self._affected.nbytes

    def follow(self, position_m: Floats) -> None:
        """Go along with the craft; the baseline is carried over to where it is now."""
        shape = self._config.shape
        moved = False
        for slab in self.box.follow(np.asarray(position_m, float)):
            moved = True
            self._sum.reshape((*shape, 3))[slab] = 0.0
            for column in (self._peak, self._count, self._affected):
                column.reshape(shape)[slab] = 0
        if moved:
            self._carry((self.box.low_m + self.box.high_m) * 0.5)

    def _carry(self, anchor: Floats) -> None:
        """The same fit about another point: a matrix that shifts the regressors."""
        shift = np.eye(4)
        shift[1:, 0] = self._anchor - anchor
        self._normal = shift @ self._normal @ shift.T
        self._right = shift @ self._right
        self._anchor = anchor

    def add(
        self, t_ns: int, field_t: Vec3, position_m: Vec3, *, affected: bool = False,
        reference_t: Vec3 = (0.0, 0.0, 0.0),
    ) -> ScienceHit | None:
        """Take a sample, in order of event time; returns the event if it is one.

        Args:
            t_ns: event time.
            field_t: inertial, the sensor's offsets taken away, tesla.
            position_m: of the sensor.
            affected: valves, heaters or a charger drew pulses of current then.
            reference_t: what a model has for this place and time; the baseline is of what is left.
        """
        field, position, reference = (np.asarray(v, float) for v in (field_t, position_m, reference_t))
        self.affected += affected
        why = self._refusal(t_ns, field - reference, field, position, affected)
        if why:
            self.refused[why] += 1
            return None
        gone_s = 0.0 if self._newest_ns is None else (t_ns - self._newest_ns) * 1e-9
        self._newest_ns = t_ns
        self._first_ns = t_ns if self._first_ns is None else self._first_ns
        regressor = np.append(1.0, position - self._anchor)
        residual = field - reference - self._baseline(regressor)
        known = self._known(t_ns)
        self._learn(regressor, field - reference, residual, gone_s, known, affected)
        if not known:
            return None
        length = float(np.sqrt(residual @ residual))
        self._record(position, residual, length, affected)
        self.samples += 1
        sigmas = length / (self.sigma_t * sqrt(3.0))
        if affected or not self.watch.step(t_ns, sigmas):
            return None
        return ScienceHit(t_ns, "field", position_m, sigmas)

    def _refusal(self, t_ns: int, left: Floats, field: Floats, position: Floats, affected: bool) -> str:
        if not (bool(np.isfinite(left).all()) and float(np.abs(field).max()) <= self._config.limit_t):
            return "value"
        if not bool(within_reach(position)):
            return "position"
        if self._newest_ns is not None and t_ns < self._newest_ns:
            return "late"
        return "affected" if affected and self._config.leave_out_affected else ""

    def _known(self, t_ns: int) -> bool:
        first, config = self._first_ns, self._config
        return first is not None and self._fitted >= config.settle_samples and t_ns - first >= config.settle_s * 1e9

    def _baseline(self, regressor: Floats) -> Floats:
        if self._fitted == 0:
            return np.zeros(3)
        ridge = (self.sigma_t / self._config.gradient_t_m) ** 2
        normal = self._normal + np.diag([1e-9, ridge, ridge, ridge])
        field: Floats = regressor @ np.linalg.solve(normal, self._right)
        return field

    def _learn(
        self, regressor: Floats, value: Floats, residual: Floats, gone_s: float, known: bool, affected: bool,
    ) -> None:
        config = self._config
        fade = exp(-min(gone_s / config.memory_s, 80.0))
        self._normal *= fade
        self._right *= fade
        if affected:
            return
        length = float(np.sqrt(residual @ residual))
        scale = config.huber * self.sigma_t * sqrt(3.0)
        weight = min(1.0, scale / length) if known and length > 0.0 else 1.0
        self._normal += weight * np.outer(regressor, regressor)
        self._right += weight * np.outer(regressor, value)
        self._fitted = min(self._fitted + 1, config.settle_samples)
        if self._fitted > 1:
            # The median is found by steps that depend on which side a sample is, not on how far: outliers pull little.
            step = min((config.settled_1_s if known else config.settling_1_s) * gone_s, 0.05)
            above = length > MAXWELL_MEDIAN * self.sigma_t
            self.sigma_t = max(config.floor_t, self.sigma_t * exp(step if above else -step))

    def _record(self, position: Floats, residual: Floats, length: float, affected: bool) -> None:
        cell = self.box.cell_of(position)
        if not bool(self.box.inside(cell)):
            self.refused["outside"] += 1
            return
        place = int(self.box.place(cell))
        if self._count[place] < FULL:
            self._count[place] += 1
            self._affected[place] += affected
            self._sum[place] += residual.astype(np.float32)
        self._peak[place] = max(float(self._peak[place]), length)

    def region(self, low_m: Floats, high_m: Floats) -> FieldRegion:
        """Cells that a box touches and that were measured. Raises ValueError on a bad corner."""
        places = self.box.places_within(low_m, high_m)
        places = places[self._count[places] > 0]
        count = self._count[places]
        return FieldRegion(
            self.box.centre_of(self.box.cells_at(places)), self._sum[places].astype(np.float64) / count[:, None],
            self._peak[places].astype(np.float64), count, self._affected[places],
        )
