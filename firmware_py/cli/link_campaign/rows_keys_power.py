"""Row 6: the power goes away while a pre-shared key is changed; both ends must still have one in common.

A renewal runs over a session that loses, delays and doubles messages. In one of eight steps, each a change of one end's
disk, the power of that end goes away inside one of its system calls. Then that end starts again, late messages still
come in, and a handshake must come about; a whole renewal after it too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from comms.keys.handshake import SessionSecrets
from comms.keys.renewal import CraftRenewal, OperatorRenewal, RenewalState
from comms.keys.responder import Responder
from firmware_py.cli.link_campaign.row import Progress, Row, RowResult
from firmware_py.cli.link_campaign.rows_keys_rig import SECOND, Side, Sides, connect
from hil.disk import PowerCut

__all__ = ["POWER_ROW", "STEPS", "fly_case"]

STEPS = (
    "craft stages", "operator stages", "craft promotes", "operator promotes",
    "operator counts", "craft counts", "operator settles", "craft settles",
)
"""Where the power goes away: four steps of the renewal, four of the handshake that follows it."""
PER_STEP = 5000
"""Cases a step; where a step takes fewer system calls than there might be, the power holds. 2,000 cuts come of it."""
LEAST_CUTS = 0.3
"""Share of the cases of each step that the power really goes away in; else the row shows nothing."""
CALLS = {"stages": 14, "promotes": 14, "counts": 6, "settles": 14}
"""System calls of a step at most."""
HANDSHAKE_STEPS = {"ask": "operator counts", "answer": "craft counts", "finish": "operator settles",
                   "live": "craft settles"}


class _Case:
    """One renewal that is disturbed."""

    def __init__(self, rng: np.random.Generator, step: str) -> None:
        self.rng = rng
        self.step = step
        self.sides = Sides(rng)
        self.responder = Responder(self.sides.craft.keys, self.sides.random)
        self.cuts = 0
        self.late: list[tuple[str, bytes]] = []
        """Messages that come in later, if at all: to whom, and what."""
        self.operator: OperatorRenewal | None = None
        self.craft: CraftRenewal | None = None

    def chance(self, share: float) -> bool:
        return bool(self.rng.random() < share)

    def arm(self, step: str) -> None:
        """Let the power go away in this step, if it is the one."""
        if step == self.step and not self.cuts:
            who, what = step.split()
            self.side(who).cut_within(int(self.rng.integers(CALLS[what])))

    def disarm(self) -> None:
        for side in (self.sides.craft, self.sides.operator):
            side.disk.dies_at = None

    def side(self, who: str) -> Side:
        return self.sides.craft if who == "craft" else self.sides.operator

    def renewal(self, secrets: tuple[SessionSecrets, SessionSecrets]) -> None:
        """Both ends of a new renewal in this session."""
        sides = self.sides
        self.craft = CraftRenewal(sides.craft.keys, secrets[0], sides.random)
        self.operator = OperatorRenewal(sides.operator.keys, secrets[1], sides.random)

    def run_renewal(self, most: int, loss: float) -> None:
        """Messages of the renewal, as far as ``most`` of them; the power may go away in it."""
        assert self.operator is not None
        if self.operator.start(self.sides.now_ns) is not None:
            return
        while most > 0 and self.operator.state in (RenewalState.OFFERED, RenewalState.STAGED):
            self.sides.now_ns += SECOND
            message = self.operator.step(self.sides.now_ns)
            if message is not None:
                most -= 1
                self.send("craft", message, loss)

    def send(self, to: str, message: bytes, loss: float) -> None:
        """Lose it, hold it back, or hand it over; what was handed over may come again."""
        if self.chance(loss):
            if self.chance(0.8):
                self.late.append((to, message))
            return
        if self.chance(loss / 2):
            self.late.append((to, message))
        self.hand_over(to, message, loss)

    def hand_over(self, to: str, message: bytes, loss: float) -> None:
        if to == "craft" and self.craft is not None:
            self.arm("craft stages" if message[0] == 1 else "craft promotes")
            answer = self.craft.receive(message, allowed=True).answer
            self.disarm()
            if answer is not None:
                self.send("operator", answer, loss)
        elif to == "operator" and self.operator is not None:
            self.arm("operator stages" if message[0] == 2 else "operator promotes")
            self.operator.receive(message, self.sides.now_ns)
            self.disarm()

    def play_late(self, share: float) -> None:
        """What was held back comes in, in any order, as far as the session it belongs to still stands."""
        for index in self.rng.permutation(len(self.late)):
            if self.chance(share):
                self.hand_over(*self.late[index], loss=1.0)

    def powered(self, action: Callable[[], object]) -> object:
        """Do something; if the power goes away in it, that end starts again without what it had in memory."""
        try:
            return action()
        except PowerCut:
            self.cuts += 1
            who = self.step.split()[0]
            self.side(who).restart()
            if who == "craft":
                self.craft = None
                self.responder = Responder(self.sides.craft.keys, self.sides.random)
            else:
                self.operator = None
            return None
        finally:
            self.disarm()

    def connect(self, loss: float) -> tuple[SessionSecrets, SessionSecrets] | None:
        def before(moment: str) -> None:
            self.disarm()
            # Whatever was on the way comes in at the worst of moments: between two messages of a handshake.
            self.play_late(0.5)
            self.arm(HANDSHAKE_STEPS[moment])

        found = self.powered(lambda: connect(self.sides, self.responder, lambda: self.chance(loss), before))
        return found if isinstance(found, tuple) else None


def fly_case(rng: np.random.Generator, step: str) -> tuple[str, Counter[str]]:
    """One case; what went wrong, empty if nothing did, and what happened."""
    case = _Case(rng, step)
    sides, seen = case.sides, Counter[str]()
    first = connect(sides, case.responder)
    if first is None:
        return "no first session", seen
    old = first[0].psk_id
    case.renewal(first)
    loss = float(rng.choice((0.0, 0.1, 0.3, 0.5)))
    in_handshake = step in HANDSHAKE_STEPS.values()
    # Where the cut is to fall into the handshake, the renewal before it stops anywhere.
    most = int(rng.integers(0, 4)) if in_handshake or case.chance(0.3) else 12
    case.powered(lambda: case.run_renewal(most, loss))
    case.powered(lambda: case.play_late(0.2))
    if not case.cuts or case.chance(0.5):
        case.connect(loss)
    case.late.clear()
    seen["cuts"], case.step = case.cuts, ""
    problem = _after(case, old, seen)
    return problem, seen


def _after(case: _Case, old: bytes, seen: Counter[str]) -> str:
    sides = case.sides
    ends = sides.psk_ids()
    if not ends[0] & ends[1]:
        return f"no common key: craft {len(ends[0])}, operator {len(ends[1])}"
    before = b""
    for kind in ("first", "renewed"):
        secrets = connect(sides)
        if secrets is None:
            return f"locked out at the {kind} handshake"
        if (secrets[0].up_chain, secrets[0].down_chain) != (secrets[1].up_chain, secrets[1].down_chain):
            return "the ends have different keys"
        if secrets[0].psk_id == before:
            return "a renewed key is not used"
        before, both = secrets[0].psk_id, sides.psk_ids()
        if both != ({secrets[0].psk_id},) * 2:
            return f"a key was not wiped after the {kind} handshake"
        for name, side in (("ann", sides.craft), ("C-1", sides.operator)):
            for copy in ("keyring-a.qkey", "keyring-b.qkey"):
                slots = side.reopened(copy).peer(name).slots
                if {slot.id for slot in slots if slot.secret is not None} != both[0]:
                    return f"{copy} still holds a key that was to be wiped"
        if kind == "renewed":
            return ""
        seen["on the old key" if secrets[0].psk_id == old else "on the new key"] += 1
        case.renewal(secrets)
        case.run_renewal(4, 0.0)
        if case.operator is None or case.operator.state is not RenewalState.DONE:
            return "a renewal does not come about any more"
    return ""


def run(rng: np.random.Generator, cases: int, progress: Progress) -> RowResult:
    """All steps in turn."""
    counts, failures = Counter[str](), []
    for case in range(cases):
        seed = int(rng.integers(2**63))
        step = STEPS[case % len(STEPS)]
        problem, seen = fly_case(np.random.default_rng(seed), step)
        counts.update(seen)
        counts[f"cuts: {step}"] += seen["cuts"]
        if problem:
            counts["failed"] += 1
            failures.append(f"case {case}, {step}, seed {seed}: {problem}")
        if case % 100 == 0:
            progress(case, cases)
    progress(cases, cases)
    for step in STEPS[:cases]:
        if counts[f"cuts: {step}"] < LEAST_CUTS * (cases // len(STEPS)) - 3:
            failures.append(f"{step}: the power went away {counts[f'cuts: {step}']} times only")
    return RowResult(not failures, cases, dict(counts), tuple(failures[:20]))


POWER_ROW = Row(
    6, "power loss while a key is changed",
    "one common key or a clean handshake with the old, 0 lock-outs, the old key wiped after it is confirmed",
    PER_STEP * len(STEPS), 160, run,
)
