"""The table of parts: a driver of the same name for each, and every part is fed by the world and answers."""

from __future__ import annotations

from importlib.util import find_spec

import msgspec
import pytest

from firmware_py.reference import parts
from hal.hardware import Hardware
from hal.profile import Profile, load_profile
from hal.profile.board import DeviceConfig, MountConfig
from hil.parts import PARTS
from hil.plant.world import InitialState
from hil.rig import Rig

SHIPPED = (("qiki-t", "qiki-rpi"), ("bench-12kg", "bench-rpi"))
OF_THE_COMPUTER = {"linux_platform", "linux_watchdog"}
"""Drivers of the flight computer itself, which the rig does not play."""
TICK_NS = 5_000_000


def test_parts_and_drivers_have_the_same_names() -> None:
    assert set(PARTS) == {name for name, _ in parts()} - OF_THE_COMPUTER
    assert all(find_spec(f"hil.chips.{name}") for name in set(PARTS) - {"cia401_valves"})


def flown(profile: Profile, seconds: float) -> tuple[Rig, Hardware, int]:
    rig = Rig(profile, InitialState(epoch=1_780_000_000_000_000_000), 1)
    hardware = Hardware(profile, rig.buses)
    hardware.propulsion.set_heartbeat(True)
    now_ns = 0
    for tick in range(1, round(seconds * 1e9 / TICK_NS)):
        now_ns = tick * TICK_NS
        rig.advance(now_ns)
        hardware.sense(now_ns)
        if tick % 10 == 0:
            hardware.survey(now_ns)
    return rig, hardware, now_ns


@pytest.mark.parametrize(("body", "board"), SHIPPED)
def test_every_device_of_a_shipped_board_answers_on_the_rig(body: str, board: str) -> None:
    _, hardware, _ = flown(load_profile(body, board), 3.0)
    assert hardware.not_ok() == {}


def test_the_other_magnetometer_measures_the_same_field() -> None:
    profile = load_profile("qiki-t", "qiki-rpi")
    second = DeviceConfig("mag_b", "lsm303dlhc", "magnetometer", "i2c_b", 10.0, 500, address=0x1E, mount=MountConfig())
    board = msgspec.structs.replace(profile.board, devices=(*profile.board.devices, second))
    rig, hardware, now_ns = flown(profile._replace(board=board), 3.0)
    sample = hardware.reading("mag_b", now_ns)
    assert sample.ok
    assert sample.value.field_t == pytest.approx(rig.world.field_body(), abs=2e-6)
