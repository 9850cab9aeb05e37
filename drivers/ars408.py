"""Continental ARS408-21 radar: one scan a measurement cycle, and none while the radar calls itself faulty.

Every id is a base plus 10h x sensor id (0..7). Big-endian bit order; a signal's most significant bit is named.

====  ======================================================================================================
200h  configuration, to the radar; a value counts only with its valid bit
201h  state: configuration in force, persistent, temporary, temperature and voltage error, interference (1 Hz)
60Ah  list header: number of objects (7|8), measurement counter (15|16), interface version (31|4)
60Bh  object, general: id (7|8), DistLong (15|13, 0.2 m - 500), DistLat (18|11, 0.2 m - 204.6),
      VrelLong (39|10, 0.25 m/s - 128), VrelLat (45|9, 0.25 m/s - 64), dynamic property (50|3), RCS (63|8, 0.5 - 64)
60Ch  object, quality: standard deviations as table codes, probability of existence, measurement state
60Dh  object, extended: accelerations, class, orientation, size
700h  firmware version
====  ======================================================================================================

Source: the signal database ``ARS408_can_database_ch0`` that a distributor hands out with the part, and the value
tables in it. Apollo and ArduPilot decode 60Bh alike. For 60Ah some programs read the counter from bytes 2 and 3; the
database puts it into bytes 1 and 2. Lateral values are positive to the left of the forward direction, as in
``RadarObject``: the frame is forward, left, up, in which ArduPilot and tier4's driver also give the radar its yaw
rate, positive for a left turn.

A scan is complete with the announced number of 60Bh frames. When the next header comes first, what did come is handed
out with ``announced`` larger than its length, and counted; after a silence it is dropped, for it is nothing new. A
frame of zeros or of ones stands for both ends of every distance at once and is refused, as is any distance or speed at
the end of its range: the truth is beyond.

While 201h reports an error, or after ``configuration_frames`` a configuration that isn't the ordered one, every scan is
withheld. So the part falls silent for its owner, who then initialises it again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Annotated, Literal, NamedTuple

from msgspec import Meta, Struct

from drivers.bus.protocol import CanBus, CanFrame
from drivers.configuration_watch import ConfigurationWatch
from drivers.device import NOWHERE, Codec, Oracle, OracleKind, Place, Register, whole
from drivers.errors import Cause, DeviceError
from drivers.samples import RadarObject, RadarScan

__all__ = [
    "CODECS", "DYNAMIC_PROPERTIES", "ORACLES", "REGISTERS", "Counters", "Device", "ListHeader", "ObjectExtended",
    "ObjectQuality", "OutputType", "RadarState", "Settings", "SortIndex", "Version", "encode_configuration",
    "list_header", "object_extended", "object_general", "object_quality", "radar_state", "version",
]

CONFIGURATION = 0x200
STATE = 0x201
HEADER = 0x60A
GENERAL = 0x60B
QUALITY = 0x60C
EXTENDED = 0x60D
VERSION = 0x700
SENSOR_STEP = 0x10
SENSORS = range(8)

MAX_OBJECTS = 100
DISTANCE_LSB_M = 0.2
SPEED_LSB_M_S = 0.25
RCS_LSB_DB = 0.5
# Raw values that stand for 0.
LONG_ZERO, LAT_ZERO, VLONG_ZERO, VLAT_ZERO, RCS_ZERO = 2500, 1023, 512, 256, 128
LONG_END, LAT_END, VLONG_END, VLAT_END = 0x1FFF, 0x7FF, 0x3FF, 0x1FF
MAX_DISTANCE_LSB_M = 2
LONGEST_CYCLE_NS = 500_000_000
"""A cut scan that is older when the next one begins is dropped; a cycle lasts 72 ms."""

DYNAMIC_PROPERTIES = (
    "moving", "stationary", "oncoming", "stationary candidate", "unknown", "crossing stationary", "crossing moving",
    "stopped",
)
CLASSES = ("point", "car", "truck", "pedestrian", "motorcycle", "bicycle", "wide", "reserved")
EXISTENCE = (None, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0)
"""Upper bound of each step of the probability of existence; ``None`` for invalid."""
MEASUREMENT_STATES = ("deleted", "new", "measured", "predicted", "deleted by merging", "new by merging")
_INVALID_RMS = 31


@unique
class OutputType(IntEnum):
    """What the radar sends."""

    NONE = 0
    OBJECTS = 1
    CLUSTERS = 2


@unique
class SortIndex(IntEnum):
    """Order of the object list; a list longer than the radar sends ends there."""

    NONE = 0
    RANGE = 1
    RCS = 2


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    """Configuration that the radar is given at every start; it is not stored in the radar's own memory.

    ``max_distance_m``: 196..260 m for the standard part, to 1200 m for the extended one; even. ``power_reduction_db``:
    transmit power below the standard. ``quality``, ``extended``: send 60Ch and 60Dh too.
    """

    max_distance_m: Annotated[int, Meta(ge=196, le=1200)] = 196
    power_reduction_db: Literal[0, 3, 6, 9] = 0
    sort: Literal["none", "range", "rcs"] = "range"
    high_sensitivity: bool = False
    quality: bool = False
    extended: bool = False

    def __post_init__(self) -> None:
        """Refuse a distance that the 2 m steps can't carry."""
        if self.max_distance_m % MAX_DISTANCE_LSB_M:
            raise ValueError("max_distance_m is set in steps of 2 m")


