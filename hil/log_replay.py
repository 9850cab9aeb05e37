"""Plays a recorded sensor log on the rig: the chips' registers follow the log, and what the log lacks stays silent.

``read_sensor_log`` and ``read_attitude_log`` take CSV or gzipped CSV (``docs/guide/replay-a-log.md``) into body axes
forward-left-up; ``LogRig`` is to the flight software what ``hil.rig.Rig`` is, with a log in place of the world.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import hypot, isfinite, radians
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt
from msgspec import structs

from hal.frames import Quaternion, Vec3, rotate_inverse
from hal.profile import BoardConfig, BusConfig, ConfigError, DeviceConfig, Profile
from hil.bus.gpio import SimGpioBus
from hil.bus.i2c import SimI2cBus
from hil.bus.serial import SimSerialBus
from hil.bus.spi import SimSpiBus
from hil.can import SimCanBus
from hil.chips.adis16470 import Adis16470
from hil.chips.cia401_valve_node import Cia401ValveNode
from hil.chips.ina228 import Ina228
from hil.chips.ltc3350 import Ltc3350
from hil.chips.opt3001 import Opt3001
from hil.chips.pca9548a import Pca9548a
from hil.chips.rm3100 import Rm3100
from hil.chips.startracker import StarTracker
from hil.chips.tmp423 import Tmp423
from hil.faults import ActiveFault, Fault, FaultKind

__all__ = [
    "AttitudeLog", "Frame", "LogError", "LogRig", "SensorLog", "playable", "read_attitude_log", "read_sensor_log",
]

Array = npt.NDArray[np.float64]
Frame = Literal["frd", "flu"]

NS = 1_000_000_000
STANDARD_GRAVITY = 9.80665
FRAMES: dict[str, Frame] = {"frd": "frd", "flu": "flu"}
"""Body axes of a log: forward-right-down with north-east-down, or forward-left-up with any Z-up frame."""
PAUSE_S = 60.0
"""Longest pause within one log; a longer one is two logs."""
IMU_GAP_NS = 100_000_000
"""Least pause between inertial samples over which nothing is known; shorter ones are bridged by a straight line."""
FIELD_KEPT_NS = NS // 2
"""Least age at which a magnetometer sample is no longer played."""
GAP_PERIODS = 3
"""The same two limits in usual sample periods of the log, where that is longer."""
FORCE_RANGE = (0.5 * STANDARD_GRAVITY, 1.5 * STANDARD_GRAVITY)
"""Median specific force, m/s2, of a log in which gravity can be the level reference."""
FIELD_RANGE_T = (1e-6, 800e-6)
"""Median flux density: Earth's is 22 to 67 uT (IGRF), an RM3100 measures 800 uT."""
SATURATION_RAD_S = radians(2000.0)
SATURATION_M_S2 = 40.0 * STANDARD_GRAVITY
"""Full scale of the ADIS16470."""
DIE_C = 25.0
"""Temperature of every simulated chip: that of their calibration. Nothing that is compared rests on it."""


class LogError(Exception):
    """A sensor log was refused: file, line (from 1, or None), what is wrong with it, what to do next."""

    def __init__(self, path: Path | str, line: int | None, problem: str, next_step: str) -> None:
        super().__init__(str(path), line, problem, next_step)
        self.path = Path(path)
        self.line = line
        self.problem = problem
        self.next_step = next_step

    def __str__(self) -> str:
        where = str(self.path) if self.line is None else f"{self.path}:{self.line}"
        return f"{where}: {self.problem}; {self.next_step}"


@dataclass(frozen=True, slots=True, eq=False)
class SensorLog:
    """A recorded flight of inertial unit and magnetometer, body axes forward-left-up.

    Attributes:
        path: where it came from.
        frame: axes it was written in.
        start_s: the log's own time at flight time 0, which is the first inertial sample.
        t_ns: flight time of the inertial samples, increasing, n of them.
        inertial: n x 6, rate (rad/s) and specific force (m/s2).
        field_t_ns: flight time of the magnetometer's samples, increasing, m of them, 0 if it has none.
        field: m x 3, tesla.
    """

    path: Path
    frame: Frame
    start_s: float
    t_ns: tuple[int, ...]
    inertial: Array
    field_t_ns: tuple[int, ...]
    field: Array

    @property
    def duration_s(self) -> float:
        """From the first inertial sample to the last, s."""
        return self.t_ns[-1] / NS


