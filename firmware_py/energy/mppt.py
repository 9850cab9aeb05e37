"""Keeps the panel at its greatest power: a voltage to hold it at, from the panel's own voltage and current.

Perturb and observe, 0.5 V at 10 Hz (CANON section 5): the order goes round a centre (0, +, 0, -) and the power that
comes back says which way the centre moves. Textbook perturb and observe takes every change of power for its own doing
and so runs off while the craft turns. Here power is fitted over voltage *and* time through the last 0.8 s, so that what
the light did is taken out (the aim of dP-P&O: Sera et al., IEEE ISIE 2006), and noise is averaged. The fit uses the
voltage as measured: how old a reading is does not matter.

- Start, and again after every darkness: a look at the open circuit, then a fixed share of it.
- A string with bypass diodes in partial shadow has a maximum for each of its sections. The others are looked at for one
  sample: while power falls as a shadow makes it fall, on a lower section every 2.5 s, else twice a minute.
- Less demand than sunlight: the charger draws less and the voltage rises above the order. Such readings say nothing
  about the sunlight; the centre stays.
- A reading that is missing, not a number, out of range or frozen: the order stays for half a second, then it is
  ``None``: the charger tracks by itself.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import StrEnum, unique
from math import isfinite

from firmware_py.energy.power_fit import PowerFit
from hal.profile.body import ArrayConfig

__all__ = ["Tracker", "TrackerConfig", "TrackerState"]

DITHER = (0.0, 1.0, 0.0, -1.0)
BEND = 22.0
"""-V^2 P''/P at a maximum: 2 + Vmp / (n Ns Vt), 25 for triple-junction cells, 20 for silicon."""
GAIN = 0.15
"""Share of the way to the maximum, as the fit sees it, that the centre goes in a step: below 1 / (delay of the fit and
of the reading, in steps), so that it does not overshoot."""
HELD_V, HELD_SHARE = 0.5, 0.01
"""How far a reading may be from the order and still be the order's."""
RECENT = 4
"""Orders that a reading may belong to."""
SETTLE = 3
"""Steps from an order until its reading is there."""
DARK_A = 0.005
DARK_STEPS = 3
LOST_STEPS = 30
"""Steps without one reading near the centre after which the search begins again."""
FROZEN_STEPS = 60
"""Equal readings in a row, to the last digit, while the order moves: the LTC4162's slow telemetry renews every 5 s."""
BETTER = 1.03
"""A section's maximum is moved to when it gives this much more."""
EDGE_1_S, EDGE_OVER, EDGE_SHARE = 0.1, 0.5, 0.3
"""Loss of power, as a share a second, that may be a shadow coming on; the share of its greatest rate below which it has
come; and the part of the power that it may take before, each time, the other sections are looked at."""
LOOK_SOON_S, LOOK_LOW_S, LOOK_LATE_S = 0.5, 2.5, 30.0
"""Time between looks: at least, on a lower section (from which a shadow that goes cannot be seen), and at most."""
VOLTAGE_LIMIT_V = 100.0
CURRENT_LIMITS_A = (-0.5, 100.0)


@unique
class TrackerState(StrEnum):
    """What the tracker is about; telemetry."""

    OFF = "off"
    BLIND = "blind"
    """No usable readings: the charger tracks by itself."""
    START = "start"
    """Looking for the open circuit, or waiting for light."""
    TRACK = "track"
    LIMITED = "limited"
    """More sunlight than demand."""


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """Bounds of the order (V), step and period, share of the open circuit to start at, sections that bypass diodes make
    of a string, and how long an order outlives its readings. Raises ValueError for what cannot be."""

    lowest_v: float
    highest_v: float
    step_v: float = 0.5
    period_s: float = 0.1
    open_circuit_share: float = 0.88
    sections: int = 2
    hold_s: float = 0.5

    def __post_init__(self) -> None:
        """Check the bounds."""
        if not 0.0 < self.step_v < 0.25 * (self.highest_v - self.lowest_v) or not self.lowest_v >= 0.0:
            raise ValueError("bounds of the panel's voltage must be at least four steps apart")
        if not self.highest_v < VOLTAGE_LIMIT_V:
            raise ValueError(f"highest_v must be below {VOLTAGE_LIMIT_V} V")
        if not (0.0 < self.period_s <= 10.0 and 0.0 <= self.hold_s <= 60.0):
            raise ValueError("period_s must be 0..10 s and hold_s 0..60 s")
        if not 0.5 <= self.open_circuit_share < 1.0 or self.sections < 1:
            raise ValueError("open_circuit_share must be 0.5..1 and sections at least 1")

    @staticmethod
    def of(array: ArrayConfig, lowest_v: float, highest_v: float) -> TrackerConfig:
        """For the body's array and the bounds of its charger."""
        return TrackerConfig(lowest_v, highest_v, open_circuit_share=array.max_power_v / array.open_circuit_v)


