"""ADM1272 driver against QEMU's model: identity, both sides of the switch in range, limits, switch, lost ranges."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.adm1272 import Device, Settings
from drivers.errors import Cause, DeviceError
from drivers.samples import HotSwapSample
from hil.faults import Fault, FaultKind
from hil.qemu import FaultyI2cBus, QemuBoard
from tests.drivers.scripted import Run, first_refusal

ADDRESS = 0x10
SHUNT_OHM = 300e-6
"""The model's own."""
SETTINGS = Settings(shunt_ohm=SHUNT_OHM, pec=False, warning_a=20.0, slow_every=1, scrub_every=1)
"""The model knows no packet error code."""

STEP_V = 100 / 4062
"""One code in the 100 V range; the model cuts off fractions of a code."""
STEP_A = 10 / (663 * 0.3)
STEP_W = 1000 / (10535 * 0.3)
GAIN_A = 1 - 198 / 198.9
"""The model cuts the current's coefficient 198.9 down to 198, and the power's 3160.5 to 3160."""
GAIN_W = 1 - 3160 / 3160.5

OPERATION, CLEAR_FAULTS, OV_FAULT, OV_WARNING, OC_FAULT, VIN_OV_WARNING = 0x01, 0x03, 0x40, 0x42, 0x46, 0x57
PMON_CONFIG = 0xD4


class Bench:
    """The model with its physical values, and a driver on it."""

    def __init__(self, board: QemuBoard, finish: Run) -> None:
        self.bus = FaultyI2cBus(board.i2c(0))
        self.device = Device(self.bus, ADDRESS, SETTINGS)
        self._qmp = board.qmp
        self._finish = finish

    def set(self, **values: int) -> None:
        """Physical values: mV, mA, W."""
        for name, value in values.items():
            self._qmp.set("hotswap", name, value)

    def clear(self) -> None:
        """CLEAR_FAULTS with a byte behind it: the model hears no command without one."""
        self.bus.write(ADDRESS, bytes((CLEAR_FAULTS, 0)))

    def register(self, command: int, count: int) -> bytes:
        return self.bus.write_read(ADDRESS, bytes((command,)), count)

    def sample(self) -> HotSwapSample:
        sample = self._finish(self.device.acquire())
        assert isinstance(sample, HotSwapSample)
        return sample

    def refusal(self, within: int = 1) -> Cause:
        """Cause of the first refusal among so many samples."""
        error = first_refusal(self.device.acquire, within)
        assert (error.bus, error.address) == ("i2c-bus.0", ADDRESS)
        return error.cause


@pytest.fixture(scope="module")
def board(start_board: Callable[..., QemuBoard]) -> QemuBoard:
    return start_board(
        f"adm1272,bus=i2c-bus.0,address={ADDRESS:#x},id=hotswap", "max34451,bus=i2c-bus.0,address=0x74,id=other"
    )


@pytest.fixture
def bench(board: QemuBoard, finish: Run) -> Bench:
    """Initialised, switched on, at 48 V and 10 A, and without the faults that the model has from its start."""
    bench = Bench(board, finish)
    finish(bench.device.initialise())
    bench.bus.write(ADDRESS, bytes((OPERATION, 0x80)))
    for limit in (OV_FAULT, OV_WARNING, OC_FAULT, VIN_OV_WARNING):
        # The model's fault limits start at 0, so it would report over-voltage and over-current for ever.
        bench.bus.write(ADDRESS, bytes((limit, 0xFF, 0xFF)))
    bench.set(vin=48_000, vout=47_500, iout=10_000, pin=480)
    bench.clear()
    assert finish(bench.device.acquire()) is None, "nothing of the old ranges"
    return bench


def test_the_part_names_itself_and_nothing_changes_by_asking(bench: Bench, finish: Run) -> None:
    before = [bench.register(command, 2) for command in (0xD3, PMON_CONFIG, 0xD8, 0x4A)]
    assert finish(bench.device.identify()).startswith("ADM1272")
    assert [bench.register(command, 2) for command in (0xD3, PMON_CONFIG, 0xD8, 0x4A)] == before


def test_another_pmbus_part_at_the_address_is_refused(board: QemuBoard, finish: Run) -> None:
    with pytest.raises(DeviceError) as caught:
        finish(Device(board.i2c(0), 0x74, SETTINGS).initialise())
    assert caught.value.cause in (Cause.WRONG_ID, Cause.PROTOCOL)


def test_one_sample_has_every_quantity_in_its_place(bench: Bench) -> None:
    samples = [bench.sample() for _ in range(3)]
    for sample in samples:
        assert sample.input_v == pytest.approx(48.0, abs=STEP_V)
        assert sample.output_v == pytest.approx(47.5, abs=STEP_V)
        assert sample.current_a == pytest.approx(10.0, abs=STEP_A + 10.0 * GAIN_A)
        assert (sample.on, sample.power_good, sample.faults) == (True, True, ())
    (watts,) = [sample.power_w for sample in samples if sample.power_w is not None]
    assert watts == pytest.approx(480.0, abs=STEP_W + 480.0 * GAIN_W)
    # The model's temperature register reads 0, which is -760 deg C: no transistor is there.
    assert all(sample.temperature_c is None for sample in samples)


