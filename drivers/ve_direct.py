"""Victron VE.Direct, solar charger on a serial port: a sample is one text block whose sum is good, whatever else came.

Text: Victron "VE.Direct protocol", version 3.33, 19200 baud, once a second a block of fields CR LF label TAB value,
the last of them ``Checksum`` with one byte that makes the sum of all bytes of the block 0 modulo 256. HEX: Victron
"BlueSolar HEX protocol": ``:``, command (one digit), bytes as two digits, check, LF; command, bytes and check add up to
55h. Get (7), set (8) and unasked (A) frames carry register (little-endian), flags, value. A HEX frame may stand
anywhere in the text, even inside a field, and is no part of its sum.

The parser is a state machine of three states. It holds one block and one HEX frame, both bounded; a block that lost
a byte fails its sum and is refused, the next one is whole again. It never raises for what arrives. The charger has no
register to prove a zero by; a zero in a block with a good sum is what it says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum, unique

from msgspec import Struct

from drivers.bus.protocol import SerialBus
from drivers.device import NOWHERE, Codec, Oracle, OracleKind, Place
from drivers.errors import Cause, DeviceError
from drivers.samples import SolarSample
from drivers.serial_frames import StreamCounters

__all__ = [
    "CODECS", "ORACLES", "Counters", "Device", "HexFrame", "Settings", "SolarHistory", "field", "hex_frame", "hex_get",
    "hex_set", "history", "solar", "text_block",
]

ORACLES = (
    Oracle(OracleKind.CAPTURE, "fields of a BlueSolar 75/10, HEX frames of an MPPT 70/15 and an Orion XS"),
    Oracle(OracleKind.PROTOCOL, "HEX examples of Victron's VE.Direct questions and answers"),
)

READ_LIMIT = 512
"""Bytes taken a poll; 19200 baud bring 10 in 5 ms."""
BLOCK_LIMIT = 1024
"""A block has at most 22 fields of 9 + 33 characters (version 3.33, section 2)."""
HEX_LIMIT = 256
"""Digits of a HEX frame; the longest known, a day of history, has 113."""
ANSWERS_KEPT = 16

LAST_FIELD = b"\r\nChecksum\t"
_TAB, _COLON, _LINE_FEED = b"\t:\n"
_DIGITS = b"0123456789ABCDEFabcdef"
HEX_SUM = 0x55

COMMAND_GET = 0x7
COMMAND_SET = 0x8
COMMAND_ASYNC = 0xA
_WITH_REGISTER = (COMMAND_GET, COMMAND_SET, COMMAND_ASYNC)
_FLAGS = ((1 << 0, "unknown register"), (1 << 1, "not supported"), (1 << 2, "parameter error"))

STATES = {
    0: "off", 1: "low power", 2: "fault", 3: "bulk", 4: "absorption", 5: "float", 6: "storage", 7: "equalize",
    9: "inverting", 11: "power supply", 245: "starting-up", 246: "repeated absorption", 247: "auto equalize",
    248: "battery safe", 252: "external control",
}
"""Field CS."""
_CHARGING = frozenset({3, 4, 5, 6, 7, 246, 247, 248})
_NOT_CHARGING = frozenset({0, 1, 2, 9, 245})
ERRORS = {
    2: "battery voltage too high", 17: "charger temperature too high", 18: "charger over current",
    19: "charger current reversed", 20: "bulk time limit exceeded", 21: "current sensor issue",
    26: "terminals overheated", 28: "converter issue", 33: "input voltage too high", 34: "input current too high",
    38: "input shutdown, battery voltage too high", 39: "input shutdown, current flow in off mode",
    65: "lost communication with one of the devices", 66: "synchronised charging configuration issue",
    67: "BMS connection lost", 68: "network misconfigured", 116: "factory calibration data lost",
    117: "invalid firmware", 119: "user settings invalid",
}
"""Field ERR; 0 is none."""

_SCALES = {
    "V": 1e-3, "VPV": 1e-3, "I": 1e-3, "IL": 1e-3, "PPV": 1.0, "H19": 0.01, "H20": 0.01, "H21": 1.0, "H22": 0.01,
    "H23": 1.0, "HSDS": 1.0,
}
"""Fields that are numbers, in V, A, W, kWh and days."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """The charger is set with the maker's own tools."""


@dataclass(slots=True)
class Counters(StreamCounters):
    """What came down the line since start. ``frames`` are text blocks with a good sum."""

    hex_frames: int = 0
    """HEX frames with a good sum."""
    hex_refused: int = 0
    not_solar: int = 0
    """Good blocks of another product (counted as refused too)."""


@dataclass(frozen=True, slots=True)
class HexFrame:
    """One HEX frame. ``register`` and ``flags`` are ``None`` for commands that carry none."""

    command: int
    register: int | None
    flags: int | None
    value: bytes

    @property
    def errors(self) -> tuple[str, ...]:
        """What the charger holds against a request, from the flags."""
        return tuple(text for bit, text in _FLAGS if (self.flags or 0) & bit)


