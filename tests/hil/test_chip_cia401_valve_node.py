"""The valve node keeps docs/protocols/valve-node.md to the millisecond, and a foreign CANopen master agrees."""

from __future__ import annotations

import struct
import threading
import uuid
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.bus.protocol import CanFrame
from hil.can import SimCanBus
from hil.chips.cia401_valve_node import FAR_NS, Cia401ValveNode, NmtState, OutputFault
from hil.faults import Fault, FaultKind
from hil.pulse_rules import PulseRuleChecker

MS = 1_000_000
NODE = 0x10
NONE = (0,) * 8
Pulses = dict[int, tuple[int, int]]


class Bench:
    """A node on its bus and the hands of a flight computer. Times in ms."""

    def __init__(self, fly: bool = True, node_id: int = NODE) -> None:
        self.bus = SimCanBus("can0")
        self.node = Cia401ValveNode(node_id, serial=77)
        self.bus.attach(self.node)
        self.node_id = node_id
        self.frames: list[CanFrame] = []
        self.edges: list[tuple[float, int, bool]] = []
        if fly:
            self.node.set_enable(True, 0)
            self.node.set_arm_line(True, 0)
            self.node.power_on(0)
            self.to(100)
            self.sdo_write(0x2100, 0, 1, 1)
            self.nmt(1)
            self.clear()

    @property
    def now(self) -> float:
        return self.bus.now_ns / MS

    def to(self, t_ms: float) -> None:
        """Let time pass in ticks of 5 ms, as the rig does."""
        target = round(t_ms * MS)
        while self.bus.now_ns < target:
            self.bus.advance(min(target, self.bus.now_ns - self.bus.now_ns % (5 * MS) + 5 * MS))
        self.collect()

    def collect(self) -> None:
        while (frame := self.bus.receive()) is not None:
            self.frames.append(frame)
        self.edges += [(t / MS, n, on) for t, n, on in self.node.take_edges()]

    def clear(self) -> None:
        self.collect()
        self.frames.clear()
        self.edges.clear()

    def send(self, can_id: int, data: bytes = b"") -> None:
        self.bus.send(CanFrame(can_id, data))
        self.collect()

    def nmt(self, command: int, node_id: int | None = None) -> None:
        self.send(0, bytes((command, self.node_id if node_id is None else node_id)))

    def sync(self) -> None:
        self.send(0x80)

    def heartbeat(self) -> None:
        self.send(0x701, b"\x05")

    def window(self, pulses: Pulses) -> None:
        """RPDO2, RPDO3, SYNC with pulses {output: (open, close)}."""
        opens, closes = bytearray(8), bytearray(8)
        for n, (opened, closed) in pulses.items():
            opens[n], closes[n] = opened, closed
        self.send(0x300 + self.node_id, bytes(opens))
        self.send(0x400 + self.node_id, bytes(closes))
        self.sync()

    def sdo(self, request: bytes) -> bytes:
        self.send(0x600 + self.node_id, request)
        return self.of(0x580)[-1]

    def sdo_write(self, index: int, sub: int, value: int, size: int) -> int:
        """0, or the abort code."""
        answer = self.sdo(struct.pack("<BHBI", 0x23 | (4 - size) << 2, index, sub, value))
        assert struct.unpack_from("<HB", answer, 1) == (index, sub)
        assert answer[0] in (0x60, 0x80)
        return struct.unpack_from("<I", answer, 4)[0] if answer[0] == 0x80 else 0

    def sdo_read(self, index: int, sub: int = 0) -> int:
        answer = self.sdo(struct.pack("<BHBI", 0x40, index, sub, 0))
        assert answer[0] & 0xE3 == 0x43, answer.hex()
        return struct.unpack_from("<I", answer, 4)[0]

    def of(self, base: int) -> list[bytes]:
        return [frame.data for frame in self.frames if frame.can_id == base + self.node_id]

    @property
    def emergencies(self) -> list[tuple[int, bytes]]:
        return [(struct.unpack_from("<H", data)[0], data[3:5]) for data in self.of(0x80)]

    @property
    def refusals(self) -> list[tuple[int, int]]:
        """(output, reason) of every EMCY FF11h."""
        return [(detail[0], detail[1]) for code, detail in self.emergencies if code == 0xFF11]

    @property
    def state(self) -> bytes:
        return self.of(0x180)[-1]


@pytest.fixture
def bench() -> Bench:
    return Bench()


# -- a window


def test_pulses_keep_the_millisecond_relative_to_sync(bench: Bench) -> None:
    bench.to(103)
    bench.window({0: (0, 30), 1: (17, 48), 7: (100, 249)})
    bench.to(400)
    assert bench.edges == [
        (103, 0, True), (120, 1, True), (133, 0, False), (151, 1, False), (203, 7, True), (352, 7, False),
    ]
    assert bench.refusals == []


def test_equal_times_mean_no_pulse(bench: Bench) -> None:
    bench.window({0: (50, 50), 1: (250, 250)})
    bench.to(500)
    assert bench.edges == []
    assert bench.refusals == []


def test_on_times_are_reported_at_the_windows_end(bench: Bench) -> None:
    bench.window({0: (10, 40), 3: (0, 250)})
    bench.to(349)
    assert bench.of(0x280) == []
    bench.to(350)
    assert bench.of(0x280) == [bytes((30, 0, 0, 250, 0, 0, 0, 0))]


def test_half_a_schedule_starts_nothing_and_is_dropped(bench: Bench) -> None:
    bench.send(0x300 + NODE, bytes(8))
    bench.sync()
    assert bench.emergencies == [(0xFF10, b"\x02\x00")]
    bench.send(0x400 + NODE, b"\x64" * 8)
    bench.sync()
    assert bench.emergencies[1] == (0xFF10, b"\x03\x00")
    bench.send(0x400 + NODE, b"\x64" * 8)
    bench.to(600)
    assert bench.edges == []


def test_sync_with_neither_half_means_nothing(bench: Bench) -> None:
    bench.window({0: (100, 200)})
    bench.to(150)
    bench.clear()
    bench.sync()
    assert bench.frames == []
    bench.to(500)
    assert bench.edges == [(200, 0, True), (300, 0, False)]