@pytest.mark.parametrize("millivolts", [0, 25, 1_000, 16_000, 28_800, 48_000, 65_535])
def test_voltages_over_the_range(bench: Bench, millivolts: int) -> None:
    """65.535 V is as far as the model's 16-bit property goes."""
    bench.set(vin=millivolts, vout=65_535 - millivolts)
    sample = bench.sample()
    assert sample.input_v == pytest.approx(millivolts / 1000, abs=STEP_V)
    assert sample.output_v == pytest.approx((65_535 - millivolts) / 1000, abs=STEP_V)
    assert sample.input_v <= millivolts / 1000 + 1e-9


@pytest.mark.parametrize("milliamperes", [0, 51, 1_000, 19_900, 40_000, 65_535])
def test_currents_over_the_range(bench: Bench, milliamperes: int) -> None:
    bench.set(iout=milliamperes)
    amperes = milliamperes / 1000
    assert bench.sample().current_a == pytest.approx(amperes, abs=STEP_A + amperes * GAIN_A)


@pytest.mark.parametrize("watts", [0, 1, 480, 5_000, 10_000])
def test_power_over_the_range(bench: Bench, watts: int) -> None:
    bench.set(pin=watts)
    (seen,) = [w for w in (bench.sample().power_w for _ in range(3)) if w is not None]
    assert seen == pytest.approx(watts, abs=STEP_W + watts * GAIN_W)


def test_the_warning_limit_means_what_the_driver_meant_by_it(bench: Bench) -> None:
    """The driver's encoder against the model's comparison: 20 A was written."""
    bench.set(iout=19_900)
    assert bench.sample().faults == ()
    bench.set(iout=20_300)  # the model's gain is 0.45 % low, its step 50 mA
    assert bench.sample().faults == ("output over-current warning",)


def test_a_latched_fault_stays_until_it_is_cleared(bench: Bench) -> None:
    bench.bus.write(ADDRESS, bytes((OV_FAULT, *(round(50 * 40.62).to_bytes(2, "little")))))
    bench.set(vout=51_000)
    assert "output over-voltage fault" in bench.sample().faults
    bench.set(vout=47_500)
    assert "output over-voltage fault" in bench.sample().faults
    bench.clear()
    assert bench.sample().faults == ()


def test_switching_is_read_back_and_the_output_follows(bench: Bench, finish: Run) -> None:
    finish(bench.device.switch(False))
    assert bench.register(OPERATION, 1) == b"\x00"
    # Off, the model says code 0 for the current; the chip's code for 0 A is 2048, so the driver rightly refuses this.
    assert bench.refusal() is Cause.IMPLAUSIBLE
    bench.set(iout=0)
    sample = bench.sample()
    assert (sample.output_v, sample.current_a) == (0.0, 0.0)
    assert sample.input_v == pytest.approx(48.0, abs=STEP_V)
    finish(bench.device.switch(True))
    assert bench.register(OPERATION, 1) == b"\x80"


def test_a_switch_command_that_did_not_arrive_is_not_believed(bench: Bench, finish: Run) -> None:
    bench.bus.inject(Fault(FaultKind.BIT_FLIP, byte=1, bit=7, count=1))
    with pytest.raises(DeviceError) as caught:
        finish(bench.device.switch(False))
    assert caught.value.cause is Cause.PROTOCOL
    assert bench.register(OPERATION, 1) == b"\x80"


def test_lost_ranges_are_refused_until_they_are_configured_again(bench: Bench, finish: Run) -> None:
    wanted = bench.register(PMON_CONFIG, 2)
    bench.bus.write(ADDRESS, bytes((PMON_CONFIG, 0x35, 0x3F)))
    assert bench.refusal(within=5) is Cause.RESET, "one register of the configuration is looked at a sample"
    assert bench.refusal() is Cause.RESET
    finish(bench.device.initialise())
    assert bench.register(PMON_CONFIG, 2) == wanted
    assert finish(bench.device.acquire()) is None
    assert bench.sample().input_v == pytest.approx(48.0, abs=STEP_V)


def test_a_spoilt_reading_is_refused_once(bench: Bench) -> None:
    bench.bus.inject(Fault(FaultKind.BIT_FLIP, byte=1, bit=7, count=1))
    assert bench.refusal() is Cause.IMPLAUSIBLE, "a voltage of more than 12 bits"
    assert bench.sample().input_v == pytest.approx(48.0, abs=STEP_V)
