"""The mission of a real craft: the given one without what only a rig can play, or none, which is to stand by."""

from __future__ import annotations

import msgspec

from firmware_py.mission import MissionConfig, StepConfig
from hal.profile import ConfigError, Profile

__all__ = ["STAND_BY", "check_fits", "mission_to_fly", "stand_by"]

STAND_BY = StepConfig("stand by", wait_for="Idle", timeout_s=86_400.0)
"""Boot to Idle and wait for the ground."""


def stand_by(profile: Profile, epoch: str) -> MissionConfig:
    """No mission: a craft that boots, and then waits for commands over its link."""
    return MissionConfig(
        schema_version=1, mission="stand-by", description="Boots to Idle and waits for commands",
        body=profile.body.body, board=profile.board.board, epoch=epoch, steps=(STAND_BY,),
    )


def check_fits(mission: MissionConfig, profile: Profile) -> None:
    """Refuse a mission of another body: what it commands may not be possible, or not be safe.

    Raises:
        ConfigError: names both.
    """
    if mission.body != profile.body.body:
        raise ConfigError(mission.mission, None, "body", f"is {mission.body}; the craft is {profile.body.body}")


def mission_to_fly(given: MissionConfig | None, profile: Profile, epoch: str, unfinished: bool) -> MissionConfig:
    """What is flown from ``epoch`` on, as a file of it would read.

    Faults, ground and expectations are the rig's and left out. After a start that nobody ended the steps are not given
    a second time: nobody on board knows what has happened meanwhile, so the craft boots and waits for the ground.
    """
    if given is None:
        return stand_by(profile, epoch)
    left = msgspec.structs.replace(given, epoch=epoch, faults=(), expect=(), link=None)
    return msgspec.structs.replace(left, steps=(STAND_BY,)) if unfinished else left