def test_a_sync_in_the_middle_replaces_the_running_window(bench: Bench) -> None:
    bench.window({0: (0, 100), 1: (0, 30), 2: (150, 200)})
    bench.to(150)
    bench.window({3: (0, 40)})
    assert bench.of(0x280) == [bytes((50, 30, 0, 0, 0, 0, 0, 0))]
    bench.to(600)
    assert bench.edges == [
        (100, 0, True), (100, 1, True), (130, 1, False), (150, 0, False), (150, 3, True), (190, 3, False),
    ]


def test_a_replaced_pulse_is_still_as_long_as_the_shortest(bench: Bench) -> None:
    bench.window({0: (0, 100)})
    bench.to(110)
    bench.window({})
    bench.to(600)
    assert bench.edges == [(100, 0, True), (130, 0, False)]
    assert bench.refusals == []
    assert bench.of(0x280) == [bytes((10, 0, 0, 0, 0, 0, 0, 0)), bytes((20, 0, 0, 0, 0, 0, 0, 0))]


def test_a_window_that_opens_at_0_prolongs_a_running_pulse(bench: Bench) -> None:
    bench.window({0: (0, 100)})
    bench.to(110)
    bench.window({0: (0, 25)})
    bench.to(600)
    assert bench.edges == [(100, 0, True), (135, 0, False)]
    assert bench.refusals == []


def test_prolonging_to_less_than_the_shortest_pulse_is_refused(bench: Bench) -> None:
    bench.window({0: (0, 100)})
    bench.to(110)
    bench.window({0: (0, 5)})
    bench.to(600)
    assert bench.edges == [(100, 0, True), (130, 0, False)]
    assert bench.refusals == [(0, 3)]


def test_a_pulse_to_the_end_that_is_replaced_long_before_is_no_refusal(bench: Bench) -> None:
    bench.window({0: (0, 250)})
    bench.to(110)
    bench.window({})
    bench.to(600)
    assert bench.edges == [(100, 0, True), (130, 0, False)]
    assert bench.refusals == []


def test_the_pause_counts_from_the_end_of_a_stretched_pulse(bench: Bench) -> None:
    bench.window({0: (0, 100), 1: (0, 100)})
    bench.to(110)
    bench.window({0: (49, 100), 1: (50, 100)})
    bench.to(600)
    assert bench.refusals == [(0, 3)]
    assert bench.edges[2:] == [(130, 0, False), (130, 1, False), (160, 1, True), (210, 1, False)]


@pytest.mark.parametrize("off_ms", [-10, -5, 0, 5, 10])
def test_a_pulse_goes_on_across_a_seam_of_up_to_10_ms(bench: Bench, off_ms: int) -> None:
    bench.window({0: (200, 250)})
    bench.to(350 + off_ms)
    bench.window({0: (0, 50)})
    bench.to(700)
    assert bench.edges == [(300, 0, True), (400 + off_ms, 0, False)]
    assert bench.refusals == []


def test_without_a_next_window_a_pulse_that_runs_to_the_end_shuts_within_10_ms(bench: Bench) -> None:
    bench.window({0: (200, 250)})
    bench.to(361)
    assert bench.edges[0] == (300, 0, True)
    assert bench.edges[1] == (pytest.approx(360, abs=1e-3), 0, False)
    assert bench.of(0x280) == [bytes((50, 0, 0, 0, 0, 0, 0, 0))]


@pytest.mark.parametrize("off_ms", [-5, 0, 5])
def test_a_next_window_that_does_not_prolong_shuts_at_sync(bench: Bench, off_ms: int) -> None:
    bench.window({0: (200, 250), 1: (200, 250)})
    bench.to(350 + off_ms)
    bench.window({1: (60, 100)})
    bench.to(700)
    assert bench.edges == [
        (300, 0, True), (300, 1, True), (350 + off_ms, 0, False), (350 + off_ms, 1, False),
        (410 + off_ms, 1, True), (450 + off_ms, 1, False),
    ]


def test_a_sync_more_than_10_ms_late_finds_the_valve_shut(bench: Bench) -> None:
    bench.window({0: (200, 250)})
    bench.to(365)
    bench.window({0: (0, 50), 1: (0, 50)})
    bench.to(700)
    assert (0, 3) in bench.refusals
    assert [edge for edge in bench.edges if edge[1] == 0 and edge[0] > 361] == []


def test_a_short_pulse_at_the_end_is_judged_when_it_really_ends(bench: Bench) -> None:
    bench.window({0: (240, 250), 1: (240, 250)})
    bench.to(350)
    assert bench.refusals == []
    bench.window({0: (0, 25)})
    bench.to(700)
    assert bench.edges == [(340, 0, True), (340, 1, True), (370, 1, False), (375, 0, False)]
    assert bench.refusals == [(1, 3)]


def test_a_lost_flight_computer_leaves_a_short_last_pulse_at_the_shortest(bench: Bench) -> None:
    bench.window({0: (245, 250)})
    bench.to(700)
    assert bench.edges == [(345, 0, True), (375, 0, False)]
    assert bench.refusals == [(0, 3)]


def test_a_shorter_window_ends_earlier(bench: Bench) -> None:
    assert bench.sdo_write(0x2101, 0, 50, 1) == 0
    bench.window({0: (0, 40), 1: (0, 60)})
    bench.to(150)
    assert bench.of(0x280) == [bytes((40, 0, 0, 0, 0, 0, 0, 0))]
    assert bench.refusals == [(1, 2)]


# -- refused


@pytest.mark.parametrize(
    ("pulse", "reason"), [((50, 20), 1), ((0, 251), 2), ((255, 251), 1), ((10, 39), 3), ((0, 1), 3)],
)
def test_what_a_window_may_not_hold_is_refused_and_counted(bench: Bench, pulse: tuple[int, int], reason: int) -> None:
    bench.window({2: pulse, 5: (0, 30)})
    bench.to(500)
    assert bench.refusals == [(2, reason)]
    assert bench.state[2] == 1
    assert bench.edges == [(100, 5, True), (130, 5, False)]


