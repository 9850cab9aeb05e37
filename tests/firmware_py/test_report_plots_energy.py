"""The picture of energy and heat: what was told is drawn where it was, limits are the flight's own, gaps stay gaps."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from firmware_py.recorder.blackbox import BlackBox
from firmware_py.recorder.reader import read_flight
from firmware_py.report.answers import AnswerSpan, answer_spans
from firmware_py.report.load import body_flown
from firmware_py.report.plots import draw_all, draw_energy
from firmware_py.report.plots_energy import ANSWER_COLOURS, body_of
from firmware_py.report.scope import FlightData
from hal.profile import load_profile
from tests.firmware_py.test_report_flight import make_flight

NS = 1_000_000_000
PROFILE = load_profile("qiki-t", "qiki-rpi")
HEADER = {
    "software_version": "0.1.0", "hardware_profile_hash": PROFILE.digest, "body": "qiki-t", "board": "qiki-rpi",
    "mission": None, "seed": 7, "rates": {"fast_hz": 200, "medium_hz": 20, "slow_hz": 2},
}
SHIPPED_BODY = (resources.files("board_configs") / "bodies" / "qiki-t.yaml").read_text()
OWN_BODY = SHIPPED_BODY.replace("battery: {", "battery: {shed_soc: 0.25, ", 1)
NEW_KEYS = ("loads", "shed", "shed_reasons", "flows_w", "soc_sigma", "panel_power_w", "heaters")
OLD_TRUTH = ("soc_battery", "soc_supercap", "array_w", "load_w", "temperatures_c")


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[matplotlib.figure.Figure]:
    """Pictures as they were when they were saved."""
    pictures: list[matplotlib.figure.Figure] = []
    save = matplotlib.figure.Figure.savefig

    def keep(self: matplotlib.figure.Figure, path: Path, **options: Any) -> None:
        pictures.append(self)
        save(self, path, **options)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", keep)
    return pictures


def panel(picture: matplotlib.figure.Figure, unit: str) -> Axes:
    (found,) = [axes for axes in picture.axes if axes.get_ylabel().startswith(unit)]
    return found


def legend(axes: Axes) -> list[str]:
    found = axes.get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


def bars(axes: Axes) -> list[tuple[str, float, float, tuple[float, ...]]]:
    """Row, start, end and colour of every bar."""
    names = [label.get_text() for label in axes.get_yticklabels()]
    return [
        (names[int(bar.get_y())], bar.get_x(), bar.get_x() + bar.get_width(), to_rgb(bar.get_facecolor()))
        for bar in axes.patches
    ]


def snapshots(*rows: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    return [(index * NS, row) for index, row in enumerate(rows)]


def told(load: str, answer: str, **more: Any) -> dict[str, Any]:
    return {"loads": {load: answer, "base": "load_allowed"}, **more}


# -- spans of answers


def test_a_shed_load_has_the_reason_of_its_moment() -> None:
    rows = snapshots(
        told("radar", "load_allowed"),
        told("radar", "load_shed", shed=["radar"], shed_reasons=["low_soc"]),
        told("radar", "load_shed", shed=["radar"], shed_reasons=["low_soc"]),
        told("radar", "load_shed", shed=["radar"], shed_reasons=["thermal_overheat"]),
        told("radar", "load_allowed"),
        told("radar", "load_allowed"),
    )
    assert answer_spans(FlightData({}, rows, [], [], [])) == [
        AnswerSpan("radar", "shed: low_soc", 1.0, 3.0), AnswerSpan("radar", "shed: thermal_overheat", 3.0, 4.0),
    ]


def test_of_several_reasons_the_events_say_which_is_whose() -> None:
    both = {"loads": {"nbl": "load_shed", "radar": "load_shed"}, "shed": ["nbl", "radar"],
            "shed_reasons": ["nbl_budget", "low_soc"]}
    event = {"code": "LOAD_SHED_ACTIVE", "severity": "warning", "text": "radar shed: low_soc"}
    spans = answer_spans(FlightData({}, snapshots(both, both), [], [(0, event)], []))
    assert [(span.load, span.word) for span in spans] == [
        ("nbl", "shed: reason not recorded"), ("radar", "shed: low_soc"),
    ]


def test_a_line_that_was_opened_for_the_bus_s_current_says_so() -> None:
    rows = snapshots(*2 * [told("lidar", "load_shed", shed=["nbl"], shed_reasons=["low_soc"])])
    assert [span.word for span in answer_spans(FlightData({}, rows, [], [], []))] == ["shed: pdu_overcurrent"]


def test_a_heater_counts_while_it_is_on_and_a_refusal_outweighs_it() -> None:
    rows = snapshots(
        told("heater_core", "load_allowed", heaters=["heater_core"]),
        told("heater_core", "load_rejected", heaters=["heater_core"]),
        told("heater_core", "load_allowed", heaters=[]),
        told("heater_core", "load_allowed", heaters=None),
    )
    assert answer_spans(FlightData({}, rows, [], [], [])) == [
        AnswerSpan("heater_core", "heater on", 0.0, 1.0), AnswerSpan("heater_core", "rejected", 1.0, 2.0),
    ]


def test_a_pause_in_the_record_ends_a_span() -> None:
    rows = [(t * NS, told("nbl", "load_rejected")) for t in (0, 1, 2, 3, 30, 31)]
    spans = answer_spans(FlightData({}, rows, [], [], []))
    assert [(span.start_s, span.end_s) for span in spans] == [(0.0, 3.0), (30.0, 31.0)]


# -- the picture


def test_every_answer_has_its_row_time_and_colour(tmp_path: Path, kept: list[matplotlib.figure.Figure]) -> None:
    draw_energy(make_flight(230.0, 4), tmp_path / "energy.png")
    loads = panel(kept[0], "loads")
    found = {name: (start, end, colour) for name, start, end, colour in bars(loads)}
    assert found == {
        "nbl": (60.0, 90.0, to_rgb(ANSWER_COLOURS["shed: pdu_overcurrent"])),
        "heater_rcs_c01": (200.0, 230.0, to_rgb(ANSWER_COLOURS["heater on"])),
    }
    assert legend(loads) == ["shed: pdu_overcurrent", "heater on"]


def test_a_load_that_yielded_for_a_moment_is_seen_in_a_long_flight(
    tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    rows = [(t * NS, told("radar", "load_rejected" if t == 500 else "load_allowed")) for t in range(5001)]
    draw_energy(FlightData({}, rows, [], [], []), tmp_path / "energy.png")
    ((name, start, end, _),) = bars(panel(kept[0], "loads"))
    assert (name, start) == ("radar", 500.0)
    assert end - start > 5.0


def test_more_loads_than_rows_are_told_by_their_number(tmp_path: Path, kept: list[matplotlib.figure.Figure]) -> None:
    table = {f"load_{n}": "load_rejected" for n in range(20)}
    draw_energy(FlightData({}, snapshots(*3 * [{"loads": table}]), [], [], []), tmp_path / "energy.png")
    names = [label.get_text() for label in panel(kept[0], "loads").get_yticklabels()]
    assert len(names) == 14
    assert names[-1] == "7 more"
    assert sum(name == "7 more" for name, *_ in bars(panel(kept[0], "loads"))) == 7


def test_what_the_panel_did_not_give_is_lost_only_while_it_was_wanted(
    tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    def row(t: int) -> dict[str, Any]:
        return {"array_w": 10.0 if 4 <= t < 12 else 30.0, "array_max_w": 30.0, "panel_wanted": t < 8}

    truth = [(t * NS, row(t)) for t in range(20)]
    draw_energy(FlightData({}, [], truth, [], []), tmp_path / "energy.png")
    axes = panel(kept[0], "sources")
    spans = [patch.get_paths()[0].get_extents() for patch in axes.collections]
    assert [(span.x0, span.x1) for span in spans] == [(4.0, 7.0), (8.0, 11.0)]
    assert {"lost", "not wanted", "panel, delivered", "panel, was there"} <= set(legend(axes))


def test_a_flight_without_losses_claims_none(tmp_path: Path, kept: list[matplotlib.figure.Figure]) -> None:
    truth = [(t * NS, {"array_w": 30.0, "array_max_w": 30.0, "panel_wanted": True}) for t in range(9)]
    draw_energy(FlightData({}, [], truth, [], []), tmp_path / "energy.png")
    assert "lost" not in legend(panel(kept[0], "sources"))
    assert "dock" not in legend(panel(kept[0], "sources"))


def test_thresholds_are_those_of_the_body_that_is_given(tmp_path: Path, kept: list[matplotlib.figure.Figure]) -> None:
    draw_energy(make_flight(20.0, 4), tmp_path / "energy.png", PROFILE.body)
    words = legend(panel(kept[0], "charge"))
    assert [word for word in words if word.endswith("%")] == [
        "T_boost, 60 %", "T_hold, shedding ends, 30 %", "shedding begins, 20 %", "SAFE, 10 %",
    ]
    assert "lowest, 22 V" in legend(panel(kept[0], "voltage"))


@pytest.mark.parametrize(
    ("texts", "level"), [({"body.yaml": OWN_BODY}, 0.25), ({"body.yaml": "body: 3"}, None), ({}, None)]
)
def test_the_body_in_a_black_box_is_the_one_that_flew(
    tmp_path: Path, texts: dict[str, str], level: float | None
) -> None:
    path = tmp_path / "flight.mcap"
    with BlackBox(path, HEADER, 0, attachments=texts):
        pass
    body = body_flown(read_flight(path))
    assert (None if body is None else body.power.battery.shed_soc) == level


def test_a_body_that_is_not_known_has_no_thresholds(tmp_path: Path, kept: list[matplotlib.figure.Figure]) -> None:
    data = make_flight(20.0, 4)
    assert body_of(data) is None, "the digest is another one"
    draw_energy(data, tmp_path / "energy.png")
    assert not [word for word in legend(panel(kept[0], "charge")) if word.endswith("%")]
    assert not [word for word in legend(panel(kept[0], "voltage")) if word.endswith("V")]
    assert not [word for word in legend(panel(kept[0], "temperature")) if word.endswith(" C")]


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({}, True), ({"hardware_profile_hash": "sha256:" + "0" * 64}, False), ({"body": "qiki-g"}, False),
        ({"body": "no-such-body"}, False), ({"body": "../bodies/qiki-t.yaml"}, False), ({"board": ""}, False),
    ],
)
def test_the_shipped_body_is_taken_only_if_it_has_the_recorded_digest(changes: dict[str, str], known: bool) -> None:
    meta = {"body": "qiki-t", "board": "qiki-rpi", "hardware_profile_hash": PROFILE.digest, **changes}
    assert body_of(FlightData(meta, [], [], [], [])) == (PROFILE.body if known else None)


def test_the_bus_s_limit_is_the_recorded_one_and_overload_is_shaded(
    tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    rows = [(t * NS, {"bus_current_a": 8.0 if 3 <= t <= 6 else 2.0}) for t in range(10)]
    truth = [(t * NS, {"bus_limit_a": 7.5}) for t in range(10)]
    draw_energy(FlightData({}, rows, truth, [], []), tmp_path / "energy.png", PROFILE.body)
    axes = panel(kept[0], "current")
    assert {"limit, 7.5 A", "overload"} <= set(legend(axes))
    (shade,) = axes.collections
    extent = shade.get_paths()[0].get_extents()
    assert (extent.x0, extent.x1, extent.y1) == (3.0, 6.0, 8.0)


def test_coldest_and_hottest_cluster_bound_all_of_them_with_gaps_where_none_is_known(
    tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    nodes = ("battery", "core", "supercap", "hull", "comms", "rcs_c01", "rcs_c02")

    def row(t: int) -> dict[str, Any]:
        cold = None if t >= 6 else -30.0 - t
        return {"temperature_c": {**dict.fromkeys(nodes, 10.0), "rcs_c01": cold, "rcs_c02": None if t > 7 else 5.0}}

    draw_energy(FlightData({}, [(t * NS, row(t)) for t in range(10)], [], [], []), tmp_path / "energy.png")
    lines = {line.get_label(): np.asarray(line.get_ydata(), dtype=float) for line in panel(kept[0], "temp").lines}
    assert lines["coldest cluster"][:8].tolist() == [-30.0, -31.0, -32.0, -33.0, -34.0, -35.0, 5.0, 5.0]
    assert lines["hottest cluster"][:8].tolist() == [5.0] * 8
    assert np.isnan(lines["coldest cluster"][8:]).all()
    assert "comms" in lines, "one other node has its own name"


@pytest.mark.parametrize(("battery_c", "told_"), [(30.0, []), (3.0, ["battery: no charge below, 0 C"])])
def test_a_limit_of_temperature_is_drawn_when_it_was_near(
    battery_c: float, told_: list[str], tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    rows = [(t * NS, {"temperature_c": {"battery": battery_c}}) for t in range(5)]
    draw_energy(FlightData({}, rows, [], [], []), tmp_path / "energy.png", PROFILE.body)
    assert [word for word in legend(panel(kept[0], "temp")) if "below" in word] == told_


@pytest.mark.filterwarnings("error")
def test_a_flight_of_before_these_channels_can_still_be_drawn(
    tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    new = make_flight(60.0, 4)
    rows = [(t, {key: value for key, value in row.items() if key not in NEW_KEYS}) for t, row in new.snapshots]
    truth = [(t, {key: row[key] for key in OLD_TRUTH}) for t, row in new.truth]
    draw_energy(FlightData(new.metadata, rows, truth, [], []), tmp_path / "energy.png", PROFILE.body)
    assert "loads" not in [axes.get_ylabel() for axes in kept[0].axes]
    assert legend(panel(kept[0], "sources")) == ["panel, delivered"]
    assert legend(panel(kept[0], "power")) == ["loads with heaters"]
    assert "three sigma" not in legend(panel(kept[0], "charge"))


def test_a_real_craft_shows_what_it_measured(tmp_path: Path, kept: list[matplotlib.figure.Figure]) -> None:
    draw_energy(make_flight(60.0, 4, truth=False), tmp_path / "energy.png")
    assert legend(panel(kept[0], "sources")) == ["panel, measured"]
    assert {"loads with heaters", "out of battery", "thrusters, peaks"} <= set(legend(panel(kept[0], "power")))


def test_no_legend_covers_a_curve_and_no_word_leaves_the_picture(
    tmp_path: Path, kept: list[matplotlib.figure.Figure]
) -> None:
    draw_all(make_flight(130.0, 4), tmp_path, (), PROFILE.body)
    picture = kept[1]
    picture.draw_without_rendering()
    boxes = []
    for axes in picture.axes:
        found = axes.get_legend()
        if found is not None:
            box = found.get_window_extent()
            assert box.x0 >= axes.get_window_extent().x1
            assert box.x1 <= picture.bbox.width
            assert not any(box.overlaps(other) for other in boxes)
            boxes.append(box)
    assert len(boxes) == 8


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (draw_energy(make_flight(60.0, 4), tmp_path / f"{n}.png", PROFILE.body).read_bytes() for n in "ab")
    assert first == second
