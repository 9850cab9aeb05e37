"""ARS408 radar: the distributor's signal database bit by bit, whole and cut scans, silence while the radar is ill."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import ars408
from drivers.ars408 import Device, OutputType, Settings, SortIndex
from drivers.bus.protocol import CanFrame
from drivers.configuration_watch import STATES_TO_OBEY
from drivers.errors import Cause, DeviceError
from drivers.samples import RadarScan
from tests.drivers.scripted import CanPort, cause_of, error_of, published

STATE_WELL = bytes.fromhex("4018800010040000")
"""NVM read, 196 m, sorted by range, objects, standard power."""
OBJECT = bytes.fromhex("0750b3e780202090")

# Facts of ARS408_can_database_ch0: start bit (of the most significant bit) | length @ big endian (factor, offset).
DBC: dict[str, dict[str, tuple[int, int, float, float]]] = {
    "RadarState": {
        "Voltage_Error": (17, 1, 1, 0), "Temporary_Error": (18, 1, 1, 0), "Temperature_Error": (19, 1, 1, 0),
        "Interference": (20, 1, 1, 0), "Persistent_Error": (21, 1, 1, 0), "SortIndex": (38, 3, 1, 0),
        "RCS_Threshold": (60, 3, 1, 0), "CtrlRelayCfg": (41, 1, 1, 0), "SendQualityCfg": (44, 1, 1, 0),
        "SendExtInfoCfg": (45, 1, 1, 0), "MotionRxState": (47, 2, 1, 0), "SensorID": (34, 3, 1, 0),
        "OutputTypeCfg": (43, 2, 1, 0), "RadarPowerCfg": (25, 3, 1, 0), "NVMReadStatus": (6, 1, 1, 0),
        "NVMwriteStatus": (7, 1, 1, 0), "MaxDistanceCfg": (15, 10, 2, 0),
    },
    "RadarConfiguration": {
        "RCS_Threshold_Valid": (48, 1, 1, 0), "RCS_Threshold": (51, 3, 1, 0), "StoreInNVM_valid": (7, 1, 1, 0),
        "SortIndex_valid": (6, 1, 1, 0), "SortIndex": (46, 3, 1, 0), "StoreInNVM": (47, 1, 1, 0),
        "SendExtInfo_valid": (5, 1, 1, 0), "SendExtInfo": (43, 1, 1, 0), "CtrlRelay_valid": (40, 1, 1, 0),
        "CtrlRelay": (41, 1, 1, 0), "SendQuality_valid": (4, 1, 1, 0), "SendQuality": (42, 1, 1, 0),
        "MaxDistance_valid": (0, 1, 1, 0), "RadarPower_valid": (2, 1, 1, 0), "OutputType_valid": (3, 1, 1, 0),
        "SensorID_valid": (1, 1, 1, 0), "MaxDistance": (15, 10, 2, 0), "RadarPower": (39, 3, 1, 0),
        "OutputType": (36, 2, 1, 0), "SensorID": (34, 3, 1, 0),
    },
    "Obj_0_Status": {"NofObjects": (7, 8, 1, 0), "MeasCounter": (15, 16, 1, 0), "InterfaceVersion": (31, 4, 1, 0)},
    "Obj_1_General": {
        "DynProp": (50, 3, 1, 0), "RCS": (63, 8, 0.5, -64), "VrelLat": (45, 9, 0.25, -64), "ID": (7, 8, 1, 0),
        "DistLong": (15, 13, 0.2, -500), "VrelLong": (39, 10, 0.25, -128), "DistLat": (18, 11, 0.2, -204.6),
    },
    "Obj_2_Quality": {
        "ProbOfExist": (55, 3, 1, 0), "MeasState": (52, 3, 1, 0), "VrelLong_rms": (21, 5, 1, 0),
        "VrelLat_rms": (16, 5, 1, 0), "DistLong_rms": (15, 5, 1, 0), "DistLat_rms": (10, 5, 1, 0), "ID": (7, 8, 1, 0),
    },
    "Obj_3_Extended": {
        "Class": (26, 3, 1, 0), "ArelLat": (20, 9, 0.01, -2.5), "ID": (7, 8, 1, 0),
        "OrientationAngle": (39, 10, 0.4, -180), "Width": (63, 8, 0.2, 0), "Length": (55, 8, 0.2, 0),
        "ArelLong": (15, 11, 0.01, -10),
    },
    "VersionID": {
        "ExtendedRange": (25, 1, 1, 0), "CountryCode": (24, 1, 1, 0), "MajorRelease": (7, 8, 1, 0),
        "MinorRelease": (15, 8, 1, 0), "PatchLevel": (23, 8, 1, 0),
    },
}
DISTANCE_RMS = {
    30: 10.0, 29: 7.762, 28: 6.025, 27: 4.676, 26: 3.630, 25: 2.817, 24: 2.187, 23: 1.697, 22: 1.317, 21: 1.023,
    20: 0.794, 19: 0.616, 18: 0.478, 17: 0.371, 16: 0.288, 15: 0.224, 14: 0.174, 13: 0.135, 12: 0.105, 11: 0.081,
    10: 0.063, 9: 0.049, 8: 0.038, 7: 0.029, 6: 0.023, 5: 0.018, 4: 0.014, 3: 0.011, 2: 0.008, 1: 0.006, 0: 0.005,
}
"""Its value table of standard deviations, m or m/s."""


def decode(message: str, data: bytes) -> dict[str, float]:
    """All signals of a message, bit by bit: down within a byte, then on at the top of the next."""
    values = {}
    for name, (start, length, factor, offset) in DBC[message].items():
        bit, raw = start, 0
        for _ in range(length):
            raw = raw << 1 | data[bit // 8] >> bit % 8 & 1
            bit = bit + 15 if bit % 8 == 0 else bit - 1
        values[name] = raw * factor + offset
    return values


class Radar:
    """A driver with helpers that speak like the radar."""

    def __init__(self, sensor: int = 0, **changes: int | str | bool) -> None:
        self.bus = CanPort()
        self.base = sensor * 0x10
        self.device = Device(self.bus, sensor, msgspec.convert(changes, Settings))
        self.now_ns = 0

    def say(self, can_id: int, data: bytes) -> RadarScan | None:
        self.now_ns += 1_000_000
        return self.device.take(CanFrame(can_id + self.base, data), self.now_ns)

    def header(self, count: int, counter: int) -> RadarScan | None:
        return self.say(0x60A, bytes((count,)) + counter.to_bytes(2, "big") + b"\x10")

    def object(self, object_id: int) -> RadarScan | None:
        return self.say(0x60B, bytes((object_id,)) + OBJECT[1:])


def ids(scan: RadarScan | None) -> list[int]:
    assert scan is not None
    return [found.object_id for found in scan.objects]


def test_every_published_example(shared_data: Path) -> None:
    fields = {"DistLong": "x_m", "DistLat": "y_m", "VrelLong": "vx_m_s", "VrelLat": "vy_m_s", "RCS": "rcs_dbsm"}
    rows = published(shared_data, "ARS408-21")
    assert len(rows) == 8
    for row in rows:
        data = bytes.fromhex(row["bytes"])
        if row["registers"] == "0x200 RadarCfg":
            assert row["expected"] == "output = objects"
            assert ars408.encode_configuration(output=OutputType.OBJECTS) == data
        else:
            field = fields[row["registers"].split()[1]]
            assert getattr(ars408.object_general(data), field) == pytest.approx(float(row["expected"])), row


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.binary(min_size=8, max_size=8))
def test_every_signal_is_where_the_database_says(data: bytes) -> None:
    signals = decode("RadarState", data)
    if data != b"\xff" * 8:
        state = ars408.radar_state(data)
        names = {
            "persistent error": "Persistent_Error", "interference": "Interference",
            "temperature error": "Temperature_Error", "temporary error": "Temporary_Error",
            "voltage error": "Voltage_Error",
        }
        assert set(state.faults) == {word for word, name in names.items() if signals[name]}
        assert state[1:] == (
            signals["SensorID"], signals["MaxDistanceCfg"], signals["RadarPowerCfg"], signals["OutputTypeCfg"],
            signals["SortIndex"], signals["SendQualityCfg"], signals["SendExtInfoCfg"], signals["CtrlRelayCfg"],
            signals["MotionRxState"], signals["RCS_Threshold"] == 1, signals["NVMReadStatus"],
            signals["NVMwriteStatus"],
        )
    signals = decode("Obj_0_Status", data)
    if signals["NofObjects"] <= 100:
        assert ars408.list_header(data[:4]) == (
            signals["NofObjects"], signals["MeasCounter"], signals["InterfaceVersion"]
        )
    signals = decode("VersionID", data)
    if data[:3] not in (bytes(3), b"\xff" * 3):
        assert ars408.version(data[:4]) == (
            signals["MajorRelease"], signals["MinorRelease"], signals["PatchLevel"], signals["ExtendedRange"],
            signals["CountryCode"],
        )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.binary(min_size=8, max_size=8))
def test_every_object_signal_is_where_the_database_says(data: bytes) -> None:
    words = (
        "Moving", "Stationary", "Oncoming", "Stationary candidate", "Unknown", "Crossing stationary", "Crossing moving",
        "Stopped",
    )
    signals = decode("Obj_1_General", data)
    ends = (-500.0, 1138.2, -204.6, 204.8, -128.0, 127.75, -64.0, 63.75)
    values = (signals["DistLong"], signals["DistLat"], signals["VrelLong"], signals["VrelLat"])
    at_end = any(
        value == pytest.approx(end) for value, pair in zip(values, zip(*[iter(ends)] * 2, strict=True), strict=True)
        for end in pair
    )
    if at_end:
        assert cause_of(ars408.object_general, data) is Cause.IMPLAUSIBLE
    else:
        found = ars408.object_general(data)
        assert (found.x_m, found.y_m, found.vx_m_s, found.vy_m_s) == pytest.approx(values)
        assert (found.object_id, found.rcs_dbsm) == (signals["ID"], signals["RCS"])
        assert found.moving == words[int(signals["DynProp"])].lower()
    signals = decode("Obj_2_Quality", data)
    if signals["MeasState"] <= 5:
        quality = ars408.object_quality(data[:7])
        for value, name in (
            (quality.long_rms_m, "DistLong_rms"), (quality.lat_rms_m, "DistLat_rms"),
            (quality.vlong_rms_m_s, "VrelLong_rms"), (quality.vlat_rms_m_s, "VrelLat_rms"),
        ):
            expected = DISTANCE_RMS.get(int(signals[name]))
            assert value == (None if expected is None else pytest.approx(expected, abs=0.0006)), name
        steps = (None, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0)
        assert (quality.object_id, quality.existence) == (signals["ID"], steps[int(signals["ProbOfExist"])])
    signals = decode("Obj_3_Extended", data)
    if signals["OrientationAngle"] <= 180.0 and signals["Class"] < 7:
        extended = ars408.object_extended(data)
        assert extended.object_id == signals["ID"]
        assert (
            extended.ax_m_s2, extended.ay_m_s2, extended.orientation_deg, extended.length_m, extended.width_m
        ) == pytest.approx((
            signals["ArelLong"], signals["ArelLat"], signals["OrientationAngle"], signals["Length"], signals["Width"],
        ))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    distance=st.none() | st.integers(0, 1023).map(lambda half: 2 * half), sensor=st.none() | st.integers(0, 7),
    power=st.none() | st.integers(0, 3), output=st.none() | st.sampled_from(OutputType),
    sort=st.none() | st.sampled_from(SortIndex), quality=st.none() | st.booleans(), extended=st.none() | st.booleans(),
    store=st.none() | st.booleans(), relay=st.none() | st.booleans(), sensitive=st.none() | st.booleans(),
)
def test_a_configuration_frame_sets_what_was_given_and_nothing_else(
    distance: int | None, sensor: int | None, power: int | None, output: OutputType | None, sort: SortIndex | None,
    quality: bool | None, extended: bool | None, store: bool | None, relay: bool | None, sensitive: bool | None,
) -> None:
    data = ars408.encode_configuration(
        max_distance_m=distance, sensor_id=sensor, power=power, output=output, quality=quality, extended=extended,
        sort=sort, store=store, relay=relay, high_sensitivity=sensitive,
    )
    signals = decode("RadarConfiguration", data)
    for name, value, valid in (
        ("MaxDistance", distance, "MaxDistance_valid"), ("SensorID", sensor, "SensorID_valid"),
        ("RadarPower", power, "RadarPower_valid"), ("OutputType", output, "OutputType_valid"),
        ("SendQuality", quality, "SendQuality_valid"), ("SendExtInfo", extended, "SendExtInfo_valid"),
        ("SortIndex", sort, "SortIndex_valid"), ("StoreInNVM", store, "StoreInNVM_valid"),
        ("CtrlRelay", relay, "CtrlRelay_valid"), ("RCS_Threshold", sensitive, "RCS_Threshold_Valid"),
    ):
        assert signals[valid] == (value is not None), name
        assert signals[name] == (value or 0), name


@pytest.mark.parametrize("changes", [{"max_distance_m": 2048}, {"sensor_id": 8}, {"power": 4}])
def test_a_value_that_its_bits_cannot_carry_is_the_caller_s_error(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="is not in"):
        ars408.encode_configuration(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("decoder", "data", "cause"), [
    (ars408.list_header, b"\x00\x00", Cause.SHORT_READ), (ars408.list_header, b"\xff" * 4, Cause.IMPLAUSIBLE),
    (ars408.list_header, b"\x65\x00\x01\x10", Cause.IMPLAUSIBLE),
    (ars408.object_general, bytes(7), Cause.SHORT_READ), (ars408.object_general, bytes(8), Cause.IMPLAUSIBLE),
    (ars408.object_general, b"\xff" * 8, Cause.IMPLAUSIBLE),
    (ars408.object_quality, bytes(8), Cause.SHORT_READ), (ars408.object_quality, b"\xff" * 7, Cause.IMPLAUSIBLE),
    (ars408.object_extended, bytes(9), Cause.SHORT_READ), (ars408.object_extended, b"\xff" * 8, Cause.IMPLAUSIBLE),
    (ars408.radar_state, b"", Cause.SHORT_READ), (ars408.radar_state, b"\xff" * 8, Cause.IMPLAUSIBLE),
    (ars408.version, b"\x04", Cause.SHORT_READ), (ars408.version, bytes(4), Cause.IMPLAUSIBLE),
    (ars408.version, b"\xff" * 4, Cause.IMPLAUSIBLE),
])
def test_what_the_radar_cannot_say_is_refused(decoder: Callable[[bytes], object], data: bytes, cause: Cause) -> None:
    assert cause_of(decoder, data) is cause


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.binary(max_size=12))
def test_no_bytes_raise_anything_but_a_device_error(data: bytes) -> None:
    for codec in ars408.CODECS:
        for sized in (data, data.ljust(8, b"\x01")[: codec.length or 4]):
            try:
                codec.decode(sized)
            except DeviceError:
                continue


@settings(max_examples=150, deadline=None, derandomize=True)
@given(frames=st.lists(st.tuples(st.sampled_from([0x201, 0x60A, 0x60B, 0x60C, 0x60D, 0x700]), st.binary(max_size=8))))
def test_no_frames_raise_anything_but_a_device_error_and_no_scan_holds_more_than_announced(
    frames: list[tuple[int, bytes]]
) -> None:
    radar = Radar(quality=True, extended=True)
    for can_id, data in frames:
        try:
            scan = radar.say(can_id, data)
        except DeviceError:
            continue
        assert scan is None or len(scan.objects) <= scan.announced


# -- scans


def test_a_scan_is_whole_with_its_last_object() -> None:
    radar = Radar()
    assert radar.header(2, 0x1234) is None
    assert radar.object(7) is None
    scan = radar.object(9)
    assert scan is not None
    assert (scan.counter, scan.announced, ids(scan)) == (0x1234, 2, [7, 9])
    assert (scan.objects[0].x_m, scan.objects[0].y_m) == (pytest.approx(16.4), pytest.approx(-4.8))
    assert (radar.device.counters.scans, radar.device.counters.short) == (1, 0)


def test_an_empty_cycle_is_a_scan_without_objects() -> None:
    assert Radar().header(0, 5) == RadarScan(5, 0, ())


def test_a_cut_scan_is_handed_out_when_the_next_begins() -> None:
    radar = Radar()
    radar.header(3, 1)
    radar.object(4)
    cut = radar.header(1, 2)
    assert cut is not None
    assert (cut.counter, cut.announced, ids(cut)) == (1, 3, [4])
    assert ids(radar.object(5)) == [5]
    assert (radar.device.counters.scans, radar.device.counters.short) == (2, 1)


def test_an_empty_cycle_after_a_cut_one_is_not_lost() -> None:
    radar = Radar()
    radar.header(3, 1)
    radar.object(4)
    assert ids(radar.header(0, 2)) == [4]
    assert radar.header(1, 3) == RadarScan(2, 0, ())
    assert ids(radar.object(5)) == [5]
    radar.header(3, 4)
    radar.object(4)
    assert ids(radar.header(0, 5)) == [4]
    assert radar.header(0, 6) == RadarScan(6, 0, ())  # newer than the empty one that waited
    assert radar.header(2, 7) is None


def test_objects_without_a_header_or_beyond_the_announced_number_belong_to_no_scan() -> None:
    radar = Radar()
    assert radar.object(1) is None
    radar.header(1, 1)
    assert ids(radar.object(2)) == [2]
    assert radar.object(3) is None
    assert radar.device.counters.stray == 2


def test_a_refused_or_repeated_object_leaves_the_scan_short() -> None:
    radar = Radar()
    radar.header(3, 1)
    radar.object(1)
    assert cause_of(radar.say, 0x60B, bytes(8)) is Cause.IMPLAUSIBLE
    assert "twice" in error_of(radar.object, 1).detail
    assert ids(radar.header(0, 2)) == [1]
    assert (radar.device.counters.refused, radar.device.counters.short) == (2, 1)


def test_after_a_refused_header_no_object_is_taken_for_one_of_the_scan_before() -> None:
    radar = Radar()
    radar.header(2, 1)
    radar.object(1)
    assert cause_of(radar.say, 0x60A, b"\xff" * 4) is Cause.IMPLAUSIBLE
    assert radar.object(2) is None
    assert radar.device.counters.stray == 1
    assert radar.header(1, 2) is None
    assert ids(radar.object(3)) == [3]


def test_a_sensor_listens_to_its_own_ids() -> None:
    radar = Radar(sensor=2, quality=True, extended=True)
    assert set(radar.device.can_ids) == {0x221, 0x62A, 0x62B, 0x62C, 0x62D, 0x720}
    assert set(Radar().device.can_ids) == {0x201, 0x60A, 0x60B, 0x700}
    radar.header(1, 1)
    assert ids(radar.object(3)) == [3]
    assert cause_of(radar.device.take, CanFrame(0x60A, b"\x01\x00\x01\x10"), 0) is Cause.PROTOCOL
    assert cause_of(radar.device.take, CanFrame(0x62A, b"\x01\x00\x01\x10", True), 0) is Cause.PROTOCOL
    with pytest.raises(ValueError, match="sensor id 8"):
        Device(CanPort(), 8, Settings())


def test_quality_and_extension_are_kept_for_the_running_cycle() -> None:
    radar = Radar(quality=True, extended=True)
    radar.header(1, 1)
    radar.object(3)
    radar.say(0x60C, b"\x03" + bytes(5) + b"\xe8")
    radar.say(0x60D, bytes.fromhex("037d1fa170801419"))
    assert (radar.device.quality[3].existence, radar.device.quality[3].state) == (1.0, "measured")
    extended = radar.device.extended[3]
    assert (extended.object_class, extended.length_m, extended.width_m) == ("car", 4.0, 5.0)
    assert extended.ax_m_s2 == pytest.approx(0.0)
    radar.header(0, 2)
    assert (radar.device.quality, radar.device.extended) == ({}, {})


def test_the_firmware_is_kept() -> None:
    radar = Radar()
    assert radar.say(0x700, bytes.fromhex("04100202")) is None
    assert radar.device.firmware == (4, 16, 2, True, False)


# -- state and configuration


@pytest.mark.parametrize(("bit", "word"), [
    (0x20, "persistent error"), (0x10, "interference"), (0x08, "temperature error"), (0x04, "temporary error"),
    (0x02, "voltage error"),
])
def test_no_scan_passes_while_the_radar_reports_an_error(bit: int, word: str) -> None:
    radar = Radar()
    ill = bytearray(STATE_WELL)
    ill[2] |= bit
    error = error_of(radar.say, 0x201, bytes(ill))
    assert (error.bus, error.address, error.cause) == ("can_b", 0, Cause.IMPLAUSIBLE)
    assert word in error.detail
    radar.header(1, 1)
    assert word in error_of(radar.object, 1).detail
    assert cause_of(radar.header, 0, 2) is Cause.IMPLAUSIBLE
    assert (radar.device.counters.withheld, radar.device.counters.scans) == (2, 0)
    assert radar.say(0x201, STATE_WELL) is None
    assert radar.header(0, 3) == RadarScan(3, 0, ())


def test_another_sensor_s_state_under_these_ids_is_the_wrong_one() -> None:
    wrong = bytearray(STATE_WELL)
    wrong[4] |= 3
    assert cause_of(Radar().say, 0x201, bytes(wrong)) is Cause.WRONG_ID


def test_initialising_sends_the_configuration_and_stores_nothing() -> None:
    radar = Radar(sensor=1, max_distance_m=260, power_reduction_db=3, sort="rcs", high_sensitivity=True, quality=True)
    assert list(radar.device.initialise()) == []
    (frame,) = radar.bus.sent
    assert (frame.can_id, len(frame.data), frame.extended) == (0x210, 8, False)
    signals = decode("RadarConfiguration", frame.data)
    ordered = {
        "OutputType": 1, "MaxDistance": 260, "RadarPower": 1, "SortIndex": 2, "RCS_Threshold": 1, "SendQuality": 1,
        "SendExtInfo": 0, "StoreInNVM": 0, "CtrlRelay": 0, "SensorID_valid": 0,
    }
    assert {name: signals[name] for name in ordered} == ordered


def test_a_configuration_that_the_radar_took_is_accepted() -> None:
    radar = Radar()
    old = bytearray(STATE_WELL)
    old[1] = 0x20
    radar.say(0x201, bytes(old))  # nothing was ordered yet
    list(radar.device.initialise())
    radar.say(0x201, bytes(old))  # not obeyed yet
    for _ in range(3):
        radar.say(0x201, STATE_WELL)
    assert radar.header(0, 1) == RadarScan(1, 0, ())


def test_a_lost_configuration_is_a_reset_and_silence_until_it_is_seen_right_again() -> None:
    radar = Radar()
    list(radar.device.initialise())
    radar.say(0x201, STATE_WELL)
    clusters = bytearray(STATE_WELL)
    clusters[5] = 0x08
    error = error_of(radar.say, 0x201, bytes(clusters))
    assert error.cause is Cause.RESET
    assert "output" in error.detail
    assert cause_of(radar.header, 0, 1) is Cause.RESET
    list(radar.device.initialise())
    assert cause_of(radar.say, 0x201, bytes(clusters)) is Cause.RESET
    assert cause_of(radar.header, 0, 2) is Cause.RESET
    radar.say(0x201, STATE_WELL)
    assert radar.header(0, 3) == RadarScan(3, 0, ())


def test_a_configuration_that_is_never_obeyed_is_a_reset() -> None:
    radar = Radar(max_distance_m=1200)
    list(radar.device.initialise())
    for _ in range(STATES_TO_OBEY):
        radar.say(0x201, STATE_WELL)
    assert "max distance" in error_of(radar.say, 0x201, STATE_WELL).detail


def test_an_odd_distance_is_refused_by_the_settings() -> None:
    with pytest.raises(ValueError, match="2 m"):
        Settings(max_distance_m=197)


def test_a_state_that_a_public_driver_shows_is_read_alike() -> None:
    # tier4/ars408_driver, tool/test/test_decode.py: 196 m, sensor 0, -3 dB, objects, both extras, sorted by RCS,
    # speed and yaw rate missing.
    state = ars408.radar_state(bytes.fromhex("40188000a0f40000"))
    assert state == ((), 0, 196, 1, 1, 2, True, True, False, 3, False, True, False)