def test_a_pause_below_the_shortest_is_refused_across_windows(bench: Bench) -> None:
    bench.window({0: (200, 230), 1: (200, 230)})
    bench.to(350)
    bench.window({0: (9, 60), 1: (10, 60)})
    bench.to(700)
    assert bench.refusals == [(0, 3)]
    assert bench.edges[-2:] == [(360, 1, True), (410, 1, False)]


def test_the_shortest_times_are_what_the_objects_say(bench: Bench) -> None:
    bench.sdo_write(0x2102, 0, 5, 1)
    bench.sdo_write(0x2103, 0, 50, 1)
    bench.window({0: (0, 5), 1: (0, 4), 2: (200, 205)})
    bench.to(350)
    bench.window({0: (0, 5), 2: (4, 40)})
    bench.to(700)
    assert bench.refusals == [(1, 3), (2, 3)]


def test_the_count_of_refused_pulses_runs_modulo_256(bench: Bench) -> None:
    for _ in range(33):
        bench.window(dict.fromkeys(range(8), (1, 0)))
        bench.to(bench.now + 5)
    assert bench.state[2] == 33 * 8 % 256


# -- longest burn and cooldown


def burn(bench: Bench, windows: int, jitter: tuple[int, ...] = (0,)) -> float:
    """Open output 0 over whole windows; returns when it opened."""
    start = bench.now
    for n in range(windows):
        bench.window({0: (0, 250)})
        bench.to(bench.now + 250 + jitter[n % len(jitter)])
    return start


def test_a_burn_of_exactly_the_longest_is_one_pulse_without_a_refusal(bench: Bench) -> None:
    start = burn(bench, 12)
    bench.window({})
    bench.to(bench.now + 300)
    assert bench.edges == [(start, 0, True), (start + 3000, 0, False)]
    assert bench.refusals == []
    assert bench.of(0x280)[:12] == [bytes((250, 0, 0, 0, 0, 0, 0, 0))] * 12


def test_a_thirteenth_window_falls_into_the_cooldown(bench: Bench) -> None:
    start = burn(bench, 13)
    assert bench.edges == [(start, 0, True), (start + 3000, 0, False)]
    assert bench.refusals == [(0, 5)]


def test_a_burn_beyond_the_longest_is_shut_at_the_limit(bench: Bench) -> None:
    start = burn(bench, 12, jitter=(-5,))
    bench.window({0: (0, 250)})
    bench.to(bench.now + 300)
    assert bench.edges == [(start, 0, True), (start + 3000, 0, False)]
    assert bench.refusals == [(0, 4)]


def test_the_cooldown_ends_to_the_millisecond(bench: Bench) -> None:
    start = burn(bench, 12)
    bench.to(start + 8990)
    bench.clear()
    bench.window({0: (9, 60), 1: (0, 30)})
    bench.to(start + 9240)
    assert bench.refusals == [(0, 5)]
    bench.window({0: (0, 60)})
    bench.to(start + 9500)
    assert [edge for edge in bench.edges if edge[1] == 0] == [(start + 9240, 0, True), (start + 9300, 0, False)]


def test_a_burn_below_the_longest_needs_no_cooldown(bench: Bench) -> None:
    start = burn(bench, 11)
    bench.window({0: (0, 200)})
    bench.to(bench.now + 250)
    bench.window({0: (0, 30)})
    bench.to(bench.now + 250)
    assert bench.edges[1:] == [(start + 2950, 0, False), (start + 3000, 0, True), (start + 3030, 0, False)]
    assert bench.refusals == []


def test_nmt_reset_does_not_cheat_the_cooldown(bench: Bench) -> None:
    burn(bench, 12)
    bench.nmt(0x81)
    bench.sdo_write(0x2100, 0, 1, 1)
    bench.nmt(1)
    bench.to(bench.now + 100)
    bench.window({0: (0, 30)})
    assert bench.refusals == [(0, 5)]


# -- what shuts the valves


def firing(bench: Bench) -> None:
    """Output 0 opens at 100 ms, output 1 would open at 200 ms; now is 105 ms."""
    bench.window({0: (0, 250), 1: (100, 200)})
    bench.to(105)
    bench.clear()


SHUTS: dict[str, Callable[[Bench], None]] = {
    "enable line": lambda bench: bench.node.set_enable(False, 105 * MS),
    "arm line": lambda bench: bench.node.set_arm_line(False, 105 * MS),
    "arm object": lambda bench: bench.sdo_write(0x2100, 0, 0, 1) and None,
    "RPDO1 with 0": lambda bench: bench.send(0x200 + NODE, b"\0"),
    "6200h with 0": lambda bench: bench.sdo_write(0x6200, 1, 0, 1) and None,
    "NMT stop": lambda bench: bench.nmt(0x02),
    "NMT pre-operational": lambda bench: bench.nmt(0x80),
    "NMT stop to all": lambda bench: bench.nmt(0x02, 0),
    "NMT reset": lambda bench: bench.nmt(0x81),
    "NMT reset communication": lambda bench: bench.nmt(0x82),
    "node reset": lambda bench: bench.node.reset(105 * MS),
    "power off": lambda bench: bench.node.power_off(105 * MS),
}


@pytest.mark.parametrize("how", SHUTS)
def test_valves_shut_at_once_and_the_schedule_is_gone(bench: Bench, how: str) -> None:
    firing(bench)
    SHUTS[how](bench)
    bench.to(700)
    assert bench.edges == [(105, 0, False)]
    assert bench.node.take_safety_shuts() == [(105 * MS, 0)]
    assert bench.node.outputs == bench.node.coils == 0


def test_an_ordinary_end_is_no_safety_shut(bench: Bench) -> None:
    bench.window({0: (0, 30)})
    bench.to(400)
    assert len(bench.edges) == 2
    assert bench.node.take_safety_shuts() == []


def test_a_command_to_another_node_shuts_nothing(bench: Bench) -> None:
    firing(bench)
    bench.nmt(0x02, 0x11)
    bench.send(0x211, b"\0")
    bench.to(200)
    assert bench.node.outputs == 0b11


def test_a_cancelled_window_reports_what_was_driven(bench: Bench) -> None:
    firing(bench)
    bench.send(0x200 + NODE, b"\0")
    assert bench.of(0x280) == [bytes((5, 0, 0, 0, 0, 0, 0, 0))]


