"""A whole program on a rig, stepped by hand: what a test of the flight software needs to fly a craft."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from comms.flight_port import Port
from drivers.errors import Cause, DeviceError
from firmware_py.clock import NullMeter, SimClock
from firmware_py.commands import CommandRecord
from firmware_py.journal import NoJournal
from firmware_py.mission import MissionConfig, StepConfig, parse_epoch
from firmware_py.program import Program, fit_window
from firmware_py.scheduler import Member
from hal.frames import quaternion_from_euler
from hal.profile import Profile, load_profile
from hil.plant.world import InitialState
from hil.rig import Rig

MS = 1_000_000
SECOND = 1_000_000_000
EPOCH = "2026-06-21T12:00:00Z"
NOT_BLINDED = quaternion_from_euler(0.436, -0.175, 2.443)
"""An attitude in which the star tracker of qiki-rpi does not see the Sun."""
RESTING = MissionConfig(
    schema_version=1, mission="resting", description="Waits for Idle and gives no command", body="qiki-t",
    board="qiki-rpi", epoch=EPOCH, steps=(StepConfig(name="boot", wait_for="Idle", timeout_s=60.0),),
)
FIRST_FLIGHT = load_profile("qiki-t", "qiki-rpi")


def at_rate(profile: Profile, fast_hz: int) -> Profile:
    """The profile with another base rate; the inertial unit's output follows where it must."""
    board = profile.board
    faster = {"decimation": 0} if fast_hz > 500 else {}
    devices = tuple(
        msgspec.structs.replace(device, settings=faster) if device.role == "imu" else device for device in board.devices
    )
    rates = msgspec.structs.replace(board.rates, fast_hz=fast_hz, medium_hz=fast_hz / 10, slow_hz=fast_hz / 100)
    return profile._replace(board=msgspec.structs.replace(board, rates=rates, devices=devices))


class Silent:
    """Stands in for any object: every call of any method raises."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def refuse(*_arguments: Any) -> Any:
            raise DeviceError("nowhere", None, Cause.SILENT)

        return refuse


class Craft:
    """Program and rig of one craft. Flight time moves only by ``run`` and ``until``."""

    def __init__(
        self, mission: MissionConfig = RESTING, profile: Profile = FIRST_FLIGHT, *, seed: int = 1,
        digest: str | None = None, more_members: Sequence[Member] = (), link: Port | None = None,
        perception: Port | None = None, **initial: Any,
    ) -> None:
        epoch_ns = parse_epoch(mission.epoch)
        state = InitialState(epoch=epoch_ns, **({"quaternion": NOT_BLINDED} | initial))
        self.profile = fit_window(profile)
        self.rig = Rig(self.profile, state, seed)
        self.clock = SimClock(epoch_ns, self.rig.advance)
        self.journal = NoJournal()
        self.program = Program(
            self.profile, mission, self.rig.buses, self.clock, NullMeter(), self.journal, digest,
            more_members=more_members, link=link, perception=perception,
        )
        self.software = self.program.software
        self.hardware = self.program.hardware

    @property
    def now_s(self) -> float:
        return self.clock.now_ns() / SECOND

    @property
    def motion(self) -> str:
        return self.software.supervisor.modes.motion.value

    @property
    def codes(self) -> list[str]:
        """Codes of the events so far."""
        return [str(code) for _, code, _, _ in self.journal.events]

    def texts(self, code: str) -> list[str]:
        """Texts of the events of one code."""
        return [text for _, found, _, text in self.journal.events if found == code]

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.program.run_tick()

    def run(self, seconds: float) -> None:
        end_ns = self.clock.now_ns() + round(seconds * SECOND)
        while self.clock.now_ns() < end_ns:
            self.program.run_tick()

    def until(self, condition: Callable[[], bool], limit_s: float = 20.0) -> float:
        """Fly until the condition holds; returns how long it took, s."""
        start = self.now_s
        while not condition():
            self.program.run_tick()
            assert self.now_s - start < limit_s, f"not reached within {limit_s} s; events: {self.journal.events[-5:]}"
        return self.now_s - start

    def boot(self) -> Craft:
        """Fly until the craft is idle, armed, and knows its attitude."""
        software = self.software
        self.until(lambda: self.motion == "Idle" and software.estimator.nav.attitude_known)
        self.until(lambda: self.hardware.propulsion.state().armed)
        return self

    def order(self, name: str, **arguments: Any) -> CommandRecord:
        """Give one command now, as the ground would."""
        facts = self.software.facts
        assert facts is not None
        return self.software.commander.order(
            name, arguments, "test", self.software.now_ns, self.software.estimator.nav, facts
        )

    def open_nozzles(self) -> int:
        return self.rig.truth().open_mask
