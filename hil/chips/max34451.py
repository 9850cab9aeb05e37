"""Plays a MAX34451 supervisor: sixteen rails and five temperature sensors by PAGE, switching, limits, peaks and status.

Facts: Maxim 19-6568 (MAX34451), Tables 3 (commands, pages, defaults), 5 and 6 (direct format), 10 to 13 (OPERATION,
ON_OFF_CONFIG), 14 (WRITE_PROTECT) and "Fault Management": PAGE 0..11 rails with a power-supply enable, 12..15 further
inputs, 16 internal and 17..20 external temperatures, 255 all. Voltage 1 mV, current 0.01 A, temperature 0.01 deg C
(7FFFh a faulty, 0000h a disabled sensor), times 0.2 ms. Identity are bytes: 99h 4Dh, 9Ah 59h; 9Bh is a word.
CAPABILITY 20h: no packet error code; one more byte than a command has is refused (CML, DATA_FAULT) or read as FFh.
Status bits as Tables of STATUS_WORD, STATUS_VOUT, STATUS_CML and STATUS_MFR_SPECIFIC of the MAX34440 family.
MFR_CHANNEL_CONFIG E4h, bits 5..0: 10h sequencing and voltage, 20h voltage, 21h voltage without limits, 22h current,
23h current without limits, 30h and 34h general-purpose input, 00h off. MFR_TEMP_SENSOR_CONFIG F0h, bit 15: sensor
enabled. The over-current limits are 46h fault and 4Ah warning from revision 0012h on, and the other way round before.
Peaks: D4h, D5h, D6h, D7h; writing sets them back (0000h, 0000h, 8000h, 7FFFh).

Played more simply: a fault is reported and latched, and the rail stays as it was commanded (fault response 0); every
rail is in SEQUENCE0, and which of them bias alone closes is given instead of read from MFR_SEQ_CONFIG; limits act while
the rail is commanded on, the lower ones once POWER_GOOD_ON was reached; READ_VOUT of a current channel and READ_IOUT of
a voltage channel read 0. Not there: margining in closed loop, fault log, flash, and the registers of four bytes (D2h,
D9h, DDh, E7h, E8h), which answer as unsupported.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from hil.chips.smbus import Command, Refusal, SmbusTarget, block

__all__ = ["Max34451"]

_RAILS = 16
_SWITCHED = 12
_SENSORS = 5
_FIRST_SENSOR = 16
_PAGES = 21
_ALL = 0xFF

_SELECT = 0x3F
_SEQUENCED = 0x10
_VOLTAGE = 0x20
_VOLTAGE_ONLY = 0x21
_CURRENT = 0x22
_CURRENT_ONLY = 0x23
_GPI_LOW = 0x30
_GPI_HIGH = 0x34
_MEASURES_V = (_SEQUENCED, _VOLTAGE, _VOLTAGE_ONLY)
_MEASURES_A = (_CURRENT, _CURRENT_ONLY)
_LIMITED = (_SEQUENCED, _VOLTAGE, _CURRENT)

# STATUS_WORD
_VOUT = 1 << 15
_IOUT = 1 << 14
_MFR = 1 << 12
_POWER_BAD = 1 << 11
_VOUT_OV = 1 << 5
_IOUT_OC = 1 << 4
_TEMPERATURE = 1 << 2
_CML = 1 << 1
_NONE_ABOVE = 1 << 0
# STATUS_VOUT
_OV_FAULT, _OV_WARN, _UV_WARN, _UV_FAULT, _TON_MAX = 1 << 7, 1 << 6, 1 << 5, 1 << 4, 1 << 2
# STATUS_CML
_COMM_FAULT, _DATA_FAULT = 1 << 7, 1 << 6
# STATUS_MFR_SPECIFIC
_MFR_OFF, _OT_WARN, _OT_FAULT, _MFR_POWER_BAD, _OC_FAULT, _OC_WARN = 1 << 7, 1 << 6, 1 << 5, 1 << 2, 1 << 1, 1 << 0

_FAULTY = 0x7FFF
_SENSOR_ENABLED = 1 << 15
_SWAPPED_BEFORE = 0x0012
_TICK_NS = 200_000
_OPERATIONS = frozenset({0x00, 0x40, 0x80, 0x94, 0x98, 0xA4, 0xA8})
_GROUPS = frozenset({0x01, 0x02, 0x41, 0x42, 0x81, 0x82})
"""Values of OPERATION that only PAGE 255 knows: the upper bits for one sequence."""
_PROTECTION = {0x80: frozenset(), 0x40: frozenset({0x00, 0x01}), 0x20: frozenset({0x00, 0x01, 0x02})}
"""WRITE_PROTECT values and what may be written besides WRITE_PROTECT itself."""

# Words per rail with their reset values; the lower bounds of pages are 0.
_RAIL_WORDS = {
    0x2A: 0x7FFF, 0x38: 0x0000, 0x40: 0x7FFF, 0x42: 0x7FFF, 0x43: 0x0000, 0x44: 0x0000, 0x46: 0x7FFF, 0x4A: 0x7FFF,
    0x5E: 0x0000, 0x5F: 0x0000, 0xD4: 0x0000, 0xD5: 0x0000, 0xD7: 0x7FFF, 0xE4: 0x0000,
}
_SWITCHED_WORDS = {0x25: 0x0000, 0x26: 0x0000, 0x60: 0x0000, 0x62: 0xFFFF, 0x64: 0x0000, 0xDF: 0x0000, 0xE6: 0x0000}
_SENSOR_WORDS = {0x4F: 0x7FFF, 0x51: 0x7FFF, 0xD6: 0x8000, 0xF0: 0x0000}
_COMMON_WORDS = {0xD1: 0x0000, 0xD8: 0x0000, 0xDA: 0x0000}
_WATCHED = frozenset({0x78, 0x79, 0x7A, 0x80, 0xD4, 0xD5, 0xD6, 0xD7})
"""Commands whose answer depends on what was compared up to now; the others do not pay for it."""
_SET_BACK = {0xD4: 0x0000, 0xD5: 0x0000, 0xD6: 0x8000, 0xD7: 0x7FFF}


def _signed16(word: int) -> int:
    return word - 0x10000 if word & 0x8000 else word


class Max34451(SmbusTarget):
    """A MAX34451. The rig sets voltages, currents and temperatures, and hears of every switched rail.

    Limits and peaks act on what stands at a call of :meth:`advance` or at a read of status or peaks.

    Attributes:
        voltages_v: voltage of each rail, 16 values.
        currents_a: current of each rail, 16 values.
        temperatures_c: internal sensor and four external ones; ``None`` for a sensor that does not answer.
        on_switch: called with page and state when a rail is switched on or off.
    """

    def __init__(
        self,
        now_ns: Callable[[], int],
        address: int = 0x74,
        *,
        channels: Sequence[int] = (_SEQUENCED,) * _SWITCHED + (_VOLTAGE,) * (_RAILS - _SWITCHED),
        sensors: Sequence[bool] = (True,) * _SENSORS,
        on_at_power_up: bool | Collection[int] = False,
        revision: int = 0x0012,
        on_switch: Callable[[int, bool], None] | None = None,
    ) -> None:
        """A chip after power-on, its flash as the board's maker left it.

        Args:
            now_ns: the rig's clock.
            address: 7-bit address.
            channels: MFR_CHANNEL_CONFIG of each rail in flash, 16 values.
            sensors: which temperature sensors flash enables, 5 values.
            on_at_power_up: whether ON_OFF_CONFIG in flash closes the sequenced rails as soon as there is bias; or the
                pages that it closes, while the others wait for OPERATION.
            revision: what MFR_REVISION reads.
            on_switch: see the attribute.
        """
        super().__init__(address, pec=False)
        if len(channels) != _RAILS or len(sensors) != _SENSORS:
            raise ValueError(f"{_RAILS} channels and {_SENSORS} sensors are needed")
        self.voltages_v = [0.0] * _RAILS
        self.currents_a = [0.0] * _RAILS
        self.temperatures_c: list[float | None] = [25.0] * _SENSORS
        self.on_switch = on_switch
        self._now_ns = now_ns
        self._channels = tuple(channels)
        self._sensors = tuple(sensors)
        closes = range(_SWITCHED) if on_at_power_up is True else on_at_power_up or ()
        self._on_at_power_up = tuple(page in closes for page in range(_SWITCHED))
        self._revision = revision
        self._oc_fault, self._oc_warn = (0x46, 0x4A) if revision >= _SWAPPED_BEFORE else (0x4A, 0x46)
        self._on = [False] * _RAILS
        self._page_commands = self._build()
        self.reset()

    def reset(self) -> None:
        """Power-on or /RST: RAM from flash, rails off unless flash closes them, status clear."""
        self._pending = None
        self._page = 0
        self._words: list[dict[int, int]] = []
        for page in range(_PAGES):
            words: dict[int, int] = {}
            if page < _RAILS:
                words.update(_RAIL_WORDS)
                words[0xE4] = self._channels[page]
            if page < _SWITCHED:
                words.update(_SWITCHED_WORDS)
            if page >= _FIRST_SENSOR:
                words.update(_SENSOR_WORDS)
                words[0xF0] = _SENSOR_ENABLED if self._sensors[page - _FIRST_SENSOR] else 0
            self._words.append(words)
        self._common = dict(_COMMON_WORDS)
        self._on_off_config = 0x0A if any(self._on_at_power_up) else 0x1A
        self._protect = 0
        self._cml = 0
        self._status_vout = [0] * _RAILS
        self._status_mfr = [0] * _PAGES
        self._was_good = [False] * _RAILS
        self._operations = [0x80 if closes else 0x00 for closes in self._on_at_power_up]
        self._operation_all = self._operations[0]
        self._commanded = [False] * _SWITCHED
        self._since_ns = [0] * _SWITCHED
        self._due: dict[int, tuple[int, bool]] = {}
        for page in range(_SWITCHED):
            if self._on[page]:
                self._switch(page, False)
        for page, closes in enumerate(self._on_at_power_up):
            if closes:
                self._order(page, True, delayed=True)
        self.advance()

    @property
    def on(self) -> tuple[bool, ...]:
        """Which of the switched rails, pages 0..11, are closed now."""
        return tuple(self._on[:_SWITCHED])

    def advance(self) -> None:
        """Switch what is due and compare measurements with limits."""
        now = self._now_ns()
        if self._due:
            for page, (due_ns, on) in tuple(self._due.items()):
                if now >= due_ns:
                    del self._due[page]
                    self._switch(page, on)
        for page in range(_RAILS):
            self._watch_rail(page, now)
        for sensor in range(_SENSORS):
            self._watch_sensor(sensor)

    # -- switching

    def _order(self, page: int, on: bool, *, delayed: bool) -> None:
        if self._words[page][0xE4] & _SELECT != _SEQUENCED:
            return
        self._commanded[page] = on
        delay = self._words[page][0x60 if on else 0x64] * _TICK_NS if delayed else 0
        if delay:
            self._due[page] = (self._now_ns() + delay, on)
        else:
            self._due.pop(page, None)
            self._switch(page, on)

    def _switch(self, page: int, on: bool) -> None:
        if self._on[page] == on:
            return
        self._on[page] = on
        self._since_ns[page] = self._now_ns()
        self._was_good[page] = False
        if self.on_switch is not None:
            self.on_switch(page, on)

    def _operate(self, data: bytes) -> bool:
        value = data[0]
        everywhere = self._page == _ALL
        if value not in _OPERATIONS and not (everywhere and value in _GROUPS):
            return False
        if not self._on_off_config & 0x08:
            return True
        if value in _GROUPS:
            if value & 3 == 2:  # SEQUENCE1, to which no rail belongs here
                return True
            value &= 0xC0
        pages = range(_SWITCHED) if everywhere else (self._page,)
        for page in pages:
            self._operations[page] = value
            self._order(page, bool(value & 0x80), delayed=value != 0x00)
        if everywhere:
            self._operation_all = value
        self.advance()
        return True

    # -- measuring

    def _select(self, page: int) -> int:
        return self._words[page][0xE4] & _SELECT

    def _millivolts(self, page: int) -> int:
        select = self._select(page)
        if select in _MEASURES_V:
            return max(0, min(0x7FFF, round(self.voltages_v[page] * 1000.0)))
        if select in (_GPI_LOW, _GPI_HIGH):
            high = self.voltages_v[page] > 0.5
            return int(high == (select == _GPI_HIGH))
        return 0

    def _centiamperes(self, page: int) -> int:
        if self._select(page) not in _MEASURES_A:
            return 0
        return max(0, min(0x7FFF, round(self.currents_a[page] * 100.0)))

    def _centidegrees(self, sensor: int) -> int:
        if not self._words[_FIRST_SENSOR + sensor][0xF0] & _SENSOR_ENABLED:
            return 0
        celsius = self.temperatures_c[sensor]
        if celsius is None:
            return _FAULTY
        return max(-0x8000, min(0x7FFE, round(celsius * 100.0)))

    def _active(self, page: int) -> bool:
        """Whether limits act: a sequenced rail must be closed."""
        return self._on[page] if self._select(page) == _SEQUENCED else True

    def _watch_rail(self, page: int, now: int) -> None:
        words = self._words[page]
        select = words[0xE4] & _SELECT
        if select in _MEASURES_V:
            value = self._millivolts(page)
            if value > words[0xD4]:
                words[0xD4] = value
            if self._active(page):
                if value >= words[0x5E]:
                    self._was_good[page] = True
                if self._was_good[page] and value < words[0xD7]:
                    words[0xD7] = value
                if select in _LIMITED:
                    self._limit_voltage(page, value, words, now)
        elif select in _MEASURES_A:
            value = self._centiamperes(page)
            if value > words[0xD5]:
                words[0xD5] = value
            if select in _LIMITED:
                if value > words[self._oc_fault]:
                    self._status_mfr[page] |= _OC_FAULT
                if value > words[self._oc_warn]:
                    self._status_mfr[page] |= _OC_WARN

    def _limit_voltage(self, page: int, value: int, words: dict[int, int], now: int) -> None:
        bits = 0
        if value > words[0x40]:
            bits |= _OV_FAULT
        if value > words[0x42]:
            bits |= _OV_WARN
        if self._was_good[page]:
            if value < words[0x43]:
                bits |= _UV_WARN
            if value < words[0x44]:
                bits |= _UV_FAULT
        elif page < _SWITCHED and words[0x62] and now - self._since_ns[page] > words[0x62] * _TICK_NS:
            bits |= _TON_MAX
        self._status_vout[page] |= bits

    def _watch_sensor(self, sensor: int) -> None:
        page = _FIRST_SENSOR + sensor
        words = self._words[page]
        if not words[0xF0] & _SENSOR_ENABLED or self.temperatures_c[sensor] is None:
            return
        value = self._centidegrees(sensor)
        if value > _signed16(words[0xD6]):
            words[0xD6] = value & 0xFFFF
        if value > _signed16(words[0x4F]):
            self._status_mfr[page] |= _OT_FAULT
        if value > _signed16(words[0x51]):
            self._status_mfr[page] |= _OT_WARN

    # -- status

    def _power_bad(self, page: int) -> bool:
        """POWER_GOOD# is live: below POWER_GOOD_OFF after the rail was once good, or not good yet."""
        if page >= _RAILS or self._select(page) not in (_SEQUENCED, _VOLTAGE) or not self._active(page):
            return False
        return not self._was_good[page] or self._millivolts(page) < self._words[page][0x5F]

    def _mfr(self, page: int) -> int:
        bits = self._status_mfr[page]
        if page < _SWITCHED and self._select(page) == _SEQUENCED and not self._on[page]:
            bits |= _MFR_OFF
        if self._power_bad(page):
            bits |= _MFR_POWER_BAD
        return bits

    def _status_iout(self, page: int) -> int:
        """PMBus 17.4: over-current fault bit 7, warning bit 5."""
        mfr = self._status_mfr[page]
        return (0x80 if mfr & _OC_FAULT else 0) | (0x20 if mfr & _OC_WARN else 0)

    def _status_temperature(self, page: int) -> int:
        """PMBus 17.6: over-temperature fault bit 7, warning bit 6."""
        mfr = self._status_mfr[page]
        return (0x80 if mfr & _OT_FAULT else 0) | (0x40 if mfr & _OT_WARN else 0)

    def _status_of(self, page: int) -> int:
        bits = 0
        mfr = self._mfr(page)
        if page < _RAILS:
            vout = self._status_vout[page]
            if vout:
                bits |= _VOUT
            if vout & _OV_FAULT:
                bits |= _VOUT_OV
            if mfr & (_OC_FAULT | _OC_WARN):
                bits |= _IOUT
            if mfr & _OC_FAULT:
                bits |= _IOUT_OC
            if self._power_bad(page):
                bits |= _POWER_BAD
        elif mfr & (_OT_FAULT | _OT_WARN):
            bits |= _TEMPERATURE
        if mfr:
            bits |= _MFR
        return bits

    def _status_word(self) -> int:
        if self._page == _ALL:
            bits = 0
            for page in range(_PAGES):
                bits |= self._status_of(page)
        else:
            bits = self._status_of(self._page)
        if bits & ~_POWER_BAD and not bits & (_VOUT_OV | _IOUT_OC | _TEMPERATURE):
            bits |= _NONE_ABOVE
        if self._cml:
            bits |= _CML
        return bits

    def _clear_faults(self, _: bytes) -> bool:
        self._status_vout = [0] * _RAILS
        self._status_mfr = [0] * _PAGES
        self._cml = 0
        self.advance()  # what is still wrong is set again at once
        return True

    def _refuse(self, why: Refusal) -> bool:
        super()._refuse(why)
        if why is Refusal.TOO_FEW_BYTES:
            return True
        self._cml |= _COMM_FAULT if why in (Refusal.UNSUPPORTED_COMMAND, Refusal.WRITE_ONLY) else _DATA_FAULT
        return True

    # -- commands

    def write(self, data: bytes) -> bool:
        """As SmbusTarget; bytes are always acknowledged, and what is wrong with them stands in STATUS_CML."""
        if self._due or (data and data[0] in _WATCHED):
            self.advance()
        if len(data) > 1 and self._protect and data[0] != 0x10 and data[0] not in _PROTECTION[self._protect]:
            return True  # no fault is generated by a write to a protected area
        return super().write(data)

    def _lookup(self, code: int) -> Command | None:
        entry = self._page_commands.get(code)
        if entry is None:
            return None
        pages, command = entry
        if pages is None or self._page in pages:
            return command
        if self._page == _ALL and command.write is not None:
            # PAGE 255 writes every page that has the command; only commands listed for it can be read.
            return Command(command.size, None, command.write)
        return None

    def _build(self) -> dict[int, tuple[frozenset[int] | None, Command]]:
        rails = frozenset(range(_RAILS))
        switched = frozenset(range(_SWITCHED))
        sensors = frozenset(range(_FIRST_SENSOR, _PAGES))

        def byte(value: Callable[[], int]) -> Command:
            return Command(1, lambda: bytes((value(),)))

        def word(value: Callable[[], int]) -> Command:
            return Command(2, lambda: (value() & 0xFFFF).to_bytes(2, "little"))

        def kept(code: int) -> Command:
            return Command(
                2,
                lambda: self._words[self._page][code].to_bytes(2, "little"),
                lambda data: self._set_word(code, int.from_bytes(data, "little")),
            )

        def common(code: int) -> Command:
            return Command(
                2,
                lambda: self._common[code].to_bytes(2, "little"),
                lambda data: self._set_common(code, int.from_bytes(data, "little")),
            )

        text = Command(None, lambda: block(b"10101010"))
        nothing = Command(0, None, lambda _: True)
        table: dict[int, tuple[frozenset[int] | None, Command]] = {
            0x00: (None, Command(1, lambda: bytes((self._page,)), self._set_page)),
            0x01: (switched | {_ALL}, Command(1, self._operation, self._operate)),
            0x02: (None, Command(1, lambda: bytes((self._on_off_config,)), self._set_on_off_config)),
            0x03: (None, Command(0, None, self._clear_faults)),
            0x10: (None, Command(1, lambda: bytes((self._protect,)), self._set_protect)),
            0x11: (None, nothing), 0x12: (None, nothing), 0xEE: (None, nothing), 0xEF: (None, nothing),
            0x19: (None, byte(lambda: 0x20)),
            0x20: (None, byte(lambda: 0x40)),
            0x78: (None, byte(lambda: self._status_word() & 0xFF)),
            0x79: (None, word(self._status_word)),
            0x7A: (rails, byte(lambda: self._status_vout[self._page])),
            0x7B: (rails, byte(lambda: self._status_iout(self._page))),
            0x7D: (sensors, byte(lambda: self._status_temperature(self._page))),
            0x7E: (None, byte(lambda: self._cml)),
            0x80: (rails | sensors, byte(lambda: self._mfr(self._page))),
            0x8B: (rails, word(lambda: self._millivolts(self._page))),
            0x8C: (rails, word(lambda: self._centiamperes(self._page))),
            0x8D: (sensors, word(lambda: self._centidegrees(self._page - _FIRST_SENSOR))),
            0x98: (None, byte(lambda: 0x11)),
            0x99: (None, byte(lambda: 0x4D)),
            0x9A: (None, byte(lambda: 0x59)),
            0x9B: (None, word(lambda: self._revision)),
            0x9C: (None, text), 0x9D: (None, text), 0x9E: (None, text),
            0xE2: (rails, word(lambda: self._centiamperes(self._page))),
        }
        for code in _RAIL_WORDS:
            table[code] = (rails, kept(code))
        for code in _SWITCHED_WORDS:
            table[code] = (switched, kept(code))
        for code in _SENSOR_WORDS:
            table[code] = (sensors, kept(code))
        for code in _COMMON_WORDS:
            table[code] = (None, common(code))
        return table

    def _operation(self) -> bytes:
        return bytes((self._operation_all if self._page == _ALL else self._operations[self._page],))

    def _set_page(self, data: bytes) -> bool:
        if data[0] >= _PAGES and data[0] != _ALL:
            return False
        self._page = data[0]
        return True

    def _set_word(self, code: int, value: int) -> bool:
        value = _SET_BACK.get(code, value)
        for page in range(_PAGES) if self._page == _ALL else (self._page,):
            if code in self._words[page]:
                self._words[page][code] = value
        return True

    def _set_common(self, code: int, value: int) -> bool:
        self._common[code] = value
        return True

    def _set_on_off_config(self, data: bytes) -> bool:
        self._on_off_config = data[0] & 0x3F
        return True

    def _set_protect(self, data: bytes) -> bool:
        if data[0] != 0 and data[0] not in _PROTECTION:
            return False
        self._protect = data[0]
        return True
