"""Datagrams that somebody without keys can send: noise, what looks like records and handshakes, what was overheard."""

from __future__ import annotations

from collections import deque

import numpy as np

from comms.transports.port import Datagram

__all__ = ["OPERATOR", "Forger"]

OPERATOR = "198.51.100.7:4000"
"""Address of the operator, which a forger can write as its own."""
POOL = 8192


class Forger:
    """Makes datagrams that somebody without keys can send.

    Attributes:
        heard: real datagrams of the operator, for replays.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self.heard: deque[bytes] = deque(maxlen=256)
        self._pool = [self._one(int(kind)) for kind in rng.integers(0, 100, POOL)]
        self._at = 0

    def _one(self, kind: int) -> bytes:
        rng = self._rng
        if kind < 35:
            return rng.bytes(int(rng.integers(1, 200)))
        if kind < 70:  # a record by its form: flag byte of a live epoch and channel, a counter of one or two bytes
            length = int(rng.integers(1, 3))
            flag = int(rng.integers(0, 2)) << 6 | int(rng.integers(0, 7)) << 3 | length
            return bytes((flag, *rng.integers(1, 256, length))) + rng.bytes(int(rng.integers(17, 120)))
        if kind < 85:
            return b"\0\1" + rng.bytes(int(rng.integers(100, 140)))
        if kind < 95:
            return b"\0" + rng.bytes(int(rng.integers(0, 60)))
        return rng.bytes(1200)

    def some(self, count: int) -> list[Datagram]:
        """So many datagrams from all sorts of addresses; one in twenty is an old one of the operator."""
        rng = self._rng
        draws, chosen = rng.random(count).tolist(), rng.integers(0, POOL, count).tolist()
        made = []
        for draw, index in zip(draws, chosen, strict=True):
            if draw < 0.05 and self.heard:
                payload = self.heard[index % len(self.heard)]
            else:
                payload = self._pool[index]
            source = OPERATOR if draw < 0.4 else f"203.0.113.{index % 251}:{1024 + index}"
            made.append(Datagram(payload, source))
        return made
