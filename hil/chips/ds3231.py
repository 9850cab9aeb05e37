"""Plays a DS3231: BCD calendar on the rig's clock with a drift, oscillator-stop flag, and temperature every 64 s.

Facts: Maxim 19-5170 (DS3231), figure 1 and the register descriptions: 00h-06h time and date, 07h-0Dh alarms, 0Eh
control (1Ch), 0Fh status (88h: OSF and EN32kHz), 10h aging offset, 11h/12h temperature, 10 bits two's complement,
0.25 deg C. The time is copied for the reader at every START and when the pointer comes to 00h; after 12h it goes on at
00h. Writing the seconds starts the second anew. The century bit turns over with year 99. OSF and the alarm flags can
only be written to 0. A year that four divides is a leap year, in both centuries. CONV starts a conversion (200 ms at
most) and clears itself.

Registers that the datasheet leaves undefined at power-up start as 2000-01-01 00:00:00, day 1, and zeros. Not played:
alarms, outputs, EOSC (which acts on battery alone), the oscillator's trim by the aging offset.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Ds3231"]

_HOURS = 0x02
_MONTH = 0x05
_YEAR = 0x06
_TIME_REGISTERS = 7
_CONTROL = 0x0E
_STATUS = 0x0F
_AGING = 0x10
_TEMPERATURE = 0x11
_REGISTERS = 0x13

_CONTROL_RESET = 0x1C
_STATUS_RESET = 0x88
_CONV = 1 << 5
_OSF = 1 << 7
_EN32KHZ = 1 << 3
_BSY = 1 << 2
_ALARM_FLAGS = 3
_TWELVE_HOURS = 1 << 6
_PM = 1 << 5
_CENTURY = 1 << 7

_SECOND_NS = 1_000_000_000
_DAY_S = 86_400
_CONVERSION_NS = 200_000_000
_TEMPERATURE_PERIOD_NS = 64 * _SECOND_NS
_MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Ds3231:
    """A DS3231 at ``celsius``, which the rig sets whenever it likes."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        """A chip after its first power-on; ``now_ns`` is the rig's clock."""
        self.celsius = 25.0
        self._now_ns = now_ns
        self._drift_ppm = 0.0
        self._running = True
        self.reset()

    @property
    def drift_ppm(self) -> float:
        """How much faster than the rig's clock it runs, parts per million."""
        return self._drift_ppm

    @drift_ppm.setter
    def drift_ppm(self, value: float) -> None:
        self._advance()
        self._drift_ppm = value

    @property
    def oscillator_running(self) -> bool:
        """Whether the oscillator swings. Once it stops, OSF is set and the time stands still."""
        return self._running

    @oscillator_running.setter
    def oscillator_running(self, value: bool) -> None:
        self._advance()
        self._running = value
        if not value:
            self._status |= _OSF

    def reset(self) -> None:
        """Both supplies were lost: oscillator-stop flag, date at its beginning, registers at their reset values."""
        self._second = 0
        """Second of the day."""
        self._weekday = 1
        self._date = 1
        self._month = 1
        self._year = 0
        self._century = 0
        self._twelve = False
        self._alarms = bytearray(7)
        self._control = _CONTROL_RESET
        self._status = _STATUS_RESET
        self._aging = 0
        self._pointer = 0
        self._seen_ns = self._now_ns()
        self._part_ns = 0.0
        self._busy_until_ns: int | None = None
        self._measure(self._seen_ns)
        self._buffer = self._time()

    def set_time(self, year: int, month: int, date: int, hour: int, minute: int, second: int) -> None:
        """Set the calendar as a write over the bus would, from the full year 2000..2199; OSF stays as it is."""
        if not 2000 <= year <= 2199:
            raise ValueError(f"year is {year}; 2000..2199 is allowed")
        self._advance()
        self._century, self._year = divmod(year - 2000, 100)
        self._month, self._date = month, date
        self._second = hour * 3600 + minute * 60 + second
        self._part_ns = 0.0

    def write(self, data: bytes) -> bool:
        """Pointer, then registers from there on."""
        self._start()
        if data:
            self._point(data[0])
        for value in data[1:]:
            self._store(self._pointer, value)
            self._point(self._pointer + 1)
        return True

    def read(self, count: int) -> bytes:
        """Registers from the pointer on."""
        self._start()
        answer = bytearray()
        for _ in range(count):
            answer.append(self._load(self._pointer))
            self._point(self._pointer + 1)
        return bytes(answer)

    def _start(self) -> None:
        self._advance()
        self._buffer = self._time()

    def _point(self, register: int) -> None:
        self._pointer = register if register < _REGISTERS else 0
        if self._pointer == 0:
            self._buffer = self._time()

    def _load(self, register: int) -> int:
        if register < _TIME_REGISTERS:
            return self._buffer[register]
        if register < _CONTROL:
            return self._alarms[register - _TIME_REGISTERS]
        if register == _CONTROL:
            return self._control
        if register == _STATUS:
            return self._status | (_BSY if self._busy_until_ns is not None else 0)
        if register == _AGING:
            return self._aging
        return self._quarters >> 2 & 0xFF if register == _TEMPERATURE else (self._quarters & 3) << 6

    def _store(self, register: int, value: int) -> None:
        if register < _TIME_REGISTERS:
            self._store_time(register, value)
        elif register < _CONTROL:
            self._alarms[register - _TIME_REGISTERS] = value
        elif register == _CONTROL:
            if value & _CONV and self._busy_until_ns is None:
                self._busy_until_ns = self._seen_ns + _CONVERSION_NS
            self._control = value & ~_CONV | (_CONV if self._busy_until_ns is not None else 0)
        elif register == _STATUS:
            kept = self._status & value & (_OSF | _ALARM_FLAGS)
            # A stopped oscillator sets its flag again at once.
            self._status = kept | value & _EN32KHZ | (0 if self._running else _OSF)
        elif register == _AGING:
            self._aging = value

    def _store_time(self, register: int, value: int) -> None:
        hours, rest = divmod(self._second, 3600)
        minutes, seconds = divmod(rest, 60)
        if register == 0:
            seconds = _from_bcd(value & 0x7F)
            self._part_ns = 0.0
        elif register == 1:
            minutes = _from_bcd(value & 0x7F)
        elif register == _HOURS:
            self._twelve = bool(value & _TWELVE_HOURS)
            if self._twelve:
                hours = _from_bcd(value & 0x1F) % 12 + (12 if value & _PM else 0)
            else:
                hours = _from_bcd(value & 0x3F)
        elif register == 3:
            self._weekday = value & 7
        elif register == 4:
            self._date = _from_bcd(value & 0x3F)
        elif register == _MONTH:
            self._month = _from_bcd(value & 0x1F)
            self._century = value >> 7
        else:
            self._year = _from_bcd(value)
        self._second = hours * 3600 + minutes * 60 + seconds

    def _time(self) -> bytes:
        hours, rest = divmod(self._second, 3600)
        minutes, seconds = divmod(rest, 60)
        if self._twelve:
            hour = _TWELVE_HOURS | (_PM if hours >= 12 else 0) | _to_bcd((hours - 1) % 12 + 1)
        else:
            hour = _to_bcd(hours)
        month = _to_bcd(self._month) | (_CENTURY if self._century else 0)
        return bytes((
            _to_bcd(seconds), _to_bcd(minutes), hour, self._weekday, _to_bcd(self._date), month, _to_bcd(self._year),
        ))

    def _advance(self) -> None:
        now = self._now_ns()
        elapsed = now - self._seen_ns
        self._seen_ns = now
        self._convert(now)
        if not self._running or elapsed <= 0:
            return
        self._part_ns += elapsed + elapsed * self._drift_ppm * 1e-6
        seconds = int(self._part_ns // _SECOND_NS)
        self._part_ns -= seconds * _SECOND_NS
        self._tick(seconds)

    def _tick(self, seconds: int) -> None:
        self._second += seconds
        while self._second >= _DAY_S:
            self._second -= _DAY_S
            self._weekday = self._weekday % 7 + 1
            self._date += 1
            if self._date > self._days():
                self._date = 1
                self._month += 1
                if self._month > 12:
                    self._month = 1
                    self._year += 1
                    if self._year > 99:
                        self._year = 0
                        self._century ^= 1

    def _days(self) -> int:
        leap = self._month == 2 and self._year % 4 == 0
        return 29 if leap else _MONTH_DAYS[(self._month - 1) % 12]

    def _convert(self, now: int) -> None:
        if self._busy_until_ns is not None and now >= self._busy_until_ns:
            self._busy_until_ns = None
            self._control &= ~_CONV
            self._measure(now)
        elif now - self._measured_ns >= _TEMPERATURE_PERIOD_NS:
            self._measure(now)

    def _measure(self, now: int) -> None:
        self._measured_ns = now
        self._quarters = max(-512, min(511, round(self.celsius * 4.0)))


def _from_bcd(value: int) -> int:
    return (value >> 4) * 10 + (value & 0xF)


def _to_bcd(value: int) -> int:
    tens, ones = divmod(value % 100, 10)
    return tens << 4 | ones