@dataclass(frozen=True, slots=True, eq=False)
class AttitudeLog:
    """Attitudes from elsewhere: ``t_s`` (n, the log's own time) and ``quaternion`` (n x 4, w x y z, body
    forward-left-up to a frame with Z up)."""

    path: Path
    frame: Frame
    t_s: Array
    quaternion: Array


# -- reading

_TIME = re.compile(r"(?:t|time|timestamp)_(s|ms|us|ns)")
_TIME_SCALE = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_VECTOR = {
    "gyro": re.compile(r"(?:gyro|gyroscope|rate|angular_rate|angular_velocity)_([xyz])_(rad_s|deg_s|dps)"),
    "accel": re.compile(r"(?:accel|acc|accelerometer|acceleration|specific_force)_([xyz])_(m_s2|mg|g)"),
    "mag": re.compile(r"(?:mag|magnetometer|magnetic_field|field)_([xyz])_(gauss|mgauss|tesla|t|ut|nt)"),
}
_UNIT: dict[str, dict[str, float]] = {
    "gyro": {"rad_s": 1.0, "deg_s": radians(1.0), "dps": radians(1.0)},
    "accel": {"m_s2": 1.0, "g": STANDARD_GRAVITY, "mg": 1e-3 * STANDARD_GRAVITY},
    "mag": {"gauss": 1e-4, "mgauss": 1e-7, "tesla": 1.0, "t": 1.0, "ut": 1e-6, "nt": 1e-9},
}
_OFFSET = "mag_t_offset_us"
_QUATERNION = re.compile(r"q_?([wxyz])")
_FRAME_LINE = re.compile(r"#\s*frame\s*[:=]\s*(\S+)", re.IGNORECASE)
_TEXT_TYPES = "give a CSV file, plain or gzipped, with a header line"


class _Table:
    """Lines of a CSV file after its header, with line numbers; every way in which a file can fail is a LogError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.line = 0
        self.frame: str | None = None
        self.frame_line: int | None = None
        self._lines = self._read()
        for cells in self._lines:
            self.header = [cell.strip().strip('"').lower() for cell in cells]
            break
        else:
            raise LogError(path, None, "is empty", _TEXT_TYPES)
        if len(self.header) < 2:
            raise self.error("is not comma-separated: the header has one column", _TEXT_TYPES)
        for name in self.header:
            if name and self.header.count(name) > 1:
                raise self.error(f"column {name} is there twice", "rename or remove one")

    def error(self, problem: str, next_step: str) -> LogError:
        """An error of the present line."""
        return LogError(self.path, self.line, problem, next_step)

    def rows(self) -> Iterator[list[str]]:
        """Cells of every line of data."""
        width = len(self.header)
        for cells in self._lines:
            if len(cells) != width:
                raise self.error(
                    f"has {len(cells)} cells, the header {width}", "the file may be cut: repair or remove the line"
                )
            yield cells

    def numbers(self, cells: list[str], columns: list[int]) -> list[float]:
        """Finite numbers of some cells."""
        try:
            values = [float(cells[column]) for column in columns]
        except ValueError:
            values = []
        if not values or not isfinite(sum(values)):
            for column in columns:
                self._number(cells[column], self.header[column])
        return values

    def _number(self, cell: str, name: str) -> None:
        try:
            value = float(cell)
        except ValueError:
            what = f"is {cell.strip()[:40]!r}, not a number" if cell.strip() else "is empty"
            raise self.error(f"{name} {what}", "repair or remove the line") from None
        if not isfinite(value):
            raise self.error(f"{name} is {value}", "remove the line: a missing sample is a pause in the log")

    def _read(self) -> Iterator[list[str]]:
        path = self.path
        try:
            with _open(path) as file:
                for text in file:
                    self.line += 1
                    if text.startswith("#"):
                        found = _FRAME_LINE.match(text)
                        if found:
                            self.frame, self.frame_line = found[1].lower(), self.line
                    elif text.strip():
                        if "\0" in text:
                            raise self.error("is not text", _TEXT_TYPES)
                        yield text.rstrip("\r\n").split(",")
        except FileNotFoundError:
            raise LogError(path, None, "does not exist", "check the path") from None
        except IsADirectoryError:
            raise LogError(path, None, "is a folder", "give a file in it") from None
        except UnicodeDecodeError:
            raise LogError(path, self.line + 1, "is not text", _TEXT_TYPES) from None
        except EOFError:
            raise LogError(path, self.line + 1, "ends within the compressed data", "copy the file again") from None
        except (zlib.error, gzip.BadGzipFile) as error:
            raise LogError(path, self.line + 1, f"is damaged: {error}", "copy the file again") from None
        except OSError as error:
            raise LogError(path, None, f"cannot be read: {error.strerror or error}", "check the file") from None


def _open(path: Path) -> IO[str]:
    """Text of a file, gzipped or not: told apart by its first two bytes, since names lie."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    if zipped:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="\n")
    return path.open(encoding="utf-8-sig", newline="\n")


