"""What docs/guide/fly-a-burn.md shows works as shown: its steps fly, its snippets are understood, its codes exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from comms.dictionary import COMMANDS
from fdir.codes import Code
from firmware_py.cli.session import RigFlight, texts_of
from firmware_py.commands import PROFILES, understand
from firmware_py.gnc.allocation import Allocator
from firmware_py.gnc.authority import force_ceiling_n
from firmware_py.mission import StepOutcome, load_mission
from hal.profile import load_body, load_profile

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "fly-a-burn.md"
TEXT = PAGE.read_text(encoding="utf-8")
HEAD = """schema_version: 1
mission: my-burn
description: The guide's steps
body: qiki-t
board: qiki-rpi
epoch: "2026-06-21T12:00:00Z"
seed: 1
duration_s: 40
initial: {attitude_deg: [25, -10, 140], loads_off: [radar, nbl]}
"""


def fenced() -> str:
    return re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)[0]


def test_the_steps_fly_and_make_the_speed_that_the_formula_says(tmp_path: Path) -> None:
    path = tmp_path / "my-burn.yaml"
    path.write_text(HEAD + fenced(), encoding="utf-8")
    mission = load_mission(str(path))
    profile = load_profile(mission.body, mission.board)
    flight = RigFlight(mission, profile, tmp_path / "flight", 1, texts=texts_of(str(path), mission.body, mission.board))
    speeds: list[float] = []
    software = flight.program.software
    give = software.commander.step

    def watch(now_ns: int, nav: object, facts: object) -> None:
        give(now_ns, nav, facts)  # type: ignore[arg-type]
        if software.commander.step_name == "out":
            speeds.append(sum(v * v for v in software.estimator.nav.velocity) ** 0.5)

    software.commander.step = watch  # type: ignore[method-assign]
    result = flight.run()
    assert [record.outcome for record in software.commander.records] == [StepOutcome.DONE] * 4
    assert speeds[-1] == pytest.approx(0.5, abs=0.03)
    assert result.pulse_rule_violations == 0


def test_every_snippet_is_a_command_that_is_understood() -> None:
    snippets = [line.strip() for line in TEXT.splitlines() if line.startswith("    - {name:")]
    steps = [step for line in snippets for step in yaml.safe_load(line)]
    assert {step["command"] for step in steps} >= {"burn", "burn_stop", "override_arm", "override_fire"}
    for step in steps:
        understand(step["command"], step.get("arguments", {}))


def test_the_page_names_every_open_loop_command_and_only_codes_that_exist() -> None:
    for name in (*PROFILES, "burn_stop", "override_arm", "override_fire"):
        assert f"`{name}`" in TEXT
        assert name in COMMANDS
    words = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", TEXT))
    assert len(words) > 12
    assert words <= {code.value for code in Code}


def test_the_ceilings_that_the_page_gives_are_those_of_qiki_t() -> None:
    body = load_body("qiki-t")
    allocator = Allocator(body)
    for axis, force in ((0, 735.0), (1, 1086.0)):
        push = tuple(float(i == axis) for i in range(6))
        assert allocator.largest_scale(push) == pytest.approx(force, abs=0.5)
    assert force_ceiling_n(body) == pytest.approx(622.0, abs=0.5)
    mass = body.mass.dry_kg + body.mass.propellant_kg
    assert 0.2 * 735.4 * (1.72 - 0.25) / mass == pytest.approx(0.5, abs=0.002)
