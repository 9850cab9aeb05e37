"""Serves sides in a thread of the test, as the rig's loop does it, until the test is over."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hil.serve.side import Poller, Side


@contextmanager
def serving(*sides: Side, step: bool = False) -> Iterator[None]:
    """Start the sides and answer what comes; with ``step`` they also carry what their chips say."""
    poller = Poller()
    stop = threading.Event()

    def serve() -> None:
        t_ns = 0
        while not stop.is_set():
            poller.wait(0.005)
            if step:
                t_ns += 1_000_000
                for side in sides:
                    side.step(t_ns)

    for side in sides:
        side.start(poller)
    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(5.0)
        for side in sides:
            side.close()
        poller.close()
