"""The comparison's flights on Basilisk's spacecraft dynamics, for the project's chain and for Basilisk's own modules.

Basilisk (package ``bsk``) integrates the hub by classical Runge-Kutta at 1 ms, without gravity; each nozzle is one of
its dynamic-effector thrusters, whose place is taken about the body origin. Within a millisecond the order is:
spacecraft, navigation and control, thrusters, so that a command counts from the very millisecond in which its state was
read.

A thruster burns while ``start + on-time >= t``, equality included, so a request that runs out by itself burns a sixth
of a step (Runge-Kutta's first stage) longer. Our edges are therefore commanded, opening and closing both.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bench._basilisk_experiment import SAMPLE_MS, Chain, Gains, Record, Truth
from hal.frames import Quaternion, Vec3
from hal.profile.body import BodyConfig
from hal.propulsion import PulsePlan

try:
    from Basilisk.architecture import messaging, sysModel
    from Basilisk.fswAlgorithms import attTrackingError, inertial3D, mrpFeedback, thrFiringRemainder, thrForceMapping
    from Basilisk.simulation import extForceTorque, simpleNav, spacecraft, thrusterDynamicEffector
    from Basilisk.utilities import SimulationBaseClass, fswSetupThrusters
except ImportError as _error:
    MISSING: str | None = str(_error)
else:
    MISSING = None

__all__ = ["MISSING", "BasiliskCraft", "fly_basilisk_chain", "fly_on_basilisk", "mrp_gains"]

MS = 1_000_000
NO_FLOW_S = 1e12
"""Specific impulse of a craft that loses no mass."""

INTEGRAL_LIMIT = 20.0
"""Bound of mrpFeedback's integral of sigma, s; far above what 0.03 N m needs."""
DRAIN_S = 20.0
"""Flight time after which the thrusters' records are taken over: 16 records a millisecond fill the memory."""

Array = npt.NDArray[np.float64]


class BasiliskCraft:
    """One craft in a Basilisk simulation, at rest at the origin in the identity attitude.

    Args:
        body: craft. Wrenches are the same as those of the project's own plant: same places, directions and thrusts.
        torque_n_m: constant disturbance, body axes.
    """

    def __init__(self, body: BodyConfig, torque_n_m: Vec3 = (0.0, 0.0, 0.0)) -> None:
        self.body = body
        self.simulation = SimulationBaseClass.SimBaseClass()
        process = self.simulation.CreateNewProcess("craft")
        tasks = {"motion": (MS, 100), "control": (body.propulsion.window_ms * MS, 50), "nozzles": (MS, 10)}
        for task, (period_ns, priority) in tasks.items():
            process.addTask(self.simulation.CreateNewTask(task, period_ns), priority)
        self.hub = self._spacecraft()
        self.disturbance = extForceTorque.ExtForceTorque()
        self.disturbance.extTorquePntB_B = [[x] for x in torque_n_m]
        self.hub.addDynamicEffector(self.disturbance)
        self.nozzles = self._nozzles()
        self.simulation.AddModelToTask("motion", self.hub)
        self.simulation.AddModelToTask("motion", self.disturbance)
        self.simulation.AddModelToTask("nozzles", self.nozzles, 10)
        self.states = self.hub.scStateOutMsg.recorder(SAMPLE_MS * MS)
        self.simulation.AddModelToTask("motion", self.states, -1)
        self.factors = [message.recorder() for message in self.nozzles.thrusterOutMsgs]
        for recorder in self.factors:
            self.simulation.AddModelToTask("nozzles", recorder, -1)

    def _spacecraft(self) -> spacecraft.Spacecraft:
        mass = self.body.mass
        craft = spacecraft.Spacecraft()
        craft.ModelTag = self.body.body
        craft.hub.mHub = mass.dry_kg + mass.propellant_kg
        craft.hub.r_BcB_B = [[x] for x in mass.centre_of_mass_m]
        craft.hub.IHubPntBc_B = [list(row) for row in mass.inertia_kg_m2]
        return craft

    def _nozzles(self) -> thrusterDynamicEffector.ThrusterDynamicEffector:
        effector = thrusterDynamicEffector.ThrusterDynamicEffector()
        effector.ModelTag = "nozzles"
        for nozzle in self.body.propulsion.nozzles:
            config = thrusterDynamicEffector.THRSimConfig()
            config.thrLoc_B = [[x] for x in nozzle.position_m]
            direction = np.array(nozzle.direction)
            config.thrDir_B = [[x] for x in direction / np.linalg.norm(direction)]
            config.MaxThrust = nozzle.thrust_n
            config.steadyIsp = NO_FLOW_S
            config.MinOnTime = 1e-6
            effector.addThruster(config)
        self.hub.addDynamicEffector(effector)
        return effector

    def truth(self, t_ns: int) -> Truth:
        """State now."""
        state = self.hub.scStateOutMsg.read()
        x, y, z = state.omega_BN_B
        return Truth(
            t_ns, quaternion_from_mrp(state.sigma_BN), (x, y, z), tuple(state.r_CN_N), tuple(state.v_CN_N)
        )

    def fly(self, seconds: float) -> Record:
        """Initialise, run to the end and read the record; the impulse is that of the thrusters' states."""
        self.simulation.InitializeSimulation()
        chunks: list[Array] = []
        for stop_s in [*np.arange(DRAIN_S, seconds, DRAIN_S), seconds]:
            self.simulation.ConfigureStopTime(round(float(stop_s) * 1e9))
            self.simulation.ExecuteSimulation()
            chunks.append(np.column_stack([recorder.thrustFactor for recorder in self.factors]))
            for recorder in self.factors:
                recorder.clear()
        # The factor written at k ms is that of the step that ended there; the first is from before any step.
        on = np.concatenate(chunks)[1:] > 0.0
        thrust = np.array([nozzle.thrust_n for nozzle in self.body.propulsion.nozzles])
        states = self.states
        return Record(
            np.array(states.times()) * 1e-9, np.array([quaternion_from_mrp(s) for s in states.sigma_BN]),
            np.array(states.omega_BN_B), np.array(states.v_CN_N), on, float(on.sum(axis=0) @ thrust) * 1e-3,
        )


