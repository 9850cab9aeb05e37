"""From what a scenario says of the surroundings to what the rig plays: the same figures, in the rig's words."""

from __future__ import annotations

from math import inf, radians

from firmware_py.mission_surroundings import ObstacleConfig, SurroundingsConfig, TargetConfig, TransponderConfig
from hal.frames import quaternion_from_euler
from hil.plant.targets import Field, Manoeuvre, Mode, Obstacle, Patch, Scene, Target, Transponder

__all__ = ["scene_of"]

MODES = {"off": Mode.OFF, "on": Mode.ON, "silent": Mode.SILENT, "spoof": Mode.SPOOF, True: Mode.ON, False: Mode.OFF}


def scene_of(config: SurroundingsConfig | None) -> Scene:
    """The rig's scene; an empty one for a scenario that says nothing of it."""
    if config is None:
        return Scene()
    return Scene(
        targets=tuple(_target(t) for t in config.targets), obstacles=tuple(_obstacle(o) for o in config.obstacles),
        fields=tuple(Field(f.position_m, f.moment_a_m2, f.core_m) for f in config.fields),
        patches=tuple(Patch(p.position_m, p.radius_m, p.spectrum, p.strength) for p in config.patches),
        spectra=dict(config.spectra), clutter_per_frame=config.clutter_per_frame,
    )


def _target(config: TargetConfig) -> Target:
    return Target(
        config.name, config.position_m, config.velocity_m_s, config.frame == "craft", config.at_s, config.radius_m,
        config.rcs_dbsm, config.type, config.spectrum, _transponder(config.transponder),
        tuple(Manoeuvre(m.from_s, m.to_s, m.acceleration_m_s2) for m in config.manoeuvres), config.appears_s,
        inf if config.vanishes_s is None else config.vanishes_s,
    )


def _transponder(config: TransponderConfig | None) -> Transponder:
    return Transponder() if config is None else Transponder(MODES[config.mode], config.number, config.power_dbm)


def _obstacle(config: ObstacleConfig) -> Obstacle:
    roll, pitch, yaw = (radians(x) for x in config.attitude_deg)
    half = None
    if config.size_m is not None:
        x, y, z = config.size_m
        half = (0.5 * x, 0.5 * y, 0.5 * z)
    return Obstacle(
        config.name, config.position_m, config.radius_m or 0.0, half, quaternion_from_euler(roll, pitch, yaw),
        config.rcs_dbsm, config.spectrum,
    )
