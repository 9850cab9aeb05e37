"""The port to perception: frames to the guard, the time to perception, and nothing unbounded or unreadable through."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fdir.guard_contacts import Contact, TrackStatus
from fdir.guard_rules import load_guard_rules
from firmware_py.flight_contacts import MOST_CONTACTS, MOST_PACKETS, ContactPort, pack_contacts, read_time
from firmware_py.guard_watch import GuardWatch
from tests.firmware_py.recorder_pipe import Pipe


def joined() -> tuple[Pipe, ContactPort]:
    pipe = Pipe()
    pipe.join()
    return pipe, ContactPort(pipe.flight)


def contact(number: int, event_ns: int = 0) -> Contact:
    return Contact(number, TrackStatus.TRACKED, event_ns, 100.0, -20.0, 0.9)


def test_a_frame_reaches_the_guard_and_perception_learns_the_time() -> None:
    pipe, port = joined()
    port.guard = GuardWatch(load_guard_rules())
    pipe.recorder.send(pack_contacts([contact(1, 990), contact(2, 995)]))
    port.step(1_000)
    assert port.taken == 1
    port.guard.step(1_000)
    assert port.guard.snapshot()["guard_tracks"] == 2
    data = pipe.recorder.receive()
    assert data is not None
    assert read_time(data) == 1_000


def test_frames_are_bounded_in_number_and_size() -> None:
    pipe, port = joined()
    port.guard = GuardWatch(load_guard_rules())
    for _ in range(MOST_PACKETS + 2):
        pipe.recorder.send(pack_contacts([contact(1)]))
    port.step(0)
    assert (port.taken, len(pipe.flight.inbox)) == (MOST_PACKETS, 2)
    pipe.flight.inbox.clear()
    pipe.recorder.send(pack_contacts([contact(n) for n in range(MOST_CONTACTS + 1)]))
    port.step(0)
    assert (port.taken, port.refused) == (MOST_PACKETS, 1)


def test_before_the_program_is_there_frames_are_refused() -> None:
    pipe, port = joined()
    pipe.recorder.send(pack_contacts([contact(1)]))
    port.step(0)
    assert (port.taken, port.refused) == (0, 1)


@given(st.binary(max_size=100))
def test_no_bytes_raise(data: bytes) -> None:
    pipe, port = joined()
    port.guard = GuardWatch(load_guard_rules())
    pipe.recorder.send(data)
    port.step(0)
    read_time(data)


def test_nobody_there_costs_nothing() -> None:
    port = ContactPort(Pipe().flight)
    port.step(0)
    assert (port.taken, port.refused) == (0, 0)
    assert read_time(b"\x01") is None
    assert read_time(b"\x02\xc1") is None
