"""Every column of the encounter check set by its name, from own and intruder states: for tests, tables and pictures.

Names, formulas and units are those of the check set's own page; NaN where a column is not defined.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_py.perception.risk.encounter import (
    CRAFT_SPHERE,
    VOLUMES,
    Kind,
    Violation,
    approach,
    cylinder_violation,
    modified_tau,
    sphere_violation,
    time_to_coaltitude,
)
from firmware_py.perception.risk.tcas import resolution_advisory, sensitivity_level, traffic_advisory

__all__ = ["KINDS", "encounter_columns"]

Floats = NDArray[np.float64]
KINDS: dict[str, tuple[Kind, ...]] = {
    "do365_ph1": (Kind.TAUMOD, Kind.TCPA, Kind.TEP), "do365_nc": (Kind.TAUMOD,), "buffered": (Kind.TAUMOD,),
    "craft": (Kind.TAUMOD,),
}
"""Kinds of violation that are told of each volume."""


def encounter_columns(
    own_position_m: Floats, intruder_position_m: Floats, own_velocity_m_s: Floats, intruder_velocity_m_s: Floats
) -> dict[str, NDArray[Any]]:
    """All columns of encounters, (n, 3) each: x east, y north, z up.

    Raises ValueError for shapes that are not (n, 3), all with the same n.
    """
    given = (own_position_m, intruder_position_m, own_velocity_m_s, intruder_velocity_m_s)
    if len({np.shape(each) for each in given}) != 1 or np.ndim(own_position_m) != 2 or np.shape(given[0])[1] != 3:
        raise ValueError(f"shapes are {[np.shape(each) for each in given]}; (n, 3) is allowed, all the same")
    s = np.subtract(own_position_m, intruder_position_m, dtype=np.float64)
    v = np.subtract(own_velocity_m_s, intruder_velocity_m_s, dtype=np.float64)
    whole, flat = approach(s, v), approach(s[:, :2], v[:, :2])
    level = sensitivity_level(np.asarray(own_position_m, np.float64)[:, 2])
    found: dict[str, NDArray[Any]] = {
        "range_m": whole.range_m, "range_rate_mps": whole.range_rate_m_s, "tcpa3_s": whole.tcpa_s,
        "miss3_m": whole.miss_m, "tau3_s": whole.tau_s, "hrange_m": flat.range_m,
        "hrange_rate_mps": flat.range_rate_m_s, "tcpa2_s": flat.tcpa_s, "hmd_m": flat.miss_m, "tau2_s": flat.tau_s,
        "tcoa_s": time_to_coaltitude(s[:, 2], v[:, 2]),
    }
    for name, kinds in KINDS.items():
        volume = VOLUMES[name]
        found[f"taumod_{name}_s"] = modified_tau(s[:, :2], v[:, :2], volume.distance_m)
        for kind in kinds:
            found |= _named(f"wcv_{name}_{kind}", cylinder_violation(volume, s, v, kind))
    found["taumod_sph_s"] = modified_tau(s, v, CRAFT_SPHERE.distance_m)
    found |= _named("sph", sphere_violation(CRAFT_SPHERE, s, v))
    found |= {
        "tcas_sl": level, "tcas_ta": traffic_advisory(s, v, level), "tcas_ra": resolution_advisory(s, v, level),
    }
    return found


def _named(name: str, violation: Violation) -> dict[str, NDArray[Any]]:
    return {f"{name}_now": violation.now, f"{name}_in_s": violation.in_s, f"{name}_out_s": violation.out_s}