@pytest.mark.parametrize("by_line", [True, False])
def test_cancelling_drops_waiting_halves(bench: Bench, by_line: bool) -> None:
    bench.send(0x300 + NODE, bytes(8))
    bench.send(0x400 + NODE, b"\x64" * 8)
    if by_line:
        bench.node.set_enable(False, bench.bus.now_ns)
        bench.node.set_enable(True, bench.bus.now_ns)
    else:
        bench.send(0x200 + NODE, b"\0")
    bench.sync()
    bench.to(300)
    assert bench.edges == []
    assert bench.emergencies == []


def test_unarmed_no_pulse_is_taken() -> None:
    bench = Bench()
    bench.sdo_write(0x2100, 0, 0, 1)
    bench.window({0: (0, 100)})
    bench.to(400)
    assert bench.edges == []
    assert struct.unpack_from("<H", bench.state, 4) == (0,)


def test_without_the_arm_line_the_object_alone_arms_nothing(bench: Bench) -> None:
    bench.node.set_arm_line(False, bench.bus.now_ns)
    assert bench.sdo_read(0x2100) == 1
    bench.window({0: (0, 100)})
    bench.to(400)
    assert bench.edges == []
    bench.node.set_arm_line(True, bench.bus.now_ns)
    bench.window({0: (0, 100)})
    assert bench.edges == [(400, 0, True)]


@pytest.mark.parametrize("command", [0x02, 0x80])
def test_not_operational_no_pulse_is_taken(bench: Bench, command: int) -> None:
    bench.nmt(command)
    bench.window({0: (0, 100)})
    bench.nmt(0x01)
    bench.sync()
    bench.to(400)
    assert bench.edges == []
    assert bench.emergencies == []


def test_a_pulse_whose_opening_meets_a_low_enable_line_is_skipped_whole(bench: Bench) -> None:
    bench.node.set_enable(False, bench.bus.now_ns)
    bench.window({0: (0, 200), 1: (100, 200)})
    bench.to(150)
    bench.node.set_enable(True, bench.bus.now_ns)
    bench.to(350)
    assert bench.edges == [(200, 1, True), (300, 1, False)]
    assert bench.of(0x280) == [bytes((0, 100, 0, 0, 0, 0, 0, 0))]


def test_the_pause_after_a_safety_shut_is_kept(bench: Bench) -> None:
    firing(bench)
    bench.node.set_enable(False, 105 * MS)
    bench.node.set_enable(True, 105 * MS)
    bench.to(110)
    bench.window({0: (24, 100), 1: (0, 30)})
    assert bench.refusals == [(0, 3)]
    bench.window({0: (25, 100)})
    bench.to(400)
    assert (135, 0, True) in bench.edges


# -- heartbeat of the flight computer


def watched() -> Bench:
    bench = Bench()
    assert bench.sdo_write(0x1016, 1, 0x01 << 16 | 50, 4) == 0
    bench.heartbeat()
    bench.clear()
    return bench


def test_a_lost_heartbeat_shuts_disarms_and_leaves_operational() -> None:
    bench = watched()
    bench.window({0: (0, 250)})
    bench.to(150)
    assert bench.emergencies == []
    bench.to(155)
    assert bench.of(0x80) == [bytes.fromhex("3081 11 01 00000000")]
    assert bench.edges == [(100, 0, True), (pytest.approx(150, abs=1e-3), 0, False)]
    assert bench.node.state is NmtState.PRE_OPERATIONAL
    assert bench.sdo_read(0x2100) == 0
    assert bench.sdo_read(0x1001) == 0x11
    assert bench.sdo_read(0x1003, 0) == 1
    assert bench.sdo_read(0x1003, 1) == 0x00018130


def test_a_heartbeat_in_time_keeps_firing() -> None:
    bench = watched()
    bench.window({0: (0, 250)})
    for t in range(150, 400, 50):
        bench.to(t)
        bench.heartbeat()
    bench.to(370)
    assert bench.emergencies == []
    assert bench.edges == [(100, 0, True), (pytest.approx(360, abs=1e-3), 0, False)]


def test_heartbeats_of_others_do_not_count() -> None:
    bench = watched()
    bench.to(130)
    bench.send(0x702, b"\x05")
    bench.to(160)
    assert [code for code, _ in bench.emergencies] == [0x8130]


def test_watching_can_be_ended() -> None:
    bench = watched()
    bench.sdo_write(0x1016, 1, 0, 4)
    bench.to(300)
    assert bench.emergencies == []
    assert bench.state[1] & 0b100 == 0


def test_a_returning_heartbeat_ends_the_error_but_arms_nothing() -> None:
    bench = watched()
    bench.to(200)
    bench.nmt(0x01)
    bench.sdo_write(0x2100, 0, 1, 1)
    bench.window({0: (0, 100)})
    bench.to(300)
    assert bench.edges == []
    bench.sdo_write(0x2100, 0, 0, 1)
    bench.heartbeat()
    assert bench.emergencies[-1] == (0, b"\0\0")
    assert bench.sdo_read(0x1001) == 0
    assert not bench.node.armed
    bench.sdo_write(0x2100, 0, 1, 1)
    bench.window({0: (0, 40)})
    bench.to(345)
    assert bench.edges == [(300, 0, True), (340, 0, False)]


def test_watching_starts_with_the_first_heartbeat() -> None:
    bench = Bench()
    bench.sdo_write(0x1016, 1, 0x01 << 16 | 50, 4)
    bench.to(300)
    assert bench.emergencies == []
    assert bench.state[1] & 0b100 == 0
    bench.heartbeat()
    assert bench.state[1] & 0b100
    bench.to(360)
    assert [code for code, _ in bench.emergencies] == [0x8130]


