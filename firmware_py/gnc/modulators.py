"""The table of modulators: a name for each, the same constructor and the same calls behind all of them."""

from __future__ import annotations

from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.modulation import PulseModulator
from firmware_py.gnc.modulator import Modulator
from firmware_py.gnc.pulse_width import PulseWidthModulator
from firmware_py.gnc.relay import PwpfModulator, RelayModulator
from firmware_py.gnc.slots import SlotModulator
from hal.profile.body import BodyConfig

__all__ = ["MODULATORS", "make_modulator"]

MODULATORS: dict[str, type[Modulator]] = {
    "fine": PulseModulator,
    "pulse_width": PulseWidthModulator,
    "slots": SlotModulator,
    "pwpf": PwpfModulator,
    "relay": RelayModulator,
}
"""Name to class. ``fine`` is the default: scored fine pulses."""


def make_modulator(name: str, body: BodyConfig, allocator: Allocator, tick_ms: float = 5.0) -> Modulator:
    """The modulator of that name, with its standard settings. Raises ValueError for an unknown name and for a tick that
    does not divide the window."""
    kind = MODULATORS.get(name)
    if kind is None:
        raise ValueError(f"no modulator {name!r}; there are {', '.join(MODULATORS)}")
    return kind(body, allocator, tick_ms)
