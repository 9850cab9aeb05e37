"""The served rig's loop: sides opened together or not at all, requests before the world, chips heard after it."""

from __future__ import annotations

from pathlib import Path

import pytest

from drivers.errors import Cause, DeviceError
from hal.profile import load_profile
from hil.plant.world import InitialState
from hil.rig import Rig
from hil.serve.pace import Pace
from hil.serve.server import RigServer
from hil.serve.side import Poller
from hil.serve.timeline import TimedFault, Timeline
from hil.serve.truth_log import TruthLog

MS = 1_000_000
PROFILE = load_profile("qiki-t", "qiki-rpi")


class Recorded:
    """A side that remembers what was done with it."""

    endpoint = None

    def __init__(self, name: str, log: list[str], fails: bool = False) -> None:
        self.name = name
        self._log = log
        self._fails = fails

    def start(self, poller: Poller) -> None:
        if self._fails:
            raise DeviceError(self.name, None, Cause.ABSENT, "no such port")
        self._log.append(f"start {self.name}")

    def step(self, now_ns: int) -> None:
        self._log.append(f"step {self.name} {now_ns // MS}")

    def counts(self) -> dict[str, int]:
        return {"steps": sum(entry.startswith(f"step {self.name}") for entry in self._log)}

    def close(self) -> None:
        self._log.append(f"close {self.name}")


class Machine:
    """A steady clock that the test moves."""

    def __init__(self) -> None:
        self.now_ns = 5_000 * MS

    def __call__(self) -> int:
        return self.now_ns


def server(
    tmp_path: Path, machine: Machine, *sides: Recorded, faults: tuple[TimedFault, ...] = (), pace: Pace | None = None
) -> RigServer:
    rig = Rig(PROFILE, InitialState(epoch=0), 1)
    truth = TruthLog(tmp_path / "truth.jsonl", rig)
    timeline = Timeline(rig, faults, lambda text, begins: truth.note(machine(), fault=text, begins=begins))
    timeline.begin()
    return RigServer(rig, sides, machine, timeline, truth, pace)


def test_the_world_follows_the_machine_and_sides_are_told_once_a_turn(tmp_path: Path) -> None:
    log: list[str] = []
    machine = Machine()
    with server(tmp_path, machine, Recorded("a", log), Recorded("b", log)) as rig:
        rig.turn()
        machine.now_ns += 3 * MS
        rig.turn()
        rig.turn()  # nothing is due
        assert rig.rig.now_ns == 3 * MS
        assert rig.counts() == {"a": {"steps": 1}, "b": {"steps": 1}}
    assert log == ["start a", "start b", "step a 3", "step b 3", "close b", "close a"]


def test_a_side_that_fails_closes_those_before_it(tmp_path: Path) -> None:
    log: list[str] = []
    broken = server(tmp_path, Machine(), Recorded("a", log), Recorded("b", log, fails=True), Recorded("c", log))
    with pytest.raises(DeviceError, match="no such port"):
        broken.__enter__()
    assert log == ["start a", "close b", "close a"]


def test_a_lag_that_is_too_long_is_no_jump_of_the_world(tmp_path: Path) -> None:
    machine = Machine()
    with server(tmp_path, machine) as rig:
        rig.turn()
        machine.now_ns += 400 * MS
        rig.turn()
        assert rig.rig.now_ns == MS
        assert rig.pace.slips == 1


def test_faults_happen_at_their_step_and_stand_in_the_log(tmp_path: Path) -> None:
    machine = Machine()
    faults = (TimedFault("nozzle_stuck_on", 10 * MS, 20 * MS, {"nozzle": 2}),)
    with server(tmp_path, machine, faults=faults) as rig:
        rig.turn()
        stop = iter(range(80))

        def stopped() -> bool:
            machine.now_ns += MS
            return next(stop, None) is None

        rig.run(stopped)
    text = (tmp_path / "truth.jsonl").read_text()
    assert '"t":0.01,"machine_s":5.01,"fault":"nozzle_stuck_on nozzle 2","begins":true' in text
    assert '"t":0.03,"machine_s":5.03,"fault":"nozzle_stuck_on nozzle 2","begins":false' in text
    assert '"open_mask":4' in text