def _frame(table: _Table, stated: str | None) -> Frame:
    """The frame that the caller states or the file's comment does; both must agree."""
    allowed = ", ".join(FRAMES)
    for name, line in ((table.frame, table.frame_line), (stated, None)):
        if name is not None and name not in FRAMES:
            raise LogError(table.path, line, f"frame {name!r} is unknown", f"frames: {allowed}")
    if stated is not None and table.frame is not None and stated != table.frame:
        raise LogError(
            table.path, table.frame_line, f"says frame {table.frame}, but {stated} was asked for", "state the right one"
        )
    name = stated or table.frame
    if name is None:
        raise LogError(
            table.path, None, "does not say its body axes", "state the frame, or put `# frame: frd` on its first line"
        )
    return FRAMES[name]


def _time_column(table: _Table) -> tuple[int, float]:
    for index, name in enumerate(table.header):
        found = _TIME.fullmatch(name)
        if found:
            return index, _TIME_SCALE[found[1]]
    raise table.error(f"no column t_s (or time_us and the like); columns: {_listed(table)}", "name the time so")


def _listed(table: _Table) -> str:
    return ", ".join(table.header)[:300]


def _vector(table: _Table, kind: str, example: str) -> tuple[list[int], list[float]]:
    """Columns and factors to SI of the three axes; empty if no axis is there."""
    found: dict[str, tuple[int, float]] = {}
    for index, name in enumerate(table.header):
        match = _VECTOR[kind].fullmatch(name)
        if match:
            if match[1] in found:
                other = table.header[found[match[1]][0]]
                raise table.error(f"columns {other} and {name} are the same axis", "rename one of them")
            found[match[1]] = (index, _UNIT[kind][match[2]])
    missing = [axis for axis in "xyz" if axis not in found]
    if missing and (found or kind != "mag"):
        names = ", ".join(f"{kind}_{axis}_{example}" for axis in missing)
        units = ", ".join(f"_{unit}" for unit in _UNIT[kind])
        raise table.error(
            f"no column {names}; columns: {_listed(table)}", f"name it so; the unit is the end of the name: {units}"
        )
    ordered = [found[axis] for axis in "xyz"] if found else []
    return [index for index, _ in ordered], [scale for _, scale in ordered]


