"""LSM303DLHC driver against QEMU's model: identity, order of the axes, gain of every range, both ends of the scale.

The model's properties refuse fields below zero, so signs are held by the values of Linux's driver alone.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from drivers.errors import Cause, DeviceError
from drivers.lsm303dlhc import LSB_PER_GAUSS, Device, Settings
from drivers.samples import FieldSample
from hil.faults import Fault, FaultKind
from hil.qemu import FaultyI2cBus, QemuBoard, QemuError
from tests.drivers.scripted import Run, first_refusal, outcomes

ADDRESS = 0x1E
FULL_SCALE = 2047


class Bench:
    def __init__(self, board: QemuBoard, finish: Run) -> None:
        self.bus = FaultyI2cBus(board.i2c(0))
        self._qmp = board.qmp
        self._finish = finish

    def ready(self, settings: Settings) -> Device:
        """Configured, and past the first measurement, which may have had the old gain."""
        device = Device(self.bus, ADDRESS, settings)
        self._finish(device.initialise())
        assert self._finish(device.acquire()) is None
        return device

    def set(self, x_nt: int, y_nt: int, z_nt: int) -> None:
        """Field in nT; the model turns it into counts with the gain that is set now."""
        for axis, value in (("x", x_nt), ("y", y_nt), ("z", z_nt)):
            self._qmp.set("compass", f"mag-{axis}", value)

    def sample(self, device: Device) -> FieldSample:
        sample = self._finish(device.acquire())
        assert isinstance(sample, FieldSample)
        return sample

    def refusal(self, device: Device, within: int) -> Cause:
        """Cause of the first refusal among so many samples."""
        return first_refusal(device.acquire, within).cause


@pytest.fixture(scope="module")
def board(start_board: Callable[..., QemuBoard]) -> QemuBoard:
    return start_board(
        f"lsm303dlhc_mag,bus=i2c-bus.0,address={ADDRESS:#x},id=compass", "tmp423,bus=i2c-bus.0,address=0x4c,id=other"
    )


@pytest.fixture
def bench(board: QemuBoard, finish: Run) -> Bench:
    return Bench(board, finish)


def test_the_part_names_itself_and_another_is_refused(bench: Bench, board: QemuBoard, finish: Run) -> None:
    assert "LSM303DLHC" in finish(Device(bench.bus, ADDRESS, Settings()).identify())
    with pytest.raises(DeviceError) as caught:
        finish(Device(bench.bus, 0x4C, Settings()).initialise())
    assert caught.value.cause is Cause.WRONG_ID


@pytest.mark.parametrize("range_mg", LSB_PER_GAUSS)
def test_every_range_scales_every_axis_in_its_place(bench: Bench, range_mg: int) -> None:
    """The tolerance is one count: the model cuts off fractions. X and Y have another gain than Z."""
    device = bench.ready(Settings(range_mg=range_mg))
    _, xy, z = LSB_PER_GAUSS[range_mg]
    for field_nt in ((10_000, 20_000, 30_000), (48_123, 0, 7_000), (100_000, 90_000, 80_000)):
        bench.set(*field_nt)
        seen_nt = [value * 1e9 for value in bench.sample(device).field_t]
        for seen, true, lsb in zip(seen_nt, field_nt, (xy, xy, z), strict=True):
            assert seen == pytest.approx(true, abs=100_000 / lsb)
            assert seen <= true + 1e-3, "cut off, never rounded up"


@pytest.mark.parametrize("range_mg", [1300, 8100])
def test_the_upper_end_of_the_scale(bench: Bench, range_mg: int) -> None:
    device = bench.ready(Settings(range_mg=range_mg))
    _, xy, z = LSB_PER_GAUSS[range_mg]
    ends = [FULL_SCALE * 100_000 // lsb + 1 for lsb in (xy, xy, z)]
    bench.set(*ends)
    assert bench.sample(device).field_t == pytest.approx([end * 1e-9 for end in ends], rel=1e-4)
    with pytest.raises(QemuError, match="range"):
        bench.set(ends[0] + 100_000 // xy + 1, 0, 0)


def test_no_field_is_zero_and_is_believed_beside_the_identity(bench: Bench) -> None:
    device = bench.ready(Settings())
    bench.set(0, 0, 0)
    assert bench.sample(device).field_t == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("kind", [FaultKind.ALL_ZEROS, FaultKind.ALL_ONES])
def test_a_dead_line_is_not_a_field(bench: Bench, finish: Run, kind: FaultKind) -> None:
    device = bench.ready(Settings())
    bench.set(10_000, 20_000, 30_000)
    bench.bus.inject(Fault(kind))
    answers = outcomes(lambda: finish(device.acquire()), 20)
    assert not any(isinstance(answer, FieldSample) for answer in answers)
    assert isinstance(answers[-1], Cause), "and it isn't waited for without end"


@pytest.mark.parametrize(("register", "value"), [(0x00, 0x10), (0x01, 0x20), (0x02, 0x03)])
def test_a_restart_is_found_by_its_reset_values(bench: Bench, finish: Run, register: int, value: int) -> None:
    device = bench.ready(Settings(range_mg=8100, scrub_every=1))
    bench.set(10_000, 20_000, 30_000)
    bench.sample(device)
    bench.bus.write(ADDRESS, bytes((register, value)))
    assert bench.refusal(device, within=3) is Cause.RESET
    device = bench.ready(Settings(range_mg=8100, scrub_every=1))
    bench.set(10_000, 20_000, 30_000)
    assert bench.sample(device).field_t[0] == pytest.approx(10e-6, abs=1e-4 / 230)
