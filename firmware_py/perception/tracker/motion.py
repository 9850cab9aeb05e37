"""Straight flight under white acceleration, for all tracks at once and exactly for any time between frames."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.tracker.store import COVARIANCE, POSITION, VELOCITY, Word

__all__ = ["Motion", "process_noise"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def process_noise(dt_s: float, psd_m2_s3: float) -> Floats:
    """(6, 6) covariance that white acceleration adds in ``dt_s``. Source: Bar-Shalom, Li, Kirubarajan, Estimation with
    Applications to Tracking and Navigation, 2001, section 6.2.2."""
    block = np.array([[dt_s**3 / 3.0, dt_s**2 / 2.0], [dt_s**2 / 2.0, dt_s]]) * psd_m2_s3
    noise: Floats = np.kron(block, np.eye(3)).astype(np.float64)
    return noise


class Motion:
    """The two models: ``psd_m2_s3`` of the first, ``ratio`` of the second's density to it.

    The noise of the last time step is kept, because a sensor's frames come evenly.
    """

    __slots__ = ("_dt_s", "_noise", "_psd", "_ratio")

    def __init__(self, psd_m2_s3: float, ratio: float) -> None:
        self._psd, self._ratio = psd_m2_s3, ratio
        self._dt_s, self._noise = 0.0, np.zeros((6, 6, 1))

    def noise(self, dt_s: float) -> Floats:
        """(6, 6, 1) of the first model."""
        if dt_s != self._dt_s:
            self._dt_s, self._noise = dt_s, process_noise(dt_s, self._psd)[:, :, None]
        return self._noise

    def predict(self, numbers: Floats, words: Ints, t_ns: int, dt_s: float) -> None:
        """Move all tracks on by ``dt_s`` to ``t_ns``, in place; the covariance stays symmetric to the last bit.

        Back in time as well: uncertainty grows both ways.
        """
        numbers[POSITION] += dt_s * numbers[VELOCITY]
        covariance = numbers[COVARIANCE].reshape(6, 6, -1)
        place, mixed, speed = covariance[:3, :3], covariance[:3, 3:], covariance[3:, 3:]
        both = mixed + mixed.transpose(1, 0, 2)
        both *= dt_s
        place += both
        grown = speed * dt_s
        mixed += grown
        grown *= dt_s
        place += grown
        covariance[3:, :3] = mixed.transpose(1, 0, 2)
        noise = self.noise(abs(dt_s))
        covariance += noise
        alarmed = words[Word.ALARM_NS] >= t_ns
        if np.count_nonzero(alarmed):
            covariance[:, :, alarmed] += (self._ratio - 1.0) * noise
