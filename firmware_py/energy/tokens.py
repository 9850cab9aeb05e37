"""Energy budget: who draws a peak asks first, for watts and joules over a time, and gives back what was not used.

All granted tokens together never pass what the stores can deliver: the sum of their watts stays within the power of
stack or bus, the sum of the joules they still hold within the energy there is, above the reserve that only braking may
touch. The more urgent is served first, and what waits for room keeps its place: a lesser one gets only what the waiting
ones would leave. Braking and thrusters take what they need from lesser tokens that run.

Every joule stays in the books: granted = used + returned + held. A token that nobody gives back counts as used up.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from collections.abc import Mapping
from math import inf

from fdir.codes import Code
from firmware_py.energy.token_supply import ENERGY_CODE, POWER_CODE, Stores
from firmware_py.energy.token_types import (
    CONSUMERS,
    Answer,
    Books,
    ConsumerRule,
    Outcome,
    Priority,
    Store,
    Supply,
    Token,
    refused_input,
)
from hal.profile.body import PowerConfig

__all__ = ["CONSUMERS", "Answer", "ConsumerRule", "EnergyBudget", "Outcome", "Priority", "Store", "Supply"]

SECOND = 1_000_000_000
HOUR_NS = 3600 * SECOND
QUEUE, RUNNING = 16, 32
"""Most that wait and that run at a time; there are about a dozen consumers."""
SETTLE_NS = 5 * SECOND
"""What was really used of a token may be told that long after its end."""
PREEMPTS = Priority.RCS
"""Least urgent priority that takes from running tokens; all others wait."""
SETTLING, CHANGES = 64, 64
NO_RULE = ConsumerRule()


class EnergyBudget:
    """The budget of one craft.

    Args:
        power: stores of the body; what they can never give is refused and not queued.
        consumers: rules by consumer.

    ``step`` comes before the first ``ask`` of a tick: without a fresh supply only braking is granted.
    """

    def __init__(self, power: PowerConfig, consumers: Mapping[str, ConsumerRule] = CONSUMERS) -> None:
        self._stores = Stores(power)
        self._rules = consumers
        self._now_ns = 0
        self._next_id = 1
        self._running: dict[int, Token] = {}
        self._waiting: list[Token] = []
        self._settling: dict[int, Token] = {}
        self._grants: dict[str, deque[int]] = {}
        self._thrust_ns = -HOUR_NS
        """When a token of thrusters or brake last ran."""
        self._changes: deque[Answer] = deque(maxlen=CHANGES)
        self.books = Books()

    # -- what consumers call

    def ask(
        self, consumer: str, watts: float, joules: float, duration_s: float, now_ns: int, store: Store,
        priority: Priority, wait_s: float = 0.0,
    ) -> Answer:
        """Ask for at most ``watts``, and ``joules`` in all, over ``duration_s`` from the grant on.

        ``wait_s``: how long the request may wait if it cannot be granted now. Numbers that can't be, or are beyond what
        the stores of this body can ever give, are refused; ``Answer.field`` then names the argument.
        """
        self._turn_to(now_ns)
        wrong = refused_input(watts, joules, duration_s, wait_s)
        if not wrong and priority < self._rule(consumer).most_urgent:
            wrong = "priority"
        if wrong:
            self.books.bad_inputs += 1
            return self._refuse(consumer, (Code.CMD_VALIDATION_FAILED,), None, wrong)
        braking = priority is Priority.BRAKE
        if watts > self._stores.most_w[store] and not braking:
            return self._refuse(consumer, (POWER_CODE[store],), None, "watts")
        if joules > self._stores.most_j[store] and not braking:
            return self._refuse(consumer, (ENERGY_CODE[store],), None, "joules")
        now_ns = self._now_ns
        duration_ns, wait_ns = round(duration_s * SECOND), round(wait_s * SECOND)
        token = Token(self._next_id, consumer, watts, joules, duration_ns, store, priority, now_ns, now_ns + wait_ns)
        self._next_id += 1
        codes = self._judge(token, [t for t in self._waiting if t.reserves and t.key < token.key])
        if not codes or (priority <= PREEMPTS and self._preempt(token)):
            return self._grant(token)
        when_ns = self._earliest(token)
        if wait_ns > 0 and when_ns <= token.wait_until_ns:
            return self._queue(token, codes)
        return self._refuse(consumer, codes, when_ns if when_ns > now_ns else None)

    def use(self, token: int, used_j: float) -> bool:
        """Tell what a token has used so far, J, so that it holds only the rest; a figure below the last one counts as
        that. False: no such token, or no number."""
        found = self._running.get(token) or self._settling.get(token)
        if found is None or not 0.0 <= used_j < inf:
            return False
        self._book_use(found, used_j)
        return True

    def give_back(self, token: int, used_j: float) -> bool:
        """End a token, or its wait, with what it has used in all, J: the rest comes back, what is beyond its joules is
        noted. False: no such token, it was settled before, or ``used_j`` is no number (the token then goes on)."""
        if not 0.0 <= used_j < inf:
            self.books.bad_inputs += 1
            return False
        for index, waiting in enumerate(self._waiting):
            if waiting.id == token:
                del self._waiting[index]
                return True
        found = self._running.pop(token, None)
        if found is None:
            found = self._settling.pop(token, None)
            if found is None:
                self.books.late_returns += 1
                return False
        else:
            self._silence(found)
        self._book_use(found, used_j)
        if found.used_j == 0.0:
            # Nothing was drawn, so it doesn't count against the consumer's rate either.
            grants = self._grants.get(found.consumer)
            if grants is not None and found.granted_ns is not None and found.granted_ns in grants:
                grants.remove(found.granted_ns)
        rest = found.joules - found.used_j
        self.books.returned_j += rest
        self.books.held_j -= rest
        return True

    def live(self, token: int) -> bool:
        """Whether a token is granted and has neither ended nor been taken away."""
        return token in self._running

    def granted_w(self, store: Store) -> float:
        """Sum of the watts granted of a store."""
        return sum(token.watts for token in self._running.values() if token.store is store)

    def granted_j(self, store: Store, reserve: bool = True) -> float:
        """What the granted tokens may still draw of a store, J; without ``reserve`` those of braking are left out."""
        now_ns = self._now_ns
        return sum(
            t.remaining_j(now_ns) for t in self._running.values()
            if t.store is store and (reserve or t.priority is not Priority.BRAKE)
        )

    @property
    def waiting(self) -> tuple[str, ...]:
        """Consumers that wait, the next one first."""
        return tuple(token.consumer for token in self._waiting)

    # -- once a tick

    def step(self, now_ns: int, supply: Supply) -> tuple[Answer, ...]:
        """Take the supply of now; end what is over, take back what can no longer be carried, grant what waits.

        Returns what has changed since the last step beside the answers that ``ask`` gave itself: expired, revoked,
        granted from the queue, refused there.
        """
        self._turn_to(now_ns)
        self._stores.take(supply, self._now_ns)
        if self._running:
            self._shave()
        if self._waiting:
            self._serve()
        if not self._changes:
            return ()
        changes = tuple(self._changes)
        self._changes.clear()
        return changes

    def _turn_to(self, now_ns: int) -> None:
        """Go on to now (a clock that goes back stands still): end and settle what is due."""
        now_ns = self._now_ns = max(now_ns, self._now_ns)
        if self._running:
            for token in [t for t in self._running.values() if now_ns >= t.end_ns]:
                self.books.expired += 1
                self._end(token, Outcome.EXPIRED, ())
        if self._settling:
            for token in [t for t in self._settling.values() if now_ns - t.end_ns > SETTLE_NS]:
                self._settle(token)

    def _serve(self) -> None:
        """Grant what waits, the most urgent first; who still lacks room keeps it from the lesser ones."""
        ahead: list[Token] = []
        kept: list[Token] = []
        for token in self._waiting:
            codes = self._judge(token, ahead)
            if not codes or (token.priority <= PREEMPTS and self._preempt(token)):
                self._tell(self._grant(token))
            elif self._now_ns >= token.wait_until_ns:
                self._tell(self._refuse(token.consumer, codes, None, token=token.id))
            else:
                kept.append(token)
                if token.reserves:
                    ahead.append(token)
        self._waiting = kept

    def _shave(self) -> None:
        """Take away, least urgent and newest first, until the supply carries the rest: all but braking, which goes on
        with what there is. A supply that is not known takes nothing away."""
        for store in Store:
            while (short := self._stores.short(store, self._running.values(), self._now_ns)) is not None:
                victims = [t for t in self._running.values() if t.store is store and t.priority > Priority.BRAKE]
                if not victims:
                    break
                self._revoke(max(victims, key=lambda t: t.key), short)

    def _judge(self, token: Token, ahead: list[Token]) -> tuple[Code, ...]:
        """Every reason against granting it now, beside what runs and what waits ahead of it."""
        found: list[Code] = []
        rule = self._rule(token.consumer)
        if self._earliest(token) > self._now_ns:
            found.append(Code.COOLDOWN_ACTIVE)
        if rule.yields_s is not None and self._thrusting(rule.yields_s, ahead):
            found.append(Code.PDU_PEAK_DENIED)
        token.reserves = not found
        lacks = self._lacks(token, [*self._running.values(), *ahead])
        return (*found, *(code for code in lacks if code not in found)) if found or lacks else ()

    def _lacks(self, token: Token, beside: list[Token]) -> list[Code]:
        """What its store lacks for it beside these others."""
        stores, now_ns = self._stores, self._now_ns
        found = [] if stores.capacity(token.store, now_ns).known else [Code.POWER_TELEM_MISSING]
        for code in (stores.short(token.store, [*beside, token], now_ns), stores.beyond(token, now_ns)):
            if code is not None and code not in found:
                found.append(code)
        if len(self._running) >= RUNNING:
            found.append(Code.PDU_DENIED)
        return found

    def _thrusting(self, quiet_s: float, ahead: list[Token]) -> bool:
        """Whether thrusters fire, have fired lately, or wait to."""
        if self._now_ns - self._thrust_ns < quiet_s * SECOND:
            return True
        return any(t.priority <= Priority.RCS for t in (*self._running.values(), *ahead))

    def _preempt(self, token: Token) -> bool:
        """Make room for thrusters or brake among what runs, first of what must not run beside them, then of the least
        urgent. Braking gets what there is; thrusters get nothing if that would not be enough."""
        running = self._running.values()
        stays = [t for t in running if t.store is not token.store or t.priority <= token.priority]
        barred = self._lacks(token, stays) or self._earliest(token) > self._now_ns
        if barred and token.priority is not Priority.BRAKE:
            return False
        lesser = sorted((t for t in running if t.priority > token.priority), key=self._rank)
        if len(running) >= RUNNING:
            if not lesser:
                return False
            self._revoke(lesser.pop(), Code.PDU_PEAK_DENIED)
        lesser = [t for t in lesser if t.store is token.store]
        while lesser and self._short(token) is not None:
            self._revoke(lesser.pop(), Code.PDU_PEAK_DENIED)
        return True

    def _short(self, token: Token) -> Code | None:
        return self._stores.short(token.store, (*self._running.values(), token), self._now_ns)

    def _rank(self, token: Token) -> tuple[bool, tuple[int, int, int]]:
        """Who is taken from: the last of this order first."""
        return self._rule(token.consumer).yields_s is not None, token.key

    def _grant(self, token: Token) -> Answer:
        now_ns = token.granted_ns = self._now_ns
        if token.priority <= Priority.RCS:
            self._thrust_ns = now_ns
            for other in [t for t in self._running.values() if self._rule(t.consumer).yields_s is not None]:
                self._revoke(other, Code.PDU_PEAK_DENIED)
        lacks = self._lacks(token, list(self._running.values())) if token.priority is Priority.BRAKE else ()
        self._running[token.id] = token
        rule = self._rule(token.consumer)
        if rule.min_interval_s > 0.0 or rule.max_an_hour is not None:
            self._grants.setdefault(token.consumer, deque(maxlen=rule.max_an_hour or 1)).append(now_ns)
        self.books.granted += 1
        self.books.granted_j += token.joules
        self.books.held_j += token.joules
        return Answer(Outcome.GRANTED, token.consumer, (Code.BUDGET_GRANTED, *lacks), token.id, token.end_ns)

    def _queue(self, token: Token, codes: tuple[Code, ...]) -> Answer:
        if len(self._waiting) >= QUEUE:
            self.books.dropped += 1
            last = self._waiting[-1]
            if last.key < token.key:
                return self._refuse(token.consumer, (*codes, Code.PDU_DENIED), None)
            self._waiting.pop()
            self._tell(self._refuse(last.consumer, (Code.PDU_DENIED,), None, token=last.id))
        insort(self._waiting, token, key=lambda t: t.key)
        self.books.queued += 1
        return Answer(Outcome.QUEUED, token.consumer, (Code.BUDGET_QUEUED, *codes), token.id, token.wait_until_ns)

    def _refuse(
        self, consumer: str, codes: tuple[Code, ...], when_ns: int | None, wrong: str = "", token: int | None = None
    ) -> Answer:
        self.books.refused += 1
        return Answer(Outcome.REFUSED, consumer, codes, token, when_ns, wrong)

    def _revoke(self, token: Token, code: Code) -> None:
        self.books.revoked += 1
        self._end(token, Outcome.REVOKED, (code,))

    def _end(self, token: Token, outcome: Outcome, codes: tuple[Code, ...]) -> None:
        """End a running token; what it used may still be told."""
        del self._running[token.id]
        self._silence(token)
        # It is settled from now on, not from when it would have ended.
        if token.granted_ns is not None:
            token.duration_ns = min(token.duration_ns, max(1, self._now_ns - token.granted_ns))
        if len(self._settling) >= SETTLING:
            self._settle(next(iter(self._settling.values())))
        self._settling[token.id] = token
        self._tell(Answer(outcome, token.consumer, codes, token.id, self._now_ns))

    def _settle(self, token: Token) -> None:
        """Nobody has said what was used: all of it."""
        del self._settling[token.id]
        rest = token.joules - token.used_j
        self.books.used_j += rest
        self.books.held_j -= rest

    def _tell(self, change: Answer) -> None:
        if len(self._changes) == CHANGES:
            self.books.dropped += 1
        self._changes.append(change)

    def _silence(self, token: Token) -> None:
        if token.priority <= Priority.RCS:
            self._thrust_ns = min(self._now_ns, token.end_ns)

    def _book_use(self, token: Token, used_j: float) -> None:
        books = self.books
        before = token.told_j or 0.0
        token.told_j = max(before, used_j)
        used = min(token.told_j, token.joules)
        books.used_j += used - token.used_j
        books.held_j -= used - token.used_j
        token.used_j = used
        beyond = max(0.0, token.told_j - token.joules) - max(0.0, before - token.joules)
        if beyond > 0.0:
            books.overrun_j += beyond
            name = token.consumer if token.consumer in self._rules else "others"
            books.overruns[name] = books.overruns.get(name, 0.0) + beyond

    def _rule(self, consumer: str) -> ConsumerRule:
        rule = self._rules.get(consumer)
        if rule is None and consumer.startswith("heater_"):
            rule = self._rules.get("heater")
        return NO_RULE if rule is None else rule

    def _earliest(self, token: Token) -> int:
        """When the consumer's own rate allows a grant; now or earlier if it does."""
        grants = self._grants.get(token.consumer)
        if not grants:
            return self._now_ns
        rule = self._rule(token.consumer)
        when_ns = grants[-1] + round(rule.min_interval_s * SECOND)
        if rule.max_an_hour is not None and len(grants) >= rule.max_an_hour:
            when_ns = max(when_ns, grants[-rule.max_an_hour] + HOUR_NS)
        return max(when_ns, self._now_ns)

