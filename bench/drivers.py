"""What a driver costs above the raw transfer: the same transfers on the same twin buses, with and without it.

Each figure is the median of many calls less the median of the bare bus calls that it makes, both taken in turns in the
same seconds. The inertial unit is measured to the plane's Reading, the monitor over a whole poll, the valve frame from
the receive queue into the node's sample.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from statistics import median
from time import perf_counter_ns

from bench.harness import Report
from drivers import adis16470, ina226
from drivers.bus.protocol import CanFrame
from drivers.cia401_valves import Settings as ValveSettings
from drivers.cia401_valves import ValveBus
from hal.manager import HealthEvent, ManagedDevice
from hal.sensors import ImuDevice
from hil.bus.i2c import SimI2cBus
from hil.bus.spi import SimSpiBus
from hil.can import SimCanBus
from hil.chips.adis16470 import Adis16470
from hil.chips.cia401_valve_node import Cia401ValveNode
from hil.chips.ina226 import Ina226

CALLS = 4000
ROUNDS = 5
TICK_NS = 5_000_000
IMU_LIMIT_US = 25.0
MONITOR_LIMIT_US = 60.0
FRAME_LIMIT_US = 15.0


def in_turns(ours: Callable[[], None], raw: Callable[[], None]) -> tuple[float, float]:
    """Medians in us of two calls, measured in alternate slices."""
    times: tuple[list[int], list[int]] = ([], [])
    for _ in range(ROUNDS):
        for call, kept in ((ours, times[0]), (raw, times[1])):
            for _ in range(CALLS // ROUNDS):
                start = perf_counter_ns()
                call()
                kept.append(perf_counter_ns() - start)
    return median(times[0]) / 1e3, median(times[1]) / 1e3


def imu() -> tuple[float, float]:
    """One burst to the plane's Reading, and the bare burst; a new sample is latched outside the measured call."""
    bus, chip = SimSpiBus("spi0"), Adis16470()
    bus.attach(0, chip)
    driver = adis16470.Device(bus, 0, adis16470.Settings())
    events: deque[HealthEvent] = deque(maxlen=16)
    managed: ManagedDevice[adis16470.ImuSample] = ManagedDevice("imu", driver, TICK_NS, 5 * TICK_NS, events)
    unit = ImuDevice(driver, managed, (1.0, 0.0, 0.0, 0.0))
    now_ns = 0
    while not unit.ready:
        now_ns += TICK_NS
        chip.latch((0.0, 0.01, 0.02), (0.1, 0.2, 9.8), 25.0)
        unit.sense(now_ns)
    times: tuple[list[int], list[int]] = ([], [])
    for index in range(2 * CALLS):
        now_ns += TICK_NS
        chip.latch((0.0, 0.01, 0.02), (0.1, 0.2, 9.8), 25.0)
        raw = index // 200 & 1
        start = perf_counter_ns()
        if raw:
            bus.transfer(0, adis16470.BURST_COMMAND)
        else:
            unit.sense(now_ns)
        times[raw].append(perf_counter_ns() - start)
    if not unit.reading.ok:
        raise RuntimeError("the inertial unit gave no good reading")
    return median(times[0]) / 1e3, median(times[1]) / 1e3


def monitor() -> tuple[float, float]:
    """One whole poll of an INA226, and its two bare reads."""
    now_ns = 0
    bus = SimI2cBus("i2c_a")
    chip = Ina226(lambda: now_ns, 0.01)
    chip.bus_v, chip.current_a = 26.4, 1.5
    bus.attach(0x42, chip)
    driver = ina226.Device(bus, 0x42, ina226.Settings(shunt_ohm=0.01, max_current_a=5.0))
    for _ in driver.initialise():
        pass
    samples = 0

    def poll() -> None:
        nonlocal now_ns, samples
        now_ns += 100_000_000
        sequence = driver.acquire()
        while True:
            try:
                next(sequence)
            except StopIteration as done:
                samples += done.value is not None
                return

    def bare() -> None:
        nonlocal now_ns
        now_ns += 100_000_000
        bus.write_read(0x42, b"\x02", 2)
        bus.write_read(0x42, b"\x04", 2)

    result = in_turns(poll, bare)
    if samples < CALLS * 0.9:
        raise RuntimeError(f"only {samples} of {CALLS} polls gave a sample")
    return result


def valve_frame() -> tuple[float, float]:
    """Frames that a node really sent, through the valve driver and through the bare queue; time of one."""
    bus = SimCanBus("can0", queue_limit=64)
    node = Cia401ValveNode(0x10, serial=1)
    bus.attach(node)
    settings = ValveSettings(nozzles=tuple(range(8)))
    valves = ValveBus(bus, [(0x10, settings)], window_ms=250, min_on_ms=20, min_off_ms=20, max_burn_ms=3000,
                      cooldown_ms=0)
    node.power_on(0)
    now_ns = 0
    while not valves.nodes[0x10].sample().operational and now_ns < 5_000_000_000:
        now_ns += TICK_NS
        bus.advance(now_ns)
        valves.service(now_ns)
    if not valves.nodes[0x10].sample().operational:
        raise RuntimeError("the valve node did not come up")
    frames: list[CanFrame] = []
    while len(frames) < 8:
        now_ns += TICK_NS
        bus.advance(now_ns)
        while (frame := bus.receive()) is not None:
            frames.append(frame)
    queue: deque[CanFrame] = deque()

    class Replayed:
        """The frames that the node really sent, again."""

        name = "can0"

        def send(self, frame: CanFrame) -> None:
            """Nobody listens."""

        def receive(self) -> CanFrame | None:
            """See CanBus."""
            return queue.popleft() if queue else None

    again = Replayed()
    valves._bus = again  # type: ignore[assignment]  # the driver under measurement keeps its state, only the bus is cheap

    def ours() -> None:
        queue.extend(frames)
        valves.service(now_ns)

    def raw() -> None:
        queue.extend(frames)
        while again.receive() is not None:
            pass

    ours_us, raw_us = in_turns(ours, raw)
    return ours_us / len(frames), raw_us / len(frames)


def run(report: Report) -> None:
    """Add the figures of this subject; about 5 s."""
    for what, (ours, raw), limit in (
        ("ADIS16470 burst to Reading, above the raw transfer", imu(), IMU_LIMIT_US),
        ("INA226 poll, above its raw transfers", monitor(), MONITOR_LIMIT_US),
        ("CAN valve frame, above the raw frame", valve_frame(), FRAME_LIMIT_US),
    ):
        over = ours - raw
        report.add(what, over, "us", raw, f"< {limit:g}", over < limit)