@dataclass(slots=True)
class Counters:
    """What came since start. ``short``: scans with fewer objects than announced; ``stray``: objects of no scan."""

    frames: int = 0
    scans: int = 0
    short: int = 0
    stray: int = 0
    refused: int = 0
    withheld: int = 0


class ListHeader(NamedTuple):
    """60Ah."""

    objects: int
    counter: int
    interface_version: int


class ObjectQuality(NamedTuple):
    """60Ch. Standard deviations in m and m/s are upper bounds of their step; ``None`` where invalid."""

    object_id: int
    long_rms_m: float | None
    lat_rms_m: float | None
    vlong_rms_m_s: float | None
    vlat_rms_m_s: float | None
    existence: float | None
    """The probability is below this; ``None`` if invalid."""
    state: str


class ObjectExtended(NamedTuple):
    """60Dh. Accelerations relative to the sensor, x ahead and y left; orientation counter-clockwise; size in m."""

    object_id: int
    ax_m_s2: float
    ay_m_s2: float
    object_class: str
    orientation_deg: float
    length_m: float
    width_m: float


class RadarState(NamedTuple):
    """201h. ``faults`` are words, empty when the radar is well."""

    faults: tuple[str, ...]
    sensor_id: int
    max_distance_m: int
    power: int
    output: int
    sort: int
    quality: bool
    extended: bool
    relay: bool
    motion_missing: int
    """0 both known, 1 speed missing, 2 yaw rate missing, 3 both."""
    high_sensitivity: bool
    nvm_read: bool
    nvm_written: bool


class Version(NamedTuple):
    """700h."""

    major: int
    minor: int
    patch: int
    extended_range: bool
    restricted_country: bool


_FAULT_BITS = (
    (0x20, "persistent error"), (0x10, "interference"), (0x08, "temperature error"), (0x04, "temporary error"),
    (0x02, "voltage error"),
)
"""Of byte 2 of 201h."""
_SORTS = {"none": SortIndex.NONE, "range": SortIndex.RANGE, "rcs": SortIndex.RCS}


def _rms(code: int, lowest: float, step: float) -> float | None:
    """Upper bound of one step of a logarithmic table; code 31 is invalid, codes 0..30 rise by the same factor."""
    return None if code == _INVALID_RMS else lowest * step**code


_DISTANCE_RMS = tuple(_rms(code, 0.005, 2000.0 ** (1.0 / 30.0)) for code in range(32))
"""0.005 to 10 (m, m/s), 31 steps."""


def list_header(data: bytes, place: Place = NOWHERE) -> ListHeader:
    """60Ah. Raises SHORT_READ, and IMPLAUSIBLE for more objects than the radar tracks."""
    if len(data) not in (4, 8):
        raise place.error(Cause.SHORT_READ, f"{len(data)} bytes instead of 4")
    if data[0] > MAX_OBJECTS:
        raise place.error(Cause.IMPLAUSIBLE, f"{data[0]} objects announced")
    return ListHeader(data[0], data[1] << 8 | data[2], data[3] >> 4)


