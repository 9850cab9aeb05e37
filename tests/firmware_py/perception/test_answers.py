"""Answers to questions: bounded to what one telemetry channel holds, with what was left out counted."""

from __future__ import annotations

import json

import pytest

from comms.dictionary.commands_perception import PERCEPTION_QUESTIONS
from comms.flight_port import LinkReport
from firmware_py.link_guard import channel_values
from tests.firmware_py.perception.port_craft import NS, PortCraft, motion, placed


def crowded() -> PortCraft:
    """Ninety contacts, and a wall all round."""
    craft = PortCraft()
    craft.wait(0.2)
    craft.order("perception_mode", mode="cartography")
    places = [placed(40.0 + 1.7 * (n // 9), -40.0 + 10.0 * (n % 9)) for n in range(90)]
    for cycle in range(20):
        craft.look(places, *([craft.turn([11.0 - 0.02 * (n % 40) for n in range(720)], craft.t_ns + 72_000_000)]
                             if cycle % 2 else []))
    return craft


@pytest.mark.parametrize("what", PERCEPTION_QUESTIONS)
def test_the_answer_to_everything_fits_its_channel(what: str) -> None:
    craft = crowded()
    low, high = [-1000.0] * 3, [1000.0] * 3
    assert craft.order("perception_query", 8, what=what, low_m=low, high_m=high)[1]
    answer = craft.told["perception_answer"]
    values, wrong = channel_values(LinkReport(0, telemetry=craft.told), ("perception_answer", "nearest_tracks"))
    assert wrong == 0
    assert values["perception_answer"] == answer
    assert answer["found"] >= len(answer["rows"])
    json.dumps(answer)


def test_what_is_left_out_is_counted_and_the_nearest_are_told() -> None:
    craft = crowded()
    _, well, words = craft.order("perception_query", 8, what="tracks")
    answer = craft.told["perception_answer"]
    assert well
    assert words == f"{answer['found']} found, 24 told"
    assert answer["found"] > 60
    ranges = [row[3] for row in answer["rows"].values()]
    assert ranges == sorted(ranges)


def test_a_box_about_the_craft_is_meant_where_none_is_named() -> None:
    craft = crowded()
    craft.order("perception_query", 8, what="grid")
    for x, y, z, probability in craft.told["perception_answer"]["rows"]:
        assert max(abs(x), abs(y), abs(z)) <= 34.0
        assert 0.0 <= probability <= 1.0


def test_a_wrong_question_leaves_the_last_answer() -> None:
    craft = crowded()
    craft.order("perception_query", 8, what="tracks", track_id=1)
    before = craft.told["perception_answer"]
    assert craft.order("perception_query", 9, what="tracks", low_m=[0, 0, 0])[1] is False
    assert craft.told["perception_answer"] == before


def test_the_closest_approach_is_that_of_what_comes() -> None:
    craft = PortCraft()
    for cycle in range(40):
        craft.look([(100.0 - 0.36 * cycle, 10.0, -5.0, 0.0)])
    craft.wait(0.6)
    assert 10.0 < craft.told["closest_approach_s"] < 20.0
    assert 0.0 <= craft.told["closest_approach_m"] < 12.0
    craft.t_ns += 20 * NS
    craft.send(motion(craft.t_ns))
    craft.step()
    assert "closest_approach_s" not in craft.told or craft.told["closest_approach_s"] is None
