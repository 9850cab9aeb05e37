"""Handshakes and renewals of keys, measured against the bare exchanges of the same cryptography library.

All in one run, in slices that take turns, so that a busy machine slows both alike; the median of the ratios counts.
Keys are kept in memory here: what a disk takes to store a counter is the disk's.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from statistics import median
from time import perf_counter_ns

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bench.harness import Report
from comms.dictionary import Authority
from comms.keys.handshake import MESSAGE_1_BYTES, MESSAGE_2_BYTES, SessionSecrets
from comms.keys.initiator import Initiator
from comms.keys.keyring import KeyStore, new_craft, new_operator
from comms.keys.pairing import pair
from comms.keys.renewal import CraftRenewal, OperatorRenewal, RenewalState
from comms.keys.responder import Responder
from comms.keys.vault import Lock

__all__ = ["MemoryFiles", "measure"]

SECOND = 1_000_000_000
TARGET = 1.5


class MemoryFiles:
    """A folder in memory (hal.nonvolatile.Files)."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._open: dict[int, str] = {}

    def read(self, name: str, most: int) -> bytes | None:
        found = self._files.get(name)
        return None if found is None else found[:most]

    def create(self, name: str) -> int:
        handle = len(self._open) + 1
        self._open[handle] = name
        self._files[name] = b""
        return handle

    def write(self, handle: int, data: bytes) -> int:
        self._files[self._open[handle]] += data
        return len(data)

    def sync(self, handle: int) -> None:
        """Nothing to wait for."""

    def close(self, handle: int) -> None:
        self._open.pop(handle)

    def rename(self, old: str, new: str) -> None:
        self._files[new] = self._files.pop(old)

    def sync_folder(self) -> None:
        """Nothing to wait for."""


class _Ends:
    """A craft and an operator that shake hands again and again, on a clock that leaves time between."""

    def __init__(self) -> None:
        self.craft = KeyStore(MemoryFiles(), Lock.from_sealing_key(os.urandom(32)), os.urandom,
                              new_craft("craft", os.urandom))
        self.operator = KeyStore(MemoryFiles(), Lock.from_sealing_key(os.urandom(32)), os.urandom,
                                 new_operator("ann", Authority.CONTROLLER, os.urandom))
        pair(self.craft, self.operator, os.urandom)
        self.responder = Responder(self.craft, os.urandom)
        self.initiator = Initiator(self.operator, "craft", os.urandom)
        self.now_ns = 0

    def prepare(self) -> None:
        """What both sides do while nothing is on the air."""
        self.now_ns += 2 * SECOND
        self.initiator.prepare()
        self.responder.step(self.now_ns)

    def forget(self) -> None:
        """As at the very first handshake: nothing was made ahead."""
        self.now_ns += 2 * SECOND
        self.responder = Responder(self.craft, os.urandom)
        self.initiator = Initiator(self.operator, "craft", os.urandom)

    def shake(self) -> tuple[SessionSecrets, SessionSecrets]:
        """One handshake, both sides, from the decision to the secrets of both."""
        self.initiator.start(self.now_ns)
        message = self.initiator.step(self.now_ns)
        assert message is not None
        assert self.responder.receive(message, "line") is None
        answer, = self.responder.step(self.now_ns)
        secrets = self.initiator.receive(answer.message, self.now_ns)
        assert isinstance(secrets, SessionSecrets)
        assert self.responder.confirm(answer.secrets.id, self.now_ns)
        return answer.secrets, secrets

    def renew(self, secrets: tuple[SessionSecrets, SessionSecrets]) -> None:
        """One renewal, both sides."""
        craft = CraftRenewal(self.craft, secrets[0], os.urandom)
        operator = OperatorRenewal(self.operator, secrets[1], os.urandom)
        assert operator.start(self.now_ns) is None
        while operator.state is not RenewalState.DONE:
            message = operator.step(self.now_ns)
            assert message is not None
            answer = craft.receive(message, allowed=True).answer
            assert answer is not None
            operator.receive(answer, self.now_ns)


def _timed(action: Callable[[], object]) -> int:
    start = perf_counter_ns()
    action()
    return perf_counter_ns() - start


def measure(report: Report, short: bool) -> None:
    """Add the figures of handshake and renewal."""
    rounds = 60 if short else 600
    own = X25519PrivateKey.generate()
    peer = X25519PrivateKey.generate().public_key()

    def bare() -> None:
        # Two exchanges of each side.
        for _ in range(4):
            own.exchange(peer)

    ends = _Ends()
    taken: dict[str, list[int]] = {"ready": [], "first": [], "renewal": []}
    bares: list[int] = []
    ends.shake()
    for _ in range(rounds):
        before = _timed(bare)
        ends.prepare()
        taken["ready"].append(_timed(ends.shake))
        ends.forget()
        taken["first"].append(_timed(ends.shake))
        bares.append((before + _timed(bare)) // 2)
        ends.now_ns += 2 * SECOND
        taken["renewal"].append(_timed(partial(ends.renew, ends.shake())))
    two_us = median(bares) * 1e-3
    ready, first = (median(a / b for a, b in zip(taken[name], bares, strict=True)) for name in ("ready", "first"))
    reference = f"two bare X25519 exchanges of each side, {two_us:.0f} us"
    report.add("handshake, both sides, ephemeral keys and message 1 made ahead", ready, "x", reference,
               f"<= {TARGET}", ready <= TARGET)
    report.add("the same, against the four exchanges of each side that IKpsk2 has", ready / 2, "x",
               f"{2 * two_us:.0f} us", f"<= {TARGET}", ready / 2 <= TARGET)
    report.add("the very first handshake, nothing made ahead", first, "x", reference)
    report.add("the same, against four exchanges of each side", first / 2, "x", f"{2 * two_us:.0f} us")
    report.add("handshake messages on the air", MESSAGE_1_BYTES + MESSAGE_2_BYTES, "B", "Noise alone 96 + 48")
    report.add("renewal of the pre-shared key by X-Wing, both sides, with storing", median(taken["renewal"]) * 1e-6,
               "ms", "1225 + 1193 + 25 + 25 B inside the session")
