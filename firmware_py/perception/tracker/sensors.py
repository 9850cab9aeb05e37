"""A sensor as the tracker computes with it: variances, field of view, clutter density; ready before a frame comes."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isfinite, log, pi, sqrt

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.tracker.config import TrackerConfig
from firmware_py.perception.tracks import SensorModel

__all__ = ["UNMEASURED", "Patience", "Sensor", "in_view", "prepare"]

Floats = NDArray[np.float64]

UNMEASURED = 1e12
"""Variance that stands for none measured: in any of the units it leaves a track as it was."""
_FAR_M = 1e5
"""Depth of a field of view without a limit, for the density of clutter."""
_HALF_SKY = 1e-9


@dataclass(frozen=True, slots=True)
class Patience:
    """Times of one sensor, ns: in view without a detection until a tentative or firm track ends, and within which a
    track must have its hits to become firm."""

    tentative_ns: int
    firm_ns: int
    confirm_ns: int


@dataclass(frozen=True, slots=True)
class Sensor:
    """What follows from a sensor's model. ``index`` is its place in the tracker's table.

    Attributes:
        variances: (4,) of range, bearing, elevation, radial velocity; ``UNMEASURED`` for what is not measured.
        measured: (4,) bool.
        looks_around: its field of view has no limits.
        ratio: ln of detection over miss, over the density of clutter, for one detection in measured units.
        breadth: (4,) what each number contributes to ``ratio``.
        silent: sum of the logarithms of the variances that stand for none measured.
        revisit_ns: between two frames.
        times: how long its tracks may go without it.
        odd_misses: so many in a row are less probable than a manoeuvre.
    """

    index: int
    model: SensorModel
    variances: Floats
    measured: NDArray[np.bool_]
    all_measured: bool
    looks_around: bool
    ratio: float
    breadth: Floats
    silent: float
    revisit_ns: int
    times: Patience
    odd_misses: int
    degrees: float
    """How many numbers it measures."""
    flat: bool
    """Its elevation is worth less than its field of view, or nothing."""


def prepare(index: int, model: SensorModel, config: TrackerConfig) -> Sensor:
    """The sensor of a model. Raises ValueError naming what is out of range."""
    sigmas = np.array([model.sigma_range_m, model.sigma_bearing_rad, model.sigma_elevation_rad,
                       model.sigma_radial_velocity_m_s], np.float64)
    if not (sigmas > 0.0).all():
        raise ValueError(f"sigmas {sigmas.tolist()}: must be above 0, or infinite for not measured")
    measured = np.isfinite(sigmas)
    if not measured[:2].all():
        raise ValueError("range and bearing must be measured: their sigmas are finite")
    if not 0.0 < model.detection_probability <= 1.0:
        raise ValueError(f"detection probability {model.detection_probability}: must be above 0, up to 1")
    if not (model.revisit_s > 0.0 and isfinite(model.revisit_s)):
        raise ValueError(f"revisit time {model.revisit_s} s: must be above 0")
    if not model.clutter_per_frame >= 0.0 or not 0.0 <= model.min_range_m < model.max_range_m:
        raise ValueError("clutter must not be negative, least range below greatest")
    if not (model.half_width_rad > 0.0 and model.half_height_rad > 0.0 and model.max_radial_velocity_m_s > 0.0):
        raise ValueError("field of view and greatest radial velocity must be above 0")
    probability = min(model.detection_probability, 0.999)
    spans = (min(model.max_range_m, _FAR_M) - model.min_range_m, 2.0 * model.half_width_rad,
             2.0 * model.half_height_rad, 2.0 * model.max_radial_velocity_m_s)
    breadth = np.where(measured, np.log(spans) - 0.5 * log(2.0 * pi), 0.0)
    ratio = log(probability / (1.0 - probability)) - log(max(model.clutter_per_frame, 1e-3)) + float(breadth.sum())
    around = (model.half_width_rad >= pi - _HALF_SKY and model.half_height_rad >= pi / 2 - _HALF_SKY
              and model.min_range_m <= 0.0 and not isfinite(model.max_range_m))
    return Sensor(
        index, model, np.where(measured, sigmas, sqrt(UNMEASURED)) ** 2, measured, bool(measured.all()), around, ratio,
        breadth, float((~measured).sum()) * log(UNMEASURED), round(model.revisit_s * 1e9),
        _patience(config, round(model.revisit_s * 1e9), round(model.revisit_s / probability * 1e9)),
        ceil(log(config.manoeuvre_miss) / log(1.0 - probability)), float(measured.sum()),
        bool(sigmas[2] > model.half_height_rad),
    )


def _patience(config: TrackerConfig, revisit_ns: int, wait_ns: int) -> Patience:
    """Times that follow from revisit and mean time between two detections.

    Half a revisit is taken off, so that frames that come a little early still count.
    """
    half = revisit_ns // 2
    return Patience(
        max(round(config.drop_tentative_s * 1e9), round(config.drop_tentative_looks * wait_ns)) - half,
        max(round(config.drop_firm_s * 1e9), round(config.drop_firm_looks * wait_ns)) - half,
        max(round(config.confirm_window_s * 1e9), (config.confirm_hits + 1) * wait_ns),
    )


def in_view(values: Floats, sensor: Sensor) -> NDArray[np.bool_] | None:
    """(n,) expected ``values`` (4, n) inside the field of view; None if all are."""
    if sensor.looks_around:
        return None
    model = sensor.model
    inside = np.abs(values[2]) <= model.half_height_rad
    inside &= values[0] <= model.max_range_m
    inside &= values[0] >= model.min_range_m
    if model.half_width_rad < pi:
        inside &= np.abs(values[1]) <= model.half_width_rad
    return None if np.count_nonzero(inside) == len(inside) else inside
