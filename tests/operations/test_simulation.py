"""The simulation: its plan repeats, its network is hostile, it finds nothing wrong, and with each control it does."""

import json
import os
import subprocess
import sys

import pytest

from bursar.operations.simulate import CONTROLS, plan_of
from bursar.operations.simulate.planning import FaultKind, Way
from bursar.operations.studio import OFFERS

PRICES = [offer.sandbox for offer in OFFERS]


def simulate(*arguments: str) -> tuple[int, dict]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
    command = [sys.executable, "-m", "bursar", "simulate", "--json", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=clean, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


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


def test_a_hostile_world_changes_nothing():
    code, told = simulate("--seed", "1", "--events", "300", "--kills", "5")

    assert told["ok"], told
    assert code == 0
    assert (told["acked"], told["events"]) == (300, 300)
    assert told["duplicates"] > 50
    assert told["faults"] == {"worker": 1, "api": 1, "all": 1, "backends": 1, "database": 1}
    assert told["restarts"] >= 3
    assert told["verdict"]["fingerprint"] == told["verdict"]["calm_fingerprint"]


@pytest.mark.parametrize("control", CONTROLS)
def test_each_control_is_found_out(control):
    code, told = simulate("--seed", "1", "--events", "120", "--kills", "3", "--control", control)

    assert code == 1
    assert told["ok"] is False
    verdict = told["verdict"]
    found = {
        "no-dedupe": "fulfilment_grants_exist_once" in json.dumps(verdict["broken"]),
        "last-wins": bool(verdict["differing"]),
        "no-durability": bool(verdict["lost"]),
    }
    assert found[control], verdict


def test_an_unknown_control_is_refused():
    code, told = simulate("--control", "luck")

    assert code == 1
    assert told["error"]["code"] == "control_unknown"
