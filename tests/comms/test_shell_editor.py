"""The line editor: what each key does to the line, ends of lines of every kind, and that no byte ever raises."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.shell.editor import Completion, Entered, LineEditor, Sign, arrange
from comms.shell.words import LONGEST_LINE

NAMES = ("slew", "status", "stop", "stay")


def complete(before: str) -> Completion:
    start = before.rfind(" ") + 1
    return Completion(start, tuple(name for name in NAMES if name.startswith(before[start:])))


def editor(**changed: object) -> LineEditor:
    return LineEditor(complete, **changed)  # type: ignore[arg-type]


def lines(data: bytes, **changed: object) -> list[str]:
    return [event.text for event in editor(**changed).feed(data) if isinstance(event, Entered)]


@pytest.mark.parametrize(("keys", "line"), [
    (b"abc\x7f\r", "ab"), (b"abc\x08\x08\r", "a"), (b"\x7fa\r", "a"),
    (b"ac\x1b[Db\r", "abc"), (b"bc\x1b[H\x1b[Da\r", "abc"), (b"bc\x01a\x05d\r", "abcd"),
    (b"abc\x1b[D\x1b[D\x1b[3~\r", "ac"), (b"abc\x02\x04\r", "ab"), (b"abc\x01\x0b\r", ""),
    (b"abc\x15d\r", "d"), (b"get soc_battery\x17motion\r", "get motion"), (b"a b  \x17\r", "a "),
    (b"a\x1bOC\x1bODb\r", "ba"), (b"\x1b[1~a\x1b[4~b\r", "ab"), (b"ab\x1b[99~c\r", "abc"), (b"a\x1bxb\r", "ab"),
    ("gr\u00fcn\r".encode(), "gr\u00fcn"), (b"a\xff\xfeb\r", "ab"), (b"a\x00b\r", "ab"),
    ("\u6f22a\u0301\r".encode(), "a"),
])
def test_keys_make_the_line_that_a_person_expects(keys: bytes, line: str) -> None:
    assert lines(keys) == [line]


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n", b"\n\r", b"\r\0"])
def test_every_end_of_line_ends_one_line(end: bytes) -> None:
    assert lines(b"one" + end + b"two" + end) == ["one", "two"]
    if end != b"\r\0":
        assert lines(end + end + b"one" + end) == ["", "", "one"]


def test_ends_that_come_in_two_pieces_are_one() -> None:
    typed = editor()
    assert typed.feed(b"one\r") == [Entered("one")]
    assert typed.feed(b"\n") == []
    assert typed.feed(b"two\n") == [Entered("two")]


def test_a_character_that_comes_in_two_pieces_is_one() -> None:
    typed = editor()
    typed.feed(b"\xc3")
    typed.feed(b"\xbc")
    assert typed.text == "\u00fc"
    assert typed.counts.noise == 0


def test_noise_is_ignored_and_counted() -> None:
    typed = editor()
    typed.feed(b"\x80\xff\x1fab\x02\x1b[777;1z\x1b~")
    assert typed.text == "ab"
    assert typed.counts.noise == 3
    assert typed.counts.sequences == 2


def test_a_broken_sequence_does_not_eat_the_end_of_a_line() -> None:
    assert lines(b"ab\x1b[\rcd\r") == ["ab", "cd"]
    assert lines(b"ab\x1b" + b"[" + b"1" * 100 + b"\r") != []


def test_ctrl_c_forgets_the_line_and_ctrl_d_ends_only_an_empty_one() -> None:
    typed = editor()
    assert typed.feed(b"abc\x03") == [Sign.INTERRUPT]
    assert typed.text == ""
    assert typed.feed(b"\x04") == [Sign.END]
    assert typed.feed(b"a\x04") == []


def test_a_line_that_is_too_long_is_left_out_whole() -> None:
    typed = editor()
    assert typed.feed(b"x" * (LONGEST_LINE + 1) + b"\x7f\r") == [Sign.TOO_LONG]
    assert typed.feed(b"hold\r") == [Entered("hold")]
    assert typed.counts.too_long == 1
    assert editor(echo=False).feed(b"x" * 5000 + b"\n") == [Sign.TOO_LONG]


def test_history_goes_back_and_forth_and_keeps_what_was_begun() -> None:
    typed = editor()
    typed.feed(b"one\rtwo\rtwo\rbegun")
    for keys, shown in ((b"\x1b[A", "two"), (b"\x1b[A", "one"), (b"\x1b[A", "one"), (b"\x0e", "two"),
                        (b"\x1b[B", "begun"), (b"\x1b[B", "begun"), (b"\x10", "two")):
        typed.feed(keys)
        assert typed.text == shown
    assert typed.feed(b"\r") == [Entered("two")]


def test_history_is_bounded() -> None:
    typed = editor()
    typed.feed(b"".join(b"line %d\r" % number for number in range(200)))
    assert len(typed.history) == 50
    assert typed.history[0] == "line 150"


@pytest.mark.parametrize(("keys", "text"), [
    (b"sl\t", "slew "), (b"st\t", "st"), (b"sta\t", "sta"), (b"stat\t", "status "), (b"x\t", "x"),
    (b"get sl\t", "get slew "), (b"s\t", "s"),
])
def test_tab_completes_as_far_as_it_is_sure(keys: bytes, text: str) -> None:
    typed = editor()
    typed.feed(keys)
    assert typed.text == text


def test_several_completions_are_listed_and_the_line_is_shown_again() -> None:
    typed = editor()
    typed.prompt = "> "
    typed.feed(b"st\t")
    echo = typed.take_echo()
    assert all(name in echo for name in ("status", "stop", "stay"))
    assert "slew" not in echo
    assert echo.endswith("> st\x1b[K")


def test_a_list_of_completions_is_bounded() -> None:
    typed = LineEditor(lambda _: Completion(0, tuple(f"n{number:04}" for number in range(5000))))
    typed.feed(b"n\tn\t\t")
    assert "more" in typed.take_echo()


def test_without_echo_nothing_is_ever_written() -> None:
    typed = editor(echo=False)
    assert typed.feed(b"a\tb\x1b[A\x0c\x7f\r\n\x03") == [Entered("a "), Sign.INTERRUPT]
    assert typed.take_echo() == ""


def test_the_terminal_tells_its_size_within_bounds() -> None:
    typed = editor()
    assert typed.feed(b"\x1b[8;40;132t") == [Sign.SIZE]
    assert (typed.columns, typed.rows) == (132, 40)
    typed.feed(b"\x1b[8;1;99999t")
    assert (typed.columns, typed.rows) == (240, 5)
    assert typed.feed(b"\x1b[8;;t\x1b[4;1;1t") == []


class Screen:
    """One line of a VT100, by the sequences that the editor may use."""

    def __init__(self, columns: int) -> None:
        self.cells = [" "] * columns
        self.at = 0

    def write(self, text: str) -> None:
        position = 0
        while position < len(text):
            character = text[position]
            if character == "\r":
                self.at = 0
            elif character == "\b":
                self.at -= 1
            elif character == "\x1b":
                end = next(i for i in range(position + 2, len(text)) if text[i].isalpha())
                count, what = text[position + 2:end], text[end]
                if what == "K":
                    self.cells[self.at:] = [" "] * (len(self.cells) - self.at)
                elif what == "D":
                    self.at -= int(count)
                position = end
            elif character != "\x07":
                self.cells[self.at] = character
                self.at += 1
            position += 1


KEYS = st.lists(st.sampled_from(
    [b"a", b"b", b" ", b"word", b"\x7f", b"\x1b[D", b"\x1b[C", b"\x1b[H", b"\x1b[F", b"\x1b[3~", b"\x17", b"\x0b",
     b"\x15"]
), max_size=60)


@settings(max_examples=200)
@given(KEYS, st.integers(24, 60))
def test_what_stands_on_the_terminal_is_the_line(keys: list[bytes], columns: int) -> None:
    typed = editor(columns=columns)
    typed.prompt = "qiki> "
    typed.show()
    screen = Screen(columns)
    screen.write(typed.take_echo())
    for key in keys:
        typed.feed(key)
        screen.write(typed.take_echo())
    shown = "".join(screen.cells).rstrip()
    assert shown.startswith("qiki>")
    part = shown[len("qiki> "):]
    assert part in typed.text
    if len(typed.text) < columns - len("qiki> ") - 1:
        assert part == typed.text.rstrip()


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=40), max_size=20), st.booleans())
def test_no_bytes_raise_and_the_line_stays_printable(pieces: list[bytes], echo: bool) -> None:
    typed = editor(echo=echo)
    for piece in pieces:
        for event in typed.feed(piece):
            if isinstance(event, Entered):
                assert event.text.isprintable()
        assert typed.text.isprintable()


@given(st.lists(st.text("abc", min_size=1, max_size=20), max_size=80), st.integers(20, 120))
def test_names_in_columns_are_all_there_and_fit(names: list[str], columns: int) -> None:
    shown = arrange(names, columns)
    assert sorted(" ".join(shown).split()) == sorted(names)
    assert all(len(line) < columns or len(line.split()) == 1 for line in shown)
