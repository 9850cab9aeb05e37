"""Printed pages are current; guides name everything there is, and what they show works as shown."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import msgspec
import pytest
from typer.main import get_command

import hil.parts
import hil.rig
from bench.fuzz import break_codec
from comms.channel_plan import PLAN
from comms.dictionary import COMMANDS, TELEMETRY, Authority
from comms.dictionary.layouts import LAYOUTS
from comms.dictionary.messages import MESSAGES
from comms.emcon import EmconLevel
from comms.link import sequence_file
from comms.nbl.layouts import LAYOUTS as NBL_LAYOUTS
from comms.transports.modem import load_modems
from drivers.device import Oracle, OracleKind
from drivers.errors import Cause
from fdir.codes import Code
from fdir.exit_conditions import EXIT_CONDITIONS
from fdir.fault_table import Isolation, load_fault_table
from fdir.gating import CLASSES
from fdir.modes import GUARD_TEXT, TRANSITIONS, Motion
from fdir.recovery import Step
from fdir.safe import STATE_RULES
from firmware_py import mission
from firmware_py.cli import bench, main
from firmware_py.cli import chip as one_chip
from firmware_py.cli.computer_faults import COMPUTER_FAULTS
from firmware_py.cli.link_campaign.plan import all_rows
from firmware_py.cli.rig_ground import GROUND_FAULTS
from firmware_py.mission import load_mission
from firmware_py.probe import Verdict
from firmware_py.reference import figure_table, independent, pages, parts, stale, write
from firmware_py.reference_codes import CODE_TEXT
from firmware_py.reference_faults import ISOLATION_TEXT, STEP_TEXT, fault_rows, measured_times
from firmware_py.report.figures import EVENT_CODES, check_expectations
from hal.causes import CAUSES, quality_of
from hal.hardware import Hardware
from hal.manager import DeviceState
from hal.parts import ROLE_SAMPLES
from hal.profile import ConfigError, body, load_board, load_profile
from hal.profile.board import ROLE_BUSES, BusConfig, DeviceConfig, LinesConfig, MountConfig, RecoveryConfig
from hal.reading import Quality
from hal.recovery import Rung
from hil.faults import FaultKind, Recovery
from hil.plant.world import InitialState

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
GUIDE = DOCS / "guide"
SCENARIO = (GUIDE / "write-a-scenario.md").read_text(encoding="utf-8")
BODY = (GUIDE / "describe-a-body.md").read_text(encoding="utf-8")
CHIP = (GUIDE / "add-a-chip.md").read_text(encoding="utf-8")
BOARD = (GUIDE / "connect-a-board.md").read_text(encoding="utf-8")
TALK = (GUIDE / "talk-to-a-craft.md").read_text(encoding="utf-8")
WRITTEN = [
    ROOT / "README.md", DOCS / "gnc.md", DOCS / "protocols" / "link.md", *sorted(GUIDE.glob("*.md")),
    *sorted((DOCS / "decisions").glob("*.md")),
]


def blocks(text: str, language: str) -> list[str]:
    """Fenced blocks of one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def unnumbered(message: str) -> str:
    """A refusal without the line number, which moves when the file is edited."""
    return re.sub(r"yaml:\d+:", "yaml:", message)


def keys(kind: Any) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(kind)]


