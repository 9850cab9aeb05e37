"""Gas times by the plans sent: latency, spans across windows, burns that go on, and cuts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_py.gnc.pulse_timeline import EDGE_S, PulseTimeline
from hal.propulsion import PulsePlan

LATENCY, SHORTEST = 0.002, 0.030


def plan(**bursts: tuple[int, int]) -> PulsePlan:
    """Bursts of the nozzles a, b, c."""
    times = [bursts.get(name, (0, 0)) for name in "abc"]
    return PulsePlan(250, tuple(t[0] for t in times), tuple(t[1] for t in times))


def timeline() -> PulseTimeline:
    return PulseTimeline(3, LATENCY, SHORTEST)


def test_gas_follows_the_plan_by_the_latency() -> None:
    line = timeline()
    line.start(0.0, plan(a=(110, 140)))
    assert line.between(0.100, 0.111).on_s[0] == pytest.approx(0.0)
    span = line.between(0.111, 0.143)
    assert span.on_s.tolist() == pytest.approx([0.030, 0.0, 0.0])
    assert span.edges[:, 0].all()
    assert line.between(0.143, 0.2).on_s[0] == pytest.approx(0.0)


def test_push_late_in_a_span_counts_little_in_its_mean() -> None:
    line = timeline()
    line.start(0.0, plan(a=(0, 50), b=(8, 18)))
    span = line.between(0.010, 0.020)
    assert span.mean_s[0] == pytest.approx(0.005)
    assert span.mean_s[1] == pytest.approx(0.005)
    late = timeline()
    late.start(0.0, plan(a=(16, 60)))
    assert late.between(0.010, 0.020).mean_s[0] == pytest.approx(0.5 * 0.002**2 / 0.010)


@given(opens=st.integers(0, 200), length=st.integers(30, 50), step=st.integers(3, 30))
def test_spans_add_up_to_the_pulse(opens: int, length: int, step: int) -> None:
    line = timeline()
    line.start(0.0, plan(b=(opens, opens + length)))
    total, starts, ends = 0.0, 0, 0
    for k in range(300 // step + 1):
        span = line.between(k * step * 1e-3, (k + 1) * step * 1e-3)
        total += float(span.on_s[1])
        starts, ends = starts + int(span.edges[0, 1]), ends + int(span.edges[1, 1])
    assert total == pytest.approx(length * 1e-3)
    assert (starts, ends) == (1, 1)


def test_a_burn_that_goes_on_has_no_edge_where_windows_meet() -> None:
    line = timeline()
    line.start(0.0, plan(a=(100, 250)))
    line.between(0.0, 0.225)
    line.start(0.250, plan(a=(0, 250)))
    span = line.between(0.240, 0.265)
    assert span.on_s[0] == pytest.approx(0.025)
    assert not span.edges.any()
    assert not span.variance_s2.any()


def test_a_cut_takes_away_what_has_not_begun_and_leaves_the_shortest_pulse_unsure() -> None:
    line = timeline()
    line.start(0.0, plan(a=(90, 150), b=(120, 160), c=(20, 200)))
    line.between(0.0, 0.100)
    line.start(0.100, plan(c=(0, 60)))
    span = line.between(0.102, 0.127)
    # a may run on to 122 ms, b never opens, c goes on.
    assert span.on_s.tolist() == pytest.approx([0.0, 0.0, 0.025])
    assert span.variance_s2[0] >= 0.020**2
    assert span.variance_s2[1] <= 2.0 * EDGE_S**2
    assert span.variance_s2[2] == 0.0
    assert line.between(0.127, 0.300).on_s.tolist() == pytest.approx([0.0, 0.0, 0.035])
    assert not line.between(0.300, 0.325).variance_s2.any()


def test_cuts_in_quick_succession_keep_what_the_first_left_unsure() -> None:
    line = timeline()
    line.start(0.0, plan(a=(0, 100)))
    line.start(0.005, plan())
    line.start(0.010, plan(b=(0, 50)))
    span = line.between(0.010, 0.032)
    assert np.sqrt(span.variance_s2[0]) >= 0.015
    assert span.on_s[1] == pytest.approx(0.020)
