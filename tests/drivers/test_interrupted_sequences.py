"""Every sequence of every polled part, broken off at every transaction: the next set-up works and nothing is left over.

The bench is the reference board on the rig: twins on simulated buses, and one bus wrapped so that a chosen transfer
fails, either before it reaches the part or after the part has acted on it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import msgspec
import pytest

from drivers.device import Access
from drivers.errors import Cause, DeviceError
from drivers.pca9548a import Mux
from hal.hardware import load_part
from hal.profile import DeviceConfig, load_profile
from hil.plant.world import InitialState
from hil.rig import Rig

PROFILE = load_profile("qiki-t", "qiki-rpi")
MS = 1_000_000
EPOCH_NS = 1_780_000_000 * 1_000_000_000
SLOT_MS = 5
PERIOD_MS = 300
FIRST_SAMPLE_POLLS = 12
"""Polls in which every part has a sample after it was set up; a spectrum takes two passes."""
NEXT_SAMPLE_POLLS = 4
RUN_OUT = 200

Steps = Generator[None, None, Any]
Order = Callable[[Any], Steps]

EVERY_SLOW_PATH: dict[str, dict[str, Any]] = {
    "ina226": {"slow_every": 1}, "ina228": {"slow_every": 1}, "ltc3350": {"slow_every": 1},
    "adm1272": {"slow_every": 1, "scrub_every": 1}, "max34451": {"scrub_every": 1},
    "max31865": {"fault_check_every": 1}, "lsm303dlhc": {"scrub_every": 1}, "rm3100": {"scrub_every": 1},
    "tmp423": {"scrub_every": 1}, "as7341": {"scrub_every": 1}, "vl53l0x": {"scrub_every": 1},
    "opt3001": {"check_every": 1}, "icm42688p": {"scrub_every": 1}, "ltc4162": {"scrub_every": 1},
    "max7310": {"scrub_every": 1, "outputs": 0x0F, "levels": 0x05},
}
"""Settings that make every sample take all its rare turns."""


def both(first: Steps, second: Steps) -> Steps:
    """Two sequences, one after the other."""
    yield from first
    yield
    yield from second


ORDERS: dict[str, dict[str, Order]] = {
    "adm1272": {
        "switch on": lambda d: d.switch(True), "switch off": lambda d: d.switch(False),
        "clear faults": lambda d: d.clear_faults(), "feed": lambda d: d.feed(True, 0.5),
        "feed from off": lambda d: both(d.feed(False), d.feed(True, 0.25)),
    },
    "max34451": {
        "switch off": lambda d: d.switch("radar", False), "switch on": lambda d: d.switch("radar", True),
        "clear faults": lambda d: d.clear_faults(),
    },
    "max7310": {"drive": lambda d: d.drive(0x0F, 0x0A)},
    "ltc4162": {
        "suspend": lambda d: d.suspend(True), "hold": lambda d: d.set_input_voltage(30.0),
        "track": lambda d: d.set_input_voltage(None), "limit": lambda d: d.set_charge_current(1.0),
        "stop": lambda d: d.set_charge_current(0.0),
        "hold, then track": lambda d: both(d.set_input_voltage(30.0), d.set_input_voltage(None)),
        "stop, then limit": lambda d: both(d.set_charge_current(0.0), d.set_charge_current(1.0)),
    },
    "ltc3350": {"target": lambda d: d.set_target(8.0)},
    "ds3231": {"set the time": lambda d: d.set_time(1_795_000_000)},
    "mb85rc256v": {"store": lambda d: d.store(0, b"newest" * 15), "load": lambda d: d.load(0)},
    "w25q256": {
        "erase": lambda d: d.erase_sector(0x1000000), "program": lambda d: d.program(0x1000000, bytes(range(256))),
        "read": lambda d: d.read(0x1000000, 300),
    },
}

CHANGES_BY_ITSELF = {
    # Peaks and results that the part keeps, the running clock, which of two passes or channels is under way.
    "adm1272": {"PEAK_IOUT", "PEAK_VIN", "PEAK_VOUT", "PEAK_TEMPERATURE", "PEAK_PIN"},
    "max34451": {"PAGE", "MFR_VOUT_PEAK", "MFR_IOUT_PEAK", "MFR_TEMPERATURE_PEAK", "MFR_VOUT_MIN"},
    "as7341": {"SMUX", "ENABLE"}, "ads1115": {"CONFIGURATION"}, "ds3231": {"TIME", "STATUS"},
}
ORDERED = {"adm1272": {"OPERATION", "STRT_UP_IOUT_LIM"}, "max34451": {"OPERATION"}}
"""Registers that an order changes and a set-up leaves alone."""
PAGED = {"max34451"}
"""Parts whose registers depend on a page; they are compared on one."""


def representatives() -> list[DeviceConfig]:
    """One device of every polled part of the board."""
    found: dict[str, DeviceConfig] = {}
    for device in PROFILE.board.devices:
        if PROFILE.board.buses[device.bus].kind in ("i2c", "spi") and device.role != "mux":
            found.setdefault(device.part, device)
    return list(found.values())


DEVICES = representatives()
each_part = pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.part)


class CuttingBus:
    """A bus whose transfer number ``cut_at`` fails; ``reaches``: after the part has acted on it."""

    def __init__(self, bus: Any) -> None:
        self.name = bus.name
        self.transfers = self.writes = 0
        self.cut_at: int | None = None
        self.reaches = False
        self._bus = bus

    def cut(self, at: int | None, reaches: bool = False) -> None:
        self.transfers, self.cut_at, self.reaches = 0, at, reaches

    def write(self, *arguments: Any) -> None:
        self.writes += 1
        self._do(self._bus.write, arguments)

    def read(self, *arguments: Any) -> bytes:
        return self._do(self._bus.read, arguments)

    def write_read(self, *arguments: Any) -> bytes:
        return self._do(self._bus.write_read, arguments)

    def transfer(self, *arguments: Any) -> bytes:
        return self._do(self._bus.transfer, arguments)

    def configure(self, *arguments: Any) -> None:
        self._bus.configure(*arguments)

    def _do(self, call: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
        self.transfers += 1
        hit = self.transfers == self.cut_at
        answer = None if hit and not self.reaches else call(*arguments)
        if hit:
            raise DeviceError(self.name, None, Cause.TIMEOUT, "cut")
        return answer


class Bench:
    """One part of the board on the rig, its driver over a bus that can be cut."""

    def __init__(self, config: DeviceConfig, **changes: Any) -> None:
        self.rig = Rig(PROFILE, InitialState(epoch=EPOCH_NS), 1)
        self.config = config
        self.chip = self.rig.chips[config.name]
        self.bus = CuttingBus(self.rig.buses[config.bus])
        self.now_ns = 0
        where: Any = self.bus
        self.channel: Any = None
        if config.mux is not None and config.channel is not None:
            switch = next(d for d in PROFILE.board.devices if d.name == config.mux)
            # The switch sits on the bus itself: selecting is the manager's transaction, not the driver's.
            self.mux = Mux(self.rig.buses[config.bus], switch.address or 0)
            self.channel = self.mux.channel(config.channel)
            where = self.bus
        self.module, settings = load_part(PROFILE.board, config)
        self.device = self.module.Device(where, config.address, msgspec.structs.replace(settings, **changes))
        for _ in range(20):
            self.advance(100)

    def advance(self, ms: int) -> None:
        self.now_ns += ms * MS
        self.rig.advance(self.now_ns)

    def run(self, steps: Steps) -> Any:
        """Exhaust a sequence; every resume must be exactly one transaction."""
        if self.channel is not None:
            self.channel.select()
        while True:
            before = self.bus.transfers
            try:
                next(steps)
            except StopIteration as done:
                assert self.bus.transfers == before + 1
                return done.value
            assert self.bus.transfers == before + 1
            self.advance(SLOT_MS)

    def sample(self, within: int) -> Any:
        """The first sample of so many polls; raises what the driver raises."""
        for _ in range(within):
            self.advance(PERIOD_MS)
            found = self.run(self.device.acquire())
            if found is not None:
                return found
        pytest.fail(f"no sample in {within} polls")

    def ask(self, samples: int) -> None:
        """Poll so many times; raises what the driver raises."""
        for _ in range(samples):
            self.advance(PERIOD_MS)
            self.run(self.device.acquire())

    def set_up(self) -> Any:
        """Set up and take a sample: what must work whatever went before."""
        self.run(self.device.initialise())
        return self.sample(FIRST_SAMPLE_POLLS)

    def cuts(self, steps: Callable[[], Steps]) -> Iterator[int]:
        """Run a sequence, cut at every transaction, both ways; yields after each cut, until a run gets through."""
        for reaches in (False, True):
            for at in range(1, RUN_OUT):
                self.advance(PERIOD_MS)
                self.bus.cut(at, reaches)
                try:
                    self.run(steps())
                except DeviceError as error:
                    if error.detail != "cut":
                        raise
                else:
                    break
                finally:
                    self.bus.cut(None)
                yield at

    def registers(self) -> dict[str, bytes]:
        """What can be written and was configured, as the part holds it."""
        skipped = CHANGES_BY_ITSELF.get(self.config.part, set()) | ORDERED.get(self.config.part, set())
        if self.config.part in PAGED:
            self.rig.buses[self.config.bus].write(self.config.address, b"\x00\x00")
        if self.channel is not None:
            self.channel.select()
        return {
            register.name: self.device.read_register(register)
            for register in self.module.REGISTERS
            if register.access is Access.WRITE and register.name not in skipped
        }


@each_part
def test_a_set_up_that_was_broken_off_anywhere_is_followed_by_one_that_works(device: DeviceConfig) -> None:
    bench = Bench(device, **EVERY_SLOW_PATH.get(device.part, {}))
    kind = type(bench.set_up())
    clean = bench.registers()
    for _ in bench.cuts(bench.device.initialise):
        assert type(bench.set_up()) is kind
        assert bench.registers() == clean


@each_part
def test_a_sample_that_was_broken_off_anywhere_is_followed_by_one_or_by_a_plain_reset(device: DeviceConfig) -> None:
    bench = Bench(device, **EVERY_SLOW_PATH.get(device.part, {}))
    kind = type(bench.set_up())
    clean = bench.registers()
    for _ in range(4):  # the rare turns come in different samples
        for _ in bench.cuts(bench.device.acquire):
            try:
                assert type(bench.sample(NEXT_SAMPLE_POLLS)) is kind
            except DeviceError as error:
                assert error.cause is Cause.RESET  # noqa: PT017 - a sample may come instead
                assert type(bench.set_up()) is kind
        bench.set_up()
        assert bench.registers() == clean


@pytest.mark.parametrize(
    ("device", "order"), [(d, o) for d in DEVICES for o in ORDERS.get(d.part, {})],
    ids=lambda value: getattr(value, "part", value),
)
def test_an_order_that_was_broken_off_anywhere_leaves_nothing_that_a_set_up_does_not_mend(
    device: DeviceConfig, order: str
) -> None:
    bench = Bench(device, **EVERY_SLOW_PATH.get(device.part, {}))
    kind = type(bench.set_up())
    clean = bench.registers()
    make = ORDERS[device.part][order]
    for _ in bench.cuts(lambda: make(bench.device)):
        assert type(bench.set_up()) is kind
        assert bench.registers() == clean
    bench.run(make(bench.device))


@pytest.mark.parametrize("device", [d for d in DEVICES if d.part == "ds3231"], ids=lambda d: d.part)
def test_a_time_whose_setting_was_broken_off_is_not_trusted_until_another_setting_ends_well(
    device: DeviceConfig
) -> None:
    bench = Bench(device)
    assert not bench.set_up().trusted
    bench.run(bench.device.set_time(1_795_000_000))
    assert bench.sample(1).trusted
    for _ in bench.cuts(lambda: bench.device.set_time(1_795_000_000)):
        assert not bench.sample(1).trusted
        assert not bench.set_up().trusted
        bench.run(bench.device.set_time(1_795_000_000))
        assert bench.sample(1).trusted


@pytest.mark.parametrize("device", [d for d in DEVICES if d.part == "max7310"], ids=lambda d: d.part)
def test_levels_whose_order_was_broken_off_are_never_shown_as_driven(device: DeviceConfig) -> None:
    bench = Bench(device, outputs=0x0F, levels=0x05)
    bench.set_up()
    for _ in bench.cuts(lambda: bench.device.drive(0x0F, 0x0A)):
        try:
            shown = bench.sample(1).outputs
        except DeviceError as error:
            assert error.cause is Cause.RESET  # noqa: PT017 - the old levels may hold instead
        else:
            held = bench.device.read_register(next(r for r in bench.module.REGISTERS if r.name == "OUTPUT"))[0]
            assert shown[:4] == tuple(bool(held >> pin & 1) for pin in range(4))
        bench.set_up()


@pytest.mark.parametrize("device", [d for d in DEVICES if d.part == "mb85rc256v"], ids=lambda d: d.part)
def test_a_store_that_was_broken_off_anywhere_leaves_the_old_payload_or_the_new_one(device: DeviceConfig) -> None:
    bench = Bench(device)
    bench.set_up()
    bench.run(bench.device.store(0, b"older"))
    old, new = b"old" * 30, b"new" * 30
    bench.run(bench.device.store(0, old))
    for _ in bench.cuts(lambda: bench.device.store(0, new)):
        bench.set_up()
        assert bench.run(bench.device.load(0)) in (old, new)
        bench.run(bench.device.store(0, old))


@each_part
def test_identify_writes_nothing(device: DeviceConfig) -> None:
    bench = Bench(device)
    before = None if device.part in ("w25q256", "mb85rc256v") else registers_by_force(bench)
    for _ in range(2):
        assert bench.run(bench.device.identify())
    if PROFILE.board.buses[device.bus].kind == "i2c":
        assert bench.bus.writes == 0
    assert before is None or registers_by_force(bench) == before


def registers_by_force(bench: Bench) -> dict[str, bytes]:
    """Configuration of a part that was not set up; PAGE is not written for it."""
    if bench.config.part in PAGED or not bench.module.REGISTERS:
        return {}
    found = bench.registers()
    bench.bus.writes = 0
    return found


UNSEEN_SAMPLES = {"ina228": 12, "ltc3350": 16, "adm1272": 8, "ina226": 50, "max34451": 84, "max7310": 8}
"""Samples with the settings of the board in which a part that restarted is found; the others show it in the first."""
NO_CONFIGURATION = {"adis16470", "ads1115", "ds3231", "mb85rc256v", "w25q256"}
"""Parts that keep nothing to lose, or that show it elsewhere: the clock of ``read``, each conversion's own."""


@pytest.mark.parametrize("device", [d for d in DEVICES if d.part not in NO_CONFIGURATION], ids=lambda d: d.part)
def test_a_part_that_restarted_is_found_within_a_bounded_number_of_samples(device: DeviceConfig) -> None:
    bench = Bench(device)
    allowed = UNSEEN_SAMPLES.get(device.part, 0)
    for phase in range(0, 2 * allowed + 1, max(3, allowed // 4)):
        bench.set_up()
        bench.ask(phase)
        bench.chip.reset()
        with pytest.raises(DeviceError) as caught:
            bench.ask(allowed + 1)
        assert caught.value.cause in (Cause.RESET, Cause.STALE_COUNTER, Cause.IMPLAUSIBLE)
