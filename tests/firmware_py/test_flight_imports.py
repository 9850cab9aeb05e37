"""A start loads what flying needs: a craft whose program was killed waits for every module that is read too much."""

from __future__ import annotations

import json
import subprocess
import sys

NOT_FOR_FLYING = frozenset({
    "bench", "cbor2", "cryptography", "hil", "jsonschema", "lz4", "matplotlib", "mcap", "rerun", "rich", "scipy",
    "textual", "zstandard",
})
"""Packages of tools, reports, other processes and the rig."""
PERCEPTION = {"firmware_py.perception", "firmware_py.perception.port"}
"""Of the perception the flight program has the port's messages alone."""


def loaded(statement: str) -> set[str]:
    """Modules that are there after a statement, in a Python of its own."""
    script = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(ran.stdout))


def test_the_flight_program_loads_nothing_of_tools_rig_or_other_processes() -> None:
    modules = loaded("import firmware_py.cli.fly, firmware_py.flight_process")
    assert "firmware_py.program" in modules
    assert not {name.partition(".")[0] for name in modules} & NOT_FOR_FLYING
    assert {name for name in modules if name.startswith("firmware_py.perception.")} <= PERCEPTION
    assert not {name for name in modules if name.startswith(("firmware_py.report", "firmware_py.cli.campaign"))}


def test_the_command_fly_is_found_without_the_other_commands() -> None:
    modules = loaded(
        "import io, sys\nsys.argv = ['qiki', 'fly', '--help']\nfrom contextlib import suppress, redirect_stdout\n"
        "from firmware_py.cli.start import main\n"
        "with suppress(SystemExit), redirect_stdout(io.StringIO()):\n    main()"
    )
    assert "firmware_py.cli.fly" in modules
    assert "firmware_py.cli.main" not in modules
    assert "firmware_py.cli.link" not in modules
