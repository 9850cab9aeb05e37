"""Plays an AS7341 spectral sensor: six converters behind a multiplexer, integration on the clock, gain, saturation.

Facts: ams DS000504 (AS7341), section 10: 80h ENABLE (PON bit 0, SP_EN bit 1, WEN bit 3, SMUXEN bit 4 clears itself),
81h ATIME, 83h WTIME (2.78 ms steps), 92h ID (24h), 93h STATUS (ASAT bit 7, written 1 to clear), 94h ASTATUS (bit 7
saturation, bits 3..0 gain of the data), 95h-A0h six results, low byte first, A3h STATUS2 (AVALID bit 6, ASAT_DIGITAL
bit 4, ASAT_ANALOG bit 3), A9h CFG0 (REG_BANK bit 4 gives 60h-74h), AAh CFG1 (gain 2^(n-1), 09h after reset), AFh CFG6
(SMUX command in bits 4..3: 0 defaults, 1 read, 2 write, which is the reset value), CAh/CBh ASTEP (999). Integration
takes (ATIME + 1) x (ASTEP + 1) x 2.78 us; full scale is (ATIME + 1) x (ASTEP + 1), at most 65535 counts. ams AN000666:
the 20 bytes of the multiplexer are written to 00h-13h; each half byte connects one photodiode to converter 1..6, and
F1..F8 and clear have two diodes each.

Played more simply: a multiplexer command takes 0.2 ms; a result is the light at the first look after the integration's
end; AVALID stays until SP_EN falls; the result registers change as one set, so every read of them is coherent. Not
played: flicker detection, FIFO, thresholds, automatic gain and zero, LED and GPIO (their registers are kept).
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["CHANNELS", "GAINS", "As7341"]

CHANNELS = ("F1", "F2", "F3", "F4", "F5", "F6", "F7", "F8", "CLEAR", "NIR")
GAINS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)

_SMUX_BYTES = 20
_CONVERTERS = 6
_DIODES: dict[int, tuple[int, float]] = {
    2 * byte + half: (CHANNELS.index(name), share)
    for byte, half, name, share in (
        (0x00, 1, "F3", 0.5), (0x01, 0, "F1", 0.5), (0x03, 1, "F8", 0.5), (0x04, 0, "F6", 0.5), (0x05, 0, "F2", 0.5),
        (0x05, 1, "F4", 0.5), (0x06, 1, "F5", 0.5), (0x07, 0, "F7", 0.5), (0x08, 1, "CLEAR", 0.5), (0x09, 1, "F5", 0.5),
        (0x0A, 0, "F7", 0.5), (0x0C, 1, "F2", 0.5), (0x0D, 0, "F4", 0.5), (0x0E, 0, "F8", 0.5), (0x0E, 1, "F6", 0.5),
        (0x0F, 1, "F3", 0.5), (0x10, 0, "F1", 0.5), (0x11, 1, "CLEAR", 0.5), (0x13, 0, "NIR", 1.0),
    )
}
"""Half byte of the multiplexer's memory: channel whose diode it connects, and that diode's share of the channel."""

_BANK_FIRST, _BANK_LAST = 0x60, 0x74
_ENABLE = 0x80
_ATIME = 0x81
_WTIME = 0x83
_ID = 0x92
_STATUS = 0x93
_ASTATUS = 0x94
_DATA = 0x95
_DATA_END = _DATA + 2 * _CONVERTERS
_STATUS2 = 0xA3
_STATUS_LAST = 0xA7
_CFG0 = 0xA9
_CFG1 = 0xAA
_CFG6 = 0xAF
_ASTEP_L = 0xCA
_INTENAB = 0xF9

_PON = 1 << 0
_SP_EN = 1 << 1
_WEN = 1 << 3
_SMUXEN = 1 << 4
_REG_BANK = 1 << 4
_ASAT = 1 << 7
_AVALID = 1 << 6
_ASAT_DIGITAL = 1 << 4
_ASAT_ANALOG = 1 << 3
_WRITE_COMMAND, _READ_COMMAND = 2, 1

_RESET_VALUES = {_CFG1: 0x09, _CFG6: 0x10, _ASTEP_L: 0xE7, _ASTEP_L + 1: 0x03, 0xB1: 0x98, 0xB3: 0xF2, 0xD6: 0xFF}
_READ_ONLY = frozenset({*range(0x90, _STATUS), *range(_ASTATUS, _STATUS_LAST + 1)})
_STEP_NS = 2780
_WAIT_STEP_NS = 2_780_000
_SMUX_NS = 200_000
_FULL_SCALE = 0xFFFF


class As7341:
    """An AS7341. The rig sets its attributes whenever it likes.

    Attributes:
        counts_s: light on each of ``CHANNELS``, as counts per second at a gain of 1.
        dark_counts: counts that every connected converter adds by itself.
        analog_saturation: whether the light overdrives the analog input: every result is then at its full scale.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """A chip after power-on, asleep and in the dark; ``now_ns`` is the rig's clock."""
        self.counts_s = [0.0] * len(CHANNELS)
        self.dark_counts = 0.0
        self.analog_saturation = False
        self._now_ns = now_ns
        self.reset()

    def reset(self) -> None:
        """Power-on or brown-out: registers at their reset values, no diode connected, nothing measured."""
        self._registers = bytearray(256)
        self._registers[_ID] = 0x24
        for register, value in _RESET_VALUES.items():
            self._registers[register] = value
        self._bank = bytearray(_BANK_LAST + 1 - _BANK_FIRST)
        self._pointer = 0
        self._chain = bytes(_SMUX_BYTES)
        self._routes: tuple[tuple[tuple[int, float], ...], ...] = ((),) * _CONVERTERS
        self._smux_due_ns: int | None = None
        self._due_ns: int | None = None

    def set_counts_s(self, channel: str, counts_s: float) -> None:
        """Light on one channel by name. Raises ValueError for a name that is none of ``CHANNELS``."""
        if channel not in CHANNELS:
            raise ValueError(f"an AS7341 has no channel {channel!r}")
        self.counts_s[CHANNELS.index(channel)] = counts_s

    def write(self, data: bytes) -> bool:
        """Pointer, then registers from there on."""
        self._run()
        if data:
            self._pointer = data[0]
        for value in data[1:]:
            self._store(self._pointer, value)
            self._pointer = (self._pointer + 1) & 0xFF
        return True

    def read(self, count: int) -> bytes:
        """Registers from the pointer on."""
        self._run()
        start = self._pointer
        self._pointer = (start + count) & 0xFF
        if start >= _ENABLE and start + count <= 0x100:
            return bytes(self._registers[start : start + count])
        return bytes(self._load((start + i) & 0xFF) for i in range(count))

    def _load(self, register: int) -> int:
        if _BANK_FIRST <= register <= _BANK_LAST:
            return self._bank[register - _BANK_FIRST] if self._registers[_CFG0] & _REG_BANK else 0
        return self._registers[register]

    def _store(self, register: int, value: int) -> None:
        registers = self._registers
        if _BANK_FIRST <= register <= _BANK_LAST:
            if registers[_CFG0] & _REG_BANK:
                self._bank[register - _BANK_FIRST] = value
        elif register == _ENABLE:
            self._enable(value)
        elif register == _STATUS:
            registers[_STATUS] &= ~value
        elif register < _SMUX_BYTES or (register > _ENABLE and register not in _READ_ONLY):
            registers[register] = value

    def _enable(self, value: int) -> None:
        registers = self._registers
        before = registers[_ENABLE]
        if not value & _PON:
            value &= ~(_SP_EN | _SMUXEN)
        if value & _SMUXEN and self._smux_due_ns is None:
            self._smux_due_ns = self._now_ns() + _SMUX_NS
        elif self._smux_due_ns is not None:
            if value & _PON:
                value |= _SMUXEN
            else:
                self._smux_due_ns = None
        if value & _SP_EN and not before & _SP_EN:
            registers[_STATUS2] &= ~(_AVALID | _ASAT_DIGITAL | _ASAT_ANALOG)
            self._due_ns = self._now_ns() + self._integration_ns()
        elif not value & _SP_EN:
            registers[_STATUS2] &= ~_AVALID
            self._due_ns = None
        registers[_ENABLE] = value

    def _run(self) -> None:
        """Take in what has ended by now: a multiplexer command, and the newest integration."""
        if self._smux_due_ns is None and self._due_ns is None:
            return
        now = self._now_ns()
        if self._smux_due_ns is not None and now >= self._smux_due_ns:
            self._smux_due_ns = None
            self._registers[_ENABLE] &= ~_SMUXEN
            self._command()
        due = self._due_ns
        if due is not None and now >= due:
            self._measure()
            cycle = self._integration_ns()
            if self._registers[_ENABLE] & _WEN:
                cycle = max(cycle, (self._registers[_WTIME] + 1) * _WAIT_STEP_NS)
            self._due_ns = due + ((now - due) // cycle + 1) * cycle

    def _command(self) -> None:
        command = self._registers[_CFG6] >> 3 & 3
        if command == _READ_COMMAND:
            self._registers[:_SMUX_BYTES] = self._chain
            return
        if command == _WRITE_COMMAND:
            self._chain = bytes(self._registers[:_SMUX_BYTES])
        elif command == 0:
            self._chain = bytes(_SMUX_BYTES)
        routes: list[list[tuple[int, float]]] = [[] for _ in range(_CONVERTERS)]
        for diode, route in _DIODES.items():
            converter = self._chain[diode // 2] >> 4 * (diode % 2) & 7
            if 1 <= converter <= _CONVERTERS:
                routes[converter - 1].append(route)
        self._routes = tuple(tuple(route) for route in routes)

    def _steps(self) -> int:
        registers = self._registers
        return (registers[_ATIME] + 1) * ((registers[_ASTEP_L] | registers[_ASTEP_L + 1] << 8) + 1)

    def _integration_ns(self) -> int:
        return self._steps() * _STEP_NS

    def _measure(self) -> None:
        registers = self._registers
        steps = self._steps()
        full = min(steps, _FULL_SCALE)
        code = registers[_CFG1] & 0x1F
        scale = GAINS[min(code, len(GAINS) - 1)] * steps * _STEP_NS * 1e-9
        clipped = False
        for converter, route in enumerate(self._routes):
            counts = 0
            if route:
                light = sum(self.counts_s[channel] * share for channel, share in route)
                counts = max(0, round(light * scale + self.dark_counts))
                if counts >= full or self.analog_saturation:
                    counts = full
                    clipped = True
            at = _DATA + 2 * converter
            registers[at] = counts & 0xFF
            registers[at + 1] = counts >> 8
        status2 = _AVALID
        if clipped:
            status2 |= _ASAT_ANALOG if self.analog_saturation else _ASAT_DIGITAL
        registers[_STATUS2] = status2
        registers[_ASTATUS] = code & 0xF | (_ASAT if clipped else 0)
        if clipped and registers[_INTENAB] & _ASAT:
            registers[_STATUS] |= _ASAT
