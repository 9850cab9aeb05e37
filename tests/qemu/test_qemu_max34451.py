"""MAX34451 driver against QEMU's model: pages, rails, sensors with their signs, limits, switches, a forgotten page."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.errors import Cause, DeviceError
from drivers.max34451 import Device, Rail, Settings
from drivers.samples import RailSample
from hil.faults import Fault, FaultKind
from hil.qemu import FaultyI2cBus, QemuBoard
from tests.drivers.scripted import Run, first_refusal

ADDRESS = 0x74
SWITCHED = 12
SETTINGS = Settings(
    rails=tuple(
        Rail(
            f"rail {page}", page, switched=page < SWITCHED,
            over_voltage_fault_v=5.5 if page == 2 else None, over_voltage_warning_v=5.2 if page == 2 else None,
            under_voltage_warning_v=4.8 if page == 2 else None, under_voltage_fault_v=4.5 if page == 2 else None,
        )
        for page in range(16)
    ),
    temperature_pages=(16, 17, 18, 19, 20),
    scrub_every=2,
)
"""The model has no scaling by VOUT_SCALE_MONITOR: its properties are what the registers read."""
PAGE, OPERATION, CLEAR_FAULTS, OT_FAULT, OT_WARNING = 0x00, 0x01, 0x03, 0x4F, 0x51


class Bench:
    """The model with its physical values, and a driver on it."""

    def __init__(self, board: QemuBoard, finish: Run) -> None:
        self.bus = FaultyI2cBus(board.i2c(1))
        self.device = Device(self.bus, ADDRESS, SETTINGS)
        self._qmp = board.qmp
        self._finish = finish

    def volts(self, *volts: float) -> None:
        for page, value in enumerate(volts):
            self._qmp.set("supervisor", f"vout[{page}]", round(value * 1000))

    def celsius(self, *celsius: float) -> None:
        """The model takes the register's own two's complement."""
        for sensor, value in enumerate(celsius):
            self._qmp.set("supervisor", f"temperature[{sensor}]", round(value * 100) & 0xFFFF)

    def clear(self) -> None:
        """CLEAR_FAULTS on every page, with a byte behind it: the model hears no command without one."""
        for page in range(21):
            self.write(page, CLEAR_FAULTS, 0)

    def write(self, page: int, command: int, *values: int) -> None:
        self.bus.write(ADDRESS, bytes((PAGE, page)))
        self.bus.write(ADDRESS, bytes((command, *values)))

    def register(self, page: int, command: int, count: int = 1) -> bytes:
        self.bus.write(ADDRESS, bytes((PAGE, page)))
        return self.bus.write_read(ADDRESS, bytes((command,)), count)

    def sample(self) -> RailSample:
        sample = self._finish(self.device.acquire())
        assert isinstance(sample, RailSample)
        return sample

    def refusal(self, within: int = 1) -> Cause:
        """Cause of the first refusal among so many samples."""
        return first_refusal(self.device.acquire, within).cause


@pytest.fixture(scope="module")
def board(start_board: Callable[..., QemuBoard]) -> QemuBoard:
    return start_board(
        f"max34451,bus=i2c-bus.1,address={ADDRESS:#x},id=supervisor", "adm1272,bus=i2c-bus.1,address=0x10,id=other"
    )


@pytest.fixture
def bench(board: QemuBoard, finish: Run) -> Bench:
    """All rails on and within their limits, every sensor at 25 deg C, no faults latched."""
    bench = Bench(board, finish)
    finish(bench.device.initialise())
    for page in range(16):
        bench.write(page, OPERATION, 0x80)
        if page != 2:
            bench.write(page, 0x44, 0, 0)  # no under-voltage, whatever the test before left
            bench.write(page, 0x40, 0xFF, 0x7F)
            bench.write(page, 0x42, 0xFF, 0x7F)
    for page in range(16, 21):
        # The model compares without a sign, so a temperature below zero would be an over-temperature.
        bench.write(page, OT_FAULT, 0xFF, 0xFF)
        bench.write(page, OT_WARNING, 0xFF, 0xFF)
    bench.volts(*([5.0] * 16))
    bench.celsius(*([25.0] * 5))
    bench.clear()
    return bench


def test_the_part_names_itself(bench: Bench, finish: Run) -> None:
    assert finish(bench.device.identify()).startswith("MAX34451")


def test_another_pmbus_part_at_the_address_is_refused(board: QemuBoard, finish: Run) -> None:
    with pytest.raises(DeviceError) as caught:
        finish(Device(board.i2c(1), 0x10, SETTINGS).initialise())
    assert caught.value.cause is Cause.WRONG_ID


def test_every_rail_and_sensor_in_its_place(bench: Bench) -> None:
    volts = [0.5 + 0.1 * page if page != 2 else 5.0 for page in range(16)]
    bench.volts(*volts)
    bench.celsius(20.0, 21.5, -22.25, 0.01, -0.01)
    sample = bench.sample()
    assert sample.voltage_v == pytest.approx(volts, abs=1e-9)
    assert sample.current_a == (None,) * 16
    assert sample.on == (True,) * SWITCHED + (None,) * (16 - SWITCHED)
    assert sample.temperature_c == pytest.approx((20.0, 21.5, -22.25, 0.01, -0.01), abs=1e-9)
    assert sample.faults == ()


@pytest.mark.parametrize("volts", [0.0, 0.001, 3.3, 12.0, 28.8, 32.766])
def test_voltages_over_the_range(bench: Bench, volts: float) -> None:
    bench.volts(*([5.0] * 15), volts)
    assert bench.sample().voltage_v[15] == pytest.approx(volts, abs=1e-9)


@pytest.mark.parametrize(("millivolts", "cause"), [
    (32767, Cause.OVER_RANGE), (40000, Cause.IMPLAUSIBLE), (65535, Cause.IMPLAUSIBLE),
])
def test_a_voltage_at_or_beyond_the_end_of_the_range_is_refused(
    board: QemuBoard, bench: Bench, millivolts: int, cause: Cause
) -> None:
    board.qmp.set("supervisor", "vout[7]", millivolts)
    assert bench.refusal() is cause


@pytest.mark.parametrize("celsius", [-55.0, -40.0, -0.01, 0.01, 85.0, 125.0, 150.0])
def test_temperatures_over_the_range(bench: Bench, celsius: float) -> None:
    bench.celsius(25.0, celsius, 25.0, -celsius if celsius <= 55.0 else 25.0, celsius)
    sample = bench.sample()
    assert (sample.temperature_c[1], sample.temperature_c[4]) == pytest.approx((celsius, celsius), abs=1e-9)


def test_a_disabled_and_a_faulty_sensor_have_no_temperature(board: QemuBoard, bench: Bench) -> None:
    """MAX34451 data sheet, READ_TEMPERATURE_1: 0000h is a disabled sensor, 7FFFh a faulty one."""
    board.qmp.set("supervisor", "temperature[1]", 0x0000)
    board.qmp.set("supervisor", "temperature[2]", 0x7FFF)
    sample = bench.sample()
    assert sample.temperature_c == (25.0, None, None, 25.0, 25.0)
    assert any("sensor 2" in fault for fault in sample.faults)


@pytest.mark.parametrize(
    ("volts", "word"),
    [(5.5, None), (5.501, "over-voltage fault"), (5.2, None), (5.201, "over-voltage warning"), (4.8, None),
     (4.799, "under-voltage warning"), (4.5, None), (4.499, "under-voltage fault")],
)
def test_limits_mean_what_the_driver_meant_by_them(bench: Bench, volts: float, word: str | None) -> None:
    """The driver's encoder against the model's comparison, to the millivolt."""
    bench.volts(5.0, 5.0, volts)
    faults = bench.sample().faults
    assert all(fault.startswith("rail 2: ") for fault in faults)
    words = {fault.removeprefix("rail 2: ") for fault in faults}
    if word is not None:
        assert word in words
    elif volts == 5.5:
        assert "over-voltage fault" not in words
    elif volts == 4.5:
        assert "under-voltage fault" not in words
    else:
        assert not words


def test_a_latched_fault_stays_until_it_is_cleared(bench: Bench) -> None:
    bench.volts(5.0, 5.0, 6.0)
    assert "rail 2: over-voltage fault" in bench.sample().faults
    bench.volts(5.0, 5.0, 5.0)
    assert "rail 2: over-voltage fault" in bench.sample().faults
    bench.clear()
    assert bench.sample().faults == ()


def test_one_rail_is_switched_and_no_other(bench: Bench, finish: Run) -> None:
    finish(bench.device.switch("rail 5", False))
    operations = [bench.register(page, OPERATION) for page in range(16)]
    assert [page for page, value in enumerate(operations) if value == b"\x00"] == [5]
    sample = bench.sample()
    assert [page for page, on in enumerate(sample.on) if on is False] == [5]
    finish(bench.device.switch("rail 5", True))
    assert bench.sample().on == (True,) * SWITCHED + (None,) * (16 - SWITCHED)


@pytest.mark.parametrize("byte", [0, 1])
def test_a_switch_command_spoilt_on_the_bus_is_not_believed(bench: Bench, finish: Run, byte: int) -> None:
    """In the first transaction, PAGE: whatever is hit, no other rail is switched."""
    bench.bus.inject(Fault(FaultKind.BIT_FLIP, byte=byte, bit=1, count=1))
    with pytest.raises(DeviceError) as caught:
        finish(bench.device.switch("rail 5", False))
    assert caught.value.cause is Cause.PROTOCOL
    assert [bench.register(page, OPERATION) for page in range(16)] == [b"\x80"] * 16


def test_a_forgotten_page_is_seen_at_the_end_of_the_pass(bench: Bench, finish: Run) -> None:
    """After a restart PAGE is 0: what was read since then may be of another rail."""
    device = Device(bench.bus, ADDRESS, Settings(rails=SETTINGS.rails, scrub_every=0))
    finish(device.initialise())
    yields = sum(1 for _ in device.acquire())
    steps = device.acquire()
    for _ in range(yields):
        next(steps)
    bench.bus.write(ADDRESS, bytes((PAGE, 0)))
    with pytest.raises(DeviceError) as caught:
        next(steps)
    assert caught.value.cause is Cause.RESET


def test_a_lost_limit_is_found_by_the_scrub(bench: Bench, finish: Run) -> None:
    bench.write(2, 0x40, 0xFF, 0x7F)
    assert bench.refusal(within=2 * 20) is Cause.RESET, "16 channels and 4 limits, one in every second pass"
    finish(bench.device.initialise())
    assert bench.register(2, 0x40, 2) == (5500).to_bytes(2, "little")
    assert bench.sample().voltage_v[0] == 5.0


def test_a_current_channel_reads_its_own_register(board: QemuBoard, bench: Bench, finish: Run) -> None:
    """The model has no property for currents: zero it is, among rails that are not."""
    settings = Settings(rails=(Rail("load", 3, kind="current", sense_ohm=0.5), Rail("bus", 4)), temperature_pages=(16,))
    device = Device(bench.bus, ADDRESS, settings)
    finish(device.initialise())
    sample = finish(device.acquire())
    assert (sample.voltage_v, sample.current_a) == ((None, 5.0), (0.0, None))
    assert bench.register(3, 0x38, 2) == (5000).to_bytes(2, "little")
