"""Ground station, line and craft's link of a rig flight: the same in every run, and the only ground of their flight."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from comms.dictionary import Authority
from comms.flight_port import CommandStage, CraftState, Port, Snapshot, UplinkRequest
from comms.link.ground import StationState
from fdir.modes import Emission
from firmware_py.cli.craft_side import PortLink
from firmware_py.cli.rig_link import RigLink, RigTransmitter
from firmware_py.cli.session import RigFlight, texts_of
from firmware_py.mission import FaultConfig, GroundOrderConfig, LinkConfig, load_mission
from firmware_py.recorder.reader import read_flight
from firmware_py.replay_flight import replay_flight
from hal.profile import ConfigError, load_profile
from tests.firmware_py.rig_craft import Craft

MS = 1_000_000
NS = 1_000_000_000
STEP = 50 * MS


class Setup:
    """A rig's link with a flight loop that allows everything, in steps of the medium rate."""

    def __init__(self, craft: Craft, **config: Any) -> None:
        self.rig = RigLink(LinkConfig(**({"modem": "bench_uart"} | config)), craft.rig, 3, "qiki-t")
        self.now = 0
        self.start_ns = 0
        self.asked: list[UplinkRequest] = []
        self.port: Port = self.rig.start(0, ())

    def restart(self) -> None:
        self.start_ns = self.now
        self.port = self.rig.start(self.now, ())

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> bool:
        end = self.now + round(seconds * NS)
        while self.now < end:
            flight_ns = self.now - self.start_ns
            self.port.send(CraftState(flight_ns, 1 + (self.start_ns > 0), "Idle", Emission.OPEN, soc_battery=0.9))
            self.port.send(Snapshot(flight_ns, {"t_s": flight_ns / NS, "motion": "Idle"}))
            for message in self.port.receive(64):
                if isinstance(message, UplinkRequest):
                    self.asked.append(message)
                    number = len(self.asked)
                    for stage in ("requested", "allowed", "effect_confirmed"):
                        self.port.send(CommandStage(flight_ns, number, message.command_id, message.sender,
                                                    message.name, stage))
            self.rig.step(flight_ns)
            self.now += STEP
            if until is not None and until():
                return True
        return until is None

    @property
    def outcomes(self) -> dict[str, int]:
        assert self.rig.link is not None
        return self.rig.link.ends.counts.by_outcome


@pytest.fixture(scope="module")
def craft() -> Craft:
    return Craft()


def order(at_s: float, **more: Any) -> GroundOrderConfig:
    return GroundOrderConfig(at_s, **more)


def test_the_ground_connects_by_itself_and_gives_its_orders_in_time(craft: Craft) -> None:
    setup = Setup(craft, ground=(order(4.0, command="hold"), order(2.0, command="ping", arguments={"number": 1})))
    assert setup.run(2.0, lambda: setup.rig.ground.connected)
    setup.run(1.0)
    assert [asked.name for asked in setup.asked] == []
    setup.run(5.0)
    assert [(asked.name, asked.sender, asked.authority) for asked in setup.asked] == [
        ("ping", "ground", Authority.SAFETY), ("hold", "ground", Authority.SAFETY),
    ]
    assert [given.end for given in setup.rig.given] == ["effect_confirmed"] * 2  # type: ignore[attr-defined]


def test_outside_its_contacts_nothing_gets_through(craft: Craft) -> None:
    setup = Setup(craft, contacts=((5.0, 10.0), (15.0, 99.0)), ground=(order(11.0, command="hold"),))
    setup.run(4.9)
    assert setup.outcomes == {}
    assert setup.run(6.0, lambda: setup.rig.ground.connected)
    setup.run(14.0 - setup.now / NS)
    assert setup.asked == []
    assert setup.run(10.0, lambda: len(setup.asked) == 1)
    assert setup.now > 15 * NS
    setup.run(20.0)
    assert len(setup.asked) == 1


def test_an_unknown_modem_is_refused_with_those_that_exist(craft: Craft) -> None:
    with pytest.raises(ConfigError, match=r"link\.modem: is 'x25'; modems: .*uhf_9k6"):
        RigLink(LinkConfig(modem="x25"), craft.rig, 1, "qiki-t")


@pytest.mark.parametrize(
    ("attack", "outcome"),
    [("replay", "replayed"), ("forge", "forged"), ("flood", "forged"), ("handshakes", "handshake unknown peer")],
)
def test_an_attack_reaches_the_link_and_changes_nothing(craft: Craft, attack: str, outcome: str) -> None:
    setup = Setup(craft, ground=(order(4.0, attack=attack, for_s=0.5), order(4.2, command="hold")))
    setup.run(8.0)
    assert setup.outcomes[outcome] > 5
    assert setup.outcomes["handshake"] == 1
    assert [asked.name for asked in setup.asked] == ["hold"]
    assert setup.rig.link is not None
    assert len(setup.rig.link.ends.ends) == 1
    before = dict(setup.outcomes)
    # The station asks for the time every ten seconds.
    setup.run(12.0)
    assert {name for name, count in setup.outcomes.items() if count != before.get(name)} == {"good"}


def test_a_silence_takes_the_grounds_words_away_until_it_ends(craft: Craft) -> None:
    setup = Setup(craft)
    setup.run(3.0)
    assert setup.rig.link is not None
    heard = setup.rig.link.heard_ns
    first, second = setup.rig.silence(), setup.rig.silence()
    setup.run(15.0)
    first()
    setup.run(5.0)
    assert setup.rig.link.heard_ns == pytest.approx(heard, abs=STEP)
    second()
    setup.run(12.0)
    assert setup.rig.link.heard_ns > 20 * NS