def fly_on_basilisk(body: BodyConfig, chain: Chain, seconds: float, torque_n_m: Vec3 = (0.0, 0.0, 0.0)) -> Record:
    """Fly any chain on Basilisk's dynamics from rest in the identity attitude."""
    craft = BasiliskCraft(body, torque_n_m)
    driver = _driver(craft, chain)
    craft.nozzles.cmdsInMsg.subscribeTo(driver.command)
    craft.simulation.AddModelToTask("nozzles", driver, 50)
    return craft.fly(seconds)


def _driver(craft: BasiliskCraft, chain: Chain) -> Any:
    """A Basilisk module that asks the chain once a window and commands the nozzles at every edge of its plan."""

    class Driver(sysModel.SysModel):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.ModelTag = "driver"
            self.command = messaging.THRArrayOnTimeCmdMsg()
            self._plan = PulsePlan.shut(0, 0)
            self._window_ms = self._next_ms = 0

        def UpdateState(self, now_ns: int) -> None:  # noqa: N802
            now_ms = now_ns // MS
            if now_ms < self._next_ms:
                return
            if now_ms >= self._window_ms + self._plan.window_ms:
                self._plan = chain.plan(craft.truth(now_ns))
                self._window_ms = now_ms
            plan, at = self._plan, now_ms - self._window_ms
            edges = zip(plan.open_ms, plan.close_ms, strict=True)
            payload = messaging.THRArrayOnTimeCmdMsgPayload()
            payload.OnTimeRequest = [(b - at) * 1e-3 if a <= at < b else 0.0 for a, b in edges]
            self.command.write(payload, now_ns, self.moduleID)
            later = [edge for edge in (*plan.open_ms, *plan.close_ms) if edge > at]
            self._next_ms = self._window_ms + min([*later, plan.window_ms])

    return Driver()


def mrp_gains(body: BodyConfig, gains: Gains) -> tuple[float, float, float]:
    """K (N m), P (N m s) and Ki of mrpFeedback for a linear error dynamics of that frequency and damping.

    Small angles are four times their MRP: J theta'' = -P theta' - K/4 theta - P Ki K/4 integral(theta), with the mean
    of the principal moments; the module's integral also holds J times the rate, a small part of P. Ki below 0 is none.
    """
    inertia = float(np.trace(np.array(body.mass.inertia_kg_m2))) / 3.0
    proportional = 4.0 * inertia * gains.frequency_rad_s**2
    rate = 2.0 * gains.damping * gains.frequency_rad_s * inertia
    return proportional, rate, -1.0 if gains.integral_s is None else 1.0 / (rate * gains.integral_s)


