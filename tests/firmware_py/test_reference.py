"""Printed pages are current; guides name everything there is, and what they show works as shown."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

import hil.rig
from comms.dictionary import COMMANDS, TELEMETRY
from fdir.codes import Code
from fdir.gating import CLASS_CHECKS
from fdir.modes import TRANSITIONS, Motion
from fdir.monitors import MONITORS
from fdir.safe import EXIT_CONDITIONS
from firmware_py import mission
from firmware_py.mission import load_mission
from firmware_py.reference import CHECK_TEXT, CODE_TEXT, EXIT_TEXT, figure_table, pages, stale, verified, write
from firmware_py.report.figures import EVENT_CODES, check_expectations
from hal.hardware import Hardware
from hal.profile import ConfigError, body, load_board, load_profile
from hal.profile.board import DeviceConfig, MountConfig
from hal.reading import Quality
from hil.faults import FaultKind
from hil.plant.world import InitialState

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
GUIDE = ROOT / "docs" / "guide"
SCENARIO = (GUIDE / "write-a-scenario.md").read_text(encoding="utf-8")
BODY = (GUIDE / "describe-a-body.md").read_text(encoding="utf-8")
CHIP = (GUIDE / "add-a-chip.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """Fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def unnumbered(message: str) -> str:
    """A refusal without the line number, which moves when the file is edited."""
    return re.sub(r"yaml:\d+:", "yaml:", message)


def keys(kind: Any) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


# -- the printed pages


def test_the_committed_pages_are_current() -> None:
    assert stale(REFERENCE) == [], "run `qiki docs`"


def test_writing_makes_a_folder_current_and_a_change_makes_it_stale(tmp_path: Path) -> None:
    folder = tmp_path / "reference"
    assert stale(folder) == list(pages())
    assert [path.name for path in write(folder)] == list(pages())
    assert stale(folder) == []
    page = folder / "modes.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    (folder / "codes.md").unlink()
    assert stale(folder) == ["modes.md", "codes.md"]


def test_every_entry_of_every_table_is_on_its_page() -> None:
    made = pages()
    for command in COMMANDS.values():
        assert f"| {command.id} | `{command.name}` |" in made["commands.md"]
        assert all(f"| `{a.name}` |" in made["commands.md"] for a in command.arguments)
    for channel in TELEMETRY:
        assert f"| {channel.id} | `{channel.name}` | {channel.kind} | {channel.unit} |" in made["telemetry.md"]
    for monitor in MONITORS:
        assert f"| {monitor.name} | {monitor.text} |" in made["faults.md"]
    for source, target in TRANSITIONS:
        assert f"| {source} | {target} |" in made["modes.md"]
    for device in load_board("qiki-rpi").devices:
        assert f"| {device.name} | `{device.part}` |" in made["chips.md"]
        assert f"### {device.part}\n" in made["chips.md"]
    for code in EVENT_CODES:
        assert f"| `{code}` |" in made["codes.md"]


def test_every_code_check_and_exit_condition_has_a_text() -> None:
    assert set(CODE_TEXT) == set(EVENT_CODES) >= set(Code)
    assert {check.__name__ for checks in CLASS_CHECKS.values() for check in checks} == set(CHECK_TEXT)
    assert set(EXIT_TEXT) == set(EXIT_CONDITIONS)
    assert all(text and not text.endswith(".") for text in CODE_TEXT.values())


def test_rows_have_as_many_cells_as_their_head() -> None:
    for name, text in pages().items():
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(widths) == 1, (name, table[:200])


def test_links_of_pages_and_guides_lead_somewhere() -> None:
    for folder in (REFERENCE, GUIDE):
        for page in folder.glob("*.md"):
            for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
                assert (folder / target).exists(), (page.name, target)


@pytest.mark.parametrize(
    ("doc", "stated", "expected"),
    [
        ("One.\n\nHeld against: TI's table;\nvalues of ``x``.", None, ("TI's table; values of `x`",)),
        ("One.\n\nHeld against: TI's table.", ("QEMU's model.",), ("QEMU's model",)),
        ("One.", None, ("see tests/drivers/test_abc.py",)),
        (None, (), ("see tests/drivers/test_abc.py",)),
    ],
)
def test_how_a_driver_was_verified_is_what_it_states(doc: str | None, stated: Any, expected: tuple[str, ...]) -> None:
    module = ModuleType("drivers.abc", doc)
    if stated is not None:
        module.VERIFIED = stated  # type: ignore[attr-defined]
    assert verified(module) == expected


# -- write a scenario


def test_the_scenario_guide_names_every_key_figure_and_fault() -> None:
    for kind in (
        mission.MissionConfig, mission.InitialConfig, mission.StepConfig, mission.FaultConfig, mission.ExpectConfig,
    ):
        for key in keys(kind):
            assert f"`{key}`" in SCENARIO, key
    assert figure_table() in SCENARIO, "copy the table of figures again"
    faults = SCENARIO.partition("## Faults")[2]
    for name, (_, parameters) in hil.rig.FAULTS.items():
        row = next(line for line in faults.splitlines() if f"`{name}`" in line[: line.find("|", 1)])
        assert all(f"`{parameter}`" in row for parameter in parameters), name
    for word in [*(f"`{kind.value}`" for kind in FaultKind), *(f"`{mode}`" for mode in Motion), "`cpu_late`"]:
        assert word in SCENARIO, word