@dataclass(frozen=True, slots=True)
class SolarHistory:
    """The charger's own totals; ``None`` for fields that the block lacked."""

    yield_total_kwh: float | None
    yield_today_kwh: float | None
    power_max_today_w: float | None
    yield_yesterday_kwh: float | None
    power_max_yesterday_w: float | None
    day: int | None
    """Days since the history began, 0..364."""


def field(data: bytes, place: Place = NOWHERE) -> tuple[str, float | str | None]:
    """Label and value of one text field, ``\\r\\n`` + label + ``\\t`` + value: a number in V, A, W, kWh or days; a word
    for CS and ERR; ``None`` for a value that the charger does not know (``---``); else the characters.

    Raises:
        DeviceError: PROTOCOL for anything that is no field; IMPLAUSIBLE for a number that is none.
    """
    if not data.startswith(b"\r\n"):
        raise place.error(Cause.PROTOCOL, "a field begins with CR LF")
    label, tab, text = data[2:].partition(b"\t")
    if not tab or not label or not data.isascii() or any(end in part for end in b"\r\n" for part in (label, text)):
        raise place.error(Cause.PROTOCOL, "not a field: label, TAB, value")
    name = label.decode("ascii")
    word = text.decode("ascii")
    if word == "---":
        return name, None
    scale = _SCALES.get(name)
    if scale is not None:
        return name, _integer(name, word, place) * scale
    if name == "CS":
        code = _integer(name, word, place)
        return name, STATES.get(code, f"state {code}")
    if name == "ERR":
        code = _integer(name, word, place)
        return name, ERRORS.get(code, f"error {code}") if code else ""
    return name, word


def text_block(data: bytes, place: Place = NOWHERE) -> dict[str, str]:
    """Fields of one block, as characters, without the checksum.

    Raises:
        DeviceError: CHECKSUM; PROTOCOL for a block that is no sequence of fields.
    """
    if not data.startswith(b"\r\n") or data[-1 - len(LAST_FIELD) : -1] != LAST_FIELD:
        raise place.error(Cause.PROTOCOL, "a block runs from CR LF to its checksum")
    if sum(data) & 0xFF:
        raise place.error(Cause.CHECKSUM, "sum of a block is not 0")
    fields: dict[str, str] = {}
    for line in data[2 : -1 - len(LAST_FIELD)].split(b"\r\n"):
        label, tab, value = line.partition(b"\t")
        if not tab or not label or not line.isascii():
            raise place.error(Cause.PROTOCOL, "a line of the block is no field")
        fields[label.decode("ascii")] = value.decode("ascii")
    return fields


def solar(fields: dict[str, str], place: Place = NOWHERE) -> SolarSample:
    """Sample of one block. Text has neither the array's current nor a temperature.

    Raises:
        DeviceError: WRONG_ID for a block of no solar charger; IMPLAUSIBLE for a number that is none.
    """
    if "CS" not in fields or not ("PPV" in fields or "VPV" in fields):
        raise place.error(Cause.WRONG_ID, "block is of no solar charger")
    code = _integer("CS", fields["CS"], place)
    error = _integer("ERR", fields["ERR"], place) if "ERR" in fields else 0
    return SolarSample(
        _number(fields, "VPV", place), None, _number(fields, "PPV", place), _number(fields, "V", place),
        _number(fields, "I", place), None,
        True if code in _CHARGING else False if code in _NOT_CHARGING else None, STATES.get(code, f"state {code}"),
        (f"{ERRORS.get(error, 'error')} ({error})",) if error else (),
    )


def history(fields: dict[str, str], place: Place = NOWHERE) -> SolarHistory:
    """Totals of one block. Raises IMPLAUSIBLE for a number that is none."""
    day = _number(fields, "HSDS", place)
    return SolarHistory(
        _number(fields, "H19", place), _number(fields, "H20", place), _number(fields, "H21", place),
        _number(fields, "H22", place), _number(fields, "H23", place), None if day is None else int(day),
    )


def hex_frame(data: bytes, place: Place = NOWHERE) -> HexFrame:
    """One HEX frame, from the colon; the line feed may be missing.

    Raises:
        DeviceError: PROTOCOL for another form; CHECKSUM; SHORT_READ for a get, set or unasked frame without register.
    """
    digits = data[1:-1] if data.endswith(b"\n") else data[1:]
    if not data.startswith(b":") or len(digits) < 3 or len(digits) % 2 == 0 or digits.translate(None, _DIGITS):
        raise place.error(Cause.PROTOCOL, "not a HEX frame")
    command = int(digits[:1], 16)
    body = bytes.fromhex(digits[1:].decode("ascii"))
    if command + sum(body) & 0xFF != HEX_SUM:
        raise place.error(Cause.CHECKSUM, "sum of a HEX frame is not 55h")
    if command not in _WITH_REGISTER:
        return HexFrame(command, None, None, body[:-1])
    if len(body) < 4:
        raise place.error(Cause.SHORT_READ, "HEX frame without register and flags")
    return HexFrame(command, body[0] | body[1] << 8, body[2], body[3:-1])


