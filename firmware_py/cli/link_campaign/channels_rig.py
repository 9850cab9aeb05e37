"""A good craft around the channels under test: session there, nothing cut, emission as its gate says."""

from __future__ import annotations

from comms.channels.manager import ChannelManager
from comms.channels.states import ChannelCondition
from comms.channels.transmit_level import TransmitLevel, TransmitStep
from comms.emcon import EmconGate, Transmitter

__all__ = ["KEPT", "OVERHEAD", "S", "open_all"]

S = 1_000_000_000
KEPT = 20
"""Failures that a row keeps."""
OVERHEAD = 19
"""Record around a packet."""
FULL = TransmitStep(TransmitLevel.FULL, 1.0, 1.0, frozenset(), frozenset())


def open_all(manager: ChannelManager, emcon: EmconGate, now_ns: int = 0, line_up: bool = True) -> None:
    """Bring the channels' states up to a good craft with a session, whose line is up or down."""
    condition = ChannelCondition(Transmitter.RADIO, FULL, authorised=True, in_safe=False, line_up=line_up)
    manager.judge(lambda _spec: condition, emcon, now_ns)
