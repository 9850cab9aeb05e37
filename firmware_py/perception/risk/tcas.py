"""The advisory conditions of TCAS II version 7.1 as they stand at one moment: a reference for what aviation warns of.

Thresholds: FAA, "Introduction to TCAS II Version 7.1" (2011), table of sensitivity levels. Conditions: C. Munoz,
A. Narkawicz, J. Chamberlain, "A TCAS-II Resolution Advisory Detection Algorithm", AIAA GNC 2013.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.risk.encounter import (
    FOOT_M,
    NAUTICAL_MILE_M,
    disc_times,
    inner,
    modified_tau,
    time_to_coaltitude,
)

__all__ = ["LEVELS", "SensitivityLevel", "resolution_advisory", "sensitivity_level", "traffic_advisory"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SensitivityLevel:
    """One row: up to which height of the own craft it holds (ft), and its thresholds (s, nautical miles, ft)."""

    level: int
    up_to_ft: float
    ta_tau_s: float
    ta_dmod_nmi: float
    ta_zthr_ft: float
    ra_tau_s: float
    ra_dmod_nmi: float
    ra_zthr_ft: float
    ra_hmd_ft: float


LEVELS = (
    SensitivityLevel(1, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
    SensitivityLevel(2, 1000.0, 20.0, 0.3, 850.0, 0.0, 0.0, 0.0, 0.0),
    SensitivityLevel(3, 2350.0, 25.0, 0.33, 850.0, 15.0, 0.2, 600.0, 1215.0),
    SensitivityLevel(4, 5000.0, 30.0, 0.48, 850.0, 20.0, 0.35, 600.0, 2126.0),
    SensitivityLevel(5, 10000.0, 40.0, 0.75, 850.0, 25.0, 0.55, 600.0, 3342.0),
    SensitivityLevel(6, 20000.0, 45.0, 1.0, 850.0, 30.0, 0.8, 600.0, 4861.0),
    SensitivityLevel(7, 42000.0, 48.0, 1.3, 850.0, 35.0, 1.1, 700.0, 6683.0),
    SensitivityLevel(8, np.inf, 48.0, 1.3, 1200.0, 35.0, 1.1, 800.0, 6683.0),
)
_CEILINGS_FT = np.array([row.up_to_ft for row in LEVELS])
_TA_TAU_S = np.array([row.ta_tau_s for row in LEVELS])
_TA_DMOD_M = np.array([row.ta_dmod_nmi for row in LEVELS]) * NAUTICAL_MILE_M
_TA_ZTHR_M = np.array([row.ta_zthr_ft for row in LEVELS]) * FOOT_M
_RA_TAU_S = np.array([row.ra_tau_s for row in LEVELS])
_RA_DMOD_M = np.array([row.ra_dmod_nmi for row in LEVELS]) * NAUTICAL_MILE_M
_RA_ZTHR_M = np.array([row.ra_zthr_ft for row in LEVELS]) * FOOT_M
_RA_HMD_M = np.array([row.ra_hmd_ft for row in LEVELS]) * FOOT_M


def sensitivity_level(height_m: Floats) -> NDArray[np.int64]:
    """Level 1..8 by the own craft's height; a bound belongs to the level below it."""
    return np.minimum(np.searchsorted(_CEILINGS_FT, height_m / FOOT_M, side="left"), len(LEVELS) - 1) + 1


def traffic_advisory(s: Floats, v: Floats, level: NDArray[np.int64]) -> Flags:
    """Whether the condition of a traffic advisory holds now."""
    row = level - 1
    return _warns(s, v, _TA_DMOD_M[row], _TA_ZTHR_M[row], _TA_TAU_S[row])


def resolution_advisory(s: Floats, v: Floats, level: NDArray[np.int64]) -> Flags:
    """Whether that of a resolution advisory holds now, the horizontal miss distance filter included."""
    row = level - 1
    s2, v2, filter_m = s[:, :2], v[:, :2], _RA_HMD_M[row]
    first, last = disc_times(s2, v2, filter_m)
    enters = (np.sqrt(inner(s2, s2)) <= filter_m) | ((first <= last) & (last >= 0.0))
    return enters & _warns(s, v, _RA_DMOD_M[row], _RA_ZTHR_M[row], _RA_TAU_S[row])


def _warns(s: Floats, v: Floats, dmod_m: Floats, zthr_m: Floats, tau_s: Floats) -> Flags:
    s2, v2 = s[:, :2], v[:, :2]
    near = (np.sqrt(inner(s2, s2)) <= dmod_m) | (modified_tau(s2, v2, dmod_m) <= tau_s)
    found: Flags = near & ((np.abs(s[:, 2]) <= zthr_m) | (time_to_coaltitude(s[:, 2], v[:, 2]) <= tau_s))
    return found
