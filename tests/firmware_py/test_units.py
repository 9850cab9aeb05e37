"""Between core and hardware: who is meant by a role, and a step that breaks down takes nobody with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from fdir.facts import UnitFacts
from firmware_py.units import UnitRecovery, devices_by_role, unit_facts
from hal.health import UnitHealth
from hal.profile import load_board

BOARD = load_board("qiki-rpi")


def _answers(_step: str, _unit: str, _now_ns: int) -> bool:
    return True


@dataclass
class Hardware:
    """As much of the hardware as the core's port asks."""

    imu_name: str | None = "imu"
    answer: Callable[[str, str, int], bool] = _answers
    board: Any = BOARD
    imu_units_left: int = 2
    health: UnitHealth = field(default_factory=UnitHealth)
    asked: list[tuple[str, str, int]] = field(default_factory=list)

    def recover(self, step: str, unit: str, now_ns: int) -> bool:
        self.asked.append((step, unit, now_ns))
        return self.answer(step, unit, now_ns)

    def unit_facts(self) -> UnitHealth:
        return self.health


def port(hardware: Hardware) -> UnitRecovery:
    return UnitRecovery(hardware)  # type: ignore[arg-type]


def test_devices_are_listed_by_role_in_the_boards_order() -> None:
    roles = devices_by_role(BOARD)
    assert roles["imu"] == ("imu",)
    assert roles["imu_backup"] == ("imu_b",)
    assert roles["sun_sensor"][:2] == ("sun_px", "sun_nx")
    assert sum(map(len, roles.values())) == len(BOARD.devices)


def test_the_role_of_the_inertial_unit_means_the_one_that_flies() -> None:
    hardware = Hardware(imu_name="imu_b")
    assert port(hardware).recover("redundant", "role imu", 7)
    assert hardware.asked == [("redundant", "imu_b", 7)]


def test_another_role_means_its_first_device_and_a_name_means_itself() -> None:
    hardware = Hardware()
    port(hardware).recover("reset", "role star_tracker", 1)
    port(hardware).recover("retry", "bus i2c_b", 2)
    assert [unit for _, unit, _ in hardware.asked] == ["star_tracker", "bus i2c_b"]


@pytest.mark.parametrize("answer", [True, False])
def test_the_hardwares_answer_is_the_cores(answer: bool) -> None:
    hardware = Hardware(answer=lambda *_: answer)
    recovery = port(hardware)
    assert recovery.recover("re-init", "gauge", 0) is answer
    assert recovery.errors == []


def test_a_step_that_breaks_down_is_a_step_that_does_not_apply_and_is_told() -> None:
    def breaks(step: str, unit: str, now_ns: int) -> bool:
        raise RuntimeError("x" * 500)

    recovery = port(Hardware(answer=breaks))
    assert recovery.recover("power-cycle", "gauge", 0) is False
    (told,) = recovery.errors
    assert told.startswith("power-cycle of gauge: RuntimeError('xxx")
    assert len(told) == 200


def test_what_the_hardware_knows_is_handed_on_in_the_cores_words() -> None:
    health = UnitHealth(frozenset({"gauge"}), frozenset({"mag"}), frozenset({"bus i2c_a"}))
    assert unit_facts(Hardware(health=health, imu_units_left=1)) == UnitFacts(  # type: ignore[arg-type]
        frozenset({"gauge"}), frozenset({"mag"}), frozenset({"bus i2c_a"}), 1
    )
