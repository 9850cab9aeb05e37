"""Watches whether a part that reports its configuration still has the one it was ordered to have."""

from __future__ import annotations

__all__ = ["STATES_TO_OBEY", "ConfigurationWatch"]

STATES_TO_OBEY = 2
"""Reports of the state that may still show the old configuration."""


class ConfigurationWatch:
    """Of one part. Nothing is judged before the first order.

    Args:
        names: of the configured values, in the order in which they are shown; they stand in the finding.
    """

    __slots__ = ("_left", "_lost", "_names")

    def __init__(self, *names: str) -> None:
        self._names = names
        self._left: int | None = None
        self._lost: str | None = None

    def ordered(self) -> None:
        """The configuration is being sent: the next reports may still show the old one."""
        self._left = STATES_TO_OBEY

    def lost(self, shown: tuple[object, ...], wanted: tuple[object, ...]) -> str | None:
        """What a report says of the configuration.

        Args:
            shown: values of the report.
            wanted: those that were ordered.

        Returns:
            None, or what was lost. What was found lost stays lost until it is seen right again.
        """
        if self._left is None:
            return None
        if shown == wanted:
            self._left, self._lost = 0, None
        elif self._left:
            self._left -= 1
        else:
            wrong = [name for name, is_, should in zip(self._names, shown, wanted, strict=True) if is_ != should]
            self._lost = f"configuration was lost: {', '.join(wrong)}"
        return self._lost
