"""Reference spectra from one file that is checked whole: what surfaces may be, as shapes over a sensor's channels.

A file with one bad class is refused with file, line and key, as are two classes that noise could not tell apart.
"""

from __future__ import annotations

from importlib import resources
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from drivers.samples import SpectrumSample
from hal.profile.loader import Lines, check_finite, load_yaml

__all__ = ["MAX_CLASSES", "Match", "SpectraTable", "SpectrumClass", "find_spectra", "load_spectra"]

MAX_CLASSES = 16
MIN_CHANNELS = 5
"""Channels below which a shape says too little: a brightness and a slope are two of them."""
APART_SIGMAS = 2.0
"""Two classes whose shapes are nearer than that cannot both be in a file."""

Floats = NDArray[np.float64]
Name = Annotated[str, Meta(min_length=1, max_length=32)]
Positive = Annotated[float, Meta(gt=0.0, le=1000.0)]


class SpectrumClass(Struct, frozen=True, forbid_unknown_fields=True):
    """One class: reflectance in the order of the channels, relative to any one of them, and where it comes from."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_]*$", max_length=32)]
    source: Annotated[str, Meta(min_length=1, max_length=200)]
    reflectance: tuple[Positive, ...]
    text: Annotated[str, Meta(max_length=200)] = ""


class _SpectraFile(Struct, frozen=True, forbid_unknown_fields=True):
    schema_version: Literal[1]
    channels: Annotated[tuple[Name, ...], Meta(min_length=MIN_CHANNELS, max_length=32)]
    white: tuple[Positive, ...]
    noise: Annotated[float, Meta(gt=0.0, le=0.5)]
    floor: Annotated[float, Meta(gt=0.0, le=1.0)]
    dark_counts_s: Annotated[float, Meta(gt=0.0, le=1e9)]
    classes: Annotated[tuple[SpectrumClass, ...], Meta(min_length=1, max_length=MAX_CLASSES)]


class Match(NamedTuple):
    """What a sample looks like.

    ``nearest`` is the number of the nearest class, ``sigmas`` the root mean square of what is left, in units of noise;
    ``second_sigmas`` that of the second nearest, infinite if there is none. ``refused`` says why there is no match:
    ``channels`` too few of them, ``dark``, or is empty. ``bad`` channels were neither a number nor missing.
    """

    nearest: int
    sigmas: float
    second_sigmas: float
    refused: str = ""
    bad: int = 0


class SpectraTable:
    """Classes and the sensor's response, ready to be compared with samples.

    Attributes:
        names: of the classes, in the order of the file.
        channels: of the sensor.
    """

    def __init__(self, file: _SpectraFile) -> None:
        self.names = tuple(kind.name for kind in file.classes)
        self.channels = file.channels
        self._white = np.array(file.white)
        self._classes = np.array([kind.reflectance for kind in file.classes])
        self._noise, self._floor, self._dark = file.noise, file.floor, file.dark_counts_s

    def match(self, sample: SpectrumSample) -> Match:
        """Compare a sample with all classes; brightness is fitted to each. Saturated channels are not asked."""
        counts, bad = self._counts(sample)
        there = np.isfinite(counts)
        if int(there.sum()) < MIN_CHANNELS:
            return Match(-1, np.nan, np.nan, "channels", bad)
        if float(np.max(counts[there])) < self._dark:
            return Match(-1, np.nan, np.nan, "dark", bad)
        sigmas = self._left(counts[there] / self._white[there], there)
        order = np.argsort(sigmas, kind="stable")
        second = float(sigmas[order[1]]) if len(order) > 1 else np.inf
        return Match(int(order[0]), float(sigmas[order[0]]), second, "", bad)

    def _left(self, shape: Floats, there: NDArray[np.bool_]) -> Floats:
        """Residual of a shape to every class, in units of noise; least squares over the channels that are there."""
        reference = self._classes[:, there]
        weight = 1.0 / (reference + self._floor)
        x, y = shape * weight, reference * weight
        brightness = (x * y).sum(axis=1) / (y * y).sum(axis=1)
        left = (x - brightness[:, None] * y) / (self._noise * brightness[:, None])
        sigmas: Floats = np.sqrt((left * left).sum(axis=1) / (int(there.sum()) - 1))
        return sigmas

    def _counts(self, sample: SpectrumSample) -> tuple[Floats, int]:
        """Counts in the order of the table, NaN where there are none; and how many were no counts."""
        counts, bad = np.full(len(self.channels), np.nan), 0
        for name, value in zip(sample.channels, sample.basic_counts_s, strict=False):
            if value is None or name not in self.channels:
                continue
            if isfinite(value) and value >= 0.0:
                counts[self.channels.index(name)] = value
            else:
                bad += 1
        return counts, bad

    def nearest_pair(self) -> tuple[int, int, float] | None:
        """The two classes that are most alike and by how many sigmas they differ; None for a single class."""
        everything = np.ones(len(self.channels), np.bool_)
        pairs = [
            (float(sigmas), i, j) for i in range(len(self.names))
            for j, sigmas in enumerate(self._left(self._classes[i], everything)) if i != j
        ]
        if not pairs:
            return None
        sigmas, i, j = min(pairs)
        return i, j, sigmas


def find_spectra() -> Path:
    """The spectra that ship with the project."""
    return Path(str(resources.files("board_configs") / "spectra.yaml"))


def load_spectra(path: Path | None = None) -> SpectraTable:
    """Load and check a file of spectra; the one that ships if no path is given.

    Raises:
        ConfigError: names file, line and key, and what is allowed.
    """
    file, lines = load_yaml(find_spectra() if path is None else path, _SpectraFile)
    check_finite(file, lines)
    _check(file, lines)
    table = SpectraTable(file)
    pair = table.nearest_pair()
    if pair is not None and pair[2] < APART_SIGMAS:
        first, second = max(pair[:2]), min(pair[:2])
        why = f"is {pair[2]:.2g} sigma from {table.names[second]}; {APART_SIGMAS:g} or more are needed"
        raise lines.error(["classes", first, "reflectance"], why)
    return table


def _check(file: _SpectraFile, lines: Lines) -> None:
    count = len(file.channels)
    if len(set(file.channels)) < count:
        raise lines.error(["channels"], "a channel is named twice")
    if len(file.white) != count:
        raise lines.error(["white"], f"has {len(file.white)} numbers; {count} are needed, one a channel")
    seen: set[str] = set()
    for index, kind in enumerate(file.classes):
        if kind.name in seen:
            raise lines.error(["classes", index, "name"], f"{kind.name} is given twice")
        seen.add(kind.name)
        if len(kind.reflectance) != count:
            why = f"{kind.name}: has {len(kind.reflectance)} numbers; {count} are needed, one a channel"
            raise lines.error(["classes", index, "reflectance"], why)