@pytest.mark.parametrize(
    ("behaviour", "state"), [(0, NmtState.PRE_OPERATIONAL), (1, NmtState.OPERATIONAL), (2, NmtState.STOPPED)],
)
def test_1029h_chooses_the_state_but_never_keeps_a_valve_open(behaviour: int, state: NmtState) -> None:
    bench = watched()
    bench.sdo_write(0x1029, 1, behaviour, 1)
    bench.sdo_write(0x6206, 1, 0, 1)
    bench.sdo_write(0x6207, 1, 0xFF, 1)
    bench.window({0: (0, 250)})
    bench.to(400)
    assert bench.node.state is state
    assert bench.node.outputs == 0
    assert not bench.node.armed
    assert bench.edges[-1] == (pytest.approx(150, abs=1e-3), 0, False)


def test_a_silenced_bus_shuts_the_valves() -> None:
    bench = watched()
    bench.window({0: (0, 250)})
    bench.frames.clear()
    bench.bus.inject(Fault(FaultKind.SILENCE))
    for t in range(105, 400, 5):
        bench.to(t)
        bench.heartbeat()
    assert bench.edges == [(100, 0, True), (pytest.approx(150, abs=1e-3), 0, False)]
    assert bench.frames == []


# -- outputs written directly


def test_rpdo1_acts_at_once_and_keeps_the_shortest_pulse(bench: Bench) -> None:
    bench.send(0x200 + NODE, b"\x05")
    bench.to(110)
    assert bench.sdo_read(0x6200, 1) == 5
    bench.send(0x200 + NODE, b"\x04")
    bench.to(200)
    assert bench.edges == [(100, 0, True), (100, 2, True), (130, 0, False)]
    bench.send(0x200 + NODE, b"\x00")
    assert bench.edges[-1] == (200, 2, False)


def test_rpdo1_keeps_pause_longest_burn_and_cooldown(bench: Bench) -> None:
    bench.send(0x200 + NODE, b"\x01")
    bench.to(3200)
    assert bench.edges == [(100, 0, True), (3100, 0, False)]
    assert bench.refusals == [(0, 4)]
    assert bench.sdo_read(0x6200, 1) == 0
    bench.send(0x200 + NODE, b"\x03")
    assert bench.refusals == [(0, 4), (0, 5)]
    bench.to(3250)
    bench.send(0x200 + NODE, b"\x00")
    bench.to(3260)
    bench.send(0x200 + NODE, b"\x02")
    assert bench.refusals[-1] == (1, 3)


@pytest.mark.parametrize("unarmed", [True, False])
def test_rpdo1_drives_nothing_unless_armed_and_operational(bench: Bench, unarmed: bool) -> None:
    if unarmed:
        bench.sdo_write(0x2100, 0, 0, 1)
    else:
        bench.nmt(0x80)
    bench.send(0x200 + NODE, b"\xff")
    bench.sdo_write(0x6200, 1, 0xFF, 1)
    bench.to(200)
    assert bench.edges == []
    assert bench.sdo_read(0x6200, 1) == 0


def test_a_window_takes_over_from_rpdo1(bench: Bench) -> None:
    bench.send(0x200 + NODE, b"\x03")
    bench.to(150)
    bench.window({0: (0, 40)})
    bench.to(500)
    assert bench.edges == [(100, 0, True), (100, 1, True), (150, 1, False), (190, 0, False)]


# -- TPDO1


def test_the_state_tells_what_happens(bench: Bench) -> None:
    bench.window({0: (0, 30), 4: (100, 150)})
    assert bench.state == bytes((0x01, 0b1011, 0, 0, 1, 0, 0, 0))
    bench.to(140)
    assert bench.state == bytes((0x00, 0b1011, 0, 0, 1, 0, 0, 0))
    bench.to(240)
    assert bench.state[0] == 0x10
    bench.to(400)
    assert bench.state == bytes((0, 0b0011, 0, 0, 1, 0, 0, 0))
    bench.node.set_enable(False, bench.bus.now_ns)
    bench.collect()
    assert bench.state[1] == 0b0001


def test_the_state_comes_every_50_ms_and_on_every_change(bench: Bench) -> None:
    bench.to(1100)
    assert len(bench.of(0x180)) == 20
    bench.clear()
    bench.window({0: (1, 32)})
    bench.to(1150)
    assert [data[0] for data in bench.of(0x180)] == [0, 1, 0]


def test_the_state_is_told_on_becoming_operational_and_not_otherwise() -> None:
    bench = Bench()
    bench.nmt(0x80)
    bench.clear()
    bench.to(300)
    assert bench.of(0x180) == []
    bench.nmt(0x01)
    assert len(bench.of(0x180)) == 1


# -- NMT, heartbeat, SDO


def test_power_on_says_boot_up_then_heartbeats_pre_operational() -> None:
    bench = Bench(fly=False)
    bench.to(50)
    assert bench.frames == []
    bench.node.power_on(50 * MS)
    bench.to(349)
    assert bench.of(0x700) == [b"\x00", b"\x7f", b"\x7f"]
    bench.nmt(0x01)
    bench.to(350)
    bench.nmt(0x02)
    bench.to(450)
    assert bench.of(0x700)[3:] == [b"\x05", b"\x04"]


def test_the_heartbeat_period_can_be_changed_and_ended(bench: Bench) -> None:
    bench.sdo_write(0x1017, 0, 20, 2)
    bench.to(200)
    assert len(bench.of(0x700)) == 5
    bench.sdo_write(0x1017, 0, 0, 2)
    bench.clear()
    bench.to(500)
    assert bench.of(0x700) == []


def test_reset_restores_the_power_on_values() -> None:
    bench = watched()
    for index, value, size in ((0x2101, 100, 1), (0x2102, 50, 1), (0x2104, 1000, 2), (0x1017, 20, 2)):
        bench.sdo_write(index, 0, value, size)
    bench.window({0: (0, 100)})
    bench.nmt(0x81)
    assert bench.of(0x700) == [b"\x00"]
    read = {index: bench.sdo_read(index) for index in (0x2100, 0x2101, 0x2102, 0x2104, 0x1017)}
    assert read == {0x2100: 0, 0x2101: 250, 0x2102: 30, 0x2104: 3000, 0x1017: 100}
    assert bench.sdo_read(0x1016, 1) == 0
    bench.nmt(0x01)
    assert struct.unpack_from("<H", bench.state, 4) == (0,)