def hex_get(register: int) -> bytes:
    """Request of one register. Raises ValueError for a register that is no 16-bit number."""
    return _encoded(COMMAND_GET, register, b"")


def hex_set(register: int, value: bytes) -> bytes:
    """Order to set one register; ``value`` is little-endian, as long as the register. Raises as ``hex_get``."""
    return _encoded(COMMAND_SET, register, value)


def _encoded(command: int, register: int, value: bytes) -> bytes:
    if not 0 <= register <= 0xFFFF:
        raise ValueError(f"register {register:x}h has more than 16 bits")
    body = bytes((register & 0xFF, register >> 8, 0)) + value
    check = HEX_SUM - command - sum(body) & 0xFF
    return f":{command:X}{body.hex().upper()}{check:02X}\n".encode("ascii")


def _integer(name: str, text: str, place: Place) -> int:
    digits = text[1:] if text[:1] in ("-", "+") else text
    if not digits.isdecimal() or len(digits) > 10:
        raise place.error(Cause.IMPLAUSIBLE, f"{name} is no number: {text[:16]!r}")
    return int(text)


def _number(fields: dict[str, str], name: str, place: Place) -> float | None:
    text = fields.get(name)
    if text is None or text == "---":
        return None
    return _integer(name, text, place) * _SCALES[name]


def _solar_of_block(data: bytes) -> tuple[SolarSample, SolarHistory]:
    fields = text_block(data)
    return solar(fields), history(fields)


CODECS = (
    Codec("text block", _solar_of_block, None), Codec("text field", field, None), Codec("HEX frame", hex_frame, None),
)


@unique
class _State(Enum):
    TEXT = 0
    CHECK = 1
    HEX = 2


class Device:
    """One VE.Direct solar charger.

    Args:
        bus: the serial port.
        address: none on a serial port.
        settings: nothing to set.
    """

    __slots__ = ("_block", "_bus", "_hex", "_state", "answers", "counters", "history", "place", "settings")

    def __init__(self, bus: SerialBus, address: int | None, settings: Settings) -> None:
        self.place = Place(bus.name, address)
        self.settings = settings
        self.counters = Counters()
        self.history: SolarHistory | None = None
        """Totals of the newest block."""
        self.answers: deque[HexFrame] = deque(maxlen=ANSWERS_KEPT)
        """HEX frames that have come; the oldest are dropped."""
        self._bus = bus
        self._block = bytearray()
        self._hex = bytearray()
        self._state = _State.TEXT

    def initialise(self) -> Generator[None, None, None]:
        """Nothing to set: the charger speaks unasked. Forgets a block half received."""
        yield from ()
        self._block.clear()
        self._hex.clear()
        self._state = _State.TEXT

    def request(self, register: int) -> None:
        """Ask for one HEX register: one write. An answer joins ``answers`` some polls later."""
        self._bus.write(hex_get(register))

    def poll(self, now_ns: int) -> SolarSample | None:  # noqa: ARG002 - the plane's protocol hands every driver the time
        """Newest whole block since the last call, as a sample. Never blocks. Raises what the port raises."""
        newest: SolarSample | None = None
        block = self._block
        for byte in self._bus.read(READ_LIMIT):
            if self._state is _State.TEXT:
                if byte == _COLON:
                    self._begin_hex()
                    continue
                block.append(byte)
                if byte == _TAB and block.endswith(LAST_FIELD):
                    self._state = _State.CHECK
                elif len(block) > BLOCK_LIMIT:
                    self.counters.skipped_bytes += len(block)
                    block.clear()
            elif self._state is _State.CHECK:
                block.append(byte)
                newest = self._take_block(bytes(block)) or newest
                block.clear()
                self._state = _State.TEXT
            else:
                self._take_digit(byte)
        return newest

    def _take_block(self, data: bytes) -> SolarSample | None:
        counters = self.counters
        try:
            fields = text_block(data, self.place)
            counters.frames += 1
            sample = solar(fields, self.place)
            totals = history(fields, self.place)
        except DeviceError as error:
            counters.refused += 1
            counters.not_solar += error.cause is Cause.WRONG_ID
            counters.skipped_bytes += len(data)
            return None
        self.history = totals
        return sample

    def _begin_hex(self) -> None:
        self._hex[:] = b":"
        self._state = _State.HEX

    def _take_digit(self, byte: int) -> None:
        """One byte of a HEX frame. A byte that can't be one ends it and is the first of what follows."""
        if byte in _DIGITS and len(self._hex) < HEX_LIMIT:
            self._hex.append(byte)
            return
        self._state = _State.TEXT
        if byte == _LINE_FEED:
            try:
                frame = hex_frame(bytes(self._hex), self.place)
            except DeviceError:
                self._refuse_hex()
                return
            self.counters.hex_frames += 1
            self.answers.append(frame)
            return
        self._refuse_hex()
        if byte == _COLON:
            self._begin_hex()
        else:
            self._block.append(byte)

    def _refuse_hex(self) -> None:
        self.counters.hex_refused += 1
        self.counters.skipped_bytes += len(self._hex)
