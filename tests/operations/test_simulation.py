"""The simulation: its plan repeats, its network is hostile, it finds nothing wrong, and with each control it does."""

import json
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest

from bursar.cli.running import run
from bursar.operations.simulate import CONTROLS, plan_of, running
from bursar.operations.simulate.planning import FaultKind, Way
from bursar.operations.studio import OFFERS
from databases import begin_as_copy, made_server

PRICES = [offer.sandbox for offer in OFFERS]
TRADE_ALONE = ("--acts", "0", "--workers", "1")


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `bursar simulate` on a copy of a server that was made once: a schema made anew for each is most of its time.

    Return its exit code and what it said as JSON.
    """

    def copied(**given: str) -> str:
        directory = tempfile.mkdtemp(**given, dir=made_server().parent)
        Path(directory).chmod(0o711)
        begin_as_copy(Path(directory, "data"))
        return directory

    def simulating(*arguments: str) -> tuple[int, dict]:
        monkeypatch.setattr(running, "mkdtemp", copied)
        code = 0
        with suppress(SystemExit):
            try:
                run("simulate", ["simulate", *arguments, "--json"])
            except SystemExit as left:
                code = int(left.code or 0)
                raise
        return code, json.loads(capsys.readouterr().out)

    return simulating


def test_the_same_seed_gives_the_same_plan_and_another_seed_another():
    one = plan_of(seed=3, events=200, kills=9, prices=PRICES)

    assert one == plan_of(seed=3, events=200, kills=9, prices=PRICES)
    assert one.deliveries != plan_of(seed=4, events=200, kills=9, prices=PRICES).deliveries


def test_a_plan_is_hostile():
    plan = plan_of(seed=1, events=1000, kills=20, prices=PRICES)
    attempts = [delivery.event for delivery in plan.deliveries]
    repeats = [attempts.count(event) for event in range(0, 1000, 10)]

    assert len(plan.events) == 1000
    assert set(attempts) == set(range(1000))
    assert set(repeats) == {1, 2, 3, 4}
    assert attempts != sorted(attempts)
    assert {delivery.way for delivery in plan.deliveries} == set(Way)
    assert {fault.kind for fault in plan.faults} == set(FaultKind)
    assert len(plan.faults) == 20
    assert [fault.after_acks for fault in plan.faults] == sorted(fault.after_acks for fault in plan.faults)


def test_a_hostile_world_changes_nothing_and_a_studio_is_rehearsed_in_it(simulate):
    code, told = simulate("--seed", "1", "--events", "150", "--kills", "5", "--acts", "40")

    assert told["ok"], told
    assert code == 0
    assert (told["acked"], told["events"]) == (150, 150)
    assert told["duplicates"] > 30
    assert told["faults"] == {"worker": 1, "api": 1, "all": 1, "backends": 1, "database": 1}
    assert told["restarts"] >= 3
    assert told["verdict"]["fingerprint"] == told["verdict"]["calm_fingerprint"]
    assert (told["rehearsal"]["ok"], told["rehearsal"]["steps"]) == (True, 40)


# How many events and faults each needs to be found out: only what is lost takes a crash.
FOUND_WITH = {"no-dedupe": ("40", "0"), "last-wins": ("60", "0"), "no-durability": ("80", "2")}


@pytest.mark.parametrize("control", CONTROLS)
def test_each_control_is_found_out(simulate, control):
    events, kills = FOUND_WITH[control]

    code, told = simulate("--seed", "1", "--events", events, "--kills", kills, "--control", control, *TRADE_ALONE)

    assert code == 1
    assert told["ok"] is False
    verdict = told["verdict"]
    found = {
        "no-dedupe": "fulfilment_grants_exist_once" in json.dumps(verdict["broken"]),
        "last-wins": bool(verdict["differing"]),
        "no-durability": bool(verdict["lost"]),
    }
    assert found[control], verdict


def test_a_control_of_the_rehearsal_is_found_out_by_the_command(simulate):
    code, told = simulate("--seed", "1", "--acts", "300", "--control", "no-seat-guard")

    assert (code, told["ok"], told["verdict"]) == (1, False, None)
    assert list(told["rehearsal"]["broken"]) == ["seats_counted_are_seats_booked"]


def test_an_unknown_control_is_refused(simulate):
    code, told = simulate("--control", "luck")

    assert code == 1
    assert told["error"]["code"] == "control_unknown"
