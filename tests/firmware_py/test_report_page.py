"""The page: whole, self-contained, honest about what failed or is missing, and safe with hostile text."""

from __future__ import annotations

import base64
from html.parser import HTMLParser
from pathlib import Path

import pytest

from firmware_py.mission import ExpectConfig
from firmware_py.report.figures import FIGURES, FlightData, judge
from firmware_py.report.page import EVENT_LIMIT, format_value, write_page
from tests.firmware_py.test_report_flight import make_flight

PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=")
VOID = {"meta", "img"}


class Reader(HTMLParser):
    """Checks that tags nest, and gathers text and attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def page_of(data: FlightData, folder: Path, *expectations: ExpectConfig) -> Reader:
    picture = folder / "mission.png"
    picture.write_bytes(PNG)
    path = write_page(data, judge(data, expectations), [picture], folder / "report.html")
    return Reader(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def flight() -> FlightData:
    return make_flight(130.0)


def test_the_page_needs_nothing_from_outside(flight: FlightData, tmp_path: Path) -> None:
    page = page_of(flight, tmp_path)
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert len(page.addresses) == 1
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)


def test_steps_figures_and_warnings_are_on_the_page(flight: FlightData, tmp_path: Path) -> None:
    text = page_of(flight, tmp_path).text
    for words in ("detumble 4.00 28.00 24.00 done", "RCS_UNAVAILABLE nozzle 5 did not push: masked", "unfinished"):
        assert words in text
    for name in FIGURES:
        assert name in text


def test_the_state_of_all_expectations_stands_on_top(flight: FlightData, tmp_path: Path) -> None:
    good = ExpectConfig("soc_battery", above=0.5)
    bad = ExpectConfig("soc_battery", above=0.9)
    assert "All 1 expectations hold." in page_of(flight, tmp_path, good).text
    assert "1 of 2 expectations do not hold." in page_of(flight, tmp_path, good, bad).text
    assert "Nothing was expected of this flight." in page_of(flight, tmp_path).text


def test_an_expectation_that_could_not_be_judged_says_why(flight: FlightData, tmp_path: Path) -> None:
    text = page_of(flight, tmp_path, ExpectConfig("speed_m_s", below=1.0, step="dock")).text
    assert "speed_m_s step dock missing m/s < 1 fails: step dock was not flown" in text


def test_an_unknown_figure_does_not_stop_the_page(flight: FlightData, tmp_path: Path) -> None:
    assert "fails: no figure 'nonsense'" in page_of(flight, tmp_path, ExpectConfig("nonsense", below=1.0)).text


def test_a_real_craft_s_page_shows_missing_figures_as_missing(tmp_path: Path) -> None:
    text = page_of(make_flight(2.0, truth=False), tmp_path).text
    assert "No truth was recorded" in text
    assert "propellant_left_kg missing kg" in text


def test_an_empty_record_still_gives_a_page(tmp_path: Path) -> None:
    text = page_of(FlightData({}, [], [], [], []), tmp_path).text
    assert "No step was recorded." in text
    assert "unknown craft" in text


def test_what_comes_from_the_record_is_escaped(tmp_path: Path) -> None:
    evil = '<script>alert("x")</script>'
    events = [
        (0, {"code": evil, "severity": evil, "text": evil}),
        (1, {"code": "STEP_DONE", "severity": "info", "text": evil}),
    ]
    data = FlightData({"mission": evil, "body": evil, evil: evil}, [(0, {"step": evil})], [], events, [])
    page = page_of(data, tmp_path, ExpectConfig(evil, equals=evil, step=evil, code=evil))
    assert "script" not in page.tags
    assert page.text.count(evil) >= 8


def test_more_events_than_the_table_takes_are_counted(tmp_path: Path) -> None:
    events = [(t, {"code": "DEVICE_STATE", "severity": "info", "text": "x"}) for t in range(EVENT_LIMIT + 7)]
    assert "7 more are in the black box." in page_of(FlightData({}, [(0, {})], [], events, []), tmp_path).text


def test_the_page_replaces_an_older_one_and_leaves_nothing_else(flight: FlightData, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old", encoding="utf-8")
    first = page_of(flight, tmp_path).text
    assert page_of(flight, tmp_path).text == first
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mission.png", "report.html"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "missing"), (3, "3"), (3.0, "3"), (0.123456, "0.1235"), ("Idle", "Idle"), (1e9, "1e+09"),
        (float("nan"), "nan"), (float("inf"), "inf"),
    ],
)
def test_values_in_four_digits(value: float | str | None, text: str) -> None:
    assert format_value(value) == text
