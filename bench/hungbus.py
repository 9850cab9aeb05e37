"""A hung I2C bus under the flight loop in real time: ticks it costs, transfers until it is isolated, what flies on.

The whole program flies the rig at 200 Hz against the machine's clock. At 4 s the sensor bus hangs: every transfer, and
every probe of the recovery ladder, then blocks for the 10 ms of the kernel's time-out before it fails, as on a real
adapter. The same flight without the hang, in the same run, is the reference for what this machine loses by itself.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from time import sleep
from typing import Any

from bench.harness import Report
from drivers.errors import Cause, DeviceError
from firmware_py.clock import RealClock, RealMeter
from firmware_py.journal import NoJournal
from firmware_py.mission import load_mission, parse_epoch
from firmware_py.program import Program
from hal.manager import DeviceState
from hal.profile import load_profile
from hal.recovery import ThreadWorker
from hil.plant.world import InitialState
from hil.rig import Rig

BUS = "i2c_b"
NS = 1_000_000_000
HANG_NS = 4 * NS
END_NS = 12 * NS
TIMEOUT_S = 0.010
LOST_LIMIT = 2
ISOLATED_LIMIT = 3


class HangingBus:
    """An I2C bus that blocks for the kernel's time-out and fails, from ``hung`` on; counts who called it."""

    def __init__(self, inner: Any) -> None:
        self.name = inner.name
        self.hung = False
        self.blocked_in_loop = 0
        self.blocked_elsewhere = 0
        self._inner = inner
        self._loop = threading.get_ident()

    def write(self, address: int, data: bytes) -> None:
        """See I2cBus."""
        self._hang(address)
        self._inner.write(address, data)

    def read(self, address: int, count: int) -> bytes:
        """See I2cBus."""
        self._hang(address)
        answer: bytes = self._inner.read(address, count)
        return answer

    def write_read(self, address: int, data: bytes, count: int) -> bytes:
        """See I2cBus."""
        self._hang(address)
        answer: bytes = self._inner.write_read(address, data, count)
        return answer

    def clear_bus(self) -> None:
        """Nine clocks that do not help."""
        self._hang(0)

    def reopen(self) -> None:
        """A reopening that does not help."""
        self._hang(0)

    def _hang(self, address: int) -> None:
        if not self.hung:
            return
        if threading.get_ident() == self._loop:
            self.blocked_in_loop += 1
        else:
            self.blocked_elsewhere += 1
        sleep(TIMEOUT_S)
        raise DeviceError(self.name, address, Cause.TIMEOUT, "hung")


class WorldClock(RealClock):
    """The machine's clock, with a world that moves on before every tick."""

    def __init__(self, epoch_ns: int, rig: Rig) -> None:
        super().__init__(epoch_ns)
        self._rig = rig

    def sleep_until_ns(self, t_ns: int) -> int:
        """See Clock."""
        late = super().sleep_until_ns(t_ns)
        if t_ns > self._rig.now_ns:
            self._rig.advance(t_ns)
        return late


@dataclass(frozen=True, slots=True)
class Flown:
    """What one flight lost and how it stood at its end."""

    lost: int
    in_loop: int
    elsewhere: int
    others_ok: bool
    there_lost: bool
    imu_ok: bool


def fly(hang: bool) -> Flown:
    """Fly 12 s; ticks lost are counted from just before the hang."""
    mission = load_mission("first-flight")
    profile = load_profile(mission.body, mission.board)
    epoch_ns = parse_epoch(mission.epoch)
    rig = Rig(profile, InitialState(epoch=epoch_ns), 1)
    bus = HangingBus(rig.buses[BUS])
    buses = {**rig.buses, BUS: bus}
    program = Program(
        profile, mission, buses, WorldClock(epoch_ns, rig), RealMeter(), NoJournal(), worker=ThreadWorker
    )
    program.run(HANG_NS)
    before = program.scheduler.lost_ticks
    bus.hung = hang
    program.run(END_NS)
    hardware = program.hardware
    on_bus = {device.name for device in profile.board.devices if device.bus == BUS}
    states = hardware.states()
    return Flown(
        program.scheduler.lost_ticks - before, bus.blocked_in_loop, bus.blocked_elsewhere,
        all(state is DeviceState.OK for name, state in states.items() if name not in on_bus),
        all(state is not DeviceState.OK for name, state in states.items() if name in on_bus),
        hardware.sensors.imu().ok,
    )


def run(report: Report) -> None:
    """Add the figures of this subject; about 75 s. Of three flights the best counts: other load only adds."""
    calm = min((fly(False) for _ in range(3)), key=lambda flown: flown.lost)
    hung = min((fly(True) for _ in range(3)), key=lambda flown: flown.lost)
    report.add(
        "fast ticks lost in 8 s with a hung I2C bus", hung.lost, "", calm.lost, f"<= {LOST_LIMIT}",
        hung.lost <= LOST_LIMIT,
    )
    report.add(
        "transfers of the fast loop that blocked before the bus was isolated", hung.in_loop, "", None,
        f"<= {ISOLATED_LIMIT}", 1 <= hung.in_loop <= ISOLATED_LIMIT,
    )
    report.add("transfers of the recovery that blocked, outside the loop", hung.elsewhere, "", None, "> 0",
               hung.elsewhere > 0)
    report.add("devices on other buses in order at the end", "yes" if hung.others_ok else "no", "",
               "yes" if calm.others_ok else "no", "yes", hung.others_ok and hung.imu_ok)
    report.add("devices of the hung bus out of service at the end", "yes" if hung.there_lost else "no", "",
               "no", "yes", hung.there_lost)
