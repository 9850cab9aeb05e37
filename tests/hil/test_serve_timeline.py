"""Faults of a served rig: begun and ended by time, in order, once times count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from hil.rig import Rig
from hil.serve.timeline import TimedFault, Timeline

S = 1_000_000_000


class FakeRig:
    """Remembers what was injected and ended."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.log: list[str] = []

    def inject(self, kind: str, parameters: Mapping[str, Any]) -> Callable[[], None]:
        self.log.append(f"{kind} {dict(parameters)}")
        return lambda: self.log.append(f"end {kind}")


def test_times_count_from_the_beginning_and_every_fault_ends_after_its_length() -> None:
    rig, told = FakeRig(), cast(list[tuple[str, bool]], [])
    faults = [TimedFault("eclipse", 2 * S, 3 * S), TimedFault("nozzle_off", S, None, {"nozzle": 4})]
    line = Timeline(cast(Rig, rig), faults, lambda text, begins: told.append((text, begins)))
    rig.now_ns = 100 * S
    line.step()
    assert rig.log == []
    assert not line.begun
    line.begin()
    for t_s in (100, 101, 102, 104, 105, 109):
        rig.now_ns = t_s * S
        line.begin()  # only the first counts
        line.step()
    assert rig.log == ["nozzle_off {'nozzle': 4}", "eclipse {}", "end eclipse"]
    assert told == [("nozzle_off nozzle 4", True), ("eclipse", True), ("eclipse", False)]


def test_faults_that_are_due_together_begin_in_the_order_of_their_times() -> None:
    rig = FakeRig()
    line = Timeline(cast(Rig, rig), [TimedFault("b", 20), TimedFault("a", 10), TimedFault("c", 20)], lambda *_: None)
    line.begin()
    rig.now_ns = S
    line.step()
    assert [entry.split()[0] for entry in rig.log] == ["a", "b", "c"]
