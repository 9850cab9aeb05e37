"""Composition map: counts by cell, strange things told once, memory fixed."""

from __future__ import annotations

import numpy as np

from drivers.samples import SpectrumSample
from firmware_py.perception.composition import CompositionConfig, CompositionMap
from firmware_py.perception.spectra import load_spectra
from tests.firmware_py.perception.test_spectra import sample
from tests.firmware_py.perception.track_columns import SECOND

TABLE = load_spectra()
ALL = np.full(3, -1e6), np.full(3, 1e6)
STRANGE = {"c1": 2000.0, "c6": 50.0}


def test_samples_are_counted_in_their_cells_by_class() -> None:
    chart = CompositionMap(TABLE)
    for k in range(4):
        chart.add(k * SECOND, sample("ice"), (5.0, 5.0, 5.0))
        chart.add(k * SECOND, sample("gold_foil"), (-35.0, 5.0, 5.0))
    region = chart.region(*ALL)
    assert region.centre_m.tolist() == [[-35.0, 5.0, 5.0], [5.0, 5.0, 5.0]]
    assert region.counts[:, TABLE.names.index("gold_foil")].tolist() == [4, 0]
    assert region.counts[:, TABLE.names.index("ice")].tolist() == [0, 4]
    assert region.samples.tolist() == [4, 4]
    assert len(chart.region(np.zeros(3), np.full(3, 9.0))) == 1
    assert chart.samples == 8


def test_what_fits_no_class_or_two_is_a_sample_of_none() -> None:
    chart = CompositionMap(TABLE, CompositionConfig(margin_sigmas=50.0))
    chart.add(0, sample("ice"), (5.0, 5.0, 5.0))
    chart.add(0, sample("grey", **STRANGE), (5.0, 5.0, 5.0))
    region = chart.region(*ALL)
    assert region.samples.tolist() == [2]
    assert not region.counts.any()
    assert region.mean_sigmas[0] > 2.0


def test_a_strange_surface_is_one_event_and_a_strange_sample_none() -> None:
    chart = CompositionMap(TABLE)
    hits = []
    for k in range(40):
        odd = k == 3 or k >= 20
        hits.append(chart.add(k * SECOND, sample("grey", **(STRANGE if odd else {})), (1.0, 2.0, 3.0)))
    told = [hit for hit in hits if hit is not None]
    assert len(told) == 1
    assert told[0].t_ns == 22 * SECOND
    assert (told[0].source, told[0].position_m) == ("spectrum", (1.0, 2.0, 3.0))
    assert told[0].sigmas > 5.0
    assert told[0].what in TABLE.names


def test_a_late_sample_counts_and_is_no_event() -> None:
    chart = CompositionMap(TABLE)
    chart.add(100 * SECOND, sample("ice"), (5.0, 5.0, 5.0))
    for k in range(10):
        assert chart.add(k * SECOND, sample("grey", **STRANGE), (5.0, 5.0, 5.0)) is None
    assert (chart.late, chart.samples) == (10, 11)


def test_bad_samples_and_places_are_refused_by_name() -> None:
    chart = CompositionMap(TABLE)
    chart.add(0, SpectrumSample((), (), 1.0, 1.0), (0.0, 0.0, 0.0))
    chart.add(0, sample("ice", 1.0), (0.0, 0.0, 0.0))
    chart.add(0, sample("ice"), (float("nan"), 0.0, 0.0))
    chart.add(0, sample("ice"), (1e5, 0.0, 0.0))
    chart.add(0, sample("ice", c0=float("nan")), (0.0, 0.0, 0.0))
    assert chart.refused == {"channels": 1, "dark": 1, "outside": 1, "position": 1}
    assert (chart.samples, chart.bad_channels) == (1, 1)


def test_the_map_rolls_and_does_not_grow() -> None:
    chart = CompositionMap(TABLE, CompositionConfig(shape=(8, 8, 8)))
    size = chart.nbytes
    for k in range(300):
        position = (k * 3.0, 0.0, 0.0)
        chart.follow(np.array(position))
        chart.add(k * SECOND, sample("ice"), position)
    region = chart.region(*ALL)
    assert chart.nbytes == size
    assert region.centre_m[:, 0].min() >= chart.box.low_m[0]
    assert 0 < len(region) <= 8
    assert (region.counts.sum(axis=1) == region.samples).all()
