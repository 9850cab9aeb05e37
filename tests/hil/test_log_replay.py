"""A log reaches the chips' registers whole: right units and axes, no rotation lost, silence where it has nothing."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from math import degrees, radians
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.adis16470 import BURST_COMMAND, burst
from drivers.errors import Cause, DeviceError
from hal.profile import ConfigError, Profile, load_profile
from hil.log_replay import LogError, LogRig, SensorLog, playable, read_attitude_log, read_sensor_log

NS = 1_000_000_000
MS = 1_000_000
LSB_RAD_S = radians(0.1)
HEADER = "t_s,gyro_x_rad_s,gyro_y_rad_s,gyro_z_rad_s,accel_x_m_s2,accel_y_m_s2,accel_z_m_s2"
MAG = ",mag_x_gauss,mag_y_gauss,mag_z_gauss"
ROW = "{t},0.1,0.2,0.3,0.5,-0.6,-9.8"
DATA = Path(__file__).resolve().parent.parent / "data"


@pytest.fixture(scope="module")
def profile() -> Profile:
    return playable(load_profile("bench-12kg", "bench-rpi"))


def write(folder: Path, text: str, name: str = "log.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def rows(*times: float, tail: str = "") -> str:
    return "".join(ROW.format(t=t) + tail + "\n" for t in times)


Timed = tuple[int, tuple[float, float, float]]


def made(
    t_ns: Sequence[int], rate: float | Sequence[float] | np.ndarray, field: Sequence[Timed] = ()
) -> SensorLog:
    """A level log: rate about Z by sample, gravity along +Z, magnetometer samples by time."""
    inertial = np.zeros((len(t_ns), 6))
    inertial[:, 2] = rate
    inertial[:, 5] = 9.80665
    return SensorLog(
        Path("made"), "flu", 0.0, tuple(t_ns), inertial, tuple(t for t, _ in field),
        np.array([b for _, b in field], dtype=np.float64).reshape(-1, 3),
    )


class Reader:
    """The inertial unit's samples and the magnetometer's bytes, as the flight software gets them."""

    def __init__(self, profile: Profile, log: SensorLog) -> None:
        self.rig = LogRig(profile, log)
        self.rig.buses["spi0"].configure(0, 3, 1_000_000)
        self.field = self.rig.buses["i2c_b"]

    def imu(self, t_ns: int):
        self.rig.advance(t_ns)
        return burst(self.rig.buses["spi0"].transfer(0, BURST_COMMAND))

    def start_mag(self) -> None:
        self.field.write(0x20, b"\x01\x71")

    def mag_ut(self) -> tuple[float, ...]:
        """The present field, measured through the registers at the reset gain of 75 LSB/uT."""
        data = self.field.write_read(0x20, b"\x24", 9)
        return tuple(int.from_bytes(data[i : i + 3], "big", signed=True) / 75.0 for i in (0, 3, 6))


# -- reading


def test_forward_right_down_becomes_forward_left_up(tmp_path: Path) -> None:
    log = read_sensor_log(write(tmp_path, HEADER + MAG + "\n" + rows(5.0, 5.004, tail=",0.2,0.1,0.4")), "frd")
    assert log.start_s == 5.0
    assert log.t_ns == (0, 4 * MS)
    assert log.inertial[0].tolist() == pytest.approx([0.1, -0.2, -0.3, 0.5, 0.6, 9.8])
    assert log.field[0].tolist() == pytest.approx([20e-6, -10e-6, -40e-6])


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("time_us,gyro_x_deg_s,gyro_y_dps,rate_z_rad_s,acc_x_g,acc_y_mg,accel_z_m_s2,mag_x_ut,mag_y_nt,mag_z_tesla",
         "{us},57.29577951308232,114.59155902616465,3,0.1,200,9.80665,20,30000,40e-6"),
        ('"MAG_X_MGAUSS",mag_y_gauss,mag_z_t,note,angular_rate_x_rad_s,w,gyroscope_y_rad_s,gyro_z_rad_s,'
         "accelerometer_x_mg,specific_force_y_g,acceleration_z_g,timestamp_ms",
         "200,0.3,4e-5,text,1,,2,3,100,0.2,1,{ms}"),
    ],
)
def test_units_are_read_from_the_column_names(tmp_path: Path, header: str, row: str) -> None:
    body = "".join(row.format(us=1e6 + 5e3 * i, ms=7 + 5 * i) + "\n" for i in range(3))
    log = read_sensor_log(write(tmp_path, header + "\n" + body), "flu")
    assert log.t_ns == (0, 5 * MS, 10 * MS)
    assert log.inertial[1].tolist() == pytest.approx([1.0, 2.0, 3.0, 0.980665, 1.96133, 9.80665])
    assert log.field[1].tolist() == pytest.approx([20e-6, 30e-6, 40e-6])


def test_frame_is_taken_from_the_comment_and_must_not_contradict_the_caller(tmp_path: Path) -> None:
    path = write(tmp_path, "# frame: flu\n# anything\n" + HEADER + "\n" + rows(0.0, 0.1).replace("-9.8", "9.8"))
    assert read_sensor_log(path).frame == "flu"
    with pytest.raises(LogError, match=r"log\.csv:1: says frame flu, but frd was asked for"):
        read_sensor_log(path, "frd")


def test_magnetometer_samples_have_their_own_time_and_repeats_are_one_sample(tmp_path: Path) -> None:
    text = HEADER + ",mag_t_offset_us" + MAG + "\n"
    for t, offset, x in ((1.0, -500, 0.2), (1.004, -4500, 0.2), (1.008, 1000, 0.3)):
        text += ROW.format(t=t) + f",{offset},{x},0.1,0.4\n"
    log = read_sensor_log(write(tmp_path, text), "frd")
    assert log.field_t_ns == (-500_000, 9 * MS)
    assert log.field[:, 0].tolist() == pytest.approx([20e-6, 30e-6])


def test_a_line_without_magnetometer_cells_has_no_magnetometer_sample(tmp_path: Path) -> None:
    text = HEADER + MAG + "\n" + rows(0.0, tail=",0.2,0.1,0.4") + rows(0.004, 0.008, tail=",,,")
    assert read_sensor_log(write(tmp_path, text), "frd").field_t_ns == (0,)


def test_gzip_is_recognised_by_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(gzip.compress((HEADER + "\n" + rows(0.0, 0.1)).encode()))
    assert len(read_sensor_log(path, "frd").t_ns) == 2


def test_excerpt_of_the_real_log_reads_whole() -> None:
    log = read_sensor_log(DATA / "flight_log_excerpt_imu.csv.gz")
    assert (log.frame, len(log.t_ns), len(log.field_t_ns)) == ("frd", 1981, 787)
    assert np.median(np.linalg.norm(log.inertial[:, 3:], axis=1)) == pytest.approx(9.70, abs=0.02)


GOOD = HEADER + "\n" + rows(0.0, 0.1, 0.2)
SENSOR_REFUSALS = {
    "empty": ("", "frd", None, "is empty"),
    "only a comment": ("# frame: frd\n", "frd", None, "is empty"),
    "header alone": (HEADER + "\n", "frd", None, "has 0 samples"),
    "one sample": (HEADER + "\n" + rows(0.0), "frd", None, "has 1 samples"),
    "not CSV": ("hello world\n", "frd", 1, "not comma-separated"),
    "zero bytes": (HEADER + "\n0,1,\0,2,3,4,5\n", "frd", 2, "is not text"),
    "no time": (GOOD.replace("t_s", "moment", 1), "frd", 1, "no column t_s"),
    "no gyro axis": (GOOD.replace("gyro_y_rad_s", "y"), "frd", 1, "no column gyro_y_rad_s"),
    "no unit": (GOOD.replace("accel_z_m_s2", "accel_z"), "frd", 1, "no column accel_z_m_s2"),
    "one magnetometer axis": (GOOD.replace("m_s2\n", "m_s2,mag_x_gauss\n"), "frd", 1, "no column mag_y_gauss"),
    "column twice": (GOOD.replace("gyro_y_rad_s", "gyro_x_rad_s"), "frd", 1, "gyro_x_rad_s is there twice"),
    "axis twice": (GOOD.replace("gyro_y_rad_s", "gyro_x_deg_s"), "frd", 1, "the same axis"),
    "word": (GOOD.replace("0.1,0.1,", "0.1,oops,"), "frd", 3, "gyro_x_rad_s is 'oops', not a number"),
    "empty cell": (GOOD.replace("0.2,0.1,", "0.2,,"), "frd", 4, "gyro_x_rad_s is empty"),
    "NaN": (GOOD.replace("0.2,0.1,", "0.2,nan,"), "frd", 4, "gyro_x_rad_s is nan"),
    "infinite": (GOOD.replace("-9.8", "-inf"), "frd", 2, "accel_z_m_s2 is -inf"),
    "time stands": (HEADER + "\n" + rows(0.0, 0.1, 0.1), "frd", 4, "time 0.1 does not come after"),
    "time goes back": ("# note\n" + HEADER + "\n" + rows(0.0, 0.2, 0.1), "frd", 5, "does not come after"),
    "long pause": (HEADER + "\n" + rows(0.0, 0.1, 99.0), "frd", 4, "time jumps by 98.9 s"),
    "cut line": (GOOD + "0.3,0.1,0", "frd", 5, "has 3 cells, the header 7"),
    "force in g": (GOOD.replace("-9.8", "-1.0"), "frd", None, "median specific force is 1.27 m/s2"),
    "frame unknown": (GOOD, "ned", None, "frame 'ned' is unknown"),
    "frame unknown in file": ("# frame: xyz\n" + GOOD, None, 1, "frame 'xyz' is unknown"),
    "frame not stated": (GOOD, None, None, "does not say its body axes"),
}


@pytest.mark.parametrize("case", SENSOR_REFUSALS)
def test_bad_sensor_logs_are_refused_with_line_problem_and_next_step(tmp_path: Path, case: str) -> None:
    text, frame, line, problem = SENSOR_REFUSALS[case]
    path = write(tmp_path, text)
    with pytest.raises(LogError) as refused:
        read_sensor_log(path, frame)
    error = refused.value
    assert (error.path, error.line) == (path, line)
    assert problem in error.problem
    assert error.next_step
    assert str(error).startswith(f"{path}:" if line is None else f"{path}:{line}:")


def test_magnetometer_faults_are_refused(tmp_path: Path) -> None:
    header = HEADER + ",mag_t_offset_us" + MAG + "\n"
    back = header + rows(0.0, tail=",0,0.2,0.1,0.4") + rows(0.004, tail=",-9000,0.2,0.1,0.4")
    with pytest.raises(LogError, match=r"log\.csv:3: the magnetometer's time goes back by 0\.005 s"):
        read_sensor_log(write(tmp_path, back), "frd")
    part = header + rows(0.0, tail=",0,0.2,,0.4")
    with pytest.raises(LogError, match=r"log\.csv:2: mag_y_gauss is empty"):
        read_sensor_log(write(tmp_path, part), "frd")
    tesla = header.replace("gauss", "tesla") + rows(0.0, 0.1, tail=",0,0.2,0.1,0.4")
    with pytest.raises(LogError, match=r"median magnetic field is 4\.58e\+05 uT"):
        read_sensor_log(write(tmp_path, tesla), "frd")


def test_files_that_cannot_be_opened_are_refused(tmp_path: Path) -> None:
    whole = gzip.compress((HEADER + "\n" + rows(*np.arange(4000) * 0.004)).encode())
    cut, damaged, binary = (tmp_path / name for name in ("cut.csv.gz", "damaged.csv.gz", "log.ulg"))
    cut.write_bytes(whole[: len(whole) // 2])
    damaged.write_bytes(whole[:60] + b"\xff" * 40 + whole[100:])
    binary.write_bytes(b"ULog\x01\x12\x35\x01\xfe\xff\x80")
    for path, problem in (
        (tmp_path / "absent.csv", "does not exist"), (tmp_path, "is a folder"), (binary, "is not text"),
        (cut, "ends within the compressed data"), (damaged, "is damaged"),
    ):
        with pytest.raises(LogError) as refused:
            read_sensor_log(path, "frd")
        assert problem in refused.value.problem, path


REFERENCE = "t_s,q_w,q_x,q_y,q_z\n0.0,1,0,0,0\n0.1,0.9998,0.02,0.0,0.0\n"


def test_reference_turns_from_north_east_down_to_z_up(tmp_path: Path) -> None:
    text = "t_s,q_w,q_x,q_y,q_z\n1.0,0.5,0.5,0.5,0.5\n1.1,0.5,0.5,0.5,-0.5\n"
    log = read_attitude_log(write(tmp_path, text), "frd")
    assert log.t_s.tolist() == [1.0, 1.1]
    assert log.quaternion.tolist() == [[0.5, 0.5, -0.5, -0.5], [0.5, 0.5, -0.5, 0.5]]
    assert read_attitude_log(write(tmp_path, text), "flu").quaternion[0].tolist() == [0.5] * 4


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        (REFERENCE.replace("q_y", "y"), 1, "no column q_y"),
        (REFERENCE.replace("0.9998", "0.8"), 3, "the quaternion is 0.8002 long"),
        (REFERENCE.replace("0.1,", "0.0,", 1), 3, "does not come after"),
        (REFERENCE.replace("0.02", "x"), 3, "q_x is 'x', not a number"),
        ("t_s,q_w,q_x,q_y,q_z\n0.0,1,0,0,0\n", None, "has 1 attitudes"),
    ],
)
def test_bad_references_are_refused(tmp_path: Path, text: str, line: int | None, problem: str) -> None:
    with pytest.raises(LogError) as refused:
        read_attitude_log(write(tmp_path, text), "frd")
    assert refused.value.line == line
    assert problem in refused.value.problem


# -- playing


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    log_hz=st.floats(30.0, 1000.0), tick_hz=st.sampled_from([50, 100, 200, 250, 500]), jitter=st.floats(0.0, 0.8),
    seed=st.integers(0, 2**16),
)
def test_no_rotation_is_lost_at_any_ratio_of_log_and_tick_rate(
    profile: Profile, log_hz: float, tick_hz: int, jitter: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    steps = NS / log_hz * (1.0 + jitter * rng.uniform(-0.5, 0.5, int(log_hz)))
    t_ns = np.concatenate([[0], np.cumsum(np.maximum(steps, 1000).astype(np.int64))])
    rate = rng.uniform(-3.0, 3.0, len(t_ns))
    reader = Reader(profile, made(t_ns.tolist(), rate))
    ticks = int(t_ns[-1]) * tick_hz // NS
    turned = sum(reader.imu(k * NS // tick_hz).rate_rad_s[2] for k in range(1, ticks + 1)) / tick_hz
    end = ticks / tick_hz
    grid = np.append(t_ns[t_ns < end * NS] / NS, end)
    values = np.interp(grid, t_ns / NS, rate)
    expected = float(np.sum(0.5 * (values[1:] + values[:-1]) * np.diff(grid)))
    # The unit's 16-bit words are rounded down, by half a step on average and one at most.
    assert expected - LSB_RAD_S * end - 1e-9 <= turned <= expected + 1e-9


def test_outputs_stand_still_in_a_pause_of_the_log(profile: Profile) -> None:
    times = [*range(0, 100 * MS, 4 * MS), *range(500 * MS, 600 * MS, 4 * MS)]
    reader = Reader(profile, made(times, 0.5))
    counters = {t: reader.imu(t * MS).counter for t in range(5, 600, 5)}
    assert counters[95] == counters[100] - 1
    assert counters[100] == counters[300] == counters[500]
    assert counters[505] == counters[500] + 1
    # What comes after the pause is a mean of what is known, not of the pause.
    assert reader.imu(596 * MS).rate_rad_s[2] == pytest.approx(0.5, abs=LSB_RAD_S)


def test_a_short_pause_is_bridged(profile: Profile) -> None:
    reader = Reader(profile, made([0, 4 * MS, 40 * MS, 44 * MS], [0.0, 0.2, 0.2, 0.2]))
    assert [reader.imu(t * MS).counter for t in (5, 10, 40)] == [1, 2, 3]


def test_samples_beyond_full_scale_are_counted_and_saturate(profile: Profile) -> None:
    reader = Reader(profile, made([0, 10 * MS, 20 * MS], [40.0, 40.0, 1.0]))
    assert degrees(reader.imu(5 * MS).rate_rad_s[2]) == pytest.approx(2000.0)
    assert reader.rig.saturated == 1


def test_magnetometer_holds_its_newest_sample_by_the_sample_own_time(profile: Profile) -> None:
    field = [(-5 * MS, (20e-6, 0.0, -40e-6)), (203 * MS, (30e-6, 0.0, -40e-6))]
    reader = Reader(profile, made(range(0, 400 * MS, 4 * MS), 0.0, field))
    reader.imu(5 * MS)
    reader.start_mag()
    seen = []
    for t in (100, 202, 230):
        reader.imu(t * MS)
        seen.append(reader.mag_ut()[0])
    assert seen == pytest.approx([20.0, 20.0, 30.0], abs=0.02)


def test_magnetometer_is_silent_before_its_first_sample_and_when_the_log_stops_giving_any(profile: Profile) -> None:
    field = [(t * MS, (20e-6, 1e-6, -40e-6)) for t in range(300, 600, 10)]
    reader = Reader(profile, made(range(0, 3000 * MS, 4 * MS), 0.0, field))
    answers = []
    for t in (100, 310, 1000, 1200, 2900):
        reader.imu(t * MS)
        try:
            reader.field.write_read(0x20, b"\x36", 1)
            answers.append(None)
        except DeviceError as error:
            answers.append(error.cause)
    assert answers == [Cause.NACK_ADDRESS, None, None, Cause.NACK_ADDRESS, Cause.NACK_ADDRESS]


def test_a_log_without_magnetometer_leaves_it_silent(profile: Profile) -> None:
    reader = Reader(profile, made([0, 100 * MS], 0.0))
    reader.imu(50 * MS)
    with pytest.raises(DeviceError) as silent:
        reader.field.write_read(0x20, b"\x36", 1)
    assert silent.value.cause is Cause.NACK_ADDRESS
    # Others on the same bus answer.
    assert reader.field.write_read(0x4C, b"\xfe", 1) == b"\x55"


def remounted(profile: Profile, name: str, orientation: tuple[float, float, float, float]) -> Profile:
    def turn(device):
        if device.name != name:
            return device
        return msgspec.structs.replace(device, mount=msgspec.structs.replace(device.mount, orientation=orientation))

    devices = tuple(turn(device) for device in profile.board.devices)
    return profile._replace(board=msgspec.structs.replace(profile.board, devices=devices))


def test_chips_measure_in_the_axes_in_which_they_are_mounted(profile: Profile) -> None:
    half = 0.5**0.5
    # Sensor Z points along body X: turned by 90 deg about Y.
    turned = remounted(profile, "imu", (half, 0.0, half, 0.0))
    sample = Reader(turned, made([0, 100 * MS], 0.5)).imu(50 * MS)
    assert sample.rate_rad_s == pytest.approx((-0.5, 0.0, 0.0), abs=LSB_RAD_S)
    assert sample.specific_force_m_s2 == pytest.approx((-9.80665, 0.0, 0.0), abs=0.02)


def test_every_device_of_the_reference_board_answers_but_stars_and_sun_are_absent() -> None:
    from hal.hardware import Hardware

    profile = playable(load_profile("qiki-t", "qiki-rpi"))
    rig = LogRig(profile, made(range(0, 4 * NS, 4 * MS), 0.0, [(0, (2e-5, 0.0, -4e-5)), (3 * NS, (2e-5, 0.0, -4e-5))]))
    hardware = Hardware(profile, rig.buses)
    hardware.propulsion.set_heartbeat(True)
    for tick in range(600):
        rig.advance(tick * 5 * MS)
        hardware.sense(tick * 5 * MS)
        hardware.survey(tick * 5 * MS)
    assert hardware.sensors.attitude(3 * NS).value is None
    assert hardware.sensors.sun(3 * NS).value is None
    assert hardware.sensors.magnetic(3 * NS).ok
    assert set(hardware.not_ok()) <= {"star_tracker"}


def test_a_board_that_cannot_play_a_log_is_refused(profile: Profile) -> None:
    log = made([0, 100 * MS], 0.0)

    def board(devices) -> Profile:
        return profile._replace(board=msgspec.structs.replace(profile.board, devices=tuple(devices)))

    with pytest.raises(ConfigError, match="no device with role imu"):
        LogRig(board(d for d in profile.board.devices if d.role != "imu"), log)
    strange = (msgspec.structs.replace(d, part="bno055") if d.role == "imu" else d for d in profile.board.devices)
    with pytest.raises(ConfigError, match=r"devices\[0\]\.part: bno055 has no simulated chip"):
        LogRig(board(strange), log)
