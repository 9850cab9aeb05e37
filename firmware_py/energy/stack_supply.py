"""What a supercapacitor stack can give: power now, and energy at a constant power before its voltage is too low.

The stack is a capacitance C at open voltage u behind a series resistance R. A power P at the terminals needs the
current I = (u - sqrt(u2 - 4 R P)) / 2R, and there is none beyond u2 / 4R. Since du/dt = -I / C, the time from one open
voltage to another is the integral of C / I, which has a closed form.
"""

from __future__ import annotations

from math import log, sqrt

__all__ = ["least_open_v", "most_terminal_w", "seconds_at"]


def most_terminal_w(open_v: float, esr_ohm: float, least_terminal_v: float) -> float:
    """Most power at the terminals, W, with the terminal voltage not below ``least_terminal_v``: u2 / 4R or less."""
    terminal_v = max(0.5 * open_v, least_terminal_v)
    return terminal_v * max(0.0, open_v - terminal_v) / esr_ohm


def least_open_v(terminal_w: float, esr_ohm: float, least_terminal_v: float) -> float:
    """Lowest open voltage at which the stack can give this power."""
    knee_v = sqrt(esr_ohm * terminal_w)
    if least_terminal_v <= knee_v:
        return 2.0 * knee_v
    return least_terminal_v + esr_ohm * terminal_w / least_terminal_v


def seconds_at(terminal_w: float, capacitance_f: float, esr_ohm: float, from_v: float, to_v: float) -> float:
    """How long a constant power takes from one open voltage down to another; 0 if that is not lower.

    Both voltages must be able to give the power (``least_open_v``).
    """
    if to_v >= from_v:
        return 0.0
    a = 4.0 * esr_ohm * terminal_w
    return 0.5 * capacitance_f / terminal_w * (_antiderivative(from_v, a) - _antiderivative(to_v, a))


def _antiderivative(u: float, a: float) -> float:
    """Of u + sqrt(u2 - a)."""
    root = sqrt(max(0.0, u * u - a))
    return 0.5 * (u * u + u * root - a * log(u + root))
