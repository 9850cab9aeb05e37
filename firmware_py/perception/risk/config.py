"""What risk is judged by: thresholds of levels, of the verdict and of the way out, each with its range."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["LevelRules", "RiskConfig", "check_risk"]

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Seconds = Annotated[float, Meta(ge=0.0, le=300.0)]
Metres = Annotated[float, Meta(ge=0.0, le=10_000.0)]
Frames = Annotated[int, Meta(ge=1, le=32)]


class LevelRules(Struct, frozen=True, forbid_unknown_fields=True):
    """When a contact is a warning or critical, and how that goes on in time."""

    warn_time_s: Seconds = 20.0
    warn_closing_m_s: Annotated[float, Meta(gt=0.0, le=1000.0)] = 5.0
    critical_time_s: Seconds = 8.0
    critical_range_m: Metres = 150.0
    stop_factor: Annotated[float, Meta(ge=1.0, le=5.0)] = 1.2
    stop_margin_s: Seconds = 0.5
    """Critical too with less time than a full brake takes, times the factor, and this."""
    unknown_range_m: Metres = 300.0
    unknown_time_s: Seconds = 8.0
    """An unknown contact that stays so near for so long is a warning."""
    confirm_frames: Frames = 3
    of_frames: Frames = 4
    """A level rises when so many of the last so many frames ask for it."""
    hysteresis: Share = 0.1
    """By this share the limits of a level are wider while it stands."""
    resolve_s: Seconds = 2.0
    """A level falls when nothing has asked for it for so long."""
    lost_s: Seconds = 2.0
    """A contact that was not seen for so long is lost; its level falls ``resolve_s`` after that."""
    cooldown_s: Seconds = 5.0
    """Least time between two events of one contact, unless the level is higher."""
    mute_s: Seconds = 10.0
    """For so long an acknowledged contact is silent, unless the level is higher."""
    capacity: Annotated[int, Meta(ge=1, le=100_000)] = 2048
    """Contacts remembered."""


class RiskConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that risk is judged by."""

    levels: LevelRules = LevelRules()
    horizon_s: Annotated[float, Meta(gt=0.0, le=3600.0)] = 60.0
    """How far straight flight is followed."""
    sigmas: Annotated[float, Meta(gt=0.0, le=10.0)] = 3.3
    """Bounds of the miss distance, one in two thousand outside on the near side."""
    extent_m: Metres = 1.0
    """Radius of a contact whose extent is not known."""
    pass_radii: Annotated[float, Meta(gt=1.0, le=10.0)] = 3.0
    """What passes farther away than so many combined radii must not be acted on."""
    doubt_radii: Annotated[float, Meta(gt=0.0, le=10.0)] = 2.4
    doubt_sigmas: Annotated[float, Meta(ge=0.0, le=10.0)] = 1.0
    """With no time left for better knowledge, what is expected within so many combined radii is acted on, and what is
    no more sigmas than that beyond one."""
    least_closing_m_s: Annotated[float, Meta(ge=0.0, le=100.0)] = 0.2
    """Slower contacts are not on a collision course."""
    reaction_s: Seconds = 0.5
    """From a verdict to the first push."""
    last_chance_s: Seconds = 3.2
    """Time to the combined radius at which the last doubt is no reason to wait any more, at the least."""
    lead_s: Seconds = 1.0
    """A stop that is due within this time is begun now."""
    directions: Annotated[int, Meta(ge=6, le=1000)] = 96
    magnitudes: Annotated[int, Meta(ge=1, le=32)] = 12
    """Evasions that are tried."""
    most_evade_m_s: Annotated[float, Meta(gt=0.0, le=5.0)] = 5.0
    """Largest change of velocity; the command takes no more."""
    margin_m: Metres = 1.0
    """Room beyond the combined radius that an evasion is to leave, and as much as one sigma at the miss beside it."""
    cylinder_radius_m: Metres = 0.0
    cylinder_height_m: Metres = 0.0
    """Half height; a cylinder about every contact, along the inertial z axis, that an evasion leaves too. 0: none."""
    track_age_s: Seconds = 2.0
    """Tracks are carried on to the present by at most so much."""


def check_risk(config: RiskConfig) -> RiskConfig:
    """The configuration, if what its values say of each other can be. Raises ValueError with what is allowed."""
    levels = config.levels
    if levels.confirm_frames > levels.of_frames:
        raise ValueError(
            f"confirm_frames is {levels.confirm_frames}; at most of_frames ({levels.of_frames}) is allowed"
        )
    if levels.critical_time_s > levels.warn_time_s:
        raise ValueError(
            f"critical_time_s is {levels.critical_time_s}; at most warn_time_s ({levels.warn_time_s}) is allowed"
        )
    if config.doubt_radii > config.pass_radii:
        raise ValueError(f"doubt_radii is {config.doubt_radii}; at most pass_radii ({config.pass_radii}) is allowed")
    if (config.cylinder_radius_m > 0.0) is not (config.cylinder_height_m > 0.0):
        raise ValueError("a cylinder needs cylinder_radius_m and cylinder_height_m, both above 0")
    return config
