"""What a line asks for beside an answer: an order, or a watch; or a refusal that names what may have been meant."""

from __future__ import annotations

from comms.dictionary import COMMANDS
from comms.shell.activity import Watch
from comms.shell.answers import MOST_COLUMNS, WORDS, channel_of
from comms.shell.show import plain
from comms.shell.words import Asked, ShellRefused, Word, alike, read_order

__all__ = ["RATES_HZ", "read_or_refuse", "watch_of"]

RATES_HZ = (0.1, 5.0)
"""Slowest and fastest watch."""


def read_or_refuse(words: list[Word]) -> Asked:
    """An order. Raises ShellRefused or CommandRefused, which say what is allowed."""
    name = words[0].text
    if name not in COMMANDS:
        hint = alike(name, (*WORDS, *COMMANDS), "help lists what there is")
        raise ShellRefused(f"no command {plain(name)[:64]!r}; {hint}")
    return read_order(words)


def watch_of(words: list[str]) -> Watch:
    """A watch of channels, the rate in Hz behind them if it was given. Raises ShellRefused."""
    rate = 1.0
    if len(words) > 1 and words[-1].isascii() and words[-1].replace(".", "", 1).isdecimal():
        rate = float(words[-1]) if len(words[-1]) < 8 else 0.0
        words = words[:-1]
        if not RATES_HZ[0] <= rate <= RATES_HZ[1]:
            raise ShellRefused(f"the rate is {rate:g}; {RATES_HZ[0]:g}..{RATES_HZ[1]:g} Hz is allowed")
    if not 1 <= len(words) <= MOST_COLUMNS:
        raise ShellRefused(f"watch CHANNEL ... [HZ]: 1 to {MOST_COLUMNS} channels")
    return Watch([(word, *channel_of(word)) for word in words], rate)
