"""The gate before all sensors: every reason to refuse a scan, by its name, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

from drivers.samples import FieldSample, LidarScan, RangeSample, TransponderReply, TransponderSample
from firmware_py.perception.scan_gate import MOST_REPLIES, ScanGate
from hal.profile import load_profile
from tests.firmware_py.perception.port_craft import NS, PROFILE, scan

REPLY = TransponderReply(5, "on", 60.0, 0.5, -60.0, True)
GOOD = scan("mag", NS, magnetic=FieldSample((1e-5, 0.0, 0.0)))


def round_of(*replies: TransponderReply, age_ns: int = 0) -> Any:
    return scan("transponder", NS, transponder=TransponderSample(1, len(replies), age_ns, True, replies))


@pytest.mark.parametrize("good", [
    GOOD, replace(GOOD, ingest_ns=NS + NS // 50), replace(GOOD, ingest_ns=0, pose_ns=0),
    scan("approach", NS, beam=RangeSample(None, None, None, "weak")), round_of(), round_of(REPLY),
    round_of(replace(REPLY, range_m=None)), scan("lidar", NS, lidar=LidarScan((), (), (), 60.0, 0)),
])
def test_what_is_sound_passes(good: Any) -> None:
    gate = ScanGate(PROFILE)
    assert gate.admit(good, NS)
    assert gate.counts == {}


@pytest.mark.parametrize(("bad", "why"), [
    (replace(GOOD, device="imu"), "unknown_sensor"), (replace(GOOD, device="nobody"), "unknown_sensor"),
    (replace(GOOD, magnetic=None), "wrong_kind"), (replace(GOOD, device="radar"), "wrong_kind"),
    (replace(GOOD, beam=RangeSample(1.0, 1.0, 1.0, "ok")), "wrong_kind"),
    (replace(GOOD, ingest_ns=NS + NS // 50 + 1), "future"), (replace(GOOD, ingest_ns=-1), "far_past"),
    (replace(GOOD, position_m=(0.0, nan, 0.0)), "pose"), (replace(GOOD, velocity_m_s=(inf, 0.0, 0.0)), "pose"),
    (replace(GOOD, rate_rad_s=(0.0, 0.0, nan)), "pose"), (replace(GOOD, quaternion=(2.0, 0.0, 0.0, 0.0)), "pose"),
    (replace(GOOD, quaternion=(nan, 0.0, 0.0, 0.0)), "pose"), (replace(GOOD, pose_ns=3 * NS), "pose"),
    (scan("lidar", NS, lidar=LidarScan((0.0,), (1.0,), (1,), inf, 0)), "not_finite"),
    (scan("lidar", NS, lidar=LidarScan((0.0, nan), (1.0, 1.0), (1, 1), 60.0, 0)), "not_finite"),
    (scan("lidar", NS, lidar=LidarScan((-1e9, 0.0), (1.0, 1.0), (1, 1), 60.0, 0)), "angle"),
    (round_of(REPLY, replace(REPLY, bearing_rad=nan)), "not_finite"),
    (round_of(replace(REPLY, range_m=inf)), "not_finite"),
    (round_of(replace(REPLY, range_m=-1.0)), "range"), (round_of(replace(REPLY, bearing_rad=99.0)), "angle"),
    (round_of(replace(REPLY, transponder_id=-1)), "identity"),
    (round_of(replace(REPLY, transponder_id=2**32)), "identity"),
    (round_of(REPLY, age_ns=-1), "far_past"), (round_of(REPLY, age_ns=2 * NS), "far_past"),
    (round_of(*[REPLY] * (MOST_REPLIES + 1)), "too_many"),
])
def test_what_is_not_is_refused_by_name_and_counted(bad: Any, why: str) -> None:
    gate = ScanGate(PROFILE)
    assert not gate.admit(bad, NS)
    assert not gate.admit(bad, NS)
    assert gate.counts == {why: 2}


def test_a_device_that_another_board_has_is_unknown() -> None:
    gate = ScanGate(load_profile("qiki-t", "bench-rpi"))
    assert gate.admit(GOOD, NS)
    assert not gate.admit(round_of(REPLY), NS)
