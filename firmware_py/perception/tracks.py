"""The track list as others see it: columns of equal length, a row each track, all values at one time.

Risk, guard, maps, queries and pictures read this; the tracker alone writes it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.observation import Status

__all__ = ["SensorModel", "TrackSet"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bytes = NDArray[np.int8]
_TRACKED, _COASTING = np.int8(Status.TRACKED), np.int8(Status.COASTING)
"""As numbers: a column is held against a number in a quarter of the time that an enum takes."""


@dataclass(frozen=True, slots=True)
class SensorModel:
    """What the tracker must know of one sensor. Sigmas are one standard deviation; an infinite one: not measured.

    Attributes:
        sigma_range_m, sigma_bearing_rad, sigma_elevation_rad, sigma_radial_velocity_m_s: noise of a detection.
        detection_probability: of a target in the field of view, 0..1.
        clutter_per_frame: false detections expected in one frame.
        revisit_s: time between two frames; the service tells the true one as duty cycles change it.
        min_range_m, max_range_m: of the field of view.
        half_width_rad, half_height_rad: of the field of view about the sensor's x axis, in bearing and elevation;
            pi and pi/2 for all round.
        max_radial_velocity_m_s: largest magnitude that it can tell.
    """

    sigma_range_m: float
    sigma_bearing_rad: float
    sigma_elevation_rad: float
    sigma_radial_velocity_m_s: float = np.inf
    detection_probability: float = 0.9
    clutter_per_frame: float = 1.0
    revisit_s: float = 0.1
    min_range_m: float = 0.0
    max_range_m: float = np.inf
    half_width_rad: float = np.pi
    half_height_rad: float = np.pi / 2
    max_radial_velocity_m_s: float = 64.0


@dataclass(frozen=True, slots=True)
class TrackSet:
    """All tracks at ``t_ns``, oldest first. Inertial frame, SI; what is missing is NaN or NO_ID.

    ``state`` is (n, 6): position and velocity; ``covariance`` (n, 6, 6), always filled and positive definite.
    ``quality`` 0..1; ``trust`` 0..1, lowered by sensors that contradict each other. ``measured_ns`` is the event time
    of the last detection, ``born_ns`` of the first. ``sources`` has bit k for the k-th sensor of the tracker's table
    that has supported the track of late. ``extent_m`` is a radius.
    """

    t_ns: int
    track_id: Ints
    status: Bytes
    state: Floats
    covariance: Floats
    measured_ns: Ints
    born_ns: Ints
    miss_count: Ints
    quality: Floats
    trust: Floats
    snr_db: Floats
    rcs_dbsm: Floats
    extent_m: Floats
    transponder_mode: Bytes
    transponder_id: Ints
    band: Bytes
    sources: Ints
    object_type: Bytes
    iff: Bytes

    def __len__(self) -> int:
        """Tracks."""
        return len(self.track_id)

    @property
    def firm(self) -> NDArray[np.bool_]:
        """Tracks that count: tracked or coasting."""
        firm: NDArray[np.bool_] = (self.status == _TRACKED) | (self.status == _COASTING)
        return firm

    @property
    def position_variance_m2(self) -> Floats:
        """(n,) sum of the variances of a place's three axes."""
        variance: Floats = self.covariance[:, 0, 0] + self.covariance[:, 1, 1] + self.covariance[:, 2, 2]
        return variance

    @property
    def velocity_variance_m2_s2(self) -> Floats:
        """(n,) sum of the variances of a velocity's three axes."""
        variance: Floats = self.covariance[:, 3, 3] + self.covariance[:, 4, 4] + self.covariance[:, 5, 5]
        return variance

    @property
    def age_s(self) -> Floats:
        """Time since birth, s."""
        age_s: Floats = (self.t_ns - self.born_ns) * 1e-9
        return age_s