def fly_basilisk_chain(
    body: BodyConfig, target: Quaternion, gains: Gains, seconds: float, torque_n_m: Vec3 = (0.0, 0.0, 0.0)
) -> Record:
    """Fly Basilisk's own chain: mrpFeedback, thrForceMapping, thrFiringRemainder at the body's window and shortest
    pulse, fed with the true state. The impulse is that of the commanded on-times, which need not be whole ms."""
    craft = BasiliskCraft(body, torque_n_m)
    modules = _Modules(craft, target, gains)
    record = craft.fly(seconds)
    window_s = body.propulsion.window_ms * 1e-3
    thrust = np.array([nozzle.thrust_n for nozzle in body.propulsion.nozzles])
    requests = np.array(modules.requests.OnTimeRequest)[: round(seconds / window_s), : len(thrust)]
    return replace(record, impulse_n_s=float((np.minimum(requests, window_s) @ thrust).sum()))


class _Modules:
    """Basilisk's flight modules on a craft; they must outlive the run, so they are kept here."""

    def __init__(self, craft: BasiliskCraft, target: Quaternion, gains: Gains) -> None:
        body, mass = craft.body, craft.body.mass
        vehicle = messaging.VehicleConfigMsgPayload()
        vehicle.ISCPntB_B = np.array(mass.inertia_kg_m2).ravel().tolist()
        vehicle.CoM_B = list(mass.centre_of_mass_m)
        vehicle.massSC = mass.dry_kg + mass.propellant_kg
        self.vehicle = messaging.VehicleConfigMsg().write(vehicle)
        fswSetupThrusters.clearSetup()
        for nozzle in body.propulsion.nozzles:
            direction = np.array(nozzle.direction)
            fswSetupThrusters.create(
                list(nozzle.position_m), (direction / np.linalg.norm(direction)).tolist(), nozzle.thrust_n
            )
        self.layout = fswSetupThrusters.writeConfigMessage()

        self.nav = simpleNav.SimpleNav()
        self.nav.scStateInMsg.subscribeTo(craft.hub.scStateOutMsg)
        self.reference = inertial3D.inertial3D()
        w, x, y, z = target
        self.reference.sigma_R0N = [x / (1.0 + w), y / (1.0 + w), z / (1.0 + w)]
        self.error = attTrackingError.attTrackingError()
        self.error.attNavInMsg.subscribeTo(self.nav.attOutMsg)
        self.error.attRefInMsg.subscribeTo(self.reference.attRefOutMsg)
        self.feedback = mrpFeedback.mrpFeedback()
        self.feedback.K, self.feedback.P, self.feedback.Ki = mrp_gains(body, gains)
        self.feedback.integralLimit = INTEGRAL_LIMIT
        self.feedback.guidInMsg.subscribeTo(self.error.attGuidOutMsg)
        self.feedback.vehConfigInMsg.subscribeTo(self.vehicle)
        self.mapping = thrForceMapping.thrForceMapping()
        self.mapping.thrForceSign = 1
        self.mapping.controlAxes_B = np.eye(3).ravel().tolist()
        self.mapping.cmdTorqueInMsg.subscribeTo(self.feedback.cmdTorqueOutMsg)
        self.mapping.thrConfigInMsg.subscribeTo(self.layout)
        self.mapping.vehConfigInMsg.subscribeTo(self.vehicle)
        self.firing = thrFiringRemainder.thrFiringRemainder()
        self.firing.thrMinFireTime = body.propulsion.min_on_ms * 1e-3
        self.firing.baseThrustState = 0
        self.firing.thrForceInMsg.subscribeTo(self.mapping.thrForceCmdOutMsg)
        self.firing.thrConfInMsg.subscribeTo(self.layout)
        craft.nozzles.cmdsInMsg.subscribeTo(self.firing.onTimeOutMsg)
        self.requests = self.firing.onTimeOutMsg.recorder()
        chain = (self.nav, self.reference, self.error, self.feedback, self.mapping, self.firing, self.requests)
        for place, module in enumerate(chain):
            craft.simulation.AddModelToTask("control", module, 100 - place)


def quaternion_from_mrp(sigma: npt.ArrayLike) -> Quaternion:
    """Body-to-inertial quaternion of Basilisk's modified Rodrigues parameters sigma_BN (inertial to body, so that the
    rotation vector is the same): q = (1 - s2, 2 s) / (1 + s2). Schaub and Junkins, Analytical Mechanics of Space
    Systems, 4th edition, section 3.5."""
    x, y, z = np.asarray(sigma, dtype=np.float64).tolist()
    s2 = x * x + y * y + z * z
    k = 1.0 / (1.0 + s2)
    return ((1.0 - s2) * k, 2.0 * x * k, 2.0 * y * k, 2.0 * z * k)
