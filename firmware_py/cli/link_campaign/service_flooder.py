"""The attacker of the flood over sockets, a process of its own: sends so many forged datagrams at a rate, then ends.

``python -m firmware_py.cli.link_campaign.service_flooder PORT COUNT RATE SEED`` prints one JSON object: how many were
sent, in how many seconds, and how many answers came.
"""

from __future__ import annotations

import json
import socket
import sys
from contextlib import suppress
from time import perf_counter, sleep

import numpy as np

from firmware_py.cli.link_campaign.service_forger import Forger

__all__ = ["main"]

SOCKETS = 16
AT_ONCE = 100
LONGEST_S = 120.0
"""It ends by then, whatever becomes of the one that started it."""
HOST = "127.0.0.1"


def main(port: int, count: int, rate_hz: float, seed: int) -> dict[str, float]:
    """Flood a port of this machine."""
    forger = Forger(np.random.default_rng(seed))
    payloads = [datagram.payload for datagram in forger.some(4096)]
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(SOCKETS)]
    for one in sockets:
        one.setblocking(False)
        one.bind((HOST, 0))
    begun = perf_counter()
    sent = 0
    while sent < count and perf_counter() - begun < LONGEST_S:
        due = min(count, int((perf_counter() - begun) * rate_hz))
        if sent >= due:
            sleep(0.0005)
            continue
        sender = sockets[sent // AT_ONCE % SOCKETS].sendto
        for index in range(sent, min(due, sent + AT_ONCE)):
            with suppress(OSError):
                sender(payloads[index % len(payloads)], (HOST, port))
        sent = min(due, sent + AT_ONCE)
    took = perf_counter() - begun
    sleep(0.05)
    answers = 0
    for one in sockets:
        with suppress(OSError):
            while one.recv(2048):
                answers += 1
        one.close()
    return {"sent": sent, "seconds": took, "answers": answers}


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))))
