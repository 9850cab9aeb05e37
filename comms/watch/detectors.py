"""Detectors of single signs: each holds a few numbers, learns what is usual, and says when that is left.

Failures come in bursts and in proportion to traffic, so they are judged by slots of time and against a learned share of
frames; the sum over slots is Page's CUSUM test (E. S. Page, Biometrika 41, 1954).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque

__all__ = ["Bucket", "Heartbeat", "Metronome", "RateWatch", "ShareWatch", "SizeWatch"]

NS = 1_000_000_000


class Bucket:
    """A leaky bucket: ``add`` says whether more came than leaks away and the bucket holds. Times in s, flight ns."""

    __slots__ = ("_leak_per_ns", "_t_ns", "holds", "level")

    def __init__(self, holds: float, seconds_each: float) -> None:
        self.holds = holds
        self.level = 0.0
        self._leak_per_ns = 1.0 / (seconds_each * NS)
        self._t_ns = 0

    def add(self, t_ns: int) -> bool:
        """One more; ``True`` if the bucket runs over, and then half of it is emptied."""
        level = self.level - (t_ns - self._t_ns) * self._leak_per_ns
        self._t_ns = t_ns
        self.level = level = (level if level > 0.0 else 0.0) + 1.0
        if level <= self.holds:
            return False
        self.level = self.holds / 2.0
        return True


class ShareWatch:
    """Bad frames as a share of all frames of one peer, by slots.

    A slot counts if it has more than three times the bad frames that the learned share makes likely; it counts three
    times if they are many and most of its frames, and is enough by itself if they are nearly all. Slots that count are
    summed against their own learned share.

    Attributes:
        bad: bad frames of the slot that goes on.
        share: learned share of bad frames.
        score: CUSUM over slots.
    """

    __slots__ = ("_bad_sum", "_frames_sum", "_slot_share", "_slots", "bad", "score")

    LIMIT = 5.0
    DRIFT, TIMES = 0.1, 3.0
    PRIOR_FRAMES, LONGEST_FRAMES = 500.0, 20_000.0
    SLOT_PRIOR, MOST_SLOT_SHARE, SLOTS = 0.02, 0.25, 360

    def __init__(self, usual_share: float) -> None:
        self.bad = 0
        self.score = 0.0
        self._frames_sum = self.PRIOR_FRAMES
        self._bad_sum = self.PRIOR_FRAMES * usual_share
        self._slot_share = self.SLOT_PRIOR
        self._slots = 0

    @property
    def share(self) -> float:
        """Learned share of bad frames."""
        return self._bad_sum / self._frames_sum

    def rest(self, slots: int) -> None:
        """So many slots without any frame have passed."""
        for _ in range(min(slots, self.SLOTS)):
            self.score = max(0.0, self.score - self.DRIFT - self.TIMES * self._slot_share)
            self._learn(0, 0, 0.0, 1.0)

    def close(self, frames: int) -> bool:
        """End a slot of so many frames, bad ones among them; ``True`` if the sum says that this is no longer usual, and
        then half of it is taken back. A slot without frames says nothing here: see ``rest``."""
        bad, self.bad = self.bad, 0
        if frames == 0:
            return False
        likely = frames * self.share
        counts = 0.0
        if bad > self.TIMES * likely:
            nearly_all = bad >= 50 and bad > 0.75 * frames
            counts = 6.0 if nearly_all else 3.0 if bad >= 20 and bad > 0.5 * frames else 1.0
        self.score = max(0.0, self.score + counts - self.DRIFT - self.TIMES * self._slot_share)
        # What may be an attack teaches less.
        weight = 1.0 if self.score < 1.0 else 0.3
        self._learn(frames, bad, min(counts, 1.0), weight)
        if self.score < self.LIMIT:
            return False
        self.score = self.LIMIT / 2.0
        return True

    def _learn(self, frames: int, bad: int, counts: float, weight: float) -> None:
        self._frames_sum += weight * frames
        self._bad_sum += weight * bad
        if self._frames_sum > self.LONGEST_FRAMES:
            scale = self.LONGEST_FRAMES / self._frames_sum
            self._frames_sum *= scale
            self._bad_sum *= scale
        self._slots = min(self._slots + 1, self.SLOTS)
        step = weight * (counts - self._slot_share) / max(20.0, float(self._slots))
        self._slot_share = min(self.MOST_SLOT_SHARE, self._slot_share + step)


class RateWatch:
    """Authentic frames a second on one channel, smoothed over 10 s, against a floor and 2.5 times the most that was
    usual. A minute teaches when it is over, and only if it never went over the limit."""

    __slots__ = ("_floor", "_highest", "_left", "_over", "_peak", "_quiet", "count", "rate")

    SMOOTH, TIMES, SECONDS, MINUTE = 0.1, 2.5, 3, 60
    FORGET = 1.0 - 1.0 / 720.0
    """Of the peak, each minute: half a day."""

    def __init__(self, floor_hz: float) -> None:
        self.count = 0
        self.rate = 0.0
        self._floor = floor_hz
        self._peak = 0.0
        self._over = 0
        self._highest = 0.0
        self._quiet = True
        self._left = self.MINUTE

    def close(self, seconds: int) -> bool:
        """End a second; ``seconds`` have passed since the last one ended. ``True`` after three seconds over the
        limit."""
        count, self.count = self.count, 0
        if seconds > 1:
            self.rate *= (1.0 - self.SMOOTH) ** min(seconds - 1, 200)
        self.rate += self.SMOOTH * (count - self.rate)
        over = self.rate > max(self._floor, self.TIMES * self._peak)
        self._highest = max(self._highest, self.rate)
        self._quiet = self._quiet and not over
        self._left -= seconds
        if self._left <= 0:
            self._peak = max(self._peak * self.FORGET, self._highest if self._quiet else 0.0)
            self._highest, self._quiet, self._left = 0.0, True, self.MINUTE
        self._over = self._over + 1 if over else 0
        if self._over < self.SECONDS:
            return False
        self._over = 0
        return True


class SizeWatch:
    """Sizes of one channel's frames in quarter octaves: frames of sizes that it hardly ever has, summed against how
    often that is usual here.

    Until enough were seen, frames longer than ``usual_bytes`` are the odd ones.
    """

    __slots__ = ("_counts", "_rare_share", "_total", "_usual_bytes", "score")

    LIMIT, LEARNED, RARE, FEW = 10.0, 100, 0.01, 6
    HALVE = 4096
    DRIFT, TIMES = 0.03, 2.0

    def __init__(self, usual_bytes: int | None) -> None:
        self.score = 0.0
        self._usual_bytes = usual_bytes
        self._counts: dict[int, int] = {}
        self._total = 0
        self._rare_share = 0.02

    def see(self, size: int) -> bool:
        """One authentic frame: the channel of others can't be trusted. ``True`` if odd sizes are no longer usual."""
        octave = size.bit_length()
        place = octave * 4 + (size >> max(0, octave - 3) & 3)
        counts = self._counts
        if self._total >= self.LEARNED:
            near = counts.get(place - 1, 0) + counts.get(place, 0) + counts.get(place + 1, 0)
            rare = near < max(self.RARE * self._total, self.FEW)
        else:
            rare = self._usual_bytes is not None and size > self._usual_bytes
        self.score = max(0.0, self.score + rare - self.DRIFT - self.TIMES * self._rare_share)
        self._rare_share += (rare - self._rare_share) / min(500.0, self._total + 50.0)
        counts[place] = counts.get(place, 0) + 1
        self._total += 1
        if self._total >= self.HALVE:
            self._counts = {at: count // 2 for at, count in counts.items() if count > 1}
            self._total = sum(self._counts.values())
        if self.score < self.LIMIT:
            return False
        self.score = self.LIMIT / 2.0
        return True


class Metronome:
    """Frames by the clock on a channel where people send: the longest chain of one period among the newest frames.

    Attributes:
        period_s: of the chain that was found.
    """

    __slots__ = ("_fresh", "_times", "period_s")

    KEPT, EVERY, CHAIN = 256, 16, 40
    TOLERANCE = 0.03
    BACK, CANDIDATES = 4, 6

    def __init__(self) -> None:
        self.period_s = 0.0
        self._times: deque[int] = deque(maxlen=self.KEPT)
        self._fresh = 0

    def see(self, t_ns: int) -> bool:
        """One frame; ``True`` if a chain of 40 is found, and then all is forgotten."""
        self._times.append(t_ns)
        self._fresh += 1
        if self._fresh < self.EVERY or len(self._times) < self.CHAIN:
            return False
        self._fresh = 0
        times = list(self._times)
        for period_ns in self._periods(times[-2 * self.EVERY:]):
            if self._chain(times, period_ns) >= self.CHAIN:
                self.period_s = period_ns / NS
                self._times.clear()
                return True
        return False

    def _periods(self, times: list[int]) -> list[int]:
        """The commonest distances of near frames."""
        found: dict[int, list[int]] = {}
        for index, late in enumerate(times):
            for early in times[max(0, index - self.BACK):index]:
                distance = late - early
                if distance > NS // 50:
                    # Classes of 5 %: the logarithm by bits and two digits behind them.
                    bits = distance.bit_length()
                    found.setdefault(bits << 4 | (distance >> bits - 5 & 15), []).append(distance)
        common = sorted(found.values(), key=len, reverse=True)[: self.CANDIDATES]
        return [sorted(distances)[len(distances) // 2] for distances in common if len(distances) >= 3]

    def _chain(self, times: list[int], period_ns: int) -> int:
        """Frames that follow each other by this period, back from the newest ones."""
        tolerance = round(period_ns * self.TOLERANCE)
        best = 0
        for start in range(len(times) - 1, max(-1, len(times) - 1 - self.BACK), -1):
            at, length = times[start], 1
            while True:
                wanted = at - period_ns
                index = bisect_left(times, wanted - tolerance)
                if index >= len(times) or times[index] > wanted + tolerance:
                    break
                at, length = times[index], length + 1
            best = max(best, length)
        return best


class Heartbeat:
    """A channel that beats by itself: frames that were held back and let go together.

    One time is what a line does; three within the hour is somebody's doing. A new session begins anew.
    """

    __slots__ = ("_bucket", "_gaps_ns", "_held_ns", "_last_ns", "_together", "held_s")

    LONG, TOGETHER, SOON = 3.0, 3, 0.3
    GAPS, LEARNED = 9, 5
    SHORTEST_NS = 15 * NS

    def __init__(self) -> None:
        self.held_s = 0.0
        self._gaps_ns: deque[int] = deque(maxlen=self.GAPS)
        self._last_ns: int | None = None
        self._held_ns = 0
        self._together = 0
        self._bucket = Bucket(2.0, 3600.0)

    def begin(self) -> None:
        """A new session."""
        self._last_ns = None
        self._held_ns = 0

    def see(self, t_ns: int) -> bool:
        """One frame; ``True`` if frames were held back for the third time."""
        last, self._last_ns = self._last_ns, t_ns
        if last is None:
            return False
        gap = t_ns - last
        if len(self._gaps_ns) < self.LEARNED:
            self._gaps_ns.append(gap)
            return False
        usual = sorted(self._gaps_ns)[len(self._gaps_ns) // 2]
        if self._held_ns and gap < self.SOON * usual:
            self._together += 1
            if self._together == self.TOGETHER - 1:
                self.held_s = self._held_ns / NS
                self._held_ns = 0
                return self._bucket.add(t_ns)
            return False
        self._gaps_ns.append(gap)
        self._held_ns = gap if gap > max(self.LONG * usual, self.SHORTEST_NS) else 0
        self._together = 0
        return False
