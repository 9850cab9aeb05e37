"""The link beside the flight program: it lives in that program's time, and begins anew with it."""

from __future__ import annotations

from typing import Any

from comms.flight_port import CraftState, EventNote, LocalPort, Port
from fdir.modes import Emission
from firmware_py.link_process import MOST, LinkProcess

MS = 1_000_000
NS = 1_000_000_000


class FakeLink:
    """Takes in what the process gives it."""

    def __init__(self, port: Port, now_ns: int, start: int | None) -> None:
        self.port = port
        self.made = (now_ns, start)
        self.steps: list[int] = []
        self.heard: list[Any] = []
        self.ended = ""

    def step(self, now_ns: int) -> None:
        self.steps.append(now_ns)
        self.heard += self.port.receive(100)

    def abandon(self) -> None:
        self.ended = "abandoned"

    def close(self) -> None:
        self.ended = "closed"


class Setup:
    """A process on a clock of its own, which reads 1000 s more than nothing."""

    def __init__(self) -> None:
        self.clock = 1000 * NS
        self.port = LocalPort(1000)
        self.links: list[FakeLink] = []
        self.process = LinkProcess(self.port.link, self._make, lambda: self.clock)  # type: ignore[arg-type, return-value]

    def _make(self, port: Port, now_ns: int, start: int | None) -> FakeLink:
        self.links.append(FakeLink(port, now_ns, start))
        return self.links[-1]

    def say(self, now_ns: int, start: int | None = 1) -> None:
        assert self.port.flight.send(CraftState(now_ns, start, "Idle", Emission.OPEN))

    def step(self, later_ns: int = 10 * MS) -> None:
        self.clock += later_ns
        self.process.step()


def test_nothing_begins_before_the_flight_program_was_heard() -> None:
    setup = Setup()
    for _ in range(10):
        setup.step()
    assert (setup.links, setup.process.now_ns) == ([], None)
    setup.port.flight.send(EventNote(1, "MODE_CHANGED", "info", ""))
    setup.step()
    assert setup.links == []


def test_its_time_is_the_flight_programs() -> None:
    setup = Setup()
    setup.say(50 * NS, 7)
    setup.step(0)
    assert setup.links[0].made == (50 * NS, 7)
    setup.step(10 * MS)
    setup.step(10 * MS)
    assert setup.links[0].steps == [50 * NS, 50 * NS + 10 * MS, 50 * NS + 20 * MS]


def test_of_two_messages_the_less_delayed_one_tells_the_time() -> None:
    setup = Setup()
    setup.say(50 * NS)
    setup.step(0)
    setup.clock += 50 * MS
    setup.say(50 * NS + 30 * MS)
    setup.process.step()
    # 20 ms late: the first one was better.
    assert setup.process.now_ns == 50 * NS + 50 * MS
    setup.clock += 50 * MS
    setup.say(50 * NS + 140 * MS)
    setup.process.step()
    assert setup.process.now_ns == 50 * NS + 140 * MS


def test_time_never_goes_back_in_one_start() -> None:
    setup = Setup()
    setup.say(50 * NS)
    setup.step(0)
    for delay in (0, 30, 5, 0, 49, 12):
        setup.clock += 50 * MS
        setup.say(setup.clock - 950 * NS - delay * MS)
        setup.process.step()
    steps = setup.links[0].steps
    assert steps == sorted(steps)
    assert setup.process.restarts == 0


def test_a_flight_program_that_begins_anew_begins_the_link_anew() -> None:
    setup = Setup()
    setup.say(50 * NS, 7)
    setup.step(0)
    setup.step()
    setup.clock += 3 * NS
    setup.say(10 * MS, None)
    setup.step(0)
    setup.step(0)
    assert setup.links[0].ended == "abandoned"
    assert setup.links[1].made == (10 * MS, None)
    assert setup.process.restarts == 1
    setup.clock += 50 * MS
    setup.say(60 * MS, 8)
    setup.step(0)
    setup.step(0)
    # Its number became known: that is no further start.
    assert setup.process.restarts == 1


def test_another_number_of_the_start_is_another_start_whatever_its_time() -> None:
    setup = Setup()
    setup.say(50 * NS, 7)
    setup.step(0)
    setup.say(51 * NS, 8)
    setup.step(0)
    setup.step(0)
    assert setup.process.restarts == 1
    assert setup.links[1].made[1] == 8


def test_what_was_said_before_its_time_was_known_is_passed_over() -> None:
    setup = Setup()
    setup.port.flight.send(EventNote(1, "MODE_CHANGED", "info", "old"))
    setup.say(NS)
    setup.step()
    setup.port.flight.send(EventNote(2, "MODE_CHANGED", "info", "new"))
    setup.step()
    assert [message.text for message in setup.links[0].heard] == ["new"]
    assert MOST < 1000


def test_its_end_closes_the_link() -> None:
    setup = Setup()
    setup.process.close()
    setup.say(NS)
    setup.step()
    setup.process.close()
    assert setup.links[0].ended == "closed"
