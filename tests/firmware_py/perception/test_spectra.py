"""Reference spectra: the file that ships, what is refused, and how samples are matched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from drivers.as7341 import CHANNELS
from drivers.samples import SpectrumSample
from firmware_py.perception.spectra import find_spectra, load_spectra
from hal.profile.loader import ConfigError

TABLE = load_spectra()
FILE = yaml.safe_load(find_spectra().read_text(encoding="utf-8"))


def sample(kind: str, brightness: float = 1000.0, **missing: float | None) -> SpectrumSample:
    """What the sensor counts on a surface of a class; channels by their number may be replaced."""
    reflectance = next(c["reflectance"] for c in FILE["classes"] if c["name"] == kind)
    counts: list[float | None] = [brightness * r * w for r, w in zip(reflectance, FILE["white"], strict=True)]
    for key, value in missing.items():
        counts[int(key.removeprefix("c"))] = value
    return SpectrumSample(tuple(FILE["channels"]), tuple(counts), 64.0, 0.18)


def test_the_file_that_ships_is_of_the_sensors_channels_and_says_what_it_is() -> None:
    assert TABLE.channels == CHANNELS
    assert all("synthetic" in c["source"] for c in FILE["classes"])


@pytest.mark.parametrize("name", TABLE.names)
@pytest.mark.parametrize("brightness", [50.0, 1e6])
def test_every_class_is_found_at_any_brightness(name: str, brightness: float) -> None:
    match = TABLE.match(sample(name, brightness))
    assert TABLE.names[match.nearest] == name
    assert match.sigmas == pytest.approx(0.0, abs=1e-9)
    assert match.second_sigmas > 2.0


@pytest.mark.parametrize("name", TABLE.names)
def test_saturated_channels_are_missing_and_not_bright(name: str) -> None:
    match = TABLE.match(sample(name, c8=None, c9=None, c4=None))
    assert TABLE.names[match.nearest] == name
    assert match.sigmas == pytest.approx(0.0, abs=1e-9)


def test_noise_alone_leaves_about_one_sigma() -> None:
    rng = np.random.default_rng(1)
    left = []
    for _ in range(300):
        clean = sample("silicate")
        counts = tuple(c * (1.0 + 0.03 * rng.normal()) for c in clean.basic_counts_s if c is not None)
        left.append(TABLE.match(SpectrumSample(clean.channels, counts, 1.0, 1.0)).sigmas)
    assert 0.7 < float(np.mean(left)) < 1.1
    assert max(left) < 3.0


def test_what_no_class_explains_is_far_from_all() -> None:
    assert TABLE.match(sample("grey", c1=2000.0, c6=50.0)).sigmas > 5.0


def test_too_few_channels_darkness_and_bad_numbers_are_told() -> None:
    few = {f"c{k}": None for k in range(6)}
    assert TABLE.match(sample("grey", **few)).refused == "channels"
    assert TABLE.match(sample("grey", 1.0)).refused == "dark"
    odd = TABLE.match(sample("grey", c0=float("nan"), c1=-5.0))
    assert (odd.refused, odd.bad) == ("", 2)
    assert TABLE.match(SpectrumSample((), (), 1.0, 1.0)).refused == "channels"
    other = TABLE.match(SpectrumSample(("ultraviolet",), (1e9,), 1.0, 1.0))
    assert other.refused == "channels"


def test_channels_are_found_by_name_in_any_order() -> None:
    there = sample("ice")
    turned = SpectrumSample(there.channels[::-1], there.basic_counts_s[::-1], 1.0, 1.0)
    assert TABLE.match(turned) == TABLE.match(there)


@pytest.mark.parametrize(("change", "key"), [
    (lambda f: f["classes"][1].update(name="grey"), "classes[1].name"),
    (lambda f: f["classes"][0]["reflectance"].pop(), "classes[0].reflectance"),
    (lambda f: f["white"].append(1.0), "white"),
    (lambda f: f["channels"].__setitem__(1, "415 nm"), "channels"),
    (lambda f: f["classes"][2].update(reflectance=[2.0 * r for r in f["classes"][0]["reflectance"]]), "reflectance"),
    (lambda f: f["classes"][0]["reflectance"].__setitem__(0, 0.0), "classes[0].reflectance[0]"),
    (lambda f: f["classes"][0].update(colour="red"), "classes[0].colour"),
    (lambda f: f["white"].__setitem__(0, float("nan")), "white[0]"),
    (lambda f: f.update(classes=[]), "classes"),
    (lambda f: f.update(schema_version=2), "schema_version"),
])
def test_a_bad_file_is_refused_with_line_and_key(tmp_path: Path, change: object, key: str) -> None:
    file = yaml.safe_load(find_spectra().read_text(encoding="utf-8"))
    change(file)  # type: ignore[operator]
    path = tmp_path / "spectra.yaml"
    path.write_text(yaml.safe_dump(file), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_spectra(path)
    assert key in refused.value.key
    assert refused.value.line is not None