def read_sensor_log(path: Path | str, frame: str | None = None) -> SensorLog:
    """Read a log of gyro, accelerometer and, if it has one, magnetometer.

    Columns by name, in any order, others ignored: ``t_s``; ``gyro_{x,y,z}_rad_s``; ``accel_{x,y,z}_m_s2``;
    ``mag_{x,y,z}_gauss`` with, if the magnetometer has a time of its own, ``mag_t_offset_us`` after ``t_s``. Other
    units stand in the names likewise. A line whose three magnetometer cells are empty has no magnetometer sample.

    Args:
        path: CSV, plain or gzipped.
        frame: "frd" or "flu"; None takes the file's comment ``# frame: frd``.

    Raises:
        LogError: what is wrong, and in which line.
    """
    table = _Table(Path(path))
    axes = _frame(table, frame)
    time, time_scale = _time_column(table)
    gyro, gyro_scale = _vector(table, "gyro", "rad_s")
    accel, accel_scale = _vector(table, "accel", "m_s2")
    mag, mag_scale = _vector(table, "mag", "gauss")
    offset = [table.header.index(_OFFSET)] if mag and _OFFSET in table.header else []
    columns = [time, *gyro, *accel]
    t_ns: list[int] = []
    inertial: list[list[float]] = []
    field_t_ns: list[int] = []
    field: list[list[float]] = []
    start = 0.0
    for cells in table.rows():
        t, *values = table.numbers(cells, columns)
        if not t_ns:
            start = t
        now = round((t - start) * time_scale * NS)
        if t_ns:
            _check_step(table, now - t_ns[-1], t)
        t_ns.append(now)
        inertial.append(values)
        if mag and any(cells[column].strip() for column in mag):
            *vector, late_us = [*table.numbers(cells, mag + offset), *([] if offset else [0.0])]
            taken = now + round(late_us * 1e3)
            if field_t_ns and taken < field_t_ns[-1]:
                raise table.error(
                    f"the magnetometer's time goes back by {(field_t_ns[-1] - taken) / NS:.6g} s",
                    "sort the samples, or remove the line",
                )
            if not field_t_ns or taken > field_t_ns[-1]:
                field_t_ns.append(taken)
                field.append(vector)
    if len(t_ns) < 2:
        raise LogError(table.path, None, f"has {len(t_ns)} samples", "give a log with at least two")
    mirror = np.array([1.0, -1.0, -1.0]) if axes == "frd" else np.ones(3)
    log = SensorLog(
        table.path, axes, start * time_scale, tuple(t_ns),
        np.array(inertial) * np.array(gyro_scale + accel_scale) * np.tile(mirror, 2),
        tuple(field_t_ns), np.array(field).reshape(-1, 3) * np.array(mag_scale or [1.0] * 3) * mirror,
    )
    _check_units(log)
    return log


def _check_step(table: _Table, step_ns: int, t: float) -> None:
    if step_ns <= 0:
        raise table.error(f"time {t:.9g} does not come after the line before", "sort by time and remove what is twice")
    if step_ns > PAUSE_S * NS:
        raise table.error(f"time jumps by {step_ns / NS:.6g} s", f"split the log where it pauses over {PAUSE_S:g} s")


def _check_units(log: SensorLog) -> None:
    """Gravity and Earth's field tell whether the units in the names are true."""
    force = float(np.median(np.linalg.norm(log.inertial[:, 3:], axis=1)))
    if not FORCE_RANGE[0] < force < FORCE_RANGE[1]:
        raise LogError(
            log.path, None, f"the median specific force is {force:.3g} m/s2, but gravity (9.8) is the level reference",
            "check the unit in the accelerometer's column names: m_s2, g or mg",
        )
    if log.field_t_ns:
        field = float(np.median(np.linalg.norm(log.field, axis=1)))
        if not FIELD_RANGE_T[0] < field < FIELD_RANGE_T[1]:
            raise LogError(
                log.path, None, f"the median magnetic field is {field * 1e6:.3g} uT, Earth's is 22 to 67 uT",
                "check the unit in the magnetometer's column names: gauss, mgauss, tesla, ut or nt",
            )


def read_attitude_log(path: Path | str, frame: str | None = None) -> AttitudeLog:
    """Read a reference attitude: columns ``t_s`` and ``q_w``, ``q_x``, ``q_y``, ``q_z``, others ignored.

    The quaternion turns body coordinates into north-east-down (frame "frd") or into axes with Z up ("flu"); None takes
    the file's comment.

    Raises:
        LogError: what is wrong, and in which line.
    """
    table = _Table(Path(path))
    axes = _frame(table, frame)
    time, time_scale = _time_column(table)
    places = {match[1]: index for index, name in enumerate(table.header) if (match := _QUATERNION.fullmatch(name))}
    missing = [f"q_{part}" for part in "wxyz" if part not in places]
    if missing:
        raise table.error(f"no column {', '.join(missing)}; columns: {_listed(table)}", "name the quaternion so")
    columns = [time, *(places[part] for part in "wxyz")]
    rows: list[list[float]] = []
    for cells in table.rows():
        row = table.numbers(cells, columns)
        if rows and row[0] <= rows[-1][0]:
            _check_step(table, 0, row[0])
        length = hypot(*row[1:])
        if abs(length - 1.0) > 0.01:
            raise table.error(f"the quaternion is {length:.4g} long instead of 1", "repair or remove the line")
        rows.append(row)
    if len(rows) < 2:
        raise LogError(table.path, None, f"has {len(rows)} attitudes", "give a reference with at least two")
    data = np.array(rows)
    # Both frames turn by half a turn about X: forward-right-down to forward-left-up, and north-east-down to Z up.
    mirror = np.array([1.0, 1.0, -1.0, -1.0]) if axes == "frd" else np.ones(4)
    quaternion = data[:, 1:] * mirror
    quaternion /= np.linalg.norm(quaternion, axis=1, keepdims=True)
    return AttitudeLog(table.path, axes, data[:, 0] * time_scale, quaternion)