def anchors(page: Path) -> set[str]:
    """What links may name behind ``#`` of a page: its headings as GitHub spells them, in small letters."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", head.replace("`", "").lower()).strip().replace(" ", "-") for head in heads}


def rows(text: str, head: str) -> list[list[str]]:
    """Cells of the table whose head line begins with ``head``."""
    lines = text[text.index(f"\n{head}") + 1 :].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


# -- the printed pages


def test_the_committed_pages_are_current() -> None:
    assert stale(DOCS) == [], "run `qiki docs`"


def test_no_page_is_left_of_a_table_that_moved() -> None:
    assert set((DOCS / "reference").glob("*.md")) <= {DOCS / name for name in pages()}


def test_writing_makes_a_folder_current_and_a_change_makes_it_stale(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    assert stale(folder) == list(pages())
    assert [path.relative_to(folder).as_posix() for path in write(folder)] == list(pages())
    assert stale(folder) == []
    page = folder / "reference" / "modes.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    (folder / "reference" / "codes.md").unlink()
    (folder / "chips.md").unlink()
    assert stale(folder) == ["chips.md", "reference/modes.md", "reference/codes.md"]


def test_every_entry_of_every_table_is_on_its_page() -> None:
    made = pages()
    for command in COMMANDS.values():
        assert f"| {command.id} | `{command.name}` |" in made["reference/commands.md"]
        assert all(f"| `{a.name}` |" in made["reference/commands.md"] for a in command.arguments)
    for channel in TELEMETRY:
        row = f"| {channel.id} | `{channel.name}` | {channel.kind} | {channel.unit} |"
        assert row in made["reference/telemetry.md"]
    for fault in load_fault_table().rows:
        row = next(line for line in made["faults.md"].splitlines() if f"| {fault.number} | `{fault.id}` | " in line)
        assert f" | {fault.text} | " in row
        assert f" | `{fault.code}` | {fault.severity} | " in row
        assert row.endswith(f" | `{fault.scenario}` |")
        assert f" | {fault.detect_within_ms:g} ms | " in row
        assert all(isolation.value in row for isolation in fault.isolation)
        assert " > ".join(f"{rung.step} ({rung.wait_s:g} s)" for rung in fault.recovery) in row
    for name, condition in EXIT_CONDITIONS.items():
        assert f"| `{name}` | {condition.text} |" in made["reference/safe.md"]
    for rule in STATE_RULES:
        assert f"| `{rule.state}` | {rule.text} |" in made["reference/safe.md"]
    for source, target in TRANSITIONS:
        assert f"| {source} | {target} |" in made["reference/modes.md"]
    lines = made["reference/commands.md"].splitlines()
    for command_class, gates in CLASSES.items():
        (row,) = [line for line in lines if line.startswith(f"| {command_class} |")]
        for check in gates.checks:
            assert " ".join((check.__doc__ or "").replace("``", "`").split()) in row, check.__name__
    for device in load_board("qiki-rpi").devices:
        assert f"| {device.name} | `{device.part}` |" in made["chips.md"]
        assert f"### {device.part}\n" in made["chips.md"]
    for code in EVENT_CODES:
        assert f"| `{code}` |" in made["reference/codes.md"]


def test_the_link_s_pages_have_every_channel_message_group_modem_level_and_layout() -> None:
    page = pages()["reference/link.md"]
    for spec in PLAN:
        row = next(line for line in page.splitlines() if line.startswith(f"| {spec.id} | `{spec.name}` |"))
        assert f" | {spec.qos.name.lower()} | {spec.kind.suite.name} ({int(spec.kind.suite)}) | " in row
        assert row.endswith(f" | {spec.text} |")
    for schema in MESSAGES.values():
        row = next(line for line in page.splitlines() if line.startswith(f"| {schema.id} | `{schema.name}` |"))
        assert all(f"{name}: " in row for name, _ in schema.fields)
    for layout in LAYOUTS.values():
        channels = ", ".join(layout.names)
        assert f"| {layout.id} | `{layout.name}` | {layout.rate_hz:g} | {layout.text} | {channels} |" in page
    for name, modem in load_modems().items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        assert f" | {modem.kind} | {modem.text} | {modem.bit_rate:,.0f} | {modem.mtu} | " in row
    for level in EmconLevel:
        assert f"\n| {int(level)} | " in page.partition("## Emission control")[2]
    bits = pages()["protocols/nbl.md"]
    for nbl in NBL_LAYOUTS.values():
        section = bits.partition(f"\n## {nbl.name}\n")[2].partition("\n## ")[0]
        assert all(f" | `{field.name}` | {field.bits} | " in section for field in nbl.fields), nbl.name


def test_every_code_check_and_row_of_a_table_has_a_text() -> None:
    assert set(CODE_TEXT) == set(EVENT_CODES) >= set(Code)
    assert set(ISOLATION_TEXT) == set(Isolation)
    assert set(STEP_TEXT) == set(Step)
    checks = {check.__name__: check.__doc__ for row in CLASSES.values() for check in row.checks}
    texts = {
        "code": CODE_TEXT, "isolation": ISOLATION_TEXT, "step": STEP_TEXT, "check": checks, "guard": GUARD_TEXT,
        "exit condition": {name: row.text for name, row in EXIT_CONDITIONS.items()},
        "state": {rule.state: rule.text for rule in STATE_RULES},
        "fault": {fault.id: fault.text for fault in load_fault_table().rows},
    }
    for what, table in texts.items():
        for name, text in table.items():
            assert text, (what, name)
            assert not text.endswith("."), (what, name)


def test_times_of_the_last_campaign_stand_beside_the_goals(tmp_path: Path) -> None:
    results = tmp_path / "campaign.json"
    times = {
        "imu-silent": {"detected_ms": 95.0, "recovered_s": 1.25, "flown": 20},
        "gyro-frozen": {"detected_ms": 97.5, "recovered_s": None, "flown": 3},
        "bus-low": {"detected_ms": None, "recovered_s": 2.0},
    }
    results.write_text(json.dumps({"faults": times}), encoding="utf-8")
    found = measured_times(results)
    assert found == times
    shown = {row[1]: row[10:12] for row in fault_rows(found)}
    assert shown["`imu-silent`"] == ("95 ms (worst of 20)", "1.25 s")
    assert shown["`gyro-frozen`"] == ("97.5 ms (worst of 3)", "-")
    assert {row for fault, row in shown.items() if fault not in ("`imu-silent`", "`gyro-frozen`")} == {("-", "-")}


@pytest.mark.parametrize("text", [None, "", "no JSON", "[]", "{}", "null", '{"faults": 3}'])
def test_without_a_campaign_the_page_shows_no_times(tmp_path: Path, text: str | None) -> None:
    results = tmp_path / "campaign.json"
    if text is not None:
        results.write_text(text, encoding="utf-8")
    assert measured_times(results) == {}
    assert {row[10:12] for row in fault_rows(measured_times(results))} == {("-", "-")}


def test_rows_have_as_many_cells_as_their_head() -> None:
    for name, text in pages().items():
        for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(widths) == 1, (name, table[:200])


def test_links_of_pages_and_guides_lead_somewhere() -> None:
    for page in [*(DOCS / name for name in pages()), *WRITTEN]:
        for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]+))?\)", page.read_text(encoding="utf-8")):
            if target.startswith("https://"):
                continue
            there = page.parent / target if target else page
            assert there.exists(), (page.name, target)
            if anchor:
                assert anchor in anchors(there), (page.name, target, anchor)


def test_commands_that_guides_name_exist() -> None:
    qiki = get_command(main.app)
    named = 0
    for page in WRITTEN:
        for line in re.findall(r"(?:`|^ *\$ |^)(qiki [^`#\n]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            command, words = qiki, shlex.split(line.rstrip("\\"))[1:]
            while hasattr(command, "commands") and words and not words[0].startswith("-"):
                assert words[0] in command.commands, (page.name, line)
                command, words = command.commands[words[0]], words[1:]
            known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
            given = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert given <= known | {"--help"}, (page.name, line)
            named += 1
    assert named > 30


# -- chips and causes


def test_the_chips_page_names_every_driver_with_its_proofs() -> None:
    page = pages()["chips.md"]
    drivers = {path.stem for path in (ROOT / "drivers").glob("*.py") if "class Settings(" in path.read_text("utf-8")}
    assert {name for name, _ in parts()} == drivers
    table = {row[0]: row for row in rows(page, "| part | what |")}
    for name, module in parts():
        link, _, _, how, proven = table.pop(f"[`{name}`](#{name})")
        assert how.split("; ") == list(dict.fromkeys(oracle.kind.value for oracle in module.ORACLES)), link
        assert proven == ("yes" if independent(module) else "no"), link
        section = page.partition(f"### {name}\n")[2].partition("\n### ")[0]
        for oracle in module.ORACLES:
            what = " ".join(oracle.what.replace("``", "`").split()).replace("|", "\\|")
            assert f"| {oracle.kind.value} | {what} |" in section, (name, oracle)
    assert table == {}


def test_the_count_of_independent_parts_is_the_page_s_own() -> None:
    page = pages()["chips.md"]
    proven = [row for row in rows(page, "| part | what |") if row[-1] == "yes"]
    assert f"**{len(proven)} of {len(parts())} parts have at least one independent oracle.**" in page
    assert len(proven) == sum(independent(module) for _, module in parts())


@pytest.mark.parametrize("kind", OracleKind)
def test_formulas_alone_are_nothing_independent(kind: OracleKind) -> None:
    module = ModuleType("drivers.abc")
    module.ORACLES = (Oracle(kind, "what was compared"),)  # type: ignore[attr-defined]
    assert independent(module) is (kind not in (OracleKind.FORMULA, OracleKind.NOTHING))


def test_every_cause_is_explained_with_what_to_do() -> None:
    assert set(CAUSES) == set(Cause)
    table = rows(pages()["chips.md"], "| cause |")
    assert [row[0] for row in table] == [f"`{cause.value}`" for cause in CAUSES]
    for (_, meaning, quality, response, advice), (cause, text) in zip(table, CAUSES.items(), strict=True):
        assert (meaning, response, advice) == text
        assert all(text), cause
        assert quality.startswith(quality_of(cause).name)


# -- write a scenario


def test_the_scenario_guide_names_every_key_figure_and_fault() -> None:
    for kind in (
        mission.MissionConfig, mission.InitialConfig, mission.StepConfig, mission.FaultConfig, mission.ExpectConfig,
        mission.LinkConfig, mission.GroundOrderConfig,
    ):
        for key in keys(kind):
            assert f"`{key}`" in SCENARIO, key
    assert figure_table() in SCENARIO, "copy the table of figures again"
    faults = SCENARIO.partition("## Faults")[2].partition("## Expectations")[0]
    kinds: dict[str, Any] = {name: parameters for name, (_, parameters) in hil.rig.FAULTS.items()}
    for name, parameters in (kinds | COMPUTER_FAULTS | GROUND_FAULTS).items():
        (row,) = [line for line in faults.splitlines() if f"`{name}`" in line[: max(0, line.find("|", 1))]]
        assert all(f"`{parameter}`" in row for parameter in parameters), name
    words = [kind.value for kind in (*FaultKind, *Recovery)] + list(mission.ATTACKS)
    for word in [*(f"`{word}`" for word in words), *(f"`{mode}`" for mode in Motion)]:
        assert word in SCENARIO, word


def test_the_guide_s_scenario_loads_with_its_further_faults(tmp_path: Path) -> None:
    scenario, faults, surroundings = blocks(SCENARIO, "yaml")
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
    path.write_text(scenario + "\n" + surroundings, encoding="utf-8")
    assert "tug" in [target.name for target in load_mission(str(path)).surroundings.targets]


def test_the_guide_s_ground_station_loads(tmp_path: Path) -> None:
    scenario = blocks(SCENARIO, "yaml")[0]
    section = SCENARIO.partition("## A ground station\n")[2].partition("\n| key |")[0]
    link = "\n".join(line[4:] for line in section.splitlines() if line.startswith("    "))
    path = tmp_path / "my-flight.yaml"
    path.write_text(scenario + "\n" + link + "\n", encoding="utf-8")
    loaded = load_mission(str(path)).link
    assert loaded is not None
    assert [order.attack for order in loaded.ground] == [None, None, "forge"]


def test_the_guide_s_refusal_is_the_real_one(tmp_path: Path) -> None:
    path = tmp_path / "my-flight.yaml"
    path.write_text(blocks(SCENARIO, "yaml")[0].replace("command: detumble", "command: detumbel"), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_mission(str(path))
    shown = re.search(r"^    my-flight.yaml:(.*), \.\.\.$", SCENARIO, re.MULTILINE)
    assert shown is not None
    assert str(refused.value).startswith(f"{path}:{shown.group(1)}")


# -- talk to a craft


def test_the_guide_s_mission_waits_for_orders(tmp_path: Path) -> None:
    path = tmp_path / "wait-for-orders.yaml"
    path.write_text(blocks(TALK, "yaml")[0], encoding="utf-8")
    assert load_mission(str(path)).steps[-1].stay_s > 3000


def test_the_guide_s_sequence_compiles_to_the_seal_it_shows() -> None:
    sequence = sequence_file.compile_yaml(blocks(TALK, "yaml")[1])
    assert f"    seal {sequence.seal}\n" in TALK
    assert f"    survey.qseq: {sequence.name}, {len(sequence.steps)} steps\n" in TALK


def test_the_guide_names_every_key_of_a_sequence_and_what_is_not_allowed_in_one() -> None:
    section = TALK.partition("## Sequences\n")[2].partition("\n## ")[0]
    named = [*inspect.signature(sequence_file.Step).parameters, "sequence", "on_refusal", "steps"]
    for word in [*named, *sequence_file.Wait, *sequence_file.OnRefusal, *sequence_file.NOT_IN_SEQUENCE]:
        assert f"`{word}`" in section, word
    assert f"1 to {sequence_file.MOST_STEPS} of them" in section


def test_the_campaign_guide_has_every_row_with_its_promise() -> None:
    guide = (GUIDE / "link-campaign.md").read_text(encoding="utf-8")
    for row in all_rows():
        assert f"| {row.number} | {row.name} | {row.promise.replace('|', '/')} | " in guide, "write the table anew"


def test_the_guide_names_every_role() -> None:
    for role in Authority:
        assert f"| `{role}` |" in TALK


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
    """The guide's driver and twin as modules, its wiring, and the names of its two tests."""
    driver, twin, wiring, driver_test, twin_test = blocks(CHIP, "python")
    names: dict[str, Any] = {"wiring": wiring}
    for name, source in (("drivers.tmp117", driver), ("hil.chips.tmp117", twin)):
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(source, name, "exec"), module.__dict__)
        names[name] = module
    for key, source in (("driver_test", driver_test), ("twin_test", twin_test)):
        names[key] = {}
        exec(compile(source, key, "exec"), names[key])
    return names


