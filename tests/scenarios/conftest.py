"""Every scenario that ships is one test: it is flown on the embedded rig and what it expects must come true."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_py.mission import MissionConfig, load_mission
from tests.scenarios.flights import Hangar

FOLDER = Path(__file__).resolve().parents[2] / "hil" / "scenarios"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test a file, the longest flights first, so that two workers end at about the same time."""
    if "scenario" in metafunc.fixturenames:
        missions = sorted((load_mission(str(path)) for path in FOLDER.glob("*.yaml")), key=_length, reverse=True)
        metafunc.parametrize("scenario", missions, ids=[mission.mission for mission in missions])


@pytest.fixture(scope="session")
def hangar(tmp_path_factory: pytest.TempPathFactory) -> Hangar:
    """The session's flights."""
    return Hangar(tmp_path_factory.getbasetemp())


def _length(mission: MissionConfig) -> tuple[float, str]:
    return mission.duration_s, mission.mission
