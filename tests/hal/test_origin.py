"""An event says where an error came from, and nothing of the machine."""

from __future__ import annotations

from hal.origin import origin


class Deep:
    def fails(self) -> None:
        raise ValueError("words that may hold anything")


def test_the_innermost_function_and_its_line_are_told() -> None:
    try:
        Deep().fails()
    except ValueError as error:
        name, line = origin(error).split(":")
    assert name == "Deep.fails"
    assert int(line) == Deep.fails.__code__.co_firstlineno + 1


def test_what_was_never_raised_comes_from_nowhere() -> None:
    assert origin(ValueError("nobody raised it")) == ""
