"""One line of the distribution unit: what it was told, what is seen of it, and how often it has been opened for cause.

A verdict rests only on what was measured after the order had time to work. The best evidence there is counts: the
current of the load's own monitor, then current and voltage of its rail, then the step that switching makes in the bus
current. Without evidence the line is "unknown"; it is never guessed. Currents in A, times in ns of the flight clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum, unique
from math import isfinite

from hal.power import RailState
from hal.profile.body import BodyConfig

__all__ = ["RETRIES", "RETRY_NS", "Line", "LoadRule", "Obedience", "load_rules"]

MS = 1_000_000
SECOND = 1_000_000_000

DRAWS_SHARE = 0.20
"""Share of the nominal current above which a load that is off still draws."""
DRAWS_NOTHING_SHARE = 0.05
"""Share of the nominal current up to which a load that is on draws nothing."""
DRAWS_A = 0.02
"""Least current that counts as drawing: 40 offsets of a 0.02 ohm channel monitor."""
OFF_SETTLES_NS = SECOND
ON_SETTLES_NS = 2 * SECOND
RAIL_LAG_NS = 2 * SECOND
"""A pass over all rails of the supervisor takes up to that long; what it shows of one may be so much older."""
INRUSH_NS = 50 * MS
"""Samples up to that long after closing show what charges a load's input, not what it draws."""
SAMPLE_LIFE_NS = 5 * SECOND // 2
"""Age from which a current no longer stands for the present: five periods of a 2 Hz channel monitor."""
RAIL_DEAD_V, RAIL_DEAD_SHARE = 2.0, 0.5
"""A rail below either is down. The share counts where its nominal voltage is known."""
SHORT_SHARE, SHORT_A = 1.5, 0.2
"""A line is opened above 1.5 x nominal + 0.2 A."""
RETRIES = 3
RETRY_NS = 10 * SECOND
"""CANON section 10.2: retry 3 times, 10 s apart."""
FORGIVEN_NS = 60 * SECOND
"""Time without a fault after which openings are forgotten; six retry intervals."""
JUDGED_SHARE = 0.2
"""A load throttled below that is not expected to draw anything that shows."""
DEAF_AFTER = 3
"""Orders that the rail does not show, after which the line counts as not obeying."""

SAFE_LOADS = frozenset({"processor", "radar", "transponder", "nbl"})
"""What may run in SAFE beside base loads and heaters: radar, beacon and a critical packet (CANON section 10.1)."""


@unique
class Obedience(StrEnum):
    """Whether a line does what it was told."""

    UNKNOWN = "unknown"
    OBEYS = "obeys"
    STUCK_ON = "stuck on"
    STUCK_OFF = "stuck off"


@dataclass(frozen=True, slots=True)
class LoadRule:
    """What is known of a load beforehand. ``survival`` loads (heaters) are switched on without proof of
    headroom; ``safe`` ones may run in SAFE; ``rail_v`` is the nominal voltage of its rail, ``None`` if not known."""

    name: str
    nominal_w: float
    base: bool = False
    starts_on: bool = True
    survival: bool = False
    safe: bool = False
    rail_v: float | None = None


def load_rules(body: BodyConfig) -> tuple[LoadRule, ...]:
    """The loads of a body and its heaters, in the order of the body description."""
    loads = tuple(
        LoadRule(load.name, load.power_w, load.base, load.starts_on, safe=load.base or load.name in SAFE_LOADS)
        for load in body.power.loads
    )
    named = {rule.name for rule in loads}
    return loads + tuple(
        LoadRule(heater.load, heater.power_w, starts_on=False, survival=True, safe=True)
        for heater in body.thermal.heaters if heater.load not in named
    )


