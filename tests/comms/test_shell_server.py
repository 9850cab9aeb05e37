"""The server: bounded work a step, bounded sessions, slow readers that are told, faults that stay where they are."""

from __future__ import annotations

import re

import pytest

from comms.dictionary import Authority
from comms.flight_port import CraftState, LinkOrder, LinkReport, ParameterValues
from comms.shell import Limits, Mode
from comms.shell.outbox import RESERVE
from comms.shell.session import IN_BYTES, OUT_BYTES, TYPED_AHEAD
from fdir.modes import Emission
from tests.comms.shell_craft import STEP_NS, Desk, Reader

NS = 1_000_000_000


def test_a_step_takes_in_and_writes_no_more_than_its_bound_whatever_is_typed() -> None:
    desk = Desk(limits=Limits(sessions=4, out_bytes=200))
    desk.snapshot()
    readers = [desk.open(mode=mode)[0] for mode in (Mode.ECHO, Mode.LINES, Mode.SCRIPT, Mode.ECHO)]
    for reader in readers:
        reader.typed = b"help\rplot rate_rad_s 1800\rchannels\rstatus\r" * 200
    for _ in range(400):
        before = [len(reader.seen) for reader in readers]
        answers = desk.server.counts.answers
        desk.run(1)
        assert all(len(r.seen) - b <= 200 for r, b in zip(readers, before, strict=True))
        assert desk.server.counts.answers - answers <= desk.server.limits.turns
    assert all(reader.largest_read <= IN_BYTES for reader in readers)
    assert all(reader.largest_write <= 200 for reader in readers)
    assert desk.server.counts.peak_out_bytes <= OUT_BYTES + RESERVE


def test_who_does_not_read_is_not_answered_and_holds_nobody_up() -> None:
    desk = Desk()
    desk.snapshot()
    deaf, _ = desk.open()
    deaf.takes = 0
    deaf.typed = b"channels\n" * 1000
    other, _ = desk.open()
    desk.run(300)
    assert len(deaf.typed) >= 9000 - TYPED_AHEAD - IN_BYTES
    assert desk.server.counts.peak_out_bytes <= OUT_BYTES + RESERVE
    assert "Manoeuvre" in desk.ask(other, "get motion", steps=5)


def test_a_slow_reader_loses_whole_lines_and_is_told_how_many() -> None:
    desk = Desk()
    reader, _ = desk.open()
    desk.ask(reader, "events -f")
    reader.takes = 0
    for number in range(5000):
        desk.event(text=f"number {number:05} " + "x" * 20)
        desk.run(1)
    reader.takes = None
    desk.run(400)
    assert "left out" in reader.text
    lines = [line for line in reader.text.splitlines() if "number" in line]
    assert all(line.endswith("x") for line in lines)
    assert "number 04999" in lines[-1]
    assert desk.server.counts.peak_out_bytes <= OUT_BYTES + RESERVE


def test_stages_for_a_reader_that_does_not_read_are_left_out_and_counted() -> None:
    desk = Desk()
    desk.snapshot()
    reader, _ = desk.open(peer="maria", authority=Authority.CONTROLLER)
    desk.ask(reader, "hold")
    reader.takes = 0
    for _ in range(3000):
        desk.stage(desk.requests[0], "effect_pending", "A_LONG_CODE" * 4)
        desk.run(1)
    left_out = desk.server.counts.lines_left_out
    assert left_out > 100
    reader.takes = None
    desk.run(300)
    assert f"[{left_out} lines left out: the reader is slow]" in reader.text


def test_turns_go_round_so_that_nobody_is_starved() -> None:
    desk = Desk(limits=Limits(turns=1))
    desk.snapshot()
    readers = [desk.open()[0] for _ in range(5)]
    for reader in readers:
        reader.typed = b"get motion\n" * 400
    desk.run(200)
    answered = [reader.text.count("Manoeuvre") for reader in readers]
    assert max(answered) - min(answered) <= 2
    assert min(answered) >= 30