def object_general(data: bytes, place: Place = NOWHERE) -> RadarObject:
    """60Bh. Raises SHORT_READ, and IMPLAUSIBLE for a distance or speed at the end of its range."""
    word = int.from_bytes(whole(data, 8, place), "big")
    x, y = word >> 43 & LONG_END, word >> 32 & LAT_END
    vx, vy = word >> 22 & VLONG_END, word >> 13 & VLAT_END
    if x in (0, LONG_END) or y in (0, LAT_END) or vx in (0, VLONG_END) or vy in (0, VLAT_END):
        raise place.error(Cause.IMPLAUSIBLE, f"object {word >> 56} is at the end of a range")
    return RadarObject(
        word >> 56, (x - LONG_ZERO) * DISTANCE_LSB_M, (y - LAT_ZERO) * DISTANCE_LSB_M,
        (vx - VLONG_ZERO) * SPEED_LSB_M_S, (vy - VLAT_ZERO) * SPEED_LSB_M_S, ((word & 0xFF) - RCS_ZERO) * RCS_LSB_DB,
        DYNAMIC_PROPERTIES[word >> 8 & 7],
    )


def object_quality(data: bytes, place: Place = NOWHERE) -> ObjectQuality:
    """60Ch. Raises SHORT_READ, and IMPLAUSIBLE for a measurement state that doesn't exist."""
    word = int.from_bytes(whole(data, 7, place), "big")
    state = word >> 2 & 7
    if state >= len(MEASUREMENT_STATES):
        raise place.error(Cause.IMPLAUSIBLE, f"measurement state {state}")
    return ObjectQuality(
        word >> 48, _DISTANCE_RMS[word >> 43 & 31], _DISTANCE_RMS[word >> 38 & 31], _DISTANCE_RMS[word >> 33 & 31],
        _DISTANCE_RMS[word >> 28 & 31], EXISTENCE[word >> 5 & 7], MEASUREMENT_STATES[state],
    )


def object_extended(data: bytes, place: Place = NOWHERE) -> ObjectExtended:
    """60Dh. Raises SHORT_READ, and IMPLAUSIBLE for an orientation outside -180..180 deg or the reserved class."""
    word = int.from_bytes(whole(data, 8, place), "big")
    angle = (word >> 22 & 0x3FF) * 0.4 - 180.0
    kind = word >> 32 & 7
    if angle > 180.0 or kind == len(CLASSES) - 1:
        raise place.error(Cause.IMPLAUSIBLE, f"object {word >> 56} of class {kind} at {angle:.1f} deg")
    return ObjectExtended(
        word >> 56, (word >> 45 & 0x7FF) * 0.01 - 10.0, (word >> 36 & 0x1FF) * 0.01 - 2.5, CLASSES[kind], angle,
        (word >> 8 & 0xFF) * 0.2, (word & 0xFF) * 0.2,
    )


def radar_state(data: bytes, place: Place = NOWHERE) -> RadarState:
    """201h. Raises SHORT_READ, and IMPLAUSIBLE for all ones."""
    if whole(data, 8, place) == b"\xff" * 8:
        raise place.error(Cause.IMPLAUSIBLE, "the state is all ones")
    flags = data[2]
    return RadarState(
        faults=tuple(word for bit, word in _FAULT_BITS if flags & bit),
        sensor_id=data[4] & 7,
        max_distance_m=(data[1] << 2 | flags >> 6) * MAX_DISTANCE_LSB_M,
        power=(data[3] & 3) << 1 | data[4] >> 7,
        output=data[5] >> 2 & 3,
        sort=data[4] >> 4 & 7,
        quality=bool(data[5] & 0x10),
        extended=bool(data[5] & 0x20),
        relay=bool(data[5] & 0x02),
        motion_missing=data[5] >> 6,
        high_sensitivity=data[7] >> 2 & 7 == 1,
        nvm_read=bool(data[0] & 0x40),
        nvm_written=bool(data[0] & 0x80),
    )


def version(data: bytes, place: Place = NOWHERE) -> Version:
    """700h. Raises SHORT_READ, and IMPLAUSIBLE for all zeros or all ones."""
    if len(data) not in (4, 8):
        raise place.error(Cause.SHORT_READ, f"{len(data)} bytes instead of 4")
    if data[:3] in (b"\x00\x00\x00", b"\xff\xff\xff"):
        raise place.error(Cause.IMPLAUSIBLE, f"version is {data.hex()}h")
    return Version(data[0], data[1], data[2], bool(data[3] & 2), bool(data[3] & 1))