class Line:
    """State of one line. ``nominal_v`` is the voltage at which its nominal power makes its nominal current."""

    __slots__ = (
        "asked_ns", "before_a", "changed_ns", "current_a", "current_ns", "deaf", "latched", "limit_a", "monitor_ns",
        "nominal_a", "nothing_a", "obedience", "opened", "over", "proven", "railed", "reorder", "repeats",
        "retry_ns", "rule", "seen_w", "share", "shed_ns", "still_a", "switched", "told", "trips", "wanted",
    )

    def __init__(self, rule: LoadRule, nominal_v: float, switched: bool) -> None:
        self.rule = rule
        self.switched = switched
        self.nominal_a = rule.nominal_w / nominal_v
        self.limit_a = SHORT_SHARE * self.nominal_a + SHORT_A
        self.still_a = max(DRAWS_SHARE * self.nominal_a, DRAWS_A)
        self.nothing_a = max(DRAWS_NOTHING_SHARE * self.nominal_a, 0.5 * DRAWS_A)
        self.wanted = rule.starts_on or rule.base
        self.share = 1.0
        self.told: bool | None = None if switched else True
        """Newest order; ``None`` until one was given or the rail has shown what it was told before."""
        self.changed_ns = self.asked_ns = -FORGIVEN_NS
        """When the order last changed, and when it was last given."""
        self.before_a: float | None = None
        """The bus current when it was last closed."""
        self.current_a: float | None = None
        self.current_ns = -FORGIVEN_NS
        self.monitor_ns = -FORGIVEN_NS
        """Time of the newest sample of its own monitor; that of a rail's current is in ``current_ns`` alone."""
        self.seen_w: float | None = None
        """What it last drew while it was on, W, by a current that was trusted."""
        self.obedience = Obedience.UNKNOWN
        self.proven: bool | None = None
        """Last state, on or off, in which it was seen to be as told."""
        self.over = False
        """The newest sample was above ``limit_a``."""
        self.railed = False
        """Its rail's voltage has been a witness."""
        self.reorder = False
        self.repeats = 0
        """How often the present order was given again."""
        self.deaf = 0
        """Orders in a row that the rail did not show."""
        self.trips = 0
        self.retry_ns = 0
        """It stays open until then."""
        self.shed_ns = -FORGIVEN_NS
        """When it was last shed."""
        self.latched = False
        self.opened = False
        """Open for the sake of the bus or itself, not because nobody wants it."""

    def order(self, on: bool, now_ns: int) -> None:
        """Note that it was told so now."""
        if on is not self.told:
            self.changed_ns = now_ns
            self.repeats = self.deaf = 0
            if self.obedience is not (Obedience.STUCK_OFF if on else Obedience.STUCK_ON):
                self.obedience = Obedience.UNKNOWN
        else:
            self.repeats += 1
        self.told = on
        self.asked_ns = now_ns
        self.reorder = False

    @property
    def stuck(self) -> bool:
        """Whether it is known not to do what it was told."""
        return self.obedience is Obedience.STUCK_ON or self.obedience is Obedience.STUCK_OFF

    def trip(self, now_ns: int) -> None:
        """Open it for its own fault; after ``RETRIES`` retries it stays open until it is cleared."""
        self.trips += 1
        self.latched = self.trips > RETRIES
        self.hold(now_ns)
        self.seen_w = None

    def hold(self, now_ns: int) -> None:
        """Keep it open for a while."""
        self.opened = True
        self.retry_ns = now_ns + RETRY_NS

    def clear(self) -> None:
        """An operator lets it be closed again."""
        self.latched = self.opened = False
        self.trips = self.retry_ns = 0

    def current(self, now_ns: int) -> float | None:
        """Its present current, ``None`` if not measured, too old, or older than the last change of its switch."""
        fresh = now_ns - self.current_ns <= SAMPLE_LIFE_NS and self.current_ns >= self.changed_ns + INRUSH_NS
        return self.current_a if fresh else None

    def see_current(self, amperes: float, t_ns: int, volts: float | None, alive: bool) -> bool:
        """Take a new sample of its own monitor. ``alive``: the bus can feed a load. Returns whether it is shorted.

        A sample that is no number is not taken.
        """
        if not isfinite(amperes):
            return False
        self.current_a, self.current_ns = amperes, t_ns
        since = t_ns - self.changed_ns
        if since < INRUSH_NS:
            return False
        self.over = amperes > self.limit_a
        self._judge_current(amperes, since, alive)
        if self.told and not self.over and volts is not None and amperes > self.nothing_a and since >= ON_SETTLES_NS:
            self.seen_w = amperes * volts
        # A line that was told off and carries that much is a stuck switch: there is nothing to open.
        return self.over and self.told is not False

    def _judge_current(self, amperes: float, since: int, alive: bool) -> None:
        if not self.switched and not self.wanted:
            # Nobody wants it and no order reaches it: whatever it draws is its own affair.
            self.obedience = Obedience.UNKNOWN
            return
        if self.told:
            if amperes > self.nothing_a:
                self._found(True)
            elif since >= ON_SETTLES_NS and self.share >= JUDGED_SHARE and alive and self.nominal_a > 0.0:
                self.obedience = Obedience.STUCK_OFF
        elif self.told is False:
            if amperes <= self.still_a:
                self._found(False)
            elif since >= OFF_SETTLES_NS:
                self.obedience = Obedience.STUCK_ON

    def see_rail(self, rail: RailState, t_ns: int, now_ns: int, alive: bool) -> bool:
        """Take a new state of its rail. Returns whether the rail is shorted, or has collapsed, while it is on."""
        if self.told is None and rail.on is not None:
            self.told = rail.on
            return False
        since = t_ns - self.changed_ns
        if since < RAIL_LAG_NS:
            return False
        monitored = now_ns - self.monitor_ns <= SAMPLE_LIFE_NS
        self._compare_told(rail, t_ns, monitored)
        if monitored:
            # Its own monitor is the better witness: a load that draws what it should has no collapsed rail.
            return False
        if rail.current_a is not None:
            return self.see_current(rail.current_a, t_ns, rail.voltage_v, alive)
        volts = rail.voltage_v
        if volts is None or not isfinite(volts) or rail.on is None or rail.on is not self.told:
            return False
        dead_v = RAIL_DEAD_V if self.rule.rail_v is None else RAIL_DEAD_SHARE * self.rule.rail_v
        self.railed = True
        if self.told:
            if volts >= dead_v:
                self._found(True)
            return alive and volts < dead_v
        if volts < dead_v:
            self._found(False)
        else:
            self.obedience = Obedience.STUCK_ON
        return False

    def _compare_told(self, rail: RailState, t_ns: int, monitored: bool) -> None:
        """Have the order repeated that the rail does not show; a rail that never shows it does not obey."""
        if rail.on is None or t_ns - self.asked_ns < RAIL_LAG_NS:
            return
        if rail.on is self.told:
            if self.deaf >= DEAF_AFTER and not monitored:
                self.obedience = Obedience.UNKNOWN
            self.deaf = 0
            return
        self.reorder = True
        self.deaf += 1
        if self.deaf >= DEAF_AFTER and not monitored:
            self.obedience = Obedience.STUCK_ON if rail.on else Obedience.STUCK_OFF

    def see_step(self, obeyed: bool | None, repeated: bool) -> None:
        """Take the verdict of the bus current on the last order: whether its step was seen, ``None`` if nobody can say.

        No step after an order means "stuck" only if the state before it was proven, and only when the repeated order
        has made none either; before that the order is repeated.
        """
        if obeyed:
            self._found(bool(self.told))
        elif obeyed is None or self.proven is not (not self.told):
            if not self.stuck:
                self.obedience = Obedience.UNKNOWN
        elif not repeated:
            self.reorder = True
        else:
            self.obedience = Obedience.STUCK_OFF if self.told else Obedience.STUCK_ON

    def _found(self, on: bool) -> None:
        self.obedience = Obedience.OBEYS
        self.proven = on
