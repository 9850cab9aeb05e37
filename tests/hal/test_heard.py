"""Parts that speak by themselves: heard, found silent, made to speak again, and given up."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from itertools import pairwise

import pytest

from drivers.errors import Cause, DeviceError
from hal.device_health import DeviceState, HealthEvent
from hal.heard import HeardDevice
from hal.reading import Quality

MS = 1_000_000
SECOND = 1_000_000_000


class Talker:
    """A scripted driver of a serial part: speaks once told to, ``initialise`` takes two looks."""

    def __init__(self) -> None:
        self.inbox: list[int | DeviceError] = []
        self.told = 0
        self.refuses: Cause | None = None

    def initialise(self) -> Generator[None, None, None]:
        self.told += 1
        yield
        if self.refuses is not None:
            raise DeviceError("usb0", None, self.refuses)

    def poll(self, now_ns: int) -> int | None:
        newest = self.inbox[-1] if self.inbox else None
        self.inbox.clear()
        if isinstance(newest, DeviceError):
            raise newest
        return newest


class Port:
    """Counts how often it was opened anew; ``refuses`` while set."""

    def __init__(self) -> None:
        self.opened: list[int] = []
        self.refuses: Cause | None = None
        self.now_ns = 0

    def reopen(self) -> None:
        self.opened.append(self.now_ns)
        if self.refuses is not None:
            raise DeviceError("usb0", None, self.refuses)


class Hall:
    """One heard device with a time-out of 100 ms, serviced every 20 ms from ``start_ms`` on."""

    def __init__(self, start_ms: int = 0, port: bool = True) -> None:
        self.talker = Talker()
        self.port = Port()
        self.events: deque[HealthEvent] = deque()
        self.device: HeardDevice[int] = HeardDevice(
            "geiger", self.talker, 100 * MS, self.events, self.talker.poll, self.port.reopen if port else None
        )
        self.now_ms = start_ms

    @property
    def now_ns(self) -> int:
        return self.now_ms * MS

    def run(self, ms: int, speaks: bool = False) -> None:
        for _ in range(ms // 20):
            if speaks:
                self.talker.inbox.append(self.now_ms)
            self.port.now_ns = self.now_ns
            self.device.service(self.now_ns)
            self.now_ms += 20

    def told(self) -> list[str]:
        return [event.state.name for event in self.events]


def test_a_part_is_told_to_speak_first_and_is_ok_from_its_first_sample() -> None:
    hall = Hall()
    assert hall.device.reading(0).quality is Quality.ABSENT
    hall.run(40)
    assert (hall.talker.told, hall.device.state) == (1, DeviceState.INIT)
    hall.run(20, speaks=True)
    assert hall.device.state is DeviceState.OK
    reading = hall.device.reading(hall.now_ns)
    assert (reading.value, reading.t_ns, reading.ok) == (40, 40 * MS, True)
    assert (hall.device.counters.samples, hall.device.counters.initialisations) == (1, 1)
    assert hall.told() == ["OK"]


def test_silence_counts_from_the_first_look_whatever_the_clock_shows() -> None:
    hall = Hall(start_ms=1_000_000)
    hall.run(80)
    assert hall.device.counters.by_cause == {}
    assert hall.port.opened == []
    hall.run(20, speaks=True)
    assert hall.told() == ["OK"]


def test_a_part_that_falls_silent_is_stale_degraded_and_told_again_and_its_port_opened_anew() -> None:
    hall = Hall()
    hall.run(200, speaks=True)
    hall.run(100)
    assert hall.device.reading(hall.now_ns - 20 * MS).ok
    hall.run(40)
    assert hall.device.reading(hall.now_ns).quality is Quality.STALE
    assert hall.told() == ["OK", "DEGRADED"]
    assert len(hall.port.opened) == 1
    assert hall.talker.told == 2
    assert hall.device.counters.by_cause == {"silent": 1}
    hall.run(40, speaks=True)
    assert hall.told() == ["OK", "DEGRADED", "OK"]


def test_pauses_between_attempts_double_to_a_minute_and_the_part_is_lost_meanwhile() -> None:
    hall = Hall()
    hall.run(200, speaks=True)
    hall.run(200_000)
    waits = [(b - a) / SECOND for a, b in pairwise(hall.port.opened)]
    expected = [0.1 * (2**k + 1) for k in range(1, 7)]
    assert waits[:6] == [pytest.approx(w, abs=0.05) for w in expected]
    assert max(waits) <= 60.2
    assert hall.told() == ["OK", "DEGRADED", "LOST"]
    assert hall.device.reading(hall.now_ns).quality is Quality.ABSENT
    hall.run(40, speaks=True)
    assert hall.device.state is DeviceState.OK
    assert hall.device.reading(hall.now_ns).ok


def test_after_it_has_spoken_the_pauses_begin_anew() -> None:
    hall = Hall()
    hall.run(5_000)
    hall.run(40, speaks=True)
    hall.port.opened.clear()
    hall.run(500)
    assert len(hall.port.opened) == 2


def test_a_port_that_can_not_be_opened_counts_its_cause_and_nobody_is_spoken_to() -> None:
    hall = Hall()
    hall.run(200, speaks=True)
    hall.port.refuses = Cause.ABSENT
    hall.run(400)
    assert hall.talker.told == 1
    assert hall.device.counters.by_cause["absent"] == len(hall.port.opened) > 0


@pytest.mark.parametrize("port", [True, False])
def test_where_a_port_can_not_be_opened_anew_at_all_the_part_is_told_to_speak_all_the_same(port: bool) -> None:
    hall = Hall(port=port)
    hall.run(200, speaks=True)
    hall.port.refuses = Cause.PROTOCOL
    hall.run(200)
    assert hall.talker.told == 2
    assert hall.device.counters.by_cause == {"silent": 1}


def test_what_is_refused_degrades_and_spoils_the_reading_until_the_next_sample() -> None:
    hall = Hall()
    hall.run(200, speaks=True)
    hall.talker.inbox.append(DeviceError("usb0", None, Cause.CHECKSUM))
    hall.run(20)
    assert hall.device.reading(hall.now_ns).quality is Quality.BAD
    assert hall.told() == ["OK", "DEGRADED"]
    hall.run(20, speaks=True)
    assert hall.device.reading(hall.now_ns).ok
    assert hall.told() == ["OK", "DEGRADED", "OK"]


def test_an_unplugged_port_makes_the_reading_absent_at_once() -> None:
    hall = Hall()
    hall.run(200, speaks=True)
    hall.talker.inbox.append(DeviceError("usb0", None, Cause.ABSENT))
    hall.run(20)
    assert hall.device.reading(hall.now_ns).quality is Quality.ABSENT
    assert hall.device.counters.by_cause == {"absent": 1}


def test_a_set_up_that_fails_is_a_failure_and_comes_again() -> None:
    hall = Hall()
    hall.talker.refuses = Cause.TIMEOUT
    hall.run(40)
    assert hall.device.counters.by_cause == {"timeout": 1}
    hall.run(500)
    assert hall.talker.told >= 2


def test_frames_handed_in_are_heard_without_any_poll_and_silence_is_noticed_by_service() -> None:
    class Frames:
        """A CAN driver needs no set-up."""

    events: deque[HealthEvent] = deque()
    device: HeardDevice[str] = HeardDevice("bms", Frames(), 100 * MS, events, None)
    device.service(0)
    device.hear("full", 10 * MS)
    assert device.reading(50 * MS).ok
    device.refuse(Cause.SHORT_READ, 60 * MS)
    assert device.state is DeviceState.DEGRADED
    assert device.reading(60 * MS).ok, "the last good sample is still fresh"
    device.hear("full", 70 * MS)
    device.service(100 * MS)
    device.service(200 * MS)
    assert [event.state for event in events][-1] is DeviceState.DEGRADED
    assert device.counters.by_cause == {"short_read": 1, "silent": 1}
    assert device.counters.transactions == 0


# -- what is ordered of it


def test_retry_speaks_at_once_and_the_pauses_begin_anew() -> None:
    hall = Hall()
    hall.run(200, speaks=True)
    hall.run(5_000)
    told, opened = hall.talker.told, len(hall.port.opened)
    assert hall.device.retry(hall.now_ns)
    assert not hall.device.retry(hall.now_ns), "it is being told already"
    hall.run(60)
    assert hall.talker.told == told + 1
    assert len(hall.port.opened) == opened, "the port stays as it is"
    hall.port.opened.clear()
    hall.run(400)
    assert len(hall.port.opened) == 2, "after 0.1 s and 0.3 s, as at first"


def test_a_part_that_nothing_can_make_speak_has_no_retry() -> None:
    device: HeardDevice[str] = HeardDevice("bms", object(), 100 * MS, deque(), None)
    assert not device.retry(0)
    assert not device.reachable
    assert HeardDevice("geiger", Talker(), 100 * MS, deque(), None).reachable
    assert HeardDevice("geiger", object(), 100 * MS, deque(), None, Port().reopen).reachable


def test_restart_opens_the_port_speaks_and_counts_silence_from_then_on() -> None:
    hall = Hall()
    hall.run(200, speaks=True)
    hall.run(5_000)
    assert hall.device.state is DeviceState.LOST
    opened, told = len(hall.port.opened), hall.talker.told
    assert hall.device.restart(hall.now_ns)
    assert hall.device.state is DeviceState.INIT
    assert (len(hall.port.opened), hall.device.events[-1].cause) == (opened + 1, Cause.RESET)
    hall.run(40)
    assert hall.talker.told == told + 1
    hall.run(20, speaks=True)
    assert hall.device.state is DeviceState.OK


def test_restart_of_a_port_that_can_not_be_opened_says_so() -> None:
    hall = Hall()
    hall.run(200, speaks=True)
    hall.port.refuses = Cause.ABSENT
    told = hall.talker.told
    assert not hall.device.restart(hall.now_ns)
    hall.run(40)
    assert hall.talker.told == told
    assert hall.device.counters.by_cause["absent"] == 1
