"""Messages no longer than a session takes: words are cut before anything else, so that what counts still arrives.

A refusal's codes and a command's stage fit the shortest radio; what people read beside them may not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from comms.dictionary.messages import Notice
from comms.dictionary.wire import encode_message
from comms.flight_port import CommandStage, EventNote

__all__ = ["fitted", "rows_that_fit"]

T = TypeVar("T")


def fitted(message: CommandStage | EventNote | Notice, longest: int) -> bytes:
    """Bytes of a message, its words cut as far as needed to be ``longest`` bytes at most.

    One that is longer without any words comes as it is: its channel refuses and counts it.
    """
    data = encode_message(message)
    while len(data) > longest:
        words = message.text if isinstance(message, EventNote) else message.detail
        if not words:
            break
        # Every round takes at least a character away, and never more than is too long.
        words = words[:max(0, min(len(words), longest) - max(1, (len(data) - longest) // 4))]
        message = replace(message, text=words) if isinstance(message, EventNote) else replace(message, detail=words)
        data = encode_message(message)
    return data


def rows_that_fit(rows: Sequence[T], longest: int, encoded: Callable[[Sequence[T]], bytes]) -> tuple[bytes, int]:
    """A listing of as many rows as ``longest`` bytes hold, at least one if there are any, and how many it has."""
    count = len(rows)
    data = encoded(rows)
    while len(data) > longest and count > 1:
        count = max(1, min(count - 1, count * longest // len(data)))
        data = encoded(rows[:count])
    return data, count
