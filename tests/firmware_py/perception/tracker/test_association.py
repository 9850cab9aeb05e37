"""Which pairs are settled, which contested, which shared."""

from __future__ import annotations

import numpy as np

from firmware_py.perception.tracker.association import associate
from firmware_py.perception.tracker.config import TrackerConfig
from firmware_py.perception.tracker.gating import Pairs


def _choose(rows: list[tuple[int, int, float]], tracks: int, detections: int, config: TrackerConfig | None = None,
            standing: list[float] | None = None):
    i, j, d = (np.array(k) for k in zip(*rows, strict=True))
    asked = []

    def score(some: Pairs) -> np.ndarray:
        asked.append(len(some.track))
        return 20.0 - 0.5 * some.distance

    pairs = Pairs(i, j, d.astype(float), np.zeros((4, len(i))))
    choice = associate(pairs, score, np.array(standing or [0.0] * tracks), detections, config or TrackerConfig())
    return pairs, choice, asked


def test_pairs_alone_are_settled_without_a_score() -> None:
    _, choice, asked = _choose([(0, 1, 3.0), (2, 0, 15.0)], 3, 2)
    assert choice.chosen.tolist() == [0, 1]
    assert (choice.conflicts, asked) == (0, [])


def test_the_least_total_distance_wins_over_the_least_single_one() -> None:
    far = TrackerConfig(belief_separation=0.0)
    # Greedy would give detection 0 to track 0 and leave track 1 with a distance of 19.
    pairs, choice, _ = _choose([(0, 0, 1.0), (0, 1, 3.0), (1, 0, 2.0), (1, 1, 19.0)], 2, 2, far)
    assert sorted(zip(pairs.track[choice.chosen], pairs.detection[choice.chosen], strict=True)) == [(0, 1), (1, 0)]
    assert choice.conflicts == 2
    assert len(choice.shared) == 0


def test_tracks_too_close_to_tell_apart_share_and_each_owns_one() -> None:
    pairs, choice, _ = _choose([(0, 0, 1.0), (0, 1, 1.2), (1, 0, 1.1), (1, 1, 1.0), (2, 2, 5.0)], 3, 3)
    assert choice.chosen.tolist() == [4]
    assert set(choice.shared.tolist()) == {0, 1, 2, 3}
    assert 0.9 < np.bincount(pairs.track[choice.shared], choice.share)[0] <= 1.0
    assert sorted(pairs.detection[choice.owner].tolist()) == [0, 1]


def test_of_two_tracks_of_one_target_the_younger_goes_without() -> None:
    for near in (0, 1):
        pairs, choice, _ = _choose([(0, 0, 1.0 + (near == 1)), (1, 0, 1.0 + (near == 0))], 2, 1, standing=[5.0, 1.0])
        assert pairs.track[choice.owner].tolist() == [0]


def test_no_detection_is_chosen_twice_in_a_random_crowd() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        rows = [(int(i), int(j), float(rng.uniform(0, 20))) for i, j in np.unique(rng.integers(0, 12, (40, 2)), axis=0)]
        pairs, choice, _ = _choose(rows, 12, 12)
        used = np.concatenate((choice.chosen, choice.owner))
        assert len(set(pairs.detection[used])) == len(used) == len(set(pairs.track[used]))
        assert not set(pairs.track[choice.chosen]) & set(pairs.track[choice.shared])
