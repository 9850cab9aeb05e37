"""The walk over a board's buses: what answers, what doesn't and why, what to do; and nothing is configured by it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from drivers.bus.protocol import CanFrame
from drivers.errors import Cause, DeviceError
from firmware_py.clock import NullMeter, SimClock
from firmware_py.probe import CANDIDATES, Finding, Prober, Verdict
from hal.causes import CAUSES
from hal.profile import BoardConfig, ConfigError, load_profile
from hil.chips.tmp423 import Tmp423
from hil.faults import Fault, FaultKind
from hil.plant.world import InitialState
from hil.rig import Rig

PROFILE = load_profile("qiki-t", "qiki-rpi")
BOARD = PROFILE.board
MS = 1_000_000
LISTEN_NS = 2_500 * MS


class Stopwatch:
    """A meter that goes on by 100 us at every look."""

    def __init__(self) -> None:
        self.looks = 0

    def wall_ns(self) -> int:
        self.looks += 1
        return self.looks * 100_000

    def cpu_ns(self) -> int:
        return 0


class Bench:
    """A rig whose chips have been powered for half a second, and a walk over it."""

    def __init__(self, board: BoardConfig = BOARD) -> None:
        self.board = board
        self.rig = Rig(PROFILE, InitialState(epoch=0), 1)
        self.clock = SimClock(0, self.rig.advance)
        self.clock.sleep_until_ns(500 * MS)
        self.buses: dict[str, Any] = dict(self.rig.buses)
        self.refusals: dict[str, tuple[DeviceError, str]] = {}

    def walk(self, listen_ns: int = 5 * MS, meter: Any = None) -> list[Finding]:
        """Findings; listening is cut short unless asked for."""
        prober = Prober(self.board, self.buses, self.refusals, self.clock, meter or NullMeter(), listen_ns)
        return list(prober.walk())

    def only(self, *buses: str) -> Bench:
        """Leave the other buses out of the board."""
        kept = {name: bus for name, bus in self.board.buses.items() if name in buses}
        devices = tuple(d for d in self.board.devices if d.bus in buses)
        self.board = msgspec.structs.replace(self.board, buses=kept, devices=devices)
        return self


def of(findings: list[Finding], name: str) -> Finding:
    [finding] = [f for f in findings if f.device == name]
    return finding


def rate(finding: Finding) -> float:
    """Frames a second."""
    counted = re.fullmatch(r"(\d+) samples in ([\d.]+) s(?:, (\d+) frames)?", finding.found)
    assert counted is not None, finding.found
    return float(counted[3] or counted[1]) / float(counted[2])


# -- everything well


def test_every_device_of_the_reference_board_answers_or_speaks_and_says_what_it_is() -> None:
    findings = Bench().walk(LISTEN_NS)
    devices = [f for f in findings if f.part is not None]
    assert {f.device for f in devices} == {d.name for d in BOARD.devices}
    assert [f for f in findings if not f.verdict.good or f.advice or f.failures] == []
    assert all(f.found for f in findings)
    heard = [d for d in BOARD.devices if BOARD.buses[d.bus].kind in ("serial", "can")]
    speaking = {d.name for d in heard if d.role != "valve_node"}
    assert {f.device for f in devices if f.verdict is Verdict.SPEAKS} == speaking
    assert "INA228" in of(findings, "bus_monitor").found
    assert rate(of(findings, "approach")) == pytest.approx(100.0, abs=2.0)


def test_findings_come_bus_by_bus_in_the_boards_order_and_name_the_place() -> None:
    findings = Bench().walk()
    seen = [f.bus for f in findings]
    assert list(dict.fromkeys(seen)) == list(BOARD.buses)
    assert seen == sorted(seen, key=list(BOARD.buses).index)
    assert of(findings, "bus_monitor").where == "0x40"
    assert of(findings, "sun_ny").where == "mux.1 0x44"
    assert of(findings, "imu_b").where == "select 1"
    assert of(findings, "star_tracker").where == ""


def test_latency_is_that_of_the_longest_transaction_in_microseconds() -> None:
    findings = Bench().only("i2c_a").walk(meter=Stopwatch())
    assert {f.latency_us for f in findings} == {100.0}
    assert of(findings, "bus_monitor").transactions == 2


def test_lines_of_the_interlock_and_resets_are_read_and_pins_of_a_bus_are_not_expected_as_lines() -> None:
    findings = [f for f in Bench().walk() if f.bus == "gpio"]
    assert [(f.where, f.device, f.found) for f in findings] == [
        ("GPIO24", "valve_arm", "low"), ("GPIO27", "valve_enable", "low"), ("GPIO22", "watchdog_kick", "low"),
        ("GPIO6", "i2c_b mux reset", "high"),
    ]


# -- what is wrong


@pytest.mark.parametrize(("kind", "verdict", "cause"), [
    (FaultKind.NACK_ADDRESS, Verdict.MISSING, Cause.NACK_ADDRESS),
    (FaultKind.NACK_DATA, Verdict.FAILS, Cause.NACK_DATA),
    (FaultKind.ALL_ONES, Verdict.WRONG_ID, Cause.WRONG_ID),
    (FaultKind.ALL_ZEROS, Verdict.WRONG_ID, Cause.WRONG_ID),
    (FaultKind.SHORT_READ, Verdict.FAILS, Cause.SHORT_READ),
    (FaultKind.ARBITRATION, Verdict.FAILS, Cause.ARBITRATION),
])
def test_a_chip_that_does_not_answer_well_gets_its_verdict_and_advice_and_the_others_theirs(
    kind: FaultKind, verdict: Verdict, cause: Cause
) -> None:
    bench = Bench().only("i2c_a")
    bench.rig.buses["i2c_a"].inject(Fault(kind, address=0x41))
    findings = bench.walk()
    bad = of(findings, "battery_monitor")
    assert (bad.verdict, bad.cause, bad.failures) == (verdict, cause, 1)
    assert CAUSES[cause].advice in bad.advice
    assert all(f.verdict is Verdict.ANSWERS for f in findings if f.device not in (None, "battery_monitor"))


def test_missing_chips_get_one_advice_for_all_of_them() -> None:
    bench = Bench().only("i2c_a")
    bench.rig.buses["i2c_a"].inject(Fault(FaultKind.NACK_ADDRESS))
    findings = bench.walk()
    assert {f.verdict for f in findings} == {Verdict.MISSING}
    [advice] = {f.advice for f in findings}
    assert advice.startswith("nothing acknowledges its address: check power")


def test_another_part_at_the_address_is_told_apart_from_a_missing_one() -> None:
    bench = Bench().only("i2c_a")
    devices = tuple(
        msgspec.structs.replace(d, part="ina228") if d.name == "ch_radar" else d for d in bench.board.devices
    )
    bench.board = msgspec.structs.replace(bench.board, devices=devices)
    bad = of(bench.walk(), "ch_radar")
    assert (bad.verdict, bad.cause) == (Verdict.WRONG_ID, Cause.WRONG_ID)
    assert "compare the part" in bad.advice


def test_a_select_that_nobody_drives_is_a_wrong_id_with_advice_on_the_wiring() -> None:
    bench = Bench().only("spi0")
    bench.rig.buses["spi0"].inject(Fault(FaultKind.ALL_ONES, address=1))
    bad = of(bench.walk(), "imu_b")
    assert bad.verdict is Verdict.WRONG_ID
    assert "MISO" in bad.advice
    assert of(bench.walk(), "imu").verdict is Verdict.ANSWERS


def test_an_address_that_the_board_does_not_name_is_told_with_a_guess() -> None:
    bench = Bench().only("i2c_a", "i2c_b")
    bench.rig.buses["i2c_a"].attach(0x4D, Tmp423())
    bench.rig.buses["i2c_b"].attach(0x30, Tmp423())
    strange = [f for f in bench.walk() if f.verdict is Verdict.UNKNOWN]
    assert [(f.bus, f.where) for f in strange] == [("i2c_a", "0x4d"), ("i2c_b", "0x30")]
    assert strange[0].found.endswith("perhaps ina226, ina228, tmp423")
    assert strange[1].found == "something answers"
    assert all("add it" in f.advice and not f.verdict.good for f in strange)


def test_chips_behind_a_switched_off_multiplexer_are_no_strangers() -> None:
    findings = Bench().only("i2c_b").walk()
    assert not [f for f in findings if f.verdict is Verdict.UNKNOWN]


def test_behind_a_dead_multiplexer_nobody_is_asked() -> None:
    bench = Bench().only("i2c_b")
    bench.rig.buses["i2c_b"].inject(Fault(FaultKind.NACK_ADDRESS, address=0x70))
    findings = bench.walk()
    behind = {d.name for d in bench.board.devices if d.mux is not None}
    for name in behind:
        finding = of(findings, name)
        assert (finding.verdict, finding.transactions) == (Verdict.MISSING, 0)
        assert (finding.found, finding.advice) == ("mux does not answer", "bring mux up first")
    assert of(findings, "mag").verdict is Verdict.ANSWERS


def test_a_multiplexer_that_can_not_be_switched_off_is_the_one_that_is_told() -> None:
    bench = Bench().only("i2c_b")
    mux = bench.rig.chips["mux"]
    plain = mux.write
    mux.write = lambda data: data != b"\x00" and plain(data)
    findings = bench.walk()
    told = [f for f in findings if f.verdict is Verdict.FAILS]
    assert [(f.device, f.cause) for f in told] == [("mux", Cause.NACK_DATA)]


def test_a_hung_bus_is_not_scanned_for_strangers() -> None:
    bench = Bench().only("i2c_a")
    bench.rig.buses["i2c_a"].inject(Fault(FaultKind.STUCK_BUS))
    findings = bench.walk()
    assert {f.verdict for f in findings} == {Verdict.FAILS}
    assert len(findings) == len(bench.board.devices)


def test_a_bus_that_hangs_while_it_is_scanned_ends_the_scan() -> None:
    bench = Bench().only("i2c_a")
    bench.rig.buses["i2c_a"].attach(0x30, Tmp423())
    bench.rig.buses["i2c_a"].inject(Fault(FaultKind.TIMEOUT, address=0x30))
    last = bench.walk()[-1]
    assert (last.where, last.verdict, last.cause) == ("0x30", Verdict.FAILS, Cause.TIMEOUT)


def test_a_bus_that_could_not_be_opened_takes_its_devices_with_it_and_says_what_to_do() -> None:
    bench = Bench().only("i2c_a", "spi0")
    del bench.buses["i2c_a"]
    bench.refusals["i2c_a"] = (DeviceError("i2c_a", None, Cause.PERMISSION, "/dev/i2c-1: denied"), "join the group")
    findings = bench.walk()
    bus, *devices = [f for f in findings if f.bus == "i2c_a"]
    assert (bus.where, bus.found, bus.advice, bus.cause) == (
        "/dev/i2c-1", "/dev/i2c-1: denied", "join the group", Cause.PERMISSION,
    )
    assert {f.verdict for f in (bus, *devices)} == {Verdict.NO_BUS}
    assert {f.device for f in devices} == {d.name for d in bench.board.devices if d.bus == "i2c_a"}
    assert of(findings, "imu").verdict is Verdict.ANSWERS


# -- parts that speak


def test_a_silent_port_is_told_after_the_time_of_listening() -> None:
    bench = Bench().only("usb1", "usb2")
    bench.rig.buses["usb1"].inject(Fault(FaultKind.SILENCE))
    start = bench.clock.now_ns()
    findings = bench.walk(1000 * MS)
    assert bench.clock.now_ns() - start == 1000 * MS, "all ports are listened to at the same time"
    silent = of(findings, "approach")
    assert (silent.verdict, silent.cause, silent.found) == (Verdict.SILENT, Cause.SILENT, "nothing in 1 s")
    assert "baud rate" in silent.advice
    assert of(findings, "lidar").verdict is Verdict.SPEAKS


def test_a_tracker_that_finds_no_solution_speaks_all_the_same() -> None:
    bench = Bench().only("usb3")
    bench.rig.world.set_disturbance((0.0, 0.0, 0.0), (0.0, 0.0, 400.0))  # too fast for it
    bench.clock.sleep_until_ns(4000 * MS)
    found = of(bench.walk(1000 * MS), "star_tracker")
    assert found.verdict is Verdict.SPEAKS
    assert found.found == "no samples in 1 s, 2 frames"


def test_bytes_of_which_none_make_a_frame_point_at_the_rate() -> None:
    bench = Bench().only("usb1")
    bench.rig.buses["usb1"].inject(Fault(FaultKind.ALL_ONES))
    bad = of(bench.walk(500 * MS), "approach")
    assert (bad.verdict, bad.cause) == (Verdict.FAILS, Cause.PROTOCOL)
    assert "bytes in 0.5 s, and no frame among them" in bad.found
    assert "speed_hz (115200)" in bad.advice


def test_what_had_arrived_before_the_walk_does_not_count() -> None:
    bench = Bench().only("usb1")
    bench.clock.sleep_until_ns(10_000 * MS)
    assert rate(of(bench.walk(1000 * MS), "approach")) == pytest.approx(100.0, abs=2.0)


def test_a_port_that_goes_away_while_it_is_listened_to() -> None:
    bench = Bench().only("usb1", "usb2")
    bench.rig.buses["usb1"].inject(Fault(FaultKind.ABSENT))
    findings = bench.walk(500 * MS)
    gone = of(findings, "approach")
    assert (gone.verdict, gone.cause) == (Verdict.MISSING, Cause.ABSENT)
    assert of(findings, "lidar").verdict is Verdict.SPEAKS


class Slow:
    """A port whose part answers only after 300 ms, as a real counter does."""

    name = "usb0"

    def __init__(self, inner: Any, clock: SimClock) -> None:
        self.inner, self.clock = inner, clock
        self.held: list[tuple[int, bytes]] = []

    def write(self, data: bytes) -> None:
        self.inner.write(data)
        answer = self.inner.read(4096)
        if answer:
            self.held.append((self.clock.now_ns() + 300 * MS, answer))

    def read(self, limit: int) -> bytes:
        if self.held and self.clock.now_ns() >= self.held[0][0]:
            return self.held.pop(0)[1]
        return b"" if self.held else self.inner.read(limit)


def test_a_part_that_must_be_told_to_speak_is_given_time_to_answer() -> None:
    bench = Bench().only("usb0")
    bench.buses["usb0"] = Slow(bench.buses["usb0"], bench.clock)
    assert of(bench.walk(4000 * MS), "geiger").verdict is Verdict.SPEAKS


def test_a_part_that_does_not_answer_when_it_is_told_to_speak_is_silent() -> None:
    bench = Bench().only("usb0")
    bench.rig.buses["usb0"].inject(Fault(FaultKind.SILENCE))
    silent = of(bench.walk(2500 * MS), "geiger")
    assert (silent.verdict, silent.found) == (Verdict.SILENT, "no version in 200 reads")
    assert "RX and TX" in silent.advice


def test_frames_that_nobody_wants_are_told_and_spoil_nothing() -> None:
    bench = Bench().only("can1")
    plain = bench.buses["can1"]

    class Busy:
        name = "can1"
        strangers = [CanFrame(0x123, b""), CanFrame(0x18FF50E5, b"\x01", True), CanFrame(0x351, b"", True)]

        def send(self, frame: CanFrame) -> None:
            plain.send(frame)

        def receive(self) -> CanFrame | None:
            waiting = bench.clock.now_ns() >= 600 * MS and self.strangers
            return self.strangers.pop() if waiting else plain.receive()

    bench.buses["can1"] = Busy()
    findings = bench.walk(1000 * MS)
    [strange] = [f for f in findings if f.device is None]
    assert strange.verdict is Verdict.UNKNOWN
    assert strange.found.endswith(": 00000351h, 123h, 18ff50e5h")
    assert of(findings, "bms").verdict is Verdict.SPEAKS


def test_a_radar_of_which_only_broken_frames_come_is_not_silent() -> None:
    bench = Bench().only("can1")
    bench.rig.buses["can1"].inject(Fault(FaultKind.SILENCE))
    frames = [CanFrame(0x60A, b"\x01")] * 3
    plain = bench.buses["can1"]
    receive = plain.receive
    plain.receive = lambda: frames.pop() if frames and bench.clock.now_ns() > 505 * MS else receive()
    findings = bench.walk(200 * MS)
    assert (of(findings, "radar").verdict, of(findings, "radar").cause) == (Verdict.FAILS, Cause.SHORT_READ)
    assert of(findings, "bms").verdict is Verdict.SILENT


# -- valve nodes


def test_a_valve_node_says_type_and_vendor_by_sdo() -> None:
    findings = Bench().only("can0").walk()
    assert [f.device for f in findings] == ["valves_a", "valves_b"]
    assert all("CiA 401 node, type 00020191h" in f.found for f in findings)


def test_a_valve_node_without_power_is_silent_and_the_other_answers() -> None:
    bench = Bench().only("can0")
    bench.rig.buses["can0"].inject(Fault(FaultKind.SILENCE, address=0x11))
    findings = bench.walk()
    silent = of(findings, "valves_b")
    assert (silent.verdict, silent.found) == (Verdict.SILENT, "no answer to SDO")
    assert of(findings, "valves_a").verdict is Verdict.ANSWERS


def test_a_controller_off_the_bus_is_told_once_for_each_node() -> None:
    bench = Bench().only("can0")
    bench.rig.buses["can0"].inject(Fault(FaultKind.BUS_OFF))
    findings = bench.walk()
    assert [(f.device, f.cause) for f in findings] == [("valves_a", Cause.BUS_OFF), ("valves_b", Cause.BUS_OFF)]
    assert "120 ohm" in findings[0].advice


def test_a_line_that_the_chip_has_not_is_missing() -> None:
    bench = Bench()
    lines = msgspec.structs.replace(BOARD.lines, valve_arm="GPIO99")
    bench.board = msgspec.structs.replace(BOARD, lines=lines)
    bad = of(bench.only("gpio").walk(), "valve_arm")
    assert (bad.verdict, bad.cause) == (Verdict.MISSING, Cause.ABSENT)
    assert "gpioinfo" in bad.advice


# -- a board that can't be right is refused before anything is asked


@pytest.mark.parametrize(("name", "changes", "said"), [
    ("temps_a", {"part": "tmp999"}, "no driver drivers/tmp999.py"),
    ("temps_a", {"settings": {"colour": 1}}, "colour"),
    ("mux", {"part": "tmp423"}, "is no part for the role mux"),
    ("solar", {"part": "ve_direct"}, "ve_direct is no part for a bus of kind i2c"),
    ("sun_px", {"part": "tmp423", "settings": {"nodes": ["core"]}}, "tmp423 is no part for the role sun_sensor"),
])
def test_a_board_that_can_not_be_right_is_refused_before_anything_is_asked(
    name: str, changes: dict[str, Any], said: str
) -> None:
    bench = Bench()
    devices = tuple(msgspec.structs.replace(d, **changes) if d.name == name else d for d in BOARD.devices)
    bench.board = msgspec.structs.replace(BOARD, devices=devices)
    bench.buses = {}
    with pytest.raises(ConfigError, match=said):
        bench.walk()


def test_every_candidate_is_a_part_of_the_drivers() -> None:
    from importlib import import_module

    for parts in CANDIDATES:
        for part in parts.split(", "):
            assert import_module(f"drivers.{part}")


# -- nothing is written to a chip


class Watched:
    """A bus that notes every call which could change something."""

    def __init__(self, inner: Any, seen: list[tuple[Any, ...]]) -> None:
        self.name = inner.name
        self._inner = inner
        self._seen = seen

    def __getattr__(self, call: str) -> Any:
        inner = getattr(self._inner, call)

        def noted(*arguments: Any) -> Any:
            if call not in ("read", "receive", "get"):
                self._seen.append((self.name, call, *arguments))
            return inner(*arguments)

        return noted


def calls(seen: list[tuple[Any, ...]], call: str) -> Iterator[tuple[Any, ...]]:
    return ((bus, *arguments) for bus, name, *arguments in seen if name == call)


def test_a_walk_writes_no_register_moves_no_line_and_configures_nobody() -> None:
    bench = Bench()
    seen: list[tuple[Any, ...]] = []
    bench.buses = {name: Watched(bus, seen) for name, bus in bench.rig.buses.items()}
    assert all(f.verdict.good for f in bench.walk(LISTEN_NS))
    # I2C: a pointer before a read, two bytes of it for the memory, and the switch's one register.
    pointer_bytes = {(d.bus, d.address): 2 if d.part == "mb85rc256v" else 1 for d in BOARD.devices}
    for bus, address, data, _ in calls(seen, "write_read"):
        assert len(data) == pointer_bytes[bus, address], f"{bus} {address:#x} {data.hex()}"
    writes = [arguments for arguments in calls(seen, "write") if arguments[0] != "usb0"]
    assert {(bus, address) for bus, address, _ in writes} == {("i2c_b", 0x70)}
    assert writes[-1][2] == b"\x00", "all channels are off at the end"
    # SPI: reads only, by each part's own read mark.
    reads = {"adis16470": (0x00, 0x7F), "icm42688p": (0x80, 0xFF), "max31865": (0x00, 0x7F), "w25q256": (0x9F, 0x9F)}
    parts = {(d.bus, d.address): d.part for d in BOARD.devices}
    for bus, select, data in calls(seen, "transfer"):
        low, high = reads[parts[bus, select]]
        assert low <= data[0] <= high, f"{bus} {select} {data.hex()}"
    # CAN: SDO uploads to the valve nodes. Serial: the one part that is silent is told to speak. GPIO: nothing.
    frames = [frame for _, frame in calls(seen, "send")]
    assert {frame.can_id for frame in frames} == {0x610, 0x611}
    assert {frame.data[0] for frame in frames} == {0x40}
    assert {bus for bus, *rest in calls(seen, "write") if len(rest) == 1} == {"usb0"}
    assert list(calls(seen, "set")) == []
