"""``qiki energy``: forecast and flight as tables, JSON and pictures; refusals that name what is allowed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from firmware_py.cli.energy_setup import read_lamps
from firmware_py.cli.main import app

SHORT = ("--hours", "0.3", "--temperature", "all=15", "--ambient", "15")


def qiki(*arguments: str):
    return CliRunner().invoke(app, ["energy", *arguments], env={"COLUMNS": "140"})


@pytest.mark.parametrize("command", [[], ["forecast"], ["fly"], ["faults"]])
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    shown = qiki(*command, "--help")
    assert shown.exit_code == 0
    assert "qiki energy" in shown.output or not command


def test_help_says_what_the_json_has() -> None:
    for command, key in (("forecast", "margin_wh"), ("fly", "unexplained_share")):
        assert key in qiki(command, "--help").output


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, firmware_py.cli.main; "
        "print([m for m in ('numpy', 'matplotlib', 'msgspec', 'hil.plant.world') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_forecast_has_charges_sheds_margins_flows_and_a_picture(tmp_path: Path) -> None:
    shown = qiki("forecast", "--altitude-km", "500", "--hours", "12", "--out", str(tmp_path))
    assert shown.exit_code == 1
    text = shown.stdout
    assert "94.6 min, 35.8 of them dark" in text
    assert re.search(r"lowest charge of the battery +\d+\.\d % at .+ +\d+\.\d % at", text)
    assert re.search(r"margin to load shedding +[-+]\d+ Wh +[-+]\d+ Wh", text)
    assert re.search(r"array +\d+\.\d\d +base +\d+\.\d\d", text)
    assert "does NOT hold" in text
    assert "->" in text
    with Image.open(tmp_path / "forecast.png") as picture:
        assert picture.width > 1000


def test_forecast_as_json_has_both_runs_and_closes(tmp_path: Path) -> None:
    shown = qiki("forecast", "--hours", "2", "--off", "nbl", "--off", "radar", "--json", "--out", str(tmp_path),
                 "--temperature", "all=15", "--ambient", "15", "--sigma", "0.02")
    assert shown.exit_code == 0
    found = json.loads(shown.stdout)
    assert found["holds"] is True
    nominal, low = found["nominal"], found["pessimistic"]
    assert low["min_soc_battery"] < nominal["min_soc_battery"] < 0.8
    assert nominal["margin_wh"] == pytest.approx(500.0 * (nominal["min_soc_battery"] - 0.2))
    assert sum(nominal["sources_wh"].values()) == pytest.approx(sum(nominal["consumers_wh"].values()))
    assert nominal["consumers_wh"]["radar"] == 0.0
    assert nominal["first_shed"] is None
    assert Path(found["plot"]).is_file()


def test_more_light_and_fewer_loads_make_a_better_day(tmp_path: Path) -> None:
    def lowest(*arguments: str) -> float:
        shown = qiki("forecast", "--hours", "3", "--json", "--out", str(tmp_path), *SHORT[2:], *arguments)
        return float(json.loads(shown.stdout)["nominal"]["min_soc_battery"])

    always = lowest("--lighting", "always")
    assert always > lowest("--altitude-km", "500") > lowest("--cosine", "-1")
    assert always > lowest("--cosine", "tumbling") > lowest("--cosine", "-1")
    assert lowest("--off", "radar") > always


def test_lamps_of_a_bench_come_from_a_file(tmp_path: Path) -> None:
    lamps = tmp_path / "lamps.csv"
    lamps.write_text("time_s,share\n# morning\n0,0\n600,1.0\n1800,0\n")
    assert read_lamps(lamps) == ((0.0, 0.0), (600.0, 1.0), (1800.0, 0.0))
    shown = qiki("forecast", "--lighting", str(lamps), "--hours", "1", "--json", "--out", str(tmp_path), *SHORT[2:])
    harvested = json.loads(shown.stdout)["nominal"]["sources_wh"]["array"]
    assert harvested == pytest.approx(38.1 * 900.0 / 3600.0, rel=0.06)


def test_fly_says_sources_loads_losses_and_what_is_unexplained(tmp_path: Path) -> None:
    shown = qiki("fly", *SHORT, "--fault", "panel=0@0.1+0.1", "--out", str(tmp_path))
    assert shown.exit_code == 0, shown.output
    text = shown.stdout
    assert re.search(r"sources = loads \+ losses \+ stored +unexplained \d\S* %", text)
    assert "books closed, bus on" in text
    assert re.search(r"battery +80 % +supercap", text)
    with Image.open(tmp_path / "flows.png") as picture:
        assert picture.width > 1000


def test_fly_as_json_closes_and_repeats_with_its_seed(tmp_path: Path) -> None:
    runs = [qiki("fly", *SHORT, "--seed", "7", "--json", "--out", str(tmp_path)) for _ in range(2)]
    assert runs[0].stdout == runs[1].stdout
    found = json.loads(runs[0].stdout)
    spent = sum(found["consumers_wh"].values()) + sum(found["losses_wh"].values()) + found["stored_wh"]
    assert sum(found["sources_wh"].values()) == pytest.approx(spent)
    assert found["unexplained_share"] < 1e-3
    assert found["under_voltage_s"] == 0.0
    assert found["seed"] == 7


def test_a_flight_that_goes_dark_says_so_and_exits_with_1(tmp_path: Path) -> None:
    shown = qiki("fly", *SHORT, "--soc", "0.005", "--cosine", "-1", "--json", "--out", str(tmp_path))
    assert shown.exit_code == 1
    found = json.loads(shown.stdout)
    assert found["holds"] is False
    assert "bus was off" in found["verdict"]
    assert found["bus_off_h"] > 0.1
    assert found["on_board_share"] is None


def test_faults_are_listed_with_what_they_do() -> None:
    listed = qiki("faults").stdout
    assert re.search(r"short:LOAD=60 +W", listed)
    assert "panel=0" in listed


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["forecast", "--body", "no-such"], "shipped"),
        (["forecast", "--soc", "1.5"], "0..1 is allowed"),
        (["forecast", "--soc-cap", "nan"], "0..1 is allowed"),
        (["forecast", "--hours", "0"], "above 0"),
        (["forecast", "--altitude-km", "5"], "100..400000"),
        (["forecast", "--altitude-km", "500", "--beta-deg", "95"], "-90..90"),
        (["forecast", "--altitude-km", "500", "--lighting", "always"], "contradict"),
        (["forecast", "--lighting", "no-such.csv"], "share of full Sun"),
        (["forecast", "--cosine", "2"], "'tumbling' is allowed"),
        (["forecast", "--off", "base"], "loads: processor"),
        (["forecast", "--sigma", "0.9"], "0..0.5"),
        (["forecast", "--ambient", "500"], "-120..160"),
        (["fly", "--temperature", "moon=1"], "node=C"),
        (["fly", "--temperature", "core=hot"], "node=C"),
        (["fly", "--fault", "fire@1"], "there are panel"),
        (["fly", "--fault", "short@1"], "needs a load"),
        (["fly", "--step", "9"], "--step is 9; 0.5..2 s"),
        (["fly", "--hours", "1", "--fault", "panel=0@2"], "after the end of the flight"),
        (["fly", "--body", "bench-12kg", "--fault", "wing0@0"], "no solar array"),
        (["forecast", "--beta-deg", "30"], "give --altitude-km too"),
        (["fly", "--phase-deg", "nan"], "give --altitude-km too"),
    ],
)
def test_bad_input_is_refused_with_what_is_allowed_and_exit_code_2(arguments: list[str], words: str) -> None:
    refused = qiki(*arguments)
    assert refused.exit_code == 2
    assert words in refused.stderr


@pytest.mark.parametrize(("text", "words"), [("0,1\n5,x\n", "line 2"), ("0,1\n0,0\n", "rise"), ("0,-1\n", "allowed")])
def test_a_lighting_file_that_cannot_be_is_refused_with_file_and_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "lamps.csv"
    path.write_text(text)
    refused = qiki("forecast", "--lighting", str(path))
    assert refused.exit_code == 2
    assert "lamps.csv" in refused.stderr
    assert words in refused.stderr


@pytest.mark.parametrize("command", ["forecast", "fly"])
def test_lamps_and_an_orbit_contradict_each_other(tmp_path: Path, command: str) -> None:
    lamps = tmp_path / "lamps.csv"
    lamps.write_text("0,1\n600,0\n")
    refused = qiki(command, *SHORT, "--lighting", str(lamps), "--altitude-km", "500", "--out", str(tmp_path))
    assert refused.exit_code == 2
    assert "contradict" in refused.stderr


@pytest.mark.parametrize("command", ["forecast", "fly"])
def test_a_folder_that_cannot_be_made_is_named_before_anything_is_flown(tmp_path: Path, command: str) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    refused = qiki(command, "--hours", "1", "--out", str(blocker / "deeper"))
    assert refused.exit_code == 2
    assert "--out" in refused.stderr
    assert not refused.stdout


def test_a_flight_that_comes_into_safe_does_not_hold(tmp_path: Path) -> None:
    shown = qiki("fly", *SHORT, "--soc", "0.102", "--cosine", "-1", "--off", "radar", "--off", "transponder", "--json",
                 "--out", str(tmp_path))
    assert shown.exit_code == 1
    assert "SAFE" in json.loads(shown.stdout)["verdict"]