def test_the_guide_s_scenario_loads_with_its_further_faults(tmp_path: Path) -> None:
    scenario, faults = blocks(SCENARIO, "yaml")
    path = tmp_path / "my-flight.yaml"
    path.write_text(scenario, encoding="utf-8")
    assert check_expectations(load_mission(str(path)).expect) == []
    path.write_text(re.sub(r"^faults:\n.*?\n\n", faults + "\n", scenario, flags=re.M | re.S), encoding="utf-8")
    loaded = load_mission(str(path))
    assert len(loaded.faults) == 8
    rig = hil.rig.Rig(load_profile(loaded.body, loaded.board), InitialState(epoch=0), 1)
    for fault in loaded.faults:
        if fault.kind != "cpu_late":
            rig.inject(fault.kind, fault.parameters)()


def test_the_guide_s_refusal_is_the_real_one(tmp_path: Path) -> None:
    path = tmp_path / "my-flight.yaml"
    path.write_text(blocks(SCENARIO, "yaml")[0].replace("command: detumble", "command: detumbel"), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_mission(str(path))
    shown = re.search(r"^    my-flight.yaml:(.*), \.\.\.$", SCENARIO, re.MULTILINE)
    assert shown is not None
    assert str(refused.value).startswith(f"{path}:{shown.group(1)}")


# -- describe a body


def test_the_body_guide_names_every_key() -> None:
    for kind in vars(body).values():
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind is not msgspec.Struct:
            for key in keys(kind):
                assert f"`{key}`" in BODY or f"## {key}\n" in BODY, (kind.__name__, key)


def test_the_body_guide_lists_the_bodies_that_ship() -> None:
    for path in (ROOT / "board_configs" / "bodies").glob("*.yaml"):
        assert f"| `{path.stem}` |" in BODY


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("id: 0, cluster: rcs_c01, position_m: [0.2, 0.2, 0.0941], direction: [-0.7071, 0.7071, 0]",
         "id: 0, cluster: rcs_c01, position_m: [0.2, 0.2, 0.0941], direction: [-0.7071, 1.0, 0]"),
        (r"direction: \[.*?\]", "direction: [1, 0, 0]"),
        (r"inertia_kg_m2: .*", "inertia_kg_m2: [[0.32, 0, 0], [0, 0.32, 0], [0, 0, 9]]"),
    ],
)
def test_the_body_guide_s_refusals_are_the_real_ones(old: str, new: str, tmp_path: Path) -> None:
    text = (ROOT / "board_configs" / "bodies" / "bench-12kg.yaml").read_text(encoding="utf-8")
    pattern = re.escape(old) if old.startswith("id") else old
    path = tmp_path / "my-craft.yaml"
    path.write_text(re.sub(pattern, new, text), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_profile(str(path), "qiki-rpi")
    shown = [line.strip().removesuffix(" ...") for line in BODY.splitlines() if line.startswith("    my-craft.yaml:")]
    actual = unnumbered(str(refused.value).removeprefix(f"{tmp_path}/"))
    assert any(actual.startswith(unnumbered(line)) for line in shown), actual


# -- add a chip


@pytest.fixture
def chip(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The guide's driver and twin as modules, and its test's names."""
    driver, twin, wiring, test = blocks(CHIP, "python")
    for name, source in (("drivers.tmp117", driver), ("hil.chips.tmp117", twin)):
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(source, name, "exec"), module.__dict__)
    names: dict[str, Any] = {"wiring": wiring}
    exec(compile(test, "guide", "exec"), names)
    return names


def test_the_guide_s_test_of_the_guide_s_chip_passes(chip: dict[str, Any]) -> None:
    chip["test_nothing_is_said_before_the_first_conversion_and_then_the_truth"]()
    chip["test_another_chip_at_the_address_is_refused"]()
    table = chip["test_the_datasheet_s_table_of_results"]
    (mark,) = table.pytestmark
    for data, expected in mark.args[1]:
        table(data, expected)
    assert f"{len(mark.args[1]) + 2} passed" in CHIP


def test_the_guide_s_chip_flies_on_the_rig(chip: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hil.rig, "PARTS", dict(hil.rig.PARTS))
    names = {**vars(hil.rig), "Tmp117": chip["Tmp117"]}
    exec(compile(chip["wiring"], "guide", "exec"), names)
    (line,) = blocks(CHIP, "yaml")
    (device,) = msgspec.yaml.decode(line, type=list[DeviceConfig])
    profile = load_profile("qiki-t", "qiki-rpi")
    board = msgspec.structs.replace(profile.board, devices=(*profile.board.devices, device))
    profile = profile._replace(board=board)
    rig = hil.rig.Rig(profile, InitialState(epoch=0, temperatures_c={"rcs_c01": -17.5}), 1)
    hardware = Hardware(profile, rig.buses)
    for tick in range(1, 601):
        rig.advance(tick * 5_000_000)
        hardware.sense(tick * 5_000_000)
    reading = hardware.sensors.temperatures(3_000_000_000)["rcs_c01"]
    assert reading.quality is Quality.OK
    assert reading.value == pytest.approx(rig.world.temperatures_c["rcs_c01"], abs=1.0)


def test_the_chip_guide_names_every_key_of_a_device() -> None:
    for key in [*keys(DeviceConfig), *keys(MountConfig)]:
        assert f"`{key}`" in CHIP, key
