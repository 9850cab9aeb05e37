"""Settings of the tracker, each within a range that makes sense; an unknown key is refused."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["TrackerConfig"]

Positive = Annotated[float, Meta(gt=0.0, le=1e6)]
NonNegative = Annotated[float, Meta(ge=0.0, le=1e6)]
Share = Annotated[float, Meta(gt=0.0, lt=1.0)]
Seconds = Annotated[float, Meta(gt=0.0, le=600.0)]
Sigmas = Annotated[float, Meta(ge=1.0, le=20.0)]


class TrackerConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How targets move, which detection may belong to which track, and how long a track lives.

    Attributes:
        acceleration_m_s2: white acceleration of a target: its velocity strays this many m/s in one second.
        acceleration_psd: the same as a spectral density in m^2/s^3; overrides ``acceleration_m_s2`` if given.
        manoeuvre_acceleration_m_s2: of the second motion model, which a track has only while alarmed.
        manoeuvre_nis: normalised innovation squared, in units of its expectation, from which it speaks for a manoeuvre.
        manoeuvre_alarm: what goes beyond, summed over detections and never below 0, raises the alarm here.
        manoeuvre_miss: probability of misses in a row below which they raise the alarm as well.
        manoeuvre_hold_s: how long the alarm outlives its cause.
        gate_sigma: Mahalanobis distance between detection and track in all measured dimensions.
        identity_gate_sigma: the same where both carry the same identity.
        initial_velocity_sigma_m_s: of a new track across the line of sight, or in every axis without radial velocity.
        confirm_hits, confirm_window_s: a track is firm with so many detections in this time.
        apart_s, apart_sigma: a track that lies within so many sigma of another one becomes firm no sooner than after
            this time; 0: at once.
        drop_tentative_s, drop_firm_s: a track that should have been seen and was not for so long is dropped.
        drop_tentative_looks, drop_firm_looks: nor before so many detections were to be expected of the sensor that
            saw it last, by its revisit time and detection probability.
        coast_s: a track that nobody looks at is dropped after this time; a tentative one sooner.
        lost_s: a firm one is told as lost, no longer as coasting, this long after its last detection, but no sooner
            than it may be missed. Until it is dropped it is still recognised.
        capacity: tracks, firm and tentative.
        max_detections: rows of one frame that are worked on.
        max_candidates: detections per track that pass the gate in range and are looked at.
        max_cluster: tracks in one cluster that are assigned at the least total cost; larger ones pair off best first.
        belief_separation: tracks whose expected detections are nearer to each other than this Mahalanobis distance
            share their detections by belief propagation.
        belief_rounds, belief_tolerance: limits of that iteration.
        belief_floor: shares below it do not move a track.
        rollback_s, rollback_frames: how far back a late frame may reach.
        support_s: how long a sensor counts as a source of a track.
        health_memory: detections over which a sensor's statistics fade.
        health_nis: most of the mean normalised innovation squared, in units of its expectation, within its band.
        health_bias_sigma: most of a mean innovation, in sigmas, within its band.
        health_inflation_max: most by which the variances of a sensor that contradicts the others are raised.
    """

    acceleration_m_s2: Positive = 0.5
    acceleration_psd: Positive | None = None
    manoeuvre_acceleration_m_s2: Positive = 5.0
    manoeuvre_nis: Annotated[float, Meta(ge=1.0, le=100.0)] = 1.75
    manoeuvre_alarm: Positive = 4.0
    manoeuvre_miss: Share = 0.0005
    manoeuvre_hold_s: Seconds = 0.5
    gate_sigma: Sigmas = 4.5
    identity_gate_sigma: Sigmas = 8.0
    initial_velocity_sigma_m_s: Positive = 15.0
    confirm_hits: Annotated[int, Meta(ge=1, le=8)] = 3
    confirm_window_s: Seconds = 1.0
    apart_s: NonNegative = 1.5
    apart_sigma: Sigmas = 3.0
    drop_tentative_s: Seconds = 0.3
    drop_firm_s: Seconds = 0.6
    drop_tentative_looks: Annotated[float, Meta(ge=1.0, le=100.0)] = 2.5
    drop_firm_looks: Annotated[float, Meta(ge=1.0, le=100.0)] = 4.0
    coast_s: Seconds = 5.0
    lost_s: NonNegative = 0.0
    capacity: Annotated[int, Meta(ge=1, le=4096)] = 1024
    max_detections: Annotated[int, Meta(ge=1, le=65536)] = 4096
    max_candidates: Annotated[int, Meta(ge=1, le=4096)] = 128
    max_cluster: Annotated[int, Meta(ge=1, le=512)] = 64
    belief_separation: NonNegative = 4.0
    belief_rounds: Annotated[int, Meta(ge=1, le=200)] = 20
    belief_tolerance: Share = 0.01
    belief_floor: Share = 0.001
    rollback_s: Seconds = 1.0
    rollback_frames: Annotated[int, Meta(ge=1, le=256)] = 64
    support_s: Seconds = 2.0
    health_memory: Annotated[float, Meta(ge=10.0, le=10_000.0)] = 200.0
    health_nis: Annotated[float, Meta(gt=1.0, le=100.0)] = 2.0
    health_bias_sigma: Annotated[float, Meta(gt=0.0, le=10.0)] = 1.0
    health_inflation_max: Annotated[float, Meta(ge=1.0, le=1e4)] = 100.0

    @property
    def psd_m2_s3(self) -> float:
        """Spectral density of the white acceleration."""
        return self.acceleration_m_s2**2 if self.acceleration_psd is None else self.acceleration_psd

    @property
    def manoeuvre_ratio(self) -> float:
        """Density of the second model over that of the first, at least 1."""
        return max(1.0, self.manoeuvre_acceleration_m_s2**2 / self.psd_m2_s3)
