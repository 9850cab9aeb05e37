"""Temperature of one node from its sensors: what may be believed, what is refused, and the safe side of a conflict.

A node has one sensor or several, and perhaps a model's value for when none answers. Every sensor is held against
physics: NaN and what lies outside -120..160 C is no value, and a change faster than the greatest heat could make it
is a conflict between what the node was and what the sensor says. The answer is a range: ``hot_c`` for hot limits,
``cold_c`` for cold ones; they are equal as long as nothing conflicts, and ``None`` when nothing is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from firmware_py.energy.trust import Trust
from hal.reading import Quality, Reading

__all__ = ["DISAGREE_K", "HIGHEST_C", "LOWEST_C", "NOISE_K", "NodeTemperature"]

LOWEST_C, HIGHEST_C = -120.0, 160.0
"""Range of the thermal model (CANON section 6); a measurement beyond it is a broken sensor."""
NOISE_K = 3.0
"""What two samples of a resting node may differ by: accuracy of +-1 C (CANON section 7) each, and a third for noise."""
DISAGREE_K, AGREE_K = 5.0, 3.0
"""Sensors of one node contradict each other from more than the first on until at most the second."""
FIRM_SAMPLES = 3
"""Samples that must follow each other before they are a history which a new one can contradict."""

_TRUSTED, _DEGRADED, _CONFLICTING = Trust.TRUSTED, Trust.DEGRADED, Trust.CONFLICTING

_TELLS_NOTHING = frozenset({Quality.BAD, Quality.OVER_RANGE})


class _Sensor:
    """One sensor's newest word, and the last that physics allowed. ``valued``: it has a temperature or a range."""

    __slots__ = ("firm", "good_c", "good_ns", "high_c", "low_c", "quality", "t_ns", "trust", "valued")

    def __init__(self) -> None:
        self.trust = Trust.MISSING
        self.low_c = self.high_c = self.good_c = 0.0
        self.good_ns = self.firm = 0
        self.valued = False
        self.t_ns: int | None = None
        self.quality = Quality.ABSENT

    def take(self, reading: Reading[float] | None, fastest_k_s: float) -> bool:
        """Judge a reading; returns whether it brought anything new."""
        if reading is None:
            new = self.trust is not Trust.MISSING
            self.trust, self.t_ns, self.valued = Trust.MISSING, None, False
            return new
        quality = reading.quality
        if reading.t_ns == self.t_ns and quality is self.quality:
            return False
        self.t_ns, self.quality = reading.t_ns, quality
        celsius = reading.value
        self.valued = False
        if quality is Quality.STALE:
            self.trust = Trust.STALE
        elif quality is Quality.ABSENT or (celsius is None and quality not in _TELLS_NOTHING):
            self.trust = Trust.MISSING
        elif quality in _TELLS_NOTHING or celsius is None or not LOWEST_C <= celsius <= HIGHEST_C:
            # It answers and tells nothing.
            self.trust = Trust.BLIND
        else:
            self.valued = True
            self._follow(celsius, reading.t_ns, fastest_k_s)
            if quality is Quality.SUSPECT and self.trust is _TRUSTED:
                self.trust = _DEGRADED
        return True

    def _follow(self, celsius: float, t_ns: int, fastest_k_s: float) -> None:
        """Accept what physics allows since the last accepted value; keep both ends of what it doesn't allow."""
        reach_k = NOISE_K + fastest_k_s * max(t_ns - self.good_ns, 0) * 1e-9
        if self.firm and abs(celsius - self.good_c) > reach_k:
            self.trust = _CONFLICTING
            self.low_c, self.high_c = min(celsius, self.good_c), max(celsius, self.good_c)
            if self.firm >= FIRM_SAMPLES:
                return
            self.firm = 0
        else:
            self.trust = _TRUSTED
            self.low_c = self.high_c = celsius
        self.good_c, self.good_ns = celsius, t_ns
        self.firm += self.firm < FIRM_SAMPLES


class NodeTemperature:
    """One node's temperature as a range with a verdict.

    ``fastest_k_s`` is how fast the node can change at most, K/s. A sensor that physics contradicts is believed again
    as soon as the node could have come there by then.
    """

    __slots__ = ("_conflict", "_fastest_k_s", "_sensors", "cold_c", "hot_c", "modelled", "refused", "trust")

    def __init__(self, fastest_k_s: float) -> None:
        self._fastest_k_s = fastest_k_s
        self._sensors: list[_Sensor] = [_Sensor()]
        self._conflict = False
        self.hot_c: float | None = None
        self.cold_c: float | None = None
        self.trust = Trust.MISSING
        self.modelled = False
        """Whether the range is a model's, since no sensor has one."""
        self.refused = 0
        """Readings that were no value or that physics did not allow, and model values that were none."""

    def step(
        self, main: Reading[float] | None, others: Sequence[Reading[float]] = (), model_c: float | None = None
    ) -> bool:
        """Take the readings of the node's own sensor and of ``others`` that measure the same; ``model_c`` counts only
        if none of them has a value. Returns whether anything new came."""
        sensors = self._sensors
        while len(sensors) <= len(others):
            sensors.append(_Sensor())
        first = sensors[0]
        new = self._take(first, main)
        if new and len(sensors) == 1 and first.trust is _TRUSTED:
            self.trust, self.modelled, self.hot_c, self.cold_c = _TRUSTED, False, first.high_c, first.low_c
            return True
        for index in range(1, len(sensors)):
            new |= self._take(sensors[index], others[index - 1] if index <= len(others) else None)
        if new:
            self._join()
        if self.hot_c is not None and not self.modelled:
            return new
        return self._model(model_c) or new

    def _take(self, sensor: _Sensor, reading: Reading[float] | None) -> bool:
        new = sensor.take(reading, self._fastest_k_s)
        if new and (sensor.trust is Trust.BLIND or sensor.trust is _CONFLICTING):
            self.refused += 1
        return new

    def _join(self) -> None:
        """Range over the sensors that have a value; the verdict is that of the worst that matters."""
        low, high, trust, lost = inf, -inf, Trust.MISSING, Trust.MISSING
        for sensor in self._sensors:
            if sensor.valued:
                low, high = min(low, sensor.low_c), max(high, sensor.high_c)
                if sensor.trust is _CONFLICTING or trust is Trust.MISSING or trust is _TRUSTED:
                    trust = sensor.trust
            elif sensor.trust is Trust.STALE or (sensor.trust is Trust.BLIND and lost is not Trust.STALE):
                lost = sensor.trust
        self.modelled = False
        if low > high:
            self.trust, self.hot_c, self.cold_c, self._conflict = lost, None, None, False
            return
        self._conflict = high - low > (AGREE_K if self._conflict else DISAGREE_K)
        if self._conflict:
            trust = _CONFLICTING
        elif lost is not Trust.MISSING and trust is _TRUSTED:
            trust = _DEGRADED
        self.trust, self.hot_c, self.cold_c = trust, high, low

    def _model(self, celsius: float | None) -> bool:
        """The model's value in place of a missing one; it is never more than degraded."""
        if celsius is not None and not LOWEST_C <= celsius <= HIGHEST_C:
            self.refused += 1
            celsius = None
        if celsius is None:
            if not self.modelled:
                return False
            self._join()
            return True
        self.modelled, self.trust = True, _DEGRADED
        self.hot_c = self.cold_c = celsius
        return True
