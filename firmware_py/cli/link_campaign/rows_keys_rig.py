"""A craft and an operator with their keys on simulated disks: what the rows about keys are flown on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from comms.dictionary import Authority
from comms.keys.handshake import SessionSecrets
from comms.keys.initiator import Initiator
from comms.keys.keyring import KeyStore, new_craft, new_operator
from comms.keys.pairing import pair
from comms.keys.responder import Responder
from comms.keys.ring import Ring, SlotState
from comms.keys.vault import Lock, RandomBytes
from hil.disk import SimDisk

__all__ = ["Side", "Sides", "connect", "random_source"]

SECOND = 1_000_000_000


def random_source(rng: np.random.Generator) -> RandomBytes:
    """Bytes of a seeded generator, for keys that only a simulation uses."""
    return rng.bytes


class Side:
    """One end: its disk, and what it opened from it."""

    def __init__(self, ring: Ring, rng: np.random.Generator, random_bytes: RandomBytes) -> None:
        self.disk = SimDisk(rng)
        self._rng = rng
        self.random = random_bytes
        self._sealing_key = random_bytes(32)
        self.keys = KeyStore(self.disk, Lock.from_sealing_key(self._sealing_key), random_bytes, ring)

    def restart(self) -> None:
        """Power comes back: only what is on the disk is known."""
        self.disk.restart()
        self.keys = self.reopened()

    def reopened(self, only: str = "") -> KeyStore:
        """The keys as somebody would find them on the disk now, or from one of its files alone."""
        files = self.disk
        if only:
            files = SimDisk(self._rng)
            files.write(files.create(only), self.disk.read(only, 1 << 20) or b"")
        return KeyStore(files, Lock.from_sealing_key(self._sealing_key), self.random)

    def cut_within(self, calls: int) -> None:
        """Let the power go away at one of the next system calls."""
        self.disk.dies_at = self.disk.calls + calls


class Sides:
    """A paired craft and operator."""

    def __init__(self, rng: np.random.Generator, role: Authority = Authority.CONTROLLER) -> None:
        random_bytes = random_source(rng)
        self.now_ns = 0
        self.random = random_bytes
        self.craft = Side(new_craft("C-1", random_bytes), rng, random_bytes)
        self.operator = Side(new_operator("ann", role, random_bytes), rng, random_bytes)
        pair(self.craft.keys, self.operator.keys, random_bytes)

    def psk_ids(self) -> tuple[set[bytes], set[bytes]]:
        """Ids of the pre-shared keys that each end could use."""
        return _usable(self.craft.keys, "ann"), _usable(self.operator.keys, "C-1")


def _usable(keys: KeyStore, name: str) -> set[bytes]:
    return {slot.id for slot in keys.peer(name).slots if slot.state is not SlotState.RETIRED}


def connect(
    sides: Sides, responder: Responder | None = None, lost: Callable[[], bool] = lambda: False,
    before: Callable[[str], None] = lambda _step: None,
) -> tuple[SessionSecrets, SessionSecrets] | None:
    """A handshake with its tries; the craft's and the operator's secrets, or ``None`` if it gave up.

    ``before`` is told each step that touches a disk: ``ask``, ``answer``, ``finish``, ``live``.
    """
    responder = Responder(sides.craft.keys, sides.random) if responder is None else responder
    initiator = Initiator(sides.operator.keys, "C-1", sides.random)
    initiator.start(sides.now_ns)
    pending: SessionSecrets | None = None
    for _ in range(1000):
        if initiator.state != "waiting":
            return None
        sides.now_ns += SECOND // 2
        before("ask")
        message = initiator.step(sides.now_ns)
        if message is not None and not lost():
            responder.receive(message, "radio")
        before("answer")
        for answer in responder.step(sides.now_ns):
            pending = answer.secrets
            if lost():
                continue
            before("finish")
            got = initiator.receive(answer.message, sides.now_ns)
            if isinstance(got, SessionSecrets):
                before("live")
                return (pending, got) if responder.confirm(pending.id, sides.now_ns) else None
    return None