# -- playing

_Six = tuple[float, float, float, float, float, float]


class _Inertial:
    """Means of rate and specific force over the time since the last call, as a decimation filter gives them.

    Between two samples the signal is a straight line, so the sum of all means times their durations is the integral
    of the log: no rotation is lost whatever the two rates are. Over a pause of the log nothing is known.
    """

    __slots__ = ("_at", "_gap", "_last", "_sum", "_t", "_v")

    def __init__(self, log: SensorLog) -> None:
        self._t = log.t_ns
        self._v: list[_Six] = [tuple(row) for row in log.inertial.tolist()]
        steps = np.diff(np.array(log.t_ns, dtype=np.int64))
        limit = max(IMU_GAP_NS, GAP_PERIODS * int(np.median(steps)))
        known = steps <= limit
        areas = 0.5 * (log.inertial[1:] + log.inertial[:-1]) * (steps * known)[:, None] * 1e-9
        sums = np.zeros((len(self._t), 7))
        sums[1:, :6] = np.cumsum(areas, axis=0)
        sums[1:, 6] = np.cumsum(steps * known)
        self._sum: list[tuple[float, ...]] = [tuple(row) for row in sums.tolist()]
        self._gap: list[bool] = (~known).tolist()
        self._at = 0
        self._last: tuple[float, ...] = self._sum[0]

    def mean(self, t_ns: int) -> _Six | None:
        """Mean until ``t_ns`` (flight time, not before the last call's); None where the log has nothing."""
        t, at = self._t, self._at
        last_index = len(t) - 1
        while at < last_index and t[at + 1] <= t_ns:
            at += 1
        self._at = at
        now = self._sum[at]
        if at < last_index and not self._gap[at] and t_ns > t[at]:
            now = self._between(at, t_ns - t[at])
        before, self._last = self._last, now
        span = now[6] - before[6]
        if span <= 0.0:
            return None
        scale = 1e9 / span
        return (
            (now[0] - before[0]) * scale, (now[1] - before[1]) * scale, (now[2] - before[2]) * scale,
            (now[3] - before[3]) * scale, (now[4] - before[4]) * scale, (now[5] - before[5]) * scale,
        )

    def _between(self, at: int, after_ns: int) -> tuple[float, ...]:
        a, b, base = self._v[at], self._v[at + 1], self._sum[at]
        s = after_ns * 1e-9
        share = 0.5 * after_ns / (self._t[at + 1] - self._t[at])
        return (
            *(total + s * (x + share * (y - x)) for total, x, y in zip(base, a, b, strict=False)), base[6] + after_ns,
        )


class _Field:
    """The newest magnetometer sample by its own time; none when it is too old."""

    __slots__ = ("_at", "_kept_ns", "_t", "_v")

    def __init__(self, log: SensorLog) -> None:
        self._t = log.field_t_ns
        self._v: list[Vec3] = [(x, y, z) for x, y, z in log.field.tolist()]
        period = float(np.median(np.diff(self._t))) if len(self._t) > 1 else 0.0
        self._kept_ns = max(FIELD_KEPT_NS, GAP_PERIODS * period)
        self._at = -1

    def held(self, t_ns: int) -> Vec3 | None:
        """Sample at ``t_ns`` (flight time, not before the last call's), tesla, body axes."""
        t, at = self._t, self._at
        while at + 1 < len(t) and t[at + 1] <= t_ns:
            at += 1
        self._at = at
        return self._v[at] if at >= 0 and t_ns - t[at] <= self._kept_ns else None


