"""Peaks of the craft on one budget: thrusters, heaters, packets and scans ask for tokens here before they draw.

What is being fired holds a token by itself, so that nobody else is let onto the stack beside it; a burn that was
accepted holds one for all of its energy from then on.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from fdir.codes import Code
from firmware_py.energy.heaters import HeaterPlan
from firmware_py.energy.token_types import Answer, Books, Outcome, Priority, Store, Supply
from firmware_py.energy.tokens import EnergyBudget
from hal.profile.body import HeaterConfig, PowerConfig

__all__ = ["Peaks"]

FIRING_S = 0.5
"""Length of the token that fired valves hold; two pulse windows."""
HEATER_S = 60.0
"""Length of a heater's token; it asks anew while it is wanted."""
MARGIN = 1.25
"""A firing token is for more than is drawn now: the next window may open more."""


@dataclass(slots=True)
class _Held:
    """One token that this module keeps for somebody."""

    token: int
    used_j: float = 0.0
    watts: float = 0.0


@dataclass(slots=True)
class Peaks:
    """Owner of the budget's tokens for thrusters and heaters."""

    power: PowerConfig
    heaters: dict[str, HeaterConfig]
    budget: EnergyBudget = field(init=False)
    denied: dict[str, tuple[Code, ...]] = field(default_factory=dict)
    """Loads that the budget refuses now, with its codes."""
    _firing: _Held | None = None
    _burn: _Held | None = None
    _heaters: dict[str, _Held] = field(default_factory=dict)
    _others: dict[str, _Held] = field(default_factory=dict)
    _notes: list[tuple[Code, str]] = field(default_factory=list)
    _now_ns: int = 0

    def __post_init__(self) -> None:
        """Make the budget."""
        self.budget = EnergyBudget(self.power)

    @property
    def nbl_under_way(self) -> bool:
        """Whether a packet holds a token."""
        held = self._others.get("nbl")
        return held is not None and self.budget.live(held.token)

    @property
    def books(self) -> Books:
        """What became of all tokens."""
        return self.budget.books

    def step(self, now_ns: int, dt_s: float, supply: Supply, firing_w: float) -> None:
        """Bring the budget up to now. ``firing_w``: what the open valves draw."""
        self._now_ns = now_ns
        for change in self.budget.step(now_ns, supply):
            self._hear(change)
        if self._burn is not None:
            self._burn = self._go_on(self._burn, firing_w * dt_s)
        if firing_w > 0.0 and self._burn is None:
            if self._firing is not None:
                self._firing = self._go_on(self._firing, firing_w * dt_s)
            if self._firing is None:
                self._firing = self._begin("rcs", MARGIN * firing_w, FIRING_S)
        elif firing_w <= 0.0:
            self._end_firing()

    def burn(self, watts: float, joules: float, seconds: float, brake: bool = False) -> tuple[Code, ...]:
        """Hold a token for a whole burn; returns what speaks against it, and then none is held."""
        self.end_burn()
        self._end_firing()
        priority = Priority.BRAKE if brake else Priority.RCS
        answer = self.budget.ask(
            "brake" if brake else "rcs", watts, min(joules, watts * seconds), seconds, self._now_ns, Store.SUPERCAP,
            priority,
        )
        if answer.outcome is not Outcome.GRANTED or answer.token is None:
            return answer.codes
        self._burn = _Held(answer.token, 0.0, watts)
        return ()

    def end_burn(self) -> None:
        """The burn is over; what it did not use comes back."""
        if self._burn is not None:
            self.budget.give_back(self._burn.token, self._burn.used_j)
            self._burn = None

    def ask(
        self, consumer: str, watts: float, joules: float, seconds: float, store: Store, priority: Priority,
        wait_s: float = 0.0,
    ) -> Answer:
        """Ask for a packet, a scan, a computing burst or the closing of the dock's switch; one at a time of each."""
        self.give_back(consumer)
        answer = self.budget.ask(consumer, watts, joules, seconds, self._now_ns, store, priority, wait_s)
        if answer.token is not None:
            self._others[consumer] = _Held(answer.token, 0.0, watts)
        return answer

    def live(self, consumer: str) -> bool:
        """Whether what this consumer asked for is granted now."""
        held = self._others.get(consumer)
        return held is not None and self.budget.live(held.token)

    def give_back(self, consumer: str, used_j: float = 0.0) -> None:
        """End what a consumer holds or waits for, with what it has used."""
        held = self._others.pop(consumer, None)
        if held is not None:
            self.budget.give_back(held.token, used_j)

    def heat(self, now_ns: int, plan: HeaterPlan) -> None:
        """Tokens for the heaters that are wanted; those without one are denied."""
        self._now_ns = now_ns
        for load in [load for load in self._heaters if load not in plan.on]:
            held = self._heaters.pop(load)
            self.budget.give_back(held.token, held.watts * HEATER_S)
        self.denied = {}
        for load in sorted(plan.on):
            held_now = self._heaters.get(load)
            if held_now is not None and self.budget.live(held_now.token):
                continue
            watts = self.heaters[load].power_w
            answer = self.budget.ask(
                load, watts, watts * HEATER_S, HEATER_S, now_ns, Store.BUS, Priority.SURVIVAL,
            )
            if answer.outcome is Outcome.GRANTED and answer.token is not None:
                self._heaters[load] = _Held(answer.token, 0.0, watts)
            else:
                self._heaters.pop(load, None)
                self.denied[load] = answer.codes

    def take_notes(self) -> list[tuple[Code, str]]:
        """What became of requests that waited, since this was last asked."""
        notes, self._notes = self._notes, []
        return notes

    def _begin(self, consumer: str, watts: float, seconds: float) -> _Held | None:
        watts = min(watts, self.power.supercap.discharge_max_w)
        answer = self.budget.ask(
            consumer, watts, watts * seconds, seconds, self._now_ns, Store.SUPERCAP, Priority.RCS,
        )
        if answer.outcome is Outcome.GRANTED and answer.token is not None:
            return _Held(answer.token, 0.0, watts)
        return None

    def _end_firing(self) -> None:
        if self._firing is not None:
            self.budget.give_back(self._firing.token, self._firing.used_j)
            self._firing = None

    def _go_on(self, held: _Held, used_j: float) -> _Held | None:
        held.used_j += used_j
        if self.budget.live(held.token):
            self.budget.use(held.token, held.used_j)
            return held
        # It has run out: without its use told it would count as used up.
        self.budget.give_back(held.token, held.used_j)
        return None

    def _hear(self, change: Answer) -> None:
        if change.outcome is Outcome.GRANTED:
            self._notes.append((Code.BUDGET_GRANTED, f"{change.consumer} may start"))
        elif change.outcome is Outcome.REVOKED:
            code = change.codes[0] if change.codes else Code.PDU_PEAK_DENIED
            self._notes.append((code, f"{change.consumer} has lost its energy"))
