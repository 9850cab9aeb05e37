"""Sensor plane: inertial unit, star tracker, Sun vector, magnetic field and temperatures, in the body frame.

The inertial unit and the star tracker are served every fast tick; the rest is polled through slots (hal/manager.py).
Every value is a Reading; a chip that answers nonsense gives BAD and a count, never a number for control.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from typing import Protocol

import numpy as np

from drivers.errors import Cause, DeviceError
from drivers.samples import (
    AttitudeFix,
    FieldSample,
    IlluminanceSample,
    ImuSample,
    ResistanceSample,
    TemperatureSample,
)
from hal.device_health import REINITIALISATIONS_TO_LOST, DeviceCounters, DeviceState, HealthEvent
from hal.frames import Quaternion, Vec3, conjugate, multiply, rotate, unit
from hal.manager import ManagedDevice
from hal.reading import Quality, Reading, absent

__all__ = [
    "BoardSensorPlane", "ImuDevice", "ImuSource", "InertialSource", "SensorPlane", "StarSource", "StarTrackerDevice",
    "SunFace",
]

FACE_LIT_SHARE = 0.02
"""Share of full Sun above which a face counts as lit."""
SETUP_STEPS = 4
"""Frames of the inertial unit's set-up in one tick: it sits on a fast bus of its own, and the craft waits for it."""
_IDENTITY: Quaternion = (1.0, 0.0, 0.0, 0.0)
SUN_SEEN_SHARE = 0.15
"""Least length of the measured Sun vector, as a share of full Sun, that counts as seen (Earth-shine is below)."""


class SensorPlane(Protocol):
    """What the estimator and the monitors read."""

    def sense(self, now_ns: int) -> None:
        """Serve the fast sensors; once a fast tick."""

    def imu(self) -> Reading[ImuSample]:
        """Rates (rad/s) and specific force (m/s2) in the body frame, as measured at the unit's place."""

    def attitude(self, now_ns: int) -> Reading[AttitudeFix]:
        """Newest star-tracker solution, body to inertial."""

    def sun(self, now_ns: int) -> Reading[Vec3]:
        """Unit vector to the Sun in the body frame; ABSENT when no face sees it."""

    def magnetic(self, now_ns: int) -> Reading[Vec3]:
        """Flux density in tesla, body frame."""

    def temperatures(self, now_ns: int) -> dict[str, Reading[float]]:
        """Deg C of every measured thermal node."""


class ImuSource(Protocol):
    """A driver that gives one inertial sample a call."""

    def read(self, now_ns: int) -> ImuSample:
        """One burst."""


class InertialSource(Protocol):
    """Whoever has the newest sample of the flown inertial unit, in the body frame."""

    @property
    def reading(self) -> Reading[ImuSample]:
        """Newest sample."""

    def sense(self, now_ns: int) -> None:
        """Serve the unit; once a fast tick."""


class StarSource(Protocol):
    """A driver that gives a star-tracker solution when one has arrived."""

    def poll(self, now_ns: int) -> AttitudeFix | None:
        """Newest valid solution since the last call."""


class ImuDevice:
    """An inertial unit while it is flown, with its health: initialised step by step, then one burst a tick."""

    __slots__ = ("_driver", "_mount", "counters", "managed", "reading")

    def __init__(self, driver: ImuSource, managed: ManagedDevice[ImuSample], orientation: Quaternion) -> None:
        self._driver = driver
        self.managed = managed
        """The device behind it, which takes no part in slots while the unit is flown."""
        self._mount = None if orientation == _IDENTITY else orientation
        self.counters = managed.counters
        self.reading: Reading[ImuSample] = absent()

    @property
    def ready(self) -> bool:
        """Whether the unit is set up and answers."""
        return self.managed.ready

    def body_rate(self, sample: ImuSample) -> Vec3:
        """Rate of a sample of the managed device, turned into the body frame, rad/s."""
        return sample.rate_rad_s if self._mount is None else rotate(self._mount, sample.rate_rad_s)

    def begin(self) -> None:
        """It is flown from now on: what it said when it was last flown is none of its readings any more."""
        self.reading = absent()

    def sense(self, now_ns: int) -> None:
        """One burst, or some steps of set-up while it isn't configured."""
        managed = self.managed
        ready = managed.ready
        if managed.busy or (not ready and managed.due_ns <= now_ns):
            for _ in range(SETUP_STEPS):
                managed.step(now_ns)
                if not managed.busy:
                    break
            return
        if not ready:
            self.reading = Reading(self.reading.value, self.reading.t_ns, Quality.ABSENT)
            return
        self.counters.transactions += 1
        try:
            sample = self._driver.read(now_ns)
        except DeviceError as error:
            quality = Quality.STALE if error.cause in (Cause.STALE_COUNTER, Cause.TIMEOUT) else Quality.BAD
            self.reading = Reading(self.reading.value, self.reading.t_ns, quality)
            managed.note_failure(error.cause, now_ns)
            return
        managed.note_success(now_ns)
        self.counters.samples += 1
        if self._mount is not None:
            sample = ImuSample(
                rotate(self._mount, sample.rate_rad_s), rotate(self._mount, sample.specific_force_m_s2),
                sample.temperature_c, sample.counter,
            )
        self.reading = Reading(sample, now_ns, Quality.OK)