def test_a_stopped_node_answers_no_sdo(bench: Bench) -> None:
    bench.nmt(0x02)
    bench.clear()
    bench.send(0x600 + NODE, struct.pack("<BHBI", 0x40, 0x1000, 0, 0))
    assert bench.frames == []


def test_the_dictionary_holds_what_the_protocol_says(bench: Bench) -> None:
    expected = {
        (0x1000, 0): 0x00020191, (0x1001, 0): 0, (0x1003, 0): 0, (0x1016, 0): 1, (0x1016, 1): 0, (0x1017, 0): 100,
        (0x1018, 0): 4, (0x1018, 1): 0, (0x1018, 2): 0x51494B56, (0x1018, 3): 1, (0x1018, 4): 77, (0x1029, 1): 0,
        (0x6200, 1): 0, (0x6206, 1): 0xFF, (0x6207, 1): 0, (0x2101, 0): 250, (0x2102, 0): 30, (0x2103, 0): 30,
        (0x2104, 0): 3000, (0x2105, 0): 6000, (0x2110, 0): 8, (0x2111, 8): 0,
    }
    assert {key: bench.sdo_read(*key) for key in expected} == expected


def test_answers_carry_the_size_of_the_object(bench: Bench) -> None:
    specifiers = [bench.sdo(struct.pack("<BHBI", 0x40, index, 0, 0))[0] for index in (0x1000, 0x2104, 0x2101)]
    assert specifiers == [0x43, 0x4B, 0x4F]


def test_the_schedule_can_be_read_back_after_sync(bench: Bench) -> None:
    bench.send(0x300 + NODE, bytes(range(8)))
    bench.send(0x400 + NODE, bytes(range(100, 108)))
    assert bench.sdo_read(0x2110, 8) == 0
    bench.sync()
    assert (bench.sdo_read(0x2110, 8), bench.sdo_read(0x2111, 1)) == (7, 100)


@pytest.mark.parametrize(
    ("index", "sub", "value", "size", "abort"),
    [
        (0x3000, 0, 0, 1, 0x06020000), (0x2100, 1, 0, 1, 0x06090011), (0x2110, 9, 0, 1, 0x06090011),
        (0x1000, 0, 0, 4, 0x06010002), (0x1018, 4, 0, 4, 0x06010002), (0x2110, 0, 8, 1, 0x06010002),
        (0x2100, 0, 1, 2, 0x06070010), (0x2104, 0, 1, 1, 0x06070010), (0x1016, 1, 0, 2, 0x06070010),
        (0x2100, 0, 2, 1, 0x06090030), (0x2101, 0, 49, 1, 0x06090030), (0x2101, 0, 251, 1, 0x06090030),
        (0x1029, 1, 3, 1, 0x06090030), (0x1016, 1, 0x80_0000, 4, 0x06090030), (0x1003, 0, 1, 1, 0x06090030),
    ],
)
def test_bad_writes_are_aborted_and_change_nothing(
    bench: Bench, index: int, sub: int, value: int, size: int, abort: int,
) -> None:
    before = bench.sdo(struct.pack("<BHBI", 0x40, index, sub, 0))
    assert bench.sdo_write(index, sub, value, size) == abort
    assert bench.sdo(struct.pack("<BHBI", 0x40, index, sub, 0)) == before


@pytest.mark.parametrize("request_byte", [0x21, 0xA0, 0xC0, 0x60, 0x00, 0xE0])
def test_anything_but_expedited_is_aborted(bench: Bench, request_byte: int) -> None:
    answer = bench.sdo(struct.pack("<BHBI", request_byte, 0x2100, 0, 1))
    assert answer == struct.pack("<BHBI", 0x80, 0x2100, 0, 0x05040001)


def test_a_clients_abort_and_a_torn_request_get_no_answer(bench: Bench) -> None:
    bench.send(0x600 + NODE, struct.pack("<BHBI", 0x80, 0x2100, 0, 0))
    bench.send(0x600 + NODE, b"\x40\x00\x10")
    assert bench.frames == []


def test_the_error_history_is_newest_first_bounded_and_can_be_emptied(bench: Bench) -> None:
    bench.window(dict.fromkeys(range(8), (1, 0)))
    bench.send(0x300 + NODE, bytes(8))
    bench.sync()
    assert bench.sdo_read(0x1003, 0) == 8
    assert bench.sdo_read(0x1003, 1) == 0x0002FF10
    assert bench.sdo_read(0x1003, 2) == 0x0107FF11
    assert bench.sdo_write(0x1003, 0, 0, 1) == 0
    assert bench.sdo(struct.pack("<BHBI", 0x40, 0x1003, 1, 0))[4:] == struct.pack("<I", 0x08000024)


def test_a_pdo_that_is_too_short_is_reported_and_not_taken(bench: Bench) -> None:
    bench.send(0x300 + NODE, bytes(7))
    bench.send(0x400 + NODE, b"\x64" * 8)
    bench.send(0x80, b"\x01")
    bench.sync()
    assert [code for code, _ in bench.emergencies] == [0x8210, 0x8240, 0xFF10]
    assert bench.edges == []


# -- power and broken outputs


def test_a_brown_out_forgets_everything_and_stays_shut(bench: Bench) -> None:
    firing(bench)
    bench.node.power_off(105 * MS)
    bench.to(110)
    bench.send(0x600 + NODE, struct.pack("<BHBI", 0x40, 0x1000, 0, 0))
    bench.window({2: (0, 100)})
    bench.to(200)
    assert bench.frames == []
    assert bench.node.next_event_ns == FAR_NS
    bench.node.power_on(200 * MS)
    bench.collect()
    assert bench.frames == [CanFrame(0x700 + NODE, b"\x00")]
    assert bench.sdo_read(0x2100) == 0
    bench.to(600)
    assert bench.edges == [(105, 0, False)]


def test_after_a_brown_out_the_first_pause_counts_from_power_on(bench: Bench) -> None:
    firing(bench)
    bench.node.power_off(105 * MS)
    bench.node.power_on(106 * MS)
    bench.to(110)
    bench.sdo_write(0x2100, 0, 1, 1)
    bench.nmt(1)
    bench.window({0: (25, 100), 1: (26, 100)})
    assert bench.refusals == [(0, 3)]


