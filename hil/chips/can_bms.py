"""Plays a battery management system on CAN that speaks once a second, in Victron's or in Pylontech's manner.

Facts: Victron "CAN-bus BMS protocol" (351h charge voltage 0.1 V, charge and discharge current limits 0.1 A, discharge
voltage 0.1 V; 355h state of charge and of health in %, then charge again in 0.01 %; 356h voltage 0.01 V, current 0.1 A
positive when charging, temperature 0.1 deg C; 35Ah two bits a condition, 01b active, 10b inactive, 00b not supported,
bytes 0..3 alarms and 4..7 warnings; 35Eh name), Pylontech "CAN bus protocol, low voltage" V1.2 (351h, 355h without the
third field, 356h, 359h protections in bytes 0..1 and alarms in 2..3, module count, "PN"; 35Ch requests, bit 7 charge
enable, 6 discharge enable, 5 and 4 force charge, 3 full charge; 35Eh "PYLON" and three blanks). 500 kbit/s, least
significant byte first. The other side keeps it informed with 305h once a second; that is only noted.

35Ch belongs to Pylontech's manner, but many Victron-compatible systems send it as well, and so does this one.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import Enum, IntEnum, unique

from drivers.bus.protocol import CanFrame

__all__ = ["BmsCondition", "BmsStyle", "CanBms"]

_PERIOD_NS = 1_000_000_000
_SPACING_NS = 20_000_000
_KEEP_ALIVE = 0x305
_LIMITS = struct.Struct("<HhhH")
_PACK = struct.Struct("<hhh")
_INACTIVE, _ACTIVE = 0b10, 0b01
_SYSTEM_STATUS = 58  # first bit of "system offline", the fourteenth place among the warnings


@unique
class BmsStyle(Enum):
    """Whose frames it sends."""

    VICTRON = (0x351, 0x355, 0x356, 0x35A, 0x35C, 0x35E)
    PYLONTECH = (0x351, 0x355, 0x356, 0x359, 0x35C, 0x35E)


@unique
class BmsCondition(IntEnum):
    """A condition that may be an alarm (protection) or a warning; the value is its place in 35Ah."""

    GENERAL = 0
    HIGH_VOLTAGE = 1
    LOW_VOLTAGE = 2
    HIGH_TEMPERATURE = 3
    LOW_TEMPERATURE = 4
    HIGH_TEMPERATURE_CHARGE = 5
    LOW_TEMPERATURE_CHARGE = 6
    HIGH_CURRENT = 7
    HIGH_CHARGE_CURRENT = 8
    CONTACTOR = 9
    SHORT_CIRCUIT = 10
    INTERNAL = 11
    CELL_IMBALANCE = 12


_PYLONTECH_BITS = {
    BmsCondition.HIGH_VOLTAGE: 1 << 1,
    BmsCondition.LOW_VOLTAGE: 1 << 2,
    BmsCondition.HIGH_TEMPERATURE: 1 << 3,
    BmsCondition.LOW_TEMPERATURE: 1 << 4,
    BmsCondition.HIGH_CURRENT: 1 << 7,
    BmsCondition.HIGH_CHARGE_CURRENT: 1 << 8,
    BmsCondition.INTERNAL: 1 << 11,
}
"""Bits of the 16-bit protection and alarm fields of 359h; the other conditions have none."""


def _u16(value: float) -> int:
    return max(0, min(0xFFFF, round(value)))


def _s16(value: float) -> int:
    return max(-0x8000, min(0x7FFF, round(value)))


class CanBms:
    """A battery management system on a SimCanBus. The rig sets attributes whenever it likes.

    Attributes:
        voltage_v, current_a, temperature_c: the pack; current is positive when charging.
        state_of_charge, state_of_health: 0..1.
        charge_voltage_limit_v, charge_current_limit_a, discharge_current_limit_a, discharge_voltage_limit_v: limits, as
            magnitudes.
        alarms, warnings: conditions that are active.
        supported: conditions it knows; the others read 00b in 35Ah.
        charge_enabled, discharge_enabled, force_charge, full_charge_request: what it asks for in 35Ch.
        manufacturer: up to eight characters.
        modules: packs in parallel.
        silent: sends nothing, as a system that has shut down.
        silent_ids: of these ids it sends nothing.
        keep_alive_ns: when a 305h frame was last heard, ``None`` before the first.
    """

    def __init__(self, style: BmsStyle = BmsStyle.VICTRON, node_id: int = 0x51, start_ns: int = 0) -> None:
        """A system switched on at ``start_ns``, first frames a second later; ``node_id`` only names it to the bus."""
        self.style = style
        self.node_id = node_id
        self.voltage_v = 26.0
        self.current_a = 0.0
        self.temperature_c = 20.0
        self.state_of_charge = 0.8
        self.state_of_health = 1.0
        self.charge_voltage_limit_v = 29.2
        self.charge_current_limit_a = 40.0
        self.discharge_current_limit_a = 80.0
        self.discharge_voltage_limit_v = 20.0
        self.alarms: set[BmsCondition] = set()
        self.warnings: set[BmsCondition] = set()
        self.supported = frozenset(BmsCondition)
        self.charge_enabled = True
        self.discharge_enabled = True
        self.force_charge = False
        self.full_charge_request = False
        self.manufacturer = "PYLON" if style is BmsStyle.PYLONTECH else "QIKI"
        self.modules = 1
        self.silent = False
        self.silent_ids: set[int] = set()
        self.keep_alive_ns: int | None = None
        self._transmit: Callable[[CanFrame, int], None] | None = None
        self._now_ns = start_ns
        self._round_ns = start_ns + _PERIOD_NS
        self._turn = 0
        self.next_event_ns = self._round_ns

    def reset(self) -> None:
        """Power-on: the round begins again in one second."""
        self._round_ns = self._now_ns + _PERIOD_NS
        self._turn = 0
        self.next_event_ns = self._round_ns
        self.keep_alive_ns = None

    def connect(self, transmit: Callable[[CanFrame, int], None]) -> None:
        """Take the function that puts a frame on the bus."""
        self._transmit = transmit

    def receive(self, frame: CanFrame, t_ns: int) -> None:
        """Hear one frame: only the keep-alive of the other side matters."""
        if frame.can_id == _KEEP_ALIVE and not frame.extended:
            self.keep_alive_ns = t_ns

    def advance(self, t_ns: int) -> None:
        """Send what is due until and at ``t_ns``: one frame of the round each 20 ms."""
        while t_ns >= self.next_event_ns:
            at = self.next_event_ns
            ids = self.style.value
            can_id = ids[self._turn]
            self._turn += 1
            if self._turn == len(ids):
                self._turn = 0
                self._round_ns += _PERIOD_NS
            self.next_event_ns = self._round_ns + self._turn * _SPACING_NS
            if self._transmit is not None and not self.silent and can_id not in self.silent_ids:
                self._transmit(CanFrame(can_id, self.payload(can_id)), at)
        self._now_ns = t_ns

    def payload(self, can_id: int) -> bytes:
        """Data of one of its frames as it would be sent now. KeyError for an id that it has not."""
        return _PAYLOADS[can_id](self)

    def _limits(self) -> bytes:
        return _LIMITS.pack(
            _u16(self.charge_voltage_limit_v * 10.0), _s16(self.charge_current_limit_a * 10.0),
            _s16(self.discharge_current_limit_a * 10.0), _u16(self.discharge_voltage_limit_v * 10.0),
        )

    def _charge(self) -> bytes:
        words = [_u16(self.state_of_charge * 100.0), _u16(self.state_of_health * 100.0)]
        if self.style is BmsStyle.VICTRON:
            words.append(_u16(self.state_of_charge * 10_000.0))
        return struct.pack(f"<{len(words)}H", *words)

    def _measured(self) -> bytes:
        return _PACK.pack(_s16(self.voltage_v * 100.0), _s16(self.current_a * 10.0), _s16(self.temperature_c * 10.0))

    def _conditions(self) -> bytes:
        word = _INACTIVE << _SYSTEM_STATUS
        for condition in self.supported:
            word |= (_ACTIVE if condition in self.alarms else _INACTIVE) << 2 * condition
            word |= (_ACTIVE if condition in self.warnings else _INACTIVE) << 32 + 2 * condition
        return word.to_bytes(8, "little")

    def _protections(self) -> bytes:
        alarms = sum(_PYLONTECH_BITS.get(condition, 0) for condition in self.alarms)
        warnings = sum(_PYLONTECH_BITS.get(condition, 0) for condition in self.warnings)
        return struct.pack("<HHB2s", alarms, warnings, self.modules & 0xFF, b"PN")

    def _requests(self) -> bytes:
        bits = self.charge_enabled << 7 | self.discharge_enabled << 6 | self.force_charge << 5
        return bytes((bits | self.full_charge_request << 3, 0))

    def _name(self) -> bytes:
        return self.manufacturer.encode("ascii", "replace")[:8].ljust(8)


_PAYLOADS: dict[int, Callable[[CanBms], bytes]] = {
    0x351: CanBms._limits,
    0x355: CanBms._charge,
    0x356: CanBms._measured,
    0x359: CanBms._protections,
    0x35A: CanBms._conditions,
    0x35C: CanBms._requests,
    0x35E: CanBms._name,
}