def run_tests(names: dict[str, Any]) -> int:
    """Run the tests of a module as pytest would; how many there were."""
    count = 0
    for name, test in names.items():
        if name.startswith("test_"):
            for arguments in parameters(test):
                test(*arguments)
                count += 1
    return count


def parameters(test: Any) -> Iterator[tuple[Any, ...]]:
    """Arguments of every case of a test."""
    marks = getattr(test, "pytestmark", [])
    if not marks:
        yield ()
        return
    (mark,) = marks
    one = isinstance(mark.args[0], str)
    for values in mark.args[1]:
        yield (values,) if one else tuple(values)


def test_the_guide_s_tests_of_the_guide_s_chip_pass(chip: dict[str, Any]) -> None:
    shown = [int(count) for count in re.findall(r"^    (\d+) passed$", CHIP, re.MULTILINE)]
    assert shown == [run_tests(chip["driver_test"]), run_tests(chip["twin_test"])]


def test_the_guide_s_driver_keeps_the_contract_of_every_driver(chip: dict[str, Any]) -> None:
    module = chip["drivers.tmp117"]
    assert independent(module)
    assert ":" in module.__doc__.split("\n")[0]
    for codec in module.CODECS:
        assert break_codec(codec, Random(codec.name), 2000)[2] is None
    for name in ("identify", "initialise", "acquire"):
        assert inspect.isgeneratorfunction(getattr(module.Device, name))
        assert getattr(module.Device, name).__doc__
    assert {name for name in module.__all__ if not hasattr(module, name)} == set()