def test_an_open_output_is_commanded_but_not_driven(bench: Bench) -> None:
    bench.node.fail_output(0, "open")
    bench.window({0: (0, 30), 1: (0, 30)})
    assert bench.node.outputs == 0b11
    assert bench.node.coils == 0b10
    bench.to(350)
    assert bench.edges == [(100, 1, True), (130, 1, False)]
    assert bench.of(0x280) == [bytes((30, 30, 0, 0, 0, 0, 0, 0))]


def test_a_shorted_output_follows_the_enable_line_alone(bench: Bench) -> None:
    bench.node.fail_output(3, OutputFault.SHORT)
    bench.nmt(0x02)
    bench.node.power_off(bench.bus.now_ns)
    bench.to(200)
    bench.node.set_enable(False, 200 * MS)
    bench.node.set_enable(True, 210 * MS)
    bench.node.fail_output(3, None, 220 * MS)
    bench.collect()
    assert bench.edges == [(100, 3, True), (200, 3, False), (210, 3, True), (220, 3, False)]


def test_an_unknown_fault_is_refused(bench: Bench) -> None:
    with pytest.raises(ValueError, match="melted"):
        bench.node.fail_output(0, "melted")


def test_a_node_id_must_be_one() -> None:
    with pytest.raises(ValueError, match="127"):
        Cia401ValveNode(128, 1)


def test_nothing_is_due_between_events(bench: Bench) -> None:
    bench.window({0: (100, 200)})
    assert bench.node.next_event_ns == 150 * MS
    bench.nmt(0x80)
    assert bench.node.next_event_ns == 200 * MS
    assert bench.edges == []


# -- all rules at once


pulse_times = st.one_of(st.just(0), st.just(250), st.integers(0, 255))
moves = st.one_of(
    st.tuples(st.just("window"), st.lists(st.tuples(pulse_times, pulse_times), min_size=8, max_size=8)),
    st.tuples(st.just("burn"), st.integers(1, 14)),
    st.tuples(st.just("direct"), st.integers(0, 255)),
    st.tuples(st.sampled_from(["enable", "arm", "reset", "disarm", "half"]), st.none()),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.tuples(moves, st.one_of(st.integers(240, 262), st.integers(0, 400))), max_size=25))
def test_whatever_is_asked_the_pulse_rules_hold(story: list[tuple[tuple[str, object], int]]) -> None:
    bench = Bench()
    rules = PulseRuleChecker(30, 30, 3000, 6000, 8)
    node = bench.node
    for (kind, detail), wait_ms in story:
        now = bench.bus.now_ns
        if kind == "window":
            assert isinstance(detail, list)
            bench.window(dict(enumerate(detail)))
        elif kind == "burn":
            assert isinstance(detail, int)
            for _ in range(detail):
                bench.window(dict.fromkeys(range(8), (0, 250)))
                bench.to(bench.now + 250)
        elif kind == "direct":
            assert isinstance(detail, int)
            bench.send(0x200 + NODE, bytes((detail,)))
        elif kind == "enable":
            node.set_enable(False, now)
            node.set_enable(True, now)
        elif kind == "arm":
            node.set_arm_line(False, now)
            node.set_arm_line(True, now)
        elif kind == "half":
            bench.send(0x400 + NODE, b"\x64" * 8)
            bench.sync()
        else:
            if kind == "reset":
                bench.nmt(0x81)
                bench.nmt(0x01)
            else:
                bench.sdo_write(0x2100, 0, 0, 1)
            bench.sdo_write(0x2100, 0, 1, 1)
        bench.to(bench.now + wait_ms)
    bench.to(bench.now + 3500)
    bench.collect()
    safety = set(node.take_safety_shuts())
    for t_ms, output, is_on in bench.edges:
        t_ns = round(t_ms * MS)
        rules.feed(t_ns, output, is_on, safety=(t_ns, output) in safety)
    rules.finish(bench.bus.now_ns)
    assert rules.violations == []
    assert node.outputs == node.coils == 0
    assert [t for t, _, _ in bench.edges] == sorted(t for t, _, _ in bench.edges)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.sampled_from([0, 0x80, 0x210, 0x310, 0x410, 0x610, 0x701]), st.binary(max_size=8))))
def test_no_frame_can_break_the_node(frames: list[tuple[int, bytes]]) -> None:
    bench = Bench()
    for can_id, data in frames:
        bench.bus.send(CanFrame(can_id, data))
        bench.bus.advance(bench.bus.now_ns + 7 * MS)
    assert bench.node.next_event_ns > bench.bus.now_ns


# -- a foreign master


canopen = pytest.importorskip("canopen")
can = pytest.importorskip("can")


