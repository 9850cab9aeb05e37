"""The motion models against whole matrices."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_py.perception.tracker.motion import Motion
from firmware_py.perception.tracker.store import Word
from tests.firmware_py.perception.tracker.textbook import predict


def _columns(count: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    numbers, words = np.zeros((46, count)), np.zeros((13, count), np.int64)
    root = rng.standard_normal((count, 6, 6))
    numbers[:6] = rng.standard_normal((6, count))
    numbers[6:42] = (root @ root.transpose(0, 2, 1)).reshape(count, 36).T
    words[Word.ALARM_NS] = -1
    return numbers, words


@pytest.mark.parametrize("dt_s", [0.1, 0.013, 2.0])
def test_prediction_is_the_textbooks(dt_s: float) -> None:
    numbers, words = _columns()
    want = [predict(numbers[:6, n], numbers[6:42, n].reshape(6, 6), dt_s, 0.25) for n in range(4)]
    Motion(0.25, 100.0).predict(numbers, words, 10, dt_s)
    for n, (x, p) in enumerate(want):
        assert numbers[:6, n] == pytest.approx(x)
        assert numbers[6:42, n].reshape(6, 6) == pytest.approx(p)


def test_only_alarmed_tracks_fly_the_second_model() -> None:
    numbers, words = _columns()
    words[Word.ALARM_NS, 2] = 10
    want = [predict(numbers[:6, n], numbers[6:42, n].reshape(6, 6), 0.1, 25.0 if n == 2 else 0.25)[1] for n in range(4)]
    Motion(0.25, 100.0).predict(numbers, words, 10, 0.1)
    for n in range(4):
        assert numbers[6:42, n].reshape(6, 6) == pytest.approx(want[n])


def test_two_short_steps_are_one_long_one() -> None:
    (one, words), (two, _) = _columns(), _columns()
    motion = Motion(0.3, 2.0)
    motion.predict(one, words, 10, 0.5)
    motion.predict(two, words, 4, 0.2)
    motion.predict(two, words, 10, 0.3)
    assert two == pytest.approx(one)


def test_covariance_stays_symmetric_to_the_last_bit_and_grows_back_in_time_too() -> None:
    numbers, words = _columns()
    motion = Motion(0.25, 100.0)
    for _ in range(50):
        motion.predict(numbers, words, 10, 0.0731)
    motion.predict(numbers, words, 10, -0.4)
    for n in range(4):
        p = numbers[6:42, n].reshape(6, 6)
        assert (p == p.T).all()
        assert np.linalg.eigvalsh(p).min() > 0.0