def test_the_ground_comes_back_by_itself_after_a_restart_of_the_program(craft: Craft) -> None:
    setup = Setup(craft)
    setup.run(5.0)
    first = setup.rig.ground.counts.sessions
    setup.restart()
    # The station notices by the silence of the craft.
    assert setup.run(60.0, lambda: setup.rig.ground.counts.sessions == first + 1 and setup.rig.ground.connected)
    assert setup.rig.ground.start == 2
    assert setup.rig.ground.state is StationState.CONNECTED
    craft_ms = setup.rig.ground.craft_ms(setup.now) or 0
    assert craft_ms == pytest.approx((setup.now - setup.start_ns) / MS, abs=200.0)


def test_two_runs_of_one_seed_say_the_same_on_the_line(craft: Craft) -> None:
    said = []
    for _ in range(2):
        setup = Setup(craft, modem="uhf_9k6", loss=0.2, ground=(order(6.0, upload="n.bin", upload_bytes=300),))
        setup.run(20.0)
        said.append((setup.outcomes, setup.rig.ground.counts))
    assert said[0] == said[1]
    assert said[0][0]["good"] > 5


def test_the_transmitter_draws_its_power_for_the_time_on_the_air() -> None:
    craft = Craft()
    craft.run(0.5)
    transmitter = RigTransmitter(craft.rig)
    begun = craft.rig.now_ns
    assert transmitter.start(bytes(51), 0)
    watts = []
    for step in range(1, 160):
        craft.rig.advance(begun + step * STEP)
        watts.append(craft.rig.truth().peak_w)
    # 51 bytes at 64 bit/s are 6.375 s.
    assert sum(watts) * STEP / NS == pytest.approx(150.0 * 6.375, rel=0.01)
    assert watts[100] == 150.0
    assert watts[-1] == 0.0
    transmitter.start(bytes(51), 0)
    transmitter.stop(0)
    craft.rig.advance(craft.rig.now_ns + STEP)
    assert craft.rig.truth().peak_w == 0.0
    assert transmitter.frames == [bytes(51)] * 2


# -- whole flights

CONTACT = "ground-contact"


def fly(folder: Path, duration_s: float = 16.0, **changes: Any) -> Path:
    mission = msgspec.structs.replace(load_mission(CONTACT), duration_s=duration_s, expect=(), **changes)
    flight = RigFlight(
        mission, load_profile(mission.body, mission.board), folder, mission.seed,
        texts=texts_of(CONTACT, mission.body, mission.board),
    )
    flight.run()
    return folder / "flight.mcap"


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fly(tmp_path_factory.mktemp("contact") / "first")


def test_two_flights_of_one_seed_give_the_same_black_box_to_the_byte(flown: Path, tmp_path: Path) -> None:
    assert fly(tmp_path / "second").read_bytes() == flown.read_bytes()
    flight = read_flight(flown)
    assert flight.header["link"] == "simulated"
    codes = [record.value["code"] for record in flight.messages("/event")]
    assert "LINK_UP" in codes
    assert "MEMBER_FAILED" not in codes


def test_a_replay_ends_where_the_flight_began_to_follow_its_link(flown: Path) -> None:
    first = next(record for record in read_flight(flown).messages("/command"))
    assert first.value["source"] == "ground"
    result = replay_flight(flown)
    assert result.identical
    assert result.until_ns == first.t_ns
    assert result.commands_compared > 500


def test_a_lost_uplink_of_a_flight_with_a_link_is_silence_on_its_line(tmp_path: Path) -> None:
    mission = msgspec.structs.replace(
        load_mission(CONTACT), duration_s=30.0, expect=(),
        faults=(FaultConfig("uplink_lost", at_s=9.0, for_s=12.0),),
    )
    flight = RigFlight(mission, load_profile(mission.body, mission.board), tmp_path / "lost", 1)
    ages: dict[int, float] = {}

    def each(session: RigFlight) -> None:
        now_ns = session.clock.now_ns()
        heard_ns = session.program.software.heard_ns
        ages[now_ns // NS] = (now_ns - (heard_ns or 0)) / NS

    flight.run(each)
    assert ages[20] > 10.0
    assert ages[20] - ages[15] == pytest.approx(5.0, abs=0.3)
    assert ages[28] < 7.0


def test_the_ground_of_an_outside_link_is_out_of_a_faults_reach(tmp_path: Path) -> None:
    mission = msgspec.structs.replace(load_mission(CONTACT), faults=(FaultConfig("uplink_lost", at_s=9.0),))
    link = PortLink(tmp_path / "port")
    with pytest.raises(ConfigError, match="outside, out of reach of uplink_lost"):
        RigFlight(mission, load_profile(mission.body, mission.board), tmp_path / "f", 1, link=link)
    link.close()


def test_a_flight_with_an_outside_link_says_so_and_leaves_the_missions_own_ground_out(tmp_path: Path) -> None:
    mission = msgspec.structs.replace(load_mission(CONTACT), duration_s=1.0, expect=())
    link = PortLink(tmp_path / "port")
    RigFlight(mission, load_profile(mission.body, mission.board), tmp_path / "f", 1, link=link).run()
    link.close()
    flight = read_flight(tmp_path / "f" / "flight.mcap")
    assert flight.header["link"] == "outside"
    assert not (tmp_path / "port").exists()