def playable(profile: Profile) -> Profile:
    """The profile without the devices that a sensor log says nothing about and that no replay needs.

    Kept are the inertial unit, the magnetometer and every part that :class:`LogRig` plays at rest.
    """
    needed = ("imu", "magnetometer")
    kept = tuple(d for d in profile.board.devices if d.part in PARTS or d.role in needed)
    names = {d.name for d in kept}
    kept = tuple(d for d in kept if d.mux is None or d.mux in names)
    # Without the unit that switches rails there is no rail to cycle; buses of a replay don't hang.
    buses = {name: structs.replace(bus, recovery=None) for name, bus in profile.board.buses.items()}
    # Nor are there valves to shut off without the expander that works them.
    isolation = profile.board.isolation
    if isolation is not None and isolation.device not in {d.name for d in kept}:
        isolation = None
    return profile._replace(board=structs.replace(profile.board, buses=buses, devices=kept, isolation=isolation))


class LogRig:
    """Chips and buses of one board, with a recorded log in place of a world.

    Inertial unit and magnetometer follow the log. Where it pauses, the inertial unit's outputs stand still and the
    magnetometer does not answer, as it does not at all if the log has none. The other devices answer as on a bench at
    rest: full supply, no current, no light, no stars, valves shut.

    Args:
        profile: body and board; every part must have a simulated chip.
        log: what to play.

    Attributes:
        buses: bus name to bus, for the flight software.
        chips: device name to chip.
        now_ns: flight time.
        saturated: samples of the inertial unit beyond its full scale, which it could not pass on.

    Raises:
        ConfigError: no inertial unit, or a part that has no simulated chip.
    """

    def __init__(self, profile: Profile, log: SensorLog) -> None:
        self.profile = profile
        self.log = log
        self.now_ns = 0
        self.saturated = 0
        self.buses: dict[str, Any] = {
            name: self._bus(name, bus, profile.board) for name, bus in profile.board.buses.items()
        }
        self.chips: dict[str, Any] = {}
        self._muxes: dict[str, Pca9548a] = {}
        self._updates: list[Callable[[int], None]] = []
        devices = sorted(enumerate(profile.board.devices), key=lambda entry: entry[1].role != "mux")
        for index, device in devices:
            attach = PARTS.get(device.part)
            if attach is None:
                known = ", ".join(sorted(PARTS))
                why = f"{device.part} has no simulated chip; there are: {known}"
                raise ConfigError(profile.board.board, None, f"devices[{index}].part", why)
            attach(self, device)
        if not any(device.role == "imu" for _, device in devices):
            raise ConfigError(profile.board.board, None, "devices", "no device with role imu to play a log on")
        self._can = [bus for bus in self.buses.values() if isinstance(bus, SimCanBus)]

    def advance(self, t_ns: int) -> None:
        """Move everything to ``t_ns``."""
        for can in self._can:
            can.advance(t_ns)
        self.now_ns = t_ns
        for update in self._updates:
            update(t_ns)

    def clock(self) -> int:
        """Flight time, for chips that convert by themselves."""
        return self.now_ns

    def follow(self, update: Callable[[int], None]) -> None:
        """Call ``update`` at every advance."""
        self._updates.append(update)

    def put_on_i2c(self, device: DeviceConfig, chip: Any) -> None:
        """Attach a chip where the board has it, behind a multiplexer or not."""
        self.chips[device.name] = chip
        if device.mux is not None and device.channel is not None:
            self._muxes[device.mux].attach(device.channel, device.address or 0, chip)
        else:
            self.buses[device.bus].attach(device.address, chip)
        if isinstance(chip, Pca9548a):
            self._muxes[device.name] = chip

    def _bus(self, name: str, config: BusConfig, board: BoardConfig) -> Any:
        if config.kind == "i2c":
            return SimI2cBus(name)
        if config.kind == "spi":
            return SimSpiBus(name)
        if config.kind == "serial":
            return SimSerialBus(name)
        if config.kind == "can":
            return SimCanBus(name)
        lines = board.lines
        return SimGpioBus(name, (lines.valve_arm, lines.valve_enable, lines.watchdog_kick), self.clock)


