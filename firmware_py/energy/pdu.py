"""Loads of the craft: what is wanted of them, what is allowed, and what is seen; each has its answer, with the reasons.

Off is ordered at once, on one load at a time, so that inrush does not add up. What takes proof is closed only with it:
a bus that is not measured closes nothing but heaters. Nothing that runs is opened because a monitor died. A load that
does not obey is named, told again, and counted in the demand, since its draw cannot be shed. A line that is shorted is
opened at once, closed again three times at ten seconds' distance, and then stays open until an operator clears it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from math import isfinite

from fdir.codes import Code
from firmware_py.energy.pdu_answer import Held, LoadAnswer, LoadEvent, Verdict, Wishes, answer
from firmware_py.energy.pdu_bus import BusGuard, BusLevel, StepWatch
from firmware_py.energy.pdu_line import FORGIVEN_NS, SAMPLE_LIFE_NS, Line, LoadRule, Obedience
from firmware_py.energy.pdu_relief import Relief
from hal.power import PowerState
from hal.profile.body import BusPowerConfig
from hal.reading import Quality, Reading

__all__ = ["LoadAnswer", "LoadEvent", "LoadManager", "Verdict", "Wishes"]

MS = 1_000_000
SECOND = 1_000_000_000
STAGGER_NS = 100 * MS
OVERCURRENT = "pdu_overcurrent"
SHED_REST_NS = 5 * SECOND
"""A load shed for its current stays off for that long, so that a demand at the edge does not switch it to and fro."""
UNMEASURED_NS = 300 * MS
"""Until then after closing a load its draw may be missing in the bus current."""
REPEAT_NS, FEW_REPEATS, SLOW_REPEAT_NS = 3 * SECOND // 2, 5, 10 * SECOND
"""An order is repeated no sooner than its effect can be judged, and more seldom once it has not helped."""
ALIVE_SHARE = 0.5
"""A bus below that share of its lowest voltage feeds nobody: a load that draws nothing then isn't to blame."""
BLAMED_NS = SECOND // 2
"""Time after closing a line in which it is blamed for a current beyond the range of the bus's monitor."""
EVENTS = 64


