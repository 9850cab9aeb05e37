"""What a restart of the flight computer means on the rig: supply, devices opened anew, and the mission that is left.

The world and the chips are the same as before: what is stored in non-volatile memory is still there, valve nodes have
shut by themselves, and the craft is where it has drifted to.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import msgspec

from drivers.bus.protocol import ReopenableBus
from drivers.errors import DeviceError
from firmware_py.mission import MissionConfig, StepConfig
from hil.bus.gpio import SimGpioBus
from hil.bus.serial import SimSerialBus
from hil.rig import Rig

__all__ = ["RESTARTED", "START_NS", "cut_power", "give_power", "open_anew", "restarted"]

START_NS = 2_000_000_000
"""From the end of a program to the start of the next: the service manager's pause, and an interpreter with its imports.
"""
RESTARTED = StepConfig("restarted", wait_for="Idle", timeout_s=60.0, stay_s=10.0)
"""All that is flown after a restart: nobody on board knows what has happened meanwhile, so the craft boots, goes to
Idle and waits for the ground."""
READ_BYTES = 65_536


def restarted(mission: MissionConfig, texts: Mapping[str, str]) -> tuple[MissionConfig, dict[str, str]]:
    """The mission after a restart, and the attachments of its record: with it, a later part can be replayed too."""
    step = RESTARTED
    if mission.link is not None:
        # A ground that is there needs its time to find out, and comes back.
        step = msgspec.structs.replace(step, stay_s=mission.duration_s)
    left = msgspec.structs.replace(mission, steps=(step,), faults=(), expect=())
    attachments = dict(texts)
    if "mission.yaml" in attachments:
        attachments["mission.yaml"] = msgspec.yaml.encode(left).decode()
    return left, attachments


def cut_power(rig: Rig) -> None:
    """Take the supply of computer, valve nodes and chips away; valves shut, the lines to them fall. Twice is once."""
    lines = rig.profile.board.lines
    gpio = next((bus for bus in rig.buses.values() if isinstance(bus, SimGpioBus)), None)
    for node in rig.nodes.values():
        node.power_off(rig.now_ns)
    if gpio is not None:
        for line in (lines.valve_enable, lines.valve_arm, lines.watchdog_kick):
            gpio.drive(line, False)


def give_power(rig: Rig) -> None:
    """Everything starts anew; only what is non-volatile is what it was."""
    for name, chip in rig.chips.items():
        if name not in rig.nodes:
            chip.reset()
    for node in rig.nodes.values():
        node.power_on(rig.now_ns)


def open_anew(rig: Rig) -> None:
    """The program opens its devices: what had arrived for the one before it is gone."""
    for bus in rig.buses.values():
        with suppress(DeviceError):
            if isinstance(bus, ReopenableBus):
                bus.reopen()
            elif isinstance(bus, SimSerialBus):
                while bus.read(READ_BYTES):
                    pass