# -- parts: how each follows the log, or rests


def _adis16470(rig: LogRig, device: DeviceConfig) -> None:
    chip = rig.chips[device.name] = Adis16470()
    rig.buses[device.bus].attach(device.address, chip)
    source, orientation = _Inertial(rig.log), device.mount.orientation

    def update(t_ns: int) -> None:
        mean = source.mean(t_ns)
        if mean is None:
            return
        rate, force = _sensor_axes(orientation, mean[:3]), _sensor_axes(orientation, mean[3:])
        if max(map(abs, rate)) > SATURATION_RAD_S or max(map(abs, force)) > SATURATION_M_S2:
            rig.saturated += 1
        chip.latch(rate, force, DIE_C)

    rig.follow(update)


def _rm3100(rig: LogRig, device: DeviceConfig) -> None:
    chip = Rm3100(rig.clock)
    rig.put_on_i2c(device, chip)
    source, orientation, bus = _Field(rig.log), device.mount.orientation, rig.buses[device.bus]
    absent = Fault(FaultKind.NACK_ADDRESS, address=device.address, channel=device.channel)
    silent: list[ActiveFault] = [bus.inject(absent)]
    played: list[Vec3 | None] = [None]

    def update(t_ns: int) -> None:
        field = source.held(t_ns)
        if field is played[0]:
            return
        played[0] = field
        if field is None:
            silent.append(bus.inject(absent))
            return
        chip.field_t = _sensor_axes(orientation, field)
        while silent:
            bus.clear(silent.pop())

    rig.follow(update)


def _sensor_axes(orientation: Quaternion, body: tuple[float, ...]) -> Vec3:
    x, y, z = body
    return rotate_inverse(orientation, (x, y, z))


def _pca9548a(rig: LogRig, device: DeviceConfig) -> None:
    rig.put_on_i2c(device, Pca9548a())


def _opt3001(rig: LogRig, device: DeviceConfig) -> None:
    rig.put_on_i2c(device, Opt3001(rig.clock))


def _startracker(rig: LogRig, device: DeviceConfig) -> None:
    chip = rig.chips[device.name] = StarTracker()
    rig.buses[device.bus].attach(chip)


def _ina228(rig: LogRig, device: DeviceConfig) -> None:
    chip = Ina228(float(device.settings.get("shunt_ohm", 0.004)))
    chip.set_bus_voltage(rig.profile.body.power.bus.full_v)
    chip.set_die_temperature(DIE_C)
    rig.put_on_i2c(device, chip)


def _ltc3350(rig: LogRig, device: DeviceConfig) -> None:
    names = ("full_voltage_v", "sense_ohm", "rt_ohm", "rtst_ohm")
    settings = {name: float(device.settings[name]) for name in names if name in device.settings}
    chip = Ltc3350(rig.clock, cells=int(device.settings.get("cells", 4)), **settings)
    chip.input_voltage_v = rig.profile.body.power.bus.full_v
    chip.stack_voltage_v = rig.profile.body.power.supercap.full_v
    rig.put_on_i2c(device, chip)


def _tmp423(rig: LogRig, device: DeviceConfig) -> None:
    chip = Tmp423()
    nodes: Mapping[str, float] = {node.name: node.start_c for node in rig.profile.body.thermal.nodes}
    for channel, name in enumerate(device.settings.get("nodes", [])):
        chip.set_celsius(channel, nodes[name])
    rig.put_on_i2c(device, chip)


def _cia401_valves(rig: LogRig, device: DeviceConfig) -> None:
    node = rig.chips[device.name] = Cia401ValveNode(device.address or 0, serial=1000 + (device.address or 0))
    rig.buses[device.bus].attach(node)
    node.power_on(0)


PARTS: dict[str, Callable[[LogRig, DeviceConfig], None]] = {
    "adis16470": _adis16470, "rm3100": _rm3100, "pca9548a": _pca9548a, "opt3001": _opt3001,
    "startracker": _startracker, "ina228": _ina228, "ltc3350": _ltc3350, "tmp423": _tmp423,
    "cia401_valves": _cia401_valves,
}