def test_the_guide_s_chip_flies_on_the_rig(chip: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    table = dict(hil.parts.PARTS)
    names = {**vars(hil.parts), "Tmp117": chip["hil.chips.tmp117"].Tmp117, "PARTS": table}
    exec(compile(chip["wiring"], "guide", "exec"), names)
    monkeypatch.setattr(hil.rig, "PARTS", table)
    (line,) = blocks(CHIP, "yaml")
    (device,) = msgspec.yaml.decode(line, type=list[DeviceConfig])
    profile = load_profile("qiki-t", "qiki-rpi")
    board = msgspec.structs.replace(profile.board, devices=(*profile.board.devices, device))
    profile = profile._replace(board=board)
    rig = hil.rig.Rig(profile, InitialState(epoch=0, temperatures_c={"rcs_c01": -17.5}), 1)
    hardware = Hardware(profile, rig.buses)
    for tick in range(1, 801):
        rig.advance(tick * 5_000_000)
        hardware.sense(tick * 5_000_000)
    reading = hardware.sensors.temperatures(4_000_000_000)["rcs_c01"]
    assert reading.quality is Quality.OK
    assert reading.value == pytest.approx(rig.world.temperatures_c["rcs_c01"], abs=1.0)
    assert hardware.counters()["temp_c01"].failures == 0


def test_the_guide_s_board_line_fits_the_board_that_ships(chip: dict[str, Any], tmp_path: Path) -> None:
    shipped = (ROOT / "board_configs" / "boards" / "qiki-rpi.yaml").read_text(encoding="utf-8")
    path = tmp_path / "my-board.yaml"
    path.write_text(shipped.rstrip() + "\n  " + blocks(CHIP, "yaml")[0], encoding="utf-8")
    assert load_profile("qiki-t", str(path)).board.devices[-1].part == "tmp117"


def test_the_guide_s_bytes_decode_as_shown(chip: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert one_chip.decode("tmp117", "RESULT", "0c80", False) == 0
    assert f"    $ qiki chip tmp117 decode RESULT 0c80\n    {capsys.readouterr().out}" in CHIP
    with pytest.raises(bench.BenchError) as refused:
        one_chip.decode("tmp117", "RESULT", "8000", False)
    assert f"    qiki: {refused.value}\n          {refused.value.next_step}\n" in CHIP


def test_the_chip_guide_names_every_key_of_a_device() -> None:
    for key in [*keys(DeviceConfig), *keys(MountConfig)]:
        assert f"`{key}`" in CHIP, key


def test_the_chip_guide_says_what_every_role_takes() -> None:
    table = {row[0]: row for row in rows(CHIP, "| role | bus |")}
    assert set(table) == {f"`{role}`" for role in ROLE_BUSES}
    for role, kinds in ROLE_BUSES.items():
        sample = ROLE_SAMPLES.get(role)
        assert table[f"`{role}`"][1:3] == [" or ".join(kinds), "any" if sample is None else f"`{sample.__name__}`"]


def test_the_chip_guide_names_every_kind_of_proof() -> None:
    table = {row[0]: row[1] for row in rows(CHIP, "| kind in `ORACLES` |")}
    assert set(table) == {f"`{kind.name}`" for kind in OracleKind}


def test_the_chip_guide_s_files_exist_for_a_part_that_flies() -> None:
    for pattern in re.findall(r"`((?:drivers|hil|tests)/[^`]*<part>\.py)`", CHIP):
        assert (ROOT / pattern.replace("<part>", "tmp423")).is_file(), pattern
    for path in re.findall(r"`((?:drivers|hal|hil|firmware_py|tests)/[\w/]+\.\w+)`", CHIP):
        assert (ROOT / path).is_file() or "tmp117" in path, path


# -- connect a board


def test_the_board_guide_names_every_key_verdict_rung_and_state() -> None:
    for kind in (BusConfig, RecoveryConfig, LinesConfig):
        for key in keys(kind):
            assert f"`{key}`" in BOARD, key
    for word in [*Verdict, *(rung.value for rung in Rung), *(state.name.lower() for state in DeviceState)]:
        assert f"`{word}`" in BOARD, word
    rungs = [row[0] for row in rows(BOARD, "| rung |")]
    assert rungs == [f"`{rung.value}`" for rung in Rung]


def test_the_board_guide_lists_the_buses_of_the_reference_board() -> None:
    board = load_board("qiki-rpi")
    table = {row[0].strip("`"): row for row in rows(BOARD, "| bus of `qiki-rpi` |")}
    assert set(table) == set(board.buses)
    for name, bus in board.buses.items():
        assert table[name][1].strip("`").removesuffix(".*") == bus.device
    assert f"{len(board.devices)} of {len(board.devices)} devices answer" in BOARD


def test_the_board_guide_s_bus_is_one_that_the_schema_takes() -> None:
    shown = BOARD[BOARD.index("    i2c_b: {kind") :].partition("\n\n")[0]
    text = "\n".join(line.strip() for line in shown.splitlines())
    buses = msgspec.yaml.decode(text, type=dict[str, BusConfig])
    assert buses == {"i2c_b": load_board("qiki-rpi").buses["i2c_b"]}


def test_the_board_guide_s_probe_shows_what_the_real_one_finds(capsys: pytest.CaptureFixture[str]) -> None:
    bench.probe("qiki-rpi", True, None, 2.5, True)
    real = {finding["device"]: finding for finding in json.loads(capsys.readouterr().out)["findings"]}
    shown = BOARD.partition("$ qiki probe --rig\n")[2].partition("\n\n")[0]
    lines = re.findall(r"((?:\w+\.\d )?(?:0x[0-9a-f]{2})) +(\w+) +(\w+) +(answers|speaks) +(.+?)  ", shown)
    assert len(lines) >= 6
    for where, device, part, verdict, found in lines:
        finding = real[device]
        assert (finding["where"], finding["part"], finding["verdict"]) == (where, part, verdict)
        assert finding["found"].startswith(found)
    devices = [finding for finding in real.values() if finding["part"] is not None]
    assert f"{len(devices)} of {len(devices)} devices answer" in shown


def test_the_board_guide_s_registers_and_codecs_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert one_chip.decode("ina228", "VBUS", "217eb0", False) == 0
    assert one_chip.chip("bus_monitor", "read", "VBUS", None, "qiki-rpi", True, None, False, False) == 0
    assert one_chip.chip("bus_monitor", "write", "ADC_CONFIG", "f924", "qiki-rpi", True, None, True, False) == 0
    assert capsys.readouterr().out