def encode_configuration(
    *, max_distance_m: int | None = None, sensor_id: int | None = None, power: int | None = None,
    output: OutputType | None = None, quality: bool | None = None, extended: bool | None = None,
    sort: SortIndex | None = None, store: bool | None = None, relay: bool | None = None,
    high_sensitivity: bool | None = None,
) -> bytes:
    """Data of 200h; ``None`` leaves a value as it is. ``power`` is the reduction in steps of 3 dB, 0..3.

    Raises:
        ValueError: a value that its bits can't carry.
    """
    if max_distance_m is not None and not 0 <= max_distance_m <= 2046:
        raise ValueError(f"max_distance_m of {max_distance_m} is not in 0..2046")
    if sensor_id is not None and sensor_id not in SENSORS:
        raise ValueError(f"sensor_id of {sensor_id} is not in 0..7")
    if power is not None and not 0 <= power <= 3:
        raise ValueError(f"power of {power} is not in 0..3")
    valid = 0
    for bit, value in enumerate((max_distance_m, sensor_id, power, output, quality, extended, sort, store)):
        valid |= (value is not None) << bit
    distance = (max_distance_m or 0) // MAX_DISTANCE_LSB_M
    fourth = (power or 0) << 5 | (output or 0) << 3 | (sensor_id or 0)
    fifth = (
        bool(store) << 7 | (sort or 0) << 4 | bool(extended) << 3 | bool(quality) << 2 | bool(relay) << 1
        | (relay is not None)
    )
    sixth = bool(high_sensitivity) << 1 | (high_sensitivity is not None)
    return bytes((valid, distance >> 2, (distance & 3) << 6, 0, fourth, fifth, sixth, 0))


