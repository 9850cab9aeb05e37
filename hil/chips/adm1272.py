"""Plays an ADM1272 hot-swap controller: soft start, current limit, latch-off, direct-format monitor, PMBus with PEC.

Facts: Analog Devices ADM1272 data sheet, "PMBus Command Reference" and "Voltage and Current Conversion"; codes, reset
values and status bits agree with the ADM1275/ADM1276/ADM1278 of the same family. Codes are (m x value + b) x 10^R:
voltage 6770, 0, -2 (60 V) or 4062 (100 V); current 1326 (15 mV) or 663 (30 mV) per mOhm, 20480, -1; power 3512, 0, -2
(60 V, 15 mV), 21071 (100 V, 15 mV), 17561 (60 V, 30 mV), 10535 (100 V, 30 mV), all -3, per mOhm; temperature 42,
31871, -1. D4h PMON_CONFIG (3F35h after reset): bit 5 100 V, bit 4 continuous, bit 3 temperature, bit 2 VIN, bit 1 VOUT
on, bit 0 30 mV. D8h DEVICE_CONFIG (0008h): bits 4..3 severe over-current at 125, 150, 200, 225 % of the limit, bit 2
no retry after it. F6h STRT_UP_IOUT_LIM (000Fh): (n + 1) / 16 of the limit while starting. CCh RESTART_TIME (64h): (n +
1) x 0.1 s off in D9h POWER_CYCLE. 01h OPERATION 80h on, 00h off; off and on again is what ends a latch-off. 03h
CLEAR_FAULTS clears what is latched and no longer true, and starts nothing.

The switch: started, it feeds the start-up current into the output capacitance; at the input's voltage the output is
good. Load above the limit is held at it, the output sags in proportion, and after ``fault_time_s`` in limit the switch
opens and stays open, or with ``retry`` tries again after ``retry_s``. A start that takes longer than ``start_time_s``
ends so, too.

Played more simply: the FET drops nothing; measurements are of the instant they are read; over-temperature latches off;
energy (86h, DCh), hysteresis and GPIO registers (F2h..F5h) keep reset values; HS_SHUTDOWN_CAUSE is 1 over-temperature,
2 over-current, 3 FET, 4 under-, 5 over-voltage.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, unique

from hil.chips.smbus import Command, Refusal, SmbusTarget, block, direct

__all__ = ["Adm1272", "Switch"]

_ON = 0x80
_CODE_MAX = 0x0FFF

# STATUS_WORD, low byte
_HOTSWAP_OFF = 1 << 6
_IOUT_OC = 1 << 4
_VIN_UV = 1 << 3
_TEMPERATURE = 1 << 2
_CML = 1 << 1
_OTHER = 1 << 0
# STATUS_WORD, high byte
_VOUT_STATUS = 1 << 15
_IOUT_STATUS = 1 << 14
_INPUT_STATUS = 1 << 13
_MFR_STATUS = 1 << 12
_POWER_BAD = 1 << 11

# STATUS_MFR_SPECIFIC
_FET_BAD = 1 << 7
_UV_NOW = 1 << 6
_OV_NOW = 1 << 5
_SEVERE_OC = 1 << 4
_IN_LIMIT = 1 << 3
_CAUSE = 7
_CAUSE_OT, _CAUSE_OC, _CAUSE_FET, _CAUSE_UV, _CAUSE_OV = 1, 2, 3, 4, 5

_RANGE_100V = 1 << 5
_TEMP_EN = 1 << 3
_VIN_EN = 1 << 2
_VOUT_EN = 1 << 1
_RANGE_30MV = 1 << 0
_VOLTAGE_M = (6770.0, 4062.0)
_CURRENT_M = (1326.0, 663.0)
_POWER = {(0, 0): (3512.0, -2), (1, 0): (21071.0, -3), (0, 1): (17561.0, -3), (1, 1): (10535.0, -3)}
_SEVERE = (1.25, 1.5, 2.0, 2.25)
_NO_SEVERE_RETRY = 1 << 2

_LIMITS = {
    0x42: 0x0FFF, 0x43: 0x0000, 0x4A: 0x0FFF, 0x4F: 0x0FFF, 0x51: 0x0FFF, 0x57: 0x0FFF, 0x58: 0x0000, 0x6B: 0x7FFF,
}
_CONFIG_WORDS = {0xD4: 0x3F35, 0xD5: 0x0000, 0xD6: 0x0000, 0xD8: 0x0008, 0xF2: 0x0000, 0xF3: 0xFFFF, 0xF6: 0x000F}
_CONFIG_BYTES = {0xCC: 0x64, 0xD3: 0x01}
_PEAKS = {0xD0: 0x8C, 0xD1: 0x88, 0xD2: 0x8B, 0xD7: 0x8D, 0xDA: 0x97}
"""Peak registers and the reading that each follows."""

# Status registers and the bit of each warning: register, bit, limit, reading, whether it means "above".
_WARNINGS = (
    (0x7A, 1 << 6, 0x42, 0x8B, True), (0x7A, 1 << 5, 0x43, 0x8B, False), (0x7B, 1 << 5, 0x4A, 0x8C, True),
    (0x7C, 1 << 6, 0x57, 0x88, True), (0x7C, 1 << 5, 0x58, 0x88, False), (0x7C, 1 << 0, 0x6B, 0x97, True),
    (0x7D, 1 << 6, 0x51, 0x8D, True), (0x7D, 1 << 7, 0x4F, 0x8D, True),
)
_ENABLES = {0x88: _VIN_EN, 0x8B: _VOUT_EN, 0x8D: _TEMP_EN, 0x8C: 0, 0x97: 0}


@unique
class Switch(Enum):
    """What the pass FET is doing."""

    OFF = "off"
    STARTING = "starting"
    ON = "on"
    LIMITING = "limiting"
    LATCHED = "latched off"
    WAITING = "waiting to try again"


_CONDUCTING = frozenset({Switch.STARTING, Switch.ON, Switch.LIMITING})


class Adm1272(SmbusTarget):
    """An ADM1272 between an input and a load. The rig sets the inputs and reads the output; :meth:`advance` is cheap.

    Attributes:
        input_v: voltage before the switch.
        load_a: current that the load draws while there is voltage at the output.
        celsius: external FET's temperature.
        enabled: level of the ENABLE pin.
        fet_shorted: the FET has failed closed: the output follows the input whatever the gate does.
        switch: what the FET is doing.
        output_v: voltage after the switch.
        current_a: current through the sense resistor.
        on_change: called after every command that is written, and after a reset.
    """

    def __init__(
        self,
        now_ns: Callable[[], int],
        address: int = 0x10,
        *,
        sense_ohm: float = 0.001,
        limit_v: float = 0.03,
        capacitance_f: float = 1e-3,
        fault_time_s: float = 0.005,
        start_time_s: float = 0.25,
        retry: bool = False,
        retry_s: float = 1.0,
        undervoltage_v: float = 16.0,
        overvoltage_v: float = 80.0,
    ) -> None:
        """A chip after power-on: the switch starts by itself as soon as the input is in its window.

        Args:
            now_ns: the rig's clock.
            address: 7-bit address.
            sense_ohm: sense resistor.
            limit_v: current limit at the sense resistor, as ISET sets it, V.
            capacitance_f: what is charged at the output.
            fault_time_s, start_time_s: time in limit that EFAULT and ESTART allow.
            retry, retry_s: try again by itself, after how long.
            undervoltage_v, overvoltage_v: window of the input, as the UV and OV dividers set it.
        """
        super().__init__(address, pec=True)
        if not (sense_ohm > 0.0 and limit_v > 0.0 and capacitance_f > 0.0):
            raise ValueError("sense_ohm, limit_v and capacitance_f must be above 0")
        self.input_v = 0.0
        self.load_a = 0.0
        self.celsius = 25.0
        self.enabled = True
        self.fet_shorted = False
        self.output_v = 0.0
        self.on_change: Callable[[], None] | None = None
        self._now_ns = now_ns
        self._milliohm = sense_ohm * 1000.0
        self._limit_a = limit_v / sense_ohm
        self._capacitance_f = capacitance_f
        self._fault_time_s = fault_time_s
        self._start_time_s = start_time_s
        self._retry = retry
        self._retry_s = retry_s
        self._undervoltage_v = undervoltage_v
        self._overvoltage_v = overvoltage_v
        self._commands = self._build()
        self.reset()

    def reset(self) -> None:
        """Power-on or brown-out: registers at their reset values, switch open until the input is looked at again."""
        self._pending = None
        self.switch = Switch.OFF
        self.current_a = 0.0
        self._operation = _ON
        self._words = _LIMITS | _CONFIG_WORDS | dict.fromkeys(_PEAKS, 0)
        self._bytes = dict(_CONFIG_BYTES)
        self._latched = dict.fromkeys((0x7A, 0x7B, 0x7C, 0x7D, 0x80), 0)
        self._byte_latched = 0
        self._in_limit_s = 0.0
        self._hold_ns: int | None = None
        self._time_ns = self._now_ns()
        self._scale()
        self._changed()

    @property
    def conducting(self) -> bool:
        """Whether current can pass: the gate is driven, in limit or not, or the FET has failed closed."""
        return self.switch in _CONDUCTING or self.fet_shorted

    @property
    def start_share(self) -> float:
        """Share of the current limit that STRT_UP_IOUT_LIM leaves, 1/16..1."""
        return ((self._words[0xF6] & 0xF) + 1) / 16.0

    @property
    def power_good(self) -> bool:
        """Level of the PWRGD pin: the switch is closed and the output is at the input's voltage."""
        return self.switch is Switch.ON

    def advance(self) -> None:
        """Bring switch and output to now. Inputs are taken to have been as they are since the last call."""
        now = self._now_ns()
        dt_s = (now - self._time_ns) * 1e-9
        self._time_ns = now
        self._decide(now)
        # Whoever looks rarely must see the same: a start that ends within the step goes on as a closed switch.
        while dt_s > 0.0:
            dt_s = self._run(dt_s, now)
        if self.fet_shorted:
            self.output_v = self.input_v
            if self.switch not in _CONDUCTING:
                self._latched[0x80] |= _FET_BAD
                self.current_a = self.load_a if self.input_v > 0.0 else 0.0
        self._watch()

    # -- switch

    def _decide(self, now: int) -> None:
        """Open or close the gate by pins, command and window."""
        under = self.input_v < self._undervoltage_v
        over = self.input_v > self._overvoltage_v
        conducting = self.switch in _CONDUCTING
        if under:
            self._latched[0x7C] |= 1 << 4
            self._byte_latched |= _VIN_UV
        elif over:
            self._latched[0x7C] |= 1 << 7
        if conducting and (under or over):
            self._open(Switch.OFF, _CAUSE_UV if under else _CAUSE_OV)
        elif not self._commanded():
            if self.switch is not Switch.OFF:
                self._open(Switch.OFF, 0)
        elif self._hold_ns is not None:
            if now >= self._hold_ns:
                self._hold_ns = None
                self._start(under or over)
        elif self.switch is Switch.OFF:
            self._start(under or over)

    def _commanded(self) -> bool:
        return self.enabled and bool(self._operation & _ON)

    def _start(self, forbidden: bool) -> None:
        self.switch = Switch.OFF if forbidden else Switch.STARTING
        self._in_limit_s = 0.0

    def _open(self, state: Switch, cause: int) -> None:
        self.switch = state
        self.current_a = 0.0
        self._in_limit_s = 0.0
        if cause:
            self._latched[0x80] = self._latched[0x80] & ~_CAUSE | cause

    def _trip(self, now: int) -> None:
        self._latched[0x7B] |= 1 << 7
        self._byte_latched |= _IOUT_OC
        self._latched[0x80] |= _IN_LIMIT
        self._open(Switch.WAITING if self._retry else Switch.LATCHED, _CAUSE_OC)
        if self._retry:
            self._hold_ns = now + round(self._retry_s * 1e9)

    def _run(self, dt_s: float, now: int) -> float:
        """Let up to ``dt_s`` pass in the present state; returns what is left of it."""
        switch = self.switch
        if switch is Switch.STARTING:
            return self._charge(dt_s, now)
        if switch in (Switch.ON, Switch.LIMITING):
            return self._carry(dt_s, now)
        self.current_a = 0.0
        if self.output_v > 0.0:
            self.output_v = max(0.0, self.output_v - self.load_a * dt_s / self._capacitance_f)
        return 0.0

    def _charge(self, dt_s: float, now: int) -> float:
        start_a = self._limit_a * self.start_share
        spare_a = start_a - self.load_a
        slope = spare_a / self._capacitance_f
        needed_s = max(0.0, self.input_v - self.output_v) / slope if spare_a > 0.0 else float("inf")
        allowed_s = max(0.0, self._start_time_s - self._in_limit_s)
        step_s = min(dt_s, needed_s, allowed_s)
        self.current_a = start_a
        self._in_limit_s += step_s
        self.output_v = max(0.0, min(self.input_v, self.output_v + slope * step_s))
        if step_s >= needed_s:
            self.switch = Switch.ON
            self.output_v = self.input_v
            self.current_a = self.load_a
            self._in_limit_s = 0.0
        elif step_s >= allowed_s:
            self._trip(now)
        return dt_s - step_s

    def _carry(self, dt_s: float, now: int) -> float:
        load_a = self.load_a
        if load_a <= self._limit_a:
            self.switch = Switch.ON
            self.current_a = load_a
            self.output_v = self.input_v
            self._in_limit_s = 0.0
            return 0.0
        config = self._words[0xD8]
        if load_a > self._limit_a * _SEVERE[config >> 3 & 3]:
            self._latched[0x80] |= _SEVERE_OC
            if config & _NO_SEVERE_RETRY:
                self._trip(now)
                return dt_s
        self.switch = Switch.LIMITING
        self.current_a = self._limit_a
        self.output_v = self.input_v * self._limit_a / load_a
        step_s = min(dt_s, max(0.0, self._fault_time_s - self._in_limit_s))
        self._in_limit_s += step_s
        if self._in_limit_s >= self._fault_time_s:
            self._trip(now)
        return dt_s - step_s

    # -- measurement

    def _scale(self) -> None:
        config = self._words[0xD4]
        high_v = 1 if config & _RANGE_100V else 0
        high_i = 1 if config & _RANGE_30MV else 0
        self._voltage_m = _VOLTAGE_M[high_v]
        self._current_m = _CURRENT_M[high_i] * self._milliohm
        power_m, self._power_r = _POWER[high_v, high_i]
        self._power_m = power_m * self._milliohm

    def _code(self, register: int) -> int:
        """The converter's word for a reading; 0 for a channel that is not sampled."""
        enable = _ENABLES[register]
        if enable and not self._words[0xD4] & enable:
            return 0
        if register == 0x8C:
            value, top = direct(self.current_a, self._current_m, 20480.0, -1), _CODE_MAX
        elif register == 0x97:
            value, top = direct(self.input_v * self.current_a, self._power_m, 0.0, self._power_r), 0xFFFF
        elif register == 0x8D:
            value, top = direct(self.celsius, 42.0, 31871.0, -1), _CODE_MAX
        else:
            volts = self.input_v if register == 0x88 else self.output_v
            value, top = direct(volts, self._voltage_m, 0.0, -2), _CODE_MAX
        return max(0, min(top, round(value)))

    def _watch(self) -> None:
        """Peaks, warnings and the over-temperature fault."""
        words = self._words
        codes = {register: self._code(register) for register in (0x88, 0x8B, 0x8C, 0x8D, 0x97)}
        for peak, register in _PEAKS.items():
            if codes[register] > words[peak]:
                words[peak] = codes[register]
        config = words[0xD4]
        for status, bit, limit, register, above in _WARNINGS:
            enable = _ENABLES[register]
            if enable and not config & enable:
                continue
            if codes[register] > words[limit] if above else codes[register] < words[limit]:
                self._latched[status] |= bit
        if self._latched[0x7D]:
            self._byte_latched |= _TEMPERATURE
        hot = config & _TEMP_EN and codes[0x8D] > words[0x4F]
        if hot and self.switch in _CONDUCTING:
            self._open(Switch.LATCHED, _CAUSE_OT)

    # -- status

    def _mfr_status(self) -> int:
        bits = self._latched[0x80]
        if self.input_v < self._undervoltage_v:
            bits |= _UV_NOW
        if self.input_v > self._overvoltage_v:
            bits |= _OV_NOW
        return bits

    def _status_word(self) -> int:
        bits = self._byte_latched
        if self.switch not in _CONDUCTING:
            bits |= _HOTSWAP_OFF
        high = 0
        if self._latched[0x7A]:
            high |= _VOUT_STATUS
        if self._latched[0x7B]:
            high |= _IOUT_STATUS
        if self._latched[0x7C]:
            high |= _INPUT_STATUS
        if self._mfr_status():
            high |= _MFR_STATUS
        if high and not bits:
            bits |= _OTHER
        if not self.power_good:
            high |= _POWER_BAD
        return high | bits

    def _clear_faults(self, _: bytes) -> bool:
        for register in self._latched:
            self._latched[register] = 0
        self._byte_latched = 0
        self._decide(self._now_ns())
        self._watch()
        return True

    def _refuse(self, why: Refusal) -> bool:
        if why is not Refusal.READ_PAST_END:
            self._byte_latched |= _CML
        return super()._refuse(why)

    # -- commands

    def write(self, data: bytes) -> bool:
        """As SmbusTarget."""
        self.advance()
        taken = super().write(data)
        if taken and self._pending is None:
            self._changed()
        return taken

    def _changed(self) -> None:
        if self.on_change is not None:
            self.on_change()

    def _build(self) -> dict[int, Command]:
        def byte(value: Callable[[], int]) -> Command:
            return Command(1, lambda: bytes((value(),)))

        def word(value: Callable[[], int]) -> Command:
            return Command(2, lambda: value().to_bytes(2, "little"))

        def kept_word(code: int, mask: int) -> Command:
            return Command(
                2,
                lambda: self._words[code].to_bytes(2, "little"),
                lambda data: self._set_word(code, int.from_bytes(data, "little") & mask),
            )

        def kept_byte(code: int) -> Command:
            return Command(1, lambda: bytes((self._bytes[code],)), lambda data: self._set_byte(code, data[0]))

        def text(data: bytes) -> Command:
            return Command(None, lambda: block(data))

        def latched(code: int) -> Command:
            return byte(lambda: self._latched[code])

        def reading(code: int) -> Command:
            return word(lambda: self._code(code))

        commands = {
            0x01: Command(1, lambda: bytes((self._operation,)), self._operate),
            0x03: Command(0, None, self._clear_faults),
            0x19: byte(lambda: 0xB0),
            0x20: byte(lambda: 0x40),
            0x78: byte(lambda: self._status_word() & 0xFF),
            0x79: word(self._status_word),
            0x7A: latched(0x7A), 0x7B: latched(0x7B), 0x7C: latched(0x7C), 0x7D: latched(0x7D),
            0x80: byte(self._mfr_status),
            0x86: text(bytes(6)),
            0x88: reading(0x88), 0x8B: reading(0x8B), 0x8C: reading(0x8C), 0x8D: reading(0x8D), 0x97: reading(0x97),
            0x98: byte(lambda: 0x22),
            0x99: text(b"ADI"), 0x9A: text(b"ADM1272-A1"), 0x9B: text(b"25"), 0x9D: text(b"160301"),
            0xD9: Command(0, None, self._power_cycle),
            0xDB: Command(None, lambda: block((self._code(0x97) << 8).to_bytes(3, "little"))),
            0xDC: text(bytes(8)),
            0xF4: byte(lambda: 0), 0xF5: byte(lambda: 0),
        }
        for code in _LIMITS:
            commands[code] = kept_word(code, 0x7FFF if code == 0x6B else _CODE_MAX)
        for code in _CONFIG_WORDS:
            commands[code] = kept_word(code, 0x000F if code == 0xF6 else 0xFFFF)
        for code in _PEAKS:
            commands[code] = kept_word(code, 0)  # whatever is written, the peak starts anew
        for code in _CONFIG_BYTES:
            commands[code] = kept_byte(code)
        return commands

    def _set_word(self, code: int, value: int) -> bool:
        self._words[code] = value
        if code == 0xD4:
            self._scale()
        return True

    def _set_byte(self, code: int, value: int) -> bool:
        self._bytes[code] = value
        return True

    def _operate(self, data: bytes) -> bool:
        self._operation = data[0] & _ON
        if not self._operation:
            self._hold_ns = None
        self._decide(self._now_ns())
        return True

    def _power_cycle(self, _: bytes) -> bool:
        now = self._now_ns()
        if self._commanded():
            self._open(Switch.WAITING, 0)
            self._hold_ns = now + (self._bytes[0xCC] + 1) * 100_000_000
        return True