class StarTrackerDevice:
    """The star tracker: polled every tick without blocking, its solution turned into the body frame.

    Args:
        driver: the tracker's driver.
        orientation: sensor to body.
        timeout_ns: age at which a solution is stale, and silence after which the tracker counts as degraded; four times
            as long, and it counts as lost.
        name: name in the board description.
        heard: how many frames the tracker has sent so far, solutions or not; ``None``: its silence is not watched.
        events: where changes of state go.
        reopen: opens its port anew, if that can be done.
    """

    __slots__ = (
        "_body_from_sensor", "_driver", "_events", "_heard", "_heard_count", "_heard_ns", "_last", "_reopen",
        "_sequence", "_timeout_ns", "counters", "fresh", "name", "state",
    )

    def __init__(
        self, driver: StarSource, orientation: Quaternion, timeout_ns: int, name: str = "star_tracker",
        heard: Callable[[], int] | None = None, events: deque[HealthEvent] | None = None,
        reopen: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.state = DeviceState.INIT
        self.counters = DeviceCounters()
        self.fresh: AttitudeFix | None = None
        """The solution that arrived in this tick, for the estimator."""
        self._driver = driver
        self._body_from_sensor = orientation
        self._timeout_ns = timeout_ns
        self._last: Reading[AttitudeFix] = absent()
        self._heard = heard
        self._heard_count = 0
        self._heard_ns: int | None = None
        self._events = events
        self._reopen = reopen
        self._sequence: Generator[None, None, None] | None = None

    def restart(self) -> bool:
        """Open its port anew and have its driver set it up; the last fix stays. False: neither can be done."""
        start = getattr(self._driver, "initialise", None)
        begun = start is not None
        if self._reopen is not None:
            try:
                self._reopen()
                begun = True
            except DeviceError as error:
                # A port that knows no reopening may be well.
                if error.cause is not Cause.PROTOCOL:
                    self.counters.fail(error.cause)
                    return False
        self._sequence = start() if start is not None else None
        return begun

    def sense(self, now_ns: int) -> None:
        """Take what has arrived."""
        self.fresh = None
        fix = None
        try:
            if self._sequence is not None:
                self._sequence = None if next(self._sequence, self) is self else self._sequence
            else:
                fix = self._driver.poll(now_ns)
        except DeviceError as error:
            self._sequence = None
            self.counters.fail(error.cause)
            self._listen(now_ns, error.cause)
            return
        self._listen(now_ns, Cause.SILENT)
        if fix is None:
            return
        self.counters.samples += 1
        # inertial <- sensor, times sensor <- body.
        quaternion = multiply(fix.quaternion, conjugate(self._body_from_sensor))
        self.fresh = AttitudeFix(quaternion, fix.age_ns, fix.sigma_rad, fix.stars, fix.counter)
        self._last = Reading(self.fresh, now_ns, Quality.OK)

    def _listen(self, now_ns: int, cause: Cause) -> None:
        """Follow whether the tracker speaks; ``cause`` is why it would not."""
        if self._heard is None:
            return
        count = self._heard()
        if self._heard_ns is None:
            self._heard_ns = now_ns  # silence counts from the first look, whatever the clock shows then
        if count != self._heard_count:
            self._heard_count = count
            self._heard_ns = now_ns
            if self.state is not DeviceState.OK:
                self._set_state(DeviceState.OK, now_ns, None)
            return
        silent_ns = now_ns - self._heard_ns
        if silent_ns <= self._timeout_ns:
            return
        if self.state is DeviceState.OK:
            self._set_state(DeviceState.DEGRADED, now_ns, cause)
        elif self.state is not DeviceState.LOST and silent_ns > (REINITIALISATIONS_TO_LOST + 1) * self._timeout_ns:
            self._set_state(DeviceState.LOST, now_ns, cause)

    def _set_state(self, state: DeviceState, now_ns: int, cause: Cause | None) -> None:
        self.state = state
        if self._events is not None:
            self._events.append(HealthEvent(now_ns, self.name, state, cause))

    def reading(self, now_ns: int) -> Reading[AttitudeFix]:
        """Newest solution; stale after the device's time-out."""
        last = self._last
        if last.value is not None and now_ns - last.t_ns > self._timeout_ns:
            return Reading(last.value, last.t_ns, Quality.STALE)
        return last


class SunFace:
    """One light sensor with the normal of its face and its reading in full Sun."""

    __slots__ = ("device", "full_sun_lux", "normal")

    def __init__(self, device: ManagedDevice[IlluminanceSample], normal: Vec3, full_sun_lux: float) -> None:
        self.device = device
        self.normal = unit(normal)
        self.full_sun_lux = full_sun_lux


class BoardSensorPlane:
    """Sensor plane over the drivers of one board."""

    def __init__(
        self,
        imu: InertialSource | None,
        star_tracker: StarTrackerDevice | None,
        faces: Sequence[SunFace],
        magnetometer: tuple[ManagedDevice[FieldSample], Quaternion] | None,
        thermal: Sequence[tuple[ManagedDevice[TemperatureSample], Sequence[str]]],
        rtds: Sequence[tuple[ManagedDevice[ResistanceSample], str]] = (),
    ) -> None:
        self._imu = imu
        self._star = star_tracker
        self._faces = tuple(faces)
        self._magnetometer = magnetometer
        self._thermal = tuple((device, tuple(names)) for device, names in thermal)
        self._rtds = tuple(rtds)

    def sense(self, now_ns: int) -> None:
        """Serve inertial unit and star tracker."""
        if self._imu is not None:
            self._imu.sense(now_ns)
        if self._star is not None:
            self._star.sense(now_ns)

    def imu(self) -> Reading[ImuSample]:
        """See SensorPlane."""
        return self._imu.reading if self._imu is not None else absent()

    @property
    def fresh_attitude(self) -> AttitudeFix | None:
        """The star-tracker solution that arrived in this tick."""
        return self._star.fresh if self._star is not None else None

    def attitude(self, now_ns: int) -> Reading[AttitudeFix]:
        """See SensorPlane."""
        return self._star.reading(now_ns) if self._star is not None else absent()

    def sun(self, now_ns: int) -> Reading[Vec3]:
        """Least-squares Sun vector of all faces that answer.

        A lit face says ``n.s = lux / full_sun``, a dark one only ``n.s <= 0``; a dark face is used where the lit ones
        alone would contradict it. SUSPECT when the vector's length is not that of one Sun.
        """
        rows: list[Vec3] = []
        shares: list[float] = []
        dark: list[Vec3] = []
        oldest = now_ns
        for face in self._faces:
            reading = face.device.reading(now_ns)
            if not reading.ok or reading.value is None or reading.value.saturated:
                continue
            oldest = min(oldest, reading.t_ns)
            share = reading.value.lux / face.full_sun_lux
            if share > FACE_LIT_SHARE:
                rows.append(face.normal)
                shares.append(share)
            else:
                dark.append(face.normal)
        if not rows:
            return absent(now_ns)
        solution = np.linalg.lstsq(np.array(rows), np.array(shares), rcond=None)[0]
        contradicted = [normal for normal in dark if float(np.dot(normal, solution)) > FACE_LIT_SHARE]
        if contradicted:
            targets = np.array(shares + [0.0] * len(contradicted))
            solution = np.linalg.lstsq(np.array(rows + contradicted), targets, rcond=None)[0]
        length = float(np.linalg.norm(solution))
        if length < SUN_SEEN_SHARE:
            return absent(now_ns)
        vector = (float(solution[0]) / length, float(solution[1]) / length, float(solution[2]) / length)
        return Reading(vector, oldest, Quality.OK if abs(length - 1.0) < 0.2 else Quality.SUSPECT)

    def magnetic(self, now_ns: int) -> Reading[Vec3]:
        """See SensorPlane."""
        if self._magnetometer is None:
            return absent()
        device, orientation = self._magnetometer
        reading = device.reading(now_ns)
        if reading.value is None:
            return Reading(None, reading.t_ns, reading.quality)
        return Reading(rotate(orientation, reading.value.field_t), reading.t_ns, reading.quality)

    def temperatures(self, now_ns: int) -> dict[str, Reading[float]]:
        """See SensorPlane. A channel with an open diode is ABSENT, and so is a thermometer that reports a fault.

        A node with a resistance thermometer has its temperature, and that of the other chip's channel only while the
        thermometer's reading is the worse one.
        """
        result: dict[str, Reading[float]] = {}
        for device, names in self._thermal:
            reading = device.reading(now_ns)
            for channel, name in enumerate(names):
                value = reading.value.celsius[channel] if reading.value is not None else None
                quality = reading.quality if value is not None else Quality.ABSENT
                result[name] = Reading(value, reading.t_ns, quality)
        for rtd, name in self._rtds:
            measured = rtd.reading(now_ns)
            value = measured.value.celsius if measured.value is not None else None
            quality = measured.quality if value is not None else Quality.ABSENT
            other = result.get(name)
            if other is None or quality <= other.quality:
                result[name] = Reading(value, measured.t_ns, quality)
        return result

