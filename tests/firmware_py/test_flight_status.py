"""The line for the service manager: mode, start, and what is not as it should be."""

from __future__ import annotations

from dataclasses import dataclass

from firmware_py.flight_status import StatusLine, status_text
from firmware_py.sd_notify import Notifier
from firmware_py.watchdogs import Watchdogs
from tests.firmware_py.rig_craft import SECOND, Craft


@dataclass
class Recorder:
    stopped: str | None = None


def test_a_craft_that_boots_says_what_is_missing_and_then_that_it_is_well() -> None:
    craft = Craft()
    craft.run(0.1)
    early = status_text(craft.program, None)
    assert early.startswith("motion Boot; start unknown; valves shut; ")
    assert "devices not ok" in early
    craft.boot()
    assert status_text(craft.program, Recorder()) == "motion Idle; start 1; valves armed"


def test_what_is_wrong_is_named() -> None:
    craft = Craft().boot()
    craft.software.supervisor.report("boot-loop", True, craft.software.facts)
    craft.run(0.5)
    text = status_text(craft.program, Recorder("the recorder process is away"))
    assert "motion SAFE" in text
    assert "reasons BOOT_LOOP" in text
    assert text.endswith("not recording: the recorder process is away")


def test_the_line_is_sent_when_it_has_changed() -> None:
    craft = Craft().boot()
    words: list[str] = []
    program = craft.program
    program.watchdogs = Watchdogs(
        craft.hardware.safety, craft.hardware.propulsion, craft.journal.event,
        manager=Notifier("/run/notify", 2 * SECOND, lambda data, _: words.append(data.decode())),
    )
    recorder = Recorder()
    line = StatusLine(recorder)
    line.step(0)
    assert words == []
    line.program = program
    for now_ns in range(3):
        line.step(now_ns)
    recorder.stopped = "full"
    line.step(3)
    assert words == [
        "STATUS=motion Idle; start 1; valves armed", "STATUS=motion Idle; start 1; valves armed; not recording: full",
    ]
