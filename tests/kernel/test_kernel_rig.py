"""The project on a real kernel with systemd; needs QIKI_RIG=1, because it builds and boots guests (minutes)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hil.kernel.inside_table import CHECKS
from hil.kernel.rig import main

pytestmark = pytest.mark.skipif(
    os.environ.get("QIKI_RIG") != "1",
    reason="builds and boots Linux guests (minutes): set QIKI_RIG=1, QIKI_RIG_ARCH=arm64 for another, or make rig",
)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """All checks of one run."""
    path: Path = tmp_path_factory.mktemp("rig") / "outcomes.json"
    main(["--arch", os.environ.get("QIKI_RIG_ARCH", "uml"), "--json", str(path)])
    return {record["check"]: record for record in json.loads(path.read_text())}


@pytest.mark.parametrize("name", [check.name for check in CHECKS])
def test_check_in_the_guest(outcomes: dict[str, dict[str, object]], name: str) -> None:
    assert name in outcomes, "it was not run"
    assert outcomes[name]["held"], outcomes[name]
