"""Circuit breakers: when they open, who may probe, and how those who waited come back."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from api.conftest import caller_of, running
from bursar.kernel import ids
from bursar.kernel.circuits import Admission, Circuit, Circuits, Refused, breaking, models
from stage import Stage, set_stage

pytestmark = pytest.mark.anyio

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Clock:
    at: datetime = START

    def __call__(self) -> datetime:
        return self.at

    def go(self, **span: float) -> datetime:
        self.at += timedelta(**span)
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def stage(db, database_url) -> Stage:
    return await set_stage(db, database_url)


@pytest.fixture
def forgetful(monkeypatch) -> None:
    """Let no process remember a state: given clocks do not move the one by which it forgets."""
    monkeypatch.setattr(breaking, "KEPT_S", 0.0)


def _at(stage: Stage, operation: str = "create_refund") -> dict[str, Any]:
    return {"tenant_id": stage.tenant_id, "subject": "gwa_x", "operation": operation}


def _fresh(**more: Any) -> Circuit:
    return replace(Circuit(ids.new(), "gwa_x", "create_refund", "closed", START, START), **more)


def _after(circuit: Circuit, outcomes: str, *, every_s: float = 0.1, begins: datetime = START) -> Circuit:
    """Count calls: `.` went well, `x` failed."""
    for number, outcome in enumerate(outcomes):
        now = begins + timedelta(seconds=number * every_s)
        if outcome == "x":
            circuit = models.failed(circuit, Admission(now), now, why="down")
        else:
            circuit = models.passed(circuit, Admission(now), now)
    return circuit


@pytest.mark.parametrize(
    ("outcomes", "every_s", "state"),
    [
        ("xxxx", 0.1, "closed"),
        ("xxxxx", 0.1, "open"),
        ("xxxx.xxxx.xx", 0.1, "closed"),
        ("x." * 9, 0.1, "closed"),
        ("x." * 9 + "xx", 0.1, "open"),
        (".x" * 9 + "..", 0.1, "closed"),
        ("x." * 40, 3.5, "closed"),
        ("xx", 29.0, "closed"),
        ("xx", 31.0, "open"),
    ],
)
def test_a_circuit_opens_for_half_of_twenty_or_five_in_a_row_or_two_that_hang(outcomes, every_s, state):
    assert _after(_fresh(), outcomes, every_s=every_s).state == state


def test_calls_that_hang_until_their_deadline_show_an_outage_within_a_minute():
    began, circuit = START, _fresh()
    while circuit.state == "closed":
        ended = began + timedelta(seconds=23)
        circuit = models.failed(circuit, Admission(began), ended, why="no answer")
        began = ended + timedelta(seconds=5)

    assert circuit.since - START <= timedelta(seconds=60)


def test_what_failed_a_minute_ago_does_not_count():
    circuit = _after(_fresh(), "x." * 9)

    assert _after(circuit, "xx", begins=START + timedelta(seconds=61)).state == "closed"
    assert _after(circuit, "xx", begins=START + timedelta(seconds=40)).state == "open"


def test_the_gateway_s_word_when_to_come_again_opens_at_once_and_is_believed_for_an_hour():
    for asked, believed in ((timedelta(seconds=17), timedelta(seconds=17)), (timedelta(days=9), timedelta(hours=1))):
        circuit = models.failed(_fresh(), Admission(START), START, why="429", not_before=START + asked)
        assert (circuit.state, circuit.not_before) == ("open", START + believed)


def test_waiting_doubles_up_to_a_minute():
    circuit, waits, now = _after(_fresh(), "xxxxx", every_s=0), [], START
    for _ in range(6):
        assert circuit.not_before
        waits.append((circuit.not_before - now).total_seconds())
        now = circuit.not_before
        circuit, leave = models.asked(circuit, now)
        assert isinstance(leave, Admission)
        circuit = models.failed(circuit, leave, now, why="down")

    assert waits == [5, 10, 20, 40, 60, 60]
    assert circuit.since == START


async def test_one_probe_at_a_time_and_only_the_newest_decides(stage, clock, forgetful):
    circuits, elsewhere = Circuits(stage.db, clock), Circuits(stage.db, clock)
    for _ in range(5):
        await circuits.failed(Admission(clock()), **_at(stage), why="down")
    clock.go(seconds=5)

    answers = await asyncio.gather(*((circuits, elsewhere)[n % 2].ask(**_at(stage)) for n in range(20)))
    probes = [a for a in answers if isinstance(a, Admission)]
    clock.go(seconds=41)
    second = await elsewhere.ask(**_at(stage))
    await circuits.passed(probes[0], **_at(stage))

    assert (len(probes), probes[0].fence) == (1, 1)
    assert isinstance(second, Admission)
    assert await stage.value("select state from circuit") == "half_open"
    await elsewhere.passed(second, **_at(stage))
    assert await stage.value("select state from circuit") == "closed"
    assert isinstance(await circuits.ask(**_at(stage)), Admission)


async def test_those_who_wait_come_back_one_after_another(stage, clock, forgetful):
    circuits = Circuits(stage.db, clock)
    for _ in range(5):
        await circuits.failed(Admission(clock()), **_at(stage), why="down")

    answers = await asyncio.gather(*(circuits.ask(**_at(stage)) for _ in range(100)))

    times = sorted(a.until for a in answers if isinstance(a, Refused))
    gaps = {later - earlier for earlier, later in pairwise(times)}
    assert len(times) == 100
    assert gaps == {timedelta(milliseconds=50)}
    assert times[0] > clock() + timedelta(seconds=5)


async def test_parallel_failures_are_all_counted(stage, clock, forgetful):
    circuits = Circuits(stage.db, clock)

    await asyncio.gather(*(circuits.failed(Admission(clock()), **_at(stage), why=f"down {n}") for n in range(4)))

    assert await stage.row("select state, calls, failures, failures_running from circuit") == {
        "state": "closed",
        "calls": 4,
        "failures": 4,
        "failures_running": 4,
    }


async def test_a_healthy_place_writes_nothing_and_other_places_go_on(stage, clock):
    circuits = Circuits(stage.db, clock)
    for _ in range(5):
        await circuits.failed(Admission(clock()), **_at(stage), why="down")

    leave = await circuits.ask(**_at(stage, "fetch_object"))
    assert isinstance(leave, Admission)
    await circuits.passed(leave, **_at(stage, "fetch_object"))

    assert isinstance(await circuits.ask(**_at(stage)), Refused)
    assert await stage.value("select count(*) from circuit") == 1


async def test_another_process_sees_an_open_circuit_within_a_second(stage, clock):
    here, there = Circuits(stage.db, clock), Circuits(stage.db, clock)
    assert isinstance(await there.ask(**_at(stage)), Admission)
    for _ in range(5):
        await here.failed(Admission(clock()), **_at(stage), why="down")

    await asyncio.sleep(breaking.KEPT_S)

    assert isinstance(await there.ask(**_at(stage)), Refused)


async def test_a_person_may_close_a_circuit_and_is_written_down(stage, clock, database_url, forgetful):
    circuits = Circuits(stage.db, clock)
    for _ in range(5):
        await circuits.failed(Admission(clock()), **_at(stage), why="down")
    clock.go(seconds=5)
    probe = await circuits.ask(**_at(stage))
    assert isinstance(probe, Admission)

    async with running(database_url, clock=clock) as (_, http):
        caller = await caller_of(stage, http)
        shown = await caller.one("/v1/circuits", state="half_open")
        answer = await caller.post(f"/v1/circuits/{shown['id']}/resets")

    await circuits.failed(probe, **_at(stage), why="late")
    assert answer.status_code == 201
    assert answer.json() | {"id": ""} == shown | {"id": "", "state": "closed", "failures_running": 0} | {
        "since": answer.json()["since"]
    }
    assert await stage.value("select state from circuit") == "closed"
    assert await stage.row(
        "select actor like 'key:key_%' as by_key, subject from audit_record where action = 'circuit.reset'"
    ) == {
        "by_key": True,
        "subject": shown["id"],
    }
