"""Between the core and the hardware: which devices and buses there are, how they do, and how one is recovered."""

from __future__ import annotations

from fdir.facts import UnitFacts
from fdir.monitors import ROLE
from hal.hardware import Hardware
from hal.profile import BoardConfig

__all__ = ["UnitRecovery", "devices_by_role", "unit_facts"]

FLOWN_IMU = f"{ROLE}imu"


def devices_by_role(board: BoardConfig) -> dict[str, tuple[str, ...]]:
    """Names of a board's devices by their role, in the board's order."""
    found: dict[str, tuple[str, ...]] = {}
    for device in board.devices:
        found[device.role] = (*found.get(device.role, ()), device.name)
    return found


class UnitRecovery:
    """Carries the core's recovery steps to the hardware (``fdir.recovery.RecoveryPort``)."""

    __slots__ = ("_first", "_hardware", "errors")

    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware
        self.errors: list[str] = []
        """Steps that broke down instead of answering; whoever tells of them takes them away."""
        self._first = {f"{ROLE}{role}": names[0] for role, names in devices_by_role(hardware.board).items()}

    def recover(self, step: str, unit: str, now_ns: int) -> bool:
        """See RecoveryPort. A unit known by its role is the one that flies in it."""
        if unit == FLOWN_IMU:
            unit = self._hardware.imu_name or ""
        try:
            return self._hardware.recover(step, self._first.get(unit, unit), now_ns)
        except Exception as error:
            # A step against one unit must not take the judgement of all others with it.
            self.errors.append(f"{step} of {unit}: {error!r}"[:200])
            return False


def unit_facts(hardware: Hardware) -> UnitFacts:
    """What the hardware knows of its devices and buses, in the core's words."""
    health = hardware.unit_facts()
    return UnitFacts(health.lost, health.degraded, health.buses_out, hardware.imu_units_left)
