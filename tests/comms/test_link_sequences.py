"""Sequences: checked as a whole, under one seal, given once, and ended by what they are told."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from comms.dictionary import Authority
from comms.flight_port import CommandStage, UplinkRequest
from comms.link.sequence_file import SequenceError, compile_yaml, load_compiled, packed
from comms.link.sequences import RunState, SequenceRunner

NS = 1_000_000_000
SURVEY = """
sequence: survey
steps:
  - {after_s: 1, command: hold}
  - {after_s: 2, command: slew, arguments: {axis: [0, 0, 1], angle_deg: 90}, wait: effect, within_s: 300}
  - {at_s: 500, command: brake, wait: nothing}
"""


def steps(*rows: dict[str, Any], **more: Any) -> str:
    return yaml.safe_dump({"sequence": "s", "steps": list(rows), **more})


class Desk:
    def __init__(self) -> None:
        self.asked: list[UplinkRequest] = []
        self.room = True

    def __call__(self, request: UplinkRequest) -> bool:
        if self.room:
            self.asked.append(request)
        return self.room

    def stage(self, stage: str, *codes: str, t_ns: int = 0) -> CommandStage:
        last = self.asked[-1]
        return CommandStage(t_ns, len(self.asked), last.command_id, last.sender, last.name, stage, codes)


def started(text: str = SURVEY) -> tuple[SequenceRunner, Desk]:
    desk = Desk()
    runner = SequenceRunner(desk)
    name = runner.load(packed(compile_yaml(text)))
    assert runner.start(name, Authority.CONTROLLER, "ada", 4, 0) == ""
    return runner, desk


def test_a_compiled_sequence_is_read_back_as_it_was() -> None:
    sequence = compile_yaml(SURVEY)
    assert load_compiled(packed(sequence)) == sequence
    assert [step.command for step in sequence.steps] == ["hold", "slew", "brake"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2]", "must be a table"), ("sequence: [", "no YAML"), ("sequence: a\nsteps: []", "1 to 256"),
        ("sequence: a\nsteps: []\nstop: 1", "no key 'stop'"), ("sequence: ''\nsteps: []", "1 to 32"),
        (steps({"after_s": 1, "command": "fly"}), "step 1: no command 'fly'"),
        (steps({"after_s": 1, "command": "slew"}), "step 1: slew: give attitude, or axis and angle_deg"),
        (steps({"after_s": 1, "command": "safe_exit"}), "can't be given by a sequence"),
        (steps({"command": "hold"}), "give after_s or at_s"),
        (steps({"command": "hold", "after_s": 1, "at_s": 1}), "give after_s or at_s"),
        (steps({"command": "hold", "after_s": -1}), "0..604800 s is allowed"),
        (steps({"command": "hold", "after_s": float("nan")}), "must be a number"),
        (steps({"command": "hold", "after_s": True}), "must be a number"),
        (steps({"command": "hold", "after_s": 1, "wait": "long"}), "allowed: nothing, allowed, effect"),
        (steps({"command": "hold", "after_s": 1, "confirmed": 1}), "true or false"),
        (steps({"command": "hold", "after_s": 1, "then": 2}), "keys are"),
        (steps({"command": "hold", "after_s": 1}, on_refusal="ask"), "allowed: stop, go_on"),
        (steps({"command": "hold", "at_s": 9}, {"command": "hold", "at_s": 8}), "step 2: at_s 8 comes before 9"),
    ],
)
def test_what_is_not_good_is_refused_as_a_whole_and_by_step(text: str, words: str) -> None:
    with pytest.raises(SequenceError) as caught:
        compile_yaml(text)
    assert words in str(caught.value)


def test_every_bit_of_a_file_is_under_the_seal() -> None:
    data = packed(compile_yaml(SURVEY))
    for bit in range(len(data) * 8):
        bent = bytearray(data)
        bent[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SequenceError):
            load_compiled(bytes(bent))


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_rubbish_is_refused(data: bytes) -> None:
    with pytest.raises(SequenceError):
        load_compiled(data)


def test_commands_are_given_once_and_when_they_are_due() -> None:
    runner, desk = started()
    runner.step(NS - 1)
    assert desk.asked == []
    runner.step(NS)
    runner.step(NS + 1)
    assert [asked.name for asked in desk.asked] == ["hold"]
    asked = desk.asked[0]
    assert (asked.sender, asked.authority, asked.start) == ("ada/survey", Authority.CONTROLLER, 4)
    runner.hear(desk.stage("allowed", t_ns=NS))
    runner.step(3 * NS)
    assert desk.asked[-1].name == "slew"
    runner.hear(desk.stage("allowed"))
    assert runner.state is RunState.GIVEN, "a step that waits for its effect is not over when it is allowed"
    runner.hear(desk.stage("effect_confirmed", t_ns=60 * NS))
    runner.step(499 * NS)
    assert len(desk.asked) == 2
    runner.step(500 * NS)
    assert [asked.name for asked in desk.asked] == ["hold", "slew", "brake"]
    assert runner.running is None
    assert [note.code for note in runner.take_notes()] == ["SEQUENCE_STARTED", "SEQUENCE_DONE"]
    assert len({asked.command_id for asked in desk.asked}) == 3


def test_a_refusal_stops_it_or_is_told_and_passed_over() -> None:
    runner, desk = started()
    runner.step(NS)
    runner.hear(desk.stage("rejected", "CAP_LOW"))
    assert runner.running is None
    assert "CAP_LOW" in runner.take_notes()[-1].text
    runner, desk = started(SURVEY + "on_refusal: go_on\n")
    runner.step(NS)
    runner.hear(desk.stage("rejected", "CAP_LOW", t_ns=NS))
    runner.step(3 * NS)
    assert desk.asked[-1].name == "slew"


def test_stages_of_other_commands_move_nothing() -> None:
    runner, desk = started()
    runner.step(NS)
    runner.hear(CommandStage(NS, 9, "other", "bob", "hold", "allowed"))
    runner.step(10 * NS)
    assert len(desk.asked) == 1


def test_a_step_that_takes_too_long_or_comes_too_late_ends_it() -> None:
    runner, desk = started()
    runner.step(NS)
    runner.step(62 * NS)
    assert runner.running is None
    runner, desk = started()
    runner.step(20 * NS)
    assert desk.asked == []
    assert runner.running is None
    runner, desk = started()
    desk.room = False
    runner.step(NS)
    desk.room = True
    runner.step(2 * NS)
    assert len(desk.asked) == 1, "what found no room is given as soon as there is some"


def test_who_starts_it_needs_the_authority_of_every_step() -> None:
    runner = SequenceRunner(Desk())
    runner.load(packed(compile_yaml(steps({"after_s": 1, "command": "hold"}, {"after_s": 1, "command": "arm"}))))
    assert "step 2: arm needs safety" in runner.start("s", Authority.CONTROLLER, "ada", None, 0)
    assert runner.running is None
    assert runner.start("s", Authority.SAFETY, "eve", None, 0) == ""
    assert "s is running" in runner.start("s", Authority.SAFETY, "eve", None, 0)
    assert runner.stop(1, "by order")
    assert not runner.stop(2, "again")


def test_an_absolute_time_that_has_passed_and_an_unknown_name_are_refused() -> None:
    runner = SequenceRunner(Desk())
    assert "loaded: none" in runner.start("s", Authority.SAFETY, "eve", None, 0)
    runner.load(packed(compile_yaml(steps({"at_s": 5, "command": "hold"}))))
    assert "has passed" in runner.start("s", Authority.SAFETY, "eve", None, 6 * NS)


def test_so_many_are_loaded_and_the_running_one_stays_as_it_is() -> None:
    runner, _ = started()
    with pytest.raises(SequenceError, match="is running"):
        runner.load(packed(compile_yaml(SURVEY)))
    for number in range(7):
        runner.load(packed(compile_yaml(SURVEY.replace("survey", f"s{number}"))))
    with pytest.raises(SequenceError, match="8 sequences"):
        runner.load(packed(compile_yaml(SURVEY.replace("survey", "one-more"))))
    assert len(runner.seals()) == 8
