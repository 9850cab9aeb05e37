"""Where an error of ours came from, in words that an event can carry."""

from __future__ import annotations

__all__ = ["origin"]


def origin(error: BaseException) -> str:
    """Function and line in which an exception was raised, without any path of the machine; empty before it was."""
    trace = error.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}"
