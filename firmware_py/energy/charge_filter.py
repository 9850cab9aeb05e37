"""Charge of a battery from energy counted and voltage, with what both of them get wrong as further states.

States: charge s (share of energy), scale k (designed over present capacity, times the gain of the current sensor),
offset b of the current sensor (A), resistance R (ohm, at 25 deg C), offset o of the voltage (V). Model:

    ds/dt = -k (I - b) V (1 +- loss) / E_designed        V = empty_v + (full_v - empty_v) s - R I + o

A capacity that is 5 % wrong and a sensor with a gain 1 % off cannot be told apart by voltage, and need not be: charge
and time to empty come out right, since power is measured by the same sensor. R and o are never mixed into the charge as
noise: a constant error does not average out over 12 h, so it stays in the sigma.

An extended Kalman filter with scalar updates, its covariance kept symmetric. Plain lists: for five states they are
quicker than an array library.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from hal.profile.body import BatteryConfig, BusPowerConfig

__all__ = ["BATTERY_LOSS", "ChargeFilter", "Noise"]

BATTERY_LOSS = 0.01
"""Share of the power in or out that the battery loses (CANON section 6: heat 0.01 x |in - out|)."""
LOWEST_SCALE, HIGHEST_SCALE = 0.5, 5.0
"""A battery with twice its designed capacity, or with a fifth of it, is not this battery."""
STRANGE_SIGMAS, OFFSET_SIGMAS = 4.0, 5.0
"""Offset of the current sensor that is none any more, and where it is held, sigmas of its limits."""
HIGHEST_RESISTANCE = 5.0
"""P: greatest resistance, parts of that which costs 1 % at full power: no battery that loses more is flown."""

_J_PER_WH = 3600.0
_S, _K, _B, _R, _O = range(5)
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Noise:
    """One-sigma errors that the filter allows for (P unless marked).

    ``current_share`` and ``scale``: CANON section 7 has sensors at 1 % of full scale; capacity is known to 5 %, and an
    aged one is to be found too. ``curve_share``: how far the real open-circuit curve strays from the straight line,
    share of its span for a whole swing. ``lag_share``: voltage that lags behind the current (polarisation), in parts of
    the resistance that costs 1 % at full power; it is the same error for ``lag_s``, so it weighs as one look in that
    time.
    """

    voltage_v: float = 0.010
    voltage_offset_v: float = 0.030
    current_share: float = 0.01
    scale: float = 0.10
    scale_walk_rt_h: float = 0.001
    offset_walk_share_rt_h: float = 0.0005
    curve_share: float = 0.003
    lag_share: float = 0.25
    lag_s: float = 600.0


class ChargeFilter:
    """One battery: ``predict`` counts energy, ``see_voltage`` and ``see_charge`` correct. ``soc`` may leave 0..1."""

    def __init__(self, battery: BatteryConfig, bus: BusPowerConfig, noise: Noise | None = None) -> None:
        self.noise = noise = Noise() if noise is None else noise
        self.designed_j = battery.capacity_wh * _J_PER_WH
        self.empty_v, self.span_v = bus.empty_v, bus.full_v - bus.empty_v
        middle_v = 0.5 * (bus.empty_v + bus.full_v)
        self.one_percent_ohm = BATTERY_LOSS * middle_v * middle_v / battery.discharge_max_w
        self._lag_ohm = noise.lag_share * self.one_percent_ohm
        self._current_sigma = noise.current_share * bus.current_limit_a
        self._x: list[float] = []
        self._p: list[list[float]] = []
        self.reset()
        self._offset_walk = (noise.offset_walk_share_rt_h * bus.current_limit_a) ** 2 / _HOUR_S
        self._scale_walk = noise.scale_walk_rt_h**2 / _HOUR_S

    def reset(self) -> None:
        """Forget everything that was learned."""
        noise = self.noise
        self._x = [0.5, 1.0, 0.0, 0.5 * self.one_percent_ohm, 0.0]
        deviations = (
            1.0, noise.scale, self._current_sigma, 0.75 * self.one_percent_ohm, noise.voltage_offset_v
        )
        self._p = [[d * d if i == j else 0.0 for j in range(5)] for i, d in enumerate(deviations)]

    @property
    def soc(self) -> float:
        """Charge, share of the present capacity."""
        return self._x[_S]

    @property
    def sigma(self) -> float:
        """Deviation of the charge."""
        return sqrt(self._p[_S][_S])

    @property
    def scale(self) -> float:
        """Designed over present capacity, as the current sensor sees it."""
        return self._x[_K]

    @property
    def scale_sigma(self) -> float:
        """Deviation of the scale."""
        return sqrt(self._p[_K][_K])

    @property
    def current_offset_a(self) -> float:
        """What the current sensor shows without current."""
        return self._x[_B]

    @property
    def strange(self) -> bool:
        """Whether the current sensor would need an offset that it cannot have to be of one mind with the voltage."""
        return abs(self._x[_B]) > STRANGE_SIGMAS * self._current_sigma

    @property
    def resistance_ohm(self) -> float:
        """Resistance at 25 deg C."""
        return self._x[_R]

    def start(self, soc: float, sigma: float) -> None:
        """Take a charge from elsewhere and forget what tied the former one to the other states."""
        self._x[_S] = soc
        for i in range(5):
            self._p[_S][i] = self._p[i][_S] = 0.0
        self._p[_S][_S] = sigma * sigma

    def voltage_soc(self, volts: float, amperes: float, cold: float) -> tuple[float, float]:
        """Charge by voltage alone, and its deviation with the flow as it is now."""
        x, p = self._x, self._p
        soc = (volts - self.empty_v - x[_O] + x[_R] * cold * amperes) / self.span_v
        ohmic = amperes * cold
        variance = p[_O][_O] + p[_R][_R] * ohmic * ohmic + (self._lag_ohm * ohmic) ** 2 + self.noise.voltage_v**2
        return soc, sqrt(variance) / self.span_v

    def predict(self, dt_s: float, moved_j: float, volt_seconds: float, unknown: float = 0.0) -> float:
        """Count ``moved_j`` J out of the battery in ``dt_s`` s, with the sensor's offset in it; the change of charge.

        ``volt_seconds`` is the integral of the voltage (times the loss) over that time: what the offset works on.
        ``unknown`` is a further deviation of the charge, for time in which nothing was measured.
        """
        x, p = self._x, self._p
        per_ampere = volt_seconds / self.designed_j
        by_scale, by_offset = x[_B] * per_ampere - moved_j / self.designed_j, x[_K] * per_ampere
        change = x[_K] * by_scale
        x[_S] += change
        row = [a + by_scale * k + by_offset * b for a, k, b in zip(p[_S], p[_K], p[_B], strict=True)]
        row[_S] += by_scale * row[_K] + by_offset * row[_B]
        if unknown > 0.0:
            # A constant error of unknown size adds to the deviation, not to the variance.
            deviation = sqrt(row[_S]) + unknown
            row[_S] = deviation * deviation
        p[_S] = row
        for i in range(1, 5):
            p[i][_S] = row[i]
        p[_K][_K] += self._scale_walk * dt_s
        p[_B][_B] += self._offset_walk * dt_s
        p[_O][_O] += (self.noise.curve_share * self.span_v) ** 2 * abs(change)
        return change

    def change(self, moved_j: float, volt_seconds: float) -> float:
        """What ``predict`` would change the charge by."""
        return self._x[_K] * (self._x[_B] * volt_seconds - moved_j) / self.designed_j

    def voltage_innovation(
        self, volts: float, amperes: float, busy_a: float, cold: float, back: float
    ) -> tuple[float, float]:
        """Voltage less what the states foretell, and the deviation that this may have, V.

        ``busy_a`` is the mean size of the current of the last minutes; ``back`` how much charge has left since the
        middle of the time over which the voltage was taken.
        """
        x, p = self._x, self._p
        ohmic = amperes * cold
        expected = self.empty_v + self.span_v * (x[_S] + back) - x[_R] * ohmic + x[_O]
        h = (self.span_v, -ohmic, 1.0)
        s, r, o = p[_S], p[_R], p[_O]
        spread = (
            h[0] * (h[0] * s[_S] + 2.0 * (h[1] * s[_R] + s[_O])) + h[1] * (h[1] * r[_R] + 2.0 * r[_O]) + o[_O]
        )
        # What states have learned of the voltage's offset is no excuse to doubt a sensor that is within its own limits.
        own = self.noise.voltage_v**2 + self.noise.voltage_offset_v**2
        lag = self._lag_ohm * busy_a * cold
        return volts - expected, sqrt(spread + lag * lag + own)

    def see_voltage(self, innovation: float, amperes: float, busy_a: float, cold: float, dt_s: float) -> None:
        """Correct by a voltage taken over ``dt_s`` s. It counts the less the more current flows and has flowed."""
        noise, ohmic = self.noise, amperes * cold
        lag = self._lag_ohm * busy_a * cold
        variance = noise.voltage_v**2 + lag * lag * max(1.0, noise.lag_s / dt_s)
        span = self.span_v
        self._correct([span * row[_S] - ohmic * row[_R] + row[_O] for row in self._p], span, -ohmic, 1.0, innovation,
                      variance)

    def see_charge(self, soc: float, sigma: float) -> None:
        """Correct by a charge that a gauge tells."""
        self._correct([row[_S] for row in self._p], 1.0, 0.0, 0.0, soc - self._x[_S], sigma * sigma)

    def _correct(
        self, ph: list[float], by_soc: float, by_resistance: float, by_offset: float, innovation: float, variance: float
    ) -> None:
        """Scalar update; ``ph`` is the covariance times the row of derivatives."""
        x, p = self._x, self._p
        total = by_soc * ph[_S] + by_resistance * ph[_R] + by_offset * ph[_O] + variance
        for i in range(5):
            gain = ph[i] / total
            x[i] += gain * innovation
            row = p[i]
            for j in range(i, 5):
                row[j] -= gain * ph[j]
                p[j][i] = row[j]
        x[_K] = min(max(x[_K], LOWEST_SCALE), HIGHEST_SCALE)
        most = OFFSET_SIGMAS * self._current_sigma
        x[_B] = min(max(x[_B], -most), most)
        x[_R] = min(max(x[_R], 0.0), HIGHEST_RESISTANCE * self.one_percent_ohm)