class Tracker:
    """Tracker of one panel. Pure: what it knows came through ``update``."""

    def __init__(self, config: TrackerConfig) -> None:
        self._config = config
        self._period_ns = round(config.period_s * 1e9)
        self._hold_ns = round(config.hold_s * 1e9)
        self._fit = PowerFit()
        self._orders: deque[float] = deque(maxlen=RECENT)
        self._probes: list[float] = []
        self.state = TrackerState.OFF
        self.looks = 0
        """Looks at other sections so far."""
        self._order: float | None = None
        self._centre: float | None = None
        self._full_v = 0.0
        self._last_ns: int | None = None
        self._good_ns: int | None = None
        self._before: tuple[float, float] | None = None
        self._equal = 0
        self._low = config.lowest_v
        self._begin(TrackerState.OFF)

    @property
    def centre_v(self) -> float | None:
        """Voltage round which the order moves; ``None`` before a start."""
        return self._centre

    def update(
        self, t_ns: int, voltage_v: float | None, current_a: float | None, wanted: bool, *,
        limited: bool = False, floor_v: float | None = None,
    ) -> float | None:
        """Voltage to hold the panel at, or ``None`` for the charger's own tracking.

        Args:
            t_ns: now. Calls within a period of the last step, or before it, change nothing.
            voltage_v, current_a: the newest reading of the panel, each only once; ``None`` if there is no new one. It
                must come more often than every ``hold_s``.
            wanted: whether the panel is to be tracked at all.
            limited: the charger says that it takes less than it could. Seen from the voltage as well.
            floor_v: least voltage that the charger can work at now (above the battery's); raises the lower bound.
        """
        if not wanted:
            self._stop()
            return None
        if self._last_ns is not None and t_ns - self._last_ns < 3 * self._period_ns // 4:
            return self._order
        if voltage_v is None or current_a is None or not self._sane(voltage_v, current_a):
            # A step waits for its reading: whoever asks more often than the panel is read hands in None in between.
            return self._without(t_ns)
        self._good_ns = self._last_ns = t_ns
        self._set_bounds(floor_v)
        if self.state in (TrackerState.OFF, TrackerState.BLIND):
            self._begin()
        elif self.state is TrackerState.START:
            self._start(voltage_v)
        else:
            self._observe(t_ns, voltage_v, current_a, limited)
        self._give(t_ns)
        return self._order

    # -- inside

    def _stop(self) -> None:
        if self.state is TrackerState.OFF:
            return
        self._order = self._centre = self._last_ns = self._good_ns = self._before = None
        self._begin(TrackerState.OFF)

    def _begin(self, state: TrackerState = TrackerState.START) -> None:
        """Search anew."""
        self.state = state
        self._equal = 0
        self._fit.clear()
        self._orders.clear()
        self._probes.clear()
        self._probe: float | None = None
        self._phase = self._steps = self._dark = self._lost = 0
        self._probe_left = 0
        self._looked_ns: int | None = None
        self._fall_1_s = self._fallen = 0.0
        self._shadowed = False

    def _sane(self, voltage_v: float, current_a: float) -> bool:
        """Whether a reading can be true, and moves as readings do."""
        if not (0.0 <= voltage_v <= VOLTAGE_LIMIT_V and CURRENT_LIMITS_A[0] <= current_a <= CURRENT_LIMITS_A[1]):
            return False
        same = (voltage_v, current_a) == self._before
        self._before = (voltage_v, current_a)
        # In the dark and without demand, equal readings are as they should be.
        moving = self.state in (TrackerState.TRACK, TrackerState.BLIND)
        self._equal = self._equal + 1 if same and moving else 0
        return self._equal < FROZEN_STEPS

    def _without(self, t_ns: int) -> float | None:
        """No usable reading: hold for a while, then let go."""
        if self._good_ns is None or t_ns - self._good_ns > self._hold_ns:
            self._order = None
            self.state = TrackerState.BLIND
        return self._order

    def _set_bounds(self, floor_v: float | None) -> None:
        config = self._config
        low = config.lowest_v
        if floor_v is not None and isfinite(floor_v):
            # Room for the dither is always left below the upper bound.
            low = min(max(low, floor_v), config.highest_v - 2.0 * config.step_v)
        self._low = low

    def _start(self, voltage_v: float) -> None:
        """Wait for the reading of the open circuit, and for light."""
        self._steps += 1
        if self._steps < SETTLE or voltage_v <= self._low:
            return
        self.state = TrackerState.TRACK
        self._full_v = self._config.open_circuit_share * voltage_v
        self._centre = self._bounded(self._full_v)
        self._orders.clear()

    def _bounded(self, centre: float) -> float:
        step = self._config.step_v
        return min(max(centre, self._low + step), self._config.highest_v - step)

    def _observe(self, t_ns: int, v: float, i: float, limited: bool) -> None:
        """One reading while tracking."""
        margin = HELD_V + HELD_SHARE * v
        highest = max(self._orders, default=self._config.highest_v)
        if limited or v > highest + margin:
            self.state = TrackerState.LIMITED
            self._fit.clear()
            self._dark = self._lost = 0
            return
        self.state = TrackerState.TRACK
        self._dark = self._dark + 1 if i < DARK_A else 0
        if self._dark >= DARK_STEPS or self._lost >= LOST_STEPS:
            self._begin()
            return
        centre = self._centre
        assert centre is not None
        if self._probe is not None and abs(v - self._probe) <= margin + self._config.step_v:
            self._judge(v, v * i)
        elif abs(v - centre) <= margin + 2.0 * self._config.step_v:
            self._lost = 0
            self._fit.add(t_ns, v, v * i)
            self._climb(centre)
        else:
            self._lost += 1

    def _climb(self, centre: float) -> None:
        """Move the centre by what the fit says."""
        fit = self._fit
        if not fit.solve():
            return
        step = self._config.step_v
        move = GAIN * fit.slope_1_v * centre * centre / BEND
        self._centre = self._bounded(centre + min(max(move, -step), step))
        self._watch(-fit.rate_1_s)

    def _watch(self, fall_1_s: float) -> None:
        """See a shadow come on: call for a look each time it has taken its share, and when it has come."""
        self._fall_1_s = max(self._fall_1_s, fall_1_s)
        if self._fall_1_s <= EDGE_1_S:
            return
        self._fallen += fall_1_s * self._config.period_s
        over = fall_1_s < EDGE_OVER * self._fall_1_s
        if over or self._fallen > EDGE_SHARE:
            self._shadowed = True
            self._fallen = 0.0
        if over:
            self._fall_1_s = 0.0

    def _judge(self, v: float, power_w: float) -> None:
        """A look at another section came back: go there if it is clearly better."""
        self._probe = None
        if power_w > BETTER * self._fit.mean_w:
            self._probes.clear()
            self._fit.clear()
            self._centre = self._bounded(v)

    def _give(self, t_ns: int) -> None:
        """The next order."""
        config = self._config
        if self.state is TrackerState.START or self._centre is None:
            self._order = config.highest_v
            return
        if self._probe is not None and self._probe_left > 0:
            self._probe_left -= 1
        else:
            self._probe = None
        if self._probe is None and self.state is TrackerState.TRACK:
            self._look(t_ns)
        if self._probe is not None and self._probe_left == SETTLE:
            self._order = self._probe
        else:
            self._centre = self._bounded(self._centre)
            # A lower section's curve is narrower in proportion.
            step = config.step_v * self._section() / config.sections
            self._order = self._centre + step * DITHER[self._phase]
            self._phase = (self._phase + 1) % len(DITHER)
        self._orders.append(self._order)

    def _look(self, t_ns: int) -> None:
        """Take the next section to be looked at, if it is time."""
        if not self._probes:
            if not self._fit.full or not self._due(t_ns):
                return
            self._looked_ns = t_ns
            self._shadowed = False
            self._probes = self._others()
        if self._probes:
            self._probe = self._probes.pop()
            self._probe_left = SETTLE
            self.looks += 1

    def _due(self, t_ns: int) -> bool:
        if self._looked_ns is None:
            return True
        waited_s = (t_ns - self._looked_ns) * 1e-9
        if self._shadowed:
            return waited_s >= LOOK_SOON_S
        return waited_s >= (LOOK_LATE_S if self._section() == self._config.sections else LOOK_LOW_S)

    def _section(self) -> int:
        """At which of the string's maxima the centre is, counted from the lowest."""
        count = self._config.sections
        assert self._centre is not None
        return min(max(round(self._centre / self._full_v * count), 1), count)

    def _others(self) -> list[float]:
        """Voltages within bounds at which the other sections would have their maxima."""
        assert self._centre is not None
        count, here = self._config.sections, self._section()
        self._full_v = self._centre * count / here
        wanted = (self._full_v * k / count for k in range(1, count + 1) if k != here)
        return [v for v in wanted if self._low <= v <= self._config.highest_v]
