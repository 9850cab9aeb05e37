"""Every device of the reference board under every fault of its bus: refused, counted, and back when it is over."""

from __future__ import annotations

import pytest

from hal.hardware import Hardware
from hal.manager import DeviceState
from hal.profile import DeviceConfig, load_profile
from hal.reading import Quality
from hil.faults import Fault, FaultKind
from hil.plant.world import InitialState
from hil.rig import Rig

PROFILE = load_profile("qiki-t", "qiki-rpi")
MS = 1_000_000
SECOND = 1_000_000_000
TICK_NS = 5 * MS
EPOCH_NS = 1_780_000_000 * SECOND
FAULT_S = 3.0
BACK_WITHIN_S = 16.0
"""Three failed set-ups and their pauses, or the longest pause of a device that was given up."""

KINDS = {
    "i2c": (
        FaultKind.NACK_ADDRESS, FaultKind.NACK_DATA, FaultKind.TIMEOUT, FaultKind.ARBITRATION, FaultKind.SHORT_READ,
        FaultKind.BIT_FLIP, FaultKind.FROZEN, FaultKind.ALL_ONES, FaultKind.ALL_ZEROS,
    ),
    "spi": (
        FaultKind.TIMEOUT, FaultKind.SHORT_READ, FaultKind.BIT_FLIP, FaultKind.FROZEN, FaultKind.ALL_ONES,
        FaultKind.ALL_ZEROS,
    ),
    "serial": (
        FaultKind.SILENCE, FaultKind.ABSENT, FaultKind.SHORT_READ, FaultKind.BIT_FLIP, FaultKind.FROZEN,
        FaultKind.ALL_ONES, FaultKind.ALL_ZEROS,
    ),
    "can": (FaultKind.SILENCE, FaultKind.BIT_FLIP),
}
GIVES_NOTHING = (
    FaultKind.NACK_ADDRESS, FaultKind.NACK_DATA, FaultKind.TIMEOUT, FaultKind.ARBITRATION, FaultKind.SHORT_READ,
    FaultKind.ALL_ONES, FaultKind.ALL_ZEROS, FaultKind.SILENCE, FaultKind.ABSENT,
)
"""Faults under which no sample can be true, so none may be OK at their end."""
TRUE_ZERO = {"gmc_geiger"}
"""Parts whose bytes are all zero in good health: a second without counts."""


def kind_of(device: DeviceConfig) -> str:
    return PROFILE.board.buses[device.bus].kind


def cases() -> list[tuple[DeviceConfig, FaultKind]]:
    devices = [d for d in PROFILE.board.devices if d.role not in ("valve_node", "imu", "star_tracker")]
    # One of several equal devices is enough.
    seen: dict[tuple[str, str], DeviceConfig] = {}
    for device in devices:
        seen.setdefault((device.part, device.role), device)
    return [(device, kind) for device in seen.values() for kind in KINDS[kind_of(device)]]


class Flight:
    """The board's hardware on a rig, all of it up."""

    def __init__(self) -> None:
        self.rig = Rig(PROFILE, InitialState(epoch=EPOCH_NS), 1)
        self.hardware = Hardware(PROFILE, self.rig.buses)
        self.hardware.propulsion.set_heartbeat(True)
        self.tick = 0
        self.run(2.5)
        assert self.hardware.not_ok() == {}

    @property
    def now_ns(self) -> int:
        return self.tick * TICK_NS

    def run(self, seconds: float) -> None:
        for _ in range(round(seconds * SECOND / TICK_NS)):
            self.tick += 1
            self.rig.advance(self.now_ns)
            self.hardware.sense(self.now_ns)
            if self.tick % 10 == 0:
                self.hardware.survey(self.now_ns)

    def back_after(self, limit_s: float) -> float | None:
        """Seconds until every device is OK again, or None."""
        for step in range(round(limit_s / 0.25)):
            if self.hardware.not_ok() == {} and all(guard.in_service for guard in self.hardware.guards.values()):
                return 0.25 * step
            self.run(0.25)
        return None


@pytest.mark.parametrize(("device", "kind"), cases(), ids=lambda value: getattr(value, "name", str(value)).lower())
def test_a_fault_is_refused_counted_and_over_when_it_ends(device: DeviceConfig, kind: FaultKind) -> None:
    flight = Flight()
    serial = kind_of(device) == "serial"
    chance = 0.3 if kind is FaultKind.BIT_FLIP else 1.0
    address = None if serial else getattr(flight.rig.chips[device.name], "node_id", device.address)
    if kind_of(device) == "can" and device.part == "ars408":
        address = None  # its identifiers are not CANopen's: only the bus as a whole can be disturbed
    bus = flight.rig.buses[device.bus]
    handle = bus.inject(Fault(kind, address=address, channel=device.channel, probability=chance))
    before = flight.hardware.counters()[device.name].failures if device.role != "mux" else 0
    flight.run(FAULT_S)
    # A device that is stale only later than this is looked at for coming back alone.
    if device.rate_hz > 0.0 and device.timeout_ms <= 0.9 * FAULT_S * 1000.0:
        reading = flight.hardware.reading(device.name, flight.now_ns)
        if kind in GIVES_NOTHING and not (kind is FaultKind.ALL_ZEROS and device.part in TRUE_ZERO):
            assert reading.quality is not Quality.OK, f"{reading.value} under {kind.value}"
            assert flight.hardware.counters()[device.name].failures > before
    others = {
        name: state for name, state in flight.hardware.states().items()
        if state is not DeviceState.OK and name != device.name
        and next(d for d in PROFILE.board.devices if d.name == name).bus != device.bus
    }
    assert others == {}
    bus.clear(handle)
    took_s = flight.back_after(BACK_WITHIN_S)
    assert took_s is not None, flight.hardware.not_ok()
