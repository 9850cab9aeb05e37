"""The desk that every command goes over: who may give it, whether it is fresh, sealed, gated, carried out once, seen.

All that speaks against a command is listed in one refusal. A command id is carried out at most once: given again, it
is answered with its first verdict. What an unauthenticated sender says is neither read nor remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from comms.dictionary import COMMANDS
from fdir.codes import Code, Severity
from fdir.facts import Facts
from fdir.gate_facts import GateFacts
from fdir.gating import CLASSES, CommandClass, Standing
from fdir.lifecycle import ENDS, LEDGER_CODES, LifeBook, Receipt, Stage, Trigger
from fdir.sealing import Decision, Sealed, seal
from fdir.supervisor import Supervisor
from firmware_py.command_effects import EFFECTS, Seen, Sight
from firmware_py.commands import ONBOARD, CommandRecord, CommandRequest, Confirmation, Order, Priority, Source, parse
from firmware_py.gnc.estimator import NavState
from firmware_py.journal import Journal

__all__ = ["CommandDesk", "Done"]

NS = 1_000_000_000
LONGEST_ID = 64
MOST_VERDICTS = 1024
MOST_SENDERS = 64
ARMED_NS = 60 * NS
SIGHTS = {Sight.WHOLE: Trigger.SEEN, Sight.CUT: Trigger.PART_SEEN, Sight.GONE: Trigger.ABORT}
"""Sights that end the wait for an effect."""


@dataclass(frozen=True, slots=True)
class Done:
    """What came of carrying an order out: what spoke against it (then nothing has changed), words for the record, and
    how long what it began lasts by itself, s."""

    codes: tuple[Code, ...] = ()
    detail: str = ""
    lasts_s: float = 0.0


Act = Callable[[Order, CommandRequest, int, NavState, Facts], Done]


class CommandDesk:
    """Owner of the lives of commands.

    Args:
        supervisor: modes and SAFE.
        journal: where records and events go.
        known: what gating asks beside the facts.
        objections: what else speaks against a class of command now, listed after the gate's reasons.
        act: carries an order out.
    """

    def __init__(
        self, supervisor: Supervisor, journal: Journal, known: Callable[[], GateFacts],
        objections: Callable[[CommandClass, NavState], tuple[Code, ...]], act: Act,
    ) -> None:
        self._supervisor = supervisor
        self._journal = journal
        self._known = known
        self._objections = objections
        self._act = act
        self.book = LifeBook()
        self._armed: dict[str, int] = {}
        """Commands that were armed, of those that do nothing unarmed, and until when."""
        self.start: int | None = None
        """Number of this start, where the craft keeps count: a request from outside must name it."""
        self.repeated = 0
        """Requests whose id had been used."""
        self._number = 0
        self._orders: dict[int, Order] = {}
        self._words: dict[int, str] = {}
        """By number of a command that ends now: what the link said of it."""
        self._verdicts: dict[tuple[str, ...], tuple[CommandRecord, Sealed | None]] = {}
        self._sequences: dict[tuple[str, ...], int] = {}
        self._last: dict[CommandClass, int] = {}

    @property
    def counts(self) -> dict[str, int]:
        """Commands since start: given, waiting for their effect, ended and forgotten, displaced, repeated."""
        book = self.book
        return {
            "given": self._number, "waiting": len(book.waiting()), "dropped": book.dropped,
            "displaced": book.displaced, "repeated": self.repeated,
        }

    def next_number(self) -> int:
        """Number that the next request will have."""
        return self._number + 1

    def arm(self, name: str, now_ns: int) -> tuple[Code, ...]:
        """Let one command of this name through within a minute; refused for one that needs no arming."""
        command = COMMANDS.get(name)
        if command is None or not CLASSES[command.command_class].arm_first:
            return (Code.CMD_VALIDATION_FAILED,)
        self._armed[name] = now_ns + ARMED_NS
        return ()

    def disarm(self) -> None:
        """Nothing is armed any more."""
        self._armed.clear()

    # -- taking a request in

    def take(self, request: CommandRequest, now_ns: int, nav: NavState, facts: Facts) -> CommandRecord:
        """Take one request through all checks, and have it carried out if nothing speaks against it."""
        self._number += 1
        number = self._number
        if not request.authenticated:
            text = "the sender is not authenticated"
            return self._reject(request, number, now_ns, (Code.CMD_UNAUTHORIZED,), text, keep=False)
        if _key(request) in self._verdicts:
            return self._again(request, number, now_ns)
        codes, words = self._entitled(request, now_ns)
        order = parse(number, request.name, request.arguments, request.who, now_ns)
        if isinstance(order, CommandRecord):
            codes += tuple(code for code in order.codes if code not in codes)
            return self._reject(request, number, now_ns, codes, "; ".join([*words, order.detail]))
        codes += tuple(code for code in self._gate(request, order, now_ns, nav, facts) if code not in codes)
        command = _sealed(order)
        decision = seal(command)
        if not isinstance(decision, Decision):
            codes += decision
        if codes or not isinstance(decision, Decision):
            return self._reject(request, number, now_ns, codes, "; ".join(words), order)
        return self._carry_out(request, order, decision, now_ns, nav, facts)

    def _carry_out(
        self, request: CommandRequest, order: Order, decision: Decision, now_ns: int, nav: NavState, facts: Facts
    ) -> CommandRecord:
        number, rule = order.number, EFFECTS[order.name]
        life = self.book.open(number, now_ns, round(rule.within_s * NS))
        self.book.move(life, Trigger.VALIDATE, now_ns)
        self._orders[number] = order
        pending = CommandRecord(now_ns, number, order.name, order.source, life.stage, (), "", order.arguments)
        self._tell(pending)
        # Remembered before it is begun: should it raise, it is still not begun again.
        self._remember(request, pending, decision.command)
        codes = decision.publish(_sealed(order)) or decision.execute(_sealed(order))
        done = Done(codes) if codes else self._act(order, request, now_ns, nav, facts)
        stage = Stage.REJECTED if done.codes else Stage.ALLOWED
        record = CommandRecord(now_ns, number, order.name, order.source, stage, done.codes, done.detail,
                               order.arguments)
        self._remember(request, record, decision.command)
        if done.codes:
            self.book.move(life, Trigger.REJECT, now_ns)
        else:
            self._last[COMMANDS[order.name].command_class] = now_ns
            self._armed.pop(order.name, None)
            life.effect_ns += round(done.lasts_s * NS)
            for trigger in (Trigger.ALLOW, Trigger.PUBLISH, Trigger.SENT):
                self.book.move(life, trigger, now_ns)
            self.book.receive(life, Receipt.ACCEPTED, now_ns)
        self._tell(record)
        return record

    def _entitled(self, request: CommandRequest, now_ns: int) -> tuple[tuple[Code, ...], list[str]]:
        """What speaks against an authenticated request before it is read: id, role, expiry, sequence."""
        codes: tuple[Code, ...] = ()
        words: list[str] = []
        if not 1 <= len(request.command_id) <= LONGEST_ID:
            codes += (Code.CMD_VALIDATION_FAILED,)
            words.append(f"command_id must have 1 to {LONGEST_ID} characters")
        command = COMMANDS.get(request.name)
        if command is not None and not request.authority.covers(command.authority):
            codes += (Code.CMD_UNAUTHORIZED,)
            words.append(f"{request.who} is {request.authority}; {command.authority} is needed")
        if request.source is not Source.SCRIPT and self.start is not None and request.start != self.start:
            codes += (Code.CMD_EXPIRED,)
            words.append(f"meant for start {request.start}; this is start {self.start}")
        elif request.not_after_ns is not None and now_ns > request.not_after_ns:
            codes += (Code.CMD_EXPIRED,)
            words.append(f"{(now_ns - request.not_after_ns) / NS:.3f} s too late")
        why = self._out_of_sequence(request)
        if why:
            codes += () if Code.CMD_VALIDATION_FAILED in codes else (Code.CMD_VALIDATION_FAILED,)
            words.append(why)
        return codes, words

    def _out_of_sequence(self, request: CommandRequest) -> str:
        """Why a request does not follow its sender's last; a number once taken is used up, whatever comes of it."""
        if request.source in ONBOARD:
            return ""
        if request.sequence is None:
            return "a sequence number is needed"
        sender = (request.source.value, request.who)
        last = self._sequences.get(sender)
        if last is None and len(self._sequences) >= MOST_SENDERS:
            return f"more than {MOST_SENDERS} senders"
        if last is not None and request.sequence <= last:
            return f"sequence {request.sequence} after {last}"
        self._sequences[sender] = request.sequence
        return ""

    def _gate(
        self, request: CommandRequest, order: Order, now_ns: int, nav: NavState, facts: Facts
    ) -> tuple[Code, ...]:
        """Every reason of the craft's state, and then every one that lies in how the command was given."""
        command = COMMANDS[order.name]
        command_class = command.command_class
        last_ns = self._last.get(command_class)
        by_argument = any(argument.name == "confirmed" for argument in command.arguments)
        codes = self._supervisor.gate(command_class, facts, self._known(), Standing(
            confirmed=order.arguments.get("confirmed") is True if by_argument
            else request.confirmation is Confirmation.CONFIRMED,
            armed=now_ns <= self._armed.get(order.name, -1),
            since_last_ns=None if last_ns is None else now_ns - last_ns,
            emergency=request.priority is Priority.EMERGENCY,
        ))
        return codes + tuple(code for code in self._objections(command_class, nav) if code not in codes)

    def _again(self, request: CommandRequest, number: int, now_ns: int) -> CommandRecord:
        """The first verdict of an id that was used; another command under that id is a forgery."""
        first, sealed = self._verdicts[_key(request)]
        self.repeated += 1
        order = parse(number, request.name, request.arguments, request.who, now_ns)
        same = isinstance(order, Order) and sealed is not None and not _differ(sealed, _sealed(order))
        if not same and not (sealed is None and request.name == first.name):
            text = f"another command under the id of number {first.number}"
            return self._reject(request, number, now_ns, (Code.CMD_SPOOF_MISMATCH,), text, keep=False)
        text = f"the id is that of number {first.number}, which was {first.state}"
        self._reject(request, number, now_ns, (Code.DECISION_ALREADY_EXECUTED,), text, keep=False)
        return first

    def _reject(
        self, request: CommandRequest, number: int, now_ns: int, codes: tuple[Code, ...], detail: str,
        order: Order | None = None, *, keep: bool = True,
    ) -> CommandRecord:
        """Record a refusal with all its stages; ``keep``: as the verdict of its id."""
        arguments = order.arguments if order is not None else dict(request.arguments) if keep else {}
        record = CommandRecord(
            now_ns, number, request.name, request.who, Stage.REJECTED, codes, detail, arguments,
        )
        for stage in (Stage.REQUESTED, Stage.VALIDATION_PENDING):
            self._journal.command(CommandRecord(now_ns, number, request.name, request.who, stage, (), "", {}))
        self._journal.command(record)
        self._journal.command(CommandRecord(now_ns, number, request.name, request.who, Stage.AUDITED, codes, "", {}))
        if keep:
            self._remember(request, record, None if order is None else _sealed(order))
        return record

    def _remember(self, request: CommandRequest, record: CommandRecord, command: Sealed | None) -> None:
        """Keep a verdict by sender and id. Of one that is forgotten in the end the sequence number is still used up."""
        key = _key(request)
        if key not in self._verdicts and len(self._verdicts) >= MOST_VERDICTS:
            del self._verdicts[next(iter(self._verdicts))]
        self._verdicts[key] = (record, command)

    # -- watching for effects

    def watch(self, now_ns: int, look: Callable[[], Seen]) -> None:
        """Look for the effects that are awaited, and let time run out."""
        waiting = self.book.waiting()
        if waiting:
            seen = look()
            for life in waiting:
                order = self._orders[life.number]
                sight = EFFECTS[order.name].look(seen, order)
                life.partly = life.partly or sight is Sight.PART
                if sight in SIGHTS:
                    carrier = seen.carrier(order.name)
                    self._words[life.number] = "" if carrier is None else carrier.words(life.number)
                    self.book.move(life, SIGHTS[sight], now_ns)
        self.book.step(now_ns)
        self._tell(None)

    def _tell(self, verdict: CommandRecord | None) -> None:
        """Every move since the last call becomes a record; an end also an event, and then it is audited."""
        book = self.book
        while moves := book.take_moves():
            for move in moves:
                order = self._orders[move.number]
                code = LEDGER_CODES.get(move.stage)
                if verdict is not None and (verdict.number, verdict.state) == (move.number, move.stage):
                    record = verdict
                else:
                    codes = () if code is None else (code,)
                    words = self._words.pop(move.number, "")
                    record = CommandRecord(
                        move.t_ns, move.number, order.name, order.source, move.stage, codes, words, {}
                    )
                self._journal.command(record)
                if code is not None:
                    severity = Severity.INFO if move.stage is Stage.EFFECT_CONFIRMED else Severity.WARNING
                    self._journal.event(move.t_ns, code, severity, f"{order.name}, number {move.number}")
                life = book.lives.get(move.number)
                if life is not None and life.stage in ENDS:
                    book.move(life, Trigger.AUDIT, move.t_ns)
                if move.stage is Stage.AUDITED:
                    del self._orders[move.number]


def _key(request: CommandRequest) -> tuple[str, ...]:
    """Whose id it is: senders of different kinds may have one name."""
    return request.source.value, request.who, request.command_id


def _sealed(order: Order) -> Sealed:
    return Sealed("command", COMMANDS[order.name].command_class.value, order.name, order.arguments)


def _differ(kept: Sealed, given: Sealed) -> bool:
    decision = seal(kept)
    return not isinstance(decision, Decision) or bool(decision.differs(given))