class Bridge:
    """Carries frames between python-can's in-process bus and the twin; simulated time moves only by ``advance``."""

    def __init__(self, channel: str, bus: SimCanBus) -> None:
        self._sim = bus
        self._wire = can.Bus(interface="virtual", channel=channel)
        self._lock = threading.Lock()
        self._carried = threading.Condition(self._lock)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._pump, daemon=True)
        self._thread.start()

    def _pump(self) -> None:
        while not self._stop.is_set():
            message = self._wire.recv(timeout=0.02)
            if message is None:
                continue
            with self._lock:
                self._sim.send(CanFrame(message.arbitration_id, bytes(message.data)))
                self._drain()
                self._carried.notify_all()

    def _drain(self) -> None:
        while (frame := self._sim.receive()) is not None:
            self._wire.send(can.Message(arbitration_id=frame.can_id, data=frame.data, is_extended_id=False))

    def advance(self, ms: int) -> None:
        with self._lock:
            self._sim.advance(self._sim.now_ns + ms * MS)
            self._drain()

    def call(self, action: Callable[[int], None]) -> None:
        """Do something to the node at the present instant."""
        with self._lock:
            action(self._sim.now_ns)
            self._drain()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until frames from the master have brought something about."""
        with self._carried:
            assert self._carried.wait_for(condition, timeout=2)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(timeout=2)
        self._wire.shutdown()


class Master:
    """canopen's network with one remote node, and the twin behind the bridge."""

    def __init__(self) -> None:
        channel = f"valve-node-{uuid.uuid4()}"
        bus = SimCanBus("can0")
        self.twin = Cia401ValveNode(NODE, serial=0x1234)
        self.twin.set_enable(True, 0)
        self.twin.set_arm_line(True, 0)
        bus.attach(self.twin)
        self.bridge = Bridge(channel, bus)
        self.network = canopen.Network()
        self.network.NOTIFIER_CYCLE = 0.02
        self.network.connect(interface="virtual", channel=channel)
        self.remote = canopen.RemoteNode(NODE, self._dictionary())
        self.network.add_node(self.remote)
        self.state_frames: list[bytes] = []
        self.heartbeats: list[int] = []
        self.heard = threading.Condition()
        self.network.subscribe(0x180 + NODE, self._on_state)
        self.remote.nmt.add_heartbeat_callback(self._on_heartbeat)

    @staticmethod
    def _dictionary() -> object:
        dictionary = canopen.ObjectDictionary()
        kinds = {1: 0x0005, 2: 0x0006, 4: 0x0007}  # UNSIGNED8, UNSIGNED16, UNSIGNED32
        for index, size, name in ((0x1000, 4, "Device type"), (0x1001, 1, "Error register"), (0x2100, 1, "Arm"),
                                  (0x2101, 1, "Window"), (0x2104, 2, "Longest burn"), (0x1017, 2, "Heartbeat")):
            variable = canopen.objectdictionary.ODVariable(name, index, 0)
            variable.data_type = kinds[size]
            dictionary.add_object(variable)
        return dictionary

    def _on_state(self, can_id: int, data: bytearray, timestamp: float) -> None:
        with self.heard:
            self.state_frames.append(bytes(data))
            self.heard.notify_all()

    def _on_heartbeat(self, state: int) -> None:
        with self.heard:
            self.heartbeats.append(state)
            self.heard.notify_all()

    def wait_state(self, wanted: Callable[[bytes], bool]) -> bool:
        with self.heard:
            return self.heard.wait_for(lambda: any(map(wanted, self.state_frames)), timeout=2)

    def wait_heartbeats(self, expected: list[int]) -> bool:
        with self.heard:
            return self.heard.wait_for(lambda: self.heartbeats == expected, timeout=2)

    def close(self) -> None:
        self.network.disconnect()
        self.bridge.close()


@pytest.fixture
def master() -> Iterator[Master]:
    peer = Master()
    peer.remote.sdo.RESPONSE_TIMEOUT = 2
    yield peer
    peer.close()


def boot(master: Master) -> None:
    """Power on and let the master hear boot-up."""
    master.bridge.call(master.twin.power_on)
    assert master.wait_heartbeats([0x00])


def test_foreign_master_hears_boot_up_and_commands_the_states(master: Master) -> None:
    boot(master)
    heard = [0x00]
    for state, told in (("OPERATIONAL", 0x05), ("PRE-OPERATIONAL", 0x7F), ("STOPPED", 0x04)):
        master.remote.nmt.state = state
        if told != 0x04:  # an answer shows that the command has arrived; a stopped node gives none
            assert master.remote.sdo.upload(0x1001, 0) == b"\0"
        else:
            master.bridge.wait_for(lambda: master.twin.state is NmtState.STOPPED)
        master.bridge.advance(100)
        heard.append(told)
        assert master.wait_heartbeats(heard)
        assert master.remote.nmt.state == state


def test_foreign_master_reads_and_writes_objects(master: Master) -> None:
    boot(master)
    sdo = master.remote.sdo
    assert sdo["Device type"].raw == 0x00020191
    assert sdo.upload(0x1018, 4) == struct.pack("<I", 0x1234)
    sdo["Longest burn"].raw = 1500
    assert sdo["Longest burn"].raw == 1500
    sdo["Window"].raw = 100
    assert sdo.upload(0x2101, 0) == b"\x64"


def test_foreign_master_sees_the_abort_codes(master: Master) -> None:
    boot(master)
    sdo = master.remote.sdo
    bad: list[tuple[Callable[[], object], int]] = [
        (lambda: sdo.upload(0x3000, 0), 0x06020000),
        (lambda: sdo.upload(0x2110, 9), 0x06090011),
        (lambda: sdo.download(0x1000, 0, bytes(4)), 0x06010002),
        (lambda: sdo.download(0x2101, 0, bytes(2)), 0x06070010),
        (lambda: sdo.download(0x2101, 0, bytes(5)), 0x06070010),
        (lambda: sdo.download(0x2101, 0, b"\x31"), 0x06090030),
        (lambda: sdo.download(0x2101, 0, b"\x64", force_segment=True), 0x05040001),
    ]
    for attempt, code in bad:
        with pytest.raises(canopen.SdoAbortedError) as caught:
            attempt()
        assert caught.value.code == code


def test_foreign_master_flies_a_window_and_sees_the_emergencies(master: Master) -> None:
    boot(master)
    remote, network, bridge = master.remote, master.network, master.bridge
    bridge.advance(100)
    remote.sdo.download(0x1016, 1, struct.pack("<I", 0x01 << 16 | 200))
    remote.sdo["Arm"].raw = 1
    remote.nmt.state = "OPERATIONAL"
    network.send_message(0x701, b"\x05")
    network.send_message(0x300 + NODE, bytes(8))
    network.send_message(0x400 + NODE, bytes((100, 10, 0, 0, 0, 0, 0, 0)))
    network.sync.transmit()
    assert master.wait_state(lambda data: data[0] == 1 and data[1] == 0b1111)
    assert master.wait_state(lambda data: data[2] == 1)
    bridge.advance(300)
    assert master.wait_state(lambda data: data[0] == 0 and data[4] == 1)
    assert remote.sdo["Error register"].raw == 0x11
    assert [entry.code for entry in remote.emcy.log] == [0xFF11, 0x8130]
    assert remote.emcy.log[0].data == bytes((1, 3, 0, 0, 0))
    assert remote.emcy.log[1].register == 0x11
    edges = master.twin.take_edges()
    assert [(output, is_on) for _, output, is_on in edges] == [(0, True), (0, False)]
    assert edges[1][0] - edges[0][0] == 100 * MS
