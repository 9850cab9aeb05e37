"""Messages that fit a session: what counts arrives whole, words as far as there is room."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from comms.dictionary.messages import FileListing, FileRow, Notice
from comms.dictionary.wire import encode_message, message_of
from comms.flight_port import CommandStage, EventNote
from comms.link.fitting import fitted, rows_that_fit
from fdir.codes import Code

CODES = tuple(code.value for code in Code)


@given(st.lists(st.sampled_from(CODES), max_size=8), st.text(max_size=400), st.integers(80, 1200))
@settings(max_examples=150, deadline=None)
def test_a_stage_keeps_its_codes_and_loses_only_words(codes: list[str], words: str, longest: int) -> None:
    stage = CommandStage(10**9, 7, "ada:12", "ada", "hold", "rejected", tuple(codes), words)
    data = fitted(stage, longest)
    assert len(data) <= longest
    found = message_of(data)
    assert isinstance(found, CommandStage)
    assert (found.codes, found.stage, found.command_id) == (tuple(codes), "rejected", "ada:12")


@given(st.text(max_size=400), st.integers(40, 400))
@settings(max_examples=100, deadline=None)
def test_events_and_notices_fit_too(words: str, longest: int) -> None:
    for message in (EventNote(10**9, "SAFE_POWER_LOW", "critical", words), Notice(7, "CMD_REJECTED", words)):
        data = fitted(message, longest)
        assert len(data) <= longest
        assert type(message_of(data)) is type(message)


def test_what_fits_is_left_as_it_is() -> None:
    event = EventNote(10**9, "SAFE_POWER_LOW", "critical", "words")
    assert fitted(event, 1000) == encode_message(event)


def test_what_is_too_long_without_words_is_given_as_it_is() -> None:
    assert len(fitted(Notice(7, "CMD_REJECTED", "words"), 4)) > 4


@given(st.integers(0, 40), st.integers(60, 500))
@settings(max_examples=60, deadline=None)
def test_a_listing_has_as_many_rows_as_fit(count: int, longest: int) -> None:
    rows = [FileRow("n" * 20, n) for n in range(count)]
    data, taken = rows_that_fit(rows, longest, lambda some: encode_message(FileListing(0, count, tuple(some))))
    assert len(data) <= longest
    found = message_of(data)
    assert isinstance(found, FileListing)
    assert len(found.files) == taken <= count
    assert taken >= min(1, count)