class LoadManager:
    """The loads of one craft.

    Args:
        rules: the loads (``pdu_line.load_rules``).
        bus: voltages and current limit.
        switched: names of the rails that can be switched (``PowerPlane.switched``).

    ``answers`` has every load by name. Raises ValueError for two loads of one name.
    """

    def __init__(self, rules: Sequence[LoadRule], bus: BusPowerConfig, switched: Collection[str]) -> None:
        rails = frozenset(switched)
        self._lines = {r.name: Line(r, bus.full_v, r.name in rails and not r.base) for r in rules}
        if len(self._lines) != len(rules):
            raise ValueError("two loads have the same name")
        # Heaters are closed first when several loads wait.
        self._by_need = sorted(self._lines.values(), key=lambda line: not line.rule.survival)
        self._alive_v = ALIVE_SHARE * bus.empty_v
        self._guard = BusGuard(bus.current_limit_a)
        self._watch = StepWatch()
        self._watch_repeats = False
        self._relief = Relief(self._lines.values(), self._guard)
        self._volts: float | None = None
        self._now_ns = 0
        self._rails_ns = -1
        self._last_on_ns = -FORGIVEN_NS
        self._closed: deque[tuple[int, float]] = deque(maxlen=8)
        self._orders: list[tuple[str, bool]] = []
        self._signs: dict[str, tuple[object, ...]] = {}
        self._events: deque[LoadEvent] = deque(maxlen=EVENTS)
        self.answers: dict[str, LoadAnswer] = {}
        self.disobeying: tuple[str, ...] = ()
        """Loads that are stuck, on or off."""
        self.stuck_on: tuple[str, ...] = ()
        """Those of them whose draw cannot be shed."""
        self.dropped_events = 0
        self.bad_inputs = 0
        """Shares that were no number of 0..1; the share before stays."""

    @property
    def bus_level(self) -> BusLevel:
        """How loaded the bus is, persistence included."""
        return self._guard.level

    @property
    def overcurrent_unsolved(self) -> bool:
        """The bus is above its limit with everything open that may be."""
        return self._relief.unsolved

    def orders(self) -> tuple[tuple[str, bool], ...]:
        """Rails to switch now, as of the last step; off before on."""
        return tuple(sorted(self._orders, key=lambda order: order[1])) if self._orders else ()

    def not_taken(self, load: str) -> None:
        """The lever of the board did not take the last order: it is given again, and its time starts then."""
        line = self._lines[load]
        line.reorder = True
        line.repeats = 0
        line.changed_ns = line.asked_ns = self._now_ns

    def clear(self, load: str) -> None:
        """An operator lets a load be closed again that was opened for cause. Raises KeyError for no such load."""
        line = self._lines[load]
        if line.opened and line.trips:
            self._event(line, Code.PDU_OVERCURRENT, False)
        line.clear()

    def demand_w(self, load: str) -> float:
        """What a load draws, or would draw if it were on: measured where that is trusted, else its nominal power.

        What was measured before it was switched off counts while it is off. Raises KeyError for no such load.
        """
        line = self._lines[load]
        if line.told is not False or line.obedience is Obedience.STUCK_ON:
            amperes = line.current(self._now_ns)
            if amperes is not None and self._volts is not None:
                return max(0.0, amperes * self._volts)
        return line.rule.nominal_w * line.share if line.seen_w is None else line.seen_w

    def drawn_w(self, load: str) -> float:
        """What it draws now: measured where that is trusted, else by what it was told. Raises KeyError."""
        line = self._lines[load]
        amperes = line.current(self._now_ns)
        if amperes is not None and self._volts is not None:
            return max(0.0, amperes * self._volts)
        # Before any order a line is as the distribution unit powers up.
        told = line.rule.starts_on or line.rule.base if line.told is None else line.told
        on = told and line.obedience is not Obedience.STUCK_OFF
        return self.demand_w(load) if on or line.obedience is Obedience.STUCK_ON else 0.0

    def take_events(self) -> tuple[LoadEvent, ...]:
        """What has begun and ended since this was last asked, oldest first."""
        if not self._events:
            return ()
        events = tuple(self._events)
        self._events.clear()
        return events

    def step(self, now_ns: int, wishes: Wishes, power: PowerState) -> None:
        """Look at what is measured, then decide on every load. A clock that goes back stands still."""
        now_ns = self._now_ns = max(now_ns, self._now_ns)
        self._orders.clear()
        self._volts = _usable(power.bus_voltage_v)
        bus = power.bus_current_a
        amperes = _usable(bus)
        # Beyond the range of its monitor the current is above every limit, and no measure of a load's step.
        fresh = self._guard.step(_finite(bus.bound), bus.t_ns, now_ns)
        if fresh and amperes is not None:
            self._watch.sample(bus.t_ns, amperes)
        elif fresh:
            self._blame_the_last(now_ns)
        self._see(now_ns, power)
        verdict = self._watch.verdict(now_ns)
        if verdict is not None:
            self._lines[verdict[0]].see_step(verdict[1], self._watch_repeats)
        opened, cause = self._relief.step(now_ns, fresh)
        if cause is not None:
            self._event(cause, Code.PDU_OVERLOAD, False)
            self._event(cause, Code.PDU_OVERCURRENT, True)
        if opened is not None:
            self._event(opened, Code.PDU_OVERLOAD, True)
        for line in self._by_need:
            self._decide(line, now_ns, wishes, line is opened)

    def _see(self, now_ns: int, power: PowerState) -> None:
        """Take every new sample once."""
        volts = self._volts
        # A bus whose voltage is not known can't tell a dead load from a dead bus.
        alive = volts is not None and volts >= self._alive_v
        for name, reading in power.load_current_a.items():
            line = self._lines.get(name)
            amperes = reading.bound
            if line is None or amperes is None or reading.t_ns <= line.current_ns:
                continue
            if line.see_current(amperes, reading.t_ns, volts, alive):
                self._trip(line, now_ns)
            line.monitor_ns = line.current_ns
        rails = power.rails
        if rails.t_ns == self._rails_ns or rails.value is None or rails.quality is not Quality.OK:
            return
        self._rails_ns = rails.t_ns
        for name, rail in rails.value.items():
            line = self._lines.get(name)
            if line is not None and line.switched and line.see_rail(rail, rails.t_ns, now_ns, alive):
                self._trip(line, now_ns)

    def _blame_the_last(self, now_ns: int) -> None:
        """Beyond the range of its monitor the bus collapses, and everything is shed before any line's own monitor is
        asked: the line that was closed last, if that was just now, is the shorted one."""
        bus_a = self._guard.amperes
        closed = [
            line for line in self._by_need
            if line.told and line.before_a is not None and now_ns - line.changed_ns <= BLAMED_NS
            and bus_a is not None and bus_a - line.before_a > line.limit_a
        ]
        if closed:
            self._trip(max(closed, key=lambda line: line.changed_ns), now_ns)

    def _trip(self, line: Line, now_ns: int) -> None:
        # What has no switch can't be opened; its answer says so.
        if line.switched and not (line.opened and line.told is not False):
            line.trip(now_ns)
            self._event(line, Code.PDU_OVERCURRENT, True)

    def _decide(self, line: Line, now_ns: int, wishes: Wishes, relieved: bool) -> None:
        rule = line.rule
        name = rule.name
        line.wanted = wishes.wanted.get(name, line.wanted)
        share = wishes.shares.get(name, 1.0)
        if share != line.share:
            share = self._throttle(line, share)
        shed = wishes.shed.get(name)
        if shed == OVERCURRENT:
            line.shed_ns = now_ns
        blocked = name in wishes.blocked
        denied = wishes.denied.get(name)
        safe = wishes.safe and not rule.safe
        open_ = line.opened and (line.latched or now_ns < line.retry_ns)
        held = Held.NOT
        if line.switched:
            wants = line.wanted and shed is None and not blocked and denied is None and not safe and not open_
            held = self._switch(line, wants, now_ns, relieved)
        sign = (line.wanted, share, shed, blocked, denied, safe, open_, held, line.trips, line.obedience, line.told,
                line.over)
        if sign != self._signs.get(name):
            self._signs[name] = sign
            self._answer(line, wishes, safe, open_, held)

    def _throttle(self, line: Line, share: float) -> float:
        if 0.0 <= share <= 1.0:
            line.share = share
        else:
            self.bad_inputs += 1
        return line.share

    def _switch(self, line: Line, wants: bool, now_ns: int, relieved: bool) -> Held:
        """Give the order that is due, if any."""
        if line.stuck and now_ns - line.asked_ns >= (REPEAT_NS if line.repeats < FEW_REPEATS else SLOW_REPEAT_NS):
            line.reorder = True
        if line.trips and line.told and not line.opened and now_ns - line.changed_ns >= FORGIVEN_NS:
            line.trips = 0
        if not wants:
            if line.told is not False or line.reorder:
                self._order(line, False, now_ns, relieved)
            return Held.NOT
        if line.told is True and not line.opened:
            if line.reorder and now_ns - self._last_on_ns >= STAGGER_NS:
                self._order(line, True, now_ns, False)
            return Held.NOT
        held = self._room(line, now_ns)
        if held is Held.NOT:
            if line.opened:
                line.opened = False
                self._event(line, Code.PDU_OVERCURRENT if line.trips else Code.PDU_OVERLOAD, False)
            self._order(line, True, now_ns, False)
        return held

    def _room(self, line: Line, now_ns: int) -> Held:
        """Whether a load may be closed now."""
        if now_ns - self._last_on_ns < STAGGER_NS or now_ns - line.shed_ns < SHED_REST_NS:
            return Held.TURN
        if line.told is None and line.rule.starts_on:
            # It runs since power-up; it is not closed, only confirmed.
            return Held.NOT
        guard, volts = self._guard, self._volts
        if guard.tripped and guard.amperes is not None:
            return Held.FULL
        if guard.amperes is None or volts is None:
            return Held.NOT if line.rule.survival else Held.BLIND
        if line.rule.survival and not line.opened:
            return Held.NOT
        coming = sum(watts for t_ns, watts in self._closed if now_ns - t_ns < UNMEASURED_NS)
        most = guard.limit_a * volts
        return Held.NOT if guard.amperes * volts + coming + self.demand_w(line.rule.name) <= most else Held.FULL

    def _order(self, line: Line, on: bool, now_ns: int, relieved: bool) -> None:
        name = line.rule.name
        if not relieved:
            self._relief.disturb()
        if line.told is None or line.railed or now_ns - line.current_ns <= SAMPLE_LIFE_NS:
            self._watch.cancel()
        else:
            self._watch_repeats = line.told is on
            self._watch.order(name, on, line.nominal_a, now_ns)
        if on:
            line.before_a = self._guard.amperes
            self._last_on_ns = now_ns
            self._closed.append((now_ns, self.demand_w(name)))
        line.order(on, now_ns)
        self._orders.append((name, on))

    def _answer(self, line: Line, wishes: Wishes, safe: bool, open_: bool, held: Held) -> None:
        """Renew an answer that has changed."""
        name = line.rule.name
        before = self.answers.get(name)
        self.answers[name] = answer(line, wishes, safe, open_, held)
        if line.stuck is not (before is not None and Code.LOAD_DISOBEYS in before.codes):
            self._event(line, Code.LOAD_DISOBEYS, line.stuck)
        self.disobeying = tuple(n for n, other in self._lines.items() if other.stuck)
        self.stuck_on = tuple(n for n, other in self._lines.items() if other.obedience is Obedience.STUCK_ON)

    def _event(self, line: Line, code: Code, active: bool) -> None:
        if len(self._events) == EVENTS:
            self.dropped_events += 1
        self._events.append(LoadEvent(self._now_ns, line.rule.name, code, active, active and line.latched))


def _usable(reading: Reading[float]) -> float | None:
    return _finite(reading.value) if reading.quality is Quality.OK else None


def _finite(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None
