"""Polling a board as in flight: rates, latencies and errors held against what the board asks for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from drivers.bus.counted import TransferCounters
from drivers.errors import Cause
from firmware_py.cli.bench import Opened, opened_buses
from firmware_py.doctor import Check, Status
from firmware_py.doctor.exercise import Exercise, check_rates, check_tick, check_transfers, exercise
from firmware_py.scheduler import Histogram
from hal.device_health import DeviceState
from hal.hardware import Hardware
from hal.profile import load_profile
from hil.faults import Fault, FaultKind

PROFILE = load_profile("qiki-t", "qiki-rpi")
BOARD = PROFILE.board
NS = 1_000_000_000
MS = 1_000_000


class Counted:
    """A twin with the counters of a transport, each transfer 300 us long."""

    def __init__(self, twin: object) -> None:
        self._twin = twin
        self.counters = TransferCounters()

    def __getattr__(self, name: str) -> object:
        call = getattr(self._twin, name)
        if name not in ("write", "read", "write_read", "transfer"):
            return call

        def counted(*arguments: object) -> object:
            self.counters.transfers += 1
            self.counters.last_ns = 300_000
            return call(*arguments)

        return counted


@pytest.fixture
def opened() -> Iterator[Opened]:
    with opened_buses(BOARD, PROFILE) as buses:
        yield buses


def by_name(checks: list[Check]) -> dict[str, Check]:
    assert len({check.name for check in checks}) == len(checks)
    return {check.name: check for check in checks}


def polled(opened: Opened, seconds: float = 4.0) -> Exercise:
    counted = {name: Counted(bus) if name in ("i2c_a", "spi0") else bus for name, bus in opened.buses.items()}
    hardware = Hardware(PROFILE, counted)
    return exercise(hardware, counted, BOARD, opened.clock, round(seconds * NS))


def test_every_device_of_the_rig_has_the_rate_it_is_asked_for(opened: Opened) -> None:
    shares: list[float] = []
    counted = {name: Counted(bus) if name in ("i2c_a", "spi0") else bus for name, bus in opened.buses.items()}
    result = exercise(Hardware(PROFILE, counted), counted, BOARD, opened.clock, 4 * NS, shares.append)
    checks = check_rates(BOARD, result)
    assert [check for check in checks if check.status is not Status.PASS] == []
    assert len(checks) == len(BOARD.devices)
    found = by_name(checks)
    assert found["imu (adis16470)"].found == "200.0/s, 800 in 4.0 s"
    assert found["fram (mb85rc256v)"].found == "ok"
    assert shares[-1] == 1.0
    latency = by_name(check_transfers(BOARD, result))["latency of i2c_a"]
    assert latency.status is Status.PASS
    assert latency.allowed == "p99 below 10 ms"
    assert "longest 300 us" in latency.found
    assert check_tick(BOARD, result).status is Status.PASS


def test_a_part_that_is_gone_fails_and_names_where_to_look(opened: Opened) -> None:
    opened.buses["i2c_a"].inject(Fault(FaultKind.NACK_ADDRESS, address=0x41))
    found = by_name(check_rates(BOARD, polled(opened, 1.0)))["battery_monitor (ina228)"]
    assert found.status is Status.FAIL
    assert "under chips" in found.next_step


def made(**changed: object) -> Exercise:
    names = [device.name for device in BOARD.devices]
    values = {
        "seconds": 10.0, "polled_s": 10.0, "samples": dict.fromkeys(names, 10000),
        "states": dict.fromkeys(names, DeviceState.OK), "latency": {}, "streams": 4,
        "counts": {name: {"transfers": 1000} for name in BOARD.buses}, "causes": {name: {} for name in BOARD.buses},
    }
    return Exercise(**{**values, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("device", "count", "status"),
    [
        ("imu (adis16470)", 1799, Status.PASS), ("imu (adis16470)", 1798, Status.FAIL),
        ("approach (tfmini_plus)", 449, Status.PASS),  # of 100/s, half the turns of four ports
        ("approach (tfmini_plus)", 448, Status.FAIL),
        ("star_tracker (startracker)", 0, Status.WARN),
        ("rtc (ds3231)", 0, Status.PASS),  # one in ten seconds may fall outside
    ],
)
def test_a_rate_passes_from_nine_tenths_on(device: str, count: int, status: Status) -> None:
    name = device.partition(" ")[0]
    result = made(samples={**made().samples, name: count})
    assert by_name(check_rates(BOARD, result))[device].status is status


def test_a_device_of_a_bus_that_is_not_open_and_one_that_nobody_polls_are_skipped() -> None:
    counts = {name: {} for name in BOARD.buses if name != "usb1"}
    states = {name: state for name, state in made().states.items() if name != "geiger"}
    found = by_name(check_rates(BOARD, made(counts=counts, states=states)))
    assert found["approach (tfmini_plus)"].status is Status.SKIP
    assert found["geiger (gmc_geiger)"].status is Status.SKIP


def slow(ms: float) -> Histogram:
    values = Histogram()
    for _ in range(100):
        values.add(round(ms * MS))
    return values


def test_latency_is_held_against_the_buss_own_time_out() -> None:
    found = by_name(check_transfers(BOARD, made(latency={"i2c_a": slow(12.0), "spi0": slow(0.2), "spi1": Histogram()})))
    assert found["latency of i2c_a"].status is Status.FAIL
    assert found["latency of spi0"].status is Status.PASS
    assert "latency of spi1" not in found


def test_errors_warn_and_from_one_in_a_hundred_on_fail() -> None:
    counts = {
        **made().counts, "i2c_a": {"transfers": 1000, "failed": 10}, "i2c_b": {"transfers": 1000, "failed": 11},
        "usb1": {"transfers": 1000, "overruns": 1}, "spi0": {"transfers": 1000, "late": 1},
        "can0": {"sent": 10, "received": 90, "malformed": 2},
    }
    causes = {**made().causes, "i2c_b": {Cause.NACK_ADDRESS.value: 11}}
    found = by_name(check_transfers(BOARD, made(counts=counts, causes=causes)))
    status = {name: found[f"errors of {name}"].status for name in ("i2c_a", "i2c_b", "can0", "spi0", "usb0", "usb1")}
    assert status == {
        "i2c_a": Status.WARN, "i2c_b": Status.FAIL, "can0": Status.FAIL, "spi0": Status.WARN, "usb0": Status.PASS,
        "usb1": Status.WARN,
    }
    assert "address straps" in found["errors of i2c_b"].next_step
    assert "processor keeps up" in found["errors of spi0"].next_step
    assert "100 frames" in found["errors of can0"].found


@pytest.mark.parametrize(
    ("typical_ms", "worst_ms", "status"), [(1.0, 2.0, Status.PASS), (1.0, 3.0, Status.WARN), (3.0, 3.0, Status.FAIL)]
)
def test_the_work_of_a_tick_is_held_against_half_a_period(typical_ms: float, worst_ms: float, status: Status) -> None:
    result = made()
    for _ in range(90):
        result.work.add(round(typical_ms * MS))
    for _ in range(10):
        result.work.add(round(worst_ms * MS))
    assert check_tick(BOARD, result).status is status