class Device:
    """One radar.

    Args:
        bus: where its configuration is sent.
        address: sensor id 0..7, which shifts all its ids.
        settings: see Settings.

    ``state`` and ``firmware`` are what 201h and 700h last said; ``quality`` and ``extended`` what 60Ch and 60Dh said of
    the objects of the running cycle, by object id. ``heard_ns`` is when its last frame came.

    Raises:
        ValueError: an address that is no sensor id.
    """

    def __init__(self, bus: CanBus, address: int | None, settings: Settings) -> None:
        sensor = address or 0
        if sensor not in SENSORS:
            raise ValueError(f"sensor id {sensor} is not in 0..7")
        self.place = Place(bus.name, sensor)
        self.counters = Counters()
        self.heard_ns: int | None = None
        self.state: RadarState | None = None
        self.firmware: Version | None = None
        self.quality: dict[int, ObjectQuality] = {}
        self.extended: dict[int, ObjectExtended] = {}
        self._bus = bus
        self._settings = settings
        self._sensor = sensor
        base = sensor * SENSOR_STEP
        self._handlers: dict[int, Callable[[bytes], RadarScan | None]] = {
            GENERAL + base: self._on_object, HEADER + base: self._on_header, STATE + base: self._on_state,
            VERSION + base: self._on_version,
        }
        if settings.quality:
            self._handlers[QUALITY + base] = self._on_quality
        if settings.extended:
            self._handlers[EXTENDED + base] = self._on_extended
        self._header: ListHeader | None = None
        self._header_ns = 0
        self._objects: list[RadarObject] = []
        self._ids: set[int] = set()
        self._empty: RadarScan | None = None
        self._configuration = ConfigurationWatch(
            "output", "max distance", "power", "sort", "quality", "extended", "sensitivity"
        )
        self._fault: tuple[Cause, str] | None = None

    @property
    def can_ids(self) -> Collection[int]:
        """See FrameDevice."""
        return tuple(self._handlers)

    def configuration_frames(self) -> tuple[CanFrame, ...]:
        """What to send at start; from then on the state must show this configuration."""
        wanted = self._settings
        self._configuration.ordered()
        data = encode_configuration(
            max_distance_m=wanted.max_distance_m, power=wanted.power_reduction_db // 3, output=OutputType.OBJECTS,
            quality=wanted.quality, extended=wanted.extended, sort=_SORTS[wanted.sort], store=False, relay=False,
            high_sensitivity=wanted.high_sensitivity,
        )
        return (CanFrame(CONFIGURATION + self._sensor * SENSOR_STEP, data),)

    def initialise(self) -> Generator[None, None, None]:
        """Send the configuration: one frame. Raises what the bus raises."""
        self._header = self._empty = None
        for index, frame in enumerate(self.configuration_frames()):
            if index:
                yield
            self._bus.send(frame)

    def take(self, frame: CanFrame, now_ns: int) -> RadarScan | None:
        """See FrameDevice. Raises SHORT_READ, WRONG_ID, IMPLAUSIBLE, RESET; PROTOCOL for an id that isn't its own."""
        handler = self._handlers.get(frame.can_id)
        if handler is None or frame.extended:
            raise self.place.error(Cause.PROTOCOL, f"id {frame.can_id:x}h is none of this radar's")
        self.counters.frames += 1
        self.heard_ns = now_ns
        try:
            scan = handler(frame.data)
            if scan is not None:
                self._refuse_if_faulty()
                self.counters.scans += 1
        except DeviceError:
            self.counters.refused += 1
            raise
        return scan

    # -- inside

    def _on_header(self, data: bytes) -> RadarScan | None:
        try:
            header = list_header(data, self.place)
        except DeviceError:
            # A cycle begins, but nothing is known of it: its objects belong to no scan, nor to the one before.
            self._header = self._empty = None
            raise
        waiting, self._empty = self._empty, None
        before = self._header
        began_ns, self._header_ns = self._header_ns, self.heard_ns or 0
        if self._header_ns - began_ns > LONGEST_CYCLE_NS:
            # The radar was silent meanwhile: what it said before is nothing new.
            self.counters.short += before is not None
            waiting = None
        elif before is not None:
            self.counters.short += 1
            waiting = RadarScan(before.counter, before.objects, tuple(self._objects))
        self.quality.clear()
        self.extended.clear()
        if header.objects:
            self._header = header
            self._objects.clear()
            self._ids.clear()
            return waiting
        self._header = None
        scan = RadarScan(header.counter, 0, ())
        if waiting is None or not waiting.objects:
            return scan
        # Both the cut scan and this empty one are due, and only one can be handed out: the empty one comes next.
        self._empty = scan
        return waiting

    def _on_object(self, data: bytes) -> RadarScan | None:
        header = self._header
        if header is None:
            self.counters.stray += 1
            return None
        found = object_general(data, self.place)
        if found.object_id in self._ids:
            raise self.place.error(Cause.IMPLAUSIBLE, f"object {found.object_id} is twice in one list")
        self._ids.add(found.object_id)
        self._objects.append(found)
        if len(self._objects) < header.objects:
            return None
        self._header = None
        return RadarScan(header.counter, header.objects, tuple(self._objects))

    def _on_quality(self, data: bytes) -> None:
        said = object_quality(data, self.place)
        self.quality[said.object_id] = said

    def _on_extended(self, data: bytes) -> None:
        said = object_extended(data, self.place)
        self.extended[said.object_id] = said

    def _on_version(self, data: bytes) -> None:
        self.firmware = version(data, self.place)

    def _on_state(self, data: bytes) -> None:
        state = radar_state(data, self.place)
        self.state = state
        self._fault = self._judge(state)
        if self._fault is not None:
            raise self.place.error(*self._fault)

    def _judge(self, state: RadarState) -> tuple[Cause, str] | None:
        if state.faults:
            return Cause.IMPLAUSIBLE, f"the radar reports {', '.join(state.faults)}"
        if state.sensor_id != self._sensor:
            return Cause.WRONG_ID, f"sensor id {state.sensor_id} in the frames of sensor {self._sensor}"
        wanted = self._settings
        ordered = (
            OutputType.OBJECTS, wanted.max_distance_m, wanted.power_reduction_db // 3, _SORTS[wanted.sort],
            wanted.quality, wanted.extended, wanted.high_sensitivity,
        )
        shown = (
            state.output, state.max_distance_m, state.power, state.sort, state.quality, state.extended,
            state.high_sensitivity,
        )
        lost = self._configuration.lost(shown, ordered)
        return None if lost is None else (Cause.RESET, lost)

    def _refuse_if_faulty(self) -> None:
        if self._fault is not None:
            self.counters.withheld += 1
            raise self.place.error(*self._fault)


CODECS: tuple[Codec, ...] = (
    Codec("state (201h)", radar_state, 8),
    Codec("list header (60Ah)", list_header, None),
    Codec("object, general (60Bh)", object_general, 8),
    Codec("object, quality (60Ch)", object_quality, 7),
    Codec("object, extended (60Dh)", object_extended, 8),
    Codec("version (700h)", version, None),
)
REGISTERS: tuple[Register, ...] = ()
ORACLES: tuple[Oracle, ...] = (
    Oracle(OracleKind.PEER, "bit positions, factors and words of the distributor's database ARS408_can_database_ch0"),
    Oracle(OracleKind.PROTOCOL, "the configuration frame that a public driver's manual sends"),
    Oracle(OracleKind.FORMULA, "60Bh values computed from Apollo's and ArduPilot's decoders"),
)
