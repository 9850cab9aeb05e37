"""What surfaces are made of, as far as their colour says: counts of classes in coarse cells, and what fits none.

Memory is fixed; the map goes along with the craft. A sample that is near no class, or near two, is counted as a sample
and as no class. What stays far from all classes is an event.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drivers.samples import SpectrumSample
from firmware_py.perception.anomaly import AnomalyConfig, AnomalyWatch, ScienceHit
from firmware_py.perception.rolling import RollingBox, within_reach
from firmware_py.perception.spectra import Match, SpectraTable
from hal.frames import Vec3

__all__ = ["CompositionConfig", "CompositionMap", "CompositionRegion"]

Floats = NDArray[np.float64]
FULL = np.iinfo(np.uint16).max


@dataclass(frozen=True, slots=True)
class CompositionConfig:
    """Shape of the map and when a sample counts for a class (P).

    ``class_sigmas``: residual up to which; ``margin_sigmas``: by how much the second nearest class must be worse.
    """

    shape: tuple[int, int, int] = (32, 32, 16)
    cell_m: float = 10.0
    class_sigmas: float = 3.0
    margin_sigmas: float = 1.0
    anomaly: AnomalyConfig = field(default_factory=AnomalyConfig)


@dataclass(frozen=True, slots=True)
class CompositionRegion:
    """Cells of a region that were looked at.

    ``centre_m`` (n, 3); ``counts`` (n, classes) in the order of ``names``; ``samples`` (n,) with those of no class;
    ``mean_sigmas`` (n,) residual to the nearest class.
    """

    names: tuple[str, ...]
    centre_m: Floats
    counts: NDArray[np.uint16]
    samples: NDArray[np.uint32]
    mean_sigmas: Floats

    def __len__(self) -> int:
        """Cells."""
        return len(self.samples)


class CompositionMap:
    """Map of classes.

    Attributes:
        samples: that were counted somewhere since start.
        refused: samples that were not, by reason: ``channels`` too few, ``dark``, ``outside`` of the map, ``position``
            that is no place.
        bad_channels: values that were neither counts nor missing.
        late: samples older than the newest; they count in the map and are no event.
    """

    def __init__(self, table: SpectraTable, config: CompositionConfig | None = None) -> None:
        self._config = config = CompositionConfig() if config is None else config
        self._table = table
        self.box = RollingBox(config.shape, config.cell_m)
        self._counts = np.zeros((self.box.size, len(table.names)), np.uint16)
        self._samples = np.zeros(self.box.size, np.uint32)
        self._sigmas = np.zeros(self.box.size, np.float32)
        self.watch = AnomalyWatch(config.anomaly)
        self._newest_ns: int | None = None
        self.samples = self.bad_channels = self.late = 0
        self.refused = dict.fromkeys(("channels", "dark", "outside", "position"), 0)

    @property
    def nbytes(self) -> int:
        """Memory of the map."""
        return self._counts.nbytes + self._samples.nbytes + self._sigmas.nbytes

    def follow(self, position_m: Floats) -> None:
        """Go along with the craft."""
        shape = self._config.shape
        for slab in self.box.follow(np.asarray(position_m, float)):
            self._counts.reshape((*shape, -1))[slab] = 0
            self._samples.reshape(shape)[slab] = 0
            self._sigmas.reshape(shape)[slab] = 0.0

    def add(self, t_ns: int, sample: SpectrumSample, position_m: Vec3) -> ScienceHit | None:
        """Take a sample of what is at a position; returns the event if it is one."""
        match = self._table.match(sample)
        self.bad_channels += match.bad
        if match.refused:
            self.refused[match.refused] += 1
            return None
        position = np.asarray(position_m, float)
        if not bool(within_reach(position)):
            self.refused["position"] += 1
            return None
        self._count(match, position)
        if self._newest_ns is not None and t_ns < self._newest_ns:
            self.late += 1
            return None
        self._newest_ns = t_ns
        if not self.watch.step(t_ns, match.sigmas):
            return None
        return ScienceHit(t_ns, "spectrum", position_m, match.sigmas, self._table.names[match.nearest])

    def _count(self, match: Match, position: Floats) -> None:
        cell = self.box.cell_of(position)
        if not bool(self.box.inside(cell)):
            self.refused["outside"] += 1
            return
        place = int(self.box.place(cell))
        self.samples += 1
        if self._samples[place] < FULL:
            self._samples[place] += 1
            # A cell that holds the strangest of things must not run to infinity by it.
            self._sigmas[place] += min(match.sigmas, 1e6)
            clear = match.second_sigmas >= match.sigmas + self._config.margin_sigmas
            if match.sigmas <= self._config.class_sigmas and clear:
                self._counts[place, match.nearest] += 1

    def region(self, low_m: Floats, high_m: Floats) -> CompositionRegion:
        """Cells that a box touches and that were looked at. Raises ValueError on a bad corner."""
        places = self.box.places_within(low_m, high_m)
        places = places[self._samples[places] > 0]
        return CompositionRegion(
            self._table.names, self.box.centre_of(self.box.cells_at(places)), self._counts[places],
            self._samples[places], self._sigmas[places].astype(np.float64) / self._samples[places],
        )
