"""Plays a VL53L0X time-of-flight ranger: measurements that take time, result block, ready flag, no-target answers.

Facts: STMicroelectronics DS11555 (VL53L0X), section 3.2 (reference registers C0h EEh, C1h AAh, C2h 10h), and, as that
has no register map, the register names and bit fields of ST's interface STSW-IMG005: 00h SYSRANGE_START (bit 0 starts,
or stops a running continuous mode; 02h back to back, 04h timed), 04h-07h period of the timed mode, 0Ah interrupt
configuration (4: new sample), 0Bh interrupt clear, 13h interrupt status, 14h result block of 12 bytes: device status in
bits 6..3 (11 is valid), effective SPADs 8.8 at +2, signal and ambient rate 9.7 Mcps at +6 and +8, range in mm at +10,
8190 where nothing came back; F8h oscillator calibration. FFh selects the register page; 91h of page 1 is the stop
variable. Values are most significant byte first and the index counts up.

Played more simply: a measurement takes ``budget_s``, whatever the time-out registers hold; its value is the target at
the first look after its end; bit 0 of 14h is set from then until the next start; bit 0 of 00h is never seen set.
Registers without an effect here keep what is written. Not played: thresholds, calibrations and a change of address.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["NO_TARGET_MM", "RANGE_VALID", "SIGNAL_FAIL", "Vl53l0x"]

RANGE_VALID = 11
SIGNAL_FAIL = 4
"""Device status of a measurement whose return was too weak."""
NO_TARGET_MM = 8190

_START = 0x00
_PERIOD = 0x04
_INTERRUPT_CONFIG = 0x0A
_INTERRUPT_CLEAR = 0x0B
_INTERRUPT_STATUS = 0x13
_RESULT = 0x14
_RESULT_BYTES = 12
_MODEL_ID = 0xC0
_IDENTITY = b"\xee\xaa\x10"
_OSCILLATOR = 0xF8
_STOP_VARIABLE = 0x91
_PAGE = 0xFF

_STOP_RESET = 0x3C
_NEW_SAMPLE = 4
_READY = 1
_SINGLE = 1
_BACK_TO_BACK = 2
_TIMED = 4
_NS = 1_000_000_000


class Vl53l0x:
    """A VL53L0X. The rig sets its attributes whenever it likes.

    Attributes:
        range_m: distance of the target, ``None`` for none; beyond ``reach_m`` nothing comes back either.
        reach_m: how far it sees this target in this light.
        signal_mcps: return rate of a target in reach, millions of counts a second.
        ambient_mcps: rate of the ambient light.
        spads: detector elements in use.
        status: device status that it reports whatever it sees, 0..15; ``None`` for a well part. The range is then
            that of a measurement without a target.
        budget_s: how long a measurement takes.
        stuck: whether a measurement once started never ends.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """A part after boot; ``now_ns`` is the rig's clock."""
        self.range_m: float | None = None
        self.reach_m = 1.2
        self.signal_mcps = 5.0
        self.ambient_mcps = 0.1
        self.spads = 20.0
        self.status: int | None = None
        self.budget_s = 0.033
        self.stuck = False
        self._now_ns = now_ns
        self.reset()

    def reset(self) -> None:
        """Power-on, brown-out or XSHUT: registers at their reset values, nothing measured."""
        self._index = 0
        self._page = 0
        self._pages: dict[int, bytearray] = {0: bytearray(256), 1: bytearray(256)}
        self._pages[0][_MODEL_ID : _MODEL_ID + 3] = _IDENTITY
        self._pages[0][0x51] = 0x00
        self._pages[0][0x52] = 0x99
        self._pages[1][_STOP_VARIABLE] = _STOP_RESET
        self._mode = 0
        self._due_ns: int | None = None

    def write(self, data: bytes) -> bool:
        """Index, then registers from there on."""
        self._run()
        if data:
            self._index = data[0]
        for value in data[1:]:
            self._store(self._index, value)
            self._index = (self._index + 1) & 0xFF
        return True

    def read(self, count: int) -> bytes:
        """Registers from the index on."""
        self._run()
        index = self._index
        self._index = (index + count) & 0xFF
        page = self._pages.get(self._page)
        if page is None:
            return bytes(count)
        if index + count <= _PAGE:
            return bytes(page[index : index + count])
        return bytes(self._page if (index + i) & 0xFF == _PAGE else page[(index + i) & 0xFF] for i in range(count))

    def _store(self, index: int, value: int) -> None:
        if index == _PAGE:
            self._page = value
            return
        page = self._pages.setdefault(self._page, bytearray(256))
        if self._page:
            page[index] = value
        elif index == _START:
            self._start(value)
        elif index == _INTERRUPT_CLEAR:
            page[index] = value
            if value & 1:
                page[_INTERRUPT_STATUS] &= ~7
        elif not (_INTERRUPT_STATUS <= index < _RESULT + _RESULT_BYTES or _MODEL_ID <= index < _MODEL_ID + 3):
            page[index] = value

    def _start(self, value: int) -> None:
        mode = value & (_BACK_TO_BACK | _TIMED)
        if mode:
            self._mode = mode
            self._begin(self._now_ns())
        elif value & _SINGLE:
            if self._mode:  # the start bit ends a continuous mode
                self._mode = 0
                self._due_ns = None
            else:
                self._begin(self._now_ns())
        self._pages[0][_START] = value & ~_SINGLE

    def _begin(self, start_ns: int) -> None:
        self._pages[0][_RESULT] &= ~_READY
        self._due_ns = start_ns + round(self.budget_s * _NS)

    def _run(self) -> None:
        """Take in the newest measurement that has ended by now."""
        due = self._due_ns
        if due is None or self.stuck:
            return
        now = self._now_ns()
        if now < due:
            return
        self._measure()
        if not self._mode:
            self._due_ns = None
            return
        period = max(self._period_ns(), round(self.budget_s * _NS), 1)
        self._due_ns = due + ((now - due) // period + 1) * period

    def _period_ns(self) -> int:
        if self._mode != _TIMED:
            return 0
        page = self._pages[0]
        cycles = int.from_bytes(page[_PERIOD : _PERIOD + 4], "big")
        # The period is in cycles of a slow oscillator; F8h says how many make a millisecond, where it is known.
        return cycles * 1_000_000 // max(1, int.from_bytes(page[_OSCILLATOR : _OSCILLATOR + 2], "big"))

    def _measure(self) -> None:
        seen = self.range_m if self.status is None else None
        if seen is not None and seen > self.reach_m:
            seen = None
        if self.status is not None:
            status = self.status & 0xF
        else:
            status = SIGNAL_FAIL if seen is None else RANGE_VALID
        range_mm = NO_TARGET_MM if seen is None else max(0, min(NO_TARGET_MM, round(seen * 1000.0)))
        signal = 0.0 if seen is None else self.signal_mcps
        page = self._pages[0]
        page[_RESULT : _RESULT + _RESULT_BYTES] = b"".join((
            bytes((status << 3 | _READY, 0)), _fixed(self.spads, 256.0), bytes(2), _fixed(signal, 128.0),
            _fixed(self.ambient_mcps, 128.0), range_mm.to_bytes(2, "big"),
        ))
        if page[_INTERRUPT_CONFIG] & 7 == _NEW_SAMPLE:
            page[_INTERRUPT_STATUS] = page[_INTERRUPT_STATUS] & ~7 | _NEW_SAMPLE


def _fixed(value: float, scale: float) -> bytes:
    return max(0, min(0xFFFF, round(value * scale))).to_bytes(2, "big")