def test_sessions_are_bounded_and_the_longest_idle_one_makes_room() -> None:
    desk = Desk(limits=Limits(sessions=2, idle_ns=60 * NS))
    first, _ = desk.open()
    second, _ = desk.open()
    assert desk.server.open(Reader(), desk.now_ns, how="test") is None
    desk.run(10, 10 * NS)
    second.typed = b"whoami\n"
    desk.run(1)
    third = Reader()
    assert desk.server.open(third, desk.now_ns, how="test") is not None
    assert first.closed
    assert not second.closed
    counts = desk.server.counts
    assert (counts.opened, counts.refused_sessions, counts.displaced, counts.closed) == (3, 1, 1, 1)


def test_a_session_that_is_kept_never_makes_room() -> None:
    desk = Desk(limits=Limits(sessions=1, idle_ns=NS))
    desk.server.open(Reader(), desk.now_ns, how="serial", keep=True)
    desk.run(1, 100 * NS)
    assert desk.server.open(Reader(), desk.now_ns, how="test") is None


def test_a_reader_that_goes_is_forgotten() -> None:
    desk = Desk()
    reader, _ = desk.open()
    reader.gone = True
    desk.run(1)
    assert desk.server.sessions == 0
    assert reader.closed


def test_who_ends_a_session_without_reading_is_cut_off() -> None:
    desk = Desk()
    reader, _ = desk.open()
    reader.takes = 0
    reader.typed = b"quit\n"
    desk.run(1)
    assert not reader.closed
    desk.run(3, NS)
    assert reader.closed


def test_a_revoked_key_ends_its_session_at_once() -> None:
    desk = Desk()
    desk.snapshot()
    reader, session = desk.open(peer="maria", authority=Authority.SAFETY)
    reader.typed = b"hold\n"
    desk.server.close(session)
    desk.run(10)
    assert reader.closed
    assert not desk.requests


class Broken(Reader):
    def write(self, data: bytes) -> int:
        raise RuntimeError("a fault of ours")


def test_a_session_that_fails_ends_alone() -> None:
    desk = Desk()
    desk.snapshot()
    broken = Broken()
    desk.server.open(broken, desk.now_ns, how="test")
    reader, _ = desk.open()
    desk.run(3)
    assert desk.server.counts.failed == 1
    (failure,) = desk.server.take_failures()
    assert re.fullmatch(r"shell by test: RuntimeError in Broken\.write:\d+", failure)
    assert desk.server.take_failures() == []
    assert broken.closed
    assert "Manoeuvre" in desk.ask(reader, "get motion")


def test_messages_that_say_nothing_to_a_shell_are_passed_over() -> None:
    desk = Desk()
    desk.server.feed(LinkOrder(0, 1, "ping"), desk.now_ns)
    desk.server.feed(LinkReport(0, telemetry={"records": 3}), desk.now_ns)
    desk.server.feed(CraftState(0, 9, "Idle", Emission.OPEN), desk.now_ns)
    desk.server.feed(ParameterValues(3, {"speed_share": 0.5}), desk.now_ns)
    assert desk.view.start == 9
    assert desk.view.parameters() == {"speed_share": 0.5}
    assert desk.view.link_values == {"records": 3}


def test_many_steps_leave_nothing_behind() -> None:
    desk = Desk()
    for _ in range(50):
        reader, _ = desk.open(peer="maria", authority=Authority.CONTROLLER)
        desk.snapshot()
        desk.ask(reader, "hold", steps=3)
        desk.stage(desk.requests[-1], "rejected")
        desk.event()
        desk.ask(reader, "quit", steps=3)
    assert desk.server.sessions == 0
    assert len(desk.view.lives) <= 32
    assert desk.server.counts.orders == 50


@pytest.mark.parametrize("bytes_", [b"\xff" * 5000, b"\x00" * 5000, b"\x1b[" * 2000, b"\x1b[" + b"9" * 4000 + b"\r"])
def test_noise_on_a_line_is_counted_and_answers_nothing(bytes_: bytes) -> None:
    desk = Desk()
    reader, _ = desk.open(mode=Mode.ECHO)
    desk.run(1)
    before = len(reader.seen)
    reader.typed = bytes_
    desk.run(200, STEP_NS)
    assert desk.server.counts.noise > 0
    assert len(reader.seen) - before < 10_000
